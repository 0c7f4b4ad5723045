"""Both batch APIs against the documented wire: what is sent, every state and every kind of result, and what a broken wire means."""

from __future__ import annotations

import asyncio
import json
import re
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest
from batching import KEY, body, endpoint, request, teacher
from wire_server import Reply, Seen, WireServer, encoded, error

from datagen.asking.teachers import TEACHERS
from datagen.asking.teachers.base import Batches, Job, JobState, Result, custom_id, key_of
from datagen.errors import FaultKind, SetupError, TeacherFault
from datagen.records import Outcome

PROVIDERS = ["anthropic", "openai"]
CREATED = 1_790_000_000
JOBS_PATH = {"openai": "/v1/batches", "anthropic": "/v1/messages/batches"}


def openai_job(status: str, number: int = 1, **more: Any) -> dict[str, Any]:
    """A batch that the SDK's own type accepts."""
    from openai.types import Batch

    told = {
        "id": f"batch_{number}", "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": "file-in", "completion_window": "24h",
        "status": status, "created_at": CREATED - number, "request_counts": {"total": 3, "completed": 1, "failed": 1}, **more,
    }  # fmt: skip
    Batch.model_validate(told, strict=True)
    return told


def anthropic_job(status: str, number: int = 1, **counts: int) -> dict[str, Any]:
    """A batch that the SDK's own type accepts."""
    from anthropic.types.messages import MessageBatch

    moment = datetime.fromtimestamp(CREATED - number, UTC).isoformat().replace("+00:00", "Z")
    told = {
        "id": f"msgbatch_{number}", "type": "message_batch", "processing_status": status, "created_at": moment, "expires_at": moment,
        "request_counts": {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0, **counts},
    }  # fmt: skip
    MessageBatch.model_validate_json(json.dumps(told), strict=True)
    return told


def a_job(provider: str, number: int = 1) -> dict[str, Any]:
    return openai_job("in_progress", number) if provider == "openai" else anthropic_job("in_progress", number, processing=3)


def with_batches(provider: str, script: list[Reply] | Callable[[Seen], Reply], use: Callable[[Batches], Awaitable[Any]]) -> tuple[Any, list[Seen]]:
    """What `use` gave, or the fault it met: without a chain, and without the key."""

    async def go() -> tuple[Any, list[Seen]]:
        async with WireServer(script) as server:
            asked = teacher(provider, server.url)
            try:
                given = await use(asked.batches())
            except TeacherFault as fault:
                assert fault.__cause__ is None and fault.__context__ is None, "the SDK's exceptions carry the Authorization header"
                assert KEY not in f"{fault!r} {fault.body} {fault.args}"
                given = fault
            finally:
                await asked.close()
            return given, server.seen

    return asyncio.run(go())


async def read(batches: Batches, job: Job) -> list[Result | TeacherFault]:
    """All results, and at the end the fault that broke them off."""
    found: list[Result | TeacherFault] = []
    try:
        async with aclosing(batches.results(job)) as results:
            async for result in results:
                found.append(result)
    except TeacherFault as fault:
        found.append(fault)
    return found


def ended(provider: str) -> Job:
    return Job("job 1", "ended", "done", CREATED, 3, files=("file-out", "file-err") if provider == "openai" else ())


# -- what is sent ---------------------------------------------------------------------------------------------------------------------


def test_a_job_of_openai_is_a_file_and_a_batch_over_it_with_our_tag() -> None:
    asked = [request("openai", 1), request("openai", 2)]

    async def use(batches: Batches) -> Job:
        return await batches.submit([batches.line(each) for each in asked], "b-17")

    job, (upload, create) = with_batches("openai", [Reply(encoded({"id": "file-9"})), Reply(encoded(openai_job("validating")))], use)
    assert upload.path == "/v1/files" and b'name="purpose"\r\n\r\nbatch\r\n' in upload.body
    lines = [json.loads(line) for line in upload.body.split(b"\r\n\r\n")[-1].split(b"\r\n--")[0].splitlines()]
    assert [line["custom_id"] for line in lines] == [custom_id(each.key, 0) for each in asked]
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    assert lines[0]["body"]["messages"] == [{"role": "user", "content": "What is 1 x 7?"}]
    wanted = {"input_file_id": "file-9", "endpoint": "/v1/chat/completions", "completion_window": "24h", "metadata": {"datagen": "b-17"}}
    assert json.loads(create.body) == wanted
    assert job == Job("batch_1", "validating", "validating", CREATED - 1, 3, done=2)


