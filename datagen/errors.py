"""What can go wrong, whose fault it is, and the exit code of each kind.

    DatagenError
    |-- SpecError          2   a spec, prompt or recipe is wrong; whoever wrote it can mend it
    |-- SeedError          3   seeds that cannot be read, are empty, or lack a column that is needed
    |-- SetupError         4   this machine lacks something: a key, a package, a folder it may write to
    |-- LedgerError        5   the ledger is in use by another build, or cannot be read or written
    |-- OutputError        6   OUT belongs to another spec, or the change needs --yes
    |-- TeacherStopped     7   the provider refuses to go on: key, permission, unknown model, no answer for too long
    |   `-- TeacherPaused 11   quota or spend limit: nothing is wrong but the account; resumable when it is raised
    |-- BudgetReached      8   the cap would be passed; what was in flight has landed; resumable
    |-- TooManyFailures    9   an error share over a real window says that something is wrong; resumable
    |-- Unanswered        10   the release is out, but rows were left without an answer
    |-- LowYield          12   the pilot kept too few rows to go on paying; resumable
    |-- Waiting           13   paid batches are under way and --no-wait was given; the same command goes on later
    |-- Interrupted      130   Ctrl-C or SIGTERM; resumable by the same command
    `-- TeacherFault       -   one request failed; never leaves `asking`: a bad answer is data, not a crash

What becomes of a request stands in two tables below: FAULTS, for an attempt that brought no answer, and OUTCOMES, for how a request
ended. Nothing else in the house decides either.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


class DatagenError(Exception):
    """Anything the person at the terminal can act on; the message says what to do."""

    exit_code = 1


class SpecError(DatagenError):
    """A spec, prompt or recipe is wrong."""

    exit_code = 2


class SeedError(DatagenError):
    """Seeds cannot be read, are empty, or lack a needed column."""

    exit_code = 3


class SetupError(DatagenError):
    """This machine lacks something the build needs."""

    exit_code = 4


class LedgerError(DatagenError):
    """The ledger is in use, or cannot be read or written."""

    exit_code = 5


class OutputError(DatagenError):
    """OUT belongs to another spec, or the change needs --yes."""

    exit_code = 6


class TeacherStopped(DatagenError):
    """The provider refuses to go on; nothing more is sent."""

    exit_code = 7


class TeacherPaused(TeacherStopped):
    """A quota or a spend limit is used up; the same command goes on when it is raised."""

    exit_code = 11


class BudgetReached(DatagenError):
    """The next request would not fit under the cap."""

    exit_code = 8


class TooManyFailures(DatagenError):
    """The error share over a real window is too high to go on paying."""

    exit_code = 9
    outcome = ""
    """Of the answers that were too many."""


class Unanswered(DatagenError):
    """The release is complete but for rows that were left without an answer."""

    exit_code = 10


class LowYield(DatagenError):
    """The pilot kept a smaller share of its rows than the spec asks for."""

    exit_code = 12


class Waiting(DatagenError):
    """Paid batches are under way, and this run was asked not to wait for them."""

    exit_code = 13


class Interrupted(DatagenError):
    """The build was asked to stop; the same command goes on."""

    exit_code = 130


FaultKind = Literal["rate_limited", "overloaded", "transient", "unreachable", "rejected", "filtered", "exhausted", "stopped"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What becomes of a request whose attempt ended in a fault."""

    again: bool
    """Send it again: after `retry-after` (no attempt spent) or after a backoff (one attempt spent)."""
    waits: bool
    """True where waiting is not an attempt."""
    maybe_billed: bool
    """The provider may have charged for the attempt, so its worst case stays counted."""


FAULTS: dict[FaultKind, Policy] = {
    "rate_limited": Policy(again=True, waits=True, maybe_billed=False),  # 429
    "overloaded": Policy(again=True, waits=True, maybe_billed=False),  # 529, 503
    "transient": Policy(again=True, waits=False, maybe_billed=True),  # 408, 409, 5xx, reset, timeout, unreadable body
    "unreachable": Policy(again=True, waits=False, maybe_billed=False),  # refused, no such host: nothing was sent
    "rejected": Policy(again=False, waits=False, maybe_billed=False),  # 400, 413, 422: this request only
    "filtered": Policy(again=False, waits=False, maybe_billed=False),  # 400 with a filter's code: the prompt itself
    "exhausted": Policy(again=False, waits=False, maybe_billed=False),  # 402, quota, spend limit: the run pauses
    "stopped": Policy(again=False, waits=False, maybe_billed=False),  # 401, 403, 404, a wrong address: the run stops
}


@dataclass(frozen=True, slots=True)
class Ending:
    """What becomes of a row whose request ended so."""

    row: Literal["kept", "dropped", "unanswered"]
    asks_again: Literal["", "raised", "shown", "anew", "next_run"] = ""
    """One more request: with `raise_to` tokens (once), or with the error shown (`reask` times), or as it was on `--again`, each with an
    attempt number in its key; or the same request by the next run."""
    counts: bool = True
    """It counts as an error in the share that stops a build."""


OUTCOMES: dict[str, Ending] = {
    "answered": Ending("kept", counts=False),
    "truncated": Ending("dropped", asks_again="raised"),
    "refused": Ending("unanswered"),
    "filtered": Ending("unanswered"),
    "malformed": Ending("unanswered", asks_again="shown"),
    "rejected": Ending("unanswered", asks_again="anew"),
    "failed": Ending("unanswered", asks_again="next_run"),
}
"""By the words of records.Outcome. All are recorded and, but for `failed`, replayed: none is ever paid for twice."""


class TeacherFault(DatagenError):
    """One attempt at one request failed; `kind` picks the row of FAULTS."""

    def __init__(self, kind: FaultKind, message: str, *, retry_after: float | None = None, status: int | None = None, body: str = "") -> None:
        super().__init__(message)
        self.kind: FaultKind = kind
        self.retry_after = retry_after
        """Seconds the provider asked us to wait; None when it did not say."""
        self.status = status
        self.body = body
        """The provider's answer, cut at 2,000 characters, for the ledger."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'length'? known: length, language, ...`: the end of every message about an unknown name."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    guess = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{guess} known: {', '.join(names) or 'none'}"
