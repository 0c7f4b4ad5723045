"""Benchmark items found in a row, in three classes: verbatim, rephrased (the same problem in other words), same_template (other numbers).

Copies are found by their words (`overlap`). For the rest an inverted index nominates, and a logistic score over figures of the pair verifies:
no model is asked and nothing is downloaded. The weights and limits of the scores were fitted by
`tests/benchmarks/curation/decontamination.py --fit` on the
half of the development items whose index // 2 is even; what that benchmark prints is of the other half.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from datagen.plan.resolve import DECIDES
from datagen.records import digest
from datagen.steps.sets.leaks.likeness import Index, Rarity, Spread, code_figures, prose_figures
from datagen.steps.sets.leaks.overlap import Item, Leak, References
from datagen.steps.sets.leaks.passages import Span, Wanted, parts_of, passages
from datagen.steps.sets.leaks.traits import CodeTraits, Grams, Traits, code_traits, holds_code, traits

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Kind = Literal["verbatim", "rephrased", "same_template"]
KINDS: tuple[Kind, ...] = ("verbatim", "rephrased", "same_template")
NOMINEES, CODE_NOMINEES = 6, 24
LEAST = 0.12
"""Share of an item's rare words that must stand in a row before the pair is looked at."""
ALIKE = 0.2
"""Cosine of terms and numbers under which no score could say yes: a pair is looked at no closer."""
ALIKE_ANYHOW = 0.35
"""The same where fewer than half of the item's numbers stand in the row."""
FEW = 6
"""Items with fewer terms and numbers are looked for word for word alone: in other words nothing tells them from a sentence on their subject."""
CODE_LETTERS = 6_000
"""Of a row with code, what is looked at together; a longer one is cut at its definitions."""
COPY = 0.9
"""Cosine of character n-grams, numbers alike, from which two texts are one wording. Half a percent of the rewritten development items passes 0.8."""
EVIDENCE = 160


class Logistic(NamedTuple):
    """A score of figures."""

    weights: tuple[float, ...]
    bias: float
    least: float
    """Log-odds from which the answer is yes."""

    def __call__(self, figures: Sequence[float]) -> float:
        return sum(weight * figure for weight, figure in zip(self.weights, figures, strict=True)) + self.bias


SAME_PROSE = Logistic((4.68, 5.23, 3.51, 2.94, -3.77, 2.8, 1.97, 3.14, -1.54), -10.58, -0.20)
SAME_CODE = Logistic((2.15, 0.69, 9.76, 5.0, 3.19, -0.33, 2.33, 3.5, 0.99, 1.4), -9.9, -1.94)
TEMPLATE = Logistic((1.11, 6.02, 4.49, 2.86, -4.17), -5.26, 2.42)
WORDING = (0, 1, 5, 6, 8)
"""The figures of PROSE that hang on no number."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A row is, holds or resembles one item."""

    benchmark: str
    item: str
    kind: Kind
    score: float
    """verbatim: share of the item; else the probability the fitted score gives."""
    evidence: str
    """The row's words."""


class Pair(NamedTuple):
    """A piece of a row and an item that it may be."""

    number: int
    code: bool
    figures: list[float]
    changed: int
    """Numbers of either side that the other has not, the fewer of the two."""
    piece: str


