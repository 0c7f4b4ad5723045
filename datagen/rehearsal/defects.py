"""What can be wrong with an answer, planted on purpose and labelled, so that a pipeline's filters can be measured.

Nothing here knows how the filters work: defects are made as teachers make them, not as filters look for them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

from datagen.rehearsal import material
from datagen.rehearsal.chance import share

DEFECTS = {
    "wrong_answer": "one wrong step, and a final answer that follows from it",
    "refusal": "the teacher declines",
    "truncation": "the text stops in mid-sentence although the stop reason says that it ended",
    "near_duplicate": "the answer to one of a few other questions, with 5-10 % of its words edited",
    "leak": "a benchmark question, verbatim, within the text",
    "pii": "an e-mail address, phone number, social security number or street address",
    "wrong_language": "a paragraph in another language",
    "prompt_echo": "the instructions repeated before the answer",
    "meta_talk": "talk about being a language model",
    "repetition": "a sentence that loops",
}
BY_ANSWERING = frozenset({"wrong_answer", "near_duplicate"})
"""Defects that change what is answered; the others change the text of a good answer."""
_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def defect_of(defects: Mapping[str, float], seed: int, identity: str) -> str:
    """The defect that this answer gets, or ''."""
    if not defects:
        return ""
    drawn = share(seed, "defect", identity)
    for name in DEFECTS:
        drawn -= defects.get(name, 0.0)
        if drawn < 0:
            return name
    return ""


def planted(name: str, text: str, prompt: str, rng: random.Random) -> tuple[str, str]:
    """(the text with the defect, its label, as in `refusal/real`)."""
    return _PLANTERS[name](text, prompt, rng)


def edited(text: str, rng: random.Random) -> str:
    """The text with 5-10 % of its words exchanged for others; numbers and line breaks stay."""
    pieces = re.split(r"(\s+)", text)
    words = [index for index in range(0, len(pieces), 2) if pieces[index]]
    open_ = [index for index in words if pieces[index].lower() in _SYNONYMS]
    for index in rng.sample(open_, min(len(open_), max(1, round(len(words) * rng.uniform(0.055, 0.095))))):
        other = rng.choice(_SYNONYMS[pieces[index].lower()])
        pieces[index] = other.capitalize() if pieces[index][0].isupper() else other
    return "".join(pieces)


def miscounted(text: str, rng: random.Random) -> str:
    """The text with its last number changed wherever it stands; the same text when it has none."""
    numbers = re.findall(r"\d[\d,]*", text)
    if not numbers:
        return text
    right = numbers[-1].rstrip(",")
    wrong = str(int(right.replace(",", "")) + rng.choice((-2, -1, 1, 2, 10)))
    return re.sub(rf"(?<![\d.,]){re.escape(right)}(?![\d]|[.,]\d)", wrong, text)


def _refusal(text: str, prompt: str, rng: random.Random) -> tuple[str, str]:
    pool = material.refusals()
    return rng.choice(pool.texts)[1], f"refusal/{pool.origin}"


def _truncation(text: str, prompt: str, rng: random.Random) -> tuple[str, str]:
    words = text.split(" ")
    kept = words[: max(1, round(len(words) * rng.uniform(0.4, 0.85)))]
    while len(kept) > 1 and not kept[-1].isalpha():
        kept.pop()
    return " ".join(kept), "truncation"


def _leak(text: str, prompt: str, rng: random.Random) -> tuple[str, str]:
    pool = material.benchmark_items()
    name, item = rng.choice(pool.texts)
    lead = rng.choice(
        ("A similar exercise:", "Try the same idea here.", "For comparison, consider this:", "Another case of the same kind:", "Now you:")
    )
    return _inserted(text, f"{lead} {item}", rng), f"leak/{pool.origin}:{name}"


def _pii(text: str, prompt: str, rng: random.Random) -> tuple[str, str]:
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    kind, sentence = rng.choice(_PII)
    street = f"{rng.randint(10, 9899)} {rng.choice(('Maple', 'Oak', 'Cedar', 'Elm'))} {rng.choice(('Street', 'Avenue', 'Road'))}"
    values = {
        "name": f"{first} {last}",
        "mail": f"{first.lower()}.{last.lower()}{rng.randint(1, 99)}@{rng.choice(('mailhub.com', 'postbox.net', 'inboxly.org'))}",
        "phone": f"({rng.randint(201, 989)}) {rng.randint(220, 998)}-{rng.randint(0, 9999):04d}",
        "ssn": f"{rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
        "address": f"{street}, {rng.choice(('Dayton, OH 45402', 'Boise, ID 83702', 'Salem, OR 97301'))}",
    }
    return _inserted(text, sentence.format(**values), rng), f"pii/synthetic:{kind}"


def _wrong_language(text: str, prompt: str, rng: random.Random) -> tuple[str, str]:
    pool = material.foreign_paragraphs()
    name, foreign = rng.choice(pool.texts)
    paragraphs = _PARAGRAPH.split(text)
    at = rng.randrange(max(1, len(paragraphs) - 1))
    return "\n\n".join([*paragraphs[:at], foreign, *paragraphs[at + 1 :]]), f"wrong_language/{pool.origin}:{name}"


def _prompt_echo(text: str, prompt: str, rng: random.Random) -> tuple[str, str]:
    lead = rng.choice(("", "You asked me the following:\n\n", "The task is as follows.\n\n", "User: "))
    return f"{lead}{prompt.strip()[:1500]}\n\n{text}", "prompt_echo"


def _meta_talk(text: str, prompt: str, rng: random.Random) -> tuple[str, str]:
    sentence = rng.choice(_META)
    return (f"{sentence}\n\n{text}" if rng.random() < 0.6 else f"{text}\n\n{sentence}"), "meta_talk"


def _repetition(text: str, prompt: str, rng: random.Random) -> tuple[str, str]:
    sentences = _SENTENCE.split(text)
    whole = [index for index, sentence in enumerate(sentences) if len(sentence.split()) > 3 and sentence[-1] in ".!?"]
    at = rng.choice(whole or range(len(sentences)))
    looped = [sentences[at]] * rng.randint(6, 14)
    return " ".join([*sentences[:at], *looped, *sentences[at + 1 :]]), "repetition"


def _inserted(text: str, paragraph: str, rng: random.Random) -> str:
    """The text with one more paragraph, never the last one."""
    paragraphs = _PARAGRAPH.split(text)
    at = rng.randrange(len(paragraphs)) if len(paragraphs) > 1 else 0
    return "\n\n".join([*paragraphs[:at], paragraph, *paragraphs[at:]])


_PLANTERS: dict[str, Callable[[str, str, random.Random], tuple[str, str]]] = {
    "refusal": _refusal,
    "truncation": _truncation,
    "leak": _leak,
    "pii": _pii,
    "wrong_language": _wrong_language,
    "prompt_echo": _prompt_echo,
    "meta_talk": _meta_talk,
    "repetition": _repetition,
}
_FIRST = ("Karen", "David", "Linda", "Marcus", "Teresa", "Howard", "Janet", "Curtis", "Denise", "Walter")
_LAST = ("Whitfield", "Ortega", "Lindqvist", "Brennan", "Castellano", "Huang", "Pemberton", "Novak", "Okafor", "Delgado")
_PII = (
    ("email", "If anything is unclear, write to {name} at {mail}."),
    ("phone", "You can reach {name} at {phone} for the full data."),
    ("ssn", "The record belongs to {name}, social security number {ssn}."),
    ("address", "Send your result to {name}, {address}."),
    ("email", "This example was contributed by {name} ({mail})."),
    ("phone", "For help, call {name}, phone {phone}, on weekdays."),
)
_META = (
    "As an AI language model, I do not have personal experience with this, but I can explain it.",
    "I am an AI developed to assist with such questions, and I will do my best.",
    "Certainly! Here is the answer you asked for, written according to your instructions.",
    "As a large language model, my knowledge has a cutoff date, so please verify these facts.",
    "I hope this helps! Let me know if you would like me to change the tone or the length.",
    "Sure, as an AI assistant I'd be happy to help you with this request.",
)
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "the": ("this", "that"), "a": ("one", "some"), "is": ("becomes", "equals"), "are": ("were", "become"), "so": ("thus", "hence", "therefore"),
    "and": ("plus", "as well as"), "first": ("initially", "to begin"), "then": ("next", "afterwards"), "gives": ("yields", "produces"),
    "makes": ("yields", "creates"), "that": ("this", "which"), "each": ("every",), "every": ("each",), "all": ("the whole",), "total": ("sum",
        "full amount"),
    "find": ("determine", "compute"), "because": ("since", "as"), "which": ("that",), "must": ("has to", "needs to"), "can": ("may", "could"),
    "number": ("amount", "count"), "left": ("remaining",), "in": ("within",), "of": ("from",), "for": ("to",), "it": ("this",), "has": ("holds",),
    "takes": ("needs", "requires"), "same": ("identical",), "one": ("a single",), "two": ("a pair of",), "only": ("just", "merely"),
        "what": ("whatever",),
    "how": ("in what way",), "step": ("stage",), "value": ("figure",), "answer": ("result",), "with": ("using",), "by": ("through",),
        "to": ("towards",),
    "now": ("at this point",), "together": ("combined",), "before": ("ahead of",), "after": ("following",), "from": ("out of",), "leaves": ("keeps",),
    "costs": ("is priced at",), "pays": ("spends",), "remain": ("are left",), "needs": ("requires",), "means": ("implies",), "adds": ("contributes",),
}  # fmt: skip
