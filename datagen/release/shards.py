"""The one writer of released rows: it fixes order, types, chunks and row groups, so that the same rows give the same bytes.

`data/<split>-v0001-00000.parquet`: the number counts releases up. A minor release adds files and touches none that is out; a major
one stands beside the older. The manifest is written last and names every file with its digest. All rows of one release are held in
memory once (about 1.5 times their text).
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

from datagen.errors import OutputError, SpecError
from datagen.records import Row, canonical_json, digest
from datagen.release import schema as types
from datagen.release.formats import FORMATS
from datagen.release.formats.base import Format
from datagen.spec.models import Release
from datagen.storage import read_json, read_table, replacing, sha256_of, write_json

FIXED = ("id", "seed_id", "group_id", "split", "task", "simulated", "reasoning", "teacher", "scores")
"""Columns of every release; a row field of such a name is released as `source_<name>`."""
ROW_GROUP = 1_000
"""Rows per row group: the Hub's viewer and streaming readers fetch whole groups."""


class Facts(TypedDict, total=False):
    """What the build knows of a row beside its fields."""

    teacher: str
    simulated: bool
    group_id: str
    reasoning: str
    scores: Mapping[str, float | None]


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
    """Rows of the line from which the format made nothing (a winner without a loser gives no pair)."""


def publish(
    out: Path,
    rows: Iterable[Row],
    *,
    release: Release,
    name: str,
    version: tuple[int, int],
    facts: Mapping[str, Facts] | Callable[[Row], Facts],
    previous: Mapping[str, Any] | None = None,
) -> Publication:
    """Write one release under OUT/data and the manifest. Rows that are out under the same major version are passed over.

    `facts`: by row id, or a function of the row. `previous`: OUT/manifest.json as it was. Raises OutputError when OUT belongs to
    another spec, when a released row has changed, when this version is out with other rows, or when a column changes its type.
    """
    plan = read_json(out / "plan.json") or {}
    older = _older(previous, version)
    form: Format = FORMATS.get(release.format)(columns=release.columns)
    records, without = _records(rows, form, release, facts, release.task or name, bool(plan.get("simulated")))
    simulated = bool(plan.get("simulated")) or any(record["simulated"] for record in records)
    _check_owner(previous, name, simulated)
    known = [entry for entry in older if _number(entry["version"])[0] == version[0]]
    schema = _schema(previous) if previous and known and previous["columns"] else _ordered(types.infer(records), form)
    fitted = [types.fit(record, schema, f"row {record['id']}") for record in records]
    fresh = _not_yet_out(out, fitted, known)
    if known and not fresh:
        publication = Publication(**known[-1])
        older = older[:-1]
    else:
        label = f"{version[0]}.{version[1]}"
        rows_sha256 = _rows_sha256(fresh)
        _check_same(previous, label, rows_sha256)
        files = _write_all(out, fresh, schema, len(older) + 1, release.rows_per_shard)
        splits = dict(sorted(Counter(record["split"] for record in fresh).items()))
        publication = Publication(label, len(fresh), splits, files, rows_sha256, plan.get("fingerprint", ""), without)
    _write_manifest(out, name, plan, [*older, asdict(publication)], schema, simulated)
    return publication


# --- rows become records ---


def _records(
    rows: Iterable[Row], form: Format, release: Release, facts: Mapping[str, Facts] | Callable[[Row], Facts], task: str, simulated: bool
) -> tuple[list[dict[str, Any]], int]:
    shares = split_shares(release.split)
    records: list[dict[str, Any]] = []
    without = 0
    for row in rows:
        known = Facts(simulated=simulated) | (facts(row) if callable(facts) else facts.get(row.id, Facts()))
        made = list(_released(row, form, release, known, task, split_of(row.seed, shares)))
        records += made
        without += not made
    records.sort(key=lambda record: str(record["id"]))
    _check_ids(records)
    return records, without


def _released(row: Row, form: Format, release: Release, facts: Facts, task: str, split: str) -> Iterator[dict[str, Any]]:
    for index, columns in enumerate(form.rows(row.fields)):
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


def _rest(fields: Mapping[str, Any], form: Format, columns: Mapping[str, Any], drop: Sequence[str]) -> dict[str, Any]:
    """All other fields by name; those that would hide a column of the release get `source_` in front."""
    taken = {*FIXED, *columns}
    left_out = {*drop, *form.uses()}
    rest: dict[str, Any] = {}
    for name in sorted(fields):
        if name in left_out or name.endswith("_reasoning"):
            continue
        column = f"source_{name}" if name in taken else name
        if column in rest or (column != name and column in fields and column not in left_out):
            raise OutputError(f"the fields {name!r} and {column!r} would be the same column of the release: name one of them in release.drop")
        rest[column] = fields[name]
    return rest


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


def _check_owner(previous: Mapping[str, Any] | None, name: str, simulated: bool) -> None:
    if not previous:
        return
    if previous["name"] != name:
        raise OutputError(f"this folder holds the releases of {previous['name']!r}, not of {name!r}: give another --out")
    if bool(previous["simulated"]) != simulated:
        kinds = ("simulated", "real") if simulated else ("real", "simulated")
        raise OutputError(f"{kinds[0]} rows cannot join the {kinds[1]} releases in this folder: give another --out")


