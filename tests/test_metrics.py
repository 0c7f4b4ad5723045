"""Metrics: the same numbers as the ledger, the catalogue and the manifests, under the same names on one machine and on Ray."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from killing import DATAGEN
from scraping import Scrape, dollars_in, faults_in, heard, requests_in, rows_in, scraped, tokens_in
from teaching import project, teacher
from test_governor import Clock, ended, need

from datagen.asking.counts import Counts
from datagen.asking.limits.governor import Governor
from datagen.asking.limits.lanes import Ended, Limits
from datagen.asking.limits.use import Use
from datagen.asking.prices import Purse
from datagen.build import Options, build
from datagen.errors import SetupError
from datagen.records import Spend, Usage
from datagen.running.telling.metrics import Metrics, served
from datagen.runtime.measures import METRICS, PREFIX, Measures, add_up

SPEC = """\
name: watched
seeds: {{problems: {{families: [linear_equation, ratio_sharing], count: {count}, seed: 5}}}}
teachers:
  writer: {{model: openai/own, {mode} base_url: 'http://127.0.0.1:9/v1', label: t, max_tokens: 1200, price: {{input: 1, output: 10}}{limits}}}
  grader: {{model: openai/other, base_url: 'http://127.0.0.1:9/v1', label: t, max_tokens: 100, price: {{input: 1, output: 10}}}}
steps:
  - {{name: solution, ask: rationale/solve, of: writer, vary: {{style: [short, long]}}}}
  - {{name: grade, ask: t/grade, of: grader, returns: {{score: {{int: [1, 5]}}}}}}
  - {{name: long, filter: [{{length: {{on: solution, min_words: 60}}}}]}}
  - {{name: unique, dedup: {{on: [question, solution]}}}}
release: {{format: rationale, columns: {{rationale: solution}}, budget: {{usd: 5}}, allow_unanswered: 1.0}}
guard: {{pilot: {pilot}, error_share: 1.0}}
rehearsal: {rehearsal}
"""


def spec_at(folder: Path, count: int = 60, rehearsal: str = "{}", mode: str = "", limits: str = "", pilot: int = 0) -> Path:
    prompts = folder / "prompts" / "t"
    prompts.mkdir(parents=True, exist_ok=True)
    (prompts / "grade.md.j2").write_text("Grade this solution from 1 to 5.\n\n{{ solution }}")
    path = folder / "watched.yaml"
    path.write_text(SPEC.format(count=count, rehearsal=rehearsal, mode=mode, limits=limits, pilot=pilot))
    return path


def watched(spec: Path, out: Path, **options: Any) -> list[Scrape]:
    """Build with a port, and scrape whenever the terminal would be drawn: the last time, all has been counted."""
    scrapes: list[Scrape] = []
    with heard() as records:

        def look(_: object) -> None:
            port = next(record.fields["port"] for record in records if record.event == "metrics_served")  # type: ignore[attr-defined]
            scrapes.append(scraped(f"http://127.0.0.1:{port}/metrics"))

        build(Options(str(spec), out, metrics_port=0, **options), look)
    return scrapes


def of(scrape: Scrape, name: str, build: str = "watched/simulated") -> dict[tuple[str, ...], float]:
    """One name's numbers, without the label that all share."""
    values = scrape.get(name, {})
    assert {labels[0] for labels in values} <= {build}
    return {labels[1:]: value for labels, value in values.items()}


def total(values: dict[tuple[str, ...], float], *places: int) -> dict[tuple[str, ...], float]:
    """Summed over all labels but those at `places`."""
    found: Counter[tuple[str, ...]] = Counter()
    for labels, value in values.items():
        found[tuple(labels[place] for place in places)] += value  # type: ignore[assignment]
    return {labels: value for labels, value in found.items() if value}


def check_against_books(last: Scrape, out: Path) -> None:
    """What was scraped at the end against the build's own ledger, catalogue and manifests."""
    assert of(last, "datagen_requests_total") == requests_in(out)
    assert of(last, "datagen_tokens_total") == tokens_in(out)
    assert total(of(last, "datagen_dollars_total"), 0, 2) == pytest.approx(dollars_in(out / "ledger"))
    assert total(of(last, "datagen_faults_total"), 2) == {(kind,): number for kind, number in faults_in(out / "ledger").items()}
    assert {labels: number for labels, number in of(last, "datagen_rows_total").items() if number} == {
        labels: number for labels, number in rows_in(out).items() if number
    }


