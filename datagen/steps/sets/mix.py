"""mix: quotas, at most so many rows per value of a field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from datagen.plan.model import PlannedStep
from datagen.records import Row
from datagen.spec.models import Mix
from datagen.steps.journal import Journal


def run(step: PlannedStep, rows: Sequence[Row], released: Sequence[Row], journal: Journal, before: Sequence[PlannedStep]) -> list[Row]:
    """Lowest ids first, which is as good as at random and does not move when rows are added; released rows count against the quota."""
    assert isinstance(step.spec, Mix)
    words = step.spec.mix
    taken = Counter(str(row.fields.get(words.by)) for row in released)
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: row.id):
        value = str(row.fields.get(words.by))
        most = words.at_most if isinstance(words.at_most, int) else words.at_most.get(value)
        fits = most is None or taken[value] < most
        taken[value] += fits
        reason = "" if fits else "over_quota"
        evidence = f"{words.by} = {value}, at most {most}" if most is not None else f"{words.by} = {value}, no quota"
        if journal.decide(step, row, "mix", reason, evidence):
            kept.append(row)
    return kept
