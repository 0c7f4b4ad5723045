"""What both adapters share: bytes out, a reply or a fault in, and no API key in anything that is kept."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Awaitable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from datagen.asking.teachers.base import Endpoint, Limits
from datagen.errors import FaultKind, TeacherFault
from datagen.records import Request

if TYPE_CHECKING:
    import httpx2

CONNECT_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 4.0
"""Below the 5 s after which uvicorn (vLLM and others) hangs up: a request sent into a closing connection is a fault that may be billed."""
SECRET_LENGTH = 8
"""A shorter key is a placeholder such as `EMPTY`, and taking it out would tear holes into answers."""
BODY_CUT = 2_000

STOP_CODES = re.compile(r"insufficient_quota|billing|spend_limit|credit|account_deactivated|access_terminated")
"""In `code`, `type` or `details.error_code` of an error: money or account, so no request of this run can succeed.
OpenAI: insufficient_quota, billing_not_active, billing_hard_limit_reached. Anthropic: billing_error, *_spend_limit_reached,
linked_organization_billing_unavailable. Anthropic's `ramp_limit_exceeded` is a true rate limit and is not among them."""
STOP_WORDS = "credit balance is too low"
"""Anthropic's 400 for an empty account, which has no code of its own."""
TOO_LARGE_WORDS = "request too large"
"""OpenAI's 429 for one request above the whole limit per minute: waiting would never end."""
STATUS_KINDS: dict[int, FaultKind] = {
    401: "stopped",
    402: "stopped",
    403: "stopped",
    404: "stopped",
    408: "transient",
    409: "transient",
    429: "rate_limited",
    503: "overloaded",
    529: "overloaded",
}
"""Others: 3xx stopped (the address is wrong), 4xx rejected, 5xx transient."""
UNSENT = frozenset({"ClientConnectorError", "ClientConnectorDNSError", "ConnectionTimeoutError"})
"""What aiohttp raises before a connection stands: nothing was sent, so nobody can have billed it. The SDKs' own ConnectError says no such
thing: a connection that is reset after sending has that name too."""
NETWORK = frozenset({"aiohttp", "anthropic", "httpcore2", "httpx2", "openai", "ssl"})
"""Packages whose exceptions mean that something happened on the way; any other exception means the request itself was at fault."""


def timeouts(endpoint: Endpoint) -> httpx2.Timeout:
    """Ten seconds to connect, `timeout` to read: always explicit, since an SDK's default may refuse a large max_tokens."""
    import httpx2

    return httpx2.Timeout(endpoint.timeout, connect=CONNECT_SECONDS)


def limits(endpoint: Endpoint) -> httpx2.Limits:
    """Every connection kept alive. Twice what may be in flight, since a pool at its limit queues (4 % of the request rate, measured)."""
    import httpx2

    room = 2 * endpoint.connections
    return httpx2.Limits(max_connections=room, max_keepalive_connections=room, keepalive_expiry=KEEP_ALIVE_SECONDS)


def reply_type() -> type[httpx2.Response]:
    """The `cast_to` that hands the reply over as it is: headers and bytes, and no typed object built of it (57 us saved)."""
    import httpx2

    return httpx2.Response


def identity(endpoint: Endpoint, request: Request) -> dict[str, str]:
    """Headers that tell a simulator which request this is; a real provider is never told."""
    return {"x-datagen-key": request.key, "x-datagen-sample": str(request.sample)} if endpoint.simulated else {}


def encode(body: Mapping[str, Any]) -> bytes:
    """The body as JSON bytes. Raises TeacherFault `rejected` on what JSON or UTF-8 cannot carry, such as a lone surrogate."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        # The reason alone: a codec error would quote the whole prompt.
        why = getattr(error, "reason", str(error))
        fault = TeacherFault("rejected", f"the request has no JSON form: {why}; clean the fields that the prompt shows")
    raise fault


def refuse_reserved(request: Request, words: frozenset[str]) -> None:
    """Parameters that would change what one request is. Raises TeacherFault `rejected`."""
    found = sorted(words & request.params.keys())
    if found:
        raise TeacherFault("rejected", f"params cannot set {', '.join(found)}: one request is one sample and one whole answer")


async def send(endpoint: Endpoint, call: Awaitable[httpx2.Response]) -> httpx2.Response:
    """The reply of one call through an SDK. Raises TeacherFault for whatever it raised, free of its chain: that holds the key."""
    try:
        # A server that drips keeps every single read short, so the whole has a bound too.
        async with asyncio.timeout(CONNECT_SECONDS + endpoint.timeout):
            return await call
    except Exception as error:
        fault = _fault_of(endpoint, error)
    raise fault


def body_of(endpoint: Endpoint, reply: httpx2.Response) -> tuple[str, Mapping[str, Any]]:
    """The body as text, without the key, and parsed. Raises TeacherFault `transient` where it cannot be read.

    Raises TeacherFault `stopped` for a simulated teacher at a real one's address: its answers would be sold as real.
    """
    if reply.headers.get("x-datagen-simulated") and not endpoint.simulated:
        raise TeacherFault(
            "stopped", f"{endpoint.base_url} is a simulated teacher: name it `model: simulator/...`, or rehearse with --teacher simulator"
        )
    text = ""
    try:
        text = redact(endpoint, reply.content.decode("utf-8"))
        payload = json.loads(text)
    except (ValueError, RecursionError) as error:
        text = text or redact(endpoint, reply.content[:BODY_CUT].decode("utf-8", "replace"))
        why = f"{type(error).__name__} in {len(reply.content):,} bytes"
    else:
        if isinstance(payload, dict) and not payload.get("error"):
            # JSON may carry halves of surrogate pairs as escapes; no file can.
            return text, _scrubbed(payload) if "\\ud" in text or "\\uD" in text else payload
        why = "an error inside" if isinstance(payload, dict) else "JSON that is no object"
        status = _inner_status(payload)
        if status is not None:
            raise fault_of_status(endpoint, status, reply.headers, text)
    raise unreadable(endpoint, reply, text, why)


def unreadable(endpoint: Endpoint, reply: httpx2.Response, text: str, why: str) -> TeacherFault:
    """A reply with a good status and no answer in it."""
    message = f"{endpoint.provider} answered {reply.status_code} with an unreadable body ({why}): {text[:200]!r}"
    return TeacherFault("transient", message, status=reply.status_code, body=text[:BODY_CUT])


def fault_of_status(endpoint: Endpoint, status: int, headers: Mapping[str, str], text: str) -> TeacherFault:
    """What an error status means, by the table of FAULTS."""
    text = redact(endpoint, text)
    codes, words = _error_words(text)
    kind = _kind(status, codes, words.lower())
    retry_after = retry_after_of(headers) if kind in ("rate_limited", "overloaded") else None
    shown = words or text[:300].strip() or "nothing"
    return TeacherFault(
        kind, f"{endpoint.provider} answered {status}: {shown[:BODY_CUT]}", retry_after=retry_after, status=status, body=text[:BODY_CUT]
    )


def redact(endpoint: Endpoint, text: str) -> str:
    """The text without the API key, should a server or library have repeated it."""
    key = endpoint.api_key
    return text.replace(key, "[api key]") if len(key) >= SECRET_LENGTH and key in text else text


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `retry-after-ms`, `retry-after` (seconds or an HTTP date), else when what ran out is full again."""
    try:
        return _wait(float(headers.get("retry-after-ms", "")) / 1000)
    except ValueError:
        pass
    given = headers.get("retry-after", "")
    try:
        return _wait(float(given))
    except ValueError:
        pass
    return _until(given, headers) if given else limits_of(headers).reset


