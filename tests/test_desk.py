"""A worker inside its actor: what it is given waits until it has read what a dead one recorded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from datagen.errors import SetupError
from datagen.runtime.onray.actors import Desk


class Reading:
    """A worker whose disk is slow."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.read = 0
        self.began: list[tuple[str, int]] = []

    async def catch_up(self) -> None:
        await asyncio.sleep(0.05)
        if self.fails:
            raise SetupError("the bucket is gone")
        self.read += 1

    async def run(self, unit: str) -> str:
        self.began.append((unit, self.read))
        return unit


def desk(worker: Any) -> Desk:
    made = Desk(lambda host, number: worker, "nobody", 0)
    made._worker = worker
    return made


def test_every_unit_waits_for_what_a_dead_worker_left_on_record() -> None:
    async def main() -> None:
        worker = Reading()
        there = desk(worker)
        assert await asyncio.gather(*(there.run(f"u{number}", 1) for number in range(4))) == ["u0", "u1", "u2", "u3"]
        assert worker.began == [(f"u{number}", 1) for number in range(4)]
        await asyncio.gather(there.run("u4", 2), there.run("u5", 3), there.run("u6", 2))
        read = dict(worker.began[4:])
        assert worker.read == 3 and read["u5"] == 3 and min(read["u4"], read["u6"]) >= 2, "each piece of news is read once, one after the other"

    asyncio.run(main())


@pytest.mark.parametrize("count", [1, 3])
def test_what_cannot_be_read_is_told_for_every_unit(count: int) -> None:
    async def main() -> None:
        worker = Reading(fails=True)
        found = await asyncio.gather(*(desk(worker).run("u", 1) for _ in range(count)))
        assert all(isinstance(each, SetupError) for each in found) and not worker.began

    asyncio.run(main())
