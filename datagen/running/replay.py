"""The whole line walked on recorded answers: what is there, what is missing, and what would come out. Nothing is paid."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from datagen.asking.ask import Answer, Asker, NotAsked
from datagen.asking.ledger.book import Ledger
from datagen.asking.limits.gate import Gate
from datagen.asking.limits.governor import Governor
from datagen.asking.prices import Purse
from datagen.plan.estimate import AskCount, asks_of
from datagen.plan.model import Plan, Sown
from datagen.records import Request, Row
from datagen.runtime.pool import ProcessPool
from datagen.steps.closing import judged
from datagen.steps.journal import NOT_ASKED, Journal
from datagen.steps.walk import walk
from datagen.steps.work import Work
from datagen.storage import row_of, row_record

FAMILIES = 1_024
"""Families of rows that are replayed at once: what they write in the journal need not be kept."""


class _Replay(Asker):
    """Answers from the ledger only, and counts what is not there."""

    def __init__(self, ledger: Ledger, counts: dict[str, AskCount]) -> None:
        super().__init__(ledger, Gate(Governor({}, Purse(), {})), {}, paying=False)
        self._counts = counts

    async def ask(self, request: Request, teacher: str, step: str = "") -> Answer:
        try:
            answer = await super().ask(request, teacher, step)
        except NotAsked:
            self._counts[step].lacks(request)
            raise
        self._counts[step].found(request, answer.response)
        return answer


Watch = Callable[[Journal], None]
"""Is shown the books of some families of rows, or of a closing step, each row's step once."""


def replay(plan: Plan, sown: Sown, folder: Path | None, watch: Watch | None = None) -> tuple[dict[str, AskCount], list[Row], set[str]]:
    """Walk the whole line on recorded answers: (what is recorded and missing per ask, rows at the end, seeds with something missing)."""
    asks = [inner for step in plan.steps for inner, _ in asks_of(step)]
    counts = {step.name: AskCount(step) for step in asks}
    with tempfile.TemporaryDirectory() as empty:
        ledger = Ledger(folder or Path(empty), "")
        try:
            return (counts, *asyncio.run(_replayed(plan, sown, _Replay(ledger, counts), watch)))
        finally:
            ledger.close()


async def _replayed(plan: Plan, sown: Sown, asker: Asker, watch: Watch | None = None) -> tuple[list[Row], set[str]]:
    rows: Iterable[Row] = sown.rows()
    touched: set[str] = set()
    pool = ProcessPool()
    try:
        for stretch in plan.stretches:
            left: list[Row] = []
            families = (list(family) for _, family in itertools.groupby(rows, key=_family))
            while some := list(itertools.islice(families, FAMILIES)):
                journal = Journal(stretch.steps)
                walked = await asyncio.gather(*(walk(family, stretch.steps, Work(plan, asker, pool, journal)) for family in some))
                left += [row_of(row_record(row)) for family in walked for row in family]  # as a build reads them back
                touched |= {record["seed_id"] for book in journal.books.values() for record in book.unanswered if record["outcome"] == NOT_ASKED}
                if watch:
                    watch(journal)
            if stretch.closing:
                books = Journal((stretch.closing,)) if watch else None
                left = judged(plan, stretch, left, books)
                if watch and books:
                    watch(books)
            rows = left = sorted(left, key=lambda row: (_family(row), row.id))
    finally:
        pool.close()
    return left, touched


def _family(row: Row) -> str:
    """Rows of one parent walk together."""
    return row.parent or row.id
