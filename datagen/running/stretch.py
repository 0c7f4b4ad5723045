"""One stretch to its end: all its parts, as often as paid batches make it necessary, then the set-wise step that closes it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datagen.asking.rounds import Rounds
from datagen.errors import BudgetReached, Interrupted
from datagen.plan.model import Plan, PlannedStep, Stretch
from datagen.records import Request
from datagen.running.collapse import CollapseWatch
from datagen.running.mooring import Mooring
from datagen.runtime.base import Runtime
from datagen.runtime.log import event
from datagen.steps.closing import close
from datagen.steps.cohort import Cohort, add_up
from datagen.steps.part import Unit, standing, waiting_requests
from datagen.storage import write_json

AIR = 2
"""Rows in the air per place in flight: enough that a finished part is replaced before the limit runs dry."""


LOOKED_AT = 64
"""Parts that are looked through between two turns of the event loop."""


@dataclass(frozen=True)
class Ahead:
    """Parts whose first seeds somebody else is asking for: they wait, or these would be paid for twice."""

    parts: frozenset[str]
    over: asyncio.Future[None]

    async def await_for(self, unit: Unit) -> None:
        if not unit.under and unit.part in self.parts:
            await asyncio.shield(self.over)


@dataclass
class Crew:
    """Who carries out a plan, and where."""

    plan: Plan
    root: Path
    """OUT/steps."""
    runtime: Runtime
    rounds: Rounds | None
    """None where no teacher is asked in batches."""
    wait: bool = True
    """Wait for paid batches to come back; else raise Waiting when they are under way."""
    round: int = 0
    """Rounds of paid batches so far."""
    mooring: Mooring | None = None
    """Where workers share no disk with this process: how their files come and go."""
    ahead: Ahead | None = None
    """The pilot, where it flies beside the whole and its answers do not reach all workers at once."""
    collapse: CollapseWatch | None = None
    """Looks whether what is written becomes alike."""
    alarms: list[str] = field(default_factory=list)
    """What it has said and nobody has shown yet."""
    notes: list[str] = field(default_factory=list)
    """What steps that see the whole set have to say of it."""
    torn: dict[str, None] = field(default_factory=dict)
    """What of the ledger workers found damaged, in words; each once."""
    rows: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """Step, fate, operator, reason -> rows of what this run made, the pilot left out."""

    def made(self, stretch: Stretch, manifest: Mapping[str, Any]) -> None:
        """Count the rows of a part, or of a cohort, that was made anew."""
        names = {str(step.number): step.name for step in (*stretch.steps, *([stretch.closing] if stretch.closing else []))}
        for number, count in manifest["counts"].items():
            step = names[number]
            self.rows[step, "kept", "", ""] += count["kept"]
            for operator, reasons in count["dropped"].items():
                self.rows.update({(step, "dropped", operator, reason): rows for reason, rows in reasons.items()})
            self.rows.update({(step, "unanswered", "", outcome): rows for outcome, rows in count["unanswered"].items()})


@dataclass
class Progress:
    """How far a stretch is; the terminal looks at it."""

    name: str
    of: int
    done: int = 0
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: bool = False
    """True when anything was made anew."""

    def add(self, manifest: Mapping[str, Any]) -> None:
        """Add what a part, or a cohort, says of each step."""
        self.made |= manifest["made"]
        for number, count in manifest["counts"].items():
            self.counts[number] = add_up([self.counts.get(number, add_up([])), count])


Tell = Callable[[Progress], None]


async def carry_out(crew: Crew, stretch: Stretch, cohorts: Sequence[Cohort], tell: Tell, under: str = "") -> Progress:
    """Take all seeds of `cohorts` through one stretch. `under` names a folder of the root where all is read and written instead.

    Raises what stops a build; what was recorded until then is not asked again.
    """
    progress, began, pilot = Progress(_named(stretch), sum(cohort.seeds for cohort in cohorts)), time.monotonic(), bool(under)
    event("stretch_started", step=progress.name, seeds=progress.of, pilot=pilot)
    tell(progress)
    while True:
        try:
            waiting = await _walk(crew, stretch, cohorts, progress, under)
        except BudgetReached:
            if not (crew.rounds and crew.rounds.standing()):
                raise
            crew.round += 1
            await crew.rounds.free(crew.wait)
        else:
            if not waiting:
                break
            assert crew.rounds is not None
            await _round(crew, crew.rounds, _requests(crew.root / under, waiting))
        progress.done, progress.counts = 0, {}
    if stretch.closing is not None:
        for number, cohort in enumerate(cohorts):
            closed = await asyncio.to_thread(close, crew.plan, stretch, cohort, cohorts[:number], crew.root / under)
            progress.add(closed)
            if closed["made"] and not pilot:
                crew.made(stretch, closed)
        crew.notes += closed.get("notes", []) if not pilot else []  # the last cohort has seen the others
    for step in (*stretch.steps, *([stretch.closing] if stretch.closing else [])):
        write_json(crew.root / under / step.folder / "manifest.json", {**_head(step), **progress.counts.get(str(step.number), add_up([]))})
    event("stretch_finished", step=progress.name, **_fates(progress.counts), seconds=round(time.monotonic() - began, 3), pilot=pilot)
    return progress


async def _walk(crew: Crew, stretch: Stretch, cohorts: Sequence[Cohort], progress: Progress, under: str) -> list[str]:
    """Every part once. Returns the parts in which rows wait for a batch. Raises TooManyFailures where too much of what batches brought
    is useless; online, the next request is turned away for that."""
    sizes = {part: seeds for cohort in cohorts for part, seeds in cohort.parts.items()}
    waiting: list[str] = []
    if crew.mooring:
        await asyncio.to_thread(crew.mooring.push_steps)
    made: list[str] = []
    try:
        async for manifest in _parts(crew, stretch, cohorts, under):
            progress.done += 0 if manifest["waiting"] else sizes[manifest["part"]]
            progress.add(manifest)
            crew.torn |= dict.fromkeys(manifest["torn"])
            _tell_part(progress.name, manifest, bool(under))
            if manifest["made"] and not under:
                crew.made(stretch, manifest)
                made.append(manifest["part"])
            if manifest["waiting"]:
                waiting.append(manifest["part"])
            if not crew.mooring:
                await _look(crew, stretch, made)
    except Interrupted:
        if crew.collapse and crew.collapse.stop:
            raise crew.collapse.stop from None
        raise
    if crew.mooring:
        await asyncio.to_thread(crew.mooring.take_steps)
        await _look(crew, stretch, made)
    stop = (crew.collapse.stop if crew.collapse else None) or (await crew.runtime.shared("stopped") if crew.rounds else None)
    if stop is not None:
        raise stop
    return sorted(waiting)


async def _look(crew: Crew, stretch: Stretch, made: list[str]) -> None:
    """Let parts be looked at that were made and lie here. Where the spec stops at what is seen, nothing new is sent and what is in flight
    lands."""
    while crew.collapse and made:
        crew.alarms += await asyncio.to_thread(crew.collapse.look, stretch, made.pop())
        if crew.collapse.stop:
            await crew.runtime.drain()


def _tell_part(step: str, manifest: Mapping[str, Any], pilot: bool) -> None:
    """Log a part; one that was found as it was is no news."""
    if manifest["waiting"]:
        event("part_waiting", step=step, part=manifest["part"], requests=manifest["waiting"], pilot=pilot)
    elif manifest["made"]:
        told = {name: manifest[name] for name in ("asked", "replayed")} | {"seconds": round(manifest["seconds"], 3)}
        event("part_finished", step=step, part=manifest["part"], **_fates(manifest["counts"]), **told, pilot=pilot)


def _fates(counts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What became of rows: kept at the end of the line that the counts are of, dropped and unanswered anywhere in it."""
    last = max(counts, key=int, default="")
    dropped = sum(sum(reasons.values()) for count in counts.values() for reasons in count["dropped"].values())
    unanswered = sum(sum(count["unanswered"].values()) for count in counts.values())
    return {"kept": counts[last]["kept"] if last else 0, "dropped": dropped, "unanswered": unanswered}


