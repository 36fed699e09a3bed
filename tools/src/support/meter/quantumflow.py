"""quantumflow's SQL functions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

from .system import BATCH, Failure, State, System, WrongError

if TYPE_CHECKING:
    from psycopg import pq

    from .server import Database, Pump
    from .shapes import Shape

_START = "select count(*) from quantumflow.start_flows($1, $2::jsonb[])"
_START_ONE = "select quantumflow.start_flow($1, $2::jsonb)"
_TASK = "run_id, step_slug, task_index, lease_token, input"
_CLAIM = f"""
    select {_TASK}
    from quantumflow.claim_tasks($1::uuid, $2::int, lease => '30 s', commands => $3::text[])
    """
_COMPLETE = """
    select outcome, count(*) from quantumflow.complete_tasks($1::jsonb) group by outcome
    """
_FAIL = "select outcome, count(*) from quantumflow.fail_tasks($1::jsonb) group by outcome"
_EXCHANGE = f"""
    select {_TASK}, outcome
    from quantumflow.complete_and_claim(
      $1::uuid, $2::jsonb, $3::int, lease => '30 s', commands => $4::text[])
    """

_OUTPUT = b'{"ok": true}'
_ERROR = b'"error_message":"it failed"'

Task = tuple[bytes, bytes, bytes, bytes, bytes]
"""Run, step, index, lease token, input."""


class Quantumflow(System):
    """Runs are started, and tasks claimed and completed, by the hundred.

    Args:
        batch: How many tasks a claim asks for.
        hands_over: Whether a batch is completed by complete_and_claim, which brings the next one.
        fails: Which tasks fail; for runs of one step.
        commands: What is asked for, as a worker does with the commands of its handlers; else all.
    """

    schema = "quantumflow"

    def __init__(
        self,
        *,
        batch: int = BATCH,
        hands_over: bool = False,
        fails: Failure | None = None,
        commands: Sequence[str] | None = None,
    ) -> None:
        self.name = "quantumflow, handed over" if hands_over else "quantumflow"
        call = "complete_and_claim" if hands_over else "claim_tasks and complete_tasks"
        self.configuration = f"start_flows, {call} by {batch}"
        self._batch = batch
        self._hands_over = hands_over
        self._fails = fails
        self._commands = None if commands is None else f"{{{','.join(commands)}}}"
        self.worker_id = str(uuid4())
        self._held: dict[Pump, list[Task]] = {}

    def install(self, database: Database) -> None:
        """The two extensions, and the default queue."""
        database.execute("create extension pgmq; create extension quantumflow")
        database.execute("select quantumflow.setup()")

    def define(self, database: Database, shape: Shape) -> None:
        """Define a workflow whose failed tasks are retried at once."""
        definition = json.dumps(shape.definition(retry_delay=0))
        database.value("select quantumflow.define_flow(%s::jsonb)::text", definition)

    def start(self, pump: Pump, shape: Shape, inputs: Sequence[str]) -> None:
        """Start by the batch; a single run with start_flow."""
        if len(inputs) == 1:
            pump(_START_ONE, shape.slug, inputs[0])
            return
        for begin in range(0, len(inputs), BATCH):
            batch = inputs[begin : begin + BATCH]
            array = ",".join(json.dumps(text) for text in batch)
            pump(_START, shape.slug, f"{{{array}}}")

    def work(self, pump: Pump, shape: Shape) -> int:
        """Claim and complete, or with complete_and_claim complete and take what comes."""
        if self._hands_over:
            return self._exchange(pump, shape)
        tasks = self.claim(pump)
        return self.complete(pump, shape, tasks) if tasks else 0

    def claim(self, pump: Pump) -> list[Task]:
        """Claim one batch."""
        return self.tasks(pump(_CLAIM, self.worker_id, str(self._batch), self._commands))

    @staticmethod
    def tasks(rows: pq.abc.PGresult, begin: int = 0) -> list[Task]:
        """The tasks among the rows of an answer."""
        return [
            tuple(rows.get_value(n, column) or b"" for column in range(5))  # type: ignore[misc]
            for n in range(begin, rows.ntuples)
        ]

    def complete(
        self, pump: Pump, shape: Shape, tasks: Sequence[Task], output: bytes | None = None
    ) -> int:
        """Report a batch, with an output of one's own if need be; those that are to fail fail."""
        failed = {task[0] for task in tasks if self._fails is not None and self._fails(task[4])}
        good = [task for task in tasks if task[0] not in failed]
        bad = [task for task in tasks if task[0] in failed]
        done = _outcomes(pump(_COMPLETE, self._results(shape, good, output))) if good else {}
        ended = _outcomes(pump(_FAIL, _array(bad, _ERROR))) if bad else {}
        if set(done) > {"completed"} or set(ended) > {"retrying", "failed"}:
            raise WrongError(f"{self.name}: {done} {ended}")
        return done.get("completed", 0) + ended.get("failed", 0)

    def _exchange(self, pump: Pump, shape: Shape) -> int:
        done, self._held[pump] = self.exchange(pump, shape, self._held.pop(pump, []))
        return done

    def exchange(self, pump: Pump, shape: Shape, tasks: Sequence[Task]) -> tuple[int, list[Task]]:
        """Complete tasks and claim the next ones in one call: how many were done, and the next."""
        results = self._results(shape, tasks)
        rows = pump(_EXCHANGE, self.worker_id, results, str(self._batch), self._commands)
        outcomes = [rows.get_value(n, 5) for n in range(rows.ntuples)]
        if set(outcomes) > {b"completed", None}:
            raise WrongError(f"{self.name}: {set(outcomes)}")
        done = sum(outcome is not None for outcome in outcomes)
        return done, self.tasks(rows, done)

    @staticmethod
    def _results(shape: Shape, tasks: Sequence[Task], output: bytes | None = None) -> bytes:
        if not any(step.chunk_size for step in shape.steps):
            return _array(tasks, b'"output":' + (output or _OUTPUT))
        parts = (_array([task], b'"output":' + _items(task))[1:-1] for task in tasks)
        return b"[" + b",".join(parts) + b"]"

    def state(self, database: Database) -> State:
        """Runs, tasks, messages, and what check_state() finds."""
        return State(
            *database.value(
                """
                select json_build_array(
                  (select count(*) from quantumflow.workflow_runs),
                  (select count(*) from quantumflow.workflow_runs where status = 'completed'),
                  (select count(*) from quantumflow.step_tasks),
                  (select count(*) from quantumflow.step_tasks where status = 'completed'),
                  (select coalesce(sum(attempts), 0) from quantumflow.step_tasks),
                  (select count(*) from pgmq.q_quantum_flow_queue)
                    + (select count(*) from quantumflow.check_state()))
                """
            )
        )

    def ended(self, database: Database) -> tuple[int, int]:
        """Checks the rules for the newest runs only: there may be millions."""
        completed, left = database.value(
            """
            select json_build_array(
              count(*) filter (where status = 'completed'),
              count(*) filter (where status <> 'completed')
                + (select count(*) from pgmq.q_quantum_flow_queue)
                + (select count(*)
                   from (
                     select id from quantumflow.workflow_runs order by id desc limit 10
                   ) newest
                   cross join lateral quantumflow.check_state(newest.id)))
            from quantumflow.workflow_runs
            """
        )
        return completed, left


def _array(tasks: Sequence[Task], report: bytes) -> bytes:
    rows = (
        b'{"run_id":"%b","step_slug":"%b","task_index":%b,"lease_token":%b,%b}'
        % (*task[:4], report)
        for task in tasks
    )
    return b"[" + b",".join(rows) + b"]"


def _items(task: Task) -> bytes:
    return json.dumps(json.loads(task[4])["items"]).encode()


def _outcomes(rows: pq.abc.PGresult) -> dict[str, int]:
    return {
        (rows.get_value(n, 0) or b"").decode(): int(rows.get_value(n, 1) or 0)
        for n in range(rows.ntuples)
    }
