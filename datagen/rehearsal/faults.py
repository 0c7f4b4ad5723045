"""When the simulated server fails and how long it takes: drawn per request and attempt, so that a retry meets new luck."""

from __future__ import annotations

import math
from collections.abc import Mapping

from datagen.errors import SpecError
from datagen.rehearsal.chance import share

FAULTS = {
    "rate_limited": "429 with retry-after; nothing is billed",
    "error": "500; nothing is billed",
    "overloaded": "529 on the Anthropic wire, 503 on the OpenAI wire; nothing is billed",
    "reset": "the connection is reset before an answer; nothing is billed",
    "malformed": "200 with half a JSON body; billed",
    "hang": "no answer ever comes; billed",
}
UNBILLED = frozenset({"rate_limited", "error", "overloaded", "reset"})


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
