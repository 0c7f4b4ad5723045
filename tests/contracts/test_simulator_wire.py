"""The simulator's bodies against the SDKs' own types, and its errors against the SDKs' own exceptions."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import anthropic.types
import httpx2
import openai
import openai.types.chat
import pytest
from pydantic import BaseModel

from datagen.rehearsal.companion import companion
from datagen.rehearsal.settings import Settings

KNOWN_EXTRAS = {"reasoning_content"}
"""Fields that compatible servers add and OpenAI's own types lack."""
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}, "summary": {"type": "string"}}, "required": ["text", "summary"]}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with companion(Settings(), Path(__file__).parent) as address:
        yield address


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    with companion(Settings(defects={"refusal": 1.0}), Path(__file__).parent) as address:
        yield address


def post(url: str, path: str, body: Any, headers: dict[str, str] | None = None, content: bytes | None = None) -> httpx2.Response:
    sent = {"authorization": "Bearer k", "anthropic-version": "2026-10-21"} if headers is None else headers
    with httpx2.Client(base_url=url) as client:
        return client.post(path, headers=sent, content=content) if content is not None else client.post(path, headers=sent, json=body)


def unknown_fields(value: Any, where: str = "") -> Iterator[str]:
    """Names that the SDK's own types do not have, at any depth."""
    if isinstance(value, BaseModel):
        yield from (f"{where}.{name}" for name in (value.model_extra or {}) if name not in KNOWN_EXTRAS)
        for name in type(value).model_fields:
            yield from unknown_fields(getattr(value, name), f"{where}.{name}")
    elif isinstance(value, list):
        yield from itertools.chain.from_iterable(unknown_fields(item, where) for item in value)


CHAT: dict[str, dict[str, Any]] = {
    "plain": {},
    "reasoning": {"reasoning_effort": "high"},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "schema": {"response_format": JSON_SCHEMA},
    "cut": {"max_completion_tokens": 5},
    "stop": {"stop": ["."]},
    "parts": {"messages": [{"role": "developer", "content": "Be short."}, {"role": "user", "content": [{"type": "text", "text": "Topic: sets"}]}]},
}
MESSAGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "thinking": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "no thinking": {"thinking": {"type": "disabled"}},
    "schema": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "cut": {"max_tokens": 5},
    "stop": {"stop_sequences": ["."]},
    "blocks": {
        "system": [{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Topic: sets"}]}],
    },
}
SAID = {"model": "m", "messages": [{"role": "user", "content": "Topic: fractions"}]}


@pytest.mark.parametrize("name", sorted(CHAT))
def test_chat_completions_validate_strictly(url: str, refusing: str, name: str) -> None:
    for server in (url, refusing):
        reply = post(server, "/v1/chat/completions", SAID | CHAT[name])
        assert reply.status_code == 200
        parsed = openai.types.chat.ChatCompletion.model_validate_json(reply.content, strict=True)
        assert list(unknown_fields(parsed)) == []
        assert parsed.usage and parsed.usage.total_tokens == parsed.usage.prompt_tokens + parsed.usage.completion_tokens
        message = parsed.choices[0].message
        assert (message.content is None) == (message.refusal is not None)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_messages_validate_strictly(url: str, refusing: str, name: str) -> None:
    for server in (url, refusing):
        reply = post(server, "/v1/messages", {"max_tokens": 4000, **SAID, **MESSAGES[name]})
        assert reply.status_code == 200
        parsed = anthropic.types.Message.model_validate_json(reply.content, strict=True)
        assert list(unknown_fields(parsed)) == []
        assert parsed.usage.output_tokens > 0
        assert parsed.stop_reason in ("end_turn", "max_tokens", "stop_sequence", "refusal")


def test_headers_carry_request_ids_and_limits(url: str) -> None:
    one = post(url, "/v1/chat/completions", SAID).headers
    two = post(url, "/v1/messages", {"max_tokens": 9, **SAID}).headers
    assert one["x-request-id"].startswith("req_") and two["request-id"].startswith("req_")
    assert int(one["x-ratelimit-remaining-requests"]) > 0 and one["x-ratelimit-reset-tokens"]
    assert int(two["anthropic-ratelimit-output-tokens-remaining"]) > 0 and two["anthropic-ratelimit-requests-reset"].endswith("Z")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "role"),
        ({"messages": [{"role": "user", "content": 7}]}, "content"),
        ({"model": ""}, "model"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 2}, "n:"),
        ({"stream": True}, "stream"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
    ],
)
def test_wrong_chat_requests_are_bad_requests(url: str, more: dict[str, Any], words: str) -> None:
    if more == {"max_tokens": 0}:
        more = {"max_tokens": -1}
    reply = post(url, "/v1/chat/completions", SAID | more)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert words in error["message"] and set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 9, "temperature": 1.0}, "temperature"),
        ({"max_tokens": 9, "messages": [{"role": "system", "content": "x"}]}, "role"),
        ({"max_tokens": 9, "thinking": {"type": "enabled", "budget_tokens": 9}}, "budget_tokens"),
        ({"max_tokens": 9, "thinking": {"type": "yes"}}, "thinking.type"),
        ({"max_tokens": 9, "output_config": {"format": {"type": "xml"}}}, "output_config.format"),
    ],
)
def test_wrong_messages_requests_are_bad_requests(url: str, more: dict[str, Any], words: str) -> None:
    reply = post(url, "/v1/messages", SAID | more)
    assert reply.status_code == 400
    body = reply.json()
    assert body["type"] == "error" and body["error"]["type"] == "invalid_request_error" and words in body["error"]["message"]


