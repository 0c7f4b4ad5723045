"""Near-duplicates: hashing nominates, an exact comparison decides, and nothing is dropped for resembling a dropped row.

A pair is a near-duplicate when all three hold:
1. word-bigram Jaccard >= the threshold; the shorter the row, the more: up to SHORT words the bigrams must be the same, because in
   `surface area of a cube` / `of a cuboid` one word is the whole difference;
2. the same numbers and operators in the same order, when numbers are to be kept: a problem with other numbers is another problem,
   however alike the wording, and so is one whose numbers have changed places; an edit may have put a word for a number (see `figures.py`);
3. what is left of them without their long common stretches is not two different texts: else they share a template, not a content.

Measured on GSM8K (tests/test_similarity.py): copies with 10 % of the words replaced have a bigram Jaccard of .68 in the middle and .58
at the half-percent quantile; of 7,473 distinct questions one pair passes .5 (the same question, another name). Hence THRESHOLD.

The dropped are those outside the lexicographically first maximal independent set of the graph of such pairs, in the order the caller
gives: a function of the set and that order, not of how the rows came in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Literal, Protocol

from datagen.steps.sets.figures import Figures, keys
from datagen.steps.sets.words import is_number, normal, tokens

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Signatures = npt.NDArray[np.void]
    Places = npt.NDArray[np.int64]

Numbers = Literal["keep", "fold"]

THRESHOLD = 0.55
SHORT = 15
"""Words up to which bigrams must be the same. Of MBPP's 970 one-line prompts, all distinct, 217 are dropped at .55 without this, 8 with."""
SHORT_STEP = 0.07
"""Jaccard by which the demand falls with each further word, down to the threshold: .65 at 20 words, .55 from 22."""
STRETCH = 30
"""Words in a row of which the other text has every bigram: a common stretch, left out when the third condition is judged."""
OWN_WORDS, OWN_SHARE = 8, 0.05
"""Words, and share of the text, that must be left on each side before the third condition can hold a pair apart."""
OWN_RUN = 3
"""Words one after another, on each side, without any bigram in the other: a passage rather than a word replaced here and there."""
OWN_LIKENESS = 0.25
"""Jaccard of what is left, under which the pair is apart. The four together: of copies with 5 % and 10 % of the words replaced, .2 % and
.6 % are held apart; of 500 questions under one unknown template of 80 to 150 words, numbers folded, 495 or more stay."""
KNOWN_WORDS = 6
"""Length of the word n-grams of known text that are taken out of a row."""
BANDS, BAND_ROWS = 48, 4
"""A pair of Jaccard s meets in some band with probability 1 - (1 - s^4)^48: .990 at .55, .9998 at .65."""
CROWD = 50
"""Kept rows in one bucket from which it says nothing any more (a template, a stock phrase) and nominates no longer."""
MOST = 100
"""Kept rows that a row is compared with at most: under a template that nobody named, all rows meet somewhere."""
_SEED = 2025
_BATCH = 1024
"""Texts hashed together: their MinHash rows take some 7 KB each until they are keys."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A text that is dropped, and why."""

    index: int
    of: int
    """Index of the kept text that covers it."""
    score: float
    """Word-bigram Jaccard with that text; 1 for an exact copy; of `meaning` what Beyond says."""
    kind: Literal["exact", "near", "meaning"]


