"""One round of paid batches: what the line lacks is cut into jobs, handed over, found again after any death, and harvested.

Nothing is submitted twice and nothing recorded is asked again, whenever this process dies (kill -9 between any two lines):

- before the intent is in the ledger: nothing was sent. The spool, written before it, belongs to no job and is swept by the next run.
- after the intent, before or after the provider accepted: the job stands without an id. It is never simply sent again, but looked for at
  the provider (search.py): found, it is adopted; not in the list after the settling time, it is closed as lost and its requests are free.
- after `accepted`: the id is on record, and the job is polled.
- in a harvest: each result is one record that also closes its request in the job. The next harvest passes over what is closed, so it
  records the rest. A result that was not recorded is still with the provider.
- after the last result, before `closed`: the harvest begins again, and finds nothing to record.
- after `closed`, before the spool is deleted: swept.

A submission without a reply in a living process is the same as one whose process died. Requests open in a job that stands, under
whatever teacher or build of this ledger, are not sent: they are parked until it is closed. What is reserved of the budget is in the
intent, so a cap holds over all of this. An intent that a damaged ledger lost is made anew from its spool.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from datagen.asking.ask import need_of
from datagen.asking.batches.clerk import Clerk, every
from datagen.asking.batches.desk import Desk
from datagen.asking.batches.queue import Books, Queue, Till
from datagen.asking.batches.report import Office, RoundReport
from datagen.asking.batches.spool import FOLDER
from datagen.asking.batches.works import Works
from datagen.asking.ledger.book import Ledger
from datagen.errors import BudgetReached, DatagenError, Interrupted, TeacherFault, Waiting
from datagen.records import Request
from datagen.runtime.measures import Measures


class Rounds:
    """The driver's side of `mode: batch`. One object for all rounds of a build, since it counts attempts."""

    def __init__(
        self,
        ledger: Ledger,
        desks: Mapping[str, Desk],
        books: Books | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`desks`: the teachers that are asked in batches, by name, and those that were: their jobs may stand yet."""
        till, self.report = Till(books), RoundReport()
        self._ledger = ledger
        self._desks = desks
        self._office = Office(ledger, till, Works(ledger, desks, till), self.report, clock, monotonic)
        self._works = self._office.works
        self._reason: DatagenError | None = None
        self._now: list[Clerk] = []
        """Those of the call that is under way."""

    def stop(self, reason: DatagenError | None = None) -> None:
        """Submit nothing more and wait no longer: `run` raises `reason` when the calls it is in have ended. What is under way goes on."""
        going = "; paid batches go on at the provider" if self._ledger.standing() else ""
        self._reason = self._reason or reason or Interrupted(f"the build was asked to stop{going}")
        self._office.shut.set()

    async def close(self) -> None:
        """Give the connections back."""
        await asyncio.gather(*(desk.seat.teacher.close() for desk in self._desks.values()))

    async def take_in(self) -> bool:
        """Harvest what has ended since the last run: whatever stops this one, what was paid for is on record. True where there was any."""
        with self._clerks() as clerks:
            await every(clerk.take_in() for clerk in clerks)
        return bool(self.report.results)

    async def run(self, wanted: Iterable[tuple[str, Request]], wait: bool = True, number: int = 1) -> RoundReport:
        """Ask all of `wanted` (teacher, request) that the ledger lacks; return when none of it is open any more.

        With `wait=False` submit what may be submitted, harvest what has ended, and raise Waiting while jobs are under way. Raises
        BudgetReached when requests were left out, TooManyFailures when what is under way has come back after too much of it was useless,
        TeacherStopped or TeacherPaused, LedgerError, or what `stop` was called with.
        """
        with self._clerks() as clerks:
            self._office.begin(number)
            self._enqueue(clerks, wanted)
            await self._passes(clerks, wait)
            left = [await self._left_out(clerk) for clerk in clerks if clerk.queue.dear]
            if left:
                raise BudgetReached("; ".join([*left, *self._reserved()]))
        return self.report

    async def free(self, wait: bool = True) -> None:
        """Return when a batch that is under way has ended, whoever wants its answers: what it had reserved is free then.

        With `wait=False` raise Waiting while none has. Raises what `run` raises.
        """
        with self._clerks() as clerks:
            settled = self._works.settled
            while self._works:
                await every(self._tended(clerk) for clerk in clerks)
                if self._reason:
                    raise self._reason
                if self._works.settled != settled:
                    return
                if not wait:
                    self._leave(clerks)
                await self._rest(min(max(clerk.desk.terms.poll, clerk.rests()) for clerk in clerks))

    async def _left_out(self, clerk: Clerk) -> str:
        """What did not fit under a cap, by the cheapest of it."""
        least = min((entry.worst for entry in clerk.queue.dear), key=lambda worst: (worst.cost, worst.tokens))
        why = await self._office.till.short(clerk.desk.name, least)
        return f"{len(clerk.queue.dear):,} requests of teacher {clerk.desk.name!r} were left out: {why}"

    def _reserved(self) -> Iterator[str]:
        """Batches that hold some of the budget, and may give most of it back."""
        standing = [job for job in self._ledger.standing() if job.build == self._ledger.build]
        if standing:
            count = sum(job.requests - job.answered for job in standing)
            yield f"{count:,} requests stand in paid batches, and count at their worst until they are back"

    def standing(self) -> bool:
        """Whether any job is under way."""
        return bool(self._works)

    def under_way(self) -> str:
        """The jobs that stand, and why nothing else happens, in words; empty where there is nothing to say."""
        halted = [f"nothing more is submitted: {self._office.halted}"] if self._office.halted else []
        return "; ".join([*self._standing(), *halted, *(words for clerk in self._now for words in clerk.trouble())])

    def _standing(self) -> Iterator[str]:
        if not self._works:
            return
        oldest = max(0.0, self._office.clock() - min(work.at for work in self._works))
        hours, minutes = divmod(int(oldest) // 60, 60)
        age = f"{hours} h {minutes} min" if hours else f"{minutes} min"
        count = sum(work.requests for work in self._works)
        words = sorted({work.odd for work in self._works if work.odd})
        odd = f" (a status that is not known: {', '.join(map(repr, words))})" if words else ""
        if len(self._works) == 1:
            yield f"a paid batch with {count:,} requests is under way, for {age}{odd}"
        else:
            yield f"{len(self._works)} paid batches with {count:,} requests are under way, the oldest for {age}{odd}"

    def measures(self) -> Measures:
        """By the names of runtime.measures.METRICS: what batches brought so far, and what is in them."""
        waiting: dict[tuple[str, ...], float] = {(name,): 0.0 for name in self._desks}
        for work in self._works:
            waiting[work.desk.name,] += work.requests
        return {**self.report.counts.measures(), "datagen_batch_requests": waiting}

    @contextlib.contextmanager
    def _clerks(self) -> Iterator[list[Clerk]]:
        """One a teacher, each with an empty queue; after looking through what stands in the ledger."""
        folder = self._ledger.folder / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self.report.notes += self._works.take_stock()
        queues = [Queue(desk, folder, self._office.till) for desk in self._desks.values()]
        self._now = [Clerk(queue, self._office) for queue in queues]
        try:
            yield self._now
        finally:
            self._now = []
            for queue in queues:
                queue.close()

    def _enqueue(self, clerks: Sequence[Clerk], wanted: Iterable[tuple[str, Request]]) -> None:
        by_name = {clerk.desk.name: clerk for clerk in clerks}
        for name, request in wanted:
            if request.key in self._ledger or request.key in self.report.failed:
                continue
            try:
                by_name[name].queue.add(request, need_of(request, by_name[name].desk.seat.price, self.report.surcharge.get(name, 1.0)).worst)
            except TeacherFault as fault:
                by_name[name].reject(request, fault)

    async def _passes(self, clerks: Sequence[Clerk], wait: bool) -> None:
        """Look at every job and send what may be sent, until nothing wanted is open."""
        while True:
            await every(self._tended(clerk) for clerk in clerks)
            if self._reason:
                raise self._reason
            if self._office.halted and not self._works:
                raise self._office.halted
            if not wait and not any(clerk.settles() for clerk in clerks):
                self._leave(clerks)
            queues = [clerk.queue for clerk in clerks]
            left = any(queue.waiting() for queue in queues) or any(work.entries for work in self._works)
            dear = any(queue.dear and (self._works or queue.renewed != self._works.settled) for queue in queues)
            if not (left or dear):
                return
            await self._rest(min(max(clerk.desk.terms.poll, clerk.rests()) for clerk in clerks))

    async def _tended(self, clerk: Clerk) -> None:
        """What ends one teacher's asking ends the run, for all."""
        try:
            await clerk.tend()
        except DatagenError as error:
            self.stop(error)
            raise

    def _leave(self, clerks: Sequence[Clerk]) -> None:
        """Raises Waiting while jobs are under way, or a provider asked to be left alone before it took any."""
        if self._works:
            raise Waiting(f"{self.under_way()}; the same command goes on")
        waits = [f"teacher {clerk.desk.name!r} takes no batches for another {clerk.takes_none():.0f} s" for clerk in clerks if clerk.takes_none()]
        if waits:
            raise Waiting(f"{', '.join(waits)}; the same command goes on then")

    async def _rest(self, seconds: float) -> None:
        """Raises what the run was stopped with, at once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # `wait_for` of Python 3.11 can swallow a cancellation
                await self._office.shut.wait()
        if self._reason:
            raise self._reason


__all__ = ["RoundReport", "Rounds"]
