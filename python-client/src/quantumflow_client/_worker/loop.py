"""A worker: claims tasks, calls their handlers, reports what they return.

The thread that runs the worker claims and reports, on one connection, while handlers run in
`slots`. Another thread extends leases, on another connection, so that a report that waits lets no
lease run out. What to do when is decided by `core` and `leases`.
"""

from __future__ import annotations

import contextvars
import logging
import os
import random
import signal
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from math import inf
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from quantumflow_client import _connections, _sql
from quantumflow_client._log import logger
from quantumflow_client._sql import UNANSWERED, Completion, Failure
from quantumflow_client.context import describe
from quantumflow_client.errors import QuantumflowError, UnknownQueue, WorkerHung

from .core import (
    Claim,
    Connect,
    Deliver,
    Finish,
    Release,
    Rest,
    Stopping,
    Sweep,
    WorkerCore,
)
from .execution import Execution
from .leases import Leases
from .listener import Ear, listening
from .reports import Verdict, refusal_of, verdict_of
from .slots import Slots

if TYPE_CHECKING:
    from types import FrameType

    from quantumflow_client._call import Call
    from quantumflow_client._connections import Connection, Connections
    from quantumflow_client._sql import Exchange, Outcome, Task, TaskKey, TaskRef

    from .handlers import Registry
    from .reports import Report

T = TypeVar("T")

_LOOK = 0.25
"""How many seconds pass at most before somebody looks whether a lease is due or over."""

_PATIENCE = 5.0
"""How many seconds a server may be silent before it is asked again, on another connection.

Or a lease, if that is longer; a third of it for what cannot wait for locks, so that a lease can
still be renewed.
"""

_HOLD = 1.0
"""How many seconds a task waits for a slot at most; or a tenth of its timeout, or of a lease."""

_GRACE = 2.0
"""How many seconds a handler has to end after its time, or its lease, is over.

Then it is left alone: its slot is used anew, and what it returns is dropped.
"""

_HUNG_LEAST = 3
"""How many handlers must hang at least, and as many as there are slots, to end the worker."""

_PAUSE = 1.0
"""How many seconds no more is claimed after tasks were handed back because the loop is blocked."""

_UNEXPECTED_MOST = 3
"""After how many unexpected errors a worker ends at once, whatever it holds."""

_EXPECTED = {"completed", "retrying", "failed"}


