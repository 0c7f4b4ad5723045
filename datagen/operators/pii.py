"""Personal data in a text: addresses, numbers and accounts by which a person could be found."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, get_args

from datagen.operators.base import Finding, Operator

Kind = Literal["email", "phone", "ssn", "credit_card", "iban", "ip", "address"]


class Pii(Operator):
    """E-mail, phone, social security, card and account numbers, IP and street addresses; names are not looked for.

    Numbers need their own proof: Luhn's sum for cards, ISO 7064 (mod 97) for IBANs, a public range for IPs, the usual grouping or
    a word such as "call" for phones. So the figures of maths and science texts pass. The score is the number of finds.
    """

    keeps: ClassVar = (
        "Write to user@example.com or call (212) 555-0123.",
        "The speed of light is 299 792 458 m/s and 4111 - 1111 = 3000.",
        "See section 1.2.3.4, or ping 192.168.0.1.",
        "In 1863 Lincoln spoke at Gettysburg for 2 minutes on the road to town.",
    )
    drops: ClassVar = (
        "Write to maria.kowalska@superrito.com today.",
        "Call me at (07) 5331 0577.",
        "My SSN is 531-21-7351.",
        "Card 5213591727586604 was lost.",
        "Pay to DE89 3704 0044 0532 0130 00.",
        "The request came from 98.85.59.159.",
        "She lives at 1755 Mandela Drive, Suite 12.",
    )

    kinds: tuple[Kind, ...] = get_args(Kind)
    """What is looked for."""
    allow_fictional: bool = True
    """Let pass what is reserved for examples: example.com and .test, 555-01xx, documentation and private IPs, well-known test numbers."""
    allow_domains: tuple[str, ...] = ()
    """Domains whose e-mail addresses may stand: a publisher's, your own."""
    at_most: int = 0
    """Finds that are tolerated."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        text = self.text(fields)
        long_number = bool(_LONG_NUMBER.search(text))
        finds = [(kind, value) for kind in self.kinds if long_number or kind not in _LONG for value in _FINDERS[kind](text, self)]
        if len(finds) <= self.at_most:
            return Finding(True, score=float(len(finds)))
        return Finding(False, f"pii_{finds[0][0]}", float(len(finds)), " | ".join(value for _, value in finds[:5]))


_LONG: frozenset[Kind] = frozenset(("phone", "ssn", "credit_card", "iban", "ip"))
_LONG_NUMBER = re.compile(r"\d[\d() .x-]{6,}\d")
"""What every kind of number has: eight signs in a row, digits and separators. Most texts end here."""
_EMAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+%-]{0,63}@((?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24})(?![\w@])")
_EXAMPLE_DOMAIN = re.compile(
    r"(?:^|\.)(?:example|sample|domain|email|test|company|yourdomain|mydomain|mycompany|school|website|site|acme|foo|bar)\.(?:com|org|net|edu"
    r"|co\.uk|io)$"
    r"|\.(?:test|example|invalid|localhost|local)$",
    re.IGNORECASE,
)


_NOBODY = re.compile(
    r"(?:info|support|help|contact|sales|press|admin|office|hello|no-?reply|service|customer\.?(?:service|support|care)|team|feedback|billing|jobs"
    r"|careers|editor|"
    r"your[._-]?(?:name|email|username)?|name|first(?:name)?[._-]?last(?:name)?|user(?:name)?\d{0,3}|someone|somebody|email|example|test|(?:john"
    r"|jane)[._-]?doe|alice|bob|you|me)$",
    re.IGNORECASE,
)
"""Local parts that belong to an office or to an example, not to a person."""


def _emails(text: str, rule: Pii) -> Iterator[str]:
    if "@" not in text:
        return
    for found in _EMAIL.finditer(text):
        domain = found.group(1).lower()
        allowed = any(domain == own or domain.endswith("." + own) for own in rule.allow_domains)
        local = found.group().partition("@")[0]
        if not allowed and not (rule.allow_fictional and (_EXAMPLE_DOMAIN.search(domain) or _NOBODY.match(local))):
            yield found.group()


_PHONE = re.compile(
    r"(?<![\w.$€£/=+*<-])(?:"
    r"(?:\+|00)\d{1,3}[-. ]?(?:\(\d{1,4}\)[-. ]?)?\d{1,4}(?:[-. ]\d{2,4}){1,4}"  # international
    r"|(?:\+?1[-. ])?\(\d{2,4}\) ?\d{3,4}[-. ]\d{3,4}"  # (212) 555-2368, (07) 5331 0577
    r"|(?:\+?1[-. ])?\d{3}-\d{3}-\d{4}|\d{3}\.\d{3}\.\d{4}"  # 212-555-2368
    r"|001-\d{3}-\d{3}-\d{4}"
    r")(?:x\d{1,5}| ?ext\.? ?\d{1,5})?(?![\w/=*>]|[.,]\d)"
)
_CALL = re.compile(
    r"\b(?:call|phone|telephone|tel|mobile|fax|desk|whatsapp|dial)\b[^\d\n]{0,25}(\+?\(?\d[\d() .-]{6,18}\d)"
    r"|(?<![\d.])(\+?\d[\d() .-]{6,18}\d) (?:office|fax|mobile|home)\b",
    re.IGNORECASE,
)


def _phones(text: str, rule: Pii) -> Iterator[str]:
    for value in [found.group() for found in _PHONE.finditer(text)] + [found.group(1) or found.group(2) for found in _CALL.finditer(text)]:
        digits = re.sub(r"\D", "", re.split(r"x|ext", value)[0])
        allowed = _TOLL_FREE.match(digits) or (rule.allow_fictional and _fictional_phone(digits))
        if 8 <= len(digits) <= 15 and not allowed and not _NO_PHONE.search(value):
            yield value


def _fictional_phone(digits: str) -> bool:
    """555-01xx is reserved for fiction in North America; writers use all of 555 and runs of digits such as 123-456-7890."""
    local = digits[-10:]
    return local[3:6] == "555" or local in {"1234567890", "0123456789"} or len(set(digits)) <= 2


_TOLL_FREE = re.compile(r"1?8(?:00|33|44|55|66|77|88)\d{7}$")
"""Hotlines are nobody's own."""
_NO_PHONE = re.compile(r"^(?:1[5-9]|20)\d\d ?[-. ] ?(?:1[5-9]|20)\d\d$|\)\(|(?:^|\D)\d{1,2}\.\d|\d\.\d{1,2}(?!\d)|^\d+\.\d+$|^0000|\d{5}\.\d")
"""Spans of years, products of bracketed numbers, decimals."""


