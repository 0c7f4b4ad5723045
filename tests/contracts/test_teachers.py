"""Every teacher against the documented wire: the bodies are written by hand and checked against the SDK's own types."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_teacher import KEY, PROVIDERS, WIRES, answered, ask, endpoint, fault, request, teacher_of
from wire_server import Reply, WireServer, chat, encoded, error, form_of, good, message, places, response, said, spoken, summed_up, thought

from datagen.asking.teachers.base import HeaderLimits
from datagen.asking.teachers.headers import limits_of, retry_after_of
from datagen.asking.teachers.late import LateTeacher
from datagen.errors import SetupError, TeacherFault
from datagen.records import Outcome, Response, Usage

PATHS = {
    "anthropic": "/v1/messages",
    "azure": "/openai/deployments/teacher-1/chat/completions?api-version=2025-04-01-preview",
    "bedrock": "/model/teacher-1/invoke",
    "openai": "/v1/chat/completions",
    "responses": "/v1/responses",
    "vertex": "/projects/p-1/locations/global/publishers/anthropic/models/teacher-1:rawPredict",
}
STOPS = {"openai": "stop", "responses": "completed", "anthropic": "end_turn"}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("how", ["whole", "chunked"])
def test_a_normal_answer(provider: str, how: Any) -> None:
    headers = {"x-request-id": "req_7", "request-id": "req_7", "x-datagen-planted": "wrong_answer"}
    result, seen = ask(provider, Reply(encoded(good(provider)), headers=headers, how=how))
    assert isinstance(result, Response) and seen is not None
    assert (result.outcome, result.text, result.reasoning, result.error) == (Outcome.ANSWERED, "42", "", "")
    assert result.usage == Usage(input=20, output=5) and result.model == "teacher-1-2026" and result.request_id == "req_7"
    assert result.stop_reason == STOPS[form_of(provider)] and result.seconds > 0 and result.cost == 0
    assert json.loads(result.raw) == good(provider) and result.logprobs is None
    assert result.fingerprint == ("fp_9" if form_of(provider) == "openai" else "")
    assert not result.simulated and result.planted == ""  # only a simulator may say that
    assert not [name for name in seen.headers if "datagen" in name]
    assert seen.path == PATHS[provider]
    assert (seen.headers["api-key"] if provider == "azure" else seen.headers["authorization"].removeprefix("Bearer ")) == KEY
    assert "x-stainless-lang" in seen.headers and seen.headers["content-type"] == "application/json"  # they are the SDK's own headers


@pytest.mark.parametrize("provider", PROVIDERS)
def test_online_and_in_a_batch_an_answer_reads_the_same(provider: str) -> None:
    """A line of a batch's results goes through the same `read`, and differs in nothing but the time."""
    online = answered(provider, good(provider), {"x-request-id": "req_7"})
    teacher = teacher_of(endpoint(provider, "http://127.0.0.1:9"))
    assert teacher.read(200, {"x-request-id": "req_7"}, encoded(good(provider)), online.seconds) == online
    with pytest.raises(TeacherFault) as caught:
        teacher.read(429, {"retry-after": "7"}, error(provider, "rate_limit_error"))
    assert (caught.value.kind, caught.value.retry_after) == ("rate_limited", 7.0)
    asyncio.run(teacher.close())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_only_a_simulator_learns_the_identity_and_may_plant(provider: str) -> None:
    asked = request(provider, sample=3)
    result, seen = ask(provider, Reply(encoded(good(provider)), headers={"x-datagen-planted": "refusal"}), asked, simulated=True)
    assert isinstance(result, Response) and seen is not None
    assert result.simulated and result.planted == "refusal"
    assert (seen.headers["x-datagen-key"], seen.headers["x-datagen-sample"]) == (asked.key, "3")
    assert fault(provider, Reply(encoded(good(provider)), headers={"x-datagen-simulated": "1"})).kind == "stopped"  # it would be sold as real


