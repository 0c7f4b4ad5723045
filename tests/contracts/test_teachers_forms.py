"""What is sent: the body of a request on each wire, its schema, what is marked for the cache; and what is counted of the answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_teacher import WIRES, answered, ask, endpoint, request, sent, teacher_of
from wire_server import Reply, chat, encoded, message, response, spoken, tokens

from datagen.asking.teachers.anthropic import CACHED_FROM
from datagen.records import Response, Usage

SCHEMA = {"type": "object", "properties": {"score": {"type": "integer"}, "why": {"type": "object", "properties": {"a": {"type": "string"}}}}}
WHY = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
STRICT = {
    "type": "object",
    "properties": {"score": {"type": "integer"}, "why": WHY},
    "required": ["score", "why"],
    "additionalProperties": False,
}
TWO_SYSTEMS = (("system", "A."), ("system", "Be brief."), ("user", "What is 6 x 7?"))


def test_the_chat_body() -> None:
    asked = request("openai", params={"max_tokens": 64, "temperature": 0.5}, schema=SCHEMA, head=9)
    body = sent("openai", asked)
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 6 x 7?"}]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("teacher-1", 64, 0.5) and "n" not in body
    assert body["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": STRICT, "strict": True}}
    assert "prompt_cache_key" not in body  # a compatible server may refuse it
    assert "response_format" not in sent("openai", asked, native_schema=False)


def test_openai_itself_takes_the_new_word() -> None:
    teacher = teacher_of(endpoint("openai", "", base_url=None))
    body = teacher.body(request("openai"))
    assert body["max_completion_tokens"] == 64 and "max_tokens" not in body
    asyncio.run(teacher.close())
    assert sent("azure", request("azure"))["max_completion_tokens"] == 64
    behind_a_gateway = sent("openai", request("openai", model="gpt-5-mini"))
    assert behind_a_gateway["max_completion_tokens"] == 64 and "max_tokens" not in behind_a_gateway


def test_the_response_body() -> None:
    params = {"max_tokens": 64, "reasoning": {"effort": "low", "summary": "auto"}, "text": {"verbosity": "low"}}
    body = sent("responses", request("responses", params=params, schema=SCHEMA, messages=TWO_SYSTEMS))
    assert body["input"] == [{"role": "user", "content": "What is 6 x 7?"}] and body["instructions"] == "A.\n\nBe brief."
    assert (body["max_output_tokens"], body["reasoning"], body["store"]) == (64, params["reasoning"], False) and "max_tokens" not in body
    assert body["text"] == {"verbosity": "low", "format": {"type": "json_schema", "name": "answer", "schema": STRICT, "strict": True}}
    plain = sent("responses", request("responses", params={"max_tokens": 64, "store": True}, schema=SCHEMA), native_schema=False)
    assert plain["store"] is True and "text" not in plain


def test_the_message_body() -> None:
    params = {"max_tokens": 64_000, "thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}
    body = sent("anthropic", request("anthropic", params=params, schema=SCHEMA, messages=TWO_SYSTEMS))
    assert body["system"] == "A.\n\nBe brief." and body["messages"] == [{"role": "user", "content": "What is 6 x 7?"}]
    assert body["max_tokens"] == 64_000 and body["thinking"] == {"type": "adaptive"} and body["output_config"]["effort"] == "low"
    form = body["output_config"]["format"]
    assert form["type"] == "json_schema" and form["schema"]["additionalProperties"] is False
    assert "format" not in sent("anthropic", request("anthropic", params=params, schema=SCHEMA), native_schema=False)["output_config"]


@pytest.mark.parametrize("provider", ["bedrock", "vertex"])
def test_a_clouds_body_says_the_version_in_place_of_the_model(provider: str) -> None:
    body = sent(provider, request(provider, schema=SCHEMA))
    assert body["messages"] == [{"role": "user", "content": "What is 6 x 7?"}] and body["output_config"]["format"]["type"] == "json_schema"
    assert "model" not in body and body["anthropic_version"]


@pytest.mark.parametrize("provider", WIRES)
def test_a_schema_is_formed_once_and_none_is_taken_for_another(provider: str) -> None:
    teacher = teacher_of(endpoint(provider, "http://x"))
    bodies = []
    for number in range(200):  # each is gone before the next is made, so their addresses in memory repeat
        schema = {"type": "object", "properties": {f"f{number}": {"type": "string"}}}
        bodies.append((number, teacher.body(request(provider, schema=schema))))
    assert all(f"'f{number}'" in str(body) for number, body in bodies)
    asyncio.run(teacher.close())


USAGES = [
    ("openai", tokens(100, 50, 150, prompt_tokens_details={"cached_tokens": 60, "cache_write_tokens": 20},
                      completion_tokens_details={"reasoning_tokens": 30}), Usage(100, 50, 60, 20, 30)),
    ("openai", tokens(100, 50, 150, prompt_tokens_details=None, completion_tokens_details={"reasoning_tokens": None}), Usage(100, 50)),
    ("openai", tokens(100, 50, 150, prompt_cache_hit_tokens=60, prompt_cache_miss_tokens=40), Usage(100, 50, 60)),  # DeepSeek
    ("openai", tokens(100, 10, 150, completion_tokens_details={"reasoning_tokens": 40}), Usage(100, 50, 0, 0, 40)),  # xAI: reasoning is extra
    ("responses", {"input_tokens": 100, "output_tokens": 50, "total_tokens": 150, "output_tokens_details": {"reasoning_tokens": 30},
                   "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 20}}, Usage(100, 50, 60, 20, 30)),
    ("anthropic", {"input_tokens": 20, "output_tokens": 50, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 20,
                   "output_tokens_details": {"thinking_tokens": 30}}, Usage(100, 50, 60, 20, 30)),
    ("anthropic", {"input_tokens": 20, "output_tokens": 5, "cache_read_input_tokens": None, "cache_creation_input_tokens": None}, Usage(20, 5)),
    ("anthropic", {"input_tokens": 20, "output_tokens": 5, "cache_creation_input_tokens": 30,
                   "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}}, Usage(50, 5, 0, 30, 0, 20)),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "usage", "expected"), USAGES)
def test_usage_means_the_same_everywhere(provider: str, usage: dict[str, Any], expected: Usage) -> None:
    body = {"openai": chat, "responses": response, "anthropic": message}[provider](usage=usage)
    assert answered(provider, body).usage == expected


def test_logprobs_are_kept() -> None:
    top = [{"token": "42", "logprob": -0.1, "bytes": [52, 50]}, {"token": "41", "logprob": -2.5, "bytes": None}]
    body = chat(logprobs={"content": [{"token": "42", "logprob": -0.1, "bytes": [52, 50], "top_logprobs": top}], "refusal": None})
    expected = {"token": "42", "logprob": -0.1, "top": [{"token": "42", "logprob": -0.1}, {"token": "41", "logprob": -2.5}]}
    assert answered("openai", body).logprobs == [expected]
    raw = encoded(body).replace(b"-2.5", b"-Infinity")  # vLLM's word for a token out of reach, which no ledger can hold
    result, _ = ask("openai", Reply(raw))
    assert isinstance(result, Response) and result.logprobs and result.logprobs[0]["top"][1]["logprob"] == -9999.0
    plain = [{**token, "bytes": []} for token in top]
    said = response([spoken("42", logprobs=[{"token": "42", "logprob": -0.1, "bytes": [], "top_logprobs": plain}])])
    assert answered("responses", said).logprobs == [expected]


def anthropic_body(system: str, user: str, head: int, **more: Any) -> dict[str, Any]:
    messages = (*((("system", system),) if system else ()), ("user", user))
    return sent("anthropic", request("anthropic", messages=messages, head=head, params={"max_tokens": 64, **more.pop("params", {})}), **more)


def test_a_long_shared_head_is_marked() -> None:
    system, rules = "You teach. " * 300, "Rules: be brief.\nTopic: "
    mark = {"type": "ephemeral"}
    body = anthropic_body(system, f"{rules}ratios", len(system) + len(rules))
    first, rest = body["messages"][0]["content"]
    assert first == {"type": "text", "text": "Rules: be brief.\nTopic:", "cache_control": mark}  # the blank belongs to the next word
    assert rest == {"type": "text", "text": " ratios"} and body["system"] == system  # one mark holds all before it
    whole = anthropic_body(system, "ratios", len(system))
    assert whole["system"] == [{"type": "text", "text": system, "cache_control": mark}] and whole["messages"][0]["content"] == "ratios"
    kept = anthropic_body(system, f"{rules}ratios", len(system) + len(rules), params={"cache_control": {**mark, "ttl": "1h"}})
    assert kept["messages"][0]["content"][0]["cache_control"]["ttl"] == "1h"  # a longer ttl may not follow a shorter one
    for plain in (
        anthropic_body(system, f"{rules}ratios", len(system) + len(rules), cache=False),
        anthropic_body("Short.", f"{rules}ratios", 6 + len(rules)),
        anthropic_body(system, f"{rules}ratios", 0),
    ):
        assert "cache_control" not in str(plain)


pieces = st.text(st.sampled_from("ab \n"), max_size=30)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(pieces, pieces.filter(bool), st.integers(0, 80))
def test_a_mark_changes_no_text(system: str, user: str, beyond: int) -> None:
    """Whatever is marked, the model reads the same, no block is blank, and no mark stands behind what rows share."""
    system = system and "x" * CACHED_FROM + system
    user = user if system else "y" * CACHED_FROM + user
    asked = request("anthropic", messages=(*((("system", system),) if system else ()), ("user", user)), head=CACHED_FROM + beyond)
    body = MARKING.body(asked)

    def read(content: Any) -> str:
        return content if isinstance(content, str) else "".join(block["text"] for block in content)

    assert read(body.get("system", "")) == system and read(body["messages"][0]["content"]) == user
    in_user = isinstance(body["messages"][0]["content"], list)
    blocks = body["messages"][0]["content"] if in_user else body["system"]
    assert all(block["text"].strip() for block in blocks) and ["cache_control" in block for block in blocks] == [True, False][: len(blocks)]
    marked = system * in_user + blocks[0]["text"]
    assert len(marked.rstrip()) <= CACHED_FROM + beyond  # what rows share, and at most a blank more


MARKING = teacher_of(endpoint("anthropic", "http://x"))


@pytest.mark.parametrize("provider", ["openai", "responses", "azure"])
def test_requests_with_one_head_have_one_cache_key(provider: str) -> None:
    changes: dict[str, Any] = {} if provider == "azure" else {"base_url": None}
    teacher = teacher_of(endpoint(provider, "http://x", **changes))

    def key(user: str, head: int, **more: Any) -> Any:
        messages = (("system", "Be brief."), ("user", user))
        return teacher.body(request(provider, messages=messages, head=head, params={"max_tokens": 9, **more})).get("prompt_cache_key")

    assert key("Topic: a", 16) == key("Topic: b", 16) != key("Theme: b", 16)
    assert len(key("Topic: a", 16)) == 16 and key("Topic: a", 0) is None
    assert key("Topic: a", 16, prompt_cache_key="mine") == "mine"
    asyncio.run(teacher.close())
    silent = teacher_of(endpoint(provider, "http://x", cache=False, **changes))
    assert "prompt_cache_key" not in silent.body(request(provider, head=9))
    asyncio.run(silent.close())
