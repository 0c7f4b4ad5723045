"""The teacher that embeds, against documented bodies and the simulator: a vector as text, what is no vector, and what it may cost."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import struct
from pathlib import Path
from typing import Any

import openai.types
import pytest
from one_teacher import ask, endpoint, teacher_of
from wire_server import Reply, encoded, error

from datagen.asking.ask import need_of, spent
from datagen.asking.prices import input_bound, price_of
from datagen.asking.vectors import numbers_of, packed
from datagen.errors import TeacherFault
from datagen.records import Outcome, Request, Response, Spend, Usage
from datagen.rehearsal.companion import companion
from datagen.rehearsal.settings import Settings

ASKED = Request("embeddings", "", "embed-1", (("user", "Ducks lay 16 eggs."),), {"dimensions": 4})
VECTOR = [0.5, -0.25, 0.125, 1.0]


def said(embedding: Any, **more: Any) -> dict[str, Any]:
    body = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": embedding}], "model": "embed-1-2026"}
    return body | {"usage": {"prompt_tokens": 7, "total_tokens": 7}} | more


def text(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


@pytest.mark.parametrize("embedding", [text(VECTOR), VECTOR], ids=["base64", "a list, from a server that knows no other form"])
def test_a_vector_is_an_answer(embedding: Any) -> None:
    openai.types.CreateEmbeddingResponse.model_validate(said(VECTOR), strict=True)
    result, seen = ask("embeddings", Reply(encoded(said(embedding)), headers={"x-request-id": "req_7"}), ASKED)
    assert isinstance(result, Response) and seen is not None
    assert (result.outcome, result.text, result.usage, result.model) == (Outcome.ANSWERED, text(VECTOR), Usage(input=7), "embed-1-2026")
    assert list(numbers_of(result.text)) == VECTOR and json.loads(result.raw) == said(embedding)
    assert json.loads(seen.body) == {"model": "embed-1", "input": "Ducks lay 16 eggs.", "encoding_format": "base64", "dimensions": 4}
    assert seen.path.endswith("/embeddings")


@pytest.mark.parametrize(
    ("embedding", "why"),
    [
        (text([0.0, 0.0]), "zeros"),
        (text([1.0, math.nan]), "NaN"),
        ([1.0, math.inf], "NaN or infinity"),
        ([], "no numbers"),
        (text(VECTOR)[:-5], "base64"),
        ("a b", "base64"),
        ([1.0, None], "1 of 2 places"),
        ([1e300], "NaN or infinity"),
        ([1e-60], "zeros"),
        (None, "no vector, but None"),
    ],
)
def test_what_is_no_vector_is_malformed(embedding: Any, why: str) -> None:
    result, _ = ask("embeddings", Reply(json.dumps(said(embedding)).encode()), ASKED)
    assert isinstance(result, Response)
    assert result.outcome is Outcome.MALFORMED and why in result.error and result.text == "" and result.usage.input == 7


@pytest.mark.parametrize("body", [said(text(VECTOR), data=[]), said(text(VECTOR), data=[{}, {}]), {"object": "list"}])
def test_no_vector_at_all_is_a_fault(body: dict[str, Any]) -> None:
    result, _ = ask("embeddings", Reply(encoded(body)), ASKED)
    assert isinstance(result, TeacherFault) and result.kind == "transient"


def test_faults_are_those_of_the_house() -> None:
    result, _ = ask("embeddings", Reply(error("openai", "rate_limit_error"), 429, {"retry-after": "7"}), ASKED)
    assert isinstance(result, TeacherFault) and (result.kind, result.retry_after) == ("rate_limited", 7.0)


def test_the_input_is_reserved_at_its_worst_and_settled_as_billed() -> None:
    price = price_of("embeddings/text-embedding-3-small")
    assert price is not None
    need = need_of(ASKED, price)
    assert need.worst == Spend(20 * input_bound(ASKED), input_bound(ASKED), 1)  # $0.02 a million tokens: 20 nano-dollars each
    response = Response(Outcome.ANSWERED, text(VECTOR), usage=Usage(input=7))
    assert spent(price, ASKED, response, need.worst) == Spend(7 * 20, 7, 1)
    assert spent(price, ASKED, Response(Outcome.ANSWERED, text(VECTOR)), need.worst) == need.worst  # a server that counts nothing
    assert price_of("embeddings/no-such-model") is None


def test_the_dimensions_are_part_of_the_key() -> None:
    keys = {Request("embeddings", "", "m", (("user", "t"),), params).key for params in ({}, {"dimensions": 64}, {"dimensions": 256})}
    assert len(keys) == 3


def test_a_batch_asks_at_the_same_place() -> None:
    teacher = teacher_of(endpoint("embeddings", "http://127.0.0.1:9"))
    line = json.loads(teacher.batches().line(ASKED))
    assert line["url"] == "/v1/embeddings" and line["body"]["input"] == "Ducks lay 16 eggs."
    asyncio.run(teacher.close())


def test_the_simulator_speaks_the_wire(tmp_path: Path) -> None:
    """By the SDK itself; paraphrases lie near each other, other texts do not, and a text's vector is its own."""

    async def vectors(url: str, *texts: str, **more: Any) -> list[list[float]]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
            return [(await client.embeddings.create(model="m", input=each, **more)).data[0].embedding for each in texts]

    with companion(Settings(), tmp_path) as url:
        told = (
            "Ducks lay 16 eggs daily and Janet sells them.",
            "Janet sells the 16 eggs her ducks lay each day.",
            "A train left at noon for the coast.",
        )
        one, two, three = asyncio.run(vectors(url, *told, dimensions=64))
        assert [one] == asyncio.run(vectors(url, told[0], dimensions=64, encoding_format="float"))
        cosine = lambda left, right: sum(a * b for a, b in zip(left, right, strict=True))  # noqa: E731, they have length 1
        assert len(one) == 64 and cosine(one, one) == pytest.approx(1, abs=1e-6)
        assert cosine(one, two) > 0.6 > 0.3 > cosine(one, three)
        with pytest.raises(openai.BadRequestError, match="input"):
            asyncio.run(vectors(url, ""))
        with pytest.raises(openai.BadRequestError, match="dimensions"):
            asyncio.run(vectors(url, "a", dimensions=0))


def test_packing_keeps_every_number() -> None:
    assert packed(VECTOR) == text(VECTOR) and list(numbers_of(tuple(VECTOR))) == VECTOR
