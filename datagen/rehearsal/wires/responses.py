"""OpenAI's Responses: output items, reasoning as summaries, and no sampling parameter but what the documentation names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datagen.rehearsal.wires import CREATED, UNLIMITED, Answer, Asked, Said, WrongShape
from datagen.rehearsal.wires.reading import keyed_prefixes, logprobs, messages_of, named, positive, schema_of, top_of

LEAST_TOKENS = 16
"""Of max_output_tokens, as the provider has it."""
PARAMETERS = frozenset(
    {
        "access_programs", "background", "context_management", "conversation", "image", "include", "input", "instructions", "max_output_tokens",
        "max_tool_calls", "metadata", "model", "moderation", "parallel_tool_calls", "previous_response_id", "prompt", "prompt_cache_key",
        "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "service_tier", "store", "stream",
        "stream_options", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user",
    }
)  # fmt: skip
"""Everything that the endpoint takes; `stop`, `seed`, `n` and `messages` are not among it, and are refused."""
_ROLES = ("system", "developer", "user", "assistant")
_WITH_LOGPROBS = "message.output_text.logprobs"


def read(request: dict[str, Any], model: str, headers: Mapping[str, str]) -> Asked:
    """The request. Raises WrongShape as the provider would."""
    for name in request:
        if name not in PARAMETERS:
            raise WrongShape(f"Unknown parameter: '{name}'.", param=name)
    said = _said(request)
    limit = request.get("max_output_tokens")
    text, reasoning = _part(request, "text"), _part(request, "reasoning")
    wanted = _WITH_LOGPROBS in (request.get("include") or ())
    top = top_of(request.get("top_logprobs"))
    return Asked(
        wire="openai", model=model,
        system="\n\n".join(text for role, text in said if role in ("system", "developer")),
        messages=tuple(one for one in said if one[0] in ("user", "assistant")),
        schema=schema_of(text.get("format"), "text.format"),
        thinks=reasoning.get("effort") not in (None, "none") or bool(reasoning.get("summary")),
        max_tokens=UNLIMITED if limit is None else positive(limit, "max_output_tokens", LEAST_TOKENS),
        top_logprobs=top if wanted else None,
        prefixes=keyed_prefixes(model, request.get("prompt_cache_key"), said),
        echo=_echo(request, text, reasoning, top),
        **named(model, said, headers),
    )  # fmt: skip


def _said(request: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(role, text) of instructions and input."""
    given, instructions = request.get("input"), request.get("instructions")
    first = (("system", instructions),) if isinstance(instructions, str) and instructions else ()
    if isinstance(given, str) and given:
        return (*first, ("user", given))
    return (*first, *messages_of(given, _ROLES, "input"))


def _part(request: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = request.get(name) or {}
    if not isinstance(value, dict):
        raise WrongShape(f"{name}: must be an object", param=name)
    return value


def _echo(request: Mapping[str, Any], text: Mapping[str, Any], reasoning: Mapping[str, Any], top: int) -> Mapping[str, Any]:
    """What the answer says of the request, with the defaults filled in."""
    return {
        "instructions": request.get("instructions"), "max_output_tokens": request.get("max_output_tokens"),
        "metadata": request.get("metadata") or {}, "prompt_cache_key": request.get("prompt_cache_key"),
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")}, "store": request.get("store", True),
        "temperature": request.get("temperature", 1.0), "top_p": request.get("top_p", 1.0), "top_logprobs": top,
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": text.get("verbosity") or "medium"},
        "truncation": request.get("truncation") or "disabled", "user": request.get("user"),
        "safety_identifier": request.get("safety_identifier"),
    }  # fmt: skip


def body(asked: Asked, answer: Answer, said: Said, identifier: str) -> dict[str, Any]:
    """A response, with every field that the documentation shows."""
    cut = said.ended == "length"
    usage = {
        "input_tokens": said.input,
        "input_tokens_details": {"cached_tokens": said.cached.read, "cache_write_tokens": said.cached.written},
        "output_tokens": said.output,
        "output_tokens_details": {"reasoning_tokens": said.thought},
        "total_tokens": said.input + said.output,
    }
    echo = {name: value for name, value in asked.echo.items() if name != "store"}
    return {
        "id": f"resp_{identifier}", "object": "response", "created_at": CREATED, "status": "incomplete" if cut else "completed",
        "completed_at": None if cut else CREATED, "background": False, "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None, "model": asked.model,
        "output": _output(asked, answer, said, identifier), "parallel_tool_calls": True, "previous_response_id": None,
        "service_tier": "default", "tool_choice": "auto", "tools": [], "usage": usage, **echo,
    }  # fmt: skip


def _output(asked: Asked, answer: Answer, said: Said, identifier: str) -> list[dict[str, Any]]:
    """A reasoning item where the model reasoned, its summary only where one was asked for; then the message, if the tokens sufficed."""
    items: list[dict[str, Any]] = []
    if asked.thinks:
        told = asked.echo.get("reasoning", {}).get("summary") and answer.reasoning
        items.append({"id": f"rs_{identifier}", "type": "reasoning", "summary": [{"type": "summary_text", "text": told}] if told else []})
    if not said.text:
        return items
    content: dict[str, Any] = {"type": "refusal", "refusal": said.text}
    if not answer.refused:
        content = {"type": "output_text", "text": said.text, "annotations": []}
        content["logprobs"] = [] if asked.top_logprobs is None else logprobs(said.text, asked.top_logprobs)
    status = "incomplete" if said.ended == "length" else "completed"
    items.append({"id": f"msg_{identifier}", "type": "message", "role": "assistant", "status": status, "content": [content]})
    return items
