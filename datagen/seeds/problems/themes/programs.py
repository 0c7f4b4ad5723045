"""Problems about small programs: what they print, and how an algorithm moves."""

from __future__ import annotations

import random

from datagen.seeds.problems.family import INT, INTS, Family, Notebook, Params, Slot, Tell, word
from datagen.seeds.problems.wording import NAMES, counted, ordinal

VARIABLES = ("total", "score", "acc", "sum_", "value", "count", "amount", "level")


def _draw_loop(rng: random.Random) -> Params:
    start, step = rng.randint(1, 5), rng.randint(1, 4)
    return {"v": rng.choice(VARIABLES), "init": rng.randint(0, 20), "start": start, "stop": start + step * rng.randint(3, 5) - rng.randint(0, step - 1), "step": step, "k": rng.randint(2, 6), "m": rng.randint(2, 4)}


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
    about=("python", "programming", "loops", "code", "computer science", "variables", "conditionals", "algorithm", "debugging"),
    slots={"v": word(VARIABLES), "init": INT, "start": INT, "stop": INT, "step": INT, "k": INT, "m": INT},
    phrasings=(
        "What does this Python program print?\n\n{v} = {init}\nfor i in range({start}, {stop}, {step}):\n    if i % {m} == 0:\n        {v} = {v} + {k} * i\n    else:\n        {v} = {v} - 1\nprint({v})",
        "Trace the following Python code. Which number appears on the screen?\n\n{v} = {init}\nfor i in range({start}, {stop}, {step}):\n    if i % {m} == 0:\n        {v} = {v} + {k} * i\n    else:\n        {v} = {v} - 1\nprint({v})",
        "Without running it, say what is printed by\n\n{v} = {init}\nfor i in range({start}, {stop}, {step}):\n    if i % {m} == 0:\n        {v} = {v} + {k} * i\n    else:\n        {v} = {v} - 1\nprint({v})",
    ),
    draw=_draw_loop,
    work=_work_loop,
    openings=(
        "A trace follows the variable {v} through each round of the loop. [It starts at {init}|Before the loop it is {init}].",
        "Keep two columns on paper, one for i and one for {v}, and [fill in a line per round|write a new line whenever one of them changes].",
        "The variable {v} begins with {init}; every round of the loop either adds something or takes 1 away, [depending on whether i is divisible by {m}|according to the remainder of i by {m}].",
        "Play the computer: [take the lines one by one and note each change of {v}|execute line by line, starting with {v} = {init}].",
    ),
    tellings={
        "range": Tell(
            ("range({start}, {stop}, {step}) produces {numbers}, so the body runs {times}.", "The loop variable i takes the values {numbers}.", "With start {start}, stop {stop} and step {step}, i becomes {numbers}."),
            ("The stop value {stop} is not included in a range.", "First settle which values i takes.", "A range counts up by its step and halts before its second number."),
        ),
        "add": Tell(
            ("i = {i}: divisible by {m}, so {v} becomes {old} + {product} = {value}.", "For i = {i} the condition is true, and {v} = {old} + {k} * {i} = {value}.", "{i} % {m} is 0, hence {v} goes from {old} to {value}.", "With i = {i}, {k} * {i} = {product} is added: {v} is {value}."),
            ("The remainder 0 sends the program into the first branch.", "Whenever {m} divides i, {k} times i is added."),
        ),
        "minus": Tell(
            ("i = {i}: {i} % {m} is {rest}, so {v} drops to {value}.", "For i = {i} the else branch runs, and {v} = {old} - 1 = {value}.", "{i} leaves the remainder {rest} on division by {m}, so {v} becomes {value}.", "With i = {i} the condition fails, which makes {v} equal to {value}."),
            ("A remainder other than 0 leads to the else branch.", "If {m} does not divide i, only 1 is taken away."),
        ),
        "print": Tell(
            ("After the loop, {v} is {value}, and that is printed.", "The last line prints {v}, which holds {value}.", "So print shows {value}."),
            ("The print stands outside the loop and runs once.", "Indentation tells that print comes after the last round."),
        ),
    },
)  # fmt: skip

