"""The second tier of dedup: who says the same in other words goes, twins with other numbers stay, and no order or block changes which."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import math
import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killing import digest_of, recorded_keys, start
from teaching import Made, made
from wire_server import Reply, Seen, WireServer, encoded

from datagen.asking.prices import PER_MESSAGE
from datagen.build import Options, planned
from datagen.curating.recurate import changes, options_of
from datagen.errors import SeedError, SpecError
from datagen.inspect import explain
from datagen.plan.model import Plan, PlannedStep
from datagen.preview import plan_lines
from datagen.records import Row, digest
from datagen.spec.load import load_spec
from datagen.spec.models import Dedup
from datagen.steps.sets.base import Decision, Held
from datagen.steps.sets.copies import meaning
from datagen.steps.sets.dedup import DedupStep
from datagen.storage import read_table

EGGS = "Janet's ducks lay 16 eggs per day and she sells them at the market for 2 dollars each. What does she earn?"
SAID_AGAIN = "Each day the ducks of Janet lay 16 eggs; at the market she sells each for 2 dollars. How much does she earn a day?"
TWIN = SAID_AGAIN.replace("16", "19")
TRAIN = "A train leaves the station at noon and goes 50 km in an hour. How far is it at three?"
SPEC = """\
name: tiny
seeds: {{table: {{path: rows.jsonl}}}}
teachers: {{e: {{model: {model}, {teacher}}}}}
steps:
  - {{name: meaning, ask: {{embed: text}}, of: e}}
  - {{name: unique, dedup: {{on: text, {how}meaning: {{by: meaning, at_least: 0.8}}}}}}
release: {{format: text}}
guard: {{pilot: 0}}
"""


def project(
    folder: Path, rows: Sequence[Any], how: str = "", model: str = "embeddings/text-embedding-3-small", words: str = "params: {dimensions: 64}"
) -> Path:
    seeds = [row if isinstance(row, dict) else {"text": row} for row in rows]
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(seed)}\n" for seed in seeds))
    spec = folder / "s.yaml"
    spec.write_text(SPEC.format(model=model, teacher=words, how=how))
    return spec


@contextmanager
def serving(script: Callable[[Seen], Reply]) -> Iterator[WireServer]:
    """A server beside a build in this process."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = WireServer(script)
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def told(built: Made) -> dict[str, tuple[str, str, float]]:
    """Text -> (operator, reason, score) of what was dropped."""
    return {row["fields"]["text"]: (row["operator"], row["reason"], row["score"]) for row in built.records("unique", "dropped")}


# --- whole builds ---


def test_a_paraphrase_is_dropped_with_its_cause_and_a_second_build_asks_nothing(tmp_path: Path) -> None:
    """Also: a row that joins a release is held against what is out, and the vectors leave in no column."""
    spec, out = project(tmp_path, [EGGS, TRAIN, " "]), tmp_path / "out"
    first = made(spec, out, teacher="simulator")
    assert first.summary.asked == 2  # a blank text is not asked about
    first.check_accounts()
    project(tmp_path, [EGGS, TRAIN, " ", SAID_AGAIN, TWIN])
    grown = made(spec, out, teacher="simulator")
    assert (grown.summary.version, grown.summary.asked, list(told(grown))) == ("1.1", 2, [SAID_AGAIN])
    operator, reason, score = told(grown)[SAID_AGAIN]
    assert (operator, reason) == ("meaning", "meaning_duplicate") and 0.8 <= score < 1
    (dropped,) = grown.records("unique", "dropped")
    (kept,) = [row for row in grown.records("unique", "kept") if row["fields"]["text"] == EGGS]
    assert dropped["evidence"] == f"of {kept['id']}: {EGGS[:120]}"
    verdicts = {row["row"]: row["operator"] for row in grown.records("unique", "verdicts")}
    assert (verdicts[dropped["id"]], verdicts[kept["id"]]) == ("meaning", "dedup")
    released = [row for path in sorted((out / "data").glob("*.parquet")) for row in read_table(path)]
    assert {row["text"] for row in released} == {EGGS, TRAIN, TWIN, " "} and not any("meaning" in row for row in released)
    before = digest_of(out)
    shutil.rmtree(out / "steps")
    assert made(spec, out, teacher="simulator").summary.asked == 0 and digest_of(out) == before
    lines = list(changes(options_of(out, out / "ledger", None, None, ["unique.dedup.meaning.at_least=0.999"])))
    (come,) = [why for line, why in itertools.pairwise(lines) if line.startswith("  in ")]
    assert f"was dropped: unique.meaning: meaning_duplicate, score {score:.4g} (of {kept['id']}: " in come
    assert "a vector" not in "".join(explain(out, dropped["id"]))


