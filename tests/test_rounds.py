"""Rounds of paid batches against scripted providers and the simulator: nothing twice, nothing lost, and the money right."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from batch_driver import INSTANTS
from batch_killing import die_anywhere, die_at, finish, judge
from batch_provider import Handed, Provider
from batching import desk, request, requests, teacher
from killing import standing_simulator
from wire_server import Reply, Seen

from datagen.asking.batches.spool import unreadable
from datagen.asking.ledger.book import Ledger
from datagen.asking.limits.governor import Governor
from datagen.asking.limits.lanes import Limits
from datagen.asking.prices import Purse
from datagen.asking.rounds import Rounds
from datagen.asking.teachers.base import custom_id
from datagen.errors import BudgetReached, DatagenError, Interrupted, TeacherPaused, TeacherStopped, TooManyFailures, Waiting
from datagen.records import Outcome, Request, Spend

PROVIDERS = ["anthropic", "openai"]


@dataclass
class Run:
    """What one run of rounds left."""

    ledger: Ledger
    rounds: Rounds
    error: DatagenError | None = None
    given: list[Any] = field(default_factory=list)

    def answered(self) -> int:
        return self.rounds.report.outcomes.get("writer", Counter())[Outcome.ANSWERED]


def run(
    provider: Provider,
    folder: Path,
    wanted: Sequence[tuple[str, Request]],
    *,
    wait: bool = True,
    books: Any = None,
    attempts: int = 3,
    patience: float = 5.0,
    clock: Callable[[], float] | None = None,
    during: Callable[[Rounds], Any] | None = None,
    **terms: Any,
) -> Run:
    """One process's worth of a round."""

    async def go() -> Run:
        async with provider.server() as server:
            asked = teacher(provider.wire, server.url)
            ledger = Ledger(folder, "b/1")
            more = {"clock": clock} if clock else {}
            rounds = Rounds(ledger, {"writer": desk(provider.wire, asked, attempts=attempts, patience=patience, **terms)}, books, **more)
            done = Run(ledger, rounds)
            meanwhile = asyncio.ensure_future(during(rounds)) if during else None
            try:
                await asyncio.wait_for(rounds.run(wanted, wait=wait), 20)
            except DatagenError as error:
                done.error = error
            finally:
                if meanwhile:
                    await meanwhile
                await asked.close()
                ledger.close()
            return done

    return asyncio.run(go())


def recorded(folder: Path) -> set[str]:
    """Keys with an answer, by a ledger opened anew."""
    ledger = Ledger(folder, "")
    keys = {key for _, each in requests("openai", 200) + requests("anthropic", 200) if (key := each.key) in ledger}
    ledger.close()
    return keys


def keys(wanted: Sequence[tuple[str, Request]]) -> set[str]:
    return {request.key for _, request in wanted}


def standing(folder: Path) -> list[Any]:
    ledger = Ledger(folder, "")
    found = ledger.standing()
    ledger.close()
    return found


def accounts(folder: Path) -> Any:
    ledger = Ledger(folder, "")
    found = ledger.accounts["b/1"]["writer"]
    ledger.close()
    return found


def spools(folder: Path) -> list[Path]:
    return list((folder / "batches").iterdir())


# -- kill -9 --------------------------------------------------------------------------------------------------------------------------

SIMULATED = (
    "name: killed\nseeds: {{problems: {{families: all, count: 9, seed: 3}}}}\nrehearsal: {{batches: {{seconds: 0.2, listing: 0.1, {more}}}}}\n"
)


@pytest.mark.parametrize(("provider", "instants"), [("openai", INSTANTS), ("anthropic", ("intended", "accepted", "record", "over"))])
def test_killed_at_every_instant_nothing_is_submitted_twice(provider: str, instants: Sequence[str], tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SIMULATED.format(more="validation: 0"))
    with standing_simulator(tmp_path / "s.yaml") as url:
        for instant in instants:
            die_at(url, provider, tmp_path / "ledger", instant, 3 if instant.startswith("record") else 1)
        finish(url, provider, tmp_path / "ledger")
        judge(url, provider, tmp_path / "ledger")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_killed_at_random_moments_while_replies_are_lost(provider: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SIMULATED.format(more="lost: 0.3"))
    with standing_simulator(tmp_path / "s.yaml") as url:
        die_anywhere(url, provider, tmp_path / "ledger", kills=2, longest=1.2, seed=5)
        finish(url, provider, tmp_path / "ledger")
        judge(url, provider, tmp_path / "ledger")


# -- splits ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_round_is_cut_in_key_order_and_repeated_requests_go_once(provider: str, tmp_path: Path) -> None:
    wanted = requests(provider, 25)
    sides = Provider(provider)
    done = run(sides, tmp_path, [*wanted, *wanted[:7]], requests=10)
    order = [custom_id(key, 0) for key in sorted(keys(wanted))]
    assert sorted(sides.submissions, key=lambda names: order.index(names[0])) == [order[:10], order[10:20], order[20:]]
    assert done.error is None and done.answered() == 25 and recorded(tmp_path) == keys(wanted)
    assert not spools(tmp_path) and not standing(tmp_path)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_job_is_no_larger_than_the_spec_allows(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider)
    run(sides, tmp_path, requests(provider, 20), megabytes=0.001)
    assert len(sides.submissions) > 2 and sum(map(len, sides.submissions)) == 20


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_recorded_is_not_asked_and_jobs_at_once_are_bounded(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider)
    run(sides, tmp_path, requests(provider, 10))
    most = 0

    def made(job: Handed) -> None:
        nonlocal most
        job.state = "running"
        running = [each for each in sides.jobs if each.state == "running"]
        most = max(most, len(running) + 1)

    async def release(rounds: Rounds) -> None:
        while len(sides.jobs) < 1 + 6 or any(job.state == "running" for job in sides.jobs):
            await asyncio.sleep(0.05)
            for job in sides.jobs:
                job.state = "ended"

    sides.made = made
    done = run(sides, tmp_path, requests(provider, 40), requests=5, at_once=2, during=release)
    assert most == 2 and done.answered() == 30 and sum(map(len, sides.submissions)) == 40


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_request_without_a_form_is_rejected_alone(provider: str, tmp_path: Path) -> None:
    odd = ("writer", request(provider, 1, messages=(("user", "half a pair: \ud800"),)))
    sides = Provider(provider)
    done = run(sides, tmp_path, [*requests(provider, 3), odd])
    assert done.rounds.report.outcomes["writer"] == {Outcome.ANSWERED: 3, Outcome.REJECTED: 1} and len(sides.submissions) == 1


