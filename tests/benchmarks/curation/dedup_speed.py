"""Time and memory of deduplication against rensa alone, on rows of 50 words of which a share are copies with one word in twenty replaced.

    python tests/benchmarks/curation/dedup_speed.py [rows] [share of copies ...]

`rensa` is its documented way to keep unique documents, `RMinHashDeduplicator(threshold, num_perm=128, use_lsh=True).add_pairs(...)`, which works
in one process: with its README's words and threshold (.8), and with the word bigrams and the threshold that datagen decides by (.55). It
reads a text by `str.split`, verifies nothing and gives no evidence. `datagen` is `signatures` and `duplicates`: in one process, and with
two that make signatures as the workers of a build do (decisions are made in one). Each way runs in a process of its own, which reads the
rows from a file before the clock starts; memory is the most that its whole tree held at once, rows included.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from real import column

SOME = 16_384


def rows_of(count: int, share: float) -> Iterator[str]:
    rng, words = random.Random(24), " ".join(column("openstax_textbooks/physics", "text")).split()
    copies = int(count * share)
    own = [" ".join(rng.choices(words, k=50)) for _ in range(count - copies)]
    yield from own
    for text in own[:copies]:
        parts = text.split()
        for place in rng.sample(range(50), 2):
            parts[place] = rng.choice(words)
        yield " ".join(parts)


def rensa(texts: Sequence[str], bigrams: bool) -> int:
    from rensa import RMinHashDeduplicator

    seen = RMinHashDeduplicator(threshold=0.55 if bigrams else 0.8, num_perm=128, use_lsh=True)
    if not bigrams:
        return len(texts) - sum(seen.add_pairs((str(number), text.split()) for number, text in enumerate(texts)))
    pairs = ((str(number), [f"{one} {two}" for one, two in itertools.pairwise(text.split())]) for number, text in enumerate(texts))
    return len(texts) - sum(seen.add_pairs(pairs))


def ours(texts: Sequence[str], workers: int) -> int:
    import numpy as np

    from datagen.steps.sets.copies.similarity import signatures
    from datagen.steps.sets.copies.ties import duplicates

    if workers == 1:
        return len(duplicates(texts, range(len(texts))))
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        parts = (texts[at : at + SOME] for at in range(0, len(texts), SOME))
        signed = np.concatenate(list(pool.imap(signatures, parts)))
    return len(duplicates(texts, range(len(texts)), signed=signed))


WAYS: dict[str, Callable[[Sequence[str]], int]] = {
    "rensa, words, .8": lambda texts: rensa(texts, bigrams=False),
    "rensa, bigrams, .55": lambda texts: rensa(texts, bigrams=True),
    "datagen, one process": lambda texts: ours(texts, 1),
    "datagen, two processes": lambda texts: ours(texts, 2),
}


def held() -> int:
    """Bytes that this process and its children hold now; pages that they share count once."""
    pids, total = [os.getpid()], 0
    for pid in pids:
        try:
            pids += [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
            total += sum(int(line.split()[1]) << 10 for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
        except OSError:
            continue
    return total


def measured(way: str, path: Path) -> dict[str, float]:
    texts = path.read_text(encoding="utf-8").split("\n")
    most, done = [held()], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            most[0] = max(most[0], held())

    threading.Thread(target=watch, daemon=True).start()
    before, began = os.times(), time.perf_counter()
    found = WAYS[way](texts)
    wall, after = time.perf_counter() - began, os.times()
    done.set()
    return {"found": found, "wall": wall, "cpu": sum(after[:4]) - sum(before[:4]), "peak": most[0] / 1e6}


def main(count: int, shares: Sequence[float]) -> None:
    for share in shares:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.txt"
            path.write_text("\n".join(rows_of(count, share)), encoding="utf-8")
            for way in WAYS:
                said = subprocess.run([sys.executable, __file__, "--one", way, str(path)], stdout=subprocess.PIPE, check=True).stdout
                one = json.loads(said)
                print(
                    f"dedup speed: {count} rows, {share:.0%} copies: {way}: {one['wall']:.1f} s, {one['cpu']:.1f} s of CPU, "
                    f"{1e6 * one['cpu'] / count:.1f} us of CPU a row, {one['found']:.0f} dropped, at most {one['peak']:,.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measured(sys.argv[2], Path(sys.argv[3]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, [float(share) for share in sys.argv[2:]] or [0.0, 0.1, 0.5])
