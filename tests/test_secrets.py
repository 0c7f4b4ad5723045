"""An API key is used and never kept: not in the ledger, logs, shards, report, card or tracebacks, however often the server repeats it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from teaching import project, teacher
from wire_server import Reply, chat, encoded, error

KEY = "sk-live-4f9a7c2e8b1d6035MARK"
ESCAPED = "".join(f"\\u{ord(sign):04x}" for sign in KEY).encode()
JSON = {"content-type": "application/json"}


def parrot(prompt: str) -> str | Reply:
    """A server that repeats the key in answers, errors and pages."""
    number = int(prompt.rsplit(" ", 1)[1])
    if number % 9 == 1:
        return Reply(error("openai", "invalid_request_error", f"Incorrect header: Bearer {KEY}"), 400)
    if number % 9 == 2:
        return Reply(f"<html><body>proxy error, sent: Bearer {KEY}</body></html>".encode(), 200, {"content-type": "text/html"})
    if number % 9 == 3:
        return Reply(f'{{"choices": [{{"message": {{"content": "{KEY}'.encode(), 200, JSON)
    if number % 9 == 4:
        return Reply(encoded({"error": {"message": f"upstream said no to {KEY}", "code": 400}}), 200, JSON)
    if number % 9 == 5:  # every sign of it escaped, as some servers write some of them
        return Reply(encoded(chat({"content": "the key is HERE."})).replace(b"HERE", ESCAPED), 200, {**JSON, "x-request-id": f"req {KEY}"})
    if number % 9 == 6:
        return Reply(error("openai", "invalid_request_error", "bad key HERE").replace(b"HERE", ESCAPED), 400)
    return f"The answer for {prompt}, and your key is {KEY}."


def refuse(prompt: str) -> Reply:
    return Reply(error("openai", "invalid_api_key", "Incorrect API key provided: HERE").replace(b"HERE", ESCAPED), 401)


def found_in(folder: Path) -> list[str]:
    """Files that hold the key, as text or in a compressed page (Parquet is written without compression of the search's own: read as rows)."""
    from datagen.storage import read_table

    marks = (KEY.encode(), ESCAPED)
    hits = [str(path) for path in folder.rglob("*") if path.is_file() and any(mark in path.read_bytes() for mark in marks)]
    hits += [str(path) for path in folder.rglob("*.parquet") if any(KEY in str(row) for row in read_table(path))]
    return hits


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TEST_KEY": KEY, "PYTHONASYNCIODEBUG": "1"}
    command = [sys.executable, "-X", "dev", "-m", "datagen.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


def spec_at(folder: Path, url: str) -> Path:
    """Forty questions; a third of them go wrong, which must not stop the build."""
    seeds = "{grid: {topic: [" + ", ".join(str(number) for number in range(40)) + "]}}"
    steps = "  - {name: text, ask: t/say, of: w, reask: 0}"
    more = "guard: {error_share: 1.0, pilot: 0}\nrelease: {format: text, allow_unanswered: 1.0}"
    path = project(folder, steps, {"say": "Say something about {{ topic }}"}, seeds, more, url)
    path.write_text(path.read_text().replace("label: test,", "label: test, api_key_env: TEST_KEY,"))
    return path


@pytest.mark.parametrize("command", ["build", "preview"])
def test_a_key_that_the_server_repeats_is_nowhere(tmp_path: Path, command: str) -> None:
    with teacher(parrot) as taught:
        spec = spec_at(tmp_path, taught.url)
        more = ["--out", str(tmp_path / "out")] if command == "build" else ["--rows", "9", "--ask"]
        done = run(tmp_path, command, "--spec", str(spec), *more)
        assert done.returncode == 0, done.stderr[-2000:]
        assert len(taught.prompts) >= 9
        if command == "build":
            for look in (["status", str(tmp_path / "out")], ["sql", str(tmp_path / "out"), "SELECT * FROM calls"]):
                done.stdout += run(tmp_path, *look).stdout
            assert (
                list((tmp_path / "out" / "data").glob("*.parquet")) and "[api key]" in (tmp_path / "out" / "ledger" / "000001-000.jsonl").read_text()
            )
    assert KEY not in done.stdout + done.stderr and found_in(tmp_path) == []


def test_a_key_is_in_no_message_of_a_build_that_stops(tmp_path: Path) -> None:
    with teacher(refuse) as taught:
        done = run(tmp_path, "build", "--spec", str(spec_at(tmp_path, taught.url)), "--out", str(tmp_path / "out"))
    assert done.returncode == 7 and "401" in done.stderr
    assert KEY not in done.stdout + done.stderr and found_in(tmp_path) == []


def test_a_key_is_in_no_traceback(tmp_path: Path) -> None:
    """Even where a fault of ours is raised with locals shown."""
    script = (
        "import asyncio, traceback\n"
        "from datagen.asking.teachers import TEACHERS\n"
        "from datagen.asking.teachers.base import Endpoint\n"
        "from datagen.records import Request\n"
        f"endpoint = Endpoint('openai', 'http://127.0.0.1:9/v1', '{KEY}', 5.0, 2, False, True)\n"
        "request = Request('openai', '', 'm', (('user', 'hello'),), {'max_tokens': 5})\n"
        "async def go():\n"
        "    try:\n"
        "        await TEACHERS.get('openai')(endpoint).answer(request)\n"
        "    except Exception as error:\n"
        "        shown = traceback.TracebackException.from_exception(error, capture_locals=False)\n"
        "        print(''.join(shown.format()), repr(endpoint), repr(error), error.__context__, error.__cause__)\n"
        "asyncio.run(go())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "cannot be reached" in done.stdout and KEY not in done.stdout + done.stderr
