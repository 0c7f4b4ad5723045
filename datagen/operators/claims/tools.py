"""Calls of tools against the schemas that the tools declare."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from datagen.operators.base import Finding, Operator
from datagen.operators.claims.allowed import Allowed, Fault
from datagen.operators.claims.schema import unfenced

_WEATHER = (
    '[{"name": "weather", "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}, '
    '"unit": {"enum": ["C", "F"]}, "days": {"type": "array", "items": {"type": "integer", "minimum": 1}}}}}]'
)


class ToolCalls(Operator):
    """Every call names a declared tool and gives it arguments that its JSON schema allows.

    Calls are JSON: one, or a list, as {name, arguments}, OpenAI's {function: {name, arguments}} or Anthropic's {name, input}; tools likewise, with
    `parameters` or `input_schema`. Looked at, at every depth: type, required, dependentRequired, properties, patternProperties, propertyNames,
    additionalProperties, items, prefixItems, uniqueItems, contains, enum, const, bounds, multipleOf, lengths, pattern, `$ref` within the schema,
    anyOf, oneOf, allOf, not, if. What else forbids something (a `$ref` elsewhere, `unevaluatedProperties`) is told as "not checked". An
    argument that no schema names is refused unless the schema allows others by name.
    """

    version: ClassVar[int] = 2

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
        unread: set[str] = set()
        for number, call in enumerate(calls, start=1):
            for reason, where in faults(call, declared, unread):
                return Finding(False, reason, 0.0, f"call {number}: {where}")
        return Finding(True, score=1.0, evidence=f"not checked: {', '.join(sorted(unread))}"[:300] if unread else "")


def faults(call: Any, declared: Mapping[str, Any], unread: set[str]) -> Iterator[Fault]:
    """All that is wrong with one call. Adds to `unread` what of the schema could not be looked at."""
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
    yield from Allowed(declared[name], unread).wrong(given, declared[name], name)


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
