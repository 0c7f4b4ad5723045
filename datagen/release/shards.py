"""The one writer of released rows: it fixes order, types, chunks and row groups, so that the same rows give the same bytes.

`data/<split>-v0001-00000.parquet`: the number counts releases up. A minor release adds files and touches none that is out; a major
one stands beside the older. The manifest is written last and names every file with its digest. Rows come part by part and go
row group by row group, so memory holds no more of them however many there are.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from datagen.errors import OutputError
from datagen.records import NANO, Row, canonical_json
from datagen.release import schema as types
from datagen.release.catalogue import once, over_calls
from datagen.release.columns import FIXED, Facts, Records, split_shares
from datagen.release.formats import FORMATS
from datagen.release.formats.base import Format
from datagen.spec.terms import Release
from datagen.storage import each_record, load_parquet, read_json, sha256_of, write_json, writing

ROW_GROUP = 1_000
"""Rows per row group: the Hub's viewer and streaming readers fetch whole groups."""


@dataclass(frozen=True, slots=True)
class News:
    """What the card's list of releases tells of one beside its rows. Written down once, at the release."""

    day: str = ""
    """UTC, `2026-11-28`; empty where nobody said."""
    seeds: int = 0
    """Different seeds that no earlier release of this major version has seen."""
    change: str = ""
    """Why there is this release, in words."""


@dataclass(frozen=True, slots=True)
class Publication:
    """One release as it stands in the manifest."""

    version: str
    rows: int
    splits: Mapping[str, int]
    files: Sequence[Mapping[str, Any]]
    """[{path, rows, bytes, sha256}], paths relative to OUT."""
    rows_sha256: str
    """Over the canonical JSON of the rows in order, one line each."""
    fingerprint: str
    """Of the plan that made it."""
    without_output: int = 0
    """Rows of the line, those of earlier releases of the major version among them, from which the format made nothing (a winner without a
    loser gives no pair)."""
    day: str = ""
    seeds: int = 0
    change: str = ""
    """As in News."""


def publish(
    out: Path,
    parts: Iterable[Sequence[Row]],
    *,
    release: Release,
    name: str,
    version: tuple[int, int],
    facts: Mapping[str, Facts] | Callable[[Row], Facts],
    previous: Mapping[str, Any] | None = None,
    cohorts: Sequence[Mapping[str, Any]] = (),
    only_new: bool = False,
    news: News | None = None,
) -> Publication:
    """Write one release under OUT/data and the manifest. Rows that are out under the same major version are passed over.

    `parts`: the rows in an order that hangs on nothing but their seeds; within a part they are put in the order of their ids. They are
    gone through twice. `facts`: by row id, or a function of the row. `previous`: OUT/manifest.json as it was. `only_new`: no part holds a row
    that is out; the caller knows that those stand as they did. Raises OutputError when OUT
    belongs to another spec, when a released row has changed, when this version is out with other rows, or when a column changes its type.
    """
    plan = read_json(out / "plan.json") or {}
    _check_owner(previous, name)
    older = _older(previous, version)
    form: Format = FORMATS.get(release.format)(columns=release.columns)
    records = Records(parts, form, release, facts, split_shares(release.split), release.task or name, bool(plan.get("simulated")))
    known = [entry for entry in older if _number(entry["version"])[0] == version[0]]
    schema = _schema(previous) if previous and known and previous["columns"] else _ordered(types.infer(records), form)
    label, shards = f"{version[0]}.{version[1]}", _Shards(out / "data", schema, len(older) + 1, release.rows_per_shard)
    with contextlib.closing(shards):
        _write_fresh(records, shards, schema, _Out(out, [] if only_new else known))
        _check_kind(previous, records.simulated)
        if known and not shards.rows:
            publication = Publication(**known[-1])
            older = older[:-1]
        else:
            _check_same(previous, label, shards.digest)
            files = shards.finish()
            splits = dict(sorted(shards.splits.items()))
            without = records.without + (known[-1]["without_output"] if only_new and known else 0)
            told = _told(previous, label) or asdict(news or News())
            publication = Publication(label, shards.rows, splits, files, shards.digest, plan.get("fingerprint", ""), without, **told)
    _write_manifest(out, name, plan, [*older, asdict(publication)], schema, records.simulated, cohorts)
    return publication


def _write_fresh(records: Records, shards: _Shards, schema: Mapping[str, types.Kind], released: _Out) -> None:
    for record in records:
        fitted = types.fit(record, schema, f"row {record['id']}")
        if not released.holds(fitted):
            shards.add(fitted)


# --- what is out already ---