async def _round(crew: Crew, rounds: Rounds, requests: Iterator[tuple[str, Request]]) -> None:
    """Ask what rows wait for in paid batches."""
    crew.round += 1
    await rounds.run(requests, crew.wait, crew.round)


async def _parts(crew: Crew, stretch: Stretch, cohorts: Sequence[Cohort], under: str) -> AsyncIterator[dict[str, Any]]:
    """What parts say of themselves: first those that stand as they were left, which no worker needs to see."""
    groups = any(step.scope == "group" for step in crew.plan.steps)
    failed = tuple(crew.rounds.report.failed.items()) if crew.rounds else ()
    units = [
        Unit(stretch.number, part, settled=cohort.released and groups, under=under, round=crew.round, failed=failed)
        for cohort in cohorts
        for part in cohort.parts
    ]
    left: list[Unit] = []
    for at in range(0, len(units), LOOKED_AT):
        some = units[at : at + LOOKED_AT]
        for unit, manifest in zip(some, await asyncio.to_thread(_standing, crew, some), strict=True):
            if manifest is None:
                left.append(unit)
            else:
                yield {**manifest, "torn": []}
    most = sum(chair.spec.max_in_flight for chair in crew.plan.chairs.values())
    seeds = sum(cohort.seeds for cohort in cohorts)
    first = crew.ahead.await_for if crew.ahead else None
    async for manifest in crew.runtime.map(left, max(2, -(-AIR * most * len(units) // max(seeds, 1)) + 1), first):
        yield manifest


def _standing(crew: Crew, units: Sequence[Unit]) -> list[dict[str, Any] | None]:
    """Workers alone know whether what was rejected is asked again, so such parts go to them."""
    return [standing(crew.plan, crew.root / unit.under, unit, again=True) for unit in units]


def _requests(root: Path, parts: Sequence[str]) -> Iterator[tuple[str, Request]]:
    return itertools.chain.from_iterable(waiting_requests(root, part) for part in parts)


def _named(stretch: Stretch) -> str:
    return " > ".join(step.name for step in stretch.steps) or (stretch.closing.name if stretch.closing else "seeds")


def _head(step: PlannedStep) -> dict[str, Any]:
    about = step.prompt.about if step.prompt else ""
    return {"number": step.number, "name": step.name, "verb": step.verb, "scope": step.scope, "about": about, "fingerprint": step.fingerprint}
