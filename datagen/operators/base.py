"""What an operator is: a frozen pydantic model, one row in, one finding out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, model_validator

from datagen.operators.features import Features, features_of

Task = Literal["prose", "maths", "code", "chat"]
TASKS: frozenset[str] = frozenset(get_args(Task))
"""The types of row. A row says its own in the field `task`; one that says nothing, or a word that no type goes by, is judged by every operator."""
_ALSO: Mapping[str, Task] = {
    **dict.fromkeys(("math", "mathematics"), "maths"),
    **dict.fromkeys(("coding", "programming", "python"), "code"),
}
"""Other words for the types, in lower case."""


def task_of(value: object) -> Task | None:
    """The type that a row's field `task` names, in whatever case (`Code`, `math`); None where it names none."""
    word = value.strip().lower() if isinstance(value, str) else ""
    return _ALSO.get(word) or next((task for task in get_args(Task) if task == word), None)


@dataclass(frozen=True, slots=True)
class Finding:
    """What an operator says of one row; the step adds row, step, operator and version and calls it a Verdict."""

    keep: bool
    reason: str = ""
    """A short snake_case word, counted in the funnel; empty when kept."""
    score: float | None = None
    """The measured number, kept for kept rows too, so that a threshold can move without measuring again."""
    evidence: str = ""
    """The words that decided; cut at 200 characters by the step."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What a claim writes to the row (see `Operator.writes`)."""
    span: tuple[int, int] | None = None
    """First character and the one after the last of what decided, where the evidence does not quote it; else the step looks for the evidence."""


def place_of(text: str, words: str, between: str = r"\s+") -> tuple[int, int] | None:
    """Where words stand in a text, in capitals or small letters and whatever white space (or other `between`) parts them; None where they do not."""
    parts = words.split()
    found = re.search(between.join(map(re.escape, parts)), text, re.IGNORECASE) if parts else None
    return found.span() if found else None


class Operator(BaseModel):
    """One row in, one finding out, no memory. Parameters are validated here and nowhere else.

    A subclass overrides `judge`, bumps `version` whenever its findings can change, and carries `keeps` and `drops`: examples that are
    shown in the documents and run by the contract test. An example is the text of `on`, or a mapping of fields.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: ClassVar[int] = 1
    writes: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that `Finding.fields` may hold; empty for a plain filter."""
    keeps: ClassVar[Sequence[str | Mapping[str, Any]]] = ()
    drops: ClassVar[Sequence[str | Mapping[str, Any]]] = ()

    made_for: ClassVar[frozenset[str]] = TASKS
    """The types of row on which the findings were measured; a row of another type is never shown to it. Rules for prose leave out code and maths."""

    on: str = "text"
    """The field that is judged."""
    tasks: tuple[Task, ...] = ()
    """The types of row that this line of a recipe judges, of those the operator is made for; empty: all of them."""

    @model_validator(mode="after")
    def _fits(self) -> Operator:
        if wrong := sorted(set(self.tasks) - self.made_for):
            raise ValueError(f"is made for {', '.join(sorted(self.made_for))}; it does not judge {', '.join(wrong)}")
        return self

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        """Look at one row's fields. Pure and picklable: it runs in another process. Raises nothing on odd text."""
        raise NotImplementedError

    def judges(self, task: object) -> bool:
        """Whether a row of this type is shown to the operator."""
        named = task_of(task)
        return named is None or named in (self.tasks or self.made_for)

    def reads(self) -> tuple[str, ...]:
        """The fields this operator needs; `plan` checks that they exist."""
        return (self.on,)

    def written(self) -> tuple[str, ...]:
        """The fields it may write with these parameters."""
        return self.writes

    def ready(self) -> None:
        """Raises SetupError where this machine lacks what the operator needs; `plan` asks before anything is paid."""

    def deadline(self) -> float:
        """Seconds that one row may take, where the pool's own deadline for a batch (`runtime/pool.py`) is too short; 0: it is not."""
        return 0.0

    def text(self, fields: Mapping[str, Any]) -> str:
        """The judged field as text; empty when it is missing or None."""
        value = fields.get(self.on)
        return value if isinstance(value, str) else "" if value is None else str(value)

    def features(self, fields: Mapping[str, Any]) -> Features:
        """The judged text with all that operators share."""
        return features_of(self.text(fields))
