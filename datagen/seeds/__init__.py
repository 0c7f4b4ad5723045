"""Where rows begin: each source yields plain mappings of named values, in an order that growth never changes."""

from __future__ import annotations

from datagen.shelf import Shelf

SEEDS = Shelf(
    "seed source",
    {
        "grid": "datagen.seeds.grid:Grid",
        "table": "datagen.seeds.table:Table",
        "documents": "datagen.seeds.documents:Documents",
        "problems": "datagen.seeds.problems:Problems",
    },
)
