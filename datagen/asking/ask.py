"""The paid boundary: the ledger first, the teacher second, written down before anyone sees it."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from datagen.asking.counts import Counts
from datagen.asking.ledger.book import Ledger
from datagen.asking.limits.gate import Gate
from datagen.asking.limits.lanes import Ended, Need
from datagen.asking.prices import TokenPrice, cost, input_bound, worst_case
from datagen.asking.teachers.base import HeaderLimits, Teacher
from datagen.errors import FAULTS, LedgerError, SetupError, TeacherFault, TeacherPaused, TeacherStopped
from datagen.records import Outcome, Request, Response, Spend

BACKOFF_FIRST, BACKOFF_MOST = 0.5, 30.0
"""Seconds before the second attempt, doubled up to the most."""
SHORTEST = 0.1
"""Seconds at least between two attempts: limits that reset within milliseconds would be asked hundreds of times a second."""
PROBES = 10
"""Failed probes of one request that are no attempts: it may be the request that brings the teacher down."""
LOOK_SECONDS = 0.25
"""How often a teacher's headers are looked at for its limits: reading them costs more than counting."""


ENDS: dict[str, Outcome] = {"rejected": Outcome.REJECTED, "filtered": Outcome.FILTERED}
"""Faults that are this request's own: a final outcome, and nothing to pay."""


class NotAsked(Exception):
    """The ledger has no answer and nothing may be paid now (`datagen plan` replays the line this way)."""


class Deferred(Exception):
    """The ledger has no answer, and the teacher is asked in paid batches: the row waits for the next round."""

    def __init__(self, request: Request, teacher: str) -> None:
        super().__init__(request.key)
        self.request = request
        self.teacher = teacher


@dataclass(frozen=True)
class Seat:
    """One teacher of a spec, ready to be asked."""

    name: str
    teacher: Teacher
    price: TokenPrice | None
    """None where the spec waives the price by name."""
    attempts: int
    batch: bool = False
    """Asked in paid batches, between two walks of the line."""
    patience: float = 900.0
    """Seconds that it is waited for."""
    lacks: SetupError | None = None
    """What is missing to ask it, such as a key: no matter as long as the ledger has every answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an ask gives."""

    response: Response
    asked: bool
    """A teacher answered in this run; else in an earlier one."""
    counts: bool = True
    """It says how the teacher answers now: an answer of this run, or of a paid batch; the first of rows that ask alike."""
    first: bool = False
    """It was asked for this very row, just now: whoever reads it says how the request ended (`Counts.ended`)."""


