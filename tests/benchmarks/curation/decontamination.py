"""Rephrased and re-numbered benchmark items: how many are found, how many clean rows are taken for them. `--fit` prints weights anew.

Needs $DATAGEN_SHARED/data/{decontamination_dev, gsm8k, humaneval, mbpp}. Items whose index // 2 is even are for fitting (with the clean rows of
even number), all figures are of the other half.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from datagen.steps.sets.leaks import contamination
from datagen.steps.sets.leaks.contamination import KINDS, WORDING, Detector, Logistic, Pair
from datagen.steps.sets.leaks.likeness import CODE, PROSE
from datagen.steps.sets.leaks.overlap import Item

DATA = Path(os.environ.get("DATAGEN_SHARED") or Path(__file__).parents[4] / "shared") / "data"
SEED = 7
PENALTY = 3e-3
"""Of six from 1e-5 to 1e-2, the one with the highest F1 in four-fold cross-validation on the half for fitting (.979; .971 at 1e-4)."""
_number = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")


def read(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(DATA / f"{name}.parquet").to_pylist()
    return rows


def maths() -> list[Item]:
    return [Item("gsm8k", str(number), row["question"]) for number, row in enumerate(read("gsm8k/test"))]


def code() -> list[Item]:
    rows = enumerate(read("humaneval/humaneval"))
    return [Item("humaneval", str(number), row["prompt"], row["prompt"] + row["canonical_solution"]) for number, row in rows]


def rewritten(benchmark: str) -> list[dict[str, Any]]:
    """The development items; the answer after a question, which the data's README names as no part of it, is left out."""
    rows = [row for row in read("decontamination_dev/positives") if row["benchmark"] == benchmark]
    return [row | {"text": re.split(r"\n\s*Answer:", row["text"].removeprefix("Question:"))[0].strip()} for row in rows]


def mbpp() -> list[str]:
    return ['"""' + row["text"] + '"""\n' + row["code"].replace("\r", "") for row in read("mbpp/mbpp")]


def renumbered(text: str, rng: random.Random) -> str:
    """The text with other numbers: one that comes twice is changed alike. Empty when it has none in digits."""
    new: dict[str, str] = {}
    for found in _number.findall(text):
        value = float(found.replace(",", ""))
        while new.get(found, found) == found:
            new[found] = f"{value * rng.uniform(0.5, 2):.2f}" if "." in found else str(rng.randint(max(2, int(value * 0.5)), int(value * 2) + 6))
    return _number.sub(lambda match: new[match.group()], text) if new else ""


def fitting(index: int) -> bool:
    return index // 2 % 2 == 0


# --- fitting ---


def logistic(figures: Sequence[Sequence[float]], labels: Sequence[bool], penalty: float) -> tuple[np.ndarray, float]:
    """Weights and bias by Newton's method, with an L2 penalty on the standardised weights."""
    raw, wanted = np.array(figures), np.array(labels, dtype=float)
    mean, deviation = raw.mean(0), raw.std(0) + 1e-9
    scaled = np.c_[(raw - mean) / deviation, np.ones(len(raw))]
    held = np.r_[np.full(raw.shape[1], penalty), 1e-6]
    weights = np.zeros(scaled.shape[1])
    for _ in range(40):
        likely = 1 / (1 + np.exp(-np.clip(scaled @ weights, -30, 30)))
        slope = scaled.T @ (likely - wanted) / len(raw) + held * weights
        curve = (scaled * (likely * (1 - likely))[:, None]).T @ scaled / len(raw) + np.diag(held)
        weights -= np.linalg.solve(curve, slope)
    return weights[:-1] / deviation, float(weights[-1] - (weights[:-1] * mean / deviation).sum())


def best_limit(positive: np.ndarray, negative: np.ndarray) -> float:
    """The middle between the score with the highest F1 and the next lower one."""
    scores = np.unique(np.r_[positive, negative])
    at = int(np.argmax([f1(positive, negative, score) for score in scores]))
    return float((scores[at] + scores[max(0, at - 1)]) / 2)


def f1(positive: np.ndarray, negative: np.ndarray, limit: float) -> float:
    true, false = (positive >= limit).sum(), (negative >= limit).sum()
    return float(2 * true / (true + false + len(positive)))


def right(pairs: Sequence[Pair], number: int) -> list[Pair]:
    """The piece of the row that is most like its item, letter for letter; other pieces of it teach nothing."""
    return sorted((pair for pair in pairs if pair.number == number), key=lambda pair: -pair.figures[2 if pair.code else 1])[:1]


