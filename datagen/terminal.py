"""What a build looks like: one live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from datagen.build import Snapshot, Summary

PLAIN_SECONDS = 5.0
"""Between two lines where there is no terminal."""


def watcher(stream: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic) -> Callable[[Snapshot], None]:
    """A function that draws snapshots as they come."""
    state = {"last": 0.0, "step": "", "began": clock(), "asked": 0}
    live = stream.isatty()

    def watch(snapshot: Snapshot) -> None:
        now = clock()
        if snapshot.step != state["step"]:
            if live and state["step"]:
                stream.write("\n")
            state.update(step=snapshot.step, began=now, last=0.0, asked=snapshot.asked)
        finished = snapshot.rows >= snapshot.of
        if not live and not finished and now - float(state["last"]) < PLAIN_SECONDS:
            return
        state["last"] = now
        rate = (snapshot.asked - int(state["asked"])) / max(now - float(state["began"]), 0.1)
        line = drawn(snapshot, rate, now - float(state["began"]))
        stream.write(f"\r\x1b[2K{line}" if live else f"{line}\n")
        stream.flush()

    return watch


def drawn(snapshot: Snapshot, rate: float, seconds: float) -> str:
    """`solution > right   [#######---]  512/675 rows  84/s  256 in flight  $0.41 of $5.00  about 12 s left`."""
    share = snapshot.rows / snapshot.of if snapshot.of else 1.0
    filled = int(share * 20)
    money = f"${snapshot.spent:,.4f}" + (f" of ${snapshot.cap:,.2f}" if snapshot.cap else "")
    left = f"  about {seconds / share - seconds:,.0f} s left" if 0 < share < 1 and seconds > 2 else ""
    answers = f"  {rate:,.0f} answers/s  {snapshot.in_flight} in flight" if snapshot.asked and share < 1 else ""
    bar = "#" * filled + "-" * (20 - filled)
    return f"{snapshot.step:<32.32} [{bar}] {snapshot.rows:>6,}/{snapshot.of:,} rows{answers}  {money}{left}"


def report(summary: Summary) -> list[str]:
    """What a build says at its end: where everything is and what to type next."""
    money = f"would have cost ${summary.spent:,.4f}" if summary.simulated else f"${summary.spent:,.4f}"
    out = summary.out
    lines = [
        "",
        f"release {summary.version}: {summary.rows:,} rows{' (SIMULATED)' if summary.simulated else ''}, {summary.asked:,} answers asked in this run, {money} over all runs",
        *([f"  {summary.unanswered:,} rows without an answer"] if summary.unanswered else []),
        *(f"  note: {note}" for note in summary.notes),
        f"  shards   {out / 'data'}",
        f"  report   {(out / 'report.html').resolve()}",
        "next:",
        f"  datagen sql {out} \"SELECT operator, reason, count(*) FROM dropped GROUP BY ALL\"",
        f"  datagen explain {out} {summary.example or 'ROW_ID'}",
    ]
    return lines
