"""The numbers of the card and the report: counted from manifests and Parquet, never kept apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen.errors import OutputError
from datagen.release.catalogue import current, once, query
from datagen.release.columns import FIXED
from datagen.release.formats import FORMATS
from datagen.release.formats.base import Format
from datagen.release.measured.variety import OPENING, words_of
from datagen.storage import read_json

CHOICES = ("select", "vote", "mix")
"""Verbs that choose among good rows: a row they drop is passed over, not found at fault."""
MOST_VALUES = 20
"""A field with more values than this is not counted value by value."""
MOST_TEXTS = 1_000
"""Texts that are measured for diversity: the first by digest of the id, so the choice is fair and the same every time."""
BINS = 40


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that manifests and plan say about one OUT."""

    out: Path
    plan: Mapping[str, Any]
    manifest: Mapping[str, Any]
    form: Format

    @property
    def releases(self) -> list[Mapping[str, Any]]:
        """Those of the newest major version."""
        return current(self.manifest)

    @property
    def version(self) -> str:
        return str(self.releases[-1]["version"])

    @property
    def rows(self) -> int:
        return sum(int(entry["rows"]) for entry in self.releases)

    @property
    def splits(self) -> dict[str, int]:
        """Split -> rows, train first."""
        total: Counter[str] = Counter()
        for entry in self.releases:
            total.update(entry["splits"])
        return dict(sorted(total.items(), key=lambda item: (item[0] != "train", item[0])))

    @property
    def simulated(self) -> bool:
        return bool(self.manifest["simulated"])

    @property
    def spec(self) -> str:
        """The spec as written, without the addresses of private servers."""
        return re.sub(r"(base_url:\s*)[^\s,}]+", r"\1(left out)", str(self.plan.get("spec", "")))

    @property
    def other_fields(self) -> list[str]:
        """Columns that the format does not explain: fields of seeds and steps."""
        known = {*FIXED, *self.form.emits()}
        return [name for name in self.manifest["columns"] if name not in known]


def account_of(out: Path) -> Account:
    """Raises OutputError when nothing has been released here."""
    plan, manifest = read_json(out / "plan.json"), read_json(out / "manifest.json")
    if plan is None or manifest is None:
        raise OutputError(f"nothing has been released in {out}: plan.json or manifest.json is missing; run the build first")
    words = plan["release"]
    plan, manifest = {"benches": {}} | plan, {"canaries": None, "unsandboxed": {}} | manifest
    return Account(out, plan, manifest, FORMATS.get(words["format"])(columns=words.get("columns") or {}))


@dataclass(frozen=True, slots=True)
class Flow:
    """One step of the funnel: into = kept + dropped + unanswered."""

    name: str
    verb: str
    about: str
    came: int
    """Rows that the `into` were made from."""
    into: int
    kept: int
    reasons: Sequence[tuple[str, str, int]]
    """(operator, reason, rows), most frequent first."""
    unanswered: Sequence[tuple[str, int]]

    @property
    def lost(self) -> int:
        return sum(number for _, _, number in self.reasons)

    @property
    def passed(self) -> int:
        """Dropped by a choice."""
        return self.lost if self.verb in CHOICES else 0

    @property
    def dropped(self) -> int:
        """Dropped for a fault."""
        return self.lost - self.passed

    @property
    def left(self) -> int:
        return sum(number for _, number in self.unanswered)


def funnel(steps: Sequence[Mapping[str, Any]]) -> list[Flow]:
    """The steps in the order of the line."""
    flows = []
    for step in steps:
        reasons = [(operator, reason, n) for operator, found in step["dropped"].items() for reason, n in found.items()]
        reasons.sort(key=lambda item: (-item[2], item[0], item[1]))
        unanswered = sorted(step["unanswered"].items(), key=lambda item: (-item[1], item[0]))
        came = step.get("from") or step["in"]
        flows.append(Flow(step["name"], step["verb"], step.get("about", ""), came, step["in"], step["kept"], reasons, unanswered))
    return flows


def costs(out: Path) -> list[dict[str, Any]]:
    """One entry per step, teacher and model, in the order of the line."""
    columns, rows = query(out, "SELECT * FROM costs")
    order = {step["name"]: step["number"] for step in map(read_json, (out / "steps").glob("*/manifest.json"))}
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    return sorted(found, key=lambda entry: (order.get(entry["step"], 0), entry["step"], entry["teacher"], entry["model"]))


