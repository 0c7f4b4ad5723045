"""Problems about lengths, areas, speeds and units."""

from __future__ import annotations

import random
from fractions import Fraction

from datagen.seeds.problems.family import CLOCK, INT, Family, Notebook, Params, Tell, word
from datagen.seeds.problems.wording import NAMES, TOWNS, clock, decimal, duration

MOVERS = ("cyclist", "train", "falcon", "delivery van", "motorboat", "skier", "greyhound", "tram", "kite surfer", "tractor", "gazelle", "pigeon")


def _draw_units(rng: random.Random) -> Params:
    return {"mover": rng.choice(MOVERS), "speed": 9 * rng.randint(2, 9), "seconds": rng.randint(4, 90)}


def _work_units(p: Params, book: Notebook) -> str:
    metres = book.step("metres", p["speed"] * 1000)
    per_second = book.step("per_second", Fraction(metres, 3600), decimal, metres=metres)
    way = book.step("way", per_second * p["seconds"], decimal, per_second=decimal(per_second))
    return decimal(way)


UNITS = Family(
    name="speed_units",
    about=("chemistry", "biology", "units", "conversion", "speed", "physics", "measurement", "metric", "motion", "kinematics", "velocity"),
    slots={"mover": word(MOVERS), "speed": INT, "seconds": INT},
    phrasings=(
        "A {mover} moves at a steady {speed} km/h. How many metres does it cover in {seconds} seconds?",
        "At {speed} km/h, what distance in metres does a {mover} travel in {seconds} s?",
        "The speed of a {mover} is {speed} kilometres per hour. How far, in metres, does it get in {seconds} seconds?",
    ),
    draw=_draw_units,
    work=_work_units,
    openings=(
        "The speed is given per hour and the time in seconds. [Before the two can be multiplied|To combine them], the units have to match.",
        "Kilometres and hours do not go with metres and seconds, so [the {speed} km/h is rewritten first|the speed is converted to metres per second "
        "first].",
        "Distance is speed times time, provided that [both use the same units|units agree]. Here they do not yet.",
        "How far does the {mover} get in a single second? [From that everything follows|Once this is known, {seconds} seconds are easy].",
    ),
    tellings={
        "metres": Tell(
            ("{speed} km are {speed} × 1000 = {value} m.", "In an hour the {mover} covers {value} metres.",
             "{speed} km/h is the same as {value} metres per hour."),
            ("One kilometre has 1000 metres[|, {speed} km have {speed} times as many].",
             "The answer is wanted in metres, so the [length comes|{speed} km come] first.",
             "Change one unit at a time, [lengths before times|the kilometres before the hours]."),
        ),
        "per_second": Tell(
            ("Per second that is {metres} ÷ 3600 = {value} m.", "So the speed is {metres} ÷ 3600 = {value} metres per second.",
             "Dividing by 3600 gives {value} m/s."),
            ("[An|One] hour has 60 × 60 = 3600 seconds[|, as everywhere].",
             "In one second only a 3600th of [the hourly distance|these {metres} metres] is covered.",
             "Sixty minutes of sixty seconds make 3600 seconds[|, the time for {metres} metres]."),
        ),
        "way": Tell(
            ("In {seconds} seconds it covers {per_second} × {seconds} = {value} m.", "The distance is {per_second} × {seconds} = {value} metres.",
             "After {seconds} s the {mover} is {per_second} × {seconds} = {value} metres further on."),
            ("The speed is steady, so every second adds [the same distance|{per_second} m].",
             "Now metres per second meet [seconds|{seconds} seconds], and the seconds cancel.",
             "Equal distances in equal times call for a product[| with {seconds}]."),
        ),
    },
)  # fmt: skip

PLOTS = ("vegetable bed", "lawn", "courtyard", "playground", "swimming pool", "flower bed", "terrace", "ice rink", "herb garden", "picture")


def _draw_path(rng: random.Random) -> Params:
    wide = rng.randint(4, 19)
    return {"plot": rng.choice(PLOTS), "name": rng.choice(NAMES), "long": wide + rng.randint(1, 20), "wide": wide, "border": rng.randint(1, 4)}


