"""What is taken down with a row: its own answers, what was made of them by lineage or by text, and nothing beside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from datagen.asking.ledger.book import FORGOTTEN, Intent, Ledger
from datagen.asking.ledger.care import noted
from datagen.errors import LedgerError, OutputError
from datagen.records import Outcome, Request, Response, Row, Spend
from datagen.steps.journal import DROPPED_COLUMNS, UNANSWERED_COLUMNS, VERDICT_COLUMNS
from datagen.steps.takedown import found, take_down, takedown
from datagen.storage import read_table, row_record, write_json, write_rows, write_table

LONG = "A paragraph that is long enough to be looked for in other prompts, since it could not stand in two places by mere chance."


def asked(prompt: str) -> Request:
    return Request("openai", "", "m", (("user", prompt),), {"max_tokens": 10})


class House:
    """An OUT with three steps: outline, section (children), grade."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out / "ledger"
        self.book = Ledger(self.folder, "s/1.0")
        for number, name in enumerate(("outline", "section", "grade"), start=1):
            write_json(out / "steps" / f"{number:02d}-{name}" / "manifest.json", {"number": number, "name": name})
        write_json(out / "steps" / "cohorts.json", {"name": "s"})
        self.parts: dict[tuple[str, str], list[Row]] = {}

    def says(self, prompt: str, text: str) -> str:
        request = asked(prompt)
        self.book.record(request, "t", Response(Outcome.ANSWERED, text, raw="{}"), Spend(1, 1, 1))
        return request.key

    def keeps(self, part: str, row: Row, step: str = "03-grade") -> Row:
        self.parts.setdefault((step, part), []).append(row)
        return row

    def done(self) -> None:
        self.book.close()
        for (step, part), rows in self.parts.items():
            write_rows(self.out / "steps" / step / "kept" / f"{part}.parquet", [row_record(row) for row in rows])
            write_json(self.out / "steps" / step / "parts" / f"0-{part}.json", {"fingerprint": "x"})

    def kept(self, part: str, step: str = "03-grade") -> list[str]:
        return [record["id"] for record in read_table(self.out / "steps" / step / "kept" / f"{part}.parquet")]


def row(name: str, calls: Mapping[str, str], parent: str = "", **fields: Any) -> Row:
    return Row(f"r1:{name}", parent, "r1:seed", {"topic": name, **fields}, calls)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "out")


def chapter(house: House, topic: str, part: str) -> list[Row]:
    """Two sections of one outline, each graded."""
    outline = house.says(f"outline {topic}", "short")
    made = []
    for number in range(2):
        section = house.says(f"section {number} of {topic}", f"{topic} {number}")
        grade = house.says(f"grade {topic} {number}", "5")
        made.append(house.keeps(part, row(f"{topic}{number}", {"outline": outline, "section": section, "grade": grade}, f"r1:{topic}")))
    return made


def test_what_was_made_of_a_shared_answer_goes_with_it_and_other_families_stay(house: House) -> None:
    taken, other = chapter(house, "bread", "c0-00001"), chapter(house, "stars", "c0-00001")
    chapter(house, "rivers", "c0-00002")
    house.done()
    down = found(house.out, taken[0].id, house.folder)
    assert down.rows == {each.id for each in taken} and down.keys == {key for each in taken for key in each.calls.values()} and down.answers == 0
    assert take_down(house.out, taken[0].id, house.folder).answers == 5
    book = Ledger(house.folder, "")
    assert all(book.get(key) == FORGOTTEN for key in down.keys) and len(book) == 15
    assert house.kept("c0-00001") == [each.id for each in other] and house.kept("c0-00002") == ["r1:rivers0", "r1:rivers1"]
    parts = {path.name for path in (house.out / "steps").glob("*/parts/*.json")}
    assert parts == {"0-c0-00002.json"}  # of the other part a manifest would make it be walked again, for nothing
    assert all(book.get(key) != FORGOTTEN for each in other for key in each.calls.values())


def test_a_call_before_the_shared_one_stays(house: House) -> None:
    """Two rows share the same second answer; what the other one asked before it was not made from it."""
    first, own, shared = house.says("first", "a"), house.says("own", "b"), house.says("both", "c")
    house.keeps("c0-00001", row("one", {"outline": first, "section": shared}))
    house.keeps("c0-00001", row("two", {"outline": own, "section": shared}))
    house.done()
    down = found(house.out, "r1:one", house.folder)
    assert down.keys == {first, shared} and down.rows == {"r1:one", "r1:two"}


