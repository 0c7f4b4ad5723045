"""The door: cheap to open, quiet when there is nothing to do, safe to interrupt, and good to look through afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from killing import recorded_keys, standing_simulator, start, statement

HEAVY = (
    "openai",
    "anthropic",
    "ray",
    "duckdb",
    "pyarrow",
    "datasets",
    "jinja2",
    "pydantic",
    "numpy",
    "huggingface_hub",
    "lingua",
    "math_verify",
    "yaml",
)
SPEC = """\
name: tiny
seeds: {{grid: {{topic: [{topics}], level: [1, 2, 3]}}}}
teachers: {{w: {{model: simulator/{model}, base_url: '{url}', max_tokens: 900, max_in_flight: 4}}}}
steps:
  - {{name: draft, ask: t/draft, of: w, samples: 2}}
  - {{name: grade, ask: t/grade, of: w, returns: {{score: {{int: [1, 5]}}, why: str}}}}
  - {{name: good, filter: [{{length: {{on: draft, min_words: 1}}}}]}}
  - {{name: best, select: {{best: [score]}}}}
  - {{name: unique, dedup: {{on: draft}}}}
release: {{format: text, columns: {{text: draft}}, allow_unanswered: 1.0}}
rehearsal: {{latency: '{latency}'}}
"""


def datagen(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-m", "datagen.cli", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def write_spec(folder: Path, url: str, latency: str = "0", topics: int = 4) -> Path:
    prompts = folder / "prompts" / "t"
    prompts.mkdir(parents=True, exist_ok=True)
    (prompts / "draft.md.j2").write_text("Write a short text about {{ topic }} for level {{ level }}, version {{ sample }}.")
    (prompts / "grade.md.j2").write_text("Grade this text from 1 to 5 and say why.\n\n{{ draft }}")
    path = folder / "s.yaml"
    names = ", ".join(f"topic-{number}" for number in range(topics))
    path.write_text(SPEC.format(url=url, topics=names, latency=latency, model="any"))
    return path


@pytest.mark.parametrize("arguments", [["--help"], ["build", "--help"], ["ledger", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["datagen", *{arguments!r}]
from datagen.cli import main
try:
    main()
except SystemExit as leaving:
    assert not leaving.code, leaving.code
heavy = [name for name in {HEAVY!r} if name in sys.modules]
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_every_command_has_a_help_that_says_what_it_is_for() -> None:
    listed = datagen("--help").stdout
    commands = re.findall(r"^  ([a-z]+)  +(\S.*)$", listed[listed.index("Commands:") :], re.MULTILINE)
    assert {"init", "preview", "plan", "build", "status", "report", "sql", "explain", "push", "ledger", "simulator"} <= {name for name, _ in commands}
    assert all(words.strip().endswith((".", "...")) for _, words in commands)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, str]]:
    """(spec, OUT, the simulator's address): a finished build, and the teacher still there."""
    folder = tmp_path_factory.mktemp("cli")
    with standing_simulator(write_spec(folder, "http://127.0.0.1:9")) as url:
        spec = write_spec(folder, url)
        datagen("build", "--spec", spec, "--out", folder / "out")
        yield spec, folder / "out", url


def test_a_terminal_hears_nothing_but_us(built: tuple[Path, Path, str]) -> None:
    """Libraries that talk at exit make a good build look like a broken one."""
    spec, out, _ = built
    for arguments in (("build", "--spec", spec, "--out", out), ("sql", out, "SELECT 1"), ("status", out)):
        said = datagen(*arguments).stderr
        assert "leaked" not in said and "Warning" not in said, said[:300]


def manifest(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "manifest.json").read_text()))


def test_a_finished_build_run_again_asks_nothing_and_changes_nothing(built: tuple[Path, Path, str]) -> None:
    spec, out, url = built
    paid = sum(entry["count"] for entry in statement(url))
    before = {path: path.read_bytes() for path in [*sorted((out / "data").iterdir()), out / "manifest.json"]}
    done = datagen("build", "--spec", spec, "--out", out)
    assert sum(entry["count"] for entry in statement(url)) == paid == len(recorded_keys(out / "ledger")) > 0
    assert {path: path.read_bytes() for path in [*sorted((out / "data").iterdir()), out / "manifest.json"]} == before
    assert "nothing had to be asked" in done.stdout and "SIMULATED" in done.stdout


def test_the_funnel_adds_up(built: tuple[Path, Path, str]) -> None:
    steps = manifest(built[1])["steps"]
    for step in steps:
        dropped = sum(sum(reasons.values()) for reasons in step["dropped"].values())
        assert step["in"] == step["kept"] + dropped + sum(step["unanswered"].values())
    assert steps[0]["in"] == 12 and steps[-1]["kept"] == manifest(built[1])["releases"][0]["rows"] > 0


def test_status(built: tuple[Path, Path, str]) -> None:
    said = datagen("status", built[1]).stdout
    assert "tiny  (simulated)" in said and "release 1.0: " in said and re.search(r"tiny/1\.0/simulated: \$\d", said)
    for step in ("draft", "grade", "good", "best", "unique"):
        assert re.search(rf"\d {step} +\d+ in +\d+ kept", said)


def test_sql(built: tuple[Path, Path, str]) -> None:
    _, out, _ = built
    rows = manifest(out)["releases"][0]["rows"]
    assert re.search(rf"^{rows}\b", datagen("sql", out, "SELECT count(*) FROM rows").stdout, re.MULTILINE)
    said = datagen("sql", out, "SELECT step, count(*) AS calls FROM calls GROUP BY step ORDER BY step").stdout
    assert re.search(r"draft +24", said) and "(2 rows)" in said
    assert "(0 rows)" in datagen("sql", out, "SELECT * FROM unanswered").stdout


