"""A file is complete when it has its name; rows come back as they went."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.errors import SetupError
from datagen.records import Row
from datagen.storage import (
    ROW_GROUP,
    SortedLines,
    concat_tables,
    read_json,
    read_rows,
    read_table,
    replacing,
    row_of,
    row_record,
    seed_id,
    seed_line,
    seed_of,
    write_json,
    write_rows,
    write_table,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), VALUES, max_size=5))
def test_a_row_is_what_its_record_says(fields: dict[str, Any]) -> None:
    row = Row.of_seed(fields).child("s", 1, {"more": 1}).having({}, {"s": "k1:x"})
    assert row_of(row_record(row)) == row


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    rows = [Row.of_seed({"n": number, "text": "é\0\n😀" * number}) for number in range(50)]
    path = tmp_path / "deep" / "er" / "rows.parquet"
    write_rows(path, [row_record(row, score=row.fields["n"] / 2) for row in rows], score="float64")
    assert read_rows(path) == rows and [record["score"] for record in read_table(path)][:3] == [0.0, 0.5, 1.0]
    assert read_rows(tmp_path / "none.parquet") == []


def test_no_rows_are_a_file_too(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.parquet", [])
    assert read_rows(tmp_path / "rows.parquet") == [] and (tmp_path / "rows.parquet").exists()


def test_tables_of_one_schema_are_put_together(tmp_path: Path) -> None:
    for number in range(3):
        write_table(tmp_path / f"{number}.parquet", [{"a": number}] * number, {"a": "int64"})
    concat_tables([tmp_path / f"{number}.parquet" for number in range(3)], tmp_path / "all.parquet")
    assert [row["a"] for row in read_table(tmp_path / "all.parquet")] == [1, 2, 2]
    concat_tables([], tmp_path / "none.parquet")
    assert not (tmp_path / "none.parquet").exists()


def test_many_small_tables_become_a_few_row_groups(tmp_path: Path) -> None:
    write_table(tmp_path / "part.parquet", [{"a": number} for number in range(1_000)], {"a": "int64"})
    concat_tables([tmp_path / "part.parquet"] * 40, tmp_path / "all.parquet")
    with pq.ParquetFile(tmp_path / "all.parquet") as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    assert sum(sizes) == 40_000 and len(sizes) == 3 and max(sizes) < ROW_GROUP + 1_000


def test_writing_parquet_does_not_cost_pandas_and_does_not_hide_it(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    code = (
        "import sys; from pathlib import Path; from datagen.storage import write_table\n"
        "write_table(Path(sys.argv[1]), [{'a': 1}], {'a': 'int64'}); assert 'pandas' not in sys.modules; import pandas; assert pandas.DataFrame"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.parquet")], check=True)


# --- seeds as sorted lines ---


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES, max_size=4))
def test_a_seed_is_what_its_line_says(fields: dict[str, Any]) -> None:
    row = Row.of_seed(fields)
    line = seed_line(row)
    assert seed_of(line) == row and line.count(b"\n") == 1 and "r1:" + seed_id(line).hex() == row.id


@given(st.lists(st.binary(max_size=6).map(lambda text: text.replace(b"\n", b"") + b"\n"), max_size=200))
def test_lines_come_in_order_however_many_runs_they_took(tmp_path_factory: pytest.TempPathFactory, given: list[bytes]) -> None:
    class Small(SortedLines):
        HELD, RUNS = 20, 3

    folder = tmp_path_factory.getbasetemp()
    before = set(folder.iterdir())
    lines = Small(folder / "not" / "there")
    for line in given:
        lines.add(line)
    assert list(lines) == list(lines) == sorted(given)
    assert set(folder.iterdir()) == before, "what is spilled has no name, so a killed process leaves nothing"
    lines.close()
    assert list(lines) == []


def test_what_is_sorted_does_not_grow_with_its_lines(tmp_path: Path) -> None:
    class Small(SortedLines):
        HELD = 400_000

    def peak(count: int) -> int:
        tracemalloc.start()
        lines = Small(tmp_path)
        for number in range(count):
            lines.add(b"%040d\n" % (number * 7919 % count))
        assert sum(1 for _ in lines) == count
        lines.close()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(150_000) < 1.5 * peak(15_000)


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a.json") as beside:
        beside.write_text("half")
        raise ZeroDivisionError
    assert read_json(tmp_path / "a.json") == {"old": 1} and [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_process_killed_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": 1})
    code = (
        "import os, signal, sys; from pathlib import Path; from datagen.storage import replacing\n"
        "with replacing(Path(sys.argv[1])) as beside:\n"
        "    beside.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.json")], check=False)
    assert done.returncode == -9 and read_json(tmp_path / "a.json") == {"old": 1}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "a.json", Path("/proc/nowhere/a.json")):
        with pytest.raises(SetupError, match=f"cannot write {path}"):
            write_json(path, {})


def test_json_is_stable_and_missing_is_none(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": "é", "a": [1]})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n "a": [\n  1\n ],\n "b": "é"\n}\n'
    assert read_json(tmp_path / "b.json") is None and read_json(tmp_path / "a.json" / "c.json") is None
