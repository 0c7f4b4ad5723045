"""Builds as jobs of a Ray cluster, over its Jobs API: submit, look, follow, stop. With `runtime/onray/` the whole door to Ray."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen.errors import DatagenError, Interrupted, SetupError

OVERRIDES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Variables that Ray's client prefers to the address it is given; here what was typed counts."""
TALKATIVE = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env.packaging")
"""Loggers of Ray's client, to which an upload and a closed connection are news."""
BETWEEN_TRIES = 1.0
TRIES = 60
"""Seconds between two tries to reach a cluster again while a job is followed, and how many in a row may fail."""
STARTING = "No available agent"
"""Of the answer of a head that is up before its nodes are."""
SETTLING = 30.0
"""Seconds that a job may take to reach its last state after the last line of its log."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a cluster knows of a job."""

    id: str
    status: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    driver_exit_code: int | None
    """Of the entrypoint; None before its end, after a stop, and where the node that ran it was lost."""
    message: str
    metadata: Mapping[str, str]
    started: float
    ended: float
    """Seconds since 1970; 0 where it has not come to that."""

    @property
    def over(self) -> bool:
        return self.status in ("SUCCEEDED", "FAILED", "STOPPED")

    @property
    def exit_code(self) -> int:
        """As the build would have ended at a terminal: 128 + n on signal n, 130 when stopped, 1 when it is lost without a code."""
        if self.status == "SUCCEEDED":
            return 0
        if self.status == "STOPPED":
            return Interrupted.exit_code
        code = DatagenError.exit_code if self.driver_exit_code is None else self.driver_exit_code
        return code if code >= 0 else 128 - code


class Jobs:
    """The Jobs API at one address. Every method raises SetupError where the cluster is not there or does not let us in."""

    def __init__(self, address: str) -> None:
        if not address.startswith(("http://", "https://")):
            raise SetupError(f"--address {address!r} is no address of a Ray dashboard; it begins with http:// and a host: http://head:8265")
        self.address = address.rstrip("/")
        with self._told(), _undisturbed():
            self._client = _client(self.address)

    def all(self) -> list[Job]:
        """Every job that was submitted to the cluster since its head started, oldest first."""
        with self._told():
            found = [_job(details) for details in self._client.list_jobs() if details.submission_id]
        return sorted(found, key=lambda job: job.started)

    def find(self, id: str) -> Job | None:
        """The job of that submission id, if there is one."""
        return next((job for job in self.all() if job.id == id), None)

    def submit(self, id: str, entrypoint: str, folder: Path, environment: Mapping[str, str], metadata: Mapping[str, str]) -> bool:
        """Upload `folder` as the working directory and start `entrypoint` in it. False where a job of that id is there already."""
        runtime_env = {"working_dir": str(folder), "env_vars": dict(environment)}
        with self._told():
            tries = 0
            while True:
                tries += 1
                try:
                    self._client.submit_job(entrypoint=entrypoint, submission_id=id, runtime_env=runtime_env, metadata=dict(metadata))
                    return True
                except RuntimeError as error:
                    if self.find(id) is not None:  # the id is taken: somebody submitted the same run at the same moment
                        return False
                    if STARTING not in str(error) or tries == TRIES:
                        raise
                time.sleep(BETWEEN_TRIES)

    def stop(self, id: str) -> bool:
        """Ask a job to stop; returns at once. False where it was over."""
        with self._told():
            return bool(self._client.stop_job(id))

    def logs(self, id: str) -> str:
        """All that a job has said so far."""
        with self._told():
            return str(self._client.get_job_logs(id))

    async def follow(self, id: str) -> AsyncIterator[str]:
        """What a job says, from its first word until it is over; a broken connection is taken up where it broke."""
        shown, failures = 0, 0
        while True:
            seen, broken = 0, False
            try:
                async for text in self._client.tail_job_logs(id):
                    new, seen, failures = text[max(0, shown - seen) :], seen + len(text), 0
                    shown = max(shown, seen)
                    if new:
                        yield new
            except _faults() as error:
                broken, failures = True, failures + 1
                if failures >= TRIES:
                    raise SetupError(f"{self.address} has not answered {TRIES} times; the job may be running still: {error}") from error
            if not broken and await self._settled(id):
                return
            await asyncio.sleep(BETWEEN_TRIES)

    async def _settled(self, id: str) -> bool:
        """True when the job is over; its state follows the last line of its log."""
        for _ in range(int(SETTLING / BETWEEN_TRIES)):
            job = await asyncio.to_thread(self.find, id)
            if job is None or job.over:
                return True
            await asyncio.sleep(BETWEEN_TRIES)
        return False

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Ray's errors in words that say what to do."""
        try:
            yield
        except DatagenError:
            raise
        except Exception as error:
            raise SetupError(_explained(self.address, error)) from error


def _explained(address: str, error: Exception) -> str:
    words = str(error).strip().splitlines()
    what = words[0] if words else type(error).__name__
    if type(error).__name__ == "AuthenticationError":
        mode = os.environ.get("RAY_AUTH_MODE", "not set")
        return (
            f"the Ray cluster at {address} does not let us in: {what} (RAY_AUTH_MODE is {mode} here). "
            "Set RAY_AUTH_MODE=token and the cluster's own RAY_AUTH_TOKEN before the command; "
            "a cluster without tokens is started with RAY_AUTH_MODE=disabled"
        )
    if isinstance(error, ConnectionError | OSError) or "connect" in what.lower():
        return f"nobody answers at {address}; --address is that of the cluster's dashboard: http://head:8265, the port of --dashboard-port ({what})"
    return f"the Ray cluster at {address} refused: {what}"


def _client(address: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise SetupError("jobs on a cluster need the package `ray`: pip install 'datagen[ray]'") from error
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    return JobSubmissionClient(address)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """No variable speaks for another cluster meanwhile."""
    kept = {name: os.environ.pop(name) for name in OVERRIDES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _faults() -> tuple[type[Exception], ...]:
    """What following a log may raise when a connection breaks."""
    import aiohttp

    return (aiohttp.ClientError, OSError, RuntimeError, asyncio.TimeoutError)


def _job(details: Any) -> Job:
    return Job(
        str(details.submission_id),
        str(getattr(details.status, "value", details.status)),
        details.driver_exit_code,
        details.message or "",
        details.metadata or {},
        (details.start_time or 0) / 1000,
        (details.end_time or 0) / 1000,
    )
