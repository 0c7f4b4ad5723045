"""Requests of paid batches on disk: those still to be sent, and those of each job under way, so that none is ever held in memory."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import IO, Any

import orjson

from datagen.asking.ledger.accounts import Intent, Standing
from datagen.asking.ledger.segments import parsed, sync_folder
from datagen.asking.teachers.base import custom_id, key_of
from datagen.errors import LedgerError
from datagen.records import Request, Spend

FOLDER = "batches"
"""Within the ledger's folder."""
_ENTRY = Struct(">16sQIIQQI")
_NAME = b'{"custom_id":"'
_HEAD = b'{"tag":"'
HEAD = ("tag", "teacher", "provider", "label", "model", "at", "round")
"""Words of an intent that its spool repeats."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a request that waits to be sent lies, and what it may take at worst."""

    key: str
    offset: int
    spooled: int
    """Bytes of its line in a spool."""
    sent: int
    """Bytes of its line in a job; they follow."""
    worst: Spend

    def packed(self) -> bytes:
        """52 bytes that sort by key."""
        raw = bytes.fromhex(self.key[3:])
        return _ENTRY.pack(raw, self.offset, self.spooled, self.sent, self.worst.cost, self.worst.tokens, self.worst.requests)

    @classmethod
    def of(cls, packed: bytes) -> Entry:
        raw, offset, spooled, sent, *worst = _ENTRY.unpack(packed)
        return cls(f"k1:{raw.hex()}", offset, spooled, sent, Spend(*worst))


class Wanted:
    """What one teacher is to be asked, in key order: both forms of each request in a file without a name, which goes with its process."""

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as this
        self._size = 0
        self._entries: list[bytes] = []
        self._sorted = True

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, request: Request, line: bytes, worst: Spend) -> None:
        """`line`: the request as it stands in a job."""
        spooled = spool_line(request)
        self._file.write(spooled)
        self._file.write(line)
        self.back([Entry(request.key, self._size, len(spooled), len(line), worst)])
        self._size += len(spooled) + len(line)

    def back(self, entries: Sequence[Entry]) -> None:
        """To be sent (again)."""
        self._entries += [entry.packed() for entry in entries]
        self._sorted = False

    def pop(self) -> Entry | None:
        """The next one, each key once."""
        if not self._sorted:
            self._entries.sort(reverse=True)
            self._file.flush()
            self._sorted = True
        if not self._entries:
            return None
        entry = Entry.of(self._entries.pop())
        while self._entries and Entry.of(self._entries[-1]).key == entry.key:
            self._entries.pop()
        return entry

    def lines(self, entries: Sequence[Entry]) -> Sequence[bytes]:
        """What a job is made of, read as it is sent."""
        return _Lines(self._file.fileno(), [(entry.offset + entry.spooled, entry.sent) for entry in entries])

    def spooled(self, entries: Sequence[Entry]) -> Iterator[bytes]:
        return (os.pread(self._file.fileno(), entry.spooled, entry.offset) for entry in entries)

    def close(self) -> None:
        self._file.close()


class _Lines(Sequence[bytes]):
    """Pieces of a file."""

    def __init__(self, descriptor: int, places: Sequence[tuple[int, int]]) -> None:
        self._descriptor = descriptor
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return _Lines(self._descriptor, self._places[number])
        offset, size = self._places[number]
        return os.pread(self._descriptor, size, offset)


class Spool:
    """The requests of one job, so that its results can be recorded whatever has become of the spec; and what was known at its intent."""

    def __init__(self, path: Path) -> None:
        """A spool that is not there holds nothing."""
        self.since: float | None = None
        """The provider had no job of ours created before this moment, by its own clock."""
        self.head: Mapping[str, Any] = {}
        """The words of the intent; empty where the line is damaged."""
        self._places: dict[str, tuple[int, int]] = {}
        self._file: IO[bytes] | None = path.open("rb") if path.exists() else None
        offset = 0
        for line in self._file or ():
            if line.startswith(_NAME):
                name = line[len(_NAME) :].partition(b'"')[0].decode("ascii", "replace")
                self._places[key_of(name)] = offset, len(line)
            elif line.startswith(_HEAD):
                self._read_head(line)
            offset += len(line)

    def _read_head(self, line: bytes) -> None:
        with contextlib.suppress(ValueError, KeyError, TypeError):  # a damaged one: the search then goes by our own clock
            head = parsed(line)
            self.since, self.head = float(head["since"]), head

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def order(self) -> list[str]:
        """Its keys in the order in which they stand in the job."""
        return list(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def request(self, key: str) -> Request | None:
        """None where the spool lacks it, or holds another request in its place: a changed one is no request of ours."""
        place = self._places.get(key)
        if place is None or self._file is None:
            return None
        try:
            plain = parsed(os.pread(self._file.fileno(), place[1], place[0]))["request"]
            request = Request(**{**plain, "messages": tuple((role, text) for role, text in plain["messages"])})
        except (ValueError, TypeError, KeyError):
            return None
        return request if request.key == key else None


def spool_path(folder: Path, tag: str) -> Path:
    return folder / FOLDER / f"{tag}.jsonl"


def write_spool(folder: Path, intent: Intent, since: float, lines: Iterator[bytes]) -> None:
    """On the disk, its name included, when this returns. Raises LedgerError."""
    path, head = spool_path(folder, intent.tag), {name: getattr(intent, name) for name in HEAD}
    try:
        with path.open("wb") as file:
            file.write(orjson.dumps({**head, "since": since}) + b"\n")
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        raise LedgerError(f"{path} cannot be written: {error.strerror}; free some space and run the same command again") from error


def unreadable(folder: Path, standing: Sequence[Standing]) -> Iterator[str]:
    """What of the spools of jobs under way does not hold: answers to those requests could not be recorded."""
    for job in standing:
        path = spool_path(folder, job.tag)
        with Spool(path) as spool:
            lost = sum(spool.request(key) is None for key in job.open_keys())
        if lost:
            yield f"{FOLDER}/{path.name}: {lost:,} requests of a paid batch under way cannot be read; their answers would be paid for again"


def sweep(folder: Path, standing: set[str]) -> None:
    """Delete the spools of jobs that are not under way: their process died before the intent, or after the end."""
    for path in (folder / FOLDER).glob("*.jsonl"):
        if path.stem not in standing:
            path.unlink(missing_ok=True)


def spool_line(request: Request) -> bytes:
    """One line of a spool: the name of a request in its job, and what it asks."""
    plain = {"custom_id": custom_id(request.key, request.sample), "request": request.identity()}
    try:
        return orjson.dumps(plain) + b"\n"
    except TypeError:  # a lone surrogate, or a whole number over 64 bits: what orjson refuses and plain JSON can write
        import json

        return json.dumps(plain, separators=(",", ":")).encode("ascii") + b"\n"
