"""Messages through the anthropic SDK: the Claude models."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from datagen.asking.teachers import wire
from datagen.asking.teachers.base import Endpoint, Limits
from datagen.errors import TeacherFault
from datagen.records import Outcome, Request, Response, Usage

if TYPE_CHECKING:
    import httpx2

OWN_ADDRESS = "https://api.anthropic.com"
RESERVED = frozenset({"model", "messages", "system", "stream"})
STOPS = {
    "end_turn": Outcome.ANSWERED,
    "stop_sequence": Outcome.ANSWERED,
    "max_tokens": Outcome.TRUNCATED,
    "model_context_window_exceeded": Outcome.TRUNCATED,
    "refusal": Outcome.REFUSED,
}
"""Any other word is malformed: `tool_use` and `pause_turn` wait for something that we never send."""


class AnthropicTeacher:
    """One SDK client per process, and `client.post` in place of `messages.create`, as with OpenAI."""

    def __init__(self, endpoint: Endpoint) -> None:
        import anthropic

        self._endpoint = endpoint
        self._headers: Mapping[str, str] = {}
        self._reply_type = wire.reply_type()
        self._transform = anthropic.transform_schema
        self._client = anthropic.AsyncAnthropic(
            api_key=endpoint.api_key or "none",
            base_url=endpoint.base_url or OWN_ADDRESS,
            max_retries=0,
            timeout=wire.timeouts(endpoint),
            http_client=anthropic.DefaultAioHttpClient(timeout=wire.timeouts(endpoint), limits=wire.limits(endpoint)),
            open_telemetry=False,
        )

    async def answer(self, request: Request) -> Response:
        """One message. Raises TeacherFault where there is none."""
        content = wire.encode(self.body(request))
        started = perf_counter()
        headers = wire.identity(self._endpoint, request)
        call = self._client.post("/v1/messages", content=content, cast_to=self._reply_type, options={"headers": headers})
        reply = await wire.send(self._endpoint, call)
        self._headers = reply.headers
        return self._read(reply, perf_counter() - started)

    def limits(self) -> Limits:
        """What the last good answer's headers said is left."""
        return wire.limits_of(self._headers)

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.close()

    def body(self, request: Request) -> dict[str, Any]:
        """The request as the wire wants it. Raises TeacherFault `rejected` on parameters that are ours to set."""
        wire.refuse_reserved(request, RESERVED)
        turns = [{"role": role, "content": text} for role, text in request.messages if role != "system"]
        body: dict[str, Any] = {"model": request.model, "messages": turns}
        system = "\n\n".join(text for role, text in request.messages if role == "system")
        if system:
            body["system"] = system
        body.update(request.params)
        if request.schema is not None and self._endpoint.native_schema:
            body["output_config"] = {**(body.get("output_config") or {}), "format": {"type": "json_schema", "schema": self._schema(request.schema)}}
        return body

    def _schema(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return self._transform(dict(schema))
        except (ValueError, TypeError, AttributeError, AssertionError) as error:
            fault = TeacherFault("rejected", f"the schema has no form that {self._endpoint.provider} takes: {error}")
        raise fault

    def _read(self, reply: httpx2.Response, seconds: float) -> Response:
        raw, payload = wire.body_of(self._endpoint, reply)
        content = payload.get("content")
        if not isinstance(content, list):
            raise wire.unreadable(self._endpoint, reply, raw, "no content")
        blocks = wire.parts(content)
        stop = wire.word(payload.get("stop_reason"))
        outcome, text, error = _judge(blocks, stop, wire.part(payload, "stop_details"))
        simulated = self._endpoint.simulated
        return Response(
            outcome=outcome,
            text=text,
            reasoning="\n\n".join(filter(None, (wire.word(block.get("thinking")) for block in blocks if block.get("type") == "thinking"))),
            stop_reason=stop,
            usage=usage_of(payload),
            model=wire.word(payload.get("model")),
            request_id=reply.headers.get("request-id", "") or wire.word(payload.get("id")),
            seconds=seconds,
            error=error,
            simulated=simulated,
            planted=reply.headers.get("x-datagen-planted", "") if simulated else "",
            raw=raw,
        )


def _judge(blocks: list[dict[str, Any]], stop: str, details: Mapping[str, Any]) -> tuple[Outcome, str, str]:
    """(outcome, text, error) of the content blocks and the stop reason."""
    text = "".join(wire.word(block.get("text")) for block in blocks if block.get("type") == "text")
    outcome = STOPS.get(stop, Outcome.MALFORMED)
    if outcome is Outcome.REFUSED:
        said = [wire.word(details.get("category")), wire.word(details.get("explanation"))]
        return outcome, text, ": ".join(["refusal", *filter(None, said)])
    if outcome is Outcome.ANSWERED:
        return (outcome, text, "") if text.strip() else (Outcome.MALFORMED, text, "empty text")
    return outcome, text, f"stop_reason {stop}" if outcome is Outcome.TRUNCATED else f"stop_reason {stop!r} is no end of an answer"


def usage_of(payload: Mapping[str, Any]) -> Usage:
    """Tokens as billed. Anthropic's `input_tokens` leaves out what was read from or written to the cache; ours does not."""
    usage = wire.part(payload, "usage")
    read, written = wire.count(usage, "cache_read_input_tokens"), wire.count(usage, "cache_creation_input_tokens")
    output = wire.count(usage, "output_tokens")
    return Usage(
        input=wire.count(usage, "input_tokens") + read + written,
        output=output,
        cached=read,
        cache_write=written,
        reasoning=min(wire.count(wire.part(usage, "output_tokens_details"), "thinking_tokens"), output),
    )
