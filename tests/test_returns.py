"""What an ask returns: words to a schema, an answer to fields, and nothing a teacher says may break the line."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.errors import SpecError
from datagen.spec.returns import Malformed, instruction, parse, schema_of

RETURNS = {
    "text": "str", "score": {"int": [1, 5]}, "share": {"float": [0, 1]}, "sure": "bool", "kind": {"one_of": ["a", "b"]},
    "parts": {"list": {"object": {"title": "str", "words": "int"}}, "at_most": 3},
}  # fmt: skip
GOOD = {"text": "t", "score": 3, "share": 0.5, "sure": True, "kind": "a", "parts": [{"title": "x", "words": 2}]}


def test_words_become_a_schema_with_every_field_required_and_every_list_bounded() -> None:
    schema = schema_of(RETURNS, "here")
    assert schema["required"] == list(RETURNS) and schema["additionalProperties"] is False
    assert schema["properties"]["score"] == {"type": "integer", "minimum": 1, "maximum": 5}
    assert schema["properties"]["kind"] == {"enum": ["a", "b"]}
    assert schema["properties"]["parts"]["maxItems"] == 3 and schema["properties"]["parts"]["items"]["required"] == ["title", "words"]
    assert json.dumps(schema) in instruction(schema)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("string", "unknown kind 'string'; did you mean 'str'"),
        ("list", "a bound: {list: str, at_most: 8}"),
        ({"list": "str"}, "needs a bound, else no price"),
        ({"list": "str", "at_most": 0}, "needs a bound"),
        ({"list": "str", "at_most": True}, "needs a bound"),
        ({"list": {"list": "str"}, "at_most": 2}, "needs a bound"),
        ({"list": "str", "at_most": 2, "at_least": 1}, "unknown key 'at_least'"),
        ({"int": 5}, "[lowest, highest]"),
        ({"int": [5, 1]}, "no answer can meet"),
        ({"int": ["a", "b"]}, "[lowest, highest]"),
        ({"one_of": []}, "needs a list of values"),
        ({"one_of": "ab"}, "needs a list of values"),
        ({"object": "str"}, "object takes its fields"),
        ({"object": {}}, "object takes its fields"),
        (None, "expected one of str, int"),
        (5, "expected one of str, int"),
        ({"int": [1, 2], "float": [1, 2]}, "unknown key"),
    ],
)
def test_a_word_that_is_not_known_is_refused_with_its_place(word: Any, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        schema_of({"a": word}, "s.yaml:7")
    assert str(caught.value).startswith("s.yaml:7: returns.a") and told in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        json.dumps(GOOD, indent=2),
        "```json\n" + json.dumps(GOOD) + "\n```",
        "```\n" + json.dumps(GOOD) + "\n```\n",
        "Here you are:\n" + json.dumps(GOOD) + "\nI hope that helps.",
        json.dumps(GOOD)[:-1] + ", }",
        json.dumps(GOOD | {"score": "3", "share": "0.5"}),
        json.dumps(GOOD | {"score": 3.0, "extra": "is left out"}),
    ],
)
def test_an_answer_is_read_for_what_it_means(text: str) -> None:
    assert parse(schema_of(RETURNS, ""), text) == GOOD


def test_a_list_is_cut_at_its_bound_and_line_breaks_in_text_are_kept() -> None:
    schema = schema_of({"items": {"list": "str", "at_most": 2}, "text": "str"}, "")
    assert parse(schema, '{"items": ["a", "b", "c"], "text": "one\ntwo"}') == {"items": ["a", "b"], "text": "one\ntwo"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"score": 6}, "score must lie between 1 and 5, found 6"),
        ({"score": 2.5}, "score must be of type integer"),
        ({"score": True}, "score must be of type integer"),
        ({"score": "many"}, "score must be a number"),
        ({"sure": "yes"}, "sure must be of type boolean"),
        ({"kind": "c"}, "kind must be one of"),
        ({"text": None}, "text must be of type string"),
        ({"text": ["t"]}, "text must be of type string"),
        ({"parts": "none"}, "parts must be a list"),
        ({"parts": [{"title": "x"}]}, r"parts[0].words must be of type integer"),
        ({"parts": ["x"]}, "parts[0] must be an object"),
        ({"share": math.nan}, "share must be a finite number"),
        ({"share": "inf"}, "share must be a finite number"),
    ],
)
def test_an_answer_that_does_not_fit_says_why(change: dict[str, Any], told: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(schema_of(RETURNS, ""), json.dumps(GOOD | change))
    assert told in str(caught.value)


@pytest.mark.parametrize("text", ["", "no", "[1]", '"text"', "{", '{"x": 1', "null", '{"x":' * 50_000, '{"x": NaN}', '{"x": 1e999}', "{}"])
def test_odd_answers_are_malformed_and_nothing_else(text: str) -> None:
    with pytest.raises(Malformed):
        parse(schema_of({"x": "float"}, ""), text)


def test_text_that_no_file_can_hold_is_made_whole() -> None:
    found = parse(schema_of({"x": "str", "y": {"list": "str", "at_most": 1}}, ""), '{"x": "a\\ud83d b", "y": ["\\udc00"]}')
    assert found == {"x": "a\ufffd b", "y": ["\ufffd"]}


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*RETURNS]), inner),
    ).map(json.dumps)
)
def test_whatever_is_said_gives_fields_that_fit_or_malformed(text: str) -> None:
    schema = schema_of(RETURNS, "")
    try:
        found = parse(schema, text)
    except Malformed:
        return
    assert parse(schema, json.dumps(found)) == found and list(found) == list(RETURNS)
