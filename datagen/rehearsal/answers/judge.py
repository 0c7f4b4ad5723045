"""The simulated judge: sees what is wrong with a text by its marks, and scores it by the schema's bounds."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from datagen.rehearsal.answers.worked import Problem
from datagen.seeds.problems.wording import words

_SCORES = frozenset({"score", "rating", "grade", "quality", "value", "points", "level", "educational_value", "correctness", "clarity"})
_WORDS = frozenset(
    {
        "fault",
        "faults",
        "reason",
        "reasons",
        "reasoning",
        "critique",
        "feedback",
        "comment",
        "justification",
        "explanation",
        "evidence",
        "verdict",
        "rationale",
        "flaw",
        "weakness",
    }
)
_TAGGED = re.compile(r"<(\w+)>\n?(.*?)\n?</\1>", re.DOTALL)
_JUDGED = ("text", "answer", "solution", "output", "response", "candidate")
_HEADED = re.compile(
    r"(?:^|\n)[#* ]*(?:the )?(?:text|section|chapter|lesson|passage|solution|answer|response|candidate|student'?s? answer)[* ]*:[* ]*\n?",
    re.IGNORECASE,
)
_REFUSING = re.compile(
    r"\b(?:I(?:'m| am) (?:sorry|unable|not able|just an AI)|I must decline|unable to (?:fulfill|answer|comply)|cannot assist|can't help"
    r"|I (?:cannot|can't|can not|won't) (?:\w+ )?(?:help|assist|provide|comply|answer|fulfill?|write|create|encourage|give|support|suggest)"
    r"|(?:not|n't think it's|in)\s?appropriate)"
)
_META = re.compile(
    r"\b(?:as an? (?:AI|large language model)|I am an AI|an AI assistant|I hope this helps|certainly! here|my knowledge (?:has a )?cutoff"
    r"|according to your instructions)",
    re.IGNORECASE,
)
_ECHO = re.compile(
    r"(?:You asked me the following|The task is as follows|User: )"
    r"|(?:Solve|Write|Explain|Answer|Work out|Give) (?:the|this|a|an)\b[^\n]*\n(?:.*\n){0,8}?(?:Topic|Problem|Question): "
)
_PERSONAL = re.compile(r"[\w.+-]+@[\w-]+\.[a-z]{2,}|\(\d{3}\) \d{3}-\d{4}|\b\d{3}-\d{2}-\d{4}\b|\b\d{2,5} [A-Z]\w+ (?:Street|Avenue|Road), ")
_FINAL = re.compile(r"^[ >*]*(?:The answer is|####) *\$?(?:\\boxed\{)?([^\n$}]+?)\}?\$?\.?\**$", re.MULTILINE)
_FUNCTION_WORDS = frozenset(
    words(
        "the of and to is are that it for with by be this from or at where you have not if what its any than then after "
        "how had they there which because"
    )
)
"""English words that other languages do not share."""

FAULTS: dict[str, tuple[str, ...]] = {
    "refusal": ("The text declines to answer instead of teaching anything.", "This is a refusal, so nothing can be learned from it."),
    "meta_talk": ("The author talks about being a language model.", "Chatter about the assistant itself stands where the lesson should be."),
    "pii": ("The text holds contact details of a private person.", "Personal data appear in the text."),
    "repetition": ("One sentence is repeated over and over.", "The text loops on the same words."),
    "wrong_language": ("A paragraph is in another language.", "Part of the text is not in the language of the rest."),
    "prompt_echo": ("The text repeats the instructions it was given.", "It opens with the task description instead of the content."),
    "truncation": ("The text stops in the middle of a sentence.", "The end is missing."),
    "wrong_answer": ("The final answer is wrong: {answer} instead of {truth}.", "A step goes wrong; the result should be {truth}, not {answer}."),
}
_TOP = 0.6
"""Share of clean texts with the highest score; the others get the next one."""
_CLEAN = ("none",)
_MINOR = (
    "A second example would help.",
    "Correct, though a little dry.",
    "The reasons could be spelled out more.",
    "Some steps are quick for beginners.",
)


def is_judging(schema: Mapping[str, Any]) -> bool:
    """Whether a schema asks for a judgement: a number called score, or a bounded one, and otherwise only short remarks."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        return False
    numbers = [name for name, item in properties.items() if item.get("type") in ("integer", "number")]
    scored = [name for name in numbers if name.lower() in _SCORES or name.lower().endswith(("_score", "_rating")) or "maximum" in properties[name]]
    rest = [name for name, item in properties.items() if name not in numbers and item.get("type") != "boolean" and "enum" not in item]
    return bool(scored) and all(name.lower() in _WORDS for name in rest)