def fit_maths() -> None:
    detector, rng = Detector(maths()), random.Random(SEED)
    place = {item.id: number for number, item in enumerate(sorted(maths()))}
    items = read("gsm8k/test")
    good = [row for row in rewritten("gsm8k") if fitting(row["index"])]
    same = [right(list(detector.pairs(row["text"])), place[str(row["index"])]) for row in good]
    swaps = [
        pair
        for row in good
        for text in (row["text"], items[row["index"]]["question"])
        for pair in right(list(detector.pairs(renumbered(text, rng))), place[str(row["index"])])
        if pair.changed
    ]
    clean = [list(detector.pairs(row["question"])) for row in read("gsm8k/train")[::2]]
    others = [pair for pairs in clean for pair in pairs[:1]]
    yes = [pair for pairs in same for pair in pairs]
    weights, bias = logistic([pair.figures for pair in [*yes, *others]], [True] * len(yes) + [False] * len(others), PENALTY)
    score = best_of(lambda pair: float(pair.figures @ weights) + bias)
    show("SAME_PROSE", PROSE, weights, bias, best_limit(scores(same, score), scores(clean, score)))
    wording = [[pair.figures[at] for at in WORDING] for pair in [*yes, *swaps, *others]]
    weights, bias = logistic(wording, [True] * (len(yes) + len(swaps)) + [False] * len(others), PENALTY)
    score = best_of(lambda pair: float(np.array(pair.figures)[list(WORDING)] @ weights) + bias)
    limit = float(np.quantile(scores(clean, score), 0.998))  # two clean rows in a thousand
    show("TEMPLATE", [PROSE[at] for at in WORDING], weights, bias, limit)


def fit_code() -> None:
    detector = Detector(code())
    place = {item.id: number for number, item in enumerate(sorted(code()))}
    good = [row for row in rewritten("humaneval") if fitting(row["index"])]
    found = [list(detector.pairs(row["text"])) for row in good]
    same = [right(pairs, place[str(row["index"])]) for pairs, row in zip(found, good, strict=True)]
    wrong = [pair for pairs, row in zip(found, good, strict=True) for pair in pairs[:3] if pair.number != place[str(row["index"])]]
    clean = [list(detector.pairs(text)) for text in mbpp()[::2]]
    others = [pair for pairs in clean for pair in pairs] + wrong
    yes = [pair for pairs in same for pair in pairs]
    weights, bias = logistic([pair.figures for pair in [*yes, *others]], [True] * len(yes) + [False] * len(others), PENALTY)
    score = best_of(lambda pair: float(pair.figures @ weights) + bias)
    show("SAME_CODE", CODE, weights, bias, best_limit(scores(same, score), scores(clean, score)))


def show(name: str, figures: Sequence[str], weights: np.ndarray, bias: float, limit: float) -> None:
    print(f"# {', '.join(figures)}")
    print(f"{name} = Logistic({tuple(round(float(weight), 2) for weight in weights)}, {bias:.2f}, {limit:.2f})")


def best_of(score: Callable[[Pair], float]) -> Callable[[Sequence[Pair]], float]:
    return lambda pairs: max(map(score, pairs), default=-99.0)


def scores(rows: Sequence[Sequence[Pair]], score: Callable[[Sequence[Pair]], float]) -> np.ndarray:
    return np.array([score(pairs) for pairs in rows])


# --- figures ---


def told(name: str, positive: np.ndarray, negative: np.ndarray, limit: float) -> None:
    """F1 at the limit that ships; recall where one clean row in a hundred would be taken."""
    strict = np.sort(negative)[::-1][int(0.01 * len(negative))]
    true, false = int((positive >= limit).sum()), int((negative >= limit).sum())
    print(
        f"{name}: F1 {f1(positive, negative, limit):.3f}, precision {true / max(1, true + false):.3f}, recall {true / len(positive):.3f},"
        f" recall at 1 % false positives {(positive > strict).mean():.3f} ({len(positive)} rewritten, {len(negative)} clean)"
    )


def rephrased(name: str, detector: Detector, good: Sequence[str], clean: Sequence[str], same: Logistic) -> None:
    score = best_of(lambda pair: same(pair.figures))
    found = [scores([list(detector.pairs(text)) for text in texts], score) for texts in (good, clean)]
    told(name, *found, same.least)


