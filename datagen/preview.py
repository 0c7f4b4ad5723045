"""Before paying: the prompts as they would be sent, and what a build would ask, reuse, change and cost."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from datagen.asking.ledger.accounts import in_month
from datagen.asking.ledger.book import Ledger
from datagen.asking.ledger.imports import place, take, told
from datagen.asking.teachers import TEACHERS
from datagen.asking.teachers.base import Endpoint
from datagen.build import Options, build, planned
from datagen.inspect import explain
from datagen.plan.estimate import Line, Rounds, expected_later, line_of, rounds_of
from datagen.plan.model import Plan, PlannedStep, Sown
from datagen.records import Row, Spend, digest
from datagen.running.money import left_of, month_of
from datagen.running.replay import replay
from datagen.running.telling.record import utc_now
from datagen.spec.load import Loaded, load_spec
from datagen.spec.models import Ask, Teacher
from datagen.spec.terms import Budget, Price
from datagen.steps.cohort import new_and_gone
from datagen.steps.rows.ask import compose
from datagen.storage import read_json, read_rows


def preview(spec: str, rows: int, ask: bool, library: Path | None, teacher: str | None, unsafe_sandbox: bool = False) -> Iterator[str]:
    """The first prompts of a few seeds; then, where it is free or asked for, answers and verdicts."""
    loaded = load_spec(spec, library)
    options = Options(spec, Path(), limit=rows, library=library, teacher=teacher, unsafe_sandbox=unsafe_sandbox)
    with planned(loaded, options) as (plan, sown):
        first = next((step for step in plan.steps if isinstance(step.spec, Ask)), None)
        for row in sown.rows():
            yield from _prompt(plan, first, row)
        free = plan.simulated
    if first is None:
        yield "no step asks: this spec curates what the seeds hold"
    elif not (ask or free):
        yield "\nnothing was asked; add --ask to see answers (this costs), or --teacher simulator (this does not)"
    else:
        yield from _at_once(plan)
        yield from _answers(options, _online(loaded))


def _prompt(plan: Plan, step: PlannedStep | None, row: Row) -> Iterator[str]:
    yield f"\n=== seed {row.id}"
    if step is None or step.spec.when is not None or getattr(step.spec, "each", None):
        yield from (f"  {name}: {value}" for name, value in row.fields.items())
    if step is None:
        return
    shown = row.having({"sample": 0, "item": "(item)", "position": 0, "previous": None}) if step.fans_out else row
    request, drawn = compose(step, shown, plan)
    if drawn:
        yield "  drawn: " + ", ".join(f"{name} = {value}" for name, value in drawn.items())
    for role, text in request.messages:
        yield f"  {role}> {text}"


def _at_once(plan: Plan) -> Iterator[str]:
    names = [name for name, chair in plan.chairs.items() if chair.spec.mode == "batch" and not chair.simulated]
    if names:
        yield f"\n{', '.join(names)}: `mode: batch` in the spec, asked online here, at the full price; a build in batches uses these answers"


def _online(loaded: Loaded) -> Loaded:
    """The spec with every teacher asked online: a person looks on. How a teacher is asked enters no key, so a build uses these answers."""
    teachers = {name: _full(teacher) if teacher.mode == "batch" else teacher for name, teacher in loaded.spec.teachers.items()}
    return replace(loaded, spec=loaded.spec.model_copy(update={"teachers": teachers}))


def _full(teacher: Teacher) -> Teacher:
    """Beside `mode: batch` a price of the spec is that of a batch, and the providers ask half for one: twice that keeps the caps."""
    rates = {name: 2 * rate for name, rate in teacher.price.model_dump().items() if rate is not None} if teacher.price else None
    return teacher.model_copy(update={"mode": "online", "price": Price(**rates) if rates else None})


def _answers(options: Options, loaded: Loaded) -> Iterator[str]:
    """Ask for real, into a ledger that a build can use, and walk every row."""
    ledger = Path(".datagen") / loaded.spec.name / "ledger"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        build(replace(options, out=out, ledger=ledger), lambda _: None, loaded)
        records = sorted({path for kind in ("kept", "dropped", "unanswered") for path in (out / "steps").glob(f"[0-9]*/{kind}/*.parquet")})
        seen = {row.id: row for path in records for row in read_rows(path) if row.calls or path.parent.name == "unanswered"}
        for row_id in sorted(seen):
            yield "\n" + "-" * 80
            yield from explain(out, row_id, ledger)
    yield f"\nanswers are kept in {ledger}; a build with --ledger {ledger} does not ask for them again"


def plan_lines(
    spec: str,
    out: Path | None,
    limit: int | None,
    library: Path | None,
    ledger: Path | None,
    teacher: str | None,
    unsafe_sandbox: bool = False,
    moment: datetime | None = None,
) -> Iterator[str]:
    """The plan in words and numbers; nothing is paid. `moment` (now): when the build would begin."""
    loaded = load_spec(spec, library)
    options = Options(spec, out or Path(), limit, library=library, teacher=teacher, unsafe_sandbox=unsafe_sandbox)
    with planned(loaded, options) as (plan, sown):
        folder = ledger or (out / "ledger" if out else None)
        counts, final, touched = replay(plan, sown, folder)
        seeds = sum(1 for _ in sown.seeds())
        repeated = f" ({sown.read - seeds:,} stood twice)" if sown.read > seeds else ""
        yield f"{plan.name}: {seeds:,} seeds{repeated}, {len(plan.steps)} steps{', SIMULATED' if plan.simulated else ''}"
        yield from (f"note: {warning}" for warning in plan.warnings)
        expected_later(plan, (row for row in sown.rows() if row.id in touched), counts)
        lines = [line_of(plan, count) for count in counts.values()]
        yield from _table(lines, plan, rounds_of(plan, counts))
        yield from _month(plan, folder, month_of(moment or utc_now()))
        yield from _under_way(folder)
        if out is not None and (out / "manifest.json").exists():
            yield from _changes(plan, sown, out, final, touched)


def _month(plan: Plan, folder: Path | None, month: str) -> Iterator[str]:
    """What this month has room for, where it has a cap: over all releases of this spec on the ledger."""
    cap = plan.spec.release.budget.usd_per_month
    if cap is None:
        return
    owner, spent = f"{plan.name}{'/simulated' if plan.simulated else ''}", Spend()
    if folder and folder.is_dir():
        ledger = Ledger(folder, "")
        spent = in_month(ledger.months, owner, month)
        ledger.close()
    yield f"this month ({month}): {_money(left_of(cap, spent))} of {_money(cap)} are left; all releases of {plan.name} on this ledger count"


def _under_way(folder: Path | None) -> Iterator[str]:
    """Paid batches whose answers are on their way: what they hold stands among what is to be asked, and is not asked again."""
    ledger = Ledger(folder, "") if folder and folder.is_dir() else None
    jobs = ledger.standing() if ledger else []
    if ledger:
        ledger.close()
    if jobs:
        yield f"of that, {sum(len(job.open_keys()) for job in jobs):,} requests are in paid batches under way ({len(jobs):,}): they are paid for once"


def _table(lines: Sequence[Line], plan: Plan, rounds: Rounds) -> Iterator[str]:
    if not lines:
        yield "no step asks: nothing to pay"
        return
    columns = {"requests": 10, "in ledger": 11, "to ask": 9, "tokens in": 12, "tokens out": 12, "expected": 12, "at worst": 12, "time": 10}
    yield f"{'step':<16}{'teacher':<12}" + "".join(f"{name:>{width}}" for name, width in columns.items())
    for line in lines:
        time = "" if line.minutes is None else f"{line.minutes:,.1f} min"
        numbers = f"{line.requests:>10,}{line.recorded:>11,}{line.to_ask:>9,}{line.input_tokens:>12,}{line.output_tokens:>12,}"
        yield f"{line.step:<16}{line.teacher:<12}{numbers}{_money(line.expected):>12}{_money(line.worst):>12}{time:>10}"
    yield from _totals(lines, plan)
    if rounds.worst:
        yield f"batches: {rounds.expected:,} round{'s' * (rounds.expected != 1)}; at worst {rounds.worst:,}, and {rounds.days:,} days, a day for each"


def _totals(lines: Sequence[Line], plan: Plan) -> Iterator[str]:
    """Sums beside the caps that hold for them."""
    total, worst = (sum(getattr(line, name) or 0.0 for line in lines) for name in ("expected", "worst"))
    most = sum((line.most for line in lines), Spend())
    cap = _capped(plan.spec.release.budget) or "no cap: set release.budget.usd or --budget"
    yield f"expected {_money(total)}, at worst {_money(worst)}, {most.tokens:,} tokens and {most.requests:,} requests; {cap}"
    for name, chair in plan.chairs.items():
        own = _capped(chair.spec.budget)
        if own:
            mine = [line for line in lines if line.teacher == name]
            yield f"  {name} alone: at worst {_money(sum(line.worst or 0.0 for line in mine))}, {own}"


def _capped(budget: Budget) -> str:
    """The caps of a budget in words, or '' where it has none."""
    dollars = [_money(budget.usd)] if budget.usd else []
    numbers = [f"{number:,} {what}" for what, number in (("tokens", budget.tokens), ("requests", budget.requests)) if number]
    return f"capped at {', '.join([*dollars, *numbers])}" if dollars or numbers else ""


def _money(dollars: float | None) -> str:
    return "no price" if dollars is None else f"${dollars:,.4f}" if dollars < 1 else f"${dollars:,.2f}"


def _changes(plan: Plan, sown: Sown, out: Path, final: Sequence[Row], touched: set[str]) -> Iterator[str]:
    """Like `terraform plan`: which steps are new, changed or the same, and what becomes of released rows."""
    before = {manifest["name"]: manifest for path in (out / "steps").glob("[0-9]*/manifest.json") if (manifest := read_json(path))["number"]}
    yield f"against the release in {out}:"
    for step in plan.steps:
        old = before.pop(step.name, None)
        sign = "+ new" if old is None else "= same" if old["fingerprint"] == step.fingerprint else "~ changed, or after a change"
        yield f"  {step.name:<16} {sign}"
    yield from (f"  {name:<16} - gone" for name in before)
    yield from _row_changes(out, final, touched)
    new, gone = new_and_gone(sown, out)
    yield f"  {new:,} new seeds, {gone:,} gone"


def _row_changes(out: Path, final: Sequence[Row], touched: set[str]) -> Iterator[str]:
    folders = sorted(path for path in (out / "steps").glob("[0-9]*") if (path / "kept").is_dir())
    old = {row.id: row for path in sorted((folders[-1] / "kept").glob("*.parquet")) for row in read_rows(path)} if folders else {}
    here = {row.id: row for row in final}
    unknown = sum(1 for row in old.values() if row.seed in touched)
    changed = sum(1 for row in old.values() if row.seed not in touched and row.id in here and dict(here[row.id].fields) != dict(row.fields))
    gone = sum(1 for row in old.values() if row.seed not in touched and row.id not in here)
    yield f"  of {len(old):,} released rows: {changed:,} would change, {gone:,} would go, {unknown:,} wait for answers that are not in the ledger"


def import_lines(
    folder: Path, files: Sequence[Path], requests: Path | None, label: str, max_tokens: int | None, spec: str | None, library: Path | None
) -> Iterator[str]:
    """Answers paid for elsewhere into a ledger; with a spec, under the keys of its asks for fields too."""
    schemas: dict[str, Mapping[str, Any]] = {}
    if spec is not None:
        with planned(load_spec(spec, library), Options(spec, Path(), library=library)) as (plan, _):
            schemas = wire_schemas(plan)
    yield from told(take(place(folder), files, requests, label, max_tokens, schemas))


def wire_schemas(plan: Plan) -> dict[str, Mapping[str, Any]]:
    """Digest of each schema in the form in which any provider's adapter sends it -> the schema."""
    wanted = [inner.schema for step in plan.steps for inner in (step, *step.inner) if inner.schema is not None]
    found: dict[str, Mapping[str, Any]] = {}
    for provider in ("openai", "anthropic"):
        adapter = TEACHERS.get(provider)(Endpoint(provider, None, "", timeout=60.0, connections=1, simulated=False, native_schema=True))
        found |= {digest(adapter.form(schema)): schema for schema in wanted}
        asyncio.run(adapter.close())
    return found
