"""Operators judge rows: one row in, one finding out; this is their shelf."""

from __future__ import annotations

from datagen.shelf import Shelf

OPERATORS = Shelf(
    "operator",
    {
        "answer_leak": "datagen.operators.meaning.leak:AnswerLeak",
        "arithmetic": "datagen.operators.claims.arithmetic:Arithmetic",
        "code": "datagen.operators.claims.code:Code",
        "confidence": "datagen.operators.claims.confidence:Confidence",
        "datatrove": "datagen.operators.datatrove:Datatrove",
        "grounding": "datagen.operators.meaning.grounding:Grounding",
        "language": "datagen.operators.language:Language",
        "layout": "datagen.operators.damage.layout:Layout",
        "length": "datagen.operators.shape:Length",
        "math": "datagen.operators.claims.math:Math",
        "meta_talk": "datagen.operators.chat:MetaTalk",
        "mojibake": "datagen.operators.damage.noise:Mojibake",
        "ocr_noise": "datagen.operators.damage.noise:OcrNoise",
        "pii": "datagen.operators.personal.pii:Pii",
        "program": "datagen.operators.damage.program:Program",
        "prompt_echo": "datagen.operators.chat:PromptEcho",
        "reading_level": "datagen.operators.meaning.reading:ReadingLevel",
        "refusal": "datagen.operators.chat:Refusal",
        "repetition": "datagen.operators.damage.repetition:Repetition",
        "schema": "datagen.operators.claims.schema:Schema",
        "score": "datagen.operators.shape:Score",
        "splice": "datagen.operators.damage.splice:Splice",
        "step_order": "datagen.operators.damage.order:StepOrder",
        "tool_calls": "datagen.operators.claims.tools:ToolCalls",
        "toxicity": "datagen.operators.meaning.toxicity:Toxicity",
        "truncation": "datagen.operators.damage.truncation:Truncation",
    },
)
"""Name in a recipe -> where the operator lives. A plugin adds to it by the entry-point group `datagen.operators`."""
