"""A recipe held against labelled rows: what each operator drops of the good, and what it finds of the bad."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datagen.errors import SetupError, SpecError
from datagen.operators.base import Operator
from datagen.operators.recipe import Recipe
from datagen.plan.files import items_of
from datagen.records import digest
from datagen.release.measured.benched import TABLE, identity_of
from datagen.release.measured.intervals import rate
from datagen.running.canaries.damage import SHORTEST, ways
from datagen.runtime.pool import ProcessPool
from datagen.seeds.labelled import GOOD, READY, Labelled, LabelledSet, labelled_set, ready_made
from datagen.spec.library import SHIPPED, Library
from datagen.spec.reading import Written, read_yaml
from datagen.steps.rows.judge import Said, judge, named
from datagen.storage import write_json

ALL = "any operator"
"""The line of the table for the recipe as a whole."""
EXAMPLES = 2
"""Rows shown of each operator: good ones that it drops."""
MADE_FOR: Mapping[str, tuple[str, ...]] = {
    "code": ("humaneval", "mbpp"),
    "instructions": ("gpteacher",),
    "rationale": ("gsm8k",),
    "textbook": ("openstax",),
}
"""Recipe that ships -> the ready-made sets of what it is made for. `web` is for pages, of which there is no set."""
CODE, OF_PROSE = frozenset(("humaneval", "mbpp")), frozenset(("splice", "shuffle", "wrong_language"))
"""Sets of programs, and the damage that is none to a program."""
DAMAGED = 900
"""Rows of each set that `shipped` damages: a hundred of each of nine kinds."""


@dataclass
class Tally:
    """What one operator said of all rows."""

    good: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    """Set -> [good rows it drops, good rows]."""
    bad: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    """Kind -> [bad rows it drops, bad rows]."""
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, name: str, row: Labelled, drops: bool, why: str) -> None:
        count = self.good[name] if row.label == GOOD else self.bad[row.label]
        count[0] += drops
        count[1] += 1
        if drops and row.label == GOOD and len(self.examples) < EXAMPLES:
            self.examples.append({"set": name, "why": why, "text": row.text[:200]})

    def table(self) -> dict[str, Any]:
        """As it is written: each count with its share and its interval of 95 %."""
        every = [sum(counts) for counts in zip(*self.good.values(), strict=True)] or [0, 0]
        good, bad = ({name: rate(*counts) for name, counts in sorted(counts_of.items())} for counts_of in (self.good, self.bad))
        return {"good": good, "all_good": rate(*every), "bad": bad, "examples": self.examples}


def bench(name: str, sets: Sequence[str], take: int, library: Path | None, damaged: int = 0, own: bool = False) -> Iterator[str]:
    """Measure, say it, and write `<recipe>.bench.json` beside the recipe, without any text of the sets; what stands beside a recipe that ships
    is `shipped`'s to write. Of each set's good rows `damaged` are damaged on purpose, a kind in turn, as canaries are. Raises SpecError,
    SeedError or SetupError before anything is measured.
    """
    written = _written(name, library)
    recipe = Recipe.build(items_of(written.value, written.where()), lambda index: written.where((index,)))
    wanted = list(sets) or list(MADE_FOR.get(written.path.stem, ())) or ready_made()
    if not wanted:
        raise SetupError(f"no labelled rows: name some with --on, or set DATAGEN_SHARED for the ready-made sets ({', '.join(READY)})")
    _told_apart(wanted)
    rows = [labelled_set(text, take, "--on") for text in wanted]
    rows += [each for labelled in rows if (each := spoilt(labelled, recipe, damaged)).rows]
    able = Recipe(tuple(each for each in recipe.operators if all(_readable(each[1], labelled.rows[0]) for labelled in rows)))
    tallies, late = asyncio.run(_measured(able, rows))
    table: dict[str, Any] = {
        "recipe": written.path.stem,
        **identity_of(recipe, written.text),
        "sets": [{"name": each.name, "rows": len(each.rows), "digest": each.digest} for each in rows],
        "operators": {operator: tally.table() for operator, tally in tallies.items()},
        "not_measured": sorted({name for name, _ in named(recipe)} - {name for name, _ in named(able)}),
        "took_too_long": late,
    }
    place = written.path.with_name(f"{written.path.stem}{TABLE}")
    yield from _shown(table)
    if not own and place.resolve().is_relative_to(SHIPPED / "filters"):
        yield f"not written: {place.name} beside a recipe that ships is made by --shipped alone; copy the recipe, and bench the copy by its path"
        return
    write_json(place, {**table, "operators": {name: _textless(counts) for name, counts in table["operators"].items()}})
    yield f"written to {place}"


def shipped(take: int) -> Iterator[str]:
    """The recipes that ship, each on the known-good sets of what it is made for: what stands beside them is made by this alone."""
    for name in MADE_FOR:
        yield from bench(name, (), take, None, DAMAGED, own=True)


def _told_apart(sets: Sequence[str]) -> None:
    """Raises SpecError for a set without a name, and for two of one name: counts are kept by names."""
    names = [text.partition("=")[0].strip() for text in sets]
    for text, name in zip(sets, names, strict=True):
        if not name:
            raise SpecError(f"--on {text}: the set has no name; write NAME=FILE:FIELD")
        if names.count(name) > 1:
            raise SpecError(f"--on {text}: the set {name!r} is named twice; name each set once, and files apart: one=A.jsonl two=B.jsonl")


def spoilt(labelled: LabelledSet, recipe: Recipe, count: int) -> LabelledSet:
    """So many good rows of a set, damaged; rows too short to be damaged are passed over."""
    kinds = ways([operator for _, operator in recipe.operators], english=True, prompted=False)
    kinds = {kind: way for kind, way in kinds.items() if labelled.name not in CODE or kind not in OF_PROSE}
    good, made = [row for row in labelled.rows if row.label == GOOD], list[Labelled]()
    for number in range(count if good else 0):
        row, other, kind = good[number % len(good)], good[(number * 7 + 1) % len(good)], list(kinds)[number % len(kinds)]
        if len(row.text.split()) >= SHORTEST:
            text = kinds[kind](row.text, other.text, "", random.Random(digest([row.text, kind, number])))
            made += [Labelled(text, kind, row.fields)] if text and text != row.text else []
    return LabelledSet(f"{labelled.name}, damaged", tuple(made), digest([[row.text, row.label] for row in made]))


def _textless(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Without the examples: rows of a set may not be ours to hand on."""
    return {name: value for name, value in counts.items() if name != "examples"}


