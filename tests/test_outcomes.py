"""What becomes of a row, by the table of outcomes: every row of it, both providers, online and in batches; nothing is bought twice."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from out_fixture import build_out
from wire_server import Reply, Seen, WireServer, chat, encoded, error, message

from datagen.asking import ask as asking
from datagen.asking.ask import Asker, Seat, spent
from datagen.asking.ledger.book import Ledger
from datagen.asking.limits.gate import Gate
from datagen.asking.limits.governor import Governor
from datagen.asking.limits.lanes import Limits
from datagen.asking.prices import Purse
from datagen.asking.teachers import TEACHERS
from datagen.asking.teachers.base import Endpoint
from datagen.errors import OUTCOMES, SpecError, TeacherFault
from datagen.plan.files import read_prompt
from datagen.plan.model import Plan
from datagen.plan.resolve import resolve
from datagen.records import Outcome, Response, Row, Spend
from datagen.release.card import write_card
from datagen.release.catalogue import query
from datagen.release.report import write_report
from datagen.release.shards import publish
from datagen.runtime.pool import ProcessPool
from datagen.spec.library import SHIPPED
from datagen.spec.load import load_spec
from datagen.spec.terms import Release
from datagen.steps.journal import Journal
from datagen.steps.rows.ask import WAYS, compose
from datagen.steps.walk import walk
from datagen.steps.work import Work
from datagen.storage import read_json, row_of, row_record, write_json

PROVIDERS = ("openai", "anthropic")
Script = Callable[[str, dict[str, Any]], Reply]


class Watched(Asker):
    """The real asker, and how each fresh answer was judged."""

    def __init__(self, *args: Any, again: bool) -> None:
        super().__init__(*args, again=again)
        self.judgements: list[tuple[str, str]] = []

    def judged(self, teacher: str, outcome: Outcome) -> None:
        self.judgements.append((teacher, str(outcome)))
        super().judged(teacher, outcome)


@dataclass
class Walked:
    """What one walk of the rows left."""

    rows: list[Row]
    journal: Journal
    judgements: list[tuple[str, str]]
    bodies: list[dict[str, Any]]
    """The requests as the teacher saw them, in this walk."""

    def counts(self, number: int = 1) -> dict[str, Any]:
        return self.journal.books[number].counts()

    def calls(self, **wanted: Any) -> list[dict[str, Any]]:
        return [call for call in self.journal.calls if all(call[name] == value for name, value in wanted.items())]


class Line:
    """A spec's rows walked over a real teacher on loopback, with a ledger that outlives each walk."""

    def __init__(self, folder: Path, provider: str, script: Script, steps: str, prompts: Mapping[str, str], teacher: str = "") -> None:
        for name, text in prompts.items():
            path = folder / "prompts" / "t" / f"{name}.md.j2"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        words = f"model: {provider}/own, label: test, max_tokens: 100, price: {{input: 1, output: 10, cached_input: 0.1}}, attempts: 1{teacher}"
        self.spec = folder / "s.yaml"
        self.spec.write_text(
            f"name: tiny\nseeds: {{grid: {{topic: [a]}}}}\nteachers: {{w: {{base_url: 'http://127.0.0.1:9/v1', {words}}}}}\nsteps:\n{steps}\n"
            "release: {format: text, columns: {text: topic}}\n"
        )
        self.folder, self.provider, self.script = folder, provider, script
        self.batch = "mode: batch" in teacher

    def walk(self, topics: Sequence[str] = "a", again: bool = False) -> Walked:
        """Once down the line; a walk after it finds in the ledger what this one paid for. `again`: with `--again rejected`."""
        return asyncio.run(self._walk([Row.of_seed({"topic": topic}) for topic in topics], self.batch, again))

    def rounds(self, topics: Sequence[str] = "a", most: int = 9, again: bool = False) -> list[Walked]:
        """Walks until nothing waits; between two of them what rows wait for is answered, as a batch does, and recorded."""
        walks = [self.walk(topics, again)]
        while walks[-1].journal.requests and len(walks) < most:
            asyncio.run(self._round(walks[-1].journal))
            walks.append(self.walk(topics))
        return walks

    def plan(self) -> Plan:
        return resolve(load_spec(str(self.spec)), {"topic"}, None, False)

    def _reply(self, seen: Seen) -> Reply:
        body = json.loads(seen.body)
        said = body["messages"][-1]["content"]
        return self.script(said if isinstance(said, str) else "".join(part["text"] for part in said), body)

    def _endpoint(self, server: WireServer) -> Endpoint:
        url = f"{server.url}/v1" if self.provider == "openai" else server.url
        return Endpoint(self.provider, url, "key", 20.0, 8, simulated=False, native_schema=True)

    async def _walk(self, rows: list[Row], batch: bool, again: bool) -> Walked:
        async with WireServer(self._reply) as server:
            plan = self.plan()
            teacher = TEACHERS.get(self.provider)(self._endpoint(server))
            ledger, pool = Ledger(self.folder / "ledger", "b"), ProcessPool()
            seats = {"w": Seat("w", teacher, plan.chairs["w"].price, 1, batch)}
            asker = Watched(ledger, Gate(Governor({"w": Limits(8)}, Purse(None), {})), seats, again=again)
            journal = Journal(plan.steps)
            try:
                kept = [left for row in rows for left in await walk([row], plan.steps, Work(plan, asker, pool, journal))]
            finally:
                await teacher.close()
                ledger.close()
                pool.close()
            return Walked(kept, journal, asker.judgements, [json.loads(seen.body) for seen in server.seen])

    async def _round(self, journal: Journal) -> None:
        """Every different request once; a fault leaves no answer, and its request goes out again in the next round."""
        async with WireServer(self._reply) as server:
            teacher = TEACHERS.get(self.provider)(self._endpoint(server))
            ledger, price = Ledger(self.folder / "ledger", "b"), self.plan().chairs["w"].price
            for name, request in {request.key: (name, request) for name, request in journal.requests}.values():
                try:
                    response = await teacher.answer(request)
                except TeacherFault as fault:
                    if fault.kind != "rejected":
                        continue
                    response = Response(Outcome.REJECTED, error=str(fault))
                used = spent(price, request, response, Spend())
                ledger.record(request, name, replace(response, cost=used.cost, batch="dg-1"), used)
            await teacher.close()
            ledger.close()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "BACKOFF_FIRST", 0.001)


