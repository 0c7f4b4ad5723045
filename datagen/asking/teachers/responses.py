"""OpenAI's Responses API, which gives summaries of the model's reasoning; through the same SDK client as chat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datagen.asking.teachers import wire
from datagen.asking.teachers.adapter import About, Said, known, refuse
from datagen.asking.teachers.openai import ONE, REASONERS, SAMPLING, OpenAITeacher, cache_key, logprobs_of, split_thought, usage_of
from datagen.errors import TeacherFault
from datagen.records import Outcome, Request

_NOT_HERE = "the Responses API has no such parameter"
RESERVED = {
    **dict.fromkeys(("input", "instructions", "messages"), "the prompt says it"),
    **dict.fromkeys(("stream", "background", "conversation", "previous_response_id"), ONE),
    **dict.fromkeys(("stop", "logit_bias", "frequency_penalty", "presence_penalty"), f"{_NOT_HERE}; `model: openai/...` asks by chat"),
    "model": "it is the teacher's `model`",
    "n": f"{_NOT_HERE}, and {ONE}; write `samples` on the step",
    "seed": f"{_NOT_HERE}; a recorded answer is replayed in any case",
    "logprobs": f"{_NOT_HERE}; write `include: [message.output_text.logprobs]` and `top_logprobs`",
    "reasoning_effort": f"{_NOT_HERE}; write `reasoning: {{effort: ..., summary: auto}}`",
    "response_format": "write `returns` on the step",
    **dict.fromkeys(("max_output_tokens", "max_completion_tokens"), "write `max_tokens` on the teacher: the budget counts with it"),
}
CUTS = {"max_output_tokens": Outcome.TRUNCATED, "content_filter": Outcome.FILTERED}
"""Why a response is incomplete. Any other word is malformed."""


def refused_params(model: str, params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters that cannot be set here, with what to do instead."""
    return known({**RESERVED, **SAMPLING} if REASONERS.match(model) else RESERVED, params)


class ResponsesTeacher(OpenAITeacher):
    """A provider of its own in request keys: the same model and words are another question here."""

    about = About(key="OPENAI_API_KEY", refused=refused_params)
    path = "/responses"

    def body(self, request: Request) -> dict[str, Any]:
        """Nothing is stored at the provider unless the spec says so: whoever asks keeps the answers here."""
        refuse(self.about.refused, request)
        system = "\n\n".join(text for role, text in request.messages if role == "system")
        turns = [{"role": role, "content": text} for role, text in request.messages if role != "system"]
        body: dict[str, Any] = {"model": request.model, "input": turns, "store": False}
        if system:
            body["instructions"] = system
        body.update(request.params)
        if "max_tokens" in body:
            body["max_output_tokens"] = body.pop("max_tokens")
        if request.schema is not None and self.endpoint.native_schema:
            form = {"type": "json_schema", "name": "answer", "schema": self._strict.of(request.schema), "strict": True}
            body["text"] = {**(body.get("text") or {}), "format": form}
        if self._own and self.endpoint.cache and request.head:
            body.setdefault("prompt_cache_key", cache_key(request))
        return body

    def _said(self, payload: Mapping[str, Any]) -> Said | None:
        items = payload.get("output")
        if not isinstance(items, list):
            return None
        output, status = wire.parts(items), wire.word(payload.get("status"))
        if status in ("failed", "cancelled", "queued", "in_progress"):
            # One with an error in it has become a fault already.
            raise TeacherFault("transient", f"{self.endpoint.provider} gave a response that is {status}", status=200)
        cut = wire.word(wire.part(payload, "incomplete_details").get("reason"))
        stop = cut or status
        spoken = _spoken(output)
        text, reasoning = "".join(wire.word(piece.get("text")) for piece in spoken if piece.get("type") == "output_text"), _reasoning(output)
        if not self._own and not reasoning:
            reasoning, text = split_thought(text)
        tokens = [token for piece in spoken for token in logprobs_of(piece.get("logprobs")) or ()]
        refusal = "".join(wire.word(piece.get("refusal")) for piece in spoken if piece.get("type") == "refusal")
        called = any(wire.word(item.get("type")).endswith("_call") for item in output)
        outcome, error = _judge(text, refusal, called, stop)
        usage = usage_of(payload, ("input", "output"))
        return Said(outcome, refusal or text, reasoning, stop, error, usage, logprobs=tokens or None)


def _judge(text: str, refusal: str, called: bool, stop: str) -> tuple[Outcome, str]:
    if refusal:
        return Outcome.REFUSED, "the model refused"
    if stop == "completed":
        if called:
            return Outcome.MALFORMED, "a tool call in place of an answer"
        return (Outcome.ANSWERED, "") if text.strip() else (Outcome.MALFORMED, "empty text")
    outcome = CUTS.get(stop, Outcome.MALFORMED)
    return outcome, f"incomplete: {stop}" if outcome is not Outcome.MALFORMED else f"unknown end {stop!r}"


def _spoken(output: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts of the answer. Models of today may say first what they are about to do (`phase: commentary`), which is no part of it."""
    messages = [item for item in output if item.get("type") == "message"]
    final = [message for message in messages if message.get("phase") == "final_answer"]
    return [piece for message in final or messages for piece in wire.parts(message.get("content"))]


def _reasoning(output: list[dict[str, Any]]) -> str:
    """The reasoning itself, where an open server gives it, else OpenAI's summary of it."""
    thoughts = [item for item in output if item.get("type") == "reasoning"]
    for where in ("content", "summary"):
        found = [wire.word(piece.get("text")) for item in thoughts for piece in wire.parts(item.get(where))]
        if any(found):
            return "\n\n".join(filter(None, found))
    return ""
