"""What a plan is: plain frozen data that travels to any worker, with every text it needs inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from datagen.asking.prices import TokenPrice
from datagen.operators.recipe import Recipe
from datagen.records import Row, digest
from datagen.spec.models import AnyStep, Ask, Embedding, Spec, Teacher
from datagen.spec.templates import Prompt
from datagen.storage import SortedLines, seed_of

Scope = Literal["row", "group", "set"]
SCOPES: dict[str, Scope] = {
    "ask": "row",
    "check": "row",
    "filter": "row",
    "repeat": "row",
    "vote": "group",
    "select": "group",
    "dedup": "set",
    "decontaminate": "set",
    "mix": "set",
}


@dataclass(frozen=True, slots=True)
class Chair:
    """One teacher of the spec, resolved: who is asked, where, and at what price."""

    name: str
    spec: Teacher
    provider: str
    """The wire protocol: openai or anthropic."""
    model: str
    label: str
    base_url: str | None
    price: TokenPrice | None
    simulated: bool
    embeds: bool = False
    """It gives vectors, of which no token is billed."""

    @property
    def longest(self) -> int:
        """Tokens of an answer, at most."""
        return 0 if self.embeds else self.spec.max_tokens

    def params(self) -> dict[str, Any]:
        """Sampling and output parameters as they enter the request."""
        if self.embeds:
            return dict(self.spec.params)
        temperature = {} if self.spec.temperature is None else {"temperature": self.spec.temperature}
        return {"max_tokens": self.spec.max_tokens, **temperature, **self.spec.params}

    def identity(self) -> dict[str, Any]:
        """What decides its answers. Not: how it is asked, at what price, within which limits."""
        who = {"provider": self.provider, "label": self.label, "model": self.model}
        return {**who, "params": self.params(), "structured": self.spec.structured, "raise_to": self.spec.raise_to}


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step with everything it names at hand."""

    number: int
    """1, 2, ... in the order of the spec; seeds are 0."""
    spec: AnyStep
    fingerprint: str
    """Digest of this step and of all before it: what it asks, of whom, how it judges."""
    writes: tuple[str, ...]
    prompt: Prompt | None = None
    schema: Mapping[str, Any] | None = None
    lists: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """The `vary` lists that the prompt uses."""
    recipe: Recipe | None = None
    dimensions: int | None = None
    """Numbers of a vector, where an ask embeds and its teacher is told how many to give."""
    inner: tuple[PlannedStep, ...] = ()
    references: tuple[str, ...] = ()
    """Files that a set-wise step reads, resolved."""
    bench: Mapping[str, Any] | None = None
    """What `bench-filters` measured of this very recipe."""

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def verb(self) -> str:
        return self.spec.verb

    @property
    def scope(self) -> Scope:
        return SCOPES[self.verb]

    @property
    def fans_out(self) -> bool:
        """True where a row becomes several."""
        return isinstance(self.spec, Ask) and (self.spec.samples > 1 or self.spec.each is not None)

    @property
    def embeds(self) -> bool:
        """True where a text itself is sent, and a vector comes back."""
        return isinstance(self.spec, Ask) and isinstance(self.spec.ask, Embedding)

    @property
    def folder(self) -> str:
        return f"{self.number:02d}-{self.name}"


@dataclass(frozen=True, slots=True)
class Stretch:
    """What lies between two set-wise steps: a row walks it as one coroutine; then, perhaps, a set-wise step closes it."""

    number: int
    steps: tuple[PlannedStep, ...]
    closing: PlannedStep | None

    @property
    def last(self) -> PlannedStep | None:
        return self.closing or (self.steps[-1] if self.steps else None)

    @property
    def fingerprint(self) -> str:
        """Of the steps a part walks; the closing step is not the part's."""
        return self.steps[-1].fingerprint if self.steps else "none"


@dataclass(frozen=True)
class Plan:
    """A spec with nothing left to look up."""

    spec: Spec
    text: str
    """The spec as written."""
    steps: tuple[PlannedStep, ...]
    chairs: Mapping[str, Chair]
    simulated: bool
    warnings: tuple[str, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """`step.operator.parameter` -> the value in place of the spec's own, as `recurate` was told."""

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        found: list[Stretch] = []
        open_steps: list[PlannedStep] = []
        for step in self.steps:
            if step.scope == "set":
                found.append(Stretch(len(found), tuple(open_steps), step))
                open_steps = []
            else:
                open_steps.append(step)
        if open_steps or not found:
            found.append(Stretch(len(found), tuple(open_steps), None))
        return tuple(found)

    @property
    def fingerprint(self) -> str:
        """What decides a row's content and verdict: the steps, and the shape of the release. Not: seeds, take, budget, split sizes of shards."""
        release = self.spec.release
        shape = [release.format, release.columns, sorted(release.drop), release.task, release.split]
        return digest([self.steps[-1].fingerprint if self.steps else "none", shape])


@dataclass(frozen=True)
class Sown:
    """The seeds a build starts with, read once from their source: lines in the order of their ids, equal ones side by side."""

    lines: SortedLines
    read: int
    """Seeds that the source gave, repeated ones too."""
    fields: frozenset[str]
    """Fields that every seed has; a prompt may use no other."""

    def seeds(self) -> Iterator[tuple[bytes, int]]:
        """Each different seed's line, and how often it stands."""
        before, times = b"", 0
        for line in self.lines:
            if line == before:
                times += 1
                continue
            if times:
                yield before, times
            before, times = line, 1
        if times:
            yield before, times

    def rows(self) -> Iterator[Row]:
        """The different seeds as rows, one at a time."""
        return (seed_of(line) for line, _ in self.seeds())
