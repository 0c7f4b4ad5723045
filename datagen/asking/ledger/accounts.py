"""What was spent, may have been spent and is promised: added up record by record, in whatever order the segments are read."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from datagen.asking.ledger.index import KEY, raw
from datagen.records import Outcome, Spend


@dataclass
class Account:
    """What one build spent on one teacher, from its records alone."""

    answered: Spend = field(default_factory=Spend)
    """Recorded answers."""
    possible: Spend = field(default_factory=Spend)
    """Attempts that failed after they may have been billed, at their worst."""
    open: dict[tuple[int | str, str], Spend] = field(default_factory=dict)
    """(segment, key) -> worst case of what was sent and has no end: in flight, or so when its process died. A later answer to the same
    key, in a segment of its own, does not settle it: the first request may have been billed too. (tag, "") -> what is open of a job."""

    @property
    def standing(self) -> Spend:
        """Of that: what is reserved for paid batches under way."""
        return sum((spend for (_, key), spend in self.open.items() if not key), Spend())

    @property
    def in_flight(self) -> Spend:
        """Of that: what was sent online and has no end."""
        return sum((spend for (_, key), spend in self.open.items() if key), Spend())

    @property
    def committed(self) -> Spend:
        """What counts against a cap: spent, possibly spent, and in flight."""
        return sum(self.open.values(), self.answered + self.possible)


@dataclass(frozen=True, slots=True)
class Intent:
    """A paid batch that is about to be submitted."""

    tag: str
    teacher: str
    provider: str
    label: str
    model: str
    at: float
    """Unix seconds. The ledger depends on it nowhere; a search that has lost its spool begins a day before."""
    round: int
    sent: tuple[tuple[str, Spend], ...]
    """Key and worst case of each request."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A job that is not closed."""

    tag: str
    teacher: str
    provider: str
    label: str
    model: str
    at: float
    round: int
    build: str
    """Whose budget it was admitted under; its answers are counted there, whoever records them."""
    id: str
    """The provider's; empty while it is not known to have been accepted."""
    requests: int
    answered: int
    _open: bytes = field(repr=False)

    def open_keys(self) -> list[str]:
        """Requests without an answer or a fault."""
        return ["k1:" + self._open[at : at + KEY].hex() for at in range(0, len(self._open), KEY)]


_INTENT = ("tag", "teacher", "provider", "label", "model", "at", "round")
_PAYER = ("build", "month")


class _Sent:
    """The requests of one job, sorted by key: 41 bytes each, for there may be hundreds of thousands."""

    def __init__(self, sent: Iterable[tuple[str, Spend]]) -> None:
        ordered = sorted((raw(key), spend) for key, spend in sent)
        self._keys = b"".join(key for key, _ in ordered)
        self._worst = array("q", [number for _, spend in ordered for number in (spend.cost, spend.tokens, spend.requests)])
        self._ended = bytearray(len(ordered))
        self.open = sum((spend for _, spend in ordered), Spend())

    def __len__(self) -> int:
        return len(self._ended)

    def end(self, key: bytes) -> bool:
        """Settle a request; False where it is none of this job's, or was settled before."""
        at = self._find(key)
        if at is None or self._ended[at]:
            return False
        self._ended[at] = 1
        self.open -= self._spend(at)
        return True

    def waits(self, key: bytes) -> bool:
        """Whether a request of this job has no end yet."""
        at = self._find(key)
        return at is not None and not self._ended[at]

    def worst(self, key: bytes) -> Spend:
        """Of one request, ended or not; nothing where it is none of this job's."""
        at = self._find(key)
        return Spend() if at is None else self._spend(at)

    def open_keys(self) -> bytes:
        return b"".join(self._key(at) for at in range(len(self)) if not self._ended[at])

    def plain(self) -> list[list[Any]]:
        """[key, cost, tokens, requests, ended] of each, as it stands in the index file."""
        return [["k1:" + self._key(at).hex(), *self._worst[3 * at : 3 * at + 3], self._ended[at]] for at in range(len(self))]

    @classmethod
    def of(cls, plain: Iterable[list[Any]]) -> _Sent:
        rows = list(plain)
        sent = cls((key, Spend(cost, tokens, requests)) for key, cost, tokens, requests, _ in rows)
        for key, *_, ended in rows:
            if ended:
                sent.end(raw(key))
        return sent

    def _find(self, key: bytes) -> int | None:
        at = bisect_left(range(len(self)), key, key=self._key)
        return at if at < len(self) and self._key(at) == key else None

    def _key(self, at: int) -> bytes:
        return self._keys[KEY * at : KEY * at + KEY]

    def _spend(self, at: int) -> Spend:
        return Spend(*self._worst[3 * at : 3 * at + 3])


