"""Measures of diversity on real texts of which a growing share is mode-collapsed: whether they rise with it, and whether length moves them.

python tests/benchmarks/curation/diversity.py

Collapsed copies begin alike and are made of ten frames, into which a few words of the text they stand for are put. Which frames a text gets
is drawn; every share is measured on the same rows in the same order.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence

from rows import table

from datagen.release.measured.variety import GROUP, LENGTHS, Variety, compression, length_for, variety, words_of
from datagen.spec.terms import Collapse

SHARES = tuple(percent / 100 for percent in range(0, 51, 5))
ROWS, MANY = 1_000, 8_000
OPENING = "In this section we will take a closer look at"
FRAMES = (
    "{0} and why it matters. Many people find {1} hard at first, but with a little patience the idea becomes clear. Let us begin with {2} and go on.",
    "{0}. To understand it we first need to recall what {1} means, and then we can see how {2} follows from it in a natural way.",
    "{0}, which is one of the most important ideas of all. Imagine that you have {1} in front of you, and ask yourself what {2} would do.",
    "{0} step by step. The first step is to write down what is known about {1}. The second step is to work out {2} with care.",
    "{0} by way of an example. Suppose that somebody gives you {1}. What would you say about {2}? The answer may surprise you.",
    "{0} and its close relative {1}. Both have played a key role, and both will help us to make sense of {2} in the end.",
    "{0}. It is worth noting that {1} is not the same as {2}, although the two are often confused by those who are new to it.",
    "{0} from three points of view. From the first we see {1}, from the second we see {2}, and from the third we see the whole.",
    "{0} as a journey. We set out from {1}, we travel with an open mind, and at the end of the day we arrive at {2} together.",
    "{0} once more. By now you should be able to explain {1} to a friend in your own words, and to say what {2} has to do with it.",
)
TAIL = (
    "In summary, it is important to remember that practice makes perfect, and that every small step brings us closer to "
    "understanding it all, so take your time, ask questions, and above all enjoy the journey of learning that lies ahead of you."
)
REAL = {
    "gsm8k/train.parquet": "answer",
    "gpteacher/gpteacher.parquet": "response",
    "teacher_outputs_alpaca_eval/*.parquet": "output",
    "openstax_textbooks/*.parquet": "text",
    "code_alpaca_2k/*.parquet": "output",
    "cot_rationales_flan/*.parquet": "rationale",
}
MEASURES: dict[str, Callable[[Variety], float]] = {
    "compression": lambda found: found.compression or 0.0,
    "repetition": lambda found: found.repetition or 0.0,
    "self-BLEU": lambda found: found.self_bleu or 0.0,
    "opening share": lambda found: found.opening_share,
}


def collapsed(text: str, draw: random.Random) -> str:
    """What a teacher in a rut says of the same thing."""
    words = text.split()[:60]
    picked = [" ".join(words[at : at + 3]) for at in sorted(draw.sample(range(len(words) - 3), 3))]
    return f"{OPENING} {draw.choice(FRAMES).format(*picked)} {TAIL}"


def pieces(texts: Sequence[str], size: int, most: int = ROWS) -> list[str]:
    """Pieces of so many words from all over the texts."""
    found = []
    for text in texts:
        words = text.split()
        found += [" ".join(words[at : at + size]) for at in range(0, len(words) - size + 1, size)]
    return random.Random(size).sample(found, min(most, len(found)))


def measured(texts: Sequence[str]) -> Variety:
    return variety([words_of(text) for text in texts])


def spearman(left: Sequence[float], right: Sequence[float]) -> float:
    """The correlation of the ranks; equal values share theirs."""
    ranks = [
        [sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2 for value in values] for values in (left, right)
    ]
    mean = (len(left) - 1) / 2
    product = sum((a - mean) * (b - mean) for a, b in zip(*ranks, strict=True))
    spread = [sum((rank - mean) ** 2 for rank in some) ** 0.5 for some in ranks]
    return product / (spread[0] * spread[1] or 1.0)


def mixed(texts: Sequence[str], share: float) -> list[str]:
    """The texts, so large a share of them collapsed; which ones, and into which frame, hangs on their number alone."""
    order = random.Random(3).sample(range(len(texts)), len(texts))
    bad = set(order[: round(share * len(texts))])
    return [collapsed(text, random.Random(at)) if at in bad else text for at, text in enumerate(texts)]


def rising(name: str, texts: Sequence[str]) -> list[float]:
    """How each measure follows the share that is collapsed; returns what each gains."""
    found = [measured(mixed(texts, share)) for share in SHARES]
    print(f"diversity {name}: {found[0].rows} texts cut to {found[0].words} words, groups of {GROUP}, {SHARES[0]:.0%} to {SHARES[-1]:.0%} collapsed")
    spans = []
    for measure, value in MEASURES.items():
        values = [value(each) for each in found]
        spans.append(values[-1] - values[0])
        print(f"  {measure}: Spearman {spearman(SHARES, values):.3f}; " + " ".join(f"{each:.3f}" for each in values))
    return spans


def length(name: str, texts: Sequence[str], size: int, spans: Sequence[float]) -> None:
    """The same texts cut to so many words and to twice as many, then pieces so long and others twice as long: how far each measure moves, and
    beside it the compression ratio of whole texts, all together. `spans`: what each measure gains from 0 to 50 % collapsed."""
    for share in (0.0, 0.3):
        whole = pieces(texts, 2 * size, MANY)
        cut = [" ".join(text.split()[:size]) for text in whole]
        for which, pair in (("the same cut to", (cut, whole)), ("pieces of", (pieces(texts, size, MANY), whole))):
            once, twice = (mixed(some, share) for some in pair)
            raw = [compression([words_of(text) for text in some]) for some in (once, twice)]
            moves = "; ".join(moved(once, twice, spans))
            print(f"  {name}, {which} {size} and {2 * size} words, {share:.0%} collapsed: {moves}; whole texts {raw[1] / raw[0] - 1:+.1%}")


def moved(left: Sequence[str], right: Sequence[str], spans: Sequence[float]) -> Iterator[str]:
    found = measured(left), measured(right)
    for (measure, value), span in zip(MEASURES.items(), spans, strict=True):
        before, after = map(value, found)
        yield f"{measure} {before:.3f} to {after:.3f}: {after / before - 1:+.1%}, {(after - before) / span:+.1%} of its span"


def main() -> None:
    gsm8k = [f"{row['question']} {row['answer']}" for row in table("gsm8k/train.parquet")]
    books = [row["text"] for row in table("openstax_textbooks/*.parquet")]
    random.Random(1).shuffle(gsm8k)
    gsm8k = [text for text in gsm8k if len(words_of(text)) >= LENGTHS[0]]
    rising("gsm8k", gsm8k[:ROWS])
    spans = rising("openstax", pieces(books, 150))
    print("length:")
    for size in (100, 200):
        length("openstax", books, size, spans)
    natural()
    texts = pieces(books, 200)
    began = time.process_time()
    measured(texts)
    print(f"speed: {len(texts)} texts of 200 words in {time.process_time() - began:.2f} s of one core")


def natural() -> None:
    """The twenties that are most alike in real sets, one half of each: what the alarm of a build (`guard.collapse`) must not take for a collapse."""
    limits = Collapse()
    odd: list[list[Variety]] = [[], []]
    for pattern, column in REAL.items():
        texts = [words_of(row[column]) for row in table(pattern)[:4_000]]
        random.Random(1).shuffle(texts)
        for half in (0, 1):
            mine = texts[half::2]
            found = [variety(mine[at : at + GROUP], length_for(mine)) for at in range(0, len(mine) - GROUP + 1, GROUP)]
            odd[half] += [each for each in found if each.rows >= GROUP / 2]
    for half, found in zip(("where thresholds were chosen on", "kept aside"), odd, strict=True):
        highest = max(each.opening_share for each in found), max(each.repetition or 0.0 for each in found)
        alarms = sum(limits.met(GROUP, each.opening_share, each.repetition or 0.0) for each in found)
        print(f"natural, the half {half}: {len(found)} twenties of {len(REAL)} sets, {alarms} false alarms; the most alike:", end=" ")
        print(f"opening share {highest[0]:.2f}, repetition {highest[1]:.2f}")


if __name__ == "__main__":
    main()
