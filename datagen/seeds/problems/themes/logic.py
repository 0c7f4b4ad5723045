"""Problems that are settled by reasoning: truth-tellers, orderings, syllogisms, a greedy choice."""

from __future__ import annotations

import random
from itertools import pairwise, product

from datagen.seeds.problems.family import INT, Family, Notebook, Params, Slot, Tell, word
from datagen.seeds.problems.wording import NAMES, TOWNS, listed

SAYINGS = (
    "{x} is a liar", "{x} tells the truth", "{x} and I are of the same kind", "{x} and I are of different kinds",
    "at least one of {x} and me is a liar",
)  # fmt: skip
_KIND = {True: "truth-teller", False: "liar"}


def _holds(saying: int, me: bool, other: bool) -> bool:
    """Whether a saying about another person is true."""
    return (not other, other, me == other, me != other, not (me and other))[saying]


def _fitting(p: Params) -> list[tuple[bool, bool]]:
    """All ways to be truth-teller or liar under which both sayings fit their speakers."""
    one, two = (_saying(p[key], p[other]) for key, other in (("says", "b"), ("replies", "a")))
    return [(a, b) for a, b in product((True, False), repeat=2) if _holds(one, a, b) == a and _holds(two, b, a) == b]


def _saying(text: str, about: str) -> int:
    return next(index for index, saying in enumerate(SAYINGS) if saying.replace("{x}", about) == text)


def _draw_liars(rng: random.Random) -> Params:
    while True:
        a, b = rng.sample(NAMES, 2)
        params = {
            "town": rng.choice(TOWNS),
            "a": a,
            "b": b,
            "says": rng.choice(SAYINGS).replace("{x}", b),
            "replies": rng.choice(SAYINGS).replace("{x}", a),
        }
        if len(_fitting(params)) == 1:
            return params


def _work_liars(p: Params, book: Notebook) -> str:
    one, two = _saying(p["says"], p["b"]), _saying(p["replies"], p["a"])
    for a, b in product((True, False), repeat=2):
        facts = {"if_a": _KIND[a], "if_b": _KIND[b]}
        if _holds(one, a, b) != a:
            book.note("clash", **facts, who=p["a"], words=p["says"], truth="true" if _holds(one, a, b) else "false", sort=_KIND[a])
        elif _holds(two, b, a) != b:
            book.note("clash", **facts, who=p["b"], words=p["replies"], truth="true" if _holds(two, b, a) else "false", sort=_KIND[b])
        else:
            book.note("fit", **facts, first="true" if a else "false", second="true" if b else "false")
    ((a, b),) = _fitting(p)
    names = [name for name, honest in ((p["a"], a), (p["b"], b)) if honest]
    options = (p["a"], p["b"], f"{p['a']} and {p['b']}", "nobody")
    return book.decide("verdict", listed(names) if names else "nobody", options)


_SPOKEN = "|".join(saying.replace("{x}", f"(?:{'|'.join(NAMES)})") for saying in SAYINGS)

