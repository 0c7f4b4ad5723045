"""Rows to read: kept ones, chosen by digest of the id and not by taste, and dropped ones with what decided."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datagen.release.catalogue import query
from datagen.release.pages.figures import Account, shown

KEPT, DROPPED, LOST = 8, 2, 2
"""Samples of released rows, per reason, and per outcome."""
TWIN = 160
"""Characters shown of the row that a near-duplicate repeats."""
SHORT = 80
"""Characters up to which a field is shown in the line of small facts."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One released row as a person reads it."""

    id: str
    parts: Sequence[tuple[str, str]]
    """(column, text) of the format's columns, or (role, text) of a chat."""
    reasoning: str
    losers: Sequence[Mapping[str, Any]]
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Lost:
    """Rows of one step that share operator and reason (dropped), or outcome (unanswered)."""

    step: str
    operator: str
    reason: str
    rows: int
    examples: Sequence[Mapping[str, Any]]
    """[{id, text, field, evidence, found, score, error}]"""


def kept_samples(account: Account) -> list[Sample]:
    columns, rows = query(account.out, f"SELECT * FROM rows ORDER BY md5(id) LIMIT {KEPT}")
    return [_sample(account, dict(zip(columns, row, strict=True))) for row in rows]


def _sample(account: Account, row: Mapping[str, Any]) -> Sample:
    if account.form.emits() == ("messages",):
        parts = [(turn["role"], turn["content"]) for turn in row["messages"]]
    else:
        parts = [(name, str(row[name])) for name in account.form.emits() if row.get(name)]
    others = {name: _unpacked(row[name]) for name in account.other_fields}
    losers = [_readable(loser) for value in _readable(others).values() if _is_folded(value) for loser in value]
    scores = [(name, f"{score:g}") for name, score in (row.get("scores") or {}).items() if score is not None]
    plain = [(name, shown(value)) for name, value in others.items() if value is not None and not isinstance(value, list | dict)]
    seen = dict(scores)
    facts = scores + [(name, text) for name, text in plain if len(text) <= SHORT and seen.get(name) != text]
    return Sample(row["id"], parts, row.get("reasoning") or "", losers, [*facts, ("teacher", row["teacher"]), ("split", row["split"])])


def _unpacked(value: Any) -> Any:
    """A JSON text column as its value."""
    if isinstance(value, str) and value[:1] in "[{":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _readable(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without log-probabilities, which are for machines."""
    return {name: value for name, value in fields.items() if not name.endswith("_logprobs")}


def _is_folded(value: Any) -> bool:
    """What `select` folds into a winner: a list of mappings."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def dropped_samples(account: Account) -> list[Lost]:
    """Per step, operator and reason, in the order of the line; most frequent first within a step."""
    counted = "SELECT step, operator, reason, count(*) FROM dropped GROUP BY ALL"
    chosen = (
        "SELECT step, operator, reason, id, fields, evidence, score, NULL FROM dropped "
        f"QUALIFY row_number() OVER (PARTITION BY step, operator, reason ORDER BY md5(id)) <= {DROPPED} ORDER BY md5(id)"
    )
    return _groups(account, counted, chosen)


def unanswered_samples(account: Account) -> list[Lost]:
    """Per step and outcome."""
    counted = "SELECT step, '', outcome, count(*) FROM unanswered GROUP BY ALL"
    chosen = (
        "SELECT step, '', outcome, id, fields, '', NULL, error FROM unanswered "
        f"QUALIFY row_number() OVER (PARTITION BY step, outcome ORDER BY md5(id)) <= {LOST} ORDER BY md5(id)"
    )
    return _groups(account, counted, chosen)


def _groups(account: Account, counted: str, chosen: str) -> list[Lost]:
    order = {step["name"]: step["number"] for step in account.manifest["steps"]}
    _, counts = query(account.out, counted)
    _, examples = query(account.out, chosen)
    groups = []
    for step, operator, reason, number in sorted(counts, key=lambda row: (order.get(row[0], 0), -row[3], row[1], row[2])):
        mine = [_example(account, row[3:]) for row in examples if row[:3] == (step, operator, reason)]
        groups.append(Lost(step, operator or "", reason or "", number, mine))
    return groups


def _example(account: Account, row: Sequence[Any]) -> dict[str, Any]:
    identity, fields, evidence, score, error = row
    values = json.loads(fields)
    name, found = _telling(account, values, (evidence or "").strip())
    twin = {} if found else _twin(account, evidence or "")
    if twin:
        name = _most_alike(values, twin) or name
    facts = [(field, shown(value)) for field, value in values.items() if (error or field != name) and _is_small(value)]
    text = values.get(name)
    text = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    return {
        "id": identity,
        "field": name,
        "text": text,
        "evidence": evidence or "",
        "found": found,
        "twin": " ".join(str(twin.get(name) or "").split())[:TWIN],
        "score": score,
        "error": error or "",
        "facts": facts[:6],
    }


def _twin(account: Account, evidence: str) -> Mapping[str, Any]:
    """The fields of another row that the evidence names by its id: what a near-duplicate repeats."""
    named = re.search(r"r1:[0-9a-f]{20}", evidence)
    if not named:
        return {}
    _, found = query(account.out, "SELECT fields FROM kept WHERE id = ? ORDER BY length(fields) DESC LIMIT 1", [named[0]])
    return dict(json.loads(found[0][0])) if found else {}


def _most_alike(one: Mapping[str, Any], two: Mapping[str, Any]) -> str:
    """The text field in which two rows share most words: there they repeat each other. Then the longest."""
    texts = [name for name, value in one.items() if isinstance(value, str) and isinstance(two.get(name), str) and len(value.split()) >= 5]
    return max(texts, key=lambda name: (_shared(one[name], two[name]), len(one[name]), name), default="")


def _shared(one: str, two: str) -> float:
    words = set(one.lower().split()), set(two.lower().split())
    return len(words[0] & words[1]) / max(1, len(words[0] | words[1]))


def _is_small(value: Any) -> bool:
    return isinstance(value, str | int | float | bool) and len(str(value)) <= SHORT


def _telling(account: Account, values: Mapping[str, Any], evidence: str) -> tuple[str, bool]:
    """The field to show, and whether the evidence stands in it: the longest that holds it, else what a reader of the release sees."""
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    holding = [name for name, text in texts.items() if evidence and evidence in text]
    if holding:
        return max(holding, key=lambda name: (len(texts[name]), name)), True
    reads = account.form.field(account.form.reads)
    if reads in texts:
        return reads, False
    return max(texts or values or {"": ""}, key=lambda name: (len(str(values.get(name))), name)), False
