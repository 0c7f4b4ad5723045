"""The ledger's copy on an object store: records follow within a second of being written; other machines' records are fetched from it.

A segment lies there as its beginning, one object of the same name, and tails, `tails/<segment>/<start>-<end>`, each put whole. While it is
written a tail is added every second; when it is closed it becomes one object and its tails go. A segment is its beginning and what the
tails have beyond it. Nothing is asked any more when the copy is further behind than the store's patience: what could not be made durable
would be paid for again.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from datagen.asking.ledger.cache import NAME as INDEX
from datagen.asking.ledger.segments import after, segment_id, segment_name, segments, writer_of
from datagen.depot.store import Depot, Thing
from datagen.errors import DatagenError, LedgerError

SECONDS = 1.0
"""Between two uploads of what was recorded: with the node that long, at most, of answers is lost. At 5 dollars a million, 0.43 a day."""
TAILS = "tails"
MANY = 256
"""Tails of one segment that are made its beginning, if that at least doubles it: so each byte is sent three times at most."""
_LOCK = "lock"
_SPOOLS = "batches/"
_STATE = ".depot.json"
"""In the ledger's folder: how much of each segment was last seen to be the same here and there."""
_TRIES = 5


class Offsite:
    """A ledger's folder, its copy, and the segments that this process writes."""

    def __init__(self, depot: Depot, folder: Path, guard: Callable[[], None] = lambda: None) -> None:
        """`guard` raises where this run may not pay for anything any more: it has lost the lock."""
        self.depot, self.folder = depot, folder
        self._guard = guard
        self._same: dict[str, int] = _remembered(folder / _STATE, depot.url)
        self._uplinks: dict[str, Uplink] = {}

    def begin(self, path: Path) -> None:
        """Send a segment from now on, as it is written."""
        self._uplinks[path.name] = Uplink(self.depot, path)

    def require(self) -> None:
        """Raises LedgerError where nothing more may be paid for. Costs nothing."""
        self._guard()
        for uplink in self._uplinks.values():
            uplink.require()

    def flush(self) -> None:
        """Send what this process has recorded until now."""
        for uplink in list(self._uplinks.values()):
            uplink.flush()

    def end(self, path: Path) -> None:
        """A segment is closed: it becomes one object."""
        self._uplinks.pop(path.name).close()
        self._same[path.name] = _size(path)  # this run holds the lock, so nobody else writes it

    def gather(self, beside: bool = True, spools: bool = True) -> None:
        """Fetch what others have recorded; `beside`: also the key index and what else is no segment, with the spools of paid batches or without.

        A segment of this disk that is another one there, as its machine lost sight of the store, is given a number of its own.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in reversed(range(_TRIES)):
            try:
                there = self.depot.listed()
                self._gather(_copies(there))
                if beside:
                    self.depot.pull(self.folder, [name for name in _others(there) if spools or not name.startswith(_SPOOLS)])
                return
            except FileNotFoundError:  # closed meanwhile: its tails have become one object
                if not left:
                    raise

    def settle(self) -> None:
        """Send what only this disk has, the key index last; and let go there what is no longer here. For the holder of the lock alone."""
        there = self.depot.listed()
        self._send_segments(_copies(there))
        self.depot.remove(name for name in _others(there) if not (self.folder / name).exists())
        here = {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in self.folder.rglob("*") if path.is_file()}
        others = sorted(_others(here), key=lambda name: (name == INDEX, name))
        for name in others:
            if not (name.startswith(_SPOOLS) and name in there and there[name].size == here[name]):  # a spool never changes
                self.depot.send(name, self.folder / name)
        self._remember()

    def rescue(self) -> None:
        """Send the records of a process that died on this disk, and nothing else. For whoever knows that it is dead."""
        copies = _copies(self.depot.listed())
        self._part_ways(copies)
        self._send_segments(copies, longer=1)

    def _send_segments(self, copies: Mapping[str, Copy], longer: int = 0) -> None:
        """Make each segment that is all here, and at least so many bytes longer than there, one object."""
        for path in segments(self.folder):
            copy = copies.get(path.name, Copy())
            if _size(path) > copy.begun and _size(path) >= copy.size + longer:
                self.depot.send(path.name, path)
                self.depot.remove(_tail(path.name, *tail) for tail in copy.tails)
                self._same[path.name] = _size(path)

    def _gather(self, copies: Mapping[str, Copy]) -> None:
        self._part_ways(copies)
        for name, copy in copies.items():
            path = self.folder / name
            if not path.exists() and not copy.tails:
                self.depot.fetch(name, path)
            elif _size(path) < copy.size:
                with path.open("ab") as file:
                    file.writelines(self._bytes(name, copy, _size(path), copy.size))
            if name not in self._uplinks:
                self._same[name] = copy.size
        self._remember()

    def _part_ways(self, copies: Mapping[str, Copy]) -> None:
        """Give segments of this disk that are not what lies there a new number."""
        for path in segments(self.folder):
            both = min(_size(path), copies.get(path.name, Copy()).size)
            if both <= self._same.get(path.name, 0) or path.name in self._uplinks:
                continue
            with path.open("rb") as file:
                if all(file.read(len(block)) == block for block in self._bytes(path.name, copies[path.name], 0, both)):
                    self._same[path.name] = both
                    continue
            last = max([segment_id(Path(name)) for name in copies] + [segment_id(each) for each in segments(self.folder)])
            path.rename(self.folder / segment_name(after(last, writer_of(segment_id(path)))))
            (self.folder / INDEX).unlink(missing_ok=True)

    def _bytes(self, name: str, copy: Copy, start: int, end: int) -> Iterator[bytes]:
        """Raises FileNotFoundError where a tail has gone since it was listed."""
        if start < copy.begun:
            yield _there(self.depot.part(name, start, min(end, copy.begun)))
            start = min(end, copy.begun)
        for first, last in copy.tails:
            if first <= start < min(last, end):
                yield _there(self.depot.get(_tail(name, first, last)))[start - first : end - first]
                start = min(last, end)

    def _remember(self) -> None:
        (self.folder / _STATE).write_text(json.dumps({"url": self.depot.url, "same": self._same}))


class Uplink:
    """Sends what is appended to one segment, from a thread of its own."""

    def __init__(self, depot: Depot, path: Path) -> None:
        self._depot, self._path = depot, path
        self._quick = Depot(depot.url, 0)
        """For one try a call: the next second tries again."""
        self._begun = self._sent = 0
        self._tails: list[tuple[int, int]] = []
        self._spools: dict[str, int] = {}
        self._level = time.monotonic()
        """When the copy was last known to lack nothing."""
        self._why = ""
        self._sending = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Raises LedgerError where the copy is too far behind for anything more to be paid."""
        behind = time.monotonic() - self._level
        if behind > self._depot.patience:
            raise LedgerError(
                f"what is recorded could not be sent to {self._depot.url} for {behind:,.0f} s ({self._why or 'the store does not answer'}). "
                "Nothing more is asked, as it would be paid for again if this machine were lost; what was recorded is on this disk, "
                "and the same command here goes on"
            )

    def close(self) -> None:
        """Send what is left, and make the segment one object; patiently, unless the store is known to be away. What is not sent now is sent
        by `settle`, or by the next run on this disk."""
        self._ended.set()
        self._thread.join()
        depot = self._quick if self._why else self._depot
        with contextlib.suppress(DatagenError):
            if _size(self._path) > self._begun:
                depot.send(self._path.name, self._path)
            depot.remove(_tail(self._path.name, *tail) for tail in self._tails)

    def flush(self) -> None:
        """Send what there is now, if the store can be reached: somebody else is about to look for it."""
        with contextlib.suppress(DatagenError, OSError), self._sending:
            self._send()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + SECONDS
            try:
                with self._sending:
                    self._send()
            except (DatagenError, OSError) as error:  # a spool may go while it is looked at
                self._why = str(error)

    def _send(self) -> None:
        began, size = time.monotonic(), self._path.stat().st_size
        if size > self._sent:
            with self._path.open("rb") as file:
                file.seek(self._sent)
                self._quick.put(_tail(self._path.name, self._sent, size), file.read(size - self._sent))
            self._tails.append((self._sent, size))
            self._sent = size
        for spool in (self._path.parent / _SPOOLS).glob("*.jsonl"):  # of paid batches; each is written once
            if self._spools.get(spool.name) != (size := _size(spool)):
                self._quick.send(_SPOOLS + spool.name, spool)
                self._spools[spool.name] = size
        self._level, self._why = began, ""
        if len(self._tails) >= MANY and self._sent >= 2 * self._begun:
            self._quick.send(self._path.name, self._path)
            self._begun, old, self._tails = self._sent, self._tails, []
            self._quick.remove(_tail(self._path.name, *tail) for tail in old)