class Detector:
    """Reference items, indexed once; read-only, and the same for the same set in any order."""

    def __init__(self, items: Iterable[Item], *, ngram: int = 10, share: float = 0.5) -> None:
        self._items = sorted({Item(*item) for item in items})
        self._copies = References(self._items, ngram=ngram, share=share)
        self._numbers = {(item.benchmark, item.id): number for number, item in reversed(list(enumerate(self._items)))}
        self._code = [number for number, item in enumerate(self._items) if holds_code(item.code or item.text)]
        coded = set(self._code)
        self._prose = [number for number in range(len(self._items)) if number not in coded]
        self._told = _Prose([traits(self._items[number].text) for number in self._prose])
        self._written = _Code([code_traits(self._items[number].code or self._items[number].text) for number in self._code])

    def __len__(self) -> int:
        return len(self._items)

    def identity(self) -> str:
        """Digest of the items and of all that decides."""
        return digest(["detector", DECIDES, self._copies.identity(), sorted(item.code for item in self._items)])

    def find(self, text: str) -> Finding | None:
        """The worst that can be said of a row; None when it is clean."""
        leak = self._copies.find(text)
        if leak is not None and leak.kind == "verbatim":
            return Finding(leak.benchmark, leak.item, "verbatim", 1.0, leak.evidence)
        found = [finding for pair in self.pairs(text) if (finding := self._judged(pair))]
        if leak is not None and not any(self._other_numbers(leak, finding) for finding in found):
            found.append(Finding(leak.benchmark, leak.item, "verbatim", leak.share, leak.evidence))
        return min(found, key=lambda each: (KINDS.index(each.kind), -each.score, each.benchmark, each.item), default=None)

    def pairs(self, text: str) -> Iterator[Pair]:
        """What was nominated for a row, with its figures."""
        if self._prose:
            yield from (pair._replace(number=self._prose[pair.number]) for pair in self._told.pairs(text))
        if self._code and holds_code(text):
            for definition in definitions(text):
                yield from (pair._replace(number=self._code[pair.number]) for pair in self._written.pairs(definition))

    def _judged(self, pair: Pair) -> Finding | None:
        kind, score = verdict(pair)
        if kind is None:
            return None
        item = self._items[pair.number]
        return Finding(item.benchmark, item.id, kind, score, " ".join(pair.piece.split())[:EVIDENCE])

    def _other_numbers(self, leak: Leak, finding: Finding) -> bool:
        return finding.kind == "same_template" and (finding.benchmark, finding.item) == (leak.benchmark, leak.item)


def verdict(pair: Pair) -> tuple[Kind | None, float]:
    """What a pair is, and how sure that is."""
    if pair.code:
        odds = SAME_CODE(pair.figures)
        return ("rephrased", _probability(odds)) if odds >= SAME_CODE.least else (None, 0.0)
    letters = pair.figures[1]
    if letters >= COPY:
        return ("same_template" if pair.changed else "verbatim", letters)
    odds = SAME_PROSE(pair.figures)
    if odds >= SAME_PROSE.least:
        return "rephrased", _probability(odds)
    odds = TEMPLATE([pair.figures[place] for place in WORDING])
    return ("same_template", _probability(odds)) if pair.changed and odds >= TEMPLATE.least else (None, 0.0)


def _probability(odds: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, odds))))


class _Prose:
    """Items in words."""

    def __init__(self, items: Sequence[Traits]) -> None:
        self._items = items
        terms = [item.terms | frozenset(item.numbers) for item in items]
        self._rarity = Rarity(terms, len(items))
        self._index = Index([some if len(some) >= FEW else frozenset() for some in terms], self._rarity)
        self._wanted = [Wanted(item.words, some, self._rarity.mass(some), item.asks) for item, some in zip(items, terms, strict=True)]
        self._numbers = [frozenset(item.numbers) for item in items]
        self._spread = Spread([item.letters for item in items])
        self._weighed = [self._spread.weigh(item.letters) for item in items]

    def pairs(self, text: str) -> Iterator[Pair]:
        made: dict[str, tuple[Traits, npt.NDArray[np.float32]]] = {}
        seen: set[tuple[int, str]] = set()
        for passage in passages(parts_of(text), self._rarity):
            for nominee in self._index.nominate(passage.held, NOMINEES, LEAST):
                for span in passage.spans(self._wanted[nominee.number]):
                    if (nominee.number, span.text) in seen or not self._worth(span, nominee.number):
                        continue
                    seen.add((nominee.number, span.text))
                    if span.text not in made:
                        found = traits(span.text)
                        made[span.text] = found, self._spread.weigh(found.letters)
                    yield self._pair(nominee.number, span.text, *made[span.text])

    def _worth(self, span: Span, number: int) -> bool:
        """Whether a closer look at the pair could end in a yes."""
        if span.alike < ALIKE:
            return False
        numbers = self._numbers[number]
        return span.alike >= ALIKE_ANYHOW or (bool(numbers) and 2 * len(numbers & span.shared) >= len(numbers))

    def _pair(self, number: int, text: str, row: Traits, weighed: npt.NDArray[np.float32]) -> Pair:
        item = self._items[number]
        letters = self._spread.cosine((row.letters, weighed), (item.letters, self._weighed[number]))
        changed = min(_more(row.numbers, item.numbers), _more(item.numbers, row.numbers))
        return Pair(number, False, prose_figures(row, item, self._rarity, letters), changed, text)


