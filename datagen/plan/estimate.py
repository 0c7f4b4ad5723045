"""What a build would ask and cost: requests per step, tokens, dollars expected and at worst, time at the set limits, rounds of batches."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from datagen.asking.prices import beside, cost, input_bound
from datagen.plan.model import Chair, Plan, PlannedStep
from datagen.records import NANO, Request, Response, Row, Spend, Usage
from datagen.spec.models import Ask, Repeat
from datagen.spec.templates import evaluate, expression_variables

CHARACTERS_PER_TOKEN = 4
"""Of English; used for what is expected, never for what is reserved."""
UNSEEN_SHARE = 0.5
"""Share of max_tokens that an answer is expected to fill where none has been seen."""
REASK_BYTES = 1_000
"""What a second ask adds beside the answer it did not like: the error and two messages' marks, roughly bounded."""
BYTES_PER_TOKEN = 6
"""Upper bound of UTF-8 bytes an answer's token can hold in a later prompt; long words of Latin text stay below."""
FIELD_BYTES = 2_000
"""Allowed for each name in a prompt that waits, beside what is known of it: for fields no one has seen, and for what a template makes of a value."""
BATCH_DAYS = 1
"""Within which OpenAI and Anthropic end a batch, answered or expired."""


@dataclass
class AskCount:
    """One ask step: what the ledger holds, and what would be asked. What two rows ask alike is asked, and counted, once."""

    step: PlannedStep
    recorded: int = 0
    missing: int = 0
    """Requests that can be rendered now and have no answer."""
    alike: int = 0
    """Rows that wait for one of the missing which another row asks too: they go on by themselves."""
    later: int = 0
    """Requests whose prompts wait for other answers; at most so many."""
    waiting: int = 0
    """Bytes of a prompt of these, at most."""
    waiting_mean: float = 0.0
    """Characters of a prompt of these, as expected."""
    characters: int = 0
    """Of the missing requests."""
    longest: int = 0
    """Input tokens that the longest of them has at most."""
    output: int = 0
    """Output tokens of the recorded answers, for the length of those to come."""
    timed: int = 0
    seconds: float = 0.0
    """Recorded answers whose time is known, and their time."""
    _keys: set[bytes] = field(default_factory=set)

    @property
    def to_ask(self) -> int:
        return self.missing + self.later

    @property
    def stopped(self) -> int:
        """Rows that wait here."""
        return self.missing + self.alike

    def found(self, request: Request, response: Response) -> None:
        """The ledger has the answer."""
        if self._first(request):
            self.recorded += 1
            self.output += response.usage.output
            self.timed += bool(response.seconds)
            self.seconds += response.seconds

    def lacks(self, request: Request) -> None:
        """The ledger has no answer."""
        if not self._first(request):
            self.alike += 1
            return
        self.missing += 1
        self.characters += sum(len(text) for _, text in request.messages) + beside(request)
        self.longest = max(self.longest, input_bound(request))

    def _first(self, request: Request) -> bool:
        key = bytes.fromhex(request.key[3:])
        known = key in self._keys
        self._keys.add(key)
        return not known


@dataclass(frozen=True)
class Line:
    """One line of the plan: dollars are None where the teacher has no price."""

    step: str
    teacher: str
    requests: int
    recorded: int
    to_ask: int
    input_tokens: int
    output_tokens: int
    expected: float | None
    worst: float | None
    minutes: float | None
    """At the limits per minute and the requests in flight; None where nothing limits and no answer's time is known, and for batches."""
    most: Spend
    """Tokens and requests at worst, as a budget counts them."""


@dataclass
class _Length:
    """How long one field is, over the rows seen."""

    rows: int = 0
    characters: int = 0
    longest: int = 0
    """UTF-8 bytes."""

    def see(self, value: Any) -> None:
        text = str(value)
        self.rows += 1
        self.characters += len(text)
        if len(text) * 4 > self.longest:  # a character has four bytes at most: most values need no encoding
            self.longest = max(self.longest, len(text.encode("utf-8", "surrogatepass")))