def reply(provider: str, text: str = "fine", ended: str = "answered", **more: Any) -> Reply:
    """An answer with a given end, as each provider words it."""
    if provider == "openai":
        finish = {"truncated": "length", "filtered": "content_filter"}.get(ended, "stop")
        said = {"content": None, "refusal": "I will not."} if ended == "refused" else {"content": text}
        return Reply(encoded(chat(said, finish, **more)))
    stop = {"truncated": "max_tokens", "refused": "refusal"}.get(ended, "end_turn")
    return Reply(encoded(message([{"type": "text", "text": text, "citations": None}], stop, **more)))


def rejected(provider: str) -> Reply:
    return Reply(error(provider, "invalid_request_error", "no such thing"), 400)


def failed(provider: str) -> Reply:
    return Reply(error(provider, "server_error" if provider == "openai" else "api_error"), 500)


GRADE = "  - {name: grade, ask: t/grade, of: w, returns: {score: {int: [1, 5]}}}"
PLAIN = "  - {name: grade, ask: t/grade, of: w}"
PROMPT = {"grade": "{{ topic }}"}
MODES = ("", ", mode: batch")


# --- the table, one test a row ---


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("outcome", [name for name in OUTCOMES if name != "failed"])
def test_every_end_is_recorded_has_its_row_in_the_table_and_is_never_bought_again(tmp_path: Path, provider: str, mode: str, outcome: str) -> None:
    if provider == "anthropic" and outcome == "filtered":
        pytest.skip("Anthropic has no end of its own for filtered text")
    answers = {"malformed": lambda: reply(provider, "nonsense"), "rejected": lambda: rejected(provider)}
    script = answers.get(outcome, lambda: reply(provider, '{"score": 3}', outcome))
    line = Line(tmp_path, provider, lambda said, body: script(), GRADE, PROMPT, mode)
    first = line.rounds()[-1] if mode else line.walk()
    counts, ending = first.counts(), OUTCOMES[outcome]
    left = {"dropped": counts["dropped"].get("ask", {}), "unanswered": counts["unanswered"]}
    assert left == {name: {outcome: 1} if name == ending.row else {} for name in left}
    assert (counts["kept"], counts["waiting"]) == (int(ending.row == "kept"), 0)
    asks = 2 if outcome == "malformed" else 1
    assert [call["outcome"] for call in first.journal.calls] == [outcome] * asks and len({call["key"] for call in first.journal.calls}) == asks
    assert [call["batch"] for call in first.journal.calls] == [("dg-1" if mode else "")] * asks
    assert first.judgements == [("w", outcome)]  # the end alone
    again = line.walk()
    assert again.bodies == [] and not again.journal.requests and again.counts() == counts
    assert again.judgements == (first.judgements if mode else [])  # those of a batch are read when it has come back, and judged then
    assert [call["asked"] for call in again.journal.calls] == [False] * asks


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("mode", MODES)
def test_what_failed_is_asked_again_by_the_next_run_and_by_no_other(tmp_path: Path, provider: str, mode: str) -> None:
    broken = [True]
    line = Line(tmp_path, provider, lambda said, body: failed(provider) if broken else reply(provider), PLAIN, PROMPT, mode)
    first = line.rounds(most=3)[-1] if mode else line.walk()
    assert (first.counts()["unanswered"], first.counts()["waiting"]) == (({}, 1) if mode else ({"failed": 1}, 0))
    broken.clear()
    second = line.rounds()[-1] if mode else line.walk()
    assert second.counts()["kept"] == 1 and second.rows[0].fields["grade"] == "fine"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("mode", MODES)
