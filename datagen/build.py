"""The whole story on one page: a spec -> a plan -> the stretches -> a release."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

from datagen.asking.governor import Governor, Limits
from datagen.asking.ledger import Account, Ledger, lock
from datagen.errors import BudgetReached, Interrupted, OutputError, SetupError, TeacherStopped, TooManyFailures, Unanswered
from datagen.plan.model import Plan, Sown, Stretch
from datagen.plan.resolve import Rehearsing, api_key, resolve
from datagen.plan.sow import seed_fields, sow
from datagen.records import NANO
from datagen.runtime.base import Runtime
from datagen.spec.load import Loaded, load_spec
from datagen.steps.closing import close
from datagen.steps.cohort import Season, add_up, claim, season
from datagen.steps.part import PartWorker, Unit
from datagen.storage import write_json

AIR = 2
"""Rows in the air per place in flight: enough that a finished part is replaced before the limit runs dry."""


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


@dataclass
class Snapshot:
    """How far a build is; the terminal draws it."""

    step: str
    rows: int
    """Rows that have walked this stretch."""
    of: int
    asked: int
    spent: float
    """Dollars of this release, over all its runs."""
    cap: float | None
    in_flight: int
    stopping: bool = False
    """True after the first Ctrl-C: what is in flight lands, then the build ends."""


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


Watch = Callable[[Snapshot], None]


def build(options: Options, watch: Watch) -> Summary:
    """Make or continue a release. Raises a DatagenError whose message says what was saved and how to go on."""
    loaded = load_spec(options.spec, options.library)
    with planned(loaded, options) as (plan, sown):
        for chair in plan.chairs.values():
            api_key(chair)
        this = season(plan, sown, options.out, options.yes)
        _make(options.out)
        folder = options.ledger or options.out / "ledger"
        with lock(folder), _advising(folder):
            claim(plan, this, options.out)
            return asyncio.run(_run(plan, sown, this, options, folder, watch))


@contextlib.contextmanager
def planned(loaded: Loaded, options: Options) -> Iterator[tuple[Plan, Sown]]:
    """The plan and the seeds; where a simulated teacher is needed, it runs for the length of the block."""
    sown = sow(loaded, options.limit)
    with _simulator(loaded, options.teacher == "simulator") as rehearsing:
        yield resolve(loaded, seed_fields(sown), rehearsing, options.teacher == "simulator"), sown


@contextlib.contextmanager
def _simulator(loaded: Loaded, everything: bool) -> Iterator[Rehearsing | None]:
    simulated = [teacher for teacher in loaded.spec.teachers.values() if everything or teacher.model.startswith("simulator/")]
    if not simulated:
        yield None
        return
    from datagen.rehearsal.companion import companion, label_at  # what a paid build never loads

    standing = next((teacher.base_url for teacher in simulated if teacher.model.startswith("simulator/") and teacher.base_url), None)
    if standing:
        yield Rehearsing(standing.rstrip("/"), label_at(standing.rstrip("/")))
    else:
        with companion(loaded.spec.rehearsal, loaded.base) as url:
            yield Rehearsing(url, label_at(url))


async def _run(plan: Plan, sown: Sown, this: Season, options: Options, folder: Path, watch: Watch) -> Summary:
    """Every stretch in order, every part in the air, then the release."""
    gc.freeze()  # what is loaded now stays: no collection needs to walk through it while answers wait
    gc.set_threshold(50_000, 20, 50)
    runtime = _runtime(options)
    account, torn = _account(folder, build_name(plan, this))
    cap = options.budget or plan.spec.release.budget.usd
    share = functools.partial(Governor, _limits(plan), int(cap * NANO) if cap else None, account.committed)
    await runtime.start(functools.partial(hire, plan, options.out / "steps", folder, build_name(plan, this)), share)
    warming = asyncio.ensure_future(_warm_later(runtime))
    try:
        stopping = asyncio.Event()
        async with _drain_on_signal(runtime, stopping):
            made = False
            for stretch in plan.stretches:
                made |= await _stretch(plan, stretch, this, options.out, runtime, functools.partial(_watch, runtime, cap, stopping, watch))
        asked = (await runtime.status()).get("asked", 0)
        spent, _ = await runtime.shared("money")
    finally:
        await runtime.stop()
        warming.cancel()
        gc.unfreeze()  # a binding that finds its objects alive at the end of the process complains aloud
    from datagen.publish import is_out, last_release, publish_release  # loaded while answers were on their way

    out_already = not made and is_out(plan, this, options.out)
    publication = last_release(options.out) if out_already else publish_release(plan, sown, this, options.out)
    unanswered = sum(sum(step["unanswered"].values()) for step in publication.steps)
    summary = Summary(
        options.out, publication.version, publication.rows, publication.total, unanswered, asked, spent / NANO, plan.simulated, publication.example
    )
    summary.notes += [*plan.warnings, *torn]
    return summary


def _account(folder: Path, name: str) -> tuple[Account, list[str]]:
    """What earlier runs of this release spent or may have spent, and what of the ledger could not be read."""
    ledger = Ledger(folder, "")
    return ledger.accounts.get(name, Account()), [f"ledger: {torn}" for torn in ledger.torn]


async def _warm_later(runtime: Runtime, seconds: float = 0.3) -> None:
    """When the first requests are out and nothing has come back: later it would hold up answers. Not when nothing has to be asked."""
    while not sum((await runtime.shared("in_flight")).values()):
        await asyncio.sleep(seconds)
    await asyncio.sleep(seconds / 3)
    await asyncio.to_thread(_warm)


def _warm() -> None:
    from datagen.publish import warm

    warm()


async def _stretch(plan: Plan, stretch: Stretch, this: Season, out: Path, runtime: Runtime, watch: Callable[..., Any]) -> bool:
    """All parts of all cohorts through one stretch, then the set-wise step that closes it. True when anything was made anew."""
    groups = any(step.scope == "group" for step in plan.steps)
    units = [
        Unit(stretch.number, name, rows if stretch.number == 0 else None, settled=cohort.released and groups)
        for cohort in this.cohorts
        for name, rows in cohort.parts().items()
    ]
    sizes = {name: len(rows) for cohort in this.cohorts for name, rows in cohort.parts().items()}
    most = sum(chair.spec.max_in_flight for chair in plan.chairs.values())
    in_air = max(2, -(-AIR * most * len(units) // max(sum(sizes.values()), 1)) + 1)
    counts: dict[str, list[Any]] = {}
    done, made = 0, False
    async with _ticking(lambda: watch(stretch, done, sum(sizes.values()))):
        async for manifest in runtime.map(units, in_air):
            done += sizes[manifest["part"]]
            made |= manifest["made"]
            for number, count in manifest["counts"].items():
                counts.setdefault(number, []).append(count)
    if stretch.closing is not None:
        for number, cohort in enumerate(this.cohorts):
            manifest = await asyncio.to_thread(close, plan, stretch, cohort, this.cohorts[:number], out / "steps")
            made |= manifest["made"]
            counts.setdefault(str(stretch.closing.number), []).append(manifest["counts"][str(stretch.closing.number)])
    for step in (*stretch.steps, *([stretch.closing] if stretch.closing else [])):
        about = step.prompt.about if step.prompt else ""
        head = {"number": step.number, "name": step.name, "verb": step.verb, "scope": step.scope, "about": about, "fingerprint": step.fingerprint}
        write_json(out / "steps" / step.folder / "manifest.json", {**head, **add_up(counts.get(str(step.number), []))})
    return made


def hire(plan: Plan, root: Path, folder: Path, name: str, books: Any, number: int) -> PartWorker:
    """A worker with a ledger segment of its own; it runs wherever the runtime puts it."""
    return PartWorker(plan, root, Ledger(folder, name, number), books)


def build_name(plan: Plan, this: Season) -> str:
    """What money is counted under: one release of one spec, over all runs that lead to it."""
    return f"{plan.name}/{this.label}{'/simulated' if plan.simulated else ''}"


def _limits(plan: Plan) -> dict[str, Limits]:
    return {
        name: Limits(
            chair.spec.max_in_flight,
            chair.spec.requests_per_minute,
            chair.spec.input_tokens_per_minute,
            chair.spec.output_tokens_per_minute,
        )
        for name, chair in plan.chairs.items()
    }


def _runtime(options: Options) -> Runtime:
    """`ray` when asked for, or when RAY_ADDRESS is set; else this process."""
    chosen = options.runtime or ("ray" if os.environ.get("RAY_ADDRESS") else "local")
    if chosen == "ray":
        from datagen.runtime.ray import RayRuntime

        return RayRuntime(options.workers)
    from datagen.runtime.local import LocalRuntime

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
    known = {"steps", "data", "ledger", "manifest.json", "plan.json"}
    strangers = [path.name for path in out.iterdir() if not path.name.startswith(".")]
    if strangers and not known & set(strangers):
        raise OutputError(f"{out} is not empty and holds no build ({strangers[0]}, ...); give an empty or a new folder with --out")


async def _watch(runtime: Runtime, cap: float | None, stopping: asyncio.Event, watch: Watch, stretch: Stretch, done: int, of: int) -> None:
    settled, reserved = await runtime.shared("money")
    flying = await runtime.shared("in_flight")
    status = await runtime.status()
    name = " > ".join(step.name for step in stretch.steps) or (stretch.closing.name if stretch.closing else "seeds")
    watch(Snapshot(name, done, of, status.get("asked", 0), (settled + reserved) / NANO, cap, sum(flying.values()), stopping.is_set()))


@contextlib.asynccontextmanager
async def _ticking(tick: Callable[[], Any], seconds: float = 0.5) -> AsyncIterator[None]:
    """Call `tick` every so often while the block runs, and once at its end."""

    async def run() -> None:
        while True:
            await asyncio.sleep(seconds)
            await tick()

    task = asyncio.ensure_future(run())
    try:
        yield
        await tick()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def _drain_on_signal(runtime: Runtime, stopping: asyncio.Event) -> AsyncIterator[None]:
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
            draining.append(asyncio.ensure_future(runtime.drain()))

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
    except (Interrupted, BudgetReached, TeacherStopped, TooManyFailures) as error:
        raise type(error)(f"{error}\n{_saved(folder)}") from error
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise Interrupted(f"aborted: what was in flight may be asked again\n{_saved(folder)}") from None


def _saved(folder: Path) -> str:
    ledger = Ledger(folder, "")
    waiting = sum(len(account.open) for account in ledger.accounts.values())
    lost = f" {waiting} requests were in flight and count as spent." if waiting else ""
    return f"{len(ledger):,} answers are in {folder}; none of them is paid again.{lost} The same command goes on from here."


def require_answers(summary: Summary, plan_share: float) -> None:
    """Raises Unanswered when more rows are without an answer than the spec allows."""
    if summary.unanswered > plan_share * max(summary.total + summary.unanswered, 1):
        look = f'datagen sql {quote(str(summary.out))} "SELECT outcome, error, count(*) FROM unanswered GROUP BY ALL"'
        raise Unanswered(
            f"{summary.unanswered} rows were left without an answer: `{look}` says why. Failed ones are asked again by the same command; "
            "truncated ones need a larger max_tokens, refused ones another prompt"
        )
