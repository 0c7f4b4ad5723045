"""An OUT on an object store: the store away for half a minute, and machines lost with their disks at random moments."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from buckets import BUCKET, breakable, recorded_in, standing_bucket
from killing import build, digest_of, recorded_keys, standing_simulator, start, statement
from test_depot_builds import spec_at

from datagen.depot.store import folder_of

KILLS = 10
OUT = f"s3://{BUCKET}/soak"


def known_as(bucket_env: dict[str, str], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**bucket_env, "DATAGEN_WORK": str(work)}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.soak
def test_a_store_that_is_away_for_half_a_minute_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with standing_bucket() as bucket, breakable(bucket) as (behind, line), standing_simulator(spec_at(tmp_path, "http://127.0.0.1:1")) as url:
        known_as(dict(behind.env), tmp_path / "work", monkeypatch)
        spec = spec_at(tmp_path, url, latency=0.5, most=2)
        process = start(spec, OUT)
        while process.poll() is None and len(statement(url)) < 5:
            time.sleep(0.05)
        line.cut()
        began = len(statement(url))
        threading.Event().wait(30.0)
        meanwhile = len(statement(url)) - began
        line.mend()
        _, said = process.communicate()
        assert process.returncode == 0, said.decode()
        assert meanwhile > 10, "it did not go on while the store was away"
        counts = [entry["count"] for entry in statement(url)]
        assert counts == [1] * len(counts)
        build(spec, tmp_path / "calm")
        assert digest_of(folder_of(OUT)) == digest_of(tmp_path / "calm")
    print(f"\nstore away for 30 s: {meanwhile} answers meanwhile, none lost, none paid twice, same bytes")


@pytest.mark.soak
def test_a_lost_machine_costs_what_the_last_second_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 and the disk is gone. What the bucket had is not paid again; how old was what it lacked?"""
    chance, ages, whole = random.Random(5), list[float](), 0
    kept: dict[str, int] = {}
    seeds = "{problems: {families: all, count: 600, seed: 3}}"
    with standing_bucket() as bucket, standing_simulator(spec_at(tmp_path, "http://127.0.0.1:1", latency=0.15)) as url:
        known_as(dict(bucket.env), tmp_path / "work", monkeypatch)
        spec = spec_at(tmp_path, url, latency=0.15, seeds=seeds)
        for kill in range(KILLS):
            process, before = start(spec, OUT), len(statement(url))
            while process.poll() is None and len(statement(url)) == before:
                time.sleep(0.02)
            time.sleep(chance.uniform(0.0, 4.0))
            assert process.poll() is None, f"the build ended after {kill} kills"
            moment = time.time()
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            here, there = recorded_keys(folder_of(OUT) / "ledger"), recorded_in(bucket, "soak/ledger")
            shutil.rmtree(tmp_path / "work")
            entries = {entry["key"]: entry for entry in statement(url)}
            ages += [moment - entries[key]["delivered_at"] for key in here - there]
            whole += len(here)
            assert [key for key, paid in kept.items() if entries[key]["count"] > paid] == [], "what was in the bucket was paid for again"
            kept = {key: entries[key]["count"] for key in there}
        build(spec, OUT)
        build(spec, tmp_path / "calm")
        assert digest_of(folder_of(OUT)) == digest_of(tmp_path / "calm")
    oldest = f"the oldest {max(ages):.2f} s old, {sum(age > 1 for age in ages)} older than a second" if ages else "none"
    print(f"\n{KILLS} machines lost: of {whole} records {len(ages)} were not in the bucket, {oldest}")
