"""What the shipped recipes let through and what they catch, on real rows with planted defects."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from datagen.operators.chat import Refusal
from datagen.operators.damage.splice import Splice
from datagen.operators.personal.pii import Pii
from datagen.operators.recipe import Recipe
from datagen.storage import read_table

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("DATAGEN_SHARED", ROOT.parent / "shared"))

pytestmark = pytest.mark.real


@cache
def rows(name: str) -> list[dict[str, Any]]:
    paths = sorted((SHARED / "data").glob(name))
    if not paths:
        pytest.skip(f"needs the shared real data: nothing at {SHARED / 'data' / name}; set DATAGEN_SHARED")
    return [row for path in paths for row in read_table(path)]


@cache
def recipe(name: str) -> Recipe:
    path = ROOT / "filters" / f"{name}.yaml"
    return Recipe.build(yaml.safe_load(path.read_text(encoding="utf-8")), lambda index: f"{path.name}:{index}")


def reason(name: str, text: str) -> str:
    return next((f"{operator}:{found.reason}" for operator, _, found in recipe(name).judge({"text": text}) if not found.keep), "")


def good(kind: str) -> list[str]:
    """Known-good rows, the same sample at every run."""
    if kind == "rationale":
        texts = [f"{row['question']}\n{row['answer']}" for row in rows("gsm8k/train.parquet")]
    elif kind == "code":
        return [row["prompt"] + row["canonical_solution"] for row in rows("humaneval/humaneval.parquet")]
    elif kind == "textbook":
        texts = [row["text"] for row in rows("openstax_textbooks/*.parquet")]
    else:
        texts = [row["response"] for row in rows("gpteacher/gpteacher.parquet")]
    return random.Random(11).sample(texts, {"rationale": 3000, "textbook": 500, "instructions": 3000}[kind])


@pytest.mark.parametrize("kind", ["rationale", "textbook", "code", "instructions"])
def test_known_good_rows_are_kept(kind: str) -> None:
    texts = good(kind)
    dropped = [(why, text[-80:]) for text in texts if (why := reason(kind, text))]
    assert len(dropped) <= 0.01 * len(texts), dropped[:20]


def cut(text: str, draw: random.Random) -> str | None:
    """Up to a word within a sentence, at least four words into the last line; a cut between sentences cannot be seen."""
    ends = [found.end() for found in re.finditer(r"\S+", text)]
    for _ in range(40):
        left = text[: draw.choice(ends[len(ends) // 5 : -1])]
        line = left.rsplit("\n", 1)[-1]
        if left[-1].isalpha() and len(line.split()) >= 4 and not line.startswith(("|", "#", "-", "*Figure")) and "http" not in line:
            return left
    return None


def loop(text: str, draw: random.Random) -> str | None:
    said = [part for part in re.split(r"(?<=[.!?])\s+", text) if 6 <= len(part.split()) <= 30]
    return f"{text[: len(text) // 2]} {' '.join([draw.choice(said)] * draw.randint(5, 20))}" if said else None


def stammer(text: str, draw: random.Random) -> str | None:
    words = [word for word in text.split() if word.isalpha() and len(word) > 1]
    return f"{text} {' '.join([' '.join(draw.choices(words, k=draw.randint(1, 6)))] * 40)}" if words else None


def meta(text: str, draw: random.Random) -> str:
    opening = draw.choice(
        [
            "Certainly! Here is the text you requested:\n\n{}",
            "Sure, here's a clear explanation:\n\n{}",
            "Of course! I'd be happy to help.\n\n{}",
            "{}\n\nI hope this helps! Let me know if you have any questions.",
            "{}\n\nIf you have any further questions, feel free to ask.",
            "As an AI language model, I can explain this. {}",
            "{}\n\nAs a language model, I do not have personal experience of this.",
            "Great question! Let's look at it.\n\n{}",
        ]
    )
    return opening.format(text.replace("{", "(").replace("}", ")"))


def echo(text: str, draw: random.Random) -> str:
    return (
        draw.choice(
            [
                "You are an experienced teacher. Write a lesson for beginners.\n\n",
                "Write a textbook section about this topic for high school students.\n\n",
                "Topic: the subject below\nAudience: students\n\n",
                "### Instruction:\nExplain.\n\n### Response:\n",
                "Your task is to write a clear explanation.\n\n",
                "<|im_start|>assistant\n",
                "[INST] Explain this. [/INST] ",
            ]
        )
        + text
    )


def private(text: str, draw: random.Random) -> str:
    middle = len(text) // 2 + text[len(text) // 2 :].find(" ")
    data = draw.choice(
        [
            f"Write to {draw.choice(['maria', 'piotr'])}.{draw.choice(['kowal', 'silva'])}{draw.randint(10, 99)}@superrito.com.",
            f"Call me at ({draw.randint(201, 499)}) {draw.randint(201, 499)}-{draw.randint(1000, 9999)}.",
            f"Phone: +44 20 {draw.randint(7000, 7999)} {draw.randint(1000, 9999)}.",
            f"My SSN is {draw.randint(101, 665)}-{draw.randint(10, 99)}-{draw.randint(1000, 9999)}.",
            "Card number 5213 5917 2758 6604.",
            "IBAN GB29 NWBK 6016 1331 9268 19.",
            f"It came from 98.85.{draw.randint(10, 99)}.{draw.randint(100, 250)}.",
            f"She lives at {draw.randint(100, 999)} Whittaker Street, Apt. 12, Springfield {draw.randint(10000, 99999)}.",
        ]
    )
    return f"{text[:middle]} {data} {text[middle:]}"


def garbled(text: str, draw: random.Random) -> str:
    return text.replace("e", "é", 12).encode("utf-8").decode("latin-1") if draw.random() < 0.5 else text.replace("a", "\ufffd", 20)


DEFECTS: dict[str, Callable[[str, random.Random], str | None]] = {
    "cut": cut, "loop": loop, "stammer": stammer, "meta": meta, "echo": echo, "private": private, "garbled": garbled,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["rationale", "textbook"])
@pytest.mark.parametrize("defect", list(DEFECTS))
def test_planted_defects_are_caught(kind: str, defect: str) -> None:
    draw = random.Random(5)
    planted = [junk for text in good(kind)[:200] if (junk := DEFECTS[defect](text, draw)) is not None]
    missed = [junk[-100:] for junk in planted if not reason(kind, junk)]
    assert len(planted) > 150
    assert len(missed) <= 0.05 * len(planted), missed


def test_cut_programs_are_caught() -> None:
    """Cut within a line of the body. "return a" of "return a + b" is a whole program, so a few remain."""
    draw, missed, planted = random.Random(5), [], 0
    for text in good("code"):
        body = text.rstrip()
        ends = [
            at
            for at in range(len(body) * 2 // 3, len(body))
            if at > body.rfind('"""') + 6 and body[at] != "\n" and body[:at].rsplit("\n", 1)[-1].strip()
        ]
        for at in draw.sample(ends, min(3, len(ends))):
            planted += 1
            missed += [body[:at][-60:]] if not reason("code", body[:at]) else []
    assert planted > 300
    assert len(missed) <= 0.05 * planted, missed


