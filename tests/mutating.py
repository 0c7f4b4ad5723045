"""Small faults put into Python programs: one token changed at a time."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator

_SWAPS = {
    "+": "-", "-": "+", "*": "+", "/": "*", "//": "*", "%": "//", "**": "*", "+=": "-=", "-=": "+=", "*=": "+=",
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "and": "or", "or": "and", "True": "False", "False": "True", "min": "max", "max": "min", "any": "all", "all": "any", "break": "continue",
    "if": "while", "in": "is", "append": "extend",
}  # fmt: skip
"""A token -> what stands in its place; a number becomes the next one, `not` goes."""


def mutants(program: str) -> Iterator[str]:
    """Every program that differs from this one in one token."""
    lines = program.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(program).readline):
        if token.type in (tokenize.OP, tokenize.NAME) and token.string in _SWAPS:
            other = _SWAPS[token.string]
        elif token.type == tokenize.NUMBER and token.string.isdigit():
            other = str(int(token.string) + 1)
        elif token.string == "not":
            other = ""
        else:
            continue
        (row, start), (_, end) = token.start, token.end
        line = lines[row - 1]
        yield "".join((*lines[: row - 1], line[:start], other, line[end:], *lines[row:]))