SORTED = ("books", "numbers", "cards", "jars", "parcels", "files", "tickets", "boxes")


def _draw_bubble(rng: random.Random) -> Params:
    while True:
        items = tuple(rng.sample(range(1, 60), rng.choice((5, 5, 6))))
        if items != tuple(sorted(items)):
            return {"name": rng.choice(NAMES), "things": rng.choice(SORTED), "items": items, "passes": rng.choice((1, 2, 2))}


def _work_bubble(p: Params, book: Notebook) -> str:
    items, swaps = list(p["items"]), 0
    for turn in range(p["passes"]):
        swapped = []
        for index in range(len(items) - 1):
            if items[index] > items[index + 1]:
                swapped.append(f"{items[index]} with {items[index + 1]}")
                items[index], items[index + 1] = items[index + 1], items[index]
        row = ", ".join(map(str, items))
        if not swapped:
            book.note("still", turn=turn + 1, nth=ordinal(turn + 1), row=row)
            continue
        book.note("pass", turn=turn + 1, nth=ordinal(turn + 1), row=row, swapped=", ".join(swapped), swaps=counted(len(swapped), "swap"), largest=max(items))
        swaps = book.step("count", swaps + len(swapped), so_far=swaps, new=len(swapped), nth=ordinal(turn + 1))
    book.note("done", total=counted(swaps, "swap"))
    return str(swaps)


BUBBLE = Family(
    name="bubble_sort_swaps",
    about=("sorting", "algorithm", "computer science", "bubble sort", "programming", "complexity", "python", "data structures", "order"),
    slots={"name": word(NAMES), "things": word(SORTED), "items": INTS, "passes": INT},
    phrasings=(
        "{name} sorts {things} with the labels {items} by bubble sort in ascending order. How many swaps happen in the first {passes} pass(es) from left to right?",
        "Bubble sort runs over the labels {items} of some {things}, swapping neighbours that are in the wrong order. {name} counts the swaps of the first {passes} pass(es), smallest label to the left. What is the count?",
        "A row of {things} is numbered {items}. {name} goes from left to right {passes} time(s), exchanging two neighbours whenever the left number is larger. How many exchanges are made?",
    ),
    draw=_draw_bubble,
    work=_work_bubble,
    openings=(
        "Bubble sort only ever looks at neighbours: [if the left one is larger, they change places|a pair in the wrong order is swapped at once], and then it moves one place on.",
        "Walk along {items} with two fingers on neighbouring labels. [Each time the left one is larger, swap and count|A swap is counted whenever the left label is larger].",
        "In one pass the largest label [travels all the way to the right|is carried to the right end], because it wins each comparison.",
        "Write the row {items} down and [carry out each pass by hand|follow every swap]; the number of swaps shows how far from sorted it was.",
    ),
    tellings={
        "pass": Tell(
            ("Pass {turn} swaps {swapped}, and the row reads {row}.", "In the {nth} pass these change places: {swapped}. The row is now {row}.", "Going from left to right for the {nth} time, swap {swapped}; that gives {row}.", "The {nth} pass makes {swaps} ({swapped}) and leaves {row}."),
            ("Pairs that are already in order are left alone.", "After a swap the larger label is compared with its next neighbour.", "Compare each label with the one on its right."),
        ),
        "still": Tell(
            ("The {nth} pass finds nothing to swap: {row}.", "In pass {turn} every pair is in order already, so the row stays {row}.", "Nothing moves in the {nth} pass, for {row} is sorted."),
        ),
        "count": Tell(
            ("So far that makes {so_far} + {new} = {value}.", "The count rises from {so_far} to {value}.", "With these {new} the total is {value}.", "Swaps up to here: {so_far} + {new} = {value}."),
            ("Each exchange of two neighbours counts once.", "Add the swaps of the {nth} pass."),
        ),
        "done": Tell(("In all there are {total}.", "The row needed {total} in the passes asked for.", "That is {total} altogether.", "{name} has made {total}.")),
    },
)  # fmt: skip


