"""Calls of tools against the schemas that the tools declare."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from datagen.operators.base import Finding, Operator
from datagen.operators.claims.schema import unfenced

_DEEP = 32
"""Levels of a value or schema that are followed; what is deeper is refused."""
_WEATHER = (
    '[{"name": "weather", "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}, '
    '"unit": {"enum": ["C", "F"]}, "days": {"type": "array", "items": {"type": "integer", "minimum": 1}}}}}]'
)
_ALIASES = {"dict": "object", "float": "number", "double": "number", "int": "integer", "long": "integer", "str": "string", "bool": "boolean"}
_ALIASES |= {"list": "array", "tuple": "array", "none": "null"}
"""Names of types that are written for JSON's own."""


def _whole(value: Any) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list | tuple),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": _whole,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
    "any": lambda value: True,
}


class ToolCalls(Operator):
    """Every call names a declared tool and gives it arguments that its JSON schema allows.

    Calls are JSON: one, or a list, as {name, arguments}, OpenAI's {function: {name, arguments}} or Anthropic's {name, input}; tools likewise, with
    `parameters` or `input_schema`. Looked at: type, required, properties, additionalProperties, items, enum, const, bounds, lengths, anyOf, oneOf,
    allOf, at every depth. An argument that no schema names is refused unless the schema allows others by name.
    """

    keeps: ClassVar = (
        {"calls": '[{"name": "weather", "arguments": {"city": "Bonn", "unit": "C"}}]', "tools": _WEATHER},
        {"calls": '{"function": {"name": "weather", "arguments": "{\\"city\\": \\"Bonn\\", \\"days\\": [1, 2]}"}}', "tools": _WEATHER},
        {"calls": [], "tools": _WEATHER},
    )
    drops: ClassVar = (
        {"calls": '[{"name": "wether", "arguments": {"city": "Bonn"}}]', "tools": _WEATHER},
        {"calls": '[{"name": "weather", "arguments": {}}]', "tools": _WEATHER},
        {"calls": '[{"name": "weather", "arguments": {"city": 5}}]', "tools": _WEATHER},
        {"calls": '[{"name": "weather", "arguments": {"city": "Bonn", "unit": "K"}}]', "tools": _WEATHER},
        {"calls": '[{"name": "weather", "arguments": {"city": "Bonn", "days": [0]}}]', "tools": _WEATHER},
        {"calls": '[{"name": "weather", "arguments": {"city": "Bonn", "mood": "sunny"}}]', "tools": _WEATHER},
        {"calls": "I would call the weather.", "tools": _WEATHER},
        {"calls": '[{"name": "weather"}]', "tools": None},
    )

    on: str = "calls"
    tools: str = "tools"
    """The field with what is declared."""
    at_least: int = 0
    """Calls that a row must have."""

    def reads(self) -> tuple[str, ...]:
        return (self.on, self.tools)

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        try:
            calls, tools = _listed(fields.get(self.on)), _listed(fields.get(self.tools))
        except (ValueError, RecursionError) as error:
            return Finding(False, "not_json", 0.0, str(error)[:200])
        declared = dict(filter(None, map(_declared, tools)))
        if not declared:
            return Finding(False, "no_tools", 0.0, f"{self.tools} declares no tool with a name")
        if len(calls) < self.at_least:
            return Finding(False, "too_few_calls", 0.0, f"{len(calls)} of {self.at_least}")
        for number, call in enumerate(calls, start=1):
            for reason, where in faults(call, declared):
                return Finding(False, reason, 0.0, f"call {number}: {where}")
        return Finding(True, score=1.0)


