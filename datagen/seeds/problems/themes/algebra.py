"""Problems with an unknown: equations, ages, heads and legs, sequences, mixtures."""

from __future__ import annotations

import random
from fractions import Fraction

from datagen.seeds.problems.family import INT, Family, Notebook, Params, Tell, word
from datagen.seeds.problems.wording import NAMES, ordinal, ratio

LETTERS = ("x", "y", "z", "t", "n", "k", "w")


def _draw_linear(rng: random.Random) -> Params:
    a, c = sorted(rng.sample(range(2, 16), 2), reverse=True)
    x, b = rng.randint(-30, 80), rng.randint(1, 99)
    d = (a - c) * x + b
    return {"x": rng.choice(LETTERS), "a": a, "b": b, "c": c, "d": d} if d > 0 and x else _draw_linear(rng)


def _work_linear(p: Params, book: Notebook) -> str:
    coefficient = book.step("gather", p["a"] - p["c"])
    constant = book.step("move", p["d"] - p["b"], coefficient=coefficient)
    value = book.step("divide", Fraction(constant, coefficient), ratio, constant=constant, coefficient=coefficient)
    book.note("check", left=p["a"] * value + p["b"], right=p["c"] * value + p["d"], root=value if value > 0 else f"({value})")
    return ratio(value)


LINEAR = Family(
    name="linear_equation",
    about=("geometry", "equation", "algebra", "linear", "unknown", "variable", "balance", "functions"),
    slots={"x": word(LETTERS), "a": INT, "b": INT, "c": INT, "d": INT},
    phrasings=(
        "Solve {a}{x} + {b} = {c}{x} + {d} for {x}.",
        "For which number {x} does {a}{x} + {b} equal {c}{x} + {d}?",
        "Find the value of {x} that makes {a}{x} + {b} = {c}{x} + {d} true.",
        "Two lines have the equations y1 = {a}{x} + {b} and y2 = {c}{x} + {d}. At which {x} do they meet?",
    ),
    draw=_draw_linear,
    work=_work_linear,
    openings=(
        "The unknown stands on both sides, so [the first aim is to have {x} on one side only|collect the {x} terms on one side and the numbers on "
        "the other].",
        "An equation is a balance: whatever is done to {a}{x} + {b} must be done to {c}{x} + {d} too.",
        "Every move below changes both sides in the same way, so [the solution stays the same|no solution is lost or gained], and in the end {x} "
        "stands alone.",
        "{a}{x} + {b} and {c}{x} + {d} agree for just one number, because their slopes {a} and {c} differ.",
    ),
    tellings={
        "gather": Tell(
            ("Taking {c}{x} from both sides leaves {value}{x} + {b} = {d}, as {a} - {c} = {value}.",
             "Since {a} - {c} = {value}, the equation becomes {value}{x} + {b} = {d}.",
             "With {a}{x} - {c}{x} = {value}{x}, what remains is {value}{x} + {b} = {d}."),
            ("The smaller multiple, {c}{x}, is the one to remove, because then the coefficient stays positive.",
             "Subtracting {c}{x} clears the right side of the unknown.", "Both sides contain at least {c}{x}, so that much can go."),
        ),
        "move": Tell(
            ("Then {coefficient}{x} = {d} - {b} = {value}.", "Subtracting {b} gives {coefficient}{x} = {value}.",
             "Without the {b}, {coefficient}{x} = {d} - {b} = {value}."),
            ("The {b} is in the way, and subtracting it from both sides removes it.", "Next the number {b} has to leave the side of the unknown.",
             "To isolate the multiple of {x}, undo the addition of {b}."),
        ),
        "divide": Tell(
            ("Dividing by {coefficient}, {x} = {constant}/{coefficient} = {value}.", "So {x} = {constant} ÷ {coefficient} = {value}.",
             "One {x} is therefore {constant} ÷ {coefficient} = {value}."),
            ("The coefficient {coefficient} multiplies {x}, and division undoes it.",
             "If {coefficient} copies of {x} make {constant}, one copy is that divided by {coefficient}.",
             "Last, undo the multiplication[| by {coefficient}]."),
        ),
        "check": Tell((
            "Putting it in: {a} × {root} + {b} = {left} and {c} × {root} + {d} = {right}, the same on both sides.",
            "With {x} = {root} the left side is {left} and so is the right side.",
        )),
    },
)  # fmt: skip


