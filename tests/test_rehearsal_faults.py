"""The simulator's faults as the real SDKs meet them, its outages, and new luck for a later run."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from simulating import HERE, asking, get, headers, prompt, said, statement

from datagen.rehearsal.companion import companion, label_at
from datagen.rehearsal.settings import Settings


@pytest.mark.parametrize(
    ("fault", "first", "second", "billed"),
    [
        ("rate_limited", openai.RateLimitError, anthropic.RateLimitError, 0),
        ("error", openai.InternalServerError, anthropic.InternalServerError, 0),
        ("overloaded", openai.InternalServerError, anthropic.InternalServerError, 0),
        ("reset", openai.APIConnectionError, anthropic.APIConnectionError, 0),
        ("malformed", json.JSONDecodeError, json.JSONDecodeError, 2),
        ("hang", openai.APITimeoutError, anthropic.APITimeoutError, 2),
        ("garbled", UnicodeDecodeError, UnicodeDecodeError, 2),
    ],
)
def test_each_fault_reaches_the_client_as_the_sdk_knows_it(fault: str, first: type[Exception], second: type[Exception], billed: int) -> None:
    with companion(Settings(faults={fault: 1.0}), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
            limit = 0.4 if fault == "hang" else 20
            with pytest.raises(first):
                await one.with_options(timeout=limit).chat.completions.create(model="m", messages=said(0))
            with pytest.raises(second):
                await two.with_options(timeout=limit).messages.create(model="m", max_tokens=100, messages=said(0))

        asking(url, work)
        totals, _ = statement(url)
    assert (totals["paid"], totals["delivered"]) == (billed, 0)


def test_a_retry_meets_new_luck_and_the_sdk_gets_its_answer() -> None:
    with companion(Settings(faults={"error": 0.5}), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> list[int]:
            async def attempts(index: int) -> int:
                for number in range(1, 30):
                    try:
                        await one.chat.completions.create(model="m", messages=said(index), extra_headers=headers(f"k{index}"))
                    except openai.InternalServerError:
                        continue
                    return number
                raise AssertionError("never answered")

            return list(await asyncio.gather(*(attempts(index) for index in range(40))))

        needed = asking(url, work)
        totals, _ = statement(url)
    assert 45 < sum(needed) < 140
    assert totals["paid"] == totals["answers"] == 40


def test_a_drip_keeps_every_read_alive_and_never_ends() -> None:
    with companion(Settings(faults={"drip": 1.0}), HERE) as url:

        async def work() -> bytes:
            found = b""
            async with httpx2.AsyncClient(base_url=url, timeout=2, headers={"authorization": "Bearer k"}) as client:
                request = client.stream("POST", "/v1/chat/completions", json={"model": "m", "messages": said(0)})
                async with request as reply:
                    assert reply.status_code == 200 and int(reply.headers["content-length"]) > 500
                    async for piece in reply.aiter_bytes():
                        assert len(piece) == 1
                        found += piece
                        if len(found) == 2:
                            return found
            return found

        assert asyncio.run(work()) == b'{"'
        totals, _ = statement(url)
    assert (totals["paid"], totals["delivered"], totals["faults"]) == (1, 0, {"drip": 1})


def test_a_huge_answer_runs_on_and_says_that_it_was_cut() -> None:
    with companion(Settings(faults={"huge": 1.0}), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
            choice = (await one.chat.completions.create(model="m", messages=said(0), max_tokens=50)).choices[0]
            assert choice.finish_reason == "length" and len(choice.message.content or "") >= 20_000_000
            second = await two.messages.create(model="m", max_tokens=50, messages=said(0))
            assert second.stop_reason == "max_tokens" and second.usage.output_tokens == 50
            third = await one.responses.create(model="m", input=prompt(0), max_output_tokens=50)
            assert third.status == "incomplete" and len(third.output_text) >= 20_000_000

        asking(url, work)


def test_a_page_in_place_of_an_answer_is_no_json_and_not_billed() -> None:
    with companion(Settings(faults={"html": 1.0}), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
            for raw in (
                await one.chat.completions.with_raw_response.create(model="m", messages=said(0)),
                await two.messages.with_raw_response.create(model="m", max_tokens=9, messages=said(0)),
            ):
                assert raw.status_code == 200 and raw.headers["content-type"].startswith("text/html")
                assert raw.http_response.text.startswith("<!DOCTYPE html>")

        asking(url, work)
        assert statement(url)[0]["paid"] == 0


def test_a_later_run_meets_new_luck_and_gets_the_same_answers() -> None:
    async def once(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> dict[int, str | None]:
        async def ask(index: int) -> str | None:
            try:
                answer = await one.chat.completions.create(model="m", messages=said(index), extra_headers=headers(f"k{index}"))
            except openai.InternalServerError:
                return None
            return answer.choices[0].message.content

        return dict(enumerate(await asyncio.gather(*(ask(index) for index in range(40)))))

    found: list[dict[int, str | None]] = []
    labels: set[str] = set()
    for run in (0, 0, 1):
        with companion(Settings(faults={"error": 0.4}), HERE, run) as url:
            found.append(asking(url, once))
            labels.add(label_at(url))
    first, again, later = found
    assert first == again and len(labels) == 1
    failed, failed_later = ({index for index, text in answers.items() if text is None} for answers in (first, later))
    assert failed and failed_later and failed != failed_later
    assert all(first[index] == later[index] for index in set(first) - failed - failed_later)


@pytest.mark.parametrize(
    ("how", "first", "second"),
    [
        ("error", openai.InternalServerError, anthropic.InternalServerError),
        ("reset", openai.APIConnectionError, anthropic.APIConnectionError),
    ],
)
def test_in_an_outage_every_request_fails_and_the_books_stay_open(how: Any, first: type[Exception], second: type[Exception]) -> None:
    with companion(Settings(outages=[(0, 2.5, how)]), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
            with pytest.raises(first):
                await one.chat.completions.create(model="m", messages=said(0))
            with pytest.raises(first):
                await one.batches.list()
            with pytest.raises(second):
                await two.messages.create(model="m", max_tokens=9, messages=said(0))
            assert json.loads(get(f"{url}/settings"))["label"]
            assert statement(url)[0]["paid"] == 0
            while True:
                try:
                    await one.chat.completions.create(model="m", messages=said(0))
                except first:
                    await asyncio.sleep(0.1)
                else:
                    break

        asking(url, work)
        assert statement(url)[0]["paid"] == 1


def test_in_an_outage_that_refuses_nobody_listens_and_then_the_same_port_answers() -> None:
    with companion(Settings(outages=[(0.8, 1.8, "refused")], latency="0.9"), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> int:
            with pytest.raises(openai.APIConnectionError):  # in the air when it began
                await one.chat.completions.create(model="m", messages=said(0))
            refused = 0
            while True:
                try:
                    await asyncio.to_thread(get, f"{url}/settings")
                except ConnectionError:
                    raise AssertionError("a reset, and no refusal") from None
                except OSError as error:
                    assert isinstance(getattr(error, "reason", None), ConnectionRefusedError)
                    refused += 1
                    await asyncio.sleep(0.05)
                else:
                    break
            await one.chat.completions.create(model="m", messages=said(0))
            return refused

        assert asking(url, work) > 3
