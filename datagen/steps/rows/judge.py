"""filter and check: operators look at one row; a filter drops, a check also writes what it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datagen.operators.base import Finding
from datagen.operators.recipe import Recipe
from datagen.plan.model import PlannedStep
from datagen.records import Row, Verdict
from datagen.spec.models import Check
from datagen.steps.work import Work

Findings = list[tuple[str, int, Finding]]


def judge(recipe: Recipe, fields: Mapping[str, Any]) -> Findings:
    """What runs in another process: plain, picklable, one row at a time."""
    return recipe.judge(fields)


async def run(step: PlannedStep, row: Row, work: Work) -> Row | None:
    """Keep the row, or drop it for the first operator that says so; all verdicts are written down."""
    assert step.recipe is not None
    wanted = {name: row.fields[name] for name in {*step.recipe.reads(), "task"} if name in row.fields}
    findings: Findings | None = await work.pool.call(judge, step.recipe, wanted)
    if findings is None:
        work.journal.drop(step, row, step.verb, "took_too_long", "the operators did not finish within the deadline; their process was ended")
        return None
    written: dict[str, Any] = {}
    fault: tuple[str, Finding] | None = None
    for operator, version, finding in findings:
        verdict = Verdict(row.id, step.name, operator, version, finding.keep, finding.reason, finding.score, finding.evidence)
        work.journal.verdict(step, verdict)
        written |= finding.fields
        if not finding.keep and fault is None:
            fault = operator, finding
    row = row.having(written)
    if fault is None or (isinstance(step.spec, Check) and not step.spec.gate):
        return row
    work.journal.drop(step, row, fault[0], fault[1].reason, fault[1].evidence, fault[1].score)
    return None
