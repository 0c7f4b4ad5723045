"""Anthropic's Message Batches."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import orjson

from datagen.rehearsal.batches.jobs import ENDED, Desk, Job, Line, Outcome
from datagen.rehearsal.batches.pages import page_of
from datagen.rehearsal.server.http import HttpReply, HttpRequest
from datagen.rehearsal.wires import WrongShape
from datagen.rehearsal.wires.errors import error_of
from datagen.rehearsal.wires.protocols import PROTOCOLS

MOST_REQUESTS = 100_000
MOST_BYTES = 256 << 20
DAY = 86_400
CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_KINDS = {"succeeded": "succeeded", "errored": "errored", "cancelled": "canceled", "expired": "expired"}


def create(desk: Desk, request: HttpRequest) -> HttpReply | None:
    """POST /v1/messages/batches. None where the job was accepted and the reply is lost."""
    try:
        wanted = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise WrongShape(f"the body is not JSON: {error}") from None
    version = request.headers.get("anthropic-version")
    if not version:
        raise WrongShape("anthropic-version: header is required")
    lines = submitted(wanted.get("requests") if isinstance(wanted, dict) else None)
    job = desk.accept("anthropic", PROTOCOLS["/v1/messages"], lines, {"anthropic-version": version}, {})
    return None if job.fate.is_lost else _json(described(job, request))


def submitted(requests: Any) -> list[Line]:
    """The requests of a submission. What is wrong with one of them as a message is found later, when it is worked on, and is its own error."""
    if not isinstance(requests, list) or not requests:
        raise WrongShape("requests: at least one request is required")
    if len(requests) > MOST_REQUESTS:
        raise WrongShape(f"requests: List should have at most {MOST_REQUESTS} items after validation, not {len(requests)}")
    lines: list[Line] = []
    seen: set[str] = set()
    for index, request in enumerate(requests):
        custom_id = request.get("custom_id") if isinstance(request, dict) else None
        if not isinstance(custom_id, str) or not CUSTOM_ID.fullmatch(custom_id):
            raise WrongShape(f"requests.{index}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
        if not isinstance(request.get("params"), dict):
            raise WrongShape(f"requests.{index}.params: Field required")
        if custom_id in seen:
            raise WrongShape(f"requests.{index}.custom_id: custom_ids must be unique within a batch; {custom_id!r} is not")
        seen.add(custom_id)
        lines.append(Line(custom_id, request["params"]))
    return lines


def retrieve(desk: Desk, request: HttpRequest, id: str) -> HttpReply:
    """GET /v1/messages/batches/{id}."""
    return _json(described(_job(desk, id), request))


def cancel(desk: Desk, request: HttpRequest, id: str) -> HttpReply:
    """POST /v1/messages/batches/{id}/cancel. One that has ended stays as it is."""
    job = _job(desk, id)
    desk.cancel(job)
    return _json(described(job, request))


def results(desk: Desk, request: HttpRequest, id: str) -> HttpReply:
    """GET /v1/messages/batches/{id}/results."""
    job = _job(desk, id)
    if job.state not in ENDED:
        raise WrongShape(f"The results of the Message Batch {id} are not available yet: it is still being processed.", 404)
    return HttpReply(200, b"".join(_result(outcome) for outcome in job.results), "application/x-jsonl")


def _job(desk: Desk, id: str) -> Job:
    job = desk.get("anthropic", id)
    if job is None:
        raise WrongShape(f"Message Batch {id} not found.", 404)
    return job


def listing(desk: Desk, request: HttpRequest) -> HttpReply:
    """GET /v1/messages/batches?limit=&after_id=&before_id=: newest first."""
    page, more = page_of(desk.listed("anthropic"), request.params, 1000)
    return _json(
        {
            "data": [described(job, request) for job in page], "has_more": more,
            "first_id": page[0].id if page else None, "last_id": page[-1].id if page else None,
        }
    )  # fmt: skip


def described(job: Job, request: HttpRequest) -> dict[str, Any]:
    """A batch as the provider tells of it: all counts but `processing` stay at zero until it has ended."""
    ended = job.state in ENDED
    created = job.moments["created"]
    counts = {told: job.count(kind) if ended else 0 for kind, told in _KINDS.items()}
    url = f"http://{request.headers.get('host', '127.0.0.1')}/v1/messages/batches/{job.id}/results"
    return {
        "id": job.id, "type": "message_batch", "processing_status": "ended" if ended else "canceling" if job.cancelling.is_set() else "in_progress",
        "request_counts": {"processing": 0 if ended else job.requests, **counts},
        "created_at": _moment(created), "expires_at": _moment(created + DAY), "ended_at": _moment(job.moments[job.state]) if ended else None,
        "cancel_initiated_at": _moment(job.moments["cancelling"]) if "cancelling" in job.moments else None, "archived_at": None,
        "results_url": url if ended else None,
    }  # fmt: skip


def _result(outcome: Outcome) -> bytes:
    result: dict[str, Any] = {"type": _KINDS[outcome.kind], **outcome.headers}
    if outcome.kind == "succeeded":
        result["message"] = orjson.Fragment(outcome.body)
    elif outcome.kind == "errored":
        result["error"] = error_of("anthropic", outcome.status, outcome.error)
    return orjson.dumps({"custom_id": outcome.custom_id, "result": result}) + b"\n"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _json(value: Any) -> HttpReply:
    return HttpReply(200, orjson.dumps(value))
