"""A claimed task in a worker: its handler is called, and what came of it is told."""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from quantumflow_client import _json
from quantumflow_client._log import logger
from quantumflow_client._sql.tasks import Failure, Spent
from quantumflow_client.context import Context, begin_on, describe, said_of
from quantumflow_client.errors import LeaseLost, ProcessDied

from .child import Job
from .fork import end_child
from .handlers import Unfit
from .hooks import in_thread
from .reports import FailedElsewhere, completion_of, failure_of

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Mapping

    from quantumflow_client._call import Call
    from quantumflow_client._json import Json
    from quantumflow_client._sql.tasks import Completion, Task, TaskRef

    from .child import Answer
    from .handlers import Handler
    from .hooks import Hooks
    from .process import Processes
    from .resources import Resources
    from .steps import Step
    from .transaction import TaskTransaction

T = TypeVar("T")


class Host(Protocol):
    """What an execution needs of the worker that runs it. For any thread.

    Attributes:
        hooks: What is around handlers.
        resources: What handlers may ask for by name.
        processes: Where those run that have a process of their own.
    """

    hooks: Hooks
    resources: Resources
    processes: Processes

    def new_context(self) -> contextvars.Context:
        """A context for a handler: as it was when the worker began, whatever others did since."""

    def fetch(self, call: Call[T]) -> T:
        """Carry out a handler's call, on a connection of its own."""

    def extend(self, task: TaskRef) -> None:
        """Extend a task's lease now."""

    def is_over(self, task: TaskRef) -> bool:
        """Whether a task's lease is over."""

    def transaction(
        self, task: Task, *, is_async: bool, spent: Callable[[], Spent]
    ) -> TaskTransaction:
        """A task's own transaction; what was spent goes with a report in it."""

    def ended(self, report: Completion | Failure, seconds: float) -> None:
        """A handler has ended, which ran for so long."""

    def settled(self, task: TaskRef, seconds: float) -> None:
        """A handler has ended, which ran for so long, and there is nothing to report."""

    def unstarted(self, task: Task, unfit: str | None = None) -> None:
        """A handler did nothing that counts; its task may be handed back.

        To other code, if this one cannot take it: `unfit` says why.
        """


class _State(enum.Enum):
    WAITING = enum.auto()
    RUNNING = enum.auto()
    ENDED = enum.auto()
    LEFT = enum.auto()


