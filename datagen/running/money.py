"""The terms on which money is spent: what the governor is told, and who is asked in paid batches."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datagen.asking.batches.desk import Desk
from datagen.asking.ledger.accounts import Account
from datagen.asking.ledger.book import Ledger, accounts_of
from datagen.asking.ledger.segments import await_end, segment_id, segments, writer_of
from datagen.asking.limits.chief import Chief
from datagen.asking.limits.deputy import Deputy
from datagen.asking.limits.gate import Books
from datagen.asking.limits.governor import Caution, Governor
from datagen.asking.limits.lanes import Limits
from datagen.asking.prices import Purse
from datagen.asking.rounds import Rounds
from datagen.errors import OUTCOMES, DatagenError
from datagen.plan.model import Chair, Plan
from datagen.records import NANO, Spend
from datagen.running.mooring import Mooring
from datagen.runtime.base import Runtime
from datagen.spec.models import Budget
from datagen.steps.part import seat


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
        return Governor(*self._terms(self._driver.accounts.get(self._driver.build, {})))

    def among(self, workers: Sequence[int], reborn: bool) -> Callable[[], Chief]:
        """What live workers spent they say themselves; all else is in the ledger."""
        accounts = self._driver.accounts
        if reborn:
            self._gather()
            alive = {worker % WRITERS for worker in workers}
            book = Ledger(self._driver.folder, "", skip=lambda segment: segment > self._start and writer_of(segment) in alive)
            accounts = book.accounts
            book.close()
        terms = self._terms(accounts.get(self._driver.build, {}))
        return functools.partial(Chief, *terms, workers=tuple(map(str, workers)), reborn=reborn)

    def spent(self, worker: int) -> dict[str, Spend] | None:
        """By teacher, once its writer is gone; None where it does not go."""
        folder = self._driver.folder
        self._gather()
        if not await_end(folder, worker % WRITERS):
            return None
        mine = [path for path in segments(folder) if segment_id(path) > self._start and writer_of(segment_id(path)) == worker % WRITERS]
        return {name: account.committed for name, account in accounts_of(mine).get(self._driver.build, {}).items()}

    def rescue(self) -> Callable[[], None] | None:
        """On a machine that shares no disk with the driver, a dead worker's last records have yet to be sent."""
        return self._mooring.rescuing() if self._mooring else None

    def _gather(self) -> None:
        if self._mooring:
            self._mooring.gather()

    def _terms(self, accounts: Mapping[str, Account]) -> tuple[Any, ...]:
        budget, guard = self._plan.spec.release.budget, self._plan.spec.guard
        bad = [name for name, ending in OUTCOMES.items() if ending.counts]
        given = guard.error_share
        shares = {str(name): share for name, share in given.items()} if isinstance(given, dict) else dict.fromkeys(bad, given)
        standing = {name: account.standing for name, account in accounts.items()}
        committed = {name: account.committed - standing[name] for name, account in accounts.items()}
        purse = Purse(*_caps(budget, self._budget))
        return limits_of(self._plan), purse, committed, Caution(shares, guard.window), time.monotonic, standing


def books_of(plan: Plan, shared: Any, worker: int) -> Books:
    """The governor as a worker has it at hand: itself, or a deputy of one that is elsewhere."""
    return shared if isinstance(shared, Governor) else Deputy(limits_of(plan), shared, str(worker))


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
