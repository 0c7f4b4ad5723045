"""Run 3 of the README: 20 kills of run 1 (675 real questions, 2,700 recorded real answers), then the same bytes as an undisturbed run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from killing import assert_promises, build, digest_of, kill_while_building, standing_simulator, statement

REAL = Path(__file__).parent.parent / "real"


@pytest.mark.soak
@pytest.mark.skipif("DATAGEN_SHARED" not in os.environ, reason="needs the shared real data ($DATAGEN_SHARED)")
def test_twenty_kills_of_the_real_run(tmp_path: Path) -> None:
    text = (REAL / "gsm8k_bank.yaml").read_text().replace("max_in_flight: 256", "max_in_flight: 24")
    spec = tmp_path / "gsm8k_bank.yaml"
    spec.write_text(f"{text}  latency: lognormal:0.15,0.6\n")
    with standing_simulator(spec) as url:
        spec.write_text(spec.read_text().replace("model: openai/gpt-5.6", f"model: simulator/bank, base_url: '{url}'"))
        kills = kill_while_building(spec, tmp_path / "out", url, kills=20, longest=2.8, seed=2026)
        build(spec, tmp_path / "out")
        final = {entry["key"]: entry["count"] for entry in statement(url)}
        twice = assert_promises(kills, final, most_in_flight=24)
        build(spec, tmp_path / "calm")
        assert len(final) == 2700
        assert digest_of(tmp_path / "out") == digest_of(tmp_path / "calm")
        print(f"\n20 kills: recorded and paid again 0; in flight and paid again {twice} of {len(final)}; same bytes as an undisturbed run")
