"""What workers and their governor tell each other: a report, and the lease that answers it. Both are whole: a lost one costs nothing.

A lease says what a worker may do by itself until it runs out: so many requests in flight, such a share of each limit per minute, money up
to a ceiling. All leases together never pass what there is: what one is to get more, another must have said first that it holds less.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from datagen.asking.limits.lanes import Ended, Need
from datagen.errors import DatagenError
from datagen.records import Spend

LASTS = 4.5
"""Seconds that a lease holds, from when it was asked for. A worker that is silent for longer sends nothing, and others have its share."""
BEAT = 2.0
"""Seconds between two reports of a worker that lacks nothing: a lost one is made good before its lease runs out."""
SOON = 0.25
"""Seconds after which to ask again where another worker has yet to say that it holds less."""


@dataclass(frozen=True, slots=True)
class Used:
    """What a worker says of one teacher."""

    in_flight: int = 0
    settled: Spend = field(default_factory=Spend)
    """In all that this worker has asked."""
    reserved: Spend = field(default_factory=Spend)
    """The worst case of what is in flight."""
    ceiling: Spend = field(default_factory=Spend)
    """The sum of both does not pass this before there is an answer."""
    slots: int = 0
    """What its lease says."""
    waiting: int = 0
    """Requests that are not admitted yet."""
    dearest: Spend = field(default_factory=Spend)
    """The worst case of its requests at most."""
    short: tuple[Need, ...] = ()
    """Some that do not fit under the ceiling."""
    sent: int = 0
    """Since the last report, as all that follows."""
    ended: tuple[Ended, ...] = ()
    judged: tuple[str, ...] = ()
    probed: int | None = None
    """Ticket of the request that finds out whether the teacher is back, while it is in flight or has just ended."""
    trouble: str = ""
    """What it waits for, in words."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of itself."""

    worker: str
    used: Mapping[str, Used]
    """By teacher."""
    shares: Mapping[str, float]
    """Account -> the share of its limits per minute that the worker holds."""
    wants: Mapping[str, float]
    """Account -> the share that it could make use of; infinite where something waits for a limit."""
    drawn: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Account -> what was taken of each of its limits since the last report."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker may do with one teacher."""

    slots: int
    """Requests in flight."""
    ceiling: Spend | None
    """What it may have spent and reserved; None where no cap is set."""
    capped: tuple[bool, bool, bool] = (False, False, False)
    """Which of cost, tokens and requests the ceiling counts for."""
    refused: tuple[int, ...] = ()
    """Tickets of requests that the caps can never admit."""
    why: str = ""
    """Which cap that is."""
    rest: float = 0.0
    """Seconds during which nothing may be sent."""
    down: bool = False
    """Out of service."""
    deaf: bool = False
    """Out of service in that connections fail."""
    probe: bool = False
    """This worker may find out whether the teacher is back."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What an account may take of a model in a second, and this worker's share of it."""

    rates: tuple[float | None, ...]
    """Requests, input tokens, output tokens, both; None where no limit is known."""
    share: float
    charge: float


@dataclass(frozen=True, slots=True)
class Lease:
    """What a worker may do until LASTS seconds after it asked."""

    places: Mapping[str, Place] = field(default_factory=dict)
    """By teacher."""
    flows: Mapping[str, Flow] = field(default_factory=dict)
    """By account, where limits per minute are known."""
    tight: bool = False
    """Money is short: give back what is not in use with each report."""
    again: float = BEAT
    """Seconds after which to report again."""
    stop: DatagenError | None = None
    """Why nothing more may be sent."""


class Lender(Protocol):
    """The governor as a worker far away reaches it."""

    def exchange(self, report: Report) -> Awaitable[Lease]: ...

    def news(self, worker: str) -> Awaitable[None]:
        """Returns when it is worth reporting before the time that the lease says: another has given back what this worker waits for."""
        ...


def shared_out(total: float, wants: Mapping[str, float]) -> dict[str, float]:
    """Max-min fair shares: nobody gets less than another who wants more; what nobody wants is spread evenly on top."""
    given: dict[str, float] = {}
    left = total
    for done, (name, want) in enumerate(sorted(wants.items(), key=lambda item: (item[1], item[0]))):
        given[name] = min(want, left / (len(wants) - done))
        left -= given[name]
    return {name: share + left / len(wants) for name, share in given.items()}


def whole(shares: Mapping[str, float], total: int, first: Mapping[str, int]) -> dict[str, int]:
    """Shares as whole numbers of the same sum; of what is left by rounding down, those with the lowest `first` get one each."""
    given = {name: int(share + 1e-9) for name, share in shares.items()}
    rest = total - sum(given.values())
    for name in sorted(shares, key=lambda name: (first[name], name))[: max(0, rest)]:
        given[name] += 1
    return given
