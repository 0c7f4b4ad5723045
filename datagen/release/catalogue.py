"""SQL over everything in OUT: `catalog.duckdb`, a file of views over the Parquet, and the only door to duckdb.

The file holds no data, so it is a cache that may be deleted at any time. It is written in the storage format of DuckDB 1.4, so that
older clients read it. Its views name absolute paths: `connect` makes it anew when OUT has moved.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datagen.errors import OutputError, SetupError, SpecError
from datagen.records import digest
from datagen.release.tables import CELL_COLUMNS, CELL_STEP_COLUMNS, CELL_STEPS, CELLS, COVERAGE, DIVERSITY, DIVERSITY_COLUMNS, KINDS
from datagen.storage import read_json, replacing, sha256_of

if TYPE_CHECKING:
    import duckdb

FILE = "catalog.duckdb"
STORAGE = "v1.4.0"
"""The oldest storage version that still gets fixes; DuckDB 2.0 would write one that no 1.x client opens."""

LEAN = "32MB"
"""Memory of a build's own queries; those of `datagen sql` take what DuckDB takes by default."""

WRITTEN: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "coverage": (CELLS, CELL_COLUMNS),
    "coverage_steps": (CELL_STEPS, CELL_STEP_COLUMNS),
    "diversity": (DIVERSITY, DIVERSITY_COLUMNS),
}
"""View -> its file under OUT/coverage, and the columns it always has."""
_SQL = {"string": "VARCHAR", "int64": "BIGINT", "float64": "DOUBLE", "bool": "BOOLEAN"}
COLUMNS: Mapping[str, Mapping[str, str]] = {
    **{kind: {"step": "VARCHAR"} | {name: _SQL[type_] for name, type_ in columns.items()} for kind, columns in KINDS.items()},
    **{view: {name: _SQL[type_] for name, type_ in columns.items()} for view, (_, columns) in WRITTEN.items()},
    "rows": dict.fromkeys(("id", "seed_id", "group_id", "split", "task"), "VARCHAR") | {"simulated": "BOOLEAN"},
}
"""The columns of each view when there is nothing of its kind; `rows` has those of the format besides."""


def once(by: str, calls: str = "calls") -> str:
    """SQL for the relation `calls` with each answer once, though rows may share one. `by`: `key`, or `key, step`.

    Only calls whose hash stands twice are compared in full, so memory holds eight bytes a call and not the calls.
    """
    again = f"SELECT * REPLACE (bool_or(asked) OVER (PARTITION BY {by}) AS asked) FROM {calls} WHERE hash(key) IN (FROM twice)"
    return f"""WITH twice AS MATERIALIZED (SELECT hash(key) FROM {calls} GROUP BY 1 HAVING count(*) > 1)
  SELECT * FROM {calls} WHERE hash(key) NOT IN (FROM twice) UNION ALL (SELECT DISTINCT ON ({by}) * FROM ({again}) ORDER BY row)"""


COSTS = """
SELECT step, teacher, model, count(*) AS answers, count(*) FILTER (WHERE asked) AS asked, count(*) FILTER (WHERE outcome <> 'answered') AS unanswered,
  coalesce(sum(input_tokens), 0)::BIGINT AS input_tokens, coalesce(sum(output_tokens), 0)::BIGINT AS output_tokens,
  coalesce(sum(cached_tokens), 0)::BIGINT AS cached_tokens, coalesce(sum(reasoning_tokens), 0)::BIGINT AS reasoning_tokens,
  round(coalesce(sum(cost_usd), 0), 9) AS cost_usd, round(coalesce(sum(saved_usd), 0), 9) AS saved_usd, bool_or(simulated) AS simulated
FROM ({once}) GROUP BY ALL ORDER BY ALL"""


def build_catalogue(out: Path) -> Path:
    """Write OUT/catalog.duckdb: the views rows, kept, dropped, unanswered, verdicts, calls and costs, coverage, coverage_steps and diversity.

    Returns its path.
    """
    out = out.resolve()
    with replacing(out / FILE) as beside, _memory() as con:
        con.execute(f"ATTACH {_quoted(str(beside))} AS built (STORAGE_VERSION '{STORAGE}')")
        _create(con, out, "built.main.")
        con.execute("CREATE TABLE built.main.built_for (state VARCHAR)")
        con.execute("INSERT INTO built.main.built_for VALUES (?)", [_state(out)])
        con.execute("DETACH built")
    return out / FILE