def test_a_job_of_anthropic_is_one_call_with_its_length_told() -> None:
    asked = [request("anthropic", 1), request("anthropic", 2)]

    async def use(batches: Batches) -> Job:
        return await batches.submit([batches.line(each) for each in asked], "b-17")

    job, (create,) = with_batches("anthropic", [Reply(encoded(anthropic_job("in_progress", processing=2)))], use)
    sent = json.loads(create.body)["requests"]
    assert [line["custom_id"] for line in sent] == [custom_id(each.key, 0) for each in asked]
    assert sent[1]["params"] == {"model": "teacher-1", "max_tokens": 64, "messages": [{"role": "user", "content": "What is 2 x 7?"}]}
    assert "b-17" not in str(create), "there is nowhere to put a tag"
    assert job == Job("msgbatch_1", "running", "in_progress", CREATED - 1, 2)


@pytest.mark.parametrize(("provider", "url"), [("responses", "/v1/responses"), ("azure", "/chat/completions")])
def test_where_requests_go_at_the_other_openai_apis(provider: str, url: str) -> None:
    async def go() -> tuple[dict[str, Any], list[Seen]]:
        async with WireServer(lambda seen: Reply(encoded({"id": "file-9"} if "/files" in seen.path else openai_job("validating")))) as server:
            cloud = {"azure_endpoint": server.url, "api_version": "2026-01-01"}
            asked: Any = TEACHERS.get(provider)(endpoint(provider, server.url, client=cloud if provider == "azure" else {}))
            try:
                line = asked.batches().line(request(provider, 1))
                await asked.batches().submit([line], "b-1")
            finally:
                await asked.close()
            return json.loads(line), server.seen

    line, seen = asyncio.run(go())
    assert line["url"] == json.loads(seen[1].body)["endpoint"] == url and line["body"]["model"] == "teacher-1"
    assert seen[1].path.partition("?")[0].endswith("/batches") and "deployments" not in seen[1].path


