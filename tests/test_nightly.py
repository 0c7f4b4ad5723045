"""A data set that grows by itself: the same command every night asks what is missing, moves no byte, and writes its own history."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from killing import digest_of, standing_simulator, statement

from datagen.build import Options
from datagen.errors import OutputError
from datagen.job import run
from datagen.release.card import write_card
from datagen.storage import read_json

SPEC = """\
name: nightly
seeds: {{table: seeds.jsonl{take}}}
teachers: {{w: {{model: simulator/any, base_url: '{url}', max_tokens: {tokens}}}}}
steps:
  - {{name: text, ask: say, of: w}}
  - {{name: unique, dedup: {{on: text}}}}
release: {{format: text}}
guard: {{pilot: 0}}
"""
FIRST = datetime(2026, 11, 28, 3, tzinfo=UTC)


class Nights:
    """One spec whose command is typed every night."""

    def __init__(self, folder: Path, url: str = "http://127.0.0.1:9") -> None:
        self.folder, self.url, self.night = folder, url, 0
        self.out = folder / "out"
        (folder / "prompts").mkdir(exist_ok=True)
        (folder / "prompts" / "say.md.j2").write_text("Write a short text about {{ topic }}.\n")
        self.write(0)

    @property
    def spec(self) -> Path:
        return self.folder / "nightly.yaml"

    def write(self, seeds: int, take: int | None = None, tokens: int = 900, first: int = 0) -> None:
        rows = [json.dumps({"topic": f"subject {number}"}) for number in range(first, seeds)]
        (self.folder / "seeds.jsonl").write_text("".join(f"{row}\n" for row in rows))
        self.spec.write_text(SPEC.format(url=self.url, take=f", take: {take}" if take else "", tokens=tokens))

    def build(self, out: Path | None = None, **more: Any) -> dict[str, Any]:
        """One night's record."""
        moment, self.night = FIRST + timedelta(days=self.night), self.night + 1
        run(Options(str(self.spec), out or self.out, **more), lambda _: None, now=lambda: moment)
        return dict(read_json((out or self.out) / "run.json"))

    def asked(self) -> int:
        """Requests that the teacher answered, over all nights."""
        return sum(entry["count"] for entry in statement(self.url))

    def shards(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.out / "data").iterdir()}

    def listed(self) -> list[list[str]]:
        """The card's list of releases."""
        _, _, rest = (self.out / "README.md").read_text().partition("| version | day |")
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in rest.split("\n\n")[0].splitlines()[2:]]


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    with standing_simulator(Nights(tmp_path).spec) as url:
        yield Nights(tmp_path, url)


def test_a_larger_take_and_more_seeds_ask_what_is_missing_and_append(nights: Nights) -> None:
    said, shards = [], {}
    for seeds, take, asked in ((30, 12, 12), (30, 20, 20), (36, None, 36), (36, None, 36)):
        nights.write(seeds, take)
        said.append(nights.build())
        assert nights.asked() == asked, "a night asked more than what was missing"
        assert shards.items() <= nights.shards().items(), "a shard that was out has changed"
        shards = nights.shards()
    assert [record["version"] for record in said] == ["1.0", "1.1", "1.2", "1.2"]
    assert [record["state"] for record in said] == ["released", "released", "released", "nothing_new"]
    assert [record["requests"]["asked"] for record in said] == [12, 8, 16, 0]
    assert [record["requests"]["replayed"] for record in said] == [0, 12, 20, 36]
    assert said[-1]["rows"] == {"new": 0, "total": sum(record["rows"]["new"] for record in said)}
    assert sorted(path.stem for path in (nights.out / "runs").iterdir()) == [
        f"2026-11-{28 + night}" if night < 3 else "2026-12-01" for night in range(4)
    ]
    listed = nights.listed()
    assert [cells[0] for cells in listed] == ["1.2", "1.1", "1.0"]
    assert [cells[1] for cells in listed] == ["2026-11-30", "2026-11-29", "2026-11-28"]
    assert [int(cells[2]) for cells in listed] == [record["rows"]["new"] for record in said[2::-1]]
    assert [int(cells[3]) for cells in listed] == [record["rows"]["total"] for record in said[2::-1]]
    assert [cells[4:] for cells in listed] == [["16", "rows of new seeds"], ["8", "rows of new seeds"], ["12", "the first release"]]


