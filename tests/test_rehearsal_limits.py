"""Limits per minute at the simulator: what is let in, what a 429 says, and what the headers promise."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import anthropic
import openai
import pytest
from simulating import HERE, asking, headers, prompt, said, statement

from datagen.rehearsal.companion import companion
from datagen.rehearsal.server.limits import Limits
from datagen.rehearsal.settings import Settings
from datagen.rehearsal.wires import Asked, Cached, Reply, Wire
from datagen.spec.models import SimulatedLimits


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Iterator[Clock]:
    yield Clock()


def limits(clock: Clock, **more: Any) -> Limits:
    return Limits(SimulatedLimits(**more), clock)


def asked(text: str = "x" * 400, wire: Wire = "openai", **more: Any) -> Asked:
    return Asked(wire, "i", "k", 0, "m", "", (("user", text),), **more)


def admitted(of: Limits, request: Asked, most: int = 10_000) -> int:
    """How many such requests are let in before the first is refused."""
    return next((number for number in range(most) if of.admit(request, 0) is not None), most)


def test_requests_come_in_at_the_steady_rate_after_a_burst(clock: Clock) -> None:
    of = limits(clock, requests_per_minute=120, burst=10)
    assert admitted(of, asked()) == 20
    clock.now += 5
    assert admitted(of, asked()) == 10
    for _ in range(600):
        clock.now += 0.5
        assert of.admit(asked(), 0) is None
    assert of.admit(asked(), 0) is not None
    told = of.totals()["openai m"]
    assert (told["admitted"], told["refused"], told["refused_for"]) == (630, 3, {"requests": 3})
    assert told["seconds"] == 305 and told["share"]["requests"] == pytest.approx(630 / 610)


def test_openai_charges_the_larger_of_max_tokens_and_the_prompt_and_gives_nothing_back(clock: Clock) -> None:
    assert admitted(limits(clock, tokens_per_minute=6000, burst=60), asked(max_tokens=600)) == 10
    assert admitted(limits(clock, tokens_per_minute=6000, burst=60), asked("x" * 4000, max_tokens=600)) == 5  # 1,000 and 7 of form
    assert admitted(limits(clock, tokens_per_minute=6000, burst=60), asked("x" * 4000)) == 5


def test_anthropic_charges_fresh_input_and_real_output_apart(clock: Clock) -> None:
    request = asked("x" * 4000, "anthropic", max_tokens=5000)
    assert admitted(limits(clock, tokens_per_minute=6000, burst=60), request) == 5
    of = limits(clock, tokens_per_minute=6000, burst=60)
    assert sum(of.admit(request, 1000) is None for _ in range(20)) == 20, "what the cache reads is not charged"
    of.settle(request, Reply(b"", 1007, 7000, 0, Cached()))
    refusal = of.admit(request, 1000)
    assert refusal is not None and "output tokens" in refusal.message
    clock.now += 11  # 1,000 tokens were owed
    assert of.admit(request, 1000) is None


def test_a_request_above_a_whole_minute_is_told_so_and_one_above_the_burst_waits_for_a_full_bucket(clock: Clock) -> None:
    of = limits(clock, tokens_per_minute=6000, burst=10)
    assert of.admit(asked(max_tokens=3000), 0) is None
    refusal = of.admit(asked(max_tokens=3000), 0)
    assert refusal is not None and dict(refusal.headers)["retry-after"] == "30"
    never = of.admit(asked(max_tokens=6001), 0)
    assert never is not None and never.message.startswith("Request too large for m") and "retry-after" not in dict(never.headers)
    clock.now += 30
    assert of.admit(asked(max_tokens=3000), 0) is None


def test_headers_tell_the_truth_times_the_promise(clock: Clock) -> None:
    for promise, shown in ((1.0, ("120", "15")), (2.0, ("240", "30"))):
        of = limits(clock, requests_per_minute=120, tokens_per_minute=60_000, burst=10, promise=promise)
        for _ in range(5):
            assert of.admit(asked(max_tokens=500), 0) is None
        told = dict(of.headers(asked()))
        assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == shown
        assert (told["x-ratelimit-reset-requests"], told["x-ratelimit-reset-tokens"]) == ("2.5s", "2.5s")
        assert told["x-ratelimit-remaining-tokens"] == str(int(7500 * promise))
    slow = limits(clock, requests_per_minute=1, burst=400)
    assert [slow.admit(asked(), 0) for _ in range(6)] == [None] * 6
    assert dict(slow.headers(asked()))["x-ratelimit-reset-requests"] == "6m0s"


def test_each_model_has_limits_of_its_own(clock: Clock) -> None:
    of = limits(clock, requests_per_minute=60, burst=1)
    other = Asked("openai", "i", "k", 0, "other", "", (("user", "x"),))
    assert [of.admit(request, 0) is None for request in (asked(), asked(), other, asked("x", "anthropic"))] == [True, False, True, True]


def test_a_429_reaches_the_sdks_with_the_headers_of_the_provider() -> None:
    with companion(Settings(limits=SimulatedLimits(requests_per_minute=6, burst=20)), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
            for _ in range(2):
                await one.chat.completions.create(model="m", messages=said(0))
                await two.messages.create(model="m", max_tokens=900, messages=said(0))
            with pytest.raises(openai.RateLimitError) as first:
                await one.responses.create(model="m", input=prompt(0))
            told = first.value.response.headers
            assert 0 < int(told["retry-after-ms"]) <= 10_000 and told["retry-after"] == str(math.ceil(int(told["retry-after-ms"]) / 1000))
            assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("6", "0")
            assert first.value.code == "rate_limit_exceeded" and first.value.type == "requests" and "try again in" in first.value.message
            with pytest.raises(anthropic.RateLimitError) as second:
                await two.messages.create(model="m", max_tokens=900, messages=said(0))
            told = second.value.response.headers
            assert 0 < int(told["retry-after"]) <= 10 and told["anthropic-ratelimit-requests-remaining"] == "0"
            reset = datetime.fromisoformat(told["anthropic-ratelimit-requests-reset"]) - parsedate_to_datetime(told["date"])
            assert 0 < reset.total_seconds() <= 22

        asking(url, work)
        told = statement(url)[0]["limits"]
    assert (told["openai m"]["admitted"], told["anthropic m"]["admitted"]) == (2, 2)
    assert told["anthropic m"]["refused"] == told["openai m"]["refused"] == 1


def test_a_refused_request_meets_the_luck_of_its_first_attempt_when_it_is_let_in() -> None:
    unlimited = Settings(faults={"error": 0.5})
    limited = Settings(faults={"error": 0.5}, limits=SimulatedLimits(requests_per_minute=1200, burst=0.1))

    def failing(settings: Settings) -> set[int]:
        with companion(settings, HERE) as url:

            async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> set[int]:
                async def fails(index: int) -> bool:
                    while True:
                        try:
                            await one.chat.completions.create(model="m", messages=said(index), extra_headers=headers(f"k{index}"))
                        except openai.RateLimitError:
                            await asyncio.sleep(0.02)
                        except openai.InternalServerError:
                            return True
                        else:
                            return False

                found = await asyncio.gather(*(fails(index) for index in range(30)))
                return {index for index, failed in enumerate(found) if failed}

            found = asking(url, work)
            refused = [told["refused"] for told in statement(url)[0]["limits"].values()]
            assert bool(sum(refused)) == (settings is limited)
            return found

    assert 5 < len(failing(unlimited)) < 25
    assert failing(limited) == failing(unlimited)
