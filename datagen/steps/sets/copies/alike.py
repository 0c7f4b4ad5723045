"""Pairs of texts judged many at once: which are surely near-duplicates, which not, and which few must be read word by word.

What decides is `similarity.verified`. The same is said here of bigrams as 64-bit numbers, in arrays; where known text has cut a text in pieces that
differ in more than scattered places, the pair is read word by word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from datagen.steps.sets.copies.figures import LOST, Figures
from datagen.steps.sets.copies.shingles import Shingler, Shingles
from datagen.steps.sets.copies.similarity import OWN_LIKENESS, OWN_RUN, OWN_SHARE, OWN_WORDS, STRETCH, Reader, batches, demanded, verified

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from datagen.steps.sets.copies.scan import Hashes, Marks, Places
    from datagen.steps.sets.copies.similarity import Numbers, Reading

    Scores = npt.NDArray[np.float64]

_BITS = 44
"""Of a bigram's number, in which two of a pair of texts are compared: of 10^9 pairs of 50 words one has two bigrams taken for one."""
_TOGETHER = 1 << 15
"""Bigrams that are compared at once, or a pair if it has more: the arrays lie in a processor's cache."""
_HELD = 1 << 23
"""Bigrams of texts that are held for pairs to come: 64 MB."""


class _Outline(NamedTuple):
    """A text, as far as most pairs need it."""

    pairs: Hashes
    figures: int
    """A digest of them in order."""
    length: int
    split: bool
    """Whether known text stands between its words."""
    read: Shingles
    number: int
    """Its own among those read together."""


class Readings:
    """Texts that are read when a pair of them is judged, and not again as long as there is room."""

    def __init__(self, text: Callable[[int], str], threshold: float, numbers: Numbers, known: Sequence[str]) -> None:
        """`text`: that of a place; the rest as in `similarity.similarity`."""
        reader = Reader(numbers, known)
        self._text, self._threshold, self._shingler = text, threshold, Shingler(numbers == "fold", known)
        self._read: Callable[[int], Reading] = lru_cache(maxsize=8192)(lambda place: reader.read(text(place)))
        self._figures: Callable[[int], Figures] = lru_cache(maxsize=8192)(self._figures_of)
        self._outlines: dict[int, _Outline] = {}
        self._held = 0

    def hold(self, places: Iterable[int]) -> None:
        """Read those that are not held."""
        missing = [place for place in dict.fromkeys(places) if place not in self._outlines]
        if self._held > _HELD:
            self._outlines, self._held = {place: self._outlines[place] for place in places if place in self._outlines}, 0
        for some, texts in batches((place, self._text(place)) for place in missing):
            read = self._shingler.read(texts)
            sequences, lengths, split = read.sequences().tolist(), read.lengths.tolist(), read.split.tolist()
            self._held += len(read.pairs)
            start = 0
            for number, end in enumerate(read.ends.tolist()):
                self._outlines[some[number]] = _Outline(read.pairs[start:end], sequences[number], lengths[number], split[number], read, number)
                start = end

    def scores(self, ones: Sequence[int], others: Sequence[int]) -> Scores:
        """Of each pair of places its bigram Jaccard where it is a near-duplicate, else not a number."""
        import numpy as np

        self.hold([*ones, *others])
        found = [np.zeros(0)]
        for start, end in self._slices(ones, others):
            outlines = [self._outlines[place] for pair in zip(ones[start:end], others[start:end], strict=True) for place in pair]
            scores, changed, unsure = _compared(outlines, self._threshold)
            for at in np.flatnonzero(changed).tolist():
                if not self._agree(ones[start + at], others[start + at], float(scores[at])):
                    scores[at] = np.nan
            for at in np.flatnonzero(unsure & (scores > 0)).tolist():
                score = verified(self._read(ones[start + at]), self._read(others[start + at]), self._threshold)
                scores[at] = np.nan if score is None else score
            found.append(scores)
        return np.concatenate(found)

    def _agree(self, one: int, other: int, score: float) -> bool:
        """Whether the figures are those of a text and its edited copy."""
        lengths = self._outlines[one].length, self._outlines[other].length
        return self._figures(one).agree(self._figures(other), min(lengths), max(lengths) - min(lengths), score)

    def _figures_of(self, place: int) -> Figures:
        return self._outlines[place].read.figures_of(self._outlines[place].number)

    def _slices(self, ones: Sequence[int], others: Sequence[int]) -> Iterator[tuple[int, int]]:
        start = size = 0
        for at, (one, other) in enumerate(zip(ones, others, strict=True)):
            more = len(self._outlines[one].pairs) + len(self._outlines[other].pairs)
            if size and size + more > _TOGETHER:
                yield start, at
                start, size = at, 0
            size += more
        if size:
            yield start, len(ones)


