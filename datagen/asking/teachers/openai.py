"""Chat completions through the openai SDK: OpenAI itself, every compatible server, and Azure."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from datagen.asking.teachers import wire
from datagen.asking.teachers.adapter import About, Adapter, Said, Schemas, known, refuse
from datagen.asking.teachers.base import Endpoint
from datagen.errors import TeacherFault
from datagen.records import Outcome, Request, Usage

if TYPE_CHECKING:
    from datagen.asking.teachers.base import Batches

OWN_ADDRESS = "https://api.openai.com/v1"
ONE = "one request is one sample and one whole answer"
RESERVED = {
    "model": "it is the teacher's `model`",
    "messages": "the prompt says them",
    "n": f"{ONE}; write `samples` on the step",
    "stream": ONE,
    "response_format": "write `returns` on the step",
    "max_completion_tokens": "write `max_tokens` on the teacher: the budget counts with it",
}
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


REASONERS = re.compile(r"^(o[134]|gpt-5)(-(mini|nano|pro|preview))?(-\d{4}-\d\d-\d\d)?$")
"""OpenAI's models that answer 400 to any sampling parameter, as far as that is certain: later ones take some at some efforts."""
_NO_SAMPLING = "this reasoning model takes no sampling parameters; for different answers give different prompts: `vary`, or `sample` in the prompt"
SAMPLING = dict.fromkeys(("temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias"), _NO_SAMPLING)


