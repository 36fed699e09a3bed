"""What the demo asks the database about its run. It reads; nothing here changes anything.

What a public function tells is asked of that. The rest is plain SQL, as a person with psql would
write it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg.rows import class_row

if TYPE_CHECKING:
    import psycopg
    from typing_extensions import LiteralString

    Connection = psycopg.Connection[Any]


def server(connection: Connection) -> str:
    """Which server and extensions this is, for people."""
    return str(
        _value(
            connection,
            """
            select concat_ws(' ',
              'PostgreSQL', split_part(current_setting('server_version'), ' ', 1),
              'with pgmq', (select extversion from pg_extension where extname = 'pgmq'),
              'and quantumflow', quantumflow.version())
            """,
        )
    )


# While the run goes on


def unfinished_runs(connection: Connection, workflow_slug: str) -> list[UUID]:
    """Runs that an earlier demo left behind."""
    rows = connection.execute(
        "select run_id from quantumflow.list_runs(workflow_slug => %s, status => 'started')",
        (workflow_slug,),
    )
    return [row[0] for row in rows]


def worker_named(connection: Connection, name: str) -> UUID | None:
    """The id that a worker claims with; None: it has not registered yet."""
    value = _value(
        connection,
        """
        select w.worker_id
        from quantumflow.workers w
        where w.name = %s
        order by w.started_at desc
        limit 1
        """,
        name,
    )
    assert value is None or isinstance(value, UUID)
    return value


def tasks_held(connection: Connection, run_id: UUID, worker_id: UUID) -> int:
    """How many tasks of the map a worker has claimed and not reported."""
    return _count(
        connection,
        """
        select count(*)
        from quantumflow.step_tasks t
        where t.run_id = %s
          and t.step_slug = 'parse'
          and t.worker_id = %s
          and t.status = 'started'
        """,
        run_id,
        worker_id,
    )


def tasks_done(connection: Connection, run_id: UUID) -> dict[UUID, int]:
    """How many tasks of a run each worker has completed."""
    rows = connection.execute(
        """
        select t.worker_id, count(*)
        from quantumflow.step_tasks t
        where t.run_id = %s
          and t.status = 'completed'
        group by t.worker_id
        """,
        (run_id,),
    )
    return defaultdict(int, rows.fetchall())


def is_busy(connection: Connection, application_name: str) -> bool:
    """Whether the server is still at work for a process that has been stopped."""
    return bool(
        _count(
            connection,
            """
            select count(*)
            from pg_stat_activity a
            where a.application_name = %s
              and a.state <> 'idle'
            """,
            application_name,
        )
    )


# When it is over


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the map, and how it got where it is."""

    task_index: int
    status: str
    item: Any
    output: Any
    attempts: int
    losses: int
    worker_id: UUID | None


def tasks(connection: Connection, run_id: UUID, step_slug: str) -> list[Task]:
    """The tasks of a step, in the order of their items."""
    with connection.cursor(row_factory=class_row(Task)) as cursor:
        return cursor.execute(
            """
            select t.task_index, t.status, t.item_value as item, t.output, t.attempts, t.losses,
              t.worker_id
            from quantumflow.step_tasks t
            where t.run_id = %s
              and t.step_slug = %s
            order by t.task_index
            """,
            (run_id, step_slug),
        ).fetchall()


def output_of(connection: Connection, run_id: UUID, step_slug: str) -> Any:
    """A step's output."""
    return _value(connection, "select quantumflow.step_output(%s, %s)", run_id, step_slug)


def lost_with(connection: Connection, run_id: UUID, worker_id: UUID) -> list[int]:
    """The map's tasks whose attempt was lost with a worker."""
    rows = connection.execute(
        """
        select f.task_index
        from quantumflow.task_failures f
        where f.run_id = %s
          and f.worker_id = %s
          and f.kind = 'lost'
          and f.step_slug = 'parse'
        order by f.task_index
        """,
        (run_id, worker_id),
    )
    return [row[0] for row in rows]


def problems(connection: Connection) -> list[str]:
    """What breaks a rule of the engine, in the whole database."""
    rows = connection.execute("select problem from quantumflow.check_state()")
    return [row[0] for row in rows]


def _value(connection: Connection, statement: LiteralString, *parameters: object) -> object:
    row = connection.execute(statement, parameters).fetchone()
    return None if row is None else row[0]


def _count(connection: Connection, statement: LiteralString, *parameters: object) -> int:
    value = _value(connection, statement, *parameters)
    assert isinstance(value, int)
    return value
