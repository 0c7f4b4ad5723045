"""A data set that grows: the first build, the same command again, and 1 % more seeds; where the seconds go, and the peak of memory.

    python tests/benchmarks/growth.py [--rows 100000] [--more 0.01] [--ask] [--keep DIR]

The seeds are a table of distinct rows of about 50 words, every twentieth an edited copy of another. The line asks nothing (a filter and a
dedup), so all of it is curation; `--ask` puts an ask against the independent fake teacher before it, whose time counts for nothing. One line a
build: wall, CPU, high water mark of the main process and of its children, and the seconds inside the stages of a build (a stage that runs
within another counts in both).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SPEC = """\
name: growth
seeds: {table: seeds.jsonl, take: 100000000}
steps:
  - {name: whole, filter: [{length: {min_words: 5, max_words: 4000}}]}
  - {name: unique, dedup: {on: text}}
release: {format: text, rows_per_shard: 100_000}
"""
ASKING = """\
name: growth
seeds: {{table: seeds.jsonl, rename: {{text: prompt}}, take: 100000000}}
teachers:
  writer: {{model: openai/gpt-4o-mini, base_url: '{url}', label: bench, max_tokens: 800, max_in_flight: 256}}
steps:
  - {{name: text, ask: say, of: writer}}
  - {{name: whole, filter: [{{length: {{min_words: 5, max_words: 4000}}}}]}}
  - {{name: unique, dedup: {{on: [prompt, text]}}}}
release: {{format: text, rows_per_shard: 100_000}}
"""
STAGES = {
    "sow": ("datagen.build", "sow"),
    "season": ("datagen.build", "season"),
    "claim": ("datagen.build", "claim"),
    "close": ("datagen.running.stretch", "close"),
    "publish": ("datagen.publish", "publish_release"),
    "calls": ("datagen.publish", "gather_calls"),
    "shards": ("datagen.publish", "publish"),
    "catalogue": ("datagen.publish", "build_catalogue"),
    "card": ("datagen.publish", "write_card"),
    "report": ("datagen.publish", "write_report"),
}
"""Word -> where the function is called from."""


def sentence(rng: random.Random, words: list[str]) -> list[str]:
    return [rng.choice(words) for _ in range(rng.randint(40, 60))]


def seeds(path: Path, start: int, stop: int) -> None:
    """Append rows `start` to `stop`; each is made by its number alone."""
    letters = random.Random(11)
    words = ["".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=letters.randint(3, 9))) for _ in range(20_000)]
    with path.open("a", encoding="utf-8") as file:
        for number in range(start, stop):
            copied = number % 20 == 19
            text = sentence(random.Random(number // 40 * 20 if copied else number), words)
            if copied:
                rng = random.Random(number)
                for _ in range(2):
                    text[rng.randrange(len(text))] = rng.choice(words)
            file.write(json.dumps({"text": " ".join(text)}) + "\n")


def inside(spec: Path, out: Path) -> None:
    """In a process of its own: a build, and what its stages took, as JSON on the last line."""
    took: dict[str, float] = {}
    for stage, (module, name) in STAGES.items():
        place = importlib.import_module(module)
        setattr(place, name, _timed(stage, getattr(place, name), took))
    from datagen.cli import main

    began = time.perf_counter()
    sys.argv = ["datagen", "build", "--spec", str(spec), "--out", str(out)]
    main()
    whole = time.perf_counter() - began
    own, others = (resource.getrusage(who).ru_maxrss * 1024 / 1e6 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(use.ru_utime + use.ru_stime for use in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
    print(json.dumps({"wall": whole, "cpu": cpu, "rss": own, "child": others, "stages": took}))


def _timed(stage: str, function: Callable[..., Any], took: dict[str, float]) -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*given, **named)
        finally:
            took[stage] = took.get(stage, 0.0) + time.perf_counter() - began

    return timed


def build(what: str, spec: Path, out: Path) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, "--inside", str(spec), str(out)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    manifest = json.loads((out / "manifest.json").read_text())
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in found["stages"].items())
    print(
        f"{what}: wall {found['wall']:.1f} s, CPU {found['cpu']:.1f} s, peak {found['rss']:.0f} MB (a child {found['child']:.0f}); "
        f"{sum(entry['rows'] for entry in manifest['releases']):,} rows in {len(manifest['releases'])} releases; {stages}",
        flush=True,
    )
    return found


@contextlib.contextmanager
def teacher(wanted: bool) -> Iterator[str]:
    """The address of the independent fake teacher, at latency 0."""
    if not wanted:
        yield ""
        return
    script = Path(os.environ.get("DATAGEN_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "bench" / "fake_teacher.py"
    server = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        url = f"http://127.0.0.1:{int(server.stdout.readline().split()[1])}"
        urllib.request.urlopen(urllib.request.Request(f"{url}/config", data=json.dumps({"latency": "fixed:0"}).encode(), method="POST"))
        yield f"{url}/v1"
    finally:
        server.terminate()
        server.wait()


def measured(folder: Path, rows: int, more: float, url: str) -> None:
    spec, out, table = folder / "growth.yaml", folder / "out", folder / "seeds.jsonl"
    spec.write_text(ASKING.format(url=url) if url else SPEC)
    (folder / "prompts").mkdir(exist_ok=True)
    (folder / "prompts" / "say.md.j2").write_text("{{ prompt }}\n")
    table.unlink(missing_ok=True)
    seeds(table, 0, rows)
    first = build(f"growth {rows:,} seeds, first", spec, out)
    idle = build("growth, nothing to do", spec, out)
    seeds(table, rows, round(rows * (1 + more)))
    grown = build(f"growth, {more:.0%} more seeds", spec, out)
    ratio = grown["wall"] / first["wall"]
    print(f"growth: nothing to do {idle['wall']:.1f} s; {more:.0%} more against the first run {ratio:.1%} of the wall", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--more", type=float, default=0.01)
    parser.add_argument("--ask", action="store_true")
    parser.add_argument("--keep", type=Path, help="build here, and leave it")
    parser.add_argument("--inside", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        inside(*given.inside)
        return 0
    with tempfile.TemporaryDirectory() as folder, teacher(given.ask) as url:
        place = given.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        measured(place, given.rows, given.more, url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
