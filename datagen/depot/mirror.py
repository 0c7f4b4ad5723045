"""A folder on this disk that is what a depot holds, but for what this run has made and not yet brought there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from datagen.depot.store import Depot, Thing

STATE = ".depot.json"
"""In the folder: what lay there when it was last the same, so that nothing is carried twice."""
_TRIES = 5
"""Times that a listing is taken again because what it named had gone: somebody else writes."""

Stage = Callable[[str], bool]
"""Picks the names that go together."""


@dataclass(frozen=True, slots=True)
class _Same:
    """A file and an object that were found, or made, alike."""

    thing: Thing
    file: tuple[int, int]
    """Bytes, and nanoseconds of its last change."""


class Mirror:
    """Carries files between a depot and a folder, and remembers which are alike. One thread's."""

    def __init__(self, depot: Depot, folder: Path, mine: Stage = lambda name: True) -> None:
        """`mine`: the names that are carried; all others are left alone on either side."""
        self.depot, self.folder = depot, folder
        self._mine = mine
        self._same = self._remembered()

    def pull(self, first: str = "") -> None:
        """Make the folder what the depot holds. `first`: an object that is fetched before the listing, as it names others."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in reversed(range(_TRIES)):
            try:
                self._pull(first)
                return
            except FileNotFoundError:
                if not left:
                    raise

    def push(self, *stages: Stage, first: Stage = lambda name: False, remove: int = 0) -> None:
        """Make the depot what the folder holds, stage after stage; what belongs to none stays as it is. What is not in the folder any more
        goes from the depot, when stage number `remove` has been carried."""
        there = self._listed()
        here = {name: found for name, found in self._files() if self._mine(name)}
        new = [name for name, found in here.items() if not self._alike(name, there.get(name), found)]
        gone = [name for name in there if name not in here]
        for number, stage in enumerate(stages):
            self.depot.push(self.folder, [name for name in new if stage(name)])
            if number == remove:
                self.depot.remove([name for name in gone if any(each(name) for each in stages)])
        sent = [name for name in new if any(stage(name) for stage in stages)]
        if sent or gone:
            there = self._listed()
        for name in sent:
            if name in there:
                self._same[name] = _Same(there[name], here[name])
        self._remember(there)

    def take(self, only: Stage) -> None:
        """See what others have put there, or removed, since. What they never had stays: this run has still to bring it there."""
        for left in reversed(range(_TRIES)):
            try:
                there = self._listed()
                known = {*there, *self._same}
                self._take(there, lambda name, known=known: only(name) and name in known)  # type: ignore[misc]
                return
            except FileNotFoundError:
                if not left:
                    raise

    def _pull(self, first: str) -> None:
        before = self._fetched(first) if first else None
        there = self._listed()
        if there.get(first) != before:
            raise FileNotFoundError(f"{self.depot.url}/{first} was put again meanwhile")
        self._take(there, self._mine)

    def _listed(self) -> dict[str, Thing]:
        return {name: thing for name, thing in self.depot.listed().items() if self._mine(name)}

    def _take(self, there: Mapping[str, Thing], only: Stage) -> None:
        """Make of the folder what lies there, as far as `only` goes."""
        here = {name: found for name, found in self._files() if self._mine(name)}
        for name in here:
            if only(name) and name not in there:
                (self.folder / name).unlink()
        wanted = [name for name, thing in there.items() if only(name) and not self._alike(name, thing, here.get(name))]
        self.depot.pull(self.folder, wanted)
        for name in wanted:
            self._same[name] = _Same(there[name], _stat(self.folder / name))
        self._remember(there)

    def _fetched(self, name: str) -> Thing | None:
        """Fetch one object, where it is not here as it is there."""
        thing, path = self.depot.listed(name).get(name), self.folder / name
        if thing is not None and not (path.exists() and self._alike(name, thing, _stat(path))):
            self.depot.fetch(name, path)
            self._same[name] = _Same(thing, _stat(path))
        return thing

    def _alike(self, name: str, thing: Thing | None, found: tuple[int, int] | None) -> bool:
        known = self._same.get(name)
        return known is not None and known.thing == thing and known.file == found

    def _files(self) -> Iterator[tuple[str, tuple[int, int]]]:
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and not any(part.startswith(".") for part in name.split("/")):
                yield name, _stat(path)

    def _remembered(self) -> dict[str, _Same]:
        try:
            state = json.loads((self.folder / STATE).read_bytes())
        except (OSError, ValueError):
            return {}
        if state.get("url") != self.depot.url:
            return {}
        return {name: _Same(Thing(size, mark), (bytes_, changed)) for name, (size, mark, bytes_, changed) in state["same"].items()}

    def _remember(self, there: Mapping[str, Thing]) -> None:
        self._same = {name: same for name, same in self._same.items() if name in there or not self._mine(name)}
        plain = {name: [same.thing.size, same.thing.mark, *same.file] for name, same in self._same.items()}
        beside = self.folder / f"{STATE}.{os.getpid()}.tmp"
        beside.write_text(json.dumps({"url": self.depot.url, "same": plain}))
        beside.replace(self.folder / STATE)


def _stat(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