def foreign() -> Iterator[tuple[str, list[str]]]:
    languages = sorted({row["lang"] for row in rows("udhr_languages/udhr.parquet")} - {"en", "bi"})  # Bislama is an English creole
    for language in languages:
        yield language, [row["text"] for row in rows("udhr_languages/udhr.parquet") if row["lang"] == language]


def test_foreign_texts_and_paragraphs_are_caught() -> None:
    draw, whole, inside, planted = random.Random(5), [], [], 0
    pages = good("textbook")
    for language, paragraphs in foreign():
        if not reason("textbook", "\n\n".join(paragraphs[:12])):
            whole.append(language)
        for paragraph in [text for text in paragraphs if len(text) >= 150][:3]:
            page = draw.choice(pages).split("\n\n")[:10]
            page.insert(draw.randint(0, len(page)), paragraph)
            planted += 1
            judged = {name: found for name, _, found in recipe("textbook").judge({"text": "\n\n".join(page)})}
            inside += [language] if judged["language"].keep else []
    assert whole == []
    assert planted > 250
    assert len(inside) <= 0.05 * planted, inside


def test_refusals_are_told_from_answers() -> None:
    """Above string matching (F1 .879 on the whole set) with precision, on answers that people labelled."""
    judge, labelled = Refusal(), rows("refusals_dev/completions.parquet")
    found = [not judge.judge({"text": row["completion"]}).keep for row in labelled]
    hits = sum(said and row["is_refusal"] for said, row in zip(found, labelled, strict=True))
    precision, recall = hits / sum(found), hits / sum(row["is_refusal"] for row in labelled)
    full = [said for said, row in zip(found, labelled, strict=True) if row["label"] == "2_full_refusal"]
    assert precision >= 0.92
    assert 2 * precision * recall / (precision + recall) >= 0.925
    assert sum(full) >= 0.95 * len(full)


