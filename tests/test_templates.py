"""Prompts and expressions: known variables, a closed sandbox, one text from one row, and draws that no order can move."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datagen.errors import SpecError
from datagen.spec.reading import Written
from datagen.spec.templates import Prompt, draw, evaluate, expression_variables, picker


def prompt(text: str) -> Prompt:
    return Prompt.read("f/p", Written(Path("p.md.j2"), None, {}, text))


def test_head_system_and_body() -> None:
    read = prompt("---\nabout: What it is for.\nsystem: You are {{ role }}.\n---\nWrite about {{ topic }}.\n\n")
    assert (read.about, read.variables()) == ("What it is for.", {"role", "topic"})
    assert read.messages({"role": "kind", "topic": "sums"}) == (("system", "You are kind."), ("user", "Write about sums."))
    assert prompt("Only {{ this }}").messages({"this": "é"}) == (("user", "Only é"),)
    assert prompt("---\nno second mark").messages({}) == (("user", "---\nno second mark"),)


def test_names_that_are_set_inside_are_not_needed() -> None:
    text = "{% for x in items %}{{ loop.index }} {{ x.name }}{% endfor %}{% set y = z %}{{ y }}{{ range(3)|join }}{{ pick(colours) }}"
    assert prompt(text).variables() == {"items", "z", "pick", "colours"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\n{% if x %}\nb", "p.md.j2:"),
        ("a\n{{ x | uper }}", "p.md.j2:2: No filter named 'uper'"),
        ("---\nabout: x\n---\none\n{{ x is greeen }}", "p.md.j2:5: No test named 'greeen'"),
        ("---\nabout: x\nsytem: y\n---\nbody", "p.md.j2:3: unknown key 'sytem'; did you mean 'system'"),
        ("---\nabout: [x\n---\nbody", "p.md.j2:"),
        ("{% include 'other' %}", "cannot include"),
        ("{{ names | random }}", "No filter named 'random'"),
    ],
)
def test_a_prompt_that_cannot_work_is_refused_before_anything_is_asked(text: str, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        prompt(text)
    assert told in str(caught.value)


def test_what_would_differ_from_run_to_run_is_not_known() -> None:
    assert prompt("{{ lipsum() }}").variables() == {"lipsum"}


@pytest.mark.parametrize(
    "text",
    ["{{ missing }}", "{{ row.missing.deeper }}", "{{ number + text }}", "{{ 1 / zero }}", "{{ none | dictsort }}", "{{ text.format(1, 2)[99] }}"],
)
def test_a_value_that_cannot_be_rendered_is_an_error_of_that_row(text: str) -> None:
    with pytest.raises(SpecError, match="'f/p'"):
        prompt(text).messages({"row": {}, "number": 1, "text": "x", "zero": 0, "none": None})


@pytest.mark.parametrize(
    "text",
    ["{{ ''.__class__.__mro__ }}", "{{ items.append(1) }}", "{{ cycler.__init__.__globals__ }}", "{{ (1).__class__.__base__.__subclasses__() }}"],
)
def test_the_sandbox_is_closed(text: str) -> None:
    items: list[int] = []
    with pytest.raises(SpecError):
        prompt(text).messages({"items": items})
    assert items == []


@pytest.mark.parametrize(
    ("expression", "value"),
    [("score >= 4", True), ("score", 5), ("not text", False), ("text|length", 3), ("kind in ['a', 'b']", True), ("nothing", None), ("score/2", 2.5)],
)
def test_expressions(expression: str, value: Any) -> None:
    assert evaluate(expression, {"score": 5, "text": "abc", "kind": "a", "nothing": None}) == value


@pytest.mark.parametrize(
    "expression", ["missing", "verdict.missing", "verdict.missing >= 3", "text > 3", "1 / 0", "verdict['x']['y']", "nothing.items()"]
)
def test_an_expression_that_cannot_be_computed_says_so_itself(expression: str) -> None:
    """An undefined value must not leave `evaluate`: its truth is asked for elsewhere, where nobody expects an error of Jinja's."""
    with pytest.raises(SpecError, match="failed on a row"):
        evaluate(expression, {"verdict": {}, "text": "x", "nothing": None})


def test_names_in_an_expression() -> None:
    assert expression_variables("a >= 4 and (b.c or d[e])", "here") == {"a", "b", "d", "e"}
    for wrong in ("{{ a }}", "a >=", "a | nofilter", ""):
        with pytest.raises(SpecError, match="here: the expression"):
            expression_variables(wrong, "here")


def test_draws_depend_on_the_seed_alone_and_are_even() -> None:
    options = ["a", "b", "c", "d"]
    counts = Counter(draw(options, f"r1:{number}", "style") for number in range(4000))
    assert set(counts) == set(options) and all(850 <= count <= 1150 for count in counts.values())
    assert [draw(options, "r1:7", "style") for _ in range(3)] == [draw(options, "r1:7", "style")] * 3
    assert len({draw(options, "r1:7", name) for name in ("style", "tone", "voice", "mood", "age", "place", "time")}) > 1
    assert draw(["only"], 1) == "only"


def test_pick_draws_anew_at_each_call_of_one_rendering() -> None:
    text = "{% for _ in range(20) %}{{ pick(['a', 'b', 'c']) }}{% endfor %}"
    first, again, other = (prompt(text).messages({"pick": picker(row, "step", 0)})[0][1] for row in ("r1:1", "r1:1", "r1:2"))
    assert first == again != other and set(first) == {"a", "b", "c"}
