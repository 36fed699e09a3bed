"""The client: define and start workflows, wait for runs, and work on them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload
from uuid import UUID

import psycopg

from . import _connections, _json, _sql
from ._arguments import duration, names, patience, time_left, whole_number
from ._dsn import parts_of
from ._events import Listening
from ._forks import begin_anew_in_forks
from ._goals import GoalCalls
from ._runs import RunId, RunState, RunStatus, step_to_read
from ._sql import DEFAULT_QUEUE
from ._sql.definitions import ConditionAnswer, WorkflowVersion
from ._sql.goals import GoalEvent
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
from ._worker.handlers import Registry
from ._worker.signals import stopping_on_signals
from .errors import ConnectionsBusy, HandlerMissing
from .flow import Flow
from .worker import Worker

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool
    from typing_extensions import Self

    from ._borrowed import Borrowed
    from ._call import Call
    from ._json import Json
    from ._plain import Hook
    from ._step import Step
    from .flow import InT, OutT

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

NO_INPUT: Mapping[str, Json] = {}

MAX_CONNECTIONS = 10
CONNECTION_TIMEOUT = timedelta(seconds=30)

_LEASE = timedelta(seconds=30)


class Client(GoalCalls):
    """A client of one database. Constructing it opens nothing; it may be shared by threads.

    client = Client("postgresql://localhost/app")

    @client.command("validate_order")
    def validate(run, ctx):
        return run["amount"] > 0

    run_id = client.start_flow("order", {"amount": 42})
    client.poll_and_run(until_idle=True)
    client.wait(run_id)
    """

    def __init__(
        self,
        source: str | ConnectionPool[Any] | None = None,
        *,
        prepare_threshold: int | None = 5,
        max_connections: int = MAX_CONNECTIONS,
        connection_timeout: float | timedelta = CONNECTION_TIMEOUT,
        encode: Hook | None = None,
    ) -> None:
        """Describe a client.

        Args:
            source: A DSN, or a psycopg_pool.ConnectionPool, or "embedded": the embedded PostgreSQL
                in ./.quantumflow, which is started if need be and left running. By default what the
                environment says: QUANTUMFLOW_DSN, else libpq's PG* variables, else the embedded
                one, if it is there or somebody sits at a terminal; else calls raise NoDatabase.
            prepare_threshold: After how many uses psycopg prepares a statement; None: never, as a
                pooler in transaction mode needs it; PgBouncer is noticed. A pool has its own.
            max_connections: How many connections its calls use at once; those that find none wait.
                A pool has its own bound, and a worker opens more: see `poll_and_run`.
            connection_timeout: How many seconds, or a timedelta, a call waits for one of them. Then
                it raises ConnectionsBusy.
            encode: Is handed each value that has no form in JSON, and returns one that has, or
                raises TypeError: of inputs, headers, args, and what handlers return.

        Raises:
            BadArgument: An argument is none of these.
        """
        self._options: dict[str, Any] = {
            "prepare_threshold": prepare_threshold,
            "max_connections": max_connections,
            "connection_timeout": connection_timeout,
            "encode": encode,
        }
        self._connections = _connections.Connections(
            source,
            prepare_threshold=prepare_threshold,
            most=whole_number("max_connections", max_connections, least=1),
            wait=patience("connection_timeout", connection_timeout),
        )
        self._encode = _json.encode if encode is None else _json.Encoder(encode)
        self._handlers = Registry(self._encode)
        self._flows: dict[str, Flow] = {}
        self._decomposers = {}
        self._queues: dict[str, None] = {}
        self._forget()
        begin_anew_in_forks(self)

    def _forget(self) -> None:
        self._workers: set[Worker] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._connections.reopen()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def with_source(self, source: str | ConnectionPool[Any]) -> Client:
        """A client of another database that shares this one's handlers.

        Args:
            source: As for the constructor.
        """
        other = Client(source, **self._options)
        other._handlers = self._handlers
        other._flows = self._flows
        other._decomposers = self._decomposers
        other._queues = self._queues
        return other

    def close(self) -> None:
        """Stop this client's workers and close its idle connections. A pool of yours stays open."""
        self.stop()
        self._connections.close()

    # Handlers

    def command(self, name: str, *, process: bool = False) -> Callable[[F], F]:
        """Let a function handle a command: a decorator.

        Args:
            name: The command, as steps name it.
            process: Whether to call it in a process of its own: for what computes, and for what may
                crash. The process is begun when one is needed, and kept for the next task; it is
                killed when the task's time is over, or a second after the handler was told to stop.
                Its `ctx` has all but `transaction()` and `complete()`.

        Raises:
            TypeError: The function's parameters cannot be filled by name, or a step of a flow that
                was registered or deployed here will not have them; or it is to have a process,
                which cannot import it: it is nested, or of the program that was started.
            ValueError: The command has another handler. The same function, defined again in a
                notebook, takes its own place.
        """

        def register(function: F) -> F:
            self._handlers.add(name, function, process=process)
            self._queues[DEFAULT_QUEUE] = None
            return function

        return register

    def register(self, flow: Flow) -> None:
        """Let a flow's functions handle its steps, without defining it in the database.

        Raises:
            TypeError: A handler of one of its commands asks for what its tasks do not have.
            ValueError: One of its commands has another handler.
        """
        self._handlers.add_flow(flow.definition(), flow.handlers(), processes=flow.processes())
        self._flows[flow.slug] = flow
        self._queues |= dict.fromkeys(flow.queues())

    def around(self, hook: F) -> F:
        """Let a function be around every handler: a decorator.

        @client.around
        def timed(ctx, call):
            began = time.monotonic()
            try:
                return call()
            finally:
                record(ctx.command, time.monotonic() - began)

        It is called with the task's context, and a function that calls the next hook, or at last
        the handler. What it returns is the output, what it raises the error; before it calls, it
        may change `ctx.input`. The first that was given is the outermost. An `async def` one writes
        `await call()`. Those of one kind are around handlers of the other, too, which takes another
        thread for each.

        Args:
            hook: The function.

        Raises:
            TypeError: It does not take two arguments, or is a generator.
        """
        self._handlers.hooks.add(hook)
        return hook

    @overload
    def resource(self, function: F, /) -> F: ...

    @overload
    def resource(self, name: str | None = None, /) -> Callable[[F], F]: ...

    def resource(self, name_or_function: Any = None, /) -> Any:
        """Let handlers ask by name for what a function makes: a decorator.

        @client.resource
        def http():
            with httpx.Client() as http:
                yield http

        It is made once for each worker, before that claims anything, if a handler asks for it. What
        it yields is closed, by its going on, after the last handler has ended; it may also return.
        An `async def` one is for `async def` handlers, and lives on their event loop.

        Args:
            name_or_function: The name; by default the function's.

        Raises:
            TypeError: It takes arguments.
            ValueError: The name is taken by another one, by what handlers may ask for anyway, or by
                a step on which one of a flow at hand depends.
        """
        if callable(name_or_function):
            return self._add_resource(name_or_function, None)
        return lambda function: self._add_resource(function, name_or_function)

    def _add_resource(self, function: F, name: str | None) -> F:
        self._handlers.add_resource(name or function.__name__, function)
        return function

    @property
    def flows(self) -> list[Flow]:
        """The flows that were registered or deployed as a Flow."""
        return list(self._flows.values())

    @property
    def commands(self) -> list[str]:
        """The commands that have a handler."""
        return self._handlers.commands()

    # Definitions

    def deploy(
        self,
        flow: Flow | Mapping[str, Json],
        workflow_slug: str | None = None,
        *,
        rollback: bool = False,
        connection: Borrowed | None = None,
    ) -> WorkflowVersion:
        """Define a workflow, and register its handlers if it has some.

        Args:
            flow: A Flow, or a definition.
            workflow_slug: The workflow, if the definition has no slug.
            rollback: Whether a version that was defined before the current one becomes current
                again. A program that deploys whenever it starts leaves that alone: an old one may
                start beside a new one.
            connection: As for `start_flow`.

        Returns:
            The version of this content, which is a new one only if the content is new; and which
            one is current.

        Raises:
            DefinitionError: The definition is wrong; `detail` lists every problem.
            TypeError, ValueError: As for `command`.

        Calls quantumflow.define_flow and, without rollback, quantumflow.list_flows.
        """
        if isinstance(flow, Flow):
            self.register(flow)
        else:
            self._handlers.add_flow(flow, {}, slug=workflow_slug)
        version = self._run(
            _sql.definitions.define_flow(
                definition_of(flow), workflow_slug, rollback=rollback, encode=self._encode
            ),
            connection,
        )
        return (
            version
            if rollback
            else version.beside(self._run(_sql.definitions.list_flows(), connection))
        )

    def test_condition(
        self,
        workflow_slug: str,
        step_slug: str,
        input: Json,  # noqa: A002
        *,
        status: Mapping[str, str] | None = None,
        version: int | None = None,
        connection: Borrowed | None = None,
    ) -> ConditionAnswer:
        """Ask a step's condition of an input, and see what each of its paths finds there.

        Args:
            workflow_slug: The workflow.
            step_slug: The step.
            input: As the step is given it: an object with `run` and each dependency that completed.
            status: What became of dependencies, by name: completed, skipped or failed. Of others,
                completed if the input has them, or they are only waited for, and skipped otherwise.
            version: The current one unless told otherwise.
            connection: As for `start_flow`.

        Raises:
            StepNotInFlow: The workflow has no such step.
            InvalidDefinition: A status is none, or of no dependency.

        Calls quantumflow.test_condition.
        """
        return self._run(
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

    # Runs

    @overload
    def start_flow(
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
        connection: Borrowed | None = None,
    ) -> RunId[OutT]: ...

    @overload
    def start_flow(
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
        connection: Borrowed | None = None,
    ) -> RunId[Any]: ...

    def start_flow(
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
        connection: Borrowed | None = None,
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
                connection of psycopg, SQLAlchemy or Django, which is neither committed nor closed.

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
        return self._run(call, connection)

    @overload
    def start_flows(
        self,
        workflow_slug: Flow[InT, OutT],
        inputs: Iterable[InT],
        *,
        priority: int = 0,
        idempotency_keys: Iterable[str | None] | None = None,
        start_at: Iterable[datetime | None] | None = None,
        headers: Iterable[Mapping[str, Json] | None] | None = None,
        connection: Borrowed | None = None,
    ) -> list[RunId[OutT]]: ...

    @overload
    def start_flows(
        self,
        workflow_slug: str,
        inputs: Iterable[Json],
        *,
        priority: int = 0,
        idempotency_keys: Iterable[str | None] | None = None,
        start_at: Iterable[datetime | None] | None = None,
        headers: Iterable[Mapping[str, Json] | None] | None = None,
        connection: Borrowed | None = None,
    ) -> list[RunId[Any]]: ...

    def start_flows(
        self,
        workflow_slug: str | Flow[Any, Any],
        inputs: Iterable[Json],
        *,
        priority: int = 0,
        idempotency_keys: Iterable[str | None] | None = None,
        start_at: Iterable[datetime | None] | None = None,
        headers: Iterable[Mapping[str, Json] | None] | None = None,
        connection: Borrowed | None = None,
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
        return self._run(call, connection)

    @overload
    def outputs(
        self,
        run_id: UUID,
        step: Step[..., Any, Sequence[T]],
        *,
        page: int = 1000,
        connection: Borrowed | None = None,
    ) -> Iterator[tuple[int, T]]: ...

    @overload
    def outputs(
        self,
        run_id: UUID,
        step: str,
        *,
        page: int = 1000,
        connection: Borrowed | None = None,
    ) -> Iterator[tuple[int, Json]]: ...

    def outputs(
        self,
        run_id: UUID,
        step: str | Step[..., Any, Any],
        *,
        page: int = 1000,
        connection: Borrowed | None = None,
    ) -> Iterator[tuple[int, Any]]:
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
            found = self._run(call, connection)
            yield from found
            if not found:
                return
            last = found[-1][0]

    @overload
    def status(
        self,
        run_id: UUID,
        *,
        summary: Literal[False] = False,
        tree: bool = False,
        connection: Borrowed | None = None,
    ) -> RunStatus: ...

    @overload
    def status(
        self,
        run_id: UUID,
        *,
        summary: Literal[True],
        tree: bool = False,
        connection: Borrowed | None = None,
    ) -> RunState: ...

    def status(
        self,
        run_id: UUID,
        *,
        summary: bool = False,
        tree: bool = False,
        connection: Borrowed | None = None,
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
        return self._run(_sql.runs.status(run_id, summary=summary, tree=tree), connection)

    @overload
    def wait(self, run_id: RunId[OutT], timeout: float | timedelta | None = None) -> OutT: ...

    @overload
    def wait(self, run_id: UUID, timeout: float | timedelta | None = None) -> Json: ...

    def wait(self, run_id: UUID, timeout: float | timedelta | None = None) -> Json:
        """Wait until a run has ended. Somebody else must work on it.

        A server that is away meanwhile, to restart for example, is waited for, too, if this client
        was ever connected.

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
                time.sleep(step)
                continue
            try:
                answer = self._connections.run(
                    step.call, patience=step.patience, within=step.within
                )
            except (psycopg.OperationalError, ConnectionsBusy) as error:
                if not self._connections.may_pass(error):
                    raise
                answer = error

    def cancel(
        self, run_id: UUID, reason: str | None = None, *, connection: Borrowed | None = None
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
        self._run(_sql.steering.cancel_run(run_id, reason), connection)

    def pause(
        self, run_id: UUID, reason: str | None = None, *, connection: Borrowed | None = None
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
        return self._run(_sql.steering.pause_run(run_id, reason), connection)

    def resume(
        self, run_id: UUID, reason: str | None = None, *, connection: Borrowed | None = None
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
        return self._run(_sql.steering.resume_run(run_id, reason), connection)

    def cancel_runs(
        self,
        filter: Mapping[str, Json],  # noqa: A002
        max_runs: int = 1000,
        *,
        dry_run: bool = True,
        reason: str | None = None,
        connection: Borrowed | None = None,
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
        return self._run(
            _sql.steering.act_on_runs("cancel", filter, max_runs, dry_run=dry_run, reason=reason),
            connection,
        )

    def pause_runs(
        self,
        filter: Mapping[str, Json],  # noqa: A002
        max_runs: int = 1000,
        *,
        dry_run: bool = True,
        reason: str | None = None,
        connection: Borrowed | None = None,
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
        return self._run(
            _sql.steering.act_on_runs("pause", filter, max_runs, dry_run=dry_run, reason=reason),
            connection,
        )

    def resume_runs(
        self,
        filter: Mapping[str, Json],  # noqa: A002
        max_runs: int = 1000,
        *,
        dry_run: bool = True,
        reason: str | None = None,
        connection: Borrowed | None = None,
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
        return self._run(
            _sql.steering.act_on_runs("resume", filter, max_runs, dry_run=dry_run, reason=reason),
            connection,
        )

    def retry_runs(
        self,
        filter: Mapping[str, Json],  # noqa: A002
        max_runs: int = 1000,
        *,
        dry_run: bool = True,
        reason: str | None = None,
        connection: Borrowed | None = None,
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
        return self._run(
            _sql.steering.act_on_runs("retry", filter, max_runs, dry_run=dry_run, reason=reason),
            connection,
        )

    def delete_runs(
        self,
        filter: Mapping[str, Json],  # noqa: A002
        max_runs: int = 1000,
        *,
        dry_run: bool = True,
        reason: str | None = None,
        connection: Borrowed | None = None,
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
        return self._run(
            _sql.steering.act_on_runs("delete", filter, max_runs, dry_run=dry_run, reason=reason),
            connection,
        )

    def pause_queue(
        self, queue: str, reason: str | None = None, *, connection: Borrowed | None = None
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
        return self._run(_sql.steering.pause("queue", queue, reason), connection)

    def pause_flow(
        self,
        workflow_slug: str | Flow[Any, Any],
        reason: str | None = None,
        *,
        connection: Borrowed | None = None,
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
        return self._run(
            _sql.steering.pause("workflow", slug_of(workflow_slug), reason), connection
        )

    def pause_command(
        self, command: str, reason: str | None = None, *, connection: Borrowed | None = None
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
        return self._run(_sql.steering.pause("command", command, reason), connection)

    def resume_queue(
        self, queue: str, reason: str | None = None, *, connection: Borrowed | None = None
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
        return self._run(_sql.steering.resume("queue", queue, reason), connection)

    def resume_flow(
        self,
        workflow_slug: str | Flow[Any, Any],
        reason: str | None = None,
        *,
        connection: Borrowed | None = None,
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
        return self._run(
            _sql.steering.resume("workflow", slug_of(workflow_slug), reason), connection
        )

    def resume_command(
        self, command: str, reason: str | None = None, *, connection: Borrowed | None = None
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
        return self._run(_sql.steering.resume("command", command, reason), connection)

    def pauses(self, *, connection: Borrowed | None = None) -> list[Pause]:
        """Which queues, flows and commands are paused, what has been longest first.

        Args:
            connection: As for `start_flow`.

        Calls quantumflow.list_pauses.
        """
        return self._run(_sql.steering.list_pauses(), connection)

    def announce_end(self, run_id: UUID, *, connection: Borrowed | None = None) -> str:
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
        return self._run(_sql.steering.announce_end(run_id), connection)

    def run_now(
        self,
        run_id: UUID,
        step_slug: str,
        task_index: int = 0,
        *,
        connection: Borrowed | None = None,
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
        return self._run(_sql.steering.run_now(run_id, step_slug, task_index), connection)

    def retry(
        self,
        run_id: UUID,
        from_step: str | None = None,
        *,
        from_iteration: int | None = None,
        given_up: bool = False,
        reason: str | None = None,
        connection: Borrowed | None = None,
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
        return self._run(
            _sql.steering.retry_run(
                run_id, from_step, from_iteration=from_iteration, given_up=given_up, reason=reason
            ),
            connection,
        )

    def retry_preview(
        self,
        run_id: UUID,
        from_step: str | None = None,
        *,
        from_iteration: int | None = None,
        given_up: bool = False,
        connection: Borrowed | None = None,
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
        return self._run(
            _sql.steering.retry_preview(
                run_id, from_step, from_iteration=from_iteration, given_up=given_up
            ),
            connection,
        )

    def failed_items(
        self, run_id: UUID, step_slug: str, *, connection: Borrowed | None = None
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
        return self._run(_sql.steering.failed_items(run_id, step_slug), connection)

    def delete(
        self, run_id: UUID, reason: str | None = None, *, connection: Borrowed | None = None
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
        self._run(_sql.steering.delete_run(run_id, reason), connection)

    def prune(
        self,
        older_than: timedelta,
        max_runs: int = 1000,
        workflow_slug: str | None = None,
        reason: str | None = None,
        *,
        connection: Borrowed | None = None,
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
        return self._run(
            _sql.steering.prune(older_than, max_runs, workflow_slug, reason), connection
        )

    def prune_preview(
        self,
        older_than: timedelta,
        workflow_slug: str | None = None,
        *,
        connection: Borrowed | None = None,
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
        return self._run(_sql.steering.prune_preview(older_than, workflow_slug), connection)

    def failures(
        self,
        run_id: UUID | None = None,
        *,
        max_failures: int = 20,
        connection: Borrowed | None = None,
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
        return self._run(_sql.runs.list_failures(run_id, max_failures=max_failures), connection)

    # Signals

    def signal(
        self,
        run_id: UUID,
        signal: str,
        payload: Json = None,
        *,
        key: str | None = None,
        connection: Borrowed | None = None,
    ) -> str:
        """Send a run a signal: a step that waits for it goes on, now or when it comes to that.

        Args:
            run_id: The run.
            signal: The signal's name.
            payload: What the step puts out: what docs/values.md lists.
            key: What identifies it: the same key again, for the same run, is the same signal.
            connection: As for `start_flow`.

        Returns:
            `delivered`: a step was waiting. `kept`: for a step that will wait, or until the run is
            resumed. `duplicate`: it was sent before, with this key. `run_ended`: nobody will take
            it any more. `no_run`: there is no such run, and nothing was kept.

        Raises:
            BadSignal: Its name or its key is too long, or empty.
            InboxFull: The run has been sent as many as it may.
            RunInputTooLarge: The payload is too large.
            UnsupportedValue: The payload cannot be stored as JSON.

        Calls quantumflow.send_signal.
        """
        call = _sql.signals.send_signal(run_id, signal, payload, key=key, encode=self._encode)
        return self._run(call, connection)

    def signal_by_key(
        self,
        workflow_slug: str | Flow[Any, Any],
        idempotency_key: str,
        signal: str,
        payload: Json = None,
        *,
        key: str | None = None,
        connection: Borrowed | None = None,
    ) -> str:
        """Send a signal to the run that was started with a key: a webhook knows the order.

        Args:
            workflow_slug: The workflow: its slug, or a Flow.
            idempotency_key: The one that the run was started with.
            signal: As for `signal`.
            payload: As for `signal`.
            key: As for `signal`.
            connection: As for `start_flow`.

        Returns:
            As `signal`. `no_run`: none was started with this key, yet or any more: send it again.

        Raises:
            UnknownWorkflow: There is no such workflow.
            BadSignal, InboxFull, RunInputTooLarge, UnsupportedValue: As for `signal`.

        Calls quantumflow.send_signal_by_key.
        """
        call = _sql.signals.send_signal_by_key(
            slug_of(workflow_slug), idempotency_key, signal, payload, key=key, encode=self._encode
        )
        return self._run(call, connection)

    def waits(
        self,
        workflow_slug: str | Flow[Any, Any] | None = None,
        signal: str | None = None,
        *,
        max_runs: int = 100,
        with_input: bool = False,
        connection: Borrowed | None = None,
    ) -> list[WaitSummary]:
        """The steps that wait for a signal: what is to be approved, for example.

        Args:
            workflow_slug: Only of this workflow.
            signal: Only those that wait for this signal.
            max_runs: Of how many runs at most.
            with_input: Whether to say, too, what each step is given: what there is to decide on.
            connection: As for `start_flow`.

        Raises:
            BadPageSize: max_runs is out of range.

        Calls quantumflow.list_waits.
        """
        slug = None if workflow_slug is None else slug_of(workflow_slug)
        call = _sql.signals.list_waits(slug, signal, max_runs=max_runs, with_input=with_input)
        return self._run(call, connection)

    def settle(self, max_tasks: int = 100, *, connection: Borrowed | None = None) -> Settled:
        """Let sleeps that are over end, and waits that have their signal or no time left.

        Workers do so by themselves. It is for a program that has none.

        Args:
            max_tasks: How many at most.
            connection: As for `start_flow`.

        Returns:
            How many were settled, and when the next is due.

        Calls quantumflow.settle.
        """
        return self._run(_sql.workers.settle(max_tasks), connection)

    # Working

    def poll_and_run(
        self,
        *,
        commands: Sequence[str] | None = None,
        queues: Sequence[str] | None = None,
        concurrency: int = 10,
        prefetch: int = 500,
        lease: timedelta = _LEASE,
        once: bool = False,
        until_idle: bool = False,
        listen: bool | str = True,
        handle_signals: bool = True,
        name: str | None = None,
        health: int | tuple[str, int] | None = None,
    ) -> int:
        """Be a worker: claim tasks, call their handlers, report; until SIGTERM, SIGINT or `stop`.

        Asked to stop, it claims no more, finishes what runs, and returns. A second signal makes it
        tell the handlers to stop (`ctx.cancelled`), and return within seconds. A lost server is
        waited for, and so is a queue that is not there, unless it is to return by itself.

        It has two connections, one more a process to listen, and one for each handler in
        `ctx.transaction()`; what else handlers ask goes over the client's. While quick handlers
        work off a backlog, and wait for the server, it has a third, unless they are of a pool: it
        then reports and claims at the same time.

        Args:
            commands: The commands to serve; by default all that have a handler.
            queues: The queues to serve, in this order; by default those of the registered flows,
                and the default one if a handler was registered by itself.
            concurrency: How many handlers run at once.
            prefetch: How many tasks more the worker may hold, so that quick handlers wait for no
                answer: as many as it begins within 50 ms, and none of slow ones. What is not begun
                within a second, or a tenth of its timeout, is handed back.
            lease: How long a task stays this worker's if it dies; renewed at a third of that.
            once: Claim only once.
            until_idle: Return when nothing of these commands can be claimed and nothing runs,
                whatever else waits in the queues. A task that waits for its retry is not waited
                for; one that other code has handed back is, up to a minute, unless this code cannot
                do it either.
            listen: Whether to be told of new work (LISTEN), on one more connection a process, which
                is idle; else, and where nothing is heard, the worker looks several times a second.
                A DSN: listen there, past a pooler.
            handle_signals: Whether to react to SIGTERM and SIGINT; only in the main thread.
            name: A name for people; by default the host and the process.
            health: A port, or a host and a port, on which it tells by HTTP whether it goes on: 200
                while the database has answered it in the last minute, else 503.

        Returns:
            How many tasks were run.

        Raises:
            BadArgument: An argument is not as described.
            HandlerMissing: A command has no handler, or none has.
            psycopg.OperationalError: The first connection failed.
            QuantumflowError: A claim is refused: the database is a copy, for example, or, with
                `once` or `until_idle`, a queue is missing.
            OSError: The port for `health` is not to be had.
            WorkerHung: As many handlers hang as there are slots, and at least three: they go on two
                seconds after their timeout. It has finished what else it had; begin another
                process.

        Calls quantumflow.register_worker, claim_tasks, complete_and_claim, complete_tasks,
        fail_tasks, extend_leases, release_tasks, sweep, stop_worker.
        """
        worker = self._worker(
            commands=commands,
            queues=queues,
            concurrency=concurrency,
            prefetch=prefetch,
            lease=lease,
            once=once,
            until_idle=until_idle,
            listen=listen,
            name=name,
            health=health,
        )
        listens = handle_signals and threading.current_thread() is threading.main_thread()
        with self._lock:
            self._workers.add(worker)
        try:
            with stopping_on_signals(worker.stop) if listens else nullcontext():
                return worker.run()
        finally:
            with self._lock:
                self._workers.discard(worker)

    def stop(self) -> None:
        """Ask every `poll_and_run` to finish what runs and return; from any thread."""
        with self._lock:
            for worker in self._workers:
                worker.stop()

    # Mending

    def runs(
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
        connection: Borrowed | None = None,
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
        return self._run(
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

    def why(
        self,
        run_id: UUID | None = None,
        *,
        only_stuck: bool = False,
        connection: Borrowed | None = None,
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
        return self._run(_sql.looking.why(run_id, only_stuck=only_stuck), connection)

    def timeline(self, run_id: UUID, *, connection: Borrowed | None = None) -> list[Event]:
        """What happened to a run, in order: it, its steps, the attempts at its tasks.

        Args:
            run_id: The run.
            connection: As for `start_flow`.

        Raises:
            UnknownRun: There is no such run.

        Calls quantumflow.timeline.
        """
        return self._run(_sql.looking.timeline(run_id), connection)

    def history(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        run_id: UUID | None = None,
        *,
        connection: Borrowed | None = None,
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
        return self._run(_sql.looking.history(since, until, run_id), connection)

    def stats(
        self,
        workflow_slug: str | None = None,
        *,
        since: timedelta = timedelta(days=1),
        baseline: timedelta = timedelta(days=7),
        connection: Borrowed | None = None,
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
        return self._run(_sql.looking.stats(workflow_slug, since, baseline), connection)

    def eta(self, run_id: UUID, *, connection: Borrowed | None = None) -> Estimate:
        """When a run is expected to end, from how long its steps took before.

        Args:
            run_id: The run.
            connection: As for `start_flow`.

        Raises:
            UnknownRun: There is no such run.

        Calls quantumflow.eta.
        """
        return self._run(_sql.looking.eta(run_id), connection)

    def metrics(self, *, connection: Borrowed | None = None) -> list[Metric]:
        """Numbers for a monitoring system: what goes on now, and what has ended.

        Args:
            connection: As for `start_flow`.

        Calls quantumflow.metrics.
        """
        return self._run(_sql.looking.metrics(), connection)

    def critical_path(self, run_id: UUID, *, connection: Borrowed | None = None) -> list[PathStep]:
        """The steps that decided how long a run took, waiting and working apart.

        Args:
            run_id: The run.
            connection: As for `start_flow`.

        Raises:
            UnknownRun: There is no such run.

        Calls quantumflow.critical_path.
        """
        return self._run(_sql.looking.critical_path(run_id), connection)

    def attempts(
        self, run_id: UUID, step_slug: str | None = None, *, connection: Borrowed | None = None
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
        return self._run(_sql.looking.list_attempts(run_id, step_slug), connection)

    def schedule(
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
        connection: Borrowed | None = None,
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
        return self._run(call, connection)

    def unschedule(self, schedule_slug: str, *, connection: Borrowed | None = None) -> None:
        """Remove a schedule. Runs that it has started go on.

        Args:
            schedule_slug: The schedule.
            connection: As for `start_flow`.

        Raises:
            UnknownSchedule: There is no such schedule.

        Calls quantumflow.unschedule_flow.
        """
        self._run(_sql.schedules.unschedule_flow(schedule_slug), connection)

    def pause_schedule(
        self, schedule_slug: str, reason: str | None = None, *, connection: Borrowed | None = None
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
        return self._run(_sql.schedules.pause_schedule(schedule_slug, reason), connection)

    def resume_schedule(
        self, schedule_slug: str, reason: str | None = None, *, connection: Borrowed | None = None
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
        return self._run(_sql.schedules.resume_schedule(schedule_slug, reason), connection)

    def recommendations(
        self,
        workflow_slug: str | Flow[Any, Any],
        level: str = "basic",
        *,
        connection: Borrowed | None = None,
    ) -> list[Recommendation]:
        """What the past of a workflow says that its settings should be; nothing is changed.

        Args:
            workflow_slug: The workflow.
            level: "basic", "advanced" or "aggressive", which needs 100 completed runs.
            connection: As for `start_flow`.

        Raises:
            UnknownFlow: There is no such workflow.

        Calls quantumflow.recommendations.
        """
        return self._run(_sql.learning.recommendations(slug_of(workflow_slug), level), connection)

    def optimize(
        self,
        workflow_slug: str | Flow[Any, Any],
        level: str = "basic",
        *,
        apply: str = "trial",
        preserve_structure: bool = True,
        connection: Borrowed | None = None,
    ) -> Policy | None:
        """Make a policy of what `recommendations` says, and try it on half of the new runs.

        Args:
            workflow_slug: The workflow.
            level: As for `recommendations`.
            apply: "propose" does nothing with it, "trial" adopts or rejects it by the times of
                pairs of runs, "adopt" does without a trial.
            preserve_structure: Steps, and what they wait for, stay as they are.
            connection: As for `start_flow`.

        Returns:
            The policy, or the one that is at work already; None where nothing is to be changed.

        Raises:
            UnknownFlow: There is no such workflow.

        Calls quantumflow.optimize_flow and quantumflow.policy_history.
        """
        slug = slug_of(workflow_slug)
        number = self._run(
            _sql.learning.optimize_flow(slug, level, preserve_structure, apply), connection
        )
        found = (
            self._run(_sql.learning.policy_history(slug), connection) if number is not None else []
        )
        return next((policy for policy in found if policy.number == number), None)

    def rollback_policy(
        self,
        workflow_slug: str | Flow[Any, Any],
        reason: str | None = None,
        *,
        connection: Borrowed | None = None,
    ) -> int:
        """End the policy that is tried or adopted: new runs have the settings from before.

        Args:
            workflow_slug: The workflow.
            reason: Why; kept in audit_log.
            connection: As for `start_flow`.

        Returns:
            The number of the policy.

        Calls quantumflow.rollback_policy.
        """
        return self._run(_sql.learning.rollback_policy(slug_of(workflow_slug), reason), connection)

    def policies(
        self, workflow_slug: str | Flow[Any, Any], *, connection: Borrowed | None = None
    ) -> list[Policy]:
        """What was proposed for a workflow, tried and adopted, and what came of it, oldest first.

        Args:
            workflow_slug: The workflow.
            connection: As for `start_flow`.

        Calls quantumflow.policy_history.
        """
        return self._run(_sql.learning.policy_history(slug_of(workflow_slug)), connection)

    def schedules(
        self,
        workflow_slug: str | Flow[Any, Any] | None = None,
        *,
        connection: Borrowed | None = None,
    ) -> list[Schedule]:
        """The schedules, of one workflow or all, that which comes next first.

        Args:
            workflow_slug: The workflow.
            connection: As for `start_flow`.

        Calls quantumflow.list_schedules.
        """
        slug = None if workflow_slug is None else slug_of(workflow_slug)
        return self._run(_sql.schedules.list_schedules(slug), connection)

    def set_limit(
        self,
        limit_name: str,
        at_once: int | None = None,
        per_second: float | None = None,
        *,
        connection: Borrowed | None = None,
    ) -> None:
        """Set a limit, which steps name in `limit`. Each key has it for itself.

        client.set_limit("openai", at_once=2)

        Args:
            limit_name: Its name.
            at_once: How many tasks of a key may be with workers at once, 0 to 10,000; None: any
                number.
            per_second: How many of a key may begin in a second, evenly; None: any number.
            connection: As for `start_flow`.

        Raises:
            BadLimit: A bad name or number, or neither number.

        Calls quantumflow.set_limit.
        """
        self._run(_sql.limits.set_limit(limit_name, at_once, per_second), connection)

    def remove_limit(self, limit_name: str, *, connection: Borrowed | None = None) -> bool:
        """Remove a limit: what it held back is let go. The steps that name it stay as they are.

        Args:
            limit_name: Its name.
            connection: As for `start_flow`.

        Returns:
            Whether there was one.

        Calls quantumflow.remove_limit.
        """
        return self._run(_sql.limits.remove_limit(limit_name), connection)

    def limits(self, *, connection: Borrowed | None = None) -> list[Limit]:
        """The limits, a row for each key of which tasks run or wait.

        Args:
            connection: As for `start_flow`.

        Calls quantumflow.list_limits.
        """
        return self._run(_sql.limits.list_limits(), connection)

    def next_times(
        self,
        cron: str,
        time_zone: str = "UTC",
        n: int = 5,
        *,
        after: datetime | None = None,
        connection: Borrowed | None = None,
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
        return self._run(_sql.schedules.next_times(cron, time_zone, n, after), connection)

    def queues(self, *, connection: Borrowed | None = None) -> list[QueueSummary]:
        """What waits and runs, by queue and command, what has waited longest first.

        Args:
            connection: As for `start_flow`.

        Calls quantumflow.list_queues.
        """
        return self._run(_sql.looking.list_queues(), connection)

    def workers(
        self, *, alive_only: bool = True, connection: Borrowed | None = None
    ) -> list[WorkerSummary]:
        """The workers that are alive, or all that are known.

        Args:
            alive_only: Without those that have stopped, or were not seen for a minute.
            connection: As for `start_flow`.

        Calls quantumflow.list_workers.
        """
        return self._run(_sql.looking.list_workers(alive_only=alive_only), connection)

    def sizes(self, *, connection: Borrowed | None = None) -> list[Size]:
        """How large the tables and queues are, the largest first.

        Args:
            connection: As for `start_flow`.

        Calls quantumflow.list_sizes.
        """
        return self._run(_sql.looking.list_sizes(), connection)

    def diff(
        self,
        workflow_slug: str,
        from_version: int,
        to_version: int,
        *,
        connection: Borrowed | None = None,
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
        return self._run(
            _sql.looking.diff_flow(workflow_slug, from_version, to_version), connection
        )

    def check(
        self, run_id: UUID | None = None, *, connection: Borrowed | None = None
    ) -> list[StateProblem]:
        """Find what breaks the rules that are always true: nothing, if all is well.

        Args:
            run_id: Look at this run only.
            connection: As for `start_flow`.

        Calls quantumflow.check_state.
        """
        return self._run(_sql.installation.check_state(run_id), connection)

    def repair(
        self, *, dry_run: bool = True, connection: Borrowed | None = None
    ) -> list[StateRepair]:
        """Mend what `check` finds, as far as that takes no decision.

        Args:
            dry_run: Change nothing, but say what would be done.
            connection: As for `start_flow`.

        Returns:
            Each problem, and what was done about it.

        Calls quantumflow.repair.
        """
        return self._run(_sql.installation.repair(dry_run=dry_run), connection)

    def rebuild_queues(self, *, connection: Borrowed | None = None) -> dict[str, int]:
        """Make the queues anew from the tasks, after a restore. Stop the workers first.

        Args:
            connection: As for `start_flow`.

        Returns:
            How many messages each queue has.

        Raises:
            QueuesInUse: Others hold tasks, runs or messages.

        Calls quantumflow.rebuild_queues.
        """
        return self._run(_sql.installation.rebuild_queues(), connection)

    def adopt(self, *, connection: Borrowed | None = None) -> str:
        """Declare that the runs of this database, a copy, go on here, and not in its original.

        Args:
            connection: As for `start_flow`.

        Returns:
            The database's identity.

        Calls quantumflow.adopt.
        """
        return self._run(_sql.installation.adopt(), connection)

    def _worker(
        self,
        *,
        commands: Sequence[str] | None = None,
        queues: Sequence[str] | None = None,
        **options: Any,
    ) -> Worker:
        whole_number("concurrency", options["concurrency"], least=1)
        whole_number("prefetch", options["prefetch"], least=0)
        duration("lease", options["lease"])
        if isinstance(options["listen"], str):
            parts_of(options["listen"], "listen")
        if isinstance(options.get("health"), int):
            options["health"] = ("", options["health"])
        return Worker(
            self._connections,
            self._handlers,
            commands=self._commands_to_serve(commands),
            queues=list(self._queues) if queues is None else names("queues", queues),
            **options,
        )

    def _working(self, steps: Mapping[str, Callable[..., Any]], queues: Sequence[str]) -> Worker:
        """A worker that calls these functions, and no other."""
        handlers = Registry(self._encode)
        for command, function in steps.items():
            handlers.add(command, function)
        return Worker(
            self._connections,
            handlers,
            commands=list(steps),
            queues=list(queues),
            concurrency=10,
            prefetch=500,
            lease=_LEASE,
        )

    def listen(
        self, callback: Callable[[GoalEvent], object], kinds: Sequence[str] | None = None
    ) -> Listening:
        """Call a function with each event from now on, in a thread of its own, until `unlisten`.

        It has a connection more. Where `notifications.real_time` is on it is told at once of what
        becomes of goals; it looks every second besides, so that nothing is lost.

        Args:
            callback: The function.
            kinds: Only these: see `recent_events`.

        Raises:
            UnknownStatus: A kind is none.

        Calls quantumflow.recent_events.
        """
        return Listening(self._connections, callback, kinds)

    def unlisten(self, listening: Listening) -> None:
        """Tell of no more events; twice is harmless.

        Args:
            listening: What `listen` returned.
        """
        listening.close()

    def _commands_to_serve(self, commands: Sequence[str] | None) -> list[str]:
        commands = self.commands if commands is None else names("commands", commands)
        if not commands:
            raise HandlerMissing("there is no handler: register one with @client.command(...)")
        missing = [command for command in commands if command not in self._handlers]
        if missing:
            raise HandlerMissing(f"no handler is registered for {', '.join(map(repr, missing))}")
        return commands

    def _run(self, call: Call[T], connection: Borrowed | None) -> T:
        with explained(call):
            return self._connections.run(call) if connection is None else call.on(connection)


def definition_of(flow: Flow | Mapping[str, Json]) -> Mapping[str, Json]:
    """A flow's definition."""
    return flow.definition() if isinstance(flow, Flow) else flow


def slug_of(workflow: str | Flow[Any, Any]) -> str:
    """A workflow's slug."""
    return workflow.slug if isinstance(workflow, Flow) else workflow


def output_of(workflow: str | Flow[Any, Any]) -> object:
    """What the output of a workflow's runs is; None: as JSON is."""
    return workflow.output if isinstance(workflow, Flow) else None
