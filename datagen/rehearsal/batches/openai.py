"""OpenAI's Batch API and the files that it reads and writes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from datagen.records import digest
from datagen.rehearsal.batches.jobs import ENDED, Desk, Job, Line, Outcome
from datagen.rehearsal.batches.pages import page_of
from datagen.rehearsal.batches.uploads import File, parts_of
from datagen.rehearsal.server.http import HttpReply, HttpRequest
from datagen.rehearsal.wires import WrongShape
from datagen.rehearsal.wires.errors import error_of
from datagen.rehearsal.wires.protocols import PROTOCOLS

MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000
MOST_ERRORS = 100
"""Errors of validation that are listed."""
DAY = 86_400
_ENDPOINTS = frozenset(path for path, protocol in PROTOCOLS.items() if protocol.wire == "openai")
_LEFT = {"expired": "This request could not be executed before the completion window expired.", "cancelled": "The batch was cancelled."}
_PURPOSES = frozenset({"assistants", "batch", "fine-tune", "vision", "user_data", "evals"})


def upload(desk: Desk, request: HttpRequest) -> HttpReply:
    """POST /v1/files."""
    parts = parts_of(request.body, request.headers.get("content-type", ""))
    purpose = parts["purpose"].content.decode("utf-8", "replace") if "purpose" in parts else ""
    if purpose not in _PURPOSES:
        raise WrongShape(f"purpose: must be one of {', '.join(sorted(_PURPOSES))}", param="purpose")
    if "file" not in parts:
        raise WrongShape("file: a file is required", param="file")
    given = parts["file"]
    if purpose == "batch" and len(given.content) > MOST_BYTES:
        raise WrongShape("File is too large.")
    return _json(_keep(desk, given.filename or "upload", purpose, given.content).told())


def _keep(desk: Desk, name: str, purpose: str, content: bytes) -> File:
    file = File(f"file-{digest([len(desk.files), name], size=11)}", name, purpose, content, int(time.time()))
    desk.files[file.id] = file
    return file


def file(desk: Desk, request: HttpRequest, id: str) -> HttpReply:
    """GET /v1/files/{id}."""
    return _json(_file(desk, id).told())


def content(desk: Desk, request: HttpRequest, id: str) -> HttpReply:
    """GET /v1/files/{id}/content."""
    return HttpReply(200, _file(desk, id).content, "application/octet-stream")


def _file(desk: Desk, id: str) -> File:
    found = desk.files.get(id)
    if found is None:
        raise WrongShape(f"No such File object: {id}", 404, param="id")
    return found


def create(desk: Desk, request: HttpRequest) -> HttpReply | None:
    """POST /v1/batches. None where the job was accepted and the reply is lost."""
    try:
        wanted = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise WrongShape(f"the body is not JSON: {error}") from None
    if not isinstance(wanted, dict):
        raise WrongShape("the body must be a JSON object")
    endpoint = wanted.get("endpoint")
    if endpoint not in _ENDPOINTS:
        raise WrongShape(f"Invalid value: {endpoint!r}. Supported values are: {', '.join(sorted(_ENDPOINTS))}.", param="endpoint")
    if wanted.get("completion_window") != "24h":
        raise WrongShape("Invalid value for completion_window. Supported values are: '24h'.", param="completion_window")
    source = _file(desk, str(wanted.get("input_file_id")))
    if source.purpose != "batch":
        raise WrongShape(f"File {source.id} has the purpose {source.purpose!r}, not 'batch'.", param="input_file_id")
    lines, errors = validated(source.content, endpoint)
    told = {"endpoint": endpoint, "input_file_id": source.id, "metadata": _metadata(wanted.get("metadata")), "model": _model(lines)}
    job = desk.accept("openai", PROTOCOLS[endpoint], lines, {}, told, errors)
    return None if job.fate.is_lost else _json(described(desk, job))


def _metadata(given: Any) -> dict[str, str] | None:
    """At most 16 pairs, names to 64 characters, values to 512."""
    if given is None:
        return None
    fits = isinstance(given, dict) and len(given) <= 16
    if not fits or not all(isinstance(value, str) and len(name) <= 64 and len(value) <= 512 for name, value in given.items()):
        raise WrongShape("metadata: at most 16 pairs, names of up to 64 and texts of up to 512 characters", param="metadata")
    return dict(given)


def _model(lines: Sequence[Line]) -> str | None:
    return next((line.request["model"] for line in lines if isinstance(line.request.get("model"), str)), None)


def validated(content: bytes, endpoint: str) -> tuple[list[Line], list[Mapping[str, Any]]]:
    """The requests of an input file, and what is wrong with it, in the provider's own codes."""
    lines: list[Line] = []
    errors: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    model: Any = None
    rows = [row for row in content.split(b"\n") if row.strip()]
    if len(rows) > MOST_REQUESTS:
        message = f"This batch holds {len(rows)} requests; at most {MOST_REQUESTS} are allowed."
        return [], [_error("too_many_tasks", message, None, None)]
    for number, row in enumerate(rows, 1):
        line = _line(row)
        if line is None:
            errors.append(_error("invalid_json_line", "This line is not parseable as valid JSON, or not a request.", number, None))
            continue
        custom_id, url, request = line
        if custom_id in seen:
            message = f"The custom_id {custom_id!r} is not unique in this batch."
            errors.append(_error("duplicate_custom_id", message, number, "custom_id"))
        if url != endpoint:
            errors.append(_error("url_mismatch", f"The url {url!r} is not the endpoint of the batch, {endpoint!r}.", number, "url"))
        model = model or request.get("model")
        if request.get("model") != model:
            message = f"The model {request.get('model')!r} is not that of the requests before it, {model!r}."
            errors.append(_error("model_mismatch", message, number, "body.model"))
        seen.add(custom_id)
        lines.append(Line(custom_id, request))
    if not rows:
        errors.append(_error("empty_file", "The input file is empty.", None, None))
    return lines, errors[:MOST_ERRORS]


