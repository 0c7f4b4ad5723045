"""Which texts may be alike, by their signatures, and which of them are dropped: in blocks, with the outcome of one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from datagen.steps.sets.copies.alike import Readings
from datagen.steps.sets.copies.shingles import BANDS
from datagen.steps.sets.copies.similarity import THRESHOLD, signatures

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from datagen.steps.sets.copies.scan import Places
    from datagen.steps.sets.copies.similarity import Numbers, Signatures

    Small = npt.NDArray[np.int32]

CROWD = 50
"""Kept rows in one bucket from which it says nothing any more (a template, a stock phrase) and nominates no longer."""
MOST = 100
"""Kept rows that a row is compared with at most: under a template that nobody named, all rows meet somewhere."""
BLOCK = 4096
"""Texts that are decided together, at most."""
MEETINGS = 1 << 19
"""Meetings in buckets that are looked at together, or those of one text: some 30 MB."""
_AHEAD = 256
"""Texts that are read together, where blocks are smaller: reading one takes as long as reading some dozens."""


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
    import numpy as np

    ranked, count = np.array(order, dtype=np.int64), len(texts)
    if not np.array_equal(np.sort(ranked), np.arange(count)):
        raise ValueError(f"order must name each of the {count} texts once; it has {len(ranked)} entries, {len(set(order))} of them different")
    signed = signatures(texts, numbers, known) if signed is None else signed
    signed = signed if np.array_equal(ranked, np.arange(count)) else signed[ranked]
    return Ties.of(signed, settled, exact_only).broken(lambda place: texts[ranked[place]], ranked, threshold, numbers, known)


@dataclass(frozen=True)
class Ties:
    """Which texts may be alike. Texts are named by their place in the order of preference."""

    settled: int
    """So many at the beginning stay whatever they resemble."""
    first: Places
    """Of each text, the first in order with the same normalised text: itself when there is none before."""
    places: Places
    """Texts with a bucket that they share, ascending."""
    begins: Places
    """Where in `buckets` those of each of them begin, and where all end."""
    buckets: Small
    """Numbers of buckets, from 0."""

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

        copies = self._copies()
        return np.unique(np.concatenate([self.places, copies, self.first[copies]]))

    def _copies(self) -> Places:
        import numpy as np

        return np.flatnonzero(self.first != np.arange(len(self.first)))

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
        near = self._near(Readings(text, threshold, numbers, known), beyond)
        found: list[Duplicate] = []
        for place in sorted({*near, *self._copies().tolist()}):
            first = int(self.first[place])
            if place < self.settled:
                continue
            if first in near:
                score, other, kind = near[first]
                found.append(Duplicate(int(names[place]), int(names[other]), score, kind))
            else:
                found.append(Duplicate(int(names[place]), int(names[first]), 1.0, "exact"))
        return found

    def _near(self, readings: Readings, beyond: Beyond | None) -> dict[int, _Cause]:
        """Goes through the order, dropping what a kept text before covers; of several the most alike is the cause, then the earliest."""
        import numpy as np

        line, dropped = _Line.of(self), dict[int, _Cause]()
        second = _Second(beyond, self, dropped) if beyond else None
        at, size = int(np.searchsorted(self.places, self.settled)), BLOCK
        line.keep(0, np.ones(at, dtype=bool))
        while at < len(self.places):
            end, ones, others = line.met(at, min(at + size, len(self.places)))
            if size < _AHEAD:
                readings.hold(self.places[at : at + _AHEAD].tolist())
            scores = readings.scores(ones, others)
            for pair in np.flatnonzero(scores > 0).tolist():  # by place, so that it is known of each one whether it is kept
                place, other = ones[pair], others[pair]
                if second:
                    second.decide(place)
                if other not in dropped:
                    dropped[place] = max(dropped.get(place, _NONE), _Cause(float(scores[pair]), -other, "near"))
            if second:
                second.decide(int(self.places[end - 1]) + 1)
            line.keep(at, np.array([place not in dropped for place in self.places[at:end].tolist()], dtype=bool))
            at, size = end, min(BLOCK, 2 * (end - at))
        if second:
            second.decide(len(self.first))
        return {place: cause._replace(other=-cause.other) for place, cause in dropped.items()}


class _Cause(NamedTuple):
    """Why a text is dropped; the larger of two is the better."""

    score: float
    other: int
    """Place of the text that covers it, below zero while the best is looked for, so that of equals the earliest wins."""
    kind: Literal["near", "meaning"]


_NONE = _Cause(0.0, 1, "near")


class _Second:
    """The tier after the words, told of every new text in order that is no copy and that no words cover."""

    def __init__(self, tier: Beyond, ties: Ties, dropped: dict[int, _Cause]) -> None:
        import numpy as np

        fresh = ties.first[ties.settled :] == np.arange(ties.settled, len(ties.first))
        self._tier, self._dropped = tier, dropped
        self._waiting = deque((np.flatnonzero(fresh) + ties.settled).tolist())

    def decide(self, until: int) -> None:
        """About all texts before this place, of which words have said what they have to say."""
        while self._waiting and self._waiting[0] < until:
            place = self._waiting.popleft()
            if place in self._dropped:
                continue
            if cause := self._tier.cover(place):
                self._dropped[place] = _Cause(cause[0], -cause[1], "meaning")
            else:
                self._tier.keep(place)


@dataclass(frozen=True)
class _Line:
    """The texts of shared buckets, and what of them is kept so far: each bucket's texts stand one after another in `kept`."""

    ties: Ties
    starts: Places
    filled: Small
    kept: Small

    @classmethod
    def of(cls, ties: Ties) -> _Line:
        import numpy as np

        sizes = np.bincount(ties.buckets)
        return cls(ties, np.cumsum(sizes) - sizes, np.zeros(len(sizes), dtype=np.int32), np.zeros(len(ties.buckets), dtype=np.int32))

    def _entries(self, at: int, end: int) -> tuple[Places, Small]:
        """(number of the text, bucket), by bucket and then by text."""
        import numpy as np

        begins = self.ties.begins[at : end + 1]
        buckets = self.ties.buckets[begins[0] : begins[-1]]
        entries = buckets.astype(np.int64) << 32 | np.repeat(np.arange(at, end), np.diff(begins))
        entries.sort()
        return entries & 0xFFFFFFFF, (entries >> 32).astype(np.int32)

    def keep(self, at: int, stays: npt.NDArray[np.bool_]) -> None:
        """Of the texts from number `at` on, which are kept."""
        import numpy as np

        who, buckets = self._entries(at, at + len(stays))
        mine = stays[who - at]
        who, buckets = who[mine], buckets[mine]
        self.kept[self.starts[buckets] + self.filled[buckets] + _rank(buckets)] = self.ties.places[who]
        np.add.at(self.filled, buckets, 1)

    def met(self, at: int, end: int) -> tuple[int, list[int], list[int]]:
        """Of texts from number `at` on, how far it is sure which they are compared with, and those pairs: (end, places, earlier places).

        Of a text that is not yet decided it is not known whether it counts in a bucket; where that may matter, the block ends before.
        """
        import numpy as np

        who, buckets = self._entries(at, end)
        rank, filled = _rank(buckets), self.filled[buckets].astype(np.int64)
        filling = (filled < CROWD) & (filled + rank >= CROWD) & (rank > 0)
        end = min(end, int(who[filling].min(initial=end)))
        load = np.cumsum(np.bincount(who - at, np.where(filled < CROWD, filled + rank, 0)))
        end = min(end, at + max(1, int(np.searchsorted(load, MEETINGS, side="right"))))
        outer = np.flatnonzero((filled < CROWD) & (filled > 0) & (who < end))
        inner = np.flatnonzero((filled < CROWD) & (rank > 0) & (who < end))
        ones = np.concatenate([np.repeat(who[outer], filled[outer]), np.repeat(who[inner], rank[inner])]) - at
        others = [self.kept[np.repeat(self.starts[buckets[outer]], filled[outer]) + _counted(filled[outer])]]
        others.append(self.ties.places[who[np.repeat(inner - rank[inner], rank[inner]) + _counted(rank[inner])]])
        pairs, times = np.unique(ones.astype(np.int64) << 40 | np.concatenate(others), return_counts=True)
        return self._likeliest(at, end, pairs >> 40, pairs & (1 << 40) - 1, times)

    def _likeliest(self, at: int, end: int, ones: Places, others: Places, times: Places) -> tuple[int, list[int], list[int]]:
        """Of the texts that one has met, MOST: those met in most buckets, then the earliest."""
        import numpy as np

        crowded = np.flatnonzero(np.bincount(ones) > MOST)
        if len(crowded):
            end = at + max(1, int(crowded[0]))
            ones, others, times = (values[: np.searchsorted(ones, end - at)] for values in (ones, others, times))
            if crowded[0] == 0:
                best = np.sort(np.lexsort((others, -times))[:MOST])
                ones, others = ones[best], others[best]
        return end, self.ties.places[at + ones].tolist(), others.tolist()


