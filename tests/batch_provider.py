"""A provider of paid batches on loopback that does what a test tells it, for both APIs; and its own book of what was handed in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from batching import body
from wire_server import Reply, Seen, WireServer, encoded

CREATED = 1_790_000_000
RESET = Reply(how="reset")
WORDS = {"expired", "canceled", "cancelled", "aborted", "paused"}
"""States that are told in the same word."""
Taking = Literal["takes", "takes silently", "drops"] | Reply
"""What becomes of a submission: taken; taken, and the reply lost; not taken, and the connection reset; or this reply."""


@dataclass
class Handed:
    """One job as it was handed in."""

    number: int
    names: list[str]
    tag: str
    state: str = "ended"
    """ended, running, bare (completed, and no word of results), a word of WORDS, or an error for which it fails validation."""
    bad: tuple[int, ...] = ()
    """Lines that its validation names."""
    hidden: int = 0
    """So many lists do not show it."""
    created: int = CREATED

    @property
    def id(self) -> str:
        return f"job_{self.number}"


@dataclass
class Provider:
    """`async with provider.server() as server`; every function may be replaced by a test's own."""

    wire: str
    taking: Callable[[int, list[str]], Taking] = lambda number, names: "takes"
    """By the number of the submission, from 0, and its custom ids."""
    made: Callable[[Handed], None] = lambda job: None
    """What a job that is taken is like."""
    results: Callable[[Handed, int], list[bytes] | Reply] | None = None
    """Lines of its results, by how often they were read before; default: a good answer to each."""
    jobs: list[Handed] = field(default_factory=list)
    submissions: list[list[str]] = field(default_factory=list)
    """Custom ids of every submission, taken or not."""
    read: dict[str, int] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    _files: dict[str, bytes] = field(default_factory=dict)

    def server(self) -> WireServer:
        return WireServer(self._reply)

    def good(self, name: str, text: str = "42") -> bytes:
        """A line with a good answer."""
        if self.wire == "openai":
            said: dict[str, Any] = {"response": {"status_code": 200, "request_id": "r", "body": body("openai", text)}, "error": None}
        else:
            said = {"result": {"type": "succeeded", "message": body("anthropic", text)}}
        return json.dumps({"custom_id": name, **said}).encode()

    def bad(self, name: str, status: int) -> bytes:
        """A line with an error."""
        kinds = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
        kind = kinds.get(status, "api_error")
        fault = {"type": "error", "error": {"type": kind, "message": "no"}}
        if self.wire == "openai":
            return json.dumps({"custom_id": name, "response": {"status_code": status, "request_id": "r", "body": fault}, "error": None}).encode()
        return json.dumps({"custom_id": name, "result": {"type": "errored", "error": fault}}).encode()

    def _reply(self, seen: Seen) -> Reply:
        self.seen.append(seen.path)
        path = seen.path.partition("?")[0]
        parts = path.strip("/").split("/")
        if path == "/v1/files":
            id = f"file_{len(self._files)}"
            self._files[id] = seen.body.split(b"\r\n\r\n")[-1].split(b"\r\n--")[0]
            return Reply(encoded({"id": id}))
        if path.endswith(("/content", "/results")):
            return self._results(parts[-2].removesuffix("_out"))
        if path not in ("/v1/batches", "/v1/messages/batches"):
            return self._told(next((job for job in self.jobs if job.id == parts[-1]), None))
        return self._submitted(seen) if seen.body else self._listed()

    def _submitted(self, seen: Seen) -> Reply:
        wanted = json.loads(seen.body)
        if self.wire == "openai":
            names = [json.loads(line)["custom_id"] for line in self._files[wanted["input_file_id"]].splitlines()]
        else:
            names = [line["custom_id"] for line in wanted["requests"]]
        taking = self.taking(len(self.submissions), names)
        self.submissions.append(names)
        if taking == "drops" or isinstance(taking, Reply):
            return taking if isinstance(taking, Reply) else RESET
        job = Handed(len(self.jobs), names, (wanted.get("metadata") or {}).get("datagen", ""), created=CREATED + len(self.jobs))
        self.made(job)
        self.jobs.append(job)
        return RESET if taking == "takes silently" else self._told(job)

    def _listed(self) -> Reply:
        shown = [job for job in reversed(self.jobs) if job.hidden <= 0]
        for job in self.jobs:
            job.hidden -= 1
        return Reply(encoded({"data": [self._as_told(job) for job in shown], "has_more": False}))

    def _told(self, job: Handed | None) -> Reply:
        return Reply(encoded(self._as_told(job))) if job else Reply(b"{}", 404)

    def _as_told(self, job: Handed) -> dict[str, Any]:
        count, ended = len(job.names), job.state in {"ended", *WORDS} - {"paused"}
        if self.wire == "anthropic":
            moment = datetime.fromtimestamp(job.created, UTC).isoformat()
            counts = {"processing": 0 if ended else count, "succeeded": count if ended else 0}
            word = job.state if job.state in WORDS - {"expired"} else "ended" if ended else "in_progress"
            return {"id": job.id, "processing_status": word, "created_at": moment, "request_counts": counts}
        status = {"ended": "completed", "bare": "completed", "running": "in_progress"}.get(job.state, job.state if job.state in WORDS else "failed")
        named: list[dict[str, Any]] = [{"line": line} for line in job.bad] or [{}]
        errors = {"data": [{"code": job.state, "message": "failed", **line} for line in named]} if status == "failed" else None
        files = {"output_file_id": f"{job.id}_out"} if ended else {}
        told = {"id": job.id, "status": status, "created_at": job.created, "metadata": {"datagen": job.tag}, "errors": errors, **files}
        return {**told, "request_counts": {"total": count, "completed": 0, "failed": 0}}

    def _results(self, id: str) -> Reply:
        job = next(job for job in self.jobs if job.id == id)
        number = self.read[id] = self.read.get(id, -1) + 1
        given = self.results(job, number) if self.results else [self.good(name) for name in job.names]
        return given if isinstance(given, Reply) else Reply(b"\n".join(given) + b"\n", headers={})
