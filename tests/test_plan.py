"""The plan: every name resolved and every price known before anything is paid; and numbers that a build then keeps to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from teaching import made, project, teacher

from datagen.asking.ledger.book import Ledger
from datagen.errors import SeedError, SetupError, SpecError
from datagen.plan.estimate import AskCount, asks_of, expected_later, line_of
from datagen.plan.model import Plan, PlannedStep
from datagen.plan.resolve import Rehearsing, api_key, resolve
from datagen.plan.sow import sow
from datagen.preview import plan_lines, replay
from datagen.records import NANO
from datagen.spec.load import load_spec

SEEDS = "{grid: {topic: [a, b, c, d], level: [1, 2]}}"
PROMPTS = {
    "text": "Write about {{ topic }} {{ level }}.",
    "part": "Part {{ position }}: {{ item }}{{ previous }}",
    "judge": "---\nsystem: You grade {{ level }}.\n---\nGrade: {{ text }}",
    "mood": "{{ topic }} {{ mood }} {{ pick(['x', 'y']) }} {{ sample }} {{ round }}",
}
STEPS = """\
  - {name: text, ask: t/text, of: w, returns: {text: str, parts: {list: str, at_most: 5}}}
  - {name: part, ask: t/part, of: w, each: parts}
  - {name: judge, ask: t/judge, of: w, when: level > 1, returns: {score: {int: [1, 5]}}}
  - {name: good, filter: [{score: {on: score, at_least: 2}}]}
  - {name: best, select: {best: [score, text|length], keep: 2}}
  - {name: unique, dedup: {on: text, prefer: score}}"""
RELEASE = "release: {format: text}"


def planned(folder: Path, steps: str = STEPS, more: str = RELEASE, seeds: str = SEEDS, **given: Any) -> Plan:
    loaded = load_spec(str(project(folder, steps, PROMPTS, seeds, more)))
    return resolve(loaded, set(sow(loaded).fields), given.get("rehearsing"), given.get("simulated", False))


def refused(folder: Path, steps: str = STEPS, more: str = RELEASE) -> str:
    with pytest.raises(SpecError) as caught:
        planned(folder, steps, more)
    return str(caught.value)


def test_a_plan_has_everything_it_needs_inside(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert [step.folder for step in plan.steps] == ["01-text", "02-part", "03-judge", "04-good", "05-best", "06-unique"]
    assert [step.writes for step in plan.steps[:3]] == [("text", "text", "parts"), ("part", "item", "position"), ("judge", "score")]
    assert [(len(stretch.steps), stretch.closing and stretch.closing.name) for stretch in plan.stretches] == [(5, "unique")]
    assert not plan.simulated and plan.chairs["w"].label == "test" and plan.chairs["w"].price is not None
    assert plan.steps[0].prompt is not None and plan.steps[0].prompt.body == PROMPTS["text"]


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("ask: t/text", "ask: t/txet", 5, "no prompt 't/txet' in "),
        ("name: text, ask: t/text, of: w", "name: text, ask: t/text, of: ww", 5, "no teacher 'ww'; did you mean 'w'"),
        ("ask: t/text,", "ask: t/mood,", 5, "prompt 't/mood' uses 'mood', which no seed, vary list or earlier step gives"),
        ("{text: str, parts:", "{txt: str, parts:", 5, None),
        ("each: parts", "each: prats", 6, "no field 'prats' before this step; did you mean 'parts'"),
        ("each: parts", "each: parts, samples: 2", 6, "samples and each on one step"),
        ("ask: t/part, of: w, each: parts", "ask: t/text, of: w, in_order: true", 6, "in_order goes with `each`"),
        ("level > 1", "levle > 1", 7, "the field 'levle' no seed, vary list or earlier step gives; did you mean 'level'"),
        ("level > 1", "level >", 7, "does not parse"),
        ("level > 1", "round > 1", 7, "the field 'round'"),
        ("level > 1", "score > 1", 7, "the field 'score'"),
        ("at_least: 2", "atleast: 2", 8, "unknown parameter 'atleast'; did you mean 'at_least'"),
        ("{score: {on: score, at_least: 2}}", "{scroe: {}}", 8, "unknown operator 'scroe'; did you mean 'score'"),
        ("on: score, at", "on: scoer, at", 8, "did you mean 'score'"),
        ("filter: [{score: {on: score, at_least: 2}}]", "filter: nowhere", 8, "no filter recipe 'nowhere'"),
        ("best: [score,", "best: [sample,", 9, "the field 'sample'"),
        ("keep: 2", "where: scor > 1", 9, "did you mean 'score'"),
        ("on: text, prefer: score", "on: txt", 10, "the field 'txt'"),
        ("prefer: score", "prefer: scores", 10, "did you mean 'score'"),
        ("on: text, prefer: score", "on: text, exact_only: true, threshold: 0.3", 10, "exact_only compares no pairs, so threshold says nothing"),
        ("dedup: {on: text, prefer: score}", "mix: {by: kind, at_most: 3}", 10, "the field 'kind'"),
        ("dedup: {on: text, prefer: score}", "decontaminate: {on: text, against: [gsm8k]}", 10, "no reference set 'gsm8k'"),
        ("dedup: {on: text, prefer: score}", "check: {maths: {on: text}}", 10, "unknown operator 'maths'; did you mean 'math'"),
        ("dedup: {on: text, prefer: score}", "check: {}", 10, "a check verifies one claim; found none"),
        ("dedup: {on: text, prefer: score}", "dedup: {on: text}, when: level > 1", 10, "`when` is for steps that see one row"),
        ("score: {int: [1, 5]}", "score: {int: [5, 1]}", 7, "no answer can meet"),
        ("{list: str, at_most: 5}", "{list: str}", 5, "needs a bound, else no price"),
    ],
)
def test_what_cannot_be_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, told: str | None) -> None:
    assert STEPS.count(old) == 1
    if told is None:  # the answer's text still fills the field of the step's own name
        planned(tmp_path, STEPS.replace(old, new))
        return
    message = refused(tmp_path, STEPS.replace(old, new))
    assert message.startswith(f"{tmp_path}/s.yaml:{line}: ") and told in message, message


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("humanevl", "; did you mean 'humaneval'? known: gsm8k, humaneval. datagen ships no benchmark texts: `datagen benchmarks import NAME"),
        ("./nofile.parquet", "no file {base}/nofile.parquet; did you mean 'afile.parquet'? known: afile.parquet; or write"),
    ],
)
def test_a_reference_set_that_is_not_there_is_guessed(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "benchmarks").mkdir()
    for path in ("benchmarks/gsm8k.parquet", "benchmarks/humaneval.parquet", "afile.parquet"):
        (tmp_path / path).write_bytes(b"")
    leaks = f"decontaminate: {{on: text, against: [{name}]}}"
    message = refused(tmp_path, STEPS.replace("dedup: {on: text, prefer: score}", leaks))
    assert message.startswith(f"{tmp_path}/s.yaml:10: no reference set {name!r}: ") and told.format(base=tmp_path) in message, message


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("release: {format: txt}", "unknown format 'txt'; did you mean 'text'"),
        ("release: {format: text, columns: {text: tetx}}", "from the field 'tetx', which no step gives; did you mean 'text'"),
        ("release: {format: text, columns: {txt: text}}", "release.columns names 'txt', which this format does not have; did you mean 'text'"),
        ("release: {format: instruction}", "which no step gives; name one: release.columns"),
        ("release: {format: text, drop: [scor]}", "no field 'scor' to drop; did you mean 'score'"),
        ("release: {format: text, split: {validation: one}}", "must be a share such as 1% or 0.01, found 'one'"),
        ("release: {format: text, split: {validation: 60%, test: 40%}}", "leaves nothing for train"),
    ],
)
def test_a_release_that_cannot_be_is_told_before_anything_is_paid(tmp_path: Path, more: str, told: str) -> None:
    message = refused(tmp_path, more=more)
    assert message.startswith(f"{tmp_path}/s.yaml:11: ") and told in message


@pytest.mark.parametrize("verb", ["vote: {on: text}", "select: {best: [text]}"])
def test_a_group_step_needs_children(tmp_path: Path, verb: str) -> None:
    assert "works on the children of one row" in refused(tmp_path, f"  - {{name: text, ask: t/text, of: w}}\n  - {{name: g, {verb}}}")


def test_a_repeat_keeps_one_row_and_knows_its_own_fields(tmp_path: Path) -> None:
    form = "  - name: r\n    repeat:\n      at_most: 2\n      until: %s\n      steps:\n        - {name: text, ask: t/text, of: w%s}"
    assert planned(tmp_path, form % ("text|length > 3", "")).steps[0].writes == ("r_rounds", "text")
    assert "samples and each make many rows of one" in refused(tmp_path, form % ("text", ", samples: 2"))
    for until in ("round > 2", "finished"):
        assert f"s.yaml:8: the field {until.split()[0]!r}" in refused(tmp_path, form % (until, ""))


@pytest.mark.parametrize(
    ("teachers", "told"),
    [
        ("model: openai/own", "no price is known for 'openai/own', so no budget could hold; give `price:"),
        ("model: opnai/own, unpriced: true", "unknown provider 'opnai'; did you mean 'openai'"),
        ("model: openai/own, price: {input: 1}", "'output' is missing"),
        ("model: openai/own, price: {input: -1, output: 1}", "greater than or equal to 0"),
    ],
)
def test_teachers_that_cannot_be(tmp_path: Path, teachers: str, told: str) -> None:
    path = project(tmp_path, "  - {name: text, ask: t/text, of: w}", PROMPTS, SEEDS, RELEASE)
    lines = path.read_text().splitlines()
    lines[2] = f"teachers: {{w: {{{teachers}}}}}"
    path.write_text("\n".join(lines))
    with pytest.raises(SpecError) as caught:
        loaded = load_spec(str(path))
        resolve(loaded, set(sow(loaded).fields), None, False)
    assert "s.yaml:3: " in str(caught.value) and told in str(caught.value)


def test_keys_come_from_the_environment_and_only_where_they_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chair = planned(tmp_path).chairs["w"]
    assert api_key(chair) == "none"  # a server of one's own
    with pytest.raises(SetupError, match="set OPENAI_API_KEY, or rehearse for nothing with --teacher simulator"):
        api_key(replace(chair, base_url=None))
    named = replace(chair, spec=chair.spec.model_copy(update={"api_key_env": "MY_KEY"}))
    with pytest.raises(SetupError, match="set MY_KEY"):
        api_key(named)
    monkeypatch.setenv("MY_KEY", "sk-mine")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-theirs")
    assert (api_key(named), api_key(replace(chair, base_url=None)), api_key(replace(named, simulated=True))) == ("sk-mine", "sk-theirs", "simulated")
    assert "sk-" not in repr(planned(tmp_path))


def test_a_rehearsal_asks_the_simulator_and_says_so_in_every_key(tmp_path: Path) -> None:
    chair = planned(tmp_path, rehearsing=Rehearsing("http://127.0.0.1:7", "simulator-abc"), simulated=True).chairs["w"]
    assert (chair.base_url, chair.label, chair.simulated) == ("http://127.0.0.1:7/v1", "simulator-abc", True)
    assert planned(tmp_path).fingerprint != planned(tmp_path, rehearsing=Rehearsing("http://x", "simulator-abc"), simulated=True).fingerprint


def test_prompts_use_only_what_every_seed_has(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"topic": 1, "level": 1}\n{"topic": 2}\n')
    with pytest.raises(SpecError, match="prompt 't/text' uses 'level'"):
        planned(tmp_path, "  - {name: text, ask: t/text, of: w}", seeds="{table: t.jsonl}")
    (tmp_path / "t.jsonl").write_text("")
    with pytest.raises(SeedError):
        planned(tmp_path, "  - {name: text, ask: t/text, of: w}", seeds="{table: t.jsonl}")


# --- fingerprints: what is made again, and what stands ---


def changed(folder: Path, old: str, new: str, more: str = RELEASE) -> list[bool]:
    """Per step, whether its fingerprint is another; the last is the plan's."""
    before, after = planned(folder), planned(folder, STEPS.replace(old, new), more)
    pairs = list(zip(before.steps, after.steps, strict=True))
    return [one.fingerprint != other.fingerprint for one, other in pairs] + [before.fingerprint != after.fingerprint]