def _number(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def _older(previous: Mapping[str, Any] | None, version: tuple[int, int]) -> list[Mapping[str, Any]]:
    """The releases before this one. Raises OutputError when a later one is out."""
    entries = (previous or {}).get("releases", [])
    newer = [entry["version"] for entry in entries if _number(entry["version"]) > version]
    if newer:
        raise OutputError(f"release {newer[-1]} is out already, so {version[0]}.{version[1]} cannot be made any more")
    return [entry for entry in entries if _number(entry["version"]) < version]


def _check_owner(previous: Mapping[str, Any] | None, name: str) -> None:
    if previous and previous["name"] != name:
        raise OutputError(f"this folder holds the releases of {previous['name']!r}, not of {name!r}: give another --out")


def _check_kind(previous: Mapping[str, Any] | None, simulated: bool) -> None:
    if previous and bool(previous["simulated"]) != simulated:
        kinds = ("simulated", "real") if simulated else ("real", "simulated")
        raise OutputError(f"{kinds[0]} rows cannot join the {kinds[1]} releases in this folder: give another --out")


def _schema(previous: Mapping[str, Any]) -> dict[str, types.Kind]:
    """The types as they were, in the order of the columns (JSON objects in the manifest are sorted)."""
    return {name: previous["schema"][name] for name in previous["columns"]}


def _ordered(schema: Mapping[str, types.Kind], form: Format) -> dict[str, types.Kind]:
    """What identifies a row, what a trainer reads, what judges have said; then the other fields by name."""
    first = [*FIXED[:6], *form.emits(), *FIXED[6:]]
    return {name: schema[name] for name in (*first, *sorted(set(schema) - set(first))) if name in schema}


class _Out:
    """The rows that earlier releases of this major version hold: sixteen bytes a row, looked up by the beginning of its seed's id."""

    def __init__(self, out: Path, known: Sequence[Mapping[str, Any]]) -> None:
        self._marks: dict[str, bytearray] = defaultdict(bytearray)
        for record in (record for entry in known for file in entry["files"] for record in each_record(out / file["path"])):
            self._marks[_drawer(record)] += _mark(record["id"]) + _mark(record)
        self._open, self._here = "", dict[bytes, bytes]()

    def holds(self, record: Mapping[str, Any]) -> bool:
        """Raises OutputError when the row is out as another one."""
        if not self._marks:
            return False
        drawer = _drawer(record)
        if drawer != self._open:
            marks = self._marks[drawer]
            self._open, self._here = drawer, {bytes(marks[at : at + 8]): bytes(marks[at + 8 : at + 16]) for at in range(0, len(marks), 16)}
        before = self._here.get(_mark(record["id"]))
        if before is not None and before != _mark(record):
            raise OutputError(f"row {record['id']} is released and would change: that needs a new major release (--yes)")
        return before is not None


def _drawer(record: Mapping[str, Any]) -> str:
    return str(record["seed_id"])[3:5]


def _mark(value: Any) -> bytes:
    return hashlib.blake2b(canonical_json(value), digest_size=8).digest()


def _check_same(previous: Mapping[str, Any] | None, label: str, rows_sha256: str) -> None:
    for entry in (previous or {}).get("releases", []):
        if entry["version"] == label and entry["rows_sha256"] != rows_sha256:
            raise OutputError(f"release {label} is out with other rows: make a minor release of new rows, or a major one (--yes)")


def _told(previous: Mapping[str, Any] | None, label: str) -> dict[str, Any]:
    """What was written down of a release that is out already and is made again."""
    entry: Mapping[str, Any] = next((entry for entry in (previous or {}).get("releases", []) if entry["version"] == label), {})
    return {name: entry[name] for name in ("day", "seeds", "change") if name in entry}


# --- bytes ---


@dataclass
class _Shards:
    """The shards of one release while they grow: a row group of each split is in memory. They take their names when all are whole."""

    folder: Path
    schema: Mapping[str, types.Kind]
    number: int
    size: int
    """Rows per shard."""
    rows: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    _digest: Any = field(default_factory=hashlib.sha256)
    _waiting: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    _writers: dict[str, Any] = field(default_factory=dict)
    _written: dict[str, int] = field(default_factory=dict)
    """Shard -> its rows so far."""

    @property
    def digest(self) -> str:
        return str(self._digest.hexdigest())

    def add(self, record: Mapping[str, Any]) -> None:
        split = record["split"]
        waiting = self._waiting.setdefault(split, [])
        waiting.append(record)
        self._digest.update(canonical_json(record) + b"\n")
        self.rows += 1
        self.splits[split] += 1
        if len(waiting) == ROW_GROUP or self.splits[split] % self.size == 0:
            self._write(split)

    def finish(self) -> list[dict[str, Any]]:
        """The files as the manifest names them. Shards that a killed build left, and no manifest will name, go."""
        for split in list(self._waiting):
            self._write(split)
        self._end()
        files = []
        for name, rows in sorted(self._written.items()):
            path = self._beside(name).replace(self.folder / name)
            files.append({"path": f"data/{name}", "rows": rows, "bytes": path.stat().st_size, "sha256": sha256_of(path)})
        later = (path for path in self.folder.glob("*-v*-*.parquet") if int(path.name.split("-v")[1][:4]) >= self.number)
        for path in (*(path for path in later if path.name not in self._written), *self.folder.glob(".*.parquet.tmp")):
            path.unlink()
        return files

    def close(self) -> None:
        """Also in the middle: what has no name yet goes."""
        self._end()
        for name in self._written:
            self._beside(name).unlink(missing_ok=True)

    def _write(self, split: str) -> None:
        """What waits becomes one row group of one chunk: pyarrow's bytes follow the chunking of what it is given."""
        import pyarrow as pa

        load_parquet()
        records = self._waiting.pop(split)
        name = f"{split}-v{self.number:04d}-{(self.splits[split] - 1) // self.size:05d}.parquet"
        schema = pa.schema([(column, _arrow(kind)) for column, kind in self.schema.items()])
        arrays = [pa.array([record[column] for record in records], type=part.type) for column, part in zip(self.schema, schema, strict=True)]
        with writing(self.folder / name):
            if name not in self._writers:
                self._writers[name] = self._started(name, schema)
            self._writers[name].write_table(pa.Table.from_arrays(arrays, schema=schema))
            self._written[name] = self._written.get(name, 0) + len(records)
            if self._written[name] == self.size:
                self._writers.pop(name).close()

    def _started(self, name: str, schema: Any) -> Any:
        import pyarrow.parquet as pq

        self.folder.mkdir(parents=True, exist_ok=True)
        self._written[name] = 0
        return pq.ParquetWriter(self._beside(name), schema, compression="zstd", version="2.6")

    def _end(self) -> None:
        for name in list(self._writers):
            self._writers.pop(name).close()

    def _beside(self, name: str) -> Path:
        return self.folder / f".{name}.tmp"


def _arrow(kind: types.Kind) -> Any:
    import pyarrow as pa

    if isinstance(kind, str):
        return {"int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}.get(kind, pa.string())
    if "list" in kind:
        return pa.list_(_arrow(kind["list"]))
    return pa.struct([(name, _arrow(inner)) for name, inner in kind["struct"].items()])


# --- the manifest ---


def _write_manifest(
    out: Path,
    name: str,
    plan: Mapping[str, Any],
    releases: Sequence[Mapping[str, Any]],
    schema: Mapping[str, types.Kind],
    simulated: bool,
    cohorts: Sequence[Mapping[str, Any]],
) -> None:
    value = {
        "name": name,
        "simulated": simulated,
        "releases": releases,
        "schema": schema,
        "columns": list(schema),
        "steps": step_manifests(out),
        "plan_fingerprint": plan.get("fingerprint", ""),
        "cohorts": cohorts,
        "overrides": plan.get("overrides", {}),
        "canaries": plan.get("canaries"),
        "unsandboxed": plan.get("unsandboxed", {}),
        "cost": _cost(out, plan),
        "versions": plan.get("versions", {}),
    }
    write_json(out / "manifest.json", value)


def step_manifests(out: Path) -> list[dict[str, Any]]:
    """The manifests under OUT/steps, in the order of the line."""
    found = [read_json(path) for path in sorted((out / "steps").glob("*/manifest.json"))]
    return sorted(found, key=lambda step: (int(step["number"]), str(step["name"])))


def _cost(out: Path, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Summed in whole nano-dollars, so that the sum hangs on no order."""
    nano = f"sum(round(cost_usd * {NANO})::HUGEINT)"
    found = over_calls(out, f"SELECT teacher, count(*), {nano} FROM ({once('key')}) GROUP BY teacher ORDER BY teacher")
    usd = {teacher: int(sum_ or 0) / NANO for teacher, _, sum_ in found}
    answers = sum(count for _, count, _ in found)
    beside = {"maybe_usd": plan.get("maybe_usd", 0.0), "would_cost_usd": plan.get("would_cost_usd")}
    return {"usd": round(sum(usd.values()), 9), **beside, "answers": answers, "by_teacher": usd}
