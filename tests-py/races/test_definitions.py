"""Definitions that change while runs start."""

from __future__ import annotations

import concurrent.futures
import re
import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from races.stopping import Call
from support.engine import Engine, remove_runs
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def engines(new_engine: Callable[[], Engine]) -> list[Engine]:
    return [new_engine() for _ in range(8)]


@pytest.fixture
def flow(engines: list[Engine], request: pytest.FixtureRequest) -> str:
    """A workflow of one step, with no runs."""
    slug = re.sub(r"\W", "_", str(request.node.name))[:120]
    engines[0].define(slug, _steps(1))
    remove_runs(engines[0].connection)
    return slug


def _steps(count: int) -> list[dict[str, Any]]:
    return [{"name": f"step_{count}_{n}"} for n in range(count)]


def _slugs(engine: Engine, run_id: UUID) -> set[str]:
    return set(engine.step_statuses(run_id))


def _error(call: Callable[[], object]) -> str | None:
    try:
        call()
    except psycopg.Error as error:
        return error.sqlstate
    return None


def test_a_start_waits_for_a_definition_that_is_not_committed(
    engines: list[Engine], flow: str
) -> None:
    a, b, watcher = engines[:3]
    with a.connection.transaction():
        a.define(flow, _steps(2))
        start = Call(b, lambda engine: engine.start(flow))
        assert start.settle(watcher)
    assert _slugs(watcher, start.result()) == {"step_2_0", "step_2_1"}
    assert watcher.problems() == []


def test_a_start_takes_the_old_version_when_the_definition_is_rolled_back(
    engines: list[Engine], flow: str
) -> None:
    a, b, watcher = engines[:3]
    with a.connection.transaction(force_rollback=True):
        a.define(flow, _steps(2))
        start = Call(b, lambda engine: engine.start(flow))
        assert start.settle(watcher)
    assert _slugs(watcher, start.result()) == {"step_1_0"}


def test_a_definition_beside_a_first_start_makes_a_new_version(
    engines: list[Engine], flow: str
) -> None:
    a, b, watcher = engines[:3]
    with a.connection.transaction():
        run_id = a.start(flow)
        define = Call(b, lambda engine: engine.define(flow, _steps(2)))
        assert not define.settle(watcher)
        assert define.result() == 2
    assert _slugs(watcher, run_id) == {"step_1_0"}
    assert _slugs(watcher, watcher.start(flow)) == {"step_2_0", "step_2_1"}
    assert watcher.problems() == []


def test_a_definition_after_a_start_that_was_rolled_back_replaces_the_version(
    engines: list[Engine], flow: str
) -> None:
    a, b = engines[:2]
    with a.connection.transaction(force_rollback=True):
        a.start(flow)
    assert b.define(flow, _steps(2)) == 1


def test_a_deletion_waits_for_a_start_and_is_refused(engines: list[Engine], flow: str) -> None:
    a, b, watcher = engines[:3]
    delete = "select quantumflow.delete_flow(%s)"
    with a.connection.transaction():
        run_id = a.start(flow)
        deletion = Call(b, lambda engine: _error(lambda: engine.value(delete, flow)))
        assert deletion.settle(watcher)
    assert deletion.result() == "QF113"
    assert _slugs(watcher, run_id) == {"step_1_0"}
    assert watcher.problems() == []


def test_a_start_behind_a_deletion_is_refused(engines: list[Engine], flow: str) -> None:
    a, b, watcher = engines[:3]
    with a.connection.transaction():
        assert a.value("select quantumflow.delete_flow(%s)", flow)
        start = Call(b, lambda engine: _error(lambda: engine.start(flow)))
        assert start.settle(watcher)
    assert start.result() == "QF111"
    assert watcher.rows("select id from quantumflow.workflow_runs") == []


def _frozen(engine: Engine, flow: str) -> None:
    engine.start(flow)
    remove_runs(engine.connection)


def _await_sleep(engine: Engine, pid: int) -> None:
    query = "select wait_event from pg_stat_activity where pid = %s"
    wait_until(lambda: engine.value(query, pid) == "PgSleep")


