"""What a round of paid batches did, and what it shares between the teachers whose jobs it tends."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from datagen.asking.batches.desk import Desk
from datagen.asking.batches.harvest import Harvest
from datagen.asking.batches.queue import Till
from datagen.asking.batches.refusals import Refusals
from datagen.asking.batches.works import Works
from datagen.asking.counts import Counts
from datagen.asking.ledger.book import Ledger
from datagen.errors import DatagenError


@dataclass
class RoundReport:
    """What a round did."""

    jobs: int = 0
    """Accepted."""
    requests: int = 0
    adopted: int = 0
    """Jobs of submissions without a reply that were found at the provider."""
    lost: int = 0
    """Submissions that the provider never accepted."""
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    """Teacher -> outcome -> requests."""
    counts: Counts = field(default_factory=Counts)
    """The same with tokens, dollars and faults. By teacher alone: a job is made of what many steps ask."""
    failed: dict[str, str] = field(default_factory=dict)
    """Key -> why it was given up. Not asked again by this process, and no answer for the ledger to replay."""
    notes: list[str] = field(default_factory=list)
    surcharge: dict[str, float] = field(default_factory=dict)
    """Teacher -> what its answers cost at most, as a multiple of their worst case; above 1 where its provider bills beyond max_tokens."""

    @property
    def results(self) -> int:
        """Requests that came to an end."""
        return sum(sum(counter.values()) for counter in self.outcomes.values())

    def count(self, teacher: str, outcomes: Iterable[str]) -> None:
        self.outcomes.setdefault(teacher, Counter()).update(outcomes)

    def took(self, teacher: str, tag: str, crop: Harvest) -> None:
        """Add what came of one job."""
        self.count(teacher, crop.outcomes.elements())
        self.failed.update(crop.failed)
        self.notes += crop.notes(tag)
        self.surcharge[teacher] = max(crop.times, self.surcharge.get(teacher, 1.0))


@dataclass
class Office:
    """What all teachers of the rounds of one build share: the books, the jobs that stand, and when to submit nothing more."""

    ledger: Ledger
    till: Till
    works: Works
    report: RoundReport
    clock: Callable[[], float]
    """Dates intents for a person to read; nothing depends on it."""
    monotonic: Callable[[], float]
    tries: Counter[str] = field(default_factory=Counter)
    """Key -> attempts of this process that brought nothing."""
    accounts: dict[tuple[str, str], asyncio.Lock] = field(default_factory=dict)
    refusals: dict[str, Refusals] = field(default_factory=dict)
    """By teacher: what was not taken, as long as nothing was."""
    shut: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the run is to end as soon as the calls it is in have."""
    halted: DatagenError | None = None
    """Why nothing more is submitted, while what is under way is still taken in."""
    number: int = 1
    """Of the round."""
    before: dict[str, Counter[str]] = field(default_factory=dict)
    """Outcomes when this round began."""

    def account(self, desk: Desk) -> asyncio.Lock:
        """One submission at a time where jobs carry no tag."""
        return self.accounts.setdefault(desk.account, asyncio.Lock())

    def begin(self, number: int) -> None:
        self.number, self.halted = number, None
        self.before = {teacher: counter.copy() for teacher, counter in self.report.outcomes.items()}

    async def weigh(self, teacher: str) -> None:
        """After a harvest: too many bad answers in this round, and nothing more is submitted."""
        counts = self.report.outcomes.get(teacher, Counter()) - self.before.get(teacher, Counter())
        self.halted = self.halted or await self.till.weigh(teacher, counts)
