"""One governor for all: limits per minute, money, concurrency, on a clock that the test turns."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.asking.limits.governor import Caution, Governor, Grant
from datagen.asking.limits.lanes import NEVER_THERE, PROBE_MOST, SILENT, Ended, Limits, Need
from datagen.asking.prices import Purse
from datagen.asking.teachers.base import HeaderLimits
from datagen.errors import FaultKind, TeacherStopped, TooManyFailures
from datagen.records import Spend


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def governor(clock: Clock | None = None, cap: int | None = None, committed: int = 0, **limits: int) -> Governor:
    return Governor({"t": Limits(**{"in_flight": 1000, **limits})}, Purse(cap), {"t": Spend(committed)}, clock=clock or Clock())


_tickets = itertools.count()


def need(cost: int = 0, tokens: int = 1, output: int = 1, rank: int = 0) -> Need:
    return Need(Spend(cost, tokens + output, 1), 4 * tokens, output, rank, next(_tickets))


def ended(need: Need, cost: int = 0, fault: FaultKind | None = None, retry_after: float = 0.0, headers: HeaderLimits | None = None) -> Ended:
    """As expected to the token, unless it failed."""
    tokens = (0, 0) if fault else (need.characters // 4, need.most)
    return Ended(need, Spend(cost), fault, retry_after, *tokens, headers, heard=fault != "unreachable")


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
    """Over any window of a minute: the limit plus five seconds of it, and one lease whose requests were taken for smaller ones."""
    clock, chance = Clock(), random.Random(seed)
    books = governor(clock, requests_per_minute=rpm, input_tokens_per_minute=tpm_in, output_tokens_per_minute=tpm_out)
    sent: list[tuple[float, int, int, int]] = []
    while clock.now < 1150 and len(sent) < 2000:
        wanted = [need(0, *chance.choice(sizes)) for _ in range(chance.randint(1, 16))]
        grant = books.lease("t", wanted)
        sent += [(clock.now, 1, wanted[number].characters // 4, wanted[number].most) for number in grant.admitted]
        books.settle("t", [ended(wanted[number]) for number in grant.admitted])
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
            assert total <= limit * (1 + 5 / 60) + (largest if column == 1 else 16 * largest) + 1e-6


def test_the_limit_is_used_when_there_is_enough_to_do() -> None:
    clock = Clock()
    books, sent = governor(clock, requests_per_minute=600), 0
    while clock.now < 1120:
        wanted = [need() for _ in range(16)]
        grant = books.lease("t", wanted)
        sent += len(grant.admitted)
        books.settle("t", [ended(wanted[number]) for number in grant.admitted])
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
        books.settle("t", [ended(need()) for _ in grant.admitted])
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
            landed = flying.pop(costs[0] % len(flying))
            paid = landed.worst.cost * share // 100
            spent += paid
            books.settle("t", [ended(landed, paid)])
        if committed <= cap:
            assert spent + sum(each.worst.cost for each in flying) <= cap
        else:
            assert all(each.worst.cost == 0 or spent + each.worst.cost <= cap for each in flying)
        assert books.money() == (spent, sum(each.worst.cost for each in flying))


def test_a_cheap_request_passes_a_dear_one() -> None:
    books = governor(cap=100)
    assert books.lease("t", [need(60), need(60), need(40), need(1)]) == Grant((0, 2), None, ())
    books.settle("t", [ended(need(60), 10), ended(need(40), 10)])
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
        books.settle("t", [ended(need(), 0, "rate_limited" if each else None) for each in bad])
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
    books = Governor({"t": Limits(20), "u": Limits(20)}, Purse(), {}, clock=clock)
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
        books.settle("t", [ended(need(), 0, "overloaded", retry_after=7.0) for _ in grant.admitted])
    assert waits and waits[0] == pytest.approx(7.0)


# --- limits that the provider counts in its own way ---


class Server:
    """Enforces requests and tokens per minute as providers do: in buckets, charged on admission by its own count."""

    def __init__(self, clock: Clock, rpm: int, tpm: int, burst: float = 10.0) -> None:
        self.clock, self.rates = clock, (rpm / 60, tpm / 60)
        self.burst, self.levels, self.at = burst, [rate * burst for rate in self.rates], clock.now
        self.admitted = self.refused = self.tokens = 0

    def takes(self, tokens: int) -> bool:
        for place, rate in enumerate(self.rates):
            self.levels[place] = min(rate * self.burst, self.levels[place] + (self.clock.now - self.at) * rate)
        self.at = self.clock.now
        if self.levels[0] < 1 or self.levels[1] < tokens:
            self.refused += 1
            return False
        self.levels[0], self.levels[1] = self.levels[0] - 1, self.levels[1] - tokens
        self.admitted, self.tokens = self.admitted + 1, self.tokens + tokens
        return True


@pytest.mark.parametrize(
    ("given", "made", "characters", "most"),
    [(200, 100, 800, 120), (200, 100, 520, 2048), (600, 300, 2400, 400), (100, 30, 900, 4000)],
    ids=["as expected", "dense text, short answers", "tokens bind", "sparse text, far below max_tokens"],
)
def test_both_limits_are_used_to_the_full_and_hardly_ever_passed(given: int, made: int, characters: int, most: int) -> None:
    """3,000 requests and a million tokens a minute, answers after a second; the guess of tokens is wrong by as much as a hundred times."""
    clock = Clock()
    books = governor(clock, requests_per_minute=3000, tokens_per_minute=1_000_000)
    server, flying = Server(clock, 3000, 1_000_000), []
    waiting = [Need(Spend(0, 0, 1), characters, most, 0, next(_tickets)) for _ in range(20_000)]
    began = clock.now
    while clock.now < began + 300:
        landed = [entry for entry in flying if entry[0] <= clock.now]
        flying = [entry for entry in flying if entry[0] > clock.now]
        books.settle("t", [end for _, end in landed])
        waiting += [end.need for _, end in landed if end.fault]
        offer = waiting[-16:]
        grant = books.lease("t", offer)
        for number in sorted(grant.admitted, reverse=True):
            sent = waiting.pop(len(waiting) - len(offer) + number)
            good = server.takes(given + made)
            end = Ended(sent, Spend(), None, 0.0, given, made) if good else Ended(sent, Spend(), "rate_limited", 1.0)
            flying.append((clock.now + (1.0 if good else 0.01), end))
        clock.now += 0.005
    share = max(server.admitted / (3000 * 5), server.tokens / (1_000_000 * 5))
    assert share >= 0.97 and server.refused <= 0.01 * (server.admitted + server.refused)


def test_a_provider_that_charges_more_than_was_used_is_found_out() -> None:
    """It charges max_tokens on admission, as OpenAI's documents say; the refusals teach how much that is."""
    clock = Clock()
    books = governor(clock, tokens_per_minute=1_000_000)
    server, flying = Server(clock, 10**9, 1_000_000), []
    late = [0, 0]
    began = clock.now
    while clock.now < began + 600:
        landed = [entry for entry in flying if entry[0] <= clock.now]
        flying = [entry for entry in flying if entry[0] > clock.now]
        books.settle("t", [end for _, end in landed])
        offer = [Need(Spend(), 800, 1000, 0, next(_tickets)) for _ in range(16)]
        for number in books.lease("t", offer).admitted:
            good = server.takes(1200)
            if clock.now > began + 120:
                late[0], late[1] = late[0] + 1, late[1] + (not good)
            end = Ended(offer[number], Spend(), None, 0.0, 200, 300) if good else Ended(offer[number], Spend(), "rate_limited", 1.0)
            flying.append((clock.now + 0.5, end))
        clock.now += 0.005
    assert late[1] <= 0.03 * late[0] and server.tokens / (1_000_000 * 10) >= 0.9


