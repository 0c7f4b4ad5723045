"""Calls of tools: eight kinds of corruption are found, and a reference validator agrees on what a schema allows."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from datagen.operators.claims.tools import ToolCalls, faults

BOOK = {
    "type": "object",
    "required": ["title", "pages"],
    "properties": {
        "title": {"type": "string", "minLength": 1},
        "pages": {"type": "integer", "minimum": 1, "maximum": 5000},
        "kind": {"enum": ["novel", "play", 3]},
        "author": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "born": {"type": ["integer", "null"]}}},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        "price": {"anyOf": [{"type": "number"}, {"const": "free"}]},
    },
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "add_book", "parameters": BOOK}}, {"name": "count", "input_schema": {"type": "object"}}]
GOOD: dict[str, Any] = {
    "name": "add_book",
    "arguments": {
        "title": "Emma",
        "pages": 400,
        "kind": "novel",
        "author": {"name": "Jane Austen", "born": None},
        "tags": ["a", "b"],
        "price": "free",
    },
}


def reason(calls: Any, tools: Any = TOOLS) -> str:
    return ToolCalls().judge({"calls": calls, "tools": tools}).reason


@pytest.mark.parametrize("shape", [GOOD, [GOOD, {"name": "count", "arguments": {}}], json.dumps([GOOD]), f"```json\n{json.dumps(GOOD)}\n```"])
def test_good_calls_are_kept_in_every_form(shape: Any) -> None:
    assert reason(shape) == ""
    assert reason(shape, json.dumps(TOOLS)) == ""


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("name",), "add_boook", "unknown_tool"),
        (("arguments", "pages"), "400", "wrong_type"),
        (("arguments", "pages"), True, "wrong_type"),
        (("arguments", "title"), None, "wrong_type"),
        (("arguments", "title"), ..., "missing_argument"),
        (("arguments", "author", "name"), ..., "missing_argument"),
        (("arguments", "author", "name"), 5, "wrong_type"),
        (("arguments", "publisher"), "X", "unknown_argument"),
        (("arguments", "author", "wrote"), "X", "unknown_argument"),
        (("arguments", "kind"), "poem", "not_in_enum"),
        (("arguments", "pages"), 0, "out_of_range"),
        (("arguments", "tags"), ["a", 1], "wrong_type"),
        (("arguments", "tags"), ["a"] * 4, "out_of_range"),
        (("arguments", "price"), "cheap", "wrong_type"),
        (("arguments",), [1, 2], "wrong_type"),
        (("arguments",), "{", "not_json"),
    ],
)
def test_every_corruption_is_found_with_its_reason(path: tuple[str, ...], value: Any, why: str) -> None:
    call = deepcopy(GOOD)
    inner = call
    for name in path[:-1]:
        inner = inner[name]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    assert reason([GOOD, call]) == why


def test_arguments_in_another_order_or_with_their_values_exchanged() -> None:
    turned = dict(reversed(list(GOOD["arguments"].items())))
    assert reason({"name": "add_book", "arguments": turned}) == ""
    assert reason({"name": "add_book", "arguments": {**turned, "title": 400, "pages": "Emma"}}) == "wrong_type"


TREE = {
    "type": "object",
    "required": ["root"],
    "properties": {"root": {"$ref": "#/$defs/node"}, "colour": {"type": "string", "pattern": "^#[0-9a-f]{6}$"}, "step": {"multipleOf": 0.1}},
    "$defs": {"node": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "left": {"$ref": "#/$defs/node"}}}},
}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"root": {"name": "a", "left": {"name": "b"}}, "colour": "#00ff00", "step": 0.3}, ""),
        ({"root": {"name": "a", "left": {"name": 5}}}, "wrong_type"),
        ({"root": {"name": "a", "left": {"nane": "b"}}}, "missing_argument"),
        ({"root": {"name": "a", "right": {}}}, "unknown_argument"),
        ({"root": {"name": "a"}, "colour": "green"}, "not_allowed"),
        ({"root": {"name": "a"}, "step": 0.25}, "out_of_range"),
    ],
)
def test_a_schema_that_refers_to_itself(arguments: dict[str, Any], why: str) -> None:
    assert reason({"name": "plant", "arguments": arguments}, [{"name": "plant", "parameters": TREE}]) == why


def test_what_cannot_be_checked_is_told() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "https://example.org/a.json"}, "b": {"pattern": "(?<x"}}, "unevaluatedProperties": False}
    found = ToolCalls().judge({"calls": {"name": "t", "arguments": {"a": 1, "b": "x"}}, "tools": [{"name": "t", "parameters": schema}]})
    assert found.keep
    assert found.evidence == 'not checked: $ref https://example.org/a.json, pattern "(?<x", unevaluatedProperties'


def test_calls_that_must_be_there() -> None:
    assert ToolCalls(at_least=1).judge({"calls": "[]", "tools": TOOLS}).reason == "too_few_calls"
    assert reason("no call") == "not_json"
    assert reason("[1]") == "not_a_call"
    assert reason([GOOD], []) == "no_tools"


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 6), st.sampled_from([0.5, 2.0, "", "a", "abc"]))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pqr"), inner, max_size=3), max_leaves=8)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
SCHEMAS = st.recursive(
    st.one_of(
        st.builds(lambda kind: {"type": kind}, TYPES),
        st.builds(lambda values: {"enum": values}, st.lists(SCALARS, min_size=1, max_size=3)),
        st.builds(lambda low, high: {"minimum": low, "maximum": high}, st.integers(-3, 2), st.integers(2, 6)),
        st.builds(lambda low, high: {"minLength": low, "maxItems": high}, st.integers(0, 2), st.integers(0, 2)),
        st.sampled_from([{"pattern": "^a"}, {"multipleOf": 2}, {"uniqueItems": True}, {"$ref": "#/$defs/d"}, {"minProperties": 1}]),
    ),
    lambda inner: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(lambda first, items: {"prefixItems": [first], "items": items}, inner, inner),
        st.builds(lambda other: {"not": other}, inner),
        st.builds(lambda one, two, three: {"if": one, "then": two, "else": three}, inner, inner, inner),
        st.builds(lambda item: {"contains": item}, inner),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda options: {"oneOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda options: {"allOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda properties, required, others: {"type": "object", "properties": properties, "required": required, "additionalProperties": others},
            st.dictionaries(st.sampled_from("pqr"), inner, max_size=3),
            st.lists(st.sampled_from("pqr"), max_size=2, unique=True),
            st.booleans(),
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(value=VALUES, schema=SCHEMAS)
def test_a_reference_validator_agrees(value: Any, schema: dict[str, Any]) -> None:
    whole = {"type": "object", "properties": {"value": schema}, "additionalProperties": False, "$defs": {"d": {"type": "integer"}}}
    found = list(faults({"name": "t", "arguments": {"value": value}}, {"t": whole}, set()))
    assert (not found) == Draft202012Validator(whole).is_valid({"value": value}), (found, value, schema)


def test_the_reference_validator_has_both_kinds_to_agree_on() -> None:
    chance = random.Random(1)
    seen = {Draft202012Validator({"type": "integer"}).is_valid(chance.choice([1, "a"])) for _ in range(20)}
    assert seen == {True, False}