def test_a_scrape_says_what_the_books_say(tmp_path: Path) -> None:
    """With faults of the server, a limit that makes requests wait, and a pilot, whose rows are no rows of the data set."""
    faults = "{latency: '0.05', faults: {rate_limited: 0.1, error: 0.05}}"
    spec, out = spec_at(tmp_path, 60, faults, limits=", requests_per_minute: 300", pilot=15), tmp_path / "out"
    scrapes = watched(spec, out, teacher="simulator")
    last = scrapes[-1]
    check_against_books(last, out)
    assert set(total(of(last, "datagen_faults_total"), 2)) == {("rate_limited",), ("transient",)}
    assert of(last, "datagen_in_flight") == {("writer",): 0, ("grader",): 0}
    assert of(last, "datagen_queue_length") == {("writer", "solution"): 0, ("grader", "grade"): 0}
    limits = of(last, "datagen_limit_per_minute")
    assert limits["writer", "requests"] == pytest.approx(300), "as the spec says"
    assert limits["grader", "tokens"] > 300, "as the server's headers say"
    money = of(last, "datagen_budget_dollars")
    assert money["cap",] == 5 and money["reserved",] == 0 and money["spent",] == pytest.approx(sum(dollars_in(out / "ledger").values()))
    assert list(of(last, "datagen_build_info").values()) == [1] and next(iter(of(last, "datagen_build_info")))[0] == "1.0"
    for before, after in itertools.pairwise(scrapes):
        for name in (name for name, metric in METRICS.items() if metric.kind == "counter"):
            assert all(after[name].get(labels, 0) >= value for labels, value in before.get(name, {}).items()), name
    waited = [of(scrape, "datagen_queue_length").get(("writer", "solution"), 0) for scrape in scrapes]
    aged = [of(scrape, "datagen_queue_age_seconds").get(("writer", "solution"), 0) for scrape in scrapes]
    assert max(waited) > 1 and max(aged) > 0
    assert max(of(scrape, "datagen_limit_use_ratio").get(("writer", "requests"), 0) for scrape in scrapes) > 0.5


def test_what_is_replayed_is_not_counted_as_asked(tmp_path: Path) -> None:
    spec, out = spec_at(tmp_path), tmp_path / "out"
    first = watched(spec, out, teacher="simulator")[-1]
    shutil.rmtree(out / "steps")
    again = watched(spec, out, teacher="simulator")[-1]
    assert not of(again, "datagen_requests_total") and not of(again, "datagen_dollars_total") and not of(again, "datagen_tokens_total")
    assert total(of(again, "datagen_replays_total"), 0, 1) == total(of(first, "datagen_requests_total"), 0, 1)
    assert of(again, "datagen_rows_total") == of(first, "datagen_rows_total")
    assert not of(watched(spec, out, teacher="simulator")[-1], "datagen_rows_total"), "nothing was made"


def test_requests_end_as_their_step_reads_them(tmp_path: Path) -> None:
    """A malformed answer that a second ask mended is one malformed request and one answered one."""

    def say(prompt: str) -> str | dict[str, Any]:
        number = int(re.findall(r"about t(\d+)", prompt)[0]) if "about t" in prompt else -1
        if number == -1:
            return {"title": "mended"}
        return "no object at all" if number % 4 == 1 else "no" if number % 4 == 2 else {"title": f"t{number}"}

    seeds = "{grid: {topic: [" + ", ".join(f"t{number}" for number in range(20)) + "]}}"
    more = "guard: {error_share: 1.0}\nrelease: {format: text, columns: {text: title}, allow_unanswered: 1.0}"
    with teacher(say) as taught:
        spec = project(
            tmp_path, "  - {name: head, ask: t/head, of: w, returns: {title: str}}", {"head": "about {{ topic }}"}, seeds, more, taught.url
        )
        scrape = watched(spec, tmp_path / "out")[-1]
    ends = of(scrape, "datagen_requests_total", "tiny")
    assert ends == requests_in(tmp_path / "out") == {("w", "head", "malformed"): 10, ("w", "head", "answered"): 20}
    assert of(scrape, "datagen_rows_total", "tiny") == rows_in(tmp_path / "out")