class Beyond(Protocol):
    """A second tier, asked about a text that no kept text covers by its words."""

    def cover(self, place: int) -> tuple[float, int] | None:
        """(score, place) of the kept text that covers this one. Places ascend."""
        ...

    def keep(self, place: int) -> None:
        """A new text is kept."""
        ...


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text as the comparison sees it: what is left of it without the known text."""

    runs: tuple[tuple[str, ...], ...]
    pairs: frozenset[str]
    """Word bigrams; the word itself where it stands alone between known text."""
    figures: Figures
    """None when numbers are folded."""
    length: int


class _Reader:
    """Reads texts for comparison; holds the known text's n-grams."""

    def __init__(self, numbers: Numbers, known: Sequence[str]) -> None:
        self._fold = numbers == "fold"
        self._known = {gram for text in known for gram in _grams(self._tokens(text))}

    def read(self, text: str) -> _Reading:
        runs = self._own_runs(self._tokens(text))
        pairs = frozenset(f"{one} {two}" for run in runs for one, two in pairwise(run)).union(run[0] for run in runs if len(run) == 1)
        return _Reading(runs, pairs, Figures() if self._fold else Figures.of(runs), sum(map(len, runs)))

    def _tokens(self, text: str) -> list[str]:
        found = tokens(text)
        return [("0" if is_number(token) else token) for token in found] if self._fold else found

    def _own_runs(self, found: list[str]) -> tuple[tuple[str, ...], ...]:
        """What stands between the stretches of known text."""
        if not self._known:
            return (tuple(found),) if found else ()
        covered = bytearray(len(found))
        for start, gram in enumerate(_grams(found)):
            if gram in self._known:
                covered[start : start + KNOWN_WORDS] = b"\x01" * KNOWN_WORDS
        return tuple(tuple(found[start:end]) for start, end in _stretches(covered))


def _grams(found: list[str]) -> Iterable[tuple[str, ...]]:
    return zip(*(found[shift:] for shift in range(KNOWN_WORDS)), strict=False)


