"""The files of a ledger: append-only segments of checked JSON lines, one writer each.

A line is `{"crc":"........",` and the rest of a JSON object; the checksum (crc32, hex) covers the rest, so a torn or changed line is
never taken for a record. What counts and finds (kind, key, money) stands before `request` and `response`, so that a million answers are
indexed without parsing their texts.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal

import orjson

from datagen.errors import LedgerError
from datagen.records import Request, Response

SYNC_SECONDS = 0.1
_CRC = len(b'{"crc":"12345678",')
_TEXTS = b',"request":'
"""Ends the head of an answer. A quote inside a JSON text is escaped, so no text before it can hold these bytes."""
_WRITERS = 1000
_NEWEST = 256
"""Segments at most that workers of an earlier run may still write."""
_LOST = {
    "torn": "a torn last record (its process died while writing, or the disk was full); skipped, what it held is asked again",
    "damaged": "a damaged record; skipped, what it held is asked again",
    "cut": "the segment was cut short; what stood behind is asked and paid for again",
    "missing": "the segment is missing; what it held is asked and paid for again",
    "index": "the key index is damaged; it is made anew, and nothing is lost",
}


@dataclass(frozen=True, slots=True)
class Torn:
    """Something that was written and cannot be read any more: named, skipped, never an answer."""

    segment: str
    offset: int
    what: Literal["torn", "damaged", "cut", "missing", "index"]

    def __str__(self) -> str:
        return f"{self.segment} at byte {self.offset}: {_LOST[self.what]}"


class Segment:
    """One file to append to, and the thread that syncs it."""

    def __init__(self, folder: Path, writer: int, known: Iterable[int]) -> None:
        """`known`: segments that this one must come after, also such as are lost: their numbers stay a gap."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.path, self._descriptor = _new_segment(folder, writer, known)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)  # tells that its writer lives; the lock dies with it
        except OSError as error:
            raise unwritable(folder, error) from error
        self.id = segment_id(self.path)
        self.size = 0
        self._refused = ""
        self._dirty = threading.Event()
        self._closed = threading.Event()
        self._syncer = threading.Thread(target=self._sync, name="ledger-sync", daemon=True)
        self._syncer.start()

    def write(self, line: bytes) -> int:
        """Append; returns the offset of the line. Raises LedgerError when the disk refuses: nothing more may be paid then."""
        if self._refused:
            raise LedgerError(f"{self.path} could not be written before ({self._refused}); free some space and run the same command again")
        self._refused = "the line before this one is torn"  # until this line stands: after a torn one, nothing may follow
        start = self.size
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            raise LedgerError(f"{self.path} cannot be written: {error.strerror}; free some space and run the same command again") from error
        self.size += written
        if written != len(line):
            raise LedgerError(f"{self.path}: the disk took {written} of {len(line)} bytes; free some space and run the same command again")
        self._refused = ""
        if not self._dirty.is_set():
            self._dirty.set()
        return start

    def close(self) -> None:
        """Raises LedgerError when the disk did not take what was written."""
        self._closed.set()
        self._syncer.join()
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise LedgerError(f"{self.path} may have lost its last {SYNC_SECONDS} s: {error.strerror}; `datagen ledger verify` tells") from error
        finally:
            os.close(self._descriptor)

    def _sync(self) -> None:
        while not self._closed.wait(SYNC_SECONDS):
            if self._dirty.is_set():
                self._dirty.clear()
                try:
                    os.fsync(self._descriptor)
                except OSError as error:  # the disk is full or gone, and only now says so: the next write must not go on
                    self._refused = error.strerror or str(error)
                    return


def _new_segment(folder: Path, writer: int, known: Iterable[int]) -> tuple[Path, int]:
    """Later segments sort after all earlier ones, so that `the lowest (segment, offset) wins` means the first answer."""
    number = max([0, *known, *map(segment_id, segments(folder))]) // _WRITERS + 1
    while True:
        path = folder / f"{number:06d}-{writer:03d}.jsonl"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except FileExistsError:
            number += 1
            continue
        sync_folder(folder)
        return path, descriptor