class Execution:
    """A claimed task and its handler.

    Attributes:
        task: The task.
        handler: Its handler.
        is_async: Whether the event loop calls it.
        step: What the flow at hand says of its step.
        start_by: When to hand the task back, unless the handler was called.
        deadline: When its time is over.
        look_at: When the worker looks whether it has ended.
        is_over: Whether its time, or its lease, was over when the worker looked.
        seconds: How long the handler ran.
        error: What the handler raised, until that is told.
        thread: The thread that runs, or has run, the handler.
        async_task: The asyncio task of a handler that the loop calls, while that runs.
        told_to_stop_at: When the handler was told to stop.
    """

    __slots__ = (
        "_began",
        "_cancelled",
        "_has_ended",
        "_host",
        "_is_lost",
        "_lock",
        "_loop",
        "_process",
        "_ran",
        "_state",
        "_transaction",
        "_unfit",
        "_used",
        "async_task",
        "deadline",
        "error",
        "handler",
        "is_async",
        "is_over",
        "look_at",
        "seconds",
        "start_by",
        "step",
        "task",
        "thread",
        "told_to_stop_at",
    )

    def __init__(
        self,
        host: Host,
        task: Task,
        handler: Handler,
        start_by: float,
        deadline: float = inf,
        step: Step | None = None,
    ) -> None:
        self.task = task
        self.handler = handler
        self.is_async = handler.is_async or host.hooks.need_loop
        self.step = step
        self.start_by = start_by
        self.deadline = self.look_at = deadline
        self.is_over = False
        self.seconds = 0.0
        self.error: BaseException | None = None
        self.thread: int | None = None
        self.async_task: asyncio.Task[None] | None = None
        self.told_to_stop_at: float | None = None
        self._host = host
        self._process = os.getpid()
        self._transaction: TaskTransaction | None = None
        self._cancelled: str | None = None
        self._is_lost = False
        self._has_ended = False
        self._began: float | None = None
        self._ran: float | None = None
        self._used: dict[str, float] = {}
        self._unfit: str | None = None
        self._lock = threading.Lock()
        self._state = _State.WAITING
        self._loop: asyncio.AbstractEventLoop | None = None

    def __str__(self) -> str:
        return said_of(self.task)

    @property
    def extra(self) -> dict[str, object]:
        """What a log record says of it."""
        return describe(self.task)

    def cancel(self, reason: str, *, is_lost: bool) -> None:
        """Tell the handler to stop, once."""
        with self._lock:
            if self._cancelled is not None:
                return
            self._cancelled = reason
            self._is_lost = is_lost
            self.told_to_stop_at = time.monotonic()
            if self._loop is not None and self.async_task is not None:
                with suppress(RuntimeError):  # the loop may have ended
                    self._loop.call_soon_threadsafe(self.async_task.cancel)

    def leave(self) -> bool:
        """Drop what will come of the handler; False: it does not run."""
        with self._lock:
            if self._state is not _State.RUNNING:
                return False
            self._state = _State.LEFT
            return True

    def run(self) -> None:
        """Call the handler, in this thread."""
        if not self._begin():
            return
        try:
            report = self._call()
            self._has_ended = True
            if self._transaction is not None:
                report = self._transaction.settle(report)
        except BaseException as error:
            report = self._raised(error)
        self._end(report)

    async def run_async(self) -> None:
        """Call the handler, from the event loop."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self.async_task = asyncio.current_task()
        if not self._begin():
            return
        try:
            report = await self._call_async()
            self._has_ended = True
            if self._transaction is not None:
                report = await self._settled(self._transaction, report)
        except BaseException as error:
            report = self._raised(error)
        self._end(report)

    def broke(self, error: BaseException, *, had_begun: bool) -> None:
        """Something ended a handler that the loop calls from outside."""
        if self._state is not _State.ENDED:
            self._end(self._raised(error) if had_begun else None)

    def _call(self) -> Completion | Failure | None:
        try:
            ctx = self._context()
            hooks = self._host.hooks
            if self.handler.place is not None and not hooks:
                return self._reported_by(self._in_process())
            arguments = self.handler.arguments(ctx, self.step, self._host.resources.values)
            context = self._host.new_context()
            context.run(begin_on, ctx)
            if hooks:
                output = context.run(hooks.call, ctx, lambda: self._call_within(ctx))
            else:
                output = context.run(self.handler.function, **arguments)
        except BaseException as error:
            self._end_child(error)
            return self._raised(error)
        self._end_child(None)
        return self._returned(output)

    async def _call_async(self) -> Completion | Failure | None:
        try:
            ctx = self._context()
            begin_on(ctx)
            hooks, resources = self._host.hooks, await self._host.resources.on_loop()
            if self.handler.needs_fetching(ctx, resources):
                arguments = await asyncio.to_thread(
                    self.handler.arguments, ctx, self.step, resources
                )
            else:
                arguments = self.handler.arguments(ctx, self.step, resources)
            if hooks:
                output = await hooks.acall(ctx, lambda: self._acall_within(ctx, resources))
            else:
                output = await self.handler.function(**arguments)
        except BaseException as error:
            self._end_child(error)
            return self._raised(error)
        finally:
            # From here on nothing interrupts it.
            with self._lock:
                self.async_task = None
        self._end_child(None)
        return self._returned(output)

    def _call_within(self, ctx: Context) -> Json:
        """Call the handler within its hooks, which may have changed the input."""
        if self.handler.place is not None:
            return self._output_of(self._in_process(ctx.input))
        return self.handler.function(**self._arguments_within(ctx, self._host.resources.values))

    async def _acall_within(self, ctx: Context, resources: Mapping[str, Any]) -> Json:
        """As `_call_within`, from the event loop."""
        if not self.handler.is_async:
            return await in_thread(lambda: self._call_within(ctx))
        if self.handler.needs_fetching(ctx, resources):
            arguments = await asyncio.to_thread(self._arguments_within, ctx, resources)
        else:
            arguments = self._arguments_within(ctx, resources)
        return await self.handler.function(**arguments)

    def _arguments_within(self, ctx: Context, resources: Mapping[str, Any]) -> dict[str, Any]:
        ctx.keep_input()
        try:
            return self.handler.arguments(ctx, None, resources)
        except Unfit as unfit:
            raise TypeError(f"a hook has changed the input: {unfit}") from None

    # In a process of its own

    def _in_process(self, changed: dict[str, Json] | None = None) -> Answer:
        """What a process makes of the task."""
        assert self.handler.place is not None
        level = logging.getLogger().getEffectiveLevel()
        job = Job(self.handler.place, self.task, self.step, changed, level)
        try:
            return self._host.processes.do(job, self)
        except ProcessDied as died:
            if self._cancelled is not None and not self._is_lost:
                # The worker had to end: the task is handed back, as one that did not begin.
                raise asyncio.CancelledError(self._cancelled) from died
            raise

    def _reported_by(self, answer: Answer) -> Completion | Failure | None:
        """What to report of what a process made."""
        if answer.unfit is not None:
            raise Unfit(answer.unfit)
        report: Completion | Failure = answer.value
        self._ran = report.spent.seconds
        if isinstance(report, Failure):
            self.error = FailedElsewhere(report)
        return report

    def _output_of(self, answer: Answer) -> Json:
        """The output of what a process made, for the hooks around it."""
        if answer.unfit is not None:
            raise TypeError(f"a hook has changed the input: {answer.unfit}")
        report: Completion | Failure = answer.value
        for name, amount in _json.decode(report.spent.usage or "{}").items():
            self._used[name] = self._used.get(name, 0) + amount
        if isinstance(report, Failure):
            raise FailedElsewhere(report)
        return _json.decode(report.output, "the output")

    def fetch(self, call: Call[T]) -> T:
        """Carry out a call of the handler's."""
        return self._host.fetch(call)

    async def _settled(
        self, transaction: TaskTransaction, report: Completion | Failure | None
    ) -> Completion | Failure | None:
        if self.handler.is_async:
            return await transaction.asettle(report)
        settled: Completion | Failure | None = await in_thread(lambda: transaction.settle(report))
        return settled

    def _end_child(self, error: BaseException | None) -> None:
        """End a process that the handler has forked, and that comes back here."""
        if os.getpid() != self._process:
            end_child(error)

    def _begin(self) -> bool:
        self.thread = threading.get_ident()
        self._began = time.monotonic()
        with self._lock:
            if self._cancelled is None:
                self._state = _State.RUNNING
                return True
            self._state = _State.ENDED
        self._host.unstarted(self.task)
        return False

    def _end(self, report: Completion | Failure | None) -> None:
        self.seconds = self._seconds() or 0.0
        with self._lock:
            was_left, self._state = self._state is _State.LEFT, _State.ENDED
        if was_left:
            logger.info(
                "the handler of %s has ended: what came of it is dropped",
                self,
                extra=self.extra,
            )
            return
        if self._transaction is not None and self._transaction.is_settled:
            self._tell_settled(report)
            self._host.settled(self.task.ref, self.seconds)
        elif report is None:
            self._host.unstarted(self.task, self._unfit)
        else:
            self._host.ended(report, self.seconds)

    def _context(self) -> Context:
        return Context(
            self.task,
            cancelled=self.is_cancelled,
            heartbeat=self.heartbeat,
            fetch=self._host.fetch,
            transaction=self._own_transaction,
            used=self._used,
            encode=self.handler.encode,
        )

    @property
    def running_for(self) -> timedelta:
        """How long its handler has been at it."""
        return timedelta(seconds=self._seconds() or 0.0)

    def _seconds(self) -> float | None:
        return None if self._began is None else time.monotonic() - self._began

    def _spent(self) -> Spent:
        """What the handler took, until it has ended or, while it runs, until now."""
        seconds = self._seconds() if self._ran is None else self._ran
        return Spent(seconds, _json.encode(self._used) if self._used else None)

    def _own_transaction(self) -> TaskTransaction:
        """The task's own transaction; most tasks have none."""
        if self._transaction is None:
            is_async = self.handler.is_async
            self._transaction = self._host.transaction(
                self.task, is_async=is_async, spent=self._spent
            )
            if self._has_ended:
                self._transaction.settle(None)
        return self._transaction

    def is_cancelled(self) -> bool:
        """Whether the handler is to stop."""
        return self._cancelled is not None or self._host.is_over(self.task.ref)

    def heartbeat(self) -> bool:
        """Extend the lease now; whether the task is still this worker's."""
        if not self.is_cancelled():
            self._host.extend(self.task.ref)
        return not self.is_cancelled()

    def _returned(self, output: object) -> Completion | Failure:
        self._ran = self._seconds()
        return completion_of(self.task.ref, output, self._spent(), self.handler.encode)

    def _raised(self, error: BaseException) -> Failure | None:
        """What to report of an error; None: the task is handed back."""
        try:
            return self._told(error)
        except BaseException:  # out of memory, say
            return Failure(self.task.ref, "an error that could not be told")

    def _told(self, error: BaseException) -> Failure | None:
        if isinstance(error, Unfit):
            self._unfit = str(error)
            return None
        if self._cancelled is not None and isinstance(error, asyncio.CancelledError):
            if not self._is_lost:
                return None
            error = asyncio.CancelledError(self._cancelled)
        if self._ran is None:
            self._ran = self._seconds()
        self.error = error
        if isinstance(error, FailedElsewhere):
            return replace(error.failure, spent=self._spent())
        return failure_of(self.task.ref, error, self._spent())

    def _tell_settled(self, report: Completion | Failure | None) -> None:
        """Tell of a failure that changes nothing: the task is completed, or not ours any more."""
        if not isinstance(report, Failure) or self.error is None:
            return
        error, self.error = self.error, None
        is_lost = isinstance(error, LeaseLost)
        is_stopped = isinstance(error, LeaseLost) and error.is_of_an_ended_run
        logger.log(
            logging.INFO if is_stopped else logging.WARNING,
            "%s changes nothing: %s",
            self,
            report.message,
            exc_info=None if is_lost else error,
            extra=self.extra,
        )
