"""The worker's decisions, without a clock or a database: what happened, and what to do next."""

from __future__ import annotations

from typing import Any

import pytest

from quantumflow_client._sql.tasks import Completion, Failure, Task, TaskRef
from quantumflow_client._sql.workers import Settled
from quantumflow_client._worker.actions import (
    Action,
    Claim,
    CloseSecond,
    Connect,
    Deliver,
    DeliverApart,
    Finish,
    Look,
    OpenSecond,
    Register,
    Release,
    Rest,
    Settle,
    Sweep,
)
from quantumflow_client._worker.apart import AGAIN, BACKLOG, KEEP
from quantumflow_client._worker.asides import BATCH_BYTES, BATCH_ROWS, ROWS_MOST
from quantumflow_client._worker.core import (
    CONFLICTS_MOST,
    GRACE,
    HERD_FIRST,
    HERD_MOST,
    IDLE_MOST,
    IDLE_MOST_LISTENING,
    IDLE_WOKEN,
    LINGER,
    LOSSES_MOST,
    RETRY_MOST,
    SETTLE_EVERY,
    SETTLE_EVERY_DEAF,
    SWEEP_EVERY,
    Core,
    Stopping,
)
from quantumflow_client._worker.pace import CLAIM_BYTES
from quantumflow_client._worker.refusals import Refusal

LATER = 4e9


def task(index: int, size: int = 2) -> Task:
    ref = TaskRef("run", "step", index, 1000 + index)
    return Task(ref, "flow", "command", None, "x" * size, 1, 3, LATER, LATER, None, 0, "single")


def done(index: int, output: str = "1") -> Completion:
    return Completion(task(index).ref, output)


def new_core(
    *,
    concurrency: int = 4,
    prefetch: int = 500,
    once: bool = False,
    until_idle: bool = False,
    random: float = 1.0,
    connected: bool = True,
    second: bool = False,
    settles: bool = False,
) -> Core:
    core = Core(
        concurrency=concurrency,
        prefetch=prefetch,
        lease=30,
        once=once,
        until_idle=until_idle,
        second=second,
        random=lambda: random,
        deadline=lambda _: LATER,
        settles=settles,
    )
    if connected:
        core.connected(0)
    return core


def claim(core: Core, count: int, now: float = 0.0) -> None:
    """Let a core claim tasks 0 to count - 1."""
    action = core.next(now)
    assert isinstance(action, Claim)
    core.claimed([task(i) for i in range(count)], asked=action.quantity, now=now)


def finds_nothing(core: Core, now: float) -> None:
    """It has claimed in vain, ends when it is idle, and others have left it nothing."""
    assert core.next(now) == Look()
    core.looked(others_left=False)
    assert core.next(now) == Finish()


def finish(core: Core, *indexes: int, seconds: float = 1.0) -> None:
    """Let handlers end, each after so long."""
    core.ended([done(i) for i in indexes], seconds * len(indexes))


def resting(action: object) -> float:
    """How long a core rests."""
    assert isinstance(action, Rest)
    assert action.seconds is not None
    return action.seconds


def test_a_worker_connects_before_anything_else() -> None:
    core = new_core(connected=False)
    assert core.next(0) == Connect()
    core.connected(0)
    assert core.next(0) == Claim(4)


def test_a_task_that_needs_no_report_makes_room_and_may_have_made_work() -> None:
    core = new_core(concurrency=2)
    claim(core, 1)
    core.claimed([], asked=1, now=0.0)
    assert resting(core.next(0.0)) > 0
    core.settled(task(0).ref, 1.0, 0.0)
    assert core.next(0.0) == Claim(2)
    assert core.tasks_run == 1


def test_it_claims_only_as_many_tasks_as_it_has_free_slots() -> None:
    core = new_core(concurrency=4)
    claim(core, 3)
    assert core.next(1) == Claim(1)


def test_it_claims_nothing_while_every_slot_is_taken() -> None:
    core = new_core(concurrency=2)
    claim(core, 2)
    assert isinstance(core.next(1), Rest)


def test_after_fewer_tasks_than_asked_for_it_pauses() -> None:
    core = new_core(concurrency=4)
    claim(core, 3)
    assert resting(core.next(LINGER)) == pytest.approx(0.01 - LINGER)


def test_the_first_results_of_a_claim_wait_a_moment_for_the_others() -> None:
    core = new_core(concurrency=8)
    claim(core, 8)
    assert core.next(0.0) == Rest(LINGER, results=4)
    finish(core, 0)
    assert core.next(0.0) == Rest(LINGER, results=3)
    finish(core, 1)
    assert core.next(LINGER) == Deliver([done(0), done(1)], quantity=2)


def test_later_results_wait_for_nothing() -> None:
    core = new_core(concurrency=8)
    claim(core, 8)
    action = core.next(LINGER)
    assert isinstance(action, Rest)
    assert action.results == 1
    finish(core, 0)
    assert core.next(LINGER) == Deliver([done(0)], quantity=1)


