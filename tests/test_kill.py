"""kill -9 at random moments, then the same command: promise 1 and promise 4, on a sample. `make soak` runs the full count."""

from __future__ import annotations

from pathlib import Path

import pytest
from killing import NOWHERE, assert_promises, build, digest_of, kill_while_building, problems, spec_of, standing_simulator, statement


def text(url: str) -> str:
    return spec_of("killed", url, problems(90), 16, "0.15,0.6")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "killed.yaml"
    path.write_text(text(NOWHERE))
    return path


def test_recorded_answers_are_never_paid_again(spec: Path, tmp_path: Path) -> None:
    with standing_simulator(spec) as url:
        spec.write_text(text(url))
        kills = kill_while_building(spec, tmp_path / "out", url, kills=3, longest=2.2, seed=11)
        build(spec, tmp_path / "out")
        final = {entry["key"]: entry["count"] for entry in statement(url)}
        assert len(final) == 360
        assert any(kill.recorded for kill in kills), "no kill hit a running build"
        assert_promises(kills, final, most_in_flight=16)
        build(spec, tmp_path / "calm")
        assert digest_of(tmp_path / "out") == digest_of(tmp_path / "calm")
