"""The words of a spec: pure data, validated as it is read. A typo is an error; nothing here knows how the work is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, PositiveFloat, PositiveInt, Tag, field_validator, model_validator

from datagen.spec.duplicates import DedupWords
from datagen.spec.terms import Batch, Budget, Fields, Guard, Name, Notify, Price, Release, Words


class Teacher(Words):
    """Who answers. `model` is `provider/name`: openai/..., anthropic/..., responses/..., azure/..., bedrock/..., vertex/..., simulator/...; or
    embeddings/..., who gives vectors."""

    model: str = Field(pattern=r"^[a-z]+/.+$")
    mode: Literal["online", "batch"] = "online"
    """`batch`: the provider's batch API, within a day and at half the price."""
    batch: Batch = Batch()
    base_url: str | None = None
    """Any OpenAI-compatible server: vLLM, Ollama, llama.cpp, a proxy."""
    label: str | None = None
    """Names the endpoint in every request key, so that a moved server keeps its answers. Default: the origin of base_url."""
    api_key_env: str | None = None
    """Environment variable that holds the key. Default: OPENAI_API_KEY or ANTHROPIC_API_KEY."""
    max_tokens: PositiveInt = 2048
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Where the model has one; today's Claude models have none: use `vary`."""
    raise_to: PositiveInt | None = None
    """The max_tokens with which a truncated answer is asked for once more. Default: its row is dropped as `truncated`."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Further parameters under their wire names: top_p, stop, reasoning_effort, thinking, ..."""
    client: dict[str, str] = Field(default_factory=dict)
    """Where a cloud's model is: azure {azure_endpoint, api_version}, bedrock {aws_region}, vertex {project_id, region}."""
    cache: bool = True
    """Mark prompt heads that all rows share for the provider's prompt cache."""
    structured: Literal["native", "prompt"] = "native"
    """How a JSON answer is asked for: by the provider's JSON schema, or in words for servers without one."""
    requests_per_minute: PositiveInt | None = None
    input_tokens_per_minute: PositiveInt | None = None
    output_tokens_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    """Input and output together, where the provider limits them so."""
    max_in_flight: PositiveInt = 64
    """Upper bound of requests at once; sustained overload lowers what is used."""
    timeout: PositiveFloat = 600.0
    """Seconds one attempt may take."""
    attempts: PositiveInt = 8
    """Attempts after faults that may have been billed; waiting for a limit is not an attempt."""
    patience: PositiveFloat = 900.0
    """Seconds that a teacher who has answered before may be out of service; meanwhile one request at a time probes."""
    budget: Budget = Budget()
    """Caps of this teacher alone, beside the release's."""
    price: Price | None = None
    unpriced: bool = False
    """True says by name that this model costs nothing that should be counted."""


