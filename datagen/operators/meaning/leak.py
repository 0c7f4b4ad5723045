"""A question that tells its own answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator
from datagen.operators.claims.answers import marked_answer
from datagen.operators.claims.values import clean, number

_TOLD = re.compile(
    r"####|\\boxed\{|\b(?:final |correct |right )?(?:answer|solution|result|ans)\s*(?:(?:is|was|equals|(?:will|would) be)\b|[.:=])",
    re.IGNORECASE,
)
_AMOUNT = re.compile(r"[-−+]?[$€£¥]?[\d.½⅓⅔¼¾⅕-⅞][\d,./ ½⅓⅔¼¾⅕-⅞]*|(?:[a-z]+[ -]?){1,4}", re.IGNORECASE)
_WORD = re.compile(r"[\w.,%$/-]*\w")


class AnswerLeak(Operator):
    """The question announces its answer ("Answer: 42", "#### 42"), or holds a run of words of the solution.

    Answers are compared by their beginning, numbers by value (1,200 is 1200, ½ is 0.5, "four" is 4). A number alone is no
    leak: the answers of many word problems are among the given numbers. The score is 1 for a leak, else 0.
    """

    version: ClassVar[int] = 2
    keeps: ClassVar = (
        {"question": "Tom has 5 apples and eats none. How many has he?", "answer": "He still has 5.\n#### 5"},
        {"question": "The answer is a number. Which is larger, 3 or 4?", "answer": "4"},
    )
    drops: ClassVar = (
        {"question": "Tom has 5 apples and buys 7. How many has he? (Answer: 12)", "answer": "5 + 7 = 12\n#### 12"},
        {
            "question": "Add 5 and 7. To add them, we count on from five by seven steps and so we come to twelve in all.",
            "answer": "To add them, we count on from five by seven steps and so we come to twelve in all.",
        },
    )

    on: str = "question"
    answer: str = "answer"
    """The field with the answer or the whole solution."""
    shared: int = Field(default=14, ge=4)
    """Words in a row that only a copied solution shares with its question: quotations of the task are shorter."""

    def reads(self) -> tuple[str, ...]:
        return (self.on, self.answer)

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        question, answer = self.text(fields), str(fields.get(self.answer) or "")
        final = (marked_answer(answer) or (answer if len(answer) <= 60 else "")).strip().lower().rstrip(".")
        for told in _TOLD.finditer(question):
            after = question[told.end() : told.end() + 40 + len(final)].lower().lstrip(" :=*$#({\n")
            if final and (re.match(rf"{re.escape(final)}(?![\w]|[.,]\d)", after) or _same_value(final, after)):
                return Finding(False, "answer_told", 1.0, question[max(0, told.start() - 20) : told.end() + 40])
        run = _shared(_WORD.findall(question.lower()), _WORD.findall(answer.lower()), self.shared)
        if run:
            return Finding(False, "solution_in_question", 1.0, run)
        return Finding(True, score=0.0)


def _same_value(final: str, after: str) -> bool:
    """Whether a number begins `after` that has the value of the answer."""
    wanted, begins = number(clean(final)), _AMOUNT.match(after)
    told = number(clean(begins.group().rstrip(" ,./"))) if wanted and begins else None
    return bool(wanted and told and wanted.value == told.value)


def _shared(one: list[str], other: list[str], size: int) -> str:
    grams = {tuple(one[start : start + size]) for start in range(len(one) - size + 1)}
    return next((" ".join(gram) for start in range(len(other) - size + 1) if (gram := tuple(other[start : start + size])) in grams), "")
