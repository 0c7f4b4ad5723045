"""In this process: asyncio and a process pool, no services, there at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from datagen.runtime.base import Export, First, Hire, Share, Worker
from datagen.runtime.flow import in_the_air
from datagen.runtime.measures import Measures


class LocalRuntime:
    """One worker, and the shared object as it is."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._shared: Any = None

    async def start(self, hire: Hire, share: Share) -> None:
        self._shared = share.alone()
        self._worker = hire(self._shared, 0)

    async def map(self, units: Sequence[Any], in_air: int, first: First | None = None) -> AsyncIterator[Any]:
        assert self._worker is not None and first is None
        async for result in in_the_air(self._worker.run, units, in_air, self._worker.hungry):
            yield result

    async def shared(self, method: str, *arguments: Any) -> Any:
        return getattr(self._shared, method)(*arguments)

    def spread(self) -> None:
        """There is one worker."""

    async def drain(self) -> None:
        if self._worker is not None:
            self._worker.drain()

    async def status(self) -> dict[str, int]:
        return self._worker.status() if self._worker else {}

    async def measures(self) -> dict[str, Measures]:
        return self._worker.measures() if self._worker else {}

    def exporter(self) -> Export | None:
        return None

    async def stop(self) -> None:
        if self._worker is not None:
            await self._worker.close()
