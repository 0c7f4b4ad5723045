"""A program and its tests, run together in a cell: twice, so that what passes by luck is seen."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator
from datagen.operators.claims.checks import prepared
from datagen.runtime import jail

_FENCE = re.compile(r"^[ \t]*```[ \t]*(\w*)[^\n`]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
_LAST = "CameToTheEnd"
"""Raised behind the tests in the second run; a program that says by itself how it ended cannot know in which of the two it is."""
_SOON = 0.75
"""Seconds that a program is alone; one that is not at its end then is run a second time beside the first."""
PATIENCE = 3
"""Seconds on the clock for each second of processor time that a program may use: some machines have more to do, and some programs only wait."""
_REASONS = {"left": "left_early", "killed": "killed", "timeout": "too_slow", "endless": "endless_output"}
PLAINLY = "run without a sandbox, under resource limits only"
"""Begins the evidence of every verdict on a program that nothing but limits held."""


class Code(Operator):
    """A Python program passes its tests, run in a sandbox (`runtime/jail.py`): no network, no files of this machine, little memory and time.

    Tests are `assert` lines (one text, or a list of them), functions `test_...()`, plain or async, classes of unittest or pytest with such methods,
    or HumanEval's `check(candidate)`, for which `entry_point` names the field with the function's name. Where no check is come to (a test that
    wants arguments, `if False:`, a comment), the row is dropped as `no_tests`, with what was found. The program may stand in a code fence among
    words. It is run twice with one hash seed, the second time with an exception behind the tests: where the two runs differ, it is dropped as
    `not_deterministic`; where the second says that it passed, as `forged`. Writes `passes`. Where there is no bubblewrap on this machine, a plan
    with this operator is refused, unless `--unsafe-sandbox`, or `unsafe_sandbox: true` here, is content with resource limits.
    """

    version: ClassVar[int] = 3
    writes: ClassVar[tuple[str, ...]] = ("passes",)
    keeps: ClassVar = (
        {"solution": "def double(n):\n    return 2 * n", "tests": "assert double(4) == 8"},
        {
            "solution": "Here:\n```python\ndef double(n):\n    return n + n\n```\nIt adds.",
            "tests": ["assert double(0) == 0", "assert double(-1) == -2"],
        },
        {"solution": "def double(n):\n    return 2 * n", "tests": "def test_it():\n    assert double(4) == 8"},
    )
    drops: ClassVar = (
        {"solution": "def double(n):\n    return n ** 2", "tests": "assert double(2) == 4\nassert double(4) == 8"},
        {"solution": "def double(n):\n    return 2 * n\nraise SystemExit(0)", "tests": "assert double(4) == 9"},
        {"solution": "def double(n)\n    return 2 * n", "tests": "assert double(4) == 8"},
        {"solution": "def double(n):\n    return 2 * n", "tests": "def test_it():\n    assert double(4) == 9"},
        {"solution": "def double(n):\n    return 2 * n", "tests": "double(4)"},
        {"solution": "def double(n):\n    return n", "tests": "def test_it(example):\n    assert double(4) == 8"},
        {"solution": None, "tests": "assert True"},
    )

    on: str = "solution"
    tests: str | tuple[str, ...] = "tests"
    """The field with the tests, or several, in order (what the tests need first)."""
    setup: str | None = None
    """The field with code that comes before the program: imports, or the head of a function that the program completes."""
    entry_point: str | None = None
    """The field with the name of the function that `check(candidate)` tests."""
    timeout: float = Field(default=10.0, gt=0, le=600.0)
    """Seconds of processor time for each of the two runs, so that a busy machine condemns nothing; the slowest reference program of HumanEval
    and MBPP takes 4. On the clock a run has `PATIENCE` times as long."""
    memory_mb: int = Field(default=512, ge=64, le=4096)
    unsafe_sandbox: bool = False
    """Be content with limits on time, memory and files where there is no bubblewrap: for programs that you would run yourself."""

    def reads(self) -> tuple[str, ...]:
        tests = (self.tests,) if isinstance(self.tests, str) else self.tests
        return tuple(name for name in (self.on, *tests, self.setup, self.entry_point) if name is not None)

    def ready(self) -> None:
        jail.check(self.unsafe_sandbox)

    def deadline(self) -> float:
        """Both runs side by side, the second a moment later, and the making of two cells."""
        return PATIENCE * self.timeout + _SOON + 2 * jail.START

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        code = fenced(self.text(fields), "")
        tests = "\n".join(_joined(fields.get(name)) for name in ((self.tests,) if isinstance(self.tests, str) else self.tests))
        if not code.strip():
            return _drop("no_code", "")
        name = fields.get(self.entry_point) if self.entry_point else ""
        if not isinstance(name, str) or (self.entry_point and not name.isidentifier()):
            return _drop("no_entry_point", repr(name)[:100])
        try:
            checks = prepared(tests, name)
        except SyntaxError as error:
            return _drop("no_tests", f"the tests are no Python: {error}"[:300])
        if checks is None:
            return _drop("no_tests", "the tests are empty, or nothing in them can fail")
        before = fields.get(self.setup) if self.setup else ""
        head = f"{before if isinstance(before, str) else ''}\n{fenced(self.text(fields), name)}\n"
        lines = (head + "\n" * checks.ahead + tests).split("\n")
        return self._run(f"{head}{checks.source}\n{checks.calls}", lines, checks.idle)

    def _run(self, program: str, lines: Sequence[str], idle: str) -> Finding:
        """`lines`: the program as it was written, for the evidence."""
        last = f"{_LAST}{secrets.token_hex(8)}"
        first, second = self._twice(program, f"{program}\nclass {last}(Exception): pass\nraise {last}()")
        held = "" if first.jailed else PLAINLY
        if first.how != "passed":
            reason = _reason(first)
            told = f"no check was come to; found: {idle}" if reason == "no_tests" else _as_written(first.evidence, lines)
            return _drop(reason, "; ".join(filter(None, (held, told))))
        if second.how == "passed":
            return _drop("forged", "; ".join(filter(None, (held, "it says that it passed, with a test that no program passes"))))
        if not second.evidence.startswith(last) or second.output != first.output:
            differs = "the two runs print different things" if second.evidence.startswith(last) else f"first it passed, then: {second.how}"
            told = f"{differs} {'' if second.evidence.startswith(last) else _as_written(second.evidence, lines)}".strip()
            return _drop("not_deterministic", "; ".join(filter(None, (held, told))))
        return Finding(True, score=1.0, evidence=held, fields={"passes": True})

    def _twice(self, program: str, marked: str) -> tuple[jail.Ending, jail.Ending]:
        """Two runs; only one where it did not pass soon. The second of a slow program goes beside the first, so that both fit in one deadline."""
        limits = jail.Limits(seconds=PATIENCE * self.timeout, cpu=math.ceil(self.timeout), memory=self.memory_mb * 2**20)
        with ThreadPoolExecutor(2) as runs:
            one = runs.submit(jail.run, program, limits, self.unsafe_sandbox)
            if wait((one,), timeout=_SOON).done and one.result().how != "passed":
                return one.result(), one.result()
            other = runs.submit(jail.run, marked, limits, self.unsafe_sandbox)
            return one.result(), other.result()


def _drop(reason: str, evidence: str) -> Finding:
    return Finding(False, reason, 0.0, evidence, {"passes": False})


def _reason(ending: jail.Ending) -> str:
    if ending.how != "raised":
        return _REASONS[ending.how]
    kind = re.split(r"[: (]", ending.evidence, maxsplit=1)[0]
    return {"AssertionError": "fails_tests", "MemoryError": "too_much_memory", "NoTestRan": "no_tests"}.get(
        kind, "not_code" if kind in ("SyntaxError", "IndentationError", "TabError") else "raises"
    )


def _as_written(evidence: str, lines: Sequence[str]) -> str:
    """The line of a test as it was before its checks were made to count."""

    def told(found: re.Match[str]) -> str:
        number = int(found[1])
        return f"(line {number}: {' '.join(lines[number - 1].split())[:160]})" if 0 < number <= len(lines) and "_reached(" in found[2] else found[0]

    return re.sub(r"\(line (\d+): (.*)\)$", told, evidence)


def fenced(text: str, name: str) -> str:
    """The program in an answer: the last fenced block that defines `name`, else the longest one, else the whole text."""
    blocks = [body for language, body in _FENCE.findall(text) if language.lower() in ("", "python", "py", "python3")]
    defining = [body for body in blocks if name and re.search(rf"^(?:async )?def {re.escape(name)}\b", body, re.MULTILINE)]
    return str(defining[-1] if defining else max(blocks, key=len) if blocks else text)


def _joined(tests: Any) -> str:
    if isinstance(tests, Sequence) and not isinstance(tests, str | bytes):
        return "\n".join(str(test) for test in tests)
    return fenced(tests, "") if isinstance(tests, str) else ""
