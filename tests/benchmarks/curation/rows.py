"""Rows that are known to be good, and the recipe that judges each kind; what the figures of curation share."""

from __future__ import annotations

import os
import random
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from datagen.operators.recipe import Recipe
from datagen.storage import read_table

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("DATAGEN_SHARED", ROOT.parent / "shared"))


@cache
def table(pattern: str) -> list[dict[str, Any]]:
    paths = sorted((SHARED / "data").glob(pattern))
    if not paths:
        raise SystemExit(f"needs the shared real data: nothing at {SHARED / 'data' / pattern}; set DATAGEN_SHARED")
    return [row for path in paths for row in read_table(path)]


@cache
def recipe(name: str) -> Recipe:
    path = ROOT / "filters" / f"{name}.yaml"
    return Recipe.build(yaml.safe_load(path.read_text(encoding="utf-8")), lambda index: f"{path.name}, line {index + 1}")


def faults(name: str, text: str) -> list[str]:
    """operator:reason of every operator of the recipe that drops the text."""
    return [f"{operator}:{found.reason}" for operator, _, found in recipe(name).judge({"text": text}) if not found.keep]


def known_good() -> dict[str, tuple[str, list[str]]]:
    """Set -> (recipe, every row of it)."""
    return {
        "gsm8k": ("rationale", [f"{row['question']}\n{row['answer']}" for row in table("gsm8k/train.parquet")]),
        "humaneval": ("code", [row["prompt"] + row["canonical_solution"] for row in table("humaneval/humaneval.parquet")]),
        "mbpp": ("code", [row["code"] for row in table("mbpp/mbpp.parquet")]),
        "openstax": ("textbook", [row["text"] for row in table("openstax_textbooks/*.parquet")]),
        "gpteacher": ("instructions", [row["response"] for row in table("gpteacher/gpteacher.parquet")]),
    }


def excerpt(text: str, draw: random.Random, words: int = 300) -> str:
    """Whole paragraphs from a random place, until there are so many words and a sentence has ended."""
    paragraphs = text.split("\n\n")
    kept: list[str] = []
    for paragraph in paragraphs[draw.randrange(max(1, len(paragraphs) // 2)) :]:
        kept.append(paragraph)
        if sum(len(part.split()) for part in kept) >= words and paragraph.endswith((".", "!", "?")):
            break
    return "\n\n".join(kept)
