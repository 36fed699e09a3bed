"""What the demo asks the database about its run. It reads; nothing here changes anything.

What a public function tells is asked of that. The rest is plain SQL, as a person with psql would
write it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg.rows import class_row

if TYPE_CHECKING:
    import psycopg
    from typing_extensions import LiteralString

    Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the run, as quantumflow.status tells it."""

    slug: str
    is_map: bool
    depends_on: Sequence[str]
    tasks: int
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Worker:
    """Who worked on the run."""

    worker_id: UUID
    name: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim of a task and what became of it.

    Attributes:
        step_slug: The step.
        task_index: The task.
        item: Its item, as text.
        worker_id: Who claimed it.
        started_at: When it was claimed.
        ended_at: When it was reported, or found lost; None: it is being worked on.
        is_lost: Whether its lease ran out.
        comes_again: Whether an earlier attempt was lost.
    """

    step_slug: str
    task_index: int
    item: str | None
    worker_id: UUID
    started_at: datetime
    ended_at: datetime | None
    is_lost: bool
    comes_again: bool


@dataclass(frozen=True, slots=True)
class Story:
    """All the page tells of a run."""

    run_id: UUID
    server: str
    started_at: datetime
    ended_at: datetime
    steps: Sequence[Step]
    workers: Sequence[Worker]
    attempts: Sequence[Attempt]

    @property
    def seconds(self) -> float:
        """How long the run took, or has taken so far."""
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def lost(self) -> list[Attempt]:
        """The attempts that were lost with their workers."""
        return [attempt for attempt in self.attempts if attempt.is_lost]


def story(connection: Connection, run_id: UUID) -> Story:
    """Ask for all the page tells of a run."""
    run = connection.execute(
        """
        select r.created_at, coalesce(r.completed_at, clock_timestamp())
        from quantumflow.workflow_runs r
        where r.id = %s
        """,
        (run_id,),
    ).fetchone()
    assert run is not None
    return Story(
        run_id=run_id,
        server=server(connection),
        started_at=run[0],
        ended_at=run[1],
        steps=_steps(connection, run_id),
        workers=_workers(connection, run_id),
        attempts=_attempts(connection, run_id),
    )


def _steps(connection: Connection, run_id: UUID) -> list[Step]:
    with connection.cursor(row_factory=class_row(Step)) as cursor:
        return cursor.execute(
            """
            select s.step_slug as slug, s.step_type = 'map' as is_map, s.depends_on,
              (s.tasks ->> 'total')::int as tasks, s.started_at, s.ended_at
            from jsonb_to_recordset(quantumflow.status(%s) -> 'steps')
              as s (step_slug text, step_type text, depends_on text[], tasks jsonb,
                started_at timestamptz, ended_at timestamptz)
            """,
            (run_id,),
        ).fetchall()


def _attempts(connection: Connection, run_id: UUID) -> list[Attempt]:
    with connection.cursor(row_factory=class_row(Attempt)) as cursor:
        return cursor.execute(
            """
            select t.step_slug, t.task_index, t.item_value #>> '{}' as item, t.worker_id,
              t.started_at, t.completed_at as ended_at, false as is_lost,
              t.losses > 0 as comes_again
            from quantumflow.step_tasks t
            where t.run_id = %(run_id)s
              and t.status in ('started', 'completed')
              and t.worker_id is not null
            union all
            select f.step_slug, f.task_index, t.item_value #>> '{}', f.worker_id,
              f.started_at, f.ended_at, true, f.attempt > 1
            from quantumflow.task_failures f
            join quantumflow.step_tasks t using (run_id, step_slug, task_index)
            where f.run_id = %(run_id)s
              and f.kind = 'lost'
            order by started_at, step_slug, task_index
            """,
            {"run_id": run_id},
        ).fetchall()


def _workers(connection: Connection, run_id: UUID) -> list[Worker]:
    with connection.cursor(row_factory=class_row(Worker)) as cursor:
        return cursor.execute(
            """
            select w.worker_id, coalesce(w.name, w.worker_id::text) as name, w.started_at
            from quantumflow.workers w
            where w.worker_id in (
              select t.worker_id from quantumflow.step_tasks t where t.run_id = %(run_id)s
              union all
              select f.worker_id from quantumflow.task_failures f where f.run_id = %(run_id)s)
            order by length(w.name), w.name, w.worker_id
            """,
            {"run_id": run_id},
        ).fetchall()


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
