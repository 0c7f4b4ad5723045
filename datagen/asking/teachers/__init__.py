"""Who can be asked: one adapter per wire protocol, over the provider's official SDK."""

from __future__ import annotations

from datagen.shelf import Shelf

TEACHERS = Shelf(
    "teacher",
    {
        "anthropic": "datagen.asking.teachers.anthropic:AnthropicTeacher",
        "openai": "datagen.asking.teachers.openai:OpenAITeacher",
    },
)
"""Every class is constructed as Class(endpoint)."""
