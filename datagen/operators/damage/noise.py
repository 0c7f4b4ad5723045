"""Letters of a wrong encoding, and the noise of scanners."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator
from datagen.operators.features import Innocent

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
    if "\ufffd" in text or not text.replace("\n", "").replace("\t", "").isprintable():
        yield from (found.start() for found in _CONTROL.finditer(text))


_ROMAN = re.compile("[mdclxvi]+", re.IGNORECASE)
"""A number, whatever letters stand side by side in it."""
_RARE = (
    "aaeoq bcdfghkmnpqvwxz cbdfgjmnpqvwxz dbcfhjkqtxz ez fbcdghjkmnpqsvwxz gbcfjkmpqvwxz hbcdfghjkpqvwxz ihijwy jbcdfghijklmnpqrstvwxyz "
    "kbcdfghjkmpqrtuvwxyz lghjnqwxz mcdfghjkqrtvwxz nbjqwxz oq pbcdfgjknqvwxz qabcdefghijklmnopqrstvwxyz rjqxz sbgjrvxz tdfgjkqvxz uhjkquvwxz "
    "vbcdfghjklmnpqrstuvwxyz wbcdfgjkmpquvxyz xbdfghjklmnoqrsuvwxz ybfhjkqruvwxyz zbcdfghjklmnpqrstuvwxy"
)
_PAIRS = frozenset(group[0] + second for group in _RARE.split() for second in group[1:])
"""Pairs of letters that make less than 6 in 100,000 of the pairs of English words (counted on every second row of GSM8K, OpenStax and GPTeacher's
role plays: 1.4 million words, of which 1.3 % hold such a pair)."""
_REAL = tuple(
    "acqui adhere adjac adjust algae algebra algorithm always analyz anxi anyth anyw aquari aquati backgr backpack backward backyard bankrupt "  # noqa: SIM905
    "belief birthday bouquet breadth breakfast breakthrough broadcast childhood classroom clockwise comfort conjunct counterclock cowboy crowd "
    "cupcake discomfort disrupt downward earthquake enjoy enzyme everyth everyw exhaust exhibit exotic extraordinar feedback freez goldfish "
    "grandf halfway handb handful harmful healthc heavy helpful highway husband hybrid illness inject injur inquir inward judgm keyboard "
    "keyword kiwi landscap lawyer lazy likelihood luxur maneuv maybe meaningful meanwhile mortgage mrs myriad nationwide navy neighb newborn "
    "northw obvious offset offspring outfit pathway picnic pigment platform popcorn portfolio powder puzzl pyramid quartz railway rainbow "
    "raspberr risky rocky sandwich segment sexual skull sky southw straightf strawberr submarin submit syrup teamwork thoughtful transv tyrann "
    "uncomf unwant upcom updat upward vacuum vulnerab warmth weekd width withdr workday workforc workplac workweek".split()
)
"""Beginnings of common words that hold such a pair (the most frequent of the words that were found so)."""
_INSIDE = re.compile(r"[a-z](?:[0158|!;^~<>@#])[a-z]")
_EDGE = ".,;:!?()[]{}\"'“”‘’*_`-–—"


class OcrNoise(Operator):
    """Words as a scanner misreads them: letters that never stand together ("tbe", "aud"), digits and signs inside words ("l1ght", "wh;ch").

    Works on English prose; words of formulas, addresses and other languages' letters are passed over. The score is the share of such
    words among all that differ; one with a digit inside counts twice, since names have none.
    """

    version: ClassVar[int] = 2
    made_for: ClassVar[frozenset[str]] = frozenset({"prose", "maths", "chat"})
    keeps: ClassVar = (
        "Water boils at 100 degrees. H2O and CO2 are molecules; HTML5 is not. The 3rd and the 21st of May were warm, and x1 = 5.",
        "Das Wasser ist kalt, weil die Sonne es noch nicht erwärmt hat, und die Kinder warten am Ufer auf den Sommer.",
    )
    drops: ClassVar = ("Tbe water of tbe 1ake is co1d bec4use the sun h;s not w8rmed it yet, and tbc chi1dren wait f0r the summcr wbile they play.",)

    at_most: float = Field(default=0.055, ge=0, le=1)
    """Share of the different words; those that begin alike count once, so that a strange name does.
    Chosen on every second row of GSM8K, OpenStax and GPTeacher's role plays; short rows need less, see filters/rationale.yaml."""
    min_odd: int = Field(default=4, ge=1)
    """Fewer odd words than this are names and abbreviations, whatever their share."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        words = self.features(fields).distinct
        odd = sorted({_core(word)[:5]: word for word in _READ.guilty(words, _odd)}.values())
        count = len(odd) + sum(any(map(str.isdigit, word)) for word in odd)
        share = count / len(words) if words else 0.0
        if count >= self.min_odd and share > self.at_most:
            return Finding(False, "ocr_noise", share, " ".join(odd[:12]))
        return Finding(True, score=share)


_READ = Innocent()


def _core(word: str) -> str:
    """The word without the signs around it."""
    return word.strip(_EDGE)


def _odd(word: str) -> bool:
    """Whether the word looks misread."""
    core = _core(word)
    if len(core) < 3 or len(core) > 30 or not core.isascii() or _ROMAN.fullmatch(core):
        return False
    if core.isalpha():
        return not (_PAIRS.isdisjoint(map("".join, pairwise(core))) or core.startswith(_REAL))
    letters = sum(map(str.isalpha, core))
    prose = letters * 2 > len(core) and not any(sign in core for sign in ("//", "_", "\\", "(", "="))
    return prose and bool(_INSIDE.search(core))
