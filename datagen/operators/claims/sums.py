"""Equations in a worked solution: where `a op b = c` stands in words, and what both sides come to, exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain

from datagen.operators.claims.values import known, unit_of

_TOKEN = re.compile(
    r"(?P<number>(?<![\w.])(?:\d{1,3}(?:,\d{3})+(?!,?\d)|\d{1,15}(?!\d))(?:\.\d{1,15}(?!\d))?|(?<![\w.])\.\d{1,15}(?!\d))(?P<percent>\s?%)?"
    r"|(?P<times>(?<=[\d\s)%])[xX](?=\s*[\d$(.]))|(?P<sign>[-+*/()])|(?P<equals>=+)|(?P<about>≈)|(?P<word>[^\W\d]+(?:['’-][^\W\d]+)*)"
    r"|(?P<coin>[$€£¥])|(?P<stop>[,;:.?](?=\s|$)|\n)|(?P<other>[^\s])"
)
_SIGNS = str.maketrans({"−": "-", "–": "-", "×": "*", "·": "*", "÷": "/", "⁄": "/"})
_LATEX = (
    (re.compile(r"\\[dt]?frac\{(\d[\d.]{0,15})\}\{(\d[\d.]{0,15})\}"), r"(\1/\2)"),
    (re.compile(r"\\(?:times|cdot)(?![a-z])"), "*"),
    (re.compile(r"\\div(?![a-z])"), "/"),
    (re.compile(r"\\approx(?![a-z])"), "≈"),
    (re.compile(r"\\(?=[$%])|\\[,;!\[\]]|\*\*|\$\$"), ""),
)
_NOTE = re.compile(r"<<([^<>=\n]{1,200})=([^<>=\n]{1,60})>>")
_MOST, _WIDE, _DEEP = 500, 48, 12
"""Equations of a text, tokens of one side, and brackets inside each other that are looked at; beyond them nothing is claimed."""
_LONGEST, _AROUND = 50_000, 1000
"""Characters of a text that are looked at, up to the last line end among them; and of a line before and after an equation that speak of it."""
_MORE = frozenset(("pound", "pounds", "cup", "cups", "pint", "pints", "quart", "quarts"))
"""Measures that `values` knows no size of, because it depends."""
_LABELS = frozenset(
    f"{word}{ending}" for word in ("day", "week", "month", "year", "hour", "step", "part", "page", "level", "round") for ending in ("", "s")
)
"""Words whose number says which one it is, and not how many: day 1, weeks 3-4."""
_THESE = frozenset(("the", "his", "her", "their", "its", "those", "these"))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int
    value: Fraction | None = None
    percent: bool = False
    places: int = 0


@dataclass(frozen=True, slots=True)
class Side:
    """One reading of one side: its value, how many operations it has, and the decimals it is written with."""

    value: Fraction
    operations: int
    places: int
    percent: bool
    sure: bool
    """False where something that could belong to it stands next to it: then it can confirm an equation, and not refute it."""
    measures: frozenset[str] = frozenset()
    """The units of measure that stand in it."""


@dataclass(frozen=True, slots=True)
class Equation:
    """`shown`, and the readings of its two sides."""

    shown: str
    left: tuple[Side, ...]
    right: tuple[Side, ...]
    about: bool
    line: str


def equations(text: str) -> Iterator[Equation]:
    """Every equation of which both sides can be read as numbers and at least one calculates, of the first 50,000 characters."""
    count = 0
    lines = text if len(text) <= _LONGEST else text[:_LONGEST].rpartition("\n")[0]
    for line in lines.translate(_SIGNS).split("\n"):
        if "=" not in line and "≈" not in line and "approx" not in line:
            continue
        for pattern, into in _LATEX:
            line = pattern.sub(into, line)
        plain = _NOTE.sub("", line)
        for equation in chain(_noted(line, plain), _of(_tokens(plain), plain)):
            yield equation
            count += 1
            if count >= _MOST:
                return


def _noted(line: str, plain: str) -> Iterator[Equation]:
    """GSM8K's notes of a line; `plain` is the line without them."""
    for found in _NOTE.finditer(line):
        near = plain if len(plain) <= _AROUND else plain[max(0, found.start() - _AROUND) : found.end() + _AROUND]
        yield from _of(_tokens(f"{found[1]} = {found[2]}"), f"{found[1]}={found[2]}", near)


def _tokens(text: str) -> list[_Token]:
    found = []
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup)
        value, places = None, 0
        if match["number"] and re.match(r"0\d", match["number"]):
            kind = "other"  # 0930 hours, room 014
        elif match["number"]:
            kind, digits = "number", match["number"].replace(",", "")
            value, places = Fraction(f"0{digits}"), len(digits.partition(".")[2])
        elif kind == "times":
            kind = "sign"
        word = "*" if match["times"] else match.group()
        if kind == "word" and word.lower() == "times":
            kind, word = "sign", "*"
        found.append(_Token(kind, word, match.start(), match.end(), value, bool(match["percent"]), places))
    return found