# -- results --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
def test_partial_results_are_taken_and_only_what_is_missing_goes_again(provider: str, tmp_path: Path) -> None:
    def results(job: Handed, number: int) -> list[bytes]:
        return [sides.good(name) for name in job.names[: len(job.names) // 2 if job.number == 0 else None]]

    sides = Provider(provider, made=lambda job: setattr(job, "state", "expired" if job.number == 0 else "ended"), results=results)
    done = run(sides, tmp_path, requests(provider, 10))
    assert [len(names) for names in sides.submissions] == [10, 5] and set(sides.submissions[1]) == set(sides.submissions[0][5:])
    assert done.answered() == 10 and "5 results are missing" in " ".join(done.rounds.report.notes)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_duplicate_unknown_and_missing_ids(provider: str, tmp_path: Path) -> None:
    stranger = custom_id("k1:" + "0" * 32, 0)

    def results(job: Handed, number: int) -> list[bytes]:
        first, *rest = job.names
        if job.number:
            return [sides.good(name) for name in job.names]
        return [
            sides.good(first, "first"),
            sides.good(first, "second"),
            sides.good(stranger),
            sides.good("x" * 500),
            b"{}",
            *map(sides.good, rest[1:]),
        ]

    sides = Provider(provider, results=results)
    done = run(sides, tmp_path, requests(provider, 5))
    notes = " ".join(done.rounds.report.notes)
    assert "1 results came twice" in notes and "3 results have custom ids that are none of its own" in notes and stranger in notes
    assert "1 results are missing" in notes and len(sides.submissions[1]) == 1 and len(notes) < 1_000
    ledger = Ledger(tmp_path, "")
    (first,) = [each for _, each in requests(provider, 5) if custom_id(each.key, 0) == sides.submissions[0][0]]
    answer = ledger.get(first.key)
    assert answer and answer.text == "first"
    # the missing one may have been billed: its worst case stays counted
    account = ledger.accounts["b/1"]["writer"]
    assert account.answered.requests == 5 and account.possible.requests == 1 and not account.open
    ledger.close()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_bad_requests_are_rejected_and_failing_ones_given_up_after_their_attempts(provider: str, tmp_path: Path) -> None:
    def results(job: Handed, number: int) -> list[bytes]:
        return [sides.bad(name, 400) if name == order[0] else sides.bad(name, 500) if name == order[1] else sides.good(name) for name in job.names]

    wanted = requests(provider, 4)
    order = [custom_id(key, 0) for key in sorted(keys(wanted))]
    sides = Provider(provider, results=results)
    done = run(sides, tmp_path, wanted, attempts=3)
    assert sides.submissions == [order, [order[1]], [order[1]]]
    assert done.rounds.report.outcomes["writer"] == {Outcome.ANSWERED: 2, Outcome.REJECTED: 1, Outcome.FAILED: 1}
    assert list(done.rounds.report.failed) == [sorted(keys(wanted))[1]]
    again = run(sides, tmp_path, wanted, attempts=1)  # by the next run: what failed, and nothing else
    assert sides.submissions[3:] == [[order[1]]] and len(again.rounds.report.failed) == 1
    ledger = Ledger(tmp_path, "")
    assert ledger.accounts["b/1"]["writer"].committed.requests == 2, "errors are not billed"
    ledger.close()


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("place", [0, 3])
def test_one_result_that_says_stop_among_good_ones_is_that_requests_own(provider: str, status: int, place: int, tmp_path: Path) -> None:
    wanted = requests(provider, 4)
    odd = custom_id(sorted(keys(wanted))[place], 0)
    sides = Provider(provider, results=lambda job, number: [sides.bad(name, status) if name == odd else sides.good(name) for name in job.names])
    done = run(sides, tmp_path, wanted)
    assert done.error is None and done.rounds.report.outcomes["writer"] == {Outcome.ANSWERED: 3, Outcome.REJECTED: 1}
    assert run(sides, tmp_path, wanted).error is None and len(sides.submissions) == 1, "it would end every run"
    assert accounts(tmp_path).committed.requests == 3 and not standing(tmp_path)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_job_of_which_every_result_says_stop_ends_the_run(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider, results=lambda job, number: [sides.bad(name, 404) for name in job.names])
    done = run(sides, tmp_path, requests(provider, 4))
    assert type(done.error) is TeacherStopped and not recorded(tmp_path) and not standing(tmp_path) and len(sides.submissions) == 1
    sides.results = None
    assert run(sides, tmp_path, requests(provider, 4)).answered() == 4


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_result_that_says_stop_is_judged_when_all_have_come(provider: str, tmp_path: Path) -> None:
    def results(job: Handed, number: int) -> list[bytes] | Reply:
        lines = [sides.bad(job.names[0], 404), *map(sides.good, job.names[1:])]
        return Reply(b"\n".join(lines), how="half") if number < 2 else lines

    sides = Provider(provider, results=results)
    done = run(sides, tmp_path, requests(provider, 100))
    assert done.error is None and done.rounds.report.outcomes["writer"] == {Outcome.ANSWERED: 99, Outcome.REJECTED: 1}


def test_a_line_without_a_status_is_read_or_asked_again(tmp_path: Path) -> None:
    def results(job: Handed, number: int) -> list[bytes]:
        lines = [sides.good(name).replace(b'"status_code": 200, ', b"") for name in job.names]
        if job.number == 0:
            lines[0] = json.dumps({"custom_id": job.names[0], "response": {"body": {"odd": 1}}}).encode()
            lines[1] = json.dumps({"custom_id": job.names[1], "response": {"request_id": "r"}}).encode()
        return lines

    sides = Provider("openai", results=results)
    done = run(sides, tmp_path, requests("openai", 5))
    assert done.error is None and done.answered() == 5 and [len(names) for names in sides.submissions] == [5, 2]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_harvest_that_breaks_off_is_begun_again(provider: str, tmp_path: Path) -> None:
    def results(job: Handed, number: int) -> list[bytes] | Reply:
        lines = [sides.good(name) for name in job.names]
        return Reply(b"\n".join(lines), how="half") if number < 2 else lines

    sides = Provider(provider, results=results)
    done = run(sides, tmp_path, requests(provider, 100))
    assert len(sides.submissions) == 1 and done.answered() == 100 and not done.rounds.report.notes
    ledger = Ledger(tmp_path, "")
    assert ledger.accounts["b/1"]["writer"].committed.requests == 100, "an answer was counted twice"
    ledger.close()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_results_that_are_gone_are_asked_again(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider)
    sides.results = lambda job, number: [sides.good(name) for name in job.names] if job.number else Reply(b"{}", 404)
    done = run(sides, tmp_path, requests(provider, 3))
    assert [len(names) for names in sides.submissions] == [3, 3] and "no longer has its results" in " ".join(done.rounds.report.notes)
    assert accounts(tmp_path).possible.requests == 3 and accounts(tmp_path).answered.requests == 3, "what was made and is gone was billed"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [404, 500, 503])
@pytest.mark.parametrize("wait", [True, False])
def test_results_that_come_a_moment_later_are_not_paid_again(provider: str, status: int, wait: bool, tmp_path: Path) -> None:
    """The server that is asked for them may not have heard that the job has ended."""
    sides = Provider(provider)
    sides.results = lambda job, number: Reply(b"{}", status) if number < 4 else [sides.good(name) for name in job.names]
    done = run(sides, tmp_path, requests(provider, 3), wait=wait, settling=5.0)
    while isinstance(done.error, Waiting):
        done = run(sides, tmp_path, requests(provider, 3), wait=wait, settling=5.0)
    assert done.error is None and len(sides.submissions) == 1 and recorded(tmp_path) == keys(requests(provider, 3))
    assert accounts(tmp_path).possible == Spend()


def test_a_lost_job_whose_results_come_a_moment_later_is_found(tmp_path: Path) -> None:
    sides = Provider("anthropic", taking=lambda number, names: "takes silently")
    sides.results = lambda job, number: Reply(b"{}", 404) if number < 3 else [sides.good(name) for name in job.names]
    done = run(sides, tmp_path, requests("anthropic", 3), settling=2.0)
    assert done.error is None and len(sides.submissions) == 1 and done.answered() == 3


# -- lost replies ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("hidden", [0, 4])
def test_a_job_whose_acceptance_was_not_heard_is_found_and_not_submitted_again(provider: str, hidden: int, tmp_path: Path) -> None:
    sides = Provider(provider, taking=lambda number, names: "takes silently", made=lambda job: setattr(job, "hidden", hidden))
    done = run(sides, tmp_path, requests(provider, 20), requests=10, settling=1.0)
    assert len(sides.submissions) == 2 and done.answered() == 20
    assert (done.rounds.report.adopted, done.rounds.report.lost) == (2, 0)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_submission_that_never_arrived_goes_again_after_the_settling_time(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider, taking=lambda number, names: "drops" if number == 0 else "takes")
    done = run(sides, tmp_path, requests(provider, 20), settling=0.2)
    assert len(sides.submissions) == 2 and sides.submissions[0] == sides.submissions[1] and done.rounds.report.lost == 1
    assert done.answered() == 20 and not standing(tmp_path)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_clock_that_stands_still_or_jumps_changes_nothing(provider: str, tmp_path: Path) -> None:
    """Not even one that is off by years in either direction: what is compared is the provider's own time."""
    for number, now in enumerate([0.0, 4e9]):
        sides = Provider(provider, taking=lambda number, names: ("drops", "takes silently", "takes")[number % 3])
        done = run(sides, tmp_path / str(number), requests(provider, 10), settling=0.2, clock=lambda now=now: now)
        assert len(sides.submissions) == 2 and (done.rounds.report.lost, done.rounds.report.adopted) == (1, 1), now


def test_of_several_candidates_the_results_tell_which_is_ours(tmp_path: Path) -> None:
    """Anthropic: others of the account have jobs of the same size; one ended, one running, one from before."""
    sides = Provider("anthropic", taking=lambda number, names: "takes silently")
    foreign = [custom_id(f"k1:{number:032x}", 0) for number in range(10)]
    sides.jobs = [Handed(0, foreign, "", created=1_789_000_000), Handed(1, foreign, "", "running")]

    def made(job: Handed) -> None:
        job.state = "running"
        sides.jobs.append(Handed(9, foreign, ""))

    sides.made = made

    async def release(rounds: Rounds) -> None:
        await asyncio.sleep(0.6)  # beyond the settling time: while a candidate runs, it may be ours
        assert len(sides.submissions) == 1
        sides.jobs[-1].state = "ended"

    done = run(sides, tmp_path, requests("anthropic", 10), during=release)
    assert len(sides.submissions) == 1 and done.answered() == 10 and done.rounds.report.adopted == 1


def test_an_own_job_of_before_is_not_taken_for_a_lost_one(tmp_path: Path) -> None:
    """Anthropic: it expired whole, its requests went again, and that reply was lost: both jobs name the same requests."""
    sides = Provider("anthropic", taking=lambda number, names: "takes silently" if number == 1 else "takes")
    sides.results = lambda job, number: [sides.good(name) for name in job.names] if job.number else []
    done = run(sides, tmp_path, requests("anthropic", 10), settling=0.2)
    assert len(sides.submissions) == 2 and done.answered() == 10 and done.rounds.report.adopted == 1


def test_where_jobs_carry_no_tag_one_unresolved_intent_holds_up_the_next(tmp_path: Path) -> None:
    sides = Provider("anthropic", taking=lambda number, names: "takes silently" if number == 0 else "takes")
    unresolved: list[int] = []

    def made(job: Handed) -> None:
        job.hidden = 6
        unresolved.append(len(sides.read))

    sides.made = made
    run(sides, tmp_path, requests("anthropic", 30), requests=10, settling=1.0)
    assert unresolved[1] >= 1, "the second was submitted before the first was proved"
    assert len(sides.submissions) == 3


# -- refusals -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [429, 529])
def test_waiting_is_no_attempt(provider: str, status: int, tmp_path: Path) -> None:
    busy = Reply(b"{}", status, {"retry-after": "0.01"})
    sides = Provider(provider, taking=lambda number, names: busy if number < 5 else "takes")
    done = run(sides, tmp_path, requests(provider, 3), attempts=1)
    assert done.error is None and len(sides.submissions) == 6 and done.rounds.report.jobs == 1


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("status", "kind"), [(402, TeacherPaused), (401, TeacherStopped)])
def test_money_and_keys_end_the_run_with_nothing_reserved(provider: str, status: int, kind: type[DatagenError], tmp_path: Path) -> None:
    sides = Provider(provider, taking=lambda number, names: Reply(b"{}", status))
    done = run(sides, tmp_path, requests(provider, 3))
    assert type(done.error) is kind and len(sides.submissions) == 1 and not standing(tmp_path) and not spools(tmp_path)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_one_bad_request_does_not_hold_up_a_job(provider: str, tmp_path: Path) -> None:
    wanted = requests(provider, 16)
    bad = custom_id(min(keys(wanted)), 0)
    refusal = Reply(b'{"error": {"message": "bad"}}', 400)
    sides = Provider(provider, taking=lambda number, names: refusal if bad in names else "takes")
    done = run(sides, tmp_path, wanted)
    assert done.rounds.report.outcomes["writer"] == {Outcome.ANSWERED: 15, Outcome.REJECTED: 1} and done.error is None
    assert sum(bad in names for names in sides.submissions) == 5, "halved, not taken one by one"


