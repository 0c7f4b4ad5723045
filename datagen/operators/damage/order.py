"""Worked problems whose parts do not belong together: steps out of order, and halves of two problems."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator

_ANSWER = re.compile(r"####[ \t]*\S+")
_CALCULATION = re.compile(r"\d\)?\s*(?:<<[^<>\n]*>>)?\s*=\s*(?:<<|[$€£]?\d)|<<[^<>\n]*=")


class StepOrder(Operator):
    """A worked problem in an order nobody writes: text after the marked answer (`#### 72`), or the only question after the first calculation.

    GSM8K's problems with their sentences in a random order show one of the two nearly always, untouched ones do not
    (tests/benchmarks/curation/junk.py). A rationale that asks itself questions on its way is kept: its first question stands before its first
    calculation. Prose is not judged: how much neighbouring sentences share does not tell shuffled pages from printed ones.
    """

    made_for: ClassVar[frozenset[str]] = frozenset({"maths"})
    keeps: ClassVar = (
        "Tom has 5 apples and buys 7. How many has he?\n5 + 7 = 12\n#### 12",
        "How many are left at first? 9 - 4 = 5. How many then? 5 - 2 = 3.",
    )
    drops: ClassVar = (
        "#### 12 How many has he? Tom has 5 apples and buys 7. 5 + 7 = 12",
        "5 + 7 = 12. So he has 12. Tom has 5 apples and buys 7. How many has he?",
    )

    trailing: int = Field(default=3, ge=1)
    """Words that may not follow the marked answer: a unit or a name may."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        text = self.text(fields)
        answer = _ANSWER.search(text) if "####" in text else None
        if answer and len(text[answer.end() : answer.end() + 400].split()) >= self.trailing:
            return Finding(False, "text_after_answer", 1.0, text[answer.start() : answer.end() + 80])
        asked = text.find("?")
        calculated = _CALCULATION.search(text) if asked >= 0 else None
        if calculated and calculated.start() < asked:
            return Finding(False, "question_after_steps", 1.0, text[max(0, asked - 80) : asked + 1])
        return Finding(True, score=0.0)


_WORD = re.compile(r"[a-z]{4,}|(?<![\d.])\d{1,15}(?:\.\d{1,9})?")
_SENTENCE = re.compile(r"[.!?]\s+|\n+")
_FREQUENT = (
    "about after allow also among anoth appro aroun becau been befor begin being betwe both calcu calle cause chang class comb "
    "compa compl consi conta could count creat detai deter diffe direc does durin each equal even every examp exper expla figur "
    "final find first follo force found from gener given great half have high howev impor inclu incre inter into invol known large "
    "learn left less level like long made make makin many means measu more most much must need never numbe often only other over "
    "part peopl place point possi prese probl proce produ provi quest relat remai resul right same secon sever shoul since small "
    "some start still such take than that their them then there these they thing this those three throu time times toget total "
    "under used using value very want well were what when where which while will with work would years your"
)
_COMMON = frozenset(_FREQUENT.split())
"""Beginnings of words that many rows have."""


class Splice(Operator):
    """The second half of a worked problem speaks of the first: halves of two problems share hardly a word or a number.

    At every sentence end between a quarter and three quarters of the text, the share of different words and numbers that both sides have, of
    the smaller side; the score is the smallest. The limit was chosen on every second row of GSM8K
    (tests/benchmarks/curation/junk.py). Printed and spliced textbook pages overlap in this measure, so prose is not judged.
    """

    made_for: ClassVar[frozenset[str]] = frozenset({"maths"})
    keeps: ClassVar = (
        "Tom has 15 red apples. He buys 27 green apples at the market.\nHe then has 15 + 27 = 42 apples. He sells 42 / 2 = 21 apples at the market.",
        "Short.",
    )
    drops: ClassVar = (
        "Tom picks 15 red apples in his garden. Then Tom buys 27 green apples at a market stall for his sister.\n"
        "Driving 60 miles takes Maria 90 minutes with her truck. Her brother cycles 48 miles along the river before lunch.",
    )

    at_least: float = Field(default=0.13, ge=0, le=1)
    """Share below which the halves are strangers."""
    min_words: int = Field(default=12, ge=4)
    """Different words and numbers, summed over sentences, that a text must have."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        pieces = [piece for piece in _SENTENCE.split(self.text(fields).lower()[:8000]) if piece.strip()]
        terms = [frozenset(word[:5] if word[0].isalpha() else word for word in _WORD.findall(piece)) - _COMMON for piece in pieces]
        share, place = _weakest(terms, self.min_words)
        if share < self.at_least:
            return Finding(False, "spliced", share, f"{pieces[place - 1].strip()} || {pieces[place].strip()}")
        return Finding(True, score=share)


def _weakest(terms: list[frozenset[str]], least: int) -> tuple[float, int]:
    """(smallest share of terms on both sides of a sentence end, of the smaller side; which end); 1 where the text is too short."""
    total, passed = sum(map(len, terms)), 0
    best, place = 1.0, 0
    if total < least:
        return best, place
    before: set[str] = set()
    after = _suffixes(terms)
    for index in range(1, len(terms)):
        before |= terms[index - 1]
        passed += len(terms[index - 1])
        smaller = min(len(before), len(after[index]))
        if 0.25 * total <= passed <= 0.75 * total and smaller >= 4 and (share := len(before & after[index]) / smaller) < best:
            best, place = share, index
    return best, place


def _suffixes(terms: list[frozenset[str]]) -> list[frozenset[str]]:
    """The terms of each piece and all after it."""
    after: list[frozenset[str]] = [frozenset()]
    for piece in reversed(terms):
        after.append(after[-1] | piece)
    return after[:0:-1]
