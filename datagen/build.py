"""The whole story on one page: a spec -> a plan -> the stretches -> a release."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from shlex import quote

from datagen.asking.ledger.book import Account, Ledger, compact
from datagen.asking.ledger.segments import lock, segments
from datagen.depot.lease import SECONDS
from datagen.depot.store import folder_of
from datagen.errors import (
    BudgetReached,
    DatagenError,
    Interrupted,
    LowYield,
    OutputError,
    SetupError,
    TeacherStopped,
    TooManyFailures,
    Unanswered,
)
from datagen.plan.model import Plan, Sown
from datagen.plan.resolve import Rehearsing, api_key, resolve
from datagen.plan.sow import sow
from datagen.records import NANO, Outcome
from datagen.running import pilot
from datagen.running.guard import guarded
from datagen.running.hiring import await_workers, hire
from datagen.running.money import Terms, build_name, month_of, orphans, rounds_of
from datagen.running.mooring import Mooring, book_of, moored, require_build
from datagen.running.record import utc_now
from datagen.running.replay import replay
from datagen.running.show import Show, Watch, ticking
from datagen.running.stretch import Crew, carry_out
from datagen.runtime.base import Runtime
from datagen.runtime.local import LocalRuntime
from datagen.spec.load import Loaded, load_spec
from datagen.steps.cohort import Season, claim, season

DRIVER = 999
"""Number of the driver's own ledger segment, where the answers of paid batches go."""


@dataclass(frozen=True)
class Options:
    """What was asked for at the door."""

    spec: str
    out: Path | str
    """A folder, or the url of one on an object store: `s3://bucket/textbook`, `gs://...`, whatever fsspec knows."""
    limit: int | None = None
    budget: float | None = None
    teacher: str | None = None
    runtime: str | None = None
    workers: int | None = None
    """Ray actors; None: one per node."""
    library: Path | None = None
    ledger: Path | str | None = None
    """As `out`. Default: `ledger` within it."""
    work: Path | None = None
    """Where object stores are mirrored on this disk. Default: $DATAGEN_WORK, else the user's cache."""
    lease: float = SECONDS
    """Seconds that an object store may be out of reach before a build on it stops; another machine waits so long for one that died."""
    yes: bool = False
    wait: bool = True
    """Wait for paid batches to come back."""
    again: str | None = None
    """`rejected`: ask anew what was rejected in earlier runs."""
    run_id: str = ""
    """Names the run in run.json, and enters nothing else. Default: the Ray job's id, or the UTC date."""
    notify: str | None = None
    """Environment variable with the address to tell how the run ended, in place of the spec's."""

    @property
    def root(self) -> Path:
        """OUT on this disk."""
        return folder_of(self.out, self.work)

    @property
    def book(self) -> Path:
        """The ledger's folder on this disk."""
        return book_of(self.out, self.ledger, self.work)


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
    place: str = ""
    """Where OUT is: its url, or the folder itself."""
    notes: list[str] = field(default_factory=list)


def build(
    options: Options,
    watch: Watch,
    loaded: Loaded | None = None,
    moment: datetime | None = None,
    begun: Callable[[Plan, Season], None] = lambda plan, this: None,
) -> Summary:
    """Make or continue a release, of the spec as `loaded` where it is. `moment` (now) is when the run began, and
    tells which month pays and the day of the release; `begun` is called when all is ready and nothing is asked yet.

    Raises a DatagenError whose message says what was saved and how to go on.
    """
    moment = moment or utc_now()
    loaded = loaded or load_spec(options.spec, options.library)
    say = functools.partial(print, file=sys.stderr, flush=True)
    with moored(options.out, options.ledger, options.work, options.lease, f"spec {loaded.spec.name}", say) as mooring:
        return _build(options, watch, loaded, moment, begun, mooring)