def three_classes() -> None:
    """Every item of the held-out half as it is, rewritten, and with other numbers; clean rows count against precision."""
    detector, rng, items = Detector(maths()), random.Random(SEED + 1), read("gsm8k/test")
    good = [row for row in rewritten("gsm8k") if not fitting(row["index"])]
    rows = [("rephrased", row["text"]) for row in good]
    for row in good:
        plain = items[row["index"]]["question"]
        rows += [("verbatim", plain), *([("same_template", other)] if (other := renumbered(plain, rng)) else [])]
    dev = [row for row in read("decontamination_dev/negatives") if row["benchmark"] == "gsm8k"]
    for name, clean in (("dev", [row["text"] for row in dev[1::2]]), ("train", [row["question"] for row in read("gsm8k/train")[1::2]])):
        pairs = [(kind, found.kind if (found := detector.find(text)) else "") for kind, text in [*rows, *(("", text) for text in clean)]]
        found, wanted, hits = Counter(kind for _, kind in pairs), Counter(kind for kind, _ in pairs), Counter(a for a, b in pairs if a == b)
        single = {kind: 2 * hits[kind] / (found[kind] + wanted[kind]) for kind in KINDS}
        print(
            f"three classes, {len(clean)} clean rows of {name}: macro F1 {sum(single.values()) / 3:.3f} ("
            + ", ".join(f"{kind} {value:.3f}" for kind, value in single.items())
            + ")"
        )


def as_rows_come() -> None:
    """Found where a row holds more than the item: its solution, a wrapping of instructions, a lesson around a program."""
    detector, items, train = Detector(maths()), read("gsm8k/test"), read("gsm8k/train")[1::2]
    good = [(row["text"], items[row["index"]]) for row in rewritten("gsm8k") if not fitting(row["index"])]
    shapes: dict[str, Callable[[str, str], str]] = {
        "with its solution": lambda question, answer: f"{question}\n\n{answer}",
        "in instructions": lambda question, answer: f"Solve the following problem step by step.\n\n{question}\n\nSolution: {answer}",
        "as a chat": lambda question, answer: f"user: {question}\nassistant: {answer}",
    }
    for name, shape in shapes.items():
        hits = sum(_taken(detector, shape(text, plain(item["answer"]))) for text, item in good)
        wrong = sum(_taken(detector, shape(item["question"], plain(item["answer"]))) for item in train)
        print(f"rephrased GSM8K {name}: recall {hits / len(good):.3f} of {len(good)}, clean rows taken {wrong} of {len(train)}")
    programs = Detector(code())
    rows = [row["text"] for row in rewritten("humaneval") if not fitting(row["index"])], mbpp()[1::2]
    hits, wrong = (sum(_taken(programs, LESSON.format(text)) for text in texts) for texts in rows)
    print(f"rephrased HumanEval in a lesson: {hits} of {len(rows[0])}, clean rows taken {wrong} of {len(rows[1])}")


LESSON = (
    "# Working with data\n\nIn this lesson we write a small function together. Read the description first, then try it yourself.\n\n"
    "```python\n{}\n```\n\nLet us go through it line by line. The loop looks at each element; the condition decides what happens with it."
)


def plain(answer: str) -> str:
    return re.sub(r"<<.*?>>", "", answer)


def _taken(detector: Detector, text: str) -> bool:
    found = detector.find(text)
    return found is not None and found.kind != "same_template"


def speed(rows: int = 200) -> None:
    """Rows of 300 words of a textbook against all reference items there are."""
    listed = [Item(row["benchmark"], row["id"], row["question"]) for row in read("eval_references/references")]
    detector = Detector([*maths(), *code(), *random.Random(SEED).sample(listed, 10_000 - 1_319 - 164)])
    words = [word for row in read("openstax_textbooks/physics") for word in row["text"].split()]
    texts = [" ".join(words[at * 300 : (at + 1) * 300]) for at in range(rows)]
    start = time.process_time()
    leaks = Counter(found.kind for text in texts if (found := detector.find(text)))
    rate = rows / (time.process_time() - start)
    print(f"speed: {rate:.0f} rows of 300 words a second of CPU time against {len(detector)} items; taken for items: {dict(leaks)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true")
    if parser.parse_args().fit:
        fit_maths()
        fit_code()
        return
    detector = Detector(maths())
    good = [row["text"] for row in rewritten("gsm8k") if not fitting(row["index"])]
    dev = [row for row in read("decontamination_dev/negatives") if row["benchmark"] == "gsm8k"]
    rephrased("rephrased GSM8K, dev negatives", detector, good, [row["text"] for row in dev[1::2]], contamination.SAME_PROSE)
    train = [row["question"] for row in read("gsm8k/train")[1::2]]
    rephrased("rephrased GSM8K, half of train", detector, good, train, contamination.SAME_PROSE)
    good = [row["text"] for row in rewritten("humaneval") if not fitting(row["index"])]
    rephrased("rephrased HumanEval, half of MBPP", Detector(code()), good, mbpp()[1::2], contamination.SAME_CODE)
    three_classes()
    as_rows_come()
    speed()


if __name__ == "__main__":
    main()
