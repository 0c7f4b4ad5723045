"""Recorded real answers, found again by their question: the sample number picks among several."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datagen.errors import SetupError, SpecError, nearest
from datagen.spec.models import Bank as BankWords
from datagen.storage import read_table

_FIRST_WORDS = 4
"""Words of a question by which it is looked up within a longer text."""
_MARKED = re.compile(r"(?:question|problem|task|exercise|instruction)\s*:\s*", re.IGNORECASE)


class Bank:
    """Question -> its recorded answers, in file order. Raises SetupError when the file cannot be read, SpecError when a column is missing."""

    def __init__(self, words: BankWords) -> None:
        self._answers: dict[str, list[str]] = {}
        self._starts: dict[str, list[str]] = {}
        for question, answer in _pairs(words):
            self._answers.setdefault(_plain(question), []).append(answer)
        for question in self._answers:
            self._starts.setdefault(_start(question.split(" ")), []).append(question)

    def find(self, text: str) -> str | None:
        """The question of the bank that `text` asks, whitespace aside: a paragraph, what follows `Question:`, or anywhere, the last one."""
        for candidate in (text, *_paragraphs(text)):
            if (plain := _plain(candidate)) in self._answers:
                return plain
        return self._within(_plain(text))

    def answer(self, question: str, sample: int) -> str:
        """Sample i is answer i mod n."""
        answers = self._answers[question]
        return answers[sample % len(answers)]

    def _within(self, text: str) -> str | None:
        words = text.split(" ")
        found: str | None = None
        at = 0
        for index, word in enumerate(words):
            for question in self._starts.get(_start(words[index:]), ()):
                if text.startswith(question, at) and not (found and question in found):
                    found = question
            at += len(word) + 1
        return found


def _plain(text: str) -> str:
    return " ".join(text.split())


def _start(words: list[str]) -> str:
    return " ".join(words[:_FIRST_WORDS])


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in reversed(re.split(r"\n\s*\n", text)):
        yield paragraph
        yield _MARKED.split(paragraph)[-1]


def _pairs(words: BankWords) -> Iterator[tuple[str, str]]:
    path = Path(words.path)
    try:
        rows = _jsonl(path) if path.suffix in (".jsonl", ".ndjson") else read_table(path)
    except (OSError, ValueError) as error:
        raise SetupError(f"rehearsal.bank.path: cannot read {path} as Parquet or JSONL: {error}") from error
    for number, row in enumerate(rows, 1):
        for column in (words.question, words.answer):
            if column not in row:
                raise SpecError(f"rehearsal.bank: row {number} of {path} has no column {column!r}{nearest(column, row)}")
        yield str(row[words.question]), str(row[words.answer])


def _jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