def test_a_provider_that_refuses_everything_ends_the_run(tmp_path: Path) -> None:
    sides = Provider("anthropic", taking=lambda number, names: Reply(b"{}", 400))
    done = run(sides, tmp_path, requests("anthropic", 200))
    assert isinstance(done.error, TeacherStopped) and len(sides.submissions) == 5 and not done.rounds.report.outcomes


UNSUPPORTED = Reply(b'{"error": {"message": "The model m is not supported by the batch API"}}', 400)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("count", [2, 3, 5, 100])
def test_a_teacher_whose_batch_api_takes_no_job_rejects_no_row(provider: str, count: int, tmp_path: Path) -> None:
    sides = Provider(provider, taking=lambda number, names: UNSUPPORTED)
    for terms in ({}, {"requests": 20}):
        done = run(sides, tmp_path, requests(provider, count), **terms)
        assert type(done.error) is TeacherStopped and "is not supported" in str(done.error) and "mode: online" in str(done.error)
        assert not done.rounds.report.outcomes and not recorded(tmp_path) and not standing(tmp_path)
    assert len(sides.submissions) < 30, "eight at once, and a few more"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("places", [(0, 1), (0, 15), (7, 8), (0, 2), (12,)])
def test_two_bad_requests_are_no_reason_to_refuse_the_teacher(provider: str, places: tuple[int, ...], tmp_path: Path) -> None:
    wanted = requests(provider, 16)
    order = [custom_id(key, 0) for key in sorted(keys(wanted))]
    bad = {order[place] for place in places}
    sides = Provider(provider, taking=lambda number, names: UNSUPPORTED if bad & set(names) else "takes")
    done = run(sides, tmp_path, wanted)
    outcomes = {Outcome.ANSWERED: 16 - len(bad), Outcome.REJECTED: len(bad)}
    assert done.error is None and done.rounds.report.outcomes["writer"] == outcomes


