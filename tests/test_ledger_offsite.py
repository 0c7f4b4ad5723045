"""The ledger's copy on an object store, against a real S3 API: what is recorded here is there within a second, and comes back from it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from buckets import Bucket, breakable
from test_depot import fresh

from datagen.asking.ledger import offsite as offsites
from datagen.asking.ledger.book import Ledger, compact
from datagen.asking.ledger.offsite import Copy, Offsite
from datagen.depot.store import Depot
from datagen.errors import LedgerError
from datagen.records import Outcome, Request, Response, Spend


@pytest.fixture
def depot(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Depot:
    for name, value in bucket.env.items():
        monkeypatch.setenv(name, value)
    return fresh(f"{bucket.url}/{request.node.name}", 30)


def request(word: str) -> Request:
    return Request(provider="openai", label="", model="m", messages=(("user", word),))


def answer(ledger: Ledger, *words: str) -> None:
    for word in words:
        ledger.reserve(request(word), "t", Spend(5, 5, 1))
        ledger.record(request(word), "t", Response(Outcome.ANSWERED, text=word), Spend(3, 3, 1))


def texts(folder: Path, *words: str) -> list[str | None]:
    ledger = Ledger(folder, "")
    found = [response.text if (response := ledger.get(request(word).key)) else None for word in words]
    assert not ledger.torn
    ledger.close()
    return found


def until(there: Callable[[], bool], seconds: float = 30.0) -> None:
    waiting = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if there():
            return
        waiting.wait(0.05)
    raise AssertionError("it never came to be so")


def test_records_follow_while_a_segment_is_written_and_it_becomes_one_object(depot: Depot, tmp_path: Path) -> None:
    away = Offsite(depot, tmp_path / "a")
    ledger = Ledger(tmp_path / "a", "b/1", 3, offsite=away)
    answer(ledger, "one", "two")
    until(lambda: any(name.startswith("tails/000001-003.jsonl/000000000000-") for name in depot.listed()))
    answer(ledger, "three")
    until(lambda: len(depot.listed()) == 2)
    Offsite(depot, tmp_path / "b").gather()
    assert texts(tmp_path / "b", "one", "two", "three", "four") == ["one", "two", "three", None]
    answer(ledger, "four")
    ledger.close()
    assert list(depot.listed()) == ["000001-003.jsonl"]
    again = Offsite(depot, tmp_path / "b")
    again.gather()
    assert texts(tmp_path / "b", "one", "two", "three", "four") == ["one", "two", "three", "four"]
    assert (tmp_path / "a" / "000001-003.jsonl").read_bytes() == (tmp_path / "b" / "000001-003.jsonl").read_bytes()


def test_a_run_that_died_is_sent_by_the_next_on_its_disk(depot: Depot, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a", "b/1")  # nothing of it was sent
    answer(ledger, "one")
    ledger.close()
    away = Offsite(depot, tmp_path / "a")
    away.gather()
    compact(tmp_path / "a")
    away.settle()
    assert list(depot.listed()) == ["000001-000.jsonl", "index"]
    Offsite(depot, tmp_path / "b").gather()
    assert texts(tmp_path / "b", "one") == ["one"]


def test_two_machines_that_wrote_one_segment_lose_nothing(depot: Depot, tmp_path: Path) -> None:
    """The first could not reach the store and died; the second went on from nothing. Back at the first, both are kept."""
    lost = Ledger(tmp_path / "a", "b/1")
    answer(lost, "one", "two")
    lost.close()
    compact(tmp_path / "a")
    second = Ledger(tmp_path / "b", "b/1", 0, offsite=Offsite(depot, tmp_path / "b"))
    answer(second, "one", "three")
    second.close()
    away = Offsite(depot, tmp_path / "a")
    away.gather()
    away.settle()
    assert texts(tmp_path / "a", "one", "two", "three") == ["one", "two", "three"]
    Offsite(depot, tmp_path / "c").gather()
    assert texts(tmp_path / "c", "one", "two", "three") == ["one", "two", "three"]
    assert [name for name in depot.listed() if name.endswith(".jsonl")] == ["000001-000.jsonl", "000002-000.jsonl"]


def test_a_rescue_sends_what_is_missing_and_nothing_else(depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead worker's folder holds a segment of its own, and an older mirror of one that another worker is still writing."""
    monkeypatch.setattr(offsites, "MANY", 2)
    live = Ledger(tmp_path / "live", "b/1", 1, offsite=Offsite(depot, tmp_path / "live"))
    answer(live, "one")
    until(lambda: bool(depot.listed()))
    Offsite(depot, tmp_path / "dead").gather()
    dead = Ledger(tmp_path / "dead", "b/1", 2)
    answer(dead, "lost")
    dead.close()
    for word in ("two", "three", "four"):
        answer(live, word)
        size = (tmp_path / "live" / "000001-001.jsonl").stat().st_size
        until(lambda size=size: offsites._copies(depot.listed())["000001-001.jsonl"].size >= size)  # type: ignore[misc]
    before = {name: thing for name, thing in depot.listed().items() if "000001-001" in name}
    Offsite(depot, tmp_path / "dead").rescue()
    assert {name: thing for name, thing in depot.listed().items() if "000001-001" in name} == before
    Offsite(depot, tmp_path / "all").gather()
    assert texts(tmp_path / "all", "one", "two", "three", "four", "lost") == ["one", "two", "three", "four", "lost"]
    live.close()


