"""A simulator for as long as it is wanted: it listens, stops listening in an outage, and ends with whoever started it."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Callable

from datagen.errors import SetupError
from datagen.rehearsal.server.connection import Connection
from datagen.rehearsal.server.house import House
from datagen.rehearsal.settings import Settings


def serve(settings: Settings, host: str, port: int, ready: Callable[[int], None] | None = None, run: int = 0, parent_pipe: bool = False) -> None:
    """Serve until interrupted, or with `parent_pipe` until stdin closes; `ready` hears the port. Raises SpecError on wrong settings,
    SetupError when the port cannot be had. `run` is the number of this run: a later one meets new luck, and gets the same answers."""
    asyncio.run(_serve(House(settings, run), host, port, ready, parent_pipe))


async def _serve(house: House, host: str, port: int, ready: Callable[[int], None] | None, parent_pipe: bool) -> None:
    loop = asyncio.get_running_loop()
    door = Door(house, host, port)
    await door.open()
    gc.freeze()  # what is loaded now stays; collecting it again and again would cost a tenth of the time
    if ready is not None:
        ready(door.port)
    refusing = asyncio.ensure_future(door.refuse())
    try:
        await (_end_of_stdin(loop) if parent_pipe else asyncio.Event().wait())
    finally:
        refusing.cancel()
        await door.close()


class Door:
    """The listening socket and the connections that came in by it."""

    def __init__(self, house: House, host: str, port: int) -> None:
        self._house = house
        self._host = host
        self.port = port
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. Raises SetupError where the port cannot be had."""
        try:
            self._server = await asyncio.get_running_loop().create_server(self._connection, self._host, self.port, backlog=2048)
        except OSError as error:
            why = error.strerror or error
            raise SetupError(f"the simulator cannot listen on {self._host}:{self.port}: {why}; --port 0 takes any free port") from error
        self.port = self._server.sockets[0].getsockname()[1]

    def _connection(self) -> Connection:
        return Connection(self._house, self._connections)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for connection in list(self._connections):
                connection.reset()
            self._server = None

    async def refuse(self) -> None:
        """Through every outage that refuses connections: nobody listens, and the port stays ours."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for begin, end, how in sorted(self._house.settings.outages):
            if how != "refused":
                continue
            await asyncio.sleep(began + begin - loop.time())
            await self.close()
            with socket.socket() as held:
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                held.bind((self._host, self.port))
                await asyncio.sleep(began + end - loop.time())
            await self.open()


async def _end_of_stdin(loop: asyncio.AbstractEventLoop) -> None:
    """Return when whoever started us closes our stdin or dies."""
    ended = asyncio.Event()

    def look() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            ended.set()

    loop.add_reader(0, look)
    await ended.wait()
