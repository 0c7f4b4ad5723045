"""What a plan reads of the files that a spec names, before anything is paid: prompts, recipes, reference sets, known-good texts, vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from datagen.errors import SeedError, SpecError, nearest
from datagen.plan.model import PlannedStep
from datagen.seeds.labelled import SEEDS, labelled_rows
from datagen.seeds.table import Table
from datagen.spec.reading import Written
from datagen.spec.templates import Prompt
from datagen.storage import word_vectors

REFERENCE_COLUMNS = ("question", "text", "prompt")
"""Where the text of a reference item is looked for, in this order."""


def read_prompt(name: str, path: Path) -> Prompt:
    """A prompt file; its text is not YAML, so only its head is parsed."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read: {error}") from error
    return Prompt.read(name, Written(path, None, {}, text))


def items_of(value: Any, where: str) -> list[dict[str, Any]]:
    """The lines of a recipe, each as {operator: parameters or None}. Raises SpecError where it is no list."""
    if not isinstance(value, list) or not value:
        raise SpecError(f"{where}: a recipe is a list of operators, each `- name: {{parameters}}`")
    return [{item: None} if isinstance(item, str) else item for item in value]


def reference_texts(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Each item of a reference set: its row, and the text to compare with. Raises SpecError with the row that has none: it would find nothing,
    and the certificate would count it."""
    for number, values in enumerate(Table(path=str(path.resolve())).rows(Path("/"), lambda _: []), start=1):
        found = {name: values[name] for name in REFERENCE_COLUMNS if values.get(name) is not None}
        text = next((value for value in found.values() if isinstance(value, str) and value.strip()), None)
        if text is None:
            has = f"found {next(iter(found))} = {next(iter(found.values()))!r:.60}" if found else f"it has {', '.join(values) or 'nothing'}"
            raise SpecError(f"{path}: row {number} is no item: it needs a text in one of the columns {', '.join(REFERENCE_COLUMNS)}; {has}")
        yield values, text


def check_reference(path: Path, where: str) -> None:
    """Raises SpecError when a reference set has an item without a text to compare with: now, not after paying for the rows."""
    try:
        count = sum(1 for _ in reference_texts(path))
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from error
    if not count:
        raise SpecError(f"{where}: {path} holds no item; it needs one of the columns {', '.join(REFERENCE_COLUMNS)}")


def vectors_in(path: Path, where: str) -> int:
    """How many numbers a vector of a file of word vectors has. Raises SpecError where it is no such file: now, not after paying for the rows."""
    try:
        return len(word_vectors(path)[1][0])
    except (OSError, ValueError, KeyError, IndexError, BadZipFile) as error:
        raise SpecError(
            f"{where}: {path} is no file of word vectors: {error}; it needs .npz with `words` (texts) and `vectors` (a row each)"
        ) from error


def require_good(name: str, where: str, base: Path, fields: set[str], steps: Sequence[PlannedStep]) -> None:
    """Raises SpecError, SeedError or SetupError where no known-good text can be had under this name."""
    if name.startswith(SEEDS):
        field = name.removeprefix(SEEDS)
        if field not in fields:
            raise SpecError(f"{where} {name}: the seeds have no field {field!r}{nearest(field, fields)}")
        if judges := [step.name for step in steps if step.recipe and any(operator.on == field for _, operator in step.recipe.operators)]:
            raise SpecError(f"{where} {name}: the step {judges[0]} judges that field, and what it has kept says nothing of what it drops")
    elif next(labelled_rows(name, where, base), None) is None:
        raise SeedError(f"{where} {name}: there is no row in it")


def nearest_file(path: Path, suffixes: Sequence[str]) -> str:
    """As `nearest`, among the files beside a path where nothing is."""
    return nearest(path.name, (each.name for each in path.parent.glob("*") if each.suffix in suffixes and each.is_file()))
