"""vote: agreement among the children of one parent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from datagen.plan.model import PlannedStep
from datagen.records import Row
from datagen.spec.models import Vote
from datagen.steps.work import Work


def run(step: PlannedStep, siblings: Sequence[Row], work: Work) -> list[Row]:
    """Writes <name>: share of the siblings that agree with this row (itself included), <name>_of: how many siblings there are, itself included (a
    share of few says little: who failed or was dropped is not counted), and <name>_answer: what most say.

    A row without an answer agrees with nobody. A tie falls to the answer that sorts first, so that order does not matter.
    """
    assert isinstance(step.spec, Vote)
    words = step.spec.vote
    votes = Counter(_normal(row.fields.get(words.on)) for row in siblings)
    votes.pop("", None)
    winner = min(votes, key=lambda answer: (-votes[answer], answer), default="")
    kept: list[Row] = []
    for row in siblings:
        count = votes[_normal(row.fields.get(words.on))]
        share = count / len(siblings)
        enough = share >= words.at_least if words.at_least < 1 else count >= words.at_least
        row = row.having({step.name: share, f"{step.name}_of": len(siblings), f"{step.name}_answer": winner or None})
        reason = "" if enough else "too_few_votes"
        evidence = f"{count} of {len(siblings)} say {_normal(row.fields.get(words.on))!r}; most say {winner!r}"
        if work.journal.decide(step, row, "vote", reason, evidence, share):
            kept.append(row)
    return kept


def _normal(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split()).casefold()
