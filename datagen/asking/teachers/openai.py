"""Chat completions through the openai SDK: OpenAI itself and every compatible server."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from datagen.asking.teachers import wire
from datagen.asking.teachers.base import Endpoint, Limits
from datagen.errors import TeacherFault
from datagen.records import Outcome, Request, Response, Usage

if TYPE_CHECKING:
    import httpx2

OWN_ADDRESS = "https://api.openai.com/v1"
RESERVED = frozenset({"model", "messages", "n", "stream"})
STOPS = {
    "stop": Outcome.ANSWERED,
    "eos_token": Outcome.ANSWERED,  # text-generation-inference
    "stop_sequence": Outcome.ANSWERED,
    "length": Outcome.TRUNCATED,
    "content_filter": Outcome.FILTERED,
}
"""Any other word is malformed: a cut answer taken for a whole one is worse than one asked again."""
BROKEN_STOPS = frozenset({"error", "insufficient_system_resource"})
"""The upstream gave up midway (OpenRouter, DeepSeek): a fault, not an answer."""
LOWEST_LOGPROB = -9999.0
"""What OpenAI sends for a token that is out of reach; stands for -Infinity and NaN of other servers."""


class OpenAITeacher:
    """One SDK client per process: building one costs 18 ms (TLS), a call through `client.post` half of `create`."""

    def __init__(self, endpoint: Endpoint) -> None:
        import openai

        self._endpoint = endpoint
        self._headers: Mapping[str, str] = {}
        self._reply_type = wire.reply_type()
        self._client = openai.AsyncOpenAI(
            api_key=endpoint.api_key or "none",
            base_url=endpoint.base_url or OWN_ADDRESS,
            max_retries=0,
            timeout=wire.timeouts(endpoint),
            http_client=openai.DefaultAioHttpClient(timeout=wire.timeouts(endpoint), limits=wire.limits(endpoint)),
        )

    async def answer(self, request: Request) -> Response:
        """One completion. Raises TeacherFault where there is none."""
        content = wire.encode(self.body(request))
        started = perf_counter()
        headers = wire.identity(self._endpoint, request)
        call = self._client.post("/chat/completions", content=content, cast_to=self._reply_type, options={"headers": headers})
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
        body: dict[str, Any] = {"model": request.model, "messages": [{"role": role, "content": text} for role, text in request.messages]}
        body.update(request.params)
        if self._endpoint.base_url is None and "max_tokens" in body:
            # OpenAI's reasoning models refuse the old word, most compatible servers do not know the new one.
            body["max_completion_tokens"] = body.pop("max_tokens")
        if request.schema is not None and self._endpoint.native_schema:
            form = {"name": "answer", "schema": strict(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        return body

    def _read(self, reply: httpx2.Response, seconds: float) -> Response:
        raw, payload = wire.body_of(self._endpoint, reply)
        choices = payload.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            raise wire.unreadable(self._endpoint, reply, raw, "no choices")
        stop = wire.word(choice.get("finish_reason"))
        if stop in BROKEN_STOPS:
            raise TeacherFault("transient", f"openai broke the answer off: {stop}", status=reply.status_code, body=raw[: wire.BODY_CUT])
        outcome, text, reasoning, error = self._judge(choice["message"], stop)
        simulated = self._endpoint.simulated
        return Response(
            outcome=outcome,
            text=text,
            reasoning=reasoning,
            stop_reason=stop,
            usage=usage_of(payload),
            model=wire.word(payload.get("model")),
            request_id=reply.headers.get("x-request-id", "") or wire.word(payload.get("id")),
            fingerprint=wire.word(payload.get("system_fingerprint")),
            logprobs=logprobs_of(choice),
            seconds=seconds,
            error=error,
            simulated=simulated,
            planted=reply.headers.get("x-datagen-planted", "") if simulated else "",
            raw=raw,
        )

    def _judge(self, message: Mapping[str, Any], stop: str) -> tuple[Outcome, str, str, str]:
        """(outcome, text, reasoning, error) of a message and its finish reason."""
        reasoning = wire.word(message.get("reasoning_content")) or wire.word(message.get("reasoning"))
        refusal = wire.word(message.get("refusal"))
        if refusal:
            return Outcome.REFUSED, refusal, reasoning, "the model refused"
        text = wire.word(message.get("content"))
        if self._endpoint.base_url is not None and not reasoning:
            reasoning, text = split_thought(text)
        if message.get("tool_calls") or message.get("function_call"):
            return Outcome.MALFORMED, text, reasoning, "a tool call in place of an answer"
        outcome = STOPS.get(stop, Outcome.MALFORMED)
        if outcome is Outcome.MALFORMED:
            return outcome, text, reasoning, f"unknown finish_reason {stop!r}"
        if outcome is Outcome.ANSWERED:
            return (outcome, text, reasoning, "") if text.strip() else (Outcome.MALFORMED, text, reasoning, "empty text")
        return outcome, text, reasoning, f"finish_reason {stop}"


def split_thought(text: str) -> tuple[str, str]:
    """(reasoning, answer) of content that begins with a `<think>` block.

    Chat templates that open the block themselves (DeepSeek-R1, QwQ) leave only its end in the content, so a lone `</think>` ends one
    too. A block that never ends is all reasoning, and the answer is empty.
    """
    opened = text.lstrip().startswith("<think>")
    if not opened and ("<think>" in text or text.count("</think>") != 1):
        return "", text
    thought, _, answer = text.lstrip().removeprefix("<think>").partition("</think>")
    return thought.strip(), answer.lstrip()


def usage_of(payload: Mapping[str, Any]) -> Usage:
    """Tokens as billed. Cached ones are part of `prompt_tokens` here.

    `total_tokens` decides where it is larger than the sum: xAI and Gemini bill reasoning that `completion_tokens` leaves out.
    """
    usage = wire.part(payload, "usage")
    prompt, details = wire.count(usage, "prompt_tokens"), wire.part(usage, "prompt_tokens_details")
    output = max(wire.count(usage, "completion_tokens"), wire.count(usage, "total_tokens") - prompt)
    cached = min(wire.count(details, "cached_tokens") or wire.count(usage, "prompt_cache_hit_tokens"), prompt)  # the second is DeepSeek's
    return Usage(
        input=prompt,
        output=output,
        cached=cached,
        cache_write=min(wire.count(details, "cache_write_tokens"), prompt - cached),
        reasoning=min(wire.count(wire.part(usage, "completion_tokens_details"), "reasoning_tokens"), output),
    )


def logprobs_of(choice: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | None:
    """[{token, logprob, top: [{token, logprob}]}], or None where the answer has none."""
    content = wire.part(choice, "logprobs").get("content")
    if not isinstance(content, list):
        return None
    return [{**_token(item), "top": [_token(other) for other in wire.parts(item.get("top_logprobs"))]} for item in wire.parts(content)]


def _token(item: Mapping[str, Any]) -> dict[str, Any]:
    value = item.get("logprob")
    finite = isinstance(value, int | float) and math.isfinite(value)
    return {"token": wire.word(item.get("token")), "logprob": float(value) if finite and value is not None else LOWEST_LOGPROB}


def strict(schema: Any) -> Any:
    """The schema in the form that `strict` demands: every object closed, every property required."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {key: value if key in ("const", "default", "enum", "examples") else _strict_part(key, value) for key, value in schema.items()}
    if closed.get("type") == "object" or "properties" in closed:
        closed["properties"] = closed.get("properties", {})
        closed["required"] = list(closed["properties"])
        closed["additionalProperties"] = False
    return closed


def _strict_part(key: str, value: Any) -> Any:
    # Below these two the keys are names of the caller's, a property called `properties` included.
    if key in ("properties", "$defs", "definitions") and isinstance(value, Mapping):
        return {name: strict(item) for name, item in value.items()}
    return strict(value)
