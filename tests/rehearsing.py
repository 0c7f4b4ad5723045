"""What the tests of the simulated teacher share: prompts, requests, and a teacher that uses no file outside the project."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datagen.rehearsal import material
from datagen.rehearsal.answers import Teacher
from datagen.rehearsal.settings import Settings, checked
from datagen.rehearsal.wires import Asked
from datagen.seeds.problems import Problems
from datagen.spec.models import Bank

SHARED = Path(os.environ.get("DATAGEN_SHARED") or Path(__file__).resolve().parents[2] / "shared")
QUESTIONS = [(row["question"], row["answer"]) for row in Problems(count=117, seed=3).rows()]
TOPICS = (
    "Fractions", "Probability", "Sorting", "Photosynthesis", "Supply and demand", "Compound interest", "Calendars", "Logic", "Speed", "Sets",
    "Sleep", "Geometry", "Equations", "Number theory", "Averages", "Chemistry", "Python loops", "Roman history", "Ratios", "Permutations",
    "Binary numbers", "Friendship",
)  # fmt: skip
AUDIENCES = ("child", "student", "engineer", "everyone")
STYLES = ("lesson", "worked-example", "dialogue", "story", "questions and answers")


@pytest.fixture(autouse=True)
def only_built_in_material(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Real defect texts are used where the shared data is; here they are not."""
    monkeypatch.delenv("DATAGEN_SHARED", raising=False)
    forget_material()
    yield
    forget_material()


def forget_material() -> None:
    for cached in (material.refusals, material.benchmark_items, material.foreign_paragraphs, material.wrong_solutions, material.material_digest):
        cached.cache_clear()


def asked(user: str, identity: str = "k1:0", *, sample: int = 0, schema: dict[str, Any] | None = None, thinks: bool = False) -> Asked:
    return Asked("openai", f"{identity}:{sample}", identity, sample, "m", "", (("user", user),), schema, thinks)


def solve(question: str) -> str:
    return f"Solve the problem below step by step.\n\nProblem: {question}"


def section(index: int) -> str:
    return f"Write one section of a textbook.\n\nTopic: {TOPICS[index % 22]}\nAudience: {AUDIENCES[index % 4]}\nStyle: {STYLES[index % 5]}"


def of(settings: Settings | None = None, **more: Any) -> Teacher:
    return Teacher(checked(settings or Settings(**more)))


def bank_of(tmp_path: Path, rows: list[dict[str, str]]) -> Settings:
    path = tmp_path / "bank.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Settings(bank=Bank(path=str(path)))


def object_of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


TEXT = {"type": "string"}


RUBRIC = object_of(score={"type": "integer", "minimum": 1, "maximum": 5}, fault=TEXT)
