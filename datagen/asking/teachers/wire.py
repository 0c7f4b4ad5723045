"""What all adapters share on the wire: bytes out, a reply or a fault in, and no API key in anything that is kept."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import orjson

from datagen.asking.teachers.base import Endpoint
from datagen.asking.teachers.headers import retry_after_of
from datagen.errors import FaultKind, TeacherFault
from datagen.records import Request
from datagen.runtime import awake

if TYPE_CHECKING:
    import httpx2

CONNECT_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 4.0
"""Below the 5 s after which uvicorn (vLLM and others) hangs up: a request sent into a closing connection is a fault that may be billed."""
LARGEST = 64 << 20
"""Bytes of one answer; a longer one is no answer but a server that never ends it."""
SECRET_LENGTH = 8
"""A shorter key is a placeholder such as `EMPTY`, and taking it out would tear holes into answers."""
BODY_CUT = 2_000

EXHAUSTED_CODES = re.compile(r"insufficient_quota|billing|spend_limit|credit")
"""In `code`, `type` or `details.error_code` of an error: the account's money is used up. OpenAI: insufficient_quota, billing_not_active,
billing_hard_limit_reached. Anthropic: billing_error, *_spend_limit_reached, linked_organization_billing_unavailable. Anthropic's
`ramp_limit_exceeded` and Google's RESOURCE_EXHAUSTED are true rate limits and are not among them."""
EXHAUSTED_WORDS = ("credit balance is too low", "api usage limits")
"""Anthropic's 400 (or 429) for an empty account and for a spend limit of one's own ("You have reached your specified API usage limits"),
which have no code of their own."""
FILTER_CODES = re.compile(r"content_filter|content_policy_violation")
"""In a 400: the prompt itself was filtered. Azure's and OpenAI's words."""
STOPPED_CODES = re.compile(r"account_deactivated|access_terminated")
TOO_LARGE_WORDS = "request too large"
"""OpenAI's 429 for one request above the whole limit per minute: waiting would never end."""
STATUS_KINDS: dict[int, FaultKind] = {
    401: "stopped",
    402: "exhausted",
    403: "stopped",
    404: "stopped",
    408: "transient",
    409: "transient",
    429: "rate_limited",
    503: "overloaded",
    529: "overloaded",
}
"""Others: 3xx stopped (the address is wrong), 4xx rejected, 5xx transient."""
INNER_STATUS = {"rate_limit_exceeded": 429, "rate_limit_error": 429, "overloaded_error": 529, "invalid_prompt": 400, "bio_policy": 400}
"""Codes of an error within a good reply -> the status that says the same; an `invalid_...` or `..._policy_violation` is a 400 too, and
what is unknown is the server's fault."""
SCHEMA_WORDS = re.compile(r"response_format|json_schema|text\.format|output_config|guided|structured output", re.IGNORECASE)
"""How servers complain that they do not take a JSON schema."""
UNSENT = frozenset(
    {
        "ClientConnectorError",
        "ClientConnectorDNSError",
        "ClientConnectorSSLError",
        "ClientConnectorCertificateError",
        "ClientProxyConnectionError",
        "ConnectionTimeoutError",
    }
)
"""What aiohttp raises before a connection stands: nothing was sent, so nobody can have billed it. The SDKs' own ConnectError says no such
thing: a connection that is reset after sending has that name too."""
NETWORK = frozenset({"aiohttp", "anthropic", "httpcore2", "httpx2", "openai", "ssl"})
"""Packages whose exceptions mean that something happened on the way; any other exception means the request itself was at fault."""
CLOUDS = frozenset({"boto3", "botocore", "google"})
"""Packages that find a cloud's credentials: nothing goes on without."""
T = TypeVar("T")


class Reply(Protocol):
    """A whole reply; an httpx2.Response is one."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def content(self) -> bytes: ...


class Received(NamedTuple):
    """A reply that has been read."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


def timeouts(endpoint: Endpoint) -> httpx2.Timeout:
    """Ten seconds to connect, `timeout` to read: always explicit, since an SDK's default may refuse a large max_tokens."""
    import httpx2

    return httpx2.Timeout(endpoint.timeout, connect=CONNECT_SECONDS)