def _work_path(p: Params, book: Notebook) -> str:
    inner = book.step("inner", p["long"] * p["wide"])
    length = book.step("length", p["long"] + 2 * p["border"])
    width = book.step("width", p["wide"] + 2 * p["border"])
    outer = book.step("outer", length * width, length=length, width=width)
    path = book.step("path", outer - inner, outer=outer, inner=inner)
    book.note("check", strips=2 * p["border"] * (p["long"] + p["wide"]), corners=4 * p["border"] ** 2, path=path)
    return str(path)


PATH = Family(
    name="border_area",
    about=("equation", "area", "geometry", "rectangle", "measurement", "perimeter", "garden", "building", "architecture"),
    slots={"plot": word(PLOTS), "name": word(NAMES), "long": INT, "wide": INT, "border": INT},
    phrasings=(
        "A rectangular {plot} measures {long} m by {wide} m. {name} puts a border of {border} m width all around it on the outside. What is the area "
        "of the border in square metres?",
        "{name} surrounds a {plot} of {long} m × {wide} m with a strip that is {border} m wide everywhere. How many square metres does the strip "
        "cover?",
        "Around a {plot} ({long} m long, {wide} m wide) runs a path {border} m wide, laid by {name}. Find its area in m².",
    ),
    draw=_draw_path,
    work=_work_path,
    openings=(
        "The border is an awkward shape, but [it is the difference of two rectangles|two rectangles give it away]: the {plot} with border minus the "
        "{plot} alone.",
        "[Draw the {plot} inside a larger rectangle|Picture a larger rectangle around the {plot}]. What lies between the two is the border.",
        "Instead of cutting the strip into pieces, {name} can measure all of it together with the {plot} and then take the {plot} away.",
        "Two areas are needed, one with the {border} m strip and one without. [Their difference is the answer|Subtraction does the rest].",
    ),
    tellings={
        "inner": Tell(
            ("The {plot} itself covers {long} × {wide} = {value} m².", "Inside, {long} m × {wide} m = {value} m².",
             "Without border the area is {long} × {wide} = {value} square metres."),
            ("The area of a rectangle[| such as this {plot}] is length times width.", "Begin with [what is inside|the {plot}].",
             "Rows of square metres: {wide} rows of {long}."),
        ),
        "length": Tell(
            ("The outer length is {long} + 2 × {border} = {value} m.",
             "With the strip the length grows to {long} + {border} + {border} = {value} m.",
             "Lengthwise that makes {long} + 2 × {border} = {value} m."),
            ("The strip adds its {border} m at both ends, not just at one.",
             "Forgetting one of the two ends[| of {border} m] is the usual slip here.",
             "A strip of {border} m lies at the left and at the right."),
        ),
        "width": Tell(
            ("Likewise the outer width is {wide} + 2 × {border} = {value} m.", "The width becomes {wide} + 2 × {border} = {value} m.",
             "Across, {wide} + {border} + {border} = {value} m."),
        ),
        "outer": Tell(
            ("The large rectangle has {length} × {width} = {value} m².", "Together they cover {length} × {width} = {value} m².",
             "With border the area is {length} × {width} = {value} square metres."),
            ("Both sides of the larger rectangle[|, {length} m and {width} m,] are known now.",
             "The outside edge is a rectangle again, since the strip is {border} m wide everywhere."),
        ),
        "path": Tell(
            ("So the border covers {outer} - {inner} = {value} m².", "What remains for the strip is {outer} - {inner} = {value} m².",
             "The difference {outer} - {inner} = {value} is the area of the border."),
            ("Taking the {plot} out of the large rectangle leaves the strip.",
             "Everything in the large rectangle that is not part of the {plot} belongs to the border."),
        ),
        "check": Tell((
            "Counted in another way: the straight strips have {strips} m² and the four corners {corners} m², together {path} m².",
            "Four strips along the sides ({strips} m²) plus four corner squares ({corners} m²) give {path} m² as well.",
        )),
    },
)  # fmt: skip

TRIPLES = ((3, 4, 5), (5, 12, 13), (8, 15, 17), (7, 24, 25), (20, 21, 29), (9, 40, 41), (12, 35, 37))
CLIMBS = ("ladder", "ramp", "guy rope", "plank", "slide", "zip line", "cable", "beam")


