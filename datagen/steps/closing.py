"""A set-wise step over one cohort: all its rows at once, the rows of released cohorts before them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datagen.plan.model import Plan, Stretch
from datagen.records import Row, digest
from datagen.steps import SETS
from datagen.steps.cohort import Cohort
from datagen.steps.journal import Journal
from datagen.steps.part import part_folder
from datagen.storage import read_json, read_rows, row_record, write_json, write_rows


def close(plan: Plan, stretch: Stretch, cohort: Cohort, earlier: Sequence[Cohort], root: Path) -> dict[str, Any]:
    """Run the closing step of a stretch; returns its manifest, made now or found. Rows stay in the parts they came in."""
    step = stretch.closing
    assert step is not None
    incoming = _rows(root / part_folder(plan, stretch.number) / "kept", [*cohort.parts()])
    settled = _rows(root / step.folder / "kept", [name for each in earlier for name in each.parts()])
    if cohort.released:  # what this step kept before stays kept; only newcomers are judged
        stays = {row.id for row in _rows(root / step.folder / "kept", [*cohort.parts()])}
        settled += [row for row in incoming if row.id in stays]
    fingerprint = digest([step.fingerprint, _digest(incoming), _digest(settled)])
    path = root / step.folder / "parts" / f"{stretch.number}-c{cohort.number}.json"
    found = read_json(path)
    if found and found["fingerprint"] == fingerprint:
        return {**found, "made": False}
    here = {row.id for row in settled} & {row.id for row in incoming}
    new = [row for row in incoming if row.id not in here]
    journal = Journal((step,))
    journal.enter(step, len(incoming))
    kept: list[Row] = [*(row for row in incoming if row.id in here), *SETS.get(step.verb)(step, new, settled, journal, plan.steps[: step.number - 1])]
    journal.keep(step, len(kept))
    files = journal.write(root, f"c{cohort.number}", {step.number: step.folder})
    for name in cohort.parts():
        mine = sorted((row for row in kept if cohort.part_of(row.seed) == name), key=lambda row: row.id)
        write_rows(root / step.folder / "kept" / f"{name}.parquet", [row_record(row) for row in mine])
    manifest = {
        "part": f"c{cohort.number}",
        "fingerprint": fingerprint,
        "counts": {str(step.number): journal.books[step.number].counts()},
        "files": files,
    }
    write_json(path, manifest)
    return {**manifest, "made": True}


def _rows(folder: Path, parts: Sequence[str]) -> list[Row]:
    return [row for part in parts for row in read_rows(folder / f"{part}.parquet")]


def _digest(rows: Sequence[Row]) -> str:
    return digest(sorted(digest([row.id, dict(row.fields)]) for row in rows))
