"""Problems about counting without listing, and about chance."""

from __future__ import annotations

import random
from fractions import Fraction
from math import comb, factorial

from datagen.seeds.problems.family import INT, Family, Notebook, Params, Slot, Tell, word
from datagen.seeds.problems.wording import NAMES, TOWNS, listed, ratio, words

COLOURS = ("red", "blue", "green", "yellow", "white", "black", "orange", "purple")
PIECES = ("balls", "beads", "buttons", "chips", "cubes", "counters", "pegs", "discs")
BAGS = ("bag", "box", "drawer", "jar", "hat", "bucket")


def _draw_urn(rng: random.Random) -> Params:
    one, two = rng.sample(COLOURS, 2)
    return {
        "name": rng.choice(NAMES),
        "bag": rng.choice(BAGS),
        "pieces": rng.choice(PIECES),
        "one": one,
        "two": two,
        "a": rng.randint(3, 15),
        "b": rng.randint(3, 15),
    }


def _work_urn(p: Params, book: Notebook) -> str:
    total = book.step("total", p["a"] + p["b"])
    book.note("first", total=total, simple=Fraction(p["a"], total))
    left = book.step("left", p["a"] - 1, rest=total - 1)
    book.note("second", left=left, rest=total - 1)
    up, down = p["a"] * left, total * (total - 1)
    both = book.step("both", Fraction(up, down), ratio, total=total, left=left, rest=total - 1, up=up, down=down)
    book.note("check", back=Fraction(p["a"], total) ** 2, both=both)
    return str(both)


URN = Family(
    name="two_draws",
    about=("combinatorics", "permutations", "probability", "chance", "statistics", "random", "risk", "luck", "conditional probability"),
    slots={"name": word(NAMES), "bag": word(BAGS), "pieces": word(PIECES), "one": word(COLOURS), "two": word(COLOURS), "a": INT, "b": INT},
    phrasings=(
        "A {bag} contains {a} {one} and {b} {two} {pieces}. {name} takes out two without looking. What is the probability, as a fraction in lowest "
        "terms, that both are {one}?",
        "{name} draws two {pieces} blindly, one after the other and without putting the first back, from a {bag} with {a} {one} and {b} {two} ones. "
        "How likely is it that both are {one} (a fraction in lowest terms)?",
        "There are {a} {one} {pieces} and {b} {two} ones in a {bag}. If {name} removes two at random, with what probability (as a reduced fraction) "
        "are they both {one}?",
    ),
    draw=_draw_urn,
    work=_work_urn,
    openings=(
        "The second draw depends on the first, because nothing is put back. [So follow the draws in order|Take them one at a time].",
        "Both have to be {one}: [the first and then, from what is left, the second|first one, then another from the rest].",
        "Probability compares favourable cases with all cases. [After the first draw both numbers have changed|The second draw meets a smaller "
        "{bag}].",
        "Imagine {name}'s two hands: the left one takes the first of the {pieces}, the right one the second [from a {bag} that has become "
        "poorer|from what remains].",
    ),
    tellings={
        "total": Tell(
            ("There are {a} + {b} = {value} {pieces} at the start.", "In the {bag} lie {a} + {b} = {value} {pieces}.",
             "All in all the {bag} holds {value} {pieces}."),
            ("All {pieces} are equally likely to be drawn, so their number is needed.", "Blind drawing treats each of the {pieces} alike."),
        ),
        "first": Tell(
            ("The first is {one} with probability {a}/{total}.", "For the first draw the chance of {one} is {a}/{total}.",
             "So {a} of {total} cases are good at first: {a}/{total}."),
            ("{a} of them are {one}.", "Favourable are the {one} ones."),
        ),
        "left": Tell(
            ("If it is {one}, {value} {one} {pieces} are left among {rest}.", "After that, {value} {one} {pieces} remain, and {rest} in all.",
             "Then the {bag} holds {rest} {pieces}, {value} of them {one}."),
            ("What has been taken out of the {bag} cannot be drawn again.",
             "One of the {one} ones is missing now, from their number and from the total."),
        ),
        "second": Tell(
            ("The second is then {one} with probability {left}/{rest}.", "That gives {left}/{rest} for the second draw.",
             "Its chance of {one} is therefore {left}/{rest}."),
        ),
        "both": Tell(
            ("Both together: {a}/{total} × {left}/{rest} = {up}/{down} = {value}.",
             "The product {a}/{total} × {left}/{rest} is {up}/{down}, in lowest terms {value}.",
             "Multiplying gives {up}/{down}, which reduces to {value}."),
            ("Of the cases in which the first is {one}, only that share goes on well, so the fractions are multiplied.",
             "Two conditions one after the other [call for|lead to] a product[| of {a}/{total} and another fraction].",
             "A share of a share, here of {a}/{total}, is a product."),
        ),
        "check": Tell((
            "With the first one put back it would be {back}, a little more than {both}, since no {one} one would be missing.",
            "{both} is less than {back}, the value for drawing with replacement, [as it should be|which is the right direction].",
        )),
    },
)  # fmt: skip


