"""`make bench`: datagen beside a bare SDK loop, against an independent fake teacher, in the same run.

    python tests/benchmarks/run.py [a b c d e limits ray two eight ledger memory growth curation] [--repeat 3] [--runtime local] [--rows 1000000]

a  1 s latency, 256 in flight: ideal / wall (ideal = rows / in flight x latency), our wall against the bare loop's, first request, CPU
b  no latency, one core for the client: requests a second against the bare loop's
c  faults (5 % 429, 2 % 500, 1 % reset, 0.5 % malformed) at 0.2 s: all rows accounted for, wall
d  kill -9 at half (lognormal .5 s), then again: recorded and paid again
e  again after success: requests, wall
limits  a server that enforces 3,000 requests and 1 M tokens a minute: share of the limit used, 429s
ray  a on a local Ray, its start included: ideal / wall, steady, CPU and PSS of all processes; d and e on Ray
two  no latency: requests a second of two Ray workers against one
eight  eight Ray workers under one limit that the server enforces (3,000 requests and 1 M tokens a minute): share used, 429s
ledger, memory: the figures of tests/benchmarks/ledger.py and memory.py
growth  a data set of `--rows` rows: the same command again, and with 1 % more seeds (tests/benchmarks/growth.py)
curation  precision, recall and speed of what judges rows (tests/benchmarks/curation/)
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
SPEC = """\
name: bench
seeds: {{table: seeds.jsonl}}
teachers:
  writer: {{model: {model}, base_url: '{url}', label: bench, max_tokens: 800, max_in_flight: {in_flight}{more}}}
steps:
  - {{name: text, ask: say, of: writer}}
