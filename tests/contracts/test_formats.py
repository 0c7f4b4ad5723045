"""Every export format: what it needs, what it gives, and that its example holds."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from datagen.errors import OutputError, SpecError
from datagen.release.formats import FORMATS
from datagen.release.formats.base import Format


@pytest.mark.parametrize("name", list(FORMATS))
class TestEveryFormat:
    def test_its_example_gives_its_columns(self, name: str) -> None:
        form: Format = FORMATS.get(name)()
        fields, wanted = form.example
        found = form.rows(fields)
        assert found == list(wanted)
        assert found and all(set(record) == set(form.emits()) for record in found)
        assert form.reads in form.emits() and form.tasks

    def test_it_says_what_it_needs(self, name: str) -> None:
        form: Format = FORMATS.get(name)()
        assert set(form.needs().values()) <= set(form.example[0])
        assert set(form.needs().values()) <= form.uses()

    def test_a_renamed_column_comes_from_the_other_field(self, name: str) -> None:
        kind = FORMATS.get(name)
        column = kind.required[0]
        form: Format = kind(columns={column: "elsewhere"})
        fields = dict(form.example[0])
        fields["elsewhere"] = fields.pop(column)
        assert form.needs()[column] == "elsewhere"
        assert form.rows(fields) == kind().rows(form.example[0])

    def test_a_missing_field_is_named(self, name: str) -> None:
        form: Format = FORMATS.get(name)()
        lacking = next(iter(form.needs().values()))
        with pytest.raises(OutputError, match=lacking):
            form.rows({key: value for key, value in form.example[0].items() if key != lacking})

    def test_an_unknown_column_is_refused(self, name: str) -> None:
        with pytest.raises(ValidationError, match=r"release\.columns names 'nonsense'"):
            FORMATS.get(name)(columns={"nonsense": "x"})

    def test_it_is_frozen(self, name: str) -> None:
        with pytest.raises(ValidationError):
            FORMATS.get(name)().columns = {}


def test_unknown_format() -> None:
    with pytest.raises(SpecError, match="did you mean 'rationale'"):
        FORMATS.get("rational")


def test_instruction_fills_an_absent_input() -> None:
    assert FORMATS.get("instruction")().rows({"instruction": "Count.", "output": "1"}) == [{"instruction": "Count.", "output": "1", "input": ""}]


def test_text_columns_are_text() -> None:
    assert FORMATS.get("rationale")().rows({"question": "q", "rationale": ["a", "b"], "answer": 5}) == [
        {"question": "q", "rationale": '["a", "b"]', "answer": "5"}
    ]


def test_chat_with_a_system_turn() -> None:
    (record,) = FORMATS.get("chat")().rows({"system": "Be kind.", "prompt": "Hi", "answer": "Hello"})
    assert [turn["role"] for turn in record["messages"]] == ["system", "user", "assistant"]


def test_chat_takes_whole_messages() -> None:
    form = FORMATS.get("chat")(columns={"messages": "turns"})
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert form.needs() == {"messages": "turns"}
    assert form.rows({"turns": turns}) == [{"messages": turns}]


@pytest.mark.parametrize("turn", ["Hi", {"role": "robot", "content": "x"}, {"role": "user"}, {"role": "user", "content": 3}])
def test_chat_refuses_what_is_no_message(turn: object) -> None:
    with pytest.raises(OutputError, match="a chat message must be"):
        FORMATS.get("chat")(columns={"messages": "turns"}).rows({"turns": [turn]})


def test_preference_pairs_each_loser() -> None:
    form = FORMATS.get("preference")(columns={"prompt": "question", "chosen": "solution", "rejected": "losers"})
    losers = [{"solution": "b", "clarity": 2}, {"solution": "c"}, {"solution": "a"}, {"solution": ""}, {"clarity": 1}]
    fields = {"question": "q", "solution": "a", "losers": losers}
    assert [record["rejected"] for record in form.rows(fields)] == ["b", "c"]
    assert form.rows(fields | {"losers": []}) == []
    assert form.rows(fields | {"losers": "one text"}) == [{"prompt": "q", "chosen": "a", "rejected": "one text"}]
