"""A part through a stretch: the unit of work. Data first and manifest last; skipped when its manifest holds."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from datagen.asking.ask import Asker, Seat
from datagen.asking.ledger.book import Ledger
from datagen.asking.limits.gate import Books, Gate
from datagen.asking.teachers.base import Endpoint
from datagen.asking.teachers.late import LateTeacher
from datagen.errors import SetupError
from datagen.plan.model import Chair, Plan, Stretch
from datagen.plan.resolve import api_key
from datagen.records import Outcome, Request, Row, digest
from datagen.runtime.measures import Measures
from datagen.runtime.pool import ProcessPool
from datagen.steps.cohort import SEEDS, part_lines, write_part_seeds
from datagen.steps.journal import CALL_COLUMNS, Journal
from datagen.steps.walk import walk
from datagen.steps.work import Work
from datagen.storage import read_json, read_rows, replacing, row_record, seed_of, write_json, write_rows, write_table

UNPUBLISHED = "unpublished"
"""A file under steps/ that stands from the first part made anew until a release holds it: a build that dies in between publishes next time."""
SLICE = 4
"""Families that a worker sets off between two looks at the network: a part replayed from the ledger has no pause of its own, and answers
must not wait for it."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One part of one stretch; its rows lie under steps/."""

    stretch: int
    part: str
    """`c0-00007`: cohort and bucket."""
    settled: bool = False
    """True where a late answer may not change what is out: a released cohort whose line votes or selects."""
    under: str = ""
    """A folder of the root where all is read and written instead."""
    round: int = 0
    """Rounds of paid batches that have come back: what they brought is in the ledger, in the driver's segment."""
    failed: tuple[tuple[str, str], ...] = ()
    """(key, why) of requests that no batch answered; not asked again in this run."""


@dataclass
class PartWorker:
    """The local runtime with parts in its hands: one ledger segment, one client a teacher, one process pool."""

    plan: Plan
    root: Path
    """OUT/steps."""
    ledger: Ledger
    books: Books
    number: int = 0
    """Tells workers of one build apart."""
    paying: bool = True
    again: bool = False
    """What was rejected in earlier runs is asked anew."""
    _finished: int = 0
    _round: int = 0
    _told: int = 0

    def __post_init__(self) -> None:
        self.gate = Gate(self.books)
        self._seats = {name: seat(chair) for name, chair in self.plan.chairs.items()} if self.paying else {}
        ranks = {inner.name: step.number for step in self.plan.steps for inner in (step, *step.inner)}
        self.asker = Asker(self.ledger, self.gate, self._seats, self.paying, ranks, self.number, self.again)
        self.pool = ProcessPool()
        self._setting_off = asyncio.Lock()
        self._name = uuid4().hex

    async def run(self, unit: Unit) -> dict[str, Any]:
        """Returns the part's manifest, made now or found; with the seconds it took, and what of the ledger turned out to be damaged."""
        began = time.monotonic()
        manifest = await self._run(unit)
        self.gate.tell()
        torn, self._told = self.ledger.torn[self._told :], len(self.ledger.torn)
        return {**manifest, "torn": [str(each) for each in torn], "seconds": time.monotonic() - began}

    async def _run(self, unit: Unit) -> dict[str, Any]:
        self._catch_up(unit)
        stretch, root = self.plan.stretches[unit.stretch], self.root / unit.under
        came: Sequence[Any] = part_lines(root, unit.part) if unit.stretch == 0 else read_rows(self._input(unit))
        fingerprint = part_fingerprint(stretch, came)
        found = read_json(manifest_path(root, self.plan, unit))
        if found and found["fingerprint"] == fingerprint and (unit.settled or not (found["open"] or (self.again and found["rejected"]))):
            return {**found, "made": False, "waiting": 0}
        if unit.stretch == 0:
            came = [seed_of(line) for line in came]
        rows = list({row.id: row for row in came}.values())
        journal = Journal(stretch.steps)
        work = Work(self.plan, self.asker, self.pool, journal)
        kept = await self.walk(rows, stretch, work)
        self._finished += len(rows)
        if journal.requests:
            return await asyncio.to_thread(_suspend, root, unit.part, journal)
        return await asyncio.to_thread(self._write, unit, stretch, fingerprint, came, kept, journal)

    async def walk(self, rows: Sequence[Row], stretch: Stretch, work: Work) -> list[Row]:
        """Rows of one parent walk together, for the group steps to find them."""
        families = itertools.groupby(sorted(rows, key=lambda row: (row.parent, row.id)), key=lambda row: row.parent or row.id)
        walks: list[asyncio.Future[list[Row]]] = []
        async with self._setting_off:
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
        """Fewer rows wait at the gate than the teachers take at once, and none has still to be set off."""
        return (
            self.paying
            and not self._setting_off.locked()
            and self.gate.waiting() < sum(chair.spec.max_in_flight for chair in self.plan.chairs.values())
        )

    def drain(self) -> None:
        self.gate.close()

    def status(self) -> dict[str, int]:
        return {"rows": self._finished, "asked": self.asker.asked}

    def measures(self) -> dict[str, Measures]:
        return {self._name: self.asker.counts.measures()}

    async def close(self) -> None:
        self.pool.close()
        await asyncio.gather(*(seat.teacher.close() for seat in self._seats.values()))
        self.ledger.close()

    def _input(self, unit: Unit) -> Path:
        closing = self.plan.stretches[unit.stretch - 1].closing
        assert closing is not None
        return self.root / unit.under / closing.folder / "kept" / f"{unit.part}.parquet"

    def _catch_up(self, unit: Unit) -> None:
        """See what the rounds since the last unit brought."""
        if unit.round > self._round:
            self._round = unit.round
            self.ledger.refresh()
            self.asker.given_up |= dict(unit.failed)

    def _write(self, unit: Unit, stretch: Stretch, fingerprint: str, came: Sequence[Row], kept: Sequence[Row], journal: Journal) -> dict[str, Any]:
        root = self.root / unit.under
        folder = root / part_folder(self.plan, unit.stretch)
        root.mkdir(parents=True, exist_ok=True)
        (root / UNPUBLISHED).touch()
        if unit.stretch == 0:
            write_part_seeds(root, unit.part, came, kept=bool(stretch.steps))
        files = journal.write(root, unit.part, {step.number: step.folder for step in stretch.steps})
        write_rows(folder / "kept" / f"{unit.part}.parquet", [row_record(row) for row in kept])
        calls = folder / "calls" / f"{unit.part}.parquet"
        calls.unlink(missing_ok=True)
        if journal.calls:
            write_table(calls, sorted(journal.calls, key=_call_order), CALL_COLUMNS)
        counts = {str(number): book.counts() for number, book in journal.books.items()}
        failed, rejected = (sum(count["unanswered"].get(outcome, 0) for count in counts.values()) for outcome in (Outcome.FAILED, Outcome.REJECTED))
        manifest = {"part": unit.part, "fingerprint": fingerprint, "counts": counts, "files": files, "open": failed, "rejected": rejected}
        write_json(manifest_path(root, self.plan, unit), manifest)
        _waiting_path(root, unit.part).unlink(missing_ok=True)
        asked = sum(call["asked"] for call in journal.calls)
        return {**manifest, "made": True, "waiting": 0, "asked": asked, "replayed": len(journal.calls) - asked}


