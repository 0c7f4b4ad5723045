"""Word bigrams of many texts at once, without known text, and the buckets in which texts that share many of them meet.

This is `similarity.Reading` in arrays: bigrams and figures are 64-bit numbers here, texts there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from typing import TYPE_CHECKING, Any

from datagen.steps.sets.copies.figures import Figures
from datagen.steps.sets.copies.scan import ONE, TWO, Scan, hashes_of, mixed, ordered, places_in, summed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from datagen.steps.sets.copies.scan import Hashes, Marks, Places

KNOWN_WORDS = 6
"""Length of the word n-grams of known text that are taken out of a row."""
BANDS, BAND_ROWS = 48, 4
"""A pair of Jaccard s meets in some band with probability 1 - (1 - s^4)^48: .990 at .55, .9998 at .65."""
_SEED = 2025
_CELLS = 1 << 16
"""Bigrams hashed together, 256 KB of them: with as much room for the results they lie in a processor's cache."""


@dataclass(frozen=True)
class Shingles:
    """Texts as the comparison sees them."""

    exact: Hashes
    """Of each text, the digest of all of it, where it was asked for."""
    ends: Places
    """Of each text, the number of bigrams up to its end."""
    pairs: Hashes
    """Word bigrams in the order of the text, repeated ones too; the word itself where it stands alone between known text."""
    split: Marks
    """Of each text, whether known text stands between its words."""
    lengths: Places
    """Of each text, the words that are left of it."""
    figure_ends: Places
    figures: Hashes
    """Numbers and operators in order; none when numbers are folded."""
    numbers: Marks
    """Which of the figures are numbers."""
    before: Hashes
    """The word before each figure; 0 at an end."""
    after: Hashes

    @property
    def counts(self) -> Places:
        """Bigrams of each text."""
        import numpy as np

        return np.diff(self.ends, prepend=0)

    def figures_of(self, number: int) -> Figures:
        """Those of one text."""
        mine = slice(int(self.figure_ends[number - 1]) if number else 0, int(self.figure_ends[number]))
        values, around = self.figures[mine].tolist(), zip(self.before[mine].tolist(), self.after[mine].tolist(), strict=True)
        return Figures(tuple(values), tuple(around), frozenset(self.figures[mine][self.numbers[mine]].tolist()))

    def sequences(self) -> Hashes:
        """Of each text, a digest of its figures in order."""
        return ordered(self.figures, self.figure_ends)


class Shingler:
    """Reads texts; holds the known text's n-grams."""

    def __init__(self, fold: bool, known: Sequence[str]) -> None:
        """`fold`: any number is as any other, and no figure sets texts apart."""
        import numpy as np

        self._fold = fold
        scan = Scan.of(known)
        grams, whole = _grams(self._tokens(scan), scan.ends)
        self._known = np.unique(grams[whole])

    def read(self, texts: Sequence[str], digests: bool = False) -> Shingles:
        """`digests`: whether those are wanted, too."""
        import numpy as np

        scan = Scan.of(texts, digests)
        tokens, own = self._tokens(scan), self._own(scan)
        joined = own & np.append(own[1:], False)  # with the word after
        joined[scan.ends[scan.ends > 0] - 1] = False
        opens = own & ~np.append(False, joined[:-1])
        lone = opens & ~joined
        pairs = np.where(lone, mixed(tokens), tokens * np.uint64(ONE) + np.append(tokens[1:], np.uint64(0)))
        figures = scan.figures & own & (not self._fold)
        before = np.append(np.uint64(0), np.where(joined, tokens, np.uint64(0)))[:-1][figures]
        after = np.where(joined, np.append(tokens[1:], np.uint64(0)), np.uint64(0))[figures]
        ends, runs, lengths, figure_ends = (_up_to(scan.ends, marks) for marks in (joined | lone, opens, own, figures))
        runs, lengths = (np.diff(counts, prepend=0) for counts in (runs, lengths))
        those = scan.tokens[figures], scan.numbers[figures], before, after
        return Shingles(scan.exact, ends, pairs[joined | lone], runs > 1, lengths, figure_ends, *those)

    def _tokens(self, scan: Scan) -> Hashes:
        import numpy as np

        return np.where(scan.numbers, _zero(), scan.tokens) if self._fold else scan.tokens

    def _own(self, scan: Scan) -> Marks:
        """Which tokens are in no stretch of known text."""
        import numpy as np

        own = np.ones(len(scan.tokens), dtype=bool)
        if len(self._known):
            grams, whole = _grams(self._tokens(scan), scan.ends)
            at = np.minimum(np.searchsorted(self._known, grams), len(self._known) - 1)
            starts = np.flatnonzero((self._known[at] == grams) & whole)
            for shift in range(KNOWN_WORDS):
                own[starts + shift] = False
        return own


