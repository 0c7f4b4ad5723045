"""What each character of many texts is, and the operators among them, found as arrays by the rules of `words.py`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from datagen.steps.sets import words

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Marks = npt.NDArray[np.bool_]
    Places = npt.NDArray[np.int64]

SPACE, STOP, SPACELESS, DECIMAL, WORD, DIGIT, OPERATOR, MARK = (1 << bit for bit in range(8))
"""Of a character: white space, punctuation, of a script without spaces, `\\d`, `\\w`, str.isdigit, an operator, the mark of a number or function."""


@cache
def kinds_of(count: int) -> npt.NDArray[np.uint8]:
    """What each of the first `count` characters is, by its code point; for all of Unicode that takes some tenths of a second, once a process."""
    import numpy as np

    kinds, letters = np.zeros(count, dtype=np.uint8), "".join(map(chr, range(count)))
    for mark, test in ((SPACE, str.isspace), (DECIMAL, str.isdecimal), (DIGIT, str.isdigit), (WORD, str.isalnum)):
        kinds |= np.fromiter(map(test, letters), dtype=bool, count=count).astype(np.uint8) * np.uint8(mark)
    for mark, pattern in ((STOP, words.STOPS), (SPACELESS, words.SPACELESS), (OPERATOR, words.OPERATOR), (MARK, words.MARK)):
        for run in pattern.finditer(letters):
            kinds[run.start() : run.end()] |= mark
    kinds[ord("_")] |= WORD
    return kinds


@cache
def _table(letters: str) -> Marks:
    """Which code points are those of these letters, all below U+3000."""
    import numpy as np

    table = np.zeros(0x3000, dtype=bool)
    table[[ord(letter) for letter in letters]] = True
    return table


@dataclass(frozen=True)
class Signs:
    """Characters one after another, with some white space before and after them."""

    letters: npt.NDArray[Any]
    """Code points."""
    kinds: npt.NDArray[np.uint8]
    """What each is."""

    def marked(self, ends: Marks) -> Places:
        """`20%`, `5°` and `7!` in one piece. Returns where the marks are."""
        import numpy as np

        at = self.marks("%°!")
        at = at[self.are(at - 1, DECIMAL) & ((self.letters[at] != ord("!")) | (self.letters[at + 1] != ord("=")))]
        ends[at] = False
        ends[at + 1] = True
        return np.asarray(at)

    def derivatives(self, starts: Marks, ends: Marks) -> Places:
        """The strokes of `f'(x)`. Returns where they start."""
        import numpy as np

        last = self.marks("'")
        last = last[self.letters[last + 1] == ord("(")]
        begin = last
        while (more := self.letters[begin - 1] == ord("'")).any():
            begin = begin - more
        alone = self._alone(begin - 1)
        starts[begin[alone]] = ends[last[alone] + 1] = True
        return np.asarray(begin[alone])

    def operators(self, taken: Places, starts: Marks, ends: Marks) -> Places:
        """Operators, as `words.py` has them. Returns where they start."""
        import numpy as np

        marks = np.flatnonzero((self.kinds & OPERATOR) != 0)
        marks = marks[~np.isin(marks, taken)] if len(taken) else marks
        if not len(marks):
            return marks
        first = np.diff(marks, prepend=-1) != 1
        begin, end = marks[first], marks[np.append(first[1:], True)] + 1
        minus = marks[self.letters[marks] == ord("-")]
        behind = np.searchsorted(minus, end)
        dashes = behind - np.searchsorted(minus, begin) == end - begin
        lone = (end - begin == 1) & self._among(begin, "!&|")
        tight = ~lone & self._operand(begin - 1)
        whole = (tight & self._right(end)) | self._spaced(begin, end, dashes, lone) | self._joins(begin, end) | self._factorial(begin, lone)
        cut = minus[np.maximum(behind - 1, 0)] if len(minus) else begin  # the last minus of the run, if it has one behind its first sign
        short = tight & ~whole & (behind > 0) & (cut > begin)
        sign = ~whole & self._opens(end - 2) & self._signs(end)
        for begins, stops in ((begin[whole], end[whole]), (begin[short], cut[short]), (end[sign] - 1, end[sign])):
            starts[begins] = ends[stops] = True
        return np.concatenate([begin[whole], begin[short], end[sign] - 1])

    def _spaced(self, begin: Places, end: Places, dashes: Marks, lone: Marks) -> Marks:
        """Which runs stand between operands with a space on both sides: of dashes, as without spaces; of others, also between words."""
        import numpy as np

        found = ~lone & (self.letters[begin - 1] == ord(" ")) & (self.letters[end] == ord(" "))
        at = np.flatnonzero(found)
        left, right = begin[at] - 2, end[at] + 1
        between = (self._name_ends(left) | self._marked_number(left)) & (self._name_begins(right) | self._among(right, "-!"))
        found[at] = np.where(dashes[at], self._operand(left) & self._right(right), between)
        return np.asarray(found)

    def _joins(self, begin: Places, end: Places) -> Marks:
        """Which are comparisons, assignments, `&&` or `||` between names, spaced or not."""
        import numpy as np

        found = (end - begin > 1) & self._among(begin + 1, "=&|")
        at = np.flatnonzero(found)
        left, right = begin[at] - 1, end[at]
        left, right = left - (self.letters[left] == ord(" ")), right + (self.letters[right] == ord(" "))
        found[at] = self._name_ends(left) & self._name_begins(right)
        return np.asarray(found)

    def _factorial(self, begin: Places, lone: Marks) -> Marks:
        """Which of the lone signs, if `!`, are that of `n!` or `(n + 1)!`; not that of `don't!`."""
        import numpy as np

        found = lone & (self.letters[begin] == ord("!"))
        at = begin[found]
        letter = self._alone(at - 1) & ~self._among(at - 2, "'’")
        found[found] = letter | ((self.letters[at - 1] == ord(")")) & (self.are(at - 2, DECIMAL) | self._alone(at - 2)))
        return np.asarray(found)

    def _signs(self, end: Places) -> Marks:
        """Where the minus of a number, or the `!` before a name, has ended."""
        number = self._among(end - 1, "-±") & self.are(end, DECIMAL)
        return number | (self._among(end - 1, "!") & (self.are(end, WORD) | self._among(end, "(")))

    def _among(self, at: Places, letters: str) -> Marks:
        import numpy as np

        found, table = self.letters[at], _table(letters)
        return np.asarray(table[found if found.dtype == np.uint8 else np.minimum(found, len(table) - 1)])

    def _alone(self, at: Places) -> Marks:
        return self.are(at, WORD) & ~self.are(at - 1, WORD)

    def _marked_number(self, at: Places) -> Marks:
        return self._among(at, "%°!") & self.are(at - 1, DECIMAL)

    def _name_ends(self, at: Places) -> Marks:
        return self.are(at, WORD) | self._among(at, ")]}\"'")

    def _name_begins(self, at: Places) -> Marks:
        return self.are(at, WORD) | self._among(at, "([{\"'\\$")

    def _operand(self, at: Places) -> Marks:
        """What an operator may come after: a digit, with its mark, a closing bracket, a letter alone."""
        return self._among(at, ")]}") | self.are(at, DECIMAL) | self._alone(at) | self._marked_number(at)

    def _right(self, at: Places) -> Marks:
        """What may come after an operator."""
        return self._among(at, "([{\\$-") | self.are(at, DECIMAL) | (self.are(at, WORD) & ~self.are(at + 1, WORD))

    def _opens(self, at: Places) -> Marks:
        """After what a minus belongs to the number behind it."""
        return self.are(at, SPACE) | self._among(at, "([{=$")

    def are(self, places: Places, kind: int) -> Marks:
        return (self.kinds[places] & kind) != 0  # type: ignore[no-any-return]

    def marks(self, which: str) -> Places:
        """Where these marks stand."""
        return self._all_marks[self._among(self._all_marks, which)]

    @cached_property
    def _all_marks(self) -> Places:
        import numpy as np

        return np.flatnonzero((self.kinds & MARK) != 0)
