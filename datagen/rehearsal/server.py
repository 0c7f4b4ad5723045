"""The simulated teacher's HTTP server: /v1/chat/completions, /v1/messages, and its own books.

One asyncio protocol on plain HTTP/1.1 with keep-alive: a rehearsal asks thousands of times a second, and must not wait for its teacher.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import os
import re
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Sequence

import orjson

from datagen.errors import DatagenError, SetupError
from datagen.rehearsal.answers import Teacher
from datagen.rehearsal.faults import UNBILLED, Latency, fault_of
from datagen.rehearsal.settings import Settings, checked, label, version
from datagen.rehearsal.statement import Entry, Statement
from datagen.rehearsal.wires import Asked, Reply, Wire, WrongShape, error_body, limit_headers, read, write

RETRY_AFTER = "1"
"""Seconds that a 429 asks the client to wait: whole ones, as the providers do."""
BODY_LIMIT = 32 << 20
PATHS: dict[str, Wire] = {"/v1/chat/completions": "openai", "/v1/messages": "anthropic"}
_REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large",
    429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable", 529: "Overloaded",
}  # fmt: skip
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)


class House:
    """What all connections share: the teacher, the books, the luck."""

    def __init__(self, settings: Settings) -> None:
        self.settings = checked(settings)
        self.teacher = Teacher(self.settings)
        self.latency = Latency(self.settings.latency)
        self.label = label(self.settings)
        self.statement = Statement()
        self.attempts: dict[str, int] = {}

    def attempt(self, identity: str) -> int:
        """The number of this attempt at a request, from 1."""
        number = self.attempts[identity] = self.attempts.get(identity, 0) + 1
        return number

    def reset(self) -> None:
        self.statement.clear()
        self.attempts.clear()


class Connection(asyncio.Protocol):
    """One client. Requests on it are answered as they are ready; clients of either SDK have one at a time in the air."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._transport is not None and (taken := _request_in(self._buffer)) is not None:
            head, body, used = taken
            self._buffer = self._buffer[used:]
            self._route(head, body)
        if len(self._buffer) > BODY_LIMIT:
            self._closing = True
            self._error("openai", 413, "the request is larger than 32 MiB")

    def _route(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, _, rest = first.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._closing = headers.get("connection", "").lower() == "close"
        wire = PATHS.get(path)
        if wire and method == "POST":
            self._ask(wire, headers, body)
        elif wire or path in _BOOKS:
            books = _BOOKS.get(path, {})
            if method in books:
                self._send(200, *books[method](self._house))
            else:
                self._error(wire or "openai", 405, f"{method} {path} is not supported; use {' or '.join(books) or 'POST'}")
        else:
            kind: Wire = "anthropic" if "anthropic-version" in headers else "openai"
            self._error(kind, 404, f"unknown path {path}; known: {', '.join((*PATHS, *_BOOKS))}")

    def _ask(self, wire: Wire, headers: dict[str, str], body: bytes) -> None:
        try:
            asked = read(wire, headers, body)
        except WrongShape as wrong:
            self._error(wire, wrong.status, str(wrong), wrong.param)
            return
        house = self._house
        attempt = house.attempt(asked.identity)
        fault = fault_of(house.settings.faults, house.settings.seed, asked.identity, attempt)
        wait = house.latency.seconds(house.settings.seed, asked.identity, attempt)
        if fault in UNBILLED:
            self._fail(wire, fault)
            return
        answer = house.teacher.answer(asked)
        reply = write(asked, answer)
        entry = self._pay(asked, reply, answer.planted)
        if fault == "hang":
            return
        if wait:
            asyncio.get_running_loop().call_later(wait, self._deliver, wire, reply.body, entry, fault)
        else:
            self._deliver(wire, reply.body, entry, fault)

    def _pay(self, asked: Asked, reply: Reply, planted: str) -> Entry:
        sha = hashlib.sha256(reply.body).hexdigest()
        fresh = Entry(asked.key, asked.sample, asked.model, sha, planted, reply.input_tokens, reply.output_tokens, at=0)
        return self._house.statement.pay(asked.identity, sha, fresh)

    def _deliver(self, wire: Wire, body: bytes, entry: Entry, fault: str) -> None:
        if self._transport is None:
            return
        extra = [*_LIMITS[wire], _request_id(wire, entry.body_sha256), *((("x-datagen-planted", entry.planted),) if entry.planted else ())]
        if fault == "malformed":
            body = body[: len(body) // 2]
        else:
            entry.delivered += 1
            entry.delivered_at = time.time()
        self._send(200, body, "application/json", extra)

    def _fail(self, wire: Wire, fault: str) -> None:
        if fault == "rate_limited":
            self._error(wire, 429, "Rate limit reached: simulated. Please try again in 1s.", extra=[("retry-after", RETRY_AFTER)])
        elif fault == "error":
            self._error(wire, 500, "The server had an error while processing your request: simulated.")
        elif fault == "overloaded":
            self._error(wire, 529 if wire == "anthropic" else 503, "Overloaded: simulated.")
        else:
            self._reset()

    def _reset(self) -> None:
        """Close with a TCP RST, as a crashed proxy does."""
        if self._transport is not None:
            held = self._transport.get_extra_info("socket")
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
            self._transport = None

    def _error(self, wire: Wire, status: int, message: str, param: str | None = None, extra: Sequence[tuple[str, str]] = ()) -> None:
        self._send(status, error_body(wire, status, message, param), "application/json", [*extra, _request_id(wire, "simulated")])

    def _send(self, status: int, body: bytes, kind: str = "application/json", extra: Iterable[tuple[str, str]] = ()) -> None:
        if self._transport is None:
            return
        headers = [("content-type", kind), ("content-length", str(len(body))), ("x-datagen-simulated", "1"), *extra]
        if self._closing:
            headers.append(("connection", "close"))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self._transport.write(f"HTTP/1.1 {status} {_REASONS[status]}\r\n{lines}\r\n".encode("latin-1") + body)
        if self._closing:
            self._transport.close()


_LIMITS: dict[Wire, tuple[tuple[str, str], ...]] = {"openai": limit_headers("openai"), "anthropic": limit_headers("anthropic")}


def _request_id(wire: Wire, token: str) -> tuple[str, str]:
    return ("request-id" if wire == "anthropic" else "x-request-id", f"req_{token[:24]}")


def _request_in(buffer: bytes) -> tuple[bytes, bytes, int] | None:
    """(head, body, bytes used) of the first whole request in the buffer."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = buffer[:end]
    if length := _LENGTH.search(head):
        used = end + 4 + int(length.group(1))
        return (head, buffer[end + 4 : used], used) if len(buffer) >= used else None
    if _CHUNKED.search(head):
        return _chunked(head, buffer, end + 4)
    return head, b"", end + 4


def _chunked(head: bytes, buffer: bytes, at: int) -> tuple[bytes, bytes, int] | None:
    parts: list[bytes] = []
    while (line := buffer.find(b"\r\n", at)) >= 0:
        size = int(buffer[at:line].partition(b";")[0], 16)
        at = line + 2 + size + 2
        if len(buffer) < at:
            return None
        if size == 0:
            return head, b"".join(parts), at
        parts.append(buffer[line + 2 : line + 2 + size])
    return None


def _settings(house: House) -> tuple[bytes, str]:
    return orjson.dumps({"label": house.label, "version": version(), "settings": house.settings.model_dump(mode="json")}), "application/json"


def _statement(house: House) -> tuple[bytes, str]:
    return b"".join(house.statement.lines()), "application/x-ndjson"


def _models(house: House) -> tuple[bytes, str]:
    model = {
        "id": house.label,
        "object": "model",
        "created": 1_790_000_000,
        "owned_by": "datagen",
        "type": "model",
        "display_name": "Simulated teacher",
    }
    return orjson.dumps({"object": "list", "data": [model], "has_more": False, "first_id": house.label, "last_id": house.label}), "application/json"


def _reset(house: House) -> tuple[bytes, str]:
    house.reset()
    return b'{"reset":true}', "application/json"


_BOOKS: dict[str, dict[str, Callable[[House], tuple[bytes, str]]]] = {
    "/v1/models": {"GET": _models},
    "/settings": {"GET": _settings},
    "/statement": {"GET": _statement},
    "/reset": {"POST": _reset},
}


def serve(settings: Settings, host: str, port: int, ready: Callable[[int], None] | None = None) -> None:
    """Serve until interrupted; `ready` hears the port. Raises SpecError on wrong settings, SetupError when the port cannot be had."""
    asyncio.run(_serve(House(settings), host, port, ready, parent_pipe=False))


async def _serve(house: House, host: str, port: int, ready: Callable[[int], None] | None, parent_pipe: bool) -> None:
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(lambda: Connection(house), host, port, backlog=2048)
    except OSError as error:
        raise SetupError(f"the simulator cannot listen on {host}:{port}: {error.strerror or error}; --port 0 takes any free port") from error
    gc.freeze()  # what is loaded now stays; collecting it again and again would cost a tenth of the time
    if ready is not None:
        ready(server.sockets[0].getsockname()[1])
    async with server:
        if parent_pipe:
            await _end_of_stdin(loop)
        else:
            await server.serve_forever()


async def _end_of_stdin(loop: asyncio.AbstractEventLoop) -> None:
    """Return when whoever started us closes our stdin or dies."""
    ended = asyncio.Event()

    def look() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            ended.set()

    loop.add_reader(0, look)
    await ended.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m datagen.rehearsal.server --port 0 --settings JSON --parent-pipe`: prints `PORT n`, then serves."""
    parser = argparse.ArgumentParser(prog="datagen.rehearsal.server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--settings", default="{}", help="the rehearsal section of a spec, as JSON")
    parser.add_argument("--parent-pipe", action="store_true", help="exit when stdin closes")
    given = parser.parse_args(arguments)
    try:
        house = House(Settings.model_validate(json.loads(given.settings)))
        asyncio.run(_serve(house, given.host, given.port, lambda port: print("PORT", port, flush=True), given.parent_pipe))
    except (DatagenError, ValueError) as error:
        print(error, file=sys.stderr)
        return error.exit_code if isinstance(error, DatagenError) else 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
