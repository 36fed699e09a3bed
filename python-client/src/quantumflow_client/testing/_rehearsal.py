"""Flows run to their end in one transaction, which is rolled back, by a clock of its own."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

import psycopg

from quantumflow_client import _json, _sql, _typed
from quantumflow_client._calls.base import definition_of
from quantumflow_client._log import logger
from quantumflow_client._runs import reader_of
from quantumflow_client._worker.delivery import plain
from quantumflow_client._worker.execution import Execution
from quantumflow_client._worker.handlers import Registry
from quantumflow_client._worker.refusals import refusal_of, substitute_of
from quantumflow_client.client import Client
from quantumflow_client.errors import (
    BadArgument,
    HandlerMissing,
    QuantumflowError,
    UnsupportedValue,
)
from quantumflow_client.flow import Flow

from ._host import LEASE, LoopThread, OneConnection, RehearsalHost
from ._outcome import Outcome, StepOutcome, Stuck
from ._servers import lent_connection
from ._stubs import TIMES_OUT, Ended, Stub, Stubs

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from quantumflow_client._call import Call
    from quantumflow_client._json import Json
    from quantumflow_client._runs import RunId, RunState, RunStatus
    from quantumflow_client._sql.definitions import WorkflowVersion
    from quantumflow_client._sql.tasks import Task, TaskRef
    from quantumflow_client._worker.reports import Report
    from quantumflow_client.flow import InT, OutT

T = TypeVar("T")

YEAR = timedelta(days=366)
_DAY = timedelta(days=1)
_NO_INPUT: Mapping[str, Json] = {}
_LIVE = ("started", "paused")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal that is sent to a run.

    Attributes:
        name: The signal.
        payload: What it is sent with.
        after: How long after the run's start; by default at once: it is kept for who waits then.
        key: As for `Client.signal`.
    """

    name: str
    payload: Json = None
    after: timedelta = timedelta(0)
    key: str | None = None


Signals = Mapping[str, Any] | Iterable[Signal]
"""Payloads by signal, sent as the run starts; or each with its own time."""


