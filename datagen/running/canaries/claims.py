"""Claims made false, or known to be true, for a build's checks.

A false one is a released row of the build, which its check has passed, with a fault that no reading can excuse: another final answer, a wrong
result in a calculation, a test turned into its opposite, a program of another row, a call of a tool that nobody declared. True ones come
with the sets that the spec names: answers, tests and programs as their authors wrote them.
"""

from __future__ import annotations

import ast
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from datagen.operators.base import Operator
from datagen.operators.claims.arithmetic import Arithmetic
from datagen.operators.claims.code import Code
from datagen.operators.claims.math import Math
from datagen.operators.claims.schema import Schema
from datagen.operators.claims.tools import ToolCalls
from datagen.plan.model import PlannedStep
from datagen.records import Row, digest
from datagen.running.canaries.counts import Canary
from datagen.running.canaries.damage import planted_row
from datagen.seeds.labelled import GOOD, Labelled, LabelledSet
from datagen.spec.models import Check

_NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\w,.]*\d)")
_SUM = re.compile(r"(?<![\w.,)*/+-])(\d{1,6}) ?([-+*×/]) ?(\d{1,6}) ?= ?\$?(\d{1,9})(?![\d.,/%]|\s*[-+*/×])")
_OPERATIONS: Mapping[str, Callable[[int, int], float]] = {
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
    "×": lambda one, other: one * other,
    "/": lambda one, other: one / other if other else float("nan"),
}
_DEFINES = re.compile(r"^(?:async )?def (\w+)", re.MULTILINE)
Changed = tuple[str, Mapping[str, Any]]
"""What is bad about it, and the fields that make it so."""


