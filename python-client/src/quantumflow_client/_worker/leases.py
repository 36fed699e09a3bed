"""What a worker holds: tasks, their executions and their leases. No clock, no database.

Times are seconds of a clock that only goes forward. A lease counts from the moment before it was
asked for, so that it is over here no later than in the database.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from quantumflow_client._log import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quantumflow_client._sql.tasks import LeaseState, TaskKey, TaskRef

    from .execution import Execution

LOOK_EVERY = 0.25
"""How many seconds pass at most before somebody looks whether a lease is due or over."""

_EARLY = 1 / 6
"""A lease is extended together with others up to this part of it early."""


@dataclass(slots=True)
class _Held:
    deadline: float
    expires: float
    renew_at: float


class Leases:
    """The leases that a worker holds: which to extend when, and which are over. For any thread.

    Args:
        lease: How long a lease is, in seconds.
    """

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._held: dict[TaskRef, _Held] = {}
        self._soonest = inf
        self._lock = threading.Lock()

    def add(self, task: TaskRef, *, asked_at: float, deadline: float = inf) -> None:
        """A task was claimed.

        Args:
            task: The task.
            asked_at: The moment before the claim.
            deadline: Until when it must be done, if that is known: no lease goes further.
        """
        held = _Held(deadline, 0, 0)
        with self._lock:
            self._renewed(held, asked_at)
            self._held[task] = held

    def drop(self, tasks: Iterable[TaskRef]) -> None:
        """Tasks were reported or released, or are committed with their transactions."""
        with self._lock:
            for task in tasks:
                self._held.pop(task, None)

    def is_over(self, task: TaskRef, now: float) -> bool:
        """Whether a task is not held any more."""
        held = self._held.get(task)
        return held is None or now >= held.expires

    def due(self, now: float) -> list[TaskRef]:
        """What to extend now: nothing, or all that is due or nearly so."""
        with self._lock:
            if all(held.renew_at > now for held in self._held.values()):
                return []
            soon = now + self._lease * _EARLY
            return [task for task, held in self._held.items() if held.renew_at <= soon]

    def doubt(self, run_id: str) -> bool:
        """Ask of a run's tasks soon whether they are still held; whether there are any."""
        with self._lock:
            doubted = [held for task, held in self._held.items() if task.run_id == run_id]
            for held in doubted:
                held.renew_at = 0
            return bool(doubted)

    def next_due(self) -> float | None:
        """When to extend something; None while nothing is held."""
        with self._lock:
            return min((held.renew_at for held in self._held.values()), default=None)

    def extended(
        self, tasks: Iterable[TaskRef], states: Mapping[TaskKey, LeaseState], *, asked_at: float
    ) -> dict[TaskRef, str]:
        """The database answered.

        Args:
            tasks: What was to be extended.
            states: The answers; a task without one is lost.
            asked_at: The moment before it was asked.

        Returns:
            The tasks that are not held any more, each with `lost` or `cancelled`.
        """
        over = {}
        with self._lock:
            for task in tasks:
                held = self._held.get(task)
                if held is None:
                    continue
                answer = states.get(task[:3])
                if answer is not None and answer.state == "held":
                    self._renewed(held, asked_at)
                else:
                    over[task] = "lost" if answer is None else answer.state
                    del self._held[task]
        return over

    def lapse(self, now: float) -> dict[TaskRef, str]:
        """Forget the leases that are over by the clock, and say why each is."""
        with self._lock:
            if now < self._soonest:
                return {}
            lapsed = {
                task: "its deadline passed" if now >= held.deadline else "its lease was not renewed"
                for task, held in self._held.items()
                if now >= held.expires
            }
            for task in lapsed:
                del self._held[task]
            self._soonest = min((held.expires for held in self._held.values()), default=inf)
            return lapsed

    def _renewed(self, held: _Held, asked_at: float) -> None:
        held.renew_at = asked_at + self._lease / 3
        held.expires = min(asked_at + self._lease, held.deadline)
        self._soonest = min(self._soonest, held.expires)


class Held:
    """The tasks that a worker holds. For any thread.

    An execution stays until its task is reported, handed back or given up; a lease until it is
    over.
    """

    def __init__(self, lease: float) -> None:
        self.leases = Leases(lease)
        self._executions: dict[TaskRef, Execution] = {}

    def __len__(self) -> int:
        return len(self._executions)

    def executions(self) -> list[Execution]:
        """The executions, at the moment."""
        return list(self._executions.values())

    def get(self, task: TaskRef) -> Execution | None:
        """A task's execution, while the worker holds it."""
        return self._executions.get(task)

    def add(self, execution: Execution, *, asked_at: float) -> None:
        """A task was claimed; see Leases.add."""
        task = execution.task.ref
        # First: whoever finds the lease over tells the handler.
        self._executions[task] = execution
        self.leases.add(task, asked_at=asked_at, deadline=execution.deadline)

    def forget(self, tasks: Iterable[TaskRef]) -> None:
        """Tasks are the worker's business no more."""
        tasks = list(tasks)
        self.leases.drop(tasks)
        for task in tasks:
            self._executions.pop(task, None)

    def tell_over(self, over: Mapping[TaskRef, str], level: int = logging.WARNING) -> None:
        """Tell handlers, and the log, that their leases are over, and why each is."""
        for task, reason in over.items():
            execution = self.get(task)
            if execution is not None:
                logger.log(level, "%s must stop: %s", execution, reason, extra=execution.extra)
                execution.cancel(reason, is_lost=True)
