"""How much of each limit per minute is taken: over the last minute, as often as someone looks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

MINUTE, SHORTEST = 60.0, 1.0
"""Seconds that are looked back over, and at least divided by."""


class Use:
    """What one account drew of its limits; corrections count, so a sum may shrink."""

    def __init__(self, limits: int, now: float) -> None:
        self.drawn = [0.0] * limits
        self._looks: deque[tuple[float, list[float]]] = deque([(now, self.drawn.copy())])

    def draw(self, amounts: Sequence[float], sign: float = 1.0) -> None:
        for number, amount in enumerate(amounts):
            self.drawn[number] += sign * amount

    def shares(self, rates: Sequence[float | None], now: float) -> list[float | None]:
        """Share of each rate (per minute) taken over the last minute, or since the build began; None where there is no limit. Above 1 while a
        burst is used up."""
        while len(self._looks) > 1 and self._looks[1][0] <= now - MINUTE:
            self._looks.popleft()
        since, before = self._looks[0]
        if now > self._looks[-1][0]:
            self._looks.append((now, self.drawn.copy()))
        minutes = max(now - since, SHORTEST) / MINUTE
        pairs = zip(self.drawn, before, rates, strict=True)
        return [None if not rate else max(0.0, drawn - then) / (rate * minutes) for drawn, then, rate in pairs]
