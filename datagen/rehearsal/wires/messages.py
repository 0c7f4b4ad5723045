"""Anthropic's Messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from datagen.rehearsal.wires import Answer, Asked, Prefix, Said, WrongShape
from datagen.rehearsal.wires.reading import messages_of, named, positive, prefixes_at, stops_of, text_of, with_bounds

WITHOUT_SAMPLING = "2026-10-21"
"""The API version since which sampling parameters are refused."""


def read(request: dict[str, Any], model: str, headers: Mapping[str, str]) -> Asked:
    """The request. Raises WrongShape as the provider would."""
    version = headers.get("anthropic-version", "")
    if not version:
        raise WrongShape("anthropic-version: header is required")
    refused = [name for name in ("temperature", "top_p", "top_k") if name in request]
    if refused and version >= WITHOUT_SAMPLING:
        raise WrongShape(f"{refused[0]}: this parameter is not supported on this model", param=refused[0])
    if "max_tokens" not in request:
        raise WrongShape("max_tokens: Field required", param="max_tokens")
    said = messages_of(request.get("messages"), ("user", "assistant"))
    system = "" if request.get("system") is None else text_of(request["system"], "system")
    return Asked(
        wire="anthropic", model=model, system=system, messages=said, schema=_schema(request.get("output_config")),
        thinks=_thinks(request.get("thinking")), max_tokens=positive(request["max_tokens"], "max_tokens"),
        stop=stops_of(request.get("stop_sequences")), prefixes=_marked(request, model),
        **named(model, (("system", system), *said), headers),
    )  # fmt: skip


def _marked(request: Mapping[str, Any], model: str) -> tuple[Prefix, ...]:
    """The prefixes that end at a cache mark: of a block, or of the whole prompt (`cache_control` of the request)."""
    text, ends = "", []
    for piece, marked in _blocks(request):
        text += piece + "\x1e"
        if marked:
            ends.append(len(text))
    if request.get("cache_control"):
        ends.append(len(text))
    return prefixes_at(model, text, ends) if ends else ()


def _blocks(request: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """(text, marked) of every block, in the order in which the model reads them."""
    for content in (request.get("system") or "", *(message["content"] for message in request["messages"])):
        if isinstance(content, str):
            yield content, False
        else:
            for block in content:
                yield block["text"], bool(block.get("cache_control"))


def _schema(config: Any) -> Mapping[str, Any] | None:
    wanted = config.get("format") if isinstance(config, dict) else None
    if wanted is None:
        return None
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict):
        raise WrongShape("output_config.format: must be json_schema with a schema", param="output_config.format")
    schema: dict[str, Any] = with_bounds(wanted["schema"])
    return schema


def _thinks(thinking: Any) -> bool:
    if thinking is None:
        return False
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if kind not in ("adaptive", "enabled", "disabled", "between_tools"):
        raise WrongShape("thinking.type: must be adaptive, enabled, disabled or between_tools")
    if kind == "enabled" and not (isinstance(thinking.get("budget_tokens"), int) and thinking["budget_tokens"] >= 1024):
        raise WrongShape("thinking.budget_tokens: must be at least 1024")
    return kind in ("adaptive", "enabled")


def body(asked: Asked, answer: Answer, said: Said, identifier: str) -> dict[str, Any]:
    """A message. Its `input_tokens` leave out what the cache read or wrote."""
    content: list[dict[str, Any]] = []
    if asked.thinks and answer.reasoning:
        content.append({"type": "thinking", "thinking": answer.reasoning, "signature": f"sim{identifier}"})
    if said.text:
        content.append({"type": "text", "text": said.text, "citations": None})
    reason = "refusal" if answer.refused else {"stop": "end_turn", "length": "max_tokens"}.get(said.ended, "stop_sequence")
    read, written = said.cached.read, said.cached.written
    return {
        "id": f"msg_{identifier}", "type": "message", "role": "assistant", "model": asked.model, "content": content,
        "stop_reason": reason, "stop_sequence": said.ended if reason == "stop_sequence" else None,
        "usage": {
            "input_tokens": said.input - read - written, "output_tokens": said.output,
            "cache_creation_input_tokens": written, "cache_read_input_tokens": read,
            "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
            "output_tokens_details": {"thinking_tokens": said.thought}, "service_tier": "standard",
        },
    }  # fmt: skip
