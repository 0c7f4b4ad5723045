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
from datagen.storage import read_json, row_record, write_json, write_rows

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
    """Compare the plan with what OUT holds. Raises OutputError for another spec's folder, and for a change of released rows without `yes`.

    What is out, and which seeds it saw, stands in manifest.json, written in one piece; steps/cohorts.json is the season in progress.
    """
    manifest = read_json(out / "manifest.json")
    running = read_json(out / "steps" / "cohorts.json") or {}
    _check_owner(plan, out, manifest, running)
    same_steps = running.get("fingerprint") == plan.fingerprint
    if not manifest or not manifest["releases"]:
        return Season((1, 0), (_cohort(0, sown.rows, released=False),), fresh=not same_steps)
    _check_shards(out, manifest)
    last = _version(manifest["releases"][-1]["version"])
    changed = _change(plan, sown, manifest)
    if changed:
        agreed = same_steps and running["version"] == [last[0] + 1, 0]  # with --yes, in a run that was stopped
        if not yes and not agreed:
            beside = manifest["releases"][-1]["version"]
            raise OutputError(f"{changed}; that makes a new major release beside {beside}: look at `datagen plan`, then build with --yes")
        return Season((last[0] + 1, 0), (_cohort(0, sown.rows, released=False),), fresh=not agreed)
    return _grown(sown, manifest["cohorts"], last, fresh=not same_steps or running["version"][0] != last[0])


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def _check_owner(plan: Plan, out: Path, manifest: Mapping[str, Any] | None, running: Mapping[str, Any]) -> None:
    owner = (manifest or running or {"name": plan.name})["name"]
    if owner != plan.name:
        raise OutputError(f"{out} belongs to the spec {owner!r}, not to {plan.name!r}; give this one another --out")
    if manifest and bool(manifest["simulated"]) != plan.simulated:
        kinds = ("simulated", "real") if plan.simulated else ("real", "simulated")
        raise OutputError(f"{out} holds {kinds[1]} rows, which {kinds[0]} ones cannot join; give this build another --out")


def _check_shards(out: Path, manifest: Mapping[str, Any]) -> None:
    """Raises OutputError for a released file that is gone or has another size, before anything is asked."""
    for file in (file for entry in manifest["releases"] for file in entry["files"]):
        path = out / file["path"]
        if not path.is_file() or path.stat().st_size != file["bytes"]:
            raise OutputError(
                f"{path} is missing or was changed after its release; put it back, or delete {out / 'manifest.json'} "
                "and build again: the rows come from the ledger, and nothing is paid again"
            )


def _change(plan: Plan, sown: Sown, manifest: Mapping[str, Any]) -> str:
    """In words, what of the released rows would not hold any more; empty when they stand."""
    if manifest["plan_fingerprint"] != plan.fingerprint:
        return "the plan has changed since the last release: released rows or their verdicts may change"
    here = {row.id for row in sown.rows}
    gone = sum(1 for cohort in manifest["cohorts"] for seed in cohort["seeds"] if seed not in here)
    return f"{gone} released seeds are no longer among the seeds" if gone else ""


def _grown(sown: Sown, released: Sequence[Mapping[str, Any]], last: tuple[int, int], fresh: bool) -> Season:
    """Cohorts that are out as they were, and one more for seeds that none of them has."""
    by_id = {row.id: row for row in sown.rows}
    cohorts = [Cohort(entry["number"], entry["buckets"], tuple(by_id.pop(seed) for seed in entry["seeds"]), released=True) for entry in released]
    if by_id:
        cohorts.append(_cohort(len(cohorts), tuple(by_id.values()), released=False))
    return Season((last[0], last[1] + bool(by_id)), tuple(cohorts), fresh)


def _cohort(number: int, rows: tuple[Row, ...], released: bool) -> Cohort:
    return Cohort(number, max(LEAST_PARTS, -(-len(rows) // PART_ROWS)), rows, released)


def claim(plan: Plan, this: Season, out: Path) -> None:
    """Make OUT ready for the season: what belongs to no cohort goes, and the seeds are on record before anything is asked."""
    root = out / "steps"
    if this.fresh and root.exists():
        aside = root.with_name(f".{root.name}.old")  # a removal that is cut short must not look like a folder in use
        shutil.rmtree(aside, ignore_errors=True)
        root.rename(aside)
        shutil.rmtree(aside)
    known = {name for cohort in this.cohorts for name in (*cohort.parts(), f"c{cohort.number}")}
    for path in root.glob("*/*/c*.parquet"):
        if path.stem not in known:
            path.unlink()
    for path in root.glob("*/parts/*.json"):  # named `<stretch>-<part>`
        if path.stem.split("-", 1)[1] not in known:
            path.unlink()
    record = {"name": plan.name, "fingerprint": plan.fingerprint, "version": list(this.version), "cohorts": cohort_records(this)}
    write_json(root / "cohorts.json", record)


def cohort_records(this: Season) -> list[dict[str, Any]]:
    """Which seeds each cohort has: for the manifest, once they are released."""
    return [{"number": cohort.number, "buckets": cohort.buckets, "seeds": [row.id for row in cohort.rows]} for cohort in this.cohorts]


def write_seeds(sown: Sown, this: Season, root: Path, in_parts: bool) -> None:
    """Seeds are the first line of the funnel. `in_parts`: they lie there already, part by part, for a line that begins with a set-wise step."""
    folder = root / "00-seeds"
    for cohort in () if in_parts else this.cohorts:
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