def limits(endpoint: Endpoint) -> httpx2.Limits:
    """Every connection kept alive. Twice what may be in flight, since a pool at its limit queues (4 % of the request rate, measured)."""
    import httpx2

    room = 2 * endpoint.connections
    return httpx2.Limits(max_connections=room, max_keepalive_connections=room, keepalive_expiry=KEEP_ALIVE_SECONDS)


def secured(endpoint: Endpoint) -> bool:
    """Certificates are checked wherever there are any; for a plain http address of one's own, 60 ms of loading them are saved."""
    return not (endpoint.base_url or "").startswith("http://")


def reply_type() -> type[httpx2.Response]:
    """The `cast_to` that hands the reply over as it is: headers and bytes, and no typed object built of it."""
    import httpx2

    return httpx2.Response


def identity(endpoint: Endpoint, request: Request) -> dict[str, str]:
    """Headers that tell a simulator which request this is; a real provider is never told."""
    return {"x-datagen-key": request.key, "x-datagen-sample": str(request.sample)} if endpoint.simulated else {}


def encode(body: Mapping[str, Any]) -> bytes:
    """The body as JSON bytes. Raises TeacherFault `rejected` on what JSON or UTF-8 cannot carry, such as a lone surrogate."""
    try:
        return orjson.dumps(body)
    except TypeError as error:
        fault = TeacherFault("rejected", f"the request has no JSON form: {error}; clean the fields that the prompt shows")
    raise fault


class Line:
    """Requests straight over the HTTP client of an SDK's client, with its address and headers: looked up once, since they do not change."""

    def __init__(self, client: Any, http: httpx2.AsyncClient) -> None:
        import httpx2

        self._client = client
        self._http = http
        self._headers: httpx2.Headers | None = None
        self._urls: dict[str, httpx2.URL] = {}
        # No read timeout: the whole call has one.
        self._extensions = {"timeout": httpx2.Timeout(None, connect=CONNECT_SECONDS).as_dict()}
        self._build = httpx2.Request

    async def post(self, path: str, content: bytes, more: Mapping[str, str]) -> httpx2.Response:
        """The reply, to be read as a stream. A redirect is not followed: it would take the prompts, and on Azure the key, to an address
        that nobody wrote down."""
        url = self._urls.get(path) or self._at(path)
        request = self._build("POST", url, headers=self._headers, content=content, extensions=self._extensions)
        request.headers.encoding = "ascii"  # all of ours are; httpx2 would find it out for each request anew
        request.headers.update(more)
        return await self._http.send(request, stream=True, auth=None, follow_redirects=False)

    def _at(self, path: str) -> httpx2.URL:
        """The address under the client's. The SDK looks for the running event loop where it makes up its headers, so not before it runs."""
        import httpx2

        client = self._client
        given = {**client.default_headers, **client.auth_headers}
        self._headers = httpx2.Headers({name: value for name, value in given.items() if isinstance(value, str)})  # others mean `leave it out`
        url = httpx2.URL(str(client.base_url).rstrip("/") + path)
        self._urls[path] = url.copy_merge_params(client.default_query) if client.default_query else url
        return self._urls[path]


async def send(endpoint: Endpoint, call: Awaitable[T]) -> T:
    """What a call brings within the endpoint's timeout. Raises TeacherFault for whatever it raised, free of its chain: that holds the key."""
    try:
        # A server that drips keeps every single read short, so the whole has a bound.
        async with awake.timeout(endpoint.timeout):
            return await call
    except TeacherFault:
        raise
    except Exception as error:
        fault = _fault_of(endpoint, error)
    raise fault


async def received(endpoint: Endpoint, call: Awaitable[httpx2.Response]) -> Received:
    """The whole of a streamed reply. Raises TeacherFault `transient` for one that never ends, before it fills the memory."""
    reply = await call
    try:
        pieces, size = [], 0
        async for piece in reply.aiter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST:
                raise TeacherFault("transient", f"{endpoint.provider} sent more than {LARGEST:,} bytes", status=reply.status_code)
        return Received(reply.status_code, reply.headers, b"".join(pieces))
    finally:
        await reply.aclose()


