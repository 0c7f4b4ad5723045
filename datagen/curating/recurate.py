"""Other thresholds for what has been built: what they would change, walked on recorded answers alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datagen.build import ORIGIN, Options, bank_of, planned
from datagen.depot.store import is_url
from datagen.errors import OutputError
from datagen.inspect import require_release
from datagen.plan.estimate import AskCount, asks_of, expected_later, line_of
from datagen.plan.model import Plan, Sown
from datagen.plan.overrides import Setting
from datagen.records import Row
from datagen.release.catalogue import query
from datagen.running.replay import replay
from datagen.spec.load import load_spec
from datagen.steps.journal import NOT_ASKED, Journal
from datagen.storage import each_record, read_json, read_rows

EXAMPLES = 3
"""Rows that are shown of each kind."""
WIDTH = 110
"""Characters of a row that are shown."""


@dataclass
class Walked:
    """What became of rows in a replay; no texts are held."""

    kept: Counter[str] = field(default_factory=Counter)
    """Step -> rows that it kept."""
    why: dict[str, str] = field(default_factory=dict)
    """Row -> why it left the line."""
    missing: dict[str, str] = field(default_factory=dict)
    """Row -> the step at which it needs an answer which is not in the ledger."""

    def see(self, names: Mapping[int, str], journal: Journal) -> None:
        for number, book in journal.books.items():
            self.kept[names[number]] += book.kept
            self.missing |= {record["id"]: names[number] for record in book.unanswered if record["outcome"] == NOT_ASKED}
            why = ("operator", "reason", "score", "evidence")
            self.why |= {record["id"]: said(names[number], *(record[name] for name in why)) for record in book.dropped}


def said(step: str, operator: str, reason: str, score: float | None, evidence: str | None) -> str:
    """Why a row was dropped, in one line. `score`: what the step measured, such as a cosine, where it says that."""
    words = " ".join((evidence or "").split())
    return f"{step}.{operator}: {reason}" + ("" if score is None else f", score {score:.4g}") + (f" ({words[:WIDTH]})" if words else "")


def options_of(out: Path, book: Path, spec: str | None, library: Path | None, sets: Sequence[str], unsafe_sandbox: bool = False) -> Options:
    """As this OUT was built, with these values in place of the spec's; those of an earlier `recurate` hold on.

    Raises OutputError where nothing says which spec it was, or nothing is out.
    """
    require_release(out)
    origin = read_json(out / "steps" / ORIGIN) or {}
    named = spec or origin.get("spec")
    if not named:
        raise OutputError(f"{out}/steps does not say which spec it was built from: give it with --spec")
    if not spec and not Path(named).is_file():
        raise OutputError(f"the spec that {out} was built from, {named}, is not there any more: give it with --spec")
    values = {name: json.dumps(value) for name, value in ((read_json(out / "plan.json") or {}).get("overrides") or {}).items()}
    values |= {setting.name: json.dumps(setting.value) for setting in map(Setting.read, sets)}
    shelf = library or (Path(origin["library"]) if origin.get("library") else None)
    overrides = tuple(f"{name}={value}" for name, value in values.items())
    return Options(
        named,
        out,
        limit=origin.get("limit"),
        teacher=origin.get("teacher"),
        runtime="local",
        library=shelf,
        ledger=book,
        paying=False,
        overrides=overrides,
        yes=True,
        unsafe_sandbox=unsafe_sandbox or bool(origin.get("unsafe_sandbox")),
    )


def ledger_of(out: Path) -> Path | str | None:
    """Where the ledger of this OUT is kept; None where that is OUT/ledger."""
    place = (read_json(out / "steps" / ORIGIN) or {}).get("ledger")
    return (place if is_url(place) else Path(place)) if place else None


def changes(options: Options, release: bool = False) -> Iterator[str]:
    """What the values of `options` would change of what is out, in words; nothing is asked, nothing is written.

    Raises OutputError at the end where it is to be released and rows that had an answer have none now.
    """
    out = options.root
    manifest = require_release(out)
    with planned(load_spec(options.spec, options.library), options) as (plan, sown):
        version = manifest["releases"][-1]["version"]
        yield f"{plan.name} {version}, walked again on what is recorded" + "".join(f", {text}" for text in options.overrides)
        if plan.fingerprint == manifest["plan_fingerprint"]:
            yield "nothing would change: this is how it was built"
            return
        walked, names = Walked(), {step.number: step.name for step in plan.steps}
        counts, final, touched = replay(plan, sown, options.book, lambda journal: walked.see(names, journal))
        yield from _funnel(plan, manifest["steps"], walked)
        yield from _rows(out, final, walked)
        yield from _unasked(plan, sown, counts, touched, walked)
        if lost := _lost(out, plan, walked):
            told = f"{lost:,} rows that had an answer have none now: {_other_bank(out, plan)}"
            if release:
                raise OutputError(f"{told}. Nothing was released")
            yield f"{told}. It would not be released"


def _funnel(plan: Plan, before: Sequence[Mapping[str, Any]], walked: Walked) -> Iterator[str]:
    kept = {step["name"]: step["kept"] for step in before}
    yield f"{'step':<20}{'kept':>10}{'would keep':>14}"
    for step in plan.steps:
        was, would = kept.pop(step.name, None), walked.kept[step.name]
        mark = "" if was == would else f"{would - was:>+10,}" if was is not None else "       new"
        yield f"{step.name:<20}{'-' if was is None else f'{was:,}':>10}{would:>14,}{mark}"


def _rows(out: Path, final: Sequence[Row], walked: Walked) -> Iterator[str]:
    """Rows that would come in and go out, with examples and reasons."""
    before, after = _last(out), {row.id: row for row in final}
    come = sorted(row for row in after if row not in before)
    go = sorted(row for row in before if row not in after)
    changed = sum(1 for row, fields in _fields(out) if row in after and dict(after[row].fields) != fields)
    yield f"of {len(before):,} rows at the end of the line {len(go):,} would go out, {len(come):,} would come in, {changed:,} would hold other fields"
    for name in come[:EXAMPLES]:
        yield f"  in   {name}  {_shown(after[name].fields)}"
        yield f"       was dropped: {_reason_before(out, after[name])}"
    texts = dict(_fields(out, set(go[:EXAMPLES])))
    for name in go[:EXAMPLES]:
        lost = next((walked.why[each] for each in (name, *before[name]) if each in walked.why), "")
        unasked = (
            "it needs an answer that is not in the ledger"
            if {name, *before[name]} & walked.missing.keys()
            else "a row that it was made from goes out"
        )
        yield f"  out  {name}  {_shown(texts[name])}"
        yield f"       {lost or unasked}"


def _last(out: Path) -> dict[str, tuple[str, str]]:
    """Row -> its parent and its seed, of the rows at the end of the line."""
    columns = ["id", "parent", "seed_id"]
    return {record["id"]: (record["parent"], record["seed_id"]) for path in _files(out) for record in each_record(path, columns)}


def _fields(out: Path, wanted: set[str] | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in _files(out):
        yield from ((row.id, dict(row.fields)) for row in read_rows(path) if wanted is None or row.id in wanted)


def _files(out: Path) -> list[Path]:
    """Where the rows at the end of the line lie. Raises OutputError where steps/ was deleted."""
    folders = sorted(path for path in (out / "steps").glob("[0-9]*") if (path / "kept").is_dir())
    if not folders:
        raise OutputError(f"{out}/steps holds no rows: the build's own command makes it again from the ledger, for nothing")
    return sorted((folders[-1] / "kept").glob("*.parquet"))


def _reason_before(out: Path, row: Row) -> str:
    """Why a row, or one that it was made from, is not out."""
    _, found = query(out, "SELECT id, step, operator, reason, score, evidence FROM dropped WHERE id IN (?, ?, ?)", [row.id, row.parent, row.seed])
    why = {identity: said(*rest) for identity, *rest in found}
    return next((why[each] for each in (row.id, row.parent, row.seed) if each in why), "a row before it was, or had no answer")


def _unasked(plan: Plan, sown: Sown, counts: dict[str, AskCount], touched: set[str], walked: Walked) -> Iterator[str]:
    """What would have to be asked, which this does not do."""
    if not walked.missing:
        yield "would need asking: nothing"
        return
    expected_later(plan, (row for row in sown.rows() if row.id in touched), counts)
    lines = [line_of(plan, count) for count in counts.values()]
    requests = sum(line.to_ask for line in lines)
    expected, worst = (sum(getattr(line, name) or 0.0 for line in lines) for name in ("expected", "worst"))
    yield (
        f"would need asking: {len(walked.missing):,} rows, {requests:,} requests, ${expected:,.4f} expected, ${worst:,.4f} at worst. Here they are "
        "left without an answer; to ask them, write the values into the recipe and build with --yes"
    )


def _lost(out: Path, plan: Plan, walked: Walked) -> int:
    """Rows whose answer, which this OUT was built with, the ledger has under no request of the plan as it is now. Rounds of a `repeat` count
    only where the simulated teacher is another: other thresholds may rightly want more of them."""
    lost, asks = set[str](), dict[str, str]()
    if walked.missing:
        asks = {inner.name: step.name for step in plan.steps for inner, _ in asks_of(step) if inner is step or _banks(out, plan)}
    for name, step in asks.items():
        _, found = query(out, "SELECT DISTINCT row FROM calls WHERE step = ? AND outcome <> 'failed'", [name])
        lost |= {row for (row,) in found if walked.missing.get(row) == step}
    return len(lost)


def _banks(out: Path, plan: Plan) -> tuple[object, object] | None:
    """(where the simulated teacher's material was looked for, where now), where it is another teacher than this OUT was built with."""
    before, now = (read_json(out / "steps" / ORIGIN) or {}).get("simulator"), bank_of(plan)
    return None if not before or before["labels"] == now["labels"] else (before["shared"], now["shared"])


def _other_bank(out: Path, plan: Plan) -> str:
    """Why answers that were there are not found."""
    if banks := _banks(out, plan):
        was, now = ("not set" if place is None else place for place in banks)
        return f"the simulated teacher is another, for its material is ($DATAGEN_SHARED was {was}, and is {now}): set it as it was"
    return "the ledger is another, or their prompts have changed; `datagen build` with the values written into the spec asks for them"


def _shown(fields: Mapping[str, Any]) -> str:
    """The text of most words in a row, its beginning; a vector is long, and one word."""
    text = max((value for value in fields.values() if isinstance(value, str)), key=lambda value: (len(value.split()), len(value)), default="")
    line = " ".join(text.split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."
