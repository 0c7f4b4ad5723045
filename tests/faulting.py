"""Whole builds that meet faults: the spec, what its manifest accounts for, the ledger's own faults, and a small disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from killing import DATAGEN, statement

SPEC = """\
name: faulty
seeds: {{problems: {{families: all, count: {count}, seed: 3}}}}
vary: {{style: [short, long]}}
teachers:
  writer: {{model: simulator/teacher, base_url: '{url}', label: here, max_tokens: 1200, max_in_flight: {places}, timeout: {timeout}}}
steps:
  - {{name: solution, ask: rationale/solve, of: writer, samples: {samples}}}
  - {{name: right, check: {{math: {{on: solution, gold: answer}}}}, gate: false}}
release:
  format: rationale
  columns: {{rationale: solution}}
guard: {{pilot: 0}}
rehearsal: {{seed: 5, latency: '{latency}', {more}}}
"""
NOWHERE = "http://127.0.0.1:1"


def write(
    path: Path, url: str = NOWHERE, *, count: int = 60, samples: int = 2, places: int = 16, timeout: float = 60, latency: str = "0.1", more: str = ""
) -> Path:
    """A spec with these settings; `more` goes into its rehearsal section."""
    path.write_text(SPEC.format(url=url, count=count, samples=samples, places=places, timeout=timeout, latency=latency, more=more))
    return path


def at(spec: Path, url: str) -> Path:
    """Tell the spec where its simulator stands."""
    spec.write_text(spec.read_text().replace(NOWHERE, url))
    return spec


def datagen(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DATAGEN, *map(str, arguments)], capture_output=True, text=True)


def bill(url: str) -> dict[str, int]:
    """Key -> how often its answer was paid for."""
    return {entry["key"]: entry["count"] for entry in statement(url)}


def paid_again(recorded: frozenset[str], before: dict[str, int], after: dict[str, int]) -> list[str]:
    """Recorded answers that were paid for once more."""
    return [key for key in recorded if after.get(key, 0) > before.get(key, 0)]


def wait_for_answers(url: str, number: int) -> None:
    """Until so many answers were paid for."""
    while len(statement(url)) < number:
        time.sleep(0.02)


def accounted(out: Path) -> dict[str, Any]:
    """in = kept + dropped + unanswered at each step of the manifest, and each step takes what the one before kept; returns reasons -> rows."""
    steps = json.loads((out / "manifest.json").read_text())["steps"]
    reasons: Counter[str] = Counter()
    for number, step in enumerate(steps):
        gone = {f"{step['name']} {reason}": rows for kinds in step["dropped"].values() for reason, rows in kinds.items()}
        gone |= {f"{step['name']} {reason}": rows for reason, rows in step["unanswered"].items()}
        assert step["in"] == step["kept"] + sum(gone.values()), step
        assert number == 0 or step["from"] == steps[number - 1]["kept"], step
        reasons.update(gone)
    assert steps[-1]["kept"] == json.loads((out / "manifest.json").read_text())["releases"][-1]["rows"]
    return dict(reasons)


def rows(out: Path) -> dict[str, str]:
    """Id -> the whole released row."""
    import pyarrow.parquet as pq

    return {row["id"]: repr(row) for path in sorted((out / "data").glob("*.parquet")) for row in pq.read_table(path).to_pylist()}


def faults(ledger: Path) -> Counter[str]:
    """How often each kind of fault was noted in the ledger; read with no code of datagen."""
    found: Counter[str] = Counter()
    for path in sorted(ledger.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            record = json.loads(line)
            if record["kind"] == "fault":
                found[record["fault"]] += 1
    return found


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A tmpfs of this size, for root where it may mount; else the test is skipped."""
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small tmpfs")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a small tmpfs here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
