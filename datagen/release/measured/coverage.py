"""Coverage: what became of the seeds of each cell, and the seeds to ask for where it is thin, written so that a later round can take them.

A cell is one value of each axis of the seeds' grid. Under OUT/coverage lie `cells.parquet` (a record a cell), `steps.parquet` (a record a cell
and step), and for each release `thin-1.0.jsonl`: seeds that the grid does not have, as many as the thin cells need to come up to the others.
That file is written once and stays, so a spec that names it under `seeds: {also: ...}` grows by it and moves nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median_high
from typing import Any

from datagen.release.catalogue import current, query
from datagen.release.tables import CELL_COLUMNS, CELL_STEP_COLUMNS, CELL_STEPS, CELLS, COVERAGE
from datagen.storage import read_json, replacing, write_table

MOST_CELLS = 20_000
"""Cells that are told apart; of a grid with more, only values of its smaller axes."""
VARIANT = "variant"
"""The grid's own field. The grid counts up from 0; what is asked for again counts down from -1, so that a larger `take` never meets it."""


@dataclass
class Cell:
    """What became of its seeds."""

    values: tuple[Any, ...]
    seeds: int = 0
    gave: int = 0
    """Seeds of which at least one row is out."""
    rows: int = 0
    """Released ones."""
    variant: int = 0
    """The lowest of its seeds."""
    reached: dict[int, int] = field(default_factory=dict)
    """Step -> seeds that came so far, with one row at least."""
    dropped: dict[int, int] = field(default_factory=dict)
    unanswered: dict[int, int] = field(default_factory=dict)
    """Step -> rows."""

    def missing(self, wanted: int) -> int:
        """Rows that it is short of."""
        return max(0, wanted - self.rows)


@dataclass
class Coverage:
    """All cells that have a seed, in the order of their values."""

    axes: list[str]
    steps: list[str]
    cells: list[Cell]
    whole: bool
    """False where there are more cells than are told apart."""
    variant: str = VARIANT
    """The name of that field in a row."""

    @cached_property
    def wanted(self) -> int:
        """Rows that a cell should have: the median of the cells that have any."""
        return median_high([cell.rows for cell in self.cells if cell.rows] or [0])

    @property
    def thin(self) -> list[Cell]:
        """Those with fewer."""
        return [cell for cell in self.cells if cell.rows < self.wanted]

    def to_ask(self, cell: Cell) -> int:
        """Seeds that give what a cell is short of when all goes well, and never more than that where a seed gives one row: what is lost again
        the next round asks for again, while a row too many would stay."""
        return math.ceil(cell.missing(self.wanted) / max(self._each, 1.0))

    @cached_property
    def _each(self) -> float:
        """Rows a seed."""
        return sum(cell.rows for cell in self.cells) / max(sum(cell.seeds for cell in self.cells), 1)

    def of(self, axes: Sequence[str]) -> dict[tuple[Any, ...], Cell]:
        """The cells of fewer axes: sums."""
        places = [self.axes.index(name) for name in axes]
        found: dict[tuple[Any, ...], Cell] = {}
        for cell in self.cells:
            values = tuple(cell.values[place] for place in places)
            mine = found.setdefault(values, Cell(values))
            mine.seeds, mine.gave, mine.rows = mine.seeds + cell.seeds, mine.gave + cell.gave, mine.rows + cell.rows
        return found


def coverage_of(out: Path) -> Coverage | None:
    """Of the newest major version, by what lies under OUT/steps; None where the seeds declare no axes."""
    plan, manifest = read_json(out / "plan.json"), read_json(out / "manifest.json")
    axes, whole = plan["seeds"].get("axes") or [], True
    steps = [step["name"] for step in manifest["steps"]]
    while axes and (found := _counted(out, axes)) > MOST_CELLS:
        sizes = {name: _counted(out, [name]) for name in axes} if len(axes) > 1 else {axes[0]: found}
        axes, whole = [name for name in axes if name != max(sizes, key=lambda each: sizes[each])], False
    if not axes:
        return None
    variant = plan["seeds"].get("variant", VARIANT)
    cells = {cell.values: cell for cell in _seeded(out, axes, variant)}
    _add_fates(out, axes, steps, cells)
    return Coverage(axes, steps, sorted(cells.values(), key=lambda cell: [str(value) for value in cell.values]), whole, variant)


def write_coverage(out: Path) -> Coverage | None:
    """OUT/coverage: cells, steps, and the seeds of the last release's thin cells. None, and no cells, where the seeds declare no axes."""
    found = coverage_of(out)
    if found is None:
        for name in (CELLS, CELL_STEPS):
            (out / COVERAGE / name).unlink(missing_ok=True)
        return None
    axes = dict.fromkeys(columns_of(found.axes), "string")
    write_table(out / COVERAGE / CELLS, list(_cell_records(found)), axes | CELL_COLUMNS)
    write_table(out / COVERAGE / CELL_STEPS, list(_step_records(found)), axes | CELL_STEP_COLUMNS)
    thin = thin_path(out, current(read_json(out / "manifest.json"))[-1]["version"])
    if found.whole and not thin.exists():
        lines = [json.dumps(seed, ensure_ascii=False, sort_keys=True) + "\n" for seed in thin_seeds(found)]
        with replacing(thin) as beside:
            beside.write_text("".join(lines), encoding="utf-8")
    return found


