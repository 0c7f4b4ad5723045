"""Parquet in, Parquet out, one manifest: the only writer of intermediate files.

A file is complete when it has its name: everything is written beside it and renamed. A manifest is written after the data it names.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
import hashlib
import heapq
import importlib.abc
import json
import os
import sys
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from datagen.errors import SetupError
from datagen.records import Row, canonical_json

ROW_COLUMNS = ("id", "parent", "seed_id", "fields", "calls")
"""Columns of every row file under steps/; `fields` and `calls` are JSON text, so any row has the same schema."""
BATCH = 1_024
"""Rows of a Parquet file that are in memory at once where it is read row by row."""
ROW_GROUP = 16_384
"""Rows per row group of tables that are put together: every group costs a reader about 200 bytes a column."""
ARRAY_HEAD = 4_096
"""A file of an array that is no longer than this is not worth mapping, and one without a record cannot be."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises SetupError where the block cannot write `path`."""
    try:
        yield
    except OSError as error:
        raise SetupError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write to the yielded path; it takes the name `path` when the block ends well. Raises SetupError where that is impossible."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            beside.replace(path)
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


def sealed(root: Path, paths: Iterable[Path]) -> dict[str, str]:
    """Files as a manifest names them: path under `root` -> SHA-256."""
    return {path.relative_to(root).as_posix(): sha256_of(path) for path in paths}


def whole(root: Path, files: Mapping[str, str]) -> bool:
    """True when every file of a manifest is there, byte for byte."""
    try:
        return all(sha256_of(root / name) == sha256 for name, sha256 in files.items())
    except OSError:
        return False


@functools.cache
def load_parquet() -> None:
    """Import pyarrow as a build needs it; every function that makes an array calls this first.

    Its own allocator keeps 80 MB of what it once had, so the system's is used: by name in the environment, as its C++ side does not ask
    the pool that Python sets (40 MB more). Its first array looks for pandas, which it only needs for tables of pandas: 40 MB and a
    quarter of a second.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    import pyarrow as pa
    import pyarrow.parquet

    pa.set_memory_pool(pa.system_memory_pool())
    hiding = _Hiding()
    sys.meta_path.insert(0, hiding)
    try:
        pa.array([""])  # it looks once
    finally:
        sys.meta_path.remove(hiding)


class _Hiding(importlib.abc.MetaPathFinder):
    """While this stands first in the way of imports, pandas is not found."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """Rows as one Parquet file. `columns`: name -> Arrow type name (string, bool, int64, float64)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    load_parquet()
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])
    arrays = [pa.array([row.get(name) for row in rows], type=field.type) for name, field in zip(columns, schema, strict=True)]
    with replacing(path) as beside:
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), beside, compression="zstd")


def each_record(path: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of one Parquet file as dictionaries, a batch in memory at a time. `columns`: only these are read."""
    import pyarrow.parquet as pq

    load_parquet()
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH, columns=list(columns) if columns is not None else None, use_threads=False):
            yield from batch.to_pylist()


def read_table(path: Path) -> list[dict[str, Any]]:
    """All rows of one Parquet file as dictionaries."""
    return list(each_record(path))


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
    """Several Parquet files of one schema as one, about ROW_GROUP rows in memory at a time; nothing when there is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    load_parquet()
    if not paths:
        return
    with replacing(out) as beside, pq.ParquetWriter(beside, pq.read_schema(paths[0]), compression="zstd") as writer:
        waiting: list[Any] = []
        for path in paths:
            with pq.ParquetFile(path) as file:
                waiting.append(file.read(use_threads=False))
            if sum(table.num_rows for table in waiting) >= ROW_GROUP:
                writer.write_table(pa.concat_tables(waiting))
                waiting.clear()
        if waiting:
            writer.write_table(pa.concat_tables(waiting))


def read_ids(path: Path) -> list[str]:
    """The ids of the rows of one row file; none when there is no such file."""
    return [record["id"] for record in each_record(path, ["id"])] if path.exists() else []


def write_array(path: Path, array: Any) -> None:
    """A numpy array as .npy."""
    import numpy as np

    with replacing(path) as beside, beside.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def write_arrays(path: Path, count: int, kind: Any, arrays: Iterable[Any]) -> None:
    """Arrays one after another as one .npy of `count` records of the numpy type `kind`; one of them is in memory at a time."""
    import numpy as np

    with replacing(path) as beside, beside.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (count,)})
        for array in arrays:
            file.write(np.ascontiguousarray(array).tobytes())


def read_array(path: Path, lazily: bool = False) -> Any:
    """`lazily`: its pages come from the disk as they are looked at."""
    import numpy as np

    return np.load(path, mmap_mode="r" if lazily and path.stat().st_size > ARRAY_HEAD else None, allow_pickle=False)


def word_vectors(path: Path) -> tuple[list[str], Any]:
    """(words, their vectors, a row each) of an .npz. Raises OSError, KeyError or ValueError where it is no such file."""
    import numpy as np

    with np.load(path, allow_pickle=False) as file:
        words, vectors = [str(word) for word in file["words"].tolist()], np.asarray(file["vectors"], dtype=np.float32)
    if vectors.ndim != 2 or len(words) != len(vectors) or not np.isfinite(vectors).all():
        raise ValueError(f"{len(words)} words and vectors of the shape {vectors.shape}, or numbers that are none")
    return words, vectors


