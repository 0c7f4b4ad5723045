"""What is compared of two texts that may be one problem: stems, numbers in order, names, the question asked; of code also its shape and examples.

Everything is a function of the text alone, in one pass, with no list of any benchmark's words in it.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from datagen.steps.sets.words import is_number, said

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

GRAM = 4
"""Letters of a character n-gram: short enough to see one stem under two endings, long enough to be rare."""
BUCKETS = 1 << 18
"""Buckets of character n-grams: 2^18 is some 20 times what a thousand items hold, so few fall together."""
_WORDS = (
    "a an the of to in on at by for from with and or but if is are was were be been being has have had do does did will would can could"
    " should shall may might it its he she they him his them their her this that these those there then than as so how what which who whom"
    " whose when where why many much each every all any both some no not only into out up down over after before during per more most less"
    " one i you we us our your my me also about same other another"
)
STOP = frozenset(_WORDS.split())
"""English words that say nothing of what a text is about."""
_ENDINGS = (("ies", "y"), *((ending, "") for ending in ("ings", "ing", "edly", "ed", "ers", "er", "es", "ly", "s", "e")))
_amount = re.compile(r"(\d+)(\.\d+)?(?:/(\d+))?([^\W\d_]+)?$")
_name = re.compile(r"\b[A-Z][a-z]+")
_sentence_end = re.compile(r"(?<=[.?!])\s+|\n+")
_part = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Grams:
    """A bag of hashed things: ascending buckets and how often each came."""

    buckets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Traits:
    """Of one text."""

    words: int
    terms: frozenset[str]
    """Stems of words that mean something; parts of identifiers are words too."""
    numbers: tuple[str, ...]
    """In order; `three` is `3`, `twice` is `2`; 1 is left out, being mostly an article."""
    names: frozenset[str]
    question: frozenset[str]
    """Stems of the last sentence that asks, or of the last."""
    asks: bool
    """Whether it ends in a question."""
    letters: Grams
    """Character n-grams, all numbers alike."""


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """The word without its English ending, by rule: `baking` and `bakes` are `bak`. Wrong stems do no harm where both sides share them."""
    if len(word) > 4:
        for ending, rest in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= 3:
                return word[: -len(ending)] + rest
    elif len(word) == 4 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def sentences(text: str) -> list[str]:
    """Sentences and lines, in order."""
    return [part for part in _sentence_end.split(text) if part and not part.isspace()]


def asks(sentence: str) -> bool:
    """Whether it ends as a question does."""
    return sentence.rstrip("\"'”’)* ").endswith("?")


def held(text: str) -> tuple[int, frozenset[str]]:
    """How many words a text has, and its terms with its numbers: the cheap part of its traits."""
    found = list(_told(text))
    return len(found), frozenset([*_stems(found), *(token for token in found if token != "1" and is_number(token))])


def traits(text: str) -> Traits:
    """Of a piece of prose."""
    found = list(_told(text))
    parts = sentences(text)
    asked = [part for part in parts if asks(part)] or parts or [""]
    return Traits(
        words=len(found),
        terms=frozenset(_stems(found)),
        numbers=tuple(token for token in found if is_number(token) and token != "1"),
        names=frozenset(name.lower() for name in _name.findall(text)) - STOP,
        question=frozenset(stem(token) for token in _told(asked[-1]) if token not in STOP),
        asks=bool(parts) and asks(parts[-1]),
        letters=grams(" ".join("#" if is_number(token) else token for token in found)),
    )


def _told(text: str) -> Iterator[str]:
    """Tokens with each number in one form, for another form is no other number: `$50.00` is `50`, `30mph` is `30` and `mph`, `half` and `1/2`
    are 1 and 2."""
    for token in said(text):
        if token[0].isdigit() and not token.isdigit() and (match := _amount.match(token)):
            whole, part, over, unit = match.groups()
            yield whole + (part.rstrip("0").rstrip(".") if part else "")
            yield from filter(None, (over, unit))
        else:
            yield token


def _stems(found: Iterable[str]) -> Iterable[str]:
    for token in found:
        if token.isalpha():
            if token not in STOP:
                yield stem(token)
        elif "_" in token:
            yield from (stem(part) for part in split_name(token) if part not in STOP)


def split_name(name: str) -> list[str]:
    """`has_close_elements` and `hasCloseElements` as words."""
    return [part.lower() for part in _part.findall(name)]


def grams(text: str, size: int = GRAM) -> Grams:
    """Character n-grams of a text."""
    import numpy as np

    codes = np.frombuffer(unicodedata.normalize("NFC", text).encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32).astype(np.uint64)
    rolled = np.zeros(max(0, len(codes) - size + 1), dtype=np.uint64)
    for place in range(size):
        rolled = rolled * np.uint64(0x9E3779B97F4A7C15) + codes[place : place + len(rolled)]
    return _bag((rolled * np.uint64(0xFF51AFD7ED558CCD)) >> np.uint64(64 - 18))


def bag(things: Iterable[str]) -> Grams:
    """Hashed tokens."""
    import numpy as np

    return _bag(np.array([zlib.crc32(thing.encode("utf-8", errors="surrogatepass")) % BUCKETS for thing in things], dtype=np.uint64))


def _bag(buckets: npt.NDArray[np.uint64]) -> Grams:
    import numpy as np

    found, counts = np.unique(buckets.astype(np.int64), return_counts=True)
    return Grams(found, counts.astype(np.float32))


# --- code ---

_definition = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def|class|function|fn|func|public|private|static|#include)\b[^\n]*", re.MULTILINE)
_docstring = re.compile(r'"""(.*?)"""|\'\'\'(.*?)\'\'\'|/\*(.*?)\*/', re.DOTALL)
_comment = re.compile(r"(?:#|//)([^\n]*)")
_token = re.compile(r"[A-Za-z_]\w*|\d+(?:\.\d+)?|[-+*/%=<>!&|^~]+|[\[\](){}:.,]")
_letters = re.compile(r"[A-Za-z_]+")
_literal = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|\d+(?:\.\d+)?|[A-Za-z_]\w*|[\[\](){}]")
_claim = re.compile(r"^(?:assert\s+)?\w+(\([^=\n]{0,300}\))\s*(?:==|=>|->|➞|=|returns?\b|should return\b)\s*(\S[^\n]*)$")
_signature = re.compile(r"\bdef\s+\w+\s*\(([^()\n]*)\)\s*(?:->\s*([^:\n]+))?:")
_RESERVED = "if else elif for while in not and or return break continue try except with lambda yield is def class import from raise"
_KEYWORDS = frozenset(_RESERVED.split())
_EVERYWHERE = "list int str float bool any dict tuple set optional typing import return none true false def self args arg function"
_PLAIN = frozenset(_EVERYWHERE.split())


@dataclass(frozen=True, slots=True)
class CodeTraits:
    """Of one text that holds code. Examples are the doctests, asserts and `f(1) => 2` lines: their shape, not their values, outlives a rewording."""

    terms: frozenset[str]
    doc: frozenset[str]
    doc_letters: Grams
    letters: Grams
    shape: Grams
    """Keywords, operators and brackets in pairs; names and numbers each alike."""
    size: int
    examples: Counter[tuple[str, str]]
    parameters: tuple[str, ...]
    """Written types of the first definition's parameters; empty text where there is none."""
    returns: str


