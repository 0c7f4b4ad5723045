"""One teacher against one scripted reply over loopback, with the real SDK; and never an API key in what could be kept or shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wire_server import Reply, Seen, WireServer, encoded, form_of, good

from datagen.asking.teachers import TEACHERS
from datagen.asking.teachers.base import Endpoint, Teacher
from datagen.errors import TeacherFault
from datagen.records import Request, Response

KEY = "sk-proj-MARKED-0123456789abcdef"
PROVIDERS = sorted(set(TEACHERS) - {"embeddings"})
"""Those that answer in words; see test_teachers_embeddings.py for the other."""
WIRES = ("anthropic", "openai", "responses")
PROMPT = (("system", "Be brief."), ("user", "What is 6 x 7?"))
ROOTS = {"openai": "/v1", "responses": "/v1", "embeddings": "/v1", "azure": "/openai"}
"""What follows the origin in the address that each SDK is given."""
WORDS: dict[str, dict[str, str]] = {
    "azure": {"azure_endpoint": "https://nobody.invalid", "api_version": "2025-04-01-preview"},
    "bedrock": {"aws_region": "us-east-1"},
    "vertex": {"project_id": "p-1", "region": "global"},
}


def request(provider: str, **changes: Any) -> Request:
    return replace(Request(provider, "", "teacher-1", PROMPT, {"max_tokens": 64}), **changes)


def endpoint(provider: str, url: str, **changes: Any) -> Endpoint:
    words = WORDS.get(provider, {})
    given = Endpoint(provider, url + ROOTS.get(provider, ""), KEY, timeout=5.0, connections=4, simulated=False, native_schema=True, client=words)
    return replace(given, **changes)


def teacher_of(endpoint: Endpoint) -> Any:
    return TEACHERS.get(endpoint.provider)(endpoint)


def ask(provider: str, reply: Reply, asked: Request | None = None, **changes: Any) -> tuple[Response | TeacherFault, Seen | None]:
    """What one request brings; an adapter sends it at most once."""

    async def go() -> tuple[Response | TeacherFault, Seen | None]:
        async with WireServer([reply]) as server:
            teacher: Teacher = teacher_of(endpoint(provider, server.url, **changes))
            try:
                result: Response | TeacherFault = await teacher.answer(asked or request(provider))
            except TeacherFault as fault:
                assert fault.__cause__ is None and fault.__context__ is None  # the SDK's exceptions carry the Authorization header
                result = fault
            finally:
                await teacher.close()
            assert len(server.seen) <= 1, "an adapter sent more than once"
            return result, server.seen[0] if server.seen else None

    result, seen = asyncio.run(go())
    kept = repr(result) + (f"{result} {result.body} {result.args}" if isinstance(result, TeacherFault) else "")
    assert KEY not in kept
    return result, seen


def answered(provider: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None, **changes: Any) -> Response:
    result, _ = ask(provider, Reply(encoded(body), headers=headers or {}), **changes)
    assert isinstance(result, Response), result
    return result


def fault(provider: str, reply: Reply, **changes: Any) -> TeacherFault:
    result, _ = ask(provider, reply, **changes)
    assert isinstance(result, TeacherFault), result
    return result


def sent(provider: str, asked: Request, **changes: Any) -> dict[str, Any]:
    """The body of a request as it arrived."""
    _, seen = ask(provider, Reply(encoded(good(form_of(provider)))), asked, **changes)
    assert seen is not None
    return json.loads(seen.body)  # type: ignore[no-any-return]
