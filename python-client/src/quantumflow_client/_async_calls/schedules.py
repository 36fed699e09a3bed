# Written by tools/async_calls.py from _calls/schedules.py: change that, then `make calls`.
"""Runs that the clock starts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from quantumflow_client import _sql

from .base import NO_INPUT, AsyncCalls, slug_of

if TYPE_CHECKING:
    from quantumflow_client._borrowed import AsyncBorrowed
    from quantumflow_client._json import Json
    from quantumflow_client._sql.schedules import Schedule
    from quantumflow_client.flow import Flow

T = TypeVar("T")


class AsyncScheduleCalls(AsyncCalls):
    """Runs that the clock starts."""

    async def schedule(
        self,
        schedule_slug: str,
        workflow_slug: str | Flow[Any, Any],
        cron: str,
        *,
        time_zone: str = "UTC",
        input: Json = NO_INPUT,  # noqa: A002
        overlap: str = "skip",
        catch_up: int = 1,
        jitter: timedelta = timedelta(0),
        priority: int = 0,
        connection: AsyncBorrowed | None = None,
    ) -> datetime | None:
        """Start a workflow at certain times, from now on; any worker does so when one comes.

        To call it again with the same arguments changes nothing; with others, the schedule of that
        name. It keeps its times, what it did, and that it is paused.

        Args:
            schedule_slug: The schedule's name.
            workflow_slug: The workflow, or its Flow; each run is of the version current then.
            cron: Minute, hour, day of month, month and weekday, "30 2 * * mon-fri" for example;
                or @hourly, @daily and the like. See `next_times`.
            time_zone: The zone whose clocks that is about, "Europe/Berlin" for example.
            input: What each run is started with.
            overlap: What happens when a time comes while the last run goes on: "skip" it, "allow"
                both to run, "queue" it until that has ended, or "cancel" that.
            catch_up: How many of the times that came during an outage are made up for, the latest
                ones; 1 to 100.
            jitter: How much later a run starts at most; a day at the most.
            priority: As for `start_flow`.
            connection: As for `start_flow`.

        Returns:
            When it starts next, jitter included; None while it is paused.

        Raises:
            BadSchedule: An argument is none that a schedule can have; it says which.
            UnknownWorkflow: There is no such workflow.
            InputNotArray: The workflow maps over its input.

        Calls quantumflow.schedule_flow.
        """
        call = _sql.schedules.schedule_flow(
            schedule_slug,
            slug_of(workflow_slug),
            cron,
            time_zone=time_zone,
            input_=input,
            overlap=overlap,
            catch_up=catch_up,
            jitter=jitter,
            priority=priority,
            encode=self._encode,
        )
        return await self._run(call, connection)

    async def unschedule(
        self, schedule_slug: str, *, connection: AsyncBorrowed | None = None
    ) -> None:
        """Remove a schedule. Runs that it has started go on.

        Args:
            schedule_slug: The schedule.
            connection: As for `start_flow`.

        Raises:
            UnknownSchedule: There is no such schedule.

        Calls quantumflow.unschedule_flow.
        """
        await self._run(_sql.schedules.unschedule_flow(schedule_slug), connection)

    async def pause_schedule(
        self,
        schedule_slug: str,
        reason: str | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> datetime:
        """Let a schedule start nothing until `resume_schedule`. What it has started goes on.

        Args:
            schedule_slug: The schedule.
            reason: Why; kept in audit_log.
            connection: As for `start_flow`.

        Returns:
            Since when it is paused.

        Raises:
            UnknownSchedule: There is no such schedule.

        Calls quantumflow.pause_schedule.
        """
        return await self._run(_sql.schedules.pause_schedule(schedule_slug, reason), connection)

    async def resume_schedule(
        self,
        schedule_slug: str,
        reason: str | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> datetime:
        """Let a paused schedule go on with its next time; what came meanwhile is not made up for.

        Args:
            schedule_slug: The schedule.
            reason: Why; kept in audit_log.
            connection: As for `start_flow`.

        Returns:
            When it starts next.

        Raises:
            UnknownSchedule: There is no such schedule.

        Calls quantumflow.resume_schedule.
        """
        return await self._run(_sql.schedules.resume_schedule(schedule_slug, reason), connection)

    async def schedules(
        self,
        workflow_slug: str | Flow[Any, Any] | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> list[Schedule]:
        """The schedules, of one workflow or all, that which comes next first.

        Args:
            workflow_slug: The workflow.
            connection: As for `start_flow`.

        Calls quantumflow.list_schedules.
        """
        slug = None if workflow_slug is None else slug_of(workflow_slug)
        return await self._run(_sql.schedules.list_schedules(slug), connection)

    async def next_times(
        self,
        cron: str,
        time_zone: str = "UTC",
        n: int = 5,
        *,
        after: datetime | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> list[datetime]:
        """The next times of a cron text: what `schedule` would do, without jitter.

        Args:
            cron: As for `schedule`.
            time_zone: As for `schedule`.
            n: How many, 1 to 1,000.
            after: After which moment; by default now.
            connection: As for `start_flow`.

        Raises:
            BadSchedule: An argument is none; it says which.
            BadArgument: after has no time zone.

        Calls quantumflow.next_times.
        """
        return await self._run(_sql.schedules.next_times(cron, time_zone, n, after), connection)
