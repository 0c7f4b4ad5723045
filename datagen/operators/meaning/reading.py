"""How hard a text is to read, against the audience that was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator

from datagen.operators.base import Finding, Operator

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_STOP = re.compile(r"[.!?]+(?:\s|$)|\n\s*\n")
_VOWELS = re.compile(r"[aeiouy]+")
_BANDS = {"child": (-5.0, 7.5), "pupil": (-5.0, 9.0), "teenager": (2.0, 12.0), "student": (4.0, 18.0), "adult": (4.0, 18.0), "expert": (7.0, 30.0)}


class ReadingLevel(Operator):
    """The grade of Flesch and Kincaid (Kincaid et al. 1975, CNTECHTRA RBR 8-75) lies in the band of the row's audience; the score is the grade.

    0.39 words a sentence + 11.8 syllables a word - 15.59, syllables counted as groups of vowels. The first word of `bands` in the audience decides
    ("a curious child of ten" is a child); a row whose audience names none is kept, as is one too short to be measured.
    """

    made_for: ClassVar[frozenset[str]] = frozenset({"prose", "chat"})
    keeps: ClassVar = (
        {"text": "The sun is hot. It warms the sea. Then the water goes up and makes a cloud. " * 3, "audience": "a child of eight"},
        {"text": "Thermodynamic equilibrium characterises macroscopic configurations.", "audience": "child"},
    )
    drops: ClassVar = (
        {
            "text": "Thermodynamic equilibrium characterises macroscopic configurations in which no observable quantity undergoes spontaneous "
            "modification, notwithstanding the continual microscopic rearrangement of constituent particles; consequently, thermodynamic "
            "descriptions necessarily presuppose statistical representations of extraordinarily numerous interacting degrees of freedom.",
            "audience": "child",
        },
    )

    audience: str = "audience"
    """The field that says for whom the text is."""
    bands: dict[str, tuple[float, float]] = Field(default_factory=lambda: dict(_BANDS))
    """Word in the audience -> lowest and highest grade (years of school)."""
    min_words: int = Field(default=30, ge=1)

    @field_validator("bands")
    @classmethod
    def _ordered(cls, value: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (low, high) in value.items():
            if low >= high:
                raise ValueError(f"{name}: the lowest grade {low:g} is not below the highest {high:g}")
        return value

    def reads(self) -> tuple[str, ...]:
        return (self.on, self.audience)

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        audience = str(fields.get(self.audience) or "").lower()
        band = next((bounds for name, bounds in self.bands.items() if name in audience), None)
        grade, words = _grade(self.features(fields).lower)
        if words < self.min_words:
            return Finding(True)
        if band is None or band[0] <= grade <= band[1]:
            return Finding(True, score=grade)
        return Finding(False, "too_hard" if grade > band[1] else "too_easy", grade, f"grade {grade:.1f}, wanted {band[0]:g} to {band[1]:g}")


def _grade(text: str) -> tuple[float, int]:
    words = _WORD.findall(text)
    if not words:
        return 0.0, 0
    sentences = max(1, len(_STOP.findall(text)))
    syllables = sum(max(1, len(_VOWELS.findall(word)) - (word.endswith("e") and not word.endswith("le"))) for word in words)
    return 0.39 * len(words) / sentences + 11.8 * syllables / len(words) - 15.59, len(words)
