"""Worked problems whose steps are out of order."""

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
