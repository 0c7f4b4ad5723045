"""Coverage by cell, and a round that fills what is thin: by growth of one data set, and as a data set of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from teaching import project, teacher

from datagen.build import Options, Summary, build
from datagen.errors import OutputError
from datagen.release.catalogue import query
from datagen.storage import read_json

GRID = "grid: {topic: [ants, bees, crabs], level: [1, 2]}"
STEPS = """\
  - {name: text, ask: t/say, of: w}
  - {name: right, filter: [{length: {on: text, min_words: 5}}]}
  - {name: all, mix: {by: topic, at_most: 100}}"""
PROMPTS = {"say": "Say something about {{ topic }} at level {{ level }}, in variant {{ variant }}"}


def say(prompt: str) -> str:
    """Of bees at level 2 the first try is too short, of crabs at level 1 every one of the grid's own."""
    cell, variant = re.findall(r"about (\w+ at level \d)", prompt)[0], int(re.findall(r"-?\d+", prompt)[-1])
    short = (cell == "bees at level 2" and variant == 0) or (cell == "crabs at level 1" and variant >= 0)
    return "too short" if short else f"Much could be said of {cell}, and this is what number {variant} says of them today."


def run(folder: Path, url: str, seeds: str, out: str = "out") -> Summary:
    spec = project(folder, STEPS, PROMPTS, f"{{{seeds}}}", "release: {format: text}\nguard: {pilot: 0, canaries: 0}", url)
    return build(Options(str(spec), folder / out), lambda _: None)


def cells(out: Path) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    _, rows = query(out, "SELECT topic, level, seeds, rows, dropped, missing FROM coverage")
    return {(topic, level): tuple(counts) for topic, level, *counts in rows}


def test_cells_say_what_became_of_their_seeds_and_what_is_missing(tmp_path: Path) -> None:
    with teacher(say) as taught:
        run(tmp_path, taught.url, f"{GRID}, take: 12")
    whole = dict.fromkeys([(topic, level) for topic in ("ants", "bees", "crabs") for level in ("1", "2")], (2, 2, 0, 0))
    assert cells(tmp_path / "out") == whole | {("bees", "2"): (2, 1, 1, 1), ("crabs", "1"): (2, 0, 2, 2)}
    steps = "SELECT step, seeds, dropped FROM coverage_steps WHERE topic = 'bees' AND level = '2' ORDER BY number"
    assert query(tmp_path / "out", steps)[1] == [("text", 2, 0), ("right", 2, 1), ("all", 1, 0)]
    thin = [json.loads(line) for line in (tmp_path / "out/coverage/thin-1.0.jsonl").read_text().splitlines()]
    assert thin == [{"topic": "bees", "level": 2, "variant": -1}, *({"topic": "crabs", "level": 1, "variant": n} for n in (-1, -2))]
    page, card = (tmp_path / "out/report.html").read_text(), (tmp_path / "out/README.md").read_text()
    assert "4 of 6 cells" in card and "thin-1.0.jsonl" in page


def test_a_round_fills_what_is_thin_and_moves_nothing(tmp_path: Path) -> None:
    with teacher(say) as taught:
        run(tmp_path, taught.url, f"{GRID}, take: 6")
        before = {path.name: path.read_bytes() for path in (tmp_path / "out/data").iterdir()}
        first = "also: [out/coverage/thin-1.0.jsonl]"
        assert run(tmp_path, taught.url, f"{GRID}, take: 6, {first}").version == "1.1"
        assert {counts[1] for counts in cells(tmp_path / "out").values()} == {1}, "even"
        assert before.items() <= {path.name: path.read_bytes() for path in (tmp_path / "out/data").iterdir()}.items()
        assert (tmp_path / "out/coverage/thin-1.1.jsonl").read_text() == ""
        asked = len(taught.prompts)
        run(tmp_path, taught.url, f"{GRID}, take: 12, {first}")
        assert len(taught.prompts) == asked + 6, "a larger take meets none of the seeds that were asked for again"
        run(tmp_path, taught.url, f"{GRID}, take: 12, {first}", "whole")
        for table in ("coverage", "coverage_steps", "diversity"):
            of_both = [query(tmp_path / out, f"SELECT * FROM {table} ORDER BY ALL")[1] for out in ("out", "whole")]
            assert of_both[0] == of_both[1] != [], "what is measured hangs on the rows, not on the releases in which they came"
        with pytest.raises(OutputError, match="2 released seeds are no longer among the seeds"):
            run(tmp_path, taught.url, f"{GRID}, take: 12")
        assert run(tmp_path, taught.url, "table: out/coverage/thin-1.0.jsonl", "other").rows == 2
    assert [entry["version"] for entry in read_json(tmp_path / "out/manifest.json")["releases"]] == ["1.0", "1.1", "1.2"]
