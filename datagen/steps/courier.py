"""What a unit needs and makes, carried between an object store and a worker that shares no disk with the build."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from datagen.asking.ledger.book import lock
from datagen.asking.ledger.offsite import Offsite
from datagen.depot.lease import Follower
from datagen.depot.store import Depot, folder_of
from datagen.errors import LedgerError


@dataclass(frozen=True, slots=True)
class Post:
    """What a worker is told of where the build lies: it travels to whatever machine the worker is on."""

    out: Depot
    ledger: Depot
    work: Path | None
    """The folder of all mirrors, as `folder_of` takes it."""
    run: int
    """The generation of the lock that the build holds."""
    lease: float
    """Seconds."""


class Courier:
    """One worker's. It works in a folder of its own beside those of other workers of this machine, dead ones among them."""

    def __init__(self, post: Post) -> None:
        """Blocks: what dead workers of this machine could not send is sent, and the ledger is fetched. Raises SetupError, LedgerError."""
        self._out = post.out
        self._follower = Follower(post.ledger, post.run, post.lease)
        self.folder, self._lock = _scratch(post)
        shutil.rmtree(self.root, ignore_errors=True)  # of a dead worker, perhaps under another plan
        self.offsite = Offsite(post.ledger, self.book, self._follower.require)
        self.offsite.gather(spools=False)

    @property
    def root(self) -> Path:
        """Its OUT/steps."""
        return self.folder / "steps"

    @property
    def book(self) -> Path:
        """Its mirror of the ledger."""
        return self.folder / "ledger"

    def fetch(self, needs: Sequence[Path], ledger: bool) -> None:
        """What a unit is made of, as it lies there now; and, where `ledger`, what others have recorded since."""
        if ledger:
            self.offsite.gather(beside=False)
        for path in needs:
            path.unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                self._out.fetch(self._name(path), path)

    def deliver(self, data: Sequence[Path], manifest: Path | None) -> None:
        """What a unit has made: data first, manifest last. Of `data`, what is not here goes from there too."""
        self._follower.require()
        self._out.remove(self._name(path) for path in data if not path.exists())
        self._out.push(self.folder, [self._name(path) for path in data if path.exists()])
        if manifest:
            self._out.send(self._name(manifest), manifest)

    def close(self) -> None:
        self._follower.close()
        self._lock.close()

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def rescue(ledger: Depot, out: Depot, work: Path | None) -> list[tuple[Path, IO[str]]]:
    """Send what workers recorded that died on this machine. Returns their folders, each with its lock, which is the caller's now."""
    free = list(_abandoned(_home(out, work)))
    for folder, _ in free:
        if (folder / "ledger").is_dir():
            Offsite(ledger, folder / "ledger").rescue()
    return free


def _scratch(post: Post) -> tuple[Path, IO[str]]:
    """A folder of one's own: that of a dead worker, whose mirror of the ledger saves fetching it all, or a new one."""
    free = rescue(post.ledger, post.out, post.work)
    for _, other in free[1:]:
        other.close()
    if free:
        return free[0]
    folder = _home(post.out, post.work) / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return folder, lock(folder)


def _abandoned(home: Path) -> Iterator[tuple[Path, IO[str]]]:
    for folder in sorted(home.glob("*")):
        with contextlib.suppress(LedgerError):
            yield folder, lock(folder)


def _home(out: Depot, work: Path | None) -> Path:
    """The folder of all workers of this machine on one OUT."""
    mirror = folder_of(out.url, work)
    return mirror.with_name(f"{mirror.name}-workers")