NOW = {"date": "Sat, 21 Nov 2026 10:00:00 GMT"}
WAITS = [
    ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
    ({"retry-after": "9"}, 9.0),
    ({"retry-after": "1.5"}, 1.5),
    ({"retry-after": "600"}, 600.0),  # the SDKs themselves would not wait beyond two minutes
    ({"retry-after": "86400"}, 86_400.0),
    ({"retry-after": "-3"}, 0.0),
    ({"retry-after": "Sat, 21 Nov 2026 10:01:30 GMT", **NOW}, 90.0),
    ({"retry-after": "soon"}, None),
    ({}, None),
    ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "120ms"}, 0.12),
    ({"x-ratelimit-reset-requests": "1m30s", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-tokens": "120ms"}, 90.0),
    ({"anthropic-ratelimit-requests-reset": "2026-11-21T10:00:20Z", "anthropic-ratelimit-requests-remaining": "0", **NOW}, 20.0),
]


@pytest.mark.parametrize("provider", WIRES)
@pytest.mark.parametrize(("headers", "seconds"), WAITS)
def test_how_long_to_wait(provider: str, headers: dict[str, str], seconds: float | None) -> None:
    found = fault(provider, Reply(error(provider, "rate_limit_error"), 429, headers))
    assert found.kind == "rate_limited" and found.retry_after == seconds


LIMITS = [
    ({}, HeaderLimits()),
    ({"x-ratelimit-limit-requests": "5000", "x-ratelimit-limit-tokens": "800000", "x-ratelimit-remaining-requests": "4999",
      "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-requests": "12ms", "x-ratelimit-reset-tokens": "59s"},
     HeaderLimits(5000, 800_000, 4999, 0, 59.0)),
    ({"anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-input-tokens-limit": "40000",
      "anthropic-ratelimit-output-tokens-limit": "8000", "anthropic-ratelimit-input-tokens-remaining": "39000",
      "anthropic-ratelimit-output-tokens-remaining": "7900",
      "anthropic-ratelimit-requests-reset": "2026-11-21T10:00:01Z", **NOW}, HeaderLimits(50, 8000, None, 7900, 1.0)),
    # Groq: so many requests a day, under the same name.
    ({"x-ratelimit-limit-requests": "14400", "x-ratelimit-limit-tokens": "18000", "x-ratelimit-reset-requests": "2m59.56s",
      "x-ratelimit-reset-tokens": "7.66s"}, HeaderLimits(None, 18_000, reset=7.66)),
    ({"x-ratelimit-limit-requests": "many", "x-ratelimit-remaining-tokens": "-1"}, HeaderLimits()),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "limits"), LIMITS)
def test_what_the_headers_promise(headers: dict[str, str], limits: HeaderLimits) -> None:
    assert limits_of(headers) == limits_of({name.title(): value for name, value in headers.items()} | headers) == limits


@pytest.mark.parametrize("provider", PROVIDERS)
def test_connections_are_kept_and_limits_are_read(provider: str) -> None:
    headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59"}
    script = [Reply(encoded(good(provider)))] * 24 + [Reply(error(provider, "rate_limit_error"), 429, headers)]

    async def go() -> tuple[int, HeaderLimits]:
        async with WireServer(script) as server:
            teacher = LateTeacher(endpoint(provider, server.url, connections=8))
            assert teacher.limits() == HeaderLimits()
            for _ in range(3):
                await asyncio.gather(*(teacher.answer(request(provider, sample=sample)) for sample in range(8)))
            assert teacher.limits() == HeaderLimits()
            with pytest.raises(TeacherFault):
                await teacher.answer(request(provider))
            await teacher.close()
            return server.connections, teacher.limits()

    connections, limits = asyncio.run(go())
    assert connections <= 8
    if provider not in ("bedrock", "vertex"):  # their clients hand over good replies alone
        assert limits == HeaderLimits(requests_per_minute=60, requests_left=59)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_key_that_comes_back_is_taken_out(provider: str) -> None:
    """`ask` looks for the key in all that is kept; here the other side repeats it in every place it can."""
    assert "[api key]" in str(fault(provider, Reply(error(provider, "authentication_error", f"Incorrect API key: {KEY}"), 401)))
    assert "[api key]" in str(fault(provider, Reply(f"<html>{KEY}</html>".encode())))
    body = {"openai": lambda: chat({"content": KEY}), "responses": lambda: response([spoken(KEY)]), "anthropic": lambda: message([said(KEY)])}
    assert answered(provider, body[form_of(provider)]()).text == "[api key]"
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


