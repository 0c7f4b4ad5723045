"""What a format is: named columns, the row fields they come from, and the records one row gives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator

from datagen.errors import OutputError, nearest


class Format(BaseModel):
    """The columns a trainer expects. `columns` says which field of the row fills a column whose name differs.

    A subclass names its columns, may override `rows`, and carries one `example`: fields, and the records they give, which the
    contract test runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    required: ClassVar[tuple[str, ...]]
    optional: ClassVar[tuple[str, ...]] = ()
    """Columns that are empty where the row lacks the field."""
    reads: ClassVar[str]
    """The released column a person reads first: the report measures and shows it."""
    tasks: ClassVar[tuple[str, ...]] = ("text-generation",)
    """Task categories of the Hub's card."""
    example: ClassVar[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]

    columns: dict[str, str] = {}

    @model_validator(mode="after")
    def _known(self) -> Self:
        known = (*self.required, *self.optional)
        for column in self.columns:
            if column not in known:
                raise ValueError(f"release.columns names {column!r}, which this format does not have{nearest(column, known)}")
        return self

    def field(self, column: str) -> str:
        """The row's field behind a column."""
        return self.columns.get(column, column)

    def needs(self) -> dict[str, str]:
        """Column -> field that every row must have; optional columns only where the spec names them."""
        return {column: self.field(column) for column in (*self.required, *(name for name in self.optional if name in self.columns))}

    def uses(self) -> set[str]:
        """Fields that the format's columns carry, so that they are not released a second time."""
        return {self.field(column) for column in (*self.required, *self.optional)}

    def rows(self, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The records of one row; most formats give one. Raises OutputError when a needed field is missing."""
        record = {column: as_text(self.take(fields, column)) for column in self.required}
        return [record | {column: as_text(fields.get(self.field(column))) for column in self.optional}]

    def emits(self) -> tuple[str, ...]:
        """The columns of the records that `rows` gives."""
        return (*self.required, *self.optional)

    def take(self, fields: Mapping[str, Any], column: str) -> Any:
        """The value of a required column."""
        name = self.field(column)
        if fields.get(name) is None:
            lacks = "is null (empty) there: drop such rows before the end of the line" if name in fields else f"it lacks{nearest(name, fields)}"
            raise OutputError(
                f"column {column!r} of the release needs the field {name!r}, which {lacks}. "
                f"Or name another field: release: {{columns: {{{column}: FIELD}}}}"
            )
        return fields[name]


def as_text(value: Any) -> str:
    """A field as a text column: text as it is, nothing as '', anything else as JSON."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
