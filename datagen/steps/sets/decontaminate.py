"""decontaminate: leakage of benchmark items, with the matched item and the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from datagen.plan.model import PlannedStep
from datagen.plan.resolve import REFERENCE_COLUMNS
from datagen.records import Row
from datagen.seeds.table import Table
from datagen.spec.models import Decontaminate
from datagen.steps.sets.base import Decision, Say, Stock, measures, text_of
from datagen.steps.sets.overlap import Item, Leak, References

if TYPE_CHECKING:
    from datagen.steps.sets.base import Measures


class DecontaminateStep:
    """Drop rows that hold a reference item verbatim, or a large share of its n-grams. Released rows are not looked at again."""

    def __init__(self, step: PlannedStep, before: Sequence[PlannedStep]) -> None:
        assert isinstance(step.spec, Decontaminate)
        self._words = step.spec.decontaminate
        self._paths = step.references

    def ready(self) -> bool:
        """A worker of a cluster has no reference files."""
        return all(Path(path).exists() for path in self._paths)

    def measure(self, rows: Sequence[Row]) -> Measures:
        """Whether each row leaks: the costly part. What leaks is looked up again for the few that do."""
        found = measures(len(rows), [("leaks", "?")])
        found["id"] = [row.id for row in rows]
        found["leaks"] = [self._leak(row) is not None for row in rows]
        return found

    def judge(self, new: Measures, settled: Sequence[Measures], stock: Stock) -> Say:
        first = sum(map(len, settled))
        return lambda number, row: self._said(row) if new["leaks"][number - first] else Decision()

    def kept(self, row: Row) -> Decision:
        return Decision()

    def _said(self, row: Row) -> Decision:
        leak = self._leak(row)
        assert leak is not None
        return Decision(f"leak_{leak.kind}", f"{leak.benchmark} {leak.item}: {leak.evidence}", leak.share)

    def _leak(self, row: Row) -> Leak | None:
        return _references(self._paths, self._words.ngram, self._words.share).find(text_of(row.fields, self._words.on))


@lru_cache(maxsize=4)
def _references(paths: tuple[str, ...], ngram: int, share: float) -> References:
    """Built once a process."""
    return References([item for path in paths for item in items(Path(path))], ngram=ngram, share=share)


def items(path: Path) -> Iterator[Item]:
    """The items of one reference file; a `benchmark` and an `id` column are used where there are any."""
    for number, values in enumerate(Table(path=str(path)).rows(Path("/"), lambda _: [])):
        column = next(name for name in REFERENCE_COLUMNS if name in values)  # the plan has looked
        yield Item(str(values.get("benchmark") or path.stem), str(values.get("id", number)), str(values[column] or ""))
