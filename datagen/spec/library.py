"""Where a name is looked up: beside the spec, then in --library, then in what ships."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from datagen.errors import SpecError, nearest
from datagen.spec.reading import Written, read_yaml

_PACKAGE = Path(__file__).resolve().parent.parent
SHIPPED = _PACKAGE / "_library" if (_PACKAGE / "_library").is_dir() else _PACKAGE.parent
"""The content folders: inside an installed wheel, or beside the package in a checkout."""


@dataclass(frozen=True)
class Library:
    """Roots in the order in which they are searched; each may hold prompts/, filters/, pipelines/, benchmarks/."""

    roots: tuple[Path, ...]

    @classmethod
    def around(cls, spec: Path | None, extra: Path | None = None) -> Library:
        """The library as seen from a spec. Raises SpecError when `extra` is no folder."""
        if extra is not None and not extra.is_dir():
            raise SpecError(f"--library {extra}: no such folder")
        near = [spec.parent, *([spec.parent.parent] if spec.parent.name == "pipelines" else [])] if spec else []
        return cls(tuple(dict.fromkeys([*near, *([extra] if extra else []), SHIPPED])))

    def find(self, kind: str, name: str, suffixes: Sequence[str]) -> Path | None:
        """The first file `<root>/<kind>/<name><suffix>`; a name may carry its suffix."""
        for root in self.roots:
            for suffix in ("", *suffixes):
                path = root / kind / f"{name}{suffix}"
                if path.is_file() and path.name.endswith(tuple(suffixes)):
                    return path
        return None

    def names(self, kind: str, suffixes: Sequence[str]) -> list[str]:
        """Every name of a kind, for error messages and listings."""
        return sorted({name for root in self.roots for name in _names(root / kind, suffixes)})

    def need(self, kind: str, name: str, suffixes: Sequence[str], where: str, noun: str) -> Path:
        """As `find`; raises SpecError that lists what is known."""
        path = self.find(kind, name, suffixes)
        if path is None:
            places = ", ".join(str(root / kind) for root in self.roots)
            raise SpecError(f"{where}: no {noun} {name!r} in {places}{nearest(name, self.names(kind, suffixes))}")
        return path

    def pipeline(self, name: str) -> Path:
        """A spec: a path first, then a name of the library."""
        path = Path(name)
        if path.is_file():
            return path
        if path.parent != Path():
            raise SpecError(f"{name}: no such file")
        found = self.find("pipelines", name, (".yaml", ".yml"))
        if found is None:
            raise SpecError(f"--spec {name}: no such file, and no pipeline of that name{nearest(path.stem, self.names('pipelines', ('.yaml',)))}")
        return found

    def recipe(self, name: str, where: str) -> Written:
        """A filter recipe as written."""
        return read_yaml(self.need("filters", name, (".yaml", ".yml"), where, "filter recipe"))

    def listing(self, name: str, where: str) -> list[str]:
        """The entries of a list file, one a line; blank lines and `#` lines are left out."""
        path = self.need("prompts", name, (".txt",), where, "list")
        entries = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        found = [line for line in entries if line and not line.startswith("#")]
        if not found:
            raise SpecError(f"{where}: the list {path} has no entries")
        return found


def _names(folder: Path, suffixes: Iterable[str]) -> Iterable[str]:
    if not folder.is_dir():
        return
    for path in folder.rglob("*"):
        for suffix in suffixes:
            if path.is_file() and path.name.endswith(suffix):
                yield path.relative_to(folder).as_posix().removesuffix(suffix)