def _draw_dice(rng: random.Random) -> Params:
    return {"name": rng.choice(NAMES), "m": rng.choice((4, 6, 8, 10, 12)), "n": rng.choice((4, 6, 8, 10, 12, 20)), "sum": rng.randint(4, 14)}


def _work_dice(p: Params, book: Notebook) -> str:
    total = book.step("total", p["m"] * p["n"])
    low, high = max(1, p["sum"] - p["n"]), min(p["m"], p["sum"] - 1)
    pairs = [f"{one}+{p['sum'] - one}" for one in range(low, high + 1)]
    good = book.step("good", len(pairs), pairs=listed(pairs) if pairs else "none")
    if not pairs:
        raise ValueError("an impossible sum")
    share = Fraction(good, total)
    book.note("plain" if share.denominator == total else "share", good=good, total=total, share=share)
    return str(share)


def _possible_dice(rng: random.Random) -> Params:
    while True:
        params = _draw_dice(rng)
        if params["sum"] <= params["m"] + params["n"] - 1:
            return params


DICE = Family(
    name="dice_sum",
    about=("combinatorics", "probability", "dice", "chance", "games", "random", "statistics", "outcomes"),
    slots={"name": word(NAMES), "m": INT, "n": INT, "sum": INT},
    phrasings=(
        "{name} rolls one die with faces 1 to {m} and one with faces 1 to {n}. What is the probability, as a fraction in lowest terms, that the sum "
        "is {sum}?",
        "Two fair dice have {m} and {n} faces, numbered from 1. {name} throws both. How likely is a total of exactly {sum} (give a reduced "
        "fraction)?",
        "A fair {m}-sided die and a fair {n}-sided die, both numbered from 1, are thrown by {name}. Find the probability of the sum {sum} as a "
        "fraction in lowest terms.",
    ),
    draw=_possible_dice,
    work=_work_dice,
    openings=(
        "All pairs of faces are equally likely, so [it is enough to count pairs|counting pairs settles the matter]: those with the sum {sum}, and "
        "all of them.",
        "The sums are not equally likely, but the pairs of faces are. [Therefore pairs are counted|So count pairs instead of sums].",
        "{name} can make a table with {m} rows and {n} columns, one cell for each result. [The cells with {sum} are the good ones.|How many cells "
        "hold {sum}?]",
        "A probability is good cases over all cases, and a case here is a pair: a face of the {m}-sided die and a face of the {n}-sided one.",
    ),
    tellings={
        "total": Tell(
            ("There are {m} × {n} = {value} pairs.", "In all {m} × {n} = {value} results can occur.",
             "The two dice give {m} × {n} = {value} equally likely pairs."),
            ("Every face of the first die can meet every face of the second[|, {m} with {n}].",
             "The dice do not influence each other, so [the numbers of faces|{m} and {n}] are multiplied."),
        ),
        "good": Tell(
            ("The pairs with the sum {sum} are {pairs}, {value} in number.", "{sum} comes about as {pairs}; that makes {value}.",
             "Good are {pairs}, so the count is {value}."),
            ("Fix the first die; then the second has no choice left[| if the sum is to be {sum}].",
             "The order matters, since the dice are [different|not the same].",
             "No die can show more than it has faces, which limits the pairs[| for {sum}]."),
        ),
        "share": Tell(
            ("The probability is {good}/{total} = {share}.", "That is {good} out of {total}, or {share} in lowest terms.",
             "Dividing, {good}/{total} reduces to {share}."),
            ("The probability is the number of good cases divided by that of all cases[|, {good} by {total}].",
             "It remains to compare [{good} with {total} |]and to reduce."),
        ),
        "plain": Tell(
            ("The probability is {good}/{total}, which cannot be reduced.", "So the chance is {share}, already in lowest terms.",
             "That makes {good} out of {total}, that is {share}."),
            ("The probability is the number of good cases divided by that of all cases[|, {good} by {total}].",
             "The last step compares [the two counts|{good} with {total}]."),
        ),
    },
)  # fmt: skip

