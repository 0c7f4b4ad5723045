"""Hostile programs in the sandbox: hangs, leaks, escapes, forged passes. `hostile.py [COUNT] [SEED]`; 1,000 take a quarter of an hour."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hostile_programs import FAMILIES, attempt, standing_host


def main(count: int = 1000, seed: int = 5) -> None:
    with standing_host() as host:
        told = attempt(count, seed, host, print)
    for name in ("hangs", "leaks", "escapes", "forged"):
        print(f"hostile programs: {name}: {told[name]} of {count} in {len(FAMILIES)} kinds (seed {seed})")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
