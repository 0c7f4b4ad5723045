"""On Ray: the local runtime inside actors, and the shared object as one named actor. The whole door to Ray is this file.

A worker that dies, hangs or is pre-empted loses nothing: its units go to the others, which first read what it left on record, and another
worker takes its place. The shared object may die, too: it is made anew, and workers find it by its name.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from datagen.errors import DatagenError, SetupError
from datagen.runtime.base import Export, Hire, Share, Worker
from datagen.runtime.flow import in_the_air
from datagen.runtime.log import event
from datagen.runtime.measures import BUILD, METRICS, Measures

SPARE = 8
"""Parts in the air per worker beyond what fills the limits, so that stragglers do not leave the teacher idle."""
NAMESPACE = "datagen"
LOOK = 1.0
"""Seconds between two looks at whether workers report."""
HANGS = 30
"""Looks in a row at a worker that does not report, after which it is ended: a stopped process holds its parts for ever."""
SLOW = 5.0
"""Seconds that a worker has to answer how far it is."""
CLOSING = 30.0
"""Seconds that workers have to close."""
PATIENCE = 300.0
"""Seconds without any worker, or without the shared object, after which the build ends: a cluster may have to grow again."""
DEATHS = 5
"""Workers that may die with the same unit in their hands; it may be what kills them."""


class _Host:
    """An actor's inside: any plain object, its methods called by name."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._object = make()

    def call(self, method: str, *arguments: Any) -> Any:
        return getattr(self._object, method)(*arguments)


class _Desk:
    """An actor's inside: one worker on its own event loop."""

    def __init__(self, hire: Hire, host: str, number: int) -> None:
        gc.set_threshold(50_000, 20, 50)  # as at the door of the local runtime: what is loaded stays
        self._hire, self._host, self._number = hire, host, number
        self._worker: Worker | None = None
        self._deaths = 0

    async def ready(self) -> DatagenError | str:
        """Be there, or say why not. Returns the node."""
        try:
            self._worker = self._hire(_Remote(self._host), self._number)  # made on the loop it will live on
        except DatagenError as error:
            return error
        return str(_ray().get_runtime_context().get_node_id())

    async def run(self, unit: Any, deaths: int) -> Any:
        assert self._worker is not None
        if deaths > self._deaths:
            self._deaths = deaths
            await self._worker.catch_up()
        try:
            return await self._worker.run(unit)
        except DatagenError as error:
            return error  # as data: Ray would wrap it in a task error of its own

    async def drain(self) -> None:
        if self._worker is not None:
            self._worker.drain()

    async def report(self) -> None:
        if self._worker is not None:
            await self._worker.report()

    async def status(self) -> dict[str, int]:
        return self._worker.status() if self._worker else {}

    async def measures(self) -> dict[str, Measures]:
        return self._worker.measures() if self._worker else {}

    async def close(self) -> None:
        if self._worker is not None:
            await self._worker.close()