def test_an_answer_whose_prompt_holds_the_text_goes_too_and_a_row_that_holds_it(house: House) -> None:
    section = house.says("section one", json.dumps({"text": LONG, "n": 1}))
    house.keeps("c0-00001", row("one", {"section": section}))
    following = house.says(f"go on after: {LONG}", "and so on")  # in order: the next section saw the one before
    house.keeps("c0-00002", row("two", {"section": following}))
    beside = house.says("something else", "else")
    house.keeps("c0-00003", row("three", {"section": beside}, others=[{"section": LONG}]))  # folded into the row of another
    house.keeps("c0-00003", row("four", {"section": house.says("more", "more")}))
    house.done()
    down = take_down(house.out, "r1:one", house.folder)
    assert down.keys == {section, following} and down.rows == {"r1:one", "r1:two", "r1:three"}
    assert house.kept("c0-00003") == ["r1:four"]


def test_a_death_after_the_ledger_and_before_the_steps_is_mended_by_the_same_call(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    section = house.says("section one", LONG)
    house.keeps("c0-00001", row("one", {"section": section}))
    house.keeps("c0-00002", row("three", {"section": house.says("else", "else")}, others=[LONG]))  # to be found by the text alone
    house.done()

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("datagen.steps.takedown._remove_traces", dies)
        with pytest.raises(KeyboardInterrupt):
            take_down(house.out, "r1:one", house.folder)
    assert Ledger(house.folder, "").get(section) == FORGOTTEN and house.kept("c0-00002") == ["r1:three"]
    take_down(house.out, "r1:one", house.folder)
    assert house.kept("c0-00001") == [] and house.kept("c0-00002") == []
    take_down(house.out, "r1:one", house.folder)  # and once more, when no trace of it is left
    assert len(noted(house.folder)) == 1


def test_dropped_unanswered_and_judged_rows_leave_every_file(house: House) -> None:
    key = house.says("cut", "short")
    gone = row("one", {})
    folder = house.out / "steps" / "02-section"
    stays = row("two", {"section": house.says("stays", "s")})
    unanswered = [row_record(each, outcome="truncated", error="", key=each_key) for each, each_key in ((gone, key), (stays, "k1:" + "0" * 32))]
    write_rows(folder / "unanswered" / "c0-00001.parquet", unanswered, **UNANSWERED_COLUMNS)
    dropped = [row_record(stays, operator="o", reason="r", score=None, evidence="")]
    write_rows(folder / "dropped" / "c0.parquet", dropped, **DROPPED_COLUMNS)
    verdict = {"step": "x", "operator": "o", "version": 1, "keep": True, "reason": "", "score": None, "evidence": "said"}
    write_table(folder / "verdicts" / "c0-00001.parquet", [{"row": each.id, **verdict} for each in (gone, stays)], VERDICT_COLUMNS)
    write_rows(house.out / "steps" / "00-seeds" / "kept" / "c0-00001.parquet", [row_record(gone)])
    house.done()
    take_down(house.out, gone.id, house.folder)
    assert [record["id"] for record in read_table(folder / "unanswered" / "c0-00001.parquet")] == [stays.id]
    assert [record["row"] for record in read_table(folder / "verdicts" / "c0-00001.parquet")] == [stays.id]
    assert len(read_table(folder / "dropped" / "c0.parquet")) == 1
    assert house.kept("c0-00001", "00-seeds") == [gone.id]  # a seed is nobody's answer
    assert Ledger(house.folder, "").get(key) == FORGOTTEN


def test_what_is_said_without_a_release(house: House) -> None:
    key = house.says("one", "1")
    house.keeps("c0-00001", row("one", {"section": key}))
    house.done()
    said = list(takedown(house.out, "r1:one-s0", house.folder, yes=True))
    assert said[0].startswith("1 answers left the ledger") and said[-1].startswith("no released file holds them; `datagen build")


def test_an_unknown_row_and_batches_under_way(house: House) -> None:
    house.keeps("c0-00001", row("one", {"section": house.says("one", "1")}))
    house.book.intend(Intent("j1", "t", "openai", "", "m", 0.0, 1, ((asked("x").key, Spend(1, 1, 1)),)))
    house.done()
    with pytest.raises(LedgerError, match=r"paid batches are under way \(1\)"):
        found(house.out, "r1:one", house.folder)
    book = Ledger(house.folder, "s/1.0")
    book.closed("j1", "completed")
    book.close()
    with pytest.raises(OutputError, match="no row 'r1:none' in"):
        found(house.out, "r1:none", house.folder)
