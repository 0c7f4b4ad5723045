"""From kept rows to a release: facts of each row, the calls, the shards, and all that is written about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from datagen import __version__
from datagen.asking.prices import cost
from datagen.operators.claims.code import PLAINLY
from datagen.plan.benchmarks import described as described_set
from datagen.plan.model import Plan, PlannedStep
from datagen.plan.resolve import DECIDES
from datagen.plan.texts import axes, texts
from datagen.records import NANO, Row, Usage, digest
from datagen.release.card import write_card
from datagen.release.catalogue import build_catalogue, held_open, load_engine, once, over_calls
from datagen.release.columns import Facts
from datagen.release.formats import FORMATS
from datagen.release.measured.certificate import write_certificate
from datagen.release.measured.coverage import VARIANT, write_coverage
from datagen.release.measured.diversity import alarms, write_diversity
from datagen.release.pages.render import compiled
from datagen.release.report import write_report
from datagen.release.shards import News, publish
from datagen.release.tables import CANARIES
from datagen.runtime.log import event
from datagen.spec.duplicates import MeaningWords
from datagen.spec.models import Ask, Decontaminate, Dedup, Vote
from datagen.steps.closing import closing_manifests
from datagen.steps.cohort import Cohort, Season, cohort_records, remove_strays, write_seed_counts
from datagen.steps.journal import gather_calls
from datagen.steps.part import UNPUBLISHED, Unit, manifest_path, part_folder
from datagen.storage import each_record, load_parquet, read_json, read_rows, sha256_of, write_json

RELEASED = "released.json"
"""Under OUT/steps: what the released rows were made from. While it holds, they need no second look."""
LIBRARIES = ("anthropic", "duckdb", "openai", "pyarrow", "pydantic")
"""Their versions are noted: the same rows give the same bytes only with the same writers."""


@dataclass(frozen=True)
class Published:
    """What the build tells of a release."""

    version: str
    rows: int
    total: int
    example: str
    steps: Sequence[Mapping[str, Any]]
    alarms: Sequence[str] = ()
    """Values of the grid whose texts are alike, in words."""

    @property
    def unanswered(self) -> int:
        """Rows without an answer, over all steps."""
        return sum(sum(step["unanswered"].values()) for step in self.steps)


def published(plan: Plan, this: Season, out: Path, made: bool, maybe: int = 0, day: str = "") -> Published:
    """The release that comes of what lies under steps/; the last one where nothing was `made` anew and it is out. See `publish_release`."""
    if not made and is_out(plan, this, out):
        return last_release(out)
    release = publish_release(plan, this, out, maybe, day)
    event("release_published", release=release.version, rows=release.rows, total=release.total)
    return release


def publish_release(plan: Plan, this: Season, out: Path, maybe: int = 0, day: str = "") -> Published:
    """Write data/, manifest.json, catalog.duckdb, README.md and report.html from what lies under steps/.

    `maybe`: nano-dollars at worst for attempts of this release that brought no answer and may have been billed. `day`: of the release, as
    the manifest is to name it.
    """
    write_seed_counts(this, out / "steps")
    gather_calls(out / "steps")
    write_json(out / "plan.json", described(plan, this, out, maybe))
    previous, standing = read_json(out / "manifest.json"), released_marks(plan, this.cohorts, out)
    only_new = bool(previous) and read_json(out / "steps" / RELEASED) == [_last(previous), standing]
    rows = FinalRows(plan, [cohort for cohort in this.cohorts if not (only_new and cohort.released)], out)
    publish(
        out,
        rows,
        release=plan.spec.release,
        name=plan.name,
        version=_free_version(this, out),
        facts=rows.facts,
        previous=previous,
        cohorts=cohort_records(this),
        only_new=only_new,
        news=News(day, this.new, what_changed(plan, this, previous)),
    )
    write_json(out / "steps" / RELEASED, [_last(read_json(out / "manifest.json")), released_marks(plan, this.cohorts, out, new=True)])
    remove_strays(out)
    with held_open(out, written=False):
        write_coverage(out)
        write_diversity(out)
    build_catalogue(out)
    write_certificate(out)
    write_card(out)
    write_report(out)
    (out / "steps" / UNPUBLISHED).unlink(missing_ok=True)
    return last_release(out)


def released_marks(plan: Plan, cohorts: Sequence[Cohort], out: Path, new: bool = False) -> list[str]:
    """One digest for each released cohort, of all that its rows are made from: the rows at the end of the line and every verdict. `new`: also
    for one that is not out. By the manifests under steps/, which a build has just held against their files."""
    return [_mark(plan, cohort, out / "steps") for cohort in cohorts if new or cohort.released]


def _mark(plan: Plan, cohort: Cohort, root: Path) -> str:
    files: dict[str, str] = {}
    for stretch in plan.stretches:
        for path in [manifest_path(root, plan, Unit(stretch.number, part)) for part in cohort.parts] + closing_manifests(root, stretch, cohort):
            files |= (read_json(path) or {"files": {path.name: ""}})["files"]
    return digest(sorted((name, sha256) for name, sha256 in files.items() if name.split("/")[-2:-1] != ["calls"]))


def _last(manifest: Mapping[str, Any]) -> list[str]:
    """What tells the last release from any other."""
    last = manifest["releases"][-1]
    return [last["version"], last["rows_sha256"], manifest["plan_fingerprint"]]


def what_changed(plan: Plan, this: Season, previous: Mapping[str, Any] | None) -> str:
    """Why there is this release, for the card: one line."""
    if not previous or not previous["releases"]:
        return "the first release"
    if not this.why:
        return "rows of new seeds" if this.new else "rows of seeds that had no answer before"
    if previous["plan_fingerprint"] == plan.fingerprint:
        return f"made anew: {this.why}"
    before = {step["name"]: step["fingerprint"] for step in previous["steps"]}
    after = [step.name for step in plan.steps]
    gone = [name for name in before if name not in after and name != "seeds"]
    changed = next((step.name for step in plan.steps if before.get(step.name) != step.fingerprint), "")
    words = [f"step {changed} changed, and all after it"] if changed in before else [f"step {changed} is new"] if changed else []
    words += [f"step {name} is gone" for name in gone]
    words += [f"recurated with {name} = {value}" for name, value in plan.overrides.items() if previous.get("overrides", {}).get(name) != value]
    return f"made anew: {', '.join(words) or 'what is released of a row changed'}"


def warm() -> None:
    """Load what publishing needs; done while the first answers are on their way."""
    load_parquet()
    load_engine()
    for template in ("report.html.j2", "card.md.j2"):
        compiled(template)


def is_out(plan: Plan, this: Season, out: Path) -> bool:
    """True when every seed of the season is in a release of this very plan, and nothing is left to write."""
    manifest = read_json(out / "manifest.json")
    written = all((out / name).exists() for name in ("catalog.duckdb", "README.md", "report.html"))
    if not manifest or not written or (out / "steps" / UNPUBLISHED).exists():
        return False
    return manifest["plan_fingerprint"] == plan.fingerprint and all(cohort.released for cohort in this.cohorts)


def last_release(out: Path) -> Published:
    """What the last build published."""
    manifest = read_json(out / "manifest.json")
    last = manifest["releases"][-1]
    total = _total(manifest["releases"], last["version"])
    first = next((row for file in last["files"][:1] for row in each_record(out / file["path"], ["id"])), {"id": ""})
    return Published(last["version"], last["rows"], total, first["id"], manifest["steps"], alarms(out))


def _free_version(this: Season, out: Path) -> tuple[int, int]:
    """The season's version, or the next minor one where that is out and late answers have come since."""
    taken = {entry["version"] for entry in (read_json(out / "manifest.json") or {"releases": []})["releases"]}
    return (this.version[0], this.version[1] + 1) if this.label in taken else this.version


