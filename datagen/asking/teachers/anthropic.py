"""Messages through the anthropic SDK: the Claude models, at Anthropic, on Bedrock and on Vertex."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from datagen.asking.teachers import wire
from datagen.asking.teachers.adapter import About, Adapter, Said, Schemas, known, refuse
from datagen.asking.teachers.base import Endpoint
from datagen.errors import TeacherFault
from datagen.records import Outcome, Request, Usage

if TYPE_CHECKING:
    from datagen.asking.teachers.base import Batches

OWN_ADDRESS = "https://api.anthropic.com"
ONE = "one request is one sample and one whole answer"
RESERVED = {
    "model": "it is the teacher's `model`",
    **dict.fromkeys(("messages", "system"), "the prompt says it"),
    "stream": ONE,
}
_NO_SAMPLING = "today's Claude models have no sampling parameters; for different answers give different prompts: `vary`, or `sample` in the prompt"
_NOT_HERE = "the Messages API has no such parameter"
CLAUDE = {
    **dict.fromkeys(("temperature", "top_p", "top_k"), _NO_SAMPLING),
    **dict.fromkeys(("logprobs", "top_logprobs", "logit_bias", "frequency_penalty", "presence_penalty"), _NOT_HERE),
    "n": f"{_NOT_HERE}, and {ONE}; write `samples` on the step",
    "seed": f"{_NOT_HERE}; a recorded answer is replayed in any case",
    "stop": f"{_NOT_HERE}; write `stop_sequences: [...]`",
    "reasoning_effort": f"{_NOT_HERE}; write `output_config: {{effort: ...}}`",
    "response_format": "write `returns` on the step",
    **dict.fromkeys(("max_output_tokens", "max_completion_tokens"), "write `max_tokens` on the teacher: the budget counts with it"),
}
"""What a Claude model answers with a 400, request after request. Other models behind this wire take some of it."""
CLAUDES = r"claude|anthropic|^arn:"
"""What a cloud's model must be called to be spoken to here: other models there have other wires."""
CACHED_FROM = 3_000
"""Characters. Prompts under 1,024 tokens (4,096 with some models) are not cached, so a mark there would do nothing."""
STOPS = {
    "end_turn": Outcome.ANSWERED,
    "stop_sequence": Outcome.ANSWERED,
    "max_tokens": Outcome.TRUNCATED,
    "model_context_window_exceeded": Outcome.TRUNCATED,
    "refusal": Outcome.REFUSED,
}
"""Any other word is malformed: `tool_use` and `pause_turn` wait for something that we never send."""


