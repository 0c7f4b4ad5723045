"""Insults and obscenities: a short list of words that have no other use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator
from datagen.operators.features import Innocent

_WORDS = (
    "arsehole arseholes asshole assholes bitch bitches bollocks bullshit chink chinks cocksucker cocksuckers cunt cunts dickhead dickheads dumbass "
    "faggot faggots fuck fucked fucker fuckers fucking fucks jackass kike kikes motherfucker motherfuckers motherfucking nigger niggers paki pakis "
    "piss pissed prick pricks retard retards shit shits shitty slut sluts spic spics twat twats wanker wankers wetback wetbacks whore whores"
)
_PART = re.compile(r"[\w'’-]+")
_EDGE = ".,;:!?()[]{}<>\"'“”‘’*_`~#|/\\-–—…"
_FENCED = re.compile(r"^ {0,3}(```|~~~)[\s\S]*?(?:^ {0,3}\1[`~]*\s*$|\Z)|`[^`\n]+`", re.MULTILINE)


class Toxicity(Operator):
    """Obscene and insulting words as whole words, outside code; the score is their number.

    The list is our own and short on purpose: words with an innocent meaning (cock, dyke, gay, kill) are left out, since they would drop biology,
    history and the people it names. It finds abuse by its words; what is said politely passes.
    """

    version: ClassVar[int] = 3
    made_for: ClassVar[frozenset[str]] = frozenset({"prose", "maths", "chat"})
    keeps: ClassVar = (
        "Scunthorpe lies in Lincolnshire; the cock crows, and the assassin is classical.",
        "Run `git fuck` if you like such aliases.",
    )
    drops: ClassVar = ("You are a stupid asshole, he said.", "What the FUCK is a fraction?", "Oh shit—what is a fuck/fraction?")

    at_most: int = Field(default=0, ge=0)
    """Words that are tolerated: quotations of historical sources have a few."""
    words: tuple[str, ...] = ()
    """More words, in any case; one may be several words, which then stand side by side."""
    allow: tuple[str, ...] = ()
    """Words of the list that may stand."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        seen, text = self.features(fields), self.features(fields).lower
        wanted, phrases, clean = _listed(self.words, self.allow)
        found = sorted({word for each in clean.guilty(seen.distinct, lambda word: _guilty(word, wanted)) for word in _words_in(each) & wanted})
        if found and ("`" in text or "~~~" in text):
            found = [word for each in _FENCED.sub(" ", text).split() for word in sorted(_words_in(each) & wanted)]
        if phrases:
            found += phrases.findall(_FENCED.sub(" ", text))
        if len(found) <= self.at_most:
            return Finding(True, score=float(len(found)))
        return Finding(False, "toxic_words", float(len(found)), " ".join(found[:8]))


def _guilty(token: str, wanted: frozenset[str]) -> bool:
    bare = token.strip(_EDGE)
    return bare in wanted or not (bare.isalnum() or wanted.isdisjoint(_words_in(token)))


def _words_in(token: str) -> set[str]:
    """A word between spaces, without what stands at its edges, and its parts between punctuation and dashes."""
    token = token.replace("spic-and-span", "")
    return {token.strip(_EDGE), *(part.strip(_EDGE) for part in _PART.findall(token)), *re.findall(r"[^\W\d_]+", token)}


@lru_cache(maxsize=16)
def _listed(words: tuple[str, ...], allow: tuple[str, ...]) -> tuple[frozenset[str], re.Pattern[str] | None, Innocent]:
    """(words that are looked for, those of several words, what was seen without one)."""
    lower = {" ".join(word.lower().split()) for word in words} - {" ".join(word.lower().split()) for word in allow} - {""}
    plain = {word for word in lower if " " not in word and word == word.strip(_EDGE)}
    phrases = sorted((r"\s+".join(map(re.escape, word.split())) for word in lower - plain), key=len, reverse=True)
    found = re.compile(rf"(?<!\w)(?:{'|'.join(phrases)})(?!\w)") if phrases else None
    return (frozenset(_WORDS.split()) | plain) - {word.lower() for word in allow}, found, Innocent()
