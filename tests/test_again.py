"""`--again rejected`: what a provider would not take is final, until it is asked for by name."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from teaching import Made, made, project, teacher
from wire_server import Reply, error

from datagen.terminal import report

SEEDS = "{grid: {topic: [a, b, c]}}"
STEP = "  - {name: text, ask: t/text, of: w}"


def unanswered(found: Made) -> list[str]:
    return [record["outcome"] for record in found.records("text", "unanswered")]


def test_what_was_rejected_is_asked_again_only_by_name_and_its_answer_stays(tmp_path: Path) -> None:
    takes_all = False

    def script(prompt: str) -> Any:
        return prompt.upper() if takes_all or "b" not in prompt else Reply(error("openai", "invalid_request_error", "too long"), 400)

    with teacher(script) as taught:
        spec = project(tmp_path, STEP, {"text": "on {{ topic }}"}, SEEDS, url=taught.url)
        assert unanswered(made(spec, tmp_path / "out")) == ["rejected"]
        takes_all = True
        assert unanswered(made(spec, tmp_path / "out")) == ["rejected"] and len(taught.prompts) == 3
        found = made(spec, tmp_path / "out", again="rejected")
        found.check_accounts()
        assert not unanswered(found) and taught.prompts[3:] == ["on b"]
        assert sorted(row["text"] for row in found.fields("text")) == ["ON A", "ON B", "ON C"]
        shutil.rmtree(tmp_path / "out" / "steps")
        again = made(spec, tmp_path / "out")
        assert len(taught.prompts) == 4 and again.fields("text") == found.fields("text")


def test_what_is_rejected_again_is_asked_once_a_word(tmp_path: Path) -> None:
    with teacher(lambda prompt: Reply(error("openai", "invalid_request_error"), 422) if "b" in prompt else prompt) as taught:
        spec = project(tmp_path, STEP, {"text": "on {{ topic }}"}, SEEDS, url=taught.url)
        made(spec, tmp_path / "out")
        for run in (1, 2):
            found = made(spec, tmp_path / "out", again="rejected")
            assert unanswered(found) == ["rejected"] and len(taught.prompts) == 3 + run
        made(spec, tmp_path / "out")
        assert len(taught.prompts) == 5


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid_request_error"), (500, "server_error")])
def test_the_end_of_a_build_counts_requests_and_calls_none_of_them_an_answer(tmp_path: Path, status: int, kind: str) -> None:
    """Rejected or failed: something was asked, and nothing was answered."""
    with teacher(lambda _: Reply(error("openai", kind), status)) as taught:
        spec = project(tmp_path, STEP, {"text": "on {{ topic }}"}, SEEDS, url=taught.url)
        said = "\n".join(report(made(spec, tmp_path / "out").summary))
        assert "; 3 requests in this run;" in said and "3 rows without an answer" in said
        said = "\n".join(report(made(spec, tmp_path / "out").summary))
        assert ("nothing had to be asked" in said) == (status == 400)
