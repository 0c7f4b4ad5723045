"""Near-duplicates: copies go, distinct rows stay, and the order in which rows come in changes nothing."""

from __future__ import annotations

import os
import pickle
import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.steps.sets.copies import ties
from datagen.steps.sets.copies.alike import Readings
from datagen.steps.sets.copies.similarity import THRESHOLD, Numbers, signatures, similarity
from datagen.steps.sets.copies.ties import Duplicate, duplicates
from datagen.steps.sets.words import is_figure, is_number, normal, numbers_in, tokens, words

SHARED = Path(os.environ.get("DATAGEN_SHARED") or Path(__file__).parents[2] / "shared") / "data"
STORY = (
    "the keeper of the old lighthouse climbed down to the harbour every morning to mend the nets which the storms of the long winter had torn"
    " and sold the fish that his daughter caught to travellers who waited for the ferry beside the wall"
)
TEMPLATE = (
    "you are a patient teacher who explains every idea in plain language before any formula appears and who never skips a step even when it"
    " seems obvious because readers who are new to the subject get lost exactly where an author thinks nothing needs to be said so write"
    " calmly name each quantity give its unit check the result against common sense and close with one sentence that says what was learned"
)


def shared(name: str, column: str) -> list[str]:
    path = SHARED / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"needs the shared data: no {path}; set DATAGEN_SHARED")
    parquet = pytest.importorskip("pyarrow.parquet")
    values: list[str] = parquet.read_table(path, columns=[column]).column(0).to_pylist()
    return values


def kept(texts: Sequence[str], dropped: Sequence[Duplicate]) -> list[str]:
    gone = {duplicate.index for duplicate in dropped}
    return [text for index, text in enumerate(texts) if index not in gone]


def edited(text: str, share: float, vocabulary: Sequence[str], rng: random.Random) -> str:
    """A copy with a share of its words, one at least, replaced by other words; numbers, too, but none by a number: that were another problem."""
    parts = text.split()
    for place in rng.sample(range(len(parts)), max(1, round(share * len(parts)))):
        parts[place] = rng.choice(vocabulary)
    return " ".join(parts)


def vocabulary_of(texts: Sequence[str]) -> list[str]:
    return sorted({word for text in texts for word in text.split() if word.isalpha() and not any(map(is_figure, tokens(word)))})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What is 3 + 4?", ["what", "is", "3", "+", "4"]),
        ("3-4 and (a+b)^2, x = -3", ["3", "-", "4", "and", "a", "+", "b", "^", "2", "x", "=", "-", "3"]),
        ("- 5 **bold** well-known pages", ["5", "bold", "well", "known", "pages"]),
        ("$1,000.50 for three, C++ not C#", ["1000.50", "for", "3", "c++", "not", "c#"]),
        ("你好 हिन्दी don’t", ["你", "好", "हिन्दी", "don", "t"]),
        ("?!  \n", []),
        ("if low <= high and not-so total+=1", ["if", "low", "<=", "high", "and", "not", "so", "total", "+=", "1"]),
        ("a && !b || ready&&done != 'x'", ["a", "&&", "!", "b", "||", "ready", "&&", "done", "!=", "x"]),
        ("20% of 1,000 %, 5°C, 5 °C and 7! - 3!", ["20%", "of", "1000%", "5°", "c", "5°", "c", "and", "7!", "-", "3!"]),
        (
            "(n + 1)! and k!, f'(2) and g''(x), x ± 5, ±2",
            ["n", "+", "1", "!", "and", "k", "!", "f", "'", "2", "and", "g", "''", "x", "x", "±", "5", "±", "2"],
        ),
        ('and/or, well - known, I don\'t! "Go!" (really)! ![a](b)', ["and", "or", "well", "known", "i", "don", "t", "go", "really", "a", "b"]),
        ("* list\n> quote\n| a | b |\nsalt & pepper http://x.org/some/path?page=one&two=2 <b>bold</b>\n== Title ==\n", None),
    ],
)
def test_tokens_hold_what_distinguishes_two_rows(text: str, found: list[str] | None) -> None:
    """None: no figure but digits."""
    assert tokens(text) == found if found is not None else not [token for token in tokens(text) if is_figure(token) and not is_number(token)]


def test_normal_folds_case_space_and_accents_and_nothing_else() -> None:
    assert normal(" Cafe\u0301\n  AU lait ") == normal("café au lait")
    assert normal("10²") != normal("102")
    assert words("ﬁne Ｗord") == ["fine", "word"]


