"""Releases over time: what is out stays, what was agreed to is resumed, and a death between two writes costs nothing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from killing import DATAGEN

SPEC = """\
name: grown
seeds: {{problems: {{families: [linear_equation, ratio_sharing], count: {count}, seed: 5}}}}
teachers:
  writer: {{model: simulator/teacher, max_tokens: {tokens}}}
steps:
  - {{name: solution, ask: rationale/solve, of: writer, vary: {{style: [short, long]}}}}
  - {{name: unique, dedup: {{on: [question, solution]}}}}
release: {{format: rationale, columns: {{rationale: solution}}}}
"""


class Project:
    def __init__(self, folder: Path) -> None:
        self.spec, self.out = folder / "grown.yaml", folder / "out"

    def build(self, *more: str, count: int = 16, tokens: int = 1200, code: int = 0) -> str:
        self.spec.write_text(SPEC.format(count=count, tokens=tokens))
        done = subprocess.run([*DATAGEN, "build", "--spec", str(self.spec), "--out", str(self.out), *more], capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    @property
    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.out / "manifest.json").read_text()))

    @property
    def versions(self) -> list[str]:
        return [entry["version"] for entry in self.manifest["releases"]]

    def shards(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.out / "data").iterdir())}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_growth_appends_and_moves_no_byte(project: Project) -> None:
    project.build(count=8)
    before = project.shards()
    project.build(count=16)
    assert project.versions == ["1.0", "1.1"]
    assert before.items() <= project.shards().items()
    assert [len(cohort["seeds"]) for cohort in project.manifest["cohorts"]] == [8, 8]


def test_steps_may_be_thrown_away_at_any_time(project: Project) -> None:
    project.build(count=8)
    (project.out / "steps" / "cohorts.json").unlink()  # as a death right after manifest.json would leave it
    project.build(count=16)
    assert [len(cohort["seeds"]) for cohort in project.manifest["cohorts"]] == [8, 8]
    before = project.shards()
    said = project.build(count=16)
    assert project.shards() == before and "nothing had to be asked" in said


def test_a_major_release_that_was_agreed_to_is_resumed_as_such(project: Project) -> None:
    project.build()
    assert "--yes" in project.build(tokens=1000, code=6)
    project.build("--yes", "--budget", "0.000001", tokens=1000)  # a simulated teacher has no price, so this goes through
    assert project.versions == ["1.0", "2.0"]
    project.build(tokens=1000)
    assert project.versions == ["1.0", "2.0"]


def test_a_stopped_major_release_needs_no_second_yes(project: Project) -> None:
    project.build()
    record = project.out / "steps" / "cohorts.json"
    project.build("--yes", tokens=1000)
    manifest = project.manifest  # as if the build had died before its release: 2.0 is in progress, 1.0 is out
    first = manifest["releases"][0]
    (project.out / "manifest.json").write_text(json.dumps({**manifest, "releases": [first], "plan_fingerprint": first["fingerprint"]}))
    assert json.loads(record.read_text())["version"] == [2, 0]
    project.build(tokens=1000)
    assert project.versions == ["1.0", "2.0"]


def test_a_death_between_the_last_part_and_the_release_is_made_good(project: Project) -> None:
    project.build()
    report = project.out / "report.html"
    report.write_text("stale")
    (project.out / "steps" / "unpublished").touch()
    project.build()
    assert report.read_text() != "stale" and not (project.out / "steps" / "unpublished").exists()
    assert project.versions == ["1.0"]


def test_a_lost_shard_is_named_and_can_be_made_again(project: Project) -> None:
    project.build()
    before = project.shards()
    (project.out / "data" / "train-v0001-00000.parquet").unlink()
    assert "is missing or was changed" in project.build(code=6)
    (project.out / "manifest.json").unlink()
    assert "nothing had to be asked" in project.build()
    assert project.shards() == before


def test_verdicts_survive_a_build_with_nothing_to_do(project: Project) -> None:
    project.build()
    verdicts = sorted((project.out / "steps").glob("*/verdicts/*.parquet"))
    before = [path.read_bytes() for path in verdicts]
    project.build()
    project.build()
    assert before and [path.read_bytes() for path in verdicts] == before


def test_real_rows_cannot_join_a_rehearsal(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.build()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-unused")
    spec = SPEC.replace("simulator/teacher", "openai/gpt-5.6").format(count=16, tokens=1200)
    project.spec.write_text(spec)
    done = subprocess.run([*DATAGEN, "build", "--spec", str(project.spec), "--out", str(project.out), "--yes"], capture_output=True, text=True)
    assert done.returncode == 6 and "simulated" in done.stderr
    assert (project.out / "steps" / "cohorts.json").exists()