def test_vectors_recorded_before_a_kill_are_not_bought_again(tmp_path: Path) -> None:
    spec, out = project(tmp_path, [f"Text number {number} about things." for number in range(24)]), tmp_path / "out"
    spec.write_text(f"{spec.read_text()}rehearsal: {{latency: '0.3'}}\n".replace("dimensions: 64}", "dimensions: 64}, max_in_flight: 4"))
    process = start(spec, out, "--teacher", "simulator")
    while process.poll() is None and len(recorded_keys(out / "ledger")) < 4:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    recorded = len(recorded_keys(out / "ledger"))
    assert 4 <= recorded < 24
    assert made(spec, out, teacher="simulator").summary.asked == 24 - recorded


def test_paid_batches_embed_too(tmp_path: Path) -> None:
    words = "params: {dimensions: 64}, mode: batch, batch: {poll: 0.1, settling: 1}"
    spec = project(tmp_path, [EGGS, TRAIN, SAID_AGAIN], words=words)
    built = made(spec, tmp_path / "out", teacher="simulator")
    assert built.summary.rows == 2 and [each[0] for each in told(built).values()] == ["meaning"]


def test_a_vector_of_another_size_is_malformed_and_its_row_is_left_out(tmp_path: Path) -> None:
    """The server takes no notice of `dimensions`, as older models do."""
    body = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [1.0, 2.0, 3.0]}],
        "model": "m",
        "usage": {"prompt_tokens": 3},
    }
    with serving(lambda seen: Reply(encoded(body))) as server:
        words = f"base_url: '{server.url}/v1', label: own, unpriced: true, params: {{dimensions: 64}}"
        spec = project(tmp_path, [EGGS], model="embeddings/own", words=words)
        spec.write_text(spec.read_text().replace("guard: {pilot: 0}", "guard: {pilot: 0, error_share: 1}"))
        built = made(spec, tmp_path / "out")
        (left,) = built.records("meaning", "unanswered")
        assert (left["outcome"], left["error"]) == ("malformed", "a vector of 3 numbers where 64 were asked for")
        assert len(server.seen) == 1  # it would say the same again
    built.check_accounts()


def test_vectors_that_the_seeds_bring_need_no_teacher(tmp_path: Path) -> None:
    rows = [
        {"text": EGGS, "v": [1, 0, 0]},
        {"text": SAID_AGAIN, "v": [0.99, 0.05, 0]},
        {"text": TRAIN, "v": [0, 1, 0]},
        {"text": "No vector.", "v": None},
    ]
    spec = tmp_path / "s.yaml"
    spec.write_text(
        "name: tiny\nseeds: {table: {path: rows.jsonl}}\n"
        "steps: [{name: unique, dedup: {on: text, meaning: {by: v, dimensions: 3}}}]\nrelease: {format: text, drop: [v]}\n"
    )

    def built(changed: list[dict[str, Any]], out: str) -> Made:
        (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in changed))
        return made(spec, tmp_path / out)

    assert [each[0] for each in told(built(rows, "out")).values()] == ["meaning"]
    for wrong, why in (([1, 0], "2 numbers where `dimensions` says 3"), ([0, 0, 0], "points nowhere"), ([1, "x", 0], "1 of 3 places")):
        with pytest.raises(SeedError, match=why):
            built([*rows, {"text": "Wrong.", "v": wrong}], "wrong")