def spilled(near: Path, count: int, kind: Any) -> Any:
    """Room for `count` records of the numpy type `kind`, in a file without a name that lives as long as the array; all zero."""
    import numpy as np

    with tempfile.TemporaryFile(dir=_writable(near.absolute())) as file:
        return np.memmap(file, dtype=kind, mode="w+", shape=(count,)) if count else np.zeros(0, dtype=kind)


# --- seeds: lines of JSON in the order of their ids ---

_ID = slice(len(b'{"id":"r1:'), len(b'{"id":"r1:') + 20)


def seed_line(row: Row) -> bytes:
    """A seed as a line that begins with its id: lines sort as ids do, and equal seeds are equal lines."""
    return b'{"id":"%s","fields":%s}\n' % (row.id.encode(), _text(row.fields).encode())


def seed_line_of(fields: Mapping[str, Any]) -> bytes:
    """`seed_line(Row.of_seed(fields))`, in one writing of the fields where they are plain."""
    try:
        text = canonical_json(fields)
        text.decode("utf-8")
    except (TypeError, UnicodeDecodeError):
        return seed_line(Row.of_seed(fields))
    identity = hashlib.blake2b(b'["seed",%s]' % text, digest_size=10).hexdigest()
    return b'{"id":"r1:%s","fields":%s}\n' % (identity.encode(), text)


def seed_of(line: bytes) -> Row:
    """The Row in a line of `seed_line`."""
    record = json.loads(line)
    return Row(record["id"], "", record["id"], record["fields"])


def seed_id(line: bytes) -> bytes:
    """The ten bytes of a seed's id, from its line."""
    return bytes.fromhex(line[_ID].decode())


class SortedLines:
    """Any number of lines in ascending order. What passes HELD lies in files without a name, which die with their process."""

    HELD = 4_000_000
    """Bytes of lines in memory."""
    RUNS = 128
    """Files that are open at once; then they become one."""

    def __init__(self, near: Path) -> None:
        """`near`: a folder on the disk to use; it need not exist yet."""
        self._near = near.absolute()
        self._held: list[bytes] = []
        self._size = 0
        self._runs: list[IO[bytes]] = []

    def add(self, line: bytes) -> None:
        """`line` ends with its only line break. Raises SetupError when the disk is full."""
        self._held.append(line)
        self._size += len(line)
        if self._size >= self.HELD:
            self._spill()

    def __iter__(self) -> Iterator[bytes]:
        """All lines in order; one pass at a time."""
        self._held.sort()
        for run in self._runs:
            run.seek(0)
        return heapq.merge(self._held, *self._runs)

    def close(self) -> None:
        for run in self._runs:
            run.close()
        self._runs, self._held, self._size = [], [], 0

    def _spill(self) -> None:
        if len(self._runs) == self.RUNS:
            for run in self._runs:
                run.seek(0)
            merged = self._written(heapq.merge(*self._runs))
            for run in self._runs:
                run.close()
            self._runs = [merged]
        self._runs.append(self._written(sorted(self._held)))
        self._held, self._size = [], 0

    def _written(self, lines: Iterable[bytes]) -> IO[bytes]:
        folder = _writable(self._near)
        try:
            file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, it lives as long as these lines
            file.writelines(lines)
        except OSError as error:
            raise SetupError(f"cannot write {self._size:,} bytes of seeds to {folder}: {error.strerror or error}") from error
        return file


def _writable(near: Path) -> Path:
    """The folder `near` or what holds it, if it may be written; else that of temporary files."""
    there = next(folder for folder in (near, *near.parents) if folder.is_dir())
    return there if os.access(there, os.W_OK) else Path(tempfile.gettempdir())


class Texts:
    """Texts by number, in a file without a name; of each some sixteen bytes are in memory."""

    def __init__(self, near: Path) -> None:
        """`near`: a folder on the disk to use; it need not exist yet."""
        self._file = tempfile.TemporaryFile(dir=_writable(near.absolute()))  # noqa: SIM115, it lives as long as these texts
        self._numbers, self._ends = array("q"), array("q", [0])

    def put(self, number: int, text: str) -> None:
        """Numbers ascend. Raises SetupError when the disk is full."""
        data = text.encode("utf-8", errors="surrogatepass")
        try:
            self._file.write(data)
        except OSError as error:
            raise SetupError(f"cannot write texts to compare: {error.strerror or error}") from error
        self._numbers.append(number)
        self._ends.append(self._ends[-1] + len(data))

    def get(self, number: int) -> str:
        at = bisect.bisect_left(self._numbers, number)
        self._file.flush()
        data = os.pread(self._file.fileno(), self._ends[at + 1] - self._ends[at], self._ends[at])
        return data.decode("utf-8", errors="surrogatepass")

    def close(self) -> None:
        self._file.close()
