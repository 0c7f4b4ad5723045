"""Seeds to rows: read once, renamed, counted, each with its id, and put in the order of the ids."""

from __future__ import annotations

import datetime
import decimal
import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from datagen.errors import SeedError, nearest
from datagen.plan.files import nearest_file
from datagen.plan.model import Sown
from datagen.release.measured.coverage import VARIANT
from datagen.release.tables import CELLS
from datagen.seeds import SEEDS
from datagen.seeds.base import SeedSource
from datagen.seeds.grid import Grid
from datagen.seeds.table import SUFFIXES, Table
from datagen.spec.load import Loaded
from datagen.spec.reading import validated_by, whole_text
from datagen.storage import SortedLines, seed_line_of

DEFAULT_TAKE = 1_000_000
"""Rows read where nobody says how many: a bound, so that a price can be given."""


def sow(loaded: Loaded, limit: int | None = None, near: Path | None = None) -> Sown:
    """The seeds of a spec: at most `take` of its source and all of `also`, at most `limit`, in one pass. Raises SeedError when there is none.

    They are sorted by their ids on the disk of the folder `near`: what decides about prompts, parts and repeats is known when the last
    seed has been read, and nothing may be paid before.
    """
    seeds = loaded.spec.seeds
    source = seed_source(loaded)
    take = seeds.take or (_cells(source, loaded) if isinstance(source, Grid) else DEFAULT_TAKE)
    lines, seen = SortedLines(near or Path()), _Seen()
    for fields in itertools.islice(itertools.chain(itertools.islice(_named(source, loaded), take), _further(loaded, seen)), limit):
        seen.add(fields)
        lines.add(seed_line_of(fields))
    if not seen.read:
        raise SeedError(f"{loaded.written.where(('seeds',))}: the seeds are empty: {seeds.source} {seeds.params!r} gives no row")
    return Sown(lines, seen.read, frozenset(seen.common))


@dataclass
class _Seen:
    """The fields of the seeds so far."""

    read: int = 0
    common: set[str] = field(default_factory=set)
    """Those of every seed."""
    every: set[str] = field(default_factory=set)
    """Those of any."""

    def add(self, fields: Mapping[str, Any]) -> None:
        if self.common != fields.keys():
            self.common = self.common & fields.keys() if self.read else set(fields)
            self.every |= fields.keys()
        self.read += 1


def _named(source: SeedSource, loaded: Loaded) -> Iterator[dict[str, Any]]:
    """What the source gives, under the names of the row."""
    seeds = loaded.spec.seeds
    for values in _values(source, loaded):
        yield _renamed(values, seeds.rename, seeds.source) if seeds.rename else values


def _further(loaded: Loaded, seen: _Seen) -> Iterator[dict[str, Any]]:
    """The seeds of `also`, file by file; their fields have the names of the row already. Raises SeedError for a file that is not there, and
    for one with other fields than the seeds of the source, which have all been seen by now."""
    needed, known = seen.common - {loaded.spec.seeds.rename.get(VARIANT, VARIANT)}, set(seen.every)
    for index, table in enumerate(further_tables(loaded)):
        where, last = f"{loaded.written.where(('seeds', 'also', index))}: also: {table.path}", set[str]()
        for fields in _read_further(table, loaded, where):
            if known and last != fields.keys():
                last = set(fields)
                _require_same(needed - last, last - known, where)
            yield fields


def _read_further(table: Table, loaded: Loaded, where: str) -> Iterator[dict[str, Any]]:
    try:
        yield from _values(table, loaded)
    except SeedError as error:
        path = loaded.base / Path(str(table.path)).expanduser()
        near = "" if "://" in str(table.path) or path.exists() else nearest_file(path, SUFFIXES)
        raise SeedError(f"{where}: {error}{near}") from error


def _require_same(missing: Collection[str], strange: Collection[str], where: str) -> None:
    """Raises SeedError where a file of `also` has other fields than the seeds beside it."""
    if missing or strange:
        said = [f"{what} {', '.join(map(repr, sorted(names)))}" for what, names in (("lacks", missing), ("has besides", strange)) if names]
        hint = f"; {CELLS} counts cells, and seeds for the thin ones are in thin-VERSION.jsonl beside it" if where.endswith(CELLS) else ""
        raise SeedError(f"{where} must have the fields of the other seeds: it {' and '.join(said)}{hint}")


def further_tables(loaded: Loaded) -> list[Table]:
    """The files of `also`."""
    return [Table(path=path) for path in loaded.spec.seeds.also]


def seed_source(loaded: Loaded) -> SeedSource:
    """The source with its parameters, validated by their owner."""
    seeds = loaded.spec.seeds
    kind = SEEDS.get(seeds.source, loaded.written.where(("seeds",)))
    source: SeedSource = validated_by(TypeAdapter(kind), seeds.params, loaded.written, ("seeds", seeds.source))
    return source


def _values(source: SeedSource, loaded: Loaded) -> Iterator[dict[str, Any]]:
    where = loaded.written.where(("seeds",))
    for values in source.rows(loaded.base, lambda name: loaded.library.listing(name, where)):
        yield {name: plain(value) for name, value in values.items()}


def _cells(source: Grid, loaded: Loaded) -> int:
    return source.cells(lambda name: loaded.library.listing(name, loaded.written.where(("seeds",))))


def _renamed(values: Mapping[str, Any], rename: Mapping[str, str], source: str) -> dict[str, Any]:
    missing = [name for name in rename if name not in values]
    if missing:
        raise SeedError(f"seeds.rename: {source} gives no field {missing[0]!r}{nearest(missing[0], values)}")
    return {rename.get(name, name): value for name, value in values.items()}


def plain(value: Any) -> Any:
    """A value of a foreign table as plain JSON: dates and decimals become text, a NaN becomes null."""
    match value:
        case None | bool() | int():
            return value
        case str():
            return whole_text(value)
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [plain(item) for item in value]
        case dict():
            return {whole_text(str(key)): plain(item) for key, item in value.items()}
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case decimal.Decimal():
            return str(value)
        case bytes():
            return value.decode("utf-8", errors="replace")
        case _:
            return str(value)
