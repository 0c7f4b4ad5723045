"""Problems about small programs: what they print, how an algorithm moves, how numbers are stored."""

from __future__ import annotations

import random

from datagen.seeds.problems.family import INT, INTS, Family, Notebook, Params, Tell, word
from datagen.seeds.problems.wording import NAMES, counted, ordinal, words

VARIABLES = ("total", "score", "acc", "sum_", "value", "count", "amount", "level")


def _draw_loop(rng: random.Random) -> Params:
    start, step = rng.randint(1, 5), rng.randint(1, 4)
    return {
        "v": rng.choice(VARIABLES),
        "init": rng.randint(0, 20),
        "start": start,
        "stop": start + step * rng.randint(3, 5) - rng.randint(0, step - 1),
        "step": step,
        "k": rng.randint(2, 6),
        "m": rng.randint(2, 4),
    }


def _work_loop(p: Params, book: Notebook) -> str:
    value = p["init"]
    numbers = list(range(p["start"], p["stop"], p["step"]))
    book.note("range", numbers=", ".join(map(str, numbers)), times=counted(len(numbers), "time"))
    for i in numbers:
        old = value
        if i % p["m"] == 0:
            value = book.step("add", old + p["k"] * i, i=i, old=old, product=p["k"] * i)
        else:
            value = book.step("minus", old - 1, i=i, old=old, rest=i % p["m"])
    book.note("print", value=value)
    return str(value)


LOOP = Family(
    name="loop_trace",
    about=("binary", "python", "programming", "loops", "code", "computer science", "variables", "conditionals", "algorithm", "debugging"),
    slots={"v": word(VARIABLES), "init": INT, "start": INT, "stop": INT, "step": INT, "k": INT, "m": INT},
    phrasings=(
        "What does this Python program print?\n\n{v} = {init}\nfor i in range({start}, {stop}, {step}):\n    if i % {m} == 0:\n        {v} = {v} + "
        "{k} * i\n    else:\n        {v} = {v} - 1\nprint({v})",
        "Trace the following Python code. Which number appears on the screen?\n\n{v} = {init}\nfor i in range({start}, {stop}, {step}):\n    if i % "
        "{m} == 0:\n        {v} = {v} + {k} * i\n    else:\n        {v} = {v} - 1\nprint({v})",
        "Without running it, say what is printed by\n\n{v} = {init}\nfor i in range({start}, {stop}, {step}):\n    if i % {m} == 0:\n        {v} = "
        "{v} + {k} * i\n    else:\n        {v} = {v} - 1\nprint({v})",
    ),
    draw=_draw_loop,
    work=_work_loop,
    openings=(
        "A trace follows the variable {v} through each round of the loop. [It starts at {init}|Before the loop it is {init}].",
        "Keep two columns on paper, one for i and one for {v}, and [fill in a line per round|write a new line whenever one of them changes].",
        "The variable {v} begins with {init}; every round of the loop either adds something or takes 1 away, [depending on whether i is divisible by "
        "{m}|according to the remainder of i by {m}].",
        "Play the computer: [take the lines one by one and note each change of {v}|execute line by line, starting with {v} = {init}].",
    ),
    tellings={
        "range": Tell(
            ("Here range({start}, {stop}, {step}) produces {numbers}, so the body runs {times}.", "The loop variable i takes the values {numbers}.",
             "With start {start}, stop {stop} and step {step}, i becomes {numbers}."),
            ("The stop value {stop} is not included in a range.", "First settle which values i takes[| up to {stop}].",
             "A range counts up by its step[|, here {step},] and halts before its second number."),
        ),
        "add": Tell(
            ("At i = {i}, divisible by {m}, {v} becomes {old} + {product} = {value}.",
             "For i = {i} the condition is true, and {v} = {old} + {k} * {i} = {value}.", "{i} % {m} is 0, hence {v} goes from {old} to {value}.",
             "With i = {i}, {k} * {i} = {product} is added: {v} is {value}."),
            ("The remainder 0[| on division by {m}] sends the program into the first branch.", "Whenever {m} divides i, {k} times i is added."),
        ),
        "minus": Tell(
            ("At i = {i}, the remainder {i} % {m} is {rest}, and {v} drops to {value}.",
             "For i = {i} the else branch runs, and {v} = {old} - 1 = {value}.",
             "{i} leaves the remainder {rest} on division by {m}, so {v} becomes {value}.",
             "With i = {i} the condition fails, which makes {v} equal to {value}."),
            ("A remainder other than 0[| on division by {m}] leads to the else branch.", "If {m} does not divide i, only 1 is taken away."),
        ),
        "print": Tell(
            ("After the loop, {v} is {value}, and that is printed.", "The last line prints {v}, which holds {value}.", "So print shows {value}."),
            ("The print stands outside the loop and runs once[|, with the last {v}].",
             "Indentation tells that print comes after the last round[| of i]."),
        ),
    },
)  # fmt: skip

