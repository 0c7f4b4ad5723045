"""Damaged text: loops, text that was cut off, and letters of a wrong encoding."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator

_SENTENCE = re.compile(r"[.!?]\s+|\n+")
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[^\n]*$", re.MULTILINE)


class Repetition(Operator):
    """Loops and padding: repeated lines, sentences and paragraphs, runs of n-grams, and one block said over and over.

    The measures are those of Gopher (Rae et al. 2021, arXiv 2112.11446, table A1) with two changes that keep worked maths: numbers
    count as words, so that "3 x 4 = 12" and "3 x 5 = 15" differ, and only repeats of `ngram` words count, because the top 2-grams
    of a short solution are its nouns. The score is the share of words that lie in a repeat of such an n-gram.
    """

    keeps: ClassVar = (
        "3 x 4 = 12 apples. 3 x 5 = 15 apples. 3 x 6 = 18 apples. 12 + 15 + 18 = 45 apples. So she has 45 apples.",
        "| n | square |\n|---|---|\n| 1 | 1 |\n| 2 | 4 |\n| 3 | 9 |",
    )
    drops: ClassVar = (
        "The cell divides. " * 12,
        "We start with water and then we add salt and then we add salt and then we add salt and then we add salt and then we add salt and",
        "The answer is hahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahaha",
    )

    ngram: int = Field(default=6, ge=2, le=20)
    """Words of the n-grams whose repeats are counted."""
    at_most: float = Field(default=0.3, ge=0, le=1)
    """Share of words in repeated n-grams."""
    lines: float = Field(default=0.3, ge=0, le=1)
    """Share of characters in lines seen before (lines of four words or more)."""
    sentences: float = Field(default=0.3, ge=0, le=1)
    """Share of characters in sentences seen before (of four words or more)."""
    paragraphs: float = Field(default=0.2, ge=0, le=1)
    """Share of characters in paragraphs seen before."""
    run: int = Field(default=4, ge=2)
    """So often may one block of words stand directly after itself; a run shorter than 16 words never counts."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        text = self.text(fields)
        words = text.lower().split()
        share, looped, where = _repeats(words, self.ngram, self.run)
        if looped:
            return Finding(False, "loop", share, where)
        if glued := _glued_loop(words):
            return Finding(False, "loop", share, glued)
        if share > self.at_most:
            return Finding(False, "repeated_ngrams", share, where)
        for reason, pieces, limit in (
            ("repeated_paragraphs", text.split("\n\n"), self.paragraphs),
            ("repeated_lines", text.split("\n"), self.lines),
            ("repeated_sentences", _SENTENCE.split(text), self.sentences),
        ):
            part, again = _seen_before(pieces)
            if part > limit:
                return Finding(False, reason, part, again)
        return Finding(True, score=share)


def _repeats(words: list[str], size: int, run: int) -> tuple[float, bool, str]:
    """(share of words in n-grams seen before, whether a block stands more than `run` times in a row, the words).

    One pass: an n-gram seen `period` words ago, again and again, is a block of `period` words that follows itself.
    """
    grams = list(zip(*(words[shift:] for shift in range(size)), strict=False))
    if len(set(grams)) == len(grams):
        return 0.0, False, ""
    last: dict[tuple[str, ...], int] = {}
    covered, reach, period, length, example = 0, -1, 0, 0, ""
    for index, gram in enumerate(grams):
        before = last.get(gram)
        last[gram] = index
        if before is None:
            period = 0
            continue
        covered += min(size, index + size - 1 - reach)
        reach = index + size - 1
        length = length + 1 if index - before == period else 1
        period = index - before
        example = example or " ".join(gram)
        said = length + size - 1 + period
        if said > run * period and said >= _shortest_run(gram):
            return min(1.0, covered / len(words)), True, f"{said // period} times: {' '.join(words[index - period + 1 : index + 1])}"
    return min(1.0, covered / len(words)), False, example


def _shortest_run(block: Iterable[str]) -> int:
    """Words a run must have to be a loop: 16, but 60 when it is digits alone, which tables and long divisions repeat rightly; blanks never are."""
    if any(word.isalpha() and len(word) > 1 for word in (word.strip(".,;:!?*()") for word in block)):
        return 16
    return 60 if any(sign.isalnum() for word in block for sign in word) else 10**9


