"""The terms of a build: prices, budgets, what leaves the house, when to stop, whom to tell; and what all words of a spec share."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
"""A step, teacher or field name: it becomes a column, so it is lower case with underscores."""


class Words(BaseModel):
    """Base of all: frozen, and what is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _some(value: str | list[str]) -> str | list[str]:
    if not value or (isinstance(value, list) and "" in value):
        raise ValueError("names no field: write a field, or a list of fields taken together")
    return value


Fields = Annotated[str | list[str], AfterValidator(_some)]
"""A field, or fields taken together."""


class Batch(Words):
    """How a teacher with `mode: batch` is asked. The provider's own limits hold besides."""

    at_once: PositiveInt = 8
    requests: PositiveInt = 50_000
    megabytes: PositiveFloat = 200
    """Jobs under way at once; requests of a job and size of its file, at most."""
    poll: PositiveFloat = 30
    """Seconds between two looks at the jobs."""
    settling: PositiveFloat = 300
    """Seconds within which the provider's list shows a job that it accepted; only after is a lost submission made again."""


class Price(Words):
    """US dollars per million tokens, for a model that the price table lacks or prices otherwise. With `mode: batch`: the price of a batch."""

    input: float = Field(ge=0, lt=1e9)
    output: float = Field(ge=0, lt=1e9)
    cached_input: float | None = Field(default=None, ge=0, lt=1e9)
    cache_write: float | None = Field(default=None, ge=0, lt=1e9)


class Budget(Words):
    """Caps over all runs that lead to one release; what might have been spent counts too."""

    usd: float | None = Field(default=None, gt=0, lt=1e9)
    tokens: PositiveInt | None = None
    """Input and output together."""
    requests: PositiveInt | None = None
    """Sent ones; failed ones that may have been billed too."""


class ReleaseBudget(Budget):
    """Caps of a release, and one for all releases of this spec in a month."""

    usd_per_month: float | None = Field(default=None, gt=0, lt=1e9)
    """US dollars a calendar month (UTC), over all builds of this name on one ledger. What was sent counts in the month in which its run
    began, also when the run died; a run goes on with the month it began in."""


class Push(Words):
    """Where the release goes when it is pushed; a build pushes only with --push."""

    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    private: bool = True


class Release(Words):
    """What leaves the house."""

    format: str = "text"
    """A name on the formats shelf: text, chat, instruction, rationale, preference."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Column of the format -> field of the row, where the names differ: {text: section}."""
    drop: list[str] = Field(default_factory=list)
    """Fields that do not leave."""
    task: str | None = None
    """The value of the released `task` column. Default: the name of the spec."""
    licence: str | None = None
    """Of the seeds and prompts, as an identifier of the Hub: cc-by-4.0, mit, ..."""
    language: list[str] = Field(default_factory=lambda: ["en"])
    rows_per_shard: PositiveInt = 10_000
    split: dict[Annotated[str, Field(pattern=r"^[a-z]+$")], str | float] = Field(default_factory=dict)
    """Share of questions or seeds per split beside train: {validation: 1%}."""
    budget: ReleaseBudget = ReleaseBudget()
    push: Push | None = None
    allow_unanswered: float = Field(default=0.0, ge=0, le=1)
    """Share of rows without an answer up to which the exit code is 0."""


class Canaries(Words):
    """Rows planted beside a build's own, to measure what its judging steps miss and what they drop for nothing. They are never released."""

    count: int = Field(default=40, ge=0, le=100_000)
    """Bad ones for the filters: damage done to rows of the build; and as many for each check, dedup and decontamination; and of the good ones.
    0: none."""
    good: list[str] = Field(default_factory=list)
    """Known-good texts: a name (gsm8k, humaneval, mbpp, openstax, gpteacher, from $DATAGEN_SHARED/data), or NAME=FILE:FIELD, or
    seeds:FIELD for a field of the build's own seeds (documents, say) that no step judges.
    A check is tried with those that hold what it reads: gsm8k for answers and arithmetic, humaneval and mbpp for code, and files of yours
    with columns of the names that it reads."""


class Collapse(Words):
    """When the texts of one value of a grid's axis are so much alike that the build says so.

    Of a thousand rows that people or teachers wrote, no twenty in six public sets come near: the most alike share an opening .21, runs .12.
    """

    rows: int = Field(default=20, ge=20)
    """Texts of a value that must have come before it counts."""
    openings: float = Field(default=0.4, gt=0, le=1)
    """Share of texts that begin with the same four words."""
    repetition: float = Field(default=0.25, gt=0, le=1)
    """Share of the runs of four words that stand in another of twenty texts."""
    stop: bool = False
    """Stop the build, in place of a warning."""

    def met(self, rows: int, opening_share: float, repetition: float) -> bool:
        """Whether so many texts with these figures count as collapsed."""
        return rows >= self.rows and (opening_share >= self.openings or repetition >= self.repetition)


BadEnd = Literal["truncated", "refused", "filtered", "malformed", "rejected", "failed"]


class Guard(Words):
    """When to stop paying although nothing is broken."""

    error_share: Annotated[float, Field(gt=0, le=1)] | dict[BadEnd, Annotated[float, Field(gt=0, le=1)]] = 0.2
    """Share of a teacher's last answers with one outcome from which the build stops; for all, or {refused: 0.5, ...}."""
    window: int = Field(default=50, ge=50)
    """So many answers must have come before the share counts; it is that of the last ten times as many."""
    pilot: int = Field(default=50, ge=0)
    """So many rows go through the whole line first, to project yield and price; 0: none."""
    canaries: Canaries = Canaries()
    """`canaries: 200`, or {count: 200, good: [gsm8k]}."""
    collapse: Collapse | None = Collapse()
    """What counts as the collapse of a topic, or of another value of the grid; null: nobody looks."""
    min_yield: float | None = Field(default=None, gt=0)
    """Curated rows a seed that the pilot must give: the build waits for it, and stops there below."""

    @field_validator("canaries", mode="before")
    @classmethod
    def _counted(cls, value: object) -> object:
        return {"count": value} if isinstance(value, int) and not isinstance(value, bool) else value


Event = Literal["finish", "pause", "failure"]


class Notify(Words):
    """Whom to tell how a run ended: run.json is posted as JSON, with a `text` for chat rooms."""

    url_env: str
    """Environment variable with the webhook's address, which is a secret: it is never printed nor written down."""
    on: list[Event] = Field(default=["finish", "pause", "failure"], min_length=1)
    """`finish`: a release is out, or there was nothing to do; `pause`: the same command goes on later; `failure`: someone must look."""

    @field_validator("url_env")
    @classmethod
    def _a_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):  # what stands there may be the address: it is not shown
            raise ValueError("url_env is the name of an environment variable, such as DATAGEN_WEBHOOK; the address is a secret and stands in there")
        return value