def test_content_in_parts_is_text_and_reasoning() -> None:
    """As Mistral's reasoning models send it; the openai SDK's own type does not know it."""
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "six sevens"}]}, {"type": "text", "text": "4"}, {"type": "text", "text": "2"}]
    reply = good("openai")
    reply["choices"][0]["message"]["content"] = parts
    result, _ = ask("openai", Reply(encoded(reply)))
    assert isinstance(result, Response) and (result.outcome, result.text, result.reasoning) == (Outcome.ANSWERED, "42", "six sevens")


@pytest.mark.parametrize("provider", ["openai", "azure"])
def test_a_prompt_that_was_filtered_is_filtered_and_not_rejected(provider: str) -> None:
    result, _ = ask(provider, Reply(error(provider, "invalid_request_error", "The response was filtered", "content_filter"), 400))
    assert isinstance(result, TeacherFault) and result.kind == "filtered" and "was filtered" in str(result)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_redirect_is_not_followed(provider: str) -> None:
    """It would take the prompts, and Azure's key, to an address that nobody wrote down."""
    assert fault(provider, Reply(b"", 307, {"location": "http://127.0.0.1:9/elsewhere"})).kind == "stopped"


HOSTS = {
    "anthropic": "api.anthropic.com",
    "azure": "nobody.invalid",
    "bedrock": "bedrock-runtime.us-east-1.amazonaws.com",
    "openai": "api.openai.com",
    "responses": "api.openai.com",
    "vertex": "aiplatform.googleapis.com",
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_environment_does_not_move_a_teacher(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request key says `the provider's own address`; a stray variable must not send the prompts, and the key, elsewhere."""
    for variable in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "ANTHROPIC_BEDROCK_BASE_URL", "ANTHROPIC_VERTEX_BASE_URL", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    teacher = teacher_of(endpoint(provider, "", base_url=None))
    assert teacher._client.base_url.host == HOSTS[provider]
    asyncio.run(teacher.close())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_who_has_a_batch_api(provider: str) -> None:
    teacher = teacher_of(endpoint(provider, "http://x"))
    if teacher.about.batches:
        assert teacher.batches().most[0] >= 50_000
    else:
        with pytest.raises(SetupError, match="mode: online"):
            teacher.batches()
    asyncio.run(teacher.close())


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)
header = st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=12) | st.from_regex(r"[0-9.:dhmsTZ -]{1,20}", fullmatch=True)


def full(provider: str) -> dict[str, Any]:
    """A body with something in every place that is read."""
    tokens = [{"token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": [{"token": "a", "logprob": -1.0, "bytes": None}]}]
    if provider == "openai":
        return chat({"reasoning": "r"}, logprobs={"content": tokens, "refusal": None})
    if provider == "responses":
        plain = [{**token, "bytes": [], "top_logprobs": [{**token["top_logprobs"][0], "bytes": []}]} for token in tokens]  # type: ignore[dict-item, index]
        return response([summed_up("s", content="t"), spoken("x", logprobs=plain)], incomplete_details={"reason": "max_output_tokens"})
    stop = {"type": "refusal", "category": "cyber", "explanation": "Could enable harm."}
    return message([thought("t"), said("x")], stop_details=stop)


@pytest.mark.parametrize("provider", WIRES)
def test_junk_anywhere_is_a_response_or_a_fault(provider: str) -> None:
    body = full(provider)
    teacher = teacher_of(endpoint(provider, "http://x"))

    @settings(max_examples=800, deadline=None, derandomize=True)
    @given(st.sampled_from(places(body)), junk, header)
    def check(place: tuple[Any, ...], found: Any, value: str) -> None:
        changed = [json.loads(json.dumps(body))]
        at: Any = changed
        for key in (last := (0, *place))[:-1]:
            at = at[key]
        at[last[-1]] = found
        headers = dict.fromkeys(("retry-after", "x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-remaining"), value)
        limits_of(headers)
        retry_after_of(headers)
        for status in (200, 429):
            try:
                result = teacher.read(status, headers, json.dumps(changed[0]).encode())
            except TeacherFault:
                continue
            assert status == 200
            assert {type(getattr(result, name)) for name in ("text", "reasoning", "stop_reason", "model", "request_id", "error")} == {str}
            assert 0 <= result.usage.cached + result.usage.cache_write <= result.usage.input

    check()
    asyncio.run(teacher.close())
