"""Programs in a cell: what is kept, what is dropped and why, and that nothing gets out."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.curation.programs import faulty, judged, references
from hostile_programs import FAMILIES, attempt, inmates, standing_host

from datagen.curating.recurate import options_of
from datagen.errors import SetupError
from datagen.operators.claims.code import PLAINLY, Code, fenced
from datagen.plan.resolve import resolve
from datagen.plan.sow import sow
from datagen.release.catalogue import query
from datagen.runtime import jail
from datagen.spec.load import load_spec
from datagen.storage import read_json


@pytest.fixture(scope="module", autouse=True)
def _sandbox() -> None:
    try:
        jail.check()
    except SetupError as error:
        pytest.skip(f"needs bubblewrap and namespaces: {error}")


def reason(solution: str, tests: Any = "assert f(2) == 4", **parameters: Any) -> str:
    return Code(**parameters).judge({"solution": solution, "tests": tests}).reason


@pytest.mark.parametrize(
    ("solution", "why"),
    [
        ("def f(n):\n    return n * 2", ""),
        ("def f(n):\n    return n * 3", "fails_tests"),
        ("def f(n):\n    return n / 0", "raises"),
        ("def f(n:\n    return 4", "not_code"),
        ("def f(n):\n    while True:\n        pass", "too_slow"),
        ("def f(n):\n    return [0] * 10**10 and 4", "too_much_memory"),
        ("import os\ndef f(n):\n    os._exit(0)", "left_early"),
        ("def f(n):\n    raise SystemExit(0)", "left_early"),
        ("import os, signal\ndef f(n):\n    os.kill(os.getpid(), signal.SIGKILL)", "killed"),
        ("def f(n):\n    while True:\n        print('x' * 10**6)", "endless_output"),
        ("import time\nprint(time.time_ns())\ndef f(n):\n    return 4", "not_deterministic"),
        ("print(sorted({'a', 'b', 'c'}, key=hash), object())\ndef f(n):\n    return 4", ""),
        ("def f(n):\n    return 4\nif __name__ == '__main__':\n    print(f(int(input())))", ""),
        ("", "no_code"),
    ],
)
def test_each_fault_has_its_reason(solution: str, why: str) -> None:
    assert reason(solution, timeout=1.0) == why


def test_the_failing_line_is_the_evidence() -> None:
    finding = Code().judge({"solution": "def f(n):\n    return n", "tests": ["assert f(0) == 0", "assert f(2) == 4, 'of two'"]})
    assert "of two" in finding.evidence
    assert "assert f(2) == 4" in finding.evidence
    assert finding.fields == {"passes": False}


@pytest.mark.parametrize(
    ("tests", "why"),
    [
        ("def test_one():\n    assert f(2) == 5", "fails_tests"),
        ("import unittest\nclass T(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(f(2), 5)", "fails_tests"),
        ("import unittest\nclass T(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(f(2), 4)", ""),
        ("class TestF:\n    def setup_method(self):\n        self.two = 2\n    def test_one(self):\n        assert f(self.two) == 4", ""),
        ("class TestF:\n    async def test_one(self):\n        assert f(2) == 5", "fails_tests"),
        ("async def test_one():\n    assert f(2) == 5", "fails_tests"),
        ("def test_one(n=2):\n    if f(n) != 4:\n        raise ValueError(n)", ""),
        ("try:\n    f()\n    raise AssertionError('took nothing')\nexcept TypeError:\n    pass", ""),
        ("assert (f(2)\n  == 4), f'é {f(2)}'", ""),
        ("def test_one(n):\n    assert f(n) == 5", "no_tests"),
        ("def check(candidate):\n    assert candidate(2) == 5", "no_tests"),
        ("class TestF:\n    def test_one(self, n):\n        assert f(n) == 5", "no_tests"),
        ("if False: assert f(2) == 5", "no_tests"),
        ("assert True", "no_tests"),
        ("assert f(2", "no_tests"),
        ("# assert", "no_tests"),
        ("f(2)", "no_tests"),
        ([], "no_tests"),
        (None, "no_tests"),
    ],
)
def test_tests_of_every_form_are_run(tests: Any, why: str) -> None:
    assert reason("def f(n):\n    return n * 2", tests) == why


def test_tests_that_do_not_run_are_named() -> None:
    finding = Code().judge({"solution": "def f(n):\n    return n", "tests": "def check(candidate):\n    assert candidate(2) == 4"})
    assert "check(candidate) without an `entry_point`" in finding.evidence


def test_a_pass_that_the_program_wrote_itself_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a program finds in its process to say `passed` with, it says so behind a test that nothing passes, too."""
    monkeypatch.setattr(jail, "run", lambda *given: jail.Ending("passed"))
    assert reason("def f(n):\n    return 5") == "forged"


def test_the_program_is_found_among_words() -> None:
    answer = (
        "First a helper.\n```python\ndef g():\n    return 1  # a long helper that is not meant\n```\nThen:\n```\ndef f(n):\n    return 2 * n\n```\n"
    )
    assert "def f(n)" in fenced(answer, "f")
    assert "def g()" in fenced(answer, "")
    assert fenced("x = 1", "f") == "x = 1"


def test_a_plan_is_refused_where_there_is_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jail, "_way", lambda: "limits")
    with pytest.raises(SetupError, match="bubblewrap"):
        Code().ready()
    with pytest.raises(SetupError, match="bubblewrap"):
        jail.run("x = 1")
    Code(unsafe_sandbox=True).ready()