def test_a_growing_segment_is_seen_by_those_who_gather(depot: Depot, tmp_path: Path) -> None:
    writer = Ledger(tmp_path / "a", "b/1", 1, offsite=Offsite(depot, tmp_path / "a"))
    away = Offsite(depot, tmp_path / "b")
    away.gather()
    reader = Ledger(tmp_path / "b", "b/1", 2, offsite=away)
    answer(writer, "one")
    until(lambda: bool(depot.listed()))
    away.gather(beside=False)
    reader.refresh()
    assert request("one").key in reader
    answer(reader, "mine")
    answer(writer, "two")
    until(lambda: len(depot.listed()) == 3)
    away.gather(beside=False)
    reader.refresh()
    assert request("two").key in reader
    writer.close()
    reader.close()


def test_many_tails_become_the_beginning(depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsites, "SECONDS", 0.01)
    monkeypatch.setattr(offsites, "MANY", 3)
    ledger = Ledger(tmp_path / "a", "b/1", 0, offsite=Offsite(depot, tmp_path / "a"))
    words = [f"w{number}" for number in range(12)]
    for number, word in enumerate(words):
        answer(ledger, word)
        size = (tmp_path / "a" / "000001-000.jsonl").stat().st_size
        until(lambda size=size: offsites._copies(depot.listed()).get("000001-000.jsonl", Copy()).size >= size)  # type: ignore[misc]
        if number == 7:
            assert "000001-000.jsonl" in depot.listed() and len(depot.listed()) < 8
            Offsite(depot, tmp_path / "b").gather()
            assert texts(tmp_path / "b", *words[:8]) == words[:8]
    Offsite(depot, tmp_path / "c").gather()
    assert texts(tmp_path / "c", *words) == words
    ledger.close()
    assert list(depot.listed()) == ["000001-000.jsonl"]


def test_an_outage_is_caught_up_with(bucket: Bucket, depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with breakable(bucket) as (behind, line):
        monkeypatch.setenv("AWS_ENDPOINT_URL", behind.endpoint)
        away = Offsite(fresh(depot.url, 60), tmp_path / "a")
        ledger = Ledger(tmp_path / "a", "b/1", 0, offsite=away)
        answer(ledger, "one")
        until(lambda: bool(bucket.names(depot.url.rpartition("/")[2])))
        line.cut()
        answer(ledger, "two")
        threading.Event().wait(2.0)
        answer(ledger, "three")  # it goes on meanwhile
        line.mend()
        until(lambda: len(bucket.names(depot.url.rpartition("/")[2])) == 2)
        ledger.close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    Offsite(fresh(depot.url, 3), tmp_path / "b").gather()
    assert texts(tmp_path / "b", "one", "two", "three") == ["one", "two", "three"]


def test_nothing_more_is_paid_when_the_copy_is_too_far_behind(bucket: Bucket, depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with breakable(bucket) as (behind, line):
        monkeypatch.setenv("AWS_ENDPOINT_URL", behind.endpoint)
        ledger = Ledger(tmp_path, "b/1", 0, offsite=Offsite(fresh(depot.url, 2), tmp_path))
        answer(ledger, "one")
        until(lambda: bool(bucket.names(depot.url.rpartition("/")[2])))
        line.cut()
        ledger.reserve(request("in flight"), "t", Spend(5, 5, 1))
        threading.Event().wait(4.0)
        with pytest.raises(LedgerError, match=r"could not be sent to .*Nothing more is asked.*same command here goes on"):
            ledger.reserve(request("two"), "t", Spend(5, 5, 1))
        ledger.record(request("in flight"), "t", Response(Outcome.ANSWERED, text="landed"), Spend(3, 3, 1))  # what was sent may land
        line.mend()
        ledger.close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    Offsite(fresh(depot.url, 3), tmp_path / "b").gather()
    assert texts(tmp_path / "b", "in flight") == ["landed"]


def test_spools_of_paid_batches_go_with_the_records(depot: Depot, tmp_path: Path) -> None:
    (tmp_path / "a" / "batches").mkdir(parents=True)
    (tmp_path / "a" / "batches" / "tag.jsonl").write_text("head\n")
    ledger = Ledger(tmp_path / "a", "b/1", 0, offsite=Offsite(depot, tmp_path / "a"))
    answer(ledger, "one")
    until(lambda: "batches/tag.jsonl" in depot.listed())
    with (tmp_path / "a" / "batches" / "tag.jsonl").open("a") as file:
        file.write("line\n")
    until(lambda: depot.listed()["batches/tag.jsonl"].size == 10)
    ledger.close()
    Offsite(depot, tmp_path / "worker").gather(spools=False)
    Offsite(depot, tmp_path / "driver").gather()
    assert not (tmp_path / "worker" / "batches").exists() and (tmp_path / "driver" / "batches" / "tag.jsonl").read_text() == "head\nline\n"
    (tmp_path / "driver" / "batches" / "tag.jsonl").unlink()
    Offsite(depot, tmp_path / "driver").settle()
    assert "batches/tag.jsonl" not in depot.listed()


def test_who_lost_the_lock_pays_for_nothing(depot: Depot, tmp_path: Path) -> None:
    def lost() -> None:
        raise LedgerError("lost")

    ledger = Ledger(tmp_path, "b/1", 0, offsite=Offsite(depot, tmp_path, lost))
    with pytest.raises(LedgerError, match="lost"):
        ledger.reserve(request("one"), "t", Spend(5, 5, 1))
    ledger.close()
    assert depot.listed() == {}
