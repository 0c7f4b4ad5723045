"""Set-wise steps over a growing set: what is decided from measures and a few texts is what all texts together would decide."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from teaching import made

from datagen.build import Options, build
from datagen.plan.model import Plan
from datagen.plan.resolve import resolve
from datagen.records import Row
from datagen.spec.load import load_spec
from datagen.steps import cohort as cohorts
from datagen.steps import part as parts
from datagen.steps.closing import close
from datagen.steps.cohort import Cohort, cohort_of
from datagen.steps.part import Unit, manifest_path, measures_path
from datagen.steps.sets.base import set_step
from datagen.steps.sets.copies import related as relating
from datagen.steps.sets.copies import similarity, ties
from datagen.steps.sets.copies.related import related
from datagen.steps.sets.copies.similarity import signatures
from datagen.steps.sets.copies.ties import Ties, duplicates
from datagen.storage import read_array, read_json, read_rows, read_table, row_record, sealed, seed_line, write_array, write_json, write_rows

VOCABULARY = ["".join(letters) for letters in itertools.product("bdfgklmn", "aeiou", "rst", "ae")]
"""240 words, none of them a number."""


def alike(rng: random.Random, count: int) -> list[str]:
    """Texts of which most are copies of another: exact, with a word or a fifth of the words replaced, or with another number."""
    texts: list[str] = []
    for _ in range(count):
        if not texts or rng.random() < 0.3:
            texts.append(" ".join(rng.choices(VOCABULARY, k=rng.randint(0, 40))))
            continue
        words = rng.choice(texts).split()
        for _ in range(rng.choice((0, 1, 2, len(words) // 5))):
            if words:
                words[rng.randrange(len(words))] = rng.choice(VOCABULARY)
        texts.append(" ".join(words + rng.choice(([], ["7"], ["8"]))))
    return texts


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(1, 60), st.sampled_from((1, 3, 50)), st.booleans())
def test_the_related_settled_texts_decide_as_all_do(salt: int, before: int, count: int, crowd: int, exact_only: bool) -> None:
    """Also where buckets are so full that they nominate no more, and settled texts resemble one another."""
    rng = random.Random(salt)
    texts = alike(rng, before + count)
    signed = signatures(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ties, "CROWD", crowd)
        patch.setattr(relating, "CROWD", crowd)
        patch.setattr(relating, "_CHUNK", 7)
        all_of_them = duplicates(texts, range(len(texts)), settled=before, exact_only=exact_only)
        cut = rng.randint(0, before)
        few = related([signed[:cut], signed[cut:before]], signed[before:], exact_only).tolist()
        names = [*few, *range(before, len(texts))]
        some = Ties.of(signed[names], len(few), exact_only)
        seen = {names[place] for place in some.involved().tolist()}
        found = some.broken(lambda place: texts[seen_only(seen, names[place])], names, similarity.THRESHOLD, "keep", ())
    assert found == all_of_them
    assert few == sorted(set(few)) and all(number < before for number in few)


def seen_only(seen: set[int], name: int) -> int:
    assert name in seen, "a text was read of which nobody said that it is needed"
    return name


def test_few_of_many_settled_texts_are_looked_at() -> None:
    rng = random.Random(1)
    settled = [" ".join(rng.choices(VOCABULARY, k=40)) for _ in range(3_000)]
    new = [settled[1_234] + " and", settled[77], " ".join(rng.choices(VOCABULARY, k=40))]
    few = related([signatures(settled)], signatures(new)).tolist()
    assert {77, 1_234} <= set(few) and len(few) < 30


# --- the step on disk ---

SPEC = """\
name: closing
seeds: {table: seeds.jsonl}
steps:
  - {name: whole, filter: [{length: {min_words: 0}}]}
  - %s
