"""The jobs that stand: whose requests they hold, what of the budget, and whether the provider is known to have taken them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from datagen.asking.ask import need_of
from datagen.asking.batches.desk import Desk
from datagen.asking.batches.queue import Till, total
from datagen.asking.batches.search import Search
from datagen.asking.batches.spool import FOLDER, HEAD, Entry, Spool, spool_path, sweep
from datagen.asking.ledger.book import Intent, Ledger
from datagen.records import Spend, digest


@dataclass
class Work:
    """One job."""

    desk: Desk
    tag: str
    teacher: str
    """As it was called by whoever submitted it."""
    build: str
    at: float
    open: set[str]
    """Keys without a result; nobody sends them meanwhile."""
    requests: int = 0
    id: str = ""
    entries: list[Entry] = field(default_factory=list)
    """What it is made of, where this run submitted it."""
    search: Search | None = None
    silent_since: float | None = None
    """Since when the provider does not say how it is."""
    bare_since: float | None = None
    """Since when it is said to be complete, with no word of its results."""
    odd: str = ""
    """The provider's word for how it is, where nobody knows that word."""
    odd_since: float | None = None
    gone_since: float | None = None
    """Since when it has ended and its results are not there."""
    doubt: str = ""
    """What came in place of a reply to its submission."""

    def settles(self) -> bool:
        """Whether it will soon be known if it was ever taken, or what it brought."""
        return self.gone_since is not None if self.id else not (self.search and self.search.undecided)


class Works:
    """Every job of this ledger that a desk of this build can ask for. The ledger is written first, then this follows."""

    def __init__(self, ledger: Ledger, desks: Mapping[str, Desk], till: Till) -> None:
        self.settled = 0
        """How often something was settled, so that there may be money and requests again."""
        self._ledger = ledger
        self._desks = desks
        self._till = till
        self._works: dict[str, Work] = {}

    def __len__(self) -> int:
        return len(self._works)

    def __iter__(self) -> Iterator[Work]:
        return iter(list(self._works.values()))

    def of(self, desk: Desk) -> list[Work]:
        return [work for work in self if work.desk is desk]

    def hold(self, key: str) -> bool:
        """Whether a request is in a job already."""
        return any(key in work.open for work in self._works.values())

    def unresolved(self, desk: Desk) -> bool:
        """Whether a job of this account may or may not have been accepted: where jobs carry no tag, two of them could not be told apart."""
        return any(not work.id and work.desk.account == desk.account for work in self)

    def take_stock(self) -> list[str]:
        """What stands in the ledger; spools of what does not are swept, but for a damaged ledger, of which they may be all that is left.
        Returns what a person should know."""
        whole = all(torn.what == "torn" for torn in self._ledger.torn)  # as every kill may leave it
        notes = [] if whole else list(self._mended())
        standing = self._ledger.standing()
        if whole:
            sweep(self._ledger.folder, {job.tag for job in standing})
        self._works = {}
        for job in standing:
            desk = self._desk_of(job.teacher, (job.provider, job.label, job.model))
            if desk is not None:
                self._works[job.tag] = Work(desk, job.tag, job.teacher, job.build, job.at, set(job.open_keys()), job.requests, job.id)
        return notes

    def _mended(self) -> Iterator[str]:
        """Intents that a damaged ledger lost, made anew from their spools: their jobs may run, and must not be submitted twice."""
        known = self._ledger.intended()
        for path in sorted((self._ledger.folder / FOLDER).glob("*.jsonl")):
            with Spool(path) as spool:
                head = spool.head if set(HEAD) <= set(spool.head) and path.stem not in known else {}
                desk = self._desk_of(head["teacher"], (head["provider"], head["label"], head["model"])) if head else None
                if desk is None:
                    continue
                asked = [request for key in spool.order() if (request := spool.request(key))]
                sent = tuple((request.key, need_of(request, desk.seat.price).worst) for request in asked)
            self._ledger.intend(Intent(**{name: head[name] for name in HEAD}, sent=sent))
            yield f"batch {path.stem}: its intent was lost with a damaged ledger, and is made anew from its spool ({len(sent):,} requests)"

    def claim(self, desk: Desk, keys: list[str], at: float) -> Work:
        """A job to be; nobody else sends these requests from here on.

        Every intent makes the ledger's count of them larger, so the same requests never get the same tag again.
        """
        tag = "b-" + digest([self._ledger.build, desk.name, len(self._ledger.batches()), keys])
        self._works[tag] = Work(desk, tag, desk.name, self._ledger.build, at, set(keys))
        return self._works[tag]

    async def drop(self, work: Work) -> None:
        """Give up a claim of which nothing is on record."""
        del self._works[work.tag]
        if work.entries:
            await self._give(work, total(work.entries), Spend())

    async def close(self, work: Work, word: str) -> list[Entry]:
        """Nothing more will come of a job; returns what this run may have to send again."""
        owed = self.owed(work)
        self._ledger.closed(work.tag, word)
        del self._works[work.tag]
        spool_path(self._ledger.folder, work.tag).unlink(missing_ok=True)
        await self._give(work, owed, Spend())
        return work.entries

    def owed(self, work: Work) -> Spend:
        """What is still reserved for a job, by the ledger."""
        account = self._ledger.accounts.get(work.build, {}).get(work.teacher)
        return account.open.get((work.tag, ""), Spend()) if account else Spend()

    async def settle(self, work: Work, before: Spend, used: Spend) -> None:
        """After a harvest: `before` is what was owed at its start."""
        await self._give(work, before - self.owed(work), used)

    async def _give(self, work: Work, worst: Spend, used: Spend) -> None:
        """Settle with the governor, where the money is this build's."""
        self.settled += 1
        if work.build == self._ledger.build and work.teacher in self._desks:
            await self._till.give(work.teacher, worst, used)

    def _desk_of(self, teacher: str, model: tuple[str, str, str]) -> Desk | None:
        """The desk that serves a job, the one of its own name first. None where no teacher of this spec is that model there."""
        named = self._desks.get(teacher)
        desks = [*([named] if named else []), *self._desks.values()]
        return next((desk for desk in desks if desk.serves == model), None)
