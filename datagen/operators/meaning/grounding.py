"""What a text claims of its source: numbers, dates and names that must stand there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator
from datagen.operators.claims.values import clean, number

_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?")
_UPPER = "".join(filter(str.isupper, map(chr, range(0x41, 0x530))))
_LOWER = "".join(filter(str.islower, map(chr, range(0x61, 0x530))))
_NAME = re.compile(rf"(?<=[{_LOWER},;] )(?:[{_UPPER}][{_LOWER}]{{2,}}(?:[ -][{_UPPER}][{_LOWER}]{{2,}}){{0,3}}|[{_UPPER}]{{2,}}(?!\w))")
"""Capital words within a sentence, Latin, Greek or Cyrillic, and abbreviations; the first word of a sentence says nothing."""
_COUNT = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty"
)
_COUNTS = "|".join(f"{_COUNT} fifty sixty seventy eighty ninety".split())
_SAID = re.compile(rf"\b(?:one|{_COUNTS})(?:(?: and |[ -])(?:one|{_COUNTS}|hundred|thousand|million|billion))*\b", re.IGNORECASE)
_COMMON = frozenset(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday English French German European American God Earth Internet Web Figure Table "  # noqa: SIM905
    "Chapter Section Example Step Question Answer Part NOT AND OR ALL NO ONLY MUST NEVER ALWAYS".split()
)


class Grounding(Operator):
    """The numbers, dates and names of a summary or rewrite stand in its source; the score is the share that does.

    Numbers are compared by value (1,200 is 1200, "twenty" is 20), names word by word without case, abbreviations with the
    source's initials too. Small numbers up to `free` pass: lists count themselves. It finds what was invented, not what was
    said wrongly of the right names.
    """

    version: ClassVar[int] = 2
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
        known = set(_values(source))
        initials = "".join(re.findall(rf"\b[{_UPPER}]", source))
        words = set(re.findall(r"[^\W\d_]+", source.lower()))
        numbers = [value for value in _values(text) if not (value.isdigit() and len(value) < 9 and int(value) <= self.free)]
        names = [name for name in dict.fromkeys(_NAME.findall(text)) if name not in _COMMON]
        strange = [value for value in numbers if value not in known]
        strange += [
            name for name in names if not all(part.lower() in words for part in re.split(r"[ -]", name)) and not (name.isupper() and name in initials)
        ]
        claims = len(numbers) + len(names)
        share = 1 - len(strange) / claims if claims else 1.0
        if share < self.at_least:
            return Finding(False, "not_in_source", share, " | ".join(strange[:10]))
        return Finding(True, score=share)


def _values(text: str) -> list[str]:
    """The numbers by value, each once, in order."""
    found = [digits.replace(",", "") for digits in _NUMBER.findall(text)]
    plain = [(digits.rstrip("0").rstrip(".") if "." in digits else digits.lstrip("0") or "0") for digits in found]
    said = (number(clean(words)) for words in _SAID.findall(text) if words.lower() != "one")
    return list(dict.fromkeys((*plain, *(str(value) for value in said if value))))
