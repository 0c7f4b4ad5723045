"""Rows that say the same in other words: which pairs the second tier of dedup finds among distinct ones, at each threshold; and how fast.

    python tests/benchmarks/curation/meaning.py [pairs speed] [--texts FILE] [--vectors FILE] [--words FILE]

Pairs: questions of GSM8K and their development rewordings, among train questions as distinct ones; the threshold is chosen on the items whose
index // 2 is even with the train questions of even number, all figures are of the other half. Vectors are the SIMULATED teacher's (hashed
stems and letters: a floor, which knows nothing of what words mean), and with `--vectors` those of a Parquet file with the columns `text` and
`vector`, made by any model of what `--texts` writes as JSON lines; of texts that are not in it nothing is said; with `--words` the means
of word vectors (.npz, as the spec's `vectors`).

Data: $DATAGEN_SHARED/data/{decontamination_dev, gsm8k}.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from decontamination import fitting, read, rewritten

from datagen.asking.vectors import numbers_of, packed
from datagen.records import Row
from datagen.rehearsal.answers.vector import vector
from datagen.spec.duplicates import MeaningWords
from datagen.steps.sets.base import measures
from datagen.steps.sets.copies.meaning import BLOCK, CHUNK, Meanings, Nearest, mean_of_words, meaning_fields, nominated, put_meanings, verified
from datagen.steps.sets.copies.ties import duplicates
from datagen.storage import read_table

LEAST = 0.7
"""Cosine below which no pair is looked at; of the simulated vectors, whose rewordings lie further off, FLOOR."""
FLOOR = 0.4
Vectors = Callable[[str], Any]


def half(first: bool, known: Container[str] | None = None) -> tuple[list[str], int]:
    """Texts: so many questions, as many rewordings of them in the same order, then distinct ones; of these the `known` alone, if given."""
    rows = [row for row in rewritten("gsm8k") if fitting(row["index"]) is first]
    train = [row["question"] for row in read("gsm8k/train")[0 if first else 1 :: 2]]
    if known is not None:
        rows, train = [row for row in rows if row["original"] in known and row["text"] in known], [text for text in train if text in known]
    return [row["original"] for row in rows] + [row["text"] for row in rows] + train, len(rows)


def scored(texts: Sequence[str], vectors: Vectors, fold: bool, least: float) -> Iterator[tuple[int, int, float]]:
    """Every pair of places with a cosine of `least` or more that the tier would take for one, by its own code."""
    first = vectors(texts[0])
    words = MeaningWords(by="v", at_least=least, dimensions=len(numbers_of(first)))
    found = measures(len(texts), meaning_fields(words))
    put_meanings(found, [Row("", "", "", {"v": vectors(text)}) for text in texts], texts, words)
    for at in range(0, len(texts), BLOCK):
        block = found[at : at + BLOCK]
        one, other = nominated(block, found, least, fold)
        later = one + at < other
        one, other = one[later], other[later]
        for cut in range(0, len(one), CHUNK):
            left, right = one[cut : cut + CHUNK], other[cut : cut + CHUNK]
            scores = verified(block[left], found[right], least, fold)
            yield from ((int(a) + at, int(b), float(c)) for a, b, c in zip(left, right, scores, strict=True) if c)


def of_words(text: str, path: str) -> Any:
    mean = mean_of_words(text, path)
    return mean.tolist() if mean.any() else None


def figures(texts: Sequence[str], count: int, vectors: Vectors, fold: bool, least: float) -> list[tuple[float, float, float, float]]:
    """(threshold, precision, recall, F1) over pairs."""
    yes, no = [], []
    for one, other, score in scored(texts, vectors, fold, least):
        (yes if other - one == count and one < count else no).append(score)
    told = []
    for threshold in np.arange(least, 0.99, 0.02):
        true, false = sum(score >= threshold for score in yes), sum(score >= threshold for score in no)
        told.append((float(threshold), true / max(1, true + false), true / count, 2 * true / (true + false + count)))
    return told


def pairs(name: str, vectors: Vectors, known: Container[str] | None = None, least: float = LEAST) -> None:
    (fit, fitted), (held, count) = half(True, known), half(False, known)
    by_words = duplicates(held, range(len(held)))
    right = sum(each.index - each.of == count and each.of < count for each in by_words)
    alone = f"by words alone (threshold .55): recall {right / count:.3f}, {len(by_words) - right} other pairs"
    print(f"{name}: {count} reworded pairs among {len(held):,} texts; {alone}")
    for fold in (False, True):
        threshold = max(figures(fit, fitted, vectors, fold, least), key=lambda row: row[3])[0]
        told = figures(held, count, vectors, fold, least)
        chosen = next(row for row in told if row[0] == threshold)
        print(f"  numbers {'folded' if fold else 'kept'}: at {threshold:.2f}, chosen on the other half:", _line(chosen[1:]), flush=True)
        print("\n".join(f"    {row[0]:.2f}: {_line(row[1:])}" for row in told[::2]))


def _line(row: Sequence[float]) -> str:
    return "precision {:.3f} recall {:.3f} F1 {:.3f}".format(*row)


def speed(count: int = 20_000, size: int = 256) -> None:
    """One pass over new rows that are all distinct, which is the most there is to look at; then over twins that differ in one number."""
    rng, words = np.random.default_rng(1), MeaningWords(by="v", dimensions=size)
    for name, rows, numbered in (("distinct", count, False), ("twins", count // 4, True)):
        found = measures(rows, meaning_fields(words))
        cloud = rng.normal(size=(1 if numbered else rows, size)) + 0.02 * rng.normal(size=(rows, size))
        texts = [f"{place} eggs" if numbered else "" for place in range(rows)]
        given = [Row("", "", "", {"v": packed(vector)}) for vector in cloud.tolist()]
        made = time.process_time()
        put_meanings(found, given, texts, words)
        began = time.process_time()
        tier = Meanings(found, 0, Nearest(np.full(rows, -1), np.zeros(rows)), words, False, Path("/tmp"))
        kept = 0
        for place in range(rows):
            if tier.cover(place) is None:
                tier.keep(place)
                kept += 1
        took = time.process_time() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        each = f"{took / (rows * rows / 2) * 1e9:.2f} ns a pair of rows"
        print(f"{rows:,} {name} rows of {size} numbers: {took:.1f} s of CPU, {each}, measuring {began - made:.1f} s; kept {kept:,}; peak {peak} MB")


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("what", nargs="*", default=["pairs", "speed"])
    options.add_argument("--texts", type=Path)
    options.add_argument("--vectors", type=Path)
    options.add_argument("--words", type=Path)
    given = options.parse_args()
    if given.texts:
        given.texts.write_text("".join(f"{json.dumps({'text': text})}\n" for first in (True, False) for text in half(first)[0]))
        raise SystemExit
    if "pairs" in given.what:
        pairs("SIMULATED vectors, 256 numbers", lambda text: vector(text, 256), least=FLOOR)
        if given.words:
            pairs(f"the mean of word vectors, {given.words.stem}", lambda text: of_words(text, str(given.words)))
        if given.vectors:
            known = {row["text"]: row["vector"] for row in read_table(given.vectors)}
            pairs(given.vectors.stem, known.__getitem__, known)
    if "speed" in given.what:
        speed()