@dataclass
class Job:
    """A batch as far as the records tell, which may be read in any order: an answer before the intent it belongs to."""

    tag: str
    intent: Mapping[str, Any] | None = None
    """Its record, without what was sent."""
    id: str = ""
    closed: bool = False
    answered: int = 0
    sent: _Sent = field(default_factory=lambda: _Sent(()))
    early: set[str] = field(default_factory=set)
    """Keys that ended before the intent was read."""

    def holds(self, key: bytes) -> bool:
        """Whether it is under way, and a request without an answer is in it."""
        return self.intent is not None and not self.closed and self.sent.waits(key)

    def standing(self) -> Standing | None:
        if self.intent is None or self.closed:
            return None
        words = {name: self.intent[name] for name in (*_INTENT, "build")}
        return Standing(**words, id=self.id, requests=len(self.sent), answered=self.answered, _open=self.sent.open_keys())


class Tally:
    """All accounts and jobs of a ledger."""

    def __init__(self) -> None:
        self.accounts: dict[str, dict[str, Account]] = {}
        """Build -> teacher -> its account."""
        self.months: dict[str, dict[str, Account]] = {}
        """Build -> month in which a run began -> the same records once more, of all teachers."""
        self.jobs: dict[str, Job] = {}
        """By tag, in the order of the intents."""
        self.released: dict[str, int] = {}
        """Build -> the segment before which nothing of it is in flight any more: someone said so."""

    def _books(self, record: Mapping[str, Any]) -> Iterator[Account]:
        """Where a record counts: its build's account with the teacher, and that of its month."""
        build, month = record.get("build", ""), record.get("month", "")
        yield self.accounts.setdefault(build, {}).setdefault(record.get("teacher", ""), Account())
        if month:
            yield self.months.setdefault(build, {}).setdefault(month, Account())

    def count(self, record: Mapping[str, Any], segment: int) -> None:
        """Take one record in: its head is enough."""
        match record["kind"]:
            case "answer" | "forgotten":
                for account in self._settled(record, segment, answered=True):
                    account.answered += spend_of(record)
            case "reserve" if segment > self.released.get(record.get("build", ""), 0):
                sent, worst = (segment, record["key"]), spend_of(record)
                for account in self._books(record):
                    account.open[sent] = account.open[sent] + worst if sent in account.open else worst
            case "fault":
                for account in self._settled(record, segment, answered=False):
                    account.possible += spend_of(record)
            case "intend":
                self._intend(record)
            case "accepted":
                self._job(record["tag"]).id = record["id"]
            case "closed":
                self._close(self._job(record["tag"]))
            case "released":
                self._release(record["build"], segment)

    def standing(self) -> list[Standing]:
        """Jobs that are not closed, oldest first: as their intents were read, for clocks jump."""
        return [standing for job in self.jobs.values() if (standing := job.standing())]

    def payer(self, tag: str) -> dict[str, str] | None:
        """The build a job was admitted under, and the month, as its records name them."""
        job = self.jobs.get(tag)
        return None if job is None or job.intent is None else {name: job.intent[name] for name in _PAYER if job.intent[name]}

    def _release(self, build: str, before: int) -> None:
        self.released[build] = max(before, self.released.get(build, 0))
        for account in (*self.accounts.get(build, {}).values(), *self.months.get(build, {}).values()):
            for sent in [sent for sent in account.open if isinstance(sent[0], int) and sent[0] <= before]:
                del account.open[sent]

    def _settled(self, record: Mapping[str, Any], segment: int, answered: bool) -> tuple[Account, ...]:
        """The accounts of a record, in which what it ends is open no more."""
        books = tuple(self._books(record))
        tag = record.get("job")
        if not tag:
            for account in books:
                account.open.pop((segment, record["key"]), None)
            return books
        job = self._job(tag)
        if job.intent is None:
            job.early.add(record["key"])
            job.answered += answered
        elif job.sent.end(raw(record["key"])):
            job.answered += answered
            self._show(job)
        return books

    def _intend(self, record: Mapping[str, Any]) -> None:
        job = self.jobs[record["tag"]] = self.jobs.pop(record["tag"], Job(record["tag"]))  # to the end
        job.intent = {**{name: record[name] for name in _INTENT}, **{name: record.get(name, "") for name in _PAYER}}
        job.sent = _Sent((key, Spend(*worst)) for key, *worst in record["sent"])
        for key in job.early:
            job.sent.end(raw(key))
        job.early = set()
        self._show(job)

    def _close(self, job: Job) -> None:
        job.closed = True
        self._show(job)

    def _show(self, job: Job) -> None:
        """What is open of a job, in its build's account."""
        if job.intent is None:
            return
        for account in self._books(job.intent):
            if job.closed:
                account.open.pop((job.tag, ""), None)
            else:
                account.open[job.tag, ""] = job.sent.open
        if job.closed:
            job.sent = _Sent(())

    def _job(self, tag: str) -> Job:
        return self.jobs.setdefault(tag, Job(tag))

    def plain(self) -> dict[str, Any]:
        """As JSON, for the index file."""
        jobs = [_plain_job(job) for job in self.jobs.values()]
        return {"accounts": _plain_books(self.accounts), "months": _plain_books(self.months), "jobs": jobs, "released": self.released}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Tally:
        """What `plain` gave."""
        tally = cls()
        tally.released = dict(plain["released"])
        tally.accounts, tally.months = _books_of(plain["accounts"]), _books_of(plain["months"])
        for entry in plain["jobs"]:
            job = Job(entry["tag"], entry["intent"], entry["id"], entry["closed"], entry["answered"], _Sent.of(entry["sent"]), set(entry["early"]))
            tally.jobs[job.tag] = job
            tally._show(job)
        return tally