def test_paid_batches_are_counted_as_they_come_back(tmp_path: Path) -> None:
    """By teacher alone: one job holds what several steps ask."""
    spec = spec_at(tmp_path, 40, "{batches: {seconds: 0.3, errors: 0.1}}", mode="mode: batch, batch: {poll: 0.1, requests: 16},")
    last = watched(spec, tmp_path / "out", teacher="simulator")[-1]
    asked = total(requests_in(tmp_path / "out"), 0, 2)
    assert total(of(last, "datagen_requests_total"), 0, 2) == asked and asked["writer", "answered"] == 40
    assert of(last, "datagen_requests_total")["writer", "", "answered"] == 40
    assert total(of(last, "datagen_tokens_total"), 0, 2) == total(tokens_in(tmp_path / "out"), 0, 2)
    assert total(of(last, "datagen_dollars_total"), 0, 2) == pytest.approx(dollars_in(tmp_path / "out" / "ledger"))
    assert total(of(last, "datagen_faults_total"), 2) == {(kind,): number for kind, number in faults_in(tmp_path / "out" / "ledger").items()}
    assert of(last, "datagen_batch_requests") == {("writer",): 0}
    assert of(last, "datagen_rows_total") == {labels: number for labels, number in rows_in(tmp_path / "out").items() if number}


def test_a_port_that_is_taken_is_said_before_anything_is_paid(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=rf"metrics at 127\.0\.0\.1:{port}: .*--metrics-port"):
            build(Options(str(spec_at(tmp_path)), tmp_path / "out", teacher="simulator", metrics_port=port), lambda _: None)
    assert not (tmp_path / "out").exists()


def test_the_port_is_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with heard() as records, served("127.0.0.1", 0):
            url = f"http://127.0.0.1:{records[0].fields['port']}/metrics"  # type: ignore[attr-defined]
            assert scraped(url) == {}
        with pytest.raises(OSError, match="refused"):
            scraped(url)


# --- numbers on their way ---


def test_the_use_of_a_limit_is_that_of_the_last_minute() -> None:
    use, now = Use(2, 0.0), 0.0
    for _ in range(120):  # a request a second
        now += 1.0
        use.draw([1.0, 10.0])
        shares = use.shares([120.0, None], now)
    assert shares == [pytest.approx(0.5), None]
    use.draw([1.0, 10.0], -1.0)  # expected, and put right
    for _ in range(90):
        now += 1.0
        shares = use.shares([120.0, 60.0], now)
    assert shares == [0.0, 0.0]


def test_the_governor_tells_of_limits_trouble_and_money() -> None:
    clock = Clock()
    books = Governor({"t": Limits(8, requests_per_minute=600), "u": Limits(4)}, Purse(10**10), {"t": Spend(10**9, 5, 1)}, clock=clock)
    wanted = [need() for _ in range(4)]
    assert books.lease("t", wanted).admitted == (0, 1, 2, 3)
    clock.now += 1.0
    told = books.measures()
    assert told["datagen_in_flight"] == {("t",): 4, ("u",): 0} and told["datagen_in_flight_limit"] == {("t",): 8, ("u",): 4}
    assert told["datagen_limit_per_minute"] == {("t", "requests"): pytest.approx(600)}
    assert told["datagen_limit_use_ratio"] == {("t", "requests"): pytest.approx(0.4)}
    assert told["datagen_budget_dollars"]["spent",] == 1.0 and told["datagen_budget_dollars"]["cap",] == 10.0
    books.settle("t", [ended(each) for each in wanted])
    for _ in range(8):
        one = need()
        books.lease("u", [one])
        books.settle("u", [Ended(one, Spend(), "transient")])
    told = books.measures()
    assert told["datagen_teacher_up"] == {("t",): 1, ("u",): 0} and told["datagen_outages_total"] == {("t",): 0, ("u",): 1}


def test_a_queue_is_as_old_as_its_oldest_request() -> None:
    clock = Clock()
    counts = Counts(lambda: clock.now)
    counts.waits("t", "s", 1)
    clock.now += 2
    counts.waits("t", "s", 2)
    clock.now += 3
    assert counts.measures()["datagen_queue_age_seconds"] == {("t", "s"): 5} and counts.measures()["datagen_queue_length"] == {("t", "s"): 2}
    counts.goes("t", "s", 1)
    assert counts.measures()["datagen_queue_age_seconds"] == {("t", "s"): 3}
    older = {"datagen_queue_age_seconds": {("t", "s"): 7.0}, "datagen_queue_length": {("t", "s"): 1.0}}
    both = add_up([counts.measures(), older])
    assert both["datagen_queue_age_seconds"] == {("t", "s"): 7} and both["datagen_queue_length"] == {("t", "s"): 2}


