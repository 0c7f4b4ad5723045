"""Halves of two worked problems put together: they calculate with numbers that nobody gave, and speak of other things."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from datagen.operators.base import Finding, Operator

_WORD = re.compile(r"[a-z]{4,}")
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
_NUMBER = re.compile(r"(?<![\w.])(?:\d[\d,]*(?:\.\d+)?|\.\d+)")
_SAID = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
    "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30,
    "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "sixth": 6,
}  # fmt: skip
_SAYING = re.compile(rf"\b(?:{'|'.join(_SAID)})\b")
_ANYONES = frozenset((0, 1, 2, 3, 4, 5, 7, 10, 12, 24, 30, 31, 52, 60, 100, 365, 1000, 0.5, 0.25))
"""Numbers that need not be given: small ones, percent, and what hours, weeks and months have."""
_STEP = re.compile(r"<<([^<>=\n]*)=([^<>\n]*)>>|((?:[\d.,$%()]+\s*[-+*/x×–]\s*)+[\d.,$%()]+)\s*=\s*\$?([\d.,]+)")
_ALGEBRA = re.compile(r"\blet\b.{1,60}\b(?:be|equal|represent)|\b\d*[a-z] ?[-+*/=] ?\$?\d|\d ?[-+*/=] ?\d*[a-wyz]\b")
_OPTIONS = re.compile(r"^\s*\(?[A-D]\)", re.MULTILINE)
_HE, _SHE = re.compile(r"\b(?:he|his|him)\b"), re.compile(r"\b(?:she|her|hers)\b")
_NAME, _CAPITAL = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,}"), re.compile(r"[A-Z][a-z]+")
_CALENDAR = frozenset(
    "January February March April May June July August September October November December "  # noqa: SIM905
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
)


class Splice(Operator):
    """The second half of a worked problem belongs to another problem.

    Seven signs are summed: numbers that are calculated with though nobody gave or found them before, given numbers that nobody calculates with,
    how few words the question and the steps share, how few the text before and after its weakest sentence end, "he" before and "she" after it,
    names that first come after it, and letters for numbers (algebra gives few numbers, which is no fault). The weights are a logistic regression
    on every second row of GSM8K, whole and spliced, and of AQuA's rationales; the score is its probability of a splice. A text without a
    calculation, with options to choose from, or without a question or some words before its first calculation has nothing to compare: it is kept.

    No recipe that ships names it. It knows solutions as people write them, beside their question; of 240 solutions by the simulated teacher, which
    explain fewer of their numbers, it drops 35, of which 28 are right, and 20 with `question`. Measure it on rows of your own before it gates.
    """

    version: ClassVar[int] = 2
    made_for: ClassVar[frozenset[str]] = frozenset({"maths"})
    keeps: ClassVar = (
        "Tom has 15 red apples. He buys 27 green apples at the market. How many has he?\nHe then has 15 + 27 = 42 apples.\n#### 42",
        "Short.",
        "The seat costs 35 + 46 = 81 dollars.",
    )
    drops: ClassVar = (
        "Tom has 15 red apples. He buys 27 green apples at the market. How many apples has he?\n"
        "The truck drives 64 * 8 = 512 miles.\nMaria needs 512 / 16 = 32 gallons.\n#### 32",
    )

    question: str = ""
    """The field with the question, where the text does not hold it; a row without it is judged by its text alone."""
    at_least: float = Field(default=0.72, gt=0, lt=1)
    """Probability of a splice from which a row is dropped; of every second row of GSM8K 0.7 % of the untouched ones reach it."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        asked = str(fields.get(self.question) or "") if self.question else ""
        text = f"{asked}\n{self.text(fields)}"[:8000]
        seen = signs(text)
        if seen is None:
            return Finding(True, score=0.0)
        score = 1 / (1 + math.exp(-sum(weight * sign for weight, sign in zip(_WEIGHTS, seen.values, strict=True))))
        if score < self.at_least:
            return Finding(True, score=score)
        return Finding(False, "spliced", score, seen.shown)


class Signs(NamedTuple):
    """What a worked problem shows of belonging together."""

    values: tuple[float, ...]
    """1; share and number (at most 4) of strange operands; share of given numbers in use; share of words that question and steps share; pronouns that
    change; new names (at most 2); logarithm of the smallest share of words over a sentence end; algebra."""
    shown: str
    """The strange numbers, or what stands around the weakest sentence end."""


_WEIGHTS = (-1.97, 0.39, 1.19, -2.42, -4.23, 2.77, 1.61, -3.24, -1.88)


