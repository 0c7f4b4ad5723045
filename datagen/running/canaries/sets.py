"""Rows planted for the steps that see the whole set: items of benchmarks for `decontaminate`, edited copies and distinct neighbours for `dedup`.

Each step sees a sample of the build's own released rows with what is planted beside them, apart from the build: nothing of it is written.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from datagen.plan.model import Plan, PlannedStep, Stretch
from datagen.records import Row, digest
from datagen.rehearsal.defects import edited
from datagen.running.canaries.counts import Canary, Told
from datagen.running.canaries.damage import planted_row
from datagen.seeds.labelled import GOOD, LabelledSet
from datagen.spec.models import Decontaminate, Dedup
from datagen.steps.closing import judged
from datagen.steps.journal import Journal
from datagen.steps.sets.decontaminate import items
from datagen.steps.sets.leaks.overlap import Item
from datagen.steps.sets.leaks.traits import holds_code

SHARE = 0.05
"""Of a copy's words, replaced."""
SHORTEST = 20
"""Words of which one is such a share."""
_WORD = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\d+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


class Plot(NamedTuple):
    """What one step is shown."""

    stretch: Stretch
    around: Sequence[Row]
    """Rows of the build; what is planted is held against them."""
    canaries: Sequence[Canary]


def plots(plan: Plan, rows: Sequence[Row], sets: Sequence[LabelledSet], count: int) -> Iterator[Plot]:
    """What is planted for each set-wise step that looks for a fault."""
    for stretch in plan.stretches:
        step = stretch.closing
        if step is None:
            continue
        match step.spec:
            case Dedup():
                yield Plot(stretch, rows, list(_twins(step, step.spec, rows, count)))
            case Decontaminate() if step.references:
                yield Plot(stretch, (), list(_leaks(step, step.spec, rows, sets, count)))


def tried(plan: Plan, plot: Plot) -> list[Told]:
    """What the step says of each canary. It runs in any process; a pair of a row and its copy is caught when either is dropped for the other."""
    step = plot.stretch.closing
    assert step is not None
    journal = Journal((step,))
    judged(plan, plot.stretch, [*plot.around, *(canary.row for canary in plot.canaries)], journal)
    said = {record["row"]: record for record in journal.books[step.number].verdicts}
    causes = {record["evidence"][3:].partition(": ")[0] for record in said.values() if record["evidence"].startswith("of ") and not record["keep"]}
    told = []
    for canary in plot.canaries:
        kept = said[canary.row.id]["keep"] and canary.row.id not in causes
        told.append(Told([(step.name, step.verb, kept)], "" if kept else step.name))
    return told


# --- dedup ---


def _twins(step: PlannedStep, spec: Dedup, rows: Sequence[Row], count: int) -> Iterator[Canary]:
    """Copies with some words replaced by words of other rows; and rows that share much with one of the build and are none of its copies."""
    field = _field(spec.dedup.on, rows)
    texts = [str(row.fields.get(field) or "") for row in rows]
    words = sorted({word for text in texts for word in _WORD.findall(text) if len(word) > 2})
    for number, (row, text) in enumerate(zip(rows[:count], texts, strict=False)):
        chance, mine = random.Random(digest([row.id, "twin"])), f"{step.number}.{number}"
        if len(text.split()) < SHORTEST:
            continue
        copy = text if spec.dedup.exact_only else replaced(text, words, chance)
        yield Canary(planted_row(row, f"c{mine}", {field: copy}), "copy" if spec.dedup.exact_only else "edited_copy", step.name)
        neighbour = renumbered(text, chance) if spec.dedup.numbers == "keep" else text
        kind = "other_numbers"
        if neighbour == text:
            neighbour, kind = joined(text, texts[(number * 7 + 1) % len(texts)]), "shared_opening"
        if neighbour:
            yield Canary(planted_row(row, f"n{mine}", {field: neighbour}), kind, step.name, True)


