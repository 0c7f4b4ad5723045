"""What each path does, but for those that answer: the books, and the two batch APIs."""

from __future__ import annotations

import re
from collections.abc import Callable

import orjson

from datagen.rehearsal.batches import anthropic, openai
from datagen.rehearsal.batches.jobs import Desk
from datagen.rehearsal.server.house import House
from datagen.rehearsal.server.http import HttpReply, HttpRequest
from datagen.rehearsal.settings import version
from datagen.rehearsal.wires import CREATED, Wire, WrongShape
from datagen.rehearsal.wires.errors import error_body
from datagen.rehearsal.wires.protocols import PROTOCOLS, check_key

LARGEST = {"/v1/files": 512 << 20, "/v1/messages/batches": anthropic.MOST_BYTES}
"""Bytes of a body, by path."""
USUALLY_LARGEST = 32 << 20


def _settings(house: House) -> HttpReply:
    return HttpReply(200, orjson.dumps({"label": house.label, "version": version(), "settings": house.settings.model_dump(mode="json")}))


def _statement(house: House) -> HttpReply:
    return HttpReply(200, b"".join(house.statement.lines({"limits": house.limits.totals()})), "application/x-ndjson")


def _jobs(house: House) -> HttpReply:
    return HttpReply(200, b"".join(house.desk.books()), "application/x-ndjson")


def _models(house: House) -> HttpReply:
    model = {"id": house.label, "object": "model", "created": CREATED, "owned_by": "datagen", "type": "model", "display_name": "Simulated teacher"}
    return HttpReply(200, orjson.dumps({"object": "list", "data": [model], "has_more": False, "first_id": house.label, "last_id": house.label}))


def _reset(house: House) -> HttpReply:
    house.reset()
    return HttpReply(200, b'{"reset":true}')


BOOKS: dict[str, dict[str, Callable[[House], HttpReply]]] = {
    "/v1/models": {"GET": _models},
    "/settings": {"GET": _settings},
    "/statement": {"GET": _statement},
    "/jobs": {"GET": _jobs},
    "/reset": {"POST": _reset},
}
Handler = Callable[..., HttpReply | None]
"""Called with the desk, the request, and the id in its path where there is one; None resets the connection."""
BATCHES: list[tuple[re.Pattern[str], Wire, dict[str, Handler]]] = [
    (re.compile(r"/v1/files"), "openai", {"POST": openai.upload}),
    (re.compile(r"/v1/files/([^/]+)"), "openai", {"GET": openai.file}),
    (re.compile(r"/v1/files/([^/]+)/content"), "openai", {"GET": openai.content}),
    (re.compile(r"/v1/batches"), "openai", {"POST": openai.create, "GET": openai.listing}),
    (re.compile(r"/v1/batches/([^/]+)"), "openai", {"GET": openai.retrieve}),
    (re.compile(r"/v1/batches/([^/]+)/cancel"), "openai", {"POST": openai.cancel}),
    (re.compile(r"/v1/messages/batches"), "anthropic", {"POST": anthropic.create, "GET": anthropic.listing}),
    (re.compile(r"/v1/messages/batches/([^/]+)"), "anthropic", {"GET": anthropic.retrieve}),
    (re.compile(r"/v1/messages/batches/([^/]+)/results"), "anthropic", {"GET": anthropic.results}),
    (re.compile(r"/v1/messages/batches/([^/]+)/cancel"), "anthropic", {"POST": anthropic.cancel}),
]
PATHS = (*PROTOCOLS, "/v1/files", "/v1/batches", "/v1/messages/batches", *BOOKS)


def wire_of(request: HttpRequest) -> Wire:
    """Whose errors a request wants to read."""
    protocol = PROTOCOLS.get(request.path)
    if protocol is not None:
        return protocol.wire
    return "anthropic" if "anthropic-version" in request.headers or request.path.startswith("/v1/messages") else "openai"


def handled(house: House, request: HttpRequest) -> HttpReply | None:
    """The reply to anything but a question; None where the connection is to be reset."""
    if request.path in BOOKS:
        book = BOOKS[request.path].get(request.method)
        return book(house) if book else _unsupported(request, tuple(BOOKS[request.path]))
    for pattern, wire, handlers in BATCHES:
        found = pattern.fullmatch(request.path)
        if found is None:
            continue
        handler = handlers.get(request.method)
        return _batch(house.desk, request, wire, handler, found.groups()) if handler else _unsupported(request, tuple(handlers))
    if request.path in PROTOCOLS:
        return _unsupported(request, ("POST",))
    return HttpReply(404, error_body(wire_of(request), 404, f"unknown path {request.path}; known: {', '.join(PATHS)}"))


def _batch(desk: Desk, request: HttpRequest, wire: Wire, handler: Handler, ids: tuple[str, ...]) -> HttpReply | None:
    try:
        check_key(request.headers)
        return handler(desk, request, *ids)
    except WrongShape as wrong:
        return HttpReply(wrong.status, error_body(wire, wrong.status, str(wrong), wrong.param))


def _unsupported(request: HttpRequest, methods: tuple[str, ...]) -> HttpReply:
    message = f"{request.method} {request.path} is not supported; use {' or '.join(methods)}"
    return HttpReply(405, error_body(wire_of(request), 405, message))