GROUPS = ("chess club", "choir", "theatre group", "rowing team", "book circle", "science club", "village council", "film crew")


def _draw_committee(rng: random.Random) -> Params:
    return {"group": rng.choice(GROUPS), "town": rng.choice(TOWNS), "n": rng.randint(7, 22), "k": rng.randint(2, 4)}


def _work_committee(p: Params, book: Notebook) -> str:
    leader = book.step("leader", p["n"])
    rest = book.step("rest", leader - 1)
    factors = [rest - index for index in range(p["k"])]
    ordered = 1
    for factor in factors:
        ordered *= factor
    ordered = book.step("ordered", ordered, factors=" × ".join(map(str, factors)), rest=rest)
    groups = book.step("groups", Fraction(ordered, factorial(p["k"])), ratio, ordered=ordered, orders=factorial(p["k"]))
    total = book.step("total", leader * groups, ratio, leader=leader, groups=ratio(groups))
    book.note("check", other=comb(p["n"], p["k"] + 1), size=p["k"] + 1, total=ratio(total))
    return ratio(total)


COMMITTEE = Family(
    name="choosing_a_team",
    about=("combinatorics", "counting", "combinations", "permutations", "binomial", "discrete mathematics", "probability"),
    slots={"group": word(GROUPS), "town": word(TOWNS), "n": INT, "k": INT},
    phrasings=(
        "The {group} of {town} has {n} members. In how many ways can it choose one leader and {k} further members as helpers?",
        "From the {n} members of a {group} in {town}, a leader and a team of {k} helpers are to be picked. How many choices [are there|does it "
        "have]?",
        "How many ways are there for the {n} people of the {group} in {town} to name a leader and {k} equal deputies?",
    ),
    draw=_draw_committee,
    work=_work_committee,
    openings=(
        "The leader has a place of honour, the {k} others are equals. [So the leader is chosen with a role, the others without|Order matters for the "
        "one and not for the others].",
        "Choose in two stages: first the leader, then the {k} others [from those who are left|among the rest]. The numbers of choices multiply.",
        "Listing all teams of the {group} would take long, but [counting needs only multiplication and one division|they can be counted without a "
        "list].",
        "With {n} people there are many teams. [The trick is to count in an order and then to forget it|Count with an order first and remove the "
        "order afterwards].",
    ),
    tellings={
        "leader": Tell(
            ("Any of the members can lead: {value} choices.", "For the leader there are {value} possibilities.",
             "{value} people could be the leader."),
            ("[Nobody has been chosen yet|At first everybody is available].",
             "The special role [is filled first|comes first|is settled before the others]."),
        ),
        "rest": Tell(
            ("After that, {value} people are left.", "The helpers come from the other {value}.", "{value} members remain for the other places."),
            ("[The leader cannot be a helper too|Nobody can be leader and helper].",
             "One person fewer [is available now|can be chosen from now on]."),
        ),
        "ordered": Tell(
            ("In a fixed order, {k} people can be taken from {rest} in {factors} = {value} ways.",
             "Picking them one after the other gives {factors} = {value} sequences.", "One by one that makes {factors} = {value} possibilities."),
            ("Each pick leaves one person fewer [for the next|of the {rest}].",
             "As long as order counts, the [choices|{k} choices] simply multiply."),
        ),
        "groups": Tell(
            ("Without order there are {ordered} ÷ {orders} = {value} groups.", "Dividing by {orders} leaves {value} different groups.",
             "So {ordered} ÷ {orders} = {value} sets of {k} helpers exist."),
            ("The same {k} people have been counted once for each of their {orders} orders.",
             "Helpers are equals, and {k} of them can be lined up in {orders} ways.", "A group[| of {k}] does not care who was named first."),
        ),
        "total": Tell(
            ("Together that is {leader} × {groups} = {value} choices.", "Multiplying, {leader} × {groups} = {value}.",
             "What is wanted is the product {leader} × {groups} = {value}."),
            ("[Every leader|Each of the {leader} leaders] can be combined with every group of helpers.",
             "The two stages are independent once the leader is [known|one of the {leader}]."),
        ),
        "check": Tell((
            "In another way: there are {other} groups of {size}, and any of the {size} can be the leader, which is {other} × {size} = {total}.",
            "Choosing all {size} first ({other} ways) and the leader among them gives {other} × {size} = {total} too.",
        )),
    },
)  # fmt: skip