def test_a_change_makes_anew_what_comes_after_it_and_nothing_before(tmp_path: Path) -> None:
    assert changed(tmp_path, "", "") == [False] * 7
    assert changed(tmp_path, "at_least: 2", "at_least: 3") == [False, False, False, True, True, True, True]
    assert changed(tmp_path, "keep: 2", "keep: 1") == [False] * 4 + [True, True, True]
    assert changed(tmp_path, "at_most: 5", "at_most: 6") == [True] * 7
    assert changed(tmp_path, "", "", "release: {format: text, rows_per_shard: 5, budget: {usd: 3}, licence: mit}") == [False] * 7
    assert changed(tmp_path, "", "", "release: {format: text, columns: {text: part}}") == [False] * 6 + [True]


def test_a_prompts_words_are_part_of_the_plan_and_its_about_is_not(tmp_path: Path) -> None:
    first = planned(tmp_path)
    for text, other in (("---\nabout: More.\n---\n" + PROMPTS["text"], False), ("Write on {{ topic }}.", True)):
        loaded = load_spec(str(tmp_path / "s.yaml"))
        (tmp_path / "prompts" / "t" / "text.md.j2").write_text(text)
        assert (resolve(loaded, {"topic", "level"}, None, False).fingerprint != first.fingerprint) is other


