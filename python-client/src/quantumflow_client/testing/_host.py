"""What a rehearsal does for handlers, and where all of it happens: one connection, one thread."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from quantumflow_client import _sql
from quantumflow_client._connections import AsyncConnections, Connections
from quantumflow_client._worker.process import Processes
from quantumflow_client._worker.resources import Resources
from quantumflow_client._worker.transaction import TaskTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from contextlib import AbstractContextManager
    from uuid import UUID

    from quantumflow_client._call import Call
    from quantumflow_client._sql.tasks import Completion, Failure, Spent, Task, TaskRef
    from quantumflow_client._worker.handlers import Registry
    from quantumflow_client._worker.hooks import Hooks

T = TypeVar("T")

LEASE = timedelta(seconds=30)


class OneConnection(Connections):
    """A connection in a transaction that is somebody else's: each call is a savepoint in it.

    Args:
        connection: The connection.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        super().__init__(connection.info.dsn, prepare_threshold=None)
        self._connection = connection

    def open(self) -> psycopg.Connection[Any]:
        """There is one, and it is open."""
        return self._connection

    def discard(self, connection: psycopg.Connection[Any]) -> None:
        """It is somebody else's."""

    @contextmanager
    def lent(self) -> Iterator[psycopg.Connection[Any]]:
        """The connection."""
        with self._connection.transaction():
            yield self._connection

    def begin(
        self, patience: Callable[[], float]
    ) -> tuple[psycopg.Connection[Any], AbstractContextManager[object]]:
        """The connection, in a savepoint."""
        del patience
        block = self._connection.transaction()
        block.__enter__()
        return self._connection, block

    def end(self, connection: psycopg.Connection[Any]) -> None:
        """The savepoint was left."""

    def run(
        self, call: Call[T], *, patience: float | None = None, within: float | None = None
    ) -> T:
        """Carry a call out; what it raises leaves the transaction as it was."""
        del patience, within
        with self._connection.transaction():
            return call.on(self._connection)

    def close(self) -> None:
        """It is somebody else's."""


class _OneAsync(AsyncConnections):
    """The same session for `async def` handlers, which run while nobody else does."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        super().__init__(connection.info.dsn, prepare_threshold=None)
        self._pgconn = connection.pgconn
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def begin(self, patience: Callable[[], float]) -> tuple[Any, Any]:
        """The connection, in a savepoint."""
        del patience
        if self._connection is None:
            self._connection = psycopg.AsyncConnection(self._pgconn)
            self._connection._autocommit = True  # noqa: SLF001 - as the other one is
            self._connection.prepare_threshold = None
        block = self._connection.transaction()
        await block.__aenter__()
        return self._connection, block

    async def end(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """The savepoint was left."""

    def forget(self) -> None:
        """The session is somebody else's to close, and of no matter to this one from here on."""
        if self._connection is not None:
            del self._connection.pgconn
            self._connection = None


class LoopThread:
    """An event loop in a thread of its own, since the test's may run in this one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="quantumflow-rehearsal", daemon=True
        )
        self._thread.start()

    def ask(self, question: Coroutine[Any, Any, T]) -> T:
        """Wait for something on it."""
        return asyncio.run_coroutine_threadsafe(question, self._loop).result()

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class RehearsalHost:
    """An execution's Host: it keeps what came of the one that runs.

    Args:
        connections: Where handlers' calls go.
        connection: The same.
        registry: What is around handlers, and what makes resources.
        worker_id: Who claims.
        provided: Resources that stand in place of those.

    Attributes:
        report: What the last handler's end is to be told as.
        is_settled: Whether there is nothing to tell.
        unfit: Why it cannot take its task.
    """

    def __init__(
        self,
        connections: OneConnection,
        connection: psycopg.Connection[Any],
        registry: Registry,
        worker_id: UUID,
        provided: Mapping[str, Any],
    ) -> None:
        self.hooks: Hooks = registry.hooks
        makers = {name: make for name, make in registry.makers.items() if name not in provided}
        self.resources = Resources(makers, registry.wanted(registry.commands()))
        self.processes = Processes()
        self._context = contextvars.copy_context()
        self._connections = connections
        self._async_connections = _OneAsync(connection)
        self._worker_id = worker_id
        self.report: Completion | Failure | None = None
        self.is_settled = False
        self.unfit: str | None = None
        self.resources.open()
        self.resources.values |= provided

    def begin(self) -> None:
        """Another handler is about to run."""
        self.report, self.is_settled, self.unfit = None, False, None

    async def close_on_loop(self) -> None:
        """Close what handlers have used on the event loop."""
        await self.resources.close_on_loop()

    def close(self) -> None:
        """Close the rest."""
        self.processes.close()
        self._async_connections.forget()
        self.resources.close()

    def new_context(self) -> contextvars.Context:
        """A context for a handler."""
        return self._context.copy()

    def fetch(self, call: Call[T]) -> T:
        """Carry out a handler's call."""
        return self._connections.run(call)

    def extend(self, task: TaskRef) -> None:
        """Extend a task's lease now."""
        self.fetch(_sql.tasks.extend_leases(self._worker_id, [task], lease=LEASE))

    def is_over(self, task: TaskRef) -> bool:
        """No time passes while a handler runs, but the handler's own."""
        del task
        return False

    def transaction(
        self, task: Task, *, is_async: bool, spent: Callable[[], Spent]
    ) -> TaskTransaction:
        """A task's own transaction."""
        return TaskTransaction(
            task.ref,
            is_async=is_async,
            connections=self._connections,
            async_connections=self._async_connections,
            forget_lease=lambda: None,
            patience=LEASE.total_seconds(),
            time_left=lambda: 0,
            spent=spent,
        )

    def ended(self, report: Completion | Failure, seconds: float) -> None:
        """A handler has ended."""
        del seconds
        self.report = report

    def settled(self, task: TaskRef, seconds: float) -> None:
        """A handler has ended, and there is nothing to report."""
        del task, seconds
        self.is_settled = True

    def unstarted(self, task: Task, unfit: str | None = None) -> None:
        """A handler did nothing that counts."""
        del task
        self.unfit = unfit
