"""What the tests of the simulator's server share: its books, a client of each SDK, and questions to put."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import anthropic
import openai

from datagen.seeds.problems import Problems

QUESTIONS = [(row["question"], row["answer"]) for row in Problems(count=78, seed=11).rows()]
HERE = Path(__file__).parent
T = TypeVar("T")


def get(url: str, method: str = "GET") -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as reply:
        body: bytes = reply.read()
    return body


def books(url: str, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    totals, *lines = (json.loads(line) for line in get(f"{url}/{name}").splitlines())
    return totals["totals"], lines


def statement(url: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return books(url, "statement")


def jobs(url: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return books(url, "jobs")


def asking(url: str, work: Callable[[openai.AsyncOpenAI, anthropic.AsyncAnthropic], Awaitable[T]]) -> T:
    """Run `work` with a client of each SDK, closed afterwards."""

    async def run() -> T:
        async with (
            openai.AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0, timeout=20) as one,
            anthropic.AsyncAnthropic(api_key="k", base_url=url, max_retries=0, timeout=20) as two,
        ):
            return await work(one, two)

    return asyncio.run(run())


def prompt(index: int) -> str:
    return f"Solve the problem below.\n\nProblem: {QUESTIONS[index][0]}"


def headers(key: str, sample: int = 0) -> dict[str, str]:
    return {"x-datagen-key": key, "x-datagen-sample": str(sample)}


def said(index: int) -> list[Any]:
    return [{"role": "user", "content": prompt(index)}]
