"""The results of an ended job into the ledger: each at once, the first of each request, and what is missing named.

Only what is open in the job counts, and each record closes its request in the same write. So a harvest that was killed, or whose stream
broke, is simply begun again: what stands in the ledger is passed over.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from datagen.asking.ask import ENDS, beyond, need_of, spent
from datagen.asking.batches.desk import Desk
from datagen.asking.batches.spool import Spool
from datagen.asking.counts import Counts
from datagen.asking.ledger.book import Ledger
from datagen.asking.teachers.base import Job, Result, key_of
from datagen.errors import FAULTS, TeacherFault
from datagen.records import Outcome, Request, Response, Spend

WHOLE = frozenset({"completed", "ended"})
"""Words of jobs that worked on every request."""
UNBEGUN = frozenset({"expired", "cancelled", "canceled", "aborted"})
"""Words of jobs that leave out what they never began. In any other a result that is missing may have been billed."""
GOING = frozenset({"in_progress", "finalizing", "cancelling", "canceling", *WHOLE})
"""Words of jobs that have not ended, as far as they are known."""
BREATH = 64
"""Results between two pauses in which others may run."""
NAMED = 5
"""Unknown custom ids that are named; the others are counted."""


@dataclass
class Harvest:
    """What came of one job."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """By the words of records.Outcome."""
    again: int = 0
    """Came back without an answer, and are asked again."""
    failed: dict[str, str] = field(default_factory=dict)
    """Key -> why it was given up in this run."""
    missing: int = 0
    duplicates: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    """Custom ids that no request of the job has."""
    unrecorded: int = 0
    """Answers whose requests were lost with the spool."""
    dear: int = 0
    """Answers billed above the worst case of their requests: more than the caps could hold back."""
    times: float = 1.0
    """As a multiple of that worst case, at most."""
    used: Spend = field(default_factory=Spend)
    stop: TeacherFault | None = None
    """What says that nothing else will be answered either: the account is empty, or every result says that the teacher refuses."""

    def notes(self, tag: str) -> list[str]:
        """What a person should know of it."""
        strangers = sum(self.unknown.values())
        named = ", ".join(repr(name) for name in sorted(self.unknown)[:NAMED])
        said = {
            f"{self.duplicates} results came twice: the first counts": self.duplicates,
            f"{strangers} results have custom ids that are none of its own, such as {named}": strangers,
            f"{self.missing} results are missing: asked again": self.missing,
            f"{self.dear} answers were billed above the worst case of their requests, more than the caps could hold back": self.dear,
            f"{self.unrecorded} answers could not be recorded, since the file of its requests is gone": self.unrecorded,
        }
        return [f"batch {tag}: {words}" for words, number in said.items() if number]


class Harvester:
    """Takes in the results of one job."""

    def __init__(
        self, ledger: Ledger, desk: Desk, tag: str, teacher: str, open_: set[str], tries: Counter[str], counts: Counts | None = None
    ) -> None:
        """`teacher`: under whose name the job was submitted; `open_`: keys without a result, which are taken out as they get one; `tries`:
        key -> attempts of this process that brought nothing; `counts`: where all is added up."""
        self.crop = Harvest()
        self._ledger = ledger
        self._desk = desk
        self._tag = tag
        self._teacher = teacher
        self._open = open_
        self._tries = tries
        self._counts = counts or Counts()
        self._seen: set[str] = set()
        self._served = False
        """A result shows that the teacher serves this account."""
        self._shut: dict[str, TeacherFault] = {}
        """Key -> a fault `stopped`: of all requests, or of this one alone where others are served."""

    async def take_in(self, spool: Spool, job: Job) -> None:
        """Raises TeacherFault where the results broke off: what came is recorded."""
        async with aclosing(self._desk.batches().results(job)) as results:
            number = 0
            async for result in results:
                self._take(spool, result)
                number += 1
                if number % BREATH == 0:
                    await asyncio.sleep(0)
        self.miss(spool, job, billed=job.word not in UNBEGUN)

    def miss(self, spool: Spool, job: Job, billed: bool) -> None:
        """What has no result will get none."""
        self._judge_shut(spool)
        gone = TeacherFault("transient", f"the results of batch {job.id} ({job.word}) do not name it")
        for key in sorted(self._open):
            self._open.discard(key)
            self.crop.missing += 1
            self._ended_badly(key, spool.request(key), gone, billed)

    def _take(self, spool: Spool, result: Result) -> None:
        key = key_of(result.custom_id)
        if key in self._seen:
            self.crop.duplicates += 1
            return
        if key not in self._open and key not in spool:
            self.crop.unknown[result.custom_id[:80]] += 1
            return
        self._seen.add(key)
        self._served |= result.fault is None or result.fault.kind in ENDS
        if key not in self._open:  # it was recorded before this harvest was begun again
            return
        if result.fault is not None and result.fault.kind == "stopped":
            self._shut[key] = result.fault
            return
        request = spool.request(key)
        self._open.discard(key)
        if result.fault is not None:
            # A good status with a bad body: the answer was made, and is billed.
            self._ended_badly(key, request, result.fault, billed=result.fault.status is not None and result.fault.status < 300)
        elif result.response is not None and request is not None:
            self._answered(request, result.response)
        elif result.response is not None:
            self._unrecorded(key, self._worst(key))

    def _judge_shut(self, spool: Spool) -> None:
        """An unknown model, a key without permission: where others of the same job are served it is this request's own end, as a run of it
        alone would never get further."""
        for key, fault in self._shut.items():
            self._open.discard(key)
            own = TeacherFault("rejected", str(fault), status=fault.status, body=fault.body)
            self._ended_badly(key, spool.request(key), own if self._served else fault, billed=False)
        self._shut = {}

    def _worst(self, key: str) -> Spend:
        return self._ledger.reserved(self._tag, key)

    def _unrecorded(self, key: str, used: Spend) -> None:
        """An answer to we no longer know what: it cannot be kept, and it was paid for."""
        fault = TeacherFault("transient", "its request is gone with the file of the batch's requests, so its answer cannot be recorded")
        self._ledger.fault(key, self._teacher, fault, used, job=self._tag)
        self._counts.fault(self._desk.name, "", fault.kind, used.cost)
        self.crop.used += used
        self.crop.unrecorded += 1

    def _answered(self, request: Request, response: Response) -> None:
        worst = need_of(request, self._desk.seat.price).worst
        used = spent(self._desk.seat.price, request, response, worst)
        times = beyond(used, worst)
        self.crop.dear += times > 0
        self.crop.times = max(times, self.crop.times)
        self._record(request, replace(response, cost=used.cost, batch=self._tag), used)

    def _ended_badly(self, key: str, request: Request | None, fault: TeacherFault, billed: bool) -> None:
        """`rejected` is an outcome; everything else asks again, `attempts` times."""
        if request is None:
            self._unrecorded(key, self._worst(key) if billed else Spend())
            return
        if fault.kind in ENDS:
            self._record(request, Response(ENDS[fault.kind], error=str(fault), raw=fault.body, batch=self._tag), Spend())
            return
        used = self._worst(key) if billed else Spend()
        self._ledger.fault(key, self._teacher, fault, used, job=self._tag)
        self._counts.fault(self._desk.name, "", fault.kind, used.cost)
        self.crop.used += used
        if not FAULTS[fault.kind].again:
            self.crop.stop = fault
            return
        self._tries[key] += 1
        if self._tries[key] < self._desk.seat.attempts:
            self.crop.again += 1
            return
        self._ledger.record(request, self._teacher, Response(Outcome.FAILED, error=str(fault), raw=fault.body), Spend())
        self.crop.failed[key] = str(fault)
        self.crop.outcomes[Outcome.FAILED] += 1
        self._counts.ended(self._desk.name, "", Outcome.FAILED)

    def _record(self, request: Request, response: Response, used: Spend) -> None:
        self._ledger.record(request, self._teacher, response, used, job=self._tag)
        self.crop.outcomes[response.outcome] += 1
        self._counts.answered(self._desk.name, "", response.usage, used.cost)
        self._counts.ended(self._desk.name, "", response.outcome)
        self.crop.used += used
