"""The local runtime inside actors, and the shared object as one named actor.

A worker that dies, hangs or is pre-empted loses nothing: its units go to the others, which first read what it left on record, and another
worker takes its place. The shared object may die, too: it is made anew, and workers find it by its name.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import os
import socket
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from datagen.errors import DatagenError, SetupError
from datagen.runtime.base import Export, First, Hire, Share
from datagen.runtime.flow import MOST, in_the_air
from datagen.runtime.log import event
from datagen.runtime.measures import Measures
from datagen.runtime.onray.actors import NAMESPACE, PATIENCE, Desk, Host, named, the_ray
from datagen.runtime.onray.metrics import metrics_exporter

LOOK = 1.0
"""Seconds between two looks at whether workers report."""
HANGS = 30
"""Looks in a row at a worker that does not report, after which it is ended: a stopped process holds its parts for ever."""
SLOW = 5.0
"""Seconds that a worker has to answer how far it is."""
KNOCKS = 10.0
"""Seconds in which a cluster must take a connection."""
CLOSING = 30.0
"""Seconds that workers have to close."""
DEATHS = 5
"""Workers that may die with the same unit in their hands; it may be what kills them."""


@dataclass(eq=False)
class _Seat:
    """A worker as the driver knows it."""

    number: int
    actor: Any
    node: str = ""
    units: int = 0
    """In its hands."""
    hungry: bool = False
    """It says that it could do more, and was given nothing since."""
    fed: asyncio.Event = field(default_factory=asyncio.Event)
    burial: asyncio.Future[None] | None = None
    reports: int = 0
    silent: int = 0
    """Looks in a row at which it had not reported anew."""
    told: dict[str, int] = field(default_factory=dict)
    """Its counters, as it gave them last."""


def _join(ray: Any) -> None:
    """The code is installed on every node: nothing of this folder is shipped, and no worker looks for it."""
    address = os.environ.get("RAY_ADDRESS")
    quietly = {"log_to_driver": False, "configure_logging": False}
    logging.getLogger("ray._private").setLevel(logging.ERROR)  # it tells of its signals and its tokens
    if not address:  # "local": or it would look for a cluster that somebody has started here, and wait for one that is dead
        try:
            ray.init(address="local", include_dashboard=False, **quietly)
        except Exception as error:  # Ray says so with a plain one
            raise SetupError(
                f"a Ray on this machine does not start ({_first(error)}): is it busy, or out of memory? `--runtime local` needs none"
            ) from error
        return
    _require_somebody(address)
    try:
        ray.init(address=address, **quietly)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise SetupError(f"RAY_ADDRESS={address}: cannot join this cluster: {_first(error)}") from error


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _require_somebody(address: str) -> None:
    """Ray itself would knock for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return  # auto, local, or a kind that Ray knows better
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCKS).close()
    except (OSError, OverflowError) as error:
        raise SetupError(f"RAY_ADDRESS={address}: no cluster answers there ({error}); unset it for a Ray on this machine") from error


