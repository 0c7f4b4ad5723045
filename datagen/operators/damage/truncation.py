"""Text that was cut off: mid-sentence, in an open code fence, formula or bracket, or right after a heading."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator

_SENTENCE = re.compile(r"[.!?]\s+|\n+")
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[^\n]*$", re.MULTILINE)


_CLOSED = tuple(".!?…。！？।؟\"”’'»)]}>`*_$|~;")
"""Signs that a finished line may end with. A comma, a colon or a hyphen says that more was to come."""
_OPEN = (",", ":", "-", "–", "—", "=", "+", "(", "[", "{", "<", "/", "\\", "&", "×", "·", "^", "“", "‘")
_ANSWER = re.compile(r"^\W*(?:####|(?:final |the )?(?:answer|a|result|solution)\s*(?:is\b|[:=]))", re.IGNORECASE)
_ANSWER_INSIDE = re.compile(r"\b(?:answer|result) (?:is|was)\b|\\boxed\{", re.IGNORECASE)
_ANSWERS = ("answer", "result", "\\boxed{")
_ITEM = re.compile(r"^\s*(?:[-*+•]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+")
_HEADING = re.compile(r"^#{1,6}\s+(?!\W*\d)")


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LINKING = _words_of(
    "a an the of to and or but nor in on at by for with from as that which who whose is are was were be been has have had will would can could "
    "may might must should this these those its their his her our your my if when while because than then so into onto over under about between "
    "such each every very more most not only also both either he she they we it i you"
)
"""Words that an English sentence does not end with, or nearly never."""
_PAIRS = (("(", ")"), ("[", "]"), ("{", "}"))
_CALCULATING = re.compile(r"<<[\d.,+*/()= -]*$")


class Truncation(Operator):
    """Text that stops before its end: mid-sentence, in an open code fence, formula or bracket, or right after a heading.

    Knows that lists, tables, code and answers end without a full stop. A cut exactly between two sentences cannot be seen in the text;
    the teacher's stop reason shows it (outcome `truncated`).
    """

    version: ClassVar[int] = 2
    keeps: ClassVar = (
        "Energy is conserved. It only changes form.",
        "Buy:\n- two apples\n- three pears",
        "She has 5 + 7 = 12 apples.\n#### 12",
        "```python\nprint(1)\n```",
        "| a | b |\n|---|---|\n| 1 | 2 |",
    )
    drops: ClassVar = (
        "Energy is conserved. It only changes form when two bodies",
        "Use a loop:\n```python\nfor i in range(3):\n    print(",
        "The root is $x = \\frac{1}{2",
        "## Summary\nCells divide.\n\n## Exercises",
    )

    min_words: int = Field(default=4, ge=1)
    """A last line of fewer words may end without a full stop: a name, a title, an answer. 1 asks it of every line."""
    code: bool = False
    """The whole text is code: only brackets, strings and a dangling last line are looked at."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        text = self.text(fields).rstrip()
        if not text:
            return Finding(True, score=0.0)
        reason = _cut_code(text) if self.code else _cut_prose(text, self.min_words)
        return Finding(not reason, reason, float(bool(reason)), text[-80:] if reason else "")


def _cut_prose(text: str, min_words: int) -> str:
    """Why this text looks cut, or ''."""
    fences = _FENCE.findall(text) if "```" in text or "~~~" in text else []
    if len(fences) % 2:
        return "open_code_fence"
    line = text[text.rfind("\n") + 1 :].strip()[-2000:]
    if fences and line.startswith(("```", "~~~")):
        return ""
    if _open_formula(text):
        return "open_formula"
    reason = _cut_tail(text, line, min_words)
    return "" if reason and _is_code(text) else reason


def _cut_tail(text: str, line: str, min_words: int) -> str:
    if _HEADING.match(line) and (line.startswith("##") or text.startswith("#")):
        return "heading_without_text"
    if _open_bracket(line):
        return "open_bracket"
    return _cut_line(text, line, min_words)


def _open_formula(text: str) -> bool:
    """Whether the last display formula begins in the last paragraph and does not end."""
    last = text[text.rfind("\n\n") + 1 :]
    dollars = "$$" in last and last.count("$$") % 2 == 1 and (last.strip().startswith("$$") or text.count("$$") % 2 == 1)
    return dollars or any(last.rfind(opens) > last.rfind(closes) for opens, closes in (("\\[", "\\]"), ("\\begin{", "\\end{")))


