"""The read-only room: what a folder holds, what a row went through, and any question in SQL."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from datagen.asking.batches.spool import unreadable
from datagen.asking.ledger.accounts import in_month, owner_of
from datagen.asking.ledger.book import Account, Ledger, lock, segments
from datagen.asking.ledger.book import verify as verify_ledger
from datagen.asking.prices import VECTORS
from datagen.errors import LedgerError, OutputError, nearest
from datagen.records import NANO, Spend
from datagen.release.catalogue import query
from datagen.running.money import left_of, month_of
from datagen.running.telling.record import FILE, last_run, utc_now
from datagen.storage import read_json, read_table

ROW_WIDTH = 200


def status(out: Path, ledger: Path | None = None, moment: datetime | None = None) -> Iterator[str]:
    """Lines that say what is there: releases, funnel, money, what was in flight when a process died, the last run, and what is left of the
    month of `moment` (now)."""
    manifest, plan = read_json(out / "manifest.json"), read_json(out / "plan.json") or {}
    record, run = read_json(out / "steps" / "cohorts.json"), read_json(out / FILE)
    if manifest is None and record is None and run is None:
        raise OutputError(f"{out} holds no build; start one with `datagen build --spec S --out {out}`")
    yield f"{(manifest or record or run)['name']}{'  (simulated)' if plan.get('simulated') else ''}"
    for entry in manifest["releases"] if manifest else []:
        yield f"  release {entry['version']}: {entry['rows']:,} rows in {len(entry['files'])} files"
    if manifest is None:
        yield "  no release yet; the same build command goes on"
    for step in (manifest or {}).get("steps", []):
        dropped = sum(sum(reasons.values()) for reasons in step["dropped"].values())
        unanswered = sum(step["unanswered"].values())
        head = f"  {step['number']:>2} {step['name']:<16}"
        yield f"{head} {step['in']:>7,} in {step['kept']:>7,} kept {dropped:>6,} dropped {unanswered:>5,} unanswered"
    forecast = read_json(out / "steps" / "pilot.json")
    if forecast:
        yield f"  {forecast['words']}"
    yield from _money(ledger or out / "ledger")
    yield from last_run(out)
    yield from _month(ledger or out / "ledger", month_of(moment or utc_now()), run)


def _month(folder: Path, month: str, run: Mapping[str, Any] | None) -> Iterator[str]:
    """What this month has cost, of all specs on the ledger; beside it the cap, as the last run here was given it."""
    ledger = Ledger(folder, "")
    spent = {owner: in_month(ledger.months, owner, month) for owner in sorted({owner_of(build) for build in ledger.months})}
    ledger.close()
    mine = f"{run['name']}{'/simulated' if run['simulated'] else ''}" if run else ""
    cap = run["month"]["cap"] if run and run["month"] else None
    for owner, spend in spent.items():
        words = f"  {owner} in {month}: ${spend.cost / NANO:,.4f} of all its releases"
        if owner == mine and cap is not None:
            words += f"; ${left_of(cap, spend):,.4f} of ${cap:,.2f} are left"
        yield words


def _money(folder: Path) -> Iterator[str]:
    if not segments(folder):
        return
    ledger = Ledger(folder, "")
    for name, teachers in sorted(ledger.accounts.items()):
        answered = sum((account.answered for account in teachers.values()), Spend())
        possible = sum((account.possible for account in teachers.values()), Spend())
        pending, batched = _in_flight(teachers), sum((account.standing for account in teachers.values()), Spend())
        in_flight = f", {pending.requests:,} without an end count at their worst, ${pending.cost / NANO:.4f}" if pending.requests else ""
        in_flight += f", {batched.requests:,} in paid batches under way, ${batched.cost / NANO:.4f} at worst" if batched.requests else ""
        maybe = f", ${possible.cost / NANO:.4f} possibly billed for failed attempts" if possible.cost else ""
        yield f"  {name}: ${answered.cost / NANO:.4f} for answers{maybe}{in_flight}"
        if pending.requests:
            yield f"    if the provider never billed them: `datagen ledger release {folder} {name}` gives them back"
    for job in ledger.standing():
        age = timedelta(seconds=max(0, round(time.time() - job.at)))
        where = job.id or "acceptance not confirmed yet"
        yield f"  batch {job.tag} ({where}): {job.teacher}, round {job.round}, {job.answered:,} of {job.requests:,} answered, {age} old"
    yield from (f"  {torn}" for torn in ledger.torn)
    ledger.close()


def explain(out: Path, row_id: str, ledger: Path | None = None) -> Iterator[str]:
    """A row from shard to seed: every prompt as sent, answer, reasoning, verdict and cost. Raises OutputError for an unknown id."""
    record, fate = _find(out, row_id)
    yield f"{row_id}: {fate}"
    yield f"  seed {record['seed_id']}, parent {record['parent'] or '(the seed)'}"
    book = Ledger(ledger or out / "ledger", "")
    unusable = {fate.split(" ")[2].partition("-")[2].rstrip(":"): record["key"]} if record.get("key") else {}
    for step, key in (json.loads(record["calls"]) | unusable).items():
        entry = book.entry(key)
        yield from _call(step, key, entry) if entry else [f"\n[{step}] {key}: not in this ledger, or taken down"]
    book.close()
    yield "\nverdicts"
    for verdict in _verdicts(out, row_id):
        fate = "keep" if verdict["keep"] else "DROP"
        judge = f"{verdict['step']}.{verdict['operator']}"
        yield f"  {fate:<5} {judge} {verdict['reason']} {_number(verdict['score'])} {verdict['evidence']}"
    yield "\nfields"
    for name, value in json.loads(record["fields"]).items():
        yield f"  {name}: {_short(value)}"


def _call(step: str, key: str, entry: Mapping[str, Any]) -> Iterator[str]:
    request, response = entry["request"], entry["response"]
    yield f"\n[{step}] {request['provider']} {request['model']} {key} sample {request['sample']} attempt {request['attempt']}"
    for role, text in request["messages"]:
        yield f"  {role}> {text}"
    if response["reasoning"]:
        yield f"  reasoning> {response['reasoning']}"
    yield f"  {response['outcome']}> {_short(response['text']) if request['provider'] == VECTORS else response['text']}"
    usage = response["usage"]
    planted = f", planted: {response['planted']}" if response["planted"] else ""
    yield f"  {usage['input']} + {usage['output']} tokens, ${response['cost'] / NANO:.6f}{' (simulated)' if response['simulated'] else ''}{planted}"


def _find(out: Path, row_id: str) -> tuple[dict[str, Any], str]:
    """The last trace of a row under steps/, and what became of it."""
    last: tuple[dict[str, Any], str] | None = None
    seen: set[str] = set()
    wanted = row_id.split("-")[0]
    for folder in sorted((out / "steps").glob("[0-9]*")):
        for kind in ("kept", "dropped", "unanswered"):
            for path in sorted((folder / kind).glob("*.parquet")):
                for record in read_table(path):
                    seen.add(record["id"])
                    if record["id"] == wanted:
                        why = record.get("reason") or record.get("outcome") or ""
                        last = record, f"{kind} at {folder.name}{f': {why}' if why else ''}"
    if last is None:
        raise OutputError(f"no row {row_id!r} in {out}{nearest(row_id, list(seen)[:50]) if seen else ''}")
    return last


def _verdicts(out: Path, row_id: str) -> Iterator[dict[str, Any]]:
    for path in sorted((out / "steps").glob("*/verdicts/*.parquet")):
        yield from (verdict for verdict in read_table(path) if verdict["row"] == row_id.split("-")[0])


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= ROW_WIDTH else f"{text[:ROW_WIDTH]}... ({len(text):,} characters)"


def _number(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"


def require_release(out: Path) -> dict[str, Any]:
    """The manifest. Raises OutputError where no release is out yet."""
    manifest = read_json(out / "manifest.json")
    if manifest is None:
        raise OutputError(f"{out} holds no release yet; `datagen build --spec S --out {out}` makes one")
    return dict(manifest)


def push_target(out: Path, repo: str | None) -> tuple[str, bool]:
    """(repository, private): as given, else as the spec says."""
    require_release(out)
    push = ((read_json(out / "plan.json") or {}).get("release") or {}).get("push") or {}
    target = repo or push.get("repo")
    if not target:
        raise OutputError("no repository: give --repo owner/name, or write release.push.repo in the spec")
    return target, bool(push.get("private", True))


def verify(folder: Path) -> Iterator[str]:
    """The state of a ledger in words. Raises LedgerError when something does not hold, after saying what."""
    place = folder / "ledger" if (folder / "ledger").is_dir() else folder
    if not segments(place) and not (place / "index").exists():
        raise LedgerError(f"{folder} holds no ledger")
    good, problems = verify_ledger(place)
    ledger = Ledger(place, "")
    problems += unreadable(place, ledger.standing())
    ledger.close()
    yield from problems
    yield f"{good:,} records hold, {len(problems)} do not"
    if problems:
        raise LedgerError("what does not hold is skipped, and asked again by the next build")


def release(folder: Path, tag: str) -> str:
    """Close a standing batch, or give back what dead processes of a release had in flight, by name. Raises LedgerError where there is
    nothing of that name, or a build has the ledger."""
    place = folder / "ledger" if (folder / "ledger").is_dir() else folder
    with lock(place):
        ledger = Ledger(place, "")
        standing = {job.tag: job for job in ledger.standing()}
        flying = {name: spend for name, teachers in ledger.accounts.items() if (spend := _in_flight(teachers)).requests}
        ledger.close()
        if tag in flying:
            return _given_back(place, tag, flying[tag])
        if tag not in standing:
            raise LedgerError(
                f"no batch {tag!r} is under way, and no release of that name has requests in flight{nearest(tag, {*standing, *flying})}"
            )
        ledger = Ledger(place, "")
        ledger.closed(tag, "released by name")
        ledger.close()
    job = standing[tag]
    return f"batch {tag} of teacher {job.teacher!r} is given up: {job.requests - job.answered:,} requests are asked again by the next build"


def _in_flight(teachers: Mapping[str, Account]) -> Spend:
    """What was sent online and has no end."""
    return sum((account.in_flight for account in teachers.values()), Spend())


def _given_back(place: Path, build: str, spend: Spend) -> str:
    ledger = Ledger(place, build)
    ledger.released()
    ledger.close()
    return f"{build}: {spend.requests:,} requests that dead processes had in flight count as spent no more, ${spend.cost / NANO:,.4f} of the budget"


def table(columns: list[str], rows: list[tuple[Any, ...]]) -> Iterator[str]:
    """A query's answer as aligned text."""
    cells = [columns, *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    for number, row in enumerate(cells):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if number == 0:
            yield "  ".join("-" * width for width in widths)
    yield f"({len(rows):,} row{'s' if len(rows) != 1 else ''})"


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 80 else text[:77] + "..."


__all__ = ["explain", "push_target", "query", "require_release", "status", "table", "verify"]
