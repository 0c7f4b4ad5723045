"""What a curating spec keeps is a function of its rows: not of the order in which they come, of the parts they lie in, or of who works."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ray_cluster import ENVIRONMENT, ray_cluster
from test_closing import VOCABULARY, alike

from datagen.build import Options, build
from datagen.steps import cohort as cohorts
from datagen.storage import read_json, read_table

SPEC = """\
name: orders
seeds: {table: seeds.jsonl}
steps:
  - {name: long, filter: [{length: {min_words: 4}}], on: text}
  - {name: unique, dedup: {on: text, prefer: rank}}
  - {name: clean, decontaminate: {on: text, against: [leaked.jsonl]}}
  - {name: quota, mix: {by: rank, at_most: {'1': 40, '2': 30}}}
release: {format: text}
"""
ORDERS, PARTS = 5, (1, 4, 16)
EVERY = [(order, parts) for order in range(ORDERS) for parts in PARTS]


def texts() -> list[str]:
    """Rows of which each step drops some: short ones, copies of copies, leaks."""
    found = alike(random.Random(9), 300)
    leaks = [f"{' '.join(VOCABULARY[at : at + 20])} and so on" for at in range(0, 60, 20)]
    return [*dict.fromkeys(found), *(text.upper() for text in found[:200:10]), *leaks]


DRIVER = """\
import sys
from pathlib import Path
from test_orders import run
run(Path(sys.argv[1]), int(sys.argv[2]), "ray")
"""
"""A process of its own for each build on Ray: what joins a cluster leaves it with its end."""


def run(folder: Path, parts: int, runtime: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cohorts, "LEAST_PARTS", parts)
        patch.setattr(cohorts, "PART_ROWS", 10_000)
        workers = 2 if runtime == "ray" else None
        build(Options(str(folder / "s.yaml"), folder / "out", runtime=runtime, workers=workers), lambda _: None)


def built(folder: Path, order: int, parts: int, ray: str = "") -> dict[str, Any]:
    """What a build of these rows in that order says: the kept rows, the manifest's digest of them, and the drops of each step. `ray`: its address."""
    folder.mkdir()
    rows = [{"text": text, "rank": len(text) % 3} for text in texts()]
    random.Random(order).shuffle(rows)
    (folder / "seeds.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "leaked.jsonl").write_text("".join(json.dumps({"question": " ".join(VOCABULARY[at : at + 20])}) + "\n" for at in range(0, 60, 20)))
    (folder / "s.yaml").write_text(SPEC)
    if ray:
        environment = {**os.environ, **ENVIRONMENT, "RAY_ADDRESS": ray, "PYTHONPATH": str(Path(__file__).parent)}
        done = subprocess.run([sys.executable, "-c", DRIVER, str(folder), str(parts)], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    else:
        run(folder, parts, "local")
    manifest = read_json(folder / "out" / "manifest.json")
    assert len(list((folder / "out" / "steps" / "02-unique" / "kept").iterdir())) == parts
    kept = sorted(json.dumps(row, sort_keys=True) for path in (folder / "out" / "data").iterdir() for row in read_table(path))
    drops = {step["name"]: (step["in"], step["kept"], step["dropped"]) for step in manifest["steps"]}
    return {"kept": kept, "rows": manifest["releases"][-1]["rows_sha256"], "drops": drops}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return built(tmp_path_factory.mktemp("orders") / "first", *EVERY[0])


def test_every_step_has_something_to_drop(first: dict[str, Any]) -> None:
    assert all(kept < came for step, (came, kept, _) in first["drops"].items() if step != "seeds"), first["drops"]
    assert {"exact_duplicate", "near_duplicate"} <= {*first["drops"]["unique"][2]["dedup"]}


SAMPLE = [(order, PARTS[order % len(PARTS)]) for order in range(ORDERS)]
"""Each order once, and each number of parts."""


@pytest.mark.parametrize("chosen", [SAMPLE, pytest.param(EVERY, marks=pytest.mark.soak)], ids=["sample", "all"])
def test_on_one_machine(first: dict[str, Any], tmp_path: Path, chosen: list[tuple[int, int]]) -> None:
    for order, parts in chosen[1:]:  # the first of both is `first`
        assert built(tmp_path / f"{order}-{parts}", order, parts) == first, (order, parts)


@pytest.mark.ray
@pytest.mark.parametrize("chosen", [SAMPLE[3:], pytest.param(EVERY, marks=pytest.mark.soak)], ids=["sample", "all"])
def test_on_ray(first: dict[str, Any], tmp_path: Path, chosen: list[tuple[int, int]]) -> None:
    with ray_cluster(nodes=0) as cluster:
        for order, parts in chosen:
            assert built(tmp_path / f"{order}-{parts}", order, parts, cluster.address) == first, (order, parts)
