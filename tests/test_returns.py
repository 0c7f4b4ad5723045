"""What an ask returns: words to a schema, an answer to fields, and nothing a teacher says may break the line."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.errors import SpecError
from datagen.spec.repair import DEEPEST, LONGEST
from datagen.spec.returns import SHOWN, Malformed, Parsed, instruction, parse, schema_of

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


PLAIN = json.dumps(GOOD)


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        (PLAIN, ""),
        (json.dumps(GOOD, indent=2), ""),
        (f" \n{PLAIN}\n", ""),
        (json.dumps(GOOD | {"score": 3.0, "extra": "is left out"}), ""),
        (f"```json\n{PLAIN}\n```", "fences"),
        (f"```\n{PLAIN}\n```\n", "fences"),
        (f"Here you are:\n{PLAIN}\nI hope that helps.", "prose"),
        (f"Let {{a, b}} be as said and \\frac{{1}}{{2}} {{}} too.\n```json\n{PLAIN}\n```\nDone.", "prose"),
        (f"{PLAIN}\nOnce more:\n{PLAIN}", "prose"),
        (f"{PLAIN[:-1]}, }}", "commas"),
        (PLAIN.replace("}]", "},]"), "commas"),
        (PLAIN.replace('"text"', "\u201ctext\u201d").replace('"t"', "\u201ct\u201d"), "quotes"),
        (PLAIN.replace('"text"', "\u201etext\u201c").replace('"t"', "\u2018t\u2019"), "quotes"),
        (repr(GOOD), "literals"),
        (PLAIN.replace("true", "True"), "literals"),
        (PLAIN[:-1], "brackets"),
        (PLAIN[:-3], "brackets"),
        (f"```json\n{PLAIN[:-1]}\n```", "brackets+fences"),
        (json.dumps(GOOD | {"score": "3", "share": "0.5"}), "numbers"),
        (f"So: {repr(GOOD)[:-1]}", "brackets+literals+prose"),
    ],
)
def test_an_answer_is_read_for_what_it_means_and_what_was_mended_is_noted(text: str, repaired: str) -> None:
    assert parse(schema_of(RETURNS, ""), text) == Parsed(GOOD, repaired)


@pytest.mark.parametrize(
    ("text", "found", "repaired"),
    [
        ('{"items": ["a", "b", "c"], "text": "one"}', {"items": ["a", "b"], "text": "one"}, "cut"),
        ('{"items": [], "text": "one\ntwo\tthree"}', {"items": [], "text": "one\ntwo\tthree"}, "newlines"),
        ('{"items": [1, 2.50], "text": -3}', {"items": ["1", "2.50"], "text": "-3"}, "numbers"),
        ("{'items': ['it\\'s', \"don't\", 'can't'], 'text': 'say \"no\"'}", {"items": ["it's", "don't"], "text": 'say "no"'}, "cut+literals"),
        ('{\u201citems\u201d: [], \u201ctext\u201d: \u201cHe said "no", twice\u201d}', {"items": [], "text": 'He said "no", twice'}, "quotes"),
        ('{"items": ["[1,]", "{x,}"], "text": "// no, ]",}', {"items": ["[1,]", "{x,}"], "text": "// no, ]"}, "commas"),
        ('{"items": [], "text": "```py\nx = {}\n```"}', {"items": [], "text": "```py\nx = {}\n```"}, "newlines"),
        ('{"items": ["\\u00e9\\ud83d\\ude00\\n"], "text": "",}', {"items": ["é\U0001f600\n"], "text": ""}, "commas"),
    ],
)
def test_mending_changes_no_word_of_a_text(text: str, found: dict[str, Any], repaired: str) -> None:
    assert parse(schema_of({"items": {"list": "str", "at_most": 2}, "text": "str"}, ""), text) == Parsed(found, repaired)


@pytest.mark.parametrize(
    ("word", "text", "value"),
    [
        ({"int": [1, 5]}, "4", 4),
        ({"int": [1, 5]}, '"4"', 4),
        ("float", "0.25", 0.25),
        ("str", '"just this"', "just this"),
        ({"list": "str", "at_most": 3}, '["a", "b"]', ["a", "b"]),
        ({"one_of": ["yes", "no"]}, " yes\n", "yes"),
        ({"object": {"a": "int", "b": "str"}}, '{"a": 1, "b": "x"}', {"a": 1, "b": "x"}),
    ],
)
def test_a_lone_value_is_the_field_where_one_field_is_wanted(word: Any, text: str, value: Any) -> None:
    assert parse(schema_of({"x": word}, ""), text).fields == {"x": value}
    assert "lone" in parse(schema_of({"x": word}, ""), text).repaired
    with pytest.raises(Malformed):
        parse(schema_of({"x": word, "y": "str"}, ""), text)


@pytest.mark.parametrize(
    ("options", "said", "meant"), [([1, 2], '"2"', 2), (["1", "2"], "2", "2"), ([1, 2], "2.0", 2), ([True, 1], "1", 1), ([1, True], "true", True)]
)
def test_an_option_is_found_by_what_is_meant(options: list[Any], said: str, meant: Any) -> None:
    found = parse(schema_of({"x": {"one_of": options}}, ""), f'{{"x": {said}}}').fields["x"]
    assert found == meant and type(found) is type(meant)


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
        ({"share": "inf"}, 'share must be a number, found "inf"'),
        ({"score": "3 of 5"}, "score must be a number"),
        ({"score": 9 * 10**300}, "score must lie between 1 and 5, found 9000"),
    ],
)
def test_an_answer_that_does_not_fit_says_why(change: dict[str, Any], told: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(schema_of(RETURNS, ""), json.dumps(GOOD | change))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there is no JSON object in it"),
        ("no", "there is no JSON object in it"),
        ("I cannot {do} that.", "there is no JSON object in it"),
        ("{", "there is no JSON object in it"),
        ('{"x": 1} or {"x": 2}', "there is more than one JSON object in it"),
        ('{"x": "a \\( b"}', "a backslash inside a string must be written twice"),
        ('{"x": "\\frac \\pi"}', "a backslash inside a string must be written twice"),
        ('{"x": "the text ends h', "it ends before it is complete"),
        ('{"x": ', "it ends before it is complete"),
        ('{"x": 1,', "it ends before it is complete"),
        ('{"x": [1, 2}', "not valid JSON"),
        ('{"x": 1 "y": 2}', "not valid JSON"),
        ('{"x": "say "no" to me"}', "not valid JSON"),
        ('{"y": "\\(", "z": {"x": 1}}', "a backslash inside a string"),
        ('So: {"y": "\\(", "z": {"x": 1}} as said', "a backslash inside a string"),
        ('{"x":' * 50_000, "nested too deeply"),
        (f'{{"x": {"[" * (DEEPEST + 1)}1{"]" * DEEPEST}', "nested too deeply"),
        (f'{{"x": {"9" * 5_000}}}', "not valid JSON"),
        ("[1]", "x must be of type number, found [1]"),
        ('"text"', 'x must be a number, found "text"'),
        ("null", "x must be of type number, found null"),
        ("{}", "x must be of type number, found null"),
        ('{"x": NaN}', "x must be a finite number"),
        ('{"x": 1e999}', "x must be a finite number"),
    ],
)
def test_odd_answers_are_malformed_in_words_of_ours(text: str, told: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(schema_of({"x": "float"}, ""), text)
    assert told in str(caught.value)
    assert not any(word in str(caught.value) for word in ("Expecting", "line 1", "char ", "Error", "delimiter"))  # the words of Python's parser


def test_what_an_error_quotes_is_short_and_can_be_sent() -> None:
    with pytest.raises(Malformed) as caught:
        parse(schema_of({"x": "int"}, ""), json.dumps({"x": ["\ud83d" + "long " * 10_000]}))
    assert len(str(caught.value)) < SHOWN + 60 and str(caught.value).encode()


@pytest.mark.parametrize("piece", ["{", '{"', "{'a", "{\u201c", "```\n", '{"a":', '{"a":"', "{'a',"])
@pytest.mark.parametrize("signs", [LONGEST, 40 * LONGEST])
def test_hostile_text_costs_no_quadratic_time(piece: str, signs: int) -> None:
    """By the square, half a million signs would take hours, and the suite would never end."""
    text = piece * (signs // len(piece))
    with pytest.raises(Malformed):
        parse(schema_of({"x": "float"}, ""), text)


def test_text_that_no_file_can_hold_is_made_whole() -> None:
    found = parse(schema_of({"x": "str", "y": {"list": "str", "at_most": 1}}, ""), '{"x": "a\\ud83d b", "y": ["\\udc00"]}').fields
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
        found = parse(schema, text).fields
    except Malformed:
        return
    assert parse(schema, json.dumps(found)) == Parsed(found) and list(found) == list(RETURNS)
