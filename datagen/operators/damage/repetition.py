"""Loops and padding: the same words, lines, sentences or paragraphs over and over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator, place_of
from datagen.operators.features import Features

_TIMES = " times: "
"""Between the number of repeats and what is repeated."""


class Repetition(Operator):
    """Loops and padding: repeated lines, sentences and paragraphs, runs of n-grams, and one block said over and over.

    The measures are those of Gopher (Rae et al. 2021, arXiv 2112.11446, table A1) with two changes that keep worked maths: numbers
    count as words, so that "3 x 4 = 12" and "3 x 5 = 15" differ, and only repeats of `ngram` words count, because the top 2-grams
    of a short solution are its nouns. The score is the share of words that lie in a repeat of such an n-gram.
    """

    version: ClassVar[int] = 3

    keeps: ClassVar = (
        "3 x 4 = 12 apples. 3 x 5 = 15 apples. 3 x 6 = 18 apples. 12 + 15 + 18 = 45 apples. So she has 45 apples.",
        "| n | square |\n|---|---|\n| 1 | 1 |\n| 2 | 4 |\n| 3 | 9 |",
    )
    drops: ClassVar = (
        "The cell divides. " * 12,
        "We start with water and then we add salt and then we add salt and then we add salt and then we add salt and then we add salt and",
        "The answer is hahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahaha",
    )

    ngram: int = Field(default=6, ge=2, le=20)
    """Words of the n-grams whose repeats are counted."""
    at_most: float = Field(default=0.3, ge=0, le=1)
    """Share of words in repeated n-grams."""
    top_4gram_at_most: float = Field(default=0.35, ge=0, le=1)
    """Share of words in the most frequent run of four words, where it is said three times or more. Gopher's own limit, 0.16 of the characters,
    drops drills and tables."""
    lines: float = Field(default=0.3, ge=0, le=1)
    """Share of characters in lines seen before (lines of four words or more)."""
    sentences: float = Field(default=0.3, ge=0, le=1)
    """Share of characters in sentences seen before (of four words or more)."""
    paragraphs: float = Field(default=0.2, ge=0, le=1)
    """Share of characters in paragraphs seen before."""
    run: int = Field(default=4, ge=2)
    """So often may one block of words stand directly after itself; a run shorter than 16 words never counts."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        found = self._judged(fields)
        words = found.evidence.rpartition(_TIMES)[2]
        return found if found.keep else replace(found, span=place_of(self.text(fields), words))

    def _judged(self, fields: Mapping[str, Any]) -> Finding:
        seen = self.features(fields)
        share, looped, where = _repeats(seen, self.ngram, self.run)
        if looped:
            return Finding(False, "loop", share, where)
        if glued := _glued_loop(seen):
            return Finding(False, "loop", share, glued)
        if share > self.at_most:
            return Finding(False, "repeated_ngrams", share, where)
        if not seen.surplus:
            return Finding(True, score=share)
        top, words = _top(seen, self.top_4gram_at_most)
        if top > self.top_4gram_at_most:
            return Finding(False, "top_4gram", top, words)
        for reason, pieces, limit in (
            ("repeated_paragraphs", seen.paragraphs, self.paragraphs),
            ("repeated_lines", seen.lines, self.lines),
            ("repeated_sentences", seen.sentences, self.sentences),
        ):
            part, again = _seen_before(pieces)
            if part > limit:
                return Finding(False, reason, part, again)
        return Finding(True, score=share)


def _top(seen: Features, limit: float) -> tuple[float, str]:
    """(share of words in the most frequent 4-gram, its words); said twice, or of signs alone, it counts as none."""
    words = seen.words
    if not seen.said(max(3, int(limit * len(words) / 4))):
        return 0.0, ""
    gram, count = Counter(zip(words, words[1:], words[2:], words[3:], strict=False)).most_common(1)[0]
    if count < 3 or not any(sign.isalpha() for word in gram for sign in word):
        return 0.0, ""
    return min(1.0, 4 * count / len(seen.words)), f"{count}{_TIMES}{' '.join(gram)}"


def _repeats(seen: Features, size: int, run: int) -> tuple[float, bool, str]:
    """(share of words in n-grams seen before, whether a block stands more than `run` times in a row, the words).

    One pass: an n-gram seen `period` words ago, again and again, is a block of `period` words that follows itself.
    """
    if size >= 4 and seen.surplus < size - 3:
        return 0.0, False, ""
    words, covered, reach, period, length, example = seen.words, 0, -1, 0, 0, ""
    for index, before in seen.again(size):
        if index + size - 2 != reach:
            period = 0
        covered += min(size, index + size - 1 - reach)
        reach = index + size - 1
        length = length + 1 if index - before == period else 1
        period = index - before
        said = length + size - 1 + period
        example = example or " ".join(words[index : index + size])
        if said > run * period and said >= _shortest_run(words[index : index + size]):
            return min(1.0, covered / len(words)), True, f"{said // period}{_TIMES}{' '.join(words[index - period + 1 : index + 1])}"
    return (min(1.0, covered / len(words)) if words else 0.0), False, example


def _shortest_run(block: Iterable[str]) -> int:
    """Words a run must have to be a loop: 16, but 60 when it is digits alone, which tables and long divisions repeat rightly; blanks never are."""
    if any(word.isalpha() and len(word) > 1 for word in (word.strip(".,;:!?*()") for word in block)):
        return 16
    return 60 if any(sign.isalnum() for word in block for sign in word) else 10**9


def _glued_loop(seen: Features) -> str:
    """A loop without spaces (hahahaha, or any in a language without them), or ''."""
    if seen.longest < 40:
        return ""
    for word in seen.words:
        if len(word) >= 40 and sum(map(str.isalpha, word)) * 2 > len(word) and 4 * len(set(zip(word, word[1:], word[2:], strict=False))) <= len(word):
            return word[:60]
    return ""


def _seen_before(pieces: Sequence[str]) -> tuple[float, str]:
    """(share of characters in pieces of four words or more that were seen before, the first such piece)."""
    long = [plain for piece in pieces if len(piece) > 15 and len(plain := piece.strip()) > 15]
    if len(set(long)) == len(long):
        return 0.0, ""
    seen: set[str] = set()
    total, again, example = 0, 0, ""
    for piece in pieces:
        plain = piece.strip()
        total += len(plain)
        if plain not in seen:
            seen.add(plain)
        elif len(plain) > 15 and plain.count(" ") >= 3 and not plain.startswith("|"):
            again += len(plain)
            example = example or plain
    return (again / total if total else 0.0), example