def test_a_deletion_waits_for_a_start_of_a_frozen_version(engines: list[Engine], flow: str) -> None:
    a, b, watcher = engines[:3]
    _frozen(watcher, flow)
    delete = "select quantumflow.delete_flow(%s)"
    with a.connection.transaction():
        run_id = a.start(flow)
        deletion = Call(b, lambda engine: _error(lambda: engine.value(delete, flow)))
        _await_sleep(watcher, b.pid)
    assert deletion.result() == "QF113"
    assert _slugs(watcher, run_id) == {"step_1_0"}
    assert watcher.problems() == []


def test_a_deletion_waits_for_a_definition_and_takes_its_version_too(
    engines: list[Engine], flow: str
) -> None:
    a, b, watcher = engines[:3]
    _frozen(watcher, flow)
    with a.connection.transaction():
        a.define(flow, _steps(2))
        deletion = Call(b, lambda engine: engine.value("select quantumflow.delete_flow(%s)", flow))
        assert deletion.settle(watcher)
    assert deletion.result()
    left = "select count(*) from quantumflow.workflow_versions where workflow_slug = %s"
    assert watcher.value(left, flow) == 0
    assert watcher.problems() == []


def test_a_deletion_gives_up_on_a_transaction_that_stays_open(
    engines: list[Engine], flow: str
) -> None:
    a, b, watcher = engines[:3]
    watcher.define("another", _steps(1))
    delete = "select quantumflow.delete_flow(%s)"
    with a.connection.transaction():
        a.start("another")
        b.rows("select set_config('lock_timeout', '50 ms', false)")
        assert _error(lambda: b.value(delete, flow)) == "55P03"
        b.rows("select set_config('lock_timeout', '0', false)")
    assert b.value(delete, flow)


def test_a_start_of_a_frozen_version_behind_a_deletion_is_refused(
    engines: list[Engine], flow: str
) -> None:
    a, b, watcher = engines[:3]
    _frozen(watcher, flow)
    with a.connection.transaction():
        assert a.value("select quantumflow.delete_flow(%s)", flow)
        start = Call(b, lambda engine: _error(lambda: engine.start(flow)))
        assert start.settle(watcher)
    assert start.result() == "QF111"
    assert watcher.rows("select id from quantumflow.workflow_runs") == []


@pytest.mark.parametrize("steps", [1, 2])
def test_a_start_behind_a_deletion_and_a_definition_is_to_be_repeated(
    engines: list[Engine], flow: str, steps: int
) -> None:
    a, b, watcher = engines[:3]
    _frozen(watcher, flow)
    with a.connection.transaction():
        assert a.value("select quantumflow.delete_flow(%s)", flow)
        a.define(flow, _steps(steps))
        start = Call(b, lambda engine: _error(lambda: engine.start(flow)))
        assert start.settle(watcher)
    assert start.result() == "40001"
    assert len(_slugs(watcher, b.start(flow))) == steps
    assert watcher.problems() == []


def test_a_start_behind_a_deletion_that_is_rolled_back_goes_on(
    engines: list[Engine], flow: str
) -> None:
    a, b, watcher = engines[:3]
    _frozen(watcher, flow)
    with a.connection.transaction(force_rollback=True):
        assert a.value("select quantumflow.delete_flow(%s)", flow)
        start = Call(b, lambda engine: engine.start(flow))
        assert start.settle(watcher)
    assert _slugs(watcher, start.result()) == {"step_1_0"}


def test_a_start_of_a_frozen_version_waits_for_no_definition(
    engines: list[Engine], flow: str
) -> None:
    a, b, watcher = engines[:3]
    _frozen(watcher, flow)
    with a.connection.transaction():
        a.define(flow, _steps(2))
        start = Call(b, lambda engine: engine.start(flow))
        assert not start.settle(watcher)
        assert _slugs(watcher, start.result()) == {"step_1_0"}
    assert _slugs(watcher, watcher.start(flow)) == {"step_2_0", "step_2_1"}


def test_two_starts_do_not_wait_for_each_other(engines: list[Engine], flow: str) -> None:
    a, b, watcher = engines[:3]
    with a.connection.transaction():
        a.start(flow)
        start = Call(b, lambda engine: engine.start(flow))
        assert not start.settle(watcher)
        start.result()