def _total(releases: Sequence[Mapping[str, Any]], version: str) -> int:
    return sum(entry["rows"] for entry in releases if entry["version"].split(".")[0] == version.split(".")[0])


class FinalRows:
    """What is left at the end of the line, part by part in the order of cohorts and ids; and what is known of each row."""

    def __init__(self, plan: Plan, cohorts: Sequence[Cohort], out: Path) -> None:
        last = plan.stretches[-1]
        self._folder = out / "steps" / (last.closing.folder if last.closing else part_folder(plan, last.number)) / "kept"
        self._steps = [out / "steps" / step.folder / "verdicts" for step in plan.steps]
        self._cohorts = cohorts
        self._plan = plan
        self._writers = writing_steps(plan)
        self._votes = [step.name for step in plan.steps if isinstance(step.spec, Vote)]
        self._scores: list[dict[str, dict[str, float]]] = []

    def __iter__(self) -> Iterator[list[Row]]:
        for cohort in self._cohorts:
            for part in cohort.parts:
                self._scores = [_scores(folder / f"{part}.parquet") for folder in self._steps]
                yield read_rows(self._folder / f"{part}.parquet")

    def facts(self, row: Row) -> Facts:
        """Of a row of the part that came last. The teacher is the one whose step wrote what the format releases."""
        step = next((step for step in self._writers if step.name in row.calls), None)
        chair = self._plan.chairs[step.spec.of] if step and isinstance(step.spec, Ask) else None
        scores = {name: score for found in self._scores for name, score in found.get(row.id, {}).items()}
        return Facts(
            teacher=chair.spec.model if chair else "",
            simulated=bool(chair and chair.simulated),
            group_id=row.parent or row.id,
            reasoning=str(row.fields.get(f"{step.name}_reasoning") or "") if step else "",
            scores=scores | {name: row.fields[name] for name in self._votes if row.fields.get(name) is not None},
        )


