"""Deadlines in time that this process was awake: while it is stopped (SIGSTOP, Ctrl-Z) nothing can come in, and what has come is not late."""

from __future__ import annotations

import asyncio
import contextlib
import weakref

BEAT = 1.0
"""Seconds between two looks at the clock while any deadline is set."""
ASLEEP = 1.0
"""Seconds that a beat may be late before it counts as sleep: a busy event loop is late by less."""


class _Watch:
    """Notices that one event loop was stopped, and moves its deadlines on. The beat is due before any deadline that fell due in the
    meantime, and timers that are due together run in their order, so it comes first."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.slept = 0.0
        """Seconds in all."""
        self._loop = loop
        self._set: weakref.WeakSet[asyncio.Timeout] = weakref.WeakSet()
        self._beat: asyncio.TimerHandle | None = None

    def add(self, deadline: asyncio.Timeout) -> None:
        self._set.add(deadline)
        if self._beat is None:
            self._beat = self._loop.call_later(BEAT, self._look)

    def _look(self) -> None:
        assert self._beat is not None
        late = self._loop.time() - self._beat.when()
        if late > ASLEEP:
            self.slept += late
            for deadline in list(self._set):
                _move(deadline, late)
        self._beat = self._loop.call_later(BEAT, self._look) if self._set else None


_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = weakref.WeakKeyDictionary()


def timeout(seconds: float) -> asyncio.Timeout:
    """`async with timeout(seconds):` as asyncio's, but for time that the process was stopped. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    deadline = asyncio.timeout_at(loop.time() + seconds)
    _watch(loop).add(deadline)
    return deadline


def now() -> float:
    """Seconds on a clock that stands still while the process is stopped; noticed within BEAT while a deadline is set."""
    loop = asyncio.get_running_loop()
    return loop.time() - _watch(loop).slept


def _watch(loop: asyncio.AbstractEventLoop) -> _Watch:
    watch = _watches.get(loop)
    if watch is None:
        watch = _watches[loop] = _Watch(loop)
    return watch


def _move(deadline: asyncio.Timeout, seconds: float) -> None:
    when = deadline.when()
    if when is not None:
        with contextlib.suppress(RuntimeError):  # it has ended and is not collected yet
            deadline.reschedule(when + seconds)