def faults(call: Any, declared: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(reason, where and what) of all that is wrong with one call."""
    inner = call.get("function", call) if isinstance(call, Mapping) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(name, str):
        yield "not_a_call", "no object with a `name`"
        return
    if name not in declared:
        yield "unknown_tool", f"{name}; declared: {', '.join(sorted(declared))}"
        return
    given: Any = next((inner[key] for key in ("arguments", "input", "parameters") if key in inner), {})
    try:
        given = json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError) as error:
        yield "not_json", f"{name}: arguments: {str(error)[:100]}"
        return
    if not isinstance(given, Mapping):
        yield "wrong_type", f"{name}: the arguments are no object"
        return
    yield from _wrong(given, declared[name], name, 0)


def _wrong(value: Any, schema: Any, place: str, depth: int) -> Iterator[tuple[str, str]]:
    """What the schema forbids in the value. A schema that is none forbids nothing, but `false`, which forbids all."""
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
    yield from _bounds(value, schema, place)
    if isinstance(value, Mapping):
        yield from _object(value, schema, place, depth)
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _wrong(item, schema.get("items"), f"{place}[{index}]", depth + 1)
    yield from _choices(value, schema, place, depth)


def _object(value: Mapping[str, Any], schema: Mapping[str, Any], place: str, depth: int) -> Iterator[tuple[str, str]]:
    found = schema.get("properties")
    properties: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    required = schema.get("required")
    for name in required if isinstance(required, list) else ():
        if name not in value:
            yield "missing_argument", f"{place}.{name}"
    others = schema.get("additionalProperties", not properties and depth > 0)
    for name, inner in value.items():
        if name in properties:
            yield from _wrong(inner, properties[name], f"{place}.{name}", depth + 1)
        elif others is False and not any(key in schema for key in ("anyOf", "oneOf", "allOf")):
            yield "unknown_argument", f"{place}.{name}"
        elif isinstance(others, Mapping):
            yield from _wrong(inner, others, f"{place}.{name}", depth + 1)


_LIMITS: Sequence[tuple[str, Callable[[Any, Any], bool]]] = (
    ("minimum", lambda value, limit: value < limit),
    ("maximum", lambda value, limit: value > limit),
    ("exclusiveMinimum", lambda value, limit: value <= limit),
    ("exclusiveMaximum", lambda value, limit: value >= limit),
)


def _bounds(value: Any, schema: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    """Limits of numbers, and of the length of texts and lists."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    for name, beyond in _LIMITS if number else ():
        limit = schema.get(name)
        if isinstance(limit, int | float) and not isinstance(limit, bool) and beyond(value, limit):
            yield "out_of_range", f"{place}: {_shown(value)} against {name} {limit}"
    kind = "Length" if isinstance(value, str) else "Items" if isinstance(value, list | tuple) else ""
    for name, sign in (("min", -1), ("max", 1)) if kind else ():
        limit = schema.get(name + kind)
        if isinstance(limit, int) and (len(value) - limit) * sign > 0:
            yield "out_of_range", f"{place}: {len(value)} against {name}{kind} {limit}"


def _choices(value: Any, schema: Mapping[str, Any], place: str, depth: int) -> Iterator[tuple[str, str]]:
    for name in ("anyOf", "oneOf", "allOf"):
        options = schema.get(name)
        if not isinstance(options, list) or not options:
            continue
        fitting = sum(next(_wrong(value, option, place, depth + 1), None) is None for option in options[:_DEEP])
        if fitting == 0 or (name == "oneOf" and fitting > 1) or (name == "allOf" and fitting < len(options[:_DEEP])):
            yield "wrong_type", f"{place}: {_shown(value)} fits {fitting} of {len(options)} in {name}"


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:80]


def _declared(tool: Any) -> tuple[str, Any] | None:
    """(name, schema of the arguments) of a declaration in any of three forms."""
    inner = tool.get("function", tool) if isinstance(tool, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        return None
    return inner["name"], next((inner[key] for key in ("parameters", "input_schema") if key in inner), {})


def _listed(value: Any) -> list[Any]:
    """One or many, as JSON text or as they are."""
    read = json.loads(unfenced(value)) if isinstance(value, str) else value
    return list(read) if isinstance(read, list | tuple) else [] if read is None else [read]
