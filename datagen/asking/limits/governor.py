"""One governor for the whole build: requests and tokens per minute, concurrency, outages, money, and when to stop.

Plain and synchronous; the runtime hosts one instance for all workers, who reach it through a Gate. Money: the worst case is taken
before sending and settled on usage. A request that does not fit waits while anything is in flight (what lands frees money) and is
turned away when nothing is. Concurrency follows additive increase, multiplicative decrease on *sustained* overload: a random 429 costs
only itself.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from datagen.asking.limits.lanes import Ended, Lane, Limits, Need, account_of, meters
from datagen.asking.prices import Purse
from datagen.errors import OUTCOMES, DatagenError, TooManyFailures
from datagen.records import NANO, Spend
from datagen.runtime.measures import LIMITS, Measures

LOOK = 10
"""The share is that of so many windows: of a long build with 12 % truncated answers, some 50 in a row hold 20 %, but no 500."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Which of the wanted requests may go now; else how long to wait; or that the money is spent; or that all must stop."""

    admitted: tuple[int, ...] = ()
    wait: float | None = None
    """Seconds until it is worth asking again; None: when something ends."""
    refused: tuple[int, ...] = ()
    """Requests that the caps can never admit."""
    why: str = ""
    """Which cap that is."""
    probes: tuple[int, ...] = ()
    """Of the admitted, those that find out whether a teacher out of service is back: their failure is no attempt."""
    stop: DatagenError | None = None
    """Why nothing more may be sent, by any worker."""


@dataclass(frozen=True)
class Caution:
    """When answers are too bad to go on paying for: spec.guard, by outcome."""

    shares: Mapping[str, float] = field(default_factory=lambda: {name: 0.2 for name, ending in OUTCOMES.items() if ending.counts})
    """Outcome -> share of a teacher's last answers from which the build stops."""
    window: int = 50
    """So many answers must have come before they are judged; the last LOOK times as many are."""


