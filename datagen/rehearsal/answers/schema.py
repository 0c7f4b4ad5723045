"""Fills a JSON schema by the names and types of its fields, so that question, answer, text and summary belong together."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from datagen.rehearsal.answers import voices
from datagen.rehearsal.answers.brief import Brief, Gist
from datagen.rehearsal.answers.everyday import Errand
from datagen.rehearsal.answers.prose import Prose, Writer, fitting
from datagen.rehearsal.answers.worked import Problem, worked
from datagen.seeds.problems.family import Solution
from datagen.seeds.problems.wording import choose, fill

Schema = Mapping[str, Any]
_DEPTH = 8
"""How deep a schema may nest before it is filled with the least it allows."""
_QUESTION = re.compile(r"question|problem|exercise|task|instruction|query|prompt|challenge")
_ANSWER = re.compile(r"(?:^|_)(?:answer|result|solution_value|final)$")
_SOLUTION = re.compile(r"solution|rationale|explanation|reasoning|derivation|proof|response|output|completion")
_SUMMARY = re.compile(r"summary|abstract|gist|takeaway|description")
_TITLE = re.compile(r"title|heading|headline|topic|subject|name")
_TERMS = re.compile(r"term|keyword|tag|concept|vocabulary")
_HABIT = re.compile(r"hint|tip|advice|note|objective|goal|point")


def schema_in_words(prompt: str) -> Schema | None:
    """The JSON schema that a prompt quotes for servers without native ones, or None."""
    at = prompt.find('"properties"')
    while at >= 0:
        start = prompt.rfind("{", 0, at)
        while start >= 0:
            try:
                value, _ = json.JSONDecoder().raw_decode(prompt, start)
            except ValueError:
                value = None
            if isinstance(value, dict) and isinstance(value.get("properties"), dict) and start + 1 <= at:
                return value
            start = prompt.rfind("{", 0, start)
        at = prompt.find('"properties"', at + 1)
    return None


class Filler:
    """Fills one schema for one prompt."""

    def __init__(self, root: Schema, prompt: str, parity: int, rng: random.Random, wrong: bool) -> None:
        self._root, self._prompt, self._parity, self._rng, self._wrong = root, prompt, parity, rng, wrong
        self.went_wrong = False
        self._brief = Brief.of(prompt)
        self._given = Problem.found(prompt)
        self._asks = any(_QUESTION.search(name.lower()) for name in root.get("properties", {}))
        self._planned = "one sentence" in prompt
        """Whether headings are wanted together with a sentence on what the section settles."""
        self._headings = self._fresh_headings()
        errand = {"instruction", "output"} <= set(root.get("properties", {}))
        self._errand = Errand(prompt, self._brief.topic, self._brief.style, rng) if errand else None

    def fill(self) -> Any:
        """A value that fits the whole schema."""
        return self._value(self._root, "", 0)

    @cached_property
    def _prose(self) -> Prose:
        prose = Writer(self._brief, self._rng, self._wrong).write()
        self.went_wrong = self.went_wrong or prose.wrong
        return prose

    @cached_property
    def _problem(self) -> Problem:
        """The problem that question and answer are about: the given one unless a new question is wanted."""
        if self._given is not None:
            return Problem.drawn(self._given.family, self._rng) if self._asks else self._given
        return Problem.drawn(fitting(self._brief.topic, self._rng)[0], self._rng)

    @cached_property
    def _solution(self) -> Solution:
        solution, wrong = self._problem.solution(self._rng, self._wrong)
        self.went_wrong = self.went_wrong or wrong
        return solution

    def _value(self, schema: Schema, name: str, depth: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._rng.choice(schema["enum"])
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        if kind == "object" or "properties" in schema:
            return {key: self._value(item, key, depth + 1) for key, item in schema.get("properties", {}).items()} if depth < _DEPTH else {}
        if kind == "array":
            return self._list(schema, name, depth)
        return self._plain(kind, schema, name.lower())

    def _resolved(self, schema: Schema) -> Schema:
        """References followed, the first real choice of anyOf taken."""
        for _ in range(_DEPTH):
            if "$ref" in schema:
                target: Any = self._root
                for part in schema["$ref"].lstrip("#/").split("/"):
                    target = target[part]
                schema = target
            elif choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
                schema = next((choice for choice in choices if choice.get("type") != "null"), choices[0])
            else:
                break
        return schema

    def _plain(self, kind: Any, schema: Schema, name: str) -> Any:
        if kind == "boolean":
            return self._rng.random() < 0.5
        if kind in ("integer", "number"):
            low, high = schema.get("minimum", 1), schema.get("maximum", 5)
            return self._rng.randint(int(low), int(high)) if kind == "integer" else round(self._rng.uniform(low, high), 2)
        if kind == "null":
            return None
        text = self._text(name)
        return text[: schema["maxLength"]].rstrip() if "maxLength" in schema else text

    def _text(self, name: str) -> str:
        if self._errand is not None and name in ("instruction", "input", "output"):
            return self._errand.text(name)
        if _SUMMARY.search(name):
            return self._prose.summary
        if _ANSWER.search(name):
            return self._solution.answer
        if _QUESTION.search(name):
            return self._problem.question
        if _SOLUTION.search(name):
            return worked(self._problem, self._solution, self._prompt, self._parity, self._rng)
        if _TITLE.search(name):
            return next(self._headings)
        if _HABIT.search(name):
            return self._advice()
        return self._prose.text

    def _list(self, schema: Schema, name: str, depth: int) -> list[Any]:
        least = schema.get("minItems", 0)
        number = self._rng.randint(max(least, min(3, schema.get("maxItems", 3))), max(least, min(6, schema.get("maxItems", 6))))
        items = self._resolved(schema.get("items", {"type": "string"}))
        if items.get("type", "string") != "string" or "enum" in items:
            return [self._item(items, name, depth + 1) for _ in range(number)]
        source = self._items(name.lower())
        return [next(source) for _ in range(number)]

    def _item(self, items: Schema, name: str, depth: int) -> Any:
        """One value of a list; where it asks for a question, it gets a problem of its own."""
        if any(_QUESTION.search(key.lower()) for key in items.get("properties", {})):
            self._asks = True
            self.__dict__.pop("_problem", None)
            self.__dict__.pop("_solution", None)
        return self._value(items, name, depth)

    def _items(self, name: str) -> Iterator[str]:
        """Strings for a list of this name."""
        if _QUESTION.search(name):
            family = fitting(self._brief.topic, self._rng)[0]
            return iter(lambda: Problem.drawn(family, self._rng).question, "")
        if _TERMS.search(name):
            terms = [*Gist.of(self._prompt).terms, *self._brief.topic_within.split()]
            return iter([*dict.fromkeys(terms), *(f"{self._brief.topic_within} {number}" for number in range(2, 99))])
        if "step" in name:
            told = worked(self._problem, self._solution, "brief", 1, self._rng)
            return iter([*re.split(r"(?<=[.!?])\s+", told), *self._headings])
        if _HABIT.search(name):
            return iter(self._advice, "")
        return self._headings

    def _advice(self) -> str:
        do, reasons = self._rng.choice(voices.HABITS[self._brief.tone])
        text = f"{choose(do, self._rng)}, because {self._rng.choice(reasons)}"
        return f"{text[:1].upper()}{text[1:]}."

    def _fresh_headings(self) -> Iterator[str]:
        """Section headings, no two alike as long as there are any."""
        for round_ in range(1, 99):
            for template in self._rng.sample(voices.HEADINGS, len(voices.HEADINGS)):
                topic = self._brief.topic_within
                values = {"topic": topic, "Topic": topic[:1].upper() + topic[1:]}
                heading = fill(template, self._rng, values) + ("" if round_ == 1 else f" ({round_})")
                yield f"{heading}. {self._purpose()}" if self._planned else heading

    def _purpose(self) -> str:
        """What a section is for, as a plan says it."""
        family = fitting(self._brief.topic, self._rng)[0].name.replace("_", " ")
        return fill(self._rng.choice(voices.PURPOSES), self._rng, {"family": family})