def _of(tokens: Sequence[_Token], text: str, line: str = "") -> Iterator[Equation]:
    """Equations of a text's tokens; `line` is what is said around it, where that is not the text itself."""
    marks = [index for index, token in enumerate(tokens) if token.kind == "about" or (token.kind == "equals" and token.text == "=")]
    for number, mark in enumerate(marks):
        low = max(marks[number - 1] + 1 if number else 0, mark - _WIDE)
        high = min(marks[number + 1] if number + 1 < len(marks) else len(tokens), mark + 1 + _WIDE)
        if not any(token.kind == "sign" or token.text == "of" for token in tokens[low:high]):
            continue  # nothing is calculated
        left = tuple(_endings(tokens, low, mark))
        if not left:
            continue
        right = tuple(_beginnings(tokens, mark + 1, high))
        if right and any(side.operations for side in (*left, *right)):
            first, last = tokens[low].start, tokens[high - 1].end
            yield Equation(
                text[first:last].strip(), left, right, tokens[mark].kind == "about", line or text[max(0, first - _AROUND) : last + _AROUND]
            )


def _endings(tokens: Sequence[_Token], low: int, end: int) -> Iterator[Side]:
    """Readings of the left side, the shortest first: what ends at the sign, from every number, bracket or minus before it."""
    for start in range(end - 1, low - 1, -1):
        if tokens[start].kind in ("number", "coin") or tokens[start].text in ("(", "-"):
            for side in _readings(tokens, start, end):
                yield replace(side, sure=start == 0 or _apart(tokens, start))


def _apart(tokens: Sequence[_Token], start: int) -> bool:
    """Whether what stands before a side does not belong to it."""
    before, first = tokens[start - 1], tokens[start]
    further = tokens[start - 2] if start > 1 else None
    if first.text == "-" and start + 1 < len(tokens) and tokens[start + 1].start > first.end:
        return False  # a minus with room around it joins what stands on both sides
    if first.text == "(" and before.kind == "word" and start + 2 < len(tokens) and tokens[start + 2].text == ")":
        return False  # "Shonda (1) + 2"
    if further is not None and further.kind in ("sign", "number"):
        if further.kind == "sign" and before.kind != "word":
            return False  # "5 + (3 * 4", "8 + . 84"
        if further.kind == "number" and (before.text == "and" or (before.text == "," and len(first.text) == 3)):
            return False  # "1 and 1/4", "14, 400 / 80"
    if before.kind == "word" and first.kind == "number" and before.text.lower() in _LABELS:
        return False  # "day 1 * 2"
    if before.text in _THESE and further is not None and further.text == "to":
        return False  # "adds 4 cups to the 5 + 6"
    if before.kind == "word":
        return len(before.text) > 1 or before.text in "aI"
    return before.kind in ("stop", "equals", "about") or before.text == "("


def _over(tokens: Sequence[_Token], stop: int) -> bool:
    """Whether what stands after a side does not belong to it."""
    if stop >= len(tokens):
        return True
    after, further = tokens[stop], tokens[stop + 1] if stop + 1 < len(tokens) else None
    if after.kind == "word":
        return len(after.text) > 1
    return after.kind in ("stop", "equals", "about") or (after.text in (")", "$") and (further is None or further.kind != "number"))


def _beginnings(tokens: Sequence[_Token], start: int, end: int) -> Iterator[Side]:
    """Readings of the right side, the longest first: what begins at the sign and ends after one of its numbers."""
    for stop in range(end, start, -1):
        sure = _over(tokens, stop) and not (tokens[stop - 1].text == "and" and stop < len(tokens) and tokens[stop].kind in ("number", "coin"))
        for side in _readings(tokens, start, stop):
            yield replace(side, sure=sure)


class _Unreadable(Exception):
    pass


def _readings(tokens: Sequence[_Token], start: int, end: int) -> Iterator[Side]:
    """These tokens as one expression: as the rules have it, and with a fraction that is written close ("60 / 3/4") as one number; of three
    that are divided with room between, the last two may be meant as one, too; and 20 % that are added or taken off may be of what they change."""
    slashes = sum(token.text == "/" for token in tokens[start:end])
    closes = ("apart", "close", "") if slashes > 1 else ("close", "")
    changed = any(token.percent for token in tokens[start:end]) and any(token.text in ("+", "-") for token in tokens[start:end])
    for close, of_it in [*((close, True) for close in closes if changed), *((close, False) for close in closes)]:
        reader = _Reader(tokens, start, end, close, of_it)
        try:
            value = reader.sum(0)
        except (_Unreadable, ZeroDivisionError):
            continue
        if reader.at == end and reader.last is not None:
            places = 0 if reader.operations else reader.last.places
            yield Side(value, reader.operations, places, reader.last.percent, True, frozenset(reader.measures))
        if close == "close" and not reader.closed and not of_it:
            return


