"""Thresholds changed by name, `good.repetition.at_most=0.2`: put into a spec as it was read, before anything is planned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datagen.errors import SpecError, nearest
from datagen.operators.recipe import Recipe
from datagen.plan.files import items_of
from datagen.spec.load import Loaded
from datagen.spec.models import AnyStep, Ask, Check, Filter, Repeat
from datagen.spec.reading import Written, read_yaml, validated
from datagen.spec.terms import Words

SHAPE = "STEP.OPERATOR.PARAMETER=VALUE, such as good.repetition.at_most=0.2"


def told_apart(names: Iterable[str]) -> list[str]:
    """The names of a recipe's operators, each once: the second `length` is `length_2`."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return found


@dataclass(frozen=True, slots=True)
class Setting:
    """One parameter with another value. The operator of a step that has none of its own (dedup, vote, ...) is its verb."""

    step: str
    operator: str
    parameter: str
    """Of parameters within one, with dots: `meaning.at_least`."""
    value: Any

    @classmethod
    def read(cls, text: str) -> Setting:
        """Raises SpecError for a text of another shape; the value is read as YAML reads one."""
        name, sign, said = text.partition("=")
        parts = [part.strip() for part in name.split(".")]
        if not sign or len(parts) < 3 or not all(parts):
            raise SpecError(f"--set {text}: write {SHAPE}")
        return cls(parts[0], parts[1], ".".join(parts[2:]), read_yaml(Path(f"--set {text}"), said).value)

    @property
    def name(self) -> str:
        return f"{self.step}.{self.operator}.{self.parameter}"

    @property
    def where(self) -> str:
        """What an error begins with."""
        return f"--set {self.name}"


def overridden(loaded: Loaded, settings: Sequence[Setting]) -> Loaded:
    """The spec with these values. What is as it was before stays as it was written, so that the plan is the same.

    Raises SpecError for an unknown step, operator or parameter, with the nearest guess, and for a value that its owner refuses.
    """
    steps = list(loaded.spec.steps)
    for setting in settings:
        names = [step.name for step in _flat(steps)]
        if setting.step not in names:
            raise SpecError(f"{setting.where}: no step {setting.step!r}{nearest(setting.step, names)}")
        steps = [_within(loaded, step, setting) for step in steps]
    return replace(loaded, spec=loaded.spec.model_copy(update={"steps": steps}))


def _flat(steps: Iterable[AnyStep]) -> Iterator[AnyStep]:
    for step in steps:
        yield step
        yield from _flat(step.repeat.steps if isinstance(step, Repeat) else ())


def _within(loaded: Loaded, step: AnyStep, setting: Setting) -> AnyStep:
    """The step changed where it is the one that is meant, or goes round it; else as it is."""
    if step.name == setting.step:
        return _changed(loaded, step, setting)
    if not isinstance(step, Repeat) or setting.step not in [each.name for each in _flat(step.repeat.steps)]:
        return step
    inner = [_within(loaded, each, setting) for each in step.repeat.steps]
    return step if inner == step.repeat.steps else step.model_copy(update={"repeat": step.repeat.model_copy(update={"steps": inner})})


def _changed(loaded: Loaded, step: AnyStep, setting: Setting) -> AnyStep:
    match step:
        case Ask() | Repeat():
            judges = [each.name for each in _flat(loaded.spec.steps) if not isinstance(each, Ask | Repeat)]
            raise SpecError(f"{setting.where}: {step.name} asks teachers, who would have to answer anew: change the spec; known: {', '.join(judges)}")
        case Filter():
            items = _items(loaded, step)
            changed = _set(items, setting, step.on)
            return step if changed == items else step.model_copy(update={"filter": changed})
        case Check():
            claims = [{name: params} for name, params in step.check.items()]
            return step.model_copy(update={"check": _set(claims, setting, None)[0]})
    words = getattr(step, step.verb)
    if setting.operator != step.verb:
        raise SpecError(f"{setting.where}: {step.name} is no recipe: write {step.name}.{step.verb}.PARAMETER")
    said = _said(words, setting.parameter.split("."), setting, step.verb)
    new = validated(type(words), said, Written(Path(setting.where), None, {}, ""))
    return step if new == words else step.model_copy(update={step.verb: new})


def _said(words: Any, names: Sequence[str], setting: Setting, owner: str) -> dict[str, Any]:
    """What a verb, or a parameter of it that holds others, is told, with one value changed. Raises SpecError for a name that it does not have."""
    name, *rest = names
    if isinstance(words, Words):
        if name not in type(words).model_fields:
            raise SpecError(f"{setting.where}: {owner} has no {name!r}{nearest(name, type(words).model_fields)}")
        said, held = words.model_dump(exclude_unset=True), getattr(words, name)
    elif isinstance(words, dict):
        said, held = words, words.get(name)
    else:
        raise SpecError(f"{setting.where}: the spec gives {owner} no parameters of its own to change; write them there, or set {owner} as a whole")
    return {**said, name: _said(held, rest, setting, name) if rest else setting.value}


def _items(loaded: Loaded, step: Filter) -> list[dict[str, Any]]:
    if not isinstance(step.filter, str):
        return items_of(step.filter, step.name)
    written = loaded.library.recipe(step.filter, step.name)
    return items_of(written.value, written.where())


def _set(items: Sequence[dict[str, Any]], setting: Setting, on: str | None) -> list[dict[str, Any]]:
    """The items of a recipe with one parameter changed; as they were where the operator comes out the same."""
    names = told_apart(next(iter(item)) for item in items)
    if setting.operator not in names:
        raise SpecError(f"{setting.where}: step {setting.step} has no operator {setting.operator!r}{nearest(setting.operator, names)}")
    at = names.index(setting.operator)
    ((kind, params),) = items[at].items()
    changed = {kind: {**(params or {}), setting.parameter: setting.value}}
    before, after = (Recipe.build([item], lambda _: setting.where, on) for item in (items[at], changed))
    return [*items[:at], items[at] if before.operators == after.operators else changed, *items[at + 1 :]]
