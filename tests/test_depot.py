"""A folder on an object store, against a real S3 API on loopback: bytes, exclusive creation, outages, the mirror, and the lock."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from buckets import Bucket, breakable

from datagen.cli import LEASE
from datagen.depot import lease as leases
from datagen.depot.lease import Follower, Lease
from datagen.depot.mirror import Mirror
from datagen.depot.store import Depot, OutOfReach, folder_of, is_url
from datagen.errors import LedgerError, SetupError


@pytest.fixture
def depot(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Depot:
    """A folder of its own for each test."""
    for name, value in bucket.env.items():
        monkeypatch.setenv(name, value)
    return fresh(f"{bucket.url}/{request.node.name}", 3)


def fresh(url: str, patience: float) -> Depot:
    """The client of this process remembers the address under which it was made; each test has another."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    return Depot(url, patience)


# --- objects ---


@pytest.mark.parametrize("kind", ["s3", "memory", "file"])
def test_objects_are_whole_and_listed_and_gone(kind: str, depot: Depot, tmp_path: Path) -> None:
    store = {"s3": depot, "memory": Depot("memory://objects/x", 1), "file": Depot(f"file://{tmp_path}/store", 1)}[kind]
    assert store.listed() == {} and store.get("a/b") is None and store.part("a/b", 0, 1) is None and store.modified("a/b") is None
    store.put("a/b", b"0123456789")
    (tmp_path / "sent").write_bytes(b"sent")
    store.send("c", tmp_path / "sent")
    assert {name: thing.size for name, thing in store.listed().items()} == {"a/b": 10, "c": 4}
    assert list(store.listed("a")) == ["a/b"]
    assert store.get("a/b") == b"0123456789" and store.part("a/b", 2, 5) == b"234"
    store.fetch("c", tmp_path / "deep" / "fetched")
    assert (tmp_path / "deep" / "fetched").read_bytes() == b"sent"
    before = store.listed()["a/b"].mark
    store.put("a/b", b"other bytes")
    assert store.listed()["a/b"].mark != before
    store.remove(["a/b", "never/was"])
    assert list(store.listed()) == ["c"]
    with pytest.raises(FileNotFoundError):
        store.fetch("a/b", tmp_path / "gone")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("kind", ["s3", "memory", "file"])
def test_an_object_is_made_by_one_alone(kind: str, depot: Depot, tmp_path: Path) -> None:
    store = {"s3": depot, "memory": Depot("memory://made/x", 1), "file": Depot(f"file://{tmp_path}/store", 1)}[kind]
    assert store.make("lock/1", b"mine")
    assert not store.make("lock/1", b"yours") and store.get("lock/1") == b"mine"
    assert store.make("lock/1", b"mine"), "a try whose reply was lost must know its own object again"
    store.require_exclusive("lock/1")


