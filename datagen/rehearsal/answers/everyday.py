"""Everyday writing: an e-mail, a rewrite or a summary with its request, all made from one set of facts so that they agree."""

from __future__ import annotations

import random

from datagen.seeds.problems.wording import NAMES, TOWNS, Deck, clock, fill

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
THINGS = (
    "dishwasher",
    "projector",
    "heating",
    "bicycle",
    "printer",
    "washing machine",
    "front door",
    "coffee machine",
    "lift",
    "boiler",
    "oven",
    "alarm",
)
EVENTS = (
    "the fitting",
    "the team lunch",
    "the parents' evening",
    "the dentist",
    "the rehearsal",
    "the handover",
    "the stock-taking",
    "the inspection",
    "the guided tour",
)

_ASKED = (
    "[Write|Please write] an e-mail from {me} to {you}{wanted}: {facts}. Keep it {tone}.",
    "I am {me} and need to write to {you}. {Facts}. [Can you put that into|Please make that] {tone} words?",
    "E-mail to {you}, signed {me}, {tone}. [To say|Content]: {facts}.",
    "{Facts}. [Turn this into|Make this] an e-mail to {you} that sounds {tone}; my name is {me}.",
)
_MATTERS: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = (
    (("move", "appointment", "postpon", "reschedul"),
        "{event} on {day} at {time} has to move, {day2} at {time2} would suit, an answer is needed by {day0}", (
        "I [have to|must] move {event} from {day} at {time}. Would {day2} at {time2} suit you? [Please let me know|I would be glad to hear] by "
        "{day0}.",
        "[Could we|Would it be possible to] move {event}? {Day} at {time} no longer works for me, but {day2} at {time2} would. [An answer by|Please "
        "answer by] {day0} would help.",
    )),
    (("declin", "refus", "invitation", "cancel"), "{me} cannot come to {event} on {day} at {time}, but can help on {day2}", (
        "thank you for thinking of me. I cannot come to {event} on {day} at {time}. If help is needed on {day2}, [I am there|you can count on me].",
        "I am afraid I cannot be at {event} on {day} at {time}. On {day2} I [could|can] help instead.",
    )),
    (("fault", "repair", "broken", "complain", "report"),
        "the {thing} has not worked since {day}, number {number}, someone is there from {time} on {day2}", (
        "the {thing} (number {number}) has not worked since {day}. When can it be repaired? On {day2} somebody is here from {time}.",
        "[I am writing about|This is about] the {thing} with the number {number}, which stopped working on {day}. [Could somebody come|Can it be "
        "repaired] on {day2}? We are in from {time}.",
    )),
    (("thank", "favour", "grateful"), "thanks for the help with the {thing} on {day}, {amount} dollars are still owed, offer to help on {day2}", (
        "thank you for your help with the {thing} on {day}. I still owe you {amount} dollars and will bring them on {day2}, when I [can|could] lend "
        "you a hand too.",
        "your help with the {thing} on {day} [saved me a lot of trouble|made all the difference]. The {amount} dollars that I owe you come with me "
        "on {day2}; tell me what I can do for you then.",
    )),
    ((), "the {thing} costs {amount} dollars, order number {number}, it should arrive on {day2}, payment by {day}", (
        "I would like to order the {thing} for {amount} dollars (order number {number}). Payment [will reach you|is on its way] by {day}; please "
        "have it here on {day2}.",
        "[please confirm|could you confirm] order number {number}, the {thing} for {amount} dollars. I pay by {day} and expect it on {day2}.",
    )),
)  # fmt: skip
_GREETINGS = ("Dear {you},", "Hello {you},", "Good morning {you},", "Hi {you},")
_CLOSINGS = ("[Kind|Best] regards", "Many thanks", "Yours", "[Warm|Friendly] greetings", "All the best")
_NOTES = (
    "At {time} on {day} {me} opened the meeting [in {town}|at the {town} office].",
    "The {thing} (number {number}) is to be replaced for {amount} dollars.",
    "{you} first said that it could be done on {day}, but [later corrected this to|after a look at the calendar it became] {day2}.",
    "{event} takes place at {time2}, provided that {other} finds a room.",
    "{other} [told a story about|remembered] the last {thing}, which had lasted for {years} years.",
    "{me} pays the {amount} dollars in advance and is to have them back from {other}.",
)  # fmt: skip
_SUMMED = (
    "The {thing} (number {number}) is replaced for {amount} dollars on {day2}; {me} pays in advance, and {other} pays back. {Event} is at {time2} if "
    "{other} finds a room.",
    "- {me}: pays {amount} dollars for the {thing}, number {number}\n- {you}: has it done on {day2}, not {day}\n- {other}: pays {me} back and finds "
    "a room for {event} at {time2}",
    "[Decided|Agreed]: a new {thing} for {amount} dollars, number {number}, on {day2} and not on {day}. {other} looks for a room for {event} "
    "({time2}) and pays {me} back.",
)
_WANTED_SUMMARY = (
    "I was not there. [What do I have to know|What matters]? Please as {form}.", "{you} has to act on this today. Sum it up as {form}.",
    "[Shorten|Boil down] this for {other}, as {form}.",
)  # fmt: skip
_ROUGH = (
    "so basically what I wanted to say is that the {thing}, the one with the number {number}, it stopped working again on {day} and {you} said, I "
    "mean that is what I understood, "
    "that somebody comes at {time} on {day2}, and it costs {amount} dollars which is a lot but anyway it has to be done.",
    "I hope you do not mind my writing, and please excuse the trouble, but I would like to take the liberty of mentioning that the {thing} (number "
    "{number}) has unfortunately been out "
    "of order since {day}, and that {you} was so kind as to offer to come at {time} on {day2}, for which, if I may say so, {amount} dollars would "
    "have to be paid.",
    "The {thing} is broken. It has been broken since {day}. {you} comes on {day2}. {you} comes at {time}. It costs {amount} dollars, so it is "
    "{amount} dollars. The number is {number}.",
)
_CLEAN = (
    "The {thing} (number {number}) has been out of order since {day}. {you} comes on {day2} at {time}; the repair costs {amount} dollars.",
    "Since {day} the {thing} with the number {number} has not worked. {you} repairs it on {day2} at {time} for {amount} dollars.",
    "On {day2} at {time}, {you} repairs the {thing}, number {number}, which failed on {day}. The price is {amount} dollars.",
)
_WANTED_CHANGE = (
    "Please {change}; all facts stay, the number {number} included.",
    "{Change}, [but keep|and leave in] the time {time}.",
    "For {other}: {change}. [Every date stays|Do not lose a date].",
)