def test_what_was_rejected_is_asked_again_by_name(tmp_path: Path, provider: str, mode: str) -> None:
    refusing = [True]
    line = Line(tmp_path, provider, lambda said, body: rejected(provider) if refusing else reply(provider), PLAIN, PROMPT, mode)
    assert line.rounds()[-1].counts()["unanswered"] == {"rejected": 1}
    assert line.rounds(again=True)[-1].counts()["unanswered"] == {"rejected": 1}
    refusing.clear()
    assert line.rounds()[-1].counts()["unanswered"] == {"rejected": 1}
    walked = line.rounds(again=True)[-1]
    assert walked.counts()["kept"] == 1 and [call["attempt"] for call in walked.journal.calls] == [0, 1, 2]
    assert line.walk().counts() == walked.counts()


def test_the_table_names_every_outcome_and_every_way_of_asking_again_there_is() -> None:
    assert set(OUTCOMES) == {str(outcome) for outcome in Outcome}
    assert {ending.asks_again for ending in OUTCOMES.values()} == {*WAYS, "", "next_run"}


# --- truncated ---


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("room", "kept"), [(300, 1), (200, 0)])
def test_a_truncated_answer_is_asked_for_once_more_with_more_room(tmp_path: Path, provider: str, mode: str, room: int, kept: int) -> None:
    def script(said: str, body: dict[str, Any]) -> Reply:
        most = body.get("max_tokens") or body["max_completion_tokens"]
        return reply(provider, '{"score": 4}', "answered" if most >= 300 else "truncated")

    line = Line(tmp_path, provider, script, GRADE, PROMPT, f"{mode}, raise_to: {room}")
    walks = line.rounds() if mode else [line.walk()]
    calls = walks[-1].journal.calls
    assert walks[-1].counts()["kept"] == kept and walks[-1].counts()["dropped"] == ({} if kept else {"ask": {"truncated": 1}})
    assert [(call["attempt"], call["outcome"]) for call in calls] == [(0, "truncated"), (1, "answered" if kept else "truncated")]
    assert calls[0]["stop_reason"] == {"openai": "length", "anthropic": "max_tokens"}[provider]
    if not mode:
        assert walks[0].bodies[0]["messages"] == walks[0].bodies[1]["messages"]
    assert line.walk().bodies == []