def test_the_only_request_may_be_at_fault(tmp_path: Path) -> None:
    sides = Provider("openai", taking=lambda number, names: UNSUPPORTED)
    done = run(sides, tmp_path, requests("openai", 1))
    assert done.error is None and done.rounds.report.outcomes["writer"] == {Outcome.REJECTED: 1}


def test_a_refusal_that_names_a_request_is_about_requests(tmp_path: Path) -> None:
    sides = Provider("anthropic", taking=lambda number, names: Reply(b'{"error": {"message": "requests.0.params: bad"}}', 400))
    done = run(sides, tmp_path, requests("anthropic", 3))
    assert done.error is None and done.rounds.report.outcomes["writer"] == {Outcome.REJECTED: 3}


def test_jobs_that_fail_validation_go_again_but_not_for_ever(tmp_path: Path) -> None:
    sides = Provider("openai", made=lambda job: setattr(job, "state", "model_not_found" if job.number < 2 else "ended"))
    assert run(sides, tmp_path / "a", requests("openai", 5)).answered() == 5
    sides = Provider("openai", made=lambda job: setattr(job, "state", "model_not_found"))
    done = run(sides, tmp_path / "b", requests("openai", 5))
    assert isinstance(done.error, TeacherStopped) and "model_not_found" in str(done.error) and len(sides.submissions) == 3


def test_a_request_that_fails_validation_is_rejected_alone(tmp_path: Path) -> None:
    wanted = requests("openai", 6)
    bad = custom_id(sorted(keys(wanted))[3], 0)

    def made(job: Handed) -> None:
        job.state, job.bad = ("invalid_request", (job.names.index(bad) + 1,)) if bad in job.names else ("ended", ())

    sides = Provider("openai", made=made)
    done = run(sides, tmp_path, wanted)
    assert done.error is None and [len(names) for names in sides.submissions] == [6, 5]
    assert done.rounds.report.outcomes["writer"] == {Outcome.ANSWERED: 5, Outcome.REJECTED: 1} and not standing(tmp_path)
    assert accounts(tmp_path).open == {}


def test_a_complete_job_without_results_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    sides = Provider("openai", made=lambda job: setattr(job, "state", "bare" if job.number == 0 else "ended"))
    done = run(sides, tmp_path, requests("openai", 3), settling=0.2)
    assert done.error is None and done.answered() == 3 and "3 results are missing" in " ".join(done.rounds.report.notes)
    assert accounts(tmp_path).possible.requests == 3, "a complete job may have been billed"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("word", ["canceled", "cancelled", "aborted"])
