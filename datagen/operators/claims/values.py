"""What a written answer means: an exact number with its unit, a date, a time, a list, or words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_LONGEST = 400
"""Characters of an answer that are looked at as a value; longer ones are words."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as a fraction, with the unit it was written with: '' for none, '%' for percent."""

    value: Fraction
    unit: str = ""

    def __str__(self) -> str:
        """The shortest exact form: an integer, a decimal that ends, else p/q. Votes compare this text."""
        top, bottom = self.value.numerator, self.value.denominator
        if bottom == 1:
            return str(top)
        rest = bottom
        for prime in (2, 5):
            while rest % prime == 0:
                rest //= prime
        if rest != 1 or bottom.bit_length() > 40:
            return f"{top}/{bottom}"
        places = next(size for size in range(1, 41) if 10**size % bottom == 0)
        digits = str(abs(top) * 10**places // bottom).rjust(places + 1, "0")
        return f"{'-' if top < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _words(text: str) -> list[str]:
    return text.split()


_VULGAR = dict(
    pair.split("=") for pair in _words("½=1/2 ⅓=1/3 ⅔=2/3 ¼=1/4 ¾=3/4 ⅕=1/5 ⅖=2/5 ⅗=3/5 ⅘=4/5 ⅙=1/6 ⅚=5/6 ⅛=1/8 ⅜=3/8 ⅝=5/8 ⅞=7/8 ⅐=1/7 ⅑=1/9 ⅒=1/10")
)
_SIGNS = str.maketrans(
    {"−": "-", "–": "-", "⁄": "/", "∕": "/", "÷": "/", "\u00a0": " ", "\u2009": "", "\u202f": "", "’": "'", "“": '"', "”": '"', "，": ",", "：": ":"}
)
_LATEX = (
    (re.compile(r"\\(?:text|mathrm|textbf|textit|mathbf|mbox|operatorname|rm)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\(?:left|right|displaystyle|big|Big|quad|qquad)(?![a-z])"), ""),
    (re.compile(r"\\[,!;: ]|\{,\}|(?<=\d)~(?=\d)"), lambda found: "," if found.group() == "{,}" else ("" if found.group() != "\\ " else " ")),
    (re.compile(r"\\[dtc]frac(?![a-z])"), r"\\frac"),
    (re.compile(r"\\frac\s*(\d)\s*(\d)(?!\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?|°|º"), " degrees "),
    (re.compile(r"\\(?:cdot|times)(?![a-z])|×|·"), "*"),
    (re.compile(r"\\([%$#&_{}])"), r"\1"),
)


def clean(text: str) -> str:
    """The answer without markup: emphasis, math delimiters, LaTeX spacing and wrappers, typographic signs, the closing full stop."""
    plain = text.translate(_SIGNS).strip()
    for sign, written in _VULGAR.items():
        plain = plain.replace(sign, f" {written}")
    plain = re.sub(r"^\\[(\[]\s*(.*?)\s*\\[)\]]$", r"\1", plain.strip(" *`\"'\n"))
    if plain.count("$") >= 2 and (found := re.fullmatch(r"\$+([^$]+)\$+(.*)", plain)):
        plain = f"{found.group(1)} {found.group(2)}"
    for pattern, into in _LATEX:
        plain = pattern.sub(into, plain)
    plain = re.sub(r"\s+", " ", plain).strip(" *`\"'")
    return re.sub(r"(?<!\.)[.;,]$|(?<=[^\W\d])!$", "", plain).strip()


_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.\d*)?|\.\d+)"
_FRACTION = rf"(?:{_DECIMAL}\s*/\s*{_DECIMAL}|\\frac\s*\{{\s*-?{_DECIMAL}\s*\}}\s*\{{\s*{_DECIMAL}\s*\}})"
_NUMBER = re.compile(
    rf"(?P<sign>[-+])?\s*(?P<coin>[$€£¥]|USD |EUR )?\s*(?P<inner>-)?\s*(?:(?P<whole>{_DIGITS})(?:\s+and\s+|\s*-\s*|\s+"
    rf"|(?=\\frac))(?P<part>{_FRACTION})|(?P<fraction>{_FRACTION})|"
    rf"(?P<decimal>{_DECIMAL})(?P<overline>\\overline\s*\{{\d+\}})?(?P<power>\s*e\s*[-+]?\d{{1,3}}(?!\w)"
    rf"|\s*[*x]\s*10\s*\^\s*\{{?\s*-?\d{{1,3}}\s*\}}?)?)"
    rf"(?:\s*(?P<scale>hundred|thousand|million|billion|trillion|dozen)s?\b)?\s*(?P<unit>[^\d]*(?:\^\s*\{{?[23]\}}?|²|³)?[^\d]*)",
    re.IGNORECASE,
)
_SCALE = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_LEAD = re.compile(
    r"^(?:(?:about|approximately|approx\.?|around|roughly|exactly|equal to|equals|a total of|is|was|only|just)\s+|[≈~=]\s*"
    r"|[a-z](?:_?\{?\w\}?)?\s*=\s*)+",
    re.IGNORECASE,
)
_COINS = {"$": "usd", "USD": "usd", "€": "eur", "EUR": "eur", "£": "gbp", "¥": "jpy"}


