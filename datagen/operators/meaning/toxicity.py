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
_EDGE = ".,;:!?()[]{}<>\"'“”‘’*_`~#|/\\-–—…"
_FENCED = re.compile(r"^ {0,3}(```|~~~)[\s\S]*?(?:^ {0,3}\1[`~]*\s*$|\Z)|`[^`\n]+`", re.MULTILINE)


class Toxicity(Operator):
    """Obscene and insulting words as whole words, outside code; the score is their number.

    The list is our own and short on purpose: words with an innocent meaning (cock, dyke, gay, kill) are left out, since they would drop biology,
    history and the people it names. It finds abuse by its words; what is said politely passes.
    """

    version: ClassVar[int] = 2
    made_for: ClassVar[frozenset[str]] = frozenset({"prose", "maths", "chat"})
    keeps: ClassVar = (
        "Scunthorpe lies in Lincolnshire; the cock crows, and the assassin is classical.",
        "Run `git fuck` if you like such aliases.",
    )
    drops: ClassVar = ("You are a stupid asshole, he said.", "What the FUCK is a fraction?")

    at_most: int = Field(default=0, ge=0)
    """Words that are tolerated: quotations of historical sources have a few."""
    words: tuple[str, ...] = ()
    """More words, in lower case."""
    allow: tuple[str, ...] = ()
    """Words of the list that may stand."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        seen, text = self.features(fields), self.features(fields).lower
        wanted, clean = _listed(self.words, self.allow)
        found = sorted({word.strip(_EDGE) for word in clean.guilty(seen.distinct, lambda word: word.strip(_EDGE) in wanted)})
        if found and ("`" in text or "~~~" in text):
            found = [word for word in re.findall(r"[\w'-]+", _FENCED.sub(" ", text)) if word in wanted]
        if len(found) <= self.at_most:
            return Finding(True, score=float(len(found)))
        return Finding(False, "toxic_words", float(len(found)), " ".join(found[:8]))


@lru_cache(maxsize=16)
def _listed(words: tuple[str, ...], allow: tuple[str, ...]) -> tuple[frozenset[str], Innocent]:
    """(words that are looked for, what was seen without one)."""
    return frozenset({*_WORDS.split(), *words}) - frozenset(allow), Innocent()