def test_exact_copies_go_whatever_their_case_and_spacing() -> None:
    texts = ["Hello  there", "hello there\n", "HELLO THERE", "hello, there", "", " ", "Привет мир", "привет МИР", "7", "8"]
    assert duplicates(texts, range(10), exact_only=True) == [
        Duplicate(1, 0, 1.0, "exact"),
        Duplicate(2, 0, 1.0, "exact"),
        Duplicate(5, 4, 1.0, "exact"),
        Duplicate(7, 6, 1.0, "exact"),
    ]
    assert Duplicate(3, 0, 1.0, "near") in duplicates(texts, range(10))


def test_short_rows_are_near_only_when_every_word_is_the_same() -> None:
    texts = ["Surface area of a cube", "surface area of a cuboid", "Surface area - of a cube!", "yes", "no", "Yes.", "...", "???"]
    assert [(duplicate.index, duplicate.of) for duplicate in duplicates(texts, range(8))] == [(2, 0), (5, 3)]


def test_a_longer_row_with_a_few_words_changed_is_a_near_duplicate() -> None:
    copy = STORY.replace("harbour", "quay").replace("travellers", "sailors")
    (found,) = duplicates([STORY, copy, TEMPLATE], [0, 1, 2])
    assert (found.index, found.of, found.kind) == (1, 0, "near")
    assert THRESHOLD < found.score < 1
    assert found.score == similarity(STORY, copy)
    assert duplicates([STORY, copy], [1, 0])[0].index == 0
    assert duplicates([STORY, copy], [0, 1], threshold=0.95) == []


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (f"{STORY} 3 times", f"{STORY} 4 times"),
        (f"{STORY} three times", f"{STORY} four times"),
        (f"{STORY} from 3 to 5", f"{STORY} from 5 to 3"),
        (f"{STORY} (a + b)", f"{STORY} (a - b)"),
        (f"{STORY} x = 3", f"{STORY} x = -3"),
        (f"{STORY} 3 gulls and 4 terns", f"{STORY} 5 gulls and 3 terns"),
        (f"{STORY} 3 gulls and 3 terns", f"{STORY} 3 gulls and 4 terns"),
        (STORY, f"{STORY} if each of the travellers also pays 3 coins"),
    ],
)
def test_other_numbers_or_operators_make_another_row(one: str, two: str) -> None:
    assert duplicates([one, two], [0, 1]) == []
    assert similarity(one, two) is None


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("if count < limit:", "if count > limit:"),
        ("while low <= high:", "while low < high:"),
        ("if count==limit:", "if count!=limit:"),
        ("if count >=limit:", "if count <=limit:"),
        ("total += i", "total -= i"),
        ("total+=i", "total-=i"),
        ("price * rate = cost", "price / rate = cost"),
        ("left + right", "left - right"),
        ("kind == 'old'", "kind != 'old'"),
        ("Find f'(2).", "Find f(2)."),
        ("Find f''(2).", "Find f'(2)."),
        ("Compute 7! exactly.", "Compute 7 exactly."),
        ("Compute (n + 1)! exactly.", "Compute (n + 1) exactly."),
        ("Compute n! exactly.", "Compute n exactly."),
        ("What is 20% of 50?", "What is 20 of 50?"),
        ("a && b", "a || b"),
        ("ready&&done", "ready||done"),
        ("return !a", "return a"),
        ("x ± 5", "x + 5"),
        ("turn by 5°", "turn by 5"),
    ],
)
def test_programs_and_formulas_that_differ_in_a_sign_are_two_rows(one: str, two: str) -> None:
    assert duplicates([one, two], [0, 1]) == []
    assert duplicates([f"{STORY} {one}", f"{STORY} {two}"], [0, 1]) == []


def test_the_mark_of_a_number_may_be_spaced_or_spelled() -> None:
    assert similarity(f"{STORY} at 20 % and 5 °C", f"{STORY} at 20% and 5°C") == 1
    assert numbers_in("20% of 7! at 5°") == numbers_in("20 percent of 7 at 5 degrees") == ["20", "7", "5"]
    assert similarity(f"{STORY} for 2 dogs at 20% off", f"{STORY} for 2 dogs at something off"), "an edit takes a number with its mark"


@pytest.mark.parametrize(("old", "new"), [("3 gulls", "grey gulls"), ("grey gulls", "3 gulls"), ("1/3 of", "stone of"), ("3 gulls", "gulls")])
def test_an_edit_may_put_a_word_for_a_number(old: str, new: str) -> None:
    assert similarity(f"{STORY} with 2 dogs and {old}", f"{STORY} with 2 dogs and {new}")


def test_folded_numbers_are_the_same_row_and_not_an_exact_copy() -> None:
    (found,) = duplicates([f"{STORY} 3 times", f"{STORY} 12 times"], [0, 1], numbers="fold")
    assert (found.score, found.kind) == (1.0, "near")


