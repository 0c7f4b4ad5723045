"""Every answer ever paid for: append-only segments of checked JSON lines, one writer each, readable with DuckDB in one line.

    SELECT kind, key, response.text FROM read_json('ledger/*.jsonl', ignore_errors = true)

A line is `{"crc":"........",` and the rest of a JSON object; the checksum (crc32, hex) covers the rest, so a torn or changed line is
never taken for an answer. Kinds: `reserve` (written before a request is sent, with its worst case), then `answer` or `fault` (what
became of it). A reserve without an end was in flight when its process died; it counts as spent. A line is in the file before `record`
returns (survives kill -9) and on the disk within SYNC_SECONDS (survives power loss but for that). Of two answers to one key the one
with the lowest (segment, offset) wins.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any

import orjson

from datagen.errors import LedgerError, TeacherFault
from datagen.records import Outcome, Request, Response, Usage, digest

SYNC_SECONDS = 0.1
_HEAD = len(b'{"crc":"12345678",')
_ANSWER = b'"kind":"answer","key":"'


@dataclass(frozen=True, slots=True)
class Torn:
    """A line that is no record: named, skipped, never an answer."""

    segment: str
    offset: int
    last: bool
    """True at the end of a segment, where a killed process leaves one; elsewhere it means damage."""

    def __str__(self) -> str:
        what = "a torn last record (its process died while writing)" if self.last else "a damaged record"
        return f"{self.segment} at byte {self.offset}: {what}; skipped, what it held is asked again"


@dataclass
class Account:
    """Money and requests of one build, added up from its records, in nano-dollars."""

    answered: int = 0
    """Cost of recorded answers."""
    possible: int = 0
    """Worst case of attempts that failed after they may have been billed."""
    open: dict[tuple[int, str], int] = field(default_factory=dict)
    """(segment, key) -> worst case of what was sent and has no end: in flight when a process died. A later answer to the same key, in
    a segment of its own, does not settle it: the first request may have been billed too."""

    @property
    def committed(self) -> int:
        """What counts against a cap: spent, possibly spent, and in flight."""
        return self.answered + self.possible + sum(self.open.values())


class Ledger:
    """The ledger of one folder, as one process sees it: an index of all segments, and one segment of its own to write."""

    def __init__(self, folder: Path, build: str, writer: int = 0) -> None:
        """`build` names what the records are for (`rationale/1`); `writer` tells processes of one build apart."""
        self.folder = folder
        self.build = build
        self.torn: list[Torn] = []
        self.accounts: dict[str, Account] = {}
        self._writer = writer
        self._index: dict[str, tuple[int, int, int]] = {}
        self._names: list[Path] = []
        self._readers: dict[int, int] = {}
        self._segment: _Segment | None = None
        for path in segments(folder):
            self._load(path)

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, key: str) -> bool:
        return key in self._index

    def get(self, key: str) -> Response | None:
        """The recorded final answer to a request, or None."""
        place = self._index.get(key)
        return None if place is None else response_of(self._record(place)["response"])

    def entry(self, key: str) -> dict[str, Any] | None:
        """The whole record of an answer: request as sent, response, build."""
        place = self._index.get(key)
        return None if place is None else self._record(place)

    def reserve(self, request: Request, worst: int) -> None:
        """Note that a request is about to be sent and what it may cost at most."""
        self._append({"kind": "reserve", "key": request.key, "cost": worst, "build": self.build})

    def fault(self, request: Request, fault: TeacherFault, cost: int) -> None:
        """Note that an attempt failed; `cost` is its worst case where it may have been billed, else 0."""
        said = {"fault": fault.kind, "status": fault.status, "message": str(fault)[:500], "body": fault.body}
        self._append({"kind": "fault", "key": request.key, "cost": cost, "build": self.build, **said})

    def record(self, request: Request, response: Response) -> None:
        """Write an answer down. After this returns the answer survives the death of the process."""
        record = {"kind": "answer", "key": request.key, "build": self.build, "request": request.identity(), "response": _plain(response)}
        place = self._append(record)
        if response.outcome is not Outcome.FAILED:
            self._index.setdefault(request.key, place)

    def close(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        for descriptor in self._readers.values():
            os.close(descriptor)
        self._readers.clear()

    def _append(self, record: Mapping[str, Any]) -> tuple[int, int, int]:
        if self._segment is None:
            self._segment = _Segment(self.folder, self._writer)
            self._names.append(self._segment.path)
            self._number = len(self._names) - 1
        line = sealed(record)
        return self._number, self._segment.write(line), len(line)

    def _record(self, place: tuple[int, int, int]) -> dict[str, Any]:
        number, offset, length = place
        if number not in self._readers:
            self._readers[number] = os.open(self._names[number], os.O_RDONLY)
        line = os.pread(self._readers[number], length, offset)
        record = opened(line)
        if record is None:
            raise LedgerError(f"{self._names[number]} at byte {offset}: the record changed after it was read; run `datagen ledger verify`")
        return record

    def _load(self, path: Path) -> None:
        number = len(self._names)
        self._names.append(path)
        for offset, line, torn in lines(path):
            if torn:
                self.torn.append(torn)
            elif line.startswith(_ANSWER, _HEAD):
                self._load_answer(line, (number, offset, len(line)))
            else:
                self._count(_parsed(line), number)

    def _load_answer(self, line: bytes, place: tuple[int, int, int]) -> None:
        record = _parsed(line)
        self._count(record, place[0])
        if record["response"]["outcome"] != Outcome.FAILED:
            self._index.setdefault(record["key"], place)

    def _count(self, record: Mapping[str, Any], segment: int) -> None:
        account = self.accounts.setdefault(record.get("build", ""), Account())
        sent = segment, record["key"]
        match record["kind"]:
            case "reserve":
                account.open[sent] = account.open.get(sent, 0) + record["cost"]
            case "fault":
                account.open.pop(sent, None)
                account.possible += record["cost"]
            case "answer":
                account.open.pop(sent, None)
                account.answered += record["response"]["cost"]


class _Segment:
    """One append-only file and the thread that syncs it."""

    def __init__(self, folder: Path, writer: int) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.path, self._descriptor = _new_segment(folder, writer)
        except OSError as error:
            raise LedgerError(f"the ledger {folder} cannot be written: {error.strerror}; choose another with --ledger DIR") from error
        self._offset = 0
        self._failed = False
        self._dirty = threading.Event()
        self._closed = threading.Event()
        self._syncer = threading.Thread(target=self._sync, name="ledger-sync", daemon=True)
        self._syncer.start()

    def write(self, line: bytes) -> int:
        """Append; returns the offset of the line. Raises LedgerError when the disk refuses: nothing more may be paid then."""
        if self._failed:
            raise LedgerError(f"{self.path} could not be written before; free some space and run the same command again")
        self._failed = True  # until this line stands: after a torn one, nothing may follow
        start = self._offset
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            raise LedgerError(f"{self.path} cannot be written: {error.strerror}; free some space and run the same command again") from error
        self._offset += written
        if written != len(line):
            raise LedgerError(f"{self.path}: the disk took {written} of {len(line)} bytes; free some space and run the same command again")
        self._failed = False
        self._dirty.set()
        return start

    def close(self) -> None:
        self._closed.set()
        self._syncer.join()
        os.fsync(self._descriptor)
        os.close(self._descriptor)

    def _sync(self) -> None:
        while not self._closed.wait(SYNC_SECONDS):
            if self._dirty.is_set():
                self._dirty.clear()
                os.fsync(self._descriptor)


def _new_segment(folder: Path, writer: int) -> tuple[Path, int]:
    """Later segments sort after all earlier ones, so that `the lowest (segment, offset) wins` means the first answer."""
    number = max((int(path.name[:6]) for path in segments(folder)), default=0) + 1
    while True:
        path = folder / f"{number:06d}-{writer:03d}.jsonl"
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except FileExistsError:
            number += 1


def segments(folder: Path) -> list[Path]:
    """The segments of a ledger in the order in which answers win."""
    return sorted(folder.glob("[0-9]*.jsonl"))


def lines(path: Path) -> Iterator[tuple[int, bytes, Torn | None]]:
    """(offset, line, None), or (offset, b"", Torn) for a line whose checksum does not hold."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            end = offset + len(line)
            yield (offset, line, None) if _holds(line) else (offset, b"", Torn(path.name, offset, not line.endswith(b"\n")))
            offset = end