def test_a_cancelled_job_has_ended_however_it_is_spelt(provider: str, word: str, tmp_path: Path) -> None:
    sides = Provider(provider, made=lambda job: setattr(job, "state", "ended" if job.number else word))
    sides.results = lambda job, number: [sides.good(name) for name in job.names[job.number == 0 :]]
    done = run(sides, tmp_path, requests(provider, 3))
    assert done.error is None and done.answered() == 3 and [len(names) for names in sides.submissions] == [3, 1]
    assert accounts(tmp_path).possible == Spend(), "what it never began is not billed"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_status_that_nobody_knows_is_named_and_ends_after_a_day(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider, made=lambda job: setattr(job, "state", "ended" if job.number else "paused"))
    sides.results = lambda job, number: [sides.good(name) for name in job.names] if job.number else Reply(b"{}", 404)
    wanted = requests(provider, 3)
    run(sides, tmp_path, wanted, wait=False, clock=lambda: 1_000.0)
    done = run(sides, tmp_path, wanted, wait=False, clock=lambda: 1_000.0 + 3_600)
    assert isinstance(done.error, Waiting) and "a status that is not known: 'paused'" in str(done.error)
    assert len(sides.submissions) == 1
    done = run(sides, tmp_path, wanted, clock=lambda: 1_000.0 + 90_000, settling=0.2)
    assert done.error is None and done.answered() == 3 and "'paused' for longer than a batch lasts" in " ".join(done.rounds.report.notes)
    assert accounts(tmp_path).possible.requests == 3, "it may have been billed"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_submissions_that_never_arrive_are_given_up_after_their_attempts(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider, taking=lambda number, names: Reply(b"{}", 500))
    done = run(sides, tmp_path, requests(provider, 3), attempts=3, settling=0.1)
    assert isinstance(done.error, TeacherStopped) and "3 batches in a row got no reply" in str(done.error) and len(sides.submissions) == 3


@pytest.mark.parametrize("provider", PROVIDERS)
def test_one_teacher_that_asks_to_wait_does_not_hold_up_another(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider, taking=lambda number, names: Reply(b"{}", 429, {"retry-after": "600"}) if len(names) == 2 else "takes")

    async def go() -> tuple[Rounds, Ledger]:
        async with sides.server() as server:
            ledger, asked = Ledger(tmp_path, "b/1"), teacher(provider, server.url)
            rounds = Rounds(ledger, {"slow": desk(provider, asked, "slow", patience=900.0), "writer": desk(provider, asked)})
            wanted = [("slow", request(provider, number)) for number in (1, 2)] + [("writer", request(provider, number)) for number in (3, 4, 5)]
            for _ in range(20):  # typed again and again, without waiting
                with pytest.raises(Waiting) as left:
                    await asyncio.wait_for(rounds.run(wanted, wait=False), 10)
                if not ledger.standing():
                    break
            assert re.search(r"teacher 'slow' takes no batches for another (59\d|600) s", str(left.value))
            await asked.close()
            return rounds, ledger

    rounds, ledger = asyncio.run(go())
    assert rounds.report.outcomes["writer"] == {Outcome.ANSWERED: 3} and not ledger.standing()
    ledger.close()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_without_waiting_a_submission_that_never_arrived_is_settled_all_the_same(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider, taking=lambda number, names: "drops" if number == 0 else "takes", made=lambda job: setattr(job, "state", "running"))
    done = run(sides, tmp_path, requests(provider, 3), wait=False, settling=0.3)
    assert isinstance(done.error, Waiting) and len(sides.submissions) == 2 and [job.id for job in standing(tmp_path)] == ["job_0"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_round_that_is_too_bad_is_taken_in_and_not_gone_on_with(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider)
    sides.results = lambda job, number: [sides.bad(name, 400) for name in job.names]
    done = run(sides, tmp_path, requests(provider, 200), requests=20, at_once=2, books=books(Spend(), tmp_path))
    assert isinstance(done.error, TooManyFailures) and "were rejected" in str(done.error)
    assert 3 <= len(sides.submissions) <= 5 and not standing(tmp_path), "what was under way was left, or more was sent"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_few_bad_answers_that_come_last_are_no_reason_to_stop(provider: str, tmp_path: Path) -> None:
    """OpenAI's error file comes after all answers."""
    sides = Provider(provider)
    sides.results = lambda job, number: [*(sides.good(name) for name in job.names[60:]), *(sides.bad(name, 400) for name in job.names[:60])]
    done = run(sides, tmp_path, requests(provider, 400), books=books(Spend(), tmp_path))
    assert done.error is None and done.rounds.report.outcomes["writer"][Outcome.REJECTED] == 60


def test_a_job_that_fails_for_money_pauses_at_once(tmp_path: Path) -> None:
    sides = Provider("openai", made=lambda job: setattr(job, "state", "billing_hard_limit_reached"))
    done = run(sides, tmp_path, requests("openai", 5))
    assert isinstance(done.error, TeacherPaused) and "billing_hard_limit_reached" in str(done.error) and len(sides.submissions) == 1


def test_too_many_queued_tokens_wait_for_a_job_to_end(tmp_path: Path) -> None:
    def made(job: Handed) -> None:
        job.state = "token_limit_exceeded" if any(each.state == "running" for each in sides.jobs) else "running"
        most.append(job.number)

    async def release(rounds: Rounds) -> None:
        while sum(len(job.names) for job in sides.jobs if job.state == "ended") < 30:
            await asyncio.sleep(0.2)
            before = len(most)
            await asyncio.sleep(0.1)
            assert len(most) == before, "submitted while a job of ours is running"
            for job in sides.jobs:
                job.state = "ended" if job.state == "running" else job.state

    most: list[int] = []
    sides = Provider("openai", made=made)
    done = run(sides, tmp_path, requests("openai", 30), requests=10, attempts=1, during=release)
    assert done.error is None and done.answered() == 30


def test_a_job_too_large_for_the_queue_is_halved(tmp_path: Path) -> None:
    sides = Provider("openai", made=lambda job: setattr(job, "state", "token_limit_exceeded" if len(job.names) > 5 else "ended"))
    done = run(sides, tmp_path / "a", requests("openai", 20), attempts=1)
    assert done.error is None and done.answered() == 20
    sides = Provider("openai", made=lambda job: setattr(job, "state", "token_limit_exceeded"))
    assert isinstance(run(sides, tmp_path / "b", requests("openai", 3), attempts=1, patience=0.5).error, TeacherPaused)


def test_a_full_queue_is_not_hammered(tmp_path: Path) -> None:
    sides = Provider("openai", made=lambda job: setattr(job, "state", "token_limit_exceeded"))
    moments: list[float] = []
    sides.taking = lambda number, names: moments.append(time.monotonic()) or "takes"
    done = run(sides, tmp_path, requests("openai", 200), requests=2, patience=2.0, poll=0.05)
    assert isinstance(done.error, TeacherPaused) and "token_limit_exceeded" in str(done.error)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments[8:])]
    assert min(gaps[2:]) > 0.15 and not recorded(tmp_path) and not standing(tmp_path)
    assert len(sides.submissions) < 30