def test_word_vectors_from_a_file_need_no_teacher_either(tmp_path: Path) -> None:
    words = {"sells": [1, 0, 0.1], "vends": [1, 0, 0], "Ducks": [0, 1, 0], "hens": [0, 0, 1], "eggs": [0.1, 0.1, 0.1]}
    np.savez(tmp_path / "words.npz", words=list(words), vectors=list(words.values()))
    spec = tmp_path / "s.yaml"
    spec.write_text(
        "name: tiny\nseeds: {table: {path: rows.jsonl}}\n"
        "steps: [{name: unique, dedup: {on: text, meaning: {vectors: words.npz}}}]\nrelease: {format: text}\n"
    )
    texts = ["Janet vends 3 ducks", "she sells three ducks today", "she sells 4 ducks", "she sells three hens", "nothing known", "nor here"]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps({'text': text})}\n" for text in texts))
    built = made(spec, tmp_path / "out")
    assert len(told(built)) == 1 and set(told(built)) < set(texts[:2])
    (said,) = json.loads((tmp_path / "out" / "plan.json").read_text())["meanings"]
    assert said["vectors"] == [{"file": "words.npz", "sha256": hashlib.sha256((tmp_path / "words.npz").read_bytes()).hexdigest()}]
    before = plan_of(spec).fingerprint
    np.savez(tmp_path / "words.npz", words=list(words), vectors=[[1, 2, 3]] * 5)
    assert plan_of(spec).fingerprint != before
    for wrong in ({"words": ["a"]}, {"words": ["a"], "vectors": [[1.0], [2.0]]}, {"words": ["a"], "vectors": [[np.nan]]}):
        np.savez(tmp_path / "words.npz", **wrong)
        with pytest.raises(SpecError, match=r"words.npz is no file of word vectors.*`words` \(texts\)"):
            plan_of(spec)
    (tmp_path / "words.npz").write_text("hello")
    with pytest.raises(SpecError, match="no file of word vectors"):
        plan_of(spec)


def plan_of(spec: Path) -> Plan:
    with planned(load_spec(str(spec), None), Options(str(spec), spec.parent / "none")) as (plan, _):
        return plan


