"""Runs of the workflows of the chaos: starting them, and whether they have ended."""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.types.json import Jsonb

from chaos import flows, spells
from quantumflow_client import _json, _sql
from support.engine import Engine
from support.waiting import wait_until

if TYPE_CHECKING:
    from uuid import UUID

    from chaos.flows import Kind
    from quantumflow_client._connections import Connections

T = TypeVar("T")

ROLE = "chaos_worker"
"""Whom the workers connect as: somebody who may work and nothing else."""

HARNESS, OPERATOR = "chaos", "chaos operator"
"""What the sessions of the conductor and of the operator are called."""

_TABLES = """
create schema chaos;
create table chaos.effects (
  run_id uuid, step_slug text, task_index int, attempt int, value bigint);
create table chaos.operations (
  run_id uuid, verb text, arguments text[], at timestamptz default clock_timestamp());
"""

_WORKER = """
do $$
begin
  if not exists (select from pg_roles where rolname = '{role}') then
    create role {role} login;
  end if;
end $$;
grant usage on schema chaos to {role};
grant insert on chaos.effects to {role};
select quantumflow.grant_access('{role}', 'worker');
"""

Ask = Callable[[Callable[[Engine], Any]], Any]
"""Asks a question of a database, until it is answered."""

_PATIENCE = 5.0
"""How many seconds a server may be silent."""

_LOOK = 0.5
"""How many seconds pass between two looks whether there is something left to do."""

SHOWN = 5
"""How many runs are shown with their history, of those that are wrong."""


@dataclass(frozen=True, slots=True)
class Started:
    """A run that was started, or will be."""

    run_id: UUID
    kind: Kind
    input: Any


def prepare(connection: psycopg.Connection[Any], kinds: Iterable[Kind]) -> None:
    """Make the tables and the role of the chaos, and define its workflows."""
    connection.execute(_TABLES)
    connection.execute(spells.TABLE)
    connection.execute(_WORKER.format(role=ROLE).encode())
    for kind in kinds:
        connection.execute("select quantumflow.define_flow(%s)", (Jsonb(kind.definition),))


def start(connections: Connections, run: Started) -> None:
    """Start a run, however often that must be said."""
    call = _sql.runs.start_flow(
        run.kind.slug,
        run.input,
        run_id=run.run_id,
        priority=0,
        start_at=None,
        idempotency_key=str(run.run_id),
        headers=None,
        version=None,
    )
    persist(lambda: connections.run(call, patience=_PATIENCE))


def answer_all(connections: Connections) -> None:
    """Send each wait what it waits for; the same again, if nobody has said that it came."""
    asked = _sql.signals.list_waits(flows.PATIENT_FLOW, None, max_runs=100, with_input=True)
    for wait in persist(lambda: connections.run(asked, patience=_PATIENCE)):
        given: Any = wait.input
        call = _sql.signals.send_signal(
            wait.run_id,
            "answer",
            flows.answer(given["run"]),
            key=f"{wait.step_slug} {wait.since}",
            encode=_json.encode,
        )
        persist(functools.partial(connections.run, call, patience=_PATIENCE))


def persist(call: Callable[[], T]) -> T:
    """Call until the call is answered; a queue that was dropped comes back."""
    while True:
        with contextlib.suppress(psycopg.OperationalError, psycopg.errors.UndefinedTable):
            return call()
        time.sleep(0.1)


def queues(engine: Engine) -> list[str]:
    """The queues that there are."""
    return [row[0] for row in engine.rows("select queue_name from pgmq.list_queues()")]


def messages(engine: Engine) -> int:
    """How many messages there are, visible or not."""
    return sum(map(engine.messages, queues(engine)))


def ended_runs(engine: Engine) -> int:
    """How many runs have ended."""
    ended = (
        "select count(*) from quantumflow.workflow_runs where status not in ('started', 'paused')"
    )
    return int(engine.value(ended))


def settle(
    ask: Ask,
    *,
    patience: float,
    meanwhile: Callable[[], object] = lambda: None,
) -> list[str]:
    """Wait until nothing is left to do; answers what does not end, with its history.

    Args:
        ask: Asks a question of the database.
        patience: How many seconds to wait.
        meanwhile: What to do while waiting.
    """

    def is_quiet() -> bool:
        meanwhile()
        time.sleep(_LOOK)
        return not ask(_is_busy)

    try:
        wait_until(is_quiet, timeout=patience)
    except TimeoutError:
        left: list[str] = ask(lambda engine: list(_left(engine)))
        return left
    return []


def _left(engine: Engine) -> Iterator[str]:
    runs = _unfinished(engine)
    yield f"{messages(engine)} messages are left, and {len(runs)} runs do not end"
    yield from (history(engine, run_id) for run_id in runs[:SHOWN])


def _unfinished(engine: Engine) -> list[UUID]:
    found = engine.rows(
        "select id from quantumflow.workflow_runs where status in ('started', 'paused')"
    )
    return [row[0] for row in found]


def _is_busy(engine: Engine) -> bool:
    return bool(messages(engine) or _unfinished(engine))


def history(engine: Engine, run_id: UUID) -> str:
    """All that is on record about a run."""
    queries = {
        "run": "select to_jsonb(r) - 'output' from quantumflow.workflow_runs r where id = %s",
        "operations": "select verb, arguments, at from chaos.operations where run_id = %s",
        "steps": "select step_slug, status, remaining_deps, remaining_tasks, initial_tasks "
        "from quantumflow.step_states where run_id = %s",
        "tasks": "select step_slug, task_index, status, attempts, losses, worker_id, lease_token, "
        "message_id, started_at, completed_at from quantumflow.step_tasks where run_id = %s "
        "order by status = 'completed', step_slug, task_index limit 50",
        "failures": "select step_slug, task_index, retries, attempt, kind, worker_id, started_at, "
        "ended_at, error_message from quantumflow.task_failures where run_id = %s "
        "order by ended_at limit 50",
    }
    lines = []
    for title, query in queries.items():
        lines.append(f"  {title}:")
        lines += ["    " + json.dumps(row, default=str)[:400] for row in engine.rows(query, run_id)]
    return "\n".join(lines)
