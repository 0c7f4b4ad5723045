"""Recipes: names and parameters are checked with the line they stand on, and the shipped ones build."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from datagen.errors import SpecError
from datagen.operators.datatrove import Datatrove
from datagen.operators.language import _CODES, _scores
from datagen.operators.recipe import Recipe

FILTERS = Path(__file__).resolve().parents[1] / "filters"


class Loader(yaml.SafeLoader):
    """YAML in which `on` is a word: version 1.1 reads it as true."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        sign: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:bool"]
        for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


def read(text: str) -> list[Any]:
    return list(yaml.load(text, Loader))


def build(*items: Any, on: str | None = None) -> Recipe:
    return Recipe.build(items, lambda index: f"filters/x.yaml:{index + 3}", on)


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"lenght": None}, "filters/x.yaml:3: unknown operator 'lenght'; did you mean 'length'? known: answer_leak, arithmetic, code, "),
        ({"length": {"min_word": 5}}, "filters/x.yaml:3: length: unknown parameter 'min_word'; did you mean 'min_words'? known: "),
        (
            {"length": {"min_words": "many"}},
            "filters/x.yaml:3: length: min_words: Input should be a valid integer, unable to parse string as an integer, found 'many'",
        ),
        ({"length": {"min_words": 9, "max_words": 3}}, "filters/x.yaml:3: length: min_words is 9, above max_words 3: nothing could be kept"),
        ({"length": 5}, "filters/x.yaml:3: length: parameters are `name: value` pairs, found 5; known: max_chars"),
        ({"length": None, "pii": None}, "filters/x.yaml:3: a recipe's line is one operator with its parameters"),
        ("length", "filters/x.yaml:3: a recipe's line is one operator with its parameters"),
        ({"language": {"keep": ["english"]}}, "filters/x.yaml:3: language: keep: unknown language 'english'; ISO 639-1 codes"),
        ({"score": {"at_least": None}}, "filters/x.yaml:3: score: score needs at_least or at_most"),
        ({"score": {"at_least": float("nan")}}, "filters/x.yaml:3: score: at_least: Input should be a finite number, found nan"),
        (
            {"reading_level": {"bands": {"child": [float("nan"), 5]}}},
            "filters/x.yaml:3: reading_level: bands.child.0: Input should be a finite number, found nan",
        ),
        ({"pii": {"at_most": -1}}, "filters/x.yaml:3: pii: at_most: Input should be greater than or equal to 0, found -1"),
        ({"pii": {"kinds": ["mail"]}}, "filters/x.yaml:3: pii: kinds.0: Input should be 'email', 'phone'"),
        (
            {"datatrove": {"block": "LanguageFilter"}},
            "filters/x.yaml:3: datatrove: LanguageFilter downloads a fastText model at run time, which no operator may do; use the operator",
        ),
        (
            {"datatrove": {"block": "GopherFilter"}},
            "filters/x.yaml:3: datatrove: unknown block 'GopherFilter'; did you mean 'GopherQualityFilter'? known: C4",
        ),
        ({"datatrove": {"block": "RegexFilter"}}, "filters/x.yaml:3: datatrove: RegexFilter does not take these parameters"),
        (
            {"datatrove": {"dup_line_fraction": 0.1}},
            "filters/x.yaml:3: datatrove: GopherRepetitionFilter has no parameter 'dup_line_fraction'; did you mean 'dup_line_frac'?",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_is_known(item: Any, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        build(item)
    assert str(caught.value).startswith(told), str(caught.value)


def test_the_steps_field_goes_to_operators_that_name_none() -> None:
    recipe = build({"length": None}, {"length": {"on": "title", "min_words": 1}}, {"score": {"at_least": 3}}, on="section")
    assert recipe.reads() == {"section", "title", "score"}
    found = recipe.judge({"section": "one two three four five", "title": "", "score": 2})
    assert [(name, finding.keep, finding.reason) for name, _, finding in found] == [
        ("length", True, ""),
        ("length", False, "too_short"),
        ("score", False, "score_too_low"),
    ]


def test_what_a_claim_writes_is_seen_below_it_and_not_asked_of_the_row() -> None:
    recipe = build({"math": {"on": "solution", "gold": None}}, {"length": {"on": "final_answer", "min_words": 1, "max_words": 1}})
    assert recipe.reads() == {"solution"}
    assert [finding.keep for *_, finding in recipe.judge({"solution": "#### 1,200"})] == [True, True]


def test_identity_covers_every_value_and_is_plain_json() -> None:
    plain, other = build({"length": None}), build({"length": {"min_words": 6}})
    assert json.loads(json.dumps(plain.identity())) == plain.identity()
    assert plain.identity() != other.identity()
    assert plain.identity() == build({"length": {"min_words": 5}}).identity()
    assert set(plain.identity()[0]) == {"operator", "version", "params"}
    assert plain.identity()[0]["params"]["max_words"] is None


@pytest.mark.parametrize("path", sorted(FILTERS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_recipe_builds_pickles_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert "hreshold" in text or path.stem == "web"
    if path.stem == "web":
        pytest.importorskip("datatrove.pipeline.filters")
    recipe = build(*read(text))
    copy = pickle.loads(pickle.dumps(recipe))
    row: Mapping[str, Any] = {"text": "A sentence about water and the plants that drink it."}
    assert copy.judge(row) == recipe.judge(row)
    assert recipe.reads() == {"text"}


def test_the_example_in_the_readme_builds() -> None:
    lines = (FILTERS / "README.md").read_text(encoding="utf-8").splitlines()
    example = read("\n".join(line[4:] for line in lines if line.startswith("    ")))
    assert [next(iter(item)) for item in example] == ["length", "language", "repetition", "score"]
    assert build(*example, on="poem").reads() == {"poem", "grade"}


def test_what_datatroves_filters_rewrite_stays_away_from_the_row() -> None:
    pytest.importorskip("datatrove.pipeline.filters")
    text = "This line ends well and has words.\nthis one has no stop\n" * 4
    fields = {"text": text}
    finding = Datatrove(block="C4QualityFilter", min_num_sentences=1).judge(fields)  # type: ignore[call-arg]
    assert finding.keep
    assert fields == {"text": text}


def test_every_language_that_can_be_named_can_be_told() -> None:
    assert set(_scores("The water is cold.")) >= _CODES
