"""Faults of the machine under whole builds: disks, locks, stopped processes, clocks, damaged ledgers. The simulator's statement is the judge."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from faulting import accounted, at, bill, datagen, paid_again, remount, small_disk, wait_for_answers, write
from killing import DATAGEN, build, digest_of, recorded_keys, standing_simulator, start

PLACES = 16
CLOCK = """\
import os, time
_true, _began, _away = time.time, time.monotonic(), float(os.environ["CLOCK_AWAY"])
_off = lambda: _away if time.monotonic() - _began > float(os.environ["CLOCK_AFTER"]) else 0.0
time.time = lambda: _true() + _off()
time.time_ns = lambda: int(time.time() * 1e9)
open(os.environ["CLOCK_SEEN"], "a").write("shifted")
"""
"""A clock that jumps so many seconds, so long after the start of the process."""


# --- disks ---


def test_a_full_disk_ends_the_build_and_the_same_command_finishes_when_there_is_room(tmp_path: Path) -> None:
    spec = write(tmp_path / "s.yaml", count=200, latency="0.02")
    with small_disk(tmp_path / "disk", "400k") as disk, standing_simulator(spec) as url:
        command = ("build", "--spec", at(spec, url), "--out", tmp_path / "out", "--ledger", disk / "ledger")
        full = datagen(*command)
        assert full.returncode == 5 and "free some space and run the same command again" in full.stderr, full.stderr
        assert "Traceback" not in full.stderr
        recorded, before = recorded_keys(disk / "ledger"), bill(url)
        assert len(recorded) > 20 and len(before) < 400
        assert sum(before.values()) - len(recorded) <= PLACES, "more was lost than was in flight"
        remount(disk, "size=64m")
        done = datagen(*command)
        assert done.returncode == 0, done.stderr
        assert not paid_again(recorded, before, bill(url)) and len(bill(url)) == 400
        build(spec, tmp_path / "calm")
        assert digest_of(tmp_path / "out") == digest_of(tmp_path / "calm")


def test_a_read_only_ledger_ends_the_build_before_anything_is_paid(tmp_path: Path) -> None:
    spec = write(tmp_path / "s.yaml", count=20)
    with small_disk(tmp_path / "disk", "16m") as disk, standing_simulator(spec) as url:
        command = ("build", "--spec", at(spec, url), "--out", tmp_path / "out", "--ledger", disk / "ledger")
        remount(disk, "ro")
        refused = datagen(*command)
        assert refused.returncode == 5 and "choose another with --ledger DIR" in refused.stderr, refused.stderr
        assert "Traceback" not in refused.stderr and bill(url) == {}
        remount(disk, "rw")
        assert datagen(*command).returncode == 0
        remount(disk, "ro")
        again = datagen(*command[:-3], tmp_path / "again", "--ledger", disk / "ledger")
        assert again.returncode == 5 and set(bill(url).values()) == {1}


# --- processes ---


def test_two_builds_on_one_ledger_the_second_refuses_until_the_first_is_dead(tmp_path: Path) -> None:
    """The first has some ten seconds to go when the second begins, which may itself take a few to start."""
    spec = write(tmp_path / "s.yaml", count=90, latency="1.0")
    with standing_simulator(spec) as url:
        ledger = tmp_path / "ledger"
        first = start(at(spec, url), tmp_path / "first", "--ledger", str(ledger))
        try:
            wait_for_answers(url, 20)
            second = ("build", "--spec", spec, "--out", tmp_path / "second", "--ledger", ledger)
            refused = datagen(*second)
            assert first.poll() is None, "the first was over before the second was refused: nothing is shown"
            assert refused.returncode == 5 and "ledger" in refused.stderr and "Traceback" not in refused.stderr, refused.stderr
        finally:
            os.killpg(first.pid, signal.SIGKILL)
            first.communicate()
        recorded, before = recorded_keys(ledger), bill(url)
        done = datagen(*second)
        assert done.returncode == 0, done.stderr
        assert recorded and not paid_again(recorded, before, bill(url))
        assert accounted(tmp_path / "second") == {}


def test_a_stopped_build_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    stopped(tmp_path, seconds=4)


def stopped(folder: Path, seconds: float) -> None:
    """SIGSTOP in mid-build, longer than an attempt may take, then SIGCONT."""
    spec = write(folder / "s.yaml", count=100, latency="0.2", timeout=2)
    with standing_simulator(spec) as url:
        process = start(at(spec, url), folder / "out")
        wait_for_answers(url, 40)
        os.killpg(process.pid, signal.SIGSTOP)
        before = bill(url)
        time.sleep(seconds)
        assert len(bill(url)) <= len(before) + PLACES, "the build was not stopped"
        os.killpg(process.pid, signal.SIGCONT)
        _, said = process.communicate()
        assert process.returncode == 0, said.decode()
        after = bill(url)
        assert set(after.values()) == {1}, "what came while the build was stopped was asked again"
        build(spec, folder / "calm")
        assert digest_of(folder / "out") == digest_of(folder / "calm")


@pytest.mark.parametrize(
    ("away", "after"),
    [pytest.param(-400_000_000, 0, marks=pytest.mark.soak, id="years before the first run"), pytest.param(-86_400, 1.0, id="a day in mid-build")],
)
def test_a_clock_that_jumps_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: int, after: float) -> None:
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(CLOCK)
    spec = write(tmp_path / "s.yaml", latency="0.3", more="limits: {requests_per_minute: 6000}")
    with standing_simulator(spec) as url:
        first = start(at(spec, url), tmp_path / "out")
        wait_for_answers(url, 20)
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        recorded, before = recorded_keys(tmp_path / "out" / "ledger"), bill(url)
        with monkeypatch.context() as shifted:
            for name, value in {"PYTHONPATH": tmp_path / "clock", "CLOCK_AWAY": away, "CLOCK_AFTER": after, "CLOCK_SEEN": tmp_path / "seen"}.items():
                shifted.setenv(name, str(value))
            build(spec, tmp_path / "out")
        assert "shifted" in (tmp_path / "seen").read_text()
        assert recorded and not paid_again(recorded, before, bill(url))
        build(spec, tmp_path / "calm")
        assert digest_of(tmp_path / "out") == digest_of(tmp_path / "calm")


@pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not installed")
def test_a_build_under_faketime_gives_the_same_bytes(tmp_path: Path) -> None:
    """Every clock that the C library gives, not only Python's."""
    spec = write(tmp_path / "s.yaml", count=20)
    with standing_simulator(spec) as url:
        build(at(spec, url), tmp_path / "calm")
        command = ["faketime", "-f", "-10y", *datagen_command("--spec", spec, "--out", tmp_path / "out", "--ledger", tmp_path / "calm" / "ledger")]
        assert subprocess.run(command, check=False).returncode == 0
        assert digest_of(tmp_path / "out") == digest_of(tmp_path / "calm")
        assert set(bill(url).values()) == {1}


