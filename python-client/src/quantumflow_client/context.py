"""What a handler may know of its task, and ask for while it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, MutableMapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from . import _json, _sql

if TYPE_CHECKING:
    import psycopg

    from ._call import Call
    from ._json import Json
    from ._transaction import TaskTransaction

_LOGGER = logging.getLogger("quantumflow_client")

_NOT_GIVEN: Any = object()


class _TaskLogger(logging.LoggerAdapter):  # type: ignore[type-arg]
    """Adds the task to what its caller adds to a record."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class Context:
    """A task while its handler runs.

    Attributes:
        run_id: The run.
        workflow_slug: The workflow.
        step_slug: The step.
        task_index: The item's position in a map, from 0; 0 in a single step.
        command: The command that the handler is registered for.
        input: The task's input: `run` and the dependencies' outputs, or a map's `item` and `index`.
        args: What the definition says for this step, unchanged; None if nothing.
        headers: What travels with the run, a traceparent for example; None if nothing.
        attempt: Which attempt this is, from 1.
        max_attempts: How many attempts may fail.
        deadline: Until when the task must be done, by the database's clock.
        logger: Logs to "quantumflow_client", with run_id, workflow_slug, step_slug, task_index and
            attributes of each record.
    """

    __slots__ = (
        "_cancelled",
        "_fetch",
        "_heartbeat",
        "_outputs",
        "_run_input",
        "_transaction",
        "args",
        "attempt",
        "command",
        "deadline",
        "headers",
        "input",
        "logger",
        "max_attempts",
        "run_id",
        "step_slug",
        "task_index",
        "workflow_slug",
    )

    run_id: UUID
    workflow_slug: str
    step_slug: str
    task_index: int
    command: str
    input: dict[str, Json]
    args: Json
    headers: dict[str, Json] | None
    attempt: int
    max_attempts: int
    deadline: datetime

    def __init__(
        self,
        task: _sql.Task,
        *,
        cancelled: Callable[[], bool],
        heartbeat: Callable[[], bool],
        fetch: Callable[[Call[str | None]], str | None],
        transaction: TaskTransaction,
    ) -> None:
        self.run_id, self.step_slug, self.task_index, _ = task.ref
        self.workflow_slug = task.workflow_slug
        self.command = task.command
        self.input = _json.decode(task.input, "the task's input")
        self.args = None if task.args is None else _json.decode(task.args, "the step's args")
        self.headers = None if task.headers is None else _json.decode(task.headers, "headers")
        self.attempt = task.attempt
        self.max_attempts = task.max_attempts
        self.deadline = task.deadline
        self.logger = _TaskLogger(_LOGGER, describe(task))
        self._cancelled = cancelled
        self._heartbeat = heartbeat
        self._fetch = fetch
        self._transaction = transaction
        self._run_input: Json = _NOT_GIVEN
        self._outputs: dict[str, str | None] = {}

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this task, and for no other: for calls to other systems."""
        return f"{self.run_id}/{self.step_slug}/{self.task_index}"

    @property
    def is_map_task(self) -> bool:
        """Whether the task is one item of a map step."""
        return "item" in self.input

    @property
    def cancelled(self) -> bool:
        """Whether to stop: the run or the worker is, or the lease or the deadline is over.

        What the handler returns after that changes nothing, except when only the worker must end.
        """
        return self._cancelled()

    def heartbeat(self) -> bool:
        """Extend the lease now; the worker does it in time by itself.

        Returns:
            True while the task is this worker's; False once it is lost or its run was stopped.

        Raises:
            psycopg.Error: The database could not be asked.

        Calls quantumflow.extend_leases.
        """
        return self._heartbeat()

    def transaction(self) -> TaskTransaction:
        """The task's own transaction, in which the handler writes to the same database.

        with ctx.transaction() as connection:        # async with, in an async def handler
            write_payment(connection, 42)
        return {"paid": 42}

        It stays open until the handler returns. Then the task is completed in it with what the
        handler returned, and it is committed: writes, completion, output and the start of what
        waited for the task happen all or not at all, and exactly once. When the handler or the
        block raises, or the task cannot be completed, everything is rolled back. One transaction
        is open at a time: within it, use connection.transaction() for savepoints.

        Nobody can take the task away meanwhile. A transaction that is forgotten is ended by the
        server at the task's deadline.

        Raises (on entering):
            LeaseLost: The task is not this worker's any more, or its run has ended. The worker then
                reports nothing, whatever the handler does.
            psycopg.Error: The database could not be reached.

        Calls quantumflow.hold_task and complete_tasks.
        """
        return self._transaction

    def complete(self, output: Json = None, *, connection: psycopg.Connection[Any]) -> None:
        """Complete the task within a transaction of your own, which you commit.

        The worker reports nothing then. If you roll back, the task runs again when its lease is
        over. Make it the last thing in the transaction: nobody else can report to the run's steps
        until it ends.

        Args:
            output: The task's output, in place of what the handler returns.
            connection: A connection to the same database; it is neither committed nor closed.

        Raises:
            LeaseLost: The task is not this worker's any more, or its run has ended: roll back.
            TypeViolation: A map maps over the output, which is no array: roll back.
            TaskOutputTooLarge: The output is larger than the limits allow: roll back.
            UnsupportedValue: The output cannot be stored as JSON.

        Calls quantumflow.complete_tasks.
        """
        self._transaction.complete(output, connection)

    @property
    def run_input(self) -> Json:
        """What the run was started with; fetched at first use where the input does not hold it.

        Calls quantumflow.run_input.
        """
        if self._run_input is _NOT_GIVEN:
            if "run" in self.input:
                self._run_input = self.input["run"]
            else:
                text = self._fetch(_sql.run_input(self.run_id))
                assert text is not None
                self._run_input = _json.decode(text, "the run's input")
        return self._run_input

    def output_of(self, step: str, *, default: Json = None) -> Json:
        """A step's output: a map's is an array in the order of its items. Fetched once.

        Args:
            step: The step's slug; usually one that this step waits for.
            default: What to return when the step has no output: skipped, or not completed.

        Raises:
            UnknownStep: The run has no such step.

        Calls quantumflow.step_output.
        """
        if step in self.input and self.step_slug[0] != "_" and not self.is_map_task:
            return self.input[step]
        text = self._outputs.get(step)
        if text is None:
            text = self._fetch(_sql.step_output(self.run_id, step))
        if text is None:
            return default
        self._outputs[step] = text
        return _json.decode(text, f"the output of step {step!r}")

    async def aheartbeat(self) -> bool:
        """As `heartbeat`, for an `async def` handler."""
        return await asyncio.to_thread(self.heartbeat)

    async def arun_input(self) -> Json:
        """As `run_input`, for an `async def` handler."""
        return await asyncio.to_thread(lambda: self.run_input)

    async def aoutput_of(self, step: str, *, default: Json = None) -> Json:
        """As `output_of`, for an `async def` handler."""
        return await asyncio.to_thread(self.output_of, step, default=default)

    async def acomplete(
        self, output: Json = None, *, connection: psycopg.AsyncConnection[Any]
    ) -> None:
        """As `complete`, on an asynchronous connection."""
        await self._transaction.acomplete(output, connection)


def describe(task: _sql.Task) -> dict[str, object]:
    """What a log record says of a task."""
    return {
        "run_id": task.ref.run_id,
        "workflow_slug": task.workflow_slug,
        "step_slug": task.ref.step_slug,
        "task_index": task.ref.task_index,
        "attempt": task.attempt,
    }
