"""What a request costs and could cost at worst, in whole nano-dollars; and the purse whose caps it must fit under."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time
from fractions import Fraction
from functools import cache
from typing import Any

from datagen.errors import SpecError
from datagen.records import NANO, Request, Spend, Usage

PER_MESSAGE = 16
"""Tokens of role marks and separators around one message (and around the schema); chat templates spend 3 to 12."""
TOOLS = 1_024
"""Tokens that providers add to tell a model what tools are (Anthropic documents up to 700)."""
MILLION = 1_000_000
TOKEN_KEYS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "long_write": "cache_write_1h_mtok",
}
"""Our rates -> the price table's dollars per million tokens."""
LONG_WRITE = 2
"""What writing to a cache for an hour costs in units of plain input, where the table has no rate for it (Anthropic's price list)."""
TABLES = {
    "responses": ("openai",),
    "embeddings": ("openai",),
    "azure": ("azure", "openai"),
    "bedrock": ("aws", "anthropic"),
    "vertex": ("google", "anthropic"),
}
"""Our provider -> the price table's, in the order they are looked through; others have the same name."""
VECTORS = "embeddings"
"""The provider whose answers are vectors: they have no tokens, and the table no price for any."""
_AWS_NAME = re.compile(r"(?:[a-z-]+\.)?anthropic\.(.+?)(?:-v\d+(?::\d+)?)?")
"""`us.anthropic.claude-haiku-4-5-v1:0` on Bedrock is the maker's `claude-haiku-4-5`."""
CALL_KEY = "requests_kcount"
"""Dollars per thousand requests, which a few models add."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates in units of 1/`per` nano-dollar, all whole, so that sums are exact: 1.25 USD per million is 1,250 at `per` 1."""

    input: int
    output: int
    cached: int
    """An input token read from the provider's cache."""
    cache_write: int
    """An input token written to it."""
    long_write: int
    """An input token written to it for an hour."""
    call: int = 0
    """One request, whatever its tokens."""
    per: int = 1


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """Rates by length: of `tiers`, the last whose start the input passes holds for every token of the request."""

    tiers: tuple[tuple[int, Rates], ...]
    """(input tokens above which they hold, rates), the first at -1; all with the same `per`."""

    def at(self, input_tokens: int) -> Rates:
        """The rates of a request with so many input tokens."""
        return next(rates for start, rates in reversed(self.tiers) if input_tokens > start)

    def worst(self, input_tokens: int) -> Rates:
        """The highest of each rate that a request of at most so many input tokens can meet."""
        met = [rates for start, rates in self.tiers if input_tokens > start]
        return Rates(**{rate.name: max(getattr(rates, rate.name) for rates in met) for rate in fields(Rates)})


def price_of(
    model: str, override: Mapping[str, Any] | None = None, *, context: Mapping[str, str] | None = None, day: date | None = None
) -> TokenPrice | None:
    """The price of `provider/name`, or None where nobody knows it. For a cloud's model its own table counts, then the maker's.

    `override` is US dollars per million tokens (input, output, cached_input, cache_write) and wins. `context` picks a variant of the
    table: {"processing": "batch"}, {"service_tier": "flex"}. `day` (UTC, default today) picks among dated prices; of prices that
    change with the hour the dearest counts.
    """
    if override is not None:
        return _price({-1: _overridden(override)})
    provider, _, name = model.partition("/")
    return _from_table(provider, name, tuple(sorted((context or {}).items())), day or datetime.now(tz=UTC).date())