class Rehearsal:
    """A stage on which flows run: one connection, one transaction, rolled back at the end.

    with Rehearsal(client) as rehearsal:
        rehearsal.deploy(nightly)
        rehearsal.client.schedule("nightly", nightly, "0 3 * * *")
        rehearsal.advance(timedelta(days=7))
        assert len(rehearsal.client.schedules()) == 1

    Handlers are called here, one after the other, in this thread; `async def` ones on an event loop
    in another. What comes due is what the database says is due: no time passes but a handler's own,
    and what `advance` and `finish` let pass.
    """

    def __init__(self, client: Client | None = None, *, database: str | None = None) -> None:
        """Describe a rehearsal; nothing is opened before its `with` block.

        Args:
            client: Whose handlers, hooks, resources and `encode` it uses.
            database: A development database, by its DSN, whose owner has allowed to set its clock:
                see docs/testing-flows.md. By default that of QUANTUMFLOW_TEST_DSN, or, where that
                is not set, one on an embedded PostgreSQL, which is removed with the process.
        """
        self._database = database or os.environ.get("QUANTUMFLOW_TEST_DSN") or None
        self._registry = Registry() if client is None else client._handlers.copy()  # noqa: SLF001
        self._used = client
        self._stubs = Stubs(self._registry.encode)
        self._provided: dict[str, Any] = {}
        self._queue = _sql.DEFAULT_QUEUE
        self._worker_id = uuid4()
        self._signals: dict[str, set[str]] = {}
        self._hanging: set[TaskRef] = set()
        self._errors: dict[str, BaseException] = {}
        self._open = ExitStack()
        self._host: RehearsalHost | None = None
        self._loop: LoopThread | None = None
        self._connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            RealClock: The clock of that database may not be set.
            EmbeddedServerError: There is no PostgreSQL: see the extra `embedded`.
        """
        with ExitStack() as opened:
            self._connection = opened.enter_context(lent_connection(self._database))
            self._connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            opened.enter_context(self._connection.transaction(force_rollback=True))
            self._calls = OneConnection(self._connection)
            self._client = _RehearsalClient(self, self._connection.info.dsn, self._calls)
            if self._database is not None:
                # Others' tasks wait in the usual one.
                self._queue = f"rehearsal_{self._worker_id.hex[:12]}"
            self._ask(_sql.workers.advance_clock(timedelta(0)))
            if self._used is not None:
                for flow in self._used.flows:
                    self._note_signals(flow.definition())
            self._open = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Undo all that was done."""
        self._close_host()
        if self._loop is not None:
            self._loop.close()
            self._loop = None
        self._connection = None
        self._open.__exit__(kind, error, traceback)

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """The connection, for what handlers are to find; what raises goes in a savepoint."""
        if self._connection is None:
            raise RuntimeError("a rehearsal goes on in its with block")
        return self._connection

    @property
    def client(self) -> Client:
        """A client whose calls are part of the rehearsal; its `wait` lets time pass."""
        assert self.connection
        return self._client

    @property
    def now(self) -> datetime:
        """What time it is."""
        return self._advanced(timedelta(0))

    # What there is

    def deploy(self, flow: Flow[Any, Any] | Mapping[str, Json]) -> WorkflowVersion:
        """Define a workflow, with its functions as handlers; its queues are the rehearsal's.

        Raises:
            DefinitionError: The definition is wrong.
            TypeError, ValueError: As for `Client.register`.
        """
        definition = definition_of(flow)
        if isinstance(flow, Flow):
            self._registry.add_flow(definition, flow.handlers(), processes=flow.processes())
        else:
            self._registry.add_flow(definition, {})
        self._close_host()
        self._note_signals(definition)
        moved = _moved(definition, self._queue)
        return self._ask(
            _sql.definitions.define_flow(moved, None, rollback=True, encode=self._registry.encode)
        )

    def stub(self, stubs: Mapping[Any, Stub]) -> None:
        """Let stubs stand in place of handlers; see `run`.

        Raises:
            LookupError: A key is no step of what was deployed.
            TypeError: A stub asks for what the tasks of its step do not have.
            UnsupportedValue: A stub is a value that has no form in JSON.
        """
        for key, stub in stubs.items():
            self._stubs.add(key, stub, self._registry)

    def provide(self, **resources: Any) -> None:
        """Let handlers that ask for resources by name have these, which nobody closes."""
        self._provided |= resources
        self._close_host()

    # What happens

    def run(
        self,
        flow: Flow[InT, OutT] | str,
        input: Any = _NO_INPUT,  # noqa: A002
        *,
        signals: Signals = (),
        within: timedelta = YEAR,
        **options: Any,
    ) -> Outcome[OutT]:
        """Start a run, and go on until it has ended.

        Args:
            flow: The flow, or its slug.
            input: What it is started with.
            signals: As for the function `run`.
            within: How long it may take, by the rehearsal's clock.
            **options: As for `Client.start_flow`.

        Raises:
            Stuck: It does not end.
            HandlerMissing: A step has neither handler nor stub.
            LookupError: No step of what was deployed waits for one of the signals.
        """
        to_send = self._checked(signals)
        self._refuse_missing()
        run_id: RunId[Any] = self.client.start_flow(flow, input, **options)
        return self._finish(run_id, to_send, within)

    def finish(
        self, run_id: UUID, *, signals: Signals = (), within: timedelta = YEAR
    ) -> Outcome[Any]:
        """Go on, from one moment at which something is due to the next, until a run has ended.

        Args:
            run_id: The run.
            signals: As for the function `run`, from now on.
            within: How long it may take, by the rehearsal's clock.

        Raises:
            Stuck: It does not end.
            HandlerMissing: A step has neither handler nor stub.
        """
        return self._finish(run_id, self._checked(signals), within)

    def advance(self, by: float | timedelta) -> int:
        """Let time pass, and all happen that comes due meanwhile, each at its time.

        Args:
            by: Seconds, or a timedelta.

        Returns:
            How many tasks were run.

        Raises:
            HandlerMissing: A step has neither handler nor stub.
        """
        until = self.now + (by if isinstance(by, timedelta) else timedelta(seconds=by))
        done = self.work()
        while (left := until - self.now) > timedelta(0):
            self._advanced(left, until_due=True)
            done += self.work()
        return done

    def work(self) -> int:
        """Run what is due now, and what that makes due.

        Returns:
            How many tasks were run.

        Raises:
            HandlerMissing: A step has neither handler nor stub.
        """
        self._refuse_missing()
        commands = tuple({step.command for step in self._registry.steps()})
        done = 0
        while True:
            self._hang_on()
            settled = self._ask(_sql.workers.settle())
            tasks = self._ask(
                _sql.tasks.claim_tasks(
                    self._worker_id,
                    quantity=1,
                    queues=(self._queue,),
                    lease=LEASE,
                    commands=commands,
                    held=0,
                )
            )
            for task in tasks:
                self._execute(task)
            done += len(tasks)
            if not tasks and not settled.tasks:
                return done

    # How

    def _finish(self, run_id: UUID, signals: list[Signal], within: timedelta) -> Outcome[Any]:
        began = self.now
        queues = (self._queue, _sql.SYSTEM_QUEUE)
        while True:
            while signals and began + signals[0].after <= self.now:
                signal = signals.pop(0)
                self.client.signal(run_id, signal.name, signal.payload, key=signal.key)
            self.work()
            status = self._ask(_sql.runs.status(run_id))
            is_over = status["status"] not in _LIVE
            if is_over and all(c["status"] in ("completed", "failed") for c in status["callbacks"]):
                return self._outcome(run_id, status)
            ahead = began + signals[0].after - self.now if signals else None
            then = self._ask(_sql.workers.advance_clock(ahead, until_due=True, queues=queues))
            if then is None and is_over:
                return self._outcome(run_id, status)
            if then is None:
                raise Stuck(self._why(run_id, status, "whatever time passes"))
            if then > began + within:
                raise Stuck(self._why(run_id, status, f"within {within}"))

    def _execute(self, task: Task) -> None:
        """Call the handler of a task, and report what came of it."""
        host = self._host_now()
        stub = self._stubs.of(task.workflow_slug, task.ref.step_slug)
        step = None if stub is not None else self._registry.step_of(task)
        execution = Execution(host, task, stub or self._registry[task.command], inf, inf, step)
        host.begin()
        if execution.is_async:
            self._loop_now().ask(execution.run_async())
        else:
            execution.run()
        error = execution.error
        if isinstance(error, Ended):
            if error.how is TIMES_OUT:
                self._hanging.add(task.ref)
            return
        if host.unfit is not None:
            raise TypeError(f"{execution}: {host.unfit}")
        if error is not None:
            self._errors[task.ref.run_id] = error
            if not isinstance(error, (Exception, asyncio.CancelledError)):
                raise error
        if host.report is not None:
            self._report(execution, host.report)

    def _report(self, execution: Execution, report: Report) -> None:
        try:
            outcomes = self._ask(plain([report]))
        except (psycopg.Error, QuantumflowError) as error:
            refusal = refusal_of(error)
            if not refusal.is_of(report):
                raise
            outcomes = self._ask(plain([substitute_of(report, refusal)]))
        for outcome in outcomes.values():
            if outcome.outcome != "completed":
                logger.info("%s: %s, %s", execution, outcome.outcome, outcome.detail)

    def _hang_on(self) -> None:
        """Keep what is to time out until it does."""
        if self._hanging:
            call = _sql.tasks.extend_leases(self._worker_id, self._hanging, lease=_DAY)
            kept = {key for key, lease in self._ask(call).items() if lease.state == "held"}
            self._hanging = {task for task in self._hanging if task[:3] in kept}

    def _advanced(self, ahead: timedelta, *, until_due: bool = False) -> datetime:
        then = self._ask(_sql.workers.advance_clock(ahead, until_due=until_due))
        assert then is not None
        return then

    def _ask(self, call: Call[T]) -> T:
        assert self.connection
        return self._calls.run(call)

    def _host_now(self) -> RehearsalHost:
        if self._host is None:
            self._host = RehearsalHost(
                self._calls, self.connection, self._registry, self._worker_id, self._provided
            )
        return self._host

    def _loop_now(self) -> LoopThread:
        if self._loop is None:
            self._loop = LoopThread()
        return self._loop

    def _close_host(self) -> None:
        """Close what handlers have used; it is made anew for the next one."""
        host, self._host = self._host, None
        if host is not None:
            if self._loop is not None:
                self._loop.ask(host.close_on_loop())
            host.close()

    # What is wrong

    def _note_signals(self, definition: Mapping[str, Json]) -> None:
        steps = definition.get("steps")
        for step in steps if isinstance(steps, Sequence) else ():
            if isinstance(step, Mapping) and step.get("type") == "wait":
                name = step.get("name", step.get("slug"))
                names = step.get("signals") or [step.get("signal", name)]
                for signal in names:
                    self._signals.setdefault(str(signal), set()).add(str(name))

    def _checked(self, signals: Signals) -> list[Signal]:
        if isinstance(signals, Mapping):
            signals = [Signal(name, payload) for name, payload in signals.items()]
        found = sorted(signals, key=lambda signal: signal.after)
        for signal in found:
            if signal.name not in self._signals:
                there_is = ", ".join(map(repr, sorted(self._signals))) or "none"
                raise LookupError(
                    f"no step waits for the signal {signal.name!r}: they wait for {there_is}"
                )
        return found

    def _refuse_missing(self) -> None:
        missing = [
            step
            for step in self._registry.steps()
            if step.command not in self._registry and self._stubs.of(step.flow, step.slug) is None
        ]
        if missing:
            named = ", ".join(f"{step.flow}.{step.slug} ({step.command!r})" for step in missing)
            raise HandlerMissing(
                f"these steps have neither handler nor stub: {named}",
                hint="stubs={'step': ...} gives one a stub; client=... has handlers of commands.",
            )

    def _why(self, run_id: UUID, status: RunStatus, when: str) -> str:
        said, hints = self._reasons(run_id)
        lines = [f"the run of {status['workflow_slug']!r} does not end, {when}:", *said, *hints]
        return "\n  ".join(lines)

    def _reasons(self, run_id: UUID) -> tuple[list[str], list[str]]:
        """What a run waits for, and its children, and what would help."""
        said, hints = [], []
        for reason in self._ask(_sql.looking.why(run_id, only_stuck=False)):
            where = "the run" if reason.step_slug is None else f"step {reason.step_slug!r}"
            detail = reason.detail or ""
            said.append(f"{where}: {reason.reason}" + (f", {detail}" if detail else ""))
            if reason.reason == "waits for a signal":
                hints.append(f"signals={{{detail.split(' or ')[0]!r}: ...}} sends it")
            elif reason.reason == "paused":
                hints.append("rehearsal.client.resume(run_id) lets it go on")
            elif reason.reason == "waits for a child" and (child := _UUID.search(detail)):
                of_child, helping = self._reasons(UUID(child[0]))
                said += [f"  {line}" for line in of_child]
                hints += [hint.replace("signals={", "to the child: signals={") for hint in helping]
        return said, hints

    # What came of it

    def _outcome(self, run_id: UUID, status: RunStatus) -> Outcome[Any]:
        attempts = self._ask(_sql.looking.list_attempts(run_id, None))
        steps = {
            step["step_slug"]: StepOutcome(
                step["status"],
                self._step_output(run_id, step["step_slug"]),
                sum(a.step_slug == step["step_slug"] and a.began_at is not None for a in attempts),
                step["skip_reason"],
                step["error_message"],
            )
            for step in status["steps"]
        }
        started = _moment(status["started_at"] or status["created_at"])
        ended = _moment(status["ended_at"])
        return Outcome(
            run_id=run_id,
            status=status["status"],
            error=status["error_message"],
            steps=steps,
            callbacks={c["step_slug"]: c["status"] for c in status["callbacks"]},
            attempts=attempts,
            started_at=started,
            took=ended - started,
            gave_up=status["gave_up"] or 0,
            _output=self._output(run_id, status),
            _cause=self._errors.get(str(run_id)),
        )

    def _step_output(self, run_id: UUID, step_slug: str) -> Json:
        text = self._ask(_sql.tasks.step_output(run_id, step_slug))
        return None if text is None else _json.decode(text, f"the output of step {step_slug!r}")

    def _output(self, run_id: UUID, status: RunStatus) -> Any:
        """The run's output, as `Client.wait` would return it; or what that would raise."""
        reader = reader_of(run_id)
        if reader is None or status["status"] != "completed":
            return status["output"]
        exact: RunState = self._ask(_sql.runs.status(run_id, summary=True, exact=reader.is_exact))
        try:
            return reader(exact["output"], "the run's output")
        except UnsupportedValue as refused:
            return refused