def signs(text: str) -> Signs | None:
    """None where there is nothing to compare."""
    low = text.lower()
    steps = list(_STEP.finditer(low))
    if not steps or len(_OPTIONS.findall(text)) >= 3:
        return None
    line = low.rfind("\n", 0, steps[0].start()) + 1
    first = line if low[:line].strip() else steps[0].start()
    if "?" not in low[:first] and len(_terms(low[:first])) < 8:
        return None
    strange, operands, used = _numbers(low, steps, first)
    algebra = bool(_ALGEBRA.search(low[first:]))
    shared = _shared(_terms(low[:first]), _terms(low[first:]))
    weakest, at = _weakest(low)
    pronouns, names = _people(text, low, at) if at else (False, 0)
    values = (1, len(strange) / max(1, operands), min(len(strange), 4), 0.6 if algebra else used, shared, pronouns, names, math.log(weakest), algebra)
    around = text[max(0, at - 60) : at + 60] if at else text[first : first + 120]
    return Signs(values, around)


def _numbers(low: str, steps: list[re.Match[str]], first: int) -> tuple[list[float], int, float]:
    """(operands that were neither given nor found before their line, operands, share of the given numbers in use or 0.6 where none is given)."""
    told = [(found.end(), value) for found in _NUMBER.finditer(low) if (value := _value(found.group())) is not None]
    told += [(found.end(), float(_SAID[found.group()])) for found in _SAYING.finditer(low)]
    results = [(step.end(), value) for step in steps if (value := _value(step[2] or step[4])) is not None]
    operands: dict[float, int] = {}
    for step in steps:
        for found in _NUMBER.findall(step[1] or step[3] or ""):
            if (value := _value(found)) is not None:
                operands.setdefault(value, step.start())
    own = [(value, at) for value, at in operands.items() if value not in _ANYONES]
    strange = [value for value, at in own if not _explained(value, at, low, told, results)]
    given = {value for end, value in told if end <= first} - _ANYONES
    used = sum(any(_near(value, form) for value in operands for form in _forms(one)) for one in given)
    return strange, len(own), used / len(given) if given else 0.6


def _explained(value: float, at: int, low: str, told: list[tuple[int, float]], results: list[tuple[int, float]]) -> bool:
    line = low.rfind("\n", 0, at) + 1 or at
    known = [one for end, one in told if end <= line] + [one for end, one in results if end <= at]
    return any(_near(value, form) for one in known for form in (*_forms(one), one + 1, one - 1, one * 1e6, one / 1000))


def _forms(value: float) -> tuple[float, ...]:
    """What a number may turn into without a step of its own: a share for its percent, what is left, what it grows to."""
    return value, value / 100, 1 - value / 100, 1 + value / 100, 100 - value, 100 + value, value * 1000


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-6 * max(1.0, abs(one))


def _value(written: str | None) -> float | None:
    try:
        return float((written or "").replace(",", "").strip(" .$"))
    except ValueError:
        return None


def _terms(part: str) -> set[str]:
    """Beginnings of the words that not every row has."""
    return {word[:5] for word in _WORD.findall(part)} - _COMMON


def _shared(one: set[str], other: set[str]) -> float:
    """Share of terms on both sides, of the smaller side; half a term and one are added, so that few words say little."""
    return (len(one & other) + 0.5) / (min(len(one), len(other)) + 1)


def _weakest(low: str) -> tuple[float, int]:
    """(smallest share of terms on both sides of a sentence end, where it ends); (1, 0) where no end has three terms on both sides."""
    ends = [found.end() for found in _SENTENCE.finditer(low)]
    pieces = [_terms(low[start:end]) for start, end in pairwise([0, *ends, len(low)])]
    after: list[set[str]] = [set()]
    for piece in reversed(pieces):
        after.append(after[-1] | piece)
    before: set[str] = set()
    best = (1.0, 0)
    for index, end in enumerate(ends):
        before |= pieces[index]
        rest = after[len(pieces) - index - 1]
        if 0.2 * len(low) < end < 0.8 * len(low) and min(len(before), len(rest)) >= 3:
            best = min(best, (_shared(before, rest), end))
    return best


def _people(text: str, low: str, at: int) -> tuple[bool, int]:
    """(whether there is only "he" before and only "she" after, or the other way round; names that first come after, at most two)."""
    sexes = [(bool(_HE.search(part)), bool(_SHE.search(part))) for part in (low[:at], low[at:])]
    names = set(_NAME.findall(text[at:])) - _CALENDAR - set(_CAPITAL.findall(text[:at]))
    return set(sexes) == {(True, False), (False, True)}, min(2, len(names))
