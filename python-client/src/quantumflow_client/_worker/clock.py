"""How far the database's clock is ahead of ours: deadlines are by the database's."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quantumflow_client._sql.tasks import Task


class Clock:
    """The database's clock, as leases tell of it.

    Args:
        lease: How long a lease is, in seconds.
    """

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._ahead = -inf

    def here(self, time: float) -> float:
        """When it is so late in the database, by our clock."""
        return time - self._ahead

    def is_read(self, tasks: Iterable[Task], *, asked_at: float, answered_at: float) -> bool:
        """Learn from a claim; whether the clock is known now.

        It is not while every lease ends at its deadline, which does not tell when it began.
        """
        for task in tasks:
            if task.lease_expires_at < task.deadline:
                claimed_at = task.lease_expires_at - self._lease
                # It was claimed while we waited, which may have been long.
                least, most = claimed_at - answered_at, claimed_at - asked_at
                self._ahead = min(max(self._ahead, least), most)
                return True
        return self._ahead > -inf

    def set(self, time: float, *, now: float) -> None:
        """It is so late in the database now."""
        self._ahead = time - now
