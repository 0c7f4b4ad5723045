"""YAML with line numbers: what people wrote, as plain data, and where each word stands."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from datagen.errors import SpecError, nearest

Model = TypeVar("Model", bound=BaseModel)
DEPTH = 40
"""Levels of nesting that are read; no spec has ten."""
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@dataclass(frozen=True)
class Written:
    """The data of one YAML file and the line of every place in it."""

    path: Path
    value: Any
    lines: Mapping[tuple[str | int, ...], int]
    text: str

    def where(self, place: Iterable[str | int] = ()) -> str:
        """`file:line` of a place, or of the nearest thing around it that has a line."""
        steps = tuple(place)
        while steps and steps not in self.lines:
            steps = steps[:-1]
        return f"{self.path}:{self.lines.get(steps, 1)}"


def read_yaml(path: Path, text: str | None = None) -> Written:
    """Parse one file. Raises SpecError with file:line on bad YAML, a repeated key, or an unset `${VARIABLE}`."""
    if text is None:
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise SpecError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SpecError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError(f"{path}:{line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: not valid YAML: {error}") from error
    lines: dict[tuple[str | int, ...], int] = {}
    value = _build(node, (), lines, path) if node is not None else None
    return Written(path, value, lines, text)


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _build(node: yaml.Node, place: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int], path: Path) -> Any:
    lines.setdefault(place, node.start_mark.line + 1)
    if len(place) > DEPTH:
        raise SpecError(f"{path}:{node.start_mark.line + 1}: nested more than {DEPTH} deep; an alias that holds itself has no end")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, place, lines, path)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*place, index), lines, path) for index, item in enumerate(node.value)]
    return _scalar(node, f"{path}:{node.start_mark.line + 1}")


def _mapping(node: yaml.MappingNode, place: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int], path: Path) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key_node, item in node.value:
        line = key_node.start_mark.line + 1
        key = str(key_node.value)
        if key in value:
            raise SpecError(f"{path}:{line}: the key {key!r} stands twice; the second would hide the first")
        lines[(*place, key)] = line
        value[key] = _build(item, (*place, key), lines, path)
    return value


def _scalar(node: yaml.Node, where: str) -> Any:
    loader = _Loader("")
    try:
        value = loader.construct_object(node)
    except yaml.YAMLError as error:
        raise SpecError(f"{where}: {error}") from error
    finally:
        loader.dispose()
    if isinstance(value, bool) and node.value.lower() not in ("true", "false"):
        return str(node.value)  # yes, no, on, off: words, which a bool field still takes for what they say
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match, where), value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(node.value)  # a date stays the text that was written


def _variable(match: re.Match[str], where: str) -> str:
    value = os.environ.get(match[1], match[2])
    if value is None:
        raise SpecError(f"{where}: the environment variable {match[1]} is not set; set it, or write ${{{match[1]}:-default}}")
    return value


def validated(model: type[Model], value: Any, written: Written, place: tuple[str | int, ...] = ()) -> Model:
    """`value` as a model. Raises SpecError that lists every mistake as `file:line: what was found, what is known`."""
    if not isinstance(value, Mapping):
        raise SpecError(f"{written.where(place)}: expected a mapping of {', '.join(model.model_fields)}; found {_shown(value)}")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        messages = [_explained(problem, model, written, place) for problem in error.errors()]
        raise SpecError("\n".join(dict.fromkeys(messages))) from error


def validated_by(adapter: TypeAdapter[Any], value: Any, written: Written, place: tuple[str | int, ...]) -> Any:
    """As `validated`, for a model that its owner validates (a seed source)."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        model = getattr(adapter, "_type", BaseModel)
        messages = [_explained(problem, model, written, place) for problem in error.errors()]
        raise SpecError("\n".join(dict.fromkeys(messages))) from error


def _explained(problem: Any, model: type[BaseModel], written: Written, place: tuple[str | int, ...]) -> str:
    location = tuple(part for part in problem["loc"] if not (isinstance(part, str) and part[:1].isupper()))
    location = location[:-1] if location[-1:] == ("[key]",) else location  # the key itself is what is wrong
    where = written.where((*place, *location))
    name = next((part for part in reversed(location) if isinstance(part, str)), "")  # an item of a list goes by the list's name
    inside = f" in `{'.'.join(str(part) for part in location[:-1])}`" if len(location) > 1 else ""
    match problem["type"]:
        case "extra_forbidden":
            return f"{where}: unknown key {name!r}{inside}{nearest(name, _known_keys(model, problem['loc'][:-1]))}"
        case "missing":
            return f"{where}: the key {name!r} is missing{inside}"
        case "value_error":
            return f"{where}: {problem['msg'].removeprefix('Value error, ')}"
        case _:
            return f"{where}: {name}: {problem['msg'][0].lower()}{problem['msg'][1:]}; found {_shown(problem['input'])}"


def _known_keys(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The fields of the model at a place inside `model`."""
    found = [model]
    for part in location:
        found = [each for outer in found for each in _inside(outer, part)]
        found = [each for each in found if each.__name__ == part] or found  # a part may be the tag of a union
    return [name for each in found[:1] for name in each.model_fields]


def _inside(model: type[BaseModel], part: str | int) -> list[type[BaseModel]]:
    """What a field may hold; of a union of models all of them, for the next part of the place says which."""
    if not isinstance(part, str) or part not in model.model_fields:
        return [model]  # an index, a key of a dict: stay
    annotation = model.model_fields[part].annotation
    candidates = [annotation, *getattr(annotation, "__args__", ())]
    bare = (each.__origin__ if hasattr(each, "__metadata__") else each for each in candidates)
    return [each for each in bare if isinstance(each, type) and issubclass(each, BaseModel)]


def whole_text(text: str) -> str:
    """The text with halves of surrogate pairs replaced: JSON can escape them, no file can hold them."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
