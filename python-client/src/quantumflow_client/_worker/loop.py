"""The worker's loop: asks the core what to do next, and does it.

The thread that runs the worker claims and reports, on one connection, while handlers run in
`slots`. Another thread extends leases, see `renewal`, and one reports where that can go apart, see
`second`. What to do when is decided by `core`.
"""

from __future__ import annotations

import os
import random
import socket
import time
import uuid
from contextlib import ExitStack, suppress
from datetime import datetime, timezone
from math import inf
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.errors import InsufficientPrivilege, UndefinedFunction

from quantumflow_client import _sql
from quantumflow_client._connections import Session
from quantumflow_client._listener import Ear, listening
from quantumflow_client._log import logger
from quantumflow_client._version import __version__
from quantumflow_client.errors import QuantumflowError, UnknownQueue

from .actions import (
    Claim,
    CloseSecond,
    Connect,
    Deliver,
    DeliverApart,
    Finish,
    Look,
    OpenSecond,
    Register,
    Release,
    Rest,
    Settle,
)
from .claims import Claims
from .clock import Clock
from .core import MISSING_MOST, Core, Stopping
from .delivery import Delivery, Undelivered
from .health import Health
from .host import WorkerHost
from .inbox import Inbox
from .leases import LOOK_EVERY, Held
from .offer import Offer
from .refusals import Verdict, can_never_succeed, verdict_of
from .renewal import Renewal
from .resources import Resources
from .second import Second
from .slots import Slots
from .watch import Watch

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import timedelta

    from quantumflow_client._connections import Connections
    from quantumflow_client._sql.tasks import TaskRef

    from .actions import Errand
    from .execution import Execution
    from .handlers import Registry

_PATIENCE = 5.0
"""How many seconds a server may be silent before it is asked again, on another connection.

Or a lease, if that is longer; a third of it for what cannot wait for locks, so that a lease can
still be renewed.
"""

_ALIVE = 60.0
"""For how many seconds after the last answer of the database a worker is taken to be alive.

It asks every few seconds, to claim, to sweep or to say that it is there, unless it is stopping.
"""