def teachers(account: Account, spent: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Who answered, how often and for how much; an endpoint's address stays at home."""
    found = []
    for name, words in account.plan["teachers"].items():
        mine = [entry for entry in spent if entry["teacher"] == name]
        own = "" if not words.get("label") else "at a server of its own" if "://" in words["label"] else f"at {words['label']}"
        answers, usd = sum(entry["answers"] for entry in mine), sum(entry["cost_usd"] for entry in mine)
        found.append({"name": name, "model": words["model"], "own": own, "price": words.get("price"), "answers": answers, "usd": usd})
    return found


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one teacher's answers cost, each counted once."""

    teacher: str
    answers: int
    usd: float
    saved: float
    """Taken off by the provider's prompt cache; below zero where more was written to it than read."""
    tokens: int
    """Input tokens, those of the cache included."""
    cached: int
    written: int
    """Input tokens read from the cache, and written to it."""
    repaired: int
    """Answers that were mended offline, in place of being asked for again."""
    batched: int
    batch_usd: float
    """Answers that came in paid batches, and what they cost; the rest came online."""
    ends: Sequence[tuple[str, int, float]]
    """(outcome, answers, dollars), the dearest first."""

    @property
    def wasted(self) -> float:
        """Dollars of answers that gave no row."""
        return sum(usd for outcome, _, usd in self.ends if outcome != "answered")


_PAID = """SELECT teacher, count(*) AS answers, coalesce(sum(cost_usd), 0) AS usd, coalesce(sum(saved_usd), 0) AS saved,
  coalesce(sum(input_tokens), 0)::BIGINT AS tokens, coalesce(sum(cached_tokens), 0)::BIGINT AS cached,
  coalesce(sum(cache_write_tokens), 0)::BIGINT AS written, count(*) FILTER (WHERE repaired <> '') AS repaired,
  count(*) FILTER (WHERE batch <> '') AS batched, coalesce(sum(cost_usd) FILTER (WHERE batch <> ''), 0) AS batch_usd
FROM ({once}) GROUP BY teacher ORDER BY teacher"""
_ENDS = "SELECT teacher, outcome, count(*), coalesce(sum(cost_usd), 0) FROM ({once}) GROUP BY ALL ORDER BY 4 DESC, 3 DESC, 2"


def receipts(out: Path) -> list[Receipt]:
    """One for each teacher, by name."""
    ends: dict[str, list[tuple[str, int, float]]] = {}
    for teacher, outcome, answers, usd in query(out, _ENDS.format(once=once("key")))[1]:
        ends.setdefault(teacher, []).append((outcome, answers, usd))
    columns, rows = query(out, _PAID.format(once=once("key")))
    return [Receipt(**dict(zip(columns, row, strict=True)), ends=ends[row[0]]) for row in rows]


# --- coverage ---


def coverage(account: Account) -> list[tuple[str, list[tuple[str, int]]]]:
    """Field -> (value, released rows) for every plain field with a few values, but for the axes of a grid, which are told apart, and its
    counter, which tells nothing."""
    seeds, kinds = account.plan["seeds"], account.manifest["schema"]
    told = [*seeds["axes"], seeds.get("variant")] if seeds.get("axes") else []
    axes = [name for name in account.other_fields if kinds[name] in ("string", "int64", "bool") and name not in told]
    found = []
    for name in axes:
        quoted = '"' + name.replace('"', '""') + '"'
        _, [(about,)] = query(account.out, f"SELECT approx_count_distinct({quoted}) FROM rows")
        if about > 2 * MOST_VALUES:  # to count a million values takes memory
            continue
        _, values = query(account.out, f"SELECT {quoted}, count(*) FROM rows GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MOST_VALUES + 1}")
        if kinds[name] == "int64":
            values.sort(key=lambda pair: (pair[0] is None, pair[0] or 0))
        if 2 <= len(values) <= MOST_VALUES:
            found.append((name, [(shown(value), int(number)) for value, number in values]))
    return found


def shown(value: Any) -> str:
    """A small value in a reader's words."""
    return "none" if value is None else ("no", "yes")[value] if isinstance(value, bool) else str(value)


# --- diversity ---


@dataclass(frozen=True, slots=True)
class Diversity:
    """How much the texts differ, in figures that need no model."""

    texts: int
    openings: Sequence[tuple[str, int]]
    """First words, so many as `measured/variety.py` takes for an opening -> texts that begin so; most frequent first."""
    sentences: Sequence[tuple[str, int]]
    """Sentence of five words or more -> texts that hold it."""
    quantiles: tuple[int, int, int]
    """Words at 10, 50 and 90 %."""
    bins: Sequence[int]
    """Texts per bin of equal width, up to the 99th percentile; the last bin holds the longer ones too."""
    longest: int
    """Words at the right edge of the bins."""


def texts_of(account: Account, most: int = MOST_TEXTS) -> list[str]:
    """The column a person reads first, of a fair choice of rows."""
    column = account.form.reads
    if column not in account.manifest["columns"]:  # a release without a row has no columns either
        return []
    _, rows = query(account.out, f'SELECT "{column}" FROM rows ORDER BY md5(id) LIMIT {most}')
    return [_as_text(row[0]) for row in rows]


def _as_text(value: Any) -> str:
    return "\n\n".join(turn["content"] for turn in value if turn["role"] == "assistant") if isinstance(value, list) else str(value or "")


def diversity(texts: Sequence[str]) -> Diversity:
    """Shares of the commonest opening and sentence, and the spread of lengths."""
    openings: Counter[str] = Counter()
    sentences: Counter[str] = Counter()
    lengths = []
    for text in texts:
        words = text.split()
        lengths.append(len(words))
        openings[" ".join(words_of(text, OPENING))] += 1
        sentences.update({" ".join(part.lower().split()) for part in re.split(r"[.!?\n]+", text) if len(part.split()) >= 5})
    lengths.sort()
    longest = max(_at(lengths, 0.99), 1)
    bins = [0] * min(BINS, longest)
    for length in lengths:
        bins[min(len(bins) - 1, length * len(bins) // (longest + 1))] += 1
    quantiles = (_at(lengths, 0.1), _at(lengths, 0.5), _at(lengths, 0.9))
    return Diversity(len(texts), _top(openings), [pair for pair in _top(sentences) if pair[1] > 1], quantiles, bins, longest)


def _at(lengths: Sequence[int], share: float) -> int:
    return lengths[min(len(lengths) - 1, int(share * len(lengths)))] if lengths else 0


def _top(counter: Counter[str], most: int = 5) -> list[tuple[str, int]]:
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:most]
