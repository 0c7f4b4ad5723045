"""A real Ray head on loopback for a test file: its own process group, free ports, token authentication, and the checkout's datagen."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "0123456789abcdef0123456789abcdef-loopback"
PORTS = (
    "--port",
    "--dashboard-port",
    "--ray-client-server-port",
    "--dashboard-agent-listen-port",
    "--dashboard-agent-grpc-port",
    "--runtime-env-agent-port",
    "--metrics-export-port",
)


@dataclass(frozen=True)
class Cluster:
    """Where its dashboard is."""

    address: str

    def api(self, path: str) -> Any:
        """A GET of the dashboard's HTTP API, as JSON."""
        request = urllib.request.Request(f"{self.address}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)

    def environment(self) -> dict[str, str]:
        """What a client has set."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}


def free_ports(count: int) -> list[int]:
    """Below those that the system gives to outgoing connections: Ray takes some of them seconds later."""
    chance = random.SystemRandom()
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            each = held.enter_context(socket.socket())
            with suppress(OSError):
                each.bind(("127.0.0.1", chance.randrange(20_000, 32_000)))
                found.append(int(each.getsockname()[1]))
        return found


@contextmanager
def ray_head(tries: int = 5, **environment: str) -> Iterator[Cluster]:
    """`ray start --head --block` as a process group that ends with this block. Ray's sockets need a short path.

    Ray gives its agent 15 s and its node 30 s, and gives up for good after: on a machine with too much to do it is tried again.
    """
    for _ in range(tries):
        with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as folder:
            ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
            process = _started(Path(folder), ports, environment)
            try:
                cluster = Cluster(f"http://127.0.0.1:{ports['--dashboard-port']}")
                if _ready(cluster, process, Path(folder)):
                    yield cluster
                    return
                log = (Path(folder) / "head.log").read_text()[-3000:]
            finally:
                _end(process)
    raise AssertionError(f"no Ray head after {tries} tries:\n{log}")


def _started(folder: Path, ports: dict[str, int], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2", "--object-store-memory=100000000"]
    command += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--include-dashboard=true", "--disable-usage-stats"]
    command += ["--min-worker-port=0", "--max-worker-port=0", *(f"{name}={port}" for name, port in ports.items())]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    told = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_TMPDIR": str(folder), "PYTHONPATH": str(ROOT), "PATH": path}
    with (folder / "head.log").open("w") as log:
        return subprocess.Popen(
            command, cwd=folder, env={**os.environ, **told, **environment}, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def _ready(cluster: Cluster, process: subprocess.Popen[bytes], folder: Path, seconds: float = 300) -> bool:
    """The head says that its node is up, which comes after the agent that starts jobs, and the dashboard answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if "Ray runtime started" in (folder / "head.log").read_text():
            with suppress(OSError):
                cluster.api("/api/jobs/")
                return True
        time.sleep(0.5)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Gently first, so that every process of the head goes; then whatever is left of its group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=15)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
