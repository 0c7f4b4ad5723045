"""From kept rows to a release: facts of each row, the calls, the shards, and all that is written about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from datagen import __version__
from datagen.asking.prices import cost
from datagen.plan.model import Plan, PlannedStep, Sown
from datagen.records import NANO, Row, Usage
from datagen.release.card import write_card
from datagen.release.catalogue import build_catalogue, load_engine
from datagen.release.formats import FORMATS
from datagen.release.pages.render import compiled
from datagen.release.report import write_report
from datagen.release.shards import Facts, publish, step_manifests
from datagen.spec.models import Ask, Vote
from datagen.steps.cohort import Cohort, Season, cohort_records, write_seeds
from datagen.steps.part import UNPUBLISHED, part_folder
from datagen.storage import concat_tables, load_parquet, read_json, read_rows, read_table, write_json

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


def publish_release(plan: Plan, sown: Sown, this: Season, out: Path) -> Published:
    """Write data/, manifest.json, catalog.duckdb, README.md and report.html from what lies under steps/."""
    write_seeds(sown, this, out / "steps", in_parts=not plan.stretches[0].steps)
    concat_tables(sorted((out / "steps").glob("*/calls/*.parquet")), out / "steps" / "calls.parquet")
    write_json(out / "plan.json", described(plan, sown, out) | {"cohorts": cohort_records(this)})
    rows = final_rows(plan, this.cohorts, out)
    publication = publish(
        out,
        rows,
        release=plan.spec.release,
        name=plan.name,
        version=_free_version(this, out),
        facts=_facts(plan, out),
        previous=read_json(out / "manifest.json"),
    )
    build_catalogue(out)
    write_card(out)
    write_report(out)
    (out / "steps" / UNPUBLISHED).unlink(missing_ok=True)
    releases = read_json(out / "manifest.json")["releases"]
    total = _total(releases, publication.version)
    return Published(publication.version, publication.rows, total, min((row.id for row in rows), default=""), step_manifests(out))


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
    example = min((str(row["id"]) for row in read_table(out / last["files"][0]["path"])), default="") if last["files"] else ""
    return Published(last["version"], last["rows"], total, example, manifest["steps"])


def _free_version(this: Season, out: Path) -> tuple[int, int]:
    """The season's version, or the next minor one where that is out and late answers have come since."""
    taken = {entry["version"] for entry in (read_json(out / "manifest.json") or {"releases": []})["releases"]}
    return (this.version[0], this.version[1] + 1) if this.label in taken else this.version


def _total(releases: Sequence[Mapping[str, Any]], version: str) -> int:
    return sum(entry["rows"] for entry in releases if entry["version"].split(".")[0] == version.split(".")[0])


def final_rows(plan: Plan, cohorts: Iterable[Cohort], out: Path) -> list[Row]:
    """What is left at the end of the line."""
    last = plan.stretches[-1]
    folder = out / "steps" / (last.closing.folder if last.closing else part_folder(plan, last.number)) / "kept"
    return [row for cohort in cohorts for part in cohort.parts() for row in read_rows(folder / f"{part}.parquet")]


def _facts(plan: Plan, out: Path) -> Callable[[Row], Facts]:
    """Teacher, reasoning and scores of a row. The teacher is the one whose step wrote what the format releases."""
    scores = _scores(out)
    writers = [step for step in writing_steps(plan)]
    votes = [step.name for step in plan.steps if isinstance(step.spec, Vote)]

    def facts(row: Row) -> Facts:
        step = next((step for step in writers if step.name in row.calls), None)
        chair = plan.chairs[step.spec.of] if step and isinstance(step.spec, Ask) else None
        mine = scores.get(row.id, {}) | {name: row.fields[name] for name in votes if row.fields.get(name) is not None}
        return Facts(
            teacher=chair.spec.model if chair else "",
            simulated=bool(chair and chair.simulated),
            group_id=row.parent or row.id,
            reasoning=str(row.fields.get(f"{step.name}_reasoning") or "") if step else "",
            scores=mine,
        )

    return facts


def writing_steps(plan: Plan) -> list[PlannedStep]:
    """Steps that ask, those first that write what the release's format needs, the last such step before all."""
    needs = set(FORMATS.get(plan.spec.release.format)(columns=plan.spec.release.columns).needs().values())
    asks = [step for step in _flat(plan.steps) if isinstance(step.spec, Ask)]
    return sorted(asks, key=lambda step: (not needs & set(step.writes), -step.number))


def _flat(steps: Iterable[PlannedStep]) -> Iterable[PlannedStep]:
    for step in steps:
        yield step
        yield from step.inner


def _scores(out: Path) -> dict[str, dict[str, float]]:
    """Row id -> `step.operator` -> score, over all verdicts that measured something."""
    found: dict[str, dict[str, float]] = {}
    for path in sorted((out / "steps").glob("*/verdicts/*.parquet")):
        for verdict in read_table(path):
            if verdict["score"] is not None:
                found.setdefault(verdict["row"], {})[f"{verdict['step']}.{verdict['operator']}"] = verdict["score"]
    return found


def described(plan: Plan, sown: Sown, out: Path) -> dict[str, Any]:
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
        "seeds": {"source": plan.spec.seeds.source, "count": len(sown.rows), "digest": sown.digest},
        "release": plan.spec.release.model_dump(mode="json"),
        "prompts": {step.prompt.name: step.prompt.body for step in _flat(plan.steps) if step.prompt},
        "warnings": list(plan.warnings),
        "versions": {"datagen": __version__} | {name: version_of(name) for name in LIBRARIES},
        "would_cost_usd": would_cost(plan, out) if plan.simulated else None,
    }


def _dollars(chair: Any) -> dict[str, float] | None:
    """US dollars per million tokens at the lowest tier."""
    if chair.price is None:
        return None
    rates = chair.price.at(0)
    return {name: getattr(rates, name) / rates.per / 1000 for name in ("input", "output", "cached")}


def would_cost(plan: Plan, out: Path) -> float:
    """Dollars that the simulated answers would have cost at the prices of the teachers they stand for."""
    total = 0
    path = out / "steps" / "calls.parquet"
    for call in {call["key"]: call for call in (read_table(path) if path.exists() else [])}.values():  # rows may share an answer
        price = plan.chairs[call["teacher"]].price if call["teacher"] in plan.chairs else None
        if price is not None and call["simulated"]:
            total += cost(price, Usage(call["input_tokens"], call["output_tokens"], call["cached_tokens"], 0, call["reasoning_tokens"]))
    return total / NANO
