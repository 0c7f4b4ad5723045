"""decontaminate: leakage of benchmark items, with the matched item and the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from datagen.plan.files import reference_texts
from datagen.plan.model import PlannedStep
from datagen.records import Row
from datagen.spec.models import Decontaminate
from datagen.steps.sets.base import Decision, Say, Stock, measures, text_of
from datagen.steps.sets.leaks.contamination import Detector, Finding
from datagen.steps.sets.leaks.overlap import Item

if TYPE_CHECKING:
    from datagen.steps.sets.base import Measures


class DecontaminateStep:
    """Drop the classes of leaks that `drop` names; what is found besides is told of the kept row. Released rows are not judged again."""

    def __init__(self, step: PlannedStep, before: Sequence[PlannedStep]) -> None:
        assert isinstance(step.spec, Decontaminate)
        self._words = step.spec.decontaminate
        self._paths = step.references

    def ready(self) -> bool:
        """A worker of a cluster has no reference files."""
        return all(Path(path).exists() for path in self._paths)

    def measure(self, rows: Sequence[Row]) -> Measures:
        """Whether each row holds anything: the costly part. What does is looked up again for the few."""
        found = measures(len(rows), [("leaks", "?")])
        found["id"] = [row.id for row in rows]
        found["leaks"] = [self._found(row) is not None for row in rows]
        return found

    def judge(self, new: Measures, settled: Sequence[Measures], stock: Stock) -> Say:
        first = sum(map(len, settled))
        return lambda number, row: self._said(row) if new["leaks"][number - first] else Decision()

    def kept(self, row: Row) -> Decision:
        """A row that stands in a release says what is found in it, and stays."""
        return self._said(row)._replace(reason="")

    def _said(self, row: Row) -> Decision:
        found = self._found(row)
        if found is None:
            return Decision()
        reason = f"leak_{found.kind}" if found.kind in self._words.drop else ""
        return Decision(reason, f"{found.kind}: {found.benchmark} {found.item}: {found.evidence}", found.score)

    def _found(self, row: Row) -> Finding | None:
        return _detector(self._paths, self._words.ngram, self._words.share).find(text_of(row.fields, self._words.on))


@lru_cache(maxsize=4)
def _detector(paths: tuple[str, ...], ngram: int, share: float) -> Detector:
    """Built once a process."""
    return Detector([item for path in paths for item in items(Path(path))], ngram=ngram, share=share)


def items(path: Path) -> Iterator[Item]:
    """The items of one reference file; `benchmark`, `id` and `code` columns are used where there are any."""
    for number, (values, text) in enumerate(reference_texts(path)):
        name, known = str(values.get("benchmark") or path.stem), str(values.get("id", number))
        yield Item(name, known, text, str(values.get("code") or ""))