def sealed(record: Mapping[str, Any]) -> bytes:
    """One line of a segment."""
    try:
        body = orjson.dumps(record)[1:]
    except TypeError:  # a lone surrogate: orjson refuses what plain JSON can escape
        body = json.dumps(record, separators=(",", ":")).encode("ascii")[1:]
    return b'{"crc":"%08x",%s\n' % (zlib.crc32(body), body)


def opened(line: bytes) -> dict[str, Any] | None:
    """The record in a line, or None when its checksum does not hold."""
    return dict(json.loads(line)) if _holds(line) else None


def _holds(line: bytes) -> bool:
    """Every byte is as it was written: those the checksum covers, and those around it."""
    return line.endswith(b"\n") and line[:_HEAD] == b'{"crc":"%08x",' % zlib.crc32(line[_HEAD:-1])


_RESPONSE = tuple(part.name for part in fields(Response))
_USAGE = tuple(part.name for part in fields(Usage))


def _parsed(line: bytes) -> dict[str, Any]:
    """A line whose checksum holds."""
    try:
        return dict(orjson.loads(line))
    except ValueError:  # an escaped lone surrogate, which only plain JSON reads
        return dict(json.loads(line))


def _plain(response: Response) -> dict[str, Any]:
    """As dataclasses.asdict, which copies deeply and costs a tenth of a request."""
    usage = {name: getattr(response.usage, name) for name in _USAGE}
    return {name: getattr(response, name) for name in _RESPONSE} | {"usage": usage}


