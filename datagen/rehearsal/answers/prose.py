"""Textbook prose on any topic: general sentences that hold, built around worked examples that are computed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from datagen.rehearsal.answers import voices
from datagen.rehearsal.answers.brief import Brief, Gist
from datagen.rehearsal.answers.worked import Problem
from datagen.seeds.problems import all_families
from datagen.seeds.problems.family import Family, Solution
from datagen.seeds.problems.wording import NAMES, TOWNS, Deck, choose, fill, listed


@dataclass(frozen=True)
class Prose:
    text: str
    summary: str
    wrong: bool
    """Whether the worked example has a wrong step."""


def fitting(topic: str, rng: random.Random) -> tuple[Family, bool]:
    """A family whose own words occur in the topic, and whether one did; else any."""
    fits = _fits(topic.lower())
    return rng.choice(fits or all_families()), bool(fits)


@lru_cache(maxsize=4096)
def _fits(topic: str) -> tuple[Family, ...]:
    """Kept, since the topics of a spec come again and again, and the search is half the time of a text."""
    words = re.findall(r"[a-z]{4,}", topic)
    akin = (family for family in all_families() if any(_akin(word, mark) for word in words for about in family.about for mark in about.split()))
    return tuple(akin)


def _within(answer: str) -> str:
    """An answer as it stands inside a sentence: words in quotation marks."""
    return answer if answer[:1].isdigit() or answer[:1] == "-" else f'"{answer}"'


def _akin(word: str, mark: str) -> bool:
    """ratios ~ ratio, probabilities ~ probability."""
    return word.startswith(mark) or (len(word) > 5 and word[:6] == mark[:6])


class Writer:
    """Writes one text. Every choice comes from `rng`."""

    def __init__(self, brief: Brief, rng: random.Random, wrong: bool = False) -> None:
        self._brief = brief
        self._rng = rng
        self._deck = Deck(rng)
        tone = voices.HABITS[brief.tone]
        self._habits = rng.sample(tone, len(tone))
        self._gist = Gist.of(brief.passage) if brief.passage else Gist()
        name, other = rng.sample(NAMES, 2)
        topic = brief.topic_within
        self._words = {"name": name, "other": other, "town": rng.choice(TOWNS), "topic": topic, "Topic": topic[:1].upper() + topic[1:]}
        family, self._fits = fitting(f"{brief.topic} {brief.title}", rng)
        self._problem = Problem.drawn(family, rng)
        self._solution, self._wrong = self._problem.solution(rng, wrong)
        self._endings = {self._problem.question[-24:]}
        self._words |= {"steps": str(len(self._solution.steps)), "answer": _within(self._solution.answer)}

    def write(self) -> Prose:
        """The text in the form that the brief's style asks for."""
        style = self._brief.style.lower()
        forms: tuple[tuple[str, Callable[[], list[str]]], ...] = (
            ("dialog", self._dialogue), ("conversation", self._dialogue), ("interview", self._dialogue), ("worked", self._worked_first), ("example",
             self._worked_first),
            ("question", self._questions), ("faq", self._questions), ("q&a", self._questions), ("story", self._story), ("narrative", self._story),
        )  # fmt: skip
        form = next((form for mark, form in forms if mark in style), self._lesson)
        return Prose("\n\n".join([*self._heading(), *form()]), self._summary(), self._wrong)

    def _heading(self) -> list[str]:
        """A title: that of the section where the prompt names one, else by turns."""
        if self._brief.title:
            return [f"## {self._brief.title}"]
        return [f"# {self._words['Topic']}"] if self._rng.random() < 0.4 else []

    def _say(self, templates: tuple[str, ...], **more: str) -> str:
        return fill(self._deck.deal(templates), self._rng, {**self._words, **more})

    def _hook(self) -> str:
        return f"{self._say(voices.HOOKS[self._brief.tone])} {self._say(voices.WHY)}"

    def _about_source(self) -> list[str]:
        """A paragraph on the source's own terms and statements."""
        gist = self._gist
        sentences = [self._say(voices.TERMS, terms=listed(gist.terms))] if len(gist.terms) > 1 else []
        for term, verb, meaning in gist.definitions:
            sentences.append(self._say(voices.DEFINITIONS, term=term, bare=re.sub(r"^(?:a|an|the) ", "", term), verb=verb, meaning=meaning))
        for fact in self._rng.sample(gist.facts, min(3, len(gist.facts))):
            sentences.append(self._say(voices.FACTS, fact=fact[:1].lower() + fact[1:]))
        return [" ".join(sentences)] if sentences else []

    def _lead(self) -> str:
        bridge = "" if self._fits else f"{self._say(voices.BRIDGES)} "
        return f"{bridge}{self._say(voices.LEADS)}"

    def _solved(self, last: str = "The answer is {answer}.") -> str:
        return self._problem.family.tell(self._problem.params, self._solution, self._rng, "long", last)

    def _reflection(self) -> str:
        return " ".join([self._say(voices.REFLECT), self._habit(), self._habit()])

    def _habit(self) -> str:
        do, reasons = self._habits.pop()
        do = choose(do, self._rng)
        return self._say(voices.ADVICE, do=do, Do=do[:1].upper() + do[1:], reason=self._rng.choice(reasons))

    def _exercise(self) -> str:
        again = self._other_problem()
        question = f"\n\n{again.question}\n\n" if "\n" in again.question else again.question
        text = self._say(voices.EXERCISES, question=question, answer2=_within(again.family.solve(again.params).answer))
        return re.sub(r" *\n\n *", "\n\n", text)

    def _second(self) -> str:
        """A second case, told briefly."""
        again = self._other_problem()
        told = again.family.explain(again.params, self._rng, "short")
        return f"{self._say(voices.AGAIN)}\n\n{again.question}\n\n{told}"

    def _other_problem(self) -> Problem:
        """Another problem of the family, in another phrasing if there is one left."""
        again = Problem.drawn(self._problem.family, self._rng)
        for _ in range(3):
            if again.question[-24:] not in self._endings:
                break
            again = Problem.drawn(self._problem.family, self._rng)
        self._endings.add(again.question[-24:])
        return again

    def _lesson(self) -> list[str]:
        return [self._hook(), *self._about_source(), self._lead(), f"> {self._problem.question}".replace("\n", "\n> "), self._solved(),
                self._reflection(), self._second(), f"{self._habit()} {self._exercise()}"]  # fmt: skip

    def _worked_first(self) -> list[str]:
        label = self._rng.choice(("**Problem.** ", "", "**Example.** ", "Problem: ", "Example: "))
        return [f"{label}{self._problem.question}", self._say(voices.HOOKS[self._brief.tone]), *self._about_source(), self._solved(),
                self._reflection(), self._second(), self._exercise()]  # fmt: skip

    def _questions(self) -> list[str]:
        first, second, third = (f"**{self._say(shapes)}**" for shapes in (voices.WHY_ASKED, voices.CASE_ASKED, voices.LESSON_ASKED))
        return [
            first,
            self._hook(),
            *self._about_source(),
            second,
            self._lead(),
            self._problem.question,
            self._solved(),
            third,
            self._reflection(),
            self._exercise(),
        ]

    def _story(self) -> list[str]:
        tone = "child" if self._brief.tone == "child" else "adult"
        return [self._say(voices.HOOKS[tone]), *self._about_source(), self._say(voices.STORY), self._problem.question,
                f"{self._say(voices.TRIED)} {self._say(voices.WHY)}", self._solved(), f"{self._say(voices.TOLD)} {self._reflection()}",
                    self._exercise()]  # fmt: skip

    def _dialogue(self) -> list[str]:
        """The steps of the solution, said in turn by two people."""
        pair = self._words["name"], self._words["other"]
        turns = [self._say(voices.ASKS), self._say(voices.ANSWERS), *(f"{self._say(voices.SOURCE)} {part}" for part in self._about_source())]
        turns += [] if len(turns) % 2 else [self._say(voices.WANTS)]
        turns.append(f"{self._say(voices.GIVES)} {self._problem.question}")
        for sentence in self._spoken(self._solution):
            nod = f"{self._say(voices.NODS, you=pair[(len(turns) + 1) % 2])} " if self._rng.random() < 0.35 else ""
            turns.append(nod + sentence)
        turns.append(f"{self._say(voices.SO)} {self._solution.answer}.")
        turns.append(f"{self._say(voices.THANKS, you=pair[(len(turns) + 1) % 2])}")
        turns = [f"**{pair[index % 2]}:** {turn}" for index, turn in enumerate(turns)]
        return [*turns, f"{self._say(voices.REFLECT)} {self._habit()}", self._exercise()]

    def _spoken(self, solution: Solution) -> list[str]:
        """One turn per step."""
        told = self._problem.family.tell(self._problem.params, solution, self._rng, "long", "", layout="spaced").strip()
        return [part for part in told.split("\n\n") if part]

    def _summary(self) -> str:
        return self._say(voices.SUMMARIES, family=self._problem.family.name.replace("_", " "))
