"""Names to objects: prompts, lists, recipes, teachers, prices; every variable accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from datagen.errors import SetupError, SpecError, nearest
from datagen.operators.recipe import Recipe
from datagen.plan.benchmarks import find_reference, not_found
from datagen.plan.chairs import Rehearsing as Rehearsing
from datagen.plan.chairs import api_key as api_key
from datagen.plan.chairs import chair_of
from datagen.plan.files import check_reference, items_of, read_prompt, require_good, vectors_in
from datagen.plan.model import SCOPES, Chair, Plan, PlannedStep
from datagen.records import digest
from datagen.release.columns import split_shares
from datagen.release.formats import FORMATS
from datagen.release.formats.base import Format
from datagen.release.measured.benched import benched
from datagen.spec.duplicates import MeaningWords
from datagen.spec.load import Loaded
from datagen.spec.models import (
    AnyStep,
    Ask,
    Check,
    Decontaminate,
    Dedup,
    Embedding,
    Filter,
    Mix,
    OpeningsWords,
    Repeat,
    Select,
    Spec,
    Vote,
)
from datagen.spec.returns import schema_of
from datagen.spec.templates import Prompt, expression_variables, own_words
from datagen.storage import sha256_of

_GIVEN = frozenset({"pick", "sample", "round"})
"""What every prompt sees beside the row's fields and the `vary` names."""
DECIDES = 4
"""Version of what decides a leak (steps/sets/leaks/contamination.py): with another, a plan that decontaminates is another plan."""
Place = tuple[str | int, ...]


