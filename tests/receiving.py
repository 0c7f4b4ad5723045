"""A webhook's receiver of the test's own on loopback, beside a build in this process."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from wire_server import Reply, Seen, WireServer


@dataclass
class Receiver:
    """Where it listens, and every document that was posted to it."""

    url: str
    posted: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextmanager
def receiver(answer: Callable[[int], Reply] = lambda _: Reply(b"ok")) -> Iterator[Receiver]:
    """`answer` is given how many came before."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    found = Receiver("")

    def reply(seen: Seen) -> Reply:
        found.posted.append(json.loads(seen.body))
        found.paths.append(seen.path)
        return answer(len(found.posted) - 1)

    server = WireServer(reply)
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    found.url = f"{server.url}/hook/SECRET-0123"
    try:
        yield found
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
