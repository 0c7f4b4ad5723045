"""The whole story on one page: a spec -> a plan -> the stretches -> a release."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from shlex import quote

from datagen.asking.ledger.book import Account, Ledger, compact
from datagen.asking.ledger.segments import lock, segments
from datagen.depot.lease import SECONDS
from datagen.depot.store import folder_of
from datagen.errors import DatagenError, LowYield, OutputError, SetupError, Unanswered
from datagen.plan.model import Plan, Sown
from datagen.plan.overrides import Setting, overridden
from datagen.plan.resolve import Rehearsing, api_key, resolve
from datagen.plan.sow import sow
from datagen.records import NANO, Spend
from datagen.running import pilot
from datagen.running.canaries.planting import plant
from datagen.running.collapse import CollapseWatch
from datagen.running.ending import advising, draining_on_signal
from datagen.running.guard import guarded
from datagen.running.hiring import await_workers, hire
from datagen.running.money import Terms, build_name, month_of, orphans, rounds_of
from datagen.running.mooring import Mooring, book_of, moored, require_build
from datagen.running.replay import replay
from datagen.running.stretch import Crew, carry_out
from datagen.running.telling.metrics import Metrics, served
from datagen.running.telling.record import run_id, utc_now
from datagen.running.telling.show import Show, Watch, ticking
from datagen.running.telling.story import Story, telling
from datagen.runtime.base import Export, Runtime
from datagen.runtime.local import LocalRuntime
from datagen.runtime.log import logging_to
from datagen.spec.load import Loaded, load_spec
from datagen.steps.cohort import Season, claim, season
from datagen.storage import write_json

ORIGIN = "origin.json"
"""Under OUT/steps: see `_origin`."""
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
    paying: bool = True
    """False: only recorded answers are used, and a row that needs another is left without one."""
    overrides: tuple[str, ...] = ()
    """`step.operator.parameter=value`, in place of what the spec says."""
    unsafe_sandbox: bool = False
    """Where there is no bubblewrap, run programs under resource limits alone; part of the plan, and said in the release."""
    again: str | None = None
    """`rejected`: ask anew what was rejected in earlier runs."""
    run_id: str = ""
    """Names the run in run.json, and enters nothing else. Default: the Ray job's id, or the UTC date."""
    notify: str | None = None
    """Environment variable with the address to tell how the run ended, in place of the spec's."""
    metrics_port: int | None = None
    """Serve metrics to Prometheus here; 0: any free port."""
    metrics_host: str = "127.0.0.1"
    log: str | None = None
    """A file to which each event is appended as a line of JSON; `-`: stderr."""

    @property
    def root(self) -> Path:
        """OUT on this disk, from its root: workers of a cluster stand in other folders."""
        return folder_of(self.out, self.work).absolute()

    @property
    def book(self) -> Path:
        """The ledger's folder on this disk."""
        return book_of(self.out, self.ledger, self.work).absolute()


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


@dataclass(frozen=True)
class _Job:
    """One run of one build."""

    options: Options
    watch: Watch
    moment: datetime
    begun: Callable[[Plan, Season], None]
    base: Path
    """Where relative paths of the spec start."""


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
    name = run_id(options.run_id, lambda: moment)
    with logging_to(options.log, name), telling(options.book) as story, served(options.metrics_host, options.metrics_port) as exports:
        loaded = loaded or load_spec(options.spec, options.library)
        run = _Job(options, watch, moment, begun, loaded.base)
        say = functools.partial(print, file=sys.stderr, flush=True)
        with moored(options.out, options.ledger, options.work, options.lease, f"run {name} of spec {loaded.spec.name}", say) as mooring:
            made = _built(run, loaded, mooring, story, exports)
        told = {"release": made.version, "rows": made.rows, "total": made.total, "unanswered": made.unanswered, "asked": made.asked}
        story.ends(functools.partial(require_answers, made, loaded.spec.release.allow_unanswered), told)
        return made


def _built(run: _Job, loaded: Loaded, mooring: Mooring, story: Story, exports: Sequence[Export]) -> Summary:
    options = run.options
    with planned(loaded, options) as (plan, sown):
        out, folder = options.root, options.book
        if options.paying:
            _require_keys(plan, sown, folder, options.again is not None)
        this = season(plan, sown, out, folder, options.yes)
        _make(out)
        with lock(folder), advising(folder), guarded(plan, out / "steps", options.again is not None):
            await_workers(folder)
            compact(folder)  # what a killed build left is read once, not by every worker
            claim(plan, this, sown, out)
            write_json(out / "steps" / ORIGIN, _origin(loaded, options, plan))
            sown.lines.close()
            cap, workers = options.budget or plan.spec.release.budget.usd, options.workers if _chosen(options) == "ray" else 1
            told: dict[str, object] = {"seeds": this.seeds, "runtime": _chosen(options), "workers": workers, "simulated": plan.simulated}
            story.begins(build_name(plan, this), this.label, cap, **told)
            run.begun(plan, this)
            mooring.settle()
            return asyncio.run(_run(plan, this, run, mooring, exports))


def _origin(loaded: Loaded, options: Options, plan: Plan) -> dict[str, object]:
    """What this was built from, for whoever curates it anew. It stays in the house."""
    places = {"spec": loaded.written.path, "library": options.library, "ledger": options.ledger}
    whole = {name: str(place.resolve()) if isinstance(place, Path) else place for name, place in places.items()}
    return {**whole, "limit": options.limit, "teacher": options.teacher, "unsafe_sandbox": options.unsafe_sandbox, "simulator": bank_of(plan)}


