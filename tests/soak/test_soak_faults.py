"""A teacher that is away for a minute, and a build that is stopped for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_process_faults import stopped
from test_server_faults import outage


@pytest.mark.soak
@pytest.mark.parametrize("how", ["error", "reset", "refused"])
@pytest.mark.parametrize(("count", "places", "latency"), [(240, 16, "0.2"), (6, 1, "0.5")], ids=["480 rows", "12 rows"])
def test_an_outage_of_a_minute_costs_no_row(tmp_path: Path, how: str, count: int, places: int, latency: str) -> None:
    size: dict[str, Any] = {"count": count, "places": places, "latency": latency}
    sent = outage(tmp_path, how, (3.0, 63.0), size, probes=12, tries=7)
    print(f"\n60 s of {how}: {2 * count} rows, none lost; {sent} requests failed, {places} were in flight when it began")


@pytest.mark.soak
def test_a_build_stopped_for_a_minute_gives_the_same_bytes(tmp_path: Path) -> None:
    stopped(tmp_path, seconds=60)
    print("\nSIGSTOP for 60 s: nothing recorded was paid again; same bytes as an undisturbed build")
