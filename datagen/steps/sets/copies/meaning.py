"""Rows that say the same in other words: a pair is one where the cosine of its vectors is high enough and no number stands in another's place.

Every pair is looked at, in blocks, so nothing is missed; time grows with the square of the rows. Vectors are held in half precision, of
which every product and every sum of products fits a 64-bit float exactly: a cosine is the same to the last bit whatever the order, the
blocks or the machine, so what is dropped is a function of the set.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache, reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from datagen.asking.vectors import numbers_of
from datagen.errors import SeedError
from datagen.records import Row
from datagen.spec.duplicates import MeaningWords
from datagen.steps.sets.words import numbers_in, tokens
from datagen.storage import spilled, word_vectors

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from datagen.steps.sets.base import Measures
    from datagen.steps.sets.copies.scan import Places

MOST_NUMBERS = 48
"""Numbers of a text that are held, a second 3 apart from the first; where one of a pair has more, both must have as many and the same of these."""
ROUNDING = 2e-3
"""What half precision and a quick product may take from a cosine: each number is off by 2^-11 of itself at most, each vector's length too."""
BLOCK, CHUNK = 1024, 8192
"""Rows that are held against so many others at once: 32 MB of cosines."""
SLICE = 4096
"""Pairs whose numbers are compared together: 9 MB."""


def meaning_fields(words: MeaningWords | None) -> list[tuple[Any, ...]]:
    """What is kept of a row to find what says the same, as fields of a numpy record; nothing where that is not wanted."""
    if words is None:
        return []
    return [("vector", "<f2", (words.dimensions,)), ("numbers", "<u4", (MOST_NUMBERS,)), ("many", "<u4"), ("bits", "<u8")]


def put_meanings(found: Measures, rows: Sequence[Row], texts: Iterable[str], words: MeaningWords, files: Sequence[str] = ()) -> None:
    """Fill those fields. `files`: the one with word vectors, where there is one. Raises SeedError for a vector of another size, or one that
    points nowhere."""
    for record, row, text in zip(found, rows, texts, strict=True):
        record["vector"] = mean_of_words(text, files[0]) if files else _unit(row, words)
        numbers = _numbers(text)
        record["numbers"][: len(numbers)] = numbers[:MOST_NUMBERS]
        record["many"] = len(numbers)
        record["bits"] = reduce(or_, (1 << number % 64 for number in numbers), 0)


def _numbers(text: str) -> list[int]:
    """Digests of the numbers of a text, ascending: of each, and of how often it has come before."""
    times: Counter[str] = Counter()
    found = []
    for number in numbers_in(text):
        found.append(zlib.crc32(f"{number} {times[number]}".encode("utf-8", "surrogatepass")) or 1)  # 0 is no number
        times[number] += 1
    return sorted(found)


def _unit(row: Row, words: MeaningWords) -> Any:
    """The row's vector at length 1; zeros, which are like nothing, where it has none."""
    import numpy as np

    value = row.fields.get(str(words.by))
    if value is None:
        return 0.0
    try:
        numbers = numbers_of(value)
    except ValueError as error:
        raise SeedError(f"row {row.id}: the field {words.by!r} holds {error}") from None
    if len(numbers) != words.dimensions:
        raise SeedError(f"row {row.id}: the field {words.by!r} holds a vector of {len(numbers)} numbers where `dimensions` says {words.dimensions}")
    return _at_length_one(np.asarray(numbers, dtype=np.float64))


def nominated(one: Measures, other: Measures, at_least: float, fold: bool, quick: Any = None) -> tuple[Places, Places]:
    """Places, on either side, of all pairs that may say the same: a quick product is near enough, and the bits of their numbers allow it.

    `quick`: the vectors of `other` as 32-bit floats, where they are there already. Ascends.
    """
    import numpy as np

    quick = other["vector"].astype(np.float32) if quick is None else quick
    first, second = np.nonzero(one["vector"].astype(np.float32) @ quick.T >= at_least - ROUNDING)
    if not fold:
        mine, theirs = one["bits"][first], other["bits"][second]
        inside = ((mine & ~theirs) == 0) | ((theirs & ~mine) == 0)
        first, second = first[inside], second[inside]
    return first.astype(np.int64), second.astype(np.int64)


def verified(one: Measures, other: Measures, at_least: float, fold: bool) -> npt.NDArray[np.float64]:
    """The cosine of each pair of rows that says the same, 0 where it does not: the whole test that decides. `one` may be a single row."""
    import numpy as np

    scores = _cosines(one["vector"].astype(np.float64), other["vector"].astype(np.float64))
    good = (scores >= at_least) & (fold | _no_other_number(one, other))
    return np.asarray(np.where(good, scores, 0.0))


