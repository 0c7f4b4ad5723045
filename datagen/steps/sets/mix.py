"""mix: quotas, at most so many rows per value of a field."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from datagen.plan.model import PlannedStep
from datagen.records import Row
from datagen.spec.models import Mix
from datagen.steps.sets.base import Decision, Say, Stock, measures

if TYPE_CHECKING:
    from datagen.steps.sets.base import Measures


class MixStep:
    """Lowest ids first, which is as good as at random and does not move when rows are added; released rows count against the quota."""

    def __init__(self, step: PlannedStep, before: Sequence[PlannedStep]) -> None:
        assert isinstance(step.spec, Mix)
        self._words = step.spec.mix

    def ready(self) -> bool:
        return True

    def measure(self, rows: Sequence[Row]) -> Measures:
        """The digest of each row's value."""
        found = measures(len(rows), [("value", "<u8")])
        found["id"] = [row.id for row in rows]
        found["value"] = [_digest(row.fields.get(self._words.by)) for row in rows]
        return found

    def judge(self, new: Measures, settled: Sequence[Measures], stock: Stock) -> Say:
        import numpy as np

        most = self._words.at_most
        quotas = most if isinstance(most, int) else {_digest(value): quota for value, quota in most.items()}
        taken: Counter[int] = Counter()
        for some in settled:
            values, counts = np.unique(some["value"], return_counts=True)
            taken.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        over = np.zeros(len(new), dtype=bool)
        for place, value in zip((order := np.argsort(new["id"])).tolist(), new["value"][order].tolist(), strict=True):
            quota = quotas if isinstance(quotas, int) else quotas.get(value)
            over[place] = quota is not None and taken[value] >= quota
            taken[value] += not over[place]
        first = sum(map(len, settled))
        return lambda number, row: self._said(row, bool(over[number - first]))

    def kept(self, row: Row) -> Decision:
        return self._said(row, False)

    def _said(self, row: Row, over: bool) -> Decision:
        by, value = self._words.by, str(row.fields.get(self._words.by))
        most = self._words.at_most if isinstance(self._words.at_most, int) else self._words.at_most.get(value)
        evidence = f"{by} = {value}, at most {most}" if most is not None else f"{by} = {value}, no quota"
        return Decision("over_quota" if over else "", evidence)


def _digest(value: Any) -> int:
    return int.from_bytes(hashlib.blake2b(str(value).encode("utf-8", errors="surrogatepass"), digest_size=8).digest(), "little")
