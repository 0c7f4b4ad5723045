"""Taking a row down: what went into it and what was made from that leaves the ledger and the steps; what is out is named."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datagen.asking.batches.spool import sweep
from datagen.asking.ledger.book import Ledger, compact, lock
from datagen.asking.ledger.care import asked_with, forget, note_taken_down, noted
from datagen.errors import LedgerError, OutputError
from datagen.release.tables import KINDS, ROW_KINDS
from datagen.steps.cohort import SEEDS
from datagen.steps.journal import gather_calls
from datagen.storage import each_record, read_json, write_table

SHOWN = 20
PIECE = 100
"""Characters from which a text is looked for in other prompts and rows; shorter ones stand in many by chance."""


@dataclass
class Takedown:
    """What leaves, and where the row still stands."""

    row: str
    keys: set[str] = field(default_factory=set)
    """Of the answers that went into the row, and of those made from them."""
    pieces: list[str] = field(default_factory=list)
    """The texts of these answers."""
    rows: set[str] = field(default_factory=set)
    """Rows that are made of these answers, wherever they ended."""
    released: dict[str, list[str]] = field(default_factory=dict)
    """Version -> files that hold such rows."""
    answers: int = 0
    """Replaced in the ledger; 0 before that."""


def takedown(out: Path, row_id: str, folder: Path, yes: bool) -> Iterator[str]:
    """Say what leaves, and with `yes` take it down; then say where the row still is and what to type next."""
    down = take_down(out, row_id, folder) if yes else found(out, row_id, folder)
    will = "left" if yes else "would leave"
    yield f"{len(down.keys):,} answers {will} the ledger {folder}: those of {down.row}, and those made from them; {len(down.rows):,} rows with them"
    yield from (f"  row {row}" for row in sorted(down.rows)[:SHOWN])
    if len(down.rows) > SHOWN:
        yield f"  ... and {len(down.rows) - SHOWN:,} more"
    for version, files in down.released.items():
        yield f"release {version} holds such rows: {', '.join(files)}"
    if not yes:
        yield "nothing has been done; type the same with --yes"
        return
    if not down.released:
        yield f"no released file holds them; `datagen build --spec S --out {out}` goes on without them"
        return
    yield f"next: `datagen build --spec S --out {out} --yes` makes a new major release without them;"
    yield "then delete the files named above; what was pushed to the Hub or copied elsewhere has to be deleted there"


def found(out: Path, row_id: str, folder: Path) -> Takedown:
    """Look only. Raises OutputError for an unknown row, LedgerError while paid batches are under way that may hold its text."""
    down = Takedown(row_id.split("-")[0])
    ledger = Ledger(folder, "")
    try:
        if standing := ledger.standing():
            raise LedgerError(
                f"paid batches are under way ({len(standing)}), and their prompts may hold the row's text; forget it when they have ended"
            )
        begun = [entry for entry in noted(folder) if entry["row"] == down.row]  # by a run that died in between: the texts may be gone
        down.rows.update(row for entry in begun for row in entry["rows"])
        keys = {key for entry in begun for key in entry["keys"]} | _calls_of(out, down.row, known=bool(begun))
        _grow(down, out, ledger, keys)
    finally:
        ledger.close()
    down.released = dict(_released(out, down.rows))
    return down


def take_down(out: Path, row_id: str, folder: Path) -> Takedown:
    """Do it. Raises LedgerError when a build has the ledger; after a death in between, the same call goes on."""
    with lock(folder):
        down = found(out, row_id, folder)
        name = (read_json(out / "manifest.json") or read_json(out / "steps" / "cohorts.json") or {}).get("name", "")
        what = {"row": down.row, "name": name, "versions": sorted(down.released), "keys": sorted(down.keys), "rows": sorted(down.rows)}
        note_taken_down(folder, what)
        down.answers = forget(folder, down.keys)
        sweep(folder, set())  # prompts of batches that have ended
        compact(folder)
        _remove_traces(out / "steps", down)
    return down


def _calls_of(out: Path, row: str, known: bool) -> set[str]:
    """Keys of the answers that went into a row, the one that could not be used included. Raises OutputError unless it is there or `known`."""
    keys: set[str] = set()
    for _, record in _records(out):
        if record["id"] == row:
            known = True
            keys |= _keys(record)
    if not known:
        raise OutputError(f'no row {row!r} in {out}; `datagen sql {out} "SELECT id FROM rows"` lists them, `datagen explain` shows one')
    return keys


def _grow(down: Takedown, out: Path, ledger: Ledger, keys: set[str]) -> None:
    """From the row's own answers to all that was made from them, until nothing is added: by lineage, and by text found in prompts."""
    order = {read_json(path)["name"]: read_json(path)["number"] for path in (out / "steps").glob("[0-9]*/manifest.json")}
    while keys:
        down.keys |= keys
        said = [piece for key in sorted(keys) for piece in _pieces(ledger.entry(key))]
        down.pieces += said
        more = asked_with(ledger.folder, said) if said else set()
        for _, record in _records(out):
            made, whole = _made_from(json.loads(record["calls"]), down.keys, order), _holds(record, down.pieces)
            if made or whole or _keys(record) & down.keys:
                down.rows.add(record["id"])
                more |= made
        keys = more - down.keys


