"""The stock of sentences that textbook prose is built from: general and true of any topic, in four tones.

Every sentence names a person, a place or a number of the case at hand, so that a large set of texts hardly repeats one.
"""

from __future__ import annotations

HOOKS: dict[str, tuple[str, ...]] = {
    "child": (
        "{name} likes to find things out by trying, and [today|this time] the question is about {topic}.",
        "{name} from {town} [keeps|has] a notebook full of questions, and on the newest page stands: {topic}.",
        "\"{Topic}?\" {name} asked. \"[That sounds like something for grown-ups|Those are big words]!\" But {other} knew a small puzzle to begin "
        "with.",
        "On a rainy afternoon in {town}, {name} and {other} [got talking|started to wonder] about {topic}.",
        "{name} and {other} [believe|think] that big ideas start small, so they began to think about {topic} with [a puzzle|a riddle] that fits on "
        "one page.",
        "{other} asked {name} a [hard|tricky|good] question about {topic}, and {name} did not know the answer, which was a fine place to start.",
        "{name} took a pencil, sat down [in a quiet place|near a window] in {town}, and thought about {topic}.",
        "At {town} school, {name} heard about {topic} [and wanted to know more|and had a hundred questions].",
        "\"Who can tell me about {topic}?\" [asked|wondered] {name}, and {other} [pulled out a pencil|looked for some paper].",
        "{town} has a clever [baker|gardener|bus driver] called {name}, who can explain {topic} to anybody.",
        "If {name} could [invite|ask] one person to talk about {topic}, it would be {other} from {town}.",
    ),
    "student": (
        "{name} was told in {town} that nobody understands {topic} at once, [tried one problem|sat down with one problem], and found a way in.",
        "{name} and {other} both read about {topic}: {name} learned the definitions by heart, {other} also worked an example, and [a week|a month] "
        "later {other} could still use them.",
        "When {name} first read about {topic}, one complete case [did more|helped more] than a list of rules.",
        "{name}, who teaches in {town}, opens every course on {topic} with a problem [small enough to finish|that fits on half a page].",
        "For {name}, reading about {topic} felt easy until [the book was closed|it had to be done alone in {town}].",
        "In {town}, {name}'s study group spends its first hour on {topic} without any theory, [on one problem alone|with just one problem to "
        "finish].",
        "Like {name}, many who read about {topic} [want|ask for] the reason before the rule, and an example has both.",
        "What {name} calls learning about {topic}, {other} calls [repeating one honest example|doing it until it is dull]; they mean the same.",
        "{name}'s notes on {topic} begin with a [question|problem], not with a definition, and {other} thinks that is why they are so easy to read.",
        "Before the exam on {topic}, {name} and {other} met in {town} and [solved one problem slowly|took a single problem apart].",
        "\"Reading about {topic} is half of it,\" {name} told {other}, \"[and doing the work by hand is the other half|the other half is a "
        "pencil].\"",
        "Of everything said about {topic} in {town} that term, {name} kept [one worked case|a single example].",
    ),
    "engineer": (
        "{name}, an engineer in {town}, asks three things of any calculation about {topic}: what goes in, in which unit, and how the result was "
        "checked.",
        "A review in {town} found no gap in {name}'s notes on {topic}; what went wrong was a number copied from [the wrong line|another "
        "sheet].",
        "When {name} documents work on {topic}, every intermediate result gets a line, so that {other} can [check|review] it.",
        "{name} keeps a worked reference case on {topic} [next to the code|in the project folder], and {other} compares every change with it.",
        "Where a design in {town} depends on {topic}, {name} wants the numbers to be [reproducible|traceable] from the inputs on.",
        "For {name}, a result about {topic} without a check is only a claim, and {other} [was made to learn this|agrees].",
        "{name}'s checklist for anything about {topic} has four lines: given, wanted, method, check.",
        "{other} estimates before computing, not only in work on {topic}, since a rough figure [once caught|has caught] an error of size in {town}.",
        "On {name}'s desk in {town} lies a one-page calculation that explains {topic} better than [the manual|the slides] did.",
        "Before {name} automates anything about {topic}, one case is done by hand [and signed by {other}|for comparison].",
        "When people in {town} ask about {topic}, they are told of {name}, who [never trusted|would not sign] a result that had been computed only "
        "once.",
    ),
    "adult": (
        "{name} came back to {topic} years after school and found that [one worked case|a single example] brought most of it back.",
        "{name} reads slowly about {topic}, and it pays: one case understood to the end is worth ten that were skimmed.",
        "In {town}, {name} runs an evening course on {topic} for people who [never liked|had given up on] the subject.",
        "{name} tells people who ask about {topic} to [bring a pencil|expect some writing], because what one has done by hand stays.",
        "A neighbour in {town} asked {name} about {topic} and [daily life|what follows from it], and got an example for an answer.",
        "When {name} and {other} talk about {topic}, they soon [look for|ask for] a concrete case, since one can agree or disagree about that.",
        "Over coffee in {town}, {name} and {other} [tried to explain|explained] {topic} to each other, with a paper napkin for a blackboard.",
        "Nobody had told {name} that one can start to think about {topic} with a problem [as plain as this one|from everyday life].",
        "{name} never heard about {topic} at school and [picked it up|caught up on it] in {town}, one example at a time.",
        "What {name} likes when it comes to {topic} is that one can check [the result|oneself] without asking anybody in {town}.",
        "To {name}, the library in {town} means reading about {topic} on Tuesdays and [a good problem to take home|something to puzzle over on the "
        "way back].",
    ),
}  # fmt: skip

