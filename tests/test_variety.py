"""The figures of diversity: by hand, and blind to length, number and what is not compared."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from datagen.release.measured.variety import GROUP, LENGTHS, commonest, compression, length_for, repetition, self_bleu, variety, words_of

VOCABULARY = ["".join(random.Random(seed).choices("abcdefghijklmnoprstuvw", k=6)) for seed in range(1_000)]


def drawn(count: int, length: int, seed: int = 1) -> list[list[str]]:
    rng = random.Random(seed)
    return [rng.choices(VOCABULARY, k=length) for _ in range(count)]


@pytest.mark.parametrize(
    ("texts", "bleu"),
    [
        (["a b c d e", "a b c d f"], (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25),
        (["a b c d", "a b c d", "e f g h"], (1 + 1 + (0.1**4 / 24) ** 0.25) / 3),
        # of the first: a twice and b once of four words, `a a` and `a b` of three pairs, nothing longer
        (["a a a b", "a b c d", "a a x y"], ((3 / 4 * 2 / 3 * 0.1 / 2 * 0.1) ** 0.25 + (2 / 4 * 1 / 3 * 0.1 / 2 * 0.1) ** 0.25 * 2) / 3),
    ],
    ids=["by one word", "a stranger", "no more often than the other"],
)
def test_self_bleu_is_as_worked_out_by_hand(texts: list[str], bleu: float) -> None:
    assert self_bleu([text.split() for text in texts]) == pytest.approx(bleu)


def test_repetition_counts_runs_that_another_text_holds() -> None:
    assert repetition([words.split() for words in ("a b c d e", "a b c d f")]) == 2 / 4
    assert repetition([words.split() for words in ("a b c d a b c d", "e f g h")]) == 0, "what a text repeats of itself is not repeated in another"
    assert repetition([["a", "b"]] * 3) == 0


def test_compression_is_what_zlib_takes_off() -> None:
    same, other = [drawn(1, 64)[0]] * GROUP, drawn(GROUP, 64)
    assert compression(same) > 10 > compression(other) > 1


def test_words_are_the_same_whatever_stands_between_them() -> None:
    assert words_of("**Don't** panic -- it's 2.5 km!\n") == words_of("don't panic, it's 2 5 km") == ["don't", "panic", "it's", "2", "5", "km"]
    assert words_of("数学は楽しい", 3) == ["数", "学", "は"]


def test_figures_are_of_one_length_and_one_number() -> None:
    texts = drawn(60, 128)
    found = variety(texts)
    assert (found.rows, found.short, found.words) == (60, 0, LENGTHS[0])
    refusals = [["sorry", "i", "cannot", "help"]] * 10
    assert (short := variety(texts + refusals)).opening_share == 10 / 70 and (short.short, short.repetition) == (10, found.repetition)
    assert variety([words[: LENGTHS[0]] for words in texts]) == found, "half as long, and the same"
    more = variety(texts + drawn(600, 128, 2))
    assert more.self_bleu == pytest.approx(found.self_bleu, abs=0.01) and more.compression == pytest.approx(found.compression, rel=0.02)


def test_texts_are_cut_to_what_most_of_them_have() -> None:
    assert [length_for(drawn(10, length)) for length in (100, 64, 63, 20, 8, 7)] == [64, 64, 32, 16, 8, 0]
    assert length_for([*drawn(8, 64), *drawn(2, 1)]) == 64 and length_for([*drawn(7, 64), *drawn(3, 10)]) == 8
    few = variety(drawn(GROUP - 1, 20))
    assert few.repetition is few.compression is few.self_bleu is None and few.opening_share == 1 / few.rows
    assert variety([]).rows == variety([]).words == variety(drawn(5, 3)).words == 0


def test_every_figure_rises_with_the_share_that_is_collapsed() -> None:
    rut = words_of("In this chapter we will explore the wonderful world of numbers, and see why it matters to all of us and to our friends " * 2)
    found = [variety([rut + words if at % 10 < tenths else words for at, words in enumerate(drawn(200, 64))]) for tenths in range(6)]
    for figure in ("compression", "repetition", "self_bleu", "opening_share"):
        values = [getattr(each, figure) for each in found]
        assert values == sorted(values) and values[0] < values[-1], figure
    assert found[-1].opening == "in this chapter we" and found[-1].opening_share == 0.5


def test_of_equals_the_first_in_the_alphabet() -> None:
    assert commonest(Counter(["b", "a", "b", "a", "c"])) == ("a", 2)
