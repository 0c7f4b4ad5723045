"""Planted rows: they measure a build's filters, and nothing of a build shows them but the counts."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from teaching import Made, made, project

from datagen.errors import SeedError, SpecError
from datagen.operators.chat import Refusal
from datagen.records import Row
from datagen.rehearsal.material import REFUSALS
from datagen.release.catalogue import query
from datagen.release.measured.intervals import wilson
from datagen.running.canaries.counts import Canary, Told, counted
from datagen.running.canaries.damage import mojibake, shuffle, splice, unlike

STEPS = """\
  - {name: good, filter: [{length: {min_words: 5}}, {repetition: {}}, {refusal: {}}, {language: {keep: [en]}}]}
  - {name: unique, dedup: {on: text}}"""
NOUNS = ("river", "market", "engine", "planet", "garden", "letter", "window", "forest")
VERBS = ("carries", "follows", "changes", "supports", "measures", "reaches", "divides", "explains")
FORMS = (
    "The {0} {1} every {2} that people near the {3} know.",
    "Nobody who saw the {0} doubts how it {1} a {2} or some {3}.",
    "Once a {0} {1} its {2}, even an old {3} seems young.",
    "In spring this {0} slowly {1} one {2} after another {3}.",
    "What the {0} {1} was, for us, both a {2} and a {3}.",
)


def text(number: int) -> str:
    draw = random.Random(number)
    said = (draw.choice(FORMS).format(draw.choice(NOUNS), draw.choice(VERBS), draw.choice(NOUNS), draw.choice(NOUNS)) for _ in range(7))
    return " ".join(said)


def built(folder: Path, canaries: str, rows: int = 30) -> Made:
    folder.mkdir(exist_ok=True)
    (folder / "empty.jsonl").touch()
    (folder / "seeds.jsonl").write_text("".join(json.dumps({"text": text(number)}) + "\n" for number in range(rows)))
    (folder / "good.jsonl").write_text("".join(json.dumps({"said": text(1000 + number), "label": "good"}) + "\n" for number in range(20)))
    more = f"release: {{format: text, columns: {{text: text}}}}\nguard: {{canaries: {canaries}}}"
    return made(project(folder, STEPS, {}, "{table: seeds.jsonl}", more), folder / "out")


def test_a_build_states_escapes_and_false_drops_and_releases_the_same_bytes(tmp_path: Path) -> None:
    with_them, without = built(tmp_path / "a", "{count: 40, good: [own=good.jsonl:said]}"), built(tmp_path / "b", "0")
    shard = "data/train-v0001-00000.parquet"
    assert (with_them.out / shard).read_bytes() == (without.out / shard).read_bytes()
    assert [with_them.counts(step) for step in ("good", "unique")] == [without.counts(step) for step in ("good", "unique")]
    told = json.loads((with_them.out / "manifest.json").read_text())["canaries"]
    assert told["bad"] == 40 and told["good"] == 20 and told["false_drops"]["of"] == 20
    assert told["kinds"]["repetition"]["share"] == 1.0 and told["kinds"]["refusal"]["share"] >= 0.5  # an operator looks for them
    assert told["kinds"]["splice"]["share"] < 1.0  # none looks for it, and the count says so
    assert told["operators"]["good.refusal"]["caught"]["found"] >= told["kinds"]["refusal"]["found"]
    assert (told["escapes"]["low"], told["escapes"]["high"]) == wilson(told["escapes"]["found"], told["escapes"]["of"])
    assert json.loads((without.out / "manifest.json").read_text())["canaries"] is None
    for view in ("kept", "dropped", "rows"):
        assert query(with_them.out, f"SELECT count(*) FROM {view} WHERE id LIKE 'canary%'")[1] == [(0,)]
    assert query(with_them.out, "SELECT count(*) FROM verdicts WHERE row LIKE 'canary%'")[1] == [(0,)]
    card = (with_them.out / "README.md").read_text()
    assert "How sure the filters and checks are" in card and "How sure the filters and checks are" in (with_them.out / "report.html").read_text()
    assert "How sure the filters and checks are" not in (without.out / "README.md").read_text()
    assert built(tmp_path / "c", "{count: 40, good: [own=good.jsonl:said]}").counts("good") == with_them.counts("good")
    assert json.loads((tmp_path / "c" / "out" / "steps" / "canaries.json").read_text()) == told


def test_a_field_of_the_seeds_can_be_the_known_good_text(tmp_path: Path) -> None:
    rows = [{"text": text(number), "source": text(3000 + number) if number else "Four words are few."} for number in range(6)]
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    more = 'release: {format: text, columns: {text: text}}\nguard: {canaries: {count: 6, good: ["seeds:source"]}}'
    found = made(project(tmp_path, STEPS.partition("\n")[0], {}, "{table: seeds.jsonl}", more), tmp_path / "out")
    told = json.loads((found.out / "manifest.json").read_text())["canaries"]["steps"]["good"]["false_drops"]
    assert (told["found"], told["of"]) == (1, 6)  # one source is shorter than the filter allows


def test_every_kind_of_damage_is_planted_for_every_filter_that_judges_texts(tmp_path: Path) -> None:
    """As many filters as divide the number of kinds, one of which holds a number against another."""
    steps = """\
  - {name: one, filter: [{length: {min_words: 1}}]}
  - {name: good, filter: [{score: {on: score, at_least: 0}}]}
  - {name: two, filter: [{length: {min_words: 1}}]}"""
    rows = [{"text": text(number), "score": 1.0} for number in range(10)]
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    more = "release: {format: text, columns: {text: text}}\nguard: {canaries: 36}"
    found = made(project(tmp_path, steps, {}, "{table: seeds.jsonl}", more), tmp_path / "out")
    told = json.loads((found.out / "manifest.json").read_text())["canaries"]
    kinds = {"repetition", "truncation", "refusal", "meta_talk", "pii", "mojibake", "splice", "shuffle", "wrong_language"}
    assert told["bad"] == 36 and set(told["kinds"]) == kinds and min(each["of"] for each in told["kinds"].values()) >= 3
    assert set(told["steps"]["one"]["kinds"]) == set(told["steps"]["two"]["kinds"]) == kinds and "good" not in told["steps"]


def test_counts_add_up() -> None:
    row = Row("canary:0", "", "canary:0", {})
    canaries = [Canary(row, "splice", "s"), Canary(row, "splice", "s"), Canary(row, "wrong_answer", "t"), Canary(row, "good", "s", good=True)]
    canaries += [Canary(row, "wrong_answer", "u", gated=False), Canary(row, "wrong_answer", "u", gated=False)]
    told = [
        Told([("s", "a", True), ("s", "b", False)], "s"),
        Told([("s", "a", True), ("s", "b", True)]),
        Told([("s", "a", False)], "s"),
        Told([("s", "a", False), ("s", "b", True)], "s"),
        Told([("u", "math", False)]),
        Told([("u", "math", True)]),
    ]
    found = counted(canaries, told)
    assert (found["escapes"]["found"], found["escapes"]["of"]) == (1, 3) and (found["false_drops"]["found"], found["false_drops"]["of"]) == (1, 1)
    assert found["operators"]["s.b"]["caught"]["found"] == 1 and found["operators"]["s.a"]["false_drops"]["found"] == 1
    step = found["steps"]["s"]
    assert (step["escapes"]["found"], step["escapes"]["of"], step["false_drops"]["of"]) == (1, 2, 1) and list(step["kinds"]) == ["splice"]
    assert "t" not in found["steps"]  # what was planted for it never came to it
    assert (found["steps"]["u"]["escapes"]["found"], found["steps"]["u"]["escapes"]["of"]) == (1, 2)  # a check without a gate, by its verdicts


@pytest.mark.parametrize(
    ("good", "told", "kind"),
    [
        ("gsm9k", "no ready-made set of that name; did you mean 'gsm8k'", SpecError),
        ("own=none.jsonl:text", "no such file", SeedError),
        ("own=empty.jsonl:text", "there is no row in it", SeedError),
        ('"seeds:txt"', "no field 'txt'; did you mean 'text'", SpecError),
        ('"seeds:text"', "the step good judges that field", SpecError),
    ],
)
def test_a_set_that_is_not_there_is_told_with_its_line(tmp_path: Path, good: str, told: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=re.escape(told)) as caught:
        built(tmp_path / "a", f"{{good: [{good}]}}")
    assert re.search(r"s\.yaml:\d+", str(caught.value))


def test_damage_leaves_most_words_and_shows() -> None:
    one, two, rng = text(1), text(2), random.Random(0)
    assert sorted(shuffle(one, two, "", rng).split()) == sorted(one.split()) and shuffle("One. Two.", two, "", rng) == ""
    joined = splice(one, two, "", rng)
    assert joined.split()[:5] == one.split()[:5] and joined.split()[-5:] == two.split()[-5:] and splice(one, one, "", rng) == ""
    assert "Ã©" in mojibake(one, two, "", rng)


def test_an_operators_own_examples_are_not_what_it_is_measured_with() -> None:
    """One of the simulator's refusals is shown as an example by the operator that looks for them: it is drawn by nobody."""
    rng, shown = random.Random(0), [each for each in (*Refusal.keeps, *Refusal.drops) if isinstance(each, str)]
    damage = unlike(shown, lambda text, other, prompt, rng: rng.choice(REFUSALS))
    drawn = {damage(text(1), "", "", rng) for _ in range(200)}
    assert drawn == set(REFUSALS) - set(shown) and len(drawn) < len(REFUSALS)
    assert unlike(REFUSALS, lambda *_: REFUSALS[0])(text(1), "", "", rng) == ""


def test_the_interval_is_wilsons() -> None:
    """Against values of R's prop.test(correct = FALSE)."""
    assert wilson(0, 100) == pytest.approx((0.0, 0.03699351), abs=1e-6)
    assert wilson(10, 100) == pytest.approx((0.05522914, 0.17436566), abs=1e-6)
    assert wilson(0, 0) == (0.0, 1.0)
