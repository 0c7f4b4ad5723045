"""A teacher of the test's own on loopback, beside a build in this process; and what the build left, as plain data."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wire_server import Reply, Seen, WireServer, chat, encoded

from datagen.build import Options, Summary, build
from datagen.storage import read_json, read_table

Script = Callable[[str], "str | dict[str, Any] | Reply"]


@dataclass
class Taught:
    """Where the teacher listens, and the last message of every request it saw."""

    url: str
    prompts: list[str] = field(default_factory=list)


@contextmanager
def teacher(script: Script) -> Iterator[Taught]:
    """`script` is given the last message and gives a text, an object (as JSON), or a raw reply."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    taught = Taught("")

    def reply(seen: Seen) -> Reply:
        prompt = json.loads(seen.body)["messages"][-1]["content"]
        taught.prompts.append(prompt)
        said = script(prompt)
        if isinstance(said, Reply):
            return said
        return Reply(encoded(chat({"content": said if isinstance(said, str) else json.dumps(said)})))

    server = WireServer(reply)
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    taught.url = f"{server.url}/v1"
    try:
        yield taught
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def project(folder: Path, steps: str, prompts: Mapping[str, str], seeds: str, more: str = "", url: str = "http://127.0.0.1:9/v1") -> Path:
    """A spec named s.yaml with its prompts beside it, asking at `url`."""
    for name, text in prompts.items():
        path = folder / "prompts" / "t" / f"{name}.md.j2"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    spec = folder / "s.yaml"
    teachers = f"{{w: {{model: openai/own, base_url: '{url}', label: test, max_tokens: 100, price: {{input: 1, output: 10}}, attempts: 2}}}}"
    spec.write_text(
        f"name: tiny\nseeds: {seeds}\nteachers: {teachers}\nsteps:\n{steps}\n{more or 'release: {format: text, columns: {text: topic}}'}\n"
    )
    return spec


@dataclass(frozen=True)
class Made:
    """What a build left."""

    out: Path
    summary: Summary

    def step(self, name: str) -> Path:
        (folder,) = (self.out / "steps").glob(f"*-{name}")
        return folder

    def records(self, name: str, kind: str) -> list[dict[str, Any]]:
        found = [record for path in sorted((self.step(name) / kind).glob("*.parquet")) for record in read_table(path)]
        return [record | {"fields": json.loads(record["fields"])} if "fields" in record else record for record in found]

    def fields(self, name: str, kind: str = "kept") -> list[dict[str, Any]]:
        return [record["fields"] for record in self.records(name, kind)]

    def counts(self, name: str) -> dict[str, Any]:
        return dict(read_json(self.step(name) / "manifest.json"))

    def check_accounts(self) -> None:
        """in = kept + dropped + unanswered at every step, what one step keeps is what the next one gets, and the files say the same."""
        manifests = sorted((read_json(path) for path in (self.out / "steps").glob("*/manifest.json")), key=lambda each: each["number"])
        for manifest in manifests:
            dropped = sum(sum(reasons.values()) for reasons in manifest["dropped"].values())
            unanswered = sum(manifest["unanswered"].values())
            assert manifest["in"] == manifest["kept"] + dropped + unanswered, manifest
            assert dropped == len(self.records(manifest["name"], "dropped")), manifest["name"]
            assert unanswered == len(self.records(manifest["name"], "unanswered")), manifest["name"]
        for before, after in itertools.pairwise(manifests):
            assert before["kept"] == after["from"], (before["name"], after["name"])


def made(spec: Path, out: Path, **options: Any) -> Made:
    """Build in this process."""
    return Made(out, build(Options(str(spec), out, **options), lambda _: None))
