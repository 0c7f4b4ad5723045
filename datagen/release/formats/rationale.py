"""Question, rationale, answer: how the teacher thinks, beside what it answers."""

from __future__ import annotations

from datagen.release.formats.base import Format


class Rationale(Format):
    """`question`, `rationale`, `answer`."""

    required = ("question", "rationale", "answer")
    reads = "rationale"
    tasks = ("text-generation", "question-answering")
    example = (
        {"question": "What is 2 + 3?", "rationale": "Two and three make five.", "answer": "5"},
        [{"question": "What is 2 + 3?", "rationale": "Two and three make five.", "answer": "5"}],
    )
