"""Whole builds whose teachers are asked in paid batches: the same rows, half the price, killed at any moment, typed again later."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from killing import DATAGEN, build, digest_of, kill_while_building, recorded_keys, standing_simulator, statement

SPEC = """\
name: mixed
seeds: {{grid: {{topic: [rivers, fire, salt, wind, iron], number: [1, 2, 3, 4, 5, 6, 7, 8]}}}}
teachers:
  writer: {{model: {writer}, mode: {mode}, max_tokens: 900, batch: {{poll: 0.1, settling: 1.5, requests: 16, at_once: 3}}{price}}}
  grader: {{model: {grader}, max_tokens: 200{price}}}
steps:
  - {{name: text, ask: t/write, of: writer}}
  - {{name: grade, ask: t/grade, of: grader, returns: {{score: {{int: [1, 5]}}}}}}
  - {{name: better, ask: t/better, of: writer, samples: 2}}
  - {{name: best, select: {{keep: 1}}}}
  - {{name: unique, dedup: {{on: better}}}}
release: {{format: text, columns: {{text: better}}}}
guard: {{pilot: 0}}
rehearsal: {{seed: 3, latency: '0.01', batches: {batches}}}
"""
PRICE = ", price: {input: 1, output: 10}"
ROUGH = "{seconds: 0.3, validation: 0.1, listing: 0.4, expire: 0.2, errors: 0.05, lost: 0.25, garbled: 0.2}"


def project(folder: Path, mode: str = "batch", batches: str = "{seconds: 0.3}", writer: str = "openai/w", grader: str = "openai/g") -> Path:
    for name, text in {"write": "Write about {{ topic }} {{ number }}.", "grade": "Grade: {{ text }}", "better": "Write better: {{ text }}"}.items():
        path = folder / "prompts" / "t" / f"{name}.md.j2"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    spec = folder / f"{mode}.yaml"
    spec.write_text(SPEC.format(mode=mode, batches=batches, writer=writer, grader=grader, price=PRICE))
    return spec


def datagen(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DATAGEN, *map(str, arguments)], capture_output=True, text=True)


def jobs(url: str) -> list[dict[str, Any]]:
    """The simulator's own books of its batch APIs, totals first."""
    with urllib.request.urlopen(f"{url}/jobs") as reply:
        return [json.loads(line) for line in reply.read().splitlines()]


@pytest.mark.parametrize("provider", ["openai", *(pytest.param(name, marks=pytest.mark.soak) for name in ("responses", "anthropic"))])
def test_a_batch_build_gives_the_rows_of_an_online_build(tmp_path: Path, provider: str) -> None:
    for mode in ("batch", "online"):
        spec = project(tmp_path, mode, writer=f"{provider}/w")
        done = datagen("build", "--spec", spec, "--out", tmp_path / mode, "--teacher", "simulator")
        assert done.returncode == 0, done.stderr
        assert "Unclosed" not in done.stderr
    assert digest_of(tmp_path / "batch") == digest_of(tmp_path / "online")
    batched = datagen("sql", tmp_path / "batch", "SELECT step, count(*) n, count(nullif(batch, '')) b FROM calls GROUP BY ALL ORDER BY ALL").stdout
    assert [line.split() for line in batched.splitlines()[2:5]] == [["better", "80", "80"], ["grade", "40", "0"], ["text", "40", "40"]]
    bought = "SELECT sum(answers), sum(asked) FROM costs"
    assert datagen("sql", tmp_path / "batch", bought).stdout.splitlines()[2].split() == ["160", "160"]
    again = datagen(
        "build",
        "--spec",
        project(tmp_path, "batch", writer=f"{provider}/w"),
        "--out",
        tmp_path / "again",
        "--teacher",
        "simulator",
        "--ledger",
        tmp_path / "batch" / "ledger",
    )
    assert again.returncode == 0, again.stderr
    assert datagen("sql", tmp_path / "again", bought).stdout.splitlines()[2].split() == ["160", "0"]


