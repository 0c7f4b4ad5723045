"""What happened to the rows of one part: every row that enters a step leaves it kept, dropped or unanswered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datagen.errors import DatagenError
from datagen.plan.model import PlannedStep
from datagen.records import NANO, Request, Response, Row, Verdict
from datagen.storage import row_record, write_rows, write_table

VERDICT_COLUMNS = {
    "row": "string",
    "step": "string",
    "operator": "string",
    "version": "int64",
    "keep": "bool",
    "reason": "string",
    "score": "float64",
    "evidence": "string",
}
DROPPED_COLUMNS = {"operator": "string", "reason": "string", "score": "float64", "evidence": "string"}
UNANSWERED_COLUMNS = {"outcome": "string", "error": "string", "key": "string"}
CALL_COLUMNS = {
    **dict.fromkeys(("key", "step", "row", "teacher", "provider", "model", "outcome"), "string"),
    **dict.fromkeys(("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"), "int64"),
    **dict.fromkeys(("cost_usd", "seconds"), "float64"),
    "request_id": "string",
    "simulated": "bool",
    "planted": "string",
    "asked": "bool",
}


@dataclass
class StepBook:
    """The rows that left one step, and the verdicts on all."""

    entered: int = 0
    came_from: int = 0
    """Rows before a fan-out; equal to `entered` elsewhere."""
    kept: int = 0
    dropped: list[dict[str, Any]] = field(default_factory=list)
    unanswered: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)

    def counts(self) -> dict[str, Any]:
        """For the manifest. Raises DatagenError when the rows do not add up, which is a fault of ours."""
        if self.entered != self.kept + len(self.dropped) + len(self.unanswered):
            raise DatagenError(
                f"rows do not add up: {self.entered} in, {self.kept} kept, {len(self.dropped)} dropped, {len(self.unanswered)} unanswered"
            )
        reasons: dict[str, Counter[str]] = {}
        for record in self.dropped:
            reasons.setdefault(record["operator"], Counter())[record["reason"]] += 1
        return {
            "in": self.entered,
            "from": self.came_from,
            "kept": self.kept,
            "dropped": {operator: dict(counter) for operator, counter in reasons.items()},
            "unanswered": dict(Counter(record["outcome"] for record in self.unanswered)),
        }


class Journal:
    """The books of one part through one stretch."""

    def __init__(self, steps: tuple[PlannedStep, ...]) -> None:
        self.books = {step.number: StepBook() for step in steps}
        self.calls: list[dict[str, Any]] = []

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
        """What a step that sees many rows says of one: a verdict, and with a reason a drop. True when the row is kept."""
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
        self.books[step.number].unanswered.append(row_record(row, outcome="not_asked", error="", key=key))

    def call(self, step: PlannedStep, row: Row, teacher: str, request: Request, response: Response, asked: bool) -> None:
        usage = response.usage
        self.calls.append(
            {
                "key": request.key,
                "step": step.name,
                "row": row.id,
                "teacher": teacher,
                "provider": request.provider,
                "model": response.model or request.model,
                "outcome": str(response.outcome),
                "input_tokens": usage.input,
                "output_tokens": usage.output,
                "cached_tokens": usage.cached,
                "reasoning_tokens": usage.reasoning,
                "cost_usd": 0.0 if response.simulated else response.cost / NANO,
                "seconds": response.seconds,
                "request_id": response.request_id,
                "simulated": response.simulated,
                "planted": response.planted,
                "asked": asked,
            }
        )

    def write(self, root: Path, part: str, folders: Mapping[int, str]) -> list[str]:
        """Write what there is; a file of a kind exists only where a row of that kind does. Returns the paths under `root`."""
        written: list[str] = []
        for number, book in self.books.items():
            folder = root / folders[number]
            for kind, records, more in (("dropped", book.dropped, DROPPED_COLUMNS), ("unanswered", book.unanswered, UNANSWERED_COLUMNS)):
                path = folder / kind / f"{part}.parquet"
                path.unlink(missing_ok=True)  # an earlier walk of this part may have left one
                if records:
                    write_rows(path, sorted(records, key=lambda record: record["id"]), **more)
                    written.append(str(path.relative_to(root)))
            path = folder / "verdicts" / f"{part}.parquet"
            path.unlink(missing_ok=True)
            if book.verdicts:
                write_table(path, sorted(book.verdicts, key=lambda record: (record["row"], record["operator"])), VERDICT_COLUMNS)
                written.append(str(path.relative_to(root)))
        return written
