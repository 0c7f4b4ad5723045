"""An event loop whose clock jumps to the next timer: hours of a governor and its workers in a second, and the same every time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Nothing(selectors.BaseSelector):
    """Waits for no file; time passes instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop, self._map = loop, selectors.SelectSelector()

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing is left to happen, and somebody waits")
        self._loop.now += max(timeout, 0.0)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._map.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._map.unregister(fileobj)

    def get_map(self) -> Any:
        return self._map.get_map()

    def close(self) -> None:
        self._map.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Nothing(self))

    def time(self) -> float:
        return self.now


def run(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
