"""A task's own transaction: what its handler writes, its completion and its output commit together.

The task's row is locked first, so that a lost lease refuses before the first write, and nobody can
take the task away before the last one. What to do is told by generators, which do no I/O; shells
for `def` and `async def` handlers carry them out on a psycopg connection.
"""

from __future__ import annotations

import enum
import logging
import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg

from quantumflow_client import _sql
from quantumflow_client._call import Call
from quantumflow_client._log import logger
from quantumflow_client._sql.tasks import UNANSWERED, Completion, Failure
from quantumflow_client.errors import LeaseLost, TaskOutputTooLarge, TypeViolation

from .refusals import refusal_of, substitute_of
from .reports import failure_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from types import TracebackType
    from typing import TypeAlias

    from quantumflow_client._connections import AsyncConnections, Connections
    from quantumflow_client._sql.tasks import Outcome, Spent, TaskKey, TaskRef

    from .reports import Report

    _Script: TypeAlias = "Generator[_Do | Call[Any], Any, Any]"


class _Do(enum.Enum):
    BEGIN = enum.auto()
    COMMIT = enum.auto()
    ROLL_BACK = enum.auto()


class TaskTransaction:
    """A context manager, for `with` in a `def` handler and `async with` in an `async def` one.

    Attributes:
        is_settled: Whether the worker has nothing to report: the task is completed, or not its own
            any more, or only the database knows.
    """

    def __init__(
        self,
        task: TaskRef,
        *,
        is_async: bool,
        connections: Connections,
        async_connections: AsyncConnections,
        forget_lease: Callable[[], None],
        patience: float,
        time_left: Callable[[], float],
        spent: Callable[[], Spent],
    ) -> None:
        self.is_settled = False
        self._process = os.getpid()
        self._task = task
        self._is_async = is_async
        self._connections = connections
        self._async_connections = async_connections
        self._forget_lease = forget_lease
        self._patience = patience
        self._time_left = time_left
        self._spent = spent
        self._connection: Any = None
        self._block: Any = None
        self._is_the_handlers = False
        self._has_ended = False

    def __enter__(self) -> psycopg.Connection[Any]:
        self._refuse_misuse(is_async=False)
        connection: psycopg.Connection[Any] = _drive(self._beginning(), self._do)
        return connection

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        # A child that the handler has forked leaves the connection to its parent.
        if error is not None and self._connection is not None and os.getpid() == self._process:
            self._do(_Do.ROLL_BACK)

    async def __aenter__(self) -> psycopg.AsyncConnection[Any]:
        self._refuse_misuse(is_async=True)
        connection: psycopg.AsyncConnection[Any] = await _adrive(self._beginning(), self._ado)
        return connection

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        if error is not None and self._connection is not None and os.getpid() == self._process:
            await self._ado(_Do.ROLL_BACK)

    def settle(self, report: Report | None) -> Report | None:
        """End the transaction, if there is one, as its handler has ended.

        Args:
            report: What came of the handler; None: the task is to be handed back.

        Returns:
            What is left to report, unless `is_settled`.
        """
        left: Report | None = _drive(self._settling(report), self._do)
        return left

    async def asettle(self, report: Report | None) -> Report | None:
        """As `settle`, for an `async def` handler."""
        left: Report | None = await _adrive(self._settling(report), self._ado)
        return left

    def complete(self, output: str, connection: psycopg.Connection[Any]) -> None:
        """Complete the task in the caller's own transaction, with an output as JSON text."""
        self._completed(self._completion(output).on(connection))

    async def acomplete(self, output: str, connection: psycopg.AsyncConnection[Any]) -> None:
        """As `complete`, on an asynchronous connection."""
        self._completed(await self._completion(output).aon(connection))

    # What to do

    def _refuse_misuse(self, *, is_async: bool) -> None:
        if self._has_ended:
            raise RuntimeError("the handler has ended, and its task's transaction with it")
        if self._connection is not None:
            raise RuntimeError("the task's transaction is open: go on with its connection")
        if self._is_async is not is_async:
            how = "async with" if self._is_async else "with"
            raise RuntimeError(f"in this handler, write `{how} ctx.transaction()`")

    def _beginning(self) -> _Script:
        connection = yield _Do.BEGIN
        try:
            state = yield _sql.tasks.hold_task(self._task)
            if state != "held":
                self._lose()
                raise LeaseLost(self._task, state)
        except BaseException:
            yield _Do.ROLL_BACK
            raise
        self._is_the_handlers = True
        return connection

    def _settling(self, report: Report | None) -> _Script:
        self._has_ended = True
        if self._connection is None:
            return report
        if isinstance(report, Completion):
            try:
                _refuse(self._task, (yield _sql.tasks.complete_tasks([report])))
                # Before it commits, lest a renewal finds the lease lost.
                self._forget_lease()
                yield _Do.COMMIT
                self.is_settled = True
                return None
            except Exception as error:
                is_stopped = isinstance(error, LeaseLost) and error.is_of_an_ended_run
                level = logging.INFO if is_stopped else logging.WARNING
                logger.log(level, "the transaction of %s is rolled back: %s", self._task, error)
                if isinstance(error, LeaseLost):
                    self._lose()
                # Never a completion, now that the writes are gone.
                report = self._failure_of(report, error)
        yield _Do.ROLL_BACK
        return report

    def _failure_of(self, report: Completion, error: Exception) -> Failure:
        """What a completion comes to that was refused here: as it would outside."""
        refusal = refusal_of(error)
        if refusal.is_of(report):
            return substitute_of(report, refusal)
        failure = failure_of(self._task, error, report.spent)
        if isinstance(error, tuple(_REFUSALS.values())):
            return replace(failure, message=refusal.message)
        return failure

    def _completion(self, output: str) -> Call[dict[TaskKey, Outcome]]:
        if self._has_ended or self._connection is not None:
            raise RuntimeError("this task is completed with what its handler returns")
        return _sql.tasks.complete_tasks([Completion(self._task, output, self._spent())])

    def _completed(self, outcomes: dict[TaskKey, Outcome]) -> None:
        try:
            _refuse(self._task, outcomes)
        except LeaseLost:
            self._lose()
            raise
        self._lose()

    def _lose(self) -> None:
        self.is_settled = True
        self._forget_lease()

    # Doing it

    def _patience_now(self) -> float:
        # A statement of the handler's may take until the server ends the transaction.
        return self._patience + (max(self._time_left(), 0) if self._is_the_handlers else 0)

    def _do(self, what: _Do | Call[Any]) -> Any:
        self._is_the_handlers = False
        if what is _Do.BEGIN:
            self._connection, self._block = self._connections.begin(self._patience_now)
            return self._connection
        connection: psycopg.Connection[Any] = self._connection
        if isinstance(what, Call):
            return what.on(connection)
        block, self._block = self._block, None
        if what is _Do.COMMIT:
            _refuse_closed(connection)
            block.__exit__(None, None, None)
        elif block is not None:
            with suppress(psycopg.Error):
                block.__exit__(psycopg.Rollback, psycopg.Rollback(), None)
        self._ended_on(connection)
        self._connections.end(connection)
        return None

    async def _ado(self, what: _Do | Call[Any]) -> Any:
        self._is_the_handlers = False
        if what is _Do.BEGIN:
            self._connection, self._block = await self._async_connections.begin(self._patience_now)
            return self._connection
        connection: psycopg.AsyncConnection[Any] = self._connection
        if isinstance(what, Call):
            return await what.aon(connection)
        block, self._block = self._block, None
        if what is _Do.COMMIT:
            _refuse_closed(connection)
            await block.__aexit__(None, None, None)
        elif block is not None:
            with suppress(psycopg.Error):
                await block.__aexit__(psycopg.Rollback, psycopg.Rollback(), None)
        self._ended_on(connection)
        await self._async_connections.end(connection)
        return None

    def _ended_on(self, connection: psycopg.BaseConnection[Any]) -> None:
        self._connection = None
        if connection.broken:
            # The server may not know yet, and hold the task's row, for which a report would wait.
            logger.warning(
                "the connection broke in the transaction of %s: if that is not committed, "
                "the task runs again when its lease is over",
                self._task,
            )
            self._lose()


