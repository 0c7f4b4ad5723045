"""What one worker's asking came to: plain numbers, kept where they are known first, and read about once a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from datagen.errors import FaultKind
from datagen.records import NANO, Usage
from datagen.runtime.measures import Measures


@dataclass(slots=True)
class _Line:
    """One teacher, asked by one step. Money in nano-dollars."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    answered: int = 0
    possible: int = 0
    replays: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    waiting: dict[int, float] = field(default_factory=dict)
    """Ticket of a request at the gate -> since when; the first has waited longest."""


class Counts:
    """Numbers by teacher and step. Each method is a few additions: it runs once a request."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines: dict[tuple[str, str], _Line] = {}

    def answered(self, teacher: str, step: str, usage: Usage, cost: int) -> None:
        """An answer is in the ledger, with what it cost."""
        line = self._line(teacher, step)
        line.input += usage.input
        line.output += usage.output
        line.cached += usage.cached
        line.cache_write += usage.cache_write
        line.reasoning += usage.reasoning
        line.answered += cost

    def ended(self, teacher: str, step: str, outcome: str) -> None:
        """A request came to its end, as whoever knows the wanted fields reads its answer."""
        outcomes = self._line(teacher, step).outcomes
        outcomes[outcome] = outcomes.get(outcome, 0) + 1

    def fault(self, teacher: str, step: str, kind: FaultKind, cost: int) -> None:
        """An attempt failed, and may have cost so much."""
        line = self._line(teacher, step)
        line.faults[kind] = line.faults.get(kind, 0) + 1
        line.possible += cost

    def replayed(self, teacher: str, step: str) -> None:
        """The ledger had the answer, from an earlier run."""
        self._line(teacher, step).replays += 1

    def waits(self, teacher: str, step: str, ticket: int) -> None:
        """A request stands at the gate."""
        self._line(teacher, step).waiting[ticket] = self._clock()

    def goes(self, teacher: str, step: str, ticket: int) -> None:
        """It was admitted, or turned away."""
        self._line(teacher, step).waiting.pop(ticket, None)

    def measures(self) -> Measures:
        """By the names of runtime.measures.METRICS."""
        found: Measures = {}
        now = self._clock()
        for labels, line in self._lines.items():
            for name, value in _plain(line, now).items():
                found.setdefault(name[0], {})[(*labels, *name[1:])] = value
        return found

    def _line(self, teacher: str, step: str) -> _Line:
        line = self._lines.get((teacher, step))
        if line is None:
            line = self._lines[teacher, step] = _Line()
        return line


def _plain(line: _Line, now: float) -> dict[tuple[str, ...], float]:
    """(name, value of its last label) -> number; nothing that never was, but a queue that is empty."""
    oldest = next(iter(line.waiting.values()), now)
    seen: dict[tuple[str, ...], float] = {("datagen_replays_total",): line.replays}
    seen |= {("datagen_requests_total", outcome): number for outcome, number in line.outcomes.items()}
    seen |= {("datagen_faults_total", kind): number for kind, number in line.faults.items()}
    seen |= {("datagen_tokens_total", kind): getattr(line, kind) for kind in ("input", "output", "cached", "cache_write", "reasoning")}
    seen |= {("datagen_dollars_total", kind): getattr(line, kind) / NANO for kind in ("answered", "possible")}
    waits = {("datagen_queue_length",): float(len(line.waiting)), ("datagen_queue_age_seconds",): max(0.0, now - oldest)}
    return {name: value for name, value in seen.items() if value} | waits
