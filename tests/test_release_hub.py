"""To a Hub on loopback with the real client: one commit and a tag, twice is once, and what breaks is mended by doing it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_hub import FakeHub
from out_fixture import released_out

from datagen.errors import OutputError
from datagen.release.card import write_card
from datagen.release.catalogue import build_catalogue
from datagen.release.hub import push
from datagen.release.report import write_report
from datagen.storage import read_json, read_table

PUSH = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from datagen.errors import DatagenError
from datagen.release.hub import push
out, repo, private, simulated, times = sys.argv[1:]
try:
    for _ in range(int(times)):
        print(json.dumps(asdict(push(Path(out), repo, private == "True", allow_simulated=simulated == "True"))))
except DatagenError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
"""
LOAD = """
import json, sys
from datasets import load_dataset
for where, kind in zip(sys.argv[1::2], sys.argv[2::2]):
    sets = load_dataset(where, revision=kind or None)
    print(json.dumps({split: sets[split].to_list() for split in sets}))
"""


def finished(out: Path, simulated: bool = False) -> Path:
    released_out(out, 40, simulated)
    build_catalogue(out)
    write_card(out, "me/maths")
    write_report(out)
    return out


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("real") / "out")


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        yield hub


def client(hub: FakeHub, home: Path, code: str, *words: object, **environment: str) -> list[Any]:
    """Run the code in a process of its own: the client reads its environment when it is imported."""
    env = {**os.environ, **hub.environment(str(home)), **environment}
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def send(hub: FakeHub, home: Path, out: Path, private: bool = True, simulated: bool = False, times: int = 1, **environment: str) -> list[Any]:
    return client(hub, home, PUSH, out, "me/maths", private, simulated, times, **environment)


def test_one_commit_a_tag_and_the_same_rows_back(hub: FakeHub, out: Path, tmp_path: Path) -> None:
    first, second = send(hub, tmp_path, out, times=2)
    repo = hub.repos["me/maths"]
    assert repo.private and len(repo.commits) == 2, "the empty repository, and one commit"
    assert repo.tags == {"v1.0": first["commit"]} and first["commit"] == repo.head
    data = {file["path"] for file in read_json(out / "manifest.json")["releases"][0]["files"]}
    assert set(repo.commits[-1][1]) == {".gitattributes", "README.md", "report.html", "manifest.json"} | data
    assert (second["sent"], second["commit"]) == ([], first["commit"]), "pushing again sends nothing"
    hosted, tagged, local = client(hub, tmp_path, LOAD, "me/maths", "", "me/maths", "v1.0", out, "")
    wanted: dict[str, list[Any]] = {}
    for path in sorted(data):
        for row in read_table(out / path):
            wanted.setdefault(row["split"], []).append(row)
    assert hosted == tagged == local == wanted


@pytest.mark.parametrize("fault", ["commit_lost", "commit_race"])
def test_a_lost_answer_and_a_faster_neighbour(hub: FakeHub, out: Path, tmp_path: Path, fault: str) -> None:
    hub.faults[fault] = 1
    (result,) = send(hub, tmp_path, out)
    repo = hub.repos["me/maths"]
    assert repo.tags == {"v1.0": repo.head} and result["commit"] == repo.head
    assert len(repo.commits) == (2 if fault == "commit_lost" else 3)
    assert ("note.txt" in repo.commits[-1][1]) == (fault == "commit_race"), "the neighbour's file is still there"
    assert hub.faults[fault] == 0, "the fault did happen"


def test_a_refused_commit_leaves_nothing_and_is_repeated(hub: FakeHub, out: Path, tmp_path: Path) -> None:
    hub.faults["commit_503"] = 1
    (result,) = send(hub, tmp_path, out)
    assert result["error"] == "SetupError" and "503" in result["message"]
    assert len(hub.repos["me/maths"].commits) == 1 and not hub.repos["me/maths"].tags
    hub.asked.clear()
    (result,) = send(hub, tmp_path, out)
    assert len(hub.repos["me/maths"].commits) == 2
    assert not [path for method, path in hub.asked if method == "PUT"], "the shards were there already"


def test_no_right_no_token_no_connection(hub: FakeHub, out: Path, tmp_path: Path) -> None:
    hub.faults["forbidden"] = 1
    (result,) = send(hub, tmp_path, out)
    assert result["error"] == "SetupError" and "may not write there" in result["message"]
    (result,) = send(hub, tmp_path, out, HF_TOKEN="")
    assert result["error"] == "SetupError" and "HF_TOKEN" in result["message"]
    (result,) = send(hub, tmp_path, out, HF_ENDPOINT="http://127.0.0.1:9")
    assert result["error"] == "SetupError" and "goes on where it stopped" in result["message"]
    assert not hub.repos


def test_released_files_of_another_are_never_replaced(hub: FakeHub, out: Path, tmp_path: Path) -> None:
    send(hub, tmp_path, out)
    other = tmp_path / "other"
    released_out(other, 25)
    write_card(other)
    write_report(other)
    (result,) = send(hub, tmp_path, other)
    assert result["error"] == "OutputError" and "holds another data/train-v0001-00000.parquet" in result["message"]
    assert len(hub.repos["me/maths"].commits) == 2


def test_private_rows_never_go_public(hub: FakeHub, out: Path, tmp_path: Path) -> None:
    send(hub, tmp_path, out, private=False)
    commits = len(hub.repos["me/maths"].commits)
    (result,) = send(hub, tmp_path, out, private=True)
    assert result["error"] == "OutputError" and "is public" in result["message"]
    assert len(hub.repos["me/maths"].commits) == commits


def test_simulated_rows_go_only_on_purpose(hub: FakeHub, tmp_path: Path) -> None:
    rehearsed = finished(tmp_path / "out", simulated=True)
    with pytest.raises(OutputError, match="--allow-simulated"):
        push(rehearsed, "me/maths", True)
    (result,) = send(hub, tmp_path, rehearsed, simulated=True)
    assert result["tag"] == "v1.0"
    readme = hub.repos["me/maths"].commits[-1][1]["README.md"][0].decode()
    assert '- "simulated"' in readme and "Simulated data: do not train on it" in readme


def test_files_must_be_those_of_the_manifest(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nothing has been released"):
        push(tmp_path, "me/maths", True)
    broken = finished(tmp_path / "out")
    shard = next((broken / "data").glob("*.parquet"))
    content = shard.read_bytes()
    shard.write_bytes(content + b"x")
    with pytest.raises(OutputError, match="not the file that"):
        push(broken, "me/maths", True)
    shard.write_bytes(content)
    (broken / "report.html").unlink()
    with pytest.raises(OutputError, match=r"report\.html is missing"):
        push(broken, "me/maths", True)