release: {format: text}
"""
DEDUP = "{name: unique, dedup: {on: text, prefer: rank}}"
MIX = "{name: quota, mix: {by: rank, at_most: {'1': 9, '2': 4}}}"
OPENINGS = "{name: varied, mix: {openings: text, words: 1, at_most: 3%, prefer: rank}}"
LEAKS = "{name: clean, decontaminate: {on: text, against: [leaked.jsonl]}}"


def planned(folder: Path, step: str) -> Plan:
    (folder / "seeds.jsonl").write_text('{"text": "", "rank": 1}\n')
    (folder / "leaked.jsonl").write_text(json.dumps({"question": " ".join(VOCABULARY[:12])}) + "\n")
    (folder / "s.yaml").write_text(SPEC % step)
    return resolve(load_spec(str(folder / "s.yaml"), None), {"text", "rank"}, None, False)


def seeded(rng: random.Random, texts: Sequence[str]) -> list[Row]:
    leaked = " ".join(VOCABULARY[:12])
    rows = [Row.of_seed({"text": f"{text} {leaked}" if rng.random() < 0.1 else text, "rank": rng.randint(1, 3)}) for text in texts]
    return list({row.id: row for row in rows}.values())


def walked(plan: Plan, cohort: Cohort, rows: Sequence[Row], root: Path, measure: bool = True) -> None:
    """The parts of a cohort as workers leave them before the closing step."""
    stretch = plan.stretches[0]
    assert stretch.closing is not None
    for part in cohort.parts:
        mine = sorted((row for row in rows if cohort.part_of(row.seed) == part), key=lambda row: row.id)
        kept, measures = root / stretch.steps[-1].folder / "kept" / f"{part}.parquet", measures_path(root, stretch.closing, part)
        write_rows(kept, map(row_record, mine))
        if measure:
            write_array(measures, set_step(plan, stretch).measure(mine))
        files = sealed(root, [kept, *([measures] if measure else [])])
        write_json(manifest_path(root, plan, Unit(0, part)), {"part": part, "rows": len(mine), "files": files})


def cohort_with(number: int, rows: Sequence[Row]) -> Cohort:
    made = cohort_of(sorted(map(seed_line, rows)))
    return Cohort(number, made.cells, made.sha256, released=False)


def said(plan: Plan, root: Path, every: Sequence[Cohort]) -> dict[str, list[Any]]:
    """All that the step wrote, whatever part it lies in."""
    folder = root / plan.steps[-1].folder
    kinds = {kind: sorted((folder / kind).glob("*.parquet")) for kind in ("kept", "dropped", "verdicts")}
    return {kind: sorted(json.dumps(row, sort_keys=True) for path in paths for row in read_table(path)) for kind, paths in kinds.items()}


def straight(plan: Plan, groups: Sequence[Sequence[Row]]) -> set[str]:
    """Ids kept when every release sees all texts: the plain way to say what is meant."""
    kept: list[Row] = []
    words = plan.steps[-1].spec
    for rows in groups:
        if plan.steps[-1].name == "varied":
            kept += varied(kept, rows)
        elif plan.steps[-1].verb == "mix":
            taken = Counter(row.fields["rank"] for row in kept)
            for row in sorted(rows, key=lambda row: row.id):
                most = {1: 9, 2: 4}.get(row.fields["rank"])
                if most is None or taken[row.fields["rank"]] < most:
                    taken[row.fields["rank"]] += 1
                    kept.append(row)
        elif plan.steps[-1].verb == "decontaminate":
            kept += [row for row in rows if " ".join(VOCABULARY[:12]) not in row.fields["text"]]
        else:
            ordered = [*kept, *sorted(rows, key=lambda row: (-row.fields["rank"], row.id))]
            gone = {found.index for found in duplicates([row.fields["text"] for row in ordered], range(len(ordered)), settled=len(kept))}
            kept = [row for place, row in enumerate(ordered) if place not in gone]
    assert words is not None
    return {row.id for row in kept}


def varied(kept: Sequence[Row], rows: Sequence[Row], share: float = 0.03) -> list[Row]:
    """Of rows that begin with the same word the first in the order of preference, the highest quota that is no more than its share of all."""

    def first(row: Row) -> str:
        return (str(row.fields["text"]).lower().split() or [""])[0]

    for quota in range(len(rows) + len(kept), 0, -1):
        taken, chosen = Counter(map(first, kept)), list[Row]()
        for row in sorted(rows, key=lambda row: (-row.fields["rank"], row.id)):
            if not first(row) or taken[first(row)] < quota:
                taken[first(row)] += 1
                chosen.append(row)
        if quota <= max(1, share * (len(kept) + len(chosen))):
            return chosen
    raise AssertionError("one row always may")


@pytest.mark.parametrize("step", [DEDUP, MIX, OPENINGS, LEAKS], ids=["dedup", "mix", "openings", "decontaminate"])
def test_what_is_kept_is_what_all_texts_together_decide_in_any_order_and_number_of_parts(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(5)
    plan, texts = planned(tmp_path, step), alike(rng, 600)
    groups = [seeded(rng, texts[:300]), seeded(rng, texts[300:420]), seeded(rng, texts[420:])]
    groups = [groups[0], [row for row in groups[1] if row not in groups[0]], [row for row in groups[2] if row not in groups[0] + groups[1]]]
    want, outcomes = straight(plan, groups), []
    for turn, buckets in enumerate((1, 4, 16, 4, 16)):
        monkeypatch.setattr(cohorts, "LEAST_PARTS", buckets)
        monkeypatch.setattr(cohorts, "PART_ROWS", 10_000)
        every, root = [], tmp_path / str(turn)
        for number, rows in enumerate(groups):
            rng.shuffle(rows)
            made = cohort_with(number, rows)
            assert made.buckets == buckets
            walked(plan, made, rows, root, measure=turn != 3)
            manifest = close(plan, plan.stretches[0], made, every, root)
            every.append(Cohort(number, made.cells, made.sha256, released=True))
            assert manifest["made"] and not close(plan, plan.stretches[0], made, every[:number], root)["made"]
        outcomes.append(said(plan, root, every))
    assert {json.loads(record)["id"] for record in outcomes[0]["kept"]} == want
    assert outcomes[0]["dropped"] and len(outcomes[0]["verdicts"]) == sum(map(len, groups))
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_the_order_of_rows_that_a_late_answer_joins_stays(tmp_path: Path) -> None:
    """What a released cohort kept stays, though a newcomer would be preferred; the newcomer is judged against it."""
    plan = planned(tmp_path, DEDUP)
    text = " ".join(VOCABULARY[:30])
    there = [Row.of_seed({"text": text, "rank": 1}), Row.of_seed({"text": "another text", "rank": 1})]
    late = [Row.of_seed({"text": text + " more", "rank": 3}), Row.of_seed({"text": "a third one", "rank": 3})]
    made, root = cohort_with(0, [*there, *late]), tmp_path / "out"
    walked(plan, made, there, root)
    close(plan, plan.stretches[0], made, [], root)
    walked(plan, made, [*there, *late], root)
    manifest = close(plan, plan.stretches[0], Cohort(0, made.cells, made.sha256, released=True), [], root)
    kept = {row.id for path in (root / "02-unique" / "kept").iterdir() for row in read_rows(path)}
    assert kept == {there[0].id, there[1].id, late[1].id}
    assert manifest["counts"]["2"]["in"] == 4 and manifest["counts"]["2"]["dropped"] == {"dedup": {"near_duplicate": 1}}
    verdicts = [record["row"] for path in (root / "02-unique" / "verdicts").iterdir() for record in read_table(path)]
    assert sorted(verdicts) == sorted(row.id for row in (*there, *late))
    assert len(read_array(root / "02-unique" / "settled" / "c0.npy")) == 3


# --- whole builds ---


class Growing:
    """A set that asks nothing, grown release by release."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.texts = list(dict.fromkeys(alike(random.Random(9), 500)))

    def build(self, count: int) -> Any:
        self.folder.mkdir(exist_ok=True)
        lines = (json.dumps({"text": text, "rank": len(text) % 3}) + "\n" for text in self.texts[:count])
        (self.folder / "seeds.jsonl").write_text("".join(lines))
        (self.folder / "s.yaml").write_text(SPEC % DEDUP)
        return build(Options(str(self.folder / "s.yaml"), self.out), lambda _: None)

    def data(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.out / "data").iterdir())}

    def steps(self) -> dict[str, tuple[int, bytes]]:
        """File -> when it was written, and what it holds."""
        paths = sorted((self.out / "steps").glob("[0-9]*/*/*"))
        return {path.relative_to(self.out).as_posix(): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Growing:
    made = Growing(tmp_path_factory.mktemp("grown"))
    made.build(300)
    return made


@pytest.fixture
def growing(tmp_path: Path, grown: Growing) -> Growing:
    shutil.copytree(grown.folder, tmp_path / "again")
    return Growing(tmp_path / "again")


def test_three_releases_and_no_byte_of_an_earlier_one_moves(growing: Growing) -> None:
    """Nor is anything written for rows that are out; and all of steps/ may be made again, and says the same."""
    shards, steps = [growing.data()], growing.steps()
    for number, count in enumerate((380, 440), start=1):
        growing.build(count)
        assert all(before.items() <= growing.data().items() for before in shards)
        shards.append(growing.data())
        written = {name.rsplit("/", 1)[1] for name, file in growing.steps().items() if steps.get(name) != file}
        assert written and all(name.startswith((f"c{number}", f"0-c{number}")) for name in written)
        steps = growing.steps()
    manifest = read_json(growing.out / "manifest.json")
    assert [entry["version"] for entry in manifest["releases"]] == ["1.0", "1.1", "1.2"]
    unique = next(step for step in manifest["steps"] if step["name"] == "unique")
    assert unique["in"] == 440 and unique["kept"] < 400 and unique["dropped"]["dedup"]["near_duplicate"] > 20
    growing.build(440)
    assert growing.steps() == steps
    shutil.rmtree(growing.out / "steps")
    growing.build(440)
    assert growing.data() == shards[-1] and read_json(growing.out / "manifest.json") == manifest


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("00-seeds/sown", "deleted"),
        ("01-whole/kept", "changed"),
        ("01-whole/verdicts", "deleted"),
        ("02-unique/measures", "changed"),
        ("02-unique/kept", "changed"),
        ("02-unique/settled", "deleted"),
        ("02-unique/verdicts", "deleted"),
    ],
)
def test_damage_under_steps_is_made_good_before_it_is_built_upon(growing: Growing, kind: str, how: str) -> None:
    before = {name: data for name, (_, data) in growing.steps().items()}
    victim = sorted((growing.out / "steps" / kind).iterdir())[0]
    if how == "deleted":
        victim.unlink()
    else:
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
    shards = growing.data()
    growing.build(300)
    assert {name: data for name, (_, data) in growing.steps().items()} == before
    assert growing.data() == shards


