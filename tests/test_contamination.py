"""Three classes of leaked items: the same words, the same problem in other words, the same wording with other numbers; and nothing of the rest."""

from __future__ import annotations

import json
import os
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datagen.cli import cli
from datagen.errors import SeedError, SpecError
from datagen.plan.benchmarks import KNOWN, described, import_benchmarks
from datagen.steps.sets.decontaminate import items
from datagen.steps.sets.leaks.contamination import KINDS, Detector, definitions
from datagen.steps.sets.leaks.overlap import Item
from datagen.steps.sets.leaks.traits import code_traits, examples, holds_code, skeleton, split_name, stem, traits

SHARED = Path(os.environ.get("DATAGEN_SHARED") or Path(__file__).parents[2] / "shared") / "data"
BAKERY = (
    "Marta bakes 9 trays of rolls with 12 rolls on each tray. She sells 70 rolls before noon and gives 14 of those left to the school."
    " How many rolls does Marta have in the evening?"
)
REWORDED = (
    "On each of the 9 trays that Marta bakes there are 12 rolls. Before noon 70 rolls are sold, and the school is given 14 of the rest."
    " What number of rolls remains with Marta in the evening?"
)
FERRY = "A ferry for 240 passengers crosses the strait 6 times a day. Each passenger pays 15 crowns. What does a full day bring in?"
ROOF = "Jonas tiles a roof of 18 rows with 35 tiles a row, and 7 tiles in a hundred break. How many tiles must Jonas order?"
ORCHARD = "An orchard has 42 apple trees and 17 pear trees. Each apple tree gives 80 kg and each pear tree 65 kg. How heavy is the harvest?"
ITEMS = [Item("shop", str(number), text) for number, text in enumerate((BAKERY, FERRY, ROOF, ORCHARD))]


