"""What every adapter does with one request; and what a plan must know of its provider before anything is paid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from datagen.asking.teachers import wire
from datagen.asking.teachers.base import Endpoint, HeaderLimits
from datagen.asking.teachers.headers import limits_of
from datagen.errors import SetupError, TeacherFault
from datagen.records import Outcome, Request, Response, Usage

if TYPE_CHECKING:
    from datagen.asking.teachers.base import Batches

Refused = Callable[[str, Mapping[str, Any]], dict[str, str]]
"""(model, params) -> each parameter that the provider would refuse, or that is ours to set: what to do instead."""


@dataclass(frozen=True, slots=True)
class About:
    """A provider, as far as it is known without its SDK."""

    key: str
    """Environment variable of the API key."""
    refused: Refused
    needs_key: bool = True
    """False where the cloud's own credentials do."""
    client: Mapping[str, str] = field(default_factory=dict)
    """Words that `client:` must have -> an example."""
    package: str = ""
    """A package that it needs besides the SDK,"""
    extra: str = ""
    """and the extra of ours that brings it."""
    rehearsed_as: str = ""
    """The provider whose wire the simulated teacher speaks in its place; empty: its own."""
    batches: bool = True
    """Whether it has a batch API."""
    models: str = ""
    """A pattern that a model's name must have somewhere; empty: any."""
    only: str = ""
    """What such models are, in words."""
    embeds: bool = False
    """It gives vectors of texts, and answers nothing else."""


class Said(NamedTuple):
    """What the body of a reply says, in our words."""

    outcome: Outcome
    text: str
    reasoning: str
    stop: str
    error: str
    """Why the outcome is not `answered`."""
    usage: Usage
    fingerprint: str = ""
    logprobs: Sequence[Mapping[str, Any]] | None = None


class Adapter:
    """A teacher over an SDK: the SDK gives the client, hence address, headers and connections; a subclass the wire's form and meaning.

    Requests go straight to the SDK's HTTP client. Its own request building costs more than the request (0.47 ms against 0.20), and its
    retries and typed objects are not wanted.
    """

    about: ClassVar[About]
    path: ClassVar[str]
    """Under the client's address."""

    def __init__(self, endpoint: Endpoint, client: Any, line: wire.Line) -> None:
        """`client`: of the SDK."""
        self.endpoint = endpoint
        self._client = client
        self._line = line
        self._last: Mapping[str, str] = {}

    async def answer(self, request: Request) -> Response:
        """One answer. Raises TeacherFault where there is none."""
        body = self.body(request)
        started = perf_counter()
        reply = await wire.send(self.endpoint, self._post(request, body))
        seconds = perf_counter() - started
        self._last = reply.headers
        return self.read(reply.status_code, reply.headers, reply.content, seconds)

    def read(self, status: int, headers: Mapping[str, str], raw: bytes, seconds: float = 0.0) -> Response:
        """The answer in a reply, however it came: online or out of a batch. Raises TeacherFault where there is none."""
        reply = wire.Received(status, headers, raw)
        text, payload = wire.body_of(self.endpoint, reply)
        said = self._said(payload)
        if said is None:
            raise wire.unreadable(self.endpoint, reply, text, "no answer in it")
        simulated = self.endpoint.simulated
        return Response(
            outcome=said.outcome,
            text=said.text,
            reasoning=said.reasoning,
            stop_reason=said.stop,
            usage=said.usage,
            model=wire.word(payload.get("model")),
            request_id=wire.redact(self.endpoint, headers.get("x-request-id") or headers.get("request-id") or wire.word(payload.get("id"))),
            fingerprint=said.fingerprint,
            logprobs=said.logprobs,
            seconds=seconds,
            error=said.error,
            simulated=simulated,
            planted=headers.get("x-datagen-planted", "") if simulated else "",
            raw=text,
        )

    def limits(self) -> HeaderLimits:
        """What the last reply's headers said."""
        return limits_of(self._last)

    def batches(self) -> Batches:
        """The provider's batch API. Raises SetupError where it has none."""
        raise SetupError(f"{self.endpoint.provider} has no batch API here; ask it with `mode: online`")

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.close()

    def body(self, request: Request) -> dict[str, Any]:
        """The request as the wire wants it. Raises TeacherFault `rejected` on what has no such form."""
        raise NotImplementedError

    def form(self, schema: Mapping[str, Any]) -> Any:
        """A JSON schema as the wire wants it."""
        return schema

    def _said(self, payload: Mapping[str, Any]) -> Said | None:
        """What a good reply says; None where there is no answer in it. Raises TeacherFault where it tells of a fault."""
        raise NotImplementedError

    def _url(self, request: Request) -> str:
        """Where the request goes, under the client's address."""
        return self.path

    async def _post(self, request: Request, body: Mapping[str, Any]) -> wire.Received:
        call = self._line.post(self._url(request), wire.encode(body), wire.identity(self.endpoint, request))
        return await wire.received(self.endpoint, call)


class Schemas:
    """Forms of JSON schemas, made once each: every row of a step brings the same object."""

    MOST = 64

    def __init__(self, make: Callable[[Mapping[str, Any]], Any]) -> None:
        self._make = make
        self._made: dict[int, tuple[Mapping[str, Any], Any]] = {}

    def of(self, schema: Mapping[str, Any]) -> Any:
        """Raises what `make` raises."""
        found = self._made.get(id(schema))  # its entry holds the schema, so no other has its id
        if found is None:
            if len(self._made) >= self.MOST:
                self._made.clear()
            found = self._made[id(schema)] = (schema, self._make(schema))
        return found[1]


def refuse(refused: Refused, request: Request) -> None:
    """Parameters that would change what one request is. Raises TeacherFault `rejected`: a plan has refused them before."""
    for name, why in refused(request.model, request.params).items():
        raise TeacherFault("rejected", f"params cannot set {name}: {why}")


def known(words: Mapping[str, str], params: Mapping[str, Any]) -> dict[str, str]:
    """Those of `params` that a table of refusals names."""
    return {name: words[name] for name in params if name in words}
