"""filter and check: operators look at one row; a filter drops, a check also writes what it found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from datagen.operators.base import Finding, Operator
from datagen.operators.recipe import Recipe
from datagen.plan.model import PlannedStep
from datagen.plan.overrides import told_apart
from datagen.records import Row, Verdict
from datagen.spec.models import Check
from datagen.steps.work import Work

SHORTEST = 3
"""Characters of evidence that are looked for in the text: one or two letters stand in any text."""


class Said(NamedTuple):
    """One operator's finding, under its name within the step, and where its evidence stands."""

    operator: str
    version: int
    finding: Finding
    field: str
    span: tuple[int, int] | None
    """First character and the one after the last, in the field."""


def judge(recipe: Recipe, fields: Mapping[str, Any]) -> list[Said]:
    """What runs in another process: plain, picklable, one row at a time."""
    seen, said = dict(fields), []
    judging = ((name, operator) for name, operator in named(recipe) if operator.judges(fields.get("task")))
    for (name, operator), (_, version, finding) in zip(judging, recipe.judge(fields), strict=True):
        said.append(Said(name, version, finding, operator.on, finding.span or span_of(operator, finding, seen)))
        seen.update(finding.fields)
    return said


def named(recipe: Recipe) -> Iterator[tuple[str, Operator]]:
    """The operators under names that tell them apart: the second `length` of a recipe is `length_2`."""
    return zip(told_apart(name for name, _ in recipe.operators), (operator for _, operator in recipe.operators), strict=True)


def span_of(operator: Operator, finding: Finding, fields: Mapping[str, Any]) -> tuple[int, int] | None:
    """Where the evidence stands in the judged text; None where it is no part of it (`3 words`)."""
    sought = finding.evidence.strip().strip("…").removesuffix("...").removeprefix("...").strip()
    if len(sought) < SHORTEST:
        return None
    text = operator.text(fields)
    at, low = text.find(sought), text.lower()
    if at < 0 and len(low) == len(text):  # some operators look at small letters alone
        at = low.find(sought.lower())
    return (at, at + len(sought)) if at >= 0 else None


async def run(step: PlannedStep, row: Row, work: Work) -> Row | None:
    """Keep the row, or drop it for the first operator that says so; all verdicts are written down."""
    assert step.recipe is not None
    wanted = {name: row.fields[name] for name in {*step.recipe.reads(), "task"} if name in row.fields}
    said: list[Said] | None = await work.pool.call(judge, step.recipe, wanted, step.recipe.deadline())
    if said is None:
        late = "the operators did not finish within the deadline; their process was ended"
        work.journal.decide(step, row, step.verb, "took_too_long", late)
        return None
    fault: Said | None = None
    for each in said:
        finding, (start, end) = each.finding, each.span or (None, None)
        told = finding.keep, finding.reason, finding.score, finding.evidence
        work.journal.verdict(step, Verdict(row.id, step.name, each.operator, each.version, *told, each.field, start, end))
        if not finding.keep and fault is None:
            fault = each
    row = row.having({name: value for each in said for name, value in each.finding.fields.items()})
    if fault is None or (isinstance(step.spec, Check) and not step.spec.gate):
        return row
    work.journal.drop(step, row, fault.operator, fault.finding.reason, fault.finding.evidence, fault.finding.score)
    return None
