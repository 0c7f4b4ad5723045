"""The pilot: a few seeds through the whole line first, so that yield and price of the whole are known while it is cheap to stop."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datagen.asking.prices import cost
from datagen.errors import LowYield
from datagen.plan.model import Plan
from datagen.records import NANO, Outcome, Usage
from datagen.running.stretch import Ahead, Crew, Tell, carry_out
from datagen.runtime.log import event
from datagen.steps.cohort import Cohort, cohort_of, part_lines, put_part
from datagen.steps.part import part_folder
from datagen.storage import read_json, read_rows, read_table, write_json

FOLDER = "pilot"
"""Under OUT/steps; thrown away when it has been counted: its answers are in the ledger."""
WORTHWHILE = 4
"""A pilot on which nothing hangs is taken of a build with at least so many times its rows."""


@dataclass(frozen=True)
class Forecast:
    """What the pilot says of the whole."""

    seeds: int
    """In the pilot."""
    rows: int
    """Curated rows that came of them."""
    spent: float
    """Dollars for their answers, by the prices of their teachers (also in a rehearsal)."""
    of: int
    """Seeds of the whole."""
    failed: int = 0
    """Rows of the pilot whose requests failed: the teacher's trouble, which the next run may not meet; they count for nothing."""

    @property
    def share(self) -> float:
        """Curated rows a seed."""
        return self.rows / max(self.seeds - self.failed, 1)

    def __str__(self) -> str:
        each = f"${self.spent / self.rows:.4f} a curated row" if self.rows else "no curated row"
        tried = f"{self.seeds} seeds" + (f", {self.failed} of them without an answer," if self.failed else "")
        whole = f"about {self.share * self.of:,.0f} rows for ${self.spent / self.seeds * self.of:,.2f}"
        return f"pilot: {tried} gave {self.rows} curated rows (yield {self.share:.0%}), {each}; the whole: {whole}"


def wanted(plan: Plan, cohorts: Sequence[Cohort]) -> bool:
    """Whether a pilot tells anything: a build that asks, with enough seeds that are not out yet. One that waits a day for its batches is
    taken only where its yield decides."""
    guard = plan.spec.guard
    fresh = sum(cohort.seeds for cohort in cohorts if not cohort.released)
    batch = any(chair.spec.mode == "batch" for chair in plan.chairs.values())
    if not (guard.pilot and plan.chairs):
        return False
    return fresh > guard.pilot if guard.min_yield else fresh >= WORTHWHILE * guard.pilot and not batch


def decides(plan: Plan) -> bool:
    """Whether the rest of the build waits for the pilot."""
    return plan.spec.guard.min_yield is not None


async def fly(crew: Crew, cohorts: Sequence[Cohort], tell: Tell) -> Forecast:
    """Take the first seeds through every stretch, count, and forecast. The first run of a plan flies; a later one reads what it found.

    Raises LowYield when the spec's `min_yield` is not reached.
    """
    fresh = next(cohort for cohort in cohorts if not cohort.released)
    path, mark = crew.root / "pilot.json", [crew.plan.fingerprint, fresh.sha256, crew.plan.spec.guard.pilot]
    found = read_json(path)
    if found and found["mark"] == mark:
        forecast = Forecast(**found["forecast"])
    else:
        forecast = await _flown(crew, fresh, tell)
        if not forecast.failed:  # else the next run finds out anew
            write_json(path, {"mark": mark, "forecast": asdict(forecast), "words": str(forecast)})
    told: dict[str, Any] = {"seeds": forecast.seeds, "rows": forecast.rows, "dollars": forecast.spent, "of": forecast.of, "yield": forecast.share}
    event("pilot_forecast", **told)
    least = crew.plan.spec.guard.min_yield
    if least is not None and forecast.share < least:
        raise LowYield(
            f"{forecast}. That is below min_yield {least:.0%}, so nothing more is asked: see why rows were dropped with `datagen preview --ask`"
        )
    return forecast


def ahead(crew: Crew, cohorts: Sequence[Cohort], flying: asyncio.Future[Forecast]) -> Ahead:
    """The parts from which the pilot takes its seeds: no other worker is to ask for these, until it can see the answers."""
    fresh = next(cohort for cohort in cohorts if not cohort.released)
    parts, seeds = set(), 0
    for part, size in fresh.parts.items():
        if seeds < crew.plan.spec.guard.pilot:
            parts.add(part)
            seeds += size

    async def landed() -> None:
        await asyncio.shield(flying)
        crew.runtime.spread()

    over = asyncio.ensure_future(landed())
    over.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever awaits the pilot hears of it
    return Ahead(frozenset(parts), over)


async def _flown(crew: Crew, fresh: Cohort, tell: Tell) -> Forecast:
    folder = crew.root / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    every = itertools.chain.from_iterable(part_lines(crew.root, part) for part in fresh.parts)
    lines = list(itertools.islice((line for line, _ in itertools.groupby(every)), crew.plan.spec.guard.pilot))
    cohort = cohort_of(lines)
    for part, mine in itertools.groupby(lines, key=cohort.part_of_line):
        put_part(folder, part, list(mine))
    failed = 0
    for stretch in crew.plan.stretches:
        progress = await carry_out(crew, stretch, [cohort], tell, FOLDER)
        failed += sum(count["unanswered"].get(Outcome.FAILED, 0) for count in progress.counts.values())
    whole = sum(fresh.parts.values())
    forecast = Forecast(len(lines), _kept(crew.plan, cohort, folder), _spent(crew.plan, folder), whole, min(failed, len(lines)))
    shutil.rmtree(folder)
    return forecast


def _kept(plan: Plan, cohort: Cohort, folder: Path) -> int:
    last = plan.stretches[-1]
    kept = folder / (last.closing.folder if last.closing else part_folder(plan, last.number)) / "kept"
    return sum(len(read_rows(kept / f"{part}.parquet")) for part in cohort.parts)


def _spent(plan: Plan, folder: Path) -> float:
    calls: dict[str, Mapping[str, Any]] = {}
    for path in folder.glob("*/calls/*.parquet"):
        calls.update((call["key"], call) for call in read_table(path))
    return sum(_cost(plan, call) for call in calls.values()) / NANO


def _cost(plan: Plan, call: Mapping[str, Any]) -> int:
    price = plan.chairs[call["teacher"]].price
    usage = Usage(call["input_tokens"], call["output_tokens"], call["cached_tokens"], call["cache_write_tokens"], call["reasoning_tokens"])
    return cost(price, usage) if price else 0