def _made_from(calls: Mapping[str, str], keys: set[str], order: Mapping[str, int]) -> set[str]:
    """The answers of a row that came after one of these; all of them where the order of its steps is not known, as within `repeat`."""
    at = [order.get(step, -1) for step, key in calls.items() if key in keys]
    return {key for step, key in calls.items() if order.get(step, len(order)) > min(at)} if at else set()


def _pieces(entry: Mapping[str, Any] | None) -> Iterator[str]:
    """What an answer may have put into prompts and rows: its text, its reasoning, and the long texts of its fields."""
    if entry is None:
        return
    response = entry["response"]
    try:
        fields = list(_leaves(json.loads(response["text"])))
    except ValueError:
        fields = []
    yield from {text.strip() for text in (response["text"], response["reasoning"], *fields) if len(text.strip()) >= PIECE}


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)


def _holds(record: Mapping[str, Any], pieces: list[str]) -> bool:
    """Whether a row's fields hold one of these texts: an answer folded into the row of another, say."""
    return any(json.dumps(piece, ensure_ascii=False)[1:-1] in record["fields"] for piece in pieces)


def _keys(record: Mapping[str, Any]) -> set[str]:
    return {*json.loads(record["calls"]).values(), *([record["key"]] if record.get("key") else [])}


def _records(out: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every row at every step, as it left it."""
    for kind in ROW_KINDS:
        for path in sorted((out / "steps").glob(f"[0-9]*/{kind}/*.parquet")):
            yield from ((path, record) for record in each_record(path))


def _released(out: Path, rows: set[str]) -> Iterator[tuple[str, list[str]]]:
    for entry in (read_json(out / "manifest.json") or {"releases": []})["releases"]:
        files = [file["path"] for file in entry["files"] if (out / file["path"]).exists()]
        holding = [path for path in files if any(record["id"].split("-")[0] in rows for record in each_record(out / path, ["id"]))]
        if holding:
            yield entry["version"], holding


def _remove_traces(root: Path, down: Takedown) -> None:
    """Take the rows out of every file under steps/, and the manifests of the parts they stood in, so that those are walked again.

    The other rows of a part stay: a set-wise step keeps what it has released, and reads there what that is. Seeds are nobody's answers.
    """
    for kind, columns in KINDS.items():
        for path in sorted(root.glob(f"[0-9]*/{kind}/*.parquet")):
            records = list(each_record(path))
            left = [record for record in records if not _tells_of(record, down)]
            if len(left) == len(records) or path.parent.parent.name == SEEDS:
                continue
            for part in (path.stem, path.stem.split("-")[0]):  # the part's own, and that of its cohort at a set-wise step
                for manifest in root.glob(f"*/parts/*-{part}.json"):
                    manifest.unlink()
            write_table(path, left, columns)
    if any(root.glob("calls*.parquet")):
        gather_calls(root)


def _tells_of(record: Mapping[str, Any], down: Takedown) -> bool:
    return record.get("id") in down.rows or record.get("row") in down.rows or record.get("key") in down.keys
