"""What a call costs with 40,000 or 200,000 rows in each table, whatever the statistics say.

A session may have made its plans when the tables were empty, or make them now; the tables may have
been filled a moment ago, with no statistics, or with those of an empty table. Each hot function
must read what it needs by key: no table is scanned, and the pages that it looks at are bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from psycopg.types.json import Jsonb

from plans.measuring import Meter, keep_autovacuum_away, table_counters
from support.engine import Engine, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Connect

pytestmark = pytest.mark.system

_TASKS = 50
"""How many tasks each call has to do with."""

# The pages that each call may look at: for a task, or, from start_flow on, in all.
_MOST = {
    "start_flows": 150,
    "claim_tasks": 120,
    "extend_leases": 60,
    "complete_and_claim": 180,
    "release_tasks": 90,
    "fail_tasks": 90,
    "complete_tasks": 120,
    "start_flow": 120,
    "pause_run": 420,
    "resume_run": 360,
    "start_ready_steps": 120,
    "status": 290,
    "run_input": 20,
    "cancel_run": 180,
    "retry_run": 560,
    "delete_run": 950,
    "register_worker": 400,
    "sweep": 620,
    # Before PostgreSQL 17 a list of ids is looked up one by one.
    "prune": 80 * _TASKS,
    "prune in vain": 150,
}

# Runs as they are when they have ended, made at once.
_FINISHED = (
    """
    insert into quantumflow.workflow_runs
      (id, workflow_slug, version, input, created_at, started_at, remaining_steps, status, output,
       completed_at)
    select quantumflow._uuid_v7(), 'single', 1, '{}', now(), now(), 0, 'completed', '{"only": 1}',
      now()
    from generate_series(1, %s::int)
    """,
    """
    insert into quantumflow.step_states
      (run_id, step_slug, created_at, initial_tasks, remaining_deps, started_at, remaining_tasks,
       status, completed_at)
    select id, 'only', now(), 1, 0, now(), 0, 'completed', now()
    from quantumflow.workflow_runs
    where completed_at = created_at
    """,
    """
    insert into quantumflow.step_tasks
      (run_id, step_slug, task_index, queue, message_id, queued_at, attempts, lease_token,
       started_at, status, completed_at, output)
    select id, 'only', 0, 'quantum_flow_queue', 0, now(), 1, 1, now(), 'completed', now(), '1'
    from quantumflow.workflow_runs
    where completed_at = created_at
    """,
)

_REPORTS = """
select coalesce(jsonb_agg(jsonb_build_object(
  'run_id', run_id, 'step_slug', step_slug, 'task_index', task_index, 'lease_token', lease_token,
  'output', 1, 'error_message', 'it broke', 'retry_after', 3600)), '[]')
