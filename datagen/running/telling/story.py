"""A build's beginning and end in the log, however it ends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from datagen.asking.ledger.book import Ledger
from datagen.asking.ledger.segments import segments
from datagen.errors import BudgetReached, DatagenError
from datagen.records import NANO, Spend
from datagen.running.telling.record import exit_code
from datagen.runtime.log import event


class Story:
    """One build, as its log tells it."""

    def __init__(self, folder: Path) -> None:
        """`folder`: of its ledger."""
        self._folder, self._began = folder, time.monotonic()
        self._name = ""
        self._cap: float | None = None

    def begins(self, name: str, release: str, cap: float | None, **told: Any) -> None:
        """It has its plan and its lock. `name`: what its money is counted under; `cap`: of the release, in dollars."""
        self._name, self._cap = name, cap
        event("build_started", build=name.split("/")[0], release=release, budget_usd=cap, **told)

    def ends(self, check: Callable[[], None], told: Mapping[str, Any]) -> None:
        """A release is out; `check` raises where it is not to be trusted as it is, and that is the exit code."""
        code = 0
        try:
            check()
        except DatagenError as error:
            code = error.exit_code
        event("build_finished", exit_code=code, **told, dollars=self.dollars(), seconds=self._seconds())

    def fails(self, error: BaseException) -> None:
        """It was stopped."""
        if isinstance(error, BudgetReached):
            event("budget_reached", dollars=self.dollars(), budget_usd=self._cap)
        event("build_failed", exit_code=exit_code(error), error=type(error).__name__, dollars=self.dollars(), seconds=self._seconds())

    def dollars(self) -> float:
        """What counts against the cap of its release, by the ledger: answers, failed attempts at their worst, and what has no end."""
        if not (self._name and segments(self._folder)):
            return 0.0
        ledger = Ledger(self._folder, "")
        try:
            return sum((account.committed for account in ledger.accounts.get(self._name, {}).values()), Spend()).cost / NANO
        finally:
            ledger.close()

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 3)


@contextlib.contextmanager
def telling(folder: Path) -> Iterator[Story]:
    """Log what ends the block, if anything does."""
    story = Story(folder)
    try:
        yield story
    except BaseException as error:
        story.fails(error)
        raise