def _draw_search(rng: random.Random) -> Params:
    items = tuple(sorted(rng.sample(range(2, 120), rng.randint(9, 15))))
    return {"name": rng.choice(NAMES), "items": items, "target": rng.choice(items)}


def _work_search(p: Params, book: Notebook) -> str:
    items = p["items"]
    low, high, looks = 0, len(items) - 1, 0
    while True:
        middle = (low + high) // 2
        facts = {"low": low, "high": high, "middle": middle, "item": items[middle], "sum": low + high}
        if items[middle] == p["target"]:
            looks = book.step("found", looks + 1, **facts, look=ordinal(looks + 1))
            return str(looks)
        if items[middle] < p["target"]:
            low = middle + 1
        else:
            high = middle - 1
        looks += 1
        book.note("right" if items[middle] < p["target"] else "left", **facts, now=f"{low} to {high}" if low < high else f"index {low}", look=ordinal(looks))


SEARCH = Family(
    name="binary_search",
    about=("search", "binary search", "algorithm", "computer science", "logarithm", "programming", "data structures", "python", "efficiency"),
    slots={"name": word(NAMES), "items": INTS, "target": INT},
    phrasings=(
        "{name} looks for {target} by binary search in the sorted list {items} (indices start at 0, middle = (low + high) // 2). How many elements are inspected until it is found?",
        "The sorted list {items} is searched for {target} with binary search, the middle index being (low + high) // 2 from index 0 on. Count the elements that {name} has to look at, the last one included.",
        "By always looking at index (low + high) // 2, {name} hunts for {target} in {items}. After how many looks is it found?",
    ),
    draw=_draw_search,
    work=_work_search,
    openings=(
        "The list is sorted, so [one look at the middle rules out half of it|a single comparison throws half of it away]. That is repeated until {target} turns up.",
        "Two indices, low and high, enclose the part in which {target} can still be. [Each look moves one of them|Every comparison brings them closer together].",
        "Instead of reading from the start, {name} looks at the middle and [keeps the half that can contain {target}|decides on which side {target} must be].",
        "Searching for {target} means shrinking an interval of indices. [Follow low, high and the middle|Keep low and high in view].",
    ),
    tellings={
        "right": Tell(
            ("Indices {low} to {high}: the middle is {middle}, where {item} stands. It is too small, so go on with {now}.", "The {look} look is at index ({low} + {high}) // 2 = {middle}; {item} < {target}, which leaves {now}.", "At index {middle} we find {item}, less than {target}, hence low becomes {middle} + 1 and the search goes on in {now}.", "{item} at index {middle} is below {target}; everything up to it can be dropped, and {now} is left."),
            ("In a sorted list nothing to the left of a smaller number can be the target.", "If the middle is too small, the left half is out."),
        ),
        "left": Tell(
            ("Indices {low} to {high}: the middle is {middle}, where {item} stands. It is too large, so go on with {now}.", "The {look} look is at index ({low} + {high}) // 2 = {middle}; {item} > {target}, which leaves {now}.", "At index {middle} we find {item}, more than {target}, hence high becomes {middle} - 1 and the search goes on in {now}.", "{item} at index {middle} is above {target}; everything from there on can be dropped, and {now} is left."),
            ("A number that is too large takes its right neighbours with it.", "If the middle is too large, the right half is out."),
        ),
        "found": Tell(
            ("Now the middle is index {middle}, and there stands {target}: found at look number {value}.", "The {look} look, at index {middle}, meets {target}, which makes {value}.", "Index ({low} + {high}) // 2 = {middle} holds {target}, so the number of looks is {value}.", "With low = {low} and high = {high} the middle is {middle}, where {target} is; that was look {value}."),
        ),
    },
)  # fmt: skip

_TEXTS = (
    "lantern harbour window silver meadow cobbler thunder orchard ribbon walnut copper saddle juniper velvet compass granite pelican marigold tambourine falcon gingerbread lighthouse umbrella "
    "violin blanket pumpkin horizon feather castle dolphin sapphire carousel hedgehog mountain postcard raincoat backpack sunflower elephant notebook"
).split()


