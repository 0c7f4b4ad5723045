"""How much the texts of each step differ, and of the release; over all rows, and over those of each value of the grid's axes.

Measured on a sample, so a data set of any size takes seconds: the rows with the lowest digests of their ids, which is a fair choice and hangs
on the set of rows alone. Figures are those of `variety`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datagen.release.catalogue import query
from datagen.release.formats import FORMATS
from datagen.release.measured.coverage import path_of
from datagen.release.measured.variety import GRAM, GROUP, LENGTHS, Variety, length_for, variety, words_of
from datagen.release.tables import COVERAGE, DIVERSITY, DIVERSITY_COLUMNS
from datagen.spec.terms import Collapse
from datagen.storage import each_record, read_json, write_table

SAMPLE = 4_000
"""Rows of a step that are looked at."""
WHOLE, CELL = 1_000, 3 * GROUP
"""Texts of the sample that all rows, and those of one value of an axis, are measured by."""
MOST_VALUES = 100
"""Values of an axis that are measured: those with the most rows in the sample."""
CHARACTERS = 2_000
"""Of a text that are looked at; they hold the words that are compared."""
MOST_ALARMS = 5
RELEASE = "release"
"""In place of a step's name."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One text of the sample."""

    words: Sequence[str]
    cell: Mapping[str, str]
    """Axis -> value, as text."""


def write_diversity(out: Path) -> list[dict[str, Any]]:
    """OUT/coverage/diversity.parquet, and its records."""
    records = list(diversity_of(out))
    write_table(out / COVERAGE / DIVERSITY, records, DIVERSITY_COLUMNS)
    return records


def diversity_of(out: Path) -> Iterator[dict[str, Any]]:
    """A record for each step and the release, and for each value of each axis; in the order of the line, the least diverse value first.

    `collapsed`: by the spec's `guard.collapse`.
    """
    plan, manifest = read_json(out / "plan.json"), read_json(out / "manifest.json")
    axes, limits = plan["seeds"].get("axes") or [], _limits(plan)
    steps = [step["name"] for step in manifest["steps"]]
    for text in [*plan.get("texts", []), _released(plan, steps)]:
        sample = _sample(out, text, steps, axes)
        length = length_for([each.words for each in sample])
        head = {name: text[name] for name in ("step", "number", "field")}
        whole = variety([each.words for each in sample[:WHOLE]], length)
        yield _record(head, "", "", whole, limits)
        for axis in axes:
            yield from sorted((_record(head, axis, *each, limits) for each in _by_value(sample, axis, length)), key=_least_diverse)


def _least_diverse(record: Mapping[str, Any]) -> tuple[bool, float, float, str]:
    return not record["collapsed"], -(record["repetition"] or 0.0), -record["opening_share"], record["value"]


def alarm(record: Mapping[str, Any], limits: Collapse) -> str:
    """What a build says of a value whose texts have become alike: one line, with the figures that say so and their limits."""
    which, found = f"{record['axis']} = {record['value']}" if record["axis"] else "all rows", []
    if record["opening_share"] >= limits.openings:
        begin = f"{record['opening_share']:.0%} of {record['rows']} begin with “{record['opening']} …”"
        found.append(f"{begin}, {100 * limits.openings:.4g}% may")
    if (repetition := record["repetition"] or 0.0) >= limits.repetition:
        runs = f"{repetition:.0%} of the runs of {GRAM} words in {record['rows']} stand in another of {GROUP}"
        found.append(f"{runs}, {100 * limits.repetition:.4g}% may")
    return f"{record['step']}: texts of {which} are alike: {'; '.join(found)}"


def alarms(out: Path) -> list[str]:
    """One line for each value that has collapsed in the last release, or before in its line; and one for the rest where there are many."""
    path, first = out / COVERAGE / DIVERSITY, dict[tuple[str, str], str]()
    limits = _limits(read_json(out / "plan.json"))
    for record in each_record(path) if limits and path.exists() else ():
        if limits and record["collapsed"]:
            first.setdefault((record["axis"], record["value"]), alarm(record, limits))
    found = list(first.values())
    return found[:MOST_ALARMS] + ([f"{len(found) - MOST_ALARMS} more values have collapsed: see the report"] if len(found) > MOST_ALARMS else [])


