"""The terms on which money is spent: what the governor is told, and who is asked in paid batches."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datagen.asking.batches.desk import Desk
from datagen.asking.ledger.accounts import in_month, owner_of
from datagen.asking.ledger.book import Ledger, accounts_of
from datagen.asking.ledger.segments import await_end, segment_id, segments, writer_of
from datagen.asking.limits.chief import Chief
from datagen.asking.limits.governor import Caution, Governor
from datagen.asking.limits.lanes import Limits
from datagen.asking.prices import Allowance, Purse
from datagen.asking.rounds import Rounds
from datagen.errors import OUTCOMES, DatagenError
from datagen.plan.model import Chair, Plan
from datagen.records import NANO, Spend
from datagen.running.mooring import Mooring
from datagen.runtime.base import Runtime
from datagen.spec.terms import Budget, ReleaseBudget
from datagen.steps.cohort import Season
from datagen.steps.part import seat


def build_name(plan: Plan, this: Season) -> str:
    """What money is counted under: one release of one spec, over all runs that lead to it."""
    return f"{plan.name}/{this.label}{'/simulated' if plan.simulated else ''}"


def month_of(moment: datetime) -> str:
    """The calendar month (UTC) that pays for a run that begins then: `2026-11`."""
    return f"{moment.astimezone(UTC):%Y-%m}"


def rounds_of(plan: Plan, driver: Ledger, runtime: Runtime) -> Rounds | None:
    """Who asks in batches; None where nobody does."""
    chairs = {name: chair for name, chair in plan.chairs.items() if chair.spec.mode == "batch"}
    if not chairs:
        return None
    return Rounds(driver, {name: _desk(chair) for name, chair in chairs.items()}, _Money(runtime))


def orphans(plan: Plan, driver: Ledger) -> list[str]:
    """Paid batches of this very release that no teacher of the spec can ask for any more: what they bring is lost unless one is."""
    mine = {(chair.provider, chair.label, chair.model) for chair in plan.chairs.values() if chair.spec.mode == "batch"}
    return [
        f"batch {job.tag} of {job.provider}/{job.model} ({job.requests - job.answered:,} requests) is still under way, and no teacher of this spec "
        f"is that model in batches: ask it so again, or give it up with `datagen ledger release {driver.folder} {job.tag}`"
        for job in driver.standing()
        if job.build == driver.build and (job.provider, job.label, job.model) not in mine
    ]


def _desk(chair: Chair) -> Desk:
    spec = chair.spec
    return Desk(seat(chair), chair.provider, chair.label, chair.model, spec.batch, spec.patience, chair.simulated)


@dataclass(frozen=True)
class _Money:
    """The governor's purse, wherever the runtime hosts it."""

    runtime: Runtime

    async def take(self, teacher: str, worst: Spend) -> bool:
        return bool(await self.runtime.shared("take", teacher, worst))

    async def give(self, teacher: str, worst: Spend, used: Spend) -> None:
        await self.runtime.shared("give", teacher, worst, used)

    async def short(self, teacher: str, worst: Spend) -> str:
        return str(await self.runtime.shared("short", teacher, worst))

    async def weigh(self, teacher: str, counts: Mapping[str, int]) -> DatagenError | None:
        found: DatagenError | None = await self.runtime.shared("weigh", teacher, counts)
        return found


WRITERS = 900
"""Numbers of workers in the names of their segments; a worker that takes the place of a dead one has a new number."""


class Terms:
    """How the governor is made: limits and caps of the spec, and what the ledger says was spent or may have been."""

    def __init__(self, plan: Plan, budget: float | None, driver: Ledger, mooring: Mooring | None = None) -> None:
        """`mooring`: where workers share no disk with the driver, how it sees what they recorded."""
        self._plan, self._budget, self._driver, self._mooring = plan, budget, driver, mooring
        self._start = driver.newest

    def alone(self) -> Governor:
        return Governor(*self._terms(self._driver))

    def among(self, workers: Sequence[int], reborn: bool) -> Callable[[], Chief]:
        """What live workers spent they say themselves; all else is in the ledger."""
        ledger = self._driver
        if reborn:
            self._gather()
            alive = {worker % WRITERS for worker in workers}
            skip = functools.partial(self._is_of, alive)
            ledger = Ledger(ledger.folder, ledger.build, month=ledger.month, skip=skip)
            ledger.close()
        terms = self._terms(ledger)
        return functools.partial(Chief, *terms, count=len(workers), holders=tuple(map(str, workers)) if reborn else ())

    def spent(self, worker: int) -> dict[str, Spend] | None:
        """By teacher, once its writer is gone; None where it does not go."""
        folder = self._driver.folder
        self._gather()
        if not await_end(folder, worker % WRITERS):
            return None
        mine = [path for path in segments(folder) if self._is_of({worker % WRITERS}, segment_id(path))]
        return {name: account.committed for name, account in accounts_of(mine).get(self._driver.build, {}).items()}

    def rescue(self) -> Callable[[], None] | None:
        """On a machine that shares no disk with the driver, a dead worker's last records have yet to be sent."""
        return self._mooring.rescuing() if self._mooring else None

    def _gather(self) -> None:
        if self._mooring:
            self._mooring.gather()

    def _is_of(self, workers: Collection[int], segment: int) -> bool:
        """Whether one of these workers writes it."""
        return segment > self._start and writer_of(segment) in workers

    def _terms(self, ledger: Ledger) -> tuple[Any, ...]:
        accounts = ledger.accounts.get(ledger.build, {})
        budget, guard = self._plan.spec.release.budget, self._plan.spec.guard
        bad = [name for name, ending in OUTCOMES.items() if ending.counts]
        given = guard.error_share
        shares = {str(name): share for name, share in given.items()} if isinstance(given, dict) else dict.fromkeys(bad, given)
        standing = {name: account.standing for name, account in accounts.items()}
        committed = {name: account.committed - standing[name] for name, account in accounts.items()}
        purse = Purse(*_caps(budget, self._budget), month=_allowance(budget, ledger))
        return limits_of(self._plan), purse, committed, Caution(shares, guard.window), time.monotonic, standing


