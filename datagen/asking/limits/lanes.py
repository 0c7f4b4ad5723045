"""The state of one teacher: places in flight, overload, outage, its purse, and its share of the limits per minute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from datagen.asking.limits.meters import Amounts, Meter, Rates
from datagen.asking.prices import Purse
from datagen.asking.teachers.base import HeaderLimits
from datagen.errors import FAULTS, FaultKind, TeacherStopped
from datagen.records import Spend

OVERLOAD_SHARE = 0.2
"""Share of 429 and 529 among what was sent in a period from which the period counts as overloaded; random 5 % stay far below."""
PERIOD, PERIODS, FEWEST = 1.0, 2, 20
"""Overload is sustained after so many overloaded periods in a row, each of so many seconds with at least so many requests. Refusals
come at once and answers late, so the last few outcomes say nothing: what was sent in the same second is the measure."""
DECREASE = 0.7
"""Factor on the requests in flight when overload is sustained; each answer gives a little back."""
TOLERATED = 0.005
"""Share of 429s in a period below which a known limit per minute is charged a little less again."""
SILENT = 8
"""Failures in a row, nothing good between them, after which a teacher is out of service. What was tried before proves nothing, unless
the connection fails: some requests bring down whoever reads them."""
PROBE_FIRST, PROBE_MOST = 1.0, 15.0
"""Seconds between two probes of a teacher that is out of service, doubled up to the most."""
NEVER_THERE = 20.0
"""Seconds after which a teacher that could not be reached once is given up: a wrong address does not heal."""
SILENCE = 2.0
"""Seconds of a teacher's wait from which it is said why nothing happens."""
BUSY = 10.0
"""Seconds of nothing but 429, 503 and 529 from which it is said."""
PRIOR_TOKENS = 2_000
"""Weight of the assumption of four characters a token against what is observed, in tokens."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one teacher allows, and what the spec allows it."""

    in_flight: int
    requests_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    tokens_per_minute: int | None = None
    patience: float = 900.0
    """Seconds that it may be out of service."""
    cost: int | None = None
    """Caps of its own; nano-dollars."""
    tokens: int | None = None
    requests: int | None = None
    account: str = ""
    """Teachers of one account share its limits per minute; empty: a teacher has its own."""

    @property
    def rates(self) -> Rates:
        """Per minute: requests, input tokens, output tokens, both."""
        return self.requests_per_minute, self.input_tokens_per_minute, self.output_tokens_per_minute, self.tokens_per_minute


@dataclass(frozen=True, slots=True)
class Need:
    """What one request may take."""

    worst: Spend
    characters: int
    """Of the prompt: the input tokens to expect are found from them."""
    most: int
    """Output tokens at most."""
    rank: int = 0
    """Number of its step: later steps go first, so that rows end and a judge never waits behind a queue of chapters."""
    ticket: int = 0
    """Tells the requests in flight apart, over all workers."""
    tried: int = 0
    """Attempts that failed before."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended, for the books of the governor."""

    need: Need
    used: Spend
    """What counts against the caps from now on."""
    fault: FaultKind | None = None
    """None: there was an answer."""
    retry_after: float = 0.0
    input_tokens: int = 0
    """As the teacher counted; 0 where it did not say."""
    output_tokens: int = 0
    headers: HeaderLimits | None = None
    """What the teacher's headers said, where they were looked at."""
    heard: bool = True
    """False where the connection failed: no status came."""


def meters(limits: Mapping[str, Limits], now: float) -> dict[str, Meter]:
    """By account, with the tightest limits that any of its teachers names."""
    accounts: dict[str, list[Rates]] = {}
    for name, limit in limits.items():
        accounts.setdefault(account_of(name, limit), []).append(limit.rates)
    tightest = {
        account: [min((rate for rate in each if rate), default=None) for each in zip(*rates, strict=True)] for account, rates in accounts.items()
    }
    return {account: Meter(tuple(rates), now) for account, rates in tightest.items()}


def account_of(name: str, limit: Limits) -> str:
    """The account of a teacher; one that names none has its own."""
    return limit.account or f"of {name}"


