"""The full recipe for textbooks on rows of about 300 words: rows a second of CPU time on one core, and where the time goes.

python tests/benchmarks/curation/speed.py [rows]
"""

from __future__ import annotations

import random
import sys
import time

from rows import excerpt, recipe, table


def main(count: int = 400) -> None:
    draw = random.Random(1)
    pages = [row["text"] for row in table("openstax_textbooks/*.parquet")]
    texts = [text for page in draw.choices(pages, k=3 * count) if 250 <= len((text := excerpt(page, draw)).split()) <= 400][:count]
    judge = recipe("textbook")
    for text in texts[:50]:
        judge.judge({"text": text})
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        for text in texts:
            judge.judge({"text": text})
        best = min(best, time.process_time() - began)
    words = sum(len(text.split()) for text in texts) / len(texts)
    print(f"speed: textbook recipe, {len(texts)} rows of {words:.0f} words: {len(texts) / best:.0f} rows/s of CPU on one core (best of 3)")
    for name, operator in judge.operators:
        began = time.process_time()
        for text in texts:
            operator.judge({"text": text})
        print(f"speed: {name} {1e6 * (time.process_time() - began) / len(texts):.0f} us a row by itself")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