def test_no_wait_leaves_and_the_same_command_goes_on(tmp_path: Path) -> None:
    spec = project(tmp_path, batches="{seconds: 1.0}", writer="simulator/w", grader="simulator/g")
    with standing_simulator(spec) as url:
        spec.write_text(
            spec.read_text().replace("simulator/w", f"simulator/w, base_url: '{url}'").replace("simulator/g", f"simulator/g, base_url: '{url}'")
        )
        out = tmp_path / "out"
        codes: list[int] = []
        shown = ""
        while not codes or codes[-1] == 13:
            done = datagen("build", "--spec", spec, "--out", out, "--no-wait")
            codes.append(done.returncode)
            assert done.returncode in (0, 13), done.stderr
            if done.returncode == 13:
                assert "under way" in done.stderr and "the same command goes on" in done.stderr
                shown += datagen("status", out).stdout
            assert len(codes) < 60
        assert codes.count(13) >= 2 and "writer, round 1," in shown and "old" in shown
        assert jobs(url)[0]["totals"]["submitted_twice"] == 0
        assert all(entry["count"] == 1 for entry in statement(url))


@pytest.mark.parametrize("writer", ["openai", pytest.param("anthropic", marks=pytest.mark.soak)])
def test_killed_at_random_moments_no_batch_is_submitted_twice(tmp_path: Path, writer: str) -> None:
    """Expiry, errors, lost replies, late listing, garbled results; killed in between. The simulator's books are the judge."""
    again(tmp_path, kills=3, seed=7, writer=writer)


def again(folder: Path, kills: int, seed: int, writer: str) -> int:
    """Kill and start again, then compare with a calm build. Returns the number of jobs."""
    spec = project(folder, batches=ROUGH, writer=f"{writer}/w", grader="simulator/g")
    rehearse = ("--teacher", "simulator")  # the writer keeps its own wire, and is asked where the grader's simulator stands
    with standing_simulator(spec) as url:
        spec.write_text(spec.read_text().replace("simulator/g", f"simulator/g, base_url: '{url}'"))
        found = kill_while_building(spec, folder / "out", url, kills, 2.2, seed, *rehearse)
        build(spec, folder / "out", *rehearse)
        final = {entry["key"]: entry["count"] for entry in statement(url)}
        books = jobs(url)
        assert books[0]["totals"]["submitted_twice"] == 0
        for kill in found:
            paid_again = [key for key in kill.recorded if final[key] > kill.paid[key]]
            assert not paid_again
        assert len(recorded_keys(folder / "out" / "ledger")) == len(final)
        build(spec, folder / "calm", *rehearse)
        assert digest_of(folder / "out") == digest_of(folder / "calm")
        return int(books[0]["totals"]["jobs"])


def test_a_budget_holds_over_batches_and_online_asks(tmp_path: Path) -> None:
    spec = project(tmp_path)
    out = tmp_path / "out"
    done = datagen("build", "--spec", spec, "--out", out, "--teacher", "simulator", "--budget", "0.1")
    assert done.returncode == 8, done.stderr
    done = datagen("build", "--spec", spec, "--out", out, "--teacher", "simulator", "--budget", "50")
    assert done.returncode == 0, done.stderr


def test_batches_under_way_are_not_asked_online(tmp_path: Path) -> None:
    spec = project(tmp_path, batches="{seconds: 60}", writer="simulator/w", grader="simulator/g")
    with standing_simulator(spec) as url:
        spec.write_text(
            spec.read_text().replace("simulator/w", f"simulator/w, base_url: '{url}'").replace("simulator/g", f"simulator/g, base_url: '{url}'")
        )
        assert datagen("build", "--spec", spec, "--out", tmp_path / "out", "--no-wait").returncode == 13
        spec.write_text(spec.read_text().replace("mode: batch", "mode: online"))
        done = datagen("build", "--spec", spec, "--out", tmp_path / "out")
        assert done.returncode == 4 and "are under way" in done.stderr
        assert all(entry["count"] == entry["batched"] for entry in statement(url))


def test_a_writer_in_batches_and_a_judge_online_may_be_one_model(tmp_path: Path) -> None:
    """What stands in a batch is the writer's: the judge asks other things of the same model."""
    spec = project(tmp_path, batches="{seconds: 2.0}", writer="simulator/m", grader="simulator/m")
    with standing_simulator(spec) as url:
        spec.write_text(spec.read_text().replace("simulator/m,", f"simulator/m, base_url: '{url}',"))
        codes = [datagen("build", "--spec", spec, "--out", tmp_path / "out", "--no-wait").returncode for _ in range(2)]
        done = datagen("build", "--spec", spec, "--out", tmp_path / "out")
        assert codes[0] == 13 and codes[1] in (0, 13) and done.returncode == 0, done.stderr
        assert jobs(url)[0]["totals"]["submitted_twice"] == 0 and all(entry["count"] == 1 for entry in statement(url))