# --- what a plan refuses ---


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model: embeddings/text-embedding-3-small": "model: anthropic/claude-sonnet-4-5"}, "chats, and embeds nothing; give it a teacher whose"),
        ({"model: embeddings/text-embedding-3-small": "model: openai/gpt-5-mini"}, "chats, and embeds nothing"),
        ({"model: embeddings/text-embedding-3-small": "model: embeddings/gpt-5-mini"}, "models that embed alone, which 'gpt-5-mini' is not"),
        ({"model: embeddings/text-embedding-3-small": "model: embeddings/unheard-of"}, "no price is known"),
        ({"ask: {embed: text}": "ask: t/say"}, "gives vectors; write `ask: {embed: FIELD}`"),
        ({"ask: {embed: text}": "ask: {embed: tekst}"}, "'tekst'.*did you mean 'text'"),
        ({"of: e}": "of: e, samples: 2}"}, "a text has one vector.*samples"),
        ({"params: {dimensions: 64}": "max_tokens: 9"}, "nobody says how many numbers a vector of 'meaning' has"),
        ({"dimensions: 64}": "dimensions: many}"}, "a whole number of dimensions, such as 256; found 'many'"),
        ({"at_least: 0.8": "dimensions: 9"}, "has 64 numbers, not 9"),
        ({"by: meaning": "by: meening"}, "'meening'.*did you mean 'meaning'"),
        ({"at_least: 0.8": "at_least: 1.5"}, "less than or equal to 1"),
        ({"params: {dimensions: 64}": "temperature: 0.5, params: {dimensions: 64}"}, "a vector is no answer in words"),
        ({"params: {dimensions: 64}": "params: {dimensions: 64, encoding_format: float}"}, "come as base64"),
        ({"params: {dimensions: 64}": "raise_to: 9000, params: {dimensions: 64}"}, "never cut short"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_paid(tmp_path: Path, change: dict[str, str], why: str) -> None:
    spec = project(tmp_path, [EGGS])
    for before, after in change.items():
        assert before in spec.read_text()
        spec.write_text(spec.read_text().replace(before, after))
    with pytest.raises(SpecError, match=why):
        list(plan_lines(str(spec), None, None, None, None, None))


def test_a_plan_prices_the_input_alone_and_a_dedup_without_meaning_is_the_plan_it_was(tmp_path: Path) -> None:
    spec = project(tmp_path, [EGGS, TRAIN])
    text = "\n".join(plan_lines(str(spec), None, None, None, None, None))
    tokens = 2 * (max(len(EGGS), len(TRAIN)) + PER_MESSAGE)
    assert f"at worst $0.0000, {tokens} tokens and 2 requests" in text
    spec.write_text(spec.read_text().replace(", meaning: {by: meaning, at_least: 0.8}", ""))
    step = plan_of(spec).steps[1]
    words = step.spec.model_dump(mode="json", exclude={"of": True, "dedup": {"meaning"}})
    assert "meaning" not in words["dedup"] and step.fingerprint == digest([plan_of(spec).steps[0].fingerprint, words, []])


# --- the decision itself ---


def step_of(how: str = "keep", at_least: float = 0.9, size: int = 16, exact_only: bool = False) -> DedupStep:
    words = {"on": "text", "numbers": how, "exact_only": exact_only, "meaning": {"by": "v", "at_least": at_least, "dimensions": size}}
    return DedupStep(PlannedStep(1, Dedup.model_validate({"name": "unique", "dedup": words}), "", ()), ())


def decided(step: DedupStep, rows: Sequence[Row], out: Sequence[Row] = ()) -> dict[str, Decision]:
    """Id -> what is said, of those that are dropped. `out`: rows that are released."""
    say = step.judge(step.measure(rows), [step.measure(out)] if out else [], Held([*out, *rows]))
    said = {row.id: say(len(out) + number, row) for number, row in enumerate(rows)}
    return {id: each for id, each in said.items() if each.reason}


def cloud(count: int, size: int, seed: int) -> list[Row]:
    """Rows in bundles of near vectors, each with a word of its own; some have a number, no vector, or another's very text."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count // 5, size))
    rows = []
    for number in range(count):
        vector = centres[rng.integers(len(centres))] + 0.25 * rng.normal(size=size)
        name = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        text = f"row {name} holds {random.Random(number).choice(['few', '3', '4'])} words" if number % 11 else "the words of every eleventh row"
        rows.append(Row.of_seed({"text": text, "v": vector.tolist() if number % 17 or not number % 11 else None}))
    return rows


def by_hand(step: DedupStep, rows: Sequence[Row], at_least: float, fold: bool) -> set[str]:
    """The first maximal independent set of the pairs by cosine and numbers, in plain Python, over first copies; every pair, one by one."""
    kept: list[tuple[str, Any, Counter[str]]] = []
    seen: set[str] = set()
    gone = set()
    for row in sorted(rows, key=lambda row: row.id):
        text, vector = row.fields["text"], row.fields["v"]
        numbers = Counter(token for token in text.split() if token.isdigit())
        unit = np.zeros(1) if vector is None else np.array(vector) / np.linalg.norm(vector)

        def covers(other: tuple[str, Any, Counter[str]], unit: Any = unit, numbers: Counter[str] = numbers, given: bool = vector is not None) -> bool:
            alike = given and other[1].any() and float(unit @ other[1]) >= at_least
            return alike and (fold or not (numbers - other[2] and other[2] - numbers))

        if text in seen or any(covers(other) for other in kept):
            gone.add(row.id)
        else:
            kept.append((row.id, unit, numbers))
        seen.add(text)
    return gone


@pytest.mark.parametrize("fold", [False, True])
def test_it_is_the_first_independent_set_of_all_pairs_whatever_the_order_and_the_blocks(fold: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, step = cloud(400, 16, seed=3), step_of("fold" if fold else "keep", 0.9, exact_only=True)
    first = decided(step, rows)
    assert 50 < len(first) < 350 and set(first) == by_hand(step, rows, 0.9, fold)
    for block, chunk in ((7, 5), (64, 1000)):
        monkeypatch.setattr(meaning, "BLOCK", block)
        monkeypatch.setattr(meaning, "CHUNK", chunk)
        shuffled = random.Random(block).sample(rows, len(rows))
        assert decided(step, shuffled) == first


def test_growth_drops_what_resembles_a_released_row_and_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settled rows are gone through in pieces; it comes out as if they had come first in one set, where they stand."""
    monkeypatch.setattr(meaning, "CHUNK", 7)
    rows, step = cloud(200, 16, seed=5), step_of(at_least=0.9, exact_only=True)
    first = decided(step, rows[:40])
    out = [row for row in rows[:40] if row.id not in first]
    gone = decided(step, rows[40:], out)
    causes = {id: decision.evidence.split(": ")[0].removeprefix("of ") for id, decision in gone.items()}
    settled = {row.id for row in out}
    assert 10 < sum(cause in settled for cause in causes.values()) < len(gone) - 10
    assert not set(causes.values()) & set(gone)
    assert decided(step, random.Random(1).sample(rows[40:], 160), out) == gone


def test_nothing_is_dropped_for_resembling_a_dropped_row() -> None:
    """a ~ b ~ c in a chain: whichever the order makes b fall, c stays with a."""
    angles = [0.0, 0.35, 0.7]
    vectors = [[math.cos(angle), math.sin(angle)] for angle in angles]  # cosines .94, .94, .76
    rows = [Row(f"r1:{number:020}", "", "", {"text": f"{'abc'[number]} one two three", "v": vector}) for number, vector in enumerate(vectors)]
    assert set(decided(step_of(size=2), rows)) == {rows[1].id}


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("has 3 eggs and 5 hens", "owns three eggs, five hens", True),
        ("has 3 eggs and 5 hens", "owns 4 eggs and 5 hens", False),
        ("has 1 egg", "owns 2 eggs", False),
        ("has one egg and 5 hens", "owns 1 egg and five hens", True),  # `one` is mostly no number: one more number is no other number
        ("has 3 eggs, 3 hens", "owns 3 eggs, 5 hens", False),
        ("has no number", "owns 2 numbers", True),
        (" ".join(map(str, range(60))), " ".join(map(str, range(59, -1, -1))), True),
        (" ".join(map(str, range(60))), " ".join(map(str, range(1, 61))), False),
    ],
)
def test_twins_with_other_numbers_are_told_apart(one: str, two: str, same: bool) -> None:
    rows = [Row.of_seed({"text": text, "v": [1.0, 2.0]}) for text in (one, two)]
    assert bool(decided(step_of(size=2), rows)) is same
    assert decided(step_of("fold", size=2), rows)


def test_a_cosine_is_exact_however_it_is_summed() -> None:
    """Which is why a threshold decides the same everywhere: in half precision every partial sum has a place in 64 bits."""
    rng = np.random.default_rng(1)
    vectors = [(vector / np.linalg.norm(vector)).astype(np.float16).astype(np.float64) for vector in rng.normal(size=(2, 1536))]
    products = (vectors[0] * vectors[1]).tolist()
    sums = {math.fsum(products), sum(products), sum(reversed(products)), float(vectors[0] @ vectors[1])}
    assert len(sums) == 1
