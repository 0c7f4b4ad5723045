"""Where a solution says its final answer: boxed, after `####`, after "Answer:", in "the answer is x", or the last number."""

from __future__ import annotations

import re

_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_HASHES = re.compile(r"^[ \t]*#{4,6}[ \t]*(?!#)(\S[^\n]*)$", re.MULTILINE)
_LINE = re.compile(
    r"^[ \t>*_#-]*(?:(?:the |my |so the )?(?:final |correct )?answer|ans|a|final result"
    r"|result)[ \t]*[*_]*[ \t]*[:=][ \t]*[*_]*[ \t]*\n?[ \t]*(\S[^\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)
_SAYS = re.compile(
    r"\b(?:final |correct |right )?(?:answer|result)(?: to (?:the|this) (?:question|problem))?[*_]*\s*(?:is|was|equals|=|:)\s*(?:therefore |thus "
    r"|simply |equal to )?:?\s*[*_]*\s*(?=(\S[^\n]*))",
    re.IGNORECASE,
)
_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*")
_NUMBER = re.compile(
    r"(?<![\w.])[-−+]?\s?[$€£¥]?\s?[-−]?(?:\d{1,3}(?:,\d{3})+|\d++)(?:\.\d++)?(?:\s?/\s?\d+(?:\.\d+)?)?(?:\s?%|\\%)?(?!\w*\d)"
    r"|\\[dt]?frac\{-?\d+\}\{\d+\}",
)
_SENTENCE_END = re.compile(r"(?<=[^\d\W])[.!?;](?=\s|$)|(?<=[\d)}\]$%])[.!?](?=\s+[A-Z(]|\s*$)|(?<=[)\]}'\"*])[.!](?=\s|$)")
_CALCULATION = re.compile(r"<<[^<>\n]*>>")
"""GSM8K's calculator notes, which stand before the number they compute."""


def final_answer(text: str) -> str | None:
    """The answer as the text writes it, by the strongest marker; of several the last. None where there is no marker and no number."""
    plain = _CALCULATION.sub("", text)
    return _boxed(plain) or _marked(plain) or _unmarked(plain)


def marked_answer(text: str) -> str | None:
    """As `final_answer`, but only where a marker says so."""
    plain = _CALCULATION.sub("", text)
    return _boxed(plain) or _marked(plain)


def _boxed(text: str) -> str | None:
    """The inside of the last \\boxed{...}, braces balanced."""
    for found in reversed(list(_BOXED.finditer(text))[-20:]):
        depth = 1
        for index in range(found.end(), min(len(text), found.end() + 2000)):
            depth += {"{": 1, "}": -1}.get(text[index], 0)
            if depth == 0:
                return text[found.end() : index].strip() or None
    return None


def _marked(text: str) -> str | None:
    for pattern in (_HASHES, _LINE):
        if found := pattern.findall(text):
            return _tidy(str(found[-1]), whole_line=True)
    if found := _SAYS.findall(text):
        return _tidy(str(found[-1]), whole_line=False)
    return None


def _tidy(answer: str, whole_line: bool) -> str | None:
    """Without emphasis and what follows the sentence."""
    if not whole_line or len(answer) > 60:
        answer = _SENTENCE_END.split(answer, maxsplit=1)[0]
    answer = re.sub(r"^(?:is|=|:|that)\s+", "", answer.replace("**", "").replace("__", "").strip())
    return answer.strip(" \t*`") or None


def _unmarked(text: str) -> str | None:
    """Bold words at the end, a text that is an answer itself, or the last number."""
    lines = [line for line in text.strip().split("\n") if line.strip()]
    if not lines:
        return None
    bold = [words for words in _BOLD.findall(lines[-1]) if not words.rstrip().endswith(":")]
    if bold and len(bold[-1].split()) > 3 and (found := _NUMBER.findall(bold[-1])):
        return str(found[-1]).strip()
    if bold:
        return str(bold[-1]).strip().rstrip(".") or None
    if len(lines) == 1 and len(lines[0].split()) <= 4 and not _SENTENCE_END.search(lines[0].rstrip(". ")):
        return lines[0].strip().rstrip(".") or None
    for line in reversed(lines[-3:]):
        if found := _NUMBER.findall(line):
            return str(found[-1]).strip()
    return None