class _RehearsalClient(Client):
    """A client whose calls are part of a rehearsal.

    Args:
        rehearsal: The rehearsal.
        dsn: Where it goes on.
        calls: How.
    """

    def __init__(self, rehearsal: Rehearsal, dsn: str, calls: OneConnection) -> None:
        super().__init__(dsn)
        self._rehearsal = rehearsal
        self._connections = calls
        self._handlers = rehearsal._registry  # noqa: SLF001 - it is a part of it
        self._encode = self._handlers.encode

    def deploy(self, flow: Any, workflow_slug: str | None = None, **options: Any) -> Any:
        """As `Rehearsal.deploy`."""
        if workflow_slug is not None and not isinstance(flow, Flow):
            flow = {"slug": workflow_slug, **flow}
        _refuse_elsewhere(options)
        return self._rehearsal.deploy(flow)

    def wait(self, run_id: UUID, timeout: float | timedelta | None = None) -> Any:
        """Let time pass until the run has ended; `timeout` is by the rehearsal's clock."""
        within = timedelta(seconds=timeout) if isinstance(timeout, (int, float)) else timeout
        return self._rehearsal.finish(run_id, within=within or YEAR).output

    def poll_and_run(self, *_: Any, **__: Any) -> int:
        """Run what is due."""
        return self._rehearsal.work()


