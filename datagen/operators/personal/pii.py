"""Personal data in a text: addresses, numbers and accounts by which a person could be found; such rows are dropped, or masked."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field, field_validator

from datagen.operators.base import Finding, Operator
from datagen.operators.personal.addresses import addresses
from datagen.operators.personal.numbers import FINDERS, long_numbers

Kind = Literal["email", "phone", "ssn", "credit_card", "iban", "ip", "url", "address"]


class Pii(Operator):
    """E-mail, phone, social security, card and account numbers, IP, web and street addresses; names are not looked for.

    Numbers need their own proof: Luhn's sum for cards, length and ISO 7064 (mod 97) for IBANs, a public range for IPs, an issued range for
    social security numbers, the usual grouping or a word such as "call" for phones. So the figures of maths and science texts pass. Web
    addresses are looked for only where `kinds` names `url`: most are of nobody in particular. The score is the number of finds.

    A list or a mapping is masked string by string and keeps its shape. What is found in a number or in a key of it cannot be masked: its row is
    dropped.
    """

    version: ClassVar[int] = 4
    keeps: ClassVar = (
        "Write to user@example.com or call (212) 555-0123.",
        "The speed of light is 299 792 458 m/s and 4111 - 1111 = 3000.",
        "See section 1.2.3.4, or ping 192.168.0.1.",
        "In 1863 Lincoln spoke at Gettysburg for 2 minutes on the road to town.",
        "The account GB29 NWBK 6016 1331 9268 18 and the number 900-12-3456 cannot exist.",
    )
    drops: ClassVar = (
        "Write to maria.kowalska@superrito.com today.",
        "Call me at (07) 5331 0577.",
        "My number is 020 7183 8750, or 06 12 34 56 78 in France.",
        "My SSN is 531-21-7351.",
        "Card 5213591727586604 was lost.",
        "Pay to DE89 3704 0044 0532 0130 00.",
        "The request came from 98.85.59.159.",
        "Call 2122345678 2122345679 at night.",
        "She lives at 1755 Mandela Drive, Suite 12.",
    )

    kinds: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != "url")
    """What is looked for."""
    mask: bool = False
    """Keep the row, and write the text back to `on` with each find as its kind in brackets: `Call me at [PHONE].`"""
    allow_fictional: bool = True
    """Let pass what is reserved for examples: example.com and .test, 555-01xx, documentation and private IPs, well-known test numbers."""
    allow_domains: tuple[str, ...] = ()
    """Domains whose e-mail and web addresses may stand: a publisher's, your own."""
    at_most: int = Field(default=0, ge=0)
    """Finds that are tolerated."""

    @field_validator("allow_domains")
    @classmethod
    def _lower(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(domain.lower().removeprefix("www.").strip(".@ ") for domain in value)

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        if self.mask and isinstance(fields.get(self.on), list | tuple | dict):
            return self._nested(fields[self.on])
        text = self.text(fields)
        finds = self.finds(text)
        if len(finds) <= self.at_most:
            return Finding(True, score=float(len(finds)))
        if self.mask:
            return self._written(Counter(kind for kind, _, _ in finds), _masked(text, finds))
        told = " | ".join(f"{kind} at {start}-{end}" for kind, start, end in finds[:5])  # a verdict is handed on where its row is not
        return Finding(False, f"pii_{finds[0][0]}", float(len(finds)), told, span=finds[0][1:])

    def _nested(self, value: Any) -> Finding:
        strings = Counter(kind for leaf, free in _leaves(value) if free for kind, _, _ in self.finds(leaf))
        stuck = Counter(kind for leaf, free in _leaves(value) if not free for kind, _, _ in self.finds(leaf))
        count = strings.total() + stuck.total()
        if count <= self.at_most:
            return Finding(True, score=float(count))
        if stuck:
            return Finding(False, f"pii_{min(stuck)}", float(count), f"in a number or a key, which cannot be masked: {_told(stuck)}")
        return self._written(strings, _mapped(value, lambda text: _masked(text, self.finds(text))))

    def _written(self, counts: Counter[str], masked: Any) -> Finding:
        return Finding(True, score=float(counts.total()), evidence=f"masked: {_told(counts)}", fields={self.on: masked})

    def written(self) -> tuple[str, ...]:
        return (self.on,) if self.mask else ()

    def finds(self, text: str) -> list[tuple[str, int, int]]:
        """(kind, start, end) of every find, in the order of the text; of two that overlap, the one whose kind has the stronger proof."""
        digits = bool(_DIGIT.search(text))
        places = long_numbers(text) if digits else []
        wanted = [kind for kind in FINDERS if kind in self.kinds and (places or kind in ("email", "url") or (kind == "ip" and "::" in text))]
        spans = [(kind, *span) for kind in wanted for span in FINDERS[kind](text, not self.allow_fictional, places)]
        if digits and "address" in self.kinds:
            spans += [("address", *span) for span in addresses(text, not self.allow_fictional)]
        taken: list[tuple[str, int, int]] = []
        for kind, start, end in spans:
            at = bisect_left(taken, end, key=lambda find: find[1])  # how many begin before this one ends
            free = at == 0 or taken[at - 1][2] <= start
            if free and not (self.allow_domains and kind in ("email", "url") and self._allowed(text[start:end])):
                taken.insert(at, (kind, start, end))
        return taken

    def _allowed(self, value: str) -> bool:
        host = re.split(r"[/:?#]", value.partition("://")[2] or value.rpartition("@")[2])[0].lower()
        return any(host == own or host.endswith("." + own) for own in self.allow_domains)


_DIGIT = re.compile(r"\d")


def _masked(text: str, finds: list[tuple[str, int, int]]) -> str:
    parts, at = [], 0
    for kind, start, end in finds:
        parts += [text[at:start], f"[{kind.upper()}]"]
        at = end
    return "".join([*parts, text[at:]])


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def _leaves(value: Any) -> Iterator[tuple[str, bool]]:
    """(text, whether it may be written anew) of every string, number and key inside lists and mappings."""
    if isinstance(value, Mapping):
        yield from ((str(key), False) for key in value)
    if isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(each)
    elif value is not None:
        yield str(value), isinstance(value, str)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The same lists and mappings with every string changed."""
    if isinstance(value, Mapping):
        return {key: _mapped(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(each, change) for each in value]
    return change(value) if isinstance(value, str) else value
