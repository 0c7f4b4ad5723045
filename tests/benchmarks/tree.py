"""CPU and memory of a client and of all that it starts, daemons too: found by a mark in their environment."""

from __future__ import annotations

import os
import threading
import uuid
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Tree:
    """Looks twice a second while its block runs. `environment` is what the client must be started with."""

    def __init__(self) -> None:
        self._mark = uuid.uuid4().hex
        self.environment = {**os.environ, "DATAGEN_BENCH_MARK": self._mark}
        self.peak = 0
        """Bytes: the sum of the proportional set sizes (PSS) of all processes, at its largest."""
        self.names: dict[int, str] = {}
        """Process id -> its title, as it was last."""
        self._cpu: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def cpu(self) -> float:
        """Seconds, of all processes, as of their last look."""
        return sum(self._cpu.values())

    def __enter__(self) -> Tree:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        known: set[int] = set()
        strangers: set[int] = set()
        while not self._over.wait(0.5):
            there = {int(path.name) for path in Path("/proc").glob("[0-9]*")}
            for pid in there - known - strangers:
                (known if self._marked(pid) else strangers).add(pid)
            known &= there
            strangers &= there
            self.peak = max(self.peak, sum(self._look(pid) for pid in known))

    def _marked(self, pid: int) -> bool:
        try:
            return self._mark.encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False

    def _look(self, pid: int) -> int:
        try:
            words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            self.names[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:120]
            self._cpu[pid] = (int(words[11]) + int(words[12])) / TICKS
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
        except (OSError, StopIteration, IndexError):
            return 0
