"""Tasks: claimed, reported, handed back; and what they are given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from psycopg.adapt import PyFormat, Transformer

from quantumflow_client import _arguments, _json
from quantumflow_client._call import Call

from .statements import scalar, statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from psycopg.rows import TupleRow


T = TypeVar("T")


class TaskRef(NamedTuple):
    """Which task, and by which right: what reports, extensions and releases name a task by."""

    run_id: str
    step_slug: str
    task_index: int
    lease_token: int

    def __str__(self) -> str:
        return f"{self.run_id}/{self.step_slug}/{self.task_index}"

    def fields(self) -> str:
        """Its members of a JSON object, without the braces."""
        return (
            f'"run_id":"{self.run_id}","step_slug":{_json.quoted(self.step_slug)},'
            f'"task_index":{self.task_index},"lease_token":{self.lease_token}'
        )


TaskKey = tuple[str, str, int]
"""A task's primary key, as answers name it."""


class Task(NamedTuple):
    """A task as it is handed out, hardly read: JSON is text, or None; moments are Unix times."""

    ref: TaskRef
    workflow_slug: str
    command: str
    args: str | None
    input: str
    attempt: int
    max_attempts: int
    lease_expires_at: float
    deadline: float
    headers: str | None
    losses: int
    step_type: str
    retries: int = 0
    fresh_since: int = 0
    version: int = 0

    @property
    def size(self) -> int:
        """About how many bytes it has."""
        return len(self.input) + len(self.args or "") + 500


class Spent(NamedTuple):
    """What an attempt took: for how many seconds its handler ran, and what it used, as JSON text.

    None is what nobody knows.
    """

    seconds: float | None = None
    usage: str | None = None

    def fields(self) -> str:
        """Its members of a JSON object, each after a comma."""
        fields = "" if self.seconds is None else f',"seconds":{self.seconds:.6f}'
        return fields if self.usage is None else f'{fields},"usage":{self.usage}'


_UNKNOWN = Spent()


class Completion(NamedTuple):
    """A task's output, as JSON text."""

    ref: TaskRef
    output: str
    spent: Spent = _UNKNOWN

    @property
    def size(self) -> int:
        """About how many bytes its report has."""
        return len(self.output) + 200

    def row(self) -> str:
        """The row of complete_tasks."""
        return f'{{{self.ref.fields()},"output":{self.output}{self.spent.fields()}}}'


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt; `details` is JSON text, `retry_after` seconds or None: the step's delay."""

    ref: TaskRef
    message: str
    retryable: bool = True
    retry_after: float | None = None
    details: str | None = None
    spent: Spent = _UNKNOWN

    @property
    def size(self) -> int:
        """About how many bytes its report has."""
        return len(self.message) + len(self.details or "") + 200

    def row(self) -> str:
        """The row of fail_tasks."""
        row = (
            f'{{{self.ref.fields()},"error_message":{_json.encode(self.message)},'
            f'"retryable":{_json.encode(self.retryable)}{self.spent.fields()}'
        )
        if self.retry_after is not None:
            row += f',"retry_after":{_json.encode(self.retry_after)}'
        if self.details is not None:
            row += f',"error_details":{self.details}'
        return row + "}"


def _array(rows: Iterable[str]) -> str:
    return f"[{','.join(rows)}]"


def _task(row: TupleRow) -> Task:
    return Task(TaskRef(*row[:4]), *row[4:18])


@lru_cache
def in_braces(names: tuple[str, ...]) -> str:
    """As PostgreSQL writes an array; psycopg would do so at each call."""
    return bytes(Transformer().get_dumper([*names], PyFormat.TEXT).dump([*names]) or b"").decode()


_CLAIM_TASKS = statement(
    "claim_tasks",
    """
    select run_id::pg_catalog.text, step_slug, task_index, lease_token, workflow_slug, command,
      args::pg_catalog.text, input::pg_catalog.text, attempt, max_attempts,
      extract(epoch from lease_expires_at)::pg_catalog.float8,
      extract(epoch from deadline)::pg_catalog.float8, headers::pg_catalog.text, losses, step_type,
      retries, fresh_since, version
    from quantumflow.claim_tasks(
      worker_id => %(worker_id)s,
      quantity => %(quantity)s::int,
      queues => %(queues)s::pg_catalog.text[],
      lease => %(lease)s,
      commands => %(commands)s::pg_catalog.text[],
      held => %(held)s::int)
    """,
)


