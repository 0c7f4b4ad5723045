"""Many texts read at once: what `words.tokens` finds in each, as 64-bit numbers in arrays, so that no word becomes an object.

The rules are those of `words.py`, followed there by regular expressions and here by marks on characters; tests hold the two together
(tests/test_scan.py). What the marks cannot follow (digits of scripts without spaces) is read by the expressions.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from datagen.steps.sets.copies.signs import DECIMAL, DIGIT, SPACE, SPACELESS, STOP, WORD, Signs, kinds_of
from datagen.steps.sets.words import SPELLED, is_figure, is_number, tokens

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Hashes = npt.NDArray[np.uint64]
    Marks = npt.NDArray[np.bool_]
    Places = npt.NDArray[np.int64]

ONE, TWO = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
"""2^64 / golden ratio (Knuth's multiplicative hash), and the odd constant of the mixer `rrmxmx` (P. Evensen, 2018)."""
_CHARACTERS = (0x80, 0x3000, 0x110000)
"""ASCII; alphabets and signs; all."""
_WINDOW = 8
_AROUND = "\n" * _WINDOW
"""Before and after all texts, so that every character has neighbours, and every word eight bytes."""


@dataclass(frozen=True)
class Scan:
    """The tokens of texts, in order."""

    ends: Places
    """Of each text, the number of tokens up to its end."""
    tokens: Hashes
    """A function of the token's characters alone."""
    numbers: Marks
    """Which are numbers or hold a digit."""
    figures: Marks
    """Which are numbers or operators."""
    exact: Hashes
    """Of each text, a digest of it as `words.normal` has it; of none where nobody asked for them."""

    @classmethod
    def of(cls, texts: Sequence[str], digests: bool = False) -> Scan:
        import numpy as np

        plain = [text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold() for text in texts]
        page = _Page.of(plain)
        exact = page.digests() if digests else np.zeros(0, dtype=np.uint64)
        odd = np.unique(page.text_of(np.flatnonzero((page.kinds & (SPACELESS | DECIMAL)) == SPACELESS | DECIMAL)))
        page = page.without_separators()
        starts, ends, operators = page.spans()
        hashed = page.hashes(starts, ends)
        numbers = page.with_digits(starts)
        spelled, values = _spelled(hashed)
        hashed[spelled], numbers[spelled] = values, True
        scan = cls(page.tokens_of(starts), hashed, numbers, numbers | operators, exact)
        return scan._reread(texts, odd.tolist()) if len(odd) else scan

    def _reread(self, texts: Sequence[str], odd: Sequence[int]) -> Scan:
        """With the tokens of some texts as the regular expressions find them."""
        import numpy as np

        own = {number: tokens(texts[number]) for number in odd}
        parts: list[tuple[Hashes, Marks, Marks]] = []
        for number, (start, end) in enumerate(zip([0, *self.ends[:-1].tolist()], self.ends.tolist(), strict=True)):
            if number in own:
                marks = np.array([is_number(token) for token in own[number]], dtype=bool)
                figures = np.array([is_figure(token) for token in own[number]], dtype=bool)
                parts.append((hashes_of(own[number]), marks, figures))
            else:
                parts.append((self.tokens[start:end], self.numbers[start:end], self.figures[start:end]))
        ends = np.cumsum([len(part[0]) for part in parts])
        hashed, numbers, figures = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Scan(ends, hashed, numbers, figures, self.exact)


def hashes_of(some: Iterable[str]) -> Hashes:
    """Of tokens: the numbers that a Scan has for them."""
    import numpy as np

    data = [token.encode("utf-8", errors="surrogatepass") for token in some]
    ends = np.cumsum([0, *map(len, data)])
    return _hashes(np.frombuffer(b"".join(data) + _AROUND.encode(), dtype=np.uint8), ends[:-1], ends[1:])


def mixed(values: Hashes) -> Hashes:
    """Each number spread over all bits; a permutation of the 64-bit numbers."""
    import numpy as np

    values = (values ^ (values >> np.uint64(32))) * np.uint64(TWO)
    values ^= values >> np.uint64(29)
    values *= np.uint64(ONE)
    values ^= values >> np.uint64(32)
    return values


def _hashes(data: npt.NDArray[np.uint8], starts: Places, ends: Places) -> Hashes:
    """Of the bytes between each start and end: eight at a time, the rest of the longer ones after that."""
    import numpy as np

    windows = np.ndarray((len(data) - _WINDOW + 1,), dtype="<u8", buffer=data, strides=(1,))
    masks = np.array([(1 << 8 * size) - 1 for size in range(_WINDOW + 1)], dtype=np.uint64)
    lengths = ends - starts
    found: Hashes = mixed((windows[starts] & masks[np.minimum(lengths, _WINDOW)]) ^ lengths.astype(np.uint64) * np.uint64(ONE))
    long = np.flatnonzero(lengths > _WINDOW)
    at = _WINDOW
    while len(long):
        found[long] = mixed(found[long] * np.uint64(ONE) ^ (windows[starts[long] + at] & masks[np.minimum(lengths[long] - at, _WINDOW)]))
        at += _WINDOW
        long = long[lengths[long] > at]
    return found


def summed(values: npt.NDArray[Any], ends: Places) -> npt.NDArray[Any]:
    """Of each text, the sum over what is its own, modulo 2^64; nothing sums to 0."""
    import numpy as np

    nothing = np.zeros((1, *values.shape[1:]), dtype=values.dtype)
    return np.diff(np.concatenate([nothing, np.cumsum(values, axis=0, dtype=values.dtype)])[ends], axis=0, prepend=nothing)


def places_in(ends: Places) -> Places:
    """0, 1, 2, ... for what each text has."""
    import numpy as np

    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - np.diff(ends, prepend=0), np.diff(ends, prepend=0))


