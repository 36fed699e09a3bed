# Written by tools/async_calls.py from _calls/looking.py: change that, then `make calls`.
"""What happens, what happened, and why."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from quantumflow_client import _sql

from .base import AsyncCalls

if TYPE_CHECKING:
    from uuid import UUID

    from quantumflow_client._borrowed import AsyncBorrowed
    from quantumflow_client._sql.looking import (
        Attempt,
        Estimate,
        Event,
        Metric,
        PastEvent,
        PathStep,
        QueueSummary,
        Reason,
        Size,
        StepStats,
        WorkerSummary,
    )

T = TypeVar("T")


class AsyncLookingCalls(AsyncCalls):
    """What happens, what happened, and why."""

    async def why(
        self,
        run_id: UUID | None = None,
        *,
        only_stuck: bool = False,
        connection: AsyncBorrowed | None = None,
    ) -> list[Reason]:
        """Why a run goes on, or does not; without one, all that wait or run, the worst first.

        Args:
            run_id: The run.
            only_stuck: Only what does not go on until somebody does something.
            connection: As for `start_flow`.

        Raises:
            UnknownRun: There is no such run.

        Calls quantumflow.why.
        """
        return await self._run(_sql.looking.why(run_id, only_stuck=only_stuck), connection)

    async def timeline(
        self, run_id: UUID, *, connection: AsyncBorrowed | None = None
    ) -> list[Event]:
        """What happened to a run, in order: it, its steps, the attempts at its tasks.

        Args:
            run_id: The run.
            connection: As for `start_flow`.

        Raises:
            UnknownRun: There is no such run.

        Calls quantumflow.timeline.
        """
        return await self._run(_sql.looking.timeline(run_id), connection)

    async def history(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        run_id: UUID | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> list[PastEvent]:
        """What happened in a time, and what people did, in order.

        Of a run all that `timeline` tells and what was done to it; of all of them what people did,
        how runs began and ended, and which attempts failed.

        Args:
            since: From when on; None only with a run: from its beginning.
            until: Before when; None: until now.
            run_id: The run; it may be gone by now.
            connection: As for `start_flow`.

        Raises:
            UnknownRun: Nothing is known of the run.
            BadWindow: There is no since, or until is not after it.

        Calls quantumflow.history.
        """
        return await self._run(_sql.looking.history(since, until, run_id), connection)

    async def stats(
        self,
        workflow_slug: str | None = None,
        *,
        since: timedelta = timedelta(days=1),
        baseline: timedelta = timedelta(days=7),
        connection: AsyncBorrowed | None = None,
    ) -> list[StepStats]:
        """How long steps waited and worked, how often they failed, and how it was before.

        A row for each step, and one without a step for the runs of each version. Attempts are
        counted a minute or two after their run has ended, and stay counted when it is deleted.

        Args:
            workflow_slug: Only this workflow.
            since: How far back from now; to the beginning of an hour.
            baseline: How far back from there that goes with which it is compared.
            connection: As for `start_flow`.

        Raises:
            BadWindow: A length of time is under a minute, or over 1,000 years.

        Calls quantumflow.stats.
        """
        return await self._run(_sql.looking.stats(workflow_slug, since, baseline), connection)

    async def eta(self, run_id: UUID, *, connection: AsyncBorrowed | None = None) -> Estimate:
        """When a run is expected to end, from how long its steps took before.

        Args:
            run_id: The run.
            connection: As for `start_flow`.

        Raises:
            UnknownRun: There is no such run.

        Calls quantumflow.eta.
        """
        return await self._run(_sql.looking.eta(run_id), connection)

    async def metrics(self, *, connection: AsyncBorrowed | None = None) -> list[Metric]:
        """Numbers for a monitoring system: what goes on now, and what has ended.

        Args:
            connection: As for `start_flow`.

        Calls quantumflow.metrics.
        """
        return await self._run(_sql.looking.metrics(), connection)

    async def critical_path(
        self, run_id: UUID, *, connection: AsyncBorrowed | None = None
    ) -> list[PathStep]:
        """The steps that decided how long a run took, waiting and working apart.

        Args:
            run_id: The run.
            connection: As for `start_flow`.

        Raises:
            UnknownRun: There is no such run.

        Calls quantumflow.critical_path.
        """
        return await self._run(_sql.looking.critical_path(run_id), connection)

    async def attempts(
        self, run_id: UUID, step_slug: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> list[Attempt]:
        """Every attempt at the tasks of a run, in order of when they were due.

        Args:
            run_id: The run.
            step_slug: Only of this step.
            connection: As for `start_flow`.

        Raises:
            UnknownRun: There is no such run.
            UnknownStep: It has no such step.

        Calls quantumflow.list_attempts.
        """
        return await self._run(_sql.looking.list_attempts(run_id, step_slug), connection)

    async def queues(self, *, connection: AsyncBorrowed | None = None) -> list[QueueSummary]:
        """What waits and runs, by queue and command, what has waited longest first.

        Args:
            connection: As for `start_flow`.

        Calls quantumflow.list_queues.
        """
        return await self._run(_sql.looking.list_queues(), connection)

    async def workers(
        self, *, alive_only: bool = True, connection: AsyncBorrowed | None = None
    ) -> list[WorkerSummary]:
        """The workers that are alive, or all that are known.

        Args:
            alive_only: Without those that have stopped, or were not seen for a minute.
            connection: As for `start_flow`.

        Calls quantumflow.list_workers.
        """
        return await self._run(_sql.looking.list_workers(alive_only=alive_only), connection)

    async def sizes(self, *, connection: AsyncBorrowed | None = None) -> list[Size]:
        """How large the tables and queues are, the largest first.

        Args:
            connection: As for `start_flow`.

        Calls quantumflow.list_sizes.
        """
        return await self._run(_sql.looking.list_sizes(), connection)
