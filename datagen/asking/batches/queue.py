"""What one teacher is still to be asked, cut into jobs: in key order, within the limits of provider, spec and budget, no request twice."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from datagen.asking.batches.desk import Desk
from datagen.asking.batches.spool import Entry, Wanted
from datagen.errors import DatagenError, TeacherFault
from datagen.records import Request, Spend

FRAME = 4
"""Bytes a request that a job adds to its line, at most: a comma or a newline."""


class Books(Protocol):
    """The money of the governor: directly, or over a wire."""

    def take(self, teacher: str, worst: Spend) -> Awaitable[bool] | bool: ...

    def give(self, teacher: str, worst: Spend, used: Spend) -> Awaitable[None] | None: ...

    def short(self, teacher: str, worst: Spend) -> Awaitable[str] | str: ...

    def weigh(self, teacher: str, counts: Mapping[str, int]) -> Awaitable[DatagenError | None] | DatagenError | None: ...


class Till:
    """The books as a round uses them; without any, everything fits."""

    def __init__(self, books: Books | None) -> None:
        self._books = books

    async def take(self, teacher: str, worst: Spend) -> bool:
        """Reserve; False where it does not fit under a cap now."""
        taken = True if self._books is None else self._books.take(teacher, worst)
        return await taken if inspect.isawaitable(taken) else taken

    async def give(self, teacher: str, worst: Spend, used: Spend) -> None:
        """Settle what was reserved."""
        given = None if self._books is None else self._books.give(teacher, worst, used)
        if inspect.isawaitable(given):
            await given

    async def short(self, teacher: str, worst: Spend) -> str:
        """Which cap has no room for it, what is taken of it, and what it would need."""
        found = "" if self._books is None else self._books.short(teacher, worst)
        return await found if inspect.isawaitable(found) else found

    async def weigh(self, teacher: str, counts: Mapping[str, int]) -> DatagenError | None:
        """Whether a round of these outcomes is too bad to go on with, and why."""
        found = None if self._books is None else self._books.weigh(teacher, counts)
        return await found if inspect.isawaitable(found) else found


class Queue:
    """The requests of one teacher in a round."""

    def __init__(self, desk: Desk, folder: Path, till: Till) -> None:
        self.desk = desk
        self.wanted = Wanted(folder)
        self.parked: list[Entry] = []
        """Open in a job that is under way."""
        self.dear: list[Entry] = []
        """Did not fit under a cap."""
        self.groups: list[list[Entry]] = []
        """Parts of jobs that the provider did not take whole, the next one last; each goes as a job of its own."""
        self.refused = 0
        """Jobs turned down in a row."""
        self.full = False
        """The provider queues no more tokens of this account: one job at a time, until one has ended."""
        self.held = 0
        """Pauses in a row that were made for it while no job of ours stood."""
        self.held_since = self.held_until = 0.0
        self.renewed = -1
        """How much had been settled when `parked` and `dear` were looked through last."""
        self._till = till

    def add(self, request: Request, worst: Spend) -> None:
        """Raises TeacherFault `rejected` where the request has no form, or one too large for any job."""
        line = self.desk.batches().line(request)
        if len(line) + FRAME > self.largest():
            raise TeacherFault("rejected", f"the request has {len(line):,} bytes, more than one batch may have ({self.largest():,})")
        self.wanted.add(request, line, worst)

    def ready(self) -> bool:
        """Whether there is something to send."""
        return bool(len(self.wanted) or self.groups)

    def waiting(self) -> bool:
        """Whether there is, or will be when a job has ended."""
        return self.ready() or bool(self.parked)

    def renew(self, settled: int) -> None:
        """Look through what is parked and what was too dear, if anything was settled since."""
        if settled != self.renewed:
            self.wanted.back([*self.parked, *self.dear])
            self.parked, self.dear, self.renewed = [], [], settled

    def largest(self) -> int:
        """Bytes of requests in one job, at most."""
        return min(self.desk.batches().most[1], int(self.desk.terms.megabytes * 1_000_000)) - 64

    def cut(self, passes: Callable[[Entry], bool]) -> list[Entry]:
        """The requests of the next job, of those that pass: the next in key order, until a limit is met."""
        if self.groups:
            return [entry for entry in self.groups.pop() if passes(entry)]
        most, room = min(self.desk.batches().most[0], self.desk.terms.requests), self.largest()
        found: list[Entry] = []
        while len(found) < most and (entry := self.wanted.pop()) is not None:
            if not passes(entry):
                continue
            room -= entry.sent + FRAME
            if found and room < 0:
                self.wanted.back([entry])
                break
            found.append(entry)
        return found

    def split(self, parts: Sequence[Sequence[Entry]]) -> None:
        """Send each as a job, after those that were split before: halves go by turns. Single requests tell most and cost least, so they go first."""
        self.groups[:0] = [list(part) for part in reversed(parts) if len(part) > 1]
        self.groups += [list(part) for part in reversed(parts) if len(part) == 1]

    def halve(self, entries: Sequence[Entry]) -> None:
        """Send them as two jobs, before anything else: what has room is found soonest so."""
        middle = len(entries) // 2
        self.groups += [list(entries[middle:]), list(entries[:middle])]

    def back(self, entries: Sequence[Entry]) -> None:
        """To be sent again, but for what has an answer by then."""
        self.wanted.back(entries)

    async def afford(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those whose worst case is reserved now, first ones first; a cheap one may pass a dear one. The others are `dear`."""
        if not entries or await self._till.take(self.desk.name, total(entries)):
            return list(entries)
        least = Spend(*(min(getattr(entry.worst, name) for entry in entries) for name in ("cost", "tokens", "requests")))
        if len(entries) == 1 or not await self._till.take(self.desk.name, least):
            self.dear += entries
            return []
        await self._till.give(self.desk.name, least, Spend())
        middle = len(entries) // 2
        return [*await self.afford(entries[:middle]), *await self.afford(entries[middle:])]

    def close(self) -> None:
        self.wanted.close()


def total(entries: Sequence[Entry]) -> Spend:
    """Their worst cases together."""
    return sum((entry.worst for entry in entries), Spend())
