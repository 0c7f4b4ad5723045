"""Many units in the air, in order of arrival, and nothing lost when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any


async def in_the_air(run: Callable[[Any], Awaitable[Any]], units: Sequence[Any], most: int) -> AsyncIterator[Any]:
    """Results as they come. After a failure nothing new is started; what is under way lands, then the failure is raised."""
    waiting: Iterator[Any] = iter(units)
    flying: set[asyncio.Future[Any]] = set()
    failure: BaseException | None = None
    try:
        while True:
            while failure is None and len(flying) < most and (unit := next(waiting, None)) is not None:
                flying.add(asyncio.ensure_future(run(unit)))
            if not flying:
                break
            landed, flying = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
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