@dataclass
class _Resolver:
    """Walks the steps once, in order, with the fields that are known so far."""

    loaded: Loaded
    chairs: Mapping[str, Chair]
    fields: set[str]
    warnings: list[str] = field(default_factory=list)
    drawn: set[str] = field(default_factory=set)
    """Fields that an earlier step drew from a list; the next one draws anew."""
    last: str = "seeds"
    vectors: dict[str, int | None] = field(default_factory=dict)
    """Fields that an ask before writes a vector to, and how many numbers one has where its teacher is told."""
    fanned: bool = False
    unsafe: bool = False
    """`--unsafe-sandbox`: programs may be run under resource limits alone."""
    said: list[str] = field(default_factory=list)
    """The prompts' own words so far, without what rows put in."""

    def where(self, place: Place) -> str:
        return self.loaded.written.where(place)

    def step(self, step: AnyStep, number: int, place: Place) -> PlannedStep:
        match step:
            case Ask():
                planned = self.ask(step, number, place)
            case Check():
                planned = self.check(step, number, place)
            case Filter():
                planned = self.filter(step, number, place)
            case Repeat():
                planned = self.repeat(step, number, place)
            case Decontaminate():
                planned = self.decontaminate(step, number, place)
            case Dedup():
                planned = self.dedup(step, number, place)
            case Vote() | Select() | Mix():
                planned = self.gathering(step, number, place)
        if step.when is not None:
            if SCOPES[step.verb] != "row":
                raise SpecError(f"{self.where((*place, 'when'))}: `when` is for steps that see one row; {step.verb} sees many")
            self.expression(step.when, (*place, "when"), frozenset({"round"}) if "repeat" in place else frozenset())
        self.fields |= set(planned.writes)
        self.last = planned.fingerprint
        return planned

    def planned(self, step: AnyStep, number: int, writes: Iterable[str], identity: Any, **more: Any) -> PlannedStep:
        said = step.model_dump(mode="json", exclude={"of": True, "dedup": {"meaning"}})
        return PlannedStep(number, step, digest([self.last, said, identity]), tuple(writes), **more)

    def ask(self, step: Ask, number: int, place: Place) -> PlannedStep:
        if step.of not in self.chairs:
            raise SpecError(f"{self.where((*place, 'of'))}: no teacher {step.of!r}{nearest(step.of, self.chairs)}")
        if isinstance(step.ask, Embedding) or self.chairs[step.of].embeds:
            return self.embedding(step, number, place)
        if step.samples > 1 and step.each:
            raise SpecError(f"{self.where(place)}: samples and each on one step; write two steps, so that each has a name of its own")
        if step.in_order and not step.each:
            raise SpecError(f"{self.where((*place, 'in_order'))}: in_order goes with `each`")
        if step.each and step.each not in self.fields:
            raise SpecError(f"{self.where((*place, 'each'))}: no field {step.each!r} before this step{nearest(step.each, self.fields)}")
        assert isinstance(step.ask, str)
        prompt = self.prompt(step.ask, (*place, "ask"))
        self.said += [words for text in (prompt.system, prompt.body) for words in own_words(text)]
        lists = self.lists(prompt, step, place)
        fanned = {"item", "position", "previous"} if step.each else {"sample"} if step.samples > 1 else set()
        self.need(prompt.variables() - set(lists) - fanned, (*place, "ask"), prompt.name, _GIVEN)
        schema = schema_of(step.returns, self.where((*place, "returns"))) if step.returns else None
        self.fanned |= bool(fanned)
        beside = [f"{step.name}_logprobs"] if {"logprobs", "top_logprobs"} & self.chairs[step.of].spec.params.keys() else []
        writes = [step.name, *(step.returns or {}), *lists, *(sorted(fanned - {"previous"})), *beside]
        identity = [self.chairs[step.of].identity(), prompt.system, prompt.body, schema, lists]
        return self.planned(step, number, writes, identity, prompt=prompt, schema=schema, lists=lists)

    def embedding(self, step: Ask, number: int, place: Place) -> PlannedStep:
        """A step that has a text embedded. Raises SpecError where its teacher chats, or where one that embeds is given a prompt."""
        chair = self.chairs[step.of]
        if not isinstance(step.ask, Embedding):
            raise SpecError(f"{self.where((*place, 'ask'))}: teacher {step.of!r} ({chair.spec.model}) gives vectors; write `ask: {{embed: FIELD}}`")
        if not chair.embeds:
            how = "give it a teacher whose model is `embeddings/...`, such as embeddings/text-embedding-3-small or any compatible server's"
            raise SpecError(f"{self.where((*place, 'of'))}: teacher {step.of!r} ({chair.spec.model}) chats, and embeds nothing; {how}")
        names = [step.ask.embed] if isinstance(step.ask.embed, str) else step.ask.embed
        self.need(names, (*place, "ask", "embed"))
        size = chair.spec.params.get("dimensions")
        if size is not None and (type(size) is not int or size < 1):
            place = ("teachers", step.of, "params", "dimensions")
            raise SpecError(f"{self.where(place)}: a vector has a whole number of dimensions, such as 256; found {size!r}")
        self.vectors[step.name] = size
        return self.planned(step, number, [step.name], [chair.identity()], prompt=Prompt.of_fields(names), dimensions=size)

    def dedup(self, step: Dedup, number: int, place: Place) -> PlannedStep:
        words, here = step.dedup, (*place, "dedup")
        self.need({words.on} if isinstance(words.on, str) else set(words.on), here)
        if words.prefer:
            self.expression(words.prefer, here)
        if words.meaning is None:
            return self.planned(step, number, [], [])
        size, files = self.meaning(words.meaning, (*here, "meaning"))
        known = words.meaning.model_copy(update={"dimensions": size})
        step = step.model_copy(update={"dedup": words.model_copy(update={"meaning": known})})
        identity = [known.model_dump(exclude={"vectors"}), *(sha256_of(path) for path in files)]
        return self.planned(step, number, [], identity, references=tuple(str(path.resolve()) for path in files))

    def meaning(self, words: MeaningWords, place: Place) -> tuple[int, list[Path]]:
        """(numbers of a vector, files to read). Raises SpecError where nobody says how many, or two say two."""
        if words.vectors is not None:
            files = [self.loaded.base / Path(words.vectors).expanduser()]
            said: int | None = vectors_in(files[0], self.where((*place, "vectors")))
        else:
            self.need({str(words.by)}, (*place, "by"))
            files, said = [], self.vectors.get(str(words.by))
        if (words.dimensions or said) is None:
            how = "write `dimensions` here" + (", or among the teacher's params to ask for so many" if words.by in self.vectors else "")
            raise SpecError(f"{self.where(place)}: nobody says how many numbers a vector of {words.by!r} has; {how}")
        if said and words.dimensions and said != words.dimensions:
            raise SpecError(
                f"{self.where((*place, 'dimensions'))}: a vector of {words.by or words.vectors!r} has {said} numbers, not {words.dimensions}"
            )
        return int(words.dimensions or said or 0), files

    def prompt(self, name: str, place: Place) -> Prompt:
        return read_prompt(name, self.loaded.library.need("prompts", name, (".md.j2",), self.where(place), "prompt"))

    def lists(self, prompt: Prompt, step: Ask, place: Place) -> dict[str, Sequence[Any]]:
        """The `vary` lists that this prompt uses. A field of the row hides a list of the same name."""
        spec = self.loaded.spec
        words: dict[str, tuple[Any, Place]] = {name: (value, ("vary", name)) for name, value in spec.vary.items()}
        words |= {name: (value, (*place, "vary", name)) for name, value in step.vary.items()}
        used = (prompt.variables() & set(words)) - (self.fields - self.drawn)
        self.drawn |= used
        return {name: self.options(*words[name]) for name in sorted(used)}

    def options(self, value: Any, place: Place) -> Sequence[Any]:
        if isinstance(value, str):
            return self.loaded.library.listing(value, self.where(place))
        if isinstance(value, list) and value:
            return value
        raise SpecError(f"{self.where(place)}: vary takes a list of values, or the name of a list file such as personas/teachers; found {value!r}")

    def check(self, step: Check, number: int, place: Place) -> PlannedStep:
        if len(step.check) != 1:
            raise SpecError(f"{self.where((*place, 'check'))}: a check verifies one claim; found {', '.join(step.check) or 'none'}")
        recipe = self.held(Recipe.build([step.check], lambda _: self.where((*place, "check")), None))
        _ready(recipe, self.where((*place, "check")))
        given = next(iter(step.check.values()))
        optional = {operator.gold for _, operator in recipe.operators if hasattr(operator, "gold") and "gold" not in given}
        self.need(recipe.reads() - optional, (*place, "check"))
        return self.planned(step, number, recipe.writes(), recipe.identity(), recipe=recipe)

    def filter(self, step: Filter, number: int, place: Place) -> PlannedStep:
        if isinstance(step.filter, str):
            written = self.loaded.library.recipe(step.filter, self.where((*place, "filter")))
            items, where = items_of(written.value, written.where()), lambda index: written.where((index,))
        else:
            items, where = step.filter, lambda index: self.where((*place, "filter", index))
        recipe = self.held(Recipe.build(items, where, step.on).knowing(self.said))
        _ready(recipe, self.where((*place, "filter")))
        self.need(recipe.reads(), (*place, "filter"))
        bench = benched(written.path, written.text, Recipe.build(items, where)) if isinstance(step.filter, str) else None
        return self.planned(step, number, recipe.writes(), recipe.identity(), recipe=recipe, bench=bench)

    def held(self, recipe: Recipe) -> Recipe:
        return recipe.unsafe() if self.unsafe else recipe

    def repeat(self, step: Repeat, number: int, place: Place) -> PlannedStep:
        inner: list[PlannedStep] = []
        outside = self.last
        for index, each in enumerate(step.repeat.steps):
            inside = (*place, "repeat", "steps", index)
            if isinstance(each, Ask) and (each.samples > 1 or each.each):
                raise SpecError(f"{self.where(inside)}: samples and each make many rows of one; a repeat keeps one row: put them before or after")
            inner.append(self.step(each, number, inside))
        self.expression(step.repeat.until, (*place, "repeat", "until"))
        self.last = outside
        writes = dict.fromkeys([f"{step.name}_rounds", *(name for each in inner for name in each.writes)])
        return self.planned(step, number, writes, [each.fingerprint for each in inner], inner=tuple(inner))

    def gathering(self, step: Vote | Select | Mix, number: int, place: Place) -> PlannedStep:
        if isinstance(step, Vote | Select) and not self.fanned:
            raise SpecError(f"{self.where(place)}: {step.verb} works on the children of one row; no step before it has samples or each")
        here = (*place, step.verb)
        match step:
            case Vote():
                self.need({step.vote.on}, here)
                return self.planned(step, number, [step.name, f"{step.name}_of", f"{step.name}_answer"], [])
            case Select():
                for expression in [*([step.select.where] if step.select.where else []), *step.select.best]:
                    self.expression(expression, here)
                return self.planned(step, number, [step.select.fold] if step.select.fold else [], [])
            case Mix():
                self.need({step.mix.openings if isinstance(step.mix, OpeningsWords) else step.mix.by}, here)
                if isinstance(step.mix, OpeningsWords) and step.mix.prefer:
                    self.expression(step.mix.prefer, here)
        return self.planned(step, number, [], [])

    def decontaminate(self, step: Decontaminate, number: int, place: Place) -> PlannedStep:
        words = step.decontaminate
        self.need({words.on} if isinstance(words.on, str) else set(words.on), (*place, "decontaminate"))
        found: list[str] = []
        for index, name in enumerate(words.against):
            where = self.where((*place, "decontaminate", "against", index))
            path = find_reference(name, self.loaded.base, self.loaded.library)
            if path is None:
                told = not_found(name, self.loaded.base, self.loaded.library)
                if words.missing == "error":
                    raise SpecError(f"{where}: no reference set {name!r}: {told}; or write `missing: warn`")
                self.warnings.append(f"{where}: not decontaminated against {name!r}: {told}")
            else:
                check_reference(path, where)
                found.append(str(path.resolve()))
        return self.planned(step, number, [], [DECIDES, *(sha256_of(Path(path)) for path in found)], references=tuple(found))

    def expression(self, text: str, place: Place, given: frozenset[str] = frozenset()) -> None:
        """An expression sees the row's fields alone (and `given`), unlike a prompt."""
        self.need(expression_variables(text, self.where(place)), place, given=given)

    def need(self, names: Iterable[str], place: Place, prompt: str = "", given: frozenset[str] = frozenset()) -> None:
        """Raises SpecError for the first name that no earlier step and no seed gives."""
        for name in sorted(set(names) - self.fields - given):
            user = f"prompt {prompt!r} uses {name!r}, which" if prompt else f"the field {name!r}"
            raise SpecError(f"{self.where(place)}: {user} no seed, vary list or earlier step gives{nearest(name, self.fields)}")


