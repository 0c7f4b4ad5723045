"""Textbook prose on any topic: general sentences that hold, built around worked examples that are computed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

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
    words = re.findall(r"[a-z]{4,}", topic.lower())
    fits = [family for family in all_families() if any(_akin(word, mark) for word in words for about in family.about for mark in about.split())]
    return rng.choice(fits or all_families()), bool(fits)


def _akin(word: str, mark: str) -> bool:
    """ratios ~ ratio, probabilities ~ probability."""
    return word.startswith(mark) or (len(word) > 5 and word[:6] == mark[:6])


class Writer:
    """Writes one text. Every choice comes from `rng`."""

    def __init__(self, brief: Brief, rng: random.Random, wrong: bool = False) -> None:
        self._brief = brief
        self._rng = rng
        self._deck = Deck(rng)
        self._gist = Gist.of(brief.passage) if brief.passage else Gist()
        name, other = rng.sample(NAMES, 2)
        topic = brief.topic_within
        self._words = {"name": name, "other": other, "town": rng.choice(TOWNS), "topic": topic, "Topic": topic[:1].upper() + topic[1:]}
        family, self._fits = fitting(f"{brief.topic} {brief.title}", rng)
        self._problem = Problem.drawn(family, rng)
        self._solution, self._wrong = self._problem.solution(rng, wrong)
        self._words |= {"steps": str(len(self._solution.steps)), "answer": self._solution.answer}

    def write(self) -> Prose:
        """The text in the form that the brief's style asks for."""
        style = self._brief.style.lower()
        forms: tuple[tuple[str, Callable[[], list[str]]], ...] = (
            ("dialog", self._dialogue), ("conversation", self._dialogue), ("interview", self._dialogue), ("worked", self._worked_first), ("example",
             self._worked_first),
            ("question", self._questions), ("faq", self._questions), ("q&a", self._questions), ("story", self._story), ("narrative", self._story),
        )  # fmt: skip
        form = next((form for mark, form in forms if mark in style), self._lesson)
        return Prose("\n\n".join(form()), self._summary(), self._wrong)

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
        bridge = "" if self._fits else f" {self._say(voices.BRIDGES)}"
        return f"{self._say(voices.LEADS)}{bridge}"

    def _solved(self, last: str = "The answer is {answer}.") -> str:
        return self._problem.family.tell(self._problem.params, self._solution, self._rng, "long", last)

    def _reflection(self) -> str:
        return " ".join([self._say(voices.REFLECT), self._habit(), self._habit()])

    def _habit(self) -> str:
        return self._say(voices.HABITS[self._brief.tone])

    def _exercise(self) -> str:
        again = Problem.drawn(self._problem.family, self._rng)
        return self._say(voices.EXERCISES, question=again.question, answer=again.family.solve(again.params).answer)

    def _second(self) -> str:
        """A second case, told briefly."""
        again = Problem.drawn(self._problem.family, self._rng)
        told = again.family.explain(again.params, self._rng, "short")
        return f"{choose(self._rng.choice(_AGAIN), self._rng)}\n\n{again.question}\n\n{told}"

    def _lesson(self) -> list[str]:
        headed = self._rng.random() < 0.6
        title = [f"# {self._brief.title or self._words['Topic']}"] if headed else []
        case = [f"## {self._say(_CASES)}"] if headed else []
        return [*title, self._hook(), *self._about_source(), *case, self._lead(), f"> {self._problem.question}".replace("\n", "\n> "), self._solved(),
                self._reflection(), self._second(), f"{self._habit()} {self._exercise()}"]  # fmt: skip

    def _worked_first(self) -> list[str]:
        label = self._rng.choice(("**Problem.** ", "", "**Example.** ", "Problem: ", "Example. "))
        return [f"{label}{self._problem.question}", f"{self._say(voices.HOOKS[self._brief.tone])}", *self._about_source(), self._solved(),
                self._reflection(), self._second(), self._exercise()]  # fmt: skip

    def _questions(self) -> list[str]:
        said = (self._hook(), self._lead(), self._reflection())
        asked = [f"**{self._say(shapes)}**" for shapes in (_WHY_ASKED, _CASE_ASKED, _LESSON_ASKED)]
        return [asked[0], said[0], *self._about_source(), asked[1], said[1], self._problem.question, self._solved(), asked[2], said[2],
            self._exercise()]

    def _story(self) -> list[str]:
        return [self._say(voices.HOOKS["child" if self._brief.tone == "child" else "adult"]), *self._about_source(), self._say(_STORY),
            self._problem.question,
                f"{self._say(_TRIED)} {self._say(voices.WHY)}", self._solved(), f"{self._say(_TOLD)} {self._reflection()}",
                    self._exercise()]  # fmt: skip

    def _dialogue(self) -> list[str]:
        """The steps of the solution, said in turn by two people."""
        one, two = self._words["name"], self._words["other"]
        turns = [self._say(_ASKS), self._say(_ANSWERS), *(f"{self._say(_SOURCE)} {part}" for part in self._about_source())]
        turns += [f"{self._say(_GIVES)} {self._problem.question}"] if len(turns) % 2 else [self._say(_WANTS),
            f"{self._say(_GIVES)} {self._problem.question}"]
        sentences = self._spoken(self._solution)
        turns += [f"{self._say(_NODS)} {sentence}" if self._rng.random() < 0.6 else sentence for sentence in sentences]
        turns += [f"{self._say(_SO)} {self._solution.answer}. {self._say(voices.REFLECT)}", f"{self._say(_THANKS)} {self._habit()}", self._exercise()]
        return [f"**{(one, two)[index % 2]}:** {turn}" for index, turn in enumerate(turns)]

    def _spoken(self, solution: Solution) -> list[str]:
        told = self._problem.family.tell(self._problem.params, solution, self._rng, "long", "").strip()
        parts = [part for part in re.split(r"\n+(?:\d+\. )?", told) if part]
        return [piece for part in parts for piece in re.split(r"(?<=[.!?]) (?=[A-Z][a-z]+ [a-z]+ [a-z]+ [a-z]+)", part)]

    def _summary(self) -> str:
        return self._say(_SUMMARIES, family=self._problem.family.name.replace("_", " "))


