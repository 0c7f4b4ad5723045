"""OpenAI's batch API, and Azure's: a file of requests in, a file of answers and one of errors out, at half the price."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from datagen.asking.teachers import wire
from datagen.asking.teachers.base import Job, JobState, Result, custom_id
from datagen.asking.teachers.batch_wire import NO_REDIRECT, Reader, Sheaf, custom_id_of, listed, parsed, payload_of, per_request, streamed, undone
from datagen.errors import TeacherFault
from datagen.records import Request

WINDOW = "24h"
"""The only completion window there is."""
TAG = "datagen"
"""The word of a job's metadata under which our tag stands."""
URLS = {"openai": "/v1/chat/completions", "responses": "/v1/responses", "embeddings": "/v1/embeddings", "azure": "/chat/completions"}
"""Where each request of a job goes, by provider."""
UNSAID = 200
"""The status of a line that has none: its body tells an answer from an error."""
STATES: dict[str, JobState] = {
    "validating": "validating",
    "failed": "failed",
    "completed": "ended",
    "expired": "ended",
    "cancelled": "ended",
    "canceled": "ended",
    "aborted": "ended",
}
"""Others (in_progress, finalizing, cancelling, and what may come): running."""


class OpenAIBatches:
    """Over the client of the online adapter, which also gives a request its form and an answer its reading."""

    tags = True
    most = (50_000, 200_000_000)

    def __init__(self, client: Any, teacher: Reader) -> None:
        """`client`: an AsyncOpenAI or AsyncAzureOpenAI."""
        self._client = client
        self._teacher = teacher
        self._endpoint = teacher.endpoint
        self._url = URLS[teacher.endpoint.provider]
        self._reply_type = wire.reply_type()

    def line(self, request: Request) -> bytes:
        body = self._teacher.body(request)
        return wire.encode({"custom_id": custom_id(request.key, request.sample), "method": "POST", "url": self._url, "body": body}) + b"\n"

    async def submit(self, lines: Sequence[bytes], tag: str) -> Job:
        """Two calls: the file, then the job over it."""
        file = await self._upload(lines, tag)
        body = {"input_file_id": file, "endpoint": self._url, "completion_window": WINDOW, "metadata": {TAG: tag}}
        return _job(await payload_of(self._endpoint, self._client.post("/batches", body=body, cast_to=self._reply_type, options=NO_REDIRECT)))

    async def job(self, id: str) -> Job:
        return _job(
            await payload_of(self._endpoint, self._client.get(f"/batches/{quote(id, safe='')}", cast_to=self._reply_type, options=NO_REDIRECT))
        )

    async def jobs(self, since: float) -> list[Job]:
        return await listed(self._page, "after", _job, since)

    async def results(self, job: Job) -> AsyncGenerator[Result]:
        """The answers first and the errors after them: of two results to one request an answer is the one that is kept."""
        for file in job.files:
            call = self._client.get(
                f"/files/{quote(file, safe='')}/content", cast_to=self._reply_type, options=NO_REDIRECT, stream=True, stream_cls=object
            )
            async with aclosing(streamed(self._endpoint, call)) as lines:
                async for line, marks in lines:
                    yield self._result(line, marks)

    async def cancel(self, id: str) -> None:
        await payload_of(self._endpoint, self._client.post(f"/batches/{quote(id, safe='')}/cancel", cast_to=self._reply_type, options=NO_REDIRECT))

    async def _upload(self, lines: Sequence[bytes], tag: str) -> str:
        """The id of the uploaded file. A fault `transient` becomes `unreachable`: no job came of it, so it may simply be sent again."""
        sheaf = Sheaf(lines)
        call = self._client.post(
            "/files",
            body={"purpose": "batch"},
            files=[("file", (f"{tag}.jsonl", sheaf, "application/jsonl"))],
            cast_to=self._reply_type,
            options={**NO_REDIRECT, "headers": {"Content-Type": "multipart/form-data"}},
        )
        try:
            payload = await payload_of(self._endpoint, call, sheaf.size)
            return _id(payload, "file")
        except TeacherFault as fault:
            if fault.kind != "transient":
                raise
            lost = TeacherFault("unreachable", str(fault), status=fault.status, body=fault.body)
        raise lost

    def _page(self, params: dict[str, str]) -> Awaitable[Mapping[str, Any]]:
        return payload_of(self._endpoint, self._client.get("/batches", cast_to=self._reply_type, options={**NO_REDIRECT, "params": params}))

    def _result(self, line: bytes, marks: Mapping[str, str]) -> Result:
        """One line of either file. What cannot be read has no custom id."""
        said = parsed(line) or {}
        name, reply, error = custom_id_of(self._endpoint, said), wire.part(said, "response"), wire.part(said, "error")
        if not reply:
            why = wire.word(error.get("message")) or wire.word(error.get("code")) or "no response and no error"
            return Result(name, None, undone(self._endpoint, why))
        told = {**marks, **wire.part(reply, "headers"), "x-request-id": wire.word(reply.get("request_id"))}
        try:
            status = wire.count(reply, "status_code") or UNSAID
            return Result(name, self._teacher.read(status, told, wire.encode(wire.part(reply, "body"))), None)
        except TeacherFault as fault:
            return Result(name, None, per_request(fault))


def _id(payload: Mapping[str, Any], what: str) -> str:
    """Raises TeacherFault `transient` for a reply that is not what was asked for: who knows what has been done."""
    id = wire.word(payload.get("id"))
    if not id:
        raise TeacherFault("transient", f"a {what} without an id: {str(dict(payload))[:200]}", status=200)
    return id


def _job(payload: Mapping[str, Any]) -> Job:
    counts, word = wire.part(payload, "request_counts"), wire.word(payload.get("status"))
    said = wire.parts(wire.part(payload, "errors").get("data"))
    errors = [f"{wire.word(error.get('code'))}: {wire.word(error.get('message'))}" for error in said]
    files = tuple(filter(None, (wire.word(payload.get("output_file_id")), wire.word(payload.get("error_file_id")))))
    return Job(
        id=_id(payload, "batch"),
        state="running" if word == "completed" and not files else STATES.get(word, "running"),  # the files may be named a moment later
        word=word,
        created=float(wire.count(payload, "created_at")),
        requests=wire.count(counts, "total"),
        tag=wire.word(wire.part(payload, "metadata").get(TAG)),
        done=wire.count(counts, "completed") + wire.count(counts, "failed"),
        error="; ".join(errors[:3]),
        bad=tuple(line for error in said if (line := wire.count(error, "line"))),
        files=files,
    )
