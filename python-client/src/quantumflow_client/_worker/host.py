"""What a worker does for the handlers that it runs, in their threads."""

from __future__ import annotations

import contextvars
import time
from typing import TYPE_CHECKING, TypeVar

from quantumflow_client._log import logger
from quantumflow_client.context import describe

from .process import Processes
from .transaction import TaskTransaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantumflow_client._call import Call
    from quantumflow_client._connections import Connections
    from quantumflow_client._sql.tasks import Spent, Task, TaskRef

    from .clock import Clock
    from .core import Core
    from .hooks import Hooks
    from .inbox import Inbox
    from .leases import Held
    from .renewal import Renewal
    from .reports import Report
    from .resources import Resources

T = TypeVar("T")


class WorkerHost:
    """An execution's Host.

    Args:
        core: Hears of what came of handlers.
        inbox: By way of this.
        held: What the worker holds.
        renewal: Extends a lease at once.
        clock: The database's.
        connections: For handlers' calls.
        concurrency: How many handlers run at once.
        patience: How many seconds the server may be silent.
        hooks: What is around handlers.
        resources: What handlers may ask for by name.
    """

    def __init__(
        self,
        core: Core,
        inbox: Inbox,
        held: Held,
        renewal: Renewal,
        clock: Clock,
        connections: Connections,
        *,
        concurrency: int,
        patience: float,
        hooks: Hooks,
        resources: Resources,
    ) -> None:
        self.hooks = hooks
        self.resources = resources
        self.processes = Processes()
        self.context = contextvars.copy_context()
        self._core = core
        self._inbox = inbox
        self._held = held
        self._renewal = renewal
        self._clock = clock
        self._connections = connections
        # Apart, so that what a handler does to a session stays among such handlers.
        self._transactions = connections.apart(concurrency)
        self._async_transactions = connections.asynchronous(concurrency)
        self._patience = patience
        self._unfit_steps: set[tuple[str, int, str]] = set()

    async def at_loops_end(self, *, is_last: bool) -> None:
        """Close what handlers have used on an event loop, which is about to end."""
        await self.resources.close_on_loop()
        if is_last:
            await self._async_transactions.close()

    def close(self) -> None:
        """Close what handlers have used, but for what is of an event loop."""
        self.processes.close()
        self._transactions.close()
        self.resources.close()

    def new_context(self) -> contextvars.Context:
        """A context for a handler: as it was when the worker began, whatever others did since."""
        return self.context.copy()

    def fetch(self, call: Call[T]) -> T:
        """Carry out a handler's call, on a connection of its own."""
        return self._connections.run(call, patience=self._patience / 3)

    def extend(self, task: TaskRef) -> None:
        """Extend a task's lease now."""
        self._renewal.extend([task], self.fetch)

    def is_over(self, task: TaskRef) -> bool:
        """Whether a task's lease is over."""
        return self._held.leases.is_over(task, time.monotonic())

    def transaction(
        self, task: Task, *, is_async: bool, spent: Callable[[], Spent]
    ) -> TaskTransaction:
        """A task's own transaction."""
        return TaskTransaction(
            task.ref,
            is_async=is_async,
            connections=self._transactions,
            async_connections=self._async_transactions,
            forget_lease=lambda: self._held.leases.drop([task.ref]),
            patience=self._patience,
            time_left=lambda: self._time_left(task),
            spent=spent,
        )

    def ended(self, report: Report, seconds: float) -> None:
        """A handler has ended, which ran for so long."""
        self._inbox.put_result(report, seconds)

    def settled(self, task: TaskRef, seconds: float) -> None:
        """A handler has ended, which ran for so long, and there is nothing to report."""

        def settle(now: float) -> None:
            self._held.forget([task])
            self._core.settled(task, seconds, now)

        self._inbox.put(settle)

    def unstarted(self, task: Task, unfit: str | None = None) -> None:
        """A handler did nothing that counts; its task may be handed back."""

        def hand_back(_: float) -> None:
            self._core.unstarted(task.ref, unfit)
            if unfit is not None:
                self._tell_unfit(task, unfit)

        self._inbox.put(hand_back)

    def refused(self) -> list[tuple[str, int, str]]:
        """The steps whose tasks were left to other code: their flow, its version, the step."""
        return list(self._unfit_steps)

    def _tell_unfit(self, task: Task, why: str) -> None:
        """Say, once for each step of a version, that its tasks are left to other code."""
        step = (task.workflow_slug, task.version, task.ref.step_slug)
        if step not in self._unfit_steps:
            self._unfit_steps.add(step)
            logger.warning(
                "tasks of step %r of flow %r, version %d, are left to other code: %s",
                task.ref.step_slug,
                task.workflow_slug,
                task.version,
                why,
                extra=describe(task),
            )

    def _time_left(self, task: Task) -> float:
        """How many seconds there are to a task's deadline, unless its lease is over."""
        if self.is_over(task.ref):
            return 0
        return self._clock.here(task.deadline) - time.monotonic()
