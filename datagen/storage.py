"""Parquet in, Parquet out, one manifest: the only writer of intermediate files.

A file is complete when it has its name: everything is written beside it and renamed. A manifest is written after the data it names.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datagen.errors import SetupError
from datagen.records import Row, canonical_json

ROW_COLUMNS = ("id", "parent", "seed_id", "fields", "calls")
"""Columns of every row file under steps/; `fields` and `calls` are JSON text, so any row has the same schema."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write to the yielded path; it takes the name `path` when the block ends well. Raises SetupError where that is impossible."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        beside.replace(path)
    except OSError as error:
        raise SetupError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(NotADirectoryError):
            beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Indented, sorted JSON with a final newline, by rename."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The JSON in `path`, or None when there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_parquet() -> None:
    """Import pyarrow, and pandas with it where it is installed: pyarrow's first array looks for it, which takes a quarter of a second."""
    import pyarrow as pa
    import pyarrow.parquet

    pa.array([""])


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """Rows as one Parquet file. `columns`: name -> Arrow type name (string, bool, int64, float64)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])
    arrays = [pa.array([row.get(name) for row in rows], type=field.type) for name, field in zip(columns, schema, strict=True)]
    with replacing(path) as beside:
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), beside, compression="zstd")


def read_table(path: Path) -> list[dict[str, Any]]:
    """All rows of one Parquet file as dictionaries."""
    import pyarrow.parquet as pq

    return list(pq.read_table(path, partitioning=None).to_pylist())


def row_record(row: Row, **more: Any) -> dict[str, Any]:
    """A row as a record of a row file, with further columns."""
    return {"id": row.id, "parent": row.parent, "seed_id": row.seed, "fields": _text(row.fields), "calls": _text(row.calls), **more}


def _text(values: Mapping[str, Any]) -> str:
    try:
        return canonical_json(dict(values)).decode("utf-8")
    except (TypeError, UnicodeDecodeError):  # a value of a plug-in's own type; a lone surrogate, which Parquet would refuse
        return json.dumps(dict(values), sort_keys=True, default=str)


def row_of(record: Mapping[str, Any]) -> Row:
    """The Row in a record of a row file."""
    # json, not orjson: that one makes a float of a whole number beyond 64 bits, and the row would be another one
    return Row(record["id"], record["parent"], record["seed_id"], json.loads(record["fields"]), json.loads(record["calls"]))


def write_rows(path: Path, records: Iterable[Mapping[str, Any]], **more: str) -> None:
    """Row records (see `row_record`) as Parquet; `more`: further columns and their types."""
    write_table(path, list(records), dict.fromkeys(ROW_COLUMNS, "string") | more)


def read_rows(path: Path) -> list[Row]:
    """The rows of one row file; none when there is no such file."""
    return [row_of(record) for record in read_table(path)] if path.exists() else []


def concat_tables(paths: Sequence[Path], out: Path) -> None:
    """Several Parquet files of one schema as one; nothing when there is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if paths:
        with replacing(out) as beside:
            pq.write_table(pa.concat_tables([pq.read_table(path, partitioning=None) for path in paths]), beside, compression="zstd")
