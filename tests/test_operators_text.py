"""Operators on texts: types of rows, masks, checksums, and what each threshold is there for."""

from __future__ import annotations

import ast
import pickle
import random

import pytest

from datagen.errors import SpecError
from datagen.operators.damage.noise import OcrNoise
from datagen.operators.damage.order import StepOrder
from datagen.operators.damage.program import Program
from datagen.operators.damage.repetition import Repetition
from datagen.operators.damage.splice import Splice
from datagen.operators.damage.truncation import Truncation
from datagen.operators.features import Features, features_of
from datagen.operators.meaning.grounding import Grounding
from datagen.operators.meaning.leak import AnswerLeak
from datagen.operators.meaning.reading import ReadingLevel
from datagen.operators.meaning.toxicity import Toxicity
from datagen.operators.personal.pii import Pii
from datagen.operators.recipe import Recipe


def build(*items: object) -> Recipe:
    return Recipe.build(list(items), lambda index: f"filters/x.yaml:{index + 1}")  # type: ignore[arg-type]


def names(recipe: Recipe, **fields: object) -> list[str]:
    return [name for name, _, _ in recipe.judge(fields)]


def test_an_operator_never_sees_a_row_of_a_type_it_is_not_made_for() -> None:
    recipe = build({"ocr_noise": None}, {"step_order": None}, {"program": None}, {"mojibake": None})
    assert names(recipe, text="x", task="code") == ["program", "mojibake"]
    assert names(recipe, text="x", task="maths") == ["ocr_noise", "step_order", "mojibake"]
    assert names(recipe, text="x", task="prose") == ["ocr_noise", "mojibake"]


@pytest.mark.parametrize(("task", "shown"), [("Code", "program"), ("python", "program"), (" MATH ", "ocr_noise"), ("Mathematics", "ocr_noise")])
def test_a_type_goes_by_other_words_and_cases_too(task: str, shown: str) -> None:
    assert names(build({"ocr_noise": None}, {"program": None}), text="x", task=task) == [shown]


@pytest.mark.parametrize("task", [None, "", "write a poem", 7, ["code"]])
def test_a_row_that_names_no_type_is_judged_by_all(task: object) -> None:
    recipe = build({"ocr_noise": None}, {"program": None})
    assert names(recipe, text="x", task=task) == names(recipe, text="x") == ["ocr_noise", "program"]


def test_one_recipe_has_a_line_for_each_type_of_row() -> None:
    recipe = build({"length": {"min_words": 50, "tasks": ["prose"]}}, {"length": {"min_words": 2, "tasks": ["code", "maths"]}})
    assert recipe.reads() == {"text", "task"}
    assert [finding.keep for _, _, finding in recipe.judge({"text": "x = 1", "task": "code"})] == [True]
    assert [finding.keep for _, _, finding in recipe.judge({"text": "A tree.", "task": "prose"})] == [False]
    assert build({"length": None}).reads() == {"text"}


def test_a_type_that_an_operator_cannot_judge_is_told_with_its_line() -> None:
    with pytest.raises(SpecError, match=r"^filters/x.yaml:2: program: .*made for code; it does not judge prose"):
        build({"length": None}, {"program": {"tasks": ["prose"]}})
    with pytest.raises(SpecError, match=r"^filters/x.yaml:1: length: tasks.0: Input should be 'prose', 'maths', 'code' or 'chat'"):
        build({"length": {"tasks": ["poem"]}})


def test_features_are_computed_once_for_all_operators_of_a_row() -> None:
    text = "Some words of a row that nobody else has. " * 3
    assert features_of(text) is features_of(text)
    assert features_of(text).words is features_of(str(text)).words
    assert Features("a b c d a b c d e").surplus == 1


def test_the_top_4gram_has_a_limit_of_its_own() -> None:
    text = "the price of the apple rose and the price of the pear fell while the price of the plum stayed"
    loose = {"at_most": 1.0, "ngram": 8}
    found = Repetition(top_4gram_at_most=0.3, **loose).judge({"text": text})  # type: ignore[arg-type]
    assert (found.reason, found.evidence) == ("top_4gram", "3 times: the price of the")
    assert found.score == pytest.approx(12 / 20)
    assert Repetition(top_4gram_at_most=0.7, **loose).judge({"text": text}).keep  # type: ignore[arg-type]