def refused_params(model: str, params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters that cannot be set here, with what to do instead."""
    return known({**RESERVED, **SAMPLING} if REASONERS.match(model) else RESERVED, params)


class OpenAITeacher(Adapter):
    """One SDK client per process: building one costs 18 ms (TLS)."""

    about = About(key="OPENAI_API_KEY", refused=refused_params)
    path = "/chat/completions"

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint, *client_of(endpoint))
        self._own = endpoint.base_url is None
        self._strict = Schemas(strict)

    def batches(self) -> Batches:
        from datagen.asking.teachers.openai_batch import OpenAIBatches

        return OpenAIBatches(self._client, self)

    def body(self, request: Request) -> dict[str, Any]:
        refuse(self.about.refused, request)
        body: dict[str, Any] = {"model": request.model, "messages": [{"role": role, "content": text} for role, text in request.messages]}
        body.update(request.params)
        if (self._own or REASONERS.match(request.model)) and "max_tokens" in body:
            # OpenAI's reasoning models refuse the old word, most compatible servers do not know the new one.
            body["max_completion_tokens"] = body.pop("max_tokens")
        if request.schema is not None and self.endpoint.native_schema:
            form = {"name": "answer", "schema": self._strict.of(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        if self._own and self.endpoint.cache and request.head:
            body.setdefault("prompt_cache_key", cache_key(request))
        return body

    def form(self, schema: Mapping[str, Any]) -> Any:
        return self._strict.of(schema)

    def _said(self, payload: Mapping[str, Any]) -> Said | None:
        choices = payload.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            return None
        stop = wire.word(choice.get("finish_reason"))
        if stop in BROKEN_STOPS:
            raise TeacherFault("transient", f"{self.endpoint.provider} broke the answer off: {stop}", status=200)
        outcome, text, reasoning, error = self._judge(choice["message"], stop)
        usage, fingerprint = usage_of(payload), wire.word(payload.get("system_fingerprint"))
        return Said(outcome, text, reasoning, stop, error, usage, fingerprint, logprobs_of(wire.part(choice, "logprobs").get("content")))

    def _judge(self, message: Mapping[str, Any], stop: str) -> tuple[Outcome, str, str, str]:
        """(outcome, text, reasoning, error) of a message and its finish reason."""
        reasoning = wire.word(message.get("reasoning_content")) or wire.word(message.get("reasoning"))
        refusal = wire.word(message.get("refusal"))
        if refusal:
            return Outcome.REFUSED, refusal, reasoning, "the model refused"
        text, thought = parts_of(message.get("content"))
        reasoning = reasoning or thought
        if not self._own and not reasoning:
            reasoning, text = split_thought(text)
        if message.get("tool_calls") or message.get("function_call"):
            return Outcome.MALFORMED, text, reasoning, "a tool call in place of an answer"
        outcome = STOPS.get(stop, Outcome.MALFORMED)
        if outcome is Outcome.MALFORMED:
            return outcome, text, reasoning, f"unknown finish_reason {stop!r}"
        if outcome is Outcome.ANSWERED:
            return (outcome, text, reasoning, "") if text.strip() else (Outcome.MALFORMED, text, reasoning, "empty text")
        return outcome, text, reasoning, f"finish_reason {stop}"


class AzureTeacher(OpenAITeacher):
    """A deployment on Azure: OpenAI's models at an address of one's own, with the deployment's name in it."""

    about = About(
        key="AZURE_OPENAI_API_KEY",
        refused=refused_params,
        client={"azure_endpoint": "https://NAME.openai.azure.com", "api_version": "2025-04-01-preview"},
        rehearsed_as="openai",
    )

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._own = True

    def _url(self, request: Request) -> str:
        return f"/deployments/{quote(request.model, safe='')}{self.path}"


def client_of(endpoint: Endpoint) -> tuple[Any, wire.Line]:
    """The SDK's client of an endpoint, and the line under it."""
    import openai

    timeout = wire.timeouts(endpoint)
    http = openai.DefaultAioHttpClient(timeout=timeout, limits=wire.limits(endpoint), verify=wire.secured(endpoint))
    common: dict[str, Any] = {"api_key": endpoint.api_key or "none", "max_retries": 0, "timeout": timeout, "http_client": http}
    client: Any
    if endpoint.provider != "azure":
        client = openai.AsyncOpenAI(base_url=endpoint.base_url or OWN_ADDRESS, **common)
    elif endpoint.base_url:
        client = openai.AsyncAzureOpenAI(base_url=endpoint.base_url, api_version=endpoint.client["api_version"], **common)
    else:
        client = openai.AsyncAzureOpenAI(**{**endpoint.client, **common})
    return client, wire.Line(client, http)


def cache_key(request: Request) -> str:
    """`prompt_cache_key`: requests that share a head are sent where it lies in the cache."""
    head = "".join(text for _, text in request.messages)[: request.head]
    return hashlib.blake2b(head.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def parts_of(content: Any) -> tuple[str, str]:
    """(text, reasoning) of a message's content: a text, or the list of parts that some servers send (Mistral's reasoning models)."""
    if not isinstance(content, list):
        return wire.word(content), ""
    parts = wire.parts(content)
    thoughts = [part["thinking"] for part in parts if part.get("type") == "thinking" and part.get("thinking")]
    thought = "\n\n".join(parts_of(each)[0] if isinstance(each, list) else wire.word(each) for each in thoughts)
    return "".join(wire.word(part.get("text")) for part in parts if part.get("type") == "text"), thought


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


def usage_of(payload: Mapping[str, Any], names: tuple[str, str] = ("prompt", "completion")) -> Usage:
    """Tokens as billed. Cached ones are part of `prompt_tokens` here. `names`: what input and output are called.

    `total_tokens` decides where it is larger than the sum: xAI and Gemini bill reasoning that `completion_tokens` leaves out.
    """
    usage, (asked, said) = wire.part(payload, "usage"), names
    prompt, details = wire.count(usage, f"{asked}_tokens"), wire.part(usage, f"{asked}_tokens_details")
    output = max(wire.count(usage, f"{said}_tokens"), wire.count(usage, "total_tokens") - prompt)
    cached = min(wire.count(details, "cached_tokens") or wire.count(usage, "prompt_cache_hit_tokens"), prompt)  # the second is DeepSeek's
    return Usage(
        input=prompt,
        output=output,
        cached=cached,
        cache_write=min(wire.count(details, "cache_write_tokens"), prompt - cached),
        reasoning=min(wire.count(wire.part(usage, f"{said}_tokens_details"), "reasoning_tokens"), output),
    )


def logprobs_of(content: Any) -> Sequence[Mapping[str, Any]] | None:
    """[{token, logprob, top: [{token, logprob}]}], or None where the answer has none."""
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
