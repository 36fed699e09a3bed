"""Runs that were started before an upgrade get to their right end after it.

Fails when the upgrade leaves out a changed function, or a table's change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from support.engine import EPOCH, Engine, Task, allow_test_clock
from upgrade.installation import BASE, Installation

if TYPE_CHECKING:
    from uuid import UUID

Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.system

_STEPS: list[dict[str, Any]] = [
    {"name": "list"},
    {"name": "each", "type": "map", "dependencies": ["list"]},
    {"name": "sum", "dependencies": ["each"]},
]
_OUTPUT = {"sum": 60}
_AN_HOUR = 3600


class Cases:
    """Runs in every state that an upgrade can meet, each of its own workflow, in its own queue."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.runs: dict[str, UUID] = {}
        self.held: list[Task] = []

    def start(self, case: str, **arguments: Any) -> None:
        callbacks = {"on_complete": "thank", "on_failure": "apologize"}
        settings = {"queue": case, "timeout": 10 * _AN_HOUR, "retry_delay": 60} | callbacks
        self.engine.define(case, _STEPS, **settings)
        words = "".join(f", {name} => %s" for name in arguments)
        query = f"select quantumflow.start_flow(%s{words})"
        self.runs[case] = self.engine.value(query, case, *arguments.values())

    def claim(self, case: str, quantity: int = 1, lease: float = 2 * _AN_HOUR) -> list[Task]:
        tasks = self.engine.claim(quantity, queues=[case], lease=lease)
        assert len(tasks) == quantity
        return tasks

    def work(self, case: str, quantity: int = 1) -> None:
        assert set(self.complete(self.claim(case, quantity))) == {"completed"}

    def hold(self, case: str) -> None:
        self.held += self.claim(case)

    def complete(self, tasks: list[Task]) -> list[str]:
        return self.engine.complete_all([(task, self._output(task)) for task in tasks])

    def drain(self) -> None:
        while tasks := self.engine.claim(10, queues=list(self.runs)):
            assert set(self.complete(tasks)) == {"completed"}

    def statuses(self) -> dict[str, str]:
        return {case: self.engine.run_status(run_id) for case, run_id in self.runs.items()}

    @staticmethod
    def _output(task: Task) -> Any:
        if task.step_slug == "list":
            return [1, 2, 3]
        if task.step_slug == "each":
            return task.input["item"] * 10
        return sum(task.input["each"]) if task.step_slug == "sum" else None

    def start_all(self) -> None:
        """With the old version: one run in each state, at the clock's 0."""
        self.start("untouched")
        self.start("keyed", idempotency_key="k", headers=Jsonb({"a": 1}), priority=5)
        self.start("held")
        self.hold("held")
        self.start("half")
        self.work("half")
        self.work("half")
        self.hold("half")
        self.start("delayed", start_at=EPOCH.replace(hour=1))
        self.start("foreign")
        put_back = self.engine.rows(
            "select * from quantumflow.claim_tasks(gen_random_uuid(), 1, '{foreign}', "
            "commands => '{another}')"
        )
        assert put_back == []
        self.start("retrying")
        assert self.engine.fail_all(self.claim("retrying")) == ["retrying"]
        self.start("lost")
        self.claim("lost", lease=1)
        self.start("failed")
        assert self.engine.fail_all(self.claim("failed"), retryable=False) == ["failed"]
        self.start("thanked")
        for quantity in (1, 3, 1):
            self.work("thanked", quantity)
        self.hold("thanked")
        self.start("cancelled")
        self.hold("cancelled")
        self.engine.cancel(self.runs["cancelled"])
        self.start("done")
        for quantity in (1, 3, 1, 1):
            self.work("done", quantity)


