"""What ships: every pipeline resolves and builds, every prompt reads well, every list is clean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datagen.build import Options, build
from datagen.plan.files import read_prompt
from datagen.plan.model import Plan, Sown
from datagen.plan.resolve import Rehearsing, resolve
from datagen.plan.sow import sow
from datagen.rehearsal.answers.brief import Brief
from datagen.rehearsal.defects import DEFECTS
from datagen.spec.library import SHIPPED
from datagen.spec.load import load_spec
from datagen.spec.models import Ask
from datagen.spec.reading import Written
from datagen.spec.templates import Prompt
from datagen.steps.rows.ask import compose

PIPELINES = sorted(path.stem for path in (SHIPPED / "pipelines").glob("*.yaml"))
PROMPTS = sorted(path.relative_to(SHIPPED / "prompts").as_posix().removesuffix(".md.j2") for path in (SHIPPED / "prompts").rglob("*.md.j2"))
LISTS = sorted(path.relative_to(SHIPPED / "prompts").as_posix().removesuffix(".txt") for path in (SHIPPED / "prompts").rglob("*.txt"))
WORN = re.compile(
    r"in this (?:chapter|section|lesson|article|essay)\b|\bdelv(?:e|ing)\b|\blet(?:'|’)?s (?:dive|explore|embark)|\bdive into|\bwelcome to\b|"
    r"\bembark|\bimagine a world|\bas an ai\b|\bfascinating\b|\bunlock|\btapestry|\bjourney through|\bonce upon a time|\bin today's world|"
    r"\bever wondered|\bcertainly!|\bhere is (?:a|your)\b",
    re.IGNORECASE,
)
"""Openings and phrases that make synthetic text alike. A prompt must not quote them, not even to forbid them: what is quoted gets written."""


def plan_of(spec: str, limit: int | None = None) -> tuple[Plan, Sown]:
    """A plan for the simulated teacher, with nobody listening."""
    loaded = load_spec(spec)
    sown = sow(loaded, limit)
    return resolve(loaded, set(sown.fields), Rehearsing("http://127.0.0.1:9", "nobody"), True), sown


def text_of(name: str) -> str:
    return (SHIPPED / "prompts" / name).read_text(encoding="utf-8")


def entries(name: str) -> list[str]:
    return [line for line in text_of(f"{name}.txt").splitlines() if line and not line.startswith("#")]


def prompt_of(name: str) -> Prompt:
    return read_prompt(name, SHIPPED / "prompts" / f"{name}.md.j2")


@pytest.mark.parametrize("name", PIPELINES)
def test_pipeline_resolves_as_it_ships(name: str) -> None:
    plan, sown = plan_of(f"{name}.yaml")
    assert plan.name == name
    assert plan.spec.about
    assert plan.spec.release.licence
    assert len(list(sown.rows())) == sown.read == (plan.spec.seeds.take or sown.read) >= 60
    assert set(plan.spec.rehearsal.defects) <= set(DEFECTS)


def test_textbook_rehearses_every_defect() -> None:
    plan, _ = plan_of("textbook.yaml", 1)
    assert set(plan.spec.rehearsal.defects) == set(DEFECTS)


@pytest.mark.parametrize("name", PIPELINES)
def test_judges_name_the_fault_before_the_score(name: str) -> None:
    plan, _ = plan_of(f"{name}.yaml", 1)
    judged = [step.spec for step in plan.steps if isinstance(step.spec, Ask) and step.spec.ask.startswith("judge/")]
    writers = {step.spec.of for step in plan.steps if isinstance(step.spec, Ask)} - {spec.of for spec in judged}
    for spec in judged:
        assert list(spec.returns or {}) == ["fault", "score"]
        families = {plan.chairs[writer].spec.model.partition("/")[0] for writer in writers}
        assert plan.chairs[spec.of].spec.model.partition("/")[0] not in families, "a judge of the writer's own family"


@pytest.mark.parametrize("name", PIPELINES)
def test_build_of_a_few_rows_completes(name: str, tmp_path: Path) -> None:
    summary = build(Options(f"{name}.yaml", tmp_path / "out", limit=8, teacher="simulator"), lambda _: None)
    assert summary.simulated
    assert summary.asked >= 8
    assert summary.rows > 0
    assert list((tmp_path / "out" / "data").glob("*.parquet"))


@pytest.mark.parametrize("name", PROMPTS)
def test_prompt_is_sound(name: str) -> None:
    prompt = prompt_of(name)
    assert prompt.about.endswith(".")
    assert len(prompt.about.split()) < 30
    assert prompt.system, "the rules stand in the system text"
    assert not WORN.search(text_of(f"{name}.md.j2"))


@pytest.mark.parametrize("name", PROMPTS)
def test_prompt_is_documented_with_its_fields(name: str) -> None:
    row = next((line for line in text_of("README.md").splitlines() if line.startswith("|") and name in line), "")
    assert row, f"prompts/README.md has no line on {name}"
    assert prompt_of(name).variables() - {"pick", "item", "position", "previous"} <= set(re.findall(r"\w+", row))


def test_prompts_of_pipelines_ship() -> None:
    used = {step.spec.ask for name in PIPELINES for step in plan_of(f"{name}.yaml", 1)[0].steps if isinstance(step.spec, Ask)}
    assert used <= set(PROMPTS)
    assert set(PROMPTS) - used <= {"textbook/passage", "judge/grounded"}, "used by the example of pipelines/README.md alone"


@pytest.mark.parametrize("name", PIPELINES)
def test_rendered_prompts_read_well(name: str) -> None:
    plan, sown = plan_of(f"{name}.yaml", 12)
    first = next(step for step in plan.steps if isinstance(step.spec, Ask))
    for row in sown.rows():
        for index in range(3):
            request, drawn = compose(first, row.child("x", index, {"sample": index}), plan)
            for _, text in request.messages:
                assert not re.search(r"\n{3,}|(?<=\S) {2,}|[ \t]\n|\bNone\b|\{\{|\{%|\.\.(?!\.)(?<!\.\.\.)", text), text
            assert all(str(value) in request.messages[-1][1] for key, value in drawn.items() if key not in ("style", "opening")), drawn


def test_a_section_goes_on_from_the_one_before() -> None:
    given = {"topic": "remainders", "audience": "a student", "style": "lesson", "persona": "a baker", "length": "300 words", "opening": "with a bet"}
    plan = ["Sharing buns. One.", "What is left. Two."]
    section = prompt_of("textbook/section")
    first = section.messages({**given, "sections": plan, "item": plan[0], "position": 0, "previous": None})[-1][1]
    previous = {"text": "The buns were shared. Two were left.", "summary": "remainder is defined"}
    second = section.messages({**given, "sections": plan, "item": plan[1], "position": 1, "previous": previous})[-1][1]
    assert "Begin with a bet." in first
    assert "remainder is defined" in second
    assert "Two were left." in second
    assert "2. What is left. Two. (this one)" in second
    assert "The chapter ends with it" in second
    assert "The chapter ends with it" not in first
    assert not re.search(r"\n{3,}|None", first + second)


def test_all_sections_of_a_chapter_have_one_voice() -> None:
    outline, _, section = plan_of("book.yaml", 1)[0].steps[:3]
    assert set(outline.lists) == {"persona"}
    assert set(section.lists) == {"opening", "length"}, "what is drawn at the section differs from section to section"


def test_the_simulated_teacher_finds_the_brief() -> None:
    plan, sown = plan_of("textbook.yaml", 20)
    for row in sown.rows():
        brief = Brief.of(compose(plan.steps[0], row, plan)[0].messages[-1][1])
        assert brief.topic == str(row.fields["topic"]).strip("\"'.")
        assert (brief.audience, brief.style) == (row.fields["audience"], row.fields["style"])


@pytest.mark.parametrize("name", LISTS)
def test_list_is_clean(name: str) -> None:
    listed = entries(name)
    assert len(listed) >= 30
    assert len({entry.casefold() for entry in listed}) == len(listed)
    assert all(entry == entry.strip() and len(entry) <= 90 and not entry.endswith(".") for entry in listed)
    assert not [entry for entry in listed if WORN.search(entry)]
    assert text_of(f"{name}.txt").startswith("# "), "the first line says what the list is"


def test_topics_are_many_and_none_stands_in_two_lists() -> None:
    subjects = ["mathematics", "physics", "chemistry", "biology", "computer-science", "economics", "history", "everyday-life"]
    topics = [topic.casefold() for subject in subjects for topic in entries(f"topics/{subject}")]
    assert all(60 <= len(entries(f"topics/{subject}")) <= 120 for subject in subjects)
    assert len(set(topics)) == len(topics)
    assert min(len(topic.split()) for topic in topics) >= 3, "a topic is an idea, not a heading"


def test_content_holds_no_python() -> None:
    assert not [path for folder in ("prompts", "filters", "pipelines") for path in (SHIPPED / folder).rglob("*.py")]


def test_example_of_the_pipelines_readme(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    passage = "The sea rises and falls twice a day because the Moon pulls on it. " * 8
    (tmp_path / "documents" / "tides.md").write_text(f"# Tides\n\n{passage}", encoding="utf-8")
    spec = re.search(r"```yaml\n(.*?)```", (SHIPPED / "pipelines" / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert spec
    (tmp_path / "passages.yaml").write_text(spec[1], encoding="utf-8")
    plan, sown = plan_of(str(tmp_path / "passages.yaml"))
    assert "The sea rises" in compose(plan.steps[0], next(sown.rows()), plan)[0].messages[-1][1]


def test_example_of_the_prompts_readme() -> None:
    example = re.search(r"```jinja\n(.*?)```", text_of("README.md"), re.DOTALL)
    assert example
    prompt = Prompt.read("my/note", Written(Path("note.md.j2"), None, {}, example[1]))
    assert prompt.about
    assert prompt.variables() == {"topic", "audience", "pick"}
