"""Many texts read at once are read as `words.py` reads each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datagen.steps.sets.copies.scan import Scan, hashes_of
from datagen.steps.sets.words import is_figure, is_number, normal, tokens

PIECES = [
    *("a", "c", "f", "b", "x", "ab", "three", "Half", "twelve", "1", "2", "23", "000", "1,000", "2.5", "averylongwordofmorethansixteen"),
    *(",", ".", "..", "+", "-", "*", "=", "/", "^", "<", "(", ")", "[", "]", "{", "}", "$", "\\", "#", "_", "%", "'", "&", "|", "!", "±", "°", '"'),
    *(" ", "  ", "\n", "\t", "\r\n", "\x00", "\x1c", "\x85", "\u00a0", "\u2003"),
    *(
        "é",
        "e\u0301",
        "\u0301",
        "你",
        "の",
        "ก",
        "ั",
        "๑",
        "๒.",
        "٣",
        "Ⅷ",
        "²",
        "½",
        "×",
        "÷",
        "—",
        "’",
        "“",
        "K",
        "İ",
        "ß",
        "ﬁ",
        "😀",
        "\u200d",
        "हिन्दी",
    ),
    *("C++", "c#", "F#", "c+", "x = -3", "3 - 4", "\ud800", "low <= high", "done&&!x", "n!", "f'(", "7!", "5 %"),
]
"""What the rules look at, and what stands in their way."""
pieced = st.lists(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), max_size=8)


def check(texts: Sequence[str]) -> None:
    scan, start = Scan.of(texts, digests=True), 0
    assert len(scan.ends) == len(texts)
    for text, end in zip(texts, scan.ends.tolist(), strict=True):
        found = tokens(text)
        assert scan.tokens[start:end].tolist() == hashes_of(found).tolist(), text
        assert scan.numbers[start:end].tolist() == [is_number(token) for token in found], text
        assert scan.figures[start:end].tolist() == [is_figure(token) for token in found], text
        start = end
    digests: dict[str, int] = {}
    for text, digest in zip(texts, scan.exact.tolist(), strict=True):
        assert digests.setdefault(normal(text), digest) == digest, text
    assert len(set(digests.values())) == len(digests)


@settings(max_examples=200, deadline=None)
@given(pieced)
@example(["1.2.3", "1.2a.3", "a1.2", "12,345,678.9", "v2.5", "1,0000", "c++ c+++ c++x xc++", "x=-3", "3+-", "3--4", "2^-x", "๑.๕ and 1.๕"])
@example(["a--=!bc", "5!!=3", "5 %+3", "100%==x", "c++==x", "a&-word", "don't! (n)! (nn)!", "ab -- cd, ab -+ cd", "f''(x) + ''(", "7! - 3!", "x=!y"])
@example(["", " ", "\n", "a", "5", "-", "-5", "(-5)"])
def test_scripts_numbers_and_operators_in_any_mixture(texts: list[str]) -> None:
    check(texts)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_character(texts: list[str]) -> None:
    check(texts)


@pytest.mark.real
@pytest.mark.parametrize(("name", "column"), [("gsm8k/train", "answer"), ("mbpp/mbpp", "code"), ("teacher_outputs_alpaca_eval/outputs", "output")])
def test_real_rows(name: str, column: str) -> None:
    path = Path(os.environ.get("DATAGEN_SHARED") or Path(__file__).parents[2] / "shared") / "data" / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"needs the shared data: no {path}; set DATAGEN_SHARED")
    check(pytest.importorskip("pyarrow.parquet").read_table(path, columns=[column]).column(0).to_pylist()[:500])
