"""What the simulated teacher says: pure, true, varied, and wrong only where it was told to be."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rehearsing import AUDIENCES, QUESTIONS, RUBRIC, STYLES, TEXT, TOPICS, asked, bank_of, object_of, of, only_built_in_material, section, solve

from datagen.errors import SetupError, SpecError
from datagen.rehearsal.answers.brief import Brief, Gist
from datagen.rehearsal.answers.judge import fault_in, is_judging
from datagen.rehearsal.server.faults import FAULTS, Latency, fault_of
from datagen.rehearsal.settings import Settings, checked, label
from datagen.seeds.problems import known_question
from datagen.spec.models import Bank

__all__ = ["only_built_in_material"]


def test_an_answer_depends_on_seed_key_and_sample_alone() -> None:
    prompt = solve(QUESTIONS[0][0])
    one = of().answer(asked(prompt, "k1:a"))
    assert of().answer(asked(prompt, "k1:a")).text == one.text
    assert of(faults={"error": 0.5}, latency="3").answer(asked(prompt, "k1:a")).text == one.text
    others = {teacher.answer(asked(prompt, key)).text for teacher, key in ((of(), "k1:b"), (of(seed=1), "k1:a"))}
    others.add(of().answer(asked(prompt, "k1:a", sample=2)).text)
    assert one.text not in others
    assert len(others) == 3


def test_known_problems_are_solved_truly_and_samples_differ() -> None:
    teacher = of()
    for index, (question, answer) in enumerate(QUESTIONS):
        texts = [teacher.answer(asked(solve(question), f"k1:{index}", sample=sample)).text for sample in range(4)]
        assert all(text.splitlines()[-1] == f"The answer is {answer}." for text in texts)
        assert len(set(texts)) >= 3


def test_the_prompt_decides_on_length_and_on_the_form_of_the_answer() -> None:
    question, answer = QUESTIONS[2]
    teacher = of()
    short = teacher.answer(asked(f"Solve this. Be brief.\n{question}", sample=0)).text
    long = teacher.answer(asked(f"Solve this in detail.\n{question}", sample=1)).text
    assert len(short) < len(long)
    assert teacher.answer(asked(f"Put the result into \\boxed{{}}.\n{question}")).text.endswith(f"The answer is $\\boxed{{{answer}}}$.")
    assert teacher.answer(asked(f"End with #### and the result.\n{question}")).text.endswith(f"\n#### {answer}")


def test_reasoning_is_given_only_when_asked_for() -> None:
    question, answer = QUESTIONS[5]
    thought = of().answer(asked(solve(question), thinks=True))
    assert answer in thought.reasoning and question in thought.reasoning
    assert thought.reasoning not in thought.text
    assert of().answer(asked(solve(question))).reasoning == ""
    assert len(of().answer(asked(section(0), thinks=True)).reasoning) > 60


def test_a_bank_answers_with_its_recorded_answers_in_file_order(tmp_path: Path) -> None:
    question = "How many  legs have\nseven spiders on a tree?"
    rows = [{"question": question, "answer": f"recorded {index}"} for index in range(3)] + [{"question": "Why?", "answer": "because"}]
    teacher = of(bank_of(tmp_path, rows))
    prompts = (
        question,
        f"Question: {question}\n\nThink.",
        f"You will see a task. How many legs have seven spiders on a tree? End with a number.",  # noqa: F541
        f"Context first.\n\n{question}",
    )
    for prompt in prompts:
        assert [teacher.answer(asked(prompt, sample=sample)).text for sample in range(4)] == ["recorded 0", "recorded 1", "recorded 2", "recorded 0"]
    assert teacher.answer(asked("Problem: Why?")).text == "because"
    known, answer = QUESTIONS[1]
    assert teacher.answer(asked(solve(known))).text.endswith(f"The answer is {answer}.")


def test_a_bank_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"row 1 of .* has no column 'question'; known: answer, ask"):
        of(bank_of(tmp_path, [{"ask": "a", "answer": "b"}]))
    with pytest.raises(SetupError, match="cannot read"):
        of(bank=Bank(path=str(tmp_path / "missing.parquet")))


def test_textbook_prose_honours_topic_audience_and_style() -> None:
    teacher = of()
    for index in range(40):
        text = teacher.answer(asked(section(index), f"k1:{index}")).text
        assert TOPICS[index % 22].lower() in text.lower()
        assert 150 < len(text.split()) < 900
        assert not re.search(r"[{}|]|  +\S", re.sub(r"\n(?:> )? +", "\n", text)), text
    spoken = teacher.answer(asked("Topic: Ratios\nStyle: dialogue")).text
    assert len(set(re.findall(r"^\*\*(\w+):\*\*", spoken, re.MULTILINE))) == 2


def test_the_examples_in_prose_are_true() -> None:
    teacher = of()
    stated = 0
    for index in range(80):
        text = teacher.answer(asked(section(index), f"k1:t{index}")).text
        for line in re.finditer(r"^The answer is (.+)\.$", text, re.MULTILINE):
            found = known_question(text[: line.start()])
            assert found is not None
            assert found[0].solve(found[1]).answer == line.group(1)
            stated += 1
    assert stated >= 80


def test_a_passage_is_explained_by_its_own_terms() -> None:
    passage = (
        "A glacier is a large body of dense ice that moves under its own weight. Glaciers form where snow falls faster than it melts. "
        "The ice at the bottom of a glacier deforms and slides. In cold valleys the ice carries rocks, and the rocks scratch the bed of the valley. "
        "A moraine is a ridge of rocks that a glacier leaves behind."
    )
    text = of().answer(asked(f"Explain the source in your own words.\nTopic: Glaciers\n\nSource:\n{passage}")).text
    assert "a ridge of rocks that a glacier leaves behind" in text
    assert passage not in text
    assert Gist.of(passage).definitions[0] == ("a glacier", "is", "a large body of dense ice that moves under its own weight")


def test_a_brief_is_read_from_labels_or_from_plain_words() -> None:
    full = Brief.of("Write.\n**Topic:** Linear equations\nAudience: primary school\nStyle: dialogue\nSection: Signs")
    assert (full.topic, full.tone, full.style, full.title) == ("Linear equations", "child", "dialogue", "Signs")
    assert full.topic_within == "linear equations"
    assert Brief.of("Please write a lesson about prime numbers for adults.").topic == "prime numbers"
    assert Brief.of("Topic: Bayes theorem").topic_within == "Bayes theorem"


def test_three_hundred_texts_hardly_share_a_sentence_or_an_opening() -> None:
    teacher = of()
    topics = [f"{first} {second}" for first in ("Everyday", "Modern", "Ancient", "Practical", "Playful") for second in TOPICS]
    texts = []
    for index in range(300):
        prompt = f"Topic: {topics[index % len(topics)]}\nAudience: {AUDIENCES[index % 4]}\nStyle: {STYLES[index % 5]}"
        texts.append(teacher.answer(asked(prompt, f"k1:v{index}")).text)
    pieces = [{piece for piece in re.split(r"(?<=[.!?])\s+(?:\d+\. |\*\*\w+:\*\* |> )?", text) if len(piece.split()) > 2} for text in texts]
    shared = Counter(piece for each in pieces for piece in each if not piece.endswith("?")).most_common(1)[0]
    asked_for = Counter(piece for each in pieces for piece in each if piece.endswith("?")).most_common(1)[0]
    opening = Counter(" ".join(text.split()[:4]) for text in texts).most_common(1)[0]
    assert shared[1] <= 0.02 * len(texts), shared
    assert asked_for[1] <= 0.04 * len(texts), asked_for  # problems of one kind end in like questions
    assert opening[1] <= 0.05 * len(texts), opening


def fields(prompt: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    value = json.loads(of(**more).answer(asked(prompt, schema=schema)).text)
    assert isinstance(value, dict)
    return value


def test_an_outline_keeps_within_its_bounds_and_repeats_nothing() -> None:
    schema = object_of(sections={"type": "array", "items": TEXT, "maxItems": 8, "minItems": 7})
    for seed in range(10):
        sections = fields("Outline a chapter.\nTopic: Fractions", schema, seed=seed)["sections"]
        assert 7 <= len(sections) <= 8
        assert len(set(sections)) == len(sections)
    assert len(fields("Topic: Sets", object_of(sections={"type": "array", "items": TEXT, "maxItems": 1}))["sections"]) == 1


def test_question_answer_and_solution_belong_together() -> None:
    made = fields("Write a new exercise.\nTopic: Probability", object_of(question=TEXT, answer=TEXT, solution=TEXT))
    found = known_question(made["question"])
    assert found is not None
    assert found[0].solve(found[1]).answer == made["answer"]
    assert made["solution"].endswith(f"The answer is {made['answer']}.")
    question, answer = QUESTIONS[7]
    assert fields(solve(question), object_of(rationale=TEXT, answer=TEXT))["answer"] == answer


def test_exercises_of_a_list_are_different_and_each_is_right() -> None:
    schema = object_of(exercises={"type": "array", "items": object_of(question=TEXT, solution=TEXT, answer=TEXT), "minItems": 3, "maxItems": 3})
    exercises = fields(f"Write exercises on the text.\nTopic: Speed\n\n<text>\n{solve(QUESTIONS[0][0])}\n</text>", schema)["exercises"]
    assert len({exercise["question"] for exercise in exercises}) == 3
    for exercise in exercises:
        found = known_question(exercise["question"])
        assert found is not None
        assert found[0].solve(found[1]).answer == exercise["answer"]
        assert exercise["solution"].endswith(f"The answer is {exercise['answer']}.")


@pytest.mark.parametrize("task", ["e-mail", "document and one request to summarise it", "rough text and one request to change it"])
def test_everyday_requests_and_answers_share_their_facts(task: str) -> None:
    schema = object_of(instruction=TEXT, input=TEXT, output=TEXT)
    for seed in range(12):
        made = fields(f"Make up one {task}.\n\nTopic: asking to move an appointment\nStyle: warm", schema, seed=seed)
        given = f"{made['instruction']} {made['input']}"
        facts = set(re.findall(r"\d\d:\d\d|\b\d{3,}\b|[A-Z][a-z]+day", made["output"]))
        assert facts and all(fact in given for fact in facts), made
        assert fault_in(f"<answer>\n{made['output']}\n</answer>") == ("", "")


def test_a_plan_gives_each_section_a_sentence_where_one_is_wanted() -> None:
    schema = object_of(sections={"type": "array", "items": TEXT, "maxItems": 6})
    sections = fields("Plan a chapter.\nTopic: Sets\nEach string is a heading, a full stop, and one sentence.", schema)["sections"]
    assert all(section.count(". ") == 1 and section.endswith(".") for section in sections)
    written = fields(f"Write section 1.\nTopic: Sets\nSection: {sections[0]}", object_of(text=TEXT, summary=TEXT))["text"]
    assert written.startswith(f"## {sections[0].partition('. ')[0]}\n")


def test_text_and_summary_belong_together_and_other_types_fit() -> None:
    level = {"enum": ["easy", "hard"]}
    inner = {"type": "array", "items": object_of(title=TEXT, minutes={"type": "integer", "minimum": 3, "maximum": 9}), "maxItems": 4}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    schema = object_of(text=TEXT, summary=TEXT, level=level, parts=inner, ok={"type": "boolean"}, share=share, none={"type": ["string", "null"]})
    made = fields("Topic: Averages\nStyle: lesson", schema)
    assert len(made["text"].split()) > 150
    assert 8 < len(made["summary"].split()) < 60
    assert made["level"] in level["enum"]
    assert all(set(part) == {"title", "minutes"} and 3 <= part["minutes"] <= 9 for part in made["parts"])
    assert isinstance(made["ok"], bool) and 0 <= made["share"] <= 1 and isinstance(made["none"], str)


def test_references_in_a_schema_are_followed() -> None:
    schema = {**object_of(first={"$ref": "#/$defs/note"}), "$defs": {"note": object_of(text=TEXT)}}
    assert len(fields("Topic: Sleep", schema)["first"]["text"]) > 300


def test_a_schema_in_words_is_obeyed_too() -> None:
    schema = object_of(score={"type": "integer", "minimum": 1, "maximum": 5}, fault=TEXT)
    wanted = f"Answer with one JSON object. It must follow this JSON schema:\n{json.dumps(schema)}"
    prompt = f"Grade this text.\n<text>\n{solve(QUESTIONS[0][0])}\n</text>\n{wanted}"
    assert set(json.loads(of().answer(asked(prompt)).text)) == {"score", "fault"}


def test_what_counts_as_a_judgement() -> None:
    assert is_judging(RUBRIC)
    assert is_judging(object_of(score={"type": "number"}))
    assert not is_judging(object_of(text=TEXT, score={"type": "integer"}))
    assert not is_judging(object_of(sections={"type": "array", "items": TEXT}))


def graded(prompt: str, text: str, identity: str) -> dict[str, Any]:
    user = f"Grade the text from 1 to 5.\n\n{prompt}\n\n<text>\n{text}\n</text>"
    value = json.loads(of().answer(asked(user, identity, schema=RUBRIC)).text)
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("defect", ["wrong_answer", "refusal", "truncation", "pii", "wrong_language", "prompt_echo", "meta_talk", "repetition"])
def test_the_judge_sees_planted_defects(defect: str) -> None:
    teacher = of(defects={defect: 1.0})
    scores = []
    for index, (question, _) in enumerate(QUESTIONS[:40]):
        answer = teacher.answer(asked(solve(question), f"k1:{index}"))
        if answer.planted:
            scores.append(graded(f"Problem: {question}", answer.text, f"k1:j{index}")["score"])
    assert len(scores) >= 36
    assert sum(score <= 2 for score in scores) >= 0.85 * len(scores), scores


def test_the_judge_likes_clean_texts_with_some_noise() -> None:
    teacher = of()
    scores = Counter(graded("", teacher.answer(asked(section(index), f"k1:{index}")).text, f"k1:j{index}")["score"] for index in range(80))
    assert scores[5] + scores[4] == 80
    assert scores[5] > 20 and scores[4] > 10


def test_a_judge_names_the_fault_it_found() -> None:
    question, answer = QUESTIONS[0]
    said = graded(f"Problem: {question}", "It is so.\n\nThe answer is 123456.", "k1:w")
    assert answer in said["fault"] and "123456" in said["fault"]
    assert fault_in("<text>All is well and good, and here it ends.</text>") == ("", "")


def test_a_label_covers_what_shapes_answers_and_nothing_else(tmp_path: Path) -> None:
    base = label(Settings())
    assert re.fullmatch(r"simulator-[0-9a-f]{12}", base)
    assert label(Settings(latency="2", faults={"error": 0.1})) == base
    banked = bank_of(tmp_path, [{"question": "q", "answer": "a"}])
    shaped = {label(Settings(seed=1)), label(Settings(defects={"pii": 0.1})), label(Settings(defects={"pii": 0.2})), label(banked)}
    assert len(shaped | {base}) == 5
    Path(banked.bank.path).write_text('{"question": "q", "answer": "b"}\n') if banked.bank else None
    assert label(banked) not in shaped
    assert label(Settings(defects={"pii": 0.0})) == base


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(defects={"wrong_anser": 0.1}), r"unknown defect 'wrong_anser'; did you mean 'wrong_answer'\? known: leak"),
        (Settings(faults={"explode": 0.1}), r"unknown fault 'explode'; known: drip, error, garbled, hang"),
        (Settings(defects={"pii": 0.7, "leak": 0.6}), "add up to 1.3"),
        (Settings(latency="fast"), "latency is 'fast'; write seconds"),
        (Settings(latency="lognormal:1"), "lognormal:MEDIAN,SIGMA"),
        (Settings(latency="-1"), "latency is '-1'"),
        (Settings(outages=[(9, 2, "error")]), "from second 9 to 2 is no time; write"),
    ],
)
def test_wrong_settings_are_refused_with_what_is_known(settings: Settings, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        checked(settings)


def test_faults_come_in_their_shares_and_give_a_retry_new_luck() -> None:
    shares = {"rate_limited": 0.1, "error": 0.05, "reset": 0.02}
    met = Counter(fault_of(shares, 0, f"k{index}", 1) for index in range(5000))
    assert 420 < met["rate_limited"] < 580 and 190 < met["error"] < 310 and 60 < met["reset"] < 140
    assert {fault_of({"error": 0.5}, 0, "k", attempt) for attempt in range(1, 20)} == {"", "error"}
    assert set(met) <= {*FAULTS, ""}


def test_lognormal_latency_has_its_median() -> None:
    drawn = sorted(Latency("lognormal:0.4,0.5").seconds(0, f"k{index}", 1) for index in range(2001))
    assert 0.36 < drawn[1000] < 0.44 and drawn[-1] > 1.2
    assert Latency("0.2").seconds(0, "k", 1) == 0.2
