"""Canaries: rows known to be good or bad that go through a build's filters and nowhere else, so that it can tell how sure its filters are.

The arithmetic is that of planted faults (`release/pages/planted.py`), for builds whose teachers label nothing. Bad ones are damage done to
the build's own released rows; what damage needs of words (refusals, another language) is the simulator's, which knows no operator. Good
ones are texts of sets that the spec names, in the place of the judged field. They have a journal of their own that is never written: no
count, no deduplication, no quota, no released byte depends on them.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from datagen.asking.ask import Asker
from datagen.plan.model import Plan, PlannedStep
from datagen.records import Row, digest
from datagen.release.intervals import rate
from datagen.release.tables import CANARIES
from datagen.runtime.pool import ProcessPool
from datagen.seeds.labelled import GOOD, labelled_set
from datagen.spec.models import Filter
from datagen.spec.templates import own_words
from datagen.steps.journal import Journal
from datagen.steps.part import part_folder
from datagen.steps.walk import visit
from datagen.steps.work import Work
from datagen.storage import read_rows, write_json

SHORTEST = 12
"""Words that a text needs to be damaged: of fewer nothing is left to see the damage by."""
_SENTENCES = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Canary:
    """One planted row; `kind` says what is bad about it, or is `good`."""

    row: Row
    kind: str


@dataclass
class _Count:
    """What one operator, or all together, said of canaries."""

    good: list[int] = field(default_factory=lambda: [0, 0])
    bad: list[int] = field(default_factory=lambda: [0, 0])
    """[dropped, seen]."""

    def add(self, kind: str, dropped: bool) -> None:
        count = self.good if kind == GOOD else self.bad
        count[0] += dropped
        count[1] += 1


async def plant(plan: Plan, out: Path, base: Path) -> None:
    """Measure the filters of a build whose rows stand under OUT/steps, and write it to steps/canaries.json. `base`: of the spec's paths."""
    filters = [step for step in plan.steps if isinstance(step.spec, Filter)]
    (out / "steps" / CANARIES).unlink(missing_ok=True)
    wanted = plan.spec.guard.canaries
    rows = list(_some_rows(plan, out / "steps", wanted.count)) if filters and wanted.count else []
    if not rows:
        return
    canaries = [*bad_ones(plan, filters, rows, wanted.count), *_good_ones(plan, filters, rows, base)]
    if not canaries:  # texts of a few words
        return
    pool = ProcessPool(size=1)
    try:
        told = await asyncio.gather(*(_walked(canary, plan, filters, pool) for canary in canaries))
    finally:
        pool.close()
    write_json(out / "steps" / CANARIES, counted(canaries, told))


def _some_rows(plan: Plan, root: Path, count: int) -> Iterator[Row]:
    """About `count` rows of the end of the line, from as few parts as it takes, both by digests: the same rows give the same choice."""
    last = plan.stretches[-1]
    folder = root / (last.closing.folder if last.closing else part_folder(plan, last.number)) / "kept"
    found = 0
    for path in sorted(folder.glob("*.parquet"), key=lambda path: digest(["canaries", path.stem])):
        some = sorted(read_rows(path), key=lambda row: digest(["canary", row.id]))[: count - found]
        found += len(some)
        yield from some
        if found >= count:
            return


# --- what is planted ---


def bad_ones(plan: Plan, filters: Sequence[PlannedStep], rows: Sequence[Row], count: int) -> list[Canary]:
    """At most `count` damaged rows: every kind of damage in turn, on every judged field in turn."""
    kinds, made = _kinds(plan, _examples(filters)), list[Canary]()
    for number in range(count):
        row, other = rows[number % len(rows)], rows[(number * 7 + 1) % len(rows)]
        kind, target = list(kinds)[number % len(kinds)], _targets(filters, row, number)
        text = str(row.fields.get(target) or "")
        if len(text.split()) < SHORTEST:
            continue
        rng = random.Random(digest([row.id, kind, number]))
        damaged = kinds[kind](text, str(other.fields.get(target) or ""), _prompt(plan, filters), rng)
        if damaged and damaged != text:
            made.append(_canary(row, number, target, damaged, kind))
    return made


def _good_ones(plan: Plan, filters: Sequence[PlannedStep], rows: Sequence[Row], base: Path) -> list[Canary]:
    wanted = plan.spec.guard.canaries
    sets = [labelled_set(name, wanted.count, "guard.canaries.good:", base) for name in wanted.good]
    turns = itertools.zip_longest(*(found.rows for found in sets))
    texts = [row.text for turn in turns for row in turn if row and row.label == GOOD]
    made = []
    for number, text in enumerate(texts[: wanted.count]):
        row = rows[number % len(rows)]
        if target := _targets(filters, row, number):
            made.append(_canary(row, number, target, text, GOOD))
    return made


def _canary(row: Row, number: int, target: str, text: str, kind: str) -> Canary:
    """A row of the build with another text, under an id that no row has."""
    name = f"canary:{number}:{kind}"
    return Canary(Row(name, "", name, {**row.fields, target: text}), kind)


def _targets(filters: Sequence[PlannedStep], row: Row, number: int) -> str:
    """The field that a filter's operators look at most, of one filter after another."""
    step = filters[number % len(filters)]
    assert step.recipe is not None
    names = [operator.on for _, operator in step.recipe.operators if isinstance(row.fields.get(operator.on), str)]
    return max(names, key=names.count, default="")