def test_runs_go_on(old: Installation, old_connection: Connection) -> None:
    allow_test_clock(old_connection)
    engine = Engine(old_connection)
    engine.set_clock(0)
    cases = Cases(engine)
    cases.start_all()
    before = cases.statuses()
    assert engine.problems() == []
    new = (
        "'{optimized_at,paused_at,usage,due_at,reported,gave_up,skipped_at,skip_reason,failed_tasks,"
        "parent_run_id,parent_step_slug,parent_task_index,parent_retries,root_run_id,depth,"
        "fresh_since,next_child,max_iterations,limit_key,started_by,origin,announced,turn_key,"
        "unkept_gave_up,paused_with_parent,policy}'::text[]"
    )
    rows = {
        table: engine.rows(f"select to_jsonb(t) - {new} from quantumflow.{table} t")
        for table in ("workflow_runs", "step_states", "step_tasks", "task_failures", "workflows")
    }

    old.update(old_connection)
    if not old.is_plain:
        old_connection.execute("alter extension pgmq update to '99.0'")  # see hostile_pgmq.sql

    for table, found in rows.items():
        now = engine.rows(f"select to_jsonb(t) - {new} from quantumflow.{table} t")
        assert sorted(map(str, now)) == sorted(map(str, found))
    assert cases.statuses() == before
    assert engine.problems() == []
    lanes = "select quantumflow._has_lanes(%s::regclass)"
    assert [queue for queue in cases.runs if not engine.value(lanes, f"pgmq.q_{queue}")] == []

    # What was claimed before is reported after; new verbs know old runs.
    assert cases.complete(cases.held) == ["completed", "completed", "completed", "run_ended"]
    assert engine.value("select status from quantumflow.pause_run(%s)", cases.runs["half"]) == (
        "paused"
    )
    engine.set_clock(_AN_HOUR + 1)
    cases.drain()
    assert engine.value("select status from quantumflow.resume_run(%s)", cases.runs["half"]) == (
        "started"
    )
    cases.drain()
    ended = dict.fromkeys(cases.runs, "completed") | {"failed": "failed", "cancelled": "cancelled"}
    assert cases.statuses() == ended
    assert (
        engine.value("select quantumflow.start_flow('keyed', '{}', idempotency_key => 'k')")
        == (cases.runs["keyed"])
    )

    for case in ("failed", "cancelled"):
        retried = engine.value("select status from quantumflow.retry_run(%s)", cases.runs[case])
        assert retried == "started"
    cases.drain()
    assert set(cases.statuses().values()) == {"completed"}
    assert {case: engine.run_output(run_id) for case, run_id in cases.runs.items()} == (
        dict.fromkeys(cases.runs, _OUTPUT)
    )
    attempts = "select max(attempts) from quantumflow.step_tasks where run_id = %s"
    assert engine.value(attempts, cases.runs["lost"]) == 2
    called = (
        "select step_slug, count(*) from quantumflow.step_tasks where step_slug ^@ '_' group by 1"
    )
    assert dict(engine.rows(called)) == {"_on_complete": len(cases.runs), "_on_failure": 1}
    assert engine.problems() == []
    assert [queue for queue in cases.runs if engine.messages(queue)] == []


def test_what_failed_before_is_known_as_reported_or_not(
    old: Installation, old_connection: Connection
) -> None:
    allow_test_clock(old_connection)
    engine = Engine(old_connection)
    engine.set_clock(0)
    engine.define("map", [{"name": "m", "type": "map"}], timeout=50, max_attempts=2, retry_delay=0)
    run_id = engine.start("map", [0, 1, 2])
    broken = engine.claim(1, lease=100)
    assert engine.fail_all(broken) == ["retrying"]
    lost = engine.claim(1, lease=10)
    late = engine.claim(1, lease=100)
    engine.set_clock(60)
    engine.sweep()

    old.update(old_connection)

    failures = "select kind, reported, due_at, usage from quantumflow.task_failures order by kind"
    assert engine.rows(failures) == [
        ("error", True, None, None),
        ("lost", False, None, None),
        ("timeout", False, None, None),
    ]
    assert engine.fail_all([*broken, *lost, *late]) == ["duplicate", "stale", "stale"]
    while tasks := engine.claim(10):
        engine.complete_all([(task, 1) for task in tasks])
    assert engine.run_status(run_id) == "completed"


@pytest.mark.parametrize("old_version", [BASE])  # 0.4.0 refuses them
def test_names_that_are_reserved_now_stay_those_of_what_is_stored(
    old: Installation, old_connection: Connection
) -> None:
    engine = Engine(old_connection)
    steps: list[dict[str, Any]] = [{"name": "input"}, {"name": "ctx", "dependencies": ["input"]}]
    assert engine.define("items", steps) == 1
    old.update(old_connection)
    assert engine.define("items", steps) == 1
    engine.start("items")
    assert engine.define("items", [*steps, {"name": "more", "dependencies": ["ctx"]}]) == 2
    with pytest.raises(psycopg.Error, match="which is reserved") as caught:
        engine.define("others", steps)
    assert caught.value.sqlstate == "QF103"
