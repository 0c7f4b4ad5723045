"""What a JSON schema allows, for the arguments of tools."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from urllib.parse import unquote

_DEEP = 32
"""Levels of a value or schema that are followed; what is deeper is refused."""
_ALIASES = {"dict": "object", "float": "number", "double": "number", "int": "integer", "long": "integer", "str": "string", "bool": "boolean"}
_ALIASES |= {"list": "array", "tuple": "array", "none": "null"}
"""Names of types that are written for JSON's own."""
_PARTS = ("anyOf", "oneOf", "allOf", "$ref", "if")
"""Where these stand, they may name more properties than stand beside them."""
_UNREAD = ("$dynamicRef", "dependentSchemas", "dependencies", "unevaluatedItems", "unevaluatedProperties", "minContains", "maxContains")
"""Words of JSON Schema that forbid something and are not looked at."""

Fault = tuple[str, str]
"""(reason, where and what)."""


def _whole(value: Any) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list | tuple),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": _whole,
    "number": _number,
    "any": lambda value: True,
}
_LIMITS: Sequence[tuple[str, Callable[[Any, Any], bool]]] = (
    ("minimum", lambda value, limit: value < limit),
    ("maximum", lambda value, limit: value > limit),
    ("exclusiveMinimum", lambda value, limit: value <= limit),
    ("exclusiveMaximum", lambda value, limit: value >= limit),
    ("multipleOf", lambda value, limit: limit > 0 and Fraction(str(value)) % Fraction(str(limit)) != 0),
)