def _cosines(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Exact but for one root and one division; 0 where a vector is zeros."""
    import numpy as np

    lengths = (one * one).sum(1) * (other * other).sum(1)
    return np.asarray((one * other).sum(1) / np.sqrt(np.maximum(lengths, np.finfo(np.float64).tiny)))


def _no_other_number(one: Measures, other: Measures) -> npt.NDArray[np.bool_]:
    """Whether all numbers of one text are among those of the other: one more may be a word there, one for another is another problem."""
    import numpy as np

    mine, theirs = one["numbers"], other["numbers"]
    shared = ((mine[:, :, None] == theirs[:, None, :]) & (mine != 0)[:, :, None]).any(2).sum(1)
    few = np.maximum(one["many"], other["many"]) <= MOST_NUMBERS
    same = (one["many"] == other["many"]) & (mine == theirs).all(1)
    return np.asarray(np.where(few, shared == np.minimum(one["many"], other["many"]), same))


def mean_of_words(text: str, path: str) -> Any:
    """The mean of the vectors of a text's words, at length 1; zeros where the file has none of them."""
    import numpy as np

    places, vectors = _words_of(path)
    found = [places[token] for token in tokens(text) if token in places]
    mean = vectors[found].astype(np.float64).sum(0) if found else np.zeros(vectors.shape[1])
    return _at_length_one(mean)


def _at_length_one(vector: npt.NDArray[np.float64]) -> Any:
    """The vector, as long as it has a direction. Its length is summed exactly: another order of summing is another machine's."""
    return vector / (math.sqrt(math.fsum((vector * vector).tolist())) or 1.0)


@lru_cache(maxsize=2)
def _words_of(path: str) -> tuple[dict[str, int], Any]:
    """Word -> its row, and the rows; read once a process."""
    words, vectors = word_vectors(Path(path))
    return {word.casefold(): place for place, word in reversed(list(enumerate(words)))}, vectors


class Nearest(NamedTuple):
    """Of each new row the settled one that says the same: its number, or -1; and the cosine. Of several the most alike, then the earliest."""

    numbers: Places
    scores: npt.NDArray[np.float64]


def nearest(new: Measures, settled: Sequence[Measures], words: MeaningWords, fold: bool) -> Nearest:
    """The settled rows are gone through once, CHUNK at a time."""
    import numpy as np

    found, start = Nearest(np.full(len(new), -1, dtype=np.int64), np.zeros(len(new))), 0
    for some in settled:
        for at in range(0, len(some), CHUNK):
            chunk = np.asarray(some[at : at + CHUNK])
            quick = chunk["vector"].astype(np.float32)
            for here in range(0, len(new), BLOCK):
                block = new[here : here + BLOCK]
                first, second = nominated(block, chunk, words.at_least, fold, quick)
                for cut in range(0, len(first), SLICE):
                    one, other = first[cut : cut + SLICE], second[cut : cut + SLICE]
                    scores = verified(block[one], chunk[other], words.at_least, fold)
                    for place, number, score in zip((here + one).tolist(), (start + at + other).tolist(), scores.tolist(), strict=True):
                        if score > found.scores[place]:  # numbers ascend, so of equals the first stays
                            found.numbers[place], found.scores[place] = number, score
        start += len(some)
    return found


class Meanings:
    """Goes through the new rows in their order, told of each that is kept, and says which are covered by one of those or by a settled one."""

    def __init__(self, ordered: Measures, first: int, settled: Nearest, words: MeaningWords, fold: bool, near: Path) -> None:
        """`ordered`: the new rows in the order of preference, the first of which has the place `first`. `settled`: of each of these, by place.
        `near`: a folder on the disk to use."""
        import numpy as np

        self._rows, self._first, self._settled = ordered, first, settled
        self._at_least, self._fold = words.at_least, fold
        self._quick = spilled(near, len(ordered), np.dtype(("<f4", (words.dimensions,))))
        self._held = spilled(near, len(ordered), np.dtype(meaning_fields(words)))
        self._ranks: list[int] = []
        self._stays = np.zeros(len(ordered), dtype=bool)
        self._from = self._until = 0
        self._others, self._starts = np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64)

    def cover(self, place: int) -> tuple[float, int] | None:
        """(cosine, place) of the kept row that says the same; of several the most alike, then the earliest. Places ascend."""
        rank = place - self._first
        if rank >= self._until:
            self._look(rank)
        at = rank - self._from
        others = self._others[self._starts[at] : self._starts[at + 1]]
        others = others[self._stays[others]]
        scores = verified(self._rows[rank : rank + 1], self._rows[others], self._at_least, self._fold).tolist() if len(others) else []
        causes = [(score, -self._first - other) for score, other in zip(scores, others.tolist(), strict=True) if score]
        if self._settled.numbers[rank] >= 0:
            causes.append((float(self._settled.scores[rank]), -int(self._settled.numbers[rank])))
        score, other = max(causes, default=(0.0, 0))
        return (score, -other) if score else None

    def keep(self, place: int) -> None:
        rank = place - self._first
        row = self._rows[rank]
        if not row["vector"].any():
            return
        for name in self._held.dtype.names:
            self._held[name][len(self._ranks)] = row[name]
        self._quick[len(self._ranks)] = row["vector"]
        self._ranks.append(rank)
        self._stays[rank] = True

    def _look(self, rank: int) -> None:
        """Hold the next rows against all that are kept, and against one another."""
        import numpy as np

        block = np.asarray(self._rows[rank : rank + BLOCK])
        met = [nominated(block, block, self._at_least, self._fold)]
        met[0][1][:] += rank
        for at in range(0, len(self._ranks), CHUNK):
            ranks = np.array(self._ranks[at : at + CHUNK], dtype=np.int64)
            held, quick = self._held[at : at + len(ranks)], self._quick[at : at + len(ranks)]
            first, second = nominated(block, held, self._at_least, self._fold, quick)
            met.append((first, ranks[second]))
        first, others = (np.concatenate(side) for side in zip(*met, strict=True))
        order = np.argsort(first, kind="stable")
        self._others, self._starts = others[order], np.searchsorted(first[order], np.arange(len(block) + 1))
        self._from, self._until = rank, rank + len(block)
