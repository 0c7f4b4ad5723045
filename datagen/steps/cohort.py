"""Which seeds a build walks, in which parts: growth adds a cohort and moves nothing that was there."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen.errors import OutputError
from datagen.plan.model import Plan, Sown
from datagen.records import Row
from datagen.storage import read_json, read_table, row_record, write_json, write_rows

PART_ROWS = 256
LEAST_PARTS = 8
"""Parts are small, so that many are in the air, and never so few that workers go without."""


@dataclass(frozen=True)
class Cohort:
    """The seeds that one release saw first."""

    number: int
    buckets: int
    rows: tuple[Row, ...]
    released: bool
    """True when a release with these seeds is out: what it kept stays."""

    def part_of(self, seed: str) -> str:
        """`c0-0007`, by the seed's id alone."""
        return f"c{self.number}-{int(seed.removeprefix('r1:'), 16) % self.buckets:04d}"

    def parts(self) -> dict[str, tuple[Row, ...]]:
        """Part -> its seeds' rows, in the order of the parts; parts without a seed are left out."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(self.part_of(row.seed), []).append(row)
        return {name: tuple(found[name]) for name in sorted(found)}


@dataclass(frozen=True)
class Season:
    """What one run of a build has to do: its version, and the cohorts it walks."""

    version: tuple[int, int]
    cohorts: tuple[Cohort, ...]
    fresh: bool
    """True when nothing of an earlier plan may stay under steps/."""

    @property
    def label(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def season(plan: Plan, sown: Sown, out: Path, yes: bool) -> Season:
    """Compare the plan with what OUT holds. Raises OutputError for another spec's folder, and for a change of released rows without `yes`."""
    manifest = read_json(out / "manifest.json")
    record = read_json(out / "steps" / "cohorts.json") or {"name": plan.name, "fingerprint": plan.fingerprint, "cohorts": []}
    owner = (manifest or record)["name"]
    if owner != plan.name:
        raise OutputError(f"{out} belongs to the spec {owner!r}, not to {plan.name!r}; give this one another --out")
    releases = manifest["releases"] if manifest else []
    if not releases:
        same = record["fingerprint"] == plan.fingerprint
        return Season((1, 0), (_cohort(0, sown.rows, released=False),), fresh=not same)
    last = tuple(int(number) for number in releases[-1]["version"].split("."))
    changed = _change(plan, sown, record, manifest["plan_fingerprint"])
    if changed:
        if not yes:
            raise OutputError(
                f"{changed}; that makes a new major release beside {releases[-1]['version']}: look at `datagen plan`, then build with --yes"
            )
        return Season((last[0] + 1, 0), (_cohort(0, sown.rows, released=False),), fresh=True)
    return _grown(sown, record, (last[0], last[1] + 1))


def _change(plan: Plan, sown: Sown, record: Mapping[str, Any], released_plan: str) -> str:
    """In words, what of the released rows would not hold any more; empty when they stand."""
    if released_plan != plan.fingerprint:
        return "the plan has changed since the last release: released rows or their verdicts may change"
    here = {row.id for row in sown.rows}
    gone = sum(1 for cohort in record["cohorts"] if cohort["released"] for seed in cohort["seeds"] if seed not in here)
    return f"{gone} released seeds are no longer among the seeds" if gone else ""


def _grown(sown: Sown, record: Mapping[str, Any], version: tuple[int, int]) -> Season:
    """Cohorts that are out as they were, and one more for seeds that none of them has."""
    by_id = {row.id: row for row in sown.rows}
    cohorts: list[Cohort] = []
    for entry in record["cohorts"]:
        if entry["released"]:
            rows = tuple(by_id.pop(seed) for seed in entry["seeds"])
            cohorts.append(Cohort(entry["number"], entry["buckets"], rows, released=True))
    if by_id:
        cohorts.append(_cohort(len(cohorts), tuple(by_id.values()), released=False))
    return Season(version, tuple(cohorts), fresh=False)


def _cohort(number: int, rows: tuple[Row, ...], released: bool) -> Cohort:
    return Cohort(number, max(LEAST_PARTS, -(-len(rows) // PART_ROWS)), rows, released)


def claim(plan: Plan, this: Season, out: Path) -> None:
    """Make OUT ready for the season: what belongs to no cohort goes, and the seeds are on record before anything is asked."""
    root = out / "steps"
    if this.fresh and root.exists():
        shutil.rmtree(root)
    known = {name for cohort in this.cohorts for name in (*cohort.parts(), f"c{cohort.number}")}
    for path in root.glob("*/*/c*.parquet"):
        if path.stem not in known:
            path.unlink()
    for path in root.glob("*/parts/*.json"):  # named `<stretch>-<part>`
        if path.stem.split("-", 1)[1] not in known:
            path.unlink()
    write_cohorts(plan, this, out)


def write_cohorts(plan: Plan, this: Season, out: Path, released: bool = False) -> None:
    """Note which seeds each cohort has; `released` once the release of this season is out."""
    entries = [
        {"number": cohort.number, "buckets": cohort.buckets, "released": cohort.released or released, "seeds": [row.id for row in cohort.rows]}
        for cohort in this.cohorts
    ]
    write_json(out / "steps" / "cohorts.json", {"name": plan.name, "fingerprint": plan.fingerprint, "cohorts": entries})


def write_seeds(sown: Sown, this: Season, root: Path) -> None:
    """Seeds are the first line of the funnel."""
    folder = root / "00-seeds"
    for cohort in this.cohorts:
        write_rows(folder / "kept" / f"c{cohort.number}.parquet", [row_record(row) for row in cohort.rows])
    repeated = [
        row_record(row, operator="seeds", reason="duplicate_seed", score=None, evidence="the same seed stands earlier") for row in sown.repeated
    ]
    if repeated:
        more = {"operator": "string", "reason": "string", "score": "float64", "evidence": "string"}
        write_rows(folder / "dropped" / "c0.parquet", repeated, **more)
    entered = len(sown.rows) + len(sown.repeated)
    dropped = {"seeds": {"duplicate_seed": len(repeated)}} if repeated else {}
    counts = {"in": entered, "from": entered, "kept": len(sown.rows), "dropped": dropped, "unanswered": {}}
    write_json(
        folder / "manifest.json", {"number": 0, "name": "seeds", "verb": "seeds", "scope": "row", "about": "", "fingerprint": sown.digest, **counts}
    )


def add_up(manifests: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of many parts as one."""
    total: dict[str, Any] = {"in": 0, "from": 0, "kept": 0, "dropped": {}, "unanswered": {}}
    for counts in manifests:
        for name in ("in", "from", "kept"):
            total[name] += counts[name]
        for operator, reasons in counts["dropped"].items():
            mine = total["dropped"].setdefault(operator, {})
            for reason, number in reasons.items():
                mine[reason] = mine.get(reason, 0) + number
        for outcome, number in counts["unanswered"].items():
            total["unanswered"][outcome] = total["unanswered"].get(outcome, 0) + number
    return total


def released_ids(out: Path, manifest: Mapping[str, Any] | None, major: int) -> set[str]:
    """Ids of the rows that are out under one major version."""
    releases: Sequence[Mapping[str, Any]] = manifest["releases"] if manifest else []
    files = [file["path"] for entry in releases if entry["version"].startswith(f"{major}.") for file in entry["files"]]
    return {str(row["id"]) for path in files for row in read_table(out / path)}