def test_steps_added_by_two_at_once_are_both_there(engines: list[Engine], flow: str) -> None:
    a, b, watcher = engines[:3]
    with a.connection.transaction():
        a.rows("select * from quantumflow.add_step(%s, 'from_a', '{step_1_0}')", flow)
        add = Call(
            b, lambda engine: engine.rows("select * from quantumflow.add_step(%s, 'from_b')", flow)
        )
        assert add.settle(watcher)
    add.result()
    assert _slugs(watcher, watcher.start(flow)) == {"step_1_0", "from_a", "from_b"}


def test_two_steps_that_make_a_cycle_together_are_refused(engines: list[Engine], flow: str) -> None:
    a, b, watcher = engines[:3]
    add = "select * from quantumflow.add_step(%s, %s, %s)"
    a.rows(add, flow, "one", [])
    a.rows(add, flow, "two", [])
    with a.connection.transaction():
        a.rows(add, flow, "one", ["two"])
        other = Call(b, lambda engine: _error(lambda: engine.rows(add, flow, "two", ["one"])))
        assert other.settle(watcher)
    assert other.result() == "QF107"


def test_runs_have_the_steps_of_one_version_while_definitions_change(
    engines: list[Engine], flow: str
) -> None:
    """Two sessions redefine, two add steps, four start runs, all as fast as they can."""
    rounds = 15
    barrier = threading.Barrier(len(engines))

    def redefine(engine: Engine) -> list[UUID]:
        barrier.wait(30)
        for n in range(rounds):
            engine.define(flow, _steps(1 + n % 4))
        return []

    def add(engine: Engine) -> list[UUID]:
        barrier.wait(30)
        for n in range(rounds):
            engine.rows("select * from quantumflow.add_step(%s, %s)", flow, f"more_{n % 3}")
        return []

    def start(engine: Engine) -> list[UUID]:
        barrier.wait(30)
        return [engine.start(flow) for _ in range(rounds)]

    work = [redefine, redefine, add, add, start, start, start, start]
    with concurrent.futures.ThreadPoolExecutor(len(work)) as pool:
        futures = [pool.submit(job, engine) for job, engine in zip(work, engines, strict=True)]
        run_ids = [run_id for future in futures for run_id in future.result(60)]

    assert len(set(run_ids)) == 4 * rounds
    wrong = engines[0].rows(
        "select r.id from quantumflow.workflow_runs r "
        "join quantumflow.workflow_versions v using (workflow_slug, version) "
        "where v.frozen_at is null "
        "or r.remaining_steps <> jsonb_array_length(v.definition -> 'steps') "
        "or array(select s.step_slug from quantumflow.step_states s "
        "where s.run_id = r.id order by 1) "
        "<> array(select d ->> 'name' from jsonb_array_elements(v.definition -> 'steps') d "
        "order by 1)"
    )
    assert wrong == []
    assert engines[0].problems() == []


def test_one_idempotency_key_from_many_sessions_is_one_run(
    engines: list[Engine], flow: str
) -> None:
    barrier = threading.Barrier(len(engines))

    def start(engine: Engine, key: str) -> UUID:
        barrier.wait(30)
        return engine.start(flow, {"asked by": engine.pid}, key=key)

    with concurrent.futures.ThreadPoolExecutor(len(engines)) as pool:
        for n in range(20):
            found = set(pool.map(start, engines, [f"key {n}"] * len(engines)))
            assert len(found) == 1
    assert engines[0].value("select count(*) from quantumflow.workflow_runs") == 20
    assert engines[0].messages() == 20
    assert engines[0].problems() == []


def test_a_start_waits_for_the_same_key_and_takes_over_when_it_is_rolled_back(
    engines: list[Engine], flow: str
) -> None:
    a, b, watcher = engines[:3]
    watcher.start(flow)
    with a.connection.transaction(force_rollback=True):
        first = a.start(flow, key="one")
        start = Call(b, lambda engine: engine.start(flow, key="one"))
        assert start.settle(watcher)
    assert start.result() != first
    with a.connection.transaction():
        second = a.start(flow, key="two")
        start = Call(b, lambda engine: engine.start(flow, key="two"))
        assert start.settle(watcher)
    assert start.result() == second
    assert watcher.problems() == []


