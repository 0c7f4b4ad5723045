"""Programs against their tests: references accepted, one-token mutants that fail their tests rejected. `programs.py [PROGRAMS] [MUTANTS]`.

HumanEval and MBPP; without numbers all references and 400 mutants. Whether a mutant fails its tests is found out without the operator: by
a plain Python process, which may run it, since it is a known program with one token changed. A mutant that passes is not counted.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mutating import mutants

from datagen.operators.claims.code import Code
from datagen.storage import read_table

Row = Mapping[str, Any]
HUMANEVAL = Code(tests="test", setup="prompt", entry_point="entry_point")
MBPP = Code(tests=("test_setup_code", "test_list"))


def references(data: Path) -> list[tuple[Code, Row]]:
    """(operator, fields) of every reference solution: 164 of HumanEval, 974 of MBPP."""
    human = [(HUMANEVAL, {**row, "solution": row["canonical_solution"]}) for row in read_table(data / "humaneval" / "humaneval.parquet")]
    return human + [(MBPP, {**row, "solution": row["code"].replace("\r\n", "\n")}) for row in read_table(data / "mbpp" / "mbpp.parquet")]


def faulty(programs: Sequence[tuple[Code, Row]], count: int, seed: int) -> list[tuple[Code, Row]]:
    """`count` mutants that fail their tests, of programs drawn with a seed; each program gives one at most."""
    chance, found = random.Random(seed), []
    for operator, row in chance.sample(list(programs), len(programs)):
        all_of_them = list(mutants(row["solution"])) if "\t" not in row["solution"] else []
        for solution in chance.sample(all_of_them, min(2, len(all_of_them))):
            if len(found) < count and not passes_plainly(operator, {**row, "solution": solution}):
                found.append((operator, {**row, "solution": solution}))
                break
        if len(found) == count:
            break
    return found


def passes_plainly(operator: Code, row: Row) -> bool:
    """The verdict of a plain Python on the program and its tests."""
    if operator is HUMANEVAL:
        program = f"{row['prompt']}{row['solution']}\n{row['test']}\ncheck({row['entry_point']})"
    else:
        program = "\n".join((row["solution"], row["test_setup_code"], *row["test_list"]))
    try:
        done = subprocess.run([sys.executable, "-S", "-"], input=program, text=True, capture_output=True, timeout=6, cwd="/tmp")
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def judged(programs: Sequence[tuple[Code, Row]]) -> list[str]:
    """The reason of each, empty where it was kept."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda pair: pair[0].judge(pair[1]).reason, programs))


def main(programs: int | None = None, mutated: int = 400, seed: int = 5) -> None:
    data = Path(os.environ.get("DATAGEN_SHARED", Path(__file__).resolve().parents[4] / "shared")) / "data"
    known = references(data)
    chosen = known if programs is None else random.Random(seed).sample(known, programs)
    reasons = judged(chosen)
    for (operator, row), reason in zip(chosen, reasons, strict=True):
        if reason:
            print(f"dropped: {row['task_id']}: {operator.judge(row)}")
    print(f"reference programs of HumanEval and MBPP: accepted: {reasons.count('')} of {len(chosen)}")
    wrong = faulty(known, mutated, seed)
    kept = judged(wrong).count("")
    print(f"one-token mutants that fail their tests: rejected: {len(wrong) - kept} of {len(wrong)} (seed {seed})")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
