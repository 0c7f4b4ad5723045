"""The verbs, one file each, by what they see: one row, one group, or the whole set."""

from __future__ import annotations

from datagen.shelf import Shelf

ROWS = Shelf(
    "row step",
    {
        "ask": "datagen.steps.rows.ask:run",
        "check": "datagen.steps.rows.judge:run",
        "filter": "datagen.steps.rows.judge:run",
        "repeat": "datagen.steps.rows.repeat:run",
    },
)
GROUPS = Shelf("group step", {"vote": "datagen.steps.groups.vote:run", "select": "datagen.steps.groups.select:run"})
SETS = Shelf(
    "set step",
    {
        "dedup": "datagen.steps.sets.dedup:DedupStep",
        "decontaminate": "datagen.steps.sets.decontaminate:DecontaminateStep",
        "mix": "datagen.steps.sets.mix:MixStep",
    },
)
