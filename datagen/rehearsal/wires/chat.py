"""OpenAI's Chat Completions, which every compatible server speaks too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datagen.rehearsal.wires import CREATED, UNLIMITED, Answer, Asked, Said, WrongShape
from datagen.rehearsal.wires.reading import keyed_prefixes, logprobs, messages_of, named, positive, schema_of, stops_of, top_of


def read(request: dict[str, Any], model: str, headers: Mapping[str, str]) -> Asked:
    """The request. Raises WrongShape as the provider would."""
    said = messages_of(request.get("messages"), ("system", "developer", "user", "assistant"))
    if request.get("n", 1) != 1:
        raise WrongShape("n: the simulator gives one answer per request", param="n")
    limit = request.get("max_completion_tokens") or request.get("max_tokens") or UNLIMITED
    top = top_of(request.get("top_logprobs"))
    if top and not request.get("logprobs"):
        raise WrongShape("top_logprobs: logprobs must be true where it is used", param="top_logprobs")
    return Asked(
        wire="openai", model=model,
        system="\n\n".join(text for role, text in said if role in ("system", "developer")),
        messages=tuple(one for one in said if one[0] in ("user", "assistant")),
        schema=_schema(request.get("response_format")),
        thinks=request.get("reasoning_effort") not in (None, "none"),
        max_tokens=positive(limit, "max_tokens"), stop=stops_of(request.get("stop")),
        top_logprobs=top if request.get("logprobs") else None,
        prefixes=keyed_prefixes(model, request.get("prompt_cache_key"), said),
        **named(model, said, headers),
    )  # fmt: skip


def _schema(form: Any) -> Mapping[str, Any] | None:
    """Chat keeps the schema one level further down than Responses."""
    if isinstance(form, dict) and form.get("type") == "json_schema":
        inner = form.get("json_schema")
        form = {**(inner if isinstance(inner, dict) else {}), "type": "json_schema"}
    return schema_of(form, "response_format")


def body(asked: Asked, answer: Answer, said: Said, identifier: str) -> dict[str, Any]:
    """A chat completion. Reasoning stands in `reasoning_content`, as compatible servers give it."""
    message: dict[str, Any] = {"role": "assistant", "content": said.text, "refusal": None, "annotations": []}
    if answer.refused:
        message |= {"content": None, "refusal": said.text}
    if asked.thinks:
        message["reasoning_content"] = answer.reasoning
    told = None if asked.top_logprobs is None else logprobs(said.text, asked.top_logprobs)
    places = None if told is None else {"content": None, "refusal": told} if answer.refused else {"content": told, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": places, "finish_reason": "length" if said.ended == "length" else "stop"}
    return {
        "id": f"chatcmpl-{identifier}", "object": "chat.completion", "created": CREATED, "model": asked.model, "choices": [choice],
        "usage": {
            "prompt_tokens": said.input, "completion_tokens": said.output, "total_tokens": said.input + said.output,
            "prompt_tokens_details": {"cached_tokens": said.cached.read, "cache_write_tokens": said.cached.written, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": said.thought, "audio_tokens": 0, "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0},
        },
        "service_tier": "default", "system_fingerprint": "fp_simulated",
    }  # fmt: skip
