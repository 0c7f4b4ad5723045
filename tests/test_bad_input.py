"""Bad input through the door: one clear error, the right exit code, no traceback; nothing paid and nothing lost."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from teaching import Taught, project, teacher

from datagen.cli import main

STEPS = "  - {name: text, ask: t/text, of: w}\n  - {name: good, filter: [{length: {min_words: 1}}]}"
PROMPTS = {"text": "Write about {{ topic }}."}
SEEDS = "{table: seeds.jsonl}"
RELEASE = "release: {format: text}"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of one command in this process."""
    monkeypatch.setattr(sys, "argv", ["datagen", *map(str, arguments)])
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def taught() -> Iterator[Taught]:
    with teacher(lambda prompt: f"said of {prompt}") as found:
        yield found


@pytest.fixture
def spec(tmp_path: Path, taught: Taught) -> Path:
    """A spec that builds; every test breaks one thing."""
    (tmp_path / "seeds.jsonl").write_text("".join(f'{{"topic": "topic {number}"}}\n' for number in range(4)))
    return project(tmp_path, STEPS, PROMPTS, SEEDS, RELEASE, url=taught.url)


def one_error(told: tuple[int, str, str], code: int, *words: str) -> None:
    """Right exit code, one message that says all of `words`, and no traceback."""
    got, out, err = told
    assert got == code, err or out
    assert err.count("error: ") == 1 and err.startswith("error: ") and "Traceback" not in err + out
    for word in words:
        assert word in err, err


def state(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_spec_that_the_others_break_builds(spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out")
    assert code == 0 and len(taught.prompts) == 4 and "release 1.0: 4 rows" in out


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("name: tiny", "naem: tiny", 1, ("unknown key 'naem'", "did you mean 'name'")),
        ("{length: {min_words: 1}}", "{lenght: {min_words: 1}}", 6, ("unknown operator 'lenght'", "did you mean 'length'", "known: ")),
        ("{length: {min_words: 1}}", "{length: {min_word: 1}}", 6, ("unknown parameter 'min_word'", "did you mean 'min_words'")),
        ("{length: {min_words: 1}}", "{length: {min_words: many}}", 6, ("min_words", "many")),
        ("ask: t/text", "ask: t/txt", 5, ("no prompt 't/txt'", "did you mean 't/text'", "/prompts")),
        ("of: w}", "of: w, returns: {parts: {list: str}}}", 5, ("needs a bound", "at_most: 8")),
        ("name: good", "name: text", 6, ("two steps are called 'text'", "s.yaml:5")),
        ("price: {input: 1, output: 10}, ", "", 3, ("no price is known for 'openai/own'", "price: {input", "unpriced: true")),
        ("model: openai/own", "model: opneai/own", 3, ("unknown provider 'opneai'", "did you mean 'openai'")),
        ("{format: text}", "{format: tekst}", 7, ("unknown format 'tekst'", "did you mean 'text'", "preference")),
        ("{format: text}", "{format: text, budget: {usd: 0}}", 7, ("usd", "greater than 0")),
        ("{format: text}", "{format: text, budget: {usd: .inf}}", 7, ("usd", "finite number")),
        ("price: {input: 1,", "price: {input: .nan,", 3, ("input", "finite number")),
        ("steps:", "steps: [", 4, ("not valid YAML",)),
    ],
)
def test_a_spec_with_a_mistake(
    spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch, old: str, new: str, line: int, words: tuple[str, ...]
) -> None:
    text = spec.read_text()
    assert text.count(old) == 1
    spec.write_text(text.replace(old, new))
    for command in (("build", "-o", tmp_path / "out"), ("plan",), ("preview",)):
        place = () if "not valid YAML" in words else (f"{spec}:{line}: ",)
        one_error(run(monkeypatch, command[0], "-s", spec, *command[1:]), 2, *place, *words)
    assert taught.prompts == [] and not (tmp_path / "out").exists()


