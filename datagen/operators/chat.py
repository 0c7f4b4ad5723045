"""What a chat model says about itself: refusals, small talk around the work, and echoes of its instructions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator, place_of


def _any(*parts: str) -> re.Pattern[str]:
    """One pattern of several, for text in lower case: four times as fast as IGNORECASE."""
    return re.compile(re.sub(r"\\.|[A-Z]", lambda found: found.group() if len(found.group()) > 1 else found.group().lower(), "|".join(parts)))


def _holds(text: str, words: tuple[str, ...]) -> bool:
    return any(map(text.__contains__, words))


_CANNOT = (
    r"\bI(?:(?: am|['’]m)(?: simply| really)? (?:not able|unable|not (?:allowed|permitted|going|comfortable)|hesitant)|"
    r" (?:simply |really |just )?(?:can ?not|can['’]t|could(?: not|n['’]t)|will not|won['’]t|would(?: not|n['’]t)|may not|shall not)|"
    r" (?:must|have to|need to|would have to|will have to) (?:\w+ly )?(?:decline|refuse)| (?:decline|refuse) to)"
)
_SERVE = (
    r"(?: (?:in good conscience|be able to|ethically|directly|to|with|currently|\w+ly))*,? "
    r"(?:provid|help (?:you\b|with\b|anyone)|help\.|assist|fulfil|answer|suggest|encourag|recommend|offer|giv(?:e|ing) (?:you|advice|instruct|info"
    r"|out|medical|legal|financ|any|a )|"
    r"generat|creat|writ(?:e|ing) (?:a|an|any|that|this|such|content|about)\b|comply|complet|engag|discuss|shar(?:e|ing)|condon|promot|support|"
    r"advis|respond|participat|produce|verify|access|browse|search|open|view|display|see (?:the|any|your|an) (?:image|photo|picture|file|attach)|"
    r"make (?:\w+ )?(?:assumption|statement|judg|generaliz)|do (?:that|this|so)\b|tell you|speculat|predict|disclose|continue|process)"
)
_REFUSES = _any(
    _CANNOT + _SERVE,
    _CANNOT + r"\.",
    r"\bI(?:['’]m| am) (?:just|only|merely) an AI\b",
    r"\bas an? (?:AI|artificial intelligence|language model|responsible AI)\b[^.]{0,60}\bI (?:can|do|am|don|must|have no|lack|['’])",
    r"\bI(?: do not|['’]t| don['’]t| lack) (?:currently )?(?:have )?(?:direct |real-?time |the )?(?:access to|capability to|ability to)\b",
    r"\bI (?:do not|don['’]t) (?:have|hold|possess) (?:personal|any personal|political|opinions|feelings|information (?:about|on) (?:your|specific))",
    r"\bI (?:do not|don['’]t) (?:think|believe) (?:it['’]s|it is|that it is|it would be|that['’]s) (?:\w+ly )?"
    r"(?:appropriate|accurate|fair|respectful|ethical|right|okay|ok|acceptable|productive|necessary|helpful)",
    r"\bI (?:\w+ly )?(?:do not|don['’]t) (?:support|condone|endorse|encourage|believe in|agree with|promote)\b",
    r"\bI (?:must|have to|need to|would like to|want to|should) (?:also )?(?:\w+ly )?(?:point out|challenge|advise (?:you )?against|clarify that"
    r"|inform you|"
    r"emphasi[sz]e that|disagree|address (?:the|your) (?:question|request|immediate|safety|assumption|underlying)|caution|remind you"
    r"|express (?:my )?concern|question|correct)",
    r"\bI (?:strongly |firmly |highly )(?:disagree|discourage)|\bI (?:strongly |firmly |highly )?(?:condemn|advise (?:you )?against)\b",
    r"\b(?:against|within|violates?) (?:my|its|the) (?:programming|ethical|guidelines|policy|policies|principles|content|use case|terms)",
    r"\b(?:it|that|this) (?:is|would be|['’]s|is generally|isn['’]t) ?(?:\w+ly )?(?:not|never|in)?-? ?(?:appropriate|ethical|acceptable|okay|ok"
    r"|respectful|inappropriate|unethical|accurate or appropriate|accurate or respectful|accurate or fair) "
    r"(?:(?:or|and|nor) \w+ )?(?:to|for me|behaviou?r)\b",
    r"\b(?:goes|go) against (?:ethical|my|basic|our|the law|human)",
)
_SORRY = _any(
    r"^(?:(?:well|hi|hello|oh)\W+)?(?:I['’]m|I am)?(?: so| very| truly)? ?(?:sorry|apologi[sz]e|I apologi[sz]e|apologies"
    r"|unfortunately)\b[^.!?\n]{0,30}?(?:,? but|, (?:I|as|this|that|your)\b|\. (?:I|however|as|this)\b)"
)
_LECTURES = _any(
    r"\bharmful (?:and|or) (?:illegal|unethical|discriminat\w+|offensive|inaccurate|dangerous|violent|inappropriate|hurtful)|\b(?:illegal|unethical"
    r"|dangerous|violent|inappropriate) (?:and|or) (?:\w+ )?(?:harmful|unethical|immoral|dangerous|illegal)",
    r"\b(?:is|are|was|were) (?:never|not) (?:\"?right\"? to|inherently|acceptable|justified|morally justified|the answer|okay|a good thing|ethical"
    r"|appropriate|a solution|based on (?:any )?(?:fact|scien))",
    r"\b(?:question|phrase|term|assumption|premise)\b[^.]{0,40}\b(?:harmful|problematic|may not be|might not be|could be interpreted"
    r"|can be interpreted|not factual|offensive|inappropriate|stereotyp|does not make sense)",
    r"\b(?:invasion|violat\w+) of (?:\w+ )?(?:privacy|rights)|\brespect (?:\w+['’]?s? )?(?:the |your |their |other |people's |an? )?(?:\w+ )?privacy",
    r"\bwithout (?:their|his|her|proper|the owner['’]s|your) (?:explicit )?(?:consent|permission|authori[sz]ation)",
    r"\b(?:crisis|suicide prevention) (?:hotline|lifeline|helpline|line)|\b(?:seek|get|reach out|speak)\b[^.]{0,40}\b(?:professional help"
    r"|mental health professional|help immediately|support from)",
    r"\b(?:should(?: not|n['’]t)|should never) be (?:discriminated|denied|treated as|subjected|excluded|used to harm|kicked|forced)",
    r"\bno (?:inherent |valid |good |legitimate |justifiable |specific |evidence-based )?(?:reason|justification"
    r"|evidence to suggest)\b[^.]{0,12}\b(?:why|for|that|to)\b",
    r"\b(?:is|are) (?:not only )?(?:\w+ )?(?:illegal|a (?:\w+ )?crime|widely condemned|against the law)\b|\bnot (?:a|an) (?:\w+ or )?(?:healthy"
    r"|appropriate|effective or appropriate|good idea)",
    r"^\W*(?:(?:first|of course)[^.]{0,12}, )?it(?:['’]s| is) (?:important|crucial|essential) to (?:note|remember|understand|recogni[sz]e)",
    r"\bregardless of (?:their|one['’]s|your|his|her) (?:race|gender|sex|religio|ethnic|disabilit|age|background|nationality|species|sexual|beliefs)",
    r"\bimportant to (?:respect|treat|recogni[sz]e that (?:all|every|each|discriminat)|remember that (?:all|every|each|violence|discriminat)"
    r"|address the underlying|avoid (?:mak|perpetuat|generali|stereotyp|assum)|approach)",
    r"\b(?:discriminat\w+|stereotyp\w+|violen(?:ce|t)|illegal|unethical|criminal)\b[^.]{0,60}\b(?:is|are) (?:wrong|illegal|harmful|unacceptable"
    r"|never|not|a (?:serious )?(?:crime|criminal))",
)
_TURN = _any(
    r"^There is no (?:inherent |valid |good )?(?:reason|justification)\b",
    r"^\W*(?:(?:first|of course)[^.]{0,12}, )?it(?:['’]s| is) (?:important|crucial|essential|not|never)\b",
    r"\b(?:is|was|were) not\b",
    r"\bquestion\b",
)
_ASSISTANT = _any(
    r"\bI['’]m (?:happy|here|glad) (?:to|you)",
    r"\bI understand (?:that )?(?:you|this question)",
    r"\bInstead, I (?:suggest|recommend|would|can)",
    r"\bIs there (?:something|anything) else",
)
_CAVEATS = _any(
    r"\b(?:question|premise)\b[^.]{0,30}\b(?:may not be|might not be|is not|isn['’]t|does not|do not|faulty|false)\b[^.]{0,20}(?:meaningful|coheren"
    r"|make sense|based on)|\bfaulty premise|\bassumptions? (?:in|that)[^.]{0,30}not make sense",
    r"\bbut I can\b(?!['’ ]?(?:t|not)\b)",
)
_MARKS = ('"', "“", "”", "'")
_REFUSING = (
    "against ", "within ", "violate", "appropriate ", "ethical ", "acceptable ", "ok ", "okay ", "respectful ", "accurate ",
)  # fmt: skip
_I = re.compile(r"\bi[ '’]")
_SORROW = ("sorry", "apolog", "unfortunately")
_SERVING = ("i'm ", "i’m ", "i understand", "instead, i ", "is there ")
_TURNING = (" not", "question", "there is no", "it's ", "it’s ", "it is ")
"""Without one of these words the pattern beside them cannot match; to look for them is four times as fast as the pattern."""
_DIALOGUE = re.compile(r"[\"“][^\"“”\n]{1,400}[\"”]|(?:^|\n)\s*[\"“][^\n]*|(?:^|(?<=\s))'[^'\n]{3,300}[,.!?]'")


class Refusal(Operator):
    """An answer that declines, or lectures instead of answering.

    A refusal shows in the opening, so only that is read; what stands in quotation marks is speech of a story and is passed over.
    One sentence of refusing counts 1, an apology or a turn of the helpful assistant 0.5, moral lecture 0.4 a phrase; the sum is the score.
    """

    version: ClassVar[int] = 1
    keeps: ClassVar = (
        '"I can\'t help you," said the fox, and she ran into the wood.',
        "To kill a Python process, find its id with ps and run kill with that id.",
        "Some questions cannot be answered from the data alone.",
    )
    drops: ClassVar = (
        "I'm sorry, but I can't help with that request.",
        "I cannot provide instructions on how to kill a Python process.",
        "As an AI language model, I do not have personal opinions.",
    )

    opening: int = Field(default=450, ge=50)
    """Characters from the start that are read."""
    at_least: float = Field(default=0.8, gt=0)
    """Score from which a row is dropped."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        head = self.text(fields)[: self.opening].strip()
        head = (_DIALOGUE.sub(" ", head).strip() if any(mark in head for mark in _MARKS) else head).lower()
        refused = [found.group() for found in _REFUSES.finditer(head)] if _refuses(head) else []
        turns = _SORRY.match(head) if _holds(head, _SORROW) else None, _ASSISTANT.search(head) if _holds(head, _SERVING) else None
        sorry = [found.group() for found in turns if found]
        if not (refused or sorry or (_holds(head, _TURNING) and _TURN.search(head))):
            return Finding(True, score=0.0)
        lectures = {found.group() for found in _LECTURES.finditer(head)}
        score = 1.0 * len(refused) + 0.5 * len(sorry) + 0.4 * len(lectures) - 0.9 * bool(_CAVEATS.search(head))
        if score < self.at_least:
            return Finding(True, score=score)
        said = [*refused, *sorry, *sorted(lectures)]
        return Finding(False, "refusal", score, " | ".join(said), span=place_of(self.text(fields), said[0]) if said else None)


