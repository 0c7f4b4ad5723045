"""A submission whose reply never came: was it accepted? It is sent again only when the provider's list has had its time to show it.

Where jobs carry tags (OpenAI), the one with the intent's tag is it. Where they do not (Anthropic), candidates are the jobs that no record
of the ledger names, with as many requests, created since the intent; which of them it is, the custom ids in their results tell, so it is
waited for until they have ended. "Since the intent" is by the provider's own clock: the newest job that it listed just before. Our clock
enters only where that note is lost with its spool. The settling time runs on the monotonic clock, from the first look of this process
on, so neither a clock that jumps nor a long death of the process shortens it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import aclosing
from typing import Literal

from datagen.asking.teachers.base import Batches, Job, key_of
from datagen.errors import TeacherFault

LOOKED_AT = 1_000
"""Results of a candidate that are looked at: two jobs may share requests, but no job of another is ours for the most part."""
MARGIN = 60.0
"""Seconds by which the clocks of a provider's own servers may differ."""
OWN_MARGIN = 86_400.0
"""Seconds by which ours may differ from them, where ours is all there is."""

GONE = (404, 410)
"""Of results: they are no longer there, or not yet."""

Found = Job | Literal["lost"] | None
"""The job; or that it was never accepted; or that it is too early to say."""


def since_of(at: float, noted: float | None) -> float:
    """Before which no job can be this one: `noted` is by the provider's clock, `at` by ours."""
    return at - OWN_MARGIN if noted is None else noted - MARGIN


async def newest(batches: Batches) -> float:
    """When the newest job that the provider lists was created, by its clock; 0 where there is none."""
    return max((job.created for job in await batches.jobs(float("inf"))), default=0.0)


class Search:
    """For one intent without an id, as far as this process has looked."""

    def __init__(self, tag: str, keys: Collection[str], since: float, clock: Callable[[], float]) -> None:
        """`keys`: of all its requests; `clock`: monotonic seconds."""
        self._tag = tag
        self._keys = keys
        self._since = since
        self._clock = clock
        self._first: float | None = None
        self.undecided = False
        """Candidates run that may be it: only their results will tell."""
        self._others: set[str] = set()
        """Ids of jobs that are proved not to be it."""

    async def look(self, batches: Batches, known: Collection[str], settling: float) -> Found:
        """`known`: ids of jobs that belong to other intents. Raises TeacherFault where the provider does not say."""
        began = self._clock()
        listed = [job for job in await batches.jobs(self._since) if job.created >= self._since and job.id not in known]
        self._first = began if self._first is None else self._first
        if batches.tags:
            candidates = [job for job in listed if job.tag == self._tag]
            found = min(candidates, key=lambda job: (job.created, job.id), default=None)
        else:
            candidates = [job for job in listed if job.requests == len(self._keys)]
            found = await self._proved(batches, candidates, began - self._first < settling)
            candidates = [job for job in candidates if job.id not in self._others]
        self.undecided = bool(candidates)
        if found is not None:
            return found
        return "lost" if not candidates and began - self._first >= settling else None

    async def _proved(self, batches: Batches, candidates: Collection[Job], early: bool) -> Job | None:
        """The oldest candidate whose results are mostly ours. Of two with the same requests either serves. `early`: what is not there may come."""
        for job in sorted(candidates, key=lambda job: (job.created, job.id)):
            if job.state != "ended" or job.id in self._others:
                continue
            try:
                if await self._ours(batches, job):
                    return job
            except TeacherFault as fault:
                if not early or fault.status not in GONE:
                    raise
                continue
            self._others.add(job.id)
        return None

    async def _ours(self, batches: Batches, job: Job) -> bool:
        ours = seen = 0
        async with aclosing(batches.results(job)) as results:
            async for result in results:
                seen += 1
                ours += key_of(result.custom_id) in self._keys
                if seen == LOOKED_AT:
                    break
        return ours * 2 > seen
