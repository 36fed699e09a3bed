"""pgflow's core: its own functions, from its npm package, on the same pgmq."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

from benchmarks import peers
from support.meter.system import BATCH, Failure, State, System

if TYPE_CHECKING:
    from support.meter.server import Database, Pump
    from support.meter.shapes import Shape

# What Supabase provides and pgflow's core calls: events for browsers, here sent nowhere, which is
# generous. pgmq comes first: the first migration asks for the extension by its schema.
_STAND_INS = """
create extension pgmq;
create schema realtime;
create function realtime.send(payload jsonb, event text, topic text, private boolean default true)
returns void language sql as $send$ select $send$;
"""

_START = "select count(*) from pgflow.start_flow($1, $2::jsonb)"
_READ = "select msg_id from pgmq.read($1, 60, $2::int)"
_BEGIN = """
    select run_id, step_slug, task_index, input
    from pgflow.start_tasks($1, $2::bigint[], $3::uuid)
    """
_COMPLETE = "select count(*) from pgflow.complete_task($1::uuid, $2, $3::int, $4::jsonb)"
_FAIL = "select status from pgflow.fail_task($1::uuid, $2, $3::int, 'it failed')"


DEFAULT_BATCH = 10


class Pgflow(System):
    """Its functions start one run and complete one task a call.

    Args:
        batch: How many messages a read asks for; its worker's default is 10.
        groups: Whether a batch's calls share one transaction, which its functions allow, but no
            worker of pgflow does: it commits each.
        fails: Which tasks fail.
    """

    schema = "pgflow"

    def __init__(
        self, *, batch: int = BATCH, groups: bool = False, fails: Failure | None = None
    ) -> None:
        size = {BATCH: "", DEFAULT_BATCH: ", default"}.get(batch, f", by {batch}")
        self.name = f"pgflow{size}{', grouped by hand' if groups else ''}"
        how = "one commit a batch" if groups else "a commit each"
        self.configuration = f"read and start_tasks by {batch}, complete_task with {how}"
        self._batch = batch
        self._groups = groups
        self._fails = fails
        self._worker_id = str(uuid4())

    def install(self, database: Database) -> None:
        """Its migrations, in order."""
        folder = peers.npm("@pgflow/core") / "dist" / "supabase" / "migrations"
        database.execute(_STAND_INS)
        for migration in sorted(folder.glob("*.sql")):
            database.execute(migration.read_text("utf-8"))

    def define(self, database: Database, shape: Shape) -> None:
        """Define a workflow whose failed tasks are retried at once, and a worker."""
        database.value("select flow_slug from pgflow.create_flow(%s, base_delay => 0)", shape.slug)
        for step in shape.steps:
            database.value(
                "select step_slug from pgflow.add_step(%s, %s, %s, step_type => %s)",
                shape.slug,
                step.name,
                list(step.after),
                "map" if step.is_map else "single",
            )
        database.value(
            "insert into pgflow.workers (worker_id, queue_name, function_name) "
            "values (%s, %s, 'bench') on conflict do nothing returning null",
            self._worker_id,
            shape.slug,
        )

    def start(self, pump: Pump, shape: Shape, inputs: Sequence[str]) -> None:
        """Start one by one."""
        for begin in range(0, len(inputs), BATCH):
            batch = inputs[begin : begin + BATCH]
            if self._groups:
                pump("begin")
            for text in batch:
                pump(_START, shape.slug, text)
            if self._groups:
                pump("commit")

    def work(self, pump: Pump, shape: Shape) -> int:
        """Read, start, complete or fail one by one."""
        messages = pump(_READ, shape.slug, str(self._batch))
        if messages.ntuples == 0:
            return 0
        ids = b",".join(messages.get_value(n, 0) or b"" for n in range(messages.ntuples))
        tasks = pump(_BEGIN, shape.slug, b"{" + ids + b"}", self._worker_id)
        if self._groups:
            pump("begin")
        done = 0
        for n in range(tasks.ntuples):
            key = [tasks.get_value(n, column) for column in range(3)]
            if self._fails is not None and self._fails(tasks.get_value(n, 3) or b""):
                ended = pump.scalar(_FAIL, *key)
                done += ended == "failed"
            else:
                pump(_COMPLETE, *key, '{"ok": true}')
                done += 1
        if self._groups:
            pump("commit")
        return done

    def state(self, database: Database) -> State:
        """Runs, tasks, messages."""
        queues = database.value("select json_agg(queue_name) from pgmq.list_queues()")
        left = sum(database.value(f"select count(*) from pgmq.q_{name}") for name in queues)
        found = database.value(
            """
            select json_build_array(
              (select count(*) from pgflow.runs),
              (select count(*) from pgflow.runs where status = 'completed'),
              (select count(*) from pgflow.step_tasks),
              (select count(*) from pgflow.step_tasks where status = 'completed'),
              (select coalesce(sum(attempts_count), 0) from pgflow.step_tasks))
            """
        )
        return State._make([*found, left])
