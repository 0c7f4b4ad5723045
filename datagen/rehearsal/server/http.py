"""HTTP/1.1 as far as the simulator needs it: requests out of a stream of bytes, and the bytes of a reply."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

JSON = "application/json"
REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large",
    429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable", 529: "Overloaded",
}  # fmt: skip
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_TARGET = re.compile(rb"[A-Z]+ ([^ ?]+)")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def params(self) -> dict[str, str]:
        """The query, the last value of each name."""
        return dict(parse_qsl(self.query))


@dataclass(frozen=True, slots=True)
class HttpReply:
    status: int
    body: bytes
    kind: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Inbox:
    """Takes bytes as they come and gives whole requests. `most` says how large a body may be, by path."""

    def __init__(self, most: Mapping[str, int], usual: int) -> None:
        self._most = most
        self._usual = usual
        self._held = bytearray()
        self._needed = 0
        self._to_drop = 0

    def feed(self, data: bytes) -> None:
        """More bytes. What belongs to a body that is too large is dropped as it comes."""
        if self._to_drop:
            dropped = min(self._to_drop, len(data))
            self._to_drop -= dropped
            data = data[dropped:]
        self._held += data

    def take(self) -> HttpRequest | None:
        """The first whole request, or None while there is none. Raises TooLarge, once for each request whose body is: it is read to its end,
        so that a client which only sends can come to read the refusal."""
        if len(self._held) < self._needed or self._to_drop:
            return None
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self._held[:end])
        if (body := self._body(head, end + 4)) is None:
            return None
        return _request(head, body)

    def _body(self, head: bytes, start: int) -> bytes | None:
        length = _LENGTH.search(head)
        if length is None:
            return self._chunked(start) if _CHUNKED.search(head) else self._cut(start, start)
        used = start + int(length.group(1))
        if int(length.group(1)) > self._limit(head):
            self._to_drop = max(0, used - len(self._held))
            del self._held[:used]
            raise TooLarge(self._limit(head))
        if len(self._held) < used:
            self._needed = used
            return None
        return self._cut(start, used)

    def _cut(self, start: int, end: int) -> bytes:
        body = bytes(self._held[start:end])
        del self._held[:end]
        self._needed = 0
        return body

    def _limit(self, head: bytes) -> int:
        target = _TARGET.match(head)
        return self._most.get(target.group(1).decode("latin-1"), self._usual) if target else self._usual

    def _chunked(self, at: int) -> bytes | None:
        parts: list[bytes] = []
        while (line := self._held.find(b"\r\n", at)) >= 0:
            size = int(self._held[at:line].partition(b";")[0], 16)
            at = line + 2 + size + 2
            if len(self._held) < at:
                return None
            if size == 0:
                del self._held[:at]
                return b"".join(parts)
            parts.append(bytes(self._held[line + 2 : line + 2 + size]))
        return None


class TooLarge(Exception):
    """A body above what its path takes; `most` in bytes."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the request is larger than {most >> 20} MiB")
        self.most = most


def _request(head: bytes, body: bytes) -> HttpRequest:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = first.partition(" ")
    path, _, query = rest.partition(" ")[0].partition("?")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return HttpRequest(method, unquote(path) if "%" in path else path, query, headers, body)


def head_of(status: int, kind: str, length: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """The bytes before the body."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return (
        f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nx-datagen-simulated: 1\r\n{lines}\r\n"
    ).encode("latin-1")
