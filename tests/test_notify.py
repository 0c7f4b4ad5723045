"""The webhook: told once, in time, of what was asked for; and whatever the receiver does, the build is as good and the address as secret."""

from __future__ import annotations

import json
import socket
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from killing import DATAGEN
from receiving import receiver
from teaching import project, teacher
from wire_server import Reply, error

from datagen.build import Options
from datagen.errors import SetupError, SpecError, TeacherStopped
from datagen.job import run
from datagen.running.telling.notify import event_of, tell, text_of
from datagen.running.telling.record import Run
from datagen.spec.terms import Notify

VARIABLE = "TEST_HOOK"
DONE = Run(
    "2026-11-28", "textbook", "released", 0, "2026-11-28T03:00:00+00:00", "2026-11-28T03:10:00+00:00", 600.0, "h", 7, None, version="1.1",
    rows={"new": 1200, "total": 3400}, usd={"run": 3.2, "release": 3.2}, month={"month": "2026-11", "usd": 12.0, "cap": 200.0, "left": 188.0},
)  # fmt: skip
FAILED = replace(DONE, state="stopped", exit_code=7, error={"class": "TeacherStopped", "message": "no <!channel> & no\nkey"})
PAUSED = replace(DONE, state="paused", exit_code=8, error={"class": "BudgetReached", "message": "nothing left"})
STEP = "  - {name: text, ask: t/text, of: w}"


def spec_at(folder: Path, url: str, notify: str = "") -> Path:
    more = f"release: {{format: text}}\n{f'notify: {notify}' if notify else ''}"
    return project(folder, STEP, {"text": "on {{ topic }}"}, "{grid: {topic: [a, b]}}", more, url)


def written(out: Path) -> str:
    """All that a build wrote, as far as it is text."""
    return "\n".join(path.read_text(errors="replace") for path in out.rglob("*") if path.is_file())


def test_a_receiver_gets_the_record_with_a_line_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as heard:
        monkeypatch.setenv(VARIABLE, heard.url)
        assert tell(Notify(url_env=VARIABLE), DONE) == ""
    (document,) = heard.posted
    assert heard.paths == ["/hook/SECRET-0123"]
    text = "textbook, run 2026-11-28: release 1.1 is out, 1,200 new rows, 3,400 in all; $3.20 in this run, $188.00 of $200.00 left in 2026-11"
    assert document == {**json.loads(json.dumps(asdict(DONE))), "event": "finish", "text": text}


def test_what_a_teacher_said_gives_a_chat_room_no_orders() -> None:
    assert "TeacherStopped (exit code 7): no &lt;!channel&gt; &amp; no;" in text_of(FAILED)
    long = replace(FAILED, error={"class": "X", "message": "x" * 5000})
    assert len(text_of(long)) <= 400 and text_of(long).endswith("left in 2026-11")


@pytest.mark.parametrize(("done", "event"), [(DONE, "finish"), (FAILED, "failure"), (PAUSED, "pause"), (replace(DONE, exit_code=10), "failure")])
def test_only_what_was_asked_for_is_told(monkeypatch: pytest.MonkeyPatch, done: Run, event: str) -> None:
    assert event_of(done) == event
    with receiver() as heard:
        monkeypatch.setenv(VARIABLE, heard.url)
        for wanted in ("finish", "pause", "failure"):
            tell(Notify.model_validate({"url_env": VARIABLE, "on": [wanted]}), done)
    assert [document["event"] for document in heard.posted] == [event]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(b"no", 500), "it answered 500"),
        (Reply(b"", 302, {"location": "http://127.0.0.1:9/SECRET-0123"}), "it answered 302"),
        (Reply(how="reset"), "connection reset by peer"),
        (Reply(how="silence"), "gave no answer|TimeoutError"),
        (Reply(b"x", how="drip"), ""),
    ],
    ids=["500", "redirect", "reset", "silence", "drip"],
)
def test_a_bad_receiver_is_tried_three_times_and_named_without_its_address(monkeypatch: pytest.MonkeyPatch, reply: Reply, why: str) -> None:
    with receiver(lambda _: reply) as heard:
        monkeypatch.setenv(VARIABLE, heard.url)
        note = tell(Notify(url_env=VARIABLE), DONE, seconds=0.5, pause=0.0)
        if not why:  # a head of 200 has come: who drips a body behind it has heard
            assert note == "" and len(heard.posted) == 1
            return
    assert len(heard.posted) == 3 and VARIABLE in note and "SECRET" not in note and "127.0.0.1" not in note
    assert any(words in note for words in why.split("|"))


