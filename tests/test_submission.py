"""What is handed to a cluster: exactly the files a build reads, a name that says what the work is, and no secret; all before a cluster is met."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from datagen.build import Options, planned
from datagen.errors import OutputError, SetupError, SpecError
from datagen.runtime.onray.jobs import Job, Jobs
from datagen.service.submission import Order, prepare, runs_of
from datagen.spec.load import load_spec

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens there: a command that complains of anything else has not asked."""
SPEC = """\
name: notes
seeds: {table: ../shared/seeds-*.jsonl, take: 6, also: [../shared/thin.jsonl]}
vary: {tone: tones}
teachers: {w: {model: openai/gpt-5-mini, api_key_env: NOTES_KEY, max_tokens: 200, timeout: 90}}
steps:
  - {name: answer, ask: say, of: w}
  - {name: good, filter: clean, on: answer}
  - {name: clean, decontaminate: {on: answer, against: [bench.jsonl, listed]}}
release: {format: instruction, columns: {instruction: question, output: answer}, budget: {usd: 5}}
rehearsal: {bank: {path: bank.jsonl}}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec that reads a file in every way there is, and has neighbours that it does not read."""
    files = {
        "project/specs/notes.yaml": SPEC,
        "project/specs/prompts/say.md.j2": "In a {{ tone }} tone: {{ question }}",
        "project/specs/prompts/unused.md.j2": "{{ question }}",
        "project/specs/prompts/tones.txt": "plain\nwarm\n",
        "project/specs/filters/clean.yaml": "- length: {min_words: 1}\n",
        "project/specs/bench.jsonl": '{"question": "What is a verb?"}\n',
        "project/specs/bank.jsonl": '{"question": "What is 1?", "answer": "A number."}\n',
        "project/specs/.env": "NOTES_KEY=sk-notes-0123456789\n",
        "project/shared/seeds-1.jsonl": "".join(json.dumps({"question": f"What is {n}?"}) + "\n" for n in range(4)),
        "project/shared/seeds-2.jsonl": "".join(json.dumps({"question": f"What is {n}?"}) + "\n" for n in range(4, 9)),
        "project/shared/thin.jsonl": '{"question": "What is 77?"}\n',
        "project/shared/other.jsonl": "{}\n",
        "library/benchmarks/listed.jsonl": '{"question": "What is a noun?"}\n',
    }
    for place, text in files.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    return tmp_path / "project" / "specs" / "notes.yaml"


def order(spec: Path, **more: object) -> Order:
    return replace(Order(str(spec), "s3://bucket/notes", run_id="r", library=spec.parents[2] / "library"), **more)  # type: ignore[arg-type]


def fingerprint(spec: Path, folder: Path) -> str:
    with planned(load_spec(str(spec)), Options(str(spec), folder, teacher="simulator")) as (plan, _):
        return plan.fingerprint


def test_exactly_what_a_build_reads_travels_and_plans_alike(spec: Path, tmp_path: Path) -> None:
    prepared = prepare(order(spec, teacher="simulator"))
    assert set(prepared.bundle.files) == {
        "specs/notes.yaml",
        "specs/prompts/say.md.j2",
        "specs/prompts/tones.txt",
        "specs/filters/clean.yaml",
        "specs/bench.jsonl",
        "specs/bank.jsonl",
        "specs/benchmarks/listed.jsonl",
        "shared/seeds-1.jsonl",
        "shared/seeds-2.jsonl",
        "shared/thin.jsonl",
    }
    prepared.bundle.write(tmp_path / "there")
    there = tmp_path / "there" / prepared.bundle.spec
    assert prepared.metadata["plan"] == fingerprint(there, tmp_path), "without --library: what it gave lies beside the spec"


def test_documents_travel_too_and_an_absolute_path_stays(spec: Path, tmp_path: Path) -> None:
    pages = spec.parent / "pages"
    (pages / "deep").mkdir(parents=True)
    (pages / "deep" / "a.md").write_text("# A\n\n" + "word " * 60)
    (pages / "b.pdf").write_text("no text")
    text = SPEC.replace("table: ../shared/seeds-*.jsonl, take: 6, also: [../shared/thin.jsonl]", "documents: {}").replace(
        "{{ question }}", "{{ passage }}"
    )
    (spec.parent / "prompts" / "say.md.j2").write_text("In a {{ tone }} tone: {{ passage }}")
    text = text.replace("instruction: question", "instruction: passage")
    spec.write_text(text.replace("documents: {}", "documents: pages"))
    assert "pages/deep/a.md" in prepare(order(spec)).bundle.files and "pages/b.pdf" not in prepare(order(spec)).bundle.files
    spec.write_text(text.replace("documents: {}", f"documents: {pages}"))
    assert not [place for place in prepare(order(spec)).bundle.files if "pages" in place]


def test_the_command_is_the_builds_own(spec: Path) -> None:
    prepared = prepare(order(spec, teacher="simulator", limit=3, workers=4, budget=2.5, push=True, yes=True, again="rejected", unsafe_sandbox=True))
    words = prepared.entrypoint.split()
    assert words[:6] == ["exec", "python", "-m", "datagen.cli", "build", "--spec"] and words[6] == "specs/notes.yaml"
    given = dict(zip(words[5::2], words[6::2], strict=False))
    assert given["--out"] == "s3://bucket/notes" and given["--runtime"] == "ray"
    for option in ("--limit 3", "--workers 4", "--budget 2.5", "--teacher simulator", "--again rejected", "--push", "--yes", "--unsafe-sandbox"):
        assert option in prepared.entrypoint
    assert prepared.environment == {"RAY_JOB_STOP_WAIT_TIME_S": "150"}, "the teacher's timeout and a minute"


