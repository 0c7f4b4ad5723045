"""A process that is stopped for longer than its deadlines goes on as if nothing had been: real SIGSTOP, real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datagen.runtime import awake

HERE = Path(__file__).parent
WAITS = """\
import asyncio, sys
from datagen.runtime import awake
async def main():
    timeout = {"awake": awake.timeout, "asyncio": asyncio.timeout}[sys.argv[1]]
    async with timeout(2.0):
        print("begun", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.sleep(0.3)  # what has come is read in several turns of the loop
    print("in time", flush=True)
    try:
        async with timeout(0.2):
            await asyncio.sleep(30)
    except TimeoutError:
        print("late", flush=True)
asyncio.run(main())
"""
POOLED = """\
import asyncio
from pool_work import work
from datagen.runtime.pool import ProcessPool
async def main():
    pool = ProcessPool(1, deadline=2.0)
    await pool.call(work, "t", 1)
    asyncio.get_running_loop().call_later(0.3, lambda: print("begun", flush=True))
    print(await pool.call(work, "t", "slow"), flush=True)
    pool.close()
if __name__ == "__main__":
    asyncio.run(main())
"""


def stopped_midway(*command: str, line: str = "\n", seconds: float = 4.0) -> str:
    """Run it, stop its whole process group once it has begun, say `line` to it while it is stopped, go on; returns what it said."""
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    process = subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=environment,
    )
    assert process.stdin and process.stdout
    assert process.stdout.readline() == "begun\n"
    os.killpg(process.pid, signal.SIGSTOP)
    process.stdin.write(line)
    process.stdin.flush()
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGCONT)
    return process.communicate(timeout=30)[0]


def test_what_came_while_the_process_was_stopped_is_not_late_and_what_hangs_still_is() -> None:
    assert stopped_midway("-c", WAITS, "awake") == "in time\nlate\n"


def test_a_plain_timeout_would_take_it_for_late() -> None:
    assert "TimeoutError" in stopped_midway("-c", WAITS, "asyncio")


def test_a_row_in_the_pool_is_not_lost_to_a_stop(tmp_path: Path) -> None:
    script = tmp_path / "pooled.py"
    script.write_text(POOLED)
    assert stopped_midway(str(script)) == "t:slow\n"


def test_a_deadline_holds_and_the_clock_runs_while_nothing_stops_it() -> None:
    async def go() -> None:
        began = awake.now()
        with pytest.raises(TimeoutError):
            async with awake.timeout(0.1):
                await asyncio.sleep(20)
        assert 0.1 <= awake.now() - began < 15

    asyncio.run(go())
