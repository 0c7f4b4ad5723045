"""Where every answer lies: 32 bytes a key, sorted, in files; so that a million keys cost no memory and no time to load.

A record is (key 16 bytes, segment 4, offset 8, length 4), big-endian, so that sorting bytes puts of two answers to one key the one with
the lowest (segment, offset) first. Sorted records form a run; keys that came since wait in a dictionary, which becomes a run when it is
full; of four runs of like size one is made. So each key is written three times on its way to a million, and a look-up is one short read
a run. Runs are read with pread: what is mapped would count as ours, what the system caches does not.
"""

from __future__ import annotations

import os
import struct
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from datagen.errors import LedgerError

RECORD = 32
KEY = 16
_PLACE = struct.Struct(">IQI")
RECENT = 1 << 14
"""Keys in the dictionary, at most: 4 MB."""
LIKE, TOGETHER = 2, 4
"""So many runs whose first is at most LIKE times as long as its last are made one."""
BUCKET = 16
"""Records between two entries of a fan-out table: half a kilobyte, one read."""
SLICE = 1 << 14
"""Records that are sorted at once when runs are merged."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line lies."""

    segment: int
    offset: int
    length: int


def raw(key: str) -> bytes:
    """`k1:` and 32 hex digits as 16 bytes."""
    return bytes.fromhex(key[3:])


def place_of(record: bytes) -> Place:
    return Place(*_PLACE.unpack(record[KEY:]))


class Run:
    """Sorted records in an open file, from `base` on, and the fan-out table: where the records of each bucket of keys begin."""

    def __init__(self, file: IO[bytes], base: int, fan: array[int]) -> None:
        self._file = file
        self._base = base
        self.fan = fan
        self.bits = (len(fan) - 1).bit_length() - 1
        """The table has 2 ** bits + 1 entries: one for each value of that many leading bits of a key, and the end."""

    def __len__(self) -> int:
        return self.fan[-1]

    def find(self, key: bytes) -> list[bytes]:
        """The records of a key, lowest place first."""
        bucket = int.from_bytes(key[:4], "big") >> (32 - self.bits)
        block = self._read(self.fan[bucket], self.fan[bucket + 1])
        found, at = [], block.find(key)
        while at >= 0:
            if at % RECORD == 0:
                found.append(block[at : at + RECORD])
            at = block.find(key, at + 1)
        return found

    def part(self, number: int, bits: int) -> bytes:
        """The records whose keys begin with these bits; not more bits than the table has."""
        return self._read(self.fan[number << (self.bits - bits)], self.fan[(number + 1) << (self.bits - bits)])

    def close(self) -> None:
        self._file.close()

    def __del__(self) -> None:
        self.close()  # whoever only looks into a ledger need not close it

    def _read(self, start: int, end: int) -> bytes:
        size, at = (end - start) * RECORD, self._base + start * RECORD
        block = os.pread(self._file.fileno(), size, at) if size else b""
        while len(block) < size:  # a read may stop short; it does not on a local disk
            more = os.pread(self._file.fileno(), size - len(block), at + len(block))
            if not more:
                raise OSError("the key index ends before its end")
            block += more
        return block


def fan_bits(count: int) -> int:
    return max(count // BUCKET, 1).bit_length() - 1


def write_run(file: IO[bytes], blocks: Iterable[list[bytes]], count: int) -> Run:
    """`blocks`: ever larger records, `count` in all, each block a list in order. The file is written from where it stands."""
    bits, base, done = fan_bits(count), file.tell(), 0
    fan = array("I", [0])
    for block in blocks:
        file.write(b"".join(block))
        last = int.from_bytes(block[-1][:4], "big") >> (32 - bits) if block else 0
        at = 0
        while len(fan) <= last:  # entry n: where the records of bucket n begin
            at = bisect_left(block, (len(fan) << (32 - bits)).to_bytes(4, "big"), at)
            fan.append(done + at)
        done += len(block)
    fan.extend([done] * (2**bits + 1 - len(fan)))
    file.flush()
    return Run(file, base, fan)


def merged(runs: Sequence[Run]) -> Iterator[list[bytes]]:
    """All records of several runs in order, in blocks of about SLICE records, so that little is in memory."""
    count = sum(map(len, runs))
    bits = min([(count // SLICE).bit_length(), *(run.bits for run in runs)])
    for number in range(2**bits):
        together = b"".join(run.part(number, bits) for run in runs)
        # sorted runs one behind the other: what Python's sort merges fastest
        yield sorted([together[at : at + RECORD] for at in range(0, len(together), RECORD)])


class Index:
    """Every record of a ledger: those of the index file, and those that came since."""

    def __init__(self, base: Run | None = None) -> None:
        self._runs: list[Run] = [] if base is None else [base]
        self._recent: dict[bytes, bytes] = {}
        """Key -> its places, one behind the other."""

    def add(self, key: bytes, segment: int, offset: int, length: int) -> None:
        place = _PLACE.pack(segment, offset, length)
        self._recent[key] = self._recent[key] + place if key in self._recent else place
        if len(self._recent) >= RECENT:
            try:
                self._settle()
            except OSError as error:
                where = tempfile.gettempdir()
                raise LedgerError(f"no room for the key index in {where}: {error.strerror}; free some space there, or name another TMPDIR") from error

    def find(self, key: bytes) -> list[Place]:
        """Where answers to a key lie, the one that wins first."""
        records = [record for run in self._runs for record in run.find(key)] + list(_split(key, self._recent.get(key, b"")))
        return [place_of(record) for record in (records if len(records) < 2 else sorted(records))]

    def has(self, key: bytes) -> bool:
        return key in self._recent or any(run.find(key) for run in self._runs)

    def blocks(self) -> Iterator[list[bytes]]:
        """All records in order, a block at a time."""
        if self._recent:
            self._flush()
        return merged(self._runs)

    def count(self) -> int:
        """Records, those of a key with several answers included."""
        return sum(map(len, self._runs)) + sum(map(len, self._recent.values())) // _PLACE.size

    def keys(self) -> int:
        """Different keys."""
        if not self._runs:
            return len(self._recent)
        return sum(len({record[:KEY] for record in block}) for block in self.blocks())

    def close(self) -> None:
        for run in self._runs:  # which stay: a look-up after this must fail, and not say that nothing is there
            run.close()

    def _settle(self) -> None:
        """Make a run of what is recent, and one run of several where that is due."""
        self._flush()
        while len(self._runs) >= TOGETHER and len(self._runs[-TOGETHER]) <= LIKE * len(self._runs[-1]):
            old = self._runs[-TOGETHER:]
            self._runs[-TOGETHER:] = [write_run(_scratch(), merged(old), sum(map(len, old)))]
            for run in old:
                run.close()

    def _flush(self) -> None:
        records = sorted(record for key, places in self._recent.items() for record in _split(key, places))
        self._runs.append(write_run(_scratch(), [records], len(records)))
        self._recent = {}


def _split(key: bytes, places: bytes) -> Iterator[bytes]:
    return (key + places[at : at + _PLACE.size] for at in range(0, len(places), _PLACE.size))


def _scratch() -> IO[bytes]:
    """A file without a name: it goes with its process, however that ends."""
    return tempfile.TemporaryFile()
