"""Pages of a list of jobs, newest first, as both providers cut them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datagen.rehearsal.batches.jobs import Job
from datagen.rehearsal.wires import WrongShape

USUAL = 20
"""Jobs on a page where the request does not say."""


def page_of(jobs: Sequence[Job], params: Mapping[str, str], most: int) -> tuple[list[Job], bool]:
    """(the jobs of a page, whether there are more that way): `after`, `after_id` and `before_id` name the job next to it."""
    limit = _limit(params.get("limit", str(USUAL)), most)
    ids = [job.id for job in jobs]
    if before := params.get("before_id"):
        end = _place(ids, before, "before_id")
        return list(jobs[max(0, end - limit) : end]), end > limit
    name = "after_id" if "after_id" in params else "after"
    start = _place(ids, params[name], name) + 1 if params.get(name) else 0
    return list(jobs[start : start + limit]), start + limit < len(jobs)


def _limit(given: str, most: int) -> int:
    if not given.isdecimal() or not 1 <= int(given) <= most:
        raise WrongShape(f"limit: must be an integer from 1 to {most}", param="limit")
    return int(given)


def _place(ids: Sequence[str], id: str, name: str) -> int:
    if id not in ids:
        raise WrongShape(f"{name}: no batch {id!r} in the list", param=name)
    return ids.index(id)
