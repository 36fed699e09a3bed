"""What a handler may know of its task, and ask for while it runs."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from copy import copy
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import psycopg

from . import _json, _log, _sql
from .errors import QuantumflowError

if TYPE_CHECKING:
    from types import TracebackType

    from ._call import Call
    from ._json import Json

_LOGGER = logging.getLogger(_log.NAME)

_AMOUNT_MOST = 10**18

_PROGRESS_EVERY = 1.0
"""How many seconds there are at least between two reports of a task's progress."""

_DESCRIBED = ("run_id", "workflow_slug", "step_slug", "task_index", "attempt")

_READ = {"input", "args", "headers", "run_input"}
"""What is kept once it was read."""

# Whose input has keys of its own, and not the outputs of steps.
_WITHOUT_OUTPUTS = ("map", "callback")


class _TaskLogger(logging.LoggerAdapter):  # type: ignore[type-arg]
    """Adds the task to what its caller adds to a record."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        ours = _log.acceptable(self.extra)
        kwargs["extra"] = {**(ours or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class OwnTransaction(Protocol):
    """A task's own transaction, for `with` in a `def` handler, and for `async with`."""

    def __enter__(self) -> psycopg.Connection[Any]: ...

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None: ...

    async def __aenter__(self) -> psycopg.AsyncConnection[Any]: ...

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None: ...

    def complete(self, output: str, connection: psycopg.Connection[Any]) -> None:
        """Complete the task in the caller's own transaction, with an output as JSON text."""

    async def acomplete(self, output: str, connection: psycopg.AsyncConnection[Any]) -> None:
        """As `complete`, on an asynchronous connection."""


_current: ContextVar[Context | None] = ContextVar("quantumflow_task", default=None)


def current_task() -> Context | None:
    """The task whose handler, or hook, calls this; None where none does.

    Also in functions that these call, in asyncio's tasks and `asyncio.to_thread`, but not in
    threads that they begin, which have a context of their own.
    """
    return _current.get()


def begin_on(ctx: Context) -> None:
    """Let a task be the current one, in this context."""
    _current.set(ctx)


