"""Shards: the same rows give the same bytes, growth only adds, and nothing of the delivery leaks."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from out_fixture import RELEASE, build_out, facts_of, released_out

from datagen.errors import OutputError, SpecError
from datagen.records import Row
from datagen.release import columns
from datagen.release.columns import split_of, split_shares
from datagen.release.formats import FORMATS
from datagen.release.shards import Publication, publish
from datagen.spec.terms import Release
from datagen.storage import read_json, read_table, sha256_of, write_json


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shards") / "out"
    released_out(path)
    return path


def send(out: Path, rows: Iterable[Row], version: tuple[int, int] = (1, 0), release: Release = RELEASE, name: str = "maths-demo") -> Publication:
    previous = read_json(out / "manifest.json")
    return publish(out, [list(rows)], release=release, name=name, version=version, facts=facts_of, previous=previous)


def facts_free(row: Row) -> Any:
    return {}


def data(out: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted((out / "data").glob("*"))}


def released(out: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((out / "data").glob("*.parquet")) for row in read_table(path)]


def test_the_manifest_tells_the_truth(out: Path) -> None:
    manifest = read_json(out / "manifest.json")
    (entry,) = manifest["releases"]
    assert {file["path"]: file["sha256"] for file in entry["files"]} == {f"data/{name}": digest for name, digest in data(out).items()}
    assert entry["rows"] == len(released(out)) == sum(file["rows"] for file in entry["files"]) == sum(entry["splits"].values())
    assert set(entry["splits"]) == {"train", "validation"}
    assert manifest["cost"]["usd"] == pytest.approx(sum(call["cost_usd"] for call in read_table(out / "steps" / "calls.parquet")))
    assert [step["name"] for step in manifest["steps"]][:2] == ["question", "solution"]
    assert entry["fingerprint"] == manifest["plan_fingerprint"] == read_json(out / "plan.json")["fingerprint"]


def test_a_released_row(out: Path) -> None:
    manifest = read_json(out / "manifest.json")
    head = ["id", "seed_id", "group_id", "split", "task", "simulated", "question", "rationale", "answer", "reasoning", "teacher", "scores"]
    assert manifest["columns"] == [*head, "audience", "clarity", "losers", "math_correct", "number", "parts", "topic"]
    assert pq.read_schema(next((out / "data").glob("*"))).names == manifest["columns"]
    row = released(out)[0]
    assert row["task"] == "maths-demo" and row["simulated"] is False and row["scores"] == {"clarity": float(row["clarity"])}
    assert isinstance(row["losers"], list) and all(set(loser) == {"solution", "clarity"} for loser in row["losers"])
    assert "gold" not in row, "release.drop names it"


def test_shards_are_in_order_and_bounded(out: Path) -> None:
    for split in ("train", "validation"):
        shards = [read_table(path) for path in sorted((out / "data").glob(f"{split}-*"))]
        ids = [row["id"] for row in itertools.chain(*shards)]
        assert ids == sorted(ids)
        assert all(len(shard) == RELEASE.rows_per_shard for shard in shards[:-1])
        assert {row["split"] for row in itertools.chain(*shards)} == {split}


def test_the_order_of_parts_stays_and_within_one_ids_decide(tmp_path: Path) -> None:
    rows = [Row.of_seed({"text": f"{number}"}) for number in range(2_500)]
    parts = [rows[:900], rows[900:1000], [], rows[1000:]]
    made = publish(tmp_path, parts, release=Release(rows_per_shard=1_700), name="parts", version=(1, 0), facts=facts_free)
    assert [row["id"] for row in released(tmp_path)] == [row.id for part in parts for row in sorted(part, key=lambda row: row.id)]
    assert [file["rows"] for file in made.files] == [1_700, 800]
    groups = [pq.read_metadata(tmp_path / file["path"]) for file in made.files]
    assert [[each.row_group(number).num_rows for number in range(each.num_row_groups)] for each in groups] == [[1_000, 700], [800]]


def test_memory_holds_a_part_and_not_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "HELD", 1_000)

    class Parts:
        def __init__(self, count: int) -> None:
            self.count = count

        def __iter__(self) -> Iterator[list[Row]]:
            for part in range(self.count):
                yield [Row.of_seed({"text": f"{part} {number} " + "x" * 500}) for number in range(100)]

    def peak(count: int) -> int:
        tracemalloc.start()
        publish(tmp_path / str(count), Parts(count), release=Release(), name="many", version=(1, 0), facts=facts_free)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)  # what is imported on the way
    assert peak(80) < 1.3 * peak(20)


def test_same_rows_same_bytes_in_any_order_and_chunks(out: Path, tmp_path: Path) -> None:
    rows = build_out(tmp_path / "again")
    backwards = (row for chunk in (rows[7::-1], rows[:7:-1]) for row in chunk)
    send(tmp_path / "again", backwards)
    assert data(tmp_path / "again") == data(out)
    assert read_json(tmp_path / "again" / "manifest.json") == read_json(out / "manifest.json")


def test_building_again_changes_nothing(tmp_path: Path) -> None:
    rows = build_out(tmp_path)
    first = send(tmp_path, rows)
    before = data(tmp_path), (tmp_path / "manifest.json").read_bytes()
    next((tmp_path / "data").glob("train*")).unlink()
    (tmp_path / "data" / "train-v0001-00009.parquet").write_bytes(b"left by a build that was killed")
    (tmp_path / "data" / ".train-v0001-00009.parquet.tmp").write_bytes(b"left by a build that was killed")
    assert send(tmp_path, rows) == first
    assert (data(tmp_path), (tmp_path / "manifest.json").read_bytes()) == before


def test_other_rows_under_the_same_version_are_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    rows = build_out(tmp_path)
    send(tmp_path, rows)
    before = data(tmp_path)
    with pytest.raises(OutputError, match=r"1\.0 is out with other rows"):
        send(tmp_path, rows[1:])
    assert data(tmp_path) == before and not list((tmp_path / "data").glob(".*"))


@pytest.mark.parametrize("only_new", [True, False])
def test_growth_only_adds(tmp_path: Path, only_new: bool) -> None:
    rows = build_out(tmp_path)
    send(tmp_path, rows[:30])
    before = data(tmp_path)
    grown = send(tmp_path, rows[30:] if only_new else rows, (1, 1))
    assert grown.version == "1.1" and grown.rows == len(rows) - 30
    assert data(tmp_path).items() > before.items()
    assert all("-v0002-" in name for name in data(tmp_path).keys() - before.keys())
    assert {row["id"] for row in released(tmp_path)} == {row.id for row in rows}
    again = send(tmp_path, rows, (1, 1))
    assert again == grown, "building a minor release again is the same release"


def test_growth_without_new_rows_is_no_release(tmp_path: Path) -> None:
    rows = build_out(tmp_path)
    first = send(tmp_path, rows)
    assert send(tmp_path, rows, (1, 1)) == first
    assert [entry["version"] for entry in read_json(tmp_path / "manifest.json")["releases"]] == ["1.0"]


def test_a_released_row_never_changes_in_a_minor_release(tmp_path: Path) -> None:
    rows = build_out(tmp_path)
    send(tmp_path, rows[:30])
    changed = rows[0].having({"solution": "another text"})
    with pytest.raises(OutputError, match="is released and would change"):
        send(tmp_path, [changed, *rows[1:]], (1, 1))


def test_a_minor_release_keeps_the_types(tmp_path: Path) -> None:
    rows = build_out(tmp_path)
    send(tmp_path, rows[:30])
    with pytest.raises(OutputError, match="column 'number' holds 'many'"):
        send(tmp_path, [rows[40].having({"number": "many"})], (1, 1))
    with pytest.raises(OutputError, match="has the column 'extra'"):
        send(tmp_path, [rows[40].having({"extra": 1})], (1, 1))


def test_a_major_release_stands_beside_the_old(tmp_path: Path) -> None:
    rows = build_out(tmp_path)
    send(tmp_path, rows)
    before = data(tmp_path)
    second = send(tmp_path, [row.having({"solution": "rewritten", "extra": 1}) for row in rows], (2, 0))
    assert second.rows == len(rows)
    assert data(tmp_path).items() > before.items()
    assert "extra" in read_json(tmp_path / "manifest.json")["schema"]
    with pytest.raises(OutputError, match=r"release 2\.0 is out already"):
        send(tmp_path, rows, (1, 1))


def test_a_folder_belongs_to_one_spec_and_one_kind(tmp_path: Path) -> None:
    rows = build_out(tmp_path)
    send(tmp_path, rows[:30])
    with pytest.raises(OutputError, match="holds the releases of 'maths-demo', not of 'other'"):
        send(tmp_path, rows, (1, 1), name="other")
    write_json(tmp_path / "plan.json", read_json(tmp_path / "plan.json") | {"simulated": True})
    with pytest.raises(OutputError, match="simulated rows cannot join the real releases"):
        send(tmp_path, rows, (1, 1))


def test_fields_that_clash_keep_their_value_under_another_name(tmp_path: Path) -> None:
    row = Row.of_seed({"text": "shown", "id": 7, "task": "t", "draft": "gone", "write_reasoning": "apart", "split": "x"})
    publish(tmp_path, [[row]], release=Release(drop=["draft"]), name="clash", version=(1, 0), facts=facts_free)
    (found,) = released(tmp_path)
    assert (found["id"], found["source_id"], found["source_task"], found["source_split"]) == (row.id, 7, "t", "x")
    assert found["text"] == "shown" and "draft" not in found and "write_reasoning" not in found
    with pytest.raises(OutputError, match="would be the same column"):
        two = Row.of_seed({"text": "x", "id": 1, "source_id": 2})
        publish(tmp_path / "two", [[two]], release=Release(), name="clash", version=(1, 0), facts=facts_free)


def test_facts_may_be_a_mapping(tmp_path: Path) -> None:
    rows = [Row.of_seed({"text": text}) for text in ("a", "b")]
    known: Any = {rows[0].id: {"teacher": "m", "reasoning": "why", "scores": {"judge": 3, "none": None}}}
    publish(tmp_path, [rows], release=Release(), name="plain", version=(1, 0), facts=known)
    found = {row["text"]: row for row in released(tmp_path)}
    assert (found["a"]["teacher"], found["a"]["reasoning"], found["a"]["scores"]) == ("m", "why", {"judge": 3.0, "none": None})
    assert (found["b"]["teacher"], found["b"]["reasoning"], found["b"]["scores"]) == ("", "", None)
    assert found["b"]["group_id"] == rows[1].id


def test_one_row_can_give_several_records_or_none(tmp_path: Path) -> None:
    release = Release(format="preference")
    rows = [Row.of_seed({"prompt": "p", "chosen": "a", "rejected": rejected}) for rejected in (["b", "c"], [])]
    made = publish(tmp_path, [rows], release=release, name="pairs", version=(1, 0), facts=facts_free)
    assert (made.rows, made.without_output) == (2, 1)
    assert [row["id"] for row in released(tmp_path)] == [rows[0].id, f"{rows[0].id}-1"]


def test_the_same_row_twice_is_an_error(tmp_path: Path) -> None:
    row = Row.of_seed({"text": "x"})
    with pytest.raises(OutputError, match="two released rows have the id"):
        publish(tmp_path, [[row, row]], release=Release(), name="twice", version=(1, 0), facts=facts_free)


def test_irregular_fields_become_json(tmp_path: Path) -> None:
    rows = [Row.of_seed({"text": "x", "odd": odd}) for odd in (1, "one", {"a": [1, None]}, None)]
    publish(tmp_path, [rows], release=Release(), name="odd", version=(1, 0), facts=facts_free)
    assert sorted(json.dumps(json.loads(row["odd"])) for row in released(tmp_path) if row["odd"]) == ['"one"', "1", '{"a": [1, null]}']


def test_splits_follow_the_seed_alone() -> None:
    shares = split_shares({"validation": "10%", "test": 0.2})
    seeds = [Row.of_seed({"n": index}) for index in range(4000)]
    found = [split_of(seed.id, shares) for seed in seeds]
    assert abs(found.count("validation") / 4000 - 0.1) < 0.02
    assert abs(found.count("test") / 4000 - 0.2) < 0.02
    child = seeds[0].child("ask", 3, {"x": 1})
    assert split_of(child.seed, shares) == found[0]


@pytest.mark.parametrize("split", [{"validation": "1 in 10"}, {"validation": 1.5}, {"validation": "-1%"}, {"test": 0.5, "validation": "50%"}])
def test_bad_shares_are_explained(split: dict[str, str | float]) -> None:
    with pytest.raises(SpecError, match="share"):
        split_shares(split)


def test_a_field_that_is_null_is_told_with_its_row() -> None:
    row, form = Row.of_seed({"n": 3, "text": None}), FORMATS.get("text")()
    with pytest.raises(OutputError) as caught:
        list(columns._released(row, form, Release(), {}, "task", "train"))
    said = str(caught.value)
    assert said.startswith(f"row {row.id}: column 'text' of the release needs the field 'text', which is null (empty) there"), said
    assert "did you mean" not in said
