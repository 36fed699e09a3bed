"""Starts by the clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantumflow_client import _arguments, _json
from quantumflow_client._call import Call

from .statements import nothing, scalar, statement

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from uuid import UUID

    from quantumflow_client._json import Json


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a schedule does, and how it is doing.

    Attributes:
        schedule_slug: Its name.
        workflow_slug: The workflow that it starts.
        cron: When.
        time_zone: By which clocks.
        next_at: When it starts the next run, jitter included, or tries again; None while paused.
        last_at: The time for which it started the last run.
        last_run_id: The last run.
        last_status: The status of that; None where there is none, or it is gone.
        missed: How many times came while nothing could be started, and were not made up for.
        paused_at: Since when it is paused.
        problem: Why it starts nothing; None when nothing is wrong.
        skipped: How many times came while the last run went on, and started nothing.
    """

    schedule_slug: str
    workflow_slug: str
    cron: str
    time_zone: str
    next_at: datetime | None
    last_at: datetime | None
    last_run_id: UUID | None
    last_status: str | None
    missed: int
    paused_at: datetime | None
    problem: str | None
    skipped: int


_SCHEDULE_FLOW = statement(
    "schedule_flow",
    """
    select next_at
    from quantumflow.schedule_flow(
      schedule_slug => %(schedule_slug)s,
      workflow_slug => %(workflow_slug)s,
      cron => %(cron)s,
      time_zone => %(time_zone)s,
      input => %(input)s::pg_catalog.jsonb,
      overlap => %(overlap)s,
      catch_up => %(catch_up)s::int,
      jitter => %(jitter)s::interval,
      priority => %(priority)s::int)
    """,
)


def schedule_flow(
    schedule_slug: str,
    workflow_slug: str,
    cron: str,
    *,
    time_zone: str,
    input_: Json,
    overlap: str,
    catch_up: int,
    jitter: timedelta,
    priority: int,
    encode: _json.Encoder = _json.encode,
) -> Call[datetime | None]:
    """Start a workflow at certain times; when it starts next, None while the schedule is paused."""
    return Call(
        _SCHEDULE_FLOW,
        scalar,
        {
            "schedule_slug": schedule_slug,
            "workflow_slug": workflow_slug,
            "cron": cron,
            "time_zone": time_zone,
            "input": encode(input_, "input"),
            "overlap": overlap,
            "catch_up": catch_up,
            "jitter": _arguments.duration("jitter", jitter),
            "priority": priority,
        },
        is_repeatable=True,
    )


_UNSCHEDULE_FLOW = statement(
    "unschedule_flow",
    "select schedule_slug from quantumflow.unschedule_flow(schedule_slug => %(schedule_slug)s)",
)


def unschedule_flow(schedule_slug: str) -> Call[None]:
    """Remove a schedule."""
    return Call(_UNSCHEDULE_FLOW, nothing, {"schedule_slug": schedule_slug})


_PAUSE_SCHEDULE = statement(
    "pause_schedule",
    """
    select paused_at
    from quantumflow.pause_schedule(schedule_slug => %(schedule_slug)s, reason => %(reason)s)
    """,
)


def pause_schedule(schedule_slug: str, reason: str | None) -> Call[datetime]:
    """Let a schedule start nothing; since when it is paused."""
    parameters = {"schedule_slug": schedule_slug, "reason": reason}
    return Call(_PAUSE_SCHEDULE, scalar, parameters, is_repeatable=True)


_RESUME_SCHEDULE = statement(
    "resume_schedule",
    """
    select next_at
    from quantumflow.resume_schedule(schedule_slug => %(schedule_slug)s, reason => %(reason)s)
    """,
)


def resume_schedule(schedule_slug: str, reason: str | None) -> Call[datetime]:
    """Let a paused schedule go on; when it starts next."""
    parameters = {"schedule_slug": schedule_slug, "reason": reason}
    return Call(_RESUME_SCHEDULE, scalar, parameters, is_repeatable=True)


_LIST_SCHEDULES = statement(
    "list_schedules",
    """
    select schedule_slug, workflow_slug, cron, time_zone, next_at, last_at, last_run_id,
      last_status, missed, paused_at, problem, skipped
    from quantumflow.list_schedules(workflow_slug => %(workflow_slug)s)
    """,
)


def list_schedules(workflow_slug: str | None) -> Call[list[Schedule]]:
    """The schedules, that which comes next first."""
    return Call(
        _LIST_SCHEDULES,
        lambda rows: [Schedule(*row) for row in rows],
        {"workflow_slug": workflow_slug},
        is_repeatable=True,
    )


_NEXT_TIMES = statement(
    "next_times",
    """
    select at
    from quantumflow.next_times(
      cron => %(cron)s,
      time_zone => %(time_zone)s,
      n => %(n)s::int,
      after => %(after)s::pg_catalog.timestamptz) as at
    """,
)


def next_times(cron: str, time_zone: str, n: int, after: datetime | None) -> Call[list[datetime]]:
    """The next times of a cron text."""
    return Call(
        _NEXT_TIMES,
        lambda rows: [row[0] for row in rows],
        {
            "cron": cron,
            "time_zone": time_zone,
            "n": n,
            "after": _arguments.moment("after", after),
        },
        is_repeatable=True,
    )
