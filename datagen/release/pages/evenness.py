"""What the report and the card show of coverage by cell, and of how much texts differ: read from OUT/coverage, where publishing wrote it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datagen.release.catalogue import query
from datagen.release.measured.coverage import columns_of, thin_path
from datagen.release.measured.diversity import RELEASE
from datagen.release.pages.figures import Account

ROWS, COLUMNS = 16, 10
"""Of a map: an axis with more values is a list."""
LISTED = 12
"""Values of such an axis that are shown: those of which the smallest share of seeds gave rows."""
LEAST_DIVERSE = 5
LIGHTEST = 12
"""Percent of the colour of a cell from which nothing came."""


@dataclass(frozen=True, slots=True)
class Place:
    """A cell, a value or the whole: what was asked for, and what came of it."""

    value: str
    seeds: int
    kept: int
    """Seeds of which a row is out."""
    rows: int

    @property
    def share(self) -> float:
        return self.kept / self.seeds if self.seeds else 0.0

    @property
    def shade(self) -> int:
        """Percent of a colour: the more seeds gave rows, the deeper; even small differences among good shares are to be seen."""
        return round(LIGHTEST + (100 - LIGHTEST) * self.share**2)


@dataclass(frozen=True, slots=True)
class Map:
    """Two axes crossed; None where a cell has no seed."""

    down: str
    across: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Place | None]]]


@dataclass(frozen=True, slots=True)
class Covered:
    """Coverage as a page shows it."""

    axes: Sequence[str]
    cells: int
    wanted: int
    thin: int
    missing: int
    to_ask: int
    map: Map | None
    lists: Sequence[tuple[str, int, Sequence[Place]]]
    """(axis, how many values it has, those that are shown)."""
    file: str
    """The seeds that would fill what is thin, as a path under OUT; empty where nothing is thin."""


def covered(account: Account) -> Covered | None:
    """None where the seeds declare no axes."""
    axes = account.plan["seeds"].get("axes") or []
    columns, records = query(account.out, "SELECT * FROM coverage")
    axes = [axis for axis, column in zip(axes, columns_of(axes), strict=True) if column in columns]
    if not (axes and records):
        return None
    cells = [dict(zip(columns, record, strict=True)) for record in records]
    sizes = {axis: len({cell[column] for cell in cells}) for axis, column in zip(axes, columns_of(axes), strict=True)}
    crossed = _crossed(sizes)
    lists = [(axis, sizes[axis], _list(cells, axis)) for axis in axes if axis not in crossed and sizes[axis] > 1]
    thin = [cell for cell in cells if cell["missing"]]
    path = thin_path(account.out, account.version)
    return Covered(
        axes=axes,
        cells=len(cells),
        wanted=cells[0]["wanted"],
        thin=len(thin),
        missing=sum(cell["missing"] for cell in thin),
        to_ask=sum(cell["to_ask"] for cell in thin),
        map=_map(cells, *crossed) if crossed else None,
        lists=lists,
        file=path.relative_to(account.out).as_posix() if thin and path.exists() else "",
    )


def _crossed(sizes: Mapping[str, int]) -> tuple[str, ...]:
    """The two axes of the map, the longer one down: of those that fit, the ones with the most values."""
    fitting = sorted((axis for axis, size in sizes.items() if 1 < size <= ROWS), key=lambda axis: -sizes[axis])
    across = [axis for axis in fitting if sizes[axis] <= COLUMNS]
    down = next((axis for axis in fitting if axis not in across[:1] or len(across) > 1), "")
    other = next((axis for axis in across if axis != down), "")
    return (down, other) if down and other else ()


def _map(cells: Sequence[Mapping[str, Any]], down: str, across: str) -> Map:
    found = _added(cells, [down, across])
    rows, columns = (sorted({values[place] for values in found}, key=_by_number) for place in (0, 1))
    return Map(down, across, columns, [(row, [found.get((row, column)) for column in columns]) for row in rows])


def _by_number(value: str) -> tuple[int, str]:
    """Whole numbers as they count, before all else by the alphabet."""
    return (int(value), "") if value.removeprefix("-").isdecimal() else (10**18, value)


def _list(cells: Sequence[Mapping[str, Any]], axis: str) -> list[Place]:
    found = sorted(_added(cells, [axis]).values(), key=lambda place: (place.share, -place.seeds, place.value))
    return found[:LISTED]


def _added(cells: Sequence[Mapping[str, Any]], axes: Sequence[str]) -> dict[tuple[str, ...], Place]:
    """The cells of fewer axes."""
    names = columns_of(axes)
    sums: dict[tuple[str, ...], list[int]] = {}
    for cell in cells:
        mine = sums.setdefault(tuple(cell[name] for name in names), [0, 0, 0])
        for place, name in enumerate(("seeds", "seeds_kept", "rows")):
            mine[place] += cell[name]
    return {values: Place(" · ".join(values), *counts) for values, counts in sums.items()}


@dataclass(frozen=True, slots=True)
class Compared:
    """Diversity as a page shows it."""

    steps: Sequence[Mapping[str, Any]]
    """Each step that asks, then the release, over all rows."""
    values: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]
    """(axis, its least diverse values in the release)."""
    collapsed: Sequence[Mapping[str, Any]]
    limits: Mapping[str, Any]
    """From which texts have collapsed; empty where nobody looks."""


def compared(account: Account) -> Compared:
    """Empty where nothing was measured."""
    columns, records = query(account.out, "SELECT * FROM diversity")
    found = [dict(zip(columns, record, strict=True)) for record in records]
    axes = dict.fromkeys(entry["axis"] for entry in found if entry["axis"])
    mine = {axis: [entry for entry in found if entry["axis"] == axis and entry["step"] == RELEASE][:LEAST_DIVERSE] for axis in axes}
    values = [(axis, entries) for axis, entries in mine.items() if entries]
    collapsed = [entry for entry in found if entry["collapsed"]]
    return Compared([entry for entry in found if not entry["axis"]], values, collapsed, account.plan.get("collapse") or {})
