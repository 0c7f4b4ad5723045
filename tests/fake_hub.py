"""A small Hub on loopback: dataset repositories with commits, LFS blobs and tags, and faults on request.

It answers what huggingface_hub 2 and datasets 5 ask with HF_HUB_DISABLE_XET=1. Faults: `hub.faults` maps a name (`commit_lost`,
`commit_503`, `commit_race`, `lfs_put`, `forbidden`) to how often it still happens.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

File = tuple[bytes, bool]
"""Content, and whether it is stored as LFS."""


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Repo:
    def __init__(self, private: bool) -> None:
        self.private = private
        self.commits: list[tuple[str, dict[str, File]]] = []
        self.tags: dict[str, str] = {}
        self.add({".gitattributes": (b"*.parquet filter=lfs\n", False)})

    @property
    def head(self) -> str:
        return self.commits[-1][0]

    def add(self, files: dict[str, File]) -> str:
        sha = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits.append((sha, files))
        return sha

    def at(self, revision: str) -> tuple[str, dict[str, File]] | None:
        wanted = self.head if revision == "main" else self.tags.get(revision, revision)
        return next((commit for commit in self.commits if commit[0] == wanted), None)


class FakeHub:
    """`with FakeHub() as hub:` serves at `hub.url`; everything asked is in `hub.asked`."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults: dict[str, int] = {}
        self.asked: list[tuple[str, str]] = []
        self.lock = threading.RLock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeHub:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fault(self, name: str) -> bool:
        with self.lock:
            left = self.faults.get(name, 0)
            self.faults[name] = max(0, left - 1)
            return left > 0

    def environment(self, home: str) -> dict[str, str]:
        """What a client's process needs before it imports huggingface_hub."""
        quiet = dict.fromkeys(
            ("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS"), "1"
        )
        quiet |= {"HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0"}
        return quiet | {"HF_ENDPOINT": self.url, "HF_HOME": home, "HF_TOKEN": "hf_dummy"}


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""

    # --- plumbing ---

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: Any, status: int = 200, **headers: str) -> None:
        self._send(status, json.dumps(value).encode(), Content_Type="application/json", **headers)

    def _missing(self, what: str) -> None:
        if self.command == "HEAD":
            return self._send(404, X_Error_Code=what, X_Error_Message=what)
        return self._json({"error": what}, 404, X_Error_Code=what, X_Error_Message=what)

    def _route(self) -> None:
        split = urlsplit(self.path)
        parts = [unquote(part) for part in split.path.strip("/").split("/")]
        body = self._body()
        self.hub.asked.append((self.command, split.path))
        with self.hub.lock:
            if parts[0] == "api":
                return self._api(parts[1:], body, parse_qs(split.query))
            if parts[0] == "lfs":
                return self._lfs(parts[1:], body)
            if parts[0] == "datasets" and parts[2].endswith(".git"):
                return self._batch(json.loads(body))
            if parts[0] == "datasets" and parts[3] == "resolve":
                return self._resolve("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))
        return self._missing("RepoNotFound")

    do_GET = do_POST = do_PUT = do_HEAD = _route

    # --- the API ---

    def _api(self, parts: list[str], body: bytes, query: dict[str, list[str]]) -> None:
        if parts == ["whoami-v2"]:
            return self._json({"type": "user", "name": "me", "fullname": "me", "orgs": []})
        if parts == ["validate-yaml"]:
            return self._json({"errors": [], "warnings": []})
        if parts == ["repos", "create"]:
            return self._create(json.loads(body))
        if parts[0] != "datasets" or "/".join(parts[1:3]) not in self.hub.repos:
            return self._missing("RepoNotFound")
        name, repo, rest = "/".join(parts[1:3]), self.hub.repos["/".join(parts[1:3])], parts[3:]
        if not rest or rest[0] == "revision":
            return self._info(name, repo, rest[1] if rest else "main")
        if rest[0] == "refs":
            branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head}]
            tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": sha} for tag, sha in repo.tags.items()]
            return self._json({"branches": branches, "tags": tags, "converts": []})
        if rest[0] == "preupload":
            return self._preupload(repo, json.loads(body))
        if rest[0] == "commit":
            return self._commit(name, repo, body)
        if rest[0] == "tag":
            repo.tags[json.loads(body)["tag"]] = (repo.at(rest[1]) or repo.commits[-1])[0]
            return self._json({})
        if rest[0] == "tree":
            return self._tree(repo, rest[1], "/".join(rest[2:]), query.get("recursive", ["false"])[0].lower() == "true")
        if rest[0] == "paths-info":
            paths = json.loads(body)["paths"] if body.startswith(b"{") else parse_qs(body.decode())["paths"]
            files = (repo.at(rest[1]) or repo.commits[-1])[1]
            return self._json([_entry(path, files[path]) for path in paths if path in files])
        return self._missing("EntryNotFound")

    def _create(self, words: dict[str, Any]) -> None:
        name = f"{words.get('organization') or 'me'}/{words['name']}"
        if self.hub.fault("forbidden"):
            return self._json({"error": "You don't have the rights to create a dataset under this namespace"}, 403)
        if name in self.hub.repos:
            return self._json({"error": "exists", "url": f"{self.hub.url}/datasets/{name}"}, 409)
        self.hub.repos[name] = Repo(words.get("visibility") == "private")
        return self._json({"url": f"{self.hub.url}/datasets/{name}", "name": name, "id": "x"})

    def _info(self, name: str, repo: Repo, revision: str) -> None:
        found = repo.at(revision)
        if found is None:
            return self._missing("RevisionNotFound")
        when = "2026-11-20T00:00:00.000Z"
        value: dict[str, Any] = {"_id": "x", "id": name, "author": name.split("/")[0], "sha": found[0], "lastModified": when, "createdAt": when}
        value |= {"private": repo.private, "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": []}
        return self._json(value | {"siblings": [{"rfilename": path} for path in sorted(found[1])]})

    def _preupload(self, repo: Repo, words: dict[str, Any]) -> None:
        files = repo.commits[-1][1]
        answer = []
        for file in words["files"]:
            mode = "lfs" if file["path"].endswith(".parquet") else "regular"
            oid = git_oid(files[file["path"]][0]) if file["path"] in files and mode == "regular" else None
            answer.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return self._json({"files": answer})

    def _commit(self, name: str, repo: Repo, body: bytes) -> None:
        if self.hub.fault("commit_503"):
            return self._json({"error": "unavailable"}, 503)
        if self.hub.fault("commit_race"):
            repo.add(repo.commits[-1][1] | {"note.txt": (b"somebody was faster", False)})
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        if lines[0]["value"].get("parentCommit") not in (None, repo.head):
            return self._json({"error": "The parent commit is not the head"}, 412)
        files = dict(repo.commits[-1][1])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = (base64.b64decode(value["content"]), False)
            elif line["key"] == "lfsFile":
                files[value["path"]] = (self.hub.blobs[value["oid"]], True)
        sha = repo.add(files)
        if self.hub.fault("commit_lost"):
            self.close_connection = True
            self.connection.close()
            return None
        url = f"{self.hub.url}/datasets/{name}/commit/{sha}"
        return self._json({"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})

    def _tree(self, repo: Repo, revision: str, folder: str, recursive: bool) -> None:
        found = repo.at(revision)
        if found is None:
            return self._missing("RevisionNotFound")
        prefix = f"{folder}/" if folder else ""
        inside = {path: file for path, file in found[1].items() if path.startswith(prefix)}
        if folder and not inside:
            return self._missing("EntryNotFound")
        folders = sorted({prefix + path[len(prefix) :].split("/")[0] for path in inside if "/" in path[len(prefix) :]})
        entries: list[dict[str, Any]] = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in folders]
        entries += [_entry(path, file) for path, file in sorted(inside.items()) if recursive or "/" not in path[len(prefix) :]]
        return self._json(entries)

    # --- blobs and files ---

    def _batch(self, words: dict[str, Any]) -> None:
        objects = []
        for item in words["objects"]:
            href = f"{self.hub.url}/lfs/{item['oid']}"
            actions = {"upload": {"href": href, "header": {}}, "verify": {"href": f"{href}/verify", "header": {}}}
            objects.append(item | {"authenticated": True} | ({} if item["oid"] in self.hub.blobs else {"actions": actions}))
        return self._json({"transfer": "basic", "objects": objects})

    def _lfs(self, parts: list[str], body: bytes) -> None:
        if self.command == "POST":
            return self._json({})
        if self.hub.fault("lfs_put"):
            return self._json({"error": "unavailable"}, 503)
        if hashlib.sha256(body).hexdigest() != parts[0]:
            return self._json({"error": "sha256 differs"}, 400)
        self.hub.blobs[parts[0]] = body
        return self._send(200)

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repo = self.hub.repos.get(name)
        found = repo.at(revision) if repo else None
        if found is None or path not in found[1]:
            return self._missing("EntryNotFound" if found else "RepoNotFound")
        data, lfs = found[1][path]
        oid = hashlib.sha256(data).hexdigest() if lfs else git_oid(data)
        headers = {"X_Repo_Commit": found[0], "ETag": f'"{oid}"', "Accept_Ranges": "bytes"}
        headers |= {"X_Linked_Etag": f'"{oid}"', "X_Linked_Size": str(len(data))} if lfs else {}
        span = self.headers.get("Range", "")
        if not span.startswith("bytes="):
            return self._send(200, data, **headers)
        first, _, last = span[6:].partition("-")
        start, end = int(first), min(int(last or len(data) - 1), len(data) - 1)
        return self._send(206, data[start : end + 1], Content_Range=f"bytes {start}-{end}/{len(data)}", **headers)


def _entry(path: str, file: File) -> dict[str, Any]:
    data, lfs = file
    entry: dict[str, Any] = {"type": "file", "oid": git_oid(data), "size": len(data), "path": path}
    return entry | ({"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}} if lfs else {})
