"""Two calls that meet in the worst order, each order written out.

One session keeps its call's transaction open, or takes a row before it calls, so that the other
call has locked some of its rows and waits for the next. There is no third session and no chance:
each order is forced, and its result is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from races.stopping import Call
from support.engine import Engine, Task, allow_test_clock, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

pytestmark = pytest.mark.system

LAPSED = 20


@dataclass
class Scene:
    """A run with two claimed tasks, left and right, and join waiting; leases last from 0 to 10."""

    run_id: UUID
    left: Task
    right: Task
    a: Engine
    b: Engine
    watcher: Engine

    def take(self, engine: Engine, table: str) -> None:
        """Let a session in a transaction lock the run (workflow_runs), or a task (step_tasks)."""
        condition = "id = %s" if table == "workflow_runs" else "run_id = %s and step_slug = 'left'"
        engine.connection.execute(
            f"select from quantumflow.{table} where {condition} for update", (self.run_id,)
        )

    def clock(self, seconds: float) -> None:
        for engine in (self.a, self.b, self.watcher):
            engine.set_clock(seconds)

    def check(self, run: str, left: str, right: str) -> None:
        """Sweep, as somebody will; then all must be well and as said."""
        self.clock(LAPSED + 1)
        self.watcher.sweep()
        assert self.watcher.problems() == []
        assert self.watcher.rows("select * from quantumflow._unfinished_ends") == []
        statuses = self.watcher.task_statuses(self.run_id)
        assert (
            self.watcher.run_status(self.run_id),
            statuses["left", 0],
            statuses["right", 0],
        ) == (
            run,
            left,
            right,
        )


@pytest.fixture(scope="module")
def engines(new_engine: Callable[[], Engine]) -> tuple[Engine, Engine, Engine]:
    engines = new_engine(), new_engine(), new_engine()
    allow_test_clock(engines[0].connection)
    engines[0].define(
        "pair",
        [
            {"name": "left"},
            {"name": "right"},
            {"name": "join", "dependencies": ["left", "right"]},
        ],
        timeout=3600,
        on_failure="note",
    )
    engines[0].define(
        "line",
        [{"name": "left"}, {"name": "right"}, {"name": "after", "dependencies": ["left"]}],
        timeout=3600,
    )
    engines[0].define("alone", [{"name": "left"}], timeout=3600, on_complete="note")
    engines[0].define("each", [{"name": "left", "type": "map"}], timeout=3600)
    return engines


def _scene(engines: tuple[Engine, Engine, Engine], flow: str) -> Scene:
    a, b, watcher = engines
    remove_runs(watcher.connection)
    watcher.set_clock(0)
    run_id = watcher.start(flow)
    tasks = {task.step_slug: task for task in watcher.claim(2, lease=10)}
    scene = Scene(run_id, tasks["left"], tasks["right"], a, b, watcher)
    scene.clock(5)
    return scene


@pytest.fixture
def scene(engines: tuple[Engine, Engine, Engine]) -> Scene:
    return _scene(engines, "pair")


@pytest.fixture
def line(engines: tuple[Engine, Engine, Engine]) -> Scene:
    """A scene in which after waits for left alone, and nothing for right."""
    return _scene(engines, "line")


# A lease that has run out: whoever takes the task first has it.


def test_a_late_complete_that_holds_the_task_wins_over_a_claim(scene: Scene) -> None:
    scene.clock(LAPSED)
    with scene.a.connection.transaction():
        assert scene.a.complete(scene.left, 1) == "completed"
        assert [task.step_slug for task in scene.b.claim(5)] == ["right"]
    scene.check("started", "completed", "started")


def test_a_late_complete_stopped_at_the_run_and_a_claim_do_not_deadlock(scene: Scene) -> None:
    scene.clock(LAPSED)
    with scene.a.connection.transaction():
        scene.take(scene.a, "workflow_runs")
        complete = Call(scene.b, lambda engine: engine.complete(scene.left, 1))
        assert complete.settle(scene.watcher)
        # This claim takes the left message, too, but not the left task.
        assert [task.step_slug for task in scene.a.claim(5)] == ["right"]
    assert complete.result() == "completed"
    scene.check("started", "completed", "started")


def test_a_late_complete_loses_to_a_claim_that_holds_the_task(scene: Scene) -> None:
    scene.clock(LAPSED)
    with scene.a.connection.transaction():
        (again,) = scene.a.claim(5)
        assert again.step_slug == "left"
        complete = Call(scene.b, lambda engine: engine.complete(scene.left, 1))
        assert complete.settle(scene.watcher)
    assert complete.result() == "stale"
    assert scene.b.complete(again, 2) == "completed"
    scene.check("started", "completed", "queued")
    assert scene.watcher.value("select quantumflow.step_output(%s, 'left')", scene.run_id) == 2


def test_a_late_fail_loses_to_a_claim_that_holds_the_task(scene: Scene) -> None:
    scene.clock(LAPSED)
    with scene.a.connection.transaction():
        (again,) = scene.a.claim(5)
        fail = Call(scene.b, lambda engine: engine.fail(scene.left, retryable=False))
        assert fail.settle(scene.watcher)
    assert fail.result() == "stale"
    assert scene.b.complete(again) == "completed"
    scene.check("started", "completed", "queued")


def test_a_claim_that_is_rolled_back_leaves_the_lease_to_its_holder(scene: Scene) -> None:
    scene.clock(LAPSED)
    with scene.a.connection.transaction(force_rollback=True):
        assert len(scene.a.claim(5)) == 1
        complete = Call(scene.b, lambda engine: engine.complete(scene.left, 1))
        assert complete.settle(scene.watcher)
    assert complete.result() == "completed"
    assert scene.b.complete(scene.right, 2) == "completed"
    scene.check("started", "completed", "completed")


def test_sweep_leaves_a_task_whose_complete_is_under_way(scene: Scene) -> None:
    scene.clock(LAPSED)
    with scene.a.connection.transaction():
        assert scene.a.complete(scene.left, 1) == "completed"
        assert scene.b.sweep()["lapsed leases"] == 1
    scene.check("started", "completed", "queued")


def test_a_complete_loses_to_a_sweep_that_holds_the_task(scene: Scene) -> None:
    scene.clock(LAPSED)
    with scene.a.connection.transaction():
        assert scene.a.sweep()["lapsed leases"] == 2
        complete = Call(scene.b, lambda engine: engine.complete(scene.left, 1))
        assert complete.settle(scene.watcher)
    assert complete.result() == "stale"
    scene.check("started", "queued", "queued")


def test_a_sweep_in_an_open_transaction_leaves_queued_tasks_to_claims(scene: Scene) -> None:
    scene.watcher.start("pair")
    with scene.a.connection.transaction():
        assert scene.a.sweep()["lapsed leases"] == 0
        assert len(scene.b.claim(5)) == 2
    scene.check("started", "queued", "queued")


def test_a_sweep_looks_again_at_a_lease_that_it_found_lapsed(scene: Scene) -> None:
    """Whatever it waits for, it judges a lease by what it finds then."""
    scene.clock(LAPSED)
    with scene.a.connection.transaction():
        scene.a.connection.execute("lock table pgmq.q_quantum_flow_queue in exclusive mode")
        sweep = Call(scene.b, lambda engine: engine.sweep()["lapsed leases"])
        assert sweep.settle(scene.watcher)
        assert scene.a.extend([scene.left]) == ["held"]
    assert sweep.result() == 1
    scene.check("started", "started", "queued")


# Cancel: what it had to skip is finished by whoever held it, or by the next sweep.


def test_a_fail_that_has_read_started_leaves_no_queued_task_behind_a_cancel(scene: Scene) -> None:
    with scene.a.connection.transaction():
        scene.take(scene.a, "workflow_runs")
        fail = Call(scene.b, lambda engine: engine.fail(scene.left))
        assert fail.settle(scene.watcher)
        assert scene.a.cancel(scene.run_id) == "cancelled"
    assert fail.result() == "run_ended"
    assert scene.watcher.messages() == 0
    scene.check("cancelled", "cancelled", "cancelled")


def test_a_fail_before_a_cancel_counts(scene: Scene) -> None:
    with scene.a.connection.transaction():
        assert scene.a.fail(scene.left) == "retrying"
        cancel = Call(scene.b, lambda engine: engine.cancel(scene.run_id))
        assert cancel.settle(scene.watcher)
    assert cancel.result() == "cancelled"
    assert scene.watcher.value("select count(*) from quantumflow.task_failures") == 1
    scene.check("cancelled", "cancelled", "cancelled")


def test_a_cancel_skips_a_task_that_dies_with_its_holder_and_sweep_finishes_it(
    scene: Scene,
) -> None:
    with scene.a.connection.transaction(force_rollback=True):
        scene.take(scene.a, "step_tasks")
        assert scene.b.cancel(scene.run_id) == "cancelled"
        assert scene.watcher.problems() == []
    assert scene.watcher.task_statuses(scene.run_id)["left", 0] == "started"
    scene.check("cancelled", "cancelled", "cancelled")
    assert scene.watcher.messages() == 0


@pytest.mark.parametrize(("flow", "flow_input"), [("alone", {}), ("each", [1])])
def test_a_cancel_before_the_complete_of_the_last_task_wins(
    scene: Scene, flow: str, flow_input: Any
) -> None:
    run_id = scene.watcher.start(flow, flow_input)
    (last,) = scene.watcher.claim()
    with scene.a.connection.transaction():
        scene.a.connection.execute(
            "select from quantumflow.workflow_runs where id = %s for update", (run_id,)
        )
        complete = Call(scene.b, lambda engine: engine.complete(last, 1))
        assert complete.settle(scene.watcher)
        # The complete holds a map's row too, which the cancel leaves alone.
        assert scene.a.cancel(run_id) == "cancelled"
    assert complete.result() == "run_ended"
    assert scene.watcher.run_output(run_id) is None
    scene.check("started", "queued", "queued")
    assert scene.watcher.run_status(run_id) == "cancelled"
    assert scene.watcher.step_statuses(run_id) == {"left": "cancelled"}
    assert scene.watcher.task_statuses(run_id) == {("left", 0): "cancelled"}


def test_a_cancel_after_the_complete_of_the_last_task_is_too_late(scene: Scene) -> None:
    run_id = scene.watcher.start("alone")
    (last,) = scene.watcher.claim()
    with scene.a.connection.transaction():
        assert scene.a.complete(last, 1) == "completed"
        cancel = Call(scene.b, lambda engine: engine.cancel(run_id))
        assert cancel.settle(scene.watcher)
    assert cancel.result() == "too late"
    assert scene.watcher.run_output(run_id) == {"left": 1}
    assert scene.watcher.problems() == []
    # Its on_complete task, and no other, is there.
    assert [task.step_slug for task in scene.watcher.claim(5)] == ["_on_complete"]


def test_a_claim_before_a_cancel_is_cancelled_with_the_run(scene: Scene) -> None:
    run_id = scene.watcher.start("pair")
    with scene.a.connection.transaction():
        tasks = scene.a.claim(2)
        assert len(tasks) == 2
        cancel = Call(scene.b, lambda engine: engine.cancel(run_id))
        assert cancel.settle(scene.watcher)
    assert cancel.result() == "cancelled"
    assert scene.a.extend(tasks) == ["cancelled", "cancelled"]
    assert scene.a.complete_all([(task, 1) for task in tasks]) == ["run_ended", "run_ended"]
    assert set(scene.watcher.task_statuses(run_id).values()) == {"cancelled"}
    scene.check("started", "queued", "queued")


def test_a_claim_beside_a_cancel_takes_nothing_and_does_not_wait(scene: Scene) -> None:
    run_id = scene.watcher.start("pair")
    with scene.a.connection.transaction():
        assert scene.a.cancel(run_id) == "cancelled"
        claim = Call(scene.b, lambda engine: engine.claim(5))
        assert not claim.settle(scene.watcher)
        assert claim.result() == []
    scene.clock(6)
    assert scene.b.claim(5) == []
    assert set(scene.watcher.task_statuses(run_id).values()) == {"cancelled"}
    scene.check("started", "queued", "queued")


def test_a_release_behind_a_cancel_leaves_no_queued_task(scene: Scene) -> None:
    with scene.a.connection.transaction():
        scene.take(scene.a, "workflow_runs")
        release = Call(scene.b, lambda engine: engine.release([scene.left]))
        assert release.settle(scene.watcher)
        assert scene.a.cancel(scene.run_id) == "cancelled"
    assert release.result() == 0
    assert scene.watcher.messages() == 0
    scene.check("cancelled", "cancelled", "cancelled")


def test_a_cancel_behind_a_release_cancels_what_was_handed_back(scene: Scene) -> None:
    with scene.a.connection.transaction():
        assert scene.a.release([scene.left]) == 1
        cancel = Call(scene.b, lambda engine: engine.cancel(scene.run_id))
        assert cancel.settle(scene.watcher)
    assert cancel.result() == "cancelled"
    scene.check("cancelled", "cancelled", "cancelled")


# A run that fails stops what it can get, and leaves the rest to its holders.


def test_a_complete_stopped_at_the_run_that_a_sibling_fails(scene: Scene) -> None:
    with scene.a.connection.transaction():
        scene.take(scene.a, "workflow_runs")
        complete = Call(scene.b, lambda engine: engine.complete(scene.right, 1))
        assert complete.settle(scene.watcher)
        assert scene.a.fail(scene.left, retryable=False) == "failed"
        unfinished = scene.a.rows("select run_id from quantumflow._unfinished_ends")
        assert unfinished == [(scene.run_id,)]
    assert complete.result() == "run_ended"
    scene.check("failed", "failed", "cancelled")
    assert scene.watcher.step_statuses(scene.run_id) == {
        "left": "failed",
        "right": "cancelled",
        "join": "cancelled",
    }
    assert [task.step_slug for task in scene.watcher.claim(5)] == ["_on_failure"]


def test_a_fail_waits_for_a_sibling_that_completes(scene: Scene) -> None:
    with scene.a.connection.transaction():
        assert scene.a.complete(scene.right, 1) == "completed"
        fail = Call(scene.b, lambda engine: engine.fail(scene.left, retryable=False))
        assert fail.settle(scene.watcher)
    assert fail.result() == "failed"
    scene.check("failed", "failed", "completed")
    assert [task.step_slug for task in scene.watcher.claim(5)] == ["_on_failure"]


def test_two_siblings_that_fail_fire_on_failure_once(scene: Scene) -> None:
    with scene.a.connection.transaction():
        scene.take(scene.a, "workflow_runs")
        fail = Call(scene.b, lambda engine: engine.fail(scene.right, retryable=False))
        assert fail.settle(scene.watcher)
        assert scene.a.fail(scene.left, retryable=False) == "failed"
    assert fail.result() == "run_ended"
    scene.check("failed", "failed", "cancelled")
    assert [task.step_slug for task in scene.watcher.claim(5)] == ["_on_failure"]


# Joins: both have counted their own step before either can look at the other's.


def test_two_completes_that_end_two_steps_start_the_join_once(scene: Scene) -> None:
    with scene.watcher.connection.transaction():
        scene.take(scene.watcher, "workflow_runs")
        left = Call(scene.a, lambda engine: engine.complete(scene.left, "l"))
        assert left.settle(scene.watcher)
        right = Call(scene.b, lambda engine: engine.complete(scene.right, "r"))
        assert right.settle(scene.watcher)
    assert (left.result(), right.result()) == ("completed", "completed")
    (join,) = scene.watcher.claim(5)
    assert join.step_slug == "join"
    assert join.input == {"run": {}, "left": "l", "right": "r"}
    scene.check("started", "completed", "completed")


def test_a_join_waits_for_a_complete_in_an_open_transaction(scene: Scene) -> None:
    with scene.a.connection.transaction():
        assert scene.a.complete(scene.left, "l") == "completed"
        right = Call(scene.b, lambda engine: engine.complete(scene.right, "r"))
        assert right.settle(scene.watcher)
        assert scene.watcher.claim(5) == []
    assert right.result() == "completed"
    assert [task.step_slug for task in scene.watcher.claim(5)] == ["join"]


def test_a_complete_that_is_rolled_back_does_not_count(scene: Scene) -> None:
    with scene.a.connection.transaction(force_rollback=True):
        assert scene.a.complete(scene.left, "l") == "completed"
        right = Call(scene.b, lambda engine: engine.complete(scene.right, "r"))
        assert right.settle(scene.watcher)
    assert right.result() == "completed"
    assert scene.watcher.claim(5) == []
    assert scene.a.complete(scene.left, "again") == "completed"
    (join,) = scene.watcher.claim(5)
    assert join.input == {"run": {}, "left": "again", "right": "r"}


# Hand-overs: a report that claims hands out what it makes ready, if it makes it ready.


def _exchange(scene: Scene, engine: Engine) -> tuple[list[str], list[str]]:
    outcomes, tasks = engine.exchange([(scene.left, 1)], 5, lease=10)
    return outcomes, [task.step_slug for task in tasks]


def test_of_a_run_that_is_paused_first_nothing_is_handed_over(line: Scene) -> None:
    with line.a.connection.transaction():
        line.take(line.a, "workflow_runs")
        exchange = Call(line.b, lambda engine: _exchange(line, engine))
        assert exchange.settle(line.watcher)
        line.a.value("select status from quantumflow.pause_run(%s)", line.run_id)
    assert exchange.result() == (["completed"], [])
    assert line.watcher.step_statuses(line.run_id)["after"] == "created"
    assert line.watcher.problems() == []
    line.a.value("select status from quantumflow.resume_run(%s)", line.run_id)
    assert [task.step_slug for task in line.b.claim(5)] == ["after"]
    line.check("started", "completed", "queued")


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_of_a_run_that_ends_first_nothing_is_handed_over(line: Scene, end: str) -> None:
    with line.a.connection.transaction():
        line.take(line.a, "workflow_runs")
        exchange = Call(line.b, lambda engine: _exchange(line, engine))
        assert exchange.settle(line.watcher)
        if end == "cancelled":
            assert line.a.cancel(line.run_id) == "cancelled"
        else:
            assert line.a.fail(line.right, retryable=False) == "failed"
    assert exchange.result() == (["run_ended"], [])
    assert line.watcher.step_statuses(line.run_id)["after"] == "cancelled"
    line.check(end, "cancelled", end)
    assert line.watcher.messages() == 0


@pytest.mark.parametrize("verb", ["retry_run", "delete_run"])
def test_a_result_from_before_a_retry_or_deletion_hands_nothing_over(
    line: Scene, verb: str
) -> None:
    assert line.watcher.cancel(line.run_id) == "cancelled"
    with line.a.connection.transaction():
        line.a.value(f"select status from quantumflow.{verb}(%s)", line.run_id)
        assert _exchange(line, line.b) == (["run_ended"], [])
    # What it claims beside are the retried run's first steps.
    claimed = {"retry_run": ["left", "right"], "delete_run": []}[verb]
    assert _exchange(line, line.b) == (["stale"], claimed)
    assert line.watcher.problems() == []


def test_what_was_handed_over_is_cancelled_with_its_run(line: Scene) -> None:
    with line.a.connection.transaction():
        outcomes, (after,) = line.a.exchange([(line.left, 1)], 5, lease=10)
        assert (outcomes, after.step_slug) == (["completed"], "after")
        cancel = Call(line.b, lambda engine: engine.cancel(line.run_id))
        assert cancel.settle(line.watcher)
    assert cancel.result() == "cancelled"
    assert line.a.extend([after]) == ["cancelled"]
    assert line.a.exchange([(after, 1)]) == (["run_ended"], [])
    line.check("cancelled", "completed", "cancelled")
    assert line.watcher.messages() == 0


def test_a_hand_over_that_is_rolled_back_was_none(line: Scene) -> None:
    with line.a.connection.transaction(force_rollback=True):
        assert _exchange(line, line.a) == (["completed"], ["after"])
        assert line.b.claim(5) == []
        exchange = Call(line.b, lambda engine: _exchange(line, engine))
        assert exchange.settle(line.watcher)
    assert exchange.result() == (["completed"], ["after"])
    assert line.watcher.claim(5) == []
    line.check("started", "completed", "queued")


def test_of_two_with_the_same_result_one_is_handed_what_comes_of_it(line: Scene) -> None:
    with line.a.connection.transaction():
        assert _exchange(line, line.a) == (["completed"], ["after"])
        exchange = Call(line.b, lambda engine: _exchange(line, engine))
        assert exchange.settle(line.watcher)
    assert exchange.result() == (["duplicate"], [])
    line.check("started", "completed", "queued")


def test_what_the_answer_that_got_lost_handed_over_comes_back_alone(line: Scene) -> None:
    """The worker knows nothing of its commit: it reports again, and waits as all the others do."""
    assert _exchange(line, line.a) == (["completed"], ["after"])
    assert _exchange(line, line.a) == (["duplicate"], [])
    assert line.b.claim(5) == []
    assert line.b.complete(line.right, 1) == "completed"
    line.clock(LAPSED)
    assert line.watcher.sweep()["lapsed leases"] == 1
    line.watcher.start_many("alone", [{}] * 2)
    (after,) = line.b.claim(5)
    assert (after.step_slug, after.attempt) == ("after", 2)
    kinds = "select step_slug, kind, attempt from quantumflow.task_failures"
    assert line.watcher.rows(kinds) == [("after", "lost", 1)]
    assert line.b.exchange([(after, 2)], 5)[0] == ["completed"]
    assert line.watcher.run_output(line.run_id) == {"right": 1, "after": 2}
    assert line.watcher.problems() == []


# Calls on a run at rest.


@pytest.mark.parametrize("verb", ["retry_run", "delete_run"])
def test_a_run_that_goes_on_is_refused_without_waiting_for_its_tasks(
    scene: Scene, verb: str
) -> None:
    """To wait with its other tasks locked would let their leases run out."""
    call = f"select status from quantumflow.{verb}(%s)"
    with scene.a.connection.transaction():
        scene.take(scene.a, "step_tasks")
        refused = Call(scene.b, lambda engine: engine.value(call, scene.run_id))
        assert not refused.settle(scene.watcher)
    with pytest.raises(psycopg.Error) as error:
        refused.result()
    assert error.value.sqlstate == "QF213"


# Leases are extended without waiting.


def test_an_extension_does_not_wait_for_a_complete_in_an_open_transaction(scene: Scene) -> None:
    with scene.a.connection.transaction():
        assert scene.a.complete(scene.left, 1) == "completed"
        extend = Call(scene.b, lambda engine: engine.extend([scene.left, scene.right]))
        assert not extend.settle(scene.watcher)
        assert extend.result() == ["held", "held"]
    assert scene.b.extend([scene.left, scene.right]) == ["lost", "held"]
    scene.clock(LAPSED)
    assert [task.step_slug for task in scene.b.claim(5)] == []


def test_an_extension_beside_a_cancel_says_held_until_it_is_cancelled(scene: Scene) -> None:
    with scene.a.connection.transaction():
        assert scene.a.cancel(scene.run_id) == "cancelled"
        extend = Call(scene.b, lambda engine: engine.extend([scene.left]))
        assert not extend.settle(scene.watcher)
        assert extend.result() == ["held"]
    assert scene.b.extend([scene.left]) == ["cancelled"]


def test_an_extension_in_an_open_transaction_keeps_a_claim_away(scene: Scene) -> None:
    scene.clock(LAPSED)
    with scene.a.connection.transaction():
        assert scene.a.extend([scene.left]) == ["held"]
        assert [task.step_slug for task in scene.b.claim(5)] == ["right"]
    scene.clock(LAPSED + 1)
    assert scene.b.claim(5) == []
    assert scene.b.complete(scene.left, 1) == "completed"


@pytest.mark.parametrize("verb", ["claim", "fail"])
def test_an_extension_that_comes_too_late_changes_no_other_lease_or_delay(
    scene: Scene, verb: str
) -> None:
    """It has found the lease its own, and looks again when it has the task."""
    scene.clock(LAPSED)
    with scene.a.connection.transaction():
        scene.a.connection.execute("lock table quantumflow.workflow_steps in access exclusive mode")
        extend = Call(scene.b, lambda engine: engine.extend([scene.left], lease=3000))
        assert extend.settle(scene.watcher)
        if verb == "claim":
            assert [task.step_slug for task in scene.a.claim(1, lease=10)] == ["left"]
        else:
            assert scene.a.fail(scene.left) == "retrying"
    assert extend.result() == ["lost"]
    scene.clock(LAPSED + 20)
    assert "left" in {task.step_slug for task in (*scene.b.claim(1), *scene.b.claim(1))}


# A message that a claim has in its hands.


def test_a_delay_is_kept_though_a_claim_has_put_the_message_aside(scene: Scene) -> None:
    scene.clock(LAPSED)
    with scene.watcher.connection.transaction():
        with scene.a.connection.transaction():
            scene.take(scene.a, "workflow_runs")
            fail = Call(scene.b, lambda engine: engine.fail(scene.left))
            assert fail.settle(scene.a)
            # Back in 100 ms, as far as this claim is concerned.
            assert scene.watcher.claim(5) == []
        assert fail.settle(scene.a)
    assert fail.result() == "retrying"
    scene.clock(LAPSED + 0.5)
    assert "left" not in {task.step_slug for task in scene.watcher.claim(5)}
    scene.clock(LAPSED + 2)
    assert "left" in {task.step_slug for task in scene.watcher.claim(5)}


# Steps that were left unstarted are started once.


def test_ready_steps_are_started_by_one_of_two(scene: Scene) -> None:
    with scene.watcher.connection.transaction():
        scene.watcher.value("select status from quantumflow.pause_run(%s)", scene.run_id)
        for task in (scene.left, scene.right):
            assert scene.watcher.complete(task) == "completed"
        # As if by hand: resume_run would start the step itself.
        scene.watcher.connection.execute(
            "update quantumflow.workflow_runs set status = 'started' where id = %s", (scene.run_id,)
        )
    with scene.a.connection.transaction():
        assert scene.a.start_ready_steps(scene.run_id) == 1
        again = Call(scene.b, lambda engine: engine.start_ready_steps(scene.run_id))
        assert again.settle(scene.watcher)
    assert again.result() == 0
    assert [task.step_slug for task in scene.watcher.claim(5)] == ["join"]


# The same report twice, from a worker that does not know whether the first arrived.


def test_what_one_person_fails_while_another_completes_it_has_both(scene: Scene) -> None:
    assert scene.watcher.release([scene.left]) == 1
    by_hand = "select quantumflow.{}_task(%s, 'left')"
    with scene.a.connection.transaction():
        assert scene.a.value(by_hand.format("fail"), scene.run_id) == "retrying"
        complete = Call(scene.b, lambda e: e.value(by_hand.format("complete"), scene.run_id))
        assert complete.settle(scene.watcher)
    assert complete.result() == "completed"
    counts = "select attempts, error_message from quantumflow.step_tasks where step_slug = 'left'"
    assert scene.watcher.rows(counts) == [(1, None)]
    scene.check("started", "completed", "queued")


@pytest.mark.parametrize("verb", ["complete", "fail"])
def test_the_same_report_twice_at_once_counts_once(scene: Scene, verb: str) -> None:
    def report(engine: Engine) -> str:
        return engine.complete(scene.left) if verb == "complete" else engine.fail(scene.left)

    with scene.a.connection.transaction():
        assert report(scene.a) == ("completed" if verb == "complete" else "retrying")
        again = Call(scene.b, report)
        assert again.settle(scene.watcher)
    assert again.result() == "duplicate"
    if verb == "complete":
        scene.check("started", "completed", "queued")
    else:
        scene.check("started", "queued", "queued")
        errors = "select count(*) from quantumflow.task_failures where kind = 'error'"
        assert scene.watcher.value(errors) == 1
