"""Which language the prose of a text is in, paragraph by paragraph; code, formulas and tables are passed over.

Measured before choosing (UDHR in 115 other languages, GSM8K questions, OpenStax paragraphs): py3langid 0.4.0 took 0 of 1,500 foreign
paragraphs for English and 0 of 1,319 questions for foreign; lingua 2.1.1 took 2 and 0 and was five times slower, its low-accuracy mode 1 and 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field, field_validator

from datagen.operators.base import Finding, Operator
from datagen.operators.features import features_of

_FENCED = re.compile(r"^ {0,3}(```|~~~)[\s\S]*?(?:^ {0,3}\1[`~]*\s*$|\Z)", re.MULTILINE)
_NOT_PROSE = re.compile(
    r"`[^`\n]+`|\$\$[^$]+\$\$|\$[^$\n]+\$|\\\[[\s\S]{0,2000}?\\\]|\\\([\s\S]{0,2000}?\\\)|\\[a-zA-Z]+|https?://\S+|<<[^<>\n]*>>|</?[a-zA-Z][^<>\n]*>|(?<!\S)\S+@\S+"
    r"|(?<!\w)\w*_\w+"
)
_SIGNS = re.compile(r"[`$\\<@_]|://")
"""Without one of these nothing of it can be there."""
_CODE_LINE = re.compile(
    r"^(?:\s{0,12}(?:def|class|import|from \S+ import|return|elif|else:|while .*:$|try:|except|assert|raise|lambda|#include|public|private|const"
    r"|let|var|function|"
    r"SELECT|INSERT|UPDATE|print\()\b.*|\s*(?:>>>|\.\.\.|\$ |\||@\w).*|.*[{}]\s*|\s*[^\s;]{1,30};\s*|.*[()=\[\]].*;\s*|\s*(?:for|if|while"
    r"|with)\b.*:\s*|\s*[\w.\[\]'\"]+ ?(?:=|\+=|-=|==|->|:=) ?.*|.*\w\(.*\)\s*:?\s*|\s*#(?!#* ).*)$"
)
_LETTER = re.compile(r"[^\W\d_]")
_DENSE = re.compile("[\u0900-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Scripts where one sign says more than a Latin letter, or where marks that are no letters carry the vowels."""


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ENGLISH = _words_of(
    "the and of to that with for this are from which by it be as not his her they have has their you your she he but were when what how there would "
    "can if then each many does did much than more these those been will its who or we all one two"
)


_FOREIGN = _words_of(
    "der das und ist nicht mit ein eine auf sich auch werden les des est dans que qui une pour los las del por para con como una della che non sono "
    "gli não uma het een van niet zijn voor och att det som inte ikke jest się nie jako и не что на"
)
"""Function words of German, French, Spanish, Italian, Portuguese, Dutch, Scandinavian, Polish and Russian that are no English words."""
_STOP = re.compile(r"(?<=[.!?…])\s+")