def claim_tasks(
    worker_id: UUID,
    *,
    quantity: int,
    queues: tuple[str, ...],
    lease: timedelta,
    commands: tuple[str, ...],
    held: int,
) -> Call[list[Task]]:
    """Take tasks to run."""
    return Call(
        _CLAIM_TASKS,
        lambda rows: [_task(row) for row in rows],
        {
            "worker_id": worker_id,
            "quantity": quantity,
            "queues": in_braces(queues),
            "lease": lease,
            "commands": in_braces(commands),
            "held": held,
        },
    )


class Outcome(NamedTuple):
    """What became of a report, and why: a word, and words for people."""

    outcome: str
    reason: str | None = None
    detail: str | None = None


UNANSWERED = Outcome("stale", detail="the answer does not mention the task")
"""What a report comes to of which the answer says nothing."""


def _outcomes(rows: Sequence[TupleRow]) -> dict[TaskKey, Outcome]:
    return {row[:3]: Outcome(*row[3:]) for row in rows}


_COMPLETE_TASKS = statement(
    "complete_tasks",
    """
    select run_id::pg_catalog.text, step_slug, task_index, outcome, reason, detail
    from quantumflow.complete_tasks(results => %(results)s::pg_catalog.jsonb)
    """,
)


def complete_tasks(completions: Iterable[Completion]) -> Call[dict[TaskKey, Outcome]]:
    """Report outputs."""
    return Call(
        _COMPLETE_TASKS,
        _outcomes,
        {"results": _array(completion.row() for completion in completions)},
    )


_COMPLETE_AND_CLAIM = statement(
    "complete_and_claim",
    """
    select run_id::pg_catalog.text, step_slug, task_index, lease_token, workflow_slug, command,
      args::pg_catalog.text, input::pg_catalog.text, attempt, max_attempts,
      extract(epoch from lease_expires_at)::pg_catalog.float8,
      extract(epoch from deadline)::pg_catalog.float8, headers::pg_catalog.text, losses, step_type,
      retries, fresh_since, version, outcome, reason, detail
    from quantumflow.complete_and_claim(
      worker_id => %(worker_id)s,
      results => %(results)s::pg_catalog.jsonb,
      quantity => %(quantity)s::int,
      queues => %(queues)s::pg_catalog.text[],
      lease => %(lease)s,
      commands => %(commands)s::pg_catalog.text[],
      held => %(held)s::int)
    """,
)


class Exchange(NamedTuple):
    """What complete_and_claim answers: what became of the reports, and the next tasks."""

    outcomes: dict[TaskKey, Outcome]
    tasks: list[Task]


def complete_and_claim(
    worker_id: UUID,
    completions: Iterable[Completion],
    *,
    quantity: int,
    queues: tuple[str, ...],
    lease: timedelta,
    commands: tuple[str, ...],
    held: int,
) -> Call[Exchange]:
    """Report outputs, and take the next tasks."""
    return Call(
        _COMPLETE_AND_CLAIM,
        lambda rows: Exchange(
            {row[:3]: Outcome(*row[18:]) for row in rows if row[18] is not None},
            [_task(row) for row in rows if row[18] is None],
        ),
        {
            "worker_id": worker_id,
            "results": _array(completion.row() for completion in completions),
            "quantity": quantity,
            "queues": in_braces(queues),
            "lease": lease,
            "commands": in_braces(commands),
            "held": held,
        },
    )


_FAIL_TASKS = statement(
    "fail_tasks",
    """
    select run_id::pg_catalog.text, step_slug, task_index, outcome, reason, detail
    from quantumflow.fail_tasks(results => %(results)s::pg_catalog.jsonb)
    """,
)


def fail_tasks(failures: Iterable[Failure]) -> Call[dict[TaskKey, Outcome]]:
    """Report failures."""
    return Call(_FAIL_TASKS, _outcomes, {"results": _array(failure.row() for failure in failures)})


@dataclass(frozen=True, slots=True)
class LeaseState:
    """What became of a lease that was to be extended: held, lost or cancelled, and until when."""

    state: str
    lease_expires_at: datetime | None


_EXTEND_LEASES = statement(
    "extend_leases",
    """
    select run_id::pg_catalog.text, step_slug, task_index, state, lease_expires_at
    from quantumflow.extend_leases(
      worker_id => %(worker_id)s, tasks => %(tasks)s::pg_catalog.jsonb, lease => %(lease)s)
    """,
)