@pytest.mark.parametrize("provider", PROVIDERS)
def test_custom_ids_are_what_anthropic_takes_and_lead_back_to_the_key(provider: str) -> None:
    name = custom_id(request(provider, 1).key, 10**6)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) and key_of(name) == request(provider, 1).key
    assert key_of("request-1") == key_of("k1-short-0") == ""


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_upload_is_never_in_memory_as_a_whole(provider: str) -> None:
    class Lines(Sequence[bytes]):
        """40 MB, made as they are read."""

        def __len__(self) -> int:
            return 4_000

        def __getitem__(self, number: Any) -> Any:
            if number >= len(self):
                raise IndexError
            return b'{"custom_id":"x%05d","params":"%b"}' % (number, b"y" * 10_000)

    async def go() -> tuple[int, int]:
        taken = 0

        async def drain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal taken
            head = await reader.readuntil(b"\r\n\r\n")
            left = length = int(re.search(rb"content-length: (\d+)", head.lower())[1])  # type: ignore[index]
            while left and (chunk := await reader.read(min(left, 1 << 16))):
                left -= len(chunk)
            taken = max(taken, length)
            body = encoded({"id": "file-1"} if b"/files" in head else a_job(provider))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body))
            writer.close()

        server = await asyncio.start_server(drain, "127.0.0.1", 0)
        asked = teacher(provider, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        tracemalloc.start()
        await asked.batches().submit(Lines(), "b-1")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        await asked.close()
        server.close()
        return taken, peak

    taken, peak = asyncio.run(go())
    assert taken > 40_000_000 and peak < 4_000_000, f"{peak:,} bytes at once for a body of {taken:,}"


# -- jobs -----------------------------------------------------------------------------------------------------------------------------

OPENAI_STATES: dict[str, JobState] = {
    "validating": "validating", "in_progress": "running", "finalizing": "running", "cancelling": "running", "failed": "failed",
    "completed": "ended", "expired": "ended", "cancelled": "ended",
}  # fmt: skip


@pytest.mark.parametrize(("word", "state"), OPENAI_STATES.items())
def test_states_of_openai(word: str, state: JobState) -> None:
    told = openai_job(word, output_file_id="file-out", error_file_id=None, metadata={"datagen": "b-1", "team": "x"})
    job, seen = with_batches("openai", [Reply(encoded(told))], lambda batches: batches.job("batch/1"))
    assert (job.state, job.word, job.tag, job.files) == (state, word, "b-1", ("file-out",))
    assert seen[0].path == "/v1/batches/batch%2F1", "an id is no path"


def test_a_completed_job_has_not_ended_before_its_files_are_named() -> None:
    job, _ = with_batches("openai", [Reply(encoded(openai_job("completed")))], lambda batches: batches.job("batch_1"))
    assert job.state == "running"


def test_why_a_job_failed() -> None:
    errors = {"object": "list", "data": [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached", "line": None, "param": None}]}
    job, _ = with_batches("openai", [Reply(encoded(openai_job("failed", errors=errors)))], lambda batches: batches.job("batch_1"))
    assert job.error == "token_limit_exceeded: Enqueued token limit reached"


@pytest.mark.parametrize(("word", "state"), [("in_progress", "running"), ("canceling", "running"), ("ended", "ended")])
def test_states_of_anthropic(word: str, state: JobState) -> None:
    told = anthropic_job(word, processing=2, succeeded=1, errored=1, canceled=1, expired=1)
    job, _ = with_batches("anthropic", [Reply(encoded(told))], lambda batches: batches.job("msgbatch_1"))
    assert (job.state, job.word, job.requests, job.done, job.created) == (state, word, 6, 4, CREATED - 1)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_list_is_read_page_by_page_until_it_is_old_enough(provider: str) -> None:
    def page(seen: Seen) -> Reply:
        after = re.search(r"after(?:_id)?=(?:msgbatch|batch)_(\d+)", seen.path)
        first = int(after[1]) + 1 if after else 1
        return Reply(encoded({"data": [a_job(provider, number) for number in range(first, first + 3)], "has_more": True}))

    jobs, seen = with_batches(provider, page, lambda batches: batches.jobs(CREATED - 5))
    assert [job.created for job in jobs] == [CREATED - number for number in range(1, 7)] and len(seen) == 2
    jobs, seen = with_batches(provider, page, lambda batches: batches.jobs(float("inf")))
    assert max(job.created for job in jobs) == CREATED - 1 and len(seen) == 1, "the newest costs one page"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_list_that_repeats_itself_ends(provider: str) -> None:
    jobs, seen = with_batches(provider, [Reply(encoded({"data": [a_job(provider)], "has_more": True}))], lambda batches: batches.jobs(0.0))
    assert len(jobs) == 1 and len(seen) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_cancel(provider: str) -> None:
    done, seen = with_batches(provider, [Reply(encoded(a_job(provider)))], lambda batches: batches.cancel("j1"))
    assert done is None and seen[0].path == f"{JOBS_PATH[provider]}/j1/cancel"


# -- what can go wrong with a call -----------------------------------------------------------------------------------------------------

FAULTS: list[tuple[Reply, FaultKind, FaultKind]] = [
    (Reply(how="reset"), "transient", "unreachable"),
    (Reply(b"{}", how="half"), "transient", "unreachable"),
    (Reply(b"<html>moved</html>"), "transient", "unreachable"),
    (Reply(b'{"id": null}'), "transient", "unreachable"),
    (Reply(b"oops", 500), "transient", "unreachable"),
    (Reply(b"{}", 429, {"retry-after": "300"}), "rate_limited", "rate_limited"),
    (Reply(b"{}", 529), "overloaded", "overloaded"),
    (Reply(b"{}", 413), "rejected", "rejected"),
    (Reply(b"{}", 402), "exhausted", "exhausted"),
    (Reply(b"{}", 401), "stopped", "stopped"),
    (Reply(b"{}", 307, {"location": "http://127.0.0.1:9/elsewhere"}), "stopped", "stopped"),
]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("reply", "kind", "of_upload"), FAULTS)
def test_what_a_failed_submission_means(provider: str, reply: Reply, kind: FaultKind, of_upload: FaultKind) -> None:
    def create(seen: Seen) -> Reply:
        return Reply(encoded({"id": "file-1"})) if seen.path == "/v1/files" else reply

    fault, seen = with_batches(provider, create, lambda batches: batches.submit([b"{}"], "b-1"))
    assert isinstance(fault, TeacherFault) and fault.kind == kind
    assert len([each for each in seen if each.path == JOBS_PATH[provider]]) == 1, "sent more than once"
    assert fault.retry_after == (300 if kind == "rate_limited" else None)
    if provider == "openai":
        fault, _ = with_batches(provider, [reply], lambda batches: batches.submit([b"{}"], "b-1"))
        assert fault.kind == of_upload, "no job comes of a lost upload, so it may go again"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_where_nobody_listens_nothing_was_sent(provider: str) -> None:
    async def go() -> TeacherFault:
        asked = teacher(provider, "http://127.0.0.1:9")
        with pytest.raises(TeacherFault) as caught:
            await asked.batches().submit([b"{}"], "b-1")
        await asked.close()
        return caught.value

    assert asyncio.run(go()).kind == "unreachable"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_simulated_provider_is_not_taken_for_a_real_one(provider: str) -> None:
    reply = Reply(encoded(a_job(provider)), headers={"x-datagen-simulated": "1"})
    fault, _ = with_batches(provider, [reply], lambda batches: batches.job("j1"))
    assert isinstance(fault, TeacherFault) and fault.kind == "stopped"


@pytest.mark.parametrize("provider", sorted(set(TEACHERS) & {"bedrock", "vertex"}))
def test_clouds_without_batches_say_so(provider: str) -> None:
    where = {"bedrock": {"aws_region": "eu-central-1"}, "vertex": {"project_id": "p", "region": "europe-west1"}}[provider]

    async def go() -> None:
        asked = TEACHERS.get(provider)(endpoint(provider, "http://127.0.0.1:9", client=where))
        try:
            with pytest.raises(SetupError, match="batch"):
                asked.batches()
        finally:
            await asked.close()

    pytest.importorskip({"bedrock": "boto3", "vertex": "google.auth"}[provider], reason="the cloud's own package is not installed")
    asyncio.run(go())


# -- results --------------------------------------------------------------------------------------------------------------------------


def openai_line(name: str, status: int, said: Any) -> bytes:
    return json.dumps(
        {"id": "r", "custom_id": name, "response": {"status_code": status, "request_id": "req_7", "body": said}, "error": None}
    ).encode()


def openai_undone(name: str, code: str) -> bytes:
    return json.dumps({"id": "r", "custom_id": name, "response": None, "error": {"code": code, "message": "not done"}}).encode()


def anthropic_line(name: str, **result: Any) -> bytes:
    """A result that the SDK's own type accepts."""
    from anthropic.types.messages import MessageBatchIndividualResponse

    line = json.dumps({"custom_id": name, "result": result}, ensure_ascii=False).encode()
    MessageBatchIndividualResponse.model_validate_json(line)
    return line


def good_line(provider: str, name: str, text: str = "42") -> bytes:
    if provider == "openai":
        return openai_line(name, 200, body("openai", text))
    return anthropic_line(name, type="succeeded", message=body("anthropic", text))


def told(type_: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": type_, "message": "no"}, "request_id": "req_1"}


def results_of(provider: str, output: Reply, errors: Reply | None = None) -> list[Result | TeacherFault]:
    script = lambda seen: (errors or Reply()) if "file-err" in seen.path else output  # noqa: E731
    found, seen = with_batches(provider, script, lambda batches: read(batches, ended(provider)))
    if provider == "openai":
        assert seen[0].path == "/v1/files/file-out/content"
    else:
        assert seen[0].path == "/v1/messages/batches/job%201/results"
    return list(found)


def test_results_of_openai_from_both_files() -> None:
    output = b"\n".join([good_line("openai", "a"), openai_line("b", 200, {"id": "x", "choices": []}), good_line("openai", "c", "\u2028 \x85 kept")])
    lines = [
        openai_line("d", 400, {"error": {"message": "bad", "type": "invalid_request_error"}}), openai_undone("e", "batch_expired"),
        openai_undone("f", "batch_cancelled"), openai_line("g", 500, {"error": {"message": "sorry"}}), openai_line("h", 429, {}),
        openai_line("i", 429, {"error": {"code": "insufficient_quota", "message": "no money"}}), b"no json", b'{"custom_id": 7}', b"\xff\xfe",
    ]  # fmt: skip
    found = results_of("openai", Reply(output), Reply(b"\n".join(lines) + b"\n", how="chunked"))
    kinds = [
        (each.custom_id, each.fault.kind if each.fault else each.response and each.response.outcome) for each in found if isinstance(each, Result)
    ]
    assert kinds == [
        ("a", Outcome.ANSWERED), ("b", "transient"), ("c", Outcome.ANSWERED), ("d", "rejected"), ("e", "transient"), ("f", "transient"),
        ("g", "transient"), ("h", "transient"), ("i", "exhausted"), ("", "transient"), ("", "transient"), ("", "transient"),
    ]  # fmt: skip
    first, second, third = found[0], found[1], found[2]
    assert isinstance(first, Result) and first.response and (first.response.request_id, first.response.usage.input) == ("req_7", 20)
    assert isinstance(second, Result) and second.fault and second.fault.status == 200, "an answer was made, if a bad one"
    assert isinstance(third, Result) and third.response and third.response.text == "\u2028 \x85 kept"


def test_results_of_anthropic() -> None:
    lines = [
        good_line("anthropic", "a", "\u2028 kept"), anthropic_line("b", type="errored", error=told("invalid_request_error")),
        anthropic_line("c", type="errored", error=told("api_error")), anthropic_line("d", type="errored", error=told("overloaded_error")),
        anthropic_line("e", type="expired"), anthropic_line("f", type="canceled"), anthropic_line("g", type="errored", error=told("billing_error")),
        anthropic_line("h", type="errored", error=told("authentication_error")), b'{"custom_id":"i","result":{"type":"new"}}', b"[]",
    ]  # fmt: skip
    found = results_of("anthropic", Reply(b"\n".join(lines) + b"\n", how="chunked"))
    kinds = [
        (each.custom_id, each.fault.kind if each.fault else each.response and each.response.outcome) for each in found if isinstance(each, Result)
    ]
    assert kinds == [
        ("a", Outcome.ANSWERED), ("b", "rejected"), ("c", "transient"), ("d", "transient"), ("e", "transient"), ("f", "transient"),
        ("g", "exhausted"), ("h", "stopped"), ("i", "transient"), ("", "transient"),
    ]  # fmt: skip
    assert isinstance(found[0], Result) and found[0].response and found[0].response.text == "\u2028 kept"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_results_that_break_off_keep_what_came(provider: str) -> None:
    lines = b"\n".join(good_line(provider, f"n{number}") for number in range(100))
    found = results_of(provider, Reply(lines, how="half"))
    assert isinstance(found[-1], TeacherFault) and found[-1].kind == "transient"
    assert [each.custom_id for each in found[:-1] if isinstance(each, Result)] == [f"n{number}" for number in range(len(found) - 1)]
    assert len(found) > 30


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_last_line_that_is_cut_is_no_result(provider: str) -> None:
    found = results_of(provider, Reply(good_line(provider, "a") + b"\n" + good_line(provider, "b")[:-9]))
    assert [type(each) for each in found] == [Result, TeacherFault]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_results_that_are_gone(provider: str) -> None:
    (fault,) = results_of(provider, Reply(error(provider, "not_found_error"), 404))
    assert isinstance(fault, TeacherFault) and fault.status == 404


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_key_is_in_no_result(provider: str) -> None:
    found = results_of(provider, Reply(good_line(provider, "a", f"my key is {KEY}")))
    assert KEY not in repr(found) and isinstance(found[0], Result) and found[0].response


SPOKEN = f"the key {KEY} of this account"
ESCAPED = json.dumps(SPOKEN).replace("M", "\\u004d").encode()
"""The same as a server writes it that escapes more than it must."""


@pytest.mark.parametrize("spoken", [json.dumps(SPOKEN).encode(), ESCAPED], ids=["plain", "escaped"])
@pytest.mark.parametrize(
    ("provider", "line"),
    [
        ("openai", b'{"custom_id":"a","response":null,"error":{"code":"x","message":%b}}'),
        ("openai", b'{"custom_id":"a","response":null,"error":{"code":%b}}'),
        ("openai", b'{"custom_id":"a","response":{"status_code":400,"body":{"error":{"message":%b}}}}'),
        ("openai", b'{"custom_id":"a","response":{"status_code":200,"body":%b}}'),
        ("openai", b'{"custom_id":%b}'),
        ("anthropic", b'{"custom_id":"a","result":{"type":"errored","error":{"error":{"type":"invalid_request_error","message":%b}}}}'),
        ("anthropic", b'{"custom_id":"a","result":{"type":"errored","error":{"error":{"type":"api_error","message":%b}}}}'),
        ("anthropic", b'{"custom_id":"a","result":{"type":%b}}'),
        ("anthropic", b'{"custom_id":%b}'),
    ],
)
def test_the_key_is_in_no_fault_of_a_result(provider: str, line: bytes, spoken: bytes) -> None:
    (found,) = results_of(provider, Reply(line % spoken))
    assert isinstance(found, Result) and found.fault
    assert KEY not in f"{found!r} {found.fault} {found.fault.body}" and "MARKED" not in found.fault.body


@pytest.mark.parametrize("spoken", [json.dumps(SPOKEN).encode(), ESCAPED], ids=["plain", "escaped"])
def test_the_key_is_not_in_why_a_job_failed(spoken: bytes) -> None:
    told = json.dumps(openai_job("failed", errors={"object": "list", "data": [{"code": "x", "message": "WHY"}]})).encode()
    job, _ = with_batches("openai", [Reply(told.replace(b'"WHY"', spoken))], lambda batches: batches.job("batch_1"))
    assert "[api key]" in job.error and KEY not in repr(job)
