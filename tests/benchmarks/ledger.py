"""The ledger alone: append, load, look up, verify, and the memory of it; one line each. `python tests/benchmarks/ledger.py --keys 1000000`."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from datagen.asking.ledger.book import Ledger, compact, segments, verify
from datagen.records import Outcome, Request, Response, Spend, Usage

ANSWER_BYTES = 2_000
"""Text of an answer and its raw body together, half each, as a provider sends both."""


def resident() -> float:
    """Megabytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def asked(number: int) -> Request:
    return Request("openai", "", "gpt-4o-mini", (("user", f"Write a lesson about topic {number} for a child."),), {"max_tokens": 800})


def said() -> Response:
    text = "".join(random.Random(7).choices("abcdefghijklmnopqrstuvwxyz     ", k=ANSWER_BYTES // 2))
    return Response(
        Outcome.ANSWERED, text, stop_reason="stop", usage=Usage(30, 250), cost=150, model="gpt-4o-mini-2024", request_id="req_1", raw=text
    )


def append(folder: Path, keys: int) -> None:
    """As a build does it, but for the reservations: requests are made beforehand, a batch at a time, and not counted."""
    answer, spent, took, before = said(), Spend(150, 280, 1), 0.0, resident()
    longest = 0.0
    book = Ledger(folder, "bench/1.0")
    for start in range(0, keys, 10_000):
        requests = [asked(number) for number in range(start, min(start + 10_000, keys))]
        started = perf_counter()
        for request in requests:
            book.record(request, "writer", answer, spent)
        took += perf_counter() - started
        longest = max(longest, perf_counter() - started)
    size = segments(folder)[0].stat().st_size
    print(f"append: {keys / took:,.0f} answers/s, {size / keys:,.0f} bytes each; longest 10,000 took {longest:.2f} s")
    print(f"memory after appending {keys:,}: +{resident() - before:.0f} MB; modules: numpy {'loaded' if 'numpy' in sys.modules else 'not loaded'}")
    started = perf_counter()
    book.close()
    print(f"close (sync): {perf_counter() - started:.2f} s")


def load(folder: Path, keys: int, what: str) -> None:
    before, started = resident(), perf_counter()
    book = Ledger(folder, "")
    took = perf_counter() - started
    known = [asked(number).key for number in random.Random(3).sample(range(keys), min(keys, 20_000))]
    started = perf_counter()
    assert all(book.get(key) is not None for key in known)
    each = (perf_counter() - started) / len(known)
    missing = [asked(keys + number).key for number in range(20_000)]
    started = perf_counter()
    assert not any(key in book for key in missing)
    miss = (perf_counter() - started) / len(missing)
    print(f"load {keys:,} keys {what}: {took:.2f} s, +{resident() - before:.0f} MB; get {1e6 * each:.0f} us, a miss {1e6 * miss:.0f} us")
    book.close()


def timed(what: str, started: float) -> None:
    print(f"{what}: {perf_counter() - started:.2f} s")


def main() -> None:
    reading = argparse.ArgumentParser(description=__doc__)
    reading.add_argument("--keys", type=int, default=1_000_000)
    reading.add_argument("--part", default="", help="for its own use: each part runs in a fresh process")
    reading.add_argument("--folder", type=Path, help="where the ledger is made (and left); default: a temporary one")
    given = reading.parse_args()
    match given.part:
        case "append":
            append(given.folder, given.keys)
        case "tails":
            load(given.folder, given.keys, "from segments alone")
        case "load":
            load(given.folder, given.keys, "from the index file")
        case "compact":
            started = perf_counter()
            compact(given.folder)
            timed("compact (index file anew from segments)", started)
        case "verify":
            started = perf_counter()
            good, problems = verify(given.folder)
            assert (good, problems) == (given.keys, []), (good, problems[:3])
            timed(f"verify {given.keys:,} records", started)
        case _:
            with tempfile.TemporaryDirectory() as made:
                folder = given.folder or Path(made)
                for part in ("append", "tails", "compact", "load", "verify"):
                    subprocess.run([sys.executable, __file__, "--part", part, "--keys", str(given.keys), "--folder", str(folder)], check=True)


if __name__ == "__main__":
    main()
