"""Problems about clocks, calendars and schedules, and the numerals on old clocks."""

from __future__ import annotations

import random
from datetime import date, timedelta

from datagen.seeds.problems.family import CLOCK, INT, Family, Notebook, Params, Slot, Tell, word
from datagen.seeds.problems.wording import NAMES, TOWNS, clock, counted, duration

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _read_date(text: str) -> date:
    day, month, year = text.split(" ")
    return date(int(year), MONTHS.index(month) + 1, int(day))


def _show_date(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


DATE = Slot(rf"\d{{1,2}} (?:{'|'.join(MONTHS)}) \d{{4}}", _read_date, _show_date)
EVENTS = (
    "the exhibition opens",
    "the library closes for repairs",
    "a parcel was sent",
    "the contract begins",
    "a seed is planted",
    "the course starts",
    "the experiment is set up",
)


def _draw_weekday(rng: random.Random) -> Params:
    return {"event": rng.choice(EVENTS), "name": rng.choice(NAMES), "day": rng.choice(DAYS), "n": rng.randint(17, 480)}


def _work_weekday(p: Params, book: Notebook) -> str:
    weeks = p["n"] // 7
    rest = book.step("rest", p["n"] % 7, lambda days: counted(days, "day"), weeks=weeks, full=weeks * 7)
    return book.decide("count", DAYS[(DAYS.index(p["day"]) + rest) % 7], DAYS, rest=counted(rest, "day"))


WEEKDAY = Family(
    name="weekday_after",
    about=("calendars", "calendar", "weekday", "modular arithmetic", "remainder", "time", "dates", "modulo"),
    slots={"event": word(EVENTS), "name": word(NAMES), "day": word(DAYS), "n": INT},
    phrasings=(
        "On a {day} {event}. Which day of the week is it {n} days later, {name} wonders?",
        "{name} notes that {event} on a {day} and counts {n} days on from there. [On which weekday does|Which weekday is it when] the count "
        "[end|ends]?",
        "If {event} on a {day}, what weekday will {name} read on the calendar after {n} more days?",
    ),
    draw=_draw_weekday,
    work=_work_weekday,
    openings=(
        "Weekdays repeat every seven days, so [full weeks change nothing|whole weeks may be thrown away]. Only what is left of the {n} days moves "
        "the weekday.",
        "After 7, 14 or 21 days it is {day} again. [The question is how far {n} is from a multiple of 7|Look for the multiple of 7 just below {n}].",
        "A week is a circle of seven days, and {n} steps go round it many times. [Where the last round stops is what counts|Only the unfinished "
        "round matters].",
        "{name} need not count {n} days one by one, because [the remainder on division by 7 is enough|weeks bring the count back to {day}].",
    ),
    tellings={
        "rest": Tell(
            ("{n} days are {weeks} weeks and {value}.", "{n} ÷ 7 gives {weeks} weeks, and {value} over.", "Taking {full} days away leaves {value}."),
            ("Each full week leads back to {day}.", "Seven divides the [days|{n} days] into rounds of the calendar.",
             "Division by 7 separates full weeks [from the rest|of the {n} days from the rest]."),
        ),
        "count": Tell(
            ("From {day}, {rest} further is {value}.", "Counting {rest} on from {day} ends at {value}.", "{rest} after {day} comes {value}."),
            ("Now the [few days|{rest}] that are left can be counted.", "The full weeks bring us to {day}, and from there a short count is enough.",
             "Only the [remainder moves the weekday|{rest} left over can move the weekday]."),
        ),
    },
)  # fmt: skip


def _draw_days(rng: random.Random) -> Params:
    start = date(rng.randint(2021, 2032), 1, 1) + timedelta(days=rng.randint(0, 364))
    return {"name": rng.choice(NAMES), "town": rng.choice(TOWNS), "start": start, "end": start + timedelta(days=rng.randint(35, 170))}


def _work_days(p: Params, book: Notebook) -> str:
    start, end = p["start"], p["end"]
    total = book.step("first", _month_length(start) - start.day, month=MONTHS[start.month - 1], length=_month_length(start), day=start.day)
    at = date(start.year + start.month // 12, start.month % 12 + 1, 1)
    while (at.year, at.month) != (end.year, end.month):
        total = book.step("month", total + _month_length(at), month=f"{MONTHS[at.month - 1]}", length=_month_length(at), so_far=total)
        at = date(at.year + at.month // 12, at.month % 12 + 1, 1)
    total = book.step("last", total + end.day, month=MONTHS[end.month - 1], day=end.day, so_far=total)
    book.note("check", total=total, weeks=total // 7, rest=counted(total % 7, "day"))
    return str(total)


def _month_length(day: date) -> int:
    leap = day.year % 4 == 0 and (day.year % 100 != 0 or day.year % 400 == 0)
    return 29 if leap and day.month == 2 else _LENGTHS[day.month - 1]


DAYS_BETWEEN = Family(
    name="days_between_dates",
    about=("roman", "calendar", "dates", "time", "counting", "history", "planning", "leap year"),
    slots={"name": word(NAMES), "town": word(TOWNS), "start": DATE, "end": DATE},
    phrasings=(
        "{name} leaves {town} on {start} and returns on {end}. How many days later is that?",
        "How many days pass from {start} to {end}, the dates between which {name} lives in {town}?",
        "A bridge in {town} is closed on {start} and opened again on {end}. After how many days does it open, as {name} reckons?",
    ),
    draw=_draw_days,
    work=_work_days,
    openings=(
        "Months differ in length, so the days from {start} to {end} are counted month by month.",
        "Split the time at the ends of the months: [the rest of the first month, the full months, and the days of the last|first a piece, then whole "
        "months, then another piece].",
        "The count starts on the day after {start} [and includes|and goes up to] {end}.",
        "To get from {start} to {end}, [walk through the calendar|move] from one month's end to the next.",
    ),
    tellings={
        "first": Tell(
            ("{month} has {length} days, so {length} - {day} = {value} of them are left.",
             "After day {day}, {month} still has {length} - {day} = {value} days.", "In {month} there remain {length} - {day} = {value} days."),
            ("The starting day itself[|, {start},] is not counted, because we ask how many days later.",
             "First comes what is left of [the month|{month}].",
             "Go to the end of [the first month|{month}]."),
        ),
        "month": Tell(
            ("{month} adds {length} days: {so_far} + {length} = {value}.", "With the {length} days of {month} that makes {value}.",
             "All of {month} counts, {length} days, so {value} up to there."),
            ("Full months enter with their whole length[|, {month} being the first].",
             "Next come the months that lie entirely between [the two dates|{start} and {end}]."),
        ),
        "last": Tell(
            ("In {month} another {day} days pass: {so_far} + {day} = {value}.", "Up to {month} {day} there are {so_far} + {day} = {value} days.",
             "The last month contributes its first {day} days, which gives {value}."),
            ("[The final date|{month} {day} itself] counts as a full day.",
             "What is missing are the [days of the last month|first {day} days of {month}]."),
        ),
        "check": Tell((
            "That is {weeks} weeks and {rest}[|, a sensible length for such a span].",
            "In weeks: {total} = 7 × {weeks} plus {rest}.",
        )),
    },
)  # fmt: skip

SHOWS = ("film", "concert", "flight", "train ride", "play", "lecture", "football match", "ferry crossing", "cooking course", "guided tour")


def _draw_clock(rng: random.Random) -> Params:
    return {
        "show": rng.choice(SHOWS),
        "town": rng.choice(TOWNS),
        "start": rng.randrange(7 * 60, 23 * 60, 5),
        "lasts": rng.randint(65, 290),
        "pause": rng.choice((5, 10, 15, 20, 25, 35)),
    }


def _work_clock(p: Params, book: Notebook) -> str:
    whole = book.step("whole", p["lasts"] + p["pause"])
    hours, minutes = divmod(whole, 60)
    book.note("split", whole=whole, hours=counted(hours, "hour"), minutes=counted(minutes, "minute"), span=duration(whole))
    middle = p["start"] + 60 * hours
    if minutes:
        book.note("hours", hours=counted(hours, "hour"), middle=clock(middle), start=clock(p["start"]))
    end = clock(middle + minutes)
    book.note("midnight" if middle + minutes >= 1440 else "minutes", middle=clock(middle), end=end, minutes=counted(minutes, "minute"))
    return end


CLOCK_TIME = Family(
    name="clock_arithmetic",
    about=("calendar", "clock", "time", "hours", "minutes", "modular arithmetic", "timetable", "schedule", "planning", "modulo"),
    slots={"show": word(SHOWS), "town": word(TOWNS), "start": CLOCK, "lasts": INT, "pause": INT},
    phrasings=(
        "In {town} a {show} begins at {start}. It lasts {lasts} minutes, plus a break of {pause} minutes. At what time (hh:mm) is it over?",
        "A {show} of {lasts} minutes with an interruption of {pause} minutes starts in {town} at {start}. When does it end, on the 24-hour clock?",
        "{start} is the starting time of a {show} in {town}. Its {lasts} minutes are stretched by a pause of {pause} minutes. What time is it at the "
        "end (hh:mm)?",
    ),
    draw=_draw_clock,
    work=_work_clock,
    openings=(
        "Minutes do not run to a hundred but to sixty, so [the time is split into hours and minutes before it is added|hours and minutes are added "
        "apart].",
        "From {start} on, two stretches of time pass, {lasts} minutes and {pause} minutes. [Put them together first|Join them before touching the "
        "clock].",
        "The end is the start plus everything that happens in between, the pause of {pause} minutes included.",
        "[First find how long|The first thing to find is how long] people are kept at the {show}, then move the hands of the clock forward from "
        "{start}.",
    ),
    tellings={
        "whole": Tell(
            ("Together that is {lasts} + {pause} = {value} minutes.", "The {show} and the break take {lasts} + {pause} = {value} minutes.",
             "{lasts} minutes and {pause} minutes make {value} minutes."),
            ("The pause delays the end just as much as the {show} itself.", "One sum is easier to add to {start} than two.",
             "Nothing ends before the break [of {pause} minutes |]has been added."),
        ),
        "split": Tell(
            ("{whole} minutes are {span}.", "Since 60 minutes make an hour, {whole} minutes are {span}.",
             "Dividing {whole} by 60 gives {hours}, with {minutes} over."),
            ("[Clocks count|A clock in {town} counts] hours of sixty minutes.",
             "[Large numbers of minutes|As many as {whole} minutes] are easier to handle as hours."),
        ),
        "hours": Tell(
            ("{hours} after {start} it is {middle}.", "Adding {hours} to {start} leads to {middle}.",
             "From {start} the hour hand moves on to {middle}."),
            ("Hours first, as they leave the minutes [alone|of {start} alone].", "Full hours do not change the minutes shown[| at {start}]."),
        ),
        "minutes": Tell(
            ("Another {minutes} bring the clock to {end}.", "Then {minutes} more make it {end}.",
             "With the remaining {minutes} we arrive at {end}.", "It is {end} when the last {minutes} have passed."),
            ("If the minutes pass 60, they carry one hour over[| from {middle}].", "Last come the [minutes|{minutes}]."),
        ),
        "midnight": Tell(
            ("Midnight passes on the way, and with the remaining {minutes} the clock shows {end}.",
             "Since the day ends at 24:00, counting starts again from 00:00, and it is {end} at the close.",
             "That runs past midnight, so the clock reads {end} on the next day."),
            ("After 23:59 the clock begins again at 00:00.", "A day has 24 hours; whatever goes beyond belongs to the next one."),
        ),
    },
)  # fmt: skip

ROOMS = ("gym", "meeting room", "music studio", "laboratory", "tennis court", "workshop", "kitchen", "darkroom", "pottery kiln", "rehearsal room")


def _draw_overlap(rng: random.Random) -> Params:
    one, two = rng.sample(NAMES, 2)
    a = rng.randrange(8 * 60, 14 * 60)
    b = a + rng.randrange(70, 260)
    c = rng.randrange(a - 90, b - 15)
    d = max(c + 40, a + 20) + rng.randrange(0, 200)
    return {"one": one, "two": two, "room": rng.choice(ROOMS), "a": a, "b": b, "c": c, "d": d}


def _work_overlap(p: Params, book: Notebook) -> str:
    start, end = max(p["a"], p["c"]), min(p["b"], p["d"])
    book.note("start", a=clock(p["a"]), c=clock(p["c"]), start=clock(start), who=p["one"] if p["a"] > p["c"] else p["two"])
    book.note("end", b=clock(p["b"]), d=clock(p["d"]), end=clock(end), who=p["one"] if p["b"] < p["d"] else p["two"])
    shared = book.step("shared", end - start, start=clock(start), end=clock(end))
    book.note("check", alone=p["b"] - p["a"] - shared, shared=shared, full=p["b"] - p["a"])
    return str(shared)


OVERLAP = Family(
    name="schedule_overlap",
    about=("calendar", "schedule", "interval", "overlap", "time", "planning", "intersection", "sets", "timetable", "inequality"),
    slots={"one": word(NAMES), "two": word(NAMES), "room": word(ROOMS), "a": CLOCK, "b": CLOCK, "c": CLOCK, "d": CLOCK},
    phrasings=(
        "{one} uses the {room} from {a} to {b}, {two} from {c} to {d}. For how many minutes are [both|{one} and {two}] there?",
        "The {room} is booked by {one} ({a} to {b}) and by {two} ({c} to {d}). [How many minutes|For how many minutes] do the bookings [overlap|of "
        "{one} and {two} overlap]?",
        "{two} has the {room} from {c} until {d} and {one} from {a} until {b}. How long, in minutes, do [they|{one} and {two}] have to share it?",
    ),
    draw=_draw_overlap,
    work=_work_overlap,
    openings=(
        "Both are in the {room} only after the later arrival and before the earlier departure. [These two times bound the overlap|So two comparisons "
        "are enough].",
        "An overlap of two intervals begins at the later of the two starts and ends at the earlier of the two ends.",
        "Draw two bars on a time line, one for {one} and one for {two}. [Where they lie above each other|The stretch they share], both use the "
        "{room}.",
        "Nobody is together with somebody who has not come yet or has already gone; [that idea fixes both ends of the shared time|which decides "
        "start and end].",
    ),
    tellings={
        "start": Tell(
            ("Of {a} and {c}, the later start is {start}.", "The shared time begins at {start}, when both have arrived ({a} and {c}).",
             "The starts are {a} and {c}; not before {start} are both present."),
            ("The one who comes last[|, {who},] decides when the shared time begins.",
             "Before the second arrival [one of them is alone|the {room} has one user only]."),
        ),
        "end": Tell(
            ("Of {b} and {d}, the earlier end is {end}.", "It ends at {end}, the earlier of {b} and {d}.",
             "The ends are {b} and {d}, so at {end} the first of them goes."),
            ("As soon as one leaves the {room}, the overlap is over.", "The first to leave[|, {who},] decides when it ends."),
        ),
        "shared": Tell(
            ("From {start} to {end} there are {value} minutes.", "Between {start} and {end} lie {value} minutes.",
             "So they share the {room} for {value} minutes, from {start} to {end}."),
            ("What remains is a difference of two clock times[|, {start} and {end}].",
             "An hour counts sixty minutes [in this difference|between {start} and {end}].",
             "The length of the overlap is its end minus its start[|, {end} minus {start}]."),
        ),
        "check": Tell((
            "{one} is booked for {full} minutes, {shared} of them shared and {alone} not.",
            "For {one}, {shared} shared and {alone} other minutes make up the {full} booked ones.",
        )),
    },
)  # fmt: skip


_ROMAN = (
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
)


def _roman(number: int) -> str:
    written = ""
    for size, letters in _ROMAN:
        written += letters * (number // size)
        number %= size
    return written


def _draw_roman(rng: random.Random) -> Params:
    return {
        "town": rng.choice(TOWNS),
        "number": rng.randint(39, 2039),
        "thing": rng.choice(("clock tower", "town hall", "old bridge", "library", "gate", "theatre", "fountain")),
    }


def _work_roman(p: Params, book: Notebook) -> str:
    left, written = p["number"], ""
    for size, letters in _ROMAN:
        if left >= size:
            times = left // size
            written += letters * times
            facts = {"size": size * times, "letters": letters * times, "big": letters[-1], "small": letters[0], "written": written}
            left = book.step("pair" if len(letters) == 2 else "letter", left - size * times, **facts)
    book.note("join", written=written)
    return written


ROMAN = Family(
    name="roman_numerals",
    about=("calendar", "roman", "history", "numerals", "number systems", "antiquity", "latin", "place value"),
    slots={"town": word(TOWNS), "number": INT, "thing": word(("clock tower", "town hall", "old bridge", "library", "gate", "theatre", "fountain"))},
    phrasings=(
        "The number {number} is to be carved into the {thing} of {town} in Roman numerals. What has to be carved?",
        "How is {number} written in Roman numerals on the {thing} in {town}?",
        "A mason in {town} must put {number} on the {thing} in Roman numerals. Which letters are needed?",
    ),
    draw=_draw_roman,
    work=_work_roman,
    openings=(
        "Roman numerals have no places, only values: [the largest value that fits is written first|one writes the largest value that still fits and "
        "goes on with the rest].",
        "Take {number} apart from the top: thousands, hundreds, tens, ones. [Each part has its own letters|Every part is written by itself].",
        "The mason needs letters whose values add up to {number}, [largest first|from large to small].",
        "M is 1000, D 500, C 100, L 50, X 10, V 5 and I 1. [With these {number} is put together from the left|They are used from large to small "
        "until {number} is complete].",
    ),
    tellings={
        "letter": Tell(
            ("{letters} stands for {size} and leaves {value}.", "Write {letters} for {size}; what is still missing is {value}.",
             "The next part, {size}, is {letters}, with {value} to go.", "{size} gives {letters}; now the stone reads {written}."),
            ("A letter [may be repeated|such as {small} may be repeated], but not more than three times in a row.",
             "Values that stand side by side from large to small [are simply added|add up, here to {number}].",
             "Always use the largest letter that is not too big[|, and go on until {number} is reached]."),
        ),
        "pair": Tell(
            ("{size} is written {letters}, and {value} remains.", "For {size} the letters are {letters}; that leaves {value}.",
             "{letters} makes {size}, since {small} before {big} is subtracted."),
            ("Four equal letters in a row are avoided by placing {small} before {big}.",
             "A smaller letter in front of a larger one[|, {small} before {big},] counts as minus.",
             "Here {small} is taken away from {big} instead of repeating a letter four times."),
        ),
        "join": Tell(("Put together, the numeral is {written}.", "The whole number reads {written}.", "From left to right that is {written}.",
            "On the {thing} stands {written}.")),
    },
)  # fmt: skip
