"""The gate through which a worker asks the governor: who waits, who goes, who is turned away. Waiting is not an attempt."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from datagen.asking.limits.governor import Grant
from datagen.asking.limits.lanes import Ended, Need
from datagen.errors import BudgetReached, DatagenError, Interrupted
from datagen.records import Spend

OFFER = 16
"""How many waiting requests are shown to the governor at once: more than one, so that a cheap one can pass a dear one."""
MANY = 64
"""Answers whose ends are noted here at most before they are told."""
LONGEST = 30.0
"""Seconds after which a waiting gate looks again, whatever it was told."""


class Books(Protocol):
    """The governor as a worker has it at hand: itself, or its deputy."""

    def attend(self, look: Callable[[], None], waiting: Callable[[str], int]) -> None: ...

    def lease(self, teacher: str, needs: Sequence[Need]) -> Grant: ...

    def settle(self, teacher: str, ended: Sequence[Ended]) -> None: ...

    def room(self) -> int: ...

    def judged(self, teacher: str, outcomes: Sequence[str]) -> None: ...

    async def report(self) -> None: ...

    async def close(self) -> None: ...


_Turn = tuple[Need, asyncio.Future[bool]]


@dataclass
class _Queue:
    """What waits for one teacher, and what is to be told about it."""

    waiting: dict[int, deque[_Turn]] = field(default_factory=dict)
    """Rank -> turns in order of arrival."""
    ended: list[Ended] = field(default_factory=list)
    judged: list[str] = field(default_factory=list)
    alarm: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(map(len, self.waiting.values()))

    def push(self, turn: _Turn) -> None:
        self.waiting.setdefault(turn[0].rank, deque()).append(turn)

    def offer(self) -> list[_Turn]:
        """The first turns, later steps before earlier ones."""
        taken: list[_Turn] = []
        for rank in sorted(self.waiting, reverse=True) if len(self.waiting) > 1 else list(self.waiting):
            turns = self.waiting[rank]
            while turns and len(taken) < OFFER:
                taken.append(turns.popleft())
        return taken

    def put_back(self, turns: Sequence[_Turn]) -> None:
        for turn in reversed(turns):
            self.waiting[turn[0].rank].appendleft(turn)

    def tell(self, teacher: str, books: Books) -> None:
        """How answers ended, and then how attempts did."""
        if self.judged:
            judged, self.judged = self.judged, []
            books.judged(teacher, judged)
        if self.ended:
            ended, self.ended = self.ended, []
            books.settle(teacher, ended)

    def empty(self) -> list[_Turn]:
        turns = [turn for waiting in self.waiting.values() for turn in waiting]
        self.waiting.clear()
        return turns


class Gate:
    """Where the requests of one worker wait for admission."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._queues: dict[str, _Queue] = {}
        self._closed: DatagenError | None = None
        self._shut = asyncio.Event()
        books.attend(self.look, lambda teacher: len(self._queue(teacher)))

    async def admit(self, teacher: str, need: Need) -> bool:
        """Return when the request may be sent; True when it is a probe, whose failure is no attempt.

        Raises BudgetReached, or what the gate was closed with.
        """
        if self._closed:
            raise self._closed
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queue(teacher).push((need, turn))
        self._pump(teacher)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:  # admitted a moment ago, and nothing will be sent
                self.settle(teacher, Ended(need, Spend()))
            raise

    async def rest(self, seconds: float) -> None:
        """Wait between two attempts. Raises what the gate is closed with, at once: a long `retry-after` must not hold up a drain."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._shut.wait()
        if self._closed:
            raise self._closed

    def settle(self, teacher: str, ended: Ended) -> None:
        """Close one attempt."""
        queue = self._queue(teacher)
        queue.ended.append(ended)
        queue.tell(teacher, self._books)  # before anyone asks again: what waits for money goes by what is in flight
        for name, other in self._queues.items():  # money that is freed may let any teacher go on, and none that is left may turn it away
            if other.ended or len(other):
                self._pump(name)

    def judged(self, teacher: str, outcome: str) -> None:
        """Note how an answer ended; told to the governor with the next settlement, or when there are many."""
        queue = self._queue(teacher)
        queue.judged.append(outcome)
        if len(queue.judged) >= MANY:
            queue.tell(teacher, self._books)

    def tell(self) -> None:
        """Tell the governor all that was noted."""
        for teacher, queue in self._queues.items():
            queue.tell(teacher, self._books)

    def waiting(self) -> int:
        """Requests that are not admitted yet."""
        return sum(map(len, self._queues.values()))

    def idle(self) -> bool:
        """Fewer requests wait than may be in flight."""
        return self.waiting() < max(1, self._books.room())

    def close(self, reason: DatagenError | None = None) -> None:
        """Admit nothing more: drain. What waits is turned away with `reason`."""
        self._closed = self._closed or reason or Interrupted("the build was asked to stop")
        for queue in self._queues.values():
            _turn_away(queue.empty(), self._closed)
        self._shut.set()

    def _queue(self, teacher: str) -> _Queue:
        queue = self._queues.get(teacher)
        if queue is None:
            queue = self._queues[teacher] = _Queue()
        return queue

    def look(self) -> None:
        """See anew who may go."""
        for teacher in list(self._queues):
            self._pump(teacher)

    def _pump(self, teacher: str) -> None:
        queue = self._queue(teacher)
        queue.tell(teacher, self._books)
        offered = queue.offer()
        if offered:
            self._granted(teacher, offered, self._books.lease(teacher, [need for need, _ in offered]))

    def _granted(self, teacher: str, offered: list[_Turn], grant: Grant) -> None:
        queue = self._queue(teacher)
        if grant.stop is not None:
            self.close(grant.stop)
        for number in grant.admitted:
            need, turn = offered[number]
            if turn.done() or self._closed:  # cancelled, or turned away, while it waited: give its place back
                queue.ended.append(Ended(need, Spend()))
            else:
                turn.set_result(number in grant.probes)
        for number in grant.refused:
            if not offered[number][1].done():
                offered[number][1].set_exception(BudgetReached(grant.why))
        if self._closed:
            _turn_away(offered, self._closed)
            return
        gone = {*grant.admitted, *grant.refused}
        left = [turn for number, turn in enumerate(offered) if number not in gone]
        queue.put_back(left)
        if grant.wait is not None and len(queue):
            self._wake(teacher, min(grant.wait, LONGEST))
        elif (gone and len(queue)) or queue.ended:
            self._wake(teacher, 0.0)
        if queue.ended:
            for name, other in self._queues.items():
                if len(other):
                    self._wake(name, 0.0)

    def _wake(self, teacher: str, seconds: float) -> None:
        """Look again later: one alarm a teacher, however many wait."""
        queue = self._queue(teacher)
        if queue.alarm is not None:
            queue.alarm.cancel()
        queue.alarm = asyncio.get_running_loop().call_later(seconds, self._pump, teacher)


def _turn_away(turns: Iterable[_Turn], reason: DatagenError) -> None:
    for _, turn in turns:
        if not turn.done():
            turn.set_exception(reason)