def body_of(endpoint: Endpoint, reply: Reply) -> tuple[str, Mapping[str, Any]]:
    """The body as text, without the key, and parsed. Raises TeacherFault for an error status, and for a body that is no answer.

    Raises TeacherFault `stopped` for a simulated teacher at a real one's address: its answers would be sold as real.
    """
    raw, key = reply.content, endpoint.api_key.encode()
    if len(key) >= SECRET_LENGTH and key in raw:
        raw = raw.replace(key, b"[api key]")
    if reply.headers.get("x-datagen-simulated") and not endpoint.simulated:
        raise TeacherFault(
            "stopped", f"{endpoint.base_url} is a simulated teacher: name it `model: simulator/...`, or rehearse with --teacher simulator"
        )
    if not 200 <= reply.status_code < 300:
        raise fault_of_status(endpoint, reply.status_code, reply.headers, raw.decode("utf-8", "replace"))
    try:
        text, payload = raw.decode(), _parsed(raw)
    except (ValueError, RecursionError) as error:
        text, why = raw[:BODY_CUT].decode("utf-8", "replace"), f"{type(error).__name__} in {len(raw):,} bytes"
    else:
        if b"\\" in raw and (clean := _redacted(endpoint, payload)) is not payload:  # it was written with escapes
            text, payload = json.dumps(clean), clean
        if not isinstance(payload, dict):
            why = "JSON that is no object"
        elif not payload.get("error"):
            return text, payload
        else:
            raise fault_of_status(endpoint, _inner_status(payload["error"]), reply.headers, text)
    raise unreadable(endpoint, reply, text, why)


def unreadable(endpoint: Endpoint, reply: Reply, text: str, why: str) -> TeacherFault:
    """A reply with a good status and no answer in it."""
    message = f"{endpoint.provider} answered {reply.status_code} with an unreadable body ({why}): {text[:200]!r}"
    return TeacherFault("transient", message, status=reply.status_code, body=text[:BODY_CUT])


def fault_of_status(endpoint: Endpoint, status: int, headers: Mapping[str, str], text: str) -> TeacherFault:
    """What an error status means, by the table of FAULTS."""
    text = redact_json(endpoint, text)
    codes, words = _error_words(text)
    kind = _kind(status, codes, words.lower())
    retry_after = retry_after_of(headers) if kind in ("rate_limited", "overloaded") else None
    shown = words or text[:300].strip() or "nothing"
    if 300 <= status < 400:
        shown = f"it is elsewhere, at {redact(endpoint, headers.get('location', 'no place it names'))}; mend base_url"
    hint = ""
    if kind == "rejected" and endpoint.native_schema and SCHEMA_WORDS.search(shown):
        hint = "; a server without JSON schemas is asked in words with `structured: prompt`"
    message = f"{endpoint.provider} answered {status}: {shown[:BODY_CUT]}{hint}"
    return TeacherFault(kind, message, retry_after=retry_after, status=status, body=text[:BODY_CUT])


def redact(endpoint: Endpoint, text: str) -> str:
    """The text without the API key, should a server or library have repeated it. A simulator's is a plain word and no secret."""
    key = endpoint.api_key
    secret = len(key) >= SECRET_LENGTH and not endpoint.simulated
    return text.replace(key, "[api key]") if secret and key in text else text


def redact_json(endpoint: Endpoint, text: str) -> str:
    """The same for a body that may be JSON: there the key may stand with escapes, as PHP writes `/` and .NET `+`."""
    text = redact(endpoint, text)
    if "\\" not in text:
        return text
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        return text
    clean = _redacted(endpoint, payload)
    return text if clean is payload else json.dumps(clean)


def _redacted(endpoint: Endpoint, value: Any) -> Any:
    """The value without the key in any of its texts; the very same value where none has it."""
    if isinstance(value, str):
        return redact(endpoint, value)
    if isinstance(value, dict):
        items = {redact(endpoint, name): _redacted(endpoint, item) for name, item in value.items()}
        same = all(name in items and items[name] is item for name, item in value.items())
        return value if same else items
    if isinstance(value, list):
        found = [_redacted(endpoint, item) for item in value]
        return value if all(new is old for new, old in zip(found, value, strict=True)) else found
    return value