def test_money_that_a_batch_has_reserved_is_waited_for(tmp_path: Path) -> None:
    """Typed again while a batch stands, the build has no room for a judge: that is no spent budget, the batch gives back what it did not need."""
    worst = 0.4
    spec = project(tmp_path, batches="{seconds: 3.0}", writer="simulator/w", grader="simulator/g")
    with standing_simulator(spec) as url:
        spec.write_text(
            spec.read_text().replace("simulator/w,", f"simulator/w, base_url: '{url}',").replace("simulator/g,", f"simulator/g, base_url: '{url}',")
        )
        out = tmp_path / "out"
        done = datagen("build", "--spec", spec, "--out", out, "--no-wait", "--budget", worst)
        assert done.returncode == 13, done.stderr
        codes = []
        while not codes or codes[-1] == 13:
            done = datagen("build", "--spec", spec, "--out", out, *(["--no-wait"] if len(codes) % 2 else []), "--budget", worst)
            codes.append(done.returncode)
            assert len(codes) < 60
        assert codes[-1] == 0, done.stderr
        assert all(entry["count"] == 1 for entry in statement(url))


def killed_under_way(spec: Path, out: Path, number: int) -> None:
    """A rehearsal whose process dies when so many batches are under way; its simulator dies with it."""
    process = subprocess.Popen([*DATAGEN, "build", "--spec", str(spec), "--out", str(out), "--teacher", "simulator"], start_new_session=True)
    while sum(path.read_bytes().count(b'"kind":"accepted"') for path in out.glob("ledger/*.jsonl")) < number:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_rehearsal_that_may_not_wait_waits_for_its_own_simulator(tmp_path: Path) -> None:
    """Its jobs would end with it, and the same command would begin again for ever."""
    done = datagen("build", "--spec", project(tmp_path), "--out", tmp_path / "out", "--teacher", "simulator", "--no-wait")
    assert done.returncode == 0, done.stderr


def test_a_rehearsal_killed_in_mid_batch_goes_on_although_its_simulator_is_gone(tmp_path: Path) -> None:
    spec, out = project(tmp_path, batches="{seconds: 2.0}"), tmp_path / "out"
    killed_under_way(spec, out, 3)
    done = datagen("build", "--spec", spec, "--out", out, "--teacher", "simulator")
    assert done.returncode == 0, done.stderr


def test_a_batch_that_the_provider_forgot_is_given_up_by_name(tmp_path: Path) -> None:
    spec, out = project(tmp_path, batches="{seconds: 60}"), tmp_path / "out"
    killed_under_way(spec, out, 3)
    tags = [word for line in datagen("status", out).stdout.splitlines() if line.strip().startswith("batch") for word in line.split()[1:2]]
    assert len(tags) == 3
    wrong = datagen("ledger", "release", out, "b-nothing")
    assert wrong.returncode == 5 and "no batch 'b-nothing' is under way" in wrong.stderr
    for tag in tags:
        assert "are asked again by the next build" in datagen("ledger", "release", out, tag).stdout
    assert "batch b-" not in datagen("status", out).stdout


def test_ctrl_c_while_waiting_for_batches_leaves_at_once(tmp_path: Path) -> None:
    spec = project(tmp_path, batches="{seconds: 60}", writer="simulator/w", grader="simulator/g")
    with standing_simulator(spec) as url:
        spec.write_text(
            spec.read_text().replace("simulator/w", f"simulator/w, base_url: '{url}'").replace("simulator/g", f"simulator/g, base_url: '{url}'")
        )
        process = subprocess.Popen([*DATAGEN, "build", "--spec", str(spec), "--out", str(tmp_path / "out")], stderr=subprocess.PIPE, text=True)
        while jobs(url)[0]["totals"]["jobs"] < 3:
            time.sleep(random.Random(1).uniform(0.05, 0.1))
        process.terminate()
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130 and "go on at the provider" in said
