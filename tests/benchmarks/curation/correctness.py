"""Correctness without a known answer: step arithmetic on gold and on changed gold, and the probability that a solution is right."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

from datagen.operators.claims.arithmetic import Arithmetic
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


def main() -> None:
    arithmetic()


if __name__ == "__main__":
    main()
