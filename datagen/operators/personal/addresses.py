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
_NUMBERED = re.compile(
    rf"(?<![\w.,])\d{{1,5}} (?:(?:[NSEW]\.? )?(?:[A-Z][\w'.-]* ){{1,4}}{_STREET}(?=[,\n]? ?(?:$|[,\n#]|Suite|Apt|Unit|Floor|\d{{5}}|[A-Z]))"
    r"|(?:[Rr]ue|avenue|boulevard|calle|via|rua|place) [A-ZÀ-Þ]\w+"
    r"|[^\W\d][^\n.!?]{0,40} (?:[Ss]uite|[Aa]pt\.?) \d{1,4}\b)",
    re.MULTILINE,
)
_ADDRESS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (re.compile(words), re.compile(pattern, re.MULTILINE))
    for words, pattern in (
        (
            r"(?:straat|straße|strasse|gasse|laan|gatan|vägen|allee)$",
            r"(?:straat|straße|strasse|gasse|laan|gatan|vägen|allee) \d{1,4}\b",
        ),
        (
            r"(?:suite|apt\.?|apartment)$",
            r"\b(?:[Ss]uite|[Aa]pt\.|[Aa]pt|[Aa]partment) #?\d{2,4}\b[^.!?]{0,60}\b\d{5}\b",
        ),
        (r"zip|postal", r"\b(?:ZIP|[Zz]ip(?: code)?|[Pp]ostal code)\s*:\s*\d{5}\b"),
        (
            r"address|(?:lives?|restaurant|house|office|shop|located|return)$",
            r"\b(?:address(?:es)?\b[^.?!\d]{0,40}|lives? (?:at|on) |(?:restaurant|house|office|shop) is (?:located )?at |return to |located at )"
            r"\d{1,4} (?:\d{1,4} )?[^\W\d][\w.]{3,}(?: [\w.]+){0,4} \d{1,4}\b",
        ),
    )
)
"""(a word of this kind, in lower case, must be there; the pattern): words were mostly seen before, so to look at them costs nearly nothing."""
_NAMED = re.compile(
    r"\b(?:street|st|road|rd|avenue|ave|boulevard|blvd|lane|ln|drive|dr|court|ct|place|pl|way|terrace|square|highway|hwy|parkway|pkwy|circle|crescent"
    r"|close|rue|calle|via|rua)\b"
)
"""The same for _NUMBERED, but for its suites."""
_TELLING = re.compile("|".join(f"(?:{words.pattern})" for words in (*(words for words, _ in _ADDRESS), _NAMED)))
_PLAIN = Innocent()
_NOTED = re.compile(r"\b(?:1600 Pennsylvania|10 Downing|221B? Baker|123 (?:Main|Elm|Maple|Oak|Any|Fake)|742 Evergreen)", re.IGNORECASE)


def _first_digit(text: str, last: int) -> int:
    """Where the number that ends there begins, of up to five digits."""
    first = last
    while first > 0 and last - first < 4 and text[first - 1].isdecimal():
        first -= 1
    return first


def addresses(text: str, fictional: bool) -> Iterator[tuple[int, int]]:
    """(start, end) of every address; with `fictional`, of those too that are known from books (221B Baker Street)."""
    telling = _PLAIN.guilty(features_of(text).distinct, lambda word: bool(_TELLING.search(word)))
    if not telling:
        return
    patterns = [pattern for words, pattern in _ADDRESS if any(map(words.search, telling))]
    suite = any(map(_ADDRESS[1][0].search, telling))
    starts = _NUMBER_OF_SUITE if suite else _NUMBER if any(map(_NAMED.search, telling)) else None
    numbered = (_NUMBERED.match(text, _first_digit(text, number.start())) for number in (starts.finditer(text) if starts else ()))
    for found in (*numbered, *(found for pattern in patterns for found in pattern.finditer(text))):
        if found and (fictional or not _NOTED.match(found.group())):
            yield found.span()
