"""Two hundred random budgets, random costs, random kills."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from budgets import trial


@pytest.mark.soak
@pytest.mark.skipif("DATAGEN_SHARED" not in os.environ, reason="needs the independent fake teacher ($DATAGEN_SHARED)")
def test_two_hundred_random_budgets(tmp_path: Path) -> None:
    found = [trial(tmp_path / str(seed), 1000 + seed) for seed in range(200)]
    over = [each.overspent for each in found if each.overspent]
    stopped = [each.unspent for each in found if each.code == 8]
    assert not over and max(stopped) <= 1.0
    print(f"\n200 budgets: overspent 0; {len(stopped)} stopped for money, at most {max(stopped):.2f} worst cases per teacher unspent")
