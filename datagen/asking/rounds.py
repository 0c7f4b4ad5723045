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
intent, so a cap holds over all of this.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from datagen.asking.ask import SHORTEST, need_of
from datagen.asking.batches.desk import Desk
from datagen.asking.batches.harvest import Harvest, Harvester
from datagen.asking.batches.queue import Books, Queue, Till
from datagen.asking.batches.search import Search, newest, since_of
from datagen.asking.batches.spool import FOLDER, Entry, Spool, spool_path, write_spool
from datagen.asking.batches.works import Work, Works
from datagen.asking.ledger.book import Intent, Ledger
from datagen.asking.teachers.base import Job
from datagen.errors import FAULTS, BudgetReached, DatagenError, Interrupted, TeacherFault, TeacherPaused, TeacherStopped, Waiting
from datagen.records import Outcome, Request, Response, Spend

BACKOFF_FIRST, BACKOFF_MOST = 1.0, 60.0
"""Seconds before a submission that was certainly not accepted is made again, doubled up to the most."""
TURNED_DOWN = 40
"""Jobs refused in a row, halved each time, after which their requests are not at fault: 16 halvings find one among 50,000."""
TOKEN_LIMIT, SPENT = "token_limit_exceeded", ("billing", "quota")
"""OpenAI's words in a job that failed: too many tokens are queued for the account; its money is used up."""