def test_results_wait_for_nothing_once_no_handler_runs() -> None:
    core = new_core(concurrency=8)
    claim(core, 1)
    finish(core, 0)
    assert core.next(0.0) == Deliver([done(0)], quantity=8)


def test_results_wait_for_no_task_that_was_claimed_long_before() -> None:
    core = new_core(concurrency=8)
    claim(core, 1)
    assert core.next(1.0) == Claim(7)
    core.claimed([task(1)], asked=7, now=1.0)
    finish(core, 1)
    assert core.next(1.0) == Deliver([done(1)], quantity=7)


def test_results_wait_for_nothing_once_they_fill_half_the_slots() -> None:
    core = new_core(concurrency=4)
    claim(core, 4)
    finish(core, 0, 1)
    assert core.next(0.0) == Deliver([done(0), done(1)], quantity=2)


def test_a_stopping_worker_reports_without_a_claim() -> None:
    core = new_core(concurrency=4)
    claim(core, 1)
    finish(core, 0)
    core.stop(0)
    assert core.next(0.0) == Deliver([done(0)], quantity=0)


def test_failures_are_reported_first_since_outputs_bring_new_tasks() -> None:
    core = new_core(concurrency=4, until_idle=True)
    claim(core, 2)
    failure = Failure(task(1).ref, "no")
    core.ended([done(0), failure], 1.0)
    assert core.next(0.0) == Deliver([failure], quantity=0)
    core.delivered([failure], 0)
    assert core.next(0.0) == Deliver([done(0)], quantity=4)
    core.delivered([done(0)], 0)
    core.claimed([], asked=4, now=0)
    finds_nothing(core, 0.0)


def test_a_failure_is_followed_by_a_claim_at_once() -> None:
    core = new_core(concurrency=1)
    claim(core, 1)
    core.ended([Failure(task(0).ref, "no")], 1.0)
    core.delivered([Failure(task(0).ref, "no")], 0)
    assert core.next(0.0) == Claim(1)


def test_a_report_is_followed_by_a_claim_at_once() -> None:
    core = new_core(concurrency=1)
    core.claimed([task(0)], asked=1, now=0)
    core.claimed([], asked=1, now=0)  # nothing more for a while
    finish(core, 0)
    core.delivered([done(0)], 0)
    assert core.next(0) == Claim(1)


def test_a_batch_is_bounded_in_rows() -> None:
    core = new_core(concurrency=BATCH_ROWS + 1)
    claim(core, BATCH_ROWS + 1)
    for i in range(BATCH_ROWS + 1):
        finish(core, i)
    action = core.next(0)
    assert isinstance(action, Deliver)
    assert len(action.reports) == BATCH_ROWS
    core.delivered(action.reports, 0)
    assert core.next(0) == Deliver([done(BATCH_ROWS)], quantity=BATCH_ROWS + 1)


def test_a_batch_is_bounded_in_bytes_but_never_empty() -> None:
    core = new_core()
    claim(core, 2)
    large = [done(0, "1" * (BATCH_BYTES + 1)), done(1, "1" * (BATCH_BYTES + 1))]
    for report in large:
        core.ended([report], 1.0)
    assert core.next(0) == Deliver(large[:1], quantity=0)
    core.delivered(large[:1], 0)
    assert core.next(0) == Deliver(large[1:], quantity=4)


def test_empty_claims_come_ever_more_rarely_up_to_a_limit() -> None:
    core = new_core(random=1.0)
    pauses = []
    for _ in range(10):
        core.claimed([], asked=4, now=0)
        pauses.append(resting(core.next(0)))
    assert pauses[0] == 0.01
    assert pauses == sorted(pauses)
    assert pauses[-1] == IDLE_MOST


def idle(core: Core) -> float:
    """Let a core find nothing until its pauses grow no more; how long they are then."""
    for _ in range(20):
        core.claimed([], asked=4, now=0)
    return resting(core.next(0))


def test_who_hears_of_new_work_looks_more_rarely() -> None:
    core = new_core()
    core.listening(True)
    assert idle(core) == IDLE_MOST_LISTENING > IDLE_MOST
    core.listening(False)
    assert idle(core) == IDLE_MOST


def test_a_woken_worker_claims_at_once() -> None:
    core = new_core(random=1.0)
    idle(core)
    core.woken(0.05)
    assert core.next(0.05) == Claim(4)
    core.claimed([], asked=4, now=0.1)
    assert resting(core.next(0.1)) <= 2 * IDLE_WOKEN


@pytest.mark.parametrize("random", [0.5, 1.0])
def test_who_was_woken_for_nothing_leaves_others_the_start(random: float) -> None:
    core = new_core(random=random)
    pauses = []
    for _ in range(5):
        idle(core)
        core.woken(0.05)
        action = core.next(0.05)
        pauses.append(action.seconds if isinstance(action, Rest) else 0)
        core.claimed([], asked=4, now=0)
    assert pauses[:2] == [0, pytest.approx(HERD_FIRST * random)]
    assert pauses[-1] == pytest.approx(HERD_MOST * random)
    claim(core, 1, now=0.2)
    core.settled(task(0).ref, 1.0, 0.2)
    core.claimed([], asked=4, now=0.2)
    core.woken(0.2)
    assert core.next(0.2) == Claim(4)


