"""What waits costs claims nothing, and is settled by key, in sets, however much of it there is."""

from __future__ import annotations

import os
import time
from statistics import mean
from typing import TYPE_CHECKING

import pytest
from psycopg.types.json import Jsonb

from plans.measuring import Meter, function_calls, keep_autovacuum_away, table_counters
from support.engine import Engine, allow_test_clock, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Connect

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


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_million_asleep_cost_a_claim_nothing(
    engine: Engine, connect: Connect, record_property: Callable[[str, object], None]
) -> None:
    """Nor a look whether something is due, nor a sweep; nor do 100,000 that are queued."""
    asleep = int(os.environ.get("QUANTUMFLOW_ASLEEP", "1000000"))
    worker = Meter(Engine(connect()))
    engine.define("naps", [{"name": "a", "type": "sleep", "seconds": 1_000_000}])
    worker.engine.set_clock(0)
    engine.start("naps")
    engine.start_many("single", [{}] * 1_000)

    def costs() -> dict[str, int]:
        for _ in range(3):
            worker.claim()
        return {
            "claim": worker.claim(),
            "settle": settle(worker, 100),
            "sweep": worker.pages("select * from quantumflow.sweep()"),
        }

    alone = costs()
    began = time.monotonic()
    inputs = [Jsonb({})] * 10_000
    for _ in range(asleep // 10_000):
        engine.value("select count(*) from quantumflow.start_flows('naps', %s)", inputs)
    seconds = time.monotonic() - began
    beside = costs()
    engine.start_many("single", [{}] * 100_000)
    queued = costs()
    record_property("pages alone, beside a million, and 100,000 queued", (alone, beside, queued))
    record_property("starts a second", round(asleep / seconds))
    for found in (beside, queued):
        assert found["claim"] <= alone["claim"] * 1.2
        assert found["settle"] <= alone["settle"] + 20
    assert beside["sweep"] <= alone["sweep"] + 100
    # It looks at 10,000 messages of a queue at most.
    assert queued["sweep"] <= 30_000
