"""The numbers and operators of a text: what makes two problems of one wording two problems, and what an edited copy may do to them.

A numeric variant has another number where its like has one. A copy whose words were edited here and there may have lost a number to a word,
or won one; no number stands in the place of another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from datagen.steps.sets.words import is_figure, is_number

LOST = 0.1
"""Numbers that an edit may have taken or given, one at least, as a share of the words: as many as may be edited at all. Nor may one text
be longer by more: a clause with its number is more than an edit."""


BOTH = 0.65
"""Jaccard from which one text may have lost a number and won another elsewhere: of GSM8K's questions, all distinct, a pair at .57 has done so."""
_Place = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers and operators in order, each with the words that stand around it."""

    all: tuple[str, ...] = ()
    around: tuple[tuple[str, str], ...] = ()
    """The word before and the word after; empty at an end."""

    @classmethod
    def of(cls, runs: Iterable[Sequence[str]]) -> Figures:
        found = [(token, run, place) for run in runs for place, token in enumerate(run) if not token.isalpha() and is_figure(token)]
        around = (("".join(run[place - 1 : place]), "".join(run[place + 1 : place + 2])) for _, run, place in found)
        return cls(tuple(token for token, _, _ in found), tuple(around))

    def agree(self, other: Figures, words: int, more: int, likeness: float) -> bool:
        """Whether they may be those of a text of so many words and its edited copy, one of which has `more` words than the other; `likeness`:
        bigram Jaccard of the two."""
        if self.all == other.all:
            return True
        most = max(1, LOST * words)
        mine, others = Counter(self.all), Counter(other.all)
        lost, won = mine - others, others - mine
        changed = {*lost, *won}
        if not changed or max(more, lost.total() + won.total()) > most or not (_plain(lost) and _plain(won)):
            return False
        if lost and won and likeness < BOTH:
            return False
        if [figure for figure in self.all if figure not in changed] != [figure for figure in other.all if figure not in changed]:
            return False
        here, there = self._places(), other._places()
        return not any(_replaced(here[place], there[place], place) for place in here.keys() & there.keys())

    def _places(self) -> dict[_Place, list[str]]:
        """The figures that stand after a word, before one, and between two."""
        found: dict[_Place, list[str]] = {}
        for figure, (before, after) in zip(self.all, self.around, strict=True):
            for place in ((before, None), (None, after), (before, after)):
                found.setdefault(place, []).append(figure)
        return found


def _replaced(here: list[str], there: list[str], place: _Place) -> bool:
    """Whether one number stands where the other text has another: of several between the same two words, any."""
    if None not in place and len(here) == len(there):
        return sorted(here) != sorted(there)
    return set(here).isdisjoint(there)


def _plain(some: Counter[str]) -> bool:
    """Whether these may have gone with the words: numbers, and the stroke of a fraction with both of its numbers, but no sign alone."""
    numbers = sum(count for figure, count in some.items() if is_number(figure))
    return some.total() - numbers <= numbers // 2
