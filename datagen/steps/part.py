"""A part through a stretch: the unit of work. Data first and manifest last; skipped when its manifest holds."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datagen.asking.ask import Asker, Seat
from datagen.asking.governor import Books, Gate
from datagen.asking.ledger import Ledger
from datagen.asking.teachers.base import Endpoint
from datagen.asking.teachers.late import LateTeacher
from datagen.plan.model import Chair, Plan, Stretch
from datagen.plan.resolve import api_key
from datagen.records import Outcome, Row, digest
from datagen.runtime.pool import ProcessPool
from datagen.steps.journal import CALL_COLUMNS, Journal
from datagen.steps.walk import walk
from datagen.steps.work import Work
from datagen.storage import read_json, read_rows, row_record, write_json, write_rows, write_table

UNPUBLISHED = "unpublished"
"""A file under steps/ that stands from the first part made anew until a release holds it: a build that dies in between publishes next time."""
SLICE = 32
"""Families set off between two looks at the network: a part replayed from the ledger has no pause of its own, and answers must not wait for it."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One part of one stretch: its rows, or where they lie."""

    stretch: int
    part: str
    """`c0-0007`: cohort and bucket."""
    rows: tuple[Row, ...] | None = None
    settled: bool = False
    """True where a late answer may not change what is out: a released cohort whose line votes or selects."""


@dataclass
class PartWorker:
    """The local runtime with parts in its hands: one ledger segment, one client a teacher, one process pool."""

    plan: Plan
    root: Path
    """OUT/steps."""
    ledger: Ledger
    books: Books
    paying: bool = True
    _finished: int = 0
    _answered: int = 0
    _workers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gate = Gate(self.books)
        seats = {name: seat(chair) for name, chair in self.plan.chairs.items()} if self.paying else {}
        self._seats = seats
        self.asker = Asker(self.ledger, self.gate, seats, self.paying)
        self.pool = ProcessPool()

    async def run(self, unit: Unit) -> dict[str, Any]:
        """Returns the part's manifest, made now or found."""
        stretch = self.plan.stretches[unit.stretch]
        rows = unit.rows if unit.rows is not None else tuple(read_rows(self._input(unit)))
        fingerprint = part_fingerprint(stretch, rows)
        found = read_json(manifest_path(self.root, self.plan, unit))
        if found and found["fingerprint"] == fingerprint and (unit.settled or not found["open"]):
            return {**found, "made": False}
        journal = Journal(stretch.steps)
        work = Work(self.plan, self.asker, self.pool, journal)
        kept = await self.walk(rows, stretch, work)
        self._finished += len(rows)
        return await asyncio.to_thread(self._write, unit, stretch, fingerprint, kept, journal)

    async def walk(self, rows: Sequence[Row], stretch: Stretch, work: Work) -> list[Row]:
        """Rows of one parent walk together, for the group steps to find them."""
        families = itertools.groupby(sorted(rows, key=lambda row: (row.parent, row.id)), key=lambda row: row.parent or row.id)
        walks: list[asyncio.Future[list[Row]]] = []
        for number, (_, family) in enumerate(families, start=1):
            walks.append(asyncio.ensure_future(walk(list(family), stretch.steps, work)))
            if number % SLICE == 0:
                await asyncio.sleep(0)
        results = await asyncio.gather(*walks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return sorted((row for result in results if isinstance(result, list) for row in result), key=lambda row: row.id)

    def hungry(self) -> bool:
        """Fewer rows wait at the gate than the teachers take at once."""
        return self.paying and self.gate.waiting() < sum(chair.spec.max_in_flight for chair in self.plan.chairs.values())

    def drain(self) -> None:
        self.gate.close()

    def status(self) -> dict[str, int]:
        return {"rows": self._finished, "asked": len(self.asker.asked)}

    async def close(self) -> None:
        self.pool.close()
        await asyncio.gather(*(seat.teacher.close() for seat in self._seats.values()))
        self.ledger.close()

    def _input(self, unit: Unit) -> Path:
        closing = self.plan.stretches[unit.stretch - 1].closing
        assert closing is not None
        return self.root / closing.folder / "kept" / f"{unit.part}.parquet"

    def _write(self, unit: Unit, stretch: Stretch, fingerprint: str, kept: Sequence[Row], journal: Journal) -> dict[str, Any]:
        folder = self.root / part_folder(self.plan, unit.stretch)
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / UNPUBLISHED).touch()
        files = journal.write(self.root, unit.part, {step.number: step.folder for step in stretch.steps})
        write_rows(folder / "kept" / f"{unit.part}.parquet", [row_record(row) for row in kept])
        calls = folder / "calls" / f"{unit.part}.parquet"
        calls.unlink(missing_ok=True)
        if journal.calls:
            write_table(calls, sorted(journal.calls, key=_call_order), CALL_COLUMNS)
        counts = {str(number): book.counts() for number, book in journal.books.items()}
        again = sum(count["unanswered"].get(Outcome.FAILED, 0) for count in counts.values())
        manifest = {"part": unit.part, "fingerprint": fingerprint, "counts": counts, "files": files, "open": again}
        write_json(manifest_path(self.root, self.plan, unit), manifest)
        return {**manifest, "made": True}


def _call_order(call: Mapping[str, Any]) -> tuple[str, str, str]:
    return call["row"], call["step"], call["key"]


def seat(chair: Chair) -> Seat:
    """A chair with its teacher in it."""
    endpoint = Endpoint(
        provider=chair.provider,
        base_url=chair.base_url,
        api_key=api_key(chair),
        timeout=chair.spec.timeout,
        connections=chair.spec.max_in_flight,
        simulated=chair.simulated,
        native_schema=chair.spec.structured == "native",
    )
    return Seat(chair.name, LateTeacher(endpoint), chair.price, chair.spec.attempts)


def part_fingerprint(stretch: Stretch, rows: Sequence[Row]) -> str:
    """Of the stretch's steps and of what came in."""
    return digest([stretch.fingerprint, sorted(digest([row.id, row.parent, dict(row.fields)]) for row in rows)])


def part_folder(plan: Plan, stretch: int) -> str:
    """Where the rows of a part lie when the stretch has been walked: with its last row-wise or group step."""
    steps = plan.stretches[stretch].steps
    if steps:
        return steps[-1].folder
    before = plan.stretches[stretch - 1].closing if stretch else None
    return before.folder if before else "00-seeds"


def manifest_path(root: Path, plan: Plan, unit: Unit) -> Path:
    return root / part_folder(plan, unit.stretch) / "parts" / f"{unit.stretch}-{unit.part}.json"
