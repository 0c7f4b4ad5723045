"""One client's connection: its requests are answered as they are ready, failed as luck has it, or dropped.

A plain asyncio protocol with keep-alive: a rehearsal asks thousands of times a second, and must not wait for its teacher.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time

from datagen.rehearsal.server.faults import DRIP_SECONDS, PAGE, UNBILLED, broken
from datagen.rehearsal.server.house import House
from datagen.rehearsal.server.http import JSON, HttpRequest, Inbox, TooLarge, head_of
from datagen.rehearsal.server.limits import Headers
from datagen.rehearsal.server.routes import LARGEST, USUALLY_LARGEST, handled, wire_of
from datagen.rehearsal.server.statement import Entry
from datagen.rehearsal.wires import Asked, Wire, WrongShape
from datagen.rehearsal.wires.errors import error_body
from datagen.rehearsal.wires.protocols import PROTOCOLS, Protocol, read

RETRY_AFTER = "1"
"""Seconds that a 429 drawn as a fault asks the client to wait: whole ones, as the providers do."""


class Connection(asyncio.Protocol):
    """Clients of either SDK have one request at a time in the air."""

    def __init__(self, house: House, open_: set[Connection]) -> None:
        self._house = house
        self._open = open_
        self._inbox = Inbox(LARGEST, USUALLY_LARGEST)
        self._transport: asyncio.Transport | None = None
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._open.discard(self)

    def data_received(self, data: bytes) -> None:
        self._inbox.feed(data)
        try:
            while self._transport is not None and (request := self._inbox.take()) is not None:
                self._route(request)
        except TooLarge as large:
            self._error("openai", 413, str(large))

    def _route(self, request: HttpRequest) -> None:
        self._closing = request.headers.get("connection", "").lower() == "close"
        if (outage := self._house.outage()) and request.path.startswith("/v1/"):
            self._house.statement.faults["outage"] += 1
            self._down(wire_of(request), outage)
            return
        protocol = PROTOCOLS.get(request.path)
        if protocol is not None and request.method == "POST":
            self._ask(protocol, request)
            return
        reply = handled(self._house, request)
        if reply is None:
            self.reset()
        else:
            wire = wire_of(request)
            self._send(reply.status, reply.body, reply.kind, (_request_id(wire, "simulated"),))

    def _ask(self, protocol: Protocol, request: HttpRequest) -> None:
        house = self._house
        try:
            asked = read(protocol, request.headers, request.body)
        except WrongShape as wrong:
            self._error(protocol.wire, wrong.status, str(wrong), wrong.param)
            return
        if house.limits.enforced and (refusal := house.limits.admit(asked, house.cache.look(asked.prefixes).read)) is not None:
            self._error(protocol.wire, 429, refusal.message, kind=refusal.kind, extra=refusal.headers)
            return
        luck = house.luck(asked)
        if luck.fault in UNBILLED:
            self._fail(protocol.wire, luck.fault)
            return
        reply, entry = house.answer(protocol, asked, huge=luck.fault == "huge")
        if house.limits.enforced:
            house.limits.settle(asked, reply)
        if luck.fault == "hang":
            return
        if luck.wait:
            asyncio.get_running_loop().call_later(luck.wait, self._deliver, asked, reply.body, entry, luck.fault)
        else:
            self._deliver(asked, reply.body, entry, luck.fault)

    def _deliver(self, asked: Asked, body: bytes, entry: Entry, fault: str) -> None:
        if self._transport is None:
            return
        planted = (("x-datagen-planted", entry.planted),) if entry.planted else ()
        extra = (*self._house.limits.headers(asked), _request_id(asked.wire, entry.body_sha256), *planted)
        if fault == "drip":
            self._transport.write(head_of(200, JSON, len(body), extra))
            self._drip(body, 0)
            return
        if fault in ("malformed", "garbled"):
            body = broken(body, fault)
        else:
            entry.delivered += 1
            entry.delivered_at = time.time()
        self._send(200, body, JSON, extra)

    def _drip(self, body: bytes, at: int) -> None:
        if self._transport is not None and at < len(body):
            self._transport.write(body[at : at + 1])
            asyncio.get_running_loop().call_later(DRIP_SECONDS, self._drip, body, at + 1)

    def _fail(self, wire: Wire, fault: str) -> None:
        if fault == "rate_limited":
            self._error(wire, 429, "Rate limit reached: simulated. Please try again in 1s.", extra=(("retry-after", RETRY_AFTER),))
        elif fault == "error":
            self._error(wire, 500, "The server had an error while processing your request: simulated.")
        elif fault == "overloaded":
            self._error(wire, 529 if wire == "anthropic" else 503, "Overloaded: simulated.")
        elif fault == "html":
            self._send(200, PAGE, "text/html; charset=utf-8")
        else:
            self.reset()

    def _down(self, wire: Wire, how: str) -> None:
        if how == "error":
            self._error(wire, 500, "The server is down: simulated outage.")
        else:
            self.reset()

    def reset(self) -> None:
        """Close with a TCP RST, as a crashed proxy does."""
        if self._transport is not None:
            held = self._transport.get_extra_info("socket")
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
            self._transport = None

    def _error(self, wire: Wire, status: int, message: str, param: str | None = None, kind: str = "", extra: Headers = ()) -> None:
        self._send(status, error_body(wire, status, message, param, kind), JSON, (*extra, _request_id(wire, "simulated")))

    def _send(self, status: int, body: bytes, kind: str = JSON, extra: Headers = ()) -> None:
        if self._transport is None:
            return
        closing = (("connection", "close"),) if self._closing else ()
        self._transport.write(head_of(status, kind, len(body), (*extra, *closing)) + body)
        if self._closing:
            self._transport.close()


def _request_id(wire: Wire, token: str) -> tuple[str, str]:
    return ("request-id" if wire == "anthropic" else "x-request-id", f"req_{token[:24]}")
