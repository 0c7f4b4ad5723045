"""Teachers with batch APIs, requests to ask them, and the books of the simulated provider, for tests of paid batches."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wire_server import chat, message

from datagen.asking.ask import Seat
from datagen.asking.batches.desk import Desk
from datagen.asking.prices import price_of
from datagen.asking.teachers import TEACHERS
from datagen.asking.teachers.base import Endpoint, Teacher
from datagen.records import Request
from datagen.spec.terms import Batch

KEY = "sk-proj-MARKED-0123456789abcdef"
PRICE = price_of("openai/any", {"input": 1, "output": 10})
MOST = 64
"""max_tokens of every request here."""


def endpoint(provider: str, url: str, **changes: Any) -> Endpoint:
    base = url if provider == "anthropic" else f"{url}/v1"
    return replace(Endpoint(provider, base, KEY, timeout=5.0, connections=4, simulated=False, native_schema=True), **changes)


def teacher(provider: str, url: str, **changes: Any) -> Teacher:
    made: Teacher = TEACHERS.get(provider)(endpoint(provider, url, **changes))
    return made


def desk(provider: str, teacher: Teacher, name: str = "writer", attempts: int = 3, patience: float = 5.0, **terms: Any) -> Desk:
    """Quick to look and quick to give up, unless told otherwise."""
    told = {"poll": 0.02, "settling": 0.3, **terms}
    return Desk(Seat(name, teacher, PRICE, attempts, True), provider, "test", "teacher-1", Batch(**told), patience)


def request(provider: str, number: int, **changes: Any) -> Request:
    return replace(Request(provider, "test", "teacher-1", (("user", f"What is {number} x 7?"),), {"max_tokens": MOST}), **changes)


def requests(provider: str, count: int, name: str = "writer") -> list[tuple[str, Request]]:
    return [(name, request(provider, number)) for number in range(count)]


def body(provider: str, text: str = "42", **more: Any) -> dict[str, Any]:
    """A good answer."""
    if provider == "anthropic":
        return message([{"type": "text", "text": text, "citations": None}], **more)
    return chat({"content": text}, **more)


def jobs(url: str) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """The simulated provider's books of batches: totals, and each job."""
    with urllib.request.urlopen(f"{url}/jobs") as reply:
        first, *rest = [json.loads(line) for line in reply.read().splitlines()]
    return first["totals"], rest


def paid(url: str) -> Mapping[str, int]:
    """Request key -> how often the simulated provider made an answer to it."""
    with urllib.request.urlopen(f"{url}/statement") as reply:
        lines = [json.loads(line) for line in reply.read().splitlines()][1:]
    return {line["key"]: line["count"] for line in lines}
