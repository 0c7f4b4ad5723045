"""What a text claims of its source: numbers, dates and names that must stand there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator

_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-zà-ÿ]{2,}(?:[ -][A-Z][a-zà-ÿ]{2,}){0,3}")
"""Capital words within a sentence; the first word of a sentence says nothing."""
_SAID = {word: str(number) for number, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())}  # noqa: SIM905
_COMMON = frozenset(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday English French German European American God Earth Internet Web Figure Table "  # noqa: SIM905
    "Chapter Section Example Step Question Answer Part".split()
)


class Grounding(Operator):
    """The numbers, dates and names of a summary or rewrite stand in its source; the score is the share that does.

    Numbers are compared by value (1,200 is 1200, "three" is 3), names word by word without case. Small numbers up to `free` pass: lists count
    themselves. It finds what was invented, not what was said wrongly of the right names.
    """

    keeps: ClassVar = (
        {"text": "In 1863 president Lincoln spoke for two minutes.", "source": "Abraham Lincoln spoke at Gettysburg in 1863, for 2 minutes."},
        {"text": "It rained.", "source": ""},
    )
    drops: ClassVar = (
        {"text": "In 1864 president Lincoln spoke there.", "source": "Abraham Lincoln spoke at Gettysburg in 1863."},
        {"text": "In 1863 president Grant spoke there.", "source": "Abraham Lincoln spoke at Gettysburg in 1863."},
    )

    source: str = "source"
    """The field with what the text is made from."""
    at_least: float = Field(default=0.9, ge=0, le=1)
    """Share of numbers and names that must stand in the source."""
    free: int = Field(default=3, ge=0)
    """Numbers up to this one need no source."""

    def reads(self) -> tuple[str, ...]:
        return (self.on, self.source)

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        text, source = self.text(fields), str(fields.get(self.source) or "")
        known = {*_values(source), *(_SAID[word] for word in source.lower().split() if word in _SAID)}
        words = set(re.findall(r"[^\W\d_]+", source.lower()))
        numbers = [number for number in _values(text) if not (number.isdigit() and len(number) < 9 and int(number) <= self.free)]
        names = [name for name in dict.fromkeys(_NAME.findall(text)) if name not in _COMMON]
        strange = [number for number in numbers if number not in known]
        strange += [name for name in names if not all(part.lower() in words for part in re.split(r"[ -]", name))]
        claims = len(numbers) + len(names)
        share = 1 - len(strange) / claims if claims else 1.0
        if share < self.at_least:
            return Finding(False, "not_in_source", share, " | ".join(strange[:10]))
        return Finding(True, score=share)


def _values(text: str) -> list[str]:
    """The numbers by value, each once, in order."""
    found = (number.replace(",", "") for number in _NUMBER.findall(text))
    return list(dict.fromkeys((number.rstrip("0").rstrip(".") if "." in number else number.lstrip("0") or "0") for number in found))
