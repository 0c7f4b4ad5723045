"""A template of this folder with its values: the door to jinja2, and the only place where row text becomes HTML.

Rows are hostile: a teacher may write anything. Every text is escaped first; the little formatting that is put back (bold, code,
headings) is made of tags without attributes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

FOLDER = Path(__file__).parent
LONGEST = 6_000
"""Characters of one text that are shown; a book chapter would bury the rest of the page."""
AROUND = 260
"""Characters shown before and after the evidence of a dropped row."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
"""Control signs and bidirectional overrides, which could make a page show another text than it holds."""


def render(template: str, **values: Any) -> str:
    """The page as text. `.html.j2` templates escape whatever they are given; in a Markdown card use the `cell` filter."""
    return str(compiled(template).render(**values))


@cache
def compiled(template: str) -> Any:
    """The template, read and compiled once a process; a build does it while it waits for answers."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=template.endswith(".html.j2"),
        finalize=_finalized,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = {
        "prose": prose,
        "marked": marked,
        "money": money,
        "count": count,
        "percent": percent,
        "share": share,
        "interval": interval,
        "cell": cell,
        "fenced": fenced,
        "histogram": histogram,
        "figure": figure,
    }
    environment.filters.update(filters)
    return environment.get_template(template)


def _finalized(value: Any) -> Any:
    """Whatever a page prints, names and small facts too, prints no sign that a browser or terminal would obey."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


# --- numbers ---


def money(usd: float | None) -> str:
    """US dollars with as many places as the amount needs."""
    if usd is None:
        return "not priced"
    if usd < 0:
        return f"-{money(-usd)}"
    return f"${usd:,.2f}" if usd == 0 or usd >= 1 else f"${usd:.4f}"


def count(number: int | float | None) -> str:
    """12,345; an en dash where there is no number."""
    return "–" if number is None else f"{number:,.0f}"


def percent(part: float, whole: float = 1.0) -> str:
    """A share with one place where it matters: 0.4 %, 12 %."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.1f} %" if 0 < share < 10 or 99 < share < 100 else f"{share:.0f} %"


def figure(number: float | None, places: int = 2) -> str:
    """With so many places; an en dash where there is no number."""
    return "–" if number is None else f"{number:.{places}f}"


def share(found: Mapping[str, Any]) -> str:
    """Of a counted rate (see `release/measured/intervals.py`); an en dash where nothing was counted."""
    return "–" if found["share"] is None else percent(found["share"])


def interval(found: Mapping[str, Any]) -> str:
    """Its interval of 95 %."""
    return "–" if found["share"] is None else f"{percent(found['low'])} to {percent(found['high'])}"


# --- text ---


def clean(text: str) -> str:
    """Visible signs for what a browser would obey or hide."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def cell(text: Any) -> str:
    """Text inside a Markdown table or line: one line, nothing that opens a link, a tag, a column or code."""
    line = " ".join(clean(str(text)).split())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", line).replace("\\<", "&lt;").replace("\\>", "&gt;")


def fenced(text: str, language: str = "") -> str:
    """A Markdown code block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{clean(text).rstrip()}\n{fence}"


def prose(text: Any) -> Markup:
    """Row text to read: escaped, then fenced code, headings, bold and inline code set as such."""
    whole = clean(str(text))
    shown = whole[:LONGEST]
    pieces = re.split(r"^```.*\n?", shown, flags=re.MULTILINE)
    html = Markup("").join(_code(piece) if index % 2 else _paragraphs(piece) for index, piece in enumerate(pieces))
    rest = len(whole) - len(shown)
    return html + (Markup('<p class="more">… {} more characters</p>').format(count(rest)) if rest else "")


def _code(piece: str) -> Markup:
    return Markup("<pre>{}</pre>").format(piece.rstrip("\n"))


def _paragraphs(piece: str) -> Markup:
    blocks = [block.strip("\n") for block in re.split(r"\n\s*\n", piece) if block.strip()]
    return Markup("").join(_block(block) for block in blocks)


def _block(block: str) -> Markup:
    heading = re.match(r"#{1,6} +(.*)", block)
    if heading and "\n" not in block:
        return Markup("<p><strong>{}</strong></p>").format(heading[1])
    html = str(escape(block))
    html = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", html)
    html = re.sub(r"\*\*([^*\n]+)\*\*", r"<strong>\1</strong>", html)
    return Markup("<p>" + html + "</p>")


def _dense(text: str) -> str:
    return re.sub(r"\n\s*\n", "\n", clean(text))


def marked(text: str, evidence: str) -> Markup:
    """The part of a text around its evidence, which is marked; the beginning where the evidence is no part of the text."""
    whole, sought = _dense(text), _dense(evidence).strip()
    at = whole.find(sought) if sought else -1
    if at < 0:
        cut = whole[: 2 * AROUND]
        return Markup("{}{}").format(cut, "…" if len(cut) < len(whole) else "")
    start, end = max(0, at - AROUND), at + len(sought) + AROUND
    before, after = whole[start:at], whole[at + len(sought) : end]
    parts = ("…" if start else "", before, sought, after, "…" if end < len(whole) else "")
    return Markup("{}{}<mark>{}</mark>{}{}").format(*parts)


# --- drawing ---


def histogram(counts: Sequence[int], height: int = 96) -> Markup:
    """Bars as inline SVG, 1000 units wide, stretched by the page; the tallest fills the height."""
    top, width = max(counts, default=0) or 1, 1000 / max(len(counts), 1)
    bars = [
        f'<rect x="{index * width + 1:.1f}" y="{height - height * number / top:.1f}" width="{width - 2:.1f}" height="{height * number / top:.1f}"/>'
        for index, number in enumerate(counts)
        if number
    ]
    return Markup(f'<svg class="histogram" viewBox="0 0 1000 {height}" preserveAspectRatio="none" aria-hidden="true">{"".join(bars)}</svg>')
