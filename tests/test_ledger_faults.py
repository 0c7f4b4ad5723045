"""What can happen to a ledger's files and disks: each is found, named, and only what is gone is asked again."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from datagen.asking.ledger.book import Ledger, compact, lines, lock, segments, verify
from datagen.asking.ledger.index import KEY, RECENT, Index, Run, merged, write_run
from datagen.errors import LedgerError
from datagen.records import Outcome, Request, Response, Spend

PAID = Spend(7, 15, 1)


def asked(number: int) -> Request:
    return Request("openai", "", "m", (("user", f"question {number}"),), {"max_tokens": 10})


def said(number: int) -> Response:
    return Response(Outcome.ANSWERED, f"answer {number}", raw="{}")


def written(folder: Path, start: int, count: int) -> Path:
    """One closed segment with `count` answers."""
    book = Ledger(folder, "b/1.0")
    for number in range(start, start + count):
        book.record(asked(number), "t", said(number), PAID)
    book.close()
    return segments(folder)[-1]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Three segments of ten answers, and an index file of all."""
    for number in range(3):
        written(tmp_path, 10 * number, 10)
    compact(tmp_path)
    return tmp_path


def missing(folder: Path) -> set[int]:
    """Which of the thirty would be asked again."""
    book = Ledger(folder, "b/1.0")
    try:
        found = {number: book.get(asked(number).key) for number in range(30)}
        assert all(response in (None, said(number)) for number, response in found.items())
        return {number for number, response in found.items() if response is None}
    finally:
        book.close()


def told(folder: Path) -> list[str]:
    """What a build says of the ledger when it starts."""
    book = Ledger(folder, "")
    book.close()
    return [str(torn) for torn in book.torn]


def place(path: Path, number: int) -> int:
    return [offset for offset, _, _ in lines(path)][number]


# --- what is gone ---


def test_nothing_is_wrong_with_a_whole_ledger(ledger: Path) -> None:
    assert missing(ledger) == set() and told(ledger) == [] and verify(ledger) == (30, [])


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_deleted_segment_is_named_and_only_what_it_held_is_missing(ledger: Path, gone: int, indexed: bool) -> None:
    path = segments(ledger)[gone]
    path.unlink()
    if not indexed:
        (ledger / "index").unlink()
    known = indexed or gone < 2  # only the index can tell of a last segment
    assert missing(ledger) == set(range(10 * gone, 10 * gone + 10))
    assert [line.startswith(f"{gone + 1:06d}") and "the segment is missing" in line for line in told(ledger)] == [True] * known
    assert [line.startswith(f"segment {gone + 1:06d}") and "is missing" in line for line in verify(ledger)[1]] == [True] * known


@pytest.mark.parametrize("gone", [0, 2])
def test_what_was_lost_stays_named_after_the_next_build_and_its_number_is_not_used_again(ledger: Path, gone: int) -> None:
    aside = shutil.copytree(ledger, ledger / "aside")
    lost = segments(ledger)[gone]
    lost.unlink()
    written(ledger, 10 * gone, 10)
    compact(ledger)
    assert segments(ledger)[-1].name == "000004-000.jsonl"
    assert missing(ledger) == set() and len(told(ledger)) == 1 and len(verify(ledger)[1]) == 1
    shutil.copy(aside / lost.name, lost)  # somebody had a copy
    assert missing(ledger) == set() and told(ledger) == [] and verify(ledger) == (40, [])


@pytest.mark.parametrize("within_a_line", [True, False])
@pytest.mark.parametrize("cut", [0, 1, 2])
def test_a_truncated_segment_is_named_and_only_what_stood_behind_is_missing(ledger: Path, cut: int, within_a_line: bool) -> None:
    path = segments(ledger)[cut]
    end = place(path, 6) + 20 * within_a_line
    os.truncate(path, end)
    assert missing(ledger) == set(range(10 * cut + 6, 10 * cut + 10))
    assert f"{path.name} at byte {end}: the segment was cut short; what stood behind is asked and paid for again" in told(ledger)
    good, problems = verify(ledger)
    assert good == 26 and any(f"{path.name} at byte {end}" in problem and "cut short" in problem for problem in problems)
    assert len(problems) == 1 + within_a_line


