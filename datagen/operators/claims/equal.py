"""Whether two written answers mean the same: exactly, by fractions; anything unclear is unequal."""

from __future__ import annotations

import re

from datagen.operators.claims.values import Number, clean, known, number


def same(gold: str, answer: str) -> bool:
    """Whether `answer` says what `gold` says. Strict on purpose: a wrong row that counts as verified costs more than a right row that is lost."""
    one, other = clean(gold), clean(answer)
    if not one or not other:
        return False
    if _words(one) == _words(other):
        return True
    for reading in (_moment, _day, _ratio):
        a, b = reading(one), reading(other)
        if a or b:
            return a == b
    first, second = number(one), number(other)
    if first and second:
        return _same_number(first, second)
    if _option(one, other) or _option(other, one) or _yes_no(one, other):
        return True
    if not first and not second and (parts := _list(one)) and (others := _list(other)):
        return _same_list(parts, others)
    return _same_expression(one, other)


def canonical(answer: str) -> str:
    """One spelling for answers that agree, for votes: numbers without unit in their shortest exact form, lists item by item, words cleaned."""
    plain = clean(answer)
    if value := number(plain):
        return str(value)
    if items := _list(plain):
        return f"{items[0]}{', '.join(canonical(item) for item in items[1])}{_CLOSING.get(items[0], '')}"
    return plain


def _same_number(gold: Number, answer: Number) -> bool:
    if "%" in (gold.unit, answer.unit) and gold.unit != answer.unit:
        percent, plain = (gold, answer) if gold.unit == "%" else (answer, gold)
        return plain.unit == "" and (plain.value == percent.value / 100 or (plain.value == percent.value and abs(percent.value) > 1))
    if gold.unit == answer.unit or not gold.unit or not answer.unit:
        return gold.value == answer.value
    one, other = known(gold.unit), known(answer.unit)
    if one and other:
        return one[0] == other[0] and gold.value * one[1] == answer.value * other[1]
    if one or other:
        return False
    return gold.value == answer.value and _stem(gold.unit) == _stem(answer.unit)


def _stem(noun: str) -> str:
    return re.sub(r"(?:es|s)$", "", noun)


_ARTICLES = re.compile(r"^(?:(?:the|a|an|on|at|in|it is|it's|option|choice)\s+)+")


def _words(text: str) -> str:
    """Words for comparing: lower case, no article in front, no punctuation at the ends, single spaces; signs inside stay."""
    plain = re.sub(r"(?<![\d!])!{1,3}$", "", re.sub(r"\s+", " ", text.casefold()).strip(" .?\"'`*:;,"))
    return _ARTICLES.sub("", plain).replace(" ,", ",")


_MONTHS = {name: index for index, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1)}
_MONTH = r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_DATES = tuple(
    re.compile(rf"(?:on )?(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,? )?(?:the )?{form}", re.IGNORECASE)
    for form in (
        rf"{_MONTH} {_DAY}(?:,? (?P<year>\d{{4}}))?",
        rf"{_DAY}(?: of)? {_MONTH}(?:,? (?P<year>\d{{4}}))?",
        r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})",
    )
)
_TIME = re.compile(r"(?:at )?(\d{1,2})(?:[:.](\d{2}))?\s*([ap])\.?\s?m\.?|(?:at )?(\d{1,2}):(\d{2})(?::00)?", re.IGNORECASE)


def _day(text: str) -> tuple[str, ...] | None:
    """(year or '', month, day). 3/5/2024 is no date here: which number is the month depends on the writer."""
    for form in _DATES:
        if found := form.fullmatch(text):
            month = found["month"].lower()
            return ("date", str(int(found["year"])) if found["year"] else "", str(_MONTHS.get(month[:3]) or int(month)), str(int(found["day"])))
    return None


def _moment(text: str) -> tuple[str, ...] | None:
    """(hour, minute) on the 24-hour clock where a.m. or p.m. is given or the hour says it, else as written."""
    found = _TIME.fullmatch(text)
    if not found:
        return None
    if found[4]:
        return ("time", str(int(found[4])), found[5], "clock" if int(found[4]) in (0, *range(13, 24)) else "unclear")
    hour = int(found[1]) % 12 + (12 if found[3].lower() == "p" else 0)
    return ("time", str(hour), found[2] or "00", "clock" if hour == 0 or hour > 12 else found[3].lower())


def _ratio(text: str) -> tuple[str, ...] | None:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?::|\bto\b)\s*(\d+(?:\.\d+)?)(?:\s*(?::|\bto\b)\s*(\d+))?", text)
    return ("ratio", *(part or "" for part in found.groups())) if found else None


