"""What became of planted rows: escapes and false drops of all, of each step and of each operator, with intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from datagen.records import Row
from datagen.release.measured.intervals import rate
from datagen.seeds.labelled import GOOD


@dataclass(frozen=True, slots=True)
class Canary:
    """One planted row."""

    row: Row
    kind: str
    """What is bad about it."""
    aim: str
    """The step that ought to find it; of a good one, a step that ought not."""
    good: bool = False
    visits: tuple[str, ...] = ()
    """The steps that it goes through; empty: all that judge rows."""
    gated: bool = True
    """False where `aim` is a check without a gate: it drops nothing, so its verdict alone is counted, at its step and nowhere else."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of one."""

    verdicts: Sequence[tuple[str, str, bool]] = ()
    """(step, operator, whether it kept it), until one has dropped it."""
    fell: str = ""
    """The step that dropped it: a check without a gate finds a fault and drops nothing."""

    def found(self, step: str) -> bool:
        """Whether a step spoke against it."""
        return any(name == step and not kept for name, _, kept in self.verdicts)


@dataclass
class _Count:
    good: list[int] = field(default_factory=lambda: [0, 0])
    bad: list[int] = field(default_factory=lambda: [0, 0])
    """[dropped, seen]."""

    def add(self, good: bool, dropped: bool) -> None:
        count = self.good if good else self.bad
        count[0] += dropped
        count[1] += 1

    def escapes(self) -> dict[str, Any]:
        return rate(self.bad[1] - self.bad[0], self.bad[1])


def counted(canaries: Sequence[Canary], told: Sequence[Told]) -> dict[str, Any]:
    """Of the rows that went through the steps that judge rows one by one: all together, by kind, by operator, and by step."""
    whole, kinds, operators = _Count(), defaultdict[str, _Count](_Count), defaultdict[str, _Count](_Count)
    for canary, said in zip(canaries, told, strict=True):
        if canary.gated:
            whole.add(canary.good, bool(said.fell))
            kinds[GOOD if canary.good else canary.kind].add(canary.good, bool(said.fell))
        for step, operator, kept in said.verdicts:
            operators[f"{step}.{operator}"].add(canary.good, not kept)
    return {
        "bad": whole.bad[1],
        "good": whole.good[1],
        "escapes": whole.escapes(),
        "false_drops": rate(*whole.good),
        "kinds": {kind: rate(*count.bad) for kind, count in sorted(kinds.items()) if kind != GOOD},
        "operators": {name: {"false_drops": rate(*count.good), "caught": rate(*count.bad)} for name, count in operators.items()},
        "steps": of_steps(canaries, told),
    }


def of_steps(canaries: Sequence[Canary], told: Sequence[Told]) -> dict[str, Any]:
    """Step -> what it let through of what was planted for it, and what it was against of the good; rows that did not come to it say nothing."""
    steps, kinds = defaultdict[str, _Count](_Count), defaultdict[str, defaultdict[str, _Count]](lambda: defaultdict(_Count))
    for canary, said in zip(canaries, told, strict=True):
        for step in dict.fromkeys(step for step, _, _ in said.verdicts):
            if canary.good or step == canary.aim:
                steps[step].add(canary.good, said.found(step))
                kinds[step][canary.kind].add(canary.good, said.found(step))
    return {
        step: {
            "escapes": count.escapes(),
            "false_drops": rate(*count.good),
            "kinds": {kind: rate(*each.bad) for kind, each in sorted(kinds[step].items()) if each.bad[1]},
            "good_kinds": {kind: rate(*each.good) for kind, each in sorted(kinds[step].items()) if each.good[1]},
        }
        for step, count in steps.items()
    }