def _draw_slice(rng: random.Random) -> Params:
    text = rng.choice(_TEXTS)
    step = rng.choice((1, 1, 2))
    start = rng.randint(0, len(text) - 4)
    return {"text": text, "start": start, "stop": rng.randint(start + 3, len(text)), "step": step, "times": rng.randint(1, 3)}


def _work_slice(p: Params, book: Notebook) -> str:
    text, indices = p["text"], list(range(p["start"], p["stop"], p["step"]))
    part = text[p["start"] : p["stop"] : p["step"]]
    book.note("index", first=text[p["start"]], last_index=indices[-1], last=text[indices[-1]], indices=", ".join(map(str, indices)))
    book.note("part", part=part, number=len(part))
    turned = part[::-1]
    others = [turned, part, text[p["start"] + 1 : p["stop"] + 1 : p["step"]][::-1]]
    turned = book.decide("turn", turned, list(dict.fromkeys(others)), part=part)
    result = turned * p["times"]
    book.note("repeat" if p["times"] > 1 else "once", result=result, turned=turned, length=len(result))
    return result


SLICE = Family(
    name="string_slice",
    about=("python", "strings", "programming", "slicing", "text", "indexing", "code", "computer science"),
    slots={"text": word(_TEXTS), "start": INT, "stop": INT, "step": INT, "times": INT},
    phrasings=(
        "What does Python print?\n\ntext = \"{text}\"\npart = text[{start}:{stop}:{step}]\nprint(part[::-1] * {times})",
        "Give the output of this Python snippet.\n\ntext = \"{text}\"\npart = text[{start}:{stop}:{step}]\nprint(part[::-1] * {times})",
        "Read the code and say which letters it writes.\n\ntext = \"{text}\"\npart = text[{start}:{stop}:{step}]\nprint(part[::-1] * {times})",
    ),
    draw=_draw_slice,
    work=_work_slice,
    openings=(
        "Three things happen to \"{text}\": [a part is cut out, turned round and repeated|cutting, reversing, repeating]. They are done in this order.",
        "The letters of \"{text}\" are numbered from 0. [With the numbers in place the slice is easy to read|Number them, and the slice can be read off].",
        "A slice text[{start}:{stop}:{step}] has three parts: where to begin, where to stop, and [how far to jump|the step].",
        "Work from the inside out: first the slice of \"{text}\", then the reversal, [then the multiplication by {times}|and the * {times} at the end].",
    ),
    tellings={
        "index": Tell(
            ("The indices are {indices}, from {first} at {start} to {last} at {last_index}.", "Starting at index {start}, the letter {first}, the slice visits {indices}.", "Visited are the positions {indices}; the first letter is {first}, the last {last}."),
            ("The index {stop} itself is not included.", "Counting starts at 0, and a slice ends before its second number.", "A step of {step} decides which positions are visited."),
        ),
        "part": Tell(
            ("So part is \"{part}\".", "That gives part = \"{part}\", {number} letters long.", "Read together, the {number} letters are \"{part}\"."),
            ("Put the letters at these positions side by side.", "The letters keep their order in the slice."),
        ),
        "turn": Tell(
            ("Reversed, \"{part}\" is \"{value}\".", "From the end to the start it reads \"{value}\".", "part[::-1] is therefore \"{value}\"."),
            ("A step of -1 walks backwards through the text.", "The two colons without numbers take the whole text, the -1 turns it round."),
        ),
        "repeat": Tell(
            ("Multiplied by {times}, it becomes \"{result}\".", "{times} copies in a row make \"{result}\".", "Printed are {length} letters: \"{result}\"."),
            ("A text times a number is the text repeated.", "For texts, * means repetition."),
        ),
        "once": Tell(
            ("Times 1 changes nothing, so \"{result}\" is printed.", "One copy is the text itself: \"{result}\".", "With * 1 the output stays \"{result}\"."),
        ),
    },
)  # fmt: skip