def owner_of(build: str) -> str:
    """Whose month a build counts in: `textbook/1.0/simulated` is `textbook/simulated`, as all releases of the spec are."""
    name, _, rest = build.partition("/")
    return "/".join([name, *rest.split("/")[1:]])


def in_month(months: Mapping[str, Mapping[str, Account]], owner: str, month: str) -> Spend:
    """What counts against the cap of a month (`2026-11`): of all builds of one spec, spent, possibly spent and in flight."""
    mine = (accounts[month] for build, accounts in months.items() if owner_of(build) == owner and month in accounts)
    return sum((account.committed for account in mine), Spend())


def spend_of(record: Mapping[str, Any]) -> Spend:
    """What a record says of money; in a segment of an earlier version, cost alone."""
    return Spend(record.get("cost", 0), record.get("tokens", 0), record.get("requests", 0))


def intend_record(intent: Intent, payer: Mapping[str, str]) -> dict[str, Any]:
    """One line that reserves all requests of a job."""
    words = {name: getattr(intent, name) for name in _INTENT}
    return {"kind": "intend", **payer, **words, "sent": [[key, *_numbers(worst)] for key, worst in intent.sent]}


def settles(record: Mapping[str, Any]) -> bool:
    """Whether an answer is final: replayed, and never asked again."""
    return record["kind"] == "forgotten" or Outcome(record["outcome"]) is not Outcome.FAILED


def _numbers(spend: Spend) -> list[int]:
    return [spend.cost, spend.tokens, spend.requests]


def _plain_job(job: Job) -> dict[str, Any]:
    known = {"tag": job.tag, "intent": job.intent, "id": job.id, "closed": job.closed, "answered": job.answered}
    return {**known, "sent": job.sent.plain(), "early": sorted(job.early)}


def _plain_books(books: Mapping[str, Mapping[str, Account]]) -> list[list[Any]]:
    return [[build, name, *_plain_account(account)] for build, accounts in books.items() for name, account in accounts.items()]


def _plain_account(account: Account) -> list[Any]:
    """Without what is open of jobs: they are written down themselves."""
    pending = [[*sent, *_numbers(spend)] for sent, spend in account.open.items() if isinstance(sent[0], int)]
    return [_numbers(account.answered), _numbers(account.possible), pending]


def _books_of(plain: Iterable[list[Any]]) -> dict[str, dict[str, Account]]:
    """What `_plain_books` gave."""
    books: dict[str, dict[str, Account]] = {}
    for build, name, answered, possible, pending in plain:
        flying: dict[tuple[int | str, str], Spend] = {(segment, key): Spend(*worst) for segment, key, *worst in pending}
        books.setdefault(build, {})[name] = Account(Spend(*answered), Spend(*possible), flying)
    return books
