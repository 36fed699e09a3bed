"""The client: define and start workflows, wait for runs, and work on them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, overload

from . import _connections, _json
from ._arguments import duration, names, patience, whole_number
from ._composing import Composing
from ._dsn import parts_of
from ._events import Listening
from ._forks import begin_anew_in_forks
from ._sql import DEFAULT_QUEUE
from ._worker.handlers import Registry
from ._worker.signals import stopping_on_signals
from .errors import HandlerMissing
from .flow import Flow
from .worker import Worker

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool
    from typing_extensions import Self

    from ._borrowed import Borrowed
    from ._json import Json
    from ._plain import Hook
    from ._sql.definitions import WorkflowVersion
    from ._sql.goals import GoalEvent

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

MAX_CONNECTIONS = 10
CONNECTION_TIMEOUT = timedelta(seconds=30)

_LEASE = timedelta(seconds=30)


class Client(Composing):
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

    def register(self, *flows: Flow) -> None:
        """Let the functions of flows handle their steps, without defining them in the database.

        Raises:
            TypeError: A handler of one of its commands asks for what its tasks do not have.
            ValueError: One of its commands has another handler.
        """
        for flow in flows:
            self._handlers.add_flow(flow.definition(), flow.handlers(), processes=flow.processes())
            self._flows[flow.slug] = flow
            self._queues |= dict.fromkeys(flow.queues())

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
        return super().deploy(flow, workflow_slug, rollback=rollback, connection=connection)

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
