"""The budget of a month: it holds over runs, releases and deaths, knows months apart, and is told before, during and after."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from killing import DATAGEN, start
from teaching import project, teacher
from wire_server import Reply, chat, encoded

from datagen.asking.ledger.accounts import in_month, owner_of
from datagen.asking.ledger.book import Intent, Ledger, compact
from datagen.asking.prices import Allowance, Purse
from datagen.build import Options, planned
from datagen.errors import BudgetReached
from datagen.inspect import release, status
from datagen.job import run
from datagen.preview import plan_lines
from datagen.records import NANO, Outcome, Request, Response, Spend
from datagen.running.money import Terms
from datagen.spec.load import load_spec
from datagen.storage import read_json

STEP, PROMPT = "  - {name: text, ask: t/text, of: w}", {"text": "on {{ topic }}"}
NOVEMBER, DECEMBER = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
ANSWER = Spend(10**6, 10, 1)
"""What an answer of the teacher below costs, and may cost at worst: 0.001 dollars."""
CENT = 10**7


def words(prompt: str) -> Reply:
    """An answer that is billed with 100 output tokens, at 10 dollars a million."""
    usage = {"prompt_tokens": 0, "completion_tokens": 100, "total_tokens": 100}
    return Reply(encoded(chat({"content": f"Much could be said {prompt}."}, usage=usage)))


def spec_at(folder: Path, url: str, topics: int, month: float | None = None, usd: float | None = None) -> Path:
    caps = [f"usd: {usd}"] * (usd is not None) + [f"usd_per_month: {month}"] * (month is not None)
    seeds = "{grid: {topic: [" + ", ".join(f"t{number}" for number in range(topics)) + "]}}"
    spec = project(folder, STEP, PROMPT, seeds, f"release: {{format: text, budget: {{{', '.join(caps)}}}}}\nguard: {{pilot: 0}}", url)
    spec.write_text(spec.read_text().replace("input: 1, output: 10}, attempts: 2", "input: 0, output: 10}, attempts: 2, max_in_flight: 2"))
    return spec


def spent(out: Path, month: str) -> Spend:
    ledger = Ledger(out / "ledger", "")
    ledger.close()
    return in_month(ledger.months, "tiny", month)


def build(spec: Path, out: Path, moment: datetime = NOVEMBER, **more: Any) -> dict[str, Any]:
    run(Options(str(spec), out, **more), lambda _: None, now=lambda: moment)
    return dict(read_json(out / "run.json"))


def test_a_month_holds_over_releases_and_the_next_one_is_another(tmp_path: Path) -> None:
    with teacher(words) as taught:
        out = tmp_path / "out"
        first = build(spec_at(tmp_path, taught.url, 5, month=0.0125), out)
        assert first["month"] == {"month": "2026-11", "usd": 0.005, "cap": 0.0125, "left": 0.0075} and len(taught.prompts) == 5
        spec = spec_at(tmp_path, taught.url, 20, month=0.0125)
        told = r"the budget of this month \(2026-11\) has no room left: of \$0\.0125, \$0\.01\d+ are spent or may have been, and the next request may"
        with pytest.raises(BudgetReached, match=told) as stopped:
            build(spec, out)
        assert "With a larger budget the same command goes on from here" in str(stopped.value)
        paused = read_json(out / "run.json")
        assert paused["state"] == "paused" and paused["exit_code"] == 8 and paused["version"] == "1.1"
        assert spent(out, "2026-11").cost == round(paused["month"]["usd"] * NANO) <= 0.0125 * NANO
        assert len(taught.prompts) == 12 and paused["usd"]["release"] == pytest.approx(paused["month"]["usd"] - 0.005)
        asked = len(taught.prompts)
        with pytest.raises(BudgetReached):
            build(spec, out)
        assert len(taught.prompts) == asked, "typed again, it paid for more"
        grown = build(spec, out, DECEMBER)
        assert grown["version"] == "1.1" and grown["month"]["month"] == "2026-12" and len(taught.prompts) == 20
        assert grown["month"]["usd"] == pytest.approx((20 - asked) / 1000) and spent(out, "2026-11").cost == round(paused["month"]["usd"] * NANO)
        assert grown["usd"]["release"] == pytest.approx(0.015)


def test_a_larger_month_goes_on_and_the_caps_of_month_and_release_hold_both(tmp_path: Path) -> None:
    with teacher(words) as taught:
        out = tmp_path / "out"
        with pytest.raises(BudgetReached, match=r"budget of this month \(2026-11\)"):
            build(spec_at(tmp_path, taught.url, 12, month=0.006, usd=0.009), out)
        assert spent(out, "2026-11").cost <= 0.006 * NANO
        with pytest.raises(BudgetReached, match="budget of this release has no room left"):
            build(spec_at(tmp_path, taught.url, 12, month=1, usd=0.009), out)
        assert 0.006 * NANO < spent(out, "2026-11").cost <= 0.009 * NANO
        assert build(spec_at(tmp_path, taught.url, 12, month=1, usd=1), out)["month"]["usd"] == 0.012 and len(taught.prompts) == 12


def test_what_a_killed_run_had_in_flight_counts_in_its_month_until_somebody_says_that_it_was_never_billed(tmp_path: Path) -> None:
    ill = [True]
    with teacher(lambda prompt: Reply(how="silence") if ill and len(taught.prompts) > 3 else words(prompt)) as taught:
        spec, out = spec_at(tmp_path, taught.url, 12, month=0.0125), tmp_path / "out"
        process = start(spec, out)
        while len(taught.prompts) < 5:
            assert process.poll() is None, "the build ended too early"
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        ill.clear()
        month = read_json(out / "run.json")["month"]["month"]
        ledger = Ledger(out / "ledger", "")
        flying = ledger.months["tiny/1.0"][month].in_flight
        ledger.close()
        assert flying.requests == 2 and spent(out, month).cost == 3 * ANSWER.cost + flying.cost
        moment = datetime.fromisoformat(f"{month}-15T00:00:00+00:00")
        with pytest.raises(BudgetReached, match=rf"this month \({month}\)"):
            build(spec, out, moment)
        assert spent(out, month).cost <= 0.0125 * NANO and len(taught.prompts) == 12
        assert "are left" in "\n".join(status(out, moment=moment))
        release(out, "tiny/1.0")
        assert spent(out, month).cost == (len(taught.prompts) - 2) * ANSWER.cost
        assert build(spec, out, moment)["state"] == "released"


def test_what_is_left_is_told_before_and_after(tmp_path: Path) -> None:
    with teacher(words) as taught:
        spec, out = spec_at(tmp_path, taught.url, 5, month=0.5), tmp_path / "out"

        def plan(moment: datetime) -> str:
            return "\n".join(plan_lines(str(spec), out, None, None, None, None, moment=moment))

        assert "this month (2026-11): $0.5000 of $0.5000 are left; all releases of tiny on this ledger count" in plan(NOVEMBER)
        build(spec, out)
        assert "this month (2026-11): $0.4950 of $0.5000 are left" in plan(NOVEMBER) and "(2026-12): $0.5000 of $0.5000" in plan(DECEMBER)
        assert "tiny in 2026-11: $0.0050 of all its releases; $0.4950 of $0.50 are left" in "\n".join(status(out, moment=NOVEMBER))
        assert "2026-12" not in "\n".join(line for line in status(out, moment=DECEMBER) if "tiny in" in line and "$0.0050" in line)
    said = subprocess.run([*DATAGEN, "plan", "--spec", str(spec), "--out", str(out)], capture_output=True, text=True).stdout
    assert re.search(r"this month \(20\d\d-\d\d\): \$\d", said)


def test_without_a_cap_nothing_is_said_of_months_in_a_plan(tmp_path: Path) -> None:
    spec = spec_at(tmp_path, "http://127.0.0.1:9/v1", 2, usd=1)
    assert "this month" not in "\n".join(plan_lines(str(spec), None, None, None, None, None))


# --- the ledger ---


def asked(number: int) -> Request:
    return Request("openai", "", "m", (("user", f"question {number}"),), {"max_tokens": 10})


def ended(ledger: Ledger, number: int, teacher: str = "t", **job: str) -> None:
    ledger.record(asked(number), teacher, Response(Outcome.ANSWERED, "yes"), ANSWER, **job)


def intent(*numbers: int) -> Intent:
    return Intent("j1", "t", "openai", "", "m", 0.0, 1, tuple((asked(number).key, Spend(CENT, 50, 1)) for number in numbers))


@pytest.fixture(params=["from the segments", "from the index"])
def reread(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], dict[str, dict[str, Spend]]]:
    """Build -> month -> what counts, as a new process finds it."""

    def read() -> dict[str, dict[str, Spend]]:
        if request.param == "from the index":
            compact(tmp_path)
        else:
            (tmp_path / "index").unlink(missing_ok=True)
        ledger = Ledger(tmp_path, "")
        ledger.close()
        return {build: {month: account.committed for month, account in months.items()} for build, months in ledger.months.items()}

    return read


def test_every_record_counts_in_the_month_it_names_and_open_ones_stay_there(tmp_path: Path, reread: Callable[[], Any]) -> None:
    worst = Spend(CENT, 50, 1)
    for month, number in (("2026-11", 0), ("2026-12", 10), ("2026-11", 20)):  # a clock that jumps back
        ledger = Ledger(tmp_path, "b/1.0", month=month)
        for one in (number, number + 1):
            ledger.reserve(asked(one), "tu"[one % 2], worst)
        ended(ledger, number)
        ledger.close()
    old = Ledger(tmp_path, "b/0.9")
    ended(old, 99)
    old.close()
    assert reread() == {"b/1.0": {"2026-11": ANSWER + ANSWER + worst + worst, "2026-12": ANSWER + worst}}
    book = Ledger(tmp_path, "b/1.0")
    book.released()
    book.close()
    assert reread() == {"b/1.0": {"2026-11": ANSWER + ANSWER, "2026-12": ANSWER}}


def test_a_batch_is_paid_by_the_month_that_submitted_it_whoever_takes_it_in(tmp_path: Path, reread: Callable[[], Any]) -> None:
    first = Ledger(tmp_path, "b/1.0", month="2026-11")
    first.intend(intent(1, 2, 3))
    first.close()
    assert reread() == {"b/1.0": {"2026-11": Spend(3 * CENT, 150, 3)}}
    second = Ledger(tmp_path, "b/1.1", month="2026-12")
    ended(second, 1, job="j1")
    ended(second, 7)
    second.close()
    assert reread() == {"b/1.0": {"2026-11": ANSWER + Spend(2 * CENT, 100, 2)}, "b/1.1": {"2026-12": ANSWER}}
    third = Ledger(tmp_path, "b/1.1", month="2027-01")
    third.closed("j1", "over")
    third.close()
    assert reread() == {"b/1.0": {"2026-11": ANSWER}, "b/1.1": {"2026-12": ANSWER}}


def test_all_releases_of_a_spec_are_one_owner_and_its_rehearsals_another(tmp_path: Path) -> None:
    for number, build in enumerate(["b/1.0", "b/1.1", "b/2.0", "b/1.0/simulated", "bb/1.0", "other/1.0"]):
        ledger = Ledger(tmp_path, build, month="2026-11")
        ended(ledger, number)
        ledger.close()
    assert [owner_of(build) for build in ("b/1.0", "b/2.3", "b/1.0/simulated")] == ["b", "b", "b/simulated"]
    assert in_month(ledger.months, "b", "2026-11") == Spend(3 * ANSWER.cost, 30, 3) and in_month(ledger.months, "b", "2026-12") == Spend()
    assert in_month(ledger.months, "b/simulated", "2026-11") == ANSWER


def test_money_that_batches_of_last_month_give_back_is_none_of_this_months(tmp_path: Path) -> None:
    """November reserved 3 cents; whatever comes back of them in December, December spends no more than its own 5 cents."""
    spec = spec_at(tmp_path, "http://127.0.0.1:9/v1", 1, month=0.05)
    november = Ledger(tmp_path / "ledger", "tiny/1.0", month="2026-11")
    november.intend(intent(1, 2, 3))
    november.close()
    december = Ledger(tmp_path / "ledger", "tiny/1.0", month="2026-12")
    with planned(load_spec(str(spec), None), Options(str(spec), tmp_path / "out")) as (plan, _):
        governor = Terms(plan, None, december).alone()
    december.close()
    worst = Spend(CENT, 50, 1)
    assert [governor.take("w", worst) for _ in range(3)] == [True, True, False], "2 cents beside the 3 that may still come back"
    governor.give("t" if "t" in governor.in_flight() else "w", Spend(3 * CENT, 150, 3), Spend(3 * ANSWER.cost, 30, 3))
    taken = 0
    while governor.take("w", worst):
        taken += 1
    assert taken == 2 and "2026-12" in governor.short("w", worst), "less than 5 cents in all, and never more"


def test_a_purse_names_the_month_only_where_the_month_is_short() -> None:
    purse = Purse(cost=10 * CENT, month=Allowance("2026-11", 5 * CENT, beside=2 * CENT))
    assert purse.fits(Spend(3 * CENT)) and not purse.fits(Spend(3 * CENT + 1))
    assert purse.short(Spend(3 * CENT + 1)) == "" and "of $0.05, $0.02 are spent" in purse.short_of_month(Spend(3 * CENT + 1))
    purse.settle(Spend(), Spend(3 * CENT))
    assert not purse.fits(Spend(1)) and purse.short_of_month(Spend(0)) == ""
    assert "of $0.1, $0.03 are spent" in purse.short(Spend(8 * CENT))
