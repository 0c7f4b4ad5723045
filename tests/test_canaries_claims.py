"""Planted claims and planted leaks: checks, dedup and decontamination say how much of what they look for they find."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from teaching import Made, made, project
from test_canaries import text

from datagen.errors import SetupError
from datagen.operators.claims.arithmetic import Arithmetic
from datagen.operators.claims.math import Math
from datagen.release.catalogue import query
from datagen.running.canaries.claims import turned, unknown_tool, wrong_answer, wrong_sum
from datagen.runtime import jail
from datagen.storage import read_json

CHECKS = """\
  - {name: right, check: {math: {on: solution, gold: answer}}}
  - {name: told, check: {arithmetic: {on: solution}}, gate: false}
  - {name: steps, check: {arithmetic: {on: solution}}}
  - {name: calls, check: {tool_calls: {on: calls, tools: tools}}}
"""
CODE = "  - {name: runs, check: {code: {on: program}}}\n"
TOOLS = json.dumps([{"name": "shelve", "parameters": {"type": "object", "properties": {"book": {"type": "string"}}}}])


def worked(number: int) -> dict[str, Any]:
    """A true row: a sum worked out, a program with its test, a call of a tool."""
    boxes, each = number + 3, number % 5 + 2
    return {
        "solution": f"The shop sells {boxes} boxes of {each} pens: {boxes} * {each} = {boxes * each} pens.\n#### {boxes * each}",
        "answer": str(boxes * each),
        "program": f"def times_{number}(n):\n    return n * {number}",
        "tests": f"assert times_{number}(2) == {2 * number}",
        "calls": json.dumps([{"name": "shelve", "arguments": {"book": f"book {number}"}}]),
        "tools": TOOLS,
    }


def written(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def built(folder: Path, steps: str, rows: Sequence[Mapping[str, Any]], good: Sequence[Mapping[str, Any]], released: str, count: int) -> Made:
    written(folder / "seeds.jsonl", rows)
    written(folder / "good.jsonl", good or rows[:1])
    more = f"release: {{format: text, columns: {{text: {released}}}}}\nguard: {{canaries: {{count: {count}, good: [own=good.jsonl:{released}]}}}}"
    return made(project(folder, steps, {}, "{table: seeds.jsonl}", more), folder / "out")


def test_false_claims_are_planted_for_each_check_and_true_ones_of_the_sets_that_hold_them(tmp_path: Path) -> None:
    try:
        jail.check()
        steps = CHECKS + CODE
    except SetupError:
        steps = CHECKS
    rows, good = [worked(number) for number in range(12)], [worked(number) for number in range(50, 60)]
    found = built(tmp_path, steps, rows, good, "solution", 12)
    whole = read_json(found.out / "manifest.json")["canaries"]
    told = whole["steps"]
    kinds = {step: set(each["kinds"]) for step, each in told.items()}
    assert kinds.pop("runs", {"failing_test", "other_program"}) == {"failing_test", "other_program"}
    assert kinds == {"right": {"wrong_answer"}, "steps": {"wrong_step"}, "calls": {"unknown_tool"}} | {"told": {"wrong_step"}}
    for step, each in told.items():
        assert each["escapes"]["of"] >= 12 and each["false_drops"]["of"] == 10, step
        assert each["false_drops"]["found"] == 0, step
        assert each["escapes"]["found"] == 0, step
    assert (whole["escapes"]["found"], whole["bad"]) == (0, sum(told[step]["escapes"]["of"] for step in told if step != "told"))
    assert whole["good"] == 10 * (len(told) - 1)  # `told` drops nothing, so its verdicts alone are counted, at its step
    assert query(found.out, "SELECT count(*) FROM verdicts WHERE row LIKE 'canary%'")[1] == [(0,)]
    assert "wrong\\_answer 100 % of 12" in (found.out / "README.md").read_text()


ITEMS = (
    "A baker sells {0} loaves each morning and {1} rolls each evening. How many pieces does the baker sell in {2} days?",
    "Nina reads {0} pages on Monday, twice as many on Tuesday and {1} pages on each of the next {2} days. How many pages has she read?",
    "The tank of a lorry holds {0} litres and loses {1} litres every hour. How much is left when the lorry has been driven for {2} hours?",
)


def items() -> list[dict[str, str]]:
    draw = random.Random(3)
    return [{"id": str(number), "question": ITEMS[number % 3].format(*(draw.randint(2, 90) for _ in range(3)))} for number in range(9)]


SETS = """\
  - {name: unique, dedup: {on: text}}
  - {name: clean, decontaminate: {on: text, against: [bench.jsonl]}}"""


def test_copies_and_leaks_are_planted_and_the_certificate_says_how_many_are_found(tmp_path: Path) -> None:
    written(tmp_path / "bench.jsonl", items())
    found = built(
        tmp_path, SETS, [{"text": text(number)} for number in range(24)], [{"text": text(2000 + number)} for number in range(9)], "text", 24
    )
    told = read_json(found.out / "manifest.json")["canaries"]["sets"]
    copies = told["unique"]["kinds"]["edited_copy"]
    assert copies["of"] == 24 and copies["share"] >= 0.95
    assert told["unique"]["good_kinds"]["shared_opening"] == {**told["unique"]["false_drops"], "found": 0, "of": 24}
    (step,) = read_json(found.out / "decontamination.json")["steps"]
    assert step["planted"] == told["clean"]
    assert step["planted"]["kinds"]["verbatim"]["found"] == step["planted"]["kinds"]["verbatim"]["of"] == 9
    assert step["planted"]["kinds"]["reworded"]["found"] >= 8
    assert step["planted"]["good_kinds"]["good"]["of"] == 9 and step["planted"]["good_kinds"]["good"]["found"] == 0
    assert step["planted"]["good_kinds"]["other_numbers"]["of"] == 9
    assert step["found"] == {"verbatim": 0, "rephrased": 0, "same_template": 0} and found.counts("unique")["kept"] == 24
    assert ", verbatim 100 % (70 % to 100 %, 9); of good, which it is to keep, it drops 0 %" in (found.out / "README.md").read_text()


def test_a_threshold_that_finds_no_copies_says_so(tmp_path: Path) -> None:
    """The figures above would not be good if the step were not."""
    steps = "  - {name: unique, dedup: {on: text, threshold: 0.99}}"
    found = built(tmp_path, steps, [{"text": text(number)} for number in range(24)], [], "text", 24)
    assert read_json(found.out / "manifest.json")["canaries"]["sets"]["unique"]["kinds"]["edited_copy"]["share"] < 0.2


@pytest.mark.parametrize("seed", range(20))
def test_a_claim_made_false_is_false(seed: int) -> None:
    chance, row = random.Random(seed), worked(seed)
    wrong = wrong_answer(row["solution"], row["answer"], chance)
    assert wrong is not None and not Math().judge({"solution": wrong, "answer": row["answer"]}).keep
    assert wrong_answer("He has 5 of the 7.", "5", chance) is None  # another number is the last
    wrong = wrong_sum(row["solution"], chance)
    assert wrong is not None and not Arithmetic(on="solution").judge({"solution": wrong}).keep
    assert wrong_sum("2 + 3 * 4 = 14, 2 + 2 = 5, 10 / 4 = 2.5, 3 + 4 = 7 * 1", chance) is None


def test_a_test_is_turned_into_its_opposite_and_a_tool_renamed() -> None:
    assert turned("import math\nassert f(2) == 4, 'two'\nassert f(3) == 6") == "import math\nassert not f(2) == 4, 'two'\nassert f(3) == 6"
    assert turned(["assert f(1)", "assert f(2)"]) == ["assert not f(1)", "assert f(2)"]
    assert turned("def test_it():\n    assert f(2) == 4") == "def test_it():\n    assert not f(2) == 4"
    assert turned("f(2)") is None and turned(None) is None and turned("assert (") is None
    assert unknown_tool('{"function": {"name": "shelve"}}') == '{"function": {"name": "shelve_of_nobody"}}'
    assert unknown_tool("shelve it") is None and unknown_tool([]) is None
