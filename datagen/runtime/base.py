"""What a runtime gives: parts mapped over workers, and one shared object hosted for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol


class Worker(Protocol):
    """Does units of work, many at once."""

    async def run(self, unit: Any) -> Any:
        """One unit to its end. Idempotent: a unit that is run again gives the same."""
        ...

    def hungry(self) -> bool:
        """True when less waits to be done than could be done at once."""
        ...

    def drain(self) -> None:
        """Start nothing more that costs; what is under way may land."""
        ...

    def status(self) -> dict[str, int]:
        """Counters for the progress line."""
        ...

    async def close(self) -> None: ...


Hire = Callable[[Any, int], Worker]
"""Makes a worker from the shared object (or its stand-in) and the worker's number; picklable."""


class Runtime(Protocol):
    """Where workers live. Enter it with `start`, leave it with `stop`."""

    async def start(self, hire: Hire, share: Callable[[], Any]) -> None:
        """Host `share()` once, and hire the workers."""
        ...

    def map(self, units: Sequence[Any], in_air: int) -> AsyncIterator[Any]:
        """Results as they come, about `in_air` units at once over all workers, more behind stragglers.

        The first failure is raised when the rest has landed.
        """
        ...

    async def shared(self, method: str, *arguments: Any) -> Any:
        """Call a method of the shared object."""
        ...

    async def drain(self) -> None: ...

    async def status(self) -> dict[str, int]:
        """The counters of all workers, added up."""
        ...

    async def stop(self) -> None: ...
