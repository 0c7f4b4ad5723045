"""A set-wise step over one cohort: all its rows at once, the rows of released cohorts before them.

Workers have measured the rows where they walked. Here only measures are looked at, and of released rows only what is compact: the file
`settled/c<number>.npy` of their cohort, in the order of parts and ids. Texts are read of those that a decision is about.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datagen.plan.model import Plan, PlannedStep, Stretch
from datagen.records import Row, digest
from datagen.steps.cohort import Cohort, add_up
from datagen.steps.journal import Journal
from datagen.steps.part import UNPUBLISHED, Unit, manifest_path, measures_path, part_folder
from datagen.steps.remarks import remarks
from datagen.steps.sets.base import VERSION, Decision, Held, Say, SetStep, set_step
from datagen.storage import (
    read_array,
    read_ids,
    read_json,
    read_rows,
    read_table,
    row_of,
    sealed,
    spilled,
    whole,
    write_arrays,
    write_json,
    write_rows,
)

if TYPE_CHECKING:
    from datagen.steps.sets.base import Measures, Numbers


def close(plan: Plan, stretch: Stretch, cohort: Cohort, earlier: Sequence[Cohort], root: Path) -> dict[str, Any]:
    """Run the closing step of a stretch; returns its manifest, made now or found. Rows stay in the parts they came in.

    What a released cohort kept before stays kept; only newcomers are judged.
    """
    step = stretch.closing
    assert step is not None
    came = {part: read_json(manifest_path(root, plan, Unit(stretch.number, part))) for part in cohort.parts}
    before = [read_json(_manifest(root, stretch, each)) for each in earlier]
    inputs = [_named(manifest["files"], "kept", "measures") for manifest in came.values()]
    fingerprint = digest([step.fingerprint, VERSION, inputs, [_named(manifest["files"], "kept", "settled") for manifest in before]])
    found = read_json(_manifest(root, stretch, cohort))
    if found and found["fingerprint"] == fingerprint and whole(root, found["files"]):
        return {**found, "made": False}
    (root / UNPUBLISHED).touch()
    verb, folder = set_step(plan, stretch), root / part_folder(plan, stretch.number) / "kept"
    with contextlib.closing(_Table.laid(root, step, verb, folder, {part: manifest["rows"] for part, manifest in came.items()})) as table:
        if cohort.released and not (found and found["fingerprint"] == fingerprint and not found["stood"]):  # else it was the same and all new
            table.leave_standing(_named((found or {"files": {}})["files"], "settled"))
        table.add_settled([(each.number, manifest["rows"]) for each, manifest in zip(earlier, before, strict=True)])
        counts, rows, written = table.decide()
        written.append(table.settle(f"c{cohort.number}", rows))
        stood, notes = int(table.stays.sum()), remarks(step, [*table.settled, table.measures])
    manifest: dict[str, Any] = {"part": f"c{cohort.number}", "fingerprint": fingerprint, "counts": {str(step.number): counts}}
    manifest |= {"stood": stood, "rows": {part: len(kept) for part, kept in rows.items()}, "files": sealed(root, written)}
    manifest |= {"notes": notes} if notes else {}
    write_json(_manifest(root, stretch, cohort), manifest)
    return {**manifest, "made": True}


def judged(plan: Plan, stretch: Stretch, rows: Sequence[Row], journal: Journal | None = None) -> list[Row]:
    """What a closing step leaves of rows in memory, when nothing is released; in the order of their ids. `journal`: where to write it down."""
    verb, rows = set_step(plan, stretch), sorted(rows, key=lambda row: row.id)
    say = verb.judge(verb.measure(rows), [], Held(rows))
    if journal is None or stretch.closing is None:
        return [row for number, row in enumerate(rows) if not say(number, row).reason]
    step = stretch.closing
    journal.enter(step, len(rows))
    kept = [row for number, row in enumerate(rows) if _decided(journal, step, row, say(number, row))]
    journal.keep(step, len(kept))
    return kept


def _decided(journal: Journal, step: PlannedStep, row: Row, decision: Decision) -> bool:
    """Write a decision down; whether the row is kept."""
    return journal.decide(step, row, decision.operator or step.verb, decision.reason, decision.evidence, decision.score)


def _manifest(root: Path, stretch: Stretch, cohort: Cohort) -> Path:
    assert stretch.closing is not None
    return root / stretch.closing.folder / "parts" / f"{stretch.number}-c{cohort.number}.json"


def closing_manifests(root: Path, stretch: Stretch, cohort: Cohort) -> list[Path]:
    """What the closing step of a stretch, if there is one, has said of a cohort."""
    return [_manifest(root, stretch, cohort)] if stretch.closing else []


def _named(files: Mapping[str, str], *kinds: str) -> dict[str, str]:
    """Those of a manifest's files that lie in folders of these names."""
    return {name: sha256 for name, sha256 in files.items() if name.split("/")[-2] in kinds}