_UNEXPECTED_MOST = 3
"""After how many unexpected errors a worker ends at once, whatever it holds."""


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
        health: tuple[str, int] | None = None,
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
            health: Where to tell whether it goes on, if anywhere.
        """
        name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._offer = Offer(uuid.uuid4(), name, tuple(commands), tuple(queues), lease)
        self._concurrency = concurrency
        self._connections = connections
        seconds = lease.total_seconds()
        patience = max(seconds, _PATIENCE)
        self._session = Session(connections, lambda: patience)
        self._core = Core(
            concurrency=concurrency,
            prefetch=prefetch,
            lease=seconds,
            once=once,
            until_idle=until_idle,
            second=not connections.is_pooled,
            random=random.random,
            deadline=self._deadline,
            settles=True,
        )
        self._inbox = Inbox()
        self._held = Held(seconds)
        self._clock = Clock(seconds)
        self._renewal = Renewal(
            self._offer, self._held, connections, patience=patience / 3, over=self._are_over
        )
        self._host = WorkerHost(
            self._core,
            self._inbox,
            self._held,
            self._renewal,
            self._clock,
            connections,
            concurrency=concurrency,
            patience=patience,
            hooks=handlers.hooks,
            resources=Resources(handlers.makers, handlers.wanted(commands)),
        )
        self._handlers = handlers
        self._concurrency = concurrency
        self._slots = Slots(concurrency, self._host.at_loops_end, self._host.context)
        self._watch = Watch(
            self._offer, self._held, self._slots, self._core, concurrency=concurrency
        )
        self._claims = Claims(
            self._offer, self._session, self._core, self._held, self._clock, handlers, self._host
        )
        self._delivery = Delivery(self._offer, self._session, self._core, self._held)
        self._second = Second(
            self._offer,
            connections,
            self._core,
            self._inbox,
            self._held,
            self._delivery,
            patience=patience,
        )
        # One that ends when there is nothing to do never waits for it.
        self._ends_by_itself = once or until_idle
        self._listen = False if self._ends_by_itself else listen
        self._listening = ExitStack()
        self._stopping = Stopping.NO
        self._unexpected = 0
        self._error: BaseException | None = None
        self._is_new = True
        self._is_without_queues = False
        self._missing: str | None = None
        self._began_at = self._looked_at = self._answered_at = time.monotonic()
        self._health_at = health
        self._health: Health | None = None

    def try_connection(self) -> None:
        """Connect once, to learn of what would end `run` at once."""
        self._connections.run(_sql.installation.version())

    def run(self) -> int:
        """Work until there is a reason to stop.

        Returns:
            How many tasks were run.

        Raises:
            QuantumflowError, psycopg.Error: The first connection failed, or a claim can never
            succeed.
            WorkerHung: Too many handlers hang.
            OSError: The port for its health is not to be had.
            BaseException: A resource cannot be made.
        """
        try:
            if self._health_at is not None:
                self._health = Health(self._health_at, self._say_health)
            self._host.resources.open()
            if self._host.resources.need_loop:
                self._slots.begin_loop(self._host.resources.on_loop)
            self._work()
        finally:
            self._renewal.stop()
            self._listening.close()
            self._slots.end()
            self._second.close()
            self._host.close()
            self._renewal.join()
            self._disconnect()
            if self._health is not None:
                self._health.close()
        if self._error is not None:
            raise self._error
        return self._core.tasks_run

    def stop(self, how: Stopping = Stopping.SOON) -> None:
        """Ask the worker to stop; from any thread, or a signal handler."""
        self._inbox.put(lambda now: self._core.stop(now, how))

    # The loop

    def _work(self) -> None:
        is_finished = False
        while not is_finished:
            try:
                is_finished = self._go_on()
            except Exception as error:  # noqa: PERF203 - as often as there are actions
                if self._is_new:
                    raise
                self._end_after(error)

    def _go_on(self) -> bool:
        """Do what is next; whether it was the last."""
        self._hear()
        now = self._looked_at = time.monotonic()
        self._renewal.tell_lapsed(now)
        hung = self._watch.look(now)
        if hung is not None and self._error is None:
            self._error = hung
            logger.error("%s", hung.message, extra=self._offer.extra)
            self._core.stop(now)
        action = self._core.next(now)
        if isinstance(action, Finish):
            self._finish()
            return True
        if isinstance(action, Rest):
            self._rest(action, now)
            return False
        if isinstance(action, (OpenSecond, DeliverApart, CloseSecond)):
            self._second.take(action)
            return False
        try:
            self._take(action)
            self._answered_at = time.monotonic()
        except Undelivered as undelivered:
            self._failed(action, undelivered.error)
        except (psycopg.Error, QuantumflowError) as error:
            self._failed(action, error)
        return False

    def _say_health(self) -> dict[str, Any]:
        """Whether it goes on, by what the database has answered; for another thread."""
        is_stopping = self._core.stopping is not Stopping.NO
        seen_at = self._looked_at if is_stopping else self._answered_at
        now = time.monotonic()
        return {
            "alive": now < seen_at + _ALIVE,
            "worker": self._offer.name,
            "worker_id": str(self._offer.worker_id),
            "answered_seconds_ago": round(now - self._answered_at, 3),
            "held": self._core.held,
            "tasks_run": self._core.tasks_run,
            "stopping": is_stopping,
        }

    def _end_after(self, error: Exception) -> None:
        """Something happened that should not: end, and leave as little behind as possible."""
        self._unexpected += 1
        if self._unexpected > _UNEXPECTED_MOST:
            raise error
        extra = self._offer.extra
        logger.error("the worker ends: %r", type(error), exc_info=error, extra=extra)
        self._error = self._error or error
        now = time.monotonic()
        self._core.stop(now, Stopping.SOON if self._unexpected == 1 else Stopping.NOW)
        self._core.failed(now)

    def _take(self, action: Errand) -> None:
        if isinstance(action, Connect):
            self._connect()
        elif isinstance(action, Claim):
            self._start(self._claims.claim(action.quantity))
            self._has_queue()
        elif isinstance(action, Deliver):
            asked, asked_at = action.quantity, time.monotonic()
            tasks = self._delivery.deliver(action)
            if tasks is not None:
                self._inbox.empty_results_into(self._core)
                self._start(self._claims.begin(tasks, asked=asked, asked_at=asked_at))
        elif isinstance(action, Release):
            self._session.ask(_sql.tasks.release_tasks(action.tasks, action.unfit))
            self._released(action)
        elif isinstance(action, Look):
            offer = self._offer
            call = _sql.tasks.left_work(offer.queues, offer.commands, self._host.refused())
            self._core.looked(others_left=self._session.ask(call) is not None)
        elif isinstance(action, Register):
            self._register()
        elif isinstance(action, Settle):
            self._core.tended(self._session.ask(_sql.workers.settle()), time.monotonic())
        else:
            swept = {what: n for what, n in self._session.ask(_sql.workers.sweep()).items() if n}
            if swept:
                logger.info("swept: %s", swept, extra=self._offer.extra)

    def _start(self, executions: Sequence[Execution]) -> None:
        if not executions:
            return
        self._watch.begin(executions)
        self._hear()
        if self._core.stopping is Stopping.NO:
            self._slots.add(executions)
        else:
            self._watch.take_back(executions)

    def _released(self, action: Release) -> None:
        """What was handed back, or could not be, is not ours."""
        self._held.forget(action.tasks)
        self._core.released()

    def _rest(self, action: Rest, now: float) -> None:
        patience = min(LOOK_EVERY, max(self._watch.next_look - now, 0.001))
        if action.seconds is not None:
            patience = min(patience, action.seconds)
        self._inbox.wait(patience, action.results)

    def _hear(self) -> None:
        """Let the core know what happened."""
        self._inbox.empty_into(self._core)
        before, self._stopping = self._stopping, self._core.stopping
        if self._stopping is not before:
            how = "at once" if self._stopping is Stopping.NOW else "when its handlers have ended"
            logger.info(
                "the worker stops %s: %d are running",
                how,
                len(self._held),
                extra=self._offer.extra,
            )
            self._watch.take_back(self._slots.take_back())
        if self._stopping is Stopping.NOW:
            for execution in self._held.executions():
                execution.cancel("the worker had to end", is_lost=False)

    def _are_over(self, tasks: Collection[TaskRef]) -> None:
        self._inbox.put(lambda now: self._watch.expect_end(tasks, now))

    def _deadline(self, task: TaskRef) -> float:
        """Until when a task must be reported."""
        execution = self._held.get(task)
        return inf if execution is None else self._clock.here(execution.task.deadline)

    # Connecting

    def _connect(self) -> None:
        self._session.open()
        self._register()
        self._core.connected(time.monotonic())
        if self._is_new:
            self._tell_beginning()
            self._renewal.start()
            self._begin_listening()
        else:
            logger.info("connected again", extra=self._offer.extra)
        self._is_new = False

    def _register(self) -> None:
        """Say who is there; to be refused keeps nobody from working, unless it never can."""
        try:
            self._register_for(self._offer.queues)
            self._miss(None)
        except (psycopg.Error, QuantumflowError) as error:
            if self._verdict_of(error) is Verdict.LOST:
                raise
            if self._waits_for(error):
                self._miss(error)
                self._register_meanwhile()
            elif self._is_new and can_never_succeed(error):
                raise
            else:
                logger.warning("could not register: %s", error, extra=self._offer.extra)

    def _register_for(self, queues: tuple[str, ...]) -> None:
        offer = self._offer
        running = self._slots.running()
        call = _sql.workers.register_worker(
            offer.worker_id,
            name=offer.name,
            commands=offer.commands,
            queues=queues,
            slots=self._concurrency,
            running=len(running),
            oldest=[(e.task.ref, datetime.now(timezone.utc) - e.running_for) for e in running[:5]],
            version=__version__,
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        self._session.ask(call)

    def _register_meanwhile(self) -> None:
        """Say who is there for those of the queues that are: from them it claims all the same."""
        there = tuple(queue for queue in self._offer.queues if self._can_claim_from(queue))
        if there:
            with suppress(QuantumflowError):
                self._register_for(there)

    def _can_claim_from(self, queue: str) -> bool:
        """Whether a claim from a queue is not refused; one of no command takes nothing."""
        offer = self._offer
        call = _sql.tasks.claim_tasks(
            offer.worker_id, quantity=1, queues=(queue,), lease=offer.lease, commands=(), held=0
        )
        try:
            self._session.ask(call)
        except QuantumflowError:
            return False
        return True

    def _waits_for(self, error: Exception) -> bool:
        """Whether an error is one that passes when a workflow is defined: no such queue.

        A worker that ends by itself does not wait for that: a queue that is not there is a typo
        then, more often than nothing to do.
        """
        return isinstance(error, UnknownQueue) and not self._ends_by_itself

    def _miss(self, error: Exception | None) -> None:
        """A queue is missing, or none is any more; says so once."""
        before, self._missing = self._missing, None if error is None else str(error)
        if self._missing is None and before is not None:
            logger.info("every queue of the worker is there now", extra=self._offer.extra)
        elif self._missing != before:
            logger.warning("the worker waits for a queue: %s", error, extra=self._offer.extra)

    def _has_queue(self) -> None:
        """A claim found a queue."""
        if self._is_without_queues:
            self._is_without_queues = False
            self._register()

    def _tell_beginning(self) -> None:
        self._began_at = time.monotonic()
        logger.info(
            "worker %s works on %s: flows %s; commands %s; queues %s; %d handlers at a time, "
            "in process %d",
            self._offer.name,
            self._session.where,
            _some(self._handlers.flows()),
            _some(self._offer.commands),
            _some(self._offer.queues),
            self._concurrency,
            os.getpid(),
            extra=self._offer.extra,
        )

    def _tell_end(self) -> None:
        counts = self._delivery.counts
        elsewhere = self._core.tasks_run - counts.total()
        said = [f"{n} {outcome}" for outcome, n in sorted(counts.items())]
        if elsewhere > 0:
            said.append(f"{elsewhere} in transactions of their own, or unreported")
        logger.info(
            "worker %s ends after %.1f s: %d tasks run%s",
            self._offer.name,
            time.monotonic() - self._began_at,
            self._core.tasks_run,
            f" ({', '.join(said)})" if said else "",
            extra=self._offer.extra,
        )

    def _begin_listening(self) -> None:
        if self._listen is False:
            return
        to = self._connections.dsn()
        here = to if self._listen is True else self._listen
        ear = Ear(
            self._offer.queues,
            wake=lambda: self._inbox.put(self._core.woken),
            listening=lambda heard: self._inbox.put(lambda _: self._core.listening(heard)),
            of_run=self._renewal.doubt,
        )
        due = Ear(
            (_sql.SYSTEM_QUEUE,),
            wake=lambda: self._inbox.put(self._core.due),
            listening=lambda _: None,
        )
        self._listening.enter_context(listening(ear, here=here, to=to))
        self._listening.enter_context(listening(due, here=here, to=to))

    def _disconnect(self) -> None:
        self._core.disconnected()
        self._session.close()

    def _failed(self, action: Errand, error: Exception) -> None:
        """An action failed: it comes again, unless it is refused and never can."""
        what = type(action).__name__.lower()
        extra = self._offer.extra
        verdict = self._verdict_of(error)
        if verdict is Verdict.LOST or isinstance(action, Connect):
            self._lost(action, error)
        elif verdict is Verdict.CONFLICT and self._core.conflicted():
            logger.info("%s failed, again at once: %s", what, error, extra=extra)
        elif isinstance(action, Deliver):
            self._delivery.refused(action, error)
        elif isinstance(action, Claim):
            self._claim_refused(error)
        else:
            logger.warning("%s is refused: %s", what, error, extra=extra)
            if isinstance(action, Release):
                self._released(action)
            elif isinstance(action, Look):
                self._core.looked(others_left=False)
            elif isinstance(action, Settle):
                # A sweep does as much: who may not settle, since access was granted before an
                # update, may sweep.
                never = isinstance(error, (UndefinedFunction, InsufficientPrivilege))
                self._core.not_tended(time.monotonic(), never=never)

    def _claim_refused(self, error: Exception) -> None:
        """It comes again, unless it never can succeed."""
        extra, now = self._offer.extra, time.monotonic()
        if self._waits_for(error):
            self._is_without_queues = True
            self._miss(error)
            self._core.claim_refused(now, MISSING_MOST)
        elif can_never_succeed(error):
            logger.error("claim is refused, the worker stops: %s", error, extra=extra)
            self._error = self._error or error
            self._core.stop(now)
        else:
            delay = self._core.claim_refused(now)
            logger.warning("claim is refused, again in %.1f s: %s", delay, error, extra=extra)

    def _lost(self, action: Errand, error: Exception) -> None:
        """The server, or the connection, is lost: everything is kept, and comes again."""
        self._disconnect()
        if isinstance(action, Connect) and self._is_new:
            raise error
        if isinstance(action, Deliver) and self._core.broke(action, time.monotonic()):
            self._delivery.refused(action, error)
        delay = self._core.failed(time.monotonic())
        what = type(action).__name__.lower()
        logger.warning(
            "%s failed, again in %.1f s: %s", what, delay, error, extra=self._offer.extra
        )

    def _verdict_of(self, error: Exception) -> Verdict:
        return verdict_of(error, is_alive=self._session.is_alive)

    def _finish(self) -> None:
        undelivered = len(self._held)
        if undelivered:
            logger.warning(
                "ended with %d tasks unreported: they run again when their leases are over",
                undelivered,
                extra=self._offer.extra,
            )
        if self._core.is_connected:
            try:
                self._session.ask(_sql.workers.stop_worker(self._offer.worker_id))
            except (psycopg.Error, QuantumflowError) as error:
                logger.info("could not say goodbye: %s", error, extra=self._offer.extra)
        self._tell_end()


_SOME = 20
"""How many names the log lists."""


def _some(names: Collection[str]) -> str:
    """Names, for people: all of them, or as many as a line holds."""
    said = ", ".join(list(names)[:_SOME]) or "none at hand"
    return f"{said} and {len(names) - _SOME} more" if len(names) > _SOME else said
