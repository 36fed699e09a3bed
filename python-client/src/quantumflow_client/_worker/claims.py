"""Claims: tasks that were handed out become executions, each with a lease and a deadline."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg

from quantumflow_client import _sql
from quantumflow_client.errors import QuantumflowError

from .execution import Execution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantumflow_client._connections import Session
    from quantumflow_client._sql.tasks import Task

    from .clock import Clock
    from .core import Core
    from .execution import Host
    from .handlers import Registry
    from .leases import Held
    from .offer import Offer

_HOLD = 1.0
"""How many seconds a task waits for a slot at most; or a tenth of its timeout, or of a lease."""


class Claims:
    """Claims, and makes executions of what comes.

    Args:
        offer: Who claims, and for what.
        session: Where.
        core: Is told.
        held: Where what was claimed is kept.
        clock: The database's.
        handlers: A handler for each command.
        host: What the executions turn to.
    """

    def __init__(
        self,
        offer: Offer,
        session: Session,
        core: Core,
        held: Held,
        clock: Clock,
        handlers: Registry,
        host: Host,
    ) -> None:
        self._offer = offer
        self._session = session
        self._core = core
        self._held = held
        self._clock = clock
        self._handlers = handlers
        self._host = host

    def claim(self, quantity: int) -> list[Execution]:
        """Claim up to so many tasks."""
        asked_at = time.monotonic()
        tasks = self._session.ask(
            _sql.tasks.claim_tasks(
                self._offer.worker_id,
                quantity=quantity,
                queues=self._offer.queues,
                lease=self._offer.lease,
                commands=self._offer.commands,
                held=self._core.held,
            )
        )
        return self.begin(tasks, asked=quantity, asked_at=asked_at)

    def begin(self, tasks: Sequence[Task], *, asked: int, asked_at: float) -> list[Execution]:
        """Hold tasks that were handed out.

        Args:
            tasks: The tasks.
            asked: How many were asked for.
            asked_at: The moment before.

        Returns:
            Their executions, to be run.
        """
        now = time.monotonic()
        self._core.claimed(tasks, asked=asked, now=now)
        if not tasks:
            return []
        self._read_clock(tasks, asked_at, now)
        hold = min(_HOLD, self._offer.lease.total_seconds() / 10)
        executions = []
        for task in tasks:
            deadline = self._clock.here(task.deadline)
            start_by = now + min(hold, (deadline - now) / 10)
            handler = self._handlers[task.command]
            step = self._handlers.step_of(task)
            execution = Execution(self._host, task, handler, start_by, deadline, step)
            self._held.add(execution, asked_at=asked_at)
            executions.append(execution)
        return executions

    def _read_clock(self, tasks: Sequence[Task], asked_at: float, answered_at: float) -> None:
        if self._clock.is_read(tasks, asked_at=asked_at, answered_at=answered_at):
            return
        # An extension by nearly nothing changes nothing and tells what time it is.
        task, shortest = tasks[0], timedelta(milliseconds=1)
        asked = _sql.tasks.extend_leases(self._offer.worker_id, [task.ref], lease=shortest)
        try:
            lease = self._session.ask(asked).get(task.ref[:3])
        except (psycopg.Error, QuantumflowError):
            return
        if lease is not None and lease.lease_expires_at is not None:
            its_time = (lease.lease_expires_at - shortest).timestamp()
            self._clock.set(its_time, now=time.monotonic())
