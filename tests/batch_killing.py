"""kill -9 of processes that ask in paid batches, judged by the simulated provider's own books."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from batch_driver import COUNT
from batching import jobs, paid, requests
from killing import recorded_keys

DRIVER = [sys.executable, str(Path(__file__).with_name("batch_driver.py"))]
PATH = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])


def start(url: str, provider: str, folder: Path, *death: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": PATH}
    return subprocess.Popen([*DRIVER, url, provider, str(folder), *death], stderr=subprocess.PIPE, env=environment)


def die_at(url: str, provider: str, folder: Path, instant: str, count: int = 1) -> None:
    """A process that dies at this instant."""
    process = start(url, provider, folder, instant, str(count))
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, f"{instant} never came: {said.decode()}"


def die_anywhere(url: str, provider: str, folder: Path, kills: int, longest: float, seed: int) -> int:
    """Processes killed at random moments, up to `kills`; how many were, before one came to its end."""
    chance = random.Random(seed)
    for number in range(kills):
        process = start(url, provider, folder)
        try:
            process.wait(timeout=chance.uniform(0.3, longest))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            continue
        _, said = process.communicate()
        assert process.returncode == 0, said.decode()
        return number
    return kills


def finish(url: str, provider: str, folder: Path) -> None:
    """An undisturbed process."""
    process = start(url, provider, folder)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()


def judge(url: str, provider: str, folder: Path) -> None:
    """Every request is answered, no job held a request that another job held, and no answer was made twice."""
    totals, told = jobs(url)
    twice = [job["job"] for job in told if job["held_before"]]
    assert not twice and totals["submitted_twice"] == 0, f"submitted twice: {twice}"
    wanted = {request.key for _, request in requests(provider, COUNT)}
    assert recorded_keys(folder) == wanted
    made = paid(url)
    assert {key: count for key, count in made.items() if count != 1} == {}, "answers were made and paid twice"
    assert not list((folder / "batches").iterdir()), "a spool was left"