def _draw_ladder(rng: random.Random) -> Params:
    one, two, long = rng.choice(TRIPLES)
    factor = rng.randint(1, 12)
    foot = rng.choice((one, two))
    return {
        "thing": rng.choice(CLIMBS),
        "name": rng.choice(NAMES),
        "long": long * factor,
        "foot": foot * factor,
        "up": rng.choice(("pole", "wall", "tower", "tree", "mast")),
    }


def _work_ladder(p: Params, book: Notebook) -> str:
    long = book.step("square_long", p["long"] ** 2)
    foot = book.step("square_foot", p["foot"] ** 2)
    high = book.step("difference", long - foot, a=long, b=foot)
    root = book.step("root", round(high**0.5), square=high)
    book.note("check", root=root)
    return str(root)


LADDER = Family(
    name="pythagoras",
    about=("equation", "pythagoras", "pythagorean", "geometry", "triangle", "right triangle", "square root", "building", "trigonometry"),
    slots={"thing": word(CLIMBS), "name": word(NAMES), "long": INT, "foot": INT, "up": word(("pole", "wall", "tower", "tree", "mast"))},
    phrasings=(
        "A {thing} {long} dm long reaches from the ground to the top of an upright {up}. Its lower end is {foot} dm from the foot of the {up}. How "
        "high is the {up} in dm, {name} asks?",
        "{name} fixes a straight {thing} of {long} dm to the top of a vertical {up}; on level ground it ends {foot} dm away from the {up}. What is "
        "the height of the {up} in dm?",
        "The top of a {up} and a point on the level ground {foot} dm from its foot are joined by a {thing} of {long} dm. {name} wants the height of "
        "the {up} in dm. [What is it|How much is that|What does {name} find]?",
    ),
    draw=_draw_ladder,
    work=_work_ladder,
    openings=(
        "The {up} stands upright on level ground, so the {thing}, the {up} and the ground form a right triangle. [The {thing} is its longest "
        "side|The {thing} lies opposite the right angle].",
        "In a right triangle the squares on the two short sides add up to [the square on the longest|that on the longest side, here {long} dm]. [Two "
        "sides are known here, {long} dm and {foot} dm|Here the longest side, {long} dm, and one short side are given].",
        "Pythagoras' theorem connects the {long} dm of the {thing} with the {foot} dm on the ground [and the unknown height|and with the height of "
        "the {up}].",
        "A sketch shows a triangle with a right angle at the foot of the {up}. [One short side is {foot} dm|Along the ground it measures {foot} dm], "
        "the long side is {long} dm.",
    ),
    tellings={
        "square_long": Tell(
            ("The long side gives {long}² = {value}.", "{long} × {long} = {value}.", "Squared, the {thing} counts {long}² = {value}."),
            ("The side opposite the right angle[|, the {thing},|, {long} dm long,] stands alone in the theorem.",
             "Start with the square of the {thing}'s length.",
             "Squares are what the theorem [compares|speaks of]."),
        ),
        "square_foot": Tell(
            ("On the ground, {foot}² = {value}.", "{foot} × {foot} = {value}.", "The known short side gives {foot}² = {value}."),
        ),
        "difference": Tell(
            ("So the height squared is {a} - {b} = {value}.", "What is left for the square of the height is {a} - {b} = {value}.",
             "Subtracting, {a} - {b} = {value}."),
            ("The two short squares together make the [long one|square of {long}], so the missing one is [a difference|found by subtraction].",
             "A short side is wanted, [hence subtract|so one subtracts] instead of adding[|: {a} is the larger square].",
             "Had the longest side been missing, one would add; here [one subtracts|{b} has to be taken from {a}]."),
        ),
        "root": Tell(
            ("The height is the square root of {square}, which is {value} dm.", "Since {value} × {value} = {square}, the {up} is {value} dm high.",
             "Taking the root of {square} gives {value} dm."),
            ("The square root undoes the squaring[| that led to {square}].", "A length is wanted, not its square[| {square}].",
             "Which number times itself makes {square}?"),
        ),
        "check": Tell((
            "{root} dm is less than the {long} dm of the {thing}, as a short side must be.",
            "The sides {foot}, {root} and {long} satisfy {foot}² + {root}² = {long}².",
        )),
    },
)  # fmt: skip


def _draw_average_speed(rng: random.Random) -> Params:
    while True:
        one, two = rng.sample(range(21, 128), 2)
        t, u = rng.randint(2, 6), rng.randint(2, 6)
        if t != u and (one * t + two * u) % (t + u) == 0:
            return {"name": rng.choice(NAMES), "town": rng.choice(TOWNS), "one": one, "t": t, "two": two, "u": u}


