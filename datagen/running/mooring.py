"""A build whose folders lie on an object store: they are mirrored on this disk while it has the lock, and nobody sees a release half made."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from datagen.asking.ledger.offsite import Offsite
from datagen.depot.lease import Lease
from datagen.depot.mirror import Mirror
from datagen.depot.names import mirrors
from datagen.depot.store import Depot, folder_of, is_url
from datagen.errors import DatagenError, OutputError, SetupError
from datagen.steps.courier import Post, rescue

LEDGER = "ledger"
MANIFEST = "manifest.json"
RECORD = "run.json"
_STEPS = re.compile(r"steps/")
_PART_MANIFEST = re.compile(r"steps/(?:.*/)?(?:parts/[^/]+|manifest)\.json")
_LOOK = 30.0
"""Seconds for which one who only reads waits for a store that is out of reach."""
Place = Path | str
"""A folder of this disk, or the url of one on an object store."""


class Mooring:
    """What of a build lies on an object store, and how it gets there. For folders of this disk nothing is to be done."""

    def __init__(self, out: Place, ledger: Place | None, work: Path | None, patience: float) -> None:
        """`work`: the folder of all mirrors; see `folder_of`. `patience`: seconds, also of a lease."""
        self.out = _depot(out, patience)
        self.ledger = _depot(ledger, patience) if ledger else self.out.sub(LEDGER) if self.out else None
        self._mirror = Mirror(self.out, folder_of(out, work), _of_out) if self.out else None
        self.offsite = Offsite(self.ledger, book_of(out, ledger, work), self.require) if self.ledger else None
        self._leases: list[Lease] = []
        self._work = work
        self._posted = False
        """True once workers elsewhere were hired."""
        self.root = folder_of(out, work)
        """OUT on this disk."""

    @property
    def locked(self) -> list[Depot]:
        """What only one run may have at a time: the ledger, and an OUT that lies elsewhere."""
        within = self.out and self.ledger and self.ledger.url == f"{self.out.url}/{LEDGER}"
        return [depot for depot in (self.ledger, None if within else self.out) if depot]

    def require(self) -> None:
        """Raises LedgerError where this run may not go on. Costs nothing."""
        for lease in self._leases:
            lease.require()

    def hold(self, lease: Lease) -> None:
        self._leases.append(lease)

    def pull(self) -> None:
        """Begin with what lies there, and with what a run and its workers that died here could not send."""
        if self.ledger and self.out:
            _rescue(self.ledger, self.out, self._work)
        if self.offsite:
            self.offsite.gather()
        if self._mirror:
            self._mirror.pull(first=MANIFEST)

    def settle(self) -> None:
        """The ledger, its key index, and what stands under steps/: as others are to find it."""
        self._confirm()
        if self.offsite:
            self.offsite.settle()
        self.push_steps()
        if self.out:
            send_record(self.out, self.root, [RECORD])

    def push(self) -> None:
        """All that was made: the ledger, the steps, the shards, what is written about them, and last the manifest that names them."""
        self.settle()
        if self._mirror:
            self._mirror.push(_is_data, lambda name: not (_is_data(name) or _STEPS.match(name) or name == MANIFEST), remove=-1)
            self._confirm()
            self._mirror.push(_is_data, lambda name: name == MANIFEST, remove=1)

    def gather(self) -> None:
        """What workers elsewhere have recorded. A store that is away is no error: the next run gathers before it does anything."""
        if self.offsite and self._posted:
            with contextlib.suppress(DatagenError):
                self.offsite.gather(beside=False)

    def rescuing(self) -> Callable[[], None] | None:
        """What is to be run on the machine of a dead worker, to send what it recorded; picklable. None where nothing is sent."""
        if not self._posted or self.out is None or self.ledger is None:
            return None
        return functools.partial(_rescue, self.ledger, self.out, self._work)

    def take_steps(self) -> None:
        """What workers elsewhere have made."""
        if self._mirror:
            self._mirror.take(lambda name: bool(_STEPS.match(name)))

    def post(self) -> Post | None:
        """For workers that share no disk with this process; None where OUT lies on a disk, which they must share.

        Raises SetupError where OUT and the ledger do not lie together.
        """
        if (self.out is None) != (self.ledger is None):
            raise SetupError("workers on Ray need OUT and the ledger together: both on an object store, or both on a disk that all of them share")
        if self.out is None or self.ledger is None:
            return None
        self._posted = True
        return Post(self.out, self.ledger, self._work, self._leases[0].number, self._leases[0].seconds)

    def push_steps(self) -> None:
        """cohorts.json first, and what is stale goes with it: what stays belongs to the plan it names. Of each part the manifest comes last."""
        if self._mirror:
            self._mirror.push(
                lambda name: name == "steps/cohorts.json",
                lambda name: bool(_STEPS.match(name)) and name != "steps/cohorts.json" and not _PART_MANIFEST.match(name),
                lambda name: bool(_PART_MANIFEST.match(name)),
            )

    def _confirm(self) -> None:
        for lease in self._leases:
            lease.confirm()


def _rescue(ledger: Depot, out: Depot, work: Path | None) -> None:
    for _, lock in rescue(ledger, out, work):
        lock.close()


@contextlib.contextmanager
def moored(out: Place, ledger: Place | None, work: Path | None, patience: float, run: str, tell: Callable[[str], None]) -> Iterator[Mooring]:
    """Hold the lock, begin with what lies there, and bring back what was made, also by a build that stops.

    Raises LedgerError where another run has the lock, SetupError where the store cannot be used.
    """
    mooring = Mooring(out, ledger, work, patience)
    if mooring.out:
        require_build(out, mooring.out.entries())
    with contextlib.ExitStack() as stack:
        for depot in mooring.locked:
            mooring.hold(stack.enter_context(Lease(depot, run, tell, patience)))
        mooring.pull()
        try:
            yield mooring
        except BaseException as error:
            try:
                mooring.push()
            except DatagenError as second:
                error.add_note(f"what was made is on this disk and not on the store: {second}")
            raise
        mooring.push()


def send_record(depot: Depot, root: Path, names: Sequence[str]) -> None:
    """Bring what a run says of itself to where its OUT lies, beside all that is mirrored. Raises SetupError where that is out of reach."""
    for name in names:
        if (root / name).exists():
            depot.send(name, root / name)


def require_build(out: Place, names: Sequence[str]) -> None:
    """Raises OutputError where a folder that is not empty holds no build: it is somebody else's."""
    if names and not {"steps", "data", LEDGER, MANIFEST, "plan.json", RECORD} & set(names):
        raise OutputError(f"{out} is not empty and holds no build ({names[0]}, ...); give an empty or a new folder with --out")


