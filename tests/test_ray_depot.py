"""Workers of a real Ray that share no disk with the build: one of them is killed, and nothing that it recorded is paid again."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import pytest
from buckets import standing_bucket
from killing import NOWHERE, build, digest_of, standing_simulator
from ray_cluster import clustered, paid_again, ray_cluster, strike

pytestmark = [pytest.mark.ray, pytest.mark.soak]
SEEDS = 60


def test_a_worker_dies_whose_ledger_lies_on_a_disk_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "clustered.yaml"
    spec.write_text(clustered(NOWHERE, SEEDS))
    with standing_bucket(monkeypatch) as bucket, standing_simulator(spec) as url, ray_cluster(nodes=1) as cluster:
        spec.write_text(clustered(url, SEEDS))
        chance = random.Random(7)
        blow = lambda _: os.kill(chance.choice(cluster.actors("Desk")), signal.SIGKILL)  # noqa: E731
        struck = strike(cluster, spec, f"{bucket.url}/clustered", url, 120, blow, workers=2, work=tmp_path / "work")
        assert struck.code == 0, struck.said[-3000:]
        assert struck.recorded
        assert not paid_again(struck, url)
        build(spec, tmp_path / "calm", "--runtime", "local")
        rows, shards = digest_of(tmp_path / "calm")
        release = json.loads(bucket.read("clustered/manifest.json"))["releases"][-1]
        assert release["rows_sha256"] == rows
        assert {Path(file["path"]).name: file["sha256"] for file in release["files"]} == shards
