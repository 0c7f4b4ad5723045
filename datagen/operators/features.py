"""What many operators look at, computed once a text and only when first asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache

_SENTENCE = re.compile(r"[.!?]\s+|\n+")
_EDGE = ".,;:!?()[]{}<>\"'“”‘’*_`~#|/\\-–—…"


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
        return self.text.lower().split()

    @cached_property
    def bare(self) -> set[str]:
        """The different words without the signs around them."""
        return {word.strip(_EDGE) for word in set(self.words)}

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
        return max(map(len, self.words), default=0)

    def grams(self, size: int) -> Sequence[tuple[str, ...]]:
        """Every run of `size` words, in order."""
        if size not in self._grams:
            self._grams[size] = list(zip(*(self.words[shift:] for shift in range(size)), strict=False))
        return self._grams[size]

    @cached_property
    def surplus(self) -> int:
        """How many runs of four words were there before. A longer run that comes twice leaves one more for each word beyond four."""
        fours = self.grams(4)
        return len(fours) - len(set(fours))

    @cached_property
    def _grams(self) -> dict[int, list[tuple[str, ...]]]:
        return {}


@lru_cache(maxsize=4)
def features_of(text: str) -> Features:
    """The features of a text that an operator before this one may have computed: a row has a few judged fields, and is judged at once."""
    return Features(text)
