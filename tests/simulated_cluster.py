"""Workers, their gates and deputies, one governor and one teacher, in virtual time: what the real ones do, without a network.

The chief and the deputies are the product's own; only the wire (a delay), the teacher (latency, limits it enforces) and the clock are not.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from datagen.asking.limits.chief import Chief
from datagen.asking.limits.deputy import Deputy
from datagen.asking.limits.gate import Gate
from datagen.asking.limits.lanes import Ended, Limits, Need
from datagen.asking.limits.leases import Lease, Report
from datagen.asking.prices import Purse
from datagen.errors import DatagenError, FaultKind
from datagen.records import Spend


@dataclass
class Teacher:
    """Answers after `latency` seconds; refuses what passes its limits, as a bucket of a minute's worth that began with `burst` seconds' worth."""

    latency: tuple[float, float] = (0.5, 1.5)
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    tokens: tuple[int, int] = (200, 400)
    burst: float = 5.0
    down: bool = False
    refused: int = 0
    answered: int = 0
    flying: int = 0
    most: int = 0
    _levels: dict[str, float] = field(default_factory=dict)
    _at: float = 0.0

    async def answer(self, chance: random.Random) -> tuple[FaultKind | None, int]:
        """(fault or none, tokens)."""
        loop = asyncio.get_running_loop()
        tokens = chance.randint(*self.tokens)
        if self.down:
            await asyncio.sleep(0.01)
            return "unreachable", 0
        if not self._admits(tokens, loop.time()):
            self.refused += 1
            await asyncio.sleep(0.01)
            return "rate_limited", 0
        self.flying += 1
        self.most = max(self.most, self.flying)
        await asyncio.sleep(chance.uniform(*self.latency))
        self.flying -= 1
        self.answered += 1
        return None, tokens

    def _admits(self, tokens: int, now: float) -> bool:
        passed, self._at = now - (self._at or now), now
        wants = {"requests": (self.requests_per_minute, 1.0), "tokens": (self.tokens_per_minute, float(tokens))}
        for name, (rate, _) in wants.items():
            if rate is not None:
                most = rate / 60 * self.burst
                self._levels[name] = min(most, self._levels.get(name, most) + passed * rate / 60)
        if any(rate is not None and self._levels[name] < amount for name, (rate, amount) in wants.items()):
            return False
        for name, (rate, amount) in wants.items():
            if rate is not None:
                self._levels[name] -= amount
        return True


class Wire:
    """Carries reports to the governor there is, however often it dies, and counts them."""

    def __init__(self, chief: Chief, delay: float) -> None:
        self.chief: Chief | None = chief
        self.messages = 0
        self._delay = delay

    async def exchange(self, report: Report) -> Lease:
        await asyncio.sleep(self._delay)
        while self.chief is None:
            await asyncio.sleep(0.1)
        self.messages += 1
        lease = self.chief.exchange(report)
        await asyncio.sleep(self._delay)
        return lease

    async def news(self, worker: str) -> None:
        while True:
            while self.chief is None:
                await asyncio.sleep(0.1)
            chief = self.chief
            await chief.news(worker)
            if chief is self.chief:
                self.messages += 1
                return


@dataclass
class Worker:
    """Asks `rows` times, many at once."""

    name: str
    gate: Gate
    deputy: Deputy
    teacher: Teacher
    chance: random.Random
    tickets: int
    done: int = 0
    turned_away: int = 0
    last: float = 0.0
    """When it sent last."""
    failure: DatagenError | None = None
    task: asyncio.Task[None] | None = None

    async def walk(self, rows: int, worst: Spend, name: str = "writer") -> None:
        await asyncio.gather(*(self._row(number, worst, name) for number in range(rows)), return_exceptions=True)

    async def _row(self, number: int, worst: Spend, name: str) -> None:
        tried = 0
        while True:
            self.tickets += 1
            need = Need(worst, 400, 300, ticket=self.tickets, tried=tried)
            try:
                await self.gate.admit(name, need)
            except DatagenError as error:
                self.turned_away += 1
                self.failure = error
                return
            self.last = asyncio.get_running_loop().time()
            fault, tokens = await self.teacher.answer(self.chance)
            used = Spend() if fault else Spend(worst.cost * tokens // 600, tokens, 1)
            self.gate.settle(name, Ended(need, used, fault, 1.0 if fault == "rate_limited" else 0.0, tokens // 4, tokens * 3 // 4))
            if fault is None:
                self.done += 1
                return
            await self.gate.rest(0.5 * 2 ** min(tried, 5))
            tried += fault != "rate_limited"


@dataclass
class Cluster:
    chief: Chief
    wire: Wire
    workers: list[Worker]
    limits: Mapping[str, Limits]
    purse: Purse

    def spend(self) -> Spend:
        """What all workers spent and may be spending, by their own books."""
        return sum((lane.purse.settled + lane.purse.reserved for worker in self.workers for lane in worker.deputy._lanes.values()), Spend())


def cluster(count: int, limits: Mapping[str, Limits], teacher: Teacher, purse: Purse | None = None, delay: float = 0.002, seed: int = 0) -> Cluster:
    clock = asyncio.get_running_loop().time
    purse = purse or Purse()
    names = [str(number) for number in range(count)]
    chief = Chief(limits, purse, {}, clock=clock, count=count)
    wire = Wire(chief, delay)
    workers = []
    for number, name in enumerate(names):
        deputy = Deputy(limits, wire, name, clock)
        workers.append(Worker(name, Gate(deputy), deputy, teacher, random.Random(seed * 1000 + number), number << 40))
    return Cluster(chief, wire, workers, limits, purse)
