"""Every answer ever paid for: append-only segments of checked JSON lines, one writer each, readable with DuckDB in one line.

    SELECT kind, key, response.text FROM read_json('ledger/*.jsonl', ignore_errors = true)

Kinds: `reserve` (written before a request is sent, with its worst case), then `answer` or `fault` (what became of it). A reserve without
an end was in flight when its process died; it counts as spent. A paid batch has one `intend` that reserves all its requests, `accepted`
with the provider's id, an answer or fault for each request that ended, and `closed`, which gives back what never ran. `forgotten` stands
where an answer was taken down; `released` gives back, by a person's word, what dead processes of a build had in flight. A line is in
the file before `record` returns (survives kill -9) and on the disk within SYNC_SECONDS (survives power loss but for that). Of two answers
to one key the one with the lowest (segment, offset) wins. No line tells the time, and a clock may jump as it likes: `month` is a word
that a run is given once, when it begins, as `build` is, and all it sends counts there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from datagen.asking.ledger.accounts import Account, Intent, Standing, Tally, intend_record, settles
from datagen.asking.ledger.cache import read_cache, write_cache
from datagen.asking.ledger.care import verify
from datagen.asking.ledger.index import Index, Place, raw
from datagen.asking.ledger.offsite import Offsite
from datagen.asking.ledger.segments import (
    Segment,
    Torn,
    gaps,
    head_of,
    holds,
    lines,
    lock,
    opened,
    parsed,
    sealed,
    sealed_answer,
    segment_id,
    segment_name,
    segments,
)
from datagen.errors import TeacherFault
from datagen.records import Outcome, Request, Response, Spend, Usage

OPEN_FILES = 64
"""Segments that one ledger keeps open for reading: a nightly build on many workers leaves thousands."""
FORGOTTEN = Response(Outcome.REJECTED, error="forgotten: taken down")
"""What the ledger says to a request whose answer was taken down: final, so that it is never asked again."""


class Ledger:
    """The ledger of one folder, as one process sees it: an index of all segments, and one segment of its own to write. One thread's."""

    def __init__(
        self,
        folder: Path,
        build: str,
        writer: int = 0,
        *,
        month: str = "",
        offsite: Offsite | None = None,
        skip: Callable[[int], bool] | None = None,
        since: int | None = None,
    ) -> None:
        """`build` names what the records are for (`rationale/1`), `month` the one that pays (`2026-11`), if they are counted by months;
        `writer` tells processes of one build apart; `offsite`: the copy of this folder on an object store, to which all that is recorded here
        is sent; segments that `skip` names are left out, but for what the index file has of them; `since`: the last segment of earlier runs, where
        others of this run may have written before; else the last that is there."""
        self.folder = folder
        self._offsite = offsite
        self.build = build
        self.month = month
        self._mine = {"build": build, **({"month": month} if month else {})}
        self._writer = writer
        self._skip = skip
        self._segment: Segment | None = None
        self._readers: dict[int, int] = {}
        self._bad: set[Place] = set()
        cache, self.torn = read_cache(folder)
        self._index = Index(cache.run if cache else None)
        self._tally = cache.tally if cache else Tally()
        self._read_to = cache.covers if cache else {}
        """Segment -> bytes of it that are counted and indexed."""
        self.torn += cache.torn if cache else []
        self._grown = cache is None
        self.refresh()
        self._name_gaps()
        self._old = max(self._read_to, default=0) if since is None else since
        """The last segment of earlier runs."""

    @property
    def newest(self) -> int:
        """The last segment of earlier runs."""
        return self._old

    @property
    def accounts(self) -> dict[str, dict[str, Account]]:
        """Build -> teacher -> what was spent, may have been, and is promised."""
        return self._tally.accounts

    @property
    def months(self) -> dict[str, dict[str, Account]]:
        """Build -> month -> the same of all teachers; of records that name a month."""
        return self._tally.months

    def __len__(self) -> int:
        return self._index.keys()

    def __contains__(self, key: str) -> bool:
        if not self._bad:
            return self._index.has(raw(key))
        return any(place not in self._bad for place in self._index.find(raw(key)))

    def is_new(self, key: str) -> bool:
        """Whether the answer was recorded since this ledger was opened, by whatever process of this build."""
        places = self._index.find(raw(key))
        return bool(places) and places[0].segment > self._old

    def get(self, key: str) -> Response | None:
        """The recorded final answer to a request, or None; also where its record is damaged, which `torn` then names."""
        line = self._line(key)
        if line is None:
            return None
        record = parsed(line)
        return FORGOTTEN if record["kind"] == "forgotten" else response_of(record["response"])

    def entry(self, key: str) -> dict[str, Any] | None:
        """The whole record of an answer: request as sent, response, build. None also where it was taken down."""
        line = self._line(key)
        record = None if line is None else opened(line)
        return record if record and record["kind"] == "answer" else None

    def reserve(self, request: Request, teacher: str, worst: Spend) -> None:
        """Note that a request is about to be sent and what it may take at most. Raises LedgerError where nothing more may be paid for."""
        self._require()
        self._append({"kind": "reserve", "key": request.key, **self._mine, "teacher": teacher, **_money(worst)})

    def fault(self, key: str, teacher: str, fault: TeacherFault, spent: Spend, job: str = "") -> None:
        """Note that an attempt failed; `spent` is its worst case where it may have been billed, else nothing."""
        said = {"fault": fault.kind, "status": fault.status, "message": str(fault)[:500], "body": fault.body}
        self._append({"kind": "fault", "key": key, **self._payer(teacher, job), **_money(spent), **said})

    def record(self, request: Request, teacher: str, response: Response, spent: Spend, job: str = "") -> None:
        """Write an answer down. After this returns the answer survives the death of the process."""
        head = {"kind": "answer", "key": request.key, **self._payer(teacher, job), "outcome": response.outcome, **_money(spent)}
        line = sealed_answer(head, request, response)
        segment = self._own()
        offset = segment.write(line)
        self._took(head, segment.id, offset, len(line))

    def intend(self, intent: Intent) -> None:
        """Note that a paid batch is about to be submitted: one line that reserves all its requests. Raises as `reserve` does."""
        self._require()
        self._append(intend_record(intent, self._mine))

    def accepted(self, tag: str, id: str) -> None:
        """Note that the provider took a batch, and what it calls it."""
        self._append({"kind": "accepted", "tag": tag, "id": id})

    def closed(self, tag: str, word: str) -> None:
        """Note that nothing more will come of a batch; what is open of it is given back, for what never ran is not billed."""
        self._append({"kind": "closed", "tag": tag, "word": word})

    def released(self) -> None:
        """Note that nothing of this build is in flight any more: what its dead processes left without an end is given back."""
        self._append({"kind": "released", "build": self.build})

    def standing(self) -> list[Standing]:
        """Every batch of this ledger that is not closed, oldest first: also those of other builds."""
        return self._tally.standing()

    def under_way(self, key: str) -> str:
        """The tag of the batch under way in which a request stands without an answer; empty where there is none."""
        return next((tag for tag, job in self._tally.jobs.items() if job.holds(raw(key))), "")

    def batches(self) -> dict[str, str]:
        """Tag -> what the provider calls it, of every batch of this ledger, the closed ones too; '' where it is not known to be accepted."""
        return {tag: job.id for tag, job in self._tally.jobs.items()}

    def intended(self) -> set[str]:
        """Tags of batches whose intent is on record, or that are closed in any case."""
        return {tag for tag, job in self._tally.jobs.items() if job.intent is not None or job.closed}

    def reserved(self, tag: str, key: str) -> Spend:
        """The worst case of one request of a batch under way; nothing where it is none of its own."""
        job = self._tally.jobs.get(tag)
        return job.sent.worst(raw(key)) if job else Spend()

    def refresh(self) -> None:
        """See what other writers have appended since."""
        own = self._segment.id if self._segment else 0
        for path in segments(self.folder):
            number = segment_id(path)
            if number != own and not (self._skip and self._skip(number)) and path.stat().st_size > self._read_to.get(number, 0):
                self._read(path, number)

    def save_index(self) -> None:
        """Bring the index file up to date. For the holder of the lock alone. A disk that is full keeps the old one, which still serves."""
        if self._grown and self._read_to:
            with contextlib.suppress(OSError):
                write_cache(self.folder, self._index, self._tally, self._read_to, self.torn)
                self._grown = False

    def close(self) -> None:
        try:
            if self._segment is not None:
                self._segment.close()
                if self._offsite is not None:
                    self._offsite.end(self._segment.path)
        finally:
            self._segment = None
            for descriptor in self._readers.values():
                os.close(descriptor)
            self._readers.clear()
            self._index.close()

    def _payer(self, teacher: str, job: str) -> dict[str, str]:
        """Whose money it is: a job's answers are paid for by the build that submitted it, whichever build finds them."""
        if not job:
            return {**self._mine, "teacher": teacher}
        return {**(self._tally.payer(job) or self._mine), "teacher": teacher, "job": job}

    def _require(self) -> None:
        if self._offsite is not None:
            self._offsite.require()

    def _append(self, record: Mapping[str, Any]) -> None:
        line, segment = sealed(record), self._own()
        self._took(record, segment.id, segment.write(line), len(line))

    def _own(self) -> Segment:
        if self._segment is None:
            lost = (segment_id(Path(torn.segment)) for torn in self.torn if torn.what == "missing")
            self._segment = Segment(self.folder, self._writer, [*self._read_to, *lost])
            if self._offsite is not None:
                self._offsite.begin(self._segment.path)
        return self._segment

    def _took(self, head: Mapping[str, Any], segment: int, offset: int, length: int) -> None:
        """Count and index a record that stands in a file."""
        self._tally.count(head, segment)
        if head["kind"] in ("answer", "forgotten") and settles(head):
            self._index.add(raw(head["key"]), segment, offset, length)
        self._read_to[segment] = offset + length
        self._grown = True

    def _read(self, path: Path, number: int) -> None:
        """Take in what stands in a segment behind what is known of it. A torn end may be a line that is being written: it is looked at again."""
        self.torn = [torn for torn in self.torn if torn.what != "torn" or torn.segment != path.name]
        for offset, line, torn in lines(path, self._read_to.get(number, 0)):
            if torn is None:
                self._took(head_of(line), number, offset, len(line))
                continue
            self.torn.append(torn)
            if torn.what == "damaged":
                self._read_to[number] = offset + len(line)

    def _name_gaps(self) -> None:
        named = {torn.segment[:6] for torn in self.torn}
        self.torn += [Torn(f"{number:06d}", 0, "missing") for number in gaps(self._read_to) if f"{number:06d}" not in named]

    def _line(self, key: str) -> bytes | None:
        """The line of the answer that wins, checked; a damaged one is named and passed over."""
        for place in self._index.find(raw(key)):
            if place in self._bad:
                continue
            line = self._at(place)
            if holds(line) and key.encode() in line[:100]:
                return line
            self._bad.add(place)
            self.torn.append(Torn(segment_name(place.segment), place.offset, "damaged" if line else "missing"))
        return None

    def _at(self, place: Place) -> bytes:
        """The bytes at a place; none where the segment has gone."""
        if place.segment not in self._readers:
            if len(self._readers) >= OPEN_FILES:
                os.close(self._readers.pop(next(iter(self._readers))))
            try:
                self._readers[place.segment] = os.open(self.folder / segment_name(place.segment), os.O_RDONLY)
            except FileNotFoundError:
                return b""
        return os.pread(self._readers[place.segment], place.length, place.offset)