@dataclass
class _Table:
    """All that one closing step over one cohort has before it."""

    root: Path
    step: PlannedStep
    verb: SetStep
    folder: Path
    """Where the incoming rows of each part lie."""
    parts: Mapping[str, tuple[int, int]]
    """Part -> where its rows begin and end in `measures`."""
    measures: Measures
    """Of all incoming rows, in the order of parts and ids; on the disk, in a file without a name."""
    stays: Any
    """Which of them this step has kept in a release."""
    settled: list[Measures] = field(default_factory=list)
    files: list[tuple[Path, Numbers | None, int]] = field(default_factory=list)
    """(row file, which of its rows or all, how many), in the order of their numbers as a Stock has them."""

    @classmethod
    def laid(cls, root: Path, step: PlannedStep, verb: SetStep, folder: Path, rows: Mapping[str, int]) -> _Table:
        """`rows`: incoming ones of each part. What no worker has measured is measured here."""
        import numpy as np

        ends = dict(zip(rows, itertools.accumulate(rows.values()), strict=True))
        measures = spilled(root, sum(rows.values()), verb.measure([]).dtype)
        for part, end in ends.items():
            path = measures_path(root, step, part)
            measures[end - rows[part] : end] = read_array(path) if path.exists() else verb.measure(read_rows(folder / f"{part}.parquet"))
        places = {part: (end - rows[part], end) for part, end in ends.items()}
        return cls(root, step, verb, folder, places, measures, np.zeros(len(measures), dtype=bool))

    @property
    def near(self) -> Path:
        return self.root

    def close(self) -> None:
        """The measures go with their last name."""
        self.measures = self.measures[:0].copy()

    def leave_standing(self, settled: Mapping[str, str]) -> None:
        """What this step kept in a release, and what is still there of it, is not judged again. `settled`: the file that says what was
        kept, if it is as its manifest names it; else the kept rows say it."""
        import numpy as np

        if settled and whole(self.root, settled):
            kept = np.concatenate([read_array(self.root / name)["id"] for name in settled])
        else:
            kept = np.array([row for part in self.parts for row in read_ids(self._home("kept", f"{part}.parquet"))], dtype="S23")
        self.stays = np.isin(self.measures["id"], kept)

    def add_settled(self, earlier: Sequence[tuple[int, Mapping[str, int]]]) -> None:
        """`earlier`: (number, part -> rows kept) of the cohorts before. What stays of this one comes after them, then what is new."""
        import numpy as np

        for number, rows in earlier:
            self.settled.append(read_array(self._home("settled", f"c{number}.npy"), lazily=True))
            self.files += [(self._home("kept", f"{part}.parquet"), None, count) for part, count in rows.items()]
        if self.stays.any():
            self.settled.append(self.measures[self.stays])
        for staying in (True, False):
            for part, (start, end) in self.parts.items():
                these = np.nonzero(self.stays[start:end] == staying)[0]
                self.files.append((self.folder / f"{part}.parquet", these, len(these)))

    def rows(self, numbers: Numbers) -> Iterator[Row]:
        """As a Stock."""
        ends = list(itertools.accumulate(count for *_, count in self.files))
        for at, some in itertools.groupby(numbers.tolist(), key=lambda number: bisect.bisect_right(ends, number)):
            path, these, count = self.files[at]
            records = read_table(path)
            for number in some:
                place = number - (ends[at] - count)
                yield row_of(records[place if these is None else int(these[place])])

    def decide(self) -> tuple[dict[str, Any], dict[str, list[int]], list[Path]]:
        """Write what is kept of each part, and why the rest is not. Returns (counts, part -> places of the rows kept, files)."""
        new = self.measures[~self.stays] if self.stays.any() else self.measures
        say, number = self.verb.judge(new, self.settled, self), sum(map(len, self.settled))
        counts, rows, written = [], dict[str, list[int]](), list[Path]()
        for part, (start, end) in self.parts.items():
            stays = self.stays[start:end].tolist()
            journal = Journal((self.step,))
            rows[part] = self._part(part, stays, journal, say, number)
            number += stays.count(False)
            counts.append(journal.books[self.step.number].counts())
            written += [*journal.write(self.root, part, {self.step.number: self.step.folder}), self._home("kept", f"{part}.parquet")]
        return add_up(counts), rows, written

    def _part(self, part: str, stays: Sequence[bool], journal: Journal, say: Say, number: int) -> list[int]:
        """The places of the rows that are kept of a part; its file is written. `number`: of its first new row."""
        records, kept = read_table(self.folder / f"{part}.parquet"), list[int]()
        journal.enter(self.step, len(records))
        for place, record in enumerate(records):
            row = row_of(record)
            decision = self.verb.kept(row) if stays[place] else say(number, row)
            number += not stays[place]
            if _decided(journal, self.step, row, decision):
                kept.append(place)
        journal.keep(self.step, len(kept))
        write_rows(self._home("kept", f"{part}.parquet"), [records[place] for place in kept])
        return kept

    def settle(self, name: str, rows: Mapping[str, Sequence[int]]) -> Path:
        """Write the measures of the rows kept, for the cohorts to come."""
        path = self._home("settled", f"{name}.npy")
        places = (self.measures[self.parts[part][0] :][kept] for part, kept in rows.items())
        write_arrays(path, sum(map(len, rows.values())), self.measures.dtype, places)
        return path

    def _home(self, *names: str) -> Path:
        return (self.root / self.step.folder).joinpath(*names)
