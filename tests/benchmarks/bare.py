"""The yardstick: a bare SDK loop, `client.post` on the aiohttp transport, answers to a JSONL file; no ledger, no rows, no shards."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import openai


async def main(base_url: str, seeds: Path, concurrency: int, out: Path) -> None:
    client = openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, http_client=openai.DefaultAioHttpClient())
    prompts = iter([json.loads(line)["prompt"] for line in seeds.read_text().splitlines()])
    with out.open("w") as file:

        async def worker() -> None:
            for prompt in prompts:
                body = {"model": "gpt-4o-mini", "max_tokens": 800, "messages": [{"role": "user", "content": prompt}]}
                answer = await client.post("/chat/completions", body=body, cast_to=object)
                file.write(json.dumps({"prompt": prompt, "text": answer["choices"][0]["message"]["content"]}) + "\n")

        await asyncio.gather(*(worker() for _ in range(concurrency)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
