"""What a set-wise step is: it measures rows where they are walked, and decides over the measures of all; texts are read of few."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from datagen.errors import SpecError
from datagen.plan.model import Plan, PlannedStep, Stretch
from datagen.records import Row
from datagen.spec.templates import evaluate
from datagen.steps import SETS
from datagen.storage import row_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Measures = npt.NDArray[np.void]
    """One record a row, in the order of the rows; what it holds is its step's own, and always the row's `id`."""
    Numbers = npt.NDArray[np.int64]

VERSION = 4
"""Of the measures of all steps: another number, and every part is measured anew."""
ID = ("id", "S23")
"""`r1:` and 20 digits; sorts as the text does."""


class Decision(NamedTuple):
    """What a step says of one row; `reason` is empty when it is kept."""

    reason: str = ""
    evidence: str = ""
    score: float | None = None
    operator: str = ""
    """Which part of the step decided; empty: the step's verb."""


Say = Callable[[int, Row], Decision]
"""The decision on the row of this number (see Stock)."""


class Stock(Protocol):
    """The rows that decisions are about, by number: those of earlier decisions first, in the order in which they were made, then the new ones."""

    @property
    def near(self) -> Path:
        """A folder on the disk to use."""
        ...

    def rows(self, numbers: Numbers) -> Iterator[Row]:
        """Those with these numbers, which ascend. Each file is read once."""
        ...


class SetStep(Protocol):
    """A verb that sees the whole set; picklable, for it measures in other processes."""

    def __init__(self, step: PlannedStep, before: Sequence[PlannedStep]) -> None: ...

    def ready(self) -> bool:
        """Whether this machine has what measuring needs; else it is done where decisions are made."""
        ...

    def measure(self, rows: Sequence[Row]) -> Measures:
        """A function of each row alone, so that any worker may do it, once."""
        ...

    def judge(self, new: Measures, settled: Sequence[Measures], stock: Stock) -> Say:
        """Decide about the new rows. The settled ones stay; `settled` may lie on the disk and is best gone through once.

        The decision hangs on the rows alone, not on the order in which the new ones come.
        """
        ...

    def kept(self, row: Row) -> Decision:
        """What is said of a row that is kept: it hangs on no other row."""
        ...


def set_step(plan: Plan, stretch: Stretch) -> SetStep:
    """The step that closes a stretch."""
    step = stretch.closing
    assert step is not None
    made: SetStep = SETS.get(step.verb)(step, plan.steps[: step.number - 1])
    return made


def measured(step: SetStep, records: Sequence[Mapping[str, Any]]) -> Measures:
    """What runs in another process: the measures of rows as a file has them."""
    return step.measure([row_of(record) for record in records])


class Held:
    """Rows in memory as a stock."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self.near = Path(tempfile.gettempdir())

    def rows(self, numbers: Numbers) -> Iterator[Row]:
        return (self._rows[number] for number in numbers.tolist())


def measures(count: int, fields: Sequence[tuple[Any, ...]]) -> Measures:
    """Room for the measures of `count` rows, all zero."""
    import numpy as np

    return np.zeros(count, dtype=[ID, *fields])


def preference(expression: str | None, row: Row) -> float:
    """The value of a step's `prefer`; the lowest of all where it has none."""
    try:
        value = evaluate(expression, row.fields) if expression else 0.0
    except SpecError:
        return float("-inf")
    return float(value) if isinstance(value, bool | int | float) else float("-inf")


def text_of(fields: Mapping[str, Any], on: str | list[str]) -> str:
    """A field, or fields taken together, as text."""
    names = [on] if isinstance(on, str) else on
    return "\n".join(str(fields.get(name) or "") for name in names)


def value_digest(value: Any) -> int:
    """By which values are told apart: as text, so that the quota of '3' is that of 3."""
    return int.from_bytes(hashlib.blake2b(str(value).encode("utf-8", errors="surrogatepass"), digest_size=8).digest(), "little")