WHY: tuple[str, ...] = (
    "A finished example shows {name} what a definition leaves out: [where to begin, and when to stop|the order in which things are done].",
    "{name} has chosen small numbers, so that [attention stays on the reasoning|nothing distracts {other} from the reasoning].",
    "What matters to {name} is less the result {answer} than [the reason for each step|why each step is allowed].",
    "Each of the {steps} steps uses only what is known by then, and that is what makes it [safe|easy to check] for {other}.",
    "{other} follows with a pencil and [stops|pauses] wherever a number appears that {name} has not explained.",
    "{name} guesses the size of the answer first, because a guess turns the result into [news|a surprise or a confirmation].",
    "[{name}'s advice|{name}'s rule] is to ask of every step what would change if one of the numbers were different.",
    "{other} covers the solution and tries alone first, and [even a wrong start|an attempt that fails] makes {name}'s explanation easier to follow.",
    "The problem needs no machine, says {name}, but it has {steps} places in which [to go wrong|one can slip].",
    "If {name} can explain these {steps} steps to {other}, [they are understood|they have been understood].",
    "{name} prefers one problem with all its {steps} steps to [ten answers without any|a page of bare results].",
    "Nothing below is a trick: {name} would [do|write] the same {steps} steps again tomorrow.",
)

LEADS: tuple[str, ...] = (
    "{name} [was given|met|came across] the following problem in {town}.",
    "{name} likes to put this question to [beginners|friends] in {town}.",
    "[A notice|A message|A worksheet] from {town} [puzzled|caught the eye of] {name}:",
    "[One evening|One morning] in {town}, {other} asked {name} this:",
    "[Suppose|Imagine] that {other} from {town} asks you the following.",
    "The [problem|task] on {name}'s desk reads as follows.",
    "It begins with a question that {name} [wrote down|found] in {town}.",
    "{name} and {other} [started|began] with this:",
    "Here is what {other} wanted {name} to [work out|solve].",
    "{town} is where {name} first [heard|read] this one:",
)

BRIDGES: tuple[str, ...] = (
    "It is not about {topic} itself, {name} admits, but it needs the same habit: [known facts first, then one step at a time|to state what is known "
    "and move one step at a time].",
    "{name} chose an everyday calculation on the way to understanding {topic}, since it [asks for|trains] the same care.",
    "As {name} sees it, a question about {topic} becomes definite in the same way, by [naming the quantities|saying which quantities are known].",
    "Before they come to {topic}, {name} lets {other} warm up on a problem that [can be finished|has a definite answer].",
    "{other} asked what this has to do with {topic}, and {name} [replied|said]: exact reading comes first in both.",
)

REFLECT: tuple[str, ...] = (
    "{name} counts {steps} steps, and [each one used only what had been found before|none of them could be left out].",
    "{other} would have failed by [skipping|leaving out] even one of the {steps} steps.",
    "{name} tests the {answer} by [putting it back into|inserting it in] the question and seeing whether every sentence comes out true.",
    "Of the {steps} steps, {other} did the first one [too fast|carelessly], because it looked obvious.",
    "With other numbers the answer {answer} would change, but {name}'s path [would not|would stay the same].",
    "What {name} keeps is the order of work, not the {answer}.",
    "Whoever gets something other than {answer} should compare line by line with {name}'s work and [look for|mark] the first line that differs.",
    "{other} took another path and also found {answer}, which {name} [calls the best kind of check|takes as a good sign].",
    "Is {answer} plausible? {name} asked that too, [with a rough estimate|on the back of the sheet].",
    "{other} wrote {answer} down only after all {steps} steps had been read once more.",
    "{name} underlined the {answer} and asked {other} [which step had been the hardest|where one could have slipped].",
)

