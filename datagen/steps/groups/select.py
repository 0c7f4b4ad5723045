"""select: the best of each group; what lost can be folded into the winner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datagen.errors import SpecError
from datagen.plan.model import PlannedStep
from datagen.records import Row
from datagen.spec.models import Select
from datagen.spec.templates import evaluate
from datagen.steps.work import Work


def run(step: PlannedStep, siblings: Sequence[Row], work: Work) -> list[Row]:
    """The first `keep` rows for which `where` holds, by `best`, then by id. With `fold`, the first winner receives the others' own fields."""
    assert isinstance(step.spec, Select)
    words = step.spec.select
    able = [row for row in siblings if words.where is None or _value(words.where, row)]
    ranked = sorted(able, key=lambda row: (*(-_number(_value(expression, row)) for expression in words.best), row.id))
    winners, losers = ranked[: words.keep], [row for row in siblings if row not in ranked[: words.keep]]
    if winners and words.fold:
        best = winners[0]
        lost = [own_fields(row, best) for row in losers]
        winners = [row.having({words.fold: lost if row is best else []}) for row in winners]
    for row in winners:
        work.journal.decide(step, row, "select", "", f"one of {len(winners)} chosen among {len(siblings)}")
    for row in losers:
        reason = "no_winner" if not winners else "folded" if words.fold else "not_selected"
        work.journal.decide(step, row, "select", reason, f"won by {winners[0].id}" if winners else f"no row of the group has {words.where}")
    return winners


def own_fields(row: Row, winner: Row) -> dict[str, Any]:
    """What a loser does not share with the winner, and its id."""
    return {"id": row.id} | {name: value for name, value in row.fields.items() if winner.fields.get(name) != value}


def _value(expression: str, row: Row) -> Any:
    """An expression that cannot be computed on a row (a missing score) counts as false."""
    try:
        return evaluate(expression, row.fields)
    except SpecError:
        return None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, bool | int | float) else float("-inf")