@pytest.mark.parametrize("number", [0, 15, 29])
def test_a_flipped_byte_is_found_when_the_record_is_read_and_by_verify(ledger: Path, number: int) -> None:
    path = segments(ledger)[number // 10]
    content = bytearray(path.read_bytes())
    at = content.index(f"answer {number}".encode())
    content[at] ^= 0x01
    path.write_bytes(bytes(content))
    assert missing(ledger) == {number}
    good, problems = verify(ledger)
    assert good == 29 and problems == [f"{path.name} at byte {place(path, number % 10)}: a damaged record; skipped, what it held is asked again"]


def test_damage_that_was_indexed_stays_named(ledger: Path) -> None:
    path = segments(ledger)[0]
    content = bytearray(path.read_bytes())
    content[content.index(b"answer 3")] ^= 0x01
    path.write_bytes(bytes(content))
    (ledger / "index").unlink()
    compact(ledger)
    assert [line.startswith(f"{path.name} at byte {place(path, 3)}: a damaged record") for line in told(ledger)] == [True]
    assert missing(ledger) == {3}


# --- the index file is a cache ---


def test_any_damage_to_the_index_file_costs_nothing_and_is_named(ledger: Path) -> None:
    whole = (ledger / "index").read_bytes()
    chance = random.Random(5)
    places = [*chance.sample(range(len(whole)), 40), 0, len(whole) - 1, len(whole) - 17]
    for at in places:
        flipped = bytearray(whole)
        flipped[at] ^= 1 << chance.randrange(8)
        (ledger / "index").write_bytes(bytes(flipped))
        assert len(told(ledger)) == 1 and "the key index is damaged" in told(ledger)[0], at
        assert missing(ledger) == set() and [problem for problem in verify(ledger)[1] if "key index is damaged" in problem], at
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        (ledger / "index").write_bytes(whole[:size])
        assert missing(ledger) == set() and len(told(ledger)) == 1, size
    compact(ledger)
    assert (ledger / "index").read_bytes() == whole and told(ledger) == []


def test_a_start_reads_the_index_file_and_only_the_tails(tmp_path: Path) -> None:
    path = written(tmp_path, 0, 100)
    compact(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(b"answer 50")] ^= 0x01  # far from both ends: a start that read the whole segment would name it
    path.write_bytes(bytes(content))
    written(tmp_path, 100, 3)
    assert told(tmp_path) == []
    book = Ledger(tmp_path, "")
    assert len(book) == 103 and book.get(asked(101).key) == said(101) and book.accounts["b/1.0"]["t"].answered.cost == 103 * 7
    assert book.get(asked(50).key) is None and len(book.torn) == 1
    book.close()


def test_another_file_of_the_same_name_does_not_pass_for_a_segment(ledger: Path) -> None:
    first, second, _ = segments(ledger)
    shutil.copy(second, first)
    assert missing(ledger) == set(range(10))


def test_an_index_that_lacks_a_record_is_found_by_verify(ledger: Path) -> None:
    """Not by chance but by a fault of ours: the file is whole, and wrong."""
    from datagen.asking.ledger.cache import read_cache, write_cache

    cache, _ = read_cache(ledger)
    assert cache is not None
    index = Index()
    for block in merged([cache.run]):
        for record in block[1:]:
            index.add(record[:KEY], *_place(record))
    write_cache(ledger, index, cache.tally, cache.covers, [])
    problems = verify(ledger)[1]
    assert len(problems) == 1 and "do not agree on k1:" in problems[0]


def _place(record: bytes) -> tuple[int, int, int]:
    return tuple(int.from_bytes(record[start:end], "big") for start, end in ((16, 20), (20, 28), (28, 32)))  # type: ignore[return-value]


def test_a_closed_ledger_does_not_say_that_nothing_is_there(ledger: Path) -> None:
    book = Ledger(ledger, "")
    book.close()
    with pytest.raises(ValueError, match="closed file"):
        book.get(asked(1).key)


def test_compacting_twice_changes_nothing_and_a_small_ledger_needs_no_numpy(ledger: Path) -> None:
    stamp = (ledger / "index").stat().st_mtime_ns
    compact(ledger)
    assert (ledger / "index").stat().st_mtime_ns == stamp
    code = (
        "import sys; from pathlib import Path; from datagen.asking.ledger.book import Ledger; b = Ledger(Path(sys.argv[1]), '');"
        "assert b.get(sys.argv[2]); assert not {'numpy', 'pyarrow', 'openai', 'anthropic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(ledger), asked(1).key], check=True)


# --- the index in memory ---


def test_the_index_finds_what_a_dictionary_finds(tmp_path: Path) -> None:
    chance = random.Random(11)
    index, truth = Index(), dict[bytes, list[tuple[int, int, int]]]()
    for number in range(5 * RECENT + 100):
        key = chance.randbytes(16) if number % 50 else bytes([number % 3]) * 16  # some stand very often
        place_ = (1000 + number % 2, number * 100, 99)
        index.add(key, *place_)
        truth.setdefault(key, []).append(place_)
    for key in [*chance.sample(sorted(truth), 2000), *(bytes([n]) * 16 for n in range(3))]:
        assert [(found.segment, found.offset, found.length) for found in index.find(key)] == sorted(truth[key])
    assert not any(index.has(chance.randbytes(16)) for _ in range(2000))
    assert index.keys() == len(truth) and index.count() == 5 * RECENT + 100
    index.close()


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 1000, 20_000])
def test_a_run_holds_what_was_written_in_it(tmp_path: Path, count: int) -> None:
    chance = random.Random(count)
    records = sorted(chance.randbytes(32) for _ in range(count))
    with (tmp_path / "run").open("w+b") as file:
        file.write(b"something before")
        run: Run = write_run(file, [records[: count // 3], [], records[count // 3 :]], count)
        assert len(run) == count and [record for block in merged([run]) for record in block] == records
        assert all(run.find(record[:KEY]) == [record] for record in records)
        assert run.find(b"\xff" * 16) == [] and run.find(b"\0" * 16) == []


# --- disks ---


@contextmanager
def small_disk(folder: Path, size: str, readonly: bool = False) -> Iterator[Path]:
    """A tmpfs of its own, where this machine lets us have one."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small tmpfs")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a small tmpfs here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_the_paying_and_loses_no_answer(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "256k") as disk:
        book = Ledger(disk / "ledger", "b/1.0")
        kept = 0
        with pytest.raises(LedgerError, match="free some space and run the same command again"):
            for number in range(10_000):
                book.record(asked(number), "t", Response(Outcome.ANSWERED, "x" * 2_000), PAID)
                kept += 1
        with pytest.raises(LedgerError, match="could not be written before"):
            book.reserve(asked(20_000), "t", PAID)
        assert 0 < kept < 10_000 and all(book.get(asked(number).key) is not None for number in range(kept))
        book.close()
        compact(disk / "ledger")  # there is no room for an index file; that is no fault
        again = Ledger(disk / "ledger", "")
        assert len(again) == kept and {torn.what for torn in again.torn} <= {"torn"}
        again.close()
        aside = tmp_path / "more room"
        shutil.copytree(disk / "ledger", aside)
    assert written(aside, kept, 5).name == "000002-000.jsonl" and len(Ledger(aside, "")) == kept + 5


def test_a_read_only_ledger_is_refused_before_anything_is_paid_and_can_still_be_read(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        written(disk / "ledger", 0, 3)
        lock(disk / "ledger").close()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(LedgerError, match=r"cannot be written: .*choose another with --ledger DIR"):
            lock(disk / "ledger")
        book = Ledger(disk / "ledger", "b/1.0")
        assert book.get(asked(1).key) == said(1) and verify(disk / "ledger") == (3, [])
        with pytest.raises(LedgerError, match=r"cannot be written: .*choose another with --ledger DIR"):
            book.reserve(asked(5), "t", PAID)
        book.close()


def test_a_ledger_without_write_permission_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    written(tmp_path / "ledger", 0, 1)
    lock(tmp_path / "ledger").close()
    (tmp_path / "ledger").chmod(0o555)
    try:
        with pytest.raises(LedgerError, match=r"cannot be written: .*choose another with --ledger DIR"):
            lock(tmp_path / "ledger")
    finally:
        (tmp_path / "ledger").chmod(0o755)


def test_a_disk_that_fails_on_sync_stops_the_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full network disk says so only when it is asked to sync; the writer's thread hears it, and the next write must not go on."""
    book = Ledger(tmp_path, "b")
    book.record(asked(0), "t", said(0), PAID)
    segment = book._segment
    assert segment is not None
    descriptor = segment._descriptor
    reading, writing = os.pipe()  # a pipe cannot be synced: EINVAL, from the kernel
    segment._descriptor = writing
    segment._dirty.set()
    segment._syncer.join(timeout=30)
    segment._descriptor = descriptor
    assert not segment._syncer.is_alive()
    with pytest.raises(LedgerError, match="could not be written before"):
        book.record(asked(1), "t", said(1), PAID)
    os.close(reading)
    os.close(writing)
    book.close()


def test_more_segments_than_may_be_open_at_once(tmp_path: Path) -> None:
    for number in range(80):
        written(tmp_path, number, 1)
    compact(tmp_path)
    book = Ledger(tmp_path, "")
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert all(book.get(asked(number).key) == said(number) for number in range(80))
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 64
    book.close()


def test_nothing_in_a_ledger_tells_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a clock that jumps back can change nothing: the same records make the same bytes, whatever the clock says."""
    ends: list[Callable[[], float]] = [lambda: 2e9, lambda: 1e9, lambda: 0.0]
    made = []
    for number, clock in enumerate(ends):
        monkeypatch.setattr("time.time", clock)
        folder = tmp_path / str(number)
        written(folder, 0, 5)
        compact(folder)
        made.append([(path.name, path.read_bytes()) for path in sorted(folder.iterdir())])
    assert made[0] == made[1] == made[2]
