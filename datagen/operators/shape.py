"""How long a text is, and whether a number lies between bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from datagen.operators.base import Finding, Operator


class Length(Operator):
    """Bounds on words (split at white space) and characters; the score is the number of words.

    Languages that do not put spaces between words need the bounds in characters.
    """

    keeps: ClassVar = ("Water boils at 100 degrees Celsius at sea level.",)
    drops: ClassVar = ("", "Yes.", {"text": None})

    min_words: int = Field(default=5, ge=0)
    max_words: int | None = Field(default=None, ge=1)
    min_chars: int = Field(default=0, ge=0)
    max_chars: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Length:
        for low, high, unit in ((self.min_words, self.max_words, "words"), (self.min_chars, self.max_chars, "chars")):
            if high is not None and low > high:
                raise ValueError(f"min_{unit} is {low}, above max_{unit} {high}: nothing could be kept")
        return self

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        seen = self.features(fields)
        words, chars = len(seen.words), len(seen.text)
        if words < self.min_words or chars < self.min_chars:
            return Finding(False, "too_short", words, f"{words} words, {chars} characters")
        if (self.max_words is not None and words > self.max_words) or (self.max_chars is not None and chars > self.max_chars):
            return Finding(False, "too_long", words, f"{words} words, {chars} characters")
        return Finding(True, score=words)


class Score(Operator):
    """A number that another step wrote (a grade, a share of votes) lies between bounds; both bounds are kept."""

    keeps: ClassVar = ({"score": 3}, {"score": "4.5"})
    drops: ClassVar = ({"score": 1}, {"score": None}, {"score": "good"})

    on: str = "score"
    at_least: float | None = 3.0
    at_most: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Score:
        if self.at_least is None and self.at_most is None:
            raise ValueError("score needs at_least or at_most: without either it keeps every row")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least is {self.at_least:g}, above at_most {self.at_most:g}: nothing could be kept")
        return self

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        value = fields.get(self.on)
        number = _number(value)
        if number is None:
            return Finding(False, "no_score", evidence=f"{self.on} is {str(value)[:60]!r}")
        if self.at_least is not None and number < self.at_least:
            return Finding(False, "score_too_low", number, f"{number:g} < {self.at_least:g}")
        if self.at_most is not None and number > self.at_most:
            return Finding(False, "score_too_high", number, f"{number:g} > {self.at_most:g}")
        return Finding(True, score=number)


def _number(value: Any) -> float | None:
    """The value as a finite float, or None: teachers write numbers as text too."""
    if not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
