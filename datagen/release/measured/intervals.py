"""How sure a share is that was counted on a few rows."""

from __future__ import annotations

import math

Z = 1.959963984540054
"""The normal quantile of a two-sided interval of 95 %."""


def wilson(found: int, of: int) -> tuple[float, float]:
    """The 95 % score interval of Wilson (1927) for a share of `found` among `of`; (0, 1) where nothing was counted."""
    if not of:
        return 0.0, 1.0
    share, squared = found / of, Z * Z / of
    middle = (share + squared / 2) / (1 + squared)
    half = Z / (1 + squared) * math.sqrt(share * (1 - share) / of + squared / (4 * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def rate(found: int, of: int) -> dict[str, float | int | None]:
    """A count with its share and interval, as tables keep it; the share of nothing is None."""
    low, high = wilson(found, of)
    return {"found": found, "of": of, "share": found / of if of else None, "low": low, "high": high}
