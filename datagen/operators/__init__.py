"""Operators judge rows: one row in, one finding out; this is their shelf."""

from __future__ import annotations

from datagen.shelf import Shelf

OPERATORS = Shelf(
    "operator",
    {
        "arithmetic": "datagen.operators.claims.arithmetic:Arithmetic",
        "code": "datagen.operators.claims.code:Code",
        "confidence": "datagen.operators.claims.confidence:Confidence",
        "datatrove": "datagen.operators.datatrove:Datatrove",
        "language": "datagen.operators.language:Language",
        "length": "datagen.operators.shape:Length",
        "math": "datagen.operators.claims.math:Math",
        "meta_talk": "datagen.operators.chat:MetaTalk",
        "mojibake": "datagen.operators.damage:Mojibake",
        "pii": "datagen.operators.pii:Pii",
        "prompt_echo": "datagen.operators.chat:PromptEcho",
        "refusal": "datagen.operators.chat:Refusal",
        "repetition": "datagen.operators.damage:Repetition",
        "schema": "datagen.operators.claims.schema:Schema",
        "score": "datagen.operators.shape:Score",
        "tool_calls": "datagen.operators.claims.tools:ToolCalls",
        "truncation": "datagen.operators.damage:Truncation",
    },
)
"""Name in a recipe -> where the operator lives. A plugin adds to it by the entry-point group `datagen.operators`."""
