"""What a build measures, added up from those who know and handed on about once a second: to a port of this process, and to Ray's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from datagen import __version__
from datagen.errors import SetupError
from datagen.plan.model import Plan
from datagen.running.stretch import Crew
from datagen.running.telling.show import ticking
from datagen.runtime.base import Export
from datagen.runtime.log import event
from datagen.runtime.measures import BUILD, METRICS, Measures, add_up, lasting

TICK, PATIENCE = 1.0, 10.0
"""Seconds between two looks, and that one may take: workers may be elsewhere, and gone."""


class Metrics:
    """The driver's side: nothing is counted here but what parts say of their rows; the rest is fetched."""

    def __init__(self, crew: Crew, release: str, exports: Sequence[Export]) -> None:
        self._crew, self._exports = crew, exports
        self._build = build_label(crew.plan)
        self._info: Measures = {"datagen_build_info": {(release, __version__): 1.0}}
        self._workers: dict[str, Measures] = {}
        self._before: Measures = {}
        """What the governor said last."""

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look every so often while the block runs, and once at its end, however it ends."""
        try:
            async with ticking(self.tick, TICK):
                yield
        except BaseException:
            await self.tick()
            raise

    async def tick(self) -> None:
        """Fetch, add up, hand on. What cannot be had now is had the next time: no build ends for it."""
        try:
            async with asyncio.timeout(PATIENCE):  # not `wait_for`, which in Python 3.11 may swallow the cancellation that ends the ticking
                measures = await self._fetched()
            for export in self._exports:
                export(self._build, measures)
        except Exception as error:
            event("metrics_missed", error=type(error).__name__)

    async def _fetched(self) -> Measures:
        runtime, rounds = self._crew.runtime, self._crew.rounds
        there = await runtime.measures()
        gone = {name: lasting(measures) for name, measures in self._workers.items() if name not in there}
        self._workers = gone | there
        governor: Measures = await runtime.shared("measures")
        self._tell(governor)
        batches = [rounds.measures()] if rounds else []
        batches += [self._crew.collapse.measures()] if self._crew.collapse else []
        rows: Measures = {"datagen_rows_total": {labels: float(number) for labels, number in self._crew.rows.items()}}
        return add_up([self._info, governor, rows, *batches, *self._workers.values()])

    def _tell(self, now: Measures) -> None:
        """Log what changed since the last look at the governor. A trouble that came and went in between shows in its counter."""
        up, was_up = now.get("datagen_teacher_up", {}), self._before.get("datagen_teacher_up", {})
        for labels, number in now.get("datagen_outages_total", {}).items():
            fell = number > self._before.get("datagen_outages_total", {}).get(labels, 0.0)
            if fell:
                event("teacher_down", teacher=labels[0])
            if up[labels] and (fell or not was_up.get(labels, 1.0)):
                event("teacher_back", teacher=labels[0])
        for labels, number in now.get("datagen_overloads_total", {}).items():
            if number > self._before.get("datagen_overloads_total", {}).get(labels, 0.0):
                event("overload", teacher=labels[0], in_flight_limit=int(now["datagen_in_flight_limit"][labels]))
        self._before = now


def build_label(plan: Plan) -> str:
    """The value of the label `build`."""
    return f"{plan.name}/simulated" if plan.simulated else plan.name


@contextlib.contextmanager
def served(host: str, port: int | None) -> Iterator[list[Export]]:
    """Serve metrics to Prometheus at http://host:port/metrics as long as the block runs; 0: any free port; None: not at all.

    Yields where to hand them. Raises SetupError where the port cannot be had.
    """
    if port is None:
        yield []
        return
    from prometheus_client import CollectorRegistry, start_http_server

    page, registry = _Page(), CollectorRegistry()
    registry.register(page)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        reason = error.strerror or error
        raise SetupError(f"cannot serve metrics at {host}:{port}: {reason}; name another --metrics-port (0: any that is free)") from error
    try:
        event("metrics_served", host=host, port=server.server_port)
        yield [page.turn]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Page:
    """What a scrape sees: the last measures, whole, made into samples when someone asks."""

    def __init__(self) -> None:
        self._shown: tuple[str, Measures] = "", {}

    def turn(self, build: str, measures: Measures) -> None:
        self._shown = build, measures

    def collect(self) -> Iterator[Any]:
        """Called by the server's thread; the tuple is replaced and never changed."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        build, measures = self._shown
        for name, metric in METRICS.items():
            family = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(name, metric.about, labels=(BUILD, *metric.labels))
            for labels, value in sorted(measures.get(name, {}).items()):
                family.add_metric((build, *labels), value)
            yield family