def test_nothing_is_dropped_for_resembling_a_dropped_row() -> None:
    parts, others = STORY.split(), TEMPLATE.split()
    first = " ".join(parts)
    second = " ".join(others[place] if place % 10 == 3 else part for place, part in enumerate(parts))
    third = " ".join(others[place] if place % 5 == 3 else part for place, part in enumerate(parts))
    assert similarity(first, second) and similarity(second, third) and similarity(first, third) is None
    assert kept([first, second, third], duplicates([first, second, third], [0, 1, 2])) == [first, third]


def test_settled_rows_stay_and_still_cover_others() -> None:
    copy = STORY.replace("harbour", "quay")
    assert [found.index for found in duplicates([STORY, STORY, copy, STORY], [2, 1, 0, 3], settled=2)] == [0, 3]


def test_a_template_is_no_content_known_or_not() -> None:
    questions = [STORY, "a farmer sells eggs at the market and wonders how much money is left after feeding every hen"]
    rows = [f"{TEMPLATE} {question}" for question in questions]
    assert duplicates(rows, [0, 1]) == []
    assert duplicates(rows, [0, 1], known=[TEMPLATE]) == []
    # The known text is taken out on either side: the same question under a template or bare.
    assert [found.kind for found in duplicates([rows[0], STORY], [0, 1], known=[TEMPLATE])] == ["near"]
    assert duplicates([TEMPLATE, TEMPLATE + " gravity", TEMPLATE + " entropy"], [0, 1, 2], known=[TEMPLATE]) == []


def test_signatures_are_small_and_each_of_its_text_alone() -> None:
    texts = [STORY, TEMPLATE, "", "one", "日本語の文"]
    together = signatures(texts)
    assert together.tobytes() == b"".join(signatures([text]).tobytes() for text in texts)
    assert together.itemsize <= 201
    assert together["some"].tolist() == [True, True, False, True, True] and not together["bands"][2].any()
    assert together["exact"][:1].tobytes().hex() == "c7caf5cab795a13b"  # the same on every machine and day
    assert together["bands"][0, :2].tobytes().hex() == "79034209506416ed"
    assert (pickle.loads(pickle.dumps(together)) == together).all()


def test_nothing_to_do_and_a_wrong_order() -> None:
    assert duplicates([], []) == []
    assert duplicates(["", "?"], [0, 1]) == []
    with pytest.raises(ValueError, match=r"each of the 2 texts once.*2 entries, 1 of them"):
        duplicates(["a", "b"], [0, 0])


@pytest.mark.real
@pytest.mark.parametrize("length", [0, 40, 80, 120, 150])
def test_distinct_questions_under_one_template_stay(length: int) -> None:
    questions = random.Random(11).sample(shared("gsm8k/train", "question"), 500)
    template = " ".join(" ".join(shared("openstax_textbooks/physics", "text")[:3]).split()[:length])
    rows = [f"{template} {question}" for question in questions]
    assert len(duplicates(rows, range(500))) <= 2  # keeps 99.5 %
    assert len(duplicates(rows, range(500), known=[template])) <= 2
    assert len(duplicates(rows, range(500), numbers="fold", known=[template])) <= 2
    if length in (0, 150):
        assert len(duplicates(rows, range(500), numbers="fold")) <= 5  # nobody says what the template is, nor do numbers tell


@pytest.mark.real
def test_numeric_variants_are_kept_or_folded_as_asked() -> None:
    number = re.compile(r"\d+")
    rng = random.Random(12)
    problems = [question for question in shared("gsm8k/train", "question") if len(number.findall(question)) >= 2][:50]
    rows = [number.sub(lambda _: str(rng.randint(2, 999)), problem) for problem in problems for _ in range(10)]
    assert len(set(rows)) == 500
    assert duplicates(rows, range(500)) == []
    assert len(duplicates(rows, range(500), numbers="fold")) == 450


@pytest.mark.real
@pytest.mark.parametrize(("share", "recall"), [(0.01, 0.99), (0.02, 0.99), (0.05, 0.99), (0.1, 0.98), (0.15, 0.6)])
def test_planted_copies_are_found_and_nothing_else(share: float, recall: float) -> None:
    rng = random.Random(13)
    questions = shared("gsm8k/train", "question")
    originals = rng.sample(questions, 1000)
    vocabulary = vocabulary_of(questions)
    rows = originals + [edited(text, share, vocabulary, rng) for text in originals]
    found = duplicates(rows, range(2000))
    assert all(duplicate.of == duplicate.index - 1000 for duplicate in found)
    assert len(found) >= recall * 1000 - sum(len(tokens(text)) < 20 for text in originals), "of short rows more must be the same"


