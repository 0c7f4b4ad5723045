"""repeat: go round until it is good enough, at most so often."""

from __future__ import annotations

from datagen.plan.model import PlannedStep
from datagen.records import Row
from datagen.spec.models import Ask, Repeat
from datagen.spec.templates import evaluate
from datagen.steps.rows import ask, judge
from datagen.steps.work import Work


async def run(step: PlannedStep, row: Row, work: Work) -> Row | None:
    """Each round overwrites the fields of the one before; what a later round did not reach stays. Writes <name>_rounds."""
    assert isinstance(step.spec, Repeat)
    for round_ in range(step.spec.repeat.at_most):
        for inner in step.inner:
            went_on = await _once(inner, row, work, round_)
            if went_on is None:
                return None
            row = went_on
        row = row.having({f"{step.name}_rounds": round_ + 1})
        if evaluate(step.spec.repeat.until, row.fields):
            break
    return row


async def _once(inner: PlannedStep, row: Row, work: Work, round_: int) -> Row | None:
    if inner.spec.when is not None and not evaluate(inner.spec.when, {**row.fields, "round": round_}):
        return row.having({name: row.fields.get(name) for name in inner.writes})
    if isinstance(inner.spec, Ask):
        return await ask.run(inner, row, work, round_)
    return await judge.run(inner, row, work)
