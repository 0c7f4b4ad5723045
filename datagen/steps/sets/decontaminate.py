"""decontaminate: leakage of benchmark items, with the matched item and the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from datagen.plan.model import PlannedStep
from datagen.plan.resolve import REFERENCE_COLUMNS
from datagen.records import Row
from datagen.seeds.table import Table
from datagen.spec.models import Decontaminate
from datagen.steps.journal import Journal
from datagen.steps.sets.overlap import Item, References


def run(step: PlannedStep, rows: Sequence[Row], released: Sequence[Row], journal: Journal, before: Sequence[PlannedStep]) -> list[Row]:
    """Drop rows that hold a reference item verbatim, or a large share of its n-grams. Released rows are not looked at again."""
    assert isinstance(step.spec, Decontaminate)
    words = step.spec.decontaminate
    names = [words.on] if isinstance(words.on, str) else words.on
    references = References([item for path in step.references for item in items(Path(path))], ngram=words.ngram, share=words.share)
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: row.id):
        leak = references.find("\n".join(str(row.fields.get(name) or "") for name in names))
        reason = f"leak_{leak.kind}" if leak else ""
        evidence = f"{leak.benchmark} {leak.item}: {leak.evidence}" if leak else ""
        if journal.decide(step, row, "decontaminate", reason, evidence, leak.share if leak else None):
            kept.append(row)
    return kept


def items(path: Path) -> Iterator[Item]:
    """The items of one reference file; a `benchmark` and an `id` column are used where there are any."""
    for number, values in enumerate(Table(path=str(path)).rows(Path("/"), lambda _: [])):
        column = next(name for name in REFERENCE_COLUMNS if name in values)  # the plan has looked
        yield Item(str(values.get("benchmark") or path.stem), str(values.get("id", number)), str(values[column] or ""))
