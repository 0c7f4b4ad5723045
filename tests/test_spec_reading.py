"""A spec as people write it: every word's line, every mistake named with what was found, what is known and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datagen.errors import SpecError
from datagen.spec.library import Library
from datagen.spec.load import load_spec
from datagen.spec.models import Ask, Repeat
from datagen.spec.reading import read_yaml, whole_text

SPEC = """\
name: tiny
seeds:
  grid: {topic: [sums], level: [1, 2]}
  take: 2
teachers:
  writer: {model: openai/gpt-5-mini}
steps:
  - name: text
    ask: t/one
    of: writer
  - {name: good, filter: [{length: {min_words: 1}}]}
release: {format: text}
"""


def spec(folder: Path, text: str) -> Path:
    path = folder / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str) -> str:
    with pytest.raises(SpecError) as caught:
        load_spec(str(spec(folder, text)))
    return str(caught.value)


def test_a_spec_is_read_with_the_line_of_every_word(tmp_path: Path) -> None:
    loaded = load_spec(str(spec(tmp_path, SPEC)))
    assert loaded.spec.name == "tiny" and loaded.spec.seeds.source == "grid" and loaded.spec.seeds.take == 2
    assert [step.verb for step in loaded.spec.steps] == ["ask", "filter"] and isinstance(loaded.spec.steps[0], Ask)
    assert loaded.written.where(("steps", 0, "of")).endswith("s.yaml:10")
    assert loaded.written.where(("steps", 1)).endswith("s.yaml:11")
    assert loaded.written.where(("release", "split", "test")).endswith("s.yaml:12")  # the nearest thing that has a line
    assert loaded.base == tmp_path


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("take: 2", "tale: 2", 2, ["exactly one source", "tale"]),
        ("release: {format", "releases: {format", 12, ["unknown key 'releases'", "did you mean 'release'", "teachers"]),
        ("of: writer", "off: writer", 10, ["unknown key 'off'", "did you mean 'of'"]),
        ("of: writer", "of: writer\n    samples: 0", 11, ["samples", "greater than 0", "found 0"]),
        ("model: openai/gpt-5-mini", "model: gpt-5-mini", 6, ["model", "gpt-5-mini"]),
        ("name: text", "name: Text", 8, ["name", "Text"]),
        ("name: good", "name: text", 11, ["two steps are called 'text'", "s.yaml:8"]),
        ("    ask: t/one\n", "", 8, ["'text' needs exactly one verb", "known: ask, check"]),
        ("ask: t/one", "aks: t/one", 8, ["needs exactly one verb", "did you mean 'ask'"]),
        ("ask: t/one", "ask: t/one\n    vote: {on: x}", 8, ["exactly one verb", "ask and vote"]),
        ("    of: writer\n", "", 8, ["'of' is missing"]),
        ("name: tiny\n", "name: tiny\nname: two\n", 2, ["'name' stands twice"]),
        ("name: tiny\n", "", 1, ["'name' is missing"]),
        ("take: 2", "take: -3", 4, ["take", "greater than 0"]),
        ("name: tiny", "name: ${DATAGEN_NOT_SET}", 1, ["DATAGEN_NOT_SET is not set", ":-default"]),
        ("{format: text}", "{format: text", 13, ["not valid YAML"]),
        ("name: tiny", "name: tiny\n\tabout: x", 2, ["not valid YAML"]),
        ("steps:\n", "steps: none\nx:\n", 7, ["steps are a list"]),
        ("seeds:\n", "seeds: 5\nx:\n", 2, ["seeds"]),
        ("writer: {model", "writer: {modell", 6, ["unknown key 'modell'", "did you mean 'model'"]),
        ("release: {format: text}", "release: {format: text, split: {validation: x, TEST: 1%}}", 12, ["split"]),
        ("name: tiny", "notify: {url_env: HOOK, on: [finnish]}", 1, ["on: input should be 'finish'", "found 'finnish'"]),
    ],
)
def test_a_mistake_is_one_line_that_teaches(tmp_path: Path, old: str, new: str, line: int, told: list[str]) -> None:
    assert SPEC.count(old) == 1
    message = refused(tmp_path, SPEC.replace(old, new))
    assert any(f"s.yaml:{line}:" in part for part in message.splitlines()), message
    for words in told:
        assert words in message


def test_all_mistakes_of_a_spec_are_told_at_once(tmp_path: Path) -> None:
    message = refused(tmp_path, SPEC.replace("name: tiny", "nam: tiny").replace("format: text", "formt: text"))
    assert "s.yaml:1: unknown key 'nam'" in message and "s.yaml:12: unknown key 'formt'" in message and "'name' is missing" in message


@pytest.mark.parametrize("text", ["", "[1, 2]", "just words", "5"])
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    assert "a spec is a mapping of name" in refused(tmp_path, text)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(SpecError, match=r"is not UTF-8 text \(byte 6\)"):
        load_spec(str(path))


def test_an_alias_of_itself_is_refused(tmp_path: Path) -> None:
    assert "s.yaml:3" in refused(tmp_path, "name: tiny\nsteps: []\nseeds: &a {grid: *a}\n")


def test_variables_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAGEN_A", "value")
    written = read_yaml(tmp_path / "x", "a: ${DATAGEN_A}/${DATAGEN_B:-two}\nb: ['${DATAGEN_B:-}']\nc: $PLAIN")
    assert written.value == {"a": "value/two", "b": [""], "c": "$PLAIN"}


def test_words_stay_the_words_that_were_written(tmp_path: Path) -> None:
    """YAML 1.1 takes yes, no, on and off for truths and a date for a date; in a list of topics they are words."""
    written = read_yaml(tmp_path / "x", "on: [yes, no, off, 'true', 2024-01-02]\nreal: [true, False, 3, 1.5, null, ~]")
    assert written.value == {"on": ["yes", "no", "off", "true", "2024-01-02"], "real": [True, False, 3, 1.5, None, None]}
    loaded = load_spec(str(spec(tmp_path, SPEC.replace("of: writer", "of: writer\n    each: topic\n    in_order: yes"))))
    assert isinstance(loaded.spec.steps[0], Ask) and loaded.spec.steps[0].in_order is True


def test_steps_inside_a_repeat_are_read_as_steps(tmp_path: Path) -> None:
    inner = "repeat: {at_most: 2, until: done, steps: [{name: a, ask: t/one, of: writer}]}"
    loaded = load_spec(str(spec(tmp_path, SPEC.replace("filter: [{length: {min_words: 1}}]", inner))))
    step = loaded.spec.steps[1]
    assert isinstance(step, Repeat) and isinstance(step.repeat.steps[0], Ask)
    wrong = SPEC.replace("filter: [{length: {min_words: 1}}]", inner.replace("ask: t/one", "ask: t/one, samplse: 2"))
    message = refused(tmp_path, wrong)
    assert "s.yaml:11" in message and "unknown key 'samplse'" in message and "did you mean 'samples'" in message
    for word in ("at_most: 21", "at_most: 0"):
        assert "s.yaml:11" in refused(tmp_path, SPEC.replace("filter: [{length: {min_words: 1}}]", inner.replace("at_most: 2", word)))


@pytest.mark.parametrize("name", ["missing.yaml", "folder/missing.yaml", "rationael"])
def test_a_spec_that_is_not_there(name: str) -> None:
    with pytest.raises(SpecError, match="no such file") as caught:
        load_spec(name)
    assert name != "rationael" or "did you mean 'rationale'" in str(caught.value)


def test_a_shipped_pipeline_is_found_by_name() -> None:
    assert load_spec("rationale").spec.name == load_spec("rationale.yaml").spec.name == "rationale"


def test_names_resolve_beside_the_spec_then_in_the_library_then_in_what_ships(tmp_path: Path) -> None:
    near, extra = tmp_path / "near", tmp_path / "extra"
    for root, words in ((near, ["beside"]), (extra, ["beside", "library"])):
        for name in words:
            (root / "prompts" / "f").mkdir(parents=True, exist_ok=True)
            (root / "prompts" / "f" / f"{name}.md.j2").write_text("x")
    library = Library.around(near / "s.yaml", extra)
    found = {name: library.find("prompts", name, (".md.j2",)) for name in ("f/beside", "f/library", "rationale/solve", "f/none")}
    assert found["f/beside"] == near / "prompts/f/beside.md.j2" and found["f/library"] == extra / "prompts/f/library.md.j2"
    assert found["rationale/solve"] is not None and found["f/none"] is None
    with pytest.raises(SpecError, match=r"s.yaml:3: no prompt 'f/libary' in .*did you mean 'f/library'"):
        library.need("prompts", "f/libary", (".md.j2",), "s.yaml:3", "prompt")
    with pytest.raises(SpecError, match="no such folder"):
        Library.around(None, tmp_path / "nowhere")


def test_a_list_file_holds_lines_without_comments(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "some.txt").write_text("# a list\none\n\n  two  \n#three\n")
    (tmp_path / "prompts" / "none.txt").write_text("# nothing\n\n")
    library = Library((tmp_path,))
    assert library.listing("some", "here") == ["one", "two"]
    with pytest.raises(SpecError, match=r"here: the list .*none\.txt has no entries"):
        library.listing("none", "here")


def test_half_a_surrogate_pair_is_no_text() -> None:
    assert whole_text("a\ud800b") == "a\ufffdb" and whole_text("plain") == "plain" and whole_text("\U0001f600 é") == "\U0001f600 é"


def test_of_the_two_kinds_of_mix_the_one_that_was_meant_explains_itself(tmp_path: Path) -> None:
    for words, told in (
        ("{openings: text, at_mst: 5%}", "did you mean 'at_most'? known: at_most, openings, prefer, words"),
        ("{at_most: 5}", "'by' is missing"),
    ):
        (tmp_path / "s.yaml").write_text(f"name: s\nseeds: {{table: t.jsonl}}\nsteps:\n  - {{name: varied, mix: {words}}}\n")
        with pytest.raises(SpecError, match=re.escape(told)):
            load_spec(str(tmp_path / "s.yaml"), None)