def sync_folder(folder: Path) -> None:
    """Make names in a folder survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def segments(folder: Path) -> list[Path]:
    """The segments of a ledger in the order in which answers win."""
    return sorted(folder.glob("[0-9]*.jsonl"))


def segment_id(path: Path) -> int:
    """`000012-003.jsonl` is 12003: a number that sorts as the names do."""
    return int(path.name[:6]) * _WRITERS + int(path.name[7:10] or 0)


def segment_name(number: int) -> str:
    return f"{number // _WRITERS:06d}-{number % _WRITERS:03d}.jsonl"


def gaps(present: Iterable[int]) -> list[int]:
    """First halves of segment names that are not there: segments are numbered without a gap, so one that is missing was taken away."""
    numbers = {number // _WRITERS for number in present}
    return sorted(set(range(1, max(numbers, default=0))) - numbers)


def lines(path: Path, start: int = 0) -> Iterator[tuple[int, bytes, Torn | None]]:
    """(offset, line, what is wrong with it or None), from the line that begins at `start`; a line that does not hold is as it stands there."""
    offset = start
    with path.open("rb", buffering=1 << 20) as file:
        file.seek(start)
        for line in file:
            torn = None if holds(line) else Torn(path.name, offset, "damaged" if line.endswith(b"\n") else "torn")
            yield offset, line, torn
            offset += len(line)


def sealed(record: Mapping[str, Any]) -> bytes:
    """One line of a segment."""
    return _with_crc(_dumped(record)[1:])


def padded(record: Mapping[str, Any], length: int) -> bytes:
    """A line of a given length, spaces at its end, to stand in the place of another without moving what follows."""
    body = _dumped(record)[1:-1]
    return _with_crc(body + b" " * (length - _CRC - len(body) - 2) + b"}")


def sealed_answer(head: Mapping[str, Any], request: Request, response: Response) -> bytes:
    """The line of an answer. The request is in its canonical form where it is plain, so that `verify` can hash it as it stands."""
    try:
        said = orjson.dumps(response)
    except TypeError:
        said = _dumped(asdict(response))
    try:
        asked = orjson.dumps(request.identity(), option=orjson.OPT_SORT_KEYS)
    except TypeError:
        asked = _dumped(request.identity())
    return _with_crc(b'%b,"request":%b,"response":%b}' % (_dumped(head)[1:-1], asked, said))


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate, or a whole number over 64 bits: what orjson refuses and plain JSON can write
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def _with_crc(body: bytes) -> bytes:
    return b'{"crc":"%08x",%b\n' % (zlib.crc32(body), body)


def holds(line: bytes) -> bool:
    """Every byte is as it was written: those the checksum covers, and those around it."""
    return line.endswith(b"\n") and line[:_CRC] == b'{"crc":"%08x",' % zlib.crc32(memoryview(line)[_CRC:-1])


def opened(line: bytes) -> dict[str, Any] | None:
    """The record in a line, or None when its checksum does not hold."""
    return dict(json.loads(line)) if holds(line) else None  # orjson would make a float of a whole number over 64 bits


def parsed(line: bytes) -> dict[str, Any]:
    """A line whose checksum holds."""
    try:
        return dict(orjson.loads(line))
    except ValueError:  # an escaped lone surrogate, which only plain JSON reads
        return dict(json.loads(line))


def head_of(line: bytes) -> dict[str, Any]:
    """All of a record but its request and response; of a line whose checksum holds."""
    end = line.find(_TEXTS)
    head = parsed(line if end < 0 else b"{%b}" % line[_CRC:end])
    if head["kind"] == "answer" and "outcome" not in head:  # of an earlier version: money stood in the response alone
        response = parsed(line)["response"]
        head |= {"outcome": response["outcome"], "cost": response["cost"], "requests": 1}
    return head


def is_answer(line: bytes) -> bool:
    """By the bytes where the kind stands."""
    return line.startswith(b'"kind":"answer"', _CRC)


def request_bytes(line: bytes) -> bytes:
    """What stands as the request of an answer, if it is written in the usual order; whoever needs to be sure hashes it."""
    start = line.find(_TEXTS) + len(_TEXTS)
    return line[start : line.find(b',"response":', start)]


def lock(folder: Path) -> IO[str]:
    """Take the ledger for one build; the lock dies with its owner. Raises LedgerError when another build has it, or it is read-only."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("a+", encoding="utf-8")
        if not os.access(folder, os.W_OK):
            file.close()
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise unwritable(folder, error) from error
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


def await_end(folder: Path, writer: int | None = None, seconds: float = 30.0) -> bool:
    """Wait until nobody writes the newest segments of a ledger any more, or those of one writer. False when somebody still does.

    Workers far away outlive their build by a moment; what they write in it must be read before anything is asked again.
    """
    late = time.monotonic() + seconds
    paths = [path for path in segments(folder)[-_NEWEST:] if writer is None or writer_of(segment_id(path)) == writer]
    while paths:
        paths = [path for path in paths if _written_to(path)]
        if paths and time.monotonic() > late:
            return False
        if paths:
            time.sleep(0.02)
    return True


def _written_to(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def writer_of(segment: int) -> int:
    """Number of the worker that wrote a segment."""
    return segment % _WRITERS


def after(segment: int, writer: int) -> int:
    """The next segment of a writer that comes after another one."""
    return (segment // _WRITERS + 1) * _WRITERS + writer


def unwritable(folder: Path, error: OSError) -> LedgerError:
    return LedgerError(f"the ledger {folder} cannot be written: {error.strerror}; choose another with --ledger DIR")
