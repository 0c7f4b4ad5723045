"""Street addresses in running text: a house number with a street's word, in the forms of several countries."""

from __future__ import annotations

import re
from collections.abc import Iterator

from datagen.operators.features import Innocent, features_of

_STREET = (
    r"(?:Street|St\.?|Road|Rd\.?|Avenue|Ave\.?|Boulevard|Blvd\.?|Lane|Ln\.?|Drive|Dr\.?|"
    r"Court|Ct\.?|Place|Pl\.?|Way|Terrace|Square|Highway|Hwy\.?|Parkway|Pkwy\.?|Circle|Crescent|Close)"
)
_NUMBER = re.compile(r"\d (?=[A-Z]|(?:rue|avenue|boulevard|calle|via|rua|place) [A-ZÀ-Þ])")
_NUMBER_OF_SUITE = re.compile(r"\d (?=[^\W\d])")
"""The last digit of what may be a house number."""
_SUITES = ("Suite ", "suite ", "Apt", "apt ", "apt. ")
_NUMBERED = re.compile(
    rf"(?<![\w.,])\d{{1,5}} (?:(?:[NSEW]\.? )?(?:[A-Z][\w'.-]* ){{1,4}}{_STREET}(?=[,\n]? ?(?:$|[,\n#]|Suite|Apt|Unit|Floor|\d{{5}}|[A-Z]))"
    r"|(?:[Rr]ue|avenue|boulevard|calle|via|rua|place) [A-ZÀ-Þ]\w+"
    r"|[^\W\d][^\n.!?]{0,40} (?:[Ss]uite|[Aa]pt\.?) \d{1,4}\b)",
    re.MULTILINE,
)
_ADDRESS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (words, re.compile(pattern, re.MULTILINE))
    for words, pattern in (
        (("stra", "gasse", "laan", "gatan", "vägen", "allee"), r"(?:straat|straße|strasse|gasse|laan|gatan|vägen|allee) \d{1,4}\b"),
        (("uite", "pt.", "pt ", "partment"), r"\b(?:[Ss]uite|[Aa]pt\.|[Aa]pt|[Aa]partment) #?\d{2,4}\b[^.!?]{0,60}\b\d{5}\b"),
        (("ZIP", "Zip", "zip", "ostal code"), r"\b(?:ZIP|[Zz]ip(?: code)?|[Pp]ostal code)\s*:\s*\d{5}\b"),
        (
            ("address", "live at", "lives at", "live on", "lives on", " is at ", "located at", "return to "),
            r"\b(?:address(?:es)?\b[^.?!\d]{0,40}|lives? (?:at|on) |(?:restaurant|house|office|shop) is (?:located )?at |return to |located at )"
            r"\d{1,4} (?:\d{1,4} )?[^\W\d][\w.]{3,}(?: [\w.]+){0,4} \d{1,4}\b",
        ),
    )
)
"""(one of these words must be there, the pattern): a look for a word is forty times as fast as the pattern."""
_NOTED = re.compile(r"\b(?:1600 Pennsylvania|10 Downing|221B? Baker|123 (?:Main|Elm|Maple|Oak|Any|Fake)|742 Evergreen)", re.IGNORECASE)

_PLAIN = Innocent()
_TELLING = re.compile(
    r"(?:straat|straße|strasse|gasse|laan|gatan|vägen|allee|suite|apt\.?|apartment|lives?|restaurant|house|office|shop|located|return)$"
    r"|zip|postal|address"
    r"|\b(?:street|st|road|rd|avenue|ave|boulevard|blvd|lane|ln|drive|dr|court|ct|place|pl|way|terrace|square|highway|hwy|parkway|pkwy|circle|crescent"
    r"|close|rue|calle|via|rua)\b"
)
"""A word of this kind, in lower case, is in every address."""


def _first_digit(text: str, last: int) -> int:
    """Where the number that ends there begins, of up to five digits."""
    first = last
    while first > 0 and last - first < 4 and text[first - 1].isdecimal():
        first -= 1
    return first


def addresses(text: str, fictional: bool) -> Iterator[tuple[int, int]]:
    """(start, end) of every address; with `fictional`, of those too that are known from books (221B Baker Street)."""
    if not _PLAIN.guilty(features_of(text).distinct, lambda word: bool(_TELLING.search(word))):
        return
    patterns = [pattern for words, pattern in _ADDRESS if any(word in text for word in words)]
    starts = _NUMBER_OF_SUITE if any(word in text for word in _SUITES) else _NUMBER
    numbered = (_NUMBERED.match(text, _first_digit(text, number.start())) for number in starts.finditer(text))
    for found in (*numbered, *(found for pattern in patterns for found in pattern.finditer(text))):
        if found and (fictional or not _NOTED.match(found.group())):
            yield found.span()
