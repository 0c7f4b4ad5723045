"""The gate in front of the governor: who waits, who gives up, who is turned away; also with the governor at the end of a wire."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from datagen.asking.limits.chief import Chief
from datagen.asking.limits.deputy import Deputy
from datagen.asking.limits.gate import Gate
from datagen.asking.limits.governor import Governor, Grant
from datagen.asking.limits.lanes import Ended, Limits, Need
from datagen.asking.limits.leases import Lease, Report
from datagen.asking.prices import Purse
from datagen.errors import BudgetReached, Interrupted, SetupError, TooManyFailures
from datagen.records import Spend


def governor(cap: int | None = None, **limits: int) -> Governor:
    return Governor({"t": Limits(**{"in_flight": 1000, **limits})}, Purse(cap), {})


def need(cost: int = 0, rank: int = 0) -> Need:
    return Need(Spend(cost, 2, 1), 4, 1, rank)


def test_what_is_admitted_goes_in_order_and_no_more_than_fit() -> None:
    async def go() -> None:
        gate = Gate(governor(in_flight=3))
        order: list[int] = []
        most = 0
        flying = 0

        async def one(number: int) -> None:
            nonlocal flying, most
            await gate.admit("t", need())
            order.append(number)
            flying += 1
            most = max(most, flying)
            await asyncio.sleep(0)
            flying -= 1
            gate.settle("t", Ended(need(), Spend(0)))

        await asyncio.gather(*(one(number) for number in range(200)))
        assert most == 3 and order == list(range(200)) and gate.waiting() == 0

    asyncio.run(go())


def test_later_steps_go_first_so_a_judge_never_waits_behind_chapters() -> None:
    async def go() -> None:
        gate = Gate(governor(in_flight=1))
        order: list[int] = []

        async def one(rank: int) -> None:
            await gate.admit("t", need(rank=rank))
            order.append(rank)
            gate.settle("t", Ended(need(rank=rank), Spend()))

        await gate.admit("t", need())
        chapters = [asyncio.ensure_future(one(1)) for _ in range(100)]
        await asyncio.sleep(0)
        judges = [asyncio.ensure_future(one(3)) for _ in range(20)]
        await asyncio.sleep(0)
        gate.settle("t", Ended(need(), Spend()))
        await asyncio.gather(*chapters, *judges)
        assert order == [3] * 20 + [1] * 100

    asyncio.run(go())


def test_a_stop_that_the_governor_decides_turns_everybody_away() -> None:
    async def go() -> None:
        books = governor()
        gate = Gate(books)
        for _ in range(50):
            gate.judged("t", "refused")
        waiting = [asyncio.ensure_future(gate.admit("t", need())) for _ in range(3)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, TooManyFailures) and "refused" in str(result) for result in results)

    asyncio.run(go())


def test_cancelled_waiters_give_their_place_back() -> None:
    async def go() -> None:
        books = governor(in_flight=2, cap=100)
        gate = Gate(books)
        await gate.admit("t", need(10))
        await gate.admit("t", need(10))
        waiting = [asyncio.ensure_future(gate.admit("t", need(10))) for _ in range(4)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # while it waits
        gate.settle("t", Ended(need(10), Spend(1)))
        gate.settle("t", Ended(need(10), Spend(1)))
        waiting[1].cancel()  # admitted, but it has not heard of it
        await asyncio.wait(waiting, timeout=5)
        assert [task.cancelled() for task in waiting] == [True, True, False, False] and all(task.done() for task in waiting)
        assert books.in_flight() == {"t": 2} and books.money() == (2, 20)

    asyncio.run(go())


def test_close_turns_away_what_waits_and_what_comes_and_wakes_what_rests() -> None:
    async def go() -> None:
        books = governor(in_flight=1)
        gate = Gate(books)
        await gate.admit("t", need())
        waiting = [asyncio.ensure_future(gate.admit("t", need())) for _ in range(20)]
        resting = asyncio.ensure_future(gate.rest(3600))
        await asyncio.sleep(0)
        gate.close(TooManyFailures("enough"))
        results = await asyncio.wait_for(asyncio.gather(*waiting, resting, return_exceptions=True), 5)
        assert len(results) == 21 and all(isinstance(result, TooManyFailures) for result in results)
        with pytest.raises(TooManyFailures):
            await gate.admit("t", need())
        gate.settle("t", Ended(need(), Spend(0)))  # what is in flight lands
        assert books.in_flight() == {"t": 0}
        plain = Gate(books)
        plain.close()
        with pytest.raises(Interrupted):
            await plain.admit("t", need())

    asyncio.run(go())


def test_a_rest_that_nobody_disturbs_just_ends() -> None:
    asyncio.run(Gate(governor()).rest(0.001))


def test_a_request_that_no_longer_fits_waits_for_money_in_flight_and_is_refused_when_none_is() -> None:
    async def go() -> None:
        gate = Gate(governor(cap=100))
        await gate.admit("t", need(90))
        dear = [asyncio.ensure_future(gate.admit("t", need(50))) for _ in range(40)]
        await asyncio.sleep(0)
        cheap = asyncio.ensure_future(gate.admit("t", need(5)))
        await asyncio.sleep(0)
        assert not any(task.done() for task in dear)
        gate.settle("t", Ended(need(90), Spend(20)))  # room for one of them, and for the cheap one
        results = await asyncio.wait_for(asyncio.gather(dear[0], return_exceptions=True), 5)
        assert results == [False] and not dear[1].done()
        gate.settle("t", Ended(need(50), Spend(50)))
        assert await asyncio.wait_for(cheap, 5) is False  # it fits, though it stands behind forty that do not
        gate.settle("t", Ended(need(5), Spend(5)))
        turned = await asyncio.wait_for(asyncio.gather(*dear[1:], return_exceptions=True), 5)
        assert all(isinstance(result, BudgetReached) for result in turned)

    asyncio.run(go())


def test_waiting_at_a_rate_limit_costs_no_storm_of_questions() -> None:
    """However many wait, the governor is asked again once when it is time, not once for each of them."""

    class Counting(Governor):
        asked = 0

        def lease(self, teacher: str, needs: Sequence[Need]) -> Grant:
            Counting.asked += 1
            return super().lease(teacher, needs)

    async def go() -> None:
        books = Counting({"t": Limits(1000, requests_per_minute=1200)}, Purse(), {})
        gate = Gate(books)
        waiting = [asyncio.ensure_future(gate.admit("t", need())) for _ in range(500)]
        await asyncio.sleep(0.5)
        done = sum(task.done() for task in waiting)
        asked = Counting.asked
        gate.close()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert done >= 10 and asked < 500 + 5 * (done + 10)

    asyncio.run(go())


class Wire:
    """The governor of many workers, a moment away."""

    def __init__(self, chief: Chief) -> None:
        self.chief = chief

    async def exchange(self, report: Report) -> Lease:
        await asyncio.sleep(0)
        return self.chief.exchange(report)


def test_workers_that_share_a_governor_elsewhere_all_get_their_turn() -> None:
    """Places that one worker frees are filled by the others, which have none at first."""

    async def go() -> None:
        limits = {"t": Limits(2)}
        chief = Chief(limits, Purse(), {})
        deputies = [Deputy(limits, Wire(chief), name) for name in "abc"]
        gates = [Gate(deputy) for deputy in deputies]

        async def one(gate: Gate) -> None:
            mine = need()
            await gate.admit("t", mine)
            await asyncio.sleep(0)
            gate.settle("t", Ended(mine, Spend(0)))

        await asyncio.wait_for(asyncio.gather(*(one(gate) for gate in gates for _ in range(10))), 60)
        for deputy in deputies:
            await deputy.close()
        assert chief.in_flight() == {"t": 0}

    asyncio.run(go())


def test_nothing_is_admitted_by_a_lease_that_comes_after_the_gate_was_closed() -> None:
    async def go() -> None:
        limits = {"t": Limits(1000)}
        chief = Chief(limits, Purse(100), {})
        deputy = Deputy(limits, Wire(chief), "a")
        gate = Gate(deputy)
        late = asyncio.ensure_future(gate.admit("t", need(10)))
        await asyncio.sleep(0)
        gate.close()
        with pytest.raises(Interrupted):
            await asyncio.wait_for(late, 5)
        await deputy.close()
        assert chief.in_flight() == {"t": 0} and chief.money() == (0, 0)

    asyncio.run(go())


def test_a_governor_that_is_gone_is_an_error_for_who_waits() -> None:
    class Gone(Wire):
        async def exchange(self, report: Report) -> Lease:
            raise ConnectionError("the actor died")

    async def go() -> None:
        gate = Gate(Deputy({"t": Limits(1000)}, Gone(Chief({}, Purse(), {})), "a"))
        with pytest.raises(SetupError, match="the actor died"):
            await asyncio.wait_for(gate.admit("t", need()), 5)

    asyncio.run(go())


@pytest.mark.parametrize("last", ["first", "second"])
def test_what_waits_for_anothers_money_is_turned_away_when_there_is_none_left(last: str) -> None:
    """Of two teachers under one cap, whichever has the last request in flight: the other's end is told before anyone asks again."""

    async def go() -> None:
        gate = Gate(Governor({"first": Limits(9), "second": Limits(9)}, Purse(100), {}))
        other = "second" if last == "first" else "first"
        for name in ("first", "second"):  # the queues stand in this order
            await gate.admit(name, need(1))
            gate.settle(name, Ended(need(1), Spend(1)))
        await gate.admit(last, need(60))
        waiting = asyncio.ensure_future(gate.admit(other, need(60)))
        await asyncio.sleep(0)
        assert not waiting.done() and gate.waiting() == 1
        gate.settle(last, Ended(need(60), Spend(60)))
        with pytest.raises(BudgetReached, match="no room left"):
            await asyncio.wait_for(waiting, 5)

    asyncio.run(go())
