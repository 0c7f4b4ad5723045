"""kill -9 at a hundred random points: sixty in an online build, forty in builds whose writer is asked in paid batches."""

from __future__ import annotations

from pathlib import Path

import pytest
from faulting import at, bill, write
from killing import assert_promises, build, digest_of, kill_while_building, standing_simulator
from test_batch_builds import again

PLACES = 16


@pytest.mark.soak
def test_sixty_kills_of_an_online_build(tmp_path: Path) -> None:
    spec = write(tmp_path / "s.yaml", count=1_500, samples=4, places=PLACES, latency="lognormal:0.15,0.6")
    with standing_simulator(spec) as url:
        kills = kill_while_building(at(spec, url), tmp_path / "out", url, kills=60, longest=2.2, seed=2027)
        build(spec, tmp_path / "out")
        final = bill(url)
        twice = assert_promises(kills, final, most_in_flight=PLACES)
        build(spec, tmp_path / "calm")
        assert digest_of(tmp_path / "out") == digest_of(tmp_path / "calm")
    print(f"\n60 kills online: recorded and paid again 0; in flight and paid again {twice} of {len(final)}; same bytes as an undisturbed run")


@pytest.mark.soak
@pytest.mark.parametrize("writer", ["openai", "anthropic"])
def test_twenty_kills_of_batch_builds(tmp_path: Path, writer: str) -> None:
    """Ten builds of two kills: each ends soon, and each meets other luck."""
    jobs = 0
    for seed in range(10):
        folder = tmp_path / str(seed)
        folder.mkdir()
        jobs += again(folder, kills=2, seed=100 + seed, writer=writer)
    print(f"\n20 kills of batch builds, {writer}: {jobs} batches, none submitted twice; recorded and paid again 0; same bytes as calm builds")