def holds_code(text: str) -> bool:
    """Whether some line begins a definition."""
    return any(re.search(r"[({:]|#include", line) for line in _definition.findall(text))


def code_traits(text: str) -> CodeTraits:
    """Of a definition with its docstring, or of a task in words with the code that solves it."""
    first = _definition.search(text)
    docs = "\n".join(["".join(found) for found in _docstring.findall(text)] + ([text[: first.start()]] if first else []))
    prose = "\n".join(line for line in docs.split("\n") if ">>>" not in line and "import " not in line)
    bare = _comment.sub(" ", _docstring.sub(" ", text))
    found = [token for token in _token.findall(bare) if token != "pass"]  # filler that says nothing
    doc = [part for name in _letters.findall(prose) for part in split_name(name)]
    known = examples(text)
    parameters, returns = _types(text)
    shape = [_shape(token) for token in found]
    return CodeTraits(
        terms=frozenset(_telling([*doc, *(part for token in found if token not in _KEYWORDS for part in split_name(token))])),
        doc=frozenset(_telling(doc)),
        doc_letters=grams(" ".join(doc)),
        letters=grams(" ".join(re.findall(r"\w+", text.lower()))),
        shape=bag([*shape, *(f"{left} {right}" for left, right in pairwise(shape))]),
        size=len(shape),
        examples=Counter((skeleton(given), skeleton(result)) for given, result in known),
        parameters=parameters,
        returns=returns,
    )


def _telling(parts: Iterable[str]) -> Iterable[str]:
    return (stem(part) for part in parts if len(part) > 1 and part not in STOP and part not in _PLAIN)


def _shape(token: str) -> str:
    if token in _KEYWORDS or not (token[0].isalnum() or token[0] == "_"):
        return token
    return "#" if token[0].isdigit() else "n"


def examples(text: str) -> list[tuple[str, str]]:
    """(arguments, result) of each example in a text."""
    lines = [line.strip() for line in text.split("\n")]
    found = []
    for number, line in enumerate(lines):
        if line.startswith(">>>"):
            found.append((line[max(3, line.find("(")) :], lines[number + 1] if number + 1 < len(lines) else ""))
        elif len(line) <= 600 and (match := _claim.match(line)):
            found.append((match[1], match[2].strip()))
    return found


def skeleton(value: str) -> str:
    """The shape of a literal: `[1, 2.5, 'a']` as `[nfs]`; neighbours of one kind count once."""
    kinds: list[str] = []
    for token in _literal.findall(value):
        kind = _kind(token)
        if kind and (kinds[-1:] != [kind] or kind in "[](){}"):
            kinds.append(kind)
    return "".join(kinds)


def _kind(token: str) -> str:
    if token[0] in "\"'":
        return "s"
    if token[0].isdigit():
        return "f" if "." in token else "n"
    if token[0].isalpha() or token[0] == "_":
        return {"True": "b", "False": "b", "None": "0"}.get(token, "")
    return token


def _types(text: str) -> tuple[tuple[str, ...], str]:
    match = _signature.search(text)
    if match is None:
        return (), ""
    return tuple(map(_type, _outer(match[1]))), _plain(match[2] or "")


def _outer(parameters: str) -> Sequence[str]:
    """Split at the commas that stand in no bracket."""
    parts, depth = [""], 0
    for letter in parameters:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part.strip()]


def _type(parameter: str) -> str:
    return _plain(parameter.partition(":")[2].partition("=")[0])


def _plain(kind: str) -> str:
    return kind.lower().replace("typing.", "").replace(" ", "").strip()
