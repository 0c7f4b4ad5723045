"""The simulated teacher over the wire, asked by the real SDKs: answers, faults, books, and how it ends."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from simulating import HERE, QUESTIONS, asking, get, headers, said, statement

from datagen.errors import SetupError
from datagen.rehearsal.companion import companion
from datagen.rehearsal.server.serving import serve
from datagen.rehearsal.settings import Settings, label
from datagen.spec.models import Bank

SCORE = {"type": "integer", "minimum": 1, "maximum": 5}
SCHEMA = {"type": "object", "properties": {"score": SCORE, "fault": {"type": "string"}}, "required": ["score", "fault"]}


@pytest.fixture(scope="module")
def plain() -> Iterator[str]:
    with companion(Settings(), HERE) as url:
        yield url


def test_both_wires_give_true_answers_with_reasoning_apart(plain: str) -> None:
    async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
        first = await one.chat.completions.create(model="m1", messages=said(0), reasoning_effort="low")
        message = first.choices[0].message
        assert (message.content or "").endswith(f"The answer is {QUESTIONS[0][1]}.")
        assert QUESTIONS[0][0] in (message.model_extra or {})["reasoning_content"]
        assert first.usage and first.usage.completion_tokens_details
        assert 0 < (first.usage.completion_tokens_details.reasoning_tokens or 0) < first.usage.completion_tokens
        assert (first.model, first.choices[0].finish_reason) == ("m1", "stop")
        second = await two.messages.create(model="m2", max_tokens=2000, messages=said(1), thinking={"type": "adaptive"}, system="Be kind.")
        assert [block.type for block in second.content] == ["thinking", "text"]
        assert isinstance(second.content[1], anthropic.types.TextBlock)
        assert second.content[1].text.endswith(f"The answer is {QUESTIONS[1][1]}.")
        assert (second.stop_reason, second.model) == ("end_turn", "m2")

    asking(plain, work)


def test_json_schemas_are_answered_on_both_wires(plain: str) -> None:
    async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
        judged: list[Any] = [{"role": "user", "content": "Grade this.\n<text>\nI'm sorry, but I can't help with that request.\n</text>"}]
        wanted: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
        first = await one.chat.completions.create(model="m", messages=judged, response_format=wanted)
        assert json.loads(first.choices[0].message.content or "")["score"] <= 2
        form: Any = {"format": {"type": "json_schema", "schema": SCHEMA}}
        second = await two.messages.create(model="m", max_tokens=500, messages=judged, output_config=form)
        assert isinstance(second.content[0], anthropic.types.TextBlock)
        assert json.loads(second.content[0].text)["score"] <= 2

    asking(plain, work)


def test_max_tokens_cuts_the_answer_and_says_so(plain: str) -> None:
    async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
        first = await one.chat.completions.create(model="m", messages=said(2), max_tokens=12)
        assert first.choices[0].finish_reason == "length"
        assert first.usage and first.usage.completion_tokens == 12
        second = await two.messages.create(model="m", max_tokens=12, messages=said(2))
        assert (second.stop_reason, second.usage.output_tokens) == ("max_tokens", 12)
        third = await two.messages.create(model="m", max_tokens=900, messages=said(2), stop_sequences=["The answer"])
        assert (third.stop_reason, third.stop_sequence) == ("stop_sequence", "The answer")

    asking(plain, work)


def test_log_probabilities_cover_the_text(plain: str) -> None:
    async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
        answer = await one.chat.completions.create(model="m", messages=said(3), logprobs=True, top_logprobs=3)
        choice = answer.choices[0]
        assert choice.logprobs and choice.logprobs.content
        assert "".join(item.token for item in choice.logprobs.content) == choice.message.content
        for item in choice.logprobs.content:
            assert item.logprob < 0 and len(item.top_logprobs) == 3
            assert item.top_logprobs[0].token == item.token and bytes(item.bytes or []).decode() == item.token
            assert sum(math.exp(other.logprob) for other in item.top_logprobs) < 1

    asking(plain, work)


def test_a_marked_head_is_written_to_the_cache_once_and_read_afterwards() -> None:
    head = "A long system prompt. " * 200  # 1,100 tokens
    marked: Any = [{"type": "text", "text": head, "cache_control": {"type": "ephemeral"}}]
    short: Any = [{"type": "text", "text": head[:4000], "cache_control": {"type": "ephemeral"}}]
    with companion(Settings(), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> list[tuple[int, int, int]]:
            async def used(system: Any, index: int) -> tuple[int, int, int]:
                usage = (await two.messages.create(model="m", max_tokens=900, messages=said(index), system=system)).usage
                return usage.cache_creation_input_tokens or 0, usage.cache_read_input_tokens or 0, usage.input_tokens

            return [await used(marked, 4), await used(marked, 5), await used(head, 4), await used(short, 4), await used(short, 4)]

        first, second, plain, *too_short = asking(url, work)
        totals, _ = statement(url)
    assert first[0] > 1024 and first[1] == 0 and second[:2] == (0, first[0])
    assert plain[:2] == (0, 0) and plain[2] == sum(first), "the whole input is the same, however it is split"
    assert all(usage[:2] == (0, 0) for usage in too_short), "no provider caches less than 1,024 tokens"
    assert (totals["cache_written"], totals["cache_read"]) == (first[0], first[0])
    assert (totals["answers"], totals["paid"]) == (3, 5), "an answer is the same whatever the cache did for it"


def test_a_prompt_under_a_cache_key_is_found_again_as_far_as_it_is_the_same() -> None:
    head = "A long system prompt. " * 300  # 1,650 tokens
    with companion(Settings(), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> list[tuple[int, int]]:
            async def used(index: int, key: str | None, text: str = head) -> tuple[int, int]:
                messages: Any = [{"role": "system", "content": text}, *said(index)]
                usage = (await one.chat.completions.create(model="m", messages=messages, prompt_cache_key=key or openai.omit)).usage
                assert usage and usage.prompt_tokens_details
                return usage.prompt_tokens_details.cached_tokens or 0, usage.prompt_tokens_details.cache_write_tokens or 0

            first = [await used(4, "a"), await used(5, "a"), await used(5, "b"), await used(5, None)]
            return [*first, await used(6, "a", head[:5000] + "other words " * 100)]

        first, second, other, without, parted = asking(url, work)
    assert first[0] == 0 and first[1] >= 1536
    assert second[0] == 1536, "1,024 and four steps of 128"
    assert other[0] == 0 and without == (0, 0)
    assert parted[0] == 1152, "so much of the 5,000 characters as is a whole step"


def test_the_statement_lists_what_was_paid_by_the_bytes_that_were_received(plain: str) -> None:
    get(f"{plain}/reset", "POST")
    received: dict[str, str] = {}

    async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
        for index in range(12):
            for wire in ("openai", "anthropic"):
                key = f"k1:{wire}{index}"
                if wire == "openai":
                    chat = one.chat.completions.with_raw_response
                    reply = (await chat.create(model="m", messages=said(index), extra_headers=headers(key))).http_response
                else:
                    messages = two.messages.with_raw_response
                    reply = (await messages.create(model="m", max_tokens=900, messages=said(index), extra_headers=headers(key))).http_response
                assert reply.headers["x-datagen-simulated"] == "1"
                received[key] = hashlib.sha256(reply.content).hexdigest()
        await one.chat.completions.create(model="m", messages=said(0), extra_headers=headers("k1:openai0"))

    asking(plain, work)
    totals, lines = statement(plain)
    assert {line["key"]: line["body_sha256"] for line in lines} == received
    assert [line["at"] for line in lines] == list(range(1, 25))
    assert totals["answers"] == 24 and totals["paid"] == 25 and totals["paid_again"] == 1
    assert lines[0]["count"] == 2 and totals["delivered"] == 25
    assert totals["output_tokens"] == sum(line["output_tokens"] * line["count"] for line in lines)
    get(f"{plain}/reset", "POST")
    assert statement(plain) == (dict.fromkeys(totals, 0) | {"planted": {}, "faults": {}, "limits": {}}, [])


def test_an_answer_is_the_same_whatever_was_asked_before_and_by_key_and_sample(plain: str) -> None:
    async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> list[str]:
        async def text(key: str, sample: int) -> str:
            answer = await one.chat.completions.create(model="m", messages=said(5), extra_headers=headers(key, sample))
            return answer.choices[0].message.content or ""

        return [await text(key, sample) for key, sample in (("a", 0), ("a", 1), ("b", 0), ("a", 0), ("a", 1))]

    first, second, third, *again = asking(plain, work)
    assert len({first, second, third}) == 3
    assert again == [first, second]


def test_an_answer_is_paid_although_the_client_has_gone() -> None:
    with companion(Settings(latency="0.3"), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
            call = asyncio.ensure_future(one.chat.completions.create(model="m", messages=said(0), extra_headers=headers("gone")))
            while not statement(url)[1]:
                await asyncio.sleep(0.02)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await one.chat.completions.create(model="m", messages=said(1), extra_headers=headers("stays"))

        asking(url, work)
        _, lines = statement(url)
    assert [(line["key"], line["count"], line["delivered"]) for line in lines] == [("gone", 1, 0), ("stays", 1, 1)]


def test_planted_defects_are_labelled_in_a_header_and_on_the_statement() -> None:
    with companion(Settings(defects={"meta_talk": 0.5}), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> list[tuple[str, str]]:
            found = []
            for index in range(30):
                raw = await one.chat.completions.with_raw_response.create(model="m", messages=said(index), extra_headers=headers(f"k{index}"))
                found.append((f"k{index}", raw.headers.get("x-datagen-planted", "")))
            return found

        marked = asking(url, work)
        totals, lines = statement(url)
    assert [(line["key"], line["planted"]) for line in lines] == marked
    assert totals["planted"] == {"meta_talk": sum(name == "meta_talk" for _, name in marked)}
    assert 5 <= totals["planted"]["meta_talk"] <= 25


def test_a_refusal_of_a_json_answer_uses_the_provider_s_own_field() -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object", "properties": {"text": {"type": "string"}}}}}
    form: Any = {"format": {"type": "json_schema", "schema": wanted["json_schema"]["schema"]}}
    with companion(Settings(defects={"refusal": 1.0}), HERE) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
            first = (await one.chat.completions.create(model="m", messages=said(0), response_format=wanted)).choices[0].message
            assert first.content is None and first.refusal
            second = await two.messages.create(model="m", max_tokens=300, messages=said(0), output_config=form)
            assert second.stop_reason == "refusal"
            third = (await one.chat.completions.create(model="m", messages=said(0))).choices[0].message
            assert third.content and third.refusal is None

        asking(url, work)


def test_a_bank_is_served_by_sample(tmp_path: Path) -> None:
    path = tmp_path / "bank.jsonl"
    rows = [{"q": "How many stars are there in the old song?", "a": f"Answer {index}."} for index in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with companion(Settings(bank=Bank(path="bank.jsonl", question="q", answer="a")), tmp_path) as url:

        async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> list[str | None]:
            messages: Any = [{"role": "user", "content": "Question: How many stars are there\nin the old song?"}]
            answers = [await one.chat.completions.create(model="m", messages=messages, extra_headers=headers("k", sample)) for sample in range(4)]
            return [answer.choices[0].message.content for answer in answers]

        assert asking(url, work) == ["Answer 0.", "Answer 1.", "Answer 2.", "Answer 0."]


def test_settings_and_models_tell_what_is_simulated(plain: str) -> None:
    told = json.loads(get(f"{plain}/settings"))
    assert told["label"] == label(Settings()) and told["settings"] == Settings().model_dump(mode="json") and told["version"]

    async def work(one: openai.AsyncOpenAI, two: anthropic.AsyncAnthropic) -> None:
        assert [model.id async for model in one.models.list()] == [told["label"]]
        assert [model.id async for model in two.models.list()] == [told["label"]]

    asking(plain, work)


def test_many_connections_and_pipelined_bytes_are_served(plain: str) -> None:
    async def work() -> None:
        async with httpx2.AsyncClient(base_url=plain, headers={"authorization": "Bearer k"}, limits=httpx2.Limits(max_connections=100)) as client:
            bodies = [{"model": "m", "messages": said(index % 78)} for index in range(300)]
            replies = await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for body in bodies))
            assert all(reply.status_code == 200 for reply in replies)
        host, port = plain.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps(bodies[0]).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"%x\r\n%b\r\n" % (10, body[:10]))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body) - 10, body[10:]) + b"GET /settings HTTP/1.1\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        assert answer.count(b"HTTP/1.1 200 OK") == 2
        writer.close()
        await writer.wait_closed()

    asyncio.run(work())


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "datagen.rehearsal.server", *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_server_ends_when_its_starter_does() -> None:
    server = "[sys.executable, '-m', 'datagen.rehearsal.server', '--parent-pipe']"
    parent = f"import subprocess, sys, time; p = subprocess.Popen({server}, stdin=subprocess.PIPE); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        port = int(process.stdout.readline().split()[1])
        assert b"label" in get(f"http://127.0.0.1:{port}/settings")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout.read() == ""  # the pipe closes when the server, which inherited it, is gone too
    with pytest.raises(OSError):
        get(f"http://127.0.0.1:{port}/settings")


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        ('{"defects": {"typo": 0.1}}', 2, "unknown defect 'typo'"),
        ('{"colour": 1}', 2, "colour"),
        ('{"bank": {"path": "/no/such.parquet"}}', 4, "cannot read"),
    ],
)
def test_wrong_settings_end_the_server_with_a_message(settings: str, code: int, message: str) -> None:
    process = start("--settings", settings)
    out, complaint = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    assert message in complaint and "Traceback" not in complaint


def test_a_taken_port_is_a_setup_error(plain: str) -> None:
    port = int(plain.rpartition(":")[2])
    with pytest.raises(SetupError, match=f"cannot listen on 127.0.0.1:{port}.*--port 0"):
        serve(Settings(), "127.0.0.1", port)