def test_a_reference_set_that_changes_changes_the_plan(tmp_path: Path) -> None:
    steps = STEPS.replace("dedup: {on: text, prefer: score}", "decontaminate: {on: text, against: [held.jsonl]}")
    found = []
    for question in ("one", "one", "two"):
        (tmp_path / "held.jsonl").write_text(json.dumps({"question": question}))
        found.append(planned(tmp_path, steps).fingerprint)
    assert found[0] == found[1] != found[2]
    warned = planned(tmp_path, steps.replace("[held.jsonl]", "[nowhere], missing: warn"))
    assert len(warned.warnings) == 1 and "not decontaminated against 'nowhere'" in warned.warnings[0]


# --- numbers ---

LINE = """\
  - {name: text, ask: t/text, of: w, returns: {text: str, parts: {list: str, at_most: 5}}}
  - {name: part, ask: t/part, of: w, each: parts, in_order: true}
  - name: revise
    repeat:
      at_most: 3
      until: "score > 4"
      steps: [{name: judge, ask: t/judge, of: w, returns: {score: {int: [1, 5]}}}, {name: note, ask: t/text, of: w}]
  - {name: again, ask: t/mood, of: w, samples: 3}"""
MORE = "release: {format: text}\nvary: {mood: [calm, brisk]}"


