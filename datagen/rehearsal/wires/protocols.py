"""Which path speaks which protocol, and the way from a request to an answer's bytes in each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from datagen.rehearsal.wires import Answer, Asked, Cached, Reply, Said, Wire, WrongShape, chat, embeddings, messages, responses, tokens


@dataclass(frozen=True, slots=True)
class Protocol:
    """One endpoint that answers."""

    wire: Wire
    read: Callable[[dict[str, Any], str, Mapping[str, str]], Asked]
    body: Callable[[Asked, Answer, Said, str], dict[str, Any]]


PROTOCOLS: dict[str, Protocol] = {
    "/v1/chat/completions": Protocol("openai", chat.read, chat.body),
    "/v1/embeddings": Protocol("openai", embeddings.read, embeddings.body),
    "/v1/messages": Protocol("anthropic", messages.read, messages.body),
    "/v1/responses": Protocol("openai", responses.read, responses.body),
}


def read(protocol: Protocol, headers: Mapping[str, str], content: bytes) -> Asked:
    """The request. Raises WrongShape as the provider would."""
    check_key(headers)
    try:
        request = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise WrongShape(f"the body is not JSON: {error}") from None
    return shaped(protocol, headers, request)


def check_key(headers: Mapping[str, str]) -> None:
    """Raises WrongShape where a request names no API key."""
    if "authorization" not in headers and "x-api-key" not in headers:
        raise WrongShape("no API key: the simulator takes any, as in 'Authorization: Bearer rehearsal'", 401)


def shaped(protocol: Protocol, headers: Mapping[str, str], request: Any) -> Asked:
    """The request, from parsed JSON: a body of its own, or a line of a batch."""
    if not isinstance(request, dict):
        raise WrongShape("the body must be a JSON object")
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise WrongShape("model: a name is required", param="model")
    if request.get("stream"):
        raise WrongShape("stream: the simulator does not stream", param="stream")
    return protocol.read(request, model, headers)


def write(protocol: Protocol, asked: Asked, answer: Answer, cached: Cached, size: int = 0) -> Reply:
    """The body of a 200. With `size`, the text runs on to that many bytes, as from a model that does not find its end."""
    text, ended = _fitted(asked, answer)
    if size:
        text, ended = (text + "\n") * (size // max(1, len(text)) + 1), "length"
    thought = tokens(answer.reasoning)
    output = 0 if asked.dimensions else min(tokens(text) + thought + 1, asked.max_tokens)
    said = Said(text, ended, asked.prompt_tokens, output, min(thought, output), cached)
    identifier = hashlib.blake2b(asked.identity.encode(errors="surrogatepass"), digest_size=12).hexdigest()
    return Reply(orjson.dumps(protocol.body(asked, answer, said, identifier)), said.input, output, said.thought, cached)


def _fitted(asked: Asked, answer: Answer) -> tuple[str, str]:
    """The text cut at a stop sequence or at max_tokens; (text, stop | length | the stop sequence)."""
    text, ended = answer.text, "stop"
    for mark in asked.stop:
        before, found, _ = text.partition(mark)
        if found:
            text, ended = before, mark
    room = max(0, (asked.max_tokens - tokens(answer.reasoning)) * 4)
    return (text[:room], "length") if len(text) > room else (text, ended)
