"""A part through a stretch: the unit of work. Data first and manifest last; skipped when its manifest holds."""

from __future__ import annotations

import asyncio
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
from datagen.plan.model import Chair, Plan, PlannedStep, Stretch
from datagen.plan.resolve import api_key
from datagen.records import Outcome, Request, Row, digest
from datagen.release.tables import CALL_COLUMNS, VERDICT_COLUMNS
from datagen.runtime.measures import Measures
from datagen.runtime.pool import ProcessPool
from datagen.steps.cohort import SEEDS, part_lines, sown_path, write_part_seeds
from datagen.steps.courier import Courier
from datagen.steps.journal import NOT_ASKED, Journal
from datagen.steps.sets.base import VERSION, SetStep, measured, set_step
from datagen.steps.walk import walk
from datagen.steps.work import Work
from datagen.storage import (
    read_json,
    read_rows,
    replacing,
    row_record,
    sealed,
    seed_of,
    sha256_of,
    whole,
    write_array,
    write_json,
    write_rows,
    write_table,
)

UNPUBLISHED = "unpublished"
"""A file under steps/ that stands from the first part made anew until a release holds it: a build that dies in between publishes next time."""
KINDS = ("kept", "dropped", "unanswered", "verdicts", "calls")
"""Folders of a step's folder, in which each part has a file where it has rows of that kind."""
SLICE = 4
"""Families that a worker sets off between two looks at the network: a part replayed from the ledger has no pause of its own, and answers
must not wait for it."""
HEAVY = 50_000
"""Characters of rows from which a part is measured in another process: to start one takes longer than to measure less than that."""


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
    courier: Courier | None = None
    """Carries what a unit needs and makes, where workers share no disk."""
    _finished: int = 0
    _round: int = 0
    _told: int = 0
    _coming: int = 0
    """Units whose files are on their way."""

    def __post_init__(self) -> None:
        self.gate = Gate(self.books)
        self._seats = {name: seat(chair) for name, chair in self.plan.chairs.items()} if self.paying else {}
        ranks = {inner.name: step.number for step in self.plan.steps for inner in (step, *step.inner)}
        self.asker = Asker(self.ledger, self.gate, self._seats, self.paying, ranks, self.number, self.again)
        self.pool = ProcessPool()
        self._sets: dict[int, SetStep] = {}
        self._setting_off = asyncio.Lock()
        self._name = uuid4().hex

    async def run(self, unit: Unit) -> dict[str, Any]:
        """Returns the part's manifest, made now or found; with the seconds it took, and what of the ledger turned out to be damaged."""
        began = time.monotonic()
        if self.courier:
            self._coming += 1
            try:
                await asyncio.to_thread(self.courier.fetch, self._needs(unit), unit.round > self._round)
            finally:
                self._coming -= 1
        manifest = await self._run(unit)
        if self.courier and (manifest["made"] or manifest["waiting"]):
            makes = ([_waiting_path(self.root / unit.under, unit.part)], None) if manifest["waiting"] else self._makes(unit)
            await asyncio.to_thread(self.courier.deliver, *makes)
        self.gate.tell()
        torn, self._told = self.ledger.torn[self._told :], len(self.ledger.torn)
        return {**manifest, "torn": [str(each) for each in torn], "seconds": time.monotonic() - began}

    async def _run(self, unit: Unit) -> dict[str, Any]:
        self._catch_up(unit)
        stretch, root = self.plan.stretches[unit.stretch], self.root / unit.under
        if found := standing(self.plan, root, unit, self.again):
            return found
        path = part_input(self.plan, root, unit)
        fingerprint = part_fingerprint(stretch, path)
        came = [seed_of(line) for line in part_lines(root, unit.part)] if unit.stretch == 0 else read_rows(path)
        rows = list({row.id: row for row in came}.values())
        journal = Journal(stretch.steps)
        work = Work(self.plan, self.asker, self.pool, journal)
        kept = await self.walk(rows, stretch, work)
        self._finished += len(rows)
        if journal.requests:
            return await asyncio.to_thread(_suspend, root, unit.part, journal)
        records = [row_record(row) for row in kept]
        measures = await self._measured(stretch, records)
        return await asyncio.to_thread(self._write, unit, fingerprint, came, records, measures, journal)

    async def _measured(self, stretch: Stretch, records: Sequence[Mapping[str, Any]]) -> Any:
        """What the closing step needs of each row, or None; of more than a little text in another process, for the event loop has its own work."""
        if stretch.closing is None:
            return None
        step = self._sets.setdefault(stretch.number, set_step(self.plan, stretch))
        if not await asyncio.to_thread(step.ready):
            return None
        measures = None
        if sum(len(record["fields"]) for record in records) > HEAVY:
            measures = await self.pool.call(measured, step, records)
        return measures if measures is not None else await asyncio.to_thread(measured, step, records)

    async def walk(self, rows: Sequence[Row], stretch: Stretch, work: Work) -> list[Row]:
        """Rows of one parent walk together, for the group steps to find them."""
        families = itertools.groupby(sorted(rows, key=lambda row: (row.parent, row.id)), key=lambda row: row.parent or row.id)
        walks: list[asyncio.Future[list[Row]]] = []
        try:
            async with self._setting_off:
                for number, (_, family) in enumerate(families, start=1):
                    walks.append(asyncio.ensure_future(walk(list(family), stretch.steps, work)))
                    if number % SLICE == 0:
                        await asyncio.sleep(0)
        finally:  # also where it is cancelled meanwhile: what was set off comes to its end, and its errors are heard
            results = await asyncio.gather(*walks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return sorted((row for result in results if isinstance(result, list) for row in result), key=lambda row: row.id)

    def hungry(self) -> bool:
        """Fewer rows wait at the gate than may be in flight, and none has still to be set off."""
        return self.paying and not self._coming and not self._setting_off.locked() and self.gate.idle()

    async def catch_up(self) -> None:
        """See what a worker that died has left in the ledger."""
        if self.courier:
            await asyncio.to_thread(self.courier.offsite.gather, False)
        self.ledger.refresh()

    def drain(self) -> None:
        self.gate.close()

    def status(self) -> dict[str, int]:
        return {"rows": self._finished, "asked": self.asker.asked}

    async def report(self) -> None:
        """Tell the governor all there is to tell, and let other workers see what this one has recorded."""
        self.gate.tell()
        await self.books.report()
        if self.courier:
            await asyncio.to_thread(self.courier.offsite.flush)

    def measures(self) -> dict[str, Measures]:
        return {self._name: self.asker.counts.measures()}

    async def close(self) -> None:
        self.pool.close()
        await self.books.close()
        await asyncio.gather(*(seat.teacher.close() for seat in self._seats.values()))
        self.ledger.close()
        if self.courier:
            self.courier.close()

    def _needs(self, unit: Unit) -> list[Path]:
        """The files that a unit reads."""
        root = self.root / unit.under
        return [part_input(self.plan, root, unit), manifest_path(root, self.plan, unit)]

    def _makes(self, unit: Unit) -> tuple[list[Path], Path]:
        """The files that a unit may have written or removed, and the one that is written last."""
        root, stretch = self.root / unit.under, self.plan.stretches[unit.stretch]
        folders = {*(step.folder for step in stretch.steps), part_folder(self.plan, unit.stretch), *([] if unit.stretch else [SEEDS])}
        data = [root / folder / kind / f"{unit.part}.parquet" for folder in sorted(folders) for kind in KINDS]
        data += [measures_path(root, stretch.closing, unit.part)] if stretch.closing else []
        return [root / UNPUBLISHED, _waiting_path(root, unit.part), *data], manifest_path(root, self.plan, unit)

    def _catch_up(self, unit: Unit) -> None:
        """See what the rounds since the last unit brought."""
        if unit.round > self._round:
            self._round = unit.round
            self.ledger.refresh()
            self.asker.given_up |= dict(unit.failed)

    def _write(
        self, unit: Unit, fingerprint: str, came: Sequence[Row], records: Sequence[Mapping[str, Any]], measures: Any, journal: Journal
    ) -> dict[str, Any]:
        root, stretch = self.root / unit.under, self.plan.stretches[unit.stretch]
        folder, closing = root / part_folder(self.plan, unit.stretch), stretch.closing
        root.mkdir(parents=True, exist_ok=True)
        (root / UNPUBLISHED).touch()
        written = write_part_seeds(root, unit.part, came, kept=bool(stretch.steps)) if unit.stretch == 0 else []
        written += journal.write(root, unit.part, {step.number: step.folder for step in stretch.steps})
        if stretch.steps or unit.stretch == 0:  # else they lie there as the closing step before has left them
            write_rows(folder / "kept" / f"{unit.part}.parquet", records)
        written.append(folder / "kept" / f"{unit.part}.parquet")
        calls = folder / "calls" / f"{unit.part}.parquet"
        calls.unlink(missing_ok=True)
        if journal.calls:
            write_table(calls, sorted(journal.calls, key=_call_order), CALL_COLUMNS)
            written.append(calls)
        if closing is not None:
            measures_path(root, closing, unit.part).unlink(missing_ok=True)
        if closing is not None and measures is not None:
            write_array(measures_path(root, closing, unit.part), measures)
            written.append(measures_path(root, closing, unit.part))
        counts = {str(number): book.counts() for number, book in journal.books.items()}
        ends = Outcome.FAILED, NOT_ASKED, Outcome.REJECTED
        failed, missing, rejected = (sum(count["unanswered"].get(outcome, 0) for count in counts.values()) for outcome in ends)
        manifest = {"part": unit.part, "fingerprint": fingerprint, "counts": counts, "rows": len(records), "files": sealed(root, written)}
        manifest |= {"open": failed + missing, "rejected": rejected}
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


def standing(plan: Plan, root: Path, unit: Unit, again: bool) -> dict[str, Any] | None:
    """The manifest of a part that need not be walked: made by the same steps of the same rows, with nothing left to ask, and every file that
    it names is as it was written. `again`: rejected rows count as left to ask."""
    found = read_json(manifest_path(root, plan, unit))
    if not found or not (unit.settled or not (found["open"] or (again and found["rejected"]))):
        return None
    path = part_input(plan, root, unit)
    same = path.exists() and found["fingerprint"] == part_fingerprint(plan.stretches[unit.stretch], path)
    return {**found, "made": False, "waiting": 0} if same and whole(root, found["files"]) else None


def part_input(plan: Plan, root: Path, unit: Unit) -> Path:
    """Where the rows lie that a part begins with."""
    if unit.stretch == 0:
        return sown_path(root, unit.part)
    closing = plan.stretches[unit.stretch - 1].closing
    assert closing is not None
    return root / closing.folder / "kept" / f"{unit.part}.parquet"


def part_fingerprint(stretch: Stretch, path: Path) -> str:
    """Of the stretch's steps, of how its rows are measured, of what a verdict says, and of the file they come from."""
    return digest([stretch.fingerprint, list(VERDICT_COLUMNS), [stretch.closing.fingerprint, VERSION] if stretch.closing else [], sha256_of(path)])


def measures_path(root: Path, closing: PlannedStep, part: str) -> Path:
    """What workers have measured for a closing step."""
    return root / closing.folder / "measures" / f"{part}.npy"


def part_folder(plan: Plan, stretch: int) -> str:
    """Where the rows of a part lie when the stretch has been walked: with its last row-wise or group step."""
    steps = plan.stretches[stretch].steps
    if steps:
        return steps[-1].folder
    before = plan.stretches[stretch - 1].closing if stretch else None
    return before.folder if before else SEEDS


def manifest_path(root: Path, plan: Plan, unit: Unit) -> Path:
    return root / part_folder(plan, unit.stretch) / "parts" / f"{unit.stretch}-{unit.part}.json"