def test_a_stream_of_news_is_claimed_in_batches() -> None:
    core = new_core(concurrency=8, random=1.0)
    claim(core, 1, now=1.0)
    for _ in range(5):
        core.claimed([], asked=7, now=1.0)
    core.woken(1.006)
    assert resting(core.next(1.006)) == pytest.approx(0.004)
    assert core.next(1.01) == Claim(7)


def test_to_be_woken_delays_no_claim() -> None:
    core = new_core(random=1.0)
    core.woken(0.0)
    assert core.next(0.0) == Claim(4)


def test_a_worker_without_room_is_not_woken() -> None:
    core = new_core(concurrency=2)
    claim(core, 2)
    core.woken(1.0)
    assert resting(core.next(1.0)) > HERD_MOST


def test_jitter_halves_a_pause_at_most() -> None:
    core = new_core(random=0.0)
    core.claimed([], asked=4, now=0)
    assert core.next(0) != Claim(4)
    assert core.next(0.005) == Claim(4)


def test_work_resets_the_pause_between_claims() -> None:
    core = new_core(concurrency=1, random=1.0)
    for _ in range(10):
        core.claimed([], asked=1, now=0)
    core.claimed([task(0)], asked=1, now=0)
    finish(core, 0)
    core.delivered([done(0)], 0)
    core.claimed([], asked=1, now=0)
    assert resting(core.next(0)) == pytest.approx(0.01)


def test_it_sweeps_from_time_to_time() -> None:
    core = new_core(random=1.0)
    assert core.next(0) == Claim(4)  # the first one is jittered, too
    core.claimed([], asked=4, now=0)
    assert core.next(5) == Sweep()
    assert core.next(5) == Claim(4)
    core.claimed([], asked=4, now=9.99)
    assert isinstance(core.next(9.99), Rest)
    assert core.next(10) == Sweep()


def test_a_full_worker_wakes_up_to_sweep() -> None:
    core = new_core(concurrency=1, random=1.0)
    claim(core, 1)
    assert core.next(1) == Rest(4)
    assert core.next(5) == Sweep()


def test_once_claims_a_single_time_and_finishes_after_the_report() -> None:
    core = new_core(once=True)
    claim(core, 1)
    assert isinstance(core.next(0), Rest)
    finish(core, 0)
    assert core.next(0) == Deliver([done(0)])
    core.delivered([done(0)], 0)
    assert core.next(0) == Finish()
    assert core.tasks_run == 1


def test_once_finishes_when_there_was_nothing() -> None:
    core = new_core(once=True)
    claim(core, 0)
    assert core.next(0) == Finish()


def test_until_idle_waits_for_what_others_have_left_to_other_code() -> None:
    core = new_core(until_idle=True)
    core.claimed([], asked=1, now=0)
    assert core.next(0) == Look()
    core.looked(others_left=True)
    assert isinstance(core.next(0), Rest)
    assert core.next(1) == Claim(4)
    core.claimed([], asked=4, now=1)  # it looks each time that it has claimed in vain
    finds_nothing(core, 1)


def test_until_idle_goes_on_while_something_runs() -> None:
    core = new_core(until_idle=True)
    claim(core, 1)
    core.claimed([], asked=3, now=0)
    assert core.next(0) != Finish()
    finish(core, 0)
    core.delivered([done(0)], 0)
    assert core.next(0) == Claim(4)
    core.claimed([], asked=4, now=0)
    finds_nothing(core, 0)


def test_asked_to_stop_it_claims_no_more_and_finishes_what_runs() -> None:
    core = new_core()
    claim(core, 2)
    core.stop(0)
    assert core.next(1) == Rest(None)
    finish(core, 0)
    finish(core, 1)
    assert core.next(0) == Deliver([done(0), done(1)])
    core.delivered([done(0), done(1)], 0)
    assert core.next(0) == Finish()


def test_it_says_that_it_is_there_every_15_s_whatever_it_has_to_do() -> None:
    core = new_core(concurrency=1)
    claim(core, 1)

    def registers(begin: int, end: int) -> list[int]:
        return [now for now in range(begin, end) if core.next(now) == Register()]

    assert registers(1, 40) == [15, 30]
    core.disconnected()
    core.connected(40)
    assert registers(40, 60) == [55]
    core.stop(60)
    assert registers(60, 100) == []


def test_asked_to_stop_it_hands_unstarted_tasks_back() -> None:
    core = new_core()
    claim(core, 2)
    core.stop(0)
    core.unstarted(task(1).ref)
    assert core.next(0) == Release([task(1).ref], {})
    core.released()
    finish(core, 0)
    core.delivered([done(0)], 0)
    assert core.next(0) == Finish()
    assert core.tasks_run == 1


def test_what_the_code_cannot_take_is_handed_back_with_the_reason() -> None:
    core = new_core()
    claim(core, 2)
    core.unstarted(task(0).ref, "it asks for more")
    core.unstarted(task(1).ref)
    assert core.next(0) == Release([task(0).ref, task(1).ref], {task(0).ref: "it asks for more"})
    core.released()
    core.unstarted(task(2).ref)
    assert core.next(0) == Release([task(2).ref], {})