def limits_of(headers: Mapping[str, str]) -> Limits:
    """OpenAI's `x-ratelimit-*` and Anthropic's `anthropic-ratelimit-*`, whichever are there."""
    left: dict[str, int] = {}
    resets: dict[str, float] = {}
    for name in headers:
        match = _RATE_HEADER.fullmatch(name.lower())
        if match is None:
            continue
        what = match["what"] or match["thing"]
        if (match["field"] or match["verb"]) == "remaining":
            number = headers[name].strip()
            if number.isdecimal():
                left[what] = int(number)
        elif (wait := _duration(headers[name], headers)) is not None:
            resets[what] = wait
    empty = [resets[what] for what, number in left.items() if number == 0 and what in resets]
    tokens = [number for what, number in left.items() if what.endswith("tokens")]
    return Limits(left.get("requests"), min(tokens, default=None), max(empty) if empty else min(resets.values(), default=None))


_RATE_HEADER = re.compile(
    r"x-ratelimit-(?P<verb>remaining|reset)-(?P<thing>[a-z-]+)|anthropic-ratelimit-(?P<what>[a-z-]+)-(?P<field>remaining|reset)"
)
_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


def _duration(value: str, headers: Mapping[str, str]) -> float | None:
    """`1s`, `6m0s`, `120ms` (OpenAI), plain seconds, or an RFC 3339 time (Anthropic), as seconds from the answer on."""
    value = value.strip()
    match = _SPAN.fullmatch(value)
    if value and match:
        days, hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
        return _wait(days * 86400 + hours * 3600 + minutes * 60 + seconds + milliseconds / 1000)
    try:
        return _wait(float(value))
    except ValueError:
        return _until(value, headers)


def _until(value: str, headers: Mapping[str, str]) -> float | None:
    """Seconds from the reply's own `Date` to a time in it: the provider's clock on both sides, ours on none."""
    now, then = _time(headers.get("date", "")), _time(value)
    return None if now is None or then is None else _wait((then - now).total_seconds())


def _time(value: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, TypeError):
            return None
    return moment if moment.tzinfo is not None else None


def _wait(seconds: float) -> float | None:
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _fault_of(endpoint: Endpoint, error: Exception) -> TeacherFault:
    reply = getattr(error, "response", None)
    if reply is not None:
        return fault_of_status(endpoint, reply.status_code, reply.headers, reply.content.decode("utf-8", "replace"))
    cause = error.__cause__ or error
    shown = redact(endpoint, f"{type(cause).__name__}: {cause}"[:BODY_CUT]).rstrip(": ")
    if UNSENT & set(_ancestry(error)):
        return TeacherFault("unreachable", f"{endpoint.provider} at {endpoint.base_url or 'its own address'} cannot be reached: {shown}")
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in NETWORK:
        return TeacherFault("transient", f"no answer from {endpoint.provider} at {endpoint.base_url or 'its own address'}: {shown}")
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
    if (STOP_CODES.search(codes) and 400 <= status < 500) or (status == 400 and STOP_WORDS in words):
        return "stopped"
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
    error = payload.get("error", payload) if isinstance(payload, dict) else None
    if not isinstance(error, dict):
        return "", error if isinstance(error, str) else ""
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    message = error.get("message")
    return " ".join(str(word) for word in (error.get("code"), error.get("type"), code) if word), message if isinstance(message, str) else ""


def _inner_status(payload: Any) -> int | None:
    """The status that a proxy put into the error of a 200 (OpenRouter does, where the upstream failed late)."""
    error = payload.get("error") if isinstance(payload, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else None


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