def test_without_more_room_a_truncated_row_is_dropped_at_once_with_the_answer_to_look_at(tmp_path: Path) -> None:
    line = Line(tmp_path, "openai", lambda said, body: reply("openai", "half a", "truncated"), PLAIN, PROMPT)
    walked = line.walk()
    (dropped,) = walked.journal.books[1].dropped
    assert (dropped["operator"], dropped["reason"], dropped["evidence"]) == ("ask", "truncated", "finish_reason length; max_tokens was 100")
    assert json.loads(dropped["calls"]) == {"grade": walked.journal.calls[0]["key"]} and len(walked.bodies) == 1


def test_room_that_is_not_more_is_a_mistake_in_the_spec(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"raise_to 100 is not above max_tokens 100"):
        Line(tmp_path, "openai", lambda said, body: reply("openai", "half a", "truncated"), PLAIN, PROMPT, ", raise_to: 100").walk()


# --- malformed ---


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("mode", MODES)
def test_a_malformed_answer_is_asked_for_again_with_the_error_shown_as_often_as_the_spec_says(tmp_path: Path, provider: str, mode: str) -> None:
    def script(said: str, body: dict[str, Any]) -> Reply:
        if "score must lie between 1 and 5, found 9" in said:
            return reply(provider, '{"score": 5}')
        return reply(provider, {"a": '{"score": 9}', "b": '{"score": 3}'}.get(said, "not JSON"))

    steps = GRADE.replace("returns", "reask: 2, returns")
    line = Line(tmp_path, provider, script, steps, PROMPT, mode)
    found = line.rounds("abc")[-1] if mode else line.walk("abc")
    assert {row.fields["topic"]: row.fields["score"] for row in found.rows} == {"a": 5, "b": 3}
    assert found.counts()["unanswered"] == {"malformed": 1} and found.journal.books[1].unanswered[0]["error"].startswith("not valid JSON")
    assert sorted(Counter(call["row"] for call in found.journal.calls).values()) == [1, 2, 3]
    assert sorted(call["attempt"] for call in found.journal.calls) == [0, 0, 0, 1, 1, 2]


def test_the_words_of_a_second_ask_are_the_same_wherever_and_whenever_it_is_made(tmp_path: Path) -> None:
    """They enter the key: what a library's next version words otherwise would be bought again."""
    bad = ["", "  ", "{'score': ", '{"score": [1}', '{"score": "\\("}', "[" * 99_999, '{"score": NaN}']
    shown: list[str] = []
    for text in bad:
        folder = tmp_path / str(len(shown))
        folder.mkdir()
        line = Line(folder, "openai", lambda said, body, text=text: reply("openai", text), GRADE, PROMPT)  # type: ignore[misc]
        shown.append(line.walk().bodies[-1]["messages"][-1]["content"].removeprefix("That answer cannot be used: ").partition(". Answer again")[0])
    assert shown == [
        "it holds no text that can be used",
        "it holds no text that can be used",
        "not valid JSON: it ends before it is complete",
        "not valid JSON",
        "not valid JSON: a backslash inside a string must be written twice",
        "not valid JSON: it is nested too deeply",
        "score must be a finite number, found NaN",
    ]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_can_be_mended_is_not_bought_again_and_is_noted(tmp_path: Path, provider: str) -> None:
    said = {"a": "```json\n{'score': '4',}\n```", "b": "4", "c": '{"score": 4}'}
    line = Line(tmp_path, provider, lambda prompt, body: reply(provider, said[prompt]), GRADE, PROMPT)
    found = line.walk("abc")
    assert [row.fields["score"] for row in found.rows] == [4, 4, 4] and len(found.bodies) == 3
    assert [call["repaired"] for call in found.journal.calls] == ["commas+fences+literals+numbers", "lone", ""]
    assert [call["repaired"] for call in line.walk("abc").journal.calls] == ["commas+fences+literals+numbers", "lone", ""]


