"""The table of `bench-filters` beside a recipe: how it is told that it speaks of the very recipe a build used."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from datagen.operators.recipe import Recipe
from datagen.records import digest
from datagen.storage import read_json

TABLE = ".bench.json"
"""`filters/rationale.yaml` has `filters/rationale.bench.json` beside it."""


def identity_of(recipe: Recipe, text: str) -> dict[str, str]:
    """What a table speaks of: the recipe's text, and its operators with their versions and every parameter."""
    return {"recipe_sha256": hashlib.sha256(text.encode()).hexdigest(), "operators_digest": digest(recipe.identity())}


def benched(path: Path, text: str, recipe: Recipe) -> dict[str, Any] | None:
    """The table beside a recipe, None where there is none. `present`: whether it was measured with this very text and these operators."""
    table = read_json(path.with_name(f"{path.stem}{TABLE}"))
    if not isinstance(table, dict):
        return None
    return {**table, "present": all(table.get(name) == value for name, value in identity_of(recipe, text).items())}
