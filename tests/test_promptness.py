"""Answers that arrive find the event loop free: rows are set off a few at a time, and libraries load when nothing waits."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from teaching import made, project, teacher

from datagen.asking.ask import Asker
from datagen.steps.part import SLICE

SEEDS = "{grid: {topic: [" + ", ".join(f"t{number}" for number in range(200)) + "]}}"
SAMPLES = 4


def test_a_replay_sets_off_few_rows_between_two_looks_at_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many parts are in the air: 800 recorded answers in eight parts were 224 at a time once, and a live answer waited for them."""
    steps = f"  - {{name: text, ask: t/text, of: w, samples: {SAMPLES}}}"
    with teacher(str.upper) as taught:
        spec = project(tmp_path, steps, {"text": "about {{ topic }}, {{ sample }}"}, SEEDS, url=taught.url)
        made(spec, tmp_path / "out")
        assert len(taught.prompts) == 200 * SAMPLES
        shutil.rmtree(tmp_path / "out" / "steps")
        turns = counted_by_turn(monkeypatch)
        made(spec, tmp_path / "out")
        assert len(taught.prompts) == 200 * SAMPLES
    assert sum(turns) == 200 * SAMPLES
    assert max(turns) <= SLICE * SAMPLES


def counted_by_turn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows asked in each turn of the event loop."""
    turns: list[int] = []
    ask = Asker.ask

    def next_turn() -> None:
        turns.append(0)
        asyncio.get_running_loop().call_soon(next_turn)

    async def counting(self: Asker, *arguments: Any) -> Any:
        if not turns:
            next_turn()
        turns[-1] += 1
        return await ask(self, *arguments)

    monkeypatch.setattr(Asker, "ask", counting)
    return turns