def extend_leases(
    worker_id: UUID, tasks: Iterable[TaskRef], *, lease: timedelta
) -> Call[dict[TaskKey, LeaseState]]:
    """Keep tasks for another lease."""
    return Call(
        _EXTEND_LEASES,
        lambda rows: {row[:3]: LeaseState(row[3], row[4]) for row in rows},
        {
            "worker_id": worker_id,
            "tasks": _array(f"{{{task.fields()}}}" for task in tasks),
            "lease": lease,
        },
        is_repeatable=True,
    )


_HOLD_TASK = statement(
    "hold_task",
    """
    select quantumflow.hold_task(
      run_id => %(run_id)s::pg_catalog.uuid,
      step_slug => %(step_slug)s,
      task_index => %(task_index)s::int,
      lease_token => %(lease_token)s::bigint)
    """,
)


def hold_task(task: TaskRef) -> Call[str]:
    """Begin a task's own transaction: held, lost or cancelled."""
    return Call(_HOLD_TASK, scalar, task._asdict())


_RELEASE_TASKS = statement(
    "release_tasks", "select quantumflow.release_tasks(tasks => %(tasks)s::pg_catalog.jsonb)"
)


def release_tasks(tasks: Iterable[TaskRef], unfit: Mapping[TaskRef, str]) -> Call[int]:
    """Hand unstarted tasks back; to other code those that this one cannot take, and why."""
    return Call(
        _RELEASE_TASKS, scalar, {"tasks": _array(_handed_back(t, unfit.get(t)) for t in tasks)}
    )


def _handed_back(task: TaskRef, reason: str | None) -> str:
    said = "" if reason is None else f',"reason":{_json.encode(reason)}'
    return f"{{{task.fields()}{said}}}"


_LEFT_WORK = statement(
    "left_work",
    """
    select quantumflow.left_work(
      queues => %(queues)s::pg_catalog.text[],
      commands => %(commands)s::pg_catalog.text[],
      refused => %(refused)s::pg_catalog.jsonb)
    """,
)


def left_work(
    queues: Sequence[str], commands: Sequence[str], refused: Iterable[tuple[str, int, str]]
) -> Call[datetime | None]:
    """When the first task comes back that others left to other code; None: there is none.

    Args:
        queues: Where to look.
        commands: Of which commands.
        refused: The flow, version and step of those that the caller has left so itself.
    """
    steps = [
        {"workflow_slug": slug, "version": version, "step_slug": step}
        for slug, version, step in refused
    ]
    return Call(
        _LEFT_WORK,
        scalar,
        {"queues": list(queues), "commands": list(commands), "refused": _json.encode(steps)},
        is_repeatable=True,
    )


_RUN_INPUT = statement(
    "run_input", "select quantumflow.run_input(run_id => %(run_id)s)::pg_catalog.text"
)


def run_input(run_id: UUID) -> Call[str | None]:
    """A run's input, as JSON text."""
    return Call(_RUN_INPUT, scalar, {"run_id": run_id}, is_repeatable=True)


_STEP_OUTPUT = statement(
    "step_output",
    """
    select quantumflow.step_output(
      run_id => %(run_id)s, step_slug => %(step_slug)s)::pg_catalog.text
    """,
)


def step_output(run_id: UUID, step_slug: str) -> Call[str | None]:
    """A step's output, as JSON text; None if it has none."""
    parameters = {"run_id": run_id, "step_slug": step_slug}
    return Call(_STEP_OUTPUT, scalar, parameters, is_repeatable=True)


_LIST_OUTPUTS = statement(
    "list_outputs",
    """
    select item_index, output::pg_catalog.text
    from quantumflow.list_outputs(
      run_id => %(run_id)s,
      step_slug => %(step_slug)s,
      after_index => %(after_index)s::int,
      max_items => %(max_items)s::int)
    """,
)


def list_outputs(
    run_id: UUID,
    step_slug: str,
    *,
    after_index: int,
    max_items: int,
    read: Callable[[str, int], T],
) -> Call[list[tuple[int, T]]]:
    """Outputs of a map's items, each read from its JSON text."""
    return Call(
        _LIST_OUTPUTS,
        lambda rows: [(index, read(text, index)) for index, text in rows],
        {
            "run_id": _arguments.run(run_id),
            "step_slug": step_slug,
            "after_index": after_index,
            "max_items": _arguments.number("page", max_items),
        },
        is_repeatable=True,
    )
