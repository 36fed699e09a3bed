"""A repair meets a batch of reports: both hold tasks of several runs, and neither gets stuck."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from races.stopping import Call, holding
from support.engine import Engine, remove_runs
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.system


def test_a_repair_holds_the_tasks_too_that_are_made_while_it_waits(
    new_engine: Callable[[], Engine],
) -> None:
    """Or else a batch takes such a task first and another, which the repair wants, second."""
    worker, person, stopper, watcher = (new_engine() for _ in range(4))
    worker.define("line", [{"name": "a"}, {"name": "b", "dependencies": ["a"]}], timeout=3600)
    first, middle, last = sorted(worker.start_many("line", [{}, {}, {}]))
    tasks = {task.run_id: task for task in worker.claim(3)}
    worker.rows("update quantumflow.workflow_runs set remaining_steps = 3 returning id")

    with holding(stopper, "run", middle):
        with worker.connection.transaction():
            outcomes, (made,) = worker.exchange([(tasks[first], 1)])
            repair = Call(
                person,
                lambda engine: engine.rows("select run_id, action from quantumflow.repair(false)"),
            )
            assert repair.settle(watcher)
        # It has the first run by now, with the task that the worker has been given meanwhile.
        wait_until(
            lambda: stopper.pid in watcher.value("select pg_blocking_pids(%s)", person.pid),
            what="the repair to come to the run in the middle",
        )
        report = Call(worker, lambda engine: engine.complete_all([(made, 2), (tasks[last], 1)]))
        assert report.settle(watcher)

    assert outcomes == ["completed"]
    assert made.step_slug == "b"
    assert repair.result() == [(run_id, "done: recount") for run_id in (first, middle, last)]
    assert report.result() == ["completed", "completed"]
    assert watcher.problems() == []


_COUNT = "update quantumflow.step_states set remaining_tasks ="


def _repair(engine: Engine) -> list[tuple[Any, ...]]:
    return engine.rows("select run_id, action from quantumflow.repair(false)")


def test_a_repair_beside_a_resume(new_engine: Callable[[], Engine]) -> None:
    """A repair that had the steps, and waited for the run, would have the one that is resumed."""
    setup, resumer, person, stopper = (new_engine() for _ in range(4))
    remove_runs(setup.connection)
    setup.define("pair", [{"name": "a"}, {"name": "b", "dependencies": ["a"]}])
    run_id = setup.start("pair")
    (task,) = setup.claim()
    setup.value("select status from quantumflow.pause_run(%s)", run_id)
    assert setup.complete(task, 1) == "completed"
    setup.rows("update quantumflow.workflow_runs set remaining_steps = 2 returning id")

    with holding(stopper, "run", run_id):
        call = "select status from quantumflow.resume_run(%s)"
        resume = Call(resumer, lambda engine: engine.value(call, run_id))
        assert resume.settle(setup)
        repair = Call(person, _repair)
        assert repair.settle(setup)
    assert resume.result() == "started"
    assert repair.result() == [(run_id, "done: recount")]
    assert setup.problems() == []


def test_a_repair_beside_a_task_that_was_made_since_it_began(
    new_engine: Callable[[], Engine],
) -> None:
    """Nothing makes a task of a run that a repair has; and what is reported then waits for it."""
    worker, person, stopper, watcher = (new_engine() for _ in range(4))
    remove_runs(worker.connection)
    worker.define("fan", [{"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}])
    run_id = worker.start("fan")
    (task,) = worker.claim()
    worker.rows("update quantumflow.workflow_runs set remaining_steps = 1 returning id")

    with holding(stopper, "task", run_id, "a"):
        report = Call(worker, lambda engine: engine.exchange([(task, [1, 2])], 2))
        assert report.settle(watcher)
        assert _repair(person) == [(run_id, "done: recount")]
    outcomes, made = report.result()
    assert outcomes == ["completed"]
    assert len(made) == 2

    assert worker.complete_all([(task, 1) for task in made]) == ["completed"] * 2
    assert worker.run_status(run_id) == "completed"
    assert worker.problems() == []


def test_a_repair_leaves_the_step_of_a_task_that_somebody_has(
    new_engine: Callable[[], Engine],
) -> None:
    """A handler's own transaction may be open for long, and writes to the step in the end."""
    worker, person = new_engine(), new_engine()
    remove_runs(worker.connection)
    worker.define("one", [{"name": "a"}])
    run_id = worker.start("one")
    (task,) = worker.claim()
    worker.rows(f"{_COUNT} 0 returning 1")
    hold = "select quantumflow.hold_task(%s, %s, %s, %s)"

    with worker.connection.transaction(force_rollback=True):
        assert worker.value(hold, *task.key, task.lease_token) == "held"
        assert {action for _, action in _repair(person)} == {"not done: it is still so"}
    worker.rows(f"{_COUNT} 1 returning 1")
    assert worker.complete(task, 1) == "completed"
    assert worker.run_status(run_id) == "completed"
    assert worker.problems() == []


def test_a_repair_leaves_a_large_map_whose_counter_somebody_has(
    new_engine: Callable[[], Engine],
) -> None:
    """Who reports a task of it has a counter, not the step, and may be waiting for the run."""
    worker, person, stopper, watcher = (new_engine() for _ in range(4))
    remove_runs(worker.connection)
    worker.count_apart_from(16)
    worker.define("wide", [{"name": "each", "type": "map"}])
    run_id = worker.start("wide", list(range(16)))
    tasks = worker.claim(16)
    worker.rows(f"{_COUNT} 15 returning 1")

    with holding(stopper, "run", run_id):
        repair = Call(person, _repair)
        assert repair.settle(watcher)
        report = Call(worker, lambda engine: engine.complete(tasks[0], 1))
        assert report.settle(watcher)
    assert report.result() == "completed"
    assert repair.result() == [(run_id, "not done: it is still so")]

    assert _repair(person) == [(run_id, "done: recount")]
    assert set(worker.complete_all([(task, 1) for task in tasks[1:]])) == {"completed"}
    assert worker.run_status(run_id) == "completed"
    assert worker.problems() == []