LIARS = Family(
    name="truth_tellers_and_liars",
    about=("probability", "logic", "reasoning", "truth", "puzzle", "proof", "boolean", "critical thinking", "philosophy"),
    slots={"town": word(TOWNS), "a": word(NAMES), "b": word(NAMES), "says": Slot(_SPOKEN, str), "replies": Slot(_SPOKEN, str)},
    phrasings=(
        "In {town} everybody either always tells the truth or always lies. {a} says: \"{says}.\" {b} says: \"{replies}.\" Who tells the truth: {a}, "
        "{b}, both or nobody?",
        "Each inhabitant of {town} is a truth-teller or a liar. You meet {a} and {b}. {a} claims, \"{says},\" and {b} claims, \"{replies}.\" Which "
        "of the two are truth-tellers (if none, say nobody)?",
        "Two people of {town}, where some always lie and all others never do, are talking. {a}: \"{says}.\" {b}: \"{replies}.\" Name the "
        "truth-tellers among them, or say nobody.",
    ),
    draw=_draw_liars,
    work=_work_liars,
    openings=(
        "Two people, two kinds each: there are only four cases, [and each can be tested against what was said|so all of them can be tried].",
        "A truth-teller can only say what is true and a liar only what is false. [Any case that breaks this is out|With that rule, test every case].",
        "Nobody's word can be trusted at the start, so [assume each case in turn|try each combination] for {a} and {b} and look for a contradiction.",
        "[Guessing is not needed|There is no need to guess]: suppose, follow the consequences, and cross out whatever contradicts itself. {a} and "
        "{b} allow four cases.",
    ),
    tellings={
        "clash": Tell(
            ("If {a} were a {if_a} and {b} a {if_b}, the words \"{words}\" would be {truth}, but {who} would be a {sort}: impossible.",
             "Suppose {a} is a {if_a} and {b} a {if_b}. Then \"{words}\" is {truth}, which a {sort} like {who} could not say.",
             "{a} as {if_a} and {b} as {if_b} does not work, because {who}, a {sort}, would have said something {truth}.",
             "With {a} a {if_a} and {b} a {if_b}, \"{words}\" comes out {truth}; from {who} as a {sort} that cannot be."),
            ("A contradiction rules [the|such a] case out [for good|at once].",
             "Each case makes the sentences true or false, and that has to suit [the speaker|{a} and {b}].",
             "What [is said|{a} or {b} says] must be true for a truth-teller and false for a liar."),
        ),
        "fit": Tell(
            ("{a} as {if_a} and {b} as {if_b} fits: the first sentence is {first}, the second {second}, as their speakers require.",
             "Take {a} as a {if_a} and {b} as a {if_b}. Then what {a} says is {first} and what {b} says is {second}; nothing is violated.",
             "No conflict arises if {a} is a {if_a} and {b} a {if_b}, for then the sentences are {first} and {second}."),
        ),
        "verdict": Tell(
            ("Only one case survives, so the truth is told by: {value}.", "Of the four cases a single one remains; truth-teller: {value}.",
             "Hence the truth is told by {value}.", "That settles it, and the list of truth-tellers reads: {value}."),
            ("All [cases have|four cases have|cases for {a} and {b} have] been looked at.",
             "One consistent case is left, and that must be how things are[| in {town}]."),
        ),
    },
)  # fmt: skip

MEASURES = {
    "taller": ("taller", "shorter", "tallest"), "older": ("older", "younger", "oldest"), "faster": ("faster", "slower", "fastest"),
    "heavier": ("heavier", "lighter", "heaviest"), "stronger": ("stronger", "weaker", "strongest"),
}  # fmt: skip
_RANKS = ("second", "third", "fourth")
_CLUE = rf"(?:{'|'.join(NAMES)}) is (?:{'|'.join(word_ for words in MEASURES.values() for word_ in words[:2])}) than (?:{'|'.join(NAMES)})"


def _draw_order(rng: random.Random) -> Params:
    names = rng.sample(NAMES, rng.choice((4, 4, 5)))
    more, less, _ = MEASURES[key := rng.choice(list(MEASURES))]
    clues = [f"{a} is {more} than {b}" if rng.random() < 0.5 else f"{b} is {less} than {a}" for a, b in pairwise(names)]
    rng.shuffle(clues)
    return {"clues": tuple(clues), "more": key, "rank": _RANKS[rng.randrange(len(names) - 2)]}


def _work_order(p: Params, book: Notebook) -> str:
    more, _, most = MEASURES[p["more"]]
    above = {}
    for clue in p["clues"]:
        one, word_, two = clue.replace(" is ", "|").replace(" than ", "|").split("|")
        above[one if word_ == more else two] = two if word_ == more else one
        book.note("clue" if word_ == more else "turned", clue=clue, high=one if word_ == more else two, low=two if word_ == more else one, rel=more)
    (top,) = set(above) - set(above.values())
    order = [top]
    while order[-1] in above:
        order.append(above[order[-1]])
    book.note("top", top=top, rel=more, most=most)
    book.note("chain", chain=", ".join(order), most=most, first=order[0], last=order[-1])
    return book.decide("rank", order[_RANKS.index(p["rank"]) + 1], order, most=most, chain=" > ".join(order))


