"""Problems about money and sharing: shopping, discounts, coins, interest, ratios, averages, mixtures."""

from __future__ import annotations

import random

from datagen.seeds.problems.family import CENTS, INT, INTS, Family, Notebook, Params, Tell, word
from datagen.seeds.problems.wording import NAMES, money

GOODS = (
    "notebooks",
    "mugs",
    "lamps",
    "candles",
    "posters",
    "puzzles",
    "scarves",
    "baskets",
    "brushes",
    "plants",
    "bowls",
    "kites",
    "torches",
    "maps",
)
EXTRAS = ("pens", "stickers", "postcards", "ribbons", "badges", "pencils", "envelopes", "clips", "beads", "labels", "magnets", "erasers")


def _draw_shopping(rng: random.Random) -> Params:
    n, price, m, small = rng.randint(2, 9), rng.randint(12, 90) * 25, rng.randint(3, 15), rng.randint(1, 15) * 10
    bill = next(note for note in (2000, 5000, 10000, 20000, 50000) if note > n * price + m * small)
    names = {"name": rng.choice(NAMES), "goods": rng.choice(GOODS), "extras": rng.choice(EXTRAS)}
    return {**names, "n": n, "price": price, "m": m, "small": small, "bill": bill}


def _work_shopping(p: Params, book: Notebook) -> str:
    first = book.step("first", p["n"] * p["price"], money)
    second = book.step("second", p["m"] * p["small"], money)
    total = book.step("total", first + second, money, first=money(first), second=money(second))
    change = book.step("change", p["bill"] - total, money, total=money(total))
    book.note("check", change=money(change), total=money(total))
    return money(change)


SHOPPING = Family(
    name="shopping_change",
    about=("finance", "saving", "interest", "arithmetic", "money", "shopping", "addition", "multiplication", "budget", "economics", "price"),
    slots={
        "name": word(NAMES), "goods": word(GOODS), "extras": word(EXTRAS), "n": INT, "price": CENTS, "m": INT, "small": CENTS, "bill": CENTS,
    },
    phrasings=(
        "{name} buys {n} {goods} at ${price} each and {m} {extras} at ${small} each, and pays with ${bill}. [How much change is due|How many dollars "
        "of change come back]?",
        "A stall sells {goods} for ${price} apiece and {extras} for ${small} apiece. {name} takes {n} {goods} and {m} {extras} and hands over "
        "${bill}. What is the change in dollars?",
        "With ${bill} in hand, {name} picks up {n} {goods} (${price} each) and {m} {extras} (${small} each). How much money is left after paying?",
        "At the market, {goods} cost ${price} each and {extras} ${small} each. How many dollars remain of ${bill} once {name} has paid for {n} "
        "{goods} and {m} {extras}?",
    ),
    draw=_draw_shopping,
    work=_work_shopping,
    openings=(
        "{name} [spends money in two places|has two things to pay for]: the {goods} and the {extras}. [Each gets its own product, and the two are "
        "added before they are taken from ${bill}|Work out each cost, add them, and only then look at the ${bill}].",
        "The change is whatever the ${bill} does not have to cover, so [the total price comes first|find what {name} owes first].",
        "Two kinds of goods are bought, {n} {goods} and {m} {extras}. [Their costs are found one at a time|Take them one after the other].",
        "To know what is left of ${bill}, [we need the full bill|add up the full bill] for the {goods} and {extras}.",
    ),
    tellings={
        "first": Tell(
            ("{n} {goods} at ${price} each come to {n} × {price} = {value} dollars.", "For the {goods}, {name} pays {n} × {price} = {value} dollars.",
             "The {goods} cost {n} × ${price} = ${value}."),
            ("Every one of the {n} {goods} has the same price, so [a product replaces repeated addition|multiplying saves adding the price {n} "
             "times].",
             "[Begin|Start] with the {goods}, which all cost the same.", "Equal prices call for multiplication: {n} times ${price}."),
        ),
        "second": Tell(
            ("{m} {extras} at ${small} each add {m} × {small} = {value} dollars.", "In the same way the {extras} cost {m} × ${small} = ${value}.",
             "The {m} {extras} come to {m} × {small} = {value} dollars."),
            ("[The {extras} follow the same pattern|The same reasoning holds for the {extras}]: number of pieces times price per piece.",
             "Now the cheaper goods: {m} {extras} at ${small}.", "The {extras} have another price, so they need a product of their own."),
        ),
        "total": Tell(
            ("Together that is {first} + {second} = {value} dollars.", "The whole bill is ${first} + ${second} = ${value}.",
             "{name} owes {first} + {second} = {value} dollars in all."),
            ("Both amounts[|, ${first} and ${second},] are in dollars and both have to be paid, so they are added.",
             "What {name} has to pay is the sum of the two parts.",
             "[Adding the two parts|The sum of the two parts] gives what the cashier asks for."),
        ),
        "change": Tell(
            ("From ${bill}, what comes back is {bill} - {total} = {value} dollars.", "The change is ${bill} - ${total} = ${value}.",
             "After paying, {bill} - {total} = {value} dollars remain."),
            ("Change is the difference between what is handed over and what is owed[|, here ${total}].",
             "Nothing else is bought, so the rest of the ${bill} [comes back|is returned].",
             "The shop keeps ${total} and gives back the rest."),
        ),
        "check": Tell((
            "[As a check|Looking back], {total} + {change} = {bill}, which is what {name} handed over.",
            "The bill of ${total} and the change of ${change} add up to ${bill}, [as they must|so nothing was lost on the way].",
        )),
    },
)  # fmt: skip