def false_claims(checks: Sequence[PlannedStep], rows: Sequence[Row], count: int) -> list[Canary]:
    """At most `count` false claims for each check that has a known way to make one, all ways in turn."""
    made = []
    for step in checks:
        (operator,) = (operator for _, operator in step.recipe.operators) if step.recipe else (Operator(),)
        for number in range(min(count, 4 * len(rows))):
            row, other = rows[number % len(rows)], rows[(number * 7 + 1) % len(rows)]
            ways = list(_falsified(operator, row, other, random.Random(digest([row.id, step.name, number]))))
            if ways:
                kind, fields = ways[(number // len(rows) + number) % len(ways)]
                made.append(Canary(planted_row(row, f"f{step.number}.{number}", fields), kind, step.name, gated=_gated(step)))
    return made


def _gated(step: PlannedStep) -> bool:
    return not isinstance(step.spec, Check) or step.spec.gate


def _falsified(operator: Operator, row: Row, other: Row, chance: random.Random) -> Iterator[Changed]:
    text, fields = operator.text(row.fields), row.fields
    match operator:
        case Math(on=on, gold=gold) if gold and gold != on and fields.get(gold) not in (None, ""):
            if (wrong := wrong_answer(text, str(fields[gold]), chance)) is not None:
                yield "wrong_answer", {on: wrong}
            elif (wrong := wrong_answer(str(fields[gold]), str(fields[gold]), chance)) is not None:
                yield "wrong_answer", {gold: wrong}
        case Arithmetic(on=on):
            if (wrong := wrong_sum(text, chance)) is not None:
                yield "wrong_step", {on: wrong}
        case Code(on=on):
            yield from _failing(operator, row, other)
        case ToolCalls(on=on):
            if (wrong := unknown_tool(fields.get(on))) is not None:
                yield "unknown_tool", {on: wrong}
        case Schema(on=on):
            if isinstance(fields.get(on), str) and len(text.split()) > 1:
                yield "cut_json", {on: text[: max(1, len(text) * chance.randint(3, 7) // 10)]}


def wrong_answer(text: str, gold: str, chance: random.Random) -> str | None:
    """The text with its last number, where that is the answer, changed by 1 to 10 wherever it stands alone; None where another number is the last."""
    numbers, known = _NUMBER.findall(text), _NUMBER.findall(gold)
    if not numbers or not known or numbers[-1].replace(",", "") != known[-1].replace(",", ""):
        return None
    right = numbers[-1]
    value = float(right.replace(",", "")) + chance.choice((-2, -1, 1, 2, 10))
    wrong = str(int(value)) if "." not in right else f"{value:.{len(right.partition('.')[2])}f}"
    return re.sub(rf"(?<![\w.,]){re.escape(right)}(?![\w,.]*\d)", wrong, text)


def wrong_sum(text: str, chance: random.Random) -> str | None:
    """One result of two numbers that stands in the text, right as it is, changed by 1 to 9; None where there is none."""
    right = [found for found in _SUM.finditer(text) if _OPERATIONS[found[2]](int(found[1]), int(found[3])) == int(found[4])]
    if not right:
        return None
    found = chance.choice(right)
    return f"{text[: found.start(4)]}{int(found[4]) + chance.randint(1, 9)}{text[found.end(4) :]}"


def _failing(code: Code, row: Row, other: Row) -> Iterator[Changed]:
    names = (code.tests,) if isinstance(code.tests, str) else code.tests
    for name in names:
        if (opposite := turned(row.fields.get(name))) is not None:
            yield "failing_test", {name: opposite}
            break
    mine, theirs = (set(_DEFINES.findall(code.text(each.fields))) for each in (row, other))
    if mine and theirs and not mine & theirs and code.setup is None:
        yield "other_program", {code.on: other.fields[code.on]}


def turned(tests: Any) -> Any:
    """The tests with their first assertion turned into its opposite, which a program that passed must fail; None where none is found."""
    if isinstance(tests, Sequence) and not isinstance(tests, str | bytes):
        one = turned(str(tests[0])) if tests else None
        return None if one is None else [one, *tests[1:]]
    try:
        tree = ast.parse(tests) if isinstance(tests, str) else ast.Module([], [])
    except (SyntaxError, ValueError, RecursionError):
        return None
    first = next((node for node in ast.walk(tree) if isinstance(node, ast.Assert)), None)
    if first is None:
        return None
    first.test = ast.UnaryOp(ast.Not(), first.test)
    return ast.unparse(ast.fix_missing_locations(tree))


def unknown_tool(calls: Any) -> Any:
    """The calls with the name of the first changed; None where there is no call that can be read."""
    try:
        found = json.loads(calls) if isinstance(calls, str) else json.loads(json.dumps(calls))
    except (ValueError, TypeError, RecursionError):
        return None
    first = found[0] if isinstance(found, list) and found else found
    named = first.get("function", first) if isinstance(first, dict) else None
    if not isinstance(named, dict) or not isinstance(named.get("name"), str):
        return None
    named["name"] += "_of_nobody"
    return json.dumps(found) if isinstance(calls, str) else found


# --- known to be true ---


def true_claims(checks: Sequence[PlannedStep], rows: Sequence[Row], sets: Sequence[LabelledSet], count: int) -> list[Canary]:
    """At most `count` true claims for each check, of the sets that have what it reads."""
    made = []
    for step in checks:
        (operator,) = (operator for _, operator in step.recipe.operators) if step.recipe else (Operator(),)
        known = ((each.name, row) for each in sets for row in each.rows if row.label == GOOD)
        claims = [fields for name, row in known if (fields := _claimed(operator, name, row))][:count]
        for number, fields in enumerate(claims):
            row = planted_row(rows[number % len(rows)], f"t{step.number}.{number}", fields)
            made.append(Canary(row, GOOD, step.name, True, (step.name,), _gated(step)))
    return made


def _claimed(operator: Operator, name: str, row: Labelled) -> dict[str, Any] | None:
    """What a check reads, out of a known-good row: its columns of the same names, or those of a ready-made set; None where it has no such claim."""
    given = row.fields
    if set(operator.reads()) <= given.keys():
        return {field: given[field] for field in operator.reads()}
    match operator, name:
        case Math(on=on, gold=gold), "gsm8k" if gold and gold != on:
            return {on: given["answer"], gold: given["answer"].rpartition("####")[2].strip()}
        case Arithmetic(on=on), "gsm8k":
            return {on: given["answer"]}
        case Code(), "humaneval":
            return _program(operator, given["prompt"] + given["canonical_solution"], f"{given['test']}\ncheck({given['entry_point']})")
        case Code(), "mbpp":
            return _program(operator, given["code"].replace("\r\n", "\n"), "\n".join((given["test_setup_code"], *given["test_list"])))
    return None


def _program(code: Code, program: str, tests: str) -> dict[str, Any]:
    first, *rest = (code.tests,) if isinstance(code.tests, str) else code.tests
    beside = {code.setup: ""} if code.setup else {}
    beside |= {code.entry_point: _DEFINES.findall(program)[-1]} if code.entry_point and _DEFINES.search(program) else {}
    return {code.on: program, first: tests, **dict.fromkeys(rest, ""), **beside}
