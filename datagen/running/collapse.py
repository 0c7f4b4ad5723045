"""A watch on what is written while it is written: when texts of one topic, of another value of the grid, or all, have become alike, it says so.

Finished parts are looked at. Of each value a bounded sketch is kept: figures of the first texts that came, in the groups in which they came.
So the alarm is a word in time and no verdict; what a release says of it (`release/measured/diversity.py`) hangs on the rows alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from datagen.errors import TooManyFailures
from datagen.plan.model import Plan, Stretch
from datagen.plan.texts import Text, axes, texts
from datagen.records import Row
from datagen.release.measured.diversity import MOST_VALUES, alarm
from datagen.release.measured.variety import GROUP, LENGTHS, OPENING, Variety, commonest, compression, length_for, repetition, self_bleu, words_of
from datagen.runtime.log import event
from datagen.runtime.measures import Measures
from datagen.steps.part import part_folder
from datagen.storage import read_rows

PARTS = 400
"""Parts that are looked at, some 100,000 rows; what has not collapsed by then is seen in the release."""
TEXTS = 10 * GROUP
"""Texts of one value that are looked at."""
METRIC = "datagen_collapsed_values"


@dataclass
class Sketch:
    """What is kept of the texts of one value."""

    rows: int = 0
    short: int = 0
    openings: Counter[str] = field(default_factory=Counter)
    group: list[tuple[str, ...]] = field(default_factory=list)
    """Texts that wait for enough others to be compared with."""
    figures: list[tuple[float, float, float]] = field(default_factory=list)
    """Of each group."""

    def add(self, words: Sequence[str], length: int) -> None:
        """`length`: words to cut to; 0: only the opening counts."""
        self.rows += 1
        self.openings[" ".join(words[:OPENING])] += 1
        if not length or len(words) < length:
            self.short += 1
            return
        self.group.append(tuple(words[:length]))
        if len(self.group) == GROUP:
            self.figures.append((compression(self.group), repetition(self.group), self_bleu(self.group)))
            self.group = []

    def found(self, words: int) -> Variety:
        """The figures as of any texts."""
        opening, most = commonest(self.openings)
        compressed, repeated, bleu = (sum(each) / len(each) for each in zip(*self.figures, strict=True)) if self.figures else (None, None, None)
        return Variety(self.rows, self.short, words, compressed, repeated, bleu, opening, most / max(self.rows, 1))


class CollapseWatch:
    """All sketches of one run, and what has been said."""

    def __init__(self, plan: Plan, root: Path, stops: bool = True) -> None:
        """`root`: OUT/steps. `stops`: whether the spec's wish to stop counts, as it does where answers are paid for."""
        self._plan, self._root, self._limits = plan, root, plan.spec.guard.collapse
        self._axes, self._texts = ["", *axes(plan)], texts(plan) if self._limits else []
        self._stops = stops and self._limits is not None and self._limits.stop
        self._lengths: dict[str, int] = {}
        """Step -> words to which its texts are cut, by the first that came."""
        self._waiting: dict[str, list[tuple[list[str], Row]]] = {}
        """Texts that came before that was known."""
        self._sketches: dict[tuple[str, str, str], Sketch] = {}
        self._parts = 0
        self.said: dict[tuple[str, str, str], str] = {}
        """(step, axis, value) -> the alarm, each once; the axis '' is all rows."""

    def look(self, stretch: Stretch, part: str) -> list[str]:
        """Take in a part that was made; returns the alarms that are new."""
        mine = [text for text in self._texts if text.number in {step.number for step in stretch.steps}]
        if not mine or self._parts >= PARTS:
            return []
        self._parts += 1
        fresh = dict.fromkeys(key for text in mine for key in self._take_in(text, stretch, part))
        if len(self._lengths) == len(self._texts) and all(sketch.rows >= TEXTS for sketch in self._sketches.values()):
            self._parts = PARTS  # there is nothing left to learn
        return [words for key in fresh if (words := self._alarm(key))]

    @property
    def stop(self) -> TooManyFailures | None:
        """What ends the build, where the spec wants that."""
        if not (self._stops and self.said):
            return None
        first = next(iter(self.said.values()))
        return TooManyFailures(f"{first}. guard.collapse.stop is set, so nothing more is asked: vary the prompt, or take the value out of the grid")

    def measures(self) -> Measures:
        """Values that have collapsed, by step and axis."""
        counts = Counter((step, axis or "all") for step, axis, _ in self.said)
        return {METRIC: {labels: float(number) for labels, number in counts.items()}}

    def _take_in(self, text: Text, stretch: Stretch, part: str) -> Iterator[tuple[str, str, str]]:
        """Adds the texts of a part to the sketches; yields those that grew."""
        waiting = self._waiting.setdefault(text.step, [])
        waiting += [(words_of(row.fields[text.field], LENGTHS[0]), row) for row in self._rows(text, stretch, part)]
        if text.step not in self._lengths and len(waiting) < GROUP:
            return
        length = self._lengths.setdefault(text.step, length_for([words for words, _ in waiting]))
        for words, row in waiting:
            for axis in self._axes:
                key = (text.step, axis, str(row.fields.get(axis)) if axis else "")
                sketch = self._sketch(key)
                if sketch is not None and sketch.rows < TEXTS:
                    sketch.add(words, length)
                    yield key
        waiting.clear()

    def _sketch(self, key: tuple[str, str, str]) -> Sketch | None:
        """The sketch of a value; None of one too many: an axis of thousands has few texts of each."""
        if key not in self._sketches and sum(key[:2] == other[:2] for other in self._sketches) >= 10 * MOST_VALUES:
            return None
        return self._sketches.setdefault(key, Sketch())

    def _rows(self, text: Text, stretch: Stretch, part: str) -> Iterator[Row]:
        """Rows with the step's text, also those that later steps of the stretch have dropped: each answer once, and of siblings one."""
        folders = [part_folder(self._plan, stretch.number) + "/kept"]
        folders += [f"{step.folder}/{kind}" for step in stretch.steps if step.number > text.number for kind in ("dropped", "unanswered")]
        seen: set[str] = set()
        for folder in folders:
            for row in read_rows(self._root / folder / f"{part}.parquet"):
                one = (row.parent or row.id) if text.siblings else row.calls.get(text.step, "")
                if text.step in row.calls and isinstance(row.fields.get(text.field), str) and one not in seen:
                    seen.add(one)
                    yield row

    def _alarm(self, key: tuple[str, str, str]) -> str:
        """What is to be said of a value; empty where it is well, or was said before."""
        step, axis, value = key
        found = self._sketches[key].found(self._lengths[step])
        assert self._limits is not None
        if key in self.said or not self._limits.met(found.rows, found.opening_share, found.repetition or 0.0):
            return ""
        self.said[key] = words = alarm({"step": step, "axis": axis, "value": value, **asdict(found)}, self._limits)
        told: dict[str, Any] = {"axis": axis, "value": value, "rows": found.rows}
        event("collapsed", step=step, **told, opening_share=round(found.opening_share, 3), repetition=round(found.repetition or 0.0, 3))
        return words
