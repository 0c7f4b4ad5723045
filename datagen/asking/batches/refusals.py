"""Whose fault it is that a provider does not take jobs: one request's, which is found by halving, or the teacher's, of which no row knows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from datagen.asking.batches.spool import Entry
from datagen.errors import TeacherFault
from datagen.records import Request

ALIKE = 3
"""Jobs in a row that are refused in the very same words, and none ever taken, from which two single requests are tried: halves go by turns,
so at least two of the jobs share no request."""
NAMES_ONE = re.compile(r"\b(?:requests?|lines?|rows?|items?|messages)\W{0,3}\d|custom_id", re.IGNORECASE)
"""In a refusal: it is about a request of the job."""


class Refusals:
    """Of the jobs of one teacher, as long as none was ever taken: after that they are about requests."""

    def __init__(self) -> None:
        self.taken = False
        """A job was."""
        self._words = ""
        self._count = 0
        self._probed = False
        self._single: list[tuple[Request, TeacherFault]] = []
        """Refused alone. Nothing is on record of them yet."""

    def heard(self, fault: TeacherFault) -> None:
        """One more job was refused."""
        same = str(fault) == self._words and not NAMES_ONE.search(self._words)
        self._words, self._count = str(fault), self._count + 1 if same else 1

    def alone(self, request: Request, fault: TeacherFault) -> None:
        """It was a job of one."""
        self._single.append((request, fault))

    def of_the_teacher(self, last: bool) -> bool:
        """Whether single requests were refused in the same words, and no wonder: those that were tried for it, or (`last`) all there are."""
        alike = len({str(fault) for _, fault in self._single}) == 1 and not NAMES_ONE.search(self._words)
        return not self.taken and len(self._single) > 1 and alike and (self._probed or last)

    def parts(self, entries: Sequence[Entry]) -> list[list[Entry]]:
        """The jobs in the place of a refused one: its halves, or two of it alone and the rest, where single requests are to tell."""
        if not self.taken and self._count >= ALIKE and not self._single and not self._probed and len(entries) > 2:
            self._probed = True
            return [[entries[0]], [entries[-1]], list(entries[1:-1])]
        middle = len(entries) // 2
        return [list(entries[:middle]), list(entries[middle:])]

    def given(self) -> list[tuple[Request, TeacherFault]]:
        """Those refused alone, once it is clear that it was for their own sake."""
        given, self._single = self._single, []
        return given
