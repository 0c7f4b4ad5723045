"""kill -9 of real builds at random moments, with the simulator's statement as the judge and a ledger parser of its own."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATAGEN = [sys.executable, "-m", "datagen.cli"]
NOWHERE = "http://127.0.0.1:1"
_SPEC = """\
name: {name}
seeds: {seeds}
vary:
  style: [short, long]
teachers:
  writer: {{model: simulator/teacher, base_url: '{url}', max_tokens: 1200, max_in_flight: {most}}}
steps:
  - {{name: solution, ask: rationale/solve, of: writer, samples: {samples}}}
  - {{name: right, check: {{math: {{on: solution, gold: answer}}}}, gate: false}}
  - {{name: agreement, vote: {{on: final_answer}}}}
  - {{name: best, select: {{where: correct, best: [agreement], fold: others}}}}
  - {{name: unique, dedup: {{on: [question, solution]}}}}
{then}release:
  format: rationale
  columns: {{rationale: solution}}
  budget: {{usd: 1000}}
{more}rehearsal:
  latency: lognormal:{latency}
  defects: {{wrong_answer: 0.1, refusal: 0.03}}
"""


def problems(count: int) -> str:
    """Seeds of a spec."""
    return f"{{problems: {{families: all, count: {count}, seed: 3}}}}"


def spec_of(name: str, url: str, seeds: str, most: int, latency: str, samples: int = 4, then: str = "", more: str = "") -> str:
    """A line that asks, checks, votes, selects and dedups, of a simulator at `url`. `then`: further steps, `more`: sections; whole lines."""
    return _SPEC.format(name=name, url=url, seeds=seeds, most=most, latency=latency, samples=samples, then=then, more=more)


@dataclass(frozen=True)
class Kill:
    """What one kill left behind."""

    recorded: frozenset[str]
    """Keys whose whole answer stood in the ledger files."""
    paid: dict[str, int]
    """Key -> how often the teacher had been paid for it by then."""
    delivered_before: frozenset[str]
    """Keys whose answer the teacher had sent in full to this process more than 250 ms before the kill."""


@contextmanager
def standing_simulator(spec: Path) -> Iterator[str]:
    """`datagen simulator` as a process of its own, with the rehearsal section of `spec`."""
    command = [*DATAGEN, "simulator", "--port", "0", "--spec", str(spec)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout and process.stderr
        line = process.stdout.readline()
        assert "http://" in line, process.stderr.read()
        yield next(word for word in line.split() if word.startswith("http://"))
    finally:
        process.terminate()
        process.communicate()


def statement(url: str) -> list[dict[str, Any]]:
    """The simulator's account, one entry an answer."""
    with urllib.request.urlopen(f"{url}/statement") as reply:
        return [json.loads(line) for line in reply.read().splitlines()][1:]


def recorded_keys(ledger: Path) -> frozenset[str]:
    """Keys of whole answers in the files: read line by line, checksums checked, with no code of datagen."""
    return keys_of(path.read_bytes() for path in sorted(ledger.glob("*.jsonl")))


def keys_of(segments: Iterable[bytes]) -> frozenset[str]:
    """The same, of segments as bytes."""
    found: set[str] = set()
    for segment in segments:
        for line in segment.split(b"\n"):
            if not line.startswith(b'{"crc":"') or b"%08x" % zlib.crc32(line[18:]) != line[8:16]:
                continue
            record = json.loads(line)
            if record["kind"] == "answer" and record["response"]["outcome"] != "failed":
                found.add(record["key"])
    return frozenset(found)


def start(spec: Path, out: Path | str, *more: str) -> subprocess.Popen[bytes]:
    command = [*DATAGEN, "build", "--spec", str(spec), "--out", str(out), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def build(spec: Path, out: Path | str, *more: str) -> None:
    """An undisturbed build."""
    process = start(spec, out, *more)
    _, said = process.communicate()
    assert process.returncode == 0, said.decode()


def kill_while_building(spec: Path, out: Path, url: str, kills: int, longest: float, seed: int, *more: str) -> list[Kill]:
    """Start the same build again and again, and kill its whole process group at a random moment, `kills` times: one in four while it may
    still be starting, the others when it has been answered, for a slow machine starts slowly."""
    chance = random.Random(seed)
    done: list[Kill] = []
    while len(done) < kills:
        began = time.time()
        before, process = len(statement(url)), start(spec, out, *more)
        try:
            after = chance.uniform(0.0, longest / 2)
            if chance.random() < 0.75:
                while process.poll() is None and len(statement(url)) == before:
                    time.sleep(0.02)
            process.wait(timeout=after)
        except subprocess.TimeoutExpired:
            moment = time.time()
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            done.append(_after_kill(out, url, began, moment))
            continue
        _, said = process.communicate()
        assert process.returncode == 0, said.decode()
        raise AssertionError(f"the build ended after {len(done)} kills: make it longer or the waits shorter")
    return done


def _after_kill(out: Path, url: str, began: float, moment: float) -> Kill:
    """What was delivered before this process began went to one that was dead by then, and was judged at its kill."""
    entries = statement(url)
    sent = frozenset(entry["key"] for entry in entries if began < entry["delivered_at"] < moment - 0.25)
    return Kill(recorded_keys(out / "ledger"), {entry["key"]: entry["count"] for entry in entries}, sent)


def digest_of(out: Path) -> tuple[str, dict[str, str]]:
    """(rows_sha256, sha256 of every shard)."""
    manifest = json.loads((out / "manifest.json").read_text())
    return manifest["releases"][-1]["rows_sha256"], {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((out / "data").iterdir())
    }


def assert_promises(kills: list[Kill], final: dict[str, int], most_in_flight: int) -> int:
    """No recorded answer is paid again; only what was in flight is lost; what was sent 250 ms before is recorded. Returns what was paid twice."""
    for number, kill in enumerate(kills):
        again = [key for key in kill.recorded if final[key] > kill.paid[key]]
        assert not again, f"kill {number}: {len(again)} recorded answers were paid again"
        before = kills[number - 1] if number else Kill(frozenset(), {}, frozenset())
        sent = sum(kill.paid.values()) - sum(before.paid.values())
        lost = sent - len(kill.recorded - before.recorded)
        assert lost <= most_in_flight, f"kill {number}: {lost} answers were sent but not recorded, {most_in_flight} were in flight at most"
        late = kill.delivered_before - kill.recorded
        assert not late, f"kill {number}: {len(late)} answers delivered more than 250 ms before the kill were not in the ledger"
    return sum(final.values()) - len(final)
