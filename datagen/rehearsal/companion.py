"""A simulator of one's own for the length of a build: started beside it, gone with it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from datagen.errors import SetupError
from datagen.rehearsal.server.serving import serve
from datagen.spec.load import load_spec
from datagen.spec.models import Rehearsal


@contextlib.contextmanager
def companion(settings: Rehearsal, base: Path, run: int = 0) -> Iterator[str]:
    """The address of a simulator that ends with this block, and with this process however it dies. Relative paths start at `base`.

    A simulator counts attempts from its start, so a second one would deal the same faults again, and running again could not heal: `run`
    is the number of this run, and a later one meets new luck. Answers, defects and the label stay as they are.
    """
    told = ["--run", str(run), "--settings", _absolute(settings, base).model_dump_json()]
    command = [sys.executable, "-m", "datagen.rehearsal.server", "--parent-pipe", *told]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdin and process.stdout and process.stderr
    try:
        said = process.stdout.readline().split()
        if len(said) != 2:
            raise SetupError(f"the simulated teacher did not start: {process.stderr.read().strip() or 'it said nothing'}")
        yield f"http://127.0.0.1:{int(said[1])}"
    finally:
        process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()


def label_at(url: str) -> str:
    """What a running simulator calls itself in request keys. Raises SetupError when none listens there."""
    try:
        with urllib.request.urlopen(f"{url}/settings", timeout=10) as reply:
            return str(json.load(reply)["label"])
    except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
        raise SetupError(f"no simulated teacher answers at {url}: {error}; start one with `datagen simulator --port P`") from error


def stand(host: str, port: int, spec: str | None, library: Path | None, ready: Callable[[int], None]) -> None:
    """A simulator that stands by itself, with the rehearsal section of a spec; returns when it is interrupted."""
    settings = Rehearsal()
    if spec is not None:
        loaded = load_spec(spec, library)
        settings = _absolute(loaded.spec.rehearsal, loaded.base)
    with contextlib.suppress(KeyboardInterrupt):
        serve(settings, host, port, ready)


def _absolute(settings: Rehearsal, base: Path) -> Rehearsal:
    if settings.bank is None:
        return settings
    bank = settings.bank.model_copy(update={"path": str((base / Path(settings.bank.path).expanduser()).resolve())})
    return settings.model_copy(update={"bank": bank})