def connect(out: Path) -> duckdb.DuckDBPyConnection:
    """Open the catalogue for reading, from any working folder; made anew when OUT has moved or holds other files.

    Where OUT cannot be written, or another program has the file open for writing, the same views come from memory.
    """
    out = out.resolve()
    if not (out / "steps").is_dir() and not (out / "manifest.json").is_file():
        raise OutputError(f"nothing has been built in {out}: there is neither steps/ nor manifest.json")
    fresh = _open(out)
    if fresh is None:
        try:
            build_catalogue(out)
        except SetupError:
            return _in_memory(out)
        fresh = _open(out)
    return fresh if fresh is not None else _in_memory(out)


def load_engine() -> None:
    """Import duckdb, which takes a seventh of a second, before it is needed."""
    import duckdb  # noqa: F401


@contextlib.contextmanager
def held_open(out: Path, written: bool = True) -> Iterator[None]:
    """Keep one connection for all queries of the block, as a build makes them: opening costs more than most of them. `written`: False where the
    catalogue is still to be written, and what is asked goes into it."""
    with connect(out) if written else _in_memory(out.resolve()) as con:
        _lean(con, out)
        token = _HELD.set((out, con))
        try:
            yield
        finally:
            _HELD.reset(token)


_HELD: ContextVar[tuple[Path, Any] | None] = ContextVar("held", default=None)


