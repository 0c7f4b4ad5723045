"""What a runtime gives: parts mapped over workers, and one shared object hosted for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from datagen.runtime.measures import Measures


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

    def measures(self) -> dict[str, Measures]:
        """What it measured since it was made, under a name that no other worker ever has."""
        ...

    async def close(self) -> None: ...


Hire = Callable[[Any, int], Worker]
"""Makes a worker from the shared object (or its stand-in) and the worker's number; picklable."""
Export = Callable[[str, Measures], None]
"""Hands on what a build (the value of the label `build`) measures; called about once a second with all that is known."""


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

    async def measures(self) -> dict[str, Measures]:
        """What each worker that can be reached measured, by its name."""
        ...

    def exporter(self) -> Export | None:
        """Where a runtime has metrics of its own, the way to them; there after `start`."""
        ...

    async def stop(self) -> None: ...
