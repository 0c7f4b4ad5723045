"""On Ray: the local runtime inside actors, and the shared object as one named actor. The whole door to Ray is this file."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from datagen.errors import DatagenError, SetupError
from datagen.runtime.base import Export, Hire, Worker
from datagen.runtime.flow import in_the_air
from datagen.runtime.measures import BUILD, METRICS, Measures

SPARE = 8
"""Parts in the air per worker beyond what fills the limits, so that stragglers do not leave the teacher idle."""


class _Host:
    """An actor's inside: any plain object, its methods called by name."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._object = make()

    def call(self, method: str, *arguments: Any) -> Any:
        return getattr(self._object, method)(*arguments)


class _Desk:
    """An actor's inside: one worker on its own event loop."""

    def __init__(self, hire: Hire, host: Any, number: int) -> None:
        self._hire, self._host, self._number = hire, host, number
        self._worker: Worker | None = None

    async def run(self, unit: Any) -> Any:
        if self._worker is None:  # made on the loop it will live on
            self._worker = self._hire(_Remote(self._host), self._number)
        try:
            return await self._worker.run(unit)
        except DatagenError as error:
            return error  # as data: Ray would wrap it in a task error of its own

    async def drain(self) -> None:
        if self._worker is not None:
            self._worker.drain()

    async def status(self) -> dict[str, int]:
        return self._worker.status() if self._worker else {}

    async def measures(self) -> dict[str, Measures]:
        return self._worker.measures() if self._worker else {}

    async def close(self) -> None:
        if self._worker is not None:
            await self._worker.close()


class _Remote:
    """The shared object as a worker sees it: every method gives an awaitable."""

    def __init__(self, host: Any) -> None:
        self._host = host

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return lambda *arguments: self._host.call.remote(method, *arguments)


class RayRuntime:
    """`workers` actors and one host. Joins the cluster of RAY_ADDRESS, or starts a local Ray and ends it."""

    def __init__(self, workers: int) -> None:
        self._count = workers
        self._desks: list[Any] = []
        self._host: Any = None
        self._turn = itertools.count()

    async def start(self, hire: Hire, share: Callable[[], Any]) -> None:
        ray = _ray()
        if not ray.is_initialized():
            # The code is installed on every node: nothing of this folder is shipped, and no worker looks for it.
            address = os.environ.get("RAY_ADDRESS")
            ray.init(address=address, log_to_driver=False, configure_logging=False, **({} if address else {"include_dashboard": False}))
        # A fraction of a CPU each: workers wait for teachers, and whole CPUs deadlock a small machine.
        small = {"num_cpus": 0.1, "max_concurrency": 256}
        self._host = ray.remote(_Host).options(num_cpus=0).remote(share)
        self._desks = [ray.remote(_Desk).options(**small).remote(hire, self._host, number) for number in range(self._count)]

    async def map(self, units: Sequence[Any], in_air: int) -> AsyncIterator[Any]:
        async for result in in_the_air(self._run, units, in_air + SPARE * self._count):
            yield result

    async def _run(self, unit: Any) -> Any:
        desk = self._desks[next(self._turn) % len(self._desks)]
        try:
            result = await desk.run.remote(unit)
        except _ray().exceptions.RayActorError as error:  # what it held of the limits is lost with it, so the others must not wait for it
            await self.drain()
            what = str(error).splitlines()[0]
            raise SetupError(f"a Ray worker died ({what}); its answers are in its ledger segment: start the build again") from error
        if isinstance(result, DatagenError):
            raise result
        return result

    async def shared(self, method: str, *arguments: Any) -> Any:
        return await self._host.call.remote(method, *arguments)

    async def drain(self) -> None:
        await asyncio.gather(*(desk.drain.remote() for desk in self._desks), return_exceptions=True)

    async def status(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        for status in await asyncio.gather(*(desk.status.remote() for desk in self._desks), return_exceptions=True):
            if not isinstance(status, BaseException):  # a dead worker counts no more
                total.update(status)
        return dict(total)

    async def measures(self) -> dict[str, Measures]:
        found = await asyncio.gather(*(desk.measures.remote() for desk in self._desks), return_exceptions=True)
        return {name: measures for each in found if isinstance(each, dict) for name, measures in each.items()}

    def exporter(self) -> Export | None:
        return metrics_exporter()

    async def stop(self) -> None:
        await asyncio.gather(*(desk.close.remote() for desk in self._desks), return_exceptions=True)
        ray = _ray()
        for actor in [*self._desks, self._host]:
            ray.kill(actor)
        ray.shutdown()


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise SetupError("--runtime ray needs the package `ray`: pip install 'datagen[ray]'") from error
    return ray


def metrics_exporter() -> Export:
    """Through `ray.util.metrics` to the export port of this node, each name with `ray_` before it. Ray drops a gauge that is not set for a
    while, so all are set anew each time; a counter takes what it grew by."""
    from ray.util.metrics import Counter as Growing
    from ray.util.metrics import Gauge

    kinds = {"counter": Growing, "gauge": Gauge}
    made: dict[str, Any] = {name: kinds[metric.kind](name, metric.about, (BUILD, *metric.labels)) for name, metric in METRICS.items()}
    told: dict[tuple[str, ...], float] = {}

    def export(build: str, measures: Measures) -> None:
        for name, values in measures.items():
            for labels, value in values.items():
                tags = dict(zip((BUILD, *METRICS[name].labels), (build, *labels), strict=True))
                if METRICS[name].kind == "gauge":
                    made[name].set(value, tags)
                    continue
                grown = value - told.get((name, build, *labels), 0.0)
                told[name, build, *labels] = value
                if grown > 0:  # it shrinks where whoever counted was made anew
                    made[name].inc(grown, tags)

    return export