def _prompt(plan: Plan, filters: Sequence[PlannedStep]) -> str:
    """The words of the last prompt before the first filter; empty where none is."""
    before = [step for step in plan.steps if step.prompt and step.number < filters[0].number]
    return "\n".join(own_words(before[-1].prompt.body)).strip() if before and before[-1].prompt else ""


Damage = Callable[[str, str, str, random.Random], str]


TRIES = 8
"""Draws of a damage; after so many that repeat an operator's example there is none."""


def unlike(examples: Collection[str], damage: Damage) -> Damage:
    """The damage without the words that an operator's author shows as an example: who wrote the rule did not write what tests it."""

    def drawn(text: str, other: str, prompt: str, rng: random.Random) -> str:
        for _ in range(TRIES):
            damaged = damage(text, other, prompt, rng)
            if not any(example in damaged and example not in text for example in examples):
                return damaged
        return ""

    return drawn


def _examples(filters: Sequence[PlannedStep]) -> set[str]:
    """The texts of at least a few words that the operators of these filters show of themselves."""
    operators = [operator for step in filters if step.recipe for _, operator in step.recipe.operators]
    examples = [each for operator in operators for each in (*operator.keeps, *operator.drops)]
    shown = [value for each in examples for value in ([each] if isinstance(each, str) else each.values())]
    return {value.strip() for value in shown if isinstance(value, str) and len(value.split()) > 3}


def _kinds(plan: Plan, examples: Collection[str]) -> Mapping[str, Damage]:
    """Kind -> how it is done to a text. A paragraph of another language is no damage where a release has other languages than English."""
    from datagen.rehearsal.defects import planted  # what a build without canaries never loads

    def by(name: str) -> Damage:
        return lambda text, other, prompt, rng: planted(name, text, prompt, rng)[0]

    kinds: dict[str, Damage] = {name: by(name) for name in ("repetition", "truncation", "refusal", "meta_talk", "pii")}
    kinds |= {"mojibake": mojibake, "splice": splice, "shuffle": shuffle}
    if set(plan.spec.release.language) == {"en"}:
        kinds["wrong_language"] = by("wrong_language")
    if any(step.prompt for step in plan.steps):
        kinds["prompt_echo"] = lambda text, other, prompt, rng: by("prompt_echo")(text, other, prompt, rng) if prompt else ""
    return {kind: unlike(examples, damage) for kind, damage in kinds.items()}


def mojibake(text: str, other: str, prompt: str, rng: random.Random) -> str:
    """UTF-8 read as Windows-1252: of typographic signs, and of a few letters with accents where a text has too few of them."""
    curly = text.replace("'", "’").replace('"', "“").replace(" - ", " – ")
    if sum(not sign.isascii() for sign in curly) < 4:
        places = [at for at, sign in enumerate(curly) if sign == "e"]
        chosen = set(rng.sample(places, min(len(places), 6)))
        curly = "".join("é" if at in chosen else sign for at, sign in enumerate(curly))
    return curly.encode("utf-8", "surrogatepass").decode("cp1252", "replace")


def splice(text: str, other: str, prompt: str, rng: random.Random) -> str:
    """The first part of a text, up to a word within it, and another row's text from within; empty where the other is too short."""
    mine, theirs = text.split(" "), other.split(" ")
    if text == other or len(theirs) < SHORTEST:
        return ""
    return " ".join([*mine[: round(len(mine) * rng.uniform(0.3, 0.6))], *theirs[round(len(theirs) * rng.uniform(0.3, 0.6)) :]])


def shuffle(text: str, other: str, prompt: str, rng: random.Random) -> str:
    """All sentences in another order; empty where there are fewer than five."""
    sentences = _SENTENCES.split(text)
    if len(sentences) < 5:
        return ""
    rng.shuffle(sentences)
    return " ".join(sentences)


# --- what became of it ---


async def _walked(canary: Canary, plan: Plan, filters: Sequence[PlannedStep], pool: ProcessPool) -> list[tuple[str, bool]]:
    """(step.operator, whether it kept the canary), over all filters until one has dropped it; `step.filter` where no operator came to an end."""
    journal, row = Journal(tuple(filters)), canary.row
    work = Work(plan, cast(Asker, None), pool, journal)  # a filter asks nobody
    for step in filters:
        went_on = await visit(step, row, work)
        if went_on is None:
            break
        row = went_on
    return [(f"{each['step']}.{each['operator']}", each["keep"]) for book in journal.books.values() for each in book.verdicts]


def counted(canaries: Sequence[Canary], told: Sequence[Sequence[tuple[str, bool]]]) -> dict[str, Any]:
    """Escapes and false drops, of all and of each operator, with their intervals of 95 %."""
    whole, kinds, operators = _Count(), defaultdict[str, _Count](_Count), defaultdict[str, _Count](_Count)
    for canary, verdicts in zip(canaries, told, strict=True):
        dropped = any(not kept for _, kept in verdicts)
        whole.add(canary.kind, dropped)
        kinds[canary.kind].add(canary.kind, dropped)
        for name, kept in verdicts:
            operators[name].add(canary.kind, not kept)
    caught, bad = whole.bad
    return {
        "bad": bad,
        "good": whole.good[1],
        "escapes": rate(bad - caught, bad),
        "false_drops": rate(*whole.good),
        "kinds": {kind: rate(*count.bad) for kind, count in sorted(kinds.items()) if kind != GOOD},
        "operators": {name: {"false_drops": rate(*count.good), "caught": rate(*count.bad)} for name, count in operators.items()},
    }