class _Mortal:
    """A runtime of which one worker dies between two looks, and is replaced."""

    def __init__(self) -> None:
        self.books = Governor({"t": Limits(4)}, Purse(), {})
        self.workers: dict[str, Counts] = {"a": Counts(), "b": Counts()}

    async def measures(self) -> dict[str, Measures]:
        return {name: counts.measures() for name, counts in self.workers.items()}

    async def shared(self, method: str) -> Any:
        return getattr(self.books, method)()


def test_what_a_dead_worker_counted_stays_counted(tmp_path: Path) -> None:
    import asyncio

    from datagen.build import planned
    from datagen.running.stretch import Crew
    from datagen.spec.load import load_spec

    spec = spec_at(tmp_path)
    runtime, seen = _Mortal(), []
    with planned(load_spec(str(spec), None), Options(str(spec), tmp_path / "out")) as (plan, _):
        crew = Crew(plan, tmp_path, runtime, None)  # type: ignore[arg-type]
        metrics = Metrics(crew, "1.0", [lambda _, measures: seen.append(measures)])
    for counts in runtime.workers.values():
        counts.answered("t", "s", Usage(10, 5), 10**9)
        counts.waits("t", "s", 7)
    asyncio.run(metrics.tick())
    runtime.workers = {"a": runtime.workers["a"], "c": Counts()}
    runtime.workers["c"].answered("t", "s", Usage(1, 1), 10**9)
    asyncio.run(metrics.tick())
    asyncio.run(metrics.tick())
    assert [each["datagen_tokens_total"]["t", "s", "input"] for each in seen] == [20, 21, 21]
    assert [each["datagen_dollars_total"]["t", "s", "answered"] for each in seen] == [2, 3, 3]
    assert [each["datagen_queue_length"]["t", "s"] for each in seen] == [2, 1, 1]


# --- names ---


def test_the_readme_lists_every_name_as_it_is() -> None:
    text = (Path(__file__).parent.parent / "docs" / "operating.md").read_text()
    listed = re.findall(r"^\| `(datagen_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    assert listed == [
        (name, metric.kind, ", ".join(f"`{label}`" for label in metric.labels) or "-", metric.about) for name, metric in METRICS.items()
    ]


def test_names_follow_the_rules_of_prometheus() -> None:
    for name, metric in METRICS.items():
        assert re.fullmatch(r"datagen_[a-z_]+", name) and name.endswith("_total") == (metric.kind == "counter"), name
        assert len(set(metric.labels)) == len(metric.labels) and "build" not in metric.labels


# --- on Ray ---


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], int]]:
    """A Ray of this test's own in a process group of its own: (environment that leads to it, port of its metrics)."""
    folder = Path("/tmp") / f"dg-ray-{os.getpid()}"  # a socket's path must be short
    gcs, metrics = _free(), _free()
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": f"127.0.0.1:{gcs}"}
    start = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--include-dashboard=false", "--num-cpus=2"]
    where = ["--node-ip-address=127.0.0.1", f"--port={gcs}", f"--temp-dir={folder}", f"--metrics-export-port={metrics}"]
    outside = {name: value for name, value in environment.items() if name != "RAY_ADDRESS"}
    process = subprocess.Popen([*start, *where], env=outside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        assert process.stdout
        said = []
        while "Ray runtime started" not in (line := process.stdout.readline()):
            said.append(line)
            assert line, "".join(said)
        yield environment, metrics
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.soak
@pytest.mark.ray
def test_ray_has_the_same_names_and_numbers(tmp_path: Path, head: tuple[dict[str, str], int]) -> None:
    """A driver's last numbers are at its node's export port when it has left."""
    environment, port = head
    spec, out = spec_at(tmp_path, 40, "{faults: {rate_limited: 0.05}}", limits=", requests_per_minute: 6000"), tmp_path / "out"
    command = [*DATAGEN, "build", "--spec", str(spec), "--out", str(out), "--teacher", "simulator", "--workers", "2", "--log", "-"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and '"runtime": "ray"' in done.stderr, done.stderr
    assert '"metrics_missed"' not in done.stderr
    last = scraped(f"http://127.0.0.1:{port}/metrics", PREFIX)
    check_against_books(last, out)
    local = watched(spec, tmp_path / "local", teacher="simulator")[-1]
    shown = {name: {labels for labels in values if values[labels]} for name, values in last.items() if METRICS[name].kind == "counter"}
    for name in ("datagen_requests_total", "datagen_tokens_total", "datagen_dollars_total", "datagen_rows_total"):
        assert shown[name] == {labels for labels, value in local[name].items() if value}, name
    assert {name for name in local if name in METRICS and METRICS[name].kind == "gauge"} <= set(last)
