"""The ledger keeps what was paid for: through torn writes, damage, lost segments and kill -9; and says so where it cannot."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.asking.ledger import book as module
from datagen.asking.ledger.book import Account, Ledger, compact, lines, lock, opened, sealed, segments, verify
from datagen.errors import LedgerError, TeacherFault
from datagen.inspect import release
from datagen.records import Outcome, Request, Response, Spend, Usage

CHILD = """
import os, signal, sys
from pathlib import Path
from datagen.asking.ledger.book import Ledger, lock
from datagen.records import Outcome, Request, Response, Spend
folder, build = Path(sys.argv[1]), sys.argv[2]
held = lock(folder)
book = Ledger(folder, build)
asked = [Request('openai', '', 'm', (('user', f'question {number}'),), {'max_tokens': 10}) for number in range(8)]
for request in asked:
    book.reserve(request, 't', Spend(100, 10, 1))
for request in asked[:3]:
    book.record(request, 't', Response(Outcome.ANSWERED, 'yes', cost=7), Spend(7, 5, 1))
print('ready', flush=True)
signal.pause()
"""


def asked(number: int = 0, **changes: Any) -> Request:
    return replace(Request("openai", "", "m", (("user", f"question {number}"),), {"max_tokens": 10}), **changes)


def said(text: str = "yes", cost: int = 7, outcome: Outcome = Outcome.ANSWERED) -> Response:
    return Response(
        outcome, text, "because", "stop", Usage(10, 5, 2, 1, 3), cost, "m-2026", "req_1", "fp", [{"token": "a", "logprob": -0.5}], 1.25, raw="{}"
    )


PAID, WORST = Spend(7, 15, 1), Spend(100, 30, 1)


def written(folder: Path, count: int = 3, build: str = "b/1.0") -> Path:
    """One closed segment with `count` answers, each with its reservation."""
    book = Ledger(folder, build)
    for number in range(count):
        book.reserve(asked(number), "t", WORST)
        book.record(asked(number), "t", said(f"answer {number}"), PAID)
    book.close()
    return segments(folder)[-1]


def test_what_was_recorded_comes_back_whole_also_to_another_process(tmp_path: Path) -> None:
    book = Ledger(tmp_path, "b/1.0")
    assert book.get(asked().key) is None and asked().key not in book
    book.record(asked(), "t", said(), PAID)
    assert book.get(asked().key) == Ledger(tmp_path, "").get(asked().key) == said()
    book.close()
    entry = Ledger(tmp_path, "").entry(asked().key)
    assert entry is not None and entry["request"] == asked().identity() and entry["build"] == "b/1.0" and entry["kind"] == "answer"


@given(
    st.text(),
    st.text(st.characters(categories=("Cs", "Cc", "L"))),
    st.lists(st.tuples(st.sampled_from(["system", "user"]), st.text()), min_size=1, max_size=3).map(tuple),
)
def test_any_text_survives_in_answer_and_question(text: str, odd: str, messages: tuple[tuple[str, str], ...]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        book = Ledger(Path(folder), "b")
        request = asked(messages=(*messages, ("user", odd)))
        book.record(request, "t", said(text), PAID)
        book.close()
        again = Ledger(Path(folder), "b")
        found = again.get(request.key)
        again.close()
        assert found is not None and found.text == text and verify(Path(folder)) == (1, [])


def test_a_final_outcome_is_replayed_and_a_failed_one_asked_again(tmp_path: Path) -> None:
    book = Ledger(tmp_path, "b")
    for number, outcome in enumerate(Outcome):
        book.record(asked(number), "t", Response(outcome, error="x"), PAID)
    book.close()
    again = Ledger(tmp_path, "b")
    for number, outcome in enumerate(Outcome):
        found = again.get(asked(number).key)
        assert (found is None) == (outcome is Outcome.FAILED) and (found is None or found.outcome is outcome)
    assert len(again) == len(Outcome) - 1


def test_an_answer_after_a_failure_counts(tmp_path: Path) -> None:
    for response in (said(outcome=Outcome.FAILED), said("late")):
        book = Ledger(tmp_path, "b")
        book.record(asked(), "t", response, PAID)
        book.close()
    found = Ledger(tmp_path, "b").get(asked().key)
    assert found is not None and found.text == "late"


# --- damage ---


@pytest.mark.parametrize("cut", [1, 2, 40, 400])
def test_a_torn_last_record_is_named_skipped_and_never_an_answer(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    book = Ledger(tmp_path, "b/1.0")
    assert [torn.what for torn in book.torn] == ["torn"] and "torn last record" in str(book.torn[0])
    assert asked(1).key in book and book.get(asked(2).key) is None
    assert book.accounts["b/1.0"]["t"].committed == Spend(7 + 7 + 100, 15 + 15 + 30, 3)  # the third may have been billed
    good, problems = verify(tmp_path)
    assert good == 5 and len(problems) == 1 and path.name in problems[0] and "torn last record" in problems[0]
    book.record(asked(2), "t", said("again"), PAID)  # goes to a segment of its own, not behind the torn line
    book.close()
    assert Ledger(tmp_path, "").get(asked(2).key) == said("again")


def test_every_flipped_byte_is_found_and_costs_one_record(tmp_path: Path) -> None:
    path = written(tmp_path, count=2)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[at] ^= 0x01
        path.write_bytes(bytes(flipped))
        good, problems = verify(tmp_path)
        assert problems and good >= 2, at
        book = Ledger(tmp_path, "")
        for number in range(2):
            found = book.get(asked(number).key)
            assert found is None or found == said(f"answer {number}")
        book.close()


def test_damage_in_the_middle_is_not_called_a_torn_end(tmp_path: Path) -> None:
    path = written(tmp_path)
    for at in (path.read_bytes().index(b"answer 1"), path.read_bytes().index(b"answer 2")):
        content = bytearray(path.read_bytes())
        content[at] ^= 0x20
        path.write_bytes(bytes(content))
    assert [problem.count("a damaged record") for problem in verify(tmp_path)[1]] == [1, 1]
    assert {torn.what for torn in Ledger(tmp_path, "").torn} == {"damaged"}


def test_a_record_that_was_rewritten_with_a_right_checksum_is_found_by_its_key(tmp_path: Path) -> None:
    path = written(tmp_path)
    record = opened(path.read_bytes().splitlines(keepends=True)[1])
    assert record is not None
    del record["crc"]
    record["request"]["model"] = "dearer"
    path.write_bytes(path.read_bytes() + sealed(record))
    good, problems = verify(tmp_path)
    assert good == 6 and len(problems) == 1 and "is not that of the request beside it" in problems[0]


@pytest.mark.parametrize("indexed", [False, True])
def test_a_flipped_byte_in_an_old_record_is_named_and_that_answer_alone_is_asked_again(tmp_path: Path, indexed: bool) -> None:
    path = written(tmp_path)
    if indexed:
        compact(tmp_path)
    book = Ledger(tmp_path, "b/2.0")
    content = bytearray(path.read_bytes())
    content[content.index(b"answer 1")] ^= 0x20
    path.write_bytes(bytes(content))
    assert asked(1).key in book and book.get(asked(1).key) is None and asked(1).key not in book
    assert [str(torn) for torn in book.torn] == [f"{path.name} at byte {_offset(path, 3)}: a damaged record; skipped, what it held is asked again"]
    assert book.get(asked(0).key) == said("answer 0") and book.get(asked(1).key) is None and len(book.torn) == 1
    book.record(asked(1), "t", said("anew"), PAID)
    assert book.get(asked(1).key) == said("anew") and asked(1).key in book
    book.close()
    again = Ledger(tmp_path, "")
    assert again.get(asked(1).key) == said("anew") and again.get(asked(2).key) == said("answer 2")


def _offset(path: Path, number: int) -> int:
    return [offset for offset, _, _ in lines(path)][number]


@pytest.mark.parametrize("gone", [0, 1])
def test_a_deleted_segment_is_found(tmp_path: Path, gone: int) -> None:
    paths = [written(tmp_path, count) for count in (1, 2, 3)]
    assert verify(tmp_path)[1] == [] and len(set(paths)) == 3
    paths[gone].unlink()
    good, problems = verify(tmp_path)
    assert len(problems) == 1 and f"segment {gone + 1:06d} is missing" in problems[0] and good == 12 - 2 * (gone + 1)


def test_of_two_answers_to_one_key_the_lowest_segment_and_offset_wins(tmp_path: Path) -> None:
    texts = iter(["first", "second", "third"])
    for _ in range(2):
        book = Ledger(tmp_path / "other", "b")  # an index that does not know the other segment
        book.folder = tmp_path
        book.record(asked(), "t", said(next(texts)), PAID)
        book.close()
    names = [path.name for path in segments(tmp_path)]
    assert names == ["000001-000.jsonl", "000002-000.jsonl"]
    for _ in range(2):
        found = Ledger(tmp_path, "").get(asked().key)
        assert found is not None and found.text == "first"
    segments(tmp_path)[0].rename(tmp_path / "000003-000.jsonl")
    found = Ledger(tmp_path, "").get(asked().key)
    assert found is not None and found.text == "second"
    within = Ledger(tmp_path / "within", "b")
    for text in ("one", "two"):
        within.record(asked(), "t", said(text), PAID)
    found = within.get(asked().key)
    assert found is not None and found.text == "one"
    within.close()
    assert Ledger(tmp_path / "within", "").get(asked().key) == found


def test_writers_of_one_build_never_share_a_segment(tmp_path: Path) -> None:
    books = [Ledger(tmp_path, "b", writer) for writer in range(4)] + [Ledger(tmp_path, "b", 0)]
    for number, book in enumerate(books):
        book.record(asked(number), "t", said(), PAID)
    for book in books:
        book.close()
    assert len(segments(tmp_path)) == 5 and len(Ledger(tmp_path, "")) == 5 and verify(tmp_path) == (5, [])


# --- money ---


@pytest.mark.parametrize("indexed", [False, True])
def test_accounts_are_added_up_from_the_records(tmp_path: Path, indexed: bool) -> None:
    book = Ledger(tmp_path, "b/1.0")
    for number in range(4):
        book.reserve(asked(number), "t", WORST)
    book.reserve(asked(5), "judge", Spend(3, 2, 1))
    book.record(asked(0), "t", said(cost=7), PAID)
    book.fault(asked(1).key, "t", TeacherFault("transient", "reset"), WORST)
    book.reserve(asked(1), "t", WORST)
    book.record(asked(1), "t", said(cost=9), Spend(9, 20, 1))
    book.fault(asked(2).key, "t", TeacherFault("rate_limited", "429", status=429), Spend())
    live = book.accounts
    book.close()
    other = Ledger(tmp_path, "b/2.0")
    other.reserve(asked(9), "t", Spend(1, 1, 1))
    other.close()
    if indexed:
        compact(tmp_path)
    accounts = Ledger(tmp_path, "").accounts
    assert accounts["b/1.0"] == live["b/1.0"]
    first = accounts["b/1.0"]["t"]
    assert (first.answered, first.possible, list(first.open.values())) == (Spend(16, 35, 2), WORST, [WORST])
    assert first.committed == Spend(216, 95, 4) and accounts["b/1.0"]["judge"].committed == Spend(3, 2, 1)
    assert accounts["b/2.0"]["t"].committed == Spend(1, 1, 1) and Account().committed == Spend()


def child(folder: Path, build: str = "b/1.0") -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(folder), build], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert process.stdout is not None
    process.stdout.close()


def test_what_a_killed_process_had_in_flight_counts_as_spent_also_after_it_is_asked_again(tmp_path: Path) -> None:
    killed(child(tmp_path))
    book = Ledger(tmp_path, "b/1.0")
    assert not book.torn and len(book) == 3 and book.accounts["b/1.0"]["t"].committed == Spend(3 * 7 + 5 * 100, 3 * 5 + 5 * 10, 8)
    for number in range(3, 8):  # the next run asks again; the first request may have been billed all the same
        book.reserve(asked(number), "t", WORST)
        book.record(asked(number), "t", said(cost=7), PAID)
    book.close()
    account = Ledger(tmp_path, "b/1.0").accounts["b/1.0"]["t"]
    assert account.answered.cost == 8 * 7 and len(account.open) == 5 and account.committed.cost == 8 * 7 + 5 * 100


@pytest.mark.parametrize("indexed", [True, False])
def test_what_a_person_gives_back_counts_no_more_and_what_is_sent_later_does(tmp_path: Path, indexed: bool) -> None:
    killed(child(tmp_path))
    (line,) = [release(tmp_path, "b/1.0")]
    assert "5 requests that dead processes had in flight count as spent no more" in line
    with pytest.raises(LedgerError, match="no release of that name"):
        release(tmp_path, "b/1.0")
    if indexed:
        compact(tmp_path)
    book = Ledger(tmp_path, "b/1.0")
    assert book.accounts["b/1.0"]["t"].committed == Spend(3 * 7, 3 * 5, 3)
    book.reserve(asked(9), "t", WORST)
    book.close()
    assert Ledger(tmp_path, "").accounts["b/1.0"]["t"].in_flight == WORST and verify(tmp_path)[1] == []


def test_a_ledger_has_one_build_and_its_lock_dies_with_its_owner(tmp_path: Path) -> None:
    process = child(tmp_path)
    with pytest.raises(LedgerError, match=rf"in use by process {process.pid}; wait for it, or .*--ledger DIR"):
        lock(tmp_path)
    killed(process)
    with lock(tmp_path), pytest.raises(LedgerError, match=f"in use by process {os.getpid()}"):
        lock(tmp_path)
    lock(tmp_path).close()


@pytest.mark.parametrize("place", ["file/ledger", "/proc/nowhere/ledger"])
def test_a_ledger_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LedgerError, match=r"cannot be written: .*choose another with --ledger DIR"):
        lock(tmp_path / place)
    with pytest.raises(LedgerError, match="cannot be written"):
        Ledger(tmp_path / place, "b").reserve(asked(), "t", WORST)


def test_a_full_disk_stops_the_build(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from datagen.asking.ledger.book import Ledger; from datagen.records import *\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "book = Ledger(Path(sys.argv[1]), 'b')\n"
        "for n in range(50): book.record(Request('openai', '', 'm', (('user', str(n)),)), 't', Response(Outcome.ANSWERED, 'x' * 300), Spend())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "LedgerError" in done.stderr and "free some space and run the same command again" in done.stderr
    book = Ledger(tmp_path, "b")
    assert 1 <= len(book) < 50 and len(book.torn) <= 1 and all(torn.what == "torn" for torn in book.torn)


def test_answers_are_in_the_file_before_record_returns(tmp_path: Path) -> None:
    code = CHILD.replace("print('ready', flush=True)\nsignal.pause()", "os.kill(os.getpid(), signal.SIGKILL)")
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path), "b"], check=False).returncode == -signal.SIGKILL
    assert len(Ledger(tmp_path, "b")) == 3


# --- readable without us ---


def test_the_line_of_sql_in_the_docstring_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb

    path = written(tmp_path / "ledger")
    path.write_bytes(path.read_bytes()[:-5])
    statement = re.search(r"^ +(SELECT .*)$", str(module.__doc__), re.MULTILINE)
    assert statement is not None
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as connection:
        found = connection.execute(statement[1]).fetchall()
    answers = [(key, text) for kind, key, text in found if kind == "answer"]
    assert answers == [(asked(number).key, f"answer {number}") for number in range(2)]


def test_a_line_is_plain_json(tmp_path: Path) -> None:
    path = written(tmp_path, 1)
    assert [json.loads(line)["kind"] for _, line, _ in lines(path)] == ["reserve", "answer"]