def test_cut_off_and_malformed_in_turn_end_at_their_bounds(tmp_path: Path) -> None:
    """1 + reask + 1 requests at most, whatever the teacher does; and what was given more room keeps it."""
    ends = iter(["truncated", "answered", "truncated", "answered", "answered", "answered"])
    line = Line(tmp_path, "openai", lambda said, body: reply("openai", "nonsense", next(ends)), GRADE.replace("returns", "reask: 2, returns"), PROMPT,
                ", raise_to: 300")  # fmt: skip
    found = line.walk()
    assert [call["outcome"] for call in found.journal.calls] == ["truncated", "malformed", "truncated"]
    assert [body.get("max_tokens") or body["max_completion_tokens"] for body in found.bodies] == [100, 300, 300]
    assert found.counts()["dropped"] == {"ask": {"truncated": 1}}


# --- batches: what waits ---

GROUP = """\
  - {name: draft, ask: t/draft, of: w, samples: 3, returns: {score: {int: [1, 9]}}}
  - {name: best, select: {best: [score]}}
  - {name: polish, ask: t/polish, of: w}"""


def test_a_group_waits_for_its_last_member_and_nothing_is_asked_about_a_wrong_winner(tmp_path: Path) -> None:
    slow = {"draft a 2"}

    def script(said: str, body: dict[str, Any]) -> Reply:
        if said in slow:
            return failed("openai")
        return reply("openai", said if said.startswith("polish") else json.dumps({"score": int(said[-1]) + 1}))

    prompts = {"draft": "draft {{ topic }} {{ sample }}", "polish": "polish {{ score }}"}
    line = Line(tmp_path, "openai", script, GROUP, prompts, ", mode: batch")
    first, second = line.rounds(most=2)
    assert (first.counts(1)["waiting"], first.counts(2)["in"]) == (3, 0)
    assert (second.counts(1)["kept"], second.counts(1)["waiting"]) == (2, 1)
    assert (second.counts(2)["in"], second.counts(2)["waiting"], second.counts(2)["kept"]) == (2, 2, 0) and second.counts(3)["in"] == 0
    assert [request.messages[-1][1] for _, request in second.journal.requests] == ["draft a 2"]
    slow.clear()
    last = line.rounds()[-1]
    assert [row.fields["polish"] for row in last.rows] == ["polish 3"]
    assert [call["key"] for call in last.calls(step="polish")] == [last.rows[0].calls["polish"]]


def test_children_in_order_wait_for_the_one_before_them(tmp_path: Path) -> None:
    steps = """\
  - {name: plan, ask: t/plan, of: w, returns: {parts: {list: str, at_most: 3}}}
  - {name: part, ask: t/part, of: w, each: parts, in_order: true}"""
    prompts = {"plan": "plan", "part": "{{ item }} after {{ previous.part if previous else 'nothing' }}"}
    said = lambda prompt, body: reply("openai", '{"parts": ["x", "y", "z"]}' if prompt == "plan" else f"<{prompt}>")  # noqa: E731
    line = Line(tmp_path, "openai", said, steps, prompts, ", mode: batch")
    walks = line.rounds()
    assert [walked.counts(2)["waiting"] for walked in walks] == [0, 3, 2, 1, 0]
    assert [len(walked.journal.requests) for walked in walks] == [1, 1, 1, 1, 0]
    assert walks[-1].rows[-1].fields["part"] == "<z after <y after <x after nothing>>>"


def test_rows_that_wait_alike_ask_once_and_a_repeat_goes_on_where_it_stood(tmp_path: Path) -> None:
    steps = """\
  - name: work
    repeat:
      at_most: 3
      until: score > 2
      steps: [{name: draft, ask: t/draft, of: w}, {name: grade, ask: t/grade, of: w, returns: {score: {int: [1, 5]}}}]"""
    prompts = {"draft": "draft {{ round }}", "grade": "grade {{ draft }}"}
    script = lambda prompt, body: reply("anthropic", f'{{"score": {int(prompt[-1]) + 1}}}' if prompt[0] == "g" else prompt)  # noqa: E731
    line = Line(tmp_path, "anthropic", script, steps, prompts, ", mode: batch")
    walks = line.rounds("ab")
    assert len(walks) == 7 and [len({request.key for _, request in walked.journal.requests}) for walked in walks] == [1] * 6 + [0]
    assert [row.fields["score"] for row in walks[-1].rows] == [3, 3] and walks[-1].counts()["kept"] == 2