_TIMES = ("three times", "four times", "five times")


def _draw_age(rng: random.Random) -> Params:
    old, young = rng.sample(NAMES, 2)
    times, years = rng.randint(3, 5), rng.randint(2, 15)
    now = rng.randint(3, max(3, 96 // times - years))  # nobody lives to more than about a hundred
    return {"old": old, "young": young, "gap": (times - 1) * (now + years), "times": _TIMES[times - 3], "years": years}


def _work_age(p: Params, book: Notebook) -> str:
    times = _TIMES.index(p["times"]) + 3
    book.note("gap", more=times - 1)
    then = book.step("then", p["gap"] // (times - 1), more=times - 1)
    now = book.step("now", then - p["years"], then=then)
    if now <= 0:
        raise ValueError("nobody is that young")
    book.note("check", then=then, old_then=then + p["gap"], now=now)
    return str(now)


AGES = Family(
    name="ages",
    about=("age", "algebra", "equation", "word problems", "reasoning", "family"),
    slots={"old": word(NAMES), "young": word(NAMES), "gap": INT, "times": word(_TIMES), "years": INT},
    phrasings=(
        "{old} is {gap} years older than {young}. In {years} years {old} will be {times} as old as {young}. How old is {young} today?",
        "{years} years from now, {old} will be {times} as old as {young}; the difference between their ages is {gap} years. What is {young}'s age "
        "now?",
        "{young} is {gap} years younger than {old}, who will be {times} as old as {young} in {years} years. How many years old is {young} at "
        "present?",
    ),
    draw=_draw_age,
    work=_work_age,
    openings=(
        "Ages change, but the difference of {gap} years [between {old} and {young} never does|stays the same for life]. That is the handle on this "
        "problem.",
        "Look at the day, {years} years ahead, when {old} is {times} as old as {young}, [and work back to today|then return to the present].",
        "One could write an equation, but a picture is quicker: on the day in question {old}'s age consists of equal blocks as long as {young}'s "
        "age.",
        "Two facts are given about {old} and {young}: the gap of {gap} years, and how the ages compare in {years} years.",
    ),
    tellings={
        "gap": Tell(
            ("On that day the {gap} years between them equal {more} × {young}'s age.",
             "{old} is then ahead by {more} × {young}'s age, and that lead is {gap} years.",
             "So the lead of {gap} years is {more} × the age of {young} on that day."),
            ("Being {times} as old means being older by a whole multiple of the younger age.",
             "The lead is the same as today, because [both|{old} and {young}] grow older together.",
             "What {old} has beyond {young}'s own age is the difference between them."),
        ),
        "then": Tell(
            ("Then {young} will be {gap} ÷ {more} = {value} years old.", "In {years} years {young}'s age is {gap} ÷ {more} = {value}.",
             "Dividing, {gap} ÷ {more} = {value}: that is {young}'s age in {years} years."),
            ("Dividing the lead [of {gap} years |]by the number of blocks gives one block.",
             "{more} equal parts of {gap} years have to be separated.",
             "One part of the lead is just {young}'s age at that time."),
        ),
        "now": Tell(
            ("Today {young} is {then} - {years} = {value}.", "Going back {years} years, {young} is {then} - {years} = {value} now.",
             "That is {years} years ahead, so at present the age is {then} - {years} = {value}."),
            ("The question asks about today, not about [the day ahead|the day in {years} years].",
             "The age just found lies {years} years in the future.",
             "Step back [from the future|by {years} years] to the present."),
        ),
        "check": Tell((
            "In {years} years the two will be {then} and {old_then}, and {old_then} is {times} {then}.",
            "{old} will be {old_then} when {young} is {then}, [as required|which fits the question].",
        )),
    },
)  # fmt: skip

HERDS = (
    ("hens", "rabbits", "farmyard"),
    ("ducks", "goats", "meadow"),
    ("geese", "sheep", "barn"),
    ("ostriches", "zebras", "park"),
    ("turkeys", "cows", "pasture"),
    ("peacocks", "ponies", "stable yard"),
)


def _draw_legs(rng: random.Random) -> Params:
    two, four, place = rng.choice(HERDS)
    birds, beasts = rng.randint(4, 120), rng.randint(4, 120)
    return {"name": rng.choice(NAMES), "two": two, "four": four, "place": place, "heads": birds + beasts, "legs": 2 * birds + 4 * beasts}


def _work_legs(p: Params, book: Notebook) -> str:
    fewest = book.step("fewest", 2 * p["heads"])
    extra = book.step("extra", p["legs"] - fewest, fewest=fewest)
    beasts = book.step("beasts", extra // 2, extra=extra)
    book.note("check", beasts=beasts, birds=p["heads"] - beasts, bird_legs=2 * (p["heads"] - beasts), beast_legs=4 * beasts)
    return str(beasts)


LEGS = Family(
    name="heads_and_legs",
    about=("algebra", "system of equations", "simultaneous equations", "biology", "animals", "word problems"),
    slots={"name": word(NAMES), "two": word([herd[0] for herd in HERDS]), "four": word([herd[1] for herd in HERDS]),
        "place": word([herd[2] for herd in HERDS]), "heads": INT, "legs": INT},
    phrasings=(
        "In a {place} {name} counts {heads} heads and {legs} legs. There are only {two} and {four}. How many {four} are there?",
        "{name} keeps {two} and {four} in a {place}, {heads} animals with {legs} legs in all. What is the number of {four}?",
        "A {place} holds {two} and {four}. {name} finds that together they have {heads} heads and {legs} legs. How many of them are {four}?",
    ),
    draw=_draw_legs,
    work=_work_legs,
    openings=(
        "Suppose for a moment that all {heads} animals were {two}. [The legs that are then missing|The missing legs] give the {four} away.",
        "Two kinds of animals, two counts: heads and legs. [Start from an extreme case|An extreme case helps], with nothing but {two} in the "
        "{place}.",
        "{name} could set up two equations, but the same thing can be said in words: every animal has at least two legs, and only {four} have more.",
        "Let every one of the {heads} animals stand on two legs and count what is left of the {legs}.",
    ),
    tellings={
        "fewest": Tell(
            ("{heads} animals with two legs each have {heads} × 2 = {value} legs.", "If all were {two}, there would be 2 × {heads} = {value} legs.",
             "Two legs for each head make {value} legs."),
            ("The smallest possible number of legs [is a good place to start|for {heads} heads is a good place to start].",
             "Begin with a case that is certainly too small[| for {legs} legs].",
             "No animal [here|in the {place}] has fewer than two legs."),
        ),
        "extra": Tell(
            ("But {name} counts {legs}, that is {legs} - {fewest} = {value} more.", "The count exceeds this by {legs} - {fewest} = {value} legs.",
             "So {legs} - {fewest} = {value} legs are still without an owner."),
            ("The surplus can only come from the {four}.", "What goes beyond that belongs to [animals with four legs|the {four}].",
             "Comparing with the true count[|, {legs},] shows how far the assumption is off."),
        ),
        "beasts": Tell(
            ("Hence there are {extra} ÷ 2 = {value} {four}.", "That makes {extra} ÷ 2 = {value} {four}.",
             "{value} {four} account for the {extra} extra legs."),
            ("Each of the {four} has two legs more than assumed.", "Turning one of the {two} into one of the {four} adds two legs.",
             "Every surplus pair of legs stands for [one animal|one of the {four}]."),
        ),
        "check": Tell((
            "With {birds} {two} and {beasts} {four} there are {bird_legs} + {beast_legs} = {legs} legs, [just as counted|as {name} saw].",
            "{beasts} {four} and {birds} {two} make {heads} heads, and {bird_legs} + {beast_legs} = {legs} legs.",
        )),
    },
)  # fmt: skip

ROWS = (
    "seats in a row of a theatre",
    "bricks in a course of a wall",
    "tiles in a row of a floor",
    "cans in a layer of a display",
    "plants in a row of a vineyard",
    "stamps on an album page",
)


def _draw_sequence(rng: random.Random) -> Params:
    return {"rows": rng.choice(ROWS), "first": rng.randint(5, 60), "step": rng.randint(2, 9), "n": rng.randint(8, 40)}


def _work_sequence(p: Params, book: Notebook) -> str:
    jumps = book.step("jumps", p["n"] - 1)
    last = book.step("last", p["first"] + jumps * p["step"], jumps=jumps)
    pair = book.step("pair", p["first"] + last, last=last)
    total = book.step("total", Fraction(pair * p["n"], 2), ratio, pair=pair)
    return ratio(total)


SEQUENCE = Family(
    name="arithmetic_series",
    about=("averages", "interest", "geometry", "sequence", "series", "arithmetic", "pattern", "sum", "progression", "induction"),
    slots={"rows": word(ROWS), "first": INT, "step": INT, "n": INT},
    phrasings=(
        "The number of {rows} starts at {first} and grows by {step} each time. How many are there altogether in the first {n}?",
        "Counting {rows}, the first has {first}, and every following one has {step} more than the one before. What is the total over {n} of them?",
        "{n} numbers describe the {rows}: {first} to begin with, then always {step} more. What do they add up to?",
    ),
    draw=_draw_sequence,
    work=_work_sequence,
    openings=(
        "Adding {n} numbers one by one would work, [but pairing the first with the last is faster|but there is a pattern to use], since the numbers "
        "grow evenly by {step}.",
        "The numbers form an arithmetic sequence, [from {first} upwards in steps of {step}|with first term {first} and step {step}]. Its sum needs "
        "only the first term, the last term and how many there are.",
        "[As young Gauss is said to have noticed|An old trick helps]: in an even sequence the first and the last number together are as much as the "
        "second and the last but one.",
        "First find the last of the {n} numbers, then [average the two ends|use the ends to find the sum].",
    ),
    tellings={
        "jumps": Tell(
            ("From the first to the last there are {n} - 1 = {value} steps.", "{n} numbers have {value} gaps between them.",
             "Between {n} terms lie {n} - 1 = {value} increases."),
            ("The first number[|, {first},] has not grown yet, so there is one increase fewer than there are numbers.",
             "Gaps are one fewer than the [things|{n} things] they separate.",
             "Mind the fence posts[|, {n} of them]: terms and steps are not equally many."),
        ),
        "last": Tell(
            ("The last number is {first} + {jumps} × {step} = {value}.", "So the {n_th} number is {first} + {jumps} × {step} = {value}.",
             "After {jumps} increases of {step} we are at {first} + {jumps} × {step} = {value}."),
            ("Every increase adds {step}, and equal increases can be multiplied.", "Starting from {first}, the growth is {jumps} times {step}."),
        ),
        "pair": Tell(
            ("First and last together make {first} + {last} = {value}.", "The two ends add up to {first} + {last} = {value}.",
             "A pair of opposite terms has the sum {first} + {last} = {value}."),
            ("Going inwards from both ends, one term gains what the other loses[|, {step} each time], so all pairs have the same sum.",
             "Pairs from the outside in are all equal, because +{step} and -{step} cancel."),
        ),
        "total": Tell(
            ("The sum is {pair} × {n} ÷ 2 = {value}.", "Half of {n} such pairs gives {pair} × {n}/2 = {value}.",
             "In all that is {n} × {pair} ÷ 2 = {value}."),
            ("{n} terms make half as many pairs.",
             "Writing the row[| of {n} numbers] twice, once backwards, counts everything double, hence the division by 2.",
             "The average term is half of {pair}, and there are {n} terms."),
        ),
    },
    more=lambda params: {"n_th": ordinal(params["n"])},
)  # fmt: skip

LIQUIDS = ("orange juice", "vinegar", "alcohol", "salt solution", "syrup", "acid", "antifreeze", "sugar solution")


def _draw_mixture(rng: random.Random) -> Params:
    while True:
        a, b, p, q = rng.randint(2, 30), rng.randint(2, 30), rng.randint(4, 96), rng.randint(4, 96)
        if p != q and (a * p + b * q) % (a + b) == 0:
            return {"name": rng.choice(NAMES), "liquid": rng.choice(LIQUIDS), "a": a, "b": b, "p": p, "q": q}


def _work_mixture(p: Params, book: Notebook) -> str:
    one = book.step("one", Fraction(p["a"] * p["p"], 100), _litres)
    two = book.step("two", Fraction(p["b"] * p["q"], 100), _litres)
    pure = book.step("pure", one + two, _litres, one=_litres(one), two=_litres(two))
    share = book.step("share", pure * 100 / (p["a"] + p["b"]), ratio, pure=_litres(pure), all=p["a"] + p["b"])
    book.note("check", low=min(p["p"], p["q"]), high=max(p["p"], p["q"]), share=ratio(share))
    return ratio(share)


def _litres(value: Fraction) -> str:
    return f"{float(value):.2f}".rstrip("0").rstrip(".")


MIXTURE = Family(
    name="mixture",
    about=("ratio", "finance", "mixture", "chemistry", "concentration", "percent", "solution", "weighted average", "algebra"),
    slots={"name": word(NAMES), "liquid": word(LIQUIDS), "a": INT, "b": INT, "p": INT, "q": INT},
    phrasings=(
        "{name} mixes {a} litres of {p}% {liquid} with {b} litres of {q}% {liquid}. [What is the strength of the mixture|How strong is the "
        "mixture|How strong is what {name} gets], in percent?",
        "{a} litres of {liquid} at {p}% and {b} litres at {q}% are poured together by {name}. What percentage [does the mixture have|of {liquid} "
        "does the mixture have|has the mixture|results]?",
        "Into a tank {name} pours {a} litres of {p}% {liquid} and then {b} litres of {q}% {liquid}. How many percent strong is [the content of the "
        "tank|the tank's content|the {liquid} in the tank now]?",
    ),
    draw=_draw_mixture,
    work=_work_mixture,
    openings=(
        "Percentages cannot simply be averaged here, because the amounts {a} and {b} [differ in weight|count]. What can be added is the pure "
        "substance.",
        "Follow the pure part: so much from the {p}% liquid, so much from the {q}% liquid, [all of it in one tank|and all of it ends up in the "
        "mixture].",
        "The strength of a mixture is pure substance divided by total amount, so [both have to be found|these two numbers are needed].",
        "When {name} pours the liquids together, nothing gets lost: [litres add up and pure parts add up|neither litres nor the pure part].",
    ),
    tellings={
        "one": Tell(
            ("The first part holds {a} × {p}/100 = {value} litres of pure substance.", "{p}% of {a} litres is {value} litres.",
             "In the {a} litres there are {a} × {p} ÷ 100 = {value} litres of the pure part."),
            ("{p}% means {p} parts in a hundred are pure.", "Start with the liquid of {p}%.",
             "A strength[| of {p}%] only says something together with an amount."),
        ),
        "two": Tell(
            ("The second part brings {b} × {q}/100 = {value} litres.", "{q}% of {b} litres is {value} litres.",
             "From the other {b} litres come {b} × {q} ÷ 100 = {value} litres."),
            ("The liquid of {q}% is treated alike.", "The same calculation for [the second amount|{b} litres] follows.",
             "Now the other container[|, that of {b} litres]."),
        ),
        "pure": Tell(
            ("Together {one} + {two} = {value} litres are pure.", "The tank holds {one} + {two} = {value} litres of it.",
             "That is {one} + {two} = {value} litres of pure substance in all."),
            ("What was pure before is pure after, so the two amounts[|, {one} and {two} litres,] are added.",
             "Mixing moves the {liquid} without making or destroying any."),
        ),
        "share": Tell(
            ("The strength is {pure} ÷ {all} = {value}%.", "Out of {all} litres, {pure} are pure, which is {value} percent.",
             "In percent that is {pure}/{all} × 100 = {value}."),
            ("There are {a} + {b} = {all} litres now, and the share is taken of all of them.",
             "Dividing by the whole {all} litres turns litres back into a share."),
        ),
        "check": Tell((
            "The value lies between {low}% and {high}%, [as a mixture must|where it has to be].",
            "Since {share} is between {low} and {high}, the size is right.",
        )),
    },
)  # fmt: skip
