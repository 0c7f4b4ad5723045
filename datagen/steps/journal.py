"""What happened to the rows of one part: every row that enters a step leaves it kept, dropped or unanswered, or waits for a paid batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datagen.asking import prices
from datagen.errors import DatagenError
from datagen.plan.model import Chair, PlannedStep
from datagen.records import NANO, Request, Response, Row, Verdict, digest
from datagen.release.tables import DROPPED_COLUMNS, UNANSWERED_COLUMNS, VERDICT_COLUMNS
from datagen.storage import concat_tables, row_record, sealed, write_rows, write_table

NOT_ASKED = "not_asked"
"""The outcome of a row that needs an answer which the ledger does not have, where nothing may be paid."""


@dataclass
class StepBook:
    """The rows that left one step, and the verdicts on all."""

    entered: int = 0
    came_from: int = 0
    """Rows before a fan-out; equal to `entered` elsewhere."""
    kept: int = 0
    waiting: int = 0
    """Rows that go on when a round of paid batches has come back."""
    dropped: list[dict[str, Any]] = field(default_factory=list)
    unanswered: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)

    def counts(self) -> dict[str, Any]:
        """For the manifest. Raises DatagenError when the rows do not add up, which is a fault of ours."""
        if self.entered != self.kept + len(self.dropped) + len(self.unanswered) + self.waiting:
            left = f"{len(self.dropped)} dropped, {len(self.unanswered)} unanswered, {self.waiting} waiting"
            raise DatagenError(f"rows do not add up: {self.entered} in, {self.kept} kept, {left}")
        reasons: dict[str, Counter[str]] = {}
        for record in self.dropped:
            reasons.setdefault(record["operator"], Counter())[record["reason"]] += 1
        return {
            "in": self.entered,
            "from": self.came_from,
            "kept": self.kept,
            "dropped": {operator: dict(counter) for operator, counter in reasons.items()},
            "unanswered": dict(Counter(record["outcome"] for record in self.unanswered)),
            "waiting": self.waiting,
        }


class Journal:
    """The books of one part through one stretch."""

    def __init__(self, steps: tuple[PlannedStep, ...]) -> None:
        self.books = {step.number: StepBook() for step in steps}
        self.calls: list[dict[str, Any]] = []
        self.requests: list[tuple[str, Request]] = []
        """(teacher, request) that rows of this part wait for: what the next round of paid batches is made of. Rows may ask alike."""

    def enter(self, step: PlannedStep, rows: int, came_from: int | None = None) -> None:
        book = self.books[step.number]
        book.entered += rows
        book.came_from += rows if came_from is None else came_from

    def keep(self, step: PlannedStep, rows: int = 1) -> None:
        self.books[step.number].kept += rows

    def verdict(self, step: PlannedStep, verdict: Verdict) -> None:
        record = {name: getattr(verdict, name) for name in VERDICT_COLUMNS}
        self.books[step.number].verdicts.append(record | {"evidence": verdict.evidence[:200]})

    def decide(self, step: PlannedStep, row: Row, operator: str, reason: str, evidence: str = "", score: float | None = None) -> bool:
        """What a step says of a row by itself, without an operator: a verdict, and with a reason a drop. True when the row is kept."""
        self.verdict(step, Verdict(row.id, step.name, operator, 1, not reason, reason, score, evidence))
        if reason:
            self.drop(step, row, operator, reason, evidence, score)
        return not reason

    def drop(self, step: PlannedStep, row: Row, operator: str, reason: str, evidence: str = "", score: float | None = None) -> None:
        record = row_record(row, operator=operator, reason=reason, score=score, evidence=evidence[:200])
        self.books[step.number].dropped.append(record)

    def unanswered(self, step: PlannedStep, row: Row, response: Response, key: str) -> None:
        record = row_record(row, outcome=str(response.outcome), error=response.error[:500], key=key)
        self.books[step.number].unanswered.append(record)

    def not_asked(self, step: PlannedStep, row: Row, key: str) -> None:
        """In a replay that may not pay: the ledger has no answer."""
        self.books[step.number].unanswered.append(row_record(row, outcome=NOT_ASKED, error="", key=key))

    def waiting(self, step: PlannedStep, row: Row, request: Request, teacher: str) -> None:
        """`row` goes on when the answer to `request` has come back in a batch; until then nothing of it is written."""
        self.held(step)
        self.requests.append((teacher, request))

    def held(self, step: PlannedStep, rows: int = 1) -> None:
        """Rows with nothing to ask yet: they wait for a sibling."""
        self.books[step.number].waiting += rows

    def call(self, step: PlannedStep, row: Row, chair: Chair, request: Request, response: Response, asked: bool, repaired: str = "") -> None:
        usage = response.usage
        paid = not response.simulated
        self.calls.append(
            {
                "key": request.key,
                "step": step.name,
                "row": row.id,
                "teacher": chair.name,
                "provider": request.provider,
                "model": response.model or request.model,
                "outcome": str(response.outcome),
                "input_tokens": usage.input,
                "output_tokens": usage.output,
                "cached_tokens": usage.cached,
                "cache_write_tokens": usage.cache_write,
                "reasoning_tokens": usage.reasoning,
                "cost_usd": response.cost / NANO if paid else 0.0,
                "saved_usd": prices.saving(chair.price, usage) / NANO if paid and chair.price else 0.0,
                "seconds": response.seconds,
                "request_id": response.request_id,
                "stop_reason": response.stop_reason,
                "fingerprint": response.fingerprint,
                "attempt": request.attempt,
                "repaired": repaired,
                "batch": response.batch,
                "simulated": response.simulated,
                "planted": response.planted,
                "asked": asked,
            }
        )

    def write(self, root: Path, part: str, folders: Mapping[int, str]) -> list[Path]:
        """Write what there is; a file of a kind exists only where a row of that kind does. Returns the paths."""
        written: list[Path] = []
        for number, book in self.books.items():
            folder = root / folders[number]
            for kind, records, more in (("dropped", book.dropped, DROPPED_COLUMNS), ("unanswered", book.unanswered, UNANSWERED_COLUMNS)):
                path = folder / kind / f"{part}.parquet"
                path.unlink(missing_ok=True)  # an earlier walk of this part may have left one
                if records:
                    write_rows(path, sorted(records, key=lambda record: record["id"]), **more)
                    written.append(path)
            path = folder / "verdicts" / f"{part}.parquet"
            path.unlink(missing_ok=True)
            if book.verdicts:
                write_table(path, sorted(book.verdicts, key=lambda record: (record["row"], record["operator"])), VERDICT_COLUMNS)
                written.append(path)
        return written


def gather_calls(root: Path) -> None:
    """The calls of all parts of a cohort in one file, `calls-c<number>-<digest of the parts' files>.parquet`; one that is there is not made again."""
    cohorts: dict[str, list[Path]] = {}
    for path in sorted(root.glob("*/calls/*.parquet")):
        cohorts.setdefault(path.stem.split("-")[0], []).append(path)
    made = {root / f"calls-{cohort}-{digest(sealed(root, paths), size=6)}.parquet": paths for cohort, paths in cohorts.items()}
    for path, paths in made.items():
        if not path.exists():
            concat_tables(paths, path)
    for path in root.glob("calls*.parquet"):
        if path not in made:
            path.unlink()