def _glued_loop(words: list[str]) -> str:
    """A loop without spaces (hahahaha, or any in a language without them), or ''."""
    if max(map(len, words), default=0) < 40:
        return ""
    for word in words:
        if len(word) >= 40 and sum(map(str.isalpha, word)) * 2 > len(word) and 4 * len(set(zip(word, word[1:], word[2:], strict=False))) <= len(word):
            return word[:60]
    return ""


def _seen_before(pieces: Iterable[str]) -> tuple[float, str]:
    """(share of characters in pieces of four words or more that were seen before, the first such piece)."""
    pieces = list(pieces)
    if len(set(pieces)) == len(pieces):
        return 0.0, ""
    seen: set[str] = set()
    total, again, example = 0, 0, ""
    for piece in pieces:
        plain = piece.strip()
        total += len(plain)
        if plain not in seen:
            seen.add(plain)
        elif len(plain) > 15 and plain.count(" ") >= 3 and not plain.startswith("|"):
            again += len(plain)
            example = example or plain
    return (again / total if total else 0.0), example


_CLOSED = tuple(".!?…。！？।؟\"”’'»)]}>`*_$|~;")
"""Signs that a finished line may end with. A comma, a colon or a hyphen says that more was to come."""
_OPEN = (",", ":", "-", "–", "—", "=", "+", "(", "[", "{", "<", "/", "\\", "&", "×", "·", "^", "“", "‘")
_ANSWER = re.compile(r"^\W*(?:####|(?:final |the )?(?:answer|a|result|solution)\s*(?:is\b|[:=]))", re.IGNORECASE)
_ANSWER_INSIDE = re.compile(r"\b(?:answer|result) (?:is|was)\b|\\boxed\{", re.IGNORECASE)
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
    if _ANSWER.match(line) or _ANSWER_INSIDE.search(line):
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
    word = re.search(r"(?:^|[^\w.])([A-Za-z_]\w*)$", last)
    if word and (_unclosed_call(word[1], plain) or (word[1] not in _ENDINGS and len(re.findall(rf"\b{word[1]}\b", plain)) == 1)):
        return "cut_name"
    return "cut_statement" if _PYTHON.search(text) and _stops_parsing(text) else ""


def _unclosed_call(word: str, text: str) -> bool:
    """Whether a built-in function stands last, without its bracket, in a program that does not use the name for a variable."""
    return word in _FUNCTIONS and not re.search(rf"\b{word}\s*[-+*/]?=[^=]|\bfor {word}\b|\b{word}\s*[,:]", text)


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
    while body := getattr(last, "orelse", None) or getattr(last, "body", None):
        last = body[-1] if isinstance(body, list) else body
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Name | ast.Attribute | ast.BinOp | ast.Subscript)


_SEQUENCE = re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2[\u0080-\u009f\u20ac\u201a-\u2122]|\u00c3[\u00a0-\u00ff\u0192\u201a-\u2122]|ï¿½|â€")
"""UTF-8 read as Latin-1 or Windows-1252: the lead byte of a two- or three-byte sign as a letter, then a continuation byte."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ufffd\ufffe\uffff\ud800-\udfff]")


class Mojibake(Operator):
    """Text of a wrong encoding: UTF-8 read as Latin-1, replacement signs, control characters; the score is the count per 1,000 signs."""

    keeps: ClassVar = ("The café opened in 1999 — its naïve owner paid 5 €.", "Ångström and Ñandú are words.")
    drops: ClassVar = ("The cafÃ© opened and itâ€™s still the best one.", "A \ufffd stands where a letter stood.", "A\x00B")

    at_most: float = Field(default=0.0, ge=0)
    """Damaged signs per 1,000 characters."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        text = self.text(fields)
        if text.isascii() and text.isprintable():
            return Finding(True, score=0.0)
        places = list(_damaged(text))
        score = 1000 * len(places) / max(1, len(text))
        if score > self.at_most:
            return Finding(False, "mojibake", score, text[max(0, places[0] - 20) : places[0] + 20])
        return Finding(True, score=score)


def _damaged(text: str) -> Iterator[int]:
    for pattern in (_SEQUENCE, _CONTROL):
        yield from (found.start() for found in pattern.finditer(text))