def test_of_many_that_make_an_object_at_once_one_does(depot: Depot) -> None:
    made: list[bool] = []
    threads = [threading.Thread(target=lambda word=word: made.append(depot.make("one", word))) for word in (b"a", b"b", b"c", b"d", b"e", b"f")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 5 + [True]


def test_a_store_that_creates_what_is_there_cannot_keep_runs_apart(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    depot.put("lock/1", b"mine")
    careless = depot._store.pipe_file
    monkeypatch.setattr(depot._store, "pipe_file", lambda path, data, mode="": careless(path, data))
    with pytest.raises(SetupError, match="cannot keep two runs apart"):
        depot.require_exclusive("lock/1")


def test_many_files_go_and_come(depot: Depot, tmp_path: Path) -> None:
    names = [f"d{number % 7}/{number}" for number in range(100)]
    for name in names:
        (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / name).write_text(name)
    depot.push(tmp_path / "here", names)
    depot.pull(tmp_path / "there", names)
    assert [(tmp_path / "there" / name).read_text() for name in names] == names


def test_what_waiting_does_not_mend_is_an_error_at_once_that_teaches(bucket: Bucket, depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    for call in (lambda there: there.listed(), lambda there: there.put("a", b""), lambda there: there.get("a")):
        with pytest.raises(SetupError, match=r"bucket does not exist.*create it.*AWS_ENDPOINT_URL"):
            call(Depot("s3://no-such-bucket/x", 1000))
    with pytest.raises(SetupError, match="names no bucket"):
        Depot("s3:///x", 1000).listed()
    with pytest.raises(SetupError, match="Protocol not known: zzz"):
        Depot("zzz://x", 1000).listed()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(SetupError, match="set AWS_ACCESS_KEY_ID") as caught:
        fresh(f"{bucket.url}/x", 1000).put("a", b"")
    assert not isinstance(caught.value, OutOfReach)


def test_an_outage_is_waited_out(bucket: Bucket, depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    with breakable(bucket) as (behind, line):
        monkeypatch.setenv("AWS_ENDPOINT_URL", behind.endpoint)
        patient = fresh(depot.url, 60)
        patient.put("before", b"1")
        line.cut()
        threading.Timer(2.0, line.mend).start()
        patient.put("during", b"2")
        assert patient.get("before") == b"1" and patient.get("during") == b"2"
        line.cut()
        with pytest.raises(OutOfReach, match="out of reach"):
            Depot(depot.url, 0).get("before")


def test_a_url_is_told_from_a_folder_and_has_one_mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert is_url("s3://b/x") and not is_url("out/x") and not is_url(Path("s3://b/x"))
    monkeypatch.setenv("DATAGEN_WORK", str(tmp_path))
    assert folder_of("out/x") == Path("out/x")
    assert folder_of("s3://b/x") == folder_of("s3://b/x/") != folder_of("s3://b/y")
    assert folder_of("s3://b/x").parent == tmp_path and folder_of("s3://b/x", tmp_path / "w").parent == tmp_path / "w"


def test_an_address_that_lacks_a_slash_is_no_folder() -> None:
    for place, meant in {"s3:/b/x": "s3://b/x", "gs:/b": "gs://b"}.items():
        with pytest.raises(SetupError, match=f"did you mean {meant}"):
            folder_of(place)
    assert folder_of("C:/x") == Path("C:/x") and folder_of("a/b:/c") == Path("a/b:/c")


@pytest.mark.parametrize("url", ["s3://", "s3:///x"])
def test_an_address_without_a_bucket(url: str) -> None:
    with pytest.raises(SetupError, match="names no bucket"):
        Depot(url).entries()


# --- the mirror ---


def put(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def everything(name: str) -> bool:
    return True


class Counted(Depot):
    """Counts what is carried."""

    carried: list[str]

    def fetch(self, name: str, path: Path) -> None:
        self.carried.append(name)
        super().fetch(name, path)

    def send(self, name: str, path: Path) -> None:
        self.carried.append(name)
        super().send(name, path)


def test_a_mirror_carries_nothing_twice_and_the_store_wins(depot: Depot, tmp_path: Path) -> None:
    counted = Counted(depot.url, 3)
    counted.carried = []
    here = tmp_path / "here"
    put(here, a="1", deep__b="2", gone="3")
    Mirror(counted, here).push(everything)
    assert sorted(counted.carried) == ["a", "deep/b", "gone"] == sorted(depot.listed())
    counted.carried.clear()
    Mirror(counted, here).push(everything)
    Mirror(counted, here).pull()
    assert counted.carried == []
    (here / "gone").unlink()
    put(here, a="one", new="4")
    Mirror(counted, here).push(everything)
    assert sorted(counted.carried) == ["a", "new"] and sorted(depot.listed()) == ["a", "deep/b", "new"]
    counted.carried.clear()
    depot.put("a", b"theirs")
    depot.remove(["new"])
    put(here, stray="5", deep__b="changed here")
    Mirror(counted, here).pull()
    assert {path.name: path.read_text() for path in here.rglob("*") if path.is_file() and path.name[0] != "."} == {"a": "theirs", "b": "2"}
    assert sorted(counted.carried) == ["a", "deep/b"]
    Mirror(depot, tmp_path / "elsewhere").pull()
    assert (tmp_path / "elsewhere" / "deep" / "b").read_text() == "2"


def test_a_mirror_leaves_alone_what_is_not_its_own(depot: Depot, tmp_path: Path) -> None:
    depot.put("ledger/1", b"x")
    put(tmp_path, ledger__2="y", mine="z")
    mirror = Mirror(depot, tmp_path, lambda name: not name.startswith("ledger/"))
    mirror.push(everything)
    mirror.pull()
    assert sorted(depot.listed()) == ["ledger/1", "mine"] and (tmp_path / "ledger" / "2").exists() and not (tmp_path / "ledger" / "1").exists()


def test_stages_go_one_after_the_other_and_removals_with_theirs(depot: Depot, tmp_path: Path) -> None:
    put(tmp_path, data="1", old="0", manifest="m1")
    Mirror(depot, tmp_path).push(everything)
    (tmp_path / "old").unlink()
    put(tmp_path, data="2", manifest="m2")
    order: list[str] = []

    class Watched(Depot):
        def send(self, name: str, path: Path) -> None:
            order.append(name)
            super().send(name, path)

        def remove(self, names: object) -> None:
            order.extend(f"-{name}" for name in list(names))  # type: ignore[call-overload]

    Mirror(Watched(depot.url, 3), tmp_path).push(lambda name: name != "manifest", lambda name: name == "manifest", remove=1)
    assert order == ["data", "manifest", "-old"]


# --- the lock ---


def taken(depot: Depot, seconds: float = 60.0, run: str = "first", said: list[str] | None = None) -> Lease:
    return Lease(depot, run, (said if said is not None else []).append, seconds)


def test_a_lock_is_had_by_one_and_the_other_is_told_whose_it_is(depot: Depot) -> None:
    with taken(depot, 6) as lease:
        lease.require()
        lease.confirm()
        with (
            pytest.raises(LedgerError, match=rf"in use by process {os.getpid()} on .*\(first, since \d.*nothing was asked"),
            taken(depot, 6, "second"),
        ):
            pass
        lease.confirm()
    with taken(depot, 6, "second"), pytest.raises(LedgerError), taken(depot, 6, "third"):
        pass
    assert list(depot.listed("lock")) == ["lock/000001.json", "lock/000002.json"], "the last two runs"


def dead(depot: Depot, **more: object) -> None:
    """A generation whose holder never renews it again."""
    said = {"host": "far", "pid": 1, "run": "dead", "since": 0, "seconds": 3.0, "machine": "other", "born": "1", "renewed": 0, "released": False}
    depot.put("lock/000004.json", json.dumps(said | {"token": "t"} | more).encode())


def test_a_dead_run_of_another_machine_is_waited_for_until_its_lease_is_over(depot: Depot) -> None:
    dead(depot)
    said: list[str] = []
    with taken(depot, said=said) as lease:
        lease.confirm()
        assert list(depot.listed("lock"))[-1] == "lock/000005.json"
    assert len(said) == 1 and "process 1 on far (dead" in said[0] and "waiting" in said[0]


def test_a_dead_run_of_this_machine_is_not_waited_for(depot: Depot) -> None:
    machine = leases._machine()
    assert machine, "this test needs /proc"
    dead(depot, machine=machine, pid=os.getpid(), born="another process of that number", seconds=1e6)
    said: list[str] = []
    with taken(depot, said=said):
        assert said == []


def test_who_was_succeeded_may_write_no_more(depot: Depot) -> None:
    with taken(depot) as lease:
        depot.put("lock/000009.json", b"{}")
        with pytest.raises(LedgerError, match="run 9 has taken it over"):
            lease.confirm()
        with pytest.raises(LedgerError):
            lease.require()
    assert json.loads(depot.get("lock/000001.json") or b"")["released"] is False


def stopped_within(follower: Follower, seconds: float = 30.0) -> str:
    waiting = threading.Event()
    for _ in range(int(seconds / 0.05)):
        try:
            follower.require()
        except LedgerError as error:
            return str(error)
        waiting.wait(0.05)
    raise AssertionError("it never stopped")


def test_a_worker_elsewhere_stops_when_its_run_is_succeeded_or_ends(depot: Depot) -> None:
    with taken(depot, 3) as lease:
        follower, other = Follower(depot, lease.number, 3), Follower(depot, lease.number, 3)
        threading.Event().wait(4.0)  # longer than the lease: it has seen it renewed
        follower.require()
        depot.put("lock/000009.json", b"{}")
        assert "run 9 has taken it over" in stopped_within(follower)
        assert "run 9" in stopped_within(other)
        depot.remove(["lock/000009.json"])
        follower.close()
        other.close()
    depot.remove(depot.listed("lock"))
    with taken(depot, 3) as lease:
        follower = Follower(depot, lease.number, 3)
        follower.require()
    assert "given back" in stopped_within(follower)
    follower.close()


def test_a_worker_elsewhere_stops_when_its_run_renews_no_more(depot: Depot) -> None:
    dead(depot)
    follower = Follower(depot, 4, 3)
    assert "renewed no more" in stopped_within(follower)
    follower.close()


def test_the_door_names_the_lease_that_holds() -> None:
    assert LEASE == leases.SECONDS


def test_a_lease_that_ran_out_is_lost_though_nobody_took_it(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    with taken(depot) as lease:
        now = leases._now()
        monkeypatch.setattr(leases, "_now", lambda: now + 61)
        with pytest.raises(LedgerError, match="ran out"):
            lease.require()


def test_a_lock_of_an_unreachable_store_is_kept_until_the_lease_is_over(bucket: Bucket, depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    with breakable(bucket) as (behind, line):
        monkeypatch.setenv("AWS_ENDPOINT_URL", behind.endpoint)
        with taken(fresh(depot.url, 3)) as lease:
            line.cut()
            lease.confirm()
            line.mend()
            lease.confirm()