def test_masked_data_leaves_the_text_and_the_verdict() -> None:
    recipe = build({"pii": {"mask": True}}, {"length": {"min_words": 1}})
    text = "Write to maria.kowalska@superrito.com or call +1-944-435-4352x04732; card 5213591727586604."
    first = recipe.judge({"text": text})[0][2]
    assert first.keep
    assert first.fields == {"text": "Write to [EMAIL] or call [PHONE]; card [CREDIT_CARD]."}
    assert first.evidence == "masked: 1 credit_card, 1 email, 1 phone"
    assert recipe.writes() == ("text",)
    assert Pii(mask=True).judge({"text": "Nothing here."}).fields == {}
    assert pickle.loads(pickle.dumps(recipe)).judge({"text": text}) == recipe.judge({"text": text})


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Ring 212-234-5678 212-234-5679 now", "Ring [PHONE] [PHONE] now"),
        ("(212) 234-5678 (212) 234-5678", "[PHONE] [PHONE]"),
        ("+44 20 7183 8750 +44 20 7183 8751", "[PHONE] [PHONE]"),
        ("Ring 212-234-5678 212-234-5679 10 times", "Ring [PHONE] [PHONE] 10 times"),
        ("212-234-5678,212-234-5679/212-234-5670", "[PHONE],[PHONE]/[PHONE]"),
        ("Call 2122345678 or 2122345679, 2122345670", "Call [PHONE] or [PHONE], [PHONE]"),
        ("Call 2122345678 2122345679", "Call [PHONE] [PHONE]"),
        ("DE89 3704 0044 0532 0130 00 GB29 NWBK 6016 1331 9268 19", "[IBAN] [IBAN]"),
        ("5213591727586604,5213591727586604", "[CREDIT_CARD],[CREDIT_CARD]"),
        ("SSN 531217351 and 531217352", "SSN [SSN] and [SSN]"),
        ("john.doe@gmail.com, marie@müller.de", "[EMAIL], [EMAIL]"),
        ("212-234-5678 " * 2000, "[PHONE] " * 2000),
    ],
)
def test_values_side_by_side_are_all_masked(text: str, masked: str) -> None:
    assert Pii(mask=True).judge({"text": text}).fields == {"text": masked}


@pytest.mark.parametrize(
    "text", ["01 23 45 67 89 10 11 12", "12 0131 496 0123 45 0131 496 0124 67", "2122345678, 2122345679", "john.doe@example.com", "500-200-1000=0"]
)
def test_figures_side_by_side_are_no_phones(text: str) -> None:
    assert Pii().finds(text) == []


def test_a_list_is_masked_string_by_string_and_stays_a_list() -> None:
    pii, mail = Pii(mask=True), "maria.kowalska@superrito.com"
    found = pii.judge({"text": ["Hello", f"Write to {mail}", {"from": mail, "age": 7, "cc": None}]})
    assert found.fields == {"text": ["Hello", "Write to [EMAIL]", {"from": "[EMAIL]", "age": 7, "cc": None}]}
    assert (found.keep, found.score, found.evidence) == (True, 2.0, "masked: 2 email")
    assert pii.judge({"text": ["Hello", 7]}).fields == {}
    assert pii.judge({"text": [5213591727586604]}).reason == "pii_credit_card"
    assert pii.judge({"text": {mail: "a key"}}).reason == "pii_email"
    assert not Pii().judge({"text": [mail]}).keep
    assert Pii(allow_domains=("SuperRito.com",)).judge({"text": mail}).keep


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("See https://www.maria-kowalska.pl/cv.html.", "url", "https://www.maria-kowalska.pl/cv.html"),
        ("Pay to GB29 NWBK 6016 1331 9268 19 TODAY", "iban", "GB29 NWBK 6016 1331 9268 19"),
        ("My social security number is 531217351.", "ssn", "531217351"),
        ("from 2607:f8b0:4005:805::200e today", "ip", "2607:f8b0:4005:805::200e"),
        ("my ip is 9.9.9.9 now", "ip", "9.9.9.9"),
        ("at 0131 496 0123 or", "phone", "0131 496 0123"),
        ("at +49 30 901820 or", "phone", "+49 30 901820"),
        ("at 06 12 34 56 78 or", "phone", "06 12 34 56 78"),
        ("at (11) 91234-5678 or", "phone", "(11) 91234-5678"),
        ("card 3714 496353 98431 was", "credit_card", "3714 496353 98431"),
    ],
)
def test_a_find_has_its_exact_place(text: str, kind: str, value: str) -> None:
    found = Pii(kinds=("url", "email", "iban", "ssn", "ip", "phone", "credit_card")).finds(text)
    assert [(name, text[start:end]) for name, start, end in found] == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "GB29 NWBK 6016 1331 9268 18",  # the sum is wrong
        "DE89 3704 0044 0532 0130 0",  # too short for Germany
        "the numbers 666-12-3456, 000-12-3456, 912-12-3456, 531-00-7351 and 531-21-0000",
        "card 5213 5917 2758 6605",
        "the sum 0.12 0.34 0.56 and 1914-18, 1939-45",
        "version 1.2.3.4 of https://example.com",
    ],
)
def test_what_fails_its_proof_is_no_find(text: str) -> None:
    assert Pii(kinds=("url", "iban", "ssn", "ip", "phone", "credit_card")).finds(text) == []


