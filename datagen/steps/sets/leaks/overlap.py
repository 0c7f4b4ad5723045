"""Benchmark items found in a row by their words: the item word for word, or a good part of its n-grams.

Verbatim and n-gram overlap see copies, not rephrasings: of 733 GSM8K and HumanEval items rewritten by a model they find none
(tests/test_overlap.py measures it), which is what `contamination` is for. What they report is shown by the matched words.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

from datagen.records import digest
from datagen.steps.sets.words import words

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Hashes = npt.NDArray[np.uint64]

WHOLE_ROW_WORDS = 6
"""Items of fewer words than this leak only as a whole row: `Is 9 a prime number` inside a text is no proof of anything."""
COMMON = 5
"""Different items that may hold an n-gram before it is a stock phrase or a benchmark's template, and identifies none. A short item that
stands in more items than this (`Which of the following is true?`) leaks only as a whole row, like one left without any n-gram."""
LONGEST = 30
"""Words in a row shared with an item from which it counts as leaked whatever the share: a passage of a long item, word for word."""
EVIDENCE_WORDS = 60
_VERSION = 1
_BASE = 0x9E3779B97F4A7C15


class Item(NamedTuple):
    """One benchmark item to keep out of a release."""

    benchmark: str
    id: str
    text: str
    code: str = ""
    """The task with its solution, where the item is code: what a rewritten solution is compared with."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A row's overlap with one item."""

    benchmark: str
    item: str
    kind: Literal["verbatim", "ngram"]
    share: float
    """Share of the item's identifying n-grams found in the row; 1 for verbatim."""
    evidence: str
    """The row's words that match: the longest run, at most EVIDENCE_WORDS of it."""


class References:
    """Items indexed by their word n-grams: built once, read-only, picklable."""

    def __init__(self, items: Iterable[Item | tuple[str, str, str]], *, ngram: int = 10, share: float = 0.5) -> None:
        self._ngram = ngram
        self._share = share
        self._items = sorted({Item(*item) for item in items})
        self._words = [words(item.text) for item in self._items]
        sizes = _by_size(self._words, ngram)
        self._spans = {size: _Index.of(self._words, numbers, size) for size, numbers in sizes.items()}
        found = {number for index in self._spans.values() for number in index.telling}
        self._whole = {tuple(text): number for number, text in reversed(list(enumerate(self._words))) if text and number not in found}

    def __len__(self) -> int:
        return len(self._items)

    def identity(self) -> str:
        """Digest of the items' words and of all that decides a match: the same for the same set in any order."""
        items = [[item.benchmark, item.id, " ".join(found)] for item, found in zip(self._items, self._words, strict=True)]
        return digest(["references", _VERSION, self._ngram, self._share, WHOLE_ROW_WORDS, COMMON, LONGEST, items])

    def find(self, text: str) -> Leak | None:
        """The worst leak in a row: verbatim before n-gram, then the larger share, then the longer match; None when the row is clean."""
        row = words(text)
        number = self._whole.get(tuple(row))
        if number is not None:
            return self._leak(number, "verbatim", 1.0, row)
        grams = _rolled(_hashes(row), self._spans)
        found = [match for size, index in self._spans.items() for match in self._matches(row, index, grams[size])]
        if not found:
            return None
        best = min(found, key=lambda match: (not match.verbatim, -match.share, -(match.end - match.start), match.number))
        return self._leak(best.number, "verbatim" if best.verbatim else "ngram", best.share, row[best.start : best.end])

    def _leak(self, number: int, kind: Literal["verbatim", "ngram"], share: float, matched: Sequence[str]) -> Leak:
        item = self._items[number]
        return Leak(item.benchmark, item.id, kind, share, " ".join(matched[:EVIDENCE_WORDS]))

    def _matches(self, row: Sequence[str], index: _Index, grams: Hashes) -> Iterable[_Match]:
        places = index.places(grams)
        for number in sorted({number for gram in places.values() for number in index.holders[gram]}):
            item = self._words[number]
            start = _position(row, item, [place for place, gram in places.items() if number in index.holders[gram]])
            if start is not None:
                yield _Match(number, True, 1.0, start, start + len(item))
            elif len(item) >= self._ngram:
                match = self._partial(number, index, places)
                if match is not None:
                    yield match

    def _partial(self, number: int, index: _Index, places: Mapping[int, int]) -> _Match | None:
        """The item's share of identifying n-grams in the row, and the longest run of them."""
        own = {place: gram for place, gram in places.items() if number in index.holders[gram]}
        telling = index.telling[number]
        share = len(set(own.values())) / telling
        start, grams = _longest_run(sorted(own))
        end = start + grams + index.size - 1
        return _Match(number, False, share, start, end) if share >= self._share or end - start >= LONGEST else None


