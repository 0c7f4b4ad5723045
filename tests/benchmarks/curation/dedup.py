"""Deduplication on real rows with planted copies: what is caught, and what is kept. How fast: dedup_speed.py.

    python tests/benchmarks/curation/dedup.py [templates edits variants teachers]

Data: $DATAGEN_SHARED/data (GSM8K, OpenStax, MBPP, alpaca_eval's outputs). Edits replace words drawn anywhere in the text, numbers too.
"""

from __future__ import annotations

import itertools
import random
import re
import sys
from collections.abc import Callable, Sequence

from real import column

from datagen.steps.sets.copies.ties import duplicates
from datagen.steps.sets.words import is_figure, tokens

TEMPLATES = (0, 40, 80, 120, 150)
SHARES = (0.02, 0.05, 0.1)


def edited(text: str, share: float, vocabulary: Sequence[str], rng: random.Random) -> str:
    parts = text.split()
    for place in rng.sample(range(len(parts)), max(1, round(share * len(parts)))):
        parts[place] = rng.choice(vocabulary)
    return " ".join(parts)


def templates() -> None:
    questions = random.Random(21).sample(column("gsm8k/train", "question"), 500)
    lead = " ".join(" ".join(column("openstax_textbooks/physics", "text")[:3]).split()[: max(TEMPLATES)]).split()
    for length in TEMPLATES:
        rows = [f"{' '.join(lead[:length])} {question}" for question in questions]
        kept, told = 500 - len(duplicates(rows, range(500))), 500 - len(duplicates(rows, range(500), known=[" ".join(lead[:length])]))
        print(f"templates {length} words: kept {kept / 5:.1f} %, {told / 5:.1f} % where the template is known", flush=True)


def edits() -> None:
    questions = column("gsm8k/train", "question")
    everything = [word for question in questions for word in question.split()]
    plain = [word for word in everything if not any(map(is_figure, tokens(word)))]
    for name, vocabulary in (("words", plain), ("words and numbers", everything)):
        for share, lowest in itertools.product(SHARES, (0, 20)):
            rng = random.Random(22)
            originals = rng.sample([question for question in questions if len(tokens(question)) >= lowest], 2000)
            found = duplicates([*originals, *(edited(text, share, vocabulary, rng) for text in originals)], range(4000))
            right = sum(each.of == each.index - 2000 for each in found)
            rows = f"rows of {lowest} words and more" if lowest else "all rows"
            print(f"edits {share:.0%} replaced by {name}, {rows}: caught {right / 2000:.4f}, false pairs {len(found) - right}", flush=True)


def variants() -> None:
    number, rng = re.compile(r"\d+"), random.Random(23)
    problems = rng.sample([question for question in column("gsm8k/train", "question") if len(number.findall(question)) >= 2], 200)
    rows = [number.sub(lambda _: str(rng.randint(2, 999)), problem) for problem in problems for _ in range(10)]
    kept, folded = len(duplicates(rows, range(2000))), len(duplicates(rows, range(2000), numbers="fold"))
    print(f"variants of 200 problems, ten each: dropped {kept} of 2,000; with numbers folded {folded} of 1,800", flush=True)
    for name, source in (("gsm8k/train", "question"), ("mbpp/mbpp", "text")):
        texts = list(dict.fromkeys(column(name, source)))
        print(f"variants {name}: dropped {len(duplicates(texts, range(len(texts))))} of {len(texts)} distinct rows", flush=True)


def teachers() -> None:
    """Answers of different teachers to one prompt, as pairs."""
    source = "teacher_outputs_alpaca_eval/outputs"
    by_prompt: dict[str, dict[str, str]] = {}
    for teacher, prompt, answer in zip(column(source, "teacher"), column(source, "instruction"), column(source, "output"), strict=True):
        by_prompt.setdefault(prompt, {})[teacher] = answer
    pairs = merged = same = 0
    for answers in by_prompt.values():
        for one, two in itertools.combinations(answers.values(), 2):
            found, pairs = duplicates([one, two], range(2)), pairs + 1
            same += any(each.kind == "exact" for each in found)
            merged += any(each.kind == "near" for each in found)
    print(f"teachers: of {pairs} pairs of answers to one prompt {merged / max(pairs, 1):.2%} merged as near, {same} word for word", flush=True)


def main(names: Sequence[str] = ()) -> None:
    every: dict[str, Callable[[], None]] = {"templates": templates, "edits": edits, "variants": variants, "teachers": teachers}
    for name in names or every:
        every[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
