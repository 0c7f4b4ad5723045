"""A small process that asks in paid batches and can be made to die at a named instant: `python batch_driver.py URL PROVIDER FOLDER [INSTANT N]`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from batching import desk, requests, teacher

from datagen.asking.ledger.book import Intent, Ledger, lock
from datagen.asking.rounds import Rounds
from datagen.errors import TeacherFault
from datagen.records import Request, Response, Spend

COUNT, A_JOB = 60, 10
INSTANTS = ("intend", "intended", "accepted", "noted", "record", "recorded", "closed", "over")
"""Before and after each of the four things that the ledger is told of a job: `accepted` is between the provider's accept and our note."""


class Mortal(Ledger):
    """Kills its process, as kill -9 does, when the named instant has come for the nth time."""

    def __init__(self, folder: Path, instant: str, count: int) -> None:
        super().__init__(folder, "batch/1")
        self._end = instant, count
        self._seen: Counter[str] = Counter()

    def _here(self, instant: str) -> None:
        self._seen[instant] += 1
        if (instant, self._seen[instant]) == self._end:
            os.kill(os.getpid(), signal.SIGKILL)

    def intend(self, intent: Intent) -> None:
        self._here("intend")
        super().intend(intent)
        self._here("intended")

    def accepted(self, tag: str, id: str) -> None:
        self._here("accepted")
        super().accepted(tag, id)
        self._here("noted")

    def record(self, request: Request, teacher: str, response: Response, spent: Spend, job: str = "") -> None:
        self._here("record")
        super().record(request, teacher, response, spent, job)
        self._here("recorded")

    def fault(self, key: str, teacher: str, fault: TeacherFault, spent: Spend, job: str = "") -> None:
        self._here("record")
        super().fault(key, teacher, fault, spent, job)
        self._here("recorded")

    def closed(self, tag: str, word: str) -> None:
        self._here("closed")
        super().closed(tag, word)
        self._here("over")


async def main(url: str, provider: str, folder: str, instant: str = "", count: str = "0") -> None:
    asked: Any = teacher(provider, url, simulated=True)
    with lock(Path(folder)):
        ledger = Mortal(Path(folder), instant, int(count))
        try:
            rounds = Rounds(ledger, {"writer": desk(provider, asked, attempts=20, requests=A_JOB, at_once=3, settling=0.5)})
            await rounds.run(requests(provider, COUNT))
        finally:
            ledger.close()
            await asked.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
