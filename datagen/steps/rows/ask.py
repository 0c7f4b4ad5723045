"""ask: render a prompt with the row's fields, ask a teacher, parse the answer into named fields.

How an answer ends decides what becomes of its row: that table is errors.OUTCOMES, and this is where it is read.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from datagen.asking.ledger.book import FORGOTTEN
from datagen.asking.vectors import numbers_of
from datagen.errors import OUTCOMES
from datagen.plan.model import Plan, PlannedStep
from datagen.records import Outcome, Request, Response, Row
from datagen.spec.models import Ask, Teacher
from datagen.spec.returns import Malformed, Parsed, instruction, parse
from datagen.spec.templates import draw, picker
from datagen.steps.work import Work

UNSET = None
"""What a field is where its step was passed by."""
NOTHING = Parsed({})
NO_TEXT = "it holds no text that can be used"
"""Told to a teacher whose answer was malformed before anyone looked for fields: ours, and always the same, since it enters the next key."""


def children(step: PlannedStep, parent: Row) -> list[Row]:
    """The child rows of a fan-out: one a sample, or one an item of the list. Their ids cover parent, step and index."""
    spec = step.spec
    assert isinstance(spec, Ask)
    if spec.each is None:
        return [parent.child(step.name, index, {"sample": index}) for index in range(spec.samples)]
    items = parent.fields.get(spec.each)
    listed = items if isinstance(items, list) else []
    return [parent.child(step.name, index, {"item": item, "position": index}) for index, item in enumerate(listed)]


async def run(step: PlannedStep, row: Row, work: Work, round_: int = 0) -> Row | None:
    """Ask for one row, again where the table says so; None when no usable answer came, with the end in the journal."""
    spec = step.spec
    assert isinstance(spec, Ask)
    chair = work.plan.chairs[spec.of]
    request, drawn = compose(step, row, work.plan, round_)
    if step.embeds and not request.messages[-1][1]:
        return row.having({step.name: UNSET})
    spent: Counter[str] = Counter()
    counts = False
    while True:
        answer = await work.asker.ask(request, spec.of, step.name)
        read = _read(step, answer.response)
        work.journal.call(step, row, chair, request, read.response, answer.asked, read.parsed.repaired)
        if answer.first:
            work.asker.counts.ended(spec.of, step.name, read.response.outcome)
        counts |= answer.counts and answer.response.error != FORGOTTEN.error
        ending = OUTCOMES[read.response.outcome]
        way = WAYS.get(ending.asks_again)
        if way is None or spent[ending.asks_again] >= way.most(spec, chair.spec):
            break
        then = replace(way.asking(request, read, chair.spec), attempt=request.attempt + 1)
        if ending.asks_again == "anew" and not work.asker.asks_anew(request, then):
            break
        spent[ending.asks_again] += 1
        request = then
    if counts:  # the end, not the answers on the way to it: what a second ask mends is no reason to stop
        work.asker.judged(spec.of, read.response.outcome)
    match ending.row:
        case "kept":
            return row.having({**drawn, **_fields(step, row, read)}, {step.name: request.key})
        case "dropped":  # with the answer among its calls: what it said can be looked up
            work.journal.decide(step, row.having({}, {step.name: request.key}), step.verb, str(read.response.outcome), _evidence(request, read))
        case "unanswered" if read.response.error == FORGOTTEN.error:
            work.journal.decide(step, row, step.verb, "taken_down")
        case "unanswered":
            work.journal.unanswered(step, row, read.response, request.key)
    return None


def compose(step: PlannedStep, row: Row, plan: Plan, round_: int = 0) -> tuple[Request, dict[str, Any]]:
    """The request a row sends first, and the values drawn for it from the `vary` lists. Raises SpecError when it cannot be rendered."""
    drawn = _drawn(step, row)
    assert isinstance(step.spec, Ask)
    assert step.prompt is not None
    chair = plan.chairs[step.spec.of]
    sample = int(row.fields["sample"]) if step.spec.samples > 1 else round_
    values = {"sample": 0, **row.fields, **drawn, "round": round_, "pick": picker(row.id, step.name, round_)}
    messages = step.prompt.messages(values)
    native = step.schema is not None and chair.spec.structured == "native"
    if step.schema is not None and not native:
        role, text = messages[-1]
        messages = (*messages[:-1], (role, f"{text}\n\n{instruction(step.schema)}"))
    schema = step.schema if native else None
    head = step.prompt.head() if chair.spec.cache else 0
    return Request(chair.provider, chair.label, chair.model, messages, chair.params(), schema, sample, head=head), drawn


def _drawn(step: PlannedStep, row: Row) -> dict[str, Any]:
    """What `vary` gives this row. A value once drawn stays with the row and its `each` children; every sample draws anew."""
    assert isinstance(step.spec, Ask)
    stays = {} if step.spec.samples > 1 else row.fields
    return {name: draw(options, row.id, name) if stays.get(name) is None else stays[name] for name, options in step.lists.items()}


# --- what was said ---


@dataclass(frozen=True, slots=True)
class _Reading:
    """An answer with its final outcome: only who knows the wanted fields can say that one is malformed."""

    response: Response
    parsed: Parsed = NOTHING
    fault: str = ""
    """What a teacher is told of a malformed answer."""


def _read(step: PlannedStep, response: Response) -> _Reading:
    if response.outcome is Outcome.ANSWERED and step.dimensions is not None:
        found = len(numbers_of(response.text))
        if found != step.dimensions:
            error = f"a vector of {found} numbers where {step.dimensions} were asked for"
            response = replace(response, outcome=Outcome.MALFORMED, error=error)
    if response.outcome is not Outcome.ANSWERED or step.schema is None:
        return _Reading(response, fault=NO_TEXT)
    try:
        return _Reading(response, parse(step.schema, response.text))
    except Malformed as error:
        return _Reading(replace(response, outcome=Outcome.MALFORMED, error=str(error)), fault=str(error))


def _fields(step: PlannedStep, row: Row, read: _Reading) -> dict[str, Any]:
    """What the answer gives the row: its text, its fields, and beside them how the teacher thought.

    A round of a `repeat` whose answer lacks reasoning or log-probabilities takes those of the round before away.
    """
    response = read.response
    beside = {f"{step.name}_reasoning": response.reasoning or None, f"{step.name}_logprobs": _logprobs(response.logprobs or ())}
    return {step.name: response.text, **read.parsed.fields, **{name: value for name, value in beside.items() if value or name in row.fields}}


def _logprobs(tokens: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """[{token, logprob, top: [{token, logprob}]}], the same shape for every token, so that a typed column can be made of them.

    `top` is there where any token has alternatives. A probability of zero, which some servers send as -Infinity, has no number in JSON.
    """
    named = any(token.get("top") for token in tokens)
    return [_pair(token) | ({"top": [_pair(other) for other in token.get("top") or ()]} if named else {}) for token in tokens] or None


def _pair(token: Mapping[str, Any]) -> dict[str, Any]:
    logprob = token.get("logprob")
    known = isinstance(logprob, int | float) and math.isfinite(logprob)
    return {"token": str(token.get("token", "")), "logprob": float(logprob) if known and logprob is not None else None}


def _evidence(request: Request, read: _Reading) -> str:
    return f"{read.response.error or read.response.stop_reason}; max_tokens was {request.params.get('max_tokens')}"


# --- asking again ---


@dataclass(frozen=True, slots=True)
class _Way:
    """One way of asking once more."""

    most: Callable[[Ask, Teacher], int]
    asking: Callable[[Request, _Reading, Teacher], Request]


def _raises(_: Ask, teacher: Teacher) -> int:
    return int(teacher.raise_to is not None and teacher.raise_to > teacher.max_tokens)


def _raised(request: Request, _: _Reading, teacher: Teacher) -> Request:
    """The same messages with more room for the answer."""
    return replace(request, params={**request.params, "max_tokens": teacher.raise_to})


def _shows(step: Ask, _: Teacher) -> int:
    return step.reask


def _shown(request: Request, read: _Reading, _: Teacher) -> Request:
    """The answer, and what was wrong with it."""
    said = (("assistant", read.response.text),) if read.response.text.strip() else ()
    asked = ("user", f"That answer cannot be used: {read.fault}. Answer again, with only what was asked for.")
    return replace(request, messages=(*request.messages, *said, asked))


def _by_word(_: Ask, __: Teacher) -> int:
    """Each time costs a person a word, which is bound enough; Asker.asks_anew knows whether it was said."""
    return sys.maxsize


def _anew(request: Request, _: _Reading, __: Teacher) -> Request:
    """The same, for a teacher that may take it now."""
    return request


WAYS: dict[str, _Way] = {"raised": _Way(_raises, _raised), "shown": _Way(_shows, _shown), "anew": _Way(_by_word, _anew)}
"""By the words of Ending.asks_again; `next_run` is for the next run."""