release: {{format: text}}
"""
FAULTS = {"p429": 0.05, "p500": 0.02, "preset": 0.01, "pmalformed": 0.005, "retry_after": 1.0}


@dataclass(frozen=True)
class Bench:
    """One fake teacher, one folder of specs, and the ways to run a client against them."""

    port: int
    work: Path
    runtime: str
    rows: int
    """Of the data set that grows."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def seeds(self, rows: int) -> Path:
        path = self.work / "seeds.jsonl"
        path.write_text("".join(json.dumps({"prompt": f"Write a short explanation of topic number {n} in plain words."}) + "\n" for n in range(rows)))
        return path

    def spec(self, in_flight: int, more: str = "", model: str = "openai/gpt-4o-mini", url: str = "") -> Path:
        (self.work / "prompts").mkdir(exist_ok=True)
        (self.work / "prompts" / "say.md.j2").write_text("{{ prompt }}\n")
        path = self.work / "bench.yaml"
        path.write_text(SPEC.format(model=model, url=url or self.url, in_flight=in_flight, more=more))
        return path

    def config(self, **options: Any) -> None:
        clean = {"latency": "fixed:0", "p429": 0.0, "p500": 0.0, "preset": 0.0, "pmalformed": 0.0, "phang": 0.0}
        self.post("/config", json.dumps(clean | options).encode())

    def post(self, path: str, body: bytes = b"") -> None:
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, method="POST"))

    def stats(self) -> dict[str, Any]:
        return json.load(urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats"))

    def ours(self, out: Path, spec: Path | None = None) -> list[str]:
        return ["-m", "datagen.cli", "build", "--spec", str(spec or self.work / "bench.yaml"), "--out", str(out), "--runtime", self.runtime]

    def bare(self, in_flight: int) -> list[str]:
        return [str(HERE / "bare.py"), self.url, str(self.work / "seeds.jsonl"), str(in_flight), str(self.work / "bare.jsonl")]


@dataclass(frozen=True)
class Run:
    """One whole client process, as it and the server saw it. Times in seconds."""

    wall: float
    published: float
    """Until the shards stood (report and exit come after); the wall where there are none."""
    cpu: float
    first: float
    """From the start of the process to its first request."""
    span: float
    """First arrival to last answer, at the server."""
    stats: dict[str, Any]
    code: int
    said: str


def run(
    bench: Bench,
    arguments: list[str],
    out: Path | None = None,
    pinned: bool = False,
    allow: tuple[int, ...] = (0,),
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run a client to its end. `pinned`: on one core of its own."""
    bench.post("/reset")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, wall_clock = time.monotonic(), time.time()
    command = [*(["taskset", "-c", "0"] if pinned else []), sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in allow:
        raise SystemExit(f"{' '.join(arguments[:3])} failed ({done.returncode}): {done.stderr[-800:]}")
    stats = bench.stats()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    manifest = out / "manifest.json" if out else None
    published = manifest.stat().st_mtime - wall_clock if manifest and manifest.exists() else wall
    first = stats["first"] - wall_clock if stats["first"] else 0.0
    span = stats["last_done"] - stats["first"] if stats["first"] and stats["last_done"] else 0.0
    return Run(wall, published, cpu, first, span, stats, done.returncode, done.stdout + done.stderr)


def scenario_a(bench: Bench, repeat: int, rows: int = 5120, in_flight: int = 256) -> None:
    bench.seeds(rows)
    bench.spec(in_flight)
    bench.config(latency="fixed:1")
    ideal, shares = rows / in_flight, []
    for number in range(repeat):
        out = bench.work / f"a{number}"
        bare, ours = run(bench, bench.bare(in_flight)), run(bench, bench.ours(out), out)
        shares.append(bare.wall / ours.published)
        for name, each in (("bare post", bare), ("datagen", ours)):
            print(
                f"a {name:<10} ideal/wall {ideal / each.published:.3f} (whole process {ideal / each.wall:.3f}), steady {ideal / each.span:.3f}, "
                f"first request {each.first:.2f} s, CPU {each.cpu / rows * 1000:.2f} s per 1,000, paid twice {each.stats['duplicates']}",
                flush=True,
            )
        print(f"a share of the bare loop: {shares[-1]:.3f}", flush=True)
    print(f"a median share of the bare loop: {statistics.median(shares):.3f}", flush=True)


def scenario_b(bench: Bench, repeat: int, rows: int = 5120, in_flight: int = 256) -> None:
    bench.seeds(rows)
    bench.spec(in_flight)
    bench.config()
    shares = []
    for number in range(repeat):
        bare = run(bench, bench.bare(in_flight), pinned=True)
        ours = run(bench, bench.ours(bench.work / f"b{number}"), pinned=True)
        shares.append(bare.span / ours.span)
        print(f"b bare post {rows / bare.span:,.0f} requests/s, datagen {rows / ours.span:,.0f}: share {shares[-1]:.3f}", flush=True)
    print(f"b median share of the bare loop: {statistics.median(shares):.3f}", flush=True)


def scenario_c(bench: Bench, repeat: int, rows: int = 2048, in_flight: int = 256) -> None:
    bench.seeds(rows)
    bench.spec(in_flight)
    for number in range(repeat):
        bench.config(latency="fixed:0.2", seed=number, **FAULTS)
        out = bench.work / f"c{number}"
        ours = run(bench, bench.ours(out), out)
        kept = json.loads((out / "manifest.json").read_text())["releases"][-1]["rows"]
        print(
            f"c {kept:,} of {rows:,} rows, wall {ours.wall:.1f} s, requests {ours.stats['total']:,}, paid twice {ours.stats['duplicates']} "
            f"(malformed {ours.stats['malformed']})",
            flush=True,
        )


def scenario_d(bench: Bench, repeat: int, rows: int = 2048, in_flight: int = 256) -> None:
    from killing import recorded_keys

    bench.seeds(rows)
    bench.spec(in_flight)
    for number in range(repeat):
        bench.config(latency="lognormal:0.5,0.4", seed=number)
        bench.post("/reset")
        out = bench.work / f"d{number}"
        process = subprocess.Popen([sys.executable, *bench.ours(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        while bench.stats()["ok"] < rows // 2:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.5)  # what was in flight at the server ends there
        before, recorded = bench.stats(), len(recorded_keys(out / "ledger"))
        done = subprocess.run([sys.executable, *bench.ours(out)], capture_output=True, text=True)
        after = bench.stats()
        sent = after["total"] - before["total"]
        again = sent - (rows - recorded)  # every recorded one that was asked again would be one more
        print(
            f"d recorded at the kill {recorded:,}, then asked {sent:,}: recorded and paid again {again}; paid twice {after['duplicates']}, "
            f"of which delivered before {after['dup_after_delivery']}; exit {done.returncode}",
            flush=True,
        )


def scenario_e(bench: Bench, repeat: int, rows: int = 5120, in_flight: int = 256) -> None:
    bench.seeds(rows)
    bench.spec(in_flight)
    bench.config()
    run(bench, bench.ours(bench.work / "e"))
    for _ in range(repeat):
        again = run(bench, bench.ours(bench.work / "e"))
        print(f"e again after success: {again.stats['total']} requests, {again.wall:.2f} s", flush=True)


def scenario_limits(bench: Bench, repeat: int, seconds: int = 60, more: Sequence[str] = ()) -> None:
    """The built-in simulator enforces both limits, and charges max_tokens on admission; its statement tells what it admitted and refused.

    Its answers are cut at 330 tokens, so that the tokens bind: every row is dropped as truncated, and the build ends with exit code 12.
    """
    limits = "rehearsal: {latency: '1', limits: {requests_per_minute: 3000, tokens_per_minute: 1000000}}\n"
    limits += "guard: {error_share: {refused: 1.0}, pilot: 0}\n"
    for _ in range(repeat):
        bench.seeds(50 * seconds)
        spec = bench.spec(256, model="simulator/any")
        spec.write_text(spec.read_text() + limits)
        with simulator(spec) as address:
            limited = ", requests_per_minute: 3000, tokens_per_minute: 1000000"
            text = bench.spec(256, limited, "simulator/any", address)
            text.write_text(text.read_text().replace("max_tokens: 800", "max_tokens: 330") + limits)
            began = time.monotonic()
            out = Path(tempfile.mkdtemp(dir=bench.work))
            done = subprocess.run([sys.executable, *bench.ours(out, text), *more], capture_output=True, text=True, check=False)
            assert done.returncode == 12, done.stderr
            wall = time.monotonic() - began
            totals = json.loads(urllib.request.urlopen(f"{address}/statement").readline())["totals"]
            print(f"limits: wall {wall:.1f} s, server says {json.dumps(totals.get('limits', totals))}", flush=True)


def scenario_ray(bench: Bench, repeat: int, rows: int = 5120, in_flight: int = 256) -> None:
    from tree import Tree

    there = replace(bench, runtime="ray")
    there.seeds(rows)
    there.spec(in_flight)
    there.config(latency="fixed:1")
    ideal = rows / in_flight
    for number in range(repeat):
        out = there.work / f"ray{number}"
        bare = run(there, there.bare(in_flight))
        print(f"ray bare post (no Ray) steady {ideal / bare.span:.3f}, CPU {bare.cpu / rows * 1000:.2f} s per 1,000", flush=True)
        with Tree() as tree:
            ours = run(there, [*there.ours(out), "--workers", "2"], out, environment=tree.environment)
        print(
            f"ray datagen ideal/wall {ideal / ours.wall:.3f} (to the shards {ideal / ours.published:.3f}), steady {ideal / ours.span:.3f}, "
            f"first request {ours.first:.2f} s, "
            f"CPU {tree.cpu / rows * 1000:.2f} s per 1,000, PSS {tree.peak / 1e6:,.0f} MB, paid twice {ours.stats['duplicates']}",
            flush=True,
        )
    scenario_d(there, repeat)
    scenario_e(there, repeat)


def scenario_two(bench: Bench, repeat: int, rows: int = 10_240, in_flight: int = 256) -> None:
    """The server has one core of two, so that both workers share what is left with it: `taskset` is not used for the client."""
    there = replace(bench, runtime="ray")
    there.seeds(rows)
    there.spec(in_flight)
    there.config()
    for number in range(repeat):
        one = run(there, [*there.ours(there.work / f"one{number}"), "--workers", "1"])
        two = run(there, [*there.ours(there.work / f"two{number}"), "--workers", "2"])
        print(f"two one worker {rows / one.span:,.0f} requests/s, two {rows / two.span:,.0f}: {one.span / two.span:.2f} times", flush=True)


def scenario_eight(bench: Bench, repeat: int) -> None:
    scenario_limits(replace(bench, runtime="ray"), repeat, more=["--workers", "8"])


@contextmanager
def simulator(spec: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "datagen.cli", "simulator", "--port", "0", "--spec", str(spec)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        yield next(word for word in process.stdout.readline().split() if word.startswith("http://"))
    finally:
        process.terminate()
        process.wait()


def elsewhere(script: str) -> Callable[[Bench, int], None]:
    def scenario(bench: Bench, repeat: int) -> None:
        more = ["--rows", str(bench.rows)] if script == "growth.py" else []
        subprocess.run([sys.executable, str(HERE / script), *more], check=True)

    return scenario


def scenario_curation(bench: Bench, repeat: int) -> None:
    """Every figure of curation, a script each."""
    for script in sorted((HERE / "curation").glob("*.py")):
        if "def main" in script.read_text():
            print(f"-- {script.stem}", flush=True)
            subprocess.run([sys.executable, str(script)], check=True)


SCENARIOS: dict[str, Callable[[Bench, int], None]] = {
    "a": scenario_a,
    "b": scenario_b,
    "c": scenario_c,
    "d": scenario_d,
    "e": scenario_e,
    "limits": scenario_limits,
    "ray": scenario_ray,
    "two": scenario_two,
    "eight": scenario_eight,
    "ledger": elsewhere("ledger.py"),
    "memory": elsewhere("memory.py"),
    "growth": elsewhere("growth.py"),
    "curation": scenario_curation,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], help="default: all")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--runtime", default="local", choices=["local", "ray"])
    parser.add_argument("--rows", type=int, default=100_000, help="of growth")
    given = parser.parse_args()
    teacher = Path(os.environ.get("DATAGEN_SHARED", "../shared")) / "bench" / "fake_teacher.py"
    if not teacher.exists():
        print(f"no fake teacher at {teacher}: set DATAGEN_SHARED")
        return 4
    with tempfile.TemporaryDirectory() as folder:
        pinned = ["taskset", "-c", "1"] if (os.cpu_count() or 1) > 1 else []
        server = subprocess.Popen([*pinned, sys.executable, str(teacher)], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout
            bench = Bench(int(server.stdout.readline().split()[1]), Path(folder), given.runtime, given.rows)
            for name in given.scenarios or SCENARIOS:
                SCENARIOS[name](bench, given.repeat)
        finally:
            server.terminate()
            server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
