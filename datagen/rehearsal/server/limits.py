"""Requests and tokens per minute, enforced in buckets, with the provider's own headers and its own way of counting.

Each model of each provider has limits of its own. What counts is what the providers document. OpenAI charges on admission: the larger
of `max_tokens` and an estimate from the characters of the prompt, and gives nothing back. Anthropic charges input tokens on admission
without what its prompt cache reads, and output tokens as they are made: `max_tokens` plays no part, a request is let in while anything
is left, and what it takes beyond that is owed. `tokens_per_minute` stands for both of Anthropic's limits. A request that was refused
costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from datagen.rehearsal.wires import UNLIMITED, Asked, Reply, Wire
from datagen.spec.models import SimulatedLimits

Headers = tuple[tuple[str, str], ...]
_NAMES = {"requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)"}
_KINDS: dict[Wire, tuple[str, ...]] = {
    "openai": ("requests", "tokens"),
    "anthropic": ("requests", "input-tokens", "output-tokens"),
}


@dataclass(slots=True)
class Bucket:
    """Refills evenly, up to `burst` seconds' worth; may be owed to."""

    per_minute: int
    burst: float
    at: float
    level: float = 0.0
    used: float = 0.0
    """All that was ever taken out."""

    def __post_init__(self) -> None:
        self.level = self.full

    @property
    def full(self) -> float:
        return max(1.0, self.per_minute * self.burst / 60)

    def look(self, now: float) -> float:
        """What is in it now."""
        self.level = min(self.full, self.level + (now - self.at) * self.per_minute / 60)
        self.at = now
        return self.level

    def take(self, cost: float) -> None:
        self.level -= cost
        self.used += cost

    def wait(self, cost: float) -> float:
        """Seconds until `cost` fits; what is larger than the bucket fits when it is full."""
        return max(0.0, (min(cost, self.full) - self.level) * 60 / self.per_minute)


@dataclass(slots=True)
class Meter:
    """The buckets of one model."""

    buckets: dict[str, Bucket]
    began: float
    last: float
    admitted: int = 0
    refused: int = 0
    held_back: dict[str, int] = field(default_factory=dict)
    """Refusals by the bucket that was too low."""

    def totals(self) -> dict[str, Any]:
        """What a bench reads. A share of 1 is the limit used to the full; a burst can lift it above that."""
        seconds = self.last - self.began
        given = {kind: bucket.per_minute * seconds / 60 for kind, bucket in self.buckets.items()}
        return {
            "admitted": self.admitted,
            "refused": self.refused,
            "refused_for": self.held_back,
            "seconds": seconds,
            "used": {kind: round(bucket.used) for kind, bucket in self.buckets.items()},
            "share": {kind: bucket.used / given[kind] if given[kind] else 0.0 for kind, bucket in self.buckets.items()},
        }


@dataclass(frozen=True, slots=True)
class Refusal:
    """A 429."""

    message: str
    kind: str
    """OpenAI's error type: requests or tokens."""
    headers: Headers