def test_other_wrong_requests_are_answered_in_kind(url: str) -> None:
    assert post(url, "/v1/chat/completions", None, content=b"{half").status_code == 400
    assert post(url, "/v1/chat/completions", [1]).status_code == 400
    assert post(url, "/v1/chat/completions", SAID, headers={}).status_code == 401
    assert post(url, "/v1/messages", {"max_tokens": 9, **SAID}, headers={"x-api-key": "k"}).json()["error"]["message"].startswith("anthropic-version")
    assert post(url, "/v1/embeddings", SAID, headers={"authorization": "Bearer k"}).json()["error"]["code"] == "unknown_url"
    assert post(url, "/settings", {}).status_code == 405
    older = {"authorization": "Bearer k", "anthropic-version": "2023-06-01"}
    assert post(url, "/v1/messages", {"max_tokens": 9, "temperature": 1.0, **SAID}, headers=older).status_code == 200


def test_error_bodies_become_the_sdk_s_own_exceptions(url: str) -> None:
    async def chat(client: openai.AsyncOpenAI, **more: Any) -> None:
        await client.chat.completions.create(**{**SAID, **more})

    async def run() -> None:
        async with (
            openai.AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as one,
            anthropic.AsyncAnthropic(api_key="k", base_url=url, max_retries=0) as two,
        ):
            with pytest.raises(openai.BadRequestError) as wrong:
                await chat(one, messages=[])
            assert (wrong.value.type, wrong.value.param) == ("invalid_request_error", "messages")
            with pytest.raises(openai.NotFoundError):
                await one.embeddings.create(model="m", input="x")
            with pytest.raises(anthropic.BadRequestError) as refused:
                await two.messages.create(max_tokens=9, model="m", messages=[{"role": "user", "content": "x"}], extra_body={"top_k": 5})
            assert refused.value.type == "invalid_request_error"
            with pytest.raises(anthropic.NotFoundError):
                await two.messages.count_tokens(model="m", messages=[{"role": "user", "content": "x"}])

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fault", "status", "code", "kind"),
    [
        ("rate_limited", 429, "rate_limit_exceeded", "rate_limit_error"),
        ("error", 500, None, "api_error"),
        ("overloaded", 529, "overloaded", "overloaded_error"),
    ],
)
def test_faults_carry_the_provider_s_own_words(fault: str, status: int, code: str | None, kind: str) -> None:
    with companion(Settings(faults={fault: 1.0}), Path(__file__).parent) as address:
        one = post(address, "/v1/chat/completions", SAID)
        two = post(address, "/v1/messages", {"max_tokens": 9, **SAID})
    assert two.status_code == status and two.json()["error"]["type"] == kind and two.json()["type"] == "error"
    assert one.status_code == (503 if fault == "overloaded" else status) and one.json()["error"]["code"] == code
    assert ("retry-after" in one.headers) == ("retry-after" in two.headers) == (fault == "rate_limited")
