"""The nouns that flow: Row, Request, Response, Verdict; frozen, and identified by what they are, never by when or where.

Identity is the digest of a canonical JSON form. `k1:` (requests) and `r1:` (rows) name the form, so that a later change of the
canonical form or of the digest shows. Never part of an identity: API key, time, host, port, run, worker, retry.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import orjson

NANO = 1_000_000_000
"""Money is counted in whole nano-dollars, so that sums are exact: 1 USD = 10^9."""


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces. Raises TypeError, naming the place, on what has no stable form."""
    if _plainly_stable(value):
        try:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)  # the same bytes as below, ten times as fast
        except TypeError:  # a whole number over 64 bits, a lone surrogate
            pass
    else:
        _check_stable(value, "value")
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", errors="surrogatepass")


def digest(value: Any, size: int = 16) -> str:
    """Hex blake2b of the canonical form; `size` in bytes."""
    return hashlib.blake2b(canonical_json(value), digest_size=size).hexdigest()


def _plainly_stable(value: Any) -> bool:
    """True for the common case, mappings and lists of texts and everyday numbers, at a tenth of the cost of naming places."""
    kind = type(value)
    if kind is dict:
        return all(type(key) is str and (type(item) in _ATOMS or _plainly_stable(item)) for key, item in value.items())
    if kind is list or kind is tuple:
        return all(type(item) in _ATOMS or _plainly_stable(item) for item in value)
    if kind is float:  # within these bounds both writers spell a fraction alike, without an exponent
        return bool(1e-3 <= abs(value) < 1e15 or value == 0)
    return kind in _ATOMS


_ATOMS = frozenset({str, int, bool, type(None)})


def _check_stable(value: Any, where: str) -> None:
    if value is None or isinstance(value, str | bool | int):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{where} is {value}, which has no stable JSON form; use null or a string")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r} of type {type(key).__name__}; keys must be strings")
            _check_stable(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_stable(item, f"{where}[{index}]")
    else:
        raise TypeError(f"{where} is a {type(value).__name__}, which has no stable JSON form; convert it to text, number, list or mapping")


@dataclass(frozen=True, slots=True)
class Row:
    """One record on its way down the line. `fields` are what prompts, filters and the release see."""

    id: str
    parent: str
    """Id of the row this one was made from; empty for a seed's row."""
    seed: str
    """Id of the seed's row at the root; a part is a bucket of these."""
    fields: Mapping[str, Any]
    calls: Mapping[str, str] = field(default_factory=dict)
    """Step name -> request key of every answer that went into the row."""

    @classmethod
    def of_seed(cls, fields: Mapping[str, Any]) -> Row:
        identity = "r1:" + digest(["seed", dict(fields)], size=10)
        return cls(id=identity, parent="", seed=identity, fields=fields)

    def child(self, step: str, index: int, fields: Mapping[str, Any], round_: int = 0) -> Row:
        """A row below this one. Its id covers parent, step, index and round, and nothing else."""
        identity = "r1:" + digest([self.id, step, index, round_], size=10)
        return Row(id=identity, parent=self.id, seed=self.seed, fields={**self.fields, **fields}, calls=self.calls)

    def having(self, fields: Mapping[str, Any], calls: Mapping[str, str] | None = None) -> Row:
        """The same row with more fields (and calls)."""
        return replace(self, fields={**self.fields, **fields}, calls={**self.calls, **(calls or {})})


class Outcome(StrEnum):
    """How a request ended. All but `failed` are final: recorded, and replayed instead of asked again."""

    ANSWERED = "answered"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    FILTERED = "filtered"
    MALFORMED = "malformed"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a teacher. `key` is its identity and the ledger's primary key."""

    provider: str
    """Which wire protocol: `openai` or `anthropic`."""
    label: str
    """The endpoint: '' for the provider's own, else the given label or the origin of base_url; a digest for a simulator."""
    model: str
    messages: tuple[tuple[str, str], ...]
    """(role, text) in order; role is system, user or assistant."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Sampling and output parameters under their wire names: max_tokens, temperature, stop, ..."""
    schema: Mapping[str, Any] | None = None
    """JSON schema of the wanted answer, or None for free text."""
    sample: int = 0
    attempt: int = 0
    """0, or the number of a deliberate second ask (truncated, malformed)."""
    head: int = field(default=0, compare=False)
    """So many leading characters of the messages are the same for every row of the step: what a prompt cache can hold. It changes no
    answer, so it is no part of the identity."""
    key: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", "k1:" + digest(self.identity()))

    @classmethod
    def of(cls, identity: Mapping[str, Any]) -> Request:
        """The request with this identity; the key comes out the same."""
        return cls(**{**identity, "messages": tuple((role, text) for role, text in identity["messages"])})

    def identity(self) -> dict[str, Any]:
        """What the key covers, as plain JSON; the ledger keeps it beside the answer so that keys can be derived again."""
        return {
            "provider": self.provider,
            "label": self.label,
            "model": self.model,
            "messages": [list(message) for message in self.messages],
            "params": dict(self.params),
            "schema": self.schema,
            "sample": self.sample,
            "attempt": self.attempt,
        }


@dataclass(frozen=True, slots=True)
class Spend:
    """What requests take out of a budget: worst cases while they are open, what was used when they have ended."""

    cost: int = 0
    """Nano-dollars."""
    tokens: int = 0
    """Input and output together."""
    requests: int = 0

    def __add__(self, other: Spend) -> Spend:
        return Spend(self.cost + other.cost, self.tokens + other.tokens, self.requests + other.requests)

    def __sub__(self, other: Spend) -> Spend:
        return Spend(self.cost - other.cost, self.tokens - other.tokens, self.requests - other.requests)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, normalised once at the adapter: `input` includes cached ones, whatever the provider's habit."""

    input: int = 0
    output: int = 0
    cached: int = 0
    """Part of `input` that was read from the provider's prompt cache."""
    cache_write: int = 0
    """Part of `input` that was written to it."""
    reasoning: int = 0
    """Part of `output` spent on reasoning."""
    long_write: int = 0
    """Part of `cache_write` that is to stay for an hour, which Anthropic sells at a price of its own."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: text, and reasoning apart from text."""

    outcome: Outcome
    text: str = ""
    reasoning: str = ""
    stop_reason: str = ""
    """The provider's own word."""
    usage: Usage = Usage()
    cost: int = 0
    """Nano-dollars."""
    model: str = ""
    """As echoed by the provider."""
    request_id: str = ""
    fingerprint: str = ""
    logprobs: Sequence[Mapping[str, Any]] | None = None
    """[{token, logprob, top: [{token, logprob}]}]; top-k, hence biased, where the provider gives them."""
    seconds: float = 0.0
    error: str = ""
    """Why the outcome is not `answered`."""
    simulated: bool = False
    planted: str = ""
    """The defect a simulator says it planted; only simulators say, and no operator sees it."""
    batch: str = ""
    """Tag of the paid batch that brought it; empty online."""
    raw: str = ""
    """The body as received."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one operator found about one row: data beside the rows, for kept rows too."""

    row: str
    step: str
    operator: str
    version: int
    keep: bool
    reason: str = ""
    """A short snake_case word, counted in the funnel; empty when kept."""
    score: float | None = None
    evidence: str = ""
    """The words that decided, cut at 200 characters."""
    field: str = ""
    span_start: int | None = None
    span_end: int | None = None
    """The field that was judged, and from which to which character of it the evidence stands, where it does."""