def refused_params(model: str, params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters that cannot be set here, with what to do instead."""
    return known({**RESERVED, **CLAUDE} if "claude" in model.lower() else RESERVED, params)


def refused_in_clouds(model: str, params: Mapping[str, Any]) -> dict[str, str]:
    """The same where every model is a Claude, whatever its name (an ARN, an inference profile)."""
    return known({**RESERVED, **CLAUDE}, params)


class AnthropicTeacher(Adapter):
    """One SDK client per process, as with OpenAI."""

    about = About(key="ANTHROPIC_API_KEY", refused=refused_params)
    path = "/v1/messages"

    def __init__(self, endpoint: Endpoint) -> None:
        import anthropic

        super().__init__(endpoint, *client_of(endpoint))
        transform = anthropic.transform_schema
        self._forms = Schemas(lambda schema: transform(dict(schema)))

    def batches(self) -> Batches:
        from datagen.asking.teachers.anthropic_batch import AnthropicBatches

        return AnthropicBatches(self._client, self)

    def body(self, request: Request) -> dict[str, Any]:
        refuse(self.about.refused, request)
        turns: list[dict[str, Any]] = [{"role": role, "content": text} for role, text in request.messages if role != "system"]
        body: dict[str, Any] = {"model": request.model, "messages": turns}
        system = "\n\n".join(text for role, text in request.messages if role == "system")
        if system:
            body["system"] = system
        body.update(request.params)
        if request.schema is not None and self.endpoint.native_schema:
            body["output_config"] = {**(body.get("output_config") or {}), "format": {"type": "json_schema", "schema": self.form(request.schema)}}
        if self.endpoint.cache and request.head >= CACHED_FROM:
            _mark(body, request.head)
        return body

    def form(self, schema: Mapping[str, Any]) -> Any:
        try:
            return self._forms.of(schema)
        except (ValueError, TypeError, AttributeError, AssertionError) as error:
            fault = TeacherFault("rejected", f"the schema has no form that {self.endpoint.provider} takes: {error}")
        raise fault

    def _said(self, payload: Mapping[str, Any]) -> Said | None:
        content = payload.get("content")
        if not isinstance(content, list):
            return None
        blocks = wire.parts(content)
        stop = wire.word(payload.get("stop_reason"))
        outcome, text, error = _judge(blocks, stop, wire.part(payload, "stop_details"))
        thoughts = (wire.word(block.get("thinking")) for block in blocks if block.get("type") == "thinking")
        return Said(outcome, text, "\n\n".join(filter(None, thoughts)), stop, error, usage_of(payload))


class _CloudTeacher(AnthropicTeacher):
    """A cloud's client signs each request, and moves the model from the body into the address: so the SDK builds it."""

    def batches(self) -> Batches:
        return Adapter.batches(self)

    async def _post(self, request: Request, body: Mapping[str, Any]) -> wire.Received:
        wire.encode(body)  # for its clear refusal
        options = {"headers": wire.identity(self.endpoint, request), "follow_redirects": False}
        call = self._client.post(self.path, body=dict(body), cast_to=wire.reply_type(), options=options, stream=True, stream_cls=object)
        return await wire.received(self.endpoint, call)


class BedrockTeacher(_CloudTeacher):
    """Claude on Bedrock, with a Bedrock API key, else with AWS credentials as boto3 finds them: environment, profile, role."""

    about = About(
        key="AWS_BEARER_TOKEN_BEDROCK",
        refused=refused_in_clouds,
        needs_key=False,
        client={"aws_region": "us-east-1"},
        package="boto3",
        extra="bedrock",
        rehearsed_as="anthropic",
        batches=False,
        models=CLAUDES,
        only="Claude models",
    )


class VertexTeacher(_CloudTeacher):
    """Claude on Vertex, with an access token, else with Google's application default credentials."""

    about = About(
        key="VERTEX_ACCESS_TOKEN",
        refused=refused_in_clouds,
        needs_key=False,
        client={"project_id": "my-project", "region": "global"},
        package="google.auth",
        extra="vertex",
        rehearsed_as="anthropic",
        batches=False,
        models=CLAUDES,
        only="Claude models",
    )


def client_of(endpoint: Endpoint) -> tuple[Any, wire.Line]:
    """The SDK's client of an endpoint, and the line under it. Addresses are ours: an environment variable must not move them."""
    import anthropic

    timeout = wire.timeouts(endpoint)
    http = anthropic.DefaultAioHttpClient(timeout=timeout, limits=wire.limits(endpoint), verify=wire.secured(endpoint))
    words: dict[str, Any] = {"max_retries": 0, "timeout": timeout, "http_client": http, "open_telemetry": False}
    key, address = endpoint.api_key, endpoint.base_url
    client: Any
    if endpoint.provider == "bedrock":
        words |= {**endpoint.client, "base_url": address or f"https://bedrock-runtime.{endpoint.client['aws_region']}.amazonaws.com"}
        client = anthropic.AsyncAnthropicBedrock(api_key=key or None, **words)
    elif endpoint.provider == "vertex":
        words |= {**endpoint.client, "base_url": address or _vertex(endpoint.client["region"])}
        client = anthropic.AsyncAnthropicVertex(access_token=key or None, **words)
    else:
        client = anthropic.AsyncAnthropic(api_key=key or "none", base_url=address or OWN_ADDRESS, **words)
    return client, wire.Line(client, http)


def _vertex(region: str) -> str:
    """Google's address of a region, as the SDK has it."""
    host = {"global": "aiplatform", "us": "aiplatform.us.rep", "eu": "aiplatform.eu.rep"}.get(region, f"{region}-aiplatform")
    return f"https://{host}.googleapis.com/v1"


def _mark(body: dict[str, Any], head: int) -> None:
    """Split the text where the shared head ends and mark that place for the cache. The model sees the same text.

    One mark holds all that stands before it, the system prompt included. Its ttl is that of the spec's own `cache_control`, since a longer
    one may not follow a shorter.
    """
    mark = body.get("cache_control") or {"type": "ephemeral"}
    system, first = body.get("system", ""), body["messages"][0] if body["messages"] else {"content": ""}
    left = head - len(system)
    pieces = _split(first["content"], left, mark)
    if pieces:
        first["content"] = pieces
    elif pieces := _split(system, min(head, len(system)), mark):
        body["system"] = pieces


def _split(text: str, at: int, mark: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The text as a marked block and the rest, cut before a word so that no token is torn; [] where there is nothing to mark."""
    if 0 < at < len(text):
        at = max(text.rfind("\n", 0, at) + 1, text.rfind(" ", 0, at)) or at
    if at <= 0 or not text[:at].strip():
        return []
    if not text[at:].strip():  # no block may be empty
        at = len(text)
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text[:at], "cache_control": mark}]
    return [*blocks, {"type": "text", "text": text[at:]}] if text[at:] else blocks


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
        long_write=min(wire.count(wire.part(usage, "cache_creation"), "ephemeral_1h_input_tokens"), written),
    )
