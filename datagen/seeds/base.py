"""What a seed source is: a frozen model that yields rows of named values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

Listing = Callable[[str], Sequence[str]]
"""Resolves the name of a list file (`topics/mathematics`) to its entries."""


class SeedSource(Protocol):
    """One source. Its order is stable: taking more yields the same rows first, then new ones."""

    def rows(self, base: Path, listing: Listing) -> Iterator[dict[str, Any]]:
        """Values by name. Relative paths start at `base`. Raises SeedError when the source cannot be read."""
        ...


@runtime_checkable
class FromFiles(Protocol):
    """A source that reads files: those with a relative path belong to the spec, and go where it goes."""

    def beside(self, base: Path) -> list[Path]:
        """The files that a relative path names from `base`; none for an absolute path or an address, which mean the same everywhere."""
        ...
