"""A recipe: operators in order with their thresholds, ready to judge rows in another process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from datagen.errors import SpecError, nearest
from datagen.operators import OPERATORS
from datagen.operators.base import Finding, Operator

Item = Mapping[str, Mapping[str, Any] | None]
"""One line of a recipe as read: {operator: parameters or null}."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Operators in order, under the names the recipe gave them. Frozen and picklable."""

    operators: tuple[tuple[str, Operator], ...]

    @classmethod
    def build(cls, items: Sequence[Item], where: Callable[[int], str], on: str | None = None) -> Recipe:
        """Names looked up and parameters validated. Raises SpecError that begins with `where(index)`, say `filters/web.yaml:3`.

        `on` is the field for operators that look at "text" unless told otherwise; an operator with a field of its own (a score) keeps it.
        """
        return cls(tuple(_operator(item, where(index), on) for index, item in enumerate(items)))

    def judge(self, fields: Mapping[str, Any]) -> list[tuple[str, int, Finding]]:
        """(operator, version, finding) of every operator, also after one has dropped: verdicts are data, thresholds may move.

        What an operator writes is seen by those after it. The first finding that does not keep is the drop's reason. An operator that is not made
        for the row's type (its field `task`) does not see it, and says nothing of it.
        """
        seen, found = dict(fields), []
        task = fields.get("task")
        for name, operator in self.operators:
            if not operator.judges(task):
                continue
            finding = operator.judge(seen)
            seen.update(finding.fields)
            found.append((name, operator.version, finding))
        return found

    def reads(self) -> set[str]:
        """Fields that must exist before the first operator runs; `task` too where a line is for some types only."""
        written: set[str] = set()
        needed: set[str] = {"task"} if any(operator.tasks for _, operator in self.operators) else set()
        for _, operator in self.operators:
            needed.update(set(operator.reads()) - written)
            written.update(operator.written())
        return needed

    def knowing(self, prompts: Sequence[str]) -> Recipe:
        """The same recipe for operators that look for the words of the prompts (`known`), where the recipe gives none."""
        known = tuple(prompts)
        return Recipe(
            tuple(
                (name, operator.model_copy(update={"known": known}) if getattr(operator, "known", None) == () else operator)
                for name, operator in self.operators
            )
        )

    def deadline(self) -> float:
        """Seconds that one row may take beyond a batch's deadline; 0 where no operator needs that."""
        return sum(operator.deadline() for _, operator in self.operators)

    def unsafe(self) -> Recipe:
        """The same recipe for a machine without a sandbox: operators that run programs are content with resource limits."""
        loose = {"unsafe_sandbox": True}
        return Recipe(tuple((name, each.model_copy(update=loose) if hasattr(each, "unsafe_sandbox") else each) for name, each in self.operators))

    def loose(self) -> bool:
        """Whether an operator of it may run programs without a sandbox."""
        return any(getattr(operator, "unsafe_sandbox", False) for _, operator in self.operators)

    def writes(self) -> tuple[str, ...]:
        """Fields that the operators add to a row."""
        return tuple(dict.fromkeys(name for _, operator in self.operators for name in operator.written()))

    def identity(self) -> list[dict[str, Any]]:
        """Names, versions and every parameter, defaults too: what the findings depend on, as plain JSON."""
        return [{"operator": name, "version": operator.version, "params": operator.model_dump(mode="json")} for name, operator in self.operators]


def _operator(item: Item, where: str, on: str | None) -> tuple[str, Operator]:
    if not isinstance(item, Mapping) or len(item) != 1:
        found = f"{len(item)} names ({', '.join(map(str, item))})" if isinstance(item, Mapping) else repr(item)
        raise SpecError(f"{where}: a recipe's line is one operator with its parameters, `- length: {{min_words: 5}}`; found {found}")
    ((name, given),) = item.items()
    kind: type[Operator] = OPERATORS.get(str(name), where)
    if given is not None and not isinstance(given, Mapping):
        raise SpecError(f"{where}: {name}: parameters are `name: value` pairs, found {given!r}; known: {', '.join(sorted(kind.model_fields))}")
    params = dict(given or {})
    if on is not None and "on" not in params and kind.model_fields["on"].default == "text":
        params["on"] = on
    try:
        return name, kind.model_validate(params)
    except ValidationError as error:
        raise SpecError(f"{where}: {name}: {_explain(error, kind)}") from error


def _explain(error: ValidationError, kind: type[Operator]) -> str:
    """Pydantic's errors as one sentence each, with the nearest known parameter for a misspelt one."""
    told = []
    for fault in error.errors(include_url=False, include_context=False):
        place = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            told.append(f"unknown parameter {place!r}{nearest(place, kind.model_fields)}")
        elif fault["type"] == "missing":
            told.append(f"needs the parameter {place!r}")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            told.append(f"{place}: {message}, found {fault['input']!r}" if place else message)
    return "; ".join(told)
