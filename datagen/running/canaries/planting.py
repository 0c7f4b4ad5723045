"""Rows known to be good or bad go through a build's filters, checks, dedup and decontamination, and nowhere else.

The arithmetic is that of planted faults (`release/pages/planted.py`), for builds whose teachers label nothing. Planted rows have a journal of
their own that is never written: no count, no quota, no released byte depends on them. Steps within a `repeat` are not tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from datagen.asking.ask import Asker
from datagen.plan.model import Plan, PlannedStep
from datagen.records import Row, digest
from datagen.release.tables import CANARIES
from datagen.running.canaries.claims import false_claims, true_claims
from datagen.running.canaries.counts import Canary, Told, counted, of_steps
from datagen.running.canaries.damage import bad_ones, good_ones
from datagen.runtime.pool import ProcessPool
from datagen.seeds.labelled import GOOD, SEEDS, Labelled, LabelledSet, labelled_set
from datagen.spec.models import Check, Decontaminate, Dedup, Filter
from datagen.steps.journal import Journal
from datagen.steps.part import part_folder
from datagen.steps.walk import visit
from datagen.steps.work import Work
from datagen.storage import read_rows, write_json

PATIENCE = 1800.0
"""Seconds for reading reference sets of some 10^5 items and holding planted rows against them."""


async def plant(plan: Plan, out: Path, base: Path) -> None:
    """Measure the judging steps of a build whose rows stand under OUT/steps, and write it to steps/canaries.json. `base`: of the spec's paths."""
    (out / "steps" / CANARIES).unlink(missing_ok=True)
    wanted = plan.spec.guard.canaries
    judging = any(isinstance(step.spec, Filter | Check | Dedup | Decontaminate) for step in plan.steps)
    rows = list(_some_rows(plan, out / "steps", wanted.count)) if judging and wanted.count else []
    if not rows:
        return
    sets = [_known_good(name, rows, wanted.count, base) for name in wanted.good]
    told = await _in_rows(plan, rows, sets) | {"sets": await _in_sets(plan, rows, sets)}
    if told["steps"] or told["sets"]:  # else: texts of a few words
        write_json(out / "steps" / CANARIES, told)


def _known_good(name: str, rows: Sequence[Row], count: int, base: Path) -> LabelledSet:
    """A set by its name; `seeds:FIELD` is that field of the rows' own seeds, which no filter has judged."""
    if not name.startswith(SEEDS):
        return labelled_set(name, count, "guard.canaries.good:", base)
    texts = dict.fromkeys(str(row.fields.get(name.removeprefix(SEEDS)) or "") for row in rows)
    return LabelledSet("seeds", tuple(Labelled(text, GOOD, {}) for text in texts if text)[:count], digest(list(texts)))


def _some_rows(plan: Plan, root: Path, count: int) -> Iterator[Row]:
    """About `count` rows of the end of the line, from as few parts as it takes, both by digests: the same rows give the same choice."""
    last = plan.stretches[-1]
    folder = root / (last.closing.folder if last.closing else part_folder(plan, last.number)) / "kept"
    found = 0
    for path in sorted(folder.glob("*.parquet"), key=lambda path: digest(["canaries", path.stem])):
        some = sorted(read_rows(path), key=lambda row: digest(["canary", row.id]))[: count - found]
        found += len(some)
        yield from some
        if found >= count:
            return


async def _in_rows(plan: Plan, rows: Sequence[Row], sets: Sequence[LabelledSet]) -> dict[str, Any]:
    """Through filters and checks, in the order of the line."""
    count = plan.spec.guard.canaries.count
    filters, checks = ([step for step in plan.steps if isinstance(step.spec, kind)] for kind in (Filter, Check))
    canaries = [*bad_ones(plan, filters, rows, count), *false_claims(checks, rows, count)]
    canaries += [*good_ones(filters, rows, sets, count), *true_claims(checks, rows, sets, count)]
    pool = ProcessPool(size=1)
    try:
        steps = [step for step in plan.steps if isinstance(step.spec, Filter | Check)]
        told = await asyncio.gather(*(_walked(canary, plan, steps, pool) for canary in canaries))
    finally:
        pool.close()
    return counted(canaries, told)


async def _walked(canary: Canary, plan: Plan, steps: Sequence[PlannedStep], pool: ProcessPool) -> Told:
    """Over the steps that it visits, until one has dropped it."""
    journal, row, fell = Journal(tuple(steps)), canary.row, ""
    work = Work(plan, cast(Asker, None), pool, journal)  # filters and checks ask nobody
    for step in steps:
        if canary.visits and step.name not in canary.visits:
            continue
        went_on = await visit(step, row, work)
        if went_on is None:
            fell = step.name
            break
        row = went_on
    verdicts = [(each["step"], each["operator"], each["keep"]) for book in journal.books.values() for each in book.verdicts]
    return Told(verdicts, fell)


async def _in_sets(plan: Plan, rows: Sequence[Row], sets: Sequence[LabelledSet]) -> dict[str, Any]:
    """Beside rows of the build, at each step that sees the whole set: a twin beside its row, an item of a benchmark by itself."""
    if not any(isinstance(step.spec, Dedup | Decontaminate) for step in plan.steps):
        return {}
    from datagen.running.canaries.sets import plots, tried  # what a build without such a step never loads

    made = await asyncio.to_thread(lambda: [plot for plot in plots(plan, rows, sets, plan.spec.guard.canaries.count) if plot.canaries])
    pool, found = ProcessPool(size=1), dict[str, Any]()
    try:
        for plot in made:
            heavy = plot.stretch.closing is not None and plot.stretch.closing.references
            told = await (pool.call(tried, plan, plot, PATIENCE) if heavy else asyncio.to_thread(tried, plan, plot))
            found |= of_steps(plot.canaries, told) if told is not None else {}
    finally:
        pool.close()
    return found