def _line(row: bytes) -> tuple[str, str, dict[str, Any]] | None:
    """(custom id, url, body) of a line that is a request."""
    try:
        line = orjson.loads(row)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(line, dict) or line.get("method") != "POST":
        return None
    custom_id, url, body = line.get("custom_id"), line.get("url"), line.get("body")
    return (custom_id, url, body) if isinstance(custom_id, str) and custom_id and isinstance(url, str) and isinstance(body, dict) else None


def _error(code: str, message: str, line: int | None, param: str | None) -> Mapping[str, Any]:
    return {"code": code, "message": message, "line": line, "param": param}


def retrieve(desk: Desk, request: HttpRequest, id: str) -> HttpReply:
    """GET /v1/batches/{id}."""
    return _json(described(desk, _job(desk, id)))


def cancel(desk: Desk, request: HttpRequest, id: str) -> HttpReply:
    """POST /v1/batches/{id}/cancel."""
    job = _job(desk, id)
    if job.state in ENDED:
        raise WrongShape(f"Cannot cancel a batch with status '{job.state}'.")
    desk.cancel(job)
    return _json(described(desk, job))


def _job(desk: Desk, id: str) -> Job:
    job = desk.get("openai", id)
    if job is None:
        raise WrongShape(f"No batch found with id '{id}'.", 404)
    return job


def listing(desk: Desk, request: HttpRequest) -> HttpReply:
    """GET /v1/batches?limit=&after=: newest first."""
    page, more = page_of(desk.listed("openai"), request.params, 100)
    return _json(
        {
            "object": "list", "data": [described(desk, job) for job in page], "has_more": more,
            "first_id": page[0].id if page else None, "last_id": page[-1].id if page else None,
        }
    )  # fmt: skip


def described(desk: Desk, job: Job) -> dict[str, Any]:
    """A batch as the provider tells of it. Its files are there when it has ended."""
    outputs = _files(desk, job) if job.state in ENDED else {"output_file_id": None, "error_file_id": None}
    failed = job.state == "failed"
    errors = job.errors or [_error("token_limit_exceeded", "Enqueued token limit reached: simulated.", None, None)]
    done, tokens = job.count("succeeded"), job.tokens
    total = 0 if job.state in ("validating", "failed") else job.requests
    return {
        "id": job.id, "object": "batch", "completion_window": "24h", **job.told, "status": job.state,
        "errors": {"object": "list", "data": list(errors)} if failed else None, **outputs,
        "created_at": int(job.moments["created"]), "expires_at": int(job.moments["created"]) + DAY,
        **{f"{state}_at": int(job.moments[state]) if state in job.moments else None for state in _MOMENTS},
        "request_counts": {"total": total, "completed": done, "failed": len(job.outcomes) - done},
        "usage": {
            "input_tokens": tokens["input"], "input_tokens_details": {"cached_tokens": tokens["cached"]}, "output_tokens": tokens["output"],
            "output_tokens_details": {"reasoning_tokens": tokens["reasoning"]}, "total_tokens": tokens["input"] + tokens["output"],
        },
    }  # fmt: skip


_MOMENTS = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


def _files(desk: Desk, job: Job) -> dict[str, str | None]:
    """The ids of what a job wrote, each file only where there is something in it; written when first asked for."""
    good = [outcome for outcome in job.results if outcome.kind == "succeeded"]
    bad = [outcome for outcome in job.results if outcome.kind != "succeeded"]
    ids: dict[str, str | None] = {}
    for name, outcomes in (("output", good), ("error", bad)):
        id = f"file-{job.id.removeprefix('batch_')[:20]}-{name}"
        if outcomes and id not in desk.files:
            body = b"".join(_result(job, outcome) for outcome in outcomes)
            desk.files[id] = File(id, f"{job.id}_{name}.jsonl", "batch_output", body, int(time.time()))
        ids[f"{name}_file_id"] = id if outcomes else None
    return ids


def _result(job: Job, outcome: Outcome) -> bytes:
    """A line of the output or the error file."""
    name = digest([job.id, outcome.custom_id], size=12)
    response: dict[str, Any] = {"status_code": outcome.status, "request_id": name, "body": orjson.Fragment(outcome.body or b"null")}
    response |= outcome.headers
    if outcome.kind == "errored":
        response["body"] = error_of("openai", outcome.status, outcome.error)
    left = _LEFT.get(outcome.kind)
    error = {"code": f"batch_{outcome.kind}", "message": left} if left else None
    line = {"id": f"batch_req_{name}", "custom_id": outcome.custom_id, "response": None if left else response, "error": error}
    return orjson.dumps(line) + b"\n"


def _json(value: Any) -> HttpReply:
    return HttpReply(200, orjson.dumps(value))