def number(text: str) -> Number | None:
    """The cleaned text as one number with an optional unit, or None."""
    if len(text) > _LONGEST:
        return None
    bare = _LEAD.sub("", text)
    found = _NUMBER.fullmatch(bare)
    if found is None:
        return _spelt(bare) or _compound(bare)
    value = _value(found)
    unit = unit_of(found["unit"])
    if value is None or unit is None:
        return None
    if found["coin"]:
        coin = _COINS[found["coin"].strip()]
        return Number(value, coin) if unit in ("", coin) or not known(unit) else None
    return Number(value, unit)


def _value(found: re.Match[str]) -> Fraction | None:
    try:
        if found["part"]:
            part = _ratio(found["part"])
            value = None if part is None or part < 0 else _exact(found["whole"]) + part
        elif found["fraction"]:
            value = _ratio(found["fraction"])
        else:
            value = _decimal(found["decimal"], found["overline"], found["power"])
    except ValueError:
        return None
    if value is None:
        return None
    negative = (found["sign"] == "-") != bool(found["inner"])
    return (-value if negative else value) * _SCALE.get((found["scale"] or "").lower(), 1)


def _exact(digits: str) -> Fraction:
    plain = digits.replace(",", "")
    return Fraction(f"0{plain}" if plain.startswith(".") else plain.rstrip(".") if plain.endswith(".") else plain)


def _decimal(digits: str, overline: str | None, power: str | None) -> Fraction:
    value = _exact(digits)
    if overline:
        places = len(digits.partition(".")[2])
        cycle = re.sub(r"\D", "", overline)
        value += Fraction(int(cycle), (10 ** len(cycle) - 1) * 10**places)
    if power:
        value *= Fraction(10) ** int(re.sub(r"^\s*(?:e|[*x]\s*10\s*\^)|[{}\s]", "", power, flags=re.IGNORECASE))
    return value


def _ratio(text: str) -> Fraction | None:
    parts = re.findall(rf"-?{_DECIMAL}", text)
    bottom = _exact(parts[1].lstrip("-"))
    top = -_exact(parts[0][1:]) if parts[0].startswith("-") else _exact(parts[0])
    return top / bottom if bottom else None


_UNITS_WORDS = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_SMALL = {word: value for value, word in enumerate(_UNITS_WORDS)} | {
    word: 10 * value for value, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2)
}
_PARTS = {
    "half": Fraction(1, 2),
    "third": Fraction(1, 3),
    "quarter": Fraction(1, 4),
    "fourth": Fraction(1, 4),
    "fifth": Fraction(1, 5),
    "tenth": Fraction(1, 10),
}


def _spelt(text: str) -> Number | None:
    """Numbers in words: "twelve", "one hundred and five apples", "two thirds", "one half"."""
    words = re.findall(r"[a-z]+", re.sub(r"^(?:a|an) (?=dozen|hundred|thousand|million|billion|half|third|quarter)", "one ", text.lower()))
    if not words or not re.fullmatch(r"[A-Za-z\s-]+", text) or (words[0] not in _SMALL and words[0] != "half"):
        return None
    total, group, used = 0, 0, 0
    for word in words:
        if word in _SMALL:
            group += _SMALL[word]
        elif word in _SCALE and used:
            group = max(1, group) * _SCALE[word]
            if _SCALE[word] >= 1000:
                total, group = total + group, 0
        elif word != "and":
            break
        used += 1
    value, rest = Fraction(total + group), words[used:]
    if rest and (part := _PARTS.get(rest[0].rstrip("s"))) and (used == 1 or rest[0] == "half"):
        value, rest = (value * part if used else part), rest[1:]
    unit = unit_of(" ".join(rest))
    return Number(value, unit) if unit is not None else None


_PAIR = re.compile(rf"({_DECIMAL})\s*([a-z']+)", re.IGNORECASE)


def _compound(text: str) -> Number | None:
    """Several units of one dimension added up: "2 hours and 30 minutes", "5 feet 6 inches", "3 dollars 50 cents"."""
    if not re.fullmatch(rf"{_PAIR.pattern}(?:(?:\s*,\s*|\s+)(?:and\s+)?{_PAIR.pattern})+", text, re.IGNORECASE):
        return None
    units = [(_exact(amount), unit_of(name)) for amount, name in _PAIR.findall(text)]
    total, dimension = Fraction(0), ""
    for amount, unit in units:
        measure = known(unit or "")
        if measure is None or (dimension and measure[0] != dimension):
            return None
        dimension, total = measure[0], total + amount * measure[1]
    return Number(total, _BASES[dimension]) if dimension in _BASES else None


_VARIABLE = re.compile(r"[^\W\d](?:\^.*)?")
_FILLERS = frozenset(
    _words(
        "total in altogether each left more less remaining now all a an the of per and or so on at for old long tall away apart years-old is was are"
        " were overall combined exactly"
    )
)


