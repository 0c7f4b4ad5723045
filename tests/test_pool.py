"""Killable processes: what hangs or dies is lost alone, what raises raises here, and the order of answers is that of the questions."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pool_work import other, work

from datagen.runtime.flow import in_the_air
from datagen.runtime.pool import ProcessPool


def pooled(go: Callable[[ProcessPool], Awaitable[None]], size: int = 2, deadline: float = 0.4, start: float = 3.0) -> None:
    async def run() -> None:
        pool = ProcessPool(size, deadline, start)
        try:
            await asyncio.wait_for(go(pool), 60)
        finally:
            pool.close()

    asyncio.run(run())


PLAIN = """\
import asyncio
from datagen.runtime.pool import ProcessPool
from pool_work import work

print("ran")


async def main():
    pool = ProcessPool(2, 20.0, 60.0)
    print(await pool.call(work, "t", 5))
    pool.close()


asyncio.run(main())
"""


def test_a_script_that_guards_nothing_is_not_run_again_by_its_processes(tmp_path: Path) -> None:
    """As a library: a spawned process would run the whole script of its parent first, and build in it."""
    (tmp_path / "plain.py").write_text(PLAIN)
    done = subprocess.run(
        [sys.executable, tmp_path / "plain.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        timeout=120,
    )
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, ["ran", "t:5"], "")


async def many(pool: ProcessPool, arguments: list[Any]) -> list[Any]:
    return await asyncio.gather(*(pool.call(work, "t", argument) for argument in arguments), return_exceptions=True)


def test_answers_belong_to_their_questions_and_come_from_other_processes() -> None:
    async def go(pool: ProcessPool) -> None:
        assert await many(pool, list(range(200))) == [f"t:{number}" for number in range(200)]
        mixed = await asyncio.gather(*(pool.call(work if number % 2 else other, "t", number) for number in range(20)))
        assert mixed == [f"t:{number}" if number % 2 else f"other t:{number}" for number in range(20)]
        places = set(await many(pool, ["where"] * 200))
        assert 1 <= len(places) <= 2 and os.getpid() not in places

    pooled(go)


def test_what_hangs_is_killed_alone_and_the_others_have_their_answers() -> None:
    async def go(pool: ProcessPool) -> None:
        await many(pool, [0, 1])  # the processes are warm
        arguments = [*range(10), "hang", *range(10, 20), "spin"]
        answers = await many(pool, arguments)
        assert answers == [None if argument in ("hang", "spin") else f"t:{argument}" for argument in arguments]
        assert await many(pool, ["again"]) == ["t:again"]

    pooled(go, start=1.0)


def test_a_process_that_dies_takes_only_what_killed_it() -> None:
    async def go(pool: ProcessPool) -> None:
        assert await many(pool, [1, "die", 2, 3]) == ["t:1", None, "t:2", "t:3"]
        (place,) = await many(pool, ["where"])
        os.kill(place, signal.SIGKILL)  # between two batches, as a kernel short of memory does
        await asyncio.sleep(0.05)
        assert await many(pool, ["after"]) == ["t:after"]

    pooled(go, size=1)


@pytest.mark.parametrize(
    ("argument", "kind", "told"), [("raise", ValueError, "no good"), ("odd", RuntimeError, "Odd: first"), ("lambda", RuntimeError, "cannot be sent")]
)
def test_an_exception_passes_through_and_the_pool_goes_on(argument: str, kind: type[Exception], told: str) -> None:
    async def go(pool: ProcessPool) -> None:
        with pytest.raises(kind, match=told):
            await pool.call(work, "t", argument)
        assert await many(pool, [1, 2]) == ["t:1", "t:2"]

    pooled(go)


def test_a_tool_that_cannot_travel_fails_its_callers_and_nobody_else() -> None:
    async def go(pool: ProcessPool) -> None:
        bad = [asyncio.ensure_future(pool.call(work, lambda: None, number)) for number in range(3)]
        good = [asyncio.ensure_future(pool.call(work, "t", number)) for number in range(3)]
        results = await asyncio.wait_for(asyncio.gather(*bad, *good, return_exceptions=True), 20)
        assert all(isinstance(result, Exception) for result in results[:3]) and results[3:] == ["t:0", "t:1", "t:2"]

    pooled(go, size=1)


def test_a_caller_that_gives_up_is_no_trouble() -> None:
    async def go(pool: ProcessPool) -> None:
        calls = [asyncio.ensure_future(pool.call(work, "t", number)) for number in range(10)]
        await asyncio.sleep(0)
        calls[3].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [result for number, result in enumerate(results) if number != 3] == [f"t:{number}" for number in range(10) if number != 3]

    pooled(go)


def test_no_process_is_left_behind() -> None:
    async def go(pool: ProcessPool) -> None:
        places.update(await many(pool, ["where"] * 50))

    places: set[int] = set()
    pooled(go)
    for place in places:
        with pytest.raises(ProcessLookupError):
            os.kill(place, 0)


# --- units in the air ---


def test_units_in_the_air_are_bounded_and_a_failure_lets_the_others_land() -> None:
    flying = most = 0
    landed: list[int] = []
    begun: list[int] = []

    async def run(unit: int) -> int:
        nonlocal flying, most
        begun.append(unit)
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.01 * (unit % 3))
        flying -= 1
        if unit == 7:
            raise ValueError("seven")
        landed.append(unit)
        return unit

    async def go() -> None:
        results = []
        with pytest.raises(ValueError, match="seven"):
            async for result in in_the_air(run, range(1, 50), 4):
                results.append(result)
        assert sorted(results) == sorted(landed) == sorted(set(begun) - {7}) and most == 4 and len(begun) <= 12

    asyncio.run(go())


def test_a_call_with_a_deadline_of_its_own_goes_alone_and_is_waited_for() -> None:
    async def go(pool: ProcessPool) -> None:
        await asyncio.gather(pool.call(work, "t", 1, 20.0), pool.call(work, "t", 2, 20.0))  # a process's first call has time to start
        patient = [pool.call(work, "t", "slow", 20.0), pool.call(work, "t", 5, 20.0)]
        assert await asyncio.gather(*patient, pool.call(work, "t", "slow"), pool.call(work, "t", 6)) == ["t:slow", "t:5", None, "t:6"]

    pooled(go)
