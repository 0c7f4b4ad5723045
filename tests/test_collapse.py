"""A topic whose texts become alike: the build says so while it runs, the release says so by its rows, and where the spec wants it, it stops."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from teaching import project, teacher

from datagen.build import Options, Summary, build
from datagen.errors import TooManyFailures
from datagen.release.catalogue import query
from datagen.release.measured.diversity import alarm
from datagen.running.telling.show import Snapshot
from datagen.spec.terms import Collapse
from datagen.terminal import report

WORDS = [a + b for a in ("ka", "lo", "mi", "ne", "pu", "ra", "so", "ti") for b in ("ban", "dor", "fel", "gim", "hus", "jet")]
SEEDS = f"{{grid: {{topic: [rivers, storms, bridges, caves, owls], number: {list(range(21))}}}}}"
STEPS = """\
  - {name: text, ask: t/say, of: w}
  - {name: grade, ask: t/grade, of: w, returns: {fault: str, score: {int: [1, 5]}}}
  - {name: good, filter: [{score: {at_least: 2}}]}"""
PROMPTS = {"say": "Write of {{ topic }}, {{ number }}", "grade": "Grade: {{ text }}"}


def say(prompt: str) -> str | dict[str, object]:
    """Of storms the teacher has one thing to say; of the rest, something else each time. As a judge it has one word for all."""
    if prompt.startswith("Grade"):
        return {"fault": "there is no fault in it that I could find today", "score": 4}
    draw = random.Random(prompt)
    own = " ".join(draw.choice(WORDS) for _ in range(40))
    return f"In this chapter we will explore a most fascinating thing together, namely {own[:20]}" if "storms" in prompt else own


def run(folder: Path, url: str, guard: str, heard: list[str]) -> Summary:
    def watch(snapshot: Snapshot) -> None:
        heard.extend(line for line in snapshot.news.splitlines() if line not in heard)

    spec = project(folder, STEPS, PROMPTS, SEEDS, f"release: {{format: text}}\nguard: {guard}", url)
    return build(Options(str(spec), folder / "out", log=str(folder / "log")), watch)


def test_a_topic_that_collapses_is_told_while_it_is_written_and_on_the_release(tmp_path: Path) -> None:
    heard: list[str] = []
    with teacher(say) as taught:
        summary = run(tmp_path, taught.url, "{pilot: 0, canaries: 0}", heard)
    alarm = "text: texts of topic = storms are alike: 100% of"
    assert [line for line in heard if line.startswith(alarm)] and not [line for line in heard if "rivers" in line or "fault" in line]
    assert [note.startswith(alarm) for note in summary.notes if "alike" in note] == [True], "once, though the release is as bad"
    logged = [line for line in map(json.loads, (tmp_path / "log").read_text().splitlines()) if line["event"] == "collapsed"]
    assert [(line["step"], line["axis"], line["value"], line["opening_share"]) for line in logged] == [("text", "topic", "storms", 1.0)]
    _, rows = query(tmp_path / "out", "SELECT step, value, opening, opening_share FROM diversity WHERE collapsed ORDER BY 1")
    assert rows == [("release", "storms", "in this chapter we", 1.0), ("text", "storms", "in this chapter we", 1.0)]
    assert query(tmp_path / "out", "SELECT DISTINCT step FROM diversity ORDER BY 1")[1] == [("release",), ("text",)], "a judge writes of rows"


def test_the_build_stops_where_the_spec_wants_that_and_goes_on_when_it_does_not(tmp_path: Path) -> None:
    heard: list[str] = []
    with teacher(say) as taught:
        with pytest.raises(TooManyFailures, match=r"topic = storms are alike[^\n]*guard\.collapse\.stop is set") as stopped:
            run(tmp_path, taught.url, "{pilot: 0, canaries: 0, collapse: {stop: true}}", heard)
        asked = len(taught.prompts)
        assert stopped.value.exit_code == 9 and not (tmp_path / "out" / "manifest.json").exists()
        with pytest.raises(TooManyFailures, match="as the last time"):
            run(tmp_path, taught.url, "{pilot: 0, canaries: 0, collapse: {stop: true}}", heard)
        assert len(taught.prompts) == asked
        assert run(tmp_path, taught.url, "{pilot: 0, canaries: 0, collapse: null}", heard).rows == 105
        assert len(taught.prompts) == 210, "what was in flight when it stopped is on record"
    assert query(tmp_path / "out", "SELECT count(*) FROM diversity WHERE collapsed")[1] == [(0,)], "nobody looks"


def test_an_alarm_names_the_figure_that_was_met_and_its_limit_and_is_read_once() -> None:
    record = {"step": "text", "axis": "topic", "value": "primes", "rows": 60, "opening": "a b c d", "opening_share": 0.03, "repetition": 0.29}
    said = alarm(record, Collapse())
    assert said == "text: texts of topic = primes are alike: 29% of the runs of 4 words in 60 stand in another of 20, 25% may"
    begins = alarm({**record, "opening_share": 0.5, "repetition": None}, Collapse())
    assert begins.endswith("are alike: 50% of 60 begin with “a b c d …”, 40% may")
    summary = Summary(Path("out"), "1.0", 1, 1, 0, 1, 0.0, False, "", "out", [said, begins])
    assert [line for line in report(summary, {said}) if "alike" in line] == [f"  note: {begins}"]
