"""Teachers of one account: a writer and a judge that are one model at one provider live under one limit per minute."""

from __future__ import annotations

from pathlib import Path

import pytest
from teaching import project
from test_governor import Clock, ended, need

from datagen.asking.ledger.book import Ledger
from datagen.asking.limits.governor import Governor
from datagen.asking.limits.lanes import Ended, Limits
from datagen.asking.prices import Purse
from datagen.asking.teachers.base import HeaderLimits
from datagen.build import Options, planned
from datagen.records import Spend
from datagen.running.money import governing
from datagen.spec.load import load_spec


def sent_in(books: Governor, clock: Clock, seconds: float) -> dict[str, int]:
    """Two teachers that always have more to ask, side by side."""
    sent = dict.fromkeys(books.in_flight(), 0)
    until = clock.now + seconds
    while clock.now < until:
        for teacher in sent:
            wanted = [need() for _ in range(16)]
            admitted = books.lease(teacher, wanted).admitted
            sent[teacher] += len(admitted)
            books.settle(teacher, [ended(wanted[number]) for number in admitted])
        clock.now += 0.05
    return sent


@pytest.mark.parametrize(("accounts", "most"), [(("a", "a"), 660), (("a", "b"), 1320), (("", ""), 1320)])
def test_what_one_account_may_take_is_not_doubled_by_a_second_teacher(accounts: tuple[str, str], most: int) -> None:
    clock = Clock()
    limits = {name: Limits(1000, requests_per_minute=600, account=account) for name, account in zip("tu", accounts, strict=True)}
    sent = sent_in(Governor(limits, Purse(), {}, clock=clock), clock, 60)
    assert 0.9 * most <= sum(sent.values()) <= most
    assert min(sent.values()) > 0.2 * sum(sent.values())


def test_a_judge_is_not_starved_by_a_writer_of_the_same_account() -> None:
    """The writer asks first at every moment and always wants more; the judge has one short question every half second."""
    clock = Clock()
    limits = {name: Limits(1000, tokens_per_minute=60_000, account="a") for name in ("writer", "judge")}
    books = Governor(limits, Purse(), {}, clock=clock)
    waits: list[float] = []
    written, due = 0, clock.now + 10
    for _ in range(1200):
        chapters = [need(tokens=100, output=900, rank=1) for _ in range(16)]
        admitted = books.lease("writer", chapters).admitted
        written += len(admitted)
        books.settle("writer", [ended(chapters[number]) for number in admitted])
        question = need(tokens=50, output=10, rank=2)
        if clock.now >= due and books.lease("judge", [question]).admitted:
            books.settle("judge", [ended(question)])
            waits.append(clock.now - due)
            due = max(due + 0.5, clock.now + 0.05)
        clock.now += 0.05
    assert len(waits) > 80 and max(waits) < 0.5
    assert written > 0.8 * 60


def test_the_tightest_limit_that_is_named_holds_for_all() -> None:
    clock = Clock()
    limits = {"t": Limits(1000, requests_per_minute=600, account="a"), "u": Limits(1000, account="a")}
    assert 590 <= sum(sent_in(Governor(limits, Purse(), {}, clock=clock), clock, 60).values()) <= 660


def test_what_headers_say_to_one_is_said_to_both() -> None:
    clock = Clock()
    books = Governor({name: Limits(1000, account="a") for name in "tu"}, Purse(), {}, clock=clock)
    one = need()
    books.lease("t", [one])
    books.settle("t", [Ended(one, Spend(), headers=HeaderLimits(requests_left=0, reset=9.0))])
    assert books.lease("u", [need()]).wait == pytest.approx(9.0)


def test_the_same_model_at_the_same_place_is_one_account(tmp_path: Path) -> None:
    steps = "\n".join(f"  - {{name: {name}, ask: t/text, of: {name}}}" for name in ("w", "same", "other"))
    spec = project(tmp_path, steps, {"text": "about {{ topic }}"}, "{grid: {topic: [a]}}", url="http://127.0.0.1:1")
    text = spec.read_text()
    one = text[text.index("{w: ") + 4 : text.index("attempts: 2}}") + 12]
    more = ", ".join(["w: " + one, "same: " + one.replace("max_tokens: 100", "max_tokens: 9"), "other: " + one.replace("/own", "/other")])
    spec.write_text(text.replace("w: " + one, more))
    with planned(load_spec(str(spec), None), Options(str(spec), tmp_path / "out")) as (plan, _):
        books = governing(plan, None, Ledger(tmp_path / "ledger", "b/1.0"))()
    asked = need()
    books.lease("w", [asked])
    books.settle("w", [Ended(asked, Spend(), headers=HeaderLimits(requests_left=0, reset=9.0))])
    assert books.lease("same", [need()]).wait and books.lease("other", [need()]).admitted == (0,)
