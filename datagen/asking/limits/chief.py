"""The governor of many workers: the same books, lent out in leases, taken back when a worker falls silent or dies.

Requests are admitted by the workers' deputies under what their leases say, so that a message carries some tens of requests. Limits and
caps hold as with one worker: places, shares and ceilings of all leases together never pass what there is. Reports say how things stand,
not what has changed, so a governor that died is made anew from the ledger and the next report of each worker.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from datagen.asking.limits.governor import Governor
from datagen.asking.limits.lanes import Lane
from datagen.asking.limits.leases import BEAT, LASTS, SOON, Flow, Lease, Place, Report, Used, shared_out, whole
from datagen.errors import Interrupted
from datagen.records import Spend

BLOCK = 256
"""Worst cases lent ahead at most: what a dead worker's ceiling may hold back until the ledger has been asked."""
NEW = 2
"""Reports after which it is known what a worker needs. Until then it reports often, and with the first it is lent no more than its part of what
all that are expected share: they may all be there in a moment."""
GRACE = 0.1
"""Seconds by which a report may be late without anybody being told to come back for what its worker holds."""
WORTH = 0.125
"""Of a limit: to get so much more is worth a message before its time."""
HANDFUL = 4
"""Worst cases lent ahead at least while there is money."""


@dataclass
class _Member:
    """One worker, as it said last, and what it holds."""

    heard: float
    known: bool = True
    """False until it has said what it holds: only a governor that was made anew meets such a worker."""
    used: dict[str, Used] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)
    ceilings: dict[str, Spend] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    wants: dict[str, float] = field(default_factory=dict)
    reports: int = 0
    ends: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def of(self, teacher: str) -> Used:
        return self.used.get(teacher, _NOTHING)

    def occupied(self, teacher: str) -> int:
        return max(self.slots.get(teacher, 0), self.of(teacher).in_flight)


_NOTHING = Used()


