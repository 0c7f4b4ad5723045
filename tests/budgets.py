"""Random budgets against random costs and random kills, with independent fake teachers as the judges of what was billed."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from killing import DATAGEN

from datagen.asking.ledger.book import Ledger
from datagen.records import NANO, Spend

SPEC = """\
name: budget
seeds: {{table: seeds.jsonl}}
teachers:
  writer: {{model: openai/w, base_url: '{writer}', label: w, max_tokens: 700, max_in_flight: {in_flight},
    price: {writer_price}, budget: {writer_cap}}}
  grader: {{model: openai/g, base_url: '{grader}', label: g, max_tokens: 90, max_in_flight: {in_flight},
    price: {grader_price}, budget: {grader_cap}}}
steps:
  - {{name: text, ask: write, of: writer}}
  - {{name: grade, ask: grade, of: grader}}
release: {{format: text, budget: {cap}}}
guard: {{pilot: 0}}
"""
TOKENS = {"writer": (30, 533), "grader": (30, 66)}
"""(input, output) of every answer, as the two fake teachers count."""


_REFUSED = re.compile(r"teacher '(\w+)' has no room left: of \$?([\d.,]+\d)[^,]*, \$?([\d.,]*\d).* may take \$?([\d.,]*\d)")


@dataclass(frozen=True)
class Trial:
    """What one random budget came to."""

    code: int
    overspent: list[str]
    unspent: float
    """In worst cases of one request per teacher: at most 1 where the build stopped for money; 0 where it did not."""


@contextmanager
def fake_teachers(seed: int) -> Iterator[dict[str, str]]:
    """Name -> base URL; each answers after 40 ms, and fails now and then."""
    script = Path(os.environ["DATAGEN_SHARED"]) / "bench" / "fake_teacher.py"
    with ExitStack() as stack:
        urls = {}
        for name, words in (("writer", 400), ("grader", 50)):
            faults = ["--p429", "0.03", "--p500", "0.02", "--preset", "0.02", "--retry-after", "0", "--seed", str(seed)]
            command = [sys.executable, str(script), "--words", str(words), "--latency", "lognormal:0.04,0.5", *faults]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.terminate)
            assert process.stdout
            urls[name] = f"http://127.0.0.1:{process.stdout.readline().split()[1]}/v1"
        yield urls


def trial(folder: Path, seed: int, rows: int = 60, more: Sequence[str] = ()) -> Trial:
    """One build under random caps, killed up to twice, then run to its end; with `more` options, never killed."""
    chance = random.Random(seed)
    (folder / "prompts").mkdir(parents=True)
    (folder / "prompts" / "write.md.j2").write_text("Write about {{ topic }}, {{ padding }}\n")
    (folder / "prompts" / "grade.md.j2").write_text("Grade this: {{ text }}\n")
    seeds = [{"topic": f"topic {number}", "padding": "and then " * chance.randint(3, 60)} for number in range(rows)]
    (folder / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in seeds))
    prices = {name: {"input": round(chance.uniform(0.1, 9), 3), "output": round(chance.uniform(0.1, 60), 3)} for name in TOKENS}
    full = Spend()
    for name in TOKENS:
        full += _times(_one(name, prices[name]), rows)
    caps = {"cap": _caps(chance, full), **{f"{name}_cap": _caps(chance, _times(_one(name, prices[name]), rows), 0.3) for name in TOKENS}}
    with fake_teachers(seed) as urls:
        words = {**urls, **{f"{name}_price": json.dumps(price) for name, price in prices.items()}, **{k: json.dumps(v) for k, v in caps.items()}}
        (folder / "s.yaml").write_text(SPEC.format(in_flight=chance.choice([1, 8, 24]), **words))
        code, said = _built(folder, chance, 0 if more else chance.choice([0, 1, 2]), more)
        billed = {name: _times(_one(name, prices[name]), _admitted(urls[name])) for name in TOKENS}
    return Trial(code, _overspent(caps, billed), _unspent(folder, caps, said) if code == 8 else 0.0)


def _one(name: str, price: Mapping[str, float]) -> Spend:
    given, made = TOKENS[name]
    return Spend(round(given * price["input"] * 1000 + made * price["output"] * 1000), given + made, 1)


def _times(one: Spend, number: int) -> Spend:
    return Spend(one.cost * number, one.tokens * number, one.requests * number)


def _caps(chance: random.Random, full: Spend, often: float = 0.7) -> dict[str, Any]:
    share = chance.uniform(0.05, 1.5)
    found: dict[str, Any] = {}
    if chance.random() < often:
        found["usd"] = round(full.cost * share / NANO + 1e-6, 6)
    if chance.random() < often / 3:
        found["tokens"] = max(1, round(full.tokens * chance.uniform(0.2, 2)))
    if chance.random() < often / 3:
        found["requests"] = max(1, round(full.requests * chance.uniform(0.1, 1.2)))
    return found


def _built(folder: Path, chance: random.Random, kills: int, more: Sequence[str]) -> tuple[int, str]:
    """(exit code, what it said) of the last run."""
    command = [*DATAGEN, "build", "--spec", str(folder / "s.yaml"), "--out", str(folder / "out"), *more]
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            process.wait(timeout=chance.uniform(0.9, 2.2))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, 8, 10), done.stderr
    return done.returncode, done.stderr


def _admitted(url: str) -> int:
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/stats") as reply:
        return int(json.load(reply)["admitted"])


def _overspent(caps: Mapping[str, Mapping[str, Any]], billed: Mapping[str, Spend]) -> list[str]:
    purses = {"cap": billed["writer"] + billed["grader"], "writer_cap": billed["writer"], "grader_cap": billed["grader"]}
    return [
        f"{purse}.{word}: {used} of {caps[purse][word]}"
        for purse, spend in purses.items()
        for word, used in (("usd", spend.cost / NANO), ("tokens", spend.tokens), ("requests", spend.requests))
        if word in caps[purse] and used > caps[purse][word] + 1e-12
    ]


def _unspent(folder: Path, caps: Mapping[str, Mapping[str, Any]], said: str) -> float:
    """Of the cap that stopped the build (the tightest): what is left of it, in worst cases of one request per teacher.

    A teacher whose own cap is below a single request never reserved anything: its worst case stands in what the build said alone.
    """
    account = Ledger(folder / "out" / "ledger", "").accounts["budget/1.0"]
    worst = _worst(folder)
    purses = {"cap": list(account), "writer_cap": ["writer"], "grader_cap": ["grader"]}
    left = []
    for purse, names in purses.items():
        spent = sum((account[name].committed for name in names if name in account), Spend())
        most = sum((worst[name] for name in names if name in worst), Spend())
        for word, used, one, unit in (
            ("usd", spent.cost, most.cost, NANO),
            ("tokens", spent.tokens, most.tokens, 1),
            ("requests", spent.requests, most.requests, 1),
        ):
            if word in caps[purse] and one:
                left.append((int(caps[purse][word] * unit) - used) / one)
    for name, cap, taken, wants in _REFUSED.findall(said):
        if name not in worst:
            most, used, one = (float(number.replace(",", "")) for number in (cap, taken, wants))
            left.append((most - used) / one)
    return min(left)


def _worst(folder: Path) -> dict[str, Spend]:
    """Teacher -> the largest worst case it ever reserved, read from the segments themselves."""
    found: dict[str, Spend] = {}
    for path in (folder / "out" / "ledger").glob("[0-9]*.jsonl"):
        for line in path.read_text().splitlines():
            record = json.loads(line) if line.endswith("}") else {}
            if record.get("kind") == "reserve":
                before = found.get(record["teacher"], Spend())
                found[record["teacher"]] = Spend(max(before.cost, record["cost"]), max(before.tokens, record["tokens"]), 1)
    return found
