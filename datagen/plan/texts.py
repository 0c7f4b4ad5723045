"""What a line writes and for which cells: the text of each step that asks, and the fields of a seed that say what is to be covered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from datagen.plan.model import Plan, PlannedStep
from datagen.release.formats import FORMATS
from datagen.spec.models import Ask

TEXT = "string"
"""Type of a field, in a schema, that holds what a teacher wrote; a step that returns a number, a yes or a choice beside it is a judge."""


@dataclass(frozen=True, slots=True)
class Text:
    """One step that asks, and where its rows have what it wrote."""

    step: str
    number: int
    """Of the step in the line; that of the `repeat` around it."""
    field: str
    siblings: bool
    """True where rows of one parent are answers to one question (`samples`): they are alike by intent, so one of them speaks for all."""


def texts(plan: Plan) -> list[Text]:
    """Of each step that asks, in the order of the line; none of judges, whose words are about rows."""
    form = FORMATS.get(plan.spec.release.format)(columns=plan.spec.release.columns)
    needs = [form.field(form.reads), *form.needs().values()]
    found, siblings = list[Text](), False
    for outer in plan.steps:
        for step in _asks(outer):
            assert isinstance(step.spec, Ask)
            siblings = step.spec.samples > 1 or (siblings and step.spec.each is None)
            if field := _field(step, needs):
                found.append(Text(step.name, outer.number, field, siblings))
    return found


def axes(plan: Plan) -> list[str]:
    """Fields of a seed whose values are crossed: the grid's lists. Empty for other sources, which declare none."""
    seeds = plan.spec.seeds
    return [seeds.rename.get(name, name) for name in seeds.params] if seeds.source == "grid" else []


def _asks(step: PlannedStep) -> Iterator[PlannedStep]:
    if isinstance(step.spec, Ask):
        yield step
    for inner in step.inner:
        yield from _asks(inner)


def _field(step: PlannedStep, needs: list[str]) -> str:
    """What of a step's fields is released, else its first text; empty for a judge."""
    if step.schema is None:
        return step.name
    kinds = {name: schema.get("type") for name, schema in step.schema["properties"].items()}
    released = [name for name in needs if kinds.get(name) == TEXT]
    judges = any(kind not in (TEXT, "array", "object") for kind in kinds.values())
    return next(iter(released or ([] if judges else [name for name, kind in kinds.items() if kind == TEXT])), "")
