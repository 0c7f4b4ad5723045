"""Budgets over kills and resumes: never more than the cap, and hardly less."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from budgets import trial


@pytest.mark.skipif("DATAGEN_SHARED" not in os.environ, reason="needs the independent fake teacher ($DATAGEN_SHARED)")
@pytest.mark.parametrize("seed", range(5))
def test_a_random_budget_holds(tmp_path: Path, seed: int) -> None:
    found = trial(tmp_path, seed)
    assert not found.overspent and found.unspent <= 1.0
