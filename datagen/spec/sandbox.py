"""The closed sandbox of prompts and expressions: no code of theirs runs, and none of them can run for ever or fill the memory.

Jinja's immutable sandbox keeps templates away from anything but values. What it leaves open is size: loops within loops, `'a' * 10**9`,
`center(10**9)`. Here loops and calls are counted, and what could make a giant of a small value is refused beforehand. Only templates are
code: a row's value is never one, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from functools import wraps
from typing import Any

from jinja2 import StrictUndefined, Template, nodes, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MOST_TURNS = 100_000
"""Turns of loops, and calls, in one rendering: a second's work; a prompt that needs a hundredth of it is a strange one."""
MOST_CHARACTERS = 2_000_000
"""Of one value that a template makes, and of what is rendered: half a million tokens, which no model takes."""
WIDEST = 10_000
"""Width, indent or repetition that a template may ask for."""
_WIDE_PERCENT = re.compile(r"%[^a-zA-Z%]*(\d{5,}|\*)")
_WIDE_BRACES = re.compile(r"\{[^}]*:[^}]*(\d{5,}|\{)")
_WIDE_METHODS = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs"})
_WIDE_FILTERS = ("batch", "center", "indent", "slice", "tojson", "wordwrap")
_TURNS: ContextVar[list[int]] = ContextVar("turns")


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment; `rendered` and `bounded` are the ways to run what it has compiled."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False)
        for table, name in ((self.globals, "lipsum"), (self.filters, "random")):
            table.pop(name)  # a prompt that differs from run to run would be paid for in each
        self.filters |= {name: _narrow(FILTERS[name]) for name in _WIDE_FILTERS}
        self.filters |= {"format": _format, "join": _join, "replace": _replace, _TURN: _counted, _JOINED: _joined}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Every loop counts its turns, and `~` the length of what it makes: no other place sees either."""
        template: nodes.Template = _Bounding().visit(super()._parse(source, name, filename))
        return template

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _check_size(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        _turn()
        method = getattr(obj, "__wrapped__", obj)  # the sandbox wraps str.format
        owner = getattr(method, "__self__", None)
        if isinstance(owner, str):
            _check_method(owner, method.__name__, (*args, *kwargs.values()))
        return super().call(context, obj, *args, **kwargs)


def rendered(template: Template, values: Any) -> str:
    """The text of one rendering. Raises SecurityError where it grows beyond all bounds, and whatever a template may raise."""
    pieces: list[str] = []
    size = 0
    token = _TURNS.set([0])
    try:
        for piece in template.generate(values):
            size += len(piece)
            if size > MOST_CHARACTERS:
                raise SecurityError(f"the text grows beyond {MOST_CHARACTERS:,} characters")
            pieces.append(piece)
    finally:
        _TURNS.reset(token)
    return "".join(pieces)


def bounded(expression: Callable[..., Any], values: Any) -> Any:
    """The value of a compiled expression, under the same bounds."""
    token = _TURNS.set([0])
    try:
        return expression(**values)
    finally:
        _TURNS.reset(token)


_TURN, _JOINED = "each turn counted", "joined by a tilde"
"""Filters that no template can name itself, for the spaces."""


class _Bounding(NodeTransformer):
    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, _TURN, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        self.generic_visit(node)
        return nodes.Filter(nodes.List(node.nodes, lineno=node.lineno), _JOINED, [], [], None, None, lineno=node.lineno)


def _turn() -> None:
    turns = _TURNS.get(None)
    if turns is None:
        return  # compiled, not run: a constant is folded
    turns[0] += 1
    if turns[0] > MOST_TURNS:
        raise SecurityError(f"more than {MOST_TURNS:,} turns of loops and calls")


def _counted(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        _turn()
        yield item


def _joined(parts: list[Any]) -> str:
    texts = [str(part) for part in parts]
    _check_length(sum(map(len, texts)))
    return "".join(texts)


def _check_size(operator: str, left: Any, right: Any) -> None:
    """Refuse what makes a giant, before it is made."""
    if operator == "+" and isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
        _check_length(len(left) + len(right))
    if operator == "*":
        for one, times in ((left, right), (right, left)):
            if isinstance(one, str | list | tuple) and isinstance(times, int):
                _check_length(len(one) * times)
    if operator == "**" and isinstance(left, int) and isinstance(right, int):
        _check_length(left.bit_length() * right)
    if operator in ("*", "+") and isinstance(left, int) and isinstance(right, int):
        _check_length(left.bit_length() + right.bit_length())
    if operator == "%" and isinstance(left, str):
        _check_format(_WIDE_PERCENT, left)


def _check_length(size: int) -> None:
    if size > MOST_CHARACTERS:
        raise SecurityError(f"a value grows beyond {MOST_CHARACTERS:,} characters")


def _check_format(wide: re.Pattern[str], text: str) -> None:
    if wide.search(text):
        raise SecurityError("a width in a format is at most four digits")


def _check_method(owner: str, name: str, given: tuple[Any, ...]) -> None:
    """Of the methods of text, those that can make a long one of a short one."""
    if name in _WIDE_METHODS:
        _check_width(given)
    if name == "replace" and all(isinstance(text, str) for text in given[:2]):
        _check_length(len(owner) + owner.count(given[0]) * len(given[1]))
    if name == "join" and isinstance(given[0], list | tuple):
        _check_length(sum(len(str(item)) + len(owner) for item in given[0]))
    if name in ("format", "format_map"):
        _check_format(_WIDE_BRACES, owner)


def _check_width(given: Iterable[Any]) -> None:
    if any(isinstance(number, int) and number > WIDEST for number in given):
        raise SecurityError(f"a width is at most {WIDEST:,}")


def _narrow(made: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of Jinja's whose numbers are widths or counts, kept from filling the memory with them."""
    before = 2 if hasattr(made, "jinja_pass_arg") else 1

    @wraps(made)  # with the mark by which Jinja knows what to pass first
    def narrowed(*args: Any, **kwargs: Any) -> Any:
        _check_width((*args[before:], *kwargs.values()))
        return made(*args, **kwargs)

    return narrowed


def _format(value: Any, *args: Any, **kwargs: Any) -> Any:
    _check_format(_WIDE_PERCENT, str(value))
    return FILTERS["format"](value, *args, **kwargs)


@pass_eval_context
def _join(context: EvalContext, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> Any:
    items = list(value)
    _check_length(sum(len(d) + (len(item) if isinstance(item, str) else 0) for item in items))
    return FILTERS["join"](context, items, d, attribute)


@pass_eval_context
def _replace(context: EvalContext, s: str, old: str, new: str, count: int | None = None) -> Any:
    _check_method(str(s), "replace", (str(old), str(new)))
    return FILTERS["replace"](context, s, old, new, count)
