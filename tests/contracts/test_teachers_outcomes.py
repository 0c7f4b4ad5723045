"""Every row of the two tables of errors.py, on every wire: what a reply means, over real HTTP with the real SDKs."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any, get_args

import pytest
from one_teacher import PROVIDERS, WIRES, answered, ask, endpoint, fault, request, teacher_of
from wire_server import Reply, WireServer, chat, encoded, error, form_of, good, message, response, said, spoken, summed_up, thought

from datagen.asking.teachers import wire
from datagen.errors import FAULTS, OUTCOMES, FaultKind, TeacherFault
from datagen.records import Outcome, Response

GPT, CLAUDE = ("openai", "responses"), ("anthropic",)
STATUSES: list[tuple[FaultKind, int, str, str, str]] = [  # kind, status, OpenAI's type, Anthropic's type, OpenAI's code
    ("rejected", 400, "invalid_request_error", "invalid_request_error", "context_length_exceeded"),
    ("stopped", 401, "invalid_request_error", "authentication_error", "invalid_api_key"),
    ("exhausted", 402, "billing", "billing_error", ""),
    ("stopped", 403, "invalid_request_error", "permission_error", "unsupported_country_region_territory"),
    ("stopped", 404, "invalid_request_error", "not_found_error", "model_not_found"),
    ("transient", 408, "timeout", "timeout_error", ""),
    ("transient", 409, "conflict", "api_error", ""),
    ("rejected", 413, "invalid_request_error", "invalid_request_error", ""),
    ("rejected", 422, "invalid_request_error", "invalid_request_error", ""),
    ("rate_limited", 429, "requests", "rate_limit_error", "rate_limit_exceeded"),
    ("transient", 500, "server_error", "api_error", ""),
    ("overloaded", 503, "server_error", "overloaded_error", ""),
    ("transient", 504, "server_error", "timeout_error", ""),
    ("overloaded", 529, "server_error", "overloaded_error", ""),
]
OF_GPT: list[tuple[FaultKind, int, str, str, str]] = [  # kind, status, type, code, message
    ("exhausted", 429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    ("exhausted", 429, "requests", "billing_not_active", "Your account is not active."),
    ("exhausted", 400, "invalid_request_error", "billing_hard_limit_reached", "Billing hard limit has been reached."),
    ("stopped", 401, "invalid_request_error", "account_deactivated", "Deactivated."),
    ("filtered", 400, "invalid_request_error", "content_filter", "The prompt was filtered."),
    ("rejected", 429, "tokens", "rate_limit_exceeded", "Request too large for gpt on tokens per min."),
]
OF_CLAUDE: list[tuple[FaultKind, int, str, str, str]] = [
    ("exhausted", 429, "rate_limit_error", "contract_spend_limit_reached", "no"),
    ("exhausted", 429, "rate_limit_error", "enforced_spend_limit_reached", "no"),
    ("rate_limited", 429, "rate_limit_error", "ramp_limit_exceeded", "no"),
    ("exhausted", 400, "invalid_request_error", "", "Your credit balance is too low to access the API."),
]
ERRORS = [
    (kind, provider, status, error(provider, theirs if provider in CLAUDE else ours, "no", (provider not in CLAUDE and code) or None))
    for kind, status, ours, theirs, code in STATUSES
    for provider in WIRES
] + [
    (kind, provider, status, error(provider, type_, message, code or None))
    for providers, rows in ((GPT, OF_GPT), (CLAUDE, OF_CLAUDE))
    for kind, status, type_, code, message in rows
    for provider in providers
]  # fmt: skip


@pytest.mark.parametrize(("kind", "provider", "status", "body"), ERRORS)
def test_what_an_error_means(kind: FaultKind, provider: str, status: int, body: bytes) -> None:
    found = fault(provider, Reply(body, status))
    assert (found.kind, found.status) == (kind, status)
    assert str(status) in str(found) and found.body == body.decode()


def test_every_row_of_the_table_of_faults_is_met() -> None:
    met = {(kind, provider) for kind, provider, *_ in ERRORS} | {("unreachable", provider) for provider in WIRES}
    wanted = {(kind, provider) for kind in FAULTS for provider in WIRES} - {("filtered", "anthropic")}  # which knows no such end
    assert met == wanted and set(FAULTS) == set(get_args(FaultKind))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_nobody_listens(provider: str) -> None:
    assert fault(provider, Reply(), base_url="http://127.0.0.1:9/v1").kind == "unreachable"  # nothing was sent, so nothing is billed


ODD = [(502, b"<html>Bad gateway</html>", "transient"), (405, b"", "rejected"), (429, b"slow down", "rate_limited"),
       (429, b'[{"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}]', "rate_limited"),
       (402, b'{"error": {"message": "Insufficient Balance", "code": "invalid_request_error"}}', "exhausted"), (304, b"", "stopped")]  # fmt: skip


@pytest.mark.parametrize("provider", WIRES)
@pytest.mark.parametrize(("status", "body", "kind"), ODD)
def test_what_other_servers_say(provider: str, status: int, body: bytes, kind: str) -> None:
    assert fault(provider, Reply(body, status)).kind == kind


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FUNCTION = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
REFUSAL = {**spoken(""), "content": [{"type": "refusal", "refusal": "I cannot."}]}
ABOUT_TO = {**spoken("First I look it up."), "phase": "commentary"}
CYBER = {"type": "refusal", "category": "cyber", "explanation": "Could enable harm."}
THOUGHTS = [thought("6"), {"type": "redacted_thinking", "data": "x"}, thought("x 7"), said("4"), said("2")]
TOOL = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
WRAPPED = "Write `<think>` and `</think>` around it."


def cut(reason: str, text: str) -> dict[str, Any]:
    return response([spoken(text)], status="incomplete", incomplete_details={"reason": reason})


ENDS: list[tuple[str, dict[str, Any], Outcome, str, str, str]] = [  # provider, body, outcome, text, reasoning, error
    ("openai", chat({"reasoning_content": "6 x 7"}), Outcome.ANSWERED, "42", "6 x 7", ""),
    ("openai", chat({"reasoning": "6 x 7", "reasoning_content": ""}), Outcome.ANSWERED, "42", "6 x 7", ""),
    ("openai", chat({"content": "\n<think>\n6 x 7\n</think>\n\n42"}), Outcome.ANSWERED, "42", "6 x 7", ""),
    ("openai", chat({"content": "6 x 7\n</think>\n\n42"}), Outcome.ANSWERED, "42", "6 x 7", ""),
    ("openai", chat({"content": "<think>6 x"}, "length"), Outcome.TRUNCATED, "", "6 x", "finish_reason length"),
    ("openai", chat({"content": WRAPPED}), Outcome.ANSWERED, WRAPPED, "", ""),
    ("openai", chat({"content": None, "refusal": "I cannot."}), Outcome.REFUSED, "I cannot.", "", "the model refused"),
    ("openai", chat({"content": "4"}, "length"), Outcome.TRUNCATED, "4", "", "finish_reason length"),
    ("openai", chat({"content": ""}, "content_filter"), Outcome.FILTERED, "", "", "finish_reason content_filter"),
    ("openai", chat({"content": " \n"}), Outcome.MALFORMED, " \n", "", "empty text"),
    ("openai", chat({"content": None}), Outcome.MALFORMED, "", "", "empty text"),
    ("openai", chat({"content": None, "tool_calls": [CALL]}, "tool_calls"), Outcome.MALFORMED, "", "", "a tool call in place of an answer"),
    ("responses", response([summed_up("Six", "times 7"), spoken("42")]), Outcome.ANSWERED, "42", "Six\n\ntimes 7", ""),
    ("responses", response([summed_up("Six", content="6 x 7"), spoken("42")]), Outcome.ANSWERED, "42", "6 x 7", ""),
    ("responses", response([spoken("<think>6 x 7</think>42")]), Outcome.ANSWERED, "42", "6 x 7", ""),
    ("responses", response([ABOUT_TO, {**spoken("42"), "phase": "final_answer"}]), Outcome.ANSWERED, "42", "", ""),
    ("responses", response([spoken("4"), spoken("2")]), Outcome.ANSWERED, "42", "", ""),
    ("responses", cut("max_output_tokens", "4"), Outcome.TRUNCATED, "4", "", "incomplete: max_output_tokens"),
    ("responses", cut("content_filter", ""), Outcome.FILTERED, "", "", "incomplete: content_filter"),
    ("responses", cut("steered", "4"), Outcome.MALFORMED, "4", "", "unknown end 'steered'"),
    ("responses", response([REFUSAL]), Outcome.REFUSED, "I cannot.", "", "the model refused"),
    ("responses", response([summed_up("hm")]), Outcome.MALFORMED, "", "hm", "empty text"),
    ("responses", response([FUNCTION]), Outcome.MALFORMED, "", "", "a tool call in place of an answer"),
    ("anthropic", message(THOUGHTS), Outcome.ANSWERED, "42", "6\n\nx 7", ""),
    ("anthropic", message(stop="stop_sequence", stop_sequence="END"), Outcome.ANSWERED, "42", "", ""),
    ("anthropic", message(stop="max_tokens"), Outcome.TRUNCATED, "42", "", "stop_reason max_tokens"),
    ("anthropic", message(stop="model_context_window_exceeded"), Outcome.TRUNCATED, "42", "", "stop_reason model_context_window_exceeded"),
    ("anthropic", message([], "refusal", stop_details=CYBER), Outcome.REFUSED, "", "", "refusal: cyber: Could enable harm."),
    ("anthropic", message(stop="refusal"), Outcome.REFUSED, "42", "", "refusal"),
    ("anthropic", message([thought("hm")]), Outcome.MALFORMED, "", "hm", "empty text"),
    ("anthropic", message([TOOL], "tool_use"), Outcome.MALFORMED, "", "", "stop_reason 'tool_use' is no end of an answer"),
    ("anthropic", message(stop="pause_turn"), Outcome.MALFORMED, "42", "", "stop_reason 'pause_turn' is no end of an answer"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "body", "outcome", "text", "reasoning", "why"), ENDS)
def test_how_an_answer_ends(provider: str, body: dict[str, Any], outcome: Outcome, text: str, reasoning: str, why: str) -> None:
    result = answered(provider, body)
    assert (result.outcome, result.text, result.reasoning, result.error) == (outcome, text, reasoning, why)


def test_every_row_of_the_table_of_outcomes_is_met() -> None:
    """Claude's refusals are its filter; `rejected` and `failed` are what faults become, and stand in the table above."""
    met = {(str(outcome), provider) for provider, _, outcome, *_ in ENDS} | {("filtered", "anthropic")}
    of_faults = {"rejected": "rejected", "failed": "transient"}
    met |= {(name, provider) for name, kind in of_faults.items() for found, provider, *_ in ERRORS if found == kind}
    assert met == {(name, provider) for name in OUTCOMES for provider in WIRES}