class Chief(Governor):
    """A governor that is hosted for many workers; each reaches it through a Deputy."""

    def __init__(self, *terms: Any, count: int = 1, holders: Iterable[str] = (), **more: Any) -> None:
        """`terms`: as of a Governor. `count`: workers that are about to report; `holders`: those that hold leases of a governor that died."""
        super().__init__(*terms, **more)
        self._members: dict[str, _Member] = {}
        self._expected = count
        self._buried: set[str] = set()
        self._probers: dict[str, str] = {}
        """Teacher -> the worker that may find out whether it is back."""
        self._tight = False
        self._leased = Spend()
        """All ceilings; part of what the purse has reserved."""
        for worker in holders:
            self._members[worker] = _Member(self._clock(), known=False)

    def exchange(self, report: Report) -> Lease:
        """Take in what a worker says, and lend it what it may use next."""
        if report.worker in self._buried:
            return Lease(stop=Interrupted("this worker was taken for dead, and others do its work"))
        now = self._clock()
        member = self._members.setdefault(report.worker, _Member(now))
        places_before, shares_before = {teacher: member.occupied(teacher) for teacher in report.used}, member.shares
        member.heard, member.known, member.reports = now, True, member.reports + 1
        member.shares, member.wants = dict(report.shares), dict(report.wants)
        for account, amounts in report.drawn.items():
            self._meters[account].note(amounts)
        for teacher, used in report.used.items():
            self._heard(teacher, report.worker, member, used, now)
        for teacher, used in report.used.items():
            if (used.waiting or used.in_flight) and self._given_up(self._lanes[teacher], now):
                break
        if self._stop:
            return Lease(stop=self._stop)
        places, pauses = {}, [BEAT if member.reports > NEW else SOON]
        for teacher in report.used:
            places[teacher], pause = self._place(self._lanes[teacher], report.worker, member, now)
            pauses.append(pause)
        flows = {account: self._flow(account, report.worker, member) for account, meter in self._meters.items() if meter.limited}
        if any(flow.share == 0 for flow in flows.values()):
            pauses.append(SOON)
        silent = [now - other.heard for other in self._members.values()]
        pauses += [LASTS - seconds + GRACE for seconds in silent if BEAT + GRACE < seconds <= LASTS]  # its share will be free then
        gave_places = any(member.occupied(teacher) < held for teacher, held in places_before.items())
        if gave_places or any(member.shares[account] < held for account, held in shares_before.items()):
            self._call(now)
        return Lease(places, flows, self._tight, min(pauses))

    async def news(self, worker: str) -> None:
        """Return when another has given back what this worker waits for."""
        if worker in self._buried:
            return
        event = self._members.setdefault(worker, _Member(self._clock())).news
        await event.wait()
        event.clear()

    def _call(self, now: float) -> None:
        """Something was given back: call those that wait and would get more."""
        for worker, member in self._there(now).items():
            full = (self._lanes[name] for name, used in member.used.items() if used.waiting and used.in_flight >= used.slots)
            places = ((self._slots(lane, worker, now)[0] - member.slots[lane.name]) / lane.window for lane in full)
            starved = (account for account, want in member.wants.items() if math.isinf(want))
            shares = (self._share(account, worker, now) - member.shares.get(account, 0.0) for account in starved)
            if any(more >= WORTH for more in (*places, *shares)):
                member.news.set()

    def _there(self, now: float) -> dict[str, _Member]:
        """Workers whose leases may still hold."""
        return {name: member for name, member in self._members.items() if now - member.heard <= LASTS}

    def bury(self, worker: str, spent: Mapping[str, Spend] | None) -> None:
        """A worker is dead: what it held is free again. `spent`: what the ledger says that it spent or may have, by teacher; where that
        cannot be known, all that was lent to it counts as spent."""
        self._buried.add(worker)
        member = self._members.pop(worker, None)
        if member is None:
            return
        for teacher, lane in self._lanes.items():
            used = member.of(teacher)
            lent = max_of(member.ceilings.get(teacher, Spend()), used.settled + used.reserved)
            gone = lent if spent is None else spent.get(teacher, Spend())
            self._lend(lane, member, Spend())
            self._purse.settled += gone
            lane.purse.settled += gone
            self._count(lane)
        self._no_probe_by(worker)
        self._call(self._clock())

    def reports(self) -> dict[str, int]:
        """How often each worker has reported: one whose number stands still is silent."""
        return {worker: member.reports for worker, member in self._members.items()}

    def money(self) -> tuple[int, int]:
        """(spent or possibly spent, reserved for what is in flight) in nano-dollars, as workers have reported."""
        all_used = [used for member in self._members.values() for used in member.used.values()]
        settled = self._purse.settled.cost + sum(used.settled.cost for used in all_used)
        return settled, (self._purse.reserved - self._leased).cost + sum(used.reserved.cost for used in all_used)

    def trouble(self) -> list[str]:
        """What the person at the terminal should know: teachers out of service, and limits that all workers wait for."""
        words = super().trouble()
        for teacher, lane in self._lanes.items():
            told = [used.trouble for member in self._members.values() if (used := member.of(teacher)).trouble]
            words += told[:1] if not (lane.in_flight or lane.down) else []
        return words

    def _heard(self, teacher: str, worker: str, member: _Member, used: Used, now: float) -> None:
        """Bring the books up to what a worker says of one teacher."""
        lane = self._lanes[teacher]
        member.used[teacher] = used
        member.slots[teacher] = used.slots
        member.ends += len(used.ended)
        if any(self._capped(lane)):
            self._lend(lane, member, used.ceiling)
        lane.sent += used.sent
        probing = self._probers.get(teacher) == worker
        if probing:
            lane.probing = used.probed
        for end in used.ended:
            lane.learn(end, now)
        if probing and (used.probed is None or lane.probing is None or any(end.need.ticket == used.probed for end in used.ended)):
            lane.probing = None
            del self._probers[teacher]
        self._count(lane)
        if used.judged:
            self.judged(teacher, used.judged)

    def _lend(self, lane: Lane, member: _Member, ceiling: Spend) -> None:
        more = ceiling - member.ceilings.get(lane.name, Spend())
        member.ceilings[lane.name] = ceiling
        self._leased += more
        self._purse.reserved += more
        lane.purse.reserved += more

    def _count(self, lane: Lane) -> None:
        lane.in_flight = sum(member.of(lane.name).in_flight for member in self._members.values())

    def _place(self, lane: Lane, worker: str, member: _Member, now: float) -> tuple[Place, float]:
        """What a worker may do with one teacher, and when to ask again."""
        used, pause = member.of(lane.name), BEAT
        slots, target = self._slots(lane, worker, now)
        member.slots[lane.name] = slots
        if slots < target and used.waiting:
            pause = SOON
        refused, why = self._advance(lane, member, used)
        if used.short and not refused:
            pause = SOON
        probe = self._may_probe(lane, worker, used, now)
        if lane.down and used.waiting and not probe:
            pause = max(SOON, lane.until_probe(now))
        capped = self._capped(lane)
        ceiling = member.ceilings.get(lane.name, Spend()) if any(capped) else None
        return Place(slots, ceiling, capped, refused, why, lane.pause(now), lane.down, lane.deaf, probe), 0.0 if refused else pause

    def _slots(self, lane: Lane, worker: str, now: float) -> tuple[int, int]:
        """Places in flight for a worker: now, and once the others have made room."""
        teacher, total = lane.name, int(lane.window)
        there = self._there(now)
        wants = {name: _wants(member, teacher, total / len(there)) for name, member in there.items()}
        target = whole(shared_out(total, wants), total, {name: member.ends for name, member in there.items()})[worker]
        others = sum(member.occupied(teacher) for name, member in there.items() if name != worker)
        most = total if self._members[worker].reports > 1 else -(-total // max(self._expected, len(there)))
        return max(0, min(target, total - others, most)), target

    def _flow(self, account: str, worker: str, member: _Member) -> Flow:
        """A worker's share of the limits of an account."""
        meter = self._meters[account]
        member.shares[account] = self._share(account, worker, self._clock())
        return Flow(meter.rates, member.shares[account], meter.charge)

    def _share(self, account: str, worker: str, now: float) -> float:
        there = self._there(now)
        target = shared_out(1.0, {name: other.wants.get(account, math.inf) for name, other in there.items()})[worker]
        others = sum(other.shares.get(account, 0.0) for name, other in there.items() if name != worker)
        most = 1.0 if self._members[worker].reports > 1 else 1.0 / max(self._expected, len(there))
        return max(0.0, min(target, 1.0 - others, most))

    # --- money ---

    def _capped(self, lane: Lane) -> tuple[bool, bool, bool]:
        mine, all_ = lane.purse, self._purse
        return (
            mine.cost is not None or all_.cost is not None or all_.month is not None,
            mine.tokens is not None or all_.tokens is not None,
            mine.requests is not None or all_.requests is not None,
        )

    def _advance(self, lane: Lane, member: _Member, used: Used) -> tuple[tuple[int, ...], str]:
        """Raise a worker's ceiling by what it will need, as far as there is money. Returns the requests that can never be admitted, and why."""
        if not any(self._capped(lane)) or not all(other.known for other in self._members.values()):
            return (), ""
        spent = used.settled + used.reserved
        count = min(BLOCK, max(HANDFUL, 2 * used.sent, used.waiting)) if used.waiting or used.sent else 0
        while count and not self._raised(lane, member, spent + _times(used.dearest, count), count > 1):
            self._tight = True
            count //= 2
        if count or not used.short or any(self._raised(lane, member, spent + need.worst, False) for need in used.short):
            return (), ""
        self._tight = True
        if any(other.ceilings.get(name) != other.of(name).settled + other.of(name).reserved for name, other in self._lent()):
            return (), ""
        hopeless = [need for need in used.short if self._hopeless(lane, need.worst)]
        return tuple(need.ticket for need in hopeless), self.short(lane.name, hopeless[0].worst) if hopeless else ""

    def _lent(self) -> list[tuple[str, _Member]]:
        return [(name, member) for member in self._members.values() for name in member.used if any(self._capped(self._lanes[name]))]

    def _raised(self, lane: Lane, member: _Member, to: Spend, sparing: bool) -> bool:
        """Raise a ceiling if there is room. `sparing`: leave as much for each of the others, once money is short."""
        now = member.ceilings.get(lane.name, Spend())
        ceiling = max_of(now, to)
        more = ceiling - now
        room = _times(more, len(self._members)) if sparing and self._tight else more
        if more != Spend() and not (self._purse.fits(room) and lane.purse.fits(room)):
            return False
        self._lend(lane, member, ceiling)
        return True

    # --- outages ---

    def _may_probe(self, lane: Lane, worker: str, used: Used, now: float) -> bool:
        if not (lane.down and used.waiting):
            return False
        holder = self._probers.get(lane.name)
        if holder is not None and (holder not in self._members or now - self._members[holder].heard > LASTS):
            self._no_probe_by(holder)
            holder = None
        if holder is None and lane.probing is None and now >= lane.probe_at:
            self._probers[lane.name] = holder = worker
            lane.probing = -1
        return holder == worker

    def _no_probe_by(self, worker: str) -> None:
        for teacher in [teacher for teacher, holder in self._probers.items() if holder == worker]:
            del self._probers[teacher]
            self._lanes[teacher].probing = None


def _wants(member: _Member, teacher: str, fair: float) -> float:
    """Places in flight that a worker could fill; its fair share where it cannot know yet."""
    used = member.of(teacher)
    return used.in_flight + used.waiting if member.reports > 1 else fair


def _times(each: Spend, count: int) -> Spend:
    return Spend(each.cost * count, each.tokens * count, each.requests * count)


def max_of(one: Spend, other: Spend) -> Spend:
    """The larger of each."""
    return Spend(max(one.cost, other.cost), max(one.tokens, other.tokens), max(one.requests, other.requests))
