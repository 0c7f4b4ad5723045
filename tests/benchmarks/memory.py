"""What a build needs of memory as its rows grow, against an independent fake teacher at latency 0.

    python tests/benchmarks/memory.py [--rows 10000 100000 1000000] [--in-flight 256] [--again] [--tree DIR] [--keep DIR]

One line a build: the peak of the resident set of its whole process tree (sampled ten times a second), the main process's own high water
mark as the kernel kept it, the peak of the proportional set (pages shared between processes counted once), and the time. `--again` runs the
same command a second time; `--tree` measures the datagen of another checkout.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SPEC = """\
name: memory
seeds: {{table: seeds.jsonl}}
teachers:
  writer: {{model: openai/gpt-4o-mini, base_url: '{url}', label: bench, max_tokens: 800, max_in_flight: {in_flight}}}
steps:
  - {{name: text, ask: say, of: writer}}
release: {{format: text}}
"""
EVERY = 0.1
"""Seconds between two looks at the process tree."""


@dataclass
class Peak:
    """Megabytes (10^6 bytes) at most."""

    rss: float = 0.0
    own: float = 0.0
    pss: float = 0.0
    at: str = ""
    """What the build was doing when the tree was largest."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--tree", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--keep", type=Path, help="build here, and leave it")
    given = parser.parse_args()
    teacher = Path(os.environ.get("DATAGEN_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "bench" / "fake_teacher.py"
    if not teacher.exists():
        print(f"no fake teacher at {teacher}: set DATAGEN_SHARED")
        return 4
    command = [sys.executable, str(teacher), "--latency", "fixed:0", "--words", "50"]
    with tempfile.TemporaryDirectory() as folder, serving(command) as port:
        peaks = [measured(given, port, (given.keep or Path(folder)) / str(rows), rows) for rows in given.rows]
    print(f"largest over smallest: {max(peak.rss for peak in peaks) / min(peak.rss for peak in peaks):.2f}")
    return 0


@contextlib.contextmanager
def serving(command: list[str]) -> Iterator[int]:
    """The port of a fake teacher."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        yield int(server.stdout.readline().split()[1])
    finally:
        server.terminate()
        server.wait()


def measured(given: argparse.Namespace, port: int, work: Path, rows: int) -> Peak:
    (work / "prompts").mkdir(parents=True, exist_ok=True)
    (work / "prompts" / "say.md.j2").write_text("{{ prompt }}\n")
    with (work / "seeds.jsonl").open("w") as file:
        for number in range(rows):
            file.write(json.dumps({"prompt": f"Write a short explanation of topic number {number} in plain words."}) + "\n")
    (work / "memory.yaml").write_text(SPEC.format(url=f"http://127.0.0.1:{port}/v1", in_flight=given.in_flight))
    command = [sys.executable, "-m", "datagen.cli", "build", "--spec", str(work / "memory.yaml"), "--out", str(work / "out")]
    first = watched(command, given.tree, port, f"{rows:>9,} rows", work / "out")
    if given.again:
        watched(command, given.tree, port, f"{rows:>9,} again", work / "out")
    return first


def watched(command: list[str], tree: Path, port: int, name: str, out: Path) -> Peak:
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/reset", data=b"", method="POST"))
    began, peak = time.monotonic(), Peak()
    build = subprocess.Popen(command, cwd=tree, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while build.poll() is None:
        look(build.pid, peak, out)
        time.sleep(EVERY)
    assert build.stderr
    if build.returncode:
        raise SystemExit(f"{name} failed ({build.returncode}): {build.stderr.read()[-800:]}")
    wall = time.monotonic() - began
    asked = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/stats"))["total"]
    sizes = f"tree {peak.rss:6.1f} MB ({peak.at}), own high water {peak.own:6.1f} MB, proportional {peak.pss:6.1f} MB"
    print(f"{name}: {sizes}, {wall:6.1f} s, {asked} requests", flush=True)
    return peak


def look(root: int, peak: Peak, out: Path) -> None:
    resident = shared = 0
    for pid in family(root):
        with contextlib.suppress(OSError, KeyError):  # it has ended
            fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            resident += int(fields["VmRSS"].split()[0])
            if pid == root:
                peak.own = max(peak.own, int(fields["VmHWM"].split()[0]) * 1024 / 1e6)
            rollup = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
            shared += int(rollup["Pss"].split()[0])
    if resident * 1024 / 1e6 > peak.rss:
        peak.rss, peak.at = resident * 1024 / 1e6, doing(out)
    peak.pss = max(peak.pss, shared * 1024 / 1e6)


def doing(out: Path) -> str:
    """How far the files say the build is."""
    for name, what in (("README.md", "report"), ("manifest.json", "card"), ("plan.json", "publishing"), ("ledger", "asking")):
        if (out / name).exists():
            return what
    return "reading seeds"


def family(root: int) -> list[int]:
    """The process and all below it."""
    found = [root]
    for pid in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


if __name__ == "__main__":
    sys.exit(main())
