"""The terms on which money is spent: what the governor is told, and who is asked in paid batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from datagen.asking.batches.desk import Desk
from datagen.asking.ledger.accounts import Account
from datagen.asking.ledger.book import Ledger
from datagen.asking.limits.governor import Caution, Governor
from datagen.asking.limits.lanes import Limits
from datagen.asking.prices import Purse
from datagen.asking.rounds import Rounds
from datagen.errors import OUTCOMES, DatagenError
from datagen.plan.model import Chair, Plan
from datagen.records import NANO, Spend
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


def governing(plan: Plan, budget: float | None, accounts: Mapping[str, Account]) -> Callable[[], Governor]:
    """How to make the governor: limits and caps of the spec, and what earlier runs of this release spent or may have spent."""
    caps = _caps(plan.spec.release.budget, budget)
    guard = plan.spec.guard
    bad = [name for name, ending in OUTCOMES.items() if ending.counts]
    given = guard.error_share
    shares = {str(name): share for name, share in given.items()} if isinstance(given, dict) else dict.fromkeys(bad, given)
    limits = {name: _limits(chair) for name, chair in plan.chairs.items()}
    standing = {name: account.standing for name, account in accounts.items()}
    committed = {name: account.committed - standing[name] for name, account in accounts.items()}
    return functools.partial(Governor, limits, Purse(*caps), committed, Caution(shares, guard.window), standing=standing)


def _limits(chair: Chair) -> Limits:
    spec = chair.spec
    rates = (spec.requests_per_minute, spec.input_tokens_per_minute, spec.output_tokens_per_minute, spec.tokens_per_minute)
    cost, tokens, requests = _caps(spec.budget)
    account = " ".join((chair.base_url or "", chair.label, spec.api_key_env or "", chair.model))
    return Limits(spec.max_in_flight, *rates, patience=spec.patience, cost=cost, tokens=tokens, requests=requests, account=account)


def _caps(budget: Budget, usd: float | None = None) -> tuple[int | None, int | None, int | None]:
    dollars = usd or budget.usd
    return int(dollars * NANO) if dollars else None, budget.tokens, budget.requests
