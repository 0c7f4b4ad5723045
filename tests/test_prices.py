"""Prices: exact sums, agreement with the price table, and a worst case that no usage passes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import genai_prices
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.asking.prices import TokenPrice, cost, input_bound, price_of, saving, worst_case
from datagen.errors import SpecError
from datagen.records import NANO, Request, Usage

DAY = date(2026, 11, 20)
MODELS = [
    "openai/gpt-4o-mini",
    "openai/gpt-5.6",
    "openai/o3",
    "anthropic/claude-haiku-5-5",
    "anthropic/claude-sonnet-4-5",
    "deepseek/deepseek-chat",
]
USAGES = [
    Usage(input=1000, output=500),
    Usage(input=1000, output=500, cached=400),
    Usage(input=1000, output=500, cached=400, cache_write=300, reasoning=200),
    Usage(input=300_000, output=7, cached=1),
    Usage(input=1),
]


def request(*texts: str, schema: Mapping[str, Any] | None = None) -> Request:
    return Request("openai", "", "m", tuple(("user", text) for text in texts), schema=schema)


def known(model: str, **more: Any) -> TokenPrice:
    price = price_of(model, day=DAY, **more)
    assert price is not None
    return price


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("usage", USAGES)
def test_the_cost_is_the_tables(model: str, usage: Usage) -> None:
    provider, _, name = model.partition("/")
    table = genai_prices.Usage(
        input_tokens=usage.input, output_tokens=usage.output, cache_read_tokens=usage.cached, cache_write_tokens=usage.cache_write
    )
    # Midday: the dearest hours of the one provider with night prices.
    moment = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)
    theirs = genai_prices.calc_price(table, name, provider_id=provider, genai_request_timestamp=moment).total_price
    assert cost(known(model), usage) == math.ceil(theirs * NANO)


def test_the_tiers_of_a_real_model() -> None:
    price = known("openai/gpt-5.6")
    assert len(price.tiers) > 1, "this model has lost its long-context price; take another"
    start = price.tiers[1][0]
    below, above = (cost(price, Usage(input=tokens)) for tokens in (start, start + 1))
    assert above > 1.5 * below  # beyond the threshold every token costs more, not the last one alone


def test_the_saving_is_what_plain_input_would_have_cost_more() -> None:
    price = price_of("openai/x", {"input": 1, "output": 2, "cached_input": 0.1, "cache_write": 1.25})
    assert price is not None
    for usage in (Usage(100, 5), Usage(100, 5, 80), Usage(100, 5, 40, 60), Usage(100, 5, 0, 100, 0, 60)):
        assert cost(price, usage) + saving(price, usage) == cost(price, Usage(usage.input, usage.output))
    assert saving(price, Usage(100, 5, 80)) == 80 * 900
    assert saving(price, Usage(100, 5, 0, 100)) == -100 * 250  # written and never read
    odd = price_of("openai/x", {"input": 0.0375, "output": 0, "cached_input": 0.0001})
    assert odd is not None and saving(odd, Usage(1, 0, 1)) == 37  # rounded down


def test_what_is_written_for_an_hour_costs_more() -> None:
    claude, own = known("anthropic/claude-sonnet-4-5"), price_of("openai/x", {"input": 1, "output": 0, "cache_write": 1.25})
    assert own is not None
    for price in (claude, own):
        plain = cost(price, Usage(input=1000))
        assert cost(price, Usage(input=1000, cache_write=1000, long_write=1000)) == 2 * plain
        assert cost(price, Usage(input=1000, cache_write=1000)) * 4 == 5 * plain
        hour = Request("anthropic", "", "m", (("user", "x"),), {"cache_control": {"type": "ephemeral", "ttl": "1h"}})
        assert worst_case(price, hour, 0) == cost(price, Usage(input=17, cache_write=17, long_write=17))
        assert worst_case(price, Request("anthropic", "", "m", (("user", "x"),)), 0) < worst_case(price, hour, 0)


def test_a_batch_costs_less_and_a_day_decides() -> None:
    usage = Usage(input=1000, output=1000)
    assert cost(known("openai/gpt-5.6", context={"processing": "batch"}), usage) * 2 == cost(known("openai/gpt-5.6"), usage)
    assert price_of("openai/gpt-5.6") is not None


@pytest.mark.parametrize("model", ["openai/qwen3-of-my-own", "nobody/gpt-4o", "openai/text-embedding-3-small", "gpt-4o", ""])
def test_what_nobody_prices_is_none(model: str) -> None:
    assert price_of(model, day=DAY) is None


def test_an_override_wins_and_is_exact() -> None:
    price = price_of("openai/gpt-4o-mini", {"input": 0.0375, "output": 0.3, "cached_input": 0.01, "cache_write": None})
    assert price is not None
    assert cost(price, Usage(input=2)) == 75  # 37.5 each
    assert cost(price, Usage(input=1)) == 38  # rounded up
    assert cost(price, Usage(input=10, cached=10, output=1)) == 100 + 300
    assert cost(price, Usage(input=2, cache_write=2)) == 75  # no rate of its own: as plain input
    decimal = price_of("openai/x", {"input": 0.1, "output": 0})  # as a binary fraction it is a little more than that
    assert decimal is not None and cost(decimal, Usage(input=1)) == 100
    free = price_of("openai/x", {"input": 0, "output": 0})
    assert free is not None and cost(free, Usage(input=10**9, output=10**9)) == 0


@pytest.mark.parametrize(("override", "words"), [({"input": 1}, "no output"), ({"input": 1, "output": 2, "in": 3}, "unknown in")])
def test_a_wrong_override_is_explained(override: dict[str, float], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        price_of("openai/x", override)


def test_every_byte_counts_as_a_token() -> None:
    price = price_of("openai/x", {"input": 1, "output": 10})
    assert price is not None
    assert worst_case(price, request("abc", "dé"), max_tokens=5) == (3 + 16 + 3 + 16) * 1000 + 5 * 10_000
    assert input_bound(request("\ud800")) == 3 + 16  # must not crash; the adapter refuses it
    assert worst_case(price, request("abc", schema={"type": "object"}), 5) > worst_case(price, request("abc"), 5)


def test_what_the_parameters_say_in_words_is_input_too() -> None:
    plain, tools = request("hi"), [{"type": "function", "function": {"name": "f", "description": "d" * 900}}]
    told = Request("openai", "", "m", plain.messages, {"max_tokens": 50, "temperature": 0.5, "tools": tools})
    assert input_bound(told) > input_bound(plain) + 900 + 700  # and what providers add to tell of tools
    assert input_bound(Request("openai", "", "m", plain.messages, {"max_tokens": 50, "temperature": 0.5})) == input_bound(plain)


def test_the_worst_case_reserves_the_dearest_reachable_rate() -> None:
    price = price_of("openai/x", {"input": 1, "output": 0, "cache_write": 1.25, "cached_input": 3})
    assert price is not None and worst_case(price, request("x" * 84), 0) == 100 * 3000  # a cache dearer than plain input counts too
    tiered = known("openai/gpt-5.6")
    start = tiered.tiers[1][0]
    short, long = (worst_case(tiered, request("x" * size), 1000) for size in (start - 16, start - 15))
    assert long > 1.4 * short


dollars = st.one_of(st.integers(0, 200), st.decimals(0, 200, places=4).map(float))
overrides = st.fixed_dictionaries({"input": dollars, "output": dollars}, optional={"cached_input": dollars, "cache_write": dollars})
prices = st.one_of(overrides.map(lambda override: price_of("openai/x", override)), st.sampled_from(MODELS).map(known))
texts = st.lists(st.one_of(st.text(max_size=40), st.integers(0, 400_000).map(lambda size: "x" * size)), min_size=1, max_size=3)


@st.composite
def usages(draw: st.DrawFn, bound: int, most: int) -> Usage:
    """Whatever a provider may report of a request with so many input tokens at most."""
    tokens = draw(st.integers(0, bound))
    cached = draw(st.integers(0, tokens))
    output = draw(st.integers(0, most))
    return Usage(tokens, output, cached, draw(st.integers(0, tokens - cached)), draw(st.integers(0, output)))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_no_usage_passes_the_worst_case(data: st.DataObject) -> None:
    price = data.draw(prices)
    assert price is not None
    asked = request(*data.draw(texts), schema=data.draw(st.sampled_from([None, {"type": "object"}])))
    most = data.draw(st.integers(0, 100_000))
    usage = data.draw(usages(input_bound(asked), most))
    assert 0 <= cost(price, usage) <= worst_case(price, asked, most)
