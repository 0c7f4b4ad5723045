"""What a family of true problems is: draw, ask, find again in a text, solve, explain, and get wrong in one step.

The numbers come from `work`, which computes the solution step by step in a Notebook. What is said about a step is looked up under
the step's kind, so a worked solution cannot disagree with the computation; and a Notebook that slips once gives a wrong solution
that is consistent from the slip on.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

from datagen.seeds.problems.wording import Deck, anchor, as_pattern, choose, fill, joined, money

Params = dict[str, Any]
Style = Literal["short", "long"]
Layout = Literal["brief", "running", "spaced", "numbered"]
LAYOUTS: tuple[Layout, ...] = ("running", "spaced", "numbered")
"""How a long solution may be set: running text, a paragraph per step, a numbered list."""
THE_ANSWER = "The answer is {answer}."
"""The last line of every worked solution, unless the asker wants another form."""


@dataclass(frozen=True)
class Slot:
    """A parameter in a question: how it is written, found and read."""

    pattern: str
    read: Callable[[str], Any]
    show: Callable[[Any], str] = str


INT = Slot(r"-?\d+", int)
CENTS = Slot(r"\d+(?:\.\d\d)?", lambda text: round(float(text) * 100), money)
FRACTION = Slot(r"\d+/\d+", Fraction)
INTS = Slot(r"-?\d+(?:, -?\d+)*", lambda text: tuple(int(item) for item in text.split(", ")), lambda items: ", ".join(map(str, items)))
CLOCK = Slot(r"\d\d:\d\d", lambda text: int(text[:2]) * 60 + int(text[3:]), lambda minutes: f"{minutes // 60:02d}:{minutes % 60:02d}")


def word(options: Sequence[str]) -> Slot:
    """A slot that holds one of so many words."""
    longest_first = sorted(options, key=len, reverse=True)
    return Slot("|".join(re.escape(option) for option in longest_first), str)


@dataclass(frozen=True)
class Step:
    """One computed step: its kind, its value, and the facts that sentences about it may use."""

    kind: str
    value: Any
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Solution:
    answer: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Tell:
    """Sentence shapes for a kind of step: `say` does the step, `why` gives the reason and is told in long solutions."""

    say: tuple[str, ...]
    why: tuple[str, ...] = ()


class Notebook:
    """Where `work` writes its steps down. With `slip_at`, the value of that step comes out slightly wrong, and work goes on with it."""

    def __init__(self, slip_at: int | None = None, rng: random.Random | None = None) -> None:
        self.steps: list[Step] = []
        self.slippable: list[int] = []
        self._slip_at, self._rng = slip_at, rng

    def step(self, kind: str, value: Any, show: Callable[[Any], str] = str, **facts: Any) -> Any:
        """Write a numeric step; returns the value to go on with."""
        if len(self.steps) == self._slip_at and self._rng is not None:
            value = _slipped(value, self._rng)
        self.slippable.append(len(self.steps))
        self.note(kind, value=show(value), **facts)
        return value

    def decide(self, kind: str, value: str, options: Sequence[str], **facts: Any) -> str:
        """Write a step whose value is one of so many words; a slip takes another one."""
        if len(self.steps) == self._slip_at and self._rng is not None:
            value = self._rng.choice([option for option in options if option != value])
        self.slippable.append(len(self.steps))
        self.note(kind, value=value, **facts)
        return value

    def note(self, kind: str, **facts: Any) -> None:
        """Write down something that is no number: a rule, a case, a check."""
        self.steps.append(Step(kind, facts.get("value"), {name: str(fact) for name, fact in facts.items()}))


def _slipped(value: Any, rng: random.Random) -> Any:
    """A value near the true one, as a tired person would get it."""
    if isinstance(value, Fraction) and value.denominator > 1:
        return Fraction(value.numerator + 1, value.denominator)
    unit = 1 if not value or value % 10 else 100 if value % 100 == 0 else 10
    wrong = value + unit * rng.choice((-2, -1, 1, 2))
    return wrong if (wrong > 0) == (value > 0) else value + unit


@dataclass(frozen=True)
class Family:
    """One kind of problem. `draw` and `solve` are pure; every phrasing names every slot, so that `parse` can invert `render`."""

    name: str
    about: tuple[str, ...]
    """Words of topics for which a problem of this family is a fitting example."""
    slots: Mapping[str, Slot]
    phrasings: tuple[str, ...]
    draw: Callable[[random.Random], Params]
    work: Callable[[Params, Notebook], str]
    openings: tuple[str, ...]
    tellings: Mapping[str, Tell]
    more: Callable[[Params], Mapping[str, str]] = field(default=lambda params: {})
    """Further words for sentences that follow from the parameters."""

    def render(self, params: Params, rng: random.Random) -> str:
        """The question in one of its phrasings."""
        return choose(rng.choice(self.phrasings), rng).format_map(self._shown(params))

    def parse(self, text: str) -> Params | None:
        """The parameters of the last question of this family found anywhere in `text`, or None."""
        found = self.find(text)
        return found[1] if found else None

    def find(self, text: str) -> tuple[str, Params, int] | None:
        """(the question as it stands in the text, its parameters, where it begins) of the last one found."""
        best: re.Match[str] | None = None
        for needle, pattern in self._patterns:
            if needle in text:
                for match in pattern.finditer(text):
                    if best is None or match.start() >= best.start():
                        best = match
        if best is None:
            return None
        return best.group(), {name: self.slots[name].read(value) for name, value in best.groupdict().items()}, best.start()

    def solve(self, params: Params) -> Solution:
        """The true solution."""
        book = Notebook()
        answer = self.work(params, book)
        return Solution(answer, tuple(book.steps))

    def slip(self, params: Params, rng: random.Random) -> Solution | None:
        """A solution with one step wrong and all later ones consistent with it; None when no slip changes the answer."""
        clean = Notebook()
        truth = self.work(params, clean)
        odd: Solution | None = None
        for at in rng.sample(clean.slippable, len(clean.slippable)):
            book = Notebook(at, rng)
            try:
                answer = self.work(params, book)
            except (ArithmeticError, ValueError, LookupError):
                continue  # the wrong value leads nowhere; slip at another step
            if answer != truth:
                wrong = Solution(answer, tuple(step for step in book.steps if step.kind != "check"))
                if "/" in truth or "/" not in answer:
                    return wrong
                odd = wrong  # a fraction where a whole number is expected gives itself away
        return odd

    def explain(self, params: Params, rng: random.Random, style: Style = "long", last: str = THE_ANSWER) -> str:
        """The worked solution as prose; the last line states the answer."""
        return self.tell(params, self.solve(params), rng, style, last)

    def tell(self, params: Params, solution: Solution, rng: random.Random, style: Style, last: str = THE_ANSWER, layout: Layout | None = None) -> str:
        """Prose for a solution, true or not; a long one in a layout of its own unless one is given."""
        shown = self._shown(params)
        deck = Deck(rng)
        told: list[str] = []
        known: set[str] = set()
        for step in solution.steps:
            if step.kind == "check" and style == "short":
                continue
            tell, values = self.tellings[step.kind], {**shown, **step.facts}
            say = deck.deal(tell.say)
            if style == "long" and tell.why and step.kind not in known:
                known.add(step.kind)
                told.append(joined(deck.deal(tell.why), say, rng, values))
            else:
                told.append(fill(say, rng, values))
        opening = fill(rng.choice(self.openings), rng, shown) if style == "long" else ""
        form: Layout = rng.choice(LAYOUTS) if layout is None else layout
        return _laid_out(opening, told, "brief" if style == "short" else form) + "\n\n" + last.format(answer=solution.answer)

    def _shown(self, params: Params) -> dict[str, str]:
        return {**{name: self.slots[name].show(value) for name, value in params.items()}, **self.more(params)}

    @cached_property
    def _patterns(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        patterns = {name: slot.pattern for name, slot in self.slots.items()}
        return tuple((anchor(phrasing), re.compile(as_pattern(phrasing, patterns))) for phrasing in self.phrasings)


def _laid_out(opening: str, told: list[str], layout: Layout) -> str:
    if layout == "brief":
        return " ".join(told)
    if layout == "running":
        half = (len(told) + 1) // 2
        return "\n\n".join(part for part in (f"{opening} {' '.join(told[:half])}", " ".join(told[half:])) if part)
    if layout == "numbered" and len(told) > 2:
        return "\n\n".join([opening, "\n".join(f"{index}. {sentence}" for index, sentence in enumerate(told, 1))])
    return "\n\n".join([opening, *told])
