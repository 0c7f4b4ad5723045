"""How alike two problems are: an inverted index nominates the items that share rare words with a row, figures of each pair say the rest.

Nothing here decides. The figures are in 0..1 or a logarithm, and the same for a pair whatever else is looked at.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from datagen.steps.sets.leaks.traits import BUCKETS, CodeTraits, Grams, Traits

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Weights = npt.NDArray[np.float32]

FREQUENT = 0.1
"""Share of items that hold a term from which it nominates none: it costs the most and tells the least. In small sets every term does."""
PROOF = 10.0
"""Weight of numbers that may speak for themselves, as of one that an item in 25 holds (ln 25 squared): that two texts both say `two` is no proof."""
FEWEST = 2
"""Numbers of which a full share may be had."""
SMALL = 500
"""Items up to which all terms nominate."""
NEUTRAL = 0.25
"""A figure of what neither side has: hardly evidence, for most texts have no numbers and no names."""


class Rarity:
    """How much it tells that two texts share a thing: ln((items + 1) / (items that hold it + 1/2))."""

    def __init__(self, held: Iterable[Iterable[str]], count: int) -> None:
        counts = Counter(thing for things in held for thing in set(things))
        # Whole numbers of 2^-20, so that a sum hangs on no order.
        self._squares = {thing: _fixed(math.log((count + 1) / (times + 0.5)) ** 2) for thing, times in counts.items()}
        self._strange = _fixed(math.log((count + 1) / 0.5) ** 2)

    def square(self, thing: str) -> float:
        """The weight squared."""
        return self._squares.get(thing, self._strange)

    def mass(self, things: Iterable[str]) -> float:
        """The sum of squares."""
        known, strange = self._squares, self._strange
        return sum([known.get(thing, strange) for thing in things])

    def cosine(self, left: frozenset[str], right: frozenset[str]) -> float:
        """Of two sets by their rarity."""
        return self.mass(left & right) / math.sqrt((self.mass(left) or 1.0) * (self.mass(right) or 1.0))

    def jaccard(self, left: frozenset[str], right: frozenset[str]) -> float:
        """Of two sets by their rarity; with less than PROOF in both together, their agreement proves little and counts for little."""
        return self.mass(left & right) / max(self.mass(left | right), PROOF) if left | right else NEUTRAL


def _fixed(value: float) -> float:
    return round(value * (1 << 20)) / (1 << 20)


class Spread:
    """The same for hashed bags, over an array."""

    def __init__(self, bags: Sequence[Grams]) -> None:
        import numpy as np

        held = np.zeros(BUCKETS, dtype=np.float32)
        for each in bags:
            held[each.buckets] += 1
        self._weights: Weights = np.log((len(bags) + 1) / (held + np.float32(0.5))).astype(np.float32)

    def weigh(self, given: Grams) -> Weights:
        """Unit vector over the bag's buckets."""
        import numpy as np

        found = (1 + np.log(given.counts)) * self._weights[given.buckets]
        norm = float(np.sqrt((found * found).sum()))
        return found / np.float32(norm or 1.0)

    def cosine(self, left: tuple[Grams, Weights], right: tuple[Grams, Weights]) -> float:
        import numpy as np

        (small, light), (large, heavy) = sorted((left, right), key=lambda pair: len(pair[0].buckets))
        if not len(small.buckets):
            return 0.0
        at = np.minimum(np.searchsorted(large.buckets, small.buckets), len(large.buckets) - 1)
        same = large.buckets[at] == small.buckets
        return float((light[same] * heavy[at[same]]).sum())


class Nominee(NamedTuple):
    """An item that may be meant."""

    number: int
    share: float
    """Of the item's weight of terms, what the row has."""


