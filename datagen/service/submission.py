"""A build handed to a Ray cluster: planned and checked here, then one job for one run of one plan, however often it is submitted."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import join, quote
from typing import Any

from datagen import __version__
from datagen.build import Options, planned
from datagen.errors import OutputError
from datagen.plan.model import Plan, Sown
from datagen.records import digest
from datagen.running.telling.record import run_id, utc_now
from datagen.runtime.onray.jobs import Job, Jobs
from datagen.service.bundle import Bundle, bundled, recording, secrets
from datagen.spec.load import load_spec

PYTHON = "python"
"""The interpreter on the nodes: that of the image, which has datagen installed."""
DRAIN_SPARE = 60
"""Seconds that a stopped build gets beyond its teachers' longest `timeout`, to close its books."""


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for at the door."""

    spec: str
    out: str
    """An address (s3://...) or an absolute path that every node sees."""
    run_id: str = ""
    """Names the run. Default: the date, UTC."""
    limit: int | None = None
    budget: float | None = None
    teacher: str | None = None
    workers: int | None = None
    library: Path | None = None
    ledger: str | None = None
    push: bool = False
    yes: bool = False
    again: str | None = None
    unsafe_sandbox: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job before it is submitted."""

    id: str
    entrypoint: str
    bundle: Bundle
    environment: Mapping[str, str]
    metadata: Mapping[str, str]


def prepare(order: Order) -> Prepared:
    """Plan the spec as a build would, and lay out the job. Raises what a build raises, and SetupError for what must not or cannot travel."""
    for word, place in (("--out", order.out), ("--ledger", order.ledger)):
        _require_lasting(word, place)
    run = run_id(order.run_id, utc_now)
    loaded, recorder = recording(load_spec(order.spec, order.library))
    with tempfile.TemporaryDirectory() as scratch:
        here = Options(order.spec, Path(scratch), order.limit, teacher=order.teacher, library=order.library)
        options = replace(here, unsafe_sandbox=order.unsafe_sandbox)
        with planned(loaded, options) as (plan, sown):
            bundle, identity = bundled(loaded, recorder), identity_of(plan, sown, order)
    drain = DRAIN_SPARE + round(max((chair.spec.timeout for chair in plan.chairs.values()), default=0))
    command = entrypoint(order, bundle.spec, run)
    bundle.require_small()
    bundle.require_no_secret(secrets(loaded), {"the command": command})
    metadata = {"datagen": __version__, "name": plan.name, "run": run, "out": order.out, "plan": plan.fingerprint, "drain_seconds": str(drain)}
    return Prepared(f"{plan.name}-{identity}-{run}", command, bundle, {"RAY_JOB_STOP_WAIT_TIME_S": str(drain)}, metadata)


def identity_of(plan: Plan, sown: Sown, order: Order) -> str:
    """Digest of what decides the work: the steps and the release's shape, every seed, and where it goes. Not: budget, workers, date."""
    seeds = hashlib.sha256()
    for line, _ in sown.seeds():
        seeds.update(line)
    wanted = [order.out, order.ledger, order.push, order.again]
    return digest([plan.fingerprint, plan.simulated, seeds.hexdigest(), *wanted], 6)


def entrypoint(order: Order, spec: str, run: str = "") -> str:
    """The shell command of the job; without `run` the build names its run itself. `exec`: a stop's signal and the exit code are the build's own."""
    words: list[Any] = [PYTHON, "-m", "datagen.cli", "build", "--spec", spec, "--out", order.out, "--runtime", "ray"]
    words += ["--run-id", run] if run else []
    for word in ("limit", "budget", "teacher", "workers", "ledger", "again"):
        value = getattr(order, word)
        words += [] if value is None else [f"--{word}", value]
    words += [f"--{flag}" for flag in ("push", "yes") if getattr(order, flag)]
    words += ["--unsafe-sandbox"] if order.unsafe_sandbox else []
    return "exec " + join(map(str, words))


def submit(prepared: Prepared, jobs: Jobs) -> tuple[str, Iterator[str]]:
    """(submission id, what to tell). A run that is under way or done is that job; one that failed or was stopped goes on as -2, -3, ..."""
    earlier = runs_of(prepared.id, jobs.all())
    last = earlier[-1] if earlier else None
    if last is not None and last.status not in ("FAILED", "STOPPED"):
        return last.id, _joined(last, jobs.address)
    id = f"{prepared.id}-{len(earlier) + 1}" if earlier else prepared.id
    with tempfile.TemporaryDirectory(prefix="datagen-") as folder:
        prepared.bundle.write(Path(folder))
        fresh = jobs.submit(id, prepared.entrypoint, Path(folder), prepared.environment, prepared.metadata)
    if not fresh:
        return id, _joined(jobs.find(id), jobs.address)
    return id, _submitted(id, last, prepared, jobs.address)


def runs_of(id: str, jobs: Iterable[Job]) -> list[Job]:
    """The jobs of one run in the order of their suffixes."""
    numbered = [(int(match[1] or 1), job) for job in jobs if (match := re.fullmatch(re.escape(id) + r"(?:-(\d+))?", job.id))]
    return [job for _, job in sorted(numbered, key=lambda pair: pair[0])]


def _joined(job: Job | None, address: str) -> Iterator[str]:
    state = job.status if job else "there"
    if job and job.status == "SUCCEEDED":
        yield f"{job.id} is done: this plan and this run were submitted before; another --run-id, or tomorrow, makes another run"
    elif job:
        yield f"{job.id} is {state} already: this plan and this run are one job, so nothing was submitted"
        yield from hints(job.id, address)


def _submitted(id: str, last: Job | None, prepared: Prepared, address: str) -> Iterator[str]:
    after = f"; {last.id} {'was stopped' if last.status == 'STOPPED' else 'failed'}, this goes on where it ended" if last else ""
    yield f"submitted {id}: {len(prepared.bundle.files)} files{after}"
    yield from hints(id, address)


def hints(id: str, address: str) -> Iterator[str]:
    for word, more, why in (("status", "", "look"), ("logs", " --follow", "follow"), ("stop", "", "stop: what is in flight lands")):
        yield f"  datagen {word} {id} --address {quote(address)}{more}   # {why}"


def _require_lasting(word: str, place: str | None) -> None:
    """Raises OutputError for a place that is gone with the job."""
    if place is not None and "://" not in place and not Path(place).is_absolute():
        raise OutputError(
            f"{word} {place} is relative, and a job's own folder is gone when it ends; "
            "give s3://bucket/path, or an absolute path that every node sees"
        )
