"""What of a spec travels: the spec and exactly the files it reads, found by planning it here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from datagen.asking.teachers import TEACHERS
from datagen.errors import SetupError
from datagen.plan.sow import further_tables, seed_source
from datagen.seeds.base import FromFiles
from datagen.spec.library import Library
from datagen.spec.load import Loaded
from datagen.spec.models import Decontaminate, Dedup

LARGEST = 50 * 2**20
"""Bytes of a bundle: half of what Ray takes for a working directory."""
ALWAYS_SECRET = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "RAY_AUTH_TOKEN")
SHORTEST_SECRET = 8
"""Characters of a value that is looked for: `none` and `EMPTY`, which keyless servers are given, are no secrets."""


@dataclass(frozen=True)
class Recorder(Library):
    """A library that keeps what was found in it: place in a library -> file."""

    found: dict[str, Path] = field(default_factory=dict)

    def find(self, kind: str, name: str, suffixes: Sequence[str]) -> Path | None:
        path = super().find(kind, name, suffixes)
        if path is not None:
            root = next(root for root in self.roots if path.is_relative_to(root / kind))
            self.found[path.relative_to(root).as_posix()] = path
        return path


def recording(loaded: Loaded) -> tuple[Loaded, Recorder]:
    """The spec with a library that keeps what planning finds in it."""
    recorder = Recorder(loaded.library.roots)
    return replace(loaded, library=recorder), recorder


@dataclass(frozen=True)
class Bundle:
    """Files by their place in the folder that travels."""

    spec: str
    """The place of the spec itself."""
    files: Mapping[str, Path]

    def write(self, folder: Path) -> None:
        for place, path in self.files.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / place)

    def require_small(self, largest: int = LARGEST, what: str = "a job may bring") -> None:
        """Raises SetupError that names the biggest files where they are more than `largest` bytes together."""
        sizes = {place: path.stat().st_size for place, path in self.files.items()}
        if sum(sizes.values()) > largest:
            biggest = sorted(sizes.items(), key=lambda item: -item[1])[:3]
            named = ", ".join(f"{place} ({size / 2**20:,.1f} MiB)" for place, size in biggest)
            raise SetupError(
                f"the spec and its files have {sum(sizes.values()) / 2**20:,.1f} MiB, more than the {largest / 2**20:,.1f} MiB that {what}; "
                f"the biggest: {named}. Put seeds on s3:// or on a path that every node sees, and name that in the spec"
            )

    def require_no_secret(self, variables: Iterable[str], more: Mapping[str, str] | None = None) -> None:
        """Raises SetupError where the value of one of `variables` stands in a file, its name, or in `more` (what -> text) that would travel."""
        values = {name: os.environ.get(name, "") for name in variables}
        texts = {f"the file {place}": place.encode() + b"\n" + path.read_bytes() for place, path in self.files.items()}
        texts |= {what: text.encode() for what, text in (more or {}).items()}
        for name, value in values.items():
            for what, text in texts.items():
                if len(value) >= SHORTEST_SECRET and value.encode() in text:
                    raise SetupError(
                        f"the value of {name} stands in {what}, which everybody who may look at the cluster can read; nothing was submitted. "
                        f"Take it out and set {name} in the environment of the cluster's nodes: a build there reads it as it does here"
                    )


def bundled(loaded: Loaded, recorder: Recorder) -> Bundle:
    """Everything a planned spec reads by a relative path or a library's name, laid out as it is around the spec."""
    base = _whole(loaded.base)
    beside = [_whole(path) for path in _beside(loaded)]
    root = Path(os.path.commonpath([base, *(path.parent for path in beside)]))
    home = PurePosixPath(base.relative_to(root).as_posix())
    files = {(home / place).as_posix(): path for place, path in recorder.found.items()}
    files |= {path.relative_to(root).as_posix(): path for path in beside}
    spec = (home / loaded.written.path.name).as_posix()
    return Bundle(spec, dict(sorted((files | {spec: loaded.written.path}).items())))


def of_this_disk(loaded: Loaded) -> list[str]:
    """Absolute paths that the spec names: they travel not."""
    source = getattr(seed_source(loaded), "path", None)
    named = [*([source] if source else []), *loaded.spec.seeds.also, *_named(loaded)]
    return [name for name in named if Path(name).expanduser().is_absolute()]


def _named(loaded: Loaded) -> list[str]:
    """Files other than the seeds'."""
    bank = loaded.spec.rehearsal.bank
    names = [name for step in loaded.spec.steps if isinstance(step, Decontaminate) for name in step.decontaminate.against]
    meanings = [step.dedup.meaning for step in loaded.spec.steps if isinstance(step, Dedup)]
    return [*names, *(words.vectors for words in meanings if words and words.vectors), *([bank.path] if bank else [])]


def _beside(loaded: Loaded) -> list[Path]:
    """Files that the spec names by a path of their own."""
    source = seed_source(loaded)
    found = source.beside(loaded.base) if isinstance(source, FromFiles) else []
    found += [path for table in further_tables(loaded) for path in table.beside(loaded.base)]
    for name in _named(loaded):
        path = loaded.base / name
        if not Path(name).expanduser().is_absolute() and path.is_file():
            found.append(path)
    return found


def _whole(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100, a link stays where it is: its name is what the spec says


def secrets(loaded: Loaded) -> list[str]:
    """Environment variables whose values must not travel."""
    teachers = loaded.spec.teachers.values()
    keys = [teacher.api_key_env for teacher in teachers if teacher.api_key_env]
    keys += [TEACHERS.get(provider).about.key for teacher in teachers if (provider := teacher.model.partition("/")[0]) in TEACHERS]
    return list(dict.fromkeys([*keys, *ALWAYS_SECRET]))