LETTERS = Slot(r"[A-Z]{4,11}", str)
WORDS = words(
    "BANANA LETTER COFFEE PEPPER BALLOON TOMATO POTATO RABBIT SUMMER WINTER KITTEN MIRROR PUZZLE HAMMER VALLEY CARROT BOTTLE COTTON SADDLE "
    "MEADOW PLANET GARDEN BRIDGE CANDLE SILVER ORANGE ISLAND MARBLE TUNNEL LADDER PILLOW FEATHER LANTERN PARROT TEAPOT CIRCLE PEBBLE DAGGER "
    "BUTTER BARREL COBALT NEEDLE SHADOW WILLOW TIMBER NICKEL ACACIA COCOA PAPAYA TATTOO BUTTERFLY COMMITTEE MISSISSIPPI RACCOON ASSASSIN "
    "CINNAMON CROSSROADS TENNESSEE HORSESHOE GRASSHOPPER SUCCESS POSSESS BASEBALL CALENDAR CATHEDRAL CHOCOLATE PINEAPPLE MUSHROOM NOTEBOOK "
    "ELEPHANT FOOTBALL KANGAROO DANDELION AVOCADO ARMADILLO INDIGO OTTER PANDA SALSA KAYAK LEVEL RADAR CIVIC ONION APPLE MAMMAL ERROR MINIMUM "
    "POPPY TABOO"
)


def _draw_letters(rng: random.Random) -> Params:
    return {
        "name": rng.choice(NAMES),
        "word": rng.choice(WORDS),
        "thing": rng.choice(("tiles", "cards", "wooden blocks", "magnets", "stamps", "beads")),
    }


def _work_letters(p: Params, book: Notebook) -> str:
    letters: str = p["word"]
    number = len(letters)
    total = book.step("all", factorial(number), number=number, product=" × ".join(str(factor) for factor in range(number, 0, -1)))
    repeated = sorted(letter for letter in set(letters) if letters.count(letter) > 1)
    for letter in repeated:
        times = letters.count(letter)
        total = book.step(
            "repeat", Fraction(total, factorial(times)), ratio, letter=letter, times=times, orders=factorial(times), so_far=ratio(Fraction(total))
        )
    if not repeated:
        book.note("different", number=number, total=total)
    return ratio(Fraction(total))


ARRANGEMENTS = Family(
    name="arranging_letters",
    about=("sorting", "combinatorics", "permutations", "counting", "factorial", "words", "discrete mathematics", "language"),
    slots={"name": word(NAMES), "word": LETTERS, "thing": word(("tiles", "cards", "wooden blocks", "magnets", "stamps", "beads"))},
    phrasings=(
        "{name} has letter {thing} that spell {word}. How many different rows can be laid with all of them?",
        "In how many different orders can {name} put the letters of {word}, written on {thing}?",
        "How many distinct arrangements do the letters of {word} have, if {name} uses all of the {thing} every time?",
    ),
    draw=_draw_letters,
    work=_work_letters,
    openings=(
        "First treat all letters of {word} as different, then [see which arrangements look the same|take care of letters that occur twice or more].",
        "The number of orders of different things is a factorial. [Equal letters make some of these orders look alike|Whether {word} repeats a "
        "letter decides what to do with it].",
        "Paint the {thing} of {word} in different colours to tell them apart, count, and [wash the paint off again|then remove the paint].",
        "Fill the row for {word} from left to right, and [ask how many letters are available for each place|see how the choice shrinks].",
    ),
    tellings={
        "all": Tell(
            ("{number} different letters have {number}! = {product} = {value} orders.", "That gives {product} = {value} orders.",
             "For {number} places there are {product} = {value} ways."),
            ("Each place filled leaves one letter [of {word} |]fewer for the next.",
             "The first place has {number} candidates, the next one fewer, and so on.",
             "Choices one after the other multiply[|, {number} at first]."),
        ),
        "repeat": Tell(
            ("The letter {letter} occurs {times} times, so {so_far} ÷ {orders} = {value}.",
             "Because of the {times} letters {letter}, divide by {orders}: {so_far} ÷ {orders} = {value}.",
             "The {times} copies of {letter} can change places in {orders} ways without being noticed, hence {so_far} ÷ {orders} = {value}."),
            ("Swapping equal letters[|, such as two of {letter},] changes nothing that can be seen.",
             "Rows that differ only by equal letters [have been|of {word} have been] counted more than once.",
             "What looks the same[|, whichever {letter} comes first,] should be counted once."),
        ),
        "different": Tell(
            ("No letter of {word} occurs twice, so all {total} rows look different.",
             "All {number} letters differ, and nothing has been counted twice.", "Since {word} repeats no letter, {total} stands."),
            ("It remains to see whether a letter repeats.", "Equal letters would make some rows look alike."),
        ),
    },
)  # fmt: skip