def test_refusing_in_a_story_is_no_refusal() -> None:
    for text in (
        '"I can\'t help you," said the old man. "I won\'t give you advice either." He closed the door.',
        "I can't remember the last time it rained. The river was low and I could not sleep.",
        "He wrote: “I cannot provide for them any more.” Then he left the house.",
        "As I walked home I couldn't help but feel that somebody followed me.",
        "A computer cannot answer every question. Turing proved it in 1936.",
        "Unfortunately, the bridge fell. Nobody was hurt, and the town built a new one.",
    ):
        assert Refusal().judge({"text": text}).keep, text


def test_labelled_personal_data_is_found_and_nothing_else() -> None:
    kinds = {"PHONE_NUMBER", "CREDIT_CARD", "US_SSN", "IP_ADDRESS", "EMAIL_ADDRESS", "ADDRESS"}
    labelled = rows("pii_presidio_small/pii_small.parquet")
    wanted = [bool({span["type"] for span in row["spans"]} & kinds) for row in labelled]
    found = [not Pii().judge({"text": row["text"]}).keep for row in labelled]
    assert sum(told and want for told, want in zip(found, wanted, strict=True)) >= 0.95 * sum(wanted)
    assert sum(told and not want for told, want in zip(found, wanted, strict=True)) <= 0.01 * len(labelled)


def test_problems_and_programs_out_of_order_are_caught() -> None:
    draw, missed = random.Random(5), {"rationale": 0, "code": 0}
    for kind, apart in (("rationale", r"(?<=[.!?])\s+|\n"), ("code", r"\n")):
        texts = good(kind)[:150]
        for text in texts:
            parts = [part for part in re.split(apart, text) if part.strip()]
            draw.shuffle(parts)
            missed[kind] += not reason(kind, ("\n" if kind == "code" else " ").join(parts))
        assert missed[kind] <= 0.05 * len(texts), missed


def test_shuffled_pages_with_headings_are_caught_and_printed_ones_are_not() -> None:
    draw, judge = random.Random(5), dict(recipe("textbook").operators)["layout"]
    pages = [text for text in good("textbook") if "\n## " in text]
    shuffled = []
    for text in pages[:150]:
        parts = [part for part in re.split(r"(?<=[.!?])\s+|\n", text) if part.strip()]
        draw.shuffle(parts)
        shuffled.append(" ".join(parts))
    assert len(shuffled) == 150
    assert sum(not judge.judge({"text": text}).keep for text in shuffled) >= 0.9 * len(shuffled)
    assert all(judge.judge({"text": text}).keep for text in pages)


def test_halves_of_two_problems_are_caught_and_solutions_of_models_are_not() -> None:
    """Cut at the sentence end nearest the middle; a second half that fits by chance (two ages, two prices) cannot be told."""

    def half(text: str, second: bool) -> str:
        middle = min((found.end() for found in re.finditer(r"[.!?]\s+|\n", text)), key=lambda end: abs(end - len(text) // 2))
        return text[middle:] if second else text[:middle]

    texts = good("rationale")[:400]
    spliced = [half(one, False) + half(other, True) for one, other in zip(texts[::2], texts[1::2], strict=True)]
    judge = Splice()
    assert sum(bool(reason("rationale", text)) or not judge.judge({"text": text}).keep for text in spliced) >= 0.85 * len(spliced)
    solved = [f"{row['question']}\n{row['solution']}" for row in rows("gsm8k_model_solutions/*.parquet")[::3]]
    assert sum(not judge.judge({"text": text}).keep for text in solved) <= 0.01 * len(solved)


def test_scanner_noise_is_caught() -> None:
    misread = {"m": "rn", "l": "1", "o": "0", "e": "c", "h": "b", "d": "cl", "s": "5", "t": "f", "n": "u", "w": "vv", "i": "j"}
    draw = random.Random(5)
    texts = good("textbook")[:100]
    noisy = ["".join(misread[sign] if sign in misread and draw.random() < 0.1 else sign for sign in text) for text in texts]
    assert sum(bool(reason("textbook", text)) for text in noisy) >= 0.95 * len(noisy)
