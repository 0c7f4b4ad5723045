"""Identity: what a row and a request are, whatever the order, the machine or the run; and what has no identity is refused."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.records import Outcome, Request, Row, canonical_json, digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    max_leaves=12,
)
REQUEST = Request(
    "openai", "", "m-1", (("system", "Be brief."), ("user", "6 x 7?")), {"max_tokens": 10, "temperature": 0.5}, {"type": "object"}, 2, 1
)


@given(JSON)
def test_canonical_form_is_json_that_says_the_same(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)


@given(JSON | st.floats(1e-6, 1e18) | st.floats(-1e18, -1e-6))
def test_the_fast_writer_spells_everything_as_the_slow_one(value: Any) -> None:
    """Keys of paid answers hang on it."""
    assert canonical_json(value) == json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@given(st.dictionaries(st.text(), st.integers(), max_size=6))
def test_the_order_of_keys_says_nothing(value: dict[str, int]) -> None:
    assert digest(value) == digest(dict(reversed(value.items())))


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, {"b": math.nan}]}, "value.a[1].b is nan"),
        ([math.inf], r"value\[0\] is inf"),
        ({"a": {1: 2}}, "value.a has the key 1 of type int"),
        ({"a": {1, 2}}, "value.a is a set"),
        (b"bytes", "value is a bytes"),
        ({"when": object()}, "value.when is a object"),
    ],
)
def test_what_has_no_stable_form_is_refused_by_place(value: Any, place: str) -> None:
    with pytest.raises(TypeError, match=place.replace("[1]", r"\[1\]")):
        canonical_json(value)


def test_kinds_that_look_alike_differ() -> None:
    assert len({digest(value) for value in (1, 1.0, "1", True, None, [], {}, [1], "", 0, False)}) == 11


@pytest.mark.parametrize(
    "change",
    [
        {"provider": "anthropic"},
        {"label": "http://127.0.0.1:8000"},
        {"model": "m-2"},
        {"messages": (("user", "6 x 7?"), ("system", "Be brief."))},
        {"messages": (("system", "Be brief."), ("user", "6 x 7? "))},
        {"params": {"max_tokens": 11, "temperature": 0.5}},
        {"params": {"max_tokens": 10}},
        {"schema": None},
        {"schema": {"type": "array"}},
        {"sample": 3},
        {"attempt": 0},
    ],
)
def test_everything_that_shapes_an_answer_is_in_the_key(change: dict[str, Any]) -> None:
    assert replace(REQUEST, **change).key != REQUEST.key


def test_a_key_is_derived_again_from_what_the_ledger_keeps() -> None:
    assert REQUEST.key == "k1:" + digest(json.loads(json.dumps(REQUEST.identity())))
    assert replace(REQUEST, params={"temperature": 0.5, "max_tokens": 10}).key == REQUEST.key
    assert set(REQUEST.identity()) == {"provider", "label", "model", "messages", "params", "schema", "sample", "attempt"}


def test_identities_are_the_same_in_another_process() -> None:
    code = (
        "from datagen.records import Request, Row; import json;"
        "row = Row.of_seed({'b': 1, 'a': ['ü', 2.5]});"
        "print(json.dumps([Request('openai', '', 'm', (('user', 'hi'),), {'max_tokens': 5}).key, row.id, row.child('s', 3, {}, 1).id]))"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True, text=True).stdout
        for seed in ("0", "1", "4711")
    }
    row = Row.of_seed({"a": ["ü", 2.5], "b": 1})
    here = [Request("openai", "", "m", (("user", "hi"),), {"max_tokens": 5}).key, row.id, row.child("s", 3, {}, 1).id]
    assert [json.loads(output) for output in outputs] == [here]


def test_a_childs_id_covers_parent_step_index_and_round_and_nothing_else() -> None:
    parent, other = Row.of_seed({"a": 1}), Row.of_seed({"a": 2})
    ids = [
        parent.child("s", 0, {}).id,
        other.child("s", 0, {}).id,
        parent.child("t", 0, {}).id,
        parent.child("s", 1, {}).id,
        parent.child("s", 0, {}, 1).id,
    ]
    assert len({*ids, parent.id}) == 6
    assert parent.child("s", 0, {"anything": "else"}).id == ids[0]
    assert parent.having({"text": "more"}, {"s": "k1:1"}).child("s", 0, {}).id == ids[0]


def test_a_child_carries_lineage_fields_and_calls() -> None:
    parent = Row.of_seed({"a": 1, "b": 2}).having({"b": 3}, {"one": "k1:x"})
    child = parent.child("s", 0, {"a": 9})
    grandchild = child.child("t", 1, {})
    assert dict(child.fields) == {"a": 9, "b": 3} and child.calls == {"one": "k1:x"}
    assert (child.parent, child.seed, grandchild.parent, grandchild.seed) == (parent.id, parent.id, child.id, parent.id)
    assert dict(parent.fields) == {"a": 1, "b": 3}


def test_outcomes_are_plain_words() -> None:
    assert [str(outcome) for outcome in Outcome] == ["answered", "truncated", "refused", "filtered", "malformed", "rejected", "failed"]
    assert json.dumps(Outcome.FAILED) == '"failed"'
