"""How likely a solution is right where no answer is known: from the agreement of samples and what the solution itself shows."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator
from datagen.operators.claims.answers import final_answer
from datagen.operators.claims.arithmetic import Arithmetic
from datagen.operators.claims.equal import canonical

_NUMBER = re.compile(r"\d[\d,]{0,20}(?:\.\d{1,20})?")
_NOTE = re.compile(r"<<[^<>\n]*>>")
_WHOLE = re.compile(r"\d+")
_SINGLE = 0.26
"""A share up to this is one vote of four: nobody else says the same."""
_FEWEST = 3
"""Answers below which their agreement is nothing to go by: one agrees with itself."""

WEIGHTS: Mapping[str, float] = {
    "constant": -3.842,
    "share": 4.262,
    "all": 0.016,
    "single": -1.264,
    "sound": 0.931,
    "whole": 1.512,
    "used": 0.908,
    "question_words": -0.666,
    "words": 0.285,
    "steps": 0.176,
}
"""Logistic weights, fitted on the solutions of one half of the problems of `gsm8k_model_solutions` (OpenAI, MIT: 2,700 solutions in
words by four models of 2021, labelled). `tests/benchmarks/curation/correctness.py` fits them again, prints them, and reports on the other half."""


class Confidence(Operator):
    """The probability that a solution is right, without a known answer, from four samples of one question (see `vote`), calibrated on real ones.

    It looks at the share of samples that agree with this one, whether they all do or none, whether the calculations are right, whether the answer is
    a plain whole number, how many of the question's numbers are used, and at lengths. Writes `probability`. Made for word problems with a number as
    the answer: with harder questions or better solvers it ranks still, and errs low or high as a whole. A sample that is not there agrees with
    nobody: where the vote says of how many its share is (`agreement_of`), the share is taken of `samples`. Without a share, or with fewer than
    three answers, nothing is claimed.
    """

    version: ClassVar[int] = 3
    writes: ClassVar[tuple[str, ...]] = ("probability",)
    keeps: ClassVar = (
        {"solution": "She had 3 bags of 4, so 3 * 4 = 12 apples.\n#### 12", "question": "3 bags hold 4 apples each. How many?", "agreement": 1.0},
        {"solution": "#### 12", "question": "How many?", "agreement": None},
        {"solution": "That is 9.5.", "question": "3 bags hold 4 apples each. How many?", "agreement": 0.0, "agreement_of": 1},
    )
    drops: ClassVar = (
        {"solution": "She had 3 bags, so 3 + 5 = 9.5 apples.\n#### 9.5", "question": "3 bags hold 4 apples each. How many?", "agreement": 0.25},
        {
            "solution": "He buys 3 + 5 = 9.5 apples.\n#### 9.5",
            "question": "3 bags hold 4 apples each. How many?",
            "agreement": 1 / 3,
            "agreement_of": 3,
        },
        {"solution": "I do not know.", "question": "3 bags hold 4 apples each. How many?", "agreement": 0.0},
    )

    on: str = "solution"
    agreement: str = "agreement"
    """The field with the share of samples that agree, as a `vote` step of that name writes it."""
    samples: int = Field(default=4, ge=1)
    """Samples that were asked for."""
    question: str = "question"
    at_least: float = Field(default=0.5, ge=0, le=1)
    """Rows below are dropped as `unlikely`; 0 keeps all and only writes."""

    def reads(self) -> tuple[str, ...]:
        return (self.on, self.agreement, self.question)

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        share, question = fields.get(self.agreement), fields.get(self.question)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            return Finding(True, fields={"probability": None})
        number = fields.get(f"{self.agreement}_of")
        there = self.samples if isinstance(number, bool) or not isinstance(number, int) else number
        if there < _FEWEST:
            told = f"nothing is claimed: {there} of {self.samples} samples are there, and {_FEWEST} are the fewest whose agreement says anything"
            return Finding(True, evidence=told, fields={"probability": None})
        share *= there / max(there, self.samples)
        seen = features(self.text(fields), question if isinstance(question, str) else "", float(share))
        chance = 1 / (1 + math.exp(-sum(WEIGHTS[name] * value for name, value in seen.items())))
        keep = chance >= self.at_least
        fewer = f" ({there} of {self.samples} are there)" if there < self.samples else ""
        told = f"{share:.0%} of the samples agree{fewer}; answer {final_answer(self.text(fields)) or 'none'}"
        return Finding(keep, "" if keep else "unlikely", chance, told, {"probability": chance})


def features(solution: str, question: str, share: float) -> dict[str, float]:
    """What is weighed, by name; the order is that of WEIGHTS."""
    answer = final_answer(solution)
    plain = _NOTE.sub("", solution)
    asked, used = set(_NUMBER.findall(question)), set(_NUMBER.findall(solution))
    score = Arithmetic(on="solution").judge({"solution": solution}).score
    return {
        "constant": 1.0,
        "share": share,
        "all": float(share == 1.0),
        "single": float(share <= _SINGLE),
        "sound": float(score is None or score == 1.0),
        "whole": float(answer is not None and bool(_WHOLE.fullmatch(canonical(answer)))),
        "used": len(asked & used) / len(asked) if asked else 1.0,
        "question_words": math.log(1 + len(question.split())) if question else 3.8,
        "words": math.log(1 + len(plain.split())),
        "steps": math.log(1 + plain.count("=")),
    }
