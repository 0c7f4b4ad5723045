"""Where rows begin: lists crossed, tables, documents; stable when more are taken, and clear when they cannot be read."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from datagen.errors import SeedError, SpecError
from datagen.plan.sow import plain, sow
from datagen.seeds import SEEDS
from datagen.seeds.documents import passages
from datagen.seeds.grid import Grid
from datagen.spec.load import load_spec
from datagen.storage import seed_of


def rows(kind: str, params: Any, base: Path) -> Iterator[dict[str, Any]]:
    source = TypeAdapter(SEEDS.get(kind)).validate_python(params)
    return iter(source.rows(base, lambda name: [f"{name}-1", f"{name}-2"]))


def sown(folder: Path, seeds: str, limit: int | None = None) -> Any:
    path = folder / "s.yaml"
    path.write_text(f"name: s\nseeds: {seeds}\n")
    return sow(load_spec(str(path)), limit)


# --- grid ---


def test_a_grid_crosses_its_axes_and_takes_every_cell_equally_often() -> None:
    source = Grid({"a": ["x", "y", "z"], "b": [1, 2], "c": "lists/c"})
    taken = list(itertools.islice(source.rows(Path(), lambda name: ["p", "q"]), 30))
    cells = Counter((row["a"], row["b"], row["c"]) for row in taken)
    assert source.cells(lambda name: ["p", "q"]) == len(cells) == 12 and set(cells.values()) == {2, 3}
    assert {row["variant"] for row in taken[:12]} == {0} and {row["variant"] for row in taken[12:24]} == {1}
    assert len({tuple(row.values()) for row in taken}) == 30


def test_any_take_of_a_grid_is_spread_over_its_axes(tmp_path: Path) -> None:
    first = list(itertools.islice(rows("grid", {"a": list(range(10)), "b": list(range(10))}, tmp_path), 50))
    assert len({row["a"] for row in first}) >= 9 and len({row["b"] for row in first}) >= 9


def test_a_value_that_stands_twice_on_an_axis_counts_once(tmp_path: Path) -> None:
    found = sown(tmp_path, "{grid: {a: [x, x, y], b: [1, 1.0]}}")
    assert sorted(row.fields["a"] for row in found.rows()) == ["x", "y"] and found.read == 2


@pytest.mark.parametrize(("params", "told"), [({}, "no axis"), ({"a": []}, "the axis 'a' has no values")])
def test_a_grid_with_nothing_to_cross(tmp_path: Path, params: Any, told: str) -> None:
    with pytest.raises(SeedError, match=told):
        next(rows("grid", params, tmp_path))


# --- table ---

TABLE = [{"question": "6 x 7?", "answer": "42", "level": 1}, {"question": 'Größe, "quoted"\nand broken?', "answer": "", "level": 2}]


def write(folder: Path, name: str) -> None:
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(TABLE), folder / name)
    elif name.endswith(".jsonl"):
        (folder / name).write_text("\n".join(json.dumps(row) for row in TABLE) + "\n\n")
    else:
        lines = ["question,answer,level", "6 x 7?,42,1", '"Größe, ""quoted""\nand broken?",,2']
        (folder / name).write_text("\ufeff" + "\r\n".join(lines) + "\r\n", newline="")


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "csv"])
def test_a_table_in_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, f"t.{suffix}")
    wanted = [{name: str(value) for name, value in row.items()} if suffix == "csv" else row for row in TABLE]
    assert list(rows("table", f"t.{suffix}", tmp_path)) == wanted
    assert list(rows("table", {"path": str(tmp_path / f"t.{suffix}"), "columns": ["answer"]}, Path("/"))) == [{"answer": "42"}, {"answer": ""}]


def test_a_glob_reads_its_files_in_order_of_name(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        (tmp_path / f"part-{number:03d}.jsonl").write_text(json.dumps({"n": number}))
    assert [row["n"] for row in rows("table", "part-*.jsonl", tmp_path)] == [1, 2, 10]


def test_a_table_of_another_file_system() -> None:
    import fsspec

    with fsspec.open("memory://seeds/t.jsonl", "wb") as file:
        file.write(b'{"n": 1}\n')
    assert list(rows("table", "memory://seeds/t.jsonl", Path("/nowhere"))) == [{"n": 1}]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("none.jsonl", None, "no such file"),
        ("none-*.jsonl", None, "no such file"),
        ("t.xlsx", b"x", "unknown kind of file '.xlsx'; known: .parquet, .jsonl, .csv"),
        ("t.jsonl", b'{"a": 1}\n{"a": \n', "t.jsonl:2: not valid JSON"),
        ("t.jsonl", b'{"a": 1}\n\n[1, 2]\n', "t.jsonl:3: expected an object of named values, found list"),
        ("t.jsonl", b'{"a": "\xff"}\n', "t.jsonl:1: not valid JSON"),
        ("t.parquet", b"not parquet at all", "t.parquet"),
        ("t.parquet", b"", "t.parquet"),
        ("t.csv", b"a,b\n1,2\n3\n", "t.csv:3: the row has not as many values"),
        ("t.csv", b"a,b\n1,2,3\n", "t.csv:2: the row has not as many values"),
        ("t.csv", b"a,b\n1,\xe4\n", "is not UTF-8 text"),
        ("t.csv", b"a,b\n1," + b"x" * 200_000 + b"\n", "t.csv:1: not readable as CSV"),
    ],
)
def test_a_table_that_cannot_be_read_says_where(tmp_path: Path, name: str, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SeedError) as caught:
        list(rows("table", name, tmp_path))
    assert told in str(caught.value)


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").mkdir()
    with pytest.raises(SeedError, match=r"t\.jsonl"):
        list(rows("table", "t.jsonl", tmp_path))


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "t.parquet")
    with pytest.raises(SeedError, match=r"row 0: no column 'qestion'; did you mean 'question'"):
        list(rows("table", {"path": "t.parquet", "columns": ["qestion"]}, tmp_path))


@pytest.mark.parametrize("params", [{}, {"path": "a", "hub": "b/c"}, {"path": "a", "colums": []}, 5])
def test_a_table_takes_one_place_and_no_unknown_word(tmp_path: Path, params: Any) -> None:
    with pytest.raises(ValidationError):
        rows("table", params, tmp_path)


# --- documents ---


def test_documents_are_cut_at_headings_and_to_the_budget(tmp_path: Path) -> None:
    body = " ".join(f"w{number}" for number in range(30))
    (tmp_path / "b.md").write_text(f"# One\n{body}\n\n{body}\n## Two #\n```\n# no heading\n\n{body}\n```\n# Three\nshort\n")
    (tmp_path / "a.txt").write_text(body)
    (tmp_path / "c.rst").write_text(body)
    found = list(rows("documents", {"path": ".", "words": 40, "at_least": 5}, tmp_path))
    assert [(row["source"], row["title"], row["position"]) for row in found] == [
        ("a.txt", "a", 0), ("b.md", "One", 0), ("b.md", "One", 1), ("b.md", "One > Two", 2),
    ]  # fmt: skip
    assert "# no heading" in found[3]["passage"] and found[1]["passage"] == body


@given(st.lists(st.integers(0, 90), max_size=8), st.integers(1, 40), st.integers(1, 20))
def test_no_passage_is_longer_than_asked_and_words_keep_their_order(sizes: list[int], words: int, at_least: int) -> None:
    counter = itertools.count()
    text = "\n\n".join(" ".join(f"w{next(counter)}" for _ in range(size)) for size in sizes)
    found = [passage.split() for _, passage in passages(text, words, at_least)]
    assert all(at_least <= len(passage) <= words for passage in found)
    order = [int(word[1:]) for passage in found for word in passage]
    assert order == sorted(set(order))
    if at_least == 1:
        assert len(order) == sum(sizes)


def test_no_documents(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match=r"no \.md or \.txt file there"):
        list(rows("documents", "nowhere/*.md", tmp_path))


# --- sow: seeds to rows ---


def test_more_seeds_are_the_same_ones_and_then_new_ones(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("".join(f'{{"n": {number}}}\n' for number in range(40)))
    for seeds in ("{grid: {a: [1, 2, 3], b: [x, y]}, take: %d}", "{table: t.jsonl, take: %d}"):
        few, many = (sown(tmp_path, seeds % take) for take in (7, 31))
        assert len(set(few.lines)) == 7 and set(few.lines) < set(many.lines) and len(set(many.lines)) == 31
        assert list(sown(tmp_path, seeds % 31, limit=7).lines) == list(few.lines)


def test_a_seed_that_stands_twice_is_one_row_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"a": 1, "b": 2}\n{"b": 2, "a": 1}\n{"a": 1, "b": 3}\n')
    found = sown(tmp_path, "{table: t.jsonl}")
    assert found.read == 3 and {seed_of(line).fields["b"]: times for line, times in found.seeds()} == {2: 2, 3: 1}


def test_prompts_may_use_what_every_seed_has(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"a": 1, "b": 2}\n{"a": 1}\n')
    assert sown(tmp_path, "{table: t.jsonl}").fields == {"a"}


def test_renaming(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"a": 1, "b": 2}\n')
    assert dict(next(sown(tmp_path, "{table: t.jsonl, rename: {a: question}}").rows()).fields) == {"question": 1, "b": 2}
    with pytest.raises(SeedError, match="table gives no field 'aa'; did you mean 'a'"):
        sown(tmp_path, "{table: t.jsonl, rename: {aa: question}}")


def test_further_seeds_are_taken_whole_beside_the_source(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"a": 7}\n{"a": 8}\n')
    seeds = "{grid: {x: [1, 2, 3]}, take: 2, rename: {x: a}, also: [t.jsonl, t.jsonl]}"
    assert sorted(row.fields["a"] for row in sown(tmp_path, seeds).rows())[-2:] == [7, 8] and sown(tmp_path, seeds).read == 2 + 2 * 2
    assert sown(tmp_path, seeds, limit=3).read == 3 and sown(tmp_path, seeds).fields == {"a"}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("tihn.jsonl", "", "no such file (looked at {base}/tihn.jsonl); did you mean 'thin.jsonl'? known: other.jsonl, thin.jsonl"),
        ("other.jsonl", '{"topic": "x"}', "must have the fields of the other seeds: it lacks 'audience'"),
        ("cells.jsonl", '{"topic": "x", "audience": "y", "rows": 3}', "must have the fields of the other seeds: it has besides 'rows'"),
    ],
)
def test_a_file_of_further_seeds_that_cannot_be_is_named_with_its_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / "thin.jsonl").write_text('{"topic": "x", "audience": "y", "variant": -1}\n')
    (tmp_path / "other.jsonl").write_text("")
    if text:
        (tmp_path / name).write_text(text + "\n")
    with pytest.raises(SeedError) as caught:
        sown(tmp_path, f"{{grid: {{topic: [a], audience: [b]}}, also: [thin.jsonl, {name}]}}")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/s.yaml:2: also: {name}") and told.format(base=tmp_path) in message, message


@pytest.mark.parametrize(
    ("seeds", "error", "told"),
    [
        ("{table: t.jsonl}", SeedError, "s.yaml:2: the seeds are empty"),
        ("{tabel: t.jsonl}", SpecError, "s.yaml:2: unknown seed source 'tabel'; did you mean 'table'"),
        ("{table: t.jsonl, grid: {a: [1]}}", SpecError, "exactly one source"),
        ("{table: {path: t.jsonl, colums: [a]}}", SpecError, "s.yaml:2: unknown key 'colums'"),
        ("{grid: {a: [1]}, also: [nowhere.jsonl]}", SeedError, "nowhere.jsonl"),
        ("{table: {}}", SpecError, "either a path or a hub data set"),
        ("{grid: [a, b]}", SpecError, "s.yaml:2"),
        ("{grid: {a: nowhere/list}}", SpecError, "no list 'nowhere/list'"),
        ("{documents: {path: '.', words: 0}}", SpecError, "greater than 0"),
    ],
)
def test_seeds_that_cannot_be(tmp_path: Path, seeds: str, error: type[Exception], told: str) -> None:
    (tmp_path / "t.jsonl").write_text("\n")
    with pytest.raises(error) as caught:
        sown(tmp_path, seeds)
    assert told in str(caught.value)


def test_values_of_foreign_tables_become_plain_json(tmp_path: Path) -> None:
    import datetime
    import decimal

    odd = [datetime.date(2024, 1, 2), decimal.Decimal("1.50"), float("nan"), b"\xffa", (1, {2: float("inf")}), "a\ud800", True, None]
    made = plain(odd)
    assert made == ["2024-01-02", "1.50", None, "\ufffda", [1, {"2": None}], "a\ufffd", True, None]
    json.dumps(made, allow_nan=False).encode("utf-8")
    table = pa.table({"when": [datetime.datetime(2024, 1, 2)], "list": [[1, None]], "text": ["x"], "score": [float("nan")]})
    pq.write_table(table, tmp_path / "t.parquet")
    fields = next(sown(tmp_path, "{table: t.parquet}").rows()).fields
    assert fields == {"when": "2024-01-02T00:00:00", "list": [1, None], "text": "x", "score": None}


def test_real_questions_are_read(tmp_path: Path, shared: Path) -> None:
    found = sorted((shared / "data").rglob("*.parquet"))
    assert found, "the shared data holds no Parquet"
    read = sown(tmp_path, json.dumps({"table": str(found[0])}), limit=50)
    ids = [row.id for row in read.rows()]
    assert 0 < read.read <= 50 and ids == sorted(set(ids))
