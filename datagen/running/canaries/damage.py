"""Texts made bad or taken as good, for a build's filters.

Bad ones are damage done to the build's own released rows; what damage needs of words (refusals, another language) is the simulator's, which
knows no operator. Good ones are texts of sets that the spec names, in the place of the judged field.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from datagen.operators.base import Operator
from datagen.plan.model import Plan, PlannedStep
from datagen.records import Row, digest
from datagen.running.canaries.counts import Canary
from datagen.seeds.labelled import GOOD, LabelledSet
from datagen.spec.templates import own_words

SHORTEST = 12
"""Words that a text needs to be damaged: of fewer nothing is left to see the damage by."""
_SENTENCES = re.compile(r"(?<=[.!?])\s+")


def bad_ones(plan: Plan, filters: Sequence[PlannedStep], rows: Sequence[Row], count: int) -> list[Canary]:
    """`count` damaged rows, fewer where most cannot be damaged: every kind of damage for every filter that judges texts, in turn."""
    english, prompted = set(plan.spec.release.language) == {"en"}, any(step.prompt for step in plan.steps)
    operators = [operator for step in filters if step.recipe for _, operator in step.recipe.operators]
    kinds, able, made = list(ways(operators, english, prompted).items()), _able(filters, rows), list[Canary]()
    for number in range(TRIES * count if able else 0):
        if len(made) == count:
            break
        kind, damage = kinds[number % len(kinds)]
        step, at = able[_turn(number, len(kinds)) % len(able)], _turn(number, len(rows)) % len(rows)
        row, other, target = rows[at], rows[(at * 7 + 1) % len(rows)], _target(step, rows[at])
        text = str(row.fields.get(target) or "")
        if len(text.split()) < SHORTEST:
            continue
        damaged = damage(text, str(other.fields.get(target) or ""), _prompt(plan, filters), random.Random(digest([row.id, kind, number])))
        if damaged and damaged != text:
            made.append(Canary(planted_row(row, f"bad{number}", {target: damaged}), kind, step.name))
    return made


def good_ones(filters: Sequence[PlannedStep], rows: Sequence[Row], sets: Sequence[LabelledSet], count: int) -> list[Canary]:
    """At most `count` known-good texts of all sets in turn, on the field of every filter that judges texts in turn. They see filters alone:
    what a check wants to know beside a text (its answer, its tests) is another row's."""
    turns = itertools.zip_longest(*(found.rows for found in sets))
    texts = [row.text for turn in turns for row in turn if row and row.label == GOOD]
    names, able, made = tuple(step.name for step in filters), _able(filters, rows), list[Canary]()
    for number, text in enumerate(texts[:count] if able else []):
        row, step = rows[number % len(rows)], able[_turn(number, len(sets)) % len(able)]
        if target := _target(step, row):
            made.append(Canary(planted_row(row, f"good{number}", {target: text}), GOOD, step.name, True, names))
    return made


def _turn(number: int, size: int) -> int:
    """One further at each round of `size`: what is taken by this meets, in time, each of what is taken by `number % size`."""
    return sum(divmod(number, size))


def _able(filters: Sequence[PlannedStep], rows: Sequence[Row]) -> list[PlannedStep]:
    """The filters that judge a field with text enough to be damaged; one that holds a score against a number judges none."""
    return [step for step in filters if any(len(str(row.fields.get(_target(step, row)) or "").split()) >= SHORTEST for row in rows)]


def planted_row(row: Row, number: str, fields: Mapping[str, Any]) -> Row:
    """A row of the build with other fields, under an id that no row has: at most 22 letters, as set-wise steps take one."""
    name = f"canary:{number}"
    return Row(name, "", name, {**row.fields, **fields})


def _target(step: PlannedStep, row: Row) -> str:
    """The field with text that a filter's operators look at most; empty where they look at none."""
    assert step.recipe is not None
    names = [operator.on for _, operator in step.recipe.operators if isinstance(row.fields.get(operator.on), str)]
    return max(names, key=names.count, default="")


def _prompt(plan: Plan, filters: Sequence[PlannedStep]) -> str:
    """The words of the last prompt before the first filter; empty where none is."""
    before = [step for step in plan.steps if step.prompt and step.number < filters[0].number]
    return "\n".join(own_words(before[-1].prompt.body)).strip() if before and before[-1].prompt else ""


Damage = Callable[[str, str, str, random.Random], str]


TRIES = 8
"""Draws of a damage, after so many that repeat an operator's example there is none; and rows that are tried for each damaged one that is wanted."""


def unlike(examples: Collection[str], damage: Damage) -> Damage:
    """The damage without the words that an operator's author shows as an example: who wrote the rule did not write what tests it."""

    def drawn(text: str, other: str, prompt: str, rng: random.Random) -> str:
        for _ in range(TRIES):
            damaged = damage(text, other, prompt, rng)
            if not any(example in damaged and example not in text for example in examples):
                return damaged
        return ""

    return drawn


def _examples(operators: Sequence[Operator]) -> set[str]:
    """The texts of at least a few words that operators show of themselves."""
    examples = [each for operator in operators for each in (*operator.keeps, *operator.drops)]
    shown = [value for each in examples for value in ([each] if isinstance(each, str) else each.values())]
    return {value.strip() for value in shown if isinstance(value, str) and len(value.split()) > 3}


def ways(operators: Sequence[Operator], english: bool, prompted: bool) -> Mapping[str, Damage]:
    """Kind -> how it is done to a text that these operators are to judge. A paragraph of another language is no damage where a release has
    other languages than English."""
    from datagen.rehearsal.defects import planted  # what a build without canaries never loads

    def by(name: str) -> Damage:
        return lambda text, other, prompt, rng: planted(name, text, prompt, rng)[0]

    kinds: dict[str, Damage] = {name: by(name) for name in ("repetition", "truncation", "refusal", "meta_talk", "pii")}
    kinds |= {"mojibake": mojibake, "splice": splice, "shuffle": shuffle}
    if english:
        kinds["wrong_language"] = by("wrong_language")
    if prompted:
        kinds["prompt_echo"] = lambda text, other, prompt, rng: by("prompt_echo")(text, other, prompt, rng) if prompt else ""
    examples = _examples(operators)
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
