"""Tends the jobs of one teacher: finds, polls and harvests those that stand, and hands over what is still to be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from typing import Any

from datagen.asking.batches.desk import Desk
from datagen.asking.batches.harvest import GOING, WHOLE, Harvest, Harvester
from datagen.asking.batches.pauses import Pauses
from datagen.asking.batches.queue import Queue
from datagen.asking.batches.refusals import Refusals
from datagen.asking.batches.report import Office
from datagen.asking.batches.search import GONE, Search, newest, since_of
from datagen.asking.batches.spool import Entry, Spool, spool_path, write_spool
from datagen.asking.batches.works import Work
from datagen.asking.ledger.book import Intent
from datagen.asking.teachers.base import Job
from datagen.errors import FAULTS, TeacherFault, TeacherStopped
from datagen.records import Outcome, Request, Response, Spend
from datagen.runtime.log import event

PAUSES = 8
"""The longest pause for a full queue is this part of a teacher's patience."""
DAY = 86_400.0
"""Seconds that a job lasts at most: both providers end it then."""
TURNED_DOWN = 40
"""Jobs refused in a row, halved each time, after which their requests are not at fault: 16 halvings find one among 50,000."""
TOKEN_LIMIT, SPENT = "token_limit_exceeded", ("billing", "quota")
"""OpenAI's words in a job that failed: too many tokens are queued for the account; its money is used up."""


