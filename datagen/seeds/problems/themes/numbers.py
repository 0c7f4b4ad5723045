"""Problems about numbers: divisors, multiples, primes, fractions, expressions."""

from __future__ import annotations

import random
from fractions import Fraction
from math import gcd, lcm

from datagen.seeds.problems.family import FRACTION, INT, Family, Notebook, Params, Tell, word
from datagen.seeds.problems.wording import NAMES, TOWNS

STRIPS = ("ribbon", "rope", "cable", "wooden lath", "copper wire", "strip of fabric", "garden hose")


def _draw_gcd(rng: random.Random) -> Params:
    unit, (a, b) = rng.randint(4, 60), rng.sample(range(5, 19), 2)
    return {"name": rng.choice(NAMES), "strip": rng.choice(STRIPS), "a": unit * max(a, b), "b": unit * min(a, b)}


def _work_gcd(p: Params, book: Notebook) -> str:
    a, b = p["a"], p["b"]
    while b:
        rest = a % b
        kind = "divide" if rest else "stop"
        book.note(kind, high=a, low=b, times=a // b, often="once" if a // b == 1 else f"{a // b} times", rest=rest)
        a, b = b, rest
    length = book.step("length", a)
    book.note("check", length=length, one=p["a"] // length, two=p["b"] // length)
    return str(length)


GCD = Family(
    name="greatest_common_length",
    about=("geometry", "divisor", "gcd", "euclid", "number theory", "division", "integers", "factor", "algorithm"),
    slots={"name": word(NAMES), "strip": word(STRIPS), "a": INT, "b": INT},
    phrasings=(
        "{name} has one {strip} of {a} cm and another of {b} cm and wants to cut both into equal pieces, as long as possible, with nothing left "
        "over. How many cm long is [a|each] piece?",
        "Two lengths of the same kind of {strip}, {a} cm and {b} cm, are to be cut by {name} into pieces of one common whole length without waste. "
        "What is the greatest possible length [in cm|of a piece in cm]?",
        "What is the largest whole number of centimetres that divides both a {strip} of {a} cm and a {strip} of {b} cm evenly, so that {name} wastes "
        "nothing?",
    ),
    draw=_draw_gcd,
    work=_work_gcd,
    openings=(
        "A piece that fits into {a} cm and into {b} cm without rest has a length that divides both numbers. [The longest one is their greatest "
        "common divisor|So the greatest common divisor is wanted].",
        "{name} is looking for the greatest common divisor of {a} and {b}. [Euclid's method finds it by repeated division|Repeated division finds it "
        "without factoring].",
        "[Trying every length would work|One could test every length], but the method of Euclid is faster: divide, keep the remainder, and divide "
        "again.",
        "Whatever divides {a} and {b} also divides what is left when one is taken from the other. [Euclid built a method on that|That is the whole "
        "idea of the method below].",
    ),
    tellings={
        "divide": Tell(
            ("{high} = {times} × {low} + {rest}, so the next pair is {low} and {rest}.",
             "Dividing {high} by {low} leaves {rest}; go on with {low} and {rest}.", "{low} goes into {high} {often} and leaves {rest}.",
             "The remainder of {high} ÷ {low} is {rest}, which takes the place of {high}."),
            ("A common divisor of {high} and {low} must divide the remainder as well, so the larger number may be replaced by it.",
             "Each division makes the numbers smaller and keeps [their common divisors|the common divisors of {a} and {b}].",
             "The pair may shrink, because the greatest common divisor does not change when the remainder replaces the larger number."),
        ),
        "stop": Tell(
            ("{high} = {times} × {low} exactly, with nothing left.", "Now {low} divides {high} without remainder, since {times} × {low} = {high}.",
             "{high} ÷ {low} = {times} leaves no remainder, and the process stops."),
        ),
        "length": Tell(
            ("The last divisor, {value}, is the greatest common divisor.", "So each piece can be {value} cm long, and no longer.",
             "Hence {value} cm is the longest common piece."),
            ("When the remainder is zero, the number that divided last[|, {value},] is the one we want.",
             "The number that leaves no remainder[|, {value},] divides everything before it."),
        ),
        "check": Tell((
            "{name} gets {one} pieces from the first {strip} and {two} from the second, and {one} and {two} have no common factor left.",
            "As a test, {one} × {length} = {a} and {two} × {length} = {b}.",
        )),
    },
)  # fmt: skip

PAIRS = ("buses", "lighthouses", "ferries", "bells", "trams", "fountains", "alarm clocks", "cable cars")


def _draw_lcm(rng: random.Random) -> Params:
    while True:
        a, b = sorted(rng.sample(range(8, 97), 2))
        if gcd(a, b) > 1 and b % a:
            return {"things": rng.choice(PAIRS), "town": rng.choice(TOWNS), "a": a, "b": b}


def _work_lcm(p: Params, book: Notebook) -> str:
    common = book.step("common", gcd(p["a"], p["b"]))
    reduced = book.step("reduced", p["b"] // common, common=common)
    both = book.step("both", p["a"] * reduced, reduced=reduced)
    book.note("check", both=both, one=lcm(p["a"], p["b"]) // p["a"], two=lcm(p["a"], p["b"]) // p["b"])
    return str(both)


LCM = Family(
    name="meeting_of_cycles",
    about=("biology", "chemistry", "multiple", "lcm", "cycle", "number theory", "period", "schedule", "fractions", "rhythm"),
    slots={"things": word(PAIRS), "town": word(TOWNS), "a": INT, "b": INT},
    phrasings=(
        "In {town}, one of two {things} comes round every {a} minutes and the other every {b} minutes. [Both have just done so together|Just now "
        "both came together|They have just met]. After how many minutes does [that|this] happen again?",
        "Two {things} in {town} start together; the first repeats every {a} minutes, the second every {b}. How many minutes pass until [they|both] "
        "coincide [once more|again]?",
        "The periods of two {things} in {town} are {a} and {b} minutes. [They coincide now|Right now they coincide|At this moment they meet|The "
        "{things} coincide now]. In how many minutes will [they "
        "next|the {things} next] coincide?",
    ),
    draw=_draw_lcm,
    work=_work_lcm,
    openings=(
        "They coincide after a time that is a multiple of {a} and of {b}. The first such time is [the least common multiple|their least common "
        "multiple].",
        "Multiples of {a} are the moments of the first, multiples of {b} those of the second. [The earliest shared one counts|We want the smallest "
        "number in both lists].",
        "The product {a} × {b} would certainly do, but it may be [more than needed|too large], since {a} and {b} share a factor.",
        "Think of both {things} as counting: one by {a}, the other by {b}. [The question is where the counts first meet|Their counts meet at common "
        "multiples].",
    ),
    tellings={
        "common": Tell(
            ("The greatest common divisor of {a} and {b} is {value}.", "{a} and {b} share the factor {value}, and no larger one.",
             "The largest number that divides both {a} and {b} is {value}."),
            ("A shared factor needs to be counted only once, so [it|that of {a} and {b}] is found first.",
             "What {a} and {b} have in common would otherwise be counted twice.", "Look for the part that both periods[|, {a} and {b},] share."),
        ),
        "reduced": Tell(
            ("Without it, {b} becomes {b} ÷ {common} = {value}.", "From {b} there remains {b} ÷ {common} = {value}.",
             "Dividing it out of {b} leaves {b} ÷ {common} = {value}."),
            ("The factor {common} is already contained in {a}, so it can go from {b}.",
             "{a} brings the factor {common} along; {b} only has to supply the rest."),
        ),
        "both": Tell(
            ("The least common multiple is {a} × {reduced} = {value}.", "Multiplying, {a} × {reduced} = {value} minutes.",
             "So they meet after {a} × {reduced} = {value} minutes."),
            ("Now all factors of [both numbers|{a} and {b}] are present, each no more often than necessary.",
             "{a} times the remaining factor contains {a} as well as {b}.", "Put the two parts[|, {a} and {reduced},] together again."),
        ),
        "check": Tell((
            "In that time the first comes round {one} times and the second {two} times.",
            "Both fit: {both} = {one} × {a} = {two} × {b}, and {one} and {two} share no factor, so nothing smaller works.",
        )),
    },
)  # fmt: skip


def _draw_primes(rng: random.Random) -> Params:
    while True:
        number = 1
        for _ in range(rng.randint(3, 5)):
            number *= rng.choice((2, 2, 2, 3, 3, 5, 7, 11, 13))
        if 60 <= number <= 5000:
            return {"name": rng.choice(NAMES), "number": number}


def _work_primes(p: Params, book: Notebook) -> str:
    left, powers, parts, divisor = p["number"], [], [], 2
    while left > 1:
        times = 0
        while left % divisor == 0:
            left, times = left // divisor, times + 1
        if times:
            powers.append((divisor, times))
            book.note(
                "split",
                prime=divisor,
                how="once" if times == 1 else "twice" if times == 2 else f"{times} times",
                left=left,
                before=left * divisor**times,
            )
        divisor += 1
    form = " × ".join(f"{prime}^{times}" if times > 1 else str(prime) for prime, times in powers)
    book.note("form", form=form)
    total = 1
    for prime, times in powers:
        powers_of = [str(prime**power) for power in range(times + 1)]
        part = book.step("part", sum(prime**power for power in range(times + 1)), prime=prime, sum=" + ".join(powers_of))
        total *= part
        parts.append(part)
    total = book.step("sum", total, product=" × ".join(map(str, parts)))
    return str(total)


PRIMES = Family(
    name="sum_of_divisors",
    about=("sets", "prime", "factorisation", "factorization", "divisor", "number theory", "cryptography", "integers"),
    slots={"name": word(NAMES), "number": INT},
    phrasings=(
        "{name} writes down every positive divisor of {number} and adds them up. What is the sum?",
        "What do all positive divisors of {number}, 1 and itself included, add up to? {name} wants to find it by factoring.",
        "Find the sum of all whole numbers that divide {number} without remainder, so that {name} need not list them.",
    ),
    draw=_draw_primes,
    work=_work_primes,
    openings=(
        "[Listing divisors one by one is slow|Testing every number up to {number} is slow]. The prime factors of {number} lead to their sum "
        "directly.",
        "A divisor of {number} is built from the same primes as {number}, [only with fewer copies|with at most as many copies of each].",
        "{name} can avoid trial and error: [factor first, add afterwards|the prime factorisation contains the whole list].",
        "Take {number} apart into primes. [The divisors are then a matter of choosing|Then choose how many copies of each to keep].",
    ),
    tellings={
        "split": Tell(
            ("{prime} divides {before} {how}, which leaves {left}.", "The prime {prime} can be taken out {how}: {before} becomes {left}.",
             "Dividing {before} by {prime} works {how} and ends at {left}."),
            ("Begin with small primes[|, here {prime}], since they are easiest to test.",
             "Each prime[|, {prime} to begin with,] is divided out as often as it fits, so that it never has to be looked at again.",
             "A number without small prime factors is soon a prime itself, which keeps the search short."),
        ),
        "form": Tell(
            ("So {number} = {form}.", "Altogether {number} = {form}.", "The factorisation is {form}."),
            ("Nothing but 1 is left[| of {number}], so all primes have been found.", "With 1 remaining, [the number|{number}] is fully taken apart."),
        ),
        "part": Tell(
            ("The powers of {prime} add up to {sum} = {value}.", "For {prime} the sum is {sum} = {value}.", "From {prime} comes {sum} = {value}."),
            ("A prime may occur in a divisor not at all, once, and so on up to its power in {number}, so its powers are added from 1 on.",
             "For each prime, add up all powers that a divisor of {number} may contain.",
             "Each choice of powers gives one divisor; adding the powers of one prime prepares all these choices at once."),
        ),
        "sum": Tell(
            ("The sum of the divisors is {product} = {value}.", "Multiplied, the parts give {product} = {value}.",
             "All divisors together make {product} = {value}."),
            ("Multiplying these sums out produces every divisor [exactly once|of {number} exactly once].",
             "The product of the sums, written out, is the sum of all products, and these are the divisors[| of {number}]."),
        ),
    },
)  # fmt: skip


def _draw_fractions(rng: random.Random) -> Params:
    def one() -> Fraction:
        below = rng.randint(3, 12)
        return Fraction(rng.randint(1, below - 1), below)

    while True:
        a, b, c = one(), one(), one()
        if len({a.denominator, b.denominator}) == 2 and a + b > c and min(a.denominator, b.denominator, c.denominator) > 1:
            return {"name": rng.choice(NAMES), "a": a, "b": b, "c": c}


def _work_fractions(p: Params, book: Notebook) -> str:
    a, b, c = p["a"], p["b"], p["c"]
    below = lcm(a.denominator, b.denominator, c.denominator)
    tops = [int(part * below) for part in (a, b, c)]
    book.note("below", below=below, d1=a.denominator, d2=b.denominator, d3=c.denominator)
    book.note("widen", aa=f"{tops[0]}/{below}", bb=f"{tops[1]}/{below}", cc=f"{tops[2]}/{below}")
    top = book.step("top", tops[0] + tops[1] - tops[2], first=tops[0], second=tops[1], third=tops[2], below=below)
    book.note("reduce" if gcd(top, below) > 1 else "lowest", top=top, below=below, shared=gcd(top, below), simple=Fraction(top, below))
    return str(Fraction(top, below))


FRACTIONS = Family(
    name="fraction_balance",
    about=("chemistry", "fractions", "common denominator", "rational numbers", "arithmetic", "addition", "cooking", "parts of a whole"),
    slots={"name": word(NAMES), "a": FRACTION, "b": FRACTION, "c": FRACTION},
    phrasings=(
        "{name} fills {a} of a litre and then {b} of a litre of water into a jug and pours {c} of a litre out again. What fraction of a litre [is in "
        "the jug now|does the jug hold now|has {name} in the jug now|remains in the jug|is left to {name} in the end|does {name} find in the jug "
        "afterwards]?",
        "What is {a} + {b} - {c} in lowest terms? {name} wants to see the steps.",
        "From a walk of {a} mile and another of {b} mile, {name} has to take off {c} mile that was counted by mistake. How many miles [remain|are "
        "left|are left of {name}'s way|does {name} really walk], as a fraction in lowest terms?",
    ),
    draw=_draw_fractions,
    work=_work_fractions,
    openings=(
        "Fractions can be added and subtracted once they count pieces of the same size, so {a}, {b} and {c} need a common denominator.",
        "The denominators differ, which means that {a}, {b} and {c} count pieces of different sizes. [Make the pieces equal first|Equal pieces come "
        "first].",
        "{name} has two amounts to add and one to take away. [With equal denominators that is whole-number work|It becomes easy when all pieces are "
        "equally large].",
        "[Denominators such as those of {a} and {b} name the size of the pieces, numerators count them|A denominator tells the size of a piece|What "
        "{a} counts is not what {b} "
        "counts]. Pieces of one size are needed to "
        "combine {a}, {b} and {c}.",
    ),
    tellings={
        "below": Tell(
            ("The least common multiple of {d1}, {d2} and {d3} is {below}.", "{below} is the smallest number that {d1}, {d2} and {d3} all divide.",
             "For {d1}, {d2} and {d3} the common denominator is {below}."),
            ("The common denominator has to be a multiple of [each denominator|{d1}, of {d2} and of {d3}].",
             "Pieces of one {below}th fit all three fractions.",
             "The smaller the common denominator, the smaller the numbers that follow[| for {a}, {b} and {c}]."),
        ),
        "widen": Tell(
            ("Then {a} = {aa}, {b} = {bb} and {c} = {cc}.", "Written with it, the fractions are {aa}, {bb} and {cc}.",
             "In these pieces, {a} is {aa}, {b} is {bb}, and {c} is {cc}."),
            ("Each of {a}, {b} and {c} is widened above and below by a factor of its own.",
             "Multiplying above and below by the same number does not change [a fraction|{a}, {b} or {c}].",
             "A fraction [such as {a}|like {b}] keeps its value when numerator and denominator grow by the same factor."),
        ),
        "top": Tell(
            ("The numerators give {first} + {second} - {third} = {value}, so the result is {value}/{below}.",
             "Counting pieces, {first} + {second} - {third} = {value}, that is {value}/{below}.",
             "Above the line stands {first} + {second} - {third} = {value}, below it {below}."),
            ("With equal pieces, {below} to the whole, only the numerators are added and subtracted.",
             "The size of the pieces stays [the same|one {below}th]; only their number changes.",
             "Now it is a matter of counting [pieces|{below}ths]."),
        ),
        "reduce": Tell(
            ("{top} and {below} share the factor {shared}, so the fraction reduces to {simple}.", "Dividing both by {shared} leaves {simple}.",
             "In lowest terms, {top}/{below} = {simple}."),
            ("A fraction in lowest terms has no common factor above and below[|, unlike {top}/{below}].",
             "It remains to see whether {top}/{below} can be written more simply."),
        ),
        "lowest": Tell(
            ("{top} and {below} have no common factor, so {simple} stands.", "This is already in lowest terms: {simple}.",
             "Nothing divides both {top} and {below}, so it stays {simple}."),
            ("Last, look for a common factor of {top} and {below}.", "Before writing it down, test whether {top}/{below} can be reduced."),
        ),
    },
)  # fmt: skip


def _draw_expression(rng: random.Random) -> Params:
    e = rng.randint(2, 9)
    return {"a": rng.randint(11, 99), "b": rng.randint(3, 15), "c": rng.randint(9, 40), "d": rng.randint(2, 8), "m": e * rng.randint(3, 14), "e": e}


def _work_expression(p: Params, book: Notebook) -> str:
    inside = book.step("inside", p["c"] - p["d"])
    product = book.step("product", p["b"] * inside, inside=inside)
    quotient = book.step("quotient", p["m"] // p["e"])
    first = book.step("first", p["a"] + product, product=product)
    total = book.step("total", first - quotient, first=first, quotient=quotient)
    return str(total)


EXPRESSION = Family(
    name="order_of_operations",
    about=("arithmetic", "order of operations", "expression", "brackets", "parentheses", "algebra", "calculation"),
    slots={name: INT for name in ("a", "b", "c", "d", "m", "e")},
    phrasings=(
        "[Evaluate|Compute|Work out] {a} + {b} × ({c} - {d}) - {m} ÷ {e}.",
        "What is the value of {a} + {b} × ({c} - {d}) - {m} ÷ {e}?",
        "A calculator that respects the order of operations is given {a} + {b} × ({c} - {d}) - {m} ÷ {e}. What does it show?",
    ),
    draw=_draw_expression,
    work=_work_expression,
    openings=(
        "Brackets first, then multiplication and division, then addition and subtraction from left to right: [this order makes the expression mean "
        "one thing only|that agreement removes all doubt].",
        "The tempting start {a} + {b} would be a mistake, because the {b} [belongs to|is tied to] the bracket by a multiplication.",
        "Split it into terms: {a}, then {b} × ({c} - {d}), then {m} ÷ {e}. [Terms are worked out first and joined last|Plus and minus only join "
        "these terms].",
        "[Find the bracket|Look for the bracket] before anything else; around {c} - {d} the rest falls into place.",
    ),
    tellings={
        "inside": Tell(
            ("{c} - {d} = {value}.", "The bracket is {c} - {d} = {value}.", "Inside the bracket, {c} - {d} gives {value}."),
            ("What stands in brackets[|, {c} - {d},] acts as one number.", "The bracket has to be a single number before {b} can multiply it.",
             "Brackets say: do me first[|, before {b} or {a}]."),
        ),
        "product": Tell(
            ("Multiplying, {b} × {inside} = {value}.", "{b} × {inside} = {value}.", "The product is {b} × {inside} = {value}."),
            ("Multiplication binds more tightly than addition[|, so {a} has to wait].", "The {b} multiplies the bracket and nothing else.",
             "Before {a} is added, the product must be known."),
        ),
        "quotient": Tell(
            ("{m} ÷ {e} = {value}.", "The division gives {m} ÷ {e} = {value}.", "Also {m} divided by {e} is {value}."),
            ("Division[|, here by {e},] has the same rank as multiplication, so it comes before the minus sign.",
             "The last term[|, {m} ÷ {e},] is a quotient and is settled by itself.",
             "Only {m} is divided by {e}, not everything that stands before it."),
        ),
        "first": Tell(
            ("From the left, {a} + {product} = {value}.", "{a} + {product} makes {value}.", "Adding the first two terms, {a} + {product} = {value}."),
            ("Now only plus and minus are left, and they are taken from left to right[|, {a} first].",
             "With the terms known, join them in the order in which they stand[|, {a} and {product} first]."),
        ),
        "total": Tell(
            ("Finally {first} - {quotient} = {value}.", "What remains is {first} - {quotient} = {value}.",
             "Taking away the last term, {first} - {quotient} = {value}."),
        ),
    },
)  # fmt: skip