def cost(price: TokenPrice, usage: Usage) -> int:
    """Nano-dollars of what was used, rounded up."""
    rates = price.at(usage.input)
    total = usage.input * rates.input + usage.output * rates.output + rates.call - _saved(rates, usage)
    return -(-total // rates.per)


def saving(price: TokenPrice, usage: Usage) -> int:
    """Nano-dollars that the provider's cache saved, rounded down: what cached tokens cost less than plain input, minus what cache writes
    cost more. Negative where more was written than ever read."""
    rates = price.at(usage.input)
    return _saved(rates, usage) // rates.per


def _saved(rates: Rates, usage: Usage) -> int:
    more = (usage.cache_write - usage.long_write) * (rates.cache_write - rates.input) + usage.long_write * (rates.long_write - rates.input)
    return usage.cached * (rates.input - rates.cached) - more


def worst_case(price: TokenPrice, request: Request, max_tokens: int) -> int:
    """Nano-dollars that no answer to this request can pass.

    A tokeniser over bytes makes at most one token of a byte, so UTF-8 length plus PER_MESSAGE bounds the input; each of them may be
    billed as written to the cache, for an hour only where the request says so; the output is bounded by `max_tokens`, reasoning included.
    """
    tokens = input_bound(request)
    rates = price.worst(tokens)
    control = request.params.get("cache_control")
    dearest = max(rates.input, rates.cached, rates.cache_write)
    if isinstance(control, Mapping) and control.get("ttl") == "1h":
        dearest = max(dearest, rates.long_write)
    return -(-(tokens * dearest + max_tokens * rates.output + rates.call) // rates.per)


@dataclass(frozen=True, slots=True)
class Allowance:
    """A cap on dollars that reaches beyond one release: what a month may cost."""

    month: str
    """`2026-11`."""
    cost: int
    """Nano-dollars."""
    beside: int
    """Nano-dollars taken of it beside what the purse counts: by other releases; less than nothing where the purse counts other months too."""

    def short(self, used: int, wanted: int) -> str:
        """Why there is no room, in words; empty where there is."""
        taken = used + self.beside
        if taken + wanted <= self.cost:
            return ""
        words = _spent(_dollars(self.cost), _dollars(taken), _dollars(wanted))
        return f"the budget of this month ({self.month}) has no room left: {words}; the next month has one of its own"


@dataclass
class Purse:
    """Caps, what is settled against them, and what is reserved. None: no cap."""

    cost: int | None = None
    tokens: int | None = None
    requests: int | None = None
    settled: Spend = field(default_factory=Spend)
    reserved: Spend = field(default_factory=Spend)
    month: Allowance | None = None

    def fits(self, worst: Spend) -> bool:
        if self.month is not None and self.month.short(self.settled.cost + self.reserved.cost, worst.cost):
            return False
        after = self.settled + self.reserved + worst if self.cost is not None or self.tokens is not None or self.requests is not None else None
        return after is None or not (
            (self.cost is not None and after.cost > self.cost)
            or (self.tokens is not None and after.tokens > self.tokens)
            or (self.requests is not None and after.requests > self.requests)
        )

    def short_of_month(self, worst: Spend) -> str:
        """That the month has no room for it, in words; empty where it has."""
        return self.month.short((self.settled + self.reserved).cost, worst.cost) if self.month else ""

    def short(self, worst: Spend) -> str:
        """Which cap of its own has no room for it, in words; empty where all have."""
        used = self.settled + self.reserved
        for cap, taken, wanted, words in (
            (self.cost, used.cost, worst.cost, _dollars),
            (self.tokens, used.tokens, worst.tokens, "{:,} tokens".format),
            (self.requests, used.requests, worst.requests, "{:,} requests".format),
        ):
            if cap is not None and taken + wanted > cap:
                return _spent(words(cap), words(taken), words(wanted))
        return ""

    def settle(self, worst: Spend, used: Spend) -> None:
        self.reserved -= worst
        self.settled += used


def input_bound(request: Request) -> int:
    """Input tokens that this request cannot pass."""
    return sum(_bytes(text) + PER_MESSAGE for _, text in request.messages) + beside(request)


def beside(request: Request) -> int:
    """Bytes that a provider may read as input beside the messages: the schema, and what the parameters say in words, such as tools."""
    told = [value for name, value in request.params.items() if isinstance(value, str | list | tuple | Mapping) and name != "cache_control"]
    size = _bytes(json.dumps(told, ensure_ascii=False)) + PER_MESSAGE if told else 0
    size += TOOLS if "tools" in request.params else 0
    return size if request.schema is None else size + _bytes(json.dumps(request.schema, ensure_ascii=False)) + PER_MESSAGE


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _spent(cap: str, taken: str, wanted: str) -> str:
    return f"of {cap}, {taken} are spent or may have been, and the next request may take {wanted}"


def _dollars(nano: int) -> str:
    """As many places as it takes: $0.0000001, $12."""
    return f"${nano / NANO:,.9f}".rstrip("0").rstrip(".")


def _price(tiers: Mapping[int, Mapping[str, Fraction]]) -> TokenPrice:
    """Fractions of a nano-dollar per token as whole multiples of one unit."""
    per = math.lcm(*(rate.denominator for rates in tiers.values() for rate in rates.values()))
    whole = {start: {name: int(rate * per) for name, rate in rates.items()} for start, rates in tiers.items()}
    return TokenPrice(tuple((start, Rates(**rates, per=per)) for start, rates in sorted(whole.items())))


def _overridden(override: Mapping[str, Any]) -> dict[str, Fraction]:
    words = {"input": "input", "output": "output", "cached": "cached_input", "cache_write": "cache_write"}
    unknown = sorted(set(override) - set(words.values()))
    missing = [word for word in ("input", "output") if override.get(word) is None]
    if unknown or missing:
        wrong = f"unknown {', '.join(unknown)}" if unknown else f"no {' and no '.join(missing)}"
        raise SpecError(f"price has {wrong}; it takes input, output, cached_input and cache_write in US dollars per million tokens")
    return _rates({name: override.get(word) for name, word in words.items()})


def _rates(dollars: Mapping[str, Any]) -> dict[str, Fraction]:
    """Dollars per million tokens as nano-dollars per token; what has no rate of its own costs what plain input costs."""
    # str first: 0.075 is meant as the decimal that was written, not as the nearest binary fraction.
    known = {name: Fraction(str(value)) * NANO / MILLION for name, value in dollars.items() if value is not None}
    return {
        "output": Fraction(0),  # a vector's
        "cached": known["input"],
        "cache_write": known["input"],
        "long_write": LONG_WRITE * known["input"],
        **known,
    }


@cache
def _from_table(provider: str, name: str, context: tuple[tuple[str, str], ...], day: date) -> TokenPrice | None:
    model = _listed(provider, name)
    if model is None:
        return None
    hours = [datetime.combine(day, time(hour), tzinfo=UTC) for hour in range(24)]
    tables = [model.get_prices(hour, dict(context)) for hour in hours]
    needed = ("input",) if provider == VECTORS else ("input", "output")
    if any(getattr(table, TOKEN_KEYS[rate]) is None for table in tables for rate in needed):
        return None
    starts = {-1, *(tier.start for table in tables for key in TOKEN_KEYS.values() for tier in _tiers(_rate(table, key)))}
    return _price({start: _dearest(_rates_at(table, start) for table in tables) for start in starts})


def _listed(provider: str, name: str) -> Any:
    """The table's entry, or None."""
    from genai_prices.data_snapshot import get_snapshot

    aws = _AWS_NAME.fullmatch(name)
    for table in TABLES.get(provider, (provider,)):
        try:
            return get_snapshot().find_provider_model(aws[1] if aws and table == "anthropic" else name, None, table, None)[1]
        except LookupError:
            continue
    return None


def _dearest(hours: Iterable[Mapping[str, Fraction]]) -> dict[str, Fraction]:
    found = list(hours)
    return {name: max(rates[name] for rates in found) for name in found[0]}


def _rates_at(table: Any, start: int) -> dict[str, Fraction]:
    """The rates that hold above `start` input tokens."""
    rates = _rates({name: _above(_rate(table, key), start) for name, key in TOKEN_KEYS.items()})
    call = getattr(table, CALL_KEY)
    return {**rates, "call": Fraction(str(_above(call, start))) * NANO / 1000 if call is not None else Fraction(0)}


def _rate(table: Any, key: str) -> Any:
    return getattr(table, key, None)


def _above(value: Any, start: int) -> Any:
    reached = [tier.price for tier in _tiers(value) if tier.start <= start]
    return reached[-1] if reached else getattr(value, "base", value)


def _tiers(value: Any) -> list[Any]:
    return list(getattr(value, "tiers", ()))
