"""Before paying: the prompts as they would be sent, and what a build would ask, reuse, change and cost."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datagen.asking.ask import Asker, NotAsked
from datagen.asking.governor import Gate, Governor
from datagen.asking.ledger import Ledger
from datagen.build import Options, build, planned
from datagen.inspect import explain
from datagen.plan.estimate import AskCount, Line, asks_of, expected_later, line_of
from datagen.plan.model import Plan, PlannedStep, Sown
from datagen.records import Request, Response, Row
from datagen.runtime.pool import ProcessPool
from datagen.spec.load import load_spec
from datagen.spec.models import Ask
from datagen.steps import SETS
from datagen.steps.journal import Journal
from datagen.steps.rows.ask import compose
from datagen.steps.walk import walk
from datagen.steps.work import Work
from datagen.storage import read_json, read_rows, row_of, row_record


def preview(spec: str, rows: int, ask: bool, library: Path | None, teacher: str | None) -> Iterator[str]:
    """The first prompts of a few seeds; then, where it is free or asked for, answers and verdicts."""
    loaded = load_spec(spec, library)
    options = Options(spec, Path(), limit=rows, library=library, teacher=teacher)
    with planned(loaded, options) as (plan, sown):
        first = next((step for step in plan.steps if isinstance(step.spec, Ask)), None)
        for row in sown.rows:
            yield from _prompt(plan, first, row)
        free = plan.simulated
    if first is None:
        yield "no step asks: this spec curates what the seeds hold"
    elif not (ask or free):
        yield "\nnothing was asked; add --ask to see answers (this costs), or --teacher simulator (this does not)"
    else:
        yield from _answers(options, loaded.spec.name)


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


def _answers(options: Options, name: str) -> Iterator[str]:
    """Ask for real, into a ledger that a build can use, and walk every row."""
    ledger = Path(".datagen") / name / "ledger"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        build(replace(options, out=out, ledger=ledger), lambda _: None)
        records = sorted({path for kind in ("kept", "dropped", "unanswered") for path in (out / "steps").glob(f"[0-9]*/{kind}/*.parquet")})
        seen = {row.id: row for path in records for row in read_rows(path) if row.calls or path.parent.name == "unanswered"}
        for row_id in sorted(seen):
            yield "\n" + "-" * 80
            yield from explain(out, row_id, ledger)
    yield f"\nanswers are kept in {ledger}; a build with --ledger {ledger} does not ask for them again"


class _Replay(Asker):
    """Answers from the ledger only, and counts what is not there."""

    def __init__(self, ledger: Ledger, counts: dict[str, AskCount]) -> None:
        super().__init__(ledger, Gate(Governor({}, None, 0)), {}, paying=False)
        self._counts = counts

    async def ask(self, request: Request, teacher: str, step: str = "") -> Response:
        count = self._counts[step]
        try:
            response = await super().ask(request, teacher, step)
        except NotAsked:
            count.missing.append(request)
            raise
        count.recorded += 1
        count.seen.append(response)
        return response


def plan_lines(spec: str, out: Path | None, limit: int | None, library: Path | None, ledger: Path | None, teacher: str | None) -> Iterator[str]:
    """The plan in words and numbers; nothing is paid."""
    loaded = load_spec(spec, library)
    with planned(loaded, Options(spec, out or Path(), limit, library=library, teacher=teacher)) as (plan, sown):
        folder = ledger or (out / "ledger" if out else None)
        counts, final, touched = replay(plan, sown, folder)
    repeated = f" ({len(sown.repeated):,} stood twice)" if sown.repeated else ""
    yield f"{plan.name}: {len(sown.rows):,} seeds{repeated}, {len(plan.steps)} steps{', SIMULATED' if plan.simulated else ''}"
    yield from (f"note: {warning}" for warning in plan.warnings)
    expected_later(plan, [row for row in sown.rows if row.id in touched], counts)
    lines = [line_of(plan, count) for count in counts.values()]
    yield from _table(lines, plan)
    if out is not None and (out / "manifest.json").exists():
        yield from _changes(plan, sown, out, final, touched)


def replay(plan: Plan, sown: Sown, folder: Path | None) -> tuple[dict[str, AskCount], list[Row], set[str]]:
    """Walk the whole line on recorded answers: (what is recorded and missing per ask, rows at the end, seeds with something missing)."""
    asks = [inner for step in plan.steps for inner, _ in asks_of(step)]
    counts = {step.name: AskCount(step) for step in asks}
    with tempfile.TemporaryDirectory() as empty:
        ledger = Ledger(folder or Path(empty), "")
        try:
            return (counts, *asyncio.run(_replayed(plan, sown, _Replay(ledger, counts))))
        finally:
            ledger.close()


async def _replayed(plan: Plan, sown: Sown, asker: Asker) -> tuple[list[Row], set[str]]:
    rows: list[Row] = list(sown.rows)
    touched: set[str] = set()
    pool = ProcessPool()
    try:
        for stretch in plan.stretches:
            journal = Journal((*stretch.steps, *([stretch.closing] if stretch.closing else [])))
            work = Work(plan, asker, pool, journal)
            rows = [row_of(row_record(row)) for row in rows]  # as a build reads them back between two stretches
            families: dict[str, list[Row]] = {}
            for row in rows:
                families.setdefault(row.parent or row.id, []).append(row)
            walked = await asyncio.gather(*(walk(family, stretch.steps, work) for family in families.values()))
            rows = [row for family in walked for row in family]
            touched |= {record["seed_id"] for book in journal.books.values() for record in book.unanswered if record["outcome"] == "not_asked"}
            if stretch.closing:
                rows = SETS.get(stretch.closing.verb)(stretch.closing, rows, [], journal, plan.steps[: stretch.closing.number - 1])
    finally:
        pool.close()
    return rows, touched


def _table(lines: Sequence[Line], plan: Plan) -> Iterator[str]:
    if not lines:
        yield "no step asks: nothing to pay"
        return
    columns = {"requests": 10, "in ledger": 11, "to ask": 9, "tokens in": 12, "tokens out": 12, "expected": 12, "at worst": 12, "time": 10}
    yield f"{'step':<16}{'teacher':<12}" + "".join(f"{name:>{width}}" for name, width in columns.items())
    for line in lines:
        time = "" if line.minutes is None else f"{line.minutes:,.1f} min"
        numbers = f"{line.requests:>10,}{line.recorded:>11,}{line.to_ask:>9,}{line.input_tokens:>12,}{line.output_tokens:>12,}"
        yield f"{line.step:<16}{line.teacher:<12}{numbers}{_money(line.expected):>12}{_money(line.worst):>12}{time:>10}"
    cap = plan.spec.release.budget.usd
    total, worst = (sum(getattr(line, name) or 0.0 for line in lines) for name in ("expected", "worst"))
    capped = f"capped at {_money(cap)}" if cap else "no cap: set release.budget.usd or --budget"
    yield f"expected {_money(total)}, at worst {_money(worst)}, {capped}"


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
    record: dict[str, Any] = read_json(out / "manifest.json") or {"cohorts": []}
    known = {seed for cohort in record["cohorts"] for seed in cohort["seeds"]}
    new = sum(1 for row in sown.rows if row.id not in known)
    yield f"  {new:,} new seeds, {len(known - {row.id for row in sown.rows}):,} gone"


def _row_changes(out: Path, final: Sequence[Row], touched: set[str]) -> Iterator[str]:
    folders = sorted(path for path in (out / "steps").glob("[0-9]*") if (path / "kept").is_dir())
    old = {row.id: row for path in sorted((folders[-1] / "kept").glob("*.parquet")) for row in read_rows(path)} if folders else {}
    here = {row.id: row for row in final}
    unknown = sum(1 for row in old.values() if row.seed in touched)
    changed = sum(1 for row in old.values() if row.seed not in touched and row.id in here and dict(here[row.id].fields) != dict(row.fields))
    gone = sum(1 for row in old.values() if row.seed not in touched and row.id not in here)
    yield f"  of {len(old):,} released rows: {changed:,} would change, {gone:,} would go, {unknown:,} wait for answers that are not in the ledger"
