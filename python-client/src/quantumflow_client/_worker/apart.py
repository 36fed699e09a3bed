"""Whether reports go apart from claims, on a second connection. No clock, no database, no threads.

A call that reports and claims at once is the shortest way from a task to the next, and leaves the
server one thing to do at a time. A worker whose handlers are done before it is answered, again and
again, is kept waiting by that: then the server reports and claims for it at the same time, on two
of its processors. Not where what was reported brings the next tasks, as in a chain: to hand these
over is less work than to send and to claim them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from quantumflow_client._sql.tasks import Task

    from .reports import Report

BACKLOG = 500
"""How many tasks must have come in a row, in claims that brought all they asked for."""

KEEP = 30.0
"""For how many seconds a second connection is kept that is not needed."""

AGAIN = 30.0
"""How many seconds after a second connection was lost, or was not to be had, it is tried again."""


class Apart:
    """What speaks for it, and whether there is a second connection.

    Args:
        may: Whether there may be one.
    """

    def __init__(self, *, may: bool) -> None:
        self._may = may
        self._is_open = False
        self._is_opening = False
        self._backlog = 0
        self._reported: Sequence[Report] = ()
        self._not_before = 0.0
        self._needed_at = 0.0

    @property
    def is_on(self) -> bool:
        """Whether reports go apart."""
        return self._is_open and self._backlog >= BACKLOG

    @property
    def close_at(self) -> float | None:
        """When to close the second connection, unless it is needed again."""
        return self._needed_at + KEEP if self._is_open and not self.is_on else None

    def is_to_open(self, now: float) -> bool:
        """Whether to open a second connection: said once."""
        is_wanted = self._may and self._backlog >= BACKLOG and now >= self._not_before
        if not is_wanted or self._is_open or self._is_opening:
            return False
        self._is_opening = True
        return True

    def is_to_close(self, now: float) -> bool:
        """Whether to close it: said once."""
        close_at = self.close_at
        if close_at is None or now < close_at:
            return False
        self._is_open = False
        return True

    def opened(self, now: float) -> None:
        """There is a second connection."""
        self._is_open, self._is_opening, self._needed_at = True, False, now

    def lost(self, now: float) -> None:
        """There is none, or none any more."""
        self._is_open = self._is_opening = False
        self._not_before = now + AGAIN

    def failed(self) -> None:
        """What was to be reported apart is to be reported otherwise."""
        self._backlog = 0

    def reported(self, reports: Sequence[Report]) -> None:
        """These were reported."""
        self._reported = reports

    def claimed(
        self, tasks: Collection[Task], *, asked: int, kept_waiting: bool, now: float
    ) -> None:
        """A claim was answered.

        Args:
            tasks: What it brought.
            asked: How many were asked for.
            kept_waiting: Whether handlers are quick, and there was none to call any more.
            now: The time.
        """
        if not self._may:
            return
        if self.is_on:
            self._needed_at = now
        if len(tasks) < asked or self._follows(tasks):
            self._backlog = 0
        elif self.is_on or kept_waiting:
            self._backlog += len(tasks)

    def _follows(self, tasks: Collection[Task]) -> bool:
        """Whether most of what came was brought by what was reported: its runs' next steps."""
        steps = {report.ref[:2] for report in self._reported}
        runs = {run_id for run_id, _ in steps}
        following = sum(task.ref.run_id in runs and task.ref[:2] not in steps for task in tasks)
        return following * 2 > len(tasks)
