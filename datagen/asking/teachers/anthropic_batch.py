"""Anthropic's Message Batches: up to 100,000 messages in one call, at half the price, told apart by their custom ids alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any
from urllib.parse import quote

from datagen.asking.teachers import wire
from datagen.asking.teachers.base import Job, Result, custom_id
from datagen.asking.teachers.batch_wire import NO_REDIRECT, Reader, Sheaf, custom_id_of, listed, parsed, payload_of, per_request, streamed, undone
from datagen.errors import TeacherFault
from datagen.records import Request

PATH = "/v1/messages/batches"
COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")
"""Their sum is always the number of requests."""
ENDED = frozenset({"ended", "canceled", "cancelled", "aborted", "expired"})
"""The documented word, and what servers that speak this API say as well."""
STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "timeout_error": 408,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
}
"""The status with which the online API says the same; a type that is not here is the server's fault."""


class AnthropicBatches:
    """Over the client of the online adapter, which also gives a request its form and an answer its reading.

    There is no tag: after a lost reply a job is found again by its time, its number of requests and the custom ids in its results.
    """

    tags = False
    most = (100_000, 256_000_000)

    def __init__(self, client: Any, teacher: Reader) -> None:
        """`client`: an AsyncAnthropic."""
        self._client = client
        self._teacher = teacher
        self._endpoint = teacher.endpoint
        self._reply_type = wire.reply_type()

    def line(self, request: Request) -> bytes:
        return wire.encode({"custom_id": custom_id(request.key, request.sample), "params": self._teacher.body(request)})

    async def submit(self, lines: Sequence[bytes], tag: str) -> Job:
        """The lines as they are, streamed: the SDK's own objects would hold every request three times over."""
        sheaf = Sheaf(lines, b'{"requests":[', b",", b"]}")
        headers = {"Content-Type": "application/json", "Content-Length": str(sheaf.size)}
        call = self._client.post(PATH, content=sheaf.chunks(), cast_to=self._reply_type, options={**NO_REDIRECT, "headers": headers})
        return _job(await payload_of(self._endpoint, call, sheaf.size))

    async def job(self, id: str) -> Job:
        return _job(await payload_of(self._endpoint, self._client.get(f"{PATH}/{quote(id, safe='')}", cast_to=self._reply_type, options=NO_REDIRECT)))

    async def jobs(self, since: float) -> list[Job]:
        return await listed(self._page, "after_id", _job, since)

    async def results(self, job: Job) -> AsyncGenerator[Result]:
        """At the address that the API documents; the one that a job names could lead the key elsewhere."""
        call = self._client.get(
            f"{PATH}/{quote(job.id, safe='')}/results", cast_to=self._reply_type, options=NO_REDIRECT, stream=True, stream_cls=object
        )
        async with aclosing(streamed(self._endpoint, call)) as lines:
            async for line, marks in lines:
                yield self._result(line, marks)

    async def cancel(self, id: str) -> None:
        await payload_of(self._endpoint, self._client.post(f"{PATH}/{quote(id, safe='')}/cancel", cast_to=self._reply_type, options=NO_REDIRECT))

    def _page(self, params: dict[str, str]) -> Awaitable[Mapping[str, Any]]:
        return payload_of(self._endpoint, self._client.get(PATH, cast_to=self._reply_type, options={**NO_REDIRECT, "params": params}))

    def _result(self, line: bytes, marks: Mapping[str, str]) -> Result:
        """One line of the results. What cannot be read has no custom id."""
        said = parsed(line) or {}
        name, result = custom_id_of(self._endpoint, said), wire.part(said, "result")
        type_, message, error = wire.word(result.get("type")), wire.part(result, "message"), wire.part(result, "error")
        if type_ == "succeeded":
            status, body = 200, message
        elif type_ == "errored":
            status, body = STATUSES.get(wire.word(wire.part(error, "error").get("type")), 500), error
        else:
            return Result(name, None, undone(self._endpoint, type_ or "no result"))
        try:
            return Result(name, self._teacher.read(status, {**marks, **wire.part(result, "headers")}, wire.encode(body)), None)
        except TeacherFault as fault:
            return Result(name, None, per_request(fault))


def _job(payload: Mapping[str, Any]) -> Job:
    """Raises TeacherFault `transient` for a reply that is no batch: who knows what has been done."""
    id, word, counts = wire.word(payload.get("id")), wire.word(payload.get("processing_status")), wire.part(payload, "request_counts")
    if not id:
        raise TeacherFault("transient", f"a batch without an id: {str(dict(payload))[:200]}", status=200)
    sent = sum(wire.count(counts, name) for name in COUNTS)
    return Job(
        id=id,
        state="ended" if word in ENDED else "running",
        word=word,
        created=_seconds(wire.word(payload.get("created_at"))),
        requests=sent,
        done=sent - wire.count(counts, "processing"),
    )


def _seconds(moment: str) -> float:
    """Unix seconds of an RFC 3339 time; 0, which is older than anything, where it is none."""
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return 0.0
