"""The two wire protocols: what a request asks, whatever its shape, and an answer or an error in the provider's own words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

Wire = Literal["openai", "anthropic"]
CREATED = 1_790_000_000
"""Unix time that every answer claims, so that bodies are a pure function of the request."""


class WrongShape(Exception):
    """A request that the real provider would answer with 400 (or the given status)."""

    def __init__(self, message: str, status: int = 400, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, whatever wire it came by."""

    wire: Wire
    identity: str
    """What the answer depends on: key and sample if the client named them, else a digest of model, messages and sample."""
    key: str
    sample: int
    model: str
    system: str
    messages: tuple[tuple[str, str], ...]
    """(role, text), system messages left out."""
    schema: Mapping[str, Any] | None = None
    thinks: bool = False
    max_tokens: int = 1 << 30
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    cached: int = 0
    """Input tokens under a cache mark."""

    @property
    def user(self) -> str:
        """The last thing the user said."""
        return next((text for role, text in reversed(self.messages) if role == "user"), "")


@dataclass(slots=True)
class Answer:
    """What the simulated teacher says."""

    text: str
    reasoning: str = ""
    refused: bool = False
    """The provider's own refusal, outside the text."""
    planted: str = ""
    fields: dict[str, Any] | None = field(default=None)
    """The answer as fields, where a schema was given; `text` is their JSON."""


def tokens(text: str) -> int:
    """A plausible count: four characters a token."""
    return (len(text) + 3) // 4


def read(wire: Wire, headers: Mapping[str, str], body: bytes) -> Asked:
    """The request. Raises WrongShape as the provider would."""
    if "authorization" not in headers and "x-api-key" not in headers:
        raise WrongShape("no API key: the simulator takes any, as in 'Authorization: Bearer rehearsal'", 401)
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise WrongShape(f"the body is not JSON: {error}") from None
    if not isinstance(request, dict):
        raise WrongShape("the body must be a JSON object")
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise WrongShape("model: a name is required", param="model")
    if request.get("stream"):
        raise WrongShape("stream: the simulator does not stream", param="stream")
    return (_read_openai if wire == "openai" else _read_anthropic)(request, model, headers)


def _read_openai(request: dict[str, Any], model: str, headers: Mapping[str, str]) -> Asked:
    said = _messages(request, ("system", "developer", "user", "assistant"))
    if request.get("n", 1) != 1:
        raise WrongShape("n: the simulator gives one answer per request", param="n")
    limit = request.get("max_completion_tokens") or request.get("max_tokens") or 1 << 30
    top = request.get("top_logprobs", 0) if request.get("logprobs") else None
    effort = request.get("reasoning_effort")
    return Asked(
        wire="openai", model=model,
        system="\n\n".join(text for role, text in said if role in ("system", "developer")),
        messages=tuple(one for one in said if one[0] in ("user", "assistant")),
        schema=_openai_schema(request.get("response_format")),
        thinks=effort not in (None, "none"),
        max_tokens=_positive(limit, "max_tokens"), stop=_stops(request.get("stop")), top_logprobs=top,
        **_named(model, said, headers),
    )  # fmt: skip


def _read_anthropic(request: dict[str, Any], model: str, headers: Mapping[str, str]) -> Asked:
    version = headers.get("anthropic-version", "")
    if not version:
        raise WrongShape("anthropic-version: header is required")
    refused = [name for name in ("temperature", "top_p", "top_k") if name in request]
    if refused and version >= "2026-10-21":
        raise WrongShape(f"{refused[0]}: this parameter is not supported on this model", param=refused[0])
    if "max_tokens" not in request:
        raise WrongShape("max_tokens: Field required", param="max_tokens")
    said = _messages(request, ("user", "assistant"))
    system, cached = _system_blocks(request.get("system"))
    return Asked(
        wire="anthropic", model=model, system=system, messages=said, schema=_anthropic_schema(request.get("output_config")),
        thinks=_thinks(request.get("thinking")), max_tokens=_positive(request["max_tokens"], "max_tokens"),
        stop=_stops(request.get("stop_sequences")), cached=cached, **_named(model, (("system", system), *said), headers),
    )  # fmt: skip


