"""The ledger under real builds: what was imported is not asked for, and what was taken down is gone from all that follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from teaching import made, project, teacher

from datagen.asking.ledger.book import verify
from datagen.asking.ledger.care import taken_down
from datagen.asking.ledger.imports import take
from datagen.cli import cli
from datagen.errors import OutputError
from datagen.steps.takedown import takedown
from datagen.storage import each_record


def chat(text: str) -> dict[str, Any]:
    usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
    return {"model": "own", "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}], "usage": usage}


def test_a_build_after_an_import_asks_nothing(tmp_path: Path) -> None:
    steps = "  - {name: text, ask: t/tell, of: w}\n  - {name: more, ask: t/more, of: w, samples: 2, returns: {note: str}}"
    prompts = {"tell": "Tell of {{ topic }}.", "more": "Say more on {{ text }} than before."}
    topics = ["bread", "rivers", "stars"]
    lines: list[Any] = []
    for topic in topics:
        first = {"model": "own", "max_tokens": 100, "messages": [{"role": "user", "content": f"Tell of {topic}."}]}
        lines += _pair(f"a-{topic}", first, f"{topic} it is")
        schema = {"type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"], "additionalProperties": False}
        form = {"type": "json_schema", "json_schema": {"name": "any", "schema": schema}}
        second = {"model": "own", "max_tokens": 100, "messages": [{"role": "user", "content": f"Say more on {topic} it is than before."}]}
        for sample in range(2):
            lines += _pair(f"b-{topic}-{sample}", {**second, "response_format": form}, json.dumps({"note": f"{topic} {sample}"}))
    with teacher(lambda _: "paid again") as taught:
        spec = project(tmp_path, steps, prompts, f"{{grid: {{topic: {topics}}}}}", "release: {format: text, columns: {text: note}}", url=taught.url)
        (tmp_path / "all.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        done = take(tmp_path / "out" / "ledger", [tmp_path / "all.jsonl"], None, "test", None)
        assert (done.taken, done.unread) == (9, [])
        built = made(spec, tmp_path / "out")
        assert taught.prompts == [] and built.summary.asked == 0 and built.summary.rows == 6
    assert sorted(fields["note"] for fields in built.fields("more")) == sorted(f"{topic} {sample}" for topic in topics for sample in range(2))


def _pair(name: str, sent: dict[str, Any], text: str) -> list[dict[str, Any]]:
    return [{"custom_id": name, "method": "POST", "body": sent}, {"custom_id": name, "response": {"status_code": 200, "body": chat(text)}}]


STEPS = (
    "  - {name: outline, ask: t/outline, of: w, returns: {sections: {list: str, at_most: 3}}}\n"
    "  - {name: section, ask: t/section, of: w, each: sections}\n"
    "  - {name: grade, ask: t/grade, of: w, returns: {fault: str}}"
)
PROMPTS = {"outline": "Outline {{ topic }}.", "section": "Write {{ item }} of {{ topic }}.", "grade": "Grade this: {{ section }}"}


def script(prompt: str) -> str | dict[str, Any]:
    """Whatever is said of bread is marked, so that it can be looked for."""
    mark = "crumbs " if "bread" in prompt or "crumbs" in prompt else ""
    match prompt.split()[0]:
        case "Outline":
            return {"sections": [f"{mark}beginning", f"{mark}end"]}
        case "Write":
            return f"{prompt.removeprefix('Write ')} " + f"{mark}is long. " * 20
    return {"fault": f"{mark}none"}


def holding(out: Path, word: bytes) -> list[str]:
    """Files under the ledger and the steps that hold a word; Parquet is read, since it is compressed."""
    found = []
    for path in sorted(path for name in ("ledger", "steps") for path in (out / name).rglob("*") if path.is_file()):
        content = repr(list(each_record(path))).encode() if path.suffix == ".parquet" else path.read_bytes()
        found += [str(path.relative_to(out))] if word in content else []
    return found


def test_a_row_that_is_taken_down_is_gone_from_ledger_and_steps_and_from_the_next_release(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with teacher(script) as taught:
        release = "release: {format: text, columns: {text: section}, allow_unanswered: 1}"
        spec = project(tmp_path, STEPS, PROMPTS, "{grid: {topic: [bread, rivers, stars]}}", release, url=taught.url)
        first = made(spec, out)
        assert first.summary.rows == 6 and first.summary.asked == 15
        row = next(record["id"] for record in first.records("section", "kept") or first.records("grade", "kept") if "bread" in str(record["fields"]))
        before = holding(out, b"crumbs")
        said = list(takedown(out, row, out / "ledger", yes=False))
        assert "5 answers would leave" in said[0] and "nothing has been done" in said[-1] and holding(out, b"crumbs") == before
        assert any("release 1.0 holds such rows: data/" in line for line in said)
        said = list(takedown(out, row, out / "ledger", yes=True))
        assert "5 answers left" in said[0] and "--yes` makes a new major release" in said[-2]
        assert holding(out, b"crumbs") == [] and holding(out, b"rivers") != []
        assert taken_down(out / "ledger", "tiny", 1) == [row] and verify(out / "ledger")[1] == []
        asked = len(taught.prompts)
        (out / "manifest.json").unlink()  # as if nothing were out yet: the line is walked again where something was taken
        again = made(spec, out)
        assert len(taught.prompts) == asked and again.summary.rows == 4 and again.summary.unanswered == 0
        again.check_accounts()
        (left,) = again.records("outline", "dropped")
        assert left["operator"] == "ask" and left["reason"] == "taken_down" and left["fields"]["topic"] == "bread"
        assert holding(out, b"crumbs") == []


def test_forget_and_import_at_the_terminal(tmp_path: Path) -> None:
    sent = {"model": "own", "max_tokens": 100, "messages": [{"role": "user", "content": "Tell of bread."}]}
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*_pair("a", sent, "it is"), {"what": 1}]))
    done = datagen("ledger", "import", str(tmp_path / "ledger"), str(tmp_path / "all.jsonl"), "--label", "test")
    assert done.exit_code == 0 and done.output.splitlines()[-1] == "1 taken, 0 were there already, 1 could not be read"
    assert f"{tmp_path / 'all.jsonl'}:3: it is none of the known formats" in done.output
    gone = datagen("ledger", "forget", str(tmp_path), "r1:0000", "--ledger", str(tmp_path / "ledger"))
    assert isinstance(gone.exception, OutputError) and "no row 'r1:0000'" in str(gone.exception)


def datagen(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))
