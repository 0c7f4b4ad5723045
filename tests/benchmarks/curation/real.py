"""Columns of the shared real data."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet

DATA = Path(os.environ.get("DATAGEN_SHARED") or Path(__file__).resolve().parents[4] / "shared") / "data"


@cache
def column(name: str, column: str) -> list[Any]:
    """Raises SystemExit that says what is missing."""
    path = DATA / f"{name}.parquet"
    if not path.exists():
        raise SystemExit(f"needs the shared data: no {path}; set DATAGEN_SHARED")
    values: list[Any] = pyarrow.parquet.read_table(path, columns=[column]).column(0).to_pylist()
    return values
