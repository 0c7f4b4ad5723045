"""The whole story on one page: a spec -> a plan -> the stretches -> a release."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

from datagen.asking.ledger.book import Account, Ledger, compact
from datagen.asking.ledger.segments import lock, segments
from datagen.errors import BudgetReached, DatagenError, Interrupted, LowYield, OutputError, SetupError, TeacherStopped, TooManyFailures, Unanswered
from datagen.plan.model import Plan, Sown
from datagen.plan.resolve import Rehearsing, api_key, resolve
from datagen.plan.sow import sow
from datagen.records import NANO, Outcome
from datagen.running import pilot
from datagen.running.guard import guarded
from datagen.running.metrics import Metrics, served
from datagen.running.money import governing, orphans, rounds_of
from datagen.running.replay import replay
from datagen.running.show import Show, Watch, ticking
from datagen.running.story import Story, telling
from datagen.running.stretch import Crew, carry_out
from datagen.runtime.base import Export, Runtime
from datagen.runtime.local import LocalRuntime
from datagen.runtime.log import event, logging_to
from datagen.spec.load import Loaded, load_spec
from datagen.steps.cohort import Season, claim, season
from datagen.steps.part import PartWorker

DRIVER = 999
"""Number of the driver's own ledger segment, where the answers of paid batches go."""


@dataclass(frozen=True)
class Options:
    """What was asked for at the door."""

    spec: str
    out: Path
    limit: int | None = None
    budget: float | None = None
    teacher: str | None = None
    runtime: str | None = None
    workers: int = 2
    library: Path | None = None
    ledger: Path | None = None
    yes: bool = False
    wait: bool = True
    """Wait for paid batches to come back."""
    again: str | None = None
    """`rejected`: ask anew what was rejected in earlier runs."""
    metrics_port: int | None = None
    """Serve metrics to Prometheus here; 0: any free port."""
    metrics_host: str = "127.0.0.1"
    log: str | None = None
    """A file to which each event is appended as a line of JSON; `-`: stderr."""


@dataclass
class Summary:
    """What a build made."""

    out: Path
    version: str
    rows: int
    total: int
    """Rows of all releases of this major version."""
    unanswered: int
    asked: int
    spent: float
    simulated: bool
    example: str = ""
    """The id of one released row, to look at."""
    notes: list[str] = field(default_factory=list)


def build(options: Options, watch: Watch, loaded: Loaded | None = None) -> Summary:
    """Make or continue a release, of the spec as `loaded` where it is. Raises a DatagenError whose message says what was saved and how to go on."""
    folder = options.ledger or options.out / "ledger"
    with logging_to(options.log), telling(folder) as story, served(options.metrics_host, options.metrics_port) as exports:
        loaded = loaded or load_spec(options.spec, options.library)
        made = _built(options, watch, loaded, folder, story, exports)
        told = {"release": made.version, "rows": made.rows, "total": made.total, "unanswered": made.unanswered, "asked": made.asked}
        story.ends(functools.partial(require_answers, made, loaded.spec.release.allow_unanswered), told)
        return made


def _built(options: Options, watch: Watch, loaded: Loaded, folder: Path, story: Story, exports: Sequence[Export]) -> Summary:
    with planned(loaded, options) as (plan, sown):
        _require_keys(plan, sown, folder, options.again is not None)
        this = season(plan, sown, options.out, folder, options.yes)
        _make(options.out)
        with lock(folder), _advising(folder), guarded(plan, options.out / "steps", options.again is not None):
            compact(folder)  # what a killed build left is read once, not by every worker
            claim(plan, this, sown, options.out)
            sown.lines.close()
            cap, workers = options.budget or plan.spec.release.budget.usd, options.workers if _chosen(options) == "ray" else 1
            told: dict[str, Any] = {"seeds": this.seeds, "runtime": _chosen(options), "workers": workers, "simulated": plan.simulated}
            story.begins(build_name(plan, this), this.label, cap, **told)
            return asyncio.run(_run(plan, this, options, folder, watch, exports))


def _require_keys(plan: Plan, sown: Sown, folder: Path, again: bool) -> None:
    """Raises SetupError where a teacher has no key, unless the ledger holds every answer."""
    try:
        for chair in plan.chairs.values():
            api_key(chair)
    except SetupError:
        counts = replay(plan, sown, folder)[0].values() if segments(folder) else []
        if again or not counts or any(count.to_ask for count in counts):
            raise


