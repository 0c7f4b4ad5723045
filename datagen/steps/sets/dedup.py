"""dedup: near-duplicates within the release and against all released rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datagen.plan.model import PlannedStep
from datagen.records import Row
from datagen.spec.models import Ask, Dedup
from datagen.spec.templates import own_words
from datagen.steps.sets.base import Decision, Say, Stock, measures, preference, text_of
from datagen.steps.sets.copies.meaning import Meanings, Nearest, meaning_fields, nearest, put_meanings
from datagen.steps.sets.copies.related import related
from datagen.steps.sets.copies.similarity import signature_fields, signatures
from datagen.steps.sets.copies.ties import Ties
from datagen.storage import Texts, spilled

if TYPE_CHECKING:
    from datagen.steps.sets.base import Measures, Numbers


SOME = 16_384
"""Measures that are put in order at once."""
SHOWN = 120
"""Characters of the row that covers a dropped one, in its evidence."""


class DedupStep:
    """Released rows come first and stay; then the higher `prefer`, then the lower id. The text of the prompts before is not compared."""

    def __init__(self, step: PlannedStep, before: Sequence[PlannedStep]) -> None:
        assert isinstance(step.spec, Dedup)
        self._words, self._paths = step.spec.dedup, step.references
        self._known = [words for each in before if isinstance(each.spec, Ask) and each.prompt for words in own_words(each.prompt.body)]

    def ready(self) -> bool:
        """A worker of a cluster has no file of word vectors."""
        return all(Path(path).exists() for path in self._paths)

    def measure(self, rows: Sequence[Row]) -> Measures:
        """Each row's signature and preference."""
        meaning = self._words.meaning
        found = measures(len(rows), [("prefer", "<f8"), *signature_fields(), *meaning_fields(meaning)])
        if meaning is not None:
            put_meanings(found, rows, map(self._text, rows), meaning, self._paths)
        signed = signatures((self._text(row) for row in rows), self._words.numbers, self._known)
        for name in signed.dtype.names or ():
            found[name] = signed[name]
        found["id"] = [row.id for row in rows]
        found["prefer"] = [preference(self._words.prefer, row) for row in rows]
        return found

    def judge(self, new: Measures, settled: Sequence[Measures], stock: Stock) -> Say:
        """Of the settled rows only those are looked at that share something with a new one."""
        import numpy as np

        words, first = self._words, sum(map(len, settled))
        ranked = np.lexsort((new["id"], -new["prefer"]))
        before = related(settled, new, words.exact_only)
        alike = nearest(new, settled, words.meaning, words.numbers == "fold") if words.meaning else None
        if alike is not None:
            before = np.union1d(before, alike.numbers[alike.numbers >= 0])
        numbers = np.concatenate([before, first + ranked])
        signed = spilled(stock.near, len(numbers), new.dtype)
        signed[: len(before)] = np.concatenate([new[:0], *_picked(settled, before)])
        for at in range(0, len(ranked), SOME):
            signed[len(before) + at :][:SOME] = new[ranked[at : at + SOME]]
        ties = Ties.of(signed, len(before), words.exact_only)
        involved, places = ties.involved(), range(len(numbers))
        beyond = self._beyond(alike, ranked, before, signed, stock) if alike is not None else None
        decisions: dict[int, Decision] = {}
        with contextlib.closing(Texts(stock.near)) as texts:
            by_number = np.sort(numbers[involved])
            for number, row in zip(by_number.tolist(), stock.rows(by_number), strict=True):
                texts.put(number, self._text(row))
            found = ties.broken(lambda place: texts.get(int(numbers[place])), places, words.threshold, words.numbers, self._known, beyond)
            told = self._told({int(numbers[each.of]) for each in found if each.kind == "meaning"}, stock)
            for each in found:
                number = int(numbers[each.of])
                evidence = f"of {signed['id'][each.of].decode()}: {told[number] if each.kind == 'meaning' else texts.get(number)[:SHOWN]}"
                operator = each.kind if each.kind == "meaning" else ""
                decisions[int(numbers[each.index])] = Decision(f"{each.kind}_duplicate", evidence, each.score, operator)
        return lambda number, row: decisions.get(number, _KEPT)

    def _beyond(self, alike: Nearest, ranked: Numbers, before: Numbers, signed: Measures, stock: Stock) -> Meanings:
        """The second tier; settled rows by their places, new ones in their order."""
        import numpy as np

        assert self._words.meaning is not None
        by_rank = alike.numbers[ranked]
        settled = Nearest(np.where(by_rank >= 0, np.searchsorted(before, by_rank), -1), alike.scores[ranked])
        return Meanings(signed[len(before) :], len(before), settled, self._words.meaning, self._words.numbers == "fold", stock.near)

    def _told(self, numbers: set[int], stock: Stock) -> dict[int, str]:
        """How the texts of these rows begin."""
        import numpy as np

        wanted = np.array(sorted(numbers), dtype=np.int64)
        return {number: self._text(row)[:SHOWN] for number, row in zip(wanted.tolist(), stock.rows(wanted), strict=True)}

    def kept(self, row: Row) -> Decision:
        return _KEPT

    def _text(self, row: Row) -> str:
        return text_of(row.fields, self._words.on)


_KEPT = Decision()


def _picked(settled: Sequence[Measures], numbers: Numbers) -> Iterator[Measures]:
    """The measures of the settled rows with these numbers, which ascend."""
    start = 0
    for some in settled:
        mine = numbers[(numbers >= start) & (numbers < start + len(some))] - start
        yield some[mine]
        start += len(some)
