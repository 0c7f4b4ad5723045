"""dedup: near-duplicates within the release and against all released rows."""

from __future__ import annotations

from collections.abc import Sequence

from datagen.errors import SpecError
from datagen.plan.model import PlannedStep
from datagen.records import Row
from datagen.spec.models import Ask, Dedup
from datagen.spec.templates import evaluate, own_words
from datagen.steps.journal import Journal
from datagen.steps.sets.similarity import duplicates


def run(step: PlannedStep, rows: Sequence[Row], released: Sequence[Row], journal: Journal, before: Sequence[PlannedStep]) -> list[Row]:
    """Released rows come first and stay; then the higher `prefer`, then the lower id. The text of the prompts before is not compared."""
    assert isinstance(step.spec, Dedup)
    words = step.spec.dedup
    everything = [*released, *sorted(rows, key=lambda row: (-_preference(words.prefer, row), row.id))]
    found = duplicates(
        [_text(row, words.on) for row in everything],
        range(len(everything)),
        threshold=words.threshold,
        numbers=words.numbers,
        exact_only=words.exact_only,
        known=[words for each in before if isinstance(each.spec, Ask) and each.prompt for words in own_words(each.prompt.body)],
        settled=len(released),
    )
    dropped = {duplicate.index: duplicate for duplicate in found}
    kept: list[Row] = []
    for index, row in enumerate(everything[len(released) :], start=len(released)):
        duplicate = dropped.get(index)
        reason = f"{duplicate.kind}_duplicate" if duplicate else ""
        evidence = f"of {everything[duplicate.of].id}: {_text(everything[duplicate.of], words.on)[:120]}" if duplicate else ""
        if journal.decide(step, row, "dedup", reason, evidence, duplicate.score if duplicate else None):
            kept.append(row)
    return kept


def _text(row: Row, on: str | list[str]) -> str:
    names = [on] if isinstance(on, str) else on
    return "\n".join(str(row.fields.get(name) or "") for name in names)


def _preference(expression: str | None, row: Row) -> float:
    try:
        value = evaluate(expression, row.fields) if expression else 0.0
    except SpecError:
        return float("-inf")
    return float(value) if isinstance(value, bool | int | float) else float("-inf")