def _ready(recipe: Recipe, where: str) -> None:
    """Raises SetupError where this machine lacks what an operator needs: now, not after paying for the rows."""
    for name, operator in recipe.operators:
        try:
            operator.ready()
        except SetupError as error:
            raise SetupError(f"{where}: {name}: {error}") from error


def resolve(loaded: Loaded, fields: set[str], rehearsing: Rehearsing | None, everything_simulated: bool, unsafe_sandbox: bool = False) -> Plan:
    """The plan of a spec whose seeds have `fields`. Raises SpecError with file:line on the first thing that cannot be, SetupError where this
    machine lacks what a step needs: a sandbox for programs, say, without which `unsafe_sandbox` is content with limits."""
    spec = loaded.spec
    chairs = {name: chair_of(loaded, name, teacher, rehearsing, everything_simulated) for name, teacher in spec.teachers.items()}
    resolver = _Resolver(loaded, chairs, set(fields), unsafe=unsafe_sandbox)
    steps = tuple(resolver.step(step, index + 1, ("steps", index)) for index, step in enumerate(spec.steps))
    _check_release(loaded, resolver.fields)
    if spec.guard.min_yield is not None and not spec.guard.pilot:
        raise SpecError(f"{loaded.written.where(('guard', 'min_yield'))}: min_yield is judged by the pilot, which `pilot: 0` takes away")
    for index, name in enumerate(spec.guard.canaries.good):  # read before anything is paid, not after
        require_good(name, f"{loaded.written.where(('guard', 'canaries', 'good', index))}:", loaded.base, fields, steps)
    used = {step.spec.of for step in _flat(steps) if isinstance(step.spec, Ask)}
    simulated = any(chair.simulated for name, chair in chairs.items() if name in used)
    spec = _without_vectors(spec, resolver.vectors)
    return Plan(spec, loaded.written.text, steps, {name: chairs[name] for name in sorted(used)}, simulated, tuple(resolver.warnings))


