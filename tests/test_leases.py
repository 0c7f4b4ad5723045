"""The governor of many workers, in virtual time: shares, caps, deaths, and how few messages it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_cluster import Cluster, Teacher, Worker, cluster
from virtual_time import run

from datagen.asking.limits.chief import Chief
from datagen.asking.limits.lanes import Limits
from datagen.asking.limits.leases import LASTS, Lease, Report, Used, shared_out, whole
from datagen.asking.prices import Purse
from datagen.errors import BudgetReached, Interrupted, TeacherStopped
from datagen.records import Spend

WORST = Spend(600, 600, 1)


@given(st.floats(0, 1e6), st.dictionaries(st.text(max_size=3), st.floats(0, 1e6) | st.just(float("inf")), min_size=1, max_size=9))
def test_shares_are_max_min_fair(total: float, wants: Mapping[str, float]) -> None:
    given_ = shared_out(total, wants)
    assert sum(given_.values()) == pytest.approx(total)
    lacking = [name for name in wants if given_[name] < wants[name] - 1e-6 * (1 + total)]
    for name in lacking:
        assert all(given_[name] >= given_[other] - 1e-6 * (1 + total) for other in wants), "one that lacks has less than another"


@given(st.integers(0, 500), st.lists(st.integers(0, 50), min_size=1, max_size=9))
def test_whole_shares_add_up(total: int, ends: list[int]) -> None:
    first = {str(number): end for number, end in enumerate(ends)}
    given_ = whole(shared_out(total, dict.fromkeys(first, 1.0)), total, first)
    assert sum(given_.values()) == total
    assert max(given_.values()) - min(given_.values()) <= 1
    fewest = min(first, key=lambda name: (first[name], name))
    assert given_[fewest] == max(given_.values()), "who was served least comes first"


@pytest.mark.parametrize(("workers", "per_minute", "rows"), [(64, 120_000, 200), (8, 12_000, 500), (1, 3_000, 300)])
def test_a_message_carries_tens_of_requests_and_the_limit_is_used(workers: int, per_minute: int, rows: int) -> None:
    async def main() -> None:
        teacher = Teacher(requests_per_minute=per_minute)
        there = cluster(workers, {"writer": Limits(4096, requests_per_minute=per_minute)}, teacher)
        began = asyncio.get_running_loop().time()
        await _walk_all(there, rows)
        seconds = asyncio.get_running_loop().time() - began
        assert teacher.answered == workers * rows
        assert there.wire.messages <= 0.05 * teacher.answered
        assert teacher.answered / (seconds - 1.5) >= 0.95 * per_minute / 60, "the last answer comes up to 1.5 s after it was asked"
        assert teacher.refused <= 0.01 * teacher.answered

    run(main())


def test_places_are_shared_whatever_the_workers_have_to_do() -> None:
    async def main() -> None:
        teacher = Teacher(latency=(1.0, 1.0))
        there = cluster(4, {"writer": Limits(64)}, teacher)
        rows = (2000, 100, 0, 10)  # the first has nearly all the work, and in the end nearly all the places
        await asyncio.gather(*(worker.walk(each, WORST) for worker, each in zip(there.workers, rows, strict=True)))
        assert teacher.most == 64
        assert asyncio.get_running_loop().time() - 1000.0 < 2110 / 64 + 6
        await _close(there)

    run(main())


@settings(max_examples=5, deadline=None)
@given(st.integers(1, 9), st.integers(1, 400), st.integers(0, 10_000), st.booleans())
def test_a_cap_is_never_passed_and_used_up_to_the_last_request_that_fits(workers: int, fits: int, seed: int, per_teacher: bool) -> None:
    async def main() -> None:
        cap = fits * WORST.cost + WORST.cost // 2
        limits = Limits(100, cost=cap) if per_teacher else Limits(100)
        there = cluster(workers, {"writer": limits}, Teacher(), Purse() if per_teacher else Purse(cost=cap), seed=seed)
        watching = asyncio.ensure_future(_never_above(there, cap))
        await asyncio.gather(*(worker.walk(200, WORST) for worker in there.workers))
        spent = there.spend()
        if any(worker.turned_away for worker in there.workers):
            assert cap - spent.cost < WORST.cost, "one more would have fitted"
            assert all(isinstance(worker.failure, BudgetReached) for worker in there.workers if worker.turned_away)
        assert spent.cost <= cap
        watching.cancel()
        await _close(there)

    run(main())


def test_two_teachers_share_the_cap_of_the_release() -> None:
    async def main() -> None:
        cap = 100 * WORST.cost
        there = cluster(4, {"writer": Limits(50), "grader": Limits(50, requests=30)}, Teacher(), Purse(cost=cap))
        await asyncio.gather(
            *(worker.walk(60, WORST, "writer") for worker in there.workers), *(worker.walk(60, WORST, "grader") for worker in there.workers)
        )
        spent = there.spend()
        assert cap - WORST.cost < spent.cost <= cap
        assert sum(worker.deputy._lanes["grader"].purse.settled.requests for worker in there.workers) <= 30
        await _close(there)

    run(main())


def test_what_one_gives_back_another_has_at_once() -> None:
    async def main() -> None:
        there = cluster(2, {"writer": Limits(100)}, Teacher(latency=(1.0, 1.0)))
        few, many = there.workers
        walking = asyncio.ensure_future(many.walk(2000, WORST))
        await few.walk(530, WORST)
        done = asyncio.get_running_loop().time()
        while many.deputy._lanes["writer"].in_flight < 100:
            await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() - done <= 0.1, "nobody told it: it was waiting for its own next report"
        await walking
        await _close(there)

    run(main())


def test_what_a_dead_worker_held_is_lent_again_within_five_seconds() -> None:
    async def main() -> None:
        teacher = Teacher(latency=(1.0, 1.0), requests_per_minute=6000)
        there = cluster(8, {"writer": Limits(80, requests_per_minute=6000)}, teacher)
        walking = [asyncio.ensure_future(worker.walk(1500, WORST)) for worker in there.workers]
        await asyncio.sleep(20)
        for worker, walk in zip(there.workers[:4], walking[:4], strict=True):
            _kill(worker, walk)
        died = asyncio.get_running_loop().time()
        while sum(int(worker.deputy._lanes["writer"].window) for worker in there.workers[4:]) < 80:
            await asyncio.sleep(0.1)
        assert asyncio.get_running_loop().time() - died <= 5.0, "nobody told the governor: the leases ran out"
        await asyncio.sleep(10)
        assert sum(flow.share for worker in there.workers[4:] for flow in worker.deputy._flows.values()) == pytest.approx(1.0, abs=0.02)
        for walk in walking[4:]:
            walk.cancel()
        await asyncio.gather(*walking, return_exceptions=True)

    run(main())


def test_a_worker_that_cannot_reach_the_governor_stops_when_its_lease_runs_out() -> None:
    async def main() -> None:
        there = cluster(2, {"writer": Limits(20)}, Teacher(latency=(0.2, 0.2)))
        lost = there.workers[0]
        walking = [asyncio.ensure_future(worker.walk(1500, WORST)) for worker in there.workers]
        await asyncio.sleep(10)
        lost.deputy._lender = _Silence()
        cut = asyncio.get_running_loop().time()
        await asyncio.sleep(30)
        assert cut < lost.last <= cut + LASTS
        assert int(there.workers[1].deputy._lanes["writer"].window) == 20
        for walk in walking:
            walk.cancel()
        await asyncio.gather(*walking, return_exceptions=True)

    run(main())


def test_one_taken_for_dead_that_comes_back_is_sent_away() -> None:
    async def main() -> None:
        there = cluster(2, {"writer": Limits(20)}, Teacher())
        walking = [asyncio.ensure_future(worker.walk(1_000, WORST)) for worker in there.workers]
        await asyncio.sleep(10)
        there.chief.bury("0", {})
        await asyncio.gather(*walking)
        assert isinstance(there.workers[0].failure, Interrupted)
        assert there.workers[1].done == 1_000
        await _close(there)

    run(main())


@settings(max_examples=5, deadline=None)
@given(st.integers(2, 6), st.integers(0, 10_000), st.floats(0.1, 8.0), st.booleans())
def test_a_cap_holds_over_the_death_of_a_worker_and_of_the_governor(workers: int, seed: int, moment: float, known: bool) -> None:
    """`known`: the ledger of the dead worker can be read; else all that was lent to it counts as spent."""

    async def main() -> None:
        cap = 300 * WORST.cost
        limits = {"writer": Limits(60)}
        there = cluster(workers, limits, Teacher(), Purse(cost=cap), seed=seed)
        watching = asyncio.ensure_future(_never_above(there, cap))
        walking = [asyncio.ensure_future(worker.walk(150, WORST)) for worker in there.workers]
        await asyncio.sleep(moment)
        dead = there.workers[0]
        _kill(dead, walking[0])
        lane = dead.deputy._lanes["writer"]
        in_ledger = lane.purse.settled + lane.purse.reserved
        there.wire.chief = None
        await asyncio.sleep(moment / 2)
        committed = {"writer": in_ledger} if known else {}
        alive = [worker.name for worker in there.workers[1:]]
        there.wire.chief = Chief(limits, Purse(cost=cap), committed, clock=asyncio.get_running_loop().time, holders=alive if known else [*alive, "0"])
        if not known:
            there.wire.chief._lend(there.wire.chief._lanes["writer"], there.wire.chief._members["0"], dead.deputy._notes["writer"].ceiling)
            there.wire.chief.bury("0", None)
        await asyncio.gather(*walking, return_exceptions=True)
        spent = there.spend().cost
        assert spent <= cap
        if known and any(worker.turned_away for worker in there.workers):
            assert cap - spent < WORST.cost
        watching.cancel()
        await _close(there, 1)

    run(main())


def test_limits_hold_over_the_death_of_the_governor() -> None:
    async def main() -> None:
        teacher = Teacher(latency=(1.0, 1.0), requests_per_minute=6000)
        limits = {"writer": Limits(80, requests_per_minute=6000)}
        there = cluster(8, limits, teacher)
        walking = [asyncio.ensure_future(worker.walk(1500, WORST)) for worker in there.workers]
        await asyncio.sleep(20)
        there.wire.chief = None
        await asyncio.sleep(1)
        there.wire.chief = Chief(limits, Purse(), {}, clock=asyncio.get_running_loop().time, holders=map(str, range(8)))
        answered = teacher.answered
        await asyncio.sleep(20)
        assert teacher.most <= 80
        assert teacher.answered - answered >= 0.9 * 20 * 80, "leases of the dead governor were good until the new one renewed them"
        assert teacher.refused <= 0.01 * teacher.answered
        for walk in walking:
            walk.cancel()
        await asyncio.gather(*walking, return_exceptions=True)

    run(main())


def test_an_outage_is_probed_by_one_worker_at_a_time() -> None:
    async def main() -> None:
        teacher = Teacher(latency=(0.5, 0.5))
        there = cluster(8, {"writer": Limits(64)}, teacher)
        sent = _count_sent(there.workers)
        walking = [asyncio.ensure_future(worker.walk(1000, WORST)) for worker in there.workers]
        await asyncio.sleep(10)
        teacher.down = True
        await asyncio.sleep(10)
        before = sent()
        await asyncio.sleep(50)
        assert sent() - before <= 8, "probes come every 15 s in the end"
        assert any("out of service" in words for words in there.chief.trouble())
        teacher.down = False
        await asyncio.gather(*walking)
        assert teacher.answered == 8000
        await _close(there)

    run(main())


def test_a_teacher_that_stays_away_stops_every_worker() -> None:
    async def main() -> None:
        teacher = Teacher()
        there = cluster(4, {"writer": Limits(64, patience=60)}, teacher)
        walking = [asyncio.ensure_future(worker.walk(2000, WORST)) for worker in there.workers]
        await asyncio.sleep(10)
        teacher.down = True
        await asyncio.gather(*walking)
        assert all(isinstance(worker.failure, TeacherStopped) for worker in there.workers)
        await _close(there)

    run(main())


def test_a_worker_that_is_told_to_stop_goes_on_reporting_while_answers_land() -> None:
    """Who is silent is taken for dead and ended, with what is in flight."""

    async def main() -> None:
        there = cluster(2, {"writer": Limits(20)}, Teacher(latency=(60.0, 60.0)))
        walking = [asyncio.ensure_future(worker.walk(30, WORST)) for worker in there.workers]
        await asyncio.sleep(5)
        there.chief._stop = TeacherStopped("no permission")
        await asyncio.sleep(5)
        before = there.chief.reports()
        await asyncio.sleep(40)
        assert all(number >= before[name] + 15 for name, number in there.chief.reports().items())
        await asyncio.gather(*walking)
        assert sum(worker.done for worker in there.workers) == 20, "what was in flight has landed"
        await _close(there)

    run(main())


def test_a_lost_report_is_no_harm() -> None:
    chief = Chief({"writer": Limits(10, cost=10_000)}, Purse(), {}, clock=lambda: 0.0)
    used = Used(in_flight=2, reserved=Spend(200, 2, 2), ceiling=Spend(1000, 10, 10), slots=5, waiting=3, dearest=Spend(100, 1, 1), sent=2)
    first = chief.exchange(Report("a", {"writer": used}, {}, {}))
    again = chief.exchange(Report("a", {"writer": used}, {}, {}))
    assert again.places["writer"].ceiling == first.places["writer"].ceiling
    assert chief.money() == (0, 200)


async def _walk_all(there: Cluster, rows: int) -> None:
    await asyncio.gather(*(worker.walk(rows, WORST) for worker in there.workers))
    await _close(there)


async def _close(there: Cluster, first: int = 0) -> None:
    for worker in there.workers[first:]:
        await worker.deputy.close()


async def _never_above(there: Cluster, cap: int) -> None:
    while True:
        assert there.spend().cost <= cap
        await asyncio.sleep(0.05)


def _kill(worker: Worker, walk: asyncio.Future[None]) -> None:
    """As kill -9 does it: nothing is settled and nothing said any more."""
    worker.gate.settle = lambda *_: None  # type: ignore[method-assign]
    if worker.deputy._loop:
        worker.deputy._loop.cancel()
    walk.cancel()


def _count_sent(workers: list[Worker]) -> _Counter:
    counter = _Counter()
    for worker in workers:
        worker.teacher = _Counting(counter, worker.teacher)  # type: ignore[assignment]
    return counter


class _Counter:
    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> int:
        return self.number


class _Counting:
    def __init__(self, counter: _Counter, teacher: Teacher) -> None:
        self._counter, self._teacher = counter, teacher

    async def answer(self, chance: object) -> object:
        self._counter.number += 1
        return await self._teacher.answer(chance)  # type: ignore[arg-type]


class _Silence:
    async def exchange(self, report: Report) -> Lease:
        """No answer, ever."""
        return await asyncio.get_running_loop().create_future()
