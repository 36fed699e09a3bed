"""Stopping a call between two of its locks: a third session holds the row that comes next."""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from support.engine import Engine

T = TypeVar("T")

ROWS = ("message", "task", "step", "run", "child")


class Call(Generic[T]):
    """A call under way on a session of its own."""

    def __init__(self, engine: Engine, function: Callable[[Engine], T]) -> None:
        self._engine = engine
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._future = self._pool.submit(function, engine)

    @property
    def is_done(self) -> bool:
        return self._future.done()

    def settle(self, watcher: Engine, *, timeout: float = 30) -> bool:
        """Wait until the call has ended or waits for another; answers whether it waits."""
        end = time.monotonic() + timeout
        # Autovacuum, if it is that which it waits for, gives way by itself; whoever makes a table
        # longer is soon done.
        waits = (
            "select exists (select from pg_stat_activity w "
            "cross join unnest(pg_blocking_pids(w.pid)) b (pid) "
            "join pg_stat_activity a on a.pid = b.pid and a.backend_type = 'client backend' "
            "where w.pid = %s and w.wait_event <> 'extend')"
        )
        while not self._future.done():
            if watcher.value(waits, self._engine.pid):
                return not self._future.done()
            if time.monotonic() > end:
                raise TimeoutError(f"backend {self._engine.pid} neither ends nor waits for a lock")
            concurrent.futures.wait([self._future], timeout=0.001)
        return False

    def result(self, timeout: float = 30) -> T:
        try:
            return self._future.result(timeout)
        finally:
            self._pool.shutdown(wait=self._future.done())


@contextlib.contextmanager
def holding(
    engine: Engine, row: str, run_id: UUID, step_slug: str = "left", child: str = "join"
) -> Iterator[None]:
    """Hold one row FOR UPDATE.

    It is the message or the first task of a step, the step, its run, a child step or its task, a
    signal, the schedule whose last one the run is, the record of an unfinished end, or nothing.
    """
    if row == "nothing":
        yield
        return
    message = "jsonb_build_object('workflow_run_id', %s::text, 'step_name', %s::text)"
    task = "(run_id, step_slug, task_index) = (%s, %s, 0)"
    queue = engine.value(
        f"select queue from quantumflow.step_tasks where {task}", run_id, step_slug
    )
    tables: dict[str, tuple[str, str, tuple[Any, ...]]] = {
        "message": (
            f"pgmq.q_{queue}",
            f"message @> '{{\"task_index\": 0}}' and message @> {message}",
            (run_id, step_slug),
        ),
        "task": ("quantumflow.step_tasks", task, (run_id, step_slug)),
        "step": ("quantumflow.step_states", "(run_id, step_slug) = (%s, %s)", (run_id, step_slug)),
        "run": ("quantumflow.workflow_runs", "id = %s", (run_id,)),
        "child": ("quantumflow.step_states", "(run_id, step_slug) = (%s, %s)", (run_id, child)),
        "child task": ("quantumflow.step_tasks", task, (run_id, child)),
        "signal": ("quantumflow.signals", "run_id = %s", (run_id,)),
        "end": ("quantumflow._unfinished_ends", "run_id = %s", (run_id,)),
        "schedule": ("quantumflow.schedules", "last_run_id = %s", (run_id,)),
    }
    table, condition, parameters = tables[row]
    query = f"select from {table} where {condition} for update"
    with engine.connection.transaction(force_rollback=True):
        found = engine.connection.execute(sql.SQL(query), parameters)
        assert found.rowcount > 0, f"there is no {row} to hold"
        yield
