"""What a teacher is: one request in, one response or one fault out; and the endpoint it speaks to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from datagen.errors import SetupError
from datagen.records import Request, Response


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a teacher listens, and what one process may open to it."""

    provider: str
    """The wire protocol: `openai` or `anthropic`."""
    base_url: str | None
    """None for the provider's own address, whatever the environment says: it is part of what a request key means."""
    api_key: str = field(repr=False)
    timeout: float
    """Seconds one attempt may take; connecting has ten of its own."""
    connections: int
    """Connections kept alive: all of the concurrency, since a TLS handshake costs more than a request."""
    simulated: bool
    """True for the built-in simulator: only it is told the identity of a request, and only it may plant defects."""
    native_schema: bool
    """Whether the server takes a JSON schema; else the schema is left to the prompt."""

    def __post_init__(self) -> None:
        """Raises SetupError for a key that no header can carry, before every single request fails of it."""
        if not (self.api_key.isascii() and self.api_key.isprintable()):
            raise SetupError(f"the API key for {self.provider} holds a line break or a non-ASCII sign, perhaps a typographic quote; set it again")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the provider's rate-limit headers said last; None where they said nothing."""

    requests_left: int | None = None
    tokens_left: int | None = None
    """The smaller one where input and output are limited apart."""
    reset: float | None = None
    """Seconds, from that answer on, until what ran out is full again."""


class Teacher(Protocol):
    """An adapter. It keeps no record, spends no attempt of its own and knows no price."""

    async def answer(self, request: Request) -> Response:
        """Send one request once. Raises TeacherFault, and nothing else, where there is no answer to record."""

    async def close(self) -> None:
        """Give the connections back."""
