"""OUT/run.json: what the last run was, how it ended and what it cost, for whoever looks after it; and a file a run under OUT/runs."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from os import environ, getpid, kill
from pathlib import Path
from typing import Any, Literal

from datagen.asking.ledger.book import lock
from datagen.depot.lease import born
from datagen.depot.names import as_given
from datagen.errors import (
    BudgetReached,
    DatagenError,
    Interrupted,
    LedgerError,
    LowYield,
    SpecError,
    TeacherPaused,
    TeacherStopped,
    TooManyFailures,
    Waiting,
)
from datagen.plan.model import Plan
from datagen.running.money import Bill, bill_of, build_name, month_of
from datagen.steps.cohort import Season
from datagen.storage import read_json, write_json

SCHEMA = 1
"""Of run.json; it grows when a field changes its meaning or goes."""
FILE, HISTORY = "run.json", "runs"
State = Literal["running", "released", "nothing_new", "paused", "stopped", "failed", "interrupted"]
PAUSES = (BudgetReached, TeacherPaused, Waiting)
"""The same command goes on when there is money, or time has passed."""
STOPS = (TeacherStopped, TooManyFailures, LowYield)
"""Someone must look at the teacher or the spec first."""
Clock = Callable[[], datetime]
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def utc_now() -> datetime:
    return datetime.now(tz=UTC)


@dataclass(frozen=True, slots=True)
class Run:
    """What run.json says. Counts and money come from the ledger and the manifests; None: not known, or not yet."""

    run: str
    """Its id: as given, else that of the Ray job it is, else the UTC date."""
    name: str | None
    """Of the spec; None where it could not be read."""
    state: State
    exit_code: int | None
    """As in the table of exit codes; None while it runs."""
    started: str
    """UTC, ISO 8601 with seconds."""
    finished: str | None
    seconds: float | None
    host: str
    pid: int
    born: int | None
    """When the process began, in clock ticks since the machine started (Linux), so that no other process passes for it."""
    error: dict[str, str] | None = None
    """{class, message}: what the command said."""
    simulated: bool = False
    version: str | None = None
    """Of the release that is out, or that this run works on."""
    plan: str | None = None
    """Fingerprint of the plan."""
    rows: dict[str, int] | None = None
    """{new, total}: rows that this run released, and those of all releases of this major version."""
    unanswered: dict[str, int] | None = None
    """Outcome -> rows left without an answer, where the run came to its end."""
    requests: dict[str, int | None] | None = None
    """{asked, replayed, in_flight, in_batches}: sent by this run (and billed, or possibly), answers of the release that were on record
    before, sent by any run and without an end, under way in paid batches."""
    usd: dict[str, float | None] | None = None
    """{run, release, cap, left, in_flight, in_batches}: by this run, by all runs of the release, its cap and what is left; of the
    release's, what counts at its worst."""
    month: dict[str, Any] | None = None
    """{month, usd, cap, left}: the calendar month (UTC) in which the run began, over all releases of this spec on this ledger."""
    notes: tuple[str, ...] = ()
    schema: int = SCHEMA


def run_id(given: str, now: Clock) -> str:
    """`given`, else the id of the Ray job that this is, else the UTC date. Raises SpecError where it is no id."""
    if given and not _RUN.fullmatch(given):
        raise SpecError(
            f"--run-id {given[:80]!r} names no run: it becomes a file name, so it takes up to 64 letters, digits, '.', '_' and '-', and begins "
            f"with a letter or digit; {now():%Y-%m-%d}, for example, which is also the default"
        )
    return given or _ray_job() or f"{now():%Y-%m-%d}"


