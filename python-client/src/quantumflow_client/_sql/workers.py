"""Workers, and what they do besides tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantumflow_client import _arguments, _json
from quantumflow_client._call import Call

from .statements import nothing, scalar, statement
from .tasks import TaskRef, in_braces

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta
    from uuid import UUID


_REGISTER_WORKER = statement(
    "register_worker",
    """
    select quantumflow.register_worker(
      worker_id => %(worker_id)s,
      name => %(name)s,
      commands => %(commands)s::pg_catalog.text[],
      queues => %(queues)s::pg_catalog.text[],
      host => %(host)s,
      pid => %(pid)s::int,
      version => %(version)s,
      slots => %(slots)s::int,
      running => %(running)s::int,
      oldest => %(oldest)s::pg_catalog.jsonb)
    """,
)


def register_worker(
    worker_id: UUID,
    *,
    name: str,
    commands: tuple[str, ...],
    queues: tuple[str, ...],
    slots: int,
    running: int,
    oldest: Sequence[tuple[TaskRef, datetime]],
    version: str,
    host: str,
    pid: int,
) -> Call[None]:
    """Say who works, where, on what, and how much of it.

    Args:
        worker_id: The id that it claims with.
        name: Its name.
        commands: Those it has handlers for.
        queues: Those it serves.
        slots: How many tasks it may have at once.
        running: How many it has.
        oldest: Those it has had longest, and since when; the first five are told.
        version: That of its client.
        host: The machine it is on.
        pid: Its process there.
    """
    return Call(
        _REGISTER_WORKER,
        nothing,
        {
            "worker_id": worker_id,
            "name": name,
            "commands": in_braces(commands),
            "queues": in_braces(queues),
            "host": host,
            "pid": pid,
            "version": version,
            "slots": slots,
            "running": running,
            "oldest": _json.encode(
                [
                    {
                        "run_id": task.run_id,
                        "step_slug": task.step_slug,
                        "task_index": task.task_index,
                        "since": since.isoformat(),
                    }
                    for task, since in oldest[:5]
                ],
                "the oldest tasks",
            ),
        },
    )


_STOP_WORKER = statement(
    "stop_worker", "select quantumflow.stop_worker(worker_id => %(worker_id)s)"
)


def stop_worker(worker_id: UUID) -> Call[None]:
    """Say that a worker works no more."""
    return Call(_STOP_WORKER, nothing, {"worker_id": worker_id})


_REPORT_PROGRESS = statement(
    "report_progress",
    """
    select quantumflow.report_progress(
      run_id => %(run_id)s,
      step_slug => %(step_slug)s,
      task_index => %(task_index)s::int,
      lease_token => %(lease_token)s::bigint,
      done => %(done)s,
      total => %(total)s,
      note => %(note)s)
    """,
)


def report_progress(
    ref: TaskRef, done: float, total: float | None, note: str | None
) -> Call[str | None]:
    """Say how far the work at a task has come: held, lost or cancelled."""
    return Call(
        _REPORT_PROGRESS,
        scalar,
        {
            "run_id": ref.run_id,
            "step_slug": ref.step_slug,
            "task_index": ref.task_index,
            "lease_token": ref.lease_token,
            "done": done,
            "total": total,
            "note": _arguments.text("note", note),
        },
        is_repeatable=True,
    )


_SWEEP = statement("sweep", "select action, tasks from quantumflow.sweep()")


def sweep() -> Call[dict[str, int]]:
    """Mend what nobody else will notice."""
    return Call(_SWEEP, lambda rows: {row[0]: row[1] for row in rows})


@dataclass(frozen=True, slots=True)
class Settled:
    """What was settled.

    Attributes:
        tasks: How many tasks.
        due_in: In how many seconds the next one is due; 0 if there may be more, None if none will.
        next_due: When that is.
    """

    tasks: int
    due_in: float | None
    next_due: datetime | None = None


_SETTLE = statement(
    "settle",
    "select settled, next_due, extract(epoch from next_due - current_timestamp)::pg_catalog.float8 "
    "from quantumflow.settle(max_tasks => %(max_tasks)s::int)",
)


def settle(max_tasks: int = 100) -> Call[Settled]:
    """End what no worker is given and whose time has come."""
    return Call(_SETTLE, lambda rows: _settled(*rows[0]), {"max_tasks": max_tasks})


def _settled(tasks: int, next_due: datetime | None, due_in: float | None) -> Settled:
    return Settled(tasks, None if due_in is None else max(0.0, due_in), next_due)


_ADVANCE_CLOCK = statement(
    "advance_clock",
    """
    select quantumflow.advance_clock(
      ahead => %(ahead)s::interval,
      until_due => %(until_due)s,
      queues => %(queues)s::pg_catalog.text[])
    """,
)


def advance_clock(
    ahead: timedelta | None, *, until_due: bool = False, queues: Sequence[str] | None = None
) -> Call[datetime | None]:
    """Let time pass, where that is a test's; what time it is then."""
    return Call(
        _ADVANCE_CLOCK,
        scalar,
        {
            "ahead": ahead,
            "until_due": until_due,
            "queues": None if queues is None else in_braces(tuple(queues)),
        },
    )
