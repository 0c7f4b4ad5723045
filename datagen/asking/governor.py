"""One governor for the whole build: requests and tokens per minute, concurrency, and money; and the gate through which a worker asks it.

The Governor is plain and synchronous; the runtime hosts one instance for all workers. Money: the worst case is taken before sending
and settled on usage. A request that does not fit waits while anything is in flight (what lands frees money) and is turned away when
nothing is. Concurrency follows additive increase, multiplicative decrease on *sustained* overload: a random 429 costs only itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from datagen.errors import BudgetReached, DatagenError, Interrupted

OVERLOAD_SHARE = 0.2
"""Share of 429 and 529 among what was sent in a period from which the period counts as overloaded; random 5 % stay far below."""
PERIOD, PERIODS, FEWEST = 1.0, 2, 20
"""Overload is sustained after so many overloaded periods in a row, each of so many seconds with at least so many requests. Refusals
come at once and answers late, so the last few outcomes say nothing: what was sent in the same second is the measure."""
DECREASE = 0.7
"""Factor on the requests in flight when overload is sustained; each answer gives a little back."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one teacher allows."""

    in_flight: int
    requests_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """What one request may take."""

    cost: int
    """Worst case in nano-dollars."""
    input_tokens: int
    output_tokens: int
    """Expected tokens, for the limits per minute."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended, for the books of the governor."""

    need: Need
    cost: int
    overloaded: bool = False
    retry_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Grant:
    """Which of the wanted requests may go now; else how long to wait; or that the money is spent."""

    admitted: tuple[int, ...] = ()
    wait: float | None = None
    """Seconds until it is worth asking again; None: when something ends."""
    refused: tuple[int, ...] = ()
    """Requests that the cap can never admit."""


@dataclass
class _Bucket:
    """Tokens per minute that trickle in; bursts of at most `burst` seconds' worth."""

    per_second: float
    level: float
    at: float
    burst: float = 5.0

    def wait_for(self, amount: float, now: float) -> float:
        self.level = min(self.per_second * self.burst, self.level + (now - self.at) * self.per_second)
        self.at = now
        wanted = min(amount, self.per_second * self.burst)  # one request larger than a burst goes when the bucket is full
        lack = wanted - self.level
        return 0.0 if lack <= 1e-9 * wanted else lack / self.per_second  # a wait too short for the clock would never end


@dataclass
class _Lane:
    """The state of one teacher."""

    limits: Limits
    window: float
    """How many may be in flight now."""
    buckets: list[_Bucket | None]
    in_flight: int = 0
    paused_until: float = 0.0
    period: float = 0.0
    """When the running period began."""
    sent: int = 0
    overloaded: int = 0
    streak: int = 0
    """Overloaded periods in a row."""