def _build(options: Options, watch: Watch, loaded: Loaded, moment: datetime, begun: Callable[[Plan, Season], None], mooring: Mooring) -> Summary:
    with planned(loaded, options) as (plan, sown):
        out, folder = options.root, options.book
        _require_keys(plan, sown, folder, options.again is not None)
        this = season(plan, sown, out, folder, options.yes)
        _make(out)
        with lock(folder), _advising(folder), guarded(plan, out / "steps", options.again is not None):
            await_workers(folder)
            compact(folder)  # what a killed build left is read once, not by every worker
            claim(plan, this, sown, out)
            sown.lines.close()
            begun(plan, this)
            mooring.settle()
            return asyncio.run(_run(plan, this, options, mooring, watch, moment))


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
    sown = sow(loaded, options.limit, options.root)
    run = len(segments(options.book))
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


async def _run(plan: Plan, this: Season, options: Options, mooring: Mooring, watch: Watch, moment: datetime) -> Summary:
    """Every stretch in order, every part in the air, then the release."""
    gc.freeze()  # no collection needs to walk through what is loaded while answers wait
    runtime, name, out, folder = _runtime(options), build_name(plan, this), options.root, options.book
    driver = Ledger(folder, name, DRIVER, month_of(moment), mooring.offsite)
    rounds = rounds_of(plan, driver, runtime)
    fleeting = plan.simulated and not any(chair.simulated and chair.spec.base_url for chair in plan.chairs.values())
    post = None if isinstance(runtime, LocalRuntime) else mooring.post()
    crew = Crew(plan, out / "steps", runtime, rounds, options.wait or fleeting, mooring=mooring if post else None)
    await runtime.start(
        functools.partial(hire, plan, crew.root, folder, name, driver.month, options.again is not None, post or mooring.offsite),
        Terms(plan, options.budget, driver, mooring),
    )
    warming = asyncio.ensure_future(_warm_later(runtime))
    show = Show(crew, options.budget or plan.spec.release.budget.usd, watch)
    try:
        async with _drain_on_signal(crew, show.stopping), ticking(show.draw):
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
        await asyncio.to_thread(mooring.gather)
        accounts = compact(folder).get(name, {})
        warming.cancel()
        gc.unfreeze()  # a binding that finds its objects alive at the end of the process complains aloud
    from datagen.publish import is_out, last_release, publish_release  # loaded while answers were on their way

    out_already = not made and is_out(plan, this, out)
    publication = last_release(out) if out_already else publish_release(plan, this, out, _maybe(accounts), f"{moment:%Y-%m-%d}")
    unanswered = sum(sum(step["unanswered"].values()) for step in publication.steps)
    figures = publication.rows, publication.total, unanswered, asked, spent / NANO, plan.simulated
    summary = Summary(out, publication.version, *figures, publication.example, str(options.out))
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


def _maybe(accounts: Mapping[str, Account]) -> int:
    """Nano-dollars at worst for attempts that brought no answer and may have been billed; what is reserved for batches is not over yet."""
    return sum((account.committed - account.answered - account.standing).cost for account in accounts.values())


def _runtime(options: Options) -> Runtime:
    """`ray` when asked for, or when RAY_ADDRESS is set; else this process."""
    chosen = options.runtime or ("ray" if os.environ.get("RAY_ADDRESS") else "local")
    if chosen == "ray":
        from datagen.runtime.ray import RayRuntime

        return RayRuntime(options.workers)
    return LocalRuntime()


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
    require_build(out, [path.name for path in out.iterdir() if not path.name.startswith(".")])


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
    answers = len(ledger)
    ledger.close()
    return f"{answers:,} answers are in {folder}; none of them is paid again.{lost}"


def require_answers(summary: Summary, plan_share: float) -> None:
    """Raises Unanswered when more rows are without an answer than the spec allows, LowYield when there is no row at all."""
    if summary.unanswered > plan_share * max(summary.total + summary.unanswered, 1):
        look = f'datagen sql {quote(summary.place or str(summary.out))} "SELECT outcome, error, count(*) FROM unanswered GROUP BY ALL"'
        raise Unanswered(
            f"{summary.unanswered} rows were left without an answer: `{look}` says why. Failed ones are asked again by the same command, "
            "rejected ones with `--again rejected`; refused ones need another prompt"
        )
    if not summary.total:
        query = "SELECT step, operator, reason, any_value(evidence), count(*) FROM dropped GROUP BY ALL"
        look = f'datagen sql {quote(summary.place or str(summary.out))} "{query}"'
        raise LowYield(f"no row was kept: `{look}` says why")
