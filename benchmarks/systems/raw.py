"""pgmq alone: the yardstick. A run is as many messages as it has tasks, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Literal

from support.meter.system import BATCH, State, System

if TYPE_CHECKING:
    from support.meter.server import Database, Pump
    from support.meter.shapes import Shape

_BODY = (
    '{"workflow_run_id":"01980000-0000-7000-8000-000000000000","step_name":"only",'
    '"task_index":%d,"is_map_task":false}'
)


class Raw(System):
    """Messages like quantumflow's are sent, read and deleted (or archived) by the batch."""

    schema = "pgmq"

    def __init__(self, batch: int = BATCH, end: Literal["delete", "archive"] = "delete") -> None:
        self.name = "raw pgmq" if (batch, end) == (BATCH, "delete") else f"raw, {end} by {batch}"
        self.configuration = f"send_batch, read and {end} by {batch}"
        self._batch = batch
        self._end = end

    def install(self, database: Database) -> None:
        """One queue."""
        database.execute("create extension pgmq; select pgmq.create('raw')")

    def define(self, database: Database, shape: Shape) -> None:
        """A queue knows no workflows."""

    def start(self, pump: Pump, shape: Shape, inputs: Sequence[str]) -> None:
        """Send the messages of the runs."""
        items = inputs[0].count(",") + 1 if shape.steps[0].is_map else 0
        self.send(pump, shape.tasks(items) * len(inputs))

    def send(self, pump: Pump, messages: int) -> None:
        """Send so many messages."""
        bodies = (_BODY % n for n in range(messages))
        while batch := list(islice(bodies, self._batch)):
            array = ",".join('"' + body.replace('"', '\\"') + '"' for body in batch)
            pump("select count(*) from pgmq.send_batch('raw', $1::jsonb[])", f"{{{array}}}")

    def work(self, pump: Pump, shape: Shape) -> int:
        """Read and delete."""
        found = pump("select msg_id, message from pgmq.read('raw', 30, $1::int)", str(self._batch))
        if found.ntuples == 0:
            return 0
        ids = b",".join(found.get_value(n, 0) or b"" for n in range(found.ntuples))
        call = f"select count(*) from pgmq.{self._end}('raw', $1::bigint[])"
        return int(pump.scalar(call, b"{" + ids + b"}") or 0)

    def state(self, database: Database) -> State:
        """A message that was numbered and is gone was a task, and nothing is known of runs."""
        left = database.value("select count(*) from pgmq.q_raw")
        sent = database.value("select last_value from pgmq.q_raw_msg_id_seq")
        return State(0, 0, sent, sent - left, sent, left)

    def ended(self, database: Database) -> tuple[int, int]:
        """Its runs are messages."""
        state = self.state(database)
        return state.completed_tasks, state.left

    def check(self, database: Database, *, runs: int, tasks: int) -> None:
        """As many messages as tasks, and none is left."""
        self.expect(database, State(0, 0, tasks, tasks, tasks, 0))
