"""What the person at the terminal is shown while a build runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from datagen.records import NANO
from datagen.running.pilot import Forecast
from datagen.running.stretch import Crew, Progress


@dataclass
class Snapshot:
    """How far a build is; the terminal draws it."""

    step: str
    rows: int
    """Rows that have walked this stretch."""
    of: int
    asked: int
    spent: float
    """Dollars of this release, over all its runs."""
    cap: float | None
    in_flight: int
    stopping: bool = False
    """True after the first Ctrl-C: what is in flight lands, then the build ends."""
    trouble: str = ""
    """What it waits for beside answers: a teacher out of service, paid batches under way."""
    news: str = ""
    """Worth a line of its own, once: the forecast of the pilot, texts that have become alike."""


Watch = Callable[[Snapshot], None]


class Show:
    """What the person at the terminal sees: the stretch that runs, money, what is in the air, and what is worth a line of its own."""

    def __init__(self, crew: Crew, cap: float | None, watch: Watch) -> None:
        self.stopping = asyncio.Event()
        self._crew, self._cap, self._watch = crew, cap, watch
        self._progress: Progress | None = None
        self._news = ""

    def _latest(self) -> str:
        """What is worth a line now."""
        if self._crew.alarms:
            self._news, self._crew.alarms = "\n".join(self._crew.alarms), []
        return self._news

    def tell(self, progress: Progress) -> None:
        self._progress = progress

    def news(self, flown: asyncio.Future[Forecast]) -> None:
        if not flown.cancelled() and flown.exception() is None:
            self._news = str(flown.result())

    async def draw(self) -> None:
        runtime, progress = self._crew.runtime, self._progress
        if progress is None:
            return
        settled, reserved = await runtime.shared("money")
        flying = await runtime.shared("in_flight")
        asked = (await runtime.status()).get("asked", 0)
        rounds = self._crew.rounds
        trouble = [*(await runtime.shared("trouble")), *([rounds.under_way()] if rounds and rounds.under_way() else [])]
        spent = (settled + reserved) / NANO
        stopping = self.stopping.is_set()
        words = "; ".join(trouble)
        rows = progress.name, progress.done, progress.of
        self._watch(Snapshot(*rows, asked, spent, self._cap, sum(flying.values()), stopping, words, self._latest()))


@contextlib.asynccontextmanager
async def ticking(tick: Callable[[], Any], seconds: float = 0.5) -> AsyncIterator[None]:
    """Call `tick` every so often while the block runs, and once at its end."""

    async def run() -> None:
        while True:
            await asyncio.sleep(seconds)
            await tick()

    task = asyncio.ensure_future(run())
    try:
        yield
        await tick()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
