"""What an ask returns: the short words of a spec as a JSON schema, and an answer's text as named fields.

Words: str, int, float, bool, {int: [1, 5]}, {float: [0, 1]}, {one_of: [a, b]}, {list: WORD, at_most: 8}, {object: {name: WORD}}.
Every list has a bound; that is what makes a worst-case price possible.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from datagen.errors import SpecError, nearest
from datagen.spec.reading import whole_text
from datagen.spec.repair import Read, Unreadable, Written, read

_PLAIN = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_FORMS = ("int", "float", "one_of", "list", "object")
_NUMBER = re.compile(r"[+-]?\d{1,300}(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
SHOWN = 120
"""Characters of a value that an error quotes."""


class Malformed(Exception):
    """An answer that does not have the wanted fields.

    The message is shown to the teacher when it is asked again and so enters a request's key: it is made of our words and the answer's own.
    """


def schema_of(returns: Mapping[str, Any], where: str) -> dict[str, Any]:
    """JSON schema of an object with these fields, all required. Raises SpecError on words it does not know."""
    return {
        "type": "object",
        "properties": {name: _schema(word, f"{where}: returns.{name}") for name, word in returns.items()},
        "required": list(returns),
        "additionalProperties": False,
    }


def _schema(word: Any, where: str) -> dict[str, Any]:
    if isinstance(word, str):
        if word == "list":
            raise SpecError(f"{where}: a list needs the kind of its items and a bound: {{list: str, at_most: 8}}")
        if word not in _PLAIN:
            raise SpecError(f"{where}: unknown kind {word!r}{nearest(word, (*_PLAIN, *_FORMS))}")
        return {"type": _PLAIN[word]}
    form = next((name for name in _FORMS if isinstance(word, Mapping) and name in word), None)
    if form is None:
        raise SpecError(f"{where}: expected one of {', '.join((*_PLAIN, *_FORMS))}; found {word!r}")
    extra = set(word) - {form} - ({"at_most"} if form == "list" else set())
    if extra:
        raise SpecError(f"{where}: unknown key {sorted(extra)[0]!r} beside {form!r}")
    return _form(form, word, where)


def _form(form: str, word: Mapping[str, Any], where: str) -> dict[str, Any]:
    given = word[form]
    match form:
        case "list":
            bound = word.get("at_most")
            if not isinstance(bound, int) or isinstance(bound, bool) or bound < 1:
                raise SpecError(f"{where}: a list needs a bound, else no price can be given: {{list: {given}, at_most: 8}}")
            return {"type": "array", "items": _schema(given, where), "maxItems": bound}
        case "object":
            if not isinstance(given, Mapping) or not given:
                raise SpecError(f"{where}: object takes its fields, {{object: {{name: str}}}}, found {given!r}")
            return schema_of(given, where)
        case "one_of":
            if not isinstance(given, list) or not given:
                raise SpecError(f"{where}: one_of needs a list of values")
            return {"enum": given}
        case _:
            return _number(form, given, where)


def _number(form: str, bounds: Any, where: str) -> dict[str, Any]:
    if not isinstance(bounds, list) or len(bounds) != 2 or not all(isinstance(bound, int | float) for bound in bounds):
        raise SpecError(f"{where}: {form} takes [lowest, highest], found {bounds!r}")
    if bounds[0] > bounds[1]:
        raise SpecError(f"{where}: {form} takes [lowest, highest], found {bounds!r}, which no answer can meet")
    return {"type": _PLAIN[form], "minimum": bounds[0], "maximum": bounds[1]}


def instruction(schema: Mapping[str, Any]) -> str:
    """The wanted shape in words, for servers without native JSON schemas."""
    return "Answer with one JSON object and nothing else. It must follow this JSON schema:\n" + json.dumps(schema, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Parsed:
    """The wanted fields, and what had to be mended to find them."""

    fields: dict[str, Any]
    repaired: str = ""
    """Short words joined by `+`: those of spec/repair.py, `numbers` (as strings, or the reverse), `lone` (a value without its field), `cut`
    (a list at its bound); empty where nothing was."""


def parse(schema: Mapping[str, Any], text: str) -> Parsed:
    """The fields in an answer, mended where that leaves no doubt; else raises Malformed. A pure function of its arguments."""
    mended: set[str] = set()
    value = _value(schema, text, mended)
    fields = {name: _fitted(schema["properties"][name], value.get(name), name, mended) for name in schema["required"]}
    return Parsed(fields, "+".join(sorted(mended)))


def _value(schema: Mapping[str, Any], text: str, mended: set[str]) -> dict[str, Any]:
    """The object that the text is, or that its lone value belongs into."""
    lone = schema["required"][0] if len(schema["required"]) == 1 else None
    wanted = schema["properties"][lone] if lone else {}
    try:
        found = read(text)
    except Unreadable as error:
        if text.strip() not in wanted.get("enum", ()):
            raise Malformed(str(error)) from None
        found = Read(text.strip())
    mended |= found.repaired
    value = found.value
    if lone and not (isinstance(value, dict) and (lone in value or wanted.get("type") != "object")):
        mended.add("lone")
        return {lone: value}
    if not isinstance(value, dict):
        raise Malformed(f"expected a JSON object, found {_shown(value)}")
    return value


def _fitted(schema: Mapping[str, Any], value: Any, name: str, mended: set[str]) -> Any:
    """`value` as the schema wants it; a whole float becomes an int, a list is cut at its bound."""
    if "enum" in schema:
        return _chosen(schema["enum"], value, name, mended)
    match schema["type"]:
        case "array":
            if not isinstance(value, list):
                raise Malformed(f"{name} must be a list, found {_shown(value)}")
            most = schema["maxItems"]
            mended |= {"cut"} if len(value) > most else set()
            return [_fitted(schema["items"], item, f"{name}[{index}]", mended) for index, item in enumerate(value[:most])]
        case "object":
            if not isinstance(value, dict):
                raise Malformed(f"{name} must be an object, found {_shown(value)}")
            return {key: _fitted(schema["properties"][key], value.get(key), f"{name}.{key}", mended) for key in schema["required"]}
        case "string":
            return _text(value, name, mended)
        case "boolean":
            if not isinstance(value, bool):
                raise Malformed(f"{name} must be of type boolean, found {_shown(value)}")
            return value
        case kind:
            return _numeric(kind, schema, value, name, mended)


def _chosen(options: list[Any], value: Any, name: str, mended: set[str]) -> Any:
    """The option that was meant; `2` and `"2"` mean each other where only one of them is an option."""
    same = [option for option in options if option == value and isinstance(option, bool) == isinstance(value, bool)]
    if same:
        return same[0]
    written = value.text if isinstance(value, Written) else _shown(value) if _is_number(value) else value
    for option in options:
        if (json.dumps(option) if _is_number(option) else option) == written:
            mended.add("numbers")
            return option
    raise Malformed(f"{name} must be one of {_shown(options)}, found {_shown(value)}")


def _text(value: Any, name: str, mended: set[str]) -> str:
    if _is_number(value):
        mended.add("numbers")
        return value.text if isinstance(value, Written) else str(value)
    if not isinstance(value, str):
        raise Malformed(f"{name} must be of type string, found {_shown(value)}")
    return whole_text(value)


def _numeric(kind: str, schema: Mapping[str, Any], value: Any, name: str, mended: set[str]) -> int | float:
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise Malformed(f"{name} must be a number, found {_shown(value)}")
        mended.add("numbers")
        value = float(value) if set(value) & set(".eE") else int(value)
    if not _is_number(value):
        raise Malformed(f"{name} must be of type {kind}, found {_shown(value)}")
    number: int | float = value
    if isinstance(number, float):
        if not math.isfinite(number):
            raise Malformed(f"{name} must be a finite number, found {_shown(number)}")
        number = int(number) if kind == "integer" and number.is_integer() else float(number)
    if kind == "integer" and isinstance(number, float):
        raise Malformed(f"{name} must be of type integer, found {_shown(number)}")
    if not schema.get("minimum", number) <= number <= schema.get("maximum", number):
        raise Malformed(f"{name} must lie between {schema['minimum']} and {schema['maximum']}, found {_shown(number)}")
    return number


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    """A value in JSON, cut: the same words on every machine and under every Python."""
    try:
        text = whole_text(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return "something nested too deeply"
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
