"""Rows become records: the columns of a release, and the split of each row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from datagen.errors import OutputError, SpecError
from datagen.records import Row, digest
from datagen.release.formats import FORMATS
from datagen.release.formats.base import Format
from datagen.spec.terms import Release

FIXED = ("id", "seed_id", "group_id", "split", "task", "simulated", "reasoning", "teacher", "scores")
"""Columns of every release; a row field of such a name is released as `source_<name>`."""
HELD, OVERHEAD = 16_000_000, 500
"""About so many bytes of records are kept between two passes over a release: a small one is made once, a large one is made twice. Beside its
text a record takes OVERHEAD."""


class Facts(TypedDict, total=False):
    """What the build knows of a row beside its fields."""

    teacher: str
    simulated: bool
    group_id: str
    reasoning: str
    scores: Mapping[str, float | None]


@dataclass
class Records:
    """The records of a release in their order. Each pass makes them anew, part by part, unless they are few enough to be kept."""

    parts: Iterable[Sequence[Row]]
    form: Format
    release: Release
    facts: Mapping[str, Facts] | Callable[[Row], Facts]
    shares: Mapping[str, float]
    task: str
    rehearsed: bool
    """True where the plan says that teachers are simulated."""
    without: int = 0
    """Rows that gave no record."""
    _simulated: bool = False
    _kept: list[dict[str, Any]] | None = None
    _large: bool = False

    @property
    def simulated(self) -> bool:
        """After a pass: the plan says so, or a row."""
        return self.rehearsed or self._simulated

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._kept is not None:
            yield from self._kept
            return
        self.without, size = 0, 0
        kept: list[dict[str, Any]] | None = None if self._large else []
        for made in map(self._made, self.parts):
            size += sum(OVERHEAD + sum(len(value) for value in record.values() if isinstance(value, str)) for record in made)
            kept = kept + made if kept is not None and size <= HELD else None
            yield from made
        self._kept, self._large = kept, kept is None

    def _made(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """The records of one part, by id: nothing may depend on who answered first."""
        records: list[dict[str, Any]] = []
        for row in rows:
            facts = Facts(simulated=self.rehearsed) | (self.facts(row) if callable(self.facts) else self.facts.get(row.id, Facts()))
            made = list(_released(row, self.form, self.release, facts, self.task, split_of(row.seed, self.shares)))
            records += made
            self.without += not made
        self._simulated = self._simulated or any(record["simulated"] for record in records)
        records.sort(key=lambda record: str(record["id"]))
        _check_ids(records)
        return records


def _released(row: Row, form: Format, release: Release, facts: Facts, task: str, split: str) -> Iterator[dict[str, Any]]:
    for index, columns in enumerate(_shaped(row, form)):
        head = {
            "id": f"{row.id}-{index}" if index else row.id,
            "seed_id": row.seed,
            "group_id": facts.get("group_id") or row.parent or row.seed,
            "split": split,
            "task": task,
            "simulated": bool(facts.get("simulated", False)),
        }
        tail = {"reasoning": facts.get("reasoning", ""), "teacher": facts.get("teacher", "")}
        scores = {name: None if value is None else float(value) for name, value in sorted(facts.get("scores", {}).items())}
        yield head | columns | tail | ({"scores": scores} if scores else {}) | _rest(row.fields, form, columns, release.drop)


def _shaped(row: Row, form: Format) -> list[dict[str, Any]]:
    try:
        return form.rows(row.fields)
    except OutputError as error:
        raise OutputError(f"row {row.id}: {error}") from error


def _rest(fields: Mapping[str, Any], form: Format, columns: Mapping[str, Any], drop: Sequence[str]) -> dict[str, Any]:
    """All other fields by name; those that would hide a column of the release get `source_` in front."""
    taken = {*FIXED, *columns}
    left_out = {*drop, *form.uses()}
    rest: dict[str, Any] = {}
    for name in sorted(fields):
        if name in left_out or name.endswith("_reasoning"):
            continue
        column = _column(name, taken)
        if column in rest or (column != name and column in fields and column not in left_out):
            raise OutputError(f"the fields {name!r} and {column!r} would be the same column of the release: name one of them in release.drop")
        rest[column] = fields[name]
    return rest


def _column(name: str, taken: Collection[str]) -> str:
    return f"source_{name}" if name in taken else name


def seed_columns(release: Release, names: Collection[str]) -> dict[str, str]:
    """Field -> column of the fields that are released under a name of their own, not by the format nor dropped."""
    form: Format = FORMATS.get(release.format)(columns=release.columns)
    taken, left_out = {*FIXED, *form.emits()}, {*release.drop, *form.uses()}
    return {name: _column(name, taken) for name in sorted(names) if name not in left_out and not name.endswith("_reasoning")}


def _check_ids(records: Sequence[Mapping[str, Any]]) -> None:
    for one, two in itertools.pairwise(records):
        if one["id"] == two["id"]:
            raise OutputError(f"two released rows have the id {one['id']}: the last step hands on the same row twice")


# --- splits ---


def split_shares(split: Mapping[str, str | float]) -> dict[str, float]:
    """`{validation: 1%}` as `{validation: 0.01}`. Raises SpecError on what is no share."""
    shares = {name: _share(name, value) for name, value in sorted(split.items()) if name != "train"}
    if sum(shares.values()) >= 1:
        raise SpecError(f"release.split leaves nothing for train: {dict(split)}; the shares beside train must sum to less than 100%")
    return shares


def _share(name: str, value: str | float) -> float:
    try:
        share = float(value.rstrip("% ")) / 100 if isinstance(value, str) and value.rstrip().endswith("%") else float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise SpecError(f"release.split.{name} must be a share such as 1% or 0.01, found {value!r}")
    return share


def split_of(seed_id: str, shares: Mapping[str, float]) -> str:
    """By digest of the seed's id alone: a group never straddles splits, and growth moves no row."""
    point = int(digest(["split", seed_id], size=8), 16) / 2**64
    for name, share in shares.items():
        if point < share:
            return name
        point -= share
    return "train"
