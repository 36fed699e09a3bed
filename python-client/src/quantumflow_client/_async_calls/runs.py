# Written by tools/async_calls.py from _calls/runs.py: change that, then `make calls`.
"""Runs: started, looked at, their outputs read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import psycopg

from quantumflow_client import _sql
from quantumflow_client._arguments import time_left
from quantumflow_client._runs import RunId, RunState, RunStatus, step_to_read
from quantumflow_client._told import AsyncTold
from quantumflow_client._waiting import Sleep, until_ended
from quantumflow_client.errors import QuantumflowError

from .base import NO_INPUT, AsyncCalls, output_of, slug_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from quantumflow_client._borrowed import AsyncBorrowed
    from quantumflow_client._json import Json
    from quantumflow_client._sql.runs import FailedAttempt, RunSummary
    from quantumflow_client._step import Step
    from quantumflow_client.flow import Flow, InT, OutT

T = TypeVar("T")


class AsyncRunCalls(AsyncCalls):
    """Runs: started, looked at, their outputs read."""

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
        """Start a run.

        Args:
            workflow_slug: The workflow: its slug, or a Flow.
            input: What the run is started with: what docs/values.md lists; by default an empty
                object.
            run_id: The run's id, if you want to choose it.
            priority: How many seconds its tasks overtake those of priority 0.
            start_at: Not before this time, which has a time zone.
            idempotency_key: The same key again, for the same workflow, is the same run, whatever
                the input.
            headers: What travels with every task of the run, a traceparent for example.
            version: A version of the workflow; by default the current one.
            connection: Start it in your own transaction, with everything else you do there: a
                connection of psycopg, or of a framework that is built on it (docs/frameworks.md),
                which is neither committed nor closed.

        Returns:
            The run's id, a UUID.

        Raises:
            UnknownWorkflow, UnknownVersion: There is none.
            RunError: Something about the run is refused; see its subclasses.
            UnsupportedValue: The input or the headers cannot be stored as JSON, or a text at all.
            BadArgument: start_at has no time zone, the run_id is no UUID, the idempotency_key no
                text; or the connection is another library's.

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
        """Start many runs of a workflow, all of them or, after an error, none.

        Args:
            workflow_slug: The workflow.
            inputs: What each run is started with.
            priority: As for `start_flow`.
            idempotency_keys: As for `start_flow`, one for each input; None where it has none. What
                was started with a key before is that run.
            start_at: As for `start_flow`, one for each input, or None.
            headers: As for `start_flow`, one for each input, or None.
            connection: As for `start_flow`.

        Returns:
            The runs' ids, in the order of the inputs.

        Raises:
            As start_flow.
            BadArgument: inputs is one text or one object, and no list of inputs.

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
        """The outputs of a map's items, one after the other, in the order of the items.

        They are fetched page by page, so that a map of any size can be gone through. It has what
        has completed: while the map goes on, and where tasks have failed, items are left out.

        Args:
            run_id: The run.
            step: The map: its slug, or its function, whose annotation says what outputs are read
                as. Of a single step there is one output, as item 0.
            page: How many items are fetched at once, 10,000 at most; fewer where they are large.
            connection: As for `start_flow`.

        Yields:
            Each item's position, from 0, and its output.

        Raises:
            UnknownRun: There is no such run.
            UnknownStep: The run has no such step.
            BadPageSize: The page is out of range.
            UnsupportedValue: An output cannot be read as what the annotation says.

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
        """All there is to say of a run: its row, its steps, their tasks counted.

        Args:
            run_id: The run.
            summary: Only its row, without the input: that takes no longer however many steps and
                tasks it has.
            tree: Also `children`, the runs that its steps have started, with all below them.
            connection: As for `start_flow`.

        Returns:
            The object that quantumflow.status makes: `status`, `output`, `error_message`, `steps`
            and more.

        Raises:
            UnknownRun: There is no such run.

        Calls quantumflow.status.
        """
        return await self._run(_sql.runs.status(run_id, summary=summary, tree=tree), connection)

    @overload
    async def wait(self, run_id: RunId[OutT], timeout: float | timedelta | None = None) -> OutT: ...

    @overload
    async def wait(self, run_id: UUID, timeout: float | timedelta | None = None) -> Json: ...

    async def wait(self, run_id: UUID, timeout: float | timedelta | None = None) -> Json:
        """Wait until a run has ended. Somebody else must work on it.

        A server that is away meanwhile, to restart for example, is waited for, too, if this client
        was ever connected.

        After a moment it asks to be told of the end, on one more connection, which all who wait in
        a process share; it looks by itself as well, every 5 seconds at least, and twice a second
        where notifications do not arrive or the role may not ask for that.

        Args:
            run_id: The run.
            timeout: Seconds, or a timedelta; None: however long it takes.

        Returns:
            The run's output: an object with the output of each leaf step, or what the `output` of
            the Flow says that it was started with.

        Raises:
            RunFailed: It failed.
            RunCancelled: It was cancelled.
            WaitTimeout: It had not ended in time.
            UnknownRun: There is no such run.

        Calls quantumflow.status and quantumflow.announce_end.
        """
        waiting = until_ended(run_id, time_left("timeout", timeout), time.monotonic)
        answer: object = None
        with AsyncTold(run_id, self._connections) as told:
            while True:
                try:
                    step = waiting.send(answer)
                except StopIteration as stop:
                    return stop.value
                if isinstance(step, Sleep):
                    answer = await told.sleep(step)
                    continue
                try:
                    answer = await self._connections.run(
                        step.call, patience=step.patience, within=step.within
                    )
                except (psycopg.Error, QuantumflowError) as error:
                    if not (step.may_be_refused or self._connections.may_pass(error)):
                        raise
                    answer = error

    async def failures(
        self,
        run_id: UUID | None = None,
        *,
        max_failures: int = 20,
        connection: AsyncBorrowed | None = None,
    ) -> list[FailedAttempt]:
        """The attempts that failed last, the latest first, with tracebacks.

        Args:
            run_id: Those of one run; by default of all.
            max_failures: How many at most.
            connection: As for `start_flow`.

        Raises:
            UnknownRun: There is no such run.
            BadPageSize: max_failures is out of range.

        Calls quantumflow.list_failures.
        """
        return await self._run(
            _sql.runs.list_failures(run_id, max_failures=max_failures), connection
        )

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