def test_the_rows_know_no_night_and_the_card_only_what_the_manifest_says(nights: Nights, tmp_path: Path) -> None:
    """The same nights on other days, under other names: the same bytes of data/. A card that is written again is the same card."""
    for take in (5, 9):
        nights.write(9, take)
        nights.build(run_id=f"left-{take}")
    card = (nights.out / "README.md").read_bytes()
    nights.night = 99
    for take in (5, 9):
        nights.write(9, take)
        nights.build(tmp_path / "other", run_id=f"right-{take}", ledger=tmp_path / "elsewhere")
    assert digest_of(nights.out) == digest_of(tmp_path / "other")
    (nights.out / "README.md").unlink()
    assert write_card(nights.out).read_bytes() == card
    (nights.out / "README.md").unlink()
    shutil.rmtree(nights.out / "steps")
    nights.build()
    assert (nights.out / "README.md").read_bytes() == card, "a card made anew on another day is another card"


def test_a_major_release_says_what_changed(nights: Nights) -> None:
    nights.write(8)
    nights.build()
    nights.write(8, tokens=800)
    with pytest.raises(OutputError, match="--yes"):
        nights.build()
    assert read_json(nights.out / "run.json")["exit_code"] == 6 and len(nights.listed()) == 1
    nights.build(yes=True)
    nights.write(8, tokens=800, first=2)
    nights.build(yes=True)
    nights.spec.write_text(nights.spec.read_text().replace("dedup: {on: text}", "dedup: {on: text, threshold: 0.9}"))
    nights.build(yes=True)
    nights.spec.write_text(
        re.sub(r"  - \{name: unique.*\n", "  - {name: long, filter: [{length: {on: text, min_words: 1}}]}\n", nights.spec.read_text())
    )
    nights.build(yes=True)
    nights.spec.write_text(nights.spec.read_text().replace("format: text}", "format: text, task: lesson}"))
    nights.build(yes=True)
    assert [(cells[0], cells[5]) for cells in reversed(nights.listed())] == [
        ("1.0", "the first release"),
        ("2.0", "made anew: step text changed, and all after it"),
        ("3.0", "made anew: 2 released seeds are no longer among the seeds"),
        ("4.0", "made anew: step unique changed, and all after it"),
        ("5.0", "made anew: step long is new, step unique is gone"),
        ("6.0", "made anew: what is released of a row changed"),
    ]
    assert [cells[4] for cells in reversed(nights.listed())] == ["8", "8", "6", "6", "6", "6"]


def test_an_answer_that_came_late_is_a_release_of_no_new_seed(tmp_path: Path) -> None:
    from teaching import project, teacher
    from wire_server import Reply, error

    ill = [True]
    with teacher(lambda prompt: Reply(error("openai", "server_error"), 500) if ill and "b" in prompt else prompt) as taught:
        more = "release: {format: text, allow_unanswered: 1.0}"
        spec = project(tmp_path, "  - {name: text, ask: t/text, of: w}", {"text": "on {{ topic }}"}, "{grid: {topic: [a, b]}}", more, taught.url)
        spec.write_text(spec.read_text().replace("attempts: 2", "attempts: 1"))
        run(Options(str(spec), tmp_path / "out"), lambda _: None)
        ill.clear()
        run(Options(str(spec), tmp_path / "out"), lambda _: None)
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert [(entry["version"], entry["rows"], entry["seeds"], entry["change"]) for entry in manifest["releases"]] == [
        ("1.0", 1, 2, "the first release"),
        ("1.1", 1, 0, "rows of seeds that had no answer before"),
    ]
