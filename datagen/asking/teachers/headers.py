"""Rate-limit headers of all providers: what is allowed, what is left, and how long to wait."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from datagen.asking.teachers.base import HeaderLimits

MINUTE = 90.0
"""What is counted per minute is full again within this many seconds; with a later reset, a limit is one per day (Groq, free tiers)."""
_OPENAI, _ANTHROPIC = "x-ratelimit-", "anthropic-ratelimit-"
_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


def limits_of(headers: Mapping[str, str]) -> HeaderLimits:
    """OpenAI's `x-ratelimit-*` and Anthropic's `anthropic-ratelimit-*`, whichever are there."""
    said: dict[str, dict[str, int]] = {"limit": {}, "remaining": {}}
    resets: dict[str, float] = {}
    for name, value in headers.items():
        verb, thing = _place(name.lower())
        if verb == "reset" and (wait := _duration(value, headers)) is not None:
            resets[thing] = wait
        elif verb in said and value.strip().isdecimal():
            said[verb][thing] = int(value)
    limit, left = said["limit"], said["remaining"]
    a_minute = {thing: number for thing, number in limit.items() if resets.get(thing, 0.0) <= MINUTE}
    empty = [resets[thing] for thing, number in left.items() if number == 0 and thing in resets]
    return HeaderLimits(
        requests_per_minute=a_minute.get("requests"),
        tokens_per_minute=_least_tokens(a_minute),
        requests_left=left.get("requests"),
        tokens_left=_least_tokens(left),
        reset=max(empty) if empty else min(resets.values(), default=None),
    )


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `retry-after-ms`, `retry-after` (seconds or an HTTP date), else when what ran out is full again."""
    given = headers.get("retry-after", "")
    for value, unit in ((headers.get("retry-after-ms", ""), 1000.0), (given, 1.0)):
        try:
            return _wait(float(value) / unit)
        except ValueError:
            continue
    return _until(given, headers) if given else limits_of(headers).reset


def _place(name: str) -> tuple[str, str]:
    """(limit, remaining or reset; what of) of a header's name."""
    if name.startswith(_OPENAI):
        verb, _, thing = name.removeprefix(_OPENAI).partition("-")
        return verb, thing
    if name.startswith(_ANTHROPIC):
        thing, _, verb = name.removeprefix(_ANTHROPIC).rpartition("-")
        return verb, thing
    return "", ""


def _least_tokens(numbers: Mapping[str, int]) -> int | None:
    return min((number for thing, number in numbers.items() if thing.endswith("tokens")), default=None)


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
