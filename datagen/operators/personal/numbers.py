"""Accounts, addresses and numbers that have a proof of their own: a checksum, a public range, a grouping, a word before them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

Span = tuple[int, int]
_LONG_NUMBER = re.compile(r"\d[\d() .x/-]{5,}\d")
"""What every kind of number has: seven signs in a row, digits and separators. Most texts have none."""
_AROUND = 80
"""Characters before and after a long number that a pattern may look at: `Social security number is ...`, `... ext. 12345`."""


def long_numbers(text: str) -> list[Span]:
    """Where long numbers stand, with what is around them; places that touch are one."""
    places: list[Span] = []
    for found in _LONG_NUMBER.finditer(text):
        start, end = max(0, found.start() - _AROUND), found.end() + _AROUND
        if places and start <= places[-1][1]:
            start = places.pop()[0]
        places.append((start, end))
    return places


def _find(pattern: re.Pattern[str], text: str, places: Sequence[Span]) -> Iterator[re.Match[str]]:
    return (found for place in places for found in pattern.finditer(text, *place))


_LETTERS = "A-Za-z\u00c0-\u024f\u0370-\u04ff"
"""Of the alphabets of domains: Latin with its accents, Greek, Cyrillic."""
_EMAIL = re.compile(rf"(?<![\w.+-])[^\W_][\w.+%-]{{0,63}}@((?:[{_LETTERS}0-9-]{{1,63}}\.){{1,4}}[{_LETTERS}]{{2,24}})(?![\w@])")
_EXAMPLE_DOMAIN = re.compile(
    r"(?:^|\.)(?:example|sample|domain|email|test|company|yourdomain|mydomain|mycompany|school|website|site|acme|foo|bar)\.(?:com|org|net|edu"
    r"|co\.uk|io)$"
    r"|\.(?:test|example|invalid|localhost|local)$",
    re.IGNORECASE,
)
_NOBODY = re.compile(
    r"(?:info|support|help|contact|sales|press|admin|office|hello|no-?reply|service|customer\.?(?:service|support|care)|team|feedback|billing|jobs"
    r"|careers|editor|"
    r"your[._-]?(?:name|email|username)?|name|first(?:name)?[._-]?last(?:name)?|user(?:name)?\d{0,3}|someone|somebody|email|example|test"
    r"|alice|bob|you|me)$",
    re.IGNORECASE,
)
"""Local parts that belong to an office or to an example, not to a person."""


def emails(text: str, fictional: bool, places: Sequence[Span]) -> Iterator[Span]:
    if "@" not in text:
        return
    for found in _EMAIL.finditer(text):
        local = found.group().partition("@")[0]
        if fictional or not (_EXAMPLE_DOMAIN.search(found.group(1)) or _NOBODY.match(local)):
            yield found.span()


_URL = re.compile(r"(?<![\w@])(?:(?:https?|ftp)://|www\.)[^\s<>\"'`|{}\\^]{1,2000}", re.IGNORECASE)
_HOST = re.compile(r"(?:\w{3,5}://)?(?:[^/@\s]{0,200}@)?([\w.-]*)", re.IGNORECASE)


def urls(text: str, fictional: bool, places: Sequence[Span]) -> Iterator[Span]:
    """Web addresses with a scheme or a leading www, without the stop or bracket that belongs to the sentence."""
    if "://" not in text and "www." not in text and "WWW." not in text:
        return
    for found in _URL.finditer(text):
        value = found.group().rstrip(".,;:!?)]*_")
        host = _HOST.match(value)
        if host and "." in host[1] and (fictional or not _EXAMPLE_DOMAIN.search(host[1].removeprefix("www."))):
            yield found.start(), found.start() + len(value)


_PHONE_FORMS = (
    r"(?:(?:\+|00)\d{1,3}[-. ]?(?:\(\d{1,4}\)[-. ]?)?\d{1,4}(?:[-. ]\d{2,4}){1,4}"  # international
    r"|\+[1-9]\d{0,2}[- ]\d{1,5}(?:[- ]\d{3,8}){1,3}"
    r"|0\d-\d{4}-\d{4}|\(\d{2}\) ?\d{5}-\d{4}|8 ?\(\d{3}\) ?\d{3}-\d\d-\d\d"  # Japan and Korea; Brazil; Russia
    r"|(?:\+?1[-. ])?\(\d{2,4}\) ?\d{3,4}[-. ]\d{3,4}"  # (212) 555-2368, (07) 5331 0577
    r"|(?:\+?1[-. ])?\d{3}-\d{3}-\d{4}|\d{3}\.\d{3}\.\d{4}"  # 212-555-2368
    r"|001-\d{3}-\d{3}-\d{4}"
    r"|0\d{2,4}[- ]\d{3,4}[- ]\d{3,4}|0\d{4} \d{6}|0[1-9](?: \d\d){4}|0[1-9]\d{1,2}[-/]\d{7,8}"  # Britain, Australia; France; Germany
    r")(?:x\d{1,5}| ?ext\.? ?\d{1,5})?"
)
_PHONE = re.compile(rf"(?<![\w.$€£/=+*<,-])(?<!\d ){_PHONE_FORMS}(?![\w/=*>]|[.,]\d| \d\d)")
"""A phone that stands by itself: no figure of a table or a calculation, which have others beside them."""
_PHONE_BESIDE = re.compile(rf"(?<![\w.$€£=+*<-]){_PHONE_FORMS}(?![\w=*>]|\.\d)")
"""The same where another may stand right before or after it."""
_BESIDE = frozenset((" ", ",", "/", ";"))
_BEFORE, _AFTER = re.compile(r"(?<![/,])(?<!\d )"), re.compile(r"(?!/|,\d| \d\d)")
_AMERICAN = re.compile(r"(?:\+?1[-. ])?(?:\(\d{3}\) ?|\d{3}-)\d{3}-\d{4}$")
"""Written as no other figure is, whatever stands beside it."""
_DIGITS = r"([+(]{0,2}(?:\d{8,15}(?= \d{8,15}(?!\d))|\d[\d() .-]{6,18}\d)(?:x\d{1,5})?)"
_CALL = re.compile(
    rf"\b(?:call|phone|telephone|tel|mobile|cell|fax|desk|whatsapp|dial|text me|reach me)\b[^\d\n(+]{{0,25}}{_DIGITS}"
    rf"|(?<![\d.]){_DIGITS} (?:office|fax|mobile|home|cell)\b",
    re.IGNORECASE,
)
_LINK = r"(?: ?[,;/&]| or\b| and\b){0,2} ?"
_ANOTHER_PHONE = re.compile(rf"{_LINK}{_DIGITS}", re.IGNORECASE)
"""What goes on a list of phones that began with a word for them."""


def phones(text: str, fictional: bool, places: Sequence[Span]) -> Iterator[Span]:
    spans = _beside(text, places)
    spans += [found.span() for found in _find(_PHONE, text, places)]
    for found in _find(_CALL, text, places):
        spans.append(found.span(1) if found.group(1) else found.span(2))
        spans += _listed(_ANOTHER_PHONE, text, found.end()) if found.group(1) else ()
    return (span for span in spans if _is_phone(text[slice(*span)], fictional))


def _listed(another: re.Pattern[str], text: str, end: int) -> Iterator[Span]:
    """Where the list goes on that has its first number before `end`."""
    while found := another.match(text, end):
        yield found.span(1)
        end = found.end()


def _beside(text: str, places: Sequence[Span]) -> list[Span]:
    """Phones one right after the other; those at both ends stand free, or all are American."""
    groups: list[list[Span]] = []
    for start, end in (found.span() for found in _find(_PHONE_BESIDE, text, places)):
        if not _is_phone(text[start:end], fictional=True):
            continue
        if groups and text[groups[-1][-1][1] : start] in _BESIDE:
            groups[-1].append((start, end))
        else:
            groups.append([(start, end)])
    return [span for group in groups if len(group) > 1 and _stands(text, group) for span in group]


def _stands(text: str, group: Sequence[Span]) -> bool:
    if _BEFORE.match(text, group[0][0]) and _AFTER.match(text, group[-1][1]):
        return True
    return all(_AMERICAN.match(text[start:end]) for start, end in group)


def _is_phone(value: str, fictional: bool) -> bool:
    digits = re.sub(r"\D", "", re.split(r"x|ext", value)[0])
    allowed = not fictional and (_TOLL_FREE.match(digits) or _fictional_phone(digits))
    return 8 <= len(digits) <= 15 and not allowed and not _NO_PHONE.search(value)


def _fictional_phone(digits: str) -> bool:
    """555-01xx is reserved for fiction in North America; writers use all of 555 and runs of digits such as 123-456-7890."""
    local = digits[-10:]
    return local[3:6] == "555" or local in {"1234567890", "0123456789"} or len(set(digits)) <= 2


_TOLL_FREE = re.compile(r"1?8(?:00|33|44|55|66|77|88)\d{7}$")
"""Hotlines are nobody's own."""
_NO_PHONE = re.compile(r"^(?:1[5-9]|20)\d\d ?[-. ] ?(?:1[5-9]|20)\d\d$|\)\(|(?:^|\D)\d{1,2}\.\d|\d\.\d{1,2}(?!\d)|^\d+\.\d+$|^000|\d{5}\.\d")
"""Spans of years, products of bracketed numbers, decimals."""


