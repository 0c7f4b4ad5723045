"""Programs that cannot be what somebody wrote: they do not parse, use names nobody gave, or go on after their end."""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import warnings
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar

from datagen.operators.base import Finding, Operator

_PYTHON = re.compile(r"^(?:(?:async )?def \w+\(|from [\w.]+ import |import \w|class \w+)", re.MULTILINE)
_CERTAIN = re.compile(r"^(?:async )?def \w+ ?\([^\n]*\)[^\n{]*: *(?:#.*)?$", re.MULTILINE)
_LIKELY = re.compile(r"^\s+(?:if|for|while|elif|with|try|else)\b[^\n{]*: *$|^\s+return [^\n;{]*$|^\w+ \w+ ?\([^\n{;]*\) *: *$", re.MULTILINE)
_OTHER = re.compile(r"\{\s*$|^\s*(?:func|fn|function|public|private|#include|fi|esac|end|puts)\b|console\.|<\?php|^```|^#!/bin", re.MULTILINE)
_SIGNS = re.compile(r"[][(){}=;_<>:]")
_LARGEST = 200_000
"""Characters; longer texts are not parsed."""
_KNOWN = frozenset(dir(builtins)) | {"__file__", "__name__", "__path__", "__annotations__"}


class Program(Operator):
    """Python that does not parse, or whose names nobody defines, or with lines after a `return` of the same block.

    Spliced, shuffled and garbled programs show so; a longer text without the signs of any language is no program.
    Only texts that are Python as a whole are judged: with a `def`, `import`, `class` or indented `if ...:` and nothing of other languages. It reads
    the text and never runs it. The score is 1 for a fault, 0 for none.
    """

    made_for: ClassVar[frozenset[str]] = frozenset({"code"})
    keeps: ClassVar = (
        "import math\n\ndef area(r):\n    return math.pi * r ** 2\n",
        "function area(r) { return Math.PI * r * r; }",
        "The word import means to bring in.",
    )
    drops: ClassVar = (
        "def area(r):\n    return math.pi * r ** 2\n",
        "def area(r):\n        s = r * r\n    return s\n",
        "def area(r):\n    return s\n    s = r * r\n",
    )

    signs: float = 0.008
    """Brackets, equals signs and underscores among the characters that a text of 200 or more must have to be code at all."""
    unused: bool = True
    """Also drop what stands after a `return` in the same block, and a variable that is read in a line above the first that sets it."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        text = self.text(fields).replace("\r", "")
        if len(text) > _LARGEST or "\x00" in text or not text.strip():
            return Finding(True, score=0.0)
        if len(text) >= 200 and len(_SIGNS.findall(text)) < self.signs * len(text):
            return Finding(False, "no_code", 1.0, text[:100])
        if not (_PYTHON.search(text) or _LIKELY.search(text)) or _OTHER.search(text):
            return Finding(True, score=0.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reason, evidence = _fault(text, self.unused)
        return Finding(not reason, reason, float(bool(reason)), evidence)


def _fault(text: str, unused: bool) -> tuple[str, str]:
    try:
        tree = ast.parse(text)
        table = symtable.symtable(text, "text", "exec")
    except SyntaxError as error:
        return ("", "") if not (_CERTAIN.search(text) or _LIKELY.search(text)) else ("does_not_parse", f"line {error.lineno}: {error.msg}")
    except (ValueError, RecursionError, MemoryError):
        return "", ""
    try:
        if name := next(_undefined(table, tree), ""):
            return "undefined_name", name
        if unused and (where := next(_misplaced(tree), "")):
            return "misplaced_line", where
    except RecursionError:
        return "", ""
    return "", ""


def _undefined(table: symtable.SymbolTable, tree: ast.Module) -> Iterator[str]:
    """Names that are read and set nowhere they could be seen from."""
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree)):
        return
    top = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()}
    declared = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    waiting = [table]
    while waiting:
        scope = waiting.pop()
        waiting.extend(scope.get_children())
        for symbol in scope.get_symbols():
            name = symbol.get_name()
            outside = symbol.is_global() if scope is not table else name not in top
            if symbol.is_referenced() and outside and name not in top | declared | _KNOWN and not name.startswith("__"):
                yield name


_ENDS = (ast.Return, ast.Raise, ast.Break, ast.Continue)


def _misplaced(tree: ast.Module) -> Iterator[str]:
    """Lines after a `return` or `raise` of the same block (a second `return` is only idle), and reads of a variable above everything that sets it."""
    for node in ast.walk(tree):
        for block in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
            for before, after in pairwise(block) if isinstance(block, list) else ():
                if isinstance(before, _ENDS) and not isinstance(after, _ENDS):
                    yield f"line {after.lineno}: after the end of its block"
        if isinstance(node, ast.FunctionDef):
            yield from _early(node)


def _early(function: ast.FunctionDef) -> Iterator[str]:
    """Local variables of a function without loops around them that are read in a line above the first that sets them."""
    if any(isinstance(node, ast.Global | ast.Nonlocal) for node in ast.walk(function)):
        return
    given = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
    reads: dict[str, int] = {}
    sets: dict[str, int] = {}
    for node in _within(function):
        if isinstance(node, ast.Name):
            seen = reads if isinstance(node.ctx, ast.Load) else sets
            seen[node.id] = min(seen.get(node.id, node.lineno), node.lineno)
    for name, line in reads.items():
        if name in sets and name not in given and line < sets[name]:
            yield f"line {line}: {name} is set in line {sets[name]}"


_ELSEWHERE = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef),
    *(ast.While, ast.For, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp),
)


def _within(node: ast.AST) -> Iterator[ast.AST]:
    """What runs from top to bottom: no nested functions, no loops, no comprehensions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _ELSEWHERE):
            yield child
            yield from _within(child)