def response_of(plain: Mapping[str, Any]) -> Response:
    """A Response from its record."""
    return Response(**{**plain, "outcome": Outcome(plain["outcome"]), "usage": Usage(**plain["usage"])})


def verify(folder: Path) -> tuple[int, list[str]]:
    """Re-derive every checksum and key. Returns (records that hold, what does not hold, in words)."""
    good, problems = 0, _gaps(folder)
    for path in segments(folder):
        for offset, line, torn in lines(path):
            if torn:
                problems.append(str(torn))
                continue
            record = opened(line) or {}
            if record.get("kind") == "answer" and record["key"] != "k1:" + digest(record["request"]):
                problems.append(f"{path.name} at byte {offset}: the key {record['key']} is not that of the request beside it")
            else:
                good += 1
    return good, problems


def _gaps(folder: Path) -> list[str]:
    """Segments are numbered without a gap, so one that is not there was taken away."""
    numbers = {int(path.name[:6]) for path in segments(folder)}
    missing = sorted(set(range(1, max(numbers, default=0))) - numbers)
    return [f"segment {number:06d} is missing: its answers are lost, and would be asked and paid for again" for number in missing]


def lock(folder: Path) -> IO[str]:
    """Take the ledger for one build; the lock dies with its owner. Raises LedgerError when another build has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise LedgerError(f"the ledger {folder} cannot be written: {error.strerror}; choose another with --ledger DIR") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read().strip() or "another process"
        file.close()
        raise LedgerError(f"the ledger {folder} is in use by {owner}; wait for it, or give this build its own with --ledger DIR") from None
    file.truncate(0)
    file.write(f"process {os.getpid()}")
    file.flush()
    return file