class RayRuntime:
    """`workers` actors, or one per node, and one host. Joins the cluster of RAY_ADDRESS, or starts a local Ray and ends it."""

    def __init__(self, workers: int | None) -> None:
        self._count = workers
        self._seats: list[_Seat] = []
        """Workers that are there."""
        self._gone: Counter[str] = Counter()
        """What workers that are dead had counted."""
        self._numbers = itertools.count()
        self._name = f"datagen-governor-{uuid.uuid4().hex[:12]}"
        self._host: Any = None
        self._alone: Any = None
        """The shared object, as long as there is nobody to share it with."""
        self._life = 0
        """How many hosts have died."""
        self._beginning, self._reviving = asyncio.Lock(), asyncio.Lock()
        self._news = 0
        """How often workers had to read what others have recorded."""
        self._somebody = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self._alive: set[int] = set()
        """Numbers of workers that were hired and are not dead."""
        self._failure: BaseException | None = None

    async def start(self, hire: Hire, share: Share) -> None:
        """Ready to begin: Ray itself is joined, or started, when there is a unit to run."""
        self._hire, self._share = hire, share
        self._alone = share.alone()

    async def _begin(self) -> None:
        ray = the_ray()
        if not ray.is_initialized():
            await asyncio.to_thread(_join, ray)
        count = self._count or max(1, sum(node["Alive"] for node in ray.nodes()))
        numbers = [next(self._numbers) for _ in range(count)]
        self._alive.update(numbers)
        self._host, self._alone = self._hosted(numbers, reborn=False), None
        for number in numbers:
            self._later(self._seat(number))
        self._later(self._watch())

    async def map(self, units: Sequence[Any], in_air: int, first: First | None = None) -> AsyncIterator[Any]:
        async with self._beginning:
            if units and self._host is None:
                await self._begin()
        each = -(-in_air // max(1, len(self._alive)))
        async for result in in_the_air(functools.partial(self._run, first, each), units, max(in_air, MOST)):
            yield result
        await self._all("report", CLOSING)

    async def _run(self, first: First | None, each: int, unit: Any) -> Any:
        if first is not None:
            await first(unit)
        for _ in range(DEATHS):
            seat = await self._free(each)
            seat.units += 1
            seat.hungry = False
            seat.fed.set()
            try:
                result = await seat.actor.run.remote(unit, self._news)
            except the_ray().exceptions.RayActorError as error:
                await self._bury(seat, error)
                continue
            finally:
                seat.units -= 1
                self._somebody.set()
            if isinstance(result, DatagenError):
                raise result
            return result
        raise SetupError(
            f"{DEATHS} Ray workers died with the same part in their hands ({unit}): is there enough memory? The ledger has their answers"
        )

    async def shared(self, method: str, *arguments: Any) -> Any:
        while True:
            host = self._host
            if host is None:
                return getattr(self._alone, method)(*arguments)
            try:
                return await host.call.remote(method, *arguments)
            except the_ray().exceptions.RayActorError:
                await self._revive(host)

    def spread(self) -> None:
        self._news += 1

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
        return {name: measures for found in await self._all("measures", SLOW) if found for name, measures in found.items()}

    def exporter(self) -> Export | None:
        made: list[Export] = []

        def export(build: str, measures: Measures) -> None:
            if self._host is not None:  # else there is no Ray to tell
                if not made:
                    made.append(metrics_exporter())
                made[0](build, measures)

        return export

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._all("close", CLOSING)
        if self._host is not None:
            ray = the_ray()
            for actor in [*(seat.actor for seat in self._seats), self._host]:
                ray.kill(actor)
            ray.shutdown()

    # --- workers ---

    async def _seat(self, number: int) -> None:
        """Hire a worker; it gets units when it is there, which may be after the cluster has grown."""
        # A fraction of a CPU: workers wait for teachers, and whole CPUs deadlock a small machine.
        options = {"num_cpus": 0.1, "max_concurrency": 4096, "scheduling_strategy": "SPREAD"}
        seat = _Seat(number, the_ray().remote(Desk).options(**options).remote(self._hire, self._name, number))
        try:
            found = await seat.actor.ready.remote()
        except the_ray().exceptions.RayActorError as error:
            await self._bury(seat, error)
            return
        if isinstance(found, DatagenError):
            raise found
        seat.node = found
        if self._draining:
            seat.actor.drain.remote()
        self._seats.append(seat)
        self._somebody.set()
        self._later(self._listen(seat))

    async def _listen(self, seat: _Seat) -> None:
        """Hear when a worker could do more; one call is with it all the time."""
        with contextlib.suppress(the_ray().exceptions.RayActorError):  # found by who waits for its units
            while True:
                await seat.actor.hungry.remote()
                seat.fed.clear()
                seat.hungry = True
                self._somebody.set()
                await seat.fed.wait()

    async def _free(self, each: int) -> _Seat:
        """The worker with the fewest units of those that have less than `each` or are hungry: what is left waits here, for whoever is
        done first. Raises SetupError when there is no worker for PATIENCE seconds."""
        while True:
            if self._failure:
                raise self._failure
            open_ = [seat for seat in self._seats if seat.units < each or seat.hungry]
            if open_:
                return min(open_, key=lambda seat: (seat.units, seat.number))
            self._somebody.clear()
            try:
                async with asyncio.timeout(None if self._seats else PATIENCE):
                    await self._somebody.wait()
            except TimeoutError:
                raise SetupError(f"Ray could start no worker for {PATIENCE:.0f} s; what was answered is in the ledger") from None

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
        the_ray().kill(seat.actor)  # it may only be out of reach
        await self._rescue(seat.node)
        spent = await asyncio.to_thread(self._share.spent, seat.number)
        self.spread()
        await self.shared("bury", str(seat.number), spent)
        number = next(self._numbers)
        if number >= DEATHS * (self._count or 1) and not self._seats and seat.reports == 0:
            what = str(error).strip().splitlines()[0]
            raise SetupError(f"Ray workers die before they do anything ({what}): is datagen installed on every node, and is there enough memory?")
        self._alive.add(number)
        event("worker_replaced", worker=number)
        self._later(self._seat(number))

    async def _rescue(self, node: str) -> None:
        """Where a dead worker's machine is still there, what it could not send is sent."""
        work = self._share.rescue()
        ray = the_ray()
        machine = {each["NodeManagerAddress"] for each in ray.nodes() if each["NodeID"] == node}
        alive = [each["NodeID"] for each in ray.nodes() if each["Alive"] and each["NodeManagerAddress"] in machine]
        if work is None or not alive:
            return
        there = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node if node in alive else alive[0], soft=False)
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
                    the_ray().kill(seat.actor)  # its units come back as those of a dead one
                    seat.silent = 0

    async def _all(self, method: str, seconds: float) -> list[Any]:
        """Call a method of every worker; None where it does not answer."""
        return await asyncio.gather(*(_answer(getattr(seat.actor, method).remote(), seconds) for seat in self._seats))

    # --- the shared object ---

    def _hosted(self, workers: Sequence[int], reborn: bool) -> Any:
        make = self._share.among(workers, reborn)
        return the_ray().remote(Host).options(num_cpus=0, max_concurrency=4096, name=named(self._name, self._life), namespace=NAMESPACE).remote(make)

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
    with contextlib.suppress(TimeoutError, the_ray().exceptions.RayError):
        async with asyncio.timeout(seconds):
            return await asyncio.wrap_future(call.future())  # type: ignore[attr-defined]
    return None