SORTED = ("books", "numbers", "cards", "jars", "parcels", "files", "tickets", "boxes")


PASSES = ("one pass", "two passes")


def _draw_bubble(rng: random.Random) -> Params:
    while True:
        items = tuple(rng.sample(range(1, 60), rng.choice((5, 5, 6))))
        if items != tuple(sorted(items)):
            return {"name": rng.choice(NAMES), "things": rng.choice(SORTED), "items": items, "passes": rng.choice(PASSES)}


def _bubbled(items: list[int]) -> tuple[list[int], list[str]]:
    """(the row after one pass, the swaps in words)."""
    row, swapped = list(items), []
    for index in range(len(row) - 1):
        if row[index] > row[index + 1]:
            swapped.append(f"{row[index]} with {row[index + 1]}")
            row[index], row[index + 1] = row[index + 1], row[index]
    return row, swapped


def _work_bubble(p: Params, book: Notebook) -> str:
    items = list(p["items"])
    for turn in range(1, PASSES.index(p["passes"]) + 2):
        row, swapped = _bubbled(items)
        facts = {"turn": turn, "nth": ordinal(turn), "swaps": counted(len(swapped), "swap"), "swapped": ", ".join(swapped)}
        missed = [*row[:-2], row[-1], row[-2]]
        text = book.decide(
            "pass" if swapped else "still", INTS.show(row), [INTS.show(one) for one in (row, missed, items) if one != row or one is row], **facts
        )
        items = list(INTS.read(text))
    book.note("done", row=INTS.show(items), largest=max(items))
    return INTS.show(items)


BUBBLE = Family(
    name="bubble_sort_pass",
    about=("sorting", "algorithm", "computer science", "bubble sort", "programming", "complexity", "python", "data structures", "order"),
    slots={"name": word(NAMES), "things": word(SORTED), "items": INTS, "passes": word(PASSES)},
    phrasings=(
        "{name} sorts {things} with the labels {items} by bubble sort in ascending order. [How do the labels stand|What is the row of labels] after "
        "{passes} from left to right?",
        "Bubble sort runs over the labels {items} of some {things}, swapping neighbours that are in the wrong order. What row does {name} see after "
        "{passes}, the smallest label belonging to the left?",
        "A row of {things} is numbered {items}. In {passes} from left to right, {name} exchanges two neighbours whenever the left number is larger. "
        "[Write down the row that results.|What row results?|Which row comes out?]",
    ),
    draw=_draw_bubble,
    work=_work_bubble,
    openings=(
        "Bubble sort only ever looks at neighbours: [if the left one is larger, they change places|a pair in the wrong order is swapped at once], "
        "and then it moves one place on.",
        "Walk along {items} with two fingers on neighbouring labels. [Each time the left one is larger, swap|Swap whenever the left label is "
        "larger].",
        "In one pass the largest label [travels all the way to the right|is carried to the right end], because it wins each comparison.",
        "Write the row {items} down and [carry out the work by hand|follow every swap] for {passes}.",
    ),
    tellings={
        "pass": Tell(
            ("Pass {turn} exchanges {swapped}, and the row reads {value}.",
             "In the {nth} pass these change places: {swapped}. Now the row is {value}.",
             "Going from left to right for the {nth} time, swap {swapped}; that gives {value}.",
             "The {nth} pass makes {swaps} ({swapped}) and leaves {value}."),
            ("Pairs that are already in order [are left alone|stay as they are].",
             "After a swap the larger label [is compared with|meets] its next neighbour.",
             "[Compare each label with|Hold each label against] the one on its right."),
        ),
        "still": Tell(
            ("The {nth} pass finds nothing to swap: {value}.", "In pass {turn} every pair is in order already, so the row stays {value}.",
             "Nothing moves in the {nth} pass, for {value} is sorted."),
        ),
        "done": Tell(
            ("After {passes} the labels stand as {row}.", "So {name} sees the row {row}.", "What is left behind is {row}.",
             "The row is {row} when {name} stops."),
            ("At the right end stands {largest}, the largest label, where it belongs.",
             "One thing is certain by now: {largest} has reached its final place."),
        ),
    },
)  # fmt: skip


