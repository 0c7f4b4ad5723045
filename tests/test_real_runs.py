"""The runs that the README quotes, on real questions and recorded answers of real models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fake_hub import FakeHub
from killing import DATAGEN, build, digest_of
from real_runs import labels, rows_at

from datagen.release.pages import figures, planted

REAL = Path(__file__).parent / "real"
SIMULATED = ("--teacher", "simulator")


@pytest.fixture(scope="module")
def data(request: pytest.FixtureRequest) -> Path:
    folder = Path(os.environ.get("DATAGEN_SHARED", Path(__file__).parent.parent.parent / "shared")).resolve()
    if not (folder / "data").is_dir():
        pytest.skip("needs the shared real data ($DATAGEN_SHARED)")
    os.environ["DATAGEN_SHARED"] = str(folder)
    return folder


@pytest.fixture(scope="module")
def checked(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run1") / "out"
    build(REAL / "gsm8k_bank.yaml", out, *SIMULATED)
    return out


def test_the_check_agrees_with_every_label(data: Path, checked: Path) -> None:
    truth = labels(data)
    rows = rows_at(checked, "best")
    assert len(rows) == len(truth) == 2700
    wrong = [row for row in rows if row["correct"] is not truth[row["question"], row["sample"]]]
    assert not wrong, f"{len(wrong)} of 2,700 differ, e.g. {wrong[0]['question']} -> {wrong[0]['final_answer']}"


def test_votes_without_gold(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(REAL / "gsm8k_votes.yaml", tmp_path / "out", *SIMULATED)
    truth = labels(data)
    rows = [*rows_at(tmp_path / "out", "agreement"), *rows_at(tmp_path / "out", "best")]
    assert len(rows) == 2700
    right = sum(truth.values())
    lines = []
    for votes in (2, 3, 4):
        accepted = [row for row in rows if row["agreement"] * 4 >= votes - 1e-9]
        good = sum(truth[row["question"], row["sample"]] for row in accepted)
        lines.append((votes, good / len(accepted), good / right))
    with capsys.disabled():
        print("\nvote without gold: " + ", ".join(f">= {votes} of 4: precision {p:.3f}, recall {r:.3f}" for votes, p, r in lines))
    assert [p for _, p, _ in lines] == sorted(p for _, p, _ in lines), "more votes must mean more precision"
    assert lines[1][1] > 0.85
    assert lines[1][2] > 0.55


@pytest.mark.ray
@pytest.mark.soak
def test_two_ray_workers_give_the_same_bytes(checked: Path, tmp_path: Path) -> None:
    build(REAL / "gsm8k_bank.yaml", tmp_path / "ray", *SIMULATED, "--runtime", "ray", "--workers", "2")
    assert digest_of(tmp_path / "ray") == digest_of(checked)


def test_datasets_and_duckdb_read_the_same_rows(checked: Path, tmp_path: Path) -> None:
    script = (
        "import datasets, duckdb, sys\n"
        "rows = datasets.load_dataset(sys.argv[1], split='train', cache_dir=sys.argv[2])\n"
        "con = duckdb.connect(sys.argv[1] + '/catalog.duckdb', read_only=True)\n"
        "ids = [row[0] for row in con.execute('SELECT id FROM rows ORDER BY id').fetchall()]\n"
        "assert ids == sorted(rows['id']), (len(ids), len(rows))\n"
        "texts = dict(con.execute('SELECT id, rationale FROM rows').fetchall())\n"
        "assert all(texts[row['id']] == row['rationale'] for row in rows)\n"
        "print(len(ids))\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script, str(checked), str(tmp_path)], capture_output=True, text=True, env=environment, cwd="/")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 400


def test_the_pushed_release_reads_the_same(checked: Path, tmp_path: Path) -> None:
    with FakeHub() as hub:
        environment = {**os.environ, **hub.environment(str(tmp_path))}
        push = [*DATAGEN, "push", str(checked), "--repo", "me/gsm8k"]
        refused = subprocess.run(push, capture_output=True, text=True, env=environment)
        assert refused.returncode == 6 and "simulated" in refused.stderr and not hub.repos
        sent = subprocess.run([*push, "--allow-simulated"], capture_output=True, text=True, env=environment)
        assert sent.returncode == 0, sent.stderr
        script = "import datasets; rows = datasets.load_dataset('me/gsm8k', split='train'); print(len(rows), *rows['id'])"
        read = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
        assert read.returncode == 0, read.stderr
    ids = read.stdout.split()[1:]
    shards = [pq.read_table(path, columns=["id"]).column("id").to_pylist() for path in sorted((checked / "data").iterdir())]
    assert ids == [row for shard in shards for row in shard]


def test_a_data_set_of_the_hub_can_be_the_seeds(checked: Path, tmp_path: Path) -> None:
    spec = tmp_path / "again.yaml"
    spec.write_text(
        "name: again\nseeds: {table: {hub: me/gsm8k, columns: [question, answer]}, take: 50}\n"
        "steps: [{name: unique, dedup: {on: question}}]\nrelease: {format: instruction, columns: {instruction: question, output: answer}}\n"
    )
    with FakeHub() as hub:
        environment = {**os.environ, **hub.environment(str(tmp_path))}
        push = [*DATAGEN, "push", str(checked), "--repo", "me/gsm8k", "--allow-simulated"]
        assert subprocess.run(push, capture_output=True, env=environment).returncode == 0
        command = [*DATAGEN, "build", "--spec", str(spec), "--out", str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["releases"][0]["rows"] == 50


@pytest.mark.soak
def test_planted_defects_in_lessons_from_real_textbooks(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    build(REAL / "openstax.yaml", out, *SIMULATED)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["steps"][0]["in"] == 1000
    defects, _ = planted.proof(figures.account_of(out))
    with capsys.disabled():
        print(
            "\nplanted / caught / released: " + ", ".join(f"{defect.name} {defect.planted}/{defect.caught}/{defect.released}" for defect in defects)
        )
    assert sum(defect.caught for defect in defects) >= 0.85 * sum(defect.planted for defect in defects)
