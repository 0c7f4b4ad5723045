"""What a rehearsal proves: which planted defects were caught, which reached the release, and what was dropped for nothing.

A simulated teacher labels its answers (`calls.planted`): `defect/real`, `defect/synthetic`, or `near_duplicate:<pool>`. Of a pool one
member may stay, so `planted` counts members less pools. A row that a choice passes over is neither caught nor falsely dropped.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from datagen.release.catalogue import query
from datagen.release.pages.figures import CHOICES, Account

_RANK = {"released": 0, "caught": 1, "passed over": 2}
"""An answer that reached the release by any row has reached it; then being caught counts before being passed over."""


@dataclass(slots=True)
class Defect:
    """One kind of planted fault. planted = caught + passed_over + released."""

    name: str
    planted: int = 0
    caught: int = 0
    passed_over: int = 0
    released: int = 0
    by: Counter[str] = field(default_factory=Counter)
    """`step · operator`, or `step · reason` of an ask -> answers it caught."""

    @property
    def most(self) -> list[tuple[str, int]]:
        """Who caught most of it."""
        return sorted(self.by.items(), key=lambda item: (-item[1], item[0]))[:3]

    @property
    def recall(self) -> float | None:
        """Caught among those that some filter could have caught."""
        seen = self.caught + self.released
        return self.caught / seen if seen else None


@dataclass(slots=True)
class Judge:
    """One operator: of the rows it dropped, how many rest on a planted answer."""

    step: str
    operator: str
    dropped: int = 0
    planted: int = 0

    @property
    def falsely(self) -> int:
        return self.dropped - self.planted


@dataclass(frozen=True, slots=True)
class _Use:
    """A row's end, and the answers it rests on."""

    state: str
    step: str
    operator: str
    verb: str
    keys: tuple[str, ...]


def proof(account: Account) -> tuple[list[Defect], list[Judge]]:
    """Defects and judges of a rehearsal; both empty where nothing was planted."""
    _, calls = query(account.out, "SELECT key, planted FROM calls WHERE planted <> ''")
    planted: dict[str, str] = dict(calls)
    if not planted:
        return [], []
    line = {step["name"]: step["number"] for step in account.manifest["steps"]}
    uses = sorted(_uses(account), key=lambda use: (line.get(use.step, 0), use.operator, use.keys))  # a query has no order of its own
    return _defects(planted, uses), _judges(planted, uses)


def _uses(account: Account) -> Iterable[_Use]:
    verbs = {step["name"]: step["verb"] for step in account.manifest["steps"]}
    last = account.manifest["steps"][-1]["name"]
    for (calls,) in query(account.out, "SELECT calls FROM kept WHERE step = ?", [last])[1]:
        yield _Use("released", "", "", "", tuple(json.loads(calls).values()))
    for step, operator, reason, calls in query(account.out, "SELECT step, operator, reason, calls FROM dropped")[1]:
        state = "passed over" if verbs[step] in CHOICES else "caught"
        yield _Use(state, step, reason if operator == "ask" else operator, verbs[step], tuple(json.loads(calls).values()))
    for step, outcome, calls, key in query(account.out, "SELECT step, outcome, calls, key FROM unanswered")[1]:
        yield _Use("caught", step, outcome, "ask", (*json.loads(calls).values(), key))


def _defects(planted: Mapping[str, str], uses: Iterable[_Use]) -> list[Defect]:
    ends: dict[str, _Use] = {}
    for use in uses:
        for key in use.keys:
            if key in planted and (key not in ends or _rank(use, planted[key]) < _rank(ends[key], planted[key])):
                ends[key] = use
    defects: dict[str, Defect] = {}
    pools: dict[str, list[_Use]] = defaultdict(list)
    for key, use in sorted(ends.items()):
        name = planted[key].partition(":")[0]
        if _pooled(planted[key]):
            pools[planted[key]].append(use)
            continue
        _count(defects.setdefault(name, Defect(name)), [use])
    for label, members in sorted(pools.items()):
        name = label.partition(":")[0]
        _count(defects.setdefault(name, Defect(name)), _without_one(members))
    return sorted(defects.values(), key=lambda defect: defect.name)


def _rank(use: _Use, label: str) -> tuple[int, bool]:
    """Of two catches, the one by a judge of that kind of defect counts."""
    return _RANK[use.state], not _justifies(label, use.verb)


def _justifies(label: str, verb: str) -> bool:
    """A near-duplicate justifies `dedup` and nothing else; any other defect justifies every other judge."""
    return _pooled(label) == (verb == "dedup")


def _pooled(label: str) -> bool:
    """`near_duplicate:<pool>`; behind the colon of any other label stands the item that was planted."""
    return label.startswith("near_duplicate:")


def _without_one(members: list[_Use]) -> list[_Use]:
    """A pool less the member that may stay: a released one if there is one, else any that was not caught."""
    return sorted(members, key=lambda use: (use.state != "released", use.state != "passed over"))[1:]


def _count(defect: Defect, uses: Iterable[_Use]) -> None:
    for use in uses:
        defect.planted += 1
        defect.released += use.state == "released"
        defect.passed_over += use.state == "passed over"
        if use.state == "caught":
            defect.caught += 1
            defect.by[f"{use.step} · {use.operator}"] += 1


def _judges(planted: Mapping[str, str], uses: Iterable[_Use]) -> list[Judge]:
    judges: dict[tuple[str, str], Judge] = {}
    for use in uses:
        if use.state != "caught" or use.verb == "ask":
            continue
        judge = judges.setdefault((use.step, use.operator), Judge(use.step, use.operator))
        labels = [planted[key] for key in use.keys if key in planted]
        judge.dropped += 1
        judge.planted += any(_justifies(label, use.verb) for label in labels)
    return list(judges.values())


def totals(defects: Iterable[Defect]) -> dict[str, Any]:
    """The sums over all defects."""
    found = list(defects)
    return {name: sum(getattr(defect, name) for defect in found) for name in ("planted", "caught", "passed_over", "released")}
