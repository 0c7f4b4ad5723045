"""OpenAI's embeddings, which every compatible server speaks too: one text in, its vector out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datagen.asking.teachers import wire
from datagen.asking.teachers.adapter import About, Said, known, refuse
from datagen.asking.teachers.openai import OpenAITeacher, usage_of
from datagen.asking.vectors import numbers_of, packed
from datagen.records import Outcome, Request

_NOT_HERE = "a vector is no answer in words"
RESERVED = {
    "model": "it is the teacher's `model`",
    "input": "the step says what is embedded: `ask: {embed: FIELD}`",
    "encoding_format": "vectors come as base64, which is the shortest",
    **dict.fromkeys(("temperature", "top_p", "n", "stop", "seed", "stream", "logprobs", "reasoning_effort", "response_format", "tools"), _NOT_HERE),
}
CHATS = r"^(?!gpt-|chatgpt|o[134](-|$)|claude|gemini-\d|deepseek-)"
"""What a model's name must have nothing of: these are known to chat."""


def refused_params(model: str, params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters that cannot be set here, with what to do instead."""
    return known(RESERVED, params)


class EmbeddingsTeacher(OpenAITeacher):
    """The text of its answer is the vector, in base64 (see `datagen.asking.vectors`). A vector that points nowhere is malformed."""

    about = About(key="OPENAI_API_KEY", refused=refused_params, models=CHATS, only="models that embed", embeds=True)
    path = "/embeddings"

    def body(self, request: Request) -> dict[str, Any]:
        refuse(self.about.refused, request)
        text = "\n".join(text for _, text in request.messages)
        return {"model": request.model, "input": text, "encoding_format": "base64", **request.params}

    def _said(self, payload: Mapping[str, Any]) -> Said | None:
        found = wire.parts(payload.get("data"))
        if len(found) != 1 or "embedding" not in found[0]:
            return None
        try:
            text = packed(numbers_of(found[0]["embedding"]))
            numbers_of(text)  # of numbers too small for 32 bits nothing is left
        except ValueError as error:
            return Said(Outcome.MALFORMED, "", "", "", str(error), usage_of(payload))
        return Said(Outcome.ANSWERED, text, "", "", "", usage_of(payload))
