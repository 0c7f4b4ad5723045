"""The paid boundary: the ledger first, the teacher second, written down before anyone sees it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from datagen.asking.governor import Ended, Gate, Need
from datagen.asking.ledger import Ledger
from datagen.asking.prices import TokenPrice, cost, worst_case
from datagen.asking.teachers.base import Teacher
from datagen.errors import FAULTS, LedgerError, TeacherFault, TeacherStopped, TooManyFailures
from datagen.records import Outcome, Request, Response, Usage

BACKOFF_FIRST, BACKOFF_MOST = 0.5, 30.0
"""Seconds before the second attempt, doubled up to the most."""
SHORTEST = 0.1
"""Seconds at least between two attempts: limits that reset within milliseconds would be asked hundreds of times a second."""
FAILURE_WINDOW, FAILURE_SHARE = 50, 0.2
"""A build stops when this share of the last so many requests came to nothing."""


class NotAsked(Exception):
    """The ledger has no answer and nothing may be paid now (`datagen plan` replays the line this way)."""


@dataclass(frozen=True)
class Seat:
    """One teacher of a spec, ready to be asked."""

    name: str
    teacher: Teacher
    price: TokenPrice | None
    """None where the spec waives the price by name."""
    attempts: int


class Asker:
    """Asks teachers for one worker. What two rows ask alike is asked once."""

    def __init__(self, ledger: Ledger, gate: Gate, seats: Mapping[str, Seat], paying: bool = True) -> None:
        self.asked: set[str] = set()
        """Keys answered by a teacher in this run, rather than by the ledger."""
        self._ledger = ledger
        self._gate = gate
        self._seats = seats
        self._paying = paying
        self._pending: dict[str, asyncio.Future[Response]] = {}
        self._recent: deque[bool] = deque(maxlen=FAILURE_WINDOW)

    async def ask(self, request: Request, teacher: str, step: str = "") -> Response:
        """The answer `step` needs; a bad one is no error. Raises BudgetReached, TeacherStopped, TooManyFailures or Interrupted."""
        recorded = self._ledger.get(request.key)
        if recorded is not None:
            return recorded
        if not self._paying:
            raise NotAsked(request.key)
        if request.key not in self._pending:
            self._pending[request.key] = asyncio.ensure_future(self._answered(request, self._seats[teacher]))
            self._pending[request.key].add_done_callback(lambda done: self._forget(request.key, done))
        return await asyncio.shield(self._pending[request.key])

    async def _answered(self, request: Request, seat: Seat) -> Response:
        """Attempt after attempt until there is an outcome; it is in the ledger when this returns."""
        need = _need(request, seat)
        spent_attempts = waits = 0
        while True:
            await self._gate.admit(seat.name, need)
            self._written(lambda: self._ledger.reserve(request, need.cost))
            response = await self._attempt(request, seat, need)
            if isinstance(response, Response):
                break
            policy = FAULTS[response.kind]
            spent_attempts, waits = spent_attempts + (not policy.waits), waits + policy.waits
            if not policy.again or spent_attempts >= seat.attempts:
                response = _given_up(response)
                break
            await self._gate.rest(_delay(response, spent_attempts or waits))
        self._written(lambda: self._ledger.record(request, response))
        self.asked.add(request.key)
        self._watch(response)
        return response

    async def _attempt(self, request: Request, seat: Seat, need: Need) -> Response | TeacherFault:
        """Send once. A fault is noted with what it may have cost; `stopped` ends the run."""
        paid = need.cost  # until something else is known, it may have been billed
        overloaded, retry_after = False, 0.0
        try:
            response = await seat.teacher.answer(request)
            if seat.price and response.usage != Usage():  # a server that does not count may have charged the worst case
                paid = cost(seat.price, response.usage)
            return replace(response, cost=paid)
        except TeacherFault as fault:
            paid = need.cost if FAULTS[fault.kind].maybe_billed else 0
            overloaded, retry_after = FAULTS[fault.kind].waits, fault.retry_after or 0.0
            self._ledger.fault(request, fault, paid)
            if fault.kind == "stopped":
                stop = TeacherStopped(f"teacher {seat.name!r}: {fault}")
                self._gate.close(stop)
                raise stop from fault
            return fault
        finally:
            self._gate.settle(seat.name, Ended(need, paid, overloaded, retry_after))

    def _written(self, write: Callable[[], None]) -> None:
        """A ledger that cannot be written stops the asking: what could not be recorded would be paid again."""
        try:
            write()
        except LedgerError as error:
            self._gate.close(error)
            raise

    def _watch(self, response: Response) -> None:
        """Stop admitting when too many requests come to nothing."""
        self._recent.append(response.outcome in (Outcome.FAILED, Outcome.REJECTED))
        if len(self._recent) == FAILURE_WINDOW and sum(self._recent) >= FAILURE_SHARE * FAILURE_WINDOW:
            share = sum(self._recent) / FAILURE_WINDOW
            self._gate.close(TooManyFailures(f"{share:.0%} of the last {FAILURE_WINDOW} requests came to nothing; the last said: {response.error}"))

    def _forget(self, key: str, done: asyncio.Future[Response]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._pending.pop(key, None)
        elif done.result().outcome is not Outcome.FAILED:
            self._pending.pop(key, None)  # the ledger answers from now on; a failed one is not asked again in this run


def _need(request: Request, seat: Seat) -> Need:
    most = int(request.params.get("max_tokens", 0))
    worst = worst_case(seat.price, request, most) if seat.price else 0
    characters = sum(len(text) for _, text in request.messages)
    return Need(worst, characters // 4 + 8, most)


def _given_up(fault: TeacherFault) -> Response:
    outcome = Outcome.REJECTED if fault.kind == "rejected" else Outcome.FAILED
    return Response(outcome, error=str(fault), raw=fault.body)


def _delay(fault: TeacherFault, count: int) -> float:
    if fault.retry_after is not None:
        return max(fault.retry_after, SHORTEST)
    return float(min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** (count - 1)))
