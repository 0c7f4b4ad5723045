"""A row walks a stretch as one coroutine; a group step awaits its siblings inside the parent's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from datagen.asking.ask import Deferred, NotAsked
from datagen.errors import SpecError
from datagen.plan.model import PlannedStep
from datagen.records import Row
from datagen.spec.models import Ask
from datagen.spec.templates import evaluate
from datagen.steps import GROUPS, ROWS
from datagen.steps.rows.ask import UNSET, children
from datagen.steps.work import Work


class Waits(Exception):
    """A row stands still until a round of paid batches has come back; the journal has it."""


async def walk(siblings: Sequence[Row], steps: Sequence[PlannedStep], work: Work, waits: bool = False) -> list[Row]:
    """Take the children of one parent through `steps`; returns the rows that are left at the end.

    `waits`: a sibling stands still already. A group step then holds the others: a choice among some of them could be another one tomorrow,
    and what is asked about the wrong winner is paid for.
    """
    plain = list(takewhile(lambda step: step.scope == "row" and not step.fans_out, steps))
    rest = steps[len(plain) :]
    rows, standing = await _all([_branch(row, plain, rest, work) for row in siblings])
    if not rest or rest[0].scope != "group":
        return rows
    if waits or standing:
        work.journal.enter(rest[0], len(rows))
        work.journal.held(rest[0], len(rows))
        return []
    return await walk(_group(rest[0], rows, work), rest[1:], work)


async def _branch(row: Row, plain: Sequence[PlannedStep], rest: Sequence[PlannedStep], work: Work) -> list[Row]:
    """One sibling through the plain steps and, where the line fans out next, its children to the end of the line."""
    for step in plain:
        went_on = await visit(step, row, work)
        if went_on is None:
            return []
        row = went_on
    if not rest or not rest[0].fans_out:
        return [row]
    return await _family(row, rest[0], rest[1:], work)


async def _family(parent: Row, step: PlannedStep, rest: Sequence[PlannedStep], work: Work) -> list[Row]:
    """The children of one row, asked side by side or, `in_order`, one after another."""
    born = [parent.child(step.name, 0, {})] if _passes_by(step, parent) else children(step, parent)
    work.journal.enter(step, max(len(born), 1), came_from=1)
    if not born:
        work.journal.decide(step, parent, "each", "empty_list")
        return []
    if isinstance(step.spec, Ask) and step.spec.in_order:
        asked, waits = await _in_order(born, step, work)
    else:
        asked, waits = await _all([_one(visit(step, child, work, counted=True)) for child in born])
    return await walk(asked, rest, work, waits) if asked else []


def _passes_by(step: PlannedStep, parent: Row) -> bool:
    """True where the row stays one row. `visit` says the rest: also that an expression cannot be computed."""
    try:
        return step.spec.when is not None and not evaluate(step.spec.when, parent.fields)
    except SpecError:
        return True


async def _in_order(born: Sequence[Row], step: PlannedStep, work: Work) -> tuple[list[Row], bool]:
    """The children that were asked, and whether one waits: those after it cannot know yet what comes before them."""
    asked: list[Row] = []
    previous: Any = None
    for number, child in enumerate(born, start=1):
        try:
            answered = await visit(step, child.having({"previous": previous}), work, counted=True)
        except Waits:
            work.journal.held(step, len(born) - number)
            return asked, True
        if answered is not None:
            own = {name: value for name, value in answered.fields.items() if name != "previous"}
            previous = {name: own.get(name) for name in step.writes}
            asked.append(replace(answered, fields=own))
    return asked, False


async def _one(visiting: Awaitable[Row | None]) -> list[Row]:
    row = await visiting
    return [] if row is None else [row]


async def visit(step: PlannedStep, row: Row, work: Work, counted: bool = False) -> Row | None:
    """One row through one row-wise step; None when it left the line. A value that cannot be computed drops the row, not the build.

    Raises Waits where its teacher answers in batches and has not yet.
    """
    if not counted:
        work.journal.enter(step, 1)
    try:
        if step.spec.when is not None and not evaluate(step.spec.when, row.fields):
            left: Row | None = row.having({name: row.fields.get(name, UNSET) for name in step.writes})
        else:
            left = await ROWS.get(step.verb)(step, row, work)
    except SpecError as error:
        work.journal.decide(step, row, step.verb, "not_computable", str(error))
        return None
    except NotAsked as missing:
        work.journal.not_asked(step, row, str(missing))
        return None
    except Deferred as deferred:
        work.journal.waiting(step, row, deferred.request, deferred.teacher)
        raise Waits from None
    if left is not None:
        work.journal.keep(step)
    return left


def _group(step: PlannedStep, siblings: Sequence[Row], work: Work) -> list[Row]:
    """Group steps see siblings in the order of their ids, so that nothing depends on who answered first."""
    ordered = sorted(siblings, key=lambda row: row.id)
    work.journal.enter(step, len(ordered))
    kept: list[Row] = GROUPS.get(step.verb)(step, ordered, work) if ordered else []
    work.journal.keep(step, len(kept))
    return kept


async def _all(branches: Sequence[Awaitable[list[Row]]]) -> tuple[list[Row], bool]:
    """Every branch to its end, then the first failure if there was one: what is in flight lands. Also: whether any row stands still."""
    results = await asyncio.gather(*branches, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Waits):
            raise result
    rows = [row for result in results if isinstance(result, list) for row in result]
    return rows, any(isinstance(result, Waits) for result in results)
