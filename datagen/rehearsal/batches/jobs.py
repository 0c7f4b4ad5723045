"""The life of a paid batch, whatever provider it was handed to: accepted, worked on, ended; and the books of all of them.

A job's fate is a function of the seed, of what it holds and of how often that was submitted; a request's luck in it, of the seed, the
request and how many jobs have held it. So a second job meets new luck, and the same story is told again from the start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from datagen.records import digest
from datagen.rehearsal.batches.uploads import File
from datagen.rehearsal.chance import share, stream
from datagen.rehearsal.wires import Asked, Reply, Wire, WrongShape
from datagen.rehearsal.wires.protocols import Protocol, shaped
from datagen.spec.models import SimulatedBatches

State = Literal["validating", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled", "failed"]
"""OpenAI's words; the other provider's are told from them."""
ENDED: frozenset[State] = frozenset({"completed", "expired", "cancelled", "failed"})
WORKING_SHARE = 0.8
"""Of a job's seconds; the rest it is finalizing, or cancelling."""
_SLICE = 32
"""Requests that are answered before others may speak."""


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a job."""

    custom_id: str
    request: Any
    """The body, parsed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request."""

    custom_id: str
    kind: Literal["succeeded", "errored", "expired", "cancelled"]
    body: bytes = b""
    """The answer, of one that succeeded."""
    status: int = 200
    error: str = ""
    planted: str = ""
    """The defect in it, told as the header of an answer online is."""

    @property
    def headers(self) -> dict[str, dict[str, str]]:
        return {"headers": {"x-datagen-planted": self.planted}} if self.planted else {}


@dataclass(frozen=True, slots=True)
class Fate:
    """What will happen to a job."""

    fails: bool
    expires: bool
    is_lost: bool
    """The connection is reset before the reply to its submission."""
    is_garbled: bool


@dataclass(slots=True)
class Job:
    """One paid batch."""

    id: str
    wire: Wire
    protocol: Protocol
    lines: Sequence[Line]
    content: str
    """Digest of its sorted custom ids."""
    number: int
    """How many times this content has been submitted."""
    fate: Fate
    accepted: float
    """When, by the clock of the process."""
    headers: Mapping[str, str]
    """Of its submission, as far as they hold for its requests too: the version of the API."""
    told: Mapping[str, Any]
    """What the provider repeats of the submission."""
    errors: Sequence[Mapping[str, Any]] = ()
    """What validation will find wrong."""
    requests: int = 0
    held_before: int = 0
    """Requests of it that were under way or answered in another job when it was accepted."""
    state: State = "validating"
    moments: dict[str, float] = field(default_factory=dict)
    """State -> when it was reached, in seconds since the epoch."""
    outcomes: list[Outcome] = field(default_factory=list)
    results: list[Outcome] = field(default_factory=list)
    """The outcomes as they are handed out."""
    tokens: dict[str, int] = field(default_factory=lambda: {"input": 0, "cached": 0, "output": 0, "reasoning": 0})
    cancelling: asyncio.Event = field(default_factory=asyncio.Event)

    def enter(self, state: State) -> None:
        self.state = state
        self.moments[state] = time.time()

    def count(self, *kinds: str) -> int:
        return sum(outcome.kind in kinds for outcome in self.outcomes)


class Desk:
    """Takes jobs and works on them in the background."""

    def __init__(self, settings: SimulatedBatches, seed: int, first: int, work: Callable[[Protocol, Asked], Reply]) -> None:
        self._settings = settings
        self._seed = seed
        self._first = first
        self._work = work
        self._jobs: dict[str, Job] = {}
        self._submissions: dict[str, int] = {}
        self._tries: dict[str, int] = {}
        self._holders: dict[str, Job] = {}
        """Custom id -> the job in which it is under way or was answered."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.files: dict[str, File] = {}
        """What was uploaded, and what jobs wrote, by id."""

    def accept(self, wire: Wire, protocol: Protocol, lines: Sequence[Line], headers: Mapping[str, str], told: Mapping[str, Any],
               errors: Sequence[Mapping[str, Any]] = ()) -> Job:  # fmt: skip
        """Take a job and begin. Whether its submitter hears of it is the caller's part: see its fate."""
        content = digest(sorted(line.custom_id for line in lines))
        number = self._submissions[content] = self._submissions.get(content, 0) + 1
        name = digest([wire, content, number, len(self._jobs)], size=12)
        held_before = sum(line.custom_id in self._holders for line in lines)
        job = Job(
            f"{'msgbatch' if wire == 'anthropic' else 'batch'}_{name}", wire, protocol, lines, content, number,
            self._fate(content, self._first + number), time.monotonic(), headers, told, errors, len(lines), held_before,
        )  # fmt: skip
        job.moments["created"] = time.time()
        self._holders |= dict.fromkeys((line.custom_id for line in lines), job)
        self._jobs[job.id] = job
        task = asyncio.get_running_loop().create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def _fate(self, content: str, number: int) -> Fate:
        def drawn(word: str, part: float) -> bool:
            return share(self._seed, "batch", word, content, number) < part

        plan = self._settings
        return Fate(drawn("fail", plan.fail), drawn("expire", plan.expire), drawn("lost", plan.lost), drawn("garbled", plan.garbled))

    def get(self, wire: Wire, id: str) -> Job | None:
        """A job by its id: at once, whether the list shows it yet or not."""
        job = self._jobs.get(id)
        return job if job is not None and job.wire == wire else None

    def listed(self, wire: Wire) -> list[Job]:
        """The jobs that the list shows by now, newest first."""
        shown = time.monotonic() - self._settings.listing
        return [job for job in reversed(self._jobs.values()) if job.wire == wire and job.accepted <= shown]

    def cancel(self, job: Job) -> None:
        """Ask for a job's end; one that has ended stays as it is."""
        if job.state not in ENDED:
            job.enter("cancelling")
            job.cancelling.set()

    async def _run(self, job: Job) -> None:
        plan = self._settings
        if job.wire == "openai":
            await _pause(job, plan.validation)
            if job.errors or (job.fate.fails and not job.cancelling.is_set()):
                self._fail(job)
                return
        if not job.cancelling.is_set():
            job.enter("in_progress")
        order = stream(self._seed, "batch order", job.content, self._first + job.number)
        lines = order.sample(list(job.lines), len(job.lines))
        done = await self._answer(job, lines[: len(lines) // 2] if job.fate.expires else lines)
        if not job.cancelling.is_set():
            job.enter("finalizing")
        await asyncio.sleep(plan.seconds * (1 - WORKING_SHARE))
        self._end(job, lines[done:])

    async def _answer(self, job: Job, lines: Sequence[Line]) -> int:
        """Work on these requests, evenly over the job's time; how many were reached before it was cancelled."""
        began = time.monotonic()
        step = max(1, min(_SLICE, len(lines) // 8))
        for at in range(0, len(lines), step):
            if job.cancelling.is_set():
                return at
            job.outcomes += [self._outcome(job, line) for line in lines[at : at + step]]
            due = began + self._settings.seconds * WORKING_SHARE * min(1.0, (at + step) / len(lines))
            await _pause(job, due - time.monotonic())
        if not lines:
            await _pause(job, self._settings.seconds * WORKING_SHARE)
        return len(lines)

    def _outcome(self, job: Job, line: Line) -> Outcome:
        """Answer one request, or let it fail."""
        key, sample = named(line.custom_id)
        headers = {**job.headers, "x-datagen-key": key, "x-datagen-sample": sample} if key else job.headers
        try:
            asked = shaped(job.protocol, headers, line.request)
        except WrongShape as wrong:
            return self._gone(job, Outcome(line.custom_id, "errored", status=wrong.status, error=str(wrong)))
        number = self._tries[asked.identity] = self._tries.get(asked.identity, self._first) + 1
        if share(self._seed, "batch error", asked.identity, number) < self._settings.errors:
            return self._gone(job, Outcome(line.custom_id, "errored", status=500, error="The server had an error while processing your request."))
        reply = self._work(job.protocol, asked)
        spent = {"input": reply.input_tokens, "cached": reply.cached.read, "output": reply.output_tokens, "reasoning": reply.reasoning_tokens}
        job.tokens = {kind: count + spent[kind] for kind, count in job.tokens.items()}
        return Outcome(line.custom_id, "succeeded", reply.body, planted=reply.planted)

    def _fail(self, job: Job) -> None:
        for line in job.lines:
            self._release(job, line.custom_id)
        job.lines = ()
        job.enter("failed")

    def _end(self, job: Job, rest: Sequence[Line]) -> None:
        """`rest` was never worked on."""
        cancelled = job.cancelling.is_set()
        job.outcomes += [self._gone(job, Outcome(line.custom_id, "cancelled" if cancelled else "expired")) for line in rest]
        job.results = list(job.outcomes)
        if job.fate.is_garbled:
            self._garble(job)
        job.lines = ()
        job.enter("cancelled" if cancelled else "expired" if rest else "completed")

    def _garble(self, job: Job) -> None:
        """Leave out an answer, name another by an id that nobody sent, and give one twice."""
        good = [outcome for outcome in job.outcomes if outcome.kind == "succeeded"]
        if not good:
            return
        missing, copied = good[-1], good[0]
        unknown = Outcome(f"k1-{digest(['unknown', job.content])}-0", "succeeded", copied.body)
        again = [copied] if copied is not missing else []
        job.results = [outcome for outcome in job.outcomes if outcome is not missing] + [unknown, *again]
        self._release(job, missing.custom_id)

    def _gone(self, job: Job, outcome: Outcome) -> Outcome:
        self._release(job, outcome.custom_id)
        return outcome

    def _release(self, job: Job, custom_id: str) -> None:
        """Nothing will come of this request here: another job may well hold it."""
        if self._holders.get(custom_id) is job:
            del self._holders[custom_id]

    def books(self) -> Iterator[bytes]:
        """JSON lines: {"totals": ...} first, then one line per job in the order of acceptance."""
        jobs = list(self._jobs.values())
        again = sum(job.held_before > 0 for job in jobs)
        yield orjson.dumps({"totals": {"jobs": len(jobs), "requests": sum(job.requests for job in jobs), "submitted_twice": again}}) + b"\n"
        for job in jobs:
            yield orjson.dumps(
                {
                    "job": job.id, "provider": job.wire, "requests": job.requests, "content": job.content, "state": job.state,
                    "submitted": job.number, "held_before": job.held_before, "lost": job.fate.is_lost, "created": job.moments["created"],
                    "succeeded": job.count("succeeded"), "errored": job.count("errored"), "unworked": job.count("expired", "cancelled"),
                }
            ) + b"\n"  # fmt: skip

    def clear(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._jobs.clear()
        self._submissions.clear()
        self._tries.clear()
        self._holders.clear()
        self.files.clear()


async def _pause(job: Job, seconds: float) -> None:
    """Wait, though not beyond a cancellation."""
    try:
        await asyncio.wait_for(job.cancelling.wait(), max(0.0, seconds))
    except TimeoutError:
        return


def named(custom_id: str) -> tuple[str, str]:
    """(key, sample) of one of our own ids, `k1-<32 hex>-<sample>`; ('', '') of any other. It makes the answer the same as online, where
    headers name both."""
    version, _, rest = custom_id.partition("-")
    name, _, sample = rest.partition("-")
    ours = version == "k1" and len(name) == 32 and not set(name) - set("0123456789abcdef") and sample.isdecimal()
    return (f"{version}:{name}", sample) if ours else ("", "")
