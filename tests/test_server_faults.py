"""A server that fails in every way it can, and one that is away for a while: nothing fails for good, nothing is paid again."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from faulting import accounted, at, bill, datagen, faults, paid_again, rows, write
from killing import build, digest_of, recorded_keys, standing_simulator

from datagen.asking.limits.lanes import SILENT

COMMON = "rate_limited: 0.05, error: 0.02, reset: 0.01, malformed: 0.005, hang: 0.005"
RARE = (
    "rate_limited: 0.05, error: 0.02, overloaded: 0.01, reset: 0.01, malformed: 0.02, hang: 0.01, drip: 0.01, huge: 0.01, garbled: 0.02, html: 0.02"
)


def totals(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/statement") as reply:
        found: dict[str, Any] = json.loads(reply.readline())["totals"]
    return found


@pytest.mark.parametrize("kinds", [pytest.param(COMMON, marks=pytest.mark.soak), RARE], ids=["common", "all"])
def test_every_row_is_accounted_for_and_no_recorded_answer_is_paid_again(tmp_path: Path, kinds: str) -> None:
    size: dict[str, Any] = {"count": 150, "timeout": 1, "latency": "0.02"}
    spec = write(tmp_path / "faulty.yaml", **size, more=f"faults: {{{kinds}}}")
    with standing_simulator(spec) as url:
        done = datagen("build", "--spec", at(spec, url), "--out", tmp_path / "out")
        assert done.returncode in (0, 10), done.stderr
        met, lost, before = totals(url)["faults"], accounted(tmp_path / "out"), bill(url)
        wanted = {part.partition(":")[0].strip() for part in kinds.split(",")}
        assert set(met) == wanted, "a kind of fault was not met: nothing is shown of it"
        recorded = recorded_keys(tmp_path / "out" / "ledger")
        again = datagen("build", "--spec", spec, "--out", tmp_path / "again", "--ledger", tmp_path / "out" / "ledger")
        assert again.returncode in (0, 10), again.stderr
        assert not paid_again(recorded, before, bill(url))
    calm = write(tmp_path / "calm.yaml", **size)
    with standing_simulator(calm) as url:
        build(at(calm, url), tmp_path / "calm")
    ours, theirs = rows(tmp_path / "out"), rows(tmp_path / "calm")
    assert len(theirs) == 300 and len(ours) == 300 - sum(lost.values())
    assert ours == {key: theirs[key] for key in ours}
    assert set(lost) <= {"solution truncated"} and sum(lost.values()) <= met.get("huge", 0), "only an answer without an end may cost its row"
    if not lost:
        assert digest_of(tmp_path / "out") == digest_of(tmp_path / "calm")


@pytest.mark.parametrize(
    ("how", "count", "places", "latency"),
    [("error", 240, 16, "0.2"), pytest.param("refused", 6, 1, "0.5", marks=pytest.mark.soak)],
    ids=["480 rows", "12 rows"],
)
def test_an_outage_in_mid_build_costs_no_row_and_few_probes(tmp_path: Path, how: str, count: int, places: int, latency: str) -> None:
    """Both builds take about 6 s when nothing is wrong, so that an outage from second 3 on is in their middle."""
    outage(tmp_path, how, (3.0, 6.0), {"count": count, "places": places, "latency": latency}, probes=4, tries=3)


def outage(folder: Path, how: str, span: tuple[float, float], size: dict[str, Any], probes: int, tries: int) -> int:
    """A build through an outage; returns how many requests failed in it.

    A teacher is out of service after SILENT failures in a row; each answer that was under way when the outage began starts the count anew.
    Then only probes go; but where errors are heard, what failed before may be tried again at its own pace, `tries` times in the outage.
    """
    spec = write(folder / "outage.yaml", **size, more=f"outages: [[{span[0]}, {span[1]}, {how}]]")
    with standing_simulator(spec) as url:
        build(at(spec, url), folder / "out")
        assert accounted(folder / "out") == {}
        paid, seen = bill(url), totals(url)["faults"].get("outage", 0)
    cut_off = sum(paid.values()) - len(paid)
    assert len(paid) == 2 * size["count"] and cut_off <= (size["places"] if how == "refused" else 0), "only what the fall cut off is paid again"
    sent = sum(faults(folder / "out" / "ledger").values())
    met = size["places"] * (1 + SILENT)
    assert 0 < sent <= probes + met * (tries if how == "error" else 1)
    assert seen == (0 if how == "refused" else sent), "the ledger and the simulator do not agree"
    return sent