def test_one_plan_and_one_run_have_one_name(spec: Path) -> None:
    name = prepare(order(spec)).id
    assert name == prepare(order(spec, budget=9.0, workers=7, yes=True)).id, "how much and how fast is not what"
    assert name.startswith("notes-") and name.endswith("-r")
    others = [
        prepare(order(spec, **change)).id
        for change in ({"run_id": "s"}, {"out": "s3://bucket/other"}, {"limit": 3}, {"teacher": "simulator"}, {"push": True}, {"again": "rejected"})
    ]
    spec.write_text(SPEC.replace("take: 6", "take: 7"))
    others.append(prepare(order(spec)).id)
    spec.write_text(SPEC.replace("max_tokens: 200", "max_tokens: 201"))
    others.append(prepare(order(spec)).id)
    spec.write_text(SPEC)
    seeds = spec.parents[1] / "shared" / "seeds-1.jsonl"
    seeds.write_text(seeds.read_text().replace("What is 0?", "What was 0?"))
    others.append(prepare(order(spec)).id)
    assert len({name, *others}) == 1 + len(others)


def test_a_run_is_named_after_the_day_unless_it_is_given_a_name(spec: Path) -> None:
    before = time.strftime("%Y-%m-%d", time.gmtime())
    assert prepare(order(spec, run_id="")).metadata["run"] in (before, time.strftime("%Y-%m-%d", time.gmtime()))
    named = prepare(order(spec, run_id="nightly.3"))
    assert named.metadata["run"] == "nightly.3" and named.id.endswith("-nightly.3") and "--run-id nightly.3" in named.entrypoint
    with pytest.raises(SpecError, match="--run-id"):
        prepare(order(spec, run_id="../x"))


def test_the_runs_of_a_name_are_found_in_order() -> None:
    def job(id: str) -> Job:
        return Job(id, "FAILED", 1, "", {}, 0.0, 0.0)

    found = runs_of("n-abc-r", [job("n-abc-r-10"), job("n-abc-r-2"), job("n-abc-r"), job("n-abc-rr"), job("n-abc-r-x"), job("x-n-abc-r")])
    assert [each.id for each in found] == ["n-abc-r", "n-abc-r-2", "n-abc-r-10"]


@pytest.mark.parametrize(
    ("status", "code", "ends"),
    [("SUCCEEDED", 0, 0), ("FAILED", 12, 12), ("FAILED", -9, 137), ("FAILED", None, 1), ("STOPPED", None, 130)],
)
def test_a_job_ends_as_its_build_would_at_a_terminal(status: str, code: int | None, ends: int) -> None:
    assert Job("x", status, code, "", {}, 0.0, 0.0).exit_code == ends


@pytest.mark.parametrize("place", ["prompts/say.md.j2", "notes.yaml", "bench.jsonl"])
def test_a_key_in_a_file_that_would_travel_is_refused(spec: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTES_KEY", "sk-notes-0123456789")
    prepare(order(spec))  # .env holds it, and stays
    path = spec.parent / place
    path.write_text(path.read_text() + ('{"question": "sk-notes-0123456789"}\n' if place == "bench.jsonl" else "# sk-notes-0123456789\n"))
    with pytest.raises(SetupError, match=rf"the value of NOTES_KEY stands in the file specs/{place}.*nothing was submitted"):
        prepare(order(spec))


def test_a_key_in_the_command_is_refused(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret/of/a/bucket")
    with pytest.raises(SetupError, match="the value of AWS_SECRET_ACCESS_KEY stands in the command"):
        prepare(order(spec, out="s3://user:secret/of/a/bucket@bucket/notes"))


def test_too_much_names_what_is_biggest(spec: Path) -> None:
    big = spec.parents[1] / "shared" / "seeds-3.jsonl"
    with big.open("w") as stream:
        for number in range(52):
            stream.write(json.dumps({"question": f"{number} " + "x" * 2**20}) + "\n")
    with pytest.raises(SetupError, match=r"more than the 50\.0 MiB.*the biggest: shared/seeds-3\.jsonl \(52\.0 MiB\).*Put seeds on s3://"):
        prepare(order(spec))


@pytest.mark.parametrize("more", [{"out": "out/notes"}, {"ledger": "ledger"}])
def test_a_relative_place_is_refused(spec: Path, more: dict[str, str]) -> None:
    with pytest.raises(OutputError, match="a job's own folder is gone when it ends"):
        prepare(order(spec, **more))


def test_a_bad_spec_is_told_before_the_cluster_is_asked(spec: Path) -> None:
    spec.write_text(SPEC.replace("ask: say", "ask: sya"))
    done = typed("submit", "--spec", spec, "--out", "s3://bucket/notes", "--address", NOWHERE)
    assert done.returncode == 2 and "did you mean 'say'" in done.stderr and NOWHERE not in done.stderr


def test_an_address_where_nobody_listens_is_named(spec: Path) -> None:
    done = typed("stop", "some-job", "--address", NOWHERE)
    assert done.returncode == 4 and f"nobody answers at {NOWHERE}" in done.stderr and "Traceback" not in done.stderr
    with pytest.raises(SetupError, match="is no address of a Ray dashboard; it begins with http://"):
        Jobs("ray://head:10001")


def test_status_wants_a_folder_or_an_address() -> None:
    done = typed("status")
    assert done.returncode == 2 and "--address" in done.stderr


def typed(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "datagen.cli", *map(str, words)], capture_output=True, text=True, check=False)