def _rank(ascending: npt.NDArray[np.integer]) -> Places:
    """Of each value, how many of the same stand before it."""
    import numpy as np

    return np.arange(len(ascending)) - np.searchsorted(ascending, ascending)


def _counted(counts: Places) -> Places:
    """0, 1, ... for each count."""
    import numpy as np

    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _shared_buckets(bands: npt.NDArray[np.uint32], compared: Places) -> tuple[Places, Places, Small]:
    """(place, where its buckets begin, buckets) of the `compared` that share a bucket with another; those of one are never built."""
    import numpy as np

    found: list[tuple[Small, Small]] = []
    count, shares = 0, np.zeros(len(bands), dtype=np.int64)
    for band in range(BANDS):
        pairs = bands[compared, band].astype(np.uint64) << np.uint64(32) | compared.astype(np.uint64)
        pairs.sort()  # by key, then by place
        keys = pairs >> np.uint64(32)
        same = keys[1:] == keys[:-1]
        shared = np.zeros(len(keys), dtype=bool)
        shared[1:] |= same
        shared[:-1] |= same
        opens = np.append(True, ~same)[: len(keys)][shared]
        places = (pairs[shared] & np.uint64(0xFFFFFFFF)).astype(np.int32)
        found.append((places, (count - 1 + np.cumsum(opens)).astype(np.int32)))
        count += int(opens.sum())
        shares[places] += 1
    at = np.flatnonzero(shares)
    ends = np.cumsum(shares)
    free, buckets = ends - shares, np.zeros(ends[-1] if len(ends) else 0, dtype=np.int32)
    for places, numbers in found:
        buckets[free[places]] = numbers
        free[places] += 1
    return at, np.append(0, ends[at]), buckets