class Asker:
    """Asks teachers for one worker. What two rows ask alike is asked once."""

    def __init__(
        self,
        ledger: Ledger,
        gate: Gate,
        seats: Mapping[str, Seat],
        paying: bool = True,
        ranks: Mapping[str, int] | None = None,
        worker: int = 0,
        again: bool = False,
    ) -> None:
        """`ranks`: step -> its number in the line; `worker` tells the requests of several workers apart; `again`: what was rejected in earlier
        runs is asked anew."""
        self.asked = 0
        """Requests that came to an end in this run, answered or not."""
        self.given_up: dict[str, str] = {}
        """Key -> why no batch of this run answered it."""
        self.counts = Counts()
        self._ledger = ledger
        self._gate = gate
        self._seats = seats
        self._paying = paying
        self._ranks = ranks or {}
        self._again = again
        self._tickets = itertools.count(worker << 40)
        self._pending: dict[str, asyncio.Future[Response]] = {}
        self._looked: dict[str, float] = {}
        self._heard: dict[str, float] = {}
        """Teacher -> when it answered last."""
        self._surcharge: dict[str, float] = {}
        """Teacher -> what its answers cost at most, as a multiple of their requests' worst case: above 1 where a server bills beyond max_tokens."""

    async def ask(self, request: Request, teacher: str, step: str = "") -> Answer:
        """The answer `step` needs; a bad one is no error.

        Raises BudgetReached, TeacherStopped, TooManyFailures or Interrupted when nothing more is sent, SetupError where there is no key
        for it, Deferred where the teacher is asked in batches, NotAsked where nothing may be paid.
        """
        recorded = self._ledger.get(request.key)
        if recorded is not None:
            batch, new = self._paying and self._seats[teacher].batch, self._ledger.is_new(request.key)
            if not new:
                self.counts.replayed(teacher, step)
            return Answer(recorded, new, counts=batch)
        pending = self._pending.get(request.key)
        if pending is not None:
            return Answer(await asyncio.shield(pending), asked=False, counts=False)
        if not self._paying:
            raise NotAsked(request.key)
        seat = self._seats[teacher]
        if seat.lacks is not None:
            raise seat.lacks
        if seat.batch and request.key in self.given_up:
            return Answer(Response(Outcome.FAILED, error=self.given_up[request.key]), asked=False)
        if seat.batch:
            raise Deferred(request, teacher)
        self._not_in_a_batch(request, teacher)
        asking = asyncio.ensure_future(self._answered(request, seat, step))
        self._pending[request.key] = asking
        asking.add_done_callback(lambda done: self._forget(request.key, done))
        return Answer(await asyncio.shield(asking), asked=True, first=True)

    def _not_in_a_batch(self, request: Request, teacher: str) -> None:
        """Raises SetupError, for all, where a paid batch that is under way will answer this: it would be paid for twice."""
        tag = self._ledger.under_way(request.key)
        if tag:
            error = SetupError(
                f"what teacher {teacher!r} is to be asked is in paid batches that are under way: build with its `mode: batch` until they have "
                f"come back, or give up the oldest with `datagen ledger release {self._ledger.folder} {tag}`"
            )
            self._gate.close(error)
            raise error

    def asks_anew(self, rejected: Request, then: Request) -> bool:
        """Whether what was rejected is asked once more, as `then`: where that is recorded already, or on the word of this run."""
        return then.key in self._ledger or (self._again and not self._ledger.is_new(rejected.key))

    def judged(self, teacher: str, outcome: Outcome) -> None:
        """Tell how an answer that counts ended once it has been parsed: too many bad ones stop the build."""
        self._gate.judged(teacher, str(outcome))

    async def _answered(self, request: Request, seat: Seat, step: str) -> Response:
        """Attempt after attempt until there is an outcome; it is in the ledger when this returns."""
        attempts = waits = probes = 0
        rested, began = 0.0, time.monotonic()
        while True:
            need, probe = await self._admitted(request, seat, step, attempts)
            self._written(partial(self._ledger.reserve, request, seat.name, need.worst))
            response, used = await self._attempt(request, seat, step, need)
            if isinstance(response, Response):
                break
            policy = FAULTS[response.kind]
            probes += probe
            if policy.waits or (probe and probes <= PROBES):
                waits += 1
            else:
                attempts += 1
            delay = _delay(response, attempts or waits)
            rested += delay if policy.waits else 0.0
            alone = rested > seat.patience and self._heard.get(seat.name, 0.0) > began  # others were answered, this one never is
            if not policy.again or attempts >= seat.attempts or alone:
                response, used = _given_up(response), Spend()
                break
            await self._gate.rest(delay)
        self._written(partial(self._ledger.record, request, seat.name, response, used))
        self.counts.answered(seat.name, step, response.usage, used.cost)
        self.asked += 1
        return response

    async def _admitted(self, request: Request, seat: Seat, step: str, attempts: int) -> tuple[Need, bool]:
        """What was reserved, and whether the request is a probe. Where a bill came in meanwhile that says that more may be due, the place is
        given back, and more is asked for."""
        while True:
            surcharge = self._surcharge.get(seat.name, 1.0)
            need = replace(need_of(request, seat.price, surcharge), rank=self._ranks.get(step, 0), ticket=next(self._tickets), tried=attempts)
            self.counts.waits(seat.name, step, need.ticket)
            try:
                probe = await self._gate.admit(seat.name, need)
            finally:
                self.counts.goes(seat.name, step, need.ticket)
            if self._surcharge.get(seat.name, 1.0) == surcharge:
                return need, probe
            self._gate.settle(seat.name, Ended(need, Spend()))

    async def _attempt(self, request: Request, seat: Seat, step: str, need: Need) -> tuple[Response | TeacherFault, Spend]:
        """Send once; with what it used. A fault is noted with what it may have cost; `stopped` and `exhausted` end the run."""
        ended = Ended(need, need.worst, "transient")  # until something else is known, it may have been billed
        try:
            response = await seat.teacher.answer(request)
            self._heard[seat.name] = time.monotonic()
            used = spent(seat.price, request, response, need.worst)
            usage = response.usage
            if beyond(used, need.worst):  # measured without any surcharge: many in flight may say the same
                times = beyond(used, need_of(request, seat.price).worst)
                self._surcharge[seat.name] = max(times, self._surcharge.get(seat.name, 1.0))
            ended = Ended(need, used, None, 0.0, usage.input, usage.output, self._headers(seat))
            return replace(response, cost=used.cost), used
        except TeacherFault as fault:
            policy = FAULTS[fault.kind]
            used = need.worst if policy.maybe_billed else Spend()
            ended = Ended(need, used, fault.kind, fault.retry_after or 0.0, heard=fault.status is not None)
            self._ledger.fault(request.key, seat.name, fault, used)
            self.counts.fault(seat.name, step, fault.kind, used.cost)
            stop = _stop(seat, fault)
            if stop is not None:
                self._gate.close(stop)
                raise stop from fault
            return fault, used
        finally:
            self._gate.settle(seat.name, ended)

    def _headers(self, seat: Seat) -> HeaderLimits | None:
        """The teacher's own limits, now and then."""
        now = time.monotonic()
        if now - self._looked.get(seat.name, 0.0) < LOOK_SECONDS:
            return None
        self._looked[seat.name] = now
        return seat.teacher.limits()

    def _written(self, write: Callable[[], None]) -> None:
        """A ledger that cannot be written stops the asking: what could not be recorded would be paid again."""
        try:
            write()
        except LedgerError as error:
            self._gate.close(error)
            raise

    def _forget(self, key: str, done: asyncio.Future[Response]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._pending.pop(key, None)
        elif done.result().outcome is not Outcome.FAILED:
            self._pending.pop(key, None)  # the ledger answers from now on; a failed one is not asked again in this run


def need_of(request: Request, price: TokenPrice | None, surcharge: float = 1.0) -> Need:
    """What a request may take: its worst case, and what is expected of it."""
    most = int(request.params.get("max_tokens", 0))
    worst = Spend(worst_case(price, request, most) if price else 0, input_bound(request) + most, 1)
    if surcharge > 1.0:
        worst = Spend(math.ceil(worst.cost * surcharge), math.ceil(worst.tokens * surcharge), 1)
    return Need(worst, sum([len(text) for _, text in request.messages]), most)


def spent(price: TokenPrice | None, request: Request, response: Response, worst: Spend) -> Spend:
    """What an answer used. What a server does not count it may have charged at its worst."""
    usage = response.usage
    if not (usage.input or usage.output):
        return worst
    made = usage.output or (int(request.params.get("max_tokens", 0)) if response.text or response.reasoning else 0)
    usage = replace(usage, input=usage.input or input_bound(request), output=made)
    return Spend(cost(price, usage) if price else 0, usage.input + usage.output, 1)


def beyond(used: Spend, worst: Spend) -> float:
    """How many times its worst case an answer cost, in dollars or tokens; 0 where it kept below."""
    times = max(used.cost / worst.cost if worst.cost else 0.0, used.tokens / worst.tokens if worst.tokens else 0.0)
    return times if times > 1.0 else 0.0


def _stop(seat: Seat, fault: TeacherFault) -> TeacherStopped | None:
    """What a fault ends the run with, if it does."""
    if fault.kind == "stopped":
        return TeacherStopped(f"teacher {seat.name!r}: {fault}")
    if fault.kind == "exhausted":
        return TeacherPaused(f"teacher {seat.name!r} has used up a quota or a spend limit, so the build pauses: {fault}")
    if (fault.retry_after or 0.0) > seat.patience:
        longer = f"longer than its `patience` of {seat.patience:,.0f} s"
        return TeacherPaused(f"teacher {seat.name!r} asks to wait {fault.retry_after:,.0f} s, {longer}, so the build pauses: {fault}")
    return None


def _given_up(fault: TeacherFault) -> Response:
    return Response(ENDS.get(fault.kind, Outcome.FAILED), error=str(fault), raw=fault.body)


def _delay(fault: TeacherFault, count: int) -> float:
    if fault.retry_after is not None:
        return max(fault.retry_after, SHORTEST)
    return float(min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** (count - 1)))
