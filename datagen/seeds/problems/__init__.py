"""True problems with computed steps, as seeds: question, answer and family, even over the families."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from datagen.errors import SeedError, SpecError
from datagen.seeds.base import Listing
from datagen.seeds.problems.family import Family, Params
from datagen.shelf import Shelf

FAMILIES = Shelf(
    "problem family",
    {
        "shopping_change": "datagen.seeds.problems.themes.money:SHOPPING",
        "discount_and_tax": "datagen.seeds.problems.themes.money:DISCOUNT",
        "fewest_coins": "datagen.seeds.problems.themes.logic:CHANGE",
        "compound_interest": "datagen.seeds.problems.themes.money:INTEREST",
        "ratio_sharing": "datagen.seeds.problems.themes.money:RATIO",
        "average_missing_score": "datagen.seeds.problems.themes.money:AVERAGE",
        "greatest_common_length": "datagen.seeds.problems.themes.numbers:GCD",
        "meeting_of_cycles": "datagen.seeds.problems.themes.numbers:LCM",
        "number_to_base": "datagen.seeds.problems.themes.programs:TO_BASE",
        "sum_of_divisors": "datagen.seeds.problems.themes.numbers:PRIMES",
        "roman_numerals": "datagen.seeds.problems.themes.timing:ROMAN",
        "fraction_balance": "datagen.seeds.problems.themes.numbers:FRACTIONS",
        "order_of_operations": "datagen.seeds.problems.themes.numbers:EXPRESSION",
        "linear_equation": "datagen.seeds.problems.themes.algebra:LINEAR",
        "ages": "datagen.seeds.problems.themes.algebra:AGES",
        "heads_and_legs": "datagen.seeds.problems.themes.algebra:LEGS",
        "arithmetic_series": "datagen.seeds.problems.themes.algebra:SEQUENCE",
        "mixture": "datagen.seeds.problems.themes.algebra:MIXTURE",
        "speed_units": "datagen.seeds.problems.themes.measure:UNITS",
        "border_area": "datagen.seeds.problems.themes.measure:PATH",
        "pythagoras": "datagen.seeds.problems.themes.measure:LADDER",
        "average_speed": "datagen.seeds.problems.themes.measure:AVERAGE_SPEED",
        "meeting_point": "datagen.seeds.problems.themes.measure:MEETING",
        "weekday_after": "datagen.seeds.problems.themes.timing:WEEKDAY",
        "days_between_dates": "datagen.seeds.problems.themes.timing:DAYS_BETWEEN",
        "clock_arithmetic": "datagen.seeds.problems.themes.timing:CLOCK_TIME",
        "schedule_overlap": "datagen.seeds.problems.themes.timing:OVERLAP",
        "two_draws": "datagen.seeds.problems.themes.counting:URN",
        "dice_sum": "datagen.seeds.problems.themes.counting:DICE",
        "choosing_a_team": "datagen.seeds.problems.themes.counting:COMMITTEE",
        "arranging_letters": "datagen.seeds.problems.themes.counting:ARRANGEMENTS",
        "inclusion_exclusion": "datagen.seeds.problems.themes.counting:SETS",
        "truth_tellers_and_liars": "datagen.seeds.problems.themes.logic:LIARS",
        "putting_in_order": "datagen.seeds.problems.themes.logic:ORDER",
        "syllogism": "datagen.seeds.problems.themes.logic:SYLLOGISM",
        "loop_trace": "datagen.seeds.problems.themes.programs:LOOP",
        "bubble_sort_pass": "datagen.seeds.problems.themes.programs:BUBBLE",
        "binary_search": "datagen.seeds.problems.themes.programs:SEARCH",
        "string_slice": "datagen.seeds.problems.themes.programs:SLICE",
    },
)
_TRIES = 200
"""Draws in a row that bring nothing new, after which a family counts as used up."""


@cache
def all_families() -> tuple[Family, ...]:
    """Every family on the shelf, by name."""
    return tuple(FAMILIES.get(name) for name in FAMILIES)


def known_question(text: str) -> tuple[Family, Params, str] | None:
    """The last question of any family in `text`: (family, parameters, the question as it stands there)."""
    best: tuple[int, Family, Params, str] | None = None
    for family in all_families():
        found = family.find(text)
        if found is not None and (best is None or found[2] > best[0]):
            best = (found[2], family, found[1], found[0])
    return None if best is None else best[1:]


class Problems(BaseModel):
    """So many distinct problems, in turn from each family. A larger `count` yields the same ones first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    families: list[str] | Literal["all"] = "all"
    count: int = Field(default=1000, ge=1)
    seed: int = 0

    @field_validator("families")
    @classmethod
    def _known(cls, names: list[str] | Literal["all"]) -> list[str] | Literal["all"]:
        if not names:
            raise ValueError("name at least one family, or write 'all'")
        for name in () if names == "all" else names:
            try:
                FAMILIES.get(name)
            except SpecError as error:
                raise ValueError(str(error)) from error
        return names

    def rows(self, base: Path | None = None, listing: Listing | None = None) -> Iterator[dict[str, Any]]:
        """{question, answer, family}. Raises SeedError when a family has no more distinct problems."""
        names = list(FAMILIES) if self.families == "all" else list(dict.fromkeys(self.families))
        streams = [self._distinct(FAMILIES.get(name)) for name in names]
        for index in range(self.count):
            yield next(streams[index % len(streams)])

    def _distinct(self, family: Family) -> Iterator[dict[str, Any]]:
        rng = random.Random(f"{self.seed}:{family.name}")
        seen: set[str] = set()
        misses = 0
        while misses < _TRIES:
            params = family.draw(rng)
            question = family.render(params, rng)
            if question in seen:
                misses += 1
                continue
            misses = 0
            seen.add(question)
            yield {"question": question, "answer": family.solve(params).answer, "family": family.name}
        raise SeedError(f"problems: the family {family.name!r} has no more than about {len(seen):,} distinct problems; take fewer, or add families")
