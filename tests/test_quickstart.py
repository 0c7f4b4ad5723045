"""What a newcomer sees first: the quickstart's rows are many, true, and not all alike."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from killing import build

from datagen.seeds.problems import all_families

MOST_SENTENCE, MOST_OPENING = 0.02, 0.05


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("quickstart") / "out"
    build(Path(__file__).parent.parent / "pipelines" / "rationale.yaml", out, "--teacher", "simulator")
    return [row for path in sorted((out / "data").iterdir()) for row in pq.read_table(path).to_pylist()]


def test_there_are_enough_and_they_are_true(rows: list[dict[str, Any]]) -> None:
    assert len(rows) >= 470  # of 480
    for row in rows:
        family = next(family for family in all_families() if family.name == row["family"])
        params = family.parse(row["question"])
        assert params is not None
        assert family.solve(params).answer == row["answer"]
        assert row["final_answer"] and row["correct"]


def test_no_sentence_and_no_opening_comes_too_often(rows: list[dict[str, Any]]) -> None:
    sentences: Counter[str] = Counter()
    openings: Counter[str] = Counter()
    for row in rows:
        sentences.update({part.strip() for part in re.split(r"(?<=[.!?])\s+|\n+", row["rationale"]) if len(part.split()) >= 4})
        openings[" ".join(row["rationale"].split()[:4])] += 1
    sentence, sentence_count = sentences.most_common(1)[0]
    opening, opening_count = openings.most_common(1)[0]
    assert sentence_count <= MOST_SENTENCE * len(rows), f"{sentence!r} stands in {sentence_count} of {len(rows)} rows"
    assert opening_count <= MOST_OPENING * len(rows), f"{opening!r} opens {opening_count} of {len(rows)} rows"
