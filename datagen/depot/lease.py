"""The lock of a run on an object store: a lease that its holder renews, so that a dead one is succeeded and a live one never joined.

`lock/000007.json` is a generation. To take the lock is to create the next one, which the store grants to one alone; it may be tried where
the last one was given back, has run out by the store's own clock, or is of a process of this machine that is dead. The holder writes its
generation anew every sixth of the lease. Where a higher one exists, or its own has run out, it is the holder no more.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from datagen.depot.store import Depot
from datagen.errors import DatagenError, LedgerError

SECONDS = 120.0
"""Of a lease: so long may the store be out of reach before a run stops, and so long is a dead one of another machine waited for."""
_RENEWALS = 6
"""In the time of one lease: a renewal that is late by a slow call or two costs nothing."""
_GRACE = 2.0
"""Seconds; stores tell the time of an object in whole ones."""
_FOLDER = "lock"


class Lease:
    """The right of one run to write a depot. Enter it to take it; leave it to give it back."""

    def __init__(self, depot: Depot, run: str, tell: Callable[[str], None], seconds: float = SECONDS) -> None:
        """`run`: who this is, in words. `tell` is given a line when a dead run has to be waited for."""
        self._depot = depot.sub(_FOLDER)
        self._quick = Depot(self._depot.url, 0)
        self._where = depot.url
        self._tell = tell
        self.seconds = seconds
        """Of the lease."""
        self._number = 0
        self._until = 0.0
        self._lost = ""
        self._said: dict[str, Any] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "run": run,
            "since": round(time.time()),
            "seconds": seconds,
            "machine": _machine(),
            "born": born(os.getpid()),
            "token": uuid.uuid4().hex,
            "renewed": 0,
            "released": False,
        }
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew_often, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        """Raises LedgerError where another run has the lock and lives: within a sixth of its lease. Waits for a dead one to run out."""
        while held := self._held():
            self._outwait(*held)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        if not self._lost:
            self._said["released"] = True
            with contextlib.suppress(DatagenError):  # else it runs out by itself
                self._quick.put(_name(self._number), self._plain())

    @property
    def number(self) -> int:
        """The generation of this run."""
        return self._number

    def require(self) -> None:
        """Raises LedgerError where this run may not write any more. Costs nothing."""
        if not self._lost and _now() >= self._until:
            self._lost = f"its lease of {self.seconds:,.0f} s ran out while the store was out of reach, or this process slept"
        if self._lost:
            raise LedgerError(f"this run has lost {self._where}: {self._lost}. Nothing more is asked or written; the same command goes on later")

    def confirm(self) -> None:
        """The same, by asking the store. Before what must not be written by two."""
        self.require()
        self._look()
        self.require()

    # --- taking ---

    def _held(self) -> tuple[int, dict[str, Any]] | None:
        """Take the lock, or say which generation has it."""
        last = self._last()
        found = self._read(last)
        if found and not self._free(last, found):
            return last, found
        began, self._number = _now(), last + 1
        if not self._depot.make(_name(self._number), self._plain()):
            return self._held()  # somebody was quicker
        if not last:
            self._depot.require_exclusive(_name(self._number))
        self._until = began + self.seconds
        self._depot.remove(_name(number) for number in self._numbers() if number < last)
        return None

    def _free(self, number: int, found: dict[str, Any]) -> bool:
        if found["released"]:
            return True
        if found["machine"] and found["machine"] == self._said["machine"]:
            return bool(born(found["pid"]) != found["born"])
        return bool(self._age(number) > found["seconds"] + _GRACE)

    def _outwait(self, number: int, found: dict[str, Any]) -> None:
        """Until the holder is seen to live, which is an error, or its lease has run out."""
        told = False
        first_look = _now() + found["seconds"] / _RENEWALS + _GRACE
        while not self._free(number, found):
            if _now() > first_look and not told:
                left = found["seconds"] + _GRACE - self._age(number)
                self._tell(f"{_owner(found)} has {self._where} and renews it no more; its lease ends in {max(left, 0):,.0f} s, waiting for that")
                told = True
            time.sleep(min(1.0, found["seconds"] / _RENEWALS))
            now = self._read(number)
            if now is None or self._last() != number:
                return
            if now["renewed"] != found["renewed"] and not now["released"]:
                raise LedgerError(
                    f"{self._where} is in use by {_owner(found)}, which renews its lease every {found['seconds'] / _RENEWALS:,.0f} s; "
                    "nothing was asked. Wait for it to end, or stop it"
                )
            found = now

    def _last(self) -> int:
        return max(self._numbers(), default=0)

    def _numbers(self) -> list[int]:
        return [int(name[:6]) for name in self._depot.listed() if name[:6].isdigit()]

    def _read(self, number: int) -> dict[str, Any] | None:
        plain = self._depot.get(_name(number)) if number else None
        return dict(json.loads(plain)) if plain else None

    def _age(self, number: int) -> float:
        """Seconds since a generation was written, by the clock of the store, which tells both times."""
        clock = f"clock-{self._said['token']}"
        self._depot.put(clock, b"")
        try:
            now, then = self._depot.modified(clock), self._depot.modified(_name(number))
        finally:
            self._depot.remove([clock])
        return (now or 0.0) - (then or 0.0)

    # --- holding ---

    def _renew_often(self) -> None:
        while not self._ended.wait(self.seconds / _RENEWALS if _now() < self._until else 1.0):
            self._look()
            if self._lost:
                return

    def _look(self) -> None:
        """See that nobody has come after us, and renew."""
        began = _now()
        try:
            numbers = [int(name[:6]) for name in self._quick.listed() if name[:6].isdigit()]
            if max(numbers, default=0) > self._number:
                self._lost = f"run {max(numbers)} has taken it over"
                return
            if began < self._until:
                self._said["renewed"] += 1
                self._quick.put(_name(self._number), self._plain())
                self._until = began + self.seconds
        except DatagenError:
            return  # it may be back at the next look; else the lease runs out

    def _plain(self) -> bytes:
        return json.dumps(self._said, indent=1).encode()


class Follower:
    """How a worker on another machine knows that its run still holds the lock: it sees the lease renewed."""

    def __init__(self, depot: Depot, number: int, seconds: float) -> None:
        """`number`: the generation of its run; `seconds`: of its lease."""
        self._where = depot.url
        self._depot = Depot(depot.sub(_FOLDER).url, 0)
        self._number, self._every = number, seconds / _RENEWALS
        self._renewed: object = None
        self._until = _now() + seconds
        self._span = seconds - 2 * self._every
        """After a renewal was seen, which may have been a look and a call ago."""
        self._lost = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Raises LedgerError where the run of this worker has the lock no more, or that cannot be known. Costs nothing."""
        if not self._lost and _now() >= self._until:
            self._lost = "its lease is renewed no more"
        if self._lost:
            raise LedgerError(f"this worker's run has lost {self._where}: {self._lost}. Nothing more is asked or written")

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._ended.wait(self._every if self._renewed else 0.0):
            try:
                numbers = [int(name[:6]) for name in self._depot.listed() if name[:6].isdigit()]
                plain = self._depot.get(_name(self._number))
            except DatagenError:
                if not self._renewed:
                    self._ended.wait(1.0)
                continue
            found = json.loads(plain) if plain else {"released": True}
            if max(numbers, default=0) > self._number or found["released"]:
                self._lost = f"run {max(numbers, default=0)} has taken it over" if not found["released"] else "it was given back"
                return
            if (found["renewed"], found["token"]) != self._renewed:
                self._renewed, self._until = (found["renewed"], found["token"]), _now() + self._span


def _name(number: int) -> str:
    return f"{number:06d}.json"


def _owner(found: dict[str, Any]) -> str:
    since = datetime.fromtimestamp(found["since"], UTC)
    return f"process {found['pid']} on {found['host']} ({found['run']}, since {since:%Y-%m-%d %H:%M:%S} UTC)"


def _now() -> float:
    """Seconds that go on while a machine sleeps, where the system has such."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _machine() -> str:
    """Names this machine and its numbering of processes; empty where that cannot be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def born(pid: int) -> int | None:
    """When a process began, in clock ticks since its machine started; None where it is gone, dead and not yet buried, or the system does not
    say (no /proc)."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else int(rest[18])
