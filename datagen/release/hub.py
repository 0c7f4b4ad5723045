"""To the Hub in one atomic commit and a tag, and the only door to huggingface_hub.

Data, card, report and manifest leave; ledger/, steps/ and catalog.duckdb never do. Large files go first, then one commit names them
all, so a reader sees the old release or the new one and nothing between. Pushing again sends nothing. Token and endpoint come from
the environment (HF_TOKEN or `hf auth login`; HF_ENDPOINT).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datagen.errors import OutputError, SetupError
from datagen.release.measured.certificate import FILE as CERTIFICATE
from datagen.storage import read_json, sha256_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PAGES = ("README.md", "report.html", "manifest.json")
REFUSALS = {
    401: "the token is not valid",
    403: "the token may not write there, or a quota is used up",
    412: "somebody else keeps changing the repository",
    429: "too many requests; try later",
}
"""HTTP status -> what it means for a push."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """What the Hub holds now."""

    url: str
    commit: str
    """The commit that holds this release."""
    tag: str
    sent: tuple[str, ...]
    """Paths that were new or changed; empty when the Hub had everything."""


def push(out: Path, repo: str, private: bool, *, allow_simulated: bool = False) -> PushResult:
    """Put the release of OUT into the dataset repository `owner/name`.

    Raises OutputError for simulated rows without `allow_simulated`, for files that do not match the manifest, when the repository
    holds other files of the same name under data/, or is public where a private one was asked for; SetupError when there is no
    token, no right to write, or no connection (the same call goes on where it stopped).
    """
    manifest = _manifest(out)
    if manifest["simulated"] and not allow_simulated:
        raise OutputError(
            f"{manifest['name']} {_version(manifest)} is a rehearsal: its rows were made up by the simulator and would mislead whoever finds them. "
            "Build it with real teachers, or push it on purpose with --allow-simulated; its card says what it is"
        )
    files = _files(out, manifest)
    with _translated(repo):
        return _Remote(repo, private).put(files, manifest)


def _manifest(out: Path) -> Mapping[str, Any]:
    manifest: Mapping[str, Any] | None = read_json(out / "manifest.json")
    if manifest is None or not manifest["releases"]:
        raise OutputError(f"nothing has been released in {out}: run the build first")
    return manifest


def _version(manifest: Mapping[str, Any]) -> str:
    return str(manifest["releases"][-1]["version"])


def _files(out: Path, manifest: Mapping[str, Any]) -> dict[str, Path]:
    """Path in the repository -> file, each checked against the manifest. Nothing else may leave."""
    named = [file for entry in manifest["releases"] for file in entry["files"]]
    for file in named:
        path = out / file["path"]
        if not path.is_file() or sha256_of(path) != file["sha256"]:
            raise OutputError(f"{path} is missing or not the file that manifest.json names: build again, which makes the same bytes")
    missing = [name for name in PAGES if not (out / name).is_file()]
    if missing:
        raise OutputError(f"{out / missing[0]} is missing: build again, which writes it")
    also = [CERTIFICATE] if (out / CERTIFICATE).is_file() else []
    return {name: out / name for name in (*(file["path"] for file in named), *PAGES, *also)}


class _Remote:
    """One dataset repository; the words of the Hub stay inside."""

    def __init__(self, repo: str, private: bool) -> None:
        from huggingface_hub import HfApi, get_token

        if not get_token():
            raise SetupError("no token for the Hub: set HF_TOKEN to one with write access, or run `hf auth login`")
        self.api: HfApi = HfApi()
        self.repo, self.private = repo, private

    def put(self, files: Mapping[str, Path], manifest: Mapping[str, Any]) -> PushResult:
        self._create()
        tag = f"v{_version(manifest)}"
        head = self._head()
        sent = self._differing(files, head)
        if sent:
            head = self._commit(sent, head, f"{manifest['name']} {_version(manifest)}")
        self._tag(tag, head)
        return PushResult(f"{self.api.endpoint}/datasets/{self.repo}", head, tag, tuple(sent))

    def _create(self) -> None:
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            info = self.api.dataset_info(self.repo)
        except RepositoryNotFoundError:
            self.api.create_repo(self.repo, repo_type="dataset", private=self.private, exist_ok=True)
            return
        if self.private and not info.private:
            raise OutputError(
                f"{self.repo} is public, and this push asks for a private repository: make it private on the Hub, or push with private: false"
            )

    def _head(self) -> str:
        return str(self.api.dataset_info(self.repo).sha)

    def _differing(self, files: Mapping[str, Path], head: str) -> dict[str, Path]:
        """What the Hub lacks or holds otherwise. A data file that is out is never replaced."""
        from huggingface_hub import RepoFile

        tree = self.api.list_repo_tree(self.repo, recursive=True, revision=head, repo_type="dataset")
        there = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        changed = {name: path for name, path in files.items() if name not in there or not _same(path, there[name])}
        replaced = [name for name in changed if name.startswith("data/") and name in there]
        if replaced:
            raise OutputError(
                f"{self.repo} holds another {replaced[0]}, and released files never change: "
                "push to another repository, or remove the old release there by hand"
            )
        return changed

    def _commit(self, sent: Mapping[str, Path], head: str, message: str) -> str:
        """One commit on `head`; once more when somebody else was faster. A lost answer is settled by looking at the repository."""
        try:
            return self._send(sent, head, message)
        except Exception as error:
            now = self._head()
            rest = self._differing(sent, now)
            if not rest:
                return now  # the commit is there, its answer was lost
            if _status(error) != 412:
                raise
        return self._send(rest, now, message)

    def _send(self, sent: Mapping[str, Path], head: str, message: str) -> str:
        from huggingface_hub import CommitOperationAdd

        additions = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in sent.items()]
        large = [addition for addition in additions if addition.path_in_repo.startswith("data/")]
        if large:
            self.api.preupload_lfs_files(self.repo, large, repo_type="dataset")
        done = self.api.create_commit(self.repo, additions, commit_message=message, repo_type="dataset", parent_commit=head)
        return str(done.oid)

    def _tag(self, tag: str, head: str) -> None:
        """Tags stay where they were set: a report written again is no new release."""
        tags = self.api.list_repo_refs(self.repo, repo_type="dataset").tags
        if tag not in {entry.name for entry in tags}:
            self.api.create_tag(self.repo, tag=tag, revision=head, repo_type="dataset", exist_ok=True)


def _same(path: Path, entry: Any) -> bool:
    """By sha256 for large files, by git's own digest for the others."""
    if entry.lfs is not None:
        return bool(entry.lfs.sha256 == sha256_of(path))
    content = path.read_bytes()
    return bool(entry.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest())


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


@contextlib.contextmanager
def _translated(repo: str) -> Iterator[None]:
    """The Hub's refusals in our words."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except HFValidationError as error:
        raise OutputError(f"{repo!r} is no name of a dataset repository: {error}") from error
    except HfHubHTTPError as error:
        status = _status(error)
        what = REFUSALS.get(status or 0, f"the Hub answered {status}")
        raise SetupError(f"cannot push to {repo}: {what}. {error}") from error
    except Exception as error:
        if not isinstance(error, ConnectionError | TimeoutError) and not type(error).__module__.startswith("httpx2"):
            raise
        raise SetupError(f"cannot push to {repo}: the connection to the Hub failed ({error}). The same command goes on where it stopped") from error
