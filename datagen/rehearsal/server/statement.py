"""The statement of account: which answers a real teacher would have billed, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(slots=True)
class Entry:
    """One answer that was paid, perhaps more than once."""

    key: str
    """The request's key as the client named it; empty when it did not."""
    sample: int
    model: str
    body_sha256: str
    """Of the whole body as it was first made, also where only half of it was sent. A second body may differ in what its prompt cache did."""
    planted: str
    at: int = 0
    """Position in the order of first payments, from 1."""
    count: int = 0
    """How often it was paid."""
    batched: int = 0
    """How often of these by a paid batch, at half the price."""
    delivered: int = 0
    """How often it was written in full to a client that was still there; results of batches are not counted."""
    delivered_at: float = 0.0
    """When that was last, in seconds since the epoch; 0 when never. For the books only: no answer depends on it."""
    input_tokens: int = 0
    """Of one payment; cached ones included, as far as the sums below go."""
    output_tokens: int = 0
    cache_read: int = 0
    """Tokens that came out of the prompt cache, over all payments."""
    cache_written: int = 0
    """Tokens that were written to it, over all payments."""


class Statement:
    """Entries by identity and answer; a payment costs one dictionary look-up."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, bytes], Entry] = {}
        self.faults: Counter[str] = Counter()

    def entry(self, identity: str, answer: bytes, fresh: Entry) -> Entry:
        """The entry of an answer, by the digest of its text; `fresh` is kept if it is new."""
        entry = self._entries.get((identity, answer))
        if entry is None:
            entry = self._entries[identity, answer] = fresh
            entry.at = len(self._entries)
        return entry

    def totals(self) -> dict[str, Any]:
        """Sums over everything that was billed, and the faults that requests met."""
        entries = self._entries.values()
        return {
            "answers": len(entries),
            "paid": sum(entry.count for entry in entries),
            "paid_again": sum(entry.count - 1 for entry in entries),
            "batched": sum(entry.batched for entry in entries),
            "delivered": sum(entry.delivered for entry in entries),
            "input_tokens": sum(entry.input_tokens * entry.count for entry in entries),
            "output_tokens": sum(entry.output_tokens * entry.count for entry in entries),
            "cache_read": sum(entry.cache_read for entry in entries),
            "cache_written": sum(entry.cache_written for entry in entries),
            "planted": dict(sorted(Counter(entry.planted for entry in entries if entry.planted).items())),
            "faults": dict(sorted(self.faults.items())),
        }

    def lines(self, more: dict[str, Any]) -> Iterator[bytes]:
        """JSON lines: {"totals": ...} first, with `more` in it, then one line per answer in the order of first payment."""
        yield orjson.dumps({"totals": {**self.totals(), **more}}) + b"\n"
        for entry in self._entries.values():
            yield orjson.dumps(entry) + b"\n"

    def clear(self) -> None:
        self._entries.clear()
        self.faults.clear()
