"""What looking costs beside runs that have ended: each answer reads what it is about, not history.

Fails when an answer about what goes on, or about a short time, reads runs that have ended long ago;
and, in the long form, when one takes longer than it may beside a million of them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from plans.history import LAST, fill
from plans.measuring import Meter, keep_autovacuum_away
from plans.questions import QUESTIONS
from support.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Connect

pytestmark = pytest.mark.system

# Pages. The queue holds what goes on, and nothing else is looked at by more than a few.
_OTHERS = {
    "why()": 2000,
    "timeline('{old}')": 100,
    "list_runs(status => 'paused')": 500,
    "list_runs(since => now() + '1 day')": 100,
    "list_runs(idempotency_key => 'nobody''s')": 100,
    "list_failures()": 150,
    "metrics()": 3500,
    "find_run('{run}')": 50,
    "sweep()": 1500,
}


@pytest.mark.parametrize("rows", [10_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_looking_reads_no_history(
    connect: Connect, record_property: Callable[[str, object], None], rows: int
) -> None:
    engine = Engine(connect())
    keep_autovacuum_away(engine)
    runs = fill(engine, rows, still_open=20)
    meter = Meter(engine)
    found = {}
    most = {question.line: question.most for question in QUESTIONS if question.most} | _OTHERS
    for call in most:
        query = f"select * from quantumflow.{call.format_map(runs)}"
        meter.pages(query)  # makes plans, too
        began = time.perf_counter()
        found[call] = meter.pages(query)
        record_property(call, (found[call], round(1000 * (time.perf_counter() - began), 1)))
    assert {call: n for call, n in found.items() if n > most[call]} == {}
    counted = """
        select sum(n) from quantumflow.step_hours
        where hour = '-infinity' and step_slug in ('only', 'validate', 'charge', 'ship')
        """
    ended = """
        select (select count(*) from quantumflow.step_tasks where status = 'completed')
          + (
            select count(*) from quantumflow.task_failures f
            join quantumflow.workflow_runs r on (r.id, r.status) = (f.run_id, 'failed')
          )
        """
    assert engine.value(counted) == engine.value(ended)


def test_a_retry_beside_who_counts_waits_for_nobody_and_is_counted_once(connect: Connect) -> None:
    """One counts, and has not committed; beside it a run is retried, and somebody else counts."""
    engine = Engine(connect())
    engine.define("single", [{"name": "only"}])
    retried, stays = engine.start("single"), engine.start("single")
    for task in engine.claim(2):
        engine.complete(task)
    engine.value("select quantumflow._make_counting()")
    engine.connection.execute(LAST)

    counting = Engine(connect())
    with counting.connection.transaction():
        assert counting.value("select quantumflow._count_runs(now())") == 2
        engine.connection.execute("set lock_timeout = '5 s'")
        assert engine.value("select quantumflow._count_runs(now())") == 0
        engine.value("select quantumflow.retry_run(%s, 'only')", retried)
    for task in engine.claim(1):
        engine.complete(task)
    for _ in range(3):
        engine.connection.execute(LAST)
        engine.value("select quantumflow._count_runs(now())")
    engine.value("select quantumflow.delete_run(%s)", stays)
    counted = "select n from quantumflow.step_hours where hour = '-infinity' order by step_slug"
    # Three attempts; three ends of two runs.
    assert engine.rows(counted) == [(3,), (3,)]
    engine.value("select quantumflow.prune('0 s')")
    assert engine.rows(counted) == [(3,), (3,)]