_RESPONSE = frozenset(part.name for part in fields(Response))


def response_of(plain: Mapping[str, Any]) -> Response:
    """A Response from its record."""
    known = {name: value for name, value in plain.items() if name in _RESPONSE}
    return Response(**{**known, "outcome": Outcome(plain["outcome"]), "usage": Usage(**plain["usage"])})


def accounts_of(paths: Sequence[Path]) -> dict[str, dict[str, Account]]:
    """Build -> teacher -> what was spent and may have been, by these segments alone."""
    tally = Tally()
    for path in paths:
        for _, line, torn in lines(path):
            if torn is None:
                tally.count(head_of(line), segment_id(path))
    return tally.accounts


def compact(folder: Path) -> dict[str, dict[str, Account]]:
    """Bring the index file up to date: for the build at its end, while it still holds the lock and when its workers have closed. Returns
    the accounts: build -> teacher -> what was spent, may have been, and is promised."""
    book = Ledger(folder, "")
    book.save_index()
    book.close()
    return book.accounts


def _money(spend: Spend) -> dict[str, int]:
    return {"cost": spend.cost, "tokens": spend.tokens, "requests": spend.requests}


__all__ = ["Account", "Intent", "Ledger", "Standing", "compact", "lines", "lock", "opened", "response_of", "sealed", "segments", "verify"]
