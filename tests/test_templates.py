"""Prompts and expressions: known variables, a closed sandbox, one text from one row, and draws that no order can move."""

from __future__ import annotations

from collections import Counter
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from datagen.errors import SpecError
from datagen.spec.reading import Written
from datagen.spec.sandbox import MOST_CHARACTERS, MOST_TURNS, WIDEST
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
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''|attr('__class__') }}",
        "{{ ''['__class__'] }}",
        "{{ items.append(1) }}",
        "{{ row.update(a=1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ (1).__class__.__base__.__subclasses__() }}",
        "{{ row.get.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ pick.__globals__ }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ '{a.__class__}'.format_map({'a': 1}) }}",
        "{{ namespace.__init__('x') }}",
        "{% for key in row.__dict__ %}{% endfor %}",
    ],
)
def test_the_sandbox_is_closed(text: str) -> None:
    items: list[int] = []
    row: dict[str, int] = {}
    with pytest.raises(SpecError):
        prompt(text).messages({"items": items, "row": row, "pick": picker("r1:1")})
    with pytest.raises(SpecError):
        evaluate(text.strip("{}% "), {"items": items, "row": row, "pick": picker("r1:1")})
    assert items == [] and row == {}


GIANTS = [
    "{{ 'a' * 10**9 }}",
    "{{ 10**9 * [row] }}",
    "{{ 9 ** (9 ** 9) }}",
    "{% set n = namespace(v=3) %}{% for _ in range(99) %}{% set n.v = n.v * n.v %}{% endfor %}",
    "{% set n = namespace(v='a') %}{% for _ in range(99) %}{% set n.v = n.v + n.v %}{% endfor %}",
    "{% set n = namespace(v='a') %}{% for _ in range(99) %}{% set n.v = n.v ~ n.v %}{% endfor %}",
    "{% for a in range(10**9) %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) if a is odd %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(9999) %}{{ 'a' * 9999 }}{% endfor %}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(99) }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{{ 'a'|center(10**9) }}",
    "{{ 'a'.zfill(10**9) }}",
    "{{ row.text.ljust(10**9) }}",
    "{{ '\t'.expandtabs(tabsize=10**9) }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '%*d' % (10**9, 1) }}",
    "{{ '%999999999d'|format(1) }}",
    "{{ '{:999999999}'.format(1) }}",
    "{{ '{:{}}'.format(1, 10**9) }}",
    "{{ [1]|batch(10**9, 1)|list }}",
    "{{ [1]|slice(10**9)|list }}",
    "{{ 'a'|indent(10**9) }}",
    "{{ [1]|tojson(indent=10**9) }}",
    "{{ ('a' * 999999).replace('a', 'b' * 999999) }}",
    "{{ ('a' * 999999)|replace('a', 'b' * 999999) }}",
    "{{ ('a' * 999999).join(['b'] * 999) }}",
    "{{ range(99999)|join('a' * 999999) }}",
]


@pytest.mark.parametrize("text", GIANTS)
def test_no_prompt_runs_for_ever_or_fills_the_memory(text: str) -> None:
    with pytest.raises(SpecError, match="'f/p'"):
        prompt(text).messages({"row": {"text": "t"}})


def test_the_bounds_are_far_from_what_a_prompt_needs() -> None:
    wide = "{% for x in range(300) %}{{ loop.index }}/{{ loop.length }}{{ ', ' if not loop.last }}{% endfor %}{{ 'a' ~ 1 ~ text }}"
    made = prompt(wide + "{{ '%-40s|' % text }}{{ '{:>40}'.format(text) }}{{ text|indent(8) }}{{ text * 1000 }}").messages({"text": "é" * 1000})[0][1]
    assert made.startswith("1/300, 2/300") and made.count("é") > 1_000_000 and len(made) < MOST_CHARACTERS
    most = MOST_TURNS - 1
    assert prompt("{% for x in xs %}{{ x.y }}{% else %}none{% endfor %}").messages({"xs": [{"y": 1}] * most})[0][1] == "1" * most
    assert len(prompt("{{ text|center(%d) }}." % WIDEST).messages({"text": "t"})[0][1]) > WIDEST / 2  # noqa: UP031
    assert evaluate("scores|sum / scores|length > 2 and text ~ 'b' == 'ab'", {"scores": [1, 5], "text": "a"}) is True


HOSTILE = [
    "{{ 7*7 }}",
    "{% raw %}{{ x }}{% endraw %}",
    "{% include 'x' %}{# gone #}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "${7*7} <%= 7*7 %> #{7*7} %s {0.__class__}",
    "line\n{% endif %}{% if x %}\n",
    "\x00\x1b[31m\u202eevil",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_what_a_row_holds_is_never_a_template(value: str) -> None:
    read = prompt("---\nsystem: S {{ a }}.\n---\nB {{ a }} {% for x in [a] %}{{ x }}{% endfor %} {{ 'q' ~ a }} {{ d.k }}.")
    said = f"B {value} {value} q{value} {value}."
    assert read.messages({"a": value, "d": {"k": value}}) == (("system", f"S {value}."), ("user", said))
    assert evaluate("a", {"a": value}) == value and evaluate("a ~ 'x'", {"a": value}) == value + "x"


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("---\nsystem: You are kind.\n---\nWrite about {{ topic }}.", "You are kind.Write about"),
        ("---\nsystem: You are {{ role }}.\n---\nWrite about {{ topic }}.", "You are"),
        ("---\nsystem: You know {{ range(3)|join }}.\n---\n{{ topic }}", "You know 012."),
        ("Nothing changes.", "Nothing changes."),
        ("{# a note #}First\n\n{% if topic %}x{% endif %}", "First"),
        ("{% raw %}{{ }}{% endraw %} then {{ topic }}", "{{ }} then"),
        ("{% if topic %}x{% endif %}", ""),
        ("{{ topic }}", ""),
        ("  \n ", ""),
    ],
)
def test_the_head_is_what_no_row_changes(text: str, head: str) -> None:
    read = prompt(text)
    rendered = ["".join(text for _, text in read.messages({"topic": topic, "role": topic})) for topic in ("", "sums", "other")]
    assert read.head() == len(head) and all(each.startswith(head) for each in rendered)
    shared = "".join(signs[0] for signs in takewhile(lambda signs: len(set(signs)) == 1, zip(*rendered, strict=False)))
    assert shared.rstrip() == head


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
