"""Final answers: agreement with the labels of 2,700 real solutions, and equivalence cases of our own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from test_operators_answers import EQUAL, UNEQUAL, cases

from datagen.operators.claims.equal import same
from datagen.operators.claims.math import Math
from datagen.storage import read_table

DATA = Path(os.environ.get("DATAGEN_SHARED", Path(__file__).resolve().parents[4] / "shared")) / "data"


def main() -> None:
    judge = Math(gold="ground_truth")
    pairs = [(judge.judge(row).fields["correct"], row["is_correct"]) for row in read_table(DATA / "gsm8k_model_solutions" / "solutions.parquet")]
    said, true = sum(bool(found) for found, _ in pairs), sum(label for _, label in pairs)
    both = sum(bool(found) and label for found, label in pairs)
    print(f"final answers: precision {both / said:.4f}, recall {both / true:.4f} on {len(pairs)} labelled solutions")
    unequal = cases(UNEQUAL)
    accepted = sum(same(*pair) or same(pair[1], pair[0]) for pair in unequal)
    print(f"final answers: false accepts on unequal pairs: {accepted} of {len(unequal)}")
    equal = cases(EQUAL)
    print(f"final answers: accepted of equal pairs: {sum(same(*pair) for pair in equal)} of {len(equal)}")


if __name__ == "__main__":
    main()
