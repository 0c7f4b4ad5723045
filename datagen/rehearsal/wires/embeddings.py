"""OpenAI's Embeddings: texts in, vectors out; of the simulator, one text a request."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

from datagen.rehearsal.wires import Answer, Asked, Said, WrongShape
from datagen.rehearsal.wires.reading import named, positive

DIMENSIONS = 256
"""Numbers of a vector where the request does not say."""
MOST_DIMENSIONS = 3072
PARAMETERS = frozenset({"model", "input", "encoding_format", "dimensions", "user"})
FORMATS = ("float", "base64")


def read(request: dict[str, Any], model: str, headers: Mapping[str, str]) -> Asked:
    """The request. Raises WrongShape as the provider would."""
    for name in request:
        if name not in PARAMETERS:
            raise WrongShape(f"Unknown parameter: '{name}'.", param=name)
    given = request.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or len(texts) != 1 or not isinstance(texts[0], str) or not texts[0]:
        raise WrongShape("input: must be one text that is not empty", param="input")
    form = request.get("encoding_format", "float")
    if form not in FORMATS:
        raise WrongShape(f"encoding_format: must be one of {', '.join(FORMATS)}", param="encoding_format")
    size = positive(request.get("dimensions", DIMENSIONS), "dimensions")
    if size > MOST_DIMENSIONS:
        raise WrongShape(f"dimensions: must be {MOST_DIMENSIONS} at most", param="dimensions")
    said = (("user", texts[0]),)
    return Asked("openai", model=model, system="", messages=said, dimensions=size, echo={"form": form}, **named(model, said, headers))


def body(asked: Asked, answer: Answer, said: Said, identifier: str) -> dict[str, Any]:
    """A list of one vector."""
    vector: Any = said.text
    if asked.echo["form"] == "float":
        vector = list(struct.unpack(f"<{asked.dimensions}f", base64.b64decode(said.text)))
    usage = {"prompt_tokens": said.input, "total_tokens": said.input}
    return {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": vector}], "model": asked.model, "usage": usage}
