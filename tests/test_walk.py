"""A row's way down the line: the three words of flow, the three scopes, identity without order, and every row accounted for."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from teaching import Made, made, project, teacher
from wire_server import Reply, chat, encoded, error

LETTERS = "{grid: {topic: [a, b, c, d, e, f]}}"


def number_in(prompt: str, name: str) -> int:
    found = re.search(rf"{name}=(\d+)", prompt)
    assert found is not None, prompt
    return int(found[1])


def only(rows: list[dict[str, Any]], **wanted: Any) -> list[dict[str, Any]]:
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


# --- when ---


def test_when_lets_rows_pass_by_with_nothing_in_the_steps_fields(tmp_path: Path) -> None:
    steps = """  - {name: more, ask: t/more, of: w, when: "topic in ['a', 'b']", returns: {text: str}}"""
    with teacher(lambda prompt: {"text": prompt.upper()}) as taught:
        found = made(project(tmp_path, steps, {"more": "about {{ topic }}"}, LETTERS, url=taught.url), tmp_path / "out")
    found.check_accounts()
    assert sorted(taught.prompts) == ["about a", "about b"]
    rows = found.fields("more")
    assert len(rows) == 6 and [row["text"] for row in rows if row["topic"] in "ab"] == [
        f"ABOUT {row['topic'].upper()}" for row in rows if row["topic"] in "ab"
    ]
    assert all(row["text"] is None and row["more"] is None for row in rows if row["topic"] not in "ab")


@pytest.mark.parametrize("word", ["samples: 3", "each: parts, in_order: true", "each: parts"])
def test_a_row_that_passes_a_fan_out_by_stays_one_row(tmp_path: Path, word: str) -> None:
    """Not three rows with nothing in them, and not dropped for want of a list."""
    steps = f"""\
  - {{name: plan, ask: t/plan, of: w, when: topic == 'a', returns: {{parts: {{list: str, at_most: 3}}}}}}
  - {{name: part, ask: t/part, of: w, when: topic == 'a', {word}}}
  - {{name: best, select: {{best: [topic|length], keep: 3}}}}"""
    with teacher(lambda prompt: {"parts": ["x", "y", "z"]} if "plan" in prompt else prompt) as taught:
        prompts = {"plan": "plan {{ topic }}", "part": "part {{ topic }} {{ %s }}" % ("item" if "each" in word else "sample")}
        found = made(project(tmp_path, steps, prompts, LETTERS, url=taught.url), tmp_path / "out")
    found.check_accounts()
    rows = found.fields("best")
    assert len(only(rows, topic="a")) == 3 and all(len(only(rows, topic=letter)) == 1 for letter in "bcdef")
    assert all(row["part"] is None for row in rows if row["topic"] != "a") and len(taught.prompts) == 4


def test_an_expression_or_prompt_that_fails_on_a_row_drops_that_row_alone(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text('{"topic": "a", "score": 3}\n{"topic": "b", "score": "high"}\n{"topic": "c", "score": {"x": 1}}\n')
    steps = "  - {name: one, ask: t/one, of: w, when: score >= 2}\n  - {name: two, ask: t/two, of: w}"
    with teacher(lambda prompt: prompt) as taught:
        found = made(
            project(tmp_path, steps, {"one": "{{ topic }}", "two": "{{ score / 2 }}"}, "{table: seeds.jsonl}", url=taught.url), tmp_path / "out"
        )
    found.check_accounts()
    assert found.counts("one")["dropped"] == {"ask": {"not_computable": 2}} and [row["topic"] for row in found.fields("two")] == ["a"]
    assert all("score >= 2" in record["evidence"] for record in found.records("one", "dropped"))


# --- in_order, each ---

BOOK = """\
  - {name: plan, ask: t/plan, of: w, returns: {parts: {list: str, at_most: 4}}}
  - {name: part, ask: t/part, of: w, each: parts, in_order: true, returns: {text: str, summary: str}}"""
BOOK_PROMPTS = {
    "plan": "plan {{ topic }}",
    "part": "write {{ topic }} {{ position }} {{ item }}{% if previous %} after [{{ previous.summary }}]{% endif %}",
}


def book(prompt: str) -> Any:
    if prompt.startswith("plan"):
        return {"parts": [f"{prompt[-1]}{number}" for number in range({"e": 0, "f": 1}.get(prompt[-1], 4))]}
    words = prompt.split()
    if words[3] == "b1":
        return Reply(encoded(chat(finish="length")))
    return {"text": prompt, "summary": f"sum-{words[3]}"}


def test_in_order_gives_each_child_the_one_before_it(tmp_path: Path) -> None:
    with teacher(book) as taught:
        found = made(project(tmp_path, BOOK, BOOK_PROMPTS, LETTERS, url=taught.url), tmp_path / "out")
    found.check_accounts()
    mine = sorted(only(found.fields("part"), topic="a"), key=lambda row: row["position"])
    assert [row["item"] for row in mine] == ["a0", "a1", "a2", "a3"]
    assert [row["text"] for row in mine] == [
        "write a 0 a0", "write a 1 a1 after [sum-a0]", "write a 2 a2 after [sum-a1]", "write a 3 a3 after [sum-a2]",
    ]  # fmt: skip
    assert all("previous" not in row for row in mine)
    theirs = sorted(only(found.fields("part"), topic="b"), key=lambda row: row["position"])
    assert [row["text"] for row in theirs] == ["write b 0 b0", "write b 2 b2 after [sum-b0]", "write b 3 b3 after [sum-b2]"]
    assert found.counts("part")["dropped"] == {"each": {"empty_list": 1}, "ask": {"truncated": 1}} and len(only(found.fields("part"), topic="f")) == 1
    assert found.counts("part")["in"] == 4 * 4 + 1 + 1 and found.counts("part")["from"] == 6


def test_an_order_is_replayed_for_nothing(tmp_path: Path) -> None:
    with teacher(book) as taught:
        spec = project(tmp_path, BOOK, BOOK_PROMPTS, LETTERS, url=taught.url)
        first = made(spec, tmp_path / "out")
        asked = len(taught.prompts)
        second = made(spec, tmp_path / "other", ledger=tmp_path / "out" / "ledger")
        assert len(taught.prompts) == asked and second.summary.asked == 0
    assert first.fields("part") == second.fields("part")


def test_two_fan_outs_and_the_group_is_that_of_the_innermost_parent(tmp_path: Path) -> None:
    steps = """\
  - {name: plan, ask: t/plan, of: w, returns: {parts: {list: str, at_most: 2}}}
  - {name: question, ask: t/question, of: w, each: parts, returns: {question: str}}
  - {name: solution, ask: t/solution, of: w, samples: 3, returns: {answer: int}}
  - {name: agreement, vote: {on: answer}}
  - {name: best, select: {best: [agreement], fold: others}}"""
    prompts = {"plan": "plan {{ topic }}", "question": "question {{ item }}", "solution": "solve {{ question }} sample={{ sample }}"}

    def script(prompt: str) -> Any:
        if prompt.startswith("plan"):
            return {"parts": [f"{prompt[-1]}{number}" for number in range(2)]}
        if prompt.startswith("question"):
            return {"question": prompt[9:]}
        return {"answer": 999 if number_in(prompt, "sample") == 2 else ord(prompt.split()[1][0])}

    with teacher(script) as taught:
        found = made(project(tmp_path, steps, prompts, LETTERS, url=taught.url), tmp_path / "out")
    found.check_accounts()
    rows = found.fields("best")
    assert len(rows) == 12 and {row["question"] for row in rows} == {f"{letter}{number}" for letter in "abcdef" for number in range(2)}
    for row in rows:
        assert row["answer"] == ord(row["topic"]) and row["agreement"] == pytest.approx(2 / 3)
        assert row["agreement_answer"] == str(ord(row["topic"])) and [each["answer"] for each in row["others"] if "answer" in each] == [999]
        assert len(row["others"]) == 2
    assert found.counts("best")["dropped"] == {"select": {"folded": 24}}


# --- vote and select ---

VOTES = """\
  - {name: solution, ask: t/solution, of: w, samples: 5, returns: {answer: int, score: int}}
  - {name: agreement, vote: {on: answer, at_least: 0.3}}
  - {name: best, select: {where: score > 0, best: [agreement, score], keep: 2}}"""


def votes(prompt: str) -> Any:
    """Per topic: a: 1 1 1 2 2 | b: five answers | c: two malformed, the rest agree | d: score 0 | e: 3 3 4 4 5 | f: all refuse."""
    if prompt.startswith("That answer cannot be used"):
        return "I will not, once more."
    topic, sample = prompt.split()[1], number_in(prompt, "sample")
    if topic == "f" or (topic == "c" and sample < 2):
        return "I will not." if topic == "c" else Reply(encoded(chat({"content": None, "refusal": "I cannot."})))
    answers = {"a": [1, 1, 1, 2, 2], "b": [1, 2, 3, 4, 5], "c": [0, 0, 7, 7, 7], "d": [1, 1, 1, 1, 1], "e": [3, 3, 4, 4, 5]}
    return {"answer": answers[topic][sample], "score": 0 if topic == "d" else sample + 1}


def test_vote_and_select_within_each_group(tmp_path: Path) -> None:
    with teacher(votes) as taught:
        found = made(project(tmp_path, VOTES, {"solution": "solve {{ topic }} sample={{ sample }}"}, LETTERS, url=taught.url), tmp_path / "out")
    found.check_accounts()
    rows = {letter: only(found.fields("best"), topic=letter) for letter in "abcdef"}
    by_score = {letter: sorted((row["answer"], row["score"]) for row in rows[letter]) for letter in rows}
    assert by_score["a"] == [(1, 2), (1, 3)]  # agreement first, then score
    assert by_score["b"] == [] and by_score["d"] == [] and by_score["f"] == []
    assert by_score["c"] == [(7, 4), (7, 5)] and all((row["agreement"], row["agreement_of"]) == (1.0, 3) for row in rows["c"])
    assert by_score["e"] == [(4, 3), (4, 4)] and all(row["agreement_answer"] == "3" for row in rows["e"])  # a tie falls to what sorts first
    assert found.counts("agreement")["dropped"] == {"vote": {"too_few_votes": 5 + 1}}
    assert found.counts("best")["dropped"] == {"select": {"not_selected": 3 + 1 + 2, "no_winner": 5}}
    assert found.counts("solution")["unanswered"] == {"malformed": 2, "refused": 5}
    verdicts = found.records("agreement", "verdicts")
    assert len(verdicts) == 23 and {verdict["operator"] for verdict in verdicts} == {"vote"}


# --- repeat ---


def test_repeat_goes_round_until_it_holds_and_no_more_than_it_may(tmp_path: Path) -> None:
    steps = """\
  - name: work
    repeat:
      at_most: 3
      until: good
      steps:
        - {name: draft, ask: t/draft, of: w}
        - {name: grade, ask: t/grade, of: w, returns: {good: bool, round_seen: int}}
  - {name: kept, filter: [{length: {on: draft, min_words: 1}}]}"""
    prompts = {"draft": "draft {{ topic }} round={{ round }}", "grade": "grade [{{ draft }}] round={{ round }}"}

    def script(prompt: str) -> Any:
        if prompt.startswith("draft"):
            return prompt
        topic = prompt.split()[2]
        if topic == "d" and number_in(prompt, "round") == 1:
            return Reply(encoded(chat(finish="length")))
        wanted = {"a": 0, "b": 1, "c": 2}.get(topic, 99)
        return {"good": number_in(prompt, "round") >= wanted, "round_seen": number_in(prompt, "round")}

    with teacher(script) as taught:
        found = made(project(tmp_path, steps, prompts, LETTERS, url=taught.url), tmp_path / "out")
    found.check_accounts()
    rows = {row["topic"]: row for row in found.fields("kept")}
    assert {letter: row["work_rounds"] for letter, row in rows.items()} == {"a": 1, "b": 2, "c": 3, "e": 3, "f": 3}
    assert {letter: row["good"] for letter, row in rows.items()} == {"a": True, "b": True, "c": True, "e": False, "f": False}
    assert rows["b"]["draft"] == "draft b round=1" and rows["b"]["round_seen"] == 1
    assert found.counts("work")["dropped"] == {"ask": {"truncated": 1}} and found.counts("work")["in"] == 6
    assert len(taught.prompts) == 2 * (1 + 2 + 3 + 2 + 3 + 3) == len(set(taught.prompts))


def test_when_inside_a_repeat_sees_the_round(tmp_path: Path) -> None:
    steps = """\
  - name: work
    repeat:
      at_most: 2
      until: topic == 'never'
      steps:
        - {name: draft, ask: t/draft, of: w, when: round == 0}
        - {name: polish, ask: t/polish, of: w, when: round > 0}"""
    with teacher(lambda prompt: prompt) as taught:
        prompts = {"draft": "draft {{ topic }}", "polish": "polish {{ draft }}"}
        found = made(project(tmp_path, steps, prompts, "{grid: {topic: [a, b]}}", url=taught.url), tmp_path / "out")
    assert sorted(taught.prompts) == ["draft a", "draft b", "polish draft a", "polish draft b"]
    assert {row["polish"] for row in found.fields("work")} == {"polish draft a", "polish draft b"}


# --- answers that do not fit, and answers that come later ---


def test_a_malformed_answer_is_asked_for_again_with_the_error_shown(tmp_path: Path) -> None:
    steps = "  - {name: grade, ask: t/grade, of: w, reask: 2, returns: {score: {int: [1, 5]}}}"

    def script(prompt: str) -> Any:
        if prompt.startswith("That answer cannot be used: score must lie between 1 and 5"):
            return {"score": 5}
        return {"a": {"score": 9}, "b": {"score": 3}, "c": "never JSON"}.get(prompt, "still not JSON")

    with teacher(script) as taught:
        found = made(project(tmp_path, steps, {"grade": "{{ topic }}"}, "{grid: {topic: [a, b, c]}}", url=taught.url), tmp_path / "out")
    found.check_accounts()
    assert {row["topic"]: row["score"] for row in found.fields("grade")} == {"a": 5, "b": 3}
    assert len(taught.prompts) == 2 + 1 + 3 and found.counts("grade")["unanswered"] == {"malformed": 1}
    assert found.records("grade", "unanswered")[0]["error"].startswith("not valid JSON")
    calls = found.records("grade", "calls")
    assert len(calls) == 6 and len({call["key"] for call in calls}) == 6


def test_rows_that_failed_are_asked_again_by_the_next_run_and_leave_no_trace_of_failure(tmp_path: Path) -> None:
    down = {"b", "c"}
    steps = "  - {name: text, ask: t/text, of: w}"
    script = lambda prompt: Reply(error("openai", "server_error"), 500) if prompt in down else prompt  # noqa: E731
    with teacher(script) as taught:
        spec = project(tmp_path, steps, {"text": "{{ topic }}"}, LETTERS, url=taught.url)
        first = made(spec, tmp_path / "out")
        first.check_accounts()
        assert first.counts("text")["unanswered"] == {"failed": 2} and first.summary.unanswered == 2
        down.clear()
        taught.prompts.clear()
        second = made(spec, tmp_path / "out")
        assert sorted(taught.prompts) == ["b", "c"]
    second.check_accounts()
    assert second.counts("text")["unanswered"] == {} and second.records("text", "unanswered") == []
    assert {row["text"] for row in second.fields("text")} == set("abcdef") and second.summary.unanswered == 0


# --- sets ---


def test_set_steps_see_all_rows_and_groups_are_whole_again_after_them(tmp_path: Path) -> None:
    steps = """\
  - {name: text, ask: t/text, of: w, samples: 4, returns: {text: str, score: int}}
  - {name: unique, dedup: {on: text}}
  - {name: quota, mix: {by: level, at_most: 5}}
  - {name: best, select: {best: [score]}}"""

    def script(prompt: str) -> Any:
        sample = number_in(prompt, "sample")
        words = f"{prompt} " * 5 if sample else "the very same text is said about every single topic here " * 2
        return {"text": words, "score": sample}

    with teacher(script) as taught:
        seeds = "{grid: {topic: [a, b, c], level: [low, high]}}"
        found = made(
            project(tmp_path, steps, {"text": "{{ topic * 9 }} {{ level * 7 }} sample={{ sample }}"}, seeds, url=taught.url), tmp_path / "out"
        )
    found.check_accounts()
    assert found.counts("unique")["in"] == 24 and found.counts("unique")["dropped"]["dedup"]["exact_duplicate"] == 5
    assert len(only(found.fields("quota"), level="low")) == len(only(found.fields("quota"), level="high")) == 5
    rows = found.fields("best")
    quota = found.fields("quota")
    assert len(rows) == len({(row["topic"], row["level"]) for row in quota})
    for row in rows:
        assert row["score"] == max(each["score"] for each in only(quota, topic=row["topic"], level=row["level"]))


# --- identity ---

LINE = """\
  - {name: plan, ask: t/plan, of: w, returns: {parts: {list: str, at_most: 2}}}
  - {name: part, ask: t/part, of: w, each: parts}
  - {name: sample, ask: t/sample, of: w, samples: 2}
  - {name: agreement, vote: {on: sample}}
  - {name: unique, dedup: {on: sample, exact_only: true}}"""
LINE_PROMPTS = {
    "plan": "plan {{ topic }} {{ mood }}",
    "part": "part {{ item }} {{ mood }}",
    "sample": "say {{ part }} sample={{ sample }} {{ mood }}",
}


def everything(found: Made) -> dict[str, list[Any]]:
    """All rows of all steps, whatever file they lie in."""
    names = [path.name.split("-", 1)[1] for path in sorted((found.out / "steps").glob("[0-9]*"))]
    kinds = ("kept", "dropped", "unanswered", "verdicts")
    return {f"{name}/{kind}": sorted(json.dumps(record, sort_keys=True) for record in found.records(name, kind)) for name in names for kind in kinds}


def test_rows_are_the_same_whatever_the_order_of_seeds_answers_and_interruptions(tmp_path: Path) -> None:
    """Three builds: seeds in two orders; answers late at random; and one that the provider cut short twice."""
    chance = random.Random(3)
    topics = [{"topic": f"t{number}"} for number in range(12)]
    stopped = {"left": 0}

    def script(prompt: str) -> Any:
        if stopped["left"] and chance.random() < 0.1:
            stopped["left"] -= 1
            return Reply(error("openai", "invalid_request_error", "the key is out for lunch"), 401)
        if prompt.startswith("plan"):
            return {"parts": [f"{prompt} {number}" for number in range(2)]}
        return f"{prompt} said {len(prompt) % 3}"

    results = []
    for turn in range(3):
        folder = tmp_path / str(turn)
        folder.mkdir()
        chance.shuffle(topics)
        (folder / "seeds.jsonl").write_text("".join(json.dumps(topic) + "\n" for topic in (topics if turn else sorted(topics, key=str))))
        stopped["left"] = 2 if turn == 2 else 0
        with teacher(script) as taught:
            spec = project(folder, LINE, LINE_PROMPTS, "{table: seeds.jsonl}\nvary: {mood: [calm, brisk, kind]}", url=taught.url)
            while True:
                try:
                    found = made(spec, folder / "out")
                    break
                except Exception as error:
                    assert type(error).__name__ == "TeacherStopped" and turn == 2
            assert len(taught.prompts) - (2 - stopped["left"] if turn == 2 else 0) <= 12 + 24 + 48
        found.check_accounts()
        assert found.summary.unanswered == 0
        results.append(everything(found))
    assert results[0] == results[1] == results[2] and len(results[0]["sample/kept"]) + len(results[0]["agreement/kept"]) >= 48


def test_growth_keeps_the_rows_there_are(tmp_path: Path) -> None:
    with teacher(lambda prompt: f"{prompt} said") as taught:
        steps = "  - {name: text, ask: t/text, of: w, samples: 2}"
        seeds = "{grid: {topic: [a, b, c, d]}, take: %d}"
        release = "release: {format: text}"
        spec = project(tmp_path, steps, {"text": "{{ topic }} {{ sample }} {{ variant }}"}, seeds % 3, release, url=taught.url)
        small = {record["id"]: record["fields"] for record in made(spec, tmp_path / "out").records("text", "kept")}
        asked = len(taught.prompts)
        project(tmp_path, steps, {}, seeds % 7, release, url=taught.url)
        grown = made(spec, tmp_path / "out")
        large = {record["id"]: record["fields"] for record in grown.records("text", "kept")}
        assert (grown.summary.version, grown.summary.rows, grown.summary.total, len(taught.prompts) - asked) == ("1.1", 8, 14, 8)
    assert len(small) == 6 and len(large) == 14 and all(large[row] == fields for row, fields in small.items())


def test_a_vary_list_is_drawn_per_row_and_a_seeds_own_field_hides_it(tmp_path: Path) -> None:
    more = "release: {format: text, columns: {text: topic}}\nvary: {topic: [never, ever], mood: [calm, brisk, kind, dry]}"
    with teacher(lambda prompt: prompt) as taught:
        steps = "  - {name: text, ask: t/text, of: w, samples: 8}"
        spec = project(tmp_path, steps, {"text": "{{ topic }} in a {{ mood }} mood {{ sample }}"}, LETTERS, more, url=taught.url)
        found = made(spec, tmp_path / "out")
    rows = found.fields("text")
    assert {row["topic"] for row in rows} == set("abcdef") and {row["mood"] for row in rows} == {"calm", "brisk", "kind", "dry"}
    assert all(row["text"] == f"{row['topic']} in a {row['mood']} mood {row['sample']}" for row in rows)
