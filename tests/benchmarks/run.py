"""`make bench`: datagen beside a bare SDK loop, against an independent fake teacher, in the same run.

    python tests/benchmarks/run.py [--rows 5120] [--latency 1] [--in-flight 256] [--repeat 3] [--runtime local]

Prints one line a run and the ratios: ideal/wall (ideal = rows / in flight x latency), and our wall against the bare loop's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
SPEC = """\
name: bench
seeds: {{table: seeds.jsonl}}
teachers:
  writer: {{model: openai/gpt-4o-mini, base_url: '{url}', label: bench, max_tokens: 800, max_in_flight: {in_flight}}}
steps:
  - {{name: text, ask: say, of: writer}}
release: {{format: text}}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5120)
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--runtime", default="local", choices=["local", "ray"])
    given = parser.parse_args()
    teacher = Path(os.environ.get("DATAGEN_SHARED", "../shared")) / "bench" / "fake_teacher.py"
    if not teacher.exists():
        print(f"no fake teacher at {teacher}: set DATAGEN_SHARED")
        return 4
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([sys.executable, str(teacher), "--latency", f"fixed:{given.latency}"], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout
            report(given, int(server.stdout.readline().split()[1]), Path(folder))
        finally:
            server.terminate()
            server.wait()
    return 0


def report(given: argparse.Namespace, port: int, work: Path) -> None:
    url = f"http://127.0.0.1:{port}/v1"
    (work / "prompts").mkdir()
    (work / "prompts" / "say.md.j2").write_text("{{ prompt }}\n")
    prompts = [{"prompt": f"Write a short explanation of topic number {number} in plain words."} for number in range(given.rows)]
    (work / "seeds.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    (work / "bench.yaml").write_text(SPEC.format(url=url, in_flight=given.in_flight))
    ideal = given.rows / given.in_flight * given.latency
    ratios = []
    for number in range(given.repeat):
        out = work / f"out{number}"
        bare = run("bare loop", [str(HERE / "bare.py"), url, str(work / "seeds.jsonl"), str(given.in_flight), str(work / "bare.jsonl")], port, ideal)
        command = ["-m", "datagen.cli", "build", "--spec", str(work / "bench.yaml"), "--out", str(out), "--runtime", given.runtime]
        ours = run(f"datagen {given.runtime}", command, port, ideal, out)
        run("datagen again", command, port, 0.0)
        ratios.append(bare / ours)
        print(f"share of the bare loop: {bare / ours:.3f}", flush=True)
    print(f"median share of the bare loop: {statistics.median(ratios):.3f}")


def run(name: str, arguments: list[str], port: int, ideal: float, out: Path | None = None) -> float:
    """One whole process; returns seconds until it ended, or until the shards in `out` were published (report and exit come after)."""
    post(port, "/reset")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, wall_clock = time.monotonic(), time.time()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    wall = whole = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{name} failed ({done.returncode}): {done.stderr[-800:]}")
    stats = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/stats"))
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    first = f"first request {stats['first'] - wall_clock:.2f} s, " if stats["first"] else ""
    steady = f"steady {ideal / (stats['last_done'] - stats['first']):.3f}, " if ideal and stats["first"] else ""
    share = f"ideal/wall {ideal / wall:.3f}, " if ideal else ""
    if out is not None:
        published = (out / "manifest.json").stat().st_mtime - wall_clock
        share += f"published after {published:.2f} s ({ideal / published:.3f}), "
        wall = published
    print(
        f"{name:<16} wall {whole:6.2f} s, {share}{steady}{first}cpu {cpu:.2f} s, requests {stats['total']}, paid twice {stats['duplicates']}",
        flush=True,
    )
    return wall


def post(port: int, path: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=b"", method="POST"))


if __name__ == "__main__":
    sys.exit(main())
