"""Paid batches in the ledger: one line reserves all, answers settle one by one wherever they are written, closing gives the rest back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from datagen.asking.ledger.book import Intent, Ledger, Standing, compact, lines, segments, verify
from datagen.errors import TeacherFault
from datagen.records import Outcome, Request, Response, Spend

Reread = Callable[[], Ledger]
WORST, PAID = Spend(100, 30, 1), Spend(7, 15, 1)


def asked(number: int) -> Request:
    return Request("openai", "", "m", (("user", f"question {number}"),), {"max_tokens": 10})


def intent(tag: str = "j1", count: int = 4, teacher: str = "t", at: float = 1e9) -> Intent:
    return Intent(tag, teacher, "openai", "", "m", at, 1, tuple((asked(number).key, WORST) for number in range(count)))


def times(spend: Spend, number: int) -> Spend:
    return sum([spend] * number, Spend())


@pytest.fixture(params=["from segments", "from the index file"])
def reread(request: pytest.FixtureRequest, tmp_path: Path) -> Reread:
    def read() -> Ledger:
        if request.param == "from the index file":
            compact(tmp_path)
            assert (tmp_path / "index").exists()
        return Ledger(tmp_path, "")

    return read


def the_job(book: Ledger) -> Standing:
    (job,) = book.standing()
    return job


def test_an_intent_reserves_all_its_requests_in_one_line(tmp_path: Path, reread: Reread) -> None:
    book = Ledger(tmp_path, "b/1.0")
    book.intend(intent(count=1000))
    (path,) = segments(tmp_path)
    assert len(list(lines(path))) == 1 and book.accounts["b/1.0"]["t"].committed == times(WORST, 1000)
    book.close()
    again = reread()
    assert again.accounts["b/1.0"]["t"].committed == times(WORST, 1000)
    job = the_job(again)
    assert (job.tag, job.build, job.id, job.requests, job.answered) == ("j1", "b/1.0", "", 1000, 0)
    assert set(job.open_keys()) == {asked(number).key for number in range(1000)}


def test_answers_and_faults_settle_and_closing_gives_the_rest_back(tmp_path: Path, reread: Reread) -> None:
    book = Ledger(tmp_path, "b/1.0")
    book.intend(intent())
    book.accepted("j1", "batch_9")
    book.record(asked(0), "t", Response(Outcome.ANSWERED, "yes"), PAID, job="j1")
    book.fault(asked(1).key, "t", TeacherFault("transient", "expired"), Spend(), job="j1")
    account = book.accounts["b/1.0"]["t"]
    assert account.committed == PAID + times(WORST, 2) and the_job(book).answered == 1
    book.record(asked(0), "t", Response(Outcome.ANSWERED, "yes"), Spend(), job="j1")  # a duplicate settles nothing more
    assert account.committed == PAID + times(WORST, 2)
    book.close()
    again = reread()
    assert the_job(again).id == "batch_9" and sorted(the_job(again).open_keys()) == sorted(asked(number).key for number in (2, 3))
    assert again.accounts["b/1.0"]["t"].committed == PAID + times(WORST, 2)
    again.closed("j1", "expired")
    assert again.standing() == [] and again.accounts["b/1.0"]["t"].committed == PAID
    again.close()
    final = reread()
    assert final.standing() == [] and final.accounts["b/1.0"]["t"].committed == PAID and verify(tmp_path)[1] == []


def test_an_answer_counts_for_the_build_that_submitted_the_job_whoever_finds_it(tmp_path: Path, reread: Reread) -> None:
    old = Ledger(tmp_path, "b/1.0")
    old.intend(intent())
    old.close()
    new = Ledger(tmp_path, "b/1.1")
    new.record(asked(2), "other", Response(Outcome.ANSWERED, "late"), PAID, job="j1")
    new.close()
    book = reread()
    assert "b/1.1" not in book.accounts and book.accounts["b/1.0"]["t"].committed == times(WORST, 3)
    assert book.accounts["b/1.0"]["other"].answered == PAID


def test_a_record_is_found_before_the_intent_it_belongs_to(tmp_path: Path, reread: Reread) -> None:
    """A writer whose segment is older harvests the job of one whose segment is newer."""
    harvester, submitter = Ledger(tmp_path, "b", 1), Ledger(tmp_path, "b", 2)
    harvester.reserve(asked(99), "t", Spend())
    submitter.intend(intent())
    submitter.accepted("j1", "batch_9")
    harvester.refresh()
    assert the_job(harvester).id == "batch_9"
    harvester.record(asked(0), "t", Response(Outcome.ANSWERED, "yes"), PAID, job="j1")
    harvester.fault(asked(3).key, "t", TeacherFault("rejected", "no"), Spend(), job="j1")
    harvester.close()
    submitter.close()
    assert segments(tmp_path)[0].name.endswith("-001.jsonl")
    book = reread()
    assert sorted(the_job(book).open_keys()) == sorted(asked(number).key for number in (1, 2)) and the_job(book).answered == 1
    assert book.accounts["b"]["t"].committed == PAID + times(WORST, 2)


def test_jobs_stand_in_the_order_of_their_intents_whatever_the_clock_said(tmp_path: Path, reread: Reread) -> None:
    book = Ledger(tmp_path, "b")
    for tag, at in (("first", 2e9), ("second", 1e9), ("third", 1.5e9)):  # the clock jumped back
        book.intend(replace(intent(tag), at=at))
    book.accepted("second", "batch_2")
    book.closed("second", "completed")
    book.close()
    again = reread()
    assert [job.tag for job in again.standing()] == ["first", "third"] and again.batches() == {"first": "", "second": "batch_2", "third": ""}


def test_what_other_processes_append_is_seen_on_refresh(tmp_path: Path) -> None:
    book = Ledger(tmp_path, "b")
    book.record(asked(0), "t", Response(Outcome.ANSWERED, "mine"), PAID)
    code = (
        "import sys; from pathlib import Path; from datagen.asking.ledger.book import Ledger; from datagen.records import *\n"
        "book = Ledger(Path(sys.argv[1]), 'b', 7)\n"
        "book.record(Request('openai', '', 'm', (('user', 'question 5'),), {'max_tokens': 10}), 't', Response(Outcome.ANSWERED, 'theirs'),"
        " Spend(1, 1, 1)); book.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert book.get(asked(5).key) is None
    book.refresh()
    found = book.get(asked(5).key)
    assert found is not None and found.text == "theirs" and len(book) == 2
    assert book.accounts["b"]["t"].answered == PAID + Spend(1, 1, 1)
    book.close()


def test_a_line_that_is_being_written_is_looked_at_again(tmp_path: Path) -> None:
    writer = Ledger(tmp_path, "b")
    writer.record(asked(0), "t", Response(Outcome.ANSWERED, "one"), PAID)
    writer.record(asked(1), "t", Response(Outcome.ANSWERED, "two"), PAID)
    writer.close()
    (path,) = segments(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    book = Ledger(tmp_path, "")
    assert [torn.what for torn in book.torn] == ["torn"] and asked(1).key not in book
    path.write_bytes(whole)
    book.refresh()
    assert book.torn == [] and asked(1).key in book and book.accounts["b"]["t"].answered == times(PAID, 2)


def test_the_line_of_sql_reads_a_ledger_with_jobs(tmp_path: Path) -> None:
    import duckdb

    book = Ledger(tmp_path, "b")
    book.intend(intent(count=100))
    book.record(asked(0), "t", Response(Outcome.ANSWERED, "yes"), PAID, job="j1")
    book.close()
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT kind, response.text FROM read_json('{tmp_path}/*.jsonl', ignore_errors = true)").fetchall()
    assert found == [("intend", None), ("answer", "yes")]
