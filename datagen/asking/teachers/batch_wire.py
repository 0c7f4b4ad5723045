"""JSON lines over the wire, both ways as streams: what is sent is never joined, what comes is never held."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from datagen.asking.teachers import wire
from datagen.asking.teachers.base import Endpoint, Job
from datagen.errors import TeacherFault
from datagen.records import Request, Response
from datagen.runtime import awake

SLOWEST_UPLOAD = 250_000
"""Bytes a second: what a job's upload may take beyond the endpoint's timeout, since the timeout is meant for one answer."""
PAGE = 100
"""Jobs a page of a list: OpenAI's most."""
NO_REDIRECT: Mapping[str, Any] = {"follow_redirects": False}
"""Options of every call: a redirect would take prompts and key to an address that nobody wrote down."""
JobOf = Callable[[Mapping[str, Any]], Job]


class Reader(Protocol):
    """What the batch API needs of the online adapter: one form of a request and one reading of an answer, whichever way they travel."""

    endpoint: Endpoint

    def body(self, request: Request) -> dict[str, Any]:
        """The request as the wire wants it. Raises TeacherFault `rejected`."""
        ...

    def read(self, status: int, headers: Mapping[str, str], raw: bytes) -> Response:
        """The answer in a reply. Raises TeacherFault, always so for a status from 400 on."""
        ...


class Sheaf(io.RawIOBase):
    """Lines as one readable file with something around and between them, for an upload that is never in memory as a whole."""

    def __init__(self, lines: Sequence[bytes], before: bytes = b"", between: bytes = b"", after: bytes = b"") -> None:
        self._lines, self._before, self._between, self._after = lines, before, between, after
        self.size = len(before) + sum(map(len, lines)) + len(between) * max(len(lines) - 1, 0) + len(after)
        self.seek(0)

    def _pieces(self) -> Iterator[bytes]:
        yield self._before
        for number, line in enumerate(self._lines):
            yield self._between + line if number else line
        yield self._after

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """To the start, or to the end: how HTTP libraries measure a file. The start begins it anew."""
        self._at = self.size if whence == io.SEEK_END else 0
        if whence != io.SEEK_END and offset == 0:
            self._rest, self._left = self._pieces(), memoryview(b"")
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As many whole or cut lines as fit."""
        view, filled = memoryview(buffer).cast("B"), 0
        while filled < len(view):
            if not self._left:
                piece = next(self._rest, None)
                if piece is None:
                    break
                self._left = memoryview(piece)
            count = min(len(view) - filled, len(self._left))
            view[filled : filled + count] = self._left[:count]
            self._left, filled = self._left[count:], filled + count
        self._at += filled
        return filled

    async def chunks(self, size: int = 1 << 16) -> AsyncIterator[bytes]:
        """The whole from its start, for a body that is no form."""
        self.seek(0)
        while chunk := self.read(size):
            yield chunk


async def payload_of(endpoint: Endpoint, call: Awaitable[Any], size: int = 0) -> Mapping[str, Any]:
    """The object in the reply of one call that sends `size` bytes. Raises TeacherFault."""
    patient = replace(endpoint, timeout=endpoint.timeout + size / SLOWEST_UPLOAD)
    return wire.body_of(endpoint, await wire.send(patient, call))[1]


async def listed(page_after: Callable[[dict[str, str]], Awaitable[Mapping[str, Any]]], cursor: str, job_of: JobOf, since: float) -> list[Job]:
    """Jobs page by page from the newest until one is older than `since`. A list that repeats itself ends."""
    found: dict[str, Job] = {}
    after: dict[str, str] = {}
    while True:
        payload = await page_after({"limit": str(PAGE), **after})
        page = [job_of(item) for item in wire.parts(payload.get("data"))]
        fresh = [job for job in page if job.id not in found]
        found.update((job.id, job) for job in fresh)
        if not fresh or not payload.get("has_more") or page[-1].created < since:
            return list(found.values())
        after = {cursor: page[-1].id}


async def streamed(endpoint: Endpoint, call: Awaitable[Any]) -> AsyncGenerator[tuple[bytes, Mapping[str, str]]]:
    """(line, marks) of a streamed reply, split at newlines alone: JSON may hold every other line break of Unicode.

    Marks are the headers by which a simulator makes itself known. Each line must come within the endpoint's timeout. Raises
    TeacherFault for whatever breaks it off, a last line without its end included: what came before it stands.
    """
    reply = await wire.send(endpoint, call)
    try:
        marks = {name: value for name, value in reply.headers.items() if name.startswith("x-datagen-")}
        chunks, rest = aiter(reply.aiter_bytes()), bytearray()
        deadline = awake.now() + endpoint.timeout
        while (chunk := await wire.send(endpoint, _next(chunks, deadline))) is not None:
            start = len(rest)
            rest += chunk
            if rest.find(b"\n", start) < 0:
                _refuse_endless(endpoint, rest)
                continue
            whole, _, last = bytes(rest).rpartition(b"\n")
            rest = bytearray(last)
            for line in whole.split(b"\n"):
                if line.strip():
                    yield line, marks
            deadline = awake.now() + endpoint.timeout
        if rest.strip():
            yield _whole(endpoint, bytes(rest)), marks
    finally:
        await reply.aclose()


async def _next(chunks: AsyncIterator[bytes], deadline: float) -> bytes | None:
    """The next piece, or None at the end. Raises TimeoutError where a server drips a line for longer than an answer may take."""
    async with awake.timeout(deadline - awake.now()):
        return await anext(chunks, None)


def _refuse_endless(endpoint: Endpoint, rest: bytearray) -> None:
    if len(rest) > wire.LARGEST:
        raise TeacherFault("transient", f"{endpoint.provider} sent a result of more than {wire.LARGEST:,} bytes", status=200)


def _whole(endpoint: Endpoint, line: bytes) -> bytes:
    """A last line without a newline, where it is whole all the same."""
    if parsed(line) is None:
        raise TeacherFault("transient", f"the results of {endpoint.provider} broke off in the middle of a line")
    return line


def parsed(line: bytes) -> dict[str, Any] | None:
    """The object in a line; None where it is none, or no UTF-8."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def custom_id_of(endpoint: Endpoint, said: Mapping[str, Any]) -> str:
    """Whose result a line is, without the key: a name that is none of ours is shown."""
    return wire.redact(endpoint, wire.word(said.get("custom_id")))


def undone(endpoint: Endpoint, why: str) -> TeacherFault:
    """A request that the job never came to. What a provider says of it is kept, so the key is taken out before it is cut."""
    return TeacherFault("transient", f"{endpoint.provider} left it undone: {wire.redact(endpoint, why)}"[:500])


def per_request(fault: TeacherFault) -> TeacherFault:
    """A fault inside a job: waiting for a limit is the provider's matter there, so what is worth asking again is `transient`."""
    if fault.kind not in ("rate_limited", "overloaded", "unreachable"):
        return fault
    return TeacherFault("transient", str(fault), status=fault.status, body=fault.body)