def test_a_prompt_with_a_variable_that_nobody_gives(spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prompts" / "t" / "text.md.j2").write_text("Write about {{ topci }}.")
    told = run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out")
    one_error(told, 2, f"{spec}:5: ", "prompt 't/text' uses 'topci'", "did you mean 'topic'")
    (tmp_path / "prompts" / "t" / "text.md.j2").write_text("Write\n{{ topic | uper }}.")
    one_error(run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out"), 2, "text.md.j2:2: No filter named 'uper'")
    assert taught.prompts == []


@pytest.mark.parametrize(
    ("content", "seeds", "words"),
    [
        (None, SEEDS, ("table seeds.jsonl: no such file (looked at ",)),
        ("\n", SEEDS, ("the seeds are empty",)),
        ('{"topic": 1}\n{"topic": \n', SEEDS, ("seeds.jsonl:2: not valid JSON",)),
        ('{"topic": 1}\n', "{table: {path: seeds.jsonl, columns: [topics]}}", ("no column 'topics'; did you mean 'topic'",)),
        ('{"topic": 1}\n', "{table: seeds.jsonl, rename: {topics: topic}}", ("gives no field 'topics'; did you mean 'topic'",)),
        ('{"topic": 1}\n', "{documents: nowhere}", ("no .md or .txt file there",)),
    ],
)
def test_seeds_that_cannot_be_read(
    spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch, content: str | None, seeds: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "seeds.jsonl").unlink() if content is None else (tmp_path / "seeds.jsonl").write_text(content)
    spec.write_text(spec.read_text().replace(SEEDS, seeds))
    one_error(run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out"), 3, *words)
    assert taught.prompts == []


def test_seeds_without_the_column_a_prompt_needs(spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "seeds.jsonl").write_text('{"subject": "sums"}\n')
    one_error(run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out"), 2, "uses 'topic'", "known: subject")
    assert taught.prompts == []


def test_no_key(spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    spec.write_text(spec.read_text().replace(f"base_url: '{taught.url}', ", ""))
    one_error(
        run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out"), 4, "teacher 'w' (openai/own)", "set OPENAI_API_KEY", "--teacher simulator"
    )
    monkeypatch.setenv("OPENAI_API_KEY", "sk-“quoted”")
    one_error(run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out"), 4, "typographic quote")


@pytest.mark.parametrize(("out", "code"), [("file/out", 4), ("/proc/nowhere/out", 4), ("/dev/null/out", 4)])
def test_a_folder_that_cannot_be_written(spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch, out: str, code: int) -> None:
    (tmp_path / "file").write_text("mine")
    one_error(run(monkeypatch, "build", "-s", spec, "-o", tmp_path / out), code, "cannot write to", "--out")
    assert taught.prompts == [] and (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:9", ("no cluster answers there",)),
        ("ray://127.0.0.1:9", ("no cluster answers there",)),
        ("rubbish", ("cannot join",)),
        ("ahost:port", ("cannot join",)),
    ],
)
def test_a_cluster_that_is_not_there(
    spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch, address: str, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    told = run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out", "--runtime", "ray")
    one_error(told, 4, f"RAY_ADDRESS={address}", *words)
    assert taught.prompts == []


def test_a_file_where_out_should_be(spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    code, _, err = run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "file")
    assert code == 2 and "is a file" in err and "Traceback" not in err and taught.prompts == []


def test_a_ledger_that_cannot_be_written(spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    told = run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out", "--ledger", tmp_path / "file" / "ledger")
    one_error(told, 5, "cannot be written", "--ledger DIR")
    assert taught.prompts == []


def test_an_out_of_another_spec_and_a_folder_of_something_else(spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out")[0] == 0
    before, asked = state(tmp_path / "out"), len(taught.prompts)
    other = tmp_path / "other.yaml"
    other.write_text(spec.read_text().replace("name: tiny", "name: other"))
    one_error(run(monkeypatch, "build", "-s", other, "-o", tmp_path / "out"), 6, "belongs to the spec 'tiny', not to 'other'", "--out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    one_error(run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "mine"), 6, "is not empty and holds no build", "thesis.txt", "--out")
    assert len(taught.prompts) == asked and state(tmp_path / "out") == before and [*state(tmp_path / "mine")] == ["thesis.txt"]


def test_a_change_of_released_rows_needs_a_yes(spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out")[0] == 0
    before, asked = state(tmp_path / "out"), len(taught.prompts)
    spec.write_text(spec.read_text().replace("min_words: 1", "min_words: 2"))
    one_error(
        run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out"), 6, "the plan has changed since the last release", "datagen plan", "--yes"
    )
    after = state(tmp_path / "out")
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert changed <= {name for name in after if name == "run.json" or name.startswith("runs/")}, "more than the record of the run has changed"
    code, out, _ = run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out", "--yes")
    assert code == 0 and "release 2.0" in out and len(taught.prompts) == asked
    assert all((tmp_path / "out" / name).exists() for name in before if name.startswith(("data/", "ledger/")))


def test_a_torn_record_is_told_and_asked_again(spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out")[0] == 0
    (segment,) = (tmp_path / "out" / "ledger").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes()[:-9])
    told = run(monkeypatch, "ledger", "verify", tmp_path / "out")
    one_error(told, 5, "asked again by the next build")
    assert "torn last record" in told[1] and segment.name in told[1]
    code, out, _ = run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "other", "--ledger", tmp_path / "out" / "ledger")
    assert code == 0 and len(taught.prompts) == 5 and "torn last record" in out


def test_a_damaged_ledger_is_skipped_record_by_record(spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out")[0] == 0
    (segment,) = (tmp_path / "out" / "ledger").glob("*.jsonl")
    content = bytearray(segment.read_bytes())
    content[content.index(b"said of")] ^= 0x20
    segment.write_bytes(bytes(content) + b"\x00\xff garbage\n{}\n")
    code, out, _ = run(monkeypatch, "ledger", "verify", tmp_path / "out" / "ledger")
    assert code == 5 and out.count("a damaged record") == 3
    assert run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "other", "--ledger", tmp_path / "out" / "ledger")[0] == 0
    assert len(taught.prompts) == 5


def test_a_ledger_in_use_by_another_process(spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; from pathlib import Path; from datagen.asking.ledger.book import lock\n"
        "held = lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "out" / "ledger")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin and holder.stdout and holder.stdout.readline() == "held\n"
    try:
        one_error(run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out"), 5, f"in use by process {holder.pid}", "--ledger DIR")
        assert taught.prompts == []
    finally:
        holder.kill()
        holder.communicate()
    assert run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out")[0] == 0


def test_a_budget_too_small_for_anything(spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    told = run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out", "--budget", "0.0000001")
    assert told[0] == 8 and "no room left: of $0.0000001, $0 are spent" in told[2] and "Traceback" not in told[2]
    assert "none of them is paid again" in told[2] and taught.prompts == []
    assert run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out")[0] == 0 and len(taught.prompts) == 4


def test_a_teacher_who_is_not_there(spec: Path, tmp_path: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    spec.write_text(spec.read_text().replace("attempts: 2", "attempts: 1").replace(taught.url, "http://127.0.0.1:9/v1"))
    code, _, err = run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out")
    assert code == 10 and "4 rows were left without an answer" in err and "Traceback" not in err


@pytest.mark.parametrize(
    "command",
    [("status",), ("report",), ("sql", "SELECT 1"), ("explain", "r1:00"), ("push", "--repo", "a/b"), ("ledger verify",)],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_looking_at_a_folder_that_holds_no_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], kind: str) -> None:
    place = tmp_path / "place"
    if kind == "empty":
        place.mkdir()
    elif kind == "file":
        place.write_text("mine")
    code, _, err = run(monkeypatch, *command[0].split(), place, *command[1:])
    assert code in (2, 5, 6) and str(place) in err and "Traceback" not in err
    assert kind != "missing" or not place.exists()


def test_questions_that_cannot_be_answered(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out")[0] == 0
    one_error(run(monkeypatch, "sql", tmp_path / "out", "SELEC 1"), 2, "views: ", "rows")
    one_error(run(monkeypatch, "sql", tmp_path / "out", "SELECT nothing FROM rows"), 2, "nothing")
    one_error(run(monkeypatch, "explain", tmp_path / "out", "r1:nothing"), 6, "no row 'r1:nothing'")
    one_error(run(monkeypatch, "push", tmp_path / "out"), 6, "no repository: give --repo owner/name")


def test_words_at_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (("bild",), ("build",), ("build", "--spec", "x", "--out", "y", "--limit", "0"), ("build", "--spec", "x", "--teacher", "human")):
        code, _, err = run(monkeypatch, *arguments)
        assert code == 2 and "Error: " in err and "Traceback" not in err


def test_odd_seeds_and_answers_break_no_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half surrogates, NUL, huge numbers, deep JSON: data, not accidents."""
    seeds = [
        '{"topic": "a\\ud800b"}',
        '{"topic": "nul \\u0000 byte"}',
        '{"topic": 1e400}',
        '{"topic": ' + "9" * 40 + "}",
        '{"topic": {"deep": [[[{}]]]}}',
    ]
    (tmp_path / "seeds.jsonl").write_text("\n".join(seeds))
    replies = iter(['{"text": "\\ud83d", "n": 1}', '{"text": "x", "n": ' + "9" * 40 + "}", '{"text": "\\u0000", "n": 3}', '{"text": ' * 5000, "{"])
    with teacher(lambda prompt: next(replies, "{}")) as taught:
        steps = "  - {name: said, ask: t/text, of: w, reask: 0, returns: {text: str, n: int}}\n  - {name: unique, dedup: {on: text}}"
        spec = project(tmp_path, steps, PROMPTS, SEEDS, "release: {format: text, allow_unanswered: 1.0}", url=taught.url)
        code, out, err = run(monkeypatch, "build", "-s", spec, "-o", tmp_path / "out")
    assert code == 0, err
    assert "release 1.0: 3 rows" in out and len(taught.prompts) == 5
    assert run(monkeypatch, "ledger", "verify", tmp_path / "out")[0] == 0
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["releases"][0]["rows"] == 3
