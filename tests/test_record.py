"""run.json: every way in which a run can end, held to one schema; a dead process; the ids of runs; and the tables of docs/operating.md."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from killing import DATAGEN, standing_simulator, start, statement
from teaching import project, teacher
from wire_server import Reply, chat, encoded, error

from datagen import errors
from datagen.asking.ledger.book import Ledger, lock
from datagen.build import Options
from datagen.errors import DatagenError
from datagen.inspect import status
from datagen.job import run
from datagen.records import NANO, Spend
from datagen.running.telling.notify import event_of
from datagen.running.telling.record import Recorder, Run, exit_code, run_id
from datagen.storage import read_json

ROOT = Path(__file__).resolve().parent.parent
ENDED = ["released", "nothing_new", "paused", "stopped", "failed", "interrupted"]
COUNT, DOLLARS = {"type": "integer", "minimum": 0}, {"type": "number", "minimum": 0}


def group(**properties: Any) -> dict[str, Any]:
    return {"type": ["object", "null"], "properties": properties, "required": list(properties), "additionalProperties": False}


def maybe(kind: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [kind, {"type": "null"}]}


MOMENT = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$"}
SCHEMA = {
    **group(
        schema={"const": 1},
        run={"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
        name=maybe({"type": "string"}),
        state={"enum": ["running", *ENDED]},
        exit_code=maybe(COUNT),
        error=group(**{"class": {"type": "string"}, "message": {"type": "string", "minLength": 1}}),
        started=MOMENT,
        finished=maybe(MOMENT),
        seconds=maybe(DOLLARS),
        host={"type": "string"},
        pid=COUNT,
        born=maybe(COUNT),
        simulated={"type": "boolean"},
        version=maybe({"type": "string", "pattern": r"^\d+\.\d+$"}),
        plan=maybe({"type": "string", "minLength": 32}),
        rows=group(new=COUNT, total=COUNT),
        unanswered={"type": ["object", "null"], "additionalProperties": COUNT, "propertyNames": {"enum": list(errors.OUTCOMES)}},
        requests=group(asked=COUNT, replayed=maybe(COUNT), in_flight=COUNT, in_batches=COUNT),
        usd=group(run=DOLLARS, release=DOLLARS, cap=maybe(DOLLARS), left=maybe(DOLLARS), in_flight=DOLLARS, in_batches=DOLLARS),
        month=group(month={"type": "string", "pattern": r"^\d{4}-\d\d$"}, usd=DOLLARS, cap=maybe(DOLLARS), left=maybe(DOLLARS)),
        notes={"type": "array", "items": {"type": "string"}},
    ),
    "type": "object",
    "allOf": [
        {
            "if": {"properties": {"state": {"const": "running"}}},
            "then": {"properties": {"finished": {"type": "null"}, "exit_code": {"type": "null"}}},
        },
        {"if": {"properties": {"state": {"enum": ENDED}}}, "then": {"properties": {"finished": MOMENT, "exit_code": COUNT}}},
        {"if": {"properties": {"exit_code": {"const": 0}}}, "then": {"properties": {"error": {"type": "null"}, "rows": {"type": "object"}}}},
    ],
}
STEP = "  - {name: text, ask: t/text, of: w}"
PROMPT = {"text": "on {{ topic }}"}


def checked(path: Path) -> dict[str, Any]:
    """A record that holds to the schema."""
    found = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator(SCHEMA).validate(found)
    return dict(found)


def seeds(count: int) -> str:
    return "{grid: {topic: [" + ", ".join(f"t{number}" for number in range(count)) + "]}}"


def words(prompt: str) -> str:
    return f"Much could be said {prompt}, and more."


def of(number: int) -> Callable[[str], bool]:
    """True for the prompt of one topic."""
    return lambda prompt: prompt == f"on t{number}"


def ended(spec: Path, out: Path, **more: Any) -> dict[str, Any]:
    """Run to whatever end, in this process; the record, after what holds at every end."""
    code = 0
    try:
        run(Options(str(spec), out, **more), lambda _: None)
    except DatagenError as problem:
        code = problem.exit_code
    found = checked(out / "run.json")
    assert found["exit_code"] == code and found == checked(out / "runs" / f"{found['run']}.json")
    assert (found["pid"], found["host"]) == (os.getpid(), os.uname().nodename)
    return found


def test_a_release_and_a_night_with_nothing_to_do(tmp_path: Path) -> None:
    with teacher(words) as taught:
        more = "release: {format: text, budget: {usd: 5, usd_per_month: 9}}"
        spec, out = project(tmp_path, STEP, PROMPT, seeds(6), more, taught.url), tmp_path / "out"
        first = ended(spec, out, run_id="one")
        assert (first["state"], first["version"], first["rows"], first["unanswered"]) == ("released", "1.0", {"new": 6, "total": 6}, {})
        assert first["requests"] == {"asked": 6, "replayed": 0, "in_flight": 0, "in_batches": 0} and len(taught.prompts) == 6
        cost = read_json(out / "manifest.json")["cost"]["usd"]
        assert first["usd"]["run"] == first["usd"]["release"] == first["month"]["usd"] == pytest.approx(cost) and cost > 0
        assert first["usd"]["left"] == pytest.approx(5 - cost) and first["month"]["left"] == pytest.approx(9 - cost)
        before = {path: path.read_bytes() for path in (out / "data").iterdir()}
        second = ended(spec, out, run_id="two")
        assert (second["state"], second["version"], second["rows"]) == ("nothing_new", "1.0", {"new": 0, "total": 6})
        assert second["requests"]["asked"] == 0 and second["requests"]["replayed"] == 6 and second["usd"]["run"] == 0
        assert second["usd"]["release"] == first["usd"]["release"] and second["plan"] == first["plan"]
        assert before == {path: path.read_bytes() for path in (out / "data").iterdir()}, "the id of a run reached the rows"
    assert sorted(path.name for path in (out / "runs").iterdir()) == ["one.json", "two.json"]
    assert checked(out / "runs" / "one.json")["state"] == "released"


def test_money_that_is_spent(tmp_path: Path) -> None:
    with teacher(words) as taught:
        spec, out = project(tmp_path, STEP, PROMPT, seeds(9), "release: {format: text, budget: {requests: 4}}", taught.url), tmp_path / "out"
        found = ended(spec, out)
        assert (found["state"], found["exit_code"], found["version"], found["rows"]) == ("paused", 8, "1.0", None)
        assert found["error"]["class"] == "BudgetReached" and "of 4 requests" in found["error"]["message"]
        assert found["requests"]["asked"] == 4 == len(taught.prompts)
        assert found["usd"]["run"] == found["month"]["usd"] > 0
        spec.write_text(spec.read_text().replace("requests: 4", "requests: 40"))
        again = ended(spec, out)
        assert again["state"] == "released" and again["requests"]["asked"] == 5 and again["requests"]["replayed"] == 4
        assert again["usd"]["release"] == pytest.approx(found["usd"]["run"] + again["usd"]["run"])


def test_a_teacher_that_refuses_to_go_on(tmp_path: Path) -> None:
    with teacher(lambda _: Reply(error("openai", "invalid_api_key", "no"), 401)) as taught:
        found = ended(project(tmp_path, STEP, PROMPT, seeds(3), url=taught.url), tmp_path / "out")
    assert (found["state"], found["exit_code"], found["error"]["class"]) == ("stopped", 7, "TeacherStopped")
    assert found["usd"]["run"] == 0 and found["requests"]["in_flight"] == 0


def test_an_account_without_quota(tmp_path: Path) -> None:
    with teacher(lambda _: Reply(error("openai", "insufficient_quota", "You exceeded your current quota"), 429)) as taught:
        found = ended(project(tmp_path, STEP, PROMPT, seeds(3), url=taught.url), tmp_path / "out")
    assert (found["state"], found["exit_code"], found["error"]["class"]) == ("paused", 11, "TeacherPaused")


def test_too_many_failures(tmp_path: Path) -> None:
    cut = Reply(encoded(chat({"content": "half a"}, finish="length")))
    with teacher(lambda _: cut) as taught:
        more = "release: {format: text}\nguard: {pilot: 0}"
        found = ended(project(tmp_path, STEP, PROMPT, seeds(120), more, taught.url), tmp_path / "out")
    assert (found["state"], found["exit_code"], found["error"]["class"]) == ("stopped", 9, "TooManyFailures")
    assert found["requests"]["asked"] == len(taught.prompts) >= 50


def test_rows_without_an_answer_are_a_release_with_an_exit_code(tmp_path: Path) -> None:
    refusal = Reply(encoded(chat({"content": None, "refusal": "no"})))
    with teacher(lambda prompt: refusal if of(2)(prompt) else words(prompt)) as taught:
        found = ended(project(tmp_path, STEP, PROMPT, seeds(5), url=taught.url), tmp_path / "out")
    assert (found["state"], found["exit_code"], found["error"]["class"]) == ("released", 10, "Unanswered")
    assert found["unanswered"] == {"refused": 1} and found["rows"] == {"new": 4, "total": 4}


def test_a_pilot_below_the_yield(tmp_path: Path) -> None:
    with teacher(lambda _: "short") as taught:
        steps = f"{STEP}\n  - {{name: good, filter: [{{length: {{on: text, min_words: 5}}}}]}}"
        more = "release: {format: text}\nguard: {pilot: 5, min_yield: 0.5}"
        found = ended(project(tmp_path, steps, PROMPT, seeds(20), more, taught.url), tmp_path / "out")
    assert (found["state"], found["exit_code"], found["error"]["class"]) == ("stopped", 12, "LowYield") and len(taught.prompts) == 5


def test_a_release_without_a_row(tmp_path: Path) -> None:
    with teacher(lambda _: "short") as taught:
        steps = f"{STEP}\n  - {{name: good, filter: [{{length: {{on: text, min_words: 5}}}}]}}"
        found = ended(project(tmp_path, steps, PROMPT, seeds(3), "release: {format: text}", taught.url), tmp_path / "out")
    assert (found["state"], found["exit_code"], found["rows"]) == ("released", 12, {"new": 0, "total": 0})


def test_batches_that_nobody_waits_for(tmp_path: Path) -> None:
    spec = project(tmp_path, STEP, PROMPT, seeds(4), "rehearsal: {batches: {seconds: 1.0}}")
    with standing_simulator(spec) as url:
        batch = f"simulator/own, base_url: '{url}/v1', mode: batch, batch: {{poll: 0.1}}"
        spec.write_text(spec.read_text().replace("openai/own, base_url: 'http://127.0.0.1:9/v1', label: test", batch))
        found = ended(spec, tmp_path / "out", wait=False)
        assert (found["state"], found["exit_code"], found["error"]["class"]) == ("paused", 13, "Waiting")
        assert found["requests"] == {"asked": 4, "replayed": None, "in_flight": 0, "in_batches": 4}
        done = ended(spec, tmp_path / "out")
    assert done["state"] == "released" and done["requests"] == {"asked": 0, "replayed": 0, "in_flight": 0, "in_batches": 0}


def test_what_is_wrong_before_there_is_a_plan(tmp_path: Path) -> None:
    """Nothing is written where no build is; where one is, the night that went wrong is on record."""
    with teacher(words) as taught:
        spec, out = project(tmp_path, STEP, PROMPT, seeds(2), "release: {format: text}", taught.url), tmp_path / "out"
        good = spec.read_text()
        spec.write_text(good.replace("format: text", "fromat: text"))
        with pytest.raises(errors.SpecError):
            run(Options(str(spec), out), lambda _: None)
        assert not out.exists()
        spec.write_text(good)
        ended(spec, out, run_id="good")
        spec.write_text(good.replace("format: text", "fromat: text"))
        bad = ended(spec, out, run_id="bad")
        assert (bad["state"], bad["exit_code"], bad["name"], bad["plan"], bad["usd"]) == ("failed", 2, None, None, None)
        assert "did you mean 'format'" in bad["error"]["message"]
        spec.write_text(good.replace("on: text", "").replace("t/text", "t/other"))
        (tmp_path / "prompts" / "t" / "other.md.j2").write_text("Another {{ topic }}")
        changed = ended(spec, out, run_id="changed")
        assert (changed["state"], changed["exit_code"], changed["name"], changed["plan"]) == ("failed", 6, "tiny", None)


def test_a_run_that_is_turned_away_leaves_the_record_of_the_one_that_has_the_ledger(tmp_path: Path) -> None:
    with teacher(words) as taught:
        spec, out = project(tmp_path, STEP, PROMPT, seeds(2), "release: {format: text}", taught.url), tmp_path / "out"
        ended(spec, out, run_id="first")
        before = (out / "run.json").read_bytes()
        with lock(out / "ledger"):
            with pytest.raises(errors.LedgerError):
                run(Options(str(spec), out, run_id="second"), lambda _: None)
            spec.write_text(spec.read_text().replace("format: text", "fromat: text"))
            with pytest.raises(errors.SpecError):
                run(Options(str(spec), out, run_id="third"), lambda _: None)
        assert (out / "run.json").read_bytes() == before and [path.name for path in (out / "runs").iterdir()] == ["first.json"]


def test_a_spec_of_another_name_leaves_the_record_alone(tmp_path: Path) -> None:
    with teacher(words) as taught:
        spec, out = project(tmp_path, STEP, PROMPT, seeds(2), "release: {format: text}", taught.url), tmp_path / "out"
        ended(spec, out, run_id="first")
        before = (out / "run.json").read_bytes()
        spec.write_text(spec.read_text().replace("name: tiny", "name: other"))
        with pytest.raises(errors.OutputError, match="belongs to the spec 'tiny'"):
            run(Options(str(spec), out, run_id="second"), lambda _: None)
    assert (out / "run.json").read_bytes() == before and [path.name for path in (out / "runs").iterdir()] == ["first.json"]


def test_a_run_that_began_since_keeps_the_front_place(tmp_path: Path) -> None:
    """Between the release of the ledger and the last word of a run, the next one may have begun."""
    with teacher(words) as taught:
        spec, out = project(tmp_path, STEP, PROMPT, seeds(2), "release: {format: text}", taught.url), tmp_path / "out"

        def next_one(_: object) -> None:
            (out / "run.json").write_text(json.dumps({**json.loads((out / "run.json").read_text()), "run": "next"}))

        run(Options(str(spec), out, run_id="this"), lambda _: None, show=next_one)
    found = checked(out / "run.json")
    assert (found["run"], found["state"]) == ("next", "running") and checked(out / "runs" / "this.json")["state"] == "released"


def test_a_fault_of_ours_is_on_record_too(tmp_path: Path) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("nobody thought of this")

    with teacher(words) as taught:
        spec, out = project(tmp_path, STEP, PROMPT, seeds(2), "release: {format: text}", taught.url), tmp_path / "out"
        with pytest.raises(ZeroDivisionError):
            run(Options(str(spec), out), lambda _: None, show=broken)
    found = checked(out / "run.json")
    assert (found["state"], found["exit_code"]) == ("released", 1)
    assert found["error"] == {"class": "ZeroDivisionError", "message": "nobody thought of this"}


# --- a run as a process of its own ---

SLOW = """\
name: slow
seeds: {{grid: {{topic: [{topics}]}}}}
teachers: {{w: {{model: simulator/any, base_url: '{url}', max_tokens: 300, max_in_flight: 4}}}}
steps:
  - {{name: text, ask: t/text, of: w}}