def _without_vectors(spec: Spec, vectors: Iterable[str]) -> Spec:
    """Vectors are for machines: what the release names is released of them, and no more."""
    hidden = set(vectors) - {*spec.release.columns.values(), *spec.release.drop}
    release = spec.release.model_copy(update={"drop": [*spec.release.drop, *sorted(hidden)]})
    return spec.model_copy(update={"release": release}) if hidden else spec


def _flat(steps: Iterable[PlannedStep]) -> Iterable[PlannedStep]:
    for step in steps:
        yield step
        yield from _flat(step.inner)


def _shape(loaded: Loaded) -> Format:
    """The release's format, which validates its own columns."""
    release = loaded.spec.release
    kind: type[Format] = FORMATS.get(release.format, loaded.written.where(("release", "format")))
    try:
        return kind(columns=release.columns)
    except ValidationError as error:
        told = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise SpecError(f"{loaded.written.where(('release', 'columns'))}: {told}") from error


def _check_release(loaded: Loaded, fields: set[str]) -> None:
    release = loaded.spec.release
    where = loaded.written.where(("release",))
    shape = _shape(loaded)
    for column, name in shape.needs().items():
        if name not in fields:
            hint = f"; name one: release.columns: {{{column}: FIELD}}" if column == name else ""
            fills = f"the format {release.format!r} fills its column {column!r} from the field {name!r}, which no step gives"
            raise SpecError(f"{where}: {fills}{hint}{nearest(name, fields)}")
    try:
        split_shares(release.split)
    except SpecError as error:
        raise SpecError(f"{loaded.written.where(('release', 'split'))}: {error}") from error
    for name in release.drop:
        if name not in fields:
            raise SpecError(f"{loaded.written.where(('release', 'drop'))}: no field {name!r} to drop{nearest(name, fields)}")
