"""Runs and work that are stopped, held up, tried again, taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantumflow_client import _arguments, _json
from quantumflow_client._call import Call

from .statements import nothing, scalar, statement

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta
    from uuid import UUID

    from quantumflow_client._json import Json


_CANCEL_RUN = statement(
    "cancel_run",
    "select id from quantumflow.cancel_run(run_id => %(run_id)s, reason => %(reason)s)",
)


def cancel_run(run_id: UUID, reason: str | None) -> Call[None]:
    """Stop a run for good."""
    return Call(
        _CANCEL_RUN,
        nothing,
        {"run_id": _arguments.run(run_id), "reason": reason},
        is_repeatable=True,
    )


_PAUSE_RUN = statement(
    "pause_run",
    "select status from quantumflow.pause_run(run_id => %(run_id)s, reason => %(reason)s)",
)


def pause_run(run_id: UUID, reason: str | None) -> Call[str]:
    """Hold a run; its status then."""
    parameters = {"run_id": _arguments.run(run_id), "reason": reason}
    return Call(_PAUSE_RUN, scalar, parameters, is_repeatable=True)


_RESUME_RUN = statement(
    "resume_run",
    "select status from quantumflow.resume_run(run_id => %(run_id)s, reason => %(reason)s)",
)


def resume_run(run_id: UUID, reason: str | None) -> Call[str]:
    """Let a run go on; its status then."""
    parameters = {"run_id": _arguments.run(run_id), "reason": reason}
    return Call(_RESUME_RUN, scalar, parameters, is_repeatable=True)


_PAUSES = {
    "queue": statement(
        "pause_queue", "select quantumflow.pause_queue(queue => %(queue)s, reason => %(reason)s)"
    ),
    "workflow": statement(
        "pause_flow",
        "select quantumflow.pause_flow(workflow_slug => %(workflow_slug)s, reason => %(reason)s)",
    ),
    "command": statement(
        "pause_command",
        "select quantumflow.pause_command(command => %(command)s, reason => %(reason)s)",
    ),
}
_RESUMES = {
    "queue": statement(
        "resume_queue", "select quantumflow.resume_queue(queue => %(queue)s, reason => %(reason)s)"
    ),
    "workflow": statement(
        "resume_flow",
        "select quantumflow.resume_flow(workflow_slug => %(workflow_slug)s, reason => %(reason)s)",
    ),
    "command": statement(
        "resume_command",
        "select quantumflow.resume_command(command => %(command)s, reason => %(reason)s)",
    ),
}


def pause(kind: str, name: str, reason: str | None) -> Call[datetime]:
    """Hand nothing out of a queue, a flow or a command; since when it is paused."""
    return Call(_PAUSES[kind], scalar, _named(kind, name, reason), is_repeatable=True)


def resume(kind: str, name: str, reason: str | None) -> Call[int]:
    """Let a queue, a flow or a command be handed out again; how many tasks came back."""
    return Call(_RESUMES[kind], scalar, _named(kind, name, reason), is_repeatable=True)


def _named(kind: str, name: str, reason: str | None) -> dict[str, str | None]:
    said = "workflow_slug" if kind == "workflow" else kind
    return {said: _arguments.text(said, name), "reason": reason}


@dataclass(frozen=True, slots=True)
class Pause:
    """What is paused.

    Attributes:
        kind: queue, workflow or command.
        name: Its name.
        paused_at: Since when.
        paused_by: The role that paused it.
        on_behalf_of: For whom, as that one's session said.
        reason: Why.
        waiting: Tasks that are due and wait for it; of a flow those that claims have met.
    """

    kind: str
    name: str
    paused_at: datetime
    paused_by: str
    on_behalf_of: str | None
    reason: str | None
    waiting: int


_LIST_PAUSES = statement(
    "list_pauses",
    """
    select kind, name, paused_at, paused_by, on_behalf_of, reason, waiting
    from quantumflow.list_pauses()
    """,
)


def list_pauses() -> Call[list[Pause]]:
    """What is paused, what has been longest first."""
    return Call(_LIST_PAUSES, lambda rows: [Pause(*row) for row in rows], {}, is_repeatable=True)


_ANNOUNCE_END = statement("announce_end", "select quantumflow.announce_end(run_id => %(run_id)s)")


def announce_end(run_id: UUID) -> Call[str]:
    """Ask that the end of a run be told on channel quantumflow_events; its status."""
    return Call(_ANNOUNCE_END, scalar, {"run_id": _arguments.run(run_id)}, is_repeatable=True)


_RUN_NOW = statement(
    "run_now",
    """
    select quantumflow.run_now(
      run_id => %(run_id)s, step_slug => %(step_slug)s, task_index => %(task_index)s::int)
    """,
)


def run_now(run_id: UUID, step_slug: str, task_index: int) -> Call[str]:
    """Let a task wait no longer for its time; what became of it."""
    parameters = {
        "run_id": _arguments.run(run_id),
        "step_slug": step_slug,
        "task_index": _arguments.number("task_index", task_index),
    }
    return Call(_RUN_NOW, scalar, parameters, is_repeatable=True)


@dataclass(frozen=True, slots=True)
class RunAct:
    """What a call on many runs has done with one of them, or would do.

    Attributes:
        run_id: The run.
        workflow_slug: Its workflow.
        status: Its status; of one that is deleted the last.
        what: cancelled, retried, paused, resumed or deleted; in a dry run that with "to be" before
            it; or, where that was refused, with "not" before it, and the reason.
        error_message: Why it had failed or been cancelled before.
    """

    run_id: UUID
    workflow_slug: str
    status: str
    what: str
    error_message: str | None


_ACTS = {
    "cancel": statement(
        "cancel_runs",
        """
        select run_id, workflow_slug, status, what, error_message
        from quantumflow.cancel_runs(
          filter => %(filter)s::pg_catalog.jsonb, max_runs => %(max_runs)s::int,
          dry_run => %(dry_run)s, reason => %(reason)s)
        """,
    ),
    "pause": statement(
        "pause_runs",
        """
        select run_id, workflow_slug, status, what, error_message
        from quantumflow.pause_runs(
          filter => %(filter)s::pg_catalog.jsonb, max_runs => %(max_runs)s::int,
          dry_run => %(dry_run)s, reason => %(reason)s)
        """,
    ),
    "resume": statement(
        "resume_runs",
        """
        select run_id, workflow_slug, status, what, error_message
        from quantumflow.resume_runs(
          filter => %(filter)s::pg_catalog.jsonb, max_runs => %(max_runs)s::int,
          dry_run => %(dry_run)s, reason => %(reason)s)
        """,
    ),
    "retry": statement(
        "retry_runs",
        """
        select run_id, workflow_slug, status, what, error_message
        from quantumflow.retry_runs(
          filter => %(filter)s::pg_catalog.jsonb, max_runs => %(max_runs)s::int,
          dry_run => %(dry_run)s, reason => %(reason)s)
        """,
    ),
    "delete": statement(
        "delete_runs",
        """
        select run_id, workflow_slug, status, what, error_message
        from quantumflow.delete_runs(
          filter => %(filter)s::pg_catalog.jsonb, max_runs => %(max_runs)s::int,
          dry_run => %(dry_run)s, reason => %(reason)s)
        """,
    ),
}


def act_on_runs(
    verb: str,
    filter: Mapping[str, Json],  # noqa: A002
    max_runs: int,
    *,
    dry_run: bool,
    reason: str | None,
    encode: _json.Encoder = _json.encode,
) -> Call[list[RunAct]]:
    """Do something to the runs that a filter means, or say which they are."""
    return Call(
        _ACTS[verb],
        lambda rows: [RunAct(*row) for row in rows],
        {
            "filter": encode(filter, "the filter"),
            "max_runs": max_runs,
            "dry_run": dry_run,
            "reason": reason,
        },
    )


_RETRY_RUN = statement(
    "retry_run",
    """
    select status
    from quantumflow.retry_run(
      run_id => %(run_id)s,
      from_step => %(from_step)s,
      from_iteration => %(from_iteration)s,
      given_up => %(given_up)s,
      reason => %(reason)s)
    """,
)


def retry_run(
    run_id: UUID,
    from_step: str | None,
    *,
    from_iteration: int | None,
    given_up: bool,
    reason: str | None,
) -> Call[str]:
    """Run again what an ended run did not finish; its status then."""
    return Call(
        _RETRY_RUN,
        scalar,
        {
            "run_id": _arguments.run(run_id),
            "from_step": from_step,
            "from_iteration": from_iteration,
            "given_up": given_up,
            "reason": reason,
        },
    )


@dataclass(frozen=True, slots=True)
class RetriedStep:
    """What a retry would do with a step.

    Attributes:
        step_slug: The step.
        status: What it is now.
        tasks_again: How many of its tasks would run; None for a loop, and for a map whose size is
            not known before.
        tasks_kept: How many finished ones would keep their outputs.
    """

    step_slug: str
    status: str
    tasks_again: int | None
    tasks_kept: int


_RETRY_PREVIEW = statement(
    "retry_preview",
    """
    select step_slug, status, tasks_again, tasks_kept
    from quantumflow.retry_preview(
      run_id => %(run_id)s,
      from_step => %(from_step)s,
      from_iteration => %(from_iteration)s,
      given_up => %(given_up)s)
    """,
)


def retry_preview(
    run_id: UUID, from_step: str | None, *, from_iteration: int | None, given_up: bool
) -> Call[list[RetriedStep]]:
    """What a retry would run again."""
    return Call(
        _RETRY_PREVIEW,
        lambda rows: [RetriedStep(*row) for row in rows],
        {
            "run_id": _arguments.run(run_id),
            "from_step": from_step,
            "from_iteration": from_iteration,
            "given_up": given_up,
        },
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class FailedItem:
    """An item of a map whose task has failed for good, so that there is no output of it.

    Attributes:
        item_index: Its position, and that of the None in the output; None if the step is no map.
        task_index: The task, which has several items in a map in chunks.
        kind: What its last attempt failed of: error, timeout or lost.
        error_message: What was reported of that.
    """

    item_index: int | None
    task_index: int
    kind: str
    error_message: str | None


_FAILED_ITEMS = statement(
    "failed_items",
    """
    select item_index, task_index, kind, error_message
    from quantumflow.failed_items(run_id => %(run_id)s, step_slug => %(step_slug)s)
    """,
)


def failed_items(run_id: UUID, step_slug: str) -> Call[list[FailedItem]]:
    """The items of a map whose tasks have failed for good."""
    return Call(
        _FAILED_ITEMS,
        lambda rows: [FailedItem(*row) for row in rows],
        {"run_id": _arguments.run(run_id), "step_slug": step_slug},
        is_repeatable=True,
    )


_DELETE_RUN = statement(
    "delete_run",
    "select status from quantumflow.delete_run(run_id => %(run_id)s, reason => %(reason)s)",
)


def delete_run(run_id: UUID, reason: str | None) -> Call[str]:
    """Delete an ended run with all that is its; the status that it had."""
    parameters = {"run_id": _arguments.run(run_id), "reason": reason}
    return Call(_DELETE_RUN, scalar, parameters)


_PRUNE = statement(
    "prune",
    """
    select quantumflow.prune(
      older_than => %(older_than)s::interval,
      max_runs => %(max_runs)s::int,
      workflow_slug => %(workflow_slug)s,
      reason => %(reason)s)
    """,
)


def prune(
    older_than: timedelta | _arguments.Age,
    max_runs: int,
    workflow_slug: str | None,
    reason: str | None,
) -> Call[int]:
    """Delete runs that ended before that; how many."""
    return Call(
        _PRUNE,
        scalar,
        {
            "older_than": older_than,
            "max_runs": max_runs,
            "workflow_slug": workflow_slug,
            "reason": reason,
        },
    )


@dataclass(frozen=True, slots=True)
class PrunedRuns:
    """Runs of a workflow and a status that a prune would delete.

    Attributes:
        workflow_slug: The workflow.
        status: completed, failed or cancelled.
        runs: How many there are.
        tasks: How many tasks they have together.
        oldest: When the first of them ended.
    """

    workflow_slug: str
    status: str
    runs: int
    tasks: int
    oldest: datetime


_PRUNE_PREVIEW = statement(
    "prune_preview",
    """
    select workflow_slug, status, runs, tasks, oldest
    from quantumflow.prune_preview(
      older_than => %(older_than)s::interval, workflow_slug => %(workflow_slug)s)
    """,
)


def prune_preview(
    older_than: timedelta | _arguments.Age, workflow_slug: str | None
) -> Call[list[PrunedRuns]]:
    """What a prune would delete in the end."""
    return Call(
        _PRUNE_PREVIEW,
        lambda rows: [PrunedRuns(*row) for row in rows],
        {"older_than": older_than, "workflow_slug": workflow_slug},
        is_repeatable=True,
    )
