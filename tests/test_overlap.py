"""Benchmark items in rows: copies are found with their words, stock phrases and neighbours are left alone."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from datagen.steps.sets.leaks.overlap import Item, Leak, References
from datagen.steps.sets.words import words

SHARED = Path(os.environ.get("DATAGEN_SHARED") or Path(__file__).parents[2] / "shared") / "data"
LONG = (
    "A baker fills nine trays with twelve rolls each, sells two thirds of all rolls before noon and gives half of what is left to the"
    " school next door. How many rolls does the baker still have in the evening?"
)
ITEMS = [
    Item("bakery", "1", LONG),
    Item("bakery", "2", "Name the smallest prime above thirty."),
    Item("trivia", "1", "Who wrote Hamlet?"),
    Item("trivia", "2", "!!"),
]


def shared(name: str) -> list[dict[str, Any]]:
    path = SHARED / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"needs the shared data: no {path}; set DATAGEN_SHARED")
    rows: list[dict[str, Any]] = pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    return rows


def maths_and_code() -> list[Item]:
    questions = [Item("gsm8k", row["id"], row["question"]) for row in shared("gsm8k/test")]
    return questions + [Item("humaneval", row["task_id"], row["prompt"]) for row in shared("humaneval/humaneval")]


def test_an_item_inside_a_row_is_verbatim_with_its_words() -> None:
    leak = References(ITEMS).find(f"Solve this:\n**{LONG.upper().replace(' ', '  ')}** Thanks!")
    assert leak is not None
    assert (leak.benchmark, leak.item, leak.kind, leak.share) == ("bakery", "1", "verbatim", 1.0)
    assert leak.evidence.startswith("a baker fills nine trays") and leak.evidence.endswith("in the evening")


def test_a_good_part_of_an_item_is_an_ngram_leak_and_a_small_part_none() -> None:
    parts = LONG.split()
    leak = References(ITEMS).find("Once upon a time " + " ".join(parts[5:30]) + " and so on")
    assert leak is not None
    assert leak.kind == "ngram" and 0.5 <= leak.share < 1
    assert leak.evidence.split() == [part.strip(",.").lower() for part in parts[5:30]]
    assert References(ITEMS).find("Once upon a time " + " ".join(parts[5:18]) + " and so on") is None
    assert References(ITEMS, share=0.1).find("Once upon a time " + " ".join(parts[5:18]) + " and so on") is not None


def test_a_long_passage_leaks_whatever_its_share() -> None:
    passage = [f"word{number}" for number in range(400)]
    references = References([Item("reading", "1", " ".join(passage))])
    leak = references.find(" ".join(["see", *passage[100:130], "there"]))
    assert leak is not None and leak.kind == "ngram" and leak.share < 0.1
    assert leak.evidence.split() == passage[100:130]
    assert references.find(" ".join(["see", *passage[100:129], "there"])) is None


def test_an_item_shorter_than_an_ngram_is_matched_whole() -> None:
    references = References(ITEMS)
    assert references.find("Please name the smallest prime above thirty, and why") == Leak(
        "bakery", "2", "verbatim", 1.0, "name the smallest prime above thirty"
    )
    assert references.find("Please name the smallest prime above forty, and why") is None


def test_a_very_short_item_leaks_only_as_a_whole_row() -> None:
    references = References(ITEMS)
    assert references.find("I asked her: who wrote Hamlet? She did not know.") is None
    leak = references.find("who wrote hamlet")
    assert leak is not None and (leak.item, leak.kind) == ("1", "verbatim")
    assert references.find("") is None and references.find("!!") is None


def test_what_many_items_share_identifies_none() -> None:
    template = "Read the following passage with care and then choose the single best answer from the four options given below"
    subjects = ["rivers", "glaciers", "volcanoes", "deserts", "islands", "forests", "lakes"]
    stock = Item("quiz", "stock", "Choose the single best answer from")
    references = References([stock, *(Item("quiz", subject, f"{template}: {subject}") for subject in subjects)])
    assert references.find(f"{template}: turtles") is None
    leak = references.find(f"Hello. {template}: glaciers. Bye")
    assert leak is not None and (leak.item, leak.kind) == ("glaciers", "verbatim")
    assert references.find("choose the single best answer from") is not None


def test_one_question_in_many_benchmarks_is_no_template() -> None:
    references = References(Item(f"set{number}", "1", LONG) for number in range(9))
    leak = references.find(f"Well: {LONG}")
    assert leak is not None and leak.benchmark == "set0"


def test_identity_is_of_the_set_and_of_what_decides() -> None:
    identity = References(ITEMS).identity()
    assert identity == References(reversed([*ITEMS, ITEMS[0]])).identity()
    others = (References(ITEMS[:3]), References(ITEMS, ngram=8), References(ITEMS, share=0.4), References([]))
    assert len({identity, *(other.identity() for other in others)}) == 5


def test_references_travel_to_workers() -> None:
    there = pickle.loads(pickle.dumps(References(ITEMS)))
    assert there.find(LONG) == References(ITEMS).find(LONG) and len(there) == 4
    assert References([]).find(LONG) is None


@pytest.mark.real
def test_every_copy_of_a_real_item_is_found_inside_other_text() -> None:
    items = maths_and_code()
    references = References(items)
    around = shared("openstax_textbooks/physics")[3]["text"].split()
    for item in items:
        leak = references.find(" ".join([*around[:60], item.text.upper(), *around[60:120]]))
        assert leak is not None and (leak.kind, leak.benchmark) == ("verbatim", item.benchmark)
        assert words(item.text)[:60] == leak.evidence.split()  # two HumanEval items differ in brackets alone, so not by id


@pytest.mark.real
def test_clean_rows_stay_and_rephrased_ones_are_beyond_ngrams() -> None:
    references = References(maths_and_code())
    train = [row["question"] for row in shared("gsm8k/train")]
    negatives = [row["text"] for row in shared("decontamination_dev/negatives")]
    assert sum(references.find(text) is not None for text in train) <= 0.01 * len(train)
    assert sum(references.find(text) is not None for text in negatives) <= 0.01 * len(negatives)
    positives = [row["text"] for row in shared("decontamination_dev/positives")]
    found = sum(references.find(text) is not None for text in positives)
    assert found < 0.07 * len(positives)  # once this fails, the module's first lines must be written anew


@pytest.mark.real
@pytest.mark.soak
def test_all_benchmarks_at_once_find_themselves_and_spare_textbooks() -> None:
    items = [Item(row["benchmark"], row["id"], row["question"]) for row in shared("eval_references/references")]
    references = References(items)
    assert all((leak := references.find(item.text)) is not None and leak.kind == "verbatim" for item in items)
    text = [row["text"] for row in shared("openstax_textbooks/physics")]
    assert not any(map(references.find, text))