@contextlib.contextmanager
def planned(loaded: Loaded, options: Options) -> Iterator[tuple[Plan, Sown]]:
    """The plan and the seeds; where a simulated teacher is needed, it runs for the length of the block."""
    sown = sow(loaded, options.limit, options.out)
    run = len(segments(options.ledger or options.out / "ledger"))
    with contextlib.closing(sown.lines), _simulator(loaded, options.teacher == "simulator", run) as rehearsing:
        yield resolve(loaded, set(sown.fields), rehearsing, options.teacher == "simulator"), sown


@contextlib.contextmanager
def _simulator(loaded: Loaded, everything: bool, run: int) -> Iterator[Rehearsing | None]:
    """`run` grows from run to run: the next one meets new luck with the server's faults, so that running again can heal."""
    simulated = [teacher for teacher in loaded.spec.teachers.values() if everything or teacher.model.startswith("simulator/")]
    if not simulated:
        yield None
        return
    from datagen.rehearsal.companion import companion, label_at  # what a paid build never loads
    from datagen.rehearsal.settings import checked

    checked(loaded.spec.rehearsal)

    standing = next((teacher.base_url for teacher in simulated if teacher.model.startswith("simulator/") and teacher.base_url), None)
    if standing:
        address = standing.rstrip("/").removesuffix("/v1")
        yield Rehearsing(address, label_at(address))
    else:
        with companion(loaded.spec.rehearsal, loaded.base, run) as url:
            yield Rehearsing(url, label_at(url))


async def _run(plan: Plan, this: Season, options: Options, folder: Path, watch: Watch, exports: Sequence[Export]) -> Summary:
    """Every stretch in order, every part in the air, then the release."""
    gc.freeze()  # no collection needs to walk through what is loaded while answers wait
    runtime, name = _runtime(options), build_name(plan, this)
    driver = Ledger(folder, name, DRIVER)
    rounds = rounds_of(plan, driver, runtime)
    fleeting = plan.simulated and not any(chair.simulated and chair.spec.base_url for chair in plan.chairs.values())
    crew = Crew(plan, options.out / "steps", runtime, rounds, options.wait or fleeting)
    await runtime.start(
        functools.partial(hire, plan, crew.root, folder, name, options.again is not None),
        governing(plan, options.budget, driver.accounts.get(name, {})),
    )
    warming = asyncio.ensure_future(_warm_later(runtime))
    show = Show(crew, options.budget or plan.spec.release.budget.usd, watch)
    metrics = Metrics(crew, this.label, [*exports, *([own] if (own := runtime.exporter()) else [])])
    try:
        async with _drain_on_signal(crew, show.stopping), ticking(show.draw), metrics.watched():
            if rounds:
                crew.round += await rounds.take_in()
            made, notes = await _carry_out(crew, this, show, together=isinstance(runtime, LocalRuntime))
        asked = (await runtime.status()).get("asked", 0) + (rounds.report.results if rounds else 0)
        spent, _ = await runtime.shared("money")
        notes += [*(await runtime.shared("surprises")), *orphans(plan, driver), *_not_again(plan, this, options)]
    except DatagenError as error:
        for note in (*(await runtime.shared("surprises")), *orphans(plan, driver), *(rounds.report.notes if rounds else [])):
            error.add_note(note)
        raise
    finally:
        await runtime.stop()
        if rounds:
            await rounds.close()
        driver.close()
        accounts = compact(folder).get(name, {})
        warming.cancel()
        gc.unfreeze()  # a binding that finds its objects alive at the end of the process complains aloud
    from datagen.publish import published  # loaded while answers were on their way

    publication = published(plan, this, options.out, made, _maybe(accounts))
    unanswered = sum(sum(step["unanswered"].values()) for step in publication.steps)
    summary = Summary(
        options.out, publication.version, publication.rows, publication.total, unanswered, asked, spent / NANO, plan.simulated, publication.example
    )
    summary.notes += [
        *plan.warnings,
        *(f"ledger: {torn}" for torn in dict.fromkeys([*map(str, driver.torn), *crew.torn])),
        *notes,
        *(rounds.report.notes if rounds else []),
    ]
    return summary


async def _carry_out(crew: Crew, this: Season, show: Show, together: bool) -> tuple[bool, list[str]]:
    """The pilot, then the whole; side by side where its answers reach both and nothing hangs on it. Returns (made anew, what to tell)."""
    flying = None
    if pilot.wanted(crew.plan, this.cohorts):
        alone = pilot.decides(crew.plan) or not together
        flying = asyncio.ensure_future(pilot.fly(crew, this.cohorts, show.tell if alone else lambda _: None))
        flying.add_done_callback(show.news)
        if alone:
            await flying
    try:
        made = False
        for stretch in crew.plan.stretches:
            made |= (await carry_out(crew, stretch, this.cohorts, show.tell)).made
        return made, [str(await flying)] if flying else []
    finally:
        if flying and not flying.done():
            flying.cancel()
            await asyncio.gather(flying, return_exceptions=True)


