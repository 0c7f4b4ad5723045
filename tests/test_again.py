"""`--again rejected`: what a provider would not take is final, until it is asked for by name."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from teaching import Made, made, project, teacher
from wire_server import Reply, error

from datagen.errors import TooManyFailures
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


def test_the_word_also_goes_past_a_guard_that_stopped_the_build(tmp_path: Path) -> None:
    """A misconfigured proxy rejects everything: the guard stops the build, and when the proxy is mended the spec needs no change."""
    takes_all = False

    def script(prompt: str) -> Any:
        return prompt if takes_all else Reply(error("openai", "invalid_request_error"), 413)

    with teacher(script) as taught:
        seeds = "{grid: {topic: [" + ", ".join(f"t{number}" for number in range(200)) + "]}}"
        spec = project(tmp_path, STEP, {"text": "on {{ topic }}"}, seeds, url=taught.url)
        for told in ("With `--again rejected`", "as the last time"):
            with pytest.raises(TooManyFailures, match=told):
                made(spec, tmp_path / "out")
        takes_all = True
        assert not unanswered(made(spec, tmp_path / "out", again="rejected"))


def test_a_line_that_selects_says_that_it_asks_nothing_again_after_a_release(tmp_path: Path) -> None:
    steps = STEP.replace("}", ", samples: 2}") + "\n  - {name: best, select: {keep: 1}}"
    with teacher(lambda prompt: Reply(error("openai", "invalid_request_error"), 413) if "b" in prompt else prompt) as taught:
        spec = project(tmp_path, steps, {"text": "on {{ topic }}, {{ sample }}"}, SEEDS, url=taught.url)
        made(spec, tmp_path / "out")
        asked = len(taught.prompts)
        found = made(spec, tmp_path / "out", again="rejected")
        assert len(taught.prompts) == asked and any("a line that votes or selects" in note for note in found.summary.notes)


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
