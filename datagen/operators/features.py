"""What many operators look at, computed once a text and only when first asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from functools import cache, cached_property, lru_cache
from itertools import chain

import numpy as np
import numpy.typing as npt

_SENTENCE = re.compile(r"\.\s+|!\s+|\?\s+|\n\n*")
"""`[.!?]\\s+|\\n+`, written so that the engine may skip from one such sign to the next."""


class Features:
    """Views of one text. Every view is computed at its first use and kept as long as the text is the one being judged."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def lower(self) -> str:
        """The text in lower case, without the white space around it."""
        return self.text.strip().lower()

    @cached_property
    def words(self) -> list[str]:
        """Lower case, split at white space; signs stay with their word."""
        return list(chain.from_iterable(self.paragraph_words))

    @cached_property
    def paragraph_words(self) -> list[list[str]]:
        """The words, paragraph by paragraph."""
        return [paragraph.split() for paragraph in self.text.lower().split("\n\n")]

    @cached_property
    def distinct(self) -> frozenset[str]:
        """The different words."""
        return frozenset(self.words)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def paragraphs(self) -> list[str]:
        return self.text.split("\n\n")

    @cached_property
    def sentences(self) -> list[str]:
        """Pieces between full stops or line ends, without the stop."""
        return _SENTENCE.split(self.text)

    @cached_property
    def longest(self) -> int:
        """Characters of the longest word."""
        return max(map(len, self.distinct), default=0)

    @cached_property
    def surplus(self) -> int:
        """How many runs of four words were there before. A longer run that comes twice leaves one more for each word beyond four."""
        return int(np.count_nonzero(self._fours[1:] == self._fours[:-1]))

    def said(self, times: int) -> bool:
        """Whether a run of four words stands so often in the text."""
        return bool((self._fours[times - 1 :] == self._fours[: max(0, len(self._fours) - times + 1)]).any())

    @cached_property
    def _fours(self) -> npt.NDArray[np.uint64]:
        return np.sort(self._sums(4))

    def again(self, size: int) -> list[tuple[int, int]]:
        """(where, where last before) of every run of `size` words that was there before, in order; both are numbers of the first word."""
        sums = self._sums(size)
        order = np.argsort(sums, kind="stable")
        known = sums[order[1:]] == sums[order[:-1]]
        return sorted(zip(order[1:][known].tolist(), order[:-1][known].tolist(), strict=True))

    def _sums(self, size: int) -> npt.NDArray[np.uint64]:
        """One number for every run of `size` words: a polynomial of the words' hashes, modulo 2^64. That two of 10^5 different runs agree has
        a probability of 10^-9."""
        count = len(self.words) - size + 1
        if count < 1:
            return np.empty(0, np.uint64)
        return (self._running[size:] - self._running[:-size]) * _powers(len(self.words).bit_length())[1][:count]

    @cached_property
    def _running(self) -> npt.NDArray[np.uint64]:
        """Sums of the words' hashes, each times the power of its place."""
        hashes = np.fromiter(map(hash, self.words), np.int64, len(self.words)).view(np.uint64)
        return np.concatenate((np.zeros(1, np.uint64), np.cumsum(hashes * _powers(len(hashes).bit_length())[0][: len(hashes)])))


_FACTOR = 6364136223846793005
"""Odd and large (Knuth's MMIX generator)."""


@cache
def _powers(bits: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The first 2^bits powers of the factor, and of its inverse modulo 2^64."""
    powers, inverses = (np.full(1 << bits, value, np.uint64) for value in (_FACTOR, pow(_FACTOR, -1, 2**64)))
    return np.cumprod(powers), np.cumprod(inverses)


class Innocent:
    """Words that were looked at before, so that only new ones are looked at: most words of a text are in others too."""

    def __init__(self, most: int = 1 << 16) -> None:
        self.most = most
        """Words that are kept; when there are more, all are forgotten."""
        self.seen: set[str] = set()
        self.caught: set[str] = set()

    def guilty(self, words: Set[str], fault: Callable[[str], bool]) -> list[str]:
        """The words that have the fault, sorted."""
        strange = words - self.seen
        found = strange & self.caught
        if fresh := strange - found:
            new = set(filter(fault, fresh))
            if len(self.seen) + len(self.caught) > self.most:
                self.seen.clear()
                self.caught.clear()
            self.seen |= fresh - new
            self.caught |= new
            found |= new
        return sorted(found)


@lru_cache(maxsize=4)
def features_of(text: str) -> Features:
    """The features of a text that an operator before this one may have computed: a row has a few judged fields, and is judged at once."""
    return Features(text)