def bank_of(plan: Plan) -> dict[str, object]:
    """What the simulated teachers of a plan are called, which tells their material, and where that was looked for."""
    return {"labels": sorted({chair.label for chair in plan.chairs.values() if chair.simulated}), "shared": os.environ.get("DATAGEN_SHARED")}


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
    settings = [Setting.read(text) for text in options.overrides]
    loaded = overridden(loaded if options.paying else _alone(loaded), settings)
    sown = sow(loaded, options.limit, options.root)
    run = len(segments(options.book))
    with contextlib.closing(sown.lines), _simulator(loaded, options.teacher == "simulator", run) as rehearsing:
        plan = resolve(loaded, set(sown.fields), rehearsing, options.teacher == "simulator", options.unsafe_sandbox)
        yield replace(plan, overrides={setting.name: setting.value for setting in settings}), sown


def _alone(loaded: Loaded) -> Loaded:
    """Without a pilot, which tells beforehand what answers will cost."""
    guard = loaded.spec.guard.model_copy(update={"pilot": 0, "min_yield": None})
    return replace(loaded, spec=loaded.spec.model_copy(update={"guard": guard}))


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


async def _run(plan: Plan, this: Season, run: _Job, mooring: Mooring, exports: Sequence[Export]) -> Summary:
    """Every stretch in order, every part in the air, then the release."""
    gc.freeze()  # no collection needs to walk through what is loaded while answers wait
    options, out, folder = run.options, run.options.root, run.options.book
    runtime, name = _runtime(options), build_name(plan, this)
    driver = Ledger(folder, name, DRIVER, month=month_of(run.moment), offsite=mooring.offsite)
    before = _answered(driver.accounts.get(name, {}))
    rounds = rounds_of(plan, driver, runtime) if options.paying else None
    fleeting = plan.simulated and not any(chair.simulated and chair.spec.base_url for chair in plan.chairs.values())
    post = None if isinstance(runtime, LocalRuntime) else mooring.post()
    crew = Crew(plan, out / "steps", runtime, rounds, options.wait or fleeting, mooring=mooring if post else None)
    crew.collapse = CollapseWatch(plan, crew.root, options.paying)
    await runtime.start(
        hire(plan, crew.root, driver, post or mooring.offsite, options.again is not None, options.paying),
        Terms(plan, options.budget, driver, mooring),
    )
    warming = asyncio.ensure_future(_warm_later(runtime))
    show = Show(crew, options.budget or plan.spec.release.budget.usd, run.watch)
    metrics = Metrics(crew, this.label, [*exports, *([own] if (own := runtime.exporter()) else [])])
    try:
        async with draining_on_signal(crew, show.stopping), ticking(show.draw), metrics.watched():
            if rounds:
                crew.round += await rounds.take_in()
            made, notes = await _carry_out(crew, this, show, one_worker=isinstance(runtime, LocalRuntime))
        asked = (await runtime.status()).get("asked", 0) + (rounds.report.results if rounds else 0)
        notes += [*crew.notes, *(await runtime.shared("surprises")), *orphans(plan, driver), *_not_again(plan, this, options)]
    except DatagenError as error:
        with contextlib.suppress(DatagenError):  # of a governor that is gone as well
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
    if made:
        await plant(plan, out, run.base)
    from datagen.publish import published  # loaded while answers were on their way

    publication = published(plan, this, out, made, _maybe(accounts), f"{run.moment:%Y-%m-%d}")
    torn = (f"ledger: {each}" for each in dict.fromkeys([*map(str, driver.torn), *crew.torn]))
    notes = [*plan.warnings, *torn, *notes, *(rounds.report.notes if rounds else []), *publication.alarms]
    spent = sum((account.committed - account.standing for account in accounts.values()), Spend())
    counts = publication.rows, publication.total, publication.unanswered, max(asked, _answered(accounts) - before)
    return Summary(out, publication.version, *counts, spent.cost / NANO, plan.simulated, publication.example, str(options.out), notes)


async def _carry_out(crew: Crew, this: Season, show: Show, one_worker: bool) -> tuple[bool, list[str]]:
    """The pilot, then the whole; side by side where nothing hangs on it. Returns (made anew, what to tell)."""
    flying = None
    if pilot.wanted(crew.plan, this.cohorts):
        alone = pilot.decides(crew.plan) or crew.mooring is not None  # the steps on an object store are one hand's at a time
        flying = asyncio.ensure_future(pilot.fly(crew, this.cohorts, show.tell if alone else lambda _: None))
        flying.add_done_callback(show.news)
        if not one_worker:
            crew.ahead = pilot.ahead(crew, this.cohorts, flying)
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


def _answered(accounts: Mapping[str, Account]) -> int:
    """Recorded answers: more than workers can say where one has died."""
    return sum(account.answered.requests for account in accounts.values())


def _maybe(accounts: Mapping[str, Account]) -> int:
    """Nano-dollars at worst for attempts that brought no answer and may have been billed; what is reserved for batches is not over yet."""
    return sum((account.committed - account.answered - account.standing).cost for account in accounts.values())


def _runtime(options: Options) -> Runtime:
    """`ray` when asked for, or when RAY_ADDRESS is set; else this process."""
    if _chosen(options) == "ray":
        from datagen.runtime.onray.runtime import RayRuntime

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
    require_build(out, [path.name for path in out.iterdir() if not path.name.startswith(".")])


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
