"""Prompts and expressions: Jinja in a closed sandbox, every variable known before anything is paid.

A prompt file is a short YAML head between `---` lines (about, system) and a body. The system text and the body are templates.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, meta, nodes

from datagen.errors import SpecError
from datagen.spec.reading import Written, read_yaml, validated
from datagen.spec.sandbox import Sandbox, bounded, rendered
from datagen.spec.terms import Words

_ENVIRONMENT = Sandbox()
_MARKUP = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_GLOBALS = frozenset(_ENVIRONMENT.globals)


_ROW_FAULTS = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What a template may raise on a value it was not written for."""


class _Head(Words):
    about: str = ""
    system: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt as text; it travels in the plan, and a worker compiles it."""

    name: str
    about: str
    system: str
    body: str

    @classmethod
    def read(cls, name: str, written: Written) -> Prompt:
        """From the file's text. Raises SpecError with file:line on a bad head or a template that does not parse."""
        head, body, first_line = _split(written.text)
        parsed = read_yaml(written.path, "\n" + head) if head else Written(written.path, {}, {}, "")
        words = validated(_Head, parsed.value or {}, parsed)
        prompt = cls(name, words.about, words.system, body)
        for text, offset in ((prompt.system, parsed.lines.get(("system",), 1) - 1), (prompt.body, first_line)):
            try:
                _ENVIRONMENT.compile(text)  # more than parsing: it also looks up filters and tests
            except TemplateSyntaxError as error:
                raise SpecError(f"{written.path}:{offset + (error.lineno or 1)}: {error.message}") from error
            if any(True for _ in meta.find_referenced_templates(_ENVIRONMENT.parse(text))):
                raise SpecError(f"{written.path}: a prompt stands alone; it cannot include, import or extend another template")
        return prompt

    @classmethod
    def of_fields(cls, names: Sequence[str]) -> Prompt:
        """What a row's fields hold, line by line, and no word more."""
        return cls(" ".join(names), "", "", "\n".join(f"{{{{ {name} or '' }}}}" for name in names))

    def variables(self) -> frozenset[str]:
        """Names that the prompt needs."""
        return variables(self.system) | variables(self.body)

    def mentions(self) -> Counter[str]:
        """How often the prompt names each of them."""
        trees = [_ENVIRONMENT.parse(text) for text in (self.system, self.body)]
        needed = self.variables()
        return Counter(node.name for tree in trees for node in tree.find_all(nodes.Name) if node.name in needed)

    def messages(self, values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """(role, text) pairs. Raises SpecError when rendering fails: a value of the wrong kind."""
        try:
            system = rendered(_template(self.system), values).strip() if self.system else ""
            body = rendered(_template(self.body), values).strip()
        except TemplateError as error:
            raise SpecError(f"prompt {self.name!r}: {error.message}") from error
        except _ROW_FAULTS as error:
            raise SpecError(f"prompt {self.name!r} cannot be rendered: {error}") from error
        return (*((("system", system),) if system else ()), ("user", body))

    def head(self) -> int:
        """Characters at the beginning of the messages that no row changes: of the system text, and where that is all the same, of the body."""
        system = constant_head(self.system)
        return len(system) + (0 if variables(self.system) else len(constant_head(self.body)))


def _split(text: str) -> tuple[str, str, int]:
    """(head, body, lines before the body)."""
    if not text.startswith("---\n"):
        return "", text, 0
    head, mark, body = text[4:].partition("\n---\n")
    return (head, body, head.count("\n") + 3) if mark else ("", text, 0)


@cache
def variables(text: str) -> frozenset[str]:
    """Undeclared names of a template, built-in functions left out."""
    return frozenset(meta.find_undeclared_variables(_ENVIRONMENT.parse(text)) - _GLOBALS)


@cache
def constant_head(text: str) -> str:
    """What every rendering begins with: all of it where there is no variable, else what stands before the first tag.

    White space at its end is left out: where the first value is empty, it is stripped with the end of the text.
    """
    if not variables(text):
        return rendered(_template(text), {}).strip()
    pieces = []
    for piece in (piece for node in _ENVIRONMENT.parse(text).body for piece in (node.nodes if isinstance(node, nodes.Output) else [node])):
        if isinstance(piece, nodes.Assign | nodes.AssignBlock | nodes.Macro):
            continue  # which print nothing
        if not isinstance(piece, nodes.TemplateData):
            break
        pieces.append(piece.data)
    return "".join(pieces).strip()


def own_words(text: str) -> list[str]:
    """The pieces of a template between its variables and blocks: what it says whatever the row."""
    return [piece.strip() for piece in _MARKUP.split(text) if piece.strip()]


@cache
def _template(text: str) -> Any:
    return _ENVIRONMENT.from_string(text)


@cache
def _compiled(expression: str) -> Callable[..., Any]:
    return _ENVIRONMENT.compile_expression(expression, undefined_to_none=False)


def expression_variables(expression: str, where: str) -> frozenset[str]:
    """Names an expression needs. Raises SpecError with `where` when it does not parse."""
    try:
        _ENVIRONMENT.compile_expression(expression)
        return variables("{{ (" + expression + ") }}")
    except TemplateSyntaxError as error:
        raise SpecError(
            f"{where}: the expression {expression!r} does not parse: {error.message}; write it without braces, as in score >= 4"
        ) from error


def evaluate(expression: str, values: Mapping[str, Any]) -> Any:
    """The value of an expression over a row's fields. Raises SpecError when it cannot be computed."""
    try:
        value = bounded(_compiled(expression), values)
        bool(value)  # an undefined value speaks up when asked for its truth: here, not in whoever uses it
        return value
    except (TemplateError, *_ROW_FAULTS) as error:
        raise SpecError(f"the expression {expression!r} failed on a row: {error}") from error


def draw(options: Sequence[Any], *seed: str | int) -> Any:
    """One of `options`, chosen by the digest of the seed alone: the same on every machine and in every order."""
    text = "\x1f".join(str(part) for part in seed).encode("utf-8", errors="surrogatepass")
    number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
    return options[number * len(options) >> 64]


def picker(*seed: str | int) -> Callable[[Sequence[Any]], Any]:
    """`pick(list)` for one rendering: the n-th call draws with seed and n."""
    calls = iter(range(1_000_000))
    return lambda options: draw(list(options), *seed, next(calls))
