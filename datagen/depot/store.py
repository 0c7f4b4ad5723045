"""The one way to an object store: names and bytes under one url, patient with a store that is out of reach, clear where patience is no use."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from datagen.depot.names import mirrors
from datagen.errors import DatagenError, SetupError

PATIENCE = 300.0
"""Seconds for which a call tries again while the store is out of reach."""
AT_ONCE = 16
"""Objects on their way at once. S3 takes 3,500 writes a second under one prefix; a round trip is 20-50 ms, so these ask 800 a second at most."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
"""Seconds between two tries; doubled from the one to the other."""
_S3: dict[str, Any] = {"config_kwargs": {"connect_timeout": 5, "read_timeout": 20, "retries": {"max_attempts": 0}}}
"""Its tries are ours: else one call on a store that hangs would last minutes, and a lease would run out meanwhile."""
_OPTIONS: dict[str, dict[str, Any]] = {"s3": _S3, "s3a": _S3, "file": {"auto_mkdir": True}}
_CREDENTIALS = ("Credential", "Token", "Profile", "Region")
"""In the names of errors of botocore that waiting does not mend."""
_WRONG = (PermissionError, FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, NotImplementedError, ValueError, TypeError)
"""What waiting does not mend."""
_NEEDS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), AWS_DEFAULT_REGION, and AWS_ENDPOINT_URL where it is not Amazon's",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_SAME = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az"}
_SLIP = re.compile(rf"([a-z][a-z0-9]+):/+(.+)$|({'|'.join(sorted({*_OPTIONS, *_NEEDS, *_SAME}))}):(.+)$")
"""An address that lacks a slash or two. A drive of one letter is none."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Thing:
    """One object as a listing shows it."""

    size: int
    """Bytes."""
    mark: str
    """Differs where the content does: the store's own digest of it, else the time at which it was put."""


def is_url(place: object) -> bool:
    """Whether a place is one of an object store: `s3://bucket/folder`, or any other address that fsspec knows."""
    return isinstance(place, str) and "://" in place


def folder_of(place: Path | str, work: Path | None = None) -> Path:
    """Where a place lies on this disk: itself, or, of an object store, its mirror: a folder of `work`, which is else $DATAGEN_WORK, or
    `datagen` in the user's cache."""
    if not is_url(place):
        return _folder(str(place))
    given = os.environ.get("DATAGEN_WORK")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(str(place).rstrip("/").encode()).hexdigest()[:16]
    return mirrors((work or (Path(given) if given else caches / "datagen")) / name, str(place))


def _folder(place: str) -> Path:
    if slip := _SLIP.match(place):
        raise SetupError(f"{place}: neither a folder of this disk nor an address; did you mean {slip[1] or slip[3]}://{slip[2] or slip[4]}?")
    return Path(place)