def visited(out: Place, ledger: Place | None, work: Path | None, wants: Callable[[str], bool], book: bool = True) -> tuple[Path, Path]:
    """OUT and its ledger on this disk, to read: what lies on an object store is fetched into a folder beside the mirror of a build, which
    may be under way. `wants`: the names under OUT; `book`: the ledger too. Raises SetupError where there is no such store."""
    here, place = _reading(out, work), ledger or (f"{out}/{LEDGER}" if is_url(out) else Path(out) / LEDGER)
    there = here / LEDGER if ledger is None else _reading(place, work)
    if is_url(out):
        Mirror(Depot(str(out), _LOOK), here, lambda name: name == MANIFEST or (_of_out(name) and wants(name))).pull(first=MANIFEST)
    if is_url(place) and book:
        Offsite(Depot(str(place), _LOOK), there).gather()
    return here, there


def _reading(place: Place, work: Path | None) -> Path:
    folder = folder_of(place, work)
    return mirrors(folder.with_name(f"{folder.name}-read"), str(place)) if is_url(place) else folder


def book_of(out: Place, ledger: Place | None, work: Path | None) -> Path:
    """The folder of the ledger on this disk."""
    return folder_of(ledger, work) if ledger else folder_of(out, work) / LEDGER


def _depot(place: Place, patience: float) -> Depot | None:
    return Depot(str(place), patience) if is_url(place) else None


def _is_data(name: str) -> bool:
    return name.startswith(("data/", "seeds/"))


def _of_out(name: str) -> bool:
    return not name.startswith((f"{LEDGER}/", "lock/"))
