"""What is odd about all the rows that a set-wise step has seen, so that a word of the spec did nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from datagen.plan.model import PlannedStep
from datagen.spec.duplicates import DedupWords
from datagen.spec.models import Dedup, Mix, MixWords, OpeningsWords
from datagen.steps.sets.base import value_digest

if TYPE_CHECKING:
    from datagen.steps.sets.base import Measures


def remarks(step: PlannedStep, seen: Sequence[Measures]) -> list[str]:
    """A `prefer` that is a number for no row, quotas of values that no row has: a line each. `seen`: the measures of all rows."""
    match step.spec:
        case Dedup(dedup=DedupWords(prefer=prefer)) | Mix(mix=OpeningsWords(prefer=prefer)):
            return list(_no_preference(step, prefer, seen))
        case Mix(mix=MixWords() as words):
            return list(_no_such_value(step, words, seen))
    return []


def _no_preference(step: PlannedStep, prefer: str | None, seen: Sequence[Measures]) -> Iterator[str]:
    import numpy as np

    if prefer and any(map(len, seen)) and all(bool(np.isneginf(some["prefer"]).all()) for some in seen):
        yield f"{step.name}: prefer `{prefer}` is a number for no row, so the lower id stays; of a text, say `FIELD|length`"


def _no_such_value(step: PlannedStep, words: MixWords, seen: Sequence[Measures]) -> Iterator[str]:
    import numpy as np

    if not isinstance(words.at_most, dict) or not any(map(len, seen)):
        return
    digests = np.array([value_digest(value) for value in words.at_most], dtype=np.uint64)
    met = np.zeros(len(digests), dtype=bool)
    for some in seen:
        met |= np.isin(digests, some["value"])
    missing = [repr(value) for value, found in zip(words.at_most, met.tolist(), strict=True) if not found]
    if missing:
        yield f"{step.name}: at_most has a quota for {words.by} = {', '.join(missing)}, which no row has"
