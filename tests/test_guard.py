"""When a build stops paying although nothing is broken: the pilot, error shares, caps; and what is taken down stays down."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from killing import recorded_keys
from teaching import project, teacher
from wire_server import Reply, chat, encoded, error

from datagen.asking.ledger.book import Ledger
from datagen.build import Options, Summary, build, require_answers
from datagen.cli import cli
from datagen.errors import BudgetReached, LowYield, OutputError, SetupError, SpecError, TeacherPaused, TooManyFailures
from datagen.records import NANO
from datagen.running.telling.show import Snapshot
from datagen.storage import read_json, read_table

SEEDS = "{grid: {topic: [" + ", ".join(str(number) for number in range(240)) + "]}}"
STEPS = """\
  - {name: text, ask: t/say, of: w}
  - {name: right, filter: [{length: {on: text, min_words: 5}}]}
  - {name: unique, dedup: {on: text}}"""
PROMPTS = {"say": "Say something about {{ topic }}"}


def say(prompt: str) -> str:
    """Every third answer is too short to keep."""
    number = int(re.findall(r"\d+", prompt)[0])
    return "too short" if number % 3 == 0 else f"Number {number} is a number of which much could be said, were there time."


def spec_at(folder: Path, url: str, guard: str, more: str = "") -> Path:
    return project(folder, STEPS, PROMPTS, SEEDS, f"release: {{format: text{more}}}\nguard: {guard}", url)


def run(spec: Path, out: Path, news: list[str], **more: object) -> Summary:
    def watch(snapshot: Snapshot) -> None:
        if snapshot.news and snapshot.news not in news:
            news.append(snapshot.news)

    return build(Options(str(spec), out, **more), watch)  # type: ignore[arg-type]


def test_the_pilot_forecasts_rows_and_dollars_and_costs_nothing_more(tmp_path: Path) -> None:
    with teacher(say) as taught:
        spec = spec_at(tmp_path, taught.url, "{pilot: 30}")
        summary = run(spec, tmp_path / "out", [])
        assert len(taught.prompts) == 240  # the pilot's answers are the build's
        forecast = next(note for note in summary.notes if note.startswith("pilot: 30 seeds gave"))
        kept, share, each = re.findall(r"gave (\d+) curated rows \(yield (\d+)%\), \$([\d.]+) a curated row", forecast)[0]
        assert round(100 * int(kept) / 30) == int(share) and 45 <= int(share) <= 85 and summary.rows == 160
        found = read_json(tmp_path / "out" / "steps" / "pilot.json")
        assert found["forecast"]["rows"] == int(kept) and float(each) == pytest.approx(found["forecast"]["spent"] / int(kept), abs=1e-4)
        assert not (tmp_path / "out" / "steps" / "pilot").exists()
        run(spec, tmp_path / "out", [])
        assert len(taught.prompts) == 240


def test_below_min_yield_the_build_stops_at_the_pilot_and_a_new_number_goes_on(tmp_path: Path) -> None:
    with teacher(say) as taught:
        news: list[str] = []
        with pytest.raises(LowYield, match=r"below min_yield 95%") as stopped:
            run(spec_at(tmp_path, taught.url, "{pilot: 30, min_yield: 0.95}"), tmp_path / "out", news)
        assert len(taught.prompts) == 30 and "30 answers are in" in str(stopped.value) and stopped.value.exit_code == 12
        with pytest.raises(LowYield):
            run(spec_at(tmp_path, taught.url, "{pilot: 30, min_yield: 0.95}"), tmp_path / "out", news)
        assert len(taught.prompts) == 30
        summary = run(spec_at(tmp_path, taught.url, "{pilot: 30, min_yield: 0.3}"), tmp_path / "out", news)
        assert summary.rows == 160 and len(taught.prompts) == 240


def test_a_yield_without_a_pilot_is_a_mistake_in_the_spec(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"s\.yaml:\d+: min_yield is judged by the pilot"):
        run(spec_at(tmp_path, "http://127.0.0.1:9/v1", "{pilot: 0, min_yield: 0.5}"), tmp_path / "out", [])


def test_a_small_build_has_no_pilot(tmp_path: Path) -> None:
    with teacher(say) as taught:
        summary = run(spec_at(tmp_path, taught.url, "{pilot: 61}"), tmp_path / "out", [])
        assert not any(note.startswith("pilot") for note in summary.notes)


@pytest.mark.parametrize(
    ("outcome", "finish", "message"),
    [
        ("truncated", "length", {"content": "half a"}),
        ("refused", "stop", {"content": None, "refusal": "no"}),
        ("filtered", "content_filter", {"content": ""}),
    ],
)
def test_a_share_of_bad_answers_stops_the_build_and_says_which(tmp_path: Path, outcome: str, finish: str, message: dict[str, str]) -> None:
    def script(prompt: str) -> str | Reply:
        number = int(re.findall(r"\d+", prompt)[0])
        return Reply(encoded(chat(message, finish=finish))) if number % 3 == 0 else say(prompt)

    with teacher(script) as taught:
        with pytest.raises(TooManyFailures, match=rf"of the last \d\d answers of teacher 'w' were {outcome}") as stopped:
            run(spec_at(tmp_path, taught.url, "{pilot: 0}"), tmp_path / "out", [])
        asked = len(taught.prompts)
        assert 50 <= asked < 240 and "answers are in" in str(stopped.value)
        with pytest.raises(TooManyFailures, match=rf"as the last time: .* were {outcome}"):
            run(spec_at(tmp_path, taught.url, "{pilot: 0}"), tmp_path / "out", [])
        assert len(taught.prompts) == asked, "typed again, it paid for more of them"
        summary = run(spec_at(tmp_path, taught.url, f"{{pilot: 0, error_share: {{{outcome}: 0.5}}}}"), tmp_path / "out", [])
        assert len(taught.prompts) == 240 and summary.rows > 0


def test_a_used_up_quota_pauses_and_the_same_command_goes_on(tmp_path: Path) -> None:
    spent: list[int] = []

    def script(prompt: str) -> str | Reply:
        if len(spent) == 0 and int(re.findall(r"\d+", prompt)[0]) == 77:
            return Reply(error("openai", "insufficient_quota", "You exceeded your current quota"), 429)
        return say(prompt)

    with teacher(script) as taught:
        spec = spec_at(tmp_path, taught.url, "{pilot: 0}")
        with pytest.raises(TeacherPaused) as paused:
            run(spec, tmp_path / "out", [])
        assert paused.value.exit_code == 11 and "The same command goes on" in str(paused.value)
        spent.append(1)
        assert run(spec, tmp_path / "out", []).rows == 160
        assert len(taught.prompts) == 241


def test_a_row_taken_down_leaves_ledger_and_next_release(tmp_path: Path) -> None:
    from click.testing import CliRunner

    with teacher(say) as taught:
        spec, out = spec_at(tmp_path, taught.url, "{pilot: 0}", ", allow_unanswered: 1.0"), tmp_path / "out"
        row = run(spec, out, []).example
        (text,) = [released["text"] for path in (out / "data").iterdir() for released in read_table(path) if released["id"] == row]
        down = CliRunner().invoke(cli, ["ledger", "forget", str(out), row, "--yes"])
        assert down.exit_code == 0, down.output
        assert not any(text.encode() in path.read_bytes() for path in (out / "ledger").rglob("*") if path.is_file())
        with pytest.raises(OutputError, match="1 released rows were taken down"):
            run(spec, out, [])
        for path in (out / "data").iterdir():
            path.unlink()
        summary = run(spec, out, [], yes=True)
        assert summary.version == "2.0" and summary.rows == 159 and summary.unanswered == 0 and len(taught.prompts) == 240
        assert row not in {released["id"] for path in (out / "data").iterdir() for released in read_table(path)}
        assert run(spec, out, []).version == "2.0"  # nothing to do, although the files of 1.0 are gone
        assert json.dumps(text) not in (out / "report.html").read_text()


BATCHED = """\
name: batched
seeds: {{grid: {{topic: [{topics}]}}}}
teachers: {{w: {{model: openai/w, mode: batch, max_tokens: {room}, batch: {{poll: 0.1}}, price: {{input: 1, output: 10}}}}}}
steps:
  - {{name: first, ask: t/say, of: w}}
  - {{name: second, ask: t/more, of: w}}
