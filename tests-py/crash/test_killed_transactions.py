"""Workers that die by SIGKILL in a task's own transaction, and what others find then.

The database's clock is put forward for those who come after, so that nobody waits for a lease.

Fails when hold_task locks nothing, when a worker commits what the handler wrote before it completes
the task, and when it completes a task on another connection than the handler's.
"""

from __future__ import annotations

import signal
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import make_conninfo

from crash.processes import worker_process
from support.engine import Engine, allow_test_clock
from support.waiting import wait_until

if TYPE_CHECKING:
    import psycopg

pytestmark = pytest.mark.system

# Steps may take a day, so that an attempt that vanishes is lost, not late.
_DAY = 86400

_CHAIN: list[dict[str, Any]] = [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]

_NOTHING_DONE = [
    "before hold_task",
    "after hold_task",
    "written",
    "before complete_tasks",
    "after complete_tasks",
    "before COMMIT",
]


@pytest.fixture
def engine(connection: psycopg.Connection[Any]) -> Engine:
    allow_test_clock(connection)
    connection.execute("create table paid (attempt int)")
    engine = Engine(connection)
    engine.define("two", _CHAIN, timeout=_DAY)
    return engine


def _in_an_hour(dsn: str) -> str:
    """The same database an hour later, when every lease has run out."""
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    return make_conninfo(dsn, options=f"-c quantumflow.now={later.isoformat()}")


def _wait_until_alone(engine: Engine) -> None:
    """Wait until the server has noticed that its other clients are gone."""
    others = (
        "select count(*) from pg_stat_activity where datname = current_database()"
        " and backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
    wait_until(lambda: engine.value(others) == 0, what="the dead worker's sessions end")


def _die(dsn: str, engine: Engine, point: str) -> None:
    with worker_process("paying", point, dsn) as process:
        assert process.wait(60) == -signal.SIGKILL
    _wait_until_alone(engine)
    assert engine.problems() == []


@pytest.mark.parametrize("point", _NOTHING_DONE)
def test_a_worker_that_dies_before_the_commit_has_done_nothing(
    engine: Engine, dsn: str, point: str
) -> None:
    run_id = engine.start("two")
    _die(dsn, engine, point)
    assert engine.rows("select * from paid") == []
    assert engine.task_statuses(run_id) == {("a", 0): "started"}

    with worker_process("paying", "work", _in_an_hour(dsn)) as process:
        assert process.wait(60) == 0
    assert engine.run_output(run_id) == {"b": 2}
    assert engine.rows("select * from paid") == [(2,)]
    assert engine.rows("select kind, attempt from quantumflow.task_failures") == [("lost", 1)]
    assert engine.problems() == []


def test_a_worker_that_dies_after_the_commit_has_done_all(engine: Engine, dsn: str) -> None:
    run_id = engine.start("two")
    _die(dsn, engine, "after COMMIT")
    assert engine.rows("select * from paid") == [(1,)]
    assert engine.task_statuses(run_id) == {("a", 0): "completed", ("b", 0): "queued"}

    with worker_process("paying", "work", _in_an_hour(dsn)) as process:
        assert process.wait(60) == 0
    assert engine.run_output(run_id) == {"b": 1}
    assert engine.rows("select * from paid") == [(1,)]
    assert engine.rows("select kind, attempt from quantumflow.task_failures") == []
    assert engine.problems() == []


def test_nobody_gets_the_task_of_an_open_transaction_however_late_it_is(
    engine: Engine, dsn: str
) -> None:
    run_id = engine.start("two")
    with worker_process("paying", "hang", dsn) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        with worker_process("paying", "work", _in_an_hour(dsn)) as other:
            assert other.wait(60) == 0
        assert engine.task_statuses(run_id) == {("a", 0): "started"}
        assert engine.rows("select * from quantumflow.task_failures") == []
        process.send_signal(signal.SIGKILL)
    _wait_until_alone(engine)

    with worker_process("paying", "work", _in_an_hour(dsn)) as process:
        assert process.wait(60) == 0
    assert engine.run_output(run_id) == {"b": 2}
    assert engine.rows("select * from paid") == [(2,)]
    assert engine.problems() == []


def test_a_worker_process_tells_the_handlers_of_a_cancelled_run(engine: Engine, dsn: str) -> None:
    engine.define("wide", [{"name": "a"}, {"name": "b"}], timeout=_DAY)
    run_id = engine.start("wide")
    with worker_process("client", "told", dsn) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        engine.cancel(run_id)
        lines += [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert lines == ["begun\n", "begun\n", "told\n", "told\n"]
    assert engine.task_statuses(run_id) == {("a", 0): "cancelled", ("b", 0): "cancelled"}
    assert engine.problems() == []
