"""The stock of sentences that textbook prose is built from: general and true of any topic, in four tones."""

from __future__ import annotations

HOOKS: dict[str, tuple[str, ...]] = {
    "child": (
        "{name} likes to find things out by trying. [Today|This time] the question is about {topic}.",
        "{name} from {town} [keeps|has] a notebook full of questions, and on the newest page stands: {topic}.",
        "{Topic}! [That sounds like something for grown-ups|Those are big words], but [a small puzzle|one little story with numbers] is enough to "
        "begin.",
        "On a rainy afternoon in {town}, {name} and {other} [got talking|started to wonder] about {topic}.",
        "[Big|Grand|Large] ideas often start small. With {topic}, a good start is [a puzzle|a riddle] that fits on one page.",
        "{other} asked {name} a [hard|tricky|good] question about {topic}. {name} did not know the answer, and that was a fine place to start.",
        "[Take a pencil|Get some paper], sit down [in a quiet place|near a window], and think along about {topic}.",
        "At school in {town}, {name} heard about {topic} [and wanted to know more|and had a hundred questions].",
    ),
    "student": (
        "{Topic}: [the words sound larger than the first steps are|behind the words stands something one can do by hand].",
        "Whoever meets {topic} for the first time [does well to|should] start from one complete case rather than from a list of rules.",
        "{name} and {other} both read about {topic}. {name} learned the definitions by heart; {other} also worked an example, and [a week later|a "
        "month later] it was {other} who could still use them.",
        "Two things carry a good grasp of {topic}: knowing what the words mean, and having [carried out the reasoning|done the work] by hand at "
        "least once.",
        "{name}, who teaches in {town}, opens every course on {topic} with a problem [small enough to finish|that fits on half a page].",
        "[Reading|Hearing] about {topic} feels easy until [the book is closed|one has to do it alone]. A worked case shows where the gaps are.",
        "In {town}, a study group [around|led by] {name} spends its first hour on {topic} without any theory at all: just one problem, done slowly.",
        "[Textbooks|Lectures] on {topic} give the rule first and the reason later. Here the reason comes first.",
        "Between knowing about {topic} and [using it|working with it] lies practice, and [practice begins|it begins] with one honest example.",
    ),
    "engineer": (
        "{Topic} [enters a design|becomes useful] through quantities that somebody has to compute, check and write down.",
        "{name}, an engineer in {town}, asks three things of any calculation connected with {topic}: what goes in, in which unit, and how the result "
        "was checked.",
        "Where {topic} [meets|touches] practice, a result without a check is only a claim.",
        "A review at {town} found [no fault in the formulas|nothing wrong with the formulas] for {topic}; what went wrong was a number copied from "
        "the wrong line.",
        "[Inputs, operation, result, check|Given, wanted, method, check]: the same four lines serve for {topic} as for any other calculation.",
        "When {name} documents work on {topic}, every intermediate result gets a line, since [a reader can only check what is written|hidden steps "
        "cannot be reviewed].",
        "[Estimates|Rough figures] come before exact ones, with {topic} as elsewhere, because they catch errors of size.",
        "{name} keeps a worked reference case for {topic} [next to the code|in the project folder], so that every later change can be compared with "
        "it.",
    ),
    "adult": (
        "{name} came back to {topic} years after school and found that [one worked case|a single example] brought most of it back.",
        "{Topic} [rewards|repays] a slow reading: one case understood to the end is worth more than ten that were skimmed.",
        "[Outside school|In daily life], {topic} rarely comes with a label; one has to notice that a situation asks for it.",
        "At the library in {town}, {name} runs an evening course on {topic} for people who [never liked|had given up on] the subject.",
        "Conversations about {topic} [tend to stay|often remain] general. A concrete case makes it possible to agree or to disagree about something "
        "definite.",
        "{name} tells newcomers to {topic} to [bring a pencil|expect some writing]: what one has done once by hand stays.",
        "A neighbour in {town} asked {name} what {topic} [has to do with|might mean for] everyday decisions, and got an example for an answer.",
        "People who [know their way around|are at home in] {topic} seldom begin with a formula; they begin by saying what is known.",
    ),
}  # fmt: skip

