"""What an account may take of a model a minute: a bucket each for requests, input tokens, output tokens, and both together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from datagen.asking.limits.use import Use
from datagen.asking.teachers.base import HeaderLimits

RATES = ("request", "input token", "output token", "token")
"""What is counted per minute, in the order of all that follows."""
Rates = tuple[int | None, ...]
Amounts = tuple[float, ...]


@dataclass
class Bucket:
    """An amount per minute that trickles in; bursts of at most `burst` seconds' worth."""

    per_second: float
    level: float
    at: float
    burst: float = 5.0

    def wait_for(self, amount: float, now: float) -> float:
        self.level = min(self.per_second * self.burst, self.level + max(0.0, now - self.at) * self.per_second)
        self.at = now
        if not self.per_second:  # a worker without a share
            return math.inf
        wanted = min(amount, self.per_second * self.burst)  # one request larger than a burst goes when the bucket is full
        lack = wanted - self.level
        return 0.0 if lack <= 1e-9 * wanted else lack / self.per_second  # a wait too short for the clock would never end


class Meter:
    """What one account may take of a model a minute, whichever teachers ask it: a bucket each for requests, input, output, both."""

    def __init__(self, rates: Rates, now: float) -> None:
        self._given = rates
        self._buckets = [_bucket(rate, now) for rate in rates]
        self.limited = any(rates)
        self.charge = 1.0
        """What a known limit is charged of an expected request: more after 429s, since the provider counts otherwise than we do."""
        self.paused_until = 0.0
        self._claims: dict[str, tuple[int, Amounts]] = {}
        """Teacher -> the rank and the amounts of what waits first at its door; who waits longest stands first."""
        self._scarcest = 0
        self.share = 1.0
        """Of the account's limits, which its buckets hold: less than all where several workers ask."""
        self._use = Use(len(rates), now)
        self.starved = False
        """Something had to wait for a limit, since whoever looks at this set it back."""

    def wait(self, teacher: str, rank: int, amounts: Amounts, now: float) -> float:
        """Seconds until there is room for it and for those who waited before or ask for a later step: no writer starves a judge."""
        sums = map(sum, zip(amounts, *self._ahead(teacher, rank), strict=True))
        waits = [bucket.wait_for(amount, now) if bucket is not None else 0.0 for bucket, amount in zip(self._buckets, sums, strict=True)]
        seconds = max(waits)
        self._scarcest = waits.index(seconds)
        if seconds > 0:
            self.starved = True
            self._claims[teacher] = rank, amounts
        else:
            self._claims.pop(teacher, None)
        return seconds

    def scarcest(self) -> str:
        """Which limit the last wait was for, and whose word it is."""
        bucket, given = self._buckets[self._scarcest], self._given[self._scarcest]
        rate = round(bucket.per_second / (self.share or 1.0) * 60) if bucket else 0
        source = "as the spec says" if given else "from the server's headers"
        return f"limit of {rate:,} {RATES[self._scarcest]}{'s' * (rate != 1)} a minute, {source}"

    def _ahead(self, teacher: str, rank: int) -> Iterator[Amounts]:
        waited_before = True
        for other, (its_rank, claimed) in self._claims.items():
            if other == teacher:
                waited_before = False
            elif its_rank > rank or (its_rank == rank and waited_before):
                yield claimed

    def draw(self, amounts: Amounts, sign: float = 1.0) -> None:
        for bucket, amount in zip(self._buckets, amounts, strict=True):
            if bucket is not None:
                bucket.level -= sign * amount
        self.note(amounts, sign)

    def note(self, amounts: Sequence[float], sign: float = 1.0) -> None:
        """Count what was taken, here or by a worker elsewhere."""
        self._use.draw(amounts, sign)

    @property
    def drawn(self) -> tuple[float, ...]:
        """In all, of each."""
        return tuple(self._use.drawn)

    def use(self, now: float) -> list[tuple[float | None, float | None]]:
        """Of each limit: how much a minute, and the share taken over the last minute; None where there is none."""
        rates = [bucket.per_second * 60 if bucket else None for bucket in self._buckets]
        return list(zip(rates, self._use.shares(rates, now), strict=True))

    @property
    def rates(self) -> tuple[float | None, ...]:
        """Of each a second, as far as it is known."""
        return tuple(bucket.per_second if bucket else None for bucket in self._buckets)

    def allot(self, rates: Sequence[float | None], share: float, now: float) -> None:
        """Set what one of several workers may take: its share of what the account may."""
        self.share = share
        for place, rate in enumerate(rates):
            bucket = self._buckets[place]
            if rate is not None and bucket is None:
                self._buckets[place] = Bucket(rate * share, 0.0, now)
            elif rate is not None and bucket is not None and bucket.per_second != rate * share:
                bucket.wait_for(0.0, now)  # what has trickled in so far did so at the old rate
                bucket.per_second = rate * share
        self.limited = any(rate is not None for rate in rates)

    def pause(self, until: float) -> None:
        self.paused_until = max(self.paused_until, until)

    def heed(self, headers: HeaderLimits, now: float) -> None:
        """The provider's own limits, where the spec names none; and a rest where it says that nothing is left."""
        for place, rate, given in ((0, headers.requests_per_minute, self._given[0]), (3, headers.tokens_per_minute, any(self._given[1:]))):
            if rate and not given and rate < 1_000_000_000:
                bucket = self._buckets[place]
                if bucket is None or bucket.per_second != rate / 60:
                    self._buckets[place] = _bucket(rate, now)
                    self.limited = True
        if headers.reset and 0 in (headers.requests_left, headers.tokens_left):
            self.pause(now + min(headers.reset, 60.0))


def _bucket(rate: int | None, now: float) -> Bucket | None:
    """A bucket that begins with a second's worth."""
    return Bucket(rate / 60, rate / 60, now) if rate else None
