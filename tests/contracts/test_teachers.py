"""Every teacher against the documented wire: the bodies are written by hand and checked against the SDK's own types."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_server import Reply, Seen, WireServer, chat, encoded, error, good, message, places, said, thought, tokens

from datagen.asking.teachers import TEACHERS, wire
from datagen.asking.teachers.base import Endpoint, Limits, Teacher
from datagen.errors import SetupError, TeacherFault
from datagen.records import Outcome, Request, Response, Usage

KEY = "sk-proj-MARKED-0123456789abcdef"
PROVIDERS = sorted(TEACHERS)
PROMPT = (("system", "Be brief."), ("user", "What is 6 x 7?"))
SCHEMA = {"type": "object", "properties": {"score": {"type": "integer"}, "why": {"type": "object", "properties": {"a": {"type": "string"}}}}}


def request(provider: str, **changes: Any) -> Request:
    return replace(Request(provider, "", "teacher-1", PROMPT, {"max_tokens": 64}), **changes)


def endpoint(provider: str, url: str, **changes: Any) -> Endpoint:
    base = url + ("/v1" if provider == "openai" else "")
    return replace(Endpoint(provider, base, KEY, timeout=5.0, connections=4, simulated=False, native_schema=True), **changes)


def ask(provider: str, reply: Reply, asked: Request | None = None, **changes: Any) -> tuple[Response | TeacherFault, Seen | None]:
    """One request against one scripted reply; and always: no key in anything that could be kept or shown."""

    async def go() -> tuple[Response | TeacherFault, Seen | None]:
        async with WireServer([reply]) as server:
            teacher: Teacher = TEACHERS.get(provider)(endpoint(provider, server.url, **changes))
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
    _, seen = ask(provider, Reply(encoded(good(provider))), asked, **changes)
    assert seen is not None
    return json.loads(seen.body)  # type: ignore[no-any-return]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("how", ["whole", "chunked"])
def test_a_normal_answer(provider: str, how: Any) -> None:
    headers = {"x-request-id": "req_7", "request-id": "req_7", "x-datagen-planted": "wrong_answer"}
    result, seen = ask(provider, Reply(encoded(good(provider)), headers=headers, how=how))
    assert isinstance(result, Response) and seen is not None
    assert (result.outcome, result.text, result.reasoning, result.error) == (Outcome.ANSWERED, "42", "", "")
    assert result.usage == Usage(input=20, output=5) and result.model == "teacher-1-2026" and result.request_id == "req_7"
    assert result.stop_reason == ("stop" if provider == "openai" else "end_turn") and result.seconds > 0 and result.cost == 0
    assert json.loads(result.raw) == good(provider) and result.logprobs is None
    assert result.fingerprint == ("fp_9" if provider == "openai" else "")
    assert not result.simulated and result.planted == ""  # only a simulator may say that
    assert not [name for name in seen.headers if "datagen" in name]
    assert seen.path == ("/v1/chat/completions" if provider == "openai" else "/v1/messages")
    assert seen.headers["authorization"] == f"Bearer {KEY}" and seen.headers["x-stainless-retry-count"] == "0"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_only_a_simulator_learns_the_identity_and_may_plant(provider: str) -> None:
    asked = request(provider, sample=3)
    result, seen = ask(provider, Reply(encoded(good(provider)), headers={"x-datagen-planted": "refusal"}), asked, simulated=True)
    assert isinstance(result, Response) and seen is not None
    assert result.simulated and result.planted == "refusal"
    assert (seen.headers["x-datagen-key"], seen.headers["x-datagen-sample"]) == (asked.key, "3")


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
OPENAI_ENDS = [
    (chat({"reasoning_content": "6 x 7"}), Outcome.ANSWERED, "42", "6 x 7"),
    (chat({"reasoning": "6 x 7", "reasoning_content": ""}), Outcome.ANSWERED, "42", "6 x 7"),
    (chat({"content": "\n<think>\n6 x 7\n</think>\n\n42"}), Outcome.ANSWERED, "42", "6 x 7"),
    (chat({"content": "6 x 7\n</think>\n\n42"}), Outcome.ANSWERED, "42", "6 x 7"),
    (chat({"content": "<think>6 x"}, "length"), Outcome.TRUNCATED, "", "6 x"),
    (chat({"content": "Write `<think>` and `</think>` around it."}), Outcome.ANSWERED, "Write `<think>` and `</think>` around it.", ""),
    (chat({"content": None, "refusal": "I cannot."}), Outcome.REFUSED, "I cannot.", ""),
    (chat({"content": "4"}, "length"), Outcome.TRUNCATED, "4", ""),
    (chat({"content": ""}, "content_filter"), Outcome.FILTERED, "", ""),
    (chat({"content": " \n"}), Outcome.MALFORMED, " \n", ""),
    (chat({"content": None}), Outcome.MALFORMED, "", ""),
    (chat({"content": None, "tool_calls": [CALL]}, "tool_calls"), Outcome.MALFORMED, "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("body", "outcome", "text", "reasoning"), OPENAI_ENDS)
def test_how_a_chat_completion_ends(body: dict[str, Any], outcome: Outcome, text: str, reasoning: str) -> None:
    result = answered("openai", body)
    assert (result.outcome, result.text, result.reasoning) == (outcome, text, reasoning)
    assert bool(result.error) is (outcome is not Outcome.ANSWERED)


THOUGHTS = [thought("6"), {"type": "redacted_thinking", "data": "x"}, thought("x 7"), said("4"), said("2")]
NO_END = "stop_reason {!r} is no end of an answer"
CYBER = {"type": "refusal", "category": "cyber", "explanation": "Could enable harm."}
ANTHROPIC_ENDS = [
    (message(THOUGHTS), Outcome.ANSWERED, "42", "6\n\nx 7", ""),
    (message(stop="stop_sequence", stop_sequence="END"), Outcome.ANSWERED, "42", "", ""),
    (message(stop="max_tokens"), Outcome.TRUNCATED, "42", "", "stop_reason max_tokens"),
    (message(stop="model_context_window_exceeded"), Outcome.TRUNCATED, "42", "", "stop_reason model_context_window_exceeded"),
    (message([], "refusal", stop_details=CYBER), Outcome.REFUSED, "", "", "refusal: cyber: Could enable harm."),
    (message(stop="refusal"), Outcome.REFUSED, "42", "", "refusal"),
    (message([thought("hm")]), Outcome.MALFORMED, "", "hm", "empty text"),
    (message([{"type": "tool_use", "id": "t", "name": "f", "input": {}}], "tool_use"), Outcome.MALFORMED, "", "", NO_END.format("tool_use")),
    (message(stop="pause_turn"), Outcome.MALFORMED, "42", "", NO_END.format("pause_turn")),
]  # fmt: skip


@pytest.mark.parametrize(("body", "outcome", "text", "reasoning", "error"), ANTHROPIC_ENDS)
def test_how_a_message_ends(body: dict[str, Any], outcome: Outcome, text: str, reasoning: str, error: str) -> None:
    result = answered("anthropic", body)
    assert (result.outcome, result.text, result.reasoning, result.error) == (outcome, text, reasoning, error)


USAGES = [
    ("openai", tokens(100, 50, 150, prompt_tokens_details={"cached_tokens": 60, "cache_write_tokens": 20},
                      completion_tokens_details={"reasoning_tokens": 30}), Usage(100, 50, 60, 20, 30)),
    ("openai", tokens(100, 50, 150, prompt_tokens_details=None, completion_tokens_details={"reasoning_tokens": None}), Usage(100, 50)),
    ("openai", tokens(100, 50, 150, prompt_cache_hit_tokens=60, prompt_cache_miss_tokens=40), Usage(100, 50, 60)),  # DeepSeek
    ("openai", tokens(100, 10, 150, completion_tokens_details={"reasoning_tokens": 40}), Usage(100, 50, 0, 0, 40)),  # xAI: reasoning is extra
    ("anthropic", {"input_tokens": 20, "output_tokens": 50, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 20,
                   "output_tokens_details": {"thinking_tokens": 30}}, Usage(100, 50, 60, 20, 30)),
    ("anthropic", {"input_tokens": 20, "output_tokens": 5, "cache_read_input_tokens": None, "cache_creation_input_tokens": None}, Usage(20, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "usage", "expected"), USAGES)
def test_usage_means_the_same_everywhere(provider: str, usage: dict[str, Any], expected: Usage) -> None:
    assert answered(provider, chat(usage=usage) if provider == "openai" else message(usage=usage)).usage == expected


def test_logprobs_are_kept() -> None:
    top = [{"token": "42", "logprob": -0.1, "bytes": [52, 50]}, {"token": "41", "logprob": -2.5, "bytes": None}]
    body = chat(logprobs={"content": [{"token": "42", "logprob": -0.1, "bytes": [52, 50], "top_logprobs": top}], "refusal": None})
    expected = {"token": "42", "logprob": -0.1, "top": [{"token": "42", "logprob": -0.1}, {"token": "41", "logprob": -2.5}]}
    assert answered("openai", body).logprobs == [expected]
    raw = encoded(body).replace(b"-2.5", b"-Infinity")  # vLLM's word for a token out of reach, which no ledger can hold
    result, _ = ask("openai", Reply(raw))
    assert isinstance(result, Response) and result.logprobs and result.logprobs[0]["top"][1]["logprob"] == -9999.0


ERRORS: list[tuple[str, int, bytes, str]] = [
    (provider, status, error(provider, type_[provider == "anthropic"], "no", code if provider == "openai" else None), kind)
    for provider in ("openai", "anthropic")
    for status, type_, code, kind in [
        (400, ("invalid_request_error", "invalid_request_error"), "context_length_exceeded", "rejected"),
        (401, ("invalid_request_error", "authentication_error"), "invalid_api_key", "stopped"),
        (402, ("billing", "billing_error"), None, "stopped"),
        (403, ("invalid_request_error", "permission_error"), "unsupported_country_region_territory", "stopped"),
        (404, ("invalid_request_error", "not_found_error"), "model_not_found", "stopped"),
        (408, ("timeout", "timeout_error"), None, "transient"),
        (409, ("conflict", "api_error"), None, "transient"),
        (413, ("invalid_request_error", "invalid_request_error"), None, "rejected"),
        (422, ("invalid_request_error", "invalid_request_error"), None, "rejected"),
        (429, ("requests", "rate_limit_error"), "rate_limit_exceeded", "rate_limited"),
        (500, ("server_error", "api_error"), None, "transient"),
        (503, ("server_error", "overloaded_error"), None, "overloaded"),
        (504, ("server_error", "timeout_error"), None, "transient"),
        (529, ("server_error", "overloaded_error"), None, "overloaded"),
    ]
] + [
    ("openai", 429, error("openai", "insufficient_quota", "You exceeded your current quota.", "insufficient_quota"), "stopped"),
    ("openai", 429, error("openai", "requests", "Not active.", "billing_not_active"), "stopped"),
    ("openai", 429, error("openai", "tokens", "Request too large for gpt on tokens per min.", "rate_limit_exceeded"), "rejected"),
    ("anthropic", 429, error("anthropic", "rate_limit_error", "no", "contract_spend_limit_reached"), "stopped"),
    ("anthropic", 429, error("anthropic", "rate_limit_error", "no", "enforced_spend_limit_reached"), "stopped"),
    ("anthropic", 429, error("anthropic", "rate_limit_error", "no", "ramp_limit_exceeded"), "rate_limited"),
    ("anthropic", 400, error("anthropic", "invalid_request_error", "Your credit balance is too low to access the API."), "stopped"),
    ("openai", 502, b"<html>Bad gateway</html>", "transient"),
    ("openai", 405, b"", "rejected"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "status", "body", "kind"), ERRORS)
def test_what_an_error_means(provider: str, status: int, body: bytes, kind: str) -> None:
    found = fault(provider, Reply(body, status))
    assert (found.kind, found.status) == (kind, status)
    assert str(status) in str(found) and found.body == body.decode()


BROKEN = {
    "bad json": Reply(b'{"choices": [{"mess'),
    "html": Reply(b"<html>Welcome to the proxy</html>", headers={"content-type": "text/html"}),
    "empty": Reply(b""),
    "a list": Reply(b"[]"),
    "missing": Reply(b"{}"),
    "empty choices": Reply(b'{"choices": [], "content": null}'),
    "null choice": Reply(b'{"choices": [null], "content": 7}'),
    "invalid UTF-8": Reply(b'{"choices": "\xff\xfe"}'),
    "nested too deep": Reply(b"[" * 200_000),
    "error inside": Reply(b'{"error": {"message": "upstream gone"}}'),
    "half a body": Reply(b'{"choices": "' + b"x" * 5000 + b'"}', how="half"),
    "reset": Reply(how="reset"),
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", BROKEN)
def test_no_answer_is_transient(provider: str, name: str) -> None:
    assert fault(provider, BROKEN[name]).kind == "transient"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_silence_ends_with_the_timeout(provider: str) -> None:
    assert fault(provider, Reply(how="silence"), timeout=0.2).kind == "transient"
    assert fault(provider, Reply(), base_url="http://127.0.0.1:9/v1").kind == "unreachable"  # nobody listens there, so nothing was sent


def test_a_proxy_hides_the_status_inside() -> None:
    hidden = b'{"error": {"code": 429, "message": "upstream limit"}}'
    found = fault("openai", Reply(hidden, headers={"retry-after": "7"}))
    assert (found.kind, found.retry_after) == ("rate_limited", 7.0)
    assert fault("openai", Reply(encoded(chat()).replace(b'"stop"', b'"error"'))).kind == "transient"


NOW = {"date": "Sat, 21 Nov 2026 10:00:00 GMT"}
WAITS = [
    ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
    ({"retry-after": "9"}, 9.0),
    ({"retry-after": "1.5"}, 1.5),
    ({"retry-after": "-3"}, 0.0),
    ({"retry-after": "Sat, 21 Nov 2026 10:01:30 GMT", **NOW}, 90.0),
    ({"retry-after": "soon"}, None),
    ({}, None),
    ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "120ms"}, 0.12),
    ({"x-ratelimit-reset-requests": "1m30s", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-tokens": "120ms"}, 90.0),
    ({"anthropic-ratelimit-requests-reset": "2026-11-21T10:00:20Z", "anthropic-ratelimit-requests-remaining": "0", **NOW}, 20.0),
]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("headers", "seconds"), WAITS)
def test_how_long_to_wait(provider: str, headers: dict[str, str], seconds: float | None) -> None:
    found = fault(provider, Reply(error(provider, "rate_limit_error"), 429, headers))
    assert found.kind == "rate_limited" and found.retry_after == seconds


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_key_that_comes_back_is_taken_out(provider: str) -> None:
    """`ask` looks for the key in all that is kept; here the other side repeats it in every place it can."""
    assert "[api key]" in str(fault(provider, Reply(error(provider, "authentication_error", f"Incorrect API key: {KEY}"), 401)))
    assert "[api key]" in str(fault(provider, Reply(f"<html>{KEY}</html>".encode())))
    body = chat({"content": KEY}) if provider == "openai" else message([said(KEY)])
    assert answered(provider, body).text == "[api key]"
    assert KEY not in repr(endpoint(provider, "http://x"))
    assert answered(provider, good(provider), api_key="42").text == "42"  # a placeholder, not a secret


@pytest.mark.parametrize("key", [KEY + "\n", "\u201c" + KEY])
def test_a_broken_key_is_refused_at_once(key: str) -> None:
    with pytest.raises(SetupError, match="line break") as caught:
        endpoint("openai", "http://x", api_key=key)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_cannot_be_sent_is_rejected(provider: str) -> None:
    for asked in (request(provider, messages=(("user", "\ud800"),)), request(provider, params={"max_tokens": 8, "stream": True})):
        result, seen = ask(provider, Reply(encoded(good(provider))), asked)
        assert isinstance(result, TeacherFault) and result.kind == "rejected" and seen is None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_half_a_surrogate_pair_is_replaced(provider: str) -> None:
    raw = encoded(good(provider)).replace(b'"42"', rb'"\ud83d\ude00 \ud83d!"')
    result, _ = ask(provider, Reply(raw))
    assert isinstance(result, Response) and result.text == "\U0001f600 \ufffd!"


def test_the_chat_body() -> None:
    asked = request("openai", params={"max_tokens": 64, "temperature": 0.5}, schema=SCHEMA)
    body = sent("openai", asked)
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 6 x 7?"}]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("teacher-1", 64, 0.5) and "n" not in body
    form = body["response_format"]["json_schema"]
    assert body["response_format"]["type"] == "json_schema" and form["strict"] is True
    why = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
    properties = {"score": {"type": "integer"}, "why": why}
    assert form["schema"] == {"type": "object", "properties": properties, "required": ["score", "why"], "additionalProperties": False}
    assert "response_format" not in sent("openai", asked, native_schema=False)


def test_openai_itself_takes_the_new_word() -> None:
    teacher = TEACHERS.get("openai")(Endpoint("openai", None, KEY, 5.0, 4, False, True))
    body = teacher.body(request("openai"))
    assert body["max_completion_tokens"] == 64 and "max_tokens" not in body
    asyncio.run(teacher.close())


def test_the_message_body() -> None:
    params = {"max_tokens": 64_000, "thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}
    body = sent("anthropic", request("anthropic", params=params, schema=SCHEMA, messages=(("system", "A."), *PROMPT)))
    assert body["system"] == "A.\n\nBe brief." and body["messages"] == [{"role": "user", "content": "What is 6 x 7?"}]
    assert body["max_tokens"] == 64_000 and body["thinking"] == {"type": "adaptive"} and body["output_config"]["effort"] == "low"
    form = body["output_config"]["format"]
    assert form["type"] == "json_schema" and form["schema"]["additionalProperties"] is False
    assert "format" not in sent("anthropic", request("anthropic", params=params, schema=SCHEMA), native_schema=False)["output_config"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_connections_are_kept_and_limits_are_read(provider: str) -> None:
    openai_says = {"x-ratelimit-remaining-requests": "59", "x-ratelimit-remaining-tokens": "900", "x-ratelimit-reset-requests": "1s"}
    anthropic_says = {
        "anthropic-ratelimit-requests-remaining": "59", "anthropic-ratelimit-input-tokens-remaining": "900",
        "anthropic-ratelimit-output-tokens-remaining": "950", "anthropic-ratelimit-requests-reset": "2026-11-21T10:00:01Z", **NOW,
    }  # fmt: skip

    async def go() -> tuple[int, Limits]:
        headers = openai_says if provider == "openai" else anthropic_says
        async with WireServer([Reply(encoded(good(provider)), headers=headers)]) as server:
            teacher = TEACHERS.get(provider)(endpoint(provider, server.url, connections=8))
            assert teacher.limits() == Limits()
            for _ in range(3):
                await asyncio.gather(*(teacher.answer(request(provider, sample=sample)) for sample in range(8)))
            await teacher.close()
            return server.connections, teacher.limits()

    connections, limits = asyncio.run(go())
    assert connections <= 8 and limits == Limits(requests_left=59, tokens_left=900, reset=1.0)


def test_the_environment_does_not_move_a_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request key says `the provider's own address`; a stray variable must not send the prompts, and the key, elsewhere."""
    for provider in PROVIDERS:
        monkeypatch.setenv(f"{provider.upper()}_BASE_URL", "http://127.0.0.1:9")
        teacher = TEACHERS.get(provider)(endpoint(provider, "", base_url=None))
        assert teacher._client.base_url.host == f"api.{provider}.com"
        asyncio.run(teacher.close())


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)
header = st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=12) | st.from_regex(r"[0-9.:dhmsTZ -]{1,20}", fullmatch=True)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_junk_anywhere_is_a_response_or_a_fault(provider: str) -> None:
    import httpx2

    tokens = {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": [{"token": "a", "logprob": -1.0}]}]}
    full = chat({"reasoning": "r"}, logprobs=tokens) if provider == "openai" else message([thought("t"), said("x")], stop_details=CYBER)
    teacher = TEACHERS.get(provider)(endpoint(provider, "http://x"))

    @settings(max_examples=800, deadline=None, derandomize=True)
    @given(st.sampled_from(places(full)), junk, header)
    def check(place: tuple[Any, ...], found: Any, value: str) -> None:
        body = [json.loads(json.dumps(full))]
        at: Any = body
        for key in (last := (0, *place))[:-1]:
            at = at[key]
        at[last[-1]] = found
        names = ("retry-after", "x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-remaining")
        for status in (200, 429):
            headers = dict.fromkeys(names, value)
            try:
                wire.retry_after_of(headers)
                if status == 429:
                    raise wire.fault_of_status(teacher._endpoint, status, headers, json.dumps(body[0]))
                result = teacher._read(httpx2.Response(200, content=json.dumps(body[0]).encode(), headers=headers), 1.0)
            except TeacherFault:
                continue
            assert {type(getattr(result, name)) for name in ("text", "reasoning", "stop_reason", "model", "request_id", "error")} == {str}
            assert 0 <= result.usage.cached + result.usage.cache_write <= result.usage.input

    check()
    asyncio.run(teacher.close())
