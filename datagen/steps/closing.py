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
from datagen.steps.part import UNPUBLISHED, part_folder
from datagen.storage import read_json, read_rows, read_table, row_record, write_json, write_rows


def close(plan: Plan, stretch: Stretch, cohort: Cohort, earlier: Sequence[Cohort], root: Path) -> dict[str, Any]:
    """Run the closing step of a stretch; returns its manifest, made now or found. Rows stay in the parts they came in."""
    step = stretch.closing
    assert step is not None
    incoming = _rows(root / part_folder(plan, stretch.number) / "kept", [*cohort.parts])
    settled = _rows(root / step.folder / "kept", [name for each in earlier for name in each.parts])
    fingerprint = digest([step.fingerprint, _digest(incoming), _digest(settled)])
    stays: set[str] = set()
    if cohort.released:  # what this step kept before stays kept; only newcomers are judged
        stays = {row.id for row in _rows(root / step.folder / "kept", [*cohort.parts])} & {row.id for row in incoming}
        settled += [row for row in incoming if row.id in stays]
    path = root / step.folder / "parts" / f"{stretch.number}-c{cohort.number}.json"
    found = read_json(path)
    if found and found["fingerprint"] == fingerprint:
        return {**found, "made": False}
    (root / UNPUBLISHED).touch()
    new = [row for row in incoming if row.id not in stays]
    journal = Journal((step,))
    journal.enter(step, len(incoming))
    journal.books[step.number].verdicts += _verdicts(root / step.folder / "verdicts" / f"c{cohort.number}.parquet", stays)
    judged: list[Row] = SETS.get(step.verb)(step, new, settled, journal, plan.steps[: step.number - 1])
    kept = [*(row for row in incoming if row.id in stays), *judged]
    journal.keep(step, len(kept))
    files = journal.write(root, f"c{cohort.number}", {step.number: step.folder})
    parts: dict[str, list[Row]] = {name: [] for name in cohort.parts}
    for row in sorted(kept, key=lambda row: row.id):
        parts[cohort.part_of(row.seed)].append(row)
    for name, mine in parts.items():
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


def _verdicts(path: Path, rows: set[str]) -> list[dict[str, Any]]:
    """The verdicts of rows that are not judged again."""
    return [verdict for verdict in (read_table(path) if path.exists() else []) if verdict["row"] in rows]


def _digest(rows: Sequence[Row]) -> str:
    return digest(sorted(digest([row.id, dict(row.fields)]) for row in rows))
