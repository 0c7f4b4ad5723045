"""Builds as jobs of a real Ray cluster: one run is one job, its exit code comes back, a stop drains, and no key travels."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from clustering import Cluster, ray_head
from killing import recorded_keys, statement

from datagen.errors import SetupError
from datagen.runtime.onray.jobs import Jobs
from datagen.service.submission import Order, prepare, submit
from datagen.service.watch import described, said, stop

pytestmark = pytest.mark.ray
KEY = "sk-secret-of-this-test-0123456789"
SPEC = """\
name: sums
seeds: {{table: data/seeds.jsonl}}
teachers: {{w: {{model: {model}, {where}api_key_env: JOBS_TEST_KEY, max_tokens: 2000, max_in_flight: 2, timeout: 300, unpriced: true}}}}
steps:
  - {{name: answer, ask: say, of: w}}
  - {{name: good, filter: [{{length: {{on: answer, min_words: 1}}}}]}}
release: {{format: instruction, columns: {{instruction: question, output: answer}}}}
guard: {{pilot: 0}}
rehearsal: {{latency: '{latency}'}}
"""


def write_spec(folder: Path, url: str = "", latency: str = "0", seeds: int = 12) -> Path:
    """A spec with a prompt and seeds beside it; `url` is where its simulated teacher stands."""
    (folder / "prompts").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "prompts" / "say.md.j2").write_text("Question: {{ question }}")
    (folder / "data" / "seeds.jsonl").write_text("".join(json.dumps({"question": f"What is {n} plus {n}?"}) + "\n" for n in range(seeds)))
    (folder / "data" / "other.jsonl").write_text("{}\n")
    path = folder / "sums.yaml"
    where = f"base_url: '{url}', " if url else ""
    path.write_text(SPEC.format(model="simulator/any" if url else "openai/gpt-5-mini", where=where, latency=latency))
    return path


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with ray_head() as head:
        yield head


class Client:
    """`datagen` typed beside a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.environment = {**os.environ, **cluster.environment(), "JOBS_TEST_KEY": KEY}

    def command(self, *words: str | Path) -> list[str]:
        return [sys.executable, "-m", "datagen.cli", *map(str, words), "--address", self.cluster.address]

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Typed at a terminal, where Ctrl-C is heard: a shell's background job, which this may be one of, would not hear it."""
        hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        told = {"env": self.environment, "text": True, "preexec_fn": hear}
        return subprocess.Popen(self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **told)

    def __call__(self, *words: str | Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        told = {**self.environment, **environment}
        done = subprocess.run(self.command(*words), env=told, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Client:
    return Client(cluster)


@pytest.fixture
def jobs(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    for name, value in cluster.environment().items():
        monkeypatch.setenv(name, value)
    return Jobs(cluster.address)


@pytest.fixture(scope="module")
def done(client: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str, str]:
    """(spec, OUT, submission id, what was said) of a rehearsal that was followed to its end."""
    folder = tmp_path_factory.mktemp("job")
    spec, out = write_spec(folder / "given"), folder / "out"
    said = client("submit", "--spec", spec, "--out", out, "--teacher", "simulator", "--run-id", "one", "--wait").stdout
    return spec, out, submitted(said), said


def submitted(said: str) -> str:
    found = re.search(r"^submitted ([^:]+):", said, re.MULTILINE)
    assert found, said
    return found[1]


def ids(cluster: Cluster) -> set[str]:
    return {job["submission_id"] for job in cluster.api("/api/jobs/") if job["submission_id"]}


def rows(out: Path) -> int:
    return int(json.loads((out / "manifest.json").read_text())["releases"][-1]["rows"])


def test_a_job_builds_what_a_build_builds(done: tuple[Path, Path, str, str], client: Client) -> None:
    _, out, job, said = done
    assert rows(out) == 12
    assert "release 1.0: 12 rows (SIMULATED)" in said and said.rstrip().endswith(f"{job}: SUCCEEDED (exit code 0)")
    assert "release 1.0: 12 rows (SIMULATED)" in client("logs", job).stdout
    looked = client("status", job).stdout
    assert "SUCCEEDED (exit code 0)" in looked and str(out) in looked
    assert job in client("status").stdout


@pytest.mark.soak
def test_submitting_one_run_twice_is_one_job_and_another_run_is_another(done: tuple[Path, Path, str, str], client: Client) -> None:
    spec, out, job, _ = done
    before = ids(client.cluster)
    words = ("submit", "--spec", spec, "--out", out, "--teacher", "simulator", "--run-id")
    again = client(*words, "one", "--wait").stdout
    assert ids(client.cluster) == before and f"{job} is done" in again
    assert again.rstrip().endswith("SUCCEEDED (exit code 0)"), "the second to submit follows the same job"
    tomorrow = submitted(client(*words, "two", "--wait").stdout)
    assert ids(client.cluster) == before | {tomorrow}
    assert tomorrow == job.removesuffix("one") + "two"
    assert rows(out) == 12, "nothing was missing, so nothing was made"


def test_no_key_and_no_other_file_travels(done: tuple[Path, Path, str, str], client: Client) -> None:
    _, _, job, said = done
    told = json.dumps(client.cluster.api("/api/jobs/"))
    assert job in told and KEY not in told
    runtime_env = client.cluster.api(f"/api/jobs/{job}")["runtime_env"]
    assert set(runtime_env["env_vars"]) == {"RAY_JOB_STOP_WAIT_TIME_S"}
    assert "3 files" in said, "the spec, its prompt and its seeds; data/other.jsonl stays"


def test_a_failing_build_ends_the_wait_with_its_own_exit_code(client: Client, tmp_path: Path) -> None:
    """The key is set here and not on the nodes: planned here, refused there, and the key did not come along."""
    spec = write_spec(tmp_path / "given")
    said = client("submit", "--spec", spec, "--out", tmp_path / "out", "--run-id", "bad", "--wait", code=SetupError.exit_code).stdout
    assert "needs an API key: set JOBS_TEST_KEY" in said and said.rstrip().endswith(f"{submitted(said)}: FAILED (exit code 4)")
    assert client("logs", submitted(said), "--follow", code=4).stdout.rstrip().endswith("FAILED (exit code 4)")


@contextmanager
def simulator(spec: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A standing simulated teacher and its process, to be held (SIGSTOP) and let go: meanwhile what was sent is in flight."""
    command = [sys.executable, "-m", "datagen.cli", "simulator", "--port", "0", "--spec", str(spec)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield next(word for word in process.stdout.readline().split() if word.startswith("http://")), process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.communicate()


@pytest.mark.soak
def test_a_stop_lands_what_is_in_flight_and_the_same_command_goes_on(client: Client, jobs: Jobs, tmp_path: Path) -> None:
    """Ctrl-C looks away, a second `submit` joins, `stop` drains, the next `submit` resumes: no question is put twice."""
    with simulator(write_spec(tmp_path / "simulator", latency="0.3")) as (url, teacher):
        spec, out = write_spec(tmp_path / "given", url, seeds=40), tmp_path / "out"
        words = ("submit", "--spec", spec, "--out", out, "--run-id", "long", "--wait")
        prepared = prepare(Order(str(spec), str(out), run_id="long"))
        watching = client.start(*words)
        assert watching.stdout
        job = submitted(watching.stdout.readline())
        while watching.poll() is None and len(statement(url)) < 4:
            time.sleep(0.1)
        teacher.send_signal(signal.SIGSTOP)
        watching.send_signal(signal.SIGINT)
        _, complaint = watching.communicate()
        assert watching.returncode == 130 and "goes on without us" in complaint, complaint
        assert (prepared.id, f"{job} is RUNNING already") == (job, next(submit(prepared, jobs)[1]).partition(":")[0])
        assert job in ids(client.cluster) and f"{job}-2" not in ids(client.cluster)

        stopping = client.start("stop", job)
        assert stopping.stdout
        assert "what is in flight lands, in 360 s at most" in stopping.stdout.readline()
        teacher.send_signal(signal.SIGCONT)
        said, _ = stopping.communicate()
        assert stopping.returncode == 0 and f"{job}: STOPPED (exit code 130)" in said
        recorded = recorded_keys(out / "ledger")
        assert 4 <= len(recorded) < 40
        assert {entry["key"] for entry in statement(url)} == recorded, "an answer that was sent is in the ledger"

        said = client(*words).stdout
        assert submitted(said) == f"{job}-2" and "was stopped, this goes on where it ended" in said
        assert rows(out) == 40
        assert [entry["count"] for entry in statement(url)] == [1] * 40


def test_an_unknown_job_is_named_with_its_nearest(done: tuple[Path, Path, str, str], client: Client, jobs: Jobs) -> None:
    _, _, job, _ = done
    for look in (described, stop, lambda jobs, id: [said(jobs, id)]):
        with pytest.raises(SetupError, match=f"no job '{job}x' at .*; did you mean '{job}'"):
            list(look(jobs, job + "x"))
    assert f"no job '{job}x'" in client("logs", job + "x", "--follow", code=4).stderr
    assert "is over: SUCCEEDED" in "".join(stop(jobs, job))


def test_a_cluster_that_lets_nobody_in_says_what_to_set(client: Client) -> None:
    missing = client("status", code=4, RAY_AUTH_MODE="disabled").stderr
    assert "does not let us in" in missing and "RAY_AUTH_MODE=token" in missing and "RAY_AUTH_MODE is disabled here" in missing
    wrong = client("status", code=4, RAY_AUTH_TOKEN="f" * 40).stderr
    assert "does not let us in" in wrong and "RAY_AUTH_TOKEN" in wrong


def test_the_address_that_was_typed_counts(client: Client) -> None:
    """Ray's own client would go where the environment says."""
    client("status", RAY_ADDRESS="http://127.0.0.1:9", RAY_API_SERVER_ADDRESS="http://127.0.0.1:9")