def test_asked_twice_it_waits_for_handlers_only_a_grace() -> None:
    core = new_core()
    claim(core, 1)
    core.stop(0)
    core.stop(10, Stopping.NOW)
    assert core.next(10) == Rest(GRACE)
    assert core.next(10 + GRACE) == Finish()


def test_a_stop_is_not_taken_back_by_a_lesser_one() -> None:
    core = new_core()
    core.stop(0, Stopping.NOW)
    core.stop(0, Stopping.SOON)
    assert core.stopping is Stopping.NOW


def test_results_survive_a_lost_connection() -> None:
    core = new_core(random=1.0)
    claim(core, 1)
    finish(core, 0)
    assert core.next(0) == Deliver([done(0)], quantity=4)
    core.disconnected()
    core.failed(0)
    assert resting(core.next(0)) == pytest.approx(0.1)
    assert core.next(0.1) == Connect()
    core.connected(0.1)
    assert core.next(0.1) == Deliver([done(0)], quantity=4)


def test_a_handler_may_end_while_there_is_no_connection() -> None:
    core = new_core()
    claim(core, 1)
    core.disconnected()
    core.failed(0)
    finish(core, 0)
    core.connected(1)
    assert core.next(1) == Deliver([done(0)], quantity=4)


def test_failures_are_repeated_ever_more_rarely_up_to_a_limit() -> None:
    core = new_core(random=1.0)
    delays = [core.failed(0) for _ in range(12)]
    assert delays[0] == 0.1
    assert delays[-1] == RETRY_MOST
    assert delays == sorted(delays)


def test_a_success_resets_the_delay_after_failures() -> None:
    core = new_core(random=1.0)
    for _ in range(5):
        core.failed(0)
    core.claimed([], asked=4, now=0)
    assert core.failed(0) == pytest.approx(0.1)


def test_a_deadlock_is_repeated_at_once_but_not_for_ever() -> None:
    core = new_core()
    claim(core, 1)
    finish(core, 0)
    for _ in range(CONFLICTS_MOST):
        assert core.conflicted()
        assert core.next(0) == Deliver([done(0)], quantity=4)
    assert not core.conflicted()
    core.delivered([done(0)], 0)
    assert core.conflicted()


def test_a_stopping_worker_tries_to_report_for_one_lease() -> None:
    core = new_core()
    claim(core, 1)
    finish(core, 0)
    core.stop(0)
    core.disconnected()
    core.failed(0)
    assert isinstance(core.next(0), Rest)
    assert core.next(29.9) == Connect()
    assert core.next(30.0) == Finish()


def test_a_stopping_worker_with_nothing_to_report_does_not_wait_for_the_server() -> None:
    core = new_core()
    core.disconnected()
    core.failed(0)
    core.stop(0)
    assert core.next(0) == Finish()


def test_a_partly_delivered_batch_keeps_the_rest() -> None:
    core = new_core(concurrency=2)
    claim(core, 2)
    finish(core, 0)
    finish(core, 1)
    core.delivered([done(0)], 0)
    assert core.next(0) == Deliver([done(1)], quantity=2)


# What a worker takes beyond its free slots


def run_batches(core: Core, tasks: int, *, each: float, size: int = 2) -> None:
    """Let tasks come and go four times, so many, each so long and so large."""
    for _ in range(4):
        core.claimed([task(i, size) for i in range(tasks)], asked=tasks, now=0)
        finish(core, *range(tasks), seconds=each)
        core.delivered([done(i) for i in range(tasks)], 0)


def test_quick_handlers_have_more_tasks_waiting_than_slots() -> None:
    core = new_core(concurrency=4)
    run_batches(core, 100, each=0.001)
    # What four slots begin within 50 ms.
    assert core.next(0) == Claim(4 + 200)


def test_no_more_tasks_wait_than_were_seen() -> None:
    core = new_core(concurrency=4, prefetch=300)
    assert core.next(0) == Claim(4)
    run_batches(core, 1, each=0.0)
    assert core.next(0) == Claim(4 + 4)
    run_batches(core, 2, each=0.0)
    assert core.next(0) == Claim(4 + 12)
    run_batches(core, 1000, each=0.0)
    assert core.next(0) == Claim(4 + 300)


def test_a_worker_that_was_idle_measures_anew() -> None:
    core = new_core(concurrency=4)
    run_batches(core, 100, each=0.0)
    core.claimed([], asked=504, now=0)
    assert core.next(1) == Claim(4)


def test_it_claims_again_when_half_of_what_may_wait_has_started() -> None:
    core = new_core(concurrency=4)
    run_batches(core, 100, each=0.001)
    core.claimed([task(i) for i in range(204)], asked=204, now=0)
    for n in range(99):
        core.settled(task(n).ref, 0.001, 0)
    assert isinstance(core.next(0), Rest)
    core.settled(task(99).ref, 0.001, 0)
    assert core.next(0) == Claim(100)