def test_the_refusal_comes_with_the_line_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(
        "name: t\nseeds: {grid: {solution: [a, b], tests: [c]}}\nsteps:\n  - {name: right, check: {code: {}}}\n"
        "release: {format: text, columns: {text: solution}}\n"
    )
    loaded = load_spec(str(tmp_path / "spec.yaml"))
    assert resolve(loaded, set(sow(loaded).fields), None, False).steps[0].writes == ("passes",)
    monkeypatch.setattr(jail, "_way", lambda: "limits")
    with pytest.raises(SetupError, match=r"spec.yaml:4.*: code: .*bubblewrap"):
        resolve(loaded, set(sow(loaded).fields), None, False)
    plan = pickle.loads(pickle.dumps(resolve(loaded, set(sow(loaded).fields), None, False, unsafe_sandbox=True)))
    assert plan.steps[0].recipe.loose()  # as it reaches a worker elsewhere


SPEC = """name: t
seeds: {table: programs.jsonl}
steps:
  - {name: right, check: {code: {}}}
release: {format: text, columns: {text: solution}}
guard: {canaries: 0}
"""
PROGRAMS = [
    {"solution": "def f(n):\n    return 2 * n", "tests": "assert f(2) == 4"},
    {"solution": "def f(n):\n    return 3 * n", "tests": "assert f(2) == 4"},
]


def without_bubblewrap(*words: str) -> subprocess.CompletedProcess[str]:
    """The command where no `bwrap` is on the PATH."""
    command = [sys.executable, "-m", "datagen.cli", *words]
    return subprocess.run(command, env={**os.environ, "PATH": "/nowhere"}, text=True, capture_output=True, timeout=120)


def test_without_bubblewrap_a_plan_is_refused_and_a_word_on_the_command_line_is_told_with_the_release(tmp_path: Path) -> None:
    (tmp_path / "programs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PROGRAMS))
    (tmp_path / "spec.yaml").write_text(SPEC)
    spec, out = ("--spec", str(tmp_path / "spec.yaml")), tmp_path / "out"
    refused = without_bubblewrap("plan", *spec)
    assert refused.returncode == SetupError.exit_code
    assert "spec.yaml:4" in refused.stderr and "apt-get install bubblewrap" in refused.stderr and "--unsafe-sandbox" in refused.stderr
    built = without_bubblewrap("build", *spec, "--out", str(out), "--unsafe-sandbox")
    assert built.returncode == 0, built.stderr
    assert read_json(out / "manifest.json")["unsandboxed"] == {"right": 2}
    assert "2 ran under resource limits only" in (out / "README.md").read_text() and "2 ran under" in (out / "report.html").read_text()
    kept, dropped = sorted(query(out, "SELECT keep, evidence FROM verdicts")[1], reverse=True)
    assert kept == (True, PLAINLY) and dropped[1].startswith(f"{PLAINLY}; AssertionError")
    anew = options_of(out, out / "ledger", None, None, ())
    assert anew.unsafe_sandbox  # what is curated anew is the same plan


def test_limits_alone_say_so_in_the_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jail, "_way", lambda: "limits")
    loose = Code(unsafe_sandbox=True, timeout=1.0)
    good = loose.judge({"solution": "def f(n):\n    return 2 * n", "tests": "assert f(2) == 4"})
    assert (good.keep, good.evidence) == (True, PLAINLY)
    bad = loose.judge({"solution": "def f(n):\n    while True:\n        pass", "tests": "assert f(2) == 4"})
    assert (bad.reason, "without a sandbox" in bad.evidence) == ("too_slow", True)


def test_limits_alone_leave_no_process_behind_and_reach_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's programs run as a user that nobody else is; anybody else's at least start nothing."""
    monkeypatch.setattr(jail, "_way", lambda: "limits")
    ending = jail.run("import os\nif os.fork() == 0:\n    os.setsid()\n    while True:\n        pass", unsafe=True)
    assert ending.how == "raised" and "BlockingIOError" in ending.evidence
    assert inmates() == []
    if os.geteuid() == 0:
        ending = jail.run("import csv, json, os, signal\nassert os.getuid()\nos.kill(os.getppid(), signal.SIGCONT)", unsafe=True)
        assert "PermissionError" in ending.evidence
        assert "PermissionError" in jail.run("open('/etc/datagen-was-here', 'w')", unsafe=True).evidence


def test_limits_alone_are_refused_where_they_do_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jail, "_way", lambda: "limits")
    monkeypatch.setattr(jail, "_starts", lambda: False)
    with pytest.raises(SetupError, match="CAP_DAC_READ_SEARCH"):
        Code(unsafe_sandbox=True).ready()


def test_hostile_programs_neither_hang_nor_leak_nor_get_out() -> None:
    told: list[str] = []
    with standing_host() as host:
        counts = attempt(40, 11, host, told.append)
    assert told == []
    assert all(counts[kind] for kind in FAMILIES)
    assert inmates() == []


def test_the_watchers_of_the_hostile_notice() -> None:
    """The figures above would not be 0 if something did get out."""
    with standing_host() as host:
        assert host.harmed() == []
        (host.folder / "canary").write_text("changed")
        assert len(host.harmed()) == 1


@pytest.mark.soak
def test_a_thousand_hostile_programs() -> None:
    told: list[str] = []
    with standing_host() as host:
        attempt(1000, 5, host, told.append)
    assert told == []


@pytest.mark.real
def test_reference_programs_pass_and_their_mutants_do_not(shared: Path) -> None:
    known = references(shared / "data")
    assert len(known) == 164 + 974
    assert set(judged(random.Random(3).sample(known, 40))) == {""}
    wrong = faulty(known, 20, seed=3)
    assert len(wrong) == 20
    assert "" not in judged(wrong)
