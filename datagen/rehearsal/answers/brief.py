"""What a prompt wants written: topic, audience, style, persona and source, found by their labels in the text."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

from datagen.seeds.problems.wording import words

_LABEL = r"^[ \t>*#\-]*(?:the )?(?:{names})\b[^:\n]{{0,24}}:[*_ \t]*(\S[^\n]*)$"
_ABOUT = re.compile(
    r"\b(?:about|on the topic of|on the subject of|titled|called|explains?|explaining|introduces?|introducing|covering|"
    r"lesson on|chapter on|section on|text on)\s+"
    r"(?:the (?:topic|subject|concept|idea) (?:of )?)?[\"'“‘«*_]*([^\n.,;:!?\"”’»*_]{3,80})", re.IGNORECASE
)  # fmt: skip
_SOURCE = re.compile(
    r"^[ \t>*#]*(?:the )?(?:source|passage|document|excerpt|context|reading|material|text)\b[^:\n]{0,40}:[*_ \t]*\n?(.+)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_TAGGED = re.compile(r"<(source|passage|document|excerpt|context|text)>\s*(.+?)\s*</\1>", re.IGNORECASE | re.DOTALL)
_PROPER = frozenset(
    words(
        "Bayes Euler Newton Python Pythagoras Pythagorean Fibonacci Euclid Fermat Gauss English French German Roman Greek Latin "
        "Java Rust Darwin Boolean Markov Fourier Cartesian"
    )
)
_STOP = frozenset(
    words(
        "about above after again against also although among because been before being below between both could does doing down during "
        "each either every from further have having here into itself just like many more most much must never only other others over "
        "same should since some still such than that their them then there these they this those through under until very were what "
        "when where which while will with within without would your shall might often being called using used make makes made even "
        "well first second three another however example figure chapter section"
    )
)
_KINDS = {
    "child": ("child", "kid", "primary", "elementary", "young", "grade 1", "grade 2", "grade 3", "grade 4", "grade 5", "year-old", "pupil"),
    "engineer": ("engineer", "professional", "developer", "expert", "practitioner", "scientist", "analyst", "technician", "researcher", "programmer"),
    "adult": ("adult", "parent", "citizen", "manager", "general", "layperson", "curious", "hobby", "retired", "everyone"),
}
_PLAIN = re.compile(r"(?=.{50,200}$)(?:The|A|An|In|When|If|Because|Each|Most|Many|Some|All|For|On|At|As)\b.*\.$")
_DEFINITION = re.compile(r"^((?:A|An|The) )?([a-zA-Z][\w' -]{2,40}?) (is|are) ((?:a|an|the|any|one|all|those) [^.;:]{12,160})\.$")


@dataclass(frozen=True)
class Brief:
    """What to write about, for whom, and how."""

    topic: str
    audience: str = ""
    style: str = ""
    persona: str = ""
    title: str = ""
    """Of the section, where the prompt names one apart from the topic."""
    passage: str = ""

    @classmethod
    def of(cls, prompt: str) -> Brief:
        """Read off a prompt; a prompt without any label is about its longest plain words."""
        passage = _passage(prompt)
        rest = prompt.replace(passage, " ") if passage else prompt
        title = _labelled(rest, "section|chapter|title|heading|lesson")
        title = title.partition(". ")[0]
        topic = _labelled(rest, "topic|subject|theme|concept|field|skill") or title or _about(rest) or _fallback(passage or rest)
        return cls(
            topic,
            _labelled(rest, "audience|reader|readers|readership|level|for"),
            _labelled(rest, "style|form|format|genre|kind|tone"),
            _labelled(rest, "persona|voice|author|teacher|writer"),
            title,
            passage,
        )

    @property
    def tone(self) -> str:
        """Which of the four tones suits the audience."""
        said = self.audience.lower()
        return next((tone for tone, marks in _KINDS.items() if any(mark in said for mark in marks)), "student")

    @property
    def topic_within(self) -> str:
        """The topic as it stands inside a sentence."""
        first, _, rest = self.topic.partition(" ")
        plain = first[:1].isupper() and first[1:].islower() and first not in _PROPER and "'" not in first and rest == rest.lower()
        return self.topic[:1].lower() + self.topic[1:] if plain else self.topic


def _labelled(text: str, names: str) -> str:
    found = _label_pattern(names).search(text)
    return _clean(found.group(1)) if found else ""


@cache
def _label_pattern(names: str) -> re.Pattern[str]:
    return re.compile(_LABEL.format(names=names), re.IGNORECASE | re.MULTILINE)


def _clean(text: str) -> str:
    return text.strip(" *_\"'“”‘’«».;")[:90].strip()


def _about(text: str) -> str:
    found = _ABOUT.search(text)
    return _clean(re.split(r"\b(?:for|in the style|to a|to an|written|that|which|using|with)\b", found.group(1))[0]) if found else ""


def _fallback(text: str) -> str:
    found = [word for word in re.findall(r"[A-Za-z]{5,}", text) if word.lower() not in _STOP]
    return " and ".join(word.lower() for word, _ in Counter(found).most_common(2)) or "careful reasoning"


def _passage(prompt: str) -> str:
    tagged = _TAGGED.search(prompt)
    if tagged:
        return tagged.group(2)
    found = _SOURCE.search(prompt)
    text = found.group(1).strip() if found else ""
    return text if len(text.split()) >= 30 else ""


@dataclass(frozen=True)
class Gist:
    """The key terms and statements of a passage."""

    terms: tuple[str, ...] = ()
    definitions: tuple[tuple[str, str, str], ...] = ()
    """(term, is | are, meaning)."""
    facts: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, passage: str) -> Gist:
        """Frequent words, sentences of the form `X is a Y`, and other plain sentences of middling length."""
        found = [word.lower() for word in re.findall(r"[A-Za-z][a-z]{4,}", passage)]
        counts = Counter(word for word in found if word not in _STOP)
        sentences = [" ".join(sentence.split()) for sentence in re.split(r"(?<=[.!?])\s+", passage)]
        definitions = [match for sentence in sentences if (match := _DEFINITION.match(sentence))]
        plain = [sentence for sentence in sentences if _PLAIN.match(sentence)]
        defined = {match.group(0) for match in definitions}
        return cls(
            tuple(word for word, count in counts.most_common(5) if count > 1),
            tuple(((match.group(1) or "").lower() + match.group(2), match.group(3), match.group(4)) for match in definitions[:3]),
            tuple(sentence for sentence in plain if sentence not in defined)[:6],
        )