class Index:
    """Term -> the items that hold it."""

    def __init__(self, held: Sequence[frozenset[str]], rarity: Rarity) -> None:
        import numpy as np

        self.rarity = rarity
        self._count = len(held)
        postings: dict[str, list[int]] = {}
        for number, terms in enumerate(held):
            for term in terms:
                postings.setdefault(term, []).append(number)
        most = max(SMALL, len(held)) * FREQUENT if len(held) > SMALL else len(held)
        self._postings = {term: np.array(numbers, dtype=np.int32) for term, numbers in postings.items() if len(numbers) <= most}
        self._norms = np.array([math.sqrt(rarity.mass(terms)) or 1.0 for terms in held])

    def nominate(self, terms: Iterable[str], most: int, least: float) -> list[Nominee]:
        """The items most alike, best first, the lower number of equals; `least`: share of an item that must be there."""
        import numpy as np

        found = [(term, self._postings[term]) for term in sorted(terms) if term in self._postings]
        if not found:
            return []
        numbers = np.concatenate([numbers for _, numbers in found])
        weights = np.repeat([self.rarity.square(term) for term, _ in found], [len(numbers) for _, numbers in found])
        mass = np.bincount(numbers, weights=weights, minlength=self._count)
        alike = mass / self._norms
        best = np.argpartition(-alike, most)[:most] if most < len(alike) else np.arange(len(alike))
        shares = mass / self._norms**2
        ordered = sorted((number for number in best.tolist() if shares[number] >= least), key=lambda number: (-alike[number], number))
        return [Nominee(number, float(shares[number])) for number in ordered]


PROSE = ("words", "letters", "numbers", "rare_numbers", "changed", "names", "question", "order", "length")


def prose_figures(row: Traits, item: Traits, rarity: Rarity, letters: float) -> list[float]:
    """In the order of PROSE. `letters`: cosine of the character n-grams."""
    ours, theirs = Counter(row.numbers), Counter(item.numbers)
    union = sum((ours | theirs).values())
    here, there = frozenset(ours), frozenset(theirs)
    return [
        rarity.cosine(row.terms, item.terms),
        letters,
        sum((ours & theirs).values()) / max(union, FEWEST) if union else NEUTRAL,
        rarity.jaccard(here, there),
        min(len(here - there), len(there - here), 3) / 3,
        len(row.names & item.names) / len(names) if (names := row.names | item.names) else NEUTRAL,
        rarity.cosine(row.question, item.question),
        _in_order(row.numbers, item.numbers),
        abs(math.log((row.words + 1) / (item.words + 1))),
    ]


def _in_order(left: Sequence[str], right: Sequence[str], most: int = 40) -> float:
    """Share of the longer list that the longest common subsequence makes; of the first `most` numbers, for it takes their product in time."""
    left, right = left[:most], right[:most]
    if not left and not right:
        return NEUTRAL
    lengths = [0] * (len(right) + 1)
    for mine in left:
        before = 0
        for place, other in enumerate(right, start=1):
            before, lengths[place] = lengths[place], before + 1 if mine == other else max(lengths[place], lengths[place - 1])
    return lengths[-1] / max(len(left), len(right), FEWEST)


CODE = ("terms", "doc", "letters", "doc_letters", "shape", "size", "examples", "example_count", "parameters", "returns")


def code_figures(row: CodeTraits, item: CodeTraits, rarity: Rarity, bags: Mapping[str, float]) -> list[float]:
    """In the order of CODE. `bags`: cosines of letters, doc_letters and shape. Examples that one side lacks are no evidence, hence 0."""
    count = sum(row.examples.values())
    longer = max(len(row.parameters), len(item.parameters), 1)
    return [
        rarity.cosine(row.terms, item.terms),
        rarity.cosine(row.doc, item.doc),
        bags["letters"],
        bags["doc_letters"],
        bags["shape"],
        abs(math.log((row.size + 1) / (item.size + 1))),
        _shared(row.examples, item.examples),
        float(count == sum(item.examples.values()) > 0),
        sum(bool(mine) and mine == other for mine, other in zip(row.parameters, item.parameters, strict=False)) / longer,
        float(row.returns == item.returns != ""),
    ]


def _shared(left: Counter[Any], right: Counter[Any]) -> float:
    union = sum((left | right).values())
    return sum((left & right).values()) / union if union else 0.0