def test_definitions_that_need_the_same_new_queue_both_succeed(
    engines: list[Engine], flow: str
) -> None:
    barrier = threading.Barrier(len(engines))

    def define(engine: Engine, number: int) -> int:
        barrier.wait(30)
        steps = [{"name": "a", "queue": "queue_b"}, {"name": "b", "queue": "queue_a"}]
        return engine.define(f"{flow}_{number}", steps[:: 1 if number % 2 else -1])

    with concurrent.futures.ThreadPoolExecutor(len(engines)) as pool:
        assert list(pool.map(define, engines, range(len(engines)))) == [1] * len(engines)
    run_id = engines[0].start(f"{flow}_0")
    claimed = engines[0].claim(5, queues=["queue_a", "queue_b"])
    assert {task.step_slug for task in claimed} == {"a", "b"}
    assert set(engines[0].complete_all([(task, 1) for task in claimed])) == {"completed"}
    assert engines[0].run_status(run_id) == "completed"


def test_a_queue_that_another_definition_makes_meanwhile_is_not_made_again(
    engines: list[Engine], flow: str
) -> None:
    """pgmq would say that its tables are there already, in a notice to whoever defines."""
    a, b, watcher = engines[:3]
    said: list[str | None] = []

    def remember(notice: psycopg.errors.Diagnostic) -> None:
        said.append(notice.message_primary)

    b.connection.add_notice_handler(remember)
    steps = [{"name": "a", "queue": "a_new_queue"}]
    with a.connection.transaction():
        a.define(f"{flow}_a", steps)
        define = Call(b, lambda engine: engine.define(f"{flow}_b", steps))
        assert define.settle(watcher)
    assert define.result() == 1
    b.connection.remove_notice_handler(remember)
    assert said == []


def test_one_workflow_defined_by_many_at_once_is_one_version(
    engines: list[Engine], flow: str
) -> None:
    barrier = threading.Barrier(len(engines))

    def define(engine: Engine) -> int:
        barrier.wait(30)
        return engine.define(f"{flow}_new", _steps(3))

    with concurrent.futures.ThreadPoolExecutor(len(engines)) as pool:
        assert set(pool.map(define, engines)) == {1}


@pytest.mark.parametrize("steps", [1, 2])
def test_a_definition_under_an_older_snapshot_is_to_be_repeated(
    engines: list[Engine], steps: int
) -> None:
    """It cannot see the workflow that was defined meanwhile, with the same content or other."""
    a, b = engines[:2]
    slug = f"older_snapshot_{steps}"
    with b.connection.transaction(force_rollback=True):
        b.connection.execute("set transaction isolation level repeatable read")
        b.rows("select from quantumflow.workflows")
        a.define(slug, _steps(1))
        assert _error(lambda: b.define(slug, _steps(steps))) == "40001"
    assert b.define(slug, _steps(1)) == 1


def test_a_first_start_leaves_no_mark_that_later_starts_look_at(
    engines: list[Engine], flow: str
) -> None:
    """They would all lock the version then, which is written to the log."""
    a, b = engines[:2]
    marks = "select xmax::text from quantumflow.workflow_versions where workflow_slug = %s"
    with a.connection.transaction():
        a.start(flow)
        b.start(flow)
    assert a.value(marks, flow) == "0"
    a.start(flow)
    assert a.value(marks, flow) == "0"


def test_starts_lock_nothing_after_a_deletion_that_was_rolled_back(
    engines: list[Engine], flow: str
) -> None:
    """Not even a start that waited for it, and went on, nor one of another isolation, leaves a mark
    that later starts look at."""
    a, b, watcher = engines[:3]
    a.start(flow)
    remove_runs(a.connection)
    with a.connection.transaction(force_rollback=True):
        a.rows("select quantumflow.delete_flow(%s)", flow)
        waiting = Call(b, lambda engine: engine.start(flow))
        assert waiting.settle(watcher)
    waiting.result()
    with b.connection.transaction():
        b.connection.execute("set transaction isolation level repeatable read")
        b.start(flow)

    with a.connection.transaction():
        a.start(flow)
        locked = (
            "select from quantumflow.workflow{} where workflow_slug = %s for update skip locked"
        )
        for table in ("s", "_versions", "_steps"):
            assert len(b.rows(locked.format(table), flow)) == 1, table
