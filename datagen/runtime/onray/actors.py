"""What runs inside Ray's actors: a worker at its desk, the shared object, and how one finds the other."""

from __future__ import annotations

import asyncio
import gc
import inspect
import math
import os
from collections.abc import Awaitable, Callable
from typing import Any

from datagen.errors import DatagenError, SetupError
from datagen.runtime.base import Hire, Worker
from datagen.runtime.flow import LOOK_SECONDS
from datagen.runtime.measures import Measures

NAMESPACE = "datagen"
PATIENCE = 300.0
"""Seconds without any worker, or without the shared object, after which the build ends: a cluster may have to grow again."""


class Host:
    """An actor's inside: any plain object, its methods called by name."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._object = make()

    async def call(self, method: str, *arguments: Any) -> Any:
        result = getattr(self._object, method)(*arguments)
        return await result if inspect.isawaitable(result) else result


class Desk:
    """An actor's inside: one worker on its own event loop."""

    def __init__(self, hire: Hire, host: str, number: int) -> None:
        gc.set_threshold(50_000, 20, 50)  # as at the door of the local runtime: what is loaded stays
        self._hire, self._host, self._number = hire, host, number
        self._worker: Worker | None = None
        self._news = 0
        self._reading: asyncio.Future[None] | None = None
        """Units wait until it has read what others recorded."""

    async def ready(self) -> DatagenError | str:
        """Be there, or say why not. Returns the node."""
        try:
            self._worker = self._hire(Remote(self._host), self._number)  # made on the loop it will live on
        except DatagenError as error:
            return error
        return str(the_ray().get_runtime_context().get_node_id())

    async def run(self, unit: Any, news: int) -> Any:
        """`news` grows when another worker has recorded what this one may need."""
        assert self._worker is not None
        try:
            if news > self._news:
                self._news = news
                self._reading = asyncio.ensure_future(self._read(self._worker, self._reading))
            if self._reading is not None:
                await asyncio.shield(self._reading)
            return await self._worker.run(unit)
        except DatagenError as error:
            return error  # as data: Ray would wrap it in a task error of its own

    @staticmethod
    async def _read(worker: Worker, before: asyncio.Future[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        await worker.catch_up()

    async def hungry(self) -> None:
        """Return when it could do more."""
        assert self._worker is not None
        await asyncio.sleep(LOOK_SECONDS)  # what it was given last queues up first
        while not self._worker.hungry():
            await asyncio.sleep(LOOK_SECONDS)

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


class Remote:
    """The shared object as a worker sees it: every method gives an awaitable. Where it has died, its successor is asked."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._life = 0
        self._actor: Any = None

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        return lambda *arguments: self._call(method, *arguments)

    async def _call(self, method: str, *arguments: Any) -> Any:
        late, later = math.inf, 0
        while True:
            try:
                if self._actor is None:
                    self._actor = the_ray().get_actor(named(self._name, self._life + later), namespace=NAMESPACE)
                    self._life += later
                return await self._actor.call.remote(method, *arguments)
            except (the_ray().exceptions.RayActorError, ValueError):  # it is dead, or there is none of that name yet
                self._actor, later = None, 1 - later  # the one that was known, or the one after it
                now = asyncio.get_running_loop().time()
                late = min(late, now + PATIENCE)  # from when it is gone: a call may have been with it for hours
                if now > late:
                    raise
                await asyncio.sleep(0.05)


def named(name: str, life: int) -> str:
    """Ray does not give away the name of an actor that died, as long as somebody knows it."""
    return f"{name}-{life}"


def the_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise SetupError("--runtime ray needs the package `ray`: pip install 'datagen[ray]'") from error
    return ray
