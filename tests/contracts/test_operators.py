"""Every operator on the shelf keeps what it should, drops what it should, and can be trusted with any text."""

from __future__ import annotations

import importlib.util
import inspect
import pickle
import warnings
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datagen.errors import SetupError
from datagen.operators import OPERATORS
from datagen.operators.base import Finding, Operator


def operator(name: str) -> Operator:
    if name == "datatrove":
        for needed in ("datatrove", "spacy"):
            if importlib.util.find_spec(needed) is None:
                pytest.skip(f"needs {needed}: pip install 'datagen[datatrove]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries at import
        made: Operator = OPERATORS.get(name)()
        try:
            made.ready()
        except SetupError as error:
            pytest.skip(str(error))
        made.judge({made.on: "The first look loads what the operator needs."})
    return made


def fields_of(example: str | Mapping[str, Any], on: str) -> Mapping[str, Any]:
    return example if isinstance(example, Mapping) else {on: example}


@pytest.fixture(params=list(OPERATORS))
def judge(request: pytest.FixtureRequest) -> Operator:
    return operator(request.param)


def test_its_examples_behave(judge: Operator) -> None:
    assert judge.keeps
    assert judge.drops
    for example in judge.keeps:
        finding = judge.judge(fields_of(example, judge.on))
        assert (finding.keep, finding.reason) == (True, ""), (example, finding)
    for example in judge.drops:
        finding = judge.judge(fields_of(example, judge.on))
        assert not finding.keep, example
        assert finding.reason.replace("_", "").isalnum(), finding
        assert finding.reason == finding.reason.lower(), finding


def test_it_is_frozen_and_survives_pickling(judge: Operator) -> None:
    copy = pickle.loads(pickle.dumps(judge))
    assert copy == judge
    for example in (*judge.keeps, *judge.drops):
        fields = fields_of(example, judge.on)
        assert judge.judge(fields) == copy.judge(fields) == judge.judge(fields)
    with pytest.raises(ValidationError):
        judge.on = "other"  # type: ignore[misc]


def test_it_says_what_it_is(judge: Operator) -> None:
    doc = inspect.getdoc(type(judge)) or ""
    assert len(doc) > 40
    assert doc != inspect.getdoc(Operator)
    assert type(judge).version >= 1
    assert judge.on in judge.reads()
    assert all(isinstance(name, str) and name for name in judge.reads())


def test_it_writes_what_it_says_and_changes_nothing(judge: Operator) -> None:
    for example in (*judge.keeps, *judge.drops):
        fields = dict(fields_of(example, judge.on))
        before = dict(fields)
        finding = judge.judge(fields)
        assert set(finding.fields) <= set(judge.writes)
        assert fields == before
        assert len(finding.evidence) == 0 or isinstance(finding.evidence, str)


def test_a_typo_is_refused(judge: Operator) -> None:
    with pytest.raises(ValidationError):
        type(judge).model_validate({"no_such_parameter": 1})


ODD = st.one_of(
    st.text(st.characters(), max_size=400),
    st.text(st.sampled_from("a .,!?\n\t#*`$\\{}[]()<>|0123456789/%-_=+^:;\"'é中🙂\u0301\u200b\ufffd\ud800\x00"), max_size=300),
    st.lists(
        st.sampled_from(
            [
                "```",
                "$$",
                "\\[",
                "\\boxed{",
                "####",
                "Answer:",
                "| a |",
                "I cannot",
                "x" * 60,
                "1,234",
                "1/0",
                "12:61",
                "a@b.co",
                "\n\n",
                "- item",
                "9" * 40,
                "1e999",
            ]
        ),
        max_size=30,
    ).map(" ".join),
    st.none(),
    st.integers(),
    st.floats(),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


@pytest.mark.parametrize("name", list(OPERATORS))
def test_no_text_makes_it_raise(name: str) -> None:
    made = operator(name)

    @settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(value=ODD, other=ODD)
    def look(value: Any, other: Any) -> None:
        finding = made.judge({field: (value if field == made.on else other) for field in made.reads()})
        assert isinstance(finding, Finding)
        assert finding.keep or finding.reason

    look()
    assert isinstance(made.judge({}), Finding)


LONG = {
    "one word": "x" * 200_000,
    "digits": "9" * 200_000,
    "brackets": "([{" * 30_000,
    "open formulas": "\\[ " * 20_000,
    "open boxes": "\\boxed{" * 20_000,
    "lines": "a\n" * 100_000,
    "dots": ". " * 100_000,
    "at signs": "a@" * 60_000,
    "underscores": "a_" * 60_000,
    "quotes": '"' * 100_001,
    "numbers": "1 (2) 3-" * 30_000,
    "words": "in a of the " * 20_000,
    "commas": "1," * 60_000,
}


@pytest.mark.parametrize("name", list(OPERATORS))
@pytest.mark.parametrize("kind", list(LONG))
def test_long_hostile_text_is_judged_all_the_same(name: str, kind: str) -> None:
    made = operator(name)
    assert isinstance(made.judge(dict.fromkeys(made.reads(), LONG[kind])), Finding)
