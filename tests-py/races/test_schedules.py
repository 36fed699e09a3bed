"""Schedules that several sweep at once, and that change while they are swept."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from races.stopping import Call
from support.engine import Engine, allow_test_clock, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.system

DUE = 3600
STEPS = [{"name": "only"}]


@pytest.fixture(scope="module")
def sessions(new_engine: Callable[[], Engine]) -> list[Engine]:
    made = [new_engine() for _ in range(7)]
    allow_test_clock(made[0].connection)
    made[0].set_clock(0)
    made[0].define("nightly", STEPS)
    for engine in made:
        engine.set_clock(DUE)
    return made


@pytest.fixture
def engines(sessions: list[Engine]) -> list[Engine]:
    """Sessions for which one schedule is due, and no run was started."""
    setup = sessions[0]
    setup.rows("delete from quantumflow.schedules returning 1")
    remove_runs(setup.connection)
    setup.set_clock(0)
    _schedule(setup)
    setup.set_clock(DUE)
    return sessions


def _schedule(engine: Engine, slug: str = "s", **options: Any) -> None:
    values = {"cron": "@hourly", "overlap": "allow"} | options
    given = ", ".join(f"{name} => %({name})s" for name in values)
    engine.rows(f"select quantumflow.schedule_flow('{slug}', 'nightly', {given})", **values)


def _sweep(engine: Engine) -> int:
    return engine.sweep()["schedules"]


def _settle(engine: Engine) -> int:
    return int(engine.value("select settled from quantumflow.settle()"))


def _runs(engine: Engine) -> list[str]:
    return [r for (r,) in engine.rows("select idempotency_key from quantumflow.workflow_runs")]


def test_a_thousand_that_are_due_in_one_second_start_once_each(engines: list[Engine]) -> None:
    setup, *others = engines
    setup.set_clock(0)
    setup.rows(
        "select quantumflow.schedule_flow('s' || n, 'nightly', '@hourly') "
        "from generate_series(2, 1000) n"
    )

    def until_none(engine: Engine, call: Callable[[Engine], int]) -> int:
        started = idle = 0
        while idle < 3:  # what others have in their hands comes, or does not, after that
            started += (found := call(engine))
            idle = 0 if found else idle + 1
        return started

    with concurrent.futures.ThreadPoolExecutor() as pool:
        calls = [_sweep, _sweep, _settle, _settle, _settle, _settle]
        started = list(pool.map(until_none, others, calls))

    assert sum(started) == 1000
    assert len(set(_runs(setup))) == len(_runs(setup)) == 1000
    assert setup.problems() == []


def test_who_finds_a_schedule_busy_passes_it_over(engines: list[Engine]) -> None:
    a, b, watcher = engines[:3]
    with a.connection.transaction():
        assert _sweep(a) == 1
        assert not (swept := Call(b, _sweep)).settle(watcher)
        assert swept.result() == 0
        assert not (settled := Call(b, _settle)).settle(watcher)
        assert settled.result() == 0
    assert (_sweep(b), len(_runs(b))) == (0, 1)


def test_a_sweep_that_dies_has_started_nothing(
    engines: list[Engine], new_engine: Callable[[], Engine]
) -> None:
    a, dying = engines[0], new_engine()
    dying.set_clock(DUE)
    dying.connection.autocommit = False
    assert _sweep(dying) == 1
    a.rows("select pg_terminate_backend(%s, 5000)", dying.pid)
    with pytest.raises(psycopg.OperationalError):
        dying.connection.commit()

    assert _runs(a) == []
    assert (_sweep(a), _sweep(a), len(_runs(a))) == (1, 0, 1)


@pytest.mark.parametrize("mode", ["update", "no key update"])
def test_whoever_holds_the_workflow_is_not_waited_for(engines: list[Engine], mode: str) -> None:
    a, b, watcher = engines[:3]
    with a.connection.transaction():
        a.rows(f"select from quantumflow.workflows for {mode}")
        assert not (swept := Call(b, _sweep)).settle(watcher)
        assert swept.result() == (mode == "no key update")
    b.set_clock(DUE + 1)
    assert _sweep(b) == (mode == "update")
    assert len(_runs(b)) == 1


def test_whoever_holds_the_last_run_is_not_waited_for(engines: list[Engine]) -> None:
    a, b, watcher = engines[:3]
    _schedule(a, overlap="cancel")
    assert _sweep(a) == 1
    b.set_clock(2 * DUE)
    with a.connection.transaction():
        a.rows("select from quantumflow.workflow_runs for key share")
        assert not (swept := Call(b, _sweep)).settle(watcher)
        assert swept.result() == 0
    b.set_clock(2 * DUE + 1)
    assert _sweep(b) == 1
    statuses = b.rows("select status from quantumflow.workflow_runs order by idempotency_key")
    assert statuses == [("cancelled",), ("started",)]
    b.set_clock(DUE)


@pytest.mark.parametrize(
    ("call", "left"),
    [("pause_schedule", 1), ("unschedule_flow", 0), ("resume_schedule", 1)],
)
def test_what_changes_a_schedule_waits_for_the_sweep_that_starts_its_run(
    engines: list[Engine], call: str, left: int
) -> None:
    a, b, watcher = engines[:3]
    with a.connection.transaction():
        assert _sweep(a) == 1
        changed = Call(b, lambda e: e.value(f"select (quantumflow.{call}('s')).schedule_slug"))
        assert changed.settle(watcher)
    assert changed.result() == "s"
    kept = b.rows("select last_run_id, next_at is null from quantumflow.schedules")
    assert kept == [(b.value("select id from quantumflow.workflow_runs"), call[0] == "p")][:left]
    assert (_sweep(b), len(_runs(b))) == (0, 1)


@pytest.mark.parametrize("call", ["pause_schedule", "unschedule_flow"])
def test_what_is_paused_or_removed_meanwhile_does_not_start(
    engines: list[Engine], call: str
) -> None:
    a, b, watcher = engines[:3]
    with a.connection.transaction():
        a.rows(f"select quantumflow.{call}('s')")
        assert not (swept := Call(b, _sweep)).settle(watcher)
        assert swept.result() == 0
    assert (_sweep(b), _runs(b)) == (0, [])


def test_two_make_the_same_schedule(engines: list[Engine]) -> None:
    a, b, watcher = engines[:3]
    with a.connection.transaction():
        _schedule(a, "new", cron="0 1 * * *")
        made = Call(b, lambda engine: _schedule(engine, "new", cron="0 2 * * *"))
        assert made.settle(watcher)
    made.result()
    assert b.rows("select cron from quantumflow.schedules where schedule_slug = 'new'") == [
        ("0 2 * * *",)
    ]


def test_a_workflow_that_is_deleted_is_not_scheduled(engines: list[Engine]) -> None:
    a, b, watcher = engines[:3]
    a.define("short", STEPS)
    schedule = "select quantumflow.schedule_flow('late', 'short', '@daily')"
    with a.connection.transaction():
        assert a.value("select quantumflow.delete_flow('short')")
        scheduled = Call(b, lambda engine: engine.value(schedule))
        assert scheduled.settle(watcher)
    with pytest.raises(psycopg.Error) as unknown:
        scheduled.result()
    assert unknown.value.sqlstate == "QF111"

    a.define("short", STEPS)
    with a.connection.transaction():
        a.value(schedule)
        deleted = Call(b, lambda e: e.value("select quantumflow.delete_flow('short')"))
        assert deleted.settle(watcher)
    with pytest.raises(psycopg.Error) as refused:
        deleted.result()
    assert refused.value.sqlstate == "QF113"
    assert a.problems() == []


def test_a_version_that_changes_in_place_starts_as_one_of_both(engines: list[Engine]) -> None:
    a, b, watcher = engines[:3]
    a.define("fresh", STEPS)
    _due = "update quantumflow.schedules set workflow_slug = 'fresh' returning 1"
    a.rows(_due)
    with a.connection.transaction():
        a.define("fresh", [{"name": "other"}])
        assert not (swept := Call(b, _sweep)).settle(watcher)
        assert swept.result() == 0
    b.set_clock(DUE + 1)
    assert _sweep(b) == 1
    (run_id,) = b.rows("select id from quantumflow.workflow_runs")[0]
    assert set(b.step_statuses(run_id)) == {"other"}
    assert b.problems() == []