def judged_text(prompt: str) -> str:
    """The part of a prompt that is to be judged: between tags, after a heading such as `Text:`, else all of it."""
    tagged = {match.group(1).lower(): match.group(2) for match in _TAGGED.finditer(prompt)}
    if tagged:
        named = next((text for name, text in tagged.items() if name in _JUDGED), None)
        return (max(tagged.values(), key=len) if named is None else named).strip()
    headed = _HEADED.split(prompt)
    return headed[-1].strip() if len(headed) > 1 else prompt.strip()


def fault_in(prompt: str) -> tuple[str, str]:
    """(defect, what to say about it); ('', '') for a clean text."""
    text = judged_text(prompt)
    for name, seen in (
        ("refusal", bool(_REFUSING.search(text[:400]))),
        ("meta_talk", bool(_META.search(text))),
        ("pii", bool(_PERSONAL.search(text))),
        ("repetition", _loops(text)),
        ("wrong_language", _foreign(text)),
        ("prompt_echo", bool(_ECHO.match(text))),
    ):
        if seen:
            return name, FAULTS[name][len(text) % 2]
    return _wrong(prompt, text) or (("truncation", FAULTS["truncation"][len(text) % 2]) if _cut(text) else ("", ""))


def _loops(text: str) -> bool:
    sentences = [sentence for sentence in re.split(r"(?<=[.!?])\s+", text) if len(sentence) > 5]
    return bool(sentences) and Counter(sentences).most_common(1)[0][1] >= 5


def _foreign(text: str) -> bool:
    """A paragraph of real length with hardly any English function word, and no code or formulas."""
    for paragraph in re.split(r"\n\s*\n", text):
        said = re.findall(r"[^\W\d_]+", paragraph.lower())
        if any(ord(char) > 0x370 and char.isalpha() for char in paragraph) and len(paragraph) > 40:
            return True
        english = sum(word in _FUNCTION_WORDS for word in said)
        if len(said) >= 11 and not re.search(r"[=×{}\[\]`]", paragraph) and english <= 0.08 * max(len(said) - 11, 0):
            return True
    return False


def _cut(text: str) -> bool:
    last = text.rstrip().rpartition("\n")
    if last[0] and len(last[2].split()) <= 3:
        return False  # a signature
    return bool(text) and text.rstrip()[-1] not in ".!?…\"”')]}`*:|0123456789" and len(text.split()) > 12


def _wrong(prompt: str, text: str) -> tuple[str, str] | None:
    """A stated answer that is not the computed one of the known problem before it."""
    start = prompt.rfind(text)
    for stated in _FINAL.finditer(prompt, start):
        problem = Problem.found(prompt[: stated.start()])
        if problem is None:
            continue
        truth, answer = problem.family.solve(problem.params).answer, stated.group(1).strip()
        if answer != truth:
            return "wrong_answer", FAULTS["wrong_answer"][len(text) % 2].format(answer=answer, truth=truth)
    return None


def judge(schema: Mapping[str, Any], prompt: str, rng: random.Random) -> dict[str, Any]:
    """Fields of the schema: low scores and the fault's name for a faulty text, mostly the top for a clean one."""
    fault, said = fault_in(prompt)
    level = rng.random()
    if not fault:
        said = rng.choice(_CLEAN) if level < _TOP else rng.choice(_MINOR)
    return {name: _field(item, fault, said, level, rng) for name, item in schema["properties"].items()}


def _field(item: Mapping[str, Any], fault: str, said: str, level: float, rng: random.Random) -> Any:
    if "enum" in item:
        options = sorted(item["enum"], reverse=True) if all(isinstance(option, int | float) for option in item["enum"]) else item["enum"]
        return options[-1] if fault else options[0]  # the best one is named first, as people do
    kind = item.get("type")
    if kind == "boolean":
        return not fault
    if kind in ("integer", "number"):
        return _score(item, bool(fault), level)
    return said


def _score(item: Mapping[str, Any], faulty: bool, level: float) -> int | float:
    low, high = item.get("minimum", 1), item.get("maximum", 5)
    share = (0.0 if level < _TOP else 0.25) if faulty else (1.0 if level < _TOP else 0.75)
    score = low + (high - low) * share
    return int(score + 0.5) if item.get("type") == "integer" else float(round(score, 2))