@dataclass
class _Habits:
    """What a teacher's requests turn out to be, from what was observed: the better the guess, the nearer to a limit one may go."""

    characters: float = 4.0 * PRIOR_TOKENS
    tokens: float = PRIOR_TOKENS
    output: dict[int, float] = field(default_factory=dict)
    """Rank of the step -> output tokens, an average that forgets."""

    def learn(self, end: Ended) -> None:
        if end.input_tokens:
            self.characters += end.need.characters
            self.tokens += end.input_tokens
        if end.output_tokens:
            before = self.output.get(end.need.rank, float(end.output_tokens))
            self.output[end.need.rank] = before + 0.05 * (end.output_tokens - before)

    def expect(self, need: Need) -> tuple[float, float]:
        """(input, output) tokens of a request."""
        return need.characters * self.tokens / self.characters, min(self.output.get(need.rank, need.most), need.most)


class Lane:
    """One teacher, as the governor sees it."""

    def __init__(self, name: str, limits: Limits, meter: Meter, committed: Spend, now: float) -> None:
        self.name = name
        self.limits = limits
        self.meter = meter
        self.window = float(limits.in_flight)
        """How many may be in flight now."""
        self.in_flight = 0
        self.down = False
        """Out of service: one request at a time finds out whether it is back."""
        self.purse = Purse(limits.cost, limits.tokens, limits.requests, committed)
        self._habits = _Habits()
        self._taken: dict[int, Amounts] = {}
        self._rest_until = self._room_at = 0.0
        self._scarce = ""
        """The limit per minute that has room again at `_room_at`, in words."""
        self.sent = 0
        """Requests of this period."""
        self.outages = self.overloads = 0
        """How often it went out of service, and how often the window was lowered."""
        self.overs, self.over = 0, Spend()
        """Answers that were billed above the worst case of their requests, and by how much in all."""
        self._period = now
        self._overloaded = self._streak = 0
        self._failures = 0
        self._reached = False
        self._silent_since = now
        self._busy_since: float | None = None
        """Since when it has said nothing but that it is overloaded."""
        self.deaf = False
        """Out of service in that connections fail."""
        self._probe_wait, self.probe_at = PROBE_FIRST, now
        self.probing: int | None = None
        """Ticket of the request that finds out whether the teacher is back."""

    def pause(self, now: float) -> float:
        """Seconds during which nothing may go, whatever it is."""
        return max(0.0, self.meter.paused_until - now)

    def passes(self, need: Need, now: float) -> bool:
        """Whether a teacher out of service may be asked this: one request at a time, and what failed before while others did not."""
        if need.tried and not self.deaf:
            return True
        return self.probing is None and now >= self.probe_at

    def probes(self, need: Need) -> bool:
        """Whether this request finds out if the teacher is back: its failure is no attempt."""
        return self.probing == need.ticket

    def until_probe(self, now: float) -> float:
        """Seconds until the next probe may go."""
        return PROBE_FIRST if self.probing is not None else max(0.0, self.probe_at - now)

    def given_up(self, now: float) -> TeacherStopped | None:
        """Why this teacher is not waited for any longer."""
        if self._busy_since is not None and now - self._busy_since > self.limits.patience:
            seconds = now - self._busy_since
            return TeacherStopped(f"teacher {self.name!r} has been overloaded for {seconds:.0f} s, its `patience`; the same command goes on")
        if not self.down:
            return None
        seconds = now - self._silent_since
        if not self._reached and seconds > NEVER_THERE:
            return TeacherStopped(f"teacher {self.name!r} could not be reached once in {seconds:.0f} s: is its address right, does it run?")
        if seconds > self.limits.patience:
            return TeacherStopped(f"teacher {self.name!r} has been out of service for {seconds:.0f} s, its `patience`; the same command goes on")
        return None

    def trouble(self, now: float) -> str:
        """What it waits for, where that is not answers."""
        if self.down:
            return f"{self.name} out of service for {now - self._silent_since:.0f} s"
        if self._busy_since is not None and now - self._busy_since > BUSY:
            return f"{self.name} overloaded for {now - self._busy_since:.0f} s"
        for left, why in ((self._rest_until - now, ", as its server asked"), (self._room_at - now, f" for its {self._scarce}")):
            if SILENCE < left < math.inf and not self.in_flight:
                return f"{self.name} waits {left:.0f} s{why}"
        return ""

    def rate_wait(self, need: Need, now: float) -> float:
        """Seconds until the limits per minute have room for it."""
        seconds = self.meter.wait(self.name, need.rank, self._amounts(need), now) if self.meter.limited else 0.0
        self._room_at = now + seconds
        if seconds > SILENCE:
            self._scarce = self.meter.scarcest()
        return seconds

    def take(self, need: Need) -> None:
        self.purse.reserved += need.worst
        self.in_flight += 1
        self.sent += 1
        if self.down and (self.deaf or not need.tried):
            self.probing = need.ticket
        if self.meter.limited:
            self._taken[need.ticket] = self._amounts(need)
            self.meter.draw(self._taken[need.ticket])

    def end(self, end: Ended, now: float) -> None:
        """Free the place, settle the money, and learn."""
        self.land(end, now)
        self.learn(end, now)

    def land(self, end: Ended, now: float) -> None:
        """Free the place and settle the money and the tokens; learn what requests turn out to be."""
        self.in_flight -= 1
        self.purse.settle(end.need.worst, end.used)
        self._rest_until = max(self._rest_until, now + end.retry_after)
        if end.fault is None:
            self._habits.learn(end)
        if self.meter.limited:
            self._correct(end)

    def learn(self, end: Ended, now: float) -> None:
        """What an end says of the teacher: its limits, whether it is there, how many it takes at once, whether its bills hold."""
        if end.fault is None:
            self._weigh(end)
        if end.headers is not None:
            self.meter.heed(end.headers, now)
        self._service(end, now)
        self._adapt(end, now)

    def _weigh(self, end: Ended) -> None:
        """A server that bills more than it was allowed to passes a cap by that much: it must at least be said."""
        more = Spend(max(0, end.used.cost - end.need.worst.cost), max(0, end.used.tokens - end.need.worst.tokens))
        if more != Spend():
            self.overs += 1
            self.over += more

    def _amounts(self, need: Need) -> Amounts:
        """What a request takes of each bucket, as far as can be told: requests, input, output, both."""
        given, made = self._habits.expect(need)
        charge = self.meter.charge
        return 1.0, given * charge, made * charge, (given + made) * charge

    def _correct(self, end: Ended) -> None:
        """Put the real tokens in the place of the expected ones. What was refused is not given back: providers count refused requests too."""
        taken = self._taken.pop(end.need.ticket, None)
        if taken is None or end.fault is not None or not end.output_tokens:
            return
        given, made = end.input_tokens * self.meter.charge, end.output_tokens * self.meter.charge
        self.meter.draw(taken, -1.0)
        self.meter.draw((taken[0], given, made, given + made))

    def _service(self, end: Ended, now: float) -> None:
        """Whether the teacher is there at all, and takes requests."""
        if end.fault is None or not FAULTS[end.fault].waits:
            self._busy_since = None
        elif self._busy_since is None:
            self._busy_since = now
        if end.fault not in ("transient", "unreachable"):
            self.down, self.probing, self._failures, self._silent_since, self._reached = False, None, 0, now, True
            return
        self._reached |= end.fault == "transient"
        if end.need.tried and end.heard:
            return
        self._failures += 1
        if self._failures < SILENT or (self.down and end.need.ticket != self.probing):
            return  # of what was in flight when the teacher went down, each says the same
        self._probe_wait = min(self._probe_wait * 2, PROBE_MOST) if self.down else PROBE_FIRST
        self.outages += not self.down
        self.down, self.deaf, self.probing, self.probe_at = True, not end.heard, None, now + self._probe_wait

    def _adapt(self, end: Ended, now: float) -> None:
        """Additive increase with every answer, multiplicative decrease after PERIODS overloaded periods in a row."""
        overloaded = end.fault is not None and FAULTS[end.fault].waits
        self._overloaded += overloaded
        if not overloaded:
            self.window = min(self.limits.in_flight, self.window + 1 / max(self.window, 1))
        if now - self._period < PERIOD or self.sent < FEWEST:
            return
        share = self._overloaded / self.sent
        self._streak = self._streak + 1 if share >= OVERLOAD_SHARE else 0
        self.meter.charge = max(1.0, self.meter.charge * (1 + share if share > TOLERATED else 0.998))
        self._period, self.sent, self._overloaded = now, 0, 0
        if self._streak >= PERIODS:
            self.window = max(1.0, self.window * DECREASE)
            self.overloads += 1
            self.meter.pause(now + end.retry_after)
            self._streak = 0