class _Waiting:
    """What the seeds with something missing say of later requests. They are seen one at a time and none is kept: there may be millions."""

    def __init__(self, plan: Plan) -> None:
        self._asks = [inner for step in plan.steps for inner, _ in asks_of(step)]
        self._conditions = {step.name: (step.spec.when, expression_variables(step.spec.when, "")) for step in self._asks if step.spec.when}
        self._used = {name for step in self._asks if step.prompt for name in step.prompt.variables()}
        self._lists = {step.spec.each for step in self._asks if isinstance(step.spec, Ask) and step.spec.each}
        self._seeds = 0
        self._barred: Counter[str] = Counter()
        self._lengths: defaultdict[str, _Length] = defaultdict(_Length)
        for name, option in ((name, option) for step in self._asks for name, options in step.lists.items() for option in options):
            self._lengths[name].see(option)

    def see(self, seed: Row) -> None:
        self._seeds += 1
        for step, (when, variables) in self._conditions.items():
            self._barred[step] += variables <= set(seed.fields) and not evaluate(when, seed.fields)
        for name in self._used & set(seed.fields):
            self._lengths[name].see(seed.fields[name])
        for item in (item for name in self._lists if isinstance(items := seed.fields.get(name), list) for item in items):
            self._lengths["item"].see(item)

    def able(self, step: PlannedStep) -> int:
        """Seeds for which `when` holds, or may: where it reads what only an answer gives."""
        return self._seeds - self._barred[step.name]

    def input(self, plan: Plan, step: PlannedStep) -> tuple[int, float]:
        """(bytes at most, characters expected) of a prompt that cannot be rendered yet: its own text, what seeds and lists are known to put
        in wherever it names them, and every answer it uses at its whole length, of which half is expected."""
        assert step.prompt is not None
        named = step.prompt.mentions()
        own = len((step.prompt.system + step.prompt.body).encode())
        answers = [plan.chairs[_teacher(earlier)].longest for earlier in self._asks if named.keys() & set(earlier.writes)]
        unknown = own + sum(answers) * BYTES_PER_TOKEN + FIELD_BYTES * len(named)
        known = [(times, self._lengths[name]) for name, times in named.items() if name in self._lengths]
        longest = sum(times * length.longest for times, length in known)
        return unknown + longest, unknown / 2 + sum(times * length.characters / length.rows for times, length in known)


def expected_later(plan: Plan, waiting_seeds: Iterable[Row], counts: Mapping[str, AskCount]) -> None:
    """Carry what is missing at one step on to the later ones: each fan-out multiplies it by its bound.

    `waiting_seeds`: the seeds with something missing. A later step with a `when` over their fields sees at most what these can give.
    """
    seeds = _Waiting(plan)
    for seed in waiting_seeds:
        seeds.see(seed)
    waiting, per_seed = 0, 1
    for step in plan.steps:
        waiting *= fan_out(plan, step)
        per_seed *= fan_out(plan, step)
        stopped = sum(counts[inner.name].stopped for inner, _ in asks_of(step))
        for inner, rounds in asks_of(step):
            count = counts[inner.name]
            reach = min(waiting, per_seed * seeds.able(inner))
            count.later += (reach + stopped) * rounds - count.stopped
            count.waiting, count.waiting_mean = seeds.input(plan, inner)
        waiting += stopped


def asks_of(step: PlannedStep) -> list[tuple[PlannedStep, int]]:
    """The asks in a step, each with how often a row may come by."""
    if isinstance(step.spec, Repeat):
        return [(inner, step.spec.repeat.at_most) for inner in step.inner if isinstance(inner.spec, Ask)]
    return [(step, 1)] if isinstance(step.spec, Ask) else []


def fan_out(plan: Plan, step: PlannedStep) -> int:
    """How many rows one row becomes, at most."""
    if not isinstance(step.spec, Ask):
        return 1
    if step.spec.each is None:
        return step.spec.samples
    for earlier in (inner for before in plan.steps[: step.number - 1] for inner in (before, *before.inner)):
        bound = ((earlier.schema or {}).get("properties", {}).get(step.spec.each) or {}).get("maxItems")
        if bound:
            return int(bound)
    return SEED_LIST


SEED_LIST = 16
"""Items assumed in a list that comes with the seeds; those that are there now are counted exactly."""