def _refuse_elsewhere(options: Mapping[str, Any]) -> None:
    if options.get("connection") is not None:
        raise BadArgument("a rehearsal goes on in one connection, its own")


def _moved(definition: Mapping[str, Json], queue: str) -> dict[str, Json]:
    """A definition whose tasks wait in a queue, whatever it says."""
    moved = {**definition, "queue": queue}
    steps = definition.get("steps")
    if isinstance(steps, (list, tuple)):
        moved["steps"] = [
            {key: value for key, value in step.items() if key != "queue"}
            if isinstance(step, Mapping)
            else step
            for step in steps
        ]
    return moved


def _moment(text: str | None) -> datetime:
    read = _typed.reader_of(datetime)
    assert read is not None
    moment: datetime = read(text, "a moment")
    return moment


def run(
    flow: Flow[InT, OutT] | Mapping[str, Json],
    input: Any = _NO_INPUT,  # noqa: A002
    *,
    stubs: Mapping[Any, Stub] = _NO_INPUT,
    signals: Signals = (),
    resources: Mapping[str, Any] = _NO_INPUT,
    client: Client | None = None,
    flows: Iterable[Flow[Any, Any] | Mapping[str, Json]] = (),
    within: timedelta = YEAR,
    database: str | None = None,
) -> Outcome[OutT]:
    """Run a flow to its end, at once, whatever it waits for; nothing is left of it.

    outcome = run(order, {"amount": 42}, stubs={"charge": 42}, signals={"approved": "ann"})
    assert outcome.output == {"ship": "done"}
    assert outcome.took >= timedelta(days=2)

    Retries, sleeps, timeouts and deadlines come when the clock says so, which is moved from one to
    the next. Handlers run one after the other, in this thread, as a worker would call them.

    Args:
        flow: A Flow, whose functions are the handlers, or a definition.
        input: What the run is started with.
        stubs: By a step's slug, `<flow>.<step>`, a command, or the handler: what stands in its
            place. A function is called as a handler is; an exception is raised; `attempts(...)` is
            another one for each attempt; TIMES_OUT and DIES end an attempt without a report; any
            other value is returned.
        signals: By a signal's name its payload, sent as the run starts, and kept for who waits for
            it; or a list of `Signal`, with times of their own.
        resources: What handlers ask for by name, in place of what `Client.resource` makes.
        client: Whose handlers, hooks, resources and `encode` it uses.
        flows: Other flows that it starts.
        within: How long the run may take, by its clock.
        database: As for `Rehearsal`.

    Returns:
        What came of it, and of each step. A run that failed is an outcome, too: its `output`
        raises.

    Raises:
        Stuck: The run does not end: it waits for a signal that nobody sends, for example.
        HandlerMissing: A step has neither handler nor stub.
        LookupError: There is no step to stub, or none that waits for a signal.
        DefinitionError: The definition is wrong.
    """
    with Rehearsal(client, database=database) as rehearsal:
        for each in (*flows, flow):
            rehearsal.deploy(each)
        rehearsal.stub(stubs)
        rehearsal.provide(**resources)
        slug = flow if isinstance(flow, Flow) else str(flow.get("slug"))
        return rehearsal.run(slug, input, signals=signals, within=within)