def _more(left: Sequence[str], right: Sequence[str]) -> int:
    """Numbers that stand in `left` more often than in `right`."""
    rest = list(right)
    more = 0
    for number in left:
        if number in rest:
            rest.remove(number)
        else:
            more += 1
    return more


class _Code:
    """Items with code."""

    def __init__(self, items: Sequence[CodeTraits]) -> None:
        self._items = items
        self._rarity = Rarity([item.terms for item in items], len(items))
        held = [_marks(item) for item in items]
        self._index = Index(held, Rarity(held, len(items)))
        self._spreads = {name: Spread([_bag(item, name) for item in items]) for name in _BAGS}
        self._weighed = [self._weigh(item) for item in items]

    def pairs(self, text: str) -> Iterator[Pair]:
        row = code_traits(text)
        weighed = self._weigh(row)
        for nominee in self._index.nominate(_marks(row), CODE_NOMINEES, 0.0):
            item, theirs = self._items[nominee.number], self._weighed[nominee.number]
            bags = {name: spread.cosine((_bag(row, name), weighed[name]), (_bag(item, name), theirs[name])) for name, spread in self._spreads.items()}
            yield Pair(nominee.number, True, code_figures(row, item, self._rarity, bags), 0, text)

    def _weigh(self, given: CodeTraits) -> dict[str, npt.NDArray[np.float32]]:
        return {name: spread.weigh(_bag(given, name)) for name, spread in self._spreads.items()}


def _marks(given: CodeTraits) -> frozenset[str]:
    """What nominates: words, and the shapes of examples and types, which outlive other words."""
    shapes = (f"{call} {result}" for call, result in given.examples)
    return given.terms | {f"example {shape}" for shape in shapes} | {f"types {given.parameters} {given.returns}"}


_BAGS = ("letters", "doc_letters", "shape")


def _bag(given: CodeTraits, name: str) -> Grams:
    found: Grams = getattr(given, name)
    return found


def definitions(text: str) -> Iterator[str]:
    """The pieces of a row in which one item may be: with what a fence holds, by itself and after the words before it, which may be the task;
    without fences the row. Of at most CODE_LETTERS, cut where a definition begins at the margin."""
    fenced = [found for found in _fence.finditer(text) if holds_code(found[1])]
    for found in fenced:
        yield from _cut(found[1])
        before = text[: found.start()].rstrip().rpartition("\n\n")[2]
        if before.strip() and not before.rstrip().endswith("```"):
            yield from _cut(before + "\n\n" + found[1])
    if not fenced:
        yield from _cut(text)


def _cut(text: str) -> Iterator[str]:
    piece = ""
    for line in text.splitlines(keepends=True):
        begins = line.startswith(("def ", "class ", "async def ", "function "))
        if len(piece) + len(line) > CODE_LETTERS or (begins and len(piece) > CODE_LETTERS // 2):
            yield piece
            piece = ""
        piece += line[:CODE_LETTERS]
    if piece:
        yield piece


_fence = re.compile(r"^[ \t]*```[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL)
