"""A build that stopped because answers were too bad stays stopped until something has changed: typed again, it must not pay for more of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datagen.errors import TooManyFailures
from datagen.plan.model import Plan
from datagen.records import Outcome
from datagen.spec.models import Ask
from datagen.storage import read_json, write_json

FILE = "guard.json"
"""Under OUT/steps."""


@contextlib.contextmanager
def guarded(plan: Plan, root: Path, again: bool = False) -> Iterator[None]:
    """Raises TooManyFailures at once where the last run of the same asks, under the same guard, ended so; and remembers when this one does.

    Failed requests are the exception: they are asked again, and may fare better. So are rejected ones where a person says so (`again`).
    """
    path, mark = root / FILE, _mark(plan)
    found = read_json(path)
    if found and found["mark"] == mark and not again:
        raise TooManyFailures(f"as the last time: {found['words']}")
    try:
        yield
    except TooManyFailures as error:
        if error.outcome != Outcome.FAILED:
            root.mkdir(parents=True, exist_ok=True)
            write_json(path, {"mark": mark, "words": str(error)})
        raise


def _mark(plan: Plan) -> list[Any]:
    """What must differ for another try: the asks with all that comes before them, or the guard."""
    asks = [step.fingerprint for step in plan.steps if any(isinstance(each.spec, Ask) for each in (step, *step.inner))]
    return [asks[-1] if asks else "", plan.spec.guard.model_dump(mode="json")]
