"""What every test can count on: no keys of the machine, no services that phone home, and the shared real data where it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "NO_COLOR": "1",
}
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "RAY_ADDRESS")

for _name in KEYS:  # before any library reads them, and for every process that a test starts
    os.environ.pop(_name, None)
os.environ.update(QUIET)


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data; tests that need it are skipped where it is not."""
    folder = Path(os.environ.get("DATAGEN_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"needs the shared real data: {folder}/data is not there; set DATAGEN_SHARED")
    return folder


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A bucket of a real S3 on loopback, for one file of tests."""
    from buckets import standing_bucket

    with standing_bucket() as there:
        yield there


LONG = (
    "depot_builds",
    "batch_builds",
    "jobs",
    "process_faults",
    "rounds",
    "kill",
    "budget",
    "ray_faults",
    "real_runs",
    "overlap",
    "orders",
    "server_faults",
    "growth",
    "nightly",
)
"""Files that take longest: begun first, so that at the end nobody waits for one of them alone. Those that start a Ray stand apart: it gives up
where it starts too slowly."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {f"test_{name}.py": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with what was not tried on this machine, and why."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix("Skipped: ")
        reasons[reason] = reasons.get(reason, 0) + 1
    terminalreporter.write_line(f"{sum(reasons.values())} skipped" + "".join(f"\n  {count} x {reason}" for reason, count in sorted(reasons.items())))
