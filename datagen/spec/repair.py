"""A JSON value as teachers write it: read strictly, else with as much forgiveness as leaves no doubt about what was meant.

Forgiven, each under one short word: `fences` around it, `prose` around one object, trailing `commas`, smart `quotes` as delimiters,
Python `literals`, raw `newlines` inside strings, closing `brackets` that are missing at the very end. Not forgiven: an invalid escape
(next to `\\(` a `\\frac` would lose its backslash without a word), a text that ends inside a string or after a comma, two different objects.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

NO_JSON = "not valid JSON"
NO_OBJECT = "not valid JSON: there is no JSON object in it"
SEVERAL = "not valid JSON: there is more than one JSON object in it"
BACKSLASH = "not valid JSON: a backslash inside a string must be written twice"
UNFINISHED = "not valid JSON: it ends before it is complete"
TOO_DEEP = "not valid JSON: it is nested too deeply"
"""What a teacher is told when it is asked again. The words enter a request's key, so they stay as they are, and no library's are among them."""

DEEPEST = 50
"""Levels of nesting that are followed; a schema of ours has no use for a tenth of them."""
LONGEST_NUMBER = 4_000
"""Digits; Python itself reads no more than 4,300."""
MOST_STARTS = 12
"""Braces in prose that are tried as the beginning of an object, and"""
LONGEST = 500_000
"""signs that are mended, beyond what any teacher says in one answer: hostile text costs a second at most."""

_FENCE = re.compile(r"\s*```\w*[ \t]*\n(.*?)\n?\s*```\s*", re.DOTALL)
_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?(?![\w.])", re.ASCII)
_WORD = re.compile(r"[A-Za-z]+")
_LITERALS = {"true": True, "false": False, "null": None}
_PYTHON = {"True": True, "False": False, "None": None}
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CLOSERS = {'"': '"', "'": "'", "\u201c": "\u201c\u201d", "\u201d": "\u201d", "\u201e": "\u201c\u201d", "\u2018": "\u2019"}
"""The sign that opens a string -> those that may close it."""
_STOPS = {opener: re.compile(rf"[{closers}\\]") for opener, closers in _CLOSERS.items()}
_RAW = re.compile(r"[\x00-\x1f]")
_HEX = re.compile(r"[0-9a-fA-F]{4}")


class Unreadable(Exception):
    """No JSON value can be read without guessing; the message is one of the constants above."""


class Written(float):
    """A number with a fraction, and how it was written: as text `12.50` is not `12.5`."""

    text: str

    def __new__(cls, text: str) -> Written:
        self = super().__new__(cls, text)
        self.text = text
        return self


@dataclass(frozen=True, slots=True)
class Read:
    """A value, and what had to be forgiven to read it."""

    value: Any
    repaired: frozenset[str] = frozenset()


def read(text: str) -> Read:
    """The one value in `text`. Raises Unreadable."""
    fenced = _FENCE.fullmatch(text)
    mended = frozenset({"fences"}) if fenced else frozenset()
    body = fenced[1] if fenced else text
    try:
        return Read(json.loads(body, parse_float=Written), mended)
    except RecursionError:
        raise Unreadable(TOO_DEEP) from None
    except ValueError:
        if len(body) > LONGEST:
            raise Unreadable(NO_JSON) from None
        found = _whole(body) or _only_object(body)
    return Read(found.value, found.repaired | mended)


def _whole(text: str) -> Read | None:
    """The value that `text` is, or None where there is something else around it."""
    reader = _Reader(text, 0)
    if reader.peek() not in ("{", "[", *_CLOSERS):
        return None
    try:
        value = reader.value()
    except Unreadable:
        if reader.inside:
            raise
        return None
    return None if reader.peek() else Read(value, frozenset(reader.repaired))


def _only_object(text: str) -> Read:
    """The one object in prose; several that are equal count as one. A brace that opens no object (LaTeX, a set) is prose."""
    found: list[Read] = []
    at = text.find("{")
    for _ in range(MOST_STARTS):
        if at < 0:
            break
        reader = _Reader(text, at)
        try:
            found += [Read(value, frozenset({*reader.repaired, "prose"}))] if (value := reader.value()) else []
            at = text.find("{", reader.at)
        except Unreadable:
            if reader.inside:  # a real object that is broken: what stands within it is not the answer
                raise
            at = text.find("{", at + 1)
    if not found:
        raise Unreadable(NO_OBJECT)
    if any(each.value != found[0].value for each in found):
        raise Unreadable(SEVERAL)
    return found[0]


class _Reader:
    """Reads one value from `at` on, and notes what it forgives."""

    def __init__(self, text: str, at: int) -> None:
        self.text, self.at = text, at
        self.repaired: set[str] = set()
        self.inside = False
        """True once a key and its colon have been read."""

    def peek(self) -> str:
        """The next sign that is no space, or '' at the end."""
        space = _SPACE.match(self.text, self.at)
        self.at = space.end() if space else self.at
        return self.text[self.at : self.at + 1]

    def value(self, depth: int = 0) -> Any:
        sign = self.peek()
        if depth > DEEPEST:
            raise Unreadable(TOO_DEEP)
        if sign == "{":
            return dict(self.items(depth, "}"))
        if sign == "[":
            return [value for _, value in self.items(depth, "]")]
        return self.string() if sign in _CLOSERS else self.atom()

    def items(self, depth: int, closer: str) -> list[tuple[str, Any]]:
        """What stands between two brackets; the keys of a list are ''."""
        self.at += 1
        found: list[tuple[str, Any]] = []
        comma = False
        while (sign := self.peek()) != closer:
            if found and not comma:
                if sign:
                    raise Unreadable(NO_JSON)
                self.repaired.add("brackets")
                return found
            if not sign:
                raise Unreadable(UNFINISHED)
            found.append((self.key() if closer == "}" else "", self.value(depth + 1)))
            comma = self.peek() == ","
            self.at += comma
        if comma:
            self.repaired.add("commas")
        self.at += 1
        return found

    def key(self) -> str:
        if self.peek() not in _CLOSERS:
            raise Unreadable(NO_JSON)
        key = self.string()
        if self.peek() != ":":
            raise Unreadable(NO_JSON if self.peek() else UNFINISHED)
        self.at += 1
        self.inside = True
        return key

    def atom(self) -> Any:
        """A number, true, false, null, or Python's words for them."""
        number = _NUMBER.match(self.text, self.at)
        if number:
            self.at = number.end()
            if number[1] or number[2]:
                return Written(number[0])
            if len(number[0]) > LONGEST_NUMBER:
                raise Unreadable(NO_JSON)
            return int(number[0])
        word = _WORD.match(self.text, self.at)
        known = {**_LITERALS, **_PYTHON}
        if word is None or word[0] not in known:
            raise Unreadable(NO_JSON if self.peek() else UNFINISHED)
        self.at = word.end()
        self.repaired |= {"literals"} if word[0] in _PYTHON else set()
        return known[word[0]]

    def string(self) -> str:
        """A string by any quotes. But for plain double quotes, a closing sign counts only where a string can end: `'don't'` is one string."""
        opener = self.text[self.at]
        self.repaired |= {'"': set(), "'": {"literals"}}.get(opener, {"quotes"})
        self.at += 1
        pieces: list[str] = []
        while stop := _STOPS[opener].search(self.text, self.at):
            piece = self.text[self.at : stop.start()]
            self.at = stop.end()
            if _RAW.search(piece):
                self.repaired.add("newlines")
            pieces.append(piece)
            if stop[0] == "\\":
                pieces.append(self.escape())
            elif opener == '"' or self.at_an_end():
                return "".join(pieces)
            else:
                pieces.append(stop[0])
        raise Unreadable(UNFINISHED)

    def at_an_end(self) -> bool:
        space = _SPACE.match(self.text, self.at)
        after = space.end() if space else self.at
        return self.text[after : after + 1] in ("", ",", ":", "}", "]")

    def escape(self) -> str:
        sign = self.text[self.at : self.at + 1]
        self.at += 1
        if sign == "u" and (code := _HEX.match(self.text, self.at)):
            self.at = code.end()
            return self._rest_of_pair(int(code[0], 16))
        if sign == "'":
            self.repaired.add("literals")
            return sign
        if sign not in _ESCAPES:
            raise Unreadable(BACKSLASH)
        return _ESCAPES[sign]

    def _rest_of_pair(self, first: int) -> str:
        """A sign beyond 16 bits is escaped as two halves."""
        low = _HEX.match(self.text, self.at + 2) if 0xD800 <= first < 0xDC00 and self.text.startswith("\\u", self.at) else None
        if low is None or not 0xDC00 <= int(low[0], 16) < 0xE000:
            return chr(first)
        self.at = low.end()
        return chr(0x10000 + ((first - 0xD800) << 10) + int(low[0], 16) - 0xDC00)
