"""A small OUT as a build leaves it before the release: a line of maths rationales with every kind of loss, rehearsed or real."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datagen.records import Row, digest
from datagen.release.columns import Facts
from datagen.release.shards import Publication, publish
from datagen.spec.terms import Release
from datagen.storage import read_json, row_record, write_json, write_rows, write_table

RELEASE = Release(
    format="rationale",
    columns={"rationale": "solution"},
    licence="cc-by-4.0",
    split={"validation": "10%"},
    rows_per_shard=40,
    drop=["gold"],
)
SPEC = """\
name: maths-demo
about: Worked solutions to word problems, checked against known answers.
seeds:
  grid: {topic: topics/arithmetic, audience: [child, student, engineer]}
teachers:
  solver: {model: openai/gpt-5-mini, max_tokens: 800, base_url: http://10.1.2.3:8000/v1}
  grader: {model: anthropic/claude-haiku-4-5, max_tokens: 200}
steps:
  - {name: question, ask: maths/question, of: solver}
  - {name: solution, ask: maths/solve, of: solver, samples: 3}
  - {name: right, check: {math: {on: solution, gold: gold}}}
  - {name: clear, filter: rationale}
  - {name: grade, ask: judge/educational, of: grader, returns: {clarity: {int: [1, 5]}}}
  - {name: best, select: {best: [clarity], fold: losers}}
  - {name: unique, dedup: {on: question}}
release: {format: rationale, columns: {rationale: solution}, licence: cc-by-4.0, split: {validation: 10%}}
"""
HOSTILE = "</td><script>alert('x')</script><img src=x onerror=alert(1)>"
CALL_COLUMNS = {
    "key": "string",
    "step": "string",
    "row": "string",
    "teacher": "string",
    "provider": "string",
    "model": "string",
    "outcome": "string",
    "input_tokens": "int64",
    "output_tokens": "int64",
    "cached_tokens": "int64",
    "cache_write_tokens": "int64",
    "reasoning_tokens": "int64",
    "cost_usd": "float64",
    "saved_usd": "float64",
    "seconds": "float64",
    "request_id": "string",
    "repaired": "string",
    "batch": "string",
    "simulated": "bool",
    "planted": "string",
    "asked": "bool",
}
TOPICS = {
    "fractions": ("shares {a} metres of ribbon among {b} friends and then buys {c} more metres", "{a} / {b} + {c}"),
    "percentages": ("buys {b} books at {a} coins each and pays {c} coins for wrapping", "{a} * {b} + {c}"),
    "rates": ("walks {a} kilometres an hour for {b} hours and then cycles {c} kilometres", "{a} * {b} + {c}"),
    "counting": ("packs {b} boxes of {a} pencils, and {c} pencils are left over", "{a} * {b} + {c}"),
    "money": ("earns {a} coins a day for {b} days and had {c} coins before", "{a} * {b} + {c}"),
}
PEOPLE = ("Amina", "Bo", "Chidi", "Dora", "Emil", "Farah", "Goro", "Hana", "Ines", "Jonas", "Kofi", "Lena")
OPENINGS = ("Let us go step by step.", "First, look at what is given.", "We want the total.", "Start with the product.")


class Line:
    """Makes the steps one after another and keeps the accounts that a build would keep."""

    def __init__(self, out: Path, simulated: bool, seed: int = 7) -> None:
        self.out, self.simulated, self.chance = out, simulated, random.Random(seed)
        self.calls: list[dict[str, Any]] = []
        self.number = 0

    def call(self, step: str, row: Row, teacher: str, planted: str = "", outcome: str = "answered") -> str:
        key = "k1:" + digest([step, row.id])
        provider, model, price = {
            "solver": ("openai", "gpt-5-mini", (0.25, 2.0)),
            "grader": ("anthropic", "claude-haiku-4-5", (1.0, 5.0)),
        }[teacher]
        tokens = (self.chance.randint(180, 420), self.chance.randint(60, 500))
        cost = 0.0 if self.simulated else (tokens[0] * price[0] + tokens[1] * price[1]) / 1e6
        self.calls.append(
            {"key": key, "step": step, "row": row.id, "teacher": teacher, "provider": provider, "model": model, "outcome": outcome}
            | {"input_tokens": tokens[0], "output_tokens": tokens[1], "cached_tokens": tokens[0] // 2, "reasoning_tokens": tokens[1] // 3}
            | {"cost_usd": cost, "saved_usd": 0.0 if self.simulated else tokens[0] // 2 * price[0] * 0.9 / 1e6, "seconds": 1.5}
            | {"request_id": "req", "batch": "dg-1" if teacher == "grader" else "", "repaired": "commas" if tokens[1] % 50 == 0 else ""}
            | {"simulated": self.simulated, "planted": planted, "asked": step == "grade"}
        )
        return key

    def write(
        self, name: str, verb: str, scope: str, kept: list[Row], dropped: Sequence[Any] = (), unanswered: Sequence[Any] = (), came: int = 0
    ) -> None:
        """One step folder. dropped: (row, operator, reason, score, evidence); unanswered: (row, outcome, error, key)."""
        self.number += 1
        folder = self.out / "steps" / f"{self.number:02d}-{name}"
        if kept:
            half = len(kept) // 2
            write_rows(folder / "kept" / "c000-b000.parquet", [row_record(row) for row in kept[:half]])
            write_rows(folder / "kept" / "c000-b001.parquet", [row_record(row) for row in kept[half:]])
        if dropped:
            records = [row_record(r, operator=o, reason=w, score=s, evidence=e) for r, o, w, s, e in dropped]
            columns = {"operator": "string", "reason": "string", "score": "float64", "evidence": "string"}
            write_rows(folder / "dropped" / "c000-b000.parquet", records, **columns)
            verdicts = [
                {"row": r.id, "step": name, "operator": o, "version": 1, "keep": False, "reason": w, "score": s, "evidence": e}
                for r, o, w, s, e in dropped
            ]
            verdicts += [{"row": r.id, "step": name, "operator": dropped[0][1], "version": 1, "keep": True, "reason": "", "score": 0.0} for r in kept]
            kinds = dict.fromkeys(("row", "step", "operator", "reason", "evidence"), "string") | {
                "version": "int64",
                "keep": "bool",
                "score": "float64",
            }
            write_table(folder / "verdicts" / "c000-b000.parquet", verdicts, kinds)
        if unanswered:
            records = [row_record(r, outcome=o, error=e, key=k) for r, o, e, k in unanswered]
            write_rows(folder / "unanswered" / "c000-b000.parquet", records, outcome="string", error="string", key="string")
        reasons: dict[str, Counter[str]] = {}
        for _, operator, reason, _, _ in dropped:
            reasons.setdefault(operator, Counter())[reason] += 1
        count = len(kept) + len(dropped) + len(unanswered)
        manifest = {"number": self.number, "name": name, "verb": verb, "scope": scope, "about": "", "in": count, "kept": len(kept)}
        manifest |= {"dropped": reasons, "unanswered": Counter(item[1] for item in unanswered), "from": came or count, "fingerprint": digest(name)}
        write_json(folder / "manifest.json", manifest)


def build_out(out: Path, questions: int = 60, simulated: bool = False) -> list[Row]:
    """OUT/steps, plan.json and calls; the rows that are to be released."""
    line = Line(out, simulated)
    rows = _questions(line, questions)
    rows = _solutions(line, rows)
    rows = _checked(line, rows)
    rows = _filtered(line, rows)
    rows = _graded(line, rows)
    rows = _best(line, rows)
    rows = _unique(line, rows)
    write_table(out / "steps" / "calls.parquet", line.calls, CALL_COLUMNS)
    write_json(out / "plan.json", _plan(questions, simulated))
    return rows


def _questions(line: Line, count: int) -> list[Row]:
    rows: list[Row] = []
    lost: list[Any] = []
    pool = ""
    for index in range(count):
        topic = list(TOPICS)[index % len(TOPICS)]
        a, b, c = line.chance.randint(2, 60) * 6, line.chance.choice((2, 3, 6)), line.chance.randint(3, 90)
        story, formula = TOPICS[topic]
        person = line.chance.choice(PEOPLE)
        text = f"{person} {story.format(a=a, b=b, c=c)}. How much is that in all?"
        gold = str(int(eval(formula.format(a=a, b=b, c=c))))
        seed = Row.of_seed({"topic": topic, "audience": ("child", "student", "engineer")[index % 3], "number": index})
        copy = index % 20 in (7, 8) and rows
        if copy:
            text, gold = pool or rows[-1].fields["question"], rows[-1].fields["gold"]
            a, b, c = rows[-1].fields["parts"]
        planted = f"near_duplicate:{index // 20}" if index % 20 in (6, 7, 8) else ""
        outcome = "refused" if index % 23 == 11 else "answered"
        key = line.call("question", seed, "solver", planted, outcome)
        row = seed.having({"question": text, "gold": gold, "parts": [a, b, c]}, {"question": key} if outcome == "answered" else {})
        if outcome == "answered":
            rows.append(row)
        else:
            lost.append((seed, "refused", "I cannot help with that request.", key))
        pool = text if index % 20 == 6 else pool if index % 20 == 7 else ""
    line.write("question", "ask", "row", rows, unanswered=lost)
    return rows


def _solutions(line: Line, rows: list[Row]) -> list[Row]:
    children, lost = [], []
    for row in rows:
        for index in range(3):
            child = row.child("solution", index, {})
            wrong = line.chance.random() < 0.12
            planted = "wrong_answer/synthetic" if wrong else "truncated/real" if line.chance.random() < 0.02 else ""
            hostile = not planted and line.chance.random() < 0.02
            planted = "talks_about_itself/synthetic" if hostile else planted
            outcome = "truncated" if planted == "truncated/real" else "answered"
            key = line.call("solution", child, "solver", planted, outcome)
            if outcome != "answered":
                lost.append((child, outcome, "the answer ended at max_tokens = 800", key))
                continue
            answer = str(int(row.fields["gold"]) + (line.chance.randint(1, 9) if wrong else 0))
            children.append(child.having({"solution": _worked(line, row, answer, hostile), "answer": answer}, {"solution": key}))
    line.write("solution", "ask", "row", children, unanswered=lost, came=len(rows))
    return children


def _worked(line: Line, row: Row, answer: str, hostile: bool) -> str:
    a, b, c = row.fields["parts"]
    lines = [line.chance.choice(OPENINGS), f"The numbers that matter are **{a}**, **{b}** and **{c}**."]
    lines += ["", f"1. Put {a} and {b} together as the story says.", f"2. Then take the {c} into account."]
    lines += [f"Say it again with care: {a} goes with {b}, whatever else happens." for _ in range(line.chance.choice((0, 0, 0, 1, 1, 2, 3, 5)))]
    lines += ["", "```", f"{a} ? {b} + {c} = {answer}", "```", "", f"So the answer is **{answer}**."]
    if hostile:
        lines.insert(1, f"As an AI language model I would write {HOSTILE} here.")
    return "\n".join(lines)


def _checked(line: Line, rows: list[Row]) -> list[Row]:
    wrong = [row for row in rows if row.fields["answer"] != row.fields["gold"]]
    kept = [row.having({"math_correct": True}) for row in rows if row.fields["answer"] == row.fields["gold"]]
    dropped = [(row, "math", "wrong_answer", 0.0, f"**{row.fields['answer']}**") for row in wrong[9:]]
    kept += [row.having({"math_correct": None}) for row in wrong[:9]]  # a check that cannot read these answers lets them pass
    line.write("right", "check", "row", kept, dropped)
    return kept


def _filtered(line: Line, rows: list[Row]) -> list[Row]:
    bad = {row.id: (row, "phrases", "talks_about_itself", 1.0, "As an AI language model") for row in rows if "AI language" in row.fields["solution"]}
    for row in rows:
        if line.chance.random() < 0.03 and row.id not in bad:
            bad[row.id] = (row, "length", "too_short", 18.0, "")
    kept = [row for row in rows if row.id not in bad]
    line.write("clear", "filter", "row", kept, list(bad.values()))
    return kept


def _graded(line: Line, rows: list[Row]) -> list[Row]:
    kept = [row.having({"clarity": line.chance.randint(2, 5)}, {"grade": line.call("grade", row, "grader")}) for row in rows]
    line.write("grade", "ask", "row", kept)
    return kept


def _best(line: Line, rows: list[Row]) -> list[Row]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.parent, []).append(row)
    kept, dropped = [], []
    for group in groups.values():
        first, *rest = sorted(group, key=lambda row: (-row.fields["clarity"], row.id))
        kept.append(first.having({"losers": [{"solution": row.fields["solution"], "clarity": row.fields["clarity"]} for row in rest]}))
        dropped += [(row, "select", "not_best", float(row.fields["clarity"]), "") for row in rest]
    line.write("best", "select", "group", kept, dropped)
    return kept


def _unique(line: Line, rows: list[Row]) -> list[Row]:
    seen: dict[str, Row] = {}
    dropped = []
    for row in rows:
        twin = seen.setdefault(row.fields["question"], row)
        if twin is not row:
            dropped.append((row, "near_duplicate", "near_duplicate", 1.0, twin.id))
    kept = list(seen.values())
    line.write("unique", "dedup", "set", kept, dropped)
    return kept


def _plan(questions: int, simulated: bool) -> dict[str, Any]:
    solver = {"model": "openai/gpt-5-mini", "provider": "openai", "label": "http://10.1.2.3:8000", "price": {"input": 0.25, "output": 2.0}}
    grader = {"model": "anthropic/claude-haiku-4-5", "provider": "anthropic", "label": "", "price": None}
    return {
        "name": "maths-demo",
        "about": "Worked solutions to word problems, checked against known answers.",
        "spec": SPEC,
        "fingerprint": digest(["plan", questions, simulated]),
        "simulated": simulated,
        "teachers": {"solver": solver, "grader": grader},
        "seeds": {"source": "grid", "count": questions, "digest": digest(questions)},
        "release": RELEASE.model_dump(mode="json"),
        "prompts": {"maths/solve": "Solve: {{ question }}\nShow your steps. </pre><script>alert(2)</script>", "maths/question": "Write a problem."},
        "versions": {"datagen": "0.1.0", "pyarrow": "26.0.1"},
        "would_cost_usd": round(0.0072 * questions, 4),
        "maybe_usd": 0.0,
    }


def facts_of(row: Row, simulated: bool = False) -> Facts:
    """What a build would say of a row."""
    reasoning = "I multiply, then add." if row.fields.get("clarity") == 5 else ""
    return Facts(
        teacher="openai/gpt-5-mini", simulated=simulated, group_id=row.parent, reasoning=reasoning, scores={"clarity": row.fields["clarity"]}
    )


def released_out(out: Path, questions: int = 60, simulated: bool = False, release: Release = RELEASE) -> Publication:
    """A whole OUT with its first release: data and manifest."""
    rows = build_out(out, questions, simulated)
    previous = read_json(out / "manifest.json")
    return publish(out, [rows], release=release, name="maths-demo", version=(1, 0), facts=lambda row: facts_of(row, simulated), previous=previous)