FAILED = [
    ("server_error", "transient"), ("rate_limit_exceeded", "rate_limited"), ("invalid_prompt", "rejected"),
    ("misalignment_policy_violation", "rejected"), ("insufficient_quota", "exhausted"), ("of_tomorrow", "transient"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "kind"), FAILED)
def test_a_failed_response_is_a_fault(code: str, kind: str) -> None:
    body = {**response([]), "status": "failed", "error": {"code": code, "message": "It failed."}}
    found = fault("responses", Reply(encoded(body)))
    assert found.kind == kind and "It failed." in str(found)
    assert fault("responses", Reply(encoded({**body, "error": None}))).kind == "transient"


def test_a_proxy_hides_the_status_inside() -> None:
    hidden = b'{"error": {"code": 429, "message": "upstream limit"}}'
    found = fault("openai", Reply(hidden, headers={"retry-after": "7"}))
    assert (found.kind, found.retry_after) == ("rate_limited", 7.0)
    assert fault("openai", Reply(encoded(chat()).replace(b'"stop"', b'"error"'))).kind == "transient"


@pytest.mark.parametrize("provider", WIRES)
@pytest.mark.parametrize("words", ["Unknown parameter: 'response_format'", "json_schema is not supported", "Unrecognized field: output_config"])
def test_a_server_without_schemas_is_named(provider: str, words: str) -> None:
    body = error(provider, "invalid_request_error", words)
    assert str(fault(provider, Reply(body, 400))).endswith("`structured: prompt`")
    assert "structured:" not in str(fault(provider, Reply(body, 400), native_schema=False))
    assert "structured:" not in str(fault(provider, Reply(error(provider, "invalid_request_error", "too long"), 400)))


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
    "no gzip": Reply(b"plain", headers={"content-encoding": "gzip"}),
    "half a body": Reply(b'{"choices": "' + b"x" * 5000 + b'"}', how="half"),
    "reset": Reply(how="reset"),
}