def counted(plan: Plan, folder: Path | None, loaded_spec: Path) -> dict[str, AskCount]:
    sown = sow(load_spec(str(loaded_spec)))
    counts, _, touched = replay(plan, sown, folder)
    expected_later(plan, [row for row in sown.rows() if row.id in touched], counts)
    return counts


def test_before_anything_is_asked_the_plan_counts_every_request_there_could_be(tmp_path: Path) -> None:
    plan = planned(tmp_path, LINE, MORE)
    counts = counted(plan, None, tmp_path / "s.yaml")
    assert {name: (count.recorded, count.missing, count.later) for name, count in counts.items()} == {
        "text": (0, 8, 0), "part": (0, 0, 40), "judge": (0, 0, 120), "note": (0, 0, 120), "again": (0, 0, 120),
    }  # fmt: skip
    assert not list(tmp_path.glob("**/*.jsonl"))


def answers(prompt: str, score: int) -> Any:
    if prompt.startswith("Write"):
        return {"text": "t" * 300, "parts": ["p"] * 5}
    return {"score": score} if prompt.startswith("Grade") else f"said of {prompt}"


@pytest.mark.parametrize("malformed", [False, True])
def test_no_build_asks_more_or_pays_more_than_the_plans_worst(tmp_path: Path, malformed: bool) -> None:
    """The teacher does its worst: five parts, never good enough, and every first answer unusable."""
    seen: set[str] = set()

    def script(prompt: str) -> Any:
        if malformed and not prompt.startswith("That answer") and prompt not in seen:
            seen.add(prompt)
            return " "
        if prompt.startswith("That answer"):
            return {"text": "t" * 300, "parts": ["p"] * 5, "score": 1}
        return answers(prompt, 1)

    with teacher(script) as taught:
        spec = project(tmp_path, LINE, PROMPTS, SEEDS, f"{MORE}\nguard: {{error_share: 1}}", url=taught.url)
        loaded = load_spec(str(spec))
        plan = resolve(loaded, set(sow(loaded).fields), None, False)
        before = counted(plan, None, spec)
        worst = sum(line_of(plan, count).worst or 0.0 for count in before.values())
        found = made(spec, tmp_path / "out")
        asked = len(taught.prompts)
    most = sum(count.to_ask for count in before.values())
    assert 0 < asked <= most * (2 if malformed else 1)
    account = Ledger(tmp_path / "out" / "ledger", "").accounts["tiny/1.0"]["w"]
    assert 0 < account.committed.cost / NANO == pytest.approx(found.summary.spent) and account.committed.cost / NANO <= worst
    after = counted(plan, tmp_path / "out" / "ledger", spec)
    assert all(count.to_ask == 0 for count in after.values()) and all(line_of(plan, count).worst == 0 for count in after.values())
    assert sum(count.recorded for count in after.values()) >= len(set(taught.prompts))