def _named(model: str, said: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> dict[str, Any]:
    key = headers.get("x-datagen-key", "")
    text = headers.get("x-datagen-sample", "0")
    if not text.isdigit():
        raise WrongShape(f"x-datagen-sample: {text!r} is not a number")
    whose = key or hashlib.blake2b(orjson.dumps([model, said]), digest_size=16).hexdigest()
    return {"identity": f"{whose}:{int(text)}", "key": key, "sample": int(text)}


def _messages(request: Mapping[str, Any], roles: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise WrongShape("messages: at least one message is required", param="messages")
    said = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in roles:
            raise WrongShape(f"messages.{index}.role: must be one of {', '.join(roles)}", param=f"messages.{index}.role")
        said.append((message["role"], _text_of(message.get("content"), f"messages.{index}.content")))
    return tuple(said)


def _text_of(content: Any, where: str) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(block, dict) and isinstance(block.get("text"), str) for block in content):
        return "\n\n".join(block["text"] for block in content)
    raise WrongShape(f"{where}: must be text, or a list of text blocks", param=where)


def _system_blocks(system: Any) -> tuple[str, int]:
    """(text, tokens up to the last cache mark)."""
    if system is None:
        return "", 0
    text = _text_of(system, "system")
    marked = isinstance(system, list) and any("cache_control" in block for block in system)
    return text, tokens(text) if marked else 0


def _positive(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise WrongShape(f"{name}: must be a positive integer", param=name)
    return value


def _stops(value: Any) -> tuple[str, ...]:
    return () if not value else (value,) if isinstance(value, str) else tuple(value)


def _openai_schema(wanted: Any) -> Mapping[str, Any] | None:
    if wanted is None or (isinstance(wanted, dict) and wanted.get("type") == "text"):
        return None
    if isinstance(wanted, dict) and wanted.get("type") == "json_object":
        return {"type": "object", "properties": {"text": {"type": "string"}}}
    schema = wanted.get("json_schema", {}).get("schema") if isinstance(wanted, dict) else None
    if not isinstance(schema, dict):
        raise WrongShape("response_format: must be text, json_object, or json_schema with a schema", param="response_format")
    return schema


def _anthropic_schema(config: Any) -> Mapping[str, Any] | None:
    wanted = config.get("format") if isinstance(config, dict) else None
    if wanted is None:
        return None
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict):
        raise WrongShape("output_config.format: must be json_schema with a schema", param="output_config.format")
    schema: dict[str, Any] = with_bounds(wanted["schema"])
    return schema


def with_bounds(schema: Any) -> Any:
    """The schema with the bounds that the Anthropic SDK writes into descriptions, `{minimum: 0, maximum: 1}`, as a reader understands them."""
    if isinstance(schema, list):
        return [with_bounds(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: with_bounds(item) for name, item in schema.items()}
    for name, number in _BOUND.findall(str(schema.get("description", ""))):
        found.setdefault(name, float(number) if "." in number else int(number))
    return found


_BOUND = re.compile(r"\b(minimum|maximum|minItems|maxItems): (-?\d+(?:\.\d+)?)")


def _thinks(thinking: Any) -> bool:
    if thinking is None:
        return False
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if kind not in ("adaptive", "enabled", "disabled", "between_tools"):
        raise WrongShape("thinking.type: must be adaptive, enabled, disabled or between_tools")
    if kind == "enabled" and not (isinstance(thinking.get("budget_tokens"), int) and thinking["budget_tokens"] >= 1024):
        raise WrongShape("thinking.budget_tokens: must be at least 1024")
    return kind in ("adaptive", "enabled")


@dataclass(frozen=True, slots=True)
class Reply:
    """A body with the numbers that the statement of account needs."""

    body: bytes
    input_tokens: int
    output_tokens: int


def write(asked: Asked, answer: Answer) -> Reply:
    """The body of a 200."""
    text, ended = _fitted(asked, answer)
    said = tokens(asked.system) + sum(tokens(message) + 4 for _, message in asked.messages) + 3
    thought = tokens(answer.reasoning)
    spent = min(tokens(text) + thought + 1, asked.max_tokens)
    form = _openai_body if asked.wire == "openai" else _anthropic_body
    return Reply(orjson.dumps(form(asked, answer, text, ended, said, spent, thought)), said, spent)


def _fitted(asked: Asked, answer: Answer) -> tuple[str, str]:
    """The text cut at a stop sequence or at max_tokens; (text, stop | length | the stop sequence)."""
    text, ended = answer.text, "stop"
    for mark in asked.stop:
        before, found, _ = text.partition(mark)
        if found:
            text, ended = before, mark
    room = max(0, (asked.max_tokens - tokens(answer.reasoning)) * 4)
    return (text[:room], "length") if len(text) > room else (text, ended)


def _identifier(asked: Asked) -> str:
    return hashlib.blake2b(asked.identity.encode(errors="surrogatepass"), digest_size=12).hexdigest()


def _openai_body(asked: Asked, answer: Answer, text: str, ended: str, said: int, spent: int, thought: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    if answer.refused:
        message |= {"content": None, "refusal": text}
    if asked.thinks:
        message["reasoning_content"] = answer.reasoning
    logprobs = None if asked.top_logprobs is None else {"content": _logprobs(text, asked), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "length" if ended == "length" else "stop"}
    return {
        "id": f"chatcmpl-{_identifier(asked)}", "object": "chat.completion", "created": CREATED, "model": asked.model, "choices": [choice],
        "usage": {
            "prompt_tokens": said, "completion_tokens": spent, "total_tokens": said + spent,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": min(thought, spent), "audio_tokens": 0, "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0},
        },
        "service_tier": "default", "system_fingerprint": "fp_simulated",
    }  # fmt: skip


def _logprobs(text: str, asked: Asked) -> list[dict[str, Any]]:
    """Invented, stable log-probabilities, a token being a word with the space before it."""
    made = []
    for index, piece in enumerate(_words(text)):
        sure = -0.01 * (1 + (len(piece) * 7 + index * 13) % 60)
        others = [
            {"token": piece if rank == 0 else f"{piece}{rank}", "logprob": sure - 1.5 * rank, "bytes": None}
            for rank in range(asked.top_logprobs or 0)
        ]
        made.append({"token": piece, "logprob": sure, "bytes": list(piece.encode()), "top_logprobs": others})
    return made


def _words(text: str) -> list[str]:
    pieces = text.split(" ")
    return [pieces[0], *(f" {piece}" for piece in pieces[1:])] if text else []


def _anthropic_body(asked: Asked, answer: Answer, text: str, ended: str, said: int, spent: int, thought: int) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if asked.thinks and answer.reasoning:
        content.append({"type": "thinking", "thinking": answer.reasoning, "signature": f"sim{_identifier(asked)}"})
    if text:
        content.append({"type": "text", "text": text, "citations": None})
    reason = "refusal" if answer.refused else {"stop": "end_turn", "length": "max_tokens"}.get(ended, "stop_sequence")
    return {
        "id": f"msg_{_identifier(asked)}", "type": "message", "role": "assistant", "model": asked.model, "content": content,
        "stop_reason": reason, "stop_sequence": ended if reason == "stop_sequence" else None,
        "usage": {
            "input_tokens": said - asked.cached, "output_tokens": spent, "cache_creation_input_tokens": 0, "cache_read_input_tokens": asked.cached,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens_details": {"thinking_tokens": min(thought, spent)}, "service_tier": "standard",
        },
    }  # fmt: skip


_KINDS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "invalid_request_error"),
    401: ("invalid_request_error", "invalid_api_key", "authentication_error"),
    404: ("invalid_request_error", "unknown_url", "not_found_error"),
    405: ("invalid_request_error", "method_not_supported", "invalid_request_error"),
    413: ("invalid_request_error", None, "request_too_large"),
    429: ("requests", "rate_limit_exceeded", "rate_limit_error"),
    500: ("server_error", None, "api_error"),
    503: ("service_unavailable_error", "overloaded", "overloaded_error"),
    529: ("service_unavailable_error", "overloaded", "overloaded_error"),
}
"""Status -> (OpenAI's type, OpenAI's code, Anthropic's type)."""


def error_body(wire: Wire, status: int, message: str, param: str | None = None) -> bytes:
    """An error in the provider's own form."""
    kind, code, name = _KINDS[status]
    if wire == "openai":
        return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})
    return orjson.dumps({"type": "error", "error": {"type": name, "message": message}, "request_id": "req_simulated"})


def limit_headers(wire: Wire) -> tuple[tuple[str, str], ...]:
    """Rate-limit headers: room that is never used up, in the provider's own form."""
    if wire == "anthropic":
        kinds = ("requests", "input-tokens", "output-tokens", "tokens")
        ends = (("limit", "100000000"), ("remaining", "99999999"), ("reset", "2026-11-21T00:00:01Z"))
        return tuple((f"anthropic-ratelimit-{kind}-{end}", value) for kind in kinds for end, value in ends)
    ends = (("limit", "100000000"), ("remaining", "99999999"), ("reset", "1ms"))
    return tuple((f"x-ratelimit-{end}-{kind}", value) for kind in ("requests", "tokens") for end, value in ends)
