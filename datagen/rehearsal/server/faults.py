"""When the simulated server fails and how long it takes: drawn per request and attempt, so that a retry meets new luck."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from datagen.errors import SpecError
from datagen.rehearsal.chance import share

FAULTS = {
    "rate_limited": "429 with retry-after; nothing is billed",
    "error": "500; nothing is billed",
    "overloaded": "529 on the Anthropic wire, 503 on the OpenAI wire; nothing is billed",
    "reset": "the connection is reset before an answer; nothing is billed",
    "malformed": "200 with half a JSON body; billed",
    "hang": "no answer ever comes; billed",
    "drip": "the body comes byte by byte, over longer than any timeout; billed",
    "huge": "the model does not find its end: 20 MB of text, and the stop reason says so; billed",
    "garbled": "200 with bytes that are no UTF-8; billed",
    "html": "200 with an HTML page, as from a proxy in between; nothing is billed",
}
"""New ones come last: the draw of the others must not change."""
UNBILLED = frozenset({"rate_limited", "error", "overloaded", "reset", "html"})
HUGE = 20_000_000
"""Bytes of a `huge` answer."""
DRIP_SECONDS = 1.0
"""Between two bytes of a `drip`: short enough for the wait for the next byte, and half an hour for two thousand of them."""
PAGE = b"<!DOCTYPE html>\n<html><head><title>Just a moment</title></head><body><h1>Checking your browser</h1></body></html>\n"


def fault_of(faults: Mapping[str, float], seed: int, identity: str, attempt: int) -> str:
    """The fault that this attempt meets, or ''."""
    if not faults:
        return ""
    drawn = share(seed, "fault", identity, attempt)
    for name in FAULTS:
        drawn -= faults.get(name, 0.0)
        if drawn < 0:
            return name
    return ""


def broken(body: bytes, fault: str) -> bytes:
    """The body as a faulty line brings it: half of it, or with bytes in its middle that are no UTF-8."""
    half = len(body) // 2
    if fault == "malformed":
        return body[:half]
    return body[:half] + b"\xff\xfe\xfa" + body[half:] if fault == "garbled" else body


def outage_at(outages: Sequence[tuple[float, float, str]], seconds: float) -> str:
    """How requests fail now, so many seconds after the start: error, reset, refused; '' where they do not."""
    return next((how for begin, end, how in outages if begin <= seconds < end), "")


class Latency:
    """Seconds before an answer: `0.2`, or `lognormal:MEDIAN,SIGMA`. Raises SpecError on anything else."""

    def __init__(self, words: str) -> None:
        kind, _, rest = words.partition(":")
        try:
            if kind == "lognormal":
                self._median, self._sigma = (float(number) for number in rest.split(","))
            else:
                self._median, self._sigma = float(words), 0.0
            if not (0 <= self._median < 3600 and 0 <= self._sigma < 10):
                raise ValueError
        except ValueError:
            forms = "seconds, as in '0.2', or 'lognormal:MEDIAN,SIGMA', as in 'lognormal:1.5,0.6'"
            raise SpecError(f"rehearsal.latency is {words!r}; write {forms}") from None

    def seconds(self, seed: int, identity: str, attempt: int) -> float:
        if not self._sigma:
            return self._median
        one, two = share(seed, "latency", identity, attempt), share(seed, "latency too", identity, attempt)
        normal = math.sqrt(-2 * math.log(1 - one)) * math.cos(2 * math.pi * two)  # Box-Muller
        return self._median * math.exp(self._sigma * normal)