@pytest.mark.real
def test_all_real_questions_and_prompts_stay() -> None:
    questions = shared("gsm8k/train", "question")
    assert len(duplicates(questions, range(len(questions)))) <= 2  # one is a copy with another name
    prompts = list(dict.fromkeys(map(normal, shared("mbpp/mbpp", "text"))))
    assert len(duplicates(prompts, range(len(prompts)))) <= 0.01 * len(prompts)


@pytest.mark.real
def test_the_kept_set_does_not_depend_on_how_the_rows_come_in() -> None:
    rng = random.Random(14)
    originals = rng.sample(shared("gsm8k/train", "question"), 300)
    vocabulary = vocabulary_of(originals)
    rows = originals + [edited(text, 0.1, vocabulary, rng) for text in originals * 2]
    rank = {text: place for place, text in enumerate(rng.sample(rows, len(rows)))}
    outcomes = []
    for _ in range(3):
        rng.shuffle(rows)
        found = duplicates(rows, sorted(range(len(rows)), key=lambda index: rank[rows[index]]))
        outcomes.append([(rows[duplicate.index], rows[duplicate.of], duplicate.score) for duplicate in found])
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert len(outcomes[0]) > 400


NUMBERS = ["3", "4", "12", "three", "+", "1/3", "x = -3"]


def resembling(rng: random.Random, count: int) -> list[str]:
    """Texts of which many are edits of another: words and numbers replaced, dropped, put in, changed in places; some under one template."""
    words = [*set(STORY.split()), *NUMBERS]
    found = [f"{STORY} 3 times", TEMPLATE, f"{TEMPLATE} {STORY}"]
    while len(found) < count:
        parts = rng.choice(found).split()
        for _ in range(rng.choice((0, 1, 1, 2, 4, 8))):
            place = rng.randrange(len(parts))
            parts[place : place + rng.choice((0, 1, 1, 1, 3))] = rng.choices(words, k=rng.choice((0, 1, 1, 2, 5)))
            parts = parts or ["one"]
        found.append(" ".join(parts))
    return found


@pytest.mark.parametrize("numbers", ["keep", "fold"])
@pytest.mark.parametrize("known", [(), (TEMPLATE,), (" ".join(STORY.split()[5:14]),)], ids=["plain", "template", "passage"])
def test_many_pairs_at_once_are_judged_as_each_by_itself(numbers: Numbers, known: Sequence[str]) -> None:
    rng = random.Random(15)
    texts = resembling(rng, 150)
    pairs = [(rng.randrange(150), rng.randrange(150)) for _ in range(1500)]
    ones, others = zip(*pairs, strict=True)
    scores = Readings(lambda place: texts[place], 0.55, numbers, known).scores(ones, others).tolist()
    want = [similarity(texts[one], texts[other], threshold=0.55, numbers=numbers, known=known) for one, other in pairs]
    assert [None if score != score else score for score in scores] == want
    assert 20 < sum(score is not None for score in want) < 1400


def test_many_pairs_under_a_template_are_judged_as_each_by_itself() -> None:
    """Where the common stretch is about as long as one must be, and what is left about as much, and as alike."""
    rng, pool = random.Random(16), [word for word in dict.fromkeys(STORY.split()) if word not in TEMPLATE.split()]
    texts = []
    for _ in range(250):
        at, own, stretch = rng.randrange(6), rng.randint(6, 12), rng.randint(28, 33)
        template = TEMPLATE.split()[:stretch] + ["and"] * rng.randrange(2) + TEMPLATE.split()[stretch : stretch + rng.choice((0, 0, 9, 29, 30))]
        texts.append(" ".join(pool[at : at + own] + template + pool[at + 12 : at + 12 + rng.choice((0, 0, 3))]))
    ones, others = zip(*((rng.randrange(250), rng.randrange(250)) for _ in range(6000)), strict=True)
    scores = Readings(lambda place: texts[place], 0.3, "keep", ()).scores(ones, others).tolist()
    want = [similarity(texts[one], texts[other], threshold=0.3) for one, other in zip(ones, others, strict=True)]
    assert [None if score != score else score for score in scores] == want
    assert 500 < sum(score is None for score in want) < 5500


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 20), st.sampled_from((1, 3, 50)), st.sampled_from((1, 4, 100)), st.sampled_from((2, 5, 64)))
def test_blocks_decide_as_one_text_after_another(salt: int, before: int, crowd: int, most: int, block: int) -> None:
    """Also where buckets are full, where a text meets more than it is compared with, and where few meetings fit into a block."""
    texts = resembling(random.Random(salt), 60)
    outcomes = []
    for size, meetings in ((1, ties.MEETINGS), (block, ties.MEETINGS), (64, 40)):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (("CROWD", crowd), ("MOST", most), ("BLOCK", size), ("MEETINGS", meetings)):
                patch.setattr(ties, name, value)
            outcomes.append(duplicates(texts, range(60), settled=before))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[0]
