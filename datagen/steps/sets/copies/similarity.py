"""Near-duplicates: hashing nominates, an exact comparison decides, and nothing is dropped for resembling a dropped row.

A pair is a near-duplicate when all three hold:
1. word-bigram Jaccard >= the threshold; the shorter the row, the more: up to SHORT words the bigrams must be the same, because in
   `surface area of a cube` / `of a cuboid` one word is the whole difference;
2. the same numbers and operators in the same order, when numbers are to be kept: a problem with other numbers is another problem,
   however alike the wording, and so is one whose numbers have changed places; an edit may have put a word for a number (see `figures.py`);
3. what is left of them without their long common stretches is not two different texts: else they share a template, not a content.

Measured on GSM8K (tests/test_similarity.py): copies with 10 % of the words replaced have a bigram Jaccard of .68 in the middle and .58
at the half-percent quantile; of 7,473 distinct questions one pair passes .5 (the same question, another name). Hence THRESHOLD.

The dropped are those outside the lexicographically first maximal independent set of the graph of such pairs, in the order the caller
gives: a function of the set and that order, not of how the rows came in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Literal

from datagen.steps.sets.copies.figures import Figures
from datagen.steps.sets.copies.shingles import BANDS, KNOWN_WORDS, Shingler, bucket_keys
from datagen.steps.sets.words import is_number, tokens

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Signatures = npt.NDArray[np.void]

Numbers = Literal["keep", "fold"]

THRESHOLD = 0.55
SHORT = 15
"""Words up to which bigrams must be the same. Of MBPP's 970 one-line prompts, all distinct, 217 are dropped at .55 without this, 8 with."""
SHORT_STEP = 0.07
"""Jaccard by which the demand falls with each further word, down to the threshold: .65 at 20 words, .55 from 22."""
STRETCH = 30
"""Words in a row of which the other text has every bigram: a common stretch, left out when the third condition is judged."""
OWN_WORDS, OWN_SHARE = 8, 0.05
"""Words, and share of the text, that must be left on each side before the third condition can hold a pair apart."""
OWN_RUN = 3
"""Words one after another, on each side, without any bigram in the other: a passage rather than a word replaced here and there."""
OWN_LIKENESS = 0.25
"""Jaccard of what is left, under which the pair is apart. The four together: of copies with 5 % and 10 % of the words replaced, .2 % and
.6 % are held apart; of 500 questions under one unknown template of 80 to 150 words, numbers folded, 495 or more stay."""
BATCH, LETTERS = 1024, 1 << 19
"""Texts read at once, and so many characters or one text more: each takes some forty bytes for that moment."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as the comparison sees it: what is left of it without the known text."""

    runs: tuple[tuple[str, ...], ...]
    pairs: frozenset[str]
    """Word bigrams; the word itself where it stands alone between known text."""
    figures: Figures
    """None when numbers are folded."""
    length: int


class Reader:
    """Reads texts for comparison; holds the known text's n-grams."""

    def __init__(self, numbers: Numbers, known: Sequence[str]) -> None:
        self._fold = numbers == "fold"
        self._known = {gram for text in known for gram in _grams(self._tokens(text))}

    def read(self, text: str) -> Reading:
        runs = self._own_runs(self._tokens(text))
        pairs = frozenset(f"{one} {two}" for run in runs for one, two in pairwise(run)).union(run[0] for run in runs if len(run) == 1)
        return Reading(runs, pairs, Figures() if self._fold else Figures.of(runs), sum(map(len, runs)))

    def _tokens(self, text: str) -> list[str]:
        found = tokens(text)
        return [("0" if is_number(token) else token) for token in found] if self._fold else found

    def _own_runs(self, found: list[str]) -> tuple[tuple[str, ...], ...]:
        """What stands between the stretches of known text."""
        if not self._known:
            return (tuple(found),) if found else ()
        covered = bytearray(len(found))
        for start, gram in enumerate(_grams(found)):
            if gram in self._known:
                covered[start : start + KNOWN_WORDS] = b"\x01" * KNOWN_WORDS
        return tuple(tuple(found[start:end]) for start, end in _stretches(covered))


def _grams(found: list[str]) -> Iterable[tuple[str, ...]]:
    return zip(*(found[shift:] for shift in range(KNOWN_WORDS)), strict=False)