# --- what an answer keeps ---


def test_log_probabilities_become_a_field_of_one_shape_and_go_with_their_round(tmp_path: Path) -> None:
    top = [{"token": "4", "bytes": None, "logprob": -0.1}, {"token": "5", "bytes": None, "logprob": -2.5}]
    content = [{"token": "4", "bytes": None, "logprob": -0.1, "top_logprobs": top}, {"token": "!", "bytes": None, "logprob": -1, "top_logprobs": []}]

    def script(said: str, body: dict[str, Any]) -> Reply:
        with_them = said in ("a", "draft 0")
        return reply("openai", said, logprobs={"content": content, "refusal": None} if with_them else None)

    walked = Line(tmp_path, "openai", script, PLAIN, PROMPT, ", params: {logprobs: true, top_logprobs: 2}").walk("ab")
    with_, without = walked.rows
    pairs = [{"token": "4", "logprob": -0.1}, {"token": "5", "logprob": -2.5}]
    assert with_.fields["grade_logprobs"] == [{**pairs[0], "top": pairs}, {"token": "!", "logprob": -1.0, "top": []}]
    assert "grade_logprobs" not in without.fields
    steps = "  - {name: work, repeat: {at_most: 2, until: draft == 'draft 1', steps: [{name: draft, ask: t/draft, of: w}]}}"
    folder = tmp_path / "repeat"
    folder.mkdir()
    (row,) = Line(folder, "openai", script, steps, {"draft": "draft {{ round }}"}).walk().rows
    assert row.fields["draft"] == "draft 1" and row.fields["draft_logprobs"] is None


def test_log_probabilities_are_released_as_a_typed_column_that_duckdb_and_datasets_read(tmp_path: Path) -> None:
    import datasets

    def tokens(*names: str, top: bool) -> list[dict[str, Any]]:
        pairs = [{"token": name, "logprob": -0.5 * n} for n, name in enumerate(names)]
        return [pair | ({"top": [pair] * n} if top else {}) for n, pair in enumerate(pairs)]

    rows = [Row.of_seed({"text": str(n)}) for n in range(3)]
    found = (tokens("a", "b", top=True), tokens("c", top=False), None)
    rows = [row.having({"write_logprobs": tokens} if tokens else {}) for row, tokens in zip(rows, found, strict=True)]
    rows = [row_of(row_record(row)) for row in rows]  # as they come back from steps/
    release = Release(format="text")
    build_out(tmp_path / "other", 10)
    plan = read_json(tmp_path / "other" / "plan.json") | {"release": release.model_dump(mode="json"), "teachers": {}, "prompts": {}}
    write_json(tmp_path / "plan.json", plan)
    publish(tmp_path, [rows], release=release, name="tiny", version=(1, 0), facts={})
    pair = {"logprob": "double", "token": "string"}
    assert read_json(tmp_path / "manifest.json")["schema"]["write_logprobs"] == {"list": {"struct": {**pair, "top": {"list": {"struct": pair}}}}}
    _, read = query(tmp_path, "SELECT text, write_logprobs[2].token, write_logprobs[2].top[1].logprob, len(write_logprobs) FROM rows ORDER BY text")
    assert read == [("0", "b", -0.5, 2), ("1", None, None, 1), ("2", None, None, None)]
    (file,) = (tmp_path / "data").glob("*.parquet")
    loaded = {row["text"]: row["write_logprobs"] for row in datasets.Dataset.from_parquet(str(file), cache_dir=str(tmp_path / "cache"))}
    assert loaded["0"][1] == {"token": "b", "logprob": -0.5, "top": [{"token": "b", "logprob": -0.5}]} and loaded["2"] is None
    assert "logprob" not in write_report(tmp_path).read_text(), "figures for machines are no losers of a choice, and nothing to read"
    card = write_card(tmp_path).read_text()
    assert "| write\\_logprobs | list of struct(logprob, token, top) | log-probability of each token of the answer `write`" in card
    assert "top-k, hence biased" in card
    publish(tmp_path / "lean", [rows], release=Release(format="text", drop=["write_logprobs"]), name="tiny", version=(1, 0), facts={})
    assert "write_logprobs" not in read_json(tmp_path / "lean" / "manifest.json")["columns"]


