"""The client for asynchronous applications: define and start workflows, and wait for runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload
from uuid import UUID

import psycopg

from . import _connections, _json, _sql
from ._arguments import patience, time_left, whole_number
from ._async_goals import AsyncGoalCalls
from ._runs import RunId, RunState, RunStatus, step_to_read
from ._sql.definitions import ConditionAnswer, WorkflowVersion
from ._sql.installation import StateProblem, StateRepair
from ._sql.learning import Policy, Recommendation
from ._sql.limits import Limit
from ._sql.looking import (
    Attempt,
    Difference,
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
from ._sql.runs import FailedAttempt, RunSummary
from ._sql.schedules import Schedule
from ._sql.signals import WaitSummary
from ._sql.steering import FailedItem, Pause, PrunedRuns, RetriedStep, RunAct
from ._sql.workers import Settled
from ._values import explained
from ._waiting import until_ended
from .client import (
    CONNECTION_TIMEOUT,
    MAX_CONNECTIONS,
    NO_INPUT,
    definition_of,
    output_of,
    slug_of,
)
from .errors import ConnectionsBusy

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool
    from typing_extensions import Self

    from ._borrowed import AsyncBorrowed
    from ._call import Call
    from ._json import Json
    from ._plain import Hook
    from ._step import Step
    from .flow import Flow, InT, OutT

T = TypeVar("T")


class AsyncClient(AsyncGoalCalls):
    """A client of one database: Client's methods, but those of a worker.

    Event loops may share it, one after the other or at once.
    """

    def __init__(
        self,
        source: str | AsyncConnectionPool[Any] | None = None,
        *,
        prepare_threshold: int | None = 5,
        max_connections: int = MAX_CONNECTIONS,
        connection_timeout: float | timedelta = CONNECTION_TIMEOUT,
        encode: Hook | None = None,
    ) -> None:
        """Describe a client; it opens nothing yet.

        Args:
            source: A DSN, or a psycopg_pool.AsyncConnectionPool; by default as for Client.
            prepare_threshold: As for Client.
            max_connections: As for Client.
            connection_timeout: As for Client.
            encode: As for Client.

        Raises:
            BadArgument: An argument is none of these.
        """
        self._connections = _connections.AsyncConnections(
            source,
            prepare_threshold=prepare_threshold,
            most=whole_number("max_connections", max_connections, least=1),
            wait=patience("connection_timeout", connection_timeout),
        )
        self._encode = _json.encode if encode is None else _json.Encoder(encode)

    async def __aenter__(self) -> Self:
        self._connections.reopen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the idle connections. A pool stays open: it is yours."""
        await self._connections.close()

    async def deploy(
        self,
        flow: Flow | Mapping[str, Json],
        workflow_slug: str | None = None,
        *,
        rollback: bool = False,
        connection: AsyncBorrowed | None = None,
    ) -> WorkflowVersion:
        """Define a workflow; see Client.deploy.

        Calls quantumflow.define_flow and, without rollback, quantumflow.list_flows.
        """
        version = await self._run(
            _sql.definitions.define_flow(
                definition_of(flow), workflow_slug, rollback=rollback, encode=self._encode
            ),
            connection,
        )
        if rollback:
            return version
        return version.beside(await self._run(_sql.definitions.list_flows(), connection))

    async def test_condition(
        self,
        workflow_slug: str,
        step_slug: str,
        input: Json,  # noqa: A002
        *,
        status: Mapping[str, str] | None = None,
        version: int | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> ConditionAnswer:
        """Ask a step's condition of an input; see Client.test_condition.

        Calls quantumflow.test_condition.
        """
        return await self._run(
            _sql.definitions.test_condition(
                workflow_slug,
                step_slug,
                input,
                status=status or {},
                version=version,
                encode=self._encode,
            ),
            connection,
        )

    @overload
    async def start_flow(
        self,
        workflow_slug: Flow[InT, OutT],
        input: InT = ...,
        *,
        run_id: UUID | None = None,
        priority: int = 0,
        start_at: datetime | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, Json] | None = None,
        version: int | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> RunId[OutT]: ...

    @overload
    async def start_flow(
        self,
        workflow_slug: str,
        input: Json = ...,
        *,
        run_id: UUID | None = None,
        priority: int = 0,
        start_at: datetime | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, Json] | None = None,
        version: int | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> RunId[Any]: ...

    async def start_flow(
        self,
        workflow_slug: str | Flow[Any, Any],
        input: Json = NO_INPUT,  # noqa: A002
        *,
        run_id: UUID | None = None,
        priority: int = 0,
        start_at: datetime | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, Json] | None = None,
        version: int | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> RunId[Any]:
        """Start a run; see Client.start_flow.

        Calls quantumflow.start_flow.
        """
        call = _sql.runs.start_flow(
            slug_of(workflow_slug),
            input,
            run_id=run_id,
            priority=priority,
            start_at=start_at,
            idempotency_key=idempotency_key,
            headers=headers,
            version=version,
            output=output_of(workflow_slug),
            encode=self._encode,
        )
        return await self._run(call, connection)

    @overload
    async def start_flows(
        self,
        workflow_slug: Flow[InT, OutT],
        inputs: Iterable[InT],
        *,
        priority: int = 0,
        idempotency_keys: Iterable[str | None] | None = None,
        start_at: Iterable[datetime | None] | None = None,
        headers: Iterable[Mapping[str, Json] | None] | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> list[RunId[OutT]]: ...

    @overload
    async def start_flows(
        self,
        workflow_slug: str,
        inputs: Iterable[Json],
        *,
        priority: int = 0,
        idempotency_keys: Iterable[str | None] | None = None,
        start_at: Iterable[datetime | None] | None = None,
        headers: Iterable[Mapping[str, Json] | None] | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> list[RunId[Any]]: ...

    async def start_flows(
        self,
        workflow_slug: str | Flow[Any, Any],
        inputs: Iterable[Json],
        *,
        priority: int = 0,
        idempotency_keys: Iterable[str | None] | None = None,
        start_at: Iterable[datetime | None] | None = None,
        headers: Iterable[Mapping[str, Json] | None] | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> list[RunId[Any]]:
        """Start many runs of a workflow; see Client.start_flows.

        Calls quantumflow.start_flows.
        """
        call = _sql.runs.start_flows(
            slug_of(workflow_slug),
            inputs,
            priority=priority,
            idempotency_keys=idempotency_keys,
            start_at=start_at,
            headers=headers,
            output=output_of(workflow_slug),
            encode=self._encode,
        )
        return await self._run(call, connection)

    @overload
    def outputs(
        self,
        run_id: UUID,
        step: Step[..., Any, Sequence[T]],
        *,
        page: int = 1000,
        connection: AsyncBorrowed | None = None,
    ) -> AsyncIterator[tuple[int, T]]: ...

    @overload
    def outputs(
        self,
        run_id: UUID,
        step: str,
        *,
        page: int = 1000,
        connection: AsyncBorrowed | None = None,
    ) -> AsyncIterator[tuple[int, Json]]: ...

    async def outputs(
        self,
        run_id: UUID,
        step: str | Step[..., Any, Any],
        *,
        page: int = 1000,
        connection: AsyncBorrowed | None = None,
    ) -> AsyncIterator[tuple[int, Any]]:
        """The outputs of a map's items, one after the other; see Client.outputs.

        Calls quantumflow.list_outputs.
        """
        slug, read = step_to_read(step)
        last = -1
        while True:
            call = _sql.tasks.list_outputs(
                run_id, slug, after_index=last, max_items=page, read=read
            )
            found = await self._run(call, connection)
            for item in found:
                yield item
            if not found:
                return
            last = found[-1][0]

    @overload
    async def status(
        self,
        run_id: UUID,
        *,
        summary: Literal[False] = False,
        tree: bool = False,
        connection: AsyncBorrowed | None = None,
    ) -> RunStatus: ...

    @overload
    async def status(
        self,
        run_id: UUID,
        *,
        summary: Literal[True],
        tree: bool = False,
        connection: AsyncBorrowed | None = None,
    ) -> RunState: ...

    async def status(
        self,
        run_id: UUID,
        *,
        summary: bool = False,
        tree: bool = False,
        connection: AsyncBorrowed | None = None,
    ) -> RunStatus | RunState:
        """All there is to say of a run; see Client.status.

        Calls quantumflow.status.
        """
        return await self._run(_sql.runs.status(run_id, summary=summary, tree=tree), connection)

    @overload
    async def wait(self, run_id: RunId[OutT], timeout: float | timedelta | None = None) -> OutT: ...

    @overload
    async def wait(self, run_id: UUID, timeout: float | timedelta | None = None) -> Json: ...

    async def wait(self, run_id: UUID, timeout: float | timedelta | None = None) -> Json:
        """Wait until a run has ended, and return its output; see Client.wait.

        Calls quantumflow.status.
        """
        waiting = until_ended(run_id, time_left("timeout", timeout), time.monotonic)
        answer: RunStatus | Exception | None = None
        while True:
            try:
                step = waiting.send(answer)
            except StopIteration as stop:
                return stop.value
            answer = None
            if isinstance(step, float):
                await asyncio.sleep(step)
                continue
            try:
                answer = await self._connections.run(
                    step.call, patience=step.patience, within=step.within
                )
            except (psycopg.OperationalError, ConnectionsBusy) as error:
                if not self._connections.may_pass(error):
                    raise
                answer = error

    async def cancel(
        self, run_id: UUID, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> None:
        """Stop a run for good; see Client.cancel.

        Calls quantumflow.cancel_run.
        """
        await self._run(_sql.steering.cancel_run(run_id, reason), connection)

    async def pause(
        self, run_id: UUID, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> str:
        """Hold a run; see Client.pause.

        Calls quantumflow.pause_run.
        """
        return await self._run(_sql.steering.pause_run(run_id, reason), connection)

    async def resume(
        self, run_id: UUID, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> str:
        """Let a paused run go on; see Client.resume.

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
        """Stop many runs for good, those that a filter means; see Client.cancel_runs.

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
        """Hold many runs, those that a filter means; see Client.pause_runs.

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
        """Let many paused runs go on, those that a filter means; see Client.resume_runs.

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
        """Run many runs again, those that a filter means; see Client.retry_runs.

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
        """Delete many runs, those that a filter means; see Client.delete_runs.

        Calls quantumflow.delete_runs.
        """
        return await self._run(
            _sql.steering.act_on_runs("delete", filter, max_runs, dry_run=dry_run, reason=reason),
            connection,
        )

    async def pause_queue(
        self, queue: str, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> datetime:
        """Hand nothing out of a queue; see Client.pause_queue.

        Calls quantumflow.pause_queue.
        """
        return await self._run(_sql.steering.pause("queue", queue, reason), connection)

    async def resume_queue(
        self, queue: str, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> int:
        """Let what waits in a paused queue be handed out again; see Client.resume_queue.

        Calls quantumflow.resume_queue.
        """
        return await self._run(_sql.steering.resume("queue", queue, reason), connection)

    async def pause_flow(
        self,
        workflow_slug: str | Flow[Any, Any],
        reason: str | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> datetime:
        """Hand out nothing of any run of a workflow; see Client.pause_flow.

        Calls quantumflow.pause_flow.
        """
        return await self._run(
            _sql.steering.pause("workflow", slug_of(workflow_slug), reason), connection
        )

    async def resume_flow(
        self,
        workflow_slug: str | Flow[Any, Any],
        reason: str | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> int:
        """Let the runs of a paused workflow go on; see Client.resume_flow.

        Calls quantumflow.resume_flow.
        """
        return await self._run(
            _sql.steering.resume("workflow", slug_of(workflow_slug), reason), connection
        )

    async def pause_command(
        self, command: str, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> datetime:
        """Hand out no task of a command; see Client.pause_command.

        Calls quantumflow.pause_command.
        """
        return await self._run(_sql.steering.pause("command", command, reason), connection)

    async def resume_command(
        self, command: str, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> int:
        """Let the tasks of a paused command be handed out again; see Client.resume_command.

        Calls quantumflow.resume_command.
        """
        return await self._run(_sql.steering.resume("command", command, reason), connection)

    async def pauses(self, *, connection: AsyncBorrowed | None = None) -> list[Pause]:
        """Which queues, flows and commands are paused; see Client.pauses.

        Calls quantumflow.list_pauses.
        """
        return await self._run(_sql.steering.list_pauses(), connection)

    async def announce_end(self, run_id: UUID, *, connection: AsyncBorrowed | None = None) -> str:
        """Ask that the end of a run be told; see Client.announce_end.

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
        """Let a task wait no longer for its time; see Client.run_now.

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
        """Run again what an ended run did not finish; see Client.retry.

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
        """What `retry` would run again; see Client.retry_preview.

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
        """The items of a map whose tasks have failed for good; see Client.failed_items.

        Calls quantumflow.failed_items.
        """
        return await self._run(_sql.steering.failed_items(run_id, step_slug), connection)

    async def delete(
        self, run_id: UUID, reason: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> None:
        """Delete a run that has ended; see Client.delete.

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
        """Delete runs that ended longer ago than that; see Client.prune.

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
            reason: Why; kept in audit_log, with how the run had ended.
            reason: Why; kept in audit_log.
            connection: As for `start_flow`.

        Raises:
            BadPrune: An argument is out of range.

        Calls quantumflow.prune_preview.
        """
        return await self._run(_sql.steering.prune_preview(older_than, workflow_slug), connection)

    async def failures(
        self,
        run_id: UUID | None = None,
        *,
        max_failures: int = 20,
        connection: AsyncBorrowed | None = None,
    ) -> list[FailedAttempt]:
        """The attempts that failed last; see Client.failures.

        Calls quantumflow.list_failures.
        """
        return await self._run(
            _sql.runs.list_failures(run_id, max_failures=max_failures), connection
        )

    async def signal(
        self,
        run_id: UUID,
        signal: str,
        payload: Json = None,
        *,
        key: str | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> str:
        """Send a run a signal; see Client.signal.

        Calls quantumflow.send_signal.
        """
        call = _sql.signals.send_signal(run_id, signal, payload, key=key, encode=self._encode)
        return await self._run(call, connection)

    async def signal_by_key(
        self,
        workflow_slug: str | Flow[Any, Any],
        idempotency_key: str,
        signal: str,
        payload: Json = None,
        *,
        key: str | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> str:
        """Send a signal to the run that was started with a key; see Client.signal_by_key.

        Calls quantumflow.send_signal_by_key.
        """
        call = _sql.signals.send_signal_by_key(
            slug_of(workflow_slug), idempotency_key, signal, payload, key=key, encode=self._encode
        )
        return await self._run(call, connection)

    async def waits(
        self,
        workflow_slug: str | Flow[Any, Any] | None = None,
        signal: str | None = None,
        *,
        max_runs: int = 100,
        with_input: bool = False,
        connection: AsyncBorrowed | None = None,
    ) -> list[WaitSummary]:
        """The steps that wait for a signal; see Client.waits.

        Calls quantumflow.list_waits.
        """
        slug = None if workflow_slug is None else slug_of(workflow_slug)
        call = _sql.signals.list_waits(slug, signal, max_runs=max_runs, with_input=with_input)
        return await self._run(call, connection)

    async def settle(
        self, max_tasks: int = 100, *, connection: AsyncBorrowed | None = None
    ) -> Settled:
        """Let sleeps that are over end, and waits that have their signal; see Client.settle.

        Calls quantumflow.settle.
        """
        return await self._run(_sql.workers.settle(max_tasks), connection)

    async def runs(
        self,
        workflow_slug: str | None = None,
        *,
        status: str | None = None,
        max_runs: int = 20,
        before: UUID | None = None,
        gave_up: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        ended_since: datetime | None = None,
        ended_until: datetime | None = None,
        input: Json = None,  # noqa: A002
        headers: Mapping[str, Json] | None = None,
        idempotency_key: str | None = None,
        error: str | None = None,
        version: int | None = None,
        parent: UUID | None = None,
        with_children: bool = False,
        connection: AsyncBorrowed | None = None,
    ) -> list[RunSummary]:
        """The latest runs that no step started, newest first, of which all that is given is so.

        A search by ended_since, input, headers or error looks at runs of 7 days, unless since says
        otherwise.

        Args:
            workflow_slug: Of this workflow.
            status: started, paused, completed, failed or cancelled.
            max_runs: 1 to 10,000.
            before: For the next page: the run_id of the last run of this one.
            gave_up: True: that went on without something that failed; False: that did not.
            since: Created from then on.
            until: Created before then.
            ended_since: Ended from then on.
            ended_until: Ended before then.
            input: Whose input contains this: {"customer": "c42"}.
            headers: Whose headers contain this.
            idempotency_key: Of this key.
            error: Whose error message contains this, whatever the case.
            version: Of this version.
            parent: The children of this run, those that its steps have started.
            with_children: Also those that steps have started.
            connection: As for `start_flow`.

        Raises:
            BadPageSize: max_runs is out of range.
            UnknownStatus: There is no such status.
            BadWindow: A time ends before it begins.

        Calls quantumflow.list_runs.
        """
        return await self._run(
            _sql.runs.list_runs(
                workflow_slug,
                status=status,
                max_runs=max_runs,
                before=before,
                gave_up=gave_up,
                since=since,
                until=until,
                ended_since=ended_since,
                ended_until=ended_until,
                input=input,
                headers=headers,
                idempotency_key=idempotency_key,
                error=error,
                version=version,
                parent=parent,
                with_children=with_children,
                encode=self._encode,
            ),
            connection,
        )

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
        """Start a workflow at certain times; see Client.schedule.

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
        """Remove a schedule; see Client.unschedule.

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
        """Let a schedule start nothing; see Client.pause_schedule.

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
        """Let a paused schedule go on; see Client.resume_schedule.

        Calls quantumflow.resume_schedule.
        """
        return await self._run(_sql.schedules.resume_schedule(schedule_slug, reason), connection)

    async def recommendations(
        self,
        workflow_slug: str | Flow[Any, Any],
        level: str = "basic",
        *,
        connection: AsyncBorrowed | None = None,
    ) -> list[Recommendation]:
        """What the past of a workflow says that its settings should be; see Client.recommendations.

        Calls quantumflow.recommendations.
        """
        return await self._run(
            _sql.learning.recommendations(slug_of(workflow_slug), level), connection
        )

    async def optimize(
        self,
        workflow_slug: str | Flow[Any, Any],
        level: str = "basic",
        *,
        apply: str = "trial",
        preserve_structure: bool = True,
        connection: AsyncBorrowed | None = None,
    ) -> Policy | None:
        """Make a policy and try it; see Client.optimize.

        Calls quantumflow.optimize_flow and quantumflow.policy_history.
        """
        slug = slug_of(workflow_slug)
        number = await self._run(
            _sql.learning.optimize_flow(slug, level, preserve_structure, apply), connection
        )
        found = (
            await self._run(_sql.learning.policy_history(slug), connection)
            if number is not None
            else []
        )
        return next((policy for policy in found if policy.number == number), None)

    async def rollback_policy(
        self,
        workflow_slug: str | Flow[Any, Any],
        reason: str | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> int:
        """End the policy that is at work; see Client.rollback_policy.

        Calls quantumflow.rollback_policy.
        """
        return await self._run(
            _sql.learning.rollback_policy(slug_of(workflow_slug), reason), connection
        )

    async def policies(
        self, workflow_slug: str | Flow[Any, Any], *, connection: AsyncBorrowed | None = None
    ) -> list[Policy]:
        """What was proposed, tried and adopted; see Client.policies.

        Calls quantumflow.policy_history.
        """
        return await self._run(_sql.learning.policy_history(slug_of(workflow_slug)), connection)

    async def schedules(
        self,
        workflow_slug: str | Flow[Any, Any] | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> list[Schedule]:
        """The schedules, that which comes next first; see Client.schedules.

        Calls quantumflow.list_schedules.
        """
        slug = None if workflow_slug is None else slug_of(workflow_slug)
        return await self._run(_sql.schedules.list_schedules(slug), connection)

    async def set_limit(
        self,
        limit_name: str,
        at_once: int | None = None,
        per_second: float | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> None:
        """Set a limit, which steps name in `limit`; see Client.set_limit.

        Calls quantumflow.set_limit.
        """
        await self._run(_sql.limits.set_limit(limit_name, at_once, per_second), connection)

    async def remove_limit(
        self, limit_name: str, *, connection: AsyncBorrowed | None = None
    ) -> bool:
        """Remove a limit: what it held back is let go; see Client.remove_limit.

        Calls quantumflow.remove_limit.
        """
        return await self._run(_sql.limits.remove_limit(limit_name), connection)

    async def limits(self, *, connection: AsyncBorrowed | None = None) -> list[Limit]:
        """The limits, a row for each key of which tasks run or wait; see Client.limits.

        Calls quantumflow.list_limits.
        """
        return await self._run(_sql.limits.list_limits(), connection)

    async def next_times(
        self,
        cron: str,
        time_zone: str = "UTC",
        n: int = 5,
        *,
        after: datetime | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> list[datetime]:
        """The next times of a cron text; see Client.next_times.

        Calls quantumflow.next_times.
        """
        return await self._run(_sql.schedules.next_times(cron, time_zone, n, after), connection)

    async def queues(self, *, connection: AsyncBorrowed | None = None) -> list[QueueSummary]:
        """What waits and runs, by queue and command, what has waited longest first.

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

        Calls quantumflow.list_sizes.
        """
        return await self._run(_sql.looking.list_sizes(), connection)

    async def diff(
        self,
        workflow_slug: str,
        from_version: int,
        to_version: int,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> list[Difference]:
        """What differs between two versions of a workflow.

        Args:
            workflow_slug: The workflow.
            from_version: The version that it differs from.
            to_version: The version that differs.
            connection: As for `start_flow`.

        Raises:
            UnknownWorkflow: There is no such workflow, or no such version.

        Calls quantumflow.diff_flow.
        """
        return await self._run(
            _sql.looking.diff_flow(workflow_slug, from_version, to_version), connection
        )

    async def check(
        self, run_id: UUID | None = None, *, connection: AsyncBorrowed | None = None
    ) -> list[StateProblem]:
        """Find what breaks the rules that are always true; see Client.check.

        Calls quantumflow.check_state.
        """
        return await self._run(_sql.installation.check_state(run_id), connection)

    async def repair(
        self, *, dry_run: bool = True, connection: AsyncBorrowed | None = None
    ) -> list[StateRepair]:
        """Mend what `check` finds; see Client.repair.

        Calls quantumflow.repair.
        """
        return await self._run(_sql.installation.repair(dry_run=dry_run), connection)

    async def rebuild_queues(self, *, connection: AsyncBorrowed | None = None) -> dict[str, int]:
        """Make the queues anew from the tasks; see Client.rebuild_queues.

        Calls quantumflow.rebuild_queues.
        """
        return await self._run(_sql.installation.rebuild_queues(), connection)

    async def adopt(self, *, connection: AsyncBorrowed | None = None) -> str:
        """Declare that the runs of this database go on here; see Client.adopt.

        Calls quantumflow.adopt.
        """
        return await self._run(_sql.installation.adopt(), connection)

    async def _run(self, call: Call[T], connection: AsyncBorrowed | None) -> T:
        with explained(call):
            if connection is None:
                return await self._connections.run(call)
            return await call.aon(connection)