def line_of(plan: Plan, count: AskCount) -> Line:
    """The numbers of one ask step."""
    step, chair = count.step, plan.chairs[_teacher(count.step)]
    output = count.output / count.recorded if count.output else chair.longest * UNSEEN_SHARE
    input_tokens = int((count.characters + count.later * count.waiting_mean) / CHARACTERS_PER_TOKEN)
    output_tokens = int(count.to_ask * output)
    most = _most(chair, count)
    return Line(
        step=step.name,
        teacher=chair.name,
        requests=count.recorded + count.to_ask,
        recorded=count.recorded,
        to_ask=count.to_ask,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        expected=_dollars(chair, input_tokens, output_tokens, count.to_ask),
        worst=None if chair.price is None else most.cost / NANO,
        minutes=None if chair.spec.mode == "batch" else _minutes(chair, count, input_tokens, output_tokens),
        most=most,
    )


def _teacher(step: PlannedStep) -> str:
    assert isinstance(step.spec, Ask)
    return step.spec.of


def _dollars(chair: Chair, input_tokens: int, output_tokens: int, requests: int) -> float | None:
    if chair.price is None:
        return None
    if not requests:
        return 0.0
    one = Usage(input=input_tokens // requests, output=output_tokens // requests)
    return cost(chair.price, one) * requests / NANO


def _most(chair: Chair, count: AskCount) -> Spend:
    """Every request at its bound, every answer at its longest, and each asked for again as often as the spec lets it."""
    total = Spend()
    for number, first in ((count.missing, count.longest), (count.later, count.waiting)):
        for input_tokens, output_tokens in _tries(chair, count.step, first):
            tokens = input_tokens + output_tokens
            total += Spend(number * _price(chair, input_tokens, output_tokens), number * tokens, number)
    return total


def _tries(chair: Chair, step: PlannedStep, first: int) -> list[tuple[int, int]]:
    """(input, output) tokens of the dearest way to one answer. `first`: input of the first request.

    Truncated at once where `raise_to` allows for that, since then all that follows may be as long; then malformed as often as `reask` says,
    each time with one more answer and error in the prompt.
    """
    assert isinstance(step.spec, Ask)
    longest = max(chair.longest, chair.spec.raise_to or 0)
    grown = longest * BYTES_PER_TOKEN + REASK_BYTES
    cut = [(first, chair.longest)] if longest > chair.longest else []
    return cut + [(first + again * grown, longest) for again in range(1 + step.spec.reask)]


def _price(chair: Chair, input_tokens: int, output_tokens: int) -> int:
    """Nano-dollars of one request at worst; 0 where the spec waives the price."""
    if chair.price is None:
        return 0
    rates = chair.price.worst(input_tokens)
    total = input_tokens * max(rates.input, rates.cached, rates.cache_write) + output_tokens * rates.output + rates.call
    return -(-total // rates.per)


def _minutes(chair: Chair, count: AskCount, input_tokens: int, output_tokens: int) -> float | None:
    limits = (
        (chair.spec.requests_per_minute, count.to_ask),
        (chair.spec.input_tokens_per_minute, input_tokens),
        (chair.spec.output_tokens_per_minute, output_tokens),
        (chair.spec.tokens_per_minute, input_tokens + output_tokens),
    )
    times = [amount / limit for limit, amount in limits if limit]
    if count.timed:
        times.append(count.to_ask * count.seconds / count.timed / chair.spec.max_in_flight / 60)
    return max(times, default=None)


# --- paid batches ---


@dataclass(frozen=True)
class Rounds:
    """How often the build sends batches off and waits for them: the longest chain of answers that one row needs one after another."""

    expected: int
    worst: int
    """With every answer asked for again as often as the spec lets it, every loop to its end, every list at its bound."""

    @property
    def days(self) -> int:
        """At worst; most batches end within the hour. A batch that expires adds a round for what it left."""
        return self.worst * BATCH_DAYS


def rounds_of(plan: Plan, counts: Mapping[str, AskCount]) -> Rounds:
    """Over the asks of teachers with `mode: batch` that have something left to ask. Rows go through their rounds side by side."""
    expected = worst = 0
    for step in plan.steps:
        for inner, loops in asks_of(step):
            chair = plan.chairs[_teacher(inner)]
            if chair.spec.mode != "batch" or not counts[inner.name].to_ask:
                continue
            chain = fan_out(plan, inner) if isinstance(inner.spec, Ask) and inner.spec.in_order else 1
            expected += chain
            worst += chain * loops * len(_tries(chair, inner, 0))
    return Rounds(expected, worst)