def test_a_receiver_that_comes_back_has_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(lambda number: Reply(b"", 503 if number == 0 else 200)) as heard:
        monkeypatch.setenv(VARIABLE, heard.url)
        assert tell(Notify(url_env=VARIABLE), DONE, pause=0.0) == "" and len(heard.posted) == 2


def test_a_head_that_never_ends_is_left_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then starts a socket's timeout anew; the whole try ends all the same."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{server.getsockname()[1]}/SECRET")
        note = tell(Notify(url_env=VARIABLE), DONE, seconds=0.3, pause=0.0)  # in the backlog: nobody ever accepts
    assert "failed 3 times" in note and "SECRET" not in note


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/SECRET", "http://[bad/SECRET", "http://nobody.invalid:x/SECRET", "http:///SECRET"])
def test_an_address_where_nobody_is(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv(VARIABLE, address)
    note = tell(Notify(url_env=VARIABLE), DONE, seconds=5.0, pause=0.0)
    assert "failed 3 times" in note and "SECRET" not in note and "nobody.invalid" not in note


def test_a_build_tells_its_end_and_a_receiver_that_fails_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with teacher(lambda prompt: prompt) as taught, receiver(lambda _: Reply(b"", 500)) as heard:
        monkeypatch.setenv(VARIABLE, heard.url)
        out = tmp_path / "out"
        (note,) = run(Options(str(spec_at(tmp_path, taught.url, f"{{url_env: {VARIABLE}}}")), out), lambda _: None)
    assert "the webhook of TEST_HOOK failed 3 times, the last time because it answered 500" in note
    record = json.loads((out / "run.json").read_text())
    assert record["state"] == "released" and record["exit_code"] == 0 and record["notes"] == [note]
    assert heard.posted[0] == {**record, "notes": [], "event": "finish", "text": heard.posted[0]["text"]}
    assert "SECRET" not in written(out) and heard.url not in written(out)


def test_a_failure_is_told_and_stays_the_failure_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with teacher(lambda _: Reply(error("openai", "invalid_api_key", "no"), 401)) as taught, receiver() as heard:
        monkeypatch.setenv(VARIABLE, heard.url)
        with pytest.raises(TeacherStopped):
            run(Options(str(spec_at(tmp_path, taught.url)), tmp_path / "out", notify=VARIABLE), lambda _: None)
        with pytest.raises(SpecError):
            run(Options(str(tmp_path / "none.yaml"), tmp_path / "out", notify=VARIABLE), lambda _: None)
    assert [(document["event"], document["exit_code"]) for document in heard.posted] == [("failure", 7), ("failure", 2)]


def test_a_spec_travels_to_machines_without_the_variable_but_a_word_on_the_command_line_is_meant(tmp_path: Path) -> None:
    with teacher(lambda prompt: prompt) as taught:
        spec = spec_at(tmp_path, taught.url, f"{{url_env: {VARIABLE}}}")
        command = [*DATAGEN, "build", "--spec", str(spec), "--out", str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0 and f"note: nobody was told how this run ended: the environment variable {VARIABLE} is not set" in done.stderr
        slip = subprocess.run([*command, "--notify", "TEST_HOKO"], capture_output=True, text=True)
        assert slip.returncode == 4 and "--notify TEST_HOKO: the environment variable TEST_HOKO is not set" in slip.stderr


@pytest.mark.parametrize("address", ["file:///etc/passwd", "hooks.example/SECRET", "ftp://x/SECRET"])
def test_only_http_is_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(SetupError, match="begins with https:// or http://") as refused:
        run(Options("s.yaml", tmp_path, notify=VARIABLE), lambda _: None)
    assert address not in str(refused.value)
    with pytest.raises(SetupError, match="--notify takes the name of an environment variable") as typed:
        run(Options("s.yaml", tmp_path, notify=address), lambda _: None)
    assert address not in str(typed.value)


@pytest.mark.parametrize(
    ("words", "told"), [("{url_env: 'https://hooks.example/SECRET'}", "url_env"), ("{url_env: H, on: [finsh]}", "finish"), ("{url: x}", "url_env")]
)
def test_a_slip_in_the_spec_is_told_where_it_stands(tmp_path: Path, words: str, told: str) -> None:
    with pytest.raises(SpecError, match=r"s\.yaml:\d+") as refused:
        run(Options(str(spec_at(tmp_path, "http://127.0.0.1:9/v1", words)), tmp_path / "out"), lambda _: None)
    assert told in str(refused.value) and "SECRET" not in str(refused.value)