def _fault_of(endpoint: Endpoint, error: Exception) -> TeacherFault:
    reply = getattr(error, "response", None)
    if reply is not None and hasattr(reply, "status_code"):
        return fault_of_status(endpoint, reply.status_code, reply.headers, reply.content.decode("utf-8", "replace"))
    cause = error.__cause__ or error
    shown = redact(endpoint, f"{type(cause).__name__}: {cause}"[:BODY_CUT]).rstrip(": ")
    where = f"{endpoint.provider} at {endpoint.base_url or 'its own address'}"
    package = type(error).__module__.partition(".")[0]
    if UNSENT & set(_ancestry(error)):
        return TeacherFault("unreachable", f"{where} cannot be reached: {shown}")
    if package in CLOUDS or (isinstance(error, RuntimeError) and "credentials" in str(error)):
        # google-auth says what may be tried again: its own server was out of reach. The request itself has not been sent.
        kind: FaultKind = "unreachable" if getattr(error, "retryable", False) else "stopped"
        return TeacherFault(kind, f"no credentials for {where}: {shown}")
    if isinstance(error, OSError) or package in NETWORK:
        return TeacherFault("transient", f"no answer from {where}: {shown}")
    return TeacherFault("rejected", f"the request could not be sent: {shown}")


def _ancestry(error: BaseException) -> Iterator[str]:
    """Names of the errors that led to this one."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield type(found).__name__
        found = found.__cause__ or found.__context__


def _kind(status: int, codes: str, words: str) -> FaultKind:
    if 400 <= status < 500 and (EXHAUSTED_CODES.search(codes) or (status in (400, 429) and any(said in words for said in EXHAUSTED_WORDS))):
        return "exhausted"
    if 400 <= status < 500 and STOPPED_CODES.search(codes):
        return "stopped"
    if status == 400 and FILTER_CODES.search(codes):
        return "filtered"
    if status == 429 and words.startswith(TOO_LARGE_WORDS):
        return "rejected"
    if status in STATUS_KINDS:
        return STATUS_KINDS[status]
    if status < 400:
        return "stopped"
    return "transient" if status >= 500 else "rejected"


def _error_words(text: str) -> tuple[str, str]:
    """(code, type and error_code in one line; the message) of a provider's error body, as far as it has them."""
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        return "", ""
    if isinstance(payload, list) and payload:  # Vertex puts its error into a list
        payload = payload[0]
    error = payload.get("error", payload) if isinstance(payload, dict) else None
    if not isinstance(error, dict):
        return "", error if isinstance(error, str) else ""
    code, message = part(error, "details").get("error_code"), error.get("message")
    return " ".join(str(found) for found in (error.get("code"), error.get("type"), code) if found), word(message)


def _inner_status(error: Any) -> int:
    """The status of an error inside a good reply: a proxy's (OpenRouter does so where the upstream failed late), or a failed response's."""
    found = [error.get("code"), error.get("type")] if isinstance(error, dict) else []
    for code in found:
        if isinstance(code, int) and 400 <= code < 600:
            return code
        name = word(code)
        if name in INNER_STATUS:
            return INNER_STATUS[name]
        if EXHAUSTED_CODES.search(name):
            return 402
        if name.startswith("invalid_") or name.endswith("policy_violation"):
            return 400
    return 502


def _parsed(raw: bytes) -> Any:
    """JSON, with what only some servers put into it: NaN and Infinity, and halves of surrogate pairs, which no file can hold."""
    try:
        return orjson.loads(raw)
    except ValueError:
        return _scrubbed(json.loads(raw))


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_scrubbed(key): _scrubbed(item) for key, item in value.items()}
    return [_scrubbed(item) for item in value] if isinstance(value, list) else value


def word(value: Any) -> str:
    """The value if it is text, else ''."""
    return value if isinstance(value, str) else ""


def part(value: Any, name: str) -> Mapping[str, Any]:
    """The mapping called `name`, or an empty one: providers leave out, and send null for, whatever they lack."""
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def parts(value: Any) -> list[dict[str, Any]]:
    """The mappings of a list; none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def count(value: Mapping[str, Any], name: str) -> int:
    """A number of tokens; 0 where it is missing, null or nonsense."""
    number = value.get(name)
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else 0