def _schema(previous: Mapping[str, Any]) -> dict[str, types.Kind]:
    """The types as they were, in the order of the columns (JSON objects in the manifest are sorted)."""
    return {name: previous["schema"][name] for name in previous["columns"]}


def _ordered(schema: Mapping[str, types.Kind], form: Format) -> dict[str, types.Kind]:
    """What identifies a row, what a trainer reads, what judges have said; then the other fields by name."""
    first = [*FIXED[:6], *form.emits(), *FIXED[6:]]
    return {name: schema[name] for name in (*first, *sorted(set(schema) - set(first))) if name in schema}


def _not_yet_out(out: Path, records: list[dict[str, Any]], known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows that no earlier release of this major version holds. Raises OutputError when one of those has changed."""
    released = {row["id"]: digest(row) for entry in known for file in entry["files"] for row in read_table(out / file["path"])}
    for record in records:
        if record["id"] in released and released[record["id"]] != digest(record):
            raise OutputError(f"row {record['id']} is released and would change: that needs a new major release (--yes)")
    return [record for record in records if record["id"] not in released]


def _check_same(previous: Mapping[str, Any] | None, label: str, rows_sha256: str) -> None:
    for entry in (previous or {}).get("releases", []):
        if entry["version"] == label and entry["rows_sha256"] != rows_sha256:
            raise OutputError(f"release {label} is out with other rows: make a minor release of new rows, or a major one (--yes)")


# --- bytes ---


def _write_all(out: Path, records: Sequence[Mapping[str, Any]], schema: Mapping[str, types.Kind], number: int, size: int) -> list[dict[str, Any]]:
    files = []
    for split in sorted({record["split"] for record in records}):
        chosen = [record for record in records if record["split"] == split]
        for index, start in enumerate(range(0, len(chosen), size)):
            relative = f"data/{split}-v{number:04d}-{index:05d}.parquet"
            shard = chosen[start : start + size]
            _write_shard(out / relative, shard, schema)
            path = out / relative
            files.append({"path": relative, "rows": len(shard), "bytes": path.stat().st_size, "sha256": sha256_of(path)})
    _remove_strays(out, number, files)
    return files


def _write_shard(path: Path, records: Sequence[Mapping[str, Any]], schema: Mapping[str, types.Kind]) -> None:
    """One table of one chunk: pyarrow's bytes follow the chunking of what it is given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.schema([(name, _arrow(kind)) for name, kind in schema.items()])
    arrays = [pa.array([record[name] for record in records], type=field.type) for name, field in zip(schema, arrow, strict=True)]
    with replacing(path) as beside:
        pq.write_table(pa.Table.from_arrays(arrays, schema=arrow), beside, compression="zstd", row_group_size=ROW_GROUP, version="2.6")


def _arrow(kind: types.Kind) -> Any:
    import pyarrow as pa

    if isinstance(kind, str):
        return {"int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}.get(kind, pa.string())
    if "list" in kind:
        return pa.list_(_arrow(kind["list"]))
    return pa.struct([(name, _arrow(inner)) for name, inner in kind["struct"].items()])


def _rows_sha256(records: Iterable[Mapping[str, Any]]) -> str:
    total = hashlib.sha256()
    for record in records:
        total.update(canonical_json(record) + b"\n")
    return total.hexdigest()


def _remove_strays(out: Path, number: int, files: Sequence[Mapping[str, Any]]) -> None:
    """Shards of this number or later that no manifest will name: a build that was killed left them."""
    named = {Path(file["path"]).name for file in files}
    for path in (out / "data").glob("*-v[0-9][0-9][0-9][0-9]-*.parquet"):
        if path.name not in named and int(path.name.split("-v")[1][:4]) >= number:
            path.unlink()


# --- the manifest ---


def _write_manifest(
    out: Path, name: str, plan: Mapping[str, Any], releases: Sequence[Mapping[str, Any]], schema: Mapping[str, types.Kind], simulated: bool
) -> None:
    value = {
        "name": name,
        "simulated": simulated,
        "releases": releases,
        "schema": schema,
        "columns": list(schema),
        "steps": step_manifests(out),
        "plan_fingerprint": plan.get("fingerprint", ""),
        "cohorts": plan.get("cohorts", []),
        "cost": _cost(out, plan),
        "versions": plan.get("versions", {}),
    }
    write_json(out / "manifest.json", value)


def step_manifests(out: Path) -> list[dict[str, Any]]:
    """The manifests under OUT/steps, in the order of the line."""
    found = [read_json(path) for path in sorted((out / "steps").glob("*/manifest.json"))]
    return sorted(found, key=lambda step: (int(step["number"]), str(step["name"])))


def _cost(out: Path, plan: Mapping[str, Any]) -> dict[str, Any]:
    path = out / "steps" / "calls.parquet"
    calls = list({call["key"]: call for call in (read_table(path) if path.exists() else [])}.values())  # rows may share an answer
    by_teacher: dict[str, float] = {}
    for call in calls:
        by_teacher[call["teacher"]] = by_teacher.get(call["teacher"], 0.0) + (call["cost_usd"] or 0.0)
    usd = {teacher: round(cost, 9) for teacher, cost in sorted(by_teacher.items())}
    return {"usd": round(sum(usd.values()), 9), "would_cost_usd": plan.get("would_cost_usd"), "answers": len(calls), "by_teacher": usd}
