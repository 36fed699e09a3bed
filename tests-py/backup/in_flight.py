"""Runs in every state there is: what a dump finds, and how they go on after it was restored."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from uuid import UUID

    from support.engine import Engine, Task

FLOW = "order"
_ITEMS = [1, 2, 3]
_OUTPUT = {"z": {"by": "z 0"}}


def output_of(step_slug: str, task_index: int) -> Any:
    """What each task is completed with, whoever does it and when."""
    return _ITEMS if step_slug == "a" else {"by": f"{step_slug} {task_index}"}


def _complete(engine: Engine, run_id: UUID, step_slug: str, task_index: int = 0) -> None:
    """Complete a task by hand."""
    outcome = engine.value(
        "select quantumflow.complete_task(%s, %s, %s, %s)",
        run_id,
        step_slug,
        task_index,
        Jsonb(output_of(step_slug, task_index)),
    )
    assert outcome == "completed"


def _complete_all(engine: Engine, run_id: UUID) -> None:
    """Complete a run by hand, but for its callback."""
    _complete(engine, run_id, "a")
    for index in range(len(_ITEMS)):
        _complete(engine, run_id, "m", index)
    _complete(engine, run_id, "z")


def fill(engine: Engine, other: Engine) -> dict[str, UUID]:
    """Let there be a run in every state; each by the name of its state.

    Args:
        engine: Who does it.
        other: Another session, to be in the way.
    """
    engine.define(
        FLOW,
        [
            {"name": "a", "retry_delay": 0},
            {"name": "m", "type": "map", "dependencies": ["a"]},
            {"name": "z", "dependencies": ["m"]},
        ],
        on_complete="told",
        on_failure="told",
    )
    runs: dict[str, UUID] = {}

    # Those that are claimed from come first, while nothing else can be claimed.
    runs["started"] = engine.start(FLOW)
    assert len(engine.claim()) == 1

    runs["halfway"] = engine.start(FLOW)
    _complete(engine, runs["halfway"], "a")
    (first,) = engine.claim()
    assert engine.complete(first, output_of("m", first.task_index)) == "completed"
    assert len(engine.claim()) == 1

    runs["retrying"] = engine.start(FLOW)
    (task,) = [task for task in engine.claim(10) if task.run_id == runs["retrying"]]
    assert engine.fail(task) == "retrying"

    runs["queued"] = engine.start(FLOW)
    runs["delayed"] = engine.value(
        "select quantumflow.start_flow(%s, start_at => now() + %s)", FLOW, timedelta(hours=1)
    )

    runs["paused"] = engine.start(FLOW)
    _complete(engine, runs["paused"], "a")
    engine.value("select status from quantumflow.pause_run(%s)", runs["paused"])

    runs["told"] = engine.start(FLOW)
    runs["untold"] = engine.start(FLOW)
    for run_id in (runs["told"], runs["untold"]):
        _complete_all(engine, run_id)
    _complete(engine, runs["told"], "_on_complete")

    runs["failed"] = engine.start(FLOW)
    engine.value(
        "select quantumflow.fail_task(%s, 'a', error_message => 'no', retryable => false)",
        runs["failed"],
    )

    runs["unfinished"] = engine.start(FLOW)
    with other.connection.transaction(force_rollback=True):
        held = "select 1 from quantumflow.step_tasks where run_id = %s for update"
        assert other.value(held, runs["unfinished"]) == 1
        assert engine.cancel(runs["unfinished"]) == "cancelled"
    assert engine.value("select count(*) from quantumflow._unfinished_ends") == 1

    engine.define(
        "asks",
        [
            {"name": "ok", "type": "wait"},
            {"name": "nap", "type": "sleep", "seconds": 0, "dependencies": ["ok"]},
            {"name": "kept", "type": "wait", "dependencies": ["nap"]},
        ],
        run_timeout=86400,
    )
    asking = engine.start("asks", key="it waits")
    assert engine.value("select quantumflow.send_signal(%s, 'kept', '1')", asking) == "kept"

    engine.value("select quantumflow.schedule_flow('yearly', %s, '@yearly')::text", FLOW)
    assert engine.problems() == []
    return runs


def finish(engine: Engine, runs: dict[str, UUID]) -> None:
    """Work on all of them to their ends, and see that nothing was lost, and nothing done twice."""
    done_before = _completed(engine)
    assert engine.rows("select schedule_slug, problem from quantumflow.list_schedules()") == [
        ("yearly", None)
    ]

    answer = "select quantumflow.send_signal_by_key('asks', 'it waits', 'ok')"
    assert engine.value(answer) == "delivered"
    engine.sweep()
    asked = "select output from quantumflow.workflow_runs where workflow_slug = 'asks'"
    assert engine.value(asked) == {"kept": 1}

    engine.value("select status from quantumflow.resume_run(%s)", runs["paused"])
    handed_out = _work(engine)
    assert engine.task_statuses(runs["delayed"]) == {("a", 0): "queued"}, "its time has not come"
    _complete_all(engine, runs["delayed"])
    handed_out += _work(engine)

    assert len({task.key for task in handed_out}) == len(handed_out), "each is handed out once"
    assert not {task.key for task in handed_out} & set(done_before), "what was done stays done"
    assert done_before.items() <= _completed(engine).items()
    for state, run_id in runs.items():
        expected = {"failed": "failed", "unfinished": "cancelled"}.get(state, "completed")
        assert engine.run_status(run_id) == expected, state
        assert engine.run_output(run_id) == (_OUTPUT if expected == "completed" else None), state
    callbacks = engine.rows(
        "select run_id from quantumflow.step_tasks "
        "where step_slug in ('_on_complete', '_on_failure') and status = 'completed'"
    )
    assert {row[0] for row in callbacks} == set(runs.values()) - {runs["unfinished"]}
    assert len(callbacks) == len(runs) - 1
    failures = engine.rows("select run_id, kind from quantumflow.task_failures")
    assert (runs["retrying"], "error") in failures
    assert (runs["failed"], "error") in failures
    assert engine.messages() == 0
    assert engine.value("select count(*) from quantumflow._unfinished_ends") == 0
    assert engine.problems() == []


def _work(engine: Engine) -> list[Task]:
    """Do all there is to do."""
    done = []
    while tasks := engine.claim(10):
        engine.complete_all([(task, output_of(task.step_slug, task.task_index)) for task in tasks])
        done += tasks
    return done


def _completed(engine: Engine) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    found = engine.rows(
        "select run_id, step_slug, task_index, output, attempts, completed_at "
        "from quantumflow.step_tasks where status = 'completed'"
    )
    return {row[:3]: row[3:] for row in found}