def ordered(values: Hashes, ends: Places) -> Hashes:
    """Of each text, a digest of its values in their order; 0 of none."""
    import numpy as np

    return np.asarray(summed(mixed(values ^ (places_in(ends) + 1).astype(np.uint64) * np.uint64(ONE)), ends))


@cache
def _numerals() -> tuple[Hashes, Hashes, npt.NDArray[np.int8], int]:
    """(number words, their values, which of them begins with these bits or -1, how many bits to leave out)."""
    import numpy as np

    found, values = hashes_of(SPELLED), hashes_of(SPELLED.values())
    bits = next(bits for bits in range(8, 24) if len(np.unique(found >> np.uint64(64 - bits))) == len(found))
    table = np.full(1 << bits, -1, dtype=np.int8)
    table[found >> np.uint64(64 - bits)] = np.arange(len(found))
    return found, values, table, 64 - bits


def _spelled(hashed: Hashes) -> tuple[Places, Hashes]:
    """(places of number words, their values)."""
    import numpy as np

    known, values, table, shift = _numerals()
    which = table[hashed >> np.uint64(shift)]
    places = np.flatnonzero(which >= 0)
    places = places[known[which[places]] == hashed[places]]
    return places, values[which[places]]


@dataclass(frozen=True)
class _Page(Signs):
    """Texts one after another, a line feed between them, and what each of their characters is."""

    begins: Places
    """Of each text, where it begins."""

    @classmethod
    def of(cls, plain: Sequence[str]) -> _Page:
        import numpy as np

        joined = "\n".join((_AROUND[1:], *plain, _AROUND[1:]))
        ascii_only = joined.isascii()
        data = joined.encode("ascii") if ascii_only else joined.encode("utf-32-le", errors="surrogatepass")
        letters = np.frombuffer(data, dtype=np.uint8 if ascii_only else "<u4")
        sizes = np.fromiter(map(len, plain), dtype=np.int64, count=len(plain)) + 1
        kinds = kinds_of(next(count for count in _CHARACTERS if not len(letters) or letters.max() < count))
        return cls(letters, kinds[letters], _WINDOW + np.cumsum(sizes) - sizes)

    def text_of(self, places: Places) -> Places:
        import numpy as np

        return np.searchsorted(self.begins, places, side="right") - 1

    def tokens_of(self, starts: Places) -> Places:
        """Of each text, how many of these start before its end."""
        import numpy as np

        return np.append(np.searchsorted(starts, self.begins[1:]), len(starts)) if len(self.begins) else self.begins

    def digests(self) -> Hashes:
        """Of each text, one of what stands between white space."""
        import numpy as np

        starts, ends = self._between_spaces()
        return mixed(ordered(self.hashes(starts, ends), self.tokens_of(starts)) + np.uint64(TWO))

    def _between_spaces(self) -> tuple[Places, Places]:
        """What is between white space: (starts, ends)."""
        import numpy as np

        space = (self.kinds & SPACE) != 0
        change = np.flatnonzero(space[1:] != space[:-1]) + 1
        return change[::2], change[1::2]

    def without_separators(self) -> _Page:
        """`1,000` as `1000`: a comma after a digit goes when exactly three digits follow; and `20 %` as `20%`."""
        import numpy as np

        at = np.flatnonzero(self.letters == ord(","))
        digit = [self.are(at + by, DECIMAL) for by in (-1, 1, 2, 3, 4)]
        at = at[digit[0] & digit[1] & digit[2] & digit[3] & ~digit[4]]
        marks = self.marks("%°")
        spaces = marks[(self.letters[marks - 1] == ord(" ")) & self.are(marks - 2, DECIMAL)] - 1
        at = np.sort(np.concatenate([at, spaces]))
        if not len(at):
            return self
        return _Page(np.delete(self.letters, at), np.delete(self.kinds, at), self.begins - np.searchsorted(at, self.begins))

    def hashes(self, starts: Places, ends: Places) -> Hashes:
        """Of the characters between each start and end."""
        import numpy as np

        if self.letters.dtype == np.uint8:
            return _hashes(self.letters, starts, ends)
        data, at = self._bytes
        return _hashes(data, at[starts], at[ends])

    @cached_property
    def _bytes(self) -> tuple[npt.NDArray[np.uint8], Places]:
        """(all characters in UTF-8, where each begins)."""
        import numpy as np

        sizes = (self.letters > 0x7F).astype(np.int64)  # beyond one byte
        sizes += self.letters > 0x7FF
        sizes += self.letters > 0xFFFF
        data = self.letters.tobytes().decode("utf-32-le", errors="surrogatepass").encode("utf-8", errors="surrogatepass")
        return np.frombuffer(data, dtype=np.uint8), np.cumsum(sizes) - sizes + np.arange(len(sizes))

    def with_digits(self, starts: Places) -> Marks:
        """Which of the tokens hold a digit."""
        import numpy as np

        digits = np.flatnonzero((self.kinds & DIGIT) != 0)
        found = np.zeros(len(starts), dtype=bool)
        found[np.searchsorted(starts, digits, side="right") - 1] = True
        return found

    def spans(self) -> tuple[Places, Places, Marks]:
        """Of the tokens: (starts, ends, which are operators)."""
        import numpy as np

        word = (self.kinds & (SPACE | STOP)) == 0
        starts, ends = np.zeros(len(word), dtype=bool), np.zeros(len(word), dtype=bool)
        np.greater(word[1:], word[:-1], out=starts[1:])
        np.greater(word[:-1], word[1:], out=ends[1:])  # where it has ended
        if self.letters.dtype != np.uint8:
            alone = np.flatnonzero((self.kinds & SPACELESS) != 0)
            starts[alone] = ends[alone] = ends[alone + 1] = True
            starts[alone + 1] = word[alone + 1]
            ends[alone] = word[alone - 1]
        taken = self._languages(starts, ends)
        self._decimals(word, starts, ends)
        taken = np.concatenate([taken, self.marked(ends)])
        signs = np.concatenate([self.operators(taken, starts, ends), self.derivatives(starts, ends)])
        at = np.flatnonzero(starts)
        operators = np.zeros(len(at), dtype=bool)
        operators[np.searchsorted(at, signs)] = True
        return at, np.flatnonzero(ends), operators

    def _languages(self, starts: Marks, ends: Marks) -> Places:
        """C++, C#, F# in one piece. Returns which operators are taken by them."""
        import numpy as np

        letters = self.letters
        signs = np.flatnonzero((letters == ord("#")) | (letters == ord("+")))
        at = signs[((letters[signs - 1] == ord("c")) | (letters[signs - 1] == ord("f"))) & starts[signs - 1] & ~self.are(signs - 2, WORD)]
        plus = letters[at] == ord("+")
        at, plus = at[~plus | (letters[at + 1] == ord("+"))], plus[~plus | (letters[at + 1] == ord("+"))]
        free = ~self.are(at + 1 + plus, WORD)
        at, plus = at[free], plus[free]
        ends[at] = False
        ends[at + 1 + plus] = True
        return np.concatenate([at[plus], at[plus] + 1])

    def _decimals(self, word: Marks, starts: Marks, ends: Marks) -> None:
        """`2.5` and `1.2.3` in one piece: a run of digits, a point, and the digits after it."""
        import numpy as np

        dots = np.flatnonzero(self.letters == ord("."))
        dots = dots[self.are(dots - 1, DECIMAL) & self.are(dots + 1, DECIMAL)]
        before, after = dots - 1, dots + 1
        while (more := self.are(before, DECIMAL) & ~starts[before]).any():
            before = before - more
        joined = self.are(before, DECIMAL) & starts[before]
        dots, after = dots[joined], after[joined]
        while (more := self.are(after, DECIMAL)).any():
            after = after + more
        starts[dots + 1] = ends[dots] = False
        cut = after[word[after] & ~starts[after]]
        starts[cut] = ends[cut] = True