def test_explain_walks_a_row_from_shard_to_seed(built: tuple[Path, Path, str]) -> None:
    _, out, _ = built
    listed = datagen("sql", out, "SELECT id FROM rows ORDER BY id LIMIT 1").stdout
    found = re.search(r"^r1:\w+", listed, re.MULTILINE)
    assert found is not None
    said = datagen("explain", out, found[0]).stdout
    assert "kept at 05-unique" in said and "[draft] openai any k1:" in said and "[grade] openai any k1:" in said
    assert "user> Write a short text about topic-" in said and "answered> " in said and "keep  good.length" in said and "  topic: topic-" in said
    dropped = datagen("sql", out, "SELECT id FROM dropped ORDER BY id LIMIT 1").stdout
    lost = re.search(r"^r1:\w+", dropped, re.MULTILINE)
    assert lost is not None and "dropped at " in datagen("explain", out, lost[0]).stdout


def test_report_is_written_anew(built: tuple[Path, Path, str]) -> None:
    _, out, _ = built
    (out / "report.html").unlink()
    assert datagen("report", out).stdout.strip() == str((out / "report.html").resolve())
    assert "tiny" in (out / "report.html").read_text()


def test_ledger_verify(built: tuple[Path, Path, str]) -> None:
    for place in (built[1], built[1] / "ledger"):
        assert re.search(r"^\d+ records hold, 0 do not$", datagen("ledger", "verify", place).stdout, re.MULTILINE)


def test_plan_and_preview_pay_nothing_for_a_teacher_that_costs(built: tuple[Path, Path, str]) -> None:
    spec, out, url = built
    paid = sum(entry["count"] for entry in statement(url))
    said = datagen("plan", "--spec", spec, "--out", out).stdout
    assert "12 seeds" in said and "draft            = same" in said and "0 would change, 0 would go, 0 wait" in said
    assert sum(entry["count"] for entry in statement(url)) == paid


def wait_for(process: subprocess.Popen[bytes], url: str, answers: int) -> None:
    end = time.monotonic() + 60
    while sum(entry["count"] for entry in statement(url)) < answers:
        assert process.poll() is None, "the build ended before it could be interrupted"
        assert time.monotonic() < end, "the build asks nothing"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.soak), signal.SIGTERM])
def test_an_interrupted_build_lands_what_is_in_flight_and_the_same_command_goes_on(tmp_path: Path, number: int) -> None:
    with standing_simulator(write_spec(tmp_path, "http://127.0.0.1:9", "0.1")) as url:
        spec = write_spec(tmp_path, url, "0.1", topics=6)
        process = start(spec, tmp_path / "out")
        wait_for(process, url, 8)
        os.kill(process.pid, number)
        _, said = process.communicate(timeout=60)
        message = said.decode()
        assert process.returncode == 130 and "Traceback" not in message, message
        assert (
            "none of them is paid again" in message
            and "The same command goes on from here" in message
            and "in flight" not in message.split("error:")[1]
        )
        paid = {entry["key"]: entry["count"] for entry in statement(url)}
        assert set(paid) == set(recorded_keys(tmp_path / "out" / "ledger")) and len(paid) < 72  # all that was sent has landed
        datagen("build", "--spec", spec, "--out", tmp_path / "out")
        final = {entry["key"]: entry["count"] for entry in statement(url)}
    assert set(final.values()) == {1} and len(final) == len(recorded_keys(tmp_path / "out" / "ledger")) > len(paid)
    assert manifest(tmp_path / "out")["releases"][0]["rows"] > 0


def test_a_second_interrupt_aborts_at_once_and_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    with standing_simulator(write_spec(tmp_path, "http://127.0.0.1:9", "0.1")) as url:
        spec = write_spec(tmp_path, url, "0.1", topics=6)
        process = start(spec, tmp_path / "out")
        wait_for(process, url, 8)
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.03)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130 and "Traceback" not in said.decode(), said.decode()
        before = {entry["key"]: entry["count"] for entry in statement(url)}
        recorded = recorded_keys(tmp_path / "out" / "ledger")
        datagen("build", "--spec", spec, "--out", tmp_path / "out")
        final = {entry["key"]: entry["count"] for entry in statement(url)}
    assert all(final[key] == before[key] for key in recorded) and sum(final.values()) - len(final) <= 4


def test_what_a_server_says_gives_a_terminal_no_orders_and_what_else_went_wrong_is_told(tmp_path: Path) -> None:
    """A 401 whose words clear the screen and set the title; and, of a build that stops, what a good end would have said too."""
    from teaching import project, teacher
    from wire_server import Reply, chat, encoded, error

    greedy = Reply(encoded(chat({"content": "42"}, usage={"prompt_tokens": 20, "completion_tokens": 500, "total_tokens": 520})))

    def script(prompt: str) -> Reply:
        return Reply(error("openai", "invalid_request_error", "\x1b[2J\x1b]0;owned\x07 no"), 401) if "b" in prompt else greedy

    with teacher(script) as taught:
        steps = "  - {name: first, ask: t/first, of: w}\n  - {name: then, ask: t/then, of: w}"
        spec = project(tmp_path, steps, {"first": "{{ topic }}", "then": "b {{ first }}"}, "{grid: {topic: [a]}}", url=taught.url)
        done = datagen("build", "--spec", spec, "--out", tmp_path / "out", code=7)
    assert "\\x1b[2J" in done.stderr and "\x1b" not in done.stderr and "\x07" not in done.stderr
    assert "note: teacher 'w' billed 1 answers above the worst case" in done.stderr
