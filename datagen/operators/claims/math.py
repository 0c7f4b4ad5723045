"""The final answer of a solution, and whether it is the right one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from datagen.operators.base import Finding, Operator
from datagen.operators.claims.answers import final_answer, marked_answer
from datagen.operators.claims.equal import canonical, same


class Math(Operator):
    """A solution's final answer against the known one: exact by fractions, with units, percent, LaTeX, dates, times and lists.

    Writes `final_answer` (one spelling for answers that agree, so that a vote can count it) and `correct` (None where no answer is
    known: then the row is kept and only the answer is written). `gold` may be a bare answer or a whole reference solution.
    """

    version: ClassVar[int] = 2
    writes: ClassVar[tuple[str, ...]] = ("final_answer", "correct")
    keeps: ClassVar = (
        {"solution": "5 + 7 = 12\n#### 12", "answer": "12"},
        {"solution": "So half of the cake is left: \\boxed{\\frac{1}{2}}.", "answer": "0.5"},
        {"solution": "The answer is 1,200 meters.", "answer": "1.2 km"},
        {"solution": "She has 5 apples.", "answer": None},
    )
    drops: ClassVar = (
        {"solution": "5 + 7 = 13\n#### 13", "answer": "12"},
        {"solution": "I do not know.", "answer": "12"},
        {"solution": None, "answer": "12"},
    )

    on: str = "solution"
    gold: str | None = "answer"
    """The field with the known answer; null to extract only."""

    def reads(self) -> tuple[str, ...]:
        return (self.on,) if self.gold is None else (self.on, self.gold)

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        said = final_answer(self.text(fields))
        gold = _gold(fields.get(self.gold)) if self.gold is not None else None
        answer = None if said is None else canonical(said)
        if gold is None:
            return Finding(True, evidence=said or "", fields={"final_answer": answer, "correct": None})
        if said is None:
            return Finding(False, "no_answer", 0.0, f"wanted {gold}", {"final_answer": None, "correct": False})
        right = same(gold, said)
        return Finding(right, "" if right else "wrong_answer", float(right), f"{said} against {gold}", {"final_answer": answer, "correct": right})


def _gold(value: Any) -> str | None:
    """The known answer as text: of a whole solution its marked answer, of a number or list its JSON."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, default=str)
    return marked_answer(value) or value.strip() or None
