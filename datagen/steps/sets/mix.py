"""mix: quotas, at most so many rows per value of a field, or per opening of a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from datagen.plan.model import PlannedStep
from datagen.records import Row
from datagen.release.measured.variety import words_of
from datagen.spec.models import Mix, MixWords, OpeningsWords
from datagen.steps.sets.base import Decision, Say, Stock, measures, preference, value_digest

if TYPE_CHECKING:
    from datagen.steps.sets.base import Measures


class MixStep:
    """Lowest ids first, which is as good as at random and does not move when rows are added; released rows count against the quota."""

    def __init__(self, step: PlannedStep, before: Sequence[PlannedStep]) -> None:
        assert isinstance(step.spec, Mix)
        words = step.spec.mix
        self._way: _Values | _Openings = _Openings(words) if isinstance(words, OpeningsWords) else _Values(words)

    def ready(self) -> bool:
        return True

    def measure(self, rows: Sequence[Row]) -> Measures:
        """The digest of each row's value, and what else decides."""
        found = measures(len(rows), self._way.fields)
        found["id"] = [row.id for row in rows]
        for name, values in self._way.measure(rows).items():
            found[name] = values
        return found

    def judge(self, new: Measures, settled: Sequence[Measures], stock: Stock) -> Say:
        import numpy as np

        taken: Counter[int] = Counter()
        for some in settled:
            taken.update(_counted(some["value"]))
        come = _counted(new["value"])
        quotas = self._way.quotas(taken, come)
        over = np.zeros(len(new), dtype=bool)
        for place, value in zip((order := self._way.order(new)).tolist(), new["value"][order].tolist(), strict=True):
            quota = quotas.get(value)
            over[place] = quota is not None and taken[value] >= quota
            taken[value] += not over[place]
        first = sum(map(len, settled))

        def say(number: int, row: Row) -> Decision:
            at = number - first
            value = int(new["value"][at])
            return self._way.over(row, quotas[value], come[value]) if over[at] else self._way.kept(row)

        return say

    def kept(self, row: Row) -> Decision:
        return self._way.kept(row)


class _Values:
    """A quota for each value of a field, or one for all."""

    fields: Sequence[tuple[str, str]] = [("value", "<u8")]

    def __init__(self, words: MixWords) -> None:
        self._words = words

    def measure(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        return {"value": [value_digest(row.fields.get(self._words.by)) for row in rows]}

    def order(self, new: Measures) -> Any:
        import numpy as np

        return np.argsort(new["id"])

    def quotas(self, taken: Mapping[int, int], come: Mapping[int, int]) -> dict[int, int]:
        most = self._words.at_most
        return dict.fromkeys(come, most) if isinstance(most, int) else {value_digest(value): quota for value, quota in most.items()}

    def over(self, row: Row, quota: int, come: int) -> Decision:
        return self.kept(row)._replace(reason="over_quota")

    def kept(self, row: Row) -> Decision:
        by, value = self._words.by, str(row.fields.get(self._words.by))
        most = self._words.at_most if isinstance(self._words.at_most, int) else self._words.at_most.get(value)
        return Decision("", f"{by} = {value}, at most {most}" if most is not None else f"{by} = {value}, no quota")


class _Openings:
    """One quota for all openings: those that few rows share are never touched, those that many share are thinned."""

    fields: Sequence[tuple[str, str]] = [("value", "<u8"), ("prefer", "<f8")]

    def __init__(self, words: OpeningsWords) -> None:
        self._words = words

    def measure(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        openings = [self._opening(row) for row in rows]
        prefer = [preference(self._words.prefer, row) for row in rows]
        return {"value": [value_digest(opening) if opening else 0 for opening in openings], "prefer": prefer}

    def order(self, new: Measures) -> Any:
        import numpy as np

        return np.lexsort((new["id"], -new["prefer"]))

    def quotas(self, taken: Mapping[int, int], come: Mapping[int, int]) -> dict[int, int]:
        """The same for every opening. A share is one of the rows that are left when the quota has been kept: the highest such number. What is
        out counts whether it keeps the quota or not."""
        most, every = self._words.at_most, {value: come.get(value, 0) + taken.get(value, 0) for value in {*come, *taken}}
        quota = int(most)
        if most < 1:
            left, before = sum(every.values()), -1
            while left != before:
                quota = max(1, int(most * left))
                left, before = sum(max(taken.get(value, 0), min(count, quota)) if value else count for value, count in every.items()), left
        return {value: quota for value in every if value}

    def over(self, row: Row, quota: int, come: int) -> Decision:
        return Decision("common_opening", f"“{self._opening(row)} …” begins {come:,} of the rows that came, at most {quota:,} may")

    def kept(self, row: Row) -> Decision:
        return Decision()

    def _opening(self, row: Row) -> str:
        return " ".join(words_of(str(row.fields.get(self._words.openings) or ""), self._words.words))


def _counted(values: Any) -> dict[int, int]:
    import numpy as np

    different, counts = np.unique(values, return_counts=True)
    return dict(zip(different.tolist(), counts.tolist(), strict=True))