from batch
"""

_CLAIM = "insert into batch select run_id, step_slug, task_index, lease_token from quantumflow."


@pytest.fixture
def engine(connect: Connect) -> Engine:
    engine = Engine(connect())
    engine.define("single", [{"name": "only"}])
    engine.define("pair", [{"name": "a"}, {"name": "b", "dependencies": ["a"]}])
    engine.define("later", [{"name": "each", "type": "map", "start_delay": 86400}])
    return engine


class _Round:
    """A worker's session that calls each hot function once; what each call cost, in pages."""

    def __init__(self, engine: Engine) -> None:
        self._meter = Meter(engine)
        self._engine = engine

    def calls(self, tasks: int) -> dict[str, float]:
        """Each function, with so many tasks; answers the pages a task of each call."""
        inputs = f"array_fill('{{}}'::jsonb, array[{tasks}])"
        pages = {
            "start_flows": self.pages(f"select quantumflow.start_flows('pair', {inputs})"),
            "claim_tasks": self._claim(f"claim_tasks(gen_random_uuid(), {tasks})"),
            "extend_leases": self.pages(
                "select * from quantumflow.extend_leases(gen_random_uuid(), %s, '60 s')",
                self._reports(),
            ),
        }
        reports = self._reports()
        pages["complete_and_claim"] = self._claim(
            f"complete_and_claim(gen_random_uuid(), %s, {tasks}) where outcome is null", reports
        )
        pages["release_tasks"] = self._report("release_tasks")
        self._claim(f"claim_tasks(gen_random_uuid(), {tasks})")
        pages["fail_tasks"] = self._report("fail_tasks")
        self._engine.value(f"select count(*) from quantumflow.start_flows('pair', {inputs})")
        self._claim(f"claim_tasks(gen_random_uuid(), {tasks})")
        pages["complete_tasks"] = self._report("complete_tasks")
        pages = {name: count / tasks for name, count in pages.items()}
        pages |= self._on_one_run()
        return pages | self._on_all(tasks)

    def _on_one_run(self) -> dict[str, float]:
        pages: dict[str, float] = {
            "start_flow": self.pages("select quantumflow.start_flow('single')"),
        }
        run = self._engine.start("single")
        for name in ("pause_run", "resume_run", "status", "run_input", "start_ready_steps"):
            pages[name] = self.pages(f"select quantumflow.{name}(%s)", run)
        pages["cancel_run"] = self.pages("select quantumflow.cancel_run(%s)", run)
        pages["retry_run"] = self.pages("select quantumflow.retry_run(%s)", run)
        self._engine.cancel(run)
        pages["delete_run"] = self.pages("select quantumflow.delete_run(%s)", run)
        return pages

    def _on_all(self, tasks: int) -> dict[str, float]:
        return {
            "register_worker": self.pages(
                "select quantumflow.register_worker(gen_random_uuid(), '', null, "
                "'{quantum_flow_queue}')"
            ),
            "sweep": self.pages("select * from quantumflow.sweep()"),
            "prune": self.pages("select quantumflow.prune('0 s', %s)", tasks),
            "prune in vain": self.pages("select quantumflow.prune('1 day', %s)", tasks),
        }

    def pages(self, query: str, *parameters: Any) -> float:
        return self._meter.pages(query, *parameters)

    def _claim(self, call: str, *parameters: Any) -> float:
        self._engine.connection.execute("truncate batch")
        return self.pages(_CLAIM + call, *parameters)

    def _reports(self) -> Any:
        return Jsonb(self._engine.value(_REPORTS))

    def _report(self, function: str) -> float:
        return self.pages(f"select quantumflow.{function}(%s)", self._reports())


def _nothing(engine: Engine) -> None:
    pass


def _empty_and_analyze(engine: Engine) -> None:
    remove_runs(engine.connection)
    engine.connection.execute("analyze")


@pytest.mark.parametrize("rows", [40_000, pytest.param(200_000, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "before",
    [
        pytest.param(_nothing, id="no statistics, then those of full tables"),
        pytest.param(_empty_and_analyze, id="those of empty tables"),
    ],
)
def test_calls_read_by_key(
    engine: Engine,
    connect: Connect,
    record_property: Callable[[str, object], None],
    before: Callable[[Engine], None],
    rows: int,
) -> None:
    keep_autovacuum_away(engine)
    old = _Round(Engine(connect()))
    for _ in range(8):
        old.calls(2)
    before(engine)
    first, *rest = _FINISHED
    engine.value(first + "returning null", rows)
    for statement in rest:
        engine.connection.execute(statement.encode())
    engine.start("later", list(range(rows // 10)))
    scans = {name: found["scans"] for name, found in table_counters(engine).items()}

    pages = {
        "a session that began on empty tables": old.calls(_TASKS),
        "a session that begins": _Round(Engine(connect())).calls(_TASKS),
    }
    assert {name: found["scans"] for name, found in table_counters(engine).items()} == scans
    if before is _nothing:
        engine.connection.execute("analyze")
        pages["the first, analyzed"] = old.calls(_TASKS)
        pages["another, analyzed"] = _Round(Engine(connect())).calls(_TASKS)

    for session, found in pages.items():
        record_property(session, found)
        assert {n: round(count) for n, count in found.items() if count > _MOST[n]} == {}, session


def test_one_run_is_checked_by_key(engine: Engine, connect: Connect) -> None:
    round_ = _Round(engine)
    first, *rest = _FINISHED
    engine.value(first + "returning null", 20_000)
    for statement in rest:
        engine.connection.execute(statement.encode())
    engine.connection.execute("analyze")
    run = engine.start("single")

    check = "select count(*) from quantumflow.check_state(%s)"
    # The first time the catalog is read, too.
    round_.pages(check, run)
    assert round_.pages(check, run) < 650