def test_a_long_field_of_the_seeds_counts_where_a_later_prompt_uses_it_again(tmp_path: Path) -> None:
    """Its longest value, as often as the prompt names it; what is expected follows the mean."""
    prompts = {"sum": "Sum up: {{ document }}", "both": "{{ document }} {{ mood }} {{ sum }} {{ document|lower }}"}
    steps = "  - {name: sum, ask: t/sum, of: w, reask: 0}\n  - {name: both, ask: t/both, of: w, reask: 0}"
    more = "release: {format: text, columns: {text: both}}\nvary: {mood: [calm, %s]}" % ("m" * 9_000)
    (tmp_path / "long.jsonl").write_text("".join(json.dumps({"document": letter * 30_000}) + "\n" for letter in "éabcd"))
    spec = project(tmp_path, steps, prompts, "{table: {path: long.jsonl}}", more)
    plan = resolve(load_spec(str(spec)), {"document"}, None, False)
    later = line_of(plan, counted(plan, None, spec)["both"])
    assert later.most.tokens >= 5 * (2 * 60_000 + 9_000)  # é has two bytes
    assert 5 * 2 * 30_000 / 4 < later.input_tokens < 5 * 2 * 35_000 / 4


def test_what_is_in_the_ledger_is_not_counted_again(tmp_path: Path) -> None:
    with teacher(lambda prompt: answers(prompt, 5)) as taught:
        spec = project(tmp_path, LINE, PROMPTS, SEEDS, MORE, url=taught.url)
        made(spec, tmp_path / "out", limit=3)
        asked = len(taught.prompts)
        lines = list(plan_lines(str(spec), tmp_path / "out", None, None, None, None))
        assert len(taught.prompts) == asked
    table = {line.split()[0]: line.split() for line in lines if line.split()[:2][-1:] == ["w"]}
    assert table["text"][2:5] == ["8", "3", "5"] and table["part"][2:5] == ["30", "5", "25"] and table["again"][4] == "75"
    assert sum(int(numbers[3]) for numbers in table.values()) == asked  # what two rows ask alike was asked once, and is counted once
    text = "\n".join(lines)
    assert "5 new seeds, 0 gone" in text and "text             = same" in text and "no cap: set release.budget.usd or --budget" in text


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["plain", "samples", "repeat"]), min_size=1, max_size=4), st.integers(1, 5), st.integers(0, 5))
def test_the_count_of_what_comes_later_is_the_product_of_its_bounds(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], width: int, missing: int
) -> None:
    forms = {
        "plain": "  - {{name: s{n}, ask: t/text, of: w}}",
        "samples": "  - {{name: s{n}, ask: t/text, of: w, samples: {w}}}",
        "repeat": "  - {{name: r{n}, repeat: {{at_most: {w}, until: topic, steps: [{{name: s{n}, ask: t/text, of: w}}]}}}}",
    }
    steps = "\n".join(forms[kind].format(n=number, w=width) for number, kind in enumerate(kinds))
    folder = tmp_path_factory.mktemp("plan")
    plan = planned(folder, steps, "release: {format: text, columns: {text: topic}}")
    asks: list[PlannedStep] = [inner for step in plan.steps for inner, _ in asks_of(step)]
    counts = {step.name: AskCount(step) for step in asks}
    first = missing * (width if kinds[0] == "samples" else 1)
    counts["s0"].missing = first
    expected_later(plan, list(sow(load_spec(str(folder / "s.yaml"))).rows()), counts)
    rows = missing
    for kind, step in zip(kinds, asks, strict=True):
        rows *= width if kind == "samples" else 1
        assert counts[step.name].to_ask == rows * (width if kind == "repeat" else 1)


