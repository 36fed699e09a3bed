"""Looks after handlers: who blocks the event loop, what cannot begin, and who does not end."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from quantumflow_client._log import logger
from quantumflow_client.errors import WorkerHung

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quantumflow_client._sql.tasks import TaskRef

    from .core import Core
    from .execution import Execution
    from .leases import Held
    from .offer import Offer
    from .slots import Slots

_GRACE = 2.0
"""How many seconds a handler has to end after its time, or its lease, is over.

Then it is left alone: its slot is used anew, and what it returns is dropped.
"""

_HUNG_LEAST = 3
"""How many handlers must hang at least, and as many as there are slots, to end the worker."""

_PAUSE = 1.0
"""How many seconds no more is claimed after tasks were handed back because the loop is blocked."""


class Watch:
    """Whom to wait for no longer, and what to hand back because it cannot begin.

    Args:
        offer: The worker.
        held: Its executions.
        slots: Where they run.
        core: Is told.
        concurrency: How many run at once.
    """

    def __init__(
        self, offer: Offer, held: Held, slots: Slots, core: Core, *, concurrency: int
    ) -> None:
        self._offer = offer
        self._held = held
        self._slots = slots
        self._core = core
        self._hung_most = max(concurrency, _HUNG_LEAST)
        self._look_at = inf

    @property
    def next_look(self) -> float:
        """When there is something to look for."""
        return min(self._slots.start_by, self._look_at)

    def begin(self, executions: Iterable[Execution]) -> None:
        """These are about to start."""
        for execution in executions:
            self._look_at = min(self._look_at, execution.deadline)

    def take_back(self, executions: Iterable[Execution]) -> None:
        """These will not start."""
        for execution in executions:
            self._core.unstarted(execution.task.ref)

    def expect_end(self, tasks: Iterable[TaskRef], now: float) -> None:
        """Handlers were told that their tasks are not this worker's any more."""
        for task in tasks:
            if (execution := self._held.get(task)) is not None and not execution.is_over:
                execution.is_over = True
                execution.look_at = now + _GRACE
        self._look_again()

    def look(self, now: float) -> WorkerHung | None:
        """Look after all; what to end the worker with, if too many handlers hang."""
        if (blocked := self._slots.look(now)) is not None:
            logger.warning(
                "the event loop, and every async handler, waits for %s, which blocks it\n%s",
                blocked.by or "something",
                blocked.stack,
                extra=(blocked.by or self._offer).extra,
            )
        overdue = self._slots.take_back_overdue(now)
        self.take_back(overdue)
        if overdue and self._slots.is_blocked(now):
            self._core.pause(now + _PAUSE)
        error = None
        if now >= self._look_at:
            for execution in self._held.executions():
                if now >= execution.look_at:
                    hung = self._look_after(execution, now)
                    error = error or hung
            self._look_again()
        return error

    def _look_after(self, execution: Execution, now: float) -> WorkerHung | None:
        is_over, execution.is_over = execution.is_over, True
        execution.look_at = now + _GRACE
        # By its time or its lease, and seen twice: the process itself may have been stopped.
        if not is_over or not execution.leave():
            return None
        self._held.forget([execution.task.ref])
        self._core.left(execution.task.ref, now)
        stack = self._slots.let_go(execution, now)
        if stack is not None:
            logger.error(
                "the handler of %s does not end: it is left alone, and its slot is used anew\n%s",
                execution,
                stack,
                extra=execution.extra,
            )
        hung = self._slots.hung(now)
        return WorkerHung(hung) if hung >= self._hung_most else None

    def _look_again(self) -> None:
        self._look_at = min((e.look_at for e in self._held.executions()), default=inf)
