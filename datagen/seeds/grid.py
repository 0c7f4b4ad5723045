"""Lists crossed with each other: topic x audience x style, even over the cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import RootModel

from datagen.errors import SeedError
from datagen.records import digest
from datagen.seeds.base import Listing


class Grid(RootModel[dict[str, list[str | int | float] | str]]):
    """Field -> list of values, or the name of a list file.

    Cells come in the order of their digests, so any `take` is spread over all axes; when it is larger than the number of cells the
    grid starts again with `variant` 1, 2, ...: each cell is taken equally often, to one.
    """

    def rows(self, base: Path, listing: Listing) -> Iterator[dict[str, Any]]:
        axes = self._axes(listing)
        empty = [name for name, values in axes.items() if not values]
        if not axes or empty:
            raise SeedError(f"grid: {'no axis' if not axes else f'the axis {empty[0]!r} has no values'}, so there is nothing to cross")
        cells = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
        cells.sort(key=digest)
        for variant in itertools.count():
            for cell in cells:
                yield {**cell, "variant": variant}

    def cells(self, listing: Listing) -> int:
        """How many different cells there are; the default of `take`."""
        return math.prod(len(values) for values in self._axes(listing).values())

    def _axes(self, listing: Listing) -> dict[str, list[str | int | float]]:
        """What each axis holds, each value once."""
        return {name: list(dict.fromkeys(listing(values) if isinstance(values, str) else values)) for name, values in self.root.items()}