class Governor:
    """The books of the whole build. No method blocks."""

    def __init__(
        self,
        limits: Mapping[str, Limits],
        purse: Purse,
        committed: Mapping[str, Spend],
        caution: Caution | None = None,
        clock: Callable[[], float] = time.monotonic,
        standing: Mapping[str, Spend] | None = None,
    ) -> None:
        """`purse`: the caps of the release; by teacher, `committed`: what earlier runs of it spent or may have spent, and `standing`: what
        they reserved for paid batches that are under way."""
        now = clock()
        self._clock = clock
        self._purse = purse
        self._meters = meters(limits, now)
        """By account."""
        self._lanes = {
            name: Lane(name, limit, self._meters[account_of(name, limit)], committed.get(name, Spend()), now) for name, limit in limits.items()
        }
        for spend in committed.values():
            purse.settled += spend
        for name, spend in (standing or {}).items():
            purse.reserved += spend
            if name in self._lanes:
                self._lanes[name].purse.reserved += spend
        self._caution = caution or Caution()
        self._recent: dict[str, deque[str]] = {name: deque(maxlen=LOOK * self._caution.window) for name in limits}
        self._stop: DatagenError | None = None

    def attend(self, look: Callable[[], None], waiting: Callable[[str], int]) -> None:
        """A gate stands here. Nothing to note: what frees a place passes through the gate."""

    def room(self) -> int:
        """Requests that all teachers together take at once."""
        return sum(int(lane.window) for lane in self._lanes.values())

    async def report(self) -> None:
        """Nothing to do: this is the governor."""

    async def close(self) -> None:
        """Nothing to do."""

    def lease(self, teacher: str, needs: Sequence[Need]) -> Grant:
        """Admit as many of `needs` as fit, in order; a cheap one may pass a dear one that does not fit."""
        lane, now = self._lanes[teacher], self._clock()
        if self._given_up(lane, now):
            return Grant(stop=self._stop)
        resting = lane.pause(now)
        if resting:
            return Grant(wait=resting)
        room = int(lane.window) - lane.in_flight
        admitted: list[int] = []
        dear: list[int] = []
        probes: list[int] = []
        for number, need in enumerate(needs):
            if len(admitted) >= room:
                break
            if not (self._purse.fits(need.worst) and lane.purse.fits(need.worst)):
                dear.append(number)
                continue
            if lane.down and not lane.passes(need, now):
                continue
            rate = lane.rate_wait(need, now)
            if rate > 0:
                return Grant(tuple(admitted), rate, probes=tuple(probes))
            lane.take(need)
            self._purse.reserved += need.worst
            admitted.append(number)
            if lane.probes(need):
                probes.append(number)
        wait = lane.until_probe(now) if lane.down else None
        hopeless, why = self._turned_away(lane, needs, dear)
        return Grant(tuple(admitted), wait, hopeless, why, tuple(probes))

    def settle(self, teacher: str, ended: Sequence[Ended]) -> None:
        """Close attempts: free their place, replace their worst case by what they used, learn from how they went."""
        lane, now = self._lanes[teacher], self._clock()
        for end in ended:
            self._purse.settle(end.need.worst, end.used)
            lane.end(end, now)

    def judged(self, teacher: str, outcomes: Sequence[str]) -> None:
        """How answers ended. A share of errors over the last of them that is too high stops the build."""
        recent = self._recent[teacher]
        recent.extend(outcomes)
        self._stop = self._stop or self.weigh(teacher, Counter(recent))

    def weigh(self, teacher: str, counts: Mapping[str, int]) -> TooManyFailures | None:
        """Whether so many answers of each outcome are too bad to go on with, and why; fewer than a window say nothing."""
        of = sum(counts.values())
        for outcome, number in counts.items():
            if of >= self._caution.window and number >= self._caution.shares.get(outcome, 2.0) * of:
                stop = TooManyFailures(
                    f"{number:,} of the last {of:,} answers of teacher {teacher!r} were {outcome}: nothing more is sent. Mend the "
                    f"prompt or the teacher (`datagen preview --ask` shows answers), or allow more of them: guard.error_share"
                )
                stop.outcome = outcome
                return stop
        return None

    def stopped(self) -> DatagenError | None:
        """Why nothing more may be sent, if so."""
        return self._stop

    def take(self, teacher: str, worst: Spend) -> bool:
        """Reserve a paid batch's worst case; False when it does not fit under the caps now."""
        lane = self._lanes[teacher]
        if not (self._purse.fits(worst) and lane.purse.fits(worst)):
            return False
        self._purse.reserved += worst
        lane.purse.reserved += worst
        return True

    def short(self, teacher: str, worst: Spend) -> str:
        """Whose cap a request does not fit under, in words."""
        words = self._purse.short(worst)
        if words:
            return f"the budget of this release has no room left: {words}"
        if month := self._purse.short_of_month(worst):
            return month
        return f"the budget of teacher {teacher!r} has no room left: {self._lanes[teacher].purse.short(worst)}"

    def give(self, teacher: str, worst: Spend, used: Spend) -> None:
        """Settle what `take` reserved."""
        self._purse.settle(worst, used)
        self._lanes[teacher].purse.settle(worst, used)

    def money(self) -> tuple[int, int]:
        """(spent or possibly spent, reserved for what is in flight) in nano-dollars."""
        return self._purse.settled.cost, self._purse.reserved.cost

    def in_flight(self) -> dict[str, int]:
        """Requests in the air, by teacher."""
        return {name: lane.in_flight for name, lane in self._lanes.items()}

    def trouble(self) -> list[str]:
        """What the person at the terminal should know: which teachers are out of service, and for how long."""
        now = self._clock()
        return [words for lane in self._lanes.values() if (words := lane.trouble(now))]

    def surprises(self) -> list[str]:
        """What the person at the terminal should know when all is over: bills above what a request could cost at worst."""
        return [
            f"teacher {name!r} billed {lane.overs:,} answers above the worst case of their requests, by ${lane.over.cost / NANO:,.4f} and "
            f"{lane.over.tokens:,} tokens in all: more than the caps could hold back. Does it make more than max_tokens?"
            for name, lane in self._lanes.items()
            if lane.overs
        ]

    def _given_up(self, lane: Lane, now: float) -> DatagenError | None:
        """Why nothing more is sent, if so."""
        self._stop = self._stop or lane.given_up(now)
        return self._stop

    def _turned_away(self, lane: Lane, needs: Sequence[Need], dear: Sequence[int]) -> tuple[tuple[int, ...], str]:
        """Of those that do not fit, those that nothing in flight can make room for; and which cap that is."""
        hopeless = tuple(number for number in dear if self._hopeless(lane, needs[number].worst))
        return hopeless, self.short(lane.name, needs[hopeless[0]].worst) if hopeless else ""

    def _hopeless(self, lane: Lane, worst: Spend) -> bool:
        waits = any(other.in_flight for other in self._lanes.values())
        return not (lane.in_flight or (waits and lane.purse.fits(worst)))

    def measures(self) -> Measures:
        """By the names of runtime.measures.METRICS: who is in the air, how much of each limit is taken, trouble so far, and money."""
        (spent, reserved), now = self.money(), self._clock()
        money = {"spent": spent, "reserved": reserved, "cap": self._purse.cost}
        found: Measures = {"datagen_budget_dollars": {(kind,): cost / NANO for kind, cost in money.items() if cost is not None}}
        for name, lane in self._lanes.items():
            seen = {
                "in_flight": lane.in_flight,
                "in_flight_limit": int(lane.window),
                "teacher_up": not lane.down,
                "outages_total": lane.outages,
                "overloads_total": lane.overloads,
            }
            for what, value in seen.items():
                found.setdefault(f"datagen_{what}", {})[name,] = float(value)
            for limit, (rate, share) in zip(LIMITS, lane.meter.use(now), strict=True):
                if rate is not None and share is not None:
                    found.setdefault("datagen_limit_per_minute", {})[name, limit] = rate
                    found.setdefault("datagen_limit_use_ratio", {})[name, limit] = share
        return found
