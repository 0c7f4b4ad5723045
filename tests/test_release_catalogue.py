"""The catalogue: SQL over OUT from anywhere, readable by old clients, rebuilt when OUT has moved."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from out_fixture import RELEASE, build_out, facts_of, released_out

from datagen.errors import OutputError, SpecError
from datagen.release.catalogue import COLUMNS, build_catalogue, connect, held_open, query
from datagen.release.shards import publish
from datagen.storage import read_json, read_table, write_json


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("it's [odd] k=v") / "out"
    released_out(path)
    build_catalogue(path)
    return path


def count(out: Path, view: str) -> int:
    return int(query(out, f"SELECT count(*) FROM {view}")[1][0][0])


def test_views_hold_what_the_steps_hold(out: Path) -> None:
    steps = [read_json(path) for path in sorted(out.glob("steps/*/manifest.json"))]
    assert count(out, "kept") == sum(step["kept"] for step in steps)
    assert count(out, "dropped") == sum(n for step in steps for reasons in step["dropped"].values() for n in reasons.values()) > 0
    assert count(out, "unanswered") == sum(n for step in steps for n in step["unanswered"].values()) > 0
    assert count(out, "calls") == len(read_table(out / "steps" / "calls.parquet"))
    assert count(out, "rows") == read_json(out / "manifest.json")["releases"][0]["rows"]
    assert query(out, "SELECT DISTINCT step FROM dropped ORDER BY 1")[1] == [("best",), ("clear",), ("right",), ("unique",)]
    assert json.loads(query(out, "SELECT fields FROM dropped LIMIT 1")[1][0][0])["question"]


@pytest.mark.parametrize("view", list(COLUMNS))
def test_a_missing_kind_has_the_columns_of_a_present_one(out: Path, tmp_path: Path, view: str) -> None:
    (tmp_path / "steps").mkdir()
    assert count(tmp_path, view) == 0
    empty = dict(query(tmp_path, f"SELECT column_name, column_type FROM (DESCRIBE {view})")[1])
    full = dict(query(out, f"SELECT column_name, column_type FROM (DESCRIBE {view})")[1])
    assert empty.items() <= full.items()
    assert view == "rows" or empty.keys() == full.keys()


def test_a_user_folder_like_a_partition_is_no_column(out: Path) -> None:
    assert "k" not in query(out, "SELECT * FROM rows LIMIT 1")[0]


def test_costs_add_up(out: Path) -> None:
    calls = read_table(out / "steps" / "calls.parquet")
    _, rows = query(out, "SELECT step, answers, asked, cost_usd FROM costs ORDER BY step")
    assert [row[0] for row in rows] == ["grade", "question", "solution"]
    assert sum(row[1] for row in rows) == len(calls)
    assert sum(row[2] for row in rows) == sum(call["asked"] for call in calls)
    assert sum(row[3] for row in rows) == pytest.approx(sum(call["cost_usd"] for call in calls))


def test_it_opens_from_any_folder(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert count(Path(os.path.relpath(out)), "rows") > 0


def test_an_out_that_moved_is_catalogued_anew(tmp_path: Path) -> None:
    released_out(tmp_path / "here", 20)
    build_catalogue(tmp_path / "here")
    rows = count(tmp_path / "here", "rows")
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert count(tmp_path / "there", "rows") == rows


def test_rows_are_those_of_the_newest_major_version(tmp_path: Path) -> None:
    rows = build_out(tmp_path, 20)
    for version, chosen in (((1, 0), rows), ((2, 0), rows[:5]), ((2, 1), rows[5:9])):
        previous = read_json(tmp_path / "manifest.json")
        publish(tmp_path, [chosen], release=RELEASE, name="maths-demo", version=version, facts=facts_of, previous=previous)
        wanted = {"(1, 0)": len(rows), "(2, 0)": 5, "(2, 1)": 9}[str(version)]
        assert count(tmp_path, "rows") == wanted, "a stale catalogue would show the release before"


def test_a_broken_or_missing_file_is_made_again(tmp_path: Path) -> None:
    released_out(tmp_path, 20)
    (tmp_path / "catalog.duckdb").write_bytes(b"no database")
    assert count(tmp_path, "rows") > 0
    (tmp_path / "catalog.duckdb").unlink()
    with connect(tmp_path) as con:
        assert con.execute("SELECT count(*) FROM rows").fetchall()
    assert (tmp_path / "catalog.duckdb").is_file()


def test_reading_only(out: Path) -> None:
    with pytest.raises(SpecError, match="read-only"):
        query(out, "CREATE TABLE mine AS SELECT 1")


def test_wrong_sql_names_the_views(out: Path) -> None:
    with pytest.raises(SpecError, match="views: calls, costs, coverage, coverage_steps, diversity, dropped, kept"):
        query(out, "SELECT * FROM lost")


def test_parameters_are_bound(out: Path) -> None:
    assert query(out, "SELECT count(*) FROM kept WHERE step = ?", ["x' OR '1'='1"])[1] == [(0,)]


def test_nothing_built(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nothing has been built"):
        query(tmp_path, "SELECT 1")


def test_a_file_where_nothing_may_be_written_is_no_hindrance(tmp_path: Path) -> None:
    released_out(tmp_path, 20)
    (tmp_path / "catalog.duckdb").mkdir()  # neither readable as a database nor replaceable by a file
    assert count(tmp_path, "rows") > 0


def test_a_manifest_alone_is_enough(tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", {"releases": []})
    assert count(tmp_path, "rows") == count(tmp_path, "costs") == 0


@pytest.mark.skipif(not os.environ.get("DATAGEN_DUCKDB14"), reason="needs $DATAGEN_DUCKDB14: a python that has duckdb 1.4")
def test_a_1_4_client_reads_it(out: Path) -> None:
    code = (
        "import duckdb, sys; assert duckdb.__version__.startswith('1.4'); con = duckdb.connect(sys.argv[1], read_only=True)\n"
        "for view in sys.argv[2:]: print(con.execute(f'SELECT count(*) FROM {view}').fetchall()[0][0])"
    )
    views = [*COLUMNS, "costs"]
    python = os.environ["DATAGEN_DUCKDB14"]
    done = subprocess.run([python, "-c", code, str(out / "catalog.duckdb"), *views], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [int(line) for line in done.stdout.split()] == [count(out, view) for view in views]


def test_a_query_that_needs_more_than_a_build_allows_gets_it(out: Path) -> None:
    """A text of many megabytes must not end a build at its report."""
    with held_open(out):
        _, [(limit,)] = query(out, "SELECT current_setting('memory_limit')")
        _, [(length,)] = query(out, "SELECT length(max(text)) FROM (SELECT string_agg(repeat('x', 1_000_000), '') AS text FROM range(100))")
    assert length == 100_000_000 and limit.endswith("MiB")
