"""Claims hand a task to one claimer only, and wait for nobody."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from races.stopping import ROWS, holding
from support.engine import Engine, Task, allow_test_clock, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.system

FLOW: list[dict[str, Any]] = [
    {"name": "left"},
    {"name": "right"},
    {"name": "join", "dependencies": ["left", "right"]},
]


@pytest.fixture(scope="module")
def engine(new_engine: Callable[[], Engine]) -> Engine:
    engine = new_engine()
    allow_test_clock(engine.connection)
    engine.define("pair", FLOW, timeout=3600, max_lost=100)
    engine.define("fragile", FLOW, timeout=3600, max_lost=1, on_failure="note")
    engine.define("wide", [{"name": "each", "type": "map"}], timeout=3600)
    return engine


@pytest.fixture(autouse=True)
def no_runs(engine: Engine) -> None:
    remove_runs(engine.connection)
    engine.set_clock(0)


def _claim_all(engines: list[Engine], quantity: int) -> list[Task]:
    """Let all claim at once, again and again, until all find nothing; answers what they got."""
    barrier = threading.Barrier(len(engines))

    def work(engine: Engine) -> list[Task]:
        engine.set_clock(1)
        barrier.wait(30)
        got: list[Task] = []
        while tasks := engine.claim(quantity):
            got += tasks
        return got

    with concurrent.futures.ThreadPoolExecutor(len(engines)) as pool:
        return [task for tasks in pool.map(work, engines) for task in tasks]


@pytest.mark.parametrize("claimers", [2, 8])
@pytest.mark.parametrize("quantity", [1, 7])
def test_no_task_is_handed_to_two(
    engine: Engine, new_engine: Callable[[], Engine], claimers: int, quantity: int
) -> None:
    run_id = engine.start("wide", list(range(300)))

    tasks = _claim_all([new_engine() for _ in range(claimers)], quantity)

    indexes = [task.task_index for task in tasks]
    assert len(indexes) == len(set(indexes))
    # A claim that meets a message in another's hands leaves it; whoever holds it claims it.
    assert sorted(indexes) == list(range(300))
    assert all(task.input == {"item": task.task_index, "index": task.task_index} for task in tasks)
    stored = dict(
        engine.rows(
            "select task_index, lease_token from quantumflow.step_tasks where run_id = %s", run_id
        )
    )
    assert {task.task_index: task.lease_token for task in tasks} == stored
    assert engine.problems() == []


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("lapsed", [False, True], ids=["queued", "lapsed"])
@pytest.mark.parametrize("flow", ["pair", "fragile"])
def test_a_claim_does_not_wait_for_a_row_that_somebody_holds(
    engine: Engine, new_engine: Callable[[], Engine], row: str, lapsed: bool, flow: str
) -> None:
    third, claimer = new_engine(), new_engine()
    claimer.connection.execute("set lock_timeout = '20 ms'")
    run_id = engine.start(flow)
    if lapsed:
        assert len(engine.claim(2, lease=1)) == 2
    claimer.set_clock(10)

    with holding(third, row, run_id):
        found = {task.step_slug for task in claimer.claim(10)}
        claimer.sweep()

    assert not ("left" in found and row in ("message", "task", "run"))
    claimer.set_clock(20)
    claimer.sweep()
    found |= {task.step_slug for task in claimer.claim(10)}
    found |= {task.step_slug for task in claimer.claim(10)}
    assert found == ({"_on_failure"} if lapsed and flow == "fragile" else {"left", "right"})
    assert engine.problems() == []


def test_a_claim_does_not_wait_for_a_message_of_a_run_whose_end_is_unfinished(
    engine: Engine, new_engine: Callable[[], Engine]
) -> None:
    third, claimer = new_engine(), new_engine()
    claimer.connection.execute("set lock_timeout = '20 ms'")
    run_id = engine.start("pair")

    with holding(third, "task", run_id):
        assert engine.cancel(run_id) == "cancelled"
    with holding(third, "message", run_id):
        assert claimer.claim(10) == []
        assert claimer.sweep()["unfinished ends"] == 1
        assert engine.problems() == []

    assert claimer.sweep()["unfinished ends"] == 1
    assert engine.rows("select * from quantumflow._unfinished_ends") == []
    assert engine.problems() == []
    assert engine.messages() == 0


def test_a_lapse_that_ends_a_run_does_not_wait_for_a_claim_of_that_run(
    engine: Engine, new_engine: Callable[[], Engine]
) -> None:
    third, claimer = new_engine(), new_engine()
    claimer.connection.execute("set lock_timeout = '20 ms'")
    claimer.set_clock(10)
    third.set_clock(0.5)
    run_id = engine.start("fragile")
    (left,) = engine.claim(1, lease=1)
    with third.connection.transaction():
        assert len(third.claim(1)) == 1
        assert claimer.sweep()["lapsed leases"] == 0
    assert engine.run_status(run_id) == "started"
    claimer.set_clock(11)
    assert claimer.sweep()["lapsed leases"] == 1
    assert engine.task_statuses(run_id)[left.step_slug, 0] == "failed"
    assert engine.problems() == []


def test_a_claim_does_not_wait_for_the_row_of_its_worker(
    engine: Engine, new_engine: Callable[[], Engine]
) -> None:
    third, claimer = new_engine(), new_engine()
    register = "select quantumflow.register_worker(%s, 'worker', null, '{quantum_flow_queue}')"
    engine.value(register, claimer.worker_id)
    claimer.set_clock(10)
    claimer.connection.execute("set lock_timeout = '20 ms'")
    seen = "select last_seen_at from quantumflow.workers where worker_id = %s"
    engine.start("pair")

    before = engine.value(seen, claimer.worker_id)
    with third.connection.transaction(force_rollback=True):
        third.connection.execute("select from quantumflow.workers for update")
        tasks = claimer.claim(10)
        assert len(tasks) == 2
        assert claimer.extend(tasks) == ["held", "held"]
        assert engine.value(seen, claimer.worker_id) == before
    claimer.extend(tasks)
    assert engine.value(seen, claimer.worker_id) > before


def test_what_others_hold_of_one_command_does_not_hide_another(
    engine: Engine, new_engine: Callable[[], Engine]
) -> None:
    """Nor does anybody hold more than it takes, or take it twice."""
    engine.define("broad", [{"name": "other", "type": "map"}])
    engine.start_many("pair", [{}] * 2)
    engine.set_clock(0.5)
    engine.start("wide", [1, 2, 3])
    engine.start("broad", [1, 2, 3, 4])
    found: list[list[str]] = []

    with contextlib.ExitStack() as stack:
        for quantity in (3, 3, 3, 9):
            claimer = new_engine()
            claimer.set_clock(1)
            # Nobody sees what the others have taken: it is visible as before, and held.
            stack.enter_context(claimer.connection.transaction())
            tasks = claimer.claim(quantity, commands=["left", "right", "each", "other"])
            found.append(sorted(task.step_slug for task in tasks))

    assert [len(steps) for steps in found] == [3, 3, 3, 2]
    assert set(found[0]) == {"left", "right"}
    assert Counter(itertools.chain(*found)) == {"left": 2, "right": 2, "each": 3, "other": 4}
    assert engine.problems() == []


def test_beside_who_holds_one_message_a_claim_takes_as_many_others_each_once(
    engine: Engine, new_engine: Callable[[], Engine]
) -> None:
    engine.start_many("pair", [{}] * 6)
    third = new_engine().connection
    with third.transaction(force_rollback=True):
        third.execute("select from pgmq.q_quantum_flow_queue order by vt limit 1 for update")
        tasks = engine.claim(3, commands=["left", "right"])
    assert len(tasks) == 3
    assert len({task.key for task in tasks}) == 3
    assert engine.problems() == []


def test_a_busy_message_comes_back_after_100_ms(
    engine: Engine, new_engine: Callable[[], Engine]
) -> None:
    third = new_engine()
    run_id = engine.start("pair")

    with holding(third, "task", run_id):
        assert [task.step_slug for task in engine.claim(10)] == ["right"]

    engine.set_clock(0.099)
    assert engine.claim(10) == []
    engine.set_clock(0.1)
    assert [task.step_slug for task in engine.claim(10)] == ["left"]


def test_a_lapsed_lease_is_taken_by_one_of_many(
    engine: Engine, new_engine: Callable[[], Engine]
) -> None:
    """Whoever finds a lease lapsed counts the loss, once."""
    run_id = engine.start("wide", list(range(40)))
    first = {task.task_index: task for task in engine.claim(40, lease=0.5)}
    assert len(first) == 40

    again = _claim_all([new_engine() for _ in range(4)], 7)

    assert sorted(task.task_index for task in again) == list(range(40))
    assert {task.attempt for task in again} == {2}
    losses = engine.rows("select losses from quantumflow.step_tasks where run_id = %s", run_id)
    assert losses == [(1,)] * 40
    assert set(engine.complete_all([(task, None) for task in first.values()])) == {"stale"}
    assert set(engine.complete_all([(task, task.task_index) for task in again])) == {"completed"}
    assert engine.run_output(run_id) == {"each": list(range(40))}
    assert engine.problems() == []