WHY: tuple[str, ...] = (
    "[A finished example|One case worked to the end] shows what a definition leaves out: [where to begin, and when to stop|the order in which things "
    "are done].",
    "The numbers below are small on purpose, so that [attention stays on|nothing distracts from] the reasoning.",
    "What matters is not the result but [the reason for each step|why each step is allowed].",
    "Every line that follows uses only [what stands above it|what is already known], and that is what makes the argument [safe|easy to check].",
    "[Follow|Read] the steps with a pencil, and [stop|pause] wherever a number appears that you cannot explain.",
    "It pays to guess the size of the answer before [computing it|starting], since a guess turns the result into [news|a surprise or a "
    "confirmation].",
    "[{name}'s advice|{name}'s rule] is to ask of every step what would change if one of the numbers were different.",
    "[Cover the solution|Hide the lines below the question] and try it first; [even a wrong start|an attempt that fails] makes the explanation "
    "easier to follow.",
    "[The case|The problem] is simple enough to be done without a machine and rich enough to [go wrong in several places|need more than one step].",
    "[Someone|A reader] who can explain these few steps to a friend [has understood them|knows them].",
)

LEADS: tuple[str, ...] = (
    "{name} [was given|met|came across] the following problem in {town}.",
    "Here is [a case|a question] that {name} likes to put to [beginners|friends].",
    "Consider [this situation|the following case].",
    "[A notice|A message|A worksheet] from {town} [reads|says]:",
    "[One evening|One morning], {other} asked {name} this:",
    "[Suppose|Imagine] you are asked the following.",
    "[The problem|The task] on {name}'s desk reads as follows.",
    "[It begins with|Everything starts from] a plain question.",
)

BRIDGES: tuple[str, ...] = (
    "The subject is not {topic} itself but the same habit of mind: [state what is known, then move one step at a time|known facts first, one step at "
    "a time after that].",
    "[This is a small calculation|It is an everyday calculation], chosen because it [asks for|trains] the care that {topic} asks for too.",
    "[As a warm-up for|On the way to] {topic}, it trains [exact reading|reading closely], which is half the work.",
    "[Numbers|Quantities] like these turn up [around|in the neighbourhood of] {topic} as soon as somebody asks how much or how many.",
    "[Questions|Problems] about {topic} become definite in the same way: by [naming the quantities|saying which quantities are known].",
)

REFLECT: tuple[str, ...] = (
    "[Looking back|In hindsight], there were {steps} steps, and each one used only what had been found before.",
    "[Notice|Note] how {name} would have failed by [skipping|leaving out] even one of the {steps} steps.",
    "The result, {answer}, can be [tested|checked] against the question: [put it back in|insert it] and see whether every sentence of the question "
    "comes out true.",
    "Of the {steps} steps, the first is the one that is most often done [carelessly|too fast], because [it looks obvious|nothing seems to depend on "
    "it yet].",
    "[Had one of the given numbers been different|With other numbers], the answer {answer} would change, but the path would not.",
    "[What carries over|What can be kept] is the order of work, not the number {answer}.",
    "A reader who gets something other than {answer} should [compare line by line|look for the first line that differs]; the first difference is the "
    "error.",
    "[{other} solved it in another way|{other} took another path] and also found {answer}, which is [the best kind of check|how one gains trust in a "
    "result].",
    "That {answer} is [plausible|of a sensible size] should be checked too, with a rough estimate made without paper.",
)

