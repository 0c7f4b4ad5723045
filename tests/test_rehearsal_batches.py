"""Paid batches at the simulator, handed in and fetched by the real SDKs: their whole life, and everything that can go wrong in it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import anthropic
import openai
import pytest
from simulating import HERE, QUESTIONS, asking, get, headers, jobs, prompt, said, statement

from datagen.rehearsal.companion import companion
from datagen.rehearsal.settings import Settings
from datagen.spec.models import SimulatedBatches

QUICK = 0.2
CHAT: Final = "/v1/chat/completions"
RESPONSES: Final = "/v1/responses"


@pytest.fixture(scope="module")
def standing() -> Iterator[str]:
    with companion(settings(), HERE) as url:
        yield url


@pytest.fixture
def calm(standing: str) -> str:
    """A simulator where nothing goes wrong, and nothing has happened yet."""
    get(f"{standing}/reset", "POST")
    return standing


def settings(**more: Any) -> Settings:
    return Settings(batches=SimulatedBatches(**{"seconds": QUICK, **more}))


def key(index: int) -> str:
    return f"k1:{index:032x}"


def custom_id(index: int) -> str:
    return f"k1-{index:032x}-0"


def chat_lines(indices: range, url: str = CHAT) -> list[dict[str, Any]]:
    form = {"messages": said} if url == CHAT else {"input": prompt}
    name, make = next(iter(form.items()))
    return [{"custom_id": custom_id(i), "method": "POST", "url": url, "body": {"model": "m", name: make(i % 78)}} for i in indices]


def message_requests(indices: range) -> list[Any]:
    return [{"custom_id": custom_id(i), "params": {"model": "m", "max_tokens": 900, "messages": said(i % 78)}} for i in indices]


async def submit(one: openai.AsyncOpenAI, lines: list[dict[str, Any]], url: Any = CHAT, tag: str = "t1") -> openai.types.Batch:
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return await submit_bytes(one, content, url, tag)


async def submit_bytes(one: openai.AsyncOpenAI, content: bytes, url: Any = CHAT, tag: str = "t1") -> openai.types.Batch:
    file = await one.files.create(file=("in.jsonl", content), purpose="batch")
    assert (file.bytes, file.purpose, file.filename) == (len(content), "batch", "in.jsonl")
    return await one.batches.create(input_file_id=file.id, endpoint=url, completion_window="24h", metadata={"tag": tag})


async def ended(one: openai.AsyncOpenAI, id: str) -> tuple[openai.types.Batch, list[str]]:
    """(the batch when it has ended, the states it was seen in)."""
    seen: list[str] = []
    while True:
        batch = await one.batches.retrieve(id)
        if not seen or seen[-1] != batch.status:
            seen.append(batch.status)
        if batch.status in ("completed", "failed", "expired", "cancelled"):
            return batch, seen
        await asyncio.sleep(0.01)


async def message_batch_ended(two: anthropic.AsyncAnthropic, id: str) -> anthropic.types.messages.MessageBatch:
    while True:
        batch = await two.messages.batches.retrieve(id)
        if batch.processing_status == "ended":
            return batch
        await asyncio.sleep(0.01)


async def lines_of(one: openai.AsyncOpenAI, file: str | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (await one.files.content(file)).text.splitlines()] if file else []


async def results_of(two: anthropic.AsyncAnthropic, id: str) -> list[Any]:
    return [result async for result in await two.messages.batches.results(id)]


def test_an_openai_batch_gives_the_answers_that_the_same_requests_get_online() -> None:
    with companion(settings(validation=0.1), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
            batch = await submit(one, chat_lines(range(40)))
            assert (batch.status, batch.metadata, batch.model) == ("validating", {"tag": "t1"}, "m")
            assert batch.output_file_id is None and batch.request_counts and batch.request_counts.total == 0
            batch, seen = await ended(one, batch.id)
            assert set(seen) <= {"validating", "in_progress", "finalizing", "completed"} and seen[-1] == "completed" and "in_progress" in seen
            assert batch.error_file_id is None and batch.request_counts and batch.usage
            assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (40, 40, 0)
            lines = await lines_of(one, batch.output_file_id)
            ids = [line["custom_id"] for line in lines]
            assert sorted(ids) == [custom_id(i) for i in range(40)] and ids != sorted(ids), "the output is in an order of its own"
            bodies = {line["custom_id"]: line["response"]["body"] for line in lines}
            assert batch.usage.total_tokens == sum(body["usage"]["total_tokens"] for body in bodies.values())
            for index in (0, 17, 39):
                online = await one.chat.completions.with_raw_response.create(model="m", messages=said(index), extra_headers=headers(key(index)))
                assert json.loads(online.content) == bodies[custom_id(index)]

        asking(url, work)
        totals, entries = statement(url)
    assert (totals["answers"], totals["paid"], totals["batched"], totals["paid_again"]) == (40, 43, 40, 3)
    assert {entry["key"] for entry in entries} == {key(index) for index in range(40)}


def test_a_message_batch_gives_the_answers_that_the_same_requests_get_online(calm: str) -> None:
    async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
        batch = await two.messages.batches.create(requests=message_requests(range(40)))
        assert (batch.processing_status, batch.request_counts.processing, batch.results_url) == ("in_progress", 40, None)
        with pytest.raises(anthropic.AnthropicError, match="No `results_url`"):
            await two.messages.batches.results(batch.id)
        with pytest.raises(anthropic.NotFoundError, match="not available yet"):
            await two.get(f"/v1/messages/batches/{batch.id}/results", cast_to=object)
        batch = await message_batch_ended(two, batch.id)
        assert batch.request_counts.model_dump() == {"processing": 0, "succeeded": 40, "errored": 0, "canceled": 0, "expired": 0}
        found = {result.custom_id: result.result for result in await results_of(two, batch.id)}
        assert sorted(found) == [custom_id(i) for i in range(40)] and list(found) != sorted(found)
        for index in (0, 17, 39):
            online = await two.messages.create(model="m", max_tokens=900, messages=said(index), extra_headers=headers(key(index)))
            assert found[custom_id(index)].message == online
            assert found[custom_id(index)].message.content[0].text.endswith(f"The answer is {QUESTIONS[index][1]}.")

    asking(calm, work)


def test_responses_can_be_batched_and_other_ids_get_the_answer_of_their_prompt(calm: str) -> None:
    async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
        lines = chat_lines(range(1, 3), RESPONSES)
        lines[1]["custom_id"] = "mine"
        batch, _ = await ended(one, (await submit(one, lines, RESPONSES)).id)
        found = {line["custom_id"]: line["response"]["body"] for line in await lines_of(one, batch.output_file_id)}
        keyed = await one.responses.create(model="m", input=prompt(1), extra_headers=headers(key(1)))
        plain = await one.responses.create(model="m", input=prompt(2))
        assert [found[name]["output"][0]["content"][0]["text"] for name in (custom_id(1), "mine")] == [keyed.output_text, plain.output_text]

    asking(calm, work)


def test_lists_show_the_newest_first_page_by_page_and_an_accepted_job_only_later() -> None:
    with companion(settings(listing=1.5), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
            first = [(await submit(one, chat_lines(range(n, n + 1)))).id for n in range(5)]
            other = [(await two.messages.batches.create(requests=message_requests(range(n, n + 1)))).id for n in range(5)]
            assert (await one.batches.retrieve(first[-1])).id == first[-1]
            assert first[-1] not in [batch.id async for batch in one.batches.list()]
            assert other[-1] not in [batch.id async for batch in two.messages.batches.list()]
            while len((await two.messages.batches.list()).data) < 5:
                await asyncio.sleep(0.05)
            assert [batch.id async for batch in one.batches.list(limit=2)] == first[::-1]
            assert [batch.id async for batch in two.messages.batches.list(limit=2)] == other[::-1]
            assert [batch.id for batch in (await one.batches.list(after=first[2], limit=1)).data] == [first[1]]
            assert [batch.id for batch in (await two.messages.batches.list(before_id=other[1], limit=2)).data] == [other[3], other[2]]
            with pytest.raises(openai.BadRequestError, match="limit"):
                await one.batches.list(limit=500)

        asking(url, work)


def test_what_was_not_reached_when_a_job_expires_or_is_cancelled_is_said_and_not_paid() -> None:
    with companion(settings(expire=1.0), HERE) as url:

        async def expiring(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
            batch, _ = await ended(one, (await submit(one, chat_lines(range(40)))).id)
            good, bad = await lines_of(one, batch.output_file_id), await lines_of(one, batch.error_file_id)
            assert batch.status == "expired" and len(good) == len(bad) == 20
            assert all(line["response"] is None and line["error"]["code"] == "batch_expired" for line in bad)
            assert {line["custom_id"] for line in good} | {line["custom_id"] for line in bad} == {custom_id(i) for i in range(40)}
            messages = await two.messages.batches.create(requests=message_requests(range(40, 60)))
            counts = (await message_batch_ended(two, messages.id)).request_counts
            assert (counts.succeeded, counts.expired) == (10, 10)
            assert Counter(r.result.type for r in await results_of(two, messages.id)) == {"succeeded": 10, "expired": 10}

        asking(url, expiring)
        assert statement(url)[0]["paid"] == 30
    with companion(settings(seconds=4), HERE) as url:

        async def cancelling(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> int:
            first = await submit(one, chat_lines(range(40)))
            second = await two.messages.batches.create(requests=message_requests(range(40, 80)))
            while statement(url)[0]["paid"] < 12:
                await asyncio.sleep(0.05)
            assert (await one.batches.cancel(first.id)).status == "cancelling"
            assert (await two.messages.batches.cancel(second.id)).processing_status == "canceling"
            batch, _ = await ended(one, first.id)
            good, bad = await lines_of(one, batch.output_file_id), await lines_of(one, batch.error_file_id)
            assert batch.status == "cancelled" and len(good) + len(bad) == 40 and good
            assert all(line["error"]["code"] == "batch_cancelled" for line in bad)
            kinds = Counter(r.result.type for r in await results_of(two, (await message_batch_ended(two, second.id)).id))
            assert kinds["succeeded"] + kinds["canceled"] == 40 and kinds["canceled"] > 0
            with pytest.raises(openai.BadRequestError, match="Cannot cancel"):
                await one.batches.cancel(first.id)
            return len(good) + kinds["succeeded"]

        assert asking(url, cancelling) == statement(url)[0]["paid"]


def test_errors_of_single_requests_come_apart_and_a_second_job_meets_new_luck() -> None:
    with companion(settings(errors=0.4), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
            lines = chat_lines(range(60))
            lines[7]["body"] = {"model": "m", "messages": []}
            left = lines
            for round_ in range(12):
                batch, _ = await ended(one, (await submit(one, left)).id)
                bad = await lines_of(one, batch.error_file_id)
                wrong = [line for line in bad if line["response"]["status_code"] == 400]
                assert [line["custom_id"] for line in wrong] == [custom_id(7)] * (round_ == 0)
                assert all(line["response"]["body"]["error"]["message"] and line["error"] is None for line in bad)
                assert batch.request_counts and batch.request_counts.failed == len(bad)
                assert round_ or 10 < len(bad) < 40
                failed = {line["custom_id"] for line in bad} - {custom_id(7)}
                left = [line for line in left if line["custom_id"] in failed]
                if not left:
                    break
            assert not left and round_ > 1
            messages = message_requests(range(60, 100))
            messages[0]["params"]["temperature"] = 0.5
            batch_ = await two.messages.batches.create(requests=messages)
            await message_batch_ended(two, batch_.id)
            bad_ = {r.custom_id: r.result.error.error for r in await results_of(two, batch_.id) if r.result.type == "errored"}
            assert bad_.pop(custom_id(60)).type == "invalid_request_error"
            assert 5 < len(bad_) < 30 and {error.type for error in bad_.values()} == {"api_error"}

        asking(url, work)
        totals, rows = jobs(url)
        assert statement(url)[0]["paid_again"] == 0
    assert totals["submitted_twice"] == 0, "what had failed in one job may go out in another"
    assert sum(row["succeeded"] for row in rows if row["provider"] == "openai") == 59


def test_a_failed_validation_and_a_lost_reply_leave_a_job_in_the_list() -> None:
    with companion(settings(fail=1.0, validation=0.05), HERE) as url:

        async def failing(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
            batch, _ = await ended(one, (await submit(one, chat_lines(range(3)))).id)
            assert batch.status == "failed" and batch.output_file_id is None and batch.errors and batch.errors.data
            assert batch.errors.data[0].code == "token_limit_exceeded"

        asking(url, failing)
        assert statement(url)[0]["paid"] == 0
    with companion(settings(lost=1.0), HERE) as url:

        async def losing(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
            with pytest.raises(openai.APIConnectionError):
                await submit(one, chat_lines(range(3)), tag="mine")
            found = (await one.batches.list()).data
            assert [batch.metadata for batch in found] == [{"tag": "mine"}]
            assert (await ended(one, found[0].id))[0].status == "completed"
            with pytest.raises(anthropic.APIConnectionError):
                await two.messages.batches.create(requests=message_requests(range(3, 6)))
            assert [batch.request_counts.processing for batch in (await two.messages.batches.list()).data] == [3]

        asking(url, losing)
        assert [row["lost"] for row in jobs(url)[1]] == [True, True]


def test_garbled_results_hold_one_id_twice_one_unknown_and_leave_one_out() -> None:
    with companion(settings(garbled=1.0), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> list[list[str]]:
            batch, _ = await ended(one, (await submit(one, chat_lines(range(20)))).id)
            messages = await two.messages.batches.create(requests=message_requests(range(20)))
            await message_batch_ended(two, messages.id)
            lines, results = await lines_of(one, batch.output_file_id), await results_of(two, messages.id)
            return [[line["custom_id"] for line in lines], [result.custom_id for result in results]]

        found = asking(url, work)
    for ids in found:
        sent, counts = {custom_id(i) for i in range(20)}, Counter(ids)
        assert len(sent - set(ids)) == 1 and len(set(ids) - sent) == 1 and sorted(counts.values())[-2:] == [1, 2]


def test_the_books_tell_when_a_request_was_handed_in_while_it_was_under_way(calm: str) -> None:
    async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
        first = await submit(one, chat_lines(range(10)))
        await submit(one, chat_lines(range(10)))  # the same set
        await submit(one, chat_lines(range(8, 12)))  # overlaps
        await submit(one, chat_lines(range(20, 24)))
        await ended(one, first.id)
        await submit(one, chat_lines(range(3)))  # answered already

    asking(calm, work)
    totals, rows = jobs(calm)
    assert [row["held_before"] for row in rows] == [0, 10, 2, 0, 3]
    assert [row["submitted"] for row in rows] == [1, 2, 1, 1, 1] and rows[0]["content"] == rows[1]["content"]
    assert totals == {"jobs": 5, "requests": 31, "submitted_twice": 3}


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        ({"custom_id": custom_id(0)}, "duplicate_custom_id", 2),
        ({"url": RESPONSES}, "url_mismatch", 2),
        ({"body": {"model": "other", "messages": []}}, "model_mismatch", 2),
        ({"method": "GET"}, "invalid_json_line", 2),
    ],
)
def test_a_wrong_line_fails_the_job_with_its_number(calm: str, change: dict[str, Any], code: str, line: int) -> None:
    async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> list[Any]:
        lines = chat_lines(range(2))
        lines[1] |= change
        batch, _ = await ended(one, (await submit(one, lines)).id)
        assert batch.status == "failed" and batch.errors
        return [(error.code, error.line) for error in batch.errors.data or ()]

    assert asking(calm, work) == [(code, line)]


def test_what_is_too_much_or_no_job_at_all_is_refused(calm: str) -> None:
    async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
        for content, code in ((b"{}\n" * 50_001, "too_many_tasks"), (b"\n", "empty_file")):
            batch, _ = await ended(one, (await submit_bytes(one, content)).id)
            assert batch.errors and [error.code for error in batch.errors.data or ()] == [code]
        with pytest.raises(openai.BadRequestError, match="File is too large"):
            await one.files.create(file=("big.jsonl", b" " * 200_000_001), purpose="batch", timeout=60)
        with pytest.raises(openai.NotFoundError, match="No such File"):
            await one.batches.create(input_file_id="file-none", endpoint=CHAT, completion_window="24h")
        with pytest.raises(openai.BadRequestError, match="Supported values"):
            await submit(one, chat_lines(range(1)), "/v1/moderations")
        with pytest.raises(openai.NotFoundError):
            await one.batches.retrieve("batch_none")
        with pytest.raises(anthropic.NotFoundError):
            await two.messages.batches.retrieve("msgbatch_none")
        wrong: list[tuple[list[Any], str]] = [
            (message_requests(range(1)) * 2, "unique"),
            ([{"custom_id": "a b", "params": {}}], "pattern"),
            ([{"custom_id": "a" * 65, "params": {}}], "pattern"),
            ([], "at least one"),
            ([{"custom_id": str(i), "params": {}} for i in range(100_001)], "at most 100000"),
        ]
        for requests, words in wrong:
            with pytest.raises(anthropic.BadRequestError, match=words):
                await two.messages.batches.create(requests=requests)

    asking(calm, work)
    assert [row["state"] for row in jobs(calm)[1]] == ["failed", "failed"]