PROSE = (
    "Plants make their food from light, water and the carbon dioxide of the air. The green parts of a leaf catch the light. "
    "Roots take water from the soil and send it up through the stem to the leaves, where sugar is built and stored for the winter."
)


def test_scanner_noise_grows_with_the_share_of_misread_letters() -> None:
    draw, scores = random.Random(2), []
    for share in (0.0, 0.1, 0.3):
        misread = {"e": "c", "h": "b", "l": "1", "o": "0", "t": "f", "n": "u", "w": "vv"}
        text = "".join(misread.get(sign, sign) if draw.random() < share else sign for sign in PROSE)
        scores.append(OcrNoise().judge({"text": text}).score or 0.0)
    assert scores[0] < 0.02 < scores[1] < scores[2]


def test_a_program_with_its_lines_shuffled_or_of_two_halves_is_no_program() -> None:
    one = "def mean(values):\n    total = 0\n    for value in values:\n        total += value\n    count = len(values)\n    return total / count"
    two = "def longest(words):\n    best = ''\n    for word in words:\n        if len(word) > len(best):\n            best = word\n    return best"
    assert all(Program().judge({"text": text}).keep for text in (one, two))
    assert Program().judge({"text": "\n".join(one.split("\n")[:3] + two.split("\n")[3:])}).reason == "undefined_name"
    lines = one.split("\n")
    assert Program().judge({"text": "\n".join([*lines[:4], lines[5], lines[4]])}).reason == "misplaced_line"
    assert Program(unused=False).judge({"text": "\n".join([*lines[:4], lines[5], lines[4]])}).keep
    assert Program().judge({"text": "\n".join(reversed(lines))}).reason == "does_not_parse"
    assert Program().judge({"text": PROSE}).reason == "no_code"


@pytest.mark.parametrize(
    ("tail", "keep"),
    [
        ("    return low(n - 1) + low", False),
        ("    return n.lower", False),
        ("    half = n // 2", False),
        ("    return low", True),
        ("    return low(n - 1) + n", True),
        ("    for k in n:\n        half = k", True),
    ],
)
def test_a_program_that_stops_before_a_call_or_a_return_is_cut(tail: str, keep: bool) -> None:
    assert Truncation(code=True).judge({"text": f"def low(n):\n    half, k = n, 0\n    print(half, k)\n{tail}"}).keep == keep


