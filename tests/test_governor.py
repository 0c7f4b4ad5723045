"""One governor for all: limits per minute, money, concurrency, on a clock that the test turns."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.asking.governor import Ended, Governor, Grant, Limits, Need


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
    """Send as many as fit, often; each is refused by chance, or beyond `capacity`. Returns the fewest and the last in flight."""
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
    assert all(fewest <= 32 for fewest, _ in runs)


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
