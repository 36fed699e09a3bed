"""The engine's SQL functions as one session calls them, for tests with several sessions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

Connection = psycopg.Connection[Any]

# Where the test clock starts; nothing depends on the date.
EPOCH = datetime(2030, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Task:
    """A claimed task: its key, its token, what it was given."""

    run_id: UUID
    step_slug: str
    task_index: int
    lease_token: int
    input: Any
    attempt: int

    @property
    def key(self) -> tuple[UUID, str, int]:
        return self.run_id, self.step_slug, self.task_index

    def report(self, **more: Any) -> dict[str, Any]:
        """The object that stands for this attempt in a call."""
        return {
            "run_id": str(self.run_id),
            "step_slug": self.step_slug,
            "task_index": self.task_index,
            "lease_token": self.lease_token,
        } | more


class Engine:
    """One connection and the functions of quantumflow, each with the answer in Python's terms."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.worker_id = uuid4()

    @property
    def pid(self) -> int:
        return self.connection.info.backend_pid

    def value(self, query: str, *parameters: Any) -> Any:
        row = self.connection.execute(query, parameters).fetchone()
        return None if row is None else row[0]

    def rows(self, query: str, *parameters: Any, **named: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, named or parameters).fetchall()

    def set_clock(self, seconds: float) -> None:
        """Let it be so many seconds after EPOCH, for this session (see allow_test_clock)."""
        now = EPOCH + timedelta(seconds=seconds)
        self.value("select set_config('quantumflow.now', %s, false)", now.isoformat())

    def define(self, slug: str, steps: Iterable[dict[str, Any]], **settings: Any) -> int:
        """Define a workflow; answers the version."""
        definition = {"slug": slug, "steps": list(steps)} | settings
        return int(self.value("select version from quantumflow.define_flow(%s)", Jsonb(definition)))

    def start(self, slug: str, flow_input: Any = None, *, key: str | None = None) -> UUID:
        found = self.value(
            "select quantumflow.start_flow(%s, %s, idempotency_key => %s)",
            slug,
            Jsonb({} if flow_input is None else flow_input),
            key,
        )
        assert isinstance(found, UUID)
        return found

    def start_many(self, slug: str, inputs: Sequence[Any]) -> list[UUID]:
        found = self.rows(
            "select * from quantumflow.start_flows(%s, %s)", slug, [Jsonb(i) for i in inputs]
        )
        return [row[0] for row in found]

    def claim(
        self,
        quantity: int = 1,
        *,
        lease: float = 300,
        queues: Sequence[str] | None = None,
        commands: Sequence[str] | None = None,
    ) -> list[Task]:
        found = self.rows(
            "select run_id, step_slug, task_index, lease_token, input, attempt "
            "from quantumflow.claim_tasks(%s, %s, lease => %s, queues => %s, commands => %s)",
            self.worker_id,
            quantity,
            timedelta(seconds=lease),
            list(queues or ["quantum_flow_queue"]),
            None if commands is None else list(commands),
        )
        return [Task(*row) for row in found]

    def complete_all(self, results: Sequence[tuple[Task, Any]]) -> list[str]:
        reports = [task.report(output=output) for task, output in results]
        return self._outcomes("select outcome from quantumflow.complete_tasks(%s)", reports)

    def complete(self, task: Task, output: Any = None) -> str:
        (outcome,) = self.complete_all([(task, output)])
        return outcome

    def exchange(
        self,
        results: Sequence[tuple[Task, Any]],
        quantity: int = 1,
        *,
        lease: float = 300,
        queues: Sequence[str] | None = None,
        commands: Sequence[str] | None = None,
    ) -> tuple[list[str], list[Task]]:
        """complete_and_claim: what became of the results, and the tasks handed out."""
        found = self.rows(
            "select outcome, run_id, step_slug, task_index, lease_token, input, attempt "
            "from quantumflow.complete_and_claim(%s, %s, %s, %s, %s, %s)",
            self.worker_id,
            Jsonb([task.report(output=output) for task, output in results]),
            quantity,
            list(queues or ["quantum_flow_queue"]),
            timedelta(seconds=lease),
            None if commands is None else list(commands),
        )
        outcomes = [row[0] for row in found if row[0] is not None]
        return outcomes, [Task(*row[1:]) for row in found if row[0] is None]

    def fail_all(self, tasks: Sequence[Task], **more: Any) -> list[str]:
        reports = [task.report(error_message="it broke", **more) for task in tasks]
        return self._outcomes("select outcome from quantumflow.fail_tasks(%s)", reports)

    def fail(self, task: Task, *, retryable: bool = True) -> str:
        (outcome,) = self.fail_all([task], retryable=retryable)
        return outcome

    def extend(self, tasks: Sequence[Task], lease: float = 300) -> list[str]:
        reports = Jsonb([task.report() for task in tasks])
        found = self.rows(
            "select state from quantumflow.extend_leases(%s, %s, %s)",
            self.worker_id,
            reports,
            timedelta(seconds=lease),
        )
        return [row[0] for row in found]

    def release(self, tasks: Sequence[Task]) -> int:
        reports = Jsonb([task.report() for task in tasks])
        return int(self.value("select quantumflow.release_tasks(%s)", reports))

    def cancel(self, run_id: UUID) -> str:
        """Cancel a run; answers the status it has then, "too late" when it had ended before."""
        try:
            return str(self.value("select status from quantumflow.cancel_run(%s)", run_id))
        except psycopg.Error as error:
            if error.sqlstate == "QF207":
                return "too late"
            raise

    def sweep(self) -> dict[str, int]:
        return dict(self.rows("select action, tasks from quantumflow.sweep()"))

    def start_ready_steps(self, run_id: UUID) -> int:
        return int(self.value("select quantumflow.start_ready_steps(%s)", run_id))

    def run_status(self, run_id: UUID) -> str:
        return str(self.value("select status from quantumflow.workflow_runs where id = %s", run_id))

    def run_output(self, run_id: UUID) -> Any:
        return self.value("select output from quantumflow.workflow_runs where id = %s", run_id)

    def step_statuses(self, run_id: UUID) -> dict[str, str]:
        return dict(
            self.rows(
                "select step_slug, status from quantumflow.step_states where run_id = %s", run_id
            )
        )

    def task_statuses(self, run_id: UUID) -> dict[tuple[str, int], str]:
        found = self.rows(
            "select step_slug, task_index, status from quantumflow.step_tasks where run_id = %s",
            run_id,
        )
        return {(slug, index): status for slug, index, status in found}

    def count_apart_from(self, tasks: int) -> None:
        """Let maps of so many tasks count as large ones, which are counted in several rows."""
        self.connection.execute(
            "create or replace function quantumflow._counted_apart_from() returns int "
            f"language sql immutable return {tasks:d}"
        )

    def problems(self) -> list[tuple[Any, ...]]:
        """What check_state() says: nothing, if all is well."""
        return self.rows("select * from quantumflow.check_state()")

    def messages(self, queue: str = "quantum_flow_queue") -> int:
        query = psycopg.sql.SQL("select count(*) from {}").format(
            psycopg.sql.Identifier("pgmq", f"q_{queue}")
        )
        row = self.connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])

    def drain(self, batch: int = 100, output: Any = None) -> int:
        """Claim and complete until there is nothing to claim; answers how many."""
        done = 0
        while tasks := self.claim(batch):
            outcomes = self.complete_all([(task, output) for task in tasks])
            assert set(outcomes) <= {"completed"}, outcomes
            done += len(tasks)
        return done

    def _outcomes(self, query: str, reports: list[dict[str, Any]]) -> list[str]:
        return [row[0] for row in self.rows(query, Jsonb(reports))]


def allow_test_clock(connection: Connection) -> None:
    """Let sessions of this database set the clock with Engine.set_clock."""
    connection.execute("insert into quantumflow.settings values ('test_clock', 'on')")


def remove_runs(connection: Connection) -> None:
    """Remove all runs with their tasks and messages, whatever state they are in."""
    connection.execute(
        """
        delete from quantumflow.workflow_runs;
        delete from quantumflow.step_states;
        delete from quantumflow.step_tasks;
        delete from quantumflow.task_failures;
        delete from quantumflow.undone_tasks;
        delete from quantumflow._map_counters;
        delete from quantumflow.signals;
        delete from quantumflow._unfinished_ends;
        delete from quantumflow._tree_work;
        delete from quantumflow._trees;
        delete from pgmq.q_quantum_flow_queue;
        do $$
        begin
          delete from pgmq.q_quantum_flow_system;
        exception
          when undefined_table then null;
        end
        $$;
        """
    )
