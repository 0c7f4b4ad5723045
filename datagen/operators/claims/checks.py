"""Which checks a test text has, and that one of them is reached: a test that never runs accepts whatever is there."""

from __future__ import annotations

import ast
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

_ALARMS = frozenset({"fail", "exit"})
"""Calls that say, as `raise` does, that something is wrong: what is checked is whether they are come to."""
_OPEN, _CLOSE, _FIRST = "_reached((", "))", "_reached(0); "
_COUNT = "def _reached(found):\n    _reached.once = True\n    return found"
"""Stands between the program and its tests, so that a program's own function of that name counts nothing."""
_SUM = "class NoTestRan(Exception): pass\nif not getattr(_reached, 'once', False): raise NoTestRan()"
_CLASS = """
def _run_class(case):
    import inspect, io, unittest
    if not isinstance(case, type): return
    if issubclass(case, unittest.TestCase):
        ran = unittest.TextTestRunner(stream=io.StringIO()).run(unittest.defaultTestLoader.loadTestsFromTestCase(case))
        assert ran.wasSuccessful(), (ran.failures + ran.errors or [("", "a test that must fail does not")])[0][1].strip().split("\\n")[-1]
        return
    def call(one, name):
        done = getattr(one, name, lambda: None)
        if not any(each.default is each.empty and each.kind in (0, 1, 3) for each in inspect.signature(done).parameters.values()):
            done = done()
            if inspect.iscoroutine(done): __import__("asyncio").run(done)
    for name in [name for name in dir(case) if name.startswith("test")] if "__init__" not in case.__dict__ else ():
        one = case()
        for each in ("setup_class", "setup_method", name, "teardown_method", "teardown_class"): call(one, each)
"""
"""A unittest case, or pytest's plain class: a new one for each method that needs no fixture."""
_LOCK = threading.Lock()
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Checks:
    """The tests made ready to run after a program."""

    source: str
    """Line for line the tests, each check counted when it is come to, after `ahead` more lines."""
    ahead: int
    calls: str
    """What sets going the tests that are only defined, and raises NoTestRan where no check was come to."""
    idle: str
    """What was found that may not run, for the evidence of a text whose checks are not come to; '' for a text without checks."""


def prepared(tests: str, entry_point: str = "") -> Checks | None:
    """The checks of a text; None where nothing in it can fail. Raises SyntaxError where it is no Python."""
    plain = tests.replace("\r\n", "\n").replace("\r", "\n")
    module = _parsed(plain)
    edits = list(_edits(module))
    if not edits:
        return None
    calls, idle = _calls(module, entry_point)
    source = f"{_COUNT}\n{_edited(plain, edits)}"
    return Checks(source, _COUNT.count("\n") + 1, "\n".join((*calls, _SUM)), idle or "its checks stand where nothing leads")


def _parsed(tests: str) -> ast.Module:
    try:
        with _LOCK, warnings.catch_warnings():  # an odd escape in a teacher's string is not ours to tell
            warnings.simplefilter("ignore")
            return ast.parse(tests)
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(str(error) or type(error).__name__) from error


_Edit = tuple[int, int, int, str]
"""(line, byte, rank, what is put in there); of one place the highest rank comes first."""


def _edits(module: ast.Module) -> Iterator[_Edit]:
    nodes = [module, *_below(module)]
    for node in nodes:
        if isinstance(node, ast.Assert) or (isinstance(node, ast.If) and any(map(_alarms, (*node.body, *node.orelse)))):
            yield from _around(node.test)
        elif isinstance(node, ast.Try) and any(map(_alarms, (*node.body, *node.orelse))):
            yield from _at(node.body[0])
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("assert"):
            yield from _around(node.func)


def _below(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those inside f-strings, whose places in the text are not known."""
    waiting = [node]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            yield child
            if not isinstance(child, ast.JoinedStr):
                waiting.append(child)


def _alarms(statement: ast.stmt) -> bool:
    calls = (node.func for node in ast.walk(statement) if isinstance(node, ast.Call))
    names = {func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else "" for func in calls}
    return bool(names & _ALARMS) or any(isinstance(node, ast.Raise) for node in ast.walk(statement))


def _around(node: ast.expr) -> Iterator[_Edit]:
    """Count the value when it is there. A constant checks nothing."""
    if not isinstance(node, ast.Constant) and node.end_lineno is not None and node.end_col_offset is not None:
        yield node.lineno, node.col_offset, 0, _OPEN
        yield node.end_lineno, node.end_col_offset, 0, _CLOSE


def _at(statement: ast.stmt) -> Iterator[_Edit]:
    """Count the statement when it is come to."""
    if isinstance(statement, ast.If | ast.While):
        yield from _around(statement.test)
    elif isinstance(statement, ast.For | ast.AsyncFor):
        yield from _around(statement.iter)
    elif isinstance(statement, ast.With | ast.AsyncWith):
        yield from _around(statement.items[0].context_expr)
    elif isinstance(statement, ast.Try):
        yield from _at(statement.body[0])
    elif not isinstance(statement, _Function | ast.ClassDef | ast.Match):
        yield statement.lineno, statement.col_offset, 1, _FIRST


def _edited(tests: str, edits: list[_Edit]) -> str:
    lines = [line.encode("utf-8") for line in tests.split("\n")]
    for line, place, _, text in sorted(edits, key=lambda edit: (-edit[0], -edit[1], edit[2])):
        lines[line - 1] = lines[line - 1][:place] + text.encode() + lines[line - 1][place:]
    return b"\n".join(lines).decode("utf-8")


def _calls(module: ast.Module, entry_point: str) -> tuple[list[str], str]:
    """(lines that run what is only defined, what cannot be run so)."""
    calls, idle = [], []
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            calls.append(f"_run_class({node.name})")
            idle.append(f"class {node.name}")
        if not isinstance(node, _Function):
            continue
        needs = _needs(node.args)
        given = entry_point if node.name == "check" else ""
        if (node.name.startswith("test") and not needs) or given:
            call = f"{node.name}({given})"
            calls.append(f'__import__("asyncio").run({call})' if isinstance(node, ast.AsyncFunctionDef) else call)
        elif node.name == "check":
            idle.append(f"{node.name}({', '.join(needs)}) without an `entry_point` that names the function to check")
        else:
            idle.append(f"{node.name}({', '.join(needs)}), which nothing calls")
    return ([_CLASS, *calls] if any(call.startswith("_run_class") for call in calls) else calls), "; ".join(idle)[:300]


def _needs(words: ast.arguments) -> list[str]:
    """Names of what a call must give."""
    placed = [each.arg for each in (*words.posonlyargs, *words.args)]
    named = [each.arg for each, default in zip(words.kwonlyargs, words.kw_defaults, strict=True) if default is None]
    return placed[: len(placed) - len(words.defaults)] + named