_SSN = re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])")
_SSN_SAID = re.compile(r"\b(?:ssns?|social security(?: numbers?| no\.?)?)\b[^\d\n]{0,20}(\d{3}[ -]?\d{2}[ -]?\d{4})(?![\d-])", re.IGNORECASE)
_ANOTHER_SSN = re.compile(rf"{_LINK}(\d{{3}}[ -]?\d{{2}}[ -]?\d{{4}})(?![\d-])", re.IGNORECASE)
_NO_SSN = frozenset({"123456789", "078051120", "111111111", "219099999"})
"""Numbers printed in advertisements, and the one everybody types."""


def ssns(text: str, fictional: bool, places: Sequence[Span]) -> Iterator[Span]:
    """US social security numbers: area not 000, 666 or 900-999, group not 00, serial not 0000 (SSA, POMS RM 10201.035)."""
    spans = [found.span() for found in _find(_SSN, text, places)]
    for found in _find(_SSN_SAID, text, places):
        spans += [found.span(1), *_listed(_ANOTHER_SSN, text, found.end())]
    for start, end in spans:
        digits = re.sub(r"\D", "", text[start:end])
        area, group, serial = digits[:3], digits[3:5], digits[5:]
        issued = area not in {"000", "666"} and area[0] != "9" and group != "00" and serial != "0000"
        if issued and (fictional or digits not in _NO_SSN):
            yield start, end


