"""What a scrape of a metrics page holds, and what a build's own books say of the same numbers."""

from __future__ import annotations

import json
import logging
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from datagen.asking.ledger.book import Ledger
from datagen.inspect import query
from datagen.records import NANO
from datagen.runtime.log import LOGGER
from datagen.runtime.measures import BUILD, METRICS

Scrape = dict[str, dict[tuple[str, ...], float]]
"""Name -> values of its labels, `build` first -> number."""


def scraped(url: str, prefix: str = "") -> Scrape:
    """One look at a page of metrics; only names of the table count."""
    with urllib.request.urlopen(url, timeout=10) as reply:
        text = reply.read().decode()
    found: Scrape = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            metric = METRICS.get(sample.name.removeprefix(prefix))
            if metric is not None and sample.name.startswith(prefix):
                assert family.type == metric.kind, sample
                labels = tuple(sample.labels[label] for label in (BUILD, *metric.labels))
                found[sample.name.removeprefix(prefix)][labels] = sample.value
    return found


@contextmanager
def heard(level: int = logging.INFO) -> Iterator[list[logging.LogRecord]]:
    """Events as a program gets them that attaches a handler of its own."""
    records: list[logging.LogRecord] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    ear, before = Ear(), LOGGER.level
    LOGGER.addHandler(ear)
    LOGGER.setLevel(level)
    try:
        yield records
    finally:
        LOGGER.removeHandler(ear)
        LOGGER.setLevel(before)


def requests_in(out: Path) -> dict[tuple[str, ...], float]:
    """(teacher, step, outcome) -> answers in the catalogue."""
    return {tuple(row[:3]): row[3] for row in query(out, "SELECT teacher, step, outcome, count(DISTINCT key) FROM calls GROUP BY ALL")[1]}


def tokens_in(out: Path) -> dict[tuple[str, ...], float]:
    """(teacher, step, kind) -> tokens, by the same."""
    kinds = ("input", "output", "cached", "cache_write", "reasoning")
    sums = ", ".join(f"sum({kind}_tokens)" for kind in kinds)
    rows = query(out, f"SELECT teacher, step, {sums} FROM calls GROUP BY ALL")[1]
    return {(row[0], row[1], kind): float(number) for row in rows for kind, number in zip(kinds, row[2:], strict=True) if number}


def dollars_in(ledger: Path) -> dict[tuple[str, str], float]:
    """(teacher, answered or possible) -> dollars of all builds in the ledger."""
    found: Counter[tuple[str, str]] = Counter()
    book = Ledger(ledger, "")
    for teachers in book.accounts.values():
        for teacher, account in teachers.items():
            found[teacher, "answered"] += account.answered.cost
            found[teacher, "possible"] += account.possible.cost
    book.close()
    return {labels: cost / NANO for labels, cost in found.items() if cost}


def faults_in(ledger: Path) -> dict[str, int]:
    """Kind -> attempts without an answer, from the lines themselves."""
    lines = [json.loads(line) for path in ledger.glob("*.jsonl") for line in path.read_bytes().splitlines()]
    return dict(Counter(line["fault"] for line in lines if line["kind"] == "fault"))


def rows_in(out: Path) -> dict[tuple[str, ...], float]:
    """(step, fate, operator, reason) -> rows, from the manifests of the steps."""
    found: dict[tuple[str, ...], float] = {}
    for path in sorted((out / "steps").glob("*/manifest.json"))[1:]:  # the first is that of the seeds
        step: dict[str, Any] = json.loads(path.read_text())
        found[step["name"], "kept", "", ""] = step["kept"]
        found |= {(step["name"], "dropped", operator, reason): n for operator, reasons in step["dropped"].items() for reason, n in reasons.items()}
        found |= {(step["name"], "unanswered", "", outcome): n for outcome, n in step["unanswered"].items()}
    return found