_AGAIN = ("[The same steps|The steps above] work for other numbers:",
    "[A second case|Another case] of the same kind, [more briefly|in fewer words]:", "[Once more|Again], with other numbers:",
    "[Let the numbers change|Change the numbers], and [nothing else changes|the path stays]:")
_CASES = ("A [case|problem] to follow", "[One|A] worked example", "[Trying it out|Doing it once]", "From question to answer",
    "[Step by step|In small steps]", "An example from {town}")
_WHY_ASKED = ("[Why|Where does one] start with {topic}?", "How does one [begin with|get into] {topic}?",
    "What is a good first step towards {topic}?", "Is it hard to [learn|get into] {topic}?")
_CASE_ASKED = ("Can you show [an example|one case]?", "What does that look like with [numbers|real numbers]?",
    "How is such a question [worked out|solved]?", "[Could we see|May I see] it done once?")
_LESSON_ASKED = ("What should one [take away|remember]?", "What [carries over|can be used again]?", "How do I know that it is right?",
    "[Where do people slip|What goes wrong most often]?")
_STORY = ("One day [a letter|a note] reached {name}. It held a single question.",
    "{other} [stopped at|came through] the door of {name}'s workshop in {town} with a question.",
    "[That evening|At supper], {other} put a problem on the table.", "The market in {town} was closing when {other} asked {name} for help.")
_TRIED = ("{name} [reached for a pencil|took a sheet of paper].", "[Nobody said a word|It was quiet for a while]; then {name} began to write.",
    "{name} read it twice.", "{other} guessed. {name} preferred to [work it out|compute].")
_TOLD = ("{other} [nodded|looked at the page for a while].", "\"So that is all,\" said {other}.", "{name} put the pencil down.",
    "They [compared notes|went through it once more] on the way home.")
_ASKS = ("I keep hearing about {topic}. Where do I [begin|start]?",
    "Could we talk about {topic}? I [read about it|looked it up], but nothing stayed.", "What would you show somebody who is new to {topic}?",
    "You know {topic} well. How did you [get into it|learn it]?",
    "I have to explain {topic} in {town} [tomorrow|next week]. What should I start with?")
_ANSWERS = ("With one example, done slowly. [The rules make sense afterwards|Rules can wait].",
    "[Not with definitions|Leave the definitions for later]. Take a small problem and finish it.",
    "By doing. [Reading alone|Just reading] never helped me.", "I would start with numbers that fit on [one page|a napkin].")
_SOURCE = ("[I brought the passage along|I have the text here].", "Let me [sum up|go through] what I read.", "From my notes:")
_WANTS = ("Then give me [one|a problem].", "[Go ahead|I am ready].", "Good. Which problem?", "All right, [let us try|what is the problem]?")
_GIVES = ("Here it is.", "Try this.", "[Take|Listen to] this one.", "[What do you make of this|How about this]?")
_NODS = ("[Right|Yes].", "I see.", "Good.", "[Go on|And then]?", "[Clear so far|So far, so good].", "Hm.", "[Let me see|One moment].", "Agreed.")
_SO = ("So the answer is", "[Then|And that means] we are done: the answer is", "[In the end|Finally], the answer is")
_THANKS = ("Thank you, [that helped|that was clear].", "[I could do that again|I think I can do the next one].", "That was easier than I feared." ,
    "Now I see why you [write everything down|go slowly].")
_SUMMARIES = (
    "Introduces {topic} through a worked problem ({family}) whose answer is {answer}, [and ends with practice|with habits for checking].",
    "[Shows|Explains] step by step how a problem of the kind {family} is solved in {steps} steps, [as a way into|on the way to] {topic}.",
    "A worked {family} problem with the result {answer} [leads into|opens] {topic}; [checking and estimating|care with each step] are stressed.",
    "[Takes|Leads] the reader from a plain question to {answer} in {steps} steps and draws habits for {topic} from it.",
)  # fmt: skip
