"""A shelf: one table of lazy names that entry points extend.

Built-in things are listed as `"name": "module:attribute"` and are looked up exactly as a plugin is, so adding one costs its file and
one line. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from datagen.errors import SpecError, nearest


class Shelf:
    """Named things of one kind: `Shelf("operator", {"length": "datagen.operators.shape:Length"})`."""

    def __init__(self, kind: str, table: Mapping[str, str]) -> None:
        self.kind = kind
        self._table = dict(table)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({**self._plugins(), **self._table}))

    def __contains__(self, name: object) -> bool:
        return name in self._table or name in self._plugins()

    def get(self, name: str, where: str = "") -> Any:
        """The thing called `name`. Raises SpecError that lists what is known; `where` is `file:line`."""
        target = self._table.get(name) or self._plugins().get(name)
        if target is None:
            prefix = f"{where}: " if where else ""
            raise SpecError(f"{prefix}unknown {self.kind} {name!r}{nearest(name, self)}")
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def _plugins(self) -> dict[str, str]:
        return _entry_points(f"datagen.{self.kind.replace(' ', '_')}s")


@cache
def _entry_points(group: str) -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=group)}