class Seeds(Words):
    """Where rows begin: one source with its parameters, and how many to take."""

    source: str
    """A name on the seeds shelf: grid, table, documents, problems."""
    params: Any
    take: PositiveInt | None = None
    rename: dict[str, str] = Field(default_factory=dict)
    """Source field -> name in the row."""
    also: list[str] = Field(default_factory=list)
    """Files of further seeds, taken whole beside `take`: those that OUT/coverage says are missing, or any Parquet, JSONL or CSV of rows with
    the same fields. Add to the list and the data set grows; take a file away and its seeds are gone."""

    @model_validator(mode="before")
    @classmethod
    def _one_source(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or "source" in value:
            return value
        words = ("take", "rename", "also")
        named = [key for key in value if key not in words]
        if len(named) != 1:
            raise ValueError(f"seeds need exactly one source (grid, table, documents, problems), found {named or 'none'}")
        rest = {key: value[key] for key in value if key in words}
        return {"source": named[0], "params": value[named[0]], **rest}


class Step(Words):
    """One line of the pipeline: a name, then exactly one verb."""

    name: Name
    when: str | None = None
    """An expression over the row's fields; where it is false the row passes by and the step's fields are None."""

    verb: ClassVar[str]


class Embedding(Words):
    """A text itself in place of a prompt."""

    embed: Fields
    """Field, or fields taken together, of which the teacher gives a vector. A blank text has none, and is not asked about."""


class Ask(Step):
    """Render a prompt with the row's fields and ask a teacher; or have a text embedded: `ask: {embed: text}` writes the vector into the step's
    field, as text, and no release has it unless `release.columns` names it."""

    ask: str | Embedding
    """A prompt: prompts/<family>/<name>.md.j2, named `family/name`."""
    of: str
    """Which teacher."""
    returns: dict[Name, Any] | None = None
    """Fields of a JSON answer: {score: {int: [1, 5]}, fault: str, sections: {list: str, at_most: 8}}."""
    samples: PositiveInt = 1
    """So many separate requests; more than one makes a child row of each."""
    each: Name | None = None
    """A list field: one child row per item, which the prompt sees as `item` and `position`."""
    in_order: bool = False
    """With `each`: children one after another; the prompt sees `previous`."""
    reask: int = Field(default=1, ge=0, le=5)
    """How often a malformed answer is asked for again, with the error shown."""
    vary: dict[Name, Any] = Field(default_factory=dict)
    """As the spec's `vary`, for this step alone."""

    verb: ClassVar[str] = "ask"

    @model_validator(mode="before")
    @classmethod
    def _a_vector_is_one_answer(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not isinstance(value.get("ask"), Mapping | Embedding):
            return value
        refused = sorted({"returns", "samples", "each", "in_order", "reask", "vary"} & {name for name, given in value.items() if given})
        if refused:
            raise ValueError(f"a text has one vector: `ask: {{embed: ...}}` takes no {' and no '.join(refused)}")
        return {**value, "reask": 0}


class Check(Step):
    """Verify a claim: math against gold, code against tests, text against a schema."""

    check: dict[str, dict[str, Any]]
    """One claim on the operators shelf with its parameters: {math: {on: solution, gold: answer}}."""
    gate: bool = True
    """Drop rows whose claim fails; false only writes what was found."""

    verb: ClassVar[str] = "check"


class Filter(Step):
    """Judge a row by a recipe: operators in order, each with thresholds."""

    filter: str | list[dict[str, dict[str, Any] | None]]
    """A recipe of filters/, or the list itself."""
    on: str | None = None
    """Field for operators that do not name one."""

    verb: ClassVar[str] = "filter"


class VoteWords(Words):
    on: str
    """The field that is compared between siblings."""
    at_least: float = Field(default=0.0, ge=0)
    """Rows whose answer has fewer votes are dropped: a share of the group if below 1, else a count."""


class Vote(Step):
    """Agreement among the children of one parent: writes <name> (votes / group size) and <name>_answer."""

    vote: VoteWords
    verb: ClassVar[str] = "vote"


class SelectWords(Words):
    where: str | None = None
    """Only children for which this holds can win; a group with none is dropped."""
    best: list[str] = Field(default_factory=list)
    """Expressions, first decides; higher is better. Ties fall to the row's id."""
    keep: PositiveInt = 1
    """Winners per group."""
    fold: Name | None = None
    """Field of the winner that receives what lost: [{field: value, ...}]."""


class Select(Step):
    """The best of each group; what lost can be folded into the winner."""

    select: SelectWords
    verb: ClassVar[str] = "select"


class Dedup(Step):
    """Near-duplicates within the release and against all released rows."""

    dedup: DedupWords
    verb: ClassVar[str] = "dedup"


class DecontaminateWords(Words):
    on: Fields
    against: list[str] = Field(min_length=1)
    """Reference sets: names in the library's benchmarks/, or paths of Parquet or JSONL with a `question` or `text` column."""
    ngram: int = Field(default=10, ge=4, le=50)
    """Words of the n-grams that are compared."""
    missing: Literal["error", "warn"] = "error"
    """What a reference set that is not there means; `warn` says so in the plan and on the card."""
    drop: tuple[Literal["verbatim", "rephrased", "same_template"], ...] = ("verbatim", "rephrased")
    """Classes of leaks whose rows are dropped; the others are told in the verdict of the kept row, and counted on the card. `same_template`
    is the item's wording with other numbers: no leak of its answer."""
    share: float = Field(default=0.5, gt=0, le=1)
    """Share of a reference item's n-grams found in the row from which it counts as leaked."""


class Decontaminate(Step):
    """Leakage of benchmark items, with the matched item and the evidence."""

    decontaminate: DecontaminateWords
    verb: ClassVar[str] = "decontaminate"


class MixWords(Words):
    by: str
    """The field whose values share the release."""
    at_most: PositiveInt | dict[str, PositiveInt]
    """Rows per value, or a number for each."""


class OpeningsWords(Words):
    openings: str
    """The text field whose first words are compared."""
    words: int = Field(default=4, ge=1, le=50)
    at_most: float = Field(default=0.05, gt=0)
    """Rows that may begin alike: a share of the rows that are kept (`5%` or 0.05), or a count of rows. One row always may."""
    prefer: str | None = None
    """Expression; of rows that begin alike the higher stays. Then the lower id."""

    @field_validator("at_most", mode="before")
    @classmethod
    def _share(cls, value: Any) -> Any:
        number = value.strip().removesuffix("%").strip() if isinstance(value, str) and value.strip().endswith("%") else ""
        share = float(number) / 100 if number.replace(".", "", 1).isdigit() else value
        if isinstance(share, float) and not 0 < share < 1:
            raise ValueError(f"a share is above 0 and below 100 %, which is no limit at all; a count of rows is a whole number; found {value}")
        return share


def _which_mix(value: Any) -> str:
    given = value if isinstance(value, Mapping) else vars(value) if isinstance(value, Words) else {}
    return OpeningsWords.__name__ if "openings" in given else MixWords.__name__


class Mix(Step):
    """Quotas: at most so many rows per value of a field, lowest ids first; or per opening of a text."""

    mix: Annotated[Annotated[MixWords, Tag(MixWords.__name__)] | Annotated[OpeningsWords, Tag(OpeningsWords.__name__)], Discriminator(_which_mix)]
    verb: ClassVar[str] = "mix"


class RepeatWords(Words):
    at_most: Annotated[int, Field(ge=1, le=20)]
    until: str
    """Expression; the loop ends when it holds."""
    steps: list[Annotated[Ask | Check, Field(union_mode="left_to_right")]] = Field(min_length=1)


class Repeat(Step):
    """Go round until it is good enough: revise on failure, multi-turn, evolve. The prompt sees `round`."""

    repeat: RepeatWords
    verb: ClassVar[str] = "repeat"


class Bank(Words):
    """Recorded real answers for the simulated teacher."""

    path: str
    question: str = "question"
    answer: str = "answer"


class SimulatedLimits(Words):
    """What the simulated server enforces; None: nothing."""

    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    burst: PositiveFloat = 10.0
    """Seconds' worth that may come at once."""
    promise: PositiveFloat = 1.0
    """Factor by which the headers promise more (or less) than is given."""


class SimulatedBatches(Words):
    """How the simulated batch APIs behave. Times are in seconds; `seconds`: from the end of validation to the results."""

    seconds: PositiveFloat = 0.5
    validation: float = Field(default=0.0, ge=0)
    listing: float = Field(default=0.0, ge=0)
    """Until the list of jobs shows an accepted one."""
    expire: float = Field(default=0.0, ge=0, le=1)
    """Share of jobs that expire with half of their results."""
    fail: float = Field(default=0.0, ge=0, le=1)
    """Share of jobs that fail validation (OpenAI; Anthropic knows no such state)."""
    errors: float = Field(default=0.0, ge=0, le=1)
    """Share of requests that end in the error file, with a 500 (OpenAI) or `errored` (Anthropic)."""
    lost: float = Field(default=0.0, ge=0, le=1)
    """Share of submissions that are accepted and whose reply is lost."""
    garbled: float = Field(default=0.0, ge=0, le=1)
    """Share of jobs with a duplicate, an unknown and a missing custom id in their results."""


class Rehearsal(Words):
    """How the simulated teacher behaves when this spec is rehearsed."""

    seed: int = 0
    bank: Bank | None = None
    latency: str = "0"
    """Seconds: `0.2`, or `lognormal:MEDIAN,SIGMA`."""
    defects: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """Share of answers with each planted defect: {wrong_answer: 0.05, refusal: 0.02, ...}."""
    faults: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """Share of requests with each server fault: {rate_limited: 0.05, error: 0.02, reset: 0.01, malformed: 0.005}."""
    outages: list[tuple[float, float, Literal["error", "reset", "refused"]]] = Field(default_factory=list)
    """[[10, 70, error]]: from second 10 to 70 of its life every request gets 500, or a reset, or nobody listens."""
    limits: SimulatedLimits = SimulatedLimits()
    batches: SimulatedBatches = SimulatedBatches()


AnyStep = Ask | Check | Filter | Vote | Select | Dedup | Decontaminate | Mix | Repeat
VERBS: dict[str, type[Step]] = {
    "ask": Ask,
    "check": Check,
    "filter": Filter,
    "vote": Vote,
    "select": Select,
    "dedup": Dedup,
    "decontaminate": Decontaminate,
    "mix": Mix,
    "repeat": Repeat,
}


class Spec(Words):
    """One pipeline, from seeds to release."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    about: str = ""
    seeds: Seeds
    vary: dict[Name, Any] = Field(default_factory=dict)
    """Lists (or list files of the library) from which one value is drawn per row and sample, seeded by the row's id."""
    teachers: dict[Name, Teacher] = Field(default_factory=dict)
    steps: list[AnyStep] = Field(default_factory=list)
    release: Release = Release()
    guard: Guard = Guard()
    notify: Notify | None = None
    rehearsal: Rehearsal = Rehearsal()