CLUBS = (
    ("tea", "coffee", "drink"), ("a cat", "a dog", "keep"), ("French", "Spanish", "speak"), ("tennis", "chess", "play"),
    ("the guitar", "the piano", "play"), ("cheese", "honey", "eat"), ("novels", "comics", "read"), ("a bicycle", "a bus pass", "use"),
)  # fmt: skip


def _draw_sets(rng: random.Random) -> Params:
    one, two, verb = rng.choice(CLUBS)
    both, only_a, only_b, neither = (rng.randint(2, 90) for _ in range(4))
    numbers = {"n": both + only_a + only_b + neither, "a": both + only_a, "b": both + only_b, "both": both}
    return {"town": rng.choice(TOWNS), "verb": verb, "one": one, "two": two, **numbers}


def _work_sets(p: Params, book: Notebook) -> str:
    plus = book.step("plus", p["a"] + p["b"])
    union = book.step("union", plus - p["both"], plus=plus)
    neither = book.step("neither", p["n"] - union, union=union)
    book.note("check", only_a=p["a"] - p["both"], only_b=p["b"] - p["both"], neither=neither)
    return str(neither)


SETS = Family(
    name="inclusion_exclusion",
    about=("sets", "venn", "survey", "counting", "inclusion exclusion", "statistics", "logic", "data"),
    slots={"town": word(TOWNS), "verb": word(sorted({club[2] for club in CLUBS})), "one": word([club[0] for club in CLUBS]),
        "two": word([club[1] for club in CLUBS]), "n": INT, "a": INT, "b": INT, "both": INT},
    phrasings=(
        "Of {n} people asked in {town}, {a} {verb} {one}, {b} {verb} {two}, and {both} {verb} both. How many {verb} neither?",
        "A survey of {n} people in {town} finds that {a} {verb} {one} and {b} {verb} {two}; {both} of these {verb} both. How many of those asked "
        "{verb} neither of the two?",
        "{n} inhabitants of {town} answer two questions. {a} of them {verb} {one}, {b} {verb} {two}, {both} {verb} both. What is the number of "
        "people who {verb} neither?",
    ),
    draw=_draw_sets,
    work=_work_sets,
    openings=(
        "Two circles that overlap help here: one for {one}, one for {two}. [Whoever stands outside both is counted in the answer|The answer lies "
        "outside both circles].",
        "Those with neither are everybody except those with at least one. [So count the latter first|At least one is easier to count].",
        "The {both} people who {verb} both appear in two of the given numbers. [That has to be put right|This is the trap].",
        "Start with those who {verb} at least one of the two, and [take them away from the {n}|see who is left of the {n}].",
    ),
    tellings={
        "plus": Tell(
            ("The two groups together have {a} + {b} = {value} entries.", "Adding them gives {a} + {b} = {value}.",
             "On the two lists stand {a} + {b} = {value} names."),
            ("Put the lists of [both groups|the {a} and of the {b}] under each other.",
             "A first count [adds both groups|takes both groups in full]."),
        ),
        "union": Tell(
            ("Without the double entries, {plus} - {both} = {value} people {verb} at least one.",
             "So {plus} - {both} = {value} different people are on the lists.",
             "At least one of the two holds for {plus} - {both} = {value} people."),
            ("Those {both} with both were counted twice, so they are taken off once.",
             "A person on both lists[|, one of the {both},] is still one person.", "The overlap of {both} must not be counted double."),
        ),
        "neither": Tell(
            ("The other {n} - {union} = {value} {verb} neither.", "That leaves {n} - {union} = {value} people.",
             "{n} - {union} = {value} of those asked are on no list."),
            ("Everybody who was asked[| in {town}] is on some list or on none.", "The rest of the {n} people is what the question is about."),
        ),
        "check": Tell((
            "The four parts {only_a}, {both}, {only_b} and {neither} add up to {n}.",
            "Only the first: {only_a}, only the second: {only_b}, both: {both}, neither: {neither}; the sum is {n}.",
        )),
    },
)  # fmt: skip
