"""absurd's SQL functions, as its SDK calls them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks import peers
from support.meter.system import BATCH, State, System

if TYPE_CHECKING:
    from support.meter.server import Database, Pump
    from support.meter.shapes import Shape

_SPAWN = "select count(*) from absurd.spawn_task('bench', $1, $2::jsonb, '{}')"
_CLAIM = "select run_id, task_id, params from absurd.claim_task('bench', 'bench', 120, $1::int)"
_CHECKPOINT = """
    select absurd.set_task_checkpoint_state('bench', $1::uuid, $2, '{"ok": true}', $3::uuid, 120)
    """
_COMPLETE = "select absurd.complete_run('bench', $1::uuid, '{\"ok\": true}')"


class Absurd(System):
    """Tasks are claimed by the hundred; the other calls are for one task each, each a commit.

    A chain is a task that writes a checkpoint after each step, in order.
    """

    name = "absurd"
    schema = "absurd"
    configuration = f"claim_task by {BATCH}, spawn_task and complete_run with a commit each"

    def install(self, database: Database) -> None:
        """The SQL that absurdctl carries, and one queue."""
        database.execute(peers.absurd_schema())
        database.value("select absurd.create_queue('bench')")

    def define(self, database: Database, shape: Shape) -> None:
        """Nothing is defined in the database."""

    def start(self, pump: Pump, shape: Shape, inputs: Sequence[str]) -> None:
        """Spawn one by one."""
        for text in inputs:
            pump(_SPAWN, shape.slug, text)

    def work(self, pump: Pump, shape: Shape) -> int:
        """Claim, and complete one by one."""
        tasks = pump(_CLAIM, str(BATCH))
        for n in range(tasks.ntuples):
            run_id, task_id = tasks.get_value(n, 0), tasks.get_value(n, 1)
            for step in shape.steps if len(shape.steps) > 1 else ():
                pump(_CHECKPOINT, task_id, step.name, run_id)
            pump(_COMPLETE, run_id)
        return tasks.ntuples * len(shape.steps)

    def state(self, database: Database) -> State:
        """Its tasks are runs; the tasks are their checkpoints, or they themselves."""
        runs, completed, attempts, checkpoints = database.value(
            """
            select json_build_array(
              (select count(*) from absurd.t_bench),
              (select count(*) from absurd.t_bench where state = 'completed'),
              (select coalesce(sum(attempts), 0) from absurd.t_bench),
              (select count(*) from absurd.c_bench))
            """
        )
        tasks = checkpoints or runs
        return State(runs, completed, tasks, tasks, checkpoints or attempts, 0)
