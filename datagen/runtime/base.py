"""What a runtime gives: parts mapped over workers, and one shared object hosted for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
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

    async def catch_up(self) -> None:
        """See what other workers have left on record: one of them has died, and its units come here."""
        ...

    def drain(self) -> None:
        """Start nothing more that costs; what is under way may land."""
        ...

    def status(self) -> dict[str, int]:
        """Counters for the progress line."""
        ...

    async def report(self) -> None:
        """Bring the shared object up to date, and what other workers can see."""
        ...

    def measures(self) -> dict[str, Measures]:
        """What it measured since it was made, under a name that no other worker ever has."""
        ...

    async def close(self) -> None: ...


Hire = Callable[[Any, int], Worker]
"""Makes a worker from the shared object (or its stand-in) and the worker's number; picklable."""
Export = Callable[[str, Measures], None]
"""Hands on what a build (the value of the label `build`) measures; called about once a second with all that is known."""


First = Callable[[Any], Awaitable[None]]
"""What a unit has to wait for."""


class Share(Protocol):
    """How the shared object is made, and what it is to be told of workers."""

    def alone(self) -> Any:
        """The object itself, for one worker in this process."""
        ...

    def among(self, workers: Sequence[int], reborn: bool) -> Callable[[], Any]:
        """Makes it, for workers elsewhere; picklable. `reborn`: in the place of one that died, whose workers are still at it.

        It then has the methods `bury(name, spent)` and `reports() -> name -> how often it was heard`.
        """
        ...

    def rescue(self) -> Callable[[], None] | None:
        """What is to be done on the machine of a dead worker, before anything else; picklable. None: nothing."""
        ...

    def spent(self, worker: int) -> Any:
        """What a dead worker has left on record, for `bury`; None where that cannot be known. May take seconds: it waits for its end."""
        ...


class Runtime(Protocol):
    """Where workers live. Enter it with `start`, leave it with `stop`."""

    async def start(self, hire: Hire, share: Share) -> None:
        """Host the shared object, and hire the workers."""
        ...

    def map(self, units: Sequence[Any], in_air: int, first: First | None = None) -> AsyncIterator[Any]:
        """Results as they come, about `in_air` units at once over all workers, more behind stragglers. `first` is awaited before a unit is run.

        The first failure is raised when the rest has landed. A unit whose worker died is run by another one.
        """
        ...

    async def shared(self, method: str, *arguments: Any) -> Any:
        """Call a method of the shared object."""
        ...

    def spread(self) -> None:
        """Have every worker see, before its next unit, what the others have recorded."""
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
