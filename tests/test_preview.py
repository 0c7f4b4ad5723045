"""What `preview --ask` shows: answers now, also of a teacher who is otherwise asked in paid batches."""

from __future__ import annotations

from pathlib import Path

import pytest
from teaching import project, teacher

from datagen.asking.ledger.book import Ledger
from datagen.preview import preview

STEP = "  - {name: text, ask: t/text, of: w}"


def test_a_preview_asks_a_teacher_of_batches_online_and_reserves_the_full_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The teacher here has no batch API at all: a preview that submitted a batch would find none."""
    monkeypatch.chdir(tmp_path)
    paid: list[int] = []
    for mode in ("online", "batch"):
        with teacher(str.upper) as taught:
            spec = project(tmp_path, STEP, {"text": f"{mode} {{{{ topic }}}}"}, "{grid: {topic: [bread, rivers]}}", url=taught.url)
            spec.write_text(spec.read_text().replace("label: test", f"label: test, mode: {mode}, patience: 1"))
            said = "\n".join(preview(str(spec), 2, True, None, None))
            assert sorted(taught.prompts) == [f"{mode} bread", f"{mode} rivers"] and f"{mode} bread".upper() in said
            assert ("asked online here" in said) == (mode == "batch")
        ledger = Ledger(tmp_path / ".datagen" / "tiny" / "ledger", "")
        paid.append(ledger.accounts["tiny/1.0"]["w"].committed.cost - sum(paid))
    assert paid[1] == 2 * paid[0]  # `price` is that of a batch, which is half
