"""README.md: the Hub's dataset card, with the facts a reader needs to trust the rows or to leave them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datagen.release import schema as types
from datagen.release.catalogue import held_open
from datagen.release.measured.certificate import read_certificate
from datagen.release.pages import evenness, figures
from datagen.release.pages.render import cell, render
from datagen.storage import replacing

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))
ABOUT = {
    "id": "the row; the same for the same seed and line",
    "seed_id": "the seed it grew from",
    "group_id": "rows of one question share it, and never straddle splits",
    "split": "by digest of the seed, so that growth moves no row",
    "task": "what the row is for, when sets are mixed",
    "simulated": "true for rows of a rehearsal, which must not be trained on",
    "reasoning": "the teacher's own reasoning, where the provider gives it; empty otherwise",
    "teacher": "the model that wrote the row",
    "scores": "what checks and judges measured",
}
"""Columns that every release has."""
LOGPROBS = (
    "log-probability of each token of the answer `{}`; `top` has the likeliest tokens at its place as far as the provider gives them: top-k, "
    "hence biased, for what is not among the k is missing and not improbable"
)


def write_card(out: Path, repo: str = "") -> Path:
    """OUT/README.md. `repo`: where it will be found on the Hub. Raises OutputError when nothing has been released."""
    account = figures.account_of(out)
    with held_open(out):
        spent, covered, compared = figures.costs(out), evenness.covered(account), evenness.compared(account)
    head = "".join(f"{line}\n" for line in _yaml(_head(account)))
    body = render(
        "card.md.j2",
        account=account,
        flows=figures.funnel(account.manifest["steps"]),
        spent=sum(entry["cost_usd"] for entry in spent),
        answers=sum(entry["answers"] for entry in spent),
        teachers=figures.teachers(account, spent),
        columns=[(name, types.described(account.manifest["schema"][name]), _about(account, name)) for name in account.manifest["columns"]],
        files=[file["path"] for entry in account.releases for file in entry["files"]],
        releases=_releases(account.manifest),
        leaks=read_certificate(out),
        covered=covered,
        compared=compared,
        repo=repo or (account.plan["release"].get("push") or {}).get("repo") or "",
    )
    path = out / "README.md"
    with replacing(path) as beside:
        beside.write_text(f"---\n{head}---\n{body}", encoding="utf-8")
    return path


def _about(account: figures.Account, name: str) -> str:
    if name in ABOUT:
        return ABOUT[name]
    if name in account.form.emits():
        source = account.form.field(name) if name in (*account.form.required, *account.form.optional) else name
        words = account.plan["release"]["format"]
        return f"column of the format `{words}`" + (f", from the field `{cell(source)}`" if source != name else "")
    if name.endswith("_logprobs") and isinstance(account.manifest["schema"][name], dict):
        return LOGPROBS.format(cell(name.removesuffix("_logprobs")))
    return "field of the seed or of a step, passed through"


def _releases(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The list of changes, newest first: what each release added, and how many rows its major version had by then."""
    totals: dict[str, int] = {}
    found = []
    for entry in manifest["releases"]:
        major = entry["version"].split(".")[0]
        totals[major] = totals.get(major, 0) + entry["rows"]
        found.append({"day": "", "seeds": 0, "change": "", **entry, "total": totals[major]})
    return found[::-1]


# --- the YAML head ---


def _head(account: figures.Account) -> dict[str, Any]:
    words = account.plan["release"]
    head: dict[str, Any] = {"pretty_name": account.manifest["name"]}
    if words.get("licence"):
        head["license"] = words["licence"]
    return head | {
        "language": list(words.get("language") or []),
        "size_categories": [next((name for limit, name in SIZES if account.rows < limit), "n>10M")],
        "task_categories": list(account.form.tasks),
        "tags": ["synthetic", "datagen", *(["simulated"] if account.simulated else [])],
        "configs": list(_configs(account.manifest)),
    }


def _configs(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """`default` is the newest major version; an older one stays loadable as `v1`. Files are named one by one: a glob would mix them."""
    majors: dict[str, list[Mapping[str, Any]]] = {}
    for entry in manifest["releases"]:
        majors.setdefault(entry["version"].split(".")[0], []).append(entry)
    newest = list(majors)[-1:]
    for major in reversed(list(majors)):
        files = [file["path"] for entry in majors[major] for file in entry["files"]]
        splits = sorted({_split(path) for path in files}, key=lambda split: (split != "train", split))
        data = [{"split": split, "path": [path for path in files if _split(path) == split]} for split in splits]
        if data:
            yield (
                {"config_name": "default", "default": True, "data_files": data}
                if [major] == newest
                else {"config_name": f"v{major}", "data_files": data}
            )


def _split(path: str) -> str:
    return path.removeprefix("data/").rsplit("-v", 1)[0]


def _yaml(value: Any, indent: str = "") -> Iterator[str]:
    """The few shapes of a card as block YAML; every text is a JSON string, which YAML reads the same."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, list | Mapping) and item:
                yield f"{indent}{key}:"
                yield from _yaml(item, indent)
            else:
                yield f"{indent}{key}: {_scalar(item)}"
        return
    for item in value:
        if isinstance(item, Mapping):
            first, *rest = _yaml(item, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        else:
            yield f"{indent}- {_scalar(item)}"


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