def datagen_command(*arguments: object) -> list[str]:
    return [*DATAGEN, "build", *map(str, arguments)]


# --- damage ---


@dataclass(frozen=True)
class Built:
    """A finished build whose ledger has several segments, and the simulator that answered it."""

    spec: Path
    out: Path
    url: str


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    folder = tmp_path_factory.mktemp("built")
    spec = write(folder / "s.yaml", count=80, latency="0.2")
    with standing_simulator(spec) as url:
        first = start(at(spec, url), folder / "out")
        wait_for_answers(url, 50)
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        build(spec, folder / "out")
        yield Built(spec, folder / "out", url)


def answers(path: Path) -> list[tuple[int, bytes]]:
    """(offset, line) of each answer of a segment."""
    found, offset = [], 0
    for line in path.read_bytes().splitlines(keepends=True):
        if b'"kind":"answer"' in line[:60]:
            found.append((offset, line))
        offset += len(line)
    return found


def torn(segments: list[Path]) -> list[str]:
    offset, line = answers(segments[-1])[-1]
    os.truncate(segments[-1], offset + len(line) - 10)
    return [segments[-1].name, "torn"]


def truncated(segments: list[Path]) -> list[str]:
    offset, line = answers(segments[0])[len(answers(segments[0])) // 2]
    os.truncate(segments[0], offset + len(line) // 2)
    return [segments[0].name]


def flipped(segments: list[Path]) -> list[str]:
    offset, line = answers(segments[0])[3]
    with segments[0].open("r+b") as file:
        file.seek(offset + len(line) // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    return [segments[0].name, "damaged"]


def deleted(segments: list[Path]) -> list[str]:
    segments[0].unlink()
    return [segments[0].name[:6], "missing"]


@pytest.mark.parametrize("indexed", [True, False], ids=["indexed", "without an index"])
@pytest.mark.parametrize("damage", [torn, truncated, flipped, deleted])
def test_damage_is_named_and_only_what_is_gone_is_asked_again(
    tmp_path: Path, built: Built, damage: Callable[[list[Path]], list[str]], indexed: bool
) -> None:
    ledger = tmp_path / "ledger"
    shutil.copytree(built.out / "ledger", ledger)
    if not indexed:
        (ledger / "index").unlink()
    segments = sorted(ledger.glob("*.jsonl"))
    assert len(segments) >= 2 and len(answers(segments[0])) > 10
    whole, before = recorded_keys(ledger), bill(built.url)
    words = damage(segments)
    gone = whole - recorded_keys(ledger)
    assert gone
    checked = datagen("ledger", "verify", ledger)
    assert all(word in checked.stdout + checked.stderr for word in words), checked.stdout + checked.stderr
    done = datagen("build", "--spec", built.spec, "--out", tmp_path / "out", "--ledger", ledger)
    assert done.returncode == 0, done.stderr
    after = bill(built.url)
    assert {key for key in after if after[key] > before.get(key, 0)} == gone
    assert {after[key] - before[key] for key in gone} == {1}
    assert digest_of(tmp_path / "out") == digest_of(built.out)
    notes = [line for line in (done.stdout + done.stderr).splitlines() if "ledger" in line and all(word in line for word in words)]
    assert notes, done.stderr