def _refuses(head: str) -> bool:
    return _holds(head, _REFUSING) or (_holds(head, ("i ", "i'", "i’")) and bool(_I.search(head)))


_SELF = _any(
    r"\bas an? (?:AI|artificial intelligence)\b(?: (?:language )?model| assistant| chatbot| developed by \w+)?,? (?:I|my)\b",
    r"\bas a (?:large )?language model\b,? (?:I|my)\b",
    r"\bI(?:['’]m| am) (?:just |only |merely )?an? (?:AI|artificial intelligence|(?:large )?language model)\b",
    r"\bmy (?:training data|knowledge cut-?off|last (?:knowledge )?update)\b",
)
_SELF_HINTS = (" an ai", " a ai", "artificial intelligence", "language model", "my training data", "my knowledge", "my last ")
_OPENERS = re.compile(
    r"\W*(?:(?:certainly|absolutely|of course|sure(?: thing)?|great question|good question|happy to help|no problem|okay|ok|alright)\b(?=[!,.:])"
    r"(?:[!,.: ]+(?:(?:here|below)(?:['’]s| is| are)|I['’]?(?:d| would|ll| can|m| am)|let['’]?s?\b|this is|the following|please)|!)|"
    r"(?:here|below) (?:is|are) (?:a|an|the|your|my|some|one|three|five|\d+)\b[^\n.]{0,120}"
    r"\b(?:you (?:requested|asked|wanted|need)|as requested|for you|based on (?:the|your)|(?:chapter|section|lesson|explanation|passage|story|essay"
    r"|article|text|"
    r"solution|textbook|rewritten|revised|response|answer|draft|version|exercise|problem|dialogue)s?\b[^\n.]{0,80}:\s*$)|"
    r"here['’]s (?:a|an|the|your|my|one|how I)\b[^\n]{0,150}:\s*$|"
    r"I(?:['’]d| would|['’]ll| will) be (?:happy|glad|delighted) to\b|"
    r"(?:thank you|thanks) for (?:your|the|asking|sharing|providing)\b)",
    re.MULTILINE | re.IGNORECASE,
)
_CLOSERS = _any(
    r"\bI hope (?:this|that|these|it) (?:\w+ )?(?:helps?|clarif|answers?|makes? sense|explanation|meets?|is (?:helpful|useful|what you))",
    r"\b(?:please )?(?:feel free to|don['’]t hesitate to) (?:ask|reach out|let me know|contact me)\b",
    r"\blet me know (?:if|whether|how|what) (?:you|there|this|I|any)\b",
    r"\bif you (?:have|['’]ve got) any (?:other |more |further |additional )?(?:questions|concerns|requests)\b",
    r"\b(?:would you like|do you want) me to\b|\bis there anything else (?:I|you)\b|\bhappy (?:learning|studying|coding)!\s*$",
)
_CLOSER_HINTS = (
    "hope",
    "feel free",
    "hesitate to",
    "let me know",
    "if you have",
    "if you'",
    "if you’",
    "would you like",
    "do you want",
    "anything else",
    "happy ",
)
_FRAMES = _any(
    r"\bin this (?:chapter|section|lesson|unit|module|tutorial|article|essay|passage|textbook),? (?:we|I|you)(?:['’]ll| will| are going to"
    r"|['’]re going to| shall) "
    r"(?:\w+ )?(?:explore|delve|dive|embark|discuss|learn|look|examine|cover|introduce|take|discover|see|study)",
    r"\b(?:let['’]s|let us) (?:dive|delve|embark|dig) (?:in|into|on|deeper)\b",
    r"^\W*welcome to (?:this|the|our|another|an? (?:exciting|fascinating|new))\b",
    r"\b(?:embark on|begin) (?:a|an|our|this) (?:\w+ )?(?:journey|adventure|exploration)\b",
)