@dataclass
class Listener:
    """Stops the rounds when they have said the words, and keeps all that was said then."""

    words: str
    said: str = ""

    async def __call__(self, rounds: Rounds) -> None:
        while self.words not in self.said:
            await asyncio.sleep(0.02)
            self.said = rounds.under_way()
        rounds.stop()


def test_a_full_queue_says_why_nothing_happens(tmp_path: Path) -> None:
    sides = Provider("openai", made=lambda job: setattr(job, "state", "token_limit_exceeded"))
    listener = Listener("queue")
    run(sides, tmp_path, requests("openai", 20), patience=900.0, poll=1.0, during=listener)
    assert "teacher 'writer'" in listener.said and len(sides.submissions) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_job_that_the_account_does_not_know_is_not_bought_again(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider, made=lambda job: setattr(job, "state", "running"))
    run(sides, tmp_path, requests(provider, 3), wait=False)
    done = run(Provider(provider), tmp_path, requests(provider, 3))
    assert isinstance(done.error, TeacherStopped) and "another account" in str(done.error) and len(standing(tmp_path)) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_that_says_nothing_has_so_much_patience(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider, made=lambda job: setattr(job, "state", "running"))
    run(sides, tmp_path, requests(provider, 3), wait=False)
    silent = Provider(provider)
    silent._reply = lambda seen: Reply(b"", 500)  # type: ignore[method-assign]
    done = run(silent, tmp_path, [], patience=0.2)
    assert done.error is None, "nothing is wanted, so nobody waits"
    done = run(silent, tmp_path, requests(provider, 3), patience=0.2)
    assert isinstance(done.error, TeacherStopped) and "out of reach" in str(done.error)


# -- a provider that takes no batches ---------------------------------------------------------------------------------------------------


def turning_down(provider: Provider, path: str, reply: Reply) -> Provider:
    """It answers a POST of this path so, from the first on."""
    usual = provider._reply

    def replied(seen: Seen) -> Reply:
        if seen.path != path or not seen.body:
            return usual(seen)
        provider.seen.append(path)
        return reply

    provider._reply = replied  # type: ignore[method-assign]
    return provider


POSTS = [("openai", "/v1/files"), ("openai", "/v1/batches"), ("anthropic", "/v1/messages/batches")]


@pytest.mark.parametrize(("provider", "path"), POSTS)
@pytest.mark.parametrize("status", [429, 503, 529])
def test_who_is_only_ever_busy_has_so_much_patience(provider: str, path: str, status: int, tmp_path: Path) -> None:
    sides = turning_down(Provider(provider), path, Reply(b'{"error": {"message": "come back"}}', status))
    done = run(sides, tmp_path, requests(provider, 3), patience=0.4)
    assert type(done.error) is TeacherStopped and "overloaded" in str(done.error) and "come back" in str(done.error)
    assert sides.seen.count(path) >= 2 and not standing(tmp_path) and not spools(tmp_path)


@pytest.mark.parametrize(("provider", "path"), POSTS)
@pytest.mark.parametrize("wait", [True, False])
def test_who_asks_to_wait_beyond_its_patience_pauses_the_build_at_once(provider: str, path: str, wait: bool, tmp_path: Path) -> None:
    sides = turning_down(Provider(provider), path, Reply(b"{}", 429, {"retry-after": "3600"}))
    done = run(sides, tmp_path, requests(provider, 3), wait=wait)
    assert type(done.error) is TeacherPaused and "3,600 s" in str(done.error) and "patience" in str(done.error)
    assert sides.seen.count(path) == 1 and not standing(tmp_path)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_under_way_is_taken_in_before_a_pause_and_it_is_said_why(provider: str, tmp_path: Path) -> None:
    later = Reply(b'{"error": {"message": "come back"}}', 429, {"retry-after": "3600"})
    sides = Provider(provider, taking=lambda number, names: later if number else "takes", made=lambda job: setattr(job, "state", "running"))
    said = ""

    async def release(rounds: Rounds) -> None:
        nonlocal said
        while len(sides.submissions) < 2:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        said = rounds.under_way()
        sides.jobs[0].state = "ended"

    done = run(sides, tmp_path, requests(provider, 6), requests=3, during=release)
    assert "a paid batch with 3 requests is under way" in said and "nothing more is submitted" in said and "come back" in said
    assert type(done.error) is TeacherPaused and done.answered() == 3 and len(sides.submissions) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_that_is_full_of_our_own_jobs_is_waited_for(provider: str, tmp_path: Path) -> None:
    """Its limit of requests in the queue is a 429 too, and lasts until a job has ended."""
    sides = Provider(provider, made=lambda job: setattr(job, "state", "running"))
    sides.taking = lambda number, names: Reply(b"{}", 429) if any(job.state == "running" for job in sides.jobs) else "takes"

    async def release(rounds: Rounds) -> None:
        for number in (0, 1):
            while len(sides.jobs) <= number:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.8)  # beyond its patience
            sides.jobs[number].state = "ended"

    done = run(sides, tmp_path, requests(provider, 6), requests=3, patience=0.4, during=release)
    assert done.error is None and done.answered() == 6


