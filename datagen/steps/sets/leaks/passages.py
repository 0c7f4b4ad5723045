"""Where in a row an item may stand: its sentences in passages, and in a passage the neighbouring sentences that are most like an item."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from datagen.steps.sets.leaks.likeness import Rarity
from datagen.steps.sets.leaks.traits import asks, held, sentences

CHUNK = 120
"""Words of a row that are looked at together; a question of a benchmark has 20 to 100."""
SHORT = 5
"""Words below which a piece of a row poses no problem."""
LONGER, SPARE = 1.5, 10
"""Times an item's words, and words besides, up to which sentences may be its other wording."""
STRETCHED = 0.15
"""What another length by a factor of e costs, in cosine, when the sentences that may be the item are looked for."""


class Part(NamedTuple):
    """A sentence."""

    text: str
    words: int
    held: frozenset[str]
    asks: bool


class Wanted(NamedTuple):
    """An item as it is looked for in passages."""

    words: int
    held: frozenset[str]
    """Its terms and numbers."""
    mass: float
    asks: bool


class Span(NamedTuple):
    """Neighbouring sentences of a passage."""

    text: str
    alike: float
    """Cosine of terms and numbers with the item, by rarity."""
    shared: frozenset[str]


def parts_of(text: str) -> list[Part]:
    """A row's sentences."""
    return [Part(part, *held(part), asks(part)) for part in sentences(text)]


class Passage:
    """Sentences that are looked at together, against item after item: what hangs on the sentences alone is reckoned once."""

    def __init__(self, parts: Sequence[Part], rarity: Rarity) -> None:
        self._parts, self._rarity = parts, rarity
        self.held: frozenset[str] = frozenset().union(*(part.held for part in parts))
        self._weights = {thing: rarity.square(thing) for thing in self.held}
        self._words = sum(part.words for part in parts)
        self._asking = [place for place, part in enumerate(parts) if part.asks]
        self._masses: dict[int, list[float]] = {}

    def spans(self, item: Wanted) -> Iterator[Span]:
        """The pieces that may be the item: one about as long as it whole, but for what stands at its ends and shares nothing (`Question:`,
        `#### 18`); and, where the item asks and the row does, up to a question, for what follows is a solution, which says its words again, or from
        a question on, for some ask first."""
        shared = [part.held & item.held for part in self._parts]
        if not any(shared):
            return
        short = self._words <= LONGER * item.words + SPARE
        if short:
            telling = [place for place, some in enumerate(shared) if some]
            yield self._span(telling[0], telling[-1], shared, item)
        asking = self._asking if item.asks else []
        if not short and not asking:
            yield self._span(*self._window(shared, item), shared, item)
        if asking:
            yield self._span(*self._window(shared, item, lasts=asking), shared, item)
            if asking[0] < len(self._parts) - 1:
                yield self._span(*self._window(shared, item, firsts=asking), shared, item)

    def _window(
        self, shared: Sequence[frozenset[str]], item: Wanted, firsts: Sequence[int] | None = None, lasts: Sequence[int] | None = None
    ) -> tuple[int, int]:
        """First and last of the sentences, about as many as the item has, that are most like it; where it is said, the first or the last is one
        of these."""
        best, window, most = -math.inf, (0, len(self._parts) - 1), LONGER * item.words + SPARE
        for end in range(len(self._parts)) if lasts is None else lasts:
            seen: frozenset[str] = frozenset()
            common, words, masses = 0.0, 0, self._back_from(end)
            for start in range(end, -1, -1):
                words += self._parts[start].words
                if start < end and words > most:
                    break
                if new := shared[start] - seen:
                    seen |= new
                    common += sum([self._weights[thing] for thing in new])
                if not common or (firsts is not None and start not in firsts):
                    continue
                alike = common / math.sqrt(masses[end - start] * item.mass) - STRETCHED * abs(math.log((words + 1) / (item.words + 1)))
                if alike > best:
                    best, window = alike, (start, end)
        return window

    def _back_from(self, end: int) -> list[float]:
        """The mass of all that the sentence holds, with the one before it, with both before it, ..."""
        if end not in self._masses:
            seen: set[str] = set()
            masses, mass = [], 0.0
            for part in reversed(self._parts[: end + 1]):
                new = part.held - seen
                seen |= new
                mass += sum([self._weights[thing] for thing in new])
                masses.append(mass)
            self._masses[end] = masses
        return self._masses[end]

    def _span(self, first: int, last: int, shared: Sequence[frozenset[str]], item: Wanted) -> Span:
        common: frozenset[str] = frozenset().union(*shared[first : last + 1])
        mass = sum([self._weights[thing] for thing in common])
        alike = mass / (math.sqrt(self._back_from(last)[last - first] * item.mass) or 1.0)
        return Span("\n".join(part.text for part in self._parts[first : last + 1]), alike, common)


def passages(parts: Sequence[Part], rarity: Rarity) -> Iterator[Passage]:
    """Neighbouring sentences of some CHUNK words, each half anew; a sentence of more stands alone."""
    return (Passage(some, rarity) for some in chunks(parts))


def chunks(parts: Sequence[Part]) -> Iterator[Sequence[Part]]:
    """The sentences of each passage."""
    start = 0
    while start < len(parts):
        end, total = start, 0
        while end < len(parts) and (total == 0 or total + parts[end].words <= CHUNK):
            total += parts[end].words
            end += 1
        if total >= SHORT:
            yield parts[start:end]
        if end == len(parts):
            return
        passed, start = parts[start].words, start + 1
        while start < end and passed + parts[start].words <= CHUNK // 2:
            passed, start = passed + parts[start].words, start + 1
