"""A real Ray of several raylets on this machine, and what may happen to its processes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from killing import DATAGEN, problems, recorded_keys, spec_of, statement

ENVIRONMENT = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


def clustered(url: str, seeds: int) -> str:
    """A spec for builds on a cluster."""
    return spec_of("clustered", url, problems(seeds), 24, "0.3,0.5")


@dataclass
class RayCluster:
    """One head and `nodes` more; the driver's node is the head, which no test kills."""

    inner: Any
    nodes: list[Any] = field(default_factory=list)

    @property
    def address(self) -> str:
        return str(self.inner.address)

    def add(self) -> None:
        self.nodes.append(self.inner.add_node(num_cpus=1, include_dashboard=False))

    def raylets(self) -> list[int]:
        """Process ids, the head's first."""
        return [_raylet(node) for node in (self.inner.head_node, *self.nodes)]

    def actors(self, of: str) -> list[int]:
        """Process ids of the actors of a class, anywhere in this cluster."""
        raylets = set(self.raylets())
        return [pid for pid, parent, title in _processes() if parent in raylets and title.startswith(f"ray::{of}")]

    def kill_raylet(self, chance: random.Random) -> None:
        """One of the nodes beside the head, and another joins."""
        node = self.nodes.pop(chance.randrange(len(self.nodes)))
        os.kill(_raylet(node), signal.SIGKILL)
        self.inner.remove_node(node, allow_graceful=False)
        self.add()


def _raylet(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def _processes() -> Iterator[tuple[int, int, str]]:
    """(id, parent's id, title) of every process."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            yield int(path.name), parent, (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (OSError, IndexError, ValueError):
            continue


@contextmanager
def ray_cluster(nodes: int = 2) -> Iterator[RayCluster]:
    """Processes of their own; ended with the block."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    from ray.cluster_utils import Cluster

    inner = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster = RayCluster(inner)
    try:
        for _ in range(nodes):
            cluster.add()
        yield cluster
    finally:
        inner.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dataclass(frozen=True)
class Struck:
    """A build that something happened to."""

    code: int
    said: str
    recorded: frozenset[str]
    """Keys in the ledger at that moment."""
    paid: dict[str, int]
    """Key -> how often the teacher had been paid for it by then."""


def start(cluster: RayCluster, spec: Path, out: Path | str, workers: int, *more: str) -> subprocess.Popen[bytes]:
    command = [*DATAGEN, "build", "--spec", str(spec), "--out", str(out), "--runtime", "ray", "--workers", str(workers), *more]
    environment = {**os.environ, **ENVIRONMENT, "RAY_ADDRESS": cluster.address}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, start_new_session=True)


def strike(
    cluster: RayCluster, spec: Path, out: Path | str, url: str, after: int, blow: Callable[[int], None], workers: int = 3, work: Path | None = None
) -> Struck:
    """A build to which `blow(its process id)` happens once `after` more answers have been paid. `work`: where an OUT that is a url is mirrored."""
    more = ["--work", str(work)] if work else []
    before, process = _answers(url), start(cluster, spec, out, workers, *more)
    while process.poll() is None and _answers(url) < before + after:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[1].decode()[-2000:]
    blow(process.pid)
    # what the dead one was sent and could not record is in flight: the simulator counts it as paid a moment later
    ledgers = [path.parent for path in work.rglob("*.jsonl")] if work else [Path(out) / "ledger"]
    recorded = frozenset().union(*map(recorded_keys, set(ledgers)))
    paid = {entry["key"]: entry["count"] for entry in statement(url)}
    _, said = process.communicate(timeout=300)
    return Struck(process.returncode, said.decode(), recorded, paid)


def _answers(url: str) -> int:
    return sum(entry["count"] for entry in statement(url))


def paid_again(struck: Struck, url: str) -> list[str]:
    """Keys that were recorded when it happened, and were paid for once more since."""
    final = {entry["key"]: entry["count"] for entry in statement(url)}
    return [key for key in struck.recorded if final[key] > struck.paid.get(key, 0)]


def manifest(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "manifest.json").read_text()))
