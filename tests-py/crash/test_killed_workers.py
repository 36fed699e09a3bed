"""Workers that die in the middle of a task, by SIGKILL, which leaves them no last word.

The database's clock is put forward for those who come after, so that nobody waits for a lease.
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

KINDS = ["plain", "client"]

# Steps may take a day, so that an attempt that vanishes is lost, not late.
_DAY = 86400


@pytest.fixture
def engine(connection: psycopg.Connection[Any]) -> Engine:
    allow_test_clock(connection)
    return Engine(connection)


def _in_hours(dsn: str, hours: int) -> str:
    """The same database some hours later, when every lease has run out."""
    later = datetime.now(timezone.utc) + timedelta(hours=hours)
    return make_conninfo(dsn, options=f"-c quantumflow.now={later.isoformat()}")


@pytest.mark.parametrize("rescuer", KINDS)
@pytest.mark.parametrize("victim", KINDS)
def test_a_task_whose_worker_is_killed_is_done_by_another(
    engine: Engine, dsn: str, victim: str, rescuer: str
) -> None:
    steps: list[dict[str, Any]] = [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]
    engine.define("two", steps, timeout=_DAY)
    run_id = engine.start("two")

    with worker_process(victim, "hang", dsn) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert engine.task_statuses(run_id) == {("a", 0): "started"}
    assert engine.problems() == []

    with worker_process(rescuer, "work", dsn) as process:
        assert process.wait(60) == 0  # The lease has not run out: there is nothing to do.
    assert engine.task_statuses(run_id) == {("a", 0): "started"}
    with worker_process(rescuer, "work", _in_hours(dsn, 1)) as process:
        assert process.wait(60) == 0

    assert engine.run_status(run_id) == "completed"
    assert engine.run_output(run_id) == {"b": "done"}
    counted = engine.rows(
        "select step_slug, attempts, losses from quantumflow.step_tasks order by step_slug"
    )
    assert counted == [("a", 2, 1), ("b", 1, 0)]
    assert engine.rows("select kind, attempt from quantumflow.task_failures") == [("lost", 1)]
    assert engine.problems() == []


def test_what_was_handed_over_to_a_worker_that_is_killed_comes_back(
    engine: Engine, dsn: str
) -> None:
    steps: list[dict[str, Any]] = [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]
    engine.define("two", steps, timeout=_DAY)
    run_id = engine.start("two")

    with worker_process("client", "die handed b", dsn) as process:
        assert process.wait(60) == -signal.SIGKILL
    # One call has recorded a and handed b over.
    assert engine.task_statuses(run_id) == {("a", 0): "completed", ("b", 0): "started"}
    assert engine.problems() == []

    with worker_process("client", "work", _in_hours(dsn, 1)) as process:
        assert process.wait(60) == 0
    assert engine.run_output(run_id) == {"b": "done"}
    counted = engine.rows(
        "select step_slug, attempts, losses from quantumflow.step_tasks order by step_slug"
    )
    assert counted == [("a", 1, 0), ("b", 2, 1)]
    assert engine.problems() == []
    assert engine.messages() == 0


def test_what_waits_in_a_worker_that_is_killed_comes_back(engine: Engine, dsn: str) -> None:
    engine.define("wide", [{"name": "a", "type": "map"}], timeout=_DAY)
    run_id = engine.start("wide", [*range(300)])
    with worker_process("client", "hang later", dsn) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        wait_until(lambda: list(engine.task_statuses(run_id).values()).count("started") > 10)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    # A task lost before is handed out alone: so many claims.
    with worker_process("client", "work", _in_hours(dsn, 1)) as process:
        assert process.wait(60) == 0
    assert engine.run_output(run_id) == {"a": ["done"] * 300}
    assert engine.problems() == []
    assert engine.messages() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_that_kills_every_worker_fails_its_run(engine: Engine, dsn: str, kind: str) -> None:
    engine.define("deadly", [{"name": "a"}], timeout=_DAY, max_lost=3, on_failure="note")
    run_id = engine.start("deadly")

    for hours in range(3):
        with worker_process(kind, "die", _in_hours(dsn, hours)) as process:
            assert process.wait(60) == -signal.SIGKILL
        assert engine.run_status(run_id) == "started"
    with worker_process(kind, "work", _in_hours(dsn, 3)) as process:
        assert process.wait(60) == 0

    assert engine.run_status(run_id) == "failed"
    counted = engine.rows(
        "select step_slug, status, attempts, losses from quantumflow.step_tasks order by step_slug"
    )
    assert counted == [("_on_failure", "completed", 1, 0), ("a", "failed", 3, 3)]
    assert engine.rows("select kind, attempt from quantumflow.task_failures order by attempt") == [
        ("lost", 1),
        ("lost", 2),
        ("lost", 3),
    ]
    assert engine.problems() == []
    assert engine.messages() == 0
