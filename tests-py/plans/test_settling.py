"""What waits costs claims nothing, and is settled by key, in sets, however much of it there is."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean

import pytest

from conftest import Connect
from plans.measuring import Meter, function_calls, keep_autovacuum_away, table_counters
from support.engine import Engine, allow_test_clock, remove_runs

pytestmark = pytest.mark.system

_WAITING = 1_500


@pytest.fixture
def engine(connect: Connect) -> Engine:
    engine = Engine(connect())
    keep_autovacuum_away(engine)
    allow_test_clock(engine.connection)
    engine.set_clock(0)
    engine.define("single", [{"name": "only"}])
    for slug, step in {
        "sleeps": {"type": "sleep", "seconds": 60},
        "waits": {"type": "wait", "timeout": 60, "on_error": "continue"},
    }.items():
        engine.define(
            slug, [{"name": "a", **step}, {"name": "b", "after": ["a"]}], run_timeout=1_000_000
        )
    return engine


def settle(meter: Meter, tasks: int) -> int:
    """The pages that it takes to settle so many."""
    return meter.pages("select * from quantumflow.settle(%s)", tasks)


@pytest.mark.parametrize(
    ("slug", "is_analyzed"), [("sleeps", False), ("waits", True)], ids=["no statistics", "empty"]
)
def test_what_waits_costs_claims_nothing_and_is_settled_by_key(
    engine: Engine,
    connect: Connect,
    record_property: Callable[[str, object], None],
    slug: str,
    is_analyzed: bool,
) -> None:
    worker = Meter(Engine(connect()))
    for seconds in range(0, 800, 100):
        engine.start(slug)
        engine.start("single")
        for session in (engine, worker.engine):
            session.set_clock(seconds + 100)
        settle(worker, 100)
        worker.claim()
    if is_analyzed:
        remove_runs(engine.connection)
        engine.connection.execute("analyze")
    now = 900.0
    for session in (engine, worker.engine):
        session.set_clock(now)
    engine.start_many("single", [{}] * 400)
    worker.claim()
    alone = worker.claim()

    engine.start_many(slug, [{}] * _WAITING)
    asleep = worker.claim()
    worker.engine.set_clock(now + 60)
    due = worker.claim()
    record_property("pages a claim", (alone, asleep, due))
    assert max(asleep, due) <= alone * 1.1

    scans = {name: found["scans"] for name, found in table_counters(worker.engine).items()}
    costs = [settle(worker, 100) / 100 for _ in range(_WAITING // 100)]
    found = {name: found["scans"] for name, found in table_counters(worker.engine).items()}
    assert found == scans
    record_property("pages a task that is settled", (costs[2], costs[-1]))
    assert mean(costs[-3:]) <= 1.5 * mean(costs[1:4])
    assert max(costs) <= 150
    assert engine.value("select count(*) from quantumflow.step_tasks where step_slug = 'b'") >= (
        _WAITING
    )


def test_to_settle_many_is_a_fixed_number_of_statements(engine: Engine) -> None:
    nap = {"name": "a", "type": "sleep", "seconds": 60}
    engine.define("naps", [nap, {"name": "b", "dependencies": ["a"]}], run_timeout=1_000_000)
    calls = {}
    for tasks in (1, 10, 100):
        engine.start_many("naps", [{}] * tasks)
        engine.set_clock(tasks * 100)
        before = function_calls(engine)
        engine.value("select settled from quantumflow.settle(100)")
        calls[tasks] = function_calls(engine) - before
    assert calls[100] <= calls[10] + 20 <= 200, calls
