"""What all connections of a simulator share: the teacher, the books, the luck, the limits, the prompt cache and the paid batches."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field, replace

from datagen.rehearsal.answers import Teacher
from datagen.rehearsal.batches.jobs import Desk
from datagen.rehearsal.server.faults import HUGE, Latency, fault_of, outage_at
from datagen.rehearsal.server.limits import Limits
from datagen.rehearsal.server.statement import Entry, Statement
from datagen.rehearsal.settings import Settings, checked, label
from datagen.rehearsal.wires import Asked, Cached, Prefix, Reply
from datagen.rehearsal.wires.protocols import Protocol, write

RUN_STEP = 1 << 20
"""Attempts of one run are counted from here on: a later run meets new luck."""


class PromptCache:
    """Which beginnings of prompts were seen. Bounded, the oldest going first: a cache forgets."""

    def __init__(self, most: int = 1 << 16) -> None:
        self._most = most
        self._seen: dict[str, None] = {}

    def look(self, prefixes: tuple[Prefix, ...]) -> Cached:
        """What a prompt would read and write: the longest prefix that was seen, and the rest up to the longest there is."""
        read = next((prefix.tokens for prefix in reversed(prefixes) if prefix.name in self._seen), 0)
        return Cached(read, prefixes[-1].tokens - read) if prefixes else Cached()

    def use(self, prefixes: tuple[Prefix, ...]) -> Cached:
        """The same, and from now on these prefixes were seen."""
        if not prefixes:
            return _UNCACHED
        found = self.look(prefixes)
        for prefix in prefixes:
            self._seen.pop(prefix.name, None)
            self._seen[prefix.name] = None
        while len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]
        return found

    def clear(self) -> None:
        self._seen.clear()


_UNCACHED = Cached()


@dataclass(frozen=True, slots=True)
class Luck:
    """What one attempt meets."""

    fault: str
    wait: float


@dataclass(slots=True)
class Attempts:
    """How often each request was tried, counted on from the number of the run."""

    first: int
    counts: dict[str, int] = field(default_factory=dict)

    def next(self, identity: str) -> int:
        """The number of this attempt, from 1 in the first run."""
        number = self.counts[identity] = self.counts.get(identity, self.first) + 1
        return number


class House:
    """Raises SpecError on wrong settings, SetupError where the bank cannot be read."""

    def __init__(self, settings: Settings, run: int = 0) -> None:
        self.settings = checked(settings)
        self.teacher = Teacher(self.settings)
        self.label = label(self.settings)
        self.statement = Statement()
        self.limits = Limits(self.settings.limits, time.monotonic)
        self.cache = PromptCache()
        self.desk = Desk(self.settings.batches, self.settings.seed, run * RUN_STEP, self.work)
        self._latency = Latency(self.settings.latency)
        self._attempts = Attempts(run * RUN_STEP)
        self._began = time.monotonic()

    def outage(self) -> str:
        """How every request fails now: error, reset, refused, or ''."""
        return outage_at(self.settings.outages, time.monotonic() - self._began) if self.settings.outages else ""

    def luck(self, asked: Asked) -> Luck:
        """What the next attempt at a request meets."""
        seed, number = self.settings.seed, self._attempts.next(asked.identity)
        fault = fault_of(self.settings.faults, seed, asked.identity, number)
        if fault:
            self.statement.faults[fault] += 1
        return Luck(fault, self._latency.seconds(seed, asked.identity, number))

    def answer(self, protocol: Protocol, asked: Asked, huge: bool = False) -> tuple[Reply, Entry]:
        """Work on a request, and put it on the bill."""
        answer = self.teacher.answer(asked)
        cached = self.cache.use(asked.prefixes)
        reply = write(protocol, asked, answer, cached, HUGE if huge else 0)
        sha = hashlib.sha256(reply.body).hexdigest()
        fresh = Entry(asked.key, asked.sample, asked.model, sha, answer.planted, input_tokens=reply.input_tokens, output_tokens=reply.output_tokens)
        text = hashlib.blake2b(answer.text.encode(errors="surrogatepass"), digest_size=8).digest()
        entry = self.statement.entry(asked.identity, text, fresh)
        entry.count += 1
        entry.cache_read += cached.read
        entry.cache_written += cached.written
        return reply, entry

    def work(self, protocol: Protocol, asked: Asked) -> Reply:
        """The same for a request of a paid batch."""
        reply, entry = self.answer(protocol, asked)
        entry.batched += 1
        return replace(reply, planted=entry.planted)

    def reset(self) -> None:
        """Forget everything that was asked, paid, tried and submitted."""
        self.statement.clear()
        self.limits.clear()
        self.cache.clear()
        self.desk.clear()
        self._attempts.counts.clear()