def _work_average_speed(p: Params, book: Notebook) -> str:
    first = book.step("first", p["one"] * p["t"])
    second = book.step("second", p["two"] * p["u"])
    way = book.step("way", first + second, first=first, second=second)
    time = book.step("time", p["t"] + p["u"])
    speed = book.step("speed", Fraction(way, time), str, way=way, time=time)
    book.note(
        "check",
        mean=Fraction(p["one"] + p["two"], 2) if (p["one"] + p["two"]) % 2 == 0 else (p["one"] + p["two"]) / 2,
        longer=p["one"] if p["t"] > p["u"] else p["two"],
    )
    return str(speed)


AVERAGE_SPEED = Family(
    name="average_speed",
    about=("average", "speed", "average", "motion", "travel", "time", "physics", "distance", "kinematics", "velocity", "transport"),
    slots={"name": word(NAMES), "town": word(TOWNS), "one": INT, "t": INT, "two": INT, "u": INT},
    phrasings=(
        "On the way to {town}, {name} drives at {one} km/h for {t} h and at {two} km/h for {u} h. What is the average speed of the whole trip in "
        "km/h?",
        "{name}'s journey to {town} has two parts: {t} h at {one} km/h, then {u} h at {two} km/h. Find the average speed in km/h.",
        "A trip to {town} takes {name} {t} h at a speed of {one} km/h and a further {u} h at {two} km/h. What speed in km/h, kept all the time, "
        "would have taken just as long?",
    ),
    draw=_draw_average_speed,
    work=_work_average_speed,
    openings=(
        "The average speed is the whole distance divided by the whole time. [It is not the mean of {one} and {two}|The mean of {one} and {two} would "
        "ignore that the parts last {t} h and {u} h].",
        "Both distances are hidden in the data, since speed times time is distance. [With them the average is one division away|Find them first].",
        "{name} spends different times at the two speeds, so [each speed has to count according to its hours|the longer part weighs more].",
        "How far does {name} get, and how long does it take? [These two numbers settle the question|Nothing else matters for the average].",
    ),
    tellings={
        "first": Tell(
            ("The first part is {one} × {t} = {value} km long.", "At {one} km/h, {t} h bring {name} {value} km further.",
             "First {one} × {t} = {value} km."),
            ("At a steady speed[| of {one} km/h], distance is speed times time.", "Each hour at {one} km/h adds {one} km.",
             "Begin with the distance of the first part[|, the {t} h]."),
        ),
        "second": Tell(
            ("The second part adds {two} × {u} = {value} km.", "Then {two} × {u} = {value} km follow.",
             "At {two} km/h for {u} h the distance is {value} km."),
        ),
        "way": Tell(
            ("In all that is {first} + {second} = {value} km.", "The whole trip measures {first} + {second} = {value} km.",
             "{name} covers {first} + {second} = {value} km."),
            ("Both parts belong to [the trip|{name}'s trip].", "For the average only the total distance[| to {town}] counts."),
        ),
        "time": Tell(
            ("It takes {t} + {u} = {value} hours.", "The time adds up to {t} + {u} = {value} h.", "{name} is on the road for {t} + {u} = {value} h."),
        ),
        "speed": Tell(
            ("The average is {way} ÷ {time} = {value} km/h.", "{way} km in {time} h make {value} km/h.",
             "So the steady speed would be {way} ÷ {time} = {value} km/h."),
            ("Now share the [distance|{way} km] evenly over the hours.",
             "An average speed is the one that covers the same way[|, {way} km,] in the same time.",
             "Dividing spreads {way} km over all {time} hours."),
        ),
        "check": Tell((
            "It lies nearer to {longer} than the plain mean {mean} does, because {name} kept {longer} km/h for longer.",
            "The plain mean would be {mean}; the true average is drawn towards {longer} km/h, the speed that was kept longer.",
        )),
    },
)  # fmt: skip

TRAVELLERS = {
    "trains": (50, 150),
    "cyclists": (12, 30),
    "hikers": (3, 6),
    "boats": (8, 30),
    "lorries": (40, 80),
    "riders": (10, 22),
    "trams": (15, 45),
    "runners": (8, 15),
}