_SSN = re.compile(r"(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")


def _ssns(text: str, rule: Pii) -> Iterator[str]:
    for found in _SSN.finditer(text):
        if not (rule.allow_fictional and found.group() in {"123-45-6789", "078-05-1120", "111-11-1111", "219-09-9999"}):
            yield found.group()


_CARD = re.compile(r"(?<![\d.,-])[3-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?![\d.,]\d|\d)|(?<![\d.,-])3[47]\d{2}[ -]?\d{6}[ -]?\d{5}(?!\d)")
_TEST_CARDS = frozenset({"4111111111111111", "4242424242424242", "5555555555554444", "378282246310005", "4012888888881881", "5105105105105100"})


def _cards(text: str, rule: Pii) -> Iterator[str]:
    for found in _CARD.finditer(text):
        digits = re.sub(r"\D", "", found.group())
        if 13 <= len(digits) <= 19 and _luhn(digits) and not (rule.allow_fictional and digits in _TEST_CARDS):
            yield found.group()


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B: every second digit from the right doubled, digit sums added, a multiple of ten."""
    doubled = (int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0 and len(set(digits)) > 2


_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")


def _ibans(text: str, rule: Pii) -> Iterator[str]:
    for found in _IBAN.finditer(text):
        plain = found.group().replace(" ", "")
        if 15 <= len(plain) <= 34 and int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1:
            yield found.group()


_IP = re.compile(r"(?<![\d.\w-])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d|\w)")


def _ips(text: str, rule: Pii) -> Iterator[str]:
    for found in _IP.finditer(text):
        value = found.group()
        try:
            address = ipaddress.IPv4Address(value)
        except ValueError:
            continue
        # Section and version numbers look alike; an address of a person nearly always has seven digits or more.
        if len(value) >= 10 and (address.is_global or not rule.allow_fictional):
            yield value


_STREET = (
    r"(?:Street|St\.?|Road|Rd\.?|Avenue|Ave\.?|Boulevard|Blvd\.?|Lane|Ln\.?|Drive|Dr\.?|"
    r"Court|Ct\.?|Place|Pl\.?|Way|Terrace|Square|Highway|Hwy\.?|Parkway|Pkwy\.?|Circle|Crescent|Close)"
)
_ADDRESS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (words, re.compile(pattern, re.MULTILINE))
    for words, pattern in (
        (
            (),
            rf"(?<![\w.,])\d{{1,5}} (?:(?:[NSEW]\.? )?(?:[A-Z][\w'.-]* ){{1,4}}{_STREET}(?=[,\n]? ?(?:$|[,\n#]|Suite|Apt|Unit|Floor|\d{{5}}|[A-Z]))"
            r"|(?:[Rr]ue|avenue|boulevard|calle|via|rua|place) [A-ZÀ-Þ]\w+"
            r"|[^\W\d][^\n.!?]{0,40} (?:[Ss]uite|[Aa]pt\.?) \d{1,4}\b)",
        ),
        (("stra", "gasse", "laan", "gatan", "vägen", "allee"), r"(?:straat|straße|strasse|gasse|laan|gatan|vägen|allee) \d{1,4}\b"),
        (("uite", "pt.", "pt ", "partment"), r"\b(?:[Ss]uite|[Aa]pt\.|[Aa]pt|[Aa]partment) #?\d{2,4}\b[^.!?]{0,60}\b\d{5}\b"),
        (("ZIP", "Zip", "zip", "ostal code"), r"\b(?:ZIP|[Zz]ip(?: code)?|[Pp]ostal code)\s*:\s*\d{5}\b"),
        (
            ("address", "live at", "lives at", "live on", "lives on", " is at ", "located at", "return to "),
            r"\b(?:address(?:es)?\b[^.?!\d]{0,40}|lives? (?:at|on) |(?:restaurant|house|office|shop) is (?:located )?at |return to |located at )"
            r"\d{1,4} (?:\d{1,4} )?[^\W\d][\w.]{3,}(?: [\w.]+){0,4} \d{1,4}\b",
        ),
    )
)
"""(one of these words must be there, the pattern): a look for a word is forty times as fast as the pattern."""
_NOTED = re.compile(r"\b(?:1600 Pennsylvania|10 Downing|221B? Baker|123 (?:Main|Elm|Maple|Oak|Any|Fake)|742 Evergreen)", re.IGNORECASE)


def _addresses(text: str, rule: Pii) -> Iterator[str]:
    patterns = [pattern for words, pattern in _ADDRESS if not words or any(word in text for word in words)]
    for found in (found for pattern in patterns for found in pattern.finditer(text)):
        if not (rule.allow_fictional and _NOTED.match(found.group())):
            yield found.group()


_FINDERS: Mapping[Kind, Callable[[str, Pii], Iterator[str]]] = {
    "email": _emails,
    "phone": _phones,
    "ssn": _ssns,
    "credit_card": _cards,
    "iban": _ibans,
    "ip": _ips,
    "address": _addresses,
}
