"""The index file: keys, accounts and open jobs of a ledger as of its last build, so that a start reads the tails of segments alone.

A cache and no more: it says which segments it covers up to which byte, and is ignored and made anew when anything does not fit. What it
knows of segments that are gone since is what names them. Layout: the sorted records (index.py), the fan-out table, one sealed line with
the rest, and the length of that line in 16 hex digits.
"""

from __future__ import annotations

import os
import sys
import zlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from datagen.asking.ledger.accounts import Tally
from datagen.asking.ledger.index import RECORD, Index, Run, write_run
from datagen.asking.ledger.segments import Torn, opened, sealed, segment_id, segment_name, sync_folder

NAME = "index"
_VERSION = 3
_SIZE = 16
_PROBE = 4096
"""Bytes at both ends of what is covered of a segment whose checksum is kept: another file of that name does not pass for it."""
_BLOCK = 1 << 20


@dataclass
class Cache:
    """What an index file holds."""

    run: Run
    tally: Tally
    covers: dict[int, int]
    """Segment -> bytes of it that are counted and indexed."""
    torn: list[Torn]
    """What was lost of these bytes before the file was written."""


def read_cache(folder: Path) -> tuple[Cache | None, list[Torn]]:
    """The index file if it is whole and fits the segments; and what it tells of segments that are gone or cut."""
    try:
        file = (folder / NAME).open("rb")
    except OSError:
        return None, []
    head = _head(file)
    if head is None:
        file.close()
        return None, [Torn(NAME, 0, "index")]
    lost = [torn for cover in head["covers"] for torn in _lost(folder, *cover)]
    if lost or not all(_same(folder / name, size, ends) for name, size, ends in head["covers"]):
        file.close()
        return None, lost + _still_lost(folder, head)
    fan = array("I")
    file.seek(head["count"] * RECORD)
    fan.frombytes(file.read(head["fan"]))
    covers = {segment_id(Path(name)): size for name, size, _ in head["covers"]}
    return Cache(Run(file, 0, fan), Tally.of(head), covers, _still_lost(folder, head)), []


def write_cache(folder: Path, index: Index, tally: Tally, covers: Mapping[int, int], torn: list[Torn]) -> None:
    """Write the index file, by rename. For whoever holds the lock: two writers would only undo each other's work. Raises OSError."""
    beside = folder / f".{NAME}.{os.getpid()}.tmp"
    try:
        with beside.open("w+b") as file:
            blocks = index.blocks()
            run = write_run(file, blocks, index.count())
            file.write(run.fan.tobytes())
            file.flush()
            known = [[torn.segment, torn.offset, torn.what] for torn in torn if torn.what not in ("torn", "index")]
            listed = [[segment_name(number), size, _ends(folder / segment_name(number), size)] for number, size in sorted(covers.items())]
            sizes = {"count": len(run), "fan": len(run.fan) * run.fan.itemsize, "order": sys.byteorder, "body": _crc(file)}
            line = sealed({"version": _VERSION, **sizes, "covers": listed, "torn": known, **tally.plain()})
            file.write(line + b"%016x" % len(line))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / NAME)
        sync_folder(folder)
    finally:
        beside.unlink(missing_ok=True)


def _head(file: IO[bytes]) -> dict[str, Any] | None:
    """What stands behind the records, or None where a single byte of the file is not as it was written."""
    try:
        end = file.seek(-_SIZE, os.SEEK_END)
        size = int(file.read(_SIZE), 16)
        file.seek(end - size)
        head = opened(file.read(size))
        fits = head and head["version"] == _VERSION and head["order"] == sys.byteorder and end - size == head["count"] * RECORD + head["fan"]
        return head if head and fits and _crc(file, end - size) == head["body"] else None
    except (OSError, ValueError, KeyError):
        return None


def _crc(file: IO[bytes], size: int | None = None) -> int:
    """Of the first `size` bytes, or of all; the file stands behind them afterwards."""
    file.seek(0)
    value, left = 0, sys.maxsize if size is None else size
    while block := file.read(min(_BLOCK, left)):
        value, left = zlib.crc32(block, value), left - len(block)
    return value


def _lost(folder: Path, name: str, size: int, _: list[int]) -> list[Torn]:
    try:
        there = (folder / name).stat().st_size
    except OSError:
        return [Torn(name, 0, "missing")]
    return [Torn(name, there, "cut")] if there < size else []


def _still_lost(folder: Path, head: Mapping[str, Any]) -> list[Torn]:
    """What was lost earlier, but for segments that somebody has put back."""
    known = [Torn(name, offset, what) for name, offset, what in head["torn"]]
    back = {torn for torn in known if torn.what == "missing" and any(folder.glob(f"{Path(torn.segment).stem}*.jsonl"))}
    back |= {torn for torn in known if torn.what == "cut" and not _lost(folder, torn.segment, torn.offset + 1, [])}
    return [torn for torn in known if torn not in back]


def _same(path: Path, size: int, ends: list[int]) -> bool:
    return _ends(path, size) == ends


def _ends(path: Path, size: int) -> list[int]:
    """Checksums of the first and the last bytes of what is covered."""
    with path.open("rb", buffering=0) as file:
        first = zlib.crc32(file.read(min(_PROBE, size)))
        file.seek(max(0, size - _PROBE))
        return [first, zlib.crc32(file.read(min(_PROBE, size)))]
