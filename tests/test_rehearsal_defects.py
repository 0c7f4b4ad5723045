"""Planted defects: labelled, like what teachers do, in their shares, and at most one to an answer."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from rehearsing import QUESTIONS, RUBRIC, SHARED, TEXT, asked, bank_of, forget_material, object_of, of, only_built_in_material, section, solve

from datagen.rehearsal import material
from datagen.rehearsal.defects import DEFECTS, edited
from datagen.rehearsal.settings import Settings, label
from datagen.rehearsal.wires import Answer

__all__ = ["only_built_in_material"]


def test_a_wrong_answer_from_the_bank_differs_in_its_last_number(tmp_path: Path) -> None:
    rows = [{"question": "How much is it?", "answer": "It is 3 + 4 = 7.\n#### 7"}]
    settings = bank_of(tmp_path, rows).model_copy(update={"defects": {"wrong_answer": 1.0}})
    answer = of(settings).answer(asked("How much is it?"))
    assert answer.planted == "wrong_answer/synthetic"
    assert re.fullmatch(r"It is 3 \+ 4 = (\d+)\.\n#### \1", answer.text)
    assert not answer.text.endswith("#### 7")


def planted(defect: str, count: int = 30) -> list[tuple[str, Answer, Answer]]:
    """(prompt, clean answer, answer with the defect)."""
    clean, broken = of(), of(defects={defect: 1.0})
    prompts = [solve(QUESTIONS[index][0]) if index % 2 else section(index) for index in range(count)]
    return [(prompt, clean.answer(asked(prompt, f"k1:{i}")), broken.answer(asked(prompt, f"k1:{i}"))) for i, prompt in enumerate(prompts)]


@pytest.mark.parametrize("defect", sorted(DEFECTS))
def test_every_defect_changes_the_text_and_is_labelled(defect: str) -> None:
    found = planted(defect)
    assert all(broken.planted.startswith(defect) for _, _, broken in found)
    assert all(clean.planted == "" and clean.text != broken.text for _, clean, broken in found)


def test_defects_look_as_they_are_called() -> None:
    for _, clean, broken in planted("truncation"):
        assert clean.text.startswith(broken.text)
        assert broken.text[-1].isalpha()
    for prompt, clean, broken in planted("prompt_echo"):
        assert prompt in broken.text and broken.text.endswith(clean.text)
    items = dict(material.benchmark_items().texts)
    for _, _, broken in planted("leak"):
        assert items[broken.planted.partition(":")[2]] in broken.text
    assert all(broken.text in dict(material.refusals().texts).values() for _, _, broken in planted("refusal"))
    assert all(Counter(re.split(r"(?<=[.!?])\s+", broken.text)).most_common(1)[0][1] >= 6 for _, _, broken in planted("repetition"))


def test_near_duplicates_gather_around_a_few_originals() -> None:
    groups: dict[str, list[set[str]]] = {}
    for _, _, broken in planted("near_duplicate", 60):
        groups.setdefault(broken.planted, []).append(set(broken.text.split()))
    assert 4 <= len(groups) <= 10
    for texts in groups.values():
        assert all(len(texts[0] & text) / len(texts[0] | text) > 0.55 for text in texts)


def test_editing_changes_five_to_ten_percent_of_the_words() -> None:
    text = " ".join(["the sum of all parts gives a total that must be the same for every one"] * 30)
    changed = sum(one != two for one, two in zip(text.split(), edited(text, random.Random(1)).replace("to begin", "x").split(), strict=False))
    assert text != edited(text, random.Random(1))
    assert changed > 0


def test_shares_are_kept_and_at_most_one_defect_is_planted() -> None:
    teacher = of(defects={"refusal": 0.2, "pii": 0.1, "meta_talk": 0.05})
    labels = Counter(teacher.answer(asked(solve(QUESTIONS[i % 100][0]), f"k1:s{i}")).planted.split("/")[0] for i in range(1000))
    assert 150 < labels["refusal"] < 250 and 65 < labels["pii"] < 140 and 25 < labels["meta_talk"] < 80
    assert labels[""] > 580


def test_a_defect_goes_into_the_longest_text_of_a_json_answer() -> None:
    prompt, schema = "Topic: Fractions\nStyle: lesson", object_of(summary=TEXT, text=TEXT)
    answer = of(defects={"pii": 1.0}).answer(asked(prompt, schema=schema))
    clean = json.loads(of().answer(asked(prompt, schema=schema)).text)
    made = json.loads(answer.text)
    assert made["summary"] == clean["summary"] and made["text"] != clean["text"]
    refused = of(defects={"refusal": 1.0}).answer(asked(prompt, schema=schema))
    assert refused.refused and refused.text in material.REFUSALS
    assert of(defects={"pii": 1.0}).answer(asked("Topic: x", schema=object_of(n={"type": "integer"}))).planted == ""


def test_judges_carry_no_defects() -> None:
    assert of(defects={"refusal": 1.0}).answer(asked("<text>Fine and done.</text>", schema=RUBRIC)).planted == ""


@pytest.mark.real
def test_defects_are_made_of_real_texts_where_the_shared_data_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not (SHARED / "data" / "refusals_dev").is_dir():
        pytest.skip("the shared real data is not here; set DATAGEN_SHARED to its folder")
    synthetic = label(Settings(defects={"refusal": 0.1}))
    monkeypatch.setenv("DATAGEN_SHARED", str(SHARED))
    forget_material()
    assert label(Settings(defects={"refusal": 0.1})) != synthetic
    for defect in ("refusal", "leak", "wrong_language"):
        assert all(broken.planted.startswith(f"{defect}/real") for _, _, broken in planted(defect, 10))
    question, wrong = next(iter(material.wrong_solutions().items()))
    settings = bank_of(tmp_path, [{"question": question, "answer": "right"}]).model_copy(update={"defects": {"wrong_answer": 1.0}})
    answer = of(settings).answer(asked(question))
    assert answer.planted == "wrong_answer/real" and answer.text in wrong