def _stretches(covered: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Start and end of each longest stretch of zeros."""
    start = 0
    for place, mark in enumerate((*covered, 1)):
        if mark:
            if place > start:
                yield start, place
            start = place + 1


def signature_fields() -> list[tuple[Any, ...]]:
    """What is kept of a text to find its likes, as fields of a numpy record: digest of the normalised text; whether a word is left to
    compare; BANDS bucket keys."""
    return [("exact", "<u8"), ("some", "?"), ("bands", "<u4", (BANDS,))]


def signatures(texts: Iterable[str], numbers: Numbers = "keep", known: Sequence[str] = ()) -> Signatures:
    """Signatures of texts (see `signature_fields`), 201 bytes each: a function of that text, `numbers` and `known` alone, so any worker may make
    them, in any batch. Only signatures made with the same `numbers` and `known` go together."""
    import numpy as np

    reader = _Reader(numbers, known)
    signed = [np.zeros(0, dtype=signature_fields())]
    source = iter(texts)
    while some := list(islice(source, _BATCH)):
        readings = [reader.read(text) for text in some]
        these = np.zeros(len(some), dtype=signature_fields())
        these["exact"] = np.frombuffer(b"".join(_digest(normal(text)) for text in some), dtype="<u8")
        these["some"] = [bool(reading.pairs) for reading in readings]
        these["bands"] = _bucket_keys(readings) * these["some"][:, None]
        signed.append(these)
    return np.concatenate(signed)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=8).digest()


def _bucket_keys(readings: Sequence[_Reading]) -> npt.NDArray[np.uint32]:
    """One key per text and band: MinHash rows of the band mixed with the figures, so that texts with other figures seldom meet."""
    import numpy as np
    from rensa import RMinHash

    pairs = [list(reading.pairs) for reading in readings]
    minima = np.array(RMinHash.digests_from_token_sets(pairs, num_perm=BANDS * BAND_ROWS, seed=_SEED), dtype=np.uint64)
    mixed = keys([reading.figures for reading in readings], BANDS)
    for row in range(BAND_ROWS):
        mixed = (mixed ^ minima[:, row::BAND_ROWS]) * np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: Knuth's multiplicative hash
        mixed ^= mixed >> np.uint64(32)
    return mixed.astype("<u4")


def similarity(one: str, two: str, *, threshold: float = THRESHOLD, numbers: Numbers = "keep", known: Sequence[str] = ()) -> float | None:
    """The pair's bigram Jaccard where it is a near-duplicate, else None: the whole test that decides."""
    reader = _Reader(numbers, known)
    return _verified(reader.read(one), reader.read(two), threshold)


def _verified(one: _Reading, two: _Reading, threshold: float) -> float | None:
    if not one.pairs:
        return None
    common = len(one.pairs & two.pairs)
    score = common / (len(one.pairs) + len(two.pairs) - common)
    length = min(one.length, two.length)
    if score < max(threshold, min(1.0, 1 - SHORT_STEP * (length - SHORT))):
        return None
    if not one.figures.agree(two.figures, length, abs(one.length - two.length), score):
        return None
    return None if score < 1 and _apart(one, two) else score


def _apart(one: _Reading, two: _Reading) -> bool:
    """Whether the two share stretches of text and differ in everything else."""
    (first, first_words, first_run), (second, second_words, second_run) = _left(one, two), _left(two, one)
    if min(first_words, second_words) < max(OWN_WORDS, OWN_SHARE * min(one.length, two.length)) or min(first_run, second_run) < OWN_RUN:
        return False
    return len(first & second) < OWN_LIKENESS * len(first | second)


def _left(one: _Reading, other: _Reading) -> tuple[set[str], int, int]:
    """The first text without the common stretches: its bigrams, its words, and its longest run of words without a bigram in the other."""
    pairs: set[str] = set()
    words = longest = 0
    for run in one.runs:
        bigrams = [f"{left} {right}" for left, right in pairwise(run)]
        shared = [bigram in other.pairs for bigram in bigrams]
        matched = [before or after for before, after in zip([False, *shared], [*shared, False], strict=True)]
        longest = max([longest, *(end - start for start, end in _stretches(matched))])
        for start, end in _stretches([not hit for hit in shared]):
            if end - start + 1 >= STRETCH:  # so many bigrams span one word more
                bigrams[start:end] = [""] * (end - start)
                words -= end - start + 1
        words += len(run)
        pairs.update(bigrams)
    return pairs - {""}, words, longest


def duplicates(
    texts: Sequence[str],
    order: Sequence[int],
    *,
    threshold: float = THRESHOLD,
    numbers: Numbers = "keep",
    exact_only: bool = False,
    known: Sequence[str] = (),
    settled: int = 0,
    signed: Signatures | None = None,
) -> list[Duplicate]:
    """The texts to drop, in the order given.

    `order` names every index of `texts` once, the most wanted first; its first `settled` are released already and stay whatever they
    resemble. `known` are texts of prompts and templates that rows may share without being alike. `signed` are the texts'
    signatures where workers made them before; texts themselves are read again only for pairs that were nominated.
    """
    if sorted(order) != list(range(len(texts))):
        raise ValueError(f"order must name each of the {len(texts)} texts once; it has {len(order)} entries, {len(set(order))} of them different")
    signed = signatures(texts, numbers, known) if signed is None else signed
    return Ties.of(signed[list(order)], settled, exact_only).broken(lambda place: texts[order[place]], order, threshold, numbers, known)


@dataclass(frozen=True)
class Ties:
    """Which texts may be alike, by their signatures. Texts are named by their place in the order of preference."""

    settled: int
    """So many at the beginning stay whatever they resemble."""
    first: Places
    """Of each text, the first in order with the same normalised text: itself when there is none before."""
    places: Places
    """Texts with a bucket that they share, ascending: several entries where they share several."""
    buckets: Places
    """The bucket of each entry of `places`."""

    @classmethod
    def of(cls, signed: Signatures, settled: int = 0, exact_only: bool = False) -> Ties:
        """`signed`: in the order of preference."""
        import numpy as np

        _, at, inverse = np.unique(signed["exact"], return_index=True, return_inverse=True)
        first, here = at[inverse].astype(np.int64), np.arange(len(signed))
        compared = here[((first == here) | (here < settled)) & signed["some"]] if not exact_only else here[:0]
        return cls(settled, first, *_shared_buckets(signed["bands"], compared))

    def involved(self) -> Places:
        """The texts that are looked at, or named as evidence; ascending."""
        import numpy as np

        copies = np.nonzero(self.first != np.arange(len(self.first)))[0]
        return np.unique(np.concatenate([self.places, copies, self.first[copies]]))

    def broken(
        self,
        text: Callable[[int], str],
        names: Sequence[int] | Places,
        threshold: float,
        numbers: Numbers,
        known: Sequence[str],
        beyond: Beyond | None = None,
    ) -> list[Duplicate]:
        """What is dropped, in order. `text`: that of a place that is involved. `names`: what to call the text of each place.

        A copy of a kept text is exact; a copy of a dropped one is covered by what covered that. `beyond`: the tier after the words, if any.
        """
        reader = _Reader(numbers, known)
        near = self._near(lru_cache(maxsize=8192)(lambda place: reader.read(text(place))), threshold, beyond)
        found: list[Duplicate] = []
        for place in self.involved().tolist() if beyond is None else range(len(self.first)):
            first = int(self.first[place])
            if place < self.settled:
                continue
            if first in near:
                score, other, kind = near[first]
                found.append(Duplicate(int(names[place]), int(names[other]), score, kind))
            elif first != place:
                found.append(Duplicate(int(names[place]), int(names[first]), 1.0, "exact"))
        return found

    def _near(
        self, read: Callable[[int], _Reading], threshold: float, beyond: Beyond | None
    ) -> dict[int, tuple[float, int, Literal["near", "meaning"]]]:
        """Goes through the order, dropping what a kept text before covers; of several the most alike is the cause, then the earliest."""
        import numpy as np

        _, buckets, sizes = np.unique(self.buckets, return_inverse=True, return_counts=True)
        # each bucket's kept texts stand one after another in `kept_in`, from its `start`: so many as `filled` says
        start, filled, kept_in = np.cumsum(sizes) - sizes, np.zeros(len(sizes), dtype=np.int64), np.zeros(len(buckets), dtype=np.int64)
        dropped: dict[int, tuple[float, int, Literal["near", "meaning"]]] = {}
        looked_at = np.unique(self.places) if beyond is None else np.union1d(self.places, self._fresh())
        begins, ends = (np.searchsorted(self.places, looked_at, side).tolist() for side in ("left", "right"))
        for place, begin, end in zip(looked_at.tolist(), begins, ends, strict=True):
            mine = buckets[begin:end]
            if place >= self.settled:
                telling = mine[(filled[mine] > 0) & (filled[mine] < CROWD)]
                others = _likeliest([kept_in[start[bucket] : start[bucket] + filled[bucket]] for bucket in telling])
                causes = [(score, -other) for other in others if (score := _verified(read(place), read(other), threshold)) is not None]
                if causes:
                    score, other = max(causes)
                    dropped[place] = score, -other, "near"
                    continue
                if beyond is not None:
                    cause = beyond.cover(place)
                    if cause is not None:
                        dropped[place] = *cause, "meaning"
                        continue
                    beyond.keep(place)
            kept_in[start[mine] + filled[mine]] = place
            filled[mine] += 1
        return dropped

    def _fresh(self) -> Places:
        """New texts that are no copies."""
        import numpy as np

        return np.flatnonzero(self.first[self.settled :] == np.arange(self.settled, len(self.first))) + self.settled


def _likeliest(met: Sequence[Places]) -> list[int]:
    """Of the texts that one has met, MOST: those met in most buckets, then the earliest."""
    import numpy as np

    if not met:
        return []
    found, times = np.unique(np.concatenate(met), return_counts=True)
    likeliest: list[int] = found[np.lexsort((found, -times))[:MOST]].tolist()
    return likeliest


def _shared_buckets(bands: npt.NDArray[np.uint32], compared: Places) -> tuple[Places, Places]:
    """(place, bucket) of every bucket that holds two of the `compared` or more, by place; those of one are never built."""
    import numpy as np

    places, buckets, count = [compared[:0]], [compared[:0]], 0
    for band in range(BANDS):
        pairs = bands[compared, band].astype(np.uint64) << np.uint64(32) | compared.astype(np.uint64)
        pairs.sort()  # by key, then by place
        keys = pairs >> np.uint64(32)
        same = keys[1:] == keys[:-1]
        shared = np.zeros(len(keys), dtype=bool)
        shared[1:] |= same
        shared[:-1] |= same
        number = count + np.cumsum(np.concatenate([[False], ~same])[: len(keys)])
        places.append((pairs[shared] & np.uint64(0xFFFFFFFF)).astype(np.int64))
        buckets.append(number[shared].astype(np.int64))
        count += len(keys)
    at = np.concatenate(places)
    by_place = np.argsort(at, kind="stable")
    return at[by_place], np.concatenate(buckets)[by_place]
