"""What waits, beside others: one outcome, nothing lost, and who settles waits for nobody."""

from __future__ import annotations

import concurrent.futures
import itertools
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from races.stopping import Call
from support.engine import Engine, allow_test_clock, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

DEADLINE = 60

HELD = {
    "message": "select from pgmq.q_quantum_flow_system where message ->> 'step_name' = 'ok'",
    "task": "select from quantumflow.step_tasks where run_id = %s and step_slug = 'ok'",
    "step": "select from quantumflow.step_states where run_id = %s and step_slug = 'ok'",
    "run": "select from quantumflow.workflow_runs where id = %s",
    "run of a report": "select from quantumflow.workflow_runs where id = %s for no key update --",
    "dependent": "select from quantumflow.step_states where run_id = %s and step_slug = 'skipped'",
    "far dependent": "select from quantumflow.step_states where run_id = %s and step_slug = 'far'",
    "signal": "select from quantumflow.signals where run_id = %s",
}


@pytest.fixture(scope="module")
def engines(new_engine: Callable[[], Engine]) -> list[Engine]:
    engines = [new_engine() for _ in range(6)]
    allow_test_clock(engines[0].connection)
    engines[0].define(
        "w",
        [
            {"name": "ok", "type": "wait", "timeout": DEADLINE},
            {"name": "skipped", "dependencies": ["ok"], "if": "$.ok == false"},
            {"name": "far", "dependencies": ["skipped"]},
            {"name": "z", "dependencies": ["ok"]},
        ],
        run_timeout=3600,
    )
    engines[0].define("nap", [{"name": "a", "type": "sleep", "seconds": 1}])
    return engines


@pytest.fixture(autouse=True)
def fresh(engines: list[Engine]) -> Iterator[None]:
    for engine in engines:
        engine.set_clock(0)
    yield
    for engine in engines:
        engine.connection.execute("rollback")
    remove_runs(engines[0].connection)


def settle(engine: Engine) -> int:
    return int(engine.value("select settled from quantumflow.settle()"))


def signal(engine: Engine, run_id: UUID, payload: str = "true") -> str:
    return str(engine.value("select quantumflow.send_signal(%s, 'ok', %s)", run_id, payload))


def hold(engine: Engine, row: str, run_id: UUID) -> None:
    engine.connection.execute("begin")
    query = HELD[row]
    engine.connection.execute(sql.SQL(query + " for update"), (run_id,) if "%s" in query else None)


@pytest.mark.parametrize("row", HELD)
def test_who_settles_waits_for_nobody(engines: list[Engine], row: str) -> None:
    a, holder, watcher, *_ = engines
    run_id = a.start("w")
    # As if it had been sent while somebody had all of it.
    a.connection.execute(
        "select quantumflow._keep_signal(%s, 'ok', 'true', null, quantumflow._now())", (run_id,)
    )
    a.connection.execute(
        "update pgmq.q_quantum_flow_system set vt = quantumflow._now() where vt < 'infinity'"
        " and message ->> 'step_name' = 'ok'"
    )
    hold(holder, row, run_id)
    a.connection.execute("set lock_timeout = '50ms'")
    try:
        assert settle(a) == 0
    finally:
        a.connection.execute("reset lock_timeout")
    assert watcher.problems() == []
    holder.connection.execute("rollback")
    a.set_clock(0.2)
    assert settle(a) == 1
    assert a.task_statuses(run_id)["ok", 0] == "completed"
    assert a.step_statuses(run_id)["far"] == "skipped"
    assert watcher.problems() == []


@pytest.mark.parametrize("row", sorted(HELD.keys() - {"signal"}))
def test_a_signal_waits_for_its_run_and_the_message_alone(engines: list[Engine], row: str) -> None:
    a, holder, watcher, *_ = engines
    run_id = a.start("w")
    hold(holder, row, run_id)
    sending = Call(a, lambda engine: signal(engine, run_id))
    assert sending.settle(watcher) == (row in ("run", "run of a report", "message"))
    holder.connection.execute("rollback")
    assert sending.result() == "delivered"
    assert watcher.problems() == []
    watcher.set_clock(0.2)
    settle(watcher)
    assert a.task_statuses(run_id)["ok", 0] == "completed"
    assert watcher.problems() == []


CALLS: dict[str, Callable[[Engine, UUID], Any]] = {
    "signal": signal,
    "settle": lambda engine, _: settle(engine),
    "sweep": lambda engine, _: engine.sweep(),
    "cancel": lambda engine, run_id: engine.value("select quantumflow.cancel_run(%s)", run_id),
    "pause": lambda engine, run_id: engine.value("select quantumflow.pause_run(%s)", run_id),
    "resume": lambda engine, run_id: engine.value("select quantumflow.resume_run(%s)", run_id),
    "done": lambda engine, run_id: engine.value(
        "select quantumflow.complete_task(%s, 'ok')", run_id
    ),
    "fail": lambda engine, run_id: engine.value("select quantumflow.fail_task(%s, 'ok')", run_id),
    "start_ready": lambda engine, run_id: engine.start_ready_steps(run_id),
}


def call(engine: Engine, name: str, run_id: UUID) -> str:
    """What became of it: an answer, or a refusal with a code of ours."""
    try:
        return str(CALLS[name](engine, run_id))
    except psycopg.Error as error:
        if not (error.sqlstate or "").startswith("QF"):
            raise
        return str(error.sqlstate)


@pytest.mark.parametrize(("first", "second"), [*itertools.product(CALLS, CALLS)])
def test_two_calls_that_meet_at_a_deadline_have_one_outcome(
    engines: list[Engine], first: str, second: str
) -> None:
    a, b, watcher, *_ = engines
    run_id = a.start("w")
    for engine in (a, b, watcher):
        engine.set_clock(DEADLINE)
    a.connection.execute("begin")
    call(a, first, run_id)
    other = Call(b, lambda engine: call(engine, second, run_id))
    other.settle(watcher)
    a.connection.execute("commit")
    other.result()
    assert watcher.problems() == []
    # Somebody goes on with it.
    for seconds in (1, 2):
        watcher.set_clock(DEADLINE + seconds)
        watcher.sweep()
        if watcher.run_status(run_id) == "paused":
            watcher.value("select quantumflow.resume_run(%s)", run_id)
    watcher.sweep()
    assert watcher.problems() == []
    sent, taken = watcher.rows("select count(*), count(taken_at) from quantumflow.signals")[0]
    ok = watcher.task_statuses(run_id)["ok", 0]
    assert ok in ("completed", "failed", "cancelled")
    assert taken <= 1
    if ok == "failed":
        assert taken == 0
    output = watcher.value("select output from quantumflow.step_tasks where step_slug = 'ok'")
    if "done" not in (first, second) and ok == "completed":
        assert (sent, taken, output) == (sent, 1, True)


def test_two_sweepers_and_four_that_settle_end_each_sleep_once(engines: list[Engine]) -> None:
    for engine in engines:
        engine.set_clock(0)
    run_ids = engines[0].start_many("nap", [None] * 150)
    for engine in engines:
        engine.set_clock(1)

    def sweep(engine: Engine) -> int:
        return engine.sweep()["settled"]

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(sweep if n < 2 else settle, e) for n, e in enumerate(engines)]
        settled = sum(found.result() for found in calls)
    engines[0].set_clock(2)
    settled += engines[0].sweep()["settled"]
    assert settled == len(run_ids)
    assert engines[0].rows("select distinct status from quantumflow.workflow_runs") == [
        ("completed",)
    ]
    assert engines[0].problems() == []