def needs(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs the shared data: no {path}; set DATAGEN_SHARED")
    return path


def test_each_class_is_told_with_item_and_words() -> None:
    detector = Detector(ITEMS)
    copied = detector.find(f"Exercise 4. {BAKERY} Explain.")
    assert copied is not None and (copied.kind, copied.item, copied.score) == ("verbatim", "0", 1.0)
    reworded = detector.find(REWORDED)
    assert reworded is not None and (reworded.kind, reworded.item) == ("rephrased", "0")
    assert 0.5 < reworded.score <= 1 and reworded.evidence.startswith("On each of the 9 trays")
    renumbered = detector.find(BAKERY.replace("12", "16").replace("70", "95"))
    assert renumbered is not None and (renumbered.kind, renumbered.item) == ("same_template", "0")


def test_one_changed_number_makes_a_copy_a_template_and_a_cut_copy_stays_a_copy() -> None:
    changed = Detector(ITEMS).find(BAKERY.replace("70", "71"))
    assert changed is not None and changed.kind == "same_template"
    cut = Detector(ITEMS).find(" ".join(BAKERY.split()[:26]))
    assert cut is not None and cut.kind == "verbatim" and cut.score < 1


def test_a_reworded_item_is_found_inside_a_long_row_with_its_sentences() -> None:
    around = "The tide turns twice a day and boats wait for it. Nobody in the harbour hurries. " * 12
    found = Detector(ITEMS).find(f"{around}{REWORDED} {around}")
    assert found is not None and (found.kind, found.item) == ("rephrased", "0")
    assert found.evidence.startswith("On each of the 9 trays") and "harbour" not in found.evidence


SOLVED = (
    "She bakes 9 x 12 = 108 rolls on her trays. Before noon she sells 70, so 108 - 70 = 38 are left."
    " The school gets 14 of those, and Marta has 38 - 14 = 24 rolls in the evening.\n#### 24"
)


def test_a_solution_behind_the_question_hides_nothing() -> None:
    found = Detector(ITEMS).find(f"Solve the following problem.\n\n{REWORDED}\n\nSolution: {SOLVED}")
    assert found and (found.kind, found.item) == ("rephrased", "0")
    assert found.evidence.startswith("On each of the 9 trays")
    assert Detector(ITEMS).find(f"A school buys 24 rolls in the evening. What does one roll cost if all cost 12 crowns?\n\n{SOLVED[:95]}") is None


def test_a_fenced_program_is_read_by_itself_and_after_its_task() -> None:
    code = "def total(prices):\n    return sum(prices)\n"
    text = f"# A lesson\n\nFirst some words.\n\nAdd up the prices.\n\n```python\n{code}```\n\nNow run it."
    assert list(definitions(text)) == [code, f"Add up the prices.\n\n{code}"]
    assert list(definitions(code)) == [code]


@pytest.mark.parametrize(
    "old, new", [("12 rolls", "12.00 rolls"), ("9 trays", "9trays"), ("9 trays", "nine trays"), ("70 rolls", "70rolls"), ("14 of", r"\(14\) of")]
)
def test_another_form_of_a_number_is_no_other_number(old: str, new: str) -> None:
    found = Detector(ITEMS).find(BAKERY.replace(old, new))
    assert found and (found.kind, found.item) == ("verbatim", "0")


def test_fractions_in_words_and_digits_are_one() -> None:
    text = "A tank holds 80 litres. Kim fills half of it, Lee a quarter of the rest, and 5 litres leak. How many litres are in the tank?"
    found = Detector([*ITEMS, Item("shop", "9", text)]).find(text.replace("half", "1/2").replace("a quarter", "1/4"))
    assert found and found.kind != "same_template" and found.item == "9"


@pytest.mark.parametrize(
    "line, said",
    [
        ('{"id": "y", "zzz": "1"}', "row 2 is no item: it needs a text in one of the columns question, text, prompt; it has id, zzz"),
        ('{"id": "y", "question": null}', "row 2 is no item"),
        ('{"id": "y", "question": ["a", "b"]}', "found question = ['a', 'b']"),
    ],
)
def test_a_reference_row_without_a_text_is_told_before_anything_is_paid(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"id": "x", "question": "How many rolls are left?"}\n' + line + "\n")
    (tmp_path / "seeds.jsonl").write_text('{"text": "Some text."}\n')
    (tmp_path / "s.yaml").write_text(
        "name: s\nseeds: {table: seeds.jsonl}\nsteps:\n  - {name: clean, decontaminate: {on: text, against: [./mine.jsonl]}}\n"
        "release: {format: text, columns: {text: text}}\n"
    )
    done = CliRunner().invoke(cli, ["plan", "--spec", str(tmp_path / "s.yaml")])
    assert isinstance(done.exception, SpecError) and "s.yaml:4" in str(done.exception) and said in str(done.exception)


def test_what_only_shares_a_subject_is_clean() -> None:
    detector = Detector(ITEMS)
    for text in (
        "A bakery sells rolls and bread. In the evening what is left goes to a school.",
        "Olga bakes 3 cakes and sells each for 20 crowns. How much money does Olga earn?",
        "Ferries cross the strait all day.",
        "",
        "?!",
    ):
        assert detector.find(text) is None, text
    assert Detector([]).find(BAKERY) is None


def test_the_order_of_items_decides_nothing_and_a_detector_travels() -> None:
    one, other = Detector(ITEMS), pickle.loads(pickle.dumps(Detector(reversed(ITEMS))))
    assert one.identity() == other.identity() != Detector(ITEMS[:2]).identity()
    for text in (BAKERY, REWORDED, FERRY.replace("240", "310"), "nothing"):
        assert one.find(text) == other.find(text)


@pytest.mark.parametrize("text", ["a" * 200_000, "1 " * 100_000, "def f(" * 30_000, '"""' * 60_000, "A. " * 60_000, "f(" * 100_000 + "\n>>> ("])
def test_hostile_texts_end(text: str) -> None:
    items = [*ITEMS, Item("code", "0", 'def half(x: float) -> float:\n    """Half of x.\n    >>> half(3.0)\n    1.5\n    """\n    return x / 2\n')]
    assert Detector(items).find(text) is None


def test_what_is_read_off_a_text() -> None:
    assert (stem("baking"), stem("bakes"), stem("berries"), stem("rows"), stem("was")) == ("bak", "bak", "berry", "row", "was")
    found = traits("Ann has twice as many as Bo: three of 1,250 for each. How many has Ann?")
    assert found.numbers == ("2", "3", "1250") and {"ann", "bo"} <= found.names
    assert split_name("hasCloseElements_2") == ["has", "close", "elements"] and skeleton("[1, 2, 'a'], 2.5") == "[ns]f"
    assert examples("assert f([1]) == 2\n>>> g(3)\n4") == [("([1])", "2"), ("(3)", "4")]


def test_code_is_read_without_being_run_or_parsed() -> None:
    code = 'def mean(values: List[float], tops: Dict[str, int]) -> float:\n    """The average.\n    >>> mean([1.5], {})\n    1.5\n    """\n    return'
    found = code_traits(code + " sum(values")
    assert found.parameters == ("list[float]", "dict[str,int]") and found.returns == "float" and "averag" in found.doc
    assert holds_code(code) and not holds_code("The class of 2004 met. Function follows form.")
    assert "".join(definitions(code * 90)) == code * 90


# --- reference files ---


def test_imported_sets_have_hash_count_and_version(tmp_path: Path) -> None:
    for known in KNOWN.values():
        needs(known.path)
    told = CliRunner().invoke(cli, ["benchmarks", "import", *KNOWN, "--from", str(SHARED), "--to", str(tmp_path)], catch_exceptions=False)
    assert told.exit_code == 0 and told.output.count("sha256") == len(KNOWN)
    manifest = json.loads((tmp_path / "benchmarks/manifest.json").read_text())
    assert list(manifest) == sorted(KNOWN) and manifest["gsm8k"]["count"] == 1319 and manifest["humaneval"]["count"] == 164
    for name in KNOWN:
        path = tmp_path / "benchmarks" / f"{name}.parquet"
        known = described(path)
        assert known == {key: manifest[name][key] for key in ("sha256", "count", "version", "source")} | {"name": name}
        assert known["version"] and len(list(items(path))) == manifest[name]["count"]
    before = (tmp_path / "benchmarks/gsm8k.parquet").read_bytes()
    import_benchmarks(["gsm8k"], SHARED, tmp_path)
    assert (tmp_path / "benchmarks/gsm8k.parquet").read_bytes() == before
    assert json.loads((tmp_path / "benchmarks/manifest.json").read_text()) == manifest


def test_an_import_that_cannot_be_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no set 'gsm8'.*gsm8k"):
        import_benchmarks(["gsm8"], tmp_path, tmp_path)
    with pytest.raises(SeedError, match=r"--from names the folder that holds mbpp/mbpp\.parquet"):
        import_benchmarks(["mbpp"], tmp_path, tmp_path)
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k/test.parquet").write_bytes(b"no table")
    with pytest.raises(SeedError, match="not readable as Parquet"):
        import_benchmarks(["gsm8k"], tmp_path, tmp_path)
    assert not (tmp_path / "benchmarks").exists()


# --- in a build ---

SPEC = """\
name: leaks
seeds: {table: rows.jsonl}
steps:
  - {name: clean, decontaminate: {on: text, against: [shop.jsonl]%s}}
release: {format: text}
"""


def built(folder: Path, more: str = "") -> dict[str, Any]:
    (folder / "shop.jsonl").write_text("".join(json.dumps({"id": item.id, "question": item.text}) + "\n" for item in ITEMS))
    rows = [BAKERY, REWORDED, FERRY.replace("240", "310"), "Ferries cross the strait all day."]
    (folder / "rows.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in rows))
    (folder / "s.yaml").write_text(SPEC % more)
    done = CliRunner().invoke(cli, ["build", "--spec", str(folder / "s.yaml"), "--out", str(folder / "out")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (step,) = json.loads((folder / "out/decontamination.json").read_text())["steps"]
    found: dict[str, Any] = step
    return found


def test_a_release_carries_its_certificate(tmp_path: Path) -> None:
    step = built(tmp_path)
    assert (step["rows"], step["kept"], step["found"]) == (4, 2, {"verbatim": 1, "rephrased": 1, "same_template": 1})
    assert step["sets"] == [described(tmp_path / "shop.jsonl")] and step["sets"][0]["count"] == len(ITEMS)
    kinds = {entry["class"]: entry for entry in step["by_set"]}
    assert {entry["reference"] for entry in step["by_set"]} == {"shop"}
    assert kinds["rephrased"]["dropped"] == 1 and kinds["same_template"]["dropped"] == 0
    assert "shop 0: On each of the 9 trays" in kinds["rephrased"]["examples"][0]["evidence"]
    card = (tmp_path / "out/README.md").read_text()
    assert "1 verbatim, 1 rephrased, 1 of the same template" in card and step["sets"][0]["sha256"][:12] in card


def test_what_is_dropped_is_said_in_the_spec(tmp_path: Path) -> None:
    step = built(tmp_path, ", drop: [same_template]")
    assert step["kept"] == 3 and {entry["class"]: entry["dropped"] for entry in step["by_set"]} == {
        "verbatim": 0,
        "rephrased": 0,
        "same_template": 1,
    }


# --- on real data ---


@pytest.mark.real
def test_the_held_out_half_is_told_apart() -> None:
    """The bars of the issue, on a third of the rows that `tests/benchmarks/curation/decontamination.py` measures in full."""
    needs("decontamination_dev")
    from benchmarks.curation import decontamination as bench

    detector, rng = Detector(bench.maths()), random.Random(5)
    questions = [row["question"] for row in bench.read("gsm8k/test")]
    good = [row for row in bench.rewritten("gsm8k") if not bench.fitting(row["index"])][::3]
    clean = [row["text"] for row in bench.read("decontamination_dev/negatives") if row["benchmark"] == "gsm8k"][1::6]
    rows = [("rephrased", row["text"]) for row in good] + [("verbatim", questions[row["index"]]) for row in good] + [("", text) for text in clean]
    rows += [("same_template", text) for row in good if (text := bench.renumbered(questions[row["index"]], rng))]
    pairs = [(kind, found.kind if (found := detector.find(text)) else "") for kind, text in rows]
    for kind in KINDS:
        right = sum(wanted == told == kind for wanted, told in pairs)
        assert 2 * right / sum((wanted == kind) + (told == kind) for wanted, told in pairs) >= 0.92, kind


@pytest.mark.real
def test_rewritten_code_is_found_and_other_tasks_are_not() -> None:
    needs("decontamination_dev")
    from benchmarks.curation import decontamination as bench

    detector = Detector(bench.code())
    good = [row["text"] for row in bench.rewritten("humaneval") if not bench.fitting(row["index"])]
    found = [leak for text in good if (leak := detector.find(text))]
    false = [leak for text in bench.mbpp()[1::4] if (leak := detector.find(text))]
    assert len(found) >= 0.8 * len(good) and {leak.kind for leak in found} <= {"rephrased", "verbatim"}
    assert len(false) <= 0.02 * len(bench.mbpp()[1::4])
