"""Which seeds a build walks, in which parts: growth adds a cohort and moves nothing that was there."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from datagen.asking.ledger.care import taken_down
from datagen.errors import OutputError
from datagen.plan.model import Plan, Sown
from datagen.records import Row, digest
from datagen.release.columns import seed_columns
from datagen.release.schema import Kind, described, holds, widen
from datagen.storage import BATCH, read_json, replacing, row_record, seed_id, seed_of, sha256_of, write_json, write_rows

SEEDS = "00-seeds"
PART_ROWS = 256
LEAST_PARTS = 8
"""Parts are small, so that many are in the air, and never so few that workers go without."""
CELLS = 1 << 16
"""Equal ranges of ids, by their first two bytes. A part is a run of them, so its size is known before a seed has been put anywhere."""
ID_BYTES = 10
_CELL = slice(len(b'{"id":"r1:'), len(b'{"id":"r1:') + 4)
"""Where a line of `seed_line` says the range of its id."""


@dataclass(frozen=True)
class Cohort:
    """The seeds that one release saw first. Their ids lie in a file under OUT/seeds, which the manifest names."""

    number: int
    cells: Mapping[int, int]
    """Range of ids -> its seeds, in the order of the ids."""
    sha256: str
    """Of the ids' bytes, one after another in their order."""
    released: bool
    """True when a release with these seeds is out: what it kept stays."""

    @cached_property
    def seeds(self) -> int:
        return sum(self.cells.values())

    @cached_property
    def buckets(self) -> int:
        """How many parts there may be: by the number of seeds alone, so that it is the same in every run."""
        return min(CELLS, max(LEAST_PARTS, -(-self.seeds // PART_ROWS)))

    @property
    def path(self) -> str:
        """Under OUT; named by its content, so that no release ever overwrites what another one's manifest names."""
        return f"seeds/c{self.number}-{self.sha256[:12]}.ids"

    def part_of(self, seed: str) -> str:
        """`c0-00007`, by the first digits of the seed's id alone."""
        return self._part(int(seed.removeprefix("r1:")[:4], 16))

    def part_of_line(self, line: bytes) -> str:
        """The part of a seed as it stands in a file."""
        return self._names[int(line[_CELL], 16)]

    @cached_property
    def _names(self) -> dict[int, str]:
        return {cell: self._part(cell) for cell in self.cells}

    def _part(self, cell: int) -> str:
        return f"c{self.number}-{cell * self.buckets // CELLS:05d}"

    @cached_property
    def parts(self) -> dict[str, int]:
        """Part -> its seeds, in the order of the ids; parts without a seed are left out."""
        found: dict[str, int] = {}
        for cell, seeds in self.cells.items():
            name = self._part(cell)
            found[name] = found.get(name, 0) + seeds
        return found

    def record(self) -> dict[str, Any]:
        """What the manifest says of it once it is released."""
        return {"number": self.number, "seeds": self.seeds, "path": self.path, "bytes": self.seeds * ID_BYTES, "sha256": self.sha256}


@dataclass(frozen=True)
class Season:
    """What one run of a build has to do: its version, and the cohorts it walks."""

    version: tuple[int, int]
    cohorts: tuple[Cohort, ...]
    fresh: bool
    """True when nothing of an earlier plan may stay under steps/."""
    read: int
    """Seeds as their source gave them, repeated ones too."""
    why: str = ""
    """What makes it a new major release."""

    @property
    def new(self) -> int:
        """Different seeds that no release of this major version has seen."""
        return sum(cohort.seeds for cohort in self.cohorts if not cohort.released)

    @property
    def label(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def seeds(self) -> int:
        """Different seeds."""
        return sum(cohort.seeds for cohort in self.cohorts)

    @property
    def digest(self) -> str:
        """Of all seeds."""
        return digest([cohort.sha256 for cohort in self.cohorts])


def season(plan: Plan, sown: Sown, out: Path, ledger: Path, yes: bool) -> Season:
    """Compare the plan with what OUT holds. Raises OutputError for another spec's folder, and for a change of released rows without `yes`.

    What is out, and which seeds it saw, stands in manifest.json and the files it names; steps/cohorts.json is the season in progress.
    """
    manifest = read_json(out / "manifest.json")
    running = read_json(out / "steps" / "cohorts.json") or {}
    _check_owner(plan, out, manifest, running)
    same_steps = running.get("fingerprint") == plan.fingerprint
    if not manifest or not manifest["releases"]:
        return Season((1, 0), (_first(sown),), not same_steps, sown.read)
    _check_files(out, _standing(plan, ledger, manifest), manifest["cohorts"])
    last = _version(manifest["releases"][-1]["version"])
    tallies = _tallied(sown, [out / cohort["path"] for cohort in manifest["cohorts"]])
    down = len(taken_down(ledger, plan.name, last[0]))
    changed = f"{down} released rows were taken down" if down else _change(plan, tallies, manifest)
    if changed:
        agreed = same_steps and running["version"] == [last[0] + 1, 0]  # with --yes, in a run that was stopped
        if not yes and not agreed:
            beside = manifest["releases"][-1]["version"]
            raise OutputError(f"{changed}; that makes a new major release beside {beside}: look at `datagen plan`, then build with --yes")
        return Season((last[0] + 1, 0), (_first(sown),), not agreed, sown.read, changed)
    *_, new = cohorts = [tally.cohort(released=number < len(tallies) - 1) for number, tally in enumerate(tallies)]
    fresh = not same_steps or running["version"][0] != last[0]
    return Season((last[0], last[1] + bool(new.seeds)), tuple(cohorts if new.seeds else cohorts[:-1]), fresh, sown.read)


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


def _standing(plan: Plan, ledger: Path, manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The shards that must be there: all but those of a major version from which a row was taken down."""
    down = {major for major in {_version(entry["version"])[0] for entry in manifest["releases"]} if taken_down(ledger, plan.name, major)}
    return [file for entry in manifest["releases"] if _version(entry["version"])[0] not in down for file in entry["files"]]


def _check_files(out: Path, shards: Sequence[Mapping[str, Any]], ids: Sequence[Mapping[str, Any]]) -> None:
    """Raises OutputError for a released file that is gone or was changed, before anything is asked. Ids are few bytes, so they are read."""
    for file in (*shards, *ids):
        path = out / file["path"]
        whole = path.is_file() and path.stat().st_size == file["bytes"] and (file in shards or sha256_of(path) == file["sha256"])
        if not whole:
            raise OutputError(
                f"{path} is missing or was changed after its release; put it back, or delete {out / 'manifest.json'} "
                "and build again: the rows come from the ledger, and nothing is paid again"
            )


# --- which cohort a seed belongs to ---


@dataclass
class _Tally:
    """One cohort while the seeds go by."""

    number: int
    cells: dict[int, int] = field(default_factory=dict)
    ids: Any = field(default_factory=hashlib.sha256)
    kinds: dict[str, Kind] = field(default_factory=dict)
    """The types of its fields; only where they are to be held against those of a release."""

    def add(self, identity: bytes) -> None:
        cell = identity[0] << 8 | identity[1]
        self.cells[cell] = self.cells.get(cell, 0) + 1
        self.ids.update(identity)

    def cohort(self, released: bool) -> Cohort:
        return Cohort(self.number, self.cells, self.ids.hexdigest(), released)


def cohort_of(lines: Iterable[bytes]) -> Cohort:
    """Seeds that no release has seen as one cohort."""
    tally = _Tally(0)
    for line in lines:
        tally.add(seed_id(line))
    return tally.cohort(released=False)


def _first(sown: Sown) -> Cohort:
    """All seeds as the cohort of a first release."""
    return cohort_of(line for line, _ in sown.seeds())


def _tallied(sown: Sown, known: Sequence[Path]) -> list[_Tally]:
    """One tally for each cohort that is out, by the files of its ids, and one for the seeds that none of them has."""
    tallies = [_Tally(number) for number in range(len(known) + 1)]
    for line, identity, _, number in _placed(sown, known):
        tallies[number].add(identity)
        if number == len(known):
            widen(tallies[number].kinds, seed_of(line).fields)
    return tallies


def new_and_gone(sown: Sown, out: Path) -> tuple[int, int]:
    """(seeds that no release has seen, released seeds that are no longer there)."""
    known = read_json(out / "manifest.json")["cohorts"]
    _check_files(out, [], known)
    *there, new = (sum(tally.cells.values()) for tally in _tallied(sown, [out / cohort["path"] for cohort in known]))
    return new, sum(cohort["seeds"] for cohort in known) - sum(there)


def _placed(sown: Sown, known: Sequence[Path]) -> Iterator[tuple[bytes, bytes, int, int]]:
    """(line, id, how often it stands, number of its cohort) of each seed, in the order of the ids: two sorted streams side by side."""
    released = heapq.merge(*map(_numbered, known, range(len(known)))) if len(known) > 1 else _numbered(known[0], 0) if known else iter(())
    identity, number = next(released, (b"", -1))
    for line, times in sown.seeds():
        mine = seed_id(line)
        while number >= 0 and identity < mine:
            identity, number = next(released, (b"", -1))
        yield line, mine, times, number if identity == mine else len(known)


def _numbered(path: Path, number: int) -> Iterator[tuple[bytes, int]]:
    with path.open("rb") as file:
        while some := file.read(ID_BYTES * BATCH):
            for at in range(0, len(some), ID_BYTES):
                yield some[at : at + ID_BYTES], number


def _change(plan: Plan, tallies: Sequence[_Tally], manifest: Mapping[str, Any]) -> str:
    """In words, what of the released rows would not hold any more, or what could not join them; empty when all is well."""
    if manifest["plan_fingerprint"] != plan.fingerprint:
        told = ", ".join(f"`{name}={json.dumps(value)}`" for name, value in manifest["overrides"].items() if plan.overrides.get(name) != value)
        again = f", which was recurated with {told} (write that into the spec, and the build goes on from it)" if told else ""
        return f"the plan has changed since the last release{again}: released rows or their verdicts may change"
    gone = sum(cohort["seeds"] for cohort in manifest["cohorts"]) - sum(sum(tally.cells.values()) for tally in tallies[:-1])
    return f"{gone} released seeds are no longer among the seeds" if gone else _misfit(plan, tallies[-1].kinds, manifest)


def _misfit(plan: Plan, kinds: Mapping[str, Kind], manifest: Mapping[str, Any]) -> str:
    """What the new seeds hold that no column of the release takes; found here, it costs nothing."""
    if not manifest["columns"]:  # no row is out yet, so no type is
        return ""
    written = {name for step in plan.steps for name in step.writes}
    for name, column in seed_columns(plan.spec.release, set(kinds) - written).items():
        if column not in manifest["schema"]:
            return f"the new seeds have the field {name!r}, for which the release has no column"
        if not holds(manifest["schema"][column], kinds[name]):
            now, before = described(kinds[name]), described(manifest["schema"][column])
            return f"the field {name!r} of the new seeds is {now} where the release has {before}"
    return ""


# --- on disk ---


def claim(plan: Plan, this: Season, sown: Sown, out: Path) -> None:
    """Make OUT ready for the season: what belongs to no cohort goes, and the seeds are on record before anything is asked."""
    root = out / "steps"
    if this.fresh and root.exists():
        aside = root.with_name(f".{root.name}.old")  # a removal that is cut short must not look like a folder in use
        shutil.rmtree(aside, ignore_errors=True)
        root.rename(aside)
        shutil.rmtree(aside)
    known = {name for cohort in this.cohorts for name in (*cohort.parts, f"c{cohort.number}")}
    for path in root.glob("[0-9]*/*/c[0-9]*"):
        if path.stem not in known:
            path.unlink()
    for path in root.glob("[0-9]*/parts/*.json"):  # named `<stretch>-<part>`
        if path.stem.split("-", 1)[1] not in known:
            path.unlink()
    _put_parts(sown, this, out)
    for cohort in this.cohorts:
        if not cohort.released:
            _put_ids(cohort, out)
    record = {"name": plan.name, "fingerprint": plan.fingerprint, "version": list(this.version), "cohorts": cohort_records(this)}
    write_json(root / "cohorts.json", record)


def cohort_records(this: Season) -> list[dict[str, Any]]:
    """Which seeds each cohort has: for the manifest, once they are released."""
    return [cohort.record() for cohort in this.cohorts]


def _put_parts(sown: Sown, this: Season, out: Path) -> None:
    """Every part's seeds, under steps/. Of each cohort one part is in memory."""
    known = [out / cohort.path for cohort in this.cohorts if cohort.released]
    held: dict[int, tuple[str, list[bytes]]] = {}
    for line, _, times, number in _placed(sown, known):
        name = this.cohorts[number].part_of_line(line)
        before, lines = held.setdefault(number, (name, []))
        if before != name:
            put_part(out / "steps", before, lines)
            held[number] = name, lines = name, []
        lines.extend([line] * times)
    for name, lines in held.values():
        put_part(out / "steps", name, lines)


def _put_ids(cohort: Cohort, out: Path) -> None:
    with replacing(out / cohort.path) as beside, beside.open("wb") as file:
        for part in cohort.parts:
            file.writelines(seed_id(line) for line, _ in itertools.groupby(part_lines(out / "steps", part)))


def put_part(root: Path, part: str, lines: Sequence[bytes]) -> None:
    """Write the seeds of a part under `root`, where they do not lie there already."""
    path, data = sown_path(root, part), b"".join(lines)
    if not (path.exists() and path.read_bytes() == data):
        with replacing(path) as beside:
            beside.write_bytes(data)


def sown_path(root: Path, part: str) -> Path:
    """The seeds of a part, a line each."""
    return root / SEEDS / "sown" / f"{part}.jsonl"


def part_lines(root: Path, part: str) -> list[bytes]:
    """The seeds of a part; equal lines are repeats of one seed."""
    return sown_path(root, part).read_bytes().splitlines(keepends=True)


def write_part_seeds(root: Path, part: str, rows: Iterable[Row], kept: bool) -> list[Path]:
    """The seeds of a part as the first line of the funnel; a repeat is dropped where it meets its twin. `kept`: write those kept, too.

    Returns the files.
    """
    folder, twins, first = root / SEEDS, [], dict[str, Row]()
    for row in rows:
        if first.setdefault(row.id, row) is not row:
            twins.append(row_record(row, operator="seeds", reason="duplicate_seed", score=None, evidence="the same seed stands earlier"))
    standing, path = folder / "kept" / f"{part}.parquet", folder / "dropped" / f"{part}.parquet"
    if kept:
        write_rows(standing, map(row_record, first.values()))
    path.unlink(missing_ok=True)
    if twins:
        write_rows(path, twins, operator="string", reason="string", score="float64", evidence="string")
    return [*([standing] if kept else []), *([path] if twins else [])]


def remove_strays(out: Path) -> None:
    """Ids that no manifest names: of a season whose seeds have changed before it was released."""
    named = {cohort["path"] for cohort in read_json(out / "manifest.json")["cohorts"]}
    for path in (out / "seeds").glob("*.ids"):
        if f"seeds/{path.name}" not in named:
            path.unlink()


def write_seed_counts(this: Season, root: Path) -> None:
    """The manifest of the seeds, as of any step."""
    repeats = this.read - this.seeds
    dropped = {"seeds": {"duplicate_seed": repeats}} if repeats else {}
    counts = {"in": this.read, "from": this.read, "kept": this.seeds, "dropped": dropped, "unanswered": {}}
    head = {"number": 0, "name": "seeds", "verb": "seeds", "scope": "row", "about": "", "fingerprint": this.digest}
    write_json(root / SEEDS / "manifest.json", head | counts)


def add_up(manifests: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of many parts as one."""
    total: dict[str, Any] = {"in": 0, "from": 0, "kept": 0, "dropped": {}, "unanswered": {}, "waiting": 0}
    for counts in manifests:
        for name in ("in", "from", "kept"):
            total[name] += counts[name]
        total["waiting"] += counts.get("waiting", 0)
        for operator, reasons in counts["dropped"].items():
            mine = total["dropped"].setdefault(operator, {})
            for reason, number in reasons.items():
                mine[reason] = mine.get(reason, 0) + number
        for outcome, number in counts["unanswered"].items():
            total["unanswered"][outcome] = total["unanswered"].get(outcome, 0) + number
    return total
