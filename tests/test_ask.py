"""The paid boundary over real HTTP: the ledger first, the teacher second, written down before anyone sees it."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from wire_server import Reply, Seen, WireServer, chat, encoded, error

from datagen.asking import ask as module
from datagen.asking.ask import Asker, Deferred, NotAsked, Seat, need_of
from datagen.asking.ledger.accounts import Account
from datagen.asking.ledger.book import Ledger
from datagen.asking.limits import lanes
from datagen.asking.limits.gate import Gate
from datagen.asking.limits.governor import Governor
from datagen.asking.limits.lanes import Limits
from datagen.asking.prices import Purse, price_of, worst_case
from datagen.asking.teachers import TEACHERS
from datagen.asking.teachers.base import Endpoint
from datagen.errors import BudgetReached, DatagenError, Interrupted, TeacherPaused, TeacherStopped, TooManyFailures
from datagen.records import Outcome, Request, Response, Spend

PRICE = price_of("openai/own", {"input": 1.0, "output": 10.0})
FINE = Reply(encoded(chat()))
BUSY = Reply(error("openai", "rate_limit_error"), 429, {"content-type": "application/json", "retry-after": "0"})
BROKEN = Reply(error("openai", "server_error"), 500)


@dataclass
class Desk:
    """What a test needs at hand."""

    asker: Asker
    ledger: Ledger
    governor: Governor
    gate: Gate
    server: WireServer

    def account(self) -> Account:
        return account(self.ledger.folder)

    async def ask(self, number: int = 0) -> Response:
        """As a step does: the answer, and how it was judged."""
        answer = await self.asker.ask(question(number), "t")
        if answer.asked:
            self.asker.judged("t", answer.response.outcome)
        return answer.response


def account(folder: Path) -> Account:
    return Ledger(folder, "").accounts.get("b", {}).get("t", Account())


def question(number: int = 0) -> Request:
    return Request("openai", "", "own", (("user", f"question {number}"),), {"max_tokens": 50})


def at_desk(
    folder: Path,
    script: list[Reply] | Callable[[Seen], Reply],
    work: Callable[[Desk], Awaitable[None]],
    cap: int | None = None,
    in_flight: int = 8,
    timeout: float = 20.0,
    paying: bool = True,
    batch: bool = False,
    patience: float = 900.0,
) -> None:
    async def go() -> None:
        async with WireServer(script) as server:
            endpoint = Endpoint("openai", f"{server.url}/v1", "key", timeout, in_flight, simulated=False, native_schema=True)
            teacher = TEACHERS.get("openai")(endpoint)
            ledger = Ledger(folder, "b")
            governor = Governor({"t": Limits(in_flight)}, Purse(cap), {"t": account(folder).committed})
            gate = Gate(governor)
            try:
                asker = Asker(ledger, gate, {"t": Seat("t", teacher, PRICE, attempts=3, batch=batch, patience=patience)}, paying)
                await work(Desk(asker, ledger, governor, gate, server))
            finally:
                await teacher.close()
                ledger.close()

    asyncio.run(go())


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_FIRST", 0.001)


def test_an_answer_is_recorded_before_it_is_handed_on_and_never_asked_for_again(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        response = await desk.ask()
        assert (response.outcome, response.text, response.cost) == (Outcome.ANSWERED, "42", 20 * 1000 + 5 * 10_000)
        assert Ledger(tmp_path, "").get(question().key) == response  # another process sees it already
        assert await desk.ask() == response and len(desk.server.seen) == 1
        assert desk.governor.money() == (response.cost, 0) and desk.governor.in_flight() == {"t": 0}
        assert desk.account().committed == Spend(response.cost, 25, 1) and desk.asker.asked == 1

    at_desk(tmp_path, [FINE], work)

    async def later(desk: Desk) -> None:
        assert (await desk.ask()).text == "42"
        assert desk.server.seen == [] and desk.asker.asked == 0

    at_desk(tmp_path, [BROKEN], later)


GREEDY = Reply(encoded(chat({"content": "42"}, usage={"prompt_tokens": 20, "completion_tokens": 500, "total_tokens": 520})))
"""Ten times max_tokens: a server that bills what it thinks."""


def test_a_server_that_bills_beyond_the_worst_case_is_named_and_reserved_for_from_then_on(tmp_path: Path) -> None:
    most = need_of(question(), PRICE).worst.cost

    async def work(desk: Desk) -> None:
        billed = (await desk.ask()).cost
        assert billed > 5 * most
        (words,) = desk.governor.surprises()
        assert "teacher 't' billed 1 answers above the worst case" in words and "480" not in words
        with pytest.raises(BudgetReached):  # 12 worst cases are left, and not one such bill
            await desk.ask(1)
        assert len(desk.server.seen) == 1

    bill = 20 * 1000 + 500 * 10_000
    at_desk(tmp_path, [GREEDY], work, cap=bill + 4 * most)


def test_many_bills_beyond_the_worst_case_at_once_are_one_surcharge(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        await asyncio.gather(*(desk.ask(number) for number in range(8)))
        base = need_of(question(), PRICE).worst
        assert desk.asker._surcharge["t"] == pytest.approx((20 * 1000 + 500 * 10_000) / base.cost)
        await desk.ask(9)
        assert len(desk.server.seen) == 9 and "billed 8 answers" in desk.governor.surprises()[0]  # the ninth was reserved for

    at_desk(tmp_path, [GREEDY], work)


def test_what_waits_when_a_bill_too_high_comes_in_is_reserved_for_anew(tmp_path: Path) -> None:
    """Forty wait, one is in flight: none of them may go on what it had asked for before the first bill."""
    bill = 20 * 1000 + 500 * 10_000

    async def work(desk: Desk) -> None:
        results = await asyncio.gather(*(desk.ask(number) for number in range(40)), return_exceptions=True)
        assert sum(isinstance(result, BudgetReached) for result in results) == 40 - 3
        assert len(desk.server.seen) == 3 and desk.governor.money() == (3 * bill, 0)

    at_desk(tmp_path, [GREEDY], work, cap=3 * bill + bill // 2, in_flight=1)


def test_a_row_that_is_refused_for_ever_while_others_are_answered_is_given_up(tmp_path: Path) -> None:
    """A request that makes the server say 503 each time must not hold up the build until the teacher is taken for overloaded."""

    def script(seen: Seen) -> Reply:
        return BUSY if b"question 0" in seen.body else FINE

    async def work(desk: Desk) -> None:
        cursed = asyncio.ensure_future(desk.ask())
        await asyncio.gather(*(desk.ask(number) for number in range(1, 40)))  # and then it is alone, and nothing but refused
        assert (await cursed).outcome is Outcome.FAILED and desk.governor.stopped() is None

    at_desk(tmp_path, script, work, patience=1.0, in_flight=2)


def test_a_long_retry_after_is_waited_out_aloud(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        asking = asyncio.ensure_future(desk.ask())
        while not desk.ledger.accounts or desk.governor.in_flight()["t"] or not desk.governor.trouble():
            await asyncio.sleep(0.01)
        assert re.fullmatch(r"t waits (29\d|300) s, as its server asked", desk.governor.trouble()[0])
        desk.gate.close()
        with pytest.raises(Interrupted):
            await asking

    at_desk(tmp_path, [Reply(error("openai", "rate_limit_exceeded", "later"), 429, {"retry-after": "300"})], work)


def test_what_two_rows_ask_alike_is_asked_once(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        answers = await asyncio.gather(*(desk.ask(number % 3) for number in range(60)))
        assert len(desk.server.seen) == 3 and all(answer.text == "42" for answer in answers)
        others = [replace(question(), sample=1), replace(question(), attempt=1)]
        await asyncio.gather(*(desk.asker.ask(other, "t") for other in others))
        assert len(desk.server.seen) == 5

    at_desk(tmp_path, [FINE], work)


def test_a_row_that_gives_up_does_not_take_the_answer_from_the_others(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        first, second = (asyncio.ensure_future(desk.ask()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).text == "42" and first.cancelled()
        assert len(desk.server.seen) == 1 and desk.governor.in_flight() == {"t": 0}

    at_desk(tmp_path, [FINE], work)


def test_waiting_for_a_limit_is_not_an_attempt_and_costs_nothing(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        response = await desk.ask()  # ten refusals, and only three attempts
        assert response.outcome is Outcome.ANSWERED and len(desk.server.seen) == 11
        assert desk.account().committed.cost == response.cost and desk.governor.money() == (response.cost, 0)

    at_desk(tmp_path, [BUSY] * 10 + [FINE], work)


def test_an_attempt_that_may_have_been_billed_counts_as_spent(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        response = await desk.ask()
        assert PRICE is not None
        worst = worst_case(PRICE, question(), 50)
        assert response.outcome is Outcome.ANSWERED and desk.governor.money() == (response.cost + 2 * worst, 0)
        assert desk.account().possible.cost == 2 * worst and desk.account().committed.cost == response.cost + 2 * worst

    at_desk(tmp_path, [BROKEN, Reply(how="reset"), FINE], work)


def test_a_request_that_fails_to_the_end_is_failed_and_asked_again_by_the_next_run_only(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        for _ in range(2):
            response = await desk.ask()
            assert response.outcome is Outcome.FAILED and response.error
        assert len(desk.server.seen) == 3

    at_desk(tmp_path, [BROKEN], work)

    async def later(desk: Desk) -> None:
        assert (await desk.ask()).outcome is Outcome.ANSWERED

    at_desk(tmp_path, [FINE], later)


def test_a_request_the_provider_rejects_is_final_and_costs_nothing(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        for _ in range(2):
            response = await desk.ask()
            assert response.outcome is Outcome.REJECTED and response.cost == 0
        assert len(desk.server.seen) == 1 and desk.account().committed == Spend()

    at_desk(tmp_path, [Reply(error("openai", "invalid_request_error", "no"), 400)], work)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_provider_that_refuses_to_go_on_ends_the_run(tmp_path: Path, status: int) -> None:
    async def work(desk: Desk) -> None:
        results = await asyncio.gather(*(desk.ask(number) for number in range(50)), return_exceptions=True)
        assert all(isinstance(result, TeacherStopped) and "teacher 't'" in str(result) for result in results)
        assert len(desk.server.seen) <= 8  # those in flight at that moment
        assert desk.account().committed == Spend() and len(desk.ledger) == 0

    at_desk(tmp_path, [Reply(error("openai", "invalid_request_error", "no such key"), status)], work)


def test_when_too_much_comes_to_nothing_the_run_ends(tmp_path: Path) -> None:
    def script(seen: Seen) -> Reply:
        number = int(json.loads(seen.body)["messages"][-1]["content"].split()[1])
        return Reply(error("openai", "invalid_request_error", "odd"), 400) if number % 4 == 0 else FINE

    async def work(desk: Desk) -> None:
        results = await asyncio.gather(*(desk.ask(number) for number in range(400)), return_exceptions=True)
        kinds = Counter(type(result).__name__ for result in results)
        assert kinds["TooManyFailures"] > 300 and kinds["Response"] >= 50 and set(kinds) == {"TooManyFailures", "Response"}
        failure = next(result for result in results if isinstance(result, TooManyFailures))
        assert re.search(r"of the last \d\d answers of teacher 't' were rejected", str(failure))
        assert len(desk.server.seen) == kinds["Response"] == len(desk.ledger)

    at_desk(tmp_path, script, work)


def test_the_cap_holds_and_every_answer_that_was_paid_is_kept(tmp_path: Path) -> None:
    assert PRICE is not None
    cap = 3 * worst_case(PRICE, question(), 50)

    async def work(desk: Desk) -> None:
        results = await asyncio.gather(*(desk.ask(number) for number in range(100)), return_exceptions=True)
        answers = [result for result in results if isinstance(result, Response)]
        assert answers and all(isinstance(result, Response | BudgetReached) for result in results)
        assert len(answers) == len(desk.server.seen) == len(Ledger(tmp_path, ""))
        assert desk.account().committed.cost <= cap and desk.governor.money()[1] == 0
        assert cap - desk.account().committed.cost < worst_case(PRICE, question(), 50)  # nothing more would have fitted

    at_desk(tmp_path, [FINE], work, cap)

    async def later(desk: Desk) -> None:
        with pytest.raises(BudgetReached):
            await desk.ask(999)
        assert desk.server.seen == []

    at_desk(tmp_path, [FINE], later, cap)


def test_a_drain_lands_what_is_in_flight_and_does_not_wait_for_a_long_retry_after(tmp_path: Path) -> None:
    """One is in flight, one was told to wait ten minutes, the others stand at the gate."""

    def script(seen: Seen) -> Reply:
        if b"question 0" in seen.body:
            return Reply(error("openai", "rate_limit_error"), 429, {"retry-after": "600"})
        return FINE

    async def work(desk: Desk) -> None:
        async def asked(number: int) -> Response | DatagenError:
            try:
                return await desk.ask(number)
            except DatagenError as error:
                return error

        told = asyncio.ensure_future(asked(0))
        while not desk.server.seen or desk.governor.in_flight()["t"]:
            await asyncio.sleep(0.005)
        tasks = [asyncio.ensure_future(asked(number)) for number in range(1, 20)]
        while len(desk.server.seen) < 3:
            await asyncio.sleep(0.001)
        desk.gate.close()
        results = await asyncio.wait_for(asyncio.gather(told, *tasks), 10)
        answered = [result for result in results if isinstance(result, Response)]
        assert isinstance(results[0], Interrupted) and all(isinstance(result, Response | Interrupted) for result in results)
        assert len(answered) == len(desk.server.seen) - 1 == len(Ledger(tmp_path, "")) and desk.governor.in_flight() == {"t": 0}

    at_desk(tmp_path, script, work, in_flight=2)


def test_a_prompt_that_was_filtered_is_final_and_costs_nothing(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        assert (await desk.ask()).outcome is Outcome.FILTERED
        assert (await desk.ask()).outcome is Outcome.FILTERED and len(desk.server.seen) == 1
        assert desk.account().committed == Spend()

    at_desk(tmp_path, [Reply(error("openai", "invalid_request_error", "filtered", "content_filter"), 400)], work)


def test_a_wait_beyond_all_patience_pauses_the_build(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        with pytest.raises(TeacherPaused, match="asks to wait 86,400 s, longer than its `patience` of 900 s"):
            await desk.ask()
        assert desk.account().committed == Spend()

    at_desk(tmp_path, [Reply(error("openai", "rate_limit_exceeded", "tomorrow"), 429, {"retry-after": "86400"})], work)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [({"prompt_tokens": 20}, 20 + 50), ({"completion_tokens": 7}, None), ({"prompt_tokens": 20, "completion_tokens": "9"}, 20 + 50), ({}, None)],
)
def test_what_a_server_does_not_count_is_counted_at_its_worst(tmp_path: Path, usage: dict[str, Any], tokens: int | None) -> None:
    body = {"model": "m", "choices": [{"finish_reason": "stop", "message": {"content": "fine"}}], "usage": usage}

    async def work(desk: Desk) -> None:
        await desk.ask()
        worst = need_of(question(), PRICE).worst
        expected = tokens or (worst.tokens - 50 + 7 if usage else worst.tokens)
        assert desk.account().answered.tokens == expected and desk.account().answered.cost > 0

    at_desk(tmp_path, [Reply(encoded(body))], work)


def test_a_replay_asks_nobody(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        with pytest.raises(NotAsked, match=question().key):
            await desk.ask()
        assert desk.server.seen == [] and not list(tmp_path.glob("*.jsonl"))

    at_desk(tmp_path, [FINE], work, paying=False)


def test_a_teacher_asked_in_batches_defers_what_the_ledger_lacks(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        with pytest.raises(Deferred) as deferred:
            await desk.ask()
        assert deferred.value.request == question() and deferred.value.teacher == "t" and desk.server.seen == []
        desk.ledger.record(question(), "t", Response(Outcome.ANSWERED, "42"), Spend(7, 7, 1))
        assert (await desk.ask()).text == "42"

    at_desk(tmp_path, [FINE], work, batch=True)


def test_an_outage_is_probed_and_spends_no_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty failures in a row, and only three attempts: those of probes do not count."""
    monkeypatch.setattr(lanes, "PROBE_FIRST", 0.001)
    monkeypatch.setattr(lanes, "PROBE_MOST", 0.002)

    async def work(desk: Desk) -> None:
        answers = await asyncio.gather(*(desk.ask(number) for number in range(12)))
        assert all(answer.outcome is Outcome.ANSWERED for answer in answers)

    at_desk(tmp_path, [Reply(how="reset")] * 40 + [FINE], work, in_flight=4)


def test_a_used_up_quota_pauses_the_build(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        with pytest.raises(TeacherPaused, match="pauses"):
            await desk.ask()

    at_desk(tmp_path, [Reply(error("openai", "insufficient_quota", "You exceeded your current quota"), 429)], work)


def test_a_body_that_cannot_be_read_is_tried_again_and_a_truncated_answer_is_not(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        first = await desk.ask()
        second = await desk.ask(1)
        assert (first.outcome, second.outcome, len(desk.server.seen)) == (Outcome.ANSWERED, Outcome.TRUNCATED, 3)
        assert (await desk.ask(1)) == second and len(desk.server.seen) == 3

    at_desk(tmp_path, [Reply(b'{"half": '), FINE, Reply(encoded(chat(finish="length")))], work)


def test_a_teacher_that_does_not_count_is_charged_the_worst_case(tmp_path: Path) -> None:
    body: dict[str, Any] = {**chat(), "usage": None}

    async def work(desk: Desk) -> None:
        response = await desk.ask()
        assert PRICE is not None and response.cost == worst_case(PRICE, question(), 50)

    at_desk(tmp_path, [Reply(encoded(body))], work)
