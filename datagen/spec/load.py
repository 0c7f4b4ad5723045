"""A spec file in, a Spec out, with every word's line at hand for later errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen.errors import SpecError, nearest
from datagen.spec.library import Library
from datagen.spec.models import VERBS, AnyStep, Spec
from datagen.spec.reading import Written, read_yaml, validated


@dataclass(frozen=True)
class Loaded:
    """A spec, where it stands, and the library as seen from there."""

    spec: Spec
    written: Written
    library: Library

    @property
    def base(self) -> Path:
        """Relative paths in the spec start here."""
        return self.written.path.parent


def load_spec(name: str, library: Path | None = None) -> Loaded:
    """Read a spec by path or by name. Raises SpecError: every mistake with file:line, what is known and the nearest guess."""
    path = Library.around(None, library).pipeline(name)
    written = read_yaml(path)
    if not isinstance(written.value, Mapping):
        raise SpecError(f"{path}:1: a spec is a mapping of {', '.join(Spec.model_fields)}; this file holds {type(written.value).__name__}")
    steps = _steps(written.value.get("steps") or [], written, ("steps",))
    spec = validated(Spec, {**written.value, "steps": steps}, written)
    _check_names(spec, written)
    return Loaded(spec, written, Library.around(path, library))


def _steps(items: Any, written: Written, place: tuple[str | int, ...]) -> list[AnyStep]:
    if not isinstance(items, list):
        raise SpecError(f"{written.where(place)}: steps are a list: each has a name and exactly one verb ({', '.join(VERBS)})")
    return [_step(item, written, (*place, index)) for index, item in enumerate(items)]


def _step(item: Any, written: Written, place: tuple[str | int, ...]) -> AnyStep:
    where = written.where(place)
    if not isinstance(item, Mapping):
        raise SpecError(f"{where}: a step is a mapping with a name and one verb ({', '.join(VERBS)}); found {item!r}")
    verbs = [key for key in item if key in VERBS]
    if len(verbs) != 1:
        found = f"found {' and '.join(verbs)}" if verbs else f"found only {', '.join(item)}"
        unknown = [key for key in item if key not in ("name", "when", "of", "on", "returns", "samples", "each")]
        guess = nearest(unknown[0], VERBS) if unknown and not verbs else f"; known: {', '.join(VERBS)}"
        raise SpecError(f"{where}: step {item.get('name', '')!r} needs exactly one verb, {found}{guess}")
    value = dict(item)
    if verbs[0] == "repeat" and isinstance(value["repeat"], Mapping):
        inner = _steps(value["repeat"].get("steps") or [], written, (*place, "repeat", "steps"))
        value["repeat"] = {**value["repeat"], "steps": inner}
    return validated(VERBS[verbs[0]], value, written, place)  # type: ignore[return-value]


def _check_names(spec: Spec, written: Written) -> None:
    seen: dict[str, str] = {}
    for index, step in enumerate(spec.steps):
        where = written.where(("steps", index, "name"))
        if step.name in seen:
            raise SpecError(f"{where}: two steps are called {step.name!r} (the other at {seen[step.name]}); a name becomes a folder and a column")
        seen[step.name] = where