@cache
def _zero() -> Any:
    return hashes_of(["0"])[0]


def _up_to(ends: Places, marks: Marks) -> Places:
    """Of each text, how many are marked up to its end."""
    import numpy as np

    return np.append(0, np.cumsum(marks))[ends]


def _grams(tokens: Hashes, ends: Places) -> tuple[Hashes, Marks]:
    """(the n-gram that begins with each token, whether it ends in the same text)."""
    import numpy as np

    padded = np.append(tokens, np.zeros(KNOWN_WORDS, dtype=np.uint64))
    shifted: Iterable[Hashes] = (padded[shift : shift + len(tokens)] for shift in range(KNOWN_WORDS))
    grams = reduce(lambda gram, token: gram * np.uint64(ONE) + token, shifted)
    return mixed(grams), places_in(ends) + KNOWN_WORDS <= np.repeat(np.diff(ends, prepend=0), np.diff(ends, prepend=0))


def bucket_keys(read: Shingles) -> npt.NDArray[np.uint32]:
    """One key per text and band: MinHash rows of the band mixed with the figures, so that texts with other figures seldom meet; 0 where no word
    is left."""
    import numpy as np

    counts, keys = read.counts, _figure_keys(read)
    minima = np.zeros((BAND_ROWS, BANDS, len(counts)), dtype=np.uint32)
    for texts, values in _even(read):
        minima[..., texts] = _minima(values).reshape(BAND_ROWS, BANDS, len(texts))
    for row in minima:
        keys ^= row
        keys *= np.uint64(ONE)
        keys ^= keys >> np.uint64(32)
    return (keys * (counts > 0)).astype("<u4").T


def _even(read: Shingles) -> Iterable[tuple[Places, npt.NDArray[np.uint32]]]:
    """Texts of about as many bigrams together: (which texts, their bigrams as 32 bits; one column a text, the last one repeated to its end)."""
    import numpy as np

    by_count, at = np.argsort(read.counts, kind="stable"), int(np.sum(read.counts == 0))
    begins, pairs = read.ends - read.counts, (read.pairs >> np.uint64(32)).astype(np.uint32)
    while at < len(by_count):
        sizes = read.counts[by_count[at:]]
        width = np.arange(1, len(sizes) + 1)
        texts = by_count[at:][: max(1, int(np.searchsorted(sizes * width, _CELLS, side="right")))]
        rows = np.minimum(np.arange(read.counts[texts[-1]])[:, None], read.counts[texts] - 1)
        yield texts, pairs[begins[texts] + rows]
        at += len(texts)


def _minima(values: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Of each column, the least value under each of BANDS * BAND_ROWS permutations: multiplication by an odd number modulo 2^32, of values
    that are hashes already."""
    import numpy as np

    found = np.zeros((BANDS * BAND_ROWS, values.shape[1]), dtype=np.uint32)
    room = np.empty_like(values)
    for least, factor in zip(found, _factors(), strict=True):
        np.multiply(values, factor, out=room)
        np.minimum.reduce(room, axis=0, out=least)
    return found


@cache
def _factors() -> npt.NDArray[np.uint32]:
    import numpy as np

    numbers = mixed(np.arange(_SEED, _SEED + BANDS * BAND_ROWS, dtype=np.uint64))
    return np.asarray(numbers >> np.uint64(32), dtype=np.uint32) | np.uint32(1)


def _figure_keys(read: Shingles) -> Hashes:
    """One key per band and text, of its operators and of about a quarter of its numbers, by the number and the band: texts with many other
    numbers seldom meet, while two that differ in one number meet in three bands of four."""
    import numpy as np

    values = mixed(read.figures ^ np.uint64(TWO))
    drawn = np.where(read.numbers, mixed(values) & mixed(values ^ np.uint64(ONE)), ~np.uint64(0))
    counted = (drawn[:, None] >> np.arange(BANDS, dtype=np.uint64)) & np.uint64(1)
    return np.ascontiguousarray(summed(values[:, None] * counted, read.figure_ends).T)