def _ray_job() -> str:
    """What Ray tells the driver of a submitted job."""
    found = re.search(r'"job_submission_id": *"([^"]*)"', environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", ""))
    return found[1] if found and _RUN.fullmatch(found[1]) else ""


@dataclass
class Recorder:
    """Keeps run.json from the start of a run to its end."""

    out: Path
    ledger: Path
    run: str
    cap: float | None = None
    """Dollars of the release, where the command names them."""
    now: Clock = utc_now
    name: str | None = None
    last: Run | None = None
    """What run.json was last given to say."""
    notes: list[str] = field(default_factory=list)
    _made: bool = False
    """True when the build has come to its release."""
    _plan: Plan | None = None
    _version: str = ""
    _build: str = ""
    _bill: Bill | None = None
    """At the start."""
    _released: int = 0
    """Releases at the start."""

    def __post_init__(self) -> None:
        self.moment, self._clock = self.now(), time.monotonic()

    def begin(self, plan: Plan, this: Season) -> None:
        """The run has its ledger and its plan; nothing has been asked. For the holder of the lock."""
        before = read_json(self.out / FILE)
        if before and before["state"] == "running":
            self.notes.append(f"the run before this one ({before['run']}) came to no end: its process died. What it had in flight counts as spent")
        self._plan, self._version, self._build = plan, this.label, build_name(plan, this)
        self._bill = bill_of(self.ledger, self._build, month_of(self.moment), plan.spec.release.budget, self.cap)
        self._released = len((read_json(self.out / "manifest.json") or {"releases": []})["releases"])
        self._write(self._run("running", None, None))

    def made(self, notes: Iterable[str]) -> None:
        """The build has come to its release; what comes now judges it, and takes it further."""
        self._made = True
        self.notes += notes

    def end(self, error: BaseException | None) -> Run:
        """The run is over. Where it never had the ledger, run.json is another run's as long as that one has it, and another spec's where
        OUT is."""
        code = exit_code(error)
        done = self.last = self._run(self._state(error), code, error)
        if self._plan is not None:
            self._write(done, in_front=self._is_mine())
        elif (owner := _owner(self.out)) and self.name in (None, owner):
            with contextlib.suppress(LedgerError), lock(self.ledger):
                self._write(done)
        return done

    def add(self, note: str) -> None:
        """Something that turned out when all was over."""
        if self.last and self._is_mine():
            self._write(replace(self.last, notes=(*self.last.notes, note)))

    def _is_mine(self) -> bool:
        """Whether run.json is this run's: another one may have begun since the ledger was free."""
        found = read_json(self.out / FILE) or {}
        return (found.get("run"), found.get("pid"), found.get("started")) == (self.run, getpid(), _told(self.moment))

    def _write(self, run: Run, in_front: bool = True) -> None:
        """One file a run, and the last one once more under the name that does not change."""
        write_json(self.out / HISTORY / f"{run.run}.json", asdict(run))
        if in_front:
            write_json(self.out / FILE, asdict(run))
        self.last = run

    def _state(self, error: BaseException | None) -> State:
        if self._made:
            releases = (read_json(self.out / "manifest.json") or {"releases": []})["releases"]
            return "released" if len(releases) > self._released else "nothing_new"
        if isinstance(error, Interrupted | KeyboardInterrupt):
            return "interrupted"
        return "paused" if isinstance(error, PAUSES) else "stopped" if isinstance(error, STOPS) else "failed"

    def _run(self, state: State, code: int | None, error: BaseException | None) -> Run:
        over = state != "running"
        return Run(
            run=self.run,
            name=self.name,
            state=state,
            exit_code=code,
            started=_told(self.moment),
            finished=_told(self.now()) if over else None,
            seconds=round(time.monotonic() - self._clock, 3) if over else None,
            host=socket.gethostname(),
            pid=getpid(),
            born=born(getpid()),
            error={"class": type(error).__name__, "message": as_given(str(error)) or type(error).__name__} if error else None,
            notes=tuple(dict.fromkeys([*self.notes, *getattr(error, "__notes__", ())])),
            **(self._known(over) if self._plan else {}),
        )

    def _known(self, over: bool) -> dict[str, Any]:
        """What is known of a run that has begun."""
        assert self._plan is not None and self._bill is not None
        before, bill = self._bill, self._bill
        if over:
            bill = bill_of(self.ledger, self._build, before.month, self._plan.spec.release.budget, self.cap)
        released = self._outcome() if self._made else {"version": self._version}
        asked, recorded = bill.requests - before.requests, bill.records - before.records
        replayed = max(0, read_json(self.out / "manifest.json")["cost"]["answers"] - recorded) if self._made else None
        return {
            "simulated": self._plan.simulated,
            "plan": self._plan.fingerprint,
            "requests": {"asked": asked, "replayed": replayed, **bill.open_requests()},
            "usd": bill.dollars(before),
            "month": bill.of_month(),
            **released,
        }

    def _outcome(self) -> dict[str, Any]:
        """By the manifest of a build that came to its release."""
        manifest = read_json(self.out / "manifest.json")
        major = manifest["releases"][-1]["version"].split(".")[0]
        unanswered: dict[str, int] = {}
        for step in manifest["steps"]:
            for outcome, rows in step["unanswered"].items():
                unanswered[outcome] = unanswered.get(outcome, 0) + rows
        return {
            "version": manifest["releases"][-1]["version"],
            "rows": {
                "new": sum(entry["rows"] for entry in manifest["releases"][self._released :]),
                "total": sum(entry["rows"] for entry in manifest["releases"] if entry["version"].split(".")[0] == major),
            },
            "unanswered": unanswered,
        }


@contextlib.contextmanager
def recorded(recorder: Recorder) -> Iterator[None]:
    """However the block ends, the record says so; an error of the block is the one that is raised."""
    try:
        yield
    except BaseException as error:
        try:
            recorder.end(error)
        except (DatagenError, OSError) as other:
            error.add_note(f"the end of this run is not on record: {other}")
        raise
    recorder.end(None)


def exit_code(error: BaseException | None) -> int:
    """What the command ends with."""
    if error is None:
        return 0
    return error.exit_code if isinstance(error, DatagenError) else 130 if isinstance(error, KeyboardInterrupt) else 1


def last_run(out: Path) -> Iterator[str]:
    """Lines on the last run; nothing where none is on record."""
    run = read_json(out / FILE)
    if not run:
        return
    state = run["state"].replace("_", " ")
    if run["state"] == "running":
        yield f"  last run {run['run']}: {_alive(run)}"
        return
    yield f"  last run {run['run']}: {state} after {run['seconds']:,.1f} s on {run['finished']}, exit code {run['exit_code']}"
    if run["error"]:
        yield f"    {run['error']['class']}: {run['error']['message'].splitlines()[0]}"


def _alive(run: Mapping[str, Any]) -> str:
    """Whether a run without an end goes on."""
    process = f"process {run['pid']} on {run['host']}"
    if run["host"] != socket.gethostname():
        return f"running since {run['started']} ({process}; from here nobody can see whether it still does)"
    if _lives(run["pid"], run["born"]):
        return f"running since {run['started']} ({process})"
    return f"died: {process}, started {run['started']}, is gone and said nothing. What it had in flight counts as spent; the same command goes on"


def _lives(pid: int, since: int | None) -> bool:
    if since is not None:
        return born(pid) == since
    try:
        kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _owner(out: Path) -> str:
    """The name of the spec whose data set lies here; empty where none does."""
    found = read_json(out / "manifest.json") or read_json(out / "steps" / "cohorts.json") or {}
    return str(found.get("name", ""))


def _told(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
