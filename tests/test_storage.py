"""A file is complete when it has its name; rows come back as they went."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.errors import SetupError
from datagen.records import Row
from datagen.storage import concat_tables, read_json, read_rows, read_table, replacing, row_of, row_record, write_json, write_rows, write_table

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