@pytest.mark.parametrize("provider", PROVIDERS)
def test_while_a_provider_asks_to_wait_it_is_said(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider, taking=lambda number, names: Reply(b'{"error": {"message": "busy"}}', 429, {"retry-after": "300"}))
    listener = Listener("takes no batches")
    run(sides, tmp_path, requests(provider, 3), patience=900.0, during=listener)
    assert re.search(r"teacher 'writer' takes no batches, and is asked again in (300|299) s: .*busy", listener.said)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_who_does_not_say_how_a_job_is_has_patience_too(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider, made=lambda job: setattr(job, "state", "running"))
    run(sides, tmp_path, requests(provider, 3), wait=False)
    busy = Provider(provider)
    busy._reply = lambda seen: Reply(b"{}", 429)  # type: ignore[method-assign]
    done = run(busy, tmp_path, requests(provider, 3), patience=0.4)
    assert type(done.error) is TeacherStopped and "overloaded" in str(done.error) and len(standing(tmp_path)) == 1


# -- coming and going -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
def test_without_waiting_the_same_call_goes_on(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider, made=lambda job: setattr(job, "state", "running"))
    done = run(sides, tmp_path, requests(provider, 25), wait=False, requests=10)
    assert isinstance(done.error, Waiting) and "3 paid batches with 25 requests are under way" in str(done.error)
    assert isinstance(run(sides, tmp_path, requests(provider, 25), wait=False, requests=10).error, Waiting)
    sides.jobs[0].state = "ended"
    done = run(sides, tmp_path, requests(provider, 25), wait=False, requests=10)
    assert isinstance(done.error, Waiting) and "2 paid batches" in str(done.error) and done.answered() == len(sides.jobs[0].names)
    for job in sides.jobs:
        job.state = "ended"
    done = run(sides, tmp_path, requests(provider, 25), wait=False, requests=10)
    assert done.error is None and len(sides.submissions) == 3 and recorded(tmp_path) == keys(requests(provider, 25))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_results_are_taken_whatever_has_become_of_the_spec(provider: str, tmp_path: Path) -> None:
    """Another build on the same ledger wants other rows: what was paid for is taken in, and counted where it was admitted."""
    sides = Provider(provider, made=lambda job: setattr(job, "state", "running"))
    run(sides, tmp_path, requests(provider, 5), wait=False)
    sides.jobs[0].state = "ended"
    sides.made = lambda job: None

    async def go() -> None:
        async with sides.server() as server:
            asked = teacher(provider, server.url)
            ledger = Ledger(tmp_path, "b/2")
            governor = Governor({"scribe": Limits(1)}, Purse(), {})
            await Rounds(ledger, {"scribe": desk(provider, asked, "scribe")}, governor).run([("scribe", request(provider, 99))])
            assert {build: account["writer" if build == "b/1" else "scribe"].answered.requests for build, account in ledger.accounts.items()} == {
                "b/1": 5,
                "b/2": 1,
            }
            assert governor._purse.settled.requests == 1 and governor._purse.reserved == Spend()
            ledger.close()
            await asked.close()

    asyncio.run(go())
    assert recorded(tmp_path) == keys(requests(provider, 5)) | {request(provider, 99).key}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_lost_spool_is_named(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider, made=lambda job: setattr(job, "state", "running"))
    run(sides, tmp_path, requests(provider, 5), wait=False)
    for path in spools(tmp_path):
        path.unlink()
    sides.jobs[0].state = "ended"
    sides.made = lambda job: None
    done = run(sides, tmp_path, requests(provider, 5))
    assert "could not be recorded" in " ".join(done.rounds.report.notes) and done.answered() == 5
    account = accounts(tmp_path)
    assert account.possible.requests == account.answered.requests == 5, "what was paid for and is lost counts as spent, at its worst"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("damage", [b"", b'{"tag":"b-', b'{"custom_id":"k1-'], ids=["empty", "half a head", "half a request"])
def test_a_damaged_spool_is_named_by_verify_and_loses_no_more_than_its_answers(provider: str, damage: bytes, tmp_path: Path) -> None:
    sides = Provider(provider, made=lambda job: setattr(job, "state", "running"))
    run(sides, tmp_path, requests(provider, 5), wait=False)
    (spool,) = spools(tmp_path)
    lines = spool.read_bytes().splitlines(keepends=True)
    spool.write_bytes(damage if not damage.startswith(b'{"c') else b"".join(lines[:3]) + lines[3][: len(damage)])
    lost = 5 if not damage.startswith(b'{"c') else 3
    assert [f"{lost} requests of a paid batch under way cannot be read" in line for line in unreadable(tmp_path, standing(tmp_path))] == [True]
    sides.jobs[0].state = "ended"
    sides.made = lambda job: None
    done = run(sides, tmp_path, requests(provider, 5))
    assert done.error is None and recorded(tmp_path) == keys(requests(provider, 5))
    assert [len(names) for names in sides.submissions] == [5, lost] and accounts(tmp_path).possible.requests == lost


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("kinds", [(b"intend",), (b"intend", b"accepted")])
def test_an_intent_that_a_damaged_ledger_lost_is_made_anew_and_its_job_is_found(provider: str, kinds: tuple[bytes, ...], tmp_path: Path) -> None:
    sides = Provider(provider, made=lambda job: setattr(job, "state", "running"))
    run(sides, tmp_path, requests(provider, 5), wait=False)
    (segment,) = tmp_path.glob("*.jsonl")
    text = segment.read_bytes()
    for kind in kinds:
        text = text.replace(b'"kind":"' + kind, b'"kind":"' + kind[:-1] + b"x")
    segment.write_bytes(text)
    sides.jobs[0].state = "ended"
    done = run(sides, tmp_path, requests(provider, 5))
    assert done.error is None and len(sides.submissions) == 1 and done.answered() == 5
    assert any("made anew from its spool (5 requests)" in note for note in done.rounds.report.notes)
    assert accounts(tmp_path).committed.requests == 5 and not standing(tmp_path)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_asked_to_stop_it_leaves_what_is_under_way(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider, made=lambda job: setattr(job, "state", "running"))

    async def stop(rounds: Rounds) -> None:
        while not sides.jobs:
            await asyncio.sleep(0.02)
        rounds.stop()

    done = run(sides, tmp_path, requests(provider, 5), during=stop, poll=60.0)
    assert isinstance(done.error, Interrupted) and [job.id for job in standing(tmp_path)] == ["job_0"]
    assert "paid batches go on at the provider" in str(done.error)


