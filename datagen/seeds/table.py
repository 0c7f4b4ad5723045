"""Rows of a table: Parquet, JSONL or CSV, local or on any fsspec address, or a data set of the Hub."""

from __future__ import annotations

import contextlib
import csv
import glob
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, model_validator

from datagen.errors import SeedError, SetupError, nearest
from datagen.seeds.base import Listing

SUFFIXES = (".parquet", ".jsonl", ".csv")


class Table(BaseModel):
    """`table: path.parquet`, or {path, columns} for some columns, or {hub, config, split} for a data set of the Hub."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = None
    """A file or a glob; Parquet, JSONL or CSV by its ending."""
    hub: str | None = None
    """A data set by name; it is read through `datasets`, which needs the network or a filled cache."""
    config: str | None = None
    split: str = "train"
    columns: list[str] | None = None
    """Keep these only. Default: all."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_place(self) -> Table:
        if (self.path is None) == (self.hub is None):
            raise ValueError("table needs either a path or a hub data set")
        return self

    def rows(self, base: Path, listing: Listing) -> Iterator[dict[str, Any]]:
        source = self._hub_rows() if self.hub else self._file_rows(base)
        for number, row in enumerate(source):
            if self.columns:
                missing = [name for name in self.columns if name not in row]
                if missing:
                    raise SeedError(f"table {self.path or self.hub}, row {number}: no column {missing[0]!r}{nearest(missing[0], row)}")
                row = {name: row[name] for name in self.columns}
            yield row

    def beside(self, base: Path) -> list[Path]:
        if self.path is None or "://" in self.path or Path(self.path).expanduser().is_absolute():
            return []
        return [path for name in sorted(glob.glob(str(base / self.path), recursive=True)) if (path := Path(name)).is_file()]  # noqa: PTH207, as fsspec reads it

    def _file_rows(self, base: Path) -> Iterator[dict[str, Any]]:
        import fsspec

        address = str(self.path)
        absolute = address if "://" in address else str(base / Path(address).expanduser())
        try:
            files = sorted(fsspec.open_files(absolute, "rb"), key=lambda file: str(file.path))
        except (OSError, ValueError, ImportError) as error:
            raise SeedError(f"table {address}: cannot be opened: {error}") from error
        if not files:
            raise SeedError(f"table {address}: no such file (looked at {absolute})")
        for file in files:
            yield from _read(file, address)

    def _hub_rows(self) -> Iterator[dict[str, Any]]:
        try:
            import datasets
        except ImportError as error:
            raise SetupError("table.hub needs the package `datasets`: pip install 'datagen[hub-seeds]'") from error
        try:
            dataset = datasets.load_dataset(self.hub, self.config, split=self.split)
        except Exception as error:  # datasets raises whatever its many back ends raise
            raise SeedError(f"table: the Hub data set {self.hub!r} (split {self.split!r}) cannot be loaded: {error}") from error
        yield from (dict(row) for row in dataset)


def _read(file: Any, address: str) -> Iterator[dict[str, Any]]:
    suffix = Path(file.path).suffix
    readers = {".parquet": _parquet, ".jsonl": _jsonl, ".csv": _csv}
    if suffix not in readers:
        raise SeedError(f"table {address}: unknown kind of file {suffix!r}; known: {', '.join(SUFFIXES)}")
    try:
        with file as stream:
            yield from readers[suffix](stream, str(file.path))
    except FileNotFoundError as error:
        raise SeedError(f"table {address}: no such file (looked at {file.path})") from error
    except OSError as error:
        raise SeedError(f"table {address}: cannot be read: {error}") from error


def _parquet(stream: Any, name: str) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        for batch in pq.ParquetFile(stream).iter_batches(1024):
            yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise SeedError(f"{name}: not readable as Parquet: {error}") from error


def _jsonl(stream: Any, name: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            value = _loaded(line)
        except ValueError as error:
            raise SeedError(f"{name}:{number}: not valid JSON: {error}") from error
        if not isinstance(value, dict):
            raise SeedError(f"{name}:{number}: expected an object of named values, found {type(value).__name__}")
        yield value


def _loaded(line: bytes) -> Any:
    """As `json` reads it. orjson, five times as fast, makes a float of a whole number over 64 bits, and refuses a NaN and a lone surrogate."""
    with contextlib.suppress(ValueError):
        value = orjson.loads(line)
        if not _with_float(value):
            return value
    return json.loads(line)


def _with_float(value: Any) -> bool:
    kind = type(value)
    if kind is dict or kind is list:
        return any(_with_float(item) for item in (value.values() if kind is dict else value))
    return kind is float


def _csv(stream: Any, name: str) -> Iterator[dict[str, Any]]:
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:  # spreadsheets begin a file with a mark
        table = csv.DictReader(text)
        try:
            for row in table:
                if None in row or None in row.values():
                    raise SeedError(f"{name}:{table.line_num}: the row has not as many values as the header")
                yield dict(row)
        except UnicodeDecodeError as error:
            raise SeedError(f"{name}: is not UTF-8 text (after line {table.line_num})") from error
        except csv.Error as error:
            raise SeedError(f"{name}:{table.line_num}: not readable as CSV: {error}; JSONL or Parquet holds long texts better") from error
