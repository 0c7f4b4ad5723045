"""Recipes held against labelled rows: what is counted, what is written beside the recipe, and when a card may quote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from teaching import made, project

from datagen.cli import cli
from datagen.curating.bench import ALL, MADE_FOR, bench
from datagen.errors import SeedError, SetupError, SpecError
from datagen.operators.recipe import Recipe
from datagen.plan.files import items_of
from datagen.release.measured.benched import benched
from datagen.spec.library import SHIPPED
from datagen.spec.reading import read_yaml
from datagen.storage import read_json

RECIPE = "- length: {min_words: 4}\n- refusal: {}\n- score: {at_least: 3}\n"
ROWS = [
    {"answer": "Water boils at a hundred degrees at the sea.", "label": "good"},
    {"answer": "Too short.", "label": "good"},
    {"answer": "I'm sorry, but I can't help with that request.", "label": "bad:refusal"},
    {"answer": "The stone falls until the ground holds it up.", "label": "bad:dull"},
]


def folder_of(tmp_path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    (tmp_path / "filters").mkdir(exist_ok=True)
    (tmp_path / "filters" / "mine.yaml").write_text(RECIPE)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def run(folder: Path, *sets: str, take: int = 100) -> list[str]:
    return list(bench(str(folder / "filters" / "mine.yaml"), sets, take, None))


def test_good_drops_and_bad_finds_are_counted_for_each_operator_and_for_all(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    lines = run(folder, f"own={folder / 'rows.jsonl'}:answer")
    table = read_json(folder / "filters" / "mine.bench.json")
    length, refusal, every = (table["operators"][name] for name in ("length", "refusal", ALL))
    assert (length["all_good"]["found"], length["all_good"]["of"]) == (1, 2) and length["bad"]["refusal"]["found"] == 0
    assert (refusal["bad"]["refusal"]["found"], refusal["bad"]["dull"]["found"], refusal["all_good"]["found"]) == (1, 0, 0)
    assert every["good"]["own"]["found"] == 1 and every["bad"]["refusal"]["share"] == 1.0 and every["bad"]["dull"]["share"] == 0.0
    assert "Too short." not in (folder / "filters" / "mine.bench.json").read_text() and any("Too short." in line for line in lines)
    assert table["not_measured"] == ["score"] and "score" not in table["operators"]
    assert any("length" in line and "1 of 2 = 50.00 %" in line for line in lines) and any("not measured" in line for line in lines)
    run(folder, f"own={folder / 'rows.jsonl'}:answer")
    assert read_json(folder / "filters" / "mine.bench.json") == table


@pytest.mark.parametrize(
    ("rows", "field", "told"),
    [
        ([{"answer": "a", "label": "bad"}], "answer", r"rows\.jsonl:1: the label is 'bad'; write good, or bad:KIND"),
        ([{"answer": "a"}, {"answer": 3}], "answer", r"rows\.jsonl:2: answer is no text"),
        ([{"answer": "a"}], "anser", r"rows\.jsonl:1: no field 'anser'; did you mean 'answer'"),
        ([], "answer", "there is no row in it"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_with_its_line(tmp_path: Path, rows: list[dict[str, Any]], field: str, told: str) -> None:
    folder = folder_of(tmp_path, rows)
    with pytest.raises(SeedError, match=told):
        run(folder, f"own={folder / 'rows.jsonl'}:{field}")


def test_names_that_are_not_there_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path)
    with pytest.raises(SpecError, match="did you mean 'gsm8k'"):
        run(folder, "gsm8")
    monkeypatch.delenv("DATAGEN_SHARED", raising=False)
    with pytest.raises(SetupError, match="DATAGEN_SHARED"):
        run(folder)
    with pytest.raises(SpecError, match=r"no filter recipe 'rationales' in .*; did you mean 'rationale'"):
        list(bench("rationales", (), 10, None))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--shipped", "rationale", "--on", "gsm8k"], "say it without a recipe, --on"),
        (["rationale", "--on", "own={rows}:answer", "--on", "own={rows}:answer"], "the set 'own' is named twice"),
        (["rationale", "--on", "={rows}:answer"], "the set has no name"),
    ],
)
def test_what_would_be_passed_over_is_refused(tmp_path: Path, words: list[str], told: str) -> None:
    rows = folder_of(tmp_path) / "rows.jsonl"
    with pytest.raises((click.UsageError, SpecError), match=told):
        cli(["bench-filters", *(word.format(rows=rows) for word in words)], standalone_mode=False)


def test_sets_of_ones_own_do_not_replace_the_table_of_a_recipe_that_ships(tmp_path: Path) -> None:
    folder, place = folder_of(tmp_path), SHIPPED / "filters" / "web.bench.json"
    before = place.read_bytes() if place.is_file() else None
    lines = list(bench("web", [f"own={folder / 'rows.jsonl'}:answer"], 100, None))
    assert (place.read_bytes() if place.is_file() else None) == before and "not written: web.bench.json" in lines[-1]
    (tmp_path / "filters" / "web.yaml").write_text(RECIPE)
    assert list(bench("web", [f"own={folder / 'rows.jsonl'}:answer"], 100, tmp_path))[-1] == f"written to {tmp_path / 'filters' / 'web.bench.json'}"


def test_a_card_quotes_the_table_of_the_very_recipe_and_of_no_other(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "filters" / "mine.yaml").write_text(RECIPE.replace("- score: {at_least: 3}\n", ""))
    run(folder, f"own={folder / 'rows.jsonl'}:answer")
    steps, more = "  - {name: good, filter: mine, on: answer}", "release: {format: text, columns: {text: answer}}\nguard: {canaries: 0}"
    spec = project(folder, steps, {}, "{table: rows.jsonl}", more)
    assert "was measured on labelled rows (own 4)" in (made(spec, folder / "one").out / "README.md").read_text()
    (folder / "filters" / "mine.yaml").write_text("- length: {min_words: 3}\n- refusal: {}\n")
    assert "**in another version**" in (made(spec, folder / "two").out / "README.md").read_text()
    (folder / "filters" / "mine.bench.json").unlink()
    assert "was measured" not in (made(spec, folder / "three").out / "README.md").read_text()


def test_good_rows_are_damaged_where_that_is_asked_for(tmp_path: Path) -> None:
    told = "The stone falls until the ground holds it up, and the {} that lay on it rolls away down the hill to the river below."
    folder = folder_of(tmp_path, [{"answer": told.format(name)} for name in ("moss", "snow", "sand", "ball", "leaf")])
    list(bench(str(folder / "filters" / "mine.yaml"), [f"own={folder / 'rows.jsonl'}:answer"], 100, None, damaged=18))
    table = read_json(folder / "filters" / "mine.bench.json")
    assert [each["name"] for each in table["sets"]] == ["own", "own, damaged"]
    found = table["operators"]["refusal"]
    assert found["bad"]["refusal"]["share"] == 1.0 and found["bad"]["truncation"]["found"] == 0 and found["all_good"]["of"] == 5


@pytest.mark.parametrize("name", MADE_FOR)
def test_the_table_beside_a_shipped_recipe_is_of_the_recipe_as_it_is(name: str) -> None:
    """Else: `datagen bench-filters --shipped`, and look at what has changed."""
    path = SHIPPED / "filters" / f"{name}.yaml"
    written = read_yaml(path)
    table = benched(path, written.text, Recipe.build(items_of(written.value, name), lambda index: f"{name}:{index}"))
    assert table and table["present"], f"filters/{name}.bench.json is of another version: run `datagen bench-filters --shipped`"
    assert table["operators"][ALL]["all_good"]["share"] <= 0.02


@pytest.mark.real
def test_the_shipped_recipe_for_rationales_keeps_gold_answers(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAGEN_SHARED", str(shared))
    (tmp_path / "rationale.yaml").write_text((Path(__file__).parents[1] / "filters" / "rationale.yaml").read_text())
    list(bench(str(tmp_path / "rationale.yaml"), ["gsm8k"], 300, None))
    table = read_json(tmp_path / "rationale.bench.json")
    assert table["operators"][ALL]["all_good"]["of"] == 300 and table["operators"][ALL]["all_good"]["share"] <= 0.02
