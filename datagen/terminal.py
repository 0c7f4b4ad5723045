"""What a build looks like: one live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Set
from shlex import quote
from typing import TextIO

from datagen.build import Summary
from datagen.running.telling.show import Snapshot

PLAIN_SECONDS = 5.0
"""Between two lines where there is no terminal."""


class Watcher:
    """Draws snapshots as they come."""

    def __init__(self, stream: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._live = stream.isatty()
        self._step, self._began, self._asked_before = "", clock(), 0
        self._drawn_at: float | None = None
        self._stopping = False
        self._news = ""
        self.said: set[str] = set()
        """Lines of news that were written where the report will be."""
        self._one = _one_output(stream)

    def __call__(self, snapshot: Snapshot) -> None:
        now = self._clock()
        if snapshot.news != self._news:
            self._news = snapshot.news
            self.said |= set(snapshot.news.splitlines() if self._one else ())
            self._stream.write(f"\r\x1b[2K{snapshot.news}\n" if self._live else f"{snapshot.news}\n")
        if snapshot.step != self._step:
            if self._live and self._step:
                self._stream.write("\n")
            self._step, self._began, self._asked_before, self._drawn_at = snapshot.step, now, snapshot.asked, None
        recent = self._drawn_at is not None and now - self._drawn_at < PLAIN_SECONDS and snapshot.stopping == self._stopping
        self._stopping = snapshot.stopping
        if not self._live and recent and snapshot.rows < snapshot.of:
            return
        self._drawn_at = now
        rate = (snapshot.asked - self._asked_before) / max(now - self._began, 0.1)
        line = drawn(snapshot, rate, now - self._began)
        self._stream.write(f"\r\x1b[2K{line}" if self._live else f"{line}\n")
        self._stream.flush()


def _one_output(stream: TextIO) -> bool:
    """Whether this and stdout are read as one: the same terminal, file or pipe."""
    try:
        return os.path.sameopenfile(stream.fileno(), sys.stdout.fileno())
    except (OSError, ValueError):
        return False


def drawn(snapshot: Snapshot, rate: float, seconds: float) -> str:
    """`solution > right   [#######---]  512/675 rows  84/s  256 in flight  $0.41 of $5.00  about 12 s left`."""
    share = snapshot.rows / snapshot.of if snapshot.of else 1.0
    filled = int(share * 20)
    money = f"${snapshot.spent:,.4f}" + (f" of ${snapshot.cap:,.2f}" if snapshot.cap else "")
    left = f"  about {seconds / share - seconds:,.0f} s left" if 0 < share < 1 and seconds > 2 and not snapshot.trouble else ""
    answers = f"  {rate:,.0f} requests/s  {snapshot.in_flight} in flight" if snapshot.asked and share < 1 else ""
    bar = "#" * filled + "-" * (20 - filled)
    if snapshot.stopping:
        left = f"  stopping: {snapshot.in_flight} in flight may land; Ctrl-C again aborts"
    if snapshot.trouble:
        left += f"  [{snapshot.trouble}]"
    return f"{snapshot.step:<32.32} [{bar}] {snapshot.rows:>6,}/{snapshot.of:,} rows{answers}  {money}{left}"


def report(summary: Summary, said: Set[str] = frozenset()) -> list[str]:
    """What a build says at its end: where everything is and what to type next. `said`: lines that were written before, and are not again."""
    money = f"would have cost ${summary.spent:,.4f}" if summary.simulated else f"${summary.spent:,.4f}"
    asked = f"{summary.asked:,} request{'s' * (summary.asked != 1)} in this run" if summary.asked else "nothing had to be asked"
    mark = " (SIMULATED)" if summary.simulated else ""
    place = summary.place or str(summary.out)
    out, command = quote(place), "datagen" if shutil.which("datagen") else quote(sys.argv[0])
    nothing = ["  no row was kept: the report says why"] if not summary.total else []
    return [
        "",
        f"release {summary.version}: {summary.rows:,} rows{mark}; {asked}; {money} over all runs",
        *([f"  {summary.unanswered:,} rows without an answer"] if summary.unanswered else []),
        *nothing,
        *(f"  note: {note}" for note in summary.notes if note not in said),
        f"  shards   {place}/data",
        f"  report   {(summary.out / 'report.html').resolve()}",
        "next:",
        f'  {command} sql {out} "SELECT operator, reason, count(*) FROM dropped GROUP BY ALL"',
        f"  {command} explain {out} {summary.example or 'ROW_ID'}",
    ]
