# Written by tools/async_calls.py from _calls/steering.py: change that, then `make calls`.
"""Runs, and work, that are stopped, held up, tried again or taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from quantumflow_client import _sql

from .base import AsyncCalls, slug_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta
    from uuid import UUID

    from quantumflow_client._borrowed import AsyncBorrowed
    from quantumflow_client._json import Json
    from quantumflow_client._sql.steering import FailedItem, Pause, PrunedRuns, RetriedStep, RunAct
    from quantumflow_client.flow import Flow

T = TypeVar("T")


class AsyncSteeringCalls(AsyncCalls):
    """Runs, and work, that are stopped, held up, tried again or taken away."""

    async def cancel(
        self, run_id: UUID, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> None:
        """Stop a run for good. To cancel it again changes nothing.

        Args:
            run_id: The run.
            reason: Why; kept as the run's error_message.
            connection: As for `start_flow`.

        Raises:
            UnknownRun: There is no such run.
            RunHasEnded: It has completed or failed.

        Calls quantumflow.cancel_run.
        """
        await self._run(_sql.steering.cancel_run(run_id, reason), connection)

    async def pause(
        self, run_id: UUID, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> str:
        """Hold a run: nothing of it starts until `resume`. What workers have goes on.

        Args:
            run_id: The run.
            reason: Why; kept in audit_log.
            connection: As for `start_flow`.

        Returns:
            The run's status then.

        Raises:
            UnknownRun: There is no such run.
            RunHasEnded: It has ended.

        Calls quantumflow.pause_run.
        """
        return await self._run(_sql.steering.pause_run(run_id, reason), connection)

    async def resume(
        self, run_id: UUID, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> str:
        """Let a paused run go on.

        Args:
            run_id: The run.
            reason: Why; kept in audit_log.
            connection: As for `start_flow`.

        Returns:
            The run's status then.

        Raises:
            UnknownRun: There is no such run.
            RunHasEnded: It has ended.

        Calls quantumflow.resume_run.
        """
        return await self._run(_sql.steering.resume_run(run_id, reason), connection)

    async def cancel_runs(
        self,
        filter: Mapping[str, Json],  # noqa: A002
        max_runs: int = 1000,
        *,
        dry_run: bool = True,
        reason: str | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> list[RunAct]:
        """Stop many runs for good.

        Those that a filter means, if they have started, or are paused. Call it again until fewer
        come back than `max_runs`: one in somebody's hands is passed over.

        Args:
            filter: Which, by the arguments of quantumflow.list_runs: {"workflow_slug": "order",
                "error": "503"}; {"all": True}: all of them.
            max_runs: How many at most; 1 to 10,000, the newest first.
            dry_run: Only say which they are.
            reason: Why; kept in audit_log with each.
            connection: As for `start_flow`.

        Raises:
            BadFilter: It is empty, or has a key or a value that is none.

        Calls quantumflow.cancel_runs.
        """
        return await self._run(
            _sql.steering.act_on_runs("cancel", filter, max_runs, dry_run=dry_run, reason=reason),
            connection,
        )

    async def pause_runs(
        self,
        filter: Mapping[str, Json],  # noqa: A002
        max_runs: int = 1000,
        *,
        dry_run: bool = True,
        reason: str | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> list[RunAct]:
        """Hold many runs.

        Those that a filter means, if they have started. Call it again until fewer
        come back than `max_runs`: one in somebody's hands is passed over.

        Args:
            filter: Which, by the arguments of quantumflow.list_runs: {"workflow_slug": "order",
                "error": "503"}; {"all": True}: all of them.
            max_runs: How many at most; 1 to 10,000, the newest first.
            dry_run: Only say which they are.
            reason: Why; kept in audit_log with each.
            connection: As for `start_flow`.

        Raises:
            BadFilter: It is empty, or has a key or a value that is none.

        Calls quantumflow.pause_runs.
        """
        return await self._run(
            _sql.steering.act_on_runs("pause", filter, max_runs, dry_run=dry_run, reason=reason),
            connection,
        )

    async def resume_runs(
        self,
        filter: Mapping[str, Json],  # noqa: A002
        max_runs: int = 1000,
        *,
        dry_run: bool = True,
        reason: str | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> list[RunAct]:
        """Let many paused runs go on.

        Those that a filter means, if they are paused. Call it again until fewer
        come back than `max_runs`: one in somebody's hands is passed over.

        Args:
            filter: Which, by the arguments of quantumflow.list_runs: {"workflow_slug": "order",
                "error": "503"}; {"all": True}: all of them.
            max_runs: How many at most; 1 to 10,000, the newest first.
            dry_run: Only say which they are.
            reason: Why; kept in audit_log with each.
            connection: As for `start_flow`.

        Raises:
            BadFilter: It is empty, or has a key or a value that is none.

        Calls quantumflow.resume_runs.
        """
        return await self._run(
            _sql.steering.act_on_runs("resume", filter, max_runs, dry_run=dry_run, reason=reason),
            connection,
        )

    async def retry_runs(
        self,
        filter: Mapping[str, Json],  # noqa: A002
        max_runs: int = 1000,
        *,
        dry_run: bool = True,
        reason: str | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> list[RunAct]:
        """Run again what many runs did not finish.

        Those that a filter means, if they have failed or were cancelled. Call it again until fewer
        come back than `max_runs`: one in somebody's hands is passed over.

        Args:
            filter: Which, by the arguments of quantumflow.list_runs: {"workflow_slug": "order",
                "error": "503"}; {"all": True}: all of them.
            max_runs: How many at most; 1 to 10,000, the newest first.
            dry_run: Only say which they are.
            reason: Why; kept in audit_log with each.
            connection: As for `start_flow`.

        Raises:
            BadFilter: It is empty, or has a key or a value that is none.

        Calls quantumflow.retry_runs.
        """
        return await self._run(
            _sql.steering.act_on_runs("retry", filter, max_runs, dry_run=dry_run, reason=reason),
            connection,
        )

    async def delete_runs(
        self,
        filter: Mapping[str, Json],  # noqa: A002
        max_runs: int = 1000,
        *,
        dry_run: bool = True,
        reason: str | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> list[RunAct]:
        """Delete many runs.

        Those that a filter means, if they have ended. Call it again until fewer
        come back than `max_runs`: one in somebody's hands is passed over.

        Args:
            filter: Which, by the arguments of quantumflow.list_runs: {"workflow_slug": "order",
                "error": "503"}; {"all": True}: all of them.
            max_runs: How many at most; 1 to 10,000, the newest first.
            dry_run: Only say which they are.
            reason: Why; kept in audit_log with each.
            connection: As for `start_flow`.

        Raises:
            BadFilter: It is empty, or has a key or a value that is none.

        Calls quantumflow.delete_runs.
        """
        return await self._run(
            _sql.steering.act_on_runs("delete", filter, max_runs, dry_run=dry_run, reason=reason),
            connection,
        )

    async def pause_queue(
        self, queue: str, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> datetime:
        """Hand nothing out of a queue until `resume_queue`. Runs start and move on as ever.

        Args:
            queue: The queue.
            reason: Why; shown by `pauses`, `why` and doctor, and kept in audit_log.
            connection: As for `start_flow`.

        Returns:
            Since when it is paused.

        Raises:
            UnknownQueue: There is no such queue.
            SystemQueue: It is that of what waits for a time or a signal.

        Calls quantumflow.pause_queue.
        """
        return await self._run(_sql.steering.pause("queue", queue, reason), connection)

    async def pause_flow(
        self,
        workflow_slug: str | Flow[Any, Any],
        reason: str | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> datetime:
        """Hand out nothing of any run of a workflow until `resume_flow`. Its runs start as ever.

        Args:
            workflow_slug: The workflow: a slug, or a `Flow`.
            reason: As for `pause_queue`.
            connection: As for `start_flow`.

        Returns:
            Since when it is paused.

        Raises:
            UnknownWorkflow: There is no such workflow.

        Calls quantumflow.pause_flow.
        """
        return await self._run(
            _sql.steering.pause("workflow", slug_of(workflow_slug), reason), connection
        )

    async def pause_command(
        self, command: str, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> datetime:
        """Hand out no task of a command, in whatever flow and queue, until `resume_command`.

        Args:
            command: The command; of a step without one its name.
            reason: As for `pause_queue`.
            connection: As for `start_flow`.

        Returns:
            Since when it is paused.

        Raises:
            UnknownCommand: No step of any workflow has it.

        Calls quantumflow.pause_command.
        """
        return await self._run(_sql.steering.pause("command", command, reason), connection)

    async def resume_queue(
        self, queue: str, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> int:
        """Let what waits in a paused queue be handed out again.

        Args:
            queue: The queue.
            reason: Why; kept in audit_log.
            connection: As for `start_flow`.

        Returns:
            How many of its tasks are due now; 0 when it was not paused.

        Raises:
            UnknownQueue: There is no such queue.

        Calls quantumflow.resume_queue.
        """
        return await self._run(_sql.steering.resume("queue", queue, reason), connection)

    async def resume_flow(
        self,
        workflow_slug: str | Flow[Any, Any],
        reason: str | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> int:
        """Let the runs of a paused workflow go on.

        Args:
            workflow_slug: The workflow: a slug, or a `Flow`.
            reason: Why; kept in audit_log.
            connection: As for `start_flow`.

        Returns:
            How many tasks came back of those that claims had met, 10,000 at most, the oldest
            first. Call it again for the rest; workers bring it back by and by, too.

        Raises:
            UnknownWorkflow: There is no such workflow.

        Calls quantumflow.resume_flow.
        """
        return await self._run(
            _sql.steering.resume("workflow", slug_of(workflow_slug), reason), connection
        )

    async def resume_command(
        self, command: str, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> int:
        """Let the tasks of a paused command be handed out again.

        Args:
            command: The command.
            reason: Why; kept in audit_log.
            connection: As for `start_flow`.

        Returns:
            How many of its tasks are due now; 0 when it was not paused.

        Raises:
            UnknownCommand: No step of any workflow has it.

        Calls quantumflow.resume_command.
        """
        return await self._run(_sql.steering.resume("command", command, reason), connection)

    async def pauses(self, *, connection: AsyncBorrowed | None = None) -> list[Pause]:
        """Which queues, flows and commands are paused, what has been longest first.

        Args:
            connection: As for `start_flow`.

        Calls quantumflow.list_pauses.
        """
        return await self._run(_sql.steering.list_pauses(), connection)

    async def announce_end(self, run_id: UUID, *, connection: AsyncBorrowed | None = None) -> str:
        """Ask that the end of a run be told to who listens on channel quantumflow_events.

        Args:
            run_id: The run.
            connection: As for `start_flow`.

        Returns:
            Its status. If that is started or paused, {"kind": "run_ended", "run_id": ...} comes
            when it has ended: who listened before that call misses nothing.

        Raises:
            UnknownRun: There is no such run.

        Calls quantumflow.announce_end.
        """
        return await self._run(_sql.steering.announce_end(run_id), connection)

    async def run_now(
        self,
        run_id: UUID,
        step_slug: str,
        task_index: int = 0,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> str:
        """Let a task wait no longer for its time: for its next attempt, or the end of a delay.

        Args:
            run_id: The run.
            step_slug: The step.
            task_index: Which of its tasks; 0 for a step that is no map.
            connection: As for `start_flow`.

        Returns:
            due: it waits for its turn now. was_due: it had nothing to wait for. running: a worker
            has it. waits: it sleeps, or waits for a signal. ended: it is done, failed or cancelled.

        Raises:
            UnknownRun: There is no such run.
            UnknownStep: The run has no such step, or the step no such task, or not yet.

        Calls quantumflow.run_now.
        """
        return await self._run(_sql.steering.run_now(run_id, step_slug, task_index), connection)

    async def retry(
        self,
        run_id: UUID,
        from_step: str | None = None,
        *,
        from_iteration: int | None = None,
        given_up: bool = False,
        reason: str | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> str:
        """Run again what an ended run did not finish; what it finished keeps its outputs.

        Args:
            run_id: The run.
            from_step: Run this step again, too, and all that depends on it.
            from_iteration: Of the loop that from_step names only the iterations from this one on,
                which is counted from 0.
            given_up: Run again, too, what the run went on without, and all that depends on that.
            reason: Why; kept in audit_log, with how the run had ended.
            connection: As for `start_flow`.

        Returns:
            The run's status then.

        Raises:
            UnknownRun: There is no such run.
            RunError: It cannot be retried; see the subclasses.

        Calls quantumflow.retry_run.
        """
        return await self._run(
            _sql.steering.retry_run(
                run_id, from_step, from_iteration=from_iteration, given_up=given_up, reason=reason
            ),
            connection,
        )

    async def retry_preview(
        self,
        run_id: UUID,
        from_step: str | None = None,
        *,
        from_iteration: int | None = None,
        given_up: bool = False,
        connection: AsyncBorrowed | None = None,
    ) -> list[RetriedStep]:
        """What `retry` would run again, step by step; changes nothing.

        Args:
            run_id: As for `retry`.
            from_step: As for `retry`.
            from_iteration: As for `retry`.
            given_up: As for `retry`.
            connection: As for `start_flow`.

        Raises:
            As retry.

        Calls quantumflow.retry_preview.
        """
        return await self._run(
            _sql.steering.retry_preview(
                run_id, from_step, from_iteration=from_iteration, given_up=given_up
            ),
            connection,
        )

    async def failed_items(
        self, run_id: UUID, step_slug: str, *, connection: AsyncBorrowed | None = None
    ) -> list[FailedItem]:
        """The items of a map whose tasks have failed for good, in their order, with the errors.

        Args:
            run_id: The run.
            step_slug: The map.
            connection: As for `start_flow`.

        Raises:
            UnknownRun: There is no such run.
            UnknownStep: The run has no such step.

        Calls quantumflow.failed_items.
        """
        return await self._run(_sql.steering.failed_items(run_id, step_slug), connection)

    async def delete(
        self, run_id: UUID, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> None:
        """Delete a run that has ended, with its steps, tasks and history.

        Args:
            run_id: The run.
            reason: Why; kept in audit_log.
            connection: As for `start_flow`.

        Raises:
            UnknownRun: There is no such run.
            RunNotEnded: It goes on, or its callback does.

        Calls quantumflow.delete_run.
        """
        await self._run(_sql.steering.delete_run(run_id, reason), connection)

    async def prune(
        self,
        older_than: timedelta,
        max_runs: int = 1000,
        workflow_slug: str | None = None,
        reason: str | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> int:
        """Delete runs that ended longer ago than that.

        Args:
            older_than: How long ago.
            max_runs: How many at most; call again until it returns less.
            workflow_slug: Only runs of this workflow.
            reason: Why; kept in audit_log.
            connection: As for `start_flow`.

        Returns:
            How many runs were deleted.

        Raises:
            BadPrune: An argument is out of range.

        Calls quantumflow.prune.
        """
        return await self._run(
            _sql.steering.prune(older_than, max_runs, workflow_slug, reason), connection
        )

    async def prune_preview(
        self,
        older_than: timedelta,
        workflow_slug: str | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> list[PrunedRuns]:
        """What `prune` with the same arguments would delete in the end, by workflow and status.

        Args:
            older_than: How long ago they ended.
            workflow_slug: Only runs of this workflow.
            connection: As for `start_flow`.

        Raises:
            BadPrune: An argument is out of range.

        Calls quantumflow.prune_preview.
        """
        return await self._run(_sql.steering.prune_preview(older_than, workflow_slug), connection)
