"""What an ask returns: the short words of a spec as a JSON schema, and an answer's text as named fields.

Words: str, int, float, bool, {int: [1, 5]}, {float: [0, 1]}, {one_of: [a, b]}, {list: WORD, at_most: 8}, {object: {name: WORD}}.
Every list has a bound; that is what makes a worst-case price possible.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from datagen.errors import SpecError, nearest
from datagen.spec.reading import whole_text

_PLAIN = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_FORMS = ("int", "float", "one_of", "list", "object")
_FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")


class Malformed(Exception):
    """An answer that does not have the wanted fields; the message is shown to the teacher when it is asked again."""


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


def parse(schema: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The fields in an answer. Fences, words around the object and trailing commas are repaired; else raises Malformed."""
    value = _loads(text)
    if not isinstance(value, dict):
        raise Malformed(f"expected a JSON object, found {type(value).__name__}")
    return {name: _fitted(schema["properties"][name], value.get(name), name) for name in schema["required"]}


def _loads(text: str) -> Any:
    fenced = _FENCE.match(text)
    body = fenced[1] if fenced else text
    start, end = body.find("{"), body.rfind("}")
    candidates = [body, body[start : end + 1] if 0 <= start < end else body]
    for candidate in [*candidates, _TRAILING_COMMA.sub(r"\1", candidates[1])]:
        try:
            return json.loads(candidate, strict=False)
        except (ValueError, RecursionError) as error:
            problem = str(error)
    raise Malformed(f"not valid JSON: {problem}")


def _fitted(schema: Mapping[str, Any], value: Any, name: str) -> Any:
    """`value` as the schema wants it; a whole float becomes an int, a list is cut at its bound."""
    if "enum" in schema:
        if value not in schema["enum"]:
            raise Malformed(f"{name} must be one of {schema['enum']}, found {value!r}")
        return value
    match schema["type"]:
        case "array":
            if not isinstance(value, list):
                raise Malformed(f"{name} must be a list, found {value!r}")
            return [_fitted(schema["items"], item, f"{name}[{index}]") for index, item in enumerate(value[: schema["maxItems"]])]
        case "object":
            if not isinstance(value, dict):
                raise Malformed(f"{name} must be an object, found {value!r}")
            return {key: _fitted(schema["properties"][key], value.get(key), f"{name}.{key}") for key in schema["required"]}
        case kind:
            return _plain(kind, schema, value, name)


def _plain(kind: str, schema: Mapping[str, Any], value: Any, name: str) -> Any:
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        value = int(value)
    if kind in ("integer", "number") and isinstance(value, str):
        try:
            value = int(value) if kind == "integer" else float(value)
        except ValueError:
            raise Malformed(f"{name} must be a number, found {value!r}") from None
    kinds: dict[str, tuple[type, ...]] = {"string": (str,), "boolean": (bool,), "integer": (int,), "number": (int, float)}
    if not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean"):
        raise Malformed(f"{name} must be of type {kind}, found {value!r}")
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise Malformed(f"{name} must be a finite number, found {value}")
    if kind in ("integer", "number") and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        raise Malformed(f"{name} must lie between {schema['minimum']} and {schema['maximum']}, found {value}")
    return value
