"""Jobs that were submitted: how they stand, what they say, and how they are asked to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from datagen.errors import Interrupted, SetupError, nearest
from datagen.runtime.onray.jobs import Job, Jobs
from datagen.service.submission import DRAIN_SPARE, hints

LOOK = 1.0
"""Seconds between two looks at a job that is asked to stop."""


def listed(jobs: Jobs) -> Iterator[str]:
    """One line a job, the latest last."""
    known = [job for job in jobs.all() if "datagen" in job.metadata]
    for job in known:
        yield f"{job.id}  {_state(job)}  {_when(job)}"
    if not known:
        yield f"no build was submitted to {jobs.address} since its head started"


def described(jobs: Jobs, id: str) -> Iterator[str]:
    """A job in a few lines. Raises SetupError for an unknown id."""
    job = _need(jobs, id)
    yield f"{job.id}: {_state(job)}"
    yield f"  {_when(job)}"
    for word in ("name", "run", "out"):
        if word in job.metadata:
            yield f"  {word:<8} {job.metadata[word]}"
    if job.status == "FAILED":
        yield f"  {job.message.splitlines()[0] if job.message else 'no reason is known'}"
    if not job.over:
        yield from hints(job.id, jobs.address)


def said(jobs: Jobs, id: str) -> str:
    """All that a job has said so far. Raises SetupError for an unknown id."""
    return jobs.logs(_need(jobs, id).id)


def follow(jobs: Jobs, id: str, say: Callable[[str], None]) -> int:
    """Pass on what a job says until it is over; returns the build's own exit code.

    Raises Interrupted on Ctrl-C: looking away does not stop the job.
    """
    _need(jobs, id)
    try:
        asyncio.run(_follow(jobs, id, say))
    except KeyboardInterrupt:
        raise Interrupted("\n".join([f"{id} goes on without us:", *hints(id, jobs.address)])) from None
    job = _need(jobs, id)
    say(f"{job.id}: {_state(job)}\n")
    return job.exit_code


async def _follow(jobs: Jobs, id: str, say: Callable[[str], None]) -> None:
    async for text in jobs.follow(id):
        say(text)


def stop(jobs: Jobs, id: str, wait: bool = True) -> Iterator[str]:
    """Ask a job to stop, and see it through: nothing new is sent, what is in flight lands, then it is over."""
    job = _need(jobs, id)
    if not jobs.stop(id):
        yield f"{id} is over: {_state(_need(jobs, id))}"
        return
    longest = int(job.metadata.get("drain_seconds", DRAIN_SPARE))
    yield f"{id} is asked to stop: nothing new is sent, what is in flight lands, in {longest:,} s at most"
    if not wait:
        return
    try:
        job = _over(jobs, id, longest + DRAIN_SPARE)
    except KeyboardInterrupt:
        raise Interrupted(f"{id} is stopping without us; `datagen status {id} --address {jobs.address}` says how it stands") from None
    yield f"{id}: {_state(job)}; the same `datagen submit` goes on from there"


def _over(jobs: Jobs, id: str, longest: float) -> Job:
    end = time.monotonic() + longest
    while time.monotonic() < end:
        job = _need(jobs, id)
        if job.over:
            return job
        time.sleep(LOOK)
    raise SetupError(f"{id} is still {_need(jobs, id).status} after {longest:,.0f} s; look at its node, or stop it again")


def _need(jobs: Jobs, id: str) -> Job:
    job = jobs.find(id)
    if job is None:
        raise SetupError(f"no job {id!r} at {jobs.address}{nearest(id, (job.id for job in jobs.all() if 'datagen' in job.metadata))}")
    return job


def _state(job: Job) -> str:
    return f"{job.status} (exit code {job.exit_code})" if job.over else job.status


def _when(job: Job) -> str:
    began = datetime.fromtimestamp(job.started, UTC).strftime("%Y-%m-%d %H:%M UTC") if job.started else "not started"
    seconds = (job.ended or time.time()) - job.started if job.started else 0
    return f"{began}, {timedelta(seconds=round(seconds))}"
