"""The log: a line of JSON an event, in order, with the fields it declares and nothing that was said; silent unless asked for."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from killing import DATAGEN, standing_simulator, start, statement
from scraping import heard, rows_in
from teaching import made, project, teacher
from test_metrics import spec_at
from wire_server import Reply, error

from datagen.runtime.log import EVENTS, event, logging_to

MARK, KEY = "PROMPTMARK", "sk-live-4f9a7c2e8b1d6035MARK"
HEAD = ["time", "run", "step", "part", "level", "event"]


def lines_of(log: Path) -> list[dict[str, Any]]:
    """Every line, each held to its declaration."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        assert list(line)[: len(HEAD)] == HEAD, line
        assert set(line) - set(HEAD) <= set(EVENTS[line["event"]].fields), line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]), line
    return lines


def named(lines: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == name]


def built(spec: Path, out: Path, *more: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*DATAGEN, "build", "--spec", str(spec), "--out", str(out), *more]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == code, done.stderr
    return done


def test_a_build_tells_its_story_in_order(tmp_path: Path) -> None:
    spec, out, log = spec_at(tmp_path, 80, pilot=20), tmp_path / "out", tmp_path / "log.jsonl"
    done = built(spec, out, "--teacher", "simulator", "--log", str(log))
    assert '{"time"' not in done.stdout + done.stderr
    lines = lines_of(log)
    assert [lines[0]["event"], lines[-2]["event"], lines[-1]["event"]] == ["build_started", "release_published", "build_finished"]
    began, over = lines[0], lines[-1]
    assert began["build"] == "watched" and began["simulated"] and began["seeds"] == 80 and began["budget_usd"] == 5 and began["runtime"] == "local"
    manifest, account = json.loads((out / "manifest.json").read_text()), rows_in(out)
    assert over["exit_code"] == 0 and over["rows"] == manifest["releases"][0]["rows"] == account["unique", "kept", "", ""]
    assert over["asked"] == 160 and over["dollars"] > 0 and over["level"] == "info"
    whole = [line for line in lines if line.get("pilot") is False]
    assert whole[0]["event"] == "stretch_started" and whole[-1]["event"] == "stretch_finished"
    parts = named(whole, "part_finished")
    assert {line["step"] for line in whole} == {"solution > grade > long"} and len({line["part"] for line in parts}) == len(parts) > 1
    assert sum(line["kept"] for line in parts) == account["long", "kept", "", ""]
    dropped = sum(number for (step, fate, *_), number in account.items() if fate == "dropped" and step == "long")
    assert sum(line["dropped"] for line in parts) == dropped > 0
    assert sum(line["asked"] + line["replayed"] for line in parts) == 160 and all(line["seconds"] > 0 for line in parts)
    assert whole[-1]["kept"] == over["rows"]
    (pilot,) = named(lines, "pilot_forecast")
    assert pilot["seeds"] == 20 and pilot["of"] == 80 and named(lines, "stretch_started")[0]["pilot"] != named(lines, "stretch_started")[1]["pilot"]
    assert {line["run"] for line in lines} == {began["time"][:10]}
    built(spec, out, "--teacher", "simulator", "--log", str(log))
    again = lines_of(log)[len(lines) :]
    assert [line["event"] for line in again] == ["build_started", "stretch_started", "stretch_finished", "build_finished"]
    assert again[-1]["asked"] == 0 and again[-1]["dollars"] == over["dollars"]


def test_nothing_is_logged_unless_asked_for(tmp_path: Path) -> None:
    spec = spec_at(tmp_path, 8, "{outages: [[0, 2, error]]}")
    done = built(spec, tmp_path / "out", "--teacher", "simulator")
    assert "{" not in done.stderr and "teacher_down" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "prompts", "watched.yaml"]


def test_a_log_on_stderr_takes_the_place_of_the_progress(tmp_path: Path) -> None:
    done = built(spec_at(tmp_path, 8), tmp_path / "out", "--teacher", "simulator", "--log", "-")
    said = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert said[0] == "build_started" and said[-1] == "build_finished" and "release 1.0" in done.stdout