class Language(Operator):
    """The prose is in the languages of `keep`: most of it, and every longer paragraph.

    One foreign paragraph in ten is a slip of the teacher that a verdict on the whole text does not see, so both are judged. In an English paragraph
    with function words of another European language the sentences are judged one by one; other foreign sentences amid English are not seen.
    Texts with fewer than `min_letters` letters of prose are kept: no detector is right on them. The score is the share of prose in the wanted
    languages.
    """

    version: ClassVar[int] = 2
    keeps: ClassVar = (
        "The water in the lake is cold because the sun has not warmed it yet.",
        "```python\nfür = [zahl for zahl in reihe if zahl]\n```\nThe list keeps the numbers that are not zero.",
        "x = 3\ny = x**2 + 1",
    )
    drops: ClassVar = (
        "Das Wasser im See ist kalt, weil die Sonne es noch nicht erwärmt hat.",
        "湖里的水很冷，因为太阳还没有把它晒暖。所有的孩子都在岸边等待着夏天的到来。",
        "The lake is cold and the children wait for the summer. They play with the ball until it is dark.\n\n"
        "Los niños esperan el verano en la orilla del lago, porque el agua todavía está muy fría. Cuando llegue el verano, todos podrán nadar hasta"
        " la isla.",
        "The lake is cold and the children wait for the summer. Das Wasser ist kalt, weil die Sonne es noch nicht erwärmt hat. They play with the"
        " ball until it is dark. Dann gehen sie nach Hause und schlafen bis zum Morgen.",
    )

    keep: tuple[str, ...] = ("en",)
    """ISO 639-1 codes."""
    at_least: float = Field(default=0.8, ge=0, le=1)
    """Share of the prose, in letters."""
    quote: int = Field(default=100, ge=0)
    """Letters of foreign prose that one paragraph may hold: a motto, a title, an example sentence."""
    min_letters: int = Field(default=40, ge=1)

    @field_validator("keep", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("keep")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [code for code in value if code not in _CODES]
        if unknown or not value:
            raise ValueError(
                f"unknown language {', '.join(map(repr, unknown)) or 'list (empty)'}; ISO 639-1 codes that can be told: {' '.join(sorted(_CODES))}"
            )
        return value

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        blocks = list(self._blocks(self.text(fields)))
        strange = [(_weight(prose), prose) for _, prose in blocks if prose and not self._wanted(prose)]
        if not strange:
            return Finding(True, score=1.0)
        total = sum(_weight(prose) if prose else len(block) for block, prose in blocks)
        worst, evidence = max(strange, key=lambda each: each[0])
        score = 1 - sum(weight for weight, _ in strange) / total
        if score < self.at_least:
            return Finding(False, "foreign_text", score, f"{_detect(_sample(evidence))}: {evidence.strip()}")
        if worst > self.quote:
            return Finding(False, "foreign_paragraph", score, f"{_detect(_sample(evidence))}: {evidence.strip()}")
        return Finding(True, score=score)

    def _blocks(self, text: str) -> Iterator[tuple[str, str]]:
        """Paragraphs as (raw, prose): prose is '' where function words already say that it is English, thirty times as fast as
        the model. What is too short to judge is gathered into one."""
        rest: list[str] = []
        seen, english = features_of(_FENCED.sub("\n\n", text) if "```" in text or "~~~" in text else text), "en" in self.keep
        mixed = _FOREIGN & seen.distinct
        for block, words in zip(seen.paragraphs, seen.paragraph_words, strict=True):
            if english and _english(block, words):
                yield from self._sentences(block) if len(mixed) > 1 and not mixed.isdisjoint(words) else ((block, ""),)
                continue
            plain = _NOT_PROSE.sub(" ", block) if _SIGNS.search(block) else block
            prose = "\n".join(line for line in plain.split("\n") if line and (len(line) > 400 or not _CODE_LINE.match(line)) and _is_prose(line))
            if len(prose) * 3 >= self.min_letters and _weight(prose) >= self.min_letters:
                yield block, prose
            elif prose:
                rest.append(prose)
        gathered = "\n".join(rest)
        if gathered and _weight(gathered) >= self.min_letters:
            yield gathered, gathered

    def _sentences(self, block: str) -> Iterator[tuple[str, str]]:
        """An English paragraph, and what it holds of foreign sentences of `min_letters` or more."""
        sentences = _STOP.split(_NOT_PROSE.sub(" ", block) if _SIGNS.search(block) else block)
        strange = [each for each in sentences if _weight(each) >= self.min_letters and not _FOREIGN.isdisjoint(each.lower().split())]
        foreign = " ".join(each for each in strange if not self._wanted(each))
        yield (block[: len(block) - len(foreign)], "") if foreign else (block, "")
        if foreign:
            yield foreign, foreign

    def _wanted(self, prose: str) -> bool:
        if "en" in self.keep and _english(prose, prose.lower().split()):
            return True
        if _detect(_sample(prose)) in self.keep:
            return True
        scores = _scores(_sample(prose))
        return max(scores.values()) - max(scores[code] for code in self.keep) < _MARGIN * len(_sample(prose))


def _sample(block: str) -> str:
    """600 characters: both ends, since a paragraph may begin in one language and go on in another."""
    return block if len(block) <= 600 else f"{block[:300]}\n{block[-300:]}"


def _english(block: str, words: Sequence[str]) -> bool:
    """Whether 15 % of the words, in lower case, are English function words, at least three different ones in a longer text."""
    if len(block) > 600:
        block = _sample(block)
        words = block.lower().split()
    known = [word for word in words if word in _ENGLISH]
    if len(known) < 0.15 * len(words) or len(set(known)) < min(3, 1 + len(words) // 8):
        return False
    return bool(known) and (block.isascii() or len(known) * 25 > len(_DENSE.findall(block)))


_NO_LETTERS = bytes(sign for sign in range(128) if not chr(sign).isalpha())


def _weight(block: str) -> int:
    if block.isascii():
        return len(block.encode().translate(None, _NO_LETTERS))
    return len(_LETTER.findall(block)) + 2 * len(_DENSE.findall(block))


_SIGN_OR_DIGIT = re.compile(r"[0-9=+*/^<>|\[\]{}%$]")


def _is_prose(line: str) -> bool:
    """Mostly letters, and words longer than the one or two letters of formulas; combining marks of Indic scripts count as letters."""
    signs = line.replace(" ", "")
    digits = len(_SIGN_OR_DIGIT.findall(signs)) if signs.isascii() else sum(sign.isdigit() or sign in "=+*/^<>|[]{}%$" for sign in signs)
    return digits * 5 < len(signs)


def _detect(text: str) -> str:
    """The likeliest language."""
    from py3langid import classify  # type: ignore[import-untyped,unused-ignore]

    return str(classify(text.encode("utf-8", "replace").decode("utf-8"))[0])


def _scores(text: str) -> dict[str, float]:
    """Language -> log-likelihood in nats; the model is loaded once a process (0.7 s)."""
    from py3langid import rank  # type: ignore[import-untyped,unused-ignore]

    return dict(rank(text.encode("utf-8", "replace").decode("utf-8")))


_MARGIN = 0.35
"""Nats a character by which another language must be likelier. Lists of names and of chemical terms stay below it (95 % of 272 English
blocks without function words), foreign prose lies above (99 % of 6,482 UDHR paragraphs; the rest is Bislama, an English creole)."""
_CODES = _words_of(
    "af am an ar as az be bg bn br bs ca cs cy da de dz el en eo es et eu fa fi fo fr ga gl gu he hi hr ht hu hy id is it ja jv ka kk km kn ko ku"
    " ky la lb lo lt lv "
    "mg mk ml mn mr ms mt ne nl nn no oc or pa pl ps pt qu ro ru rw se si sk sl sq sr sv sw ta te th tl tr ug uk ur vi vo wa xh zh zu"
)
"""What py3langid's model can tell."""