class Errand:
    """One set of facts, and the texts that share them."""

    def __init__(self, prompt: str, topic: str, style: str, rng: random.Random) -> None:
        self._rng, self._deck = rng, Deck(rng)
        me, you, other = rng.sample(NAMES, 3)
        day0, day, day2 = (DAYS[index] for index in sorted(rng.sample(range(6), 3)))
        event, hours = rng.choice(EVENTS), sorted(rng.sample(range(16, 40), 2))
        change = topic or "make it shorter"
        self._words = {
            "me": me, "you": you, "other": other, "town": rng.choice(TOWNS), "day0": day0, "day": day, "Day": day, "day2": day2, "event": event,
            "Event": event[:1].upper() + event[1:], "thing": rng.choice(THINGS), "time": clock(hours[0] * 30), "time2": clock(hours[1] * 30),
                "amount": str(rng.randint(12, 480)),
            "number": str(rng.randint(1000, 9999)), "years": str(rng.randint(3, 19)), "tone": style or "plain",
                "form": style or "two or three sentences",
            "change": change, "Change": change[:1].upper() + change[1:], "wanted": rng.choice(("", ", no longer than needed",
                ", with a clear next step")),
        }  # fmt: skip
        lowered = prompt.lower()
        self._texts = self._email(topic) if "e-mail" in lowered[:400] else self._summary() if "summar" in lowered[:400] else self._rewrite()

    def text(self, name: str) -> str:
        """The request (`instruction`), the material (`input`) or the answer to it (any other name)."""
        return self._texts["instruction" if "instruction" in name else "input" if "input" in name else "output"]

    def _say(self, templates: tuple[str, ...]) -> str:
        return fill(self._deck.deal(templates), self._rng, self._words)

    def _email(self, topic: str) -> dict[str, str]:
        fits = [matter for matter in _MATTERS if any(mark in topic.lower() for mark in matter[0])]
        _, facts, bodies = self._rng.choice(fits or list(_MATTERS))
        told = facts.format_map(self._words)
        self._words |= {"facts": told, "Facts": told[:1].upper() + told[1:]}
        parts = (self._say(_GREETINGS), self._say(bodies), f"{self._say(_CLOSINGS)},\n{self._words['me']}")
        return {"instruction": self._say(_ASKED), "input": "", "output": "\n\n".join(parts)}

    def _summary(self) -> dict[str, str]:
        notes = [fill(note, self._rng, self._words) for note in _NOTES]
        return {"input": " ".join(notes), "instruction": self._say(_WANTED_SUMMARY), "output": self._say(_SUMMED)}

    def _rewrite(self) -> dict[str, str]:
        return {"input": self._say(_ROUGH), "instruction": self._say(_WANTED_CHANGE), "output": self._say(_CLEAN)}