class MetaTalk(Operator):
    """Talk about the conversation instead of the subject: the model about itself, chat openings, chat closings, announcements.

    Talk about itself counts anywhere; openings only in the first words of the text or of its last paragraph, closings only in the last 300 and
    the first 200 characters, and
    announcements ("In this chapter we will explore") only with `frames`, in the first 300: printed textbooks open that way too,
    but in synthetic ones they are all alike.
    """

    keeps: ClassVar = (
        "Here is the rule: the sum of the angles of a triangle is 180 degrees.",
        "Certainly the best-known theorem of geometry is that of Pythagoras.",
        "Artificial intelligence is a field of computer science.",
    )
    drops: ClassVar = (
        "Certainly! Here is a lesson on fractions.\n\nA fraction is a part of a whole.",
        "A fraction is a part of a whole.\n\nI hope this helps! Let me know if you have any questions.",
        "Plants need light. As an AI language model, I do not grow.",
        "In this chapter, we will explore fractions. A fraction is a part of a whole.",
    )

    chat: bool = True
    """Also drop chat openings and closings; false for conversations, where they belong."""
    frames: bool = True
    """Also drop what opens by announcing what it will say."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        text = self.features(fields).lower
        found = (
            ("model_about_itself", _SELF.search(text) if _holds(text, _SELF_HINTS) else None),
            ("chat_opening", _OPENERS.match(text[:300]) or _OPENERS.match(_last_paragraph(text)) if self.chat else None),
            ("chat_closing", _closing(text[-300:]) or _closing(text[:200]) if self.chat else None),
            ("announcement", _FRAMES.search(_plain_opening(text)) if self.frames else None),
        )
        hits = [(reason, match.group()) for reason, match in found if match]
        if not hits:
            return Finding(True, score=0.0)
        said, span = " | ".join(words.strip() for _, words in hits), place_of(self.text(fields), hits[0][1])
        return Finding(False, hits[0][0], float(len(hits)), said, span=span)


def _closing(part: str) -> re.Match[str] | None:
    return _CLOSERS.search(part) if _holds(part, _CLOSER_HINTS) else None


def _last_paragraph(text: str) -> str:
    """Its first 300 characters: some models say what they are about to do when they have done it."""
    return text[text.rfind("\n\n") + 2 :][:300] if "\n\n" in text else ""


def _plain_opening(text: str) -> str:
    """The first 300 characters below the headings."""
    lines = [line for line in text[:600].split("\n") if not line.startswith("#")]
    return "\n".join(lines).strip()[:300]


_ORDERS = _any(
    r"^\W*(?:you are|act as|imagine (?:that )?you are|assume the role of|pretend (?:that )?you are) (?:an?|the) (?:\w+[ -]){0,4}"
    r"(?:teacher|assistant|tutor|writer|author|expert|professor|editor|student|model|professional|specialist|instructor|generator|programmer"
    r"|engineer)\b",
    r"^\W*(?:please )?(?:write|generate|create|compose|produce|draft|rewrite) (?:an?|the|me|one|\d+|exactly|in)\b[^.\n]{0,60}"
    r"\b(?:lesson|chapter|section|textbook|story|essay|explanation|article|tutorial|passage|dialogue|blog ?post|paragraph|course unit|solution"
    r"|word problem|exercises?|summary|text|instructions?|answer|response)\b"
    r"[^.\n]{0,60}\b(?:for|aimed at|about|on|suitable for|in the style|using|words|that|based on|of)\b",
    r"^\W*(?:your task is to|the task is to|your job is to|your response (?:should|must)|respond (?:only )?(?:with|in)|answer in (?:json|exactly"
    r"|at most)|return (?:only|your answer|a json)|"
    r"output (?:only|format)|do not (?:include|mention|add|use (?:any )?(?:headings|markdown))|make sure (?:to|that you)"
    r"|use the following (?:format|instructions|context|passage)|"
    r"follow these (?:instructions|rules|guidelines)|given the (?:following|above) (?:text|passage|prompt|instruction|topic))\b",
)
_MARKERS = _any(
    r"^\W*(?:topic|audience|target audience|style|tone|persona|format|length|word count|instructions?|task|input|response|output|prompt"
    r"|constraints?|system|user|assistant|human)\W{0,3}:",
    r"^\W*#{2,3} ?(?:instructions?|input|response|system|user|assistant|human)\s*:",
)
_TOKENS = re.compile(
    r"<\|[a-z_]{2,20}\|>|\[/?INST\]|<</?SYS>>|\{\{ ?\w+ ?\}\}|\{%-? (?:if|for|set|else|endif|endfor|block|include|macro)\b|</?(?:system"
    r"|instructions?|prompt)>|<(?:start|end)_of_turn>",
    re.IGNORECASE,
)

_TOKEN_HINTS = (
    ("<", ("<|", "<<", "<system", "</system", "<instruction", "</instruction", "<prompt", "</prompt", "_of_turn>")),
    ("[", ("inst]",)),
    ("{", ("{{", "{%")),
)
"""(sign, what stands with it in a template's token)."""


ECHO_WORDS = 8
"""Words in a row, shared with a prompt's own text, that nobody writes by chance."""
_WORD = re.compile(r"[\w']+")


class PromptEcho(Operator):
    """The answer repeats the instructions it was given: roles, orders to the writer, `Topic:` lines, chat-template tokens.

    Orders and markers are looked for where echoes stand, in the first four and the last two lines; template tokens anywhere. One order or token is
    enough; a field marker alone is not ("Task: find x" opens many exercises), two different ones are.
    """

    keeps: ClassVar = (
        "Task: find the area of a square with side 3.\nThe area is 3 x 3 = 9.",
        "You are given two numbers, 3 and 4. Their sum is 7.",
        "Write down the larger number. Then add 5 to it.",
    )
    drops: ClassVar = (
        "You are a teacher. Write a lesson for children about water.\n\nWater is wet.",
        "Topic: fractions\nAudience: children\n\nA fraction is a part of a whole.",
        "Water is wet.<|im_end|>",
    )

    tokens_only: bool = False
    """Look for template tokens alone: comments of programs give orders rightly."""
    known: tuple[str, ...] = ()
    """The words of the prompts themselves, without what rows put in. The plan fills this in: a run of ECHO_WORDS of them is an echo."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        text = self.text(fields)
        echo = _echoed(text, self.known) if self.known else ""
        if echo:
            return Finding(False, "prompt_echo", float(ECHO_WORDS), echo, span=place_of(text, echo, r"[^\w']+"))
        token = _TOKENS.search(text) if any(sign in text and _holds(self.features(fields).lower, words) for sign, words in _TOKEN_HINTS) else None
        lines = [] if self.tokens_only else _edges(text)
        orders = [match.group() for line in lines if (match := _ORDERS.match(line))]
        markers = {match.group().strip().lower() for line in lines if (match := _MARKERS.match(line))}
        score = float(len(orders) + bool(token) + len(markers) // 2)
        if not score:
            return Finding(True, score=0.0)
        said = [*([token.group()] if token else []), *orders, *sorted(markers)]
        return Finding(False, "prompt_echo", score, " | ".join(said), span=place_of(text, said[0]))


def _echoed(text: str, known: tuple[str, ...]) -> str:
    """The first run of words that stands in the prompts, or ''."""
    grams, vocabulary = _grams_of(known)
    words = _WORD.findall(text.lower())
    run = 0
    for index, word in enumerate(words):
        run = run + 1 if word in vocabulary else 0
        if run >= ECHO_WORDS and (said := " ".join(words[index - ECHO_WORDS + 1 : index + 1])) in grams:
            return said
    return ""


@cache
def _grams_of(known: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """(runs of ECHO_WORDS words, all their words) of the prompts."""
    found: set[str] = set()
    for text in known:
        words = _WORD.findall(text.lower())
        found.update(" ".join(words[start : start + ECHO_WORDS]) for start in range(len(words) - ECHO_WORDS + 1))
    return frozenset(found), frozenset(word for run in found for word in run.split())


def _edges(text: str) -> list[str]:
    """The first four and the last two lines that are not empty, each cut at 300 characters."""
    first = [line for line in text[:3000].split("\n") if line and not line.isspace()]
    if len(first) > 6 or len(text) > 1500:
        last = [line for line in text[-1500:].split("\n") if line and not line.isspace()]
        first = [*first[:4], *last[-2:]]
    return [line.strip()[:300].lower() for line in first]