HABITS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "child": (
        ("draw a picture", ("pictures do not get tired", "a drawing shows what goes where")),
        ("say the question in [your|one's] own words first", ("then it is half solved", "a question you can tell is a question you can answer")),
        ("cross things out without worry", ("paper is patient", "mistakes are clues")),
        ("tell a friend how it was done", ("two heads see more than one", "if both get the same, that is a good sign")),
        ("take small steps", ("nobody has to jump", "small steps are safe steps")),
        ("try smaller numbers first", ("what works with three may work with thirty", "small numbers are friendly")),
        ("count twice", ("the second time is quicker", "eyes skip things now and then")),
        ("ask why at every line", ("the answer to why is what stays", "a line without a reason is only ink")),
    ),
    "student": (
        ("write the unit next to each number", ("many slips show themselves that way", "a wrong unit is easy to see")),
        ("say what is wanted before computing anything", ("a clear aim saves work", "otherwise one computes the wrong thing correctly")),
        ("keep every intermediate result on the page", ("a line that is not written cannot be checked", "memory is a poor notebook")),
        ("ask which of the given facts has not been used yet", ("an unused fact is often a hint", "questions seldom carry spare numbers")),
        ("use a second method as a check on the first", ("two methods rarely fail in the same way", "agreement is evidence")),
        ("redo the problem with other numbers", ("then the pattern shows", "what stays the same is the method")),
        ("explain a step aloud", ("gaps can be heard", "copying falls silent when it has to explain")),
        ("find the line where a mistake happened", ("starting afresh often repeats it", "a mistake that is understood does not return")),
        ("estimate first", ("an estimate catches answers that are ten times too large", "it costs a moment and saves a page")),
    ),
    "engineer": (
        ("record the assumption next to the number", ("assumptions age faster than formulas", "the next reader was not in the room")),
        ("carry units through every line", ("a unit that fails to cancel is an error message that costs nothing", "half of all reviews end there")),
        ("test the extreme cases, zero and one and the largest value", ("faults live at the edges", "the middle of the range proves little")),
        ("round at the end and not on the way", ("rounding errors add up", "a rounded number cannot be unrounded")),
        ("let a second person repeat the calculation from the inputs", ("the author reads what was meant, not what is written",
         "fresh eyes are cheap")),
        ("compare the result with an order-of-magnitude estimate", ("errors of size are the expensive ones",
         "an estimate made beforehand cannot be bent")),
        ("name intermediate quantities", ("names are cheaper than memory", "a named quantity can be reviewed")),
        ("keep a reference case under version control", ("an unwanted change is then seen at once", "tests need something to compare with")),
        ("state the valid range beside the formula", ("formulas get copied without their limits", "every model ends somewhere")),
    ),
    "adult": (
        ("put the question into plain words first", ("formulas can wait", "plain words show what is really asked")),
        ("make a rough guess beforehand", ("it protects against answers that are ten times too large",
         "a guess gives the result something to be measured by")),
        ("note what is given and what is wanted on two lines", ("the gap between the lines is the problem", "then nothing is overlooked")),
        ("ask who would notice if the result were wrong", ("that tells how much checking is worth",
         "some errors are found only by the person who pays for them")),
        ("trust a result only after reaching it twice", ("the second route is quick once the first is known", "one route can mislead")),
        ("leave the problem for a day and do it again", ("what is still clear then has been learned", "sleep sorts things")),
        ("talk the solution through with somebody", ("saying it brings gaps to light", "a listener asks the right questions")),
        ("keep old mistakes in a notebook", ("they come back in new clothes", "they are the best teachers one can have for free")),
    ),
}  # fmt: skip
"""(what to do, as after `to` or as a command; why), by tone."""