def _compared(outlines: Sequence[_Outline], threshold: float) -> tuple[Scores, Marks, Marks]:
    """Of pairs, one text after the other: (bigram Jaccard, not a number where they are surely no near-duplicates; which have other figures; of
    which it is not sure that they are one content)."""
    import numpy as np

    met = _Met.of(outlines)
    lengths = np.array([each.length for each in outlines]).reshape(-1, 2)
    figures = np.array([each.figures for each in outlines], dtype=np.uint64).reshape(-1, 2)
    both, either = met.counts(np.ones(len(met.side), dtype=bool))
    scores = both / either
    scores[scores < demanded(lengths.min(axis=1), threshold)] = np.nan
    changed = (figures[:, 0] != figures[:, 1]) & ~np.isnan(scores)
    scores[changed & (abs(lengths[:, 0] - lengths[:, 1]) > np.maximum(1, LOST * lengths.min(axis=1)))] = np.nan
    close = np.flatnonzero(scores < 1)
    unsure = np.zeros(len(scores), dtype=bool)
    scattered = _Runs.of(~met.shared, met.sizes).longest(inside=1).reshape(-1, 2).min(axis=1) < OWN_RUN
    unsure[close] = ~scattered[close]
    hard = np.flatnonzero(unsure)
    if len(hard):
        those = [outlines[2 * pair + side] for pair in hard.tolist() for side in (0, 1)]
        unsure[hard] = [one.split or other.split for one, other in zip(those[::2], those[1::2], strict=True)]
        scores[hard[~unsure[hard] & _apart(those)]] = np.nan
    return scores, changed & ~np.isnan(scores), unsure


def _apart(outlines: Sequence[_Outline]) -> Marks:
    """Of pairs whose words differ in more than scattered places, which are apart, as `similarity.apart` says it; for texts in one piece."""
    import numpy as np

    met = _Met.of(outlines)
    lengths = np.array([each.length for each in outlines])
    runs = _Runs.of(met.shared, met.sizes)
    left = (lengths - runs.words(STRETCH - 1)).reshape(-1, 2).min(axis=1)
    both, either = met.counts(~runs.within(STRETCH - 1))
    own = np.maximum(OWN_WORDS, OWN_SHARE * lengths.reshape(-1, 2).min(axis=1))
    return np.asarray((left >= own) & (both < OWN_LIKENESS * either))


@dataclass(frozen=True)
class _Met:
    """The bigrams of pairs of texts, equal ones of a pair side by side."""

    sizes: Places
    """Bigrams of each text."""
    order: Places
    """Where each of them stands in the texts."""
    starts: Places
    """Where others begin."""
    side: npt.NDArray[np.uint8]
    """1 for those of the first text of a pair, 2 for those of the second."""
    pair: Places
    """Of each that differs, whose it is."""

    @classmethod
    def of(cls, outlines: Sequence[_Outline]) -> _Met:
        import numpy as np

        one, sizes = np.uint64(1), np.array([len(each.pairs) for each in outlines])
        text = np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)
        pairs = np.concatenate([each.pairs for each in outlines])
        keys = (text >> one) << np.uint64(_BITS + 1) | (pairs >> np.uint64(64 - _BITS)) << one | text & one
        order = np.argsort(keys)
        keys = keys[order]
        starts = np.flatnonzero(np.append(True, keys[1:] >> one != keys[:-1] >> one))
        return cls(sizes, order, starts, ((keys & one) + one).astype(np.uint8), (keys[starts] >> np.uint64(_BITS + 1)).astype(np.int64))

    @cached_property
    def shared(self) -> Marks:
        """Which the other text has, too; in the order of the texts."""
        import numpy as np

        found = np.zeros(len(self.order), dtype=bool)
        common = np.bitwise_or.reduceat(self.side, self.starts) == 3
        found[self.order] = np.repeat(common, np.diff(self.starts, append=len(self.order)))
        return found

    def counts(self, these: Marks) -> tuple[Places, Places]:
        """Of each pair, how many different ones of these both texts have, and how many either has."""
        import numpy as np

        seen = np.bitwise_or.reduceat(self.side * these[self.order], self.starts)
        both, either = (np.bincount(self.pair[marks], minlength=len(self.sizes) // 2) for marks in (seen == 3, seen > 0))
        return both, either


@dataclass(frozen=True)
class _Runs:
    """Runs of marks in texts one after another."""

    walls: Marks
    """True before each text and after the last, where no run goes over; as long as the texts and these together."""
    stops: Marks
    """The walls and what is not marked."""

    @classmethod
    def of(cls, marks: Marks, sizes: Places) -> _Runs:
        import numpy as np

        walls = np.zeros(len(marks) + len(sizes) + 1, dtype=bool)
        walls[np.cumsum(sizes + 1) - sizes - 1] = walls[-1] = True
        stops = walls.copy()
        stops[~walls] = ~marks
        return cls(walls, stops)

    @cached_property
    def _at(self) -> Places:
        import numpy as np

        return np.flatnonzero(self.stops)

    @cached_property
    def _firsts(self) -> Places:
        """The first run of each text among all; an empty one stands before each stop, too."""
        import numpy as np

        return np.flatnonzero(self.walls[self._at[:-1]])

    @cached_property
    def _lengths(self) -> Places:
        import numpy as np

        return np.diff(self._at) - 1

    def longest(self, inside: int) -> Places:
        """Of each text, its longest run; of one that touches neither end of the text, `inside` less."""
        import numpy as np

        at_end = self.walls[self._at[:-1]] | self.walls[self._at[1:]]
        return np.maximum.reduceat(self._lengths - inside * ~at_end, self._firsts)

    def words(self, least: int) -> Places:
        """Of each text, the words of all bigrams in runs of `least` or more."""
        import numpy as np

        return np.add.reduceat(np.where(self._lengths >= least, self._lengths + 1, 0), self._firsts)

    def within(self, least: int) -> Marks:
        """What stands in runs of `least` or more."""
        import numpy as np

        long = np.append(np.repeat(self._lengths >= least, self._lengths + 1), False) & ~self.stops
        return long[~self.walls]
