"""Answers that were paid for elsewhere: batch files of OpenAI and Anthropic, and Curator's response files, taken into a ledger.

Each becomes the request that a spec with the same prompt and parameters would make, so that a build finds it. Requests that stand several
times are samples 0, 1, ... in the order of the files. What is there is never overwritten, so the same files can be given again.

    OpenAI     input {custom_id, body}         output {custom_id, response: {status_code, body}}; chat and responses
    Anthropic  input {custom_id, params}       results {custom_id, result: {type, message}}
    Curator    responses_N.jsonl {generic_request, raw_request, raw_response, response_errors}
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from datagen.asking.ledger.book import Ledger, compact, lock
from datagen.asking.ledger.index import Index, raw
from datagen.asking.ledger.segments import segments
from datagen.asking.teachers import TEACHERS
from datagen.asking.teachers.base import Endpoint, key_of
from datagen.asking.teachers.batch_wire import Reader
from datagen.errors import LedgerError, TeacherFault
from datagen.records import Request, Response, Spend, digest

BUILD = "import"
NOWHERE = "http://127.0.0.1:9/v1"
"""Stands for the address of a labelled server: an answer of one may hold its thoughts in its text. Nothing is ever sent there."""


_NO_PARAMS = frozenset({"model", "messages", "system", "input", "instructions", "n", "stream", "prompt_cache_key"})
"""What stands in a body and is not among the parameters of a request."""
SHOWN = 20
Schemas = Mapping[str, Mapping[str, Any]]
"""Digest of a schema as it goes over the wire -> the schema as a request has it."""


class _Unread(Exception):
    """A line that cannot be taken, and why."""


@dataclass
class Imported:
    """What became of the lines."""

    taken: int = 0
    known: int = 0
    """In the ledger already."""
    unread: list[tuple[Path, int, str]] = field(default_factory=list)
    """(file, line number from 1, why)."""


@dataclass(frozen=True)
class _Line:
    file: Path
    number: int
    said: Mapping[str, Any]


@dataclass(frozen=True)
class _Found:
    """A request and its reply as they stood in a file."""

    request: Request
    shape: str
    """Whose wire format the reply has."""
    reply: Mapping[str, Any]


def take(folder: Path, files: Sequence[Path], requests: Path | None, label: str, max_tokens: int | None, schemas: Schemas | None = None) -> Imported:
    """Import into the ledger `folder`. Raises LedgerError where a file cannot be read at all, or the ledger is in use.

    `label`: of the endpoint, as in the spec; empty for the providers' own. `max_tokens`: of requests that set none, since every request
    of a spec sets one. `schemas`: of a spec, since an SDK may send another form of a schema than the spec asks for.
    """
    for file in (*files, *([requests] if requests else [])):
        if not file.is_file():
            raise LedgerError(f"{file} is no file; give batch files of OpenAI or Anthropic, or Curator's responses_N.jsonl")
    with lock(folder):
        ledger = Ledger(folder, BUILD)
        importer = _Importer(ledger, label, max_tokens, schemas or {})
        try:
            importer.run(files, requests)
        finally:
            importer.close()
            ledger.close()
        compact(folder)
    return importer.done


def place(folder: Path) -> Path:
    """The ledger that is meant: the folder itself where it is one or is called so, else the one in an OUT, which may be to come."""
    return folder if segments(folder) or folder.name == "ledger" else folder / "ledger"


def told(done: Imported) -> Iterator[str]:
    """What was done, in words; of many lines that cannot be read the first SHOWN."""
    for file, number, why in done.unread[:SHOWN]:
        yield f"  {file}:{number}: {why}"
    if len(done.unread) > SHOWN:
        yield f"  ... and {len(done.unread) - SHOWN:,} more"
    yield f"{done.taken:,} taken, {done.known:,} were there already, {len(done.unread):,} could not be read"
    if not (done.taken or done.known):
        raise LedgerError("no answer was found; give batch files of OpenAI or Anthropic with the batch's input, or Curator's responses_N.jsonl")


class _Importer:
    """One import under way."""

    def __init__(self, ledger: Ledger, label: str, max_tokens: int | None, schemas: Schemas) -> None:
        self.done = Imported()
        self._ledger = ledger
        self._label = label
        self._schemas = schemas
        self._more = {} if max_tokens is None else {"max_tokens": max_tokens}
        self._readers: dict[str, Reader] = {}
        self._seen = Index()
        """Requests by their key as sample 0: how often each stood so far."""
        self._lines_seen = Index()

    def run(self, files: Sequence[Path], requests: Path | None) -> None:
        asked = _Asked([requests] if requests else files)
        for line in self._lines(files):
            try:
                found = self._found_in(line, asked)
                if found is not None:
                    self._take(found)
            except _Unread as why:
                self.done.unread.append((line.file, line.number, str(why)))

    def close(self) -> None:
        self._seen.close()
        self._lines_seen.close()
        for reader in self._readers.values():
            asyncio.run(cast(Any, reader).close())

    def _lines(self, files: Sequence[Path]) -> Iterator[_Line]:
        for file in files:
            for number, (_, line) in enumerate(_lines_of(file), start=1):
                if line.strip():
                    said = _object(line)
                    if said is None:
                        self.done.unread.append((file, number, "it is no JSON object"))
                    else:
                        yield _Line(file, number, said)

    def _found_in(self, line: _Line, asked: _Asked) -> _Found | None:
        """None for a line that is a request, or that was there before. Raises _Unread."""
        try:
            if not _is_request(line.said) and self._twice(line.said):
                self.done.known += 1
                return None
            return self._found(line.said, asked)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _Unread(f"it is not built as its format says: {type(error).__name__} {error}") from None

    def _twice(self, said: Mapping[str, Any]) -> bool:
        """Whether this very line was read before: the same answer again, and no second sample."""
        key = raw(f"k1:{digest(dict(said))}")
        seen = self._lines_seen.has(key)
        self._lines_seen.add(key, 0, 0, 0)
        return seen

    def _found(self, said: Mapping[str, Any], asked: _Asked) -> _Found | None:
        if _is_request(said):
            return None
        if "generic_request" in said:
            return self._of_curator(said)
        shape, reply = _reply(said)
        name = str(said.get("custom_id"))
        body, form = asked.body(name)
        if (form == "params") != ("result" in said):
            raise _Unread(
                f"its request {name} is {'Anthropic' if form == 'params' else 'OpenAI'}'s, and the answer is not; import each pair of files by itself"
            )
        sample = int(name.rpartition("-")[2]) if key_of(name) else None
        return _Found(self._numbered(self._request(shape, body), sample), shape, reply)

    def _of_curator(self, said: Mapping[str, Any]) -> _Found:
        """`raw_request` is the body as sent; where a batch left none, it is made of the generic request."""
        reply, asked = said.get("raw_response"), said["generic_request"]
        if not isinstance(reply, Mapping) or said.get("response_errors"):
            raise _Unread(f"it holds no answer: {said.get('response_errors') or 'no raw_response'}"[:300])
        shape, reply = _reply(reply) if "custom_id" in reply else (_shape(reply), reply)
        body = said.get("raw_request")
        if not isinstance(body, Mapping) or "messages" not in body:
            form = asked.get("response_format")
            schema = {"response_format": {"type": "json_schema", "json_schema": {"schema": form}}} if form else {}
            body = {"model": asked.get("model"), "messages": asked.get("messages"), **(asked.get("generation_params") or {}), **schema}
        return _Found(self._numbered(self._request(shape, body), None), shape, reply)

    def _request(self, shape: str, body: Mapping[str, Any]) -> Request:
        """The request of a body, by the wire format that its reply has."""
        model = body.get("model")
        if not isinstance(model, str) or (not isinstance(body.get("messages"), list) and not body.get("input")):
            raise _Unread("its request has no model or no messages; embeddings and the like are not taken")
        if body.get("n") not in (None, 1):
            raise _Unread(f"it asked for n={body['n']} answers at once; one request is one sample here")
        provider = "anthropic" if model.startswith(("claude", "anthropic/")) else shape
        rest = {name: value for name, value in body.items() if name not in _NO_PARAMS}
        form = _taken_schema(rest)
        schema = form if form is None else self._schemas.get(digest(form), form)
        for name in ("max_completion_tokens", "max_output_tokens"):
            if name in rest:
                rest["max_tokens"] = rest.pop(name)
        if isinstance(rest.get("temperature"), int):
            rest["temperature"] = float(rest["temperature"])  # as a spec reads it
        if rest.get("store") is False:
            del rest["store"]  # what the adapter of the Responses API says of itself
        try:
            return Request(provider, self._label, model.removeprefix(f"{provider}/"), _messages(body), {**self._more, **rest}, schema)
        except TypeError as error:
            raise _Unread(f"its request has no stable form: {error}") from None

    def _numbered(self, request: Request, sample: int | None) -> Request:
        """As many equal requests, as many samples; one of our own jobs carries the number in its custom id."""
        if sample is None:
            sample = len(self._seen.find(raw(request.key)))
            self._seen.add(raw(request.key), 0, sample, 0)
        return replace(request, sample=sample)

    def _take(self, found: _Found) -> None:
        if found.request.key in self._ledger:
            self.done.known += 1
            return
        self._ledger.record(found.request, BUILD, self._read(found), Spend())
        self.done.taken += 1

    def _read(self, found: _Found) -> Response:
        """The reply, read as if it had just come."""
        if found.shape not in self._readers:
            at = NOWHERE if self._label else None
            endpoint = Endpoint(found.shape, at, "", timeout=60.0, connections=1, simulated=False, native_schema=True)
            self._readers[found.shape] = cast(Reader, TEACHERS.get(found.shape)(endpoint))
        try:
            return self._readers[found.shape].read(200, {}, json.dumps(found.reply).encode())
        except TeacherFault as fault:
            raise _Unread(str(fault)[:300]) from None


class _Asked:
    """The requests of batch input files by custom id: where they stand, since a file may hold a hundred thousand."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._places: dict[str, tuple[Path, int, int]] = {}
        self._twice: set[str] = set()
        for file in files:
            for offset, line in _lines_of(file):
                said = _object(line) or {}
                if _is_request(said):
                    self._add(str(said["custom_id"]), (file, offset, len(line)))

    def body(self, name: str) -> tuple[Mapping[str, Any], str]:
        """(the request, the word it stands under). Raises _Unread for an id that no request has, or two different ones."""
        if name in self._twice:
            raise _Unread(f"the custom id {name} stands for two different requests; import each pair of files by itself")
        if name not in self._places:
            raise _Unread(f"no request has the custom id {name}; give the batch's input file with --requests")
        said = self._at(self._places[name])
        form = "body" if isinstance(said.get("body"), dict) else "params"
        return said[form], form

    def _add(self, name: str, place: tuple[Path, int, int]) -> None:
        if name in self._places and self._at(self._places[name]) != self._at(place):
            self._twice.add(name)
        self._places.setdefault(name, place)

    def _at(self, place: tuple[Path, int, int]) -> Mapping[str, Any]:
        file, offset, length = place
        with file.open("rb") as opened:
            opened.seek(offset)
            return _object(opened.read(length)) or {}


