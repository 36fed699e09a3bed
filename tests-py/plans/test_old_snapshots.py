"""While somebody keeps an old snapshot, dead rows pile up; a call does not pay for all of them.

The clock is set, so that how often a session looks at its queue from the beginning is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from plans.measuring import Meter, keep_autovacuum_away
from support.engine import Engine, allow_test_clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Connect, Connection

pytestmark = pytest.mark.system

_TASKS = pytest.mark.parametrize("tasks", [8_000, pytest.param(20_000, marks=pytest.mark.long)])


class _Clock:
    """One time for several sessions."""

    def __init__(self, *engines: Engine) -> None:
        self._engines = engines
        self._seconds = 0.0
        self.pass_by(0)

    def pass_by(self, seconds: float) -> None:
        self._seconds += seconds
        for engine in self._engines:
            engine.set_clock(self._seconds)


@pytest.fixture
def engine(connect: Connect) -> Engine:
    engine = Engine(connect())
    allow_test_clock(engine.connection)
    engine.define("single", [{"name": "only"}])
    engine.define("wide", [{"name": "each", "type": "map"}])
    keep_autovacuum_away(engine)
    return engine


@pytest.fixture
def worker(connect: Connect) -> Meter:
    return Meter(Engine(connect()))


@pytest.fixture
def holder(connect: Connect) -> Connection:
    """A session with an old snapshot, until it ends its transaction."""
    holder = connect(autocommit=False)
    holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    return holder


def _hold(holder: Connection) -> None:
    holder.execute("select count(*) from pg_class")


def _work_through(engine: Engine, worker: Meter, clock: _Clock, tasks: int) -> None:
    for _ in range(tasks // 2_000):
        engine.start_many("single", [{}] * 2_000)
        clock.pass_by(0.1)
        for _ in range(2):
            worker.claim(1_000)
            worker.complete()
    clock.pass_by(10)


@_TASKS
def test_claims_and_starts_stay_flat(
    engine: Engine,
    worker: Meter,
    holder: Connection,
    record_property: Callable[[str, object], None],
    tasks: int,
) -> None:
    clock = _Clock(engine, worker.engine)
    starter = Meter(engine)
    costs: list[tuple[int, int, int]] = []
    _work_through(engine, worker, clock, 2_000)
    _hold(holder)

    for _ in range(2):
        found = []
        for _ in range(20):
            clock.pass_by(0.001)
            start = starter.pages(
                "select quantumflow.start_flows('single', array_fill('{}'::jsonb, array[10]))"
            )
            claim = worker.claim(10)
            assert worker.claimed() == [("only", 10)]
            found.append((start, claim, worker.complete()))
        # The first one reads from the beginning, and now and then one reads the catalogs again.
        _, *rest = found
        costs.append(tuple(sorted(cost[n] for cost in rest)[-2] for n in range(3)))  # type: ignore[arg-type]
        record_property("pages of a start, a claim, a report", costs[-1])
        _work_through(engine, worker, clock, tasks)

    early, late = costs
    for before, after in zip(early, late, strict=True):
        assert after <= 1.5 * before
    assert engine.problems() == []


@_TASKS
def test_a_large_map_is_no_exception(
    engine: Engine, worker: Meter, holder: Connection, tasks: int
) -> None:
    """Its messages are all of one moment, but for what tells them apart."""
    clock = _Clock(engine, worker.engine)
    _hold(holder)
    engine.start("wide", list(range(tasks)))
    pages = []
    for _ in range(tasks // 1_000 - 1):
        clock.pass_by(0.0001)
        worker.claim(1_000)
        worker.complete()
        pages.append(worker.claim(10))
        assert worker.claimed() == [("each", 10)]
        worker.complete()

    assert sum(pages[-3:]) <= 1.5 * sum(pages[:3])


def test_what_lies_before_the_front_is_found_a_moment_later(
    connect: Connect, engine: Engine, worker: Meter, holder: Connection
) -> None:
    other = Engine(connect())
    clock = _Clock(engine, worker.engine, other)
    _hold(holder)
    _work_through(engine, worker, clock, 4_000)
    assert worker.claim(10) > 0  # From the beginning, past 4,000 tasks' entries.
    noted = worker.engine.value("select current_setting('quantumflow.front_quantum_flow_queue')")
    assert noted.startswith("{")

    urgent = engine.value("select quantumflow.start_flow('single', '{}', priority => 100)")
    later = engine.start("single")
    first = worker.engine.claim()
    clock.pass_by(0.05)
    second = worker.engine.claim()

    assert [task.run_id for task in first] == [later]
    assert [task.run_id for task in second] == [urgent]

    # Another session has noted nothing, and overlooks nothing.
    _, released = worker.engine.release(second), other.claim()
    assert [task.run_id for task in released] == [urgent]


def test_the_front_is_forgotten_when_the_snapshot_has_gone(
    connect: Connect, engine: Engine, worker: Meter, holder: Connection
) -> None:
    clock = _Clock(engine, worker.engine)
    _hold(holder)
    _work_through(engine, worker, clock, 4_000)
    before = worker.claim(10)
    holder.rollback()
    clock.pass_by(10)
    connect().execute("vacuum pgmq.q_quantum_flow_queue")

    after = worker.claim(10)

    assert after < before
    urgent = engine.value("select quantumflow.start_flow('single', '{}', priority => 100)")
    assert [task.run_id for task in worker.engine.claim()] == [urgent]
