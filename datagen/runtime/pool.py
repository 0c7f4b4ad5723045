"""Killable processes for what must not run on the event loop: operators and checks, in small batches, each with a deadline.

Processes are spawned, never forked. A batch that passes its deadline is ended with its process and tried again item by item, so that
only the item that hangs is lost; its result is None. What needs longer than others (a program with its tests) says so, and goes alone.
While this process is stopped no deadline runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pickle
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any

from datagen.runtime import awake

BATCH = 32
"""Items sent at once: a process wakes rarely and no row waits long."""
DEADLINE = 10.0
"""Seconds one batch may take."""
START = 30.0
"""Seconds more for a process's first batch, which also pays for starting it and for its imports."""


@dataclass
class _Job:
    function: Callable[[Any, Any], Any]
    tool: Any
    argument: Any
    done: asyncio.Future[Any]
    deadline: float = 0.0
    """Seconds of its own; 0: the pool's."""


class ProcessPool:
    """`await pool.call(function, tool, argument)` = `function(tool, argument)` in another process; None when it did not finish.

    `tool` is shared by many calls (a recipe); it is sent once a batch. An exception in the function is raised here.
    """

    def __init__(self, size: int | None = None, deadline: float = DEADLINE, start: float = START) -> None:
        self._size = size or os.cpu_count() or 1
        self._deadline = deadline
        self._start = start
        self._idle: list[_Process] = []
        self._busy = 0
        self._jobs: deque[_Job] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False

    async def call(self, function: Callable[[Any, Any], Any], tool: Any, argument: Any, deadline: float = 0.0) -> Any:
        """`deadline`: seconds for this call alone, where that is more than the pool gives a batch."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(function, tool, argument, done, deadline))
        if not self._scheduled:  # let the other rows of this tick join the batch
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._dispatch)
        return await done

    def close(self) -> None:
        for process in self._idle:
            process.end()
        self._idle.clear()

    def _dispatch(self) -> None:
        self._scheduled = False
        while self._jobs and (self._idle or self._busy < self._size):
            process = self._idle.pop() if self._idle else _Process()
            if not process.alive():  # ended from outside between two batches; its next batch is not to blame
                process.end()
                process = _Process()
            self._busy += 1
            task = asyncio.ensure_future(self._serve(process, self._next_batch()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _next_batch(self) -> list[_Job]:
        """Jobs of one function and one tool, in order; one with a deadline of its own is a batch."""
        first = self._jobs[0]
        share = 1 if first.deadline else max(1, min(BATCH, -(-len(self._jobs) // self._size)))
        batch: list[_Job] = []
        while self._jobs and len(batch) < share and _alike(self._jobs[0], first):
            batch.append(self._jobs.popleft())
        return batch

    async def _serve(self, process: _Process, batch: Sequence[_Job]) -> None:
        try:
            process = await self._run(process, batch)
        except BaseException as error:
            process.end()
            for job in batch:
                if not job.done.done():
                    job.done.set_exception(error if isinstance(error, Exception) else RuntimeError("the pool was closed"))
            if not isinstance(error, Exception):
                raise
        else:
            self._idle.append(process)
        finally:
            self._busy -= 1
        self._dispatch()

    async def _run(self, process: _Process, batch: Sequence[_Job]) -> _Process:
        """Answer a batch; returns the process to go on with, which is a new one when this one had to be ended."""
        task, deadline = (batch[0].function, batch[0].tool, [job.argument for job in batch]), max(batch[0].deadline, self._deadline)
        results = await process.answer(task, deadline, self._start)
        if results is None and len(batch) == 1:
            process.end()
            _give(batch, [(True, None)])
            return _Process()
        if results is None:
            process.end()
            process = _Process()
            for job in batch:
                process = await self._run(process, [job])
            return process
        _give(batch, results)
        return process


def _alike(job: _Job, first: _Job) -> bool:
    return job.function is first.function and job.tool is first.tool and job.deadline == first.deadline


def _give(batch: Sequence[_Job], results: Sequence[tuple[bool, Any]]) -> None:
    for job, (good, value) in zip(batch, results, strict=True):
        if job.done.done():
            continue
        if good:
            job.done.set_result(value)
        else:
            job.done.set_exception(value)


class _Process:
    """One spawned process at the other end of a pipe; it ends by itself when this process dies."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other,), daemon=True, name="datagen-pool")
        with _nobody_as_main():
            self._process.start()
        other.close()

    async def answer(self, task: tuple[Any, Any, list[Any]], deadline: float, start: float) -> list[tuple[bool, Any]] | None:
        """The results, or None when the deadline passed or the process died. The first call also waits for the process to be there."""
        message = pickle.dumps(task)
        try:
            if not self._there:  # a large message to a process that does not read yet would hold up the event loop
                await self._received(start)
                self._there = True
            self._pipe.send_bytes(message)
            results: list[tuple[bool, Any]] = pickle.loads(await self._received(deadline + (0 if self._warm else start)))
        except (TimeoutError, EOFError, ConnectionError):
            return None
        self._warm = True
        return results

    _there = _warm = False

    async def _received(self, seconds: float) -> bytes:
        """The next message. Raises TimeoutError, EOFError or ConnectionError."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._pipe.fileno(), _set, ready)
        try:
            async with awake.timeout(seconds):
                await ready
            return self._pipe.recv_bytes()
        finally:
            loop.remove_reader(self._pipe.fileno())

    def alive(self) -> bool:
        return self._process.is_alive()

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


@contextlib.contextmanager
def _nobody_as_main() -> Iterator[None]:
    """A spawned process first runs the script of its parent, which would build again where datagen is called from a plain script; what it
    is given here never lives there."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _work(pipe: Connection) -> None:
    """The life of a pool process: batches in, results out, until the pipe closes."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    pipe.send_bytes(b"there")
    while True:
        try:
            function, tool, arguments = pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        results = [_guarded(function, tool, argument) for argument in arguments]
        try:
            pipe.send_bytes(_packed(results))
        except OSError:
            return


def _guarded(function: Callable[[Any, Any], Any], tool: Any, argument: Any) -> tuple[bool, Any]:
    try:
        return True, function(tool, argument)
    except Exception as error:
        return False, _portable(error)


def _portable(error: Exception) -> Exception:
    """The exception where it survives the pipe, else its words: many cannot be built again from their arguments."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _packed(results: list[tuple[bool, Any]]) -> bytes:
    try:
        return pickle.dumps(results)
    except Exception as error:
        return pickle.dumps([(False, RuntimeError(f"a result cannot be sent between processes: {error}"))] * len(results))
