"""Pairs of texts judged many at once: which are surely near-duplicates, which surely not, and which few must be read word by word.

What decides is `similarity.verified`. Of a pair whose bigrams are too few in common, or whose figures are the same and whose words differ in
scattered places only, it can be said beforehand what that will say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from datagen.steps.sets.shingles import Shingler, Shingles
from datagen.steps.sets.similarity import OWN_LIKENESS, OWN_RUN, STRETCH, Reader, batches, demanded, verified

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from datagen.steps.sets.scan import Hashes, Marks, Places
    from datagen.steps.sets.similarity import Numbers, Reading

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
    alone: bool
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
        self._outlines: dict[int, _Outline] = {}
        self._held = 0

    def hold(self, places: Iterable[int]) -> None:
        """Read those that are not held."""
        missing = [place for place in dict.fromkeys(places) if place not in self._outlines]
        if self._held > _HELD:
            self._outlines, self._held = {place: self._outlines[place] for place in places if place in self._outlines}, 0
        for some, texts in batches((place, self._text(place)) for place in missing):
            read = self._shingler.read(texts)
            sequences, lengths, alone = read.sequences().tolist(), read.lengths.tolist(), read.alone.tolist()
            self._held += len(read.pairs)
            start = 0
            for number, end in enumerate(read.ends.tolist()):
                self._outlines[some[number]] = _Outline(read.pairs[start:end], sequences[number], lengths[number], alone[number], read, number)
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
                if not _agree(outlines[2 * at], outlines[2 * at + 1], float(scores[at])):
                    scores[at] = np.nan
            for at in np.flatnonzero(unsure & (scores > 0)).tolist():
                score = verified(self._read(ones[start + at]), self._read(others[start + at]), self._threshold)
                scores[at] = np.nan if score is None else score
            found.append(scores)
        return np.concatenate(found)

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


def _agree(one: _Outline, other: _Outline, score: float) -> bool:
    """Whether the figures are those of a text and its edited copy."""
    words, more = min(one.length, other.length), abs(one.length - other.length)
    return one.read.figures_of(one.number).agree(other.read.figures_of(other.number), words, more, score)


def _compared(outlines: Sequence[_Outline], threshold: float) -> tuple[Scores, Marks, Marks]:
    """Of pairs, one text after the other: (bigram Jaccard, not a number where that is too low; which have other figures; of which it is not sure
    that they are one content)."""
    import numpy as np

    sizes = np.array([len(each.pairs) for each in outlines])
    lengths = np.array([each.length for each in outlines]).reshape(-1, 2).min(axis=1)
    figures = np.array([each.figures for each in outlines], dtype=np.uint64).reshape(-1, 2)
    alone = np.array([each.alone for each in outlines])[::2] | np.array([each.alone for each in outlines])[1::2]
    scores, shared = _overlap(np.concatenate([each.pairs for each in outlines]), sizes)
    scores[scores < demanded(lengths, threshold)] = np.nan
    likely = ~np.isnan(scores)
    apart, close = np.zeros(len(scores), dtype=bool), np.flatnonzero(likely & (scores < 1))
    if len(close):
        both = (2 * close[:, None] + [0, 1]).ravel()
        taken = np.zeros(len(sizes), dtype=bool)
        taken[both] = True
        marks, sizes = shared[np.repeat(taken, sizes)], sizes[both]
        scattered = (_longest(~marks, sizes, inside=1).reshape(-1, 2) < OWN_RUN).any(axis=1)
        whole = (_longest(marks, sizes).reshape(-1, 2) < STRETCH - 1).all(axis=1) & (scores[close] >= OWN_LIKENESS) & ~alone[close]
        apart[close] = ~(scattered | whole)
    return scores, likely & (figures[:, 0] != figures[:, 1]), apart


def _overlap(pairs: Hashes, sizes: Places) -> tuple[Scores, Marks]:
    """(Jaccard of each pair of texts, which of all bigrams the other text has too). `sizes`: bigrams of each text."""
    import numpy as np

    side = np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)
    one = np.uint64(1)
    keys = (side >> one) << np.uint64(_BITS + 1) | (pairs >> np.uint64(64 - _BITS)) << one | side & one
    order = np.argsort(keys)
    keys = keys[order]
    starts = np.flatnonzero(np.append(True, keys[1:] >> one != keys[:-1] >> one))
    ends = np.append(starts[1:], len(keys))
    common = (keys[starts] & one) != (keys[ends - 1] & one)
    pair = (keys[starts] >> np.uint64(_BITS + 1)).astype(np.int64)
    union, both = (np.bincount(which, minlength=len(sizes) // 2) for which in (pair, pair[common]))
    shared = np.zeros(len(keys), dtype=bool)
    shared[order] = np.repeat(common, ends - starts)
    return both / union, shared


def _longest(marks: Marks, sizes: Places, inside: int = 0) -> Places:
    """Of each text its longest run of marks; of one that touches neither end of the text, `inside` less."""
    import numpy as np

    begins = np.cumsum(sizes + 1) - sizes - 1  # a place before each text, that no run goes over
    walls = np.zeros(len(marks) + len(sizes) + 1, dtype=bool)
    walls[begins] = walls[-1] = True
    stops = walls.copy()
    stops[~walls] = ~marks
    at = np.flatnonzero(stops)
    at_end = walls[at[:-1]] | walls[at[1:]]
    runs = np.diff(at) - 1 - inside * ~at_end
    return np.maximum.reduceat(runs, np.flatnonzero(walls[at[:-1]]))
