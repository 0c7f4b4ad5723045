"""How long the batch API of one teacher is waited for: until when it rests, and since when it brings nothing."""

from __future__ import annotations

from collections.abc import Callable

from datagen.asking.ask import SHORTEST
from datagen.asking.batches.desk import Desk
from datagen.errors import FAULTS, TeacherFault, TeacherPaused, TeacherStopped

BACKOFF_FIRST, BACKOFF_MOST = 1.0, 60.0
"""Seconds before a call that brought nothing is made again, doubled up to the most."""
SHOWN = 2.0
"""Seconds of a pause from which it is said why nothing happens."""


class Pauses:
    """Of the calls of one kind: looks at jobs, or submissions. One may be turned down while the other goes on."""

    def __init__(self, desk: Desk, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._desk = desk
        self._clock = clock
        self._until = 0.0
        self._backoffs = 0
        self.why = ""
        """What was said last; empty where all is well."""

    def rests(self) -> float:
        """Seconds until the next call may be made."""
        return max(0.0, self._until - self._clock())

    def well(self) -> None:
        """A call brought what it was made for."""
        self._backoffs, self.why = 0, ""

    def endure(self, fault: TeacherFault, since: float | None) -> float:
        """Rest, for as long as the teacher has patience; returns since when nothing came. Raises what ends the run, as an online teacher does."""
        if not FAULTS[fault.kind].again:
            raise stop_of(self._desk.name, fault)
        now, patience = self._clock(), self._desk.patience
        since = now if since is None else since
        backoff = min(BACKOFF_MOST, BACKOFF_FIRST * 2**self._backoffs, max(patience / 4, SHORTEST))
        self._backoffs += 1
        self._until = now + max(backoff if fault.retry_after is None else fault.retry_after, SHORTEST)
        self.why = str(fault)
        if (fault.retry_after or 0.0) > patience:
            asked = f"asks to wait {fault.retry_after:,.0f} s before its next batch, longer than its `patience` of {patience:,.0f} s"
            raise TeacherPaused(f"teacher {self._desk.name!r} {asked}, so the build pauses: {fault}")
        if now - since > patience:
            how = "overloaded" if FAULTS[fault.kind].waits else "out of reach"
            spent = f"{now - since:.0f} s, longer than its `patience`"
            raise TeacherStopped(f"the batches of teacher {self._desk.name!r} have been {how} for {spent}; the same command goes on: {fault}")
        return since

    def trouble(self, what: str) -> str:
        """Why nothing happens, in words; empty where that is not so or soon over."""
        left = self.rests()
        return f"teacher {self._desk.name!r} {what}, and is asked again in {left:.0f} s: {self.why[:200]}" if self.why and left > SHOWN else ""


def stop_of(teacher: str, fault: TeacherFault) -> TeacherStopped:
    """What ends the run."""
    if fault.kind == "exhausted":
        return TeacherPaused(f"teacher {teacher!r} has used up a quota or a spend limit, so the build pauses: {fault}")
    return TeacherStopped(f"teacher {teacher!r}: {fault}")