def test_an_outage_is_told_with_its_end(tmp_path: Path) -> None:
    """The first twenty requests fail: more in a row than a teacher in service ever does."""
    log, seen = tmp_path / "log.jsonl", itertools.count()

    def come_back(prompt: str) -> str | Reply:
        return Reply(error("openai", "server_error", "down"), 500) if next(seen) < 20 else prompt

    seeds = "{grid: {topic: [" + ", ".join(f"t{number}" for number in range(20)) + "]}}"
    with teacher(come_back) as taught:
        spec = project(tmp_path, "  - {name: text, ask: t/say, of: w}", {"say": "about {{ topic }}"}, seeds, url=taught.url)
        spec.write_text(spec.read_text().replace("label: test,", "label: test, api_key_env: TEST_KEY,").replace("attempts: 2", "attempts: 6"))
        built(spec, tmp_path / "out", "--log", str(log), TEST_KEY=KEY)
    lines = [line for line in lines_of(log) if line["event"].startswith("teacher_")]
    assert [(line["event"], line["teacher"], line["level"]) for line in lines] == [("teacher_down", "w", "warning"), ("teacher_back", "w", "info")]


def test_a_spent_budget_is_told_with_what_was_spent(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    built(spec_at(tmp_path, 60), tmp_path / "out", "--teacher", "simulator", "--budget", "0.03", "--log", str(log), code=8)
    *_, reached, failed = lines_of(log)
    assert reached["event"] == "budget_reached" and 0 < reached["dollars"] <= reached["budget_usd"] == 0.03
    assert failed["event"] == "build_failed" and failed["exit_code"] == 8 and failed["error"] == "BudgetReached" and failed["level"] == "error"
    assert failed["dollars"] == reached["dollars"]


def test_an_interrupted_build_says_that_it_was_asked_to_stop(tmp_path: Path) -> None:
    spec, log = spec_at(tmp_path, 100, "{latency: '0.3'}", limits=", max_in_flight: 4"), tmp_path / "log.jsonl"
    with standing_simulator(spec) as url:
        spec.write_text(spec.read_text().replace("openai/own", "simulator/own").replace("http://127.0.0.1:9/v1", f"{url}/v1"))
        process = start(spec, tmp_path / "out", "--teacher", "simulator", "--log", str(log))
        while len(statement(url)) < 8 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate()
    lines = lines_of(log)
    assert process.returncode == 130
    assert [line["event"] for line in lines if line["level"] != "info"] == ["drain_asked", "build_failed"]
    assert lines[-1]["exit_code"] == 130 and lines[-1]["error"] == "Interrupted"


def test_a_spec_that_is_wrong_is_a_failed_build(tmp_path: Path) -> None:
    log, spec = tmp_path / "log.jsonl", spec_at(tmp_path, 8)
    spec.write_text(spec.read_text().replace("of: writer", "of: nobody"))
    built(spec, tmp_path / "out", "--teacher", "simulator", "--log", str(log), code=2)
    (line,) = lines_of(log)
    assert line["event"] == "build_failed" and line["exit_code"] == 2 and line["error"] == "SpecError" and line["dollars"] == 0


def test_paid_batches_come_and_go(tmp_path: Path) -> None:
    spec = spec_at(tmp_path, 40, "{batches: {seconds: 0.3, errors: 0.1}}", mode="mode: batch, batch: {poll: 0.1, requests: 16},")
    log = tmp_path / "log.jsonl"
    built(spec, tmp_path / "out", "--teacher", "simulator", "--log", str(log))
    lines = lines_of(log)
    sent, back = named(lines, "batch_submitted"), named(lines, "batch_back")
    assert {line["batch"] for line in sent} == {line["batch"] for line in back} and len(sent) == len(back) >= 3
    assert sum(line["outcomes"].get("answered", 0) for line in back) == 40
    assert sum(line["requests"] for line in sent) == 40 + sum(line["again"] for line in back)
    assert sum(line["requests"] for line in named(lines, "part_waiting")) == 40


def test_no_line_holds_a_prompt_an_answer_or_a_key(tmp_path: Path) -> None:
    """Nor what a provider says, which may quote both."""
    log = tmp_path / "log.jsonl"

    def parrot(prompt: str) -> str | Reply:
        number = int(prompt.rsplit(" ", 1)[1])
        return Reply(error("openai", "invalid_request_error", f"{KEY} {prompt}"), 400) if number % 5 == 1 else f"{prompt} {KEY}"

    seeds = "{grid: {topic: [" + ", ".join(f"{MARK} {number}" for number in range(20)) + "]}}"
    more = "guard: {error_share: 1.0}\nrelease: {format: text, allow_unanswered: 1.0}"
    steps = "  - {name: text, ask: t/say, of: w, reask: 0}\n  - {name: clean, filter: [{length: {on: text, min_words: 50}}]}"
    for code, script in ((12, parrot), (7, lambda prompt: Reply(error("openai", "invalid_api_key", f"bad key {KEY} for {prompt}"), 401))):
        with teacher(script) as taught:
            spec = project(tmp_path, steps, {"say": "Say {{ topic }}"}, seeds, more, taught.url)
            spec.write_text(spec.read_text().replace("label: test,", "label: test, api_key_env: TEST_KEY,"))
            built(spec, tmp_path / f"out{code}", "--log", str(log), code=code, TEST_KEY=KEY)
    lines = lines_of(log)
    ends = Counter((line["event"], line["exit_code"]) for line in lines if "exit_code" in line)
    assert ends == {("build_finished", 12): 1, ("build_failed", 7): 1}, "a release without a row is out, and not to be trusted"
    assert named(lines, "part_finished")
    assert MARK not in log.read_text() and KEY not in log.read_text()


def test_a_disk_without_room_for_the_log_ends_no_build(tmp_path: Path) -> None:
    done = built(spec_at(tmp_path, 8), tmp_path / "out", "--teacher", "simulator", "--log", "/dev/full")
    assert done.stderr.count("the log cannot be written") == 1 and "No space left" in done.stderr and "Traceback" not in done.stderr


def test_a_log_that_cannot_be_opened_is_said_before_anything_is_paid(tmp_path: Path) -> None:
    done = built(spec_at(tmp_path, 8), tmp_path / "out", "--teacher", "simulator", "--log", str(tmp_path / "no" / "log"), code=4)
    assert "cannot write the log" in done.stderr and "--log takes a file" in done.stderr and not (tmp_path / "out").exists()


def test_a_program_attaches_its_own_handler(tmp_path: Path) -> None:
    with teacher(str.upper) as taught, heard() as records:
        spec = project(tmp_path, "  - {name: text, ask: t/say, of: w}", {"say": "about {{ topic }}"}, "{grid: {topic: [a, b]}}", url=taught.url)
        made(spec, tmp_path / "out")
    assert records[-1].getMessage() == "build_finished" and records[-1].fields["rows"] == 2  # type: ignore[attr-defined]
    assert {record.run for record in records} == {datetime.now(UTC).date().isoformat()}  # type: ignore[attr-defined]


def test_a_run_has_its_name_in_every_line(tmp_path: Path) -> None:
    with logging_to(str(tmp_path / "log"), "nightly-7"):
        event("worker_lost", worker=3, error="ActorDiedError")
        event("worker_replaced", worker=3)
    lost, replaced = lines_of(tmp_path / "log")
    assert lost["run"] == replaced["run"] == "nightly-7" and lost["level"] == "warning" and lost["worker"] == 3


def test_a_field_that_is_not_declared_is_an_error() -> None:
    with pytest.raises(ValueError, match="'drain_asked' declares no text"):
        event("drain_asked", text="what was said")


def test_the_readme_lists_every_event_as_it_is() -> None:
    text = (Path(__file__).parent.parent / "docs" / "operating.md").read_text()
    table = text[text.index("| event | fields | when |") :].split("\n\n")[0]
    listed = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", table, re.MULTILINE)
    assert listed == [(name, ", ".join(f"`{field}`" for field in each.fields) or "-", each.about) for name, each in EVENTS.items()]