def _stretches(covered: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Start and end of each longest stretch of zeros."""
    start = 0
    for place, mark in enumerate((*covered, 1)):
        if mark:
            if place > start:
                yield start, place
            start = place + 1


def signature_fields() -> list[tuple[Any, ...]]:
    """What is kept of a text to find its likes, as fields of a numpy record: digest of the normalised text; whether a word is left to
    compare; BANDS bucket keys."""
    return [("exact", "<u8"), ("some", "?"), ("bands", "<u4", (BANDS,))]


def signatures(texts: Iterable[str], numbers: Numbers = "keep", known: Sequence[str] = ()) -> Signatures:
    """Signatures of texts (see `signature_fields`), 201 bytes each: a function of that text, `numbers` and `known` alone, so any worker may make
    them, in any batch. Only signatures made with the same `numbers` and `known` go together."""
    import numpy as np

    shingler, signed = Shingler(numbers == "fold", known), [np.zeros(0, dtype=signature_fields())]
    for some in _some(texts):
        these = np.zeros(len(some), dtype=signature_fields())
        for at, alike in batches(enumerate(some)):
            read = shingler.read(alike, digests=True)
            these["exact"][at], these["some"][at], these["bands"][at] = read.exact, read.counts > 0, bucket_keys(read)
        signed.append(these)
    return np.concatenate(signed)


def _some(texts: Iterable[str]) -> Iterator[list[str]]:
    source = iter(texts)
    while some := list(islice(source, 2 * BATCH)):
        yield some


def batches(numbered: Iterable[tuple[int, str]]) -> Iterator[tuple[list[int], list[str]]]:
    """Texts to be read at once, with their numbers: not too much together, and those of ASCII apart, which are read faster."""
    waiting: dict[bool, tuple[list[int], list[str]]] = {}
    sizes = {True: 0, False: 0}
    for number, text in numbered:
        plain = text.isascii()
        numbers, texts = waiting.setdefault(plain, ([], []))
        numbers.append(number)
        texts.append(text)
        sizes[plain] += len(text)
        if len(texts) == BATCH or sizes[plain] >= LETTERS:
            yield waiting.pop(plain)
            sizes[plain] = 0
    yield from waiting.values()


def similarity(one: str, two: str, *, threshold: float = THRESHOLD, numbers: Numbers = "keep", known: Sequence[str] = ()) -> float | None:
    """The pair's bigram Jaccard where it is a near-duplicate, else None: the whole test that decides."""
    reader = Reader(numbers, known)
    return verified(reader.read(one), reader.read(two), threshold)


def demanded(length: Any, threshold: float) -> Any:
    """The Jaccard from which two texts, the shorter of so many words, may be near-duplicates; of many lengths at once, too."""
    import numpy as np

    return np.maximum(threshold, np.minimum(1.0, 1 - SHORT_STEP * (length - SHORT)))


def verified(one: Reading, two: Reading, threshold: float) -> float | None:
    if not one.pairs:
        return None
    common = len(one.pairs & two.pairs)
    score = common / (len(one.pairs) + len(two.pairs) - common)
    length = min(one.length, two.length)
    if score < demanded(length, threshold):
        return None
    if not one.figures.agree(two.figures, length, abs(one.length - two.length), score):
        return None
    return None if score < 1 and _apart(one, two) else score


def _apart(one: Reading, two: Reading) -> bool:
    """Whether the two share stretches of text and differ in everything else."""
    (first, first_words, first_run), (second, second_words, second_run) = _left(one, two), _left(two, one)
    if min(first_words, second_words) < max(OWN_WORDS, OWN_SHARE * min(one.length, two.length)) or min(first_run, second_run) < OWN_RUN:
        return False
    return len(first & second) < OWN_LIKENESS * len(first | second)


def _left(one: Reading, other: Reading) -> tuple[set[str], int, int]:
    """The first text without the common stretches: its bigrams, its words, and its longest run of words without a bigram in the other."""
    pairs: set[str] = set()
    words = longest = 0
    for run in one.runs:
        bigrams = [f"{left} {right}" for left, right in pairwise(run)]
        shared = [bigram in other.pairs for bigram in bigrams]
        matched = [before or after for before, after in zip([False, *shared], [*shared, False], strict=True)]
        longest = max([longest, *(end - start for start, end in _stretches(matched))])
        for start, end in _stretches([not hit for hit in shared]):
            if end - start + 1 >= STRETCH:  # so many bigrams span one word more
                bigrams[start:end] = [""] * (end - start)
                words -= end - start + 1
        words += len(run)
        pairs.update(bigrams)
    return pairs - {""}, words, longest
