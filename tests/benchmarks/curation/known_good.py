"""Known-good rows that the shipped recipes drop, per set, for the union of the recipe's operators.

python tests/benchmarks/curation/known_good.py [rows a set; 0 = all]
"""

from __future__ import annotations

import random
import sys
from collections import Counter

from rows import faults, known_good


def main(most: int = 0) -> None:
    for name, (recipe, texts) in known_good().items():
        texts = random.Random(11).sample(texts, most) if 0 < most < len(texts) else texts
        dropped = [found for text in texts if (found := faults(recipe, text))]
        why = ", ".join(f"{reason} {count}" for reason, count in Counter(reason for found in dropped for reason in found).most_common(4))
        print(f"known-good {name} ({recipe}): dropped {len(dropped)} of {len(texts)} = {100 * len(dropped) / len(texts):.2f} % ({why or 'none'})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