@pytest.mark.parametrize("provider", [*WIRES, "vertex"])  # one whose requests the SDK itself sends
@pytest.mark.parametrize("name", BROKEN)
def test_no_answer_is_transient(provider: str, name: str) -> None:
    assert fault(provider, BROKEN[name]).kind == "transient"


@pytest.mark.parametrize("provider", [*WIRES, "vertex"])
@pytest.mark.parametrize("how", ["silence", "drip", "endless"])
def test_the_whole_call_ends_with_the_timeout(provider: str, how: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drip keeps every single read short, and a body that never ends must not fill the memory."""
    monkeypatch.setattr(wire, "LARGEST", 1 << 20)
    body = b" " * 65_536 if how == "endless" else b'{"choices": "'
    found = fault(provider, Reply(body, how=how), timeout=5.0 if how == "endless" else 0.3)
    assert found.kind == "transient" and ("1,048,576" in str(found)) is (how == "endless")


@pytest.mark.parametrize("provider", WIRES)
def test_an_answer_may_be_large(provider: str) -> None:
    """20 MB, whole and compressed."""
    text = "A long chapter. " * (20_000_000 // 16)
    form = form_of(provider)
    body = chat({"content": text}) if form == "openai" else response([spoken(text)]) if form == "responses" else message([said(text)])
    raw = encoded(body)
    for reply in (Reply(raw), Reply(gzip.compress(raw, 1), headers={"content-encoding": "gzip"})):
        result, _ = ask(provider, reply, timeout=60.0)
        assert isinstance(result, Response) and result.text == text and json.loads(result.raw) == body


@pytest.mark.parametrize("provider", WIRES)
def test_a_fault_leaves_the_teacher_able(provider: str) -> None:
    """After a reset, a drip that was cut off and an error the next request is answered."""
    script = [Reply(how="reset"), Reply(b"{", how="drip"), Reply(error(provider, "api_error"), 500), Reply(encoded(good(provider)))]

    async def go() -> list[str]:
        async with WireServer(script) as server:
            teacher = teacher_of(endpoint(provider, server.url, timeout=0.5))
            ends = []
            for number in range(len(script)):
                try:
                    ends.append(str((await teacher.answer(request(provider, sample=number))).outcome))
                except TeacherFault as found:
                    ends.append(found.kind)
            await teacher.close()
            return ends

    assert asyncio.run(go()) == ["transient", "transient", "transient", "answered"]