ADVICE: tuple[str, ...] = (
    "{name} [reminds|often tells] {other} to {do}: {reason}.",
    "{name} never forgets to {do}, because {reason}.",
    '"{Do}," [says|advises] {name}, "for {reason}."',
    "In {town} they learn to {do}, since {reason}, or so {name} [says|reports].",
    "What saves {name} most often is to {do}, because {reason}.",
    "It helps {other} to {do}, as {reason}.",
    "{name} and {other} agree on one thing: {do}, for {reason}.",
    "[A rule|Another rule] from {name}'s wall in {town} says: {do}, because {reason}.",
    "When thinking about {topic} gets difficult, {name}'s answer is to {do}, since {reason}.",
)

EXERCISES: tuple[str, ...] = (
    "{other} went on alone: {question} [(The answer is {answer2}.)|{name} had {answer2} for comparison.]",
    "**Exercise.** {question}\n\n*[Result|To compare], from {name}'s notes: {answer2}.*",
    "For practice, {name} suggests: {question} If you find {answer2}, the method has carried over [from {name}'s case|as it did for {other}].",
    "{name} went on with [a variation|a sister problem]: {question} [It comes to {answer2}|That one gives {answer2}].",
    "One more, for {other}'s pencil: {question} {other} should [arrive at|get] {answer2}.",
    "[To finish|As a last task], {name} leaves this to you: {question} [It leads to {answer2}|Its answer is {answer2}].",
    "{town} has a problem of its own: {question} [{name} found {answer2}|With the same steps it comes to {answer2}].",
)  # fmt: skip

HEADINGS: tuple[str, ...] = (
    "A question about {topic}", "The words one needs to speak about {topic}", "A first example, step by step", "{Topic}, seen [at home|at work]",
    "Common slips and how to [notice|catch] them",
    "Checking a result", "From a [picture|story] to numbers", "When the numbers grow", "Two ways to the same answer",
    "[Exercises|Problems] with answers", "What comes after {topic}",
    "How to [read|take apart] a question", "Estimating before computing", "What stays the same when the numbers change", "A harder case",
    "Explaining {topic} to somebody else",
    "Why people ask about {topic}", "[Limits|Where the method stops working]", "Working backwards", "A look back at {topic}",
    "Units, signs and [other small things|details]",
    "What is given, what is wanted", "A conversation about {topic}", "[Practice|More practice] on {topic}",
)  # fmt: skip

PURPOSES: tuple[str, ...] = (
    "It settles [where to begin|what is known at the start], with a case of {family}.",
    "A case of {family} shows [why the step is needed|what goes wrong without it].",
    "The example of {family} answers how [a result can be trusted|one notices a slip].",
    "It asks what stays the same [when the numbers change|in another case], by way of {family}.",
    "By way of {family}, it shows [which question to ask first|how to put it into words].",
    "It compares two ways to treat {family} and says [which is safer|how they differ].",
)  # fmt: skip

TERMS: tuple[str, ...] = (
    "[Some words|A few words] carry the rest: {terms}, and {name} made sure of each before going on.",
    "{name} found that everything here [keeps coming back to|returns again and again to] {terms}.",
    "If {other} can say in a sentence what is meant by {terms}, [most of it is in hand|the rest holds no surprises].",
    "{name} marked the words {terms} [on the page|with a pencil].",
)
FACTS: tuple[str, ...] = (
    "[One thing {name} tells {other} first is that|{name} wants {other} to know that|To {name} it matters that] {fact}",
    "[{name} keeps in mind that|{other} was surprised that|{name} had to read twice that] {fact}",
    "[{other} found out that|{name} adds that|Then {other} learned that] {fact}",
)
DEFINITIONS: tuple[str, ...] = (
    "What {verb} {term}? In short, {meaning}.",
    "By {term} [{name} means|one understands] {meaning}.",
    "[Ask {name} for|Ask {other} about] {term}, and the answer is: {meaning}.",
    "The word to learn [here|at this point] is {bare}: {meaning}.",
)

