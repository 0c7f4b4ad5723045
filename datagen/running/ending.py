"""How a build is stopped by whoever runs it, and what it says of what was saved and how to go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from datagen.asking.ledger.book import Ledger
from datagen.errors import BudgetReached, DatagenError, Interrupted, LowYield, TeacherStopped, TooManyFailures
from datagen.records import Outcome
from datagen.running.stretch import Crew
from datagen.runtime.log import event


@contextlib.asynccontextmanager
async def draining_on_signal(crew: Crew, stopping: asyncio.Event) -> AsyncIterator[None]:
    """The first Ctrl-C or SIGTERM drains: nothing new is sent, what is in flight lands. The second aborts."""
    import signal

    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    assert main is not None
    draining: list[asyncio.Future[None]] = []

    def stop() -> None:
        if stopping.is_set():
            main.cancel()
        else:
            stopping.set()
            event("drain_asked")
            draining.append(asyncio.ensure_future(crew.runtime.drain()))
            if crew.rounds:
                crew.rounds.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def advising(folder: Path) -> Iterator[None]:
    """Whatever stops a build says what was saved and how to go on."""
    try:
        yield
    except (Interrupted, BudgetReached, TeacherStopped, TooManyFailures, LowYield) as error:
        told = type(error)(f"{error}\n{_saved(folder)} {_next(error)} goes on from here.")
        for note in getattr(error, "__notes__", ()):
            told.add_note(note)
        raise told from error
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise Interrupted(f"aborted: what was in flight may be asked again\n{_saved(folder)} The same command goes on from here.") from None


def _next(error: DatagenError) -> str:
    if isinstance(error, BudgetReached):
        return "With a larger budget the same command"
    outcome = getattr(error, "outcome", "")
    if outcome == Outcome.REJECTED:
        return "With `--again rejected`, once its cause is gone, or a changed spec, the same command"
    same = isinstance(error, Interrupted | TeacherStopped) or outcome == Outcome.FAILED
    return "The same command" if same else "A changed spec"


def _saved(folder: Path) -> str:
    ledger = Ledger(folder, "")
    accounts = [account for teachers in ledger.accounts.values() for account in teachers.values()]
    waiting = sum(spend.requests for account in accounts for spend in account.open.values())
    lost = f" {waiting} requests were in flight and count as spent." if waiting else ""
    answers = len(ledger)
    ledger.close()
    return f"{answers:,} answers are in {folder}; none of them is paid again.{lost}"