class _Match(NamedTuple):
    number: int
    verbatim: bool
    share: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Index:
    """Which items hold which n-grams of one size; only n-grams that identify an item are in it."""

    size: int
    grams: Hashes
    """Sorted."""
    holders: list[tuple[int, ...]]
    """Items of each, in the order of `grams`."""
    telling: Mapping[int, int]
    """How many different n-grams identify each item."""

    @classmethod
    def of(cls, texts: Sequence[Sequence[str]], numbers: Sequence[int], size: int) -> _Index:
        import numpy as np

        by_gram: dict[int, list[int]] = {}
        for number in numbers:
            for gram in set(_rolled(_hashes(texts[number]), [size])[size].tolist()):
                by_gram.setdefault(gram, []).append(number)
        # Items with one text count once: the same question in two benchmarks is not a template.
        held = {gram: tuple(holders) for gram, holders in by_gram.items() if len({tuple(texts[number]) for number in holders}) <= COMMON}
        if any(len(texts[number]) == size for number in numbers):
            held = _without_stock(held, texts, size)
        telling = Counter(number for holders in held.values() for number in holders)
        grams = sorted(held)
        return cls(size, np.array(grams, dtype=np.uint64), [held[gram] for gram in grams], telling)

    def places(self, grams: Hashes) -> dict[int, int]:
        """Where in the row an n-gram of some item stands -> its number in the index."""
        import numpy as np

        if not len(self.grams) or not len(grams):
            return {}
        at = np.minimum(np.searchsorted(self.grams, grams), len(self.grams) - 1)
        hits = np.nonzero(self.grams[at] == grams)[0]
        return dict(zip(hits.tolist(), at[hits].tolist(), strict=True))


def _without_stock(held: dict[int, tuple[int, ...]], texts: Sequence[Sequence[str]], size: int) -> dict[int, tuple[int, ...]]:
    """Without the n-grams that are whole items and stand in many others as well."""
    whole = {gram for gram, holders in held.items() if any(len(texts[number]) == size for number in holders)}
    within = Counter(gram for text in {tuple(text) for text in texts} for gram in whole.intersection(_rolled(_hashes(text), [size])[size].tolist()))
    return {gram: holders for gram, holders in held.items() if within[gram] <= COMMON}


def _by_size(texts: Sequence[Sequence[str]], ngram: int) -> dict[int, list[int]]:
    """Size of n-gram -> items indexed by it: `ngram`, or all its words for an item of fewer."""
    sizes: dict[int, list[int]] = {}
    for number, text in enumerate(texts):
        if len(text) >= WHOLE_ROW_WORDS:
            sizes.setdefault(min(len(text), ngram), []).append(number)
    return sizes


def _position(row: Sequence[str], item: Sequence[str], places: Iterable[int]) -> int | None:
    """Where the whole item stands in the row, word for word; looked for around the places where some n-gram of it does."""
    size = len(item)
    starts = sorted({start for place in places for start in range(max(0, place - size + 1), min(place, len(row) - size) + 1)})
    return next((start for start in starts if row[start] == item[0] and list(row[start : start + size]) == list(item)), None)


def _longest_run(places: Sequence[int]) -> tuple[int, int]:
    """Start and length of the longest run of neighbouring places; the first of equals."""
    best = (places[0], 1)
    start = places[0]
    for before, place in pairwise(places):
        if place != before + 1:
            start = place
        if place - start + 1 > best[1]:
            best = (start, place - start + 1)
    return best


@lru_cache(maxsize=1 << 17)
def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", errors="surrogatepass"), digest_size=8).digest(), "little")


def _hashes(text: Sequence[str]) -> Hashes:
    import numpy as np

    return np.array([_hash(word) for word in text], dtype=np.uint64)


def _rolled(hashed: Hashes, sizes: Collection[int]) -> dict[int, Hashes]:
    """For each size, the hash of so many neighbouring words from each place on: a polynomial in their hashes, modulo 2^64."""
    import numpy as np

    rolled = np.zeros(len(hashed), dtype=np.uint64)
    found: dict[int, Hashes] = {}
    for size in range(1, max(sizes, default=0) + 1):
        rolled = rolled[: max(0, len(hashed) - size + 1)] * np.uint64(_BASE) + hashed[size - 1 :]
        if size in sizes:
            found[size] = rolled
    return found