class Limits:
    """All meters. Where nothing is limited, `enforced` says so, and the headers promise more than anybody uses."""

    def __init__(self, settings: SimulatedLimits, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._meters: dict[tuple[Wire, str], Meter] = {}
        self.enforced = bool(settings.requests_per_minute or settings.tokens_per_minute)

    def admit(self, asked: Asked, cache_reads: int) -> Refusal | None:
        """Let a request in and charge it, or say why not."""
        now = self._clock()
        meter = self._meter(asked, now)
        costs = _costs(asked, cache_reads)
        waits: dict[str, float] = {}
        for kind, bucket in meter.buckets.items():
            bucket.look(now)
            if kind != "requests" and costs[kind] > bucket.per_minute:
                return self._refuse(meter, asked, kind, costs[kind], None)
            if wait := bucket.wait(costs[kind]):
                waits[kind] = wait
        if waits:
            kind = max(waits, key=lambda name: waits[name])
            return self._refuse(meter, asked, kind, costs[kind], waits[kind])
        for kind, bucket in meter.buckets.items():
            bucket.take(costs[kind] if kind != "output-tokens" else 0)
        meter.admitted += 1
        meter.last = now
        return None

    def settle(self, asked: Asked, reply: Reply) -> None:
        """Anthropic's output tokens, once they are made."""
        bucket = self._meter(asked, self._clock()).buckets.get("output-tokens")
        if bucket is not None:
            bucket.take(reply.output_tokens)

    def headers(self, asked: Asked) -> Headers:
        """The limits, what is left, and when all of it is back; as true as `promise` has it."""
        if not self.enforced:
            return _UNLIMITED[asked.wire]
        now = self._clock()
        meter = self._meter(asked, now)
        found: list[tuple[str, str]] = [("date", formatdate(usegmt=True))]
        tightest: tuple[float, str, tuple[str, str, str]] | None = None
        for kind in _KINDS[asked.wire]:
            bucket = meter.buckets.get(kind)
            if bucket is None:
                continue
            left = max(0.0, bucket.look(now))
            values = (str(int(bucket.per_minute * self._settings.promise)), str(int(left * self._settings.promise)), _reset(asked.wire, bucket))
            found += _named(asked.wire, kind, values)
            if kind != "requests" and (tightest is None or left < tightest[0]):
                tightest = (left, kind, values)
        if asked.wire == "anthropic" and tightest is not None:
            found += _named("anthropic", "tokens", tightest[2])  # the most restrictive of the two
        return tuple(found)

    def totals(self) -> dict[str, Any]:
        """By `provider model`."""
        return {f"{wire} {model}": meter.totals() for (wire, model), meter in sorted(self._meters.items())}

    def clear(self) -> None:
        self._meters.clear()

    def _meter(self, asked: Asked, now: float) -> Meter:
        meter = self._meters.get((asked.wire, asked.model))
        if meter is None:
            limits = {
                kind: self._settings.requests_per_minute if kind == "requests" else self._settings.tokens_per_minute for kind in _KINDS[asked.wire]
            }
            buckets = {kind: Bucket(limit, self._settings.burst, now) for kind, limit in limits.items() if limit}
            meter = self._meters[asked.wire, asked.model] = Meter(buckets, now, now)
        return meter

    def _refuse(self, meter: Meter, asked: Asked, kind: str, cost: int, wait: float | None) -> Refusal:
        """`wait` is None for what is larger than a whole minute's worth: waiting would never end."""
        meter.refused += 1
        meter.held_back[kind] = meter.held_back.get(kind, 0) + 1
        bucket = meter.buckets[kind]
        type_ = "requests" if kind == "requests" else "tokens"
        again: Headers = () if wait is None else (("retry-after", str(math.ceil(wait))),)
        if asked.wire == "openai" and wait is not None:
            again = (("retry-after-ms", str(math.ceil(wait * 1000))), *again)
        return Refusal(_message(asked, kind, bucket, cost, wait), type_, (*again, *self.headers(asked)))


def _costs(asked: Asked, cache_reads: int) -> dict[str, int]:
    """What a request is charged on admission."""
    prompt = asked.prompt_tokens
    if asked.wire == "anthropic":
        return {"requests": 1, "input-tokens": max(0, prompt - cache_reads), "output-tokens": 1}
    return {"requests": 1, "tokens": max(prompt, asked.max_tokens if asked.max_tokens < UNLIMITED else 0)}


def _message(asked: Asked, kind: str, bucket: Bucket, cost: int, wait: float | None) -> str:
    limit = f"{bucket.per_minute:,}"
    if asked.wire == "anthropic":
        return f"This request would exceed your organization's rate limit of {limit} {kind.replace('-', ' ')} per minute (model: {asked.model})."
    where = f"for {asked.model} in organization org-simulated on {_NAMES[kind]}: Limit {bucket.per_minute}"
    if wait is None:
        return f"Request too large {where}, Requested {cost}. The input or output tokens must be reduced in order to run successfully."
    used = max(0, round(bucket.per_minute - bucket.level))
    return f"Rate limit reached {where}, Used {used}, Requested {cost}. Please try again in {_duration(wait)}."


def _named(wire: Wire, kind: str, values: tuple[str, str, str]) -> Headers:
    """(limit, remaining, reset) under the provider's names."""
    ends = ("limit", "remaining", "reset")
    if wire == "anthropic":
        return tuple((f"anthropic-ratelimit-{kind}-{end}", value) for end, value in zip(ends, values, strict=True))
    return tuple((f"x-ratelimit-{end}-{kind}", value) for end, value in zip(ends, values, strict=True))


def _reset(wire: Wire, bucket: Bucket) -> str:
    """When the bucket is full again: a time of day in whole seconds (Anthropic), or a span."""
    seconds = bucket.wait(bucket.full)
    if wire == "openai":
        return _duration(seconds)
    moment = datetime.fromtimestamp(math.ceil(datetime.now(UTC).timestamp() + seconds), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(seconds: float) -> str:
    """120ms, 1.5s, 6m0s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"


_UNLIMITED: dict[Wire, Headers] = {
    "openai": tuple(pair for kind in ("requests", "tokens") for pair in _named("openai", kind, ("100000000", "99999999", "1ms"))),
    "anthropic": tuple(
        pair
        for kind in ("requests", "input-tokens", "output-tokens", "tokens")
        for pair in _named("anthropic", kind, ("100000000", "99999999", "2026-11-21T00:00:01Z"))
    ),
}