def test_rows_are_measured_alike_in_another_process(growing: Growing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "HEAVY", 0)
    other = Growing(tmp_path / "other")
    other.build(300)
    assert {name: data for name, (_, data) in other.steps().items()} == {name: data for name, (_, data) in growing.steps().items()}
    assert any("/measures/" in name for name in other.steps())


def test_words_that_did_nothing_are_told_at_the_end(tmp_path: Path) -> None:
    rows = [{"text": f"{word} stands alone here", "n": number % 2} for number, word in enumerate(VOCABULARY[:6])]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    steps = [
        "{name: unique, dedup: {on: text, prefer: text}}",
        "{name: fine, dedup: {on: text, prefer: n}}",
        "{name: quota, mix: {by: n, at_most: {'0': 2, '999': 3}}}",
    ]
    lines = [
        "name: tiny",
        "seeds: {table: rows.jsonl}",
        "steps:",
        *(f"  - {step}" for step in steps),
        "release: {format: text}",
        "guard: {canaries: 0}",
    ]
    (tmp_path / "s.yaml").write_text("\n".join(lines) + "\n")
    assert made(tmp_path / "s.yaml", tmp_path / "out").summary.notes == [
        "unique: prefer `text` is a number for no row, so the lower id stays; of a text, say `FIELD|length`",
        "quota: at_most has a quota for n = '999', which no row has",
    ]
