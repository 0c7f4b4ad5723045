"""decontamination.json: against which sets rows were held, by which limits, how many were looked at, what was found, and how much is found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datagen.release.catalogue import query
from datagen.storage import read_json, write_json

FILE = "decontamination.json"
CLASSES = ("verbatim", "rephrased", "same_template")
EXAMPLES = 3
"""Shown of each class and set: the first by the row's id."""
# The verdict's evidence is `class: set item: words of the row`, as steps/sets/decontaminate.py writes it.
_FOUND = """SELECT split_part(evidence, ': ', 1) AS class, split_part(split_part(evidence, ': ', 2), ' ', 1) AS reference, count(*) AS found,
  count(*) FILTER (WHERE NOT keep) AS dropped, list({{'row': row, 'score': score, 'evidence': evidence}} ORDER BY row)[:{examples}] AS examples
FROM verdicts WHERE step = '{step}' AND operator = 'decontaminate' AND score IS NOT NULL GROUP BY ALL ORDER BY ALL"""


def write_certificate(out: Path) -> Path | None:
    """Of the last release, by what the plan and the verdicts say; None, and no file, where no step looked for leaks."""
    path = out / FILE
    steps = read_json(out / "plan.json").get("decontaminated") or []
    if not steps:
        path.unlink(missing_ok=True)
        return None
    counted = {step["name"]: step for step in read_json(out / "manifest.json")["steps"]}
    write_json(path, {"steps": [_of_step(out, step, counted.get(step["step"], {})) for step in steps]})
    return path


def _of_step(out: Path, step: Mapping[str, Any], counted: Mapping[str, Any]) -> dict[str, Any]:
    quoted = str(step["step"]).replace("'", "''")
    columns, rows = query(out, _FOUND.format(step=quoted, examples=EXAMPLES))
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    planted = (read_json(out / "manifest.json").get("canaries") or {"sets": {}})["sets"].get(step["step"])
    totals = {kind: sum(entry["found"] for entry in found if entry["class"] == kind) for kind in CLASSES}
    return {**step, "rows": counted.get("in", 0), "kept": counted.get("kept", 0), "found": totals, "by_set": found, "planted": planted}


def read_certificate(out: Path) -> list[dict[str, Any]]:
    """Its steps, for the card; empty where there is none."""
    return list((read_json(out / FILE) or {"steps": []})["steps"])
