"""What happens, what happened, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantumflow_client import _arguments, _json
from quantumflow_client._call import Call

from .statements import decoded, statement

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from decimal import Decimal
    from uuid import UUID

    from quantumflow_client._json import Json


@dataclass(frozen=True, slots=True)
class Reason:
    """What tasks of a step wait for, or who works on them.

    Attributes:
        workflow_slug: The workflow.
        step_slug: The step; None of what is so of the whole run.
        command: The command of the step.
        tasks: How many tasks; None for a step that has none yet.
        reason: running, waits for a free worker and so on: those of the type quantumflow.reason.
        since: Since when it has been so of one of them; None where it is not known.
        until: When that changes by itself, of the first of them; None if it does not.
        detail: By whom, how many are ahead, the last error, which steps.
    """

    workflow_slug: str
    step_slug: str | None
    command: str | None
    tasks: int | None
    reason: str
    since: datetime | None
    until: datetime | None
    detail: str | None


_WHY = statement(
    "why",
    """
    select workflow_slug, step_slug, command, tasks, reason, since, until, detail
    from quantumflow.why(run_id => %(run_id)s, only_stuck => %(only_stuck)s)
    """,
)


def why(run_id: UUID | None, *, only_stuck: bool) -> Call[list[Reason]]:
    """Why a run goes on or does not, or all of them do."""
    return Call(
        _WHY,
        lambda rows: [Reason(*row) for row in rows],
        {"run_id": _arguments.run(run_id), "only_stuck": only_stuck},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a run.

    Attributes:
        at: When.
        what: "run started", "attempt lost" and so on.
        step_slug: The step; None of what happened to the whole run.
        task_index: The task, of an attempt.
        attempt: Which attempt.
        who: The worker.
        detail: What was started, how long it had waited, what went wrong.
    """

    at: datetime
    what: str
    step_slug: str | None
    task_index: int | None
    attempt: int | None
    who: str | None
    detail: str | None


_TIMELINE = statement(
    "timeline",
    """
    select at, what, step_slug, task_index, attempt, who, detail
    from quantumflow.timeline(run_id => %(run_id)s)
    """,
)


