"""What a seed source is: a frozen model that yields rows of named values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

Listing = Callable[[str], Sequence[str]]
"""Resolves the name of a list file (`topics/mathematics`) to its entries."""


class SeedSource(Protocol):
    """One source. Its order is stable: taking more yields the same rows first, then new ones."""

    def rows(self, base: Path, listing: Listing) -> Iterator[dict[str, Any]]:
        """Values by name. Relative paths start at `base`. Raises SeedError when the source cannot be read."""
        ...