ORDER = Family(
    name="putting_in_order",
    about=("logic", "ordering", "sorting", "inequality", "relations", "reasoning", "comparison", "transitivity"),
    slots={"clues": Slot(rf"{_CLUE}(?:; {_CLUE})+", lambda text: tuple(text.split("; ")), "; ".join), "more": word(list(MEASURES)),
        "rank": word(_RANKS)},
    phrasings=(
        "We know this: {clues}. Put them in order, each {more} than the next. Who is {rank} in that order?",
        "{clues}. If all of them line up so that each is {more} than the one behind, who stands {rank}?",
        "From the facts \"{clues}\" make a list in which everybody is {more} than the person that follows. Whose name is {rank} on the list?",
    ),
    draw=_draw_order,
    work=_work_order,
    openings=(
        "The comparisons come in no particular order and in two directions. [Turn them all the same way|Written in one direction], they link up like "
        "a chain.",
        "Each fact joins two people. [Laid end to end|Put together], the facts give the whole order.",
        "Whoever is never on the lesser side of a comparison must come first. [From there the chain unrolls|The rest follows link by link].",
        "If one is {more} than a second and the second {more} than a third, then the first is {more} than the third too: [this lets the facts be "
        "chained|that is why chains work].",
    ),
    tellings={
        "clue": Tell(
            ("{high} comes before {low}.", "So {high} stands ahead of {low}.", "{clue}, hence {high} before {low}.",
             "That puts {high} in front of {low}.", "{high} > {low}, as the facts say directly."),
            ("Some facts already point [in the wanted direction|from {rel} to less].",
             "Write each fact as a link, [from the greater to the lesser|such as {high} > {low}]."),
        ),
        "turned": Tell(
            ("{clue} means that {high} is {rel} than {low}.", "Turned round, {high} is {rel} than {low}.",
             "If {clue}, then {high} comes before {low}.", "From the other side: {high} is {rel} than {low}."),
            ("A comparison can be read from either end[|, from {low} or from {high}].",
             "Turning [a fact|such a fact] round does not change what it says[| about {high} and {low}]."),
        ),
        "top": Tell(
            ("Nobody is said to be {rel} than {top}, so {top} comes first.", "{top} never appears on the lower side and is therefore the {most}.",
             "The chain starts with {top}, above whom nobody is placed."),
            ("Every chain needs [a beginning|a first link|somebody at its head].",
             "Look for the one who is [only ever|always] on the [greater|{rel}] side."),
        ),
        "chain": Tell(
            ("Following the links gives {chain}.", "Link by link: {chain}.", "From {first} down to {last} the order is {chain}."),
            ("Now each link leads [to the next person|on from {first}].", "Start at {first} and [take the links as they come|follow the links]."),
        ),
        "rank": Tell(
            ("In it, {value} is {rank}.", "The {rank} name is {value}.", "At the {rank} place stands {value}.",
             "Counting from {most} downwards, the {rank} is {value}."),
        ),
    },
)  # fmt: skip

THINGS = (
    "blips",
    "dorfs",
    "snarks",
    "glims",
    "tovers",
    "wickets",
    "mimsies",
    "drubs",
    "flonks",
    "quills",
    "rudds",
    "zibs",
    "plimps",
    "gorbels",
    "nubs",
)
_VERDICTS = ("yes", "no", "cannot be known")


def _draw_syllogism(rng: random.Random) -> Params:
    a, b, c = rng.sample(THINGS, 3)
    x, y = rng.choice(((a, c), (c, a)))
    return {
        "name": rng.choice(NAMES),
        "a": a,
        "b": b,
        "c": c,
        "link": rng.choice(("All", "No", "Some")),
        "quantity": rng.choice(("all", "some")),
        "x": x,
        "y": y,
    }


def _work_syllogism(p: Params, book: Notebook) -> str:
    book.note("inside")
    book.note({"All": "inside_too", "No": "apart", "Some": "partly"}[p["link"]])
    kind, verdict = "forward", "yes"
    if p["link"] == "No":
        kind, verdict = "never", "no"
    elif p["link"] == "Some":
        kind, verdict = "open", "cannot be known"
    elif p["x"] == p["c"]:
        kind, verdict = ("backward", "cannot be known") if p["quantity"] == "all" else ("shared", "yes")
    book.note(kind)
    return book.decide("verdict", verdict, _VERDICTS)


