"""What a teacher is: one request in, one response or one fault out; the same in paid batches; and the endpoint it speaks to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from datagen.errors import SetupError, TeacherFault
from datagen.records import Request, Response


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a teacher listens, and what one process may open to it."""

    provider: str
    """A name on the teachers shelf: openai, responses, azure, anthropic, bedrock, vertex."""
    base_url: str | None
    """None for the provider's own address, whatever the environment says: it is part of what a request key means."""
    api_key: str = field(repr=False)
    timeout: float
    """Seconds one attempt may take, all in all; of these at most ten to connect."""
    connections: int
    """Connections kept alive: all of the concurrency, since a TLS handshake costs more than a request."""
    simulated: bool
    """True for the built-in simulator: only it is told the identity of a request, and only it may plant defects."""
    native_schema: bool
    """Whether the server takes a JSON schema; else the schema is left to the prompt."""
    client: Mapping[str, str] = field(default_factory=dict)
    """Further arguments of a cloud's SDK client: azure_endpoint, api_version, aws_region, project_id, region."""
    cache: bool = True
    """Whether shared prompt heads are marked for the provider's cache."""

    def __post_init__(self) -> None:
        """Raises SetupError for a key that no header can carry, before every single request fails of it."""
        if not (self.api_key.isascii() and self.api_key.isprintable()):
            raise SetupError(f"the API key for {self.provider} holds a line break or a non-ASCII sign, perhaps a typographic quote; set it again")


@dataclass(frozen=True, slots=True)
class HeaderLimits:
    """What the provider's rate-limit headers said last; None where they said nothing."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """The smaller one where input and output are limited apart."""
    requests_left: int | None = None
    tokens_left: int | None = None
    reset: float | None = None
    """Seconds, from that answer on, until what ran out is full again."""


class Teacher(Protocol):
    """An adapter. It keeps no record, spends no attempt of its own and knows no price."""

    async def answer(self, request: Request) -> Response:
        """Send one request once. Raises TeacherFault, and nothing else, where there is no answer to record."""
        ...

    def limits(self) -> HeaderLimits:
        """What the last reply's headers said."""
        ...

    def batches(self) -> Batches:
        """The provider's batch API. Raises SetupError where it has none."""
        ...

    async def close(self) -> None:
        """Give the connections back."""
        ...


JobState = Literal["validating", "running", "ended", "failed"]
"""`ended`: nothing more will come, and what there is can be read: completed, expired and cancelled jobs alike. `failed`: no request of it
was ever worked on (OpenAI's validation)."""


@dataclass(frozen=True, slots=True)
class Job:
    """A paid batch as the provider tells of it."""

    id: str
    state: JobState
    word: str
    """The provider's own status."""
    created: float
    """Unix seconds, by the provider's clock."""
    requests: int
    """How many were sent; 0 where the provider does not say yet."""
    tag: str = ""
    """Ours, where the provider keeps one (OpenAI's metadata); else empty."""
    done: int = 0
    """Ended so far, well or badly."""
    error: str = ""
    """Why it failed."""
    bad: tuple[int, ...] = ()
    """Requests that made it fail, by their number in the job, from 1; empty where the provider does not name any."""
    files: tuple[str, ...] = ()
    """Where its results lie, as far as they are there: OpenAI's output and error files."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a job says of one request."""

    custom_id: str
    response: Response | None
    fault: TeacherFault | None
    """Exactly one of the two. A fault `rejected` is this request's own; `transient` (an error of the server, expired, cancelled) was not
    billed, and asks again."""


class Batches(Protocol):
    """A provider's batch API. Every method raises TeacherFault, and nothing else, where the provider does not do it."""

    tags: bool
    """Whether a job carries our tag, so that it is found again by it."""
    most: tuple[int, int]
    """Requests and bytes of one job, at most: the provider's own limits."""

    def line(self, request: Request) -> bytes:
        """One request as it stands in the job: its size counts. Raises TeacherFault `rejected` where it has no form."""
        ...

    async def submit(self, lines: Sequence[bytes], tag: str) -> Job:
        """Hand a job over. After a fault `transient` it may have been accepted all the same."""
        ...

    async def job(self, id: str) -> Job:
        """How a job is."""
        ...

    async def jobs(self, since: float) -> list[Job]:
        """Jobs of this account created at `since` (Unix seconds, by the provider's clock) or later, as far as the provider lists them, and
        perhaps some older ones; newest first."""
        ...

    def results(self, job: Job) -> AsyncGenerator[Result]:
        """What an ended job says, request by request, in the provider's order, read as a stream. Custom ids are not checked here."""
        ...

    async def cancel(self, id: str) -> None:
        """Ask for a job's end; what has been answered stays readable."""
        ...


def custom_id(key: str, sample: int) -> str:
    """`k1-<32 hex>-<sample>`: a request's name in a job. Anthropic takes at most 64 of [a-zA-Z0-9_-]."""
    return f"{key.replace(':', '-')}-{sample}"


def key_of(custom_id: str) -> str:
    """The request key in a custom id, or '' where it is none of ours."""
    version, _, rest = custom_id.partition("-")
    digest = rest.partition("-")[0]
    return f"{version}:{digest}" if version == "k1" and len(digest) == 32 else ""