@dataclass
class RoundReport:
    """What a round did."""

    jobs: int = 0
    """Accepted."""
    requests: int = 0
    adopted: int = 0
    """Jobs of submissions without a reply that were found at the provider."""
    lost: int = 0
    """Submissions that the provider never accepted."""
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    """Teacher -> outcome -> requests."""
    failed: dict[str, str] = field(default_factory=dict)
    """Key -> why it was given up. Not asked again by this process, and no answer for the ledger to replay."""
    notes: list[str] = field(default_factory=list)

    @property
    def results(self) -> int:
        """Requests that came to an end."""
        return sum(sum(counter.values()) for counter in self.outcomes.values())


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
        """`desks`: the teachers that are asked in batches, by name, and those that were: their jobs may stand yet. `clock` dates intents
        for a person to read; nothing depends on it."""
        self.report = RoundReport()
        self._ledger = ledger
        self._desks = desks
        self._till = Till(books)
        self._clock = clock
        self._monotonic = monotonic
        self._tries: Counter[str] = Counter()
        self._works = Works(ledger, desks, self._till)
        self._shut = asyncio.Event()
        self._reason: DatagenError | None = None
        self._accounts = {desk.account: asyncio.Lock() for desk in desks.values()}

    def stop(self, reason: DatagenError | None = None) -> None:
        """Submit nothing more and wait no longer: `run` raises `reason` when the calls it is in have ended. What is under way goes on."""
        self._reason = self._reason or reason or Interrupted("the build was asked to stop; paid batches go on at the provider")
        self._shut.set()

    async def close(self) -> None:
        """Give the connections back."""
        await asyncio.gather(*(desk.seat.teacher.close() for desk in self._desks.values()))

    async def run(self, wanted: Iterable[tuple[str, Request]], wait: bool = True, number: int = 1) -> RoundReport:
        """Ask all of `wanted` (teacher, request) that the ledger lacks; return when none of it is open any more.

        With `wait=False` submit what may be submitted, harvest what has ended, and raise Waiting while jobs are under way. Raises
        BudgetReached when requests were left out, TeacherStopped or TeacherPaused, LedgerError, or what `stop` was called with.
        """
        folder = self._ledger.folder / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self._works.take_stock()
        queues = [Queue(desk, folder, self._till) for desk in self._desks.values()]
        try:
            self._enqueue(queues, wanted)
            await self._passes(queues, wait, number)
            if not wait and self._works:
                raise Waiting(f"{self.under_way()}; the same command goes on")
            left = ", ".join(f"{len(queue.dear):,} of teacher {queue.desk.name!r}" for queue in queues if queue.dear)
            if left:
                raise BudgetReached(f"requests that no longer fit under the budget were left out: {left}")
        finally:
            for queue in queues:
                queue.close()
        return self.report

    def under_way(self) -> str:
        """The jobs that stand, in words; empty where there is none."""
        if not self._works:
            return ""
        oldest = max(0.0, self._clock() - min(work.at for work in self._works))
        hours, minutes = divmod(int(oldest) // 60, 60)
        count = sum(work.requests for work in self._works)
        return f"{len(self._works)} paid batches with {count:,} requests are under way, the oldest for {hours} h {minutes} min"

    def _enqueue(self, queues: Sequence[Queue], wanted: Iterable[tuple[str, Request]]) -> None:
        by_name = {queue.desk.name: queue for queue in queues}
        for name, request in wanted:
            if request.key in self._ledger or request.key in self.report.failed:
                continue
            try:
                by_name[name].add(request, need_of(request, by_name[name].desk.seat.price).worst)
            except TeacherFault as fault:
                self._reject(by_name[name], request, fault)

    async def _passes(self, queues: Sequence[Queue], wait: bool, number: int) -> None:
        """Look at every job and send what may be sent, until nothing wanted is open."""
        while True:
            await _all(self._tend(queue, number) for queue in queues)
            if self._reason:
                raise self._reason
            left = any(queue.waiting() for queue in queues) or any(work.entries for work in self._works)
            dear = any(queue.dear and (self._works or queue.renewed != self._works.settled) for queue in queues)
            if not (left or dear) or (not wait and self._works):
                return
            await self._rest(max(min(queue.desk.terms.poll for queue in queues), *(queue.pause for queue in queues)))

    async def _tend(self, queue: Queue, number: int) -> None:
        queue.pause = 0.0
        for work in self._works.of(queue.desk):
            try:
                await self._look(queue, work)
                work.silent_since = None
            except TeacherFault as fault:
                work.silent_since = self._endure(queue, fault, work.silent_since)
        try:
            await self._send(queue, number)
        except TeacherFault as fault:
            queue.silent_since = self._endure(queue, fault, queue.silent_since)

    async def _look(self, queue: Queue, work: Work) -> None:
        """Find or poll one job, and take in what it says if it has ended."""
        job = await (self._polled(queue, work) if work.id else self._found(queue, work))
        if job is None or job.state == "validating":
            return
        if job.state == "failed":
            await self._void(queue, work, job)
            return
        queue.refused = 0
        if job.state == "ended":
            await self._harvest(queue, work, job)

    async def _polled(self, queue: Queue, work: Work) -> Job | None:
        try:
            return await work.desk.batches().job(work.id)
        except TeacherFault as fault:
            if fault.status != 404:
                raise
            said = str(fault)
        if work.desk.simulated:  # a simulator of an earlier run took its jobs with it
            queue.back(await self._works.close(work, "lost: its simulator has ended"))
            return None
        give_up = f"`datagen ledger release {self._ledger.folder} {work.tag}` gives it up"
        gone = f"batch {work.id} is not known: was it deleted, or does the key belong to another account? {give_up} ({said})"
        raise TeacherFault("stopped", gone, status=404)

    async def _found(self, queue: Queue, work: Work) -> Job | None:
        """Look for a job whose acceptance is not on record."""
        if work.search is None:
            with Spool(spool_path(self._ledger.folder, work.tag)) as spool:
                work.search = Search(work.tag, frozenset(work.open), since_of(work.at, spool.since), self._monotonic)
        found = await work.search.look(work.desk.batches(), set(self._ledger.batches().values()), work.desk.terms.settling)
        if isinstance(found, Job):
            self._accepted(work, found)
            self.report.adopted += 1
            return found
        if found == "lost":
            self.report.lost += 1
            queue.back(await self._works.close(work, "lost: the provider never accepted it"))
        return None

    async def _harvest(self, queue: Queue, work: Work, job: Job) -> None:
        before, word = self._works.owed(work), job.word
        harvester = Harvester(self._ledger, work.desk, work.tag, work.teacher, work.open, self._tries)
        try:
            with Spool(spool_path(self._ledger.folder, work.tag)) as spool:
                await harvester.take_in(spool, job)
        except TeacherFault as fault:
            if fault.status not in (404, 410):
                raise
            word += ": its results are gone"
            self.report.notes.append(f"batch {work.tag}: the provider no longer has its results; what is not recorded is asked again")
        finally:
            await self._works.settle(work, before, harvester.crop.used)
            self._count(work, harvester.crop)
        queue.back(await self._works.close(work, word))
        queue.full = False
        if harvester.crop.stop is not None:
            raise harvester.crop.stop

    async def _void(self, queue: Queue, work: Work, job: Job) -> None:
        """A job of which no request was ever worked on. All go again, smaller or later where it was too much, but not for ever."""
        keys, limited = set(work.open), TOKEN_LIMIT in job.error
        entries = await self._works.close(work, f"failed: {job.error}"[:500])
        queue.full = limited and bool(self._works.of(queue.desk))
        if limited and not queue.full and len(entries) > 1:
            queue.halve(entries)
        else:
            queue.back(entries)
        if limited:
            queue.refused += not queue.full
        else:
            self._tries.update(keys)
        spent = any(word in job.error for word in SPENT)
        if spent or queue.refused > TURNED_DOWN or max((self._tries[key] for key in keys), default=0) >= queue.desk.seat.attempts:
            raise TeacherFault("exhausted" if limited or spent else "stopped", f"its batches fail before they begin: {job.error or 'no reason'}")

    async def _send(self, queue: Queue, number: int) -> None:
        """Submit what may be submitted now: where jobs carry tags all at once, else one after another, each known before the next."""
        queue.renew(self._works.settled)
        if not queue.ready():
            return
        if queue.desk.batches().tags:
            started: list[Work] = []
            while (work := await self._start(queue)) is not None:
                started.append(work)
            await _all(self._submit(queue, work, number) for work in started)
            return
        async with self._accounts[queue.desk.account]:
            while not self._works.unresolved(queue.desk) and (work := await self._start(queue)) is not None:
                await self._submit(queue, work, number)

    async def _start(self, queue: Queue) -> Work | None:
        """The next job, its requests claimed and its worst case reserved; None while there is no place or no money for one."""
        while queue.ready() and not self._shut.is_set():
            running = len(self._works.of(queue.desk))
            if running >= queue.desk.terms.at_once or (running and queue.full):
                return None
            entries = queue.cut(lambda entry: self._is_open(queue, entry))
            if not entries:
                continue
            work = self._works.claim(queue.desk, [entry.key for entry in entries], self._clock())
            work.entries = await queue.afford(entries)
            work.open, work.requests = {entry.key for entry in work.entries}, len(work.entries)
            if work.entries:
                return work
            await self._works.drop(work)
        return None

    def _is_open(self, queue: Queue, entry: Entry) -> bool:
        """Whether a request still has to be sent. What is under way is parked."""
        if entry.key in self._ledger or entry.key in self.report.failed:
            return False
        if self._works.hold(entry.key):
            queue.parked.append(entry)
            return False
        return True

    async def _submit(self, queue: Queue, work: Work, number: int) -> None:
        """Spool, intent, submission, acceptance: in this order, each on record before the next."""
        desk, batches = work.desk, work.desk.batches()
        try:
            since = await newest(batches)
        except TeacherFault:
            await self._works.drop(work)
            queue.back(work.entries)
            raise
        queue.silent_since = None
        write_spool(self._ledger.folder, work.tag, since, queue.wanted.spooled(work.entries))
        sent = tuple((entry.key, entry.worst) for entry in work.entries)
        self._ledger.intend(Intent(work.tag, desk.name, desk.provider, desk.label, desk.model, work.at, number, sent))
        began, tries = self._monotonic(), 0
        while True:
            try:
                job = await batches.submit(queue.wanted.lines(work.entries), work.tag)
            except TeacherFault as fault:
                if await self._turned_down(queue, work, fault, tries, self._monotonic() - began):
                    return
                tries += 1
                continue
            self._accepted(work, job)
            if job.state == "running":
                queue.refused = 0
            return

    async def _turned_down(self, queue: Queue, work: Work, fault: TeacherFault, tries: int, seconds: float) -> bool:
        """After a submission failed: True when this job is over or must be looked for, False when it goes again, for it was not accepted."""
        if fault.kind == "transient":
            self.report.notes.append(f"batch {work.tag}: no reply to its submission ({fault}); looking for it at the provider")
            return True
        if FAULTS[fault.kind].again and (FAULTS[fault.kind].waits or seconds < queue.desk.patience):
            backoff = min(BACKOFF_MOST, BACKOFF_FIRST * 2**tries)
            try:
                await self._rest(max(fault.retry_after if fault.retry_after is not None else backoff, SHORTEST))
            except DatagenError:
                queue.back(await self._works.close(work, "withdrawn: not accepted yet"))
                raise
            return False
        with Spool(spool_path(self._ledger.folder, work.tag)) as spool:
            first = spool.request(work.entries[0].key)
        entries = await self._works.close(work, f"refused: {fault}"[:500])
        queue.refused += 1
        if fault.kind != "rejected" or queue.refused > TURNED_DOWN or first is None:
            queue.back(entries)
            raise fault
        if len(entries) == 1:
            self._reject(queue, first, fault)
        else:
            queue.halve(entries)
        return True

    def _accepted(self, work: Work, job: Job) -> None:
        self._ledger.accepted(work.tag, job.id)
        work.id = job.id
        self.report.jobs += 1
        self.report.requests += work.requests

    def _reject(self, queue: Queue, request: Request, fault: TeacherFault) -> None:
        """This request only: it has no form that the provider takes."""
        self._ledger.record(request, queue.desk.name, Response(Outcome.REJECTED, error=str(fault), raw=fault.body), Spend())
        self.report.outcomes.setdefault(queue.desk.name, Counter())[Outcome.REJECTED] += 1

    def _count(self, work: Work, crop: Harvest) -> None:
        self.report.outcomes.setdefault(work.desk.name, Counter()).update(crop.outcomes)
        self.report.failed.update(crop.failed)
        self.report.notes += crop.notes(work.tag)

    def _endure(self, queue: Queue, fault: TeacherFault, since: float | None) -> float | None:
        """A provider that does not say is asked again in the next pass, for as long as the teacher has patience; returns since when it
        has been silent. Raises what ends the run."""
        policy = FAULTS[fault.kind]
        if not policy.again:
            self._fail(_stop(queue.desk.name, fault))
        queue.pause = max(queue.pause, fault.retry_after or 0.0)
        if policy.waits:
            return since
        now = self._monotonic()
        since = now if since is None else since
        if now - since > queue.desk.patience:
            self._fail(TeacherStopped(f"the batches of teacher {queue.desk.name!r} have been out of reach for {now - since:.0f} s: {fault}"))
        return since

    def _fail(self, reason: DatagenError) -> NoReturn:
        """End the run, for all teachers."""
        self.stop(reason)
        raise reason

    async def _rest(self, seconds: float) -> None:
        """Raises what the run was stopped with, at once."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._shut.wait(), seconds)
        if self._reason:
            raise self._reason


def _stop(teacher: str, fault: TeacherFault) -> TeacherStopped:
    if fault.kind == "exhausted":
        return TeacherPaused(f"teacher {teacher!r} has used up a quota or a spend limit, so the build pauses: {fault}")
    return TeacherStopped(f"teacher {teacher!r}: {fault}")


async def _all(calls: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Let every call come to its end, then raise the first error."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for error in results:
        if isinstance(error, BaseException):
            raise error
