"""Whole builds whose OUT lies on a real S3 API on loopback: the same bytes as on a disk, resumed from what is there, one run at a time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from buckets import BUCKET, Bucket, recorded_in
from killing import DATAGEN, build, digest_of, problems, recorded_keys, spec_of, standing_simulator, start, statement

from datagen.depot.store import folder_of

PROBLEMS = problems(40)


@pytest.fixture
def out(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A url of its own for each test; its mirror in `tmp_path/work`."""
    for name, value in bucket.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATAGEN_WORK", str(tmp_path / "work"))
    return f"{bucket.url}/{request.node.name}"


def spec_at(folder: Path, url: str, latency: float = 0.02, most: int = 16, seeds: str = PROBLEMS) -> Path:
    path = folder / "spec.yaml"
    then = "  - {name: again, ask: rationale/solve, of: writer}\n"
    path.write_text(spec_of("moored", url, seeds, most, f"{latency},0.3", samples=2, then=then, more="guard: {pilot: 0}\n"))
    return path


def data_of(bucket: Bucket, out: str) -> dict[str, bytes]:
    prefix = out.removeprefix(f"{bucket.url}/") + "/data/"
    return {name.removeprefix(prefix): bucket.read(name) for name in bucket.names(prefix)}


def said_by(*words: str) -> str:
    done = subprocess.run([*DATAGEN, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Reader:
    """Looks into the bucket again and again: every release that a manifest names must be there, whole."""

    def __init__(self, bucket: Bucket, out: str) -> None:
        self._bucket, self._prefix = bucket, out.removeprefix(f"{bucket.url}/")
        self.looks = self.releases = 0
        self.missing: list[str] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        client = self._bucket.client()
        while not self._ended.wait(0.1):
            self.looks += 1
            try:
                manifest = json.loads(client.get_object(Bucket=BUCKET, Key=f"{self._prefix}/manifest.json")["Body"].read())
            except client.exceptions.NoSuchKey:
                continue
            self.releases = len(manifest["releases"])
            there = set(self._bucket.names(f"{self._prefix}/data/")) | set(self._bucket.names(f"{self._prefix}/seeds/"))
            named = [*(file["path"] for entry in manifest["releases"] for file in entry["files"]), *(each["path"] for each in manifest["cohorts"])]
            self.missing += [name for name in named if f"{self._prefix}/{name}" not in there]


def test_a_build_on_a_bucket_is_the_build_on_a_disk_and_goes_on_anywhere(bucket: Bucket, out: str, tmp_path: Path) -> None:
    seeds = "{{problems: {{families: all, count: {}, seed: 3}}}}"
    with standing_simulator(spec_at(tmp_path, "http://127.0.0.1:1")) as url:
        spec = spec_at(tmp_path, url)
        with Reader(bucket, out) as reader:
            build(spec, out)
            asked = sum(entry["count"] for entry in statement(url))
            assert asked > 80
            shutil.rmtree(tmp_path / "work")  # another machine
            spec_at(tmp_path, url, seeds=seeds.format(50))
            build(spec, out)
        assert reader.releases == 2 and reader.looks > 10 and not reader.missing
        grown = sum(entry["count"] for entry in statement(url))
        assert 0 < grown - asked < asked / 2, "only what was new was asked"
        shutil.rmtree(tmp_path / "work")
        build(spec, out)
        assert sum(entry["count"] for entry in statement(url)) == grown
        assert "solution" in said_by("plan", "--spec", str(spec), "--out", out)
        spec_at(tmp_path, url)
        build(spec, tmp_path / "local")
        spec_at(tmp_path, url, seeds=seeds.format(50))
        build(spec, tmp_path / "local")
    assert data_of(bucket, out) == {path.name: path.read_bytes() for path in (tmp_path / "local" / "data").iterdir()}
    assert digest_of(folder_of(out))[0] == digest_of(tmp_path / "local")[0]
    shutil.rmtree(tmp_path / "work")
    assert "release 1.1" in said_by("status", out) and "for answers" in said_by("status", out)
    assert "records" in said_by("ledger", "verify", out)
    row = said_by("sql", out, "SELECT id FROM rows ORDER BY id LIMIT 1").split()[2]
    assert "[solution] openai" in said_by("explain", out, row)


def test_a_killed_build_whose_disk_is_lost_goes_on_from_the_bucket(bucket: Bucket, out: str, tmp_path: Path) -> None:
    with standing_simulator(spec_at(tmp_path, "http://127.0.0.1:1", latency=0.3, most=8)) as url:
        spec = spec_at(tmp_path, url, latency=0.3, most=8)
        process = start(spec, out)
        ledger = out.removeprefix(f"{bucket.url}/") + "/ledger"
        while process.poll() is None and len(recorded_in(bucket, ledger)) < 20:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        shutil.rmtree(tmp_path / "work")
        there, before = recorded_in(bucket, ledger), {entry["key"]: entry["count"] for entry in statement(url)}
        assert 20 <= len(there) < 110
        build(spec, out)
        final = {entry["key"]: entry["count"] for entry in statement(url)}
        assert [key for key in there if final[key] > before[key]] == [], "what was in the bucket was paid for again"
        build(spec, tmp_path / "calm")
    assert data_of(bucket, out) == {path.name: path.read_bytes() for path in (tmp_path / "calm" / "data").iterdir()}


def test_what_is_told_of_a_bucket_names_it_and_no_folder_of_this_disk(bucket: Bucket, out: str, tmp_path: Path) -> None:
    done = subprocess.run([*DATAGEN, "status", out], capture_output=True, text=True)
    assert done.returncode != 0 and f"{out} holds no build; start one with `datagen build --spec S --out {out}`" in done.stderr
    assert str(tmp_path) not in done.stderr


@pytest.mark.soak
def test_a_killed_build_on_the_same_disk_pays_for_nothing_again(bucket: Bucket, out: str, tmp_path: Path) -> None:
    """What the last second brought was not in the bucket, and it is on this disk."""
    with standing_simulator(spec_at(tmp_path, "http://127.0.0.1:1", latency=0.2, most=8)) as url:
        spec = spec_at(tmp_path, url, latency=0.2, most=8)
        process = start(spec, out)
        while process.poll() is None and len(statement(url)) < 30:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        here, before = recorded_keys(folder_of(out) / "ledger"), {entry["key"]: entry["count"] for entry in statement(url)}
        assert here
        build(spec, out)
        final = {entry["key"]: entry["count"] for entry in statement(url)}
        assert [key for key in here if final[key] > before[key]] == []
    assert here <= recorded_in(bucket, out.removeprefix(f"{bucket.url}/") + "/ledger")


def test_a_second_run_is_refused_before_it_asks(bucket: Bucket, out: str, tmp_path: Path) -> None:
    with standing_simulator(spec_at(tmp_path, "http://127.0.0.1:1", latency=0.5, most=2)) as url:
        spec = spec_at(tmp_path, url, latency=0.5, most=2)
        first = start(spec, out, "--lease", "12")
        while first.poll() is None and not statement(url):
            time.sleep(0.05)
        second = subprocess.run(
            [*DATAGEN, "build", "--spec", str(spec), "--out", out, "--work", str(tmp_path / "other")], capture_output=True, text=True
        )
        assert first.poll() is None, "the first run was to be under way all the time"
        assert second.returncode == 5 and f"in use by process {first.pid} on" in second.stderr and "nothing was asked" in second.stderr
        os.killpg(first.pid, signal.SIGTERM)
        first.communicate()
        assert len({entry["key"] for entry in statement(url)}) == sum(entry["count"] for entry in statement(url))
    assert not (tmp_path / "other").exists()


def test_a_bucket_of_others_is_left_alone(bucket: Bucket, out: str, tmp_path: Path) -> None:
    bucket.client().put_object(Bucket=BUCKET, Key=f"{out.removeprefix(f'{bucket.url}/')}/theirs/big", Body=b"x")
    before = bucket.names()
    process = start(spec_at(tmp_path, "http://127.0.0.1:1"), out)
    _, said = process.communicate()
    assert process.returncode == 6 and b"holds no build (theirs, ...)" in said
    assert bucket.names() == before and not (tmp_path / "work").exists()


@pytest.mark.soak
def test_a_ledger_on_a_bucket_serves_folders_of_any_disk(bucket: Bucket, out: str, tmp_path: Path) -> None:
    with standing_simulator(spec_at(tmp_path, "http://127.0.0.1:1")) as url:
        spec = spec_at(tmp_path, url, seeds="{problems: {families: all, count: 12, seed: 3}}")
        build(spec, tmp_path / "one", "--ledger", out)
        asked = sum(entry["count"] for entry in statement(url))
        shutil.rmtree(tmp_path / "work")
        build(spec, tmp_path / "two", "--ledger", out, "--work", str(tmp_path / "elsewhere"))
        assert sum(entry["count"] for entry in statement(url)) == asked > 0
    assert digest_of(tmp_path / "one") == digest_of(tmp_path / "two")
    assert not (tmp_path / "one" / "ledger").exists() and not (tmp_path / "work").exists()


@pytest.mark.soak
def test_seeds_come_from_a_bucket(bucket: Bucket, out: str, tmp_path: Path) -> None:
    rows = b"".join(b'{"question": "What is %d + 1?", "answer": "%d"}\n' % (number, number + 1) for number in range(6))
    bucket.client().put_object(Bucket=BUCKET, Key="seeds/questions.jsonl", Body=rows)
    with standing_simulator(spec_at(tmp_path, "http://127.0.0.1:1")) as url:
        process = start(spec_at(tmp_path, url, seeds=f"{{table: {bucket.url}/seeds/*.jsonl}}"), out)
        _, said = process.communicate()
        asked = statement(url)
    assert process.returncode in (0, 12), said.decode()  # the simulated teacher may know none of these answers
    manifest = json.loads((folder_of(out) / "manifest.json").read_text())
    assert sum(cohort["seeds"] for cohort in manifest["cohorts"]) == 6 and len(asked) >= 12


AUDIT = """\
import os, sys
def noted(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(os.environ["WATCHED"]):
        with os.fdopen(os.open(os.environ["WATCH_LOG"] + str(os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND), "a") as log:
            log.write(("worker " if "default_worker" in " ".join(sys.orig_argv) else "other ") + arguments[0] + "\\n")
sys.addaudithook(noted)
"""


@pytest.mark.ray
def test_workers_that_share_no_disk_make_the_same_bytes(bucket: Bucket, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("audit", "log"):
        (tmp_path / folder).mkdir()
    (tmp_path / "audit" / "sitecustomize.py").write_text(AUDIT)
    with standing_simulator(spec_at(tmp_path, "http://127.0.0.1:1")) as url:
        spec = spec_at(tmp_path, url)
        build(spec, tmp_path / "local")
        with monkeypatch.context() as watched:
            watched.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "audit"), str(Path.cwd())]))
            watched.setenv("WATCHED", str(tmp_path / "work"))
            watched.setenv("WATCH_LOG", f"{tmp_path}/log/")
            build(spec, out, "--runtime", "ray")
        before = sum(entry["count"] for entry in statement(url))
        shutil.rmtree(tmp_path / "work")
        build(spec, out)
        assert sum(entry["count"] for entry in statement(url)) == before, "the answers of all workers were in the bucket"
    assert data_of(bucket, out) == {path.name: path.read_bytes() for path in (tmp_path / "local" / "data").iterdir()}
    lines = [line.split(" ", 1) for path in (tmp_path / "log").iterdir() for line in path.read_text().splitlines()]
    opened = {path for who, path in lines if who == "worker"}
    assert any("/ledger/" in path for path in opened) and any(who == "other" for who, _ in lines)
    assert [path for path in opened if path.startswith(f"{folder_of(out)}/")] == [], "a worker opened the folder of the build"