class Clerk:
    """One teacher in one round."""

    def __init__(self, queue: Queue, office: Office) -> None:
        self.queue = queue
        self._office = office
        self._ledger = office.ledger
        self._works = office.works
        self._refusals = office.refusals.setdefault(queue.desk.name, Refusals())
        self._looks, self._sends = Pauses(queue.desk, office.monotonic), Pauses(queue.desk, office.monotonic)
        self._lost = 0
        """Submissions in a row without a reply that never showed up."""
        self._silent_since: float | None = None
        """Since when submissions cannot even be prepared, or are turned down for no reason of their own, and nothing else goes on either."""

    @property
    def desk(self) -> Desk:
        return self.queue.desk

    def rests(self) -> float:
        """Seconds until there is anything to do for it."""
        looks = self._looks.rests()
        return looks if self._works.of(self.desk) else max(looks, self._sends.rests())

    def takes_none(self) -> float:
        """Seconds for which it takes no batches."""
        return self._sends.rests()

    def trouble(self) -> list[str]:
        """Why nothing happens, in words."""
        held = self.queue.held_until - self._office.monotonic()
        full = f"teacher {self.desk.name!r} waits {held:.0f} s for room in its provider's queue of batches" if self.queue.full and held > 0 else ""
        return [words for words in (full, self._looks.trouble("does not say how its batches are"), self._sends.trouble("takes no batches")) if words]

    def settles(self) -> bool:
        """Whether it will soon be known if a submission was taken, or where results are: worth waiting for in any case."""
        works = self._works.of(self.desk)
        return not self._looks.rests() and any(work.settles() for work in works)

    async def tend(self) -> None:
        """Look at every job and hand over what may be. Raises TeacherStopped or TeacherPaused where the provider ends it."""
        if self._looks.rests():
            return
        for work in self._works.of(self.desk):
            try:
                await self._look(work)
                work.silent_since = None
                self._looks.well()
            except TeacherFault as fault:
                work.silent_since = self._looks.endure(fault, work.silent_since)
        if self._looks.rests() or self._sends.rests():
            return
        try:
            await self._send()
            if not self.queue.waiting() and not self._works.of(self.desk):
                self._judge(last=True)
        except TeacherFault as fault:
            self._not_sent(fault)

    def _not_sent(self, fault: TeacherFault) -> None:
        """While jobs of its own are worked on, a provider that takes no more may just be full of them, so its patience does not run. Where
        it does end, what is under way is taken in first."""
        full = FAULTS[fault.kind].waits and any(work.id for work in self._works.of(self.desk))
        try:
            self._silent_since = self._sends.endure(fault, None if full else self._silent_since)
        except TeacherStopped as stop:
            if not FAULTS[fault.kind].again:
                raise
            self._office.halted = self._office.halted or stop

    async def take_in(self) -> None:
        """Harvest what has ended; whatever else is wrong is for the round to find out."""
        for work in self._works.of(self.desk):
            if work.id:
                try:
                    await self._look(work)
                except TeacherFault:
                    return

    def reject(self, request: Request, fault: TeacherFault, tag: str = "") -> None:
        """This request only: it has no form that the provider takes."""
        answer = Response(Outcome.REJECTED, error=str(fault), raw=fault.body, batch=tag)
        self._ledger.record(request, self.desk.name, answer, Spend(), job=tag)
        self._office.report.count(self.desk.name, [Outcome.REJECTED])
        self._office.report.counts.ended(self.desk.name, "", Outcome.REJECTED)

    # -- jobs that stand --

    async def _look(self, work: Work) -> None:
        """Find or poll one job, and take in what it says if it has ended."""
        job = await (self._polled(work) if work.id else self._found(work))
        if job is None or job.state == "validating":
            return
        if job.state == "failed":
            await self._void(work, job)
            return
        self.queue.refused = 0
        if job.state == "running" and job.word in WHOLE:  # the files of its results may be named a moment later
            now = self._office.monotonic()
            work.bare_since = now if work.bare_since is None else work.bare_since
            if now - work.bare_since >= self.desk.terms.settling:
                job = replace(job, state="ended")
        if self._odd(work, job):
            self._office.report.notes.append(f"batch {work.tag}: its status has been {job.word!r} for longer than a batch lasts: it counts as ended")
            job = replace(job, state="ended")
        if job.state == "ended":
            await self._harvest(work, job)

    def _odd(self, work: Work, job: Job) -> bool:
        """Whether a job has a status that nobody knows, and has had it for longer than any job lasts: by the clock of this process, or
        by the date of its intent, since many short runs may look at it."""
        if job.state != "running" or job.word in GOING:
            work.odd, work.odd_since = "", None
            return False
        now, settling = self._office.monotonic(), self.desk.terms.settling
        work.odd, work.odd_since = job.word or "nothing", now if work.odd_since is None else work.odd_since
        seen, age = now - work.odd_since, self._office.clock() - work.at
        return seen > DAY + settling or (seen >= settling and age > DAY + settling)

    async def _polled(self, work: Work) -> Job | None:
        try:
            return await work.desk.batches().job(work.id)
        except TeacherFault as fault:
            if fault.status != 404:
                raise
            said = str(fault)
        if work.desk.simulated:  # a simulator of an earlier run took its jobs with it
            self.queue.back(await self._works.close(work, "lost: its simulator has ended"))
            return None
        give_up = f"`datagen ledger release {self._ledger.folder} {work.tag}` gives it up"
        gone = f"batch {work.id} is not known: was it deleted, or does the key belong to another account? {give_up} ({said})"
        raise TeacherFault("stopped", gone, status=404)

    async def _found(self, work: Work) -> Job | None:
        """Look for a job whose acceptance is not on record. Raises TeacherFault `stopped` where none is ever accepted."""
        if work.search is None:
            with Spool(spool_path(self._ledger.folder, work.tag)) as spool:
                work.search = Search(work.tag, frozenset(work.open), since_of(work.at, spool.since), self._office.monotonic)
        found = await work.search.look(work.desk.batches(), set(self._ledger.batches().values()), work.desk.terms.settling)
        if isinstance(found, Job):
            self._accepted(work, found)
            self._office.report.adopted += 1
            return found
        if found == "lost":
            self._office.report.lost += 1
            self._lost += 1
            self.queue.back(await self._works.close(work, "lost: the provider never accepted it"))
            if self._lost >= self.desk.seat.attempts:
                raise TeacherFault("stopped", f"{self._lost} batches in a row got no reply, and none of them shows in its list: {work.doubt}")
        return None

    async def _harvest(self, work: Work, job: Job) -> None:
        office, before, word = self._office, self._works.owed(work), job.word
        harvester = Harvester(self._ledger, work.desk, work.tag, work.teacher, work.open, office.tries, office.report.counts)
        with Spool(spool_path(self._ledger.folder, work.tag)) as spool:
            try:
                await harvester.take_in(spool, job)
            except TeacherFault as fault:
                if fault.status not in GONE:
                    raise
                if fault.status == 404 and self._soon(work):
                    return
                word += ": its results are gone"
                office.report.notes.append(f"batch {work.tag}: the provider no longer has its results; what is not recorded is asked again")
                harvester.miss(spool, job, billed=True)
            finally:
                await self._works.settle(work, before, harvester.crop.used)
                office.report.took(work.desk.name, work.tag, harvester.crop)
        self.queue.back(await self._works.close(work, word))
        self._back(work, harvester.crop)
        self.queue.full, self.queue.held = False, 0
        await office.weigh(work.desk.name)
        if harvester.crop.stop is not None:
            raise harvester.crop.stop

    def _back(self, work: Work, crop: Harvest) -> None:
        event("batch_back", teacher=self.desk.name, batch=work.tag, outcomes=dict(crop.outcomes), again=crop.again, missing=crop.missing)

    def _soon(self, work: Work) -> bool:
        """Whether results that are not there may still come: a provider's servers do not all know at once that a job has ended."""
        now = self._office.monotonic()
        work.gone_since = now if work.gone_since is None else work.gone_since
        return now - work.gone_since < self.desk.terms.settling

    async def _void(self, work: Work, job: Job) -> None:
        """A job of which no request was ever worked on. All go again, smaller or later where it was too much, without those that the
        provider names as bad, but not for ever."""
        queue, tries = self.queue, self._office.tries
        limited, spent = TOKEN_LIMIT in job.error, any(word in job.error for word in SPENT)
        bad = self._reject_lines(work, job) if job.bad and not limited and not spent else 0
        keys = set(work.open)
        entries = await self._works.close(work, f"failed: {job.error}"[:500])
        event("batch_failed", teacher=self.desk.name, batch=work.tag, requests=len(entries))
        queue.full |= limited
        alone = not self._works.of(queue.desk)
        if limited and alone:
            self._hold()
        if limited and alone and len(entries) > 1:
            queue.halve(entries)
        else:
            queue.back(entries)
        if limited or bad:
            queue.refused += bad > 0 or alone
        else:
            tries.update(keys)
        worn = limited and alone and len(entries) == 1 and self._office.monotonic() - queue.held_since > queue.desk.patience
        if spent or worn or queue.refused > TURNED_DOWN or max((tries[key] for key in keys), default=0) >= queue.desk.seat.attempts:
            raise TeacherFault("exhausted" if limited or spent else "stopped", f"its batches fail before they begin: {job.error or 'no reason'}")

    def _hold(self) -> None:
        """No job of ours fills the provider's queue, so others do, or this one was too large: the next goes smaller, and later each time."""
        queue = self.queue
        pause = min(queue.desk.patience / PAUSES, queue.desk.terms.poll * 2**queue.held)
        now = self._office.monotonic()
        queue.held_since = queue.held_since if queue.held else now
        queue.held, queue.held_until = queue.held + 1, now + pause

    def _reject_lines(self, work: Work, job: Job) -> int:
        """The requests that the provider's validation names; how many they are."""
        found = 0
        with Spool(spool_path(self._ledger.folder, work.tag)) as spool:
            keys = spool.order()
            for line in job.bad:
                request = spool.request(keys[line - 1]) if line <= len(keys) else None
                if request is not None and request.key in work.open:
                    self.reject(request, TeacherFault("rejected", f"its batch failed validation: {job.error}"), work.tag)
                    work.open.discard(request.key)
                    found += 1
        return found

    # -- what is still to be asked --

    async def _send(self) -> None:
        """Submit what may be submitted now: where jobs carry tags all at once, else one after another, each known before the next."""
        queue = self.queue
        queue.renew(self._works.settled)
        if not queue.ready():
            return
        if queue.desk.batches().tags:
            started: list[Work] = []
            while (work := await self._start()) is not None:
                started.append(work)
            await every(self._submit(work) for work in started)
            return
        async with self._office.account(queue.desk):
            while not self._works.unresolved(queue.desk) and (work := await self._start()) is not None:
                await self._submit(work)

    async def _start(self) -> Work | None:
        """The next job, its requests claimed and its worst case reserved; None while there is no place or no money for one."""
        queue, office = self.queue, self._office
        while queue.ready() and not office.shut.is_set() and office.halted is None:
            running = len(self._works.of(queue.desk))
            if running >= queue.desk.terms.at_once or (queue.full and (running or office.monotonic() < queue.held_until)):
                return None
            entries = queue.cut(self._is_open)
            if not entries:
                continue
            work = self._works.claim(queue.desk, [entry.key for entry in entries], office.clock())
            work.entries = await queue.afford(entries)
            work.open, work.requests = {entry.key for entry in work.entries}, len(work.entries)
            if work.entries:
                return work
            await self._works.drop(work)
        return None

    def _is_open(self, entry: Entry) -> bool:
        """Whether a request still has to be sent. What is under way is parked."""
        if entry.key in self._ledger or entry.key in self._office.report.failed:
            return False
        if self._works.hold(entry.key):
            self.queue.parked.append(entry)
            return False
        return True

    async def _submit(self, work: Work) -> None:
        """Spool, intent, submission, acceptance: in this order, each on record before the next."""
        desk, batches, queue = work.desk, work.desk.batches(), self.queue
        try:
            since = await newest(batches)
        except TeacherFault:
            await self._works.drop(work)
            queue.back(work.entries)
            raise
        sent = tuple((entry.key, entry.worst) for entry in work.entries)
        intent = Intent(work.tag, desk.name, desk.provider, desk.label, desk.model, work.at, self._office.number, sent)
        write_spool(self._ledger.folder, intent, since, queue.wanted.spooled(work.entries))
        self._ledger.intend(intent)
        try:
            job = await batches.submit(queue.wanted.lines(work.entries), work.tag)
        except TeacherFault as fault:
            await self._turned_down(work, fault)
            return
        self._accepted(work, job)
        if job.state == "running":
            queue.refused = 0

    async def _turned_down(self, work: Work, fault: TeacherFault) -> None:
        """After a submission failed: it must be looked for, goes again later, or goes again without whatever it was refused for."""
        queue = self.queue
        if fault.kind == "transient":
            work.doubt = str(fault)
            self._office.report.notes.append(f"batch {work.tag}: no reply to its submission ({fault}); looking for it at the provider")
            return
        with Spool(spool_path(self._ledger.folder, work.tag)) as spool:
            first = spool.request(work.entries[0].key)
        entries = await self._works.close(work, f"not accepted: {fault}"[:500])
        if fault.kind != "rejected" or first is None:
            queue.back(entries)
            raise fault
        queue.refused += 1
        if queue.refused > TURNED_DOWN:
            queue.back(entries)
            raise fault
        self._refusals.heard(fault)
        if len(entries) > 1:
            queue.split(self._refusals.parts(entries))
            return
        self._refusals.alone(first, fault)
        self._judge(last=False)

    def _judge(self, last: bool) -> None:
        """Of requests that were refused alone: they are rejected, unless it is the teacher who is. `last`: nothing else is left to try."""
        if self._refusals.of_the_teacher(last):
            (_, fault), *_ = self._refusals.given()
            raise TeacherFault("stopped", f"its batch API takes no job, whatever the requests: {fault}; ask it online (`mode: online`)")
        if last or self._refusals.taken:
            for request, fault in self._refusals.given():
                self.reject(request, fault)

    def _accepted(self, work: Work, job: Job) -> None:
        self._ledger.accepted(work.tag, job.id)
        work.id = job.id
        self._lost, self._silent_since = 0, None
        self._sends.well()
        self._refusals.taken = True
        self._judge(last=False)
        self._office.report.jobs += 1
        self._office.report.requests += work.requests
        event("batch_submitted", teacher=self.desk.name, batch=work.tag, requests=work.requests, round=self._office.number)


async def every(calls: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Let every call come to its end, then raise the first error."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for error in results:
        if isinstance(error, BaseException):
            raise error
