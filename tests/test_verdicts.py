"""Every row that an operator, a check, a choice or a set-wise step looked at has a verdict, and every drop has one with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from teaching import Made, made, project, teacher

from datagen.operators.recipe import Recipe
from datagen.release.catalogue import query
from datagen.release.tables import VERDICT_COLUMNS
from datagen.steps.rows.judge import judge, named

SEEDS = """\
{"text": "A stone falls and gathers speed until the air holds it back as much as its weight pulls."}
{"text": "As an AI language model, I cannot weigh stones, but a stone falls as fast as the air lets it."}
{"text": "Too short."}
{"text": "A river carries sand to the sea, and the sea grinds the sand until it is fine."}
"""
STEPS = """\
  - {name: good, filter: [{length: {min_words: 5}}, {meta_talk: {}}, {length: {max_words: 400}}]}
  - {name: unique, dedup: {on: text}}"""
MORE = "release: {format: text, columns: {text: text}}"


def seeded(folder: Path, steps: str = STEPS, seeds: str = SEEDS) -> Path:
    (folder / "seeds.jsonl").write_text(seeds)
    return project(folder, steps, {}, "{table: seeds.jsonl}", MORE)


def faults(found: Made) -> set[tuple[Any, ...]]:
    verdicts = [each for step in ("good", "unique") for each in found.records(step, "verdicts")]
    return {(each["row"], each["step"], each["operator"], each["reason"]) for each in verdicts if not each["keep"]}


def test_every_drop_has_its_verdict_and_the_table_says_where_the_evidence_stands(tmp_path: Path) -> None:
    found = made(seeded(tmp_path), tmp_path / "out")
    drops = {(each["id"], "good", each["operator"], each["reason"]) for each in found.records("good", "dropped")}
    assert len(drops) == 2 and drops <= faults(found)
    columns, rows = query(tmp_path / "out", "SELECT * FROM verdicts WHERE operator = 'meta_talk' AND NOT keep")
    assert set(columns) == set(VERDICT_COLUMNS)
    verdict = dict(zip(columns, rows[0], strict=True))
    text = next(row["text"] for row in found.fields("good", "dropped") if "language model" in row["text"])
    assert verdict["field"] == "text" and text[verdict["span_start"] : verdict["span_end"]].lower() == verdict["evidence"].lower()
    _, counts = query(tmp_path / "out", "SELECT operator, count(*) FROM verdicts GROUP BY ALL ORDER BY ALL")
    assert dict(counts) == {"dedup": 2, "length": 4, "length_2": 4, "meta_talk": 4}


def test_operators_of_one_name_are_told_apart() -> None:
    recipe = Recipe.build([{"length": {"min_words": 1}}, {"length": {"min_words": 1, "max_words": 3}}], lambda _: "here")
    assert [name for name, _ in named(recipe)] == ["length", "length_2"]
    said = judge(recipe, {"text": "one two three four"})
    assert [(each.operator, each.finding.keep, each.span) for each in said] == [("length", True, None), ("length_2", False, None)]


@pytest.mark.parametrize(
    ("operator", "text", "words"),
    [
        ({"refusal": {}}, "Well.\n\nI'm sorry, but I can't help with that request.", "I can't help with"),
        ({"meta_talk": {}}, " Plants need light. As an AI language model, I do not grow.\n\nI hope this helps!", "As an AI language model, I"),
        ({"prompt_echo": {}}, "## Water\nTopic: fractions\nAudience: children\n\nA part.", "Audience:"),
        (
            {"prompt_echo": {"known": ["Say in plain words what a rock is made of."]}},
            "Say, in plain words: what a rock is.",
            "Say, in plain words: what a rock is",
        ),
        ({"repetition": {}}, "We start, then\n" + "We add  salt and\n" * 6, "We add  salt and"),
    ],
)
def test_evidence_that_is_joined_or_counted_has_its_place_in_the_text(operator: dict[str, Any], text: str, words: str) -> None:
    (said,) = judge(Recipe.build([operator], lambda _: "here"), {"text": text})
    assert not said.finding.keep and said.span is not None
    assert words in text[slice(*said.span)]


def test_a_choice_says_who_won_and_who_lost(tmp_path: Path) -> None:
    steps = "  - {name: part, ask: t/part, of: w, samples: 3}\n  - {name: best, select: {best: [sample], keep: 1}}"
    with teacher(lambda prompt: prompt) as taught:
        found = made(project(tmp_path, steps, {"part": "{{ topic }} {{ sample }}"}, "{grid: {topic: [a, b]}}", url=taught.url), tmp_path / "out")
    verdicts = found.records("best", "verdicts")
    assert len(verdicts) == 6 and sum(each["keep"] for each in verdicts) == 2
    assert {each["reason"] for each in verdicts if not each["keep"]} == {"not_selected"}
    assert {each["row"] for each in verdicts if not each["keep"]} == {each["id"] for each in found.records("best", "dropped")}


def test_what_took_too_long_has_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datagen.steps.part.ProcessPool", _late)
    found = made(seeded(tmp_path, "  - {name: good, filter: [{length: {min_words: 1}}]}"), tmp_path / "out")
    verdicts = [each for each in found.records("good", "verdicts") if each["reason"] == "took_too_long"]
    assert len(verdicts) == 4 == len(found.records("good", "dropped")) and {each["operator"] for each in verdicts} == {"filter"}


class _late:
    """A pool in which nothing ends in time."""

    async def call(self, function: Any, tool: Any, argument: Any, deadline: float = 0.0) -> Any:
        return None

    def close(self) -> None:
        """Nothing to end."""


def test_personal_data_is_not_copied_into_its_verdict(tmp_path: Path) -> None:
    seeds = '{"text": "Write to anna.lind@postbox.se or call +46 70 174 06 35 before noon."}\n{"text": "A stone falls."}\n'
    made(seeded(tmp_path, "  - {name: good, filter: [{pii: {}}]}", seeds), tmp_path / "out")
    ((evidence, start, end, text),) = query(
        tmp_path / "out", "SELECT v.evidence, span_start, span_end, d.fields FROM verdicts v JOIN dropped d ON d.id = v.row WHERE v.operator = 'pii'"
    )[1]
    assert evidence.startswith("email at 9-29") and not {"anna", "174"} & set(evidence.replace(".", " ").split())
    assert (start, end) == (9, 29) and '"text"' in text
