"""What a row-wise step has at hand: the asker, the process pool, and the journal of its part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from datagen.asking.ask import Asker
from datagen.plan.model import Plan
from datagen.steps.journal import Journal


class Pool(Protocol):
    """Runs plain functions in other processes, in small batches, each with a deadline."""

    async def call(self, function: Any, tool: Any, argument: Any, deadline: float = 0.0) -> Any: ...


@dataclass(frozen=True)
class Work:
    """One part in the hands of one worker."""

    plan: Plan
    asker: Asker
    pool: Pool
    journal: Journal
