"""kill -9 at random moments, then the same command: promise 1 and promise 4, on a sample. `make soak` runs the full count."""

from __future__ import annotations

from pathlib import Path

import pytest
from killing import assert_promises, build, digest_of, kill_while_building, standing_simulator, statement

SPEC = """\
name: killed
seeds: {{problems: {{families: all, count: 90, seed: 3}}}}
vary:
  style: [short, long]
teachers:
  writer: {{model: simulator/teacher, base_url: '{url}', max_tokens: 1200, max_in_flight: 16}}
steps:
  - {{name: solution, ask: rationale/solve, of: writer, samples: 4}}
  - {{name: right, check: {{math: {{on: solution, gold: answer}}}}, gate: false}}
  - {{name: agreement, vote: {{on: final_answer}}}}
  - {{name: best, select: {{where: correct, best: [agreement], fold: others}}}}
  - {{name: unique, dedup: {{on: [question, solution]}}}}
release:
  format: rationale
  columns: {{rationale: solution}}
rehearsal:
  latency: lognormal:0.15,0.6
  defects: {{wrong_answer: 0.1, refusal: 0.03}}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "killed.yaml"
    path.write_text(SPEC.format(url="http://127.0.0.1:1"))
    return path


def test_recorded_answers_are_never_paid_again(spec: Path, tmp_path: Path) -> None:
    with standing_simulator(spec) as url:
        spec.write_text(SPEC.format(url=url))
        kills = kill_while_building(spec, tmp_path / "out", url, kills=3, longest=2.2, seed=11)
        build(spec, tmp_path / "out")
        final = {entry["key"]: entry["count"] for entry in statement(url)}
        assert len(final) == 360
        assert any(kill.recorded for kill in kills), "no kill hit a running build"
        assert_promises(kills, final, most_in_flight=16)
        build(spec, tmp_path / "calm")
        assert digest_of(tmp_path / "out") == digest_of(tmp_path / "calm")