_CODE = re.compile(
    r"^#!|[{};]\s*(?://.*)?$|^\s*(?:#(?!#*\s)|//|(?:elif|else|def|return|import|echo|fi|done|esac|end|print|public|private|class|export|find"
    r"|grep) ?\b(?!.*[.!?]$))|^\S+=\S|\w\([^)]*\)\s*:?$|==|:=|=>|<-|::"
)


def _is_code(text: str) -> bool:
    """Whether most of the last five lines are code outside a fence, which has no full stops."""
    lines = [line for line in text[-1500:].split("\n")[-6:] if line.strip()]
    return len(lines) > 1 and sum(bool(_CODE.search(line)) for line in lines) * 2 >= len(lines)


def _open_bracket(line: str) -> bool:
    """Whether the last sentence opens a bracket that it does not close."""
    if not any(sign in line for sign in ("(", "[", "{", "<<")):
        return False
    sentence = _SENTENCE.split(line)[-1]
    return bool(_CALCULATING.search(sentence)) or any(sentence.count(left) > sentence.count(right) for left, right in _PAIRS)


_MEASURE = re.compile(r"(?:^|[\s(=~≈$€£])[-−+]?\d[\d.,/^]*\s?(?:[^\W\d]{1,3}|°\S?|%|\S*[\^·⋅/²³⁻−]\S*)?$")
"""A number with its unit at the end, as the last line of a calculation has it."""
_LABEL = re.compile(r"^\W*(?:solution|answer|result|example)\w?\W{0,4}$|^\(?[a-i]\)", re.IGNORECASE)
"""The line before an answer that stands alone."""
_PARTS = re.compile(r"(?:^|[;.]\s+|\s)\(?[a-i]\)\s")
"""Numbered parts of an answer in one line: (a) ...; (b) ..."""


def _cut_line(text: str, line: str, min_words: int) -> str:
    bare = line.rstrip("*_ ")
    if line.startswith("|"):
        return "" if line.endswith("|") else "cut_table"
    if _ANSWER.match(line) or (any(word in line.lower() for word in _ANSWERS) and _ANSWER_INSIDE.search(line)):
        return "cut_sentence" if bare.endswith(_OPEN) else ""
    if bare.endswith(_OPEN) and not bare.endswith(("^-", "^–", "^+")) and not line.endswith(("---", "***", "___")):
        return "cut_sentence"
    if line.endswith(_CLOSED) or not bare or ord(bare[-1]) > 0x2FFF:
        return "cut_sentence" if line.endswith("$") and line.count("$") % 2 else ""
    words = bare.split()
    if len(words) > 1 and words[-1].lower().strip("\"'“”()*_") in _LINKING:
        return "cut_sentence"
    if len(words) < min_words and words[0].lower() in _LINKING and words[0].lower() not in {"a", "i", "so", "not"}:
        return "cut_sentence"
    if len(words) < min_words or _no_stop_expected(text, line, words, min_words):
        return ""
    return "cut_sentence" if bare[-1].isalnum() or bare[-1] == "%" else ""


def _no_stop_expected(text: str, line: str, words: list[str], min_words: int) -> bool:
    """Lists, measures and parts of answers, bylines and captions end without a full stop; not where every line must have one (min_words 1)."""
    if min_words == 1:
        return False
    if words[-1].startswith(("#", "http", "doi:", "@")) or "//" in words[-1]:
        return True
    if _MEASURE.search(line) and (len(words) <= 8 or "=" in line):
        return True
    if len(parts := _PARTS.split(line)) > 2 and len(parts[-1].split()) <= 4:
        return True
    before = text[: -len(line)].rstrip().rsplit("\n", 1)[-1] if len(words) < 12 else ""
    if _LABEL.match(before):
        return True
    if _ITEM.match(line):
        return len(words) < 20 and not _items_end(text)
    named = [word for word in words if len(word) > 3 and word[0].isalpha()]
    return len(named) > 1 and sum(word[0].isupper() for word in named) >= 0.85 * len(named)