def _lines_of(file: Path) -> Iterator[tuple[int, bytes]]:
    """(offset, line)."""
    offset = 0
    with file.open("rb") as opened:
        for line in opened:
            yield offset, line
            offset += len(line)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _is_request(said: Mapping[str, Any]) -> bool:
    return "custom_id" in said and (isinstance(said.get("body"), dict) or isinstance(said.get("params"), dict))


def _reply(said: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """(whose format, the reply itself) of a line of batch results. Raises _Unread where it holds no answer."""
    if isinstance(said.get("result"), dict):
        result = said["result"]
        if result.get("type") != "succeeded":
            raise _Unread(f"it holds no answer: {json.dumps(result)}"[:300])
        return "anthropic", result["message"]
    response = said.get("response")
    if isinstance(response, dict) and response.get("status_code") == 200 and isinstance(response.get("body"), dict):
        return _shape(response["body"]), response["body"]
    if "custom_id" in said:
        raise _Unread(f"it holds no answer: {json.dumps(said.get('error') or response)}"[:300])
    raise _Unread(f"it is none of the known formats; it has {', '.join(sorted(said)[:8]) or 'nothing'}")


def _shape(reply: Mapping[str, Any]) -> str:
    if isinstance(reply.get("choices"), list):
        return "openai"
    if isinstance(reply.get("output"), list):
        return "responses"
    if isinstance(reply.get("content"), list):
        return "anthropic"
    raise _Unread(f"its reply is neither OpenAI's nor Anthropic's; it has {', '.join(sorted(reply)[:8]) or 'nothing'}")


def _messages(body: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """System words first, wherever the format has them; OpenAI's `developer` is what a prompt calls system."""
    system = body.get("system") or body.get("instructions")
    turns = body.get("messages") or body["input"]
    turns = [{"role": "user", "content": turns}] if isinstance(turns, str) else turns
    said = [("system" if turn["role"] == "developer" else str(turn["role"]), _text(turn["content"])) for turn in turns]
    return (*([("system", _text(system))] if system else []), *said)


def _text(content: Any) -> str:
    """Raises _Unread for anything but text."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts):
        raise _Unread("a message of its request holds something else than text")
    return "".join(part["text"] for part in parts)


def _taken_schema(rest: dict[str, Any]) -> Mapping[str, Any] | None:
    """The JSON schema among the parameters, which is taken out of them: each format keeps it elsewhere."""
    form = rest.get("response_format")
    if isinstance(form, dict) and form.get("type") == "json_schema":
        del rest["response_format"]
        return cast(Mapping[str, Any], form["json_schema"]["schema"])
    for word in ("output_config", "text"):
        config = rest.get(word)
        if isinstance(config, dict) and isinstance(config.get("format"), dict) and "schema" in config["format"]:
            left = {name: value for name, value in config.items() if name != "format"}
            del rest[word]
            rest |= {word: left} if left else {}
            return cast(Mapping[str, Any], config["format"]["schema"])
    return None