class _Reader:
    """Sums of products of numbers and brackets; units between a number and the next sign are passed over."""

    def __init__(self, tokens: Sequence[_Token], at: int, end: int, close: str, of_it: bool) -> None:
        self.tokens, self.at, self.end, self.close, self.of_it = tokens, at, end, close, of_it
        self.operations = 0
        self.division = self.closed = False
        self.measure = ""
        """The unit of measure that was passed over last, where it is a known one."""
        self.measures = set[str]()
        self.last: _Token | None = None

    def peek(self) -> str:
        return self.tokens[self.at].text if self.at < self.end else ""

    def kind(self, ahead: int = 0) -> str:
        return self.tokens[self.at + ahead].kind if self.at + ahead < self.end else ""

    def sum(self, depth: int) -> Fraction:
        value = self.product(depth)
        share = self.of_it and self.last is not None and not self.last.percent
        while self.peek() in ("+", "-") and self.kind() == "sign":
            sign, measure, before = self.take(), self.measure, self.operations
            other = self.product(depth)
            if share and self.operations == before and self.last is not None and self.last.percent:
                other *= value  # 100 - 20% = 80
            if measure and self.measure and measure != self.measure:
                raise _Unreadable  # 4 pounds - 6 ounces
            value = value + other if sign == "+" else value - other
            self.operations += 1
        return value

    def product(self, depth: int) -> Fraction:
        value = self.atom(depth)
        while self.at < self.end:
            if self.peek() in ("*", "/") and self.kind() == "sign":
                sign = self.take()
                self.division = self.division or sign == "/"  # 1/3 of whatever a word stands for is no number
                other = self.atom(depth)
            elif (self.peek() == "(" and self.kind(-1) in ("number", "sign")) or (
                self.peek() == "of" and (self.division or (self.last is not None and self.last.percent))
            ):
                sign = "*" if self.peek() == "(" else self.take()
                other = self.atom(depth)
            else:
                break
            value = value / other if sign == "/" else value * other
            self.operations += 1
        return value

    def atom(self, depth: int) -> Fraction:
        if depth > _DEEP or self.at >= self.end:
            raise _Unreadable
        sign = 1
        if self.peek() == "-":
            self.take()
            sign = -1
        if self.kind() == "coin":
            self.take()
        if self.peek() == "-" and sign == 1:
            self.take()
            sign = -1
        if self.peek() == "(":
            self.take()
            value = self.sum(depth + 1)
            if self.peek() != ")":
                raise _Unreadable
            self.take()
        elif self.kind() == "number":
            token = self.last = self.tokens[self.at]
            assert token.value is not None
            value = token.value / 100 if token.percent else token.value
            self.take()
            if self.close and (below := self.below()):
                value, self.division, self.closed = value / below, True, True
                self.operations += 1
        else:
            raise _Unreadable
        self.unit()
        return sign * value

    def below(self) -> Fraction | None:
        """What stands under a fraction that is written without spaces, as its second part; not of 10/100/5."""
        if self.at + 1 >= self.end or self.peek() != "/" or self.kind(1) != "number":
            return None
        top, slash, bottom = self.tokens[self.at - 1 : self.at + 2]
        chained = self.at >= 2 and self.tokens[self.at - 2].text == "/" and self.tokens[self.at - 2].end == top.start
        tight = top.end == slash.start and slash.end == bottom.start
        if not (tight and not chained if self.close == "close" else self.at >= 2 and self.tokens[self.at - 2].text == "/" and not tight):
            return None
        self.at += 2
        self.last = bottom
        return bottom.value

    def unit(self) -> None:
        """Up to four words, and `/word`; a single letter but `a` is a variable and no unit."""
        self.measure, bare = "", True
        for _ in range(4):
            if self.peek() == "of" and (self.division or (self.last is not None and self.last.percent)):
                return
            apart = self.at < self.end and self.tokens[self.at].start > self.tokens[self.at - 1].end
            if self.kind() == "word" and (len(self.peek()) > 1 or (self.peek() == "a" and apart)):
                word = self.take()
                unit = (unit_of(word) or "") if bare else ""
                bare = bare and word == "a"
                if known(unit) or unit in _MORE:
                    self.measure = unit
                    self.measures.add(unit)
            elif self.peek() == "/" and self.kind(1) == "word" and len(self.tokens[self.at + 1].text) > 1:
                self.take()
                self.take()
            else:
                return

    def take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1].text