SYLLOGISM = Family(
    name="syllogism",
    about=("logic", "syllogism", "deduction", "sets", "philosophy", "argument", "reasoning", "proof", "critical thinking"),
    slots={
        "name": word(NAMES), "a": word(THINGS), "b": word(THINGS), "c": word(THINGS), "link": word(("All", "No", "Some")), "quantity": word(("all",
            "some")), "x": word(THINGS), "y": word(THINGS),
    },
    phrasings=(
        "All {a} are {b}. {link} {b} are {c}. [There is at least one of each kind|Each kind exists|None of the three kinds is empty]. {name} asks "
        "whether {quantity} {x} are {y}: yes, no, or cannot be "
        "known?",
        "{name} is told: \"All {a} are {b}. {link} {b} are {c}. Each of the three kinds exists.\" Is it then true that {quantity} {x} are {y}? "
        "Answer yes, no, or cannot be known.",
        "[Three kinds of creatures exist|There are three kinds of creatures|Imagine three kinds of creatures]. All {a} are {b}, and this is known "
        "too: {link} {b} "
        "are {c}. Does {name} know that {quantity} {x} are {y}? "
        "Say yes (it is so), no (it is not so) or cannot be known[|, {name}].",
    ),
    draw=_draw_syllogism,
    work=_work_syllogism,
    openings=(
        "What {a} or {c} look like does not matter. [Only the circles count|Draw each kind as a circle]: which lies inside which, and which lie "
        "apart?",
        "The words are invented on purpose, so that [only the form of the argument can help|nobody can answer from experience]. Think of {a}, {b} "
        "and {c} as circles.",
        "To test whether {quantity} {x} are {y}, [draw what is given and look for a picture in which it fails|try to draw a case against it].",
        "An argument holds if no picture of the facts makes its conclusion false. [Let us draw|Start drawing] with {a}, {b} and {c}.",
    ),
    tellings={
        "inside": Tell(
            ("The circle of the {a} lies wholly inside that of the {b}.", "Whatever is one of the {a} is one of the {b} as well.",
             "So the {a} form a part of the {b}.", "Every one of the {a} is found among the {b}."),
            ("The word all puts [one circle inside another|the {a} inside the {b}].", "The first fact speaks of each of the {a} without exception."),
        ),
        "inside_too": Tell(
            ("The {b} lie inside the {c} in turn.", "In the same way the circle of the {b} is inside that of the {c}.",
             "And each of the {b} is one of the {c}."),
            ("The second fact has the same form[|, now for {b} and {c}].", "Again all is said, now of the {b}."),
        ),
        "apart": Tell(
            ("The circles of {b} and {c} do not touch.", "No creature is one of the {b} and one of the {c} at once.",
             "{b} and {c} have nothing in common."),
            ("The second fact keeps [two circles|{b} and {c}] apart.", "No means an empty overlap[| of {b} and {c}]."),
        ),
        "partly": Tell(
            ("The circles of {b} and {c} overlap, but it is not said where.", "At least one of the {b} is one of the {c}; which one remains open.",
             "{b} and {c} share something, and we are not told whether any of the {a} belong to it."),
            ("The word some promises an overlap [of {b} and {c} |]and nothing about its place.",
             "The second fact[| on {b} and {c}] is weaker than it sounds."),
        ),
        "forward": Tell(
            ("A circle within a circle within a circle: all {a} are {c}, so it holds that {quantity} {a} are {c}.",
             "From {a} through {b} to {c} the way is closed, and with all {a} some {a} are {c} too.",
             "Each of the {a} is one of the {b}, each of those one of the {c}; so {quantity} {a} are {c}."),
            ("Being inside passes on from [one circle to the next|circle to circle, {a} to {b} to {c}].",),
        ),
        "shared": Tell(
            ("There is at least one of the {a}, and it is one of the {c}; so some {c} are {a}.",
             "Take any one of the {a}: it is one of the {c} too, and that makes it one of the {c} that are {a}.",
             "All {a} are {c}, hence those among the {c} that are {a} exist."),
            ("For some it is enough to point to one[| of the {x}].",),
        ),
        "backward": Tell(
            ("All {a} are {c}, but there may be {c} outside the circle of the {a}, or there may be none.",
             "The circle of the {c} may be larger than that of the {a}, or just as large; both pictures suit the facts.",
             "We know that {a} are {c}. Whether every one of the {c} is one of the {a} differs from picture to picture."),
            ("A statement with all[|, such as this about the {a},] may not be turned round.",),
        ),
        "never": Tell(
            ("The {a} lie inside {b}, away from the {c}, so none of the {x} can be one of the {y}.",
             "What is inside {b} cannot be among the {c}, and the {a} are inside.",
             "{a} and {c} are kept apart by the {b}; there are no {x} among the {y}."),
            ("What holds for the whole circle of the {b} holds for [each part of it|the {a} inside it].",),
        ),
        "open": Tell(
            ("The overlap may contain some, all or none of the {a}, and each picture suits the facts.",
             "One can draw the {c} across the {a} or past them; the facts allow either.",
             "In one drawing the {c} meet the {a}, in another they do not."),
            ("Try to draw [it|{a}, {b} and {c}] in two ways.", "If two pictures fit and disagree[| about the {x}], nothing follows."),
        ),
        "verdict": Tell((
            "So whether {quantity} {x} are {y}: {value}.",
            "To the question whether {quantity} {x} are {y}, the facts say: {value}.",
            "Asked if {quantity} {x} are {y}, {name} should reply: {value}.",
            "About {quantity} {x} being {y}, the verdict is: {value}.",
        )),
    },
)  # fmt: skip


