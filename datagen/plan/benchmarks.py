"""Reference sets ready-made: benchmarks of a folder of data as named files with hash, count and version. No benchmark ships with datagen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datagen.errors import SeedError, SpecError, nearest
from datagen.plan.files import nearest_file
from datagen.seeds.table import Table
from datagen.spec.library import Library
from datagen.storage import read_json, sha256_of, write_json, write_table

FOLDER, MANIFEST = "benchmarks", "manifest.json"
SUFFIXES = (".parquet", ".jsonl")
"""Of reference files."""
COLUMNS = {"benchmark": "string", "id": "string", "question": "string", "code": "string"}
"""Of a reference file. `code`: the task with its solution, empty where the item is prose."""


class _Known(NamedTuple):
    path: str
    """Under the folder of data."""
    needs: tuple[str, ...]
    item: Callable[[Mapping[str, Any]], Mapping[str, str] | None]
    """(id, question, code) of a row; None for one of another set."""


def _gsm8k(row: Mapping[str, Any]) -> Mapping[str, str]:
    return {"id": str(row["id"]), "question": str(row["question"]), "code": ""}


def _humaneval(row: Mapping[str, Any]) -> Mapping[str, str]:
    return {"id": str(row["task_id"]), "question": str(row["prompt"]), "code": f"{row['prompt']}{row['canonical_solution']}"}


def _mbpp(row: Mapping[str, Any]) -> Mapping[str, str]:
    tests = "\n".join(row["test_list"] or ())
    solved = f'"""{row["text"]}"""\n{row["code"]}\n{tests}\n'.replace("\r\n", "\n")
    return {"id": f"mbpp/{row['task_id']}", "question": str(row["text"]), "code": solved}


def _mmlu(row: Mapping[str, Any]) -> Mapping[str, str] | None:
    if row["benchmark"] not in ("mmlu", "mmlu_stem"):
        return None
    return {"id": str(row["id"]), "question": str(row["question"]), "code": ""}


KNOWN = {
    "gsm8k": _Known("gsm8k/test.parquet", ("id", "question"), _gsm8k),
    "humaneval": _Known("humaneval/humaneval.parquet", ("task_id", "prompt", "canonical_solution"), _humaneval),
    "mbpp": _Known("mbpp/mbpp.parquet", ("task_id", "text", "code", "test_list"), _mbpp),
    "mmlu": _Known("eval_references/references.parquet", ("benchmark", "id", "question"), _mmlu),
}
"""Name -> where its rows lie and how they are read."""


def import_benchmarks(names: Sequence[str], source: Path, to: Path) -> list[str]:
    """Write TO/benchmarks/NAME.parquet and its line in the manifest; TO is then a --library. Returns what is told.

    All names are looked at before anything is written.
    """
    for name in names:
        if name not in KNOWN:
            raise SpecError(f"benchmarks import: no set {name!r}{nearest(name, KNOWN)}")
        if not (source / KNOWN[name].path).is_file():
            raise SeedError(f"benchmarks import {name}: no {source / KNOWN[name].path}; --from names the folder that holds {KNOWN[name].path}")
    read = {name: list(_items(name, source)) for name in dict.fromkeys(names)}
    manifest = read_json(to / FOLDER / MANIFEST) or {}
    told = []
    for name, items in read.items():
        path, origin = to / FOLDER / f"{name}.parquet", source / KNOWN[name].path
        write_table(path, items, COLUMNS)
        manifest[name] = {
            "file": path.name,
            "sha256": sha256_of(path),
            "count": len(items),
            "source": KNOWN[name].path,
            "source_sha256": sha256_of(origin),
            "version": version(origin),
        }
        told.append(f"{path}: {len(items)} items, sha256 {manifest[name]['sha256'][:12]}, version {manifest[name]['version']}")
    write_json(to / FOLDER / MANIFEST, dict(sorted(manifest.items())))
    return told


def _items(name: str, source: Path) -> Iterator[dict[str, str]]:
    known = KNOWN[name]
    found = 0
    for number, row in enumerate(Table(path=str((source / known.path).resolve())).rows(Path("/"), lambda _: [])):
        missing = [column for column in known.needs if column not in row]
        if missing:
            raise SeedError(f"{source / known.path}, row {number}: no column {missing[0]!r}{nearest(missing[0], row)}; it has {', '.join(row)}")
        item = known.item(row)
        if item is None:
            continue
        if not item["question"].strip():
            raise SeedError(f"{source / known.path}, row {number}: the item has no text")
        found += 1
        yield {"benchmark": name, **item}
    if not found:
        raise SeedError(f"{source / known.path} holds no item of {name!r}")


def version(origin: Path) -> str:
    """The commits that the README beside a source names as its origin; else the first digits of the file's own hash."""
    readme = origin.with_name("README.md")
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    commits = list(dict.fromkeys(re.findall(r"([\w.-]+/[\w.-]+@[0-9a-f]{7})[0-9a-f]{0,33}", text)))
    return ", ".join(commits) or f"sha256:{sha256_of(origin)[:12]}"


def find_reference(name: str, base: Path, library: Library) -> Path | None:
    """The file of a reference set: a path beside the spec, else a name in the library's benchmarks/."""
    path = base / Path(name).expanduser()
    return path if path.is_file() else library.find(FOLDER, name, SUFFIXES)


def not_found(name: str, base: Path, library: Library) -> str:
    """What is said of a reference set that is not there: of a path what lies beside it, of a name what the library has and how sets are made."""
    path = base / Path(name).expanduser()
    if path.suffix in SUFFIXES or name.startswith((".", "/", "~")):
        return f"no file {path}{nearest_file(path, SUFFIXES)}"
    known = nearest(name, library.names(FOLDER, SUFFIXES))
    made = f"`datagen benchmarks import NAME --from DATA --to LIBRARY` makes those of {', '.join(KNOWN)}"
    return f"no {FOLDER}/{name}{SUFFIXES[0]} beside the spec or in --library{known}. datagen ships no benchmark texts: {made}"


def described(path: Path) -> dict[str, Any]:
    """What is known of a reference file for the record: name, hash, items, and of an imported one its source and version."""
    if not path.is_file():
        return {"name": path.stem, "sha256": "", "count": 0, "version": "", "source": ""}
    sha256 = sha256_of(path)
    known = (read_json(path.with_name(MANIFEST)) or {}).get(path.stem)
    same = known if isinstance(known, dict) and known.get("sha256") == sha256 else {}
    count = same.get("count") or sum(1 for _ in Table(path=str(path.resolve())).rows(Path("/"), lambda _: []))
    return {"name": path.stem, "sha256": sha256, "count": count, "version": same.get("version", ""), "source": same.get("source", "")}