def thin_path(out: Path, version: str) -> Path:
    """The seeds that a release found missing."""
    return out / COVERAGE / f"thin-{version}.jsonl"


def thin_seeds(found: Coverage) -> Iterator[dict[str, Any]]:
    """One record for each seed to ask for."""
    for cell in found.thin:
        for number in range(1, found.to_ask(cell) + 1):
            yield dict(zip(found.axes, cell.values, strict=True)) | {found.variant: min(cell.variant, 0) - number}


# --- counting ---


def _counted(out: Path, axes: Sequence[str]) -> int:
    _, [(number,)] = query(out, f"SELECT count(*) FROM (SELECT DISTINCT {_values(axes)} FROM kept WHERE step = 'seeds')")
    return int(number)


def _seeded(out: Path, axes: Sequence[str], variant: str) -> Iterator[Cell]:
    lowest = f"coalesce(min(TRY_CAST(fields ->> {path_of(variant)} AS BIGINT)), 0)"
    _, rows = query(out, f"SELECT {_values(axes)}, count(*), {lowest} FROM kept WHERE step = 'seeds' GROUP BY ALL")
    for *values, seeds, least in rows:
        yield Cell(_read(values), seeds, variant=least)


_FATES = """
WITH seeds AS (SELECT id, {values} FROM kept WHERE step = 'seeds'),
ends AS (
  SELECT seed_id, step, 'dropped' AS fate, count(*) AS n FROM dropped WHERE step <> 'seeds' GROUP BY ALL
  UNION ALL SELECT seed_id, step, 'unanswered', count(*) FROM unanswered GROUP BY ALL
  UNION ALL SELECT seed_id, '', 'out', count(*) FROM rows GROUP BY ALL),
numbered AS (SELECT seed_id, fate, n, list_position({steps}, step) - 1 AS number FROM ends)
SELECT {names}, fate, coalesce(number, {end}) AS number, sum(n)::BIGINT, count(*) FILTER (WHERE farthest)
FROM (SELECT *, row_number() OVER (PARTITION BY seed_id ORDER BY coalesce(number, {end}) DESC, fate) = 1 AS farthest FROM numbered)
JOIN seeds ON seed_id = seeds.id GROUP BY ALL"""


def _add_fates(out: Path, axes: Sequence[str], steps: Sequence[str], cells: Mapping[tuple[Any, ...], Cell]) -> None:
    """Rows by cell, step and fate; and by cell and step the seeds of which a row came so far, and none further."""
    names = ", ".join(f"a{place}" for place in range(len(axes)))
    listed = "[" + ", ".join(_quoted(name) for name in steps) + "]"
    _, rows = query(out, _FATES.format(values=_values(axes), names=names, steps=listed, end=len(steps)))
    for *values, fate, number, count, farthest in rows:
        cell = cells[_read(values)]
        if fate == "out":
            cell.rows, cell.gave = cell.rows + count, cell.gave + farthest
        else:
            tally = cell.dropped if fate == "dropped" else cell.unanswered
            tally[number] = tally.get(number, 0) + count
        for step in range(1, min(number, len(steps) - 1) + 1):
            cell.reached[step] = cell.reached.get(step, 0) + farthest


def _read(values: Sequence[str | None]) -> tuple[Any, ...]:
    return tuple(None if value is None else json.loads(value) for value in values)


def _values(axes: Sequence[str]) -> str:
    """The axes' values as JSON, which tells 1 from "1"."""
    return ", ".join(f"(fields -> {path_of(name)})::VARCHAR AS a{place}" for place, name in enumerate(axes))


def path_of(name: str) -> str:
    """A field of a row's JSON as an SQL literal."""
    return _quoted('$."' + name.replace('"', '\\"') + '"')


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# --- as tables ---


def columns_of(axes: Sequence[str]) -> list[str]:
    """An axis is a column of its name, but for those that have a meaning of their own."""
    taken = {*CELL_COLUMNS, *CELL_STEP_COLUMNS}
    return [f"seed_{name}" if name in taken else name for name in axes]


def _cell_records(found: Coverage) -> Iterator[dict[str, Any]]:
    for cell in found.cells:
        yield _named(found, cell) | {
            "seeds": cell.seeds,
            "seeds_kept": cell.gave,
            "rows": cell.rows,
            "dropped": sum(cell.dropped.values()),
            "unanswered": sum(cell.unanswered.values()),
            "wanted": found.wanted,
            "missing": cell.missing(found.wanted),
            "to_ask": found.to_ask(cell) if found.whole else 0,
        }


def _step_records(found: Coverage) -> Iterator[dict[str, Any]]:
    for cell in found.cells:
        for number, step in enumerate(found.steps[1:], start=1):
            counts = {"seeds": cell.reached.get(number, 0), "dropped": cell.dropped.get(number, 0), "unanswered": cell.unanswered.get(number, 0)}
            yield _named(found, cell) | {"number": number, "step": step} | counts


def _named(found: Coverage, cell: Cell) -> dict[str, str]:
    values = (value if isinstance(value, str) else json.dumps(value) for value in cell.values)
    return dict(zip(columns_of(found.axes), values, strict=True))