HABITS: dict[str, tuple[str, ...]] = {
    "child": (
        "[When you are stuck|If you get lost], draw a picture. [Pictures|Drawings] do not get tired.",
        "Say the question in your own words before you [count|start].",
        "It is fine to cross things out. {name} does it [all the time|on every page].",
        "[Check with a friend|Tell a friend how you did it]: if both of you get the same, that is a good sign.",
        "Small steps are [safe|good] steps. [Nobody|No one] has to jump.",
        "[Use|Try] smaller numbers first. If it works with three, it may work with thirty.",
        "A mistake is a [clue|signpost]: it tells you where to look again.",
    ),
    "student": (
        "Write the unit next to each number; [half of all slips|many slips] show themselves that way.",
        "[State|Say] what is wanted before computing anything, in a full sentence if need be.",
        "[Keep|Hold] every intermediate result on the page, because a line that is not written cannot be checked.",
        "Ask which of the given facts has not been used yet; [an unused fact|a leftover] is often a hint.",
        "[When two methods are possible|If there are two ways], use the second as a check on the first.",
        "[Redo|Repeat] the problem with other numbers and see [which steps stay the same|what does not change].",
        "Explaining a step aloud, as {name} does to {other}, [shows|reveals] whether it was understood or only copied.",
        "After a mistake, [find the line|look for the line] where it happened instead of starting afresh.",
    ),
    "engineer": (
        "[Record|Log] the assumption next to the number, since assumptions age faster than formulas.",
        "Carry units through every line; [a unit that fails to cancel|an odd unit] is an error message that costs nothing.",
        "[Test|Try] the extreme cases: zero, one, and the largest value that can occur.",
        "Round at the end, not on the way, unless a rule [says otherwise|demands it].",
        "[Have a second person|Let a colleague] repeat the calculation from the inputs alone.",
        "[Compare|Set] the result with an order-of-magnitude estimate made beforehand.",
        "[Name|Label] intermediate quantities; [names|labels] are cheaper than memory.",
        "Keep a reference case under version control, so that [a regression|an unwanted change] is seen at once.",
    ),
    "adult": (
        "[Put the question|Say the question] into plain words first; formulas can wait.",
        "[A rough guess|An estimate] beforehand protects against answers that are ten times too large.",
        "[Write down|Note] what is given and what is wanted, [on two separate lines|one under the other].",
        "[Ask|It helps to ask] who would notice if the result were wrong, and how.",
        "[Trust|Rely on] a result only after it has been reached twice, by two routes if possible.",
        "Leave the problem for a day and [do it again|redo it]; what is still clear then has been learned.",
        "Talking a solution through with somebody, as {name} and {other} do, [brings gaps to light|shows where it is thin].",
    ),
}  # fmt: skip

EXERCISES: tuple[str, ...] = (
    "[Now it is your turn|Try one alone]. {question} [(The answer is {answer}.)|Compare your result with {answer}.]",
    "**Exercise.** {question}\n\n*[Result|To compare]: {answer}.*",
    "[For practice|To see whether it holds]: {question} [If you find {answer}, the method has carried over|The result is {answer}; if yours differs, "
    "look for the first line that does].",
    "{name} went on with [a variation|a sister problem]: {question} [It comes to {answer}|That one gives {answer}].",
    "[A second case, without the steps|One more, for your own pencil]. {question} You should [arrive at|get] {answer}.",
    "[To finish|As a last task|One last task]: {question} [It leads to {answer}|Its answer is {answer}].",
)  # fmt: skip

HEADINGS: tuple[str, ...] = (
    "What {topic} [is about|is for]", "The words one needs for {topic}", "A first example, step by step", "{Topic} [in everyday life|around us]",
    "Common slips and how to [notice|catch] them",
    "Checking a result", "From a [picture|story] to numbers", "When the numbers grow", "Two ways to the same answer",
    "[Exercises|Problems] with answers", "{Topic} and [its neighbours|what comes next]",
    "How to [read|take apart] a question", "Estimating before computing", "What stays the same when the numbers change", "A harder case",
    "Explaining {topic} to somebody else",
    "Where {topic} [comes from|begins]", "[Limits|Where the method stops working]", "Working backwards", "A look back at {topic}",
    "Units, signs and [other small things|details]",
    "What is given, what is wanted", "A conversation about {topic}", "[Practice|More practice] with {topic}",
)  # fmt: skip

TERMS: tuple[str, ...] = (
    "[Some words|A few words] carry the passage: {terms}. [Knowing what they refer to|Getting them straight] makes the rest easier.",
    "The [source|passage] [keeps coming back to|returns again and again to] {terms}.",
    "[Anyone|A reader] who can say in a sentence what is meant by {terms} has [the backbone of the passage|most of the passage in hand].",
    "[Central|At the centre] are the words {terms}.",
)
FACTS: tuple[str, ...] = (
    "[According to the source|The passage tells us that|We read that|As the text has it], {fact}",
    "[A point to keep|Worth remembering|Not to be missed]: {fact}",
    "[The source adds|Further on it says|Elsewhere in the passage] that {fact}",
)
DEFINITIONS: tuple[str, ...] = (
    "What {verb} {term}? In short, {meaning}.",
    "By {term} the source [means|understands] {meaning}.",
    "[Ask for|Look up] {term}, and the passage answers: {meaning}.",
    "The word to learn [here|at this point] is {bare}: {meaning}.",
)