def test_asked_to_stop_it_speaks_of_batches_only_where_some_go_on(tmp_path: Path) -> None:
    async def stop(rounds: Rounds) -> None:
        while not rounds.under_way():
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        rounds.stop()

    sides = Provider("openai", taking=lambda number, names: Reply(b"{}", 429, {"retry-after": "300"}))
    done = run(sides, tmp_path, requests("openai", 3), during=stop, patience=900.0)
    assert isinstance(done.error, Interrupted) and "paid batches" not in str(done.error)


# -- money ----------------------------------------------------------------------------------------------------------------------------


def books(cap: Spend, folder: Path) -> Governor:
    """As a build makes them: what the ledger says is committed counts from the start. A cap of 0 is none."""
    ledger = Ledger(folder, "")
    accounts = ledger.accounts.get("b/1", {})
    ledger.close()
    purse = Purse(cost=cap.cost or None, requests=cap.requests or None)
    standing = {name: account.standing for name, account in accounts.items()}
    committed = {name: account.committed - account.standing for name, account in accounts.items()}
    return Governor({"writer": Limits(1)}, purse, committed, standing=standing)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_budget_is_used_up_and_never_passed(provider: str, tmp_path: Path) -> None:
    """Worst case of a request: 64 tokens out and its bytes in, 0.67 thousandths of a dollar; it uses 0.07."""
    sides = Provider(provider)
    governor = books(Spend(cost=5_000_000), tmp_path)
    done = run(sides, tmp_path, requests(provider, 100), books=governor)
    assert isinstance(done.error, BudgetReached) and "of teacher 'writer'" in str(done.error)
    assert re.search(r"budget of this release .* of \$0\.005, \$0\.004\d+ are spent .* may take \$0\.000\d+", str(done.error))
    spent, reserved = governor.money()
    assert reserved == 0 and spent <= 5_000_000 and 5_000_000 - spent < 700_000, "what a job gives back is used for more"
    assert len(recorded(tmp_path)) == spent // 70_000
    more = run(sides, tmp_path, requests(provider, 100), books=books(Spend(cost=50_000_000), tmp_path))
    assert more.error is None and recorded(tmp_path) == keys(requests(provider, 100))


def test_a_provider_that_bills_beyond_the_worst_case_is_reserved_for_in_the_next_round(tmp_path: Path) -> None:
    """Each answer costs ten times what it was allowed: after one round of five there is no room for another five."""
    sides = Provider("openai")
    greedy = b'"completion_tokens": 640'
    sides.results = lambda job, number: [sides.good(name).replace(b'"completion_tokens": 5', greedy) for name in job.names]
    bill = 20 * 1000 + 640 * 10_000

    async def go() -> None:
        async with sides.server() as server:
            asked, ledger = teacher("openai", server.url), Ledger(tmp_path, "b/1")
            governor = books(Spend(cost=8 * bill), tmp_path)
            rounds = Rounds(ledger, {"writer": desk("openai", asked)}, governor)
            await rounds.run(requests("openai", 5))
            assert rounds.report.surcharge["writer"] > 9
            with pytest.raises(BudgetReached):
                await rounds.run(requests("openai", 10), number=2)
            assert governor.money()[0] <= 8 * bill
            await asked.close()
            ledger.close()

    asyncio.run(go())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_under_way_counts_in_the_next_run(provider: str, tmp_path: Path) -> None:
    sides = Provider(provider, made=lambda job: setattr(job, "state", "running"))
    run(sides, tmp_path, requests(provider, 6), wait=False, books=books(Spend(requests=8), tmp_path))
    governor = books(Spend(requests=8), tmp_path)
    done = run(sides, tmp_path, requests(provider, 10), wait=False, books=governor)
    assert isinstance(done.error, Waiting) and [len(names) for names in sides.submissions] == [6, 2]
    for job in sides.jobs:
        job.state = "ended"
    governor = books(Spend(requests=8), tmp_path)
    done = run(sides, tmp_path, requests(provider, 10), books=governor)
    assert isinstance(done.error, BudgetReached) and governor._purse.settled.requests + governor._purse.reserved.requests == 8


def test_where_the_budget_is_short_what_stands_in_batches_is_said(tmp_path: Path) -> None:
    """Of a teacher that this spec no longer has: nobody can ask for it now."""
    sides = Provider("openai", made=lambda job: setattr(job, "state", "running"))
    run(sides, tmp_path, requests("openai", 6), wait=False)

    async def go() -> str:
        async with Provider("anthropic").server() as server:
            asked, ledger = teacher("anthropic", server.url), Ledger(tmp_path, "b/1")
            rounds = Rounds(ledger, {"writer": desk("anthropic", asked)}, books(Spend(requests=7), tmp_path))
            with pytest.raises(BudgetReached) as left:
                await rounds.run(requests("anthropic", 3))
            await asked.close()
            ledger.close()
            return str(left.value)

    said = asyncio.run(go())
    assert "2 requests of teacher 'writer' were left out" in said and "of 7 requests, 7 requests are spent" in said
    assert "6 requests stand in paid batches" in said


def test_a_governor_over_a_wire_is_awaited(tmp_path: Path) -> None:
    class Remote:
        def __init__(self) -> None:
            self.local = books(Spend(requests=7), tmp_path)

        async def take(self, teacher: str, worst: Spend) -> bool:
            await asyncio.sleep(0)
            return self.local.take(teacher, worst)

        async def give(self, teacher: str, worst: Spend, used: Spend) -> None:
            await asyncio.sleep(0)
            self.local.give(teacher, worst, used)

        async def short(self, teacher: str, worst: Spend) -> str:
            await asyncio.sleep(0)
            return self.local.short(teacher, worst)

        async def weigh(self, teacher: str, counts: dict[str, int]) -> DatagenError | None:
            await asyncio.sleep(0)
            return self.local.weigh(teacher, counts)

    done = run(Provider("openai"), tmp_path, requests("openai", 10), books=Remote())
    assert isinstance(done.error, BudgetReached) and len(recorded(tmp_path)) == 7
