"""What a simulator is told, whether it makes sense, and the label that it gives to its answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from datagen.errors import SetupError, SpecError, nearest
from datagen.records import digest
from datagen.rehearsal.defects import DEFECTS
from datagen.rehearsal.material import material_digest
from datagen.rehearsal.server.faults import FAULTS, Latency
from datagen.spec.models import Rehearsal as Settings

__all__ = ["Settings", "checked", "label", "version"]

_VERSION = "1"
"""Raised whenever the same settings would answer the same request otherwise."""


def version() -> str:
    return _VERSION


def checked(settings: Settings) -> Settings:
    """The settings. Raises SpecError on an unknown defect or fault, shares above 1 in all, a latency that cannot be read, or an outage
    that ends before it begins. Cheap, and looks at no file: a plan calls it too."""
    for kind, shares, known in (("defect", settings.defects, DEFECTS), ("fault", settings.faults, FAULTS)):
        _check_shares(kind, shares, known)
    Latency(settings.latency)
    for begin, end, _ in settings.outages:
        if not 0 <= begin < end:
            raise SpecError(f"rehearsal.outages: from second {begin:g} to {end:g} is no time; write [[BEGIN, END, HOW]], as in [[10, 70, error]]")
    return settings


def _check_shares(kind: str, shares: Mapping[str, float], known: Iterable[str]) -> None:
    for name in shares:
        if name not in set(known):
            raise SpecError(f"rehearsal.{kind}s: unknown {kind} {name!r}{nearest(name, known)}")
    total = sum(shares.values())
    if total > 1 + 1e-9:
        raise SpecError(f"rehearsal.{kind}s: the shares add up to {total:g}, but there is at most one {kind} at a time; keep the sum at or below 1")


def label(settings: Settings) -> str:
    """`simulator-` and a digest of all that shapes an answer: version, seed, bank, defects and their material; no latency, fault or limit."""
    shaping = {
        "version": _VERSION,
        "seed": settings.seed,
        "defects": {name: share for name, share in settings.defects.items() if share},
        "material": material_digest() if any(settings.defects.values()) else "",
        "bank": _bank_digest(settings),
    }
    return f"simulator-{digest(shaping, size=6)}"


def _bank_digest(settings: Settings) -> list[str]:
    if settings.bank is None:
        return []
    try:
        content = hashlib.sha256(Path(settings.bank.path).read_bytes()).hexdigest()
    except OSError as error:
        raise SetupError(f"rehearsal.bank.path: cannot read {settings.bank.path}: {error.strerror}") from error
    return [content, settings.bank.question, settings.bank.answer]
