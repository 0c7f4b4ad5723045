"""How a worker comes by what it works with: its ledger segment, its books, and its share of a disk or of an object store."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from datagen.asking.ledger.book import Ledger
from datagen.asking.ledger.offsite import Offsite
from datagen.asking.ledger.segments import await_end
from datagen.asking.limits.deputy import Deputy
from datagen.asking.limits.gate import Books
from datagen.asking.limits.governor import Governor
from datagen.errors import LedgerError
from datagen.plan.model import Plan
from datagen.running.money import WRITERS, limits_of
from datagen.runtime.base import Hire
from datagen.steps.courier import Courier, Post
from datagen.steps.part import PartWorker


def hire(plan: Plan, root: Path, driver: Ledger, away: Offsite | Post | None, again: bool, paying: bool) -> Hire:
    """Makes workers, each with a ledger segment of its own, wherever the runtime puts them. `driver`: the ledger of whoever hires; `away`: how
    what lies on an object store gets there."""
    return functools.partial(_hired, plan, root, (driver.folder, driver.build, driver.month, driver.newest), away, again, paying)


def _hired(
    plan: Plan,
    root: Path,
    driver: tuple[Path, str, str, int],
    away: Offsite | Post | None,
    again: bool,
    paying: bool,
    shared: Any,
    number: int,
) -> PartWorker:
    folder, name, month, since = driver
    books, writer = books_of(plan, shared, number), number % WRITERS
    if isinstance(away, Post):
        courier = Courier(away)
        ledger = Ledger(courier.book, name, writer, month=month, offsite=courier.offsite, since=since)
        return PartWorker(plan, courier.root, ledger, books, number, paying, again, courier)
    ledger = Ledger(folder, name, writer, month=month, offsite=away, since=since)
    return PartWorker(plan, root, ledger, books, number, paying, again)


def books_of(plan: Plan, shared: Any, worker: int) -> Books:
    """The governor as a worker has it at hand: itself, or a deputy of one that is elsewhere."""
    return shared if isinstance(shared, Governor) else Deputy(limits_of(plan), shared, str(worker))


def await_workers(folder: Path) -> None:
    """Workers of a driver that was killed end a moment after it. Raises LedgerError where they do not."""
    if not await_end(folder):
        raise LedgerError(f"workers of an earlier build still write the ledger {folder}: end them, and run the same command again")