SHOPS = ("coat", "bicycle", "desk", "guitar", "tent", "camera", "jacket", "printer", "sofa", "telescope", "suitcase", "keyboard", "blender", "rug")


def _draw_discount(rng: random.Random) -> Params:
    return {
        "name": rng.choice(NAMES),
        "thing": rng.choice(SHOPS),
        "price": rng.randint(4, 60) * 1000,
        "off": rng.randint(1, 12) * 5,
        "tax": rng.choice((4, 6, 8, 10, 20)),
    }


def _work_discount(p: Params, book: Notebook) -> str:
    cut = book.step("cut", p["price"] * p["off"] // 100, money)
    reduced = book.step("reduced", p["price"] - cut, money, cut=money(cut), keep=100 - p["off"])
    tax = book.step("tax", reduced * p["tax"] // 100, money, reduced=money(reduced))
    final = book.step("final", reduced + tax, money, reduced=money(reduced), tax_part=money(tax))
    book.note("check", keep=100 - p["off"], up=100 + p["tax"], final=money(final))
    return money(final)


DISCOUNT = Family(
    name="discount_and_tax",
    about=("saving", "interest", "percent", "percentage", "discount", "tax", "money", "price", "economics", "finance", "shopping"),
    slots={"name": word(NAMES), "thing": word(SHOPS), "price": CENTS, "off": INT, "tax": INT},
    phrasings=(
        "A {thing} is priced at ${price}. {name} gets {off}% off, and then {tax}% sales tax is added. [What does {name} pay in dollars|How many "
        "dollars does {name} pay]?",
        "{name} finds a {thing} marked ${price} with a {off}% discount. Sales tax of {tax}% applies to the reduced price. What is the final price in "
        "dollars?",
        "The list price of a {thing} is ${price}. After a reduction of {off}% the shop adds {tax}% tax. How much must {name} pay in dollars?",
    ),
    draw=_draw_discount,
    work=_work_discount,
    openings=(
        "Two percentages act one after the other [here|on this {thing}]: the {off}% comes off the list price, and the {tax}% goes onto what is left.",
        "[Mind the order|The order matters for the wording]: the tax is taken on the reduced price of the {thing}, not on ${price}.",
        "The price of the {thing} goes down once and up once. [Handle the discount first|The discount comes first].",
        "{name} pays a price that has been lowered and then taxed, so [there are two small percentage problems|two percentages have to be worked out "
        "in turn].",
    ),
    tellings={
        "cut": Tell(
            ("{off}% of ${price} is {price} × {off}/100 = {value} dollars.", "The discount amounts to {off}/100 × ${price} = ${value}.",
             "Taking {off} hundredths of {price} gives {value}, the dollars saved."),
            ("Percent means hundredths, so {off}% of a price is that price times {off}/100.",
             "The discount is a part of the list price, and [{off}% tells how large a part|its size is {off} parts in a hundred].",
             "First [find|comes] how many dollars the {off}% is worth."),
        ),
        "reduced": Tell(
            ("The reduced price is {price} - {cut} = {value} dollars.", "That leaves ${price} - ${cut} = ${value} before tax.",
             "So the {thing} now costs {price} - {cut} = {value} dollars, tax not yet counted."),
            ("A discount is money that {name} does not have to pay, so it is subtracted.", "Removing {off}% leaves {keep}% of the list price.",
             "What is left [after the saving|when ${cut} are saved] is the new price."),
        ),
        "tax": Tell(
            ("Tax of {tax}% on ${reduced} is {reduced} × {tax}/100 = {value} dollars.", "The tax comes to {tax}/100 × ${reduced} = ${value}.",
             "{tax}% of {reduced} dollars is {value} dollars."),
            ("The tax is counted on what is really charged, ${reduced}.",
             "From here on ${reduced} plays the part of the whole [hundred percent|100%].",
             "Tax is owed on the reduced price, since that is what [changes hands|{name} hands over]."),
        ),
        "final": Tell(
            ("{name} pays {reduced} + {tax_part} = {value} dollars.", "With tax the price is ${reduced} + ${tax_part} = ${value}.",
             "Adding the two, {reduced} + {tax_part} = {value} dollars."),
            ("Tax[| of ${tax_part}] is paid on top, so it is added.", "The shop collects [the reduced price|${reduced}] and the tax together.",
             "Unlike a discount, a tax raises the price[| of the {thing}]."),
        ),
        "check": Tell((
            "The short cut agrees: {price} × {keep}/100 × {up}/100 is {final}[| dollars].",
            "Multiplying ${price} by {keep}% and then by {up}% gives the same ${final}, [because taking a share of a share is multiplication|which "
            "confirms the two steps].",
        )),
    },
)  # fmt: skip


def _draw_interest(rng: random.Random) -> Params:
    return {
        "name": rng.choice(NAMES),
        "sum": rng.randint(2, 50) * 10000,
        "rate": rng.choice((2, 4, 5, 6, 8, 10, 12, 15, 20)),
        "years": rng.choice((2, 2, 3)),
    }


def _work_interest(p: Params, book: Notebook) -> str:
    amount = p["sum"]
    for year in range(1, p["years"] + 1):
        gain = (amount * p["rate"] + 50) // 100
        amount = book.step("year", amount + gain, money, year=year, start=money(amount), gain=money(gain))
    earned = book.step("earned", amount - p["sum"], money, end=money(amount))
    book.note("check", simple=money(p["sum"] * p["rate"] * p["years"] // 100), earned=money(earned))
    return money(amount)


INTEREST = Family(
    name="compound_interest",
    about=("interest", "finance", "bank", "growth", "exponential", "percent", "saving", "economics", "money"),
    slots={"name": word(NAMES), "sum": CENTS, "rate": INT, "years": INT},
    phrasings=(
        "{name} puts ${sum} into an account that pays {rate}% interest a year, compounded yearly. [How many dollars are in the account|What is the "
        "balance in dollars] after {years} years, [rounding each year|if every year is rounded] to the cent?",
        "A deposit of ${sum} grows by {rate}% every year, each year's interest being rounded to the cent. [What is it worth in dollars when|How many "
        "dollars is it worth when] {name} "
        "closes the account after {years} years?",
        "{name} lends ${sum} at {rate}% compound interest (added once a year, rounded to the cent). [What sum is due in dollars after|How many "
        "dollars are due after|What must be paid back, in dollars, after] {years} years?",
    ),
    draw=_draw_interest,
    work=_work_interest,
    openings=(
        "With compound interest [each year starts from a larger sum|the base grows], so the {years} years are taken one by one.",
        "Interest on ${sum} is added every year and then earns interest itself. [Follow the balance year by year|A year-by-year table is the safest "
        "way].",
        "A growth of {rate}% a year means that every balance is the one before it plus {rate} hundredths of it.",
        "The ${sum} does not grow by the same number of dollars each year, only by the same percentage.",
    ),
    tellings={
        "year": Tell(
            ("Year {year}: {rate}% of ${start} is ${gain}, so the balance becomes {start} + {gain} = {value} dollars.",
             "In year {year} the interest is {start} × {rate}/100 = {gain} dollars, which makes ${value}.",
             "After year {year} there are {start} + {gain} = {value} dollars, since {rate}% of {start} is {gain}.",
             "At the end of year {year}, ${gain} of interest on ${start} brings the account to ${value}."),
            ("Interest is a share of what is in the account [at the start of the year|when the year begins], {rate} parts in a hundred.",
             "The interest stays in the account, so it counts when the next {rate}% is worked out.",
             "Each year's gain is the rate of {rate}% times the balance so far."),
        ),
        "earned": Tell(
            ("Of this, {end} - {sum} = {value} dollars are interest.", "{name}'s gain is {value} dollars on top of the original {sum}.",
             "The growth over {years} years is ${end} - ${sum} = ${value}."),
            ("[The difference between the last and the first balance shows|Comparing ${end} with ${sum} shows] what the bank [paid|has added].",
             "It helps to see how much of ${end} was earned rather than paid in."),
        ),
        "check": Tell((
            "Simple interest would have given only ${simple}; [the rest of the ${earned} is|what lies above that is] interest on interest.",
            "Without compounding the gain would be {simple} dollars, a little less than {earned}, [as one would expect|and that is the right "
            "direction].",
        )),
    },
)  # fmt: skip


SHARED = ("marbles", "tickets", "seashells", "trading cards", "coins", "chestnuts", "sweets", "tokens", "stamps", "acorns")


def _draw_ratio(rng: random.Random) -> Params:
    a, b, c = rng.sample(range(2, 12), 3)
    first, second, third = rng.sample(NAMES, 3)
    return {
        "first": first,
        "second": second,
        "third": third,
        "items": rng.choice(SHARED),
        "a": a,
        "b": b,
        "c": c,
        "total": (a + b + c) * rng.randint(3, 60),
    }


def _work_ratio(p: Params, book: Notebook) -> str:
    parts = book.step("parts", p["a"] + p["b"] + p["c"])
    part = book.step("part", p["total"] // parts, parts=parts)
    share = book.step("share", p["c"] * part, part=part)
    book.note("check", one=p["a"] * part, two=p["b"] * part, share=share, all=p["total"])
    return str(share)


RATIO = Family(
    name="ratio_sharing",
    about=("chemistry", "cooking", "ratio", "proportion", "fractions", "sharing", "division", "mathematics"),
    slots={"first": word(NAMES), "second": word(NAMES), "third": word(NAMES), "items": word(SHARED), "a": INT, "b": INT, "c": INT, "total": INT},
    phrasings=(
        "{first}, {second} and {third} share {total} {items} in the ratio {a}:{b}:{c}. How many {items} does {third} get?",
        "{total} {items} are divided among {first}, {second} and {third} in the ratio {a} to {b} to {c}. What is {third}'s share?",
        "For every {a} {items} that {first} receives, {second} receives {b} and {third} receives {c}. There are {total} {items} in all. How many go "
        "to {third}?",
    ),
    draw=_draw_ratio,
    work=_work_ratio,
    openings=(
        "A ratio of {a}:{b}:{c} says nothing yet about {items}; it counts equal parts. [Find the size of one part and the rest follows|One part is "
        "the key].",
        "Picture the {total} {items} in equal heaps: {a} for {first}, {b} for {second}, {c} for {third}.",
        "[The plan is to find|What is needed is] the size of one part of the {total} {items}.",
        "{third} holds {c} of the parts, so two questions remain: how many parts are there, and how large is each?",
    ),
    tellings={
        "parts": Tell(
            ("There are {a} + {b} + {c} = {value} parts.", "Altogether {a} + {b} + {c} = {value} equal parts are handed out.",
             "Counting heaps, {a} + {b} + {c} makes {value}."),
            ("[All three shares together|The shares of {first}, {second} and {third}] make up the whole, so [the numbers of the ratio|{a}, {b} and "
             "{c}] are added.",
             "The whole [consists of everybody's parts|of {total} {items} consists of everybody's parts].",
             "Nothing is left over, which means that the parts of {first}, {second} and {third} cover everything."),
        ),
        "part": Tell(
            ("One part is {total} ÷ {parts} = {value} {items}.", "Each part holds {total} ÷ {parts} = {value} {items}.",
             "Dividing the {total} {items} by {parts} gives {value} in a part."),
            ("The {parts} parts are equal, so division gives the size of one.", "{parts} equal parts come out of {total} {items}.",
             "Sharing {total} evenly over {parts} parts is a division."),
        ),
        "share": Tell(
            ("{third} gets {c} × {part} = {value} {items}.", "For {third} that makes {c} × {part} = {value}.",
             "{c} parts of {part} are {value} {items}, and they belong to {third}."),
            ("{third} has {c} of these parts.", "The share asked for is the one with {c} parts.", "Multiplying turns parts back into {items}."),
        ),
        "check": Tell((
            "The three shares {one}, {two} and {share} add up to {all}, [as they should|so nothing is missing].",
            "{first} has {one} and {second} has {two}; with {third}'s {share} that is {all} again.",
        )),
    },
)  # fmt: skip

TESTS = ("quizzes", "spelling tests", "races", "rounds of darts", "weekly tests", "matches", "lab reports", "exams")


def _draw_average(rng: random.Random) -> Params:
    scores = tuple(rng.randint(52, 97) for _ in range(rng.randint(3, 6)))
    goal = sum(scores) // len(scores) + rng.randint(-3, 4)
    return {"name": rng.choice(NAMES), "tests": rng.choice(TESTS), "scores": scores, "goal": goal}


def _work_average(p: Params, book: Notebook) -> str:
    scores = p["scores"]
    have = book.step("have", sum(scores), sum=" + ".join(map(str, scores)))
    need = book.step("need", p["goal"] * (len(scores) + 1), number=len(scores) + 1)
    missing = book.step("missing", need - have, need=need, have=have)
    book.note("check", have=have, missing=missing, all=have + missing, number=len(scores) + 1)
    return str(missing)


AVERAGE = Family(
    name="average_missing_score",
    about=("ratio", "average", "mean", "statistics", "data", "psychology", "score"),
    slots={"name": word(NAMES), "tests": word(TESTS), "scores": INTS, "goal": INT},
    phrasings=(
        "{name}'s scores in the {tests} so far are {scores}. What must the next score be for the mean to be exactly {goal}?",
        "So far the {tests} brought {name} these points: {scores}. How many points does the next one have to bring so that the average is {goal}?",
        "{name} wants an average of {goal} over all {tests}. The results up to now are {scores}, and one is still to come. Which result is needed?",
    ),
    draw=_draw_average,
    work=_work_average,
    openings=(
        "An average hides a sum: [mean times number of scores|the mean multiplied by how many scores there are] gives the total, and totals are easy "
        "to compare.",
        "Turn the wish for a mean of {goal} into a wish for a total, then see how far {name} still has to go.",
        "{name} has some points already and needs a certain total. The next score has to fill the gap.",
        "A mean of {goal} is reached when the points [add up as if every score were {goal}|would be the same if each score were {goal}].",
    ),
    tellings={
        "have": Tell(
            ("So far the points are {sum} = {value}.", "The scores add up to {sum} = {value}.", "{name} already has {sum} = {value} points."),
            ("The order of the scores does not matter for [a mean|a mean of {goal}], only their sum.", "First [take stock|add up] what is there.",
             "Start with the total of [the known|{name}'s] results."),
        ),
        "need": Tell(
            ("For a mean of {goal} over {number} scores the total must be {goal} × {number} = {value}.",
             "{number} scores with mean {goal} have the sum {number} × {goal} = {value}.",
             "The target is {goal} × {number} = {value} points in all."),
            ("After the next one there will be {number} scores.", "Mean = sum ÷ number, so sum = mean × number[|, and the mean is to be {goal}].",
             "Do not forget that the coming score counts too, which makes {number}."),
        ),
        "missing": Tell(
            ("The gap is {need} - {have} = {value} points.", "So the next score has to be {need} - {have} = {value}.",
             "{name} needs {need} - {have} = {value} more."),
            ("Whatever the total lacks has to come from the one score that is [open|still to come].",
             "Only one score is still unknown, and it must supply [the difference|what {have} lacks].",
             "Comparing [the two totals|{need} with {have}] gives the missing score."),
        ),
        "check": Tell((
            "[Indeed|Check]: ({have} + {missing}) ÷ {number} = {all} ÷ {number} = {goal}.",
            "With it the sum is {all}, and {all} ÷ {number} is {goal}, the mean that was wanted.",
        )),
    },
)  # fmt: skip
