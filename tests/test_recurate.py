"""Other thresholds for what is out: shown first, asking nothing, and released as a new major version on a word."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from buckets import Bucket
from teaching import Made, made, project, teacher

from datagen.build import Options, build
from datagen.cli import cli
from datagen.curating.recurate import changes, options_of
from datagen.errors import OutputError, SpecError
from datagen.inspect import require_release
from datagen.storage import read_json, read_table

STEPS = """\
  - {name: text, ask: t/text, of: w}
  - {name: good, filter: [{length: {min_words: 3}}, {length: {min_words: 1, max_words: 9}}], on: text}
  - {name: more, ask: t/more, of: w}
  - {name: unique, dedup: {on: text, threshold: 0.9}}"""
PROMPTS = {"text": "{{ topic }} words", "more": "more about {{ topic }}"}
SEEDS = "{grid: {topic: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}}"
MORE = "release: {format: text, columns: {text: text}}\nguard: {canaries: 0}"


def says(prompt: str) -> str:
    """So many words as the prompt names."""
    number = int(prompt.split()[0]) if prompt.endswith("words") else 2
    return " ".join(f"word{number}x{place}" for place in range(number))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A build of twelve rows of 1 to 12 words, of which those of 3 to 9 are kept; and its teacher."""
    folder = tmp_path_factory.mktemp("recurate")
    with teacher(says) as taught:
        yield made(project(folder, STEPS, PROMPTS, SEEDS, MORE, taught.url), folder / "out"), taught


def options(found: Made, *sets: str) -> Options:
    return options_of(found.out, found.out / "ledger", None, None, sets)


def test_what_would_change_is_said_before_and_nothing_is_asked_or_written(house: Any) -> None:
    found, taught = house
    asked, manifest = len(taught.prompts), (found.out / "manifest.json").read_bytes()
    lines = list(changes(options(found, "good.length_2.max_words=5")))
    assert any(line.split() == ["good", "7", "3", "-4"] for line in lines), lines
    assert "of 7 rows at the end of the line 4 would go out, 0 would come in" in "\n".join(lines)
    assert sum(line.startswith("  out  ") for line in lines) == 3 and "good.length_2: too_long" in "\n".join(lines)
    assert "would need asking: nothing" in lines
    assert len(taught.prompts) == asked and (found.out / "manifest.json").read_bytes() == manifest


def test_rows_that_need_an_answer_are_counted_with_their_price(house: Any) -> None:
    found, taught = house
    asked = len(taught.prompts)
    said = "\n".join(changes(options(found, "good.length.min_words=2", "good.length_2.max_words=20")))
    assert "would need asking: 4 rows, 4 requests, $" in said and "0 would come in" in said and len(taught.prompts) == asked


def test_the_same_values_change_nothing(house: Any) -> None:
    assert list(changes(options(house[0], "good.length_2.max_words=9", "unique.dedup.threshold=0.9")))[-1].startswith("nothing would change")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("goood.length.min_words=2", "no step 'goood'; did you mean 'good'"),
        ("good.lenght.min_words=2", "no operator 'lenght'; did you mean 'length'"),
        ("good.length.min_word=2", "unknown parameter 'min_word'; did you mean 'min_words'"),
        ("good.length.min_words=many", "min_words"),
        ("unique.dedup.treshold=0.5", "no 'treshold'; did you mean 'threshold'"),
        ("unique.dedup.threshold=7", "threshold"),
        ("unique.length.min_words=7", "write unique.dedup.PARAMETER"),
        ("unique.dedup.meaning.at_least=0.6", "the spec gives meaning no parameters of its own"),
        ("unique.dedup.threshold.at_least=0.6", "the spec gives threshold no parameters of its own"),
        ("text.ask.samples=2", "asks teachers"),
        ("good.length=2", "write STEP.OPERATOR.PARAMETER=VALUE"),
    ],
)
def test_a_name_or_value_that_cannot_be_is_told_before_anything(house: Any, text: str, told: str) -> None:
    with pytest.raises(SpecError, match="--set") as caught:
        list(changes(options(house[0], text)))
    assert told in str(caught.value)


def test_with_a_word_it_is_a_new_major_release_that_asked_nothing_and_says_so(tmp_path: Path) -> None:
    with teacher(says) as taught:
        found = made(project(tmp_path, STEPS, PROMPTS, SEEDS, MORE, taught.url), tmp_path / "out")
    asked, first = len(taught.prompts), (found.out / "data" / "train-v0001-00000.parquet").read_bytes()
    summary = build(options(found, "good.length.min_words=2", "good.length_2.max_words=4"), lambda _: None)
    assert summary.version == "2.0" and summary.rows == 2 and summary.unanswered == 1 and summary.asked == 0 and len(taught.prompts) == asked
    manifest = require_release(found.out)
    assert manifest["overrides"] == read_json(found.out / "plan.json")["overrides"] == {"good.length.min_words": 2, "good.length_2.max_words": 4}
    change = "made anew: step good changed, and all after it, recurated with good.length.min_words = 2, recurated with good.length_2.max_words = 4"
    assert manifest["releases"][-1]["change"] == change and "recurated with good.length" in (found.out / "README.md").read_text()
    assert (found.out / "data" / "train-v0001-00000.parquet").read_bytes() == first
    rows = [row for file in manifest["releases"][-1]["files"] for row in read_table(found.out / file["path"])]
    assert sorted(len(row["text"].split()) for row in rows) == [3, 4]
    after = list(changes(options(found, "good.length_2.max_words=3")))  # what was set before holds on
    assert "of 2 rows at the end of the line 1 would go out, 0 would come in" in "\n".join(after)
    plain = Options(str(tmp_path / "s.yaml"), found.out)
    with pytest.raises(
        OutputError, match=r"was recurated with `good\.length\.min_words=2`, `good\.length_2\.max_words=4` \(write that into the spec"
    ):
        build(plain, lambda _: None)
    said = (tmp_path / "s.yaml").read_text().replace("{min_words: 3}", "{min_words: 2}").replace("max_words: 9", "max_words: 4")
    (tmp_path / "s.yaml").write_text(said)
    with teacher(says):
        assert build(plain, lambda _: None).version == "2.0"