_REFUSALS = {"type_violation": TypeViolation, "failed": TaskOutputTooLarge}


def _refuse(task: TaskRef, outcomes: dict[TaskKey, Outcome]) -> None:
    """Raise what a completion came to, unless the task is completed."""
    outcome, _, detail = outcomes.get(task[:3], UNANSWERED)
    if outcome in _REFUSALS:
        raise _REFUSALS[outcome](detail or outcome)
    if outcome != "completed":
        raise LeaseLost(task, outcome, detail)


def _refuse_closed(connection: psycopg.BaseConnection[Any]) -> None:
    # psycopg does not mind leaving a transaction whose connection is gone.
    if connection.closed:
        raise psycopg.OperationalError("the connection is closed")


def _drive(script: _Script, do: Callable[[_Do | Call[Any]], Any]) -> Any:
    """Carry a script out; what goes wrong is thrown into it."""
    try:
        what = next(script)
        while True:
            try:
                answer = do(what)
            except BaseException as error:  # noqa: PERF203 - the script hears of it
                what = script.throw(error)
            else:
                what = script.send(answer)
    except StopIteration as stop:
        return stop.value


async def _adrive(script: _Script, do: Callable[[_Do | Call[Any]], Awaitable[Any]]) -> Any:
    """As `_drive`."""
    try:
        what = next(script)
        while True:
            try:
                answer = await do(what)
            except BaseException as error:  # noqa: PERF203 - the script hears of it
                what = script.throw(error)
            else:
                what = script.send(answer)
    except StopIteration as stop:
        return stop.value