def test_limits_in_the_headers_hold_where_the_spec_names_none() -> None:
    clock = Clock()
    books = governor(clock)
    first = need()
    books.lease("t", [first])
    books.settle("t", [ended(first, headers=HeaderLimits(requests_per_minute=600))])
    sent = 0
    began = clock.now
    while clock.now < began + 60:
        wanted = [need() for _ in range(16)]
        grant = books.lease("t", wanted)
        sent += len(grant.admitted)
        books.settle("t", [ended(wanted[number]) for number in grant.admitted])
        clock.now += grant.wait or 0.01
    assert 590 <= sent <= 660


def test_who_waits_for_a_limit_per_minute_with_nothing_in_flight_is_told_which_and_whose_it_is() -> None:
    clock = Clock()
    books = governor(clock)
    first = need()
    books.lease("t", [first])
    books.settle("t", [ended(first, headers=HeaderLimits(requests_per_minute=1))])
    clock.now += 4.1  # a bucket begins with a second's worth
    second = need()
    assert books.lease("t", [second]).admitted == (0,) and books.lease("t", [need()]).wait == pytest.approx(60, abs=0.2)
    assert books.trouble() == [], "an answer is on its way"
    books.settle("t", [ended(second)])
    assert books.trouble() == ["t waits 60 s for its limit of 1 request a minute, from the server's headers"]
    clock.now += 58.5
    assert books.trouble() == [], "soon over"

    given = governor(clock, requests_per_minute=6000, output_tokens_per_minute=600)
    dear = need(output=300)
    clock.now += 10
    given.lease("t", [dear])
    given.settle("t", [ended(dear)])
    given.lease("t", [need(output=300)])
    assert given.trouble() == ["t waits 30 s for its limit of 600 output tokens a minute, as the spec says"]


