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
    """Of the whole body, also where only half of it was sent."""
    planted: str
    input_tokens: int
    output_tokens: int
    at: int
    """Position in the order of first payments, from 1."""
    count: int = 0
    """How often it was paid."""
    delivered: int = 0
    """How often it was written in full to a client that was still there."""
    delivered_at: float = 0.0
    """When that was last, in seconds since the epoch; 0 when never. For the books only: no answer depends on it."""


class Statement:
    """Entries by identity and body; a payment costs one dictionary look-up."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}

    def pay(self, identity: str, body_sha256: str, fresh: Entry) -> Entry:
        """Count one payment; `fresh` is kept if this answer is new."""
        entry = self._entries.get((identity, body_sha256))
        if entry is None:
            entry = self._entries[identity, body_sha256] = fresh
            entry.at = len(self._entries)
        entry.count += 1
        return entry

    def totals(self) -> dict[str, Any]:
        """Sums over everything that was billed."""
        entries = self._entries.values()
        return {
            "answers": len(entries),
            "paid": sum(entry.count for entry in entries),
            "paid_again": sum(entry.count - 1 for entry in entries),
            "delivered": sum(entry.delivered for entry in entries),
            "input_tokens": sum(entry.input_tokens * entry.count for entry in entries),
            "output_tokens": sum(entry.output_tokens * entry.count for entry in entries),
            "planted": dict(sorted(Counter(entry.planted for entry in entries if entry.planted).items())),
        }

    def lines(self) -> Iterator[bytes]:
        """JSON lines: {"totals": ...} first, then one line per answer in the order of first payment."""
        yield orjson.dumps({"totals": self.totals()}) + b"\n"
        for entry in self._entries.values():
            yield orjson.dumps(entry) + b"\n"

    def clear(self) -> None:
        self._entries.clear()