COINS = ((25, "quarter"), (10, "dime"), (5, "nickel"), (1, "penny"))
_PLURAL = {"penny": "pennies"}


def _coins(number: int, coin: str) -> str:
    return f"{number} {coin if number == 1 else _PLURAL.get(coin, coin + 's')}"


def _draw_coins(rng: random.Random) -> Params:
    return {"name": rng.choice(NAMES), "cents": rng.randint(41, 1999)}


def _work_coins(p: Params, book: Notebook) -> str:
    left, total = p["cents"], 0
    for size, coin in COINS:
        if left < size:
            continue
        used = left // size
        rest = left - used * size
        kind = "coin" if rest else "last"
        used = book.step(kind, used, lambda n, c=coin: _coins(n, c), left=left, size=size, worth=left - rest, rest=rest)  # type: ignore[misc]
        left, total = rest, total + used
    total = book.step("count", total)
    return str(total)


CHANGE = Family(
    name="fewest_coins",
    about=("binary", "finance", "greedy", "algorithm", "coins", "money", "division", "remainder", "optimisation"),
    slots={"name": word(NAMES), "cents": INT},
    phrasings=(
        "{name} has to pay out {cents} cents in quarters (25), dimes (10), nickels (5) and pennies (1). What is the smallest number of coins that "
        "will do?",
        "A till holds plenty of quarters, dimes, nickels and pennies. With how few coins can {name} give exactly {cents} cents?",
        "What is the fewest number of US coins (25, 10, 5 and 1 cent) that {name} needs to make {cents} cents?",
    ),
    draw=_draw_coins,
    work=_work_coins,
    openings=(
        "[With these four coins|For quarters, dimes, nickels and pennies] it is safe to take the largest coin that still fits, again and again, "
        "until the {cents} cents are made up.",
        "Each coin here [can replace|is worth] at least two of the next smaller kind, and using big coins first [keeps the count low|makes {cents} "
        "cents with the fewest pieces].",
        "{name} should reach for the big coins first: one quarter does the work of several small coins.",
        "Work from the largest coin down, and let the remainder decide [what follows|the next coin] for these {cents} cents.",
    ),
    tellings={
        "coin": Tell(
            ("{left} cents hold {value}, worth {worth} cents, and {rest} cents remain.",
             "Take {value}: that covers {worth} of the {left} cents and leaves {rest}.",
             "Dividing {left} by {size} gives {value}, with a remainder of {rest} cents.",
             "Out of {left} cents, {value} can be paid, which leaves {left} - {worth} = {rest}."),
            ("Dividing by the coin's value shows how often it fits[| into {cents}].",
             "The quotient counts coins and the remainder [|of the {left} cents ]goes on to the next smaller coin.",
             "A large coin that fits[|, here one of {size} cents,] is never worse than several small ones."),
        ),
        "last": Tell(
            ("The last {left} cents are exactly {value}.", "What is left, {left} cents, takes {value} and nothing remains.",
             "{left} cents make {value} with no remainder."),
        ),
        "count": Tell(
            ("In all that is {value} coins.", "Counting the pieces gives {value} coins for {cents} cents.", "{name} hands over {value} coins.",
             "So {cents} cents can be paid with {value} coins and no fewer."),
            ("Only the number of coins was asked for, so [the counts|{name}'s counts] are added.",
             "Now add up how many of each kind [were|{name} has] used.",
             "The question is about how many coins[| make {cents} cents], not which."),
        ),
    },
)  # fmt: skip