def test_nothing_goes_while_the_headers_say_that_nothing_is_left() -> None:
    clock = Clock()
    books = governor(clock)
    first = need()
    books.lease("t", [first])
    books.settle("t", [ended(first, headers=HeaderLimits(requests_left=0, reset=12.0))])
    assert books.lease("t", [need()]).wait == pytest.approx(12.0)
    clock.now += 12.1
    assert books.lease("t", [need()]).admitted == (0,)


def test_headers_that_promise_more_than_they_give_do_no_harm() -> None:
    clock = Clock()
    books = governor(clock, in_flight=50, requests_per_minute=600)
    server = Server(clock, 600, 10**9)
    generous = HeaderLimits(requests_per_minute=60_000, requests_left=50_000, reset=0.0)
    began, sent = clock.now, 0
    while clock.now < began + 120:
        wanted = [need() for _ in range(16)]
        grant = books.lease("t", wanted)
        good = [server.takes(1) for _ in grant.admitted]
        sent += len(good)
        fates = zip(grant.admitted, good, strict=True)
        books.settle("t", [ended(wanted[number], 0, None if fine else "rate_limited", headers=generous) for number, fine in fates])
        clock.now += grant.wait or 0.01
    assert server.refused <= 0.01 * sent and server.admitted >= 0.97 * 1200