def test_rows_that_lost_their_answers_are_told_and_not_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulated teacher's material is read from $DATAGEN_SHARED: another folder makes it another teacher, whose answers are in no ledger."""
    refusals = [{"id": "1", "completion": "No, I will not write that.", "is_refusal": True, "label": "full"}]
    (tmp_path / "shared" / "data" / "refusals_dev").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(refusals), tmp_path / "shared" / "data" / "refusals_dev" / "completions.parquet")
    monkeypatch.setenv("DATAGEN_SHARED", str(tmp_path / "shared"))
    steps = "  - {name: text, ask: t/text, of: w}\n  - {name: good, filter: [{length: {min_words: 1}}], on: text}"
    spec = project(tmp_path, steps, PROMPTS, SEEDS, f"{MORE}\nrehearsal: {{defects: {{refusal: 0.1}}}}")
    spec.write_text(spec.read_text().replace("max_tokens: 100", "max_tokens: 4000"))
    found = made(spec, tmp_path / "out", teacher="simulator")
    words, manifest = ["recurate", str(found.out), "--set", "good.length.max_words=100000"], (found.out / "manifest.json").read_bytes()
    monkeypatch.delenv("DATAGEN_SHARED")
    told = re.escape(
        f"12 rows that had an answer have none now: the simulated teacher is another, for its material is ($DATAGEN_SHARED was {tmp_path}"
    )
    with pytest.raises(OutputError, match=rf"{told}/shared, and is not set\)"):
        cli([*words, "--yes"], standalone_mode=False)
    cli(words, standalone_mode=False)  # without a word it is only said
    assert (found.out / "manifest.json").read_bytes() == manifest
    monkeypatch.setenv("DATAGEN_SHARED", str(tmp_path / "shared"))
    cli([*words, "--yes"], standalone_mode=False)
    assert require_release(found.out)["releases"][-1]["version"] == "2.0"


def test_a_check_within_a_repeat_is_meant_by_its_own_name(tmp_path: Path) -> None:
    inner = "{name: text, ask: t/text, of: w}, {name: sums, check: {arithmetic: {on: text}}}"
    steps = f"  - {{name: tries, repeat: {{at_most: 2, until: text, steps: [{inner}]}}}}"
    with teacher(lambda prompt: f"2 + 1 = {2 + int(prompt) % 2}") as taught:
        found = made(project(tmp_path, steps, {"text": "{{ topic }}"}, SEEDS, MORE, taught.url), tmp_path / "out")
        asked = len(taught.prompts)
        said = "\n".join(changes(options(found, "sums.arithmetic.at_most=1")))
    assert "of 6 rows at the end of the line 0 would go out, 6 would come in" in said and "would need asking: nothing" in said, said
    assert "was dropped: tries.arithmetic: wrong_step" in said and len(taught.prompts) == asked
    with pytest.raises(SpecError, match=r"asks teachers.*known: sums"):
        list(changes(options(found, "tries.repeat.at_most=1")))


@pytest.mark.soak
def test_on_an_object_store_it_is_shown_and_released_there(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**bucket.env, "DATAGEN_WORK": str(tmp_path / "work")}.items():
        monkeypatch.setenv(name, value)
    out = f"{bucket.url}/recurate"
    with teacher(says) as taught:
        build(Options(str(project(tmp_path, STEPS, PROMPTS, SEEDS, MORE, taught.url)), out), lambda _: None)
    first, asked = bucket.read("recurate/data/train-v0001-00000.parquet"), len(taught.prompts)
    segments = {name: bucket.read(name) for name in bucket.names("recurate/ledger/segments/")}
    shutil.rmtree(tmp_path / "work")  # another machine
    words = ["recurate", out, "--set", "good.length_2.max_words=4"]
    cli(words, standalone_mode=False)
    assert json.loads(bucket.read("recurate/manifest.json"))["releases"][-1]["version"] == "1.0"
    cli([*words, "--yes"], standalone_mode=False)
    manifest = json.loads(bucket.read("recurate/manifest.json"))
    assert [entry["version"] for entry in manifest["releases"]] == ["1.0", "2.0"] and manifest["releases"][-1]["rows"] == 2
    assert bucket.read("recurate/data/train-v0001-00000.parquet") == first and bucket.names("recurate/data/train-v0002")
    assert json.loads(bucket.read("recurate/steps/origin.json"))["ledger"] is None  # no place of this disk is remembered
    assert len(taught.prompts) == asked and all(bucket.read(name) == said for name, said in segments.items())
