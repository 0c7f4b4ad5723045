"""Letters of a wrong encoding, and the noise of scanners."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator

_SEQUENCE = re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2[\u0080-\u009f\u20ac\u201a-\u2122]|\u00c3[\u00a0-\u00ff\u0192\u201a-\u2122]|ï¿½|â€")
"""UTF-8 read as Latin-1 or Windows-1252: the lead byte of a two- or three-byte sign as a letter, then a continuation byte."""
_LEADS = ("\u00c2", "\u00c3", "\u00e2", "\u00ef\u00bf\u00bd")
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ufffd\ufffe\uffff\ud800-\udfff]")


class Mojibake(Operator):
    """Text of a wrong encoding: UTF-8 read as Latin-1, replacement signs, control characters; the score is the count per 1,000 signs."""

    keeps: ClassVar = ("The café opened in 1999 — its naïve owner paid 5 €.", "Ångström and Ñandú are words.")
    drops: ClassVar = ("The cafÃ© opened and itâ€™s still the best one.", "A \ufffd stands where a letter stood.", "A\x00B")

    at_most: float = Field(default=0.0, ge=0)
    """Damaged signs per 1,000 characters."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        text = self.text(fields)
        places = list(_damaged(text))
        score = 1000 * len(places) / max(1, len(text))
        if score > self.at_most:
            return Finding(False, "mojibake", score, text[max(0, places[0] - 20) : places[0] + 20])
        return Finding(True, score=score)


def _damaged(text: str) -> Iterator[int]:
    if not text.isascii() and any(lead in text for lead in _LEADS):
        yield from (found.start() for found in _SEQUENCE.finditer(text))
    yield from (found.start() for found in _CONTROL.finditer(text))
