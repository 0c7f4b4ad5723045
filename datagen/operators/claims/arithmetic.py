"""Every calculation that a worked solution writes down is right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator
from datagen.operators.claims.sums import Equation, Side, equations

_ROUNDS = re.compile(r"\b(?:about|approx\w*|around|roughly|round\w*|nearest|almost|nearly)\b", re.IGNORECASE)
_WHOLE = re.compile(r"\b(?:remain\w*|left over|leftover|full|whole|at most|at least)\b", re.IGNORECASE)
_SCALES = {re.compile(r"\bcents?\b|¢", re.IGNORECASE): 100, re.compile(r"\bthousands?\b"): 1000, re.compile(r"\bmillions?\b"): 10**6}
"""Words that say a number in another size than it is written in: "3 x 50 cents = $1.50"."""


class Arithmetic(Operator):
    """Every `a op b = c` of a solution is right: chains, brackets, percent, money, thousands separators, fractions, GSM8K's <<48/2=24>>.

    Units between numbers are passed over ("5 rooms * $12/room = $60"). A result may be rounded to the decimals that it is written with; to a whole
    number only where the line says so (≈, "about", "remaining", ...). What cannot be read for certain, variables above all, is passed over:
    a dropped row has a wrong step, a kept row has none that could be read. `100 - 20%` may be 80. Of a text of more than 50,000 characters the
    lines within them are looked at. The score is the share of right steps, the evidence the wrong one.
    """

    version: ClassVar[int] = 3
    keeps: ClassVar = (
        "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nThat is 48 + 24 = <<48+24=72>>72 clips in all.\n#### 72",
        "He pays 3 nights * $1,250/night = $3,750, and 10% of 3,750 = 375.",
        "2x + 3 = 11, so 2x = 11 - 3 = 8 and x = 8 / 2 = 4.",
        "100 / 3 = 33.33, or about 100 / 3 = 33.",
        "So (120 - 100) / 100 = 0.2 = 20%.",
        "The price is $50 + 10% = $55, and with 20% off, 100 - 20% = 80.",
        "There is nothing to calculate here.",
        {"text": None},
    )
    drops: ClassVar = (
        "Natalia sold 48/2 = <<48/2=25>>25 clips in May.",
        "He pays 3 nights * $1,250/night = $3,650.",
        "That makes 2 + 3 * 4 = 20.",
        "First 12 + 30 = 42, then 42 - 5 = 36.",
        "10% of 3,750 = 350.",
        "100 / 3 = 33.35",
    )

    at_most: float = Field(default=0.0, ge=0, le=1)
    """Share of wrong steps that is let through."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        steps, wrong = 0, []
        for equation in equations(self.text(fields)):
            verdict = right(equation)
            steps += verdict is not None
            if verdict is False:
                wrong.append(equation)
        if not steps:
            return Finding(True)
        score = 1 - len(wrong) / steps
        if len(wrong) <= self.at_most * steps:
            return Finding(True, score=score)
        return Finding(False, "wrong_step", score, f"{wrong[0].shown[:140]} (it is {_short(wrong[0].left[-1].value)})")


def right(equation: Equation) -> bool | None:
    """Whether the two sides agree in any reading; None where no reading of both is certain."""
    rough = 2 if equation.about or _ROUNDS.search(equation.line) else 1 if _WHOLE.search(equation.line) else 0
    scales = [100] if equation.left[-1].percent != equation.right[0].percent else []
    scales += [scale for word, scale in _SCALES.items() if word.search(equation.line)]
    for left in equation.left:
        for other in equation.right:
            if left.operations + other.operations and _agree(left, other, rough, scales):
                return True
    longest = equation.left[-1], equation.right[0]
    if all(len(side.measures) == 1 for side in longest) and longest[0].measures != longest[1].measures:
        return None  # 1/2 a cup = 4 ounces
    return False if all(side.sure for side in longest) and longest[0].operations else None  # "5 friends = 250/5" defines


def _agree(left: Side, right: Side, rough: int, scales: Sequence[int]) -> bool:
    values = [right.value, *(right.value * scale for scale in scales), *(right.value / scale for scale in scales)]
    return any(_close(left, value, right, rough) for value in values)


def _close(left: Side, value: Fraction, right: Side, rough: int) -> bool:
    """Equal, or rounded (or cut) to the decimals that are written; a float's noise is none. `rough`: 1 to a whole number, 2 within 1 %."""
    off = abs(left.value - value)
    if off <= abs(value) / 10**9:
        return True
    if right.operations:
        return rough == 2 and off <= abs(value) / 100
    step = Fraction(1, 10**right.places) / (100 if right.percent else 1)
    if right.places:
        return off < step
    return rough > 0 and off < (max(Fraction(1), abs(value) / 100) if rough == 2 else 1)


def _short(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"
