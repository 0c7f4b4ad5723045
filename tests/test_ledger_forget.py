"""Taking answers down in a ledger: no word of them is left in any file, their money is, and nothing else has moved."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from datagen.asking.ledger.book import FORGOTTEN, Ledger, compact, lines, segments, verify
from datagen.asking.ledger.care import asked_with, forget, note_taken_down, taken_down
from datagen.errors import TeacherFault
from datagen.records import Outcome, Request, Response, Spend

PAID = Spend(7, 15, 1)


def asked(number: int) -> Request:
    return Request("openai", "", "m", (("user", f"question {number} secret-prompt-{number}"),), {"max_tokens": 10})


def written(folder: Path) -> Path:
    """Two segments; the answer to 1 stands in both, and an attempt at it failed in between."""
    for _ in range(2):
        book = Ledger(folder / "elsewhere", "b/1.0")
        book.folder = folder
        for number in range(4):
            book.reserve(asked(number), "t", Spend(100, 30, 1))
            if number == 1:
                book.fault(asked(number).key, "t", TeacherFault("transient", "secret-message", body="secret-body"), Spend(100, 30, 1))
            book.record(asked(number), "t", Response(Outcome.ANSWERED, f"secret-answer-{number}", raw="{}"), PAID)
        book.close()
    compact(folder)
    return folder


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return written(tmp_path)


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_no_word_of_it_is_left_and_all_else_is_as_it_was(ledger: Path) -> None:
    before = {path.name: (path.stat().st_size, [offset for offset, _, _ in lines(path)]) for path in segments(ledger)}
    money = Ledger(ledger, "").accounts
    assert forget(ledger, {asked(1).key}) == 2
    left = everything(ledger)
    assert b"secret-answer-1" not in left and b"secret-prompt-1" not in left and b"secret-message" not in left and b"secret-body" not in left
    assert all(f"secret-answer-{number}".encode() in left for number in (0, 2, 3))
    assert {path.name: (path.stat().st_size, [offset for offset, _, _ in lines(path)]) for path in segments(ledger)} == before
    assert verify(ledger)[1] == []
    for _ in range(2):
        book = Ledger(ledger, "b/1.1")
        assert book.get(asked(1).key) == FORGOTTEN and asked(1).key in book and book.entry(asked(1).key) is None and not book.torn
        found = book.get(asked(2).key)
        assert found is not None and found.text == "secret-answer-2" and book.accounts == money
        book.close()
        compact(ledger)  # the second time from the index file
    assert FORGOTTEN.outcome is Outcome.REJECTED and FORGOTTEN.error == "forgotten: taken down"


def test_it_can_be_said_twice_and_of_what_is_not_there(ledger: Path) -> None:
    assert forget(ledger, {asked(1).key, asked(77).key}) == 2
    stamps = [path.stat().st_mtime_ns for path in segments(ledger)]
    assert forget(ledger, {asked(1).key}) == 0 and [path.stat().st_mtime_ns for path in segments(ledger)] == stamps


def test_a_process_that_was_reading_keeps_its_places(ledger: Path) -> None:
    book = Ledger(ledger, "")
    assert book.get(asked(0).key) is not None
    forget(ledger, {asked(1).key})
    again = Ledger(ledger, "")
    for number in (0, 2, 3):
        assert book.get(asked(number).key) == again.get(asked(number).key) is not None
    book.close()
    again.close()


def test_damaged_and_torn_records_of_it_leave_too(ledger: Path) -> None:
    first, second = segments(ledger)
    content = bytearray(first.read_bytes())
    content[content.index(b"secret-answer-1")] ^= 0x20
    first.write_bytes(bytes(content))
    whole = second.read_bytes()
    second.write_bytes(whole[: whole.index(b"secret-answer-3") + 20])
    forget(ledger, {asked(1).key, asked(3).key})
    left = everything(ledger)
    assert b"ecret-answer-1" not in left and b"secret-answer-3" not in left and b"secret-prompt-3" not in left
    book = Ledger(ledger, "")
    assert book.get(asked(1).key) == FORGOTTEN and book.get(asked(3).key) == FORGOTTEN and not book.torn


def test_a_death_in_between_is_mended_by_the_same_call(ledger: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from datagen.asking.ledger import care\n"
        "rewritten, done = care._rewritten, []\n"
        "def once(path, keys):\n"
        "    if done: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    done.append(path); return rewritten(path, keys)\n"
        "care._rewritten = once; care.forget(Path(sys.argv[1]), {sys.argv[2]})"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ledger), asked(1).key], check=False)
    assert done.returncode == -signal.SIGKILL and b"secret-answer-1" in everything(ledger)
    assert Ledger(ledger, "").get(asked(1).key) == FORGOTTEN and verify(ledger)[1] == []
    forget(ledger, {asked(1).key})
    assert b"secret-answer-1" not in everything(ledger)


def test_prompts_that_hold_a_text_are_found(ledger: Path) -> None:
    book = Ledger(ledger, "b")
    odd = 'he said "über\n\u0007" \\ twice'
    holding = Request("openai", "", "m", (("user", f"Judge this: {odd}!"),), {})
    book.record(holding, "t", Response(Outcome.ANSWERED, "fine"), PAID)
    book.close()
    assert asked_with(ledger, [odd]) == {holding.key} and asked_with(ledger, ["secret-prompt-2"]) == {asked(2).key}
    assert asked_with(ledger, ["secret-answer-2", "nowhere"]) == set()


def test_what_was_taken_down_is_on_record_for_the_next_release(tmp_path: Path) -> None:
    assert taken_down(tmp_path, "s", 1) == []
    note_taken_down(tmp_path, {"row": "r1:a", "name": "s", "versions": ["1.0", "1.1"], "keys": []})
    note_taken_down(tmp_path, {"row": "r1:b", "name": "s", "versions": [], "keys": []})
    note_taken_down(tmp_path, {"row": "r1:c", "name": "other", "versions": ["1.0"], "keys": []})
    assert taken_down(tmp_path, "s", 1) == ["r1:a"] and taken_down(tmp_path, "s", 2) == [] and taken_down(tmp_path, "other", 1) == ["r1:c"]
    assert [entry["row"] for entry in json.loads((tmp_path / "forgotten.json").read_text())] == ["r1:a", "r1:b", "r1:c"]


def test_a_segment_written_by_an_earlier_version_is_read_counted_and_forgotten(tmp_path: Path) -> None:
    from datagen.asking.ledger.book import sealed

    said = {"outcome": "answered", "text": "secret", "cost": 5, "usage": {"input": 1, "output": 2, "cached": 0, "cache_write": 0, "reasoning": 0}}
    old = {"kind": "answer", "key": asked(0).key, "build": "b/1.0", "request": asked(0).identity(), "response": {**said, "reasoning": ""}}
    reserve = {"kind": "reserve", "key": asked(0).key, "cost": 100, "build": "b/1.0"}
    (tmp_path / "000001-000.jsonl").write_bytes(sealed(reserve) + sealed(old))
    book = Ledger(tmp_path, "")
    found = book.get(asked(0).key)
    assert found is not None and found.text == "secret" and book.accounts["b/1.0"][""].committed == Spend(5, 0, 1) and verify(tmp_path) == (2, [])
    forget(tmp_path, {asked(0).key})
    again = Ledger(tmp_path, "")
    assert again.get(asked(0).key) == FORGOTTEN and again.accounts["b/1.0"][""].committed == Spend(5, 0, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["000001-000.jsonl"]
