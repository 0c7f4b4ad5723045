"""What the runs on real data share: the labels, and the rows of a build with the fields they had when they left the line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def labels(shared: Path) -> dict[tuple[str, int], bool]:
    """(question, sample) -> whether the recorded answer is right, as labelled by people."""
    found: dict[tuple[str, int], bool] = {}
    seen: dict[str, int] = {}
    for row in pq.read_table(shared / "data" / "gsm8k_model_solutions" / "solutions.parquet").to_pylist():
        sample = seen.get(row["question"], 0)
        seen[row["question"]] = sample + 1
        found[row["question"], sample] = row["is_correct"]
    return found


def rows_at(out: Path, step: str) -> list[dict[str, Any]]:
    """Every row that entered a step, kept or dropped, with the fields it left with."""
    (folder,) = (out / "steps").glob(f"[0-9]*-{step}")
    records = [
        record for kind in ("kept", "dropped") for path in sorted((folder / kind).glob("*.parquet")) for record in pq.read_table(path).to_pylist()
    ]
    return [json.loads(record["fields"]) | {"id": record["id"]} for record in records]
