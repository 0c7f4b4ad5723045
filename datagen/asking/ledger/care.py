"""Looking after a ledger: verify every byte of it, and take answers down."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from datagen.asking.ledger.accounts import settles
from datagen.asking.ledger.cache import NAME, Cache, read_cache
from datagen.asking.ledger.index import KEY, Index, Place, merged, place_of, raw
from datagen.asking.ledger.segments import (
    Torn,
    gaps,
    head_of,
    is_answer,
    lines,
    opened,
    padded,
    request_bytes,
    segment_id,
    segment_name,
    segments,
    sync_folder,
    unwritable,
)
from datagen.records import digest

TAKEN_DOWN = "forgotten.json"
_KEY = re.compile(rb'"key":"(k1:[0-9a-f]{32})"')


def verify(folder: Path) -> tuple[int, list[str]]:
    """Read every byte, derive every checksum and key again, and compare with the key index. Returns (records that hold, what does not)."""
    cache, lost = read_cache(folder)
    good, index, found = 0, Index(), list[Torn | str]()
    for path in segments(folder):
        number = segment_id(path)
        for offset, line, torn in lines(path):
            if torn:
                found.append(torn)
                continue
            head = head_of(line)
            if head["kind"] == "answer" and not _is_key_of(head["key"], line):
                found.append(f"{path.name} at byte {offset}: the key {head['key']} is not that of the request beside it")
                continue
            good += 1
            if head["kind"] in ("answer", "forgotten") and settles(head):
                index.add(raw(head["key"]), number, offset, len(line))
    named = {torn.segment[:6] for torn in lost if torn.what == "missing"}
    missing = [number for number in gaps(map(segment_id, segments(folder))) if f"{number:06d}" not in named]
    lost += [Torn(f"{number:06d}", 0, "missing") for number in missing]
    known = {(segment_id(Path(torn.segment)), torn.offset) for torn in found if isinstance(torn, Torn)}
    differing = list(_differing(cache, index, known)) if cache else []
    index.close()
    return good, [*map(_told, lost), *map(str, found), *differing]


def _told(torn: Torn) -> str:
    if torn.what == "missing":
        return f"segment {torn.segment} is missing: its answers are lost, and would be asked and paid for again"
    return str(torn)


def _is_key_of(key: str, line: bytes) -> bool:
    """Whether the request of an answer has this key. Most requests stand in canonical form and are hashed as they are."""
    if hashlib.blake2b(request_bytes(line), digest_size=16).hexdigest() == key[3:]:
        return True
    return bool(key == "k1:" + digest((opened(line) or {})["request"]))


def _differing(cache: Cache, index: Index, known: set[tuple[int, int]]) -> Iterator[str]:
    """What the index file says otherwise than the segments, in the bytes that it covers, but for records that are known to be damaged."""
    indexed = (record for block in merged([cache.run]) for record in block)
    there = (record for block in index.blocks() for record in block if _covered(cache, place_of(record)))
    for record, same in itertools.groupby(heapq.merge(indexed, there)):
        place = place_of(record)
        if len(list(same)) == 1 and (place.segment, place.offset) not in known:
            where = f"{segment_name(place.segment)} at byte {place.offset}"
            yield f"{where}: the segment and the key index do not agree on k1:{record[:KEY].hex()}; delete {NAME} to make it anew"


def _covered(cache: Cache, place: Place) -> bool:
    return place.offset < cache.covers.get(place.segment, 0)


def asked_with(folder: Path, pieces: Sequence[str]) -> set[str]:
    """Keys of the answers whose prompts hold one of these texts."""
    wanted = [json.dumps(piece, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass") for piece in pieces]
    found: set[str] = set()
    for path in segments(folder):
        for _, line, torn in lines(path):
            if torn is None and is_answer(line):
                asked = request_bytes(line)
                if any(piece in asked for piece in wanted):
                    found.add(head_of(line)["key"])
    return found


def forget(folder: Path, keys: Set[str]) -> int:
    """Take answers down: what was said leaves the segments, and a `forgotten` record of the key and its money stays. Returns how many.

    For the holder of the lock. One segment at a time is written anew and takes the place of the old one, so that a death in between is
    mended by the same call. A line keeps its length, so what is indexed elsewhere keeps its place.
    """
    try:
        (folder / NAME).unlink(missing_ok=True)  # its checksums of the segments' ends hold no more
        return sum(_rewritten(path, keys) for path in segments(folder))
    except OSError as error:
        raise unwritable(folder, error) from error


def _rewritten(path: Path, keys: Set[str]) -> int:
    if not any(_replaced(line, torn, keys) for _, line, torn in lines(path)):
        return 0
    count, beside = 0, path.with_name(f".{path.name}.tmp")
    with beside.open("wb") as file:
        for _, line, torn in lines(path):
            instead = _replaced(line, torn, keys)
            count += instead is not None and is_answer(line)
            file.write(instead or line)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)
    return count


def _replaced(line: bytes, torn: Torn | None, keys: Set[str]) -> bytes | None:
    """What takes the place of a line that tells something of a key; None where it tells nothing."""
    found = _KEY.search(line)
    if found is None or found[1].decode() not in keys:
        return None
    if torn:
        return padded({"kind": "void"}, len(line))
    head = head_of(line)
    match head["kind"]:
        case "answer":
            return padded({**_without(head, "outcome", "crc"), "kind": "forgotten"}, len(line))
        case "fault" if head["message"] or head["body"]:
            return padded({**_without(head, "crc"), "message": "", "body": ""}, len(line))
    return None


def _without(record: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}


def note_taken_down(folder: Path, entry: Mapping[str, Any]) -> None:
    """Keep on record what was taken down: {row, name, versions, keys, rows}, one entry a row. Raises LedgerError where it cannot be written."""
    path = folder / TAKEN_DOWN
    beside = path.with_name(f".{path.name}.tmp")
    others = [other for other in noted(folder) if (other["row"], other["name"]) != (entry["row"], entry["name"])]
    try:
        beside.write_text(json.dumps([*others, dict(entry)], indent=1) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise unwritable(folder, error) from error


def noted(folder: Path) -> list[dict[str, Any]]:
    """What `note_taken_down` wrote."""
    path = folder / TAKEN_DOWN
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else []


def taken_down(folder: Path, name: str, major: int) -> list[str]:
    """Rows that releases `major`.x of the spec `name` hold and that were taken down since: the next release must be a new major one,
    without them, and the files of this one may be gone."""
    return [entry["row"] for entry in noted(folder) if entry["name"] == name and f"{major}" in {word.split(".")[0] for word in entry["versions"]}]
