"""How sentences are made: templates with alternatives, number formats, and the names and things they speak of."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

_ALTERNATIVES = re.compile(r"\[([^\[\]|]*\|[^\[\]]*)\]")
"""`[a|b]`; brackets without a bar are plain text."""


def words(text: str) -> tuple[str, ...]:
    """A list of words, written as a line of text."""
    return tuple(text.split())


NAMES = words(
    "Amara Anika Arturo Astrid Bea Boris Camila Chidi Clara Dalia Dmitri Elena Emeka Esther Farid Fatima Felix Freya Gita Goran Greta Hana Hassan "
    "Ilse Imani Ivan Jada Jonas Jun Kofi Kavya Lars Leila Lin Lucia Malik Marta Mateo Mei Milan Mira Nadia Nils Noor Olga Omar Paula Pedro Priya "
    "Rafael Ravi Rosa Ruth Samir Sofia Stefan Tariq Tessa Theo Uma Valeria Viktor Wanda Yara Yusuf Zora"
)
TOWNS = words(
    "Ashford Birchwood Clayton Dunmore Eastvale Fairhaven Glenrock Harwick Ironbridge Juniper Kingsley Larkfield Millbrook Northgate Oakdale Penrose "
    "Quarry Redhill Stonebridge Thornbury Upton Westbrook Yarrow"
)


@cache
def _pieces(template: str) -> tuple[tuple[str, ...], ...]:
    """Literal text and alternatives in turn: `a [b|c]` -> (("a ",), ("b", "c"), ("",))."""
    return tuple(tuple(piece.split("|")) if index % 2 else (piece,) for index, piece in enumerate(_ALTERNATIVES.split(template)))


def choose(template: str, rng: random.Random) -> str:
    """The template with one of each `[a|b|c]` taken; `{slots}` stay."""
    return "".join(options[0] if len(options) == 1 else options[int(rng.random() * len(options))] for options in _pieces(template))


def fill(template: str, rng: random.Random, values: Mapping[str, Any]) -> str:
    """One sentence: alternatives taken, slots filled, first letter upper case."""
    text = choose(template, rng).format_map(values)
    return text[:1].upper() + text[1:]


_NO_COLON_BEFORE = re.compile(r"(?:\[?So|Hence|Then|Thus|Therefore|But|With it|As a|Looking|Check)\b")


def joined(why: str, say: str, rng: random.Random, values: Mapping[str, Any]) -> str:
    """A reason and what follows from it: in one sentence where a colon can stand between them, by turns, else in two."""
    reason = fill(why, rng, values)
    one = rng.random() < 0.6 and ":" not in why + say and why.endswith(".") and not _NO_COLON_BEFORE.match(say)
    if not one:
        return f"{reason} {fill(say, rng, values)}"
    text = choose(say, rng)
    return f"{reason[:-1]}: {(text if text.startswith('{') else text[0].lower() + text[1:]).format_map(values)}"


def as_pattern(template: str, slots: Mapping[str, str]) -> str:
    """The regular expression of all texts that `template` can make; `slots`: name -> pattern. A second use of a slot must
    repeat the first, so a slot may stand among alternatives only when it has stood in plain text before."""
    seen: set[str] = set()
    return "".join(
        _piece_pattern(options[0], slots, seen) if len(options) == 1 else f"(?:{'|'.join(_piece_pattern(option, slots, seen) for option in options)})"
        for options in _pieces(template)
    )


def _piece_pattern(text: str, slots: Mapping[str, str], seen: set[str]) -> str:
    made = []
    for index, piece in enumerate(re.split(r"\{(\w+)\}", text)):
        if index % 2 == 0:
            made.append(re.escape(piece))
        elif piece in seen:
            made.append(f"(?P={piece})")
        else:
            seen.add(piece)
            made.append(f"(?P<{piece}>{slots[piece]})")
    return "".join(made)


def anchor(template: str) -> str:
    """The longest text that every rendering of the template contains: a cheap test before the regular expression."""
    literals = [piece for options in _pieces(template) if len(options) == 1 for piece in re.split(r"\{\w+\}", options[0])]
    return max(literals, key=len)


class Deck:
    """Deals templates so that none comes twice before all have been used."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._hands: dict[tuple[str, ...], list[str]] = {}

    def deal(self, templates: tuple[str, ...]) -> str:
        hand = self._hands.get(templates)
        if not hand:
            hand = self._hands[templates] = self._rng.sample(templates, len(templates))
        return hand.pop()


def money(cents: int) -> str:
    """12.50, or 12 for whole dollars."""
    return f"{cents // 100}" if cents % 100 == 0 else f"{cents / 100:.2f}"


def ratio(value: Fraction) -> str:
    """3/4, or 2 for a whole number."""
    return str(value)


def decimal(value: Fraction) -> str:
    """A fraction that ends in decimals: 7/4 -> 1.75. Raises ValueError for one that does not."""
    if 10**6 % value.denominator:
        raise ValueError(f"{value} has no short decimal form")
    return f"{float(value):.6f}".rstrip("0").rstrip(".")


def counted(number: int, singular: str, plural: str = "") -> str:
    """1 day, 3 days."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def listed(items: Sequence[Any], last: str = "and") -> str:
    """3, 5 and 8."""
    words = [str(item) for item in items]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 11th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def clock(minutes: int) -> str:
    """Minutes since midnight as 14:05, around the clock."""
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def duration(minutes: int) -> str:
    """1 hour 25 minutes."""
    parts = [counted(minutes // 60, "hour")] if minutes >= 60 else []
    return " ".join(parts + ([counted(minutes % 60, "minute")] if minutes % 60 or not parts else []))
