"""What the simulated teacher says: a pure function of settings and request."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import orjson

from datagen.rehearsal import defects, material
from datagen.rehearsal.answers.bank import Bank
from datagen.rehearsal.answers.brief import Brief
from datagen.rehearsal.answers.judge import is_judging, judge
from datagen.rehearsal.answers.prose import Writer
from datagen.rehearsal.answers.schema import Filler, Schema, schema_in_words
from datagen.rehearsal.answers.vector import vector
from datagen.rehearsal.answers.worked import Problem, scratchpad, worked
from datagen.rehearsal.chance import stream
from datagen.rehearsal.wires import Answer, Asked
from datagen.seeds.problems import all_families
from datagen.spec.models import Rehearsal

POOL = 5
"""How many other questions (and topics) near-duplicates are drawn from."""
_POOL_TOPICS = ("fractions", "saving money", "reading a timetable", "chance and luck", "measuring a garden")
_FEWEST = 12
"""Words a field needs for a defect of text to show in it."""


class Teacher:
    """Answers requests. Raises SpecError or SetupError when the bank cannot be used."""

    def __init__(self, settings: Rehearsal) -> None:
        self._seed = settings.seed
        self._defects = dict(settings.defects)
        self._bank = Bank(settings.bank) if settings.bank else None
        all_families()  # found now, not during the first request

    def answer(self, asked: Asked) -> Answer:
        """The answer, with at most one planted defect; of a vector none."""
        if asked.dimensions:
            return Answer(vector(asked.user, asked.dimensions))
        schema = asked.schema or schema_in_words(asked.user)
        rng = stream(self._seed, "answer", asked.identity)
        if schema is not None and is_judging(schema):
            fields = judge(schema, asked.user, rng)
            return Answer(orjson.dumps(fields).decode(), _thought(asked, rng), fields=fields)
        defect = defects.defect_of(self._defects, self._seed, asked.identity)
        answer = self._filled(asked, schema, defect, rng) if schema is not None else self._said(asked, defect, rng)
        if defect and defect not in defects.BY_ANSWERING:
            _plant(answer, defect, asked, native=asked.schema is not None, rng=stream(self._seed, "plant", asked.identity))
        if not asked.thinks:
            answer.reasoning = ""
        return answer

    def _said(self, asked: Asked, defect: str, rng: random.Random) -> Answer:
        """Free text: from the bank, a worked solution, or prose."""
        recorded = self._bank.find(asked.user) if self._bank else None
        problem = None if recorded else Problem.found(asked.user)
        if defect == "near_duplicate":
            return self._near_duplicate(asked, bool(recorded or problem), rng)
        if recorded is not None and self._bank is not None:
            text, planted = _from_bank(self._bank, recorded, asked.sample, defect == "wrong_answer", rng)
            return Answer(text, _thought(asked, rng), planted=planted)
        if problem is not None:
            solution, wrong = problem.solution(rng, defect == "wrong_answer")
            text = worked(problem, solution, asked.user, asked.sample, rng)
            thought = scratchpad(problem, solution, rng) if asked.thinks else ""
            return Answer(text, thought, planted="wrong_answer/synthetic" if wrong else "")
        prose = Writer(Brief.of(asked.user), rng, defect == "wrong_answer").write()
        return Answer(prose.text, _thought(asked, rng), planted="wrong_answer/synthetic" if prose.wrong else "")

    def _filled(self, asked: Asked, schema: Schema, defect: str, rng: random.Random) -> Answer:
        """A JSON answer; a near-duplicate takes the place of its longest text."""
        filler = Filler(schema, asked.user, asked.sample, rng, defect == "wrong_answer")
        fields = filler.fill()
        answer = Answer("", _thought(asked, rng), planted="wrong_answer/synthetic" if filler.went_wrong else "", fields=fields)
        if defect == "near_duplicate" and (place := _longest(fields)) is not None:
            other = self._near_duplicate(asked, False, rng)
            place(lambda text: other.text)
            answer.planted = other.planted
        answer.text = orjson.dumps(fields).decode()
        return answer

    def _near_duplicate(self, asked: Asked, solving: bool, rng: random.Random) -> Answer:
        """The answer to a question of the pool, lightly edited; its last line stays."""
        index = rng.randrange(POOL)
        pool = stream(self._seed, "pool", solving, index)
        if solving:
            problem = Problem.drawn(pool.choice(all_families()), pool)
            text = worked(problem, problem.family.solve(problem.params), "", 0, pool)
        else:
            text = Writer(Brief(_POOL_TOPICS[index]), pool).write().text
        body, _, last = text.rpartition("\n\n")
        kind = "solution" if solving else "prose"
        return Answer(f"{defects.edited(body, rng)}\n\n{last}", _thought(asked, rng), planted=f"near_duplicate:{kind}-{index}")


def _plant(answer: Answer, defect: str, asked: Asked, native: bool, rng: random.Random) -> None:
    """Plant a defect in the text, or in the longest text among the fields."""
    if defect == "refusal":
        answer.text, answer.planted = defects.planted(defect, "", asked.user, rng)
        answer.refused, answer.fields = native, None
        return
    if answer.fields is None:
        answer.text, answer.planted = defects.planted(defect, answer.text, asked.user, rng)
        return
    place = _longest(answer.fields)
    if place is None:
        return

    def change(text: str) -> str:
        changed, answer.planted = defects.planted(defect, text, asked.user, rng)
        return changed

    place(change)
    answer.text = orjson.dumps(answer.fields).decode()


def _longest(fields: Any) -> Callable[[Callable[[str], str]], None] | None:
    """A way to change the longest text within a value; None when every text is short."""
    best: tuple[int, Any, Any] | None = None
    waiting = [fields]
    while waiting:
        value = waiting.pop()
        for key, item in list(value.items()) if isinstance(value, dict) else list(enumerate(value)):
            if isinstance(item, dict | list):
                waiting.append(item)
            elif isinstance(item, str) and len(item.split()) >= _FEWEST and (best is None or len(item) > best[0]):
                best = (len(item), value, key)
    if best is None:
        return None
    _, holder, key = best

    def place(change: Callable[[str], str]) -> None:
        holder[key] = change(holder[key])

    return place


def _from_bank(bank: Bank, question: str, sample: int, wrong: bool, rng: random.Random) -> tuple[str, str]:
    """(a recorded answer, what is planted in it): a wrong one that a real model gave, else the recorded one with its last number changed."""
    text = bank.answer(question, sample)
    if not wrong:
        return text, ""
    if real := material.wrong_solutions().get(question):
        return rng.choice(real), "wrong_answer/real"
    changed = defects.miscounted(text, rng)
    return (changed, "wrong_answer/synthetic") if changed != text else (text, "")


def _thought(asked: Asked, rng: random.Random) -> str:
    """A few lines of thinking about a request that is no known problem."""
    if not asked.thinks:
        return ""
    words = " ".join(asked.user.split()[:14])
    return "\n".join((f"{rng.choice(('The request', 'What is wanted', 'The task'))}: {words} ...", rng.choice(_PLANS), rng.choice(_CHECKS)))


_PLANS = (
    "First say what is known, then one example that can be checked, then something to practise.",
    "A concrete case should come early; general remarks can follow it.",
    "Keep to what can be shown with numbers, and explain the reason for each step.",
    "Start where the reader stands and use an example small enough to finish.",
    "Collect the facts, put them in order, and leave out what does not help.",
)
_CHECKS = (
    "Before finishing, compare every number with the one it was computed from.",
    "The last line has to answer what was asked, no more.",
    "Length: as much as the example needs.",
    "Check the form that was asked for, then write.",
)