class Copy:
    """What lies on the store of one segment."""

    def __init__(self) -> None:
        self.begun = 0
        """Bytes of its beginning."""
        self.tails: list[tuple[int, int]] = []
        """(start, end) of each tail, in order."""

    @property
    def size(self) -> int:
        """Bytes from the start without a gap."""
        size = self.begun
        for start, end in self.tails:
            size = max(size, end) if start <= size else size
        return size


def _copies(there: Mapping[str, Thing]) -> dict[str, Copy]:
    copies: dict[str, Copy] = {}
    for name, thing in there.items():
        folder, _, rest = name.partition("/")
        if folder == TAILS:
            segment, _, span = rest.partition("/")
            start, _, end = span.partition("-")
            copies.setdefault(segment, Copy()).tails.append((int(start), int(end)))
        elif not rest and name.endswith(".jsonl"):
            copies.setdefault(name, Copy()).begun = thing.size
    for copy in copies.values():
        copy.tails.sort()
    return dict(sorted(copies.items()))


def _others(there: Mapping[str, object]) -> list[str]:
    """The key index, the spools of paid batches, and what was taken down; neither segments nor what belongs to a machine."""
    return [
        name
        for name in there
        if not name.startswith((f"{TAILS}/", f"{_LOCK}/", "."))
        and name != _LOCK
        and ("/" in name or not name.endswith(".jsonl"))
        and "/." not in name
    ]


def _tail(segment: str, start: int, end: int) -> str:
    return f"{TAILS}/{segment}/{start:012d}-{end:012d}"


def _there(data: bytes | None) -> bytes:
    if data is None:
        raise FileNotFoundError("a tail has gone")
    return data


def _remembered(path: Path, url: str) -> dict[str, int]:
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return dict(state["same"]) if state.get("url") == url else {}


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