def test_slow_handlers_have_nothing_waiting() -> None:
    core = new_core(concurrency=40)
    run_batches(core, 40, each=0.2)
    assert core.next(0) == Claim(40)


def test_with_once_nothing_waits() -> None:
    core = new_core(concurrency=4, once=True)
    assert core.next(0.0) == Claim(4)


def test_a_claim_of_large_tasks_is_small() -> None:
    core = new_core(concurrency=40)
    run_batches(core, 40, each=0.2, size=CLAIM_BYTES // 10)
    assert core.next(0) == Claim(9)


def test_after_tasks_had_to_be_taken_back_nothing_waits() -> None:
    core = new_core(concurrency=4)
    run_batches(core, 40, each=0.0)
    core.claimed([task(0)], asked=164, now=0)
    core.unstarted(task(0).ref)
    core.released()
    assert core.next(0.1) == Claim(4)


# What the database refuses


REFUSAL = Refusal("42501", "InsufficientPrivilege", "permission denied")


def deliver(core: Core, now: float = 0.0) -> Deliver:
    """The delivery that a core wants."""
    action = core.next(now)
    assert isinstance(action, Deliver)
    return action


def test_a_refused_report_keeps_neither_others_nor_claims_waiting() -> None:
    core = new_core(concurrency=2)
    claim(core, 1)
    finish(core, 0)
    core.refused(deliver(core), REFUSAL, 0)
    # Perhaps it was only the claim.
    action = deliver(core)
    assert action == Deliver([done(0)], quantity=0)
    assert core.refused(action, REFUSAL, 0).put_aside == [done(0)]
    now = 0.02
    assert core.next(now) == Claim(2)
    core.claimed([task(1)], asked=2, now=now)
    finish(core, 1)
    assert core.next(now) == Deliver([done(1)], quantity=2)
    core.delivered([done(1)], now)
    core.claimed([], asked=2, now=now)
    assert core.next(0.1) == Deliver([done(0)], quantity=0)


def test_a_batch_that_is_refused_with_its_claim_is_reported_without() -> None:
    core = new_core(concurrency=2)
    claim(core, 2)
    finish(core, 0, 1)
    core.refused(deliver(core), REFUSAL, 0)
    core.delivered(deliver(core).reports, 0)
    assert core.next(0) == Claim(2)


def refuse_all(core: Core, now: float = 0.0) -> Action:
    """Refuse every delivery until the core wants something else: what."""
    for _ in range(100):
        action = core.next(now)
        if not isinstance(action, Deliver):
            return action
        core.refused(action, REFUSAL, now)
    raise AssertionError("it delivers for ever")


def test_reports_claims_and_trials_take_turns() -> None:
    core = new_core(concurrency=8)
    claim(core, 8)
    finish(core, *range(8))
    core.refused(deliver(core), REFUSAL, 0)
    core.refused(deliver(core), REFUSAL, 0)
    steps: list[str] = []
    for n in range(8, 15):
        core.woken(n)
        for _ in range(2):
            action = core.next(n)
            if isinstance(action, Claim):
                steps.append("claim")
                core.claimed([task(n)], asked=action.quantity, now=n)
                finish(core, n)
            elif isinstance(action, Deliver) and action.reports[0].ref.task_index < 8:
                steps.append("trial")
                core.refused(action, REFUSAL, n)
            elif isinstance(action, Deliver):
                steps.append("report")
                core.delivered(action.reports, n)
                core.claimed([], asked=action.quantity, now=n)
    assert steps[:12] == ["trial", "claim", "trial", "report"] * 3


def test_a_worker_that_is_to_end_when_idle_waits_for_what_was_refused() -> None:
    core = new_core(until_idle=True)
    claim(core, 1)
    finish(core, 0)
    refuse_all(core)
    core.claimed([], asked=4, now=0)
    assert resting(core.next(0)) <= 0.1
    core.delivered(deliver(core, 0.1).reports, 0.1)
    core.claimed([], asked=4, now=0.1)
    finds_nothing(core, 0.1)


def test_a_stopping_worker_tries_what_was_refused_for_one_lease() -> None:
    core = new_core()
    claim(core, 1)
    finish(core, 0)
    core.stop(0)
    refuse_all(core)
    assert deliver(core, 29.9).reports == [done(0)]
    core.refused(deliver(core, 29.9), REFUSAL, 29.9)
    assert isinstance(core.next(29.9), Rest)
    assert core.next(30.0) == Finish()


def test_a_claim_that_is_refused_for_now_keeps_no_report_waiting() -> None:
    core = new_core(concurrency=2)
    claim(core, 1)
    delay = core.claim_refused(0)
    finish(core, 0)
    assert core.next(0) == Deliver([done(0)], quantity=0)
    core.delivered([done(0)], 0)
    assert resting(core.next(0)) == pytest.approx(delay)
    assert core.next(delay) == Claim(2)
    assert core.claim_refused(delay) == pytest.approx(2 * delay)
    core.claimed([], asked=2, now=1)
    assert core.claim_refused(1) == pytest.approx(delay)


def test_a_worker_claims_nothing_once_very_much_was_refused() -> None:
    core = new_core(concurrency=2 * ROWS_MOST)
    claim(core, ROWS_MOST)
    finish(core, *range(ROWS_MOST))
    assert isinstance(refuse_all(core), Rest)


def lose(core: Core, now: float = 0.0) -> bool:
    """Let a delivery lose the connection, and connect again; whether that counted as a refusal."""
    action = deliver(core, now)
    core.disconnected()
    counts = core.broke(action, now)
    if counts:
        core.refused(action, REFUSAL, now)
    else:
        core.failed(now - 100)
    core.connected(now)
    return counts


def test_reports_that_lose_the_connection_each_time_count_as_refused() -> None:
    core = new_core()
    claim(core, 1)
    finish(core, 0)
    answers = [lose(core) for _ in range(LOSSES_MOST + 1)]
    # With the claim first, then without.
    assert answers == [False] * (LOSSES_MOST - 1) + [True, False]
    for _ in range(LOSSES_MOST - 1):
        lose(core)
    now = 0.02
    assert core.next(now) == Claim(4)
    core.claimed([], asked=4, now=now)
    # From now on each loss is its own, and it is tried as rarely as others are.
    assert lose(core, 0.1)
    assert core.next(0.1) == Claim(4)


def test_results_are_reported_before_a_sweep() -> None:
    core = new_core(concurrency=4, random=1.0)
    claim(core, 3)
    finish(core, 0)
    core.ended([Failure(task(1).ref, "no")], 1.0)
    now = SWEEP_EVERY + 1
    assert deliver(core, now).reports == [Failure(task(1).ref, "no")]
    core.delivered(deliver(core, now).reports, now)
    assert core.next(now) == Deliver([done(0)], quantity=3)
    core.delivered([done(0)], now)
    # What came later does not keep it waiting.
    finish(core, 2)
    assert core.next(now) == Sweep()


def test_what_is_refused_is_put_aside_before_a_sweep_and_does_not_put_it_off() -> None:
    core = new_core(concurrency=4, random=1.0)
    claim(core, 3)
    finish(core, 0, 1, 2)
    now = SWEEP_EVERY + 1
    assert refuse_all(core, now) == Sweep()


def test_results_that_wait_a_moment_for_others_let_the_sweep_wait_no_longer() -> None:
    core = new_core(concurrency=8, random=1.0)
    now = SWEEP_EVERY - LINGER / 2
    assert core.next(0) == Claim(8)
    core.claimed([task(n) for n in range(8)], asked=8, now=now)
    finish(core, 0)
    assert resting(core.next(SWEEP_EVERY)) == pytest.approx(LINGER / 2)
    assert deliver(core, SWEEP_EVERY + LINGER).reports == [done(0)]


def test_after_an_outage_results_are_reported_before_a_sweep_and_a_claim() -> None:
    core = new_core(concurrency=4, random=1.0)
    assert core.next(0) == Claim(4)
    core.claimed([task(0), task(1)], asked=4, now=0)
    finish(core, 0)
    assert refuse_all(core, 0.02) == Claim(3)
    core.disconnected()
    core.failed(0)
    finish(core, 1)
    later = 60.0
    assert core.next(later) == Connect()
    core.connected(later)
    # Also what had been refused before; without a claim, which would find its lease run out.
    first, second = deliver(core, later), None
    assert first.quantity == 0
    core.delivered(first.reports, later)
    second = deliver(core, later)
    core.delivered(second.reports, later)
    assert {*first.reports, *second.reports} == {done(0), done(1)}
    assert core.next(later) == Sweep()
    assert core.next(later) == Claim(4)


# Tasks that were lost before


def claim_suspect(core: Core) -> None:
    core.claimed([task(0)._replace(losses=1)], asked=4, now=0.0)


def test_beside_a_task_that_was_lost_before_it_claims_nothing() -> None:
    core = new_core(random=1.0)
    claim_suspect(core)
    core.woken(1.0)
    assert core.next(1.0) == Rest(SWEEP_EVERY)
    finish(core, 0)
    assert core.next(1.0) == Deliver([done(0)], quantity=0)
    core.delivered([done(0)], 1.0)
    assert core.next(1.0) == Claim(4)


def test_nor_while_its_report_is_refused() -> None:
    core = new_core(random=1.0)
    claim_suspect(core)
    finish(core, 0)
    assert isinstance(refuse_all(core), Rest)
    assert core.next(0.1) == Deliver([done(0)], quantity=0)


def test_a_task_that_was_lost_before_may_also_be_handed_back_or_left_or_need_no_report() -> None:
    core = new_core()
    claim_suspect(core)
    core.unstarted(task(0).ref)
    core.released()
    assert core.next(1.0) == Claim(4)
    claim_suspect(core)
    core.settled(task(0).ref, 1.0, 1.0)
    assert core.next(1.0) == Claim(4)
    claim_suspect(core)
    core.left(task(0).ref, 1.0)
    assert core.next(1.0) == Claim(4)


def test_what_is_not_reported_is_held() -> None:
    core = new_core(concurrency=8)
    claim(core, 4)
    assert core.held == 4
    finish(core, 0, 1)
    assert core.held == 4
    core.unstarted(task(2).ref)
    assert core.held == 4
    core.released()
    assert core.held == 3
    refuse_all(core, 0.02)
    assert core.held == 3
    core.claimed([], asked=7, now=0.2)
    core.delivered(deliver(core, 0.2).reports, 0.2)
    assert core.held == 2


def test_an_empty_claim_beside_a_task_says_nothing_of_what_is_left() -> None:
    core = new_core(until_idle=True)
    claim(core, 1)
    core.claimed([], asked=3, now=0)
    core.settled(task(0).ref, 1.0, 0)
    assert core.next(0) == Claim(4)


# Reports on a second connection


def work_off(
    core: Core, *, seconds: float = 0.0, kept_busy: int = 0, new_steps: bool = False
) -> Action:
    """Let a core work off a backlog; what it wants at last, or first besides.

    Args:
        core: The core.
        seconds: How long handlers run.
        kept_busy: How many of them have not ended when the next tasks come.
        new_steps: Whether each report brings the next step of what it reports.
    """
    for n in range(40):
        action = core.next(n * LINGER)
        if isinstance(action, Deliver):
            core.delivered(action.reports, 0)
        elif not isinstance(action, Claim):
            break
        if not action.quantity:
            continue
        slug = f"step {n}" if new_steps else "step"
        refs = [TaskRef("run", slug, 1000 * n + i, 1) for i in range(action.quantity)]
        tasks = [task(0)._replace(ref=ref) for ref in refs]
        core.claimed(tasks, asked=action.quantity, now=n * LINGER)
        busy = kept_busy if n == 3 else 0
        ended = [Completion(ref, "1") for ref in refs[: len(refs) - busy]]
        core.ended(ended, seconds * len(ended))
    return action


def apart(core: Core) -> DeliverApart:
    """Let a core go apart; its first delivery, which leaves room for claims."""
    assert work_off(core) == OpenSecond()
    core.second_opened(1)
    action = core.next(1)
    assert isinstance(action, DeliverApart)
    return action


def test_a_backlog_of_quick_tasks_is_reported_apart_while_it_claims() -> None:
    core = new_core(second=True)
    reports = apart(core).reports
    held = core.held
    assert held >= len(reports) > 0
    claimed = 0
    while isinstance(action := core.next(1), Claim):
        core.claimed(tasks := [task(n) for n in range(action.quantity)], asked=len(tasks), now=1)
        finish(core, *range(len(tasks)), seconds=0.0)
        claimed += len(tasks)
    assert claimed
    # One call at a time: those that have ended since wait for its answer, whatever their number.
    assert action == Rest(SWEEP_EVERY - 1, results=None)
    core.delivered(reports, 1)
    assert core.held == held + claimed - len(reports)
    assert isinstance(core.next(1), DeliverApart)


def test_what_is_not_reported_yet_leaves_less_room_for_claims() -> None:
    core = new_core(second=True)
    reports = apart(core).reports
    most = 4 + 500
    while isinstance(action := core.next(1), Claim):
        core.claimed([task(n) for n in range(action.quantity)], asked=action.quantity, now=1)
        finish(core, *range(action.quantity), seconds=0.0)
        assert core.held <= most + len(reports)
    core.delivered(reports, 1)
    assert isinstance(core.next(1), DeliverApart)
    assert isinstance(core.next(1), Claim)


@pytest.mark.parametrize(
    "why",
    [{"seconds": 1.0}, {"new_steps": True}, {"kept_busy": 4}],
    ids=["slow handlers", "handed over", "handlers kept busy"],
)
def test_only_a_backlog_of_others_that_keeps_quick_handlers_waiting_goes_apart(why: Any) -> None:
    assert isinstance(work_off(new_core(second=True), **why), Deliver)


def test_a_worker_that_finds_less_than_it_asks_for_never_goes_apart() -> None:
    core = new_core(second=True)
    for _ in range(BACKLOG):
        claim(core, 3, now=1)
        finish(core, 0, 1, 2, seconds=0.0)
        core.delivered(deliver(core, 1).reports, 1)


def test_a_worker_that_may_not_never_goes_apart() -> None:
    assert isinstance(work_off(new_core()), Deliver)


def test_the_end_of_the_backlog_ends_it() -> None:
    core = new_core(second=True, until_idle=True)
    reports = apart(core).reports
    core.claimed([], asked=100, now=1)
    # What is under way may bring work: a worker that ends when idle is not.
    assert core.next(1) != Finish()
    core.delivered(reports, 1)
    while isinstance(action := core.next(1), Deliver):
        assert action.quantity
        core.delivered(action.reports, 1)
        core.claimed([], asked=action.quantity, now=1)
    assert action == Claim(504)
    core.claimed([], asked=504, now=1)
    finds_nothing(core, 1)


def test_what_fails_apart_goes_the_ordinary_way() -> None:
    core = new_core(second=True)
    reports = apart(core).reports
    held = core.held
    core.returned()
    assert core.held == held
    action = core.next(1)
    assert isinstance(action, Deliver)
    assert list(action.reports) == list(reports)[: len(action.reports)]


def test_a_second_connection_that_is_lost_is_tried_again_later() -> None:
    core = new_core(second=True)
    apart(core)
    core.second_lost(1)
    core.returned()
    assert isinstance(work_off(core), (Claim, Deliver))
    assert OpenSecond() in [core.next(1 + AGAIN) for _ in range(3)]


def test_a_second_connection_is_closed_when_it_was_not_needed_for_long() -> None:
    core = new_core(second=True, random=1.0)
    core.delivered(apart(core).reports, 1)
    core.claimed([], asked=100, now=1)
    while isinstance(action := core.next(1), (Deliver, Claim)):
        if isinstance(action, Deliver):
            core.delivered(action.reports, 1)
        core.claimed([], asked=action.quantity, now=1)
    others = {core.next(KEEP + 0.9) for _ in range(4)}
    assert CloseSecond() not in others
    core.claimed([], asked=1, now=KEEP + 0.9)
    core.listening(True)
    done = [core.next(KEEP + 1) for _ in range(3)]
    assert CloseSecond() in done
    assert CloseSecond() not in {core.next(KEEP + 2) for _ in range(4)}


def test_asked_to_stop_it_waits_for_what_is_under_way_and_reports_the_rest_itself() -> None:
    core = new_core(second=True)
    reports = apart(core).reports
    core.stop(1)
    while isinstance(action := core.next(1), Deliver):
        core.delivered(action.reports, 1)
    assert isinstance(action, Rest)
    core.delivered(reports, 1)
    assert core.next(1) == Finish()


def test_a_sweep_waits_for_what_is_under_way() -> None:
    core = new_core(second=True, random=1.0)
    reports = apart(core).reports
    now = SWEEP_EVERY + 1
    done: list[Action] = []
    while not isinstance(action := core.next(now), (Rest, Sweep)):
        assert isinstance(action, Deliver)
        core.delivered(action.reports, now)
        done.append(action)
    assert isinstance(action, Rest)
    core.delivered(reports, now)
    while isinstance(action := core.next(now), Deliver):
        core.delivered(action.reports, now)
    assert action == Sweep()


# Settling


def settled_at_first(*, until_idle: bool = False) -> Core:
    """One that has just settled, and claimed in vain, at 0."""
    core = new_core(settles=True, until_idle=until_idle)
    core.listening(True)
    assert core.next(0) == Settle()
    core.tended(Settled(0, None), 0)
    assert isinstance(core.next(0), Claim)
    core.claimed([], asked=4, now=0)
    return core


def test_it_settles_when_the_next_is_due() -> None:
    core = settled_at_first()
    core.due(0.1)
    assert core.next(0.1) == Settle()
    core.tended(Settled(0, 0.5), 0.1)
    assert core.next(0.59) != Settle()
    assert core.next(0.6) == Settle()
    core.tended(Settled(100, 0.0), 0.6)
    assert core.next(0.6) == Settle()


def test_it_settles_every_few_seconds_whatever_it_is_told() -> None:
    core = settled_at_first()
    assert core.next(SETTLE_EVERY - 0.01) != Settle()
    assert core.next(SETTLE_EVERY) == Settle()
    core.tended(Settled(0, 3600.0), SETTLE_EVERY)
    assert core.next(2 * SETTLE_EVERY) == Settle()
    core.listening(False)
    core.tended(Settled(0, None), 10)
    assert core.next(10 + SETTLE_EVERY_DEAF) == Settle()


def test_it_claims_at_once_what_it_has_settled() -> None:
    core = settled_at_first()
    core.due(0.001)
    assert core.next(0.001) == Settle()
    core.tended(Settled(1, None), 0.001)
    assert core.next(0.001) == Claim(4)


def test_one_that_ends_when_it_is_idle_settles_first() -> None:
    core = settled_at_first(until_idle=True)
    finds_nothing(core, 0)
    core = new_core(settles=True, until_idle=True)
    core.tended(Settled(0, None), 0)
    core.claimed([task(0)], asked=4, now=0)
    core.ended([done(0)], 0.1)
    core.delivered([done(0)], 0.1)
    core.claimed([], asked=4, now=0.1)
    assert core.next(0.1) == Settle()
    core.tended(Settled(1, None), 0.1)
    assert isinstance(core.next(0.1), Claim)
    core.claimed([], asked=4, now=0.1)
    assert core.next(0.1) == Settle()
    core.tended(Settled(0, 60.0), 0.1)
    finds_nothing(core, 0.1)


def test_one_that_may_not_settle_asks_once_a_connection() -> None:
    core = new_core(settles=True)
    assert core.next(0) == Settle()
    core.not_tended(0, never=True)
    assert core.next(60) != Settle()
    core.connected(60)
    assert core.next(60) == Settle()
    core.not_tended(60, never=False)
    assert core.next(64) != Settle()


def test_one_that_stops_settles_no_more() -> None:
    core = settled_at_first()
    core.stop(1)
    assert core.next(SETTLE_EVERY) == Finish()
