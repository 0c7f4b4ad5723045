"""One line an event: what happened in a build, as JSON for whoever keeps logs; silent unless someone listens.

Events go to the standard logger `datagen`, so a program that calls `build` may attach handlers of its own: a record's message is the event's
name, and `record.event`, `run`, `step`, `part` and `fields` hold the rest. What an event may carry stands in EVENTS: names of the spec,
numbers and tags; never a prompt, an answer, a provider's words or a key.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from datagen.errors import SetupError

LOGGER = logging.getLogger("datagen")
LOGGER.addHandler(logging.NullHandler())  # else Python prints warnings that nobody asked for
_RUN: ContextVar[str] = ContextVar("run", default="")


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of line."""

    about: str
    fields: tuple[str, ...] = ()
    level: int = logging.INFO


EVENTS: dict[str, Event] = {
    "build_started": Event("A build has its plan and its lock.", ("build", "release", "seeds", "runtime", "workers", "budget_usd", "simulated")),
    "build_finished": Event(
        "A build is over; exit_code is 0, or why the release is not to be trusted as it is.",
        ("exit_code", "release", "rows", "total", "unanswered", "asked", "dollars", "seconds"),
    ),
    "build_failed": Event(
        "A build was stopped: the class of its error; dollars are those of the release, over all its runs.",
        ("exit_code", "error", "dollars", "seconds"),
        logging.ERROR,
    ),
    "metrics_served": Event("Where the metrics are.", ("host", "port")),
    "metrics_missed": Event("They could not be read this time; the build goes on.", ("error",), logging.WARNING),
    "stretch_started": Event("The steps between two set-wise steps begin, as `step` names them.", ("seeds", "pilot")),
    "stretch_finished": Event("They are done, with the step that closes them.", ("kept", "dropped", "unanswered", "seconds", "pilot")),
    "part_finished": Event(
        "A part was made; asked and replayed count answers of this run and of earlier ones.",
        ("kept", "dropped", "unanswered", "asked", "replayed", "seconds", "pilot"),
    ),
    "part_waiting": Event("Rows of a part wait for paid batches.", ("requests", "pilot")),
    "pilot_forecast": Event("What the pilot says of the whole.", ("seeds", "rows", "dollars", "of", "yield")),
    "collapsed": Event(
        "The texts of one value of the grid (of all rows, where axis is empty) have become alike.",
        ("axis", "value", "rows", "opening_share", "repetition"),
        logging.WARNING,
    ),
    "teacher_down": Event("A teacher is out of service; one request at a time probes.", ("teacher",), logging.WARNING),
    "teacher_back": Event("It is back.", ("teacher",)),
    "overload": Event("Sustained overload lowered what may be in flight.", ("teacher", "in_flight_limit"), logging.WARNING),
    "batch_submitted": Event("A provider took a paid batch.", ("teacher", "batch", "requests", "round")),
    "batch_back": Event("A paid batch has come back.", ("teacher", "batch", "outcomes", "again", "missing")),
    "batch_failed": Event(
        "A provider turned a paid batch down as a whole; its requests go again.", ("teacher", "batch", "requests"), logging.WARNING
    ),
    "budget_reached": Event("The next request would not fit under the cap.", ("dollars", "budget_usd"), logging.WARNING),
    "drain_asked": Event("Ctrl-C or SIGTERM: nothing new is sent, what is in flight lands.", (), logging.WARNING),
    "release_published": Event("A release is out.", ("release", "rows", "total")),
    "worker_lost": Event("A worker died.", ("worker", "error"), logging.WARNING),
    "worker_replaced": Event("Another took its place.", ("worker",)),
}


def event(name: str, *, step: str = "", part: str = "", **fields: Any) -> None:
    """Log one event of EVENTS. Raises ValueError on a field that it does not declare: what lines hold is a promise."""
    kind = EVENTS[name]
    if stray := set(fields) - set(kind.fields):
        raise ValueError(f"event {name!r} declares no {', '.join(sorted(stray))}")
    LOGGER.log(kind.level, name, extra={"event": name, "run": _RUN.get(), "step": step, "part": part, "fields": fields})


class JsonLine(logging.Formatter):
    """An event as one line of JSON: time, run, step, part, level, event, and its own fields."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {name: getattr(record, name) for name in ("run", "step", "part")}
        return json.dumps({"time": time, **head, "level": record.levelname.lower(), "event": record.event, **record.fields})  # type: ignore[attr-defined]


class _Lines(logging.StreamHandler[TextIO]):
    """Events alone, whoever else uses the logger. A disk that is full ends no build: it is said once."""

    _said = False

    def filter(self, record: logging.LogRecord) -> bool:
        return hasattr(record, "event")

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._said:
            self._said = True
            sys.stderr.write(f"the log cannot be written, the build goes on: {sys.exc_info()[1]}\n")


@contextlib.contextmanager
def logging_to(target: str | None, run: str = "") -> Iterator[None]:
    """Append a line an event to the file `target`, or to stderr for `-`; None: nothing. `run` names this run in each line; default: the UTC date.

    Raises SetupError where the file cannot be opened.
    """
    naming = _RUN.set(run or datetime.now(UTC).date().isoformat())
    before = LOGGER.level
    try:
        with _opened(target) as stream:
            handler = _Lines(stream) if stream else None
            if handler:
                handler.setFormatter(JsonLine())
                LOGGER.addHandler(handler)
                LOGGER.setLevel(logging.INFO)
            try:
                yield
            finally:
                if handler:
                    LOGGER.removeHandler(handler)
    finally:
        LOGGER.setLevel(before)
        _RUN.reset(naming)


@contextlib.contextmanager
def _opened(target: str | None) -> Iterator[TextIO | None]:
    if target is None or target == "-":
        yield sys.stderr if target else None
        return
    try:
        stream = Path(target).open("a", encoding="utf-8")  # noqa: SIM115 - closed below, where a full disk may be in its way
    except OSError as error:
        raise SetupError(f"cannot write the log {target}: {error.strerror}; --log takes a file, or - for stderr") from error
    try:
        yield stream
    finally:
        with contextlib.suppress(OSError):
            stream.close()