def _limits(plan: Mapping[str, Any]) -> Collapse | None:
    return Collapse(**plan["collapse"]) if plan.get("collapse") else None


def _record(head: Mapping[str, Any], axis: str, value: str, found: Variety, limits: Collapse | None) -> dict[str, Any]:
    met = limits is not None and limits.met(found.rows, found.opening_share, found.repetition or 0.0)
    return {**head, "axis": axis, "value": value, **asdict(found), "collapsed": met}


def _by_value(sample: Sequence[Sampled], axis: str, length: int) -> Iterator[tuple[str, Variety]]:
    """Values with a group of texts at least."""
    found: dict[str, list[Sequence[str]]] = {}
    for each in sample:
        if axis in each.cell:
            found.setdefault(each.cell[axis], []).append(each.words)
    most = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_VALUES]
    for value, texts in most:
        if len(texts) >= GROUP:
            yield value, variety(texts[:CELL], length)


# --- the sample ---


def _released(plan: Mapping[str, Any], steps: Sequence[str]) -> dict[str, Any]:
    """The release as if it were a step: what is left at the end of the line."""
    words = plan["release"]
    form = FORMATS.get(words["format"])(columns=words.get("columns") or {})
    needs = form.needs()
    field = form.field(form.reads) if form.reads in needs else list(needs.values())[-1]
    return {"step": RELEASE, "number": len(steps), "field": field, "siblings": False}


_TEXTS = """
SELECT md5(id) AS drawn, coalesce(nullif(parent, ''), id) AS family, coalesce(calls ->> {call}, id) AS answer,
  left(CASE json_type(fields, {field}) WHEN 'VARCHAR' THEN fields ->> {field} ELSE (fields -> {field})::VARCHAR END, {characters}) AS said, {values}
FROM ({rows}) WHERE md5(id) < '{below}' AND json_type(fields, {field}) <> 'NULL' {asked} ORDER BY drawn"""


def _sample(out: Path, text: Mapping[str, Any], steps: Sequence[str], axes: Sequence[str]) -> list[Sampled]:
    """Texts in the order of their digests; each answer once, and of siblings one."""
    later = [name for number, name in enumerate(steps) if number > text["number"]]
    rows, columns = [f"SELECT id, parent, fields, calls FROM kept WHERE step = {_quoted(steps[-1])}"], "id, parent, fields, calls"
    if later:
        named = ", ".join(map(_quoted, later))
        rows += [f"SELECT {columns} FROM {view} WHERE step IN ({named})" for view in ("dropped", "unanswered")]
    source = " UNION ALL ".join(rows)
    released = text["step"] == RELEASE
    _, [(count,)] = query(out, f"SELECT count(*) FROM ({source})")
    values = ", ".join(f"fields ->> {path_of(name)} AS a{place}" for place, name in enumerate(axes)) or "NULL"
    call = path_of(text["step"])
    words = {"call": call, "field": path_of(text["field"]), "values": values, "rows": source, "below": _below(count), "characters": CHARACTERS}
    _, found = query(out, _TEXTS.format(**words, asked="" if released else f"AND json_exists(calls, {call})"))
    seen: set[str] = set()
    sample: list[Sampled] = []
    for _, family, answer, said, *cell in found:
        one = family if text["siblings"] else answer
        if one not in seen and len(sample) < SAMPLE:
            seen.add(one)
            sample.append(Sampled(words_of(said, LENGTHS[0]), {axis: value for axis, value in zip(axes, cell, strict=False) if value is not None}))
    return sample


def _below(count: int) -> str:
    """The digest under which somewhat more than SAMPLE of so many rows lie."""
    share = 1.2 * SAMPLE / max(count, 1)
    return "g" if share >= 1 else f"{int(share * 2**64):016x}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