_CARD = re.compile(
    r"(?:(?<![\d.,-])|(?<=\d{4},))(?:(?:[3-6]\d{3}|2[2-7]\d\d|2131|1800)(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?!\.?\d)(?!,\d{1,3}(?!\d))"
    r"|3[0478]\d{2}[ -]?\d{6}[ -]?\d{4,5}(?!\d))"
)
_TEST_CARDS = frozenset({"4111111111111111", "4242424242424242", "5555555555554444", "378282246310005", "4012888888881881", "5105105105105100"})


def cards(text: str, fictional: bool, places: Sequence[Span]) -> Iterator[Span]:
    for found in _find(_CARD, text, places):
        digits = re.sub(r"\D", "", found.group())
        if 13 <= len(digits) <= 19 and _luhn(digits) and (fictional or digits not in _TEST_CARDS):
            yield found.span()


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B: every second digit from the right doubled, digit sums added, a multiple of ten."""
    doubled = (int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0 and len(set(digits)) > 2


_IBAN = re.compile(r"\b([A-Z]{2})\d{2}(?= ?[A-Z0-9])")
"""Where one may begin; its country says how long it is."""
_COUNTRIES = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 "
    "GT28 HR21 HU28 IE22 IL23 IS26 IT27 JO30 KW30 KZ20 LB28 LI21 LT20 LU20 LV21 MC27 MD24 ME22 MK19 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 "
    "RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 TN24 TR26 UA29 VA22 VG24 XK20"
)
_IBAN_SHAPES = {pair[:2]: re.compile(rf"[A-Z0-9](?: ?[A-Z0-9]){{{int(pair[2:]) - 1}}}(?!\w)") for pair in _COUNTRIES.split()}
"""Country -> as many characters as its accounts have (SWIFT, IBAN registry)."""


def ibans(text: str, fictional: bool, places: Sequence[Span]) -> Iterator[Span]:
    """Account numbers of the length of their country whose ISO 7064 sum (mod 97) is 1."""
    for found in _IBAN.finditer(text):
        shape = _IBAN_SHAPES.get(found[1])
        whole = shape.match(text, found.start()) if shape else None
        if whole and _mod97(whole.group().replace(" ", "")) == 1:
            yield whole.span()


def _mod97(value: str) -> int:
    return int("".join(str(int(sign, 36)) for sign in value[4:] + value[:4])) % 97


_IP = re.compile(r"(?<![\d.\w-])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d|\w)")
_IP6 = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}(?![\w:])")
_NET = re.compile(r"\b(?:ip|host|server|client|address|ping|proxy|gateway)\b[^\n]{0,20}$", re.IGNORECASE)


def ips(text: str, fictional: bool, places: Sequence[Span]) -> Iterator[Span]:
    for found in (*_find(_IP, text, places), *(_IP6.finditer(text) if "::" in text or text.count(":") > 5 else ())):
        value = found.group()
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            continue
        # Section and version numbers look alike; an address of a person nearly always has seven digits or more, or a word before it.
        known = len(value) >= 10 or bool(_NET.search(text[max(0, found.start() - 30) : found.start()]))
        if known and (address.is_global or fictional):
            yield found.span()


FINDERS: Mapping[str, Callable[[str, bool, Sequence[Span]], Iterator[Span]]] = {
    "email": emails, "url": urls, "iban": ibans, "credit_card": cards, "ssn": ssns, "ip": ips, "phone": phones,
}  # fmt: skip
"""Kind -> finder(text, also what is reserved for examples, places of long numbers). Where two find the same place, the first of this list has it."""
