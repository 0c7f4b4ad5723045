"""The numbers and operators of a text: what makes two problems of one wording two problems, and what an edited copy may do to them.

A numeric variant has another number where its like has one. A copy whose words were edited here and there may have lost a number to a word,
or won one; no number stands in the place of another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from datagen.steps.sets.words import is_figure, is_number

LOST = 0.1
"""Numbers that an edit may have taken or given, one at least, as a share of the words: as many as may be edited at all. Nor may one text
be longer by more: a clause with its number is more than an edit."""


BOTH = 0.65
"""Jaccard from which one text may have lost a number and won another elsewhere: of GSM8K's questions, all distinct, a pair at .57 has done so."""
Token: TypeAlias = str | int
"""A word or a figure: as text, or as its number in a Scan."""
_Place: TypeAlias = tuple[Token | None, Token | None]


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers and operators in order, each with the words that stand around it."""

    all: tuple[Token, ...] = ()
    around: tuple[tuple[Token, Token], ...] = ()
    """The word before and the word after; empty, or 0, at an end."""
    numbers: frozenset[Token] = frozenset()
    """Those that are numbers."""

    @classmethod
    def of(cls, runs: Iterable[Sequence[str]]) -> Figures:
        found = [(token, run, place) for run in runs for place, token in enumerate(run) if not token.isalpha() and is_figure(token)]
        around = (("".join(run[place - 1 : place]), "".join(run[place + 1 : place + 2])) for _, run, place in found)
        figures = tuple(token for token, _, _ in found)
        return cls(figures, tuple(around), frozenset(figure for figure in figures if is_number(figure)))

    def agree(self, other: Figures, words: int, more: int, likeness: float) -> bool:
        """Whether they may be those of a text of so many words and its edited copy, one of which has `more` words than the other; `likeness`:
        bigram Jaccard of the two."""
        if self.all == other.all:
            return True
        most = max(1, LOST * words)
        mine, others = Counter(self.all), Counter(other.all)
        lost, won = mine - others, others - mine
        changed = {*lost, *won}
        if not changed or max(more, lost.total() + won.total()) > most or not (_plain(lost, self.numbers) and _plain(won, other.numbers)):
            return False
        if lost and won and likeness < BOTH:
            return False
        if [figure for figure in self.all if figure not in changed] != [figure for figure in other.all if figure not in changed]:
            return False
        here, there = self._places(), other._places()
        return not any(here[place] != there[place] and _replaced(here[place], there[place], place) for place in here.keys() & there.keys())

    def _places(self) -> dict[_Place, list[Token]]:
        """The figures that stand after a word, before one, and between two."""
        found: dict[_Place, list[Token]] = {}
        for figure, (before, after) in zip(self.all, self.around, strict=True):
            places: tuple[_Place, ...] = (before, None), (None, after), (before, after)
            for place in places:
                found.setdefault(place, []).append(figure)
        return found


def _replaced(here: list[Token], there: list[Token], place: _Place) -> bool:
    """Whether one number stands where the other text has another: of several between the same two words, any."""
    if None not in place and len(here) == len(there):
        return Counter(here) != Counter(there)
    return set(here).isdisjoint(there)


def _plain(some: Counter[Token], numbers: frozenset[Token]) -> bool:
    """Whether these may have gone with the words: numbers, and the stroke of a fraction with both of its numbers, but no sign alone."""
    these = sum(count for figure, count in some.items() if figure in numbers)
    return some.total() - these <= these // 2
