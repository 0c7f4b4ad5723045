"""The simulator's bodies against the SDKs' own types, and its errors against the SDKs' own exceptions."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import anthropic
import anthropic.types
import anthropic.types.messages
import httpx2
import openai
import openai.types.chat
import openai.types.responses
import pytest
from pydantic import BaseModel

from datagen.rehearsal.companion import companion
from datagen.rehearsal.settings import Settings
from datagen.spec.models import SimulatedBatches

Model = TypeVar("Model", bound=BaseModel)
SIGNED = {"authorization": "Bearer k", "anthropic-version": "2026-10-21"}
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
    sent = SIGNED if headers is None else headers
    with httpx2.Client(base_url=url) as client:
        return client.post(path, headers=sent, content=content) if content is not None else client.post(path, headers=sent, json=body)


def strictly(kind: type[Model], reply: httpx2.Response) -> Model:
    """The reply as the SDK's type, with nothing in it that the type does not know."""
    assert reply.status_code == 200, reply.text
    parsed = kind.model_validate_json(reply.content, strict=True)
    assert list(unknown_fields(parsed)) == []
    return parsed


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
RESPONSES: dict[str, dict[str, Any]] = {
    "plain": {},
    "instructions": {"instructions": "Be short.", "metadata": {"a": "b"}, "store": False, "prompt_cache_key": "k"},
    "reasoning": {"reasoning": {"effort": "high"}},
    "summary": {"reasoning": {"effort": "high", "summary": "auto"}},
    "logprobs": {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    "schema": {"text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True}}},
    "cut": {"max_output_tokens": 16},
    "messages": {"input": [{"role": "developer", "content": "Be short."}, {"role": "user", "content": [{"type": "input_text", "text": "Sets"}]}]},
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


@pytest.mark.parametrize("name", sorted(RESPONSES))
def test_responses_validate_strictly(url: str, refusing: str, name: str) -> None:
    wanted = {"model": "m", "input": "Topic: fractions", **RESPONSES[name]}
    for server in (url, refusing):
        reply = post(server, "/v1/responses", wanted)
        assert reply.status_code == 200
        parsed = openai.types.responses.Response.model_validate_json(reply.content, strict=True)
        assert list(unknown_fields(parsed)) == []
        assert parsed.usage and parsed.usage.total_tokens == parsed.usage.input_tokens + parsed.usage.output_tokens
        kinds = [item.type for item in parsed.output]
        assert kinds == (["reasoning", "message"] if "reasoning" in wanted else ["message"])
        assert (parsed.status, bool(parsed.incomplete_details)) == (("incomplete", True) if name == "cut" else ("completed", False))


def test_responses_give_summaries_and_log_probabilities_only_where_they_are_asked_for(url: str, refusing: str) -> None:
    async def run() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as client:

            async def made(name: str) -> openai.types.responses.Response:
                response: openai.types.responses.Response = await client.responses.create(
                    model="m", **{"input": "Topic: fractions", **RESPONSES[name]}
                )
                return response

            (silent_item, _), (told, _) = [(await made(name)).output for name in ("reasoning", "summary")]
            assert silent_item.type == told.type == "reasoning"
            assert silent_item.summary == [] and len(told.summary[0].text) > 50
            for name, wanted in (("plain", 0), ("logprobs", 2)):
                part = (await made(name)).output[0]
                assert part.type == "message" and part.content[0].type == "output_text"
                places = part.content[0].logprobs or []
                assert "".join(place.token for place in places) == (part.content[0].text if wanted else "")
                assert all(len(place.top_logprobs) == wanted for place in places)
            read = await made("instructions")
            assert (read.instructions, read.metadata, read.prompt_cache_key) == ("Be short.", {"a": "b"}, "k")
        async with openai.AsyncOpenAI(api_key="k", base_url=f"{refusing}/v1", max_retries=0) as client:
            refused = (await client.responses.create(model="m", input="Topic: sets", text=RESPONSES["schema"]["text"])).output[0]
            assert refused.type == "message" and refused.content[0].type == "refusal" and refused.content[0].refusal

    asyncio.run(run())


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_messages_validate_strictly(url: str, refusing: str, name: str) -> None:
    for server in (url, refusing):
        reply = post(server, "/v1/messages", {"max_tokens": 4000, **SAID, **MESSAGES[name]})
        assert reply.status_code == 200
        parsed = anthropic.types.Message.model_validate_json(reply.content, strict=True)
        assert list(unknown_fields(parsed)) == []
        assert parsed.usage.output_tokens > 0
        assert parsed.stop_reason in ("end_turn", "max_tokens", "stop_sequence", "refusal")


def test_batches_and_files_validate_strictly() -> None:
    """In every state that a job passes through."""
    seen: set[str] = set()
    plan = SimulatedBatches(seconds=0.3, validation=0.1, errors=0.3)
    with companion(Settings(batches=plan), Path(__file__).parent) as address, httpx2.Client(base_url=address, headers=SIGNED) as client:
        lines = [{"custom_id": str(i), "method": "POST", "url": "/v1/chat/completions", "body": SAID} for i in range(20)]
        content = "\n".join(json.dumps(line) for line in lines).encode()
        uploaded = client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", content)})
        file = strictly(openai.types.FileObject, uploaded)
        wanted = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        batch = strictly(openai.types.Batch, client.post("/v1/batches", json=wanted))
        params = {"max_tokens": 9, **SAID}
        requests = [{"custom_id": str(i), "params": params} for i in range(20)]
        message_batch = strictly(anthropic.types.messages.MessageBatch, client.post("/v1/messages/batches", json={"requests": requests}))
        while batch.status != "completed" or message_batch.processing_status != "ended":
            batch = strictly(openai.types.Batch, client.get(f"/v1/batches/{batch.id}"))
            message_batch = strictly(anthropic.types.messages.MessageBatch, client.get(f"/v1/messages/batches/{message_batch.id}"))
            seen |= {batch.status, message_batch.processing_status}
        for id in (batch.input_file_id, batch.output_file_id, batch.error_file_id):
            strictly(openai.types.FileObject, client.get(f"/v1/files/{id}"))
        assert client.get(f"/v1/files/{file.id}/content").content == content
        results = client.get(str(message_batch.results_url)).content.splitlines()
    assert seen == {"validating", "in_progress", "finalizing", "completed", "ended"}
    parsed = [anthropic.types.messages.MessageBatchIndividualResponse.model_validate_json(line, strict=True) for line in results]
    assert [list(unknown_fields(one)) for one in parsed] == [[]] * 20 and {one.result.type for one in parsed} == {"succeeded", "errored"}


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
        ({"top_logprobs": 3}, "logprobs must be true"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
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
        ({"stop": ["x"]}, "Unknown parameter: 'stop'"),
        ({"messages": []}, "Unknown parameter: 'messages'"),
        ({"max_output_tokens": 15}, "max_output_tokens"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"input": []}, "input"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input.0.role"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format"),
        ({"reasoning": "high"}, "reasoning"),
    ],
)
def test_wrong_responses_requests_are_bad_requests(url: str, more: dict[str, Any], words: str) -> None:
    reply = post(url, "/v1/responses", {"model": "m", "input": "x", **more})
    assert reply.status_code == 400 and words in reply.json()["error"]["message"]


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
    assert post(url, "/v1/moderations", SAID, headers={"authorization": "Bearer k"}).json()["error"]["code"] == "unknown_url"
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
                await one.moderations.create(model="m", input="x")
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
