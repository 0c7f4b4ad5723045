"""Types of released columns: inferred over all rows, kept by later releases."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.errors import OutputError
from datagen.release.schema import Kind, described, fit, holds, infer, widen


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "int64"),
        ([1, 2.5], "double"),
        ([True, None], "bool"),
        ([True, 1], "json"),
        (["a", None], "string"),
        (["a", 1], "json"),
        ([None], "null"),
        ([2**63], "json"),
        ([["a"], []], {"list": "string"}),
        ([[1], [2.0]], {"list": "double"}),
        ([[], []], "json"),
        ([["a"], "a"], "json"),
        ([[1, "a"]], "json"),
        ([{"a": 1}, {"b": "x"}], {"struct": {"a": "int64", "b": "string"}}),
        ([[{"a": 1}], [{"a": 2.0, "b": None}]], {"list": {"struct": {"a": "double", "b": "null"}}}),
        ([{"a": {"b": [1, "x"]}}], "json"),
        ([{}], "json"),
        ([{str(index): index for index in range(65)}], "json"),
    ],
)
def test_inferred(values: list[Any], kind: Any) -> None:
    assert infer({"x": value} for value in values) == {"x": kind}
    assert infer({"x": value} for value in reversed(values)) == {"x": kind}


def test_fit_completes_and_converts() -> None:
    schema = infer([{"a": 1.5, "b": {"c": 1, "d": "x"}, "e": [1, "x"], "f": None}])
    assert fit({"a": 2, "b": {"c": 3}, "e": {"y": 1}}, schema, "row r") == {"a": 2.0, "b": {"c": 3, "d": None}, "e": '{"y": 1}', "f": None}
    assert isinstance(fit({"a": 2}, schema, "row r")["a"], float)
    assert fit({"a": float("nan")}, schema, "row r")["a"] is None


def test_a_column_that_was_empty_takes_text_and_json() -> None:
    assert fit({"f": "plain"}, {"f": "null"}, "row r") == {"f": "plain"}
    assert fit({"f": [1]}, {"f": "null"}, "row r") == {"f": "[1]"}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("x", "int64"),
        (1.5, "int64"),
        (1, "string"),
        (True, "int64"),
        ({"b": 1}, {"struct": {"a": "int64"}}),
        ("x", {"list": "string"}),
        ([1], {"list": "string"}),
    ],
)
def test_conflicts_are_named(value: Any, kind: Any) -> None:
    with pytest.raises(OutputError, match=r"row r, column 'x' holds .* new major release"):
        fit({"x": value}, {"x": kind}, "row r")


def test_new_columns_are_named() -> None:
    with pytest.raises(OutputError, match="row r has the column 'y', which the earlier releases lack"):
        fit({"x": 1, "y": 1}, {"x": "int64"}, "row r")


def test_described() -> None:
    assert described({"list": {"struct": {"role": "string", "content": "string"}}}) == "list of struct(role, content)"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.sampled_from(["a", "b"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=4,
)


def seen(values: list[Any]) -> Kind:
    found: dict[str, Kind] = {}
    for value in values:
        widen(found, {"x": value})
    return found["x"]


@given(st.lists(VALUES, min_size=1, max_size=3), st.lists(VALUES, min_size=1, max_size=3))
def test_what_holds_for_a_type_fits_as_a_value(before: list[Any], after: list[Any]) -> None:
    """`holds` is asked before anything is paid; `fit` must not say otherwise afterwards."""
    schema = infer({"x": value} for value in before)
    if holds(schema["x"], seen(after)):
        for value in after:
            fit({"x": value}, schema, "row r")


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        ("int64", [3, None], True),
        ("int64", [0.5], False),
        ("double", [3], True),
        ("string", [3], False),
        ("json", [3, "a", {}], True),
        ({"list": "double"}, [[1], []], True),
        ({"list": "int64"}, [[0.5]], False),
        ({"struct": {"a": "int64"}}, [{"a": 1}], True),
        ({"struct": {"a": "int64"}}, [{"b": 1}], False),
        ({"struct": {"a": "int64"}}, [["a"]], False),
    ],
)
def test_what_a_column_takes(kind: Kind, values: list[Any], told: bool) -> None:
    assert holds(kind, seen(values)) is told
