"""One run as a job that runs by itself: built, judged, pushed where that is wanted, on record in run.json, and told of."""

from __future__ import annotations

from collections.abc import Callable

from datagen.build import Options, Summary, build, require_answers
from datagen.depot.store import Depot, is_url
from datagen.errors import DatagenError
from datagen.running.mooring import send_record
from datagen.running.telling.notify import named, tell
from datagen.running.telling.record import FILE, HISTORY, Clock, Recorder, recorded, run_id, utc_now
from datagen.running.telling.show import Watch
from datagen.spec.load import load_spec
from datagen.spec.terms import Notify


def run(
    options: Options,
    watch: Watch,
    show: Callable[[Summary], None] = lambda summary: None,
    push: Callable[[], None] = lambda: None,
    now: Clock = utc_now,
) -> list[str]:
    """A build from its first word to its last. `show` is told what was made, `push` is called when it is good; `now` tells the day, and so
    the run's id and the month that pays. Returns notes on what went wrong beside it.

    Raises what `build` and `require_answers` raise, when that is on record and told; SpecError where `options.run_id` is no id, SetupError where
    `options.notify` names no address.
    """
    whom = named(options.notify) if options.notify else None
    record = Recorder(options.root, options.book, run_id(options.run_id, now), options.budget, now)
    try:
        with recorded(record):
            loaded = load_spec(options.spec, options.library)
            record.name, whom = loaded.spec.name, whom or loaded.spec.notify
            summary = build(options, watch, loaded, record.moment, record.begin)
            record.made(summary.notes)
            show(summary)
            require_answers(summary, loaded.spec.release.allow_unanswered)
            push()
    except BaseException as error:
        for note in _told(record, whom) + _sent(options, record):
            error.add_note(note)
        raise
    return _told(record, whom) + _sent(options, record)


def _told(record: Recorder, whom: Notify | None) -> list[str]:
    """Tell how the run ended; that nobody heard it is on record, too."""
    note = tell(whom, record.last) if whom and record.last else ""
    if note:
        record.add(note)
    return [note] if note else []


def _sent(options: Options, record: Recorder) -> list[str]:
    """Bring the record to the object store on which OUT lies."""
    if not is_url(options.out) or record.last is None:
        return []
    try:
        send_record(Depot(str(options.out), 10), options.root, [FILE, f"{HISTORY}/{record.run}.json"])
    except DatagenError as error:
        return [f"{FILE} is on this disk and not at {options.out}: {error}"]
    return []
