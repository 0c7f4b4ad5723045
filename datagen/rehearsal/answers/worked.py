"""Worked solutions of known problems: true, in the length and the form that the prompt asks for, or wrong in one step."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from datagen.seeds.problems import known_question
from datagen.seeds.problems.family import THE_ANSWER, Family, Params, Solution, Style

_SHORT = re.compile(r"\b(short|shortly|brief|briefly|concise|concisely|terse)\b", re.IGNORECASE)
_LONG = re.compile(r"\b(long|detailed|in detail|step by step|step-by-step|thorough|thoroughly)\b", re.IGNORECASE)
_THINKING = (
    "Let me [see|look at this]. The question: {question}",
    "So, what is given? {question}",
    "[Reading it once more|Reading closely]: {question}",
    "{question} [Fine|Right]. One thing after the other.",
)
_BETWEEN = ("Next: ", "Then ", "Okay. ", "", "", "And now: ", "Good. ", "So far so good. ")
_DONE = (
    "That makes {answer}.",
    "So {answer}.",
    "Which leaves {answer} as the result.",
    "The result should be {answer}. Does it fit? The steps hold together.",
    "{answer}, then.",
)


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a known family, as found in a prompt or drawn."""

    family: Family
    params: Params
    question: str

    @classmethod
    def found(cls, text: str) -> Problem | None:
        known = known_question(text)
        return cls(*known) if known else None

    @classmethod
    def drawn(cls, family: Family, rng: random.Random) -> Problem:
        params = family.draw(rng)
        return cls(family, params, family.render(params, rng))

    def solution(self, rng: random.Random, wrong: bool) -> tuple[Solution, bool]:
        """(the solution, whether it is wrong): wrong where asked and possible."""
        slipped = self.family.slip(self.params, rng) if wrong else None
        return (slipped, True) if slipped else (self.family.solve(self.params), False)


def style_of(prompt: str, parity: int) -> Style:
    """Short or long as the prompt without the question says, else by parity."""
    if _SHORT.search(prompt):
        return "short"
    if _LONG.search(prompt):
        return "long"
    return "long" if parity % 2 == 0 else "short"


def last_line(prompt: str) -> str:
    """The form of the final answer that the prompt wants."""
    if "\\boxed" in prompt:
        return "The answer is $\\boxed{{{answer}}}$."
    return "#### {answer}" if "####" in prompt else THE_ANSWER


def worked(problem: Problem, solution: Solution, prompt: str, parity: int, rng: random.Random) -> str:
    """The worked solution as text."""
    instructions = prompt.replace(problem.question, " ")
    return problem.family.tell(problem.params, solution, rng, style_of(instructions, parity), last_line(instructions))


def scratchpad(problem: Problem, solution: Solution, rng: random.Random) -> str:
    """How one might think before writing the solution down."""
    from datagen.seeds.problems.wording import choose

    told = problem.family.tell(problem.params, solution, rng, "short", "").strip()
    sentences = re.split(r"(?<=[.?!]) (?=[A-Z0-9$])", told)
    lines = [choose(rng.choice(_THINKING), rng).format(question=problem.question)]
    lines += [rng.choice(_BETWEEN) + sentence for sentence in sentences]
    return "\n".join([*lines, rng.choice(_DONE).format(answer=solution.answer)])
