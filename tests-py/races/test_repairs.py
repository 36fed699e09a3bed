"""A repair meets a batch of reports: both hold tasks of several runs, and neither gets stuck."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from races.stopping import Call, holding
from support.engine import Engine
from support.waiting import wait_until

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