def _suspend(root: Path, part: str, journal: Journal) -> dict[str, Any]:
    """Rows wait for a round of paid batches: nothing of the part is written but what it asks. Walked again, it replays from the ledger."""
    lines = [orjson.dumps({"teacher": teacher, "head": request.head, "request": request.identity()}) for teacher, request in journal.requests]
    with replacing(_waiting_path(root, part)) as beside:
        beside.write_bytes(b"\n".join(lines))
    return {"part": part, "counts": {}, "made": False, "waiting": len(lines)}


def _waiting_path(root: Path, part: str) -> Path:
    return root / "waiting" / f"{part}.jsonl"


def waiting_requests(root: Path, part: str) -> Iterator[tuple[str, Request]]:
    """(teacher, request) of what a part waits for."""
    for line in _waiting_path(root, part).read_bytes().splitlines():
        entry = orjson.loads(line)
        yield entry["teacher"], replace(Request.of(entry["request"]), head=entry["head"])


def _call_order(call: Mapping[str, Any]) -> tuple[str, str, str]:
    return call["row"], call["step"], call["key"]


def seat(chair: Chair) -> Seat:
    """A chair with its teacher in it."""
    key, lacks = "", None
    try:
        key = api_key(chair)
    except SetupError as error:
        lacks = error
    endpoint = Endpoint(
        provider=chair.provider,
        base_url=chair.base_url,
        api_key=key,
        timeout=chair.spec.timeout,
        connections=chair.spec.max_in_flight,
        simulated=chair.simulated,
        native_schema=chair.spec.structured == "native",
        client=chair.spec.client,
        cache=chair.spec.cache,
    )
    return Seat(chair.name, LateTeacher(endpoint), chair.price, chair.spec.attempts, chair.spec.mode == "batch", chair.spec.patience, lacks)


def part_fingerprint(stretch: Stretch, came: Sequence[bytes] | Sequence[Row]) -> str:
    """Of the stretch's steps and of what came in: lines of seeds, or rows."""
    marks = [digest([each.id, each.parent, dict(each.fields)]) if isinstance(each, Row) else hashlib.sha256(each).hexdigest() for each in came]
    return digest([stretch.fingerprint, sorted(marks)])


def part_folder(plan: Plan, stretch: int) -> str:
    """Where the rows of a part lie when the stretch has been walked: with its last row-wise or group step."""
    steps = plan.stretches[stretch].steps
    if steps:
        return steps[-1].folder
    before = plan.stretches[stretch - 1].closing if stretch else None
    return before.folder if before else SEEDS


def manifest_path(root: Path, plan: Plan, unit: Unit) -> Path:
    return root / part_folder(plan, unit.stretch) / "parts" / f"{unit.stretch}-{unit.part}.json"
