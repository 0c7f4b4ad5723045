"""The types of the released columns, inferred over all rows and written down, so that later releases keep them.

A type is plain JSON: `string`, `int64`, `double`, `bool`, `json` (text of a JSON value, for what is mixed or irregular), `null`
(nothing seen yet), `{"list": type}` or `{"struct": {name: type}}`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from datagen.errors import OutputError

Kind = str | dict[str, Any]
MOST_FIELDS = 64
"""A struct with more names is somebody's dictionary, not a record: it becomes JSON text."""


def infer(records: Iterable[Mapping[str, Any]]) -> dict[str, Kind]:
    """Column -> type over all records. Columns come in the order of first sight."""
    found: dict[str, Kind] = {}
    for record in records:
        widen(found, record)
    return {name: _settled(kind) for name, kind in found.items()}


def widen(found: dict[str, Kind], record: Mapping[str, Any]) -> None:
    """Make the types in `found` wide enough for one more record."""
    for name, value in record.items():
        if _SCALARS.get(type(value)) != found.get(name, ""):  # nearly always equal: text in a column of text
            found[name] = _join(found.get(name, "null"), _kind(value))


def holds(kind: Kind, seen: Kind) -> bool:
    """True where a column of type `kind` takes every value of type `seen`: what `fit` would say, before there is a record."""
    if kind in ("json", "null") or seen == "null":
        return True
    if isinstance(kind, str) or isinstance(seen, str):
        return _join(kind, seen) == kind
    if "list" in kind and "list" in seen:
        return holds(kind["list"], seen["list"])
    if "struct" in kind and "struct" in seen:
        return all(name in kind["struct"] and holds(kind["struct"][name], inner) for name, inner in seen["struct"].items())
    return False


_SCALARS: dict[type, str] = {str: "string", bool: "bool"}
"""Kinds that the type of a value alone decides."""


def _kind(value: Any) -> Kind:
    if isinstance(value, int) and not isinstance(value, bool):
        return "int64" if -(2**63) <= value < 2**63 else "json"
    if value is None or isinstance(value, bool | float | str):
        return {bool: "bool", float: "double", str: "string"}.get(type(value), "null")
    if isinstance(value, Mapping):
        return {"struct": {str(name): _kind(item) for name, item in sorted(value.items())}} if value else "json"
    if isinstance(value, list | tuple):
        inner: Kind = "null"
        for item in value:
            inner = _join(inner, _kind(item))
        return {"list": inner}
    return "json"


def _join(one: Kind, two: Kind) -> Kind:
    """The narrowest type that holds both; `json` where there is none."""
    if one == two or two == "null":
        return one
    if one == "null":
        return two
    if {"int64", "double"} == {str(one), str(two)}:
        return "double"
    if isinstance(one, dict) and isinstance(two, dict):
        return _join_nested(one, two)
    return "json"


def _join_nested(one: dict[str, Any], two: dict[str, Any]) -> Kind:
    if "list" in one and "list" in two:
        return {"list": _join(one["list"], two["list"])}
    if "struct" in one and "struct" in two:
        names = sorted({*one["struct"], *two["struct"]})
        return {"struct": {name: _join(one["struct"].get(name, "null"), two["struct"].get(name, "null")) for name in names}}
    return "json"


def _settled(kind: Kind) -> Kind:
    """A list or struct with anything irregular inside is JSON text as a whole: half a type helps nobody."""
    return "json" if isinstance(kind, dict) and _irregular(kind) else kind


def _irregular(kind: Kind) -> bool:
    if isinstance(kind, str):
        return kind == "json"
    if "list" in kind:
        return kind["list"] == "null" or _irregular(kind["list"])
    return len(kind["struct"]) > MOST_FIELDS or any(_irregular(item) for item in kind["struct"].values())


def fit(record: Mapping[str, Any], schema: Mapping[str, Kind], where: str) -> dict[str, Any]:
    """The record under the schema: every column present, irregular values as JSON text. Raises OutputError on a conflict."""
    extra = [name for name in record if name not in schema]
    if extra:
        raise OutputError(f"{where} has the column {extra[0]!r}, which the earlier releases lack: {_MAJOR}")
    values = ((name, record.get(name), kind) for name, kind in schema.items())
    return {name: value if _SCALARS.get(type(value)) == kind else _fitted(value, kind, f"{where}, column {name!r}") for name, value, kind in values}


_MAJOR = "add it to release.drop, or let the build make a new major release (--yes)"


def _fitted(value: Any, kind: Kind, where: str) -> Any:
    if value is None:
        return None
    if kind == "json" or (kind == "null" and not isinstance(value, str)):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    if isinstance(kind, dict):
        return _fitted_nested(value, kind, where)
    if kind != "null" and _join(kind, _kind(value)) != kind:
        raise _conflict(value, kind, where)
    if kind == "double":
        return float(value) if math.isfinite(value) else None  # Parquet would take it, JSON and most readers would not
    return value


def _fitted_nested(value: Any, kind: dict[str, Any], where: str) -> Any:
    if "list" in kind and isinstance(value, list | tuple):
        return [_fitted(item, kind["list"], where) for item in value]
    if "struct" in kind and isinstance(value, Mapping) and set(value) <= set(kind["struct"]):
        return {name: _fitted(value.get(name), inner, where) for name, inner in kind["struct"].items()}
    raise _conflict(value, kind, where)


def _conflict(value: Any, kind: Kind, where: str) -> OutputError:
    known = kind if isinstance(kind, str) else json.dumps(kind)
    return OutputError(f"{where} holds {str(value)[:60]!r} where the release has {known}: {_MAJOR}")


def described(kind: Kind) -> str:
    """A type in a reader's words: `list of struct(role, content)`."""
    if isinstance(kind, str):
        return {"json": "JSON text", "null": "string", "int64": "integer", "double": "number", "bool": "boolean"}.get(kind, kind)
    if "list" in kind:
        return f"list of {described(kind['list'])}"
    return f"struct({', '.join(kind['struct'])})"
