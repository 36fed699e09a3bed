"""Runs that wait for others: two calls on a tree, while somebody holds one row of it.

Whatever meets: no deadlock, whoever settles waits for nobody, no rule is broken, a task has one
child, and the tree goes on to its end.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from races.stopping import Call
from support.engine import Engine, allow_test_clock, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

TIMEOUT = 60

CHILD = (
    "(select id from quantumflow.workflow_runs where parent_run_id = %(run)s"
    " order by parent_retries desc limit 1)"
)

ROWS = {
    "nothing": "",
    "message": "select from pgmq.q_quantum_flow_system"
    " where message ->> 'workflow_run_id' = %(run)s::text",
    "task": "select from quantumflow.step_tasks where run_id = %(run)s and step_slug = 'child'",
    "step": "select from quantumflow.step_states where run_id = %(run)s and step_slug = 'child'",
    "dependent": "select from quantumflow.step_states where run_id = %(run)s and step_slug = 'z'",
    "run": "select from quantumflow.workflow_runs where id = %(run)s",
    "child run": f"select from quantumflow.workflow_runs where id = {CHILD}",
    "child task": f"select from quantumflow.step_tasks where run_id = {CHILD}",
    "child step": f"select from quantumflow.step_states where run_id = {CHILD}",
    "child message": "select from pgmq.q_quantum_flow_queue"
    f" where message ->> 'workflow_run_id' = {CHILD}::text",
    "note": "select from quantumflow._tree_work",
    "tree": "select from quantumflow._trees",
}

CALLS = {
    "settle": "select settled from quantumflow.settle()",
    "sweep": "select count(*) from quantumflow.sweep()",
    "done": f"select quantumflow.complete_task({CHILD}, 'work', 0, '1')",
    "fail": f"select quantumflow.fail_task({CHILD}, 'work', 0, 'no')",
    "by hand": "select quantumflow.complete_task(%(run)s, 'child', 0, '2')",
    "cancel": "select (quantumflow.cancel_run(%(run)s)).status",
    "cancel child": f"select (quantumflow.cancel_run({CHILD})).status",
    "pause": "select (quantumflow.pause_run(%(run)s)).status",
    "resume": "select (quantumflow.resume_run(%(run)s)).status",
    "retry": "select (quantumflow.retry_run(%(run)s)).status",
    "retry anew": "select (quantumflow.retry_run(%(run)s, from_step => 'child')).status",
    "retry child": f"select (quantumflow.retry_run({CHILD})).status",
    "delete": "select (quantumflow.delete_run(%(run)s)).status",
    "prune": "select quantumflow.prune('0 s')",
}

NEVER_WAIT = {"settle", "sweep"}

SCENES = {
    "to start": ("settle", "sweep", "by hand", "cancel", "pause"),
    "waiting": (
        *("settle", "done", "fail", "by hand", "cancel", "cancel child", "pause", "sweep"),
    ),
    "ended": ("settle", "by hand", "cancel", "pause", "retry child", "sweep"),
    "late": ("settle", "done", "by hand", "cancel", "pause"),
    "paused": ("settle", "done", "resume", "cancel", "cancel child", "by hand"),
    "cancelled": ("retry", "retry anew", "retry child", "settle", "delete", "prune"),
}

PAIRS = [
    (scene, first, second, row)
    for scene, calls in SCENES.items()
    for first, second in itertools.product(calls, calls)
    for row in ROWS
    if not (scene == "to start" and row.startswith("child"))
]


@pytest.fixture(scope="module")
def engines(new_engine: Callable[[], Engine]) -> list[Engine]:
    engines = [new_engine() for _ in range(4)]
    allow_test_clock(engines[0].connection)
    engines[0].define("leaf", [{"name": "work"}], max_attempts=1)
    step = {"name": "child", "type": "flow", "flow": "leaf", "timeout": TIMEOUT, "max_attempts": 2}
    engines[0].define("w", [step, {"name": "z", "dependencies": ["child"]}])
    return engines


@pytest.fixture(autouse=True)
def fresh(engines: list[Engine]) -> Iterator[None]:
    yield
    for engine in engines:
        engine.connection.execute("rollback")
    remove_runs(engines[0].connection)


def call(engine: Engine, name: str, run_id: UUID) -> str:
    """What became of it: an answer, or a refusal with a code of ours."""
    try:
        query = sql.SQL(CALLS[name])
        return str(engine.connection.execute(query, {"run": run_id}).fetchone())
    except psycopg.Error as error:
        if not (error.sqlstate or "").startswith("QF"):
            raise
        return str(error.sqlstate)


def scene_of(engine: Engine, name: str) -> UUID:
    run_id = engine.start("w")
    if name == "to start":
        return run_id
    call(engine, "settle", run_id)
    if name == "ended":
        # As if somebody had held its parent's message.
        failed = sql.SQL(
            "update quantumflow.workflow_runs set status = 'failed', failed_at = now(),"
            f" error_message = 'no' where id = {CHILD}"
        )
        with engine.connection.transaction():
            engine.connection.execute(failed, {"run": run_id})
            for what in ("_stop_runs", "_note_children"):
                query = f"select quantumflow.{what}(array[{CHILD}], quantumflow._now())"
                engine.connection.execute(sql.SQL(query), {"run": run_id})
    if name == "paused":
        call(engine, "pause", run_id)
    if name == "cancelled":
        call(engine, "cancel", run_id)
    return run_id


def to_the_end(engine: Engine, run_id: UUID, seconds: int) -> None:
    """Whatever is left goes on until all of it has ended."""
    for second in range(20):
        engine.set_clock(seconds + second)
        call(engine, "settle", run_id)
        engine.drain()
        open_runs = engine.rows(
            "select id, status from quantumflow.workflow_runs where status in ('started', 'paused')"
        )
        if not open_runs:
            break
        for id_, status in open_runs:
            if status == "paused" and id_ == run_id:
                call(engine, "resume", run_id)
    assert (
        engine.rows(
            "select workflow_slug, status from quantumflow.workflow_runs"
            " where status in ('started', 'paused')"
        )
        == []
    )
    assert engine.problems() == []
    assert engine.value("select count(*) from quantumflow._tree_work") == 0
    assert engine.value("select count(*) from pgmq.q_quantum_flow_system") == 0


@pytest.mark.parametrize(
    ("scene", "first", "second", "row"),
    [
        pytest.param(*pair, marks=[pytest.mark.long] * (n % 67 > 0), id=" - ".join(pair))
        for n, pair in enumerate(PAIRS)
    ],
)
def test_two_calls_on_a_tree(
    engines: list[Engine], scene: str, first: str, second: str, row: str
) -> None:
    a, b, holder, watcher = engines
    for engine in engines:
        engine.set_clock(0)
    run_id = scene_of(a, scene)
    for engine in engines:
        engine.set_clock(TIMEOUT + 1 if scene == "late" else 1)
    calls = []
    with holder.connection.transaction(force_rollback=True):
        if ROWS[row]:
            holder.connection.execute(sql.SQL(ROWS[row] + " for update"), {"run": run_id})
        for engine, name in ((a, first), (b, second)):
            under_way = Call(engine, functools.partial(call, name=name, run_id=run_id))
            waits = under_way.settle(watcher)
            assert not (waits and name in NEVER_WAIT), f"{name} waits"
            calls.append(under_way)
    answers = [under_way.result() for under_way in calls]
    assert watcher.problems() == [], answers
    to_the_end(watcher, run_id, TIMEOUT + 3 if scene == "late" else 3)


def test_who_deletes_what_a_loop_has_not_kept_waits_for_nobody_who_counts(
    engines: list[Engine],
) -> None:
    a, holder, watcher, _ = engines
    for engine in engines:
        engine.set_clock(0)
    until = {"until": "$iteration == 9", "max_iterations": 10, "keep": 1}
    a.define("rounds", [{"name": "again", "type": "loop", "flow": "leaf"} | until])
    run_id = a.start("rounds")

    def round_(engine: Engine) -> None:
        call(engine, "settle", run_id)
        (task,) = engine.claim(1)
        assert engine.complete(task) == "completed"

    round_(a)
    round_(a)
    call(a, "settle", run_id)
    # Whoever deletes a tree has this row, and then waits for what is known of its runs.
    holder.connection.execute("begin")
    holder.connection.execute("select from quantumflow._counting where id = 1 for no key update")
    round_(a)
    settling = Call(a, functools.partial(call, name="settle", run_id=run_id))
    assert not settling.settle(watcher)
    assert watcher.value("select count(*) from quantumflow._unkept_runs") == 1
    holder.connection.execute("rollback")
    settling.result()
    call(a, "settle", run_id)
    assert watcher.value("select count(*) from quantumflow._unkept_runs") == 0
    assert watcher.problems() == []


def test_who_reports_what_has_to_wait_lets_it_go_that_was_passed_over(
    engines: list[Engine],
) -> None:
    a, b, watcher, _ = engines
    for engine in engines:
        engine.set_clock(0)
    each = {"name": "each", "type": "map", "flow": "leaf", "max_children": 1, "max_attempts": 2}
    a.define("many", [each])
    run_id = a.start("many", [1, 2])
    call(a, "settle", run_id)
    # The second has to wait, and is failed by hand; meanwhile the first is completed.
    a.connection.execute("begin")
    a.value("select quantumflow.fail_task(%s, 'each', 1, 'no')", run_id)
    done = "select quantumflow.complete_task(%s, 'each', 0, '1')"
    completing = Call(b, lambda engine: engine.value(done, run_id))
    completing.settle(watcher)
    a.connection.execute("commit")
    assert completing.result() == "completed"
    assert watcher.problems() == []
