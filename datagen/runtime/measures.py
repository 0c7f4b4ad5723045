"""What a build measures: every name with its kind, unit and labels, declared once; and the plain numbers that travel between processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Measures = dict[str, dict[tuple[str, ...], float]]
"""Name of METRICS -> values of its labels, in their order -> number. A counter's number is what it has come to since its process began."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One name. Its unit is in the name; a counter only grows."""

    kind: Literal["counter", "gauge"]
    about: str
    labels: tuple[str, ...] = ()
    """Beside `build`, which every name carries."""
    together: Literal["sum", "most"] = "sum"
    """What the number of several workers is."""


BUILD = "build"
"""Label of every name: the name of the spec, with `/simulated` after it in a rehearsal."""
PREFIX = "ray_"
"""What Ray puts before each name."""
METRICS: dict[str, Metric] = {
    "datagen_requests_total": Metric(
        "counter", "Requests that came to an end in this run, by the words of errors.OUTCOMES.", ("teacher", "step", "outcome")
    ),
    "datagen_replays_total": Metric("counter", "Answers of earlier runs that the ledger gave in place of a request.", ("teacher", "step")),
    "datagen_faults_total": Metric("counter", "Attempts that brought no answer, by the words of errors.FAULTS.", ("teacher", "step", "kind")),
    "datagen_tokens_total": Metric(
        "counter",
        "Tokens of answers as the teacher counted them: input (cached and cache_write are part of it), output (reasoning is part of it).",
        ("teacher", "step", "kind"),
    ),
    "datagen_dollars_total": Metric(
        "counter", "US dollars in the ledger: answered, or possible (failed attempts, at their worst).", ("teacher", "step", "kind")
    ),
    "datagen_rows_total": Metric(
        "counter",
        "Rows that left a step in parts made by this run: kept, dropped (operator and reason), unanswered (reason: the outcome).",
        ("step", "fate", "operator", "reason"),
    ),
    "datagen_collapsed_values": Metric(
        "gauge", "Values of an axis of the grid whose texts have become alike, as this run saw them; of the axis all: all rows.", ("step", "axis")
    ),
    "datagen_in_flight": Metric("gauge", "Requests in the air.", ("teacher",)),
    "datagen_in_flight_limit": Metric("gauge", "Requests that may be in the air now: max_in_flight, less under overload.", ("teacher",)),
    "datagen_queue_length": Metric("gauge", "Requests that wait for a limit, a place or money.", ("teacher", "step")),
    "datagen_queue_age_seconds": Metric("gauge", "How long the oldest of them has waited.", ("teacher", "step"), together="most"),
    "datagen_limit_per_minute": Metric("gauge", "A limit per minute: requests, input_tokens, output_tokens or tokens.", ("teacher", "limit")),
    "datagen_limit_use_ratio": Metric(
        "gauge", "Share of that limit taken over the last minute; teachers of one account show the same.", ("teacher", "limit")
    ),
    "datagen_teacher_up": Metric("gauge", "0 while a teacher is out of service, else 1.", ("teacher",)),
    "datagen_outages_total": Metric("counter", "How often a teacher went out of service.", ("teacher",)),
    "datagen_overloads_total": Metric("counter", "How often sustained overload lowered what may be in flight.", ("teacher",)),
    "datagen_batch_requests": Metric("gauge", "Requests in paid batches that are under way.", ("teacher",)),
    "datagen_budget_dollars": Metric("gauge", "US dollars of this release over all its runs: spent, reserved for what is in flight, cap.", ("kind",)),
    "datagen_build_info": Metric("gauge", "Always 1; says which release this is, by which datagen.", ("release", "version")),
}
LIMITS = ("requests", "input_tokens", "output_tokens", "tokens")
"""Values of the label `limit`, in the order of the governor's rates."""


def add_up(several: Iterable[Mapping[str, Mapping[tuple[str, ...], float]]]) -> Measures:
    """The measures of many workers as one."""
    total: Measures = {}
    for measures in several:
        for name, values in measures.items():
            mine, most = total.setdefault(name, {}), METRICS[name].together == "most"
            for labels, value in values.items():
                mine[labels] = max(mine.get(labels, 0.0), value) if most else mine.get(labels, 0.0) + value
    return total


def lasting(measures: Mapping[str, Mapping[tuple[str, ...], float]]) -> Measures:
    """What stays of a worker that is gone: its counters."""
    return {name: dict(values) for name, values in measures.items() if METRICS[name].kind == "counter"}