def _written(name: str, library: Path | None) -> Written:
    """A recipe by path, or by name."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise SpecError(f"{name}: no such file")
        return read_yaml(path)
    return Library.around(None, library).recipe(name, "bench-filters")


async def _measured(recipe: Recipe, sets: Sequence[LabelledSet]) -> tuple[dict[str, Tally], int]:
    """Operator -> what it said, the whole recipe last; and how many rows no operator came to an end with."""
    tallies = {name: Tally() for name, _ in named(recipe)} | {ALL: Tally()}
    pool, late = ProcessPool(), 0
    try:
        for each in sets:
            answers = await asyncio.gather(*(pool.call(judge, recipe, _fields(recipe, row), recipe.deadline()) for row in each.rows))
            for row, said in zip(each.rows, answers, strict=True):
                late += said is None
                _count(tallies, recipe, each.name, row, said)
    finally:
        pool.close()
    return tallies, late


def _readable(operator: Operator, row: Labelled) -> bool:
    """Whether a row has what an operator reads; one that looks at texts looks at the text, whatever field the recipe names."""
    texts = {operator.on} if type(operator).model_fields["on"].default == "text" else set()
    return not set(operator.reads()) - texts - {"text", *row.fields}


def _fields(recipe: Recipe, row: Labelled) -> dict[str, Any]:
    """The row as a step would see it: its text is whatever field an operator looks at that it does not have itself."""
    texts = {operator.on: row.text for _, operator in recipe.operators if operator.on not in row.fields}
    return {**row.fields, **texts, "text": row.text}


def _count(tallies: Mapping[str, Tally], recipe: Recipe, name: str, row: Labelled, said: Sequence[Said] | None) -> None:
    """A row that takes too long is dropped by the recipe, as in a build, and by no operator in particular."""
    drops = [each for each in said or () if not each.finding.keep]
    for each in said or ():
        tallies[each.operator].add(name, row, not each.finding.keep, _why(each))
    why = "took_too_long" if said is None else f"{drops[0].operator}: {_why(drops[0])}" if drops else ""
    tallies[ALL].add(name, row, said is None or bool(drops), why)


def _why(said: Said) -> str:
    return " ".join(f"{said.finding.reason} {said.finding.evidence[:80]}".split())


def _shown(table: Mapping[str, Any]) -> Iterator[str]:
    sets = ", ".join(f"{each['name']} ({each['rows']:,} rows)" for each in table["sets"])
    yield f"{table['recipe']} ({table['recipe_sha256'][:12]}) on {sets}"
    if table["not_measured"]:
        yield f"not measured, for these rows lack what they read: {', '.join(table['not_measured'])}"
    for operator, counts in table["operators"].items():
        yield f"{operator:<18} good dropped {_share(counts['all_good'])}"
        if len(counts["good"]) > 1:
            yield from (f"    {name:<14} {_share(each)}" for name, each in counts["good"].items() if each["found"])
        yield from (f"    finds {name:<14} {_share(each)}" for name, each in counts["bad"].items() if each["found"] or operator == ALL)
        yield from (f"    e.g. {each['set']}: {each['why']}: {' '.join(each['text'].split())[:100]}" for each in counts["examples"])


def _share(each: Mapping[str, Any]) -> str:
    if each["share"] is None:
        return "none counted"
    return f"{each['found']:,} of {each['of']:,} = {100 * each['share']:.2f} % (95 %: {100 * each['low']:.2f}-{100 * each['high']:.2f} %)"
