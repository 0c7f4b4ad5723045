"""Labelled rows for measuring filters: files of the user's own, and known-good sets of the shared data by name."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen.errors import SeedError, SetupError, SpecError, nearest
from datagen.records import digest
from datagen.seeds.table import Table

GOOD = "good"
SEEDS = "seeds:"
"""Before the name of a field of the build's own seeds, where known-good texts are named."""
READY: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "gsm8k": ("gsm8k/train.parquet", lambda row: f"{row['question']}\n{row['answer']}"),
    "humaneval": ("humaneval/humaneval.parquet", lambda row: f"{row['prompt']}{row['canonical_solution']}"),
    "mbpp": ("mbpp/mbpp.parquet", lambda row: str(row["code"]).replace("\r\n", "\n")),
    "openstax": ("openstax_textbooks/*.parquet", lambda row: str(row["text"])),
    "gpteacher": ("gpteacher/gpteacher.parquet", lambda row: str(row["response"])),
}
"""Name -> files under $DATAGEN_SHARED/data, and the text of a row as a build would release it. People wrote or checked them: all are good."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One text with what a person says of it: `good`, or the kind of what is bad."""

    text: str
    label: str
    fields: Mapping[str, Any]
    """All columns of its row, for operators that read more than the text."""


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Rows under a name, and the digest of those that were taken."""

    name: str
    rows: tuple[Labelled, ...]
    digest: str


def labelled_set(text: str, take: int, where: str, base: Path | None = None) -> LabelledSet:
    """`gsm8k`, or `NAME=FILE:FIELD`; at most `take` rows, those with the lowest digests of their texts.

    `where` begins an error, `base` a relative path. Raises SpecError for an unknown name, SeedError for a file or row that cannot be read,
    SetupError where the shared data is not there.
    """
    rows = labelled_rows(text, where, base)
    chosen = heapq.nsmallest(take, rows, key=lambda row: (digest([row.text, row.label]), row.text))
    if not chosen:
        raise SeedError(f"{where} {text}: there is no row in it")
    return LabelledSet(text.partition("=")[0], tuple(chosen), digest([[row.text, row.label] for row in chosen]))


def labelled_rows(text: str, where: str, base: Path | None = None) -> Iterator[Labelled]:
    """All rows of a set, one at a time. Raises as `labelled_set` does."""
    name, sign, place = text.partition("=")
    return _own(place, f"{where} {text}", base or Path()) if sign else _ready(name, f"{where} {name}")


def ready_made() -> list[str]:
    """The names of the ready-made sets that are there."""
    root = os.environ.get("DATAGEN_SHARED")
    return [name for name, (files, _) in READY.items() if root and list((Path(root) / "data").glob(files))]


def _ready(name: str, where: str) -> Iterator[Labelled]:
    if name not in READY:
        raise SpecError(f"{where}: no ready-made set of that name{nearest(name, READY)}; a file of your own is NAME=FILE:FIELD")
    root, (files, text) = os.environ.get("DATAGEN_SHARED"), READY[name]
    if not root or not list((Path(root) / "data").glob(files)):
        raise SetupError(f"{where}: its rows are not there: set DATAGEN_SHARED to a folder with data/{files}")
    for row in Table(path=str((Path(root) / "data" / files).resolve())).rows(Path("/"), lambda _: []):
        yield Labelled(text(row), GOOD, row)


def _own(place: str, said: str, base: Path) -> Iterator[Labelled]:
    file, colon, field = place.rpartition(":")
    path, field = (Path(file), field) if colon and field.isidentifier() else (Path(place), "text")
    path = base / path.expanduser()
    if not path.is_file():
        raise SeedError(f"{said}: no such file: {path}")
    for number, row in enumerate(Table(path=str(path.resolve())).rows(Path("/"), lambda _: []), start=1):
        where = f"{path}:{number}"
        if field not in row:
            raise SeedError(f"{where}: no field {field!r}{nearest(field, row)}")
        if not isinstance(row[field], str):
            raise SeedError(f"{where}: {field} is no text: {str(row[field])[:60]!r}")
        yield Labelled(row[field], _label(row.get("label"), where), row)


def _label(value: Any, where: str) -> str:
    """`good`, or the kind behind `bad:`; a file without labels holds good rows."""
    if value is None or value == GOOD:
        return GOOD
    kind = str(value).removeprefix("bad:").strip()
    if not str(value).startswith("bad:") or not kind:
        raise SeedError(f"{where}: the label is {str(value)[:60]!r}; write good, or bad:KIND such as bad:refusal")
    return kind