class TaskFilter(logging.Filter):
    """Adds the current task to each record of a logging handler: `handler.addFilter(TaskFilter())`.

    A record has run_id, workflow_slug, step_slug, task_index and attempt then, and task, a text for
    people; all of them None, and task empty, outside of handlers.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        ctx = current_task()
        for name in _DESCRIBED:
            if not hasattr(record, name):
                setattr(record, name, None if ctx is None else ctx._described[name])  # noqa: SLF001
        if not hasattr(record, "task"):
            record.task = "" if ctx is None else str(ctx)
        return True


class Context:
    """A task while its handler runs. What it says is read when it is first asked for."""

    def __init__(
        self,
        task: _sql.tasks.Task,
        *,
        cancelled: Callable[[], bool],
        heartbeat: Callable[[], bool],
        fetch: Callable[[Call[str | None]], str | None],
        transaction: Callable[[], OwnTransaction],
        used: dict[str, float],
        encode: _json.Encoder = _json.encode,
    ) -> None:
        self._task = task
        self._cancelled = cancelled
        self._heartbeat = heartbeat
        self._fetch = fetch
        self._transaction = transaction
        self._used = used
        self._encode = encode
        self._outputs: dict[str, str] = {}
        self._progress_at = -math.inf
        self._is_exact = False

    def __str__(self) -> str:
        return said_of(self._task)

    @cached_property
    def _described(self) -> dict[str, object]:
        return describe(self._task)

    @cached_property
    def run_id(self) -> UUID:
        """The run."""
        return UUID(self._task.ref.run_id)

    @property
    def workflow_slug(self) -> str:
        """The workflow."""
        return self._task.workflow_slug

    @property
    def step_slug(self) -> str:
        """The step."""
        return self._task.ref.step_slug

    @property
    def task_index(self) -> int:
        """The item's, or chunk's, position in a map, or the iteration, from 0; else 0."""
        return self._task.ref.task_index

    @property
    def command(self) -> str:
        """The command that the handler is registered for."""
        return self._task.command

    @cached_property
    def input(self) -> dict[str, Json]:
        """The task's input: `run` and the dependencies' outputs, or a map's `item` and `index`.

        In chunks: `items`, and the `index` of the first. In a loop, beside `run` and outputs, the
        `iteration`, from 0, and `last`, what the one before returned, None at first.
        """
        value: dict[str, Json] = self._read(self._task.input, "the task's input")
        return value

    @cached_property
    def args(self) -> Json:
        """What the definition says for this step, unchanged; None if nothing."""
        return self._read(self._task.args, "the step's args")

    @cached_property
    def headers(self) -> dict[str, Json] | None:
        """What travels with the run, a traceparent for example; None if nothing."""
        value: dict[str, Json] | None = self._read(self._task.headers, "headers")
        return value

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._task.attempt

    @property
    def max_attempts(self) -> int:
        """How many attempts may fail."""
        return self._task.max_attempts

    @property
    def deadline(self) -> datetime:
        """Until when the task must be done, by the database's clock."""
        return datetime.fromtimestamp(self._task.deadline, timezone.utc)

    @cached_property
    def logger(self) -> _TaskLogger:
        """Logs to "quantumflow_client"; each record has the task as attributes.

        They are run_id, workflow_slug, step_slug, task_index and attempt.
        """
        return _TaskLogger(_LOGGER, self._described)

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this task, and for no other: for calls to other systems.

        What was completed and runs again, by a retry from a step, has another one from then on: it
        is to be done once more. What was not completed keeps its key over a retry of its run, for
        it may have been done all the same.
        """
        fresh_since = self._task.fresh_since
        return f"{self._task.ref}/{fresh_since}" if fresh_since else str(self._task.ref)

    @property
    def retries(self) -> int:
        """How often the run was retried, 0 at first."""
        return self._task.retries

    @property
    def is_map_task(self) -> bool:
        """Whether the task is one item, or one chunk of items, of a map step."""
        return self._task.step_type == "map"

    @property
    def is_iteration(self) -> bool:
        """Whether the task is an iteration of a loop."""
        return self._task.step_type == "loop"

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

    def usage(self, **amounts: float) -> None:
        """Add to what this attempt has used, of tokens for example; told with its report.

        ctx.usage(tokens=reply.tokens, dollars=0.02)

        The view attempt_usage has it, of failed attempts too, to be summed up as one likes.

        Args:
            amounts: Numbers from 0 to 10^18, each under a name in ASCII.

        Raises:
            ValueError: A name or a number is none of that; nothing is added.
        """
        for name, amount in amounts.items():
            is_number = isinstance(amount, (int, float)) and not isinstance(amount, bool)
            if not (is_number and 0 <= amount <= _AMOUNT_MOST and name.isascii()):
                raise ValueError(f"{amount!r} {name!r} cannot have been used: a number from 0")
        for name, amount in amounts.items():
            self._used[name] = self._used.get(name, 0) + amount

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> bool:
        """Say how far the work has come, for people who look: `why` and `status` show it.

        for n, row in enumerate(rows):
            ctx.progress(n, len(rows))

        As often as one likes: it asks the database once a second at most. That it could not be
        said is no harm to the task.

        Args:
            done: How much is done, from 0 to 10^18, of whatever is counted.
            total: Of how much; None: nobody knows.
            note: What else there is to say; cut to 4 kB.

        Returns:
            Whether to go on: False once `cancelled`, or when the database says that the task is
            not this worker's any more.

        Raises:
            ValueError: done or total is no such number.

        Calls quantumflow.report_progress.
        """
        for amount in (done, 0 if total is None else total):
            is_number = isinstance(amount, (int, float)) and not isinstance(amount, bool)
            if not (is_number and 0 <= amount <= _AMOUNT_MOST):
                raise ValueError(f"{amount!r} is no progress: it is a number from 0")
        now = time.monotonic()
        if now < self._progress_at + _PROGRESS_EVERY:
            return not self._cancelled()
        self._progress_at = now
        state = "held"
        try:
            state = (
                self._fetch(_sql.workers.report_progress(self._task.ref, done, total, note))
                or state
            )
        except (psycopg.Error, QuantumflowError) as error:
            self.logger.debug("could not tell its progress: %s", error)
        return state == "held" and not self._cancelled()

    def transaction(self) -> OwnTransaction:
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
        return self._transaction()

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
        self._transaction().complete(self._encode(output, "the output"), connection)

    @cached_property
    def run_input(self) -> Json:
        """What the run was started with; fetched at first use where the input does not hold it.

        Calls quantumflow.run_input.
        """
        if "run" in self.input:
            return self.input["run"]
        text = self._outputs.get("run")  # no step is called so
        if text is None:
            text = self._fetch(_sql.tasks.run_input(self.run_id))
            assert text is not None
            self._outputs["run"] = text
        return self._read(text, "the run's input")

    def output_of(self, step: str, *, default: Json = None) -> Json:
        """A step's output: a map's is an array in the order of its items. Fetched once.

        Args:
            step: The step's slug; usually one that this step waits for.
            default: What to return when the step has no output: skipped, or not completed.

        Raises:
            UnknownStep: The run has no such step.

        Calls quantumflow.step_output.
        """
        if step in self.input and self._task.step_type not in _WITHOUT_OUTPUTS:
            return self.input[step]
        text = self._outputs.get(step)
        if text is None:
            text = self._fetch(_sql.tasks.step_output(self.run_id, step))
        if text is None:
            return default
        self._outputs[step] = text
        return self._read(text, f"the output of step {step!r}")

    async def aheartbeat(self) -> bool:
        """As `heartbeat`, for an `async def` handler."""
        return await asyncio.to_thread(self.heartbeat)

    async def aprogress(
        self, done: float, total: float | None = None, note: str | None = None
    ) -> bool:
        """As `progress`, for an `async def` handler."""
        return await asyncio.to_thread(self.progress, done, total, note)

    async def arun_input(self) -> Json:
        """As `run_input`, for an `async def` handler."""
        return await asyncio.to_thread(lambda: self.run_input)

    async def aoutput_of(self, step: str, *, default: Json = None) -> Json:
        """As `output_of`, for an `async def` handler."""
        return await asyncio.to_thread(self.output_of, step, default=default)

    @cached_property
    def exact(self) -> Context:
        """The same, in whose values numbers with a fraction are Decimals."""
        exact = copy(self)
        for name in _READ & vars(exact).keys():
            del vars(exact)[name]
        vars(exact)["_is_exact"] = True
        return exact

    def keep_input(self) -> None:
        """Let the input be what somebody has made of it, wherever it is read from here on."""
        vars(self).pop("exact", None)
        if self.input != self._read(self._task.input, "the task's input"):
            vars(self.exact)["input"] = self.input

    def _read(self, text: str | None, what: str) -> Json:
        return None if text is None else _json.decode(text, what, exact=self._is_exact)

    async def acomplete(
        self, output: Json = None, *, connection: psycopg.AsyncConnection[Any]
    ) -> None:
        """As `complete`, on an asynchronous connection."""
        text = self._encode(output, "the output")
        await self._transaction().acomplete(text, connection)


def describe(task: _sql.tasks.Task) -> dict[str, object]:
    """What a log record says of a task."""
    return {
        "run_id": UUID(task.ref.run_id),
        "workflow_slug": task.workflow_slug,
        "step_slug": task.ref.step_slug,
        "task_index": task.ref.task_index,
        "attempt": task.attempt,
    }


def said_of(task: _sql.tasks.Task) -> str:
    """What a log's text calls a task."""
    index = f"[{task.ref.task_index}]" if task.step_type in ("map", "loop") else ""
    return f"{task.workflow_slug}.{task.ref.step_slug}{index} of run {task.ref.run_id}"