def _draw_meeting(rng: random.Random) -> Params:
    start, other = rng.sample(TOWNS, 2)
    things = rng.choice(list(TRAVELLERS))
    low, high = TRAVELLERS[things]
    one, two = rng.sample(range(low, high + 1), 2)
    minutes = rng.choice((15, 20, 30, 40, 45, 60, 75, 80, 90, 100, 120, 150, 160, 180))
    while (one + two) * minutes % 60:
        minutes += 5
    return {
        "things": things,
        "start": start,
        "other": other,
        "one": one,
        "two": two,
        "way": (one + two) * minutes // 60,
        "at": rng.randrange(6 * 60, 18 * 60, 5),
    }


def _work_meeting(p: Params, book: Notebook) -> str:
    closing = book.step("closing", p["one"] + p["two"])
    minutes = book.step("minutes", round(Fraction(p["way"] * 60, closing)), duration, closing=closing)
    when = p["at"] + minutes
    book.note("when", time=duration(minutes), when=clock(when))
    book.note("check", one_way=decimal(Fraction(round(Fraction(p["one"] * minutes * 100, 60)), 100)), start=p["start"])
    return clock(when)


MEETING = Family(
    name="meeting_point",
    about=("equation", "relative speed", "motion", "speed", "time", "travel", "physics", "trains", "kinematics", "transport"),
    slots={"things": word(list(TRAVELLERS)), "start": word(TOWNS), "other": word(TOWNS), "one": INT, "two": INT, "way": INT, "at": CLOCK},
    phrasings=(
        "Two {things} set out towards each other at {at}, one from {start} at {one} km/h and one from {other} at {two} km/h. The towns are {way} km "
        "apart. [At what time do they|When do the two|At what time do the {things}] meet?",
        "{start} and {other} are {way} km apart. At {at}, two {things} leave the two towns towards each other with {one} km/h and {two} km/h. "
        "[When|At what time] do [they|the two] meet (hh:mm)?",
        "At {at} a distance of {way} km, from {start} to {other}, lies between two {things} that approach each other at {one} km/h and {two} km/h. "
        "What does the clock show when [they|the {things}] meet?",
    ),
    draw=_draw_meeting,
    work=_work_meeting,
    openings=(
        "While both move, the gap of {way} km shrinks from two sides. [What matters is how fast the gap closes|So look at the gap instead of the "
        "{things}].",
        "They start together and stop at the same moment, so both are under way equally long. [Only the gap of {way} km has to be used up|The "
        "distance between them is all that counts].",
        "Put yourself into one of the {things}: the other one comes closer with [both speeds together|the sum of the speeds].",
        "Between {start} and {other} lie {way} km, and [every hour takes a piece off this distance|each hour eats up a part of them].",
    ),
    tellings={
        "closing": Tell(
            ("The gap closes at {one} + {two} = {value} km/h.", "Together they come closer by {one} + {two} = {value} km every hour.",
             "Their closing speed is {one} + {two} = {value} km/h."),
            ("[They|The {things}] move towards each other, so [the speeds|{one} and {two}] add up.",
             "What one covers the other need not, and both shorten the gap[| of {way} km].",
             "[In opposite directions speeds are added; in the same direction they would be subtracted|For two things that approach each other, "
             "{one} and {two} are added]."),
        ),
        "minutes": Tell(
            ("{way} km at {closing} km/h take {value}.", "Dividing {way} by {closing} gives the time: {value}.",
             "For {way} km they need {value} at this rate."),
            ("Time is distance divided by speed, {way} km by {closing} km/h.", "The gap is gone when {closing} km/h have used up {way} km.",
             "Hours come out of this division[| by {closing}]; a fraction of an hour is turned into minutes by 60."),
        ),
        "when": Tell(
            ("{time} after {at} it is {when}.", "Starting at {at}, they meet at {when}.", "The clock then shows {when}, {time} after {at}."),
            ("[The question asks for a time of day|A time of day is wanted], not for [a duration|{time}].",
             "Add the travelling time to [the start|{at}]."),
        ),
        "check": Tell((
            "By then the one from {start} has gone about {one_way} km of the {way} km.",
            "About {one_way} km of the way have been covered from the side of {start}, the rest from {other}.",
        )),
    },
)  # fmt: skip