@dataclass(slots=True)
class Allowed:
    """A schema, its root for `$ref`, and what of it could not be looked at."""

    root: Any
    unread: set[str] = field(default_factory=set)

    def wrong(self, value: Any, schema: Any, place: str, depth: int = 0, strict: bool = True) -> Iterator[Fault]:
        """What the schema forbids in the value. A schema that is none forbids nothing, but `false`, which forbids all.

        `strict`: names that no schema names are refused too, where it does not speak of others.
        """
        if schema is False or depth > _DEEP:
            yield "not_allowed" if schema is False else "too_deep", place
        if not isinstance(schema, Mapping) or depth > _DEEP:
            return
        kinds = schema.get("type")
        names = [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else []
        tests = [_TYPES.get(_ALIASES.get(str(kind).lower(), str(kind).lower()), _TYPES["any"]) for kind in names]
        if tests and not any(test(value) for test in tests):
            yield "wrong_type", f"{place}: {_shown(value)} is no {' or '.join(map(str, names))}"
            return
        if isinstance(allowed := schema.get("enum"), list) and not any(_same(value, one) for one in allowed):
            yield "not_in_enum", f"{place}: {_shown(value)} is none of {_shown(allowed)}"
        if "const" in schema and not _same(value, schema["const"]):
            yield "not_in_enum", f"{place}: {_shown(value)} is not {_shown(schema['const'])}"
        self.unread.update(word for word in _UNREAD if word in schema)
        yield from _bounds(value, schema, place)
        if isinstance(value, str) and "pattern" in schema and not self._fits(schema["pattern"], value):
            yield "not_allowed", f"{place}: {_shown(value)} does not fit {_shown(schema['pattern'])}"
        if isinstance(value, Mapping):
            yield from self._object(value, schema, place, depth, strict)
        if isinstance(value, list | tuple):
            yield from self._array(value, schema, place, depth, strict)
        yield from self._choices(value, schema, place, depth, strict)

    def _fits(self, pattern: Any, text: str) -> bool:
        """Whether it is found in the text; a pattern that Python does not read is found."""
        try:
            return re.search(str(pattern), text) is not None
        except (re.error, RecursionError, OverflowError):
            self.unread.add(f"pattern {_shown(pattern)}")
            return True

    def _object(self, value: Mapping[str, Any], schema: Mapping[str, Any], place: str, depth: int, strict: bool) -> Iterator[Fault]:
        properties, patterns, needs = _mapping(schema, "properties"), _mapping(schema, "patternProperties"), _mapping(schema, "dependentRequired")
        required = schema.get("required")
        asked = [*(required if isinstance(required, list) else ()), *(each for name in needs if name in value for each in needs[name])]
        for name in asked:
            if name not in value:
                yield "missing_argument", f"{place}.{name}"
        others = schema.get(
            "additionalProperties", not strict or (not properties and not patterns and depth > 0) or any(key in schema for key in _PARTS)
        )
        for name, inner in value.items():
            here = f"{place}.{name}"
            yield from self._lone("propertyNames", name, schema, here, depth)
            said = [properties[name]] if name in properties else []
            said += [each for pattern, each in patterns.items() if self._fits(pattern, name)]
            if not said and others is False:
                yield "unknown_argument", here
            for each in said or [others]:
                yield from self.wrong(inner, each, here, depth + 1, strict)

    def _lone(self, word: str, value: Any, schema: Mapping[str, Any], place: str, depth: int) -> Iterator[Fault]:
        if word in schema:
            yield from self.wrong(value, schema[word], place, depth + 1, strict=False)

    def _array(self, value: Sequence[Any], schema: Mapping[str, Any], place: str, depth: int, strict: bool) -> Iterator[Fault]:
        items, first = schema.get("items"), schema.get("prefixItems")
        if isinstance(items, list):  # as drafts before 2020 say it
            items, first = schema.get("additionalItems"), items
        first = first if isinstance(first, list) else []
        for index, item in enumerate(value):
            yield from self.wrong(item, first[index] if index < len(first) else items, f"{place}[{index}]", depth + 1, strict)
        if schema.get("uniqueItems") is True:
            for index, item in enumerate(value):
                if any(_same(item, other) for other in value[:index]):
                    yield "not_allowed", f"{place}[{index}]: {_shown(item)} is there twice"
                    break
        if "contains" in schema and "minContains" not in schema and not any(self._valid(item, schema["contains"], depth) for item in value):
            yield "not_allowed", f"{place}: no item is as `contains` says"

    def _valid(self, value: Any, schema: Any, depth: int, strict: bool = False) -> bool:
        return next(self.wrong(value, schema, "", depth + 1, strict), None) is None

    def _choices(self, value: Any, schema: Mapping[str, Any], place: str, depth: int, strict: bool) -> Iterator[Fault]:
        """Schemas that are put together of others."""
        if isinstance(name := schema.get("$ref"), str):
            yield from self.wrong(value, self._named(name), place, depth + 1, strict)
        if "not" in schema and self._valid(value, schema["not"], depth):
            yield "not_allowed", f"{place}: {_shown(value)} is what `not` forbids"
        if "if" in schema:
            yield from self._lone("then" if self._valid(value, schema["if"], depth) else "else", value, schema, place, depth)
        for name in ("anyOf", "oneOf", "allOf"):
            options = schema.get(name)
            if not isinstance(options, list) or not options:
                continue
            alone = strict and name != "allOf" and "properties" not in schema
            fitting = sum(self._valid(value, option, depth, alone) for option in options[:_DEEP])
            if fitting == 0 or (name == "oneOf" and fitting > 1) or (name == "allOf" and fitting < len(options[:_DEEP])):
                yield "wrong_type", f"{place}: {_shown(value)} fits {fitting} of {len(options)} in {name}"

    def _named(self, name: str) -> Any:
        """The schema that a `$ref` names within the root; one elsewhere forbids nothing, and is told."""
        found = self.root
        for part in name.removeprefix("#").split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            inside = found.get(key) if isinstance(found, Mapping) else None
            found = found[int(key)] if isinstance(found, list) and key.isdecimal() and int(key) < len(found) else inside
        if not name.startswith(("#/", "#")) or (name != "#" and not name.startswith("#/")) or found is None:
            self.unread.add(f"$ref {name}")
            return None
        return found


def _mapping(schema: Mapping[str, Any], word: str) -> Mapping[str, Any]:
    found = schema.get(word)
    return found if isinstance(found, Mapping) else {}


def _bounds(value: Any, schema: Mapping[str, Any], place: str) -> Iterator[Fault]:
    """Limits of numbers, and of the length of texts, lists and objects."""
    for name, beyond in _LIMITS if _number(value) else ():
        limit = schema.get(name)
        if _number(limit) and beyond(value, limit):
            yield "out_of_range", f"{place}: {_shown(value)} against {name} {limit}"
    kind = "Length" if isinstance(value, str) else "Items" if isinstance(value, list | tuple) else "Properties" if isinstance(value, Mapping) else ""
    for name, sign in (("min", -1), ("max", 1)) if kind else ():
        limit = schema.get(name + kind)
        if isinstance(limit, int) and (len(value) - limit) * sign > 0:
            yield "out_of_range", f"{place}: {len(value)} against {name}{kind} {limit}"


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON, at every depth: true is not 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:80]