AGAIN: tuple[str, ...] = (
    "{other} [repeated|tried] the same steps with other numbers:", "{name} has a second case of the same kind, [told more briefly|in fewer words]:",
    "Once more, with numbers from {town}:", "{name} let the numbers change, and [nothing else changed|the path stayed]:",
    "{other} asked for another one, and {name} [found|wrote] this:",
)  # fmt: skip
WHY_ASKED: tuple[str, ...] = (
    "{name} from {town} asks: where does one start to understand {topic}?",
    "{name} wants to know: how does one [come to understand|learn about] {topic}?",
    "A question from {town}, sent by {name}: what is a good first step towards understanding {topic}?",
    "{name} wonders: is it hard to [understand|explain] {topic}?",
)  # fmt: skip
CASE_ASKED: tuple[str, ...] = (
    "{other} asks: can you show [an example|one case]?", "{name} again: what does that look like with numbers?",
    "And {other}: how is such a question [worked out|solved]?", "May {name} see it done once?",
)  # fmt: skip
LESSON_ASKED: tuple[str, ...] = (
    "What should {name} [take away|remember]?", "{other} asks: what [carries over|can be used again]?",
    "How does {name} know that {answer} is right?", "Where could {other} have slipped?",
)  # fmt: skip
STORY: tuple[str, ...] = (
    "One day [a letter|a note] with a single question reached {name} in {town}.",
    "{other} [stopped at|came through] the door of {name}'s workshop in {town} with a question.",
    "[That evening|At supper], {other} put a problem on {name}'s table.", "The market in {town} was closing when {other} asked {name} for help.",
    "{name} missed the last bus from {town}, and {other} passed the time with a problem.",
)  # fmt: skip
TRIED: tuple[str, ...] = (
    "{name} [reached for a pencil|took a sheet of paper].", "{other} [said nothing|waited] while {name} began to write.",
    "{name} read it twice, then looked at {other}.", "{other} guessed, but {name} preferred to [work it out|compute].",
)  # fmt: skip
TOLD: tuple[str, ...] = (
    "{other} [nodded|looked at {name}'s page for a while].", "\"So that is all,\" said {other} to {name}.",
    "{name} put the pencil down and showed {other} the {answer}.", "{name} and {other} [compared notes|went through it once more] on the way home.",
)  # fmt: skip
ASKS: tuple[str, ...] = (
    "{other}, I keep hearing about {topic}, so where do I [begin|start]?", "Could we talk about {topic}, {other}?",
    "What would you show somebody in {town} who asks about {topic}, {other}?",
    "You know about {topic}, {other}, so tell me how you [found out|learned it].",
    "{other}, I have to explain {topic} in {town} [tomorrow|next week], and I do not know how to begin.",
)  # fmt: skip
ANSWERS: tuple[str, ...] = (
    "With one example, {name}, done slowly.", "Not with definitions, {name}, but with a small problem that you finish.",
    "By doing, {name}, since reading alone [never helped me|did not help anybody in {town}].",
    "I would start with numbers that fit on [one page|a napkin], {name}.",
)  # fmt: skip
SOURCE: tuple[str, ...] = (
    "Let me tell you what I know, {other}.",
    "Let me [sum up|go through] what I learned in {town}.",
    "{other}, this is from my notes.",
)
WANTS: tuple[str, ...] = (
    "Then give me [one|a problem], {other}.",
    "[Go ahead|I am ready], {other}.",
    "Good, {other}, which problem?",
    "All right, {other}, [let us try|what is the problem]?",
)
GIVES: tuple[str, ...] = (
    "Here it is, {name}.",
    "Try this, {name}.",
    "{name}, [take|listen to] this one.",
    "[What do you make of this|How about this], {name}?",
)
NODS: tuple[str, ...] = (
    "[Right|Yes], {you}.",
    "I see, {you}.",
    "Good, {you}.",
    "[Clear so far|So far, so good], {you}.",
    "Hm, {you}.",
    "[Let me see|One moment], {you}.",
    "Agreed, {you}.",
)
SO: tuple[str, ...] = ("So the answer is", "[Then|And that means] we are done, and the answer is", "[In the end|Finally], the answer is")
THANKS: tuple[str, ...] = (
    "Thank you, {you}, [that helped|that was clear].", "I think I can do the next one, {you}.", "That was easier than I feared, {you}.",
    "Now I see why you [write everything down|go slowly], {you}.",
)  # fmt: skip
SUMMARIES: tuple[str, ...] = (
    "On {topic}: a worked problem ({family}) whose answer is {answer}, [with practice at the end|with habits for checking].",
    "[Shows|Explains] with {name} how a problem of the kind {family} is solved in {steps} steps, [as a way to|on the way to] understanding {topic}.",
    "A worked {family} problem with the result {answer} [leads to|opens] thoughts about {topic}; {name} [stresses checking|insists on care with each "
    "step].",
    "[Takes|Leads] the reader from {other}'s question to {answer} in {steps} steps and draws habits for thinking about {topic} from it.",
)  # fmt: skip