def _draw_search(rng: random.Random) -> Params:
    items = tuple(sorted(rng.sample(range(2, 120), rng.randint(9, 15))))
    return {"name": rng.choice(NAMES), "items": items, "target": rng.choice(items)}


def _work_search(p: Params, book: Notebook) -> str:
    items, target = p["items"], p["target"]
    low, high = 0, len(items) - 1
    seen: list[int] = []
    while low <= high:
        middle = book.step("look", (low + high) // 2, low=low, high=high, sum=low + high, nth=ordinal(len(seen) + 1))
        seen.append(items[middle])
        if items[middle] == target:
            book.note("found", middle=middle, seen=INTS.show(seen), looks=counted(len(seen), "look"))
            return INTS.show(seen)
        small = items[middle] < target
        low, high = (middle + 1, high) if small else (low, middle - 1)
        book.note("right" if small else "left", middle=middle, item=items[middle], now=f"{low} to {high}" if low < high else f"index {low}")
    raise ValueError("the target was lost on the way")


SEARCH = Family(
    name="binary_search",
    about=("search", "binary search", "algorithm", "computer science", "logarithm", "programming", "data structures", "python", "efficiency"),
    slots={"name": word(NAMES), "items": INTS, "target": INT},
    phrasings=(
        "{name} looks for {target} by binary search in the sorted list {items} (indices start at 0, middle = (low + high) // 2). Which "
        "[elements|numbers] are [inspected|looked at], in order?",
        "The sorted list {items} is searched for {target} with binary search, the middle index being (low + high) // 2 from index 0 on. List the "
        "elements that {name} looks at, one after the other.",
        "By always looking at index (low + high) // 2, {name} hunts for {target} in {items}. [Write down|List] the numbers that are [looked "
        "at|inspected] until [it|{target}] is found.",
    ),
    draw=_draw_search,
    work=_work_search,
    openings=(
        "The list is sorted, so [one look at the middle rules out half of it|a single comparison throws half of it away]. That is repeated until "
        "{target} turns up.",
        "Two indices, low and high, enclose the part in which {target} can still be. [Each look moves one of them|Every comparison brings them "
        "closer together].",
        "Instead of reading from the start, {name} looks at the middle and [keeps the half that can contain {target}|decides on which side {target} "
        "must be].",
        "Searching for {target} means shrinking an interval of indices. [Follow low, high and the middle|Keep low and high in view].",
    ),
    tellings={
        "look": Tell(
            ("With low = {low} and high = {high}, the middle is {sum} // 2 = {value}.",
             "The {nth} look is at index ({low} + {high}) // 2 = {value}.", "Between index {low} and index {high} the middle is {value}.",
             "Indices {low} to {high} are open; their middle is {value}."),
            ("The middle splits what is open, from {low} to {high}, into two halves of nearly equal size.",
             "Integer division rounds [the middle|{sum} // 2] down when there are two middles.",
             "Looking in the middle[| between {low} and {high}] makes the worse case as small as possible."),
        ),
        "right": Tell(
            ("There stands {item}, less than {target}, so go on with {now}.", "{item} < {target}, which leaves {now}.",
             "Index {middle} holds {item}; it is too small, and low moves up: {now}.",
             "It holds {item}. Since that is below {target}, only {now} can contain it."),
            ("In a sorted list nothing to the left of {item}, a smaller number, can be {target}.",
             "If the middle is too small[| for {target}], the left half is out."),
        ),
        "left": Tell(
            ("There stands {item}, more than {target}, so go on with {now}.", "{item} > {target}, which leaves {now}.",
             "Index {middle} holds {item}; it is too large, and high moves down: {now}.",
             "It holds {item}. Since that is above {target}, only {now} can contain it."),
            ("A number that is too large[|, like {item},] takes its right neighbours with it.",
             "If the middle is too large[| for {target}], the right half is out."),
        ),
        "found": Tell(
            ("Index {middle} holds {target}, found after {looks}: {seen}.", "Here stands {target}. The numbers looked at are {seen}.",
             "That is {target} itself, and the search ends; {name} has seen {seen}.",
             "With {target} found at index {middle}, the list of inspected numbers is {seen}."),
        ),
    },
)  # fmt: skip

_TEXTS = words(
    "lantern harbour window silver meadow cobbler thunder orchard ribbon walnut copper saddle juniper velvet compass granite pelican marigold "
    "tambourine falcon gingerbread lighthouse umbrella "
    "violin blanket pumpkin horizon feather castle dolphin sapphire carousel hedgehog mountain postcard raincoat backpack sunflower elephant notebook"
)


def _draw_slice(rng: random.Random) -> Params:
    text = rng.choice(_TEXTS)
    step = rng.choice((1, 1, 2))
    start = rng.randint(0, len(text) - 4)
    return {"text": text, "start": start, "stop": rng.randint(start + 3, len(text)), "step": step, "times": rng.randint(1, 3)}


def _work_slice(p: Params, book: Notebook) -> str:
    text: str = p["text"]
    indices = list(range(p["start"], p["stop"], p["step"]))
    part = text[p["start"] : p["stop"] : p["step"]]
    book.note("index", first=text[p["start"]], last_index=indices[-1], last=text[indices[-1]], indices=", ".join(map(str, indices)))
    book.note("part", part=part, number=len(part))
    turned = part[::-1]
    others = [turned, part, text[p["start"] + 1 : p["stop"] + 1 : p["step"]][::-1]]
    turned = book.decide("turn", turned, list(dict.fromkeys(others)), part=part)
    result: str = turned * p["times"]
    book.note("repeat" if p["times"] > 1 else "once", result=result, turned=turned, length=len(result))
    return result


SLICE = Family(
    name="string_slice",
    about=("binary", "python", "strings", "programming", "slicing", "text", "indexing", "code", "computer science"),
    slots={"text": word(_TEXTS), "start": INT, "stop": INT, "step": INT, "times": INT},
    phrasings=(
        "What does Python print?\n\ntext = \"{text}\"\npart = text[{start}:{stop}:{step}]\nprint(part[::-1] * {times})",
        "Give the output of this Python snippet.\n\ntext = \"{text}\"\npart = text[{start}:{stop}:{step}]\nprint(part[::-1] * {times})",
        "Read the code and say which letters it writes.\n\ntext = \"{text}\"\npart = text[{start}:{stop}:{step}]\nprint(part[::-1] * {times})",
    ),
    draw=_draw_slice,
    work=_work_slice,
    openings=(
        "Three things happen to \"{text}\": [a part is cut out, turned round and repeated|cutting, reversing, repeating]. They are done in this "
        "order.",
        "The letters of \"{text}\" are numbered from 0. [With the numbers in place the slice is easy to read|Number them, and the slice can be read "
        "off].",
        "A slice text[{start}:{stop}:{step}] has three parts: where to begin, where to stop, and [how far to jump|the step].",
        "Work from the inside out: first the slice of \"{text}\", then the reversal, [then the multiplication by {times}|and the * {times} at the "
        "end].",
    ),
    tellings={
        "index": Tell(
            ("The indices are {indices}, from \"{first}\" at {start} to \"{last}\" at {last_index}.",
             "Starting at index {start}, the letter \"{first}\", the slice visits {indices}.",
             "Visited are the positions {indices}; the first letter is \"{first}\", the last \"{last}\"."),
            ("The index {stop} itself is not included.", "Counting starts at 0, and a slice ends before its second number.",
             "A step of {step} decides which positions are visited."),
        ),
        "part": Tell(
            ("So part is \"{part}\".", "That gives part = \"{part}\", {number} letters long.", "Read together, the {number} letters are \"{part}\"."),
            ("Put the [letters|{number} letters] at these positions side by side.", "The letters [of \"{text}\" |]keep their order in the slice."),
        ),
        "turn": Tell(
            ("Reversed, \"{part}\" is \"{value}\".", "From the end to the start it reads \"{value}\".", "Then part[::-1] is \"{value}\"."),
            ("A step of -1 walks backwards through [the text|\"{part}\"].",
             "The two colons without numbers take [the whole text|all of \"{part}\"], the -1 turns it round."),
        ),
        "repeat": Tell(
            ("Multiplied by {times}, it becomes \"{result}\".", "{times} copies in a row make \"{result}\".",
             "Printed are {length} letters: \"{result}\"."),
            ("A text times a number is the text repeated[|, here {times} times].",
             "For texts, * means repetition[|, and * {times} means {times} copies]."),
        ),
        "once": Tell(
            ("Times 1 changes nothing, so \"{result}\" is printed.", "One copy is the text itself: \"{result}\".",
             "With * 1 the output stays \"{result}\"."),
        ),
    },
)  # fmt: skip


_DIGITS = "0123456789ABCDEF"


def _draw_to_base(rng: random.Random) -> Params:
    return {"number": rng.randint(40, 999), "base": rng.choice((2, 2, 3, 4, 5, 6, 7, 8, 9, 16))}


def _work_to_base(p: Params, book: Notebook) -> str:
    left, digits = p["number"], ""
    while left:
        place = ordinal(len(digits) + 1)
        rest = book.step("divide", left % p["base"], _DIGITS.__getitem__, left=left, quotient=left // p["base"], rest=left % p["base"], place=place)
        if rest >= p["base"]:
            raise ValueError("no digit of this base")
        digits, left = _DIGITS[rest] + digits, left // p["base"]
    book.note("read", digits=digits, count=len(digits))
    back = " + ".join(f"{_DIGITS.index(digit)}×{p['base'] ** power}" for power, digit in zip(range(len(digits) - 1, -1, -1), digits, strict=True))
    book.note("check", back=back, digits=digits)
    return digits


TO_BASE = Family(
    name="number_to_base",
    about=("history", "base", "binary", "hexadecimal", "number systems", "digits", "computer", "bits", "place value"),
    slots={"number": INT, "base": INT},
    phrasings=(
        "Write the decimal number {number} in base {base}. [Give only the digits|Which digits does it have]?",
        "How is {number} (decimal) written in the number system with base {base}?",
        "Convert {number} from base ten to base {base}.",
        "A counter works in base {base}. What does it show after counting {number} (decimal) events?",
    ),
    draw=_draw_to_base,
    work=_work_to_base,
    openings=(
        "In base {base} every place is worth {base} times the place to its right. [Dividing by {base} therefore peels off one digit at a time|So "
        "repeated division by {base} brings out the digits, last one first].",
        "The last digit of {number} in base {base} is what remains after dividing by {base}. [The quotient holds all other digits|What is left over "
        "stands for the other digits].",
        "Group {number} things by {base}: what cannot be grouped is the last digit, and the groups are grouped again.",
        "To write {number} with the digits of base {base}, divide by {base} [until nothing is left|again and again] and collect the remainders.",
    ),
    tellings={
        "divide": Tell(
            ("{left} ÷ {base} = {quotient} remainder {rest}, which gives the digit {value}.",
             "From {left}: quotient {quotient}, remainder {rest}, so the {place} digit from the right is {value}.",
             "Dividing {left} by {base} leaves a digit {value}; write it down and go on with {quotient}.",
             "{left} = {quotient} × {base} + {rest}, digit {value}."),
            ("The remainder is always smaller than {base}, so it is a digit.",
             "What is left after making full groups of {base} has to stand in this place.",
             "A remainder on division by {base} is exactly what one place can hold."),
        ),
        "read": Tell(
            ("Read from the last remainder to the first, the digits are {digits}.", "In reverse order the {count} remainders spell {digits}.",
             "Written with the last remainder in front, that is {digits}."),
            ("The first remainder belongs to the rightmost place, hence the order [is turned round|of the {count} digits is turned round].",
             "The [digits|{count} digits] came out from right to left.",
             "Since the units were found first, the list [of {count} digits |]has to be reversed."),
        ),
        "check": Tell((
            "Going back: {back} = {number}.",
            "The places of {digits} add up again: {back}, which is {number}.",
        )),
    },
)  # fmt: skip
