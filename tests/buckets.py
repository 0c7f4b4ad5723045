"""A real S3 on loopback: moto's server as a process of its own, and what lies in a bucket as plain bytes, read with no code of datagen."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import s3fs
from killing import keys_of

BUCKET = "books"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass
class Bucket:
    """One bucket of a server that listens on loopback."""

    endpoint: str
    process: subprocess.Popen[str]
    env: Mapping[str, str]
    """What a process needs to know to reach it."""

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}"

    def client(self) -> Any:
        import boto3

        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.endpoint, **keys)

    def names(self, prefix: str = "") -> list[str]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(self, name: str) -> bytes:
        return bytes(self.client().get_object(Bucket=BUCKET, Key=name)["Body"].read())


@contextmanager
def standing_bucket(monkeypatch: Any = None) -> Iterator[Bucket]:
    """With `monkeypatch`, this process and all that it starts reach it too."""
    command = [sys.executable, "-m", "moto.server", "-p", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        found = None
        for line in process.stderr:
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                break
        assert found, "moto's server did not start"
        log = process.stderr
        threading.Thread(target=lambda: [None for _ in log], daemon=True).start()  # a pipe that nobody reads stops the server
        bucket = Bucket(found.group(0), process, {**KEYS, "AWS_ENDPOINT_URL": found.group(0)})
        bucket.client().create_bucket(Bucket=BUCKET)
        s3fs.S3FileSystem.clear_instance_cache()  # a client of this process remembers the address under which it was made
        if monkeypatch is not None:
            for name, value in bucket.env.items():
                monkeypatch.setenv(name, value)
        yield bucket
    finally:
        process.kill()
        process.communicate()


def environment(bucket: Bucket, **more: str) -> dict[str, str]:
    return {**os.environ, **bucket.env, **more}


class Line:
    """A connection to a server that can be cut: while it is, connections are refused and standing ones are broken."""

    def __init__(self, endpoint: str) -> None:
        self._there = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._port = 0
        self.mend()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def mend(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port), reuse_port=False)
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        assert self._listener
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._listener = None
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._listener:
            self.cut()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(self._there)
            except OSError:
                return
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := one.recv(1 << 16):
                other.sendall(block)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        one.close()


@contextmanager
def breakable(bucket: Bucket) -> Iterator[tuple[Bucket, Line]]:
    """The same bucket behind a line that can be cut."""
    line = Line(bucket.endpoint)
    try:
        yield Bucket(line.endpoint, bucket.process, {**bucket.env, "AWS_ENDPOINT_URL": line.endpoint}), line
    finally:
        line.close()


def recorded_in(bucket: Bucket, ledger: str) -> frozenset[str]:
    """Keys of whole answers in the copy of a ledger: put together from objects and tails, with no code of datagen."""
    segments: dict[str, bytes] = {}
    names = bucket.names(f"{ledger}/")
    for name in names:
        if name.endswith(".jsonl") and "/tails/" not in name:
            segments[name.rpartition("/")[2]] = bucket.read(name)
    for name in sorted(name for name in names if "/tails/" in name):
        _, segment, span = name.rsplit("/", 2)
        have = segments.get(segment, b"")
        start, end = map(int, span.split("-"))
        if start <= len(have) < end:
            segments[segment] = have + bucket.read(name)[len(have) - start :]
    return keys_of(segments.values())