def limits_of(plan: Plan) -> dict[str, Limits]:
    """What each teacher allows and may be asked."""
    return {name: _limits(chair) for name, chair in plan.chairs.items()}


def _limits(chair: Chair) -> Limits:
    spec = chair.spec
    rates = (spec.requests_per_minute, spec.input_tokens_per_minute, spec.output_tokens_per_minute, spec.tokens_per_minute)
    cost, tokens, requests = _caps(spec.budget)
    account = " ".join((chair.base_url or "", chair.label, spec.api_key_env or "", chair.model))
    return Limits(spec.max_in_flight, *rates, patience=spec.patience, cost=cost, tokens=tokens, requests=requests, account=account)


def _caps(budget: Budget, usd: float | None = None) -> tuple[int | None, int | None, int | None]:
    dollars = usd or budget.usd
    return int(dollars * NANO) if dollars else None, budget.tokens, budget.requests


def _allowance(budget: ReleaseBudget, ledger: Ledger) -> Allowance | None:
    """What the month has room for. Batches of this release that another month pays for may yet free money in the purse, which is none of
    this month's: until they are back they count here too."""
    if budget.usd_per_month is None or not ledger.month:
        return None
    release = sum(account.committed.cost for account in ledger.accounts.get(ledger.build, {}).values())
    others = sum(account.standing.cost for month, account in ledger.months.get(ledger.build, {}).items() if month != ledger.month)
    taken = in_month(ledger.months, owner_of(ledger.build), ledger.month).cost
    return Allowance(ledger.month, int(budget.usd_per_month * NANO), taken - (release - others))


@dataclass(frozen=True, slots=True)
class Bill:
    """What a ledger says at one moment of one release, and of the month that pays."""

    settled: Spend
    """Of the release: answers, attempts that may have been billed, and what was sent online and has no end, all runs together."""
    in_flight: Spend
    """Of that: what has no end."""
    standing: Spend
    """Beside it: reserved for paid batches under way."""
    month: str
    monthly: Spend
    """Of all releases of the spec, in this month."""
    records: int
    """Answers in the ledger."""
    cap: float | None
    """Dollars of the release."""
    monthly_cap: float | None

    @property
    def requests(self) -> int:
        """Sent and billed, possibly billed or without an end."""
        return (self.settled + self.standing).requests

    def open_requests(self) -> dict[str, int]:
        return {"in_flight": self.in_flight.requests, "in_batches": self.standing.requests}

    def dollars(self, before: Bill) -> dict[str, float | None]:
        """`before`: the same at the start of the run."""
        whole = self.settled + self.standing
        return {
            "run": (self.settled - before.settled).cost / NANO,
            "release": whole.cost / NANO,
            "cap": self.cap,
            "left": None if self.cap is None else left_of(self.cap, whole),
            "in_flight": self.in_flight.cost / NANO,
            "in_batches": self.standing.cost / NANO,
        }

    def of_month(self) -> dict[str, str | float | None]:
        cap = self.monthly_cap
        return {"month": self.month, "usd": self.monthly.cost / NANO, "cap": cap, "left": None if cap is None else left_of(cap, self.monthly)}


def bill_of(folder: Path, build: str, month: str, budget: ReleaseBudget, usd: float | None = None) -> Bill:
    """Read the ledger in `folder`. `usd`: a cap that wins over the spec's."""
    ledger = Ledger(folder, build)
    accounts = [*ledger.accounts.get(build, {}).values()]
    standing, in_flight, committed = (
        sum((getattr(account, name) for account in accounts), Spend()) for name in ("standing", "in_flight", "committed")
    )
    monthly, records = in_month(ledger.months, owner_of(build), month), len(ledger)
    ledger.close()
    return Bill(committed - standing, in_flight, standing, month, monthly, records, usd or budget.usd, budget.usd_per_month)


def left_of(cap: float, spent: Spend) -> float:
    """Dollars; never less than none, though a server that bills beyond the worst case may have passed the cap."""
    return max(0, int(cap * NANO) - spent.cost) / NANO
