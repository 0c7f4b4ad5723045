"""Releases over time: what is out stays, what was agreed to is resumed, and a death between two writes costs nothing."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from killing import DATAGEN

from datagen.records import Row
from datagen.steps.cohort import cohort_of
from datagen.storage import read_table, seed_line

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
    assert [cohort["seeds"] for cohort in project.manifest["cohorts"]] == [8, 8]


def test_steps_may_be_thrown_away_at_any_time(project: Project) -> None:
    project.build(count=8)
    (project.out / "steps" / "cohorts.json").unlink()  # as a death right after manifest.json would leave it
    project.build(count=16)
    assert [cohort["seeds"] for cohort in project.manifest["cohorts"]] == [8, 8]
    before = project.shards()
    said = project.build(count=16)
    assert project.shards() == before and "nothing had to be asked" in said


def test_the_manifest_and_what_it_names_say_what_is_out(project: Project) -> None:
    """Also with steps/ deleted: the ids of a cohort's seeds lie beside the manifest, under its digest."""
    project.build(count=8)
    shutil.rmtree(project.out / "steps")
    project.build(count=16)
    for cohort in project.manifest["cohorts"]:
        ids = (project.out / cohort["path"]).read_bytes()
        assert len(ids) == 10 * cohort["seeds"] == cohort["bytes"] and hashlib.sha256(ids).hexdigest() == cohort["sha256"]
        assert [ids[at : at + 10] for at in range(0, len(ids), 10)] == sorted({ids[at : at + 10] for at in range(0, len(ids), 10)})
    first = project.out / project.manifest["cohorts"][0]["path"]
    first.write_bytes(bytes(reversed(first.read_bytes())))
    assert "is missing or was changed after its release" in project.build(count=16, code=6)


def test_ids_of_seeds_that_were_never_released_go(project: Project) -> None:
    (project.out / "seeds").mkdir(parents=True)
    (project.out / "steps").mkdir()
    (project.out / "seeds" / "c0-0123456789ab.ids").write_bytes(b"of a season that was given up")
    project.build(count=8)
    assert [path.name for path in (project.out / "seeds").iterdir()] == [Path(project.manifest["cohorts"][0]["path"]).name]


@given(st.integers(0, 3_000), st.integers(0, 2**32))
def test_parts_follow_the_ids_and_their_sizes_are_known_beforehand(count: int, salt: int) -> None:
    lines = sorted(seed_line(Row.of_seed({"n": number, "salt": salt})) for number in range(count))
    cohort = cohort_of(lines)
    found = {part: sum(1 for _ in mine) for part, mine in itertools.groupby(lines, key=cohort.part_of_line)}
    assert found == cohort.parts and list(found) == sorted(found), "each part is one run of ids, and names sort as ids do"
    assert cohort.seeds == count and len(found) <= max(8, -(-count // 256))


# --- what new seeds bring with them ---

TABLE = """name: grown
seeds: {table: seeds.jsonl}
teachers:
  writer: {model: simulator/teacher, max_tokens: 4000}
steps:
  - {name: text, ask: say, of: writer}
release: {format: text}
"""
LEVELS = [{"topic": f"t{number}", "level": number} for number in range(6)]


def grown_with(project: Project, *more: dict[str, Any], code: int = 0, yes: bool = False) -> str:
    folder = project.spec.parent
    (folder / "prompts").mkdir(exist_ok=True)
    (folder / "prompts" / "say.md.j2").write_text("{{ topic }}\n")
    (folder / "seeds.jsonl").write_text("".join(json.dumps(seed) + "\n" for seed in (*LEVELS, *more)))
    project.spec.write_text(TABLE)
    done = subprocess.run(
        [*DATAGEN, "build", "--spec", str(project.spec), "--out", str(project.out), *(["--yes"] if yes else [])], capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def asked(project: Project) -> int:
    return sum(line.count(b'"kind":"reserve"') for path in (project.out / "ledger").glob("*.jsonl") for line in path.read_bytes().splitlines())


@pytest.mark.parametrize(
    ("seed", "told"),
    [
        pytest.param(
            {"topic": "new", "level": 0.5}, "the field 'level' of the new seeds is number where the release has integer", marks=pytest.mark.soak
        ),
        pytest.param(
            {"topic": "new", "level": "high"}, "the field 'level' of the new seeds is string where the release has integer", marks=pytest.mark.soak
        ),
        ({"topic": "new", "level": 7, "mood": "calm"}, "the new seeds have the field 'mood', for which the release has no column"),
    ],
)
def test_seeds_that_cannot_join_are_found_before_anything_is_asked(project: Project, seed: dict[str, Any], told: str) -> None:
    grown_with(project)
    before = asked(project), project.shards()
    assert told in grown_with(project, seed, code=6)
    assert (asked(project), project.shards()) == before
    assert "makes a new major release" not in grown_with(project, seed, yes=True)
    assert project.versions == ["1.0", "2.0"] and before[1].items() <= project.shards().items()


def test_a_new_seed_may_lack_a_field_and_a_type_may_be_narrower(project: Project) -> None:
    grown_with(project)
    grown_with(project, {"topic": "new", "level": None}, {"topic": "newer"})
    assert project.versions == ["1.0", "1.1"]


def test_a_repeated_seed_is_dropped_where_it_meets_its_twin(project: Project) -> None:
    """Also when the twin is out already: its repeat is no new seed, and no other part hears of it."""
    grown_with(project, LEVELS[0], LEVELS[3], LEVELS[3])
    grown_with(project, *LEVELS[:2], {"topic": "new", "level": 7}, LEVELS[5])
    (seeds,) = (step for step in project.manifest["steps"] if step["name"] == "seeds")
    assert (seeds["in"], seeds["kept"], seeds["dropped"]) == (10, 7, {"seeds": {"duplicate_seed": 3}})
    dropped = [row for path in sorted((project.out / "steps" / "00-seeds" / "dropped").iterdir()) for row in read_table(path)]
    assert sorted(json.loads(row["fields"])["topic"] for row in dropped) == ["t0", "t1", "t5"]
    assert [cohort["seeds"] for cohort in project.manifest["cohorts"]] == [6, 1]


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