class Depot:
    """A folder of an object store. Names are relative to it, with `/` between. Calls block: they are for threads, never for an event loop.

    Every call raises SetupError where keys, bucket or address are wrong, at once, and where the store was out of reach for `patience`.
    """

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        self.url = url if url.endswith("://") else url.rstrip("/")
        self.patience = patience
        """Seconds; 0: one try a call."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Depot, (self.url, self.patience)

    def sub(self, name: str) -> Depot:
        """A folder within."""
        return Depot(f"{self.url}/{name}", self.patience)

    def listed(self, prefix: str = "") -> dict[str, Thing]:
        """What lies in the folder, or in a folder within; by name, in order."""
        found: dict[str, Any] = self._tried(lambda: self._store.find(self._path(prefix) if prefix else self._root, detail=True), {})
        known = {path.removeprefix(self._root).lstrip("/"): info for path, info in found.items() if info.get("type", "file") == "file"}
        return {name: Thing(int(info["size"]), _mark(info)) for name, info in sorted(known.items()) if name}

    def entries(self) -> list[str]:
        """Names of the objects and folders at the top."""
        found: list[str] = self._tried(lambda: self._store.ls(self._root, detail=False), [])
        return sorted(name for path in found if (name := str(path).rstrip("/").removeprefix(self._root).strip("/")))

    def get(self, name: str) -> bytes | None:
        """A whole object; None where there is none of that name."""
        return self._tried(lambda: bytes(self._store.cat_file(self._path(name))), None)

    def part(self, name: str, start: int, end: int) -> bytes | None:
        """The bytes from `start` to before `end`; None where there is no such object."""
        return self._tried(lambda: bytes(self._store.cat_file(self._path(name), start=start, end=end)), None)

    def put(self, name: str, data: bytes) -> None:
        """The whole object or none: nobody ever sees a part of it."""
        self._tried(lambda: self._store.pipe_file(self._path(name), data))

    def make(self, name: str, data: bytes) -> bool:
        """Create an object that is not there; False where it is. Of many that try at once, one is told True.

        `data` must be the caller's alone: a try whose reply was lost is told from another's by it.
        """
        try:
            self._tried(lambda: self._store.pipe_file(self._path(name), data, mode="create"))
        except FileExistsError:
            return self.get(name) == data
        return True

    def require_exclusive(self, name: str) -> None:
        """Raises SetupError where the store lets an object that is there be created once more: it knows no `If-None-Match`."""
        try:
            self._tried(lambda: self._store.pipe_file(self._path(name), b"", mode="create"))
        except FileExistsError:
            return
        raise SetupError(
            f"{self.url}: this store creates what is there already (it ignores If-None-Match), so it cannot keep two runs apart; "
            "S3, Google Cloud Storage and MinIO since 2024 can"
        )

    def modified(self, name: str) -> float | None:
        """When an object was put, in Unix seconds by the store's own clock; None where there is none."""
        return self._tried(lambda: float(self._store.modified(self._path(name)).timestamp()), None)

    def remove(self, names: Iterable[str]) -> None:
        """Also of names that are not there."""
        self._each(lambda name: self._tried(lambda: self._store.rm_file(self._path(name)), None), list(names))

    def fetch(self, name: str, path: Path) -> None:
        """An object as a file, by rename. Raises FileNotFoundError where there is none."""
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._tried(lambda: self._store.get_file(self._path(name), str(beside)))
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def send(self, name: str, path: Path) -> None:
        """A file as an object; the whole or none."""
        self._tried(lambda: self._store.put_file(str(path), self._path(name)))

    def pull(self, folder: Path, names: Iterable[str]) -> None:
        """Many objects as files of the same names, AT_ONCE at a time. Raises FileNotFoundError where one is not there."""
        self._each(lambda name: self.fetch(name, folder / name), list(names))

    def push(self, folder: Path, names: Iterable[str]) -> None:
        """Many files as objects of the same names, in no order."""
        self._each(lambda name: self.send(name, folder / name), list(names))

    @staticmethod
    def _each(work: Callable[[str], None], names: Sequence[str]) -> None:
        if len(names) < 2:
            for name in names:
                work(name)
            return
        with ThreadPoolExecutor(min(AT_ONCE, len(names)), "depot") as pool:
            for _ in pool.map(work, names):
                pass

    @cached_property
    def _at(self) -> tuple[Any, str]:
        """The store, and this folder's path in it."""
        import fsspec

        kind = self.url.partition("://")[0]
        options = _OPTIONS.get(kind, {})
        try:
            store, path = fsspec.core.url_to_fs(self.url, use_listings_cache=False, **options)
        except ImportError as error:
            package = f"'datagen[{kind}]'" if kind == "s3" else f"the fsspec package for {kind}://"
            raise SetupError(f"{self.url}: {error}; pip install {package}") from error
        except ValueError as error:
            raise SetupError(f"{self.url}: {error}; known are s3://, gs://, az://, file:// and what fsspec has a package for") from error
        if not str(path).strip("/") or (kind in {*_NEEDS, *_SAME} and str(path).startswith("/")):
            raise SetupError(f"{self.url} names no bucket; write s3://BUCKET/FOLDER")
        if hasattr(store, "retries"):
            store.retries = 1
        return store, str(path).rstrip("/")

    @property
    def _store(self) -> Any:
        return self._at[0]

    @property
    def _root(self) -> str:
        return self._at[1]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _tried(self, call: Callable[[], T], *missing: T) -> T:
        """`missing`: what to return where there is no such object. Else FileNotFoundError and FileExistsError are the caller's."""
        until, pause = time.monotonic() + self.patience, _FIRST_PAUSE
        while True:
            try:
                return call()
            except DatagenError:
                raise
            except FileNotFoundError as error:
                if "bucket does not exist" in str(error):
                    raise SetupError(f"{self.url}: {_words(error)}; create it, or mend the address; {self._needs()}") from error
                if missing:
                    return missing[0]
                raise
            except FileExistsError:
                raise
            except Exception as error:  # each store raises what its own client does
                if isinstance(error, _WRONG) or any(word in type(error).__name__ for word in _CREDENTIALS):
                    raise self._wrong(error) from error
                if time.monotonic() + pause > until:
                    raise OutOfReach(
                        f"{self.url} is out of reach since {self.patience:,.0f} s ({_words(error)}); is it up, and is its address right?"
                    ) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _wrong(self, error: Exception) -> SetupError:
        return SetupError(f"{self.url} cannot be used: {_words(error)}; {self._needs()}")

    def _needs(self) -> str:
        kind = self.url.partition("://")[0]
        return _NEEDS.get(_SAME.get(kind, kind), "see that its folder is there and may be written")


class OutOfReach(SetupError):
    """The store did not answer, or answered that it cannot, for as long as the caller would wait."""


def _mark(info: dict[str, Any]) -> str:
    """Of an object, from its entry in a listing."""
    return str(next((info[name] for name in ("ETag", "etag", "md5Hash", "mtime", "created") if info.get(name)), ""))


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