class Worker:
    """One worker; `run` may be called once."""

    def __init__(
        self,
        connections: Connections,
        handlers: Registry,
        *,
        commands: Sequence[str],
        queues: Sequence[str],
        concurrency: int,
        prefetch: int,
        lease: timedelta,
        once: bool = False,
        until_idle: bool = False,
        listen: bool | str = True,
        name: str | None = None,
    ) -> None:
        """Describe a worker.

        Args:
            connections: Where to get connections.
            handlers: A handler for each command.
            commands: The commands to serve.
            queues: The queues to serve, in this order.
            concurrency: How many handlers run at once.
            prefetch: How many tasks more it has at most, if they are quick.
            lease: How long a lease is; it is renewed at a third of that.
            once: Whether to claim only once.
            until_idle: Whether to return when there is nothing to claim and nothing runs.
            listen: Whether to listen for new work, or where.
            name: A name for people; by default the host and the process.
        """
        self.id = uuid.uuid4()
        self.process = os.getpid()
        self._context = contextvars.copy_context()
        self._name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._connections = connections
        # Apart, so that what a handler does to a session stays among such handlers.
        self.transactions = connections.apart(concurrency)
        self.async_transactions = connections.asynchronous(concurrency)
        self._handlers = handlers
        self._commands = tuple(commands)
        self._queues = tuple(queues)
        self._lease = lease
        self.patience = max(lease.total_seconds(), _PATIENCE)
        self._core = WorkerCore(
            concurrency=concurrency,
            prefetch=prefetch,
            lease=lease.total_seconds(),
            once=once,
            until_idle=until_idle,
            random=random.random,
            deadline=self._deadline,
        )
        # One that ends when there is nothing to do never waits for it.
        self._listen = False if once or until_idle else listen
        self._listening = ExitStack()
        self._leases = Leases(lease.total_seconds())
        self._leases_lock = threading.Lock()
        self._executions: dict[TaskRef, Execution] = {}
        self._events: SimpleQueue[Callable[[float], object]] = SimpleQueue()
        self._results: deque[tuple[Completion | Failure, float]] = deque()
        self._results_awaited = inf
        self._ended = threading.Event()
        self._slots = Slots(concurrency, self.async_transactions.close, self._context)
        self._hung_most = max(concurrency, _HUNG_LEAST)
        self._look_at = inf
        self._unexpected = 0
        self._renewals = threading.Thread(
            target=self._renew, name="quantumflow-leases", daemon=True
        )
        self._connection: Connection | None = None
        self._error: BaseException | None = None
        self._clock = -inf
        self._stopping = Stopping.NO
        self._is_new = True

    def try_connection(self) -> None:
        """Connect once, to learn of what would end `run` at once."""
        self._connections.run(_sql.version())

    def run(self) -> int:
        """Work until there is a reason to stop.

        Returns:
            How many tasks were run.

        Raises:
            QuantumflowError, psycopg.Error: The first connection failed, or a claim can never
            succeed.
            WorkerHung: Too many handlers hang.
        """
        try:
            self._work()
        finally:
            self._ended.set()
            self._listening.close()
            self._slots.end()
            self.transactions.close()
            if self._renewals.ident is not None:
                self._renewals.join(_LOOK * 2)
            self._disconnect()
        if self._error is not None:
            raise self._error
        return self._core.tasks_run

    def stop(self, how: Stopping = Stopping.SOON) -> None:
        """Ask the worker to stop; from any thread, or a signal handler."""
        self._events.put(lambda now: self._core.stop(now, how))

    @contextmanager
    def stopping_on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop the worker; a second one sooner, a third one the hard way."""
        received = 0

        def listen(_number: int, _frame: FrameType | None) -> None:
            nonlocal received
            received += 1
            self.stop(Stopping.SOON if received == 1 else Stopping.NOW)
            if received == 2:
                restore()

        previous = {
            number: signal.signal(number, listen) for number in (signal.SIGTERM, signal.SIGINT)
        }

        def restore() -> None:
            for number, handler in previous.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

        try:
            yield
        finally:
            restore()

    # The loop

    def _work(self) -> None:
        is_finished = False
        while not is_finished:
            try:
                is_finished = self._go_on()
            except Exception as error:  # noqa: PERF203 - as often as there are steps
                if self._is_new:
                    raise
                self._end_after(error)

    def _go_on(self) -> bool:
        """Take the next step; whether it was the last."""
        self._hear()
        now = time.monotonic()
        self._tell_lapsed(now)
        self._look_after_handlers(now)
        step = self._core.next(now)
        if isinstance(step, Finish):
            self._finish()
            return True
        if isinstance(step, Rest):
            self._rest(step, now)
            return False
        try:
            self._take(step)
        except (psycopg.Error, QuantumflowError) as error:
            self._failed(step, error)
        return False

    def _end_after(self, error: Exception) -> None:
        """Something happened that should not: end, and leave as little behind as possible."""
        self._unexpected += 1
        if self._unexpected > _UNEXPECTED_MOST:
            raise error
        extra = {"worker_id": self.id}
        logger.error("the worker ends: %r", type(error), exc_info=error, extra=extra)
        self._error = self._error or error
        now = time.monotonic()
        self._core.stop(now, Stopping.SOON if self._unexpected == 1 else Stopping.NOW)
        self._core.failed(now)

    def _take(self, step: Connect | Claim | Deliver | Release | Sweep) -> None:
        if isinstance(step, Connect):
            self._connect()
        elif isinstance(step, Claim):
            self._claim(step.quantity)
        elif isinstance(step, Deliver):
            self._deliver(step)
        elif isinstance(step, Release):
            self._call(_sql.release_tasks(step.tasks))
            self._released(step)
        else:
            swept = {action: n for action, n in self._call(_sql.sweep()).items() if n}
            if swept:
                logger.info("swept: %s", swept, extra={"worker_id": self.id})

    def _rest(self, step: Rest, now: float) -> None:
        next_look = min(self._slots.start_by, self._look_at)
        patience = min(_LOOK, max(next_look - now, 0.001))
        if step.seconds is not None:
            patience = min(patience, step.seconds)
        self._results_awaited = step.results
        try:
            # Now that who ends a handler knows: it may have been before.
            if len(self._results) < step.results:
                self._events.get(timeout=patience)(time.monotonic())
        except Empty:
            pass
        finally:
            self._results_awaited = inf

    def _hear(self) -> None:
        """Let the core know what happened."""
        before = self._stopping
        while not self._events.empty():
            self._events.get()(time.monotonic())
        if self._results:
            results = [self._results.popleft() for _ in range(len(self._results))]
            self._core.finished(
                [report for report, _ in results], sum(seconds for _, seconds in results)
            )
        self._stopping = self._core.stopping
        if self._stopping is not before:
            how = "at once" if self._stopping is Stopping.NOW else "when its handlers have ended"
            logger.info(
                "the worker stops %s: %d are running",
                how,
                len(self._executions),
                extra={"worker_id": self.id},
            )
            self._take_back(self._slots.take_back())
        if self._stopping is Stopping.NOW:
            for execution in list(self._executions.values()):
                execution.cancel("the worker had to end", is_lost=False)

    def _call(self, call: Call[T]) -> T:
        assert self._connection is not None
        return _connections.run(self._connection, call)

    # Connecting

    def _connect(self) -> None:
        self._connection = self._connections.open()
        _connections.limit_waiting(self._connection, lambda: self.patience)
        self._register()
        self._core.connected(time.monotonic())
        if self._is_new:
            self._renewals.start()
            self._begin_listening()
        else:
            logger.info("connected again", extra={"worker_id": self.id})
        self._is_new = False

    def _register(self) -> None:
        """Say who is there; to be refused keeps nobody from working, unless it never can."""
        call = _sql.register_worker(
            self.id, name=self._name, commands=self._commands, queues=self._queues
        )
        try:
            self._call(call)
        except (psycopg.Error, QuantumflowError) as error:
            is_lost = self._verdict_of(error) is Verdict.LOST
            if is_lost or (self._is_new and _can_never_succeed(error)):
                raise
            logger.warning("could not register: %s", error, extra={"worker_id": self.id})

    def _begin_listening(self) -> None:
        if self._listen is False:
            return
        to = self._connections.dsn()
        here = to if self._listen is True else self._listen
        ear = Ear(
            self._queues,
            wake=lambda: self._events.put(self._core.woken),
            listening=lambda heard: self._events.put(lambda _: self._core.listening(heard)),
        )
        self._listening.enter_context(listening(ear, here=here, to=to))

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._core.disconnected()
        if connection is not None:
            self._connections.end(connection)

    def _failed(self, step: Connect | Claim | Deliver | Release | Sweep, error: Exception) -> None:
        """A step failed: it comes again, unless it is refused and never can."""
        what = type(step).__name__.lower()
        extra = {"worker_id": self.id}
        verdict = self._verdict_of(error)
        if verdict is Verdict.LOST or isinstance(step, Connect):
            self._lost(step, error)
        elif verdict is Verdict.CONFLICT and self._core.conflicted():
            logger.info("%s failed, again at once: %s", what, error, extra=extra)
        elif isinstance(step, Deliver):
            self._refused(step, error)
        elif isinstance(step, Claim):
            # A queue that was there may come back, dropped and made again.
            may_return = self._core.has_claimed and isinstance(error, UnknownQueue)
            if _can_never_succeed(error) and not may_return:
                logger.error("%s is refused, the worker stops: %s", what, error, extra=extra)
                self._error = self._error or error
                self._core.stop(time.monotonic())
            else:
                delay = self._core.claim_refused(time.monotonic())
                logger.warning(
                    "%s is refused, again in %.1f s: %s", what, delay, error, extra=extra
                )
        else:
            logger.warning("%s is refused: %s", what, error, extra=extra)
            if isinstance(step, Release):
                self._released(step)

    def _lost(self, step: Connect | Claim | Deliver | Release | Sweep, error: Exception) -> None:
        """The server, or the connection, is lost: everything is kept, and comes again."""
        self._disconnect()
        if isinstance(step, Connect) and self._is_new:
            raise error
        if isinstance(step, Deliver) and self._core.broke(step, time.monotonic()):
            self._refused(step, error)
        delay = self._core.failed(time.monotonic())
        what = type(step).__name__.lower()
        logger.warning(
            "%s failed, again in %.1f s: %s", what, delay, error, extra={"worker_id": self.id}
        )

    def _verdict_of(self, error: Exception) -> Verdict:
        connection = self._connection
        is_alive = connection is not None and _connections.is_alive(connection)
        return verdict_of(error, is_alive=is_alive)

    def _finish(self) -> None:
        undelivered = len(self._executions)
        if undelivered:
            logger.warning(
                "ended with %d tasks unreported: they run again when their leases are over",
                undelivered,
                extra={"worker_id": self.id},
            )
        if self._core.is_connected:
            try:
                self._call(_sql.stop_worker(self.id))
            except (psycopg.Error, QuantumflowError) as error:
                logger.info("could not say goodbye: %s", error, extra={"worker_id": self.id})

    # Claiming and running

    def _claim(self, quantity: int) -> None:
        asked_at = time.monotonic()
        tasks = self._call(
            _sql.claim_tasks(
                self.id,
                quantity=quantity,
                queues=self._queues,
                lease=self._lease,
                commands=self._commands,
                held=self._core.held,
            )
        )
        self._claimed(tasks, asked=quantity, asked_at=asked_at)

    def _claimed(self, tasks: Sequence[Task], *, asked: int, asked_at: float) -> None:
        now = time.monotonic()
        self._core.claimed(tasks, asked=asked, now=now)
        if not tasks:
            return
        self._read_clock(tasks, asked_at, now)
        hold = min(_HOLD, self._lease.total_seconds() / 10)
        executions = []
        with self._leases_lock:
            for task in tasks:
                deadline = task.deadline - self._clock
                self._leases.add(task.ref, asked_at=asked_at, deadline=deadline)
                start_by = now + min(hold, (deadline - now) / 10)
                handler = self._handlers[task.command]
                execution = Execution(self, task, handler, start_by, deadline)
                self._executions[task.ref] = execution
                self._look_at = min(self._look_at, deadline)
                executions.append(execution)
        self._hear()
        if self._core.stopping is Stopping.NO:
            self._slots.add(executions)
        else:
            self._take_back(executions)

    def _take_back(self, executions: Sequence[Execution]) -> None:
        for execution in executions:
            self._core.unstarted(execution.task.ref)

    def _read_clock(self, tasks: Sequence[Task], asked_at: float, answered_at: float) -> None:
        """Learn how far the database's clock is ahead of ours: deadlines are by the database's."""
        for task in tasks:
            if task.lease_expires_at < task.deadline:
                claimed_at = task.lease_expires_at - self._lease.total_seconds()
                # It was claimed while we waited, which may have been long.
                least, most = claimed_at - answered_at, claimed_at - asked_at
                self._clock = min(max(self._clock, least), most)
                return
        if self._clock > -inf:
            return
        # Every lease ends at its deadline, which does not tell when that is. An extension by nearly
        # nothing changes nothing and does.
        task, shortest = tasks[0], timedelta(milliseconds=1)
        asked = _sql.extend_leases(self.id, [task.ref], lease=shortest)
        try:
            lease = self._call(asked).get(task.ref[:3])
        except (psycopg.Error, QuantumflowError):
            return
        if lease is not None and lease.lease_expires_at is not None:
            self._clock = (lease.lease_expires_at - shortest).timestamp() - time.monotonic()

    def ended(self, report: Completion | Failure, seconds: float) -> None:
        """A handler has ended, which ran for so long."""
        self._results.append((report, seconds))
        if len(self._results) >= self._results_awaited:
            self._results_awaited = inf
            self._events.put(_nothing)

    def unstarted(self, task: TaskRef) -> None:
        """A handler did nothing that counts; its task may be handed back."""
        self._events.put(lambda _: self._core.unstarted(task))

    def settled(self, task: TaskRef, seconds: float) -> None:
        """A handler has ended, which ran for so long, and there is nothing to report."""

        def settle(now: float) -> None:
            self._forget([task])
            self._core.settled(task, seconds, now)

        self._events.put(settle)

    def new_context(self) -> contextvars.Context:
        """A context for a handler: as it was when the worker began, whatever others did since."""
        return self._context.copy()

    def forget_lease(self, task: TaskRef) -> None:
        """Extend a task's lease no more."""
        with self._leases_lock:
            self._leases.drop([task])

    def time_left(self, task: Task) -> float:
        """How many seconds there are to a task's deadline, unless its lease is over."""
        if self.is_over(task.ref):
            return 0
        return task.deadline - self._clock - time.monotonic()

    def is_over(self, task: TaskRef) -> bool:
        """Whether a task's lease is over."""
        return self._leases.is_over(task, time.monotonic())

    def fetch(self, call: Call[T]) -> T:
        """Carry out a handler's call, on a connection of its own."""
        return self._connections.run(call, patience=self.patience / 3)

    # Reporting

    def _deliver(self, step: Deliver) -> None:
        """Report, and claim if asked to; whatever fails here concerns some report at most."""
        asked_at = time.monotonic()
        try:
            if step.quantity:
                outcomes, tasks = self._call(self._exchange(step))
            else:
                outcomes, tasks = self._call(_report_call(step.reports)), None
        except Exception as error:
            self._failed(step, error)
            return
        self._reported(step.reports, outcomes)
        if tasks is not None:
            self._claimed(tasks, asked=step.quantity, asked_at=asked_at)

    def _exchange(self, step: Deliver) -> Call[Exchange]:
        """Report outputs and claim."""
        return _sql.complete_and_claim(
            self.id,
            _completions(step.reports),
            quantity=step.quantity,
            queues=self._queues,
            lease=self._lease,
            commands=self._commands,
            held=self._core.held - len(step.reports),
        )

    def _refused(self, step: Deliver, error: Exception) -> None:
        """The database refused what was reported: find out which, and go on with the others."""
        refusal = refusal_of(error)
        fate = self._core.refused(step, refusal, time.monotonic())
        why = f"{refusal.sqlstate or refusal.type}: {refusal.message}"
        if not (fate.put_aside or fate.replaced or fate.given_up):
            n = len(step.reports)
            logger.log(logging.DEBUG, "a batch of %d reports is refused: %s", n, why)
        for report in fate.put_aside:
            self._log_refusal(logging.WARNING, report, "is refused, and comes again later", why)
        for report in fate.replaced:
            self._log_refusal(logging.WARNING, report, "is refused for good: the task fails", why)
        for report in fate.given_up:
            self._log_refusal(logging.ERROR, report, "is refused: its lease runs out", why)
        self._forget([report.ref for report in fate.given_up])

    def _log_refusal(self, level: int, report: Report, what: str, why: str) -> None:
        execution = self._executions.get(report.ref)
        if execution is None:
            logger.log(level, "the report of %s %s: %s", report.ref, what, why)
            return
        task = execution.task
        logger.log(
            level,
            "the report of %s (%s.%s, attempt %d) %s: %s",
            report.ref,
            task.workflow_slug,
            task.ref.step_slug,
            task.attempt,
            what,
            why,
            extra=describe(task),
        )

    def _deadline(self, task: TaskRef) -> float:
        """Until when a task must be reported."""
        execution = self._executions.get(task)
        return inf if execution is None else execution.task.deadline - self._clock

    def _released(self, step: Release) -> None:
        """What was handed back, or could not be, is not ours."""
        self._forget(step.tasks)
        self._core.released()

    def _reported(self, reports: Sequence[Report], outcomes: Mapping[TaskKey, Outcome]) -> None:
        for report in reports:
            outcome, _, detail = outcomes.get(report.ref[:3], UNANSWERED)
            execution = self._executions.get(report.ref)
            if outcome not in _EXPECTED and execution is not None:
                # A duplicate is no loss: an answer was, and the report was sent again.
                logger.log(
                    logging.INFO if outcome == "duplicate" else logging.WARNING,
                    "the report of %s came to nothing: %s: %s",
                    report.ref,
                    outcome,
                    detail,
                    extra=describe(execution.task),
                )
        self._forget([report.ref for report in reports])
        self._core.delivered(reports, time.monotonic())

    def _forget(self, tasks: Sequence[TaskRef]) -> None:
        with self._leases_lock:
            self._leases.drop(tasks)
        for task in tasks:
            self._executions.pop(task, None)

    # Leases

    def extend(self, tasks: Sequence[TaskRef], run: Callable[[Call[Any]], Any]) -> None:
        """Extend leases, and tell the handlers whose task is not ours any more."""
        asked_at = time.monotonic()
        states = run(_sql.extend_leases(self.id, tasks, lease=self._lease))
        with self._leases_lock:
            over = self._leases.extended(tasks, states, asked_at=asked_at)
        for task, state in over.items():
            self._tell_over(
                task, f"its lease was {state}" if state == "lost" else "its run was stopped"
            )
        if over:
            self._events.put(lambda now: self._expect_end(over, now))

    def _tell_lapsed(self, now: float) -> None:
        with self._leases_lock:
            lapsed = self._leases.lapse(now)
        for task, reason in lapsed.items():
            self._tell_over(task, reason)

    def _tell_over(self, task: TaskRef, reason: str) -> None:
        execution = self._executions.get(task)
        if execution is not None:
            logger.warning("%s must stop: %s", task, reason, extra=describe(execution.task))
            execution.cancel(reason, is_lost=True)

    # Handlers that go on

    def _look_after_handlers(self, now: float) -> None:
        """Whom to wait for no longer, and what to hand back because it cannot begin."""
        if (blocked := self._slots.look(now)) is not None:
            logger.warning(
                "the event loop, and every async handler, waits for %s, which blocks it\n%s",
                blocked.by or "something",
                blocked.stack,
                extra=describe(blocked.by.task) if blocked.by else {"worker_id": self.id},
            )
        overdue = self._slots.take_back_overdue(now)
        self._take_back(overdue)
        if overdue and self._slots.is_blocked(now):
            self._core.pause(now + _PAUSE)
        if now >= self._look_at:
            for execution in list(self._executions.values()):
                if now >= execution.look_at:
                    self._look_after(execution, now)
            self._look_again()

    def _look_after(self, execution: Execution, now: float) -> None:
        is_over, execution.is_over = execution.is_over, True
        execution.look_at = now + _GRACE
        # By its time or its lease, and seen twice: the process itself may have been stopped.
        if not is_over or not execution.leave():
            return
        self._forget([execution.task.ref])
        self._core.left(execution.task.ref, now)
        stack = self._slots.let_go(execution, now)
        if stack is not None:
            logger.error(
                "the handler of %s does not end: it is left alone, and its slot is used anew\n%s",
                execution,
                stack,
                extra=describe(execution.task),
            )
        hung = self._slots.hung(now)
        if hung >= self._hung_most and self._error is None:
            self._error = WorkerHung(hung)
            logger.error("%s", self._error.message, extra={"worker_id": self.id})
            self._core.stop(now)

    def _expect_end(self, tasks: Iterable[TaskRef], now: float) -> None:
        """Handlers were told that their tasks are not this worker's any more."""
        for task in tasks:
            if (execution := self._executions.get(task)) is not None and not execution.is_over:
                execution.is_over = True
                execution.look_at = now + _GRACE
        self._look_again()

    def _look_again(self) -> None:
        self._look_at = min((e.look_at for e in self._executions.values()), default=inf)

    def _renew(self) -> None:
        """The thread that extends leases, until the worker has ended."""
        connection: Connection | None = None
        # At once, before handlers' transactions may have emptied a small pool.
        with suppress(psycopg.Error):
            connection = self._connections.open()
        pause = _LOOK
        while not self._ended.wait(pause):
            pause = _LOOK
            try:
                now = time.monotonic()
                self._tell_lapsed(now)
                with self._leases_lock:
                    tasks = self._leases.due(now)
                    next_due = self._leases.next_due()
                if tasks and connection is None:
                    connection = self._connections.open()
                if tasks and connection is not None:
                    self._extend_on(connection, tasks)
                if next_due is not None:
                    pause = min(max(next_due - now, 0.001), _LOOK)
            except BaseException as error:  # whatever it is: without this thread all is lost
                is_usual = isinstance(error, (psycopg.Error, QuantumflowError))
                logger.warning(
                    "leases were not renewed: %s",
                    error,
                    exc_info=None if is_usual else error,
                    extra={"worker_id": self.id},
                )
                if connection is not None and (
                    not is_usual
                    or verdict_of(error, is_alive=_connections.is_alive(connection)) is Verdict.LOST
                ):
                    self._connections.give_back(connection)
                    connection = None
        if connection is not None:
            self._connections.give_back(connection)

    def _extend_on(self, connection: Connection, tasks: Sequence[TaskRef]) -> None:
        self.extend(
            tasks, lambda call: _connections.run(connection, call, patience=self.patience / 3)
        )


def _nothing(_: float) -> None:
    """What happens when a handler has ended."""


def _report_call(reports: Sequence[Report]) -> Call[dict[TaskKey, Outcome]]:
    if isinstance(reports[0], Completion):
        return _sql.complete_tasks(_completions(reports))
    return _sql.fail_tasks([report for report in reports if isinstance(report, Failure)])


def _completions(reports: Sequence[Report]) -> list[Completion]:
    return [report for report in reports if isinstance(report, Completion)]


def _can_never_succeed(error: Exception) -> bool:
    """Whether to claim again makes no sense: no rights, no such function, a refused argument."""
    if isinstance(error, psycopg.Error):
        return (error.sqlstate or "")[:2] in {"22", "28", "3F", "42"}
    return isinstance(error, QuantumflowError)