def _scores(path: Path) -> dict[str, dict[str, float]]:
    """Row id -> `step.operator` -> score, over the verdicts of one file that measured something about a row that went on."""
    found: dict[str, dict[str, float]] = {}
    for verdict in each_record(path, ["row", "step", "operator", "score"]) if path.exists() else ():
        if verdict["score"] is not None:
            found.setdefault(verdict["row"], {})[f"{verdict['step']}.{verdict['operator']}"] = verdict["score"]
    return found


def writing_steps(plan: Plan) -> list[PlannedStep]:
    """Steps that ask, those first that write what the release's format needs, the last such step before all."""
    needs = set(FORMATS.get(plan.spec.release.format)(columns=plan.spec.release.columns).needs().values())
    asks = [step for step in _flat(plan.steps) if isinstance(step.spec, Ask) and not step.embeds]
    return sorted(asks, key=lambda step: (not needs & set(step.writes), -step.number))


def _flat(steps: Iterable[PlannedStep]) -> Iterable[PlannedStep]:
    for step in steps:
        yield step
        yield from step.inner


def described(plan: Plan, this: Season, out: Path, maybe: int = 0) -> dict[str, Any]:
    """plan.json: what the card and the report tell of how the rows were made."""
    return {
        "name": plan.name,
        "about": plan.spec.about,
        "spec": plan.text,
        "fingerprint": plan.fingerprint,
        "simulated": plan.simulated,
        "teachers": {
            name: {"model": chair.spec.model, "provider": chair.provider, "label": chair.label, "price": _dollars(chair)}
            for name, chair in plan.chairs.items()
        },
        "seeds": {
            "source": plan.spec.seeds.source,
            "count": this.seeds,
            "digest": this.digest,
            "axes": axes(plan),
            "variant": plan.spec.seeds.rename.get(VARIANT, VARIANT),
        },
        "texts": [asdict(text) for text in texts(plan)],
        "collapse": plan.spec.guard.collapse and plan.spec.guard.collapse.model_dump(mode="json"),
        "release": plan.spec.release.model_dump(mode="json"),
        "prompts": {step.prompt.name: step.prompt.body for step in _flat(plan.steps) if step.prompt and not step.embeds},
        "warnings": list(plan.warnings),
        "overrides": dict(plan.overrides),
        "benches": {step.name: quoted(step.bench) for step in plan.steps if step.bench},
        "canaries": read_json(out / "steps" / CANARIES),
        "unsandboxed": unsandboxed(plan, out / "steps"),
        "decontaminated": [_against(step, step.spec) for step in plan.steps if isinstance(step.spec, Decontaminate)],
        "meanings": [_meaning(step, step.spec.dedup.meaning) for step in plan.steps if isinstance(step.spec, Dedup) and step.spec.dedup.meaning],
        "versions": {"datagen": __version__} | {name: version_of(name) for name in LIBRARIES},
        "would_cost_usd": would_cost(plan, out) if plan.simulated else None,
        "maybe_usd": 0.0 if plan.simulated else maybe / NANO,
    }