release: {{format: text, budget: {{usd: 5, usd_per_month: 20}}}}
guard: {{pilot: 0}}
rehearsal: {{latency: '0.1'}}
"""


def slow(folder: Path, url: str = "http://127.0.0.1:9") -> Path:
    project(folder, STEP, PROMPT, seeds(1))
    spec = folder / "slow.yaml"
    spec.write_text(SLOW.format(topics=", ".join(f"t{number}" for number in range(60)), url=url))
    return spec


def answered(process: subprocess.Popen[bytes], url: str, count: int) -> None:
    """Return when the teacher has answered so often."""
    while len(statement(url)) < count:
        assert process.poll() is None, "the build ended too early"


def test_ctrl_c_and_then_the_same_command(tmp_path: Path) -> None:
    with standing_simulator(slow(tmp_path)) as url:
        spec, out = slow(tmp_path, url), tmp_path / "out"
        process = start(spec, out, "--run-id", "night.1")
        answered(process, url, 8)
        running = checked(out / "run.json")
        assert (running["state"], running["pid"], running["version"], running["rows"]) == ("running", process.pid, "1.0", None)
        assert running["usd"]["release"] == 0 and running["month"]["left"] == 20
        assert f"last run night.1: running since {running['started']} (process {process.pid}" in "\n".join(status(out))
        os.kill(process.pid, signal.SIGINT)
        process.communicate()
        assert process.returncode == 130
        stopped = checked(out / "run.json")
        assert (stopped["state"], stopped["exit_code"], stopped["error"]["class"]) == ("interrupted", 130, "Interrupted")
        assert stopped["requests"]["asked"] == len(statement(url)) and stopped["requests"]["in_flight"] == 0


def test_a_killed_run_has_died_and_what_it_had_in_flight_counts(tmp_path: Path) -> None:
    ill = [True]
    with teacher(lambda prompt: Reply(how="silence") if ill and len(taught.prompts) > 8 else words(prompt)) as taught:
        spec, out = project(tmp_path, STEP, PROMPT, seeds(20), "release: {format: text}", taught.url), tmp_path / "out"
        spec.write_text(spec.read_text().replace("attempts: 2", "attempts: 2, max_in_flight: 4"))
        process = start(spec, out, "--run-id", "dead")
        while len(taught.prompts) < 12:
            assert process.poll() is None, "the build ended too early"
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        ill.clear()
        assert checked(out / "run.json")["state"] == "running"
        said = "\n".join(status(out))
        assert f"last run dead: died: process {process.pid} on " in said and "the same command goes on" in said
        flying = in_flight(out)
        assert flying.requests == 4 and flying.cost > 0
        done = subprocess.run([*DATAGEN, "build", "--spec", str(spec), "--out", str(out), "--run-id", "next"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    found = checked(out / "run.json")
    assert found["state"] == "released" and any("the run before this one (dead) came to no end" in note for note in found["notes"])
    assert found["requests"] == {"asked": 12, "replayed": 8, "in_flight": 4, "in_batches": 0}
    assert found["usd"]["in_flight"] == flying.cost / NANO
    assert checked(out / "runs" / "dead.json")["state"] == "running"


def in_flight(out: Path) -> Spend:
    """What was sent and has no end, by the ledger."""
    ledger = Ledger(out / "ledger", "")
    ledger.close()
    return sum((account.in_flight for account in ledger.accounts["tiny/1.0"].values()), Spend())


def test_a_run_on_another_machine_cannot_be_seen_and_another_process_of_that_number_is_not_the_run(tmp_path: Path) -> None:
    with teacher(words) as taught:
        spec, out = project(tmp_path, STEP, PROMPT, seeds(2), "release: {format: text}", taught.url), tmp_path / "out"
        done = ended(spec, out)
    running = {**done, "state": "running", "exit_code": None, "finished": None, "seconds": None}
    for change, told in (
        ({}, f"running since {done['started']} (process {os.getpid()}"),
        ({"host": "elsewhere"}, "from here nobody can see whether it still does"),
        ({"born": done["born"] + 1}, "died: process"),
    ):
        (out / "run.json").write_text(json.dumps({**running, **change}))
        assert told in "\n".join(status(out))


# --- ids ---


@pytest.mark.parametrize("wrong", ["a/b", "..", ".hidden", "a b", "é", "x" * 65, "-x", "a\n"])
def test_an_id_that_is_none_is_refused_before_anything_happens(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(errors.SpecError, match=r"names no run.*up to 64 letters.*20\d\d-\d\d-\d\d, for example"):
        run(Options("nowhere.yaml", tmp_path / "out", run_id=wrong), lambda _: None)
    assert not (tmp_path / "out").exists()


def test_the_id_of_a_run_is_given_or_the_ray_jobs_or_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    def now() -> datetime:
        return datetime(2026, 11, 30, 23, 59, tzinfo=UTC)

    assert run_id("", now) == "2026-11-30" and run_id("A-1_b.c", now) == "A-1_b.c"
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps({"metadata": {"job_name": "x", "job_submission_id": "raysubmit_7"}}))
    assert run_id("", now) == "raysubmit_7" and run_id("mine", now) == "mine"
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps({"metadata": {"job_submission_id": "no/name"}}))
    assert run_id("", now) == "2026-11-30"


# --- the tables of docs/operating.md ---


def table(head: str) -> list[list[str]]:
    """The rows of a table of docs/operating.md, by how its head begins."""
    _, _, rest = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8").partition(f"\n{head}")
    lines = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_readme_has_every_exit_code_with_its_state_and_event() -> None:
    told = {int(code): (name, states, event) for code, name, states, event, _ in table("| exit code |")}
    known = {kind.exit_code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DatagenError)}
    assert set(told) == {0, *known} and exit_code(None) == 0
    for code, kind in known.items():
        name, states, event = told[code]
        assert name == (kind.__name__ if code != 1 else "any other")
        state = Recorder(Path(), Path(), "r")._state(kind("x") if code != 1 else ValueError())
        assert state in re.findall(r"[a-z_]+", states) or "released" in states
        assert event == event_of(Run("r", None, "released" if "released," in states else state, code, "", None, None, "", 0, None))


def test_the_readme_and_the_schema_of_these_tests_name_every_field() -> None:
    known = {part.name for part in fields(Run)}
    assert set(SCHEMA["properties"]) == known
    assert {name for cells in table("| field of `run.json`") for name in re.findall(r"`(\w+)`", cells[0])} == known