def _field(on: str | list[str], rows: Sequence[Row]) -> str:
    """Of several fields the one with the most text."""
    names = [on] if isinstance(on, str) else on
    return max(names, key=lambda name: sum(len(str(row.fields.get(name) or "")) for row in rows))


def replaced(text: str, words: Sequence[str], chance: random.Random) -> str:
    """The text with a share of its words, one at least and no numbers, replaced by other words."""
    pieces = re.split(r"(\s+)", text)
    plain = [place for place, piece in enumerate(pieces) if _WORD.fullmatch(piece.strip(".,;:!?\"'()"))]
    for place in chance.sample(plain, min(len(plain), max(1, round(SHARE * len(text.split()))))):
        old = _WORD.search(pieces[place])
        assert old is not None
        pieces[place] = pieces[place].replace(old.group(), chance.choice([word for word in words if word != old.group()] or [old.group()]), 1)
    return "".join(pieces)


def renumbered(text: str, chance: random.Random) -> str:
    """The text with other numbers, each by as many as it was; one digit at least is added to each."""
    step = chance.randint(1, 7)
    return _DIGITS.sub(lambda found: str(int(found.group()) + step) if len(found.group()) < 12 else found.group(), text)


def joined(text: str, other: str) -> str:
    """The first third of a text, and the last third of another; empty where they are one, or too short."""
    mine, theirs = text.split(), other.split()
    if text == other or min(len(mine), len(theirs)) < SHORTEST:
        return ""
    return " ".join([*mine[: len(mine) // 3], *theirs[-(len(theirs) // 3) :]])


# --- decontaminate ---


def _leaks(step: PlannedStep, spec: Decontaminate, rows: Sequence[Row], sets: Sequence[LabelledSet], count: int) -> Iterator[Canary]:
    """Items of the step's own reference sets, alone or within a row, as they are and told anew by rule; with other numbers, which is the same
    template; and known-good texts of the sets that the spec names."""
    words, field = spec.decontaminate, _field(spec.decontaminate.on, rows)
    known = sorted((item for path in step.references for item in items(Path(path))), key=lambda item: digest(["canary", *item]))
    for number, item in enumerate(known[:count]):
        row, chance = rows[number % len(rows)], random.Random(digest([*item, "leak"]))
        for letter, (kind, text, wanted) in zip("vrt", _tellings(item, spec, chance), strict=False):
            within = str(row.fields.get(field) or "")
            fields = {name: "" for name in ([words.on] if isinstance(words.on, str) else words.on)}
            whole = f"{within}\n\n{text}" if number % 2 and within else text
            yield Canary(planted_row(row, f"{letter}{step.number}.{number}", fields | {field: whole}), kind, step.name, not wanted)
    names = {item.benchmark for item in known}
    texts = [row.text for each in sets if each.name not in names for row in each.rows if row.label == GOOD]
    for number, text in enumerate(texts[:count]):
        yield Canary(planted_row(rows[number % len(rows)], f"g{step.number}.{number}", {field: text}), GOOD, step.name, True)


def _tellings(item: Item, spec: Decontaminate, chance: random.Random) -> Iterator[tuple[str, str, bool]]:
    """(kind, text, whether the step is to drop it)."""
    drop = spec.decontaminate.drop
    yield "verbatim", item.text, "verbatim" in drop
    if holds_code(item.text) or len(item.text.split()) < SHORTEST:
        return
    yield "reworded", reworded(item.text, chance), "rephrased" in drop
    other = renumbered(item.text, chance)
    if other != item.text:
        yield "other_numbers", other, "same_template" in drop


def reworded(text: str, chance: random.Random) -> str:
    """The text told anew by rule: twice some words for others of the same sense, and what is asked before what is given."""
    sentences = [sentence for sentence in _SENTENCE.split(edited(edited(text, chance), chance)) if sentence]
    asked = [sentence for sentence in sentences if sentence.endswith("?")]
    return " ".join([*asked, *(sentence for sentence in sentences if not sentence.endswith("?"))])
