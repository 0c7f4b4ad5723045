"""A scripted HTTP server on loopback, as rude as the wire can be, and documented bodies checked against the SDKs' own types."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal


@dataclass(frozen=True)
class Reply:
    """What to send back, and how."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    how: Literal["whole", "chunked", "half", "reset", "silence", "drip", "endless"] = "whole"
    """`half` promises the whole body and hangs up midway; `silence` reads and never answers; `drip` repeats the body for ever, a byte at
    a time with pauses; `endless` repeats it as fast as it is read."""


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class WireServer:
    """`async with WireServer([Reply(...), ...]) as server`: one reply per request, the last one again and again."""

    def __init__(self, script: list[Reply] | Callable[[Seen], Reply]) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> WireServer:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its reply; False when the connection is over."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.seen.append(Seen(head[0].split()[1], headers, body))
        reply = self._script(self.seen[-1]) if callable(self._script) else self._script[min(len(self.seen), len(self._script)) - 1]
        if reply.how == "silence":
            await asyncio.Event().wait()
        if reply.how == "reset":
            _reset(writer)
            return False
        if reply.how in ("drip", "endless"):
            await _trickle(reply, writer)
        writer.write(_encoded(reply))
        await writer.drain()
        return reply.how != "half"


async def _trickle(reply: Reply, writer: asyncio.StreamWriter) -> None:
    """A chunked body that has no end worth waiting for."""
    lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in reply.headers.items()), "transfer-encoding: chunked"]
    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
    while True:
        for piece in [reply.body] if reply.how == "endless" else [reply.body[at : at + 1] for at in range(len(reply.body))]:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            if reply.how == "drip":
                await asyncio.sleep(0.05)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST in place of FIN: linger on, for zero seconds."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _encoded(reply: Reply) -> bytes:
    headers = dict(reply.headers)
    if reply.how == "chunked":
        headers["transfer-encoding"] = "chunked"
        pieces = [reply.body[start : start + 7] for start in range(0, len(reply.body), 7)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    else:
        headers["content-length"] = str(len(reply.body))
        body = reply.body[: len(reply.body) // 2] if reply.how == "half" else reply.body
    lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body).encode()


def chat(message: Mapping[str, Any] | None = None, finish: str = "stop", logprobs: Any = None, **top: Any) -> dict[str, Any]:
    """An OpenAI chat completion that the SDK's own type accepts."""
    from openai.types.chat import ChatCompletion

    said = {"role": "assistant", "content": "42", "refusal": None, **(message or {})}
    body = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1760000000, "model": "teacher-1-2026", "system_fingerprint": "fp_9",
        "choices": [{"index": 0, "finish_reason": finish, "logprobs": logprobs, "message": said}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}, **top,
    }  # fmt: skip
    ChatCompletion.model_validate(body, strict=True)
    return body


def message(content: list[dict[str, Any]] | None = None, stop: str = "end_turn", **top: Any) -> dict[str, Any]:
    """An Anthropic message that the SDK's own type accepts."""
    from anthropic.types import Message

    body = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "teacher-1-2026", "stop_reason": stop, "stop_sequence": None,
        "content": [{"type": "text", "text": "42"}] if content is None else content, "usage": {"input_tokens": 20, "output_tokens": 5}, **top,
    }  # fmt: skip
    Message.model_validate(body, strict=True)
    return body


def response(output: list[dict[str, Any]] | None = None, **top: Any) -> dict[str, Any]:
    """A response of the Responses API that the SDK's own type accepts."""
    from openai.types.responses import Response

    body = {
        "id": "resp_1", "object": "response", "created_at": 1760000000, "model": "teacher-1-2026", "status": "completed", "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {}, "parallel_tool_calls": True, "temperature": 1.0, "top_p": 1.0,
        "tool_choice": "auto", "tools": [], "output": [spoken("42")] if output is None else output,
        "usage": {"input_tokens": 20, "output_tokens": 5, "total_tokens": 25,
                  "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}, **top,
    }  # fmt: skip
    Response.model_validate(body)
    return body


def spoken(text: str, **more: Any) -> dict[str, Any]:
    """A message among the output of a response."""
    part = {"type": "output_text", "text": text, "annotations": [], **more}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def summed_up(*summary: str, content: str = "") -> dict[str, Any]:
    """Reasoning among the output of a response: OpenAI's summaries, an open server's own text."""
    own = {"content": [{"type": "reasoning_text", "text": content}]} if content else {}
    return {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": text} for text in summary], **own}


FORMS = {"azure": "openai", "bedrock": "anthropic", "vertex": "anthropic"}
"""Clouds -> whose wire they speak."""


def form_of(provider: str) -> str:
    return FORMS.get(provider, provider)


def good(provider: str) -> dict[str, Any]:
    """A good answer that says 42."""
    return {"openai": chat, "responses": response, "anthropic": message}[form_of(provider)]()


def error(provider: str, type_: str, message: str = "no", code: str | None = None) -> bytes:
    """An error body that the SDK's own type accepts."""
    if form_of(provider) != "anthropic":
        from openai.types.shared import ErrorObject

        body: dict[str, Any] = {"message": message, "type": type_, "param": None, "code": code}
        ErrorObject.model_validate(body, strict=True)
        return encoded({"error": body})
    from anthropic.types.shared import ErrorResponse

    details = {"details": {"error_code": code}} if code else {}
    answer = {"type": "error", "error": {"type": type_, "message": message, **details}, "request_id": "req_1"}
    ErrorResponse.model_validate(answer, strict=True)
    return encoded(answer)


def thought(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": "s"}


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text, "citations": None}


def tokens(prompt: int, completion: int, total: int, **details: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **details}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, item in items for inner in places(item, (*path, key)))]
