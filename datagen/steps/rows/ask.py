"""ask: render a prompt with the row's fields, ask a teacher, parse the answer into named fields."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from datagen.plan.model import Plan, PlannedStep
from datagen.records import Outcome, Request, Response, Row
from datagen.spec.models import Ask
from datagen.spec.returns import Malformed, instruction, parse
from datagen.spec.templates import draw, picker
from datagen.steps.work import Work

UNSET = None
"""What a field is where its step was passed by."""


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
    """Ask for one row; None when no usable answer came, with the outcome in the journal."""
    spec = step.spec
    assert isinstance(spec, Ask)
    request, drawn = compose(step, row, work.plan, round_)
    for attempt in range(spec.reask + 1):
        response = await work.asker.ask(request, spec.of, step.name)
        work.journal.call(step, row, spec.of, request, response, request.key in work.asker.asked)
        try:
            fields = _fields(step, response)
        except Malformed as error:
            response = _malformed(response, error)
            if attempt < spec.reask:
                request = _again(request, response)
                continue
        break
    if response.outcome is not Outcome.ANSWERED:
        work.journal.unanswered(step, row, response, request.key)
        return None
    return row.having({**drawn, **fields}, {step.name: request.key})


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
    return Request(chair.provider, chair.label, chair.model, messages, chair.params(), step.schema if native else None, sample), drawn


def _drawn(step: PlannedStep, row: Row) -> dict[str, Any]:
    """What `vary` gives this row. A value once drawn stays with the row and its `each` children; every sample draws anew."""
    assert isinstance(step.spec, Ask)
    stays = {} if step.spec.samples > 1 else row.fields
    return {name: draw(options, row.id, name) if stays.get(name) is None else stays[name] for name, options in step.lists.items()}


def _fields(step: PlannedStep, response: Response) -> dict[str, Any]:
    """What the answer gives the row. Raises Malformed when the wanted fields are not in it."""
    reasoning = {f"{step.name}_reasoning": response.reasoning} if response.reasoning else {}
    if response.outcome is Outcome.MALFORMED:
        raise Malformed(response.error or "it could not be used")
    if response.outcome is not Outcome.ANSWERED:
        return {}
    if step.schema is None:
        return {step.name: response.text, **reasoning}
    return {step.name: response.text, **parse(step.schema, response.text), **reasoning}


def _malformed(response: Response, error: Malformed) -> Response:
    return replace(response, outcome=Outcome.MALFORMED, error=str(error))


def _again(request: Request, response: Response) -> Request:
    """The deliberate second ask: the answer, what was wrong with it, and a new attempt number in the key."""
    said = (("assistant", response.text),) if response.text.strip() else ()
    asked = ("user", f"That answer cannot be used: {response.error}. Answer again, with only what was asked for.")
    return Request(
        request.provider,
        request.label,
        request.model,
        (*request.messages, *said, asked),
        request.params,
        request.schema,
        request.sample,
        request.attempt + 1,
    )
