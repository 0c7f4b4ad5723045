"""What a build measures, through `ray.util.metrics` to the export port of the driver's node."""

from __future__ import annotations

from typing import Any

from datagen.runtime.base import Export
from datagen.runtime.measures import BUILD, METRICS, Measures


def metrics_exporter() -> Export:
    """Through `ray.util.metrics` to the export port of this node, each name with `ray_` before it. Ray drops a gauge that is not set for a
    while, so all are set anew each time; a counter takes what it grew by."""
    from ray.util.metrics import Counter as Growing
    from ray.util.metrics import Gauge

    kinds = {"counter": Growing, "gauge": Gauge}
    made: dict[str, Any] = {name: kinds[metric.kind](name, metric.about, (BUILD, *metric.labels)) for name, metric in METRICS.items()}
    told: dict[tuple[str, ...], float] = {}

    def export(build: str, measures: Measures) -> None:
        for name, values in measures.items():
            for labels, value in values.items():
                tags = dict(zip((BUILD, *METRICS[name].labels), (build, *labels), strict=True))
                if METRICS[name].kind == "gauge":
                    made[name].set(value, tags)
                    continue
                grown = value - told.get((name, build, *labels), 0.0)
                told[name, build, *labels] = value
                if grown > 0:  # it shrinks where whoever counted was made anew
                    made[name].inc(grown, tags)

    return export
