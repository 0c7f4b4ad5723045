"""Real kills of real Ray processes, ten of each kind, at random moments; and workers that hang."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from killing import NOWHERE, build, digest_of, standing_simulator
from ray_cluster import RayCluster, clustered, paid_again, ray_cluster, strike
from test_ray_faults import blows

pytestmark = [pytest.mark.soak, pytest.mark.ray]
SEEDS = 90
TIMES = int(os.environ.get("DATAGEN_RAY_KILLS", "10"))


def hang(cluster: RayCluster, chance: random.Random) -> Callable[[int], None]:
    """Stopped, and never continued: it must be ended, and its parts done by others."""
    return lambda _: os.kill(chance.choice(cluster.actors("Desk")), signal.SIGSTOP)


@pytest.mark.parametrize("name", ["worker", "governor", "raylet", "driver", "half", "hang"])
def test_ten_of_each(name: str, tmp_path: Path) -> None:
    spec = tmp_path / "clustered.yaml"
    spec.write_text(clustered(NOWHERE, SEEDS))
    chance = random.Random(f"soak {name}")
    with standing_simulator(spec) as url, ray_cluster() as cluster:
        spec.write_text(clustered(url, SEEDS))
        build(spec, tmp_path / "calm", "--runtime", "local")
        calm = digest_of(tmp_path / "calm")
        for number in range(TIMES):
            out = tmp_path / f"out{number}"
            blow = hang(cluster, chance) if name == "hang" else blows(cluster, chance)[name]
            struck = strike(cluster, spec, out, url, chance.randint(5, 300), blow)
            if name == "driver":
                build(spec, out, "--runtime", "local")
            else:
                assert struck.code == 0, struck.said[-3000:]
            assert not paid_again(struck, url), f"time {number}"
            assert digest_of(out) == calm, f"time {number}"
        print(f"\n{TIMES} times {name}: recorded and paid again 0; same bytes as on one machine")
