"""Many units in the air, in order of arrival, and nothing lost when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

LOOK_SECONDS = 0.05
"""How often it is asked whether there is room for another unit."""
MOST = 1024
"""Units in the air at most, however hungry the worker: their rows are in memory."""


async def in_the_air(
    run: Callable[[Any], Awaitable[Any]], units: Sequence[Any], least: int, hungry: Callable[[], bool] | None = None
) -> AsyncIterator[Any]:
    """Results as they come; at least `least` units at once, and more while `hungry()` says that there is too little to do.

    A unit waits for its slowest row, so a fixed number would leave the teacher idle behind stragglers. After a failure nothing new is
    started; what is under way lands, then the failure is raised.
    """
    waiting: Iterator[Any] = iter(units)
    flying: set[asyncio.Future[Any]] = set()
    failure: BaseException | None = None
    try:
        while True:
            room = len(flying) < least or (hungry is not None and len(flying) < MOST and hungry())
            if failure is None and room and (unit := next(waiting, None)) is not None:
                flying.add(asyncio.ensure_future(run(unit)))
                if len(flying) < least:
                    continue
            if not flying:
                break
            # the pause also lets the rows of a new unit queue up before another is taken
            landed, flying = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED, timeout=LOOK_SECONDS if hungry else None)
            for future in landed:
                error = future.exception()
                if error is None:
                    yield future.result()
                failure = failure or error
    finally:
        for future in flying:
            future.cancel()
    if failure is not None:
        raise failure
