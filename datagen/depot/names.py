"""What the user calls a folder in which an object store is mirrored: told instead of its path on this disk."""

from __future__ import annotations

from pathlib import Path

_given: dict[str, str] = {}


def mirrors(folder: Path, url: str) -> Path:
    """Note that `folder` stands for `url` in this process, and return it."""
    _given[str(folder)] = url.rstrip("/")
    return folder


def as_given(words: str) -> str:
    """The words with urls for the paths of mirrors."""
    for folder in sorted(_given, key=len, reverse=True):
        words = words.replace(folder, _given[folder])
    return words