def test_programs_of_this_house_are_programs() -> None:
    from pathlib import Path

    for path in sorted((Path(__file__).resolve().parents[1] / "datagen" / "operators").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        ast.parse(text)
        assert Program().judge({"text": text}).keep, (path.name, Program().judge({"text": text}))


def test_a_worked_problem_is_kept_in_its_order_and_dropped_out_of_it() -> None:
    parts = [
        "Ann has 48 clips. She sells half of them.",
        "How many clips are left?",
        "She sells 48/2 = <<48/2=24>>24 clips.",
        "48-24 = 24",
        "#### 24",
    ]
    problem = "\n".join(parts)
    assert StepOrder().judge({"text": problem}).keep
    assert StepOrder().judge({"text": "\n".join([parts[4], *parts[:4]])}).reason == "text_after_answer"
    assert StepOrder().judge({"text": "\n".join([parts[2], parts[3], parts[0], parts[1]])}).reason == "question_after_steps"
    assert Splice().judge({"text": problem}).keep


def test_the_half_of_another_problem_is_told_by_its_numbers_and_words() -> None:
    asked = "Tom has 15 red apples. He buys 27 green apples at the market. How many apples has he?"
    own, other = "He then has 15 + 27 = 42 apples.", "The truck drives 64 * 8 = 512 miles.\nMaria needs 512 / 16 = 32 gallons."
    apart, whole = Splice(question="question"), Splice()
    assert apart.judge({"question": asked, "text": own}).keep and whole.judge({"text": f"{asked}\n{own}"}).keep
    assert apart.judge({"question": asked, "text": other}).reason == whole.judge({"text": f"{asked}\n{other}"}).reason == "spliced"
    assert whole.judge({"text": other}).keep  # a solution without its question has nothing to compare
    assert whole.judge({"text": f"{asked}\n(A) 42\n(B) 43\n(C) 44\n{other}"}).keep


def test_what_a_text_says_is_held_against_what_was_asked() -> None:
    source = "Marie Curie was born in Warsaw in 1867; she won 2 Nobel Prizes."
    assert Grounding().judge({"text": "In 1867 Marie Curie was born in Warsaw.", "source": source}).score == 1.0
    found = Grounding().judge({"text": "In 1876 little Marie Curie was born in Paris.", "source": source})
    assert (found.keep, found.evidence) == (False, "1876 | Paris")
    assert ReadingLevel(bands={"child": (0.0, 1.0)}, min_words=5).judge({"text": PROSE, "audience": "Child"}).reason == "too_hard"
    assert ReadingLevel(min_words=5).judge({"text": PROSE, "audience": "dragons"}).keep
    with pytest.raises(SpecError, match="the lowest grade 9 is not below the highest 3"):
        build({"reading_level": {"bands": {"child": [9, 3]}}})
    told = AnswerLeak().judge({"question": "What is 6 x 7? The answer is 42.", "answer": "6 x 7 = 42\n#### 42"})
    assert told.reason == "answer_told"
    assert AnswerLeak().judge({"question": "What is 6 x 7? The answer is 421.", "answer": "#### 42"}).keep


@pytest.mark.parametrize(
    ("question", "answer", "keep"),
    [
        ("How many? The correct answer would be 4.", "#### 4", False),
        ("How many? Ans: 4", "#### 4", False),
        ("How many? Answer: 1,200", "#### 1200", False),
        ("How many? (Answer: 1200 apples)", "#### 1,200", False),
        ("How many? The answer is 4.0", "#### 4", False),
        ("How many? The answer is ½.", "#### 0.5", False),
        ("How many? The answer is four.", "#### 4", False),
        ("How many? The answer is 4.5.", "#### 4", True),
        ("How many? The answer is forty.", "#### 4", True),
        ("How many plans are there? The transplans. 4 of them.", "#### 4", True),
        ("The answer is a number of 4 digits.", "#### 4", True),
    ],
)
def test_a_told_answer_is_compared_by_value(question: str, answer: str, keep: bool) -> None:
    assert AnswerLeak().judge({"question": question, "answer": answer}).keep == keep


@pytest.mark.parametrize(
    ("text", "source", "strange"),
    [
        ("There were twenty people.", "There were 15 people.", "20"),
        ("There were twenty-five people.", "There were 25 people.", ""),
        ("There were 1,200 people.", "There were one thousand two hundred people.", ""),
        ("It was found by NASA last year.", "It was found by ESA.", "NASA"),
        ("It was found by NASA last year.", "The National Aeronautics and Space Administration found it.", ""),
        ("He moved to Österreich.", "He moved to Deutschland.", "Österreich"),
        ("He moved to Łódź with two of them, one by one.", "Łódź was where he moved.", ""),
    ],
)
def test_numbers_in_words_and_names_of_any_alphabet_must_stand_in_the_source(text: str, source: str, strange: str) -> None:
    assert Grounding().judge({"text": text, "source": source}).evidence == strange


def test_toxic_words_count_as_whole_words_outside_code() -> None:
    assert Toxicity().judge({"text": "Shitake is not shiitake, and Scunthorpe is a town."}).keep
    assert Toxicity().judge({"text": "```\nfuck = 1\n```\nThe name is odd."}).keep
    assert not Toxicity(words=("frak",)).judge({"text": "Oh frak!"}).keep
    for glued in ("fuck,you", "fuck/shit", "shit—what", "(shit)", "_shit_", "mother-fucker"):
        assert not Toxicity().judge({"text": f"He said {glued} then."}).keep, glued
    assert not Toxicity(words=("Darn",)).judge({"text": "Oh darn it."}).keep and Toxicity(allow=("Shit",)).judge({"text": "shit"}).keep
    said = Toxicity(words=("very bad", "f**k")).judge({"text": "That is VERY\nbad, f**k."})
    assert (said.keep, said.score) == (False, 2.0) and Toxicity(words=("very bad",)).judge({"text": "every bad `very bad` very badly"}).keep
    assert Toxicity(allow=("shit",)).judge({"text": "Shit."}).keep
    assert Toxicity(at_most=1).judge({"text": "Shit."}).score == 1.0