class _Remote:
    """The shared object as a worker sees it: every method gives an awaitable. Where it has died, its successor is asked."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._life = 0
        self._actor: Any = None

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        return lambda *arguments: self._call(method, *arguments)

    async def _call(self, method: str, *arguments: Any) -> Any:
        late = asyncio.get_running_loop().time() + PATIENCE
        later = 0
        while True:
            try:
                if self._actor is None:
                    self._actor = _ray().get_actor(_named(self._name, self._life + later), namespace=NAMESPACE)
                    self._life += later
                return await self._actor.call.remote(method, *arguments)
            except (_ray().exceptions.RayActorError, ValueError):  # it is dead, or there is none of that name yet
                self._actor, later = None, 1 - later  # the one that was known, or the one after it
                if asyncio.get_running_loop().time() > late:
                    raise
                await asyncio.sleep(0.05)


def _named(name: str, life: int) -> str:
    """Ray does not give away the name of an actor that died, as long as somebody knows it."""
    return f"{name}-{life}"


@dataclass(eq=False)
class _Seat:
    """A worker as the driver knows it."""

    number: int
    actor: Any
    node: str = ""
    units: int = 0
    """In its hands."""
    burial: asyncio.Future[None] | None = None
    reports: int = 0
    silent: int = 0
    """Looks in a row at which it had not reported anew."""
    told: dict[str, int] = field(default_factory=dict)
    """Its counters, as it gave them last."""


class RayRuntime:
    """`workers` actors, or one per node, and one host. Joins the cluster of RAY_ADDRESS, or starts a local Ray and ends it."""

    def __init__(self, workers: int | None) -> None:
        self._count = workers
        self._seats: list[_Seat] = []
        """Workers that are there."""
        self._gone: Counter[str] = Counter()
        """What workers that are dead had counted."""
        self._measured: dict[str, Measures] = {}
        """What each worker measured, dead ones too, as they said last."""
        self._numbers = itertools.count()
        self._name = f"datagen-governor-{uuid.uuid4().hex[:12]}"
        self._host: Any = None
        self._life = 0
        """How many hosts have died."""
        self._reviving = asyncio.Lock()
        self._deaths = 0
        self._somebody = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self._alive: set[int] = set()
        """Numbers of workers that were hired and are not dead."""
        self._failure: BaseException | None = None

    async def start(self, hire: Hire, share: Share) -> None:
        ray = _ray()
        if not ray.is_initialized():
            # The code is installed on every node: nothing of this folder is shipped, and no worker looks for it.
            address = os.environ.get("RAY_ADDRESS")
            ray.init(address=address, log_to_driver=False, configure_logging=False, **({} if address else {"include_dashboard": False}))
        self._hire, self._share = hire, share
        count = self._count or max(1, sum(node["Alive"] for node in ray.nodes()))
        numbers = [next(self._numbers) for _ in range(count)]
        self._alive.update(numbers)
        self._host = self._hosted(numbers, reborn=False)
        for number in numbers:
            self._later(self._seat(number))
        self._later(self._watch())

    async def map(self, units: Sequence[Any], in_air: int) -> AsyncIterator[Any]:
        async for result in in_the_air(self._run, units, in_air + SPARE * len(self._alive)):
            yield result
        await self._all("report", CLOSING)

    async def _run(self, unit: Any) -> Any:
        for _ in range(DEATHS):
            seat = await self._free()
            seat.units += 1
            try:
                result = await seat.actor.run.remote(unit, self._deaths)
            except _ray().exceptions.RayActorError as error:
                await self._bury(seat, error)
                continue
            finally:
                seat.units -= 1
            if isinstance(result, DatagenError):
                raise result
            return result
        raise SetupError(
            f"{DEATHS} Ray workers died with the same part in their hands ({unit}): is there enough memory? The ledger has their answers"
        )

    async def shared(self, method: str, *arguments: Any) -> Any:
        while True:
            host = self._host
            try:
                return await host.call.remote(method, *arguments)
            except _ray().exceptions.RayActorError:
                await self._revive(host)

    async def drain(self) -> None:
        self._draining = True
        await self._all("drain", SLOW)

    async def status(self) -> dict[str, int]:
        total = Counter(self._gone)
        seats = list(self._seats)
        for seat, told in zip(seats, await self._all("status", SLOW), strict=True):
            seat.told = told or seat.told
        for seat in seats:
            total.update(seat.told)
        return dict(total)

    async def measures(self) -> dict[str, Measures]:
        for found in await self._all("measures", SLOW):
            self._measured |= found or {}
        return dict(self._measured)

    def exporter(self) -> Export | None:
        return metrics_exporter()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._all("close", CLOSING)
        ray = _ray()
        for actor in [*(seat.actor for seat in self._seats), self._host]:
            ray.kill(actor)
        ray.shutdown()

    # --- workers ---

    async def _seat(self, number: int) -> None:
        """Hire a worker; it gets units when it is there, which may be after the cluster has grown."""
        # A fraction of a CPU: workers wait for teachers, and whole CPUs deadlock a small machine.
        options = {"num_cpus": 0.1, "max_concurrency": 4096, "scheduling_strategy": "SPREAD"}
        seat = _Seat(number, _ray().remote(_Desk).options(**options).remote(self._hire, self._name, number))
        try:
            found = await seat.actor.ready.remote()
        except _ray().exceptions.RayActorError as error:
            await self._bury(seat, error)
            return
        if isinstance(found, DatagenError):
            raise found
        seat.node = found
        if self._draining:
            seat.actor.drain.remote()
        self._seats.append(seat)
        self._somebody.set()

    async def _free(self) -> _Seat:
        """The worker with the fewest units. Raises SetupError when there is none for PATIENCE seconds."""
        while not self._seats or self._failure:
            if self._failure:
                raise self._failure
            self._somebody.clear()
            try:
                await asyncio.wait_for(self._somebody.wait(), PATIENCE)
            except TimeoutError:
                raise SetupError(f"Ray could start no worker for {PATIENCE:.0f} s; what was answered is in the ledger") from None
        return min(self._seats, key=lambda seat: (seat.units, seat.number))

    async def _bury(self, seat: _Seat, error: Exception) -> None:
        """Once a worker: give what it held to the others, and hire another in its place."""
        if seat.burial is None:
            seat.burial = asyncio.ensure_future(self._buried(seat, error))
        await asyncio.shield(seat.burial)

    async def _buried(self, seat: _Seat, error: Exception) -> None:
        if seat in self._seats:
            self._seats.remove(seat)
        self._alive.discard(seat.number)
        event("worker_lost", worker=seat.number, error=type(error).__name__)
        self._gone.update(seat.told)
        _ray().kill(seat.actor)  # it may only be out of reach
        await self._rescue(seat.node)
        spent = await asyncio.to_thread(self._share.spent, seat.number)
        self._deaths += 1
        await self.shared("bury", str(seat.number), spent)
        number = next(self._numbers)
        if number >= DEATHS * (self._count or 1) and not self._seats and seat.reports == 0:
            what = str(error).strip().splitlines()[0]
            raise SetupError(f"Ray workers die before they do anything ({what}): is datagen installed on every node, and is there enough memory?")
        self._alive.add(number)
        event("worker_replaced", worker=number)
        await self.shared("expect", [str(number)])
        self._later(self._seat(number))

    async def _rescue(self, node: str) -> None:
        """Where a dead worker's machine is still there, what it could not send is sent."""
        work = self._share.rescue()
        ray = _ray()
        if work is None or not any(each["NodeID"] == node and each["Alive"] for each in ray.nodes()):
            return
        there = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        await _answer(ray.remote(_do).options(num_cpus=0, scheduling_strategy=there).remote(work), CLOSING)

    async def _watch(self) -> None:
        """End workers that hang, and see to it that there is a shared object."""
        while True:
            await asyncio.sleep(LOOK)
            reports = await self.shared("reports")
            for seat in list(self._seats):
                heard = reports.get(str(seat.number), 0)
                seat.silent = 0 if heard != seat.reports else seat.silent + 1
                seat.reports = heard
                if seat.silent >= HANGS and seat.burial is None:
                    _ray().kill(seat.actor)  # its units come back as those of a dead one
                    seat.silent = 0

    async def _all(self, method: str, seconds: float) -> list[Any]:
        """Call a method of every worker; None where it does not answer."""
        return await asyncio.gather(*(_answer(getattr(seat.actor, method).remote(), seconds) for seat in self._seats))

    # --- the shared object ---

    def _hosted(self, workers: Sequence[int], reborn: bool) -> Any:
        make = self._share.among(workers, reborn)
        return _ray().remote(_Host).options(num_cpus=0, name=_named(self._name, self._life), namespace=NAMESPACE).remote(make)

    async def _revive(self, dead: Any) -> None:
        """Another host in the place of one that died."""
        async with self._reviving:
            if self._host is dead:
                self._life += 1
                self._host = await asyncio.to_thread(self._hosted, sorted(self._alive), True)

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()
            self._somebody.set()


def _do(work: Callable[[], None]) -> None:
    work()


async def _answer(call: Awaitable[Any], seconds: float) -> Any:
    with contextlib.suppress(TimeoutError, _ray().exceptions.RayError):
        return await asyncio.wait_for(asyncio.wrap_future(call.future()), seconds)  # type: ignore[attr-defined]
    return None


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
