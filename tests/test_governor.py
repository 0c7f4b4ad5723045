"""One governor for all: limits per minute, money, concurrency, on a clock that the test turns; and the gate in front of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.asking.governor import ELSEWHERE, Ended, Gate, Governor, Grant, Limits, Need
from datagen.errors import BudgetReached, Interrupted, TooManyFailures


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def governor(clock: Clock | None = None, cap: int | None = None, committed: int = 0, **limits: int) -> Governor:
    return Governor({"t": Limits(**{"in_flight": 1000, **limits})}, cap, committed, clock or Clock())


def need(cost: int = 0, tokens: int = 1, output: int = 1) -> Need:
    return Need(cost, tokens, output)


# --- limits per minute ---


@settings(max_examples=40, deadline=None)
@given(
    st.integers(6, 3000),
    st.integers(500, 100_000),
    st.integers(500, 100_000),
    st.lists(st.tuples(st.integers(1, 400), st.integers(1, 400)), min_size=1, max_size=8),
    st.integers(0, 2**32),
)
def test_no_minute_holds_more_than_the_limits_and_the_burst(rpm: int, tpm_in: int, tpm_out: int, sizes: list[tuple[int, int]], seed: int) -> None:
    """Over any window of a minute: the limit plus five seconds of it, and one request more (the one that empties the bucket)."""
    clock, chance = Clock(), random.Random(seed)
    books = governor(clock, requests_per_minute=rpm, input_tokens_per_minute=tpm_in, output_tokens_per_minute=tpm_out)
    sent: list[tuple[float, int, int, int]] = []
    while clock.now < 1150 and len(sent) < 2000:
        wanted = [need(0, *chance.choice(sizes)) for _ in range(chance.randint(1, 16))]
        grant = books.lease("t", wanted)
        sent += [(clock.now, 1, wanted[number].input_tokens, wanted[number].output_tokens) for number in grant.admitted]
        books.settle("t", [Ended(wanted[number], 0) for number in grant.admitted])
        clock.now += (grant.wait or 0.0) * chance.choice([0.5, 1.0, 1.0, 3.0]) + chance.choice([0.0, 0.01, 0.3]) + 1e-9
    for column, (limit, largest) in enumerate(
        [(rpm, 1), (tpm_in, max(size[0] for size in sizes)), (tpm_out, max(size[1] for size in sizes))], start=1
    ):
        first = total = 0
        for entry in sent:
            total += entry[column]
            while sent[first][0] <= entry[0] - 60:
                total -= sent[first][column]
                first += 1
            assert total <= limit * (1 + 5 / 60) + largest + 1e-6


def test_the_limit_is_used_when_there_is_enough_to_do() -> None:
    clock = Clock()
    books, sent = governor(clock, requests_per_minute=600), 0
    while clock.now < 1120:
        grant = books.lease("t", [need()] * 16)
        sent += len(grant.admitted)
        books.settle("t", [Ended(need(), 0)] * len(grant.admitted))
        clock.now += grant.wait or 0.0
    assert 1190 <= sent <= 1260


def test_a_request_larger_than_a_burst_goes_and_is_paid_back_in_time() -> None:
    clock = Clock()
    books = governor(clock, output_tokens_per_minute=600)  # 10 a second, 50 in a burst
    clock.now += 10
    assert books.lease("t", [need(output=300)]).admitted == (0,)
    grant = books.lease("t", [need(output=1)])
    assert grant.admitted == () and grant.wait == pytest.approx(25.1)
    clock.now += 25.2
    assert books.lease("t", [need(output=1)]).admitted == (0,)


def test_a_limit_of_less_than_one_request_a_burst_still_lets_requests_through() -> None:
    clock = Clock()
    books, sent = governor(clock, requests_per_minute=2), 0
    for _ in range(600):
        grant = books.lease("t", [need()])
        sent += len(grant.admitted)
        books.settle("t", [Ended(need(), 0)] * len(grant.admitted))
        clock.now += 1
    assert 19 <= sent <= 21


# --- money ---


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 1000),
    st.integers(0, 300),
    st.lists(
        st.tuples(st.sampled_from(["lease", "settle"]), st.lists(st.integers(0, 300), min_size=1, max_size=5), st.integers(0, 100)), max_size=60
    ),
)
def test_the_cap_is_never_passed_and_nothing_is_refused_while_something_may_free_money(
    cap: int, committed: int, moves: list[tuple[str, list[int], int]]
) -> None:
    books = governor(cap=cap, committed=committed)
    flying: list[Need] = []
    spent = committed
    for move, costs, share in moves:
        if move == "lease":
            wanted = [need(cost) for cost in costs]
            grant = books.lease("t", wanted)
            flying += [wanted[number] for number in grant.admitted]
            assert not set(grant.admitted) & set(grant.refused)
            if grant.refused:
                assert not flying
                assert all(spent + costs[number] > cap for number in grant.refused)
            if not flying:
                assert {*grant.admitted, *grant.refused} == set(range(len(costs)))
        elif flying:
            ended = flying.pop(costs[0] % len(flying))
            paid = ended.cost * share // 100
            spent += paid
            books.settle("t", [Ended(ended, paid)])
        if committed <= cap:
            assert spent + sum(each.cost for each in flying) <= cap
        else:
            assert all(each.cost == 0 or spent + each.cost <= cap for each in flying)
        assert books.money() == (spent, sum(each.cost for each in flying))


def test_a_cheap_request_passes_a_dear_one() -> None:
    books = governor(cap=100)
    assert books.lease("t", [need(60), need(60), need(40), need(1)]) == Grant((0, 2), None, ())
    books.settle("t", [Ended(need(60), 10), Ended(need(40), 10)])
    assert books.lease("t", [need(90), need(80)]).admitted == (1,)


def test_without_a_cap_money_is_only_counted() -> None:
    books = governor()
    assert books.lease("t", [need(10**15)] * 3).admitted == (0, 1, 2) and books.money() == (0, 3 * 10**15)


# --- concurrency ---


def run(
    books: Governor, clock: Clock, overloaded: float, seconds: int, seed: int = 1, capacity: int | None = None, per_second: int = 200
) -> tuple[int, int]:
    """Send as many as fit, many times a second; each is refused at once by chance, or beyond `capacity`. Returns the fewest and the last in flight."""
    chance, flying, fewest = random.Random(seed), 0, 10**6
    for _ in range(seconds * 10):
        grant = books.lease("t", [need()] * (per_second // 10))
        flying = len(grant.admitted)
        fewest = min(fewest, flying)
        bad = [chance.random() < overloaded or (capacity is not None and number >= capacity) for number in range(flying)]
        clock.now += 0.1
        books.settle("t", [Ended(need(), 0, overloaded=each) for each in bad])
    return fewest, flying


def test_a_random_five_percent_of_429_costs_only_itself() -> None:
    for seed in range(20):
        clock = Clock()
        assert run(governor(clock, in_flight=20), clock, 0.05, seconds=60, seed=seed) == (20, 20)


def test_sustained_overload_lowers_what_is_in_flight_and_recovery_raises_it_again() -> None:
    clock = Clock()
    books = governor(clock, in_flight=20)
    assert run(books, clock, 0.5, seconds=20)[0] <= 14
    assert run(books, clock, 1.0, seconds=120)[1] == 1  # never to nothing
    assert run(books, clock, 0.0, seconds=60)[1] == 20


def test_a_teacher_that_takes_half_is_asked_about_half() -> None:
    clock = Clock()
    books = governor(clock, in_flight=40)
    runs = [run(books, clock, 0.0, seconds=10, capacity=20, per_second=400) for _ in range(6)]
    assert all(fewest <= 32 for fewest, _ in runs) and all(last <= 40 for _, last in chance_free)


def test_a_burst_of_refusals_is_not_sustained() -> None:
    clock = Clock()
    books = governor(clock, in_flight=20)
    run(books, clock, 0.0, seconds=5)
    run(books, clock, 1.0, seconds=1)
    assert run(books, clock, 0.0, seconds=3) == (20, 20)


def test_one_teachers_overload_is_not_anothers() -> None:
    clock = Clock()
    books = Governor({"t": Limits(20), "u": Limits(20)}, None, 0, clock)
    run(books, clock, 1.0, seconds=20)
    assert len(books.lease("u", [need()] * 30).admitted) == 20
    assert books.in_flight()["u"] == 20


def test_a_pause_after_sustained_overload_is_as_long_as_the_provider_asked() -> None:
    clock = Clock()
    books = governor(clock, in_flight=200)
    waits = []
    for _ in range(60):
        grant = books.lease("t", [need()] * 30)
        if grant.wait is not None:
            waits.append(grant.wait)
            break
        clock.now += 0.1
        books.settle("t", [Ended(need(), 0, True, retry_after=7.0)] * len(grant.admitted))
    assert waits and waits[0] == pytest.approx(7.0)


# --- the gate ---


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
            gate.settle("t", Ended(need(), 0))

        await asyncio.gather(*(one(number) for number in range(200)))
        assert most == 3 and order == list(range(200)) and gate.waiting() == 0

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
        gate.settle("t", Ended(need(10), 1))
        gate.settle("t", Ended(need(10), 1))
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
        gate.settle("t", Ended(need(), 0))  # what is in flight lands
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
        gate.settle("t", Ended(need(90), 20))  # room for one of them, and for the cheap one
        results = await asyncio.wait_for(asyncio.gather(dear[0], return_exceptions=True), 5)
        assert results == [None] and not dear[1].done()
        gate.settle("t", Ended(need(50), 50))
        assert await asyncio.wait_for(cheap, 5) is None  # it fits, though it stands behind forty that do not
        gate.settle("t", Ended(need(5), 5))
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
        books = Counting({"t": Limits(1000, requests_per_minute=1200)}, None, 0)
        gate = Gate(books)
        waiting = [asyncio.ensure_future(gate.admit("t", need())) for _ in range(500)]
        await asyncio.sleep(0.5)
        done = sum(task.done() for task in waiting)
        asked = Counting.asked
        gate.close()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert done >= 10 and asked < 500 + 5 * (done + 10)

    asyncio.run(go())


class Elsewhere:
    """The governor over a wire: every method answers later."""

    def __init__(self, books: Governor) -> None:
        self.books = books
        self.calls: Counter[str] = Counter()

    async def _later(self, method: str, teacher: str, items: Sequence[object]) -> Grant:
        self.calls[method] += 1
        await asyncio.sleep(0)
        return getattr(self.books, method)(teacher, items)  # type: ignore[no-any-return]

    def lease(self, teacher: str, needs: Sequence[Need]) -> asyncio.Future[Grant]:
        return asyncio.ensure_future(self._later("lease", teacher, needs))

    def settle(self, teacher: str, ended: Sequence[Ended]) -> asyncio.Future[None]:
        return asyncio.ensure_future(self._later("settle", teacher, ended))  # type: ignore[arg-type]


def test_workers_that_share_a_governor_elsewhere_all_get_their_turn() -> None:
    """A place that another worker frees is seen, though nobody tells the one that waits for it."""

    async def go() -> None:
        books = governor(in_flight=2)
        gates = [Gate(Elsewhere(books)) for _ in range(3)]

        async def one(gate: Gate) -> None:
            await gate.admit("t", need())
            await asyncio.sleep(0)
            gate.settle("t", Ended(need(), 0))

        await gates[0].admit("t", need())
        await gates[0].admit("t", need())
        others = [asyncio.ensure_future(one(gate)) for gate in gates[1:] for _ in range(10)]
        await asyncio.sleep(ELSEWHERE / 2)
        assert not any(task.done() for task in others)
        gates[0].settle("t", Ended(need(), 0))
        gates[0].settle("t", Ended(need(), 0))
        await asyncio.wait_for(asyncio.gather(*others), 20)
        await asyncio.sleep(2 * ELSEWHERE)
        assert books.in_flight() == {"t": 0}

    asyncio.run(go())


def test_a_grant_that_comes_after_the_gate_was_closed_is_given_back() -> None:
    async def go() -> None:
        books = governor(cap=100)
        gate = Gate(Elsewhere(books))
        late = asyncio.ensure_future(gate.admit("t", need(10)))
        await asyncio.sleep(0)
        gate.close()
        with pytest.raises(Interrupted):
            await asyncio.wait_for(late, 5)
        await asyncio.sleep(0.05)
        assert books.in_flight() == {"t": 0} and books.money() == (0, 0)

    asyncio.run(go())


def test_a_governor_that_is_gone_is_an_error_for_who_waits() -> None:
    class Gone(Elsewhere):
        async def _later(self, method: str, teacher: str, items: Sequence[object]) -> Grant:
            raise ConnectionError("the actor died")

    async def go() -> None:
        gate = Gate(Gone(governor()))
        with pytest.raises(ConnectionError, match="the actor died"):
            await asyncio.wait_for(gate.admit("t", need()), 5)

    loop_errors: list[object] = []

    async def quietly() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: loop_errors.append(context))
        await go()

    asyncio.run(quietly())
