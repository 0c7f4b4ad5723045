"""Planted junk of ten kinds in textbook, maths and code rows: precision and recall of the shipped recipes.

    python tests/benchmarks/curation/junk.py [rows a cell] [even|odd]

Each kind is planted into known-good rows; as many other untouched rows stand beside them, so precision is at even shares. Thresholds were chosen
on the even rows; the odd ones report.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable

from rows import excerpt, faults, known_good, table

Planter = Callable[[str, list[str], random.Random], str]
_CONFUSED = {
    "m": "rn", "l": "1", "I": "l", "o": "0", "e": "c", "h": "b", "a": "o", "d": "cl", "s": "5", "B": "8", "g": "q", "t": "f", "n": "u", "w": "vv",
    "i": "j", "c": "e", "f": "t", "b": "6", "O": "0", "S": "5", "y": "v",
}  # fmt: skip
"""What a scanner reads for a letter."""
NOISE = 0.08
"""Share of the letters above that are misread."""


def loop(text: str, others: list[str], draw: random.Random) -> str:
    pieces = [piece for piece in re.split(r"(?<=[.!?:])\s+|\n", text) if 4 <= len(piece.split()) <= 40] or [text[:80]]
    return f"{text[: len(text) // 2]}\n" + "\n".join([draw.choice(pieces)] * draw.randint(6, 20))


def cut(text: str, others: list[str], draw: random.Random) -> str:
    """Inside a line, at a letter, four words or more into it where there is such a place."""
    ends = [found.end() for found in re.finditer(r"[^\W\d_]{2,}(?=[ (])", text)]
    late = [end for end in ends if end > len(text) // 3 and len(text[:end].rsplit("\n", 1)[-1].split()) >= 4]
    return text[: draw.choice(late or ends or [len(text) // 2])]


def refuse(text: str, others: list[str], draw: random.Random) -> str:
    refusals = [row["completion"] for row in table("refusals_dev/completions.parquet") if row["label"] == "2_full_refusal"]
    return str(draw.choice(refusals))


def leak(text: str, others: list[str], draw: random.Random) -> str:
    head = draw.choice(
        (
            "You are a patient teacher. Write an explanation for beginners.\n\n{}", "Topic: the one below\nAudience: students\nStyle: plain\n\n{}",
            "### Instruction:\nSolve the task.\n\n### Response:\n{}", "<|im_start|>assistant\n{}<|im_end|>", "[INST] Do what is asked. [/INST] {}",
        )
    )  # fmt: skip
    return head.replace("{}", text)


def talk(text: str, others: list[str], draw: random.Random) -> str:
    frame = draw.choice(
        (
            "Certainly! Here is what you asked for:\n\n{}", "{}\n\nI hope this helps! Let me know if you have any questions.",
            "As an AI language model, I can explain this.\n\n{}", "Great question! Let's look at it.\n\n{}", "Sure, here's the solution:\n\n{}",
        )
    )  # fmt: skip
    return frame.replace("{}", text)


def foreign(text: str, others: list[str], draw: random.Random) -> str:
    paragraphs = table("udhr_languages/udhr.parquet")
    language = draw.choice(sorted({row["lang"] for row in paragraphs} - {"en", "bi"}))
    return "\n\n".join(str(row["text"]) for row in paragraphs if row["lang"] == language)[:1500]


def garble(text: str, others: list[str], draw: random.Random) -> str:
    marked = "".join(draw.choice("éüñ’—") if sign in "aeiou'" and draw.random() < 0.05 else sign for sign in text) + " é"
    return marked.encode("utf-8").decode("cp1252", "replace")


def scan(text: str, others: list[str], draw: random.Random) -> str:
    return "".join(_CONFUSED[sign] if sign in _CONFUSED and draw.random() < NOISE else sign for sign in text)


def splice(text: str, others: list[str], draw: random.Random) -> str:
    other = draw.choice(others)
    return _half(text, False) + _half(other, True)


def _half(text: str, second: bool) -> str:
    ends = [found.end() for found in re.finditer(r"[.!?]\s+|\n", text)] or [len(text) // 2]
    middle = min(ends, key=lambda end: abs(end - len(text) // 2))
    return text[middle:] if second else text[:middle]


def shuffle(text: str, others: list[str], draw: random.Random) -> str:
    lines = [line for line in text.split("\n") if line.strip()]
    pieces = (
        lines if re.search(r"^def |^import |^class ", text, re.MULTILINE) else [part for line in lines for part in re.split(r"(?<=[.!?])\s+", line)]
    )
    draw.shuffle(pieces)
    return ("\n" if pieces and pieces[0] in lines and len(pieces) == len(lines) else " ").join(pieces)


KINDS: dict[str, Planter] = {
    "loop": loop, "cut": cut, "refusal": refuse, "prompt leak": leak, "meta talk": talk, "other language": foreign, "mojibake": garble,
    "scanner noise": scan, "spliced": splice, "shuffled": shuffle,
}  # fmt: skip


def rows_of(odd: bool) -> dict[str, tuple[str, list[str]]]:
    """Kind of row -> (recipe, known-good rows of one half)."""
    good, draw = known_good(), random.Random(3)
    pages = [excerpt(text, draw) for text in good["openstax"][1] if len(text.split()) > 250]
    code = [text for name in ("humaneval", "mbpp") for text in good[name][1]]
    return {"textbook": ("textbook", pages[odd::2]), "maths": ("rationale", good["gsm8k"][1][odd::2]), "code": ("code", code[odd::2])}


def main(count: int = 150, half: str = "odd") -> None:
    for kind, (recipe, texts) in rows_of(half == "odd").items():
        draw = random.Random(7)
        sample = draw.sample(texts, min(2 * count, len(texts)))
        planted, clean = sample[: len(sample) // 2], sample[len(sample) // 2 :]
        wrong = sum(bool(faults(recipe, text)) for text in clean) / len(clean)
        for name, plant in KINDS.items():
            caught = sum(bool(faults(recipe, plant(text, clean, draw))) for text in planted) / len(planted)
            print(f"junk {kind} {name}: precision {caught / max(1e-9, caught + wrong):.3f} recall {caught:.3f} ({len(planted)} planted)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 150, sys.argv[2] if len(sys.argv) > 2 else "odd")