@contextlib.contextmanager
def _held(out: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    held = _HELD.get()
    if held and held[0] == out:
        yield held[1]
    else:
        with connect(out) as con:
            yield con


def query(out: Path, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and all rows of one statement. Raises SpecError with the engine's words when the SQL is wrong."""
    import duckdb

    with _held(out) as con:
        try:
            return (_lean_answer if _HELD.get() else _answer)(con, sql, parameters)
        except duckdb.Error as error:
            raise SpecError(f"{error}\nviews: {', '.join(sorted([*COLUMNS, 'costs']))}; DESCRIBE <view> lists its columns") from error


def over_calls(out: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a statement over `calls`, where there is no catalogue yet."""
    with _memory() as con:
        _lean(con, out)
        con.execute(f"CREATE VIEW calls AS {_calls(out)}")
        return _lean_answer(con, sql)[1]


# --- opening ---


def _memory() -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(config=_CONFIG)


def _lean(con: duckdb.DuckDBPyConnection, out: Path) -> None:
    """What a build asks takes LEAN of memory and one core, and the disk beside the catalogue where that is not enough."""
    spill = _quoted(f"{out / FILE}.tmp")
    for setting in (f"memory_limit = '{LEAN}'", "threads = 1", f"temp_directory = {spill}"):
        con.execute(f"SET {setting}")


def _answer(con: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows."""
    done = con.execute(sql, list(parameters))
    if done is None:
        raise SpecError("there is no statement in that text")
    return [column[0] for column in done.description or []], done.fetchall()


def _lean_answer(con: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
    """What does not fit into LEAN even with the disk (a row of many megabytes) gets what it needs."""
    import duckdb

    try:
        return _answer(con, sql, parameters)
    except duckdb.OutOfMemoryException:
        con.execute("RESET memory_limit")
        return _answer(con, sql, parameters)


_CONFIG: dict[str, str | bool | int | float | list[str]] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
"""Nothing is fetched from the network behind a query."""


def _open(out: Path) -> duckdb.DuckDBPyConnection | None:
    """The catalogue, or None when it is missing, stale, locked or unreadable."""
    import duckdb

    if not (out / FILE).is_file():
        return None
    try:
        con = duckdb.connect(str(out / FILE), read_only=True, config=_CONFIG)
    except duckdb.Error:
        return None
    try:
        found = con.execute("SELECT state FROM built_for").fetchone()
    except duckdb.Error:
        found = None
    if found == (_state(out),):
        return con
    con.close()
    return None


def _in_memory(out: Path) -> duckdb.DuckDBPyConnection:
    con = _memory()
    _create(con, out, "")
    return con


def _state(out: Path) -> str:
    """What the views depend on: where OUT is, what is released, which step folders there are."""
    manifest = out / "manifest.json"
    files = (*_folders(out), *_call_files(out), *filter(Path.is_file, (out / COVERAGE / file for file, _ in WRITTEN.values())))
    return digest([str(out), sha256_of(manifest) if manifest.is_file() else "", [str(path) for path in files]])


# --- the views ---

CALLS = "calls*.parquet"
"""Under OUT/steps: the calls of all parts of a cohort in one file, for thousands take long to open."""


def _create(con: duckdb.DuckDBPyConnection, out: Path, prefix: str) -> None:
    for name, sql in _views(out).items():
        con.execute(f"CREATE VIEW {prefix}{name} AS {sql}")


def _views(out: Path) -> dict[str, str]:
    calls = _calls(out)
    views = {kind: _of_steps(out, kind) for kind in ("kept", "dropped", "unanswered", "verdicts")}
    written = {view: out / COVERAGE / file for view, (file, _) in WRITTEN.items()}
    views |= {view: _scan([_unglobbed(str(path))]) if path.is_file() else _empty(view) for view, path in written.items()}
    return views | {"rows": _released(out), "calls": calls, "costs": COSTS.format(once=once("key, step", f"({calls})"))}


def _calls(out: Path) -> str:
    """With every column, also where an earlier datagen wrote fewer."""
    empty = _empty("calls")
    files = [_unglobbed(str(path)) for path in _call_files(out)]
    return f"{_scan(files)} UNION ALL BY NAME ({empty})" if files else empty


def _call_files(out: Path) -> list[Path]:
    return sorted((out / "steps").glob(CALLS))


def _folders(out: Path) -> list[Path]:
    """steps/NN-name/<kind>, where there is at least one part."""
    kinds = ("kept", "dropped", "unanswered", "verdicts")
    return [path for path in sorted((out / "steps").glob("*/*")) if path.name in kinds and any(path.glob("*.parquet"))]


def _of_steps(out: Path, kind: str) -> str:
    scans = []
    for folder in (path for path in _folders(out) if path.name == kind):
        step = _quoted(folder.parent.name.partition("-")[2])
        scan = _scan([_unglobbed(str(folder)) + "/*.parquet"], alike=True)
        scans.append(scan if kind == "verdicts" else f"SELECT {step} AS step, * FROM ({scan})")
    if scans and kind == "verdicts":  # with every column, also where an earlier datagen wrote fewer
        scans.append(f"({_empty(kind)})")
    return " UNION ALL BY NAME ".join(scans) or _empty(kind)


def _released(out: Path) -> str:
    """All rows of the newest major version: a trainer's view, older majors beside it are left alone."""
    files = [str(out / file["path"]) for entry in current(read_json(out / "manifest.json") or {}) for file in entry["files"]]
    return _scan([_unglobbed(name) for name in files]) if files else _empty("rows")


def current(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The releases of the newest major version, oldest first."""
    releases: list[Mapping[str, Any]] = manifest.get("releases", [])
    newest = releases[-1]["version"].split(".")[0] if releases else ""
    return [entry for entry in releases if entry["version"].split(".")[0] == newest]


def _scan(patterns: Sequence[str], alike: bool = False) -> str:
    """`alike`: the first file speaks for all, so that not thousands are opened to learn their columns. hive_partitioning is off: a folder
    of the user's called `run=3` is no column."""
    names = ", ".join(_quoted(name) for name in patterns)
    return f"SELECT * FROM read_parquet([{names}], union_by_name={'false' if alike else 'true'}, hive_partitioning=false)"


def _empty(kind: str) -> str:
    return f"SELECT {', '.join(f'CAST(NULL AS {type_}) AS {name}' for name, type_ in COLUMNS[kind].items())} WHERE false"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _unglobbed(path: str) -> str:
    """The path with the signs that read_parquet would expand made plain."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in path)