def quoted(bench: Mapping[str, Any]) -> dict[str, Any]:
    """What the card tells of a recipe's bench."""
    return {name: bench[name] for name in ("recipe", "recipe_sha256", "present", "sets", "operators")}


def unsandboxed(plan: Plan, root: Path) -> dict[str, int]:
    """Step that may run programs without a sandbox -> programs that it ran so, by its verdicts."""
    loose = {step.name: step for step in _flat(plan.steps) if step.recipe and step.recipe.loose()}
    folders = {step.number: root / step.folder for step in plan.steps}
    counts = dict.fromkeys(loose, 0)
    for path in (path for number in {step.number for step in loose.values()} for path in (folders[number] / "verdicts").glob("*.parquet")):
        for verdict in each_record(path, ["step", "evidence"]):
            counts[verdict["step"]] = counts.get(verdict["step"], 0) + (verdict["evidence"] or "").startswith(PLAINLY)
    return {name: counts[name] for name in loose}


def _against(step: PlannedStep, spec: Decontaminate) -> dict[str, Any]:
    """What a step looks for, and in which versions of which sets."""
    words = spec.decontaminate
    limits = {"ngram": words.ngram, "share": words.share, "rules": DECIDES}
    return {"step": step.name, "drop": list(words.drop), "limits": limits, "sets": [described_set(Path(path)) for path in step.references]}


def _meaning(step: PlannedStep, words: MeaningWords) -> dict[str, Any]:
    """By which vectors a step tells what says the same."""
    files = [{"file": Path(path).name, "sha256": sha256_of(Path(path))} for path in step.references]
    return {"step": step.name, "by": words.by, "vectors": files, "at_least": words.at_least, "dimensions": words.dimensions}


def _dollars(chair: Any) -> dict[str, float] | None:
    """US dollars per million tokens at the lowest tier."""
    if chair.price is None:
        return None
    rates = chair.price.at(0)
    return {name: getattr(rates, name) / rates.per / 1000 for name in ("input", "output", "cached")}


def would_cost(plan: Plan, out: Path) -> float:
    """Dollars that the simulated answers would have cost at the prices of the teachers they stand for."""
    tokens = "teacher, input_tokens, output_tokens, cached_tokens, reasoning_tokens"
    total = 0
    for teacher, given, made, cached, reasoning, answers in over_calls(
        out, f"SELECT {tokens}, count(*) FROM ({once('key')}) WHERE simulated GROUP BY {tokens}"
    ):
        price = plan.chairs[teacher].price if teacher in plan.chairs else None
        if price is not None:
            total += answers * cost(price, Usage(given, made, cached, 0, reasoning))
    return total / NANO
