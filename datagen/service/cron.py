"""Five fields of a cron expression, as Kubernetes reads them, checked before they are written anywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass

from datagen.errors import SpecError, nearest

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MACROS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Of the months, in a leap year."""


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five: its bounds, and names for its values, the first for `low`."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 0, 6, WEEKDAYS),
)
_ITEM = re.compile(r"(?P<any>[*?])|(?P<first>\w+)(?:-(?P<last>\w+))?")


def checked(expression: str) -> str:
    """The expression with single spaces. Raises SpecError: which field, what was found, what is known, and an example.

    The dialect is that of Kubernetes' CronJob and KubeRay's RayCronJob: `*`, `?`, values, names, ranges, steps, lists, and @daily and
    its like; Sunday is 0. No seconds, no `L`, `W`, `#`.
    """
    text = " ".join(expression.split())
    if text.startswith("@"):
        if text not in MACROS:
            raise SpecError(f"--cron {text!r}: no such word{nearest(text, MACROS)}")
        return text
    parts = text.split(" ")
    if len(parts) != len(FIELDS):
        raise SpecError(
            f"--cron {expression!r} has {len(parts) if text else 0} fields, not five: {', '.join(field.name for field in FIELDS)}. "
            '"0 3 * * *" is every night at 3'
        )
    values = [_values(part, field, text) for part, field in zip(parts, FIELDS, strict=True)]
    days, months = values[2], values[3]
    if parts[4] in ("*", "?") and min(days) > max(DAYS[month - 1] for month in months):
        raise SpecError(f"--cron {text!r} never comes: no month of its months has a day {min(days)}")
    return text


def _values(part: str, field: Field, text: str) -> set[int]:
    return set().union(*(_item(item, field, text) for item in part.split(",")))


def _item(item: str, field: Field, text: str) -> set[int]:
    where = f"--cron {text!r}, {field.name} {item!r}"
    span, slash, step = item.partition("/")
    match = _ITEM.fullmatch(span)
    if not match:
        raise SpecError(f"{where}: write *, a value, a range a-b, a step */n, or a list of them with commas")
    if slash and not (step.isdecimal() and int(step) > 0):
        raise SpecError(f"{where}: a step is a whole number from 1, as in */15")
    if match["any"]:
        first, last = field.low, field.high
    else:
        first = _value(match["first"], field, where)
        last = _value(match["last"], field, where) if match["last"] else field.high if slash else first
    if first > last:
        raise SpecError(f"{where}: a range goes upwards; write the two ends the other way round, or two ranges with a comma")
    return set(range(first, last + 1, int(step) if slash else 1))


def _value(word: str, field: Field, where: str) -> int:
    if word.isdecimal() and word.isascii():
        number = int(word)
        if field.low <= number <= field.high:
            return number
        sunday = "; Sunday is 0 here" if field.names == WEEKDAYS and number == 7 else ""
        raise SpecError(f"{where}: {number} is out of bounds; {field.name} goes from {field.low} to {field.high}{sunday}")
    if word.upper() in field.names:
        return field.low + field.names.index(word.upper())
    known = nearest(word.upper(), field.names) if field.names else f"; {field.name} goes from {field.low} to {field.high}"
    raise SpecError(f"{where}: {word!r} is no {field.name}{known}")
