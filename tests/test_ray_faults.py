"""Real kills of real Ray processes, a sample; `make soak` runs the full count. Nothing recorded is paid again, and the bytes are the same."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from budgets import trial
from killing import NOWHERE, build, digest_of, standing_simulator
from ray_cluster import RayCluster, clustered, paid_again, ray_cluster, strike

pytestmark = pytest.mark.ray
SEEDS = 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster() as there:
        yield there


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    path = tmp_path_factory.mktemp("ray") / "clustered.yaml"
    path.write_text(clustered(NOWHERE, SEEDS))
    with standing_simulator(path) as url:
        path.write_text(clustered(url, SEEDS))
        yield path, url


@pytest.fixture(scope="module")
def calm(spec: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """What an undisturbed build on one machine gives."""
    out = tmp_path_factory.mktemp("calm") / "out"
    build(spec[0], out, "--runtime", "local")
    return digest_of(out)


def blows(cluster: RayCluster, chance: random.Random) -> dict[str, Callable[[int], None]]:
    def kill_worker(_: int) -> None:
        os.kill(chance.choice(cluster.actors("Desk")), signal.SIGKILL)

    def kill_governor(_: int) -> None:
        for pid in cluster.actors("Host"):
            os.kill(pid, signal.SIGKILL)

    def kill_raylet(_: int) -> None:
        cluster.kill_raylet(chance)

    def kill_driver(pid: int) -> None:
        os.killpg(pid, signal.SIGKILL)

    def preempt(_: int) -> None:
        workers = cluster.actors("Desk")
        for pid in chance.sample(workers, (len(workers) + 1) // 2):
            os.kill(pid, signal.SIGKILL)

    return {"worker": kill_worker, "governor": kill_governor, "raylet": kill_raylet, "driver": kill_driver, "half": preempt}


@pytest.mark.parametrize("name", ["worker", "governor", pytest.param("raylet", marks=pytest.mark.soak), "driver"])
def test_what_dies_costs_nothing_that_was_recorded(
    name: str, cluster: RayCluster, spec: tuple[Path, str], calm: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    path, url = spec
    chance = random.Random(name)
    out = tmp_path / "out"
    text = path.read_text()
    mine = tmp_path / "clustered.yaml"
    mine.write_text(text)
    given = Path(os.path.relpath(out))  # workers stand in another folder
    struck = strike(cluster, mine, given, url, chance.randint(20, 150), blows(cluster, chance)[name])
    if name == "driver":
        assert struck.code == -signal.SIGKILL
        build(mine, out, "--runtime", "local")
    else:
        assert struck.code == 0, struck.said[-3000:]
    assert struck.recorded, "nothing was recorded before it happened"
    assert not paid_again(struck, url)
    assert digest_of(out) == calm


@pytest.mark.real
@pytest.mark.skipif("DATAGEN_SHARED" not in os.environ, reason="needs the independent fake teachers ($DATAGEN_SHARED)")
@pytest.mark.parametrize("seed", [3, pytest.param(8, marks=pytest.mark.soak)])
def test_a_random_budget_holds_over_three_workers(seed: int, cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    tried = trial(tmp_path, seed, more=("--runtime", "ray", "--workers", "3"))
    assert tried.code in (0, 8)
    assert not tried.overspent
    assert tried.unspent <= 1.0
