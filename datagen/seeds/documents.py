"""Passages of documents: Markdown and text, cut at headings to a word budget."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveInt, model_validator

from datagen.errors import SeedError
from datagen.seeds.base import Listing

_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$")
_SUFFIXES = (".md", ".txt")


class Documents(BaseModel):
    """`documents: folder-or-glob`, or {path, words}. Rows: `passage`, `title` (the headings above it), `source`, `position`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    words: PositiveInt = 600
    """Upper bound of a passage; a paragraph is cut only where it alone is longer."""
    at_least: PositiveInt = 40
    """Shorter passages are left out: a heading with a sentence under it is no text to work from."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    def rows(self, base: Path, listing: Listing) -> Iterator[dict[str, Any]]:
        files = self._files(base)
        if not files:
            raise SeedError(f"documents {self.path}: no {' or '.join(_SUFFIXES)} file there (looked from {base})")
        for file in files:
            try:
                text = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise SeedError(f"documents: {file} cannot be read: {error}") from error
            for position, (title, passage) in enumerate(passages(text, self.words, self.at_least)):
                yield {"passage": passage, "title": title or file.stem, "source": file.name, "position": position}

    def beside(self, base: Path) -> list[Path]:
        return [] if Path(self.path).expanduser().is_absolute() else self._files(base)

    def _files(self, base: Path) -> list[Path]:
        root = base / Path(self.path).expanduser()
        if root.is_file():
            return [root]
        found = root.rglob("*") if root.is_dir() else (Path(name) for name in glob.glob(str(root), recursive=True))  # noqa: PTH207, the pattern may start anywhere
        return sorted(path for path in found if path.suffix in _SUFFIXES and path.is_file())


def passages(text: str, words: int, at_least: int) -> Iterator[tuple[str, str]]:
    """(headings joined by ' > ', passage) in order; no passage has more than `words` words."""
    for title, paragraphs in _sections(text):
        chunk: list[str] = []
        for paragraph in (part for whole in paragraphs for part in _cut(whole, words)):
            if chunk and _words(chunk) + len(paragraph.split()) > words:
                yield from _worth(title, chunk, at_least)
                chunk = []
            chunk.append(paragraph)
        yield from _worth(title, chunk, at_least)


def _worth(title: str, chunk: list[str], at_least: int) -> Iterator[tuple[str, str]]:
    if _words(chunk) >= at_least:
        yield title, "\n\n".join(chunk)


def _words(chunk: list[str]) -> int:
    return sum(len(paragraph.split()) for paragraph in chunk)


def _cut(paragraph: str, words: int) -> list[str]:
    """A paragraph as it is, or in pieces of `words` words when it alone is too long."""
    all_words = paragraph.split()
    if len(all_words) <= words:
        return [paragraph]
    return [" ".join(all_words[start : start + words]) for start in range(0, len(all_words), words)]


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """(trail of headings, paragraphs under it); a `#` inside a code fence is no heading."""
    trail: list[str] = []
    lines: list[str] = []
    fenced = False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        heading = None if fenced else _HEADING.match(line)
        if heading:
            yield " > ".join(trail), _paragraphs(lines)
            trail = [*trail[: len(heading[1]) - 1], heading[2]]
            lines = []
        else:
            lines.append(line)
    yield " > ".join(trail), _paragraphs(lines)


def _paragraphs(lines: list[str]) -> list[str]:
    """Blocks between blank lines; a code fence stays whole."""
    blocks: list[list[str]] = [[]]
    fenced = False
    for line in lines:
        fenced ^= line.lstrip().startswith("```")
        if line.strip() or fenced:
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return ["\n".join(block) for block in blocks if block]