def unit_of(text: str) -> str | None:
    """The unit after a number in a standard form: a known symbol, else the first noun; '' for none, None where it is more than a unit."""
    plain = re.sub(r"[()\[\]\"*`]", " ", text.lower()).replace("²", "^2").replace("³", "^3").strip(" .,;:!-")
    plain = re.sub(r"\^\s*\{?\s*([23])\s*\}?", r"^\1", plain)
    if any(sign in plain for sign in "=+<>\\{}|") or len(plain) > 60 or text.lstrip().startswith("!"):  # 5! is no 5
        return None
    plain = re.sub(r"^(?:square|sq\.?)\s+(\w+)", r"\1^2", re.sub(r"^cubic\s+(\w+)", r"\1^3", plain)).replace(" per ", "/").replace(" / ", "/")
    first = plain.split(" ")[0].strip(".,;:!'")
    for name in (plain, first if len(first) > 2 or first == plain or first == "%" else "", first.partition("/")[0]):
        if name and (symbol := _symbol(name)):
            return symbol
    nouns = [word.strip(".,;:!'?") for word in plain.split()]
    nouns = [word for word in nouns if word and word not in _FILLERS]
    if len(nouns) > 8 or (nouns and (nouns[-1] in _SMALL or _VARIABLE.fullmatch(nouns[-1]))):  # 15 hundred and one; 2x, 3x^2
        return None
    return nouns[-1] if nouns and re.match(r"[^\W\d]", nouns[-1]) else ("" if not nouns or plain in ("'", "") else None)


def _symbol(name: str) -> str:
    base, caret, power = name.partition("^")
    if caret:
        inner = _ALIASES.get(base, "")
        return f"{inner}^{power}" if inner in _LENGTHS else ""
    if "/" in name:
        parts = [_ALIASES.get(part, "") for part in name.split("/")]
        return "/".join(parts) if all(parts) and len(parts) == 2 else ""
    return _ALIASES.get(name, "")


_TABLE = """
length: m 1 meter meters metre metres; km 1000 kilometer kilometers kilometre kilometres; cm 1/100 centimeter centimeters centimetre centimetres;
  mm 1/1000 millimeter millimeters millimetre millimetres; inch 127/5000 inches in; ft 381/1250 foot feet;
  yd 1143/1250 yard yards; mi 201168/125 mile miles
time: s 1 second seconds sec secs; min 60 minute minutes mins; h 3600 hour hours hr hrs; day 86400 days; week 604800 weeks
months: month 1 months; year 12 years yr yrs
mass: g 1 gram grams; kg 1000 kilogram kilograms kilo kilos; mg 1/1000 milligram milligrams;
  oz 45359237/1600000 ounce ounces; lb 45359237/100000 lbs; ton 1000000 tonne tonnes tons
volume: l 1 liter liters litre litres; ml 1/1000 milliliter milliliters millilitre millilitres; gal 473176473/125000000 gallon gallons
usd: usd 1 dollar dollars buck bucks; cent 1/100 cents ¢
eur: eur 1 euro euros
gbp: gbp 1
jpy: jpy 1 yen
angle: degree 1 degrees deg
temperature: celsius 1; fahrenheit 1
percent: % 1 percent pct percents percentage
speed: mph 1; kph 1 kmh
"""


def _tables() -> tuple[dict[str, str], dict[str, tuple[str, Fraction]], dict[str, str]]:
    aliases: dict[str, str] = {}
    measures: dict[str, tuple[str, Fraction]] = {}
    bases: dict[str, str] = {}
    for line in _TABLE.replace("\n  ", " ").strip().split("\n"):
        dimension, _, entries = line.partition(":")
        for entry in entries.split(";"):
            symbol, factor, *names = entry.split()
            measures[symbol] = (dimension, Fraction(factor))
            aliases.update(dict.fromkeys((symbol, *names), symbol))
            if Fraction(factor) == 1:
                bases.setdefault(dimension, symbol)
    return aliases, measures, bases


_ALIASES, _MEASURES, _BASES = _tables()
_LENGTHS = frozenset(symbol for symbol, (dimension, _) in _MEASURES.items() if dimension == "length")


def known(unit: str) -> tuple[str, Fraction] | None:
    """(dimension, factor to its base unit) of a unit in standard form, or None for '' and for nouns."""
    base, caret, power = unit.partition("^")
    if caret and base not in _LENGTHS:  # the 2x^2 of a polynomial
        return None
    if caret:
        return (f"length^{power}", _MEASURES[base][1] ** int(power))
    if "/" in unit:
        first, _, second = unit.partition("/")
        if first not in _MEASURES or second not in _MEASURES:
            return None
        top, bottom = _MEASURES[first], _MEASURES[second]
        return f"{top[0]}/{bottom[0]}", top[1] / bottom[1]
    if unit in ("mph", "kph"):
        return known("mi/h" if unit == "mph" else "km/h")
    return _MEASURES.get(unit)
