"""`datagen init`: a folder with a spec, a prompt and a recipe of one's own, small enough to read in a minute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from datagen.errors import OutputError

SPEC = """\
# questions -> answers, two each -> the better one -> shards
# rehearse for nothing:  datagen build --spec {name}.yaml --out out/{name} --teacher simulator
# see the prompts:       datagen preview --spec {name}.yaml --teacher simulator
# what it would cost:    datagen plan --spec {name}.yaml
name: {name}
seeds: {{table: seeds.jsonl}}
vary:
  tone: [plain, warm, precise]
teachers:
  writer: {{model: openai/gpt-5.6, max_tokens: 800}}
  # a server of your own: {{model: openai/qwen3, base_url: http://127.0.0.1:8000/v1, label: qwen3, unpriced: true, max_tokens: 800}}
steps:
  - {{name: answer, ask: answer, of: writer, samples: 2}}
  - {{name: sound, filter: clean, on: answer}}
  - {{name: best, select: {{keep: 1}}}}
  - {{name: unique, dedup: {{on: [question, answer]}}}}
release:
  format: instruction
  columns: {{instruction: question, output: answer}}
  budget: {{usd: 5}}
"""
PROMPT = """\
---
about: A short answer for a curious reader.
system: You answer questions correctly, for a reader who wants to understand.
---
Answer in two or three short paragraphs, in a {{ tone }} tone. Give one concrete example.

Question: {{ question }}
"""
RECIPE = """\
# what a good answer looks like
- length: {min_words: 30, max_words: 600}
- repetition: {}
- refusal: {}
- truncation: {}
- meta_talk: {}
"""
SEEDS = """\
{"question": "Why does ice float on water?"}
{"question": "Why do we put salt into the water when cooking pasta?"}
{"question": "What does a compiler do?"}
{"question": "Why is the sum of two odd numbers even?"}
{"question": "How does a thermostat keep a room warm?"}
"""


def start(folder: Path) -> Iterator[str]:
    """Write the files; yields what was written and what to type next. Raises OutputError where a file would be overwritten."""
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in folder.resolve().name.lower()).strip("-") or "mine"
    name = name if name[0].isalpha() else f"set-{name}"
    files = {
        f"{name}.yaml": SPEC.format(name=name),
        "prompts/answer.md.j2": PROMPT,
        "filters/clean.yaml": RECIPE,
        "seeds.jsonl": SEEDS,
    }
    taken = [path for path in files if (folder / path).exists()]
    if taken:
        raise OutputError(f"{folder / taken[0]} is there already; give a new folder")
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
        yield f"wrote {folder / path}"
    yield f"next: datagen build --spec {quote(str(folder / f'{name}.yaml'))} --out {quote(str(folder / 'out'))} --teacher simulator"