async def _warm_later(runtime: Runtime, pause: float = 0.1) -> None:
    """When the first requests are out and the event loop is at rest: then nothing waits for it. Not when nothing has to be asked."""
    while not sum((await runtime.shared("in_flight")).values()):
        await asyncio.sleep(3 * pause)
    late = pause
    while late > pause / 10:
        began = time.monotonic()
        await asyncio.sleep(pause)
        late = time.monotonic() - began - pause
    await asyncio.to_thread(_warm)


def _warm() -> None:
    """A tenth of the usual turn for each thread meanwhile: an answer that arrives must not wait its turn at every call it makes."""
    turn = sys.getswitchinterval()
    sys.setswitchinterval(turn / 10)
    try:
        from datagen.publish import warm

        warm()
    finally:
        sys.setswitchinterval(turn)


def _not_again(plan: Plan, this: Season, options: Options) -> list[str]:
    if options.again and any(cohort.released for cohort in this.cohorts) and any(step.scope == "group" for step in plan.steps):
        return ["--again asks nothing for seeds that are out in a line that votes or selects: a late answer could change released rows"]
    return []


def hire(plan: Plan, root: Path, folder: Path, name: str, again: bool, books: Any, number: int) -> PartWorker:
    """A worker with a ledger segment of its own; it runs wherever the runtime puts it."""
    return PartWorker(plan, root, Ledger(folder, name, number), books, number, again=again)


def _maybe(accounts: Mapping[str, Account]) -> int:
    """Nano-dollars at worst for attempts that brought no answer and may have been billed; what is reserved for batches is not over yet."""
    return sum((account.committed - account.answered - account.standing).cost for account in accounts.values())


def build_name(plan: Plan, this: Season) -> str:
    """What money is counted under: one release of one spec, over all runs that lead to it."""
    return f"{plan.name}/{this.label}{'/simulated' if plan.simulated else ''}"


def _runtime(options: Options) -> Runtime:
    """`ray` when asked for, or when RAY_ADDRESS is set; else this process."""
    if _chosen(options) == "ray":
        from datagen.runtime.ray import RayRuntime

        return RayRuntime(options.workers)
    return LocalRuntime()


def _chosen(options: Options) -> str:
    return options.runtime or ("ray" if os.environ.get("RAY_ADDRESS") else "local")


def _make(out: Path) -> None:
    """Raises SetupError or OutputError before anything is paid for."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except FileExistsError:
        raise OutputError(f"{out} is a file; --out names a folder") from None
    except OSError as error:
        raise SetupError(f"cannot write to {out}: {error.strerror}; choose another folder with --out") from error
    known = {"steps", "data", "ledger", "manifest.json", "plan.json"}
    strangers = [path.name for path in out.iterdir() if not path.name.startswith(".")]
    if strangers and not known & set(strangers):
        raise OutputError(f"{out} is not empty and holds no build ({strangers[0]}, ...); give an empty or a new folder with --out")


@contextlib.asynccontextmanager
async def _drain_on_signal(crew: Crew, stopping: asyncio.Event) -> AsyncIterator[None]:
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
def _advising(folder: Path) -> Iterator[None]:
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
    return f"{len(ledger):,} answers are in {folder}; none of them is paid again.{lost}"


def require_answers(summary: Summary, plan_share: float) -> None:
    """Raises Unanswered when more rows are without an answer than the spec allows, LowYield when there is no row at all."""
    if summary.unanswered > plan_share * max(summary.total + summary.unanswered, 1):
        look = f'datagen sql {quote(str(summary.out))} "SELECT outcome, error, count(*) FROM unanswered GROUP BY ALL"'
        raise Unanswered(
            f"{summary.unanswered} rows were left without an answer: `{look}` says why. Failed ones are asked again by the same command, "
            "rejected ones with `--again rejected`; refused ones need another prompt"
        )
    if not summary.total:
        look = f'datagen sql {quote(str(summary.out))} "SELECT step, operator, reason, any_value(evidence), count(*) FROM dropped GROUP BY ALL"'
        raise LowYield(f"no row was kept: `{look}` says why")
