"""Answers paid for elsewhere: read as if they had just come, under the key that a spec would ask; never over what is there."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from datagen.asking.ledger.book import Ledger, lock, verify
from datagen.asking.ledger.imports import SHOWN, Imported, place, take, told
from datagen.asking.teachers import TEACHERS
from datagen.asking.teachers.base import Endpoint, custom_id
from datagen.errors import LedgerError
from datagen.records import Outcome, Request, Response, Spend, Usage

SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"], "additionalProperties": False}


def chat(text: str, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
    return {"id": "c1", "model": "m-2026", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage, **more}


def message(text: str, stop: str = "end_turn") -> dict[str, Any]:
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": text}]
    return {
        "id": "m1",
        "type": "message",
        "model": "c-2026",
        "content": blocks,
        "stop_reason": stop,
        "usage": {"input_tokens": 9, "output_tokens": 4},
    }


def responses(text: str) -> dict[str, Any]:
    output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}]
    return {
        "id": "r1",
        "model": "m-2026",
        "status": "completed",
        "output": output,
        "usage": {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13},
    }


WIRES = ("openai", "anthropic")
REPLIES = {"openai": chat("yes"), "anthropic": message("yes"), "responses": responses("yes")}


def jsonl(path: Path, lines: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def asked(provider: str = "openai", number: int = 0, **more: Any) -> Request:
    messages = (("system", "Be brief."), ("user", f"question {number}"))
    return Request(provider, "", "claude-x" if provider == "anthropic" else "gpt-x", messages, {"max_tokens": 100}, **more)


def body(request: Request) -> dict[str, Any]:
    """As the adapter sends it."""
    endpoint = Endpoint(request.provider, None, "none", timeout=5.0, connections=1, simulated=False, native_schema=True)
    adapter = TEACHERS.get(request.provider)(endpoint)
    try:
        made_: dict[str, Any] = adapter.body(request)
        return made_
    finally:
        asyncio.run(adapter.close())


def batch(name: str, request: Request) -> tuple[dict[str, Any], dict[str, Any]]:
    """A line of the input and its line of the output."""
    reply = REPLIES[request.provider]
    if request.provider == "anthropic":
        return {"custom_id": name, "params": body(request)}, {"custom_id": name, "result": {"type": "succeeded", "message": reply}}
    url = {"openai": "/v1/chat/completions", "responses": "/v1/responses"}[request.provider]
    done = {"status_code": 200, "request_id": "q1", "body": reply}
    return {"custom_id": name, "method": "POST", "url": url, "body": body(request)}, {"id": "b1", "custom_id": name, "response": done, "error": None}


def imported(folder: Path, *files: Path, requests: Path | None = None, label: str = "", max_tokens: int | None = None) -> Imported:
    return take(folder, files, requests, label, max_tokens)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "responses"])
def test_what_an_adapter_sent_in_a_batch_comes_back_under_its_own_key(tmp_path: Path, provider: str) -> None:
    requests = [asked(provider, 0), asked(provider, 1), asked(provider, 2, schema=SCHEMA)]
    pairs = [batch(f"request-{number}", request) for number, request in enumerate(requests)]
    sent, came = jsonl(tmp_path / "in.jsonl", [pair[0] for pair in pairs]), jsonl(tmp_path / "out.jsonl", [pair[1] for pair in reversed(pairs)])
    done = imported(tmp_path / "ledger", came, requests=sent)
    assert (done.taken, done.known, done.unread) == (3, 0, [])
    book = Ledger(tmp_path / "ledger", "")
    for request in requests:
        found = book.get(request.key)
        assert found is not None and found.outcome is Outcome.ANSWERED and found.text == "yes" and found.usage.output in (4, 5) and found.cost == 0
        entry = book.entry(request.key)
        assert entry is not None and entry["build"] == "import" and entry["request"] == request.identity()
    assert found is not None and found.reasoning == ("hm" if provider == "anthropic" else "")
    assert book.accounts["import"]["import"].committed == Spend() and verify(tmp_path / "ledger") == (3, [])
    again = imported(tmp_path / "ledger", sent, came)  # requests may stand among the files
    assert (again.taken, again.known, again.unread) == (0, 3, [])


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "ledger", "b")
    book.record(asked(), "t", Response(Outcome.ANSWERED, "ours", usage=Usage(1, 1)), Spend(1, 2, 1))
    book.close()
    sent, came = batch("x", asked())
    done = imported(tmp_path / "ledger", jsonl(tmp_path / "all.jsonl", [sent, came]))
    found = Ledger(tmp_path / "ledger", "").get(asked().key)
    assert (done.taken, done.known) == (0, 1) and found is not None and found.text == "ours"


def test_equal_requests_are_samples_and_our_own_custom_ids_say_which(tmp_path: Path) -> None:
    pairs = [batch(f"r{number}", asked()) for number in range(3)]
    done = imported(tmp_path / "a", jsonl(tmp_path / "a.jsonl", [line for pair in pairs for line in pair]))
    book = Ledger(tmp_path / "a", "")
    assert done.taken == 3 and all(asked(sample=number).key in book for number in range(3))
    own = asked(sample=4)
    imported(tmp_path / "b", jsonl(tmp_path / "b.jsonl", batch(custom_id(own.key, 4), own)))
    assert own.key in Ledger(tmp_path / "b", "") and asked().key not in Ledger(tmp_path / "b", "")


def test_a_line_that_stands_twice_is_one_sample(tmp_path: Path) -> None:
    sent, came = batch("r0", asked())
    all_, again = jsonl(tmp_path / "all.jsonl", [sent, came, came]), jsonl(tmp_path / "again.jsonl", [came])
    done = imported(tmp_path / "ledger", all_, again)
    assert (done.taken, done.known, done.unread) == (1, 2, []) and len(Ledger(tmp_path / "ledger", "")) == 1


@pytest.mark.parametrize(("asks", "answers"), [("openai", "anthropic"), ("anthropic", "openai")])
def test_a_request_of_one_provider_and_an_answer_of_another_are_no_pair(tmp_path: Path, asks: str, answers: str) -> None:
    sent, came = batch("r0", asked(asks))[0], batch("r0", asked(answers))[1]
    done = imported(tmp_path / "ledger", jsonl(tmp_path / "all.jsonl", [sent, came]))
    assert done.taken == 0 and "and the answer is not" in done.unread[0][2]
    with pytest.raises(LedgerError, match="no answer was found"):
        list(told(done))


WANTS = """\
name: wants
seeds: {{grid: {{topic: [a, b]}}}}
teachers: {{w: {{model: {model}, max_tokens: 100}}}}
steps: [{{name: text, ask: t/ask, of: w, returns: {{score: {{int: [1, 5]}}, why: {{str: [a, b]}}, parts: {{list: str, at_most: 3}}}}}}]
release: {{format: text, columns: {{text: why}}}}
"""


@pytest.mark.parametrize("model", ["openai/gpt-5.6", "anthropic/claude-haiku-5-5"])
def test_with_its_spec_an_answer_to_an_ask_for_fields_is_found(tmp_path: Path, model: str) -> None:
    """An SDK sends another form of the schema than the spec has: limits become words, objects are closed."""
    from click.testing import CliRunner
    from teaching import project

    from datagen.build import Options, planned
    from datagen.cli import cli
    from datagen.spec.load import load_spec
    from datagen.steps.rows.ask import compose

    project(tmp_path, "  []", {"ask": "About {{ topic }}"}, "{}")
    spec, provider = tmp_path / "wants.yaml", model.partition("/")[0]
    spec.write_text(WANTS.format(model=model).replace("why: {str: [a, b]}", "why: str"))
    with planned(load_spec(str(spec), None), Options(str(spec), Path())) as (plan, sown):
        wanted = [compose(plan.steps[0], row, plan)[0] for row in sown.rows()]
    pairs = [batch(f"r{number}", request) for number, request in enumerate(wanted)]
    assert pairs[0][0].get("body", pairs[0][0].get("params")) != wanted[0].schema
    files = jsonl(tmp_path / "all.jsonl", [line for pair in pairs for line in pair])
    done = CliRunner().invoke(cli, ["ledger", "import", str(tmp_path / "ledger"), str(files), "--spec", str(spec)])
    assert done.exit_code == 0 and done.output.startswith("2 taken"), done.output
    assert provider in WIRES and all(request.key in Ledger(tmp_path / "ledger", "") for request in wanted)


@pytest.mark.parametrize("how", ["online", "batch", "litellm", "anthropic"])
def test_curators_response_files(tmp_path: Path, how: str) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "question 0"}]
    generic: dict[str, Any] = {"model": "gpt-x", "messages": turns, "response_format": None, "original_row": {}, "original_row_idx": 0}
    line: dict[str, Any] = {"response_message": "yes", "response_errors": None, "raw_request": None, "generic_request": generic}
    request = asked("anthropic" if how in ("litellm", "anthropic") else "openai")
    match how:
        case "online":
            line |= {"raw_request": {"model": "gpt-x", "messages": turns, "max_tokens": 100}, "raw_response": chat("yes")}
        case "batch":
            generic["generation_params"] = {"max_tokens": 100}
            line |= {"raw_response": {"custom_id": "0", "response": {"status_code": 200, "body": chat("yes")}}}
        case "litellm":
            line |= {"raw_request": {"model": "anthropic/claude-x", "messages": turns, "max_tokens": 100}, "raw_response": chat("yes")}
        case "anthropic":
            line |= {"raw_request": body(request), "raw_response": message("yes")}
    failed = {**line, "raw_response": None, "response_errors": ["rate limit"]}
    done = imported(tmp_path / "ledger", jsonl(tmp_path / "responses_0.jsonl", [failed, line]))
    found = Ledger(tmp_path / "ledger", "").get(request.key)
    assert done.taken == 1 and found is not None and found.text == "yes"
    assert [(number, "rate limit" in why) for _, number, why in done.unread] == [(1, True)]


def test_a_request_without_max_tokens_is_given_the_specs(tmp_path: Path) -> None:
    sent, came = batch("x", asked())
    del sent["body"]["max_completion_tokens"]
    sent["body"] |= {"temperature": 1, "stream": False, "n": 1}
    path = jsonl(tmp_path / "all.jsonl", [sent, came])
    imported(tmp_path / "ledger", path, max_tokens=100)
    wanted = Request("openai", "", "gpt-x", asked().messages, {"max_tokens": 100, "temperature": 1.0})
    assert wanted.key in Ledger(tmp_path / "ledger", "")


def test_outcomes_are_read_as_online(tmp_path: Path) -> None:
    lines: list[Any] = []
    for number, reply in enumerate([message("cut", "max_tokens"), message("no", "refusal"), message("")]):
        sent, came = batch(f"r{number}", asked("anthropic", number))
        came["result"]["message"] = reply
        lines += [sent, came]
    imported(tmp_path / "ledger", jsonl(tmp_path / "all.jsonl", lines))
    book = Ledger(tmp_path / "ledger", "")
    found = [book.get(asked("anthropic", number).key) for number in range(3)]
    assert [each and each.outcome for each in found] == [Outcome.TRUNCATED, Outcome.REFUSED, Outcome.MALFORMED]


def test_what_cannot_be_read_is_named_by_file_and_line_and_the_rest_is_taken(tmp_path: Path) -> None:
    sent, came = batch("good", asked(number=9))
    other = batch("twice", asked(number=1))[0]
    cases: list[tuple[Any, str]] = [
        ({"custom_id": "nobody", "response": {"status_code": 200, "body": chat("x")}}, "no request has the custom id nobody; give the batch's input"),
        ({"custom_id": "good", "response": {"status_code": 400, "body": {"error": {"message": "bad"}}}}, "it holds no answer: .*bad"),
        ({"custom_id": "good", "error": {"code": "batch_expired"}, "response": None}, "it holds no answer: .*batch_expired"),
        ({"custom_id": "good", "result": {"type": "expired"}}, "it holds no answer: .*expired"),
        ({"custom_id": "twice", "response": {"status_code": 200, "body": chat("x")}}, "stands for two different requests"),
        ({"custom_id": "many", "response": {"status_code": 200, "body": chat("x")}}, "n=2"),
        ({"custom_id": "image", "response": {"status_code": 200, "body": chat("x")}}, "something else than text"),
        ({"custom_id": "odd", "response": {"status_code": 200, "body": chat("x")}}, "no model or no messages"),
        ({"custom_id": "good", "response": {"status_code": 200, "body": {"data": []}}}, "neither OpenAI's nor Anthropic's"),
        ({"question": "?", "answer": "!"}, "none of the known formats; it has answer, question"),
        ({"generic_request": 7, "raw_response": chat("x")}, "not built as its format says"),
        ([1], "no JSON object"),
    ]
    turns = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]
    more = [
        {"custom_id": "many", "body": {**sent["body"], "n": 2}},
        {"custom_id": "image", "body": {**sent["body"], "messages": turns}},
        {"custom_id": "odd", "body": {"model": "m", "prompt": "x"}},
    ]
    requests = jsonl(tmp_path / "in.jsonl", [sent, other, {**other, "body": sent["body"]}, *more])
    results = jsonl(tmp_path / "out.jsonl", [*(line for line, _ in cases), came])
    results.write_bytes(b"not json\n" + results.read_bytes())
    done = imported(tmp_path / "ledger", results, requests=requests)
    assert done.taken == 1 and len(done.unread) == 1 + len(cases)
    for (file, number, why), (at, (_, wanted)) in zip(done.unread[1:], enumerate(cases, start=2), strict=True):
        assert (file, number) == (results, at) and re.search(wanted, why), (at, why)
    said = list(told(done))
    assert said[-1] == f"1 taken, 0 were there already, {1 + len(cases)} could not be read" and said[0] == f"  {results}:1: it is no JSON object"
    assert len(list(told(Imported(taken=1, unread=[(results, 1, "x")] * 50)))) == SHOWN + 2


def test_a_ledger_in_use_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"nowhere\.jsonl is no file; give batch files"):
        imported(tmp_path / "ledger", tmp_path / "nowhere.jsonl")
    empty = jsonl(tmp_path / "empty.jsonl", [])
    with lock(tmp_path / "ledger"), pytest.raises(LedgerError, match="in use by"):
        imported(tmp_path / "ledger", empty)
    (tmp_path / "out" / "ledger").mkdir(parents=True)
    assert place(tmp_path / "out") == tmp_path / "out" / "ledger" and place(tmp_path / "ledger") == tmp_path / "ledger"
