"""Correctness without a known answer: step arithmetic on gold and on changed gold, and the probability that a solution is right."""

from __future__ import annotations

import math
import os
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from datagen.operators.claims.arithmetic import Arithmetic
from datagen.operators.claims.confidence import WEIGHTS, features
from datagen.operators.claims.math import Math
from datagen.storage import read_table

DATA = Path(os.environ.get("DATAGEN_SHARED", Path(__file__).resolve().parents[4] / "shared")) / "data"
_RESULT = re.compile(r"(<<[^<>=\n]*[\d)][-+*/][^<>=\n]*=)(\d+)>>\2")


def changed(solution: str, by: int) -> str | None:
    """The solution with the first result of its calculations changed, where there is one."""
    wrong = _RESULT.sub(lambda found: f"{found[1]}{int(found[2]) + by}>>{int(found[2]) + by}", solution, count=1)
    return wrong if wrong != solution else None


def arithmetic() -> None:
    judge = Arithmetic()
    for name in ("train", "test"):
        answers = [row["answer"] for row in read_table(DATA / "gsm8k" / f"{name}.parquet")]
        dropped = sum(not judge.judge({"text": text}).keep for text in answers)
        print(f"arithmetic: gold solutions of GSM8K {name} dropped: {dropped} of {len(answers)} = {100 * dropped / len(answers):.2f} %")
    chance = random.Random(5)
    wrong = [text for text in (changed(answer, chance.randint(1, 9)) for answer in answers) if text]
    plain = [re.sub(r"<<[^<>]*>>", "", text) for text in wrong]
    for name, texts in (("with its note", wrong), ("without notes", plain)):
        found = sum(not judge.judge({"text": text}).keep for text in texts)
        print(f"arithmetic: one result changed, {name}: found: {found} of {len(texts)} = {100 * found / len(texts):.1f} %")


def labelled(half: int) -> list[tuple[dict[str, float], bool]]:
    """(features, right) of the solutions of one half of the problems, four a problem; the half is the first bit of a digest of the problem's id."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in read_table(DATA / "gsm8k_model_solutions" / "solutions.parquet"):
        groups.setdefault(row["problem_id"], []).append(row)
    found = []
    for problem, rows in groups.items():
        if sha256(b"confidence-v1:" + problem.encode()).digest()[0] % 2 != half:
            continue
        answers = [Math(gold=None).judge(row).fields["final_answer"] for row in rows]
        for row, answer in zip(rows, answers, strict=True):
            share = answers.count(answer) / len(rows) if answer is not None else 0.0
            found.append((features(row["solution"], row["question"], share), bool(row["is_correct"])))
    return found


def fitted(rows: Sequence[tuple[Mapping[str, float], bool]], ridge: float = 1.0) -> dict[str, float]:
    """Weights of a logistic regression by Newton's steps; the ridge spares the constant."""
    names = list(rows[0][0])
    size, weights = len(names), [0.0] * len(names)
    table = [([seen[name] for name in names], float(right)) for seen, right in rows]
    for _ in range(30):
        slope = [ridge * weight if index else 0.0 for index, weight in enumerate(weights)]
        bend = [[ridge * (row == column) * (row > 0) + 1e-9 * (row == column) for column in range(size)] for row in range(size)]
        for values, right in table:
            chance = chance_of(weights, values)
            for row in range(size):
                slope[row] += (chance - right) * values[row]
                for column in range(size):
                    bend[row][column] += chance * (1 - chance) * values[row] * values[column]
        weights = [weight - step for weight, step in zip(weights, solved(bend, slope), strict=True)]
    return dict(zip(names, weights, strict=True))


def solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """x of matrix x = right, by elimination with pivots."""
    rows = [[*line, value] for line, value in zip(matrix, right, strict=True)]
    for index in range(len(rows)):
        best = max(range(index, len(rows)), key=lambda row: abs(rows[row][index]))
        rows[index], rows[best] = rows[best], rows[index]
        for row in range(len(rows)):
            if row != index:
                factor = rows[row][index] / rows[index][index]
                rows[row] = [one - factor * other for one, other in zip(rows[row], rows[index], strict=True)]
    return [line[-1] / line[index] for index, line in enumerate(rows)]


def chance_of(weights: Iterable[float], values: Iterable[float]) -> float:
    return 1 / (1 + math.exp(-sum(weight * value for weight, value in zip(weights, values, strict=True))))


def scored(weights: Mapping[str, float], rows: Sequence[tuple[Mapping[str, float], bool]]) -> list[tuple[float, bool]]:
    return [(chance_of((weights[name] for name in seen), seen.values()), right) for seen, right in rows]


def figures(judged: Sequence[tuple[float, bool]], recall: float = 0.4) -> tuple[float, float]:
    """(precision of the likeliest rows that hold this share of the right ones, expected calibration error over ten bins)."""
    ranked = sorted(judged, key=lambda pair: -pair[0])
    wanted, hits, taken = recall * sum(right for _, right in judged), 0, 0
    for _, right in ranked:
        if hits >= wanted:
            break
        hits, taken = hits + right, taken + 1
    bins: dict[int, list[tuple[float, bool]]] = {}
    for chance, right in judged:
        bins.setdefault(min(9, int(chance * 10)), []).append((chance, right))
    error = sum(abs(sum(chance - right for chance, right in pairs)) for pairs in bins.values()) / len(judged)
    return hits / taken, error


def interval(judged: Sequence[tuple[float, bool]], draws: int = 400) -> tuple[float, float]:
    """95 % of the precisions over draws of problems with replacement: where all four samples agree on a wrong answer, one problem is four errors."""
    chance, problems = random.Random(5), [judged[at : at + 4] for at in range(0, len(judged), 4)]
    found = sorted(figures([row for problem in chance.choices(problems, k=len(problems)) for row in problem])[0] for _ in range(draws))
    return found[round(0.025 * draws)], found[round(0.975 * draws) - 1]


def confidence() -> None:
    halves = labelled(0), labelled(1)
    weights = fitted(halves[0])
    print("confidence: weights fitted on half 0:", {name: round(weight, 3) for name, weight in weights.items()})
    other = scored(fitted(halves[1]), halves[0])
    for name, judged in (
        ("shipped weights, on the half they were not fitted on", scored(WEIGHTS, halves[1])),
        ("fitted on that half, on the first", other),
        ("each half by the other's weights, together", scored(weights, halves[1]) + other),
    ):
        (precision, error), (low, high) = figures(judged), interval(judged)
        told = f"precision at recall .40: {precision:.3f} (by problems {low:.3f}-{high:.3f}); calibration error: {error:.3f}"
        print(f"confidence: {name} ({len(judged)} solutions): {told}")


def main() -> None:
    arithmetic()
    confidence()


if __name__ == "__main__":
    main()