class Governor:
    """The books of the whole build. No method blocks."""

    def __init__(self, limits: Mapping[str, Limits], cap: int | None, committed: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`cap`: nano-dollars over all runs of the release, or None; `committed`: what earlier runs spent or may have spent."""
        self._clock = clock
        now = clock()
        self._lanes = {name: _lane(limit, now) for name, limit in limits.items()}
        self._cap = cap
        self._settled = committed
        self._reserved = 0
        self._in_flight = 0

    def lease(self, teacher: str, needs: Sequence[Need]) -> Grant:
        """Admit as many of `needs` as fit, in order; a cheap one may pass a dear one that does not fit."""
        lane, now = self._lanes[teacher], self._clock()
        if lane.paused_until > now:
            return Grant(wait=lane.paused_until - now)
        admitted: list[int] = []
        dear: list[int] = []
        for number, need in enumerate(needs):
            if lane.in_flight >= int(lane.window):
                break
            if self._cap is not None and self._settled + self._reserved + need.cost > self._cap:
                dear.append(number)
                continue
            wait = _rate_wait(lane, need, now)
            if wait > 0:
                return Grant(tuple(admitted), wait)
            self._take(lane, need)
            admitted.append(number)
        refused = tuple(dear) if dear and not self._in_flight else ()
        return Grant(tuple(admitted), None, refused)

    def settle(self, teacher: str, ended: Sequence[Ended]) -> None:
        """Close attempts: free their place, replace their worst case by what they cost."""
        lane, now = self._lanes[teacher], self._clock()
        for end in ended:
            lane.in_flight -= 1
            self._in_flight -= 1
            self._reserved -= end.need.cost
            self._settled += end.cost
            _adapt(lane, end, now)

    def money(self) -> tuple[int, int]:
        """(spent or possibly spent, reserved for what is in flight) in nano-dollars."""
        return self._settled, self._reserved

    def in_flight(self) -> dict[str, int]:
        return {name: lane.in_flight for name, lane in self._lanes.items()}

    def _take(self, lane: _Lane, need: Need) -> None:
        for bucket, amount in zip(lane.buckets, (1, need.input_tokens, need.output_tokens), strict=True):
            if bucket is not None:
                bucket.level -= amount
        lane.in_flight += 1
        lane.sent += 1
        self._in_flight += 1
        self._reserved += need.cost


def _lane(limits: Limits, now: float) -> _Lane:
    rates = (limits.requests_per_minute, limits.input_tokens_per_minute, limits.output_tokens_per_minute)
    buckets = [_Bucket(rate / 60, rate / 60, now) if rate else None for rate in rates]
    return _Lane(limits, float(limits.in_flight), buckets)


def _rate_wait(lane: _Lane, need: Need, now: float) -> float:
    amounts = (1, need.input_tokens, need.output_tokens)
    return max((bucket.wait_for(amount, now) for bucket, amount in zip(lane.buckets, amounts, strict=True) if bucket is not None), default=0.0)


def _adapt(lane: _Lane, end: Ended, now: float) -> None:
    """Additive increase with every answer, multiplicative decrease after PERIODS overloaded periods in a row."""
    lane.overloaded += end.overloaded
    if not end.overloaded:
        lane.window = min(lane.limits.in_flight, lane.window + 1 / max(lane.window, 1))
    if now - lane.period < PERIOD or lane.sent < FEWEST:
        return
    lane.streak = lane.streak + 1 if lane.overloaded >= OVERLOAD_SHARE * lane.sent else 0
    lane.period, lane.sent, lane.overloaded = now, 0, 0
    if lane.streak >= PERIODS:
        lane.window = max(1.0, lane.window * DECREASE)
        lane.paused_until = now + end.retry_after
        lane.streak = 0


class Books(Protocol):
    """The governor as a worker reaches it: directly, or over a wire."""

    def lease(self, teacher: str, needs: Sequence[Need]) -> Grant | Awaitable[Grant]: ...

    def settle(self, teacher: str, ended: Sequence[Ended]) -> Awaitable[None] | None: ...


_Turn = tuple[Need, asyncio.Future[None]]
ELSEWHERE = 0.05
"""Seconds after which a worker asks a governor elsewhere again: another worker's end frees a place, and nobody tells this one."""
OFFER = 16
"""How many waiting requests are shown to the governor at once: more than one, so that a cheap one can pass a dear one."""


class Gate:
    """Where requests of one worker wait for admission. Waiting is not an attempt."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._waiting: dict[str, deque[_Turn]] = {}
        self._ended: dict[str, list[Ended]] = {}
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarms: dict[str, asyncio.TimerHandle] = {}
        self._closed: DatagenError | None = None
        self._shut = asyncio.Event()

    async def admit(self, teacher: str, need: Need) -> None:
        """Return when the request may be sent. Raises BudgetReached, or what the gate was closed with."""
        if self._closed:
            raise self._closed
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(teacher, deque()).append((need, turn))
        self._pump(teacher)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:  # admitted a moment ago, and nothing will be sent
                self.settle(teacher, Ended(need, 0))
            raise

    async def rest(self, seconds: float) -> None:
        """Wait between two attempts. Raises what the gate is closed with, at once: a long `retry-after` must not hold up a drain."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._shut.wait(), seconds)
        if self._closed:
            raise self._closed

    def settle(self, teacher: str, ended: Ended) -> None:
        """Close one attempt."""
        self._ended.setdefault(teacher, []).append(ended)
        for name in self._waiting.keys() | {teacher}:  # money that is freed may let any teacher go on
            self._pump(name)

    def waiting(self) -> int:
        """Requests that are not admitted yet."""
        return sum(map(len, self._waiting.values()))

    def close(self, reason: DatagenError | None = None) -> None:
        """Admit nothing more: drain. What waits is turned away with `reason`."""
        self._closed = reason or Interrupted("the build was asked to stop")
        for waiting in self._waiting.values():
            _turn_away(waiting, self._closed)
            waiting.clear()
        self._shut.set()

    def _pump(self, teacher: str) -> None:
        if teacher in self._busy:
            return
        ended = self._ended.pop(teacher, [])
        if ended:
            self._books.settle(teacher, ended)
        waiting = self._waiting.get(teacher)
        if not waiting:
            return
        offered = [waiting.popleft() for _ in range(min(len(waiting), OFFER))]
        grant = self._books.lease(teacher, [need for need, _ in offered])
        if isinstance(grant, Grant):
            self._granted(teacher, offered, grant)
        else:
            self._busy.add(teacher)
            task = asyncio.ensure_future(self._pump_remote(teacher, offered, grant))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump_remote(self, teacher: str, offered: list[_Turn], pending: Awaitable[Grant]) -> None:
        try:
            grant = await pending
        except Exception as error:
            for _, turn in offered:
                if not turn.done():
                    turn.set_exception(error)
            raise
        finally:
            self._busy.discard(teacher)
        self._granted(teacher, offered, grant if grant.wait is not None else replace(grant, wait=ELSEWHERE))
        if self._ended.get(teacher) or (grant.admitted and self._waiting.get(teacher)):
            self._pump(teacher)

    def _granted(self, teacher: str, offered: list[_Turn], grant: Grant) -> None:
        for number in grant.admitted:
            need, turn = offered[number]
            if turn.done() or self._closed:  # cancelled, or turned away, while it waited: give its place back
                self._ended.setdefault(teacher, []).append(Ended(need, 0))
            else:
                turn.set_result(None)
        for number in grant.refused:
            if not offered[number][1].done():
                offered[number][1].set_exception(BudgetReached("the next request no longer fits under the budget"))
        if self._closed:
            _turn_away(offered, self._closed)
            return
        gone = {*grant.admitted, *grant.refused}
        left = [turn for number, turn in enumerate(offered) if number not in gone]
        waiting = self._waiting.setdefault(teacher, deque())
        waiting.extendleft(reversed(left))
        if grant.wait is not None and waiting:
            self._wake(teacher, min(grant.wait, 30.0))
        elif (gone and waiting) or self._ended.get(teacher):
            self._wake(teacher, 0.0)

    def _wake(self, teacher: str, seconds: float) -> None:
        """Look again later: one alarm a teacher, however many wait."""
        if teacher in self._alarms:
            self._alarms[teacher].cancel()
        self._alarms[teacher] = asyncio.get_running_loop().call_later(seconds, self._pump, teacher)


def _turn_away(turns: Iterable[_Turn], reason: DatagenError) -> None:
    for _, turn in turns:
        if not turn.done():
            turn.set_exception(reason)
