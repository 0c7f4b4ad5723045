"""What the set-wise steps take for a word: one reading of a text, the same for every script.

A word is a run of characters that are neither white space nor punctuation, so combining marks stay with their letters; scripts written
without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) count one word per character.
"""

from __future__ import annotations

import re
import unicodedata

_STOPS = (
    r"!-/:-@\[-\^`{-~\u00a1-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf×÷"  # ASCII without the underscore, Latin-1
    r"\u060c\u061b\u061f\u06d4\u0964\u0965"  # Arabic, Devanagari
    r"\u200b-\u200f\u2010-\u205e\u3001-\u3003\u3008-\u301f\u30fb\ufeff\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)
_SPACELESS = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = rf"[{_SPACELESS}]|[^\s{_STOPS}{_SPACELESS}]+"
OPERATORS = "-+*/^<>=×÷±%&|!"
SIGNS = OPERATORS + "'"
"""What a token that is no word begins with."""
_RUN = rf"[{OPERATORS}]"
_ALONE = rf"[!&|](?!{_RUN})"  # these count for nothing alone: prose, columns of a table
_RIGHT = r"[\d(\[{\\$-]|\w\b"
_NAME_RIGHT = r"[\w(\[{\"'\\$]"
# An operator stands between operands with a space on both sides or on neither. With spaces, words and quotations are operands; but for a dash,
# and without spaces, only digits, brackets and single letters are: so `a-b`, `3 + 4`, `low < high` and `x = -3` hold operators,
# `well-known`, `and/or`, `**bold**` and a `- list item` do not. Between names `<=`, `+=`, `&&` and their like stand whatever the spaces.
_BETWEEN = (
    rf"(?:(?<=\b\w)|(?<=[\d)\]}}])|(?<=\d[%°!]))(?!{_ALONE}){_RUN}+(?={_RIGHT})"
    rf"|(?:(?<=\b\w )|(?<=[\d)\]}}] )|(?<=\d[%°!] ))-+(?= (?:{_RIGHT}))"
    rf"|(?:(?<=[\w)\]}}\"'] )|(?<=\d[%°!] ))(?!-+ |{_ALONE}){_RUN}++(?= (?:{_NAME_RIGHT}|[-!]))"
    rf"|(?:(?<=[\w)\]}}\"'])|(?<=[\w)\]}}\"'] ))(?=.[=&|]){_RUN}++(?= ?{_NAME_RIGHT})"
    r"|(?<![^\s(\[{=$])(?:[-±](?=\d)|!(?=[\w(]))"  # negative; not
    rf"|(?:(?<=\b\w)(?<!['’]\w)|(?<=\b\w\))|(?<=\d\)))!(?!{_RUN})"  # a factorial; after a digit it is a part of the number
    r"|(?<=\b\w)'+(?=\()"  # a derivative
)
_MARK = r"(?:(?<=\d)(?:[%°]|!(?!=)))?"
_LANGUAGE = r"\b[cf](?:\+\+|#)(?!\w)"  # C++, C#, F#: not C
STOPS, SPACELESS, OPERATOR, MARK = (re.compile(f"[{letters}]+") for letters in (_STOPS, _SPACELESS, OPERATORS, "%°!'"))
"""Runs of characters of a kind."""
_words = re.compile(rf"{_LANGUAGE}|{_WORD}")
_tokens = re.compile(rf"{_LANGUAGE}|(?=[{SIGNS}])(?:{_BETWEEN})|(?:\d+(?:\.\d+)+|{_WORD}){_MARK}")
_inside = re.compile(r"(?<=\d)(?:,(?=\d{3}(?!\d))| (?=[%°]))")
_SMALL = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
_TENS = "thirty forty fifty sixty seventy eighty ninety"
SPELLED = {
    "zero": "0",
    **{word: str(number) for number, word in enumerate(_SMALL.split(), start=2)},
    **{word: str(10 * number) for number, word in enumerate(_TENS.split(), start=3)},
    **{"hundred": "100", "thousand": "1000", "million": "1000000", "dozen": "12", "half": "1/2", "twice": "2x", "thrice": "3x"},
}
"""English number words, which say as much as digits in a word problem; `one` is left out, for it is mostly a pronoun."""
SAME = {"double": "2", "doubled": "2", "doubles": "2", "twice": "2", "2x": "2", "couple": "2", "pair": "2"}
SAME |= {"triple": "3", "tripled": "3", "triples": "3", "thrice": "3", "3x": "3", "quadruple": "4", "quarter": "1/4", "quarters": "1/4"}
"""Words that say a number in another way, for comparing two wordings: a copy does not change them, a rewording does."""


def normal(text: str) -> str:
    """The text without regard to case, white space and composition of accents; nothing else is folded, so that `10²` is not `102`."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def tokens(text: str) -> list[str]:
    """Words, numbers (`1,000` as `1000`, `three` as `3`; `2.5`, `20%`, `5°` and `7!` in one piece) and operators, in order."""
    plain = _inside.sub("", unicodedata.normalize("NFC", text).casefold())
    return [SPELLED.get(token, token) for token in _tokens.findall(plain)]


def is_number(token: str) -> bool:
    """Whether a token is a number or holds a digit."""
    return not token.isalpha() and any(letter.isdigit() for letter in token)


def is_figure(token: str) -> bool:
    """Whether a token is a number or an operator: what makes two problems of one wording different problems."""
    return not token.isalpha() and (token[0] in SIGNS or is_number(token))


def said(text: str) -> list[str]:
    """The tokens as two wordings are compared: `twice` as `2`, and `20%` as `20`, for another writes `20 percent`."""
    bare = (token if token[0] in SIGNS else token.rstrip("%°!") for token in tokens(text))
    return [SAME.get(token, token) for token in bare]


def numbers_in(text: str) -> list[str]:
    """The numbers of a text, in order; `three` is `3`, `twice` is `2`."""
    return [token for token in said(text) if is_number(token)]


def words(text: str) -> list[str]:
    """Words alone, compatibility forms folded (`ﬁ` as `fi`, full-width as ASCII): for finding a passage whatever its typesetting."""
    return _words.findall(unicodedata.normalize("NFKC", text).casefold())
