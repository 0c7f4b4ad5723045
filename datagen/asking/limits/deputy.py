"""The governor's deputy at one worker: admits by what its lease says, and reports how things stand.

To the gate it is a governor. It asks for nothing while its lease lasts and money is there, so that a message carries some tens of
requests; when a lease has run out it admits nothing until there is another.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from datagen.asking.limits.governor import Governor, Grant
from datagen.asking.limits.lanes import Ended, Lane, Limits, Need
from datagen.asking.limits.leases import BEAT, LASTS, SOON, Flow, Lease, Lender, Place, Report, Used
from datagen.asking.prices import Purse
from datagen.errors import FAULTS, DatagenError, SetupError
from datagen.records import Spend

GAP = 0.02
"""Seconds at least between two reports, however urgent."""
STORM, STORM_SHARE = 10, 0.2
"""So many faults since the last report, and at least such a share of all ends, are worth one at once."""
SHOWN = 64
"""Requests without money that are shown to the governor at once."""
MORE = 1.25
"""A worker that lacks nothing wants so many times what it used, so that it can grow."""


@dataclass
class _Notes:
    """What is to be told of one teacher."""

    sent: int = 0
    flew: int = 0
    """In flight at the last report, 0 where it was the first of an ebb: nothing waits, and half of what was in flight has landed."""
    faults: int = 0
    ended: list[Ended] = field(default_factory=list)
    judged: list[str] = field(default_factory=list)
    short: dict[int, Need] = field(default_factory=dict)
    dearest: Spend = field(default_factory=Spend)
    probed: int | None = None
    ceiling: Spend = field(default_factory=Spend)
    refused: dict[int, str] = field(default_factory=dict)
    """Ticket -> which cap has no room for it, now or ever."""


class Deputy(Governor):
    """Books of one worker, under a lease."""

    def __init__(self, limits: Mapping[str, Limits], lender: Lender, worker: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(limits, Purse(), {}, clock=clock)
        self._lender = lender
        self._worker = worker
        self._notes = {name: _Notes() for name in limits}
        self._flows: dict[str, Flow] = {}
        self._drawn: dict[str, tuple[float, ...]] = {}
        self._until = -math.inf
        self._reported = clock()
        self._again = BEAT
        self._lost = False
        self._tight = False
        self._due = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._speaking = asyncio.Lock()
        self._loop: asyncio.Task[None] | None = None
        self._ear: asyncio.Task[None] | None = None
        self._look: Callable[[], None] = lambda: None
        self._waiting: Callable[[str], int] = lambda _: 0
        for lane in self._lanes.values():
            lane.window = 0.0
            lane.meter.allot(lane.meter.rates, 0.0, clock())

    def attend(self, look: Callable[[], None], waiting: Callable[[str], int]) -> None:
        """`look` is called when there is another lease; `waiting` says how many requests of a teacher are not admitted."""
        self._look, self._waiting = look, waiting
        with contextlib.suppress(RuntimeError):  # outside of an event loop: the first lease begins it
            self._begin()

    def lease(self, teacher: str, needs: Sequence[Need]) -> Grant:
        """Admit what the lease of the governor allows."""
        self._begin()
        notes, now = self._notes[teacher], self._clock()
        for need in needs:
            worst, most = need.worst, notes.dearest
            if worst.cost > most.cost or worst.tokens > most.tokens or worst.requests > most.requests:
                notes.dearest = Spend(*map(max, _plain(worst), _plain(most)))
        if now >= self._until and not self._stop:
            return Grant(wait=LASTS)  # another lease wakes the gate
        grant = super().lease(teacher, needs)
        lane = self._lanes[teacher]
        if not lane.window or (lane.meter.limited and not lane.meter.share):
            self._hurry(SOON)  # others have all there is; they may have heard meanwhile that it is to be shared
        notes.sent += len(grant.admitted)
        if grant.probes:
            notes.probed = needs[grant.probes[0]].ticket
        return grant

    def settle(self, teacher: str, ended: Sequence[Ended]) -> None:
        """Close attempts; the governor hears of them with the next report."""
        lane, notes, now = self._lanes[teacher], self._notes[teacher], self._clock()
        for end in ended:
            lane.land(end, now)
            notes.faults += end.fault is not None and FAULTS[end.fault].again
            notes.ended.append(end)
        probe = any(end.need.ticket == notes.probed for end in ended)
        storm = notes.faults >= STORM and notes.faults >= STORM_SHARE * len(notes.ended)
        ebb = lane.in_flight <= notes.flew // 2
        done = not self._waiting(teacher) and (ebb or not lane.in_flight or lane.meter.starved)  # others may have what it held
        if probe:
            self._hurry(0.0)
        elif storm or done:
            self._hurry(SOON)

    def judged(self, teacher: str, outcomes: Sequence[str]) -> None:
        """Noted for the next report."""
        self._notes[teacher].judged.extend(outcomes)

    async def report(self) -> None:
        """Tell the governor at once how things stand, and take its lease. Raises nothing: without a governor all is stopped."""
        async with self._speaking:
            now = self._clock()
            report = self._report(now)
            try:
                lease = await self._lender.exchange(report)
            except Exception as error:  # whatever carries the message; the runtime has tried to find another governor by then
                self._lost = True
                lease = Lease(stop=SetupError(f"the governor of this build cannot be reached any more: {error}"))
            self._take(lease, now)
        self._look()

    async def close(self) -> None:
        """A last report, and no more."""
        if self._loop is None or self._ear is None:
            return
        self._ear.cancel()
        self._loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._loop
        await self.report()

    def _begin(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop().create_task(self._keep_reporting())
            self._ear = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        """Report when the governor has news; who cannot reach it learns so with its next report."""
        with contextlib.suppress(Exception):
            while True:
                await self._lender.news(self._worker)
                self._hurry(0.0)

    async def _keep_reporting(self) -> None:
        while not self._lost:  # also when all is stopped: what is in flight lands, and one that is silent is taken for dead
            self._due.clear()
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None
            await self.report()
            await asyncio.sleep(GAP)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._again - GAP)):  # `wait_for` of Python 3.11 can swallow a cancellation
                    await self._due.wait()

    def _hurry(self, seconds: float) -> None:
        """Report so many seconds after the last report, or at once if these have passed."""
        left = self._reported + seconds - self._clock()
        if left <= 0:
            self._due.set()
        elif self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(left, self._due.set)

    def _report(self, now: float) -> Report:
        used = {}
        for teacher, lane in self._lanes.items():
            notes = self._notes[teacher]
            spent = lane.purse.settled + lane.purse.reserved
            if self._tight or any(have > most for have, most in zip(_plain(spent), _plain(notes.ceiling), strict=True)):
                self._cap(lane, spent)  # until there is an answer no more than this is used
            used[teacher] = Used(
                in_flight=lane.in_flight,
                settled=lane.purse.settled,
                reserved=lane.purse.reserved,
                ceiling=notes.ceiling,
                slots=int(lane.window),
                waiting=self._waiting(teacher),
                dearest=notes.dearest,
                short=tuple(notes.short.values())[:SHOWN],
                sent=notes.sent,
                ended=tuple(notes.ended),
                judged=tuple(notes.judged),
                probed=notes.probed,
                trouble=lane.trouble(now),
            )
            if any(end.need.ticket == notes.probed for end in notes.ended):
                notes.probed = None
            notes.flew = lane.in_flight if self._waiting(teacher) else 0
            notes.sent, notes.faults, notes.ended, notes.judged = 0, 0, [], []
            notes.short.clear()
        drawn = {name: self._drew(name) for name in self._flows}
        shares, wants = {name: flow.share for name, flow in self._flows.items()}, {name: self._wanted(name, drawn[name], now) for name in drawn}
        self._reported = now
        return Report(self._worker, used, shares, wants, drawn)

    def _drew(self, account: str) -> tuple[float, ...]:
        """What was taken of each limit since the last report."""
        drawn = self._meters[account].drawn
        before, self._drawn[account] = self._drawn.get(account, (0.0,) * len(drawn)), drawn
        return tuple(late - early for late, early in zip(drawn, before, strict=True))

    def _wanted(self, account: str, drawn: Sequence[float], now: float) -> float:
        """The share of an account's limits that this worker could make use of."""
        meter, flow = self._meters[account], self._flows[account]
        starved, meter.starved = meter.starved, False
        lanes = [lane for lane in self._lanes.values() if lane.meter is meter]
        waits = any(self._waiting(lane.name) for lane in lanes)
        if starved and waits:
            return math.inf
        if not waits and not any(lane.in_flight for lane in lanes):
            return 0.0
        seconds = max(now - self._reported, GAP)
        return MORE * max([0.0, *(amount / seconds / rate for amount, rate in zip(drawn, flow.rates, strict=True) if rate)])

    def _take(self, lease: Lease, asked: float) -> None:
        self._stop = self._stop or lease.stop
        self._until, self._again, self._tight = asked + LASTS, lease.again, lease.tight
        now = self._clock()
        for teacher, place in lease.places.items():
            self._steer(self._lanes[teacher], self._notes[teacher], place, now)
        for account, flow in lease.flows.items():
            self._flows[account] = flow
            self._meters[account].charge = flow.charge
            self._meters[account].allot(flow.rates, flow.share, now)

    def _steer(self, lane: Lane, notes: _Notes, place: Place, now: float) -> None:
        """Do with one teacher as the governor says."""
        lane.window = float(place.slots)
        lane.down, lane.deaf = place.down, place.deaf
        if notes.probed is None:
            lane.probing, lane.probe_at = None, now if place.probe else math.inf
        if place.rest:
            lane.meter.pause(now + place.rest)
        notes.refused = dict.fromkeys(place.refused, place.why)
        lane.purse.cost, lane.purse.tokens, lane.purse.requests = None, None, None
        if place.ceiling is not None:
            notes.ceiling = place.ceiling
            caps = [most if counts else None for most, counts in zip(_plain(place.ceiling), place.capped, strict=True)]
            lane.purse.cost, lane.purse.tokens, lane.purse.requests = caps

    def _cap(self, lane: Lane, ceiling: Spend) -> None:
        notes, purse = self._notes[lane.name], lane.purse
        notes.ceiling = ceiling
        purse.cost = None if purse.cost is None else ceiling.cost
        purse.tokens = None if purse.tokens is None else ceiling.tokens
        purse.requests = None if purse.requests is None else ceiling.requests

    def _given_up(self, lane: Lane, now: float) -> DatagenError | None:
        return self._stop  # it is for the governor to say so

    def _turned_away(self, lane: Lane, needs: Sequence[Need], dear: Sequence[int]) -> tuple[tuple[int, ...], str]:
        """What the governor has refused; the rest is shown to it."""
        notes = self._notes[lane.name]
        refused = tuple(number for number in dear if needs[number].ticket in notes.refused)
        for number in dear:
            if number not in refused and len(notes.short) < SHOWN:
                notes.short[needs[number].ticket] = needs[number]
                self._hurry(0.0)
        return refused, notes.refused[needs[refused[0]].ticket] if refused else ""


def _plain(spend: Spend) -> tuple[int, int, int]:
    return spend.cost, spend.tokens, spend.requests
