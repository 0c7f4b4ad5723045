"""Who can be asked: one adapter per wire protocol, over the provider's official SDK."""

from __future__ import annotations

from datagen.shelf import Shelf

TEACHERS = Shelf(
    "teacher",
    {
        "anthropic": "datagen.asking.teachers.anthropic:AnthropicTeacher",
        "azure": "datagen.asking.teachers.openai:AzureTeacher",
        "bedrock": "datagen.asking.teachers.anthropic:BedrockTeacher",
        "embeddings": "datagen.asking.teachers.embeddings:EmbeddingsTeacher",
        "openai": "datagen.asking.teachers.openai:OpenAITeacher",
        "responses": "datagen.asking.teachers.responses:ResponsesTeacher",
        "vertex": "datagen.asking.teachers.anthropic:VertexTeacher",
    },
)
"""Every class is constructed as Class(endpoint); its `about` says what a plan must know of it."""
