"""A field holds JSON with the keys that were asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from datagen.operators.base import Finding, Operator


class Schema(Operator):
    """The field is a JSON object, or text that parses as one (in a code fence or not), and has every required key."""

    keeps: ClassVar = ('{"name": "Ada", "year": 1815}', '```json\n{"name": "Ada"}\n```', {"text": {"name": "Ada"}})
    drops: ClassVar = ('{"name": "Ada"', "[1, 2]", {"text": None})

    required: tuple[str, ...] = ()
    """Keys that must be there and not be null."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        value = fields.get(self.on)
        if isinstance(value, str):
            try:
                value = json.loads(unfenced(value))
            except (ValueError, RecursionError) as error:
                return Finding(False, "not_json", 0.0, str(error))
        if not isinstance(value, Mapping):
            return Finding(False, "not_an_object", 0.0, f"{self.on} is {type(value).__name__}")
        missing = [key for key in self.required if value.get(key) is None]
        if missing:
            return Finding(False, "missing_key", 0.0, ", ".join(missing))
        return Finding(True, score=1.0)


def unfenced(text: str) -> str:
    """The inside of a single code fence around the whole text."""
    plain = text.strip()
    if plain.startswith("```") and plain.endswith("```") and "\n" in plain:
        return plain[plain.index("\n") + 1 : -3]
    return plain