def _option(letter: str, answer: str) -> bool:
    """A gold that is one letter, against "(B)", "B)", "B. 42"."""
    bare = re.fullmatch(r"\(?([A-Za-z])\)?[.:]?", letter)
    found = re.match(r"(?:option |choice |answer )?(?:\(([A-Ja-j])\)|([A-Ja-j])(?:[).:](?!\w)|$))", answer, re.IGNORECASE)
    return bool(bare and found and bare[1].lower() == (found[1] or found[2]).lower())


def _yes_no(gold: str, answer: str) -> bool:
    found = re.match(r"(yes|no|true|false)\s*[,.;:(-]", answer, re.IGNORECASE)
    return bool(found and _words(gold) == found[1].lower())


_CLOSING = {"[": "]", "(": ")", "{": "}"}
_Items = tuple[str, ...]


def _list(text: str) -> tuple[str, _Items] | None:
    """(kind of bracket and its end where that differs, items) of a list, tuple, set or enumeration of two or more, or of a bracketed one."""
    if not text or len(text) > 2000 or sum(map(text.count, "([{")) > 40:
        return None
    plain = re.sub(r"\\[{}]", lambda found: found.group()[1], text)
    bracket = plain[0] if plain[0] in _CLOSING and plain[-1] in ")]}" and _one_bracket(plain) else ""
    inner = plain[1:-1] if bracket else plain
    either = bool(re.search(r"\bor\b", inner))
    parts = [part.strip() for part in _split(re.sub(r",?\s+(?:and|or)\s+", ", ", inner))]
    if not all(parts) or len(parts) < (1 if bracket else 2) or any(part == text for part in parts):
        return None
    kind = "{" if either and not bracket else bracket + (plain[-1] if bracket and _CLOSING[bracket] != plain[-1] else "")
    return kind, tuple(parts)


def _one_bracket(text: str) -> bool:
    """Whether the first bracket closes at the very end, so that it holds the whole."""
    depth = 0
    for index, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0:
            return index == len(text) - 1
    return False


def _split(text: str) -> list[str]:
    """Parts between commas and semicolons outside brackets; the comma of 1,234 is part of the number."""
    parts, depth, start = [], 0, 0
    grouped = {found.start() for found in re.finditer(r"(?<=\d),(?=\d{3}(?!\d))", text)} if ", " in text else set()
    for index, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0 and sign in ",;" and index not in grouped:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _same_list(gold: tuple[str, _Items], answer: tuple[str, _Items]) -> bool:
    (kind, items), (other_kind, others) = gold, answer
    if len(items) != len(others):
        return False
    if kind != other_kind and kind and other_kind and (len(items) == 2 or "{" in (kind, other_kind) or len(kind + other_kind) > 2):
        return False
    if "{" not in (kind, other_kind):
        return all(same(one, other) for one, other in zip(items, others, strict=True))
    left = list(others)
    for item in items:
        twin = next((other for other in left if same(item, other)), None)
        if twin is None:
            return False
        left.remove(twin)
    return True


_EXPRESSION = re.compile(
    r"(?>(?:\\?(?:sqrt|frac|pi|sin|cos|tan|log|ln|exp|infty|theta|alpha|beta|pm|cup|cap|in|le|ge|leq|geq|neq|binom|overline|angle)(?![a-z])"
    r"|[\s\d.+\-*/^()\[\]{},=<>|!√π∞]|(?<![a-zA-Z])[a-zA-Z]{1,2}(?![a-zA-Z]))+)"
)
_TOO_BIG = re.compile(r"\d{7,}|\^\s*\{?\s*\(?-?\d{3,}|\^[^+\-*/ ]*\^|!|(?:\*\*)|\bexp\b")
"""Powers and factorials whose value would not fit in memory."""


def _same_expression(gold: str, answer: str) -> bool:
    """The computer algebra of math-verify, for what is neither number nor word: 2\\sqrt{3}, x^2+1, \\frac{\\pi}{4}.

    It can be slow: the caller runs operators in processes that it can end, so no signal is set here.
    """
    both = (gold, answer)
    if any(len(text) > 120 or not _EXPRESSION.fullmatch(text) or _TOO_BIG.search(text) for text in both):
        return False
    if not all(re.search(r"\\|[+*/^√π]|\d\s*[a-z]|[a-z]\s*\d|(?<=\S)-", text) or re.fullmatch(r"-?\d+(?:\.\d+)?", text) for text in both):
        return False
    import logging

    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns at every call that no timeout is set
    try:
        left, right = (parse(f"${_latex(text)}$", parsing_timeout=None) for text in both)
        return bool(
            left and right and verify(left, right, strict=True, timeout_seconds=None) and verify(right, left, strict=True, timeout_seconds=None)
        )
    except Exception:  # math-verify and sympy raise of every kind on odd input; an answer that cannot be read is not verified
        return False


def _latex(text: str) -> str:
    return text.replace("π", "\\pi ").replace("√", "\\sqrt ").replace("∞", "\\infty ")
