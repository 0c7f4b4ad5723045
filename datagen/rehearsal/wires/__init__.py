"""The wire protocols: what a request asks, whatever its shape, and an answer or an error in the provider's own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Wire = Literal["openai", "anthropic"]
"""Whose errors and headers a path speaks."""
CREATED = 1_790_000_000
"""Unix time that every answer claims, so that bodies are a pure function of the request."""
UNLIMITED = 1 << 30
"""Stands for the output limit of a request that names none."""


class WrongShape(Exception):
    """A request that the real provider would answer with 400 (or the given status)."""

    def __init__(self, message: str, status: int = 400, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param


@dataclass(frozen=True, slots=True)
class Prefix:
    """A beginning of a prompt that the provider's cache may hold."""

    name: str
    """Digest of the model and of the text so far."""
    tokens: int


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
    max_tokens: int = UNLIMITED
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    """How many alternatives to a token are wanted; None for no log-probabilities at all."""
    prefixes: tuple[Prefix, ...] = ()
    """What may be cached of the prompt, shortest first."""
    echo: Mapping[str, Any] = field(default_factory=dict)
    """Settings that the answer repeats (Responses)."""
    dimensions: int = 0
    """Numbers of the vector that is wanted in place of an answer."""

    @property
    def user(self) -> str:
        """The last thing the user said."""
        return next((text for role, text in reversed(self.messages) if role == "user"), "")

    @property
    def prompt_tokens(self) -> int:
        """The whole input: four a message and three a request come on top of the texts, as in OpenAI's own recipe."""
        return tokens(self.system) + sum(tokens(message) + 4 for _, message in self.messages) + 3


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


@dataclass(frozen=True, slots=True)
class Cached:
    """What the prompt cache did for one request, in tokens."""

    read: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as it goes out: cut where the request says, with what it cost."""

    text: str
    ended: str
    """stop, length, or the stop sequence that was met."""
    input: int
    """All of the prompt, cached or not."""
    output: int
    thought: int
    """Part of `output`."""
    cached: Cached


@dataclass(frozen=True, slots=True)
class Reply:
    """A body with the numbers that the statement of account needs."""

    body: bytes
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cached: Cached
    planted: str = ""


def tokens(text: str) -> int:
    """A plausible count: four characters a token."""
    return (len(text) + 3) // 4