BATCHED = """\
  - {name: text, ask: t/text, of: b, returns: {text: str, parts: {list: str, at_most: 5}}}
  - {name: part, ask: t/part, of: b, each: parts, in_order: true, reask: 0}
  - name: revise
    repeat:
      at_most: 3
      until: "score > 4"
      steps: [{name: judge, ask: t/judge, of: w, returns: {score: {int: [1, 5]}}}, {name: note, ask: t/text, of: b}]"""
WRITERS = "teachers: {w: {model: openai/own, base_url: 'http://127.0.0.1:9/v1', price: {input: 1, output: 10}, budget: {requests: 900}}, b: {%s}}"


def batched(folder: Path, words: str = "") -> Path:
    """Two teachers: one who answers in batches, one who does not."""
    teacher = f"model: openai/gpt-5-mini, mode: batch, max_tokens: 100{words}"
    spec = project(folder, BATCHED, PROMPTS, SEEDS, "release: {format: text, budget: {usd: 5, tokens: 2000000}}")
    spec.write_text("\n".join(WRITERS % teacher if line.startswith("teachers:") else line for line in spec.read_text().splitlines()))
    return spec


@pytest.mark.parametrize(("words", "rounds"), [("", "7 rounds; at worst 13, and 13 days"), (", raise_to: 400", "7 rounds; at worst 22, and 22 days")])
def test_the_plan_lists_rounds_of_batches_and_every_cap(tmp_path: Path, words: str, rounds: str) -> None:
    """text: 1 and a second ask; part: 5 in order; note: 3 times 1 and a second ask. The judge, online, costs no round."""
    lines = list(plan_lines(str(batched(tmp_path, words)), None, None, None, None, None))
    assert lines[-1] == f"batches: {rounds}, a day for each"
    assert lines[-3].startswith("expected $") and lines[-3].endswith("; capped at $5.00, 2,000,000 tokens")
    assert lines[-2].startswith("  w alone: at worst $") and lines[-2].endswith(", capped at 900 requests")


def test_more_room_for_a_truncated_answer_is_in_the_worst_case(tmp_path: Path) -> None:
    found = []
    for words in ("", ", raise_to: 400"):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        spec = batched(folder, words)
        loaded = load_spec(str(spec))
        plan = resolve(loaded, {"topic", "level"}, None, False)
        count = counted(plan, None, spec)["text"]
        found.append(line_of(plan, count))
    plain, raised = found
    assert plain.most.requests == 2 * plain.to_ask and raised.most.requests == 3 * raised.to_ask
    assert raised.worst is not None and plain.worst is not None and raised.worst > 2 * plain.worst and raised.expected == plain.expected
