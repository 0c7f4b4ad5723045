"""How much texts differ, in figures that need no model and hang neither on how long the texts are nor on how many there are.

Compression, repetition and self-BLEU all rise with length and with the number of texts, so nothing is told by comparing raw ones
(arXiv 2403.00553, 2507.15092). Here every text is cut to the same number of words, and figures are means over groups of the same number of
texts: what is said of a step, a cell and another data set may be held side by side.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LENGTHS = (64, 32, 16, 8)
"""Words to which texts are cut: the most that LONG_ENOUGH of them have. Shorter texts are left out of what compares lengths, and counted."""
LONG_ENOUGH = 0.8
GROUP = 20
"""Texts that are compared with each other."""
GRAM = 4
"""Words of a run that counts as repeated when it stands in another text, and of the longest runs of self-BLEU."""
OPENING = 4
"""Words of an opening."""
SMOOTH = 0.1
"""Matches in place of none at all: method 1 of Chen and Cherry (2014), as self-BLEU has been reported since Texygen."""
# Scripts that are written without spaces count one word a character.
_WORD = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|\w+(?:['’]\w+)*")

Words = Sequence[str]


@dataclass(frozen=True, slots=True)
class Variety:
    """The figures of some texts. Of the first three, higher means more alike; None where there are fewer than GROUP texts."""

    rows: int
    """Texts that were looked at."""
    short: int
    """Those of them that have fewer words than the rest is cut to: of them the opening counts alone."""
    words: int
    """To which texts were cut; 0 where they are too short to be measured at all."""
    compression: float | None
    """Bytes over bytes after zlib: 1 of noise, some 2 of a group of human texts, 10 and more of one text again and again."""
    repetition: float | None
    """Share of the runs of GRAM words that stand in another text of the group."""
    self_bleu: float | None
    """BLEU-4 of each text against the others of its group, from 0 to 1."""
    opening: str
    """The commonest first OPENING words, the first in the alphabet of equals."""
    opening_share: float
    """Share of all texts that begin with it; no less than 1 / rows."""


NOTHING = Variety(0, 0, 0, None, None, None, "", 0.0)


def words_of(text: str, most: int | None = None) -> list[str]:
    """The words in lower case, without what stands between them; the first `most`."""
    found = (match[0] for match in _WORD.finditer(text.lower()))
    return list(found) if most is None else [word for _, word in zip(range(most), found, strict=False)]


def length_for(texts: Sequence[Words]) -> int:
    """The number of words to which these are best cut; 0 where too few have even the least of LENGTHS."""
    return next((length for length in LENGTHS if texts and sum(len(words) >= length for words in texts) >= LONG_ENOUGH * len(texts)), 0)


def variety(texts: Sequence[Words], length: int | None = None) -> Variety:
    """The figures of texts as words. Which of them form a group hangs on their order, so give them in one that hangs on nothing else.

    `length`: words to cut to, where this is a part of what else is measured; default: what suits these texts.
    """
    length = length_for(texts) if length is None else length
    cut = [tuple(words[:length]) for words in texts if length and len(words) >= length]
    groups = [cut[at : at + GROUP] for at in range(0, len(cut) - GROUP + 1, GROUP)]
    opening, most = commonest(Counter(" ".join(words[:OPENING]) for words in texts))
    compressed, repeated, bleu = (_mean(map(figure, groups)) for figure in (compression, repetition, self_bleu))
    return Variety(len(texts), len(texts) - len(cut), length if cut else 0, compressed, repeated, bleu, opening, most / max(len(texts), 1))


def commonest(counts: Counter[str]) -> tuple[str, int]:
    """What stands most often, the first in the alphabet of equals, and how often."""
    return min(counts.items(), key=lambda item: (-item[1], item[0]), default=("", 0))


def compression(group: Sequence[Words]) -> float:
    """Size of the texts over their size when they are compressed together."""
    data = "\n".join(" ".join(words) for words in group).encode("utf-8", errors="surrogatepass")
    return len(data) / len(zlib.compress(data, 9))


def repetition(group: Sequence[Words]) -> float:
    """Share of the runs of GRAM words, each where it stands, that another text holds too.

    The score of arXiv 2403.00553 sums the same runs and takes a logarithm, which needs no upper end; at one length a share says it plainer.
    """
    runs = [_runs(words, GRAM) for words in group]
    holders = Counter(run for counts in runs for run in counts)
    repeated = sum(count for counts in runs for run, count in counts.items() if holders[run] > 1)
    return repeated / max(sum(counts.total() for counts in runs), 1)


def self_bleu(group: Sequence[Words]) -> float:
    """The mean over the texts of BLEU against all others. They are of one length, so no text is penalised for brevity."""
    logs = [0.0] * len(group)
    for size in range(1, GRAM + 1):
        for at, share in enumerate(_precisions([_runs(words, size) for words in group])):
            logs[at] += math.log(share) / GRAM
    return sum(map(math.exp, logs)) / max(len(group), 1)


def _precisions(runs: Sequence[Counter[tuple[str, ...]]]) -> list[float]:
    """Of each text the share of its runs that another one has as often."""
    first: dict[tuple[str, ...], tuple[int, int]] = {}
    second: dict[tuple[str, ...], int] = {}
    for at, counts in enumerate(runs):
        for run, count in counts.items():
            most = first[run][0] if run in first else 0
            if count > most:
                first[run], second[run] = (count, at), most
            else:
                second[run] = max(second[run], count)
    found = []
    for at, counts in enumerate(runs):
        matched = sum(min(count, second[run] if first[run][1] == at else first[run][0]) for run, count in counts.items())
        found.append((matched or SMOOTH) / max(counts.total(), 1))
    return found


def _runs(words: Words, size: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[shift:] for shift in range(size)), strict=False))


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) / len(found) if found else None
