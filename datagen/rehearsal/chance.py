"""Every draw of the simulator: a pure function of the seed and of what it is for, never of time or order."""

from __future__ import annotations

import hashlib
import random

_TOP = float(2**64)


def _number(parts: tuple[object, ...]) -> int:
    text = "\x1f".join(map(str, parts)).encode("utf-8", errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def share(*parts: object) -> float:
    """A number in [0, 1) that belongs to `parts`."""
    return _number(parts) / _TOP


def stream(*parts: object) -> random.Random:
    """A generator that belongs to `parts`."""
    return random.Random(_number(parts))