def timeline(run_id: UUID) -> Call[list[Event]]:
    """What happened to a run, in order."""
    return Call(
        _TIMELINE,
        lambda rows: [Event(*row) for row in rows],
        {"run_id": _arguments.run(run_id)},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class PastEvent:
    """Something that happened, or that somebody did.

    Attributes:
        at: When.
        what: The function that was called, cancel_run for example; or "run started" and so on.
        step_slug: The step, if it was about one.
        task_index: The task, if it was about one.
        attempt: Which attempt.
        who: Who did it, and for whom, as that claimed; or the worker.
        detail: The reason that was given, what was overwritten, what went wrong.
        workflow_slug: The workflow.
        run_id: The run.
    """

    at: datetime
    what: str
    step_slug: str | None
    task_index: int | None
    attempt: int | None
    who: str | None
    detail: str | None
    workflow_slug: str | None
    run_id: UUID | None


_HISTORY = statement(
    "history",
    """
    select at, what, step_slug, task_index, attempt, who, detail, workflow_slug, run_id
    from quantumflow.history(
      since => %(since)s::pg_catalog.timestamptz,
      until => %(until)s::pg_catalog.timestamptz,
      run_id => %(run_id)s)
    """,
)


def history(
    since: datetime | None, until: datetime | None, run_id: UUID | None
) -> Call[list[PastEvent]]:
    """What happened in a time, and what people did, in order."""
    return Call(
        _HISTORY,
        lambda rows: [PastEvent(*row) for row in rows],
        {
            "since": _arguments.moment("since", since),
            "until": _arguments.moment("until", until),
            "run_id": _arguments.run(run_id),
        },
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class PathStep:
    """A step on the path that decided how long a run took.

    Attributes:
        step_slug: The step.
        ready_at: When its last dependency had ended.
        waited: For how long nobody worked on the task that ended it.
        worked: For how long somebody did, failed attempts included.
        ended_at: When it ended; None while it goes on.
        share: Its part of the time of the path, from 0 to 1.
        slack: By how much sooner it could have ended before another one would have decided.
    """

    step_slug: str
    ready_at: datetime
    waited: timedelta
    worked: timedelta
    ended_at: datetime | None
    share: Decimal | None
    slack: timedelta | None


_CRITICAL_PATH = statement(
    "critical_path",
    """
    select step_slug, ready_at, waited, worked, ended_at, share, slack
    from quantumflow.critical_path(run_id => %(run_id)s)
    """,
)


def critical_path(run_id: UUID) -> Call[list[PathStep]]:
    """The steps that decided how long a run took."""
    return Call(
        _CRITICAL_PATH,
        lambda rows: [PathStep(*row) for row in rows],
        {"run_id": _arguments.run(run_id)},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at a task, or the one that the task waits for.

    Attributes:
        step_slug: The step.
        task_index: The task.
        retries: The run's retries at that time, as far as it is known.
        attempt: Which attempt since then, from 1; 0 for what was completed by hand before any.
        due_at: From when it could be claimed.
        began_at: When its handler began; None if nobody has claimed it.
        ended_at: When it ended; None while it goes on.
        outcome: queued, started, completed, failed, cancelled or undone.
        kind: Of a failed one: error, timeout or lost.
        worker: Who had it.
        error_message: What went wrong.
    """

    step_slug: str
    task_index: int
    retries: int
    attempt: int
    due_at: datetime | None
    began_at: datetime | None
    ended_at: datetime | None
    outcome: str
    kind: str | None
    worker: str | None
    error_message: str | None


_LIST_ATTEMPTS = statement(
    "list_attempts",
    """
    select step_slug, task_index, retries, attempt, due_at, began_at, ended_at, outcome, kind,
      worker, error_message
    from quantumflow.list_attempts(run_id => %(run_id)s, step_slug => %(step_slug)s)
    """,
)


def list_attempts(run_id: UUID, step_slug: str | None) -> Call[list[Attempt]]:
    """Every attempt at the tasks of a run, or of one of its steps."""
    return Call(
        _LIST_ATTEMPTS,
        lambda rows: [Attempt(*row) for row in rows],
        {"run_id": _arguments.run(run_id), "step_slug": step_slug},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class QueueSummary:
    """What there is to do for a command in a queue, and who does it.

    Attributes:
        queue: The queue.
        command: The command.
        due: Tasks that may be claimed now.
        later: Tasks that wait for their time, for other code, or for their run or flow to be
            resumed.
        retrying: Tasks that failed and wait for their next attempt.
        running: Tasks that are leased to a worker.
        oldest_due: How long the one that has been due longest has been so.
        workers: Live workers that serve the queue and have the command.
        free_slots: How many tasks more these could have at once; None where nobody says.
        paused_at: Since when the queue, or the command, is paused.
    """

    queue: str
    command: str
    due: int
    later: int
    retrying: int
    running: int
    oldest_due: timedelta | None
    workers: int
    free_slots: int | None
    paused_at: datetime | None


_LIST_QUEUES = statement(
    "list_queues",
    """
    select queue, command, due, later, retrying, running, oldest_due, workers, free_slots,
      paused_at
    from quantumflow.list_queues()
    """,
)


def list_queues() -> Call[list[QueueSummary]]:
    """What waits and runs, by queue and command."""
    return Call(
        _LIST_QUEUES,
        lambda rows: [QueueSummary(*row) for row in rows],
        {},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class WorkerSummary:
    """A worker, as it says of itself.

    Attributes:
        worker_id: The id it claims with.
        name: Its name.
        host: The machine it is on.
        pid: Its process there.
        version: The version of its client.
        queues: The queues it serves.
        commands: The commands it has handlers for; None: any.
        slots: How many tasks it may have at once.
        running: How many it had when it was last heard of.
        since: When it registered.
        last_seen_at: When it was last heard of, to a few seconds.
        state: busy, working, idle, alive, silent or stopped.
    """

    worker_id: UUID
    name: str | None
    host: str | None
    pid: int | None
    version: str | None
    queues: list[str]
    commands: list[str] | None
    slots: int | None
    running: int | None
    since: datetime
    last_seen_at: datetime
    state: str


_LIST_WORKERS = statement(
    "list_workers",
    """
    select worker_id, name, host, pid, version, queues, commands, slots, running, since,
      last_seen_at, state
    from quantumflow.list_workers(alive_only => %(alive_only)s)
    """,
)


def list_workers(*, alive_only: bool) -> Call[list[WorkerSummary]]:
    """The workers that are alive, or all that are known."""
    return Call(
        _LIST_WORKERS,
        lambda rows: [WorkerSummary(*row) for row in rows],
        {"alive_only": alive_only},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Size:
    """How large a table or a queue is.

    Attributes:
        what: The table, or the queue.
        kind: table, queue or archive.
        rows_estimate: How many rows it has, as the statistics say.
        bytes: What it takes on disk, with its indexes.
        dead_share: The part of its rows that is dead, from 0 to 1.
    """

    what: str
    kind: str
    rows_estimate: int
    bytes: int
    dead_share: Decimal | None


_LIST_SIZES = statement(
    "list_sizes",
    """
    select what, kind, rows_estimate, bytes, dead_share
    from quantumflow.list_sizes()
    """,
)


def list_sizes() -> Call[list[Size]]:
    """How large the tables and queues are, the largest first."""
    return Call(
        _LIST_SIZES,
        lambda rows: [Size(*row) for row in rows],
        {},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class StepStats:
    """How the attempts at a step went, or, without a step, the runs of a version.

    Attributes:
        workflow_slug: The workflow.
        version: The version.
        step_slug: The step; None: the runs themselves.
        n: How many attempts, or runs, ended.
        failures: How many of them did not complete.
        waited_p50: Half of the attempts waited no longer; None for runs.
        waited_p95: 95 of 100 waited no longer.
        worked_p50: Half of the attempts were worked on no longer, or half of the runs took no
            longer.
        worked_p95: 95 of 100 likewise.
        worked_p50_before: worked_p50 of the time before.
        change: worked_p50 as a multiple of that.
    """

    workflow_slug: str
    version: int
    step_slug: str | None
    n: int
    failures: int
    waited_p50: timedelta | None
    waited_p95: timedelta | None
    worked_p50: timedelta | None
    worked_p95: timedelta | None
    worked_p50_before: timedelta | None
    change: Decimal | None


_STATS = statement(
    "stats",
    """
    select workflow_slug, version, step_slug, n, failures, waited_p50, waited_p95, worked_p50,
      worked_p95, worked_p50_before, change
    from quantumflow.stats(
      workflow_slug => %(workflow_slug)s,
      since => %(since)s::interval,
      baseline => %(baseline)s::interval)
    """,
)


def stats(
    workflow_slug: str | None, since: timedelta, baseline: timedelta
) -> Call[list[StepStats]]:
    """How long steps waited and worked, of late and before."""
    return Call(
        _STATS,
        lambda rows: [StepStats(*row) for row in rows],
        {
            "workflow_slug": workflow_slug,
            "since": _arguments.duration("since", since),
            "baseline": _arguments.duration("baseline", baseline),
        },
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """When a run will have ended, as far as its past and that of others tell.

    Attributes:
        expected_at: When it is expected to end; None while it is paused, or nothing is known.
        p95_at: Until when 95 of 100 such runs would have ended.
        based_on: How often the step of which least is known had completed before.
        note: What it does not know.
    """

    expected_at: datetime | None
    p95_at: datetime | None
    based_on: int | None
    note: str | None


_ETA = statement(
    "eta",
    """
    select expected_at, p95_at, based_on, note
    from quantumflow.eta(run_id => %(run_id)s)
    """,
)


def eta(run_id: UUID) -> Call[Estimate]:
    """When a run is expected to end."""
    return Call(
        _ETA,
        lambda rows: Estimate(*rows[0]),
        {"run_id": _arguments.run(run_id)},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Metric:
    """A number for a monitoring system, as Prometheus has them.

    Attributes:
        name: Of what. Of a histogram there are three: NAME_bucket, with a label le, NAME_sum and
            NAME_count.
        kind: gauge, counter or histogram.
        labels: Of which.
        value: The number; times are in seconds.
        help: What it says, the same for each of a name.
    """

    name: str
    kind: str
    labels: dict[str, str]
    value: float
    help: str


_METRICS = statement(
    "metrics",
    "select name, kind, labels::pg_catalog.text, value, help from quantumflow.metrics()",
)


def metrics() -> Call[list[Metric]]:
    """Numbers for a monitoring system."""
    return Call(
        _METRICS,
        lambda rows: [
            Metric(name, kind, _json.decode(labels), value, help_)
            for name, kind, labels, value, help_ in rows
        ],
        {},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two versions of a workflow.

    Attributes:
        path: Which setting: "timeout", "steps.charge.timeout", "steps.charge".
        change: added, removed or changed.
        before: Its value in the first of them; None if it has none.
        after: Its value in the second of them.
    """

    path: str
    change: str
    before: Json
    after: Json


_DIFF_FLOW = statement(
    "diff_flow",
    """
    select path, change, before::pg_catalog.text, after::pg_catalog.text
    from quantumflow.diff_flow(
      workflow_slug => %(workflow_slug)s,
      from_version => %(from_version)s::int,
      to_version => %(to_version)s::int)
    """,
)


def diff_flow(workflow_slug: str, from_version: int, to_version: int) -> Call[list[Difference]]:
    """What differs between two versions of a workflow."""
    return Call(
        _DIFF_FLOW,
        lambda rows: [
            Difference(path, change, decoded([(before,)]), decoded([(after,)]))
            for path, change, before, after in rows
        ],
        {
            "workflow_slug": workflow_slug,
            "from_version": from_version,
            "to_version": to_version,
        },
        is_repeatable=True,
    )