@pytest.mark.parametrize(("params", "known"), [("", False), (", params: {logprobs: true}", True), (", params: {top_logprobs: 3}", True)])
def test_a_column_of_log_probabilities_can_be_dropped_by_name_where_there_is_one(tmp_path: Path, params: str, known: bool) -> None:
    line = Line(tmp_path, "openai", lambda said, body: reply("openai"), PLAIN, PROMPT, params)
    line.spec.write_text(line.spec.read_text().replace("text: topic}", "text: topic}, drop: [grade_logprobs]"))
    if known:
        assert "grade_logprobs" in line.plan().steps[0].writes
    else:
        with pytest.raises(SpecError, match="no field 'grade_logprobs' to drop"):
            line.plan()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_call_says_what_it_cost_and_what_the_cache_saved(tmp_path: Path, provider: str) -> None:
    usage: dict[str, Any] = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010, "prompt_tokens_details": {"cached_tokens": 800}}
    if provider == "anthropic":
        usage = {"input_tokens": 200, "output_tokens": 10, "cache_read_input_tokens": 800}
    (call,) = Line(tmp_path, provider, lambda said, body: reply(provider, usage=usage), PLAIN, PROMPT).walk().journal.calls
    assert (call["input_tokens"], call["cached_tokens"], call["cache_write_tokens"]) == (1000, 800, 0)
    assert call["cost_usd"] == pytest.approx((200 * 1 + 800 * 0.1 + 10 * 10) / 1e6) and call["saved_usd"] == pytest.approx(800 * 0.9 / 1e6)
    assert call["fingerprint"] == ("fp_9" if provider == "openai" else "") and call["attempt"] == 0


def test_the_head_of_a_request_follows_the_spec_and_changes_no_key(tmp_path: Path) -> None:
    prompts = {"grade": "---\nsystem: You are kind.\n---\nWrite about {{ topic }}."}
    heads = {}
    for words in ("", ", cache: false"):
        plan = Line(tmp_path, "openai", lambda said, body: reply("openai"), GRADE, prompts, words).plan()
        heads[words] = [compose(plan.steps[0], Row.of_seed({"topic": topic}), plan)[0] for topic in "ab"]
    assert [request.head for request in heads[""]] == [len("You are kind.Write about")] * 2
    assert [request.head for request in heads[", cache: false"]] == [0, 0]
    assert [request.key for request in heads[""]] == [request.key for request in heads[", cache: false"]]


@pytest.mark.parametrize("path", sorted((SHIPPED / "prompts").rglob("*.md.j2")), ids=lambda path: path.name.partition(".")[0])
def test_the_head_of_every_shipped_prompt_is_what_its_rows_share(path: Path) -> None:
    """Three rows of which each differs from the others in every value, so that what they share is what no row changes."""
    prompt = read_prompt(path.name, path)
    texts = []
    for number, sign in enumerate("AMZ"):
        values: dict[str, Any] = dict.fromkeys(prompt.variables(), f"{sign}{number} of the rows") | {"style": ("short", "Mid", "lesson")[number]}
        values |= {"position": number, "sections": [sign] * 3, "previous": {"text": sign, "summary": sign} if number else None}
        texts.append("".join(text for _, text in prompt.messages(values | {"pick": lambda options, sign=sign: sign})))
    shared = "".join(signs[0] for signs in takewhile(lambda signs: len(set(signs)) == 1, zip(*texts, strict=False)))
    assert len(shared.rstrip()) == prompt.head() > 0