# --- caps in tokens and requests, of the release and of a teacher ---


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()), min_size=1, max_size=80), st.integers(0, 2**32))
def test_every_cap_holds_at_every_moment(moves: list[tuple[int, int, bool]], seed: int) -> None:
    chance = random.Random(seed)
    release = Purse(chance.choice([None, 500]), chance.choice([None, 400]), chance.choice([None, 10]))
    own = {"t": Limits(1000, cost=chance.choice([None, 200]), requests=chance.choice([None, 5])), "u": Limits(1000, tokens=chance.choice([None, 99]))}
    books = Governor(own, release, {}, clock=Clock())
    flying: dict[str, list[Need]] = {"t": [], "u": []}
    used = {"t": Spend(), "u": Spend()}
    for cost, tokens, ends in moves:
        name = chance.choice("tu")
        if ends and flying[name]:
            landed = flying[name].pop()
            part = Spend(landed.worst.cost // 2, landed.worst.tokens // 2, 1)
            used[name] += part
            books.settle(name, [Ended(landed, part)])
        else:
            wanted = Need(Spend(cost, tokens, 1), 1, 1, 0, next(_tickets))
            grant = books.lease(name, [wanted])
            flying[name] += [wanted] if grant.admitted else []
            assert not grant.refused or not flying[name]
        now = {each: used[each] + sum((one.worst for one in flying[each]), Spend()) for each in "tu"}
        for spend, cap in [(now["t"] + now["u"], release), (now["t"], own["t"]), (now["u"], own["u"])]:
            assert cap.cost is None or spend.cost <= cap.cost
            assert cap.tokens is None or spend.tokens <= cap.tokens
            assert cap.requests is None or spend.requests <= cap.requests


def test_a_batch_takes_from_the_same_purse() -> None:
    books = governor(cap=100)
    assert books.take("t", Spend(80)) and not books.take("t", Spend(30))
    assert books.lease("t", [need(30)]).refused == () or books.in_flight() == {"t": 0}
    books.give("t", Spend(80), Spend(10))
    assert books.lease("t", [need(90)]).admitted == (0,) and books.money() == (10, 90)


# --- outages ---


def flood(books: Governor, clock: Clock, seconds: float, fault: FaultKind | None) -> tuple[int, TeacherStopped | None]:
    """Ask as much as is let through; every answer is `fault`. Returns (sent, why it stopped)."""
    began, sent = clock.now, 0
    while clock.now < began + seconds:
        wanted = [need() for _ in range(16)]
        grant = books.lease("t", wanted)
        if grant.stop:
            assert isinstance(grant.stop, TeacherStopped)
            return sent, grant.stop
        sent += len(grant.admitted)
        books.settle("t", [ended(wanted[number], 0, fault) for number in grant.admitted])
        clock.now += grant.wait or 0.05
    return sent, None


@pytest.mark.parametrize("fault", ["transient", "unreachable"])
def test_a_minute_without_service_costs_a_handful_of_probes_and_then_all_goes_on(fault: FaultKind) -> None:
    clock = Clock()
    books = governor(clock, in_flight=16)
    assert flood(books, clock, 1, None)[0] > 100
    sent, stop = flood(books, clock, 60, fault)
    assert stop is None and SILENT <= sent <= SILENT + 16 + 60 / PROBE_MOST + 8
    assert flood(books, clock, PROBE_MOST + 5, None)[0] > 100 and books.trouble() == []


def test_a_probe_is_marked_and_only_one_goes_at_a_time() -> None:
    clock = Clock()
    books = governor(clock, in_flight=16)
    flood(books, clock, 2, "transient")
    assert "out of service" in books.trouble()[0]
    clock.now += PROBE_MOST
    probe = [need() for _ in range(5)]
    grant = books.lease("t", probe)
    assert grant.admitted == grant.probes == (0,) and books.lease("t", [need()]).admitted == ()
    books.settle("t", [ended(probe[0])])
    assert books.lease("t", [need() for _ in range(5)]) == Grant((0, 1, 2, 3, 4))


def test_a_teacher_that_was_never_there_and_one_that_stays_away_are_given_up() -> None:
    clock = Clock()
    _, stop = flood(governor(clock), clock, 120, "unreachable")
    assert stop and "could not be reached once" in str(stop) and clock.now < 1000 + NEVER_THERE + 2 * PROBE_MOST
    books = governor(clock, patience=300)
    flood(books, clock, 1, None)
    began = clock.now
    _, stop = flood(books, clock, 3600, "transient")
    assert stop and "out of service" in str(stop) and 300 <= clock.now - began <= 300 + 2 * PROBE_MOST


def test_what_failed_before_while_others_did_not_is_no_outage_and_is_not_held_up_by_one() -> None:
    """Requests that bring down whoever reads them are left at the end of a build: they must fail at their own pace."""
    clock = Clock()
    books = governor(clock, in_flight=16)
    flood(books, clock, 1, None)
    for tried in range(1, 8):
        poison = [replace(need(), tried=tried) for _ in range(10)]
        grant = books.lease("t", poison)
        assert grant == Grant(tuple(range(10)))
        books.settle("t", [ended(each, 0, "transient") for each in poison])
        clock.now += 1
    assert books.trouble() == []
    flood(books, clock, 1, "transient")
    assert books.trouble() != [] and books.lease("t", [replace(need(), tried=1), replace(need(), tried=3)]).admitted == (0, 1)


def test_random_errors_are_no_outage() -> None:
    for seed in range(20):
        clock, chance = Clock(), random.Random(seed)
        books = governor(clock, in_flight=50)
        for _ in range(2000):
            wanted = [need() for _ in range(10)]
            grant = books.lease("t", wanted)
            assert not grant.probes
            books.settle("t", [ended(wanted[n], 0, "transient" if chance.random() < 0.1 else None) for n in grant.admitted])
            clock.now += 0.01


def test_a_teacher_that_is_only_ever_busy_is_named_and_given_up_after_its_patience() -> None:
    clock = Clock()
    books = governor(clock, patience=60.0)
    for _ in range(120):
        grant = books.lease("t", [need()])
        if grant.stop:
            break
        books.settle("t", [ended(need(), 0, "overloaded") for _ in grant.admitted])
        clock.now += 1.0
        assert (books.trouble() != []) == (clock.now - 1000.0 > 10)
    assert isinstance(grant.stop, TeacherStopped) and "overloaded for 6" in str(grant.stop)


def test_an_answer_now_and_then_is_no_overload_for_ever() -> None:
    clock = Clock()
    books = governor(clock, patience=60.0)
    for second in range(600):
        grant = books.lease("t", [need()])
        assert grant.stop is None
        books.settle("t", [ended(need(), 0, None if second % 50 == 0 else "rate_limited") for _ in grant.admitted])
        clock.now += 1.0


# --- answers that are too bad to go on ---


def test_a_share_of_errors_over_the_window_stops_everybody() -> None:
    books = Governor({"t": Limits(9), "u": Limits(9)}, Purse(), {}, Caution({"refused": 0.2, "truncated": 0.5}, 50), Clock())
    books.judged("t", ["answered"] * 30 + ["refused"] * 9 + ["truncated"] * 10)
    assert books.lease("t", [need()]).stop is None  # only 49 calls
    books.judged("u", ["refused"] * 49)
    assert books.lease("u", [need()]).stop is None
    books.judged("t", ["refused"])
    stop = books.lease("u", [need()]).stop
    assert isinstance(stop, TooManyFailures) and "10 of the last 50 answers of teacher 't' were refused" in str(stop)


def test_a_share_that_is_lower_over_many_is_no_reason_to_stop_when_chance_heaps_them_up() -> None:
    books = Governor({"t": Limits(9)}, Purse(), {}, Caution({"truncated": 0.2}, 50), Clock())
    chance, worst = random.Random(4), 0
    told: list[str] = ["answered"] * 50
    books.judged("t", told)
    for _ in range(20_000):
        told.append("truncated" if chance.random() < 0.13 else "answered")
        books.judged("t", told[-1:])
        worst = max(worst, told[-50:].count("truncated"))
    assert worst >= 12 and books.lease("t", [need()]).stop is None
    books.judged("t", ["truncated"] * 100)
    assert isinstance(books.lease("t", [need()]).stop, TooManyFailures)


def test_a_share_below_the_bound_goes_on_for_ever() -> None:
    books = Governor({"t": Limits(9)}, Purse(), {}, clock=Clock())
    for _ in range(100):
        books.judged("t", ["answered"] * 41 + ["malformed"] * 9)
    assert books.lease("t", [need()]).stop is None
