"""What the readers of all protocols share: messages, counts, schemas, log-probabilities, and who a request is."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from datagen.rehearsal.wires import Prefix, WrongShape, tokens

MOST_LOGPROBS = 20
"""Alternatives to a token, at most: OpenAI's own bound."""
FEWEST_CACHED = 1024
"""Tokens below which neither provider caches a prompt (its models differ above that; this is the lowest bound of either)."""
CACHE_STEP = 128
"""Tokens by which OpenAI's cached prefixes grow."""
_CACHE_STEPS = 64
"""How many such steps the simulator remembers of one prompt."""
_BOUND = re.compile(r"\b(minimum|maximum|minItems|maxItems): (-?\d+(?:\.\d+)?)")


def named(model: str, said: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> dict[str, Any]:
    """identity, key and sample of a request. Raises WrongShape on a sample that is no number."""
    key = headers.get("x-datagen-key", "")
    text = headers.get("x-datagen-sample", "0")
    if not text.isdigit():
        raise WrongShape(f"x-datagen-sample: {text!r} is not a number")
    whose = key or hashlib.blake2b(orjson.dumps([model, said]), digest_size=16).hexdigest()
    return {"identity": f"{whose}:{int(text)}", "key": key, "sample": int(text)}


def messages_of(messages: Any, roles: tuple[str, ...], where: str = "messages") -> tuple[tuple[str, str], ...]:
    """(role, text) of every message."""
    if not isinstance(messages, list) or not messages:
        raise WrongShape(f"{where}: at least one message is required", param=where)
    said = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in roles:
            raise WrongShape(f"{where}.{index}.role: must be one of {', '.join(roles)}", param=f"{where}.{index}.role")
        said.append((message["role"], text_of(message.get("content"), f"{where}.{index}.content")))
    return tuple(said)


def text_of(content: Any, where: str) -> str:
    """The text of a content that is text, or blocks of text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(block, dict) and isinstance(block.get("text"), str) for block in content):
        return "".join(block["text"] for block in content)
    raise WrongShape(f"{where}: must be text, or a list of text blocks", param=where)


def positive(value: Any, name: str, least: int = 1) -> int:
    """A whole number, not below `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        wanted = "a positive integer" if least == 1 else f"an integer, {least} or more"
        raise WrongShape(f"{name}: must be {wanted}", param=name)
    return value


def stops_of(value: Any) -> tuple[str, ...]:
    """Stop sequences."""
    return () if not value else (value,) if isinstance(value, str) else tuple(value)


def top_of(value: Any) -> int:
    """How many alternatives to each token are wanted."""
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_LOGPROBS:
        raise WrongShape(f"top_logprobs: must be an integer from 0 to {MOST_LOGPROBS}", param="top_logprobs")
    return value


def schema_of(form: Any, where: str) -> Mapping[str, Any] | None:
    """The schema of {type: json_schema, schema: ...}; one text field for json_object, None for text."""
    if form is None or (isinstance(form, dict) and form.get("type") == "text"):
        return None
    if isinstance(form, dict) and form.get("type") == "json_object":
        return {"type": "object", "properties": {"text": {"type": "string"}}}
    if not isinstance(form, dict) or form.get("type") != "json_schema" or not isinstance(form.get("schema"), dict):
        raise WrongShape(f"{where}: must be text, json_object, or json_schema with a schema", param=where)
    schema: Mapping[str, Any] = form["schema"]
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


def keyed_prefixes(model: str, cache_key: Any, said: Sequence[tuple[str, str]]) -> tuple[Prefix, ...]:
    """What OpenAI may have cached of a prompt: 1,024 tokens and every 128 more. The simulator caches only where a `prompt_cache_key` is
    given: a provider finds unnamed prompts again only as its routing has it."""
    if not isinstance(cache_key, str) or not cache_key:
        return ()
    text = "\x1e".join(f"{role}\x1f{content}" for role, content in said)
    ends = range(4 * FEWEST_CACHED, len(text) + 1, 4 * CACHE_STEP)[:_CACHE_STEPS]
    return prefixes_at(f"{model}\x1f{cache_key}", text, ends)


def prefixes_at(scope: str, text: str, ends: Sequence[int]) -> tuple[Prefix, ...]:
    """The prefixes of a text that end at the given characters, as far as they are long enough to be cached."""
    running = hashlib.blake2b(scope.encode(errors="surrogatepass"), digest_size=16)
    found: list[Prefix] = []
    at = 0
    for end in ends:
        running.update(text[at:end].encode(errors="surrogatepass"))
        at = end
        if tokens(text[:end]) >= FEWEST_CACHED:
            found.append(Prefix(running.hexdigest(), tokens(text[:end])))
    return tuple(found)


def logprobs(text: str, top: int) -> list[dict[str, Any]]:
    """Invented, stable log-probabilities, a token being a word with the space before it. What a token leaves over is halved from one
    alternative to the next, so that the probabilities of a place stay below 1 in all; the token itself is the first of its alternatives."""
    made = []
    for index, piece in enumerate(_words(text)):
        sure = -0.01 * (1 + (len(piece) * 7 + index * 13) % 60)
        left = math.log(-math.expm1(sure))
        others = [_token(piece if rank == 0 else f"{piece}{rank}", sure if rank == 0 else left - rank * math.log(2)) for rank in range(top)]
        made.append({**_token(piece, sure), "top_logprobs": others})
    return made


def _token(piece: str, logprob: float) -> dict[str, Any]:
    return {"token": piece, "logprob": logprob, "bytes": list(piece.encode(errors="replace"))}


def _words(text: str) -> list[str]:
    pieces = text.split(" ")
    return [pieces[0], *(f" {piece}" for piece in pieces[1:])] if text else []