release: {{format: text, columns: {{text: second}}, allow_unanswered: 1.0}}
guard: {{pilot: 0, error_share: {{truncated: 0.3}}}}
rehearsal: {{seed: 3, batches: {{seconds: 0.2}}}}
"""


def batched(folder: Path, room: int) -> Path:
    project(folder, "  - {name: x, ask: t/say, of: w}", {"say": "Write about {{ topic }}", "more": "Go on: {{ first }}"}, SEEDS)
    spec = folder / "batched.yaml"
    spec.write_text(BATCHED.format(topics=", ".join(f"topic {number}" for number in range(120)), room=room))
    return spec


def truncated(out: Path) -> dict[str, int]:
    """Step -> its truncated answers."""
    found = Counter(call["step"] for path in (out / "steps").glob("*/calls/*.parquet") for call in read_table(path) if call["outcome"] == "truncated")
    return dict(found)


def test_after_a_round_of_batches_with_too_many_bad_answers_there_is_no_other_and_a_few_are_no_reason(tmp_path: Path) -> None:
    with pytest.raises(TooManyFailures, match="were truncated"):
        run(batched(tmp_path, room=200), tmp_path / "bad", [], teacher="simulator")
    assert len(recorded_keys(tmp_path / "bad" / "ledger")) == 120  # the second step was not asked
    run(batched(tmp_path, room=565), tmp_path / "good", [], teacher="simulator")
    assert 6 <= truncated(tmp_path / "good")["first"] <= 30


def test_no_key_is_needed_where_the_ledger_holds_every_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with teacher(say) as taught:
        spec = spec_at(tmp_path, taught.url, "{pilot: 0}")
        spec.write_text(spec.read_text().replace("label: test", "label: test, api_key_env: TEST_KEY"))
        with pytest.raises(SetupError, match="set TEST_KEY"):
            run(spec, tmp_path / "none", [])
        monkeypatch.setenv("TEST_KEY", "sk-0123456789")
        first = run(spec, tmp_path / "out", [])
        monkeypatch.delenv("TEST_KEY")
        asked = len(taught.prompts)
        again = run(spec, tmp_path / "again", [], ledger=tmp_path / "out" / "ledger")
        assert again.rows == first.rows == 160 and again.asked == 0 and len(taught.prompts) == asked
        spec.write_text(spec.read_text().replace("topic: [0,", "topic: [1000, 0,"))
        with pytest.raises(SetupError, match="set TEST_KEY"):
            run(spec, tmp_path / "more", [], ledger=tmp_path / "out" / "ledger")
        assert len(taught.prompts) == asked


def nothing(prompt: str) -> str:
    return "short"


def test_a_yield_that_was_asked_for_is_judged_in_a_small_build_too(tmp_path: Path) -> None:
    with teacher(nothing) as taught:
        with pytest.raises(LowYield, match="below min_yield 50%"):
            run(spec_at(tmp_path, taught.url, "{pilot: 100, min_yield: 0.5}"), tmp_path / "out", [])
        assert len(taught.prompts) == 100


def test_a_pilot_that_met_an_outage_is_flown_again_and_what_failed_counts_for_nothing(tmp_path: Path) -> None:
    ill = [True]

    def script(prompt: str) -> str | Reply:
        number = int(re.findall(r"\d+", prompt)[0])
        if ill and number % 2:
            return Reply(error("openai", "server_error"), 500)
        return f"Number {number} is a number of which much could be said, were there time, and {'even' if number % 2 == 0 else 'odd'} it is."

    guard = "{pilot: 30, min_yield: 0.8, error_share: 1.0}"
    with teacher(script) as taught:
        spec = spec_at(tmp_path, taught.url, guard, ", allow_unanswered: 1.0")
        first = run(spec, tmp_path / "out", [])
        assert 0 < first.rows < 240 and not (tmp_path / "out" / "steps" / "pilot.json").exists()
        ill.clear()
        assert run(spec, tmp_path / "out", []).total == 240


def test_a_release_without_a_row_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with teacher(nothing) as taught:
        spec = spec_at(tmp_path, taught.url, "{pilot: 0}")
        summary = run(spec, tmp_path / "out", [])
        with pytest.raises(LowYield, match="no row was kept"):
            require_answers(summary, 0.0)


@pytest.mark.parametrize(
    ("caps", "words"),
    [
        (
            ", budget: {usd: 0.01}",
            r"this release has no room left: of \$0.01, \$0.\d+ are spent or may have been, and the next request may take \$0.0",
        ),
        (", budget: {requests: 9}", r"this release has no room left: of 9 requests, 9 requests are spent"),
    ],
)
def test_a_spent_budget_says_which_and_how_much(tmp_path: Path, caps: str, words: str) -> None:
    with teacher(say) as taught, pytest.raises(BudgetReached, match=words) as stopped:
        run(spec_at(tmp_path, taught.url, "{pilot: 0}", caps), tmp_path / "out", [])
    assert "With a larger budget the same command goes on from here" in str(stopped.value)


def test_what_failed_attempts_may_have_cost_is_on_the_receipt(tmp_path: Path) -> None:
    failed: set[str] = set()

    def script(prompt: str) -> str | Reply:
        if prompt in failed or int(re.findall(r"\d+", prompt)[0]) % 4:
            return say(prompt)
        failed.add(prompt)
        return Reply(b"<html>not an answer</html>", 200)

    with teacher(script) as taught:
        run(spec_at(tmp_path, taught.url, "{pilot: 0}"), tmp_path / "out", [])
    cost = read_json(tmp_path / "out" / "manifest.json")["cost"]
    account = Ledger(tmp_path / "out" / "ledger", "").accounts["tiny/1.0"]["w"]
    assert len(failed) == 60 and account.possible.requests == 60
    assert cost["maybe_usd"] == pytest.approx(account.possible.cost / NANO) and cost["usd"] == pytest.approx(account.answered.cost / NANO)
    for page in ("report.html", "README.md"):
        assert "may have been billed" in (tmp_path / "out" / page).read_text()
