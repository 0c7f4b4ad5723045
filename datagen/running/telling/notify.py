"""Whom to tell how a run ended: one JSON document to a webhook, at most three times, never longer than it takes to matter."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import threading
import time
import urllib.error
import urllib.request
from dataclasses import asdict
from typing import Any

from datagen import __version__
from datagen.errors import SetupError
from datagen.running.telling.record import Run
from datagen.spec.terms import Event, Notify

SECONDS, TRIES, PAUSE = 10.0, 3, 1.0
"""A try may take so long, name look-up and a dripping answer included; so many are made; and so long apart."""
MOST_TEXT = 400
"""Characters of `text`: what a chat room shows of a message."""


def named(variable: str) -> Notify:
    """Whom the command line names. Raises SetupError where the variable holds no address: that is a slip. A spec may name one that is not
    there: it travels to machines that have none, and is built there all the same."""
    try:
        whom = Notify(url_env=variable)
    except ValueError:  # it may be the address itself, which is not shown
        raise SetupError("--notify takes the name of an environment variable, such as DATAGEN_WEBHOOK; the address stands in there") from None
    wrong = _wrong(variable)
    if wrong:
        raise SetupError(f"--notify {variable}: {wrong}")
    return whom


def tell(notify: Notify, run: Run, seconds: float = SECONDS, pause: float = PAUSE) -> str:
    """Tell how a run ended, where that is wanted. Returns a note where it could not be told; it never holds the address."""
    event, wrong = event_of(run), _wrong(notify.url_env)
    if event not in notify.on:
        return ""
    if wrong:
        return f"nobody was told how this run ended: {wrong}"
    body = json.dumps({**asdict(run), "event": event, "text": text_of(run)}, ensure_ascii=False).encode()
    why = ""
    for number in range(TRIES):
        time.sleep(pause * number)
        why = _posted(os.environ[notify.url_env], body, seconds)
        if not why:
            return ""
    return f"nobody was told how this run ended: the webhook of {notify.url_env} failed {TRIES} times, the last time because {why}"


def event_of(run: Run) -> Event:
    """What a run's end is to whoever is told."""
    if run.state in ("paused", "interrupted"):
        return "pause"
    return "failure" if run.exit_code else "finish"


def text_of(run: Run) -> str:
    """One line for people. What else a message holds may be a teacher's words, and gives a chat room no orders (`<!channel>`)."""
    who = f"{run.name or 'datagen'}{' (simulated)' if run.simulated else ''}, run {run.run}: "
    rows, usd, month = run.rows or {}, run.usd or {}, run.month or {}
    what = run.state.replace("_", " ")
    if run.state == "released":
        what = f"release {run.version} is out, {rows['new']:,} new rows, {rows['total']:,} in all"
    if run.error:
        what += f"; {run.error['class']} (exit code {run.exit_code}): {run.error['message'].splitlines()[0]}"
    money = f"; ${usd['run']:,.2f} in this run" if usd else ""
    if month and month["cap"] is not None:
        money += f", ${month['left']:,.2f} of ${month['cap']:,.2f} left in {month['month']}"
    text = who + what[: MOST_TEXT - len(who) - len(money)] + money
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _wrong(variable: str) -> str:
    address = os.environ.get(variable, "")
    if not address:
        return f"the environment variable {variable} is not set; it holds the webhook's address"
    return "" if address.startswith(("https://", "http://")) else f"{variable} holds no address that begins with https:// or http://"


def _posted(address: str, body: bytes, seconds: float) -> str:
    """Why it did not arrive; empty where it did. In a thread, which is left behind when time is up: a socket's timeout starts anew with
    every byte, and a name look-up knows none."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(_sent(address, body, seconds)), daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else f"it gave no answer within {seconds:g} s"


def _sent(address: str, body: bytes, seconds: float) -> str:
    """Errors are told by their kind: their words may hold the address."""
    head = {"content-type": "application/json", "user-agent": f"datagen/{__version__}"}
    try:
        with urllib.request.build_opener(_Straight).open(urllib.request.Request(address, body, head), timeout=seconds):
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except urllib.error.URLError as error:
        return _kind(error.reason)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return _kind(error)


def _kind(error: object) -> str:
    told = isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError)
    return os.strerror(error.errno).lower() if told and isinstance(error, OSError) and error.errno else type(error).__name__


class _Straight(urllib.request.HTTPRedirectHandler):
    """A redirect would be followed with GET and without the document: it is an answer like any other that is not 200."""

    def redirect_request(self, *_: Any) -> None:
        return None
