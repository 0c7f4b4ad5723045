"""The card: a YAML head the Hub reads, and facts that are true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from out_fixture import RELEASE, build_out, facts_of, released_out

from datagen.errors import OutputError
from datagen.release.card import write_card
from datagen.release.pages.render import cell, fenced
from datagen.release.shards import publish
from datagen.storage import read_json, write_json


def card(out: Path, repo: str = "") -> tuple[dict[str, Any], str]:
    text = write_card(out, repo).read_text(encoding="utf-8")
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def test_head_and_facts(tmp_path: Path) -> None:
    made = released_out(tmp_path)
    head, body = card(tmp_path, "me/maths")
    assert head["license"] == "cc-by-4.0" and head["language"] == ["en"] and head["size_categories"] == ["n<1K"]
    assert head["tags"] == ["synthetic", "datagen"] and "question-answering" in head["task_categories"]
    (config,) = head["configs"]
    named = {entry["split"]: entry["path"] for entry in config["data_files"]}
    assert list(named) == ["train", "validation"]
    assert sorted(path for paths in named.values() for path in paths) == sorted(file["path"] for file in made.files)
    manifest = read_json(tmp_path / "manifest.json")
    for fact in (
        f"{made.rows} rows of synthetic teacher data",
        'load_dataset("me/maths", split="train")',
        "openai/gpt-5-mini",
        "answers in use cost $",
        made.rows_sha256,
    ):
        assert fact in body
    for step in manifest["steps"]:
        assert f"| {step['name']} | {step['verb']} | {step['in']} | {step['kept']} |" in body
    assert all(f"| {name.replace('_', chr(92) + '_')} |" in body for name in manifest["columns"])
    assert "Simulated" not in body and "No step looked for leakage" in body


def test_simulated_is_said_in_the_first_lines(tmp_path: Path) -> None:
    released_out(tmp_path, 20, simulated=True)
    head, body = card(tmp_path)
    assert head["tags"][-1] == "simulated"
    assert "Simulated data: do not train on it" in "\n".join(body.splitlines()[:4])


def test_without_a_licence_none_is_claimed(tmp_path: Path) -> None:
    released_out(tmp_path, 20)
    plan = read_json(tmp_path / "plan.json")
    plan["release"]["licence"] = None
    write_json(tmp_path / "plan.json", plan)
    head, body = card(tmp_path)
    assert "license" not in head and "declared no licence" in body


def test_private_addresses_stay_at_home(tmp_path: Path) -> None:
    released_out(tmp_path, 20)
    _, body = card(tmp_path)
    assert "10.1.2.3" not in body and "base_url: (left out)" in body and "at a server of its own" in body


def test_an_older_major_version_stays_loadable(tmp_path: Path) -> None:
    rows = build_out(tmp_path, 20)
    for version, chosen in (((1, 0), rows), ((2, 0), rows[:9]), ((2, 1), rows[9:])):
        previous = read_json(tmp_path / "manifest.json")
        publish(tmp_path, [chosen], release=RELEASE, name="maths-demo", version=version, facts=facts_of, previous=previous)
    head, body = card(tmp_path)
    assert [config["config_name"] for config in head["configs"]] == ["default", "v1"]
    files = {config["config_name"]: [path for entry in config["data_files"] for path in entry["path"]] for config in head["configs"]}
    assert all("-v0001-" in path for path in files["v1"]) and all("-v0001-" not in path for path in files["default"])
    assert any("-v0003-" in path for path in files["default"])
    assert f"{len(rows)} rows of synthetic" in body


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    released_out(tmp_path, 20)
    plan = read_json(tmp_path / "plan.json")
    plan["about"] = "A | B\n# Heading <script>alert(1)</script> [x](javascript:y)"
    plan["prompts"] = {"p": "```\n</details>\n````"}
    write_json(tmp_path / "plan.json", plan)
    _, body = card(tmp_path)
    assert "<script>" not in body and "\n# Heading" not in body and "\\[x\\]" in body
    assert "`````jinja\n```\n</details>\n````\n`````" in body


def test_cell_and_fence() -> None:
    assert cell("a|b_c\n<i>") == "a\\|b\\_c &lt;i&gt;"
    assert fenced("plain") == "```\nplain\n```"


def test_nothing_released(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nothing has been released"):
        write_card(tmp_path)