def _items_end(text: str) -> bool:
    """Whether most list items before the last line end with a full stop, so that the last one should too."""
    items = [line.rstrip() for line in text.split("\n")[-12:-1] if _ITEM.match(line)]
    return bool(items) and sum(item.endswith(_CLOSED) for item in items) * 2 > len(items)


_QUOTED = re.compile(r'"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|#[^\n]*')
_DANGLING = re.compile(r"(?:[=+*/%&|^<,(\[{.\\-]|\b(?:and|or|not|in|is|import|from|if|elif|for|while|def|class|lambda|with|as))$")
_PYTHON = re.compile(r"^(?:def \w+\(.*:\s*$|from [\w.]+ import |import \w|class \w+.*:\s*$)", re.MULTILINE)


def _cut_code(text: str) -> str:
    """Why this code looks cut, or ''. Comments and strings are blanked first; a string left open leaves its quote behind."""
    plain = _QUOTED.sub("§", text)
    if '"' in plain or "'''" in plain:
        return "open_string"
    if any(plain.count(left) > plain.count(right) for left, right in _PAIRS):
        return "open_bracket"
    last = plain.rstrip().rsplit("\n", 1)[-1].rstrip()
    if _DANGLING.search(last) or last.strip() == "return":
        return "cut_statement"
    if _METHOD.search(last):
        return "cut_name"
    word = re.search(r"(?:^|[^\w.])([A-Za-z_]\w*)$", last)
    if word and re.search(rf"[-+*/%^&|] ?{word[1]}$", last) and re.search(rf"^\s*def {word[1]}\b", plain, re.MULTILINE):
        return "cut_name"
    if word and (_unclosed_call(word[1], plain) or (word[1] not in _ENDINGS and len(re.findall(rf"\b{word[1]}\b", plain)) == 1)):
        return "cut_name"
    return "cut_statement" if _PYTHON.search(text) and _stops_parsing(text) else ""


def _unclosed_call(word: str, text: str) -> bool:
    """Whether a built-in function stands last, without its bracket, in a program that does not use the name for a variable."""
    return word in _FUNCTIONS and not re.search(rf"\b{word}\s*[-+*/]?=[^=]|\bfor {word}\b|\b{word}\s*[,:]", text)


_METHOD = re.compile(
    r"[\w)\]]\.(?:append|capitalize|compile|count|endswith|extend|findall|finditer|format|fullmatch|isalpha|isdigit|islower|isspace|isupper|items"
    r"|join|lower|most_common|popleft|replace|rstrip|search|sort|split|startswith|strip|sub|title|upper|zfill)$"
)
"""A method that is called wherever it stands last: its bracket had to come."""
_FUNCTIONS = _words_of("abs all any dict enumerate float int len list map max min print range reversed round set sorted str sum tuple zip")
"""Built-in functions: a program that ends with one had a bracket to come."""
_ENDINGS = _words_of("return break continue pass else end done fi esac s True False None null nil true false self")


def _stops_parsing(text: str) -> bool:
    """Whether Python's parser gives up in the last two lines, or the last statement computes what nobody uses.

    Errors further up are another dialect, not a cut.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            return (error.lineno or 0) >= text.count("\n")
        except (ValueError, RecursionError, MemoryError):
            return False
    last: ast.AST = tree
    above: list[ast.AST] = []
    while body := getattr(last, "orelse", None) or getattr(last, "body", None):
        above.append(last)
        last = body[-1] if isinstance(body, list) else body
    return _idle(last, above) or (isinstance(last, ast.Expr) and isinstance(last.value, ast.Name | ast.Attribute | ast.BinOp | ast.Subscript))


def _idle(last: ast.AST, above: list[ast.AST]) -> bool:
    """Whether a function ends by setting a variable of its own that nothing can read any more."""
    inner = max((index for index, node in enumerate(above) if isinstance(node, ast.FunctionDef)), default=-1)
    if inner < 0 or not isinstance(last, ast.Assign | ast.AugAssign) or any(isinstance(node, ast.For | ast.While) for node in above[inner:]):
        return False
    targets = last.targets if isinstance(last, ast.Assign) else [last.target]
    shared = any(isinstance(node, ast.Global | ast.Nonlocal) for node in ast.walk(above[inner]))
    return not shared and all(isinstance(target, ast.Name) for target in targets)
